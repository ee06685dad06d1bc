"""How much of a backtest may be luck: pure statistics, no clock, no drawing of random numbers.

A Sharpe ratio here is per period, never annualised; kurtosis is raw (3 for the normal law); the
variance of the trials' Sharpe ratios is in the same unit as the Sharpe ratio. A set of parameters
that has no figure (it never traded, so its returns are flat) counts and ranks worst: to drop it
would hide a trial. What the data cannot bear raises NotComputable and is never a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from workbench.arrays import Floats, Ints
from workbench.domain import UsageError
from workbench.research.computable import (
    NotComputable,
    is_flat,
    one_series,
    require_finite,
    trial_table,
)
from workbench.research.overfitting import Metric, Overfitting, cscv

__all__ = [
    "Moments", "NotComputable", "Overfitting", "Plateau", "adjust_pvalues", "cscv",
    "deflated_sharpe_ratio", "effective_trials", "expected_max_sharpe",
    "minimum_backtest_length_years", "minimum_track_record_length", "permutation_pvalue",
    "plateau", "probabilistic_sharpe_ratio", "probability_of_backtest_overfitting",
    "sharpe_moments",
]  # fmt: skip

EULER = float(np.euler_gamma)
LEAST_RETURNS = 30  # skew and kurtosis of fewer are noise
SAME_TRIAL = 0.7  # the desk's own rule for two positions that are one
_AT_ONCE = 500  # trials correlated at a time: bounds the memory


class Moments(NamedTuple):
    """Of one series of returns: Sharpe ratio per period (deviation with ddof 1), number of returns,
    skew and RAW kurtosis. `probabilistic_sharpe_ratio(*moments)`."""

    sr: float
    n: int
    skew: float
    kurtosis: float


class Plateau(NamedTuple):
    """What lies around a chosen set: median metric of its neighbours over its own (below 0.5: a
    peak that nothing supports; -inf if half of them have no metric), share of them above 0."""

    ratio: float
    share_above: float
    neighbours: int


# --- one Sharpe ratio ----------------------------------------------------------------------------


def sharpe_moments(returns: npt.ArrayLike) -> Moments:
    """The moments of a series of simple returns. NotComputable below 30 of them or if all equal."""
    values = one_series(returns, "Sharpe ratio")
    if len(values) < LEAST_RETURNS:
        raise NotComputable("Sharpe ratio", len(values), LEAST_RETURNS, "returns")
    if is_flat(values[:, None])[0]:
        raise NotComputable("Sharpe ratio", 1, 2, "different returns")
    return Moments(
        float(values.mean() / values.std(ddof=1)),
        len(values),
        float(stats.skew(values)),
        float(stats.kurtosis(values, fisher=False)),
    )


def probabilistic_sharpe_ratio(
    sr: float, n: int, skew: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0
) -> float:
    """Probability that the true Sharpe ratio is above `benchmark`, given `sr` over `n` periods.

    Bailey & Lopez de Prado (2012). Raises UsageError for moments that no series can have,
    NotComputable below 2 periods.
    """
    require_finite(sr=sr, n=n, skew=skew, kurtosis=kurtosis, benchmark=benchmark)
    if n < 2:
        raise NotComputable("probabilistic Sharpe ratio", math.floor(n), 2)
    spread = math.sqrt(_sharpe_variance(sr, skew, kurtosis))
    return float(stats.norm.cdf((sr - benchmark) * math.sqrt(n - 1) / spread))


def minimum_track_record_length(
    sr: float,
    benchmark: float = 0.0,
    skew: float = 0.0,
    kurtosis: float = 3.0,
    alpha: float = 0.05,
) -> float:
    """Periods after which `sr` would be above `benchmark` with confidence 1 - alpha.

    Infinite if `sr` is not above it: no record is long enough. Bailey & Lopez de Prado (2012).
    """
    require_finite(sr=sr, benchmark=benchmark, skew=skew, kurtosis=kurtosis, alpha=alpha)
    if not 0.0 < alpha < 0.5:
        raise UsageError(f"alpha is {alpha}; it must lie between 0 and 0.5, as 0.05 does")
    variance = _sharpe_variance(sr, skew, kurtosis)
    if sr <= benchmark:
        return math.inf
    return 1.0 + variance * float(stats.norm.isf(alpha) / (sr - benchmark)) ** 2


def _sharpe_variance(sr: float, skew: float, kurtosis: float) -> float:
    """Variance of a Sharpe ratio's estimate, times n - 1."""
    variance = 1.0 - skew * sr + (kurtosis - 1.0) / 4.0 * sr**2
    if not variance > 0.0:
        raise UsageError(
            f"no series has skew {skew} and kurtosis {kurtosis} (raw, 3 for the normal law) at a"
            f" Sharpe ratio of {sr}: kurtosis is at least 1 + skew^2"
        )
    return variance


