"""A pull: planned, stored month by month, and the same files however often it was cut."""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.data.feeds import provider_binance, provider_coinmetrics
from tests.data.feeds.loopback import HTML, NOW, Clock, Loopback, Reply, line
from workbench.data.feeds.candles import Candles
from workbench.data.feeds.coinmetrics import CoinMetrics
from workbench.data.feeds.feed import About, Feed, Limit, Line, Page, SeriesName
from workbench.data.lake import INSTANT, Lake
from workbench.data.pull import Plan, Pulled, plan, pull
from workbench.data.versions import as_versions
from workbench.errors import DataError, KeyRefused, QuotaExhausted

START = datetime(2026, 8, 1, tzinfo=UTC)
BTC = SeriesName("ohlcv", "binance_spot", "BTC/USDT", "1h")


def nobody(_done: int, _total: int, _label: str) -> None: ...


def candles(server: Loopback) -> Candles:
    return Candles(symbols=("BTC/USDT",), base_url=server.url)


class Still(Clock):
    """Time that stands, so that what is fetched later has the same stamp."""

    def sleep(self, seconds: float) -> None: ...


def run(
    lake: Lake, feeds: Sequence[Feed], start: datetime = START, now: datetime = NOW
) -> list[Pulled]:
    planned = plan(lake, feeds, start, now, {})
    return pull(lake, planned, lambda feed: line(feed.about, clock=Clock(now)), nobody)


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


# --- feeds made of rows -------------------------------------------------------------------------

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Told:
    """A feed that says what it is told to, a day a page."""

    values: dict[datetime, float]
    about: About = field(
        default_factory=lambda: About("told", "on-chain", "nobody", Limit(10, 1.0))
    )
    trouble: Callable[[datetime], None] = lambda _: None
    names: tuple[SeriesName, ...] = (SeriesName("onchain", "told", "BTC", "1d"),)

    def series(self) -> Sequence[SeriesName]:
        return self.names

    def requests(self, _name: SeriesName, start: datetime, end: datetime) -> int:
        return max((end - start).days, 1)

    def fetch(
        self, _name: SeriesName, start: datetime, end: datetime, line: Line
    ) -> Iterator[Page]:
        at = start
        while at < end:
            self.trouble(at)
            line.asked += 1
            until = min(at + DAY, end)
            rows = [(t, v) for t, v in sorted(self.values.items()) if at <= t < until]
            frame = pl.DataFrame(
                {"event_time": [t for t, _ in rows], "value": [v for _, v in rows]},
                schema={"event_time": INSTANT, "value": pl.Float64},
            )
            yield Page(frame.with_columns(available_at=pl.col("event_time") + DAY), until)
            at = until


def daily(first: datetime, days: int, value: float = 1.0) -> dict[datetime, float]:
    return {first + i * DAY: value + i for i in range(days)}


# --- what is asked ------------------------------------------------------------------------------


