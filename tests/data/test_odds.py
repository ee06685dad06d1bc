"""De-vigging and the futures-implied path, against figures worked out by hand."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.meetings import basis_points
from workbench.data.odds import (
    devig,
    implied_path,
    meeting_of,
    midpoint,
    outcome_of,
    table,
    with_devigged,
)
from workbench.domain import UsageError

HOUR = timedelta(hours=1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
YEAR_2026 = [
    date(2026, 1, 28), date(2026, 3, 18), date(2026, 4, 29), date(2026, 6, 17),
    date(2026, 7, 29), date(2026, 9, 16), date(2026, 10, 28), date(2026, 12, 9),
]  # fmt: skip


def test_each_price_is_divided_by_the_sum_of_all() -> None:
    assert devig([0.6, 0.5, 0.1]) == pytest.approx([0.5, 5 / 12, 1 / 12])


def test_a_missing_leg_leaves_no_share_at_all() -> None:
    assert devig([0.6, None, 0.1]) == [None, None, None]
    assert devig([0.0, 0.0]) == [None, None]
    assert devig([]) == []


def test_an_empty_book_has_no_midpoint() -> None:
    assert midpoint(0.0, 1.0) is None
    assert midpoint(None, 0.4) is None
    assert midpoint(0.4, None) is None
    assert midpoint(0.0, 0.01) == 0.005
    assert midpoint(0.25, 0.75) == 0.5


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8).filter(lambda prices: sum(prices) > 0))
def test_shares_are_probabilities(prices: list[float]) -> None:
    shares = devig(prices)
    assert all(share is not None and 0 <= share <= 1 for share in shares)
    assert sum(share for share in shares if share is not None) == pytest.approx(1.0)


def sample(at: datetime, outcome: str, price: float | None) -> dict[str, object]:
    return {
        "event_time": at, "available_at": at, "meeting": "2026-12", "outcome": outcome,
        "seq": 0, "probability": price,
    }  # fmt: skip


def test_legs_sampled_minutes_apart_share_one_sum() -> None:
    rows = table(
        [
            sample(NOON, "down25", 0.6),
            sample(NOON + timedelta(minutes=2), "noChange", 0.6),
            sample(NOON + HOUR, "down25", 0.4),
        ]
    )
    legs = {("2026-12", "down25"): 2 * HOUR, ("2026-12", "noChange"): 2 * HOUR}
    told = with_devigged(rows, legs)["devigged"].to_list()
    assert told[0] is None  # noChange has not been heard of yet
    assert told[1:] == pytest.approx([0.5, 0.4])


def test_a_price_that_is_too_old_is_a_missing_leg() -> None:
    rows = table([sample(NOON, "down25", 0.6), sample(NOON + 3 * HOUR, "noChange", 0.6)])
    legs = {("2026-12", "down25"): 2 * HOUR, ("2026-12", "noChange"): 2 * HOUR}
    assert with_devigged(rows, legs)["devigged"].to_list() == [None, None]


def test_a_leg_that_lost_its_price_is_missing_and_not_as_before() -> None:
    rows = table(
        [
            sample(NOON, "down25", 0.6),
            sample(NOON, "noChange", 0.6),
            sample(NOON + HOUR, "down25", None),
            sample(NOON + HOUR, "noChange", 0.9),
        ]
    )
    legs = {("2026-12", "down25"): 2 * HOUR, ("2026-12", "noChange"): 2 * HOUR}
    assert with_devigged(rows, legs)["devigged"].to_list() == [0.5, 0.5, None, None]


def test_a_market_that_stands_alone_keeps_its_price() -> None:
    rows = table([sample(NOON, "Yes", 0.6)])
    assert with_devigged(rows, {("2026-12", "Yes"): HOUR})["devigged"].to_list() == [0.6]


def test_outcomes_that_share_in_no_sum_have_no_share() -> None:
    rows = table([sample(NOON, "down25", 0.6)])
    assert with_devigged(rows, {})["devigged"].to_list() == [None]


def test_a_table_tells_each_row_once_and_in_order() -> None:
    twice = [sample(NOON, "down25", 0.6), sample(NOON - HOUR, "down25", 0.5)] * 2
    rows = table(twice)
    assert rows["event_time"].to_list() == [NOON - HOUR, NOON]
    assert rows["bid"].to_list() == [None, None]
    assert table([]).schema == rows.schema
    assert rows.schema["seq"] == pl.Int64


@pytest.mark.parametrize(
    ("moment", "meeting"),
    [
        (datetime(2026, 12, 9, tzinfo=UTC), "2026-12"),
        (datetime(2024, 8, 1, tzinfo=UTC), "2024-07"),  # decided on the 31st of July
        (datetime(2027, 1, 27, tzinfo=UTC), "2027-01"),
    ],
)
def test_a_meeting_is_named_by_the_month_it_decides_in(moment: datetime, meeting: str) -> None:
    assert meeting_of(moment) == meeting


def test_outcomes_are_named_as_the_markets_name_them() -> None:
    assert [outcome_of(k) for k in (-2, -1, 0, 1)] == ["down50", "down25", "noChange", "up25"]
    assert all(basis_points(outcome_of(k)) == 25 * k for k in range(-4, 5))


def test_the_worked_example_is_a_cut_at_84_7_percent() -> None:
    # 30 days, decided on the 13th, 5.33 before, price 94.79:
    # (30 * 5.21 - 13 * 5.33) / 17 = 5.1182; (5.1182 - 5.33) / 0.25 = -0.847
    meetings = [date(2023, 7, 26), date(2023, 9, 13)]
    prices = {date(2023, 8, 1): 94.67, date(2023, 9, 1): 94.79}
    (step,) = implied_path(prices, meetings, date(2023, 8, 20))
    assert step.day == date(2023, 9, 13)
    assert (step.before, step.after) == pytest.approx((5.33, 5.118235), abs=1e-6)
    assert step.moves == pytest.approx({-1: 0.847059, 0: 0.152941}, abs=1e-6)
    assert step.total == step.moves


def test_a_quiet_month_after_the_meeting_is_its_rate() -> None:
    # October 28 leaves 3 of 31 days: November's contract says what comes after, not October's
    prices = {date(2026, 8, 1): 96.37, date(2026, 9, 1): 96.37, date(2026, 10, 1): 96.0}
    prices |= {date(2026, 11, 1): 96.62}
    path = implied_path(prices, YEAR_2026, date(2026, 10, 1))
    assert [step.day for step in path] == [date(2026, 10, 28)]
    assert path[0].after == pytest.approx(3.38)
    # 28/31 r + 3/31 3.38 = 4.00 -> r = (31 * 4.00 - 3 * 3.38) / 28
    assert path[0].before == pytest.approx((31 * 4.00 - 3 * 3.38) / 28)


def test_two_meetings_are_chained_by_convolution() -> None:
    # quiet months 4.00 (May), 3.80 (August); June 17 and July 29 lie between, and July's average
    # tells best what was before it: (31 * 3.8875 - 2 * 3.80) / 29 = 3.893534
    prices = {date(2026, 5, 1): 96.0, date(2026, 6, 1): 96.05, date(2026, 7, 1): 96.1125}
    prices |= {date(2026, 8, 1): 96.2}
    june, july = implied_path(prices, YEAR_2026, date(2026, 5, 20))
    assert june.after == july.before == pytest.approx(3.893534, abs=1e-6)
    cut_june, cut_july = (4 - 3.893534) / 0.25, (3.893534 - 3.8) / 0.25
    assert june.moves[-1] == pytest.approx(cut_june, abs=1e-5)
    assert july.moves[-1] == pytest.approx(cut_july, abs=1e-5)
    assert july.total[-2] == pytest.approx(cut_june * cut_july, abs=1e-5)
    assert july.total[0] == pytest.approx((1 - cut_june) * (1 - cut_july), abs=1e-5)


def test_a_meeting_that_has_decided_is_not_forecast() -> None:
    prices = {date(2026, 11, 1): 96.37, date(2026, 12, 1): 96.45}
    assert [s.day for s in implied_path(prices, YEAR_2026, date(2026, 12, 8))] == [YEAR_2026[-1]]
    assert implied_path(prices, YEAR_2026, date(2026, 12, 9)) == ()


def test_a_month_after_the_calendar_ends_is_not_taken_for_a_quiet_one() -> None:
    prices = {date(2026, 11, 1): 96.37, date(2026, 12, 1): 96.45}
    alone = implied_path(prices, YEAR_2026, date(2026, 11, 20))
    prices[date(2027, 1, 1)] = 97.0  # January 2027 has a meeting that the calendar does not list
    assert implied_path(prices, YEAR_2026, date(2026, 11, 20)) == alone != ()


def test_the_path_ends_where_the_prices_settle_nothing() -> None:
    late = {date(2026, 9, 1): 96.3, date(2026, 10, 1): 96.3}  # no quiet month to start from
    assert implied_path(late, YEAR_2026, date(2026, 9, 1)) == ()
    assert implied_path({}, YEAR_2026, date(2026, 9, 1)) == ()
    assert implied_path(late, [], date(2026, 9, 1)) == ()


def test_three_days_of_a_month_are_too_few_to_tell_a_rate_by() -> None:
    # April 29: one day of thirty is left, and there is no price for May
    prices = {date(2026, 2, 1): 96.0, date(2026, 3, 1): 96.0, date(2026, 4, 1): 96.01}
    path = implied_path(prices, YEAR_2026, date(2026, 2, 20))
    assert [step.day for step in path] == [date(2026, 3, 18)]


def test_two_meetings_in_a_month_are_refused() -> None:
    with pytest.raises(UsageError, match="two meetings"):
        implied_path({}, [date(2020, 3, 3), date(2020, 3, 15)], date(2020, 1, 1))


def settled(rates: list[float]) -> dict[date, float]:
    """The prices of 2026's months, given the rate before each meeting and after the last."""
    prices = {}
    for month in range(1, 13):
        days = monthrange(2026, month)[1]
        daily = [
            rates[sum(meeting < date(2026, month, day) for meeting in YEAR_2026)]
            for day in range(1, days + 1)
        ]
        prices[date(2026, month, 1)] = 100 - sum(daily) / days
    return prices


