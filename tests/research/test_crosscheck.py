"""Our replay beside other engines: equal where an order means the same, named where it does not."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from tests.recorded import require_data
from workbench.cli.crosscheck import crosscheck, text
from workbench.data.lake import Lake
from workbench.domain import Panel, UsageError
from workbench.research import engines
from workbench.research.crosscheck import TOLERANCE, Crosscheck, Finding, compare, crossing_task
from workbench.research.engines import WAYS, Way, backtesting, tasks, vectorbt, zipline
from workbench.research.semantics import DIFFERENCES, Account, Task, but_for, simulate

RUNNER = engines.RUNNER


def made_up(n: int = 3_000, seed: int = 4) -> pd.DataFrame:
    """Hourly bars of a random walk whose bars often open away from the last close, some far."""
    draw = np.random.default_rng(seed)
    close = 30_000.0 * np.exp(np.cumsum(draw.normal(0.0, 0.012, n)))
    gap = draw.normal(0.0, 0.002, n) + draw.normal(0.0, 0.03, n) * (draw.random(n) < 0.08)
    opened = np.r_[30_000.0, close[:-1]] * np.exp(gap)
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * (1.0 + abs(draw.normal(0.0, 0.004, n))),
            "low": np.minimum(opened, close) * (1.0 - abs(draw.normal(0.0, 0.004, n))),
            "close": close,
        },
        pd.date_range("2024-01-01", periods=n, freq="1h", tz="UTC"),
    )


@pytest.fixture(scope="module")
def base() -> Task:
    """Crossing signals on made-up bars, quick averages for many trades."""
    return crossing_task(made_up(), fast=5, slow=13)


@pytest.fixture(scope="module")
def recorded() -> Task:
    """The crossing signals of four recorded years of BTC/USDT."""
    candles = pd.read_parquet(require_data() / "ohlcv/binance_spot/1h/BTC_USDT.parquet")
    index = pd.DatetimeIndex(pd.to_datetime(candles["timestamp"], utc=True))
    return crossing_task(candles.set_index(index).tail(35_040))


def found(way: Way, base: Task) -> Finding:
    task = tasks(base)[way.task]
    return compare(task, way.engine, "", way.run(task), way.named)


# --- equality ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vectorbt", "Backtesting.py", "Backtrader"])
def test_next_open_fills_are_equal_trade_by_trade(base: Task, name: str) -> None:
    """Bars, sides, quantities, prices, fees and the equity at every close."""
    way = next(w for w in WAYS if w.task == "crossing" and w.engine == name)
    theirs, ours = way.run(base), base.ours
    assert len(ours.fills) > 150
    assert theirs.fills[["bar", "side"]].astype(int).equals(ours.fills[["bar", "side"]].astype(int))
    np.testing.assert_allclose(theirs.fills, ours.fills, rtol=TOLERANCE)
    np.testing.assert_allclose(theirs.equity, ours.equity, rtol=TOLERANCE)
    finding = compare(base, name, "", theirs, way.named)
    assert (finding.verdict, finding.semantics, finding.first) == ("equal", (), "")
    assert finding.equal == finding.ours == finding.theirs


@pytest.mark.parametrize("engine", [vectorbt, backtesting])
def test_four_recorded_years_are_equal_trade_by_trade(recorded: Task, engine: Any) -> None:
    """35,040 hours of BTC/USDT."""
    finding = compare(recorded, "", "", engine(recorded))
    assert len(recorded.bars) == 35_040
    assert finding.verdict == "equal"
    assert finding.equal == finding.ours == finding.theirs > 400


# --- differences with a name ---------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.task}, {way.engine}")
def test_every_difference_is_explained(base: Task, way: Way) -> None:
    """And of the names that a way is known for, each is needed to explain these bars."""
    finding = found(way, base)
    assert finding.verdict == ("explained" if way.named else "equal"), finding.first
    assert finding.semantics == way.named


REAL = [w for w in WAYS if w.task in {"stop", "stop and target"} and w.package != "backtrader"]


@pytest.mark.parametrize("way", REAL, ids=lambda way: f"{way.task}, {way.engine}")
def test_every_difference_is_explained_on_recorded_bars(recorded: Task, way: Way) -> None:
    """The names found on made-up bars hold for four years of real ones."""
    finding = found(way, recorded)
    assert finding.verdict == "explained", finding.first
    assert finding.semantics
    assert set(finding.semantics) <= set(way.named)
    assert finding.equal > finding.ours * 0.6
    assert sum(finding.touched) >= finding.ours - finding.equal


def test_a_difference_without_its_name_is_unexplained(base: Task) -> None:
    """Fills at the same close are what they are, but nobody has said so."""
    theirs = vectorbt(base, same_close=True)
    for named in ((), ("next close",), ("same close", "booked late")):
        finding = compare(base, "vectorbt", "", theirs, named)
        assert (finding.verdict, finding.semantics, finding.equal) == ("UNEXPLAINED", (), 0)
    assert compare(base, "vectorbt", "", theirs, ("same close",)).verdict == "explained"


def test_a_name_that_explains_nothing_is_not_told(base: Task) -> None:
    """The signals have no stop, so what stops mean is beside the point."""
    named = ("entry bar unprotected", "same close")
    finding = compare(base, "vectorbt", "", vectorbt(base, same_close=True), named)
    assert finding.semantics == ("same close",)
    assert finding.touched == (finding.ours,)


def mangled(account: Account, at: int, **cells: float) -> Account:
    fills = account.fills.copy()
    for name, value in cells.items():
        fills.loc[at, name] = value
    return Account(fills, account.equity)


def test_one_mangled_fill_is_found_and_named(base: Task) -> None:
    """A millionth of one price is enough, and no semantics of the engine excuses it."""
    theirs = vectorbt(base)
    price = float(theirs.fills.loc[7, "price"])
    finding = compare(
        base, "vectorbt", "", mangled(theirs, 7, price=price * 1.000_001), tuple(DIFFERENCES)
    )
    entered = base.bars.index[base.ours.fills.loc[6, "bar"] - 1]
    assert finding.verdict == "UNEXPLAINED"
    assert finding.equal == finding.ours - 1
    assert finding.price_difference == pytest.approx(1e-6, rel=1e-3)
    assert finding.first == (
        f"the entry of {entered:%Y-%m-%d %H:%M}: price of fill 2 is {price:.10g} here,"
        f" {price * 1.000_001:.10g} there"
    )


def test_fills_alone_do_not_make_accounts_equal(base: Task) -> None:
    """The same fills with another equity curve are a difference, and it says when."""
    theirs = vectorbt(base)
    equity = theirs.equity.copy()
    equity[800] += 0.01
    finding = compare(base, "vectorbt", "", Account(theirs.fills, equity))
    assert finding.verdict == "UNEXPLAINED"
    assert finding.equal == finding.ours
    assert finding.first == f"the equity of {base.bars.index[800]:%Y-%m-%d %H:%M}"


def test_trades_of_one_side_are_said_to_be_so(base: Task) -> None:
    """One that only we made, one that only they made."""
    theirs, entered = vectorbt(base), base.bars.index[base.ours.fills.loc[0, "bar"] - 1]
    fewer = Account(theirs.fills.iloc[2:], theirs.equity)
    assert (
        compare(base, "", "", fewer).first == f"the entry of {entered:%Y-%m-%d %H:%M} is ours alone"
    )
    entries = base.entries.copy()
    entries[base.ours.fills.loc[0, "bar"] - 1] = False
    without = replace(base, entries=entries)
    assert compare(without, "", "", vectorbt(base)).verdict == "UNEXPLAINED"


# --- the plain page ------------------------------------------------------------------------------


def small(prices: Sequence[tuple[float, ...]], **changed: Any) -> Task:
    """Bars (open, high, low, close); in at the close of bar 0, out at that of the last but one."""
    n = len(prices)
    bars = pd.DataFrame(
        prices, pd.date_range("2024-01-01", periods=n, freq="1h", tz="UTC"),
        ["open", "high", "low", "close"], dtype=np.float64,
    )  # fmt: skip
    entries, exits = np.arange(n) == 0, np.arange(n) == n - 2
    task = Task("small", bars, entries, exits, 1_000.0, 0.001, invested=0.5, step=0.01)
    return replace(task, **changed)


FLAT = (100, 100, 100, 100)
HAND = [
    # what is asked, the bars from bar 1 on, the difference, the sale: bar and price
    ("a stop within a bar", [(100, 101, 100, 100), (100, 100, 97, 99)], {}, "", (2, 98.0)),
    ("a gap through the stop", [FLAT, (95, 96, 94, 95)], {}, "", (2, 95.0)),
    ("the entry bar", [(100, 100, 97, 99), (99, 100, 99, 99)], {}, "", (1, 98.0)),
    ("the entry bar unprotected", [(100, 100, 97, 99), (97, 99, 97, 99)], {},
     "entry bar unprotected", (2, 97.0)),
    ("both in one bar", [FLAT, (100, 104, 97, 100)], {"target": 0.03}, "", (2, 98.0)),
    ("a target", [FLAT, (100, 104, 99, 100)], {"target": 0.03}, "", (2, 103.0)),
    ("a gap over the target", [FLAT, (105, 106, 104, 105)], {"target": 0.03}, "", (2, 103.0)),
    ("a gap over the target, paid", [FLAT, (105, 106, 104, 105)], {"target": 0.03},
     "target gap at the open", (2, 105.0)),
    ("the level of the fill", [(102, 102, 99.97, 100), (100, 100, 99.5, 100)], {}, "", (2, 99.96)),
    ("the level of the signal", [(102, 102, 99.97, 100), (100, 100, 99.5, 100)], {},
     "level from the signal", (4, 100.0)),
]  # fmt: skip


@pytest.mark.parametrize(("bars", "rules", "name", "sale"), [case[1:] for case in HAND],
                         ids=[case[0] for case in HAND])  # fmt: skip
def test_what_a_rule_sells_at(
    bars: list[tuple[float, ...]], rules: dict[str, float], name: str, sale: tuple[int, float]
) -> None:
    """By hand; where nothing is named, the replay says the same."""
    task = small([FLAT, *bars, FLAT, FLAT], stop=0.02, **rules)
    fills = simulate(task, but_for([name] if name else [])).fills
    assert (int(fills.loc[1, "bar"]), float(fills.loc[1, "price"])) == pytest.approx(sale)
    if not name:
        np.testing.assert_allclose(fills, task.ours.fills, rtol=TOLERANCE)


def test_the_ladder_sells_a_part_and_trails_the_rest() -> None:
    """5 bought at 100, half sold at 103, the rest 1.5 % below the highest high so far: 108.35."""
    bars = [
        FLAT,
        FLAT,
        (102, 104, 102, 104),
        (104, 110, 104, 110),
        (110, 110, 105, 106),
        FLAT,
        FLAT,
    ]
    task = small(bars, stop=0.02, target=0.03, share=0.5, trail=0.015)
    fills = simulate(task).fills
    assert fills[["bar", "quantity", "price"]].to_numpy() == pytest.approx(
        np.array([[1, 5, 100], [2, 2.5, 103], [4, 2.5, 108.35]])
    )
    np.testing.assert_allclose(fills, task.ours.fills, rtol=TOLERANCE)
    whole = simulate(task, but_for(["no ladder"])).fills
    assert whole[["bar", "quantity", "price"]].iloc[1].tolist() == pytest.approx([2, 5, 103])


def test_cash_that_does_not_cover_an_order() -> None:
    """All of 1,000 in at 100, filled at 101: 10 cost 1,010 and a fee of 1.01."""
    task = small([FLAT, (101, 101, 101, 101), FLAT, FLAT], invested=1.0)
    assert task.ours.fills.loc[0, "quantity"] == 10.0
    assert task.ours.equity[1] == pytest.approx(1_000.0 - 1.01)
    assert not len(simulate(task, but_for(["cash refuses"])).fills)
    shrunk = simulate(task, but_for(["cash shrinks"]))
    assert shrunk.fills.loc[0, "quantity"] == pytest.approx(1_000.0 / (101.0 * 1.001))


def test_too_few_bars_and_unknown_names_are_refused() -> None:
    """With the number that is needed, and the name that is not known."""
    with pytest.raises(UsageError, match="599 bars are too few; a crosscheck needs 600"):
        crossing_task(made_up(599))
    with pytest.raises(UsageError, match="'magic' is no difference with a name"):
        but_for(["magic"])


# --- engines that are not there, and zipline's process -------------------------------------------


def test_a_missing_engine_says_which_extra_brings_it(
    base: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, before anything is run."""
    monkeypatch.setitem(sys.modules, "backtrader", None)
    with pytest.raises(UsageError, match=r"^backtrader is not installed; pip install 'workbench"):
        engines.crosscheck(base)


