"""The interval of a sum sees days and not trades."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workbench.research.interval import sum_interval

N = 400


def width(values: np.ndarray, days: np.ndarray) -> float:
    low, high = sum_interval(values, days, seed=1)
    return high - low


def test_on_independent_days_it_is_the_normal_interval() -> None:
    """Sum of 400 draws: 2 x 1.96 x deviation x sqrt(400), within a few percent."""
    values = np.random.default_rng(5).normal(0.001, 0.02, N)
    expected = 2.0 * 1.96 * values.std() * math.sqrt(N)
    assert width(values, np.arange(N)) == pytest.approx(expected, rel=0.05)
    low, high = sum_interval(values, np.arange(N), seed=1)
    assert (low + high) / 2.0 == pytest.approx(values.sum(), abs=0.05 * expected)


def test_trades_of_a_day_that_move_together_count_as_one() -> None:
    """Each value four times on its day: four times as wide, not twice as if they were new."""
    values = np.random.default_rng(5).normal(0.0, 0.02, N // 4)
    days = np.arange(N // 4)
    four = width(np.repeat(values, 4), np.repeat(days, 4))
    assert four == pytest.approx(4.0 * width(values, days), rel=1e-9)


def test_it_holds_the_truth_as_often_as_it_says() -> None:
    """300 samples of 60 days with a mean of 0: some 5 % of the intervals miss it."""
    rng = np.random.default_rng(2)
    ends = [sum_interval(rng.normal(0.0, 1.0, 60), np.arange(60), seed=k) for k in range(300)]
    missed = np.mean([not low <= 0.0 <= high for low, high in ends])
    assert 0.02 < missed < 0.10


def test_the_order_of_the_trades_and_the_names_of_the_days_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    values, days = rng.normal(0.0, 1.0, 50), np.repeat(np.arange(25), 2)
    shuffled = rng.permutation(50)
    same = sum_interval(values[shuffled], days[shuffled] + 19_000, seed=7)
    assert same == pytest.approx(sum_interval(values, days, seed=7), rel=1e-9)


def test_a_seed_is_the_same_interval_again_and_another_one_another() -> None:
    values = np.random.default_rng(4).normal(0.0, 1.0, 30)
    first = sum_interval(values, np.arange(30), seed=1)
    assert sum_interval(values, np.arange(30), seed=1) == first
    assert sum_interval(values, np.arange(30), seed=2) != first


@pytest.mark.parametrize(("days", "told"), [(0, False), (9, False), (10, True)])
def test_fewer_than_ten_days_have_no_interval(days: int, told: bool) -> None:
    low, high = sum_interval(np.ones(days), np.arange(days), seed=0)
    assert (math.isfinite(low), math.isfinite(high)) == (told, told)
