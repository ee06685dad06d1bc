"""Coin Metrics, community API: daily metrics of each chain, keyless.

A day's row is stamped with its start and describes the whole day. Where a metric carries the
time at which its status was set, that is when it could be known; elsewhere the lag in `lags`.
Values are restated now and then: a later pull asks the last two weeks again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.lags import LAGS
from workbench.data.lake import INSTANT

PAGE_ROWS = 1000


class _Body(TypedDict, total=False):
    data: list[Mapping[str, str | None]]
    next_page_url: str | None


_NUMBERS = TypeAdapter(dict[str, float | None])


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
        limit=Limit(10, 6.0), overlap=timedelta(days=14),
    )  # fmt: skip

    def series(self) -> Sequence[SeriesName]:
        return [SeriesName("onchain", "coinmetrics", asset, "1d") for asset in self.assets]

    def requests(self, _name: SeriesName, start: datetime, end: datetime) -> int:
        return (end - start).days // PAGE_ROWS + 1

    def fetch(
        self, name: SeriesName, start: datetime, end: datetime, line: Line
    ) -> Iterator[Page]:
        url = f"{self.base_url}/timeseries/asset-metrics"
        query = {
            "assets": name.symbol.lower(), "metrics": ",".join(self.metrics), "frequency": "1d",
            "start_time": f"{start:%Y-%m-%dT%H:%M:%S}", "end_time": f"{end:%Y-%m-%dT%H:%M:%S}",
            "end_inclusive": "false", "page_size": PAGE_ROWS, "paging_from": "start",
            "ignore_forbidden_errors": "true", "ignore_unsupported_errors": "true",
        }  # fmt: skip
        for body in line.pages(_Body, url, query, lambda body: body.get("next_page_url")):
            told = line.shaped(list[Mapping[str, str | None]], body.get("data"), url)
            rows = self._rows(told, line, url)
            last = not body.get("next_page_url") or rows.is_empty()
            through = end if last else rows["event_time"][-1] + timedelta(days=1)
            yield Page(rows, through)

    def _rows(
        self, told: Sequence[Mapping[str, str | None]], line: Line, url: str
    ) -> pl.DataFrame:
        values = [
            line.shaped(_NUMBERS, {m: row[m] for m in self.metrics if m in row}, url)
            for row in told
        ]
        times = [_moment(line.shaped(str, row.get("time"), url)) for row in told]
        known = [_status(row) for row in told]
        rows = pl.DataFrame(
            {"event_time": times, "status_at": known},
            schema={"event_time": INSTANT, "status_at": INSTANT},
        )
        columns = {m: [value.get(m) for value in values] for m in self.metrics}
        rows = rows.with_columns(
            pl.Series(metric, column, dtype=pl.Float64)
            for metric, column in columns.items()
            if any(each is not None for each in column)
        )
        lagged = LAGS["coinmetrics"](pl.col("event_time"))
        # a value is never known before its day has ended, whatever the status time says
        ended = pl.col("event_time") + pl.duration(days=1)
        known_at = pl.max_horizontal(pl.coalesce("status_at", lagged), ended)
        return rows.select(
            "event_time", known_at.cast(INSTANT).alias("available_at"),
            pl.exclude("event_time", "status_at"),
        )  # fmt: skip


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00")


def _status(row: Mapping[str, str | None]) -> datetime | None:
    """The latest status time of the row's metrics."""
    told = [value for name, value in row.items() if name.endswith("-status-time") and value]
    return _moment(max(told)) if told else None
