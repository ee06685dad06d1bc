"""How good a lake is: figures that can be counted by hand, and venues held against each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.recorded import require_data
from workbench.data.lake import INSTANT, Lake, SeriesName
from workbench.data.quality import (
    Quality,
    apart,
    cross_check,
    found_defects,
    outdated,
    qualities,
)
from workbench.data.resample import resampled
from workbench.errors import UsageError

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 2, 1, tzinfo=UTC)


def at(hours: float) -> datetime:
    return START + hours * HOUR


def candles(
    count: int, step: timedelta = HOUR, closes: dict[int, float] | None = None
) -> pl.DataFrame:
    """Bars that close at 100 (or as told), each with a trade; known at their end."""
    close = [(closes or {}).get(n, 100.0) for n in range(count)]
    opens = [START + n * step for n in range(count)]
    return pl.DataFrame(
        {
            "event_time": opens, "available_at": [each + step for each in opens],
            "fetched_at": [NOW] * count, "open": close, "high": [c + 1 for c in close],
            "low": [c - 1 for c in close], "close": close,
            "volume": [float(n + 1) for n in range(count)],
        },
        schema_overrides=dict.fromkeys(("event_time", "available_at", "fetched_at"), INSTANT),
    )  # fmt: skip


def without(rows: pl.DataFrame, *bars: int) -> pl.DataFrame:
    return rows.filter(~pl.int_range(pl.len()).is_in(bars))


def series(venue: str = "kraken", symbol: str = "BTC/USDT", timeframe: str = "1h") -> SeriesName:
    return SeriesName("ohlcv", venue, symbol, timeframe)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def only(lake: Lake, now: datetime = NOW) -> Quality:
    (one,) = qualities(lake, now)
    return one


# --- figures ----------------------------------------------------------------------------------


def test_a_missing_bar_that_nobody_asked_for_is_told_from_one_that_is_not_there(
    lake: Lake,
) -> None:
    lake.upsert(*series(), without(candles(101), 10, 11, 50, 51, 52))
    assert (only(lake).asked, only(lake).unasked) == (0.0, 5)
    lake.cover(series(), at(0), at(51))  # 10, 11 and 50 were asked for; 51 and 52 were not
    assert (only(lake).asked, only(lake).unasked) == (pytest.approx(0.51), 2)
    lake.cover(series(), at(51), at(101))
    assert (only(lake).asked, only(lake).unasked) == (1.0, 0)
    assert (only(lake).stored.gaps, only(lake).stored.missing) == (2, 5)


def test_a_series_is_late_when_its_timeframe_allows_no_such_silence(lake: Lake) -> None:
    lake.upsert(*series(), candles(100))  # the last is known at hour 100
    fresh = only(lake, at(102))
    assert (fresh.age_h, fresh.allowed_h, fresh.late) == (2.0, 2.0, False)
    assert only(lake, at(102.1)).late


@pytest.mark.parametrize(
    ("timeframe", "allowed_h"),
    [("15m", 0.5), ("1d", 48.0), ("1b", 96.0), ("1M", 1080.0), ("event", None)],
)
def test_what_a_timeframe_allows(lake: Lake, timeframe: str, allowed_h: float | None) -> None:
    rows = candles(3).select("event_time", "available_at", "fetched_at", value="close")
    lake.upsert("macro", "fred", "DFF", timeframe, rows)
    assert only(lake).allowed_h == allowed_h


def test_a_revised_value_is_no_second_bar_and_no_hole(lake: Lake) -> None:
    rows = candles(5, timedelta(days=1)).select(
        "event_time", "available_at", "fetched_at", value="close"
    )
    revised = rows[2:3].with_columns(
        available_at=pl.col("available_at") + timedelta(days=9), value=7.0
    )
    lake.upsert("onchain", "glassnode", "BTC", "1d", pl.concat([rows, revised]))
    figures = only(lake)
    assert (figures.stored.rows, figures.stored.gaps, figures.stored.duplicates) == (6, 0, 0)
    assert figures.flats is None
    assert figures.stored.known == at(8 * 24) + timedelta(days=4)
    assert list(found_defects(lake)) == []


def test_each_kind_of_defect_is_found_in_its_kind_of_series(lake: Lake) -> None:
    still = candles(60).with_columns(
        *(pl.when(pl.col("event_time") == at(20)).then(100.0).otherwise(c).alias(c)
          for c in ("open", "high", "low")),
        pl.when(pl.col("event_time") == at(20)).then(0.0).otherwise("volume").alias("volume"),
    )  # fmt: skip
    lake.upsert(*series(), without(still, 30))
    clocks = candles(4).select("event_time", "available_at", "fetched_at")
    lake.upsert("trades", "kraken", "BTC/USDT", "event",
                clocks.with_columns(id=pl.Series(["7", "8", "11", "12"])))  # fmt: skip
    lake.upsert("trades", "bybit", "BTC/USDT", "event",
                clocks.with_columns(id=pl.Series(["a-1", "a-9", "b-1", "b-2"])))  # fmt: skip
    lake.upsert("funding", "binance", "BTC/USDT", "1h", without(candles(5), 2))
    assert only_first(lake) == [
        ("funding binance BTC/USDT 1h", "hole", at(2), 1),
        ("ohlcv kraken BTC/USDT 1h", "flat", at(20), 1),
        ("ohlcv kraken BTC/USDT 1h", "hole", at(30), 1),
        ("trades kraken BTC/USDT event", "lost", at(1), 2),
    ]


def only_first(lake: Lake) -> list[tuple[str, str, datetime, int]]:
    return [(str(d.series), d.what, d.start, d.bars) for d in found_defects(lake)]


def test_rows_that_somebody_doubled_in_a_file_are_a_defect(lake: Lake) -> None:
    lake.upsert(*series(), candles(30))
    file = next(lake.root.rglob("*.parquet"))
    rows = pl.read_parquet(file, hive_partitioning=False)
    pl.concat([rows, rows[5:7]]).sort("event_time").write_parquet(file)
    assert only(lake).stored.duplicates == 2
    assert ("ohlcv kraken BTC/USDT 1h", "twice", at(5), 2) in only_first(lake)


# --- venues held against each other -------------------------------------------------------------


def disagreeing(lake: Lake) -> None:
    """Two exchanges that are 2 % apart in hour 40, and 0.4 % in hour 41."""
    lake.upsert(*series("kraken"), candles(60))
    lake.upsert(*series("coinbase"), candles(60, closes={40: 102.0, 41: 100.4}))


def test_a_disagreement_is_kept_as_an_event_known_when_the_later_candle_was(lake: Lake) -> None:
    lake.upsert(*series("kraken"), candles(60).with_columns(
        available_at=pl.col("available_at") + timedelta(minutes=7)))  # fmt: skip
    lake.upsert(*series("coinbase"), candles(60, closes={40: 102.0, 41: 100.4}))
    assert cross_check(lake, NOW) == 1
    (event,) = lake.read("events", "crosscheck", "BTC/USDT", "event").to_dicts()
    gap_bps = event.pop("gap_bps")
    assert event == {
        "event_time": at(40), "available_at": at(41) + timedelta(minutes=7), "fetched_at": NOW,
        "bar": "1h", "what": "disagreement", "one": "coinbase", "other": "kraken",
        "close": 102.0, "other_close": 100.0,
    }  # fmt: skip
    assert gap_bps == pytest.approx(198.03, abs=0.01)  # ln 1.02
    assert cross_check(lake, NOW + HOUR) == 0


def test_checking_only_what_is_new_says_the_same_of_it(lake: Lake) -> None:
    disagreeing(lake)
    assert list(apart(lake, at(41))) == []
    assert [rows.rows() for _, rows in apart(lake, at(40))] == [
        rows.rows() for _, rows in apart(lake)
    ]
    assert list(apart(lake, NOW + timedelta(days=400))) == []


def test_other_markets_and_made_up_worlds_are_not_held_against_each_other(lake: Lake) -> None:
    off = candles(60, closes={40: 102.0})
    lake.upsert(*series("kraken"), candles(60))
    lake.upsert(*series("binance_perp"), off)
    lake.upsert(*series("sample"), off)
    lake.upsert(*series("coinbase", "ETH/USDT"), off)
    lake.upsert(*series("okx", timeframe="15m"), off)
    assert list(apart(lake)) == []
    lake.upsert(*series("bybit_perp"), candles(60))
    ((name, rows),) = apart(lake)
    assert name == ("events", "crosscheck", "BTC/USDT", "event")
    assert rows.select("one", "other").rows() == [("binance_perp", "bybit_perp")]


def test_events_of_two_pairs_and_two_timeframes_stand_side_by_side(lake: Lake) -> None:
    disagreeing(lake)
    lake.upsert(*series("okx"), candles(60))
    lake.upsert(*series("okx", timeframe="15m"), candles(60, closes={40: 98.0}))
    lake.upsert(*series("kraken", timeframe="15m"), candles(60))
    assert cross_check(lake, NOW) == 3
    told = lake.read("events", "crosscheck", "BTC/USDT", "event")
    assert sorted(told.select("bar", "one", "other").rows()) == [
        ("15m", "kraken", "okx"), ("1h", "coinbase", "kraken"), ("1h", "coinbase", "okx"),
    ]  # fmt: skip
    assert {each.stored.kind: each.stored.gaps for each in qualities(lake, NOW)} == {
        "events": None, "ohlcv": 0,
    }  # fmt: skip


# --- retention ----------------------------------------------------------------------------------


def test_days_to_keep_are_of_a_kind(lake: Lake) -> None:
    disagreeing(lake)
    assert list(outdated(lake, {}, NOW)) == []
    assert list(outdated(lake, {"ohlcv": 3, "trades": 1}, NOW)) == [
        (series("coinbase"), NOW - timedelta(days=3)), (series("kraken"), NOW - timedelta(days=3)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        ({"trade": 30}, "there is no kind trade; the nearest is trades"),
        ({"trades": 0}, r"keep_days\.trades is 0; it must be at least one day"),
        ({"ohlcv": -400}, "at least one day"),  # or what is still to come would go
    ],
)
def test_what_cannot_be_meant_is_refused(lake: Lake, keep: dict[str, int], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        list(outdated(lake, keep, NOW))


# --- resampling ---------------------------------------------------------------------------------


def minutes(count: int, first: int = 0) -> pl.DataFrame:
    """A minute's close is its number; high and low are one away."""
    rows = candles(count, MINUTE, {n: float(first + n) for n in range(count)})
    return rows.with_columns(
        pl.col("event_time", "available_at") + first * MINUTE, volume=pl.lit(2.0)
    )


