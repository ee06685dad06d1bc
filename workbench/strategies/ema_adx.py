"""Trend: the fast EMA above the slow one while ADX and its direction agree.

Definition: EMA12 above EMA26, ADX14 at 25 or more and +DI above -DI: long, on the first bar on
which all three hold; the mirror image is a short. Score: ADX above its threshold, 55 up to 70.
Source: crossing averages are folklore (MACD's 12 and 26 are Appel's); ADX, +DI and -DI are
Wilder's, New Concepts in Technical Trading Systems, 1978. Inputs: high, low, close.

Regimes: trending, for without a trend averages cross back and forth. Warm-up: a slip of the start
halves some ten bars on in Wilder's sums; on 400 bars it is below 1e-10 of the score.

Pitfalls: ADX lags some 2 n bars, so votes come late, and where a trend is short, at its end. The
three conditions flicker together: one market move gives several votes, which the cooldown has to
bear. A missing bar ends the state; the bar after it votes again.
"""

from __future__ import annotations

from workbench.domain import Panel, Votes
from workbench.strategies.indicators import adx, begins, ema, prices
from workbench.strategies.vote import strategy


@strategy(category="trend", regimes={"trending"}, lookback=400)
def ema_adx(panel: Panel, fast: int = 12, slow: int = 26, adx_min: float = 25.0) -> Votes:
    """Vote on the first bar on which EMA order, ADX >= adx_min and DI order all agree."""
    bars = prices(panel)
    quick, steady = ema(bars.close, fast), ema(bars.close, slow)
    trend = adx(bars.high, bars.low, bars.close)
    strong = (trend.adx >= adx_min) & bars.there
    up = strong & (quick > steady) & (trend.plus_di > trend.minus_di)
    down = strong & (quick < steady) & (trend.minus_di > trend.plus_di)
    confidence = (55.0 + 0.6 * (trend.adx - adx_min)).clip(0.0, 70.0)
    return Votes.of(panel, begins(up), begins(down), confidence)