def test_an_engine_nobody_knows_is_refused(base: Task) -> None:
    """With the names of those that are known."""
    with pytest.raises(UsageError, match="'mt4' is no engine of a crosscheck; it has vectorbt, "):
        engines.crosscheck(base, ["mt4"])


STAND_IN = """
import json, sys
import numpy as np
assert sys.argv[1] == "-I" and sys.argv[2].endswith("zipline_runner.py")
task = np.load(sys.argv[3])
cash, held, fills, equity = float(task["capital"]), 0, [], []
wanted = 0
for bar, price in enumerate(task["price"]):
    if wanted:
        fee = abs(wanted) * price * float(task["fee_rate"])
        cash, held = cash - wanted * price - fee, held + wanted
        fills.append([bar, int(wanted), float(price) * {factor}, float(fee)])
    wanted = 0
    if held and task["exits"][bar]: wanted = -held
    if not held and task["entries"][bar]: wanted = int(task["units"][bar])
    equity.append(float(cash + held * price))
open(sys.argv[4], "w").write(json.dumps({{"version": "0", "fills": fills, "equity": equity}}))
"""


def interpreter(folder: Path, program: str) -> Path:
    """A file that runs `program` with the arguments it is given."""
    script, command = folder / "program.py", folder / "python"
    script.write_text(program)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    command.chmod(0o755)
    return command


