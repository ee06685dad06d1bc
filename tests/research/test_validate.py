"""The verdict: worthless is not trusted, an edge mostly is, and a leak is named."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.research.judging import (
    GRID,
    averages,
    desk_at,
    finding,
    follow,
    for_votes,
    judged,
    null_world,
    silent,
    strong_world,
)
from tests.strategies import cheats
from workbench.domain import Panel, Proposal, UsageError, Votes
from workbench.journal import Journal
from workbench.research.evidence import Finding
from workbench.research.plan import Plan
from workbench.research.promotion import NOT_PROVEN, REJECTED, TRUSTED, VALIDATED
from workbench.research.proposers import Ruled
from workbench.research.validate import neighbourhood, validate, verdict_of
from workbench.strategies.vote import strategy


def verdicts(folder: Path, seeds: range, make: Callable[[int], Any]) -> dict[int, str]:
    """The verdict on each seed's world, each with a journal of its own, sealed days opened."""
    told = {}
    for seed in seeds:
        (folder / f"{seed}").mkdir()
        desk = desk_at(folder / f"{seed}")
        told[seed] = judged(desk, make(seed), follow, GRID, open_holdout=True).verdict
    return told


def test_of_twelve_markets_without_an_edge_none_is_trusted(tmp_path: Path) -> None:
    """Random walks of two years, the best of nine sets each; benchmarks/ has 200 of four years."""
    told = verdicts(tmp_path, range(500, 512), null_world)
    assert Counter(told.values())[TRUSTED] == 0, told
    assert Counter(told.values())[REJECTED] >= 6, told


def test_of_six_markets_with_an_edge_most_are_trusted(tmp_path: Path) -> None:
    """A planted trend worth a Sharpe of about 4 a year: in three years there is enough to see."""
    told = verdicts(tmp_path, range(600, 606), lambda seed: strong_world(seed, 3.0))
    assert Counter(told.values())[TRUSTED] >= 4, told
    assert Counter(told.values())[REJECTED] == 0, told


# --- leaks ----------------------------------------------------------------------------------------


def _claims(want: Any, leave: Any) -> Proposal:
    return Proposal(np.asarray(want), 100.0, 1.0, np.asarray(leave))


def next_bar(panel: Panel, least: float = 0.001) -> Proposal:
    ahead = panel.close.shift(-1) / panel.close - 1.0
    return _claims(ahead > least, ahead < -least)


def centred(panel: Panel, bars: int = 9) -> Proposal:
    off = panel.close - panel.close.rolling(bars, center=True).mean()
    return _claims(off < 0.0, off > 0.0)


def scored(panel: Panel, least: float = 0.5) -> Proposal:
    z = (panel.close - panel.close.mean()) / panel.close.std()
    return _claims(z < -least, z > least)


@pytest.mark.parametrize(
    ("rule", "grid"),
    [(next_bar, {"least": [0.001, 0.002]}), (centred, {"bars": [5, 9]}),
     (scored, {"least": [0.25, 0.5]})],
)  # fmt: skip
def test_a_rule_that_looks_ahead_is_rejected_however_well_it_earns(
    rule: Callable[..., Proposal], grid: dict[str, list[Any]], tmp_path: Path
) -> None:
    """The first reason is the leak, and the days stay sealed."""
    told = judged(desk_at(tmp_path), null_world(years=1.0), rule, grid, open_holdout=True)
    assert told.verdict == REJECTED
    assert told.against[0].name == "lookahead"
    assert told.against[0].sentence.startswith(f"{rule.__name__} looks ahead: what it claims at")
    assert f"lookahead: {told.against[0].sentence}" in repr(told)
    assert told.opened is None


@pytest.mark.parametrize(
    ("cheat", "says"),
    [(cheats.next_bar, "it reads the next bar"), (cheats.centred, "bars ahead (a centred"),
     (cheats.normalised, "it depends on the whole sample")],
)  # fmt: skip
def test_a_strategy_that_looks_ahead_is_rejected_by_the_name_of_the_leak(
    cheat: cheats.Function, says: str, tmp_path: Path
) -> None:
    """Without a grid and without a parameter: one set, as it stands."""
    voter, world = cheats.declared(cheat), for_votes(null_world(years=1.0))
    told = validate(desk_at(tmp_path, voter), world, voter, permutations=1, threads=1)
    assert told.verdict == REJECTED
    assert "it looks ahead" in finding(told, "lookahead").sentence
    assert says in finding(told, "lookahead").sentence


# --- what cannot be told --------------------------------------------------------------------------


