"""Reversion: RSI coming back up through 30 (or down through 70).

Definition: RSI14 below 30 at the bar before and at 30 or more now: long; above 70 and back: short.
Not being oversold but ceasing to be is the vote: a market can stay oversold for long. Score: 52
plus 0.8 a point of the deepest RSI within `memory` bars beyond the line, up to 68. Source: Wilder,
New Concepts in Technical Trading Systems, 1978. Inputs: close.

Regimes: ranging; in a trend RSI stays low or high and each cross back is a pause. Warm-up: Wilder's
mean forgets 1/14 a bar; on 400 bars its start weighs 1e-13.

Pitfalls: TA-Lib's RSI of a market that does not move is 0, which looks oversold; here it is
unknown, and a bar after an unknown one does not cross. RSI with a simple mean (vectorbt's) is
another number, by up to 20 points. A missing bar is unknown as well: no cross is told over it.
"""

from __future__ import annotations

import numpy as np

from workbench.domain import Panel, Votes
from workbench.strategies.indicators import before, highest, prices, rsi
from workbench.strategies.vote import strategy


@strategy(category="reversion", regimes={"ranging"}, lookback=400)
def rsi_bounce(panel: Panel, n: int = 14, oversold: float = 30.0, memory: int = 10) -> Votes:
    """Vote on the cross back; the depth reached within `memory` bars adds confidence."""
    bars = prices(panel)
    value = np.where(bars.there, rsi(bars.close, n), np.nan)
    last, overbought = before(value), 100.0 - oversold
    up = (last < oversold) & (value >= oversold)
    down = (last > overbought) & (value <= overbought)
    below, above = np.fmax(oversold - value, 0.0), np.fmax(value - overbought, 0.0)  # unknown: 0
    depth = np.where(up, highest(below, memory), highest(above, memory))
    return Votes.of(panel, up, down, (52.0 + 0.8 * depth).clip(0.0, 68.0))
