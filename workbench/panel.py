"""Closed bars of many symbols on one UTC grid, with whatever was known beside them.

Built and checked once, at the door; slices of it are never checked again. It holds and cuts, and
computes nothing beyond the last usable close.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Floats, Ints
from workbench.errors import UsageError

Context = Mapping[str, "pd.DataFrame | pd.Series[Any]"]
CARRY = "~carry"
_TIMEFRAME = re.compile(r"([0-9]{1,5})([mhdw])")
_DAY = pd.Timedelta(days=1)
_UNITS = {
    "m": pd.Timedelta(minutes=1),
    "h": pd.Timedelta(hours=1),
    "d": pd.Timedelta(days=1),
    "w": pd.Timedelta(weeks=1),
}


def parse_timeframe(text: str) -> pd.Timedelta:
    """'15m', '1h', '1d' -> Timedelta. Raises UsageError for anything else."""
    match = _TIMEFRAME.fullmatch(str(text))
    if match is None or int(match[1]) == 0:
        raise UsageError(f"timeframe {text!r} is not one; write it as 15m, 1h, 4h or 1d")
    return (int(match[1]) * _UNITS[match[2]]).as_unit("us")


def is_carry(symbol: str) -> bool:
    """Is it a pair, long spot and short perpetual, traded as one instrument (BTC/USDT~carry)?"""
    return symbol.endswith(CARRY)


def underlying(symbol: str) -> str:
    """The market an instrument is about: BTC/USDT~carry -> BTC/USDT."""
    return symbol.removesuffix(CARRY)


class _Cut(Mapping[str, "pd.DataFrame | pd.Series[Any]"]):
    """Some rows and symbols of a context, each series cut when it is looked at: a strategy reads
    two or three of thirty."""

    def __init__(self, whole: Context, rows: slice, symbols: list[str] | None = None) -> None:
        self._whole, self._rows, self._symbols = whole, rows, symbols
        self._cut: dict[str, pd.DataFrame | pd.Series[Any]] = {}

    def __getitem__(self, name: str) -> pd.DataFrame | pd.Series[Any]:
        if name not in self._cut:
            series = self._whole[name].iloc[self._rows]
            if self._symbols is not None and isinstance(series, pd.DataFrame):
                series = series[self._symbols]
            self._cut[name] = series
        return self._cut[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole)

    def __len__(self) -> int:
        return len(self._whole)


@dataclass(frozen=True, eq=False)
class Panel:
    """Closed bars of all symbols on one full UTC grid (a missing bar is a row of NaN).

    Frames are bars x symbols, rows named by open time, columns ascending. `context` holds series
    already joined as of each bar's close. `source` says where it is from; a made-up world's begins
    with SYNTHETIC and shows wherever its numbers do.
    """

    open: pd.DataFrame
    high: pd.DataFrame
    low: pd.DataFrame
    close: pd.DataFrame
    volume: pd.DataFrame
    timeframe: pd.Timedelta
    context: Context = field(default_factory=lambda: MappingProxyType({}))
    source: str = ""

    @classmethod
    def from_frames(
        cls,
        *,
        open: pd.DataFrame,
        high: pd.DataFrame,
        low: pd.DataFrame,
        close: pd.DataFrame,
        volume: pd.DataFrame,
        timeframe: str | pd.Timedelta = "1h",
        context: Context | None = None,
        source: str = "",
    ) -> Panel:
        """Build and check a panel. Raises UsageError naming the frame and the row at fault."""
        step = timeframe if isinstance(timeframe, pd.Timedelta) else parse_timeframe(timeframe)
        given = {"open": open, "high": high, "low": low, "close": close, "volume": volume}
        grid = _grid(close, "close", step)
        frames = {name: _aligned(frame, name, close, grid) for name, frame in given.items()}
        joined: dict[str, pd.DataFrame | pd.Series[Any]] = {}
        for name, series in (context or {}).items():
            if len(series) != len(grid) or not series.index.equals(close.index):
                raise UsageError(f"context {name!r} does not lie on the panel's rows")
            if isinstance(series, pd.DataFrame):
                if set(series.columns) != set(close.columns):
                    raise UsageError(f"context {name!r} does not have the panel's symbols")
                series = series[sorted(series.columns)]  # noqa: PLW2901
            joined[name] = series.set_axis(grid, axis=0)
        return cls(**frames, timeframe=step, context=MappingProxyType(joined), source=source)

    @cached_property
    def index(self) -> pd.DatetimeIndex:
        """Open times of the bars."""
        return pd.DatetimeIndex(self.close.index)

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self.close.columns)

    @cached_property
    def close_times(self) -> pd.DatetimeIndex:
        """When each bar became known."""
        return self.index + self.timeframe

    @property
    def synthetic(self) -> bool:
        return self.source.startswith("SYNTHETIC")

    def __len__(self) -> int:
        return len(self.close)

    def until(self, as_of: pd.Timestamp) -> Panel:
        """The bars that were closed at `as_of`."""
        return self._rows(slice(0, int(self.close_times.searchsorted(as_of, side="right"))))

    def since(self, start: pd.Timestamp) -> Panel:
        """The bars that open at `start` or later."""
        return self._rows(slice(int(self.index.searchsorted(start)), len(self)))

    def tail(self, bars: int) -> Panel:
        """The last `bars` bars."""
        return self._rows(slice(max(len(self) - bars, 0), len(self)))

    def rows(self, first: int, last: int) -> Panel:
        """Bars `first` up to but not including `last`, by position."""
        return self._rows(slice(first, last))

    def columns(self, symbols: Sequence[str]) -> Panel:
        """The same bars of some of the symbols, in ascending order. KeyError for a stranger."""
        names = sorted(symbols)
        at = {symbol: j for j, symbol in enumerate(self.symbols)}
        here = [at[name] for name in names]

        def chosen(frame: pd.DataFrame) -> pd.DataFrame:  # a tenth of what frame[names] takes
            return pd.DataFrame(frame.to_numpy()[:, here], frame.index, pd.Index(names), copy=False)

        return Panel(
            chosen(self.open), chosen(self.high), chosen(self.low), chosen(self.close),
            chosen(self.volume), self.timeframe, _Cut(self.context, slice(None), names),
            self.source,
        )  # fmt: skip

    def bars_in(self, duration: str | pd.Timedelta) -> int:
        """How many bars a duration has ("30D"), at least 1."""
        return max(round(pd.Timedelta(duration) / self.timeframe), 1)

    def with_context(self, **series: pd.DataFrame | pd.Series[Any]) -> Panel:
        """The same bars with more context; each series must lie on the panel's rows."""
        return Panel.from_frames(
            open=self.open, high=self.high, low=self.low, close=self.close, volume=self.volume,
            timeframe=self.timeframe, context={**self.context, **series}, source=self.source,
        )  # fmt: skip

    @cached_property
    def marks(self) -> Floats:
        """Last usable close up to each bar (NaN before the first). Shape (bars, symbols)."""
        close = self.close.to_numpy()
        good = (close > 0) & np.isfinite(close)
        row = np.maximum.accumulate(np.where(good, np.arange(len(close))[:, None], -1), axis=0)
        seen = np.take_along_axis(close, np.maximum(row, 0), axis=0) if len(close) else close
        return np.where(row >= 0, seen, np.nan)

    @cached_property
    def bar_numbers(self) -> Ints:
        """Bars since 1970: a number for each bar that means the same after a restart."""
        return self.index.as_unit("us").asi8 // int(self.timeframe / pd.Timedelta(1, unit="us"))

    @cached_property
    def days(self) -> Ints:
        """The UTC day (since 1970) in which each bar's close decides; 00:00 is the new day."""
        return _days(self.close_times)

    @cached_property
    def open_days(self) -> Ints:
        """The UTC day (since 1970) in which each bar opens."""
        return _days(self.index)

    def __getstate__(self) -> dict[str, Any]:
        """For other processes: a view of a context is sent as what it shows."""
        return {**self.__dict__, "context": dict(self.context)}

    def _rows(self, rows: slice) -> Panel:
        return Panel(
            self.open.iloc[rows], self.high.iloc[rows], self.low.iloc[rows],
            self.close.iloc[rows], self.volume.iloc[rows], self.timeframe,
            _Cut(self.context, rows), self.source,
        )  # fmt: skip

    def __repr__(self) -> str:
        if not len(self):
            return f"Panel(no bars of {len(self.symbols)} symbols)"
        return (
            f"Panel({len(self):,} bars of {len(self.symbols)} symbols,"
            f" {self.index[0]:%Y-%m-%d %H:%M} .. {self.index[-1]:%Y-%m-%d %H:%M} UTC,"
            f" context: {', '.join(self.context) or 'none'}"
            f"{', ' + self.source if self.source else ''})"
        )


