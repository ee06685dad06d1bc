"""What the panel knows of a desk at one moment, read on from what it knew a moment before.

Everything comes from the journal, the heartbeat and the HALT file. A long journal is read once;
after that a look costs what was added. No widget and no clock here: whoever looks says when.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench import arrays as a
from workbench.errors import WorkbenchError
from workbench.journal import Journal
from workbench.research.history import why_no_trade
from workbench.research.metrics import TRADE_COLUMNS, is_closed, trades, trips
from workbench.trading.control import Control, by_file, halt_file
from workbench.trading.engine import heartbeat_file, last_run
from workbench.trading.gates import PaperGate, paper_gate
from workbench.trading.lease import last_beat
from workbench.trading.record import ACCOUNTS, FILLS, SIGNALS, Record, read_record
from workbench.trading.status import Standing, standing_of

MOST_POINTS = 600  # of a line: more than that no phone shows
_EQUITY = ACCOUNTS.index("equity")


@dataclass(frozen=True, eq=False)
class Curve:
    """Equity and its drawdown, thinned: close times as text, and floats of the same length."""

    times: Sequence[str]
    equity: np.ndarray
    drawdown: np.ndarray


@dataclass(frozen=True, eq=False)
class Sight:
    """A desk as it is seen at `at`. `record` is None before the first run.

    `trouble`: why the journal could not be read just now; the rest is then what was known before.
    `begun` is the hash of the row that began the run, `held` the fills of trades still open.
    """

    at: datetime
    path: Path
    standing: Standing
    record: Record | None = None
    trades: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(TRADE_COLUMNS)))
    why: pd.DataFrame = field(default_factory=pd.DataFrame)
    trouble: str = ""
    begun: str = ""
    held: Sequence[tuple[Any, ...]] = ()

    @property
    def mode(self) -> str:
        """SYNTHETIC, REPLAY, PAPER or LIVE; "" before the first run."""
        return self.record.mode if self.record else self.standing.mode

    @property
    def synthetic(self) -> bool:
        return self.mode == "SYNTHETIC"

    @property
    def awaited(self) -> bool:
        """Is there an order that the running desk has not taken up yet?"""
        beat = self.standing.heartbeat
        lives = self.standing.lives and beat is not None
        return lives and beat.state != self.standing.control.state

    @cached_property
    def gate(self) -> PaperGate:
        return paper_gate(self.trades)

    @cached_property
    def equity(self) -> np.ndarray:
        """The equity at every close."""
        rows = self.record.accounts if self.record else ()
        return np.fromiter((row[_EQUITY] for row in rows), float, len(rows))

    @cached_property
    def drawdown(self) -> np.ndarray:
        """The equity over its peak so far, minus 1."""
        return self.equity / np.maximum.accumulate(self.equity) - 1.0

    @property
    def today(self) -> float:
        """The profit since the UTC day began."""
        account = self.record.book.account if self.record else np.zeros(a.ACCOUNT_CELLS)
        return float(account[a.EQUITY] - account[a.BASELINE])

    @property
    def deployed(self) -> float:
        """Open notional as a share of the equity."""
        account = self.record.book.account if self.record else np.ones(a.ACCOUNT_CELLS)
        return float(account[a.DEPLOYED] / account[a.EQUITY]) if account[a.EQUITY] > 0 else np.nan

    def curve(self) -> Curve:
        """At most MOST_POINTS stretches of bars: the last equity of each, the deepest drawdown."""
        n = len(self.equity)
        if self.record is None or n == 0:
            return Curve([], np.empty(0), np.empty(0))
        step = 1
        while n > step * MOST_POINTS:
            step *= 2  # so that points stay where they are while the run grows
        first = np.arange(0, n, step)
        last = np.minimum(first + step, n) - 1
        times = [self.record.accounts[k][0] for k in last.tolist()]
        return Curve(times, self.equity[last], np.minimum.reduceat(self.drawdown, first))


def see(path: Path, now: datetime, before: Sight | None = None) -> Sight:
    """How the desk of a journal looks now. What is wrong with its files is told as `trouble`."""
    try:
        if not path.exists():
            return Sight(now, path, _by_files(path, now, Control()))
        with Journal.open(path, readonly=True, timeout_s=1.0) as journal:
            return _read(journal, now, before)
    except WorkbenchError as said:
        standing = Standing(
            before.standing.control if before else Control(), None, None, False, False
        )
        with suppress(WorkbenchError):  # else it is the heartbeat that cannot be read
            standing = _by_files(path, now, standing.control)
        return replace(
            before or Sight(now, path, standing), at=now, standing=standing, trouble=str(said)
        )


def _read(journal: Journal, now: datetime, before: Sight | None) -> Sight:
    standing, run = standing_of(journal, now), last_run(journal)
    if run is None:
        return Sight(now, journal.path, standing)
    known = before.record if before and before.begun == run.hash else None
    record = known.read_on(journal) if known else read_record(journal)
    if before is None or known is None or record.began != known.began:
        before, known = Sight(now, journal.path, standing), None
    fills = record.fill_rows[len(known.fill_rows) if known else 0 :]
    votes = record.vote_rows[len(known.vote_rows) if known else 0 :]
    closed, held = _paired([*before.held, *fills]) if fills else (None, before.held)
    return Sight(
        now, journal.path, standing, record,
        trades=_joined(before.trades, closed), why=_counted(before.why, votes),
        begun=run.hash, held=held,
    )  # fmt: skip


def _paired(rows: Sequence[tuple[Any, ...]]) -> tuple[pd.DataFrame, list[tuple[Any, ...]]]:
    """The trades that these fills closed, and the fills of those still open."""
    fills = pd.DataFrame(list(rows), columns=list(FILLS))
    fills["time"] = pd.to_datetime(fills["time"], utc=True).dt.as_unit("us")
    held = [rows[k] for _, trip in trips(fills) if not is_closed(trip) for k in trip.index]
    return trades(fills), held


def _joined(known: pd.DataFrame, closed: pd.DataFrame | None) -> pd.DataFrame:
    if closed is None or not len(closed):
        return known
    if not len(known):
        return closed
    return pd.concat([known, closed]).sort_values(["opened", "symbol"], ignore_index=True)


def _counted(known: pd.DataFrame, votes: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    """`why_no_trade` of all votes, from that of the earlier ones and the new."""
    if not votes:
        return known
    new = why_no_trade(pd.DataFrame(list(votes), columns=list(SIGNALS)))
    new.index = new.index.set_levels(new.index.levels[0].astype(str), level=0)
    return known.add(new, fill_value=0).fillna(0).astype(int) if len(known) else new


def _by_files(path: Path, now: datetime, control: Control) -> Standing:
    """How a desk stands as far as it can be told without its journal."""
    beat = last_beat(heartbeat_file(path))
    return Standing(
        control=by_file(control, halt_file(path)), heartbeat=beat,
        age_s=None if beat is None else beat.age_s(now),
        lives=beat is not None and beat.lives(now), run=False,
    )  # fmt: skip
