"""Walk-forward and cross-validation of a choice: who chooses never sees what it is judged on."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from workbench.arrays import Floats
from workbench.research.choosing import cross_validated, walk_forward
from workbench.research.computable import NotComputable
from workbench.research.metrics import sharpe
from workbench.research.splits import cpcv

SETS = tuple({"k": k} for k in range(6))


def table(days: int, seed: int = 0) -> pd.DataFrame:
    """Daily returns of six sets of noise."""
    drawn = np.random.default_rng(seed).normal(0.0, 0.01, (days, len(SETS)))
    index = pd.date_range("2023-01-01", periods=days, freq="1D", tz="UTC")
    return pd.DataFrame(drawn, index)


def test_folds_choose_on_a_third_and_earn_on_the_next_twelfth() -> None:
    """360 days: 120 teach, 30 judge, (360 - 120) / 30 = 8 folds that touch and do not overlap."""
    returns = table(360)
    walked = walk_forward(returns, SETS)
    assert len(walked.folds) == 8
    assert {(len(f.inside), len(f.outside)) for f in walked.folds} == {(120, 30)}
    assert walked.outside.index.equals(returns.index[120:])
    for fold in walked.folds:
        inside = returns.loc[fold.inside.index]
        best = max(range(len(SETS)), key=lambda k, seen=inside: sharpe(seen[k]))
        assert fold.chosen == SETS[best]
        assert fold.outside.equals(returns.loc[fold.outside.index, best].rename(best))


@pytest.mark.parametrize("anchored", [False, True])
def test_no_fold_chooses_with_days_from_its_test_on(anchored: bool) -> None:
    """Whatever happens from the end of a fold's own past on, it chooses the same."""
    returns = table(360)
    returns.iloc[180:, 2] += 0.01  # a set that is the best from here on
    before = walk_forward(returns, SETS, 3, anchored).folds
    assert len({fold.chosen["k"] for fold in before}) > 1
    for k, fold in enumerate(before):
        other = returns.copy()
        later = other.index > fold.inside.index[-1]
        other[later] = np.random.default_rng(k).normal(0.05, 0.01, (later.sum(), len(SETS)))
        after = walk_forward(other, SETS, 3, anchored).folds
        assert after[k].chosen == fold.chosen, k
        assert not after[k].outside.equals(fold.outside)


def test_as_many_days_as_a_position_is_held_lie_between_choice_and_test() -> None:
    """A purge of 5 days: the sixth day after the choice is the first that judges."""
    for purge in (0, 5):
        for fold in walk_forward(table(360), SETS, purge).folds:
            assert (fold.outside.index[0] - fold.inside.index[-1]).days == purge + 1


def test_an_anchored_past_grows() -> None:
    folds = walk_forward(table(360), SETS, anchored=True).folds
    assert [len(fold.inside) for fold in folds] == [120 + 30 * k for k in range(8)]


def test_efficiency_is_what_was_kept_of_the_promise() -> None:
    """One set that earns the same inside and outside keeps all; without a promise it is NaN."""
    returns = table(360)
    returns[0] = np.where(np.arange(360) % 2, 0.03, -0.01)  # 1 % a day, the best of all everywhere
    walked = walk_forward(returns, SETS)
    assert {fold.chosen["k"] for fold in walked.folds} == {0}
    assert walked.efficiency == pytest.approx(1.0, rel=0.01)
    assert math.isnan(walk_forward(-returns[[0]], SETS[:1]).efficiency)


def test_where_nothing_was_traded_nothing_is_chosen() -> None:
    """Zeros are no track record: no set, no return, no Sharpe; a set that trades is preferred."""
    idle = pd.DataFrame(np.zeros((360, 2)), table(360).index)
    walked = walk_forward(idle, SETS[:2])
    assert [fold.chosen for fold in walked.folds] == [{}] * 8
    assert (walked.outside == 0.0).all()
    assert math.isnan(walked.sharpe)
    assert np.isnan(cross_validated(idle)).all()
    idle[1] = -np.abs(table(360)[0])  # it loses every day
    assert {f.chosen["k"] for f in walk_forward(idle, SETS[:2]).folds} == {1}


def test_too_few_days_are_said() -> None:
    with pytest.raises(NotComputable, match="walk-forward: not computable: n = 109, needs 110"):
        walk_forward(table(109), SETS)
    assert len(walk_forward(table(110), SETS).folds) == 1
    with pytest.raises(NotComputable, match="n = 199, needs 200 days"):
        cross_validated(table(199), 2, 2)
    assert len(cross_validated(table(200), 2, 2)) == 9


def test_every_path_is_what_the_choices_of_the_other_groups_earned() -> None:
    """9 paths over all days, as a plain loop makes them: of each pair of tenths, a choice on the
    days that lie more than 4 before and 4 + 3 after them."""
    returns, purge, embargo = table(300), 4, 3
    values = returns.to_numpy()
    plan = cpcv(300, 10, 2, purge, embargo)
    earned: list[Floats] = []
    for test in (split.test for split in plan.splits):
        tested = set(test.tolist())
        train = [
            day for day in range(300)
            if not tested & {*range(day - purge - embargo, day + purge + 1)}
        ]  # fmt: skip
        best = max(range(6), key=lambda k, rows=train: sharpe(pd.Series(values[rows, k])))
        earned.append(values[test, best])
    expected = [sharpe(pd.Series(path)) for path in plan.join(earned).T]
    assert cross_validated(returns, purge, embargo) == pytest.approx(expected, rel=1e-12)
    assert len(expected) == 9
