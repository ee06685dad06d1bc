"""No feed can tell a bar what was not known at its close, whatever arrives later."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tests.data.feeds.cases import Case, all_cases
from tests.data.feeds.loopback import Loopback, line
from workbench.data.feeds.contract import collected
from workbench.data.lake import INSTANT, Lake
from workbench.data.snapshot import World, load_world

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CASES = all_cases()
CLOCKS = ("event_time", "available_at", "fetched_at")
TEXTS = {"title": "Bitcoin hacked, plunges, files for bankruptcy", "direction": "to_exchange"}
# What a world does not read yet: it lies in the lake for research and for strategies to come.
UNREAD = ("glassnode", "dune", "trades", "alfred", "kalshi event", "polymarket event")


def poisoned(rows: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    """Everything known after `moment` made absurd; and what was said before it said again,
    otherwise, a minute after it: late news of old events, and revisions."""
    soon = pl.lit(moment + timedelta(minutes=1)).cast(INSTANT)
    late = rows.filter(pl.col("available_at") > moment)
    again = rows.filter(pl.col("available_at") <= moment).with_columns(available_at=soon)
    planted = rows.head(3).with_columns(event_time=soon, available_at=soon)
    both = pl.concat([late, again, planted])
    numbers = [n for n, dtype in both.schema.items() if dtype == pl.Float64]
    texts = [pl.lit(TEXTS[name]).alias(name) for name in TEXTS if name in both.columns]
    named = [pl.concat_str(pl.lit("again "), "id", pl.int_range(pl.len())).alias("id")]
    return both.with_columns(
        *(pl.col(name).fill_null(1.0) * 1.7 + 0.3 for name in numbers), *texts,
        *(named if "id" in both.columns else []),
    )  # fmt: skip


def bars(first: datetime, last: datetime) -> pl.DataFrame:
    times = pl.datetime_range(first, last, "1h", time_unit="us", time_zone="UTC", eager=True)
    price = pl.Series(100.0 + np.arange(len(times)) % 7)
    known = times.alias("available_at") + HOUR
    return pl.DataFrame({"event_time": times, "available_at": known, "fetched_at": known} | {
        name: price + more
        for name, more in (("open", 0.0), ("high", 2.0), ("low", -2.0), ("close", 1.0),
                           ("volume", 5.0))
    })  # fmt: skip


def world(lake: Lake) -> World:
    return load_world(lake, "binance_spot", ["BTC/USDT"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_comes_later_changes_no_snapshot_before_it(case: Case, tmp_path: Path) -> None:
    with Loopback(case.answer) as server:
        feed = case.feed(server.url)
        at = line(feed.about, case.key)
        rows = collected(feed, case.series, case.start, case.end, at)
        fetched = pl.lit(at.now()).cast(INSTANT).alias("fetched_at")
    rows = rows.with_columns(fetched)
    known = rows["available_at"].sort()
    middle = known[known.len() // 2]
    moment = middle.replace(minute=0, second=0, microsecond=0)
    if moment < known[0]:  # a poll: all of it is known at one moment
        moment += HOUR
    lake = Lake(tmp_path)
    if case.series.kind != "ohlcv":
        lake.upsert("ohlcv", "binance_spot", "BTC/USDT", "1h", bars(moment - 2 * DAY, moment + DAY))
    else:
        rows = rows.filter(pl.col("event_time").is_between(moment - 2 * DAY, moment + DAY))
    lake.upsert(*case.series, rows)
    before = world(lake)
    bad = poisoned(rows, moment)
    if case.series.kind == "ohlcv":  # a bar of the past comes late, and those to come are others
        absurd = [pl.col(name) * 1.7 for name in ("open", "high", "low", "close")]
        bad = rows.filter(pl.col("available_at") > moment).with_columns(absurd)
    lake.upsert(*case.series, bad.with_columns(fetched_at=fetched + DAY))
    after = world(lake)

    closes = before.panel.close_times
    told = int((closes <= pd.Timestamp(moment)).sum())
    assert told > 24
    same(before, after, told)
    read = not case.name.startswith(UNREAD) and case.series.symbol in READ_SYMBOLS
    assert differs(before, after) == read, "the poison did not reach the world, or is read now"


READ_SYMBOLS = {
    "BTC/USDT", "BTC", "VIX", "DXY_SYNTHETIC", "DFF", "FNG", "FOMC", "ALL", "STABLECOINS",
}  # fmt: skip


def same(before: World, after: World, told: int) -> None:
    for name, series in after.panel.context.items():
        later = series.to_numpy()[:told]
        if name in before.panel.context:
            np.testing.assert_array_equal(before.panel.context[name].to_numpy()[:told], later)
        else:
            assert np.isnan(later).all(), name
    for name in ("open", "high", "low", "close", "volume"):
        pair = [getattr(each.panel, name).to_numpy()[:told] for each in (before, after)]
        np.testing.assert_array_equal(*pair)
    for t in range(told):
        a, b = before.snapshot(t, 3), after.snapshot(t, 3)
        assert (a.headlines, a.odds, a.flows, a.macro) == (b.headlines, b.odds, b.flows, b.macro)
        assert (a.staleness, a.missing) == (b.staleness, b.missing)


def differs(before: World, after: World) -> bool:
    if not before.panel.close.equals(after.panel.close):
        return True
    pairs = ((before.snapshot(t, 3), after.snapshot(t, 3)) for t in range(len(before.panel)))
    return any(
        (a.headlines, a.odds, a.flows, a.macro) != (b.headlines, b.odds, b.flows, b.macro)
        for a, b in pairs
    )


def test_a_bar_that_was_told_too_late_to_trade_stays_a_hole(tmp_path: Path) -> None:
    lake, start = Lake(tmp_path), datetime.fromisoformat("2026-11-01T00:00:00+00:00")
    told = bars(start, start + DAY)
    late = pl.col("event_time") == start + 5 * HOUR
    held_back = pl.when(late).then(pl.col("available_at") + DAY).otherwise("available_at")
    lake.upsert(
        "ohlcv", "binance_spot", "BTC/USDT", "1h", told.with_columns(available_at=held_back)
    )
    closes = world(lake).panel.close["BTC/USDT"].to_numpy()
    assert np.flatnonzero(np.isnan(closes)).tolist() == [5]
