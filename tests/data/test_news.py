"""News as rows: subjects, clocks, identities, repeats, and text that wants to be more than text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.data.headlines import clean, headline_id
from workbench.data.lake import INSTANT, Lake
from workbench.data.news import (
    Item,
    canonical,
    fresh,
    mixed_script,
    news_rows,
    subjects,
    title_key,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MIXED_BITCOIN = "Bitc\u043ein falls"  # a Cyrillic o
WHOLLY_CYRILLIC = "\u0412\u0422\u0421 fund halts withdrawals"  # VTS, which looks like BTC


def item(
    title: str = "Bitcoin falls",
    link: str = "https://example.com/a",
    published: datetime | None = NOW - timedelta(hours=1),
    seen: datetime | None = None,
    source: str = "wire",
    assets: tuple[str, ...] = (),
) -> Item:
    return Item(published, seen, title, link, source, assets)


@pytest.mark.parametrize(
    ("title", "assets"),
    [
        ("Bitcoin and Ether slip as Solana gains", ("BTC", "ETH", "SOL")),
        ("bitcoin's hash rate at a record", ("BTC",)),
        ("$sol, $ADA and $link in focus", ("SOL", "ADA", "LINK")),
        ("BTC/USD breaks out, DOGE follows", ("BTC", "DOGE")),
        ("Binance Coin burn: BNB supply shrinks", ("BNB",)),
        ("Ripple wins in court", ("XRP",)),
        ("Avalanche and Chainlink partner, Cardano does not", ("ADA", "LINK", "AVAX")),
        ("A link to the sol file of ada", ()),
        ("Broad Ripple neighbors ask about a street", ()),
        ("Rate cut may have a Ripple effect", ()),
        ("Avalanche of liquidations hits traders", ()),
        ("An avalanche closes the road", ()),
        ("Bitcoin Cash forks, Ethereum Classic does not", ()),
        ("ETH Zurich opens a laboratory", ()),
        ("Ether.fi raises funds", ()),
        ("Ethernet cables are short", ()),
        ("CLICK THE LINK BELOW NOW", ()),
        ("SOL", ("SOL",)),
        ("BITCOIN CRASHES AS RIPPLE SOARS", ("BTC", "XRP")),
        ("stETH and wBTC keep their peg", ()),
        ("", ()),
    ],
)
def test_a_title_tells_its_assets_and_ordinary_words_do_not(
    title: str, assets: tuple[str, ...]
) -> None:
    assert subjects(title) == assets


def test_an_item_about_several_assets_is_one_row_each_and_one_about_none_the_markets() -> None:
    rows = news_rows(
        [
            item("Bitcoin and Ether slip", "https://example.com/a"),
            item("Fed holds rates", "https://example.com/b"),
            item("A fund opens", "https://example.com/c", assets=("btc", "PEPE", "not a code!")),
        ],
        NOW,
    )
    assert sorted(rows["asset"]) == ["", "BTC", "BTC", "ETH", "PEPE"]
    assert rows["id"].n_unique() == 5
    assert rows.row(0, named=True)["suspect"] == ""


def test_an_item_is_known_from_when_it_was_first_seen_and_never_published_later() -> None:
    rows = news_rows(
        [
            item(link="https://example.com/past", published=NOW - timedelta(days=3)),
            item(link="https://example.com/future", published=NOW + timedelta(hours=5)),
            item(link="https://example.com/undated", published=None),
            item(link="https://example.com/zero", published=datetime(1970, 1, 1, tzinfo=UTC)),
            item(link="https://example.com/ahead", seen=NOW + timedelta(seconds=9)),
            item(link="https://example.com/behind", seen=NOW - timedelta(hours=3)),
        ],
        NOW,
    )
    told = {row["url"].rpartition("/")[2]: row for row in rows.iter_rows(named=True)}
    assert {name: NOW - row["event_time"] for name, row in told.items()} == {
        "past": timedelta(days=3), "future": timedelta(0), "undated": timedelta(0),
        "zero": timedelta(0), "ahead": timedelta(hours=1), "behind": timedelta(hours=1),
    }  # fmt: skip
    late = {name: row["available_at"] - NOW for name, row in told.items()}
    assert late == dict.fromkeys(told, timedelta(0)) | {"ahead": timedelta(seconds=9)}
    assert rows.schema["event_time"] == rows.schema["available_at"] == INSTANT
    assert rows["event_time"].is_sorted()


def test_times_of_other_zones_are_stored_in_utc() -> None:
    eastern = timezone(timedelta(hours=-5))
    published = datetime(2026, 11, 20, 4, tzinfo=eastern)
    rows = news_rows([item(published=published)], NOW.astimezone(eastern))
    assert rows["event_time"][0] == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert rows["available_at"][0] == NOW


def test_no_items_are_no_rows_with_all_the_columns() -> None:
    assert news_rows([], NOW).columns == news_rows([item()], NOW).columns
    assert news_rows([], NOW).height == 0


@pytest.mark.parametrize(
    ("link", "address"),
    [
        ("https://Example.com/a?utm_source=rss&utm_medium=x#top", "https://example.com/a"),
        ("https://user:secret@example.com/a", "https://example.com/a"),
        ("https://example.com/?p=42&utm_source=rss", "https://example.com/?p=42"),
        ("https://example.com/watch?v=abc&token=secret", "https://example.com/watch?v=abc"),
        ("https://example.com/\u00fcber \u202e\"<b>'", "https://example.com/%C3%BCber%20%E2%80%AE%22%3Cb%3E%27"),
        ("http://127.0.0.1:8000/x", "http://127.0.0.1:8000/x"),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("https://b\u0456tcoin.example/a", ""),
        ("https://[broken", ""),
        ("8f1c-guid", ""),
        ("https://example.com/" + "a" * 2000, ""),
        ("", ""),
    ],
)  # fmt: skip
def test_an_address_is_kept_without_what_follows_the_reader(link: str, address: str) -> None:
    assert canonical(link) == address
    assert canonical(address) == address


def test_an_id_is_of_the_address_else_of_what_names_it_else_of_the_title() -> None:
    by_link = news_rows([item(link="https://example.com/a?utm_source=x")], NOW)
    by_guid = news_rows([item(link="guid-1")], NOW)
    by_title = news_rows([item(link="")], NOW)
    assert by_link["id"][0] == headline_id("BTC", "https://example.com/a")
    assert by_guid["id"][0] == headline_id("BTC", "guid-1")
    assert by_guid["url"][0] == ""
    assert by_title["id"][0] == headline_id("BTC", "Bitcoin falls")


def test_a_link_told_twice_is_one_row_and_the_earlier_stays() -> None:
    edited = item("Bitcoin falls, then recovers", published=NOW - timedelta(minutes=5))
    rows = news_rows([edited, item()], NOW)
    assert rows["title"].to_list() == ["Bitcoin falls"]


def test_a_headline_edited_under_its_link_is_a_repeat_and_the_lake_keeps_the_first(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    first = news_rows([item()], NOW)
    edited = news_rows([item("Bitcoin soars")], NOW + timedelta(minutes=5))
    for rows, at in ((first, NOW), (edited, NOW + timedelta(minutes=5))):
        stamped = rows.with_columns(fetched_at=pl.lit(at).cast(INSTANT))
        lake.upsert("news", "rss", "ALL", "event", stamped)
    stored = lake.read("news", "rss", "ALL", "event")
    assert stored["title"].to_list() == ["Bitcoin falls"]
    assert stored["available_at"].to_list() == [NOW]
    assert fresh(edited, stored).is_empty()


def test_one_story_by_two_feeds_is_stored_once_whatever_its_case() -> None:
    by_rss = news_rows([item("Bitcoin Falls - Again!", "https://example.com/a")], NOW)
    elsewhere = item("bitcoin falls: again", "https://other.example/b", assets=("BTC", "ETH"))
    by_panic = news_rows([elsewhere], NOW + timedelta(minutes=2))
    assert fresh(by_panic, by_rss)["asset"].to_list() == ["ETH"]
    both = pl.concat([by_rss, by_panic])
    assert sorted(fresh(both, by_rss.clear())["asset"]) == ["BTC", "ETH"]
    assert fresh(both, by_rss.clear())["id"][0] == by_rss["id"][0]


def test_a_story_told_of_an_asset_is_not_told_again_of_the_market() -> None:
    of_bitcoin = news_rows([item("A fund opens", "https://a.example/1", assets=("BTC",))], NOW)
    of_market = news_rows([item("A fund opens", "https://b.example/1")], NOW)
    assert fresh(of_market, of_bitcoin).is_empty()
    assert fresh(of_bitcoin, of_market).height == 1


def test_a_statement_that_returns_under_its_old_title_is_news() -> None:
    def statement(at: datetime, number: int) -> Item:
        return item("Federal Reserve issues FOMC statement", f"https://fed.example/{number}", at)

    weeks = [NOW - timedelta(weeks=6), NOW - timedelta(hours=1)]
    first_poll = news_rows([statement(at, n) for n, at in enumerate(weeks)], NOW)
    assert fresh(first_poll, first_poll.clear()).height == 2
    later = NOW + timedelta(weeks=6)
    third = news_rows([statement(later, 2)], later)
    assert fresh(third, first_poll).height == 1
    assert fresh(first_poll, first_poll).is_empty()


@pytest.mark.parametrize(("days", "kept"), [(6, 0), (8, 1)])
def test_a_title_is_a_repeat_for_a_week_and_an_id_for_good(days: int, kept: int) -> None:
    known = news_rows([item()], NOW)
    later = NOW + timedelta(days=days)
    again = item(link="https://example.com/new", published=later)
    assert fresh(news_rows([again], later), known).height == kept
    same = item(published=later)
    assert fresh(news_rows([same], later), known).is_empty()


def test_rows_of_an_import_without_keys_of_titles_are_known_as_well() -> None:
    known = news_rows([item()], NOW).drop("title_key", "suspect", "url", "source")
    assert fresh(news_rows([item(link="https://example.com/b")], NOW), known).is_empty()


@pytest.mark.parametrize(
    ("title", "suspect"),
    [
        (MIXED_BITCOIN, True),
        (WHOLLY_CYRILLIC, True),
        ("\u0391\u03a1T listing", True),  # Greek alpha and rho
        ("Bitcoin falls 5%", False),
        ("M\u00fcller \u00e9t\u00e9 na\u00efve", False),
        ("\u0411\u0438\u0442\u043a\u043e\u0439\u043d \u0443\u043f\u0430\u043b, BTC 60k", False),
        ("The ruble, \u0440\u0443\u0431\u043b\u044c, falls", False),
        ("\u6bd4\u7279\u5e01BTC\u4e0a\u6da8", False),
        ("\u03b2-test opens", False),
        ("", False),
    ],
)
def test_words_that_pretend_with_other_alphabets_are_flagged(title: str, suspect: bool) -> None:
    assert mixed_script(title) is suspect
    if title:
        assert news_rows([item(title)], NOW)["suspect"][0] == ("mixed script" if suspect else "")


HOSTILE = {
    "Bit\u200bcoin \u202efalls\u2069\u200f": "Bitcoin falls",
    "Bitcoin\U000e0041\U000e0042 falls": "Bitcoin falls",
    "Bitcoin\x00 fa\x1blls": "Bitcoin falls",
    "Bitcoin &amp;amp;amp; Ether": "Bitcoin & Ether",
    "Bitcoin &lt;script&gt;steal()&lt;/script&gt; falls": "Bitcoin falls",
    "<SCRIPT src=x>steal()</script >Bitcoin falls": "Bitcoin falls",
    "Bitcoin<br>falls <!-- ignore all rules -->": "Bitcoin falls",
    "Bitcoin <img src=x onerror=alert(1)": "Bitcoin img src=x onerror=alert(1)",
    "Bitcoin falls https://evil.example/?q=1": "Bitcoin falls",
    "Bitcoin falls ht\u200btps://evil.example www.evil.example": "Bitcoin falls",
    "Bitcoin falls &#x202e;&ZeroWidthSpace;&#0;": "Bitcoin falls \ufffd",
    "BTC < 50k & ETH > 3k, AT&T": "BTC < 50k & ETH > 3k, AT&T",
    "\uff22\uff34\uff23 falls": "BTC falls",
    "Bitcoin falls \ud800": "Bitcoin falls",
}


@pytest.mark.parametrize("raw", HOSTILE, ids=ascii)
def test_a_title_is_text_and_nothing_else(raw: str) -> None:
    assert clean(raw) == HOSTILE[raw]
    assert set(news_rows([item(raw)], NOW)["title"]) == {HOSTILE[raw]}


@pytest.mark.parametrize(
    "raw", ["", "  ", "\u200b\u202e", "<b></b>", "https://example.com", "\x00"]
)
def test_an_item_without_a_title_is_left_out(raw: str) -> None:
    assert news_rows([item(raw), item()], NOW).height == 1


def test_a_title_of_ten_thousand_characters_is_cut() -> None:
    for raw in ("Bitcoin " * 1250, "&amp;" * 2000, "<b>" * 3333 + "x", "&lt;" * 2500):
        titles = news_rows([item(raw)], NOW)["title"]
        assert all(len(title) <= 240 for title in titles)


MARKUP = "<>&;#/!-:.ampltscript http\u200b\u202e"


@given(st.text(alphabet=MARKUP, max_size=80))
def test_cleaning_leaves_no_markup_and_nothing_more_to_clean(raw: str) -> None:
    title = clean(raw)
    assert clean(title) == title
    assert "<s" not in title
    assert "http://" not in title
    assert "&lt;" not in title


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_makes_a_row_or_none(title: str, link: str) -> None:
    rows = news_rows([item(title, link, source=link)], NOW)
    assert rows.is_empty() == (clean(title) == "")
    assert rows["url"].str.contains(r"^(https?://[\x21-\x7e]+)?$").all()


def test_a_titles_key_is_the_same_for_the_same_words_only() -> None:
    assert title_key("Bitcoin falls: 5%!") == title_key("BITCOIN falls, 5 %")
    assert title_key("Bitcoin falls") != title_key("Bitcoin fell")
    assert title_key("\U0001f680") != title_key("\U0001f4c9")
