"""CBOE: American dates, the evening's lag, and a file cut off."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from tests.data.feeds.loopback import Loopback, Reply, line, text
from tests.data.feeds.provider_cboe import END, FILE, START, answer
from workbench.data.feeds.cboe import VIX, Cboe
from workbench.data.feeds.contract import collected
from workbench.errors import FeedError


def told(reply: Reply | None = None, start: datetime = START) -> pl.DataFrame:
    with Loopback(answer if reply is None else lambda _: reply) as server:
        feed = Cboe(base_url=server.url)
        return collected(feed, VIX, start, END, line(feed.about))


def test_a_day_is_known_at_22_utc_and_has_the_recorded_columns() -> None:
    rows = told()
    assert rows.columns == ["event_time", "available_at", "open", "high", "low", "close"]
    assert rows.row(3) == (
        datetime(2026, 11, 19, tzinfo=UTC), datetime(2026, 11, 19, 22, tzinfo=UTC),
        17.67, 20.31, 17.32, 18.7,
    )  # fmt: skip


def test_a_range_that_starts_in_1990_has_every_day() -> None:
    rows = told(start=datetime(1990, 1, 1, tzinfo=UTC))
    assert rows["event_time"][0] == datetime(1990, 1, 2, tzinfo=UTC)
    assert rows.height == 6


def test_a_date_of_another_order_is_refused_and_not_guessed() -> None:
    with pytest.raises(FeedError, match=r"changed its shape: 5\.DATE"):
        told(text(FILE.replace("11/19/2026", "19/11/2026")))


def test_a_file_that_ends_in_a_number_is_cut_off() -> None:
    with pytest.raises(FeedError, match="cut off"):
        told(text(FILE.removesuffix("700000\n")))


def test_a_day_that_is_there_twice_counts_once_with_its_last_value() -> None:
    rows = told(text(FILE + "11/19/2026,17.67,20.31,17.32,18.80\n"))
    assert rows["close"].to_list() == [17.5, 18.9, 19.7, 18.8]


def test_a_price_that_is_not_there_is_refused() -> None:
    with pytest.raises(FeedError, match=r"5\.CLOSE"):
        told(text(FILE.replace(",18.700000", ",")))
