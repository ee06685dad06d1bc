"""ALFRED: every value that FRED ever showed, with the day it first did. Needs a free key.

Each (date, value) comes with the day from which it stood; a revision is a further row. That day
is a date in St. Louis without an hour, so a value is known when the day is over: at 06:00 UTC of
the next. These stamps count, not the lags in `lags`. FRED refuses more than 2000 vintages at once,
so that a long history is asked in periods of at most 1990 days, which cannot have more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl
from typing_extensions import TypedDict

from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.feeds.fred import IDS, Value, named
from workbench.data.lake import INSTANT

PAGE_ROWS = 100_000
CHUNK = timedelta(days=3650)  # of observations, a page each
VINTAGES = timedelta(days=1990)
STANDING = date(9999, 12, 31)  # FRED's word for "still"; any other day to come is refused

_Observation = TypedDict(  # noqa: UP013
    "_Observation", {"realtime_start": date, "date": date, "value": Value}
)


class _Body(TypedDict):
    count: int
    offset: int
    limit: int
    observations: list[_Observation]


@dataclass(frozen=True)
class Alfred:
    """`ids`: the provider's names of the series."""

    ids: tuple[str, ...] = IDS
    base_url: str = "https://api.stlouisfed.org"
    about = About(
        name="alfred", kind="macro", provider="ALFRED, Federal Reserve Bank of St. Louis",
        limit=Limit(120, 60.0), key="FRED_API_KEY", overlap=timedelta(days=5 * 366),
        turn=timedelta(hours=6), versions=True,
    )  # fmt: skip

    def series(self) -> Sequence[SeriesName]:
        return [named(each) for each in self.ids]

    def requests(self, _name: SeriesName, start: datetime, end: datetime) -> int:
        # a chunk is asked for every period from its own time until the range's end
        chunks = (end - start) // CHUNK + 1
        return sum((end - start - i * CHUNK) // VINTAGES + 1 for i in range(chunks))

    def fetch(self, name: SeriesName, start: datetime, end: datetime, line: Line) -> Iterator[Page]:
        named(name.symbol)
        first = start
        while first < end:
            last = min(first + CHUNK, end)
            told = self._told(name.symbol, first, last, line)
            yield Page(
                _rows(told).filter(pl.col("event_time").is_between(first, last, "left")), last
            )
            first = last

    def _told(
        self, series_id: str, first: datetime, last: datetime, line: Line
    ) -> list[_Observation]:
        url = f"{self.base_url}/fred/series/observations"
        asked = {
            "series_id": series_id, "api_key": line.key, "file_type": "json", "limit": PAGE_ROWS,
            "observation_start": f"{first:%Y-%m-%d}",
            "observation_end": f"{last - timedelta(microseconds=1):%Y-%m-%d}",
        }  # fmt: skip
        told: list[_Observation] = []
        for since, until in _periods(first.date(), _st_louis_today(line.now())):
            # "offset" is set anew, as the last page of the period before left its own
            query = asked | {"realtime_start": since, "realtime_end": until, "offset": 0}
            for body in line.pages(_Body, url, query, _further):
                told += body["observations"]
        return told


def _further(body: _Body) -> Mapping[str, int] | None:
    reached = body["offset"] + body["limit"]
    return {"offset": reached} if reached < body["count"] and body["observations"] else None


def _st_louis_today(now: datetime) -> date:
    return (now - timedelta(hours=6)).date()


def _periods(first: date, today: date) -> Iterator[tuple[date, date]]:
    """Real-time periods from `first` until now: nothing is published before its own date."""
    while first + VINTAGES <= today:
        yield first, first + VINTAGES - timedelta(days=1)
        first += VINTAGES
    if first <= today:
        yield first, STANDING


def _rows(told: Sequence[_Observation]) -> pl.DataFrame:
    """One row a value and the day it appeared.

    FRED cuts what stood before a period to the period's start: the same value once more, which is
    no revision.
    """
    rows = pl.DataFrame(
        {
            "event_time": [_midnight(row["date"]) for row in told],
            "since": [_midnight(row["realtime_start"]) for row in told],
            "value": [row["value"] for row in told],
        },
        schema={"event_time": INSTANT, "since": INSTANT, "value": pl.Float64},
    ).sort("event_time", "since")
    again = pl.col("value").eq_missing(pl.col("value").shift(1)) & (
        pl.col("event_time") == pl.col("event_time").shift(1)
    ).fill_null(value=False)
    known_at = (pl.col("since") + pl.duration(days=1, hours=6)).cast(INSTANT)
    return (
        rows.filter(~again)
        .unique(["event_time", "since"], keep="last", maintain_order=True)
        .drop_nulls("value")
        .select("event_time", known_at.alias("available_at"), "value")
    )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
