"""Choosing on one part of the days and earning on another: what a choice of parameters is worth.

Reads the daily returns of all sets (days x sets) as a sweep gives them; nothing is run again. The
chosen set is that of the highest Sharpe, the first of equals; a set without one is never chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Floats, Ints
from workbench.research.computable import NotComputable
from workbench.research.metrics import FLAT, sharpe
from workbench.research.splits import cpcv
from workbench.research.splits import walk_forward as splits_of

LEAST_TRAIN, LEAST_TEST = 90, 20  # days
TRAIN_SHARE, TEST_SHARE = 1 / 3, 1 / 12
GROUPS, TEST_GROUPS = 10, 2


@dataclass(frozen=True, eq=False)
class Fold:
    """A set chosen on the days of `inside`, and what it then earned on those of `outside`."""

    chosen: Mapping[str, Any]
    inside: pd.Series[Any]
    outside: pd.Series[Any]


@dataclass(frozen=True, eq=False)
class WalkForward:
    """Folds in the order of time. `efficiency`: the Sharpe outside over the mean Sharpe of the
    chosen sets inside."""

    folds: tuple[Fold, ...]

    @cached_property
    def outside(self) -> pd.Series[Any]:
        """Daily returns out of sample, one fold after the other."""
        return pd.concat([fold.outside for fold in self.folds])

    @property
    def sharpe(self) -> float:
        """Annualised, out of sample; NaN if nothing was traded."""
        return sharpe(self.outside)

    @property
    def efficiency(self) -> float:
        inside = float(np.mean([sharpe(fold.inside) for fold in self.folds]))
        return self.sharpe / inside if inside > 0 else math.nan


def walk_forward(
    returns: pd.DataFrame, sets: Sequence[Mapping[str, Any]], purge: int = 0, anchored: bool = False
) -> WalkForward:
    """Choose on a third of the days, earn on the next twelfth, move on by it; `purge` days between
    the two, as many as a position may be held. NotComputable below 110 days."""
    days = len(returns)
    train = max(round(TRAIN_SHARE * days), LEAST_TRAIN)
    test = max(round(TEST_SHARE * days), LEAST_TEST)
    values, folds = returns.to_numpy(), []
    for rows in splits_of(days, train, test, purge, anchored=anchored):
        best = _best(values[rows.train])
        if best is None:  # nothing was traded: nothing is chosen, and nothing earned
            chosen, column = {}, pd.Series(0.0, returns.index)
        else:
            chosen, column = sets[best], returns.iloc[:, best]
        folds.append(Fold(chosen, column.iloc[rows.train], column.iloc[rows.test]))
    return WalkForward(tuple(folds))


def cross_validated(returns: pd.DataFrame, purge: int = 0, embargo: int = 0) -> Floats:
    """Annualised Sharpe ratios of the paths of combinatorial purged cross-validation, 10 groups of
    which 2 are tested: 9 paths. A path on which nothing was traded has NaN."""
    if len(returns) < GROUPS * LEAST_TEST:
        raise NotComputable("cross-validation", len(returns), GROUPS * LEAST_TEST, "days")
    values = returns.to_numpy()
    plan = cpcv(len(values), GROUPS, TEST_GROUPS, purge, embargo)
    outcomes = [_earned(values, split.train, split.test) for split in plan.splits]
    return np.array([sharpe(pd.Series(path)) for path in plan.join(outcomes).T])


def _earned(values: Floats, train: Ints, test: Ints) -> Floats:
    best = _best(values[train])
    return np.zeros(len(test)) if best is None else values[test, best]


def _best(values: Floats) -> int | None:
    """The column of the highest Sharpe; None if not one has any."""
    spread = values.std(axis=0, ddof=1)
    ratio = np.full(len(spread), -np.inf)
    np.divide(values.mean(axis=0), spread, out=ratio, where=spread > FLAT)
    best = int(ratio.argmax())
    return None if ratio[best] == -np.inf else best
