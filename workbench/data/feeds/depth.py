"""What a market would bear, and what it bore: order-book snapshots and public trades.

A snapshot is known when it was taken and has no history: what nobody recorded is gone. A page of
trades that is full may have lost either end, so a window that fills a page is asked again in
halves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import polars as pl

from workbench.data.book import depth_row
from workbench.data.feeds.candles import BEHIND, CLOCKS, SYMBOLS
from workbench.data.feeds.exchange import ask, connect, from_ms, market_of, ms, server_now, venue_of
from workbench.data.feeds.feed import About, Line, Page, SeriesName
from workbench.data.lake import INSTANT
from workbench.domain import DataError
from workbench.errors import FeedError

LEVELS = 1000
TRADES_PAGE = 1000
WIDEST = timedelta(hours=1)
BUSY_MS = timedelta(milliseconds=1)
TRADE = {**CLOCKS, "id": pl.String, "side": pl.String, "price": pl.Float64, "amount": pl.Float64}


@dataclass(frozen=True)
class Depth:
    """The order book of now: best prices, depth and imbalance within 10, 25 and 50 bps."""

    venue: str = "binance_spot"
    symbols: tuple[str, ...] = SYMBOLS
    levels: int = LEVELS
    base_url: str = ""

    @property
    def about(self) -> About:
        venue = venue_of(self.venue)
        return About(
            name=f"{self.venue}_depth", kind="candles", provider=f"{venue.exchange} through ccxt",
            limit=venue.limit, weight=25 * venue.weight, history=False,
        )  # fmt: skip

    def series(self) -> Sequence[SeriesName]:
        return [SeriesName("depth", self.venue, symbol, "event") for symbol in self.symbols]

    def requests(self, _name: SeriesName, _start: datetime, _end: datetime) -> int:
        return 1

    def fetch(
        self, name: SeriesName, _start: datetime, end: datetime, line: Line
    ) -> Iterator[Page]:
        client = self._client
        symbol = market_of(line, client, venue_of(self.venue), name.symbol)
        server_now(line, client)  # a snapshot is stamped with our clock: it has to be right
        book = ask(
            line, client, "fetchOrderBook",
            lambda: _sides(client.fetch_order_book(symbol, self.levels)),
        )  # fmt: skip
        yield Page(depth_rows(line, name, line.now(), *book), end)

    @cached_property
    def _client(self) -> Any:
        return connect(venue_of(self.venue), self.base_url)


def _sides(told: Any) -> tuple[list[list[float]], list[list[float]]]:
    bids, asks = told["bids"], told["asks"]
    if not bids or not asks:
        raise ValueError
    return bids, asks


def depth_rows(
    line: Line, name: SeriesName, moment: datetime, bids: list[list[float]],
    asks: list[list[float]],
) -> pl.DataFrame:  # fmt: skip
    """One row of kind "depth". Raises FeedError for a book that cannot be."""
    try:
        row = depth_row(bids, asks)
    except DataError as odd:
        raise FeedError(f"{line.feed}: {name}: {odd}") from None
    clocks = {"event_time": moment, "available_at": moment}
    schema = CLOCKS | dict.fromkeys(row, pl.Float64())
    return pl.DataFrame([clocks | row], schema=schema).fill_nan(None)


@dataclass(frozen=True)
class Trades:
    """Public trades; `side` is the taker's."""

    venue: str = "binance_spot"
    symbols: tuple[str, ...] = SYMBOLS
    base_url: str = ""

    @property
    def about(self) -> About:
        venue = venue_of(self.venue)
        return About(
            name=f"{self.venue}_trades", kind="candles", provider=f"{venue.exchange} through ccxt",
            limit=venue.limit, weight=venue.weight, overlap=BEHIND,
        )  # fmt: skip

    def series(self) -> Sequence[SeriesName]:
        kind = venue_of(self.venue).trades
        return [SeriesName("trades", self.venue, symbol, kind) for symbol in self.symbols]

    def requests(self, _name: SeriesName, start: datetime, end: datetime) -> int:
        """At a quiet market's pace; a busy one takes several times as many."""
        return max(-(-(end - start) // WIDEST), 1)

    def fetch(self, name: SeriesName, start: datetime, end: datetime, line: Line) -> Iterator[Page]:
        venue = venue_of(self.venue)
        symbol = market_of(line, self._client, venue, name.symbol)
        over = min(end, server_now(line, self._client))
        at, width = start, WIDEST
        while at < over:
            until = min(at + width, over)
            told = self._window(symbol, at, until, line)
            if len(told) < TRADES_PAGE:
                width = min(2 * width, WIDEST)
            elif venue.until:
                width = (until - at) / 2
                if width < BUSY_MS:
                    raise FeedError(
                        f"{line.feed}: {name} has a full page of trades in 1 ms at {at}"
                    )
                continue
            else:  # told from `at` on: the last moment may go on in the next page
                until = from_ms(max(row[0] for row in told))
                if until <= at:
                    raise FeedError(f"{line.feed}: {name} has a full page of trades at {at}")
            yield Page(_trade_rows(told, at, until), until)
            at = until
        yield Page(pl.DataFrame(schema=TRADE), end)

    def _window(
        self, symbol: str, at: datetime, until: datetime, line: Line
    ) -> list[tuple[int, str, str, float, float]]:
        client = self._client
        more = {"until": ms(until) - 1} if venue_of(self.venue).until else {}
        return ask(
            line, client, "fetchTrades",
            lambda: [trade(row) for row in client.fetch_trades(symbol, ms(at), TRADES_PAGE, more)],
        )  # fmt: skip

    @cached_property
    def _client(self) -> Any:
        return connect(venue_of(self.venue), self.base_url)


def trade(row: Any) -> tuple[int, str, str, float, float]:
    """Milliseconds, id, the taker's side, price, amount of one of ccxt's trades."""
    side, price, amount = row["side"], float(row["price"]), float(row["amount"])
    if side not in ("buy", "sell") or not (price > 0 and amount > 0):
        raise ValueError
    return int(row["timestamp"]), str(row["id"]), side, price, amount


def _trade_rows(
    told: Sequence[tuple[int, str, str, float, float]], at: datetime, until: datetime
) -> pl.DataFrame:
    return trade_rows([row for row in told if ms(at) <= row[0] < ms(until)])


def trade_rows(told: Sequence[tuple[int, str, str, float, float]]) -> pl.DataFrame:
    """Rows of kind "trades", each id once, in the order of time."""
    columns = ["stamp", "id", "side", "price", "amount"]
    rows = pl.DataFrame(sorted(told, key=lambda row: row[0]), schema=columns, orient="row")
    moment = pl.from_epoch(pl.col("stamp").cast(pl.Int64), time_unit="ms")
    moment = moment.dt.replace_time_zone("UTC").cast(INSTANT)
    rows = rows.select(
        moment.alias("event_time"), moment.alias("available_at"), pl.exclude("stamp")
    )
    return rows.unique("id", keep="first", maintain_order=True).cast(TRADE)  # type: ignore[arg-type]
