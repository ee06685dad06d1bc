"""What the lake holds of each series, counted by hand; what is silent, by the feeds' own limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from workbench.data.context import STALE_HOURS
from workbench.data.holdings import freshness, holdings
from workbench.data.lake import INSTANT, Lake
from workbench.data.sample import SYMBOLS
from workbench.data.snapshot import World, load_world
from workbench.domain import DataError, UsageError

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
JANUARY = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def stored(
    lake: Lake, kind: str, timeframe: str, times: Sequence[datetime], **more: object
) -> None:
    rows = pl.DataFrame({"event_time": times, **more}).with_columns(
        event_time=pl.col("event_time").cast(INSTANT)
    )
    clocks = {name: pl.col("event_time") for name in ("available_at", "fetched_at")}
    given = {name: pl.col(name) for name in clocks if name in more}
    rows = rows.with_columns(**clocks | given).with_columns(pl.col(list(clocks)).cast(INSTANT))
    lake.upsert(kind, "made", "BTC/USDT", timeframe, rows)


def hours(first: datetime, count: int) -> list[datetime]:
    return [first + k * HOUR for k in range(count)]


def of_kind(table: pl.DataFrame, kind: str) -> dict[str, tuple[int, int | None, float | None]]:
    rows = table.filter(kind=kind).select("start", "rows", "expected", "share")
    return {f"{start:%Y-%m-%d}": (n, due, share) for start, n, due, share in rows.iter_rows()}


def test_a_month_is_counted_against_what_its_timeframe_promises(lake: Lake) -> None:
    """January lacks 6 of its 744 hours, February all of them, March all but its last day."""
    times = [t for t in hours(JANUARY, 744) if not 300 <= (t - JANUARY) / HOUR < 306]
    stored(lake, "ohlcv", "1h", times + hours(datetime(2024, 3, 31, tzinfo=UTC), 24))
    table = holdings(lake)
    assert of_kind(table, "ohlcv") == {
        "2024-01-01": (738, 744, pytest.approx(738 / 744)),
        "2024-02-01": (0, 696, 0.0),
        "2024-03-01": (24, 744, pytest.approx(24 / 744)),
    }
    assert table["missing"].to_list() == [6, 696, 720]
    assert table["missing_hours"].to_list() == [6.0, 696.0, 720.0]


def test_a_month_that_begins_late_misses_what_lies_before(lake: Lake) -> None:
    """Eight-hourly from the 16th, 08:00: of 93 moments 46 lie before it; then all are missing."""
    first = datetime(2024, 1, 16, 8, tzinfo=UTC)
    stored(lake, "funding", "8h", [first + 8 * k * HOUR for k in range(47)])
    stored(lake, "ohlcv", "1h", [JANUARY, datetime(2024, 3, 10, tzinfo=UTC)])
    funding = of_kind(holdings(lake), "funding")
    assert funding["2024-01-01"] == (47, 93, pytest.approx(47 / 93))
    assert funding["2024-02-01"] == (0, 87, 0.0)


def test_nothing_is_expected_before_its_time(lake: Lake) -> None:
    """At noon of the tenth ten days are told of in full, and the day itself is not yet due."""
    day = datetime(2024, 3, 10, tzinfo=UTC)
    stored(lake, "ohlcv", "1h", hours(JANUARY, 24 * 69 + 13))
    stored(lake, "onchain", "1d", [JANUARY + k * DAY for k in range(69)])
    stored(lake, "sentiment", "1d", [JANUARY + k * DAY for k in range(68)])
    table = holdings(lake)
    assert day == JANUARY + 69 * DAY
    assert of_kind(table, "ohlcv")["2024-03-01"] == (9 * 24 + 13, 9 * 24 + 13, 1.0)
    assert of_kind(table, "onchain")["2024-03-01"] == (9, 9, 1.0)
    assert of_kind(table, "sentiment")["2024-03-01"] == (8, 9, pytest.approx(8 / 9))


def test_a_short_span_is_told_by_the_day(lake: Lake) -> None:
    """Two days and an hour of candles, one of the hours missing."""
    stored(lake, "ohlcv", "1h", [t for t in hours(JANUARY, 49) if t != JANUARY + 30 * HOUR])
    assert of_kind(holdings(lake), "ohlcv") == {
        "2024-01-01": (24, 24, 1.0),
        "2024-01-02": (23, 24, pytest.approx(23 / 24)),
        "2024-01-03": (1, 1, 1.0),
    }


@pytest.mark.parametrize("timeframe", ["event", "1b", "1M"])
def test_where_no_number_is_promised_none_is_missed(lake: Lake, timeframe: str) -> None:
    stored(lake, "macro", timeframe, [JANUARY, JANUARY + 40 * DAY, JANUARY + 90 * DAY])
    table = holdings(lake)
    assert table["rows"].to_list() == [1, 1, 1]
    for name in ("expected", "missing", "missing_hours", "share"):
        assert table[name].null_count() == 3


def test_a_revision_is_a_row_but_no_second_event(lake: Lake) -> None:
    """Two days of three, one of them told twice, are two thirds."""
    times = [JANUARY, JANUARY, JANUARY + 2 * DAY]
    stored(lake, "onchain", "1d", times, available_at=[t + k * HOUR for k, t in enumerate(times)])
    table = holdings(lake)
    assert (table["rows"].sum(), table["expected"].sum(), table["missing"].sum()) == (3, 3, 1)


def test_the_counts_are_those_of_the_lakes_own_status(recorded_lake: Lake) -> None:
    """Rows of every series, and the holes of those that end with a whole month."""
    table, status = holdings(recorded_lake), recorded_lake.status()
    summed = table.group_by("kind", "venue", "symbol", "timeframe").agg(pl.col("rows").sum())
    assert {row[:4]: row[4] for row in summed.iter_rows()} == {s[:4]: s.rows for s in status}
    [btc] = [s for s in status if s[:3] == ("ohlcv", "binance_spot", "BTC/USDT")]
    own = table.filter(kind="ohlcv", venue="binance_spot", symbol="BTC/USDT")
    assert own.filter(pl.col("rows") > 0)["missing"].sum() == btc.missing == 32


def test_the_sample_world_is_whole(sample_lake: Lake) -> None:
    table = holdings(sample_lake)
    regular = table.filter(pl.col("expected").is_not_null())
    assert regular["share"].to_list() == [1.0] * regular.height
    assert regular.height > 24 * 8


def test_only_the_kinds_asked_for_are_told(sample_lake: Lake) -> None:
    assert set(holdings(sample_lake, ["news", "macro"])["kind"]) == {"news", "macro"}
    assert holdings(sample_lake, []).equals(holdings(sample_lake))


def test_impossible_wishes_are_answered_in_a_sentence(sample_lake: Lake, lake: Lake) -> None:
    with pytest.raises(UsageError, match=r"nothing of kind 'weather'; it has funding, macro"):
        holdings(sample_lake, ["weather"])
    with pytest.raises(UsageError, match="give a list such as"):
        holdings(sample_lake, "news")
    with pytest.raises(UsageError, match="is empty; import recorded data"):
        holdings(lake)


def test_a_file_that_cannot_be_read_is_named(lake: Lake) -> None:
    stored(lake, "ohlcv", "1h", hours(JANUARY, 24))
    [file] = lake.root.rglob("*.parquet")
    file.write_bytes(b"PAR1 no longer")
    with pytest.raises(DataError, match=r"2024-01\.parquet cannot be read"):
        holdings(lake)


# --- freshness -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(sample_lake: Lake) -> World:
    return load_world(sample_lake, "sample", SYMBOLS, start="2022-01-01", end="2022-01-31")


def test_before_anything_was_heard_feeds_are_never_and_come_first(world: World) -> None:
    """At the first close only candles, funding and the morning's mood have spoken."""
    table = freshness(world, 0)
    assert dict(zip(table["feed"], table["state"], strict=True))["vix"] == "never"
    states = table["state"].tolist()
    assert states == sorted(states, key=["never", "stale", "fresh"].index)
    assert set(table["silent_hours"][table["state"] == "never"]) == {math.inf}
    assert set(table["feed"][table["state"] == "fresh"]) == {"candles", "funding", "fear_greed"}


def test_a_feed_that_falls_silent_is_stale_once_its_hours_are_over(world: World) -> None:
    """The ages are the world's; what is closest to its limit comes first."""
    table = freshness(world)
    assert set(table["state"]) == {"fresh"}
    used = (table["silent_hours"] / table["allowed_hours"]).tolist()
    assert used == sorted(used, reverse=True)
    ages = world.ages.copy()
    ages.loc[ages.index[-1], "funding"] = STALE_HOURS["funding"] + 0.5
    ages.loc[ages.index[-1], "netflow"] = STALE_HOURS["netflow"]
    told = freshness(World(world.panel, world.headlines, world.odds, ages)).set_index("feed")
    assert told.index[0] == "funding"
    assert tuple(told.loc["funding"]) == (16.5, 16.0, "stale")
    assert told.loc["netflow", "state"] == "fresh"


def test_a_bar_that_is_not_there_has_no_freshness(world: World) -> None:
    for t in (len(world.panel), -len(world.panel) - 1):
        with pytest.raises(UsageError, match="is not in the world"):
            freshness(world, t)
