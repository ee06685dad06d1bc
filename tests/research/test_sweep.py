"""A sweep is many replays at once, on the days before the sealed ones; nothing is run or counted
twice, and nothing is believed that is no longer true."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.research.sweeping import (
    FIRST,
    GRID,
    LOOSE,
    above,
    changed,
    follow,
    small_desk,
    small_world,
)
from workbench.arrays import rules_fingerprint
from workbench.data.lake import Lake
from workbench.data.snapshot import World
from workbench.desk import Desk, Source
from workbench.domain import Costs, DataError, Limits, Panel, Proposal, Reason, UsageError, Votes
from workbench.errors import ContractBroken
from workbench.journal import Journal
from workbench.judges.constant import always
from workbench.judges.rubric import rubric
from workbench.research.fingerprint import digest, version
from workbench.research.history import run_history
from workbench.research.metrics import summary
from workbench.research.replay import replay
from workbench.research.store import Store
from workbench.research.sweep import (
    FIGURES,
    MOST_BYTES,
    SHARPE,
    Sweep,
    before_holdout,
    plan_of,
    sets_of,
    sweep,
    sweep_sets,
)
from workbench.research.trials import DataSet, read_ledger
from workbench.strategies.ema_adx import ema_adx
from workbench.strategies.momentum_breakout import momentum_breakout
from workbench.strategies.news_sentiment import news_sentiment
from workbench.strategies.vote import strategy

EXACT = ("trades", "total return", "max drawdown", "exposed")


@pytest.fixture(scope="module")
def world() -> World:
    return small_world()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return small_desk(tmp_path)


@pytest.fixture(scope="module")
def done(world: World, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return sweep(small_desk(tmp_path_factory.mktemp("done")), world, follow, GRID)


def assert_row(done: Sweep, k: int, expected: pd.Series[Any], blocks: pd.Series[Any]) -> None:
    row = done.frame.loc[k]
    for name in EXACT:
        assert row[name] == expected[name]
    for name in (SHARPE, "win rate", "fees"):
        assert row[name] == pytest.approx(expected[name], rel=1e-9, nan_ok=True)
    assert {name: row[name] for name in blocks.index} == dict(blocks)


# --- the same as a replay ------------------------------------------------------------------------


def test_every_set_of_the_grid_has_a_row_and_a_column_of_returns(done: Sweep) -> None:
    assert done.tried == 6
    assert done.parameters == ("bars", "least")
    reasons = [reason.name for reason in Reason]
    assert list(done.frame.columns) == ["bars", "least", *FIGURES, *reasons, "rank"]
    assert [dict(s) for s in done.sets] == [
        {"bars": b, "least": x} for b in GRID["bars"] for x in GRID["least"]
    ]
    assert done.frame[["bars", "least"]].to_dict("records") == [dict(s) for s in done.sets]
    assert list(done.returns.columns) == list(done.frame.index) == list(range(6))
    grown = (1.0 + done.returns).prod() - 1.0
    np.testing.assert_allclose(grown, done.frame["total return"], atol=1e-12)


@pytest.mark.parametrize("k", [0, 1, 3])
def test_a_strategy_alone_comes_to_what_its_history_on_those_bars_comes_to(
    world: World, done: Sweep, k: int
) -> None:
    """Everything proceeds, a flat book at the first bar; 80 % of 232 tradable bars are 186."""
    seen = world.until(FIRST + 186)
    single = Desk(strategies=(follow.having(**done.sets[k]),), judge=always, limits=LOOSE)
    run = run_history(single, seen).replay
    assert_row(done, k, summary(run), run.blocks)
    assert done.frame["trades"][k] > 20
    assert done.panel.index.equals(run.panel.index)
    assert done.replay(k).records.tobytes() == run.records.tobytes()
    by_day = run.equity.resample("1D").last()
    assert done.returns.index.equals(by_day.index.rename("day"))


def test_a_rule_of_ones_own_comes_to_what_its_replay_comes_to(desk: Desk, world: World) -> None:
    grid = {"bars": [2, 5], "limits.stop": [0.01, 0.04], "costs.taker_fee": [0.0, 0.003]}
    done = sweep(desk, world, above, grid)
    seen = before_holdout(world).panel
    for k, chosen in enumerate(done.sets):
        told = above(seen, chosen["bars"])
        claims = np.where(np.arange(len(seen))[:, None] >= FIRST, told.side, 0.0)
        like = (seen.index, seen.close.columns)
        parts = (claims, told.confidence, told.multiplier, told.exit)
        proposal = Proposal(*(pd.DataFrame(part, *like) for part in parts))
        limits = LOOSE._replace(stop=chosen["limits.stop"])
        costs = Costs(taker_fee=chosen["costs.taker_fee"])
        run = replay(seen, proposal, limits, costs, desk.capital).since(FIRST)
        assert_row(done, k, summary(run), run.blocks)
    assert (done.frame["trades"] > 20).sum() == 6  # at the higher fee and 4 % no edge is left


def test_the_whole_desk_comes_to_what_its_history_comes_to(
    tmp_path: Path, sample_lake: Lake
) -> None:
    """Two strategies of ours and a brisk one, judged by the rubric; parameters and terms varied."""
    desk = Desk(
        strategies=(ema_adx, momentum_breakout, follow), judge=rubric, limits=LOOSE,
        source=Source(sample_lake.root, "sample", ("BTC/USDT", "ETH/USDT", "SOL/USDT")),
        journal_path=tmp_path / "journal.db",
    )  # fmt: skip
    world = desk.world("2023-06-01", "2023-06-10")
    grid = {"ema_adx.fast": [5, 12], "follow.least": [0.01, 0.02], "limits.stop": [0.01, 0.05],
            "costs.half_spread": [0.0001]}  # fmt: skip
    done = sweep(desk, world, None, grid)
    for k in (0, 3, 6):
        chosen = done.sets[k]
        single = replace(
            desk,
            strategies=(
                ema_adx.having(fast=chosen["ema_adx.fast"]), momentum_breakout,
                follow.having(least=chosen["follow.least"]),
            ),
            limits=LOOSE._replace(stop=chosen["limits.stop"]),
            costs=Costs(half_spread=0.0001),
        )  # fmt: skip
        run = run_history(single, before_holdout(world)).replay
        assert_row(done, k, summary(run), run.blocks)
    assert done.frame["trades"].max() > 5
    assert done.strategy == "desk"


def test_the_bytes_are_the_same_on_any_number_of_threads(tmp_path: Path, world: World) -> None:
    grid = GRID | {"limits.stop": [0.01, 0.02, 0.03, 0.04]}
    runs = [sweep(small_desk(tmp_path / str(n)), world, follow, grid, threads=n) for n in (1, 2, 3)]
    for other in runs[1:]:
        pd.testing.assert_frame_equal(other.frame, runs[0].frame, check_exact=True)
        assert other.returns.to_numpy().tobytes() == runs[0].returns.to_numpy().tobytes()


# --- the sealed days -----------------------------------------------------------------------------


SEEN: list[tuple[pd.Timestamp, float]] = []


@strategy(category="trend", regimes={"trending", "ranging", "high_vol"}, lookback=10)
def spy(panel: Panel, bars: int = 3) -> Votes:
    """Remembers the last bar that it was shown, and how much of it."""
    SEEN.append((panel.index[-1], float(np.nansum(panel.close.to_numpy()))))
    SEEN.extend((series.index[-1], 0.0) for series in panel.context.values())
    return follow.function(panel, bars)


@pytest.mark.parametrize("whole", [False, True])
def test_no_strategy_is_shown_a_sealed_bar(tmp_path: Path, world: World, whole: bool) -> None:
    SEEN.clear()
    desk = small_desk(tmp_path, spy)
    name = "spy.bars" if whole else "bars"
    sweep(desk, world, None if whole else spy, {name: [2, 3]}, holdout=0.3)
    last = world.panel.index[FIRST + round(0.7 * 232) - 1]
    assert max(moment for moment, _ in SEEN) == last


@pytest.mark.parametrize("factor", [np.nan, 7.0])
def test_what_the_sealed_bars_show_changes_not_a_byte(
    tmp_path: Path, world: World, factor: float
) -> None:
    """Nor is it another data set: the same trials, from the cache."""
    desk, ran = small_desk(tmp_path, follow), []
    done = sweep(desk, world, follow, GRID)
    poisoned = changed(world, FIRST + 186, factor)
    assert not poisoned.panel.close.equals(world.panel.close)
    again = sweep(desk, poisoned, follow, GRID, progress=lambda *told: ran.append(told))
    fresh = sweep(small_desk(tmp_path / "fresh"), poisoned, follow, GRID)
    for other in (again, fresh):
        pd.testing.assert_frame_equal(other.frame, done.frame, check_exact=True)
        assert other.returns.to_numpy().tobytes() == done.returns.to_numpy().tobytes()
    assert ran == []
    assert again.ledger.tried == 6


def test_the_last_bar_before_the_sealed_ones_does_count(tmp_path: Path, world: World) -> None:
    done = sweep(small_desk(tmp_path), world, follow, GRID)
    other = sweep(small_desk(tmp_path), changed(world, FIRST + 100, 0.9), follow, GRID)
    assert (other.frame["total return"] != done.frame["total return"]).any()
    assert (other.ledger.tried, other.ledger.changed) == (6, 0)  # the same six, on what is true now
    part = sweep(small_desk(tmp_path), changed(world, FIRST + 101, 0.9), follow, {"bars": [2]})
    assert part.ledger.changed == part.ledger.tried - 1


# --- ranks ---------------------------------------------------------------------------------------


def test_a_set_that_never_trades_has_no_sharpe_ranks_last_and_is_a_trial(done: Sweep) -> None:
    idle = done.frame["least"] == 9.0
    assert (done.frame["trades"][idle] == 0).all()
    assert done.frame[SHARPE][idle].isna().all()
    assert (done.frame["rank"][idle] == 6).all()
    assert done.frame["rank"][~idle].max() == 4
    assert done.ledger.tried == 6
    assert (done.ledger.sharpes_of("follow") == 0.0).sum() == 2
    assert sum(math.isnan(trial.sharpe) for trial in done.ledger.trials) == 2


def test_the_first_of_equal_sets_is_the_best(done: Sweep) -> None:
    frame = done.frame.assign(**{SHARPE: [1.0, 7.0, 7.0, 2.0, 7.0, math.nan]})
    made = replace(done, frame=frame)
    assert made.best_set == 1
    assert made.best == {"bars": 2, "least": 0.03}


def test_if_nothing_traded_there_is_no_best(desk: Desk, world: World) -> None:
    idle = sweep(desk, world, follow, {"least": [9.0, 10.0]})
    assert list(idle.frame["rank"]) == [2, 2]
    with pytest.raises(DataError, match="none of 2 sets of follow has a Sharpe from 2024-01-11"):
        _ = idle.best


# --- what is kept --------------------------------------------------------------------------------

MANY = {"bars": [*range(1, 41)]}


class Stopped:
    """Interrupts once so many sets are done."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, k: int, n: int, what: str) -> None:
        if k >= self.after:
            raise KeyboardInterrupt


