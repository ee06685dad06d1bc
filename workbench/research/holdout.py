"""The sealed days: the last of the bars, which no sweep sees and which are looked at once.

The first look is a row of the journal. After it nothing chosen anew can be proven on these days,
for whoever chooses has seen them; the same choice is told again what it made, from the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.journal import Journal
from workbench.research.scan import FINAL, TRADES, Scanned
from workbench.research.trials import Clock, DataSet, read_trials, utc_now

OPENED = "holdout"


@dataclass(frozen=True)
class Opened:
    """A look at the sealed days: whose, of what, and what it made there."""

    key: str
    strategy: str
    parameters: Mapping[str, Any]
    symbols: tuple[str, ...]
    source: str
    first: str
    last: str
    trades: int
    total_return: float
    at: str = ""

    @classmethod
    def of(
        cls, key: str, strategy: str, parameters: Mapping[str, Any], data: DataSet,
        done: Scanned, capital: float,
    ) -> Opened:  # fmt: skip
        return cls(
            key, strategy, dict(parameters), data.symbols, data.source, data.first, data.last,
            int(done.figures[TRADES]), float(done.figures[FINAL]) / capital - 1.0,
        )  # fmt: skip


def looks_at(journal: Path, strategy: str, data: DataSet) -> list[Opened]:
    """Every look of this strategy at days of this market that overlap with these."""
    if not journal.exists():
        return []
    with Journal.open(journal, readonly=True) as rows:
        told = [
            Opened(**{**row.body, "symbols": tuple(row.body["symbols"]), "at": row.at})
            for row in rows.rows(OPENED)
        ]
    return [look for look in told if look.strategy == strategy and data.shares(_shown(look))]


def _shown(look: Opened) -> DataSet:
    return DataSet("", look.source, look.symbols, 0, look.first, look.last)


def tried_on(journal: Path, strategy: str, data: DataSet) -> int:
    """How many sets of this strategy were tried on days that overlap with these."""
    trials, sets = read_trials(journal)
    seen = {h for h, other in sets.items() if data.shares(other)}
    return sum(t.strategy == strategy and t.data in seen for t in trials.values())


def write_look(journal: Path, look: Opened, now: Clock = utc_now) -> Opened:
    """Keep it; gives it back with its time."""
    body = {name: value for name, value in vars(look).items() if name != "at"}
    with Journal.open(journal) as rows:
        row = rows.append(OPENED, body, now())
    return Opened(**{**body, "at": row.at})


def day(text: str) -> str:
    return f"{pd.Timestamp(text):%Y-%m-%d}"
