"""Candles of a longer timeframe from those of a shorter one. Pure."""

from __future__ import annotations

import polars as pl

from workbench.domain import UsageError, parse_timeframe


def resampled(candles: pl.DataFrame, timeframe: str, to: str) -> pl.DataFrame:
    """Whole bars of `to` from one series' candles of `timeframe`, in time order.

    `missing` counts the candles that a bar lacks: it is made of the others, and whoever wants none
    such filters by it; an hour of which nothing is there stays a hole. A bar at either end that the
    candles do not reach is left out. A bar is known at its end, or when its last candle was if that
    was later. Weeks begin on Monday.

    Raises UsageError if `to` is no multiple of `timeframe`.
    """
    step, long = (parse_timeframe(each).to_pytimedelta() for each in (timeframe, to))
    if long % step or long < step:
        raise UsageError(f"{to} bars cannot be made of {timeframe} candles")
    if candles.is_empty():
        return candles.with_columns(missing=pl.lit(0, pl.Int64))
    start, end = pl.col("event_time"), pl.col("event_time") + long
    from_, until = candles["event_time"][0], candles["event_time"][-1] + step
    bars = candles.group_by_dynamic("event_time", every=to).agg(
        pl.col("available_at", "fetched_at").max(), pl.col("open").first(), pl.col("high").max(),
        pl.col("low").min(), pl.col("close").last(), pl.col("volume").sum(),
        missing=long // step - pl.len().cast(pl.Int64),
    )  # fmt: skip
    whole = bars.filter(start >= from_, end <= until)
    return whole.with_columns(available_at=pl.max_horizontal("available_at", end))
