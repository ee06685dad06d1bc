"""Indicators: TA-Lib behind one door, with the guards it lacks, and the words strategies share.

An indicator takes one series (bars,), a frame or an array (bars x symbols) and gives back the same.
A hole inside a series (a missing bar) is bridged with the last close, because one NaN would make
TA-Lib's averages NaN for ever; holes before the first price stay NaN, as does the warm-up. The
words (`before`, `begins`, ...) take arrays (bars, symbols) only. Everything is causal.

An array of columns that lie next to each other in memory (Fortran's order) is read without a copy;
`prices` and every indicator give such arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import talib

from workbench.arrays import Bools, Floats, Ints
from workbench.domain import Panel

Bars = TypeVar("Bars", "pd.Series[Any]", pd.DataFrame, np.ndarray)
_FLAT = 1e-12  # relative; smaller moves are a float's last digits
_STILL = 1e-6  # relative; a running sum of squares is off by some 1e-13, its root by 3e-7


class Adx(NamedTuple):
    """Wilder's trend strength and its two directions, each 0-100 and shaped as the input."""

    adx: Any
    plus_di: Any
    minus_di: Any


class Bollinger(NamedTuple):
    """Bands at k population deviations; bandwidth = (upper - lower) / middle."""

    upper: Any
    middle: Any
    lower: Any
    bandwidth: Any
    percent_b: Any


class Channel(NamedTuple):
    """Donchian's channel: the highest high and the lowest low."""

    upper: Any
    lower: Any


class Prices(NamedTuple):
    """A panel's bars as arrays (bars, symbols), holes bridged: nobody traded at the last close.

    `there` says which bars are real; a missing one has volume 0, one before the first price NaN.
    """

    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    there: Bools


# --- indicators ---------------------------------------------------------------------------------


def ema(close: Bars, n: int) -> Bars:
    """Exponential mean with alpha 2 / (n + 1), seeded with the mean of the first n."""
    return _by_column([lambda c: talib.EMA(c, n)], close)[0]


def sma(values: Bars, n: int) -> Bars:
    """Mean of the last n."""
    return _by_column([lambda x: talib.SMA(x, n)], values)[0]


def highest(values: Bars, n: int) -> Bars:
    """Highest of the last n, this bar's own included."""
    return _by_column([lambda x: talib.MAX(x, n)], values)[0]


def lowest(values: Bars, n: int) -> Bars:
    """Lowest of the last n, this bar's own included."""
    return _by_column([lambda x: talib.MIN(x, n)], values)[0]


def channel(high: Bars, low: Bars, close: Bars, n: int = 20) -> Channel:
    """Donchian's channel of the last n bars, this one included: no close is ever outside it. A
    breakout is told by the channel of the bar before."""
    upper, lower = _by_column(
        [lambda h, _l, _c: talib.MAX(h, n), lambda _h, lo, _c: talib.MIN(lo, n)], high, low, close
    )
    return Channel(upper, lower)


def rsi(close: Bars, n: int = 14) -> Bars:
    """Wilder's RSI, 0-100. NaN while the last n + 1 closes are flat: no move is not oversold."""

    def moving(c: Floats) -> Floats:
        flat = talib.MAX(c, n + 1) - talib.MIN(c, n + 1) <= _FLAT * np.abs(c)
        return np.where(flat, np.nan, talib.RSI(c, n))

    return _by_column([moving], close)[0]


def atr(high: Bars, low: Bars, close: Bars, n: int = 14) -> Bars:
    """Wilder's average true range, in price units."""
    return _by_column([lambda h, lo, c: talib.ATR(h, lo, c, n)], high, low, close)[0]


def adx(high: Bars, low: Bars, close: Bars, n: int = 14) -> Adx:
    """Wilder's ADX with +DI and -DI."""
    return Adx(
        *_by_column(
            [
                lambda h, lo, c: talib.ADX(h, lo, c, n),
                lambda h, lo, c: talib.PLUS_DI(h, lo, c, n),
                lambda h, lo, c: talib.MINUS_DI(h, lo, c, n),
            ],
            high, low, close,
        )
    )  # fmt: skip


