"""Sets that are drawn are trials like those that are listed, and a seed draws them again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.null_and_power import WARM_UP, follow, walk
from workbench.desk import Desk
from workbench.domain import UsageError
from workbench.research.plan import Plan
from workbench.research.proposers import Ruled
from workbench.research.search import search
from workbench.research.sweep import SHARPE, sweep_sets
from workbench.strategies.ema_adx import ema_adx

SPACE = {"fast": (4, 40), "slow": [60, 90, 120], "limits.stop": (0.01, 0.05)}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan.of(Ruled(follow, walk(3, 0.0004, 1.0)), WARM_UP, Desk((ema_adx,)))


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_seed_draws_the_same_sets_on_any_number_of_threads(
    plan: Plan, tmp_path: Path, sampler: str
) -> None:
    one, two = (
        search(plan, SPACE, tmp_path / f"{k}.db", trials=24, sampler=sampler, seed=5, threads=k)
        for k in (1, 2)
    )
    other = search(plan, SPACE, tmp_path / "o.db", trials=24, sampler=sampler, seed=6)
    assert [*map(dict, one.sets)] == [*map(dict, two.sets)]
    assert one.returns.equals(two.returns)
    assert [*map(dict, one.sets)] != [*map(dict, other.sets)]
    for chosen in one.sets:
        assert 4 <= chosen["fast"] <= 40
        assert isinstance(chosen["fast"], int)
        assert chosen["slow"] in SPACE["slow"]
        assert 0.01 <= chosen["limits.stop"] <= 0.05


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_every_set_that_was_drawn_is_one_trial_and_one_drawn_twice_too(
    plan: Plan, tmp_path: Path, sampler: str
) -> None:
    journal = tmp_path / "journal.db"
    done = search(plan, {"slow": [60, 90]}, journal, trials=20, sampler=sampler, seed=1)
    assert (done.tried, done.ledger.tried) == (2, 2)
    listed = sweep_sets(plan, [{"slow": 60}, {"slow": 90}], tmp_path / "listed.db")
    ours = {s["slow"]: sharpe for s, sharpe in zip(done.sets, done.frame[SHARPE], strict=True)}
    assert ours == dict(zip((60, 90), listed.frame[SHARPE], strict=True))


def test_the_estimator_looks_where_it_was_good(plan: Plan, tmp_path: Path) -> None:
    """A stop that is never far enough away loses; half of the space is such stops."""
    space = {"limits.stop": (0.001, 0.2), "fast": (4, 40)}
    drawn = [search(plan, space, tmp_path / f"{s}.db", trials=64, sampler=s, seed=2)
             for s in ("random", "tpe")]  # fmt: skip
    late = [np.nanmean(done.frame[SHARPE].iloc[32:]) for done in drawn]
    assert late[1] > late[0]


def test_a_set_that_never_trades_is_the_worst_and_stays_a_trial(plan: Plan, tmp_path: Path) -> None:
    space = {"limits.max_deployed": [0.0, 0.2], "fast": (4, 40)}
    done = search(plan, space, tmp_path / "journal.db", trials=32, seed=4)
    silent = [s["limits.max_deployed"] == 0.0 for s in done.sets]
    assert any(silent)
    assert done.frame[SHARPE].isna().tolist() == silent
    assert done.ledger.tried == done.tried
    assert sum(silent) < len(silent) / 2  # it was told, and looks elsewhere


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({}, "the space is empty"),
        ({"fast": (9, 9)}, "low below high"),
        ({"fast": (9, 12, 15)}, "low below high"),
        ({"fast": []}, "give (low, high) or a list"),
        ({"quick": (4, 9)}, "no parameter 'quick'"),
    ],
)
def test_a_space_that_cannot_be_is_refused(
    plan: Plan, tmp_path: Path, space: dict, says: str
) -> None:
    with pytest.raises(UsageError) as refused:
        search(plan, space, tmp_path / "journal.db", trials=4)
    assert says in str(refused.value)
    assert not (tmp_path / "journal.db").exists()
