"""What is particular to Whale Alert: heights, the key in the next address, who pays whom."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import polars as pl
import pytest

from tests.data.feeds import provider_whale_alert as provider
from tests.data.feeds.loopback import Loopback, Reply, Request, line, reply
from workbench.data.feeds.contract import collected
from workbench.data.feeds.feed import SeriesName
from workbench.data.feeds.whale_alert import EXCHANGES_EDITION, WhaleAlert
from workbench.errors import FeedError, UsageError

KEY = "CANARY0a1b2c3d4e5f6CANARY"
START, END = datetime(2026, 11, 19, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)
MORNING = 1795078800  # 2026-11-19 09:00
Part = dict[str, object]


def asked(
    answer: Callable[[Request], Reply], symbol: str = "BTC",
    span: tuple[datetime, datetime] = (START, END),
) -> pl.DataFrame:  # fmt: skip
    with Loopback(answer) as server:
        feed = WhaleAlert(base_url=server.url)
        name = SeriesName("transfers", "whale_alert", symbol, "event")
        return collected(feed, name, *span, line(feed.about, KEY))


def one_block(*transactions: dict[str, object]) -> Callable[[Request], Reply]:
    def answer(request: Request) -> Reply:
        if request.path.endswith("/status"):
            return reply({"start_height": 7, "end_height": 7})
        return reply({"transactions": list(transactions)})

    return answer


def moved(part: Part, at: int = MORNING, **more: object) -> dict[str, object]:
    part = {"symbol": "btc", "transaction_type": "transfer", "unit_price_usd": 90_000.0} | part
    return {"height": 7, "timestamp": at, "hash": "ab", "sub_transactions": [part]} | more


def account(owner: str | None, amount: str, address: str = "", **more: str) -> dict[str, object]:
    return {"amount": amount, "address": address or f"of {owner}", "owner": owner, **more}


def test_a_transfer_is_known_an_hour_after_its_block() -> None:
    part: Part = {"inputs": [account(None, "50.1")], "outputs": [account("binance", "50")]}
    told = asked(one_block(moved(part)))
    assert told.row(0, named=True) == {
        "id": "bitcoin:ab:0:0",
        "event_time": datetime(2026, 11, 19, 9, tzinfo=UTC),
        "available_at": datetime(2026, 11, 19, 10, tzinfo=UTC),
        "amount": 50.0, "value_usd": 4_500_000.0, "from_owner": None, "to_owner": "binance",
        "direction": "to_exchange", "transaction_type": "transfer", "height": 7,
        "exchanges_edition": EXCHANGES_EDITION,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sender", "receiver", "direction"),
    [
        ("unknown", "kraken", "to_exchange"),
        ("Coinbase", None, "from_exchange"),
        ("okx", "bybit", "between_exchanges"),
        ("okx", "okx", "other"),
        ("a miner", "a fund", "other"),
    ],
)
def test_the_direction_follows_from_both_owners(
    sender: str | None, receiver: str | None, direction: str
) -> None:
    part: Part = {"inputs": [account(sender, "50", "x")], "outputs": [account(receiver, "50", "y")]}
    told = asked(one_block(moved(part)))
    assert told["direction"].to_list() == [direction]
    assert told["from_owner"].to_list() == [sender], "labels are recorded as received"


def test_the_provider_s_own_word_on_the_kind_of_owner_comes_first() -> None:
    part: Part = {
        "inputs": [account("binance", "90", owner_type="fund")],
        "outputs": [account("a new venue", "90", owner_type="exchange")],
    }
    assert asked(one_block(moved(part)))["direction"].to_list() == ["to_exchange"]


def test_change_is_no_transfer_and_each_receiver_has_a_row() -> None:
    """100 put in: 20 back to where they came from, 50 to an exchange, 10 + 20 to nobody known."""
    part: Part = {
        "inputs": [account(None, "60", "own"), account(None, "40", "own2")],
        "outputs": [
            account(None, "20", "own"), account("binance", "50", "b"),
            account(None, "10", "c"), account(None, "20", "d"),
        ],
    }  # fmt: skip
    told = asked(one_block(moved(part)))
    assert told.select("to_owner", "amount", "direction").rows() == [
        ("binance", 50.0, "to_exchange"),
        (None, 30.0, "other"),
    ]
    assert told["id"].to_list() == ["bitcoin:ab:0:0", "bitcoin:ab:0:1"]


def test_the_sender_is_whom_most_of_it_comes_from() -> None:
    part: Part = {
        "inputs": [account(None, "30", "a"), account("kraken", "40", "b"), account(None, "5", "c")],
        "outputs": [account(None, "75", "z")],
    }
    assert asked(one_block(moved(part)))["from_owner"].to_list() == ["kraken"]


def test_what_is_burnt_has_no_receiver() -> None:
    part: Part = {"transaction_type": "burn", "inputs": [account("a bridge", "75")], "outputs": []}
    told = asked(one_block(moved(part)))
    assert told.select("amount", "to_owner", "direction").rows() == [(75.0, None, "other")]


def test_small_receivers_and_other_coins_are_left_out_and_an_unknown_value_is_not_zero() -> None:
    small: Part = {"inputs": [account(None, "9")], "outputs": [account("okx", "9")]}
    other: Part = {"symbol": "usdt", "outputs": [account("okx", "9000000")]}
    unpriced: Part = {"unit_price_usd": None, "outputs": [account("okx", "500")]}
    rows = asked(one_block(moved(small), moved(other, hash="cd"), moved(unpriced, hash="ef")))
    assert rows.select("id", "value_usd").rows() == [("bitcoin:ef:0:0", None)]


def test_the_price_of_the_fee_s_coin_values_that_coin() -> None:
    part: Part = {"unit_price_usd": None, "outputs": [account("okx", "500")]}
    told = asked(one_block(moved(part, fee_symbol="BTC", fee_symbol_price=90_000)))
    assert told["value_usd"].to_list() == [45_000_000.0]


def test_blocks_whose_stamps_are_out_of_order_are_told_in_order_and_none_is_lost() -> None:
    """Half-hour blocks, every second stamped an hour early: the order of time is not that of
    height, and both halves of the day together are the day."""

    def answer(request: Request) -> Reply:
        if request.path.endswith("/status"):
            return reply({"start_height": 0, "end_height": 199})
        first = int(request.query["start_height"])
        limit = min(int(request.query["limit"]), 10)
        told = [
            moved(
                {"outputs": [account("okx", "500")]},
                at=MORNING - 90_000 + 1800 * height - 3600 * (height % 2),
                height=height,
                hash=str(height),
            )
            for height in range(first, 200)
        ][:limit]
        last = {"start_height": str(first + len(told))}
        return reply({"transactions": told, "next": f"{request.path}?{urlencode(last)}"})

    noon = START + timedelta(hours=12)
    day = asked(answer)
    assert day["event_time"].is_sorted()
    assert day.height == day["id"].n_unique() == 48
    halves = [asked(answer, span=span) for span in ((START, noon), (noon, END))]
    assert pl.concat(halves).equals(day)


@pytest.mark.parametrize("end", ["absent", "null", "empty", "itself", "no transactions"])
def test_the_end_of_the_pages_in_every_form_seen(end: str) -> None:
    part: Part = {"outputs": [account("okx", "500")]}

    def answer(request: Request) -> Reply:
        if request.path.endswith("/status"):
            return reply({"start_height": 7, "end_height": 7})
        if "cursor" in request.query:
            return reply({"transactions": [], "next": f"{request.path}?cursor=3"})
        own = f"{request.path}?{urlencode(request.query)}"
        following = {"null": None, "empty": "", "itself": own}.get(end, f"{request.path}?cursor=2")
        body: dict[str, object] = {"transactions": [moved(part)]}
        return reply(body if end == "absent" else body | {"next": following})

    assert asked(answer).height == 1


def test_a_transaction_that_two_pages_tell_is_told_once() -> None:
    def answer(request: Request) -> Reply:
        if request.path.endswith("/status"):
            return reply({"start_height": 7, "end_height": 7})
        following = "" if "cursor" in request.query else f"{request.path}?cursor=2"
        told = [moved({"outputs": [account("okx", "500")]})]
        return reply({"transactions": told, "next": following})

    assert asked(answer).height == 1


def test_pages_that_lead_in_a_circle_end_in_an_error() -> None:
    def answer(request: Request) -> Reply:
        if request.path.endswith("/status"):
            return reply({"start_height": 7, "end_height": 7})
        cursor = "2" if request.query.get("cursor") == "1" else "1"
        told = [moved({"outputs": [account("okx", "500")]})]
        return reply({"transactions": told, "next": f"{request.path}?cursor={cursor}"})

    with pytest.raises(FeedError, match="same next page twice"):
        asked(answer)


@pytest.mark.parametrize("host", ["https://example.com", "http://127.0.0.1:1"])
def test_a_next_page_elsewhere_is_refused_and_the_key_is_not_shown(host: str) -> None:
    def answer(request: Request) -> Reply:
        if request.path.endswith("/status"):
            return reply({"start_height": 7, "end_height": 7})
        told = [moved({"outputs": [account("okx", "500")]})]
        following = f"{host}{request.path}?api_key={KEY}&cursor=2"
        return reply({"transactions": told, "next": following})

    with pytest.raises(FeedError, match="elsewhere; refused") as raised:
        asked(answer)
    assert KEY not in str(raised.value)


def test_the_key_is_in_no_message_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """It goes out in the query and comes back in the next address."""
    caplog.set_level(logging.DEBUG)
    with Loopback(provider.answer) as server:
        feed = WhaleAlert(base_url=server.url)
        name = SeriesName("transfers", "whale_alert", "BTC", "event")
        at = line(feed.about, KEY)
        collected(feed, name, provider.START, provider.END, at)
        assert all(request.query["api_key"] == KEY for request in server.seen)
        server.always(lambda _: reply({"message": f"bad parameter at ?api_key={KEY}"}, 422))
        with pytest.raises(FeedError) as raised:
            collected(feed, name, provider.START, provider.END, at)
    assert KEY not in f"{raised.value!r} {feed!r} {at!r} {caplog.text}"


def test_a_range_before_what_the_plan_allows_begins_where_it_does() -> None:
    part: Part = {"outputs": [account("okx", "500")]}
    told = asked(one_block(moved(part)), span=(START - timedelta(days=300), END))
    assert told.height == 1


def test_a_token_is_asked_for_on_its_chain() -> None:
    with Loopback(one_block()) as server:
        feed = WhaleAlert(base_url=server.url)
        name = SeriesName("transfers", "whale_alert", "USDT~TRON", "event")
        assert collected(feed, name, START, END, line(feed.about, KEY)).is_empty()
        seen = server.seen[-1]
    assert seen.path == "/tron/transactions"
    assert (seen.query["symbol"], seen.query["min_value"]) == ("usdt", "1000000")
    with pytest.raises(UsageError, match="write USDT~ETHEREUM"):
        WhaleAlert(assets=("USDT",))
