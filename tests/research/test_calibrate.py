"""Every vote taken alone teaches the votes after its close; the file holds for one desk only."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from workbench.calibration import unknown, wilson
from workbench.cli.calibrate import calibrate as command
from workbench.data.lake import Lake
from workbench.data.snapshot import World
from workbench.desk import Desk, Source
from workbench.domain import Costs, DataError, Limits, Panel, Regime, UsageError, Votes
from workbench.research.calibrate import (
    Calibrated,
    breakeven,
    calibrate,
    read_calibration,
    uncalibrated,
    write_calibration,
)
from workbench.risk.sizing import edge
from workbench.strategies.vote import strategy

X = "X/USDT"
ANY = {"trending", "ranging", "high_vol"}
FREE = Costs(half_spread=0.0, impact=0.0, taker_fee=0.0, maker_fee=0.0)
SLOT = 6  # bars from one vote of the planted world to the next
QUIET = (100.0, 100.0, 100.0, 100.0)
RISE = [QUIET, (100.0, 106.0, 100.0, 106.0), (106.0, 106.0, 100.0, 100.0), QUIET, QUIET, QUIET]
FALL = [QUIET, (100.0, 100.0, 97.0, 97.0), (97.0, 100.0, 97.0, 100.0), QUIET, QUIET, QUIET]


@strategy(category="trend", regimes=ANY, lookback=1)
def knowing(panel: Panel) -> Votes:
    """Votes where it is told to, as sure as it is told to be."""
    told = panel.context["told"].to_numpy()
    return Votes.of(panel, told > 0, told < 0, np.abs(told))


@strategy(category="reversion", regimes=ANY, lookback=1)
def blind(panel: Panel) -> Votes:
    """Votes at the same bars with a score that has nothing to do with them."""
    told = panel.context["told"].to_numpy()
    hours = np.asarray(panel.bar_numbers)[:, None] * 7919 % 200
    return Votes.of(panel, told > 0, told < 0, 50.0 + hours / 10.0)


@strategy(category="event", regimes=ANY, lookback=1)
def rare(panel: Panel) -> Votes:
    """One vote in fifty of the others'."""
    told = np.where(np.asarray(panel.bar_numbers)[:, None] % (50 * SLOT) == 0, 1, 0)
    return Votes.of(panel, told * panel.context["told"].to_numpy() > 0, told < 0, told * 60.0)


@strategy(category="event", regimes=ANY, lookback=1)
def peeking(panel: Panel) -> Votes:
    """Votes where the next bar rises: it is shown that bar only in hindsight."""
    ahead = panel.close.shift(-1).to_numpy() > panel.close.to_numpy()
    return Votes.of(panel, ahead, ahead & False, 60.0)


@dataclass(frozen=True)
class Planted:
    """A world in which the chance of every vote is known."""

    world: World
    chance: np.ndarray
    won: np.ndarray


def world_of(
    bars: np.ndarray, told: np.ndarray, regime: Any = Regime.TRENDING, symbol: str = X
) -> World:
    """Bars (t, 4) of one symbol from the day that bar numbers are whole slots on."""
    first = pd.Timestamp(0, tz="UTC") + 75_000 * SLOT * pd.Timedelta(hours=1)
    index = pd.date_range(first, periods=len(bars), freq="1h")
    frames = {
        name: pd.DataFrame({symbol: bars[:, k]}, index)
        for k, name in enumerate(("open", "high", "low", "close"))
    }
    panel = Panel.from_frames(
        **frames,
        volume=pd.DataFrame({symbol: np.full(len(bars), 1e6)}, index),
        source="binance_spot 1h, recorded",
    ).with_context(
        told=pd.DataFrame({symbol: told}, index),
        regime=pd.DataFrame({symbol: np.broadcast_to(regime, len(bars)).astype(float)}, index),
        risk_on=pd.Series(1.0, index),
    )
    none = pd.DataFrame()
    return World(panel, none, none, none)


