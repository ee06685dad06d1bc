"""The synthetic dollar index: the formula by hand, the hour it is known, and broken archives."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from tests.data.feeds.loopback import HTML, Clock, Loopback, Reply, line
from tests.data.feeds.provider_dollar import END, FILE, START, answer, zipped
from workbench.data.feeds.contract import collected
from workbench.data.feeds.dollar import DXY, Dollar, dollar_index
from workbench.errors import FeedError


def told(reply: Reply | None = None) -> pl.DataFrame:
    with Loopback(answer if reply is None else lambda _: reply) as server:
        feed = Dollar(base_url=server.url)
        return collected(feed, DXY, START, END, line(feed.about))


def test_the_formula_agrees_with_a_sum_of_logarithms_done_by_hand() -> None:
    # 2014-08-25: log10 of 1.32, 103.8864, 1.658979, 1.095227, 6.930985, 0.915682 are
    # 0.120574, 2.016559, 0.219841, 0.039504, 0.840795, -0.038255; the weighted sum with
    # log10(50.14348112) = 1.700214 is
    # 1.700214 - 0.069451 + 0.274252 - 0.026161 + 0.003595 + 0.035313 - 0.001377 = 1.916385
    index = dollar_index(usd=1.32, jpy=137.13, gbp=0.79567, cad=1.4457, sek=9.1489, chf=1.2087)
    assert index == pytest.approx(10**1.916385, rel=1e-5)
    assert index == pytest.approx(82.49, abs=0.01)


def test_rates_of_one_leave_the_constant() -> None:
    assert dollar_index(1, 1, 1, 1, 1, 1) == 50.14348112


def test_a_dearer_dollar_is_a_higher_index() -> None:
    weak = dollar_index(usd=1.20, jpy=150, gbp=0.85, cad=1.6, sek=11, chf=0.95)
    strong = dollar_index(usd=1.10, jpy=150, gbp=0.85, cad=1.6, sek=11, chf=0.95)
    # every pair has the dollar in it, so the whole weight of 1 is on it
    assert strong / weak == pytest.approx(1.20 / 1.10)


def test_a_day_is_known_at_18_utc_oldest_first() -> None:
    rows = told()
    assert rows["event_time"].is_sorted()
    assert rows["available_at"].to_list() == [
        datetime(2026, 11, day, 18, tzinfo=UTC) for day in (16, 17, 19)
    ]


def test_a_day_without_one_of_the_rates_has_no_row() -> None:
    assert datetime(2026, 11, 18, tzinfo=UTC) not in told()["event_time"].to_list()


def test_it_is_not_called_the_real_index() -> None:
    assert Dollar().series() == [DXY]
    assert (DXY.venue, DXY.symbol) == ("ecb", "DXY_SYNTHETIC")


def test_a_web_page_in_place_of_the_archive_is_asked_again() -> None:
    clock = Clock()
    with Loopback(answer) as server:
        server.disturb(1, HTML)
        feed = Dollar(base_url=server.url)
        rows = collected(feed, DXY, START, END, line(feed.about, clock=clock))
    assert rows.height == 3
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    "body",
    [b"PK\x03\x04 not an archive", zipped(FILE)[:-30], b"", zipped(FILE)[:60]],
    ids=["no archive", "without its end", "nothing", "its beginning"],
)
def test_a_broken_archive_is_named(body: bytes) -> None:
    with pytest.raises(FeedError, match=r"eurofxref-hist.zip answered something that is no zip"):
        told(Reply(200, body, "application/zip"))


def test_a_rate_of_zero_is_refused() -> None:
    spoiled = zipped(FILE.replace("180.1", "0.0"))
    with pytest.raises(FeedError, match=r"0\.JPY"):
        told(Reply(200, spoiled, "application/zip"))