def _days(times: pd.DatetimeIndex) -> Ints:
    return times.as_unit("us").asi8 // 86_400_000_000


def _grid(frame: pd.DataFrame, name: str, step: pd.Timedelta) -> pd.DatetimeIndex:
    index = frame.index
    if not isinstance(index, pd.DatetimeIndex):
        raise UsageError(f"{name}: the rows must be named by open times, not {index.dtype}")
    if index.tz is None:
        raise UsageError(f"{name}: the open times have no zone; use index.tz_localize('UTC')")
    if index.hasnans:
        raise UsageError(f"{name}: an open time is missing (NaT)")
    index = index.tz_convert("UTC").as_unit("us")  # before the grid is looked at: it is UTC's
    if not index.is_unique:
        raise UsageError(f"{name}: open time {index[index.duplicated()][0]} is there twice")
    if not index.is_monotonic_increasing:
        at = int(np.flatnonzero(np.diff(index.asi8) <= 0)[0]) + 1
        raise UsageError(f"{name}: the rows are not in time order at {index[at]}; sort them first")
    if len(index) > 1:
        gaps = np.flatnonzero(np.diff(index) != step)
        if len(gaps):
            raise UsageError(
                f"{name}: the step after {index[gaps[0]]} is not {step}; a panel lies on one full"
                " grid, a missing bar is a row of NaN (use .reindex)"
            )
    if _DAY % step:
        raise UsageError(
            f"{name}: with a timeframe of {step} bars lie on no UTC grid, for a day is no multiple"
            " of it; use 15m, 1h, 4h or 1d"
        )
    if len(index) and (index[0] - index[0].normalize()) % step:
        raise UsageError(f"{name}: {index[0]} is not on the UTC grid of {step}")
    return index