def test_zipline_is_asked_by_file_and_answers_by_file(base: Task, tmp_path: Path) -> None:
    """Quantities go over as whole steps; what comes back is compared as any account."""
    python = interpreter(tmp_path, STAND_IN.format(factor="1.0"))
    account, version = zipline(base, python, opens=True)
    finding = compare(base, "zipline", version, account, ("valued at the open",))
    assert (finding.verdict, finding.semantics) == ("explained", ("valued at the open",))
    assert finding.equal == finding.ours > 90
    account, version = zipline(base, python)
    assert compare(base, "zipline", version, account, ("next close",)).verdict == "explained"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.exit('No module named zipline')", "No module named zipline"),
        ("", "nothing"),
    ],
)
def test_an_interpreter_without_zipline_is_named(
    base: Task, tmp_path: Path, program: str, said: str
) -> None:
    """With its last word and the target that builds one that works."""
    python = interpreter(tmp_path, program)
    with pytest.raises(UsageError, match=f"said '{said}'; make engines-zipline builds"):
        zipline(base, python)
    with pytest.raises(UsageError, match="nowhere cannot be run: "):
        zipline(base, tmp_path / "nowhere")


def test_the_runner_needs_nothing_of_the_workbench() -> None:
    """It lives in another environment, where there is none."""
    tree = ast.parse(RUNNER.read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names]  # fmt: skip
    names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert "numpy" in names
    assert not any(name.startswith("workbench") for name in names)