@strategy(category="trend", regimes={"trending", "ranging", "high_vol"}, lookback=10)
def told(panel: Panel, bars: int = 3) -> Votes:
    """Follow, told each time to a list in another module: no part of its own code."""
    SEEN.append((panel.index[-1], float(bars)))
    return follow.function(panel, bars)


def ran() -> list[float]:
    bars = [bars for _, bars in SEEN]
    SEEN.clear()
    return bars


def slow_clock() -> Callable[[], float]:
    """A second a look: no chunk is so quick that the next one is larger."""
    return itertools.count().__next__


def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path: Path, world: World) -> None:
    """40 sets in chunks of 2: after 11 are done the 12th is as well. One of the 12 is tried again
    before they are believed, and the 28 others run."""
    desk, whole = small_desk(tmp_path), sweep(small_desk(tmp_path / "w"), world, follow, MANY)
    plan, sets = plan_of(desk, world, told), sets_of(MANY)
    SEEN.clear()
    with pytest.raises(KeyboardInterrupt):
        sweep_sets(
            plan, sets, desk.journal_path, threads=2, progress=Stopped(11), ticks=slow_clock()
        )
    assert sorted(ran()) == [*range(1, 13)]
    data = DataSet.of(plan.panel, plan.ground.first)
    assert read_ledger(desk.journal_path, data).tried == 12
    SEEN.clear()
    done = sweep_sets(plan, sets, desk.journal_path, threads=2)
    assert sorted(ran()) == [1, *range(13, 41)]
    assert done.ledger.tried == 40
    pd.testing.assert_frame_equal(done.frame, whole.frame, check_exact=True)
    assert done.returns.to_numpy().tobytes() == whole.returns.to_numpy().tobytes()
    assert done.notes == ()


