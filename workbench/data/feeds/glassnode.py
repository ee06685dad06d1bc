"""Glassnode: on-chain metrics of an asset, as first computed where it keeps that.

A point is stamped with the start of its interval. Exchange and entity metrics are restated for
their whole history when a cluster of addresses gets a new owner, so by default the `_pit` variant
of each metric is read: its values never change, and each says when it was computed. A row is
known when the last of its values is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, NotRequired

import polars as pl
from pydantic import FiniteFloat
from typing_extensions import TypedDict

from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.lags import after
from workbench.data.lake import INSTANT
from workbench.errors import FeedError, UsageError

# without a computed_at: recorded ones are about four minutes after the interval's end
LAG = after(hours=1)


class _Step(NamedTuple):
    timeframe: str
    offset: str  # as polars counts


_STEPS = {
    "10m": _Step("10m", "10m"), "1h": _Step("1h", "1h"), "24h": _Step("1d", "1d"),
    "1w": _Step("1w", "1w"), "1month": _Step("1M", "1mo"),
}  # fmt: skip
_RESOLUTIONS = {step.timeframe: resolution for resolution, step in _STEPS.items()}


class _Point(TypedDict):
    t: int
    v: NotRequired[FiniteFloat | None]
    o: NotRequired[dict[str, FiniteFloat | None]]
    computed_at: NotRequired[int]


@dataclass(frozen=True)
class Glassnode:
    """`metrics` are paths as the catalogue has them; a column has the name of the path's last part.

    A point of several numbers becomes a column each: `price_usd_ohlc` gives `price_usd_ohlc_h`.
    Raises UsageError if two metrics would share a column or the resolution is not one.
    """

    assets: tuple[str, ...] = ("BTC", "ETH")
    metrics: tuple[str, ...] = (
        "transactions/transfers_volume_to_exchanges_sum",
        "transactions/transfers_volume_from_exchanges_sum",
        "distribution/balance_exchanges",
    )
    resolution: str = "24h"
    pit: bool = True
    base_url: str = "https://api.glassnode.com"
    about = About(
        name="glassnode", kind="on-chain", provider="Glassnode", key="GLASSNODE_API_KEY",
        limit=Limit(600, 60.0), overlap=timedelta(days=14), turn=timedelta(hours=1),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.resolution not in _STEPS:
            raise UsageError(
                f"glassnode: resolution {self.resolution!r} is none of {', '.join(_STEPS)}"
            )
        if len({_column(metric) for metric in self.metrics}) < len(self.metrics):
            raise UsageError("glassnode: two metrics end in the same name; take one of them out")

    def series(self) -> Sequence[SeriesName]:
        timeframe = _STEPS[self.resolution].timeframe
        return [SeriesName("onchain", "glassnode", asset, timeframe) for asset in self.assets]

    def requests(self, _name: SeriesName, _start: datetime, _end: datetime) -> int:
        return len(self.metrics)

    def fetch(self, name: SeriesName, start: datetime, end: datetime, line: Line) -> Iterator[Page]:
        """One page: the provider tells a whole range at once."""
        if name.timeframe not in _RESOLUTIONS:
            raise UsageError(f"glassnode: it has no {name}; it has {', '.join(_RESOLUTIONS)}")
        resolution = _RESOLUTIONS[name.timeframe]
        query = {
            "a": name.symbol, "i": resolution, "f": "json",
            "s": int(start.timestamp()), "u": int(end.timestamp()),
        }  # fmt: skip
        rows = pl.DataFrame(schema={"event_time": INSTANT, "known_at": INSTANT})
        for metric in self.metrics:
            told = self._told(metric, query, line)
            rows = rows.join(told, on="event_time", how="full", coalesce=True)
            rows = rows.with_columns(known_at=pl.max_horizontal("known_at", "computed_at"))
            rows = rows.drop("computed_at")
        ends = pl.col("event_time").dt.offset_by(_STEPS[resolution].offset)
        known_at = pl.max_horizontal("known_at", ends) if self.pit else LAG(ends)
        rows = rows.select(
            "event_time",
            known_at.cast(INSTANT).alias("available_at"),
            pl.exclude("event_time", "known_at"),
        )
        # the newest point is of an interval that has not ended, and partial
        rows = rows.filter(
            ends <= line.now(), pl.col("event_time") >= start, pl.col("event_time") < end
        )
        yield Page(rows.sort("event_time"), end)

    def _told(self, metric: str, query: dict[str, str | int], line: Line) -> pl.DataFrame:
        """event_time, computed_at (null without point in time) and the metric's columns."""
        url = f"{self.base_url}/v1/metrics/{metric}{'_pit' if self.pit else ''}"
        points = line.read(list[_Point], url, query, headers={"X-Api-Key": line.key})
        name = _column(metric)
        columns = dict.fromkeys(
            [column for point in points for column in _values(point, name)] or [name]
        )
        rows = []
        for point in points:
            values = _values(point, name)
            if not values or (self.pit and "computed_at" not in point):
                raise FeedError(
                    f"{line.feed}: {url} has changed its shape: a point without"
                    f" {'computed_at' if values else 'a value'}"
                )
            rows.append({"t": point["t"], "computed_at": point.get("computed_at"), **values})
        schema = dict.fromkeys(("t", "computed_at"), pl.Int64) | dict.fromkeys(columns, pl.Float64)
        told = (
            pl.DataFrame(rows, schema=schema)
            .with_columns(
                event_time=pl.from_epoch("t").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
                computed_at=pl.from_epoch("computed_at")
                .cast(pl.Datetime("us"))
                .dt.replace_time_zone("UTC"),
            )
            .drop("t")
            .unique(maintain_order=True)
        )
        if told["event_time"].is_duplicated().any():
            raise FeedError(f"{line.feed}: {url} tells two values of one interval")
        return told


def _column(metric: str) -> str:
    return metric.rsplit("/", 1)[-1]


def _values(point: _Point, name: str) -> dict[str, float | None]:
    if "o" in point:
        return {f"{name}_{part}": value for part, value in point["o"].items()}
    return {name: point["v"]} if "v" in point else {}
