"""What is particular to DefiLlama: whole histories, the live value, and names as symbols."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl
import pytest

from tests.data.feeds.loopback import Loopback, Reply, Request, line, reply
from workbench.data.feeds.contract import collected
from workbench.data.feeds.defillama import DefiLlama
from workbench.data.feeds.feed import SeriesName
from workbench.errors import FeedError, UsageError

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
DAY_1, DAY_19, DAY_20 = 1793491200, 1795046400, 1795132800  # 00:00 of November 1, 19 and 20


def asked(symbol: str, answer: Callable[[Request], Reply]) -> pl.DataFrame:
    with Loopback(answer) as server:
        feed = DefiLlama(
            chains=("Ethereum", "OP Mainnet"), tvl_of=("aave",), fees_of=("aave", "gmx-v2"),
            volume_of=("gmx-v2",), base_url=server.url, stablecoins_url=server.url,
        )  # fmt: skip
        name = SeriesName("onchain", "defillama", symbol, "1d")
        return collected(feed, name, START, END, line(feed.about))


def test_a_day_is_known_fifteen_hours_after_its_end() -> None:
    told = asked("ETHEREUM", lambda _: reply([{"date": DAY_1, "tvl": 1.5e10}]))
    assert told.row(0) == (
        datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, 15, tzinfo=UTC), 1.5e10,
    )  # fmt: skip


def test_the_live_value_and_the_day_that_is_not_over_are_left_out() -> None:
    """It is 20 November, 12:00. The last element is of 11:00."""
    points = [{"date": t, "tvl": t} for t in (DAY_19, DAY_20, DAY_20 + 39600)]
    told = asked("ETHEREUM", lambda _: reply(points))
    assert told["event_time"].to_list() == [datetime(2026, 11, 19, tzinfo=UTC)]


def test_a_last_element_at_a_day_s_start_is_a_day_like_the_others() -> None:
    told = asked("ETHEREUM", lambda _: reply([{"date": DAY_1, "tvl": 1}]))
    assert told.height == 1


def test_a_stamp_within_a_day_before_the_last_is_refused() -> None:
    points = [{"date": t, "tvl": 1} for t in (DAY_1 + 3600, DAY_19)]
    with pytest.raises(FeedError, match="2026-11-01 01:00:00, which is not a day's start"):
        asked("ETHEREUM", lambda _: reply(points))


@pytest.mark.parametrize("date", [DAY_1, str(DAY_1)])
def test_a_date_is_read_as_a_number_and_as_text(date: int | str) -> None:
    point = {"date": date, "totalCirculating": {"peggedUSD": 1.6e11, "peggedEUR": 4e8}}
    told = asked("STABLECOINS", lambda _: reply([point]))
    assert told["circulating_usd"].to_list() == [1.6e11]
    assert told["event_time"].to_list() == [START]


def test_a_protocol_has_the_columns_it_is_listed_for_joined_by_day() -> None:
    def answer(request: Request) -> Reply:
        if request.path == "/protocol/aave":
            return reply({"tvl": [{"date": DAY_1, "totalLiquidityUSD": 2e10}]})
        assert (request.path, request.query) == ("/summary/fees/aave", {"dataType": "dailyFees"})
        return reply({"totalDataChart": [[DAY_1, 3e6], [DAY_1 + 86400, None]]})

    told = asked("AAVE~PROTOCOL", answer)
    assert told.select("tvl_usd", "fees_usd").rows() == [(2e10, 3e6), (None, None)]
    other = asked("GMX_V2~PROTOCOL", lambda _: reply({"totalDataChart": [[DAY_1, 0]]}))
    assert other.columns == ["event_time", "available_at", "fees_usd", "volume_usd"]
    assert other["fees_usd"].to_list() == [0.0]


def test_names_become_symbols_that_a_lake_can_hold_and_find_back() -> None:
    feed = DefiLlama(chains=("OP Mainnet",), tvl_of=(), fees_of=("gmx-v2",), volume_of=())
    assert [name.symbol for name in feed.series()] == [
        "OP_MAINNET", "GMX_V2~PROTOCOL", "STABLECOINS",
    ]  # fmt: skip
    paths: list[str] = []

    def answer(request: Request) -> Reply:
        paths.append(request.path)
        return reply([{"date": DAY_1, "tvl": 1}])

    asked("OP_MAINNET", answer)
    assert paths == ["/v2/historicalChainTvl/OP%20Mainnet"]


def test_the_plan_counts_a_request_a_column() -> None:
    feed = DefiLlama(tvl_of=("aave",), fees_of=("aave",), volume_of=())
    by_symbol = {name.symbol: feed.requests(name, START, END) for name in feed.series()}
    assert by_symbol["AAVE~PROTOCOL"] == 2
    assert by_symbol["ETHEREUM"] == by_symbol["STABLECOINS"] == 1


def test_options_and_series_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="same symbol"):
        DefiLlama(chains=("OP Mainnet", "op-mainnet"))
    with pytest.raises(UsageError, match="DOGECHAIN is not among"):
        asked("DOGECHAIN", lambda _: reply([]))


def test_a_history_of_a_chain_that_has_none_is_empty_with_both_clocks() -> None:
    told = asked("ETHEREUM", lambda _: reply([]))
    assert told.is_empty()
    assert told.columns == ["event_time", "available_at", "tvl_usd"]
