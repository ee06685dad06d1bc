"""Coin Metrics, community API: daily metrics of each chain, keyless.

A day's row is stamped with its start and describes the whole day. Where a metric carries the
time at which its status was set, that is when it could be known; elsewhere the lag in `lags`. A
row is known when the last of its values is. Values are restated now and then: a later pull asks
the last two weeks again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NotRequired

import polars as pl
from pydantic import AwareDatetime, FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.lags import LAGS
from workbench.data.lake import INSTANT
from workbench.errors import FeedError

PAGE_ROWS = 1000
DAY = timedelta(days=1)
_Row = Mapping[str, str | None]


class _Body(TypedDict):
    data: list[_Row]
    next_page_url: NotRequired[str | None]


_NUMBERS = TypeAdapter(dict[str, FiniteFloat | None])
_MOMENT = TypeAdapter(AwareDatetime)


@dataclass(frozen=True)
class CoinMetrics:
    """Metrics that an asset does not have are left out of its rows, not refused."""

    assets: tuple[str, ...] = ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "LINK", "AVAX")
    metrics: tuple[str, ...] = (
        "FlowInExUSD", "FlowOutExUSD", "SplyExNtv", "CapMVRVCur", "AdrActCnt", "TxCnt", "HashRate",
    )  # fmt: skip
    base_url: str = "https://community-api.coinmetrics.io/v4"
    about = About(
        name="coinmetrics", kind="on-chain", provider="Coin Metrics community API",
        limit=Limit(10, 6.0), overlap=timedelta(days=14), turn=timedelta(hours=1),
    )  # fmt: skip

    def series(self) -> Sequence[SeriesName]:
        return [SeriesName("onchain", "coinmetrics", asset, "1d") for asset in self.assets]

    def requests(self, _name: SeriesName, start: datetime, end: datetime) -> int:
        return (end - start).days // PAGE_ROWS + 1

    def fetch(self, name: SeriesName, start: datetime, end: datetime, line: Line) -> Iterator[Page]:
        url = f"{self.base_url}/timeseries/asset-metrics"
        query = {
            "assets": name.symbol.lower(), "metrics": ",".join(self.metrics), "frequency": "1d",
            "start_time": f"{start:%Y-%m-%dT%H:%M:%S}", "end_time": f"{end:%Y-%m-%dT%H:%M:%S}",
            "end_inclusive": "false", "page_size": PAGE_ROWS, "paging_from": "start",
            "ignore_forbidden_errors": "true", "ignore_unsupported_errors": "true",
        }  # fmt: skip
        reached = start
        for body in line.pages(_Body, url, query, lambda body: body.get("next_page_url")):
            rows = self._rows(body["data"], line, url)
            # a row that the page before has told already stays out
            rows = rows.filter(pl.col("event_time") >= reached, pl.col("event_time") < end)
            last = not body.get("next_page_url")
            if last or not rows.is_empty():
                reached = end if last else min(rows["event_time"][-1] + DAY, end)
            yield Page(rows, reached)

    def _rows(self, told: Sequence[_Row], line: Line, url: str) -> pl.DataFrame:
        asked = [{m: row[m] for m in self.metrics if m in row} for row in told]
        if told and not any(asked):
            raise FeedError(f"{line.feed}: {url} tells none of the metrics asked for; check them")
        values = [line.shaped(_NUMBERS, row, url) for row in asked]
        status = [_status(row, value) for row, value in zip(told, values, strict=True)]
        rows = pl.DataFrame(
            {
                "event_time": [_moment(row.get("time"), line, url) for row in told],
                "status_at": [
                    max((_moment(time, line, url) for time in times if time), default=None)
                    for times in status
                ],
                "lagged": [not all(times) or not times for times in status],
            },
            schema={"event_time": INSTANT, "status_at": INSTANT, "lagged": pl.Boolean},
        )
        columns = {m: [value.get(m) for value in values] for m in self.metrics}
        rows = rows.with_columns(
            pl.Series(metric, column, dtype=pl.Float64)
            for metric, column in columns.items()
            if any(each is not None for each in column)
        )
        # a value is never known before its day has ended, whatever the status time says
        known_at = pl.max_horizontal(
            "status_at",
            pl.when("lagged").then(LAGS["coinmetrics"](pl.col("event_time"))),
            pl.col("event_time") + pl.duration(days=1),
        )
        return rows.select(
            "event_time", known_at.cast(INSTANT).alias("available_at"),
            pl.exclude("event_time", "status_at", "lagged"),
        )  # fmt: skip


def _moment(told: str | None, line: Line, url: str) -> datetime:
    return line.shaped(_MOMENT, told, url).astimezone(UTC)


def _status(row: _Row, values: Mapping[str, float | None]) -> list[str | None]:
    """The status time of each value of the row; None where a metric has none."""
    told = [metric for metric, value in values.items() if value is not None]
    return [row.get(f"{metric}-status-time") for metric in told]
