"""What may be spent on models: by the UTC day and by the run, held before a call, settled after it.

A ledger in one SQLite file, shared by threads and by processes, each of which opens it for itself.
A hold counts in full until it is settled, so that concurrent calls cannot pass a cap together, and
that of a process which died counts for ever: what it spent is not known. What a call costs counts
on the day of its hold. A clock that is set back finds the later day's money spent. Whole
nano-dollars; nothing is rounded in anybody's favour.
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Self

from workbench.errors import DataError, UsageError

TIMEOUT_S = 5.0
_ID = 0x57424247  # "WBBG": a file of something else is not written into
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS spending (hold INTEGER PRIMARY KEY AUTOINCREMENT, day TEXT NOT"
    " NULL, run TEXT NOT NULL, what TEXT NOT NULL, at TEXT NOT NULL, held_nano_usd INTEGER NOT"
    " NULL, spent_nano_usd INTEGER)",
    # with the amounts, so that a day of many calls is summed without reading its rows
    "CREATE INDEX IF NOT EXISTS spending_day ON spending (day, spent_nano_usd, held_nano_usd)",
    "CREATE INDEX IF NOT EXISTS spending_run ON spending (run, spent_nano_usd, held_nano_usd)",
    f"PRAGMA application_id = {_ID}",
)
_COUNTED = "SELECT COALESCE(SUM(COALESCE(spent_nano_usd, held_nano_usd)), 0) FROM spending"
_OF_DAY, _OF_RUN = f"{_COUNTED} WHERE day = ?", f"{_COUNTED} WHERE run = ?"
_HELD = f"{_COUNTED} WHERE day = ? AND spent_nano_usd IS NULL"


@dataclass(frozen=True)
class Spent:
    """What counts against the caps: spent or held. `held_nano_usd` is the part of the day's that
    no call has settled yet."""

    day: str
    day_nano_usd: int
    run_nano_usd: int
    held_nano_usd: int


class Budget:
    """An open ledger with the caps of one run."""

    def __init__(
        self, path: Path, day_cap: int, run_cap: int, run: str, now: Callable[[], datetime]
    ) -> None:
        self._path, self._day_cap, self._run_cap = path, day_cap, run_cap
        self._run, self._now = run, now
        self._alone = threading.Lock()
        self._held_open: sqlite3.Connection | None = None
        self._file = (0, 0)

    @classmethod
    def open(
        cls, path: Path, usd_per_day: float, usd_per_run: float, run: str,
        now: Callable[[], datetime],
    ) -> Self:  # fmt: skip
        """Raises UsageError for a cap that is none, DataError for a file that is no ledger."""
        caps: list[int] = []
        for name, cap in (("usd_per_day", usd_per_day), ("usd_per_run", usd_per_run)):
            if not 0.0 <= cap < math.inf:
                raise UsageError(f"{name} is {cap:g}; it must be 0 or more")
            caps.append(math.floor(Fraction(str(cap)) * 10**9))
        budget = cls(path, caps[0], caps[1], run, now)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"the budget {path} cannot be made ({error.strerror})") from None
        with budget._ledger() as ledger:
            budget._recognise(ledger)
            for statement in _SCHEMA:
                ledger.execute(statement)
        with budget._connection() as connection:
            _log_ahead(connection)
        return budget

    def reserve(self, nano_usd: int, what: str) -> int | None:
        """A hold on so much, None if it would pass the day's cap or the run's. Raises DataError if
        the ledger cannot be written, UsageError for what is no amount."""
        _amount(nano_usd)
        with self._ledger() as ledger:
            day = self._day(ledger)
            of_day, of_run, _ = self._sums(ledger, day)
            if of_day + nano_usd > self._day_cap or of_run + nano_usd > self._run_cap:
                return None
            at = self._now().astimezone(UTC).isoformat()
            row = ledger.execute(
                "INSERT INTO spending (day, run, what, at, held_nano_usd) VALUES (?, ?, ?, ?, ?)",
                (day, self._run, what, at, nano_usd),
            )
            return row.lastrowid

    def settle(self, hold: int, nano_usd: int) -> None:
        """What it cost in the end, be it more than was held. Raises DataError for a hold that is
        settled already, or none, UsageError for what is no amount: the hold stays then."""
        _amount(nano_usd)
        # a power cut may lose it: the hold is on the disk and counts for more
        with self._ledger(synchronous="NORMAL") as ledger:
            held = ledger.execute(
                "UPDATE spending SET spent_nano_usd = ? WHERE hold = ? AND spent_nano_usd IS NULL"
                " RETURNING held_nano_usd", (nano_usd, hold),
            ).fetchone()  # fmt: skip
            if held is None:
                raise DataError(f"hold {hold} of the budget {self._path} is not open")
        if nano_usd > held[0]:
            with self._connection() as connection:  # or for less
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def spent(self) -> Spent:
        """What counts by now."""
        with self._ledger() as ledger:
            day = self._day(ledger)
            return Spent(day, *self._sums(ledger, day))

    def _day(self, ledger: sqlite3.Connection) -> str:
        """Today in UTC, or the latest day that anything was spent on: it never runs backwards."""
        today = self._now().astimezone(UTC).date().isoformat()
        (latest,) = ledger.execute("SELECT MAX(day) FROM spending").fetchone()
        return max(today, latest or today)

    def _sums(self, ledger: sqlite3.Connection, day: str) -> tuple[int, int, int]:
        """What counts of the day and of the run, and what the day still holds."""
        asked = ((_OF_DAY, day), (_OF_RUN, self._run), (_HELD, day))
        of_day, of_run, held = (ledger.execute(sql, (name,)).fetchone()[0] for sql, name in asked)
        return of_day, of_run, held

    def _recognise(self, ledger: sqlite3.Connection) -> None:
        (ours,) = ledger.execute("PRAGMA application_id").fetchone()
        (tables,) = ledger.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and ours != _ID:
            raise DataError(
                f"{self._path} is a database of something else, no budget; name another file"
            )

    @contextmanager
    def _ledger(self, synchronous: str = "FULL") -> Iterator[sqlite3.Connection]:
        """One transaction that nobody else can be in; FULL: on the disk when it ends."""
        with self._connection() as ledger:
            ledger.execute(f"PRAGMA synchronous = {synchronous}")
            ledger.execute("BEGIN IMMEDIATE")
            try:
                yield ledger
                ledger.execute("COMMIT")
            except BaseException:
                if ledger.in_transaction:  # a full disk has ended it already
                    ledger.execute("ROLLBACK")
                raise

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """The one connection of this process; threads take turns."""
        try:
            with self._alone:
                if self._held_open is None:
                    opened = sqlite3.connect(
                        self._path, timeout=TIMEOUT_S, isolation_level=None, check_same_thread=False
                    )
                    self._file, self._held_open = _identity(self._path), opened
                elif self._file != _identity(self._path):
                    raise DataError(
                        f"the budget {self._path} was replaced while it was in use; start again"
                    )
                yield self._held_open
        except (sqlite3.Error, OSError) as error:
            raise DataError(
                f"the budget {self._path} cannot be used ({error}); see to the file and its disk,"
                " for a new one would forget what was spent today"
            ) from None

    def close(self) -> None:
        with self._alone:
            ledger, self._held_open = self._held_open, None
            if ledger is not None:
                ledger.close()


def _amount(nano_usd: int) -> None:
    if not 0 <= nano_usd < 2**63:
        raise UsageError(f"{nano_usd} nano-dollars are no amount that can be spent")


def _identity(path: Path) -> tuple[int, int]:
    """Which file it is: one that was deleted can still be written by whoever has it open."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino


def _log_ahead(connection: sqlite3.Connection) -> None:
    until = time.monotonic() + TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # Two processes that make one ledger: SQLite waits for any lock but this one.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
