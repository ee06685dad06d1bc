"""Publication lags against releases whose moments are public record."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from workbench.data.lags import FRED_TIMEFRAMES, LAGS

# what a value is about -> when it really came out
RELEASES = {
    ("CPIAUCSL", "2023-01-01"): "2023-02-14 13:30",
    ("CPIAUCSL", "2024-02-01"): "2024-03-12 12:30",
    ("UNRATE", "2019-12-01"): "2020-01-10 13:30",
    ("UNRATE", "2023-06-01"): "2023-07-07 12:30",
    ("M2SL", "2023-01-01"): "2023-02-28 18:00",
    ("FEDFUNDS", "2023-08-01"): "2023-09-01 20:15",
    ("WALCL", "2023-03-15"): "2023-03-16 20:30",
    ("WALCL", "2023-11-22"): "2023-11-24 21:30",  # Thanksgiving moved it to Friday
    ("DFF", "2023-09-01"): "2023-09-05 13:00",  # Labor Day lay between
    ("DGS10", "2023-11-22"): "2023-11-24 21:15",
    ("DTWEXBGS", "2023-09-01"): "2023-09-05 20:15",
    ("VIX", "2023-01-04"): "2023-01-04 21:15",
}


def known(feed: str, stamp: str) -> datetime:
    row = pl.DataFrame({"stamp": [datetime.fromisoformat(stamp).replace(tzinfo=UTC)]})
    return row.select(LAGS[feed](pl.col("stamp")).alias("known"))["known"][0]


@pytest.mark.parametrize(("feed", "stamp"), RELEASES)
def test_nothing_is_known_before_it_came_out(feed: str, stamp: str) -> None:
    out = datetime.fromisoformat(RELEASES[feed, stamp]).replace(tzinfo=UTC)
    assert out <= known(feed, stamp)
    assert (known(feed, stamp) - out).days < 12


def test_the_fixed_lags() -> None:
    day = "2023-05-10"
    assert known("funding", day) == datetime(2023, 5, 10, tzinfo=UTC)
    assert known("coinmetrics", day) == datetime(2023, 5, 11, 15, tzinfo=UTC)
    assert known("dune", day) == datetime(2023, 5, 11, 15, tzinfo=UTC)
    assert known("VIX", day) == known("DXY", day) == datetime(2023, 5, 10, 22, tzinfo=UTC)
    assert known("fear_greed", day) == datetime(2023, 5, 10, 1, tzinfo=UTC)
    assert known("polymarket", day) == datetime(2023, 5, 10, 0, 1, tzinfo=UTC)


def test_every_fred_series_has_a_lag() -> None:
    assert set(FRED_TIMEFRAMES) <= set(LAGS)
