"""Event: what people bet on differs from what prices say, more than it usually does.

`odds_divergence`: a market's probability p of a price threshold K against a model's, for spot S and
T bars to the end, with s the root mean square of 30 days of log returns a bar and no drift:
    d2 = (ln(S / K) - s^2 T / 2) / (s sqrt T),   d1 = d2 + s sqrt T
    above at the end: N(d2)      reached before it: N(w d2) + S/K N(w d1), w 1 from below, -1 above
(Black and Scholes 1973; the reflection principle for a drifting walk, as in Shreve, Stochastic
Calculus for Finance II, 7.2). gap = logit p - logit model, z against its own 30 days, so that a
lasting premium (some 6 points were measured on such contracts) is in the mean. Where z passes 2 or
-2, and the price has not moved by more than 1 ATR that way in 6 bars: with the bettors.

`odds_divergence_fed`: the 24 h change of the move expected of the Fed's next meeting; where futures
imply one too, the market's less theirs instead. Where z passes -2 (dovish): long; 2 (hawkish):
short; the price as above, and 2.5 basis points (a tenth of a step) at least. Silent in the 24 hours
before and after a decision's day ends, where one meeting's odds turn into the next one's.

Both want the odds themselves to have moved that way on that bar: a price that leaves a stale quote
behind, or an old move that leaves the 24 hours, is no opinion. Source: the numbers are ours.
Regimes: all. Warm-up: 62 and 32 days, half of them known.
Pitfalls. Events resolve once: n is tiny, and the confidence stays at the prior. The model has thin
tails, no smile and no jumps: outside 2-98 % it is not asked. Another market is another gap: a bar
on which the market changes takes no vote. Touches are seen by closes only. One bad print is a vote.
Thin markets, wide spreads and texts misread are kept out in `data/thresholds`; how a market
resolved is read nowhere.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logit, ndtr

from workbench.arrays import Bools, Floats
from workbench.domain import Panel, Votes
from workbench.strategies.indicators import before, begins, prices, sma, zscore
from workbench.strategies.news_sentiment import REGIMES, answer
from workbench.strategies.vote import strategy

ODDS = ("odds_probability", "odds_strike", "odds_hours", "odds_touch")
FED = ("fed_expected_bps", "fed_meeting_hours")
FUTURES = ("fed_expected_bps_futures", "fed_meeting_hours_futures")
LEAST_BPS = 2.5
SURE = 0.02  # from a certainty; beyond it the model's tails are the gap


def model_probability(spot: Floats, strike: Floats, touch: Floats, deviation: Floats) -> Floats:
    """P(above the strike at the end), or of a touch (1 from below, -1 from above).

    `deviation` is s sqrt T, the deviation of the log price at the end; NaN where it is not above 0.
    """
    deviation = np.where(deviation > 1e-9, deviation, np.nan)
    away = np.log(spot / np.where(strike > 0, strike, np.nan))
    d2 = away / deviation - deviation / 2
    way = np.where(touch < 0, -1.0, 1.0)
    reached = ndtr(way * d2) + np.exp(away) * ndtr(way * (d2 + deviation))
    return np.where(touch == 0, ndtr(d2), reached)


@strategy(category="event", regimes=REGIMES, lookback="62D", needs=ODDS)
def odds_divergence(panel: Panel, z_min: float = 2.0, answered_bars: int = 6) -> Votes:
    """Vote where the gap begins to be unusual. Confidence: 50 plus 2 a deviation, up to 58."""
    if not set(ODDS) <= set(panel.context):
        return Votes.none(panel)
    probability, strike, hours, touch = (panel.context[name].to_numpy() for name in ODDS)
    bars, month, a_bar = prices(panel), panel.bars_in("30D"), panel.timeframe.total_seconds() / 3600
    returns = np.log(bars.close / before(bars.close))
    deviation = np.sqrt(sma(returns**2, month).clip(0.0) * np.fmax(hours, 0.0) / a_bar)
    model = model_probability(bars.close, strike, touch, deviation)
    asked = (model > SURE) & (model < 1.0 - SURE) & (probability > 0.0) & (probability < 1.0)
    theirs, ours = (logit(np.where(asked, p, np.nan)) for p in (probability, model))
    same = (strike == before(strike)) & (touch == before(touch))
    same &= np.abs(before(hours) - hours - a_bar) < 0.01
    z = zscore(theirs - ours, month, month // 2)
    same &= (probability - before(probability)) * z > 0
    return _votes(panel, np.where(touch < 0, -z, z), same, z_min, answered_bars)


@strategy(category="event", regimes=REGIMES, lookback="32D", needs=FED)
def odds_divergence_fed(panel: Panel, z_min: float = 2.0, answered_bars: int = 6) -> Votes:
    """Vote where the Fed is unusually more dovish or hawkish. Confidence as above."""
    if not set(FED) <= set(panel.context):
        return Votes.none(panel)
    month, day = panel.bars_in("30D"), panel.bars_in("1D")
    expected, hours = (panel.context[name].to_numpy()[:, None] for name in FED)
    steady = (np.abs(before(hours, day) - hours - 24.0) < 0.01) & (hours > 24.0)
    moved = np.where(steady, expected - before(expected, day), np.nan)
    z = zscore(moved, month, month // 2)
    if set(FUTURES) <= set(panel.context):
        implied, until = (panel.context[name].to_numpy()[:, None] for name in FUTURES)
        apart = np.where(steady & (until == hours), expected - implied, np.nan)
        against = zscore(apart, month, month // 2)
        z, moved = (np.where(np.isnan(against), a, b) for a, b in ((z, against), (moved, apart)))
    sound = (np.abs(moved) >= LEAST_BPS) & ((expected - before(expected)) * z > 0)
    return _votes(panel, -z, sound, z_min, answered_bars)


def _votes(panel: Panel, z: Floats, sound: Bools, z_min: float, answered_bars: int) -> Votes:
    """Long where z passes z_min and the price has not answered, short where it passes -z_min."""
    bars, known = prices(panel), np.isfinite(z)
    moved = answer(bars, answered_bars)
    up = begins(z > z_min, known) & sound & bars.there & (moved < 1.0)
    down = begins(z < -z_min, known) & sound & bars.there & (moved > -1.0)
    return Votes.of(panel, up, down, (50.0 + 2.0 * (np.abs(z) - z_min)).clip(0.0, 58.0))
