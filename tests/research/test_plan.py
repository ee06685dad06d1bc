"""Who proposes, on what, under which terms: the same bytes however many threads there are."""

from __future__ import annotations

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
    follow,
    labelled,
    small_desk,
    small_world,
)
from tests.rough import Rough, rough_panel
from workbench import arrays as a
from workbench.calibration import SHRUNK, Calibration, Curve
from workbench.data.snapshot import World
from workbench.desk import Desk
from workbench.domain import CARRY, Panel, Proposal, UsageError, Votes
from workbench.errors import ContractBroken
from workbench.research.history import run_history
from workbench.research.metrics import summary
from workbench.research.plan import Plan, run
from workbench.research.proposers import Ruled, Voting, Whole
from workbench.research.scan import FINAL, TRADES
from workbench.research.sweep import sets_of
from workbench.strategies.vote import strategy

TERMS = {
    "limits.stop": [0.005, 0.02, 0.05],
    "limits.max_correlation": [0.3, 1.0],
    "costs.taker_fee": [0.0, 0.002],
}


@pytest.fixture(scope="module")
def world() -> World:
    return small_world()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return small_desk(tmp_path_factory.mktemp("plan"))


def voting(desk: Desk, world: World) -> Plan:
    return Plan.of(Voting(follow, world.panel), FIRST, desk)


@pytest.mark.parametrize(
    "grid",
    [
        {"bars": [*range(1, 9)], "least": [0.01, 0.02, 0.05]},  # many groups of votes
        {"bars": [2], **TERMS},  # one vote, many terms
        {"bars": [2, 3], **TERMS},  # as many votes as threads, or fewer
        TERMS,
    ],
    ids=["votes", "terms", "both", "terms only"],
)
def test_the_bytes_are_those_of_one_thread(
    desk: Desk, world: World, grid: dict[str, list[Any]]
) -> None:
    plan, sets = voting(desk, world), sets_of(grid)
    figures, daily = run(plan, sets)
    assert figures[:, TRADES].max() > 20
    assert len({row.tobytes() for row in daily}) >= 6  # correlations bind nobody here
    for threads in (2, 3, 7):
        for told, other in zip((figures, daily), run(plan, sets, threads), strict=True):
            assert told.tobytes() == other.tobytes()


def test_a_set_comes_to_the_same_whatever_is_run_beside_it(desk: Desk, world: World) -> None:
    plan, sets = voting(desk, world), sets_of({"bars": [2, 5], **TERMS})
    figures, daily = run(plan, sets)
    for k in (0, 7, 23):
        alone = run(plan, [sets[k]])
        assert alone[0].tobytes() == figures[k].tobytes()
        assert alone[1].tobytes() == daily[k].tobytes()
    backwards = run(plan, sets[::-1], 2)
    assert backwards[0][::-1].tobytes() == figures.tobytes()


def test_the_rubrics_whole_desk_is_what_its_history_is(desk: Desk, world: World) -> None:
    """Two strategies, a parameter of one and a term: the same claims, fills and equity."""
    twin = replace(follow, name="twin", category="reversion").having(bars=6)
    both = replace(desk, strategies=(follow, twin), quorum=2)
    plan = Plan.of(Whole(both, world), FIRST, both)
    chosen = {"twin.bars": 3, "follow.least": 0.02, "limits.stop": 0.01}
    voters = (follow.having(least=0.02), twin.having(bars=3))
    single = replace(both, strategies=voters, limits=LOOSE._replace(stop=0.01))
    expected = run_history(single, world).replay
    figures, daily = run(plan, [chosen])
    assert figures[0, FINAL] == expected.equity.iloc[-1]
    assert figures[0, TRADES] == summary(expected)["trades"] > 5
    assert daily[0].tobytes() == expected.equity.resample("1D").last().to_numpy().tobytes()
    replayed = plan.replay(chosen)
    assert replayed.records.tobytes() == expected.records.tobytes()
    assert replayed.equity.equals(expected.equity)