def _aligned(
    frame: pd.DataFrame, name: str, close: pd.DataFrame, grid: pd.DatetimeIndex
) -> pd.DataFrame:
    if not frame.index.equals(close.index):
        raise UsageError(f"{name}: its rows differ from the rows of close")
    for label, columns in ((name, frame.columns), ("close", close.columns)):
        if not columns.is_unique:
            raise UsageError(f"{label}: symbol {columns[columns.duplicated()][0]} is there twice")
    odd = [column for column in frame.columns if type(column) is not str]
    if odd:
        raise UsageError(f"{name}: its symbols must be text; {odd[0]!r} is not")
    if set(frame.columns) != set(close.columns) or not len(close.columns):
        differ = sorted(map(str, set(frame.columns) ^ set(close.columns)))
        raise UsageError(f"{name}: its symbols differ from those of close: {differ}")
    ordered = frame[sorted(frame.columns)]
    return pd.DataFrame(_numbers(ordered, name), index=grid, columns=ordered.columns)


def _numbers(frame: pd.DataFrame, name: str) -> Floats:
    """The cells as floats. Raises UsageError naming the first cell that is not a real number."""
    for symbol, column in frame.items():
        if column.dtype.kind in "mMc":  # times and complex numbers would turn into prices
            raise UsageError(f"{name}: {symbol} holds {column.dtype}, not prices")
    try:
        return np.ascontiguousarray(frame.to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError):
        for symbol, column in frame.items():
            for time, cell in column.items():
                if not isinstance(cell, int | float | np.number):
                    raise UsageError(
                        f"{name}: {symbol} at {time} is {cell!r}, not a number"
                    ) from None
        raise UsageError(f"{name}: a cell is not a number") from None
