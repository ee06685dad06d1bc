"""What kind of market each bar closed in, from the past alone.

RANGING / TRENDING by ADX with hysteresis (from 25 on, until 20), overridden by HIGH_VOL when the
last completed UTC day's realised volatility is above the 90 % quantile of its past year; and
risk-on while BTC's last completed daily close is above its 200-day mean. What is not known yet is
UNKNOWN or risk-off: nobody votes in it. The labels live in the panel's context (`regime`,
`risk_on`), computed once over all history, so that a bar seen live carries the same label.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from workbench.domain import Panel, Regime, is_carry, underlying
from workbench.strategies.indicators import adx

TREND_FROM, TREND_UNTIL = 25.0, 20.0
HIGH_VOL_QUANTILE, VOL_DAYS, VOL_DAYS_LEAST = 0.9, 365, 60
RISK_ON_DAYS, RISK_ON_DAYS_LEAST = 200, 190  # a lost day or two is no reason to stop
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
    crossed = np.where(strength >= TREND_FROM, 1.0, np.where(strength <= TREND_UNTIL, 0.0, np.nan))
    trending = pd.DataFrame(crossed, panel.index, panel.close.columns).ffill()
    codes = trending.replace({0.0: float(Regime.RANGING), 1.0: float(Regime.TRENDING)})
    vol = realised_vol(panel)
    trailing = vol.rolling(VOL_DAYS, min_periods=VOL_DAYS_LEAST)
    high = known_at_close(vol > trailing.quantile(HIGH_VOL_QUANTILE), panel)
    known = known_at_close(vol.notna() & trailing.quantile(0.5).notna(), panel)
    codes = codes.mask(high == 1.0, float(Regime.HIGH_VOL))
    return codes.where(known == 1.0).fillna(float(Regime.UNKNOWN))


def risk_on(panel: Panel) -> pd.Series[Any]:
    """1 while BTC's last completed daily close is above its 200-day mean; 0 also if unknown."""
    btc = [symbol for symbol in panel.symbols if symbol.partition("/")[0] == "BTC"]
    if not btc:
        return pd.Series(0.0, panel.index, name="risk_on")
    daily = panel.close[btc[:1]].groupby(panel.open_days).last()
    mean = daily.rolling(RISK_ON_DAYS, min_periods=RISK_ON_DAYS_LEAST).mean()
    return known_at_close(daily > mean, panel)[btc[0]].fillna(0.0).rename("risk_on")


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
