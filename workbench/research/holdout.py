"""The sealed days: the last of the bars, which no sweep sees and which are looked at once.

The first look is a row of the journal, written before anything is run, and what came of it another.
After it nothing chosen anew can be proven on these days, for whoever chooses has seen them; the
same choice is told again what it made, from the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.journal import Journal
from workbench.research.scan import FINAL, TRADES, Scanned
from workbench.research.trials import Clock, DataSet, Trial, read_trials, utc_now

OPENED, EARNED = "holdout", "holdout_result"
KEPT = ("key", "strategy", "parameters", "symbols", "source", "first", "last")


@dataclass(frozen=True)
class Opened:
    """A look at the sealed days: whose, of what, and what it made there (None where the run was
    broken off: the days have been seen all the same)."""

    key: str
    strategy: str
    parameters: Mapping[str, Any]
    symbols: tuple[str, ...]
    source: str
    first: str
    last: str
    at: str = ""
    trades: int | None = None
    total_return: float | None = None

    @classmethod
    def of(cls, key: str, strategy: str, parameters: Mapping[str, Any], data: DataSet) -> Opened:
        return cls(
            key, strategy, dict(parameters), data.symbols, data.source, data.first, data.last
        )


def looks_at(journal: Path, data: DataSet) -> list[Opened]:
    """Every look, by whomever, at days of this market that overlap with these."""
    if not journal.exists():
        return []
    with Journal.open(journal, readonly=True) as rows:
        made = {row.body["key"]: row.body for row in rows.rows(EARNED)}
        told = [
            Opened(**{
                **row.body, "symbols": tuple(row.body["symbols"]), "at": row.at,
                **made.get(row.body["key"], {}),
            })
            for row in rows.rows(OPENED)
        ]  # fmt: skip
    return [look for look in told if data.shares(_shown(look))]


def _shown(look: Opened) -> DataSet:
    return DataSet("", look.source, look.symbols, 0, look.first, look.last)


def tried_on(journal: Path, strategy: str, data: DataSet) -> int:
    """How many sets of this strategy, alone or within the desk, were tried on days that overlap
    with these."""
    trials, sets = read_trials(journal)
    seen = {h for h, other in sets.items() if data.shares(other)}
    return sum(t.data in seen and _of(t, strategy) for t in trials.values())


def _of(trial: Trial, strategy: str) -> bool:
    within = any(name.startswith(f"{strategy}.") for name in trial.parameters)
    return trial.strategy == strategy or within


def write_look(journal: Path, look: Opened, run: Callable[[], Scanned], capital: float,
               now: Clock = utc_now) -> Opened:  # fmt: skip
    """Run it and keep what it made; gives it back with its time. That the days are opened is kept
    first: nobody sees them without a row, whatever becomes of the run."""
    if not look.at:
        body = {name: getattr(look, name) for name in KEPT}
        with Journal.open(journal) as rows:
            look = replace(look, at=rows.append(OPENED, body, now()).at)
    done = run()
    trades, made = int(done.figures[TRADES]), float(done.figures[FINAL]) / capital - 1.0
    with Journal.open(journal) as rows:
        rows.append(EARNED, {"key": look.key, "trades": trades, "total_return": made}, now())
    return replace(look, trades=trades, total_return=made)


def day(text: str) -> str:
    return f"{pd.Timestamp(text):%Y-%m-%d}"
