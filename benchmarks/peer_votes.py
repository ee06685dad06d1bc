"""The strategies a second time, as one would first write them in pandas; see votes_speed.

Every peer takes a panel and gives the frames of side and confidence. Nothing here is of
`workbench.strategies`, and no TA-Lib: Wilder's means are seeded by hand, so that the tests can hold
the two against each other, cell by cell. A peer takes the definition at its word over whole frames;
it does not know of `lookback`, so rows before it are compared with nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from workbench.domain import Panel

Peer = Callable[[Panel], tuple[pd.DataFrame, pd.DataFrame]]


# --- indicators -----------------------------------------------------------------------------------


def bridged(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """High, low, close with missing bars as the last close, and which bars are there."""
    there = panel.high.notna() & panel.low.notna() & (panel.close > 0)
    close = panel.close.where(there).ffill()
    return panel.high.where(there, close), panel.low.where(there, close), close, there


def each(function: Callable[..., pd.Series], *frames: pd.DataFrame) -> pd.DataFrame:
    """A function of one symbol's series, from its first price on, for all symbols."""
    columns = {}
    for symbol in frames[0].columns:
        series = [frame[symbol].dropna() for frame in frames]
        columns[symbol] = function(*series)
    return pd.DataFrame(columns).reindex(frames[0].index)


def seeded(values: pd.Series, n: int, alpha: float) -> pd.Series:
    """An exponential mean that begins as the plain mean of its first n known values."""
    known = values.dropna()
    if len(known) < n:
        return values * np.nan
    start = pd.Series([known.iloc[:n].mean()], known.index[n - 1 : n])
    smooth = pd.concat([start, known.iloc[n:]]).ewm(alpha=alpha, adjust=False).mean()
    return smooth.reindex(values.index)


def ema(close: pd.Series, n: int) -> pd.Series:
    return seeded(close, n, 2.0 / (n + 1.0))


def wilder(values: pd.Series, n: int) -> pd.Series:
    return seeded(values, n, 1.0 / n)


def rsi(close: pd.Series, n: int = 14) -> pd.Series:
    move = close.diff()
    gain = wilder(move.clip(lower=0.0), n)
    loss = wilder((-move).clip(lower=0.0), n)
    flat = close.rolling(n + 1).max() - close.rolling(n + 1).min() <= 1e-12 * close
    return (100.0 * gain / (gain + loss)).mask(flat)


def true_range(high: pd.Series, low: pd.Series, close: pd.Series) -> pd.Series:
    last = close.shift(1)
    ranges = pd.concat([high - low, (high - last).abs(), (low - last).abs()], axis=1)
    return ranges.max(axis=1).where(last.notna())


def atr(high: pd.Series, low: pd.Series, close: pd.Series, n: int = 14) -> pd.Series:
    return wilder(true_range(high, low, close), n)


def direction(moved: pd.DataFrame, ranges: pd.DataFrame, n: int = 14) -> pd.DataFrame:
    """+DI of the upward moves, -DI of the downward ones. Wilder's sums begin as those of n - 1
    bars, and the bar after these is the first that is told."""

    def summed(values: pd.Series) -> pd.Series:
        known = values.dropna()
        start = pd.Series([known.iloc[: n - 1].sum() / n], known.index[n - 2 : n - 1])
        smooth = pd.concat([start, known.iloc[n - 1 :]]).ewm(alpha=1.0 / n, adjust=False).mean()
        return smooth.iloc[1:].reindex(values.index)

    return 100.0 * each(summed, moved) / each(summed, ranges)


