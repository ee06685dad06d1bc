"""What the lake holds of each series, month by month or day by day, and what of a world is silent.

Counts for a reader's eye: how many rows there are of those that a series' timeframe promises, and
how long ago each feed was heard. Nothing is judged or fetched here (`defects`, `pull`); of a series
only its event times are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import pandas as pd
import polars as pl

from workbench.data.context import STALE_HOURS, STALE_OTHERWISE, stale
from workbench.data.join import US_PER_HOUR
from workbench.data.lake import Lake, SeriesName
from workbench.data.snapshot import World
from workbench.domain import UsageError, parse_timeframe

Every = Literal["1mo", "1d"]

SHORT = timedelta(days=62)  # a span up to this is told by the day
_STATES = ("never", "stale", "fresh")


def holdings(lake: Lake, kinds: Sequence[str] | None = None) -> pl.DataFrame:
    """A row for every series and every month (day, if all lies within 62 days) of the lake's span.

    Columns: kind, venue, symbol, timeframe; `start` and `stop` of the period; `rows` stored in it;
    `expected`, how many event times the timeframe promises; `missing` of them, `missing_hours`, and
    `share` that is there (0 to 1). These four are null for a series without a regular step (events,
    business days, months). No row is expected before its step has passed, by the newest row of all
    the series shown; revisions of one event count once. No kinds means all. Raises UsageError for
    an empty lake and for a kind it does not have.
    """
    names = _wanted(lake, kinds)
    times = {n: lake.read(*n, columns=["event_time"])["event_time"] for n in names}
    oldest = min(told[0] for told in times.values())
    newest = max(told[-1] for told in times.values())
    every: Every = "1d" if newest - oldest <= SHORT else "1mo"
    periods = _periods(oldest, newest, every)
    return pl.concat(_held(name, told, periods, every, newest) for name, told in times.items())


def _wanted(lake: Lake, kinds: Sequence[str] | None) -> list[SeriesName]:
    if isinstance(kinds, str):
        raise UsageError(f"kinds is {kinds!r}; give a list such as [{kinds!r}]")
    there = lake.series()
    known = sorted({name.kind for name in there})
    if not there:
        raise UsageError(f"the lake {lake.root} is empty; import recorded data or pull a feed")
    for kind in kinds or ():
        if kind not in known:
            raise UsageError(
                f"the lake {lake.root} has nothing of kind {kind!r}; it has {', '.join(known)}"
            )
    return [name for name in there if name.kind in (kinds or known)]


def _periods(oldest: datetime, newest: datetime, every: Every) -> pl.DataFrame:
    span = pl.DataFrame({"start": [oldest, newest]}, schema={"start": pl.Datetime("us", "UTC")})
    first, last = span["start"].dt.truncate(every)
    start = pl.datetime_range(first, last, every, time_unit="us", time_zone="UTC", eager=True)
    return pl.DataFrame({"start": start}).with_columns(stop=pl.col("start").dt.offset_by(every))


def _held(
    name: SeriesName, times: pl.Series, periods: pl.DataFrame, every: Every, newest: datetime
) -> pl.DataFrame:
    told = pl.DataFrame({"time": times}).group_by(start=pl.col("time").dt.truncate(every))
    counts = told.agg(rows=pl.len().cast(pl.Int64), events=pl.col("time").n_unique().cast(pl.Int64))
    step = _step(name)
    missing = (pl.col("expected") - pl.col("events")).clip(lower_bound=0)
    return (
        periods.join(counts, on="start", how="left", maintain_order="left")
        .with_columns(pl.col("rows", "events").fill_null(0), expected=_due(times, step, newest))
        .with_columns(missing=missing)
        .select(
            *(pl.lit(text).alias(field) for field, text in name._asdict().items()),
            "start", "stop", "rows", "expected", "missing",
            missing_hours=pl.col("missing") * (step or 0) / US_PER_HOUR,
            share=pl.when(pl.col("expected") > 0)
            .then(1 - pl.col("missing") / pl.col("expected"))
            .when((pl.col("expected") == 0) & (pl.col("rows") > 0))
            .then(1.0),
        )
    )  # fmt: skip


def _step(name: SeriesName) -> int | None:
    """Microseconds between two rows; None if a series has no regular step."""
    try:
        return round(parse_timeframe(name.timeframe).total_seconds() * 1_000_000)
    except UsageError:
        return None


def _due(times: pl.Series, step: int | None, newest: datetime) -> pl.Expr:
    """How many of the moments `first + k step` lie in a period and are due, k of either sign."""
    if step is None:
        return pl.lit(None, pl.Int64)
    first, last = times.dt.timestamp("us")[0], times.dt.timestamp("us")[-1]
    end = max(last, round(newest.timestamp() * 1e6) - step) + 1
    start, stop = (pl.col(c).dt.timestamp("us").clip(upper_bound=end) for c in ("start", "stop"))
    return (first - start) // step - (first - stop) // step  # -(x // s): moments before a time


def freshness(world: World, t: int = -1) -> pd.DataFrame:
    """How long each feed had been silent at the close of bar row `t` (-1: the last), worst first.

    Columns: feed, `silent_hours` (infinite: never heard), `allowed_hours` and state (never, stale
    or fresh). A feed that a desk may do without is listed once it has been heard. Raises UsageError
    for a bar that is not in the world.
    """
    at = world.snapshot(t + len(world.panel) if t < 0 else t, bars=1)
    rows = [
        (feed, hours, STALE_HOURS.get(feed, STALE_OTHERWISE), _state(feed, hours))
        for feed, hours in at.staleness.items()
    ]
    columns = ["feed", "silent_hours", "allowed_hours", "state"]
    worst = sorted(rows, key=lambda row: (_STATES.index(row[3]), -row[1] / row[2], row[0]))
    return pd.DataFrame(worst, columns=columns)


def _state(feed: str, silent_hours: float) -> str:
    if np.isinf(silent_hours):
        return "never"
    return "stale" if stale(feed, silent_hours) else "fresh"
