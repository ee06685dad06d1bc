"""The tear sheet: about forty figures of an equity curve and its trades.

A year has 365 days, a day ends at 00:00 UTC and returns are simple. The figures of days come from
the equity at each day's end, so a drawdown inside a day is not in them (`metrics.summary` has the
one bar by bar); those of trades from closed trades, net of costs, as shares of the entry notional.
What cannot be computed is NaN and says why. Without a riskless rate: cash earns nothing here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from workbench.domain import UsageError
from workbench.research.metrics import (
    DAYS_A_YEAR,
    FLAT,
    Result,
    daily_returns,
    is_closed,
    max_drawdown,
    sharpe,
    summary,
    trades,
    trips,
)

Returns = pd.Series
TAIL = 0.05
DRAWDOWN_COLUMNS = ("peak", "trough", "recovered", "depth", "days")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, eq=False, repr=False)
class TearSheet:
    """A run's figures. `equity` is by bar, `returns` by UTC day, `benchmark` by day or None.

    `figures` has a row a figure, by name: `value`, `unit` ("share", "ratio", "count", "days",
    "hours", "money"), `n` (days or trades it was computed from) and `says`, the reason where the
    value is NaN, else "". `drawdowns` has a row an episode, the deepest first: the day of the peak,
    of the trough and of the recovery (NaT: not yet), depth and days from peak to recovery or end.
    `months` holds the returns of years x months, with "year" last.
    """

    source: str
    synthetic: bool
    capital: float
    equity: pd.Series[Any]
    returns: pd.Series[Any]
    figures: pd.DataFrame
    drawdowns: pd.DataFrame
    months: pd.DataFrame
    benchmark: pd.Series[Any] | None = None

    def __getitem__(self, name: str) -> float:
        """One figure by its name."""
        return float(self.figures.at[name, "value"])

    def __repr__(self) -> str:
        told = f"{len(self.returns)} days, {self['trades']:.0f} trades"
        return f"<TearSheet of {self.source or 'a run'}: {told}>"


class Figure(NamedTuple):
    """One row: `needs` is the least n that it can be computed from, `lacking` what is missing if it
    is no finite number although there are enough."""

    name: str
    unit: str
    value: float
    n: int
    needs: int
    lacking: str


def tear_sheet(run: Result, benchmark: pd.Series[Any] | None = None) -> TearSheet:
    """The figures of a replay or a record; `benchmark` are prices on the run's bars, held all along
    (`run.panel.close["BTC/USDT"]`).

    Raises UsageError for a run without bars or a benchmark without a price on them.
    """
    if not len(run.equity):
        raise UsageError("the run has no bars; there is nothing to make a tear sheet of")
    returns = daily_returns(run.equity.resample("1D").last().ffill(), run.capital)
    held = None if benchmark is None else _held_returns(benchmark, run.equity.index)
    rows = [*_of_days(returns), *_of_trades(run, returns)]
    if held is not None:
        rows += _against(returns, held)
    return TearSheet(
        source=run.source, synthetic=run.synthetic, capital=run.capital, equity=run.equity,
        returns=returns, figures=_table(rows), drawdowns=drawdowns(returns),
        months=monthly(returns), benchmark=held,
    )  # fmt: skip


# --- figures of days ---------------------------------------------------------------------------


def cagr(returns: Returns[Any]) -> float:
    """(prod(1 + r)) ** (365 / n) - 1; NaN if nothing is left."""
    wealth = float((1.0 + returns).prod())
    return wealth ** (DAYS_A_YEAR / len(returns)) - 1.0 if len(returns) and wealth > 0 else math.nan


def volatility(returns: Returns[Any]) -> float:
    """ddof-1 deviation of the days, times sqrt(365)."""
    return float(returns.std(ddof=1)) * math.sqrt(DAYS_A_YEAR)


def sortino(returns: Returns[Any]) -> float:
    """mean / sqrt(mean(min(r, 0) ** 2)) * sqrt(365): the loss of every day counts, gains as 0
    (Sortino and Price 1994)."""
    downside = math.sqrt(float((returns.clip(upper=0.0) ** 2).mean()))
    return _ratio(float(returns.mean()), downside) * math.sqrt(DAYS_A_YEAR)


def depth(returns: Returns[Any]) -> float:
    """The lowest wealth over its running peak, minus 1; the capital is the first peak."""
    return max_drawdown(_wealth(returns))


def calmar(returns: Returns[Any]) -> float:
    """CAGR over the depth of the deepest drawdown (Young 1991, here over the whole run)."""
    return _ratio(cagr(returns), -depth(returns))


def drawdowns(returns: Returns[Any]) -> pd.DataFrame:
    """Every episode below a peak, the deepest first; see `TearSheet` for the columns.

    The first peak may be the capital: the day before the first.
    """
    wealth = _wealth(returns)
    under = wealth / wealth.cummax() - 1.0
    below = ~(under >= -FLAT).to_numpy()  # no number is no recovery
    starts = np.flatnonzero(below[1:] & ~below[:-1])  # the row of the peak
    rows: list[tuple[Any, ...]] = []
    for first in starts:
        risen = np.flatnonzero(~below[first + 1 :])
        after = first + 1 + int(risen[0]) if len(risen) else len(below)
        own = under.iloc[first:after]
        end = wealth.index[after] if after < len(below) else pd.NaT
        days = min(after, len(below) - 1) - first
        rows.append((wealth.index[first], own.idxmin(), end, float(own.min()), days))
    frame = pd.DataFrame(rows, columns=list(DRAWDOWN_COLUMNS))
    return frame.sort_values("depth", kind="stable", ignore_index=True)


def skew(returns: Returns[Any]) -> float:
    """Third standardised moment, corrected for bias (pandas, quantstats)."""
    return float(returns.skew()) if _varies(returns) else math.nan


def kurtosis(returns: Returns[Any]) -> float:
    """Raw fourth standardised moment, 3 for a normal: pandas' bias-corrected excess, plus 3."""
    return float(returns.kurt()) + 3.0 if _varies(returns) else math.nan