def bollinger(close: Bars, n: int = 20, k: float = 2.0) -> Bollinger:
    """Bollinger's bands (ddof 0). A market that does not move has width 0 and no percent_b."""
    middle, spread = _by_column(
        [lambda c: talib.SMA(c, n), lambda c: talib.STDDEV(c, n, 1.0)], close
    )
    spread = spread * (spread > _STILL * middle)
    upper, lower = middle + k * spread, middle - k * spread
    width = upper - lower
    percent_b = (close - lower) / np.where(width > 0, width, np.nan)
    return Bollinger(upper, middle, lower, width / middle, percent_b)


def zscore(values: Floats, n: int, least: int) -> Floats:
    """How many population deviations a value lies off the mean of the last n (bars, symbols).

    NaN where it is unknown, fewer than `least` are known, or they do not differ: a series that
    repeats itself is a feed that fell silent. For series about zero, such as flows: the sums run on
    from the first bar, and a mean far above the deviation would cost digits.
    """
    rows = _as_rows(values)
    out = np.full(rows.shape, np.nan)
    for j, row in enumerate(rows):
        known = np.isfinite(row)
        if known.any():
            out[j] = _zscore(np.where(known, row, 0.0), known, n, least)
    return out.T.reshape(values.shape)


def _zscore(values: Floats, known: Bools, n: int, least: int) -> Floats:
    count = _rolling_sum(known.astype(np.float64), n)
    each = np.where(known & (count >= least), count, np.nan)
    mean = _rolling_sum(values, n) / each
    mean_square = _rolling_sum(values * values, n) / each
    variance = mean_square - mean * mean
    moves = variance > _STILL * mean_square
    return (values - mean) / np.sqrt(np.where(moves, variance, np.nan))


def _rolling_sum(values: Floats, n: int) -> Floats:
    """Sum of the last n, of as many as there are at the start."""
    total = np.cumsum(values)
    out = total.copy()
    out[n:] -= total[:-n]
    return out


# --- words ----------------------------------------------------------------------------------------


def prices(panel: Panel) -> Prices:
    """The panel's bars, bridged. A bar with a missing column or a price of 0 is a hole."""
    high, low, close, volume = (
        np.asfortranarray(frame.to_numpy())
        for frame in (panel.high, panel.low, panel.close, panel.volume)
    )
    there = np.isfinite(high) & np.isfinite(low) & np.isfinite(close) & (close > 0)
    volume = np.where(there & np.isfinite(volume), volume, 0.0)
    if there.all():
        return Prices(high, low, close, volume, there)
    last = _last_true(there)
    held = np.where(last >= 0, np.take_along_axis(close, np.maximum(last, 0), axis=0), np.nan)
    return Prices(
        np.where(there, high, held), np.where(there, low, held), held,
        np.where(last >= 0, volume, np.nan), there,
    )  # fmt: skip


def priced(panel: Panel) -> Bools:
    """Which bars have a price to trade at (bars, symbols)."""
    close = panel.close.to_numpy()
    return np.isfinite(close) & (close > 0)


def before(values: Any, bars: int = 1) -> Any:
    """What it was so many bars earlier; False or NaN where there was no bar."""
    nothing = False if values.dtype == np.bool_ else np.nan
    out = np.full_like(values, nothing)
    out[bars:] = values[: len(values) - bars] if bars < len(values) else out[bars:]
    return out


def ratio(values: Floats, by: Floats) -> Floats:
    """One over the other; NaN where the other is not above 0."""
    return values / np.where(by > 0, by, np.nan)


