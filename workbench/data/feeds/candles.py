"""Candles and funding rates of an exchange, paged by us, oldest first.

A candle is stored once the exchange's own clock says that it is over; it is known at its close. A
bar that the exchange does not have stays a hole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import polars as pl

from workbench.data import checks
from workbench.data.feeds.exchange import (
    ask,
    connect,
    floor_to,
    market_of,
    ms,
    server_now,
    venue_of,
)
from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.lake import INSTANT
from workbench.domain import parse_timeframe
from workbench.errors import FeedError

GRACE = timedelta(seconds=3)  # an exchange may still write to a bar just after it ended
# what an exchange's clock, minutes behind ours, holds back must not count as settled
BEHIND = timedelta(minutes=10)
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "ADA/USDT", "DOGE/USDT", "LINK/USDT",
           "AVAX/USDT")  # fmt: skip
CLOCKS = {"event_time": INSTANT, "available_at": INSTANT}
Row = tuple[int, float, float, float, float, float]


@dataclass(frozen=True)
class Candles:
    """Candles of one venue."""

    venue: str = "binance_spot"
    symbols: tuple[str, ...] = SYMBOLS
    timeframes: tuple[str, ...] = ("1h",)
    base_url: str = ""

    @property
    def about(self) -> About:
        venue = venue_of(self.venue)
        longest = max(parse_timeframe(each).to_pytimedelta() for each in self.timeframes)
        return About(
            name=self.venue, kind="candles", provider=f"{venue.exchange} through ccxt",
            limit=venue.limit, weight=venue.weight, overlap=max(2 * longest, BEHIND),
        )  # fmt: skip

    def series(self) -> Sequence[SeriesName]:
        return [
            SeriesName("ohlcv", self.venue, symbol, timeframe)
            for symbol in self.symbols
            for timeframe in self.timeframes
        ]

    def earliest(self, name: SeriesName, now: datetime) -> datetime | None:
        """The first candle the exchange still tells, if it keeps only the latest ones."""
        keeps, step = venue_of(self.venue).keeps, parse_timeframe(name.timeframe).to_pytimedelta()
        return floor_to(now, step) - (keeps - 1) * step if keeps else None

    def requests(self, name: SeriesName, start: datetime, end: datetime) -> int:
        step = parse_timeframe(name.timeframe).to_pytimedelta()
        return max(-(-((end - start) // step) // venue_of(self.venue).page), 1)

    def fetch(self, name: SeriesName, start: datetime, end: datetime, line: Line) -> Iterator[Page]:
        venue, step = venue_of(self.venue), parse_timeframe(name.timeframe).to_pytimedelta()
        symbol = market_of(line, self._client, venue, name.symbol)
        over = min(end, floor_to(server_now(line, self._client) - GRACE, step))
        first = floor_to(start, step)
        at = first if first == start else first + step
        while at < over:
            until = min(at + venue.page * step, over)
            rows = self._window(name, symbol, at, until, step, line)
            # a page that ends early may have been cut short: ask on from where it ends
            at = until if rows.is_empty() else rows["event_time"][-1] + step
            yield Page(rows, min(at, end))
        yield Page(pl.DataFrame(schema=CLOCKS), end)

    def _window(
        self, name: SeriesName, symbol: str, at: datetime, until: datetime, step: timedelta,
        line: Line,
    ) -> pl.DataFrame:  # fmt: skip
        pages = [self._page(name, symbol, at, until, step, line)]
        while venue_of(self.venue).until and not pages[0].is_empty():
            first = pages[0]["event_time"][0]
            if first == at:
                break
            # the page may have lost its older part: ask for that alone
            pages.insert(0, self._page(name, symbol, at, first, step, line))
        return pl.concat(pages, how="diagonal")

    def _page(
        self, name: SeriesName, symbol: str, at: datetime, until: datetime, step: timedelta,
        line: Line,
    ) -> pl.DataFrame:  # fmt: skip
        venue, client = venue_of(self.venue), self._client
        bars = min((until - at) // step, venue.page)
        more: dict[str, Any] = {"until": ms(until) - 1} if venue.until else {}
        told = ask(
            line, client, "fetchOHLCV",
            lambda: _rows(client.fetch_ohlcv(symbol, name.timeframe, ms(at), bars, more)),
        )  # fmt: skip
        if told and max(row[0] for row in told) < ms(at):
            raise FeedError(
                f"{line.feed}: {name} was asked from {at:%Y-%m-%d %H:%M} and gave older candles"
                " again; the exchange does not page"
            )
        kept = [row for row in told if ms(at) <= row[0] < ms(until)]
        if told and not kept and venue.until:
            raise FeedError(
                f"{line.feed}: {name} was asked up to {until:%Y-%m-%d %H:%M} and gave only later"
                " candles; the exchange does not page"
            )
        return candle_rows(kept, name, step, until, line)

    @cached_property
    def _client(self) -> Any:
        return connect(venue_of(self.venue), self.base_url)


def _rows(told: Any) -> list[Row]:
    """Six numbers a row; anything else is an answer that could not be read."""
    if not isinstance(told, list):
        raise TypeError
    return [(int(t), float(o), float(h), float(l), float(c), float(v)) for t, o, h, l, c, v in told]  # noqa: E741


def candle_rows(
    told: Sequence[Row], name: SeriesName, step: timedelta, now: datetime, line: Line
) -> pl.DataFrame:
    """Rows of kind "ohlcv" of bars that were over by `now`. Raises FeedError for one that cannot
    be."""
    if not told:
        return pl.DataFrame(schema=CLOCKS)
    columns = ("timestamp", "open", "high", "low", "close", "volume")
    rows = pl.DataFrame(sorted(told), schema=columns, orient="row")
    stamps = pl.from_epoch(rows["timestamp"], time_unit="ms").dt.replace_time_zone("UTC")
    try:
        rows, _ = checks.checked_candles(rows.with_columns(timestamp=stamps), step, now)
    except checks.FaultError as fault:
        raise FeedError(f"{line.feed}: {name}: {fault}") from None
    known = (pl.col("event_time") + step).cast(INSTANT).alias("available_at")
    return rows.select("event_time", known, pl.exclude("event_time"))


@dataclass(frozen=True)
class Funding:
    """Settled funding rates of a venue's perpetuals; stamped and known at settlement."""

    venue: str = "binance_perp"
    symbols: tuple[str, ...] = SYMBOLS
    page: int = 1000  # the most settlements that the venue gives at once
    base_url: str = ""
    about = About(
        name="funding", kind="candles", provider="an exchange's perpetuals through ccxt",
        limit=Limit(500, 300.0), overlap=timedelta(days=1),
    )  # fmt: skip

    def series(self) -> Sequence[SeriesName]:
        told_by = self.venue.removesuffix("_perp")
        return [SeriesName("funding", told_by, symbol, "8h") for symbol in self.symbols]

    def requests(self, _name: SeriesName, start: datetime, end: datetime) -> int:
        return -(-(end - start) // timedelta(hours=self.page))

    def fetch(self, name: SeriesName, start: datetime, end: datetime, line: Line) -> Iterator[Page]:
        client = self._client
        symbol = market_of(line, client, venue_of(self.venue), name.symbol)
        # as many hours as a page has rows: even hourly settlements fit, so no page is cut short
        at = start
        while at < end:
            until = min(at + timedelta(hours=self.page), end)
            yield Page(self._page(symbol, at, until, line), until)
            at = until

    def _page(self, symbol: str, at: datetime, end: datetime, line: Line) -> pl.DataFrame:
        client = self._client
        # settlement stamps come some milliseconds late; half a minute either way is one of them
        since, until = ms(at - timedelta(seconds=30)), ms(end) - 1
        told = ask(
            line, client, "fetchFundingRateHistory",
            lambda: [
                (int(row["timestamp"]), float(row["fundingRate"]))
                for row in client.fetch_funding_rate_history(
                    symbol, since, self.page, {"until": until}
                )
            ],
        )  # fmt: skip
        rows = pl.DataFrame(told, schema=["stamp", "funding_rate"], orient="row")
        rows = rows.with_columns(pl.col("funding_rate").cast(pl.Float64))
        stamp = pl.from_epoch(pl.col("stamp").cast(pl.Int64), time_unit="ms")
        settled = stamp.dt.replace_time_zone("UTC").dt.round("1m").cast(INSTANT)
        rows = rows.select(
            settled.alias("event_time"), settled.alias("available_at"), "funding_rate"
        )
        if not rows["funding_rate"].is_finite().all():
            raise FeedError(f"{line.feed}: {symbol} has a funding rate that is no number")
        inside = (pl.col("event_time") >= at) & (pl.col("event_time") < end)
        return rows.filter(inside).unique("event_time", keep="first").sort("event_time")

    @cached_property
    def _client(self) -> Any:
        return connect(venue_of(self.venue), self.base_url)
