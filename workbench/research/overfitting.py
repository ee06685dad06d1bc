"""Did choosing the best of many sets of parameters overfit? Cross-validation of the choice.

It asks of the whole table of trials what a single backtest cannot say: would the set that looks
best on one half of the time have been better than the median on the other?
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from workbench.arrays import Bools, Floats, Ints
from workbench.domain import UsageError
from workbench.research.computable import NotComputable, is_flat, trial_table

MOST_BLOCKS = 20  # 184,756 partitions
_FLAT = 1e-10  # of a sum of squares; less is what its subtraction leaves of a float's last digits
_CELLS = 2_000_000  # at most so many numbers at once in an intermediate table
Metric = Literal["sharpe", "mean"]


@dataclass(frozen=True)
class Overfitting:
    """What the cross-validation of a choice came to.

    `pbo`: share of partitions in which the set chosen inside was no better than the median outside.
    `slope` of the chosen sets' metric outside on that inside (None if it was the same everywhere).
    `loss_probability`: share in which the chosen set lost outside, or had no metric there.
    `trimmed`: how many of the oldest rows were left out, so that all blocks are of one length.
    """

    pbo: float
    n_partitions: int
    slope: float | None
    loss_probability: float
    trimmed: int


def cscv(
    pnl: npt.ArrayLike | pd.DataFrame, n_blocks: int = 16, metric: Metric = "sharpe"
) -> Overfitting:
    """Combinatorially symmetric cross-validation of choosing the best column of a T x N table.

    Bailey, Borwein, Lopez de Prado & Zhu (2017). `pnl` is gain per period, rows in order of time.
    The rows are cut into `n_blocks` blocks of one length; if they do not divide, the OLDEST are
    left out. Every half of the blocks chooses, the other half judges. A column without a metric
    (flat in that half) ranks worst, equals share their middle rank; where nothing inside has a
    metric, the choice counts as overfitted and lost. Raises NotComputable below 2 rows a block or 2
    columns.
    """
    if n_blocks % 2 or not 2 <= n_blocks <= MOST_BLOCKS:
        raise UsageError(f"n_blocks is {n_blocks}; give an even number from 2 to {MOST_BLOCKS}")
    if metric not in ("sharpe", "mean"):
        raise UsageError(f"metric is {metric!r}; it is sharpe or mean")
    values = trial_table(pnl, "probability of overfitting", flatten=False)
    if len(values) < 2 * n_blocks:
        raise NotComputable("probability of overfitting", len(values), 2 * n_blocks, "rows")
    if values.shape[1] < 2:
        raise NotComputable("probability of overfitting", values.shape[1], 2, "columns")
    blocks = _Blocks.of(values, n_blocks)
    halves = [h for h in itertools.combinations(range(n_blocks), n_blocks // 2) if h[0] == 0]
    step = max(_CELLS // values.shape[1], 1)
    parts = [
        _judged(inside, outside)
        for start in range(0, len(halves), step)
        for inside, outside in blocks.both_ways(halves[start : start + step], metric)
    ]
    chosen, judged, overfitted = (np.concatenate(part) for part in zip(*parts, strict=True))
    if np.isneginf(chosen).all():
        raise NotComputable("probability of overfitting", 0, 1, "columns with a metric")
    return Overfitting(
        pbo=float(overfitted.mean()),
        n_partitions=len(overfitted),
        slope=_slope(chosen, judged),
        loss_probability=float((judged < 0).mean()),
        trimmed=len(values) % n_blocks,
    )


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Sums of each block (blocks x columns) of what lies off a column's mean, and of its square."""

    sums: Floats
    squares: Floats
    centre: Floats
    rows: int

    @classmethod
    def of(cls, values: Floats, n_blocks: int) -> _Blocks:
        rows = len(values) // n_blocks
        kept = values[len(values) - rows * n_blocks :]
        centre = kept.mean(axis=0)
        sums, squares = np.empty((2, n_blocks, values.shape[1]))
        for b in range(n_blocks):  # one block at a time: the whole table would be copied
            off = kept[b * rows : (b + 1) * rows] - centre
            sums[b], squares[b] = off.sum(axis=0), (off**2).sum(axis=0)
        return cls(sums, squares, centre, rows)

    def both_ways(
        self, halves: Sequence[tuple[int, ...]], metric: Metric
    ) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Metrics (halves x columns) of halves and of what is outside them, then the reverse."""
        inside = np.array(halves)
        member = np.zeros((len(inside), len(self.sums)), dtype=bool)
        np.put_along_axis(member, inside, True, axis=1)
        outside = np.nonzero(~member)[1].reshape(inside.shape)
        one, other = self._metric(inside, metric), self._metric(outside, metric)
        return (one, other), (other, one)

    def _metric(self, half: Ints, metric: Metric) -> Floats:
        n = self.rows * half.shape[1]
        # added up and not multiplied as matrices, so that equal columns have equal metrics
        total = sum(self.sums[half[:, b]] for b in range(half.shape[1]))
        mean = total / n + self.centre
        if metric == "mean":
            return np.where(np.isnan(mean), -np.inf, mean)
        square = sum(self.squares[half[:, b]] for b in range(half.shape[1]))
        spread = square - total**2 / n
        moves = spread > _FLAT * square
        deviation = np.sqrt(np.where(moves, spread, 1.0) / (n - 1))
        return np.where(moves, mean / deviation, -np.inf)


def _judged(inside: Floats, outside: Floats) -> tuple[Floats, Floats, Bools]:
    """Of each half: metric of its best column there and outside, and was that overfitting?"""
    best = inside.argmax(axis=1)[:, None]
    chosen = np.take_along_axis(inside, best, axis=1)
    judged = np.take_along_axis(outside, best, axis=1)
    below, upto = (outside < judged).sum(axis=1), (outside <= judged).sum(axis=1)
    # with rank r = (below + upto + 1) / 2 from 1 (worst): logit of r / (N + 1) is at most 0
    overfitted = below + upto <= outside.shape[1]
    nothing = np.isneginf(chosen[:, 0])
    return chosen[:, 0], np.where(nothing, -np.inf, judged[:, 0]), overfitted | nothing


def _slope(chosen: Floats, judged: Floats) -> float | None:
    both = np.isfinite(chosen) & np.isfinite(judged)
    inside, outside = chosen[both], judged[both]
    if len(inside) < 2 or is_flat(inside[:, None])[0]:
        return None
    return float(stats.linregress(inside, outside).slope)
