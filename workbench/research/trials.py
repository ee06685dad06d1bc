"""The trials ledger: every set of parameters ever run on a data set is a row of the journal.

The best of many looks good by luck, so what a figure is worth depends on how many were tried. Rows
are only ever added; a set run again on the same data under the same code is not a new trial. Data
counts as the same where it shows the same days of the same market, whatever became of its bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from workbench.arrays import Floats
from workbench.domain import Panel, underlying
from workbench.journal import Journal
from workbench.research.fingerprint import digest

DATA, TRIAL = "data_set", "trial"
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class DataSet:
    """Bars that somebody looked at: from the first that may trade to the last one shown.

    `hash` covers every number a strategy could read, the history before `first` included.
    """

    hash: str
    source: str
    symbols: tuple[str, ...]
    timeframe_s: int
    first: str
    last: str

    @classmethod
    def of(cls, panel: Panel, first: int) -> Self:
        context = [(name, panel.context[name].to_numpy()) for name in sorted(panel.context)]
        parts = [part for pair in context for part in pair]
        frames = (panel.open, panel.high, panel.low, panel.close, panel.volume)
        told = digest(
            list(panel.symbols), str(panel.timeframe), panel.index.asi8[[0, -1]], first,
            *(frame.to_numpy() for frame in frames), *parts,
        )  # fmt: skip
        return cls(
            told, panel.source, panel.symbols, int(panel.timeframe.total_seconds()),
            str(panel.index[first]), str(panel.index[-1]),
        )  # fmt: skip

    def shares(self, other: DataSet) -> bool:
        """Do both show the same days of a market? A made-up world is nobody's market but its own,
        and what another venue quotes for the same coins is no new evidence."""
        if self.source.startswith("SYNTHETIC") or other.source.startswith("SYNTHETIC"):
            same = self.source == other.source
        else:
            same = bool({*map(_coin, self.symbols)} & {*map(_coin, other.symbols)})
        return same and self.overlaps(other.first, other.last)

    def overlaps(self, first: str, last: str) -> bool:
        """Does it show a bar that opens between the two?"""
        mine = pd.Timestamp(self.first), pd.Timestamp(self.last)
        return mine[0] <= pd.Timestamp(last) and pd.Timestamp(first) <= mine[1]


def _coin(symbol: str) -> str:
    """BTC/USDT, BTC/USD and BTC/USDT~carry -> BTC: it moves the same in every money."""
    return underlying(symbol).partition("/")[0]


@dataclass(frozen=True)
class Trial:
    """One set, run once. `sharpe` is per day, NaN if it never traded; `key` names what was run on
    which data, `run` what was run whatever the data."""

    key: str
    run: str
    data: str
    strategy: str
    parameters: Mapping[str, Any]
    sharpe: float
    days: int
    trades: int


@dataclass(frozen=True, eq=False)
class Ledger:
    """The trials on a data set, and on every other that shows the same days of its market."""

    data: DataSet
    trials: tuple[Trial, ...]
    others: tuple[DataSet, ...]

    @property
    def tried(self) -> int:
        """How many sets were tried on these days, by whom and on which version ever."""
        return len(self.trials)

    def sharpes_of(self, strategy: str) -> Floats:
        """Per day, of every trial of one strategy; one that never traded earned 0."""
        told = np.array([trial.sharpe for trial in self.trials if trial.strategy == strategy])
        return np.where(np.isfinite(told), told, 0.0)

    @cached_property
    def changed(self) -> int:
        """How many were run on these days when their data was another."""
        return sum(trial.data != self.data.hash for trial in self.trials)

    def frame(self) -> pd.DataFrame:
        """A row a trial, in the order they were run."""
        rows = [{**asdict(t), "parameters": dict(t.parameters)} for t in self.trials]
        return pd.DataFrame(rows, columns=list(Trial.__dataclass_fields__))

    def __repr__(self) -> str:
        years = f"{self.data.first[:10]} to {self.data.last[:10]}"
        before = f", {self.changed} of them on other bars of these days" if self.changed else ""
        return f"Ledger({self.tried:,} sets tried on {years}{before}; {self.data.source})"


def read_ledger(journal: Path, data: DataSet) -> Ledger:
    """Every trial in the journal on this data set's days. Empty without a journal.

    The same run on two versions of one data set, a bar longer or a candle corrected, is one trial,
    that on this version if there is one: whoever validates anew each day tries nothing new.
    """
    trials, sets = read_trials(journal)
    near = {h: other for h, other in sets.items() if h == data.hash or other.shares(data)}
    runs: dict[object, Trial] = {}
    for trial in trials.values():
        shown = near.get(trial.data)
        if shown is None:
            continue
        of = trial.run, shown.source, shown.symbols, shown.timeframe_s, shown.first
        if of not in runs or trial.data == data.hash:
            runs[of] = trial
    return Ledger(
        data, tuple(runs.values()), tuple(other for h, other in near.items() if h != data.hash)
    )


def read_trials(journal: Path) -> tuple[dict[str, Trial], dict[str, DataSet]]:
    """Trials by key and data sets by hash, in the order they were written."""
    if not journal.exists():
        return {}, {}
    with Journal.open(journal, readonly=True) as rows:
        sets = [DataSet(**{**r.body, "symbols": tuple(r.body["symbols"])}) for r in rows.rows(DATA)]
        trials = [
            Trial(
                **{**r.body, "sharpe": math.nan if r.body["sharpe"] is None else r.body["sharpe"]}
            )
            for r in rows.rows(TRIAL)
        ]
    return {trial.key: trial for trial in trials}, {each.hash: each for each in sets}


@dataclass(frozen=True, eq=False)
class Writer:
    """Adds the trials on one data set to a journal, each once.

    `known` are the trials and data sets that were there when it was made; another process may add
    the same ones meanwhile, and a key counts once however often it is written.
    """

    journal: Path
    data: DataSet
    known: set[str]
    now: Clock

    @classmethod
    def of(cls, journal: Path, data: DataSet, now: Clock = utc_now) -> Self:
        trials, sets = read_trials(journal)
        return cls(journal, data, {*trials, *sets}, now)

    def add(self, trials: Sequence[Trial]) -> None:
        """Write those that are not there yet, in one transaction."""
        fresh = {trial.key: trial for trial in trials if trial.key not in self.known}
        if not fresh:
            return
        at = self.now()
        rows: list[tuple[str, object, datetime]] = []
        if self.data.hash not in self.known:
            rows.append((DATA, asdict(self.data), at))
        for trial in fresh.values():
            sharpe = trial.sharpe if math.isfinite(trial.sharpe) else None
            rows.append((TRIAL, {**asdict(trial), "sharpe": sharpe}, at))
        with Journal.open(self.journal) as kept:
            kept.append_many(rows)
        self.known.update(fresh, [self.data.hash])