def begins(state: Bools, known: Bools | None = None) -> Bools:
    """The first bar of a state; a state on the very first row has not begun there.

    `known` says where a state that is off is known to be off: what only becomes known has not
    begun either.
    """
    begun = state & ~before(state)
    begun[:1] = False
    return begun if known is None else begun & before(known)


def bars_since(state: Bools) -> Floats:
    """How many bars ago a state was last on: 0 while it is, infinite if it never was."""
    last = _last_true(state)
    return np.where(last >= 0, np.arange(len(state))[:, None] - last, np.inf)


def within(state: Bools, bars: int) -> Bools:
    """Was a state on at this bar or one of the bars - 1 before it?"""
    return bars_since(state) < bars


def _last_true(state: Bools) -> Ints:
    """The row at which a state was last on, -1 before there was one."""
    rows = np.arange(len(state))[:, None]
    return np.maximum.accumulate(np.where(state, rows, -1), axis=0)


# --- whole UTC days -------------------------------------------------------------------------------


def daily_last(values: Floats, panel: Panel) -> Floats:
    """The last known value of each UTC day from the panel's first on (days, symbols); NaN on a day
    without one. The last day may be going on still: `at_day_ends` does not show it."""
    days = panel.open_days
    final = np.flatnonzero(np.diff(days, append=days[-1:] + 1))
    first = np.append(0, final + 1)
    out = values[final]
    for d, j in zip(*np.nonzero(~np.isfinite(out)), strict=True):
        known = values[first[d] : final[d], j]
        known = known[np.isfinite(known)]
        out[d, j] = known[-1] if len(known) else np.nan
    return out


def at_day_ends(daily: Any, panel: Panel) -> Any:
    """A fact of each UTC day (days, symbols) at the close that completes the day, which is the
    first that may know it; False or NaN at every other close."""
    ends = np.flatnonzero(panel.days != panel.open_days)
    nothing = False if daily.dtype == np.bool_ else np.nan
    out = np.full((len(panel), *daily.shape[1:]), nothing, daily.dtype)
    out[ends] = daily[panel.open_days[ends] - panel.open_days[:1]]
    return out


# --- TA-Lib's door --------------------------------------------------------------------------------


def _by_column(functions: list[Callable[..., Floats]], *inputs: Any) -> list[Any]:
    """What each function makes of each column from its first whole bar on; the first input's type.

    A bar is whole if every input has it; a hole is the last input's last value in all of them.
    """
    shape = np.shape(inputs[0])
    rows = [_as_rows(x) for x in inputs]
    whole: Bools = np.isfinite(rows[0])
    for x in rows[1:]:
        whole &= np.isfinite(x)
    complete: Any = whole.all(axis=1)
    out = np.full((len(functions), *whole.shape), np.nan)
    for j in np.flatnonzero(whole.any(axis=1)):
        columns, first = [x[j] for x in rows], 0
        if not complete[j]:
            first = int(whole[j].argmax())
            columns = _bridged([x[first:] for x in columns], whole[j, first:])
        for k, function in enumerate(functions):
            out[k, j, first:] = function(*columns)
    return [_like(inputs[0], x.T.reshape(shape)) for x in out]


def _as_rows(values: Any) -> Floats:
    """A series or each column of a frame as a row of its own (symbols, bars)."""
    array = np.asarray(values, dtype=np.float64)
    return np.ascontiguousarray(array[None, :] if array.ndim == 1 else array.T)


def _bridged(columns: list[Floats], whole: Bools) -> list[Floats]:
    if whole.all():
        return columns
    last = np.maximum.accumulate(np.where(whole, np.arange(len(whole)), 0))
    held = columns[-1][last]
    return [np.where(whole, x, held) for x in columns]


def _like(given: Any, values: Floats) -> Any:
    if isinstance(given, pd.DataFrame):
        return pd.DataFrame(values, given.index, given.columns, copy=False)
    if isinstance(given, pd.Series):
        return pd.Series(values, given.index, name=given.name)
    return values
