"""The best of many is held against what the best of many shows by luck."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import SPA, StepM

from workbench.domain import UsageError
from workbench.research.computable import NotComputable
from workbench.research.metrics import max_drawdown
from workbench.research.superiority import (
    block_length,
    bootstrap_drawdown,
    bootstrap_mean,
    spa,
    stepm,
)


def draws(rows: int, columns: int, seed: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal((rows, columns)) * 0.01


def planted() -> np.ndarray:
    noise = draws(500, 20, 7)
    noise[:, 7] += 0.0025
    return noise


@pytest.mark.parametrize("seed", range(4))
def test_the_p_values_are_arch_s_own(seed: int) -> None:
    """With the same draws; arch asks for more than the best there is, here as much counts."""
    table = draws(200, 12, seed) + np.linspace(-0.002, 0.002, 12)
    theirs = SPA(np.zeros(200), -table, block_size=6, reps=300, nested=True, seed=seed)
    theirs.compute()
    ours = spa(table, seed, block=6, reps=300)
    assert [ours.p_lower, ours.p_consistent, ours.p_upper] == pytest.approx(
        theirs.pvalues.tolist(), abs=1e-12
    )
    steps = StepM(
        np.zeros(200), -table, size=0.2, block_size=6, reps=300, nested=True, seed=seed
    )  # fmt: skip
    steps.compute()
    assert list(stepm(table, seed, size=0.2, block=6, reps=300)) == steps.superior_models


def test_a_planted_edge_is_found_and_named() -> None:
    frame = pd.DataFrame(planted(), columns=[f"set {k}" for k in range(20)])
    result = spa(frame, seed=123, block=10)
    assert result.p_consistent == 0.0
    assert (result.best, result.tried, result.periods) == ("set 7", 20, 500)
    assert stepm(frame, seed=123, block=10) == ("set 7",)
    assert stepm(planted(), seed=123, block=10) == (7,)


def test_under_the_null_it_is_fooled_as_often_as_it_says() -> None:
    """200 worlds of 20 sets without an edge, at 5 %: 10 are expected; 2 to 20 lie within luck
    (binomial, 99.8 %)."""
    fooled = sum(
        spa(draws(250, 20, seed), seed, reps=200).p_consistent < 0.05 for seed in range(200)
    )
    assert 2 <= fooled <= 20


def test_trials_that_hang_together_are_not_counted_as_many() -> None:
    """Fifty copies of one set: the p-value of the one."""
    one = draws(300, 1, 3) + 0.001
    alone, copies = spa(one, 1), spa(np.repeat(one, 50, axis=1), 1)
    assert copies.p_consistent == pytest.approx(alone.p_consistent, abs=0.01)


def test_a_wild_trial_hides_a_steady_one_unless_each_is_scaled() -> None:
    """A steady set with t = 5 beside one of a hundred times its deviation."""
    steady = draws(400, 1, 1) / 10.0
    steady += 5.0 * steady.std() / math.sqrt(400) - steady.mean()
    table = np.hstack([steady, draws(400, 1, 2) * 10.0])
    assert stepm(table, 1) == ()
    assert stepm(table, 1, scaled=True) == (0,)
    assert spa(table, 1, scaled=True).best == 0


def test_flat_trials_stay_in_and_are_never_superior() -> None:
    """Nothing at all, a fixed gain (no evidence either) and one that has no figures."""
    idle = np.hstack([np.zeros((500, 1)), np.full((500, 1), 0.01), np.full((500, 1), np.nan)])
    for scaled in (False, True):
        assert stepm(np.hstack([planted(), idle]), 123, block=10, scaled=scaled) == (7,)
    assert spa(np.hstack([planted(), idle]), 123).tried == 23
    assert spa(idle, 1).p_consistent == 1.0
    assert stepm(idle, 1) == ()


def test_all_may_be_superior() -> None:
    assert stepm(np.abs(draws(100, 3, 1)) + 0.01, 1) == (0, 1, 2)


def test_a_seed_is_the_same_answer_again() -> None:
    table = draws(200, 10, 4)
    assert spa(table, 9) == spa(table, 9)
    assert spa(table, 9).p_upper != spa(table, 10).p_upper


def test_blocks_are_the_cube_root() -> None:
    """60 trades: 3.9; 1,460 days: 11.3."""
    assert [block_length(n) for n in (1, 60, 1_000, 1_460)] == [1, 4, 10, 11]
    assert spa(draws(1_000, 2, 1), 1, reps=100).block == 10


# --- intervals -----------------------------------------------------------------------------------


def test_on_independent_values_the_interval_is_the_normal_one() -> None:
    values = np.random.default_rng(5).normal(0.001, 0.02, 400)
    interval = bootstrap_mean(values, seed=1, block=1)
    half = 1.96 * values.std() / math.sqrt(400)
    assert (interval.method, interval.n, interval.block) == ("bca", 400, 1)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_values_that_follow_each_other_make_it_wider() -> None:
    """Each value eight times in a row: blocks see it, single draws do not."""
    values = np.repeat(np.random.default_rng(6).normal(0.0, 1.0, 60), 8)
    blind, seeing = (bootstrap_mean(values, 1, block=block) for block in (1, 24))
    assert seeing.high - seeing.low > 1.8 * (blind.high - blind.low)


def test_it_holds_the_truth_about_as_often_as_it_says() -> None:
    """200 samples of 60: 5 % miss in the limit, some more at 60."""
    rng = np.random.default_rng(2)
    ends = [bootstrap_mean(rng.normal(0.0, 1.0, 60), seed=k, reps=400) for k in range(200)]
    missed = np.mean([not one.low <= 0.0 <= one.high for one in ends])
    assert 0.02 < missed < 0.13


def test_few_values_have_the_plain_interval() -> None:
    values = draws(29, 1, 1)[:, 0]
    assert bootstrap_mean(values, 1).method == "percentile"
    assert bootstrap_mean(np.append(values, 0.01), 1).method == "bca"


def test_drawdowns_of_other_orders_lie_around_the_one_there_was() -> None:
    returns = np.random.default_rng(8).normal(0.0005, 0.02, 500)
    result = bootstrap_drawdown(returns, seed=1)
    equity = pd.Series(np.cumprod(np.concatenate([[1.0], 1.0 + returns])))
    assert result.observed == pytest.approx(max_drawdown(equity))
    depths = list(result.quantiles.values())
    assert depths == sorted(depths)
    assert -1.0 <= depths[0] < result.observed < depths[-1] <= 0.0


def test_a_loss_in_the_first_period_is_a_drawdown() -> None:
    assert bootstrap_drawdown([-0.1] + [0.01] * 20, seed=1).observed == pytest.approx(-0.1)


def test_what_only_rises_never_falls() -> None:
    assert set(bootstrap_drawdown([0.01, 0.02] * 10, seed=1).quantiles.values()) == {0.0}


REFUSED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "few periods": (lambda: spa(draws(29, 3, 1), 1), NotComputable, "n = 29, needs 30 periods"),
    "no trial": (lambda: spa(np.empty((90, 0)), 1), NotComputable, "n = 0, needs 1 trials"),
    "hole": (
        lambda: spa(np.where(np.eye(40) > 0, np.nan, 0.1), 1), UsageError, "trial 0 is nan in row",
    ),
    "size": (lambda: stepm(planted(), 1, size=1.5), UsageError, "size is 1.5"),
    "block": (lambda: spa(planted(), 1, block=0), UsageError, "block is 0"),
    "long block": (lambda: spa(planted(), 1, block=501), UsageError, "block is 501"),
    "reps": (lambda: spa(planted(), 1, reps=10), UsageError, "reps is 10"),
    "few values": (lambda: bootstrap_mean([0.1] * 7, 1), NotComputable, "n = 7, needs 10"),
    "equal": (lambda: bootstrap_mean([0.1] * 70, 1), NotComputable, "different values"),
    "nan": (lambda: bootstrap_mean([0.1, math.nan] * 9, 1), UsageError, "value 1 is nan"),
    "level": (lambda: bootstrap_mean([0.1, 0.2] * 9, 1, level=95), UsageError, "level is 95"),
    "few returns": (lambda: bootstrap_drawdown([0.1] * 9, 1), NotComputable, "n = 9, needs 10"),
    "more than all": (lambda: bootstrap_drawdown([0.1, -1.1] * 9, 1), UsageError, "below -1"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_in_a_sentence(name: str) -> None:
    ask, error, says = REFUSED[name]
    with pytest.raises(error, match=says):
        ask()


def test_statistics_are_imported_when_they_are_asked_for() -> None:
    """arch and statsmodels take seconds; naming the functions does not load them."""
    code = (
        "import sys, workbench.research.superiority, workbench.research.validation;"
        "sys.exit('arch' in sys.modules or 'statsmodels' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
