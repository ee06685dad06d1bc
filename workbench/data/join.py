"""As-of joins: what was known at a moment, and how long ago it was heard.

Pure array functions. A row counts only once it is available; a late row about an older event
never replaces a newer event that is already known. Nothing here fills, interpolates or looks at a
later row: before the first row the answer is NaN.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl

from workbench.arrays import Floats, Ints
from workbench.domain import UsageError

US_PER_HOUR = 3_600_000_000


def micros(times: pd.DatetimeIndex) -> Ints:
    """Microseconds since 1970, whatever unit the index has. Raises UsageError without a zone."""
    if times.tz is None:
        raise UsageError("times have no zone; use .tz_localize('UTC') on what is known to be UTC")
    return times.as_unit("us").asi8


def instants(column: pl.Series) -> pd.DatetimeIndex:
    """A polars time column as a UTC index."""
    stamps = column.dt.timestamp("us").to_numpy()
    return pd.DatetimeIndex(stamps.view("datetime64[us]")).tz_localize("UTC")


def as_of(
    times: pd.DatetimeIndex,
    available_at: pd.DatetimeIndex,
    event_time: pd.DatetimeIndex,
    values: Floats,
) -> Floats:
    """The last value known at each time: of the rows available by then, the latest event's.

    Of two rows about one event the one available later is its revision and counts from then on;
    of two available at one moment the later in the given order. A NaN says nothing and is passed
    over. NaN before the first row.
    """
    values = np.asarray(values, dtype=np.float64)
    said = ~np.isnan(values)
    available, event, value = micros(available_at)[said], micros(event_time)[said], values[said]
    if not len(value):
        return np.full(len(times), np.nan)
    order = np.lexsort((event, available))
    available, event, value = available[order], event[order], value[order]
    newest = event >= np.maximum.accumulate(event)
    believed = np.maximum.accumulate(np.where(newest, np.arange(len(value)), 0))
    at = np.searchsorted(available, micros(times), side="right") - 1
    return np.where(at >= 0, value[believed[np.maximum(at, 0)]], np.nan)


def age_hours(times: pd.DatetimeIndex, available_at: pd.DatetimeIndex) -> Floats:
    """Hours since anything was last heard at each time; infinite before the first row."""
    heard = np.sort(micros(available_at))
    now = micros(times)
    if not len(heard):
        return np.full(len(times), np.inf)
    at = np.searchsorted(heard, now, side="right") - 1
    return np.where(at >= 0, (now - heard[np.maximum(at, 0)]) / US_PER_HOUR, np.inf)
