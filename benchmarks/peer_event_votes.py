"""The event strategies a second time, as one would first write them in pandas.

As in `peer_votes`: a peer takes a panel and gives the frames of side and confidence, nothing here
is of `workbench.strategies`, and rows before a strategy's lookback are compared with nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import norm

from workbench.domain import Panel

Peer = Callable[[Panel], tuple[pd.DataFrame, pd.DataFrame]]
Z, ANSWERED = 2.0, 6


def bars_of(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Closes with the last one in the holes, how far the price moved, and which bars are there."""
    there = panel.high.notna() & panel.low.notna() & (panel.close > 0)
    close = panel.close.where(there).ffill()
    high, low = panel.high.where(there, close), panel.low.where(there, close)
    last = close.shift(1)
    true_range = (high - low).where(last.notna())
    for other in ((high - last).abs(), (low - last).abs()):
        true_range = true_range.where(~(other > true_range), other)
    mean = true_range.rolling(14).mean()
    return close, (close - close.shift(ANSWERED)) / mean.where(mean > 0), there


def z_of(values: pd.DataFrame, n: int, least: int) -> pd.DataFrame:
    """Population deviations off the mean of the last n; NaN for a series that stands still."""
    window = values.rolling(n, min_periods=least)
    spread = window.std(ddof=0)
    still = spread**2 <= 1e-6 * (values**2).rolling(n, min_periods=least).mean()
    return (values - window.mean()) / spread.mask(still)


def begun(state: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    return state & ~state.shift(1, fill_value=True) & known.shift(1, fill_value=False)


def frame_of(panel: Panel, name: str) -> pd.DataFrame:
    """A context series as a frame, the same for every symbol."""
    told = panel.context[name]
    if isinstance(told, pd.DataFrame):
        return told
    return pd.DataFrame(dict.fromkeys(panel.symbols, told))


def votes(
    up: pd.DataFrame, down: pd.DataFrame, confidence: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    side = up.astype(int) - down.astype(int)
    return side, confidence.where(side != 0, 0.0)


def news(panel: Panel, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    month = panel.bars_in("30D")
    z = z_of(frame_of(panel, name), month, round(month * 22 / 24))
    _, moved, there = bars_of(panel)
    sure = (52.0 + 3.0 * (z.abs() - Z)).clip(0.0, 65.0)
    return votes(there & (z > Z) & (moved < 1), there & (z < -Z) & (moved > -1), sure)


def news_sentiment(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    return news(panel, "sentiment")


def news_sentiment_judged(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    return news(panel, "sentiment_judged")


def odds_divergence(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    month, a_bar = panel.bars_in("30D"), panel.timeframe / pd.Timedelta(1, unit="h")
    names = ("odds_probability", "odds_strike", "odds_hours", "odds_touch")
    told, strike, hours, touch = (frame_of(panel, name) for name in names)
    close, moved, there = bars_of(panel)
    returns = np.log(close / close.shift(1))
    vol = np.sqrt((returns**2).rolling(month).mean())
    deviation = vol * np.sqrt(hours.clip(lower=0.0) / a_bar)
    deviation = deviation.where(deviation > 1e-9)
    d1 = np.log(close / strike) / deviation + deviation / 2
    d2 = d1 - deviation
    end = pd.DataFrame(norm.cdf(d2), close.index, close.columns)
    rise = norm.cdf(d2) + close / strike * norm.cdf(d1)
    dip = norm.cdf(-d2) + close / strike * norm.cdf(-d1)
    model = end.where(touch == 0, rise.where(touch > 0, dip))
    asked = (model > 0.02) & (model < 0.98) & (told > 0) & (told < 1)
    gap = (np.log(told / (1 - told)) - np.log(model / (1 - model))).where(asked)
    z = z_of(gap, month, month // 2)
    same = (strike == strike.shift(1)) & (touch == touch.shift(1))
    same &= (hours.shift(1) - hours - a_bar).abs() < 0.01
    fresh = same & (told.diff() * z > 0)
    return passing(z * np.where(touch < 0, -1.0, 1.0), fresh & there, moved)


def odds_divergence_fed(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    month, day = panel.bars_in("30D"), panel.bars_in("1D")
    expected, hours = frame_of(panel, "fed_expected_bps"), frame_of(panel, "fed_meeting_hours")
    steady = ((hours.shift(day) - hours - 24).abs() < 0.01) & (hours > 24)
    measured = (expected - expected.shift(day)).where(steady)
    z = z_of(measured, month, month // 2)
    if "fed_expected_bps_futures" in panel.context:
        implied = frame_of(panel, "fed_expected_bps_futures")
        level = (expected - implied).where(
            steady & (frame_of(panel, "fed_meeting_hours_futures") == hours)
        )
        against = z_of(level, month, month // 2)
        measured, z = level.where(against.notna(), measured), against.where(against.notna(), z)
    _, moved, there = bars_of(panel)
    sound = (measured.abs() >= 2.5) & (expected.diff() * z > 0)
    return passing(-z, sound & there, moved)


def passing(
    z: pd.DataFrame, sound: pd.DataFrame, moved: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    up = begun(z > Z, z.notna()) & sound & (moved < 1)
    down = begun(z < -Z, z.notna()) & sound & (moved > -1)
    return votes(up, down, (50.0 + 2.0 * (z.abs() - Z)).clip(0.0, 58.0))


PEERS: dict[str, Peer] = {
    "news_sentiment": news_sentiment,
    "news_sentiment_judged": news_sentiment_judged,
    "odds_divergence": odds_divergence,
    "odds_divergence_fed": odds_divergence_fed,
}
"""By the strategy's name."""
