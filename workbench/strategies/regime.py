"""What kind of market each bar closed in, from the past alone.

RANGING / TRENDING by ADX (trending from 25 on, until 20), overridden by HIGH_VOL from a completed
UTC day on whose realised volatility is above the 90 % quantile of its past year, until one at or
below the 80 % quantile; and risk-on from a daily close of BTC 1 % above its 200-day mean, until one
1 % below it. Every label has two levels, so that noise around one does not switch it to and fro.
What is not known yet is UNKNOWN or risk-off: nobody opens a trade in it. ADX above 25 is no proof
of a trend: on a driftless random walk that is so in a fifth of all bars.

The labels live in the panel's context (`regime`, `risk_on`), computed once over all bars that were
loaded, a year before the first that may trade among them, so that a bar seen live carries the label
that research saw.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from workbench.domain import Panel, Regime, is_carry, underlying
from workbench.strategies.indicators import adx

TREND_FROM, TREND_UNTIL = 25.0, 20.0
HIGH_VOL_FROM, HIGH_VOL_UNTIL, VOL_DAYS, VOL_DAYS_LEAST = 0.9, 0.8, 365, 60
RISK_BAND, RISK_ON_DAYS, RISK_ON_DAYS_LEAST = (
    0.01,
    200,
    190,
)  # a lost day or two is no reason to stop
HISTORY_DAYS = VOL_DAYS + 1

SIZE = {Regime.UNKNOWN: 0.0, Regime.RANGING: 1.0, Regime.TRENDING: 1.0, Regime.HIGH_VOL: 0.5}
"""Size multiplier of each regime."""


def with_regime(panel: Panel) -> Panel:
    """The panel with `regime` (Regime codes, bars x symbols) and `risk_on` (0/1, bars)."""
    return panel.with_context(regime=regimes(panel), risk_on=risk_on(panel))


def regimes(panel: Panel) -> pd.DataFrame:
    """Regime code of every symbol at every close; a pair has that of its market, if it is there."""
    markets = [symbol for symbol in panel.symbols if not is_carry(symbol)]
    if len(markets) < len(panel.symbols):
        known = regimes(panel.columns(markets)) if markets else pd.DataFrame(index=panel.index)
        named = known.reindex(columns=[underlying(symbol) for symbol in panel.symbols])
        return named.set_axis(panel.close.columns, axis=1).fillna(float(Regime.UNKNOWN))
    strength = adx(panel.high, panel.low, panel.close).adx
    trending = held(strength >= TREND_FROM, strength <= TREND_UNTIL)
    codes = trending.replace({0.0: float(Regime.RANGING), 1.0: float(Regime.TRENDING)})
    vol = realised_vol(panel)
    trailing = vol.rolling(VOL_DAYS, min_periods=VOL_DAYS_LEAST)
    above, below = trailing.quantile(HIGH_VOL_FROM), trailing.quantile(HIGH_VOL_UNTIL)
    high = known_at_close(held(vol > above, vol <= below), panel)
    known = known_at_close(vol.notna() & below.notna(), panel)
    codes = codes.mask(high == 1.0, float(Regime.HIGH_VOL))
    return codes.where(known == 1.0).fillna(float(Regime.UNKNOWN))


def risk_on(panel: Panel) -> pd.Series[Any]:
    """1 while BTC's completed daily closes stand above their 200-day mean; 0 also if unknown."""
    btc = [s for s in panel.symbols if s.partition("/")[0] == "BTC" and not is_carry(s)]
    if not btc:
        return pd.Series(0.0, panel.index, name="risk_on")
    daily = panel.close[btc[:1]].groupby(panel.open_days).last()
    mean = daily.rolling(RISK_ON_DAYS, min_periods=RISK_ON_DAYS_LEAST).mean()
    on = held(daily > mean * (1.0 + RISK_BAND), daily < mean * (1.0 - RISK_BAND))
    known = known_at_close(on.where(mean.notna() & daily.notna()), panel)
    return known[btc[0]].fillna(0.0).rename("risk_on")


def held(begins: pd.DataFrame, ends: pd.DataFrame) -> pd.DataFrame:
    """1 from where a state begins until it ends, 0 from there on; NaN before either was seen."""
    seen = np.where(begins, 1.0, np.where(ends, 0.0, np.nan))
    return pd.DataFrame(seen, begins.index, begins.columns).ffill()


def realised_vol(panel: Panel) -> pd.DataFrame:
    """Deviation of the log returns of a day's bars (of 20 bars if a bar is a day or more), as each
    UTC day ended; days x symbols, days as numbers."""
    close = panel.close.where(panel.close > 0)
    returns = pd.DataFrame(np.log(close), panel.index, panel.close.columns).diff()
    a_day = round(pd.Timedelta(days=1) / panel.timeframe)
    n = a_day if a_day >= 2 else 20
    return returns.rolling(n, min_periods=n // 2).std().groupby(panel.open_days).last()


def known_at_close(daily: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """A daily fact as every close sees it: that of the last completed UTC day (NaN before)."""
    facts = daily.astype(float)
    facts.index = facts.index + 1
    return pd.DataFrame(facts.reindex(panel.days).to_numpy(), panel.index, facts.columns)