def test_a_carry_strategys_exits_reach_the_loop(tmp_path: Path) -> None:
    panel = rough_panel(Rough(4, symbols=2))
    names = ["S0/USDT", f"S0/USDT{CARRY}"]
    frames = {
        part: getattr(panel, part).set_axis(names, axis=1)
        for part in ("open", "high", "low", "close", "volume")
    }
    panel = labelled(Panel.from_frames(**frames, timeframe="6h", source="SYNTHETIC"))

    @strategy(
        category="event", regimes={"trending", "ranging", "high_vol"}, lookback=2, trades="carry",
        holds_risk_off=True,
    )  # fmt: skip
    def pairs(panel: Panel, every: int = 5) -> Votes:
        assert panel.symbols == (f"S0/USDT{CARRY}",)
        t = panel.bar_numbers[:, None]
        return Votes.of(panel, t % every == 0, np.zeros_like(t, bool), 70.0, t % every == 2)

    desk = small_desk(tmp_path, pairs)
    world = replace(small_world(), panel=panel, ages=pd.DataFrame(index=panel.index))
    plan = Plan.of(Voting(pairs, panel), FIRST, desk)
    figures, daily = run(plan, sets_of({"every": [5, 9]}))
    for k, every in enumerate((5, 9)):
        single = replace(desk, strategies=(pairs.having(every=every),))
        expected = run_history(single, world).replay
        assert set(expected.fills["reason"]) >= {"entry", "exit"}
        assert daily[k].tobytes() == expected.equity.resample("1D").last().to_numpy().tobytes()
        assert figures[k, FINAL] == expected.equity.iloc[-1]


def test_sets_that_differ_in_terms_alone_share_their_votes(desk: Desk, world: World) -> None:
    asked: list[int] = []

    def counted(panel: Panel, bars: int = 3) -> Proposal:
        asked.append(bars)
        return above(panel, bars)

    plan = Plan.of(Ruled(counted, world.panel), FIRST, desk)
    run(plan, sets_of({"bars": [3, 4], **TERMS}), 2)
    assert sorted(asked) == [3, 4]


# --- keys --------------------------------------------------------------------------------------


def test_a_parameter_left_out_and_one_given_as_it_stands_are_one_trial(
    desk: Desk, world: World
) -> None:
    plan = voting(desk, world)
    assert plan.key({"limits.stop": 0.02}) == plan.key({"bars": 3, "limits.stop": 0.02})
    assert plan.key({}) == plan.key({"limits.stop": LOOSE.stop, "costs.impact": 1.0})
    keys = {plan.key(chosen) for chosen in sets_of({**GRID, **TERMS})}
    assert len(keys) == 6 * 12


def test_what_decides_a_result_decides_its_key(desk: Desk, world: World) -> None:
    plan = voting(desk, world)
    key = plan.key({"bars": 2})
    richer = replace(plan, capital=20_000.0)
    strict = replace(plan, limits=LOOSE._replace(trail=0.01))
    dear = replace(plan, costs=plan.costs._replace(impact=0.5))
    other = replace(follow, regimes=frozenset({"trending"}))
    later = replace(follow, lookback=20)
    assert key not in {each.key({"bars": 2}) for each in (richer, strict, dear)}
    for voter in (other, later, follow.having(least=0.5)):
        assert key != Plan.of(Voting(voter, world.panel), FIRST, desk).key({"bars": 2})
    assert key == voting(desk, world).key({"bars": 2})


def test_a_calibration_is_forgotten_by_who_is_given_a_parameter(desk: Desk, world: World) -> None:
    """Alone every set shows its own score; on the whole desk the curves stay until a parameter is
    given, be it the value that it had, and the keys differ with the results."""
    since = world.panel.index[0] - pd.Timedelta(1, unit="D")
    curve = Curve(since, SHRUNK, 150, 30, (0.0, 100.0), (0.2, 0.2))
    known = replace(follow, calibration=Calibration((curve,)))
    kept, lost = {"limits.stop": 0.02}, {"follow.bars": 3, "limits.stop": 0.02}
    whole = replace(desk, strategies=(known,))
    plan = Plan.of(Whole(whole, world), FIRST, whole)
    figures, _ = run(plan, [kept, lost])
    assert figures[0, TRADES] == 0.0 < figures[1, TRADES]  # at 20 % there is no edge
    assert plan.key(kept) != plan.key(lost)
    bare = Plan.of(Whole(desk, world), FIRST, desk)
    assert plan.key(kept) != bare.key(kept)
    assert plan.key(lost) == bare.key(lost)
    alone = Plan.of(Voting(known, world.panel), FIRST, desk)
    assert run(alone, [kept])[0].tobytes() == run(voting(desk, world), [kept])[0].tobytes()
    assert alone.key(kept) == voting(desk, world).key(kept) == alone.key(kept | {"bars": 3})


