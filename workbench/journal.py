"""The journal: an append-only record of everything that happened, each row sealed to the last.

One table in one SQLite file, every commit synced to the disk before it returns. A row's hash covers
its number, time, kind, body and the hash of the row before it, so `verify` finds any row that was
edited, moved or taken out. Several processes may write, any number may read.

It has no clock (the caller says when), gives rows no meaning beyond `cycle_row` / `book_from`, and
keeps no secrets (a body with a key that looks like one is refused). It proves that rows have not
changed since they were written, not that they were true. Who may rewrite the whole file may forge
the whole chain, or cut its end: compare `head()` with a head hash published earlier.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from workbench import journal_sqlite as sqlite
from workbench.errors import DataError, UsageError
from workbench.journal_json import refuse_secrets, to_json, to_plain, utc_text

if TYPE_CHECKING:
    from workbench.domain import Book, Cycle

__all__ = [
    "Entry", "Head", "Journal", "JournalBroken", "JournalLog", "book_from", "cycle_row", "to_json",
]  # fmt: skip

_CHUNK = 1000  # rows held in memory at a time, however long the journal

_COLUMNS = ("seq", "at", "kind", "body", "prev_hash", "hash")
_rows = sa.table("journal", *(sa.column(name) for name in _COLUMNS))
_insert = sa.insert(_rows)
_last = sa.select(_rows.c.seq, _rows.c.hash).order_by(_rows.c.seq.desc()).limit(1)
_counter = sa.text(sqlite.COUNTER)


class JournalBroken(DataError):
    """The chain does not hold; the sentence names the first bad row."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `at` is UTC in ISO format; in `body`, float(...) reads any number back."""

    seq: int
    at: str
    kind: str
    body: dict[str, Any]
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The last row's number and hash: it stands for the whole journal up to there."""

    seq: int = 0
    hash: str = "0" * 64


class Journal:
    """An open journal. Threads may share it, a forked child may not; close it, or use `with`."""

    def __init__(self, path: Path, readonly: bool, timeout_s: float) -> None:
        self.path, self.readonly, self._timeout_s, self._closed = path, readonly, timeout_s, False
        self._engine = sa.create_engine(
            "sqlite://",
            creator=partial(sqlite.connect, path, readonly, timeout_s),
            poolclass=sa.NullPool if readonly else sa.QueuePool,
        )

    @classmethod
    def open(cls, target: str | Path, *, readonly: bool = False, timeout_s: float = 5.0) -> Self:
        """Open the journal at a path or SQLAlchemy URL, and make it if it is to be written.

        A reader makes and changes no file. Raises UsageError for a target that cannot be a journal
        or is not there to be read, DataError for a file that is not one.
        """
        path = sqlite.path_of(target)
        sqlite.prepare(path, readonly, timeout_s)
        return cls(path, readonly, timeout_s)

    def append(self, kind: str, body: object, at: datetime) -> Entry:
        """Write one row; when this returns, it is on the disk."""
        return self.append_many([(kind, body, at)])[0]

    def append_many(self, rows: Iterable[tuple[str, object, datetime]]) -> list[Entry]:
        """Write rows in one transaction: all of them or none."""
        if self.readonly:
            raise UsageError(f"the journal {self.path} was opened for reading; open it for writing")
        # Refuse what must be refused before the lock is taken.
        given = [(utc_text(at, "at"), _kind(kind), _body(body)) for kind, body, at in rows]
        if not given:
            return []
        with self._said(), self._engine.begin() as connection:
            connection.exec_driver_sql(sqlite.LOCK)
            head = _head(connection.execute(_last).all())
            counted = connection.execute(_counter).scalar() or 0
            if head.seq < counted:  # a new row must not fill the gap and hide it
                raise JournalBroken(_cut_off(self.path, head.seq, counted))
            sealed = list(_sealed(head, given))
            connection.execute(_insert, [dict(zip(_COLUMNS, row, strict=True)) for row in sealed])
        return [self._entry(row) for row in sealed]

    def rows(
        self, kind: str | None = None, after: int = 0, limit: int | None = None
    ) -> Iterator[Entry]:
        """Rows in order, of one kind if given, with numbers above `after`, at most `limit`."""
        left = math.inf if limit is None else limit
        while left > 0:
            size = int(min(left, _CHUNK))
            chunk = self._read(_select(kind, after, size))
            yield from map(self._entry, chunk)
            if len(chunk) < size:
                return
            after, left = chunk[-1].seq, left - size

    def tail(self, n: int, kind: str | None = None) -> list[Entry]:
        """The last `n` rows (of one kind), oldest first."""
        query = _select(kind, 0, max(n, 0)).order_by(None).order_by(_rows.c.seq.desc())
        return [self._entry(row) for row in reversed(self._read(query))]

    def head(self) -> Head:
        """Number and hash of the last row; (0, zeros) if there is none."""
        return _head(self._read(_last))

    def __len__(self) -> int:
        return int(self._read(sa.select(sa.func.count()).select_from(_rows))[0][0])

    def __bool__(self) -> bool:
        return True  # an empty journal is still a journal

    def verify(self, progress: Callable[[int, int], None] | None = None) -> Head:
        """Walk the chain and return its head. Raises JournalBroken naming the first bad row.

        `progress` is told (rows walked, rows there are) now and then.
        """
        # Read before the walk: rows that a writer adds meanwhile are then no surprise.
        counted = int(next(iter(self._read(_counter)), (0,))[0])
        head = Head()
        while chunk := self._read(_select(None, head.seq, _CHUNK)):
            for row in chunk:
                if fault := _fault(head, row):
                    raise JournalBroken(f"{self.path}: {fault}")
                head = Head(row[0], row[5])
            if progress is not None:
                progress(head.seq, max(head.seq, counted))
        if head.seq < counted:
            raise JournalBroken(_cut_off(self.path, head.seq, counted))
        return head

    def close(self) -> None:
        self._closed = True
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, query: sa.Executable) -> Sequence[Any]:
        def once() -> Sequence[Any]:
            with self._engine.connect() as connection:
                return connection.execute(query).all()

        with self._said():
            return sqlite.undisturbed(self.path, once) if self.readonly else once()

    def _entry(self, row: Any) -> Entry:
        seq, at, kind, body, prev_hash, digest = row
        try:
            return Entry(seq, at, kind, json.loads(body), prev_hash, digest)
        except (ValueError, TypeError):
            raise JournalBroken(f"{self.path}: row {seq} is not readable: it was edited") from None

    @contextmanager
    def _said(self) -> Iterator[None]:
        if self._closed:
            raise UsageError(f"the journal {self.path} is closed; open it again")
        try:
            yield
        except DBAPIError as error:
            raise DataError(sqlite.sentence(self.path, error.orig, self._timeout_s)) from error
        except FileNotFoundError:
            raise DataError(f"the journal {self.path} is gone; it was moved or deleted") from None


