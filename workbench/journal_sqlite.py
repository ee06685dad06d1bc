"""How the journal lies in a SQLite file: all that another database would do differently.

Write-ahead log, every commit synced to the disk, triggers against edits, a number that says whose
file it is. It knows nothing of what the rows say or how they are sealed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from workbench.errors import DataError, UsageError

_Read = TypeVar("_Read")

LOCK = "BEGIN IMMEDIATE"
COUNTER = "SELECT seq FROM sqlite_sequence WHERE name = 'journal'"
"""The highest row number ever given; it stays when the last row is taken out."""

_ID, _VERSION = 0x574A524E, 1
_SCHEMA = [
    "CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL,"
    " kind TEXT NOT NULL, body TEXT NOT NULL, prev_hash TEXT NOT NULL, hash TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS journal_kind ON journal (kind, seq)",
    *(
        f"CREATE TRIGGER IF NOT EXISTS journal_no_{verb} BEFORE {verb} ON journal"
        " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
        for verb in ("update", "delete")
    ),
    f"PRAGMA application_id = {_ID}",
    f"PRAGMA user_version = {_VERSION}",
]


def path_of(target: str | Path) -> Path:
    """The file meant by a path or a `sqlite:///` URL. Raises UsageError for any other URL."""
    if isinstance(target, Path) or "://" not in target:
        return Path(target)
    dialect, _, rest = target.partition("://")
    file = rest.removeprefix("/")
    if dialect.partition("+")[0] != "sqlite" or file in (rest, "", ":memory:") or "?" in file:
        raise UsageError(  # it does not repeat the URL, which may hold a password
            f"this {dialect} URL cannot hold the journal so far; name a file, as a path or as"
            " sqlite:///path/journal.db without options"
        )
    return Path(file)


def at_rest(path: Path) -> tuple[int, int] | None:
    """None while there is a write-ahead log, else what changes when the file does."""
    if Path(f"{path}-wal").exists():
        return None
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


def undisturbed(path: Path, read: Callable[[], _Read]) -> _Read:
    """What `read` returns or raises, once no writer came or went while it read."""
    while True:
        before = at_rest(path)
        try:
            result = read()
        except Exception:
            if before == at_rest(path):
                raise
        else:
            if before == at_rest(path):
                return result


def connect(path: Path, readonly: bool, timeout_s: float) -> sqlite3.Connection:
    """A connection without transactions of its own; a reader's makes no file."""
    mode = "rwc"
    if readonly:
        # To read a journal at rest, SQLite would make a log beside it unless told that nobody
        # writes. Whoever reads does it `undisturbed`.
        mode = "ro" if at_rest(path) is None else "ro&immutable=1"
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}",
        uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False,
    )  # fmt: skip
    # A damaged text must come back as something, so that its row can be named.
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    try:
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def prepare(path: Path, readonly: bool, timeout_s: float) -> None:
    """Recognise the journal, and make what is missing of it if it is to be written."""
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder; name a file in it, such as {path}/journal.db")
        if readonly and not path.exists():
            raise UsageError(
                f"there is no journal at {path}; the first run that writes one makes it, and so"
                " does Journal.open(path)"
            )
        if not readonly:
            path.parent.mkdir(parents=True, exist_ok=True)

        def open_once() -> None:
            with closing(connect(path, readonly, timeout_s)) as connection:
                connection.execute("BEGIN")  # one moment of the file, which another may be making
                _recognise(connection, path, readonly)  # before a stranger's file is touched
                connection.execute("COMMIT")
                if not readonly:
                    _make(connection, path, timeout_s)

        undisturbed(path, open_once) if readonly else open_once()
    except OSError as error:
        raise DataError(f"the journal {path} cannot be opened: {error.strerror}") from None
    except sqlite3.Error as error:
        raise DataError(sentence(path, error, timeout_s)) from error


def _recognise(connection: sqlite3.Connection, path: Path, readonly: bool) -> None:
    def number(query: str) -> int:
        return int(connection.execute(query).fetchone()[0])

    ours, version = number("PRAGMA application_id") == _ID, number("PRAGMA user_version")
    tables = number("SELECT count(*) FROM sqlite_master")
    if ours and version != _VERSION:
        raise DataError(
            f"{path} is a journal of version {version} and this workbench reads version {_VERSION};"
            " use the workbench that wrote it, or another file"
        )
    if tables and not ours:
        raise DataError(f"{path} is a database of something else, no journal; use another file")
    if readonly and not ours:
        raise DataError(f"{path} is empty, no journal; run first what writes it")


def _make(connection: sqlite3.Connection, path: Path, timeout_s: float) -> None:
    if _logged(connection, time.monotonic() + timeout_s) != "wal":
        raise DataError(f"the file system of {path} cannot hold a journal; use a local disk")
    connection.execute(LOCK)
    _recognise(connection, path, readonly=False)  # another process may have been quicker
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute("COMMIT")


def _logged(connection: sqlite3.Connection, deadline: float) -> str:
    while True:
        try:
            return connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            # Two processes that make one journal: SQLite waits for any lock but this one.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def sentence(path: Path, error: BaseException | None, timeout_s: float) -> str:
    """What a driver's error means to the person who reads it."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the low byte is the family
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return (
                f"the journal {path} has been locked by another process for more than"
                f" {timeout_s:g} s, and nothing was written; find what holds it, then try again"
            )
        case sqlite3.SQLITE_NOTADB:
            return f"{path} is not a journal, nor any database; use another file"
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return f"the disk of the journal {path} is full or failing ({error}); free some space"
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return (
                f"the journal {path} cannot be opened or written ({error}); check that it is a file"
                " and that you have the right to write to its folder"
            )
        case _:
            return f"the journal {path} is damaged ({error}); restore a copy of it and verify that"