def value_at_risk(returns: Returns[Any]) -> float:
    """The 5 % quantile of the days as they were, linear between two (empyrical). quantstats fits a
    normal instead, which crypto's tails are not."""
    return float(returns.quantile(TAIL))


def expected_shortfall(returns: Returns[Any]) -> float:
    """CVaR: mean of the worst int(0.05 (n - 1)) + 1 days (empyrical)."""
    worst = int(TAIL * max(len(returns) - 1, 0)) + 1
    return float(returns.nsmallest(worst).mean())


def omega(returns: Returns[Any]) -> float:
    """Sum of gains over sum of losses (Keating and Shadwick 2002, threshold 0)."""
    return _ratio(float(returns.clip(lower=0.0).sum()), -float(returns.clip(upper=0.0).sum()))


def gain_to_pain(returns: Returns[Any]) -> float:
    """Sum of all days over the sum of losses (Schwager 2012, by days): omega - 1."""
    return _ratio(float(returns.sum()), -float(returns.clip(upper=0.0).sum()))


def tail_ratio(returns: Returns[Any]) -> float:
    """abs(95 % quantile / 5 % quantile)."""
    return abs(_ratio(float(returns.quantile(1.0 - TAIL)), float(returns.quantile(TAIL))))


def monthly(returns: Returns[Any]) -> pd.DataFrame:
    """Compounded returns, years x months, and the year; NaN where the run had no day."""
    whole = returns.index
    grown = (1.0 + returns).groupby([whole.year, whole.month]).prod().unstack() - 1.0
    table = grown.reindex(columns=range(1, 13)).set_axis(list(MONTHS), axis=1)
    table["year"] = (1.0 + returns).groupby(whole.year).prod() - 1.0
    return table.rename_axis(index="year", columns=None)


