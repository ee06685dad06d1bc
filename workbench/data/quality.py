"""How good the lake is: figures of every series, its defects, and venues that disagree.

It reads the lake and asks `defects`; nothing is repaired. What two venues say differently is kept
as events, for a snapshot or a review to read as of their time.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import combinations
from typing import NamedTuple

import polars as pl

from workbench.data.context import made_up
from workbench.data.coverage import Span, missing
from workbench.data.defects import (
    BAR,
    BASIS,
    Defect,
    defects,
    disagreements,
    flats,
    holes,
    lost_trades,
)
from workbench.data.lake import (
    INSTANT,
    KEYS,
    Lake,
    SeriesName,
    SeriesStatus,
    status_columns,
    status_of,
)
from workbench.domain import UsageError, parse_timeframe

# Closes of one bar that are further apart than this, less the usual basis. In the recorded years
# that were ten pairs: outages, and minutes that one venue lacks at the end of the hour.
DISAGREE_BPS = 50.0
CROSSCHECK = "crosscheck"
# How long a series may be silent: twice its step, but for a weekend with a holiday, and for months
# whose figure comes out at mid-month.
SILENT = {"1b": timedelta(days=4), "1M": timedelta(days=45)}
COUNTED = frozenset({"binance_spot", "binance_perp", "kraken"})  # their trade ids count up by one
EVENT = {
    "event_time": INSTANT, "available_at": INSTANT, "bar": pl.String, "what": pl.String,
    "one": pl.String, "other": pl.String, "close": pl.Float64, "other_close": pl.Float64,
    "gap_bps": pl.Float64,
}  # fmt: skip


class Quality(NamedTuple):
    """A series' figures.

    `flats` are runs of bars without a trade (None: no candles). `asked` is the part of the time
    from its first to its last row that pulls have asked for, `unasked` how many of its missing rows
    nobody asked for; the others the provider does not have. `age_h` is how long ago its newest row
    became known and `allowed_h` how long its timeframe allows (None: anything), in hours.
    """

    stored: SeriesStatus
    flats: int | None
    asked: float
    unasked: int | None
    age_h: float
    allowed_h: float | None

    @property
    def late(self) -> bool:
        return self.allowed_h is not None and self.age_h > self.allowed_h


def qualities(lake: Lake, now: datetime) -> Iterator[Quality]:
    """The figures of every series."""
    for name in lake.series():
        bar = BAR if name.kind == "ohlcv" else ()
        rows = lake.read(*name, columns=list(dict.fromkeys([*status_columns(name), *bar])))
        stored, covered = status_of(name, rows), lake.covered(name)
        step, flat, unasked = _step(name), None, None
        if step is not None:
            gone = holes(name, _times(rows), step)
            unasked = sum(_bars(missing(covered, hole.start, hole.end), step) for hole in gone)
            flat = len(flats(name, rows, step)) if bar else None
        yield Quality(
            stored, flat, _share(covered, stored.first, stored.last), unasked,
            _hours(now - stored.known), _allowed_h(name.timeframe, step),
        )  # fmt: skip


def found_defects(lake: Lake) -> Iterator[Defect]:
    """Every defect of every series, in time order within a series."""
    for name in lake.series():
        rows, step = lake.read(*name), _step(name)
        if name.kind == "ohlcv" and step is not None:
            yield from defects(name, rows, step)
        elif name.kind == "trades" and name.venue in COUNTED:
            yield from lost_trades(name, rows)
        elif step is not None:
            yield from holes(name, _times(rows), step)
        yield from _twice(name, rows)


def _twice(name: SeriesName, rows: pl.DataFrame) -> Iterator[Defect]:
    key = [*KEYS.get(name.kind, ("event_time",))]
    more = rows.filter(~pl.struct(key).is_first_distinct())
    if not more.is_empty():
        first, last = more["event_time"][0], more["event_time"][-1]
        says = f"{more.height} rows are there twice"
        yield Defect(name, "twice", first, last, more.height, says)


def apart(lake: Lake, since: datetime | None = None) -> Iterator[tuple[SeriesName, pl.DataFrame]]:
    """Bars, from `since` on, whose closes two venues of one market put more than DISAGREE_BPS apart
    (rows of EVENT), under the name that the lake keeps such events by.

    Spot is held against spot and perpetuals against perpetuals; a made-up world against nothing.
    """
    columns = ["event_time", "available_at", "close"]
    start = None if since is None else since - BASIS
    for (symbol, timeframe, _), names in _markets(lake).items():
        candles = {n.venue: lake.read(*n, start=start, columns=columns) for n in names}
        for one, other in combinations(candles, 2):
            rows = _events(one, candles[one], other, candles[other], timeframe)
            if since is not None:
                rows = rows.filter(pl.col("event_time") >= since)
            if not rows.is_empty():
                yield SeriesName("events", CROSSCHECK, symbol, "event"), rows


def cross_check(lake: Lake, now: datetime, since: datetime | None = None) -> int:
    """Keep as events where venues disagree on bars that open from `since` on (without it: all).

    An event is known once the later of both candles was. Returns how many are new or changed.
    """
    fetched = pl.lit(now).cast(INSTANT).alias("fetched_at")
    return sum(lake.upsert(*name, rows.with_columns(fetched)) for name, rows in apart(lake, since))


def _markets(lake: Lake) -> dict[tuple[str, str, bool], list[SeriesName]]:
    markets: dict[tuple[str, str, bool], list[SeriesName]] = {}
    for name in lake.series():
        if name.kind == "ohlcv" and not made_up(name.venue):
            market = (name.symbol, name.timeframe, name.venue.endswith("_perp"))
            markets.setdefault(market, []).append(name)
    return markets


def _events(one: str, a: pl.DataFrame, other: str, b: pl.DataFrame, timeframe: str) -> pl.DataFrame:
    found = [
        (each.time, timeframe, "disagreement", one, other, each.a, each.b, each.gap_bps)
        for each in disagreements(a, b, DISAGREE_BPS)
    ]
    schema = {name: dtype for name, dtype in EVENT.items() if name != "available_at"}
    rows = pl.DataFrame(found, schema, orient="row")
    for candles in (a, b):
        known = candles.select("event_time", known="available_at")
        rows = rows.join(known, on="event_time", how="left").rename({"known": f"of {rows.width}"})
    later = pl.max_horizontal(pl.col("^of .*$")).alias("available_at")
    return rows.with_columns(later).select(*EVENT).sort("event_time")


def outdated(
    lake: Lake, keep_days: Mapping[str, int], now: datetime
) -> Iterator[tuple[SeriesName, datetime]]:
    """The series that a kind's `keep_days` are about, and before when their rows may go.

    Raises UsageError for a kind that there is not, and for less than a day.
    """
    names = lake.series()
    kinds = sorted({*KEYS, "ohlcv", "funding", "depth", *(name.kind for name in names)})
    for kind, days in keep_days.items():
        if kind not in kinds:
            near = difflib.get_close_matches(kind, kinds, 1, 0.0)[0]
            raise UsageError(f"data.keep_days: there is no kind {kind}; the nearest is {near}")
        if days < 1:
            raise UsageError(f"data.keep_days.{kind} is {days}; it must be at least one day")
        yield from ((name, now - timedelta(days=days)) for name in names if name.kind == kind)


def _step(name: SeriesName) -> timedelta | None:
    try:
        return parse_timeframe(name.timeframe).to_pytimedelta()
    except UsageError:
        return None


def _allowed_h(timeframe: str, step: timedelta | None) -> float | None:
    allowed = SILENT.get(timeframe) or (step and 2 * step)
    return _hours(allowed) if allowed else None


def _times(rows: pl.DataFrame) -> pl.DataFrame:
    """Event times alone, each once: of a value that was revised there are several rows."""
    return rows.select(pl.col("event_time").unique().sort())


def _bars(spans: list[Span], step: timedelta) -> int:
    return sum(-((first - last) // step) for first, last in spans)


def _share(covered: list[Span], first: datetime, last: datetime) -> float:
    last = max(last, first + timedelta(microseconds=1))
    lacking = sum((end - start for start, end in missing(covered, first, last)), timedelta(0))
    return 1.0 - lacking / (last - first)


def _hours(span: timedelta) -> float:
    return span.total_seconds() / 3600
