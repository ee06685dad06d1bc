"""What one bar does to one position, rule by rule, in both directions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import arrays as a
from workbench.domain import Costs, Limits
from workbench.execution.fills import apply_fill, observe, protect, stop_level, through_bar, trade

always_the_same = settings(max_examples=500, derandomize=True, deadline=None, database=None)
FREE = Costs(half_spread=0.0, impact=0.0, taker_fee=0.0, maker_fee=0.0)
LIMITS = Limits(take_profit_share=0.25)
LONG, SHORT = 1.0, -1.0
BAR = 1_000
prices = st.floats(1e-6, 1e9)
fractions = st.floats(1e-6, 0.999)


class Desk:
    """One symbol, 1,000 of cash, and a position as wanted."""

    def __init__(self, side: float = 0.0, quantity: float = 4.0, **cells: float) -> None:
        self.book = np.zeros((1, a.BOOK_COLUMNS))
        self.account = np.zeros(a.ACCOUNT_CELLS)
        self.account[a.CASH] = 1_000.0
        self.fills = np.empty((6, a.FILL_COLUMNS))
        self.n = 0
        if side:
            self.book[0, : a.EXIT_ASKED] = side, quantity, 100.0, cells.get("best", 100.0), 0.0
            self.book[0, a.RUNG] = cells.get("rung", 0.0)

    def bar(self, open: float, high: float, low: float, close: float | None = None) -> Desk:
        market = np.array([[[open, high, low, close or open, 1e6, 0.0, 0.0, close or open]]])
        self.n = trade(self.book, self.account, market, self.fills, self.n, 0, BAR, LIMITS, FREE)
        return self

    @property
    def done(self) -> list[tuple[str, float, float, float]]:
        """(why, direction, quantity, price) of each fill."""
        columns = [a.F_WHY, a.F_DIRECTION, a.F_QUANTITY, a.F_PRICE]
        rows = self.fills[: self.n][:, columns].tolist()
        return [(a.WHY_NAMES[int(why)], *rest) for why, *rest in rows]

    def cell(self, column: int) -> float:
        return float(self.book[0, column])


def mirrored(side: float, open: float, high: float, low: float) -> tuple[float, float, float]:
    """The bar as a short sees it: reflected at 100."""
    return (open, high, low) if side > 0 else (200.0 - open, 200.0 - low, 200.0 - high)


# --- the stop level ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "best", "rung", "level", "why"),
    [
        (LONG, 110.0, 0.0, 98.0, a.WHY_STOP),
        (LONG, 110.0, 1.0, 108.35, a.WHY_TRAIL),
        (LONG, 99.0, 1.0, 98.0, a.WHY_STOP),  # 97.515 is below the hard stop
        (SHORT, 90.0, 0.0, 102.0, a.WHY_STOP),
        (SHORT, 90.0, 1.0, 91.35, a.WHY_TRAIL),
        (SHORT, 101.0, 1.0, 102.0, a.WHY_STOP),
    ],
)
def test_the_level_of_the_stop(
    side: float, best: float, rung: float, level: float, why: int
) -> None:
    found, name = stop_level(side, 100.0, best, rung, Limits())
    assert (found, name) == (pytest.approx(level, rel=1e-12), why)


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_a_trail_on_the_hard_stop_is_the_hard_stop(side: float) -> None:
    limits = Limits(stop=0.5, trail=0.5)
    assert stop_level(side, 64.0, 64.0, 1.0, limits)[1] == a.WHY_STOP


@always_the_same
@given(prices, fractions, fractions, fractions, st.sampled_from([0.0, 1.0]))
def test_the_level_is_never_worse_than_the_hard_stop(
    entry: float, stop: float, trail: float, gain: float, rung: float
) -> None:
    limits = Limits(stop=stop, trail=trail)
    for side in (LONG, SHORT):
        best = entry * (1.0 + side * gain)
        hard, _ = stop_level(side, entry, best, 0.0, limits)
        level, why = stop_level(side, entry, best, rung, limits)
        assert hard == entry * (1.0 - side * stop)
        assert side * level >= side * hard
        assert (why == a.WHY_TRAIL) == (level != hard)
        further, _ = stop_level(side, entry, best * (1.0 + side * 0.01), rung, limits)
        assert side * further >= side * level


# --- one fill ------------------------------------------------------------------------------------


def fill(desk: Desk, direction: float, quantity: float, price: float, why: int) -> Desk:
    apply_fill(desk.book, desk.account, 0, BAR, direction, quantity, price, 0.5, why, 3.0)
    return desk


@pytest.mark.parametrize(("direction", "cash"), [(1.0, 599.5), (-1.0, 1_399.5)])
def test_an_entry_pays_and_opens(direction: float, cash: float) -> None:
    desk = Desk()
    desk.book[0, [a.PENDING, a.FREE_FROM, a.RUNG]] = direction * 4.0, 7.0, 1.0
    fill(desk, direction, 4.0, 100.0, a.WHY_ENTRY)
    assert desk.account[a.CASH] == cash
    assert desk.book[0].tolist() == [direction, 4.0, 100.0, 100.0, 0.0, 0.0, 7.0, 0.0]
    assert desk.account[a.STOPOUTS] == 0.0


@pytest.mark.parametrize("why", [a.WHY_STOP, a.WHY_TRAIL, a.WHY_EXIT])
@pytest.mark.parametrize("side", [LONG, SHORT])
def test_the_last_exit_leaves_nothing_but_the_cooldown(side: float, why: int) -> None:
    desk = Desk(side, rung=1.0)
    desk.book[0, a.EXIT_ASKED] = 1.0
    fill(desk, -side, 4.0, 110.0, why)
    assert desk.account[a.CASH] == 1_000.0 + side * 440.0 - 0.5
    assert desk.book[0].tolist() == [0.0] * a.FREE_FROM + [BAR + 3.0, 0.0]
    assert desk.account[a.STOPOUTS] == (1.0 if why == a.WHY_STOP else 0.0)


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_the_rung_leaves_a_rest(side: float) -> None:
    desk = fill(Desk(side), -side, 1.0, 103.0, a.WHY_TAKE_PROFIT)
    assert (desk.cell(a.QUANTITY), desk.cell(a.RUNG), desk.cell(a.SIDE)) == (3.0, 1.0, side)
    assert desk.cell(a.FREE_FROM) == 0.0


def test_a_part_of_an_exit_keeps_the_position() -> None:
    """An exchange may fill a stop in pieces; the rest is still held."""
    desk = fill(Desk(LONG), -1.0, 1.5, 98.0, a.WHY_STOP)
    assert (desk.cell(a.QUANTITY), desk.cell(a.SIDE), desk.cell(a.RUNG)) == (2.5, 1.0, 0.0)


# --- one bar -------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [LONG, SHORT])
@pytest.mark.parametrize(
    ("bar", "expected"),
    [
        ((100, 102, 98.5), []),
        ((100, 102, 98), [("stop", 4.0, 98.0)]),
        ((100, 104, 97), [("stop", 4.0, 98.0)]),
        ((97, 104, 96), [("stop", 4.0, 97.0)]),
        ((98, 99, 98), [("stop", 4.0, 98.0)]),
        ((100, 103, 99), [("take_profit", 1.0, 103.0)]),
        ((105, 106, 104), [("take_profit", 1.0, 103.0)]),
    ],
)
def test_a_bar_meets_a_position(
    side: float, bar: tuple[float, float, float], expected: list[tuple[str, float, float]]
) -> None:
    done = Desk(side).bar(*mirrored(side, *bar)).done
    mirror = (lambda price: price) if side > 0 else (lambda price: 200.0 - price)
    assert [(why, q, mirror(p)) for why, _, q, p in done] == [
        (why, q, pytest.approx(p, rel=1e-12)) for why, q, p in expected
    ]
    assert all(direction == -side for _, direction, _, _ in done)


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_an_asked_exit_comes_first_and_alone(side: float) -> None:
    desk = Desk(side)
    desk.book[0, a.EXIT_ASKED] = 1.0
    desk.bar(*mirrored(side, 97, 104, 96))
    assert [why for why, *_ in desk.done] == ["exit"]


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_a_pending_entry_fills_and_is_protected_in_its_bar(side: float) -> None:
    desk = Desk()
    desk.book[0, a.PENDING] = side * 2.0
    desk.bar(*mirrored(side, 100, 100.5, 97))
    assert [(why, d) for why, d, *_ in desk.done] == [("entry", side), ("stop", -side)]
    assert desk.cell(a.FREE_FROM) == BAR + LIMITS.cooldown_bars


@pytest.mark.parametrize("open_", [math.nan, 0.0, -1.0, math.inf])
def test_without_an_open_nothing_fills_and_nothing_is_observed(open_: float) -> None:
    desk = Desk(LONG).bar(open_, 150.0, 1.0, 100.0)
    assert desk.done == []
    assert desk.cell(a.HIGH_WATER) == 100.0
    waiting = Desk()
    waiting.book[0, a.PENDING] = 2.0
    assert waiting.bar(open_, 100.0, 100.0, 100.0).done == []
    assert waiting.cell(a.PENDING) == 0.0


@pytest.mark.parametrize(("side", "best"), [(LONG, 102.5), (SHORT, 97.5)])
def test_the_high_water_follows_the_good_side_only(side: float, best: float) -> None:
    desk = Desk(side).bar(*mirrored(side, 100, 102.5, 99))
    assert desk.cell(a.HIGH_WATER) == best
    assert desk.bar(*mirrored(side, 100, 101, 99)).cell(a.HIGH_WATER) == best


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
@pytest.mark.parametrize("side", [LONG, SHORT])
def test_prices_that_are_none_trigger_nothing(side: float, bad: float) -> None:
    high_low = Desk(side).bar(100.0, bad, bad, 100.0)
    assert high_low.done == []
    assert high_low.cell(a.HIGH_WATER) == 100.0


def test_a_short_has_no_target_below_zero() -> None:
    """A fall of 150 % does not happen; the position runs until its stop."""
    limits = Limits(take_profit=1.5)
    desk = Desk(SHORT)
    market = np.array([[[50.0, 60.0, 1e-9, 50.0, 1e6, 0.0, 0.0, 50.0]]])
    args: tuple[Any, ...] = (0, 0, BAR, 0, limits, FREE)
    assert protect(desk.book, desk.account, market, desk.fills, *args) == 0
    endless = limits._replace(take_profit=math.inf)
    assert protect(desk.book, desk.account, market, desk.fills, *args[:4], endless, FREE) == 0
    long = Desk(LONG)
    market[0, 0, :3] = 100.0, 1e300, 100.0
    assert protect(long.book, long.account, market, long.fills, *args[:4], endless, FREE) == 0


def test_a_flat_symbol_is_not_touched() -> None:
    desk = Desk()
    desk.book[0, a.FREE_FROM] = 77.0
    assert desk.bar(100.0, 200.0, 1.0).done == []
    assert desk.cell(a.FREE_FROM) == 77.0
    market = np.array([[[100.0, 200.0, 1.0, 100.0, 1e6, 0.0, 0.0, 100.0]]])
    observe(desk.book, market, 0, 0)
    assert desk.cell(a.HIGH_WATER) == 0.0
    assert through_bar(
        desk.book, desk.account, market, desk.fills, 0, 0, BAR, 0, LIMITS, FREE
    ) == 0  # fmt: skip


bars = st.tuples(*[st.one_of(st.floats(1.0, 1e4), st.sampled_from([math.nan, 0.0, math.inf]))] * 3)


@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")
@always_the_same
@given(
    st.sampled_from([LONG, SHORT]), st.lists(bars, min_size=1, max_size=6),
    st.floats(0.01, 1.0), st.floats(0.001, 0.5), st.floats(0.0, 0.3),
)  # fmt: skip
def test_no_run_of_bars_sells_more_than_was_bought(
    side: float, story: list[tuple[float, float, float]], share: float, stop: float, spread: float
) -> None:
    """Nor makes more than three fills of it, nor flips it."""
    limits = Limits(take_profit_share=share, stop=stop)
    desk = Desk()
    desk.book[0, a.PENDING] = side * 4.0
    for t, (open_, high, low) in enumerate(story):
        market = np.array([[[open_, high, low, open_, 1e6, 0.02, 1e6, 100.0]]])
        desk.n = trade(
            desk.book, desk.account, market, desk.fills, desk.n, 0, BAR + t,
            limits, Costs(half_spread=spread),
        )  # fmt: skip
        assert desk.cell(a.QUANTITY) >= 0.0
        assert desk.cell(a.SIDE) in (0.0, side)
    done = desk.done
    assert len(done) <= 3
    entered = sum(q for why, _, q, _ in done if why == "entry")
    left = sum(q for why, _, q, _ in done if why != "entry")
    assert left <= entered
    assert entered - left == pytest.approx(desk.cell(a.QUANTITY), abs=1e-12)
    flows = sum(-d * q * p for _, d, q, p in done) - desk.fills[: desk.n, a.F_FEE].sum()
    assert desk.account[a.CASH] == pytest.approx(1_000.0 + flows, rel=1e-9, abs=1e-9)