def planted(n: int = 3_000, seed: int = 1) -> Planted:
    """A vote at the first bar of each slot; its chance is logistic in its score of 50..70."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(50.0, 70.0, n)
    chance = 1.0 / (1.0 + np.exp(-0.15 * (score - 65.0)))
    won = rng.random(n) < chance
    bars = np.array([bar for win in won for bar in (RISE if win else FALL)])
    told = np.zeros(len(bars))
    told[::SLOT] = score
    return Planted(world_of(bars, told), chance, won)


def desk_of(*strategies: Any, venue: str = "binance_spot", **changed: Any) -> Desk:
    chosen = strategies or (knowing, blind, rare)
    source = Source(Path("nowhere"), venue, (X,))
    return Desk(**{"strategies": chosen, "source": source, "costs": FREE} | changed)


@pytest.fixture(scope="module")
def truth() -> Planted:
    return planted()


@pytest.fixture(scope="module")
def found(truth: Planted) -> Calibrated:
    return calibrate(desk_of(), truth.world)


def of(found: Calibrated, name: str) -> pd.DataFrame:
    return found.outcomes[found.outcomes["strategy"] == name]


# --- the outcomes --------------------------------------------------------------------------------


def test_every_vote_has_the_outcome_that_was_planted(truth: Planted, found: Calibrated) -> None:
    """Bought at the open after the vote; the exit's bar closes two or three hours after it."""
    own = of(found, "knowing")
    np.testing.assert_array_equal(own["won"], truth.won)
    np.testing.assert_array_equal(own["t"], np.arange(len(truth.won)) * SLOT)
    later = (own["closed"] - own["voted"]) / pd.Timedelta("1h")
    np.testing.assert_array_equal(later, np.where(truth.won, 2.0, 1.0))
    rise = (0.03 + 0.06) / 2.0 - 0.015 * 1.06 / 2.0  # half at 103, half trailed out below 106
    np.testing.assert_allclose(own["return"], np.where(truth.won, rise, -0.02), rtol=1e-9)
    assert (own["voted"] == truth.world.panel.close_times[own["t"]]).all()


def test_the_summary_counts_them(truth: Planted, found: Calibrated) -> None:
    row, n, wins = found.summary.loc["knowing"], len(truth.won), int(truth.won.sum())
    assert (row["n"], row["wins"], row["hit rate"]) == (n, wins, wins / n)
    assert (row["low"], row["high"]) == wilson(wins, n)
    assert row["days"] == n * SLOT / 24 == 750
    assert row["break-even"] == pytest.approx(0.4, abs=1e-12)
    assert (row["curve"], row["curve n"]) == ("isotonic", n)
    rare_row = found.summary.loc["rare"]
    assert (rare_row["n"], rare_row["curve"]) == (60, "UNCALIBRATED")
    assert rare_row["scored"] == 0
    assert math.isnan(rare_row["brier curve"])


def test_break_even_is_where_the_gate_sees_no_edge() -> None:
    for limits, costs in ((Limits(), Costs()), (Limits(stop=0.01, take_profit=0.05), FREE)):
        p = breakeven(limits, costs)
        assert edge(100.0 * p - 0.01, limits, costs) == 0.0
        assert edge(100.0 * p + 0.01, limits, costs) > 0.0
    assert breakeven(Limits(take_profit=0.001), Costs()) == 1.0


def test_a_vote_outside_its_regime_and_a_short_without_leave_teach_nothing() -> None:
    bars, told = np.array(FALL * 40), np.zeros(40 * SLOT)
    told[:: 2 * SLOT], told[SLOT :: 2 * SLOT] = 60.0, -60.0
    codes = np.where(np.arange(40 * SLOT) < 20 * SLOT, Regime.TRENDING, Regime.UNKNOWN)
    world = world_of(bars, told, codes)
    longs = calibrate(desk_of(knowing), world).outcomes
    assert (longs["side"].tolist(), len(longs)) == ([1] * 10, 10)
    both = calibrate(desk_of(knowing, limits=Limits(allow_short=True)), world).outcomes
    assert sorted(both["side"]) == [-1] * 10 + [1] * 10
    assert (both["won"] == (both["side"] < 0)).all()


