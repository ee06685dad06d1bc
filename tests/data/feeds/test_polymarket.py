"""Polymarket: samples, quotes of now, resolved markets, and what must never be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from tests.data.feeds import provider_polymarket as venue
from tests.data.feeds.loopback import NOW, Clock, Loopback, Reply, Request, line, reply
from tests.data.feeds.provider_polymarket import END, START, answer
from workbench.data.feeds.contract import check_feed, collected
from workbench.data.feeds.feed import SeriesName
from workbench.data.feeds.polymarket import FOMC, Polymarket
from workbench.data.odds import COLUMNS
from workbench.domain import UsageError
from workbench.errors import FeedError

Answer = Callable[[Request], Reply]
RAIN = SeriesName("prediction", "polymarket", "will_it_rain", "1h")


def told(
    answering: Answer = answer, start: datetime = START, end: datetime = END,
    name: SeriesName = FOMC, clock: Clock | None = None,
) -> pl.DataFrame:  # fmt: skip
    with Loopback(answering) as server:
        feed = Polymarket(events=("will-it-rain",), gamma_url=server.url, clob_url=server.url)
        return collected(feed, name, start, end, line(feed.about, clock=clock))


def spoiled(change: Callable[[dict[str, Any]], None]) -> Answer:
    """The venue with its events changed."""

    def changed(request: Request) -> Reply:
        right = answer(request)
        body = json.loads(right.body)
        for event in body.get("events", ()):
            change(event)
        return replace(right, body=json.dumps(body).encode())

    return changed


def test_a_sample_is_known_a_minute_after_it_was_taken() -> None:
    first = told().row(0, named=True)
    assert first["event_time"] == datetime(2026, 10, 26, 0, 0, tzinfo=UTC)
    assert first["available_at"] == datetime(2026, 10, 26, 0, 1, tzinfo=UTC)


def test_the_rows_name_the_meeting_and_the_move() -> None:
    rows = told()
    pairs = set(rows.select("meeting", "outcome").iter_rows())
    assert pairs == {
        ("2026-12", "down50"), ("2026-12", "down25"), ("2026-12", "noChange"),
        ("2026-10", "down25"), ("2026-10", "noChange"),
    }  # fmt: skip
    assert set(rows["ends_at"]) == {
        datetime(2026, 12, 9, tzinfo=UTC), datetime(2026, 10, 28, tzinfo=UTC),
    }  # fmt: skip


def test_a_share_needs_a_price_of_each_leg_that_still_holds() -> None:
    # at the range's first moment one leg has a new sample, and the others' are twelve hours old:
    # an hourly price holds two
    rows = told().filter(pl.col("meeting") == "2026-12")
    assert rows["devigged"][0] is None
    # four minutes later all three have been sampled: 0.40 / (0.05 + 0.60 + 0.40)
    third = rows.row(2, named=True)
    assert (third["outcome"], third["probability"]) == ("noChange", 0.40)
    assert third["devigged"] == pytest.approx(0.40 / 1.05)


def test_resolved_markets_are_asked_by_twelve_hours_and_hold_a_day() -> None:
    with Loopback(answer) as server:
        feed = Polymarket(gamma_url=server.url, clob_url=server.url)
        rows = collected(feed, FOMC, START, END, line(feed.about))
        asked = [r.query for r in server.seen if r.path == "/prices-history"]
    fidelities = {each["market"]: each["fidelity"] for each in asked}
    assert fidelities == {"100": "60", "102": "60", "104": "60", "200": "720", "202": "720"}
    spans = {int(each["endTs"]) - int(each["startTs"]) for each in asked}
    assert max(spans) == 15 * 86400
    october = rows.filter(pl.col("meeting") == "2026-10")
    assert october["devigged"].null_count() == 0
    assert october["devigged"][0] == pytest.approx(0.90 / 1.02)


def test_answers_are_not_read() -> None:
    def answered_otherwise(event: dict[str, Any]) -> None:
        for market in event["markets"]:
            market |= {
                "outcomePrices": '["0","1"]', "umaResolutionStatus": "disputed",
                "resolvedBy": "0x01", "closedTime": "2026-11-01 00:00:00+00", "winner": "No",
            }  # fmt: skip

    right = told()
    assert right.equals(told(spoiled(answered_otherwise)))
    assert set(right.columns) == set(COLUMNS)


def test_a_pull_up_to_now_adds_the_quotes_of_now() -> None:
    rows = told(start=NOW - timedelta(days=1), end=NOW)
    quotes = rows.filter(pl.col("bid").is_not_null()).sort("outcome")
    assert quotes["outcome"].to_list() == ["down25", "down50", "noChange"]  # October is closed
    cut = quotes.row(0, named=True)
    assert (cut["bid"], cut["ask"], cut["spread"]) == (0.59, 0.61, 0.02)
    assert cut["probability"] == pytest.approx(0.60)
    assert cut["devigged"] == pytest.approx(0.60 / 1.05)
    assert (cut["liquidity"], cut["volume"]) == (100102.0, 2000102.0)
    assert cut["event_time"] == NOW - timedelta(microseconds=1)
    assert cut["available_at"] >= NOW


def test_quotes_are_known_when_they_were_read() -> None:
    late = Clock(NOW + timedelta(minutes=20))
    rows = told(start=NOW - timedelta(days=1), end=NOW, clock=late)
    quotes = rows.filter(pl.col("bid").is_not_null())
    assert quotes["available_at"].min() >= NOW + timedelta(minutes=20)


def test_the_past_has_no_quotes_and_says_so_with_nulls() -> None:
    rows = told()
    for column in ("bid", "ask", "spread", "liquidity", "volume"):
        assert rows[column].null_count() == rows.height


def test_an_empty_book_has_no_probability() -> None:
    def emptied(event: dict[str, Any]) -> None:
        for market in event["markets"]:
            market |= {"bestBid": 0, "bestAsk": 1, "spread": 1}

    rows = told(spoiled(emptied), start=NOW - timedelta(hours=1), end=NOW)
    quotes = rows.filter(pl.col("bid").is_not_null())
    assert quotes.height == 3
    assert quotes["probability"].null_count() == quotes["devigged"].null_count() == 3


def test_an_event_that_is_named_has_its_own_series() -> None:
    rows = told(name=RAIN)
    assert set(rows["meeting"]) == {"will-it-rain"}
    assert rows["devigged"].to_list() == rows["probability"].to_list()  # one market, Yes and No
    assert Polymarket(events=("will-it-rain",)).series() == [FOMC, RAIN]


def test_outcomes_that_need_not_exclude_one_another_have_no_share() -> None:
    def ladder(event: dict[str, Any]) -> None:
        event["negRisk"] = False
        event["markets"] = event["markets"] * 2

    rows = told(spoiled(ladder), name=RAIN)
    assert rows.height > 0
    assert rows["devigged"].null_count() == rows.height


def test_of_two_events_about_one_meeting_the_shorter_name_counts() -> None:
    def again(request: Request) -> Reply:
        right = answer(request)
        body = json.loads(right.body)
        for each in body.get("events", [])[:]:
            slug = f"{each['slug']}-again"
            legs = [leg | {"slug": f"{leg['slug']}-again"} for leg in each["markets"]]
            body["events"].append(each | {"slug": slug, "markets": legs})
        return replace(right, body=json.dumps(body).encode())

    assert told(again).equals(told())


def test_a_fed_event_without_an_end_is_named_and_not_left_out() -> None:
    with pytest.raises(FeedError, match="fed-decision-in-october has no endDate"):
        told(spoiled(lambda event: event.pop("endDate")))


def test_a_series_that_no_option_names_is_refused() -> None:
    with pytest.raises(UsageError, match=r"snow.*\[feeds.polymarket\] events"):
        told(name=SeriesName("prediction", "polymarket", "snow", "1h"))


def test_no_market_at_all_is_an_error_and_not_an_empty_range() -> None:
    with pytest.raises(FeedError, match="lists no traded market"):
        told(lambda request: reply({"events": []}))


def test_a_leg_without_a_token_leaves_its_siblings_without_a_share() -> None:
    def untraded(event: dict[str, Any]) -> None:
        event["markets"][0]["clobTokenIds"] = ""

    rows = told(spoiled(untraded)).filter(pl.col("meeting") == "2026-12")
    assert set(rows["outcome"]) == {"down25", "noChange"}
    assert rows["devigged"].null_count() == rows.height


@pytest.mark.parametrize(
    ("title", "question", "outcome"),
    [
        ("25+ bps increase", "", "up25"),
        ("50+ bps increase", "", "up50"),
        (
            "",
            "Will the Fed decrease interest rates by 50+ bps after the December meeting?",
            "down50",
        ),
        ("", "Fed increases interest rates by 25 bps after the meeting?", "up25"),
        ("", "Will there be no change in Fed interest rates after the meeting?", "noChange"),
        ("Emergency", "", "Emergency"),
    ],
)
def test_a_move_is_read_from_the_title_or_the_question(
    title: str, question: str, outcome: str
) -> None:
    def renamed(event: dict[str, Any]) -> None:
        event["markets"] = event["markets"][:1]
        event["markets"][0] |= {"groupItemTitle": title, "question": question}

    rows = told(spoiled(renamed)).filter(pl.col("meeting") == "2026-12")
    assert set(rows["outcome"]) == {outcome}


def test_the_yes_token_is_found_where_the_outcomes_say() -> None:
    def swapped(event: dict[str, Any]) -> None:
        for market in event["markets"]:
            yes, no = json.loads(market["clobTokenIds"])
            market |= {"outcomes": '["No", "Yes"]', "clobTokenIds": json.dumps([no, yes])}

    assert told(spoiled(swapped)).equals(told())


@pytest.mark.parametrize("cursor", [None, ""])
def test_an_empty_cursor_ends_the_list(cursor: str | None) -> None:
    def ended(request: Request) -> Reply:
        right = answer(request)
        body = json.loads(right.body)
        if "events" in body:
            body.setdefault("next_cursor", cursor)
        return replace(right, body=json.dumps(body).encode())

    assert told(ended).equals(told())


def test_a_cursor_that_leads_in_a_circle_is_refused() -> None:
    def circling(request: Request) -> Reply:
        return reply({"events": [venue.EVENTS[1]], "next_cursor": "same"})

    with pytest.raises(FeedError, match="same next page twice"):
        told(circling)


def test_a_sample_that_is_there_twice_counts_once() -> None:
    def doubled(request: Request) -> Reply:
        right = answer(request)
        body = json.loads(right.body)
        if "history" in body:
            body["history"] += body["history"]
        return replace(right, body=json.dumps(body).encode())

    assert told(doubled).equals(told())


@pytest.mark.parametrize("price", [1.01, -0.2, 62])
def test_a_price_that_is_no_probability_is_refused(price: float) -> None:
    def wrong(request: Request) -> Reply:
        if request.path == "/prices-history":
            return reply({"history": [{"t": int(START.timestamp()), "p": price}]})
        return answer(request)

    with pytest.raises(FeedError, match=r"history\.0\.p"):
        told(wrong)


def test_an_empty_history_is_no_row() -> None:
    def silent(request: Request) -> Reply:
        return reply({"history": []}) if request.path == "/prices-history" else answer(request)

    assert told(silent).is_empty()


def test_a_slice_in_which_the_venue_stops_answering_is_told_not_at_all() -> None:
    with Loopback(answer) as server:
        feed = Polymarket(gamma_url=server.url, clob_url=server.url)
        pages = feed.fetch(FOMC, START, END, line(feed.about))
        first = next(pages)
        assert first.through == START + timedelta(days=14)
        server.disturb(2, lambda _: Reply(drop=True))
        server.always(Reply(drop=True))
        with pytest.raises(FeedError, match="prices-history broke off"):
            next(pages)


def test_a_market_is_not_asked_about_the_time_before_it_opened() -> None:
    def opened_later(event: dict[str, Any]) -> None:
        for market in event["markets"]:
            market["startDate"] = "2026-11-30T00:00:00Z"

    with Loopback(spoiled(opened_later)) as server:
        feed = Polymarket(gamma_url=server.url, clob_url=server.url)
        assert collected(feed, FOMC, START, END, line(feed.about)).is_empty()
        assert {request.path for request in server.seen} == {"/events/keyset"}


def test_a_resolved_market_is_read_for_as_long_as_it_was_traded() -> None:
    afternoon = datetime(2026, 10, 28, 12, tzinfo=UTC)  # its end was that midnight
    rows = told(start=afternoon, end=END).filter(pl.col("meeting") == "2026-10")
    assert rows["event_time"].to_list() == [afternoon, afternoon + timedelta(minutes=2)]


def test_a_named_event_keeps_the_promises_too() -> None:
    with Loopback(answer) as server:
        feed = Polymarket(events=("will-it-rain",), gamma_url=server.url, clob_url=server.url)
        assert check_feed(feed, RAIN, START, END, line(feed.about)) == 34