# --- the command ---------------------------------------------------------------------------------


def answer(lake: Lake, folder: Path, *words: str) -> Any:
    """What the command says of a desk that reads the sample world."""
    config = folder / "desk.toml"
    config.write_text(f"[data]\nlake = '{lake.root}'\nvenue = 'sample'\nsymbols = ['BTC/USDT']\n")
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(crosscheck)
    return CliRunner().invoke(app, ["--config", str(config), *words])


def test_the_command_says_that_the_world_is_synthetic(sample_lake: Lake, tmp_path: Path) -> None:
    """On made-up bars everything is equal or explained: exit code 0."""
    done = answer(sample_lake, tmp_path, "--bars", "3000", "--engine", "backtesting", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["synthetic"], said["unexplained"], said["bars"]) == (True, 0, 3_000)
    assert {f["verdict"] for f in said["findings"]} == {"equal", "explained"}


def test_an_unexplained_difference_is_exit_code_1(sample_lake: Lake, tmp_path: Path) -> None:
    """An engine whose prices are a thousandth off; the first such fill is printed."""
    python = interpreter(tmp_path, STAND_IN.format(factor="1.001"))
    words = ("--bars", "2000", "--engine", "backtesting", "--zipline", str(python))
    done = answer(sample_lake, tmp_path, *words)
    assert done.exit_code == 1
    assert done.stdout.startswith("SYNTHETIC")
    assert "last bar again: the last bar is gone through twice" in done.stdout
    assert "UNEXPLAINED: crossing, zipline shown opens: the entry of " in done.stdout