def test_an_hour_is_made_of_its_sixty_minutes() -> None:
    rows = resampled(minutes(180), "1m", "1h")
    assert rows.select(
        "event_time", "open", "high", "low", "close", "volume", "missing", "available_at"
    ).rows() == [
        (at(0), 0.0, 60.0, -1.0, 59.0, 120.0, 0, at(1)),
        (at(1), 60.0, 120.0, 59.0, 119.0, 120.0, 0, at(2)),
        (at(2), 120.0, 180.0, 119.0, 179.0, 120.0, 0, at(3)),
    ]


def test_a_bar_that_the_minutes_do_not_reach_at_either_end_is_left_out() -> None:
    rows = resampled(minutes(169, first=10), "1m", "1h")  # 00:10 .. 02:58
    assert rows["event_time"].to_list() == [at(1)]
    assert resampled(minutes(170, first=10), "1m", "1h")["event_time"].to_list() == [at(1), at(2)]
    assert resampled(minutes(0), "1m", "1h").is_empty()


def test_missing_minutes_are_counted_and_a_missing_hour_stays_a_hole() -> None:
    rows = resampled(without(minutes(240), 59, 61, 62, *range(120, 180)), "1m", "1h")
    assert rows.select("event_time", "close", "volume", "missing").rows() == [
        (at(0), 58.0, 118.0, 1),
        (at(1), 119.0, 116.0, 2),
        (at(3), 239.0, 120.0, 0),
    ]
    assert rows["available_at"].to_list() == [at(1), at(2), at(4)]  # never before its end