@given(st.lists(st.floats(-0.6, 0.6), min_size=8, max_size=8), st.floats(1.0, 6.0))
@settings(max_examples=60, deadline=None)
def test_the_path_finds_the_rates_again_and_keeps_their_mean(
    changes: list[float], first: float
) -> None:
    rates = [first]
    for change in changes:
        rates.append(rates[-1] + change)
    path = implied_path(settled(rates), YEAR_2026, date(2025, 12, 1))
    assert [step.day for step in path] == YEAR_2026
    for at, step in enumerate(path):
        assert (step.before, step.after) == pytest.approx((rates[at], rates[at + 1]), abs=1e-6)
        check_distribution(step.moves, step.after - step.before)
        check_distribution(step.total, step.after - rates[0])


def check_distribution(chances: dict[int, float], mean: float) -> None:
    assert all(chance >= 0 for chance in chances.values())
    assert sum(chances.values()) == pytest.approx(1.0)
    assert sum(0.25 * k * chance for k, chance in chances.items()) == pytest.approx(mean, abs=1e-6)


def test_a_whole_move_is_certain() -> None:
    # (9 * 4.00 + 22 * 3.75) / 31 is December's average if the meeting of the 9th cuts once
    prices = {date(2026, 11, 1): 96.0, date(2026, 12, 1): 100 - (9 * 4.00 + 22 * 3.75) / 31}
    (step,) = implied_path(prices, YEAR_2026, date(2026, 11, 20))
    assert step.moves == {-1: 1.0}
