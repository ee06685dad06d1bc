"""A world loaded from the lake, and what it says was known at a bar."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from workbench.data.context import FEEDS, STALE_HOURS, stale
from workbench.data.lake import Lake
from workbench.data.sample import SYMBOLS
from workbench.data.snapshot import World, load_world
from workbench.domain import DataError, UsageError

PAIR = ["BTC/USDT", "ETH/USDT"]
FRAMES = {"funding", "funding_apr", "funding_apr_3", "netflow", "mvrv", "sentiment"}
SERIES = {"fear_greed", "dxy", "vix", "fed_funds", "fed_expected_bps", "fed_meeting_hours"}


@pytest.fixture(scope="module")
def world(sample_lake: Lake) -> World:
    return load_world(sample_lake, "sample", SYMBOLS, start="2022-06-01", end="2022-08-31")


def test_a_world_lies_on_one_grid_with_all_its_context(world: World) -> None:
    panel = world.panel
    assert panel.symbols == SYMBOLS
    assert len(panel) == 92 * 24
    assert panel.source == "SYNTHETIC sample world, seed 7"
    assert panel.synthetic
    assert set(panel.context) == FRAMES | SERIES
    for name in FRAMES:
        assert list(panel.context[name].columns) == list(SYMBOLS)
    assert all(np.isfinite(series.to_numpy()).all() for series in panel.context.values())
    assert world.ages.index.equals(panel.index)
    assert "candles" in world.ages
    assert world.start == 0


def test_the_context_of_a_bar_is_what_was_known_at_its_close(
    world: World, sample_lake: Lake
) -> None:
    for name, kind, symbol, column in (
        ("vix", "macro", "VIX", "close"),
        ("fear_greed", "sentiment", "FNG", "value"),
    ):
        timeframe = "1b" if kind == "macro" else "1d"
        rows = sample_lake.read(kind, "sample", symbol, timeframe)
        for t in (0, 500, 1500):
            close = world.panel.close_times[t].to_pydatetime()
            told = rows.filter(pl.col("available_at") <= close).sort("event_time")
            assert world.panel.context[name].iloc[t] == told[column][-1]


def test_a_snapshot_shows_the_last_day_newest_first(world: World) -> None:
    t = 1000
    snapshot = world.snapshot(t, bars=200)
    assert snapshot.as_of == world.panel.close_times[t]
    assert len(snapshot.panel) == 200
    assert snapshot.panel.close_times[-1] == snapshot.as_of
    ages = [snapshot.as_of - headline.available_at for headline in snapshot.headlines]
    assert 0 < len(ages) <= 20
    assert ages == sorted(ages)
    assert pd.Timedelta(0) <= ages[0]
    assert ages[-1] < pd.Timedelta(1, unit="D")
    assert {h.symbol for h in snapshot.headlines} <= set(SYMBOLS)
    assert sum(snapshot.odds.values()) == pytest.approx(1.02, abs=0.06)
    assert snapshot.flows["funding BTC/USDT"] == world.panel.context["funding"].iloc[t]["BTC/USDT"]
    assert set(snapshot.macro) == SERIES - {"fed_meeting_hours"}
    assert snapshot.staleness["candles"] == 0.0
    assert all(0.0 <= hours < 120.0 for hours in snapshot.staleness.values())


def test_a_snapshot_near_the_start_has_the_bars_there_are(world: World) -> None:
    assert len(world.snapshot(2, bars=200).panel) == 3
    for t in (-1, len(world.panel)):
        with pytest.raises(UsageError, match="is not in the world"):
            world.snapshot(t, bars=1)


@pytest.mark.parametrize("end", ["2022-06-30", date(2022, 6, 30), "2022-06-30T23:00:00Z"])
def test_an_end_day_is_the_whole_day(sample_lake: Lake, end: str | date) -> None:
    panel = load_world(sample_lake, "sample", PAIR, start="2022-06-30", end=end).panel
    assert len(panel) == 24
    assert panel.index[0] == pd.Timestamp("2022-06-30", tz="UTC")


def test_warm_up_bars_come_before_the_start_where_there_is_data(sample_lake: Lake) -> None:
    world = load_world(
        sample_lake, "sample", PAIR, start="2022-01-03", end="2022-01-04", warmup_bars=100
    )
    assert world.panel.index[0] == pd.Timestamp("2022-01-01", tz="UTC")
    assert world.start == 48
    later = load_world(
        sample_lake, "sample", PAIR, start="2022-03-03", end="2022-03-04", warmup_bars=100
    )
    assert (later.start, len(later.panel)) == (100, 148)


def test_the_same_bar_says_the_same_whatever_range_was_loaded(
    world: World, sample_lake: Lake
) -> None:
    short = load_world(sample_lake, "sample", SYMBOLS, start="2022-07-10", end="2022-07-12")
    offset = int(world.panel.index.get_loc(short.panel.index[0]))
    for name, series in short.panel.context.items():
        whole = world.panel.context[name].iloc[offset : offset + len(short.panel)]
        np.testing.assert_array_equal(series.to_numpy(), whole.to_numpy(), err_msg=name)
    for t in (0, 30, 71):
        a, b = short.snapshot(t, 1), world.snapshot(offset + t, 1)
        assert (a.headlines, a.odds, a.flows, a.macro) == (b.headlines, b.odds, b.flows, b.macro)
        assert a.staleness == b.staleness


def test_no_symbols_means_all(sample_lake: Lake) -> None:
    panel = load_world(sample_lake, "sample", (), start="2022-06-30", end="2022-06-30").panel
    assert panel.symbols == SYMBOLS


WRONG = {
    "symbol": ({"symbols": ["BTC/USD"]}, "no 1h candles of BTC/USD; the nearest is BTC/USDT"),
    "text": ({"symbols": "BTC/USDT"}, "give a list"),
    "twice": ({"symbols": ["BTC/USDT", "BTC/USDT"]}, "BTC/USDT is asked for twice"),
    "start after end": ({"start": "2022-06-02", "end": "2022-06-01"}, "start .* is after end"),
    "too late": ({"start": "2030-01-01"}, "no candle from .*it has 2022-01-01 00:00 to 2023-12-31"),
    "too early": ({"end": "2001-01-01"}, "no candle from its start to 2001-01-01"),
    "no time": ({"start": "someday"}, "start 'someday' is not a time"),
    "timeframe": ({"timeframe": "hourly"}, "timeframe 'hourly' is not one"),
}


@pytest.mark.parametrize(("asked", "said"), WRONG.values(), ids=WRONG)
def test_impossible_wishes_are_answered_in_a_sentence(
    sample_lake: Lake, asked: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        load_world(sample_lake, "sample", **({"symbols": PAIR} | asked))


def test_a_venue_or_timeframe_that_is_not_there(sample_lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no 4h candles of sample; it has candles of sample 1h"):
        load_world(sample_lake, "sample", PAIR, timeframe="4h")
    with pytest.raises(DataError, match="it has no candles at all"):
        load_world(Lake(tmp_path / "none"), "binance_spot", PAIR)


def candles(hours: list[int]) -> pl.DataFrame:
    opens = [datetime(2024, 1, 1 + h // 24, h % 24, tzinfo=UTC) for h in hours]
    values = {name: [float(h + 1) for h in hours] for name in ("open", "high", "low", "close")}
    times = pl.Series(opens, dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame(
        {"event_time": times, "available_at": times.dt.offset_by("1h"), "fetched_at": times}
        | values | {"volume": [1.0] * len(hours)}
    )  # fmt: skip


def test_a_missing_bar_is_a_row_of_nan_and_silence_is_counted(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.upsert("ohlcv", "kraken", "BTC/USDT", "1h", candles([0, 1, 4, 5]))
    lake.upsert("ohlcv", "kraken", "ETH/USDT", "1h", candles([1, 2, 4]))
    world = load_world(lake, "kraken", PAIR)
    assert len(world.panel) == 6
    assert world.panel.source == "kraken 1h, recorded"
    close = world.panel.close.to_numpy()
    nan = math.nan
    np.testing.assert_array_equal(close[:, 0], [1, 2, nan, nan, 5, 6])
    np.testing.assert_array_equal(close[:, 1], [nan, 2, 3, nan, 5, nan])
    assert world.ages["candles"].tolist() == [0, 0, 0, 1, 0, 0]
    assert dict(world.panel.context) == {}
    snapshot = world.snapshot(3, bars=10)
    assert (snapshot.headlines, snapshot.odds, snapshot.flows, snapshot.macro) == ((), {}, {}, {})
    assert snapshot.staleness["headlines"] == math.inf
    assert snapshot.missing == tuple(sorted(FEEDS))


def test_worlds_never_mix(sample_lake: Lake, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for name in sample_lake.series():
        if name.kind != "ohlcv":
            lake.upsert(*name, sample_lake.read(*name))
    lake.upsert("ohlcv", "binance_spot", "BTC/USDT", "1h", candles([0, 1, 2]))
    recorded = load_world(lake, "binance_spot", ["BTC/USDT"])
    assert dict(recorded.panel.context) == {}
    assert not recorded.panel.synthetic
    assert recorded.headlines.empty
    assert recorded.odds.empty


@pytest.mark.parametrize("feed", [*STALE_HOURS, "a feed nobody has heard of"])
def test_a_feed_is_stale_once_it_is_silent_for_too_long(feed: str) -> None:
    hours = STALE_HOURS.get(feed, 72.0)
    assert not stale(feed, hours)
    for late in (hours + 0.01, math.inf, math.nan):
        assert stale(feed, late)