def test_a_bar_is_known_once_its_last_minute_was() -> None:
    late = minutes(60).with_columns(
        available_at=pl.when(pl.col("event_time") == at(0.5))
        .then(pl.lit(at(9)).cast(INSTANT))
        .otherwise("available_at")
    )
    assert resampled(late, "1m", "1h")["available_at"].to_list() == [at(9)]


def test_the_recorded_quarters_make_the_recorded_hours_but_at_the_filler() -> None:
    def recorded(step: str) -> pl.DataFrame:
        file = require_data() / f"ohlcv/binance_perp/{step}/BTC_USDT.parquet"
        rows = pl.read_parquet(file, hive_partitioning=False).rename({"timestamp": "event_time"})
        known = pl.col("event_time").cast(INSTANT)
        return rows.with_columns(event_time=known, available_at=known, fetched_at=known)

    made, told = resampled(recorded("15m"), "15m", "1h"), recorded("1h")
    both = made.join(told, on="event_time", how="inner", suffix="_told")
    assert both.height == made.height == 13_128
    off = both.filter((pl.col("close") / pl.col("close_told") - 1).abs() > 1e-9)
    filler = datetime(2024, 10, 28, 20, tzinfo=UTC)
    assert off["event_time"].to_list() == [filler, filler + HOUR]


def test_a_bar_that_is_no_multiple_is_refused() -> None:
    for timeframe, to in (("1h", "15m"), ("45m", "1h"), ("1m", "1M")):
        with pytest.raises(UsageError):
            resampled(minutes(60), timeframe, to)
