"""What is particular to Glassnode: point in time, the open interval, several metrics in a row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl
import pytest

from tests.data.feeds.loopback import Clock, Loopback, Reply, Request, line, reply
from workbench.data.feeds.contract import collected
from workbench.data.feeds.feed import SeriesName
from workbench.data.feeds.glassnode import Glassnode
from workbench.errors import FeedError, KeyRefused, QuotaExhausted, UsageError

BTC = SeriesName("onchain", "glassnode", "BTC", "1d")
START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
DAY_1, DAY_19, DAY_20 = 1793491200, 1795046400, 1795132800  # 00:00 of November 1, 19 and 20
KEY = "glassnode-key-0001"


def asked(
    answer: Callable[[Request], Reply], name: SeriesName = BTC, clock: Clock | None = None,
    pit: bool = True, **options: tuple[str, ...] | str,
) -> pl.DataFrame:  # fmt: skip
    options = {"metrics": ("supply/a",), **options}
    with Loopback(answer) as server:
        feed = Glassnode(base_url=server.url, pit=pit, **options)  # type: ignore[arg-type]
        return collected(feed, name, START, END, line(feed.about, KEY, clock))


def test_a_point_is_known_when_it_was_computed() -> None:
    """225 s after the day's end: 2 November, 00:03:45."""
    told = asked(lambda _: reply([{"t": DAY_1, "v": 2.5, "computed_at": DAY_1 + 86400 + 225}]))
    assert told.row(0) == (
        datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, 0, 3, 45, tzinfo=UTC), 2.5,
    )  # fmt: skip


def test_a_row_of_two_metrics_is_known_when_the_later_was_computed() -> None:
    def answer(request: Request) -> Reply:
        after_s = 225 if request.path.endswith("supply/a_pit") else 7200
        return reply([{"t": DAY_1, "v": 1, "computed_at": DAY_1 + 86400 + after_s}])

    told = asked(answer, metrics=("supply/a", "fees/b"))
    assert told.columns == ["event_time", "available_at", "a", "b"]
    assert told["available_at"].to_list() == [datetime(2026, 11, 2, 2, tzinfo=UTC)]


def test_a_metric_that_lacks_a_day_leaves_a_hole_and_not_a_zero() -> None:
    def answer(request: Request) -> Reply:
        days = [DAY_1] if request.path.endswith("a_pit") else [DAY_1, DAY_1 + 86400]
        return reply([{"t": t, "v": None, "computed_at": t + 90000} for t in days])

    told = asked(answer, metrics=("supply/a", "fees/b"))
    assert told.height == 2
    assert told["a"].to_list() == told["b"].to_list() == [None, None]


def test_without_point_in_time_a_day_is_known_an_hour_after_its_end() -> None:
    told = asked(lambda _: reply([{"t": DAY_1, "v": 1}]), pit=False)
    assert told["available_at"].to_list() == [datetime(2026, 11, 2, 1, tzinfo=UTC)]


def test_a_computed_at_within_the_day_does_not_make_the_day_known() -> None:
    told = asked(lambda _: reply([{"t": DAY_1, "v": 1, "computed_at": DAY_1 + 60}]))
    assert told["available_at"].to_list() == [datetime(2026, 11, 2, tzinfo=UTC)]


def test_the_day_that_is_not_over_is_left_out() -> None:
    """It is 20 November, 12:00: the point of the 19th is whole, that of the 20th is partial."""
    points = [{"t": t, "v": 1, "computed_at": t + 225} for t in (DAY_19, DAY_20)]
    told = asked(lambda _: reply(points))
    assert told["event_time"].to_list() == [datetime(2026, 11, 19, tzinfo=UTC)]


def test_an_hour_ends_after_an_hour_and_a_month_with_its_last_day() -> None:
    points = [{"t": DAY_1, "v": 1}]
    hour = asked(lambda _: reply(points), BTC._replace(timeframe="1h"), pit=False)
    assert hour["available_at"].to_list() == [datetime(2026, 11, 1, 2, tzinfo=UTC)]
    december = Clock(datetime(2026, 12, 1, 2, tzinfo=UTC))
    month = asked(lambda _: reply(points), BTC._replace(timeframe="1M"), december, pit=False)
    assert month["available_at"].to_list() == [datetime(2026, 12, 1, 1, tzinfo=UTC)]


def test_several_numbers_in_a_point_are_a_column_each() -> None:
    told = asked(lambda _: reply([{"t": DAY_1, "o": {"h": 5.6, "l": None}}]), pit=False)
    assert told.select("a_h", "a_l").row(0) == (5.6, None)


def test_the_request_names_asset_range_and_resolution_and_has_its_key_in_a_header() -> None:
    with Loopback(lambda _: reply([])) as server:
        feed = Glassnode(metrics=("supply/a",), base_url=server.url)
        collected(feed, BTC, START, END, line(feed.about, KEY))
        seen = server.seen[0]
    assert seen.path == "/v1/metrics/supply/a_pit"
    assert seen.query == {"a": "BTC", "i": "24h", "f": "json", "s": str(DAY_1), "u": "1795219200"}
    assert seen.headers["X-Api-Key"] == KEY


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({"t": DAY_1, "v": 1}, "without computed_at"),
        ({"t": DAY_1, "computed_at": DAY_1}, "without a value"),
        ({"t": DAY_1, "v": "NaN", "computed_at": DAY_1}, "0.v"),
    ],
)
def test_a_point_that_lacks_what_is_needed_is_refused(point: dict[str, object], said: str) -> None:
    with pytest.raises(FeedError, match=said):
        asked(lambda _: reply([point]))


def test_two_values_of_one_day_are_refused_and_a_copy_is_not() -> None:
    points = [{"t": DAY_1, "v": 1.0, "computed_at": DAY_20}] * 2
    assert asked(lambda _: reply(points)).height == 1
    with pytest.raises(FeedError, match="two values"):
        asked(lambda _: reply([points[0], points[0] | {"v": 2.0}]))


def test_pace_is_waited_out_and_a_day_s_quota_is_not() -> None:
    """x-rate-limit-reset is in seconds to go."""
    clock = Clock()
    with Loopback(lambda _: reply([])) as server:
        server.disturb(1, Reply(429, b"slow", "text/plain", {"x-rate-limit-reset": "7"}))
        server.disturb(3, Reply(429, b"slow", "text/plain", {"x-rate-limit-reset": "40000"}))
        feed = Glassnode(metrics=("supply/a",), base_url=server.url)
        collected(feed, BTC, START, END, line(feed.about, KEY, clock))
        assert max(clock.slept) == 7.0
        with pytest.raises(QuotaExhausted, match="2026-11-20 23:06"):
            collected(feed, BTC, START, END, line(feed.about, KEY))
        assert len(server.seen) == 3


def test_a_metric_above_the_plan_is_told_in_the_provider_s_words() -> None:
    with pytest.raises(KeyRefused, match=r"GLASSNODE_API_KEY.*Metric requires a higher plan"):
        asked(lambda _: reply({"message": "Metric requires a higher plan"}, 403))


def test_options_that_cannot_be_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match="end in the same name"):
        Glassnode(metrics=("supply/current", "market/current"))
    with pytest.raises(UsageError, match="'1d' is none of 10m"):
        Glassnode(resolution="1d")
    with pytest.raises(UsageError, match="4h"):
        asked(lambda _: reply([]), BTC._replace(timeframe="4h"))
