"""Indicators: TA-Lib behind one door, with the guards it lacks.

Each function takes one series (bars,) or a frame (bars x symbols) and gives back the same shape.
A hole inside a series (a missing bar) is bridged with the last close, because one NaN would make
TA-Lib's averages NaN for ever; holes before the first price stay NaN, as does the warm-up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import talib

Bars = TypeVar("Bars", "pd.Series[Any]", pd.DataFrame, np.ndarray)
_FLAT = 1e-12


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


def ema(close: Bars, n: int) -> Bars:
    """Exponential mean with alpha 2 / (n + 1), seeded with the mean of the first n."""
    return _by_column(lambda c: talib.EMA(c, n), close)


def rsi(close: Bars, n: int = 14) -> Bars:
    """Wilder's RSI, 0-100. NaN while the last n + 1 closes are flat: no move is not oversold."""

    def moving(c: np.ndarray) -> np.ndarray:
        flat = talib.MAX(c, n + 1) - talib.MIN(c, n + 1) <= _FLAT * np.abs(c)
        return np.where(flat, np.nan, talib.RSI(c, n))

    return _by_column(moving, close)


def atr(high: Bars, low: Bars, close: Bars, n: int = 14) -> Bars:
    """Wilder's average true range, in price units."""
    return _by_column(lambda h, lo, c: talib.ATR(h, lo, c, n), high, low, close)


def adx(high: Bars, low: Bars, close: Bars, n: int = 14) -> Adx:
    """Wilder's ADX with +DI and -DI."""
    return Adx(
        _by_column(lambda h, lo, c: talib.ADX(h, lo, c, n), high, low, close),
        _by_column(lambda h, lo, c: talib.PLUS_DI(h, lo, c, n), high, low, close),
        _by_column(lambda h, lo, c: talib.MINUS_DI(h, lo, c, n), high, low, close),
    )


def bollinger(close: Bars, n: int = 20, k: float = 2.0) -> Bollinger:
    """Bollinger's bands (ddof 0)."""
    upper, middle, lower = (
        _by_column(lambda c, part=part: talib.BBANDS(c, n, k, k)[part], close) for part in range(3)
    )
    width = upper - lower
    percent_b = (close - lower) / np.where(width > 0, width, np.nan)
    return Bollinger(upper, middle, lower, width / middle, percent_b)


def _by_column(function: Callable[..., np.ndarray], *inputs: Any) -> Any:
    """Apply to each column from its first whole bar on; give back the first input's type."""
    columns = [np.asarray(x, dtype=np.float64) for x in inputs]
    shape = columns[0].shape
    columns = [x.reshape(len(x), shape[1] if len(shape) > 1 else 1) for x in columns]
    out = np.full(columns[0].shape, np.nan)
    for j in range(out.shape[1]):
        bars = np.column_stack([x[:, j] for x in columns])
        whole = np.flatnonzero(np.isfinite(bars).all(axis=1))
        if len(whole):
            out[whole[0] :, j] = _on_bridged(function, bars[whole[0] :])
    out = out.reshape(shape)
    first = inputs[0]
    if isinstance(first, pd.DataFrame):
        return pd.DataFrame(out, index=first.index, columns=first.columns)
    if isinstance(first, pd.Series):
        return pd.Series(out, index=first.index, name=first.name)
    return out


def _on_bridged(function: Callable[..., np.ndarray], bars: np.ndarray) -> np.ndarray:
    bad = ~np.isfinite(bars).all(axis=1)
    if bad.any():
        close = pd.Series(np.where(bad, np.nan, bars[:, -1])).ffill().to_numpy()
        bars = np.where(bad[:, None], close[:, None], bars)
    return function(*(np.ascontiguousarray(bars[:, k]) for k in range(bars.shape[1])))
