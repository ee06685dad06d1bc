"""Fed funds futures from files: the method's figures, point in time, and files to refuse."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from tests.data.feeds.loopback import line
from workbench.data.feeds.contract import check_feed, collected
from workbench.data.feeds.fed_funds import FOMC, FedFunds
from workbench.data.meetings import expected_move, probabilities
from workbench.data.odds import COLUMNS
from workbench.domain import UsageError
from workbench.errors import FeedError

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)

# November has no meeting: 3.63. December 9: (31 * 3.55 - 9 * 3.63) / 22 = 3.517273,
# and (3.517273 - 3.63) / 0.25 = -0.450909; a day later 3.57 -> 3.545455 -> -0.338182
FILE = """trade_date,contract,settle,volume
2026-11-18,ZQX26,96.37,1000
2026-11-18,ZQZ26,96.45,1000
2026-11-19,2026-11,96.37,1000
2026-11-19,2026-12,96.43,1000
"""


def feed_of(folder: Path, *files: str) -> FedFunds:
    for number, text in enumerate(files):
        (folder / f"{number}.csv").write_text(text, encoding="utf-8")
    return FedFunds(folder=str(folder))


def told(feed: FedFunds, start: datetime = START, end: datetime = END) -> pl.DataFrame:
    return collected(feed, FOMC, start, end, line(feed.about))


def chances(rows: pl.DataFrame, day: int) -> dict[str, float]:
    of_day = rows.filter(pl.col("event_time") == datetime(2026, 11, day, tzinfo=UTC))
    said = of_day.select("outcome", "probability").iter_rows()
    return {outcome: chance for outcome, chance in said if chance}


def test_it_keeps_the_promises_of_a_feed(tmp_path: Path) -> None:
    feed = feed_of(tmp_path, FILE)
    assert check_feed(feed, FOMC, START, END, line(feed.about)) == 2 * 7


def test_the_figures_are_those_of_the_method(tmp_path: Path) -> None:
    rows = told(feed_of(tmp_path, FILE))
    assert chances(rows, 18) == pytest.approx({"down25": 0.450909, "noChange": 0.549091}, abs=1e-6)
    assert chances(rows, 19) == pytest.approx({"down25": 0.338182, "noChange": 0.661818}, abs=1e-6)
    assert set(rows["meeting"]) == {"2026-12"}
    assert set(rows["market"]) == {"ZQZ26"}
    assert rows["devigged"].to_list() == rows["probability"].to_list()
    assert rows.columns == list(COLUMNS)


def test_a_settlement_is_known_at_22_utc_of_its_day(tmp_path: Path) -> None:
    rows = told(feed_of(tmp_path, FILE))
    assert rows["available_at"][0] == datetime(2026, 11, 18, 22, tzinfo=UTC)


def test_a_move_that_is_out_of_question_says_zero(tmp_path: Path) -> None:
    rows = told(feed_of(tmp_path, FILE))
    assert rows.filter(pl.col("outcome") == "up25")["probability"].to_list() == [0.0, 0.0]
    sums = rows.group_by("event_time").agg(pl.col("probability").sum())["probability"]
    assert sums.to_list() == pytest.approx([1.0, 1.0])


def test_an_expired_month_still_says_the_rate_before_the_meeting(tmp_path: Path) -> None:
    later = FILE + "2026-12-01,ZQZ26,96.45,1\n"
    feed = feed_of(tmp_path, later)
    december = datetime(2026, 12, 1, tzinfo=UTC)
    at = line(feed.about)
    at.clock = lambda: datetime(2026, 12, 2, tzinfo=UTC)
    rows = collected(feed, FOMC, december, datetime(2026, 12, 2, tzinfo=UTC), at)
    cut = rows.filter(pl.col("outcome") == "down25")["probability"].to_list()
    assert cut == pytest.approx([0.450909], abs=1e-6)


def test_an_expired_month_is_not_told_by_a_later_file(tmp_path: Path) -> None:
    later = FILE + "2026-12-01,ZQZ26,96.45,1\n2026-12-02,ZQX26,95.00,1\n"
    feed = feed_of(tmp_path, later)
    december = datetime(2026, 12, 1, tzinfo=UTC)
    at = line(feed.about)
    at.clock = lambda: datetime(2026, 12, 3, tzinfo=UTC)
    rows = collected(feed, FOMC, december, datetime(2026, 12, 2, tzinfo=UTC), at)
    cut = rows.filter(pl.col("outcome") == "down25")["probability"].to_list()
    assert cut == pytest.approx([0.450909], abs=1e-6)


def test_a_trade_date_to_come_is_not_told_yet(tmp_path: Path) -> None:
    tomorrow = "2026-11-21,ZQX26,96.37,1\n2026-11-21,ZQZ26,96.45,1\n"
    rows = told(feed_of(tmp_path, FILE + tomorrow), end=datetime(2026, 11, 30, tzinfo=UTC))
    assert rows["event_time"].max() == datetime(2026, 11, 19, tzinfo=UTC)


def test_a_later_settlement_never_tells_an_earlier_day(tmp_path: Path) -> None:
    before = told(feed_of(tmp_path, FILE))
    after = told(feed_of(tmp_path, FILE + "2026-11-20,ZQX26,95.00,1\n2026-11-20,ZQZ26,95.00,1\n"))
    assert after.equals(before)


def test_a_day_without_the_months_that_are_needed_has_no_row(tmp_path: Path) -> None:
    assert told(
        feed_of(tmp_path, "trade_date,contract,settle\n2026-11-18,ZQZ26,96.45\n")
    ).is_empty()


def test_several_files_are_one_table_and_copies_of_a_row_are_one(tmp_path: Path) -> None:
    head, *lines = FILE.splitlines()
    parts = ["\n".join([head, *lines[:3], ""]), "\n".join([head, *lines[1:], ""])]
    assert told(feed_of(tmp_path, *parts)).height == 14


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ZQZ26", "ZQZ6", r"row 2: contract 'ZQZ6' is neither"),
        ("ZQZ26", "SR3Z26", r"row 2: contract 'SR3Z26'"),
        ("96.45", "3.55", r"row 2: settle 3.55 is not 100 less a rate"),
        ("96.45", "", r"row 2: settle None is not 100"),
        ("96.45", "n/a", r"settle 'n/a' is not a number"),
        ("2026-11-18", "18.11.2026", r"trade_date '18.11.2026' is not a day"),
        ("settle", "last", r"no column 'settle'"),
        (
            "2026-11-19,2026-12",
            "2026-11-18,2026-12",
            r"row 4: 2026-12 of 2026-11-18 is there twice",
        ),
    ],
)
def test_a_bad_row_is_named_with_its_file(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(FeedError, match=said) as raised:
        told(feed_of(tmp_path, FILE.replace(old, new)))
    assert "0.csv" in str(raised.value)


@pytest.mark.parametrize("folder", ["", "/nowhere/at/all"])
def test_no_folder_is_an_error_that_names_the_option(folder: str) -> None:
    with pytest.raises(UsageError, match=r"set folder in \[feeds\.fed_funds\]"):
        told(FedFunds(folder=folder))


def test_a_folder_without_files_is_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no \.csv"):
        told(FedFunds(folder=str(tmp_path)))


def test_the_context_expects_the_mean_move_of_them(tmp_path: Path) -> None:
    rows = told(feed_of(tmp_path, FILE))
    closes = pd.DatetimeIndex([datetime(2026, 11, 19, 12), datetime(2026, 11, 20, 0)], tz="UTC")
    odds = rows.select("available_at", "event_time", "meeting", "outcome", "probability")
    move = expected_move(probabilities(closes, odds.to_pandas()))
    # at noon of the 19th the settlement of the 18th is the last that is known
    assert move.tolist() == pytest.approx([-25 * 0.450909, -25 * 0.338182], abs=1e-4)
