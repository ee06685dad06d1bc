"""Event: an unusual run of good or bad headlines that the price has not answered yet.

Definition: S(t) = sum of s_i exp(-(t - t_i) / 6 h) over the headlines of an asset, s_i from -1 to
1, t_i when we first saw it. While S stands more than 2 deviations off its own 30 days, and the
price has not moved by more than 1 ATR that way in 6 bars: long if it is high, short if it is low.
ATR is the plain mean of 14 true ranges, which remembers nothing older.
Source: a decaying news score against its own history is common practice; the numbers are ours.
Inputs: `sentiment` (the lexicon of `data/headlines`) or `sentiment_judged` (a tape of scores that
models gave, `data/scores`), high, low, close. Regimes: all; news keeps no calendar.
Warm-up: 30 days, of which 22 hours in 24 must be known, and the bars of the price's answer.

Pitfalls. A headline counts from when we first saw it: not from the time it bears, and not as
edited later. The same story told by ten sources counts ten times unless the feed tells one from
the other by its link. Anybody can place a headline, so that the votes are `from_text` and count
only beside another category. A model that was trained after a headline knows what came of it;
its score is known from when it was given, so that a replay of the past hears nothing of it and
only what runs forward is a test. A quiet month makes the next small headline unusual.
"""

from __future__ import annotations

import numpy as np

from workbench.arrays import Floats
from workbench.domain import Panel, Votes
from workbench.strategies.indicators import Prices, before, prices, sma, zscore
from workbench.strategies.vote import strategy

REGIMES = {"trending", "ranging", "high_vol"}
LOOKBACK = "32D"


@strategy(
    category="event", regimes=REGIMES, lookback=LOOKBACK, from_text=True, needs=("sentiment",)
)
def news_sentiment(panel: Panel, z_min: float = 2.0, answered_bars: int = 6) -> Votes:
    """Vote by the lexicon's score. Confidence: 52 plus 3 a deviation beyond z_min, up to 65."""
    return _votes(panel, "sentiment", z_min, answered_bars)


@strategy(
    category="event", regimes=REGIMES, lookback=LOOKBACK, from_text=True,
    needs=("sentiment_judged",),
)  # fmt: skip
def news_sentiment_judged(panel: Panel, z_min: float = 2.0, answered_bars: int = 6) -> Votes:
    """The same by the scores that models gave, as far as they were given in time."""
    return _votes(panel, "sentiment_judged", z_min, answered_bars)


def _votes(panel: Panel, name: str, z_min: float, answered_bars: int) -> Votes:
    if name not in panel.context:
        return Votes.none(panel)
    month = panel.bars_in("30D")
    z = zscore(panel.context[name].to_numpy(), month, round(month * 22 / 24))
    bars = prices(panel)
    moved = answer(bars, answered_bars)
    up = bars.there & (z > z_min) & (moved < 1.0)
    down = bars.there & (z < -z_min) & (moved > -1.0)
    return Votes.of(panel, up, down, (52.0 + 3.0 * (np.abs(z) - z_min)).clip(0.0, 65.0))


def answer(bars: Prices, since: int) -> Floats:
    """How far the price has moved in `since` bars, in means of the last 14 true ranges."""
    earlier = before(bars.close)
    true_range = np.fmax(bars.high, earlier) - np.fmin(bars.low, earlier)
    mean = sma(true_range, 14)
    return (bars.close - before(bars.close, since)) / np.where(mean > 0, mean, np.nan)