def test_who_never_trades_is_not_trusted_and_breaks_nothing(tmp_path: Path) -> None:
    """A rule and a strategy, neither of which ever wants anything: every Sharpe is NaN."""

    @strategy(category="trend", regimes={"trending", "ranging", "high_vol"}, lookback=10)
    def mute(panel: Panel, least: float = 1.0) -> Votes:
        nothing = np.zeros(panel.close.shape)
        return Votes.of(panel, nothing > least, nothing > least, nothing)

    world = for_votes(null_world(years=1.0))
    for what in (silent, mute):
        told = judged(desk_at(tmp_path, mute), world, what, {"least": [1.0, 2.0]})
        assert told.verdict == REJECTED
        assert finding(told, "trades").sentence == (
            "not computable: n = 0, needs 30 closed trades."
        )
        assert finding(told, "earns after costs").sentence == "It made +0.00% after all costs."
    assert "it voted at none of" in finding(told, "lookahead").sentence


def test_a_week_proves_nothing(tmp_path: Path) -> None:
    """Too few of everything, and said so; not a traceback."""
    world = strong_world()
    week = replace(world, panel=world.panel.rows(0, world.start + 48))
    told = judged(desk_at(tmp_path), week, open_holdout=True)
    assert told.verdict != TRUSTED
    assert "not computable: n = " in finding(told, "probabilistic Sharpe").sentence


def test_one_failed_fatal_test_rejects_and_one_open_one_leaves_it_unproven() -> None:
    def told(*of: tuple[str, bool | None]) -> str:
        return verdict_of([Finding("x", None, "", passed, "", decides) for decides, passed in of])

    assert told(("reject", True), ("trust", True), ("", None)) == TRUSTED
    assert told(("reject", True), ("trust", True), ("", False)) == TRUSTED
    assert told(("reject", True), ("trust", None)) == NOT_PROVEN
    assert told(("reject", None), ("trust", True)) == NOT_PROVEN
    assert told(("trust", False), ("trust", True)) == NOT_PROVEN
    assert told(("trust", None), ("reject", False)) == REJECTED


# --- what is judged -------------------------------------------------------------------------------


def test_without_a_grid_the_neighbours_of_a_rule_are_tried_and_it_is_judged_as_it_stands(
    tmp_path: Path,
) -> None:
    """A quarter up and down, whole numbers rounded, the first three numbers only."""
    world = strong_world(years=1.0)

    def rule(
        panel: Panel, fast: int = 24, slow: int = 96, loud: bool = True, least: float = 0.5,
        more: float = 1.0, none: int = 0,
    ) -> Proposal:  # fmt: skip
        return follow(panel, fast, slow)

    plan = Plan.of(Ruled(rule, world.panel), world.start, desk_at(tmp_path))
    near = neighbourhood(plan)
    assert len(near) == 27
    assert {name: sorted({each[name] for each in near}) for name in near[0]} == {
        "fast": [18, 24, 30], "slow": [72, 96, 120], "least": [0.375, 0.5, 0.625],
    }  # fmt: skip
    told = validate(desk_at(tmp_path), world, rule, permutations=1, threads=1)
    assert (told.sweep.tried, told.parameters) == (27, {"fast": 24, "slow": 96, "least": 0.5})


def test_a_set_that_is_not_in_the_grid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the set \{'fast': 25\} is not in the grid"):
        judged(desk_at(tmp_path), strong_world(years=1.0), follow, GRID, {"fast": 25})


def test_the_verdict_is_a_row_that_says_how_it_was_come_by(tmp_path: Path) -> None:
    """Figures, terms, and what was drawn: who asks again with another seed is seen to."""
    desk, world = desk_at(tmp_path), strong_world(years=1.0)
    for seed in (0, 1):
        told = judged(desk, world, chosen={"fast": 24, "slow": 96}, seed=seed)
    with Journal.open(desk.journal_path, readonly=True) as journal:
        first, last = journal.rows(VALIDATED)
        journal.verify()
    assert [row.body["seed"] for row in (first, last)] == [0, 1]
    assert last.body["permutations"] == 19
    assert last.body["parameters"] == {"fast": 24, "slow": 96}
    assert last.body["verdict"] == told.verdict
    assert last.body["terms"]["costs"]["half_spread"] == desk.costs.half_spread
    assert [f["name"] for f in last.body["findings"]] == [f.name for f in told.findings]
    assert json.dumps(last.body)


def test_what_speaks_against_it_is_told_with_the_fatal_first(tmp_path: Path) -> None:
    """Then what failed, then what could not be computed."""
    told = judged(desk_at(tmp_path), null_world(seed=8))
    kinds = [(f.passed, f.decides) for f in told.against]
    assert kinds == sorted(kinds, key=lambda k: (k[0] is None, k[1] != "reject"))
    assert kinds[0] == (False, "reject")
    assert all(f.passed is not True and f.decides for f in told.against)
    assert repr(told).startswith("follow is REJECTED on SYNTHETIC walk 8\n  ")


def test_the_same_question_has_the_same_answer(tmp_path: Path) -> None:
    """On any number of threads, and asked twice of one journal; nothing is a new trial."""
    desk, world = desk_at(tmp_path), for_votes(strong_world(years=1.0))
    one = judged(desk, world, averages)
    two = judged(desk, world, averages, threads=2)
    assert one.findings == two.findings
    assert two.sweep.ledger.tried == 4
