"""Which rows may teach and which may judge: walk-forward and combinatorial purged splits.

Rows are numbers from 0 in order of time. `purge` is how many rows a label reaches into the future
(the longest a position is held): so many rows of training beside a test would know its outcome.
`embargo` is how many more rows are left out because neighbours resemble each other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.arrays import Floats, Ints
from workbench.domain import UsageError
from workbench.research.computable import NotComputable

MOST_SPLITS = 5_000


class Split(NamedTuple):
    """Rows that teach and rows that judge, each ascending."""

    train: Ints
    test: Ints


@dataclass(frozen=True, eq=False)
class Combinatorial:
    """Every choice of test groups, and the backtest paths that they make up.

    `groups`: the rows of each group. `tested`: the groups that each split tests. `paths` (paths x
    groups): the split that a path takes a group's rows from; no split gives one group twice.
    """

    groups: tuple[Ints, ...]
    splits: tuple[Split, ...]
    tested: tuple[tuple[int, ...], ...]
    paths: Ints

    def join(self, outcomes: Sequence[npt.ArrayLike]) -> Floats:
        """The paths of what each split gave on its test rows, in their order. Rows x paths."""
        given = [np.asarray(outcome, dtype=np.float64) for outcome in outcomes]
        if [len(outcome) for outcome in given] != [len(split.test) for split in self.splits]:
            raise UsageError(
                f"{len(self.splits)} splits were made; give the outcomes of each on its test rows"
            )
        joined = np.empty((sum(map(len, self.groups)), len(self.paths)))
        for path, taken in enumerate(self.paths):
            for rows, split in zip(self.groups, taken, strict=True):
                at = np.searchsorted(self.splits[split].test, rows)
                joined[rows, path] = given[split][at]
        return joined


def walk_forward(
    n_obs: int, train: int, test: int, purge: int = 0, embargo: int = 0, anchored: bool = False
) -> list[Split]:
    """Train on `train` rows, leave out `purge` + `embargo`, test on the next `test`, move on by
    `test`. `anchored`: every training begins at row 0 and grows.

    Rows at the end that fill no test are left over. NotComputable if not one split fits.
    """
    _whole(n_obs=n_obs, train=train, test=test)
    _whole(0, purge=purge, embargo=embargo)
    needs = train + purge + embargo + test
    if n_obs < needs:
        raise NotComputable("walk-forward", n_obs, needs, "rows")
    return [
        Split(
            np.arange(0 if anchored else first, first + train),
            np.arange(first + needs - test, first + needs),
        )
        for first in range(0, n_obs - needs + 1, test)
    ]


def cpcv(
    n_obs: int, n_groups: int, n_test_groups: int, purge: int = 0, embargo: int = 0
) -> Combinatorial:
    """Combinatorial purged cross-validation (Lopez de Prado 2018, ch. 12).

    C(N, k) splits and C(N, k) k / N paths over the same rows. Training loses `purge` rows before
    each test and `purge` + `embargo` after it. Groups differ by one row at most. Raises UsageError
    if that leaves a split nothing to train on, NotComputable with fewer rows than groups.
    """
    _whole(n_obs=n_obs, n_groups=n_groups, n_test_groups=n_test_groups)
    _whole(0, purge=purge, embargo=embargo)
    if not n_test_groups < n_groups:
        raise UsageError(f"{n_test_groups} of {n_groups} groups leave nothing to train on")
    if n_obs < n_groups:
        raise NotComputable("combinatorial cross-validation", n_obs, n_groups, "rows")
    count = math.comb(n_groups, n_test_groups)
    if count > MOST_SPLITS:
        raise UsageError(
            f"{n_test_groups} of {n_groups} groups are {count:,} splits; take fewer groups"
            f" (at most {MOST_SPLITS:,} splits)"
        )
    groups = tuple(np.array_split(np.arange(n_obs), n_groups))
    tested = tuple(itertools.combinations(range(n_groups), n_test_groups))
    splits = tuple(_purged(groups, chosen, purge, embargo) for chosen in tested)
    takes = [[s for s, chosen in enumerate(tested) if g in chosen] for g in range(n_groups)]
    return Combinatorial(groups, splits, tested, np.array(takes).T)


def split_by_hand(
    train: npt.ArrayLike, test: npt.ArrayLike, purge: int = 0, embargo: int = 0
) -> Split:
    """A split of one's own. Raises UsageError if training knows of the test: a row in both, or
    nearer to it than `purge` before or `purge` + `embargo` after."""
    _whole(0, purge=purge, embargo=embargo)
    split = Split(_rows(train, "train"), _rows(test, "test"))
    shared = np.intersect1d(*split)
    if len(shared):
        raise UsageError(
            f"train and test overlap: row {shared[0]} is in both ({len(shared)} rows are); what"
            " taught the choice cannot judge it"
        )
    close = np.intersect1d(split.train, _beside(split.test, purge, embargo))
    if len(close):
        raise UsageError(
            f"train comes too near to test: row {close[0]} lies within purge {purge} or embargo"
            f" {embargo} of it; leave {len(close)} rows out of train"
        )
    return split


def _purged(groups: Sequence[Ints], chosen: Sequence[int], purge: int, embargo: int) -> Split:
    test = np.concatenate([groups[g] for g in chosen])
    rest = np.concatenate([rows for g, rows in enumerate(groups) if g not in chosen])
    train = np.setdiff1d(rest, _beside(test, purge, embargo), assume_unique=True)
    if not len(train):
        raise UsageError(
            f"purge {purge} and embargo {embargo} leave nothing to train on beside test groups"
            f" {', '.join(map(str, chosen))}; take smaller ones or longer groups"
        )
    return Split(train, test)


def _beside(test: Ints, purge: int, embargo: int) -> Ints:
    """The test's rows and those too near to it."""
    ends = np.flatnonzero(np.diff(test) != 1)
    firsts, lasts = test[np.r_[0, ends + 1]], test[np.r_[ends, -1]]
    return np.unique(
        np.concatenate(
            [
                np.arange(first - purge, last + purge + embargo + 1)
                for first, last in zip(firsts, lasts, strict=True)
            ]
        )
    )


def _rows(rows: npt.ArrayLike, name: str) -> Ints:
    given = np.asarray(rows)
    if given.ndim != 1 or given.dtype.kind not in "iu" or not len(given) or (given < 0).any():
        raise UsageError(f"{name} is not a list of row numbers from 0")
    return np.unique(given).astype(np.int64)


def _whole(least: int = 1, /, **counts: int) -> None:
    for name, count in counts.items():
        if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < least:
            raise UsageError(f"{name} is {count!r}; it must be a whole number of at least {least}")