def _of_days(returns: Returns[Any]) -> Iterator[Figure]:
    n, falls = len(returns), drawdowns(returns)
    loss, spread, fall = "no losing day", "the days do not vary", "no drawdown"

    def row(name: str, unit: str, value: float, needs: int = 1, lacking: str = "") -> Figure:
        return Figure(name, unit, value, n, needs, lacking or "the equity fell to 0 or below")

    yield row("days", "count", n)
    yield row("total return", "share", float((1.0 + returns).prod() - 1.0))
    yield row("CAGR", "share", cagr(returns), 2)
    yield row("volatility", "share", volatility(returns), 2)
    yield row("Sharpe", "ratio", sharpe(returns), 2, spread)
    yield row("Sortino", "ratio", sortino(returns), 2, loss)
    yield row("Calmar", "ratio", calmar(returns), 2, fall)
    yield row("max drawdown (by day)", "share", depth(returns))
    yield row(
        "max drawdown length",
        "days",
        float(falls["days"].iloc[0]) if len(falls) else math.nan,
        1,
        fall,
    )
    yield row("average drawdown", "share", float(falls["depth"].mean()), 1, fall)
    yield row("longest under water", "days", float(falls["days"].max()), 1, fall)
    yield row("skew", "ratio", skew(returns), 3, spread)
    yield row("kurtosis (raw)", "ratio", kurtosis(returns), 4, spread)
    yield row("VaR 95 %", "share", value_at_risk(returns), 20)
    yield row("CVaR 95 %", "share", expected_shortfall(returns), 20)
    yield row("best day", "share", float(returns.max()))
    yield row("worst day", "share", float(returns.min()))
    yield row("positive days", "share", float((returns > 0.0).mean()))
    yield row("omega", "ratio", omega(returns), 2, loss)
    yield row("tail ratio", "ratio", tail_ratio(returns), 20, "no loss in the tail")
    yield row("gain to pain", "ratio", gain_to_pain(returns), 2, loss)


# --- figures of trades -------------------------------------------------------------------------


def profit_factor(gains: Returns[Any]) -> float:
    """Sum of winning over sum of losing trades, as returns."""
    return omega(gains)


def payoff(gains: Returns[Any]) -> float:
    """Mean winning over mean losing trade; one that came out at 0 is neither."""
    return _ratio(float(gains[gains > 0.0].mean()), -float(gains[gains < 0.0].mean()))


def expectancy_interval(gains: Returns[Any]) -> tuple[float, float]:
    """95 % interval of the mean trade: mean -+ t(n - 1) * sd / sqrt(n). (NaN, NaN) below 2.

    Trades overlap and come in clusters, so it is narrower than the truth.
    """
    n = len(gains)
    if n < 2:
        return math.nan, math.nan
    half = float(stdtrit(n - 1, 0.975)) * float(gains.std(ddof=1)) / math.sqrt(n)
    return float(gains.mean()) - half, float(gains.mean()) + half


def turnover(fills: pd.DataFrame, equity: pd.Series[Any], days: int) -> float:
    """Bought and sold notional of a year over the mean equity: 2 is the whole equity in and out."""
    traded = float((fills["quantity"] * fills["price"]).sum())
    return _ratio(traded, float(equity.mean())) * DAYS_A_YEAR / days


def fee_share(fills: pd.DataFrame) -> float:
    """Fees of closed trades over what they earned before fees; NaN if that is not above 0."""
    paid = sum(float(trip["fee"].sum()) for _, trip in trips(fills) if is_closed(trip))
    earned = float(trades(fills)["profit"].sum()) + paid
    return paid / earned if earned > 0.0 else math.nan


