"""Event: an unusual run of good or bad headlines that the price has not answered yet.

Reads the context series `sentiment` (headline scores, decaying, joined when we first saw them).
Its vote is read from words, so it counts only if another category agrees.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.domain import Panel, Votes
from workbench.strategies.indicators import atr
from workbench.strategies.vote import strategy

DAYS = 30


@strategy(
    category="event",
    regimes={"trending", "ranging", "high_vol"},
    lookback=24 * DAYS + 40,
    from_text=True,
)
def news_sentiment(panel: Panel, z_min: float = 2.0, answered_bars: int = 6) -> Votes:
    """Vote while the score stands z_min deviations off its 30 days and price moved under 1 ATR.

    Score: 52 plus 3 a deviation beyond z_min, up to 65. No `sentiment` in the panel: no votes.
    """
    if "sentiment" not in panel.context:
        silent = pd.DataFrame(0, panel.index, panel.close.columns)
        return Votes(side=silent, confidence=silent.astype(float))
    score = pd.DataFrame(panel.context["sentiment"])
    window = score.rolling(24 * DAYS, min_periods=22 * DAYS)
    spread = window.std()
    z = (score - window.mean()) / spread.where(spread > 1e-6)
    close = panel.close.where(panel.close > 0)
    moved = (close - close.shift(answered_bars)) / atr(panel.high, panel.low, close)
    up = (z > z_min) & (moved < 1.0)
    down = (z < -z_min) & (moved > -1.0)
    side = up.astype(int) - down.astype(int)
    confidence = (52.0 + 3.0 * (z.abs() - z_min)).clip(0.0, 65.0).where(side != 0, 0.0)
    return Votes(side=side, confidence=confidence.replace(np.nan, 0.0))