def test_without_zipline_the_command_says_how_to_get_it() -> None:
    """Its last line."""
    day = pd.Timestamp("2024-01-01", tz="UTC")
    finding = Finding("crossing", "vectorbt", "1", 1, 1, 1, 0.0, 0.0, (), (), "equal", "")
    lines = text(Crosscheck("recorded", "BTC/USDT", 600, day, day, (finding,)), None)
    assert lines[-1] == "zipline was not run; make engines-zipline builds its environment"


def test_bars_without_a_crossing_are_refused() -> None:
    """No trade is no evidence: nothing is called equal."""
    flat = pd.DataFrame(100.0, made_up(600).index, ["open", "high", "low", "close"])
    with pytest.raises(UsageError, match="without a trade nothing can be compared"):
        crossing_task(flat)


def test_an_engine_that_never_trades_is_a_difference(base: Task) -> None:
    """An empty account is compared like any other."""
    idle = Account.of([], np.full(len(base.bars), base.capital))
    finding = compare(base, "idle", "", idle, tuple(DIFFERENCES))
    assert (finding.verdict, finding.theirs, finding.equal) == ("UNEXPLAINED", 0, 0)
    assert np.isnan(finding.price_difference)


def test_missing_hours_are_left_out_for_everybody() -> None:
    """A panel's rows of NaN are not bars; a symbol that is not there is named."""
    bars = made_up(700)
    bars.iloc[300:303] = np.nan
    frames = {name: bars[[name]].set_axis(["X/USDT"], axis=1) for name in bars}
    panel = Panel.from_frames(**frames, volume=frames["close"] * 0.0 + 1.0, source="made up")
    result = engines.run_crosscheck(panel, "X/USDT", 690, ["backtesting"])
    assert (result.bars, result.first) == (690, bars.index[7])
    assert not result.unexplained
    with pytest.raises(UsageError, match="Y/USDT is not there; the symbols are X/USDT"):
        engines.run_crosscheck(panel, "Y/USDT", 690)