def test_a_set_that_breaks_takes_no_finished_one_along(desk: Desk, world: World) -> None:
    def breaks(panel: Panel, bars: int = 3) -> Proposal:
        return above(panel, bars) if bars != 33 else above(panel, int(math.sqrt(-1.0)))

    plan = plan_of(desk, world, breaks)
    with pytest.raises(ContractBroken, match=r"breaks breaks on \{'bars': 33\}: ValueError: "):
        sweep_sets(plan, sets_of(MANY), desk.journal_path, threads=1, ticks=slow_clock())
    data = DataSet.of(before_holdout(world).panel, FIRST)
    assert read_ledger(desk.journal_path, data).tried == 32


def kept_files(desk: Desk) -> list[Path]:
    return sorted((desk.journal_path.parent / "sweeps").rglob("*.npz"))


def test_the_same_sweep_again_runs_one_set_and_adds_no_trial(desk: Desk, world: World) -> None:
    first = sweep(desk, world, told, {"bars": [2, 3, 4]})
    ran()
    again = sweep(desk, world, told, {"bars": [2, 3, 4]})
    assert ran() == [2.0]  # is it still true?
    pd.testing.assert_frame_equal(again.frame, first.frame, check_exact=True)
    more = sweep(desk, world, told, {"bars": [3, 5]})
    assert sorted(ran()) == [3.0, 5.0]
    assert (first.ledger.tried, again.ledger.tried, more.ledger.tried) == (3, 3, 4)
    with Journal.open(desk.journal_path, readonly=True) as rows:
        assert len([*rows.rows("trial")]) == 4
        assert len([*rows.rows("data_set")]) == 1
        rows.verify()