def test_a_second_pull_asks_only_for_what_is_new(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with Loopback(provider_binance.answer) as server:
        first = run(lake, [candles(server)])
        asked = len(server.seen)
        again = plan(lake, [candles(server)], START, NOW, {})
        run(lake, [candles(server)])
    # four hours of maintenance; and the bar that ends this very moment may still change
    assert first[0].written == (NOW - START) // timedelta(hours=1) - 4 - 1
    assert [(step.start, step.end) for step in again.steps] == [(NOW - timedelta(hours=2), NOW)]
    assert len(server.seen) - asked <= 3  # the clock, the markets, one page


def test_an_earlier_start_asks_for_the_years_before_and_not_for_the_rest(tmp_path: Path) -> None:
    lake, feed = Lake(tmp_path), Told(daily(START - 40 * DAY, 140))
    run(lake, [feed])
    earlier = plan(lake, [feed], START - 40 * DAY, NOW, {})
    assert [(s.start, s.end) for s in earlier.steps] == [(START - 40 * DAY, START)]
    run(lake, [feed], START - 40 * DAY)
    assert lake.read(*feed.names[0])["value"].to_list() == [1.0 + i for i in range(140)]
    assert plan(lake, [feed], START - 40 * DAY, NOW, {}).steps == ()


def test_a_range_without_rows_is_asked_for_once(tmp_path: Path) -> None:
    lake, feed = Lake(tmp_path), Told({})
    run(lake, [feed])
    assert plan(lake, [feed], START, NOW, {}).steps == ()
    assert lake.series() == []


def test_the_overlap_is_asked_again_until_it_has_settled(tmp_path: Path) -> None:
    about = About("told", "on-chain", "nobody", Limit(10, 1.0), overlap=14 * DAY)
    lake, feed = Lake(tmp_path), Told(daily(START, 100), about)
    run(lake, [feed])
    steps = plan(lake, [feed], START, NOW, {}).steps
    assert [(step.start, step.end) for step in steps] == [(NOW - 14 * DAY, NOW)]


def test_the_plan_counts_requests_and_the_time_they_take_at_the_published_pace() -> None:
    feed = Told({}, About("told", "on-chain", "nobody", Limit(60, 60.0), weight=2))
    planned = plan(Lake(Path("none")), [feed], NOW - 30 * DAY, NOW, {})
    assert sum(step.requests for step in planned.steps) == 30
    assert planned.seconds == pytest.approx(58.0)  # two seconds between each and the next


def test_a_feed_without_its_key_is_skipped_by_name_and_the_others_go_on(tmp_path: Path) -> None:
    keyed = Told({}, About("secretive", "on-chain", "nobody", Limit(1, 1.0), key="THE_KEY"))
    planned = plan(Lake(tmp_path), [keyed, Told({})], START, NOW, {})
    assert planned.skipped == (("secretive", "THE_KEY is not set"),)
    assert {step.feed.about.name for step in planned.steps} == {"told"}


def test_of_two_feeds_that_tell_the_same_the_one_that_knows_revisions_does(tmp_path: Path) -> None:
    vintages = Told({}, About("vintages", "macro", "nobody", Limit(1, 1.0), versions=True))
    planned = plan(Lake(tmp_path), [Told({}), vintages], START, NOW, {})
    assert {step.feed.about.name for step in planned.steps} == {"vintages"}
    assert planned.skipped == (("told", "vintages tells the same"),)


def test_an_exchange_that_keeps_only_the_latest_is_not_asked_for_more(tmp_path: Path) -> None:
    kraken = Candles(venue="kraken", symbols=("BTC/USDT",))
    steps = plan(Lake(tmp_path), [kraken], START, NOW, {}).steps
    assert steps[0].start == NOW - timedelta(hours=719)


# --- what is stored -----------------------------------------------------------------------------


def test_what_was_read_before_a_fault_is_stored_and_the_next_pull_goes_on(tmp_path: Path) -> None:
    broken = {START + 50 * DAY}

    def trouble(at: datetime) -> None:
        if at in broken:
            raise QuotaExhausted("told: enough for today")

    lake, feed = Lake(tmp_path / "cut"), Told(daily(START, 111), trouble=trouble)
    cut = run(lake, [feed])
    assert cut[0].fault == "told: enough for today"
    assert lake.read(*feed.names[0]).height == 50
    assert lake.covered(feed.names[0]) == [(START, START + 50 * DAY)]
    broken.clear()
    run(lake, [feed])
    whole = Lake(tmp_path / "whole")
    run(whole, [feed])
    assert files(lake.root) == files(whole.root)


def test_one_feed_that_fails_does_not_keep_the_others_from_theirs(tmp_path: Path) -> None:
    def trouble(_: datetime) -> None:
        raise ZeroDivisionError("a bug in a plug-in")

    names = (SeriesName("onchain", "bad", "BTC", "1d"),)
    bad = Told({}, About("bad", "on-chain", "nobody", Limit(1, 1.0)), trouble, names)
    done = run(Lake(tmp_path), [bad, Told(daily(START, 5))])
    assert [(each.step.feed.about.name, each.fault) for each in done] == [
        ("bad", "bad: ZeroDivisionError: a bug in a plug-in"),
        ("told", ""),
    ]


def test_a_key_that_is_refused_ends_the_feed_and_not_only_the_series(tmp_path: Path) -> None:
    def trouble(_: datetime) -> None:
        raise KeyRefused("told: THE_KEY is refused")

    names = tuple(SeriesName("onchain", "told", asset, "1d") for asset in ("BTC", "ETH"))
    done = run(Lake(tmp_path), [Told({}, trouble=trouble, names=names)])
    assert len(done) == 1


def test_a_page_that_breaks_a_promise_is_not_stored(tmp_path: Path) -> None:
    class Early(Told):
        def fetch(self, *asked: object) -> Iterator[Page]:
            for page in super().fetch(*asked):  # type: ignore[arg-type]
                early = pl.col("event_time") - timedelta(minutes=1)
                yield Page(page.rows.with_columns(available_at=early), page.through)

    done = run(Lake(tmp_path), [Early(daily(START, 5))])
    assert "known before it happened" in done[0].fault
    assert files(tmp_path) == {}


def test_a_changed_value_is_a_new_version_known_from_when_it_was_fetched(tmp_path: Path) -> None:
    about = About("told", "on-chain", "nobody", Limit(10, 1.0), overlap=400 * DAY)
    lake = Lake(tmp_path)
    run(lake, [Told(daily(START, 3), about)])
    later = NOW + 5 * DAY
    revised = Told(daily(START, 3) | {START + DAY: 99.0}, about)
    assert run(lake, [revised], now=later)[0].written == 1
    rows = lake.read(*revised.names[0])
    assert rows.select("event_time", "available_at", "value").rows() == [
        (START, START + DAY, 1.0),
        (START + DAY, START + 2 * DAY, 2.0),
        (START + DAY, later, 99.0),
        (START + 2 * DAY, START + 3 * DAY, 3.0),
    ]
    assert run(lake, [revised], now=later)[0].written == 0


def test_a_bar_that_is_told_otherwise_later_stays_as_it_was_and_is_an_event(tmp_path: Path) -> None:
    name = SeriesName("ohlcv", "told", "BTC/USDT", "1d")
    about = About("told", "candles", "nobody", Limit(10, 1.0), overlap=400 * DAY)

    class Bars(Told):
        def fetch(self, *asked: object) -> Iterator[Page]:
            for rows, through in super().fetch(*asked):  # type: ignore[arg-type]
                yield Page(rows.rename({"value": "close"}), through)

    lake, later = Lake(tmp_path), NOW + 5 * DAY
    run(lake, [Bars(daily(START, 3), about, names=(name,))])
    changed = Bars(daily(START, 3) | {START + DAY: 2.5}, about, names=(name,))
    for _ in range(2):
        run(lake, [changed], now=later)
    assert lake.read(*name)["close"].to_list() == [1.0, 2.0, 3.0]
    (event,) = lake.read("events", "revision", "BTC/USDT", "event").iter_rows(named=True)
    assert (event["event_time"], event["available_at"]) == (START + DAY, later)
    assert (event["close"], event["other_close"], event["gap_bps"]) == (2.0, 2.5, 2500.0)


def test_a_column_that_is_new_to_us_is_no_revision() -> None:
    clocks = {"event_time": [START], "available_at": [START + DAY], "fetched_at": [NOW]}
    stored = pl.DataFrame(clocks | {"a": [1.0]})
    told = pl.DataFrame(clocks | {"a": [1.0], "b": [7.0]})
    assert as_versions(stored, told, ["event_time"]).rows() == told.rows()
    assert as_versions(stored, told.drop("b"), ["event_time"]).is_empty()


def test_a_stopped_pull_keeps_what_it_has_read(tmp_path: Path) -> None:
    stopped = threading.Event()

    def trouble(at: datetime) -> None:
        if at == START + 3 * DAY:
            stopped.set()

    lake, feed = Lake(tmp_path), Told(daily(START, 20), trouble=trouble)
    planned = plan(lake, [feed], START, NOW, {})
    pull(lake, planned, lambda each: line(each.about), nobody, stopped)
    assert lake.covered(feed.names[0]) == [(START, START + 4 * DAY)]
    assert lake.read(*feed.names[0]).height == 4


# --- cut anywhere -------------------------------------------------------------------------------


def answer(request: object) -> Reply:
    path = request.path  # type: ignore[attr-defined]
    provider = provider_coinmetrics if path.startswith("/v4") else provider_binance
    return provider.answer(request)  # type: ignore[arg-type]


def pull_from(root: Path, url: str) -> None:
    feeds: list[Feed] = [
        Candles(symbols=("BTC/USDT",), base_url=url),
        CoinMetrics(assets=("BTC",), base_url=f"{url}/v4"),
    ]
    planned = plan(Lake(root), feeds, START, NOW, {})
    pull(Lake(root), planned, lambda feed: line(feed.about, clock=Still()), nobody)


def pulled_in_a_child(root: Path, url: str, delay_s: float) -> bool:
    """Pull in another process and kill it after a while; True if it was done by then."""
    apart = multiprocessing.get_context("forkserver")  # polars does not bear a plain fork
    apart.set_forkserver_preload([__name__, "ccxt"])
    child = apart.Process(target=pull_from, args=(root, url))
    child.start()
    child.join(delay_s)
    done = child.exitcode == 0
    child.kill()
    child.join()
    return done


def test_killed_anywhere_and_started_again_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201  to cut it at the same places again
    chance = random.Random(seed)
    slow = Loopback(lambda request: (time.sleep(0.1), answer(request))[1])
    with slow as server:
        pull_from(tmp_path / "whole", server.url)
        kills = 0
        for _ in range(40):
            if pulled_in_a_child(tmp_path / "cut", server.url, chance.uniform(0.05, 0.5)):
                break
            kills += 1
        pull_from(tmp_path / "cut", server.url)
    assert kills >= 2
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_a_full_disk_stops_the_pull_and_harms_nothing_that_was_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, feed = Lake(tmp_path), Told(daily(START, 111))
    run(lake, [feed], now=START + 20 * DAY)
    before = files(tmp_path)
    full = OSError(28, "No space left on device")

    def no_room(*_: object) -> None:
        raise full

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(DataError, match="No space left on device"):
        run(lake, [feed])
    assert files(tmp_path) == before


def test_a_web_page_leaves_no_half_month_behind(tmp_path: Path) -> None:
    with Loopback(provider_binance.answer) as server:
        server.always(HTML)
        done = run(Lake(tmp_path), [candles(server)])
    assert "no JSON" in done[0].fault
    assert files(tmp_path) == {}


def test_a_plan_of_nothing_is_done_at_once() -> None:
    assert pull(Lake(Path("none")), Plan((), ()), lambda feed: line(feed.about), nobody) == []
