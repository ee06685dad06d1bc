"""desk.toml to Desk: what is wrong is said with the file, the key and the nearest valid one."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pandas as pd
import pytest

from tests.strategies import random_panel
from workbench.data.lake import Lake
from workbench.data.snapshot import World
from workbench.desk import Desk, Source, load_desk
from workbench.domain import Limits, UsageError
from workbench.judges.constant import always
from workbench.judges.rubric import rubric
from workbench.research.calibrate import calibrate, write_calibration
from workbench.strategies.ema_adx import ema_adx
from workbench.strategies.regime import with_regime


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no desk.toml of the machine reaches these tests."""
    for name in ("WORKBENCH_DATA__LAKE", "WORKBENCH_DESK__JOURNAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def desk_of(folder: Path, text: str) -> Desk:
    """The desk of a desk.toml with this text."""
    (folder / "desk.toml").write_text(text)
    return load_desk(folder / "desk.toml")


def test_defaults_need_no_file() -> None:
    """Nine strategies in three categories, the rubric, the default limits, ten thousand."""
    desk = load_desk()
    assert [s.name for s in desk.strategies if s.category == "trend"] == [
        "momentum_breakout", "ema_adx", "macro_trend",
    ]  # fmt: skip
    assert [s.name for s in desk.strategies if s.category == "reversion"] == [
        "rsi_bounce", "bollinger_squeeze", "funding_arbitrage",
    ]  # fmt: skip
    assert [s.name for s in desk.strategies if s.category == "event"] == [
        "news_sentiment", "whale_flow", "odds_divergence",
    ]  # fmt: skip
    assert desk.judge is rubric
    assert desk.limits == Limits()
    assert desk.capital == 10_000.0


def test_every_table_is_read(tmp_path: Path) -> None:
    """Numbers, names and paths; a relative path is taken from the file's folder."""
    desk = desk_of(
        tmp_path,
        """
        [desk]
        capital = 500
        strategies = ["rsi_bounce"]
        judge = "always"
        journal = "records/j.db"
        [data]
        venue = "kraken"
        symbols = ["BTC/USDT"]
        [limits]
        max_position = 0.02
        allow_short = true
        [costs]
        step = 0.01
        """,
    )
    assert desk.capital == 500.0
    assert [s.name for s in desk.strategies] == ["rsi_bounce"]
    assert desk.judge is always
    assert desk.journal_path == tmp_path / "records/j.db"
    assert desk.source == Source(tmp_path / "var/lake", "kraken", ("BTC/USDT",), "1h")
    assert (desk.limits.max_position, desk.limits.allow_short) == (0.02, 1.0)
    assert desk.costs.step == 0.01


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[limits]\nmax_positon = 0.1", r"unknown key limits\.max_positon.*limits\.max_position"),
        ("[desk]\njugde = 'x'", r"unknown key desk\.jugde.*desk\.judge"),
        ("[limit]\nstop = 0.1", r"unknown key limit;.*limits"),
        ("[limits]\nstop = 'two'", r"limits\.stop is 'two'"),
        ("[limits]\nstop = 2.0", r"limits\.stop is 2; it must be above 0 and below 1"),
        ("[limits]\nstop = nan", r"limits\.stop is nan"),
        ("[costs]\ntaker_fee = -1", r"costs\.taker_fee is -1"),
        ("[desk]\nquorum = 10", r"desk\.quorum is 10; 9 strategies vote, so it must be 1 to 9"),
        ("[desk]\nquorum = 0", r"desk\.quorum is 0"),
        ("[desk]\ncalibration = 'none.json'", r"none\.json is not there; `workbench calibrate"),
        ("[desk]\nstrategies = ['ema_adxx']", "no 'ema_adxx'.*nearest is ema_adx"),
        ("[desk]\nstrategies = []", "no strategies"),
        ("[desk]\njudge = 'rubrik'", "no 'rubrik'.*nearest is rubric"),
        ("[desk]\nreduce = 1.5", r"desk\.reduce is 1\.5"),
        ("[desk\n", "not valid TOML"),
    ],
)
def test_an_impossible_config_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    """Names the key; an unknown one gets the nearest valid one."""
    with pytest.raises(UsageError, match=says):
        desk_of(tmp_path, text)


def test_a_named_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Asking for a file is not asking for the defaults."""
    with pytest.raises(UsageError, match=r"nowhere\.toml is not there"):
        load_desk(tmp_path / "nowhere.toml")


def test_a_variable_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WORKBENCH_DATA__VENUE and its like."""
    monkeypatch.setenv("WORKBENCH_DATA__VENUE", "bybit")
    assert desk_of(tmp_path, "[data]\nvenue = 'kraken'").source.venue == "bybit"


def test_a_strategy_from_a_notebook_goes_straight_into_a_desk() -> None:
    """No registration; limits changed on a desk reach its broker too."""
    desk = Desk(strategies=[ema_adx.having(fast=5)])
    assert replace(desk, limits=Limits(stop=0.01)).limits.stop == 0.01


