"""RSS and Atom: ways to write a time, unchanged feeds, broken ones, hostile ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from tests.data.feeds.loopback import HTML, NOW, Clock, Loopback, Reply, Request, line
from tests.data.feeds.provider_rss import BODIES, END, PATHS, START, answer, item, rss, xml
from workbench.data.feeds.contract import collected
from workbench.data.feeds.line import Line
from workbench.data.feeds.rss import STARTER, Rss
from workbench.errors import FeedError, UsageError

SERIES = Rss().series()[0]


def serving(replies: Mapping[str, Reply]) -> Callable[[Request], Reply]:
    return lambda request: replies.get(request.path, Reply(404))


def told(feed: Rss, at: Line | None = None) -> pl.DataFrame:
    return collected(feed, SERIES, START, END, at or line(feed.about))


def read(body: str | bytes, at: Line | None = None) -> pl.DataFrame:
    with Loopback(serving({"/feed": xml(body)})) as server:
        return told(Rss(feeds={"wire": f"{server.url}/feed"}), at)


def test_the_columns_are_those_of_news_by_any_feed() -> None:
    with Loopback(answer) as server:
        rows = told(Rss(feeds={name: server.url + path for name, path in PATHS.items()}))
    first = rows.filter(title="Bitcoin rallies as funds see record inflows").row(0, named=True)
    assert first["event_time"] == datetime(2026, 11, 20, 9, tzinfo=UTC)  # 04:00 in New York
    # three feeds, each in a turn of its own: the last one's answer came this late
    assert NOW <= first["available_at"] <= NOW + timedelta(seconds=5)
    assert first["asset"] == "BTC"
    assert first["source"] == "wire"
    assert first["url"] == "https://example.com/btc-rally"
    by_time = rows.sort("event_time", "title")
    assert by_time["title"].to_list() == [
        "Minutes of the meeting", "Statement on rates",
        "Bitcoin rallies as funds see record inflows", "Dogecoin trades flat",
        "Solana & Ether slip", "Solana & Ether slip",
    ]  # fmt: skip
    assert rows.filter(source="bank")["asset"].to_list() == ["", ""]
    assert "Body" not in str(rows.to_dicts())


@pytest.mark.parametrize(
    ("date", "hour"),
    [
        ("Fri, 20 Nov 2026 04:00:00 EST", 9),
        ("Fri, 20 Nov 2026 04:00:00 -0500", 9),
        ("Fri, 20 Nov 2026 09:00:00 GMT", 9),
        ("Fri, 20 Nov 2026 05:00:00 EDT", 9),
        ("2026-11-20T09:00:00Z", 9),
        ("Fri, 20 Nov 2026 19:00:00 GMT", 12),  # has not come yet
        ("", 12),
        ("yesterday", 12),
        ("Fri, 31 Feb 2026 09:00:00 GMT", 12),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 12),
    ],
)
def test_a_time_is_read_in_its_zone_and_what_cannot_be_is_when_it_was_seen(
    date: str, hour: int
) -> None:
    rows = read(rss(item("Bitcoin falls", "https://example.com/a", date)))
    known = rows["available_at"][0]
    assert NOW <= known <= NOW + timedelta(seconds=1)
    hours = {9: datetime(2026, 11, 20, 9, tzinfo=UTC), 12: known}
    assert rows["event_time"].to_list() == [hours[hour]]


def test_an_unchanged_feed_is_asked_for_with_its_marks_and_stands_as_it_was() -> None:
    def polite(request: Request) -> Reply:
        if request.headers.get("If-None-Match") == '"v1"':
            return Reply(304)
        return xml(BODIES["/bank.xml"], ETag='"v1"', Last_Modified="Fri, 20 Nov 2026 09:00:00 GMT")

    clock = Clock()
    with Loopback(polite) as server:
        feed = Rss(feeds={"bank": f"{server.url}/bank.xml"})
        at = line(feed.about, clock=clock)
        first = told(feed, at)
        clock.at += timedelta(minutes=5)
        again = told(feed, at)
        asked = [request.headers for request in server.seen]
    assert "If-None-Match" not in asked[0]
    assert asked[1]["If-None-Match"] == '"v1"'
    assert asked[1]["If-Modified-Since"] == "Fri, 20 Nov 2026 09:00:00 GMT"
    assert again.drop("available_at").equals(first.drop("available_at"))
    assert again["available_at"][0] - first["available_at"][0] >= timedelta(minutes=5)


def test_a_feed_never_read_cannot_be_unchanged() -> None:
    with Loopback(lambda _: Reply(304)) as server, pytest.raises(FeedError, match="never read"):
        told(Rss(feeds={"wire": f"{server.url}/feed"}))


@pytest.mark.parametrize(
    "broken", [Reply(404), Reply(403), HTML, Reply(500), xml("<rss><channel></channel></rss>")]
)
def test_one_broken_feed_loses_no_other_and_is_named(broken: Reply) -> None:
    good = xml(rss(item("Bitcoin falls", "https://example.com/a")))
    with Loopback(serving({"/a": good, "/bad": broken, "/c": xml(BODIES["/bank.xml"])})) as server:
        feed = Rss(feeds={name: f"{server.url}/{name}" for name in ("a", "bad", "c")})
        pages = feed.fetch(SERIES, START, END, line(feed.about))
        page = next(pages)
        assert sorted(page.rows["source"]) == ["a", "c", "c"]
        assert page.through == END
        with pytest.raises(FeedError, match="1 of 3 feeds failed") as raised:
            next(pages)
    assert "bad: 127.0.0.1/bad" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_secret_in_a_feeds_address_is_in_no_message() -> None:
    with Loopback(lambda _: Reply(404)) as server, pytest.raises(FeedError) as raised:
        told(Rss(feeds={"mine": f"{server.url}/feed?token=SECRET42"}))
    assert "SECRET42" not in str(raised.value)


def test_xml_with_a_fault_is_read_as_far_as_it_goes() -> None:
    body = rss(item("Bitcoin < 60k & falling \x00", "https://example.com/a"), item("Fed holds"))
    assert set(read(body)["title"]) == {"Bitcoin < 60k & falling", "Fed holds"}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (rss(), "it has no items"),
        (rss(item("", "https://example.com/a")), "its items have none"),
        ("<rss>" + "not a feed </rss>", "tells no titles"),
        ("/etc/passwd </rss>", "tells no titles"),
    ],
)
def test_a_feed_without_titles_is_an_error_and_not_silence(body: str, why: str) -> None:
    with pytest.raises(FeedError, match=why):
        read(body)


def test_a_feed_cut_off_in_the_middle_is_asked_for_again() -> None:
    whole = rss(*(item(f"Item {n}", f"https://example.com/{n}") for n in range(6)))
    clock = Clock()
    with Loopback(serving({"/feed": xml(whole)})) as server:
        feed = Rss(feeds={"wire": f"{server.url}/feed"})
        server.disturb(1, xml(whole[: len(whole) // 2]))
        rows = told(feed, line(feed.about, clock=clock))
    assert rows.height == 6
    assert len(server.seen) == 2


def test_the_items_name_is_its_link_else_its_guid() -> None:
    same = [
        item("Bitcoin falls", "https://example.com/a?utm_source=x", guid="g1"),
        item("Bitcoin falls, edited", "https://example.com/a?utm_source=y", guid="g1"),
        item("A talk", guid="g2"),
        item("A talk, edited", guid="g2"),
    ]
    assert sorted(read(rss(*same))["title"]) == ["A talk", "Bitcoin falls"]


def test_entities_that_grow_or_reach_for_files_do_neither() -> None:
    layers = "".join(
        f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "aaaaaaaaaa"}">' for n in range(9)
    )
    doctype = f'<!DOCTYPE rss [{layers}<!ENTITY file SYSTEM "file:///etc/passwd">]>'
    body = (
        doctype + rss(item("Bitcoin &e8; &file; falls", "https://example.com/a")).partition("?>")[2]
    )
    began = time.monotonic()
    rows = read(body)
    assert time.monotonic() - began < 20
    assert all(len(title) <= 240 and "root:" not in title for title in rows["title"])


def test_a_body_beyond_any_news_feed_is_refused() -> None:
    body = rss(item("Bitcoin falls", "https://example.com/a")) + "<!--" + "x" * 9_000_000 + "-->"
    with pytest.raises(FeedError, match="no news feed"):
        read(body)


def test_letters_are_read_in_the_encoding_that_the_feed_declares() -> None:
    text = (
        '<?xml version="1.0" encoding="ISO-8859-1"?>'
        + rss(item("Z\u00fcrich votes")).partition("?>")[2]
    )
    with Loopback(lambda _: Reply(200, text.encode("latin-1"), "application/xml")) as server:
        rows = told(Rss(feeds={"wire": f"{server.url}/feed"}))
    assert rows["title"].to_list() == ["Z\u00fcrich votes"]


def test_a_contact_goes_to_the_publishers_that_want_one() -> None:
    with Loopback(answer) as server:
        told(Rss(feeds={"bank": f"{server.url}/bank.xml"}, contact="desk@example.org"))
        assert "desk@example.org" in server.seen[0].headers["User-Agent"]


def test_the_starter_list_is_all_https_and_no_feeds_is_an_error() -> None:
    assert all(url.startswith("https://") for url in STARTER.values())
    assert Rss().requests(SERIES, START, END) == len(STARTER)
    with pytest.raises(UsageError, match="feeds is empty"):
        Rss(feeds={})
