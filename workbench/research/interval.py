"""How far a sum over trades may be luck: an interval from resampling whole UTC days.

Trades of one day are not independent (coins move together, one news item moves them all), so days
are drawn with replacement and not trades. What spills from one day into the next is not seen: where
positions are held for days, the interval is too narrow.
"""

from __future__ import annotations

import math

import numpy as np

from workbench.arrays import Floats, Ints

LEAST_DAYS = 10  # a percentile of fewer blocks says little but looks like a number


def sum_interval(
    values: Floats, days: Ints, seed: int, level: float = 0.95, resamples: int = 5_000
) -> tuple[float, float]:
    """Percentile bootstrap interval of the sum of `values`, by blocks of equal `days`.

    Equal days and seed draw the same resamples, so that two judges of the same cases are compared
    on the same luck. (NaN, NaN) with values of fewer than 10 days.
    """
    _, block = np.unique(days, return_inverse=True)
    daily = np.bincount(block, weights=values) if len(block) else np.empty(0)
    n = len(daily)
    if n < LEAST_DAYS:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1.0 / n), size=resamples)  # how often each day
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(drawn @ daily, [tail, 100.0 - tail])
    return float(low), float(high)
