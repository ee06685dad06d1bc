"""What the tests of a verdict read, and what each of them says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Floats
from workbench.ports import Progress
from workbench.research import scan
from workbench.research.choosing import WalkForward, walk_forward
from workbench.research.metrics import DAYS_A_YEAR, sharpes, to_returns, trades
from workbench.research.plan import Plan
from workbench.research.proposers import Set
from workbench.research.replay import Replay
from workbench.research.sweep import Sweep
from workbench.research.validation import Moments, effective_trials, sharpe_moments

PERMUTATIONS = 59  # the fewest of which three that do as well still leave 5 %
COPY = 0.999  # sets whose returns correlate so are one set, written twice


@dataclass(frozen=True)
class Finding:
    """One test. `figure` is None and `passed` None where it could not be computed or was not asked;
    `decides` is "reject" (failing it rejects), "trust" (it must be passed) or "" (told only)."""

    name: str
    figure: float | None
    threshold: str
    passed: bool | None
    sentence: str
    decides: str = "trust"


NOTHING_TO_KEEP = Finding("", None, "", None, "There is no Sharpe above 0 to keep.")


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the tests read: a sweep, the set that was chosen from it, and that set's run."""

    sweep: Sweep
    chosen: int
    seed: int = 0
    permutations: int = PERMUTATIONS
    threads: int = 1
    progress: Progress | None = field(default=None, repr=False)

    @property
    def plan(self) -> Plan:
        return self.sweep.plan

    @property
    def set(self) -> Set:
        return self.sweep.sets[self.chosen]

    @cached_property
    def returns(self) -> pd.Series[Any]:
        """Daily returns of the chosen set."""
        return self.sweep.returns[self.chosen]

    @cached_property
    def replay(self) -> Replay:
        return self.plan.replay(self.set)

    @cached_property
    def claims(self) -> Floats:
        return self.plan.claims(self.set)

    @cached_property
    def moments(self) -> Moments:
        return sharpe_moments(self.returns.to_numpy())

    @property
    def annual(self) -> float:
        """Annualised Sharpe ratio of the chosen set."""
        return self.moments.sr * math.sqrt(DAYS_A_YEAR)

    @cached_property
    def held_days(self) -> int:
        """The longest a position was held, in days, at most a twentieth of all."""
        closed = trades(self.replay.fills)
        if closed.empty:
            return 1
        longest = (closed["closed"] - closed["opened"]).max() / pd.Timedelta(days=1)
        return max(min(math.ceil(longest), len(self.returns) // 20), 1)

    @cached_property
    def walked(self) -> WalkForward:
        return walk_forward(self.sweep.returns, self.sweep.sets, self.held_days)

    @cached_property
    def independent(self) -> float:
        """How many of all trials on these days are different ones: those of this sweep by their
        returns, the others as redundant as these. Copies of a set say nothing of the others: a
        parameter without effect would hide what was tried before."""
        others = max(self.sweep.ledger.tried - self.sweep.tried, 0)
        here = effective_trials(self.sweep.returns)
        return here + others * here / effective_trials(self.sweep.returns, COPY)

    def rng(self, test: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, test])

    def run(self, claims: Floats) -> scan.Scanned:
        """Other claims on the terms of the chosen set."""
        return self.plan.scan(claims, *self.plan.terms(self.set))

    def sharpe(self, done: scan.Scanned) -> float:
        """Annualised, of a run on the plan's capital; -inf if nothing was traded."""
        return annual_sharpes(done.daily[None], self.plan.capital)[0]


def annual_sharpes(daily: Floats, capital: float) -> Floats:
    """Annualised Sharpe ratios of daily equities (sets, days); -inf where nothing was traded."""
    ratio = sharpes(to_returns(daily.copy(), capital)) * math.sqrt(DAYS_A_YEAR)
    return np.where(np.isfinite(ratio), ratio, -np.inf)