@pytest.mark.parametrize("harm", ["cut", "flipped", "emptied", "text", "other shape"])
def test_a_damaged_file_is_a_chunk_not_yet_run(
    desk: Desk, world: World, harm: str, done: Sweep
) -> None:
    sweep(desk, world, follow, GRID)
    for file in kept_files(desk):
        whole = file.read_bytes()
        middle = len(whole) // 2
        file.write_bytes({
            "cut": whole[:middle], "emptied": b"", "text": b"not a zip",
            "flipped": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
            "other shape": whole,
        }[harm])  # fmt: skip
        if harm == "other shape":
            with np.load(file) as told:
                cells = dict(told)
            np.savez(file, **(cells | {"daily": cells["daily"][:, 1:]}))
    again = sweep(desk, world, follow, GRID)
    pd.testing.assert_frame_equal(again.frame, done.frame, check_exact=True)
    assert again.ledger.tried == 6
    assert again.notes == ()


def test_what_is_kept_and_is_not_true_is_noticed_and_never_believed_again(
    desk: Desk, world: World, done: Sweep
) -> None:
    """Every file lies. One set is tried, all are run anew, the files are gone: the next sweep
    finds what is true, whichever set it asks for."""
    sweep(desk, world, follow, GRID)
    for file in kept_files(desk):
        with np.load(file) as told:
            cells = dict(told)
        np.savez(file, **(cells | {"figures": cells["figures"] + 1.0}))
        file.rename(file.with_name(f"z{file.name}"))  # a new chunk would not overwrite it
    again = sweep(desk, world, follow, GRID)
    assert again.notes == (
        "what was kept of earlier runs is no longer what they come to: all are run anew",
    )
    pd.testing.assert_frame_equal(again.frame, done.frame, check_exact=True)
    for bars in GRID["bars"]:
        part = sweep(desk, world, follow, {"bars": [bars], "least": [0.03, 9.0]})
        assert part.notes == ()
        assert list(part.frame["trades"]) == list(
            done.frame["trades"][done.frame["bars"] == bars][1:]
        )


