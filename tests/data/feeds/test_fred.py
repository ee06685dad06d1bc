"""FRED without a key: headers old and new, holidays, lags, and answers that are no table."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from tests.data.feeds.loopback import HTML, Loopback, Reply, line, text
from tests.data.feeds.provider_fred import DGS10, END, START, answer
from workbench.data.feeds.contract import collected
from workbench.data.feeds.feed import SeriesName
from workbench.data.feeds.fred import IDS, Fred
from workbench.data.lags import FRED_TIMEFRAMES, LAGS
from workbench.domain import UsageError
from workbench.errors import FeedError


def told(reply: Reply | None = None) -> pl.DataFrame:
    with Loopback(answer if reply is None else lambda _: reply) as server:
        feed = Fred(base_url=server.url)
        return collected(feed, DGS10, START, END, line(feed.about))


def test_a_day_is_known_on_the_second_weekday_after_it_at_22_utc() -> None:
    rows = told()
    friday = rows.filter(pl.col("event_time") == datetime(2026, 11, 6, tzinfo=UTC))
    assert friday["available_at"][0] == datetime(2026, 11, 10, 22, tzinfo=UTC)
    assert friday["value"][0] == 4.06


def test_a_holiday_has_no_row_and_is_never_zero() -> None:
    rows = told()
    assert datetime(2026, 11, 11, tzinfo=UTC) not in rows["event_time"].to_list()
    assert rows["value"].min() == 4.02


@pytest.mark.parametrize("header", ["DATE", "observation_date"])
@pytest.mark.parametrize("missing", [".", ""])
def test_both_headers_and_both_kinds_of_nothing_are_read(header: str, missing: str) -> None:
    rows = told(text(f"{header},DGS10\n2026-11-02,4.1\n2026-11-03,{missing}\n"))
    assert rows["value"].to_list() == [4.1]


def test_another_series_than_asked_for_is_refused() -> None:
    with pytest.raises(FeedError, match="expected observation_date and DGS10"):
        told(text("observation_date,DGS2\n2026-11-02,4.1\n"))


def test_a_page_for_browsers_is_no_table() -> None:
    with pytest.raises(FeedError, match="a web page"):
        told(HTML)


def test_a_table_cut_off_in_a_number_is_not_taken_for_whole() -> None:
    with pytest.raises(FeedError, match="cut off"):
        told(text("observation_date,DGS10\n2026-11-02,4.1\n2026-11-03,4"))


def test_text_in_a_cell_is_refused_by_its_place() -> None:
    with pytest.raises(FeedError, match=r"fredgraph.csv has changed its shape: 1\.value"):
        told(text("observation_date,DGS10\n2026-11-02,4.1\n2026-11-03,nan\n"))


def test_an_empty_table_is_an_empty_range() -> None:
    assert told(text("observation_date,DGS10\n")).is_empty()


def test_a_series_whose_lag_is_unknown_is_refused_before_anyone_is_asked() -> None:
    with pytest.raises(UsageError, match=r"VIXCLS is not known.*lags\.py"):
        Fred(ids=("VIXCLS",)).series()
    with Loopback(answer) as server:
        feed = Fred(base_url=server.url)
        name = SeriesName("macro", "fred", "VIXCLS", "1b")
        with pytest.raises(UsageError, match="VIXCLS"):
            collected(feed, name, START, END, line(feed.about))
        assert not server.seen


def test_the_series_have_the_names_that_recorded_data_have() -> None:
    assert Fred().series()[0] == SeriesName("macro", "fred", "DFF", "1d")
    assert set(IDS) <= set(LAGS) & set(FRED_TIMEFRAMES)


def test_it_asks_only_for_the_range() -> None:
    with Loopback(answer) as server:
        feed = Fred(base_url=server.url)
        collected(feed, DGS10, START, END, line(feed.about))
    assert server.seen[0].query == {"id": "DGS10", "cosd": "2026-11-02", "coed": "2026-11-13"}