# --- one bar -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class JournalLog:
    """Keeps each bar's record in a journal, stamped with the bar's close."""

    journal: Journal

    def append(self, cycle: Cycle, /) -> None:
        self.journal.append("cycle", cycle_row(cycle), cycle.as_of)


def cycle_row(cycle: Cycle) -> dict[str, Any]:
    """The body of one bar's record; `book_from` gives its book back to the same bits."""
    ruling = cycle.ruling
    record = {
        "as_of": cycle.as_of, "source": cycle.source, "signals": cycle.signals,
        "verdicts": cycle.verdicts, "reasons": ruling.reasons, "orders": ruling.orders,
        "fills": cycle.fills, "book": ruling.book, "cases": cycle.cases, "marks": cycle.marks,
        "faults": cycle.faults,
    }  # fmt: skip
    return to_plain(record)


def book_from(body: Mapping[str, Any]) -> Book:
    """The book in a `cycle_row`. Raises DataError if there is none, or one of another shape."""
    # Here, because they load pandas and numba, which a writer of rows can do without.
    from workbench import arrays as a  # noqa: PLC0415
    from workbench.domain import Book  # noqa: PLC0415

    try:
        symbols = tuple(body["book"]["symbols"])
        rows = [[float(cell) for cell in row] for row in body["book"]["positions"]]
        account = np.array([float(cell) for cell in body["book"]["account"]])
        positions = np.array(rows).reshape(len(symbols), a.BOOK_COLUMNS)
        return Book(symbols, positions, account.reshape(a.ACCOUNT_CELLS))
    except (KeyError, TypeError, ValueError):
        raise DataError(
            f"the record of {body.get('as_of', 'an unknown bar')} holds no book that this version"
            " can read; start from a later one"
        ) from None


# --- rows and their seals ----------------------------------------------------------------------


def _kind(kind: object) -> str:
    if not isinstance(kind, str) or not re.fullmatch(r"[a-z][a-z0-9_.]{0,63}", kind):
        raise UsageError(f"{kind!r} is no kind of row; write it in lower case, such as 'fill'")
    return kind


def _body(body: object) -> str:
    text = to_json(body)
    plain = json.loads(text)
    if not isinstance(plain, dict):
        raise UsageError(f"the body of a row is a {type(body).__name__}; it must be a mapping")
    refuse_secrets(plain)
    return text


def _seal(seq: object, at: object, kind: object, body: object, prev_hash: object) -> str:
    # A JSON array quotes its parts, so no two rows share an encoding.
    sealed = json.dumps([seq, at, kind, body, prev_hash], separators=(",", ":"))
    return hashlib.sha256(sealed.encode("ascii")).hexdigest()


def _sealed(head: Head, given: Iterable[tuple[str, str, str]]) -> Iterator[tuple[Any, ...]]:
    before = head.hash
    for seq, (at, kind, body) in enumerate(given, head.seq + 1):
        row = (seq, at, kind, body, before)
        before = _seal(*row)
        yield (*row, before)


def _fault(head: Head, row: Sequence[Any]) -> str | None:
    """What is wrong with the row that should follow `head`, if anything."""
    seq, at, kind, body, prev_hash, digest = row
    if seq > head.seq + 1:
        return f"row {head.seq + 1} is missing; the next one there is row {seq}"
    if seq <= head.seq:
        return f"row {seq} is there twice"
    if bytes in map(type, row) or _seal(seq, at, kind, body, prev_hash) != digest:
        return (
            f"row {seq} ({at}): its content does not match its hash:"
            " it was edited after it was written"
        )
    if prev_hash != head.hash:
        return f"row {seq} ({at}) does not continue row {seq - 1}: one of the two was replaced"
    return None


def _cut_off(path: Path, last: int, counted: int) -> str:
    return f"{path}: row {last + 1} is missing; {counted} were written and row {last} is the last"


def _select(kind: str | None, after: int, limit: int) -> sa.Select[Any]:
    query = sa.select(*_rows.c).where(_rows.c.seq > after).order_by(_rows.c.seq).limit(limit)
    return query if kind is None else query.where(_rows.c.kind == kind)


def _head(rows: Sequence[Any]) -> Head:
    return Head(*rows[0]) if rows else Head()
