"""Reversion: RSI coming back up through 30 (or down through 70)."""

from __future__ import annotations

import numpy as np

from workbench.domain import Panel, Votes
from workbench.strategies.indicators import rsi
from workbench.strategies.vote import strategy


@strategy(category="reversion", regimes={"ranging"}, lookback=400)
def rsi_bounce(panel: Panel, n: int = 14, oversold: float = 30.0, memory: int = 10) -> Votes:
    """Vote on the cross back, not on being oversold; depth within `memory` bars adds confidence.

    Score: 52 plus 0.8 a point of depth below the line, up to 68.
    """
    close = panel.close.where(panel.close > 0)
    value = rsi(close, n).where(close.notna())
    before = value.shift(1)
    overbought = 100.0 - oversold
    up = (before < oversold) & (value >= oversold)
    down = (before > overbought) & (value <= overbought)
    side = up.astype(int) - down.astype(int)
    recent = value.rolling(memory, min_periods=1)
    depth = (oversold - recent.min()).where(up, recent.max() - overbought)
    confidence = (52.0 + 0.8 * depth).clip(0.0, 68.0)
    return Votes(side=side, confidence=confidence.where(side != 0, 0.0).replace(np.nan, 0.0))