def test_auto_is_the_imported_spot_venue_with_most_symbols(recorded_lake: Lake) -> None:
    """Perps are not spot; without any import it is the sample world."""
    source = Source(recorded_lake.root).resolved()
    assert source.venue == "binance_spot"
    assert len(source.symbols) == 8


def test_the_sample_world_is_made_on_first_use_and_completed_if_cut_off(tmp_path: Path) -> None:
    """A write that was stopped half-way left a part; the next use writes the whole."""
    desk = Desk(strategies=[ema_adx], source=Source(tmp_path / "lake"))
    whole = desk.world("2023-06-01", "2023-06-30")
    Lake(tmp_path / "lake").remove("ohlcv", "sample", "SOL/USDT", "1h")
    again = desk.world("2023-06-01", "2023-06-30")
    assert again.panel.close.equals(whole.panel.close)
    assert again.panel.synthetic
    assert str(again.panel.index[again.start]) == "2023-06-01 00:00:00+00:00"
    assert str(again.panel.close_times[-1]) == "2023-07-01 00:00:00+00:00"


def test_a_calibration_named_in_the_file_reaches_the_strategies(tmp_path: Path) -> None:
    """And is left aside for whoever is about to fit another."""
    text = "[desk]\nstrategies = ['ema_adx']\ncalibration = 'c.json'\n"
    (tmp_path / "desk.toml").write_text(text)
    plain = load_desk(tmp_path / "desk.toml", calibrated=False)
    assert plain.strategies[0].calibration is None
    bars = random_panel(3_000, seed=12)
    world = World(with_regime(bars), pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    write_calibration(tmp_path / "c.json", calibrate(plain, world))
    told = load_desk(tmp_path / "desk.toml", source=Source(venue="sample"))
    assert told.strategies[0].calibration is not None
    with pytest.raises(UsageError, match=r"c\.json was fitted for limits\.stop"):
        desk_of(tmp_path, text + "[data]\nvenue = 'sample'\n[limits]\nstop = 0.03\n")


def test_curves_of_a_made_up_world_are_refused_for_a_recorded_venue(tmp_path: Path) -> None:
    """Also where the venue is not the file's."""
    text = "[desk]\nstrategies = ['ema_adx']\ncalibration = 'c.json'\n[data]\nvenue = 'sample'\n"
    (tmp_path / "desk.toml").write_text(text)
    plain = load_desk(tmp_path / "desk.toml", calibrated=False)
    bars = replace(random_panel(3_000, seed=12), source="SYNTHETIC sample world, seed 7")
    world = World(with_regime(bars), pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    write_calibration(tmp_path / "c.json", calibrate(plain, world))
    assert load_desk(tmp_path / "desk.toml").strategies[0].calibration is not None
    with pytest.raises(UsageError, match=r"c\.json was fitted on SYNTHETIC"):
        load_desk(tmp_path / "desk.toml", venue="binance_spot")


def test_a_strategy_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed one whose module is gone, and one that is no strategy at all."""
    broken = EntryPoint("gone", "no_such_module:gone", "workbench.strategies")
    text = EntryPoint("text", "workbench.desk:CONFIG", "workbench.strategies")
    monkeypatch.setattr("workbench.desk.entry_points", lambda group: (broken, text))
    with pytest.raises(UsageError, match=r"'gone' .* cannot be loaded .*no_such_module"):
        desk_of(tmp_path, "[desk]\nstrategies = ['gone']\n")
    with pytest.raises(UsageError, match="'text' of the installed strategies is str; declare"):
        desk_of(tmp_path, "[desk]\nstrategies = ['text']\n")


def test_a_world_begins_as_early_as_its_strategies_need(sample_lake: Lake) -> None:
    patient = replace(ema_adx, lookback="500D")
    desk = load_desk(strategies=[patient], source=Source(sample_lake.root, "sample"))
    world = desk.world("2023-06-01", "2023-06-05")
    assert world.start == 500 * 24
    assert patient.silence(world.panel.rows(0, world.start)) == ""


def test_who_trades_pairs_has_them_beside_their_markets(recorded_lake: Lake) -> None:
    """Of the markets the desk trades, those with a perpetual and funding by then; without such a
    voter there are none."""
    source = Source(recorded_lake.root, "binance_spot", ("BTC/USDT", "DOGE/USDT"))
    desk = load_desk(source=source)
    panel = desk.world("2024-02-01", "2024-02-10").panel
    assert panel.symbols == ("BTC/USDT", "BTC/USDT~carry", "DOGE/USDT")
    young = replace(desk, source=replace(source, symbols=("BTC/USDT", "SOL/USDT")))
    assert young.world("2023-11-01", "2023-11-10").panel.symbols == (
        "BTC/USDT", "BTC/USDT~carry", "SOL/USDT",
    )  # fmt: skip
    without = replace(desk, strategies=(ema_adx,))
    assert without.world("2024-02-01", "2024-02-10").panel.symbols == ("BTC/USDT", "DOGE/USDT")