def directions(
    high: pd.DataFrame, low: pd.DataFrame, close: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """ADX, +DI, -DI."""
    rise, fall = high.diff(), -low.diff()
    ranges = each(true_range, high, low, close)
    known = ranges.notna()
    plus = direction(rise.where((rise > fall) & (rise > 0), 0.0).where(known), ranges)
    minus = direction(fall.where((fall > rise) & (fall > 0), 0.0).where(known), ranges)
    adx = each(lambda dx: wilder(dx, 14), 100.0 * (plus - minus).abs() / (plus + minus))
    return adx, plus, minus


def bands(close: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Upper, middle, lower."""
    middle, spread = close.rolling(20).mean(), close.rolling(20).std(ddof=0)
    return middle + 2.0 * spread, middle, middle - 2.0 * spread


def starts(state: pd.DataFrame) -> pd.DataFrame:
    return state & ~state.shift(1, fill_value=True)


def cast(
    up: pd.DataFrame, down: pd.DataFrame, confidence: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    side = up.astype(int) - down.astype(int)
    return side, confidence.fillna(0.0).where(side != 0, 0.0)


# --- strategies -----------------------------------------------------------------------------------


def ema_adx(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    high, low, close, there = bridged(panel)
    fast, slow = each(lambda c: ema(c, 12), close), each(lambda c: ema(c, 26), close)
    strength, plus, minus = directions(high, low, close)
    strong = (strength >= 25.0) & there
    up = starts(strong & (fast > slow) & (plus > minus))
    down = starts(strong & (fast < slow) & (minus > plus))
    return cast(up, down, (55.0 + 0.6 * (strength - 25.0)).clip(0.0, 70.0))


def rsi_bounce(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    _, _, close, there = bridged(panel)
    value = each(rsi, close).where(there)
    up = (value.shift(1) < 30.0) & (value >= 30.0)
    down = (value.shift(1) > 70.0) & (value <= 70.0)
    recent = value.rolling(10, min_periods=1)
    depth = (30.0 - recent.min()).where(up, recent.max() - 70.0)
    return cast(up, down, (52.0 + 0.8 * depth).clip(0.0, 68.0))


def momentum_breakout(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    high, low, close, there = bridged(panel)
    volume = panel.volume.where(there, 0.0).where(close.notna())
    upper = high.shift(1).rolling(20).max()
    lower = low.shift(1).rolling(20).min()
    loud = (volume > 1.5 * volume.rolling(20).mean()) & there
    up, down = starts(close > upper) & loud, starts(close < lower) & loud
    outside = (close - upper).where(up, lower - close)
    return cast(up, down, (55.0 + 10.0 * outside / each(atr, high, low, close)).clip(0.0, 70.0))


def bollinger_squeeze(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    high, low, close, there = bridged(panel)
    upper, middle, lower = bands(close)
    width = (upper - lower) / middle
    squeezed = (width <= width.rolling(125).min()) & (width > 0)
    soon = squeezed.shift(1).rolling(20, min_periods=1).max() == 1.0
    soon &= (directions(high, low, close)[0] < 20.0) & there
    inside = (close >= lower) & (close <= upper)
    up = soon & inside & (close < lower).shift(1, fill_value=False)
    down = soon & inside & (close > upper).shift(1, fill_value=False)
    half = (upper - lower) / 2.0
    outside = ((close - middle).abs() / half - 1.0).shift(1)
    return cast(up, down, (52.0 + 20.0 * outside).clip(0.0, 66.0))


def bollinger_squeeze_breakout(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    high, low, close, there = bridged(panel)
    upper, middle, lower = bands(close)
    width = (upper - lower) / middle
    squeezed = (width <= width.rolling(125).min()) & (width > 0)
    above, below = close > upper, close < lower
    bar = pd.DataFrame(
        np.tile(np.arange(len(close))[:, None], close.shape[1]), close.index, close.columns
    ).astype(float)
    last_squeeze = bar.where(squeezed).ffill().shift(1)
    last_outside = bar.where(above | below).ffill().shift(1).fillna(-1.0)
    first = (bar - last_squeeze <= 10) & (last_outside <= last_squeeze) & there
    up = first & above & (close > close.shift(20))
    down = first & below & (close < close.shift(20))
    outside = (close - upper).where(up, lower - close)
    return cast(up, down, (54.0 + 10.0 * outside / each(atr, high, low, close)).clip(0.0, 68.0))


def macro_trend(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Days as a calendar: each day's facts get the time at which the day ends."""

    def of_days(frame: pd.DataFrame | pd.Series) -> pd.DataFrame | pd.Series:
        daily = frame.resample("1D").last()
        return daily.set_axis(daily.index + pd.Timedelta(days=1))

    price = panel.close.where(panel.close > 0)
    close = of_days(price)
    bitcoin = close["BTC/USDT"]
    mean = bitcoin.rolling(200, min_periods=190).mean()
    rise = close / close.shift(28) - 1.0
    dollar, vix = of_days(panel.context["dxy"]), of_days(panel.context["vix"])
    slope = dollar - dollar.shift(20)
    alive = dollar.rolling(7).max() > dollar.rolling(7).min()
    line = vix.rolling(365, min_periods=300).quantile(0.8)
    told = mean.notna() & bitcoin.notna() & slope.notna() & alive & line.notna() & vix.notna()
    fine = (bitcoin > mean) & (slope <= 0.0) & (vix < line)
    known = rise.notna().mul(told, axis=0)
    state = (rise > 0.0).mul(fine, axis=0) & known
    begun = starts(state) & known.shift(1, fill_value=False)
    # a fact is the vote of one bar, the one that closes as its day ends
    at = panel.close_times
    up = begun.reindex(at, fill_value=False).set_axis(panel.index) & price.notna()
    sure = (52.0 + 50.0 * rise).clip(0.0, 66.0).reindex(at).set_axis(panel.index)
    return cast(up, up & False, sure)


def whale_flow(panel: Panel) -> tuple[pd.DataFrame, pd.DataFrame]:
    window, least = panel.bars_in("30D"), panel.bars_in("22D")
    there = panel.high.notna() & panel.low.notna() & (panel.close > 0)
    up = down = decided = there & False
    size = panel.close * 0.0
    for name in ("whale_flow", "netflow"):
        if name not in panel.context:
            continue
        flow = panel.context[name]
        past = flow.rolling(window, min_periods=least)
        z = (flow - past.mean()) / past.std(ddof=0)
        z = z.where(past.var(ddof=0) > 1e-6 * (flow**2).rolling(window, min_periods=least).mean())
        known, mine = z.notna(), z.notna() & ~decided
        was_known = known.shift(1, fill_value=False)
        up = up | (starts(z < -2.0) & was_known & mine)
        down = down | (starts(z > 2.0) & was_known & mine)
        size = z.abs().where(mine, size)
        decided = decided | known
    return cast(up & there, down & there, (52.0 + 3.0 * (size - 2.0)).clip(0.0, 65.0))


PEERS: dict[str, Peer] = {
    "ema_adx": ema_adx,
    "rsi_bounce": rsi_bounce,
    "momentum_breakout": momentum_breakout,
    "bollinger_squeeze": bollinger_squeeze,
    "bollinger_squeeze_breakout": bollinger_squeeze_breakout,
    "macro_trend": macro_trend,
    "whale_flow": whale_flow,
}
"""By the strategy's name."""
