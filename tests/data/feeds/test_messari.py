"""Messari: back by time, both readings of `before` and of a list's spelling, entitlement."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import polars as pl
import pytest

from tests.data.feeds.loopback import NOW, Loopback, Reply, line, reply
from tests.data.feeds.provider_messari import END, START, answer, story
from workbench.data.feeds.contract import collected
from workbench.data.feeds.messari import Messari
from workbench.errors import FeedError, KeyRefused, QuotaExhausted, UsageError

KEY = "messari-000111222"
SERIES = Messari().series()[0]


def told(feed: Messari) -> pl.DataFrame:
    return collected(feed, SERIES, START, END, line(feed.about, KEY))


@pytest.mark.parametrize("inclusive", [True, False])
def test_no_story_is_lost_or_told_twice_whether_before_includes_its_moment(
    inclusive: bool,
) -> None:
    with Loopback(partial(answer, inclusive=inclusive)) as server:
        rows = told(Messari(pages=9, base_url=server.url))
        asked = [request.query.get("publishedBefore") for request in server.seen]
    assert sorted(rows["title"]) == [f"Story {n} on a network" for n in range(10)]
    assert asked[0] is None
    # story 3 of 0..3 is from 11:25: one millisecond more
    assert asked[1] == str(round(datetime(2026, 11, 20, 11, 25, tzinfo=UTC).timestamp()) * 1000 + 1)
    assert len(asked) <= 5
    assert server.seen[0].headers["x-messari-api-key"] == KEY
    assert KEY not in str([request.queries for request in server.seen])


def test_a_server_that_does_not_go_back_ends_the_poll() -> None:
    page = [story(n) for n in range(3)]
    with Loopback(lambda _: reply({"data": page, "error": None})) as server:
        assert told(Messari(pages=9, base_url=server.url)).height == 3
        assert len(server.seen) == 2


def test_the_clocks_are_the_publishers_and_the_moment_of_the_poll() -> None:
    with Loopback(lambda _: reply({"data": [story(0)]})) as server:
        row = told(Messari(base_url=server.url)).row(0, named=True)
    assert row["event_time"] == datetime(2026, 11, 20, 11, 55, tzinfo=UTC)
    assert row["available_at"] == NOW
    assert (row["source"], row["url"]) == ("Example", "https://example.com/story/0")


def test_assets_are_known_by_name_else_by_the_title() -> None:
    named = [
        story(1) | {"assets": [{"name": "Ethereum"}, {"name": "Uniswap"}, {"name": "XRP"}]},
        story(2) | {"assets": [{"name": "Uniswap"}], "title": "Solana rallies"},
        story(3) | {"assets": None, "source": None, "url": None},
    ]
    with Loopback(lambda _: reply({"data": named})) as server:
        rows = told(Messari(base_url=server.url))
    assert sorted(rows["asset"]) == ["", "ETH", "SOL", "XRP"]
    market = rows.filter(asset="").row(0, named=True)
    assert (market["source"], market["url"]) == ("messari", "")


@pytest.mark.parametrize("spelling", ["assetIds", "assetIDs[]"])
def test_the_assets_asked_for_are_sent_in_either_spelling(spelling: str) -> None:
    with Loopback(answer) as server:
        told(Messari(assets=("a-1", "a-2"), asset_parameter=spelling, base_url=server.url))
        assert server.seen[0].queries[spelling] == ["a-1", "a-2"]
    assert Messari().asset_parameter == "assetIds"


def test_a_key_without_the_right_to_news_is_refused_at_once() -> None:
    challenge = reply({"error": "payment required", "accepts": [{"scheme": "exact"}]}, 402)
    with Loopback(lambda _: challenge) as server:
        with pytest.raises(KeyRefused, match="MESSARI_API_KEY"):
            told(Messari(base_url=server.url))
        assert len(server.seen) == 1


def test_a_used_up_day_is_not_asked_again() -> None:
    with Loopback(lambda _: reply({"error": "daily quota exceeded"}, 429)) as server:
        with pytest.raises(QuotaExhausted):
            told(Messari(base_url=server.url))
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("told_instead", "why"),
    [
        (reply({"data": [], "error": "internal <b>fault</b>"}), "internal fault"),
        (reply({"data": None, "error": "x"}), "data"),
        (reply({"data": [story(0) | {"publishTimeMillis": -5}]}), "publishTimeMillis"),
        (reply({"data": [story(0) | {"publishTimeMillis": 10**18}]}), "publishTimeMillis"),
    ],
)
def test_an_error_in_an_answer_that_is_200_is_one(told_instead: Reply, why: str) -> None:
    with Loopback(lambda _: told_instead) as server, pytest.raises(FeedError, match=why):
        told(Messari(base_url=server.url))


def test_no_news_is_an_empty_page() -> None:
    with Loopback(lambda _: reply({"data": []})) as server:
        assert told(Messari(base_url=server.url)).is_empty()


@pytest.mark.parametrize("options", [{"pages": 0}])
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="messari"):
        Messari(**options)
