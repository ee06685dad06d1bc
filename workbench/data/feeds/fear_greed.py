"""The crypto fear & greed index of alternative.me, keyless, by day since February 2018.

A day's value comes out shortly after 00:00 UTC, from the data of the day before, and has been seen
to change in its first hour. A few days are missing. The provider asks to be named beside the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import polars as pl
from pydantic import Field, FiniteFloat
from typing_extensions import TypedDict

from workbench.data.feeds.answer import utc
from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.lags import LAGS
from workbench.data.lake import INSTANT

FNG = SeriesName("sentiment", "alternative.me", "FNG", "1d")


class _Value(TypedDict):
    value: Annotated[FiniteFloat, Field(ge=0, le=100)]
    timestamp: int


class _Body(TypedDict):
    data: list[_Value]


@dataclass(frozen=True)
class FearGreed:
    """One answer has as many of the latest days as are asked for."""

    base_url: str = "https://api.alternative.me"
    about = About(
        name="fear_greed", kind="sentiment", provider="alternative.me",
        limit=Limit(60, 60.0), overlap=timedelta(days=3), turn=timedelta(hours=1),
    )  # fmt: skip

    def series(self) -> Sequence[SeriesName]:
        return [FNG]

    def requests(self, _name: SeriesName, _start: datetime, _end: datetime) -> int:
        return 1

    def fetch(
        self, _name: SeriesName, start: datetime, end: datetime, line: Line
    ) -> Iterator[Page]:
        days = max((line.now() - start).days + 2, 1)
        body = line.read(_Body, f"{self.base_url}/fng/", {"limit": days, "format": "json"})
        rows = pl.DataFrame(
            {
                "event_time": [utc(each["timestamp"]) for each in body["data"]],
                "value": [each["value"] for each in body["data"]],
            },
            schema={"event_time": INSTANT, "value": pl.Float64},
        )
        rows = rows.filter(pl.col("event_time").is_between(start, end, "left"))
        # newest first; of a day told twice the first is the newer
        rows = rows.unique("event_time", keep="first", maintain_order=True).sort("event_time")
        known_at = LAGS["fear_greed"](pl.col("event_time")).cast(INSTANT).alias("available_at")
        yield Page(rows.select("event_time", known_at, "value"), end)
