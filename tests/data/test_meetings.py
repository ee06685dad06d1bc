"""Fed meetings: what the odds expect, when a meeting begins to count and when it stops."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pandas as pd
import pytest

from workbench.data.meetings import basis_points, decision_day, expected_move, probabilities


def odds(*trades: tuple[str, str, str, float]) -> pd.DataFrame:
    at = pd.DatetimeIndex([when for when, *_ in trades]).tz_localize("UTC")
    table = {"available_at": at, "event_time": at}
    names = ("meeting", "outcome", "probability")
    return pd.DataFrame(table | {n: [t[i + 1] for t in trades] for i, n in enumerate(names)})


def expected(table: pd.DataFrame, *moments: str) -> np.ndarray:
    return expected_move(probabilities(pd.DatetimeIndex(moments).tz_localize("UTC"), table))


def test_names_of_outcomes_and_meetings() -> None:
    assert [basis_points(o) for o in ("up25", "noChange", "down50")] == [25.0, 0.0, -50.0]
    assert math.isnan(basis_points("other"))
    assert decision_day("2023-06") == date(2023, 6, 14)
    assert decision_day("2022-03-16") == date(2022, 3, 16)
    assert decision_day("2023-04") is None
    assert decision_day("soon") is None


def test_the_vig_is_taken_out() -> None:
    table = odds(
        ("2023-06-01 10:00", "2023-06", "up25", 0.30),
        ("2023-06-01 10:00", "2023-06", "noChange", 0.75),
        ("2023-06-01 10:00", "2023-06", "down25", 0.05),
    )
    (answer,) = expected(table, "2023-06-01 10:00")
    assert answer == pytest.approx((0.30 * 25 - 0.05 * 25) / 1.10)


def test_one_leg_or_a_stale_sum_is_no_opinion() -> None:
    table = odds(
        ("2023-06-01 10:00", "2023-06", "noChange", 0.90),
        ("2023-06-01 12:00", "2023-06", "up25", 0.60),
        ("2023-06-01 14:00", "2023-06", "noChange", 0.40),
    )
    moments = [f"2023-06-01 {hour}:00" for hour in ("09", "11", "13", "15")]
    np.testing.assert_allclose(expected(table, *moments), [math.nan, math.nan, math.nan, 15.0])


def test_a_meeting_counts_to_the_end_of_its_day_and_the_next_follows() -> None:
    table = odds(
        ("2023-06-13 10:00", "2023-06", "noChange", 0.9),
        ("2023-06-13 10:00", "2023-06", "up25", 0.1),
        ("2023-06-13 11:00", "2023-07", "noChange", 0.4),
        ("2023-06-13 11:00", "2023-07", "up25", 0.6),
    )
    moments = ("2023-06-13 12:00", "2023-06-14 23:00", "2023-06-15 00:00", "2023-07-27 00:00")
    np.testing.assert_allclose(expected(table, *moments), [2.5, 2.5, 15.0, math.nan])


def test_without_odds_nothing_is_expected() -> None:
    assert np.isnan(expected(odds(), "2023-06-01")).all()
