"""X: what a poll costs, where it ends, edits, partial answers, and the two kinds of 429."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from tests.data.feeds.loopback import NOW, Loopback, line, reply
from tests.data.feeds.provider_x import END, START, answer, post
from workbench.data.feeds.contract import collected
from workbench.data.feeds.x import X
from workbench.errors import FeedError, QuotaExhausted, UsageError

KEY = "x-bearer-000111222"
SERIES = X().series()[0]


def told(feed: X) -> pl.DataFrame:
    return collected(feed, SERIES, START, END, line(feed.about, KEY))


def read(body: object) -> pl.DataFrame:
    with Loopback(lambda _: reply(body)) as server:
        return told(X(base_url=server.url))


def test_a_poll_asks_for_the_newest_of_its_hours_with_the_key_in_a_header() -> None:
    with Loopback(answer) as server:
        row = told(X(hours=6, base_url=f"{server.url}/2")).row(-1, named=True)
        first = server.seen[0]
    assert first.query["start_time"] == "2026-11-20T06:00:00Z"
    assert first.query["max_results"] == "10"
    assert first.query["tweet.fields"] == "created_at"
    assert first.query["sort_order"] == "recency"
    assert first.headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(first.queries)
    assert row["title"] == "Post 0 about $BTC"
    assert row["url"] == "https://x.com/i/status/1990000000000000000"
    assert (row["asset"], row["source"]) == ("BTC", "x")
    assert row["event_time"] == datetime(2026, 11, 20, 11, 55, tzinfo=UTC)
    assert row["available_at"] >= NOW


@pytest.mark.parametrize(
    ("most", "requests"),
    [
        (100, ["100", "96", "92"]),  # four a page, ten in all: the third has no next
        (15, ["15", "11"]),  # then seven are left, which no request can ask for
        (10, ["10"]),
    ],
)
def test_no_more_posts_are_paid_for_than_allowed(most: int, requests: list[str]) -> None:
    with Loopback(answer) as server:
        told(X(max_posts=most, base_url=f"{server.url}/2"))
        assert [request.query["max_results"] for request in server.seen] == requests


def test_a_post_is_never_read_twice_though_pages_overlap_or_stay_empty() -> None:
    pages = {
        "": {"data": [post(0), post(1)], "meta": {"result_count": 2, "next_token": "a"}},
        "a": {"meta": {"result_count": 0, "next_token": "b"}},
        "b": {"data": [post(1), post(2)], "meta": {"result_count": 2, "next_token": ""}},
    }
    with Loopback(lambda request: reply(pages[request.query.get("next_token", "")])) as server:
        rows = told(X(max_posts=50, base_url=server.url))
    assert rows.height == 3


def test_an_empty_page_that_leads_to_itself_ends_in_an_error() -> None:
    circle = reply({"meta": {"result_count": 0, "next_token": "a"}})
    with Loopback(lambda _: circle) as server, pytest.raises(FeedError, match="page twice"):
        told(X(max_posts=50, base_url=server.url))


def test_no_hits_are_no_rows_and_lost_data_is_an_error() -> None:
    assert read({"meta": {"result_count": 0}}).is_empty()
    with pytest.raises(FeedError, match="counts 3 posts and has no data"):
        read({"posts": [post(0)], "meta": {"result_count": 3}})
    with pytest.raises(FeedError, match="has no data"):
        read({})


def test_an_edited_post_keeps_its_first_name() -> None:
    edited = post(0) | {"id": "77", "edit_history_tweet_ids": ["70", "77"], "text": "Fixed $ETH"}
    rows = read({"data": [edited], "meta": {"result_count": 1}})
    assert rows["url"].to_list() == ["https://x.com/i/status/70"]


def test_a_partial_answer_is_told_and_then_named() -> None:
    body = {
        "data": [post(0)], "meta": {"result_count": 1},
        "errors": [{"title": "Not Found", "detail": "Could not find <b>post</b> 12\nof it"}],
    }  # fmt: skip
    with Loopback(lambda _: reply(body)) as server:
        feed = X(base_url=server.url)
        pages = feed.fetch(SERIES, START, END, line(feed.about, KEY))
        assert next(pages).rows.height == 1
        with pytest.raises(FeedError, match="Could not find post 12 of it"):
            next(pages)
    with pytest.raises(FeedError, match="partial"):
        read({"errors": [{"title": "Unavailable"}]})


@pytest.mark.parametrize(
    "said",
    [
        {"title": "UsageCapExceeded", "detail": "Monthly cap", "type": "…/usage-capped"},
        {"title": "CreditsDepleted", "detail": "no credits"},
        {"detail": "a long explanation " * 20, "type": "https://api.x.com/2/problems/usage-capped"},
    ],
)
def test_a_cap_is_not_asked_again(said: dict[str, str]) -> None:
    with Loopback(lambda _: reply(said, 429)) as server:
        with pytest.raises(QuotaExhausted):
            told(X(base_url=server.url))
        assert len(server.seen) == 1


def test_a_pace_that_resets_soon_is_waited_for_to_the_second() -> None:
    reset = f"{NOW.timestamp() + 50:.0f}"
    with Loopback(answer) as server:
        server.disturb(1, reply({"title": "Too Many Requests"}, 429, x_rate_limit_reset=reset))
        feed = X(base_url=f"{server.url}/2")
        at = line(feed.about, KEY)
        assert collected(feed, SERIES, START, END, at).height == 4
        assert (at.now() - NOW).total_seconds() == 50


def test_a_name_that_is_no_number_never_becomes_an_address() -> None:
    with pytest.raises(FeedError, match=r"data\.0\.id"):
        read({"data": [post(0) | {"id": "../evil"}], "meta": {"result_count": 1}})


def test_the_fields_parameter_can_be_renamed() -> None:
    with Loopback(answer) as server:
        told(X(fields_parameter="post.fields", base_url=f"{server.url}/2"))
        assert server.seen[0].query["post.fields"] == "created_at"


@pytest.mark.parametrize(
    "options", [{"query": ""}, {"query": "x" * 513}, {"max_posts": 9}, {"hours": 0}, {"hours": 168}]
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="x: "):
        X(**options)
