"""Exchanges and providers that answer what nobody asked for, late, in pieces or out of spite."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.data.feeds import provider_binance as binance
from tests.data.feeds.loopback import NOW, Clock, Loopback, Reply, Request, line, reply
from workbench.data.feeds import line as lines
from workbench.data.feeds.candles import Candles
from workbench.data.feeds.contract import check_feed, collected
from workbench.data.feeds.depth import Trades
from workbench.data.feeds.feed import About, Limit, SeriesName
from workbench.errors import FeedError, QuotaExhausted

ABOUT = About("some", "on-chain", "somebody", Limit(2, 1.0), key="SOME_KEY")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
BTC = SeriesName("ohlcv", "binance_spot", "BTC/USDT", "1h")
TRADES = SeriesName("trades", "binance_spot", "BTC/USDT", "agg")


# --- exchanges ----------------------------------------------------------------------------------


@pytest.mark.parametrize("micros", [400, 600])
def test_a_trade_in_the_very_millisecond_in_which_a_range_begins_or_ends(micros: int) -> None:
    """A pull begins where the last one settled, and that is no whole millisecond."""
    at = binance.TRADES_FROM.replace(minute=5, microsecond=micros)  # a trade is at .000
    with Loopback(binance.answer) as server:
        feed = Trades(symbols=("BTC/USDT",), base_url=server.url)
        spans = [(at - MINUTE, at), (at, at + MINUTE)]
        told = [collected(feed, TRADES, *span, line(feed.about)) for span in spans]
        assert check_feed(feed, TRADES, at - MINUTE, at + MINUTE, line(feed.about)) == 360
    assert sum(rows.height for rows in told) == 360


def skewed(behind: timedelta) -> Callable[[Request], Reply]:
    """The exchange with a clock that is behind, and with nothing after that moment."""

    def answer(request: Request) -> Reply:
        path, now = request.path.rpartition("/")[2], binance.ms(NOW - behind)
        if path == "time":
            return reply({"serverTime": now})
        if "endTime" in request.query:
            ends = min(int(request.query["endTime"]), now)
            request = replace(request, queries={**request.queries, "endTime": [str(ends)]})
        return binance.answer(request)

    return answer


@pytest.mark.parametrize(("feed", "step"), [
    (Candles(symbols=("BTC/USDT",), timeframes=("1m",)), MINUTE),
    (Trades(symbols=("BTC/USDT",)), timedelta(seconds=1)),
])  # fmt: skip
def test_what_a_clock_allowed_to_be_behind_holds_back_is_asked_again(
    feed: Candles | Trades, step: timedelta
) -> None:
    """A clock may be two minutes off: what it has not told by then must not count as settled."""
    with Loopback(skewed(timedelta(seconds=119))) as server:
        asked = replace(feed, base_url=server.url)
        rows = collected(asked, asked.series()[0], NOW - HOUR, NOW, line(asked.about))
    last = rows["event_time"][-1]
    assert isinstance(last, datetime)
    assert last + step >= NOW - asked.about.overlap


def newest(most: int) -> Callable[[Request], Reply]:
    """An exchange that gives the newest candles of what is asked, and not many."""

    def answer(request: Request) -> Reply:
        told = binance.answer(request)
        if not request.path.endswith("klines"):
            return told
        return replace(told, body=json.dumps(json.loads(told.body)[-most:]).encode())

    return answer


def test_pages_that_lose_their_older_end_again_and_again_lose_no_candle() -> None:
    start = NOW - 900 * HOUR
    with Loopback(newest(100)) as server:
        feed = Candles(symbols=("BTC/USDT",), base_url=server.url)
        rows = collected(feed, BTC, start, NOW, line(feed.about))
    assert rows.height == 899  # the bar that ends this very moment may still change


def test_an_exchange_that_answers_only_its_latest_candles_is_refused() -> None:
    """Taken for holes, years of bars would count as asked and never be asked again."""

    def answer(request: Request) -> Reply:
        if request.path.endswith("klines"):
            latest = {"startTime": str(binance.ms(NOW - 500 * HOUR)), "limit": "500"}
            return binance.klines({"symbol": "BTCUSDT", "interval": "1h"} | latest)
        return binance.answer(request)

    with Loopback(answer) as server:
        feed = Candles(symbols=("BTC/USDT",), base_url=server.url)
        with pytest.raises(FeedError, match="later candles"):
            collected(feed, BTC, NOW - 5000 * HOUR, NOW, line(feed.about))


def test_a_market_that_began_later_than_the_range_has_its_bars_from_there() -> None:
    listed = NOW - 700 * HOUR

    def answer(request: Request) -> Reply:
        asked = request.query
        if request.path.endswith("klines") and int(asked["startTime"]) < binance.ms(listed):
            queries = {**request.queries, "startTime": [str(binance.ms(listed))]}
            return binance.answer(replace(request, queries=queries))
        return binance.answer(request)

    with Loopback(answer) as server:
        feed = Candles(symbols=("BTC/USDT",), base_url=server.url)
        rows = collected(feed, BTC, NOW - 5000 * HOUR, NOW, line(feed.about))
    assert rows["event_time"][0] == listed
    assert rows.height == 699


# --- what a provider may send ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "told", ["nan", "inf", "-inf", "1e400", "1e30", "-5", "", "soon", "1800000000000000"]
)
def test_a_pause_that_is_none_is_no_reason_to_break(told: str) -> None:
    clock = Clock()
    with Loopback(lambda _: reply({"ok": 1})) as server:
        server.disturb(1, Reply(429, b"{}", headers={"Retry-After": told}))
        assert line(ABOUT, clock=clock).read(dict, f"{server.url}/x") == {"ok": 1}
    assert 0.1 <= sum(clock.slept) < 10
    assert len(server.seen) == 2


def test_a_pause_in_milliseconds_since_1970_is_read_as_that_moment() -> None:
    at = NOW + timedelta(hours=3)
    with (
        Loopback(lambda _: reply({}, 429, X_RateLimit_Reset=f"{binance.ms(at)}")) as server,
        pytest.raises(QuotaExhausted, match="no more until 2026-11-20 15:00 UTC"),
    ):
        line(ABOUT).read(dict, f"{server.url}/x")


@pytest.mark.parametrize("headers", [
    {"Date": "garbage"}, {"Date": ""}, {"Date": "Fri, 20 Nov 99999 12:00:00 GMT"},
    {"Date": "Fri, 20 Nov 2026 12:00:00 GMT", "Age": "inf"},
    {"Date": "Fri, 20 Nov 2026 12:00:00 GMT", "Age": "nan"},
    {"Date": "Fri, 20 Nov 2026 12:00:00 GMT", "Age": "1e300"},
    {"Date": "Fri, 20 Nov 2026 12:00:00 +9999999"},
])  # fmt: skip
def test_a_date_that_is_none_is_passed_over(headers: dict[str, str]) -> None:
    with Loopback(lambda _: Reply(200, b"{}", headers=headers)) as server:
        assert line(ABOUT).read(dict, f"{server.url}/x") == {}


def test_json_nested_without_end_is_broken_json() -> None:
    with (
        Loopback(lambda _: Reply(200, b"[" * 200_000)) as server,
        pytest.raises(FeedError, match="cut off or broken"),
    ):
        line(ABOUT).read(dict, f"{server.url}/x")


def test_what_a_provider_says_cannot_steer_a_terminal() -> None:
    with (
        Loopback(lambda _: Reply(400, b"no \x1b[2Jway\x07\xc2\x9b31m\xe2\x80\xae!")) as server,
        pytest.raises(FeedError) as raised,
    ):
        line(ABOUT).read(dict, f"{server.url}/x")
    assert str(raised.value).isprintable()


def test_what_an_exchange_says_cannot_steer_a_terminal() -> None:
    with Loopback(binance.answer) as server:
        server.always(Reply(400, b'{"code": -1, "msg": "no \\u001b[2Jway"}'))
        feed = Candles(symbols=("BTC/USDT",), base_url=server.url)
        with pytest.raises(FeedError) as raised:
            collected(feed, BTC, NOW - HOUR, NOW, line(feed.about))
    assert str(raised.value).isprintable()


def test_an_answer_that_drips_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_ANSWER_S", 0.3)
    monkeypatch.setattr(lines, "ATTEMPTS", 1)
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        peer, _ = server.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(200):
                if over.wait(0.05):
                    return
                peer.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=drip, args=(server,))
        dripping.start()
        at = line(ABOUT)
        at.clock = lambda: datetime.now(UTC)
        with pytest.raises(FeedError, match="took longer than"):
            at.read(dict, f"http://127.0.0.1:{server.getsockname()[1]}/x")
        over.set()
        dripping.join(10)