def test_history_before_the_start_and_trades_still_open_teach_nothing() -> None:
    bars, told = np.array([*(FALL * 5), *([QUIET] * SLOT)]), np.zeros(6 * SLOT)
    told[::SLOT] = 60.0
    world = replace(world_of(bars, told), start=SLOT)
    assert calibrate(desk_of(knowing), world).outcomes["t"].tolist() == [6, 12, 18, 24]


def test_who_never_votes_has_a_row_of_nothing() -> None:
    @strategy(category="trend", regimes=ANY, lookback=1)
    def silent(panel: Panel) -> Votes:
        return Votes.none(panel)

    bars, told = np.array(FALL * 3), np.zeros(3 * SLOT)
    told[::SLOT] = 60.0
    found = calibrate(desk_of(knowing, silent), world_of(bars, told))
    row = found.summary.loc["silent"]
    assert (row["n"], row["days"], row["curve n"], row["curve"]) == (0, 0, 0, "UNCALIBRATED")
    assert row[["hit rate", "mean return", "brier score"]].isna().all()
    assert found.calibrations["silent"] == unknown(breakeven(Limits(), FREE))
    assert uncalibrated(found.desk(desk_of(knowing, silent))) == ("knowing", "silent")
    assert found.outcomes["strategy"].tolist() == ["knowing"] * 3


def test_a_strategys_own_exit_ends_its_outcomes() -> None:
    @strategy(category="trend", regimes=ANY, lookback=1, trades="carry")
    def leaving(panel: Panel) -> Votes:
        told = panel.context["told"].to_numpy()
        return Votes.of(panel, told == 1.0, told < 0, 60.0, exit=told == 2.0)

    bars = np.array([QUIET, QUIET, (100.0, 101.0, 100.0, 101.0), (101.0,) * 4, QUIET, QUIET])
    told = np.array([1.0, 0.0, 2.0, 0.0, 0.0, 0.0])
    world = world_of(bars, told, symbol="X/USDT~carry")
    own = calibrate(desk_of(leaving), world).outcomes.iloc[0]
    assert (own["reason"], own["won"]) == ("exit", True)
    assert own["return"] == pytest.approx(0.01)
    assert own["closed"] == world.panel.close_times[3]


def test_who_peeks_is_left_out_and_named(truth: Planted) -> None:
    found = calibrate(desk_of(knowing, peeking), truth.world)
    assert list(found.calibrations) == ["knowing"]
    assert "looks ahead" in found.disabled["peeking"]
    assert set(found.outcomes["strategy"]) == {"knowing"}


# --- the chances ---------------------------------------------------------------------------------


def test_the_planted_chance_is_found_out_of_sample(truth: Planted, found: Calibrated) -> None:
    """Once there are enough outcomes; the raw score is far off and pays for it."""
    own = of(found, "knowing")
    known = own["known"].to_numpy() >= 200
    assert known.mean() > 0.8
    error = own["p"].to_numpy()[known] - truth.chance[known]
    raw = own["score"].to_numpy()[known] / 100.0 - truth.chance[known]
    assert np.sqrt(np.mean(error**2)) < 0.06
    assert np.sqrt(np.mean(raw**2)) > 0.2
    row = found.summary.loc["knowing"]
    assert row["brier curve"] < row["brier constant"] < row["brier score"]
    assert row["log loss curve"] < row["log loss constant"] < row["log loss score"]


def test_who_knows_nothing_gets_the_base_rate_and_not_its_score(
    truth: Planted, found: Calibrated
) -> None:
    own = of(found, "blind")
    late = own["known"] >= 1_000
    assert abs(own["p"][late].mean() - truth.won.mean()) < 0.03
    row = found.summary.loc["blind"]
    assert row["brier curve"] == pytest.approx(row["brier constant"], abs=0.006)
    assert row["brier score"] > row["brier constant"] + 0.03


