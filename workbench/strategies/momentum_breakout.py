"""Trend: a close above the highest high of the 20 bars before it, on volume.

Definition: close above the highest high of the `n` bars before this one, and not so at the bar
before; volume above 1.5 times its mean of `n` bars: long. Close below the lowest low of the bars
before, likewise: short. The rule book exits. Score: how far outside the close is, in ATR14: 55 plus
10 an ATR, up to 70. Source: Donchian's channel as the Turtles' system 1 enters (20 bars).
Inputs: high, low, close, volume.

Regimes: ranging and trending: a breakout begins in a range, and ADX, which tells them apart, lags
by twice its length. Not in high volatility, where the bar that breaks out is often the last of its
move and its stop too near. Warm-up: the channel needs 21 bars, Wilder's ATR the rest of the 400.

Pitfalls: TA-Lib's channel includes the bar itself, which no close is ever above: unshifted, this
never votes. A bar that was missing counts as one in which nobody traded, with volume 0: after an
outage the volume filter is easier to pass. Volume is the venue's own; another venue's breakout may
have none.
"""

from __future__ import annotations

import numpy as np

from workbench.domain import Panel, Votes
from workbench.strategies.indicators import atr, before, begins, channel, prices, ratio, sma
from workbench.strategies.vote import strategy


@strategy(category="trend", regimes={"ranging", "trending"}, lookback=400)
def momentum_breakout(panel: Panel, n: int = 20, volume_min: float = 1.5) -> Votes:
    """Vote on the first close outside the channel of the n bars before, on volume_min times the
    usual volume."""
    bars = prices(panel)
    upper, lower = (before(edge) for edge in channel(bars.high, bars.low, bars.close, n))
    heard = bars.there & (bars.volume > volume_min * sma(bars.volume, n))
    up = begins(bars.close > upper) & heard
    down = begins(bars.close < lower) & heard
    outside = np.where(up, bars.close - upper, lower - bars.close)
    reach = ratio(outside, atr(bars.high, bars.low, bars.close))
    return Votes.of(panel, up, down, (55.0 + 10.0 * reach).clip(0.0, 70.0))
