"""Kalshi: candles by their end, dollars as strings, live and settled markets."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from tests.data.feeds.loopback import Loopback, Reply, Request, line, reply
from tests.data.feeds.provider_kalshi import BASE, END, START, answer, missing
from workbench.data.feeds.contract import check_feed, collected
from workbench.data.feeds.feed import SeriesName
from workbench.data.feeds.kalshi import FOMC, Kalshi
from workbench.data.odds import COLUMNS
from workbench.domain import UsageError
from workbench.errors import FeedError

Answer = Callable[[Request], Reply]
RAIN = SeriesName("prediction", "kalshi", "KXRAIN_26DEC", "1h")
MARCH = datetime(2026, 3, 10, tzinfo=UTC)


def told(
    answering: Answer = answer, start: datetime = START, end: datetime = END,
    name: SeriesName = FOMC,
) -> pl.DataFrame:  # fmt: skip
    with Loopback(answering) as server:
        feed = Kalshi(events=("KXRAIN-26DEC",), base_url=server.url + BASE)
        return collected(feed, name, start, end, line(feed.about))


def spoiled(change: Callable[[dict[str, Any]], None], what: str = "candlesticks") -> Answer:
    """The venue with its candles (or markets) changed."""

    def changed(request: Request) -> Reply:
        right = answer(request)
        body = json.loads(right.body)
        for each in body.get(what, ()):
            change(each)
        return replace(right, body=json.dumps(body).encode())

    return changed


def test_a_row_is_the_book_at_the_candles_end_and_known_a_minute_later() -> None:
    rows = told().filter(pl.col("outcome") == "down25")
    assert rows["event_time"].to_list() == [START + timedelta(hours=h) for h in (0, 6, 12, 18)]
    assert (rows["available_at"] - rows["event_time"]).unique().to_list() == [timedelta(minutes=1)]
    first = rows.row(0, named=True)
    assert first["bid"] == 0.58
    assert first["ask"] == 0.60
    assert first["spread"] == pytest.approx(0.02)
    assert first["probability"] == pytest.approx(0.59)
    assert (first["volume"], first["liquidity"]) == (12.0, None)


def test_a_price_is_divided_by_the_sum_of_the_meetings_prices() -> None:
    cut = told().filter(pl.col("outcome") == "down25")
    assert cut["devigged"].to_list() == pytest.approx([0.59 / (0.59 + 0.01 + 0.43)] * 4)


def test_a_quote_that_did_not_move_holds_into_the_range() -> None:
    def seldom(request: Request) -> Reply:
        right = answer(request)
        body = json.loads(right.body)
        if "-H0/" in request.path:
            first = START.timestamp()
            body["candlesticks"] = [c for c in body["candlesticks"] if c["end_period_ts"] <= first]
        return replace(right, body=json.dumps(body).encode())

    cut = told(seldom, start=START + timedelta(hours=1)).filter(pl.col("outcome") == "down25")
    assert cut["devigged"].to_list() == pytest.approx([0.59 / 1.03] * 3)


def test_more_than_25_points_is_down50_and_the_meeting_is_named_by_its_month() -> None:
    rows = told()
    assert set(rows["outcome"]) == {"down25", "down50", "noChange"}
    assert set(rows["meeting"]) == {"2026-12"}
    assert set(rows["ends_at"]) == {datetime(2026, 12, 9, 19, tzinfo=UTC)}


def test_a_settled_market_is_read_from_its_own_path_without_units_in_names() -> None:
    with Loopback(answer) as server:
        feed = Kalshi(base_url=server.url + BASE)
        rows = collected(feed, FOMC, MARCH, MARCH + timedelta(days=1), line(feed.about))
        paths = [request.path.removeprefix(BASE) for request in server.seen]
    march = rows.filter(pl.col("meeting") == "2026-03")
    assert march["probability"].to_list() == pytest.approx([0.98] * 4)
    assert march["volume"].to_list() == [12.0] * 4
    assert "/historical/markets/KXFEDDECISION-26MAR-H0/candlesticks" in paths
    assert "/series/KXFEDDECISION/markets/KXFEDDECISION-26MAR-H0/candlesticks" not in paths


def test_a_market_that_moved_since_it_was_listed_is_found_where_it_went() -> None:
    def moved(request: Request) -> Reply:
        if "/series/" in request.path:
            return missing()
        live = request.path.replace(
            "/historical/markets/KXFED", "/series/KXFEDDECISION/markets/KXFED"
        )
        return answer(replace(request, path=live))

    assert told(moved).equals(told())


def test_a_market_that_is_nowhere_is_an_error() -> None:
    def gone(request: Request) -> Reply:
        return missing() if request.path.endswith("candlesticks") else answer(request)

    with pytest.raises(FeedError, match="answered 404"):
        told(gone)


def test_another_refusal_is_not_taken_for_a_move() -> None:
    def refused(request: Request) -> Reply:
        if request.path.endswith("candlesticks"):
            return reply({"error": {"code": "bad_request", "message": "max candlesticks"}}, 400)
        return answer(request)

    with Loopback(refused) as server:
        feed = Kalshi(base_url=server.url + BASE)
        with pytest.raises(FeedError, match="answered 400"):
            collected(feed, FOMC, START, END, line(feed.about))
        assert "/historical/markets/" not in server.seen[-1].path


def test_a_year_is_asked_in_parts_of_fewer_than_5000_hours() -> None:
    rows = told(start=datetime(2025, 12, 10, tzinfo=UTC), end=END)
    december = rows.filter((pl.col("meeting") == "2026-12") & (pl.col("outcome") == "down25"))
    assert december.height == (END - datetime(2025, 12, 10, tzinfo=UTC)).days * 4


def test_an_empty_book_is_no_price_and_takes_the_shares_with_it() -> None:
    def emptied(candle: dict[str, Any]) -> None:
        if candle["yes_bid"]["close_dollars"] == "0.0000":
            candle["yes_ask"]["close_dollars"] = "1.0000"

    rows = told(spoiled(emptied))
    assert rows.filter(pl.col("outcome") == "down50")["probability"].null_count() == 4
    assert rows["devigged"].null_count() == rows.height


def test_quotes_that_are_missing_stay_missing() -> None:
    def unquoted(candle: dict[str, Any]) -> None:
        candle["yes_bid"]["close_dollars"] = None

    rows = told(spoiled(unquoted))
    assert rows["bid"].null_count() == rows["probability"].null_count() == rows.height
    assert rows["ask"].null_count() == 0


def test_cents_are_refused_and_not_taken_for_dollars() -> None:
    def cents(candle: dict[str, Any]) -> None:
        candle["yes_bid"] = {"close": 58}

    with pytest.raises(FeedError, match=r"candlesticks\.0\.yes_bid"):
        told(spoiled(cents))


def test_answers_and_closing_times_are_not_read() -> None:
    def answered(market: dict[str, Any]) -> None:
        market |= {"result": "no", "status": "determined"}
        if "26DEC" in market["ticker"]:
            market["close_time"] = "2026-11-30T20:00:00Z"

    right = told()
    assert right.equals(told(spoiled(answered, "markets")))
    assert set(right.columns) == set(COLUMNS)


def test_a_named_event_of_one_market_keeps_its_price() -> None:
    rows = told(name=RAIN)
    assert set(rows["meeting"]) == {"KXRAIN-26DEC"}
    assert set(rows["outcome"]) == {"Yes of KXRAIN-26DEC-T1"}
    assert rows["devigged"].to_list() == pytest.approx([0.35] * 4)
    assert set(rows["ends_at"]) == {None}


def test_whether_a_named_events_markets_exclude_one_another_is_not_known() -> None:
    def second(request: Request) -> Reply:
        if request.path != f"{BASE}/markets":
            return answer(replace(request, path=request.path.replace("T2", "T1")))
        body = json.loads(answer(request).body)
        body["markets"] += [body["markets"][0] | {"ticker": "KXRAIN-26DEC-T2"}]
        return reply(body)

    rows = told(second, name=RAIN)
    assert set(rows["outcome"]) == {"T1", "T2"}  # both call themselves the same
    assert rows.height == rows["devigged"].null_count() == 8


def test_a_series_that_no_option_names_is_refused() -> None:
    with pytest.raises(UsageError, match=r"KXSNOW.*\[feeds.kalshi\] events"):
        told(name=SeriesName("prediction", "kalshi", "KXSNOW", "1h"))


def test_no_market_at_all_is_an_error_and_not_an_empty_range() -> None:
    with pytest.raises(FeedError, match="lists no market"):
        told(lambda _: reply({"markets": [], "cursor": ""}))


def test_a_fed_ticker_without_a_month_is_refused() -> None:
    def renamed(market: dict[str, Any]) -> None:
        market["event_ticker"] = "KXFEDDECISION-NEXT"

    with pytest.raises(FeedError, match="names no month"):
        told(spoiled(renamed, "markets"))


def test_a_named_event_keeps_the_promises_too() -> None:
    with Loopback(answer) as server:
        feed = Kalshi(events=("KXRAIN-26DEC",), base_url=server.url + BASE)
        assert check_feed(feed, RAIN, START, END, line(feed.about)) == 4