def test_changed_limits_costs_capital_data_or_start_are_run_anew(desk: Desk, world: World) -> None:
    grid = {"bars": [2, 3]}
    base = sweep(desk, world, told, grid)
    others = [
        (replace(desk, limits=LOOSE._replace(trail=0.03)), world, 2),
        (replace(desk, costs=Costs(impact=0.0)), world, 2),
        (replace(desk, capital=500.0), world, 2),
        (desk, replace(world, start=FIRST + 1), 2),
        (desk, changed(world, FIRST - 5, 1.01), 0),  # a corrected candle is no other trial
    ]
    tried = base.ledger.tried
    for other, shown, new in others:
        ran()
        run = sweep(other, shown, told, grid)
        assert sorted(ran()) == [2.0, 3.0]
        tried += new
        assert run.ledger.tried == tried
    ran()
    sweep(desk, world, told, grid)
    assert ran() == [2.0]


def test_a_context_that_changed_is_another_data_set(desk: Desk, world: World) -> None:
    sweep(desk, world, follow, {"bars": [2]})
    fear = pd.Series(0.0, world.panel.index)
    richer = replace(world, panel=world.panel.with_context(fear=fear))
    done = sweep(desk, richer, follow, {"bars": [2]})
    assert (done.ledger.tried, done.ledger.changed) == (1, 0)
    fear.iloc[FIRST] = 1.0
    again = sweep(
        desk, replace(world, panel=world.panel.with_context(fear=fear)), follow, {"bars": [2]}
    )
    assert (again.ledger.tried, again.ledger.changed) == (1, 0)


NOTEBOOK = """
def rule(panel, bars=3):
    change = panel.{column} / panel.{column}.shift(bars) - 1.0
    return Proposal(change.to_numpy() > table["least"], 70.0, 1.0, change.to_numpy() < 0.0)
"""


def notebook(column: str = "close", least: float = 0.01) -> Any:
    """The rule of a notebook's cell: it has no file."""
    names: dict[str, Any] = {
        "__name__": "__main__", "Proposal": Proposal, "table": pd.Series({"least": least}),
    }  # fmt: skip
    exec(NOTEBOOK.format(column=column), names)  # noqa: S102
    return names["rule"]


def test_a_notebooks_rule_is_another_once_its_code_or_what_it_names_is(
    desk: Desk, world: World
) -> None:
    base = sweep(desk, world, notebook(), {"bars": [2, 3]})
    same = sweep(desk, world, notebook(), {"bars": [2, 3]})
    assert (base.ledger.tried, same.ledger.tried) == (2, 2)
    fewer = sweep(desk, world, notebook(least=0.05), {"bars": [2, 3]})
    opens = sweep(desk, world, notebook("open"), {"bars": [2, 3]})
    assert (fewer.ledger.tried, opens.ledger.tried) == (4, 6)
    for other in (fewer, opens):
        assert (other.frame["total return"] != base.frame["total return"]).all()


