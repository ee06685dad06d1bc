"""No feed can tell a bar what was not known at its close: the future is poisoned, feed by feed."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from workbench.data.lake import Lake, SeriesName
from workbench.data.sample import SYMBOLS, sample_world
from workbench.data.snapshot import World, load_world

DAYS = 40
NOW = datetime(2022, 1, 25, 13, tzinfo=UTC)
FEEDS = {
    "candles": ("ohlcv", "BTC/USDT", ["open", "high", "low", "close", "volume"]),
    "funding": ("funding", "BTC/USDT", ["funding_rate"]),
    "onchain": ("onchain", "BTC", ["FlowInExUSD", "CapMVRVCur"]),
    "vix": ("macro", "VIX", ["close"]),
    "dxy": ("macro", "DXY", ["close"]),
    "fed_funds": ("macro", "DFF", ["value"]),
    "fear_greed": ("sentiment", "FNG", ["value"]),
    "odds": ("prediction", "FOMC", ["probability"]),
    "news": ("news", "ALL", []),
}


def load(root: Path) -> World:
    return load_world(Lake(root), "sample", SYMBOLS)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    root = tmp_path_factory.mktemp("clean")
    for name, rows in sample_world(days=DAYS).items():
        Lake(root).upsert(*name, rows)
    return root, load(root)


def poisoned(rows: pl.DataFrame, columns: list[str], kind: str) -> pl.DataFrame:
    """The rows that become known after NOW, made absurd, and old events told anew after NOW."""
    late = rows.filter(pl.col("available_at") > NOW)
    soon = NOW + timedelta(minutes=1)
    again = rows.filter(pl.col("available_at") <= NOW).tail(40)
    if kind == "ohlcv":
        again = (
            again.clear()
        )  # a bar's own candle is known at its close; only later ones may change
    again = again.with_columns(available_at=pl.lit(soon).cast(pl.Datetime("us", "UTC")))
    if kind == "news":
        again = again.with_columns(id=pl.concat_str(pl.lit("again "), "id"))
        absurd = pl.lit("Bitcoin Ethereum hacked, plunges, files for bankruptcy").alias("title")
        return pl.concat([late, again]).with_columns(absurd)
    if kind == "prediction":
        again = again.with_columns(seq=pl.col("seq") + 7)
    else:
        # an event told twice is a revision: it replaces the row, so it is told of a new event
        again = again.with_columns(event_time=pl.col("event_time") + timedelta(seconds=1))
    both = pl.concat([late, again])
    return both.with_columns((pl.col(column) * 1.7 + 0.3).alias(column) for column in columns)


@pytest.mark.parametrize("feed", FEEDS)
def test_a_poisoned_future_changes_nothing_before_it(
    clean: tuple[Path, World], feed: str, tmp_path: Path
) -> None:
    source, before = clean
    root = tmp_path / "lake"
    shutil.copytree(source, root)
    kind, symbol, columns = FEEDS[feed]
    lake = Lake(root)
    named = [n for n in lake.series() if (n.kind, n.symbol) == (kind, symbol)]
    (name,) = [n for n in named if n.venue == "sample"]
    fetched = pl.lit(datetime(2030, 1, 1, tzinfo=UTC)).cast(pl.Datetime("us", "UTC"))
    bad = poisoned(lake.read(*name), columns, kind).with_columns(fetched_at=fetched)
    assert lake.upsert(*SeriesName(*name), bad) > 0
    after = load(root)
    known = int((before.panel.close_times <= pd.Timestamp(NOW)).sum())
    assert_same_until(before, after, known)
    assert differs(before, after), "the poison did not reach the world at all"


def assert_same_until(before: World, after: World, known: int) -> None:
    assert set(after.panel.context) == set(before.panel.context)
    prices = {n: getattr(before.panel, n) for n in ("open", "high", "low", "close", "volume")}
    for name, frame in prices.items():
        np.testing.assert_array_equal(frame[:known], getattr(after.panel, name)[:known])
    for name, series in before.panel.context.items():
        np.testing.assert_array_equal(
            series.to_numpy()[:known], after.panel.context[name].to_numpy()[:known], err_msg=name
        )
    np.testing.assert_array_equal(before.ages[:known], after.ages[:known])
    for t in range(0, known, 7):
        a, b = before.snapshot(t, 5), after.snapshot(t, 5)
        assert (a.headlines, a.odds, a.flows, a.macro) == (b.headlines, b.odds, b.flows, b.macro)
        assert a.staleness == b.staleness


def differs(before: World, after: World) -> bool:
    if not before.panel.close.equals(after.panel.close):
        return True
    pairs = [(s, after.panel.context[name]) for name, s in before.panel.context.items()]
    return any(not a.equals(b) for a, b in pairs)
