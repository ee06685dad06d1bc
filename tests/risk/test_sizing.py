"""How large an entry may be: published answers, and the shape of the edge for any numbers."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.arrays import TINY
from workbench.domain import Costs, Limits
from workbench.risk.sizing import edge, kelly_fraction, ladder_breakeven, wanted_share, within

FREE = Costs(half_spread=0.0, impact=0.0, taker_fee=0.0, maker_fee=0.0)
always_the_same = settings(max_examples=500, derandomize=True, deadline=None, database=None)

# --- published answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "odds", "fraction"), [(0.6, 1, 0.2), (0.53, 1, 0.06), (0.5, 2, 0.25), (0.4, 1, -0.2)]
)
def test_kelly_at_the_gaming_table(p: float, odds: float, fraction: float) -> None:
    """Known answer kelly-even-money (Kelly 1956; Thorp 2006): stake 1 wins `odds`, else is lost."""
    assert kelly_fraction(p, odds, 1.0) == pytest.approx(fraction, abs=1e-9)


KELLY_NOTIONAL = [
    (0.35, -4.166667, 0.0), (0.40, 0.0, 0.0), (0.4006, 0.05, 0.0125), (0.45, 4.166667, 0.05),
    (0.50, 8.333333, 0.05), (0.55, 12.5, 0.05),
]  # fmt: skip


@pytest.mark.parametrize(("p", "fraction", "capped"), KELLY_NOTIONAL)
def test_kelly_as_a_share_of_the_notional(p: float, fraction: float, capped: float) -> None:
    """Known answer kelly-notional (f* = p / loss - q / win, Thorp): stop 2 %, target 3 %.

    A quarter of it under a cap of 5 % is the cap nearly at once, hence `edge` below.
    """
    raw = kelly_fraction(p, 0.03, 0.02)
    assert raw == pytest.approx(fraction, abs=1e-6)
    assert min(max(raw / 4, 0.0), 0.05) == pytest.approx(capped, abs=1e-6)


@pytest.mark.parametrize(
    ("fee", "runner", "breakeven"),
    [
        (0.0, 0.0, 0.571429), (0.0, 0.03, 0.4), (0.002, 0.0, 0.628571), (0.002, 0.03, 0.44),
        (0.003, 0.0, 0.657143), (0.003, 0.03, 0.46),
    ],
)  # fmt: skip
def test_the_win_rate_the_ladder_needs(fee: float, runner: float, breakeven: float) -> None:
    """Known answer ladder-breakeven-win-rate: L / (L + W), L = stop + fee, W = 0.5 tp1 + ..."""
    assert ladder_breakeven(0.02, 0.03, 0.5, runner, fee) == pytest.approx(breakeven, abs=1e-6)


def test_at_the_break_even_of_the_ladder_kelly_is_zero() -> None:
    """The two agree where the runner earns the target: one is the other's root."""
    p = ladder_breakeven(0.02, 0.03, 0.5, 0.03, 0.0024)
    assert kelly_fraction(p, 0.03 - 0.0024, 0.02 + 0.0024) == pytest.approx(0.0, abs=1e-12)


# --- the edge on paper ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("confidence", "share"),
    [(65.0, 1.0), (100.0, 1.0), (52.5, 0.5), (40.0, 0.0), (46.25, 0.25), (39.9, 0.0), (0.0, 0.0)],
)
def test_the_edge_is_a_line_from_break_even_to_p_full(confidence: float, share: float) -> None:
    """kelly is linear in p and 0 at 40 %, so g(p) = (p - 0.40) / 0.25 without costs."""
    assert edge(confidence, Limits(), FREE) == pytest.approx(share, abs=1e-12)


def test_the_round_trip_moves_break_even() -> None:
    """2 * (2 + 10) bps = 0.24 %: break-even is (0.02 + 0.0024) / 0.05 = 44.8 %."""
    costs = Costs(half_spread=0.0002, taker_fee=0.001, impact=99.0, maker_fee=0.5)
    assert edge(44.7999, Limits(), costs) == 0.0
    assert edge(44.8001, Limits(), costs) > 0.0
    assert edge(54.9, Limits(), costs) == pytest.approx(0.5, rel=1e-9)


def test_the_wanted_share_is_cap_times_edge_times_multiplier() -> None:
    limits = Limits(max_position=0.08)
    assert wanted_share(52.5, 0.5, limits, FREE) == pytest.approx(0.08 * 0.5 * 0.5, rel=1e-12)
    assert wanted_share(90.0, 1.0, limits, FREE) == 0.08


@pytest.mark.parametrize(
    "costs",
    [
        FREE._replace(taker_fee=0.015), FREE._replace(half_spread=0.015),
        FREE._replace(taker_fee=0.5, half_spread=0.5), FREE._replace(taker_fee=0.0151),
    ],
)  # fmt: skip
def test_costs_that_eat_the_target_leave_nothing(costs: Costs) -> None:
    """A round trip of 3 % and more against a target of 3 %."""
    assert edge(100.0, Limits(), costs) == 0.0
    assert wanted_share(100.0, 1.0, Limits(), costs) == 0.0


