"""What follows a Bollinger squeeze, as two strategies: the breakout, and the fade of a false one.

A squeeze: the bandwidth of BB(20, 2), (upper - lower) / middle with population deviations, is at
its low of 125 bars (Bollinger's six months of days). Carter's form, the bands inside Keltner's
channel, holds so often on hours that one bar in seventeen would get a vote; it is not used.

`bollinger_squeeze_breakout` (trend): the first close outside the bands within `after` bars of a
squeeze, with the price on the same side of where it stood 20 bars ago. Score: the distance outside
in ATR14, 54 plus 10 an ATR, up to 68. Ranging and trending: it leaves the one for the other.

`bollinger_squeeze` (reversion): Bollinger's head fake. Within `after` bars of a squeeze a close
was outside a band, the next is back inside, and ADX14 is below 20: vote towards the middle.
Score: how far it had been outside, in half bandwidths, 52 plus 20 each, up to 66. Ranging only.

Source: Bollinger on Bollinger Bands, 2001. Inputs: high, low, close. Warm-up: 145 bars for the low
of the bandwidth; ADX and ATR want 400.

Pitfalls: the squeeze says that a move comes and not which way. Both may vote within a few bars, on
opposite sides: then the breakout was the head fake. Deviations with ddof 1 are wider by 2.6 %. A
market that does not move is no squeeze; bars missing in an outage look like one.
"""

from __future__ import annotations

import numpy as np

from workbench.arrays import Bools
from workbench.domain import Panel, Votes
from workbench.strategies.indicators import (
    Bollinger,
    adx,
    atr,
    bars_since,
    before,
    bollinger,
    lowest,
    prices,
    ratio,
    within,
)
from workbench.strategies.vote import strategy

NEAR = 1.0 + 1e-9  # a running deviation is as wide again only to some ten digits


@strategy(category="reversion", regimes={"ranging"}, lookback=400)
def bollinger_squeeze(
    panel: Panel, low_bars: int = 125, after: int = 20, adx_max: float = 20.0
) -> Votes:
    """Fade a close outside the bands that the next bar takes back, soon after a squeeze."""
    bars = prices(panel)
    bands = bollinger(bars.close)
    quiet = adx(bars.high, bars.low, bars.close).adx < adx_max
    soon = before(within(at_low(bands, low_bars), after)) & quiet & bars.there
    inside = (bars.close >= bands.lower) & (bars.close <= bands.upper)
    up = soon & inside & before(bars.close < bands.lower)
    down = soon & inside & before(bars.close > bands.upper)
    outside = before(np.abs(bands.percent_b - 0.5)) - 0.5
    return Votes.of(panel, up, down, (52.0 + 40.0 * outside).clip(0.0, 66.0))


@strategy(category="trend", regimes={"ranging", "trending"}, lookback=400)
def bollinger_squeeze_breakout(panel: Panel, low_bars: int = 125, after: int = 10) -> Votes:
    """Vote on the first close outside the bands within `after` bars of a squeeze."""
    bars = prices(panel)
    bands = bollinger(bars.close)
    above, below = bars.close > bands.upper, bars.close < bands.lower
    since = before(bars_since(at_low(bands, low_bars)))
    first = (since < after) & (before(bars_since(above | below)) >= since) & bars.there
    move = bars.close - before(bars.close, 20)
    up, down = first & above & (move > 0), first & below & (move < 0)
    outside = np.where(up, bars.close - bands.upper, bands.lower - bars.close)
    reach = ratio(outside, atr(bars.high, bars.low, bars.close))
    return Votes.of(panel, up, down, (54.0 + 10.0 * reach).clip(0.0, 68.0))


def at_low(bands: Bollinger, bars: int) -> Bools:
    """Is the bandwidth the narrowest of so many bars? Not while nothing moves."""
    return (bands.bandwidth > 0) & (bands.bandwidth <= NEAR * lowest(bands.bandwidth, bars))
