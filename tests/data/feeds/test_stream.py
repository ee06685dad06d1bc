"""The real ccxt.pro client against a websocket on this machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.data.feeds import provider_binance as binance
from tests.data.feeds.loopback import NOW, Clock, line
from tests.data.feeds.streams import Streams
from workbench.data.feeds import stream as streaming
from workbench.data.feeds.candles import Candles
from workbench.data.feeds.depth import Depth, Trades
from workbench.data.feeds.feed import Feed, Line, SeriesName
from workbench.data.follow import Follower
from workbench.data.lake import Lake
from workbench.errors import FeedError

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
BARS = SeriesName("ohlcv", "binance_spot", "BTC/USDT", "1m")


def kline(start: datetime, close: float) -> dict[str, object]:
    t = binance.ms(start)
    return {"e": "kline", "E": t + 2000, "s": "BTCUSDT", "k": {
        "t": t, "T": t + 59_999, "s": "BTCUSDT", "i": "1m", "f": 1, "L": 2, "o": "100.0",
        "c": f"{close}", "h": "120.0", "l": "90.0", "v": "5.0", "n": 2, "x": False, "q": "500",
        "V": "1", "Q": "100", "B": "0",
    }}  # fmt: skip


def agg_trade(number: int, moment: datetime) -> dict[str, object]:
    return {
        "e": "aggTrade", "E": binance.ms(moment), "s": "BTCUSDT", "a": number, "p": "50000.5",
        "q": "0.25", "f": number, "l": number, "T": binance.ms(moment), "m": True, "M": True,
    }  # fmt: skip


def depth_update(first: int, last: int, bid: float) -> dict[str, object]:
    return {"e": "depthUpdate", "E": binance.ms(NOW), "s": "BTCUSDT", "U": first, "u": last,
            "b": [[f"{bid}", "3.0"]], "a": []}  # fmt: skip


async def first(feed: Feed, name: SeriesName, at: Line, count: int = 1) -> list[pl.DataFrame]:
    told: list[pl.DataFrame] = []
    async with aclosing(streaming.stream(feed, name, at)) as heard:
        async for rows in heard:
            told.append(rows)
            if len(told) == count:
                break
    return told


def listening(
    server: Streams, channel: str, say: Callable[[], None], work: AsyncIterator[object] | object
) -> object:
    """Run `work`; once somebody has subscribed to `channel`, `say`."""

    async def both() -> object:
        doing = asyncio.ensure_future(work)  # type: ignore[arg-type]
        for _ in range(1500):
            if channel in server.subscribed or doing.done():
                break
            await asyncio.sleep(0.01)
        await asyncio.to_thread(say)
        return await asyncio.wait_for(doing, 30)

    return asyncio.run(both())


def test_a_bar_is_told_once_a_later_one_has_begun_and_the_exchanges_clock_is_past_it() -> None:
    clock = Clock(NOW)
    with Streams() as server:
        feed = Candles(symbols=("BTC/USDT",), timeframes=("1m",), base_url=server.url)

        def say() -> None:
            for i in range(4):  # each bar grows twice, then the next begins
                server.push(kline(NOW - (4 - i) * MINUTE, 100.0 + i))
                server.push(kline(NOW - (4 - i) * MINUTE, 105.0 + i))
                time.sleep(0.05)

        told = listening(
            server, "btcusdt@kline_1m", say, first(feed, BARS, line(feed.about, clock=clock), 3)
        )
    rows = pl.concat(told)  # type: ignore[arg-type]
    assert rows["event_time"].to_list() == [NOW - i * MINUTE for i in (4, 3, 2)]
    assert rows["close"].to_list() == [105.0, 106.0, 107.0]
    assert rows["available_at"].to_list() == [NOW - i * MINUTE for i in (3, 2, 1)]


def test_the_bar_of_now_is_not_told() -> None:
    with Streams() as server:
        feed = Candles(symbols=("BTC/USDT",), timeframes=("1m",), base_url=server.url)

        def say() -> None:
            # by the exchange's clock the first of these has three seconds of grace to go
            server.push(kline(NOW - MINUTE, 101.0))
            server.push(kline(NOW, 102.0))

        with pytest.raises(TimeoutError):
            listening(server, "btcusdt@kline_1m", say, asyncio.wait_for(
                first(feed, BARS, line(feed.about, clock=Clock(NOW))), 1.5))  # fmt: skip


def test_an_exchange_without_a_stream_of_bars_is_asked_and_not_listened_to() -> None:
    assert streaming.streams(Candles())
    assert not streaming.streams(Candles(venue="coinbase"))
    assert streaming.streams(Depth(venue="coinbase"))


def test_trades_are_told_with_the_ids_that_a_pull_gives_them() -> None:
    name = SeriesName("trades", "binance_spot", "BTC/USDT", "agg")
    with Streams() as server:
        feed = Trades(symbols=("BTC/USDT",), base_url=server.url)
        told = listening(
            server, "btcusdt@aggTrade", lambda: server.push(agg_trade(7, NOW)),
            first(feed, name, line(feed.about)),
        )  # fmt: skip
    (rows,) = told  # type: ignore[misc]
    assert rows.select("id", "side", "price", "amount").rows() == [("7", "sell", 50000.5, 0.25)]


def test_the_book_is_kept_from_its_updates() -> None:
    name = SeriesName("depth", "binance_spot", "BTC/USDT", "event")
    with Streams() as server:
        feed = Depth(symbols=("BTC/USDT",), base_url=server.url)

        def say() -> None:
            for i in range(20):
                server.push(depth_update(77 + i, 78 + i, 50_004.0 + i / 10))
                time.sleep(0.05)

        told = listening(server, "btcusdt@depth@100ms", say, first(feed, name, line(feed.about)))
    (rows,) = told  # type: ignore[misc]
    row = rows.row(0, named=True)
    assert 50_004.0 <= row["bid"] <= 50_006.0
    assert row["bid_size"] == 3.0
    assert row["ask"] == 50_010.0


@pytest.mark.parametrize("fault", ["drop", "silence"])
def test_a_stream_that_breaks_or_falls_silent_is_a_fault(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "SILENCE_S", 2.0)
    with Streams() as server:
        feed = Candles(symbols=("BTC/USDT",), timeframes=("1m",), base_url=server.url)

        def say() -> None:
            if fault == "drop":
                server.drop()
            else:
                server.push('{"e": "kline", broken')  # kills ccxt's receiver without a word

        with pytest.raises(FeedError, match="binance_spot: the stream of"):
            listening(server, "btcusdt@kline_1m", say, first(feed, BARS, line(feed.about)))


def test_what_was_missed_while_a_stream_was_down_is_asked_for(tmp_path: Path) -> None:
    """The stream tells one bar, breaks, and comes back: the lake has every bar once."""
    lake, clock, faults = Lake(tmp_path), Clock(NOW), []
    with Streams() as server:
        feed = Candles(symbols=("BTC/USDT",), timeframes=("1m",), base_url=server.url)

        def tell(_: SeriesName, _written: int, fault: str) -> None:
            faults.extend([fault] if fault else [])

        follower = Follower(lake, lambda each: line(each.about, clock=clock), tell)

        async def follow() -> None:
            task = asyncio.create_task(follower.follow([feed]))
            await until(lambda: "btcusdt@kline_1m" in server.subscribed)
            await asyncio.to_thread(server.drop)
            await until(lambda: server.connections >= 2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(follow())
    assert any("broke" in fault for fault in faults)
    stored = lake.read(*BARS)["event_time"]
    assert stored[-1] == NOW - 2 * MINUTE
    assert stored.n_unique() == stored.len() == 24 * 60 - 1


async def until(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within 30 s")