def test_a_target_at_infinity_is_no_game() -> None:
    assert edge(100.0, Limits(take_profit=math.inf), FREE) == 0.0


@pytest.mark.parametrize("p_full", [0.01, 0.39, 0.40])
def test_full_size_at_or_below_break_even_is_no_size(p_full: float) -> None:
    for confidence in (10.0, 40.0, 65.0, 100.0):
        assert edge(confidence, Limits(p_full=p_full), FREE) == 0.0


def test_shares_that_are_dust_count_as_nothing() -> None:
    """At or below 1e-9, of the edge and of the equity."""
    just = Limits(max_position=1e-9)
    assert wanted_share(100.0, 1.0, just, FREE) == 0.0
    assert wanted_share(100.0, 1.0, just._replace(max_position=1.0000001e-9), FREE) > 0.0
    assert wanted_share(100.0, 1e-9, Limits(max_position=1.0), FREE) == 0.0
    dust = 40.0 + 100 * 0.25 * TINY  # the edge here is 1e-9 to within its last bits
    assert edge(dust - 1e-9, Limits(), FREE) == 0.0
    assert edge(40.0 + 1e-6, Limits(), FREE) == pytest.approx(4e-8, rel=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1e-300, 1.0000000000000002])
def test_out_of_range_is_zero(value: float) -> None:
    assert within(value, 1.0) == 0.0
    assert wanted_share(90.0, value, Limits(), FREE) == 0.0
    assert wanted_share(value * 100.0, 1.0, Limits(), FREE) == 0.0


@pytest.mark.parametrize("value", [0.0, 5e-324, 0.5, 1.0])
def test_the_range_includes_its_ends(value: float) -> None:
    assert within(value, 1.0) == value


# --- the edge for any numbers --------------------------------------------------------------------

any_limits = st.builds(
    lambda stop, target, p_full, cap: Limits(
        stop=stop, take_profit=target, p_full=p_full, max_position=cap
    ),
    st.floats(1e-300, 0.999), st.one_of(st.floats(1e-300, 1e300), st.floats(0.001, 0.1)),
    st.floats(1e-3, 1.0), st.floats(1e-6, 1.0),
)  # fmt: skip
any_costs = st.builds(
    lambda spread, fee: Costs(half_spread=spread, taker_fee=fee),
    st.floats(0.0, 0.01), st.floats(0.0, 0.01),
)  # fmt: skip


@always_the_same
@given(any_limits, any_costs, st.lists(st.floats(0.0, 100.0), min_size=2, max_size=9))
def test_the_edge_never_falls_with_confidence(
    limits: Limits, costs: Costs, confidences: list[float]
) -> None:
    shares = [edge(c, limits, costs) for c in sorted(confidences)]
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert all(low <= high for low, high in itertools.pairwise(shares))
    wanted = [wanted_share(c, 1.0, limits, costs) for c in sorted(confidences)]
    assert all(low <= high for low, high in itertools.pairwise(wanted))
    assert all(share <= limits.max_position for share in wanted)


@always_the_same
@given(any_limits, any_costs, st.floats(), st.floats())
def test_no_number_gets_more_than_the_cap(
    limits: Limits, costs: Costs, confidence: float, multiplier: float
) -> None:
    share = wanted_share(confidence, multiplier, limits, costs)
    assert 0.0 <= share <= limits.max_position
    assert share <= limits.max_position * within(multiplier, 1.0)


@always_the_same
@given(any_limits, any_costs, st.floats(0.0, 1.0))
def test_nothing_at_or_below_break_even(limits: Limits, costs: Costs, below: float) -> None:
    """Break-even is where p / loss = (1 - p) / win, at loss / (loss + win)."""
    round_trip = 2.0 * (costs.half_spread + costs.taker_fee)
    win, loss = limits.take_profit - round_trip, limits.stop + round_trip
    even = loss / (loss + win) if win > 0.0 else 1.0
    assert edge(100.0 * even * below * (1.0 - 1e-12), limits, costs) == 0.0


@always_the_same
@given(any_limits, any_costs, st.floats(0.0, 100.0))
def test_the_edge_has_the_size_of_its_formula(
    limits: Limits, costs: Costs, confidence: float
) -> None:
    """As a ratio of distances from break-even: (p - even) / (p_full - even), clipped."""
    round_trip = 2.0 * (costs.half_spread + costs.taker_fee)
    win, loss = limits.take_profit - round_trip, limits.stop + round_trip
    even = loss / (loss + win) if win > 0.0 else 1.0
    if limits.p_full - even < 1e-6 or win < 1e-6:
        return
    expected = min(max((confidence / 100.0 - even) / (limits.p_full - even), 0.0), 1.0)
    assert edge(confidence, limits, costs) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@always_the_same
@given(st.floats(0.0, 100.0), st.floats(0.0, 0.01), st.floats(0.0, 0.01))
def test_dearer_is_never_larger(confidence: float, fee: float, more: float) -> None:
    cheap, dear = FREE._replace(taker_fee=fee), FREE._replace(taker_fee=fee + more)
    assert edge(confidence, Limits(), dear) <= edge(confidence, Limits(), cheap) + 1e-12
