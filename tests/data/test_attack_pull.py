"""A pull that is stopped, spoilt, raced and told lies; and following what never ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.data.feeds import provider_binance as binance
from tests.data.feeds.loopback import NOW, Clock, Loopback, line
from tests.data.feeds.streams import Streams
from tests.data.feeds.test_stream import BARS, agg_trade, kline, until
from tests.data.test_pull import DAY, START, Told, candles, daily, nobody, run
from workbench.data.feeds.candles import Candles
from workbench.data.feeds.depth import Trades
from workbench.data.feeds.feed import About, Feed, Limit, Page, SeriesName
from workbench.data.follow import Follower
from workbench.data.lake import Lake
from workbench.data.pull import plan, pull
from workbench.data.versions import as_versions
from workbench.desk import load_feeds
from workbench.errors import UsageError

LIMIT = Limit(10, 1.0)
MINUTE = timedelta(minutes=1)
LATER = NOW + 5 * DAY


def told(name: str, values: dict[datetime, float] | None = None, **more: object) -> Told:
    about = About(name, "on-chain", "nobody", LIMIT)
    names = (SeriesName("onchain", name, "BTC", "1d"),)
    return replace(Told(daily(START, 5) if values is None else values, about, names=names), **more)  # type: ignore[arg-type]


# --- one feed and the others --------------------------------------------------------------------


def test_a_pull_that_is_interrupted_asks_no_feed_that_had_not_begun(tmp_path: Path) -> None:
    stopped, asked = threading.Event(), []

    def interrupted(_: datetime) -> None:
        raise KeyboardInterrupt

    def waits(_: datetime) -> None:
        asked.append(1)
        stopped.wait(10)

    feeds = [told("a", trouble=interrupted), *(told(f"b{i}", trouble=waits) for i in range(20))]
    planned = plan(Lake(tmp_path), feeds, START, NOW, {})
    with pytest.raises(KeyboardInterrupt):
        pull(Lake(tmp_path), planned, lambda feed: line(feed.about), nobody, stopped)
    assert len(asked) <= 9  # eight side by side, and one in the place of the first


def test_ctrl_c_ends_a_pull_while_its_feeds_are_still_waiting(tmp_path: Path) -> None:
    stopped = threading.Event()
    feeds = [told("a", trouble=lambda _: stopped.wait(20))]
    planned = plan(Lake(tmp_path), feeds, START, NOW, {})
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        pull(Lake(tmp_path), planned, lambda feed: line(feed.about), nobody, stopped)
    assert time.monotonic() - began < 10


class Worded(Told):
    """The same feed after its provider has made words of its numbers."""

    def fetch(self, *asked: object) -> Iterator[Page]:
        for rows, through in super().fetch(*asked):  # type: ignore[arg-type]
            yield Page(rows.with_columns(value=pl.lit("high")), through)


class Nameless(Told):
    """Trades without the id that names them."""

    def series(self) -> Sequence[SeriesName]:
        return [SeriesName("trades", "told", "BTC", "event")]


def test_rows_that_fit_no_table_are_the_fault_of_their_feed_alone(tmp_path: Path) -> None:
    about = About("words", "on-chain", "nobody", LIMIT, overlap=400 * DAY)
    lake = Lake(tmp_path)
    numbers = told("words", about=about)
    run(lake, [numbers])
    words = Worded(daily(START, 5), about, names=numbers.names)
    done = run(lake, [words, Nameless(daily(START, 5)), told("other")], now=LATER)
    faults = {each.step.name.venue: each.fault for each in done}
    assert faults["words"].startswith("words: ")
    assert "\n" not in faults["words"]
    assert "no column 'id'" in faults["told"]
    assert faults["other"] == ""
    assert lake.read(*numbers.names[0])["value"].dtype == pl.Float64


def test_a_month_that_cannot_be_read_is_the_fault_of_its_series_alone(tmp_path: Path) -> None:
    lake, feeds = Lake(tmp_path), [told("a"), told("b")]
    run(lake, feeds, now=START + 3 * DAY)
    (month,) = (tmp_path / "kind=onchain" / "venue=a").rglob("*.parquet")
    month.write_bytes(b"PAR1 torn")
    run_again = [replace(each, about=replace(each.about, overlap=400 * DAY)) for each in feeds]
    for file in tmp_path.rglob("covered.json"):
        file.unlink()
    faults = {each.step.name.venue: each.fault for each in run(lake, run_again)}
    assert "cannot be read" in faults["a"]
    assert faults["b"] == ""
    assert lake.read(*feeds[1].names[0]).height == 5


def test_what_many_venues_tell_otherwise_at_once_is_all_kept(tmp_path: Path) -> None:
    """Revised bars of one symbol are one series of events, whoever tells them."""

    class Bars(Told):
        def fetch(self, *asked: object) -> Iterator[Page]:
            for rows, through in super().fetch(*asked):  # type: ignore[arg-type]
                yield Page(rows.rename({"value": "close"}), through)

    def bars(venue: str, value: float) -> Bars:
        name = SeriesName("ohlcv", venue, "BTC/USDT", "1d")
        about = About(venue, "candles", "nobody", LIMIT, overlap=400 * DAY)
        return Bars({START: value}, about, names=(name,))

    lake, venues = Lake(tmp_path), [f"venue{i}" for i in range(8)]
    run(lake, [bars(venue, 1.0) for venue in venues])
    run(lake, [bars(venue, 2.0) for venue in venues], now=LATER)
    assert lake.read("events", "revision", "BTC/USDT", "event").height == len(venues)


def test_one_series_under_two_names_is_asked_for_once(tmp_path: Path) -> None:
    with Loopback(binance.answer) as server:
        planned = plan(Lake(tmp_path), [candles(server), candles(server)], START, NOW, {})
    assert len(planned.steps) == 1


# --- versions -----------------------------------------------------------------------------------


def test_a_value_that_was_told_as_missing_is_known_from_when_it_was_told() -> None:
    clocks = {"event_time": [START], "available_at": [START + DAY]}
    stored = pl.DataFrame(clocks | {"fetched_at": [START + 2 * DAY], "a": [1.0], "b": [None]})
    now = pl.DataFrame(clocks | {"fetched_at": [NOW], "a": [1.0], "b": [7.0]})
    (row,) = as_versions(stored, now, ["event_time"]).iter_rows(named=True)
    assert (row["b"], row["available_at"]) == (7.0, NOW)


def test_a_value_that_changes_back_is_a_third_version(tmp_path: Path) -> None:
    about = About("told", "on-chain", "nobody", LIMIT, overlap=400 * DAY)
    lake = Lake(tmp_path)
    moments = [NOW, NOW + DAY, NOW + 2 * DAY, NOW + 3 * DAY]
    for moment, value in zip(moments, (1.0, 2.0, 1.0, 1.0), strict=True):
        run(lake, [Told({START: value}, about)], now=moment)
    rows = lake.read("onchain", "told", "BTC", "1d")
    assert rows["value"].to_list() == [1.0, 2.0, 1.0]
    assert rows["available_at"].to_list() == [START + DAY, *moments[1:3]]


def test_a_row_that_was_not_there_when_it_was_asked_for_is_known_from_when_it_came(
    tmp_path: Path,
) -> None:
    """The third day comes after the fourth; what nobody had asked for before keeps its stamp."""
    about = About("told", "on-chain", "nobody", LIMIT, overlap=14 * DAY)
    first, days = START + 100 * DAY, daily(START + 95 * DAY, 9)
    late = first + 2 * DAY
    lake = Lake(tmp_path)
    asked = first + 6 * DAY
    without = {day: value for day, value in days.items() if day != late and day < asked}
    run(lake, [Told(without, about)], first - 20 * DAY, asked)
    run(lake, [Told(days, about)], first - 40 * DAY, asked + DAY)
    rows = lake.read("onchain", "told", "BTC", "1d")
    known = dict(rows.select("event_time", "available_at").iter_rows())
    assert rows["event_time"].to_list() == sorted(day for day in days if day < asked + DAY)
    assert known.pop(late) == asked + DAY
    assert all(at == day + DAY for day, at in known.items())


# --- following ----------------------------------------------------------------------------------


@dataclass
class Said:
    """What a follower told."""

    faults: list[str] = field(default_factory=list)
    written: list[SeriesName] = field(default_factory=list)

    def __call__(self, name: SeriesName, written: int, fault: str) -> None:
        if fault:
            self.faults.append(fault)
        if written:
            self.written.append(name)


def follower(lake: Lake, said: Said, clock: Clock, every_s: float = 0.05) -> Follower:
    return Follower(lake, lambda each: line(each.about, clock=clock), said, every_s)


async def followed(
    follows: Follower, feeds: Sequence[Feed], true: Callable[[], bool],
    say: Callable[[], None] = lambda: None,
) -> None:  # fmt: skip
    task = asyncio.create_task(follows.follow(feeds))
    await asyncio.sleep(0)
    await asyncio.to_thread(say)
    await until(lambda: true() or task.done())
    assert not task.done(), "following has ended"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_lake_that_cannot_be_read_for_one_feed_does_not_end_following(tmp_path: Path) -> None:
    lake, said = Lake(tmp_path), Said()
    broken, sound = told("a"), told("b", daily(NOW - DAY, 1))
    lake.cover(broken.names[0], START, NOW - DAY)
    (covered,) = tmp_path.rglob("covered.json")
    covered.write_text("[[")
    asyncio.run(followed(
        follower(lake, said, Clock(NOW)), [broken, sound],
        lambda: len(said.faults) > 2 and bool(said.written),
    ))  # fmt: skip
    assert "covered.json cannot be read" in said.faults[0]
    assert said.written == [sound.names[0]]


def test_a_trade_that_cannot_be_is_said_and_the_stream_begins_anew(tmp_path: Path) -> None:
    lake, said = Lake(tmp_path), Said()
    with Streams() as server:
        feed = Trades(symbols=("BTC/USDT",), base_url=server.url)

        def say() -> None:
            for _ in range(1000):
                if "btcusdt@aggTrade" in server.subscribed:
                    break
                time.sleep(0.01)
            server.push(agg_trade(7, NOW) | {"q": "0"})

        asyncio.run(followed(
            follower(lake, said, Clock(NOW)), [feed], lambda: server.connections >= 2, say
        ))  # fmt: skip
    assert said.faults[0].startswith("binance_spot_trades: ")


def test_what_was_heard_and_not_stored_yet_is_stored_when_following_ends(tmp_path: Path) -> None:
    lake, said = Lake(tmp_path), Said()
    name = SeriesName("trades", "binance_spot", "BTC/USDT", "agg")
    with Streams() as server:
        feed = Trades(symbols=("BTC/USDT",), base_url=server.url)

        async def follow() -> None:
            task = asyncio.create_task(follower(lake, said, Clock(NOW)).follow([feed]))
            await until(lambda: "btcusdt@aggTrade" in server.subscribed)
            await asyncio.to_thread(server.push, agg_trade(999_999, NOW))
            await asyncio.sleep(0.5)  # less than STORE_EVERY, and the clock stands still
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(follow())
    assert "999999" in lake.read(*name)["id"]


def test_a_bar_that_a_stream_tells_otherwise_stays_as_first_told(tmp_path: Path) -> None:
    lake, said = Lake(tmp_path), Said()
    with Streams() as server:
        feed = Candles(symbols=("BTC/USDT",), timeframes=("1m",), base_url=server.url)

        async def follow() -> None:
            task = asyncio.create_task(follower(lake, said, Clock(NOW)).follow([feed]))
            await until(lambda: "btcusdt@kline_1m" in server.subscribed)
            for i in (3, 2, 1):
                await asyncio.to_thread(server.push, kline(NOW - i * MINUTE, 101.0))
                await asyncio.sleep(0.1)
            await until(lambda: ("events", "revision", "BTC/USDT", "event") in lake.series())
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(follow())
    rows = lake.read(*BARS, start=NOW - 3 * MINUTE, end=NOW - 3 * MINUTE)
    assert rows["close"].to_list() == [binance.close(binance.ms(NOW - 3 * MINUTE))]


def test_of_two_feeds_with_one_series_only_one_is_followed(tmp_path: Path) -> None:
    lake, said, asked = Lake(tmp_path), Said(), []

    def trouble(_: datetime) -> None:
        asked.append(1)

    today = daily(NOW - DAY, 1)
    revised = Told(today, trouble=trouble)
    vintages = replace(Told(today), about=replace(Told({}).about, name="v", versions=True))
    feeds = [revised, vintages]
    asyncio.run(followed(follower(lake, said, Clock(NOW)), feeds, lambda: bool(said.written)))
    assert asked == []


def test_a_feed_with_a_hundred_requests_a_month_is_not_asked_every_few_minutes(
    tmp_path: Path,
) -> None:
    lake, said, asked = Lake(tmp_path), Said(), []

    def trouble(_: datetime) -> None:
        asked.append(1)

    about = About("told", "news", "nobody", Limit(100, 30 * 86_400.0), history=False)
    feed = Told(daily(NOW - DAY, 1), about, trouble)
    other = told("other", daily(NOW - DAY, 1), about=About("other", "x", "y", LIMIT, history=False))
    turns: list[int] = []
    other = replace(other, trouble=lambda _: turns.append(1))
    asyncio.run(followed(follower(lake, said, Clock(NOW)), [feed, other], lambda: len(turns) > 3))
    assert len(asked) == 1


def test_following_that_is_ended_ends_what_is_still_being_asked(tmp_path: Path) -> None:
    lake, said = Lake(tmp_path), Said()
    pages: list[datetime] = []

    def trouble(at: datetime) -> None:
        pages.append(at)
        time.sleep(0.02)

    feed = told("a", {}, trouble=trouble)
    lake.cover(feed.names[0], START - 3000 * DAY, START - 2000 * DAY)
    began = time.monotonic()
    asyncio.run(followed(follower(lake, said, Clock(NOW)), [feed], lambda: len(pages) > 2))
    assert time.monotonic() - began < 10  # all of its pages would take forty seconds


# --- desk.toml ----------------------------------------------------------------------------------


def feeds_of(tmp_path: Path, text: str) -> dict[str, Feed]:
    (tmp_path / "desk.toml").write_text(text)
    return load_feeds(tmp_path / "desk.toml")


@pytest.mark.parametrize(("text", "said"), [
    ('[feeds.mine]\nadapter = "candels"', "feeds.mine: there is no 'candels'"),
    ('[feeds.mine]\nadapter = "candles"\nvenue = "okxx"', "feeds.mine: no venue is called 'okxx'"),
    ("[feeds.candles]\ntimeframes = []", "feeds.candles: "),
    ('[feeds.candles]\ntimeframes = ["1M"]', "feeds.candles: timeframe '1M'"),
    ('[feeds.glassnode]\nresolution = "2h"', "feeds.glassnode: glassnode: resolution '2h' is none"),
    ('[feeds.fred]\nids = ["NOPE"]', "feeds.fred: the publication lag of NOPE"),
    ('[feeds.candles]\nsymbol = ["BTC/USDT"]', "feeds.candles: it has no option symbol"),
    ('[feeds.candles]\nsymbols = "BTC/USDT"', "feeds.candles: symbols: "),
])  # fmt: skip
def test_what_a_feed_refuses_is_said_with_its_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(said)}") as raised:
        feeds_of(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_one_option_of_the_second_exchange_leaves_it_the_second_exchange(tmp_path: Path) -> None:
    kraken = feeds_of(tmp_path, '[feeds.kraken]\nsymbols = ["SOL/USDT"]')["kraken"]
    assert kraken == Candles(venue="kraken", symbols=("SOL/USDT",))