def _of_trades(run: Result, returns: Returns[Any]) -> Iterator[Figure]:
    closed, told = trades(run.fills), summary(run)
    gains, n = closed["return"], len(closed)
    low, high = expectancy_interval(gains)
    hours = (closed["closed"] - closed["opened"]).mean() / pd.Timedelta("1h") if n else math.nan
    yearly = turnover(run.fills, run.equity, len(returns))

    def row(name: str, unit: str, value: float, needs: int = 1, lacking: str = "") -> Figure:
        return Figure(name, unit, value, n, needs, lacking)

    yield row("trades", "count", n, 0)
    yield row("win rate", "share", told["win rate"])
    yield row("expectancy", "share", told["expectancy"])
    yield row("expectancy, 95 % from", "share", low, 2)
    yield row("expectancy, 95 % to", "share", high, 2)
    yield row("profit factor", "ratio", profit_factor(gains), 1, "no losing trade")
    yield row("payoff", "ratio", payoff(gains), 2, "no winning or no losing trade")
    yield row("mean holding time", "hours", hours)
    yield row("turnover a year", "ratio", yearly, 0, "no equity")
    yield row("fees", "money", told["fees"], 0)
    yield row("fees of gross profit", "share", fee_share(run.fills), 1, "no profit before fees")
    yield row("exposed", "share", told["exposed"], 0)


# --- beside a benchmark ------------------------------------------------------------------------


def beta_alpha(returns: Returns[Any], benchmark: Returns[Any]) -> tuple[float, float]:
    """Slope of the days on the benchmark's, cov / var; and 365 (mean r - beta mean b), the part of
    a year that is not the benchmark's (quantstats; empyrical compounds the same daily alpha)."""
    variance = float(benchmark.var(ddof=1))
    if not variance > FLAT**2:
        return math.nan, math.nan
    beta = float(returns.cov(benchmark)) / variance
    return beta, DAYS_A_YEAR * (float(returns.mean()) - beta * float(benchmark.mean()))


def _against(returns: Returns[Any], held: Returns[Any]) -> Iterator[Figure]:
    own = returns.reindex(held.index)
    n, still = len(held), "the days do not vary"
    beta, alpha = beta_alpha(own, held)
    rho = float(own.corr(held)) if _varies(own) and _varies(held) else math.nan
    yield Figure("benchmark return", "share", float((1.0 + held).prod() - 1.0), n, 1, "")
    yield Figure("benchmark max drawdown", "share", depth(held), n, 1, "")
    yield Figure("beta", "ratio", beta, n, 2, still)
    yield Figure("alpha a year", "share", alpha, n, 2, still)
    yield Figure("correlation", "ratio", rho, n, 2, still)


def _held_returns(prices: pd.Series[Any], bars: pd.Index[Any]) -> Returns[Any]:
    """Daily returns of one who bought at the first price on these bars and held."""
    known = prices.reindex(bars).ffill().dropna()
    if known.empty:
        raise UsageError(f"the benchmark {prices.name!r} has no price on the bars of the run")
    daily = daily_returns(known.resample("1D").last().ffill(), float(known.iloc[0]))
    return daily.rename(str(prices.name))


# --- shared ------------------------------------------------------------------------------------


def _table(rows: list[Figure]) -> pd.DataFrame:
    told = [(f.name, *_told(f), f.unit, f.n) for f in rows]
    frame = pd.DataFrame(told, columns=["figure", "value", "says", "unit", "n"])
    return frame.set_index("figure")[["value", "unit", "n", "says"]].rename_axis(None)


def _told(figure: Figure) -> tuple[float, str]:
    """The value and nothing, or NaN and why."""
    if figure.n < figure.needs:
        return math.nan, f"not computable: n = {figure.n}, needs {figure.needs}"
    if math.isfinite(figure.value):
        return float(figure.value), ""
    return math.nan, f"not computable: {figure.lacking or 'no finite number'}"


def _wealth(returns: Returns[Any]) -> pd.Series[Any]:
    """What 1 became, by day, with the 1 on the day before the first."""
    grown = (1.0 + returns).cumprod()
    if not len(returns):
        return grown
    before = pd.Series([1.0], index=[returns.index[0] - pd.Timedelta(days=1)])
    return pd.concat([before, grown])


def _varies(returns: Returns[Any]) -> bool:
    return len(returns) > 1 and float(returns.std(ddof=1)) > FLAT


def _ratio(above: float, below: float) -> float:
    return above / below if abs(below) > FLAT else math.nan