def test_a_chance_is_unknown_until_there_are_enough_outcomes(found: Calibrated) -> None:
    own = of(found, "knowing")
    first = own[own["known"] == 0]
    assert len(first) >= 120
    assert first["p"].isna().all()
    assert own["known"].is_monotonic_increasing
    assert own["p"][own["known"] > 0].notna().all()
    assert of(found, "rare")["p"].isna().all()


def test_later_bars_change_no_earlier_chance(truth: Planted, found: Calibrated) -> None:
    """Poison: all of the slots after a moment are turned over."""
    turned = len(truth.won) // 2
    won = np.concatenate([truth.won[:turned], ~truth.won[turned:]])
    bars = np.array([bar for win in won for bar in (RISE if win else FALL)])
    told = truth.world.panel.context["told"].to_numpy()[:, 0]
    other = calibrate(desk_of(), world_of(bars, told)).outcomes
    clean, rows = found.outcomes, found.outcomes["t"] <= turned * SLOT
    pd.testing.assert_series_equal(other["p"][rows], clean["p"][rows])
    assert not other["p"][~rows].equals(clean["p"][~rows])


def test_the_calibrated_desk_votes_with_these_chances(truth: Planted, found: Calibrated) -> None:
    """And its votes say how many outcomes they stand on."""
    desk = found.desk(desk_of())
    own, panel = of(found, "knowing"), truth.world.panel
    votes = desk.strategies[0].votes(panel)
    sure = votes.confidence.to_numpy()[own["t"], 0]
    calibrated = own["known"].to_numpy() > 0
    np.testing.assert_allclose(sure[calibrated], 100.0 * own["p"][calibrated], rtol=1e-12)
    assert (sure[~calibrated] <= own["score"][~calibrated]).all()
    said = desk.strategies[0].told(panel, votes)
    assert [said[t][0].outcomes for t in own["t"]] == own["known"].tolist()
    assert uncalibrated(desk) == ("rare",)
    assert uncalibrated(desk_of()) == ("knowing", "blind", "rare")


# --- the file ------------------------------------------------------------------------------------


@pytest.fixture
def file(found: Calibrated, tmp_path: Path) -> Path:
    path = tmp_path / "var" / "calibration.json"
    write_calibration(path, found)
    return path


def test_the_file_gives_the_desk_the_same_curves(file: Path, found: Calibrated) -> None:
    desk = read_calibration(file, desk_of())
    assert {s.name: s.calibration for s in desk.strategies} == found.calibrations
    assert list(file.parent.iterdir()) == [file]


