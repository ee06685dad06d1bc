"""Facts of the completed UTC days that the gate and the cost model read: rho, sigma, ADV.

One compiled function serves the replay (all days at once) and the live bar (the last 62 days), so
both see the same bytes. Sums are explicit loops in ascending order: a library's sum changes its
last bit with the memory layout. Which correlation is too much is decided outside, by `too_close`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import numpy as np
from numba import njit  # pyright: ignore[reportMissingTypeStubs,reportUnknownVariableType]

from workbench.arrays import Bools, Floats, Ints, rule, rules_fingerprint, usable
from workbench.domain import Limits

WINDOW_DAYS = 60
MIN_COMMON_ROWS = 45
HISTORY_DAYS = WINDOW_DAYS + 2  # 61 closes, and the day that is going on
FLAT = 1e-12  # returns that differ by no more have zero variance


class DailyFacts(NamedTuple):
    """Row d holds what is known once the days before `first_day + d` are complete.

    rho (days, symbols, symbols), NaN where there is no correlation; sigma, the ddof-1 deviation of
    daily log returns, and adv, the mean daily quote volume (days, symbols), 0 where unknown.
    """

    first_day: int
    rho: Floats
    sigma: Floats
    adv: Floats


@rule
def daily_bars(close: Floats, volume: Floats, days: Ints, last: Floats, turnover: Floats) -> None:
    """Last usable close and quote volume of each UTC day; a day without any stays NaN."""
    last[:] = np.nan
    turnover[:] = np.nan
    for t in range(close.shape[0]):
        d = days[t] - days[0]
        for i in range(close.shape[1]):
            if usable(close[t, i]):
                last[d, i] = close[t, i]
                if usable(volume[t, i]):
                    before = turnover[d, i]
                    traded = close[t, i] * volume[t, i]
                    turnover[d, i] = traded if math.isnan(before) else before + traded


@rule
def log_returns(last: Floats, returns: Floats) -> None:
    """Daily log returns; NaN on a day without a close and on the day after it."""
    returns[:] = np.nan
    for d in range(1, last.shape[0]):
        for i in range(last.shape[1]):
            returns[d, i] = math.log(last[d, i]) - math.log(last[d - 1, i])


@rule
def pearson(returns: Floats, first: int, after: int, i: int, j: int) -> float:
    """Correlation of two columns over their common rows in first..after-1, or NaN."""
    n = 0
    sum_x = 0.0
    sum_y = 0.0
    low_x = low_y = math.inf
    high_x = high_y = -math.inf
    for d in range(first, after):
        x = returns[d, i]
        y = returns[d, j]
        if not (math.isnan(x) or math.isnan(y)):
            n += 1
            sum_x += x
            sum_y += y
            low_x, high_x = min(low_x, x), max(high_x, x)
            low_y, high_y = min(low_y, y), max(high_y, y)
    if n < MIN_COMMON_ROWS or high_x - low_x <= FLAT or high_y - low_y <= FLAT:
        return math.nan
    mean_x = sum_x / n
    mean_y = sum_y / n
    xy = 0.0
    xx = 0.0
    yy = 0.0
    for d in range(first, after):
        x = returns[d, i] - mean_x
        y = returns[d, j] - mean_y
        if not (math.isnan(x) or math.isnan(y)):
            xy += x * y
            xx += x * x
            yy += y * y
    return max(-1.0, min(xy / math.sqrt(xx * yy), 1.0))


@rule
def deviation(returns: Floats, first: int, after: int, i: int) -> float:
    """ddof-1 standard deviation of a column's known rows in first..after-1; 0 below 2 of them."""
    n = 0
    total = 0.0
    for d in range(first, after):
        if not math.isnan(returns[d, i]):
            n += 1
            total += returns[d, i]
    if n < 2:
        return 0.0
    mean = total / n
    squares = 0.0
    for d in range(first, after):
        if not math.isnan(returns[d, i]):
            squares += (returns[d, i] - mean) * (returns[d, i] - mean)
    return math.sqrt(squares / (n - 1))


@rule
def mean_known(values: Floats, first: int, after: int, i: int) -> float:
    """Mean of a column's known rows in first..after-1; 0 without any."""
    n = 0
    total = 0.0
    for d in range(first, after):
        if not math.isnan(values[d, i]):
            n += 1
            total += values[d, i]
    if n == 0:
        return 0.0
    return total / n


_Kernel = Callable[[Floats, Floats, Ints, Floats, Floats, Floats, Floats, Floats, Floats], None]


@functools.cache
def _kernel(fingerprint: str) -> _Kernel:
    @njit(cache=True, nogil=True)
    def facts(
        close: Floats, volume: Floats, days: Ints,
        last: Floats, turnover: Floats, returns: Floats,
        rho: Floats, sigma: Floats, adv: Floats,
    ) -> None:  # fmt: skip
        _ = fingerprint  # a part of numba's cache key: a changed rule is a new kernel
        daily_bars(close, volume, days, last, turnover)
        log_returns(last, returns)
        for d in range(rho.shape[0]):
            first = max(d - WINDOW_DAYS, 0)
            for i in range(close.shape[1]):
                sigma[d, i] = deviation(returns, first, d, i)
                adv[d, i] = mean_known(turnover, first, d, i)
                rho[d, i, i] = 1.0
                for j in range(i):
                    rho[d, i, j] = pearson(returns, first, d, i, j)
                    rho[d, j, i] = rho[d, i, j]

    return cast(_Kernel, facts)


def daily_facts(close: Floats, volume: Floats, days: Ints) -> DailyFacts:
    """Facts for every day from the first bar's up to the day after the last bar's.

    close, volume: (bars, symbols); days: UTC day since 1970 in which each bar opens (bars,).
    """
    n = close.shape[1]
    span = int(days[-1] - days[0]) + 1 if len(days) else 0
    last, turnover, returns = (np.empty((span, n)) for _ in range(3))
    rho, sigma, adv = np.empty((span + 1, n, n)), np.zeros((span + 1, n)), np.zeros((span + 1, n))
    if span:
        _kernel(rules_fingerprint())(
            np.ascontiguousarray(close), np.ascontiguousarray(volume), days,
            last, turnover, returns, rho, sigma, adv,
        )  # fmt: skip
    return DailyFacts(int(days[0]) if span else 0, rho, sigma, adv)


def too_close(rho: Floats, limits: Limits) -> Bools:
    """Which pairs may not be held together, day by day. A missing correlation is too close.

    With `one_per_cluster` the answer is transitive: whole connected components. Shape as `rho`.
    """
    answer = ~(np.abs(rho) <= limits.max_correlation)
    if limits.one_per_cluster:
        for k in range(answer.shape[-1]):
            answer = answer | (answer[..., :, k, None] & answer[..., None, k, :])
    return answer


def clusters(rho: Floats, symbols: Sequence[str], max_correlation: float) -> list[list[str]]:
    """Connected components of |rho| > limit among the symbols; rho has shape (symbols, symbols)."""
    linked = too_close(rho, Limits(max_correlation=max_correlation, one_per_cluster=True))
    seen: dict[str, list[str]] = {}
    for i, symbol in enumerate(symbols):
        home = next((s for j, s in enumerate(symbols[:i]) if linked[i, j]), symbol)
        seen.setdefault(home, []).append(symbol)
    return list(seen.values())
