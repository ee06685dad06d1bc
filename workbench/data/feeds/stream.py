"""The same rows as they happen, over an exchange's websocket (ccxt.pro).

A stream says what is new and never what was missed: whoever listens asks the feed for the rest each
time a stream begins (`follow`). Silence is a fault here, as a stream that is broken inside says
nothing and raises nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

import polars as pl

from workbench.data.feeds.candles import GRACE, Candles, candle_rows
from workbench.data.feeds.depth import Depth, Trades, depth_rows, trade, trade_rows
from workbench.data.feeds.exchange import Venue, connect, from_ms, named_in, said, venue_of
from workbench.data.feeds.feed import Feed, Line, SeriesName
from workbench.domain import parse_timeframe
from workbench.errors import FeedError

T = TypeVar("T")

SILENCE_S = 60.0
KEEP_ALIVE_MS = 5_000
SNAPSHOT_EVERY = timedelta(seconds=10)
STREAMED = (Candles, Depth, Trades)


def streams(feed: Feed) -> bool:
    """Has the feed a stream?"""
    bars = isinstance(feed, Candles)
    return isinstance(feed, STREAMED) and (venue_of(feed.venue).streams_bars or not bars)


async def stream(feed: Feed, name: SeriesName, line: Line) -> AsyncGenerator[pl.DataFrame]:
    """Rows of one series from now on, as `fetch` would give them; without end.

    Raises FeedError when the stream breaks off or is silent for a minute: begin it anew. Close it
    (`contextlib.aclosing`) and its connection is closed.
    """
    assert isinstance(feed, STREAMED)
    venue = venue_of(feed.venue)
    async with _client(venue, feed.base_url, line) as client:
        symbol = named_in(client, venue, name.symbol)
        listen = {Candles: _candles, Depth: _depth, Trades: _trades}[type(feed)]
        async with aclosing(listen(client, symbol, name, line)) as told:
            async for rows in told:
                yield rows


@asynccontextmanager
async def _client(venue: Venue, base_url: str, line: Line) -> AsyncIterator[Any]:
    client = connect(venue, base_url, stream=True)
    client.streaming["keepAlive"] = KEEP_ALIVE_MS  # the default notices a dead peer in minutes
    try:
        await _heard(line, venue.exchange, client.load_markets)
        yield client
    finally:
        await client.close()


async def _heard(line: Line, place: str, listen: Callable[[], Awaitable[T]]) -> T:
    """The next thing told. Raises FeedError for silence, and for whatever breaks."""
    try:
        return await asyncio.wait_for(listen(), SILENCE_S)
    except TimeoutError:
        raise FeedError(f"{line.feed}: the stream of {place} has been silent") from None
    except Exception as broken:  # noqa: BLE001  ccxt's errors, and those of its parsers
        raise FeedError(f"{line.feed}: the stream of {place} broke: {said(broken)}") from None


async def _candles(
    client: Any, symbol: str, name: SeriesName, line: Line
) -> AsyncGenerator[pl.DataFrame]:
    """Each bar once, when a later one has begun and the exchange's clock is past its end."""
    step = parse_timeframe(name.timeframe).to_pytimedelta()
    ahead = from_ms(await _heard(line, str(name), client.fetch_time)) - line.now()
    open_bars: dict[int, list[float]] = {}
    while True:
        told = await _heard(line, str(name), lambda: client.watch_ohlcv(symbol, name.timeframe))
        open_bars |= {int(row[0]): list(row) for row in told}
        now = line.now() + ahead - GRACE
        newest = max(open_bars)
        over = [t for t in sorted(open_bars) if t < newest and from_ms(t) + step <= now]
        if over:
            bars = [open_bars.pop(t) for t in over]
            yield candle_rows([(int(t), *rest) for t, *rest in bars], name, step, now, line)  # type: ignore[misc]


async def _trades(
    client: Any, symbol: str, name: SeriesName, line: Line
) -> AsyncGenerator[pl.DataFrame]:
    while True:
        told = await _heard(line, str(name), lambda: client.watch_trades(symbol))
        yield trade_rows([trade(row) for row in told])


async def _depth(
    client: Any, symbol: str, name: SeriesName, line: Line
) -> AsyncGenerator[pl.DataFrame]:
    """The book every few seconds; ccxt keeps it from the exchange's updates and checks their
    sequence."""
    due = line.now()
    while True:
        book = await _heard(line, str(name), lambda: client.watch_order_book(symbol))
        if line.now() >= due:
            due = line.now() + SNAPSHOT_EVERY
            bids, asks = ([list(level) for level in book[side]] for side in ("bids", "asks"))
            yield depth_rows(line, name, line.now(), bids, asks)
