"""Trend: the fast EMA above the slow one while ADX and its direction agree."""

from __future__ import annotations

import pandas as pd

from workbench.domain import Panel, Votes
from workbench.strategies.indicators import adx, ema
from workbench.strategies.vote import strategy


@strategy(category="trend", regimes={"trending"}, lookback=400)
def ema_adx(panel: Panel, fast: int = 12, slow: int = 26, adx_min: float = 25.0) -> Votes:
    """Vote on the first bar on which EMA order, ADX >= adx_min and DI order all agree.

    Score: ADX above its threshold, 55 up to 70. ADX lags some 2 n bars, so crosses come late.
    """
    close = panel.close.where(panel.close > 0)
    quick, steady = ema(close, fast), ema(close, slow)
    trend = adx(panel.high, panel.low, close)
    strong = (trend.adx >= adx_min) & close.notna()
    up = strong & (quick > steady) & (trend.plus_di > trend.minus_di)
    down = strong & (quick < steady) & (trend.minus_di > trend.plus_di)
    side = begins(up).astype(int) - begins(down).astype(int)
    confidence = (55.0 + 0.6 * (trend.adx - adx_min)).clip(0.0, 70.0).where(side != 0, 0.0)
    return Votes(side=side, confidence=confidence)


def begins(state: pd.DataFrame) -> pd.DataFrame:
    """True on the first bar of a state; a state on the very first row has not begun there."""
    before = state.shift(1, fill_value=True)
    return state & ~before
