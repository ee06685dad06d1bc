"""CryptoPanic: the token that must not be seen, the plans, both shapes of an item's assets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from tests.data.feeds.loopback import NOW, Clock, Loopback, Reply, line, reply
from tests.data.feeds.provider_cryptopanic import END, START, answer, post
from workbench.data.feeds.contract import collected
from workbench.data.feeds.cryptopanic import CryptoPanic
from workbench.data.feeds.line import Limit
from workbench.errors import FeedError, KeyRefused, QuotaExhausted, UsageError

KEY = "cp-token-000111222"
SERIES = CryptoPanic().series()[0]


def told(feed: CryptoPanic, clock: Clock | None = None) -> pl.DataFrame:
    return collected(feed, SERIES, START, END, line(feed.about, KEY, clock))


def read(*posts: dict[str, Any]) -> pl.DataFrame:
    with Loopback(lambda _: reply({"next": None, "results": list(posts)})) as server:
        return told(CryptoPanic(plan="growth", base_url=server.url))


def test_pages_are_followed_and_as_many_as_allowed() -> None:
    with Loopback(answer) as server:
        rows = told(CryptoPanic(plan="growth", pages=2, base_url=f"{server.url}/api"))
        asked = [request.query for request in server.seen]
    assert rows.height == 6  # three a page
    assert [query.get("page") for query in asked] == [None, "2"]
    assert asked[0]["kind"] == "news"
    assert asked[0]["public"] == "true"
    assert "currencies" not in asked[0]


@pytest.mark.parametrize("end", [{"next": None}, {"next": ""}, {}])
def test_the_last_page_has_no_next_whichever_way_it_says_so(end: dict[str, None]) -> None:
    with Loopback(lambda _: reply({"results": [post(0)]} | end)) as server:
        assert told(CryptoPanic(plan="growth", pages=5, base_url=server.url)).height == 1
        assert len(server.seen) == 1


def test_an_item_told_on_two_pages_is_one_row() -> None:
    def overlapping(request: Any) -> Reply:
        at = int(request.query.get("page", 0))
        following = f"http://{request.headers['Host']}{request.path}?auth_token={KEY}&page={at + 1}"
        return reply({"next": following, "results": [post(at), post(at + 1)]})

    with Loopback(overlapping) as server:
        rows = told(CryptoPanic(plan="growth", pages=3, base_url=server.url))
    assert rows["title"].to_list() == [f"Item {n} about a chain" for n in (3, 2, 1, 0)]


@pytest.mark.parametrize(
    "following", ["https://evil.example/api?auth_token={key}", "{same}?auth_token={key}&page=1"]
)
def test_a_next_page_that_leads_away_or_in_a_circle_is_refused_without_its_token(
    following: str,
) -> None:
    def leading(request: Any) -> Reply:
        same = f"http://{request.headers['Host']}{request.path}"
        return reply({"next": following.format(key=KEY, same=same), "results": [post(0)]})

    with Loopback(leading) as server, pytest.raises(FeedError) as raised:
        told(CryptoPanic(plan="growth", pages=9, base_url=server.url))
    assert KEY not in str(raised.value)


def test_assets_are_the_instruments_else_the_currencies_else_what_the_title_tells() -> None:
    bare = {"id": 1, "title": "Solana rallies", "published_at": "2026-11-20T10:00:00Z"}
    rows = read(
        post(1) | {"instruments": [{"code": "ETH"}, {"code": "pepe"}]},
        post(2) | {"instruments": None, "currencies": [{"code": "XRP", "title": "XRP"}]},
        bare,
        bare | {"id": 2, "title": "Regulators meet", "instruments": []},
    )
    assert sorted(rows["asset"]) == ["", "ETH", "PEPE", "SOL", "XRP"]
    # the developer plan tells no address and no source
    plain = rows.filter(asset="SOL").row(0, named=True)
    assert (plain["url"], plain["source"]) == ("", "cryptopanic")
    assert plain["id"] == read(bare | {"title": "Solana rallies again"})["id"][0]


def test_what_was_taken_in_after_our_clock_is_known_from_then() -> None:
    ahead = f"{NOW + timedelta(seconds=20):%Y-%m-%dT%H:%M:%SZ}"
    rows = read(post(0) | {"created_at": ahead}, post(1))
    known = dict(zip(rows["title"], rows["available_at"], strict=True))
    assert known == {
        "Item 0 about a chain": NOW + timedelta(seconds=20), "Item 1 about a chain": NOW,
    }  # fmt: skip
    assert rows["event_time"][1] == datetime(2026, 11, 20, 11, 55, tzinfo=UTC)
    assert rows["url"].to_list() == ["https://example.com/1", "https://example.com/0"]


def test_the_limit_is_the_plans_and_a_month_is_not_slept_through() -> None:
    assert CryptoPanic().about.limit == CryptoPanic.about.limit == Limit(100, 2_592_000.0)
    assert CryptoPanic(plan="growth").about.limit == Limit(2, 1.0)
    clock = Clock()
    with Loopback(lambda _: reply({"next": None, "results": [post(30)]})) as server:
        feed = CryptoPanic(base_url=server.url)
        at = line(feed.about, KEY, clock)
        assert collected(feed, SERIES, START, END, at).height == 1
        # a hundred a month are one in 7 h 12 min
        with pytest.raises(QuotaExhausted, match="2026-11-20 19:12 UTC"):
            collected(feed, SERIES, START, END, at)
        clock.at += timedelta(hours=7, minutes=12)
        assert collected(feed, SERIES, START, END, at).height == 1
        assert server.seen[0].path == "/developer/v2/posts/"
    assert clock.slept == []


def test_a_used_up_month_is_not_asked_again_and_a_refused_plan_is_a_refused_key() -> None:
    with Loopback(lambda _: reply({"info": "Monthly quota exceeded"}, 429)) as server:
        with pytest.raises(QuotaExhausted):
            told(CryptoPanic(plan="growth", base_url=server.url))
        assert len(server.seen) == 1
    refusing = Loopback(lambda _: reply({"info": "Upgrade your plan"}, 403))
    with refusing as server, pytest.raises(KeyRefused, match="CRYPTOPANIC_API_KEY"):
        told(CryptoPanic(plan="growth", base_url=server.url))


@pytest.mark.parametrize(
    "options", [{"plan": "free"}, {"pages": 0}, {"plan": "developer", "pages": 2}]
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="cryptopanic"):
        CryptoPanic(**options)


def test_the_assets_asked_for_are_sent() -> None:
    with Loopback(lambda _: reply({"results": []})) as server:
        feed = CryptoPanic(plan="enterprise", currencies=("BTC", "ETH"), base_url=server.url)
        assert told(feed).is_empty()
        assert server.seen[0].query["currencies"] == "BTC,ETH"
        assert server.seen[0].path == "/enterprise/v2/posts/"


@pytest.mark.parametrize("before", range(140, 160, 4))
def test_a_token_that_an_answer_repeats_is_not_shown_in_part(before: int) -> None:
    told_back = Reply(400, b"." * before + KEY.encode(), "text/plain")
    with Loopback(lambda _: told_back) as server, pytest.raises(FeedError) as raised:
        told(CryptoPanic(plan="growth", base_url=server.url))
    assert KEY[:4] not in str(raised.value)