def test_another_compiler_or_library_begins_with_nothing_kept(desk: Desk, world: World) -> None:
    sweep(desk, world, follow, {"bars": [2]})
    data = DataSet.of(before_holdout(world).panel, FIRST)
    folder = digest(data.hash, rules_fingerprint(), version())
    assert {file.parent.name for file in kept_files(desk)} == {folder}
    assert Store(desk.journal_path.parent / "sweeps" / digest(data.hash)).read({""}, 1, 1) == {}


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "says"),
    [
        ({}, "the grid is empty; name a parameter"),
        ({"bar": [1]}, "follow has no parameter 'bar'; the nearest is bars"),
        ({"panel": [1]}, "no parameter 'panel'"),
        ({"bars": []}, r"the grid's bars is \[\]; give a list of values"),
        ({"bars": "12"}, "give a list of values"),
        ({"bars": 12}, "the grid's bars is 12; give a list of values"),
        ({"bars": {2, 3}}, "give a list of values"),
        ({"bars": [3, 3]}, "a value twice"),
        ({"bars": [np.int64(3), 3]}, "a value twice"),
        ({"limits.stop": [2]}, "limits.stop is 2; it must be above 0 and below 1"),
        ({"limits.stop": [-1, 0, 2], "bars": [2]}, "limits.stop is -1"),
        ({"costs.impact": [math.nan]}, "costs.impact is nan"),
        ({"bars": [object()]}, "JSON has no one form for"),
        ({"bars": [lambda: 3]}, "bars is a function, which JSON has no one form for"),
        ({f"bars{'s' * k}": [1] for k in range(3)}, "no parameter 'barss'"),
        ({"bars": range(10_000), "least": np.linspace(0, 1, 10_000)},
         "100,000,000 sets would keep .* GB of daily equity; sweep at most"),
    ],
)  # fmt: skip
def test_a_grid_that_cannot_be_is_refused_and_counts_nothing(
    desk: Desk, world: World, grid: Mapping[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        sweep(desk, world, follow, grid)
    assert not desk.journal_path.exists()
    assert kept_files(desk) == []


@pytest.mark.parametrize("holdout", [1.0, -0.1, math.nan, 5])
def test_a_holdout_that_leaves_nothing_is_refused(desk: Desk, world: World, holdout: float) -> None:
    with pytest.raises(UsageError, match="it must be from 0 to below 1"):
        sweep(desk, world, follow, {"bars": [2]}, holdout=holdout)


def test_a_world_without_tradable_bars_is_refused(desk: Desk, world: World) -> None:
    with pytest.raises(UsageError, match="of 0 tradable bars none is left"):
        sweep(desk, replace(world, start=len(world.panel)), follow, {"bars": [2]})
    with pytest.raises(UsageError, match="of 1 tradable bars none is left"):
        sweep(desk, replace(world, start=len(world.panel) - 1), follow, {"bars": [2]}, holdout=0.6)


def test_an_engine_or_a_number_of_threads_that_is_none_is_refused(desk: Desk, world: World) -> None:
    for wrong in ({"engine": "ray"}, {"threads": 0}, {"threads": -2}):
        with pytest.raises(UsageError, match="it is threads or dask, 1 or more"):
            sweep(desk, world, follow, {"bars": [2]}, **wrong)


def test_no_sets_are_no_sweep(desk: Desk, world: World) -> None:
    with pytest.raises(UsageError, match="there is no set to run"):
        sweep_sets(plan_of(desk, world, follow), [], desk.journal_path)


def test_more_sets_than_memory_holds_are_refused(desk: Desk, world: World) -> None:
    plan = plan_of(desk, world, follow)
    most = int(MOST_BYTES / 8 / plan.ground.trading_days)
    with pytest.raises(UsageError, match=f"sweep at most {most:,} at once"):
        sweep_sets(plan, [{"bars": 2}] * (most + 1), desk.journal_path)


def test_a_strategy_that_reads_text_is_refused_because_it_never_trades_alone(
    desk: Desk, world: World
) -> None:
    with pytest.raises(UsageError, match="news_sentiment reads text and never trades alone"):
        sweep(desk, world, news_sentiment, {"z_min": [2.0]})


def test_numpy_values_are_as_good_as_a_list(desk: Desk, world: World) -> None:
    done = sweep(desk, world, follow, {"bars": np.array([2, 3]), "least": pd.Series([0.1])})
    assert done.tried == 2
    assert type(done.best["bars"]) is int
    assert json.dumps([dict(chosen) for chosen in done.sets])


def test_limits_of_the_desk_are_what_is_not_varied(desk: Desk, world: World) -> None:
    tight = replace(desk, limits=Limits(max_entries_per_day=0.0))
    done = sweep(tight, world, follow, {"bars": [2], "limits.max_entries_per_day": [0.0, 12.0]})
    assert list(done.frame["trades"] > 0) == [False, True]
    assert done.frame["MAX_ENTRIES"][0] > 20


def test_progress_is_told_and_done_chunks_are_kept_every_second(desk: Desk, world: World) -> None:
    """A clock that a chunk moves by 0.6 s: kept at each second chunk, the rest at the end."""
    said: list[tuple[int, int, str]] = []
    clock, plan = iter(0.6 * k for k in range(1_000)), plan_of(desk, world, follow)
    sweep_sets(
        plan, sets_of(MANY), desk.journal_path, threads=2, ticks=lambda: next(clock),
        progress=lambda *told: said.append(told),
    )  # fmt: skip
    assert said == [(k, 40, "sweep follow") for k in range(2, 41, 2)]
    assert len(kept_files(desk)) > 5
