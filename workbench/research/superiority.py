"""Is the best of many better than nothing, when all of them are looked at together?

The stationary bootstrap is arch's. What is done with its draws is written here, because its own
tests copy the whole table of trials at every draw: of 10,000 trials over 1,460 days they take 90
seconds and 1.4 GB, which a product of matrices does in seconds. The p-values are the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.arrays import Bools, Floats
from workbench.domain import UsageError
from workbench.research.computable import NotComputable, is_flat, one_series, trial_table

LEAST_PERIODS = 30
LEAST_VALUES = 10  # a quantile of fewer values says little but looks like a number
LEAST_BCA = 30  # below it the acceleration is estimated from too few
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_AT_ONCE = 100  # draws multiplied at a time: bounds the memory


@dataclass(frozen=True)
class Superiority:
    """P-values of "no trial is better than nothing": Hansen's lower, consistent and upper.

    The consistent one is the test's; the upper one is White's reality check. `best` is the name of
    the trial with the highest statistic, `tried` how many there were.
    """

    p_lower: float
    p_consistent: float
    p_upper: float
    best: Any
    tried: int
    periods: int
    block: int
    reps: int


@dataclass(frozen=True)
class MeanInterval:
    """A mean per observation and where it may lie; `method` is bca or percentile."""

    mean: float
    low: float
    high: float
    level: float
    method: str
    n: int
    block: int


@dataclass(frozen=True)
class Drawdowns:
    """Maximum drawdowns (fractions, 0 at best) of the same returns in other orders.

    `quantiles` by their share, from the worst on: at 0.05 is what one order in twenty falls below.
    """

    observed: float
    quantiles: Mapping[float, float]
    n: int
    block: int


def spa(
    returns: npt.ArrayLike | pd.DataFrame,
    seed: int,
    block: int | None = None,
    reps: int = 1_000,
    scaled: bool = False,
) -> Superiority:
    """Hansen's (2005) test of superior predictive ability over holding nothing.

    `returns` is periods x trials; `block` the mean length of a block (None: the cube root of the
    periods). `scaled` divides each trial by its own deviation, so that a wild one does not hide a
    steady one. A trial without a figure or with flat returns counts as one that gained nothing.
    Memory is 8 bytes x `reps` x trials beside the table. NotComputable below 30 periods.
    """
    values, block, means = _drawn(returns, seed, block, reps, scaled)
    mean = values.mean(axis=0)
    levels = {"lower": np.maximum(mean, 0.0), "consistent": _recentred(values, means)}
    p = {name: _share_above(means, level, mean.max()) for name, level in levels.items()}
    at = int(mean.argmax())
    return Superiority(
        p["lower"], p["consistent"], _share_above(means, mean, mean.max()),
        returns.columns[at] if isinstance(returns, pd.DataFrame) else at,
        values.shape[1], len(values), block, reps,
    )  # fmt: skip


def stepm(
    returns: npt.ArrayLike | pd.DataFrame,
    seed: int,
    size: float = 0.05,
    block: int | None = None,
    reps: int = 1_000,
    scaled: bool = False,
) -> tuple[Any, ...]:
    """Names (or numbers) of the trials that are better than nothing: Romano & Wolf (2005).

    The chance that any one of them is there by luck is `size`. Otherwise as `spa`.
    """
    if not 0.0 < size < 1.0:
        raise UsageError(f"size is {size}; it must lie between 0 and 1, as 0.05 does")
    values, _, means = _drawn(returns, seed, block, reps, scaled)
    mean, level = values.mean(axis=0), _recentred(values, means)
    left = np.ones(len(mean), dtype=bool)
    while left.any():
        best_by_luck = (means[:, left] - level[left]).max(axis=1)
        better = left & (mean > np.percentile(best_by_luck, 100.0 * (1.0 - size)))
        if not better.any():
            break
        left &= ~better
    names = returns.columns if isinstance(returns, pd.DataFrame) else range(len(mean))
    return tuple(itertools.compress(names, ~left))


def bootstrap_mean(
    values: npt.ArrayLike,
    seed: int,
    level: float = 0.95,
    reps: int = 5_000,
    block: int | None = None,
) -> MeanInterval:
    """Where the mean per observation may lie, by the stationary bootstrap.

    BCa, below 30 values percentile. NotComputable below 10 values or if all are equal.
    """
    from arch.bootstrap import StationaryBootstrap  # noqa: PLC0415  slow to import

    if not 0.0 < level < 1.0:
        raise UsageError(f"level is {level}; it must lie between 0 and 1, as 0.95 does")
    series, block = _resampled(values, "interval of the mean", block, reps)
    if is_flat(series[:, None])[0]:
        raise NotComputable("interval of the mean", 1, 2, "different values")
    method = "bca" if len(series) >= LEAST_BCA else "percentile"
    draws = StationaryBootstrap(block, series, seed=seed)
    low, high = draws.conf_int(np.mean, reps, method=method, size=level)[:, 0]
    mean = float(series.mean())
    return MeanInterval(mean, float(low), float(high), level, method, len(series), block)


def bootstrap_drawdown(
    returns: npt.ArrayLike, seed: int, reps: int = 1_000, block: int | None = None
) -> Drawdowns:
    """How deep the same simple returns, compounded, might have fallen in another order.

    NotComputable below 10 returns; UsageError for one below -1.
    """
    from arch.bootstrap import StationaryBootstrap  # noqa: PLC0415  slow to import

    series, block = _resampled(returns, "drawdowns", block, reps)
    if (series < -1.0).any():
        raise UsageError(f"drawdowns: a simple return is {series.min()}, below -1")
    depths = StationaryBootstrap(block, series, seed=seed).apply(_deepest, reps)
    quantiles = dict(zip(QUANTILES, np.quantile(depths, QUANTILES).tolist(), strict=True))
    return Drawdowns(_deepest(series), quantiles, len(series), block)


def block_length(n: int) -> int:
    """The cube root of the number of observations, rounded, at least 1."""
    return max(round(n ** (1.0 / 3.0)), 1)


def _deepest(returns: Floats) -> float:
    """Lowest equity over its running peak, minus 1; the first peak is the capital."""
    equity = np.cumprod(np.concatenate([[1.0], 1.0 + returns]))
    return float((equity / np.maximum.accumulate(equity)).min() - 1.0)


def _resampled(
    values: npt.ArrayLike, what: str, block: int | None, reps: int
) -> tuple[Floats, int]:
    series = one_series(values, what)
    if len(series) < LEAST_VALUES:
        raise NotComputable(what, len(series), LEAST_VALUES)
    return series, _checked(len(series), block, reps)


def _drawn(
    returns: npt.ArrayLike | pd.DataFrame, seed: int, block: int | None, reps: int, scaled: bool
) -> tuple[Floats, int, Floats]:
    """The table that is tested, the mean block, and the means of each draw (reps x trials)."""
    from arch.bootstrap import StationaryBootstrap  # noqa: PLC0415  slow to import

    values = trial_table(returns, "superiority")
    n = len(values)
    if n < LEAST_PERIODS:
        raise NotComputable("superiority", n, LEAST_PERIODS, "periods")
    if not values.shape[1]:
        raise NotComputable("superiority", 0, 1, "trials")
    block = _checked(n, block, reps)
    values = _even(values, is_flat(values), scaled)
    draws = StationaryBootstrap(block, np.arange(n), seed=seed).bootstrap(reps)
    means = np.empty((reps, values.shape[1]))
    for first in range(0, reps, _AT_ONCE):
        some = itertools.islice(draws, _AT_ONCE)
        often = np.stack([np.bincount(rows[0], minlength=n) for rows, _ in some])
        means[first : first + len(often)] = often.astype(np.float64) @ values / n
    return values, block, means


def _even(values: Floats, flat: Bools, scaled: bool) -> Floats:
    """Flat trials gain nothing; and each is in units of its own deviation, if asked for."""
    if scaled:
        return np.where(flat, 0.0, values / np.where(flat, 1.0, values.std(axis=0, ddof=1)))
    return np.where(flat, 0.0, values) if flat.any() else values


def _recentred(values: Floats, means: Floats) -> Floats:
    """Hansen's centre of each trial: its mean, or 0 if it is so bad that it plays no part."""
    mean, n = values.mean(axis=0), len(values)
    bound = -means.std(axis=0) * np.sqrt(2.0 * np.log(np.log(n)))
    return np.where(mean >= bound, mean, 0.0)


def _share_above(means: Floats, level: Floats, best: float) -> float:
    """Share of the draws whose best trial, by luck alone, does as well as the best there is."""
    return float(np.mean((means - level).max(axis=1) >= best))


def _checked(n: int, block: int | None, reps: int) -> int:
    block = block_length(n) if block is None else block
    if not 1 <= block <= n:
        raise UsageError(f"block is {block}; it must lie between 1 and the {n} observations")
    if reps < 100:
        raise UsageError(f"reps is {reps}; fewer than 100 draws say nothing")
    return block