def test_what_a_judge_reads_beside_the_panel_is_in_the_whole_desks_key(
    desk: Desk, world: World
) -> None:
    retold = replace(world, headlines=world.headlines.assign(title="Another title"))
    older = replace(world, ages=world.ages + 1.0)
    keys = {Plan.of(Whole(desk, w), FIRST, desk).key({}) for w in (world, retold, older)}
    assert len(keys) == 3
    assert Plan.of(Whole(desk, small_world()), FIRST, desk).key({}) in keys


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        ([{"bar": 1}], "follow has no parameter 'bar'; the nearest is bars"),
        ([{"limits.stopp": 0.1}], "no parameter 'limits.stopp'; the nearest is limits.stop"),
        ([{"cost.impact": 0.1}], "the nearest is costs.impact"),
        ([{"panel": 1}], "no parameter 'panel'"),
        ([{"bars": 1}, {"bars": 1, "lest": 2}], "no parameter 'lest'; the nearest is least"),
        ([{"limits.stop": 0.1}, {"limits.stop": 2}], "limits.stop is 2; it must be above 0"),
        ([{"limits.stop": "tight"}], "limits.stop is 'tight'; it must be a number"),
        ([{"bars": object()}], "bars is a object, which JSON has no one form for"),
        ([{"bars": {1, 2}}], "bars is a set"),
    ],
)
def test_a_set_that_cannot_be_is_refused_before_anything_runs(
    desk: Desk, world: World, sets: list[dict[str, Any]], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        voting(desk, world).check(sets)


def test_the_whole_desk_names_the_nearest_parameter_of_a_strategy(desk: Desk, world: World) -> None:
    plan = Plan.of(Whole(desk, world), FIRST, desk)
    with pytest.raises(UsageError, match=r"desk has no parameter 'bars'; the nearest is .*bars"):
        plan.check([{"bars": 2}])


def fails(panel: Panel, bars: int = 3) -> Proposal:
    return above(panel, bars) if bars != 4 else above(panel, bars // 0)


def test_a_rule_that_breaks_is_named_with_the_set_it_broke_on(desk: Desk, world: World) -> None:
    plan = Plan.of(Ruled(fails, world.panel), FIRST, desk)
    for threads in (1, 2):
        with pytest.raises(ContractBroken, match=r"fails breaks on \{'bars': 4\}: ZeroDivision"):
            run(plan, sets_of({"bars": [3, 4, 5]}), threads)


def shuffled(panel: Panel) -> Proposal:
    side = panel.close.iloc[:, ::-1] * 0.0
    return Proposal(side, 70.0, 1.0, False)


def row_of_symbols(panel: Panel) -> Proposal:
    return Proposal(np.ones(panel.close.shape[1]), 70.0, 1.0, False)


def holes(panel: Panel) -> Proposal:
    return Proposal(np.ones(panel.close.shape), 70.0, 1.0, np.nan)


def nothing(panel: Panel) -> Any:
    return None


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (shuffled, "shuffled: side does not lie on the panel's rows and symbols"),
        (row_of_symbols, r"row_of_symbols: side has shape \(3,\); the panel has \(272, 3\)"),
        (holes, "holes: exit has holes"),
        (nothing, "nothing: side has shape"),
    ],
)
def test_a_proposal_that_does_not_lie_on_the_panel_is_refused(
    desk: Desk, world: World, rule: Any, says: str
) -> None:
    with pytest.raises(ContractBroken, match=says):
        run(Plan.of(Ruled(rule, world.panel), FIRST, desk), [{}])


def dirty(panel: Panel, bars: int = 3) -> Proposal:
    """Writes on what it is shown, after it has read it."""
    proposed = above(panel, bars)
    panel.close.iloc[50:90] *= 1.01
    panel.context["risk_on"].iloc[:] = 0.0
    return proposed


@strategy(category="trend", regimes={"trending", "ranging", "high_vol"}, lookback=10)
def dirty_votes(panel: Panel, bars: int = 3) -> Votes:
    votes = follow.function(panel, bars)
    panel.close.iloc[50:90] *= 1.01
    return votes


@pytest.mark.parametrize("proposer", [Ruled(dirty, small_world().panel),
                                      Voting(dirty_votes, small_world().panel)])  # fmt: skip
def test_what_a_set_writes_on_its_panel_no_other_set_sees(desk: Desk, proposer: Any) -> None:
    before = proposer.panel.close.to_numpy().copy()
    plan, sets = Plan.of(proposer, FIRST, desk), sets_of({"bars": [2, 3, 4]})
    figures, _ = run(plan, sets)
    again, _ = run(plan, sets[::-1])
    assert figures.tobytes() == again[::-1].tobytes()
    np.testing.assert_array_equal(proposer.panel.close.to_numpy(), before)
    assert (proposer.panel.context["risk_on"] == 1.0).all()


def test_frames_and_arrays_and_numbers_propose_alike(desk: Desk, world: World) -> None:
    def framed(panel: Panel, bars: int = 3) -> Proposal:
        told = above(panel, bars)
        like = (panel.index, panel.close.columns)
        cells = (told.side * 1.0, told.confidence, told.multiplier, told.exit)
        return Proposal(*(pd.DataFrame(cell, *like) for cell in cells))

    one, other = (
        Plan.of(Ruled(rule, world.panel), FIRST, desk).claims({}) for rule in (above, framed)
    )
    assert one.tobytes() == other.tobytes()
    assert np.abs(one[:, :, a.WANT]).sum() > 50
