"""The sample world: valid candles, market-like noise, and signals of the stated strength."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from workbench.data.checks import checked_candles
from workbench.data.headlines import score
from workbench.data.lake import Lake, SeriesName
from workbench.data.sample import (
    ASSETS,
    FLOW_DRIFT,
    FLOW_HOURS,
    NEWS_DRIFT,
    NEWS_HOURS,
    ODDS_DRIFT,
    ODDS_HOURS,
    PERP_SYMBOLS,
    PERP_VENUE,
    START,
    SYMBOLS,
    Rows,
    sample_world,
    write_sample,
)
from workbench.data.snapshot import carries, load_world

NO_SIGNAL = {"news_drift": 0.0, "flow_drift": 0.0, "odds_drift": 0.0}
SEEDS = (7, 8, 9)


@pytest.fixture(scope="module")
def worlds() -> list[Rows]:
    return [sample_world(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def silent() -> list[Rows]:
    return [sample_world(seed, **NO_SIGNAL) for seed in SEEDS]


def digest(root: Path) -> str:
    whole = hashlib.sha256()
    for file in sorted(p for p in root.rglob("*") if p.is_file()):
        whole.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    return whole.hexdigest()


def closes(world: Rows) -> pd.DataFrame:
    columns = {s: world[SeriesName("ohlcv", "sample", s, "1h")]["close"] for s in SYMBOLS}
    return pd.DataFrame({symbol: close.to_numpy() for symbol, close in columns.items()})


def test_one_seed_is_one_world_to_the_byte(tmp_path: Path, sample_lake: Lake) -> None:
    told: list[tuple[int, int, str]] = []
    rows = write_sample(Lake(tmp_path), progress=lambda *step: told.append(step))
    assert digest(tmp_path) == digest(sample_lake.root)
    assert rows == sum(status.rows for status in sample_lake.status())
    assert told[-1][:2] == (told[0][1], told[0][1])


def test_another_seed_replaces_the_world_and_says_so(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for name, rows in sample_world(7, days=35).items():
        lake.upsert(*name, rows)
    write_sample(lake, seed=8)
    world = load_world(lake, "sample", SYMBOLS)
    assert world.panel.source == "SYNTHETIC sample world, seed 8"
    assert len(world.panel) == 17_520
    ids = set(sample_world(7, days=35)[SeriesName("news", "sample", "ALL", "event")]["id"])
    assert ids.isdisjoint(world.headlines["id"])


def test_candles_pass_the_checks_of_recorded_ones_and_have_no_hole(worlds: list[Rows]) -> None:
    for symbol in SYMBOLS:
        rows = worlds[0][SeriesName("ohlcv", "sample", symbol, "1h")]
        raw = rows.rename({"event_time": "timestamp"}).drop("available_at", "fetched_at", "seed")
        now = pd.Timestamp("2024-01-01", tz="UTC").to_pydatetime()
        checked, dropped = checked_candles(raw, pd.Timedelta(1, unit="h").to_pytimedelta(), now)
        assert (checked.height, dict(dropped)) == (17_520, {})
        assert (rows["volume"] > 0).all()


def test_returns_look_like_a_market(worlds: list[Rows]) -> None:
    returns = np.log(closes(worlds[0])).diff().dropna()
    yearly = returns.std() * math.sqrt(24 * 365)
    assert yearly.between(0.35, 1.3).all()
    assert (returns.kurt() > 3).all(), "fat tails"
    assert all(returns[s].abs().autocorr(24) > 0.05 for s in SYMBOLS), "clustered volatility"
    daily = returns.groupby(np.arange(len(returns)) // 24).sum()
    assert daily.corr().to_numpy()[~np.eye(len(SYMBOLS), dtype=bool)].mean() > 0.4, "one factor"
    crashes = (returns < -0.03).all(axis=1)
    assert crashes.sum() >= 2, "crashes hit all assets at once"


def test_three_to_six_headlines_a_day_on_all_assets(worlds: list[Rows]) -> None:
    news = worlds[0][SeriesName("news", "sample", "ALL", "event")]
    assert 3 <= news.height / 730 <= 6
    assert set(news["asset"]) == set(ASSETS)
    assert news["id"].is_unique().all()


# --- the planted signals ----------------------------------------------------------------------


def later(close: np.ndarray, opens: np.ndarray, hours: int) -> np.ndarray:
    """Log return over the bars that open in the hours after a moment; NaN past the end."""
    price = np.log(np.concatenate([close[:1], close]))  # price[i] is known when bar i opens
    inside = opens + hours < len(price)
    out = np.full(len(opens), np.nan)
    out[inside] = price[opens[inside] + hours] - price[opens[inside]]
    return out


def hour(available: pl.Series) -> np.ndarray:
    since = available.dt.timestamp("us").to_numpy() / 3.6e9 - START.timestamp() / 3600
    return np.ceil(since).astype(int)


def news_pairs(world: Rows) -> tuple[np.ndarray, np.ndarray]:
    news, close = world[SeriesName("news", "sample", "ALL", "event")], closes(world)
    signal, outcome = [], []
    for asset in ASSETS:
        about = news.filter(pl.col("asset") == asset)
        signal.append([score(title) for title in about["title"]])
        outcome.append(
            later(close[f"{asset}/USDT"].to_numpy(), hour(about["available_at"]), NEWS_HOURS)
        )
    return np.concatenate(signal), np.concatenate(outcome)


def flow_pairs(world: Rows) -> tuple[np.ndarray, np.ndarray]:
    close, signal, outcome = closes(world), [], []
    for asset in ASSETS:
        chain = world[SeriesName("onchain", "sample", asset, "1d")]
        net = (chain["FlowInExUSD"] - chain["FlowOutExUSD"]).to_numpy()
        signal.append(net / net.std())
        outcome.append(
            later(close[f"{asset}/USDT"].to_numpy(), hour(chain["available_at"]), FLOW_HOURS)
        )
    return np.concatenate(signal), np.concatenate(outcome)


def odds_pairs(world: Rows) -> tuple[np.ndarray, np.ndarray]:
    trades = world[SeriesName("prediction", "sample", "FOMC", "event")]
    moves = {"down25": -2.5, "noChange": 0.0, "up25": 2.5, "up50": 5.0}
    batches = (
        trades.with_columns(
            batch=pl.int_range(pl.len()) // 4, bps=pl.col("outcome").replace_strict(moves)
        )
        .group_by("batch", maintain_order=True)
        .agg(
            pl.col("meeting").first(),
            pl.col("available_at").max(),
            expected=(pl.col("bps") * pl.col("probability")).sum() / pl.col("probability").sum(),
        )
    )
    same = (batches["meeting"] == batches["meeting"].shift(1)).fill_null(value=False)
    step = batches["expected"].diff().filter(same).to_numpy()
    at = -(-hour(batches["available_at"].filter(same)) // 8) * 8
    returns = np.log(closes(world)).diff().fillna(0.0)
    betas = np.array([ASSETS[s.split("/")[0]].beta for s in SYMBOLS])
    market = np.exp((returns.to_numpy() / betas).mean(axis=1).cumsum())
    return step, later(market, at, ODDS_HOURS)


PLANTED = {
    "news": (news_pairs, NEWS_DRIFT),
    "flows": (flow_pairs, FLOW_DRIFT),
    "odds": (odds_pairs, ODDS_DRIFT),
}


def measured(worlds: list[Rows], name: str) -> tuple[float, float, float]:
    """Information coefficient over some worlds, its standard error, and the return per unit."""
    pairs = [PLANTED[name][0](world) for world in worlds]
    signal, outcome = (np.concatenate(side) for side in zip(*pairs, strict=True))
    kept = np.isfinite(outcome)
    signal, outcome = signal[kept], outcome[kept]
    coefficient = float(np.corrcoef(signal, outcome)[0, 1])
    slope = float(np.cov(signal, outcome)[0, 1] / np.var(signal))
    # overlapping windows and a common factor leave fewer independent outcomes than rows
    return coefficient, 1.5 / math.sqrt(len(signal)), slope


@pytest.mark.parametrize("name", PLANTED)
def test_the_planted_signal_has_its_stated_strength(worlds: list[Rows], name: str) -> None:
    drift = PLANTED[name][1]
    coefficient, error, slope = measured(worlds, name)
    assert 0.02 < abs(coefficient) < 0.25, "weak, and there"
    assert abs(coefficient) > 3 * error
    assert math.copysign(1.0, coefficient) == math.copysign(1.0, drift)
    assert slope == pytest.approx(drift, abs=3 * error * abs(slope / coefficient))


@pytest.mark.parametrize("name", PLANTED)
def test_without_the_drift_there_is_no_signal(silent: list[Rows], name: str) -> None:
    coefficient, error, _ = measured(silent, name)
    assert abs(coefficient) < 3 * error


def test_the_drifts_change_prices_and_nothing_that_is_said(
    worlds: list[Rows], silent: list[Rows]
) -> None:
    for name, rows in worlds[0].items():
        if name.kind in {"news", "prediction"}:
            assert rows.equals(silent[0][name])


# --- the perpetuals ---------------------------------------------------------------------------


def basis(world: Rows, symbol: str) -> np.ndarray:
    """How much dearer the perpetual closes than spot, a fraction."""
    perp = world[SeriesName("ohlcv", PERP_VENUE, symbol, "1h")]["close"].to_numpy()
    return perp / world[SeriesName("ohlcv", "sample", symbol, "1h")]["close"].to_numpy() - 1.0


@pytest.mark.parametrize("symbol", PERP_SYMBOLS)
def test_a_perpetual_follows_spot_and_its_basis_returns_to_what_funding_pays(
    worlds: list[Rows], symbol: str
) -> None:
    for world in worlds:
        off, rates = basis(world, symbol), world[SeriesName("funding", "sample", symbol, "8h")]
        assert np.abs(off).max() < 0.006
        last = rates["funding_rate"].to_numpy()[np.arange(len(off)) // 8]
        noise = off - (last - 1e-4)
        assert np.std(noise) == pytest.approx(3e-4, rel=0.2)
        assert abs(np.mean(noise)) < 5e-5
        assert np.corrcoef(noise[1:], noise[:-1])[0, 1] == pytest.approx(0.9, abs=0.04)
        assert np.polyfit(last, off, 1)[0] == pytest.approx(1.0, abs=0.5)


@pytest.mark.parametrize("symbol", PERP_SYMBOLS)
def test_a_perpetual_tells_nothing_of_the_next_hour(worlds: list[Rows], symbol: str) -> None:
    for world in worlds:
        spot = world[SeriesName("ohlcv", "sample", symbol, "1h")]["close"].to_numpy()
        last = world[SeriesName("funding", "sample", symbol, "8h")]["funding_rate"].to_numpy()
        noise = basis(world, symbol) - last[np.arange(len(spot)) // 8]
        told = np.corrcoef(noise[:-1], np.diff(np.log(spot)))[0, 1]
        assert abs(told) < 4.0 / math.sqrt(len(spot))


def test_perpetuals_are_whole_candles_and_replaced_with_the_world(
    worlds: list[Rows], tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    for name, rows in worlds[0].items():
        if name.venue == PERP_VENUE:
            raw = rows.rename({"event_time": "timestamp"}).drop(
                "available_at", "fetched_at", "seed"
            )
            now = pd.Timestamp("2024-01-01", tz="UTC").to_pydatetime()
            checked, dropped = checked_candles(raw, pd.Timedelta(1, unit="h").to_pytimedelta(), now)
            assert (checked.height, dict(dropped)) == (17_520, {})
            lake.upsert(*name, rows)
    lake.upsert("ohlcv", PERP_VENUE, "SOL/USDT", "1h", rows)
    write_sample(lake, seed=8)
    perps = [name for name in lake.series() if name.venue == PERP_VENUE]
    assert [name.symbol for name in perps] == list(PERP_SYMBOLS)
    assert all(lake.read(*name)["seed"].unique().to_list() == [8] for name in perps)


def test_a_made_up_leg_makes_the_pair_so_and_hears_nothing_recorded(
    sample_lake: Lake, tmp_path: Path
) -> None:
    pairs = carries(sample_lake, "sample", "1h")
    assert pairs == tuple(f"{symbol}~carry" for symbol in PERP_SYMBOLS)
    panel = load_world(sample_lake, "sample", pairs, end="2022-02-28").panel
    assert panel.source == "SYNTHETIC sample world, seed 7"
    assert np.isfinite(panel.context["funding_apr_3"].to_numpy()[24:]).all()
    assert panel.close.iloc[-1].between(95.0, 110.0).all()
    lake = Lake(tmp_path)
    name = SeriesName("ohlcv", PERP_VENUE, "BTC/USDT", "1h")
    lake.upsert(*name, sample_lake.read(*name))
    rates = sample_lake.read("funding", "sample", "BTC/USDT", "8h")
    lake.upsert("funding", "binance", "BTC/USDT", "8h", rates)
    alone = load_world(lake, PERP_VENUE, [], end="2022-01-31").panel
    assert alone.source == "SYNTHETIC sample world, seed 7"
    assert dict(alone.context) == {}
