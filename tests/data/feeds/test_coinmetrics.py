"""What is particular to Coin Metrics: when each value could be known, holes, and its errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from tests.data.feeds.loopback import Clock, Loopback, Reply, Request, line, reply
from workbench.data.feeds.coinmetrics import CoinMetrics
from workbench.data.feeds.contract import collected
from workbench.data.feeds.feed import SeriesName
from workbench.errors import FeedError, KeyRefused

BTC = SeriesName("onchain", "coinmetrics", "BTC", "1d")
START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC)
DAY_1 = "2026-11-01T00:00:00.000000000Z"
Row = Mapping[str, str | None]


def rows(*told: Row, metrics: tuple[str, ...] = ("AdrActCnt", "CapMVRVCur")) -> pl.DataFrame:
    return asked(lambda _: reply({"data": list(told)}), metrics)


def asked(
    answer: Callable[[Request], Reply], metrics: tuple[str, ...] = ("AdrActCnt", "CapMVRVCur")
) -> pl.DataFrame:
    with Loopback(answer) as server:
        feed = CoinMetrics(metrics=metrics, base_url=server.url)
        return collected(feed, BTC, START, END, line(feed.about))


def test_a_row_is_known_when_its_latest_status_was_set() -> None:
    told = rows(
        {
            "time": DAY_1, "AdrActCnt": "800000", "CapMVRVCur": "1.9",
            "AdrActCnt-status-time": "2026-11-02T10:00:00.000000000Z",
            "CapMVRVCur-status-time": "2026-11-02T11:30:00.000000000Z",
        }
    )  # fmt: skip
    assert told["available_at"][0] == datetime(2026, 11, 2, 11, 30, tzinfo=UTC)


def test_a_metric_without_a_status_time_waits_for_the_lag() -> None:
    """The status of one metric says nothing of another: 1 November ends, and 15 h pass."""
    told = rows(
        {
            "time": DAY_1, "AdrActCnt": "800000", "CapMVRVCur": "1.9",
            "CapMVRVCur-status-time": "2026-11-02T10:00:00.000000000Z",
        }
    )  # fmt: skip
    assert told["available_at"][0] == datetime(2026, 11, 2, 15, tzinfo=UTC)


def test_a_status_later_than_the_lag_counts_beside_a_metric_without_one() -> None:
    told = rows(
        {
            "time": DAY_1, "AdrActCnt": "800000", "CapMVRVCur": "1.9",
            "CapMVRVCur-status-time": "2026-11-09T10:00:00.000000000Z",
        }
    )  # fmt: skip
    assert told["available_at"][0] == datetime(2026, 11, 9, 10, tzinfo=UTC)


def test_the_status_of_a_metric_without_a_value_does_not_count() -> None:
    told = rows(
        {
            "time": DAY_1, "AdrActCnt": None, "CapMVRVCur": "1.9",
            "AdrActCnt-status-time": "2026-11-09T10:00:00.000000000Z",
            "CapMVRVCur-status-time": "2026-11-02T10:00:00.000000000Z",
        }
    )  # fmt: skip
    assert told["available_at"][0] == datetime(2026, 11, 2, 10, tzinfo=UTC)


def test_a_flash_status_set_within_the_day_does_not_make_the_day_known() -> None:
    told = rows(
        {
            "time": DAY_1, "AdrActCnt": "1", "AdrActCnt-status-time": "2026-11-01T20:00:00.000Z",
        }
    )  # fmt: skip
    assert told["available_at"][0] == datetime(2026, 11, 2, tzinfo=UTC)


def test_a_missing_value_stays_missing_and_an_absent_metric_has_no_column() -> None:
    told = rows(
        {"time": DAY_1, "AdrActCnt": None},
        {"time": "2026-11-02T00:00:00.000000000Z", "AdrActCnt": "0"},
        metrics=("AdrActCnt", "HashRate"),
    )
    assert told["AdrActCnt"].to_list() == [None, 0.0]
    assert "HashRate" not in told.columns


def test_a_row_that_two_pages_tell_is_told_once() -> None:
    def answer(request: Request) -> Reply:
        first = "token" not in request.query
        days = (1, 2) if first else (2, 3)
        body: dict[str, object] = {
            "data": [{"time": f"2026-11-0{day}T00:00:00Z", "AdrActCnt": str(day)} for day in days]
        }
        if first:
            body["next_page_url"] = f"http://{request.headers['Host']}{request.path}?token=x"
        return reply(body)

    assert asked(answer)["AdrActCnt"].to_list() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("end", [{}, {"next_page_url": None}, {"next_page_url": ""}])
def test_the_last_page_has_no_next_one(end: dict[str, str | None]) -> None:
    told = asked(lambda _: reply({"data": [{"time": DAY_1, "AdrActCnt": "7"}]} | end))
    assert told.height == 1


def test_an_empty_range_has_both_clocks_and_no_rows() -> None:
    told = rows()
    assert told.is_empty()
    assert {"event_time", "available_at"} <= set(told.columns)


def test_metrics_that_are_not_there_any_more_are_an_error_and_not_an_empty_table() -> None:
    """Unsupported metrics are left out silently, as asked: all of them at once is a mistake."""
    with pytest.raises(FeedError, match="none of the metrics"):
        rows({"asset": "btc", "time": DAY_1})


@pytest.mark.parametrize("value", ["NaN", "Infinity", "n/a", ""])
def test_what_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(FeedError, match="AdrActCnt"):
        rows({"time": DAY_1, "AdrActCnt": value})


@pytest.mark.parametrize("time", ["yesterday", "2026-11-01T00:00:00", None])
def test_what_is_no_utc_time_is_refused(time: str | None) -> None:
    with pytest.raises(FeedError, match="changed its shape"):
        rows({"time": time, "AdrActCnt": "1"})


def test_a_bad_parameter_is_told_in_the_provider_s_words_and_not_asked_again() -> None:
    error = {"error": {"type": "bad_parameter", "message": "Bad parameter 'metrics'."}}
    with Loopback(lambda _: reply(error, 400)) as server:
        feed = CoinMetrics(base_url=server.url)
        with pytest.raises(FeedError, match=r"400.*Bad parameter 'metrics'"):
            collected(feed, BTC, START, END, line(feed.about))
        assert len(server.seen) == 1


def test_a_forbidden_metric_names_no_key_for_there_is_none() -> None:
    error = {"error": {"type": "forbidden", "message": "Requested metric is not available."}}
    with pytest.raises(KeyRefused, match=r"403.*not available") as raised:
        asked(lambda _: reply(error, 403))
    assert "refuses the key" not in str(raised.value)


def test_it_waits_as_long_as_the_rate_limit_says() -> None:
    clock = Clock()
    with Loopback(lambda _: reply({"data": []})) as server:
        server.disturb(1, reply({"error": {"type": "rate_limit"}}, 429, x_ratelimit_reset="5"))
        feed = CoinMetrics(base_url=server.url)
        collected(feed, BTC, START, END, line(feed.about, clock=clock))
    assert max(clock.slept) == 5.0


def test_the_range_asked_for_leaves_out_its_end() -> None:
    with Loopback(lambda _: reply({"data": []})) as server:
        feed = CoinMetrics(base_url=server.url)
        collected(feed, BTC, START, END + timedelta(hours=1), line(feed.about))
        query = server.seen[0].query
    assert (query["assets"], query["paging_from"], query["end_inclusive"]) == (
        "btc", "start", "false",
    )  # fmt: skip
    assert query["start_time"] == "2026-11-01T00:00:00"
    assert query["end_time"] == "2026-11-04T01:00:00"