# --- the best of many ----------------------------------------------------------------------------


def expected_max_sharpe(n_trials: float, variance: float) -> float:
    """Sharpe ratio that the best of `n_trials` without any edge is expected to show.

    `variance` is that of the trials' Sharpe ratios. 0 for one trial; `n_trials` need not be whole.
    Bailey & Lopez de Prado (2014).
    """
    require_finite(n_trials=n_trials, variance=variance)
    if n_trials < 1:
        raise UsageError(f"n_trials is {n_trials}; at least one trial was made")
    if variance < 0:
        raise UsageError(f"the variance of the trials' Sharpe ratios is {variance}, below 0")
    if n_trials == 1:
        return 0.0
    first, second = stats.norm.isf([1.0 / n_trials, 1.0 / (n_trials * math.e)])
    # the approximation falls below 0 where the number of trials nears 1
    return math.sqrt(variance) * max(float((1.0 - EULER) * first + EULER * second), 0.0)


def deflated_sharpe_ratio(
    sr: float,
    n: int,
    n_trials: float,
    variance: float,
    skew: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Probability that the true Sharpe ratio is above what the best of `n_trials` shows by luck.

    Bailey & Lopez de Prado (2014). Raises what its two parts raise.
    """
    luck = expected_max_sharpe(n_trials, variance)
    return probabilistic_sharpe_ratio(sr, n, skew, kurtosis, luck)


def minimum_backtest_length_years(n_trials: float, target_sharpe: float = 1.0) -> float:
    """Years of data below which the best of `n_trials` without an edge is expected to show an
    annual Sharpe ratio of `target_sharpe`. Bailey, Borwein, Lopez de Prado & Zhu (2014)."""
    require_finite(target_sharpe=target_sharpe)
    if target_sharpe <= 0:
        raise UsageError(f"target_sharpe is {target_sharpe}; it must be above 0")
    return (expected_max_sharpe(n_trials, 1.0) / target_sharpe) ** 2


def effective_trials(returns: npt.ArrayLike | pd.DataFrame, same: float = SAME_TRIAL) -> float:
    """How many of the trials (columns of a T x N table) are different ones.

    A trial counts unless its returns correlate by `same` or more with those of one that was counted
    before it: Hartigan's leader clustering (1975, ch. 3), in the order of the columns. All flat
    columns together are one trial. k blocks of near-copies give k, independent columns N, and one
    large block does not hide the small ones, as it does in a measure made from eigenvalues. No
    number of clusters is guessed and nothing is drawn. Time grows with N x the count, memory with
    N: at most 500 x 500 correlations are held at once. NotComputable below 30 rows.
    """
    if not 0.0 < same < 1.0:
        raise UsageError(f"same is {same}; a correlation between 0 and 1 is asked for")
    values = trial_table(returns, "effective number of trials")
    if len(values) < LEAST_RETURNS:
        raise NotComputable("effective number of trials", len(values), LEAST_RETURNS, "rows")
    flat = is_flat(values)
    unit = np.ascontiguousarray(values.T[~flat])
    unit -= unit.mean(axis=1, keepdims=True)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    leaders: list[Floats] = []
    for start in range(0, len(unit), _AT_ONCE):
        some = unit[start : start + _AT_ONCE]
        near = np.zeros(len(some), dtype=bool)
        for leading in leaders:
            near |= (some @ leading.T >= same).any(axis=1)
        left = some[~near]
        leaders.append(left[_leading(left @ left.T, same)])
    return float(sum(map(len, leaders)) + flat.any())


def _leading(correlation: Floats, same: float) -> list[int]:
    """The rows that lead: each that is not near to one before it that does."""
    left, leads = np.ones(len(correlation), dtype=bool), []
    for row in range(len(correlation)):
        if left[row]:
            leads.append(row)
            left &= correlation[row] < same
    return leads


# --- did the choice overfit? ---------------------------------------------------------------------


def probability_of_backtest_overfitting(
    pnl: npt.ArrayLike | pd.DataFrame, n_blocks: int = 16, metric: Metric = "sharpe"
) -> float:
    """Probability that the set chosen in-sample is no better than the median out of it: `cscv`."""
    return cscv(pnl, n_blocks, metric).pbo


# --- around a choice, and many tests at once -----------------------------------------------------


def plateau(frame: pd.DataFrame, parameters: Sequence[str], metric: str, chosen: object) -> Plateau:
    """How the neighbours of the set `chosen` (its row's label) did, one step along one parameter.

    A step is to the next of the values in the frame (numbers ascending, others in their order). A
    corner has fewer neighbours, a combination that was not tried is none. One without a metric is
    not above 0 and the worst. NotComputable without a neighbour or if the chosen metric is not
    above 0.
    """
    unknown = [name for name in (*parameters, metric) if name not in frame.columns]
    if unknown or chosen not in frame.index:
        what = f"column {unknown[0]!r}" if unknown else f"set {chosen!r}"
        raise UsageError(f"the frame has no {what}")
    codes = np.stack([_codes(frame[name]) for name in parameters], axis=1)
    at = frame.index.get_loc(chosen)
    near = np.abs(codes - codes[at]).sum(axis=1) == 1
    values = frame[metric].to_numpy(dtype=np.float64)
    around, own = np.where(np.isfinite(values), values, -np.inf)[near], float(values[at])
    if not len(around):
        raise NotComputable("plateau", 0, 1, "neighbours")
    if not (math.isfinite(own) and own > 0):
        raise NotComputable("plateau", 0, 1, "chosen sets with a metric above 0")
    worse, better = np.sort(around)[[(len(around) - 1) // 2, len(around) // 2]]
    return Plateau(float((worse + better) / 2.0 / own), float((around > 0).mean()), len(around))


def _codes(values: pd.Series[Any]) -> Ints:
    """The place of each value among the values there are."""
    ordered = pd.api.types.is_numeric_dtype(values)
    return pd.factorize(values, sort=ordered, use_na_sentinel=False)[0].astype(np.int64)


def permutation_pvalue(observed: float, permuted: npt.ArrayLike) -> float:
    """(1 + how many permuted worlds did as well) / (1 + how many there were).

    A world without a figure (NaN) did worse. Raises UsageError if the observed one has none.
    """
    require_finite(observed=observed)
    worlds = np.asarray(permuted, dtype=np.float64).ravel()
    if not len(worlds):
        raise NotComputable("permutation test", 0, 1, "permuted worlds")
    return float((1 + (worlds >= observed).sum()) / (1 + len(worlds)))


def adjust_pvalues(p: npt.ArrayLike, method: Literal["holm", "bh"] = "holm") -> Floats:
    """P-values of tests made together: Holm (any false alarm) or Benjamini-Hochberg (their share).

    In the order given. Raises UsageError for a p-value outside 0..1.
    """
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415  slow to import

    if method not in ("holm", "bh"):
        raise UsageError(f"method is {method!r}; it is holm or bh")
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not ((values >= 0) & (values <= 1)).all():
        raise UsageError(f"p-values are a list of numbers from 0 to 1, not {p!r}")
    return multipletests(values, method="holm" if method == "holm" else "fdr_bh")[1]
