"""The paper gate: counted by hand, and against scipy's own t test."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workbench.trading.gates import paper_gate


def trades(returns: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"return": returns}, dtype=float)


def test_the_interval_is_students_t() -> None:
    """Against scipy.stats.ttest_1samp on a hundred random samples."""
    rng = np.random.default_rng(60)
    for n in rng.integers(2, 200, 100):
        returns = rng.normal(0.001, 0.02, n)
        told, asked = paper_gate(trades(returns.tolist())), stats.ttest_1samp(returns, 0.0)
        interval = asked.confidence_interval(0.95)
        assert told.expectancy == pytest.approx(returns.mean(), abs=1e-15)
        assert (told.low, told.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
        one_sided = stats.ttest_1samp(returns, 0.0, alternative="greater").pvalue
        assert told.p_positive == pytest.approx(1.0 - one_sided, abs=1e-9)


@pytest.mark.parametrize(
    ("returns", "grade", "passed"),
    [
        ([0.02] * 3, "insufficient", False),
        ([0.02, -0.01] * 29 + [0.02], "insufficient", False),  # 59
        ([0.02, -0.01] * 30, "supported", True),
        ([0.021, -0.02] * 30, "suggestive", True),
        ([0.02, -0.02] * 30, "negative", False),  # a mean of 0 has paid nothing
        ([0.02, -0.03] * 30, "negative", False),
    ],
)
def test_the_gate_needs_sixty_trades_that_paid(
    returns: list[float], grade: str, passed: bool
) -> None:
    """The rule is n and mean; the grade says what the interval adds."""
    told = paper_gate(trades(returns))
    assert (told.grade, told.passed, told.n) == (grade, passed, len(returns))


def test_how_many_trades_it_would_take() -> None:
    """(2.487 sd / mean)^2: a mean of 0.2 deviations needs 155 trades, by hand."""
    returns = [1.2, -0.8] * 50  # mean 0.2, ddof-1 deviation 1.00504
    assert paper_gate(trades(returns)).trades_needed == math.ceil((2.487 * 1.0050378 / 0.2) ** 2)


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_is_said_of_nothing(n: int) -> None:
    """No trade or one has no interval, and no warning either."""
    told = paper_gate(trades([0.01] * n))
    assert not told.passed
    assert math.isnan(told.low)
    assert math.isnan(told.high)
    assert "nothing can be said yet" in str(told)


def test_trades_without_variance_have_an_interval_of_one_point() -> None:
    """Sixty equal trades are odd, but no reason to fail."""
    told = paper_gate(trades([0.01] * 60))
    assert told.low == pytest.approx(0.01)
    assert told.passed
