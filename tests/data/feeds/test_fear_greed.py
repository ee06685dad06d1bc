"""Fear & greed: strings, newest first, days that are missing."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from tests.data.feeds.loopback import Loopback, Reply, line, reply
from tests.data.feeds.provider_fear_greed import END, MISSING, START, answer, row
from workbench.data.feeds.contract import collected
from workbench.data.feeds.fear_greed import FNG, FearGreed
from workbench.errors import FeedError


def told(said: Reply | None = None) -> pl.DataFrame:
    with Loopback(answer if said is None else lambda _: said) as server:
        feed = FearGreed(base_url=server.url)
        return collected(feed, FNG, START, END, line(feed.about))


def test_a_value_is_known_an_hour_into_its_day() -> None:
    first = told().row(0)
    assert first == (
        datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 10, 1, tzinfo=UTC), 50.0,
    )  # fmt: skip


def test_a_missing_day_is_a_hole_and_not_filled() -> None:
    days = told()["event_time"].to_list()
    assert MISSING not in days
    assert len(days) == 9


def test_it_asks_for_as_many_days_as_reach_back_to_the_start() -> None:
    with Loopback(answer) as server:
        feed = FearGreed(base_url=server.url)
        collected(feed, FNG, START, END, line(feed.about))
    # NOW is the 20th at noon: ten days back, two to spare; dates stay numbers
    assert server.seen[0].query == {"limit": "12", "format": "json"}


def test_a_day_told_twice_counts_once_with_the_newer_value() -> None:
    newer = row(START) | {"value": "33"}
    assert told(reply({"data": [newer, row(START)]}))["value"].to_list() == [33.0]


@pytest.mark.parametrize("value", ["101", "-1", "", "nan"])
def test_a_value_that_is_no_index_is_refused(value: str) -> None:
    with pytest.raises(FeedError, match=r"data\.0\.value"):
        told(reply({"data": [row(START) | {"value": value}]}))
