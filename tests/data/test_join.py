"""As-of joins: the known answer, and any rows against a slow loop written apart."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.data.join import age_hours, as_of
from workbench.domain import UsageError


def hours(*numbers: int) -> pd.DatetimeIndex:
    origin = pd.Timestamp("2024-01-01", tz="UTC")
    return pd.DatetimeIndex([origin + pd.Timedelta(n, unit="h") for n in numbers], tz="UTC")


def test_a_four_hour_bar_is_visible_at_its_close_and_not_before() -> None:
    opens = hours(0, 4)
    closes = opens + pd.Timedelta(4, unit="h")
    hourly = hours(*range(8))
    at_open = as_of(hourly, closes, opens, np.array([3.0, 7.0]))
    at_close = as_of(hourly + pd.Timedelta(1, unit="h"), closes, opens, np.array([3.0, 7.0]))
    nan = math.nan
    np.testing.assert_array_equal(at_open, [nan, nan, nan, nan, 3, 3, 3, 3])
    np.testing.assert_array_equal(at_close, [nan, nan, nan, 3, 3, 3, 3, 7])


rows = st.lists(
    st.tuples(
        st.integers(0, 12),  # event
        st.integers(0, 12),  # lag
        st.one_of(st.just(math.nan), st.floats(-5, 5)),
    ),
    max_size=12,
)


def slow(moment: int, told: list[tuple[int, int, float]]) -> float:
    """What one believes at a moment, found by going through the rows as they come in."""
    belief, about = math.nan, -1
    arrivals = sorted(range(len(told)), key=lambda i: (told[i][0] + told[i][1], told[i][0], i))
    for i in arrivals:
        event, lag, value = told[i]
        if event + lag <= moment and not math.isnan(value) and event >= about:
            belief, about = value, event
    return belief


@given(rows, st.lists(st.integers(-2, 26), min_size=1, max_size=10))
def test_as_of_is_what_a_slow_reader_believes(
    told: list[tuple[int, int, float]], moments: list[int]
) -> None:
    events, available = hours(*(e for e, _, _ in told)), hours(*(e + lag for e, lag, _ in told))
    values = np.array([value for _, _, value in told], dtype=float)
    fast = as_of(hours(*moments), available, events, values)
    np.testing.assert_array_equal(fast, [slow(moment, told) for moment in moments])


@given(rows, st.integers(0, 12))
def test_later_rows_change_no_earlier_answer(told: list[tuple[int, int, float]], now: int) -> None:
    past = [row for row in told if row[0] + row[1] <= now]
    times = hours(*range(now + 1))

    def joined(some: list[tuple[int, int, float]]) -> np.ndarray:
        available = hours(*(e + lag for e, lag, _ in some))
        return as_of(times, available, hours(*(e for e, _, _ in some)), [v for _, _, v in some])

    np.testing.assert_array_equal(joined(told), joined(past))


def test_a_late_row_about_an_older_event_replaces_nothing() -> None:
    events, available = hours(1, 5), hours(9, 6)
    answer = as_of(hours(5, 6, 9, 10), available, events, np.array([1.0, 5.0]))
    np.testing.assert_array_equal(answer, [math.nan, 5.0, 5.0, 5.0])


def test_age_counts_from_when_it_was_heard_and_is_infinite_before() -> None:
    ages = age_hours(hours(0, 2, 3, 9), hours(7, 2))
    np.testing.assert_array_equal(ages, [math.inf, 0.0, 1.0, 2.0])
    assert age_hours(hours(1), hours())[0] == math.inf


def test_times_without_a_zone_are_refused() -> None:
    bare = pd.DatetimeIndex(["2024-01-01"])
    with pytest.raises(UsageError, match="no zone"):
        as_of(bare, hours(1), hours(1), np.array([1.0]))
