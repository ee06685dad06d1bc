"""FRED without a key: the table behind its charts, one series a request.

The values are the latest revised ones; only their timing is honest, by the publication lags in
`lags`. What was first published is in `alfred`, with a free key. Holidays have no row.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated

import polars as pl
from pydantic import BeforeValidator, FiniteFloat
from typing_extensions import TypedDict

from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.lags import FRED_TIMEFRAMES, LAGS
from workbench.data.lake import INSTANT
from workbench.domain import UsageError
from workbench.errors import FeedError

IDS = (
    "DFF", "FEDFUNDS", "DGS2", "DGS10", "T10Y2Y", "DTWEXBGS", "CPIAUCSL", "UNRATE", "M2SL", "WALCL",
    "RRPONTSYD",
)  # fmt: skip

# a holiday is "." or an empty cell
Value = Annotated[
    FiniteFloat | None, BeforeValidator(lambda cell: None if cell in ("", ".") else cell)
]
_Row = TypedDict("_Row", {"date": date, "value": Value})  # noqa: UP013


@dataclass(frozen=True)
class Fred:
    """`ids`: the provider's names of the series; their lags must be known."""

    ids: tuple[str, ...] = IDS
    base_url: str = "https://fred.stlouisfed.org"
    about = About(
        name="fred", kind="macro", provider="FRED, Federal Reserve Bank of St. Louis",
        limit=Limit(1, 2.0), overlap=timedelta(days=5 * 366), turn=timedelta(hours=6),
    )  # fmt: skip

    def series(self) -> Sequence[SeriesName]:
        return [named(each) for each in self.ids]

    def requests(self, _name: SeriesName, _start: datetime, _end: datetime) -> int:
        return 1

    def fetch(self, name: SeriesName, start: datetime, end: datetime, line: Line) -> Iterator[Page]:
        named(name.symbol)
        url = f"{self.base_url}/graph/fredgraph.csv"
        until = end - timedelta(microseconds=1)
        query = {"id": name.symbol, "cosd": f"{start:%Y-%m-%d}", "coed": f"{until:%Y-%m-%d}"}
        told = _cells(line.text(url, query), name.symbol, line, url)
        rows = pl.DataFrame(
            {
                "event_time": [row["date"] for row in told],
                "value": [row["value"] for row in told],
            },
            schema={"event_time": pl.Date, "value": pl.Float64},
        ).with_columns(pl.col("event_time").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
        rows = rows.filter(pl.col("event_time").is_between(start, until)).drop_nulls("value")
        known_at = LAGS[name.symbol](pl.col("event_time")).cast(INSTANT).alias("available_at")
        rows = rows.unique("event_time", keep="last").sort("event_time")
        yield Page(rows.select("event_time", known_at, "value"), end)


def named(series_id: str) -> SeriesName:
    """A series under the name that recorded data has. Raises UsageError if its lag is unknown."""
    if series_id not in FRED_TIMEFRAMES or series_id not in LAGS:
        raise UsageError(
            f"the publication lag of {series_id} is not known; add it to the tables LAGS and"
            " FRED_TIMEFRAMES in workbench/data/lags.py"
        )
    return SeriesName("macro", "fred", series_id, FRED_TIMEFRAMES[series_id])


def _cells(text: str, series_id: str, line: Line, url: str) -> list[_Row]:
    table = csv.DictReader(io.StringIO(text))
    stamp, *values = table.fieldnames or [""]
    if stamp not in ("observation_date", "DATE") or values != [series_id]:
        raise FeedError(
            f"{line.feed}: {url} answered a table of {', '.join(table.fieldnames or ['nothing'])};"
            f" expected observation_date and {series_id}"
        )
    if not text.endswith("\n"):
        raise FeedError(f"{line.feed}: {url} is cut off in its last line; pull again")
    cells = [{"date": row[stamp], "value": row[series_id]} for row in table]
    return line.shaped(list[_Row], cells, url)
