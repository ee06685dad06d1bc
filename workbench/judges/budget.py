"""What may be spent on models: by the UTC day and by the run, held before a call, settled after it.

A ledger in one SQLite file, shared by processes and threads. A hold counts in full until it is
settled, so that concurrent calls cannot pass a cap together, and that of a process which died
counts for ever: what it spent is not known. A clock that is set back finds the later day's money
spent. Whole nano-dollars; nothing is rounded in anybody's favour.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from workbench.errors import DataError, UsageError

TIMEOUT_S = 5.0
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS spending (hold INTEGER PRIMARY KEY AUTOINCREMENT, day TEXT NOT"
    " NULL, run TEXT NOT NULL, what TEXT NOT NULL, at TEXT NOT NULL, held_nano_usd INTEGER NOT"
    " NULL, spent_nano_usd INTEGER)",
    "CREATE INDEX IF NOT EXISTS spending_day ON spending (day)",
    "CREATE INDEX IF NOT EXISTS spending_run ON spending (run)",
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

    @classmethod
    def open(
        cls, path: Path, usd_per_day: float, usd_per_run: float, run: str,
        now: Callable[[], datetime],
    ) -> Self:  # fmt: skip
        """Raises UsageError for a cap that is none, DataError for a file that is no ledger."""
        for name, cap in (("usd_per_day", usd_per_day), ("usd_per_run", usd_per_run)):
            if not (math.isfinite(cap) and cap >= 0.0):
                raise UsageError(f"{name} is {cap:g}; it must be 0 or more")
        caps = [math.floor(round(cap * 1e9, 3)) for cap in (usd_per_day, usd_per_run)]
        budget = cls(path, caps[0], caps[1], run, now)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"the budget {path} cannot be made ({error.strerror})") from None
        with budget._ledger() as ledger:
            for statement in _SCHEMA:
                ledger.execute(statement)
        return budget

    def reserve(self, nano_usd: int, what: str) -> int | None:
        """A hold on so much, None if it would pass the day's cap or the run's. Raises DataError if
        the ledger cannot be written."""
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
        settled already, or none."""
        with self._ledger() as ledger:
            done = ledger.execute(
                "UPDATE spending SET spent_nano_usd = ? WHERE hold = ? AND spent_nano_usd IS NULL",
                (nano_usd, hold),
            )
            if done.rowcount != 1:
                raise DataError(f"hold {hold} of the budget {self._path} is not open")

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

    @contextmanager
    def _ledger(self) -> Iterator[sqlite3.Connection]:
        """One transaction that nobody else can be in, on the disk when it ends."""
        try:
            with self._alone:
                ledger = self._connected()
                ledger.execute("BEGIN IMMEDIATE")
                try:
                    yield ledger
                except BaseException:
                    ledger.execute("ROLLBACK")
                    raise
                ledger.execute("COMMIT")
        except sqlite3.Error as error:
            raise DataError(
                f"the budget {self._path} cannot be used ({error}); check the disk, or move it away"
            ) from None

    def _connected(self) -> sqlite3.Connection:
        """The one connection of this process; threads take turns."""
        if self._held_open is None:
            ledger = sqlite3.connect(
                self._path, timeout=TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            ledger.execute("PRAGMA journal_mode = WAL")
            ledger.execute("PRAGMA synchronous = FULL")
            self._held_open = ledger
        return self._held_open

    def close(self) -> None:
        with self._alone:
            ledger, self._held_open = self._held_open, None
            if ledger is not None:
                ledger.close()
