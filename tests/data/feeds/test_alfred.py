"""ALFRED: revisions beside what was first said, each known when its day is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from tests.data.feeds.loopback import Clock, Loopback, line, reply
from tests.data.feeds.provider_alfred import CASES, END, START, UNRATE, answer
from workbench.data.feeds.alfred import Alfred
from workbench.data.feeds.contract import collected
from workbench.data.lags import LAGS
from workbench.domain import UsageError
from workbench.errors import FeedError, KeyRefused

KEY = CASES[0].key


def told(server: Loopback, end: datetime = END, clock: Clock | None = None) -> pl.DataFrame:
    feed = Alfred(base_url=server.url)
    return collected(feed, UNRATE, START, end, line(feed.about, KEY, clock))


def test_a_revision_is_a_further_row_and_the_first_word_stays() -> None:
    with Loopback(answer) as server:
        april = told(server).filter(pl.col("event_time") == datetime(2020, 4, 1, tzinfo=UTC))
    assert april.rows() == [
        (datetime(2020, 4, 1, tzinfo=UTC), datetime(2020, 5, 9, 6, tzinfo=UTC), 14.7),
        (datetime(2020, 4, 1, tzinfo=UTC), datetime(2021, 1, 9, 6, tzinfo=UTC), 14.8),
    ]


def test_the_stamp_of_the_vintage_counts_and_not_the_lag() -> None:
    with Loopback(answer) as server:
        rows = told(server)
    lagged = rows.select(LAGS["UNRATE"](pl.col("event_time")))["event_time"]
    assert rows["available_at"][0] == datetime(2020, 2, 8, 6, tzinfo=UTC)
    assert lagged[0] == datetime(2020, 2, 12, tzinfo=UTC)


def test_periods_stay_below_two_thousand_vintages_and_the_last_is_open() -> None:
    with Loopback(answer) as server:
        told(server)
    periods = [(r.query["realtime_start"], r.query["realtime_end"]) for r in server.seen]
    assert list(dict.fromkeys(periods)) == [
        ("2020-01-01", "2025-06-12"),  # 1990 days
        ("2025-06-13", "9999-12-31"),
    ]


def test_what_a_period_repeats_from_before_is_no_revision() -> None:
    with Loopback(answer) as server:
        rows = told(server)
    assert rows.height == 5
    assert rows["available_at"].max() < datetime(2025, 1, 1, tzinfo=UTC)


def test_every_page_of_a_period_is_read() -> None:
    with Loopback(answer) as server:
        told(server)
    offsets = [request.query["offset"] for request in server.seen]
    assert offsets == ["0", "3", "0", "3"]


def test_a_period_that_would_end_tomorrow_in_st_louis_is_open() -> None:
    # at 02:00 UTC it is still the day before there
    clock = Clock(datetime(2025, 6, 13, 2, tzinfo=UTC))
    with Loopback(answer) as server:
        told(server, clock=clock)
    assert {r.query["realtime_end"] for r in server.seen} == {"9999-12-31"}


def test_a_missing_value_is_no_row() -> None:
    row = {"realtime_start": "2020-02-07", "date": "2020-01-01", "value": "."}
    body = {"count": 1, "offset": 0, "limit": 100000, "observations": [row]}
    with Loopback(lambda _: reply(body)) as server:
        assert told(server).is_empty()


def test_a_bad_key_is_a_400_and_named_as_such() -> None:
    said = "Bad Request.  The value for variable api_key is not registered."
    refused = reply({"error_code": 400, "error_message": said}, 400)
    with Loopback(lambda _: refused) as server:
        with pytest.raises(KeyRefused, match="FRED_API_KEY") as raised:
            told(server)
        assert len(server.seen) == 1
    assert KEY not in str(raised.value)


def test_a_series_that_alfred_does_not_keep_is_said_and_not_a_key() -> None:
    said = "Bad Request.  The series does not exist in ALFRED but may exist in FRED."
    refused = reply({"error_code": 400, "error_message": said}, 400)
    with (
        Loopback(lambda _: refused) as server,
        pytest.raises(FeedError, match="does not exist in ALFRED") as raised,
    ):
        told(server)
    assert not isinstance(raised.value, KeyRefused)


def test_a_value_is_never_null_for_zero() -> None:
    row = {"realtime_start": "2020-02-07", "date": "2020-01-01", "value": "0.0"}
    body = {"count": 1, "offset": 0, "limit": 100000, "observations": [row]}
    with Loopback(lambda _: reply(body)) as server:
        assert told(server)["value"].to_list() == [0.0]


def test_a_long_history_comes_in_pages_that_end_where_the_next_begins() -> None:
    empty = {"count": 0, "offset": 0, "limit": 100000, "observations": []}
    start = datetime(2000, 1, 1, tzinfo=UTC)
    with Loopback(lambda _: reply(empty)) as server:
        feed = Alfred(base_url=server.url)
        pages = list(feed.fetch(UNRATE, start, END, line(feed.about, KEY)))
        asked = len(server.seen)
    reached = [page.through for page in pages]
    assert reached == [start + timedelta(days=3650), start + timedelta(days=7300), END]
    assert feed.requests(UNRATE, start, END) <= asked


def test_an_unknown_series_is_refused() -> None:
    with pytest.raises(UsageError, match="GDPC1"):
        Alfred(ids=("GDPC1",)).series()