def test_a_strategy_that_is_not_in_the_file_stays_uncalibrated(file: Path) -> None:
    desk = read_calibration(file, desk_of(knowing, peeking))
    assert uncalibrated(desk) == ("peeking",)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"limits": Limits(stop=0.01)}, "limits.stop 0.02, and the desk has 0.01"),
        ({"costs": FREE._replace(taker_fee=0.001)}, "costs.taker_fee 0.0, and the desk has 0.001"),
        (
            {"strategies": (knowing.having(fast=3),)},
            "knowing.parameters {}, and the desk has {'fast': 3}",
        ),
        ({"strategies": (replace(knowing, lookback=9),)}, "knowing.lookback 1, and the desk has 9"),
        ({"strategies": (replace(knowing, regimes=frozenset({"trending"})),)}, "knowing.regimes"),
        (
            {"strategies": (replace(knowing, trades="carry"),)},
            "knowing.trades 'spot', and the desk has 'carry'",
        ),
        ({"strategies": (replace(knowing, holds_risk_off=True),)}, "knowing.holds_risk_off False"),
        ({"strategies": (replace(knowing, from_text=True),)}, "knowing.from_text False"),
        (
            {"source": Source(Path("nowhere"), "binance_spot", (X,), "4h")},
            "bars.timeframe_s 3600.0, and the desk has 14400.0",
        ),
        ({"source": Source(Path("nowhere"), "sample", (X,))}, "this desk's data is made up"),
        (
            {"source": Source(Path("nowhere"), "kraken", (X,))},
            "on binance_spot 1h, recorded, and this desk's data is recorded at kraken; run",
        ),
        ({"source": Source(Path("nowhere"), "binance", (X,))}, "recorded at binance; run"),
    ],
)
def test_a_file_for_another_desk_is_refused(file: Path, changed: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_calibration(file, replace(desk_of(), **changed))


def test_curves_of_a_made_up_world_are_not_for_a_recorded_one(
    file: Path, found: Calibrated, tmp_path: Path
) -> None:
    made_up = replace(found, fitted_for={**found.fitted_for, "source": "SYNTHETIC world, seed 7"})
    assert made_up.synthetic
    path = tmp_path / "made_up.json"
    write_calibration(path, made_up)
    for venue in ("sample", "sample_perp"):
        assert read_calibration(path, desk_of(venue=venue)).strategies[0].calibration is not None
    with pytest.raises(
        UsageError, match="SYNTHETIC world, seed 7, and this desk's data is recorded"
    ):
        read_calibration(path, desk_of())


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.update(colour="red"), "colour"),
        (lambda f: f.pop("limits"), "limits"),
        (lambda f: f["strategies"]["knowing"].pop("curves"), "strategies.knowing.curves"),
        (lambda f: f["strategies"]["knowing"]["curves"].clear(), "knowing: .*calibrate again"),
        (lambda f: f["strategies"]["knowing"].pop("trades"), "knowing.trades: .*calibrate again"),
        (lambda f: f["strategies"]["knowing"]["curves"].reverse(), "stands after"),
        (lambda f: f["strategies"]["knowing"]["curves"][0].update(wins=10**9), "cannot have won"),
        (lambda f: f["strategies"]["knowing"]["curves"][0].update(n=math.nan), "knowing.0.n"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused(file: Path, change: Change, says: str) -> None:
    plain = json.loads(file.read_text())
    change(plain)
    file.write_text(json.dumps(plain))
    with pytest.raises(DataError, match=says):
        read_calibration(file, desk_of())


def test_a_file_without_a_strategy_calibrates_nobody(file: Path) -> None:
    plain = json.loads(file.read_text())
    file.write_text(json.dumps(plain | {"strategies": {}}))
    assert uncalibrated(read_calibration(file, desk_of())) == ("knowing", "blind", "rare")


def test_no_file_and_half_a_file_are_refused(file: Path) -> None:
    file.write_text(file.read_text()[:500])
    with pytest.raises(DataError, match="is no calibration"):
        read_calibration(file, desk_of())
    file.unlink()
    with pytest.raises(UsageError, match="workbench calibrate --out"):
        read_calibration(file, desk_of())


# --- the command ---------------------------------------------------------------------------------


def test_the_command_keeps_the_curves_and_says_who_has_none(
    sample_lake: Lake, tmp_path: Path
) -> None:
    config = tmp_path / "desk.toml"
    config.write_text(
        f'[desk]\nstrategies = ["ema_adx", "rsi_bounce"]\n[data]\nlake = "{sample_lake.root}"\n'
        'venue = "sample"\nsymbols = ["BTC/USDT", "ETH/USDT"]\n'
    )
    app, out = typer.Typer(), tmp_path / "kept.json"
    app.command()(command)
    words = ["--config", str(config), "--out", str(out), "--end", "2023-03-31"]
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert told["source"].startswith("SYNTHETIC")
    assert set(told["strategies"]) == {"ema_adx", "rsi_bounce"}
    assert set(told["uncalibrated"]) <= {"ema_adx", "rsi_bounce"}
    assert json.loads(out.read_text())["source"] == told["source"]
    said = CliRunner().invoke(app, words).stdout
    assert told["source"] in said
    assert "UNCALIBRATED, its own score and no probability: " in said
    assert str(out) in said
