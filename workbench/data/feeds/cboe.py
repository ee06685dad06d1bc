"""CBOE: the VIX by day since 1990, keyless, as one file.

The row of a day appears in the evening in Chicago. Before mid-2004 its four prices are one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import polars as pl
from pydantic import BeforeValidator, FiniteFloat
from typing_extensions import TypedDict

from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.lags import LAGS
from workbench.data.lake import INSTANT
from workbench.errors import FeedError

HEADER = "DATE,OPEN,HIGH,LOW,CLOSE"
VIX = SeriesName("macro", "cboe", "VIX", "1b")


_Day = Annotated[
    date, BeforeValidator(lambda cell: datetime.strptime(str(cell), "%m/%d/%Y").date())
]


class _Row(TypedDict):
    DATE: _Day
    OPEN: FiniteFloat
    HIGH: FiniteFloat
    LOW: FiniteFloat
    CLOSE: FiniteFloat


@dataclass(frozen=True)
class Cboe:
    """The VIX; its sister files have other columns."""

    base_url: str = "https://cdn.cboe.com"
    about = About(
        name="cboe", kind="macro", provider="Cboe Global Markets",
        limit=Limit(1, 2.0), overlap=timedelta(days=14), turn=timedelta(hours=1),
    )  # fmt: skip

    def series(self) -> Sequence[SeriesName]:
        return [VIX]

    def requests(self, _name: SeriesName, _start: datetime, _end: datetime) -> int:
        return 1

    def fetch(self, name: SeriesName, start: datetime, end: datetime, line: Line) -> Iterator[Page]:
        url = f"{self.base_url}/api/global/us_indices/daily_prices/{name.symbol}_History.csv"
        text = line.text(url, begins=HEADER)
        if not text.endswith("\n"):
            raise FeedError(f"{line.feed}: {url} is cut off in its last line; pull again")
        told = line.shaped(list[_Row], list(csv.DictReader(io.StringIO(text))), url)
        prices = {each: [row[each] for row in told] for each in ("OPEN", "HIGH", "LOW", "CLOSE")}
        days = [datetime.combine(row["DATE"], time(), UTC) for row in told]
        rows = pl.DataFrame(
            {"event_time": days} | {each.lower(): prices[each] for each in prices},
            schema={"event_time": INSTANT} | {each.lower(): pl.Float64 for each in prices},
        )
        rows = rows.filter(pl.col("event_time").is_between(start, end, "left"))
        known_at = LAGS["VIX"](pl.col("event_time")).cast(INSTANT).alias("available_at")
        rows = rows.unique("event_time", keep="last").sort("event_time")
        yield Page(rows.select("event_time", known_at, "open", "high", "low", "close"), end)
