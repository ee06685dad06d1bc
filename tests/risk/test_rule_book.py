"""Every rule of the rule book on worlds small enough to work out on paper.

Each test runs against the product's `replay` and against the oracle: the oracle that judges the
replay on thousands of bars is itself held to the answers computed here by hand.

The usual story: 10,000 of capital, a close of 100, full confidence, so an entry of 5 % = 500 = 5
units; stop at 98, target at 103. Bar 0 is the first bar of the story, claims are made at its close
and fill at the open of bar 1. Costs are nil unless a test is about them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from tests.oracle import oracle_replay
from tests.panels import (
    MISSING,
    NAN,
    Claim,
    World,
    buy,
    days_of,
    flat,
    leave,
    sell_short,
    walsh,
    world,
)
from workbench.domain import Costs, Limits, Proposal, UsageError, parse_timeframe
from workbench.research.replay import replay

FREE = Costs(half_spread=0.0, impact=0.0, taker_fee=0.0, maker_fee=0.0)
SHORTS = Limits(allow_short=True)
EAGER = Limits(cooldown_bars=0, max_stopouts_per_day=1000, max_entries_per_day=1000)
ALL_IN = Limits(max_position=1.0, max_deployed=1.0, stop=0.5, take_profit=1.0)
INFINITE = math.inf

STOPPED: list[tuple[float, ...]] = [(100, 100, 97, 100)]  # opens at 100, touches 98, closes at 100
RUNG = (100.5, 103.5, 100, 103)  # touches the target 103 and stays above the stop


@dataclass
class Told:
    """A result in the words of the tests: fills by bar of the story, equity by bar, blocks."""

    fills: list[tuple[int, str, str, float, float, str]]
    fees: list[float]
    equity: list[float]
    blocks: dict[str, int]
    raw: Any


Play = Callable[..., Told]


@pytest.fixture(params=[replay, oracle_replay], ids=["replay", "oracle"])
def play(request: pytest.FixtureRequest) -> Play:
    """Run a story: play(world, *claims, limits=, costs=, capital=)."""

    def run(
        story: World, *claims: Claim, limits: Limits | None = None, costs: Costs = FREE,
        capital: float = 10_000.0,
    ) -> Told:  # fmt: skip
        proposal = story.proposal(*claims)
        result = request.param(story.panel, proposal, limits or Limits(), costs, capital)
        return Told(
            [
                (story.bar_of(f.time), f.symbol, f.side, f.quantity, f.price, f.reason)
                for f in result.fills.itertuples()
            ],
            list(result.fills["fee"]),
            list(result.equity.iloc[story.first :]),
            {name: int(n) for name, n in dict(result.blocks).items() if n and name != "ACCEPTED"},
            result,
        )

    return run


def same(found: list[tuple], expected: list[tuple]) -> bool:
    """The same fills, numbers within 1e-12 of each other."""
    return len(found) == len(expected) and all(
        a == pytest.approx(b, rel=1e-12) if isinstance(b, float) else a == b
        for row, want in zip(found, expected, strict=True)
        for a, b in zip(row, want, strict=True)
    )


def one(*bars: tuple[float, ...], start: str = "2024-03-01", timeframe: str = "1h") -> World:
    """A world of one symbol, AAA."""
    return world({"AAA": list(bars)}, start=start, timeframe=timeframe)


def strangers(
    stories: dict[str, list[tuple[float, ...]]], timeframe: str = "6h", **named: Any
) -> World:
    """A world of symbols with 61 completed daily returns each that do not correlate."""
    bars_a_day = int(pd.Timedelta("1D") / parse_timeframe(timeframe))
    history = {
        symbol: days_of(walsh(k, 61), bars_a_day=bars_a_day)
        for k, symbol in enumerate(stories, start=1)
    }
    return world(stories, timeframe=timeframe, history=history, **named)


def entry(bar: int, price: float = 100.0, quantity: float = 5.0, symbol: str = "AAA") -> tuple:
    return (bar, symbol, "buy", quantity, price, "entry")


def sold(bar: int, price: float, reason: str, quantity: float = 5.0, symbol: str = "AAA") -> tuple:
    return (bar, symbol, "sell", quantity, price, reason)


# --- the open of a bar: entries and asked exits --------------------------------------------------


def test_nothing_wanted_is_nothing_done(play: Play) -> None:
    told = play(one(*flat(bars=3)))
    assert told.fills == []
    assert told.equity == [10_000.0] * 3
    assert told.blocks == {}


def test_an_entry_fills_at_the_next_open_moved_against_us_with_the_taker_fee(play: Play) -> None:
    costs = Costs(half_spread=0.001, impact=0.0, taker_fee=0.002, maker_fee=0.0)
    story = one(*flat(), (101, 101.5, 100.5, 101))
    told = play(story, buy("AAA", 0), costs=costs)
    # 5 % of 10,000 at the close of 100 = 5 units; 101 * 1.001 = 101.101; fee 5 * 101.101 * 0.002.
    assert same(told.fills, [entry(1, 101.101)])
    assert told.fees == pytest.approx([1.01101], rel=1e-12)
    # cash 10,000 - 505.505 - 1.01101 plus 5 units at the close of 101 = 505.
    assert told.equity == pytest.approx([10_000, 9_998.48399], rel=1e-12)


def test_the_quantity_is_fixed_at_the_decision_whatever_the_open_is(play: Play) -> None:
    told = play(one(*flat(), *flat(200.0)), buy("AAA", 0))
    assert same(told.fills, [entry(1, 200.0, quantity=5.0)])


def test_a_short_entry_sells_below_the_open(play: Play) -> None:
    costs = FREE._replace(half_spread=0.001)
    told = play(one(*flat(), *flat(bars=1)), sell_short("AAA", 0), limits=SHORTS, costs=costs)
    assert same(told.fills, [(1, "AAA", "sell", 5.0, 99.9, "entry")])
    # cash 10,000 + 499.5, and 5 units owed at 100.
    assert told.equity[1] == pytest.approx(9_999.5, rel=1e-12)


def test_a_decision_at_the_last_close_never_fills(play: Play) -> None:
    told = play(one(*flat(bars=2)), buy("AAA", 1))
    assert told.fills == []
    assert told.blocks == {}


def test_an_asked_exit_fills_at_the_next_open_with_costs(play: Play) -> None:
    costs = FREE._replace(half_spread=0.001, taker_fee=0.001)
    story = one(*flat(bars=3), (101, 101, 101, 101), *flat())
    told = play(story, buy("AAA", 0), leave("AAA", 2), costs=costs)
    # 101 * 0.999 = 100.899; fee 5 * 100.899 * 0.001.
    assert same(told.fills, [entry(1, 100.1), sold(3, 100.899, "exit")])
    assert told.fees == pytest.approx([0.5005, 0.504495], rel=1e-12)


def test_an_asked_exit_comes_before_a_stop_that_the_same_open_would_trigger(play: Play) -> None:
    story = one(*flat(bars=3), (95, 95, 94, 95))
    told = play(story, buy("AAA", 0), leave("AAA", 2))
    assert same(told.fills, [entry(1), sold(3, 95.0, "exit")])


def test_an_exit_concerns_only_positions_open_at_that_close(play: Play) -> None:
    """Asked while flat, or at the very close that accepts the entry, it does nothing."""
    told = play(one(*flat(bars=5)), leave("AAA", 0), leave("AAA", 1), buy("AAA", 1))
    assert same(told.fills, [entry(2)])


def test_a_position_whose_exit_is_asked_still_counts_as_open_at_that_close(play: Play) -> None:
    told = play(one(*flat(bars=5)), buy("AAA", 0), leave("AAA", 2), buy("AAA", 2))
    assert same(told.fills, [entry(1), sold(3, 100.0, "exit")])
    assert told.blocks == {"ALREADY_OPEN": 1}


def test_positions_still_open_at_the_end_are_marked_without_exit_costs(play: Play) -> None:
    costs = FREE._replace(half_spread=0.005)
    told = play(one(*flat(), (100, 102, 100, 102)), buy("AAA", 0), costs=costs)
    # bought at 100.5, marked at 102: 10,000 - 502.5 + 510.
    assert same(told.fills, [entry(1, 100.5)])
    assert told.equity[-1] == pytest.approx(10_007.5, rel=1e-12)


def test_inside_a_bar_symbols_go_in_ascending_order(play: Play) -> None:
    story = strangers({"BBB": [*flat(), *STOPPED], "AAA": [*flat(), *STOPPED]})
    told = play(story, buy("BBB", 0, 90), buy("AAA", 0, 70))
    assert [(f[1], f[5]) for f in told.fills] == [
        ("AAA", "entry"), ("AAA", "stop"), ("BBB", "entry"), ("BBB", "stop"),
    ]  # fmt: skip


# --- inside a bar: the stop ----------------------------------------------------------------------


def test_a_low_below_the_stop_exits_all_at_the_stop(play: Play) -> None:
    told = play(one(*flat(bars=2), (99.5, 99.8, 97, 99)), buy("AAA", 0))
    assert same(told.fills, [entry(1), sold(2, 98.0, "stop")])
    assert told.equity[-1] == pytest.approx(9_990.0, rel=1e-12)  # 5 units lose 2 each


def test_a_low_that_touches_the_stop_is_enough(play: Play) -> None:
    told = play(one(*flat(bars=2), (99.5, 99.8, 98.0, 99)), buy("AAA", 0))
    assert same(told.fills, [entry(1), sold(2, 98.0, "stop")])


def test_a_low_just_above_the_stop_is_not(play: Play) -> None:
    told = play(one(*flat(bars=2), (99.5, 99.8, 98.01, 99)), buy("AAA", 0))
    assert same(told.fills, [entry(1)])


def test_a_gap_through_the_stop_fills_at_the_open(play: Play) -> None:
    told = play(one(*flat(bars=2), (95, 96, 94, 95)), buy("AAA", 0))
    assert same(told.fills, [entry(1), sold(2, 95.0, "stop")])


def test_the_stop_is_measured_from_the_fill_and_pays_costs(play: Play) -> None:
    costs = FREE._replace(half_spread=0.001, taker_fee=0.001)
    told = play(one(*flat(bars=2), (99.5, 99.8, 97, 99)), buy("AAA", 0), costs=costs)
    # fill 100.1, level 100.1 * 0.98 = 98.098, sold at 98.098 * 0.999 = 97.999902.
    assert same(told.fills, [entry(1, 100.1), sold(2, 97.999902, "stop")])
    assert told.fees[1] == pytest.approx(5 * 97.999902 * 0.001, rel=1e-12)


def test_the_entry_bar_can_stop_out(play: Play) -> None:
    told = play(one(*flat(), (100, 101, 97, 99)), buy("AAA", 0))
    assert same(told.fills, [entry(1), sold(1, 98.0, "stop")])


def test_stop_before_target_when_one_bar_touches_both(play: Play) -> None:
    """Known answer stop-and-target-same-bar: everything at 98, -2 %."""
    told = play(one(*flat(), (100, 104, 97, 99)), buy("AAA", 0), limits=Limits(trail=0.02))
    assert same(told.fills, [entry(1), sold(1, 98.0, "stop")])
    assert told.equity[-1] - 10_000 == pytest.approx(500 * -0.02, rel=1e-9)


def test_a_bar_with_prices_and_no_volume_fills(play: Play) -> None:
    story = one(*flat(), (100, 100, 100, 100, 0), (99, 99, 97, 99, 0))
    told = play(story, buy("AAA", 0))
    assert same(told.fills, [entry(1), sold(2, 98.0, "stop")])


# --- inside a bar: the ladder --------------------------------------------------------------------


def test_the_ladder_on_the_known_path(play: Play) -> None:
    """Known answer ladder-path: half at 103, the rest at 110 * 0.98 = 107.8, +5.4 %."""
    story = one(
        *flat(),
        (100, 101, 99, 100.5), (100.5, 103.5, 100, 103), (103, 110, 102.9, 109),
        (109, 109.5, 107, 107.5),
    )  # fmt: skip
    told = play(story, buy("AAA", 0), limits=Limits(trail=0.02))
    assert same(
        told.fills, [entry(1), sold(2, 103.0, "take_profit", 2.5), sold(4, 107.8, "trail", 2.5)]
    )
    assert told.equity[-1] - 10_000 == pytest.approx(500 * 0.054, rel=1e-9)


def test_the_target_is_a_limit_order_with_the_maker_fee_and_no_slippage(play: Play) -> None:
    costs = Costs(half_spread=0.001, impact=0.0, taker_fee=0.002, maker_fee=0.0005)
    told = play(one(*flat(bars=2), (101, 104, 100, 103)), buy("AAA", 0), costs=costs)
    # fill 100.1, target 100.1 * 1.03 = 103.103; fee 2.5 * 103.103 * 0.0005.
    assert same(told.fills, [entry(1, 100.1), sold(2, 103.103, "take_profit", 2.5)])
    assert told.fees[1] == pytest.approx(0.12887875, rel=1e-12)


def test_a_high_that_touches_the_target_is_enough(play: Play) -> None:
    told = play(one(*flat(bars=2), (101, 103.0, 100, 102)), buy("AAA", 0))
    assert same(told.fills, [entry(1), sold(2, 103.0, "take_profit", 2.5)])


def test_a_gap_above_the_target_fills_at_the_target(play: Play) -> None:
    told = play(one(*flat(bars=2), (110, 111, 109, 110)), buy("AAA", 0))
    assert same(told.fills, [entry(1), sold(2, 103.0, "take_profit", 2.5)])


def test_the_entry_bar_can_reach_the_target(play: Play) -> None:
    told = play(one(*flat(), (100, 104, 99, 103)), buy("AAA", 0))
    assert same(told.fills, [entry(1), sold(1, 103.0, "take_profit", 2.5)])


def test_the_rung_is_taken_once(play: Play) -> None:
    told = play(one(*flat(bars=2), RUNG, (103, 104, 102.5, 104)), buy("AAA", 0))
    assert same(told.fills, [entry(1), sold(2, 103.0, "take_profit", 2.5)])


def test_the_trail_sleeps_in_the_bar_of_the_rung(play: Play) -> None:
    """The rung's bar falls to 100, far below 103.5 * 0.985 = 101.9475; only the next bar sells."""
    told = play(one(*flat(bars=2), RUNG, (102.5, 102.6, 101, 101.5)), buy("AAA", 0))
    assert same(
        told.fills, [entry(1), sold(2, 103.0, "take_profit", 2.5), sold(3, 101.9475, "trail", 2.5)]
    )


def test_the_high_water_is_the_one_through_the_previous_bar(play: Play) -> None:
    """A bar from 102.5 to 120 is under 120 * 0.985 = 118.2 but not under 101.9475: it goes on."""
    story = one(*flat(bars=2), RUNG, (103, 120, 102.5, 119), (119, 119.5, 118, 118.1))
    told = play(story, buy("AAA", 0))
    assert same(
        told.fills, [entry(1), sold(2, 103.0, "take_profit", 2.5), sold(4, 118.2, "trail", 2.5)]
    )


def test_a_gap_through_the_trail_fills_at_the_open_as_trail(play: Play) -> None:
    told = play(one(*flat(bars=2), RUNG, (101, 101.5, 100.5, 101)), buy("AAA", 0))
    assert same(
        told.fills, [entry(1), sold(2, 103.0, "take_profit", 2.5), sold(3, 101.0, "trail", 2.5)]
    )


def test_the_trail_is_never_below_the_hard_stop(play: Play) -> None:
    """A trail of 6 % under 103.5 is 97.29: the hard stop 98 stands, and its exit is a stop."""
    story = one(*flat(bars=2), RUNG, (99, 99, 97.5, 98.5), *flat())
    limits = Limits(trail=0.06, max_stopouts_per_day=1)
    told = play(story, buy("AAA", 0), buy("AAA", 3), limits=limits)
    assert same(
        told.fills, [entry(1), sold(2, 103.0, "take_profit", 2.5), sold(3, 98.0, "stop", 2.5)]
    )
    assert told.blocks == {"MAX_STOPOUTS": 1}


def test_the_rung_sells_the_share_of_the_entry_quantity(play: Play) -> None:
    limits = Limits(take_profit_share=0.3)
    told = play(one(*flat(bars=2), RUNG, (102.5, 102.6, 101, 101)), buy("AAA", 0), limits=limits)
    assert same(
        told.fills, [entry(1), sold(2, 103.0, "take_profit", 1.5), sold(3, 101.9475, "trail", 3.5)]
    )


def test_a_share_of_one_closes_the_position_at_the_target(play: Play) -> None:
    limits = Limits(take_profit_share=1.0)
    story = one(*flat(bars=2), RUNG, (102, 102, 90, 91), *flat(91.0, 3))
    told = play(story, buy("AAA", 0), buy("AAA", 4), buy("AAA", 5), limits=limits)
    # closed at bar 2: the cooldown blocks decisions at 2, 3 and 4, the one at 5 is free.
    assert told.blocks == {"COOLDOWN": 1}
    # 5 % of 10,015 at 91.
    assert same(
        told.fills,
        [entry(1), sold(2, 103.0, "take_profit", 5.0), entry(6, 91.0, 500.75 / 91)],
    )


# --- shorts mirror all of it ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bar", "price"),
    [
        pytest.param((100.5, 103, 100, 101), 102.0, id="at the level"),
        pytest.param((100.5, 102, 100, 101), 102.0, id="touched"),
        pytest.param((105, 106, 104, 105), 105.0, id="gap"),
        pytest.param((100, 103, 96, 99), 102.0, id="stop before target"),
    ],
)
def test_a_short_stops_above_its_entry(play: Play, bar: tuple[float, ...], price: float) -> None:
    told = play(one(*flat(bars=2), bar), sell_short("AAA", 0), limits=SHORTS)
    assert same(
        told.fills,
        [(1, "AAA", "sell", 5.0, 100.0, "entry"), (2, "AAA", "buy", 5.0, price, "stop")],
    )


def test_a_short_pays_the_costs_the_other_way_round(play: Play) -> None:
    costs = FREE._replace(half_spread=0.001)
    told = play(
        one(*flat(bars=2), (100, 103, 100, 101)), sell_short("AAA", 0), limits=SHORTS, costs=costs
    )
    # sold at 99.9, stop at 99.9 * 1.02 = 101.898, bought at 101.898 * 1.001 = 101.999898.
    assert same(told.fills[1:], [(2, "AAA", "buy", 5.0, 101.999898, "stop")])


def test_a_short_ladder_mirrors_the_long_one(play: Play) -> None:
    """Half at 97; low-water 90, so the trail of 2 % buys the rest at 91.8."""
    story = one(
        *flat(),
        (100, 101, 99, 99.5), (99.5, 100, 96.5, 97), (97, 97.1, 90, 91), (91, 93, 90.5, 92.5),
    )  # fmt: skip
    limits = Limits(allow_short=True, trail=0.02)
    told = play(story, sell_short("AAA", 0), limits=limits)
    assert same(
        told.fills,
        [
            (1, "AAA", "sell", 5.0, 100.0, "entry"),
            (2, "AAA", "buy", 2.5, 97.0, "take_profit"),
            (4, "AAA", "buy", 2.5, 91.8, "trail"),
        ],
    )
    assert told.equity[-1] == pytest.approx(10_000 + 2.5 * 3 + 2.5 * 8.2, rel=1e-12)


def test_a_short_gap_below_the_target_fills_at_the_target(play: Play) -> None:
    told = play(one(*flat(bars=2), (90, 91, 89, 90)), sell_short("AAA", 0), limits=SHORTS)
    assert same(told.fills[1:], [(2, "AAA", "buy", 2.5, 97.0, "take_profit")])


def test_a_short_trail_is_never_above_the_hard_stop(play: Play) -> None:
    """After a low-water of 96.5 a trail of 6 % is 102.29: the hard stop 102 stands."""
    limits = Limits(allow_short=True, trail=0.06)
    story = one(*flat(bars=2), (99.5, 100, 96.5, 97), (101, 102.1, 100, 101))
    told = play(story, sell_short("AAA", 0), limits=limits)
    assert same(told.fills[2:], [(3, "AAA", "buy", 2.5, 102.0, "stop")])


def test_a_short_is_left_by_buying(play: Play) -> None:
    costs = FREE._replace(half_spread=0.001)
    told = play(
        one(*flat(bars=4)), sell_short("AAA", 0), leave("AAA", 2), limits=SHORTS, costs=costs
    )
    assert same(told.fills[1:], [(3, "AAA", "buy", 5.0, 100.1, "exit")])


# --- size ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("confidence", "multiplier", "quantity"),
    [
        # win 0.03, loss 0.02: kelly(p) = 50 p - 100/3 (1 - p), 0 at p = 0.4, so g = (p - 0.4)/0.25.
        pytest.param(65.0, 1.0, 5.0, id="full"),
        pytest.param(100.0, 1.0, 5.0, id="never above full"),
        pytest.param(50.0, 1.0, 2.0, id="g 0.4"),
        pytest.param(45.0, 1.0, 1.0, id="g 0.2"),
        pytest.param(65.0, 0.5, 2.5, id="multiplier"),
        pytest.param(50.0, 0.25, 0.5, id="both"),
    ],
)
def test_the_size_follows_the_edge(
    play: Play, confidence: float, multiplier: float, quantity: float
) -> None:
    told = play(one(*flat(bars=2)), buy("AAA", 0, confidence, multiplier))
    assert same(told.fills, [entry(1, quantity=quantity)])


def test_costs_eat_the_edge(play: Play) -> None:
    """Round trip 2 * (0.0002 + 0.001) = 0.0024: g(p) = (p - 0.448) / (0.65 - 0.448)."""
    costs = Costs(half_spread=0.0002, impact=0.0, taker_fee=0.001)
    told = play(one(*flat(bars=2)), buy("AAA", 0, 50.0), costs=costs)
    assert told.fills[0][3] == pytest.approx(5 * 0.052 / 0.202, rel=1e-12)
    assert play(one(*flat(bars=2)), buy("AAA", 0, 44.8), costs=costs).blocks == {"NO_EDGE": 1}


@pytest.mark.parametrize("confidence", [40.0, 39.0, 0.0])
def test_no_edge_at_or_below_break_even(play: Play, confidence: float) -> None:
    told = play(one(*flat(bars=2)), buy("AAA", 0, confidence))
    assert told.fills == []
    assert told.blocks == {"NO_EDGE": 1}


@pytest.mark.parametrize(
    ("limits", "costs"),
    [
        pytest.param(Limits(p_full=0.3), FREE, id="kelly(p_full) below 0"),
        pytest.param(Limits(), FREE._replace(taker_fee=0.02), id="win below 0"),
        pytest.param(Limits(), FREE._replace(half_spread=0.02), id="spread above the win"),
    ],
)
def test_no_edge_when_the_game_itself_does_not_pay(
    play: Play, limits: Limits, costs: Costs
) -> None:
    for confidence in (20.0, 100.0):  # below p_full too, where two losses divide to a gain
        told = play(one(*flat(bars=2)), buy("AAA", 0, confidence), limits=limits, costs=costs)
        assert told.fills == []
        assert told.blocks == {"NO_EDGE": 1}


@pytest.mark.parametrize("confidence", [NAN, INFINITE, -INFINITE, -1.0, 100.1, 1000.0])
def test_a_confidence_out_of_range_counts_as_zero(play: Play, confidence: float) -> None:
    told = play(one(*flat(bars=2)), buy("AAA", 0, confidence))
    assert told.fills == []
    assert told.blocks == {"NO_EDGE": 1}


@pytest.mark.parametrize("multiplier", [NAN, INFINITE, -INFINITE, -0.1, 1.5, 0.0])
def test_a_multiplier_out_of_range_counts_as_zero(play: Play, multiplier: float) -> None:
    told = play(one(*flat(bars=2)), buy("AAA", 0, 100.0, multiplier))
    assert told.fills == []
    assert told.blocks == {"NO_EDGE": 1}


@pytest.mark.parametrize("side", [NAN, INFINITE, 2.0, -2.0, 0.5, -0.5, 0.0, -0.0])
def test_a_side_other_than_one_is_no_proposal(play: Play, side: float) -> None:
    told = play(one(*flat(bars=2)), Claim("AAA", 0, side, 100.0, 1.0), limits=SHORTS)
    assert told.fills == []
    assert told.blocks == {}


def test_the_size_is_a_share_of_the_equity_marked_at_the_close(play: Play) -> None:
    up = [*flat(bars=2), (100, 102, 100, 102), *flat(102.0, 1)]
    story = strangers({"AAA": up, "BBB": flat(bars=4)})
    told = play(story, buy("AAA", 0), buy("BBB", 2))
    # at the close of bar 2: 9,500 + 5 * 102 = 10,010; 5 % of it at 100.
    assert same(told.fills, [entry(1), entry(3, 100.0, 5.005, "BBB")])


# --- what may be deployed, and who comes first ---------------------------------------------------

SIX = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")


def test_the_most_confident_claims_come_first_then_the_alphabet(play: Play) -> None:
    story = strangers({symbol: flat(bars=2) for symbol in SIX})
    confidences = dict(zip(SIX, (80, 80, 80, 70, 90, 95), strict=True))
    told = play(story, *(buy(s, 0, c) for s, c in confidences.items()), limits=Limits())
    # 20 % holds four of 5 %: FFF, EEE, then AAA and BBB of the three at 80.
    assert [f[1] for f in told.fills] == ["AAA", "BBB", "EEE", "FFF"]
    assert all(f[3] == pytest.approx(5.0, rel=1e-12) for f in told.fills)
    assert told.blocks == {"MAX_DEPLOYED": 2}


def test_an_entry_is_shrunk_to_the_room_that_is_left(play: Play) -> None:
    story = strangers({symbol: flat(bars=2) for symbol in SIX[:4]})
    told = play(story, *(buy(s, 0) for s in SIX[:4]), limits=Limits(max_deployed=0.12))
    # 5 % + 5 % leave 2 % = 200 for CCC and nothing for DDD.
    assert [f[3] for f in told.fills] == pytest.approx([5.0, 5.0, 2.0], rel=1e-12)
    assert told.blocks == {"CLAMPED": 1, "MAX_DEPLOYED": 1}


def test_an_entry_that_just_fits_is_not_clamped(play: Play) -> None:
    story = strangers({symbol: flat(bars=2) for symbol in SIX[:3]})
    told = play(story, *(buy(s, 0) for s in SIX[:3]), limits=Limits(max_deployed=0.15))
    assert len(told.fills) == 3
    assert told.blocks == {}


def test_a_single_entry_is_clamped_when_the_room_is_below_a_position(play: Play) -> None:
    told = play(one(*flat(bars=2)), buy("AAA", 0), limits=Limits(max_deployed=0.03))
    assert same(told.fills, [entry(1, quantity=3.0)])
    assert told.blocks == {"CLAMPED": 1}


def test_nothing_may_be_deployed_when_the_limit_is_zero(play: Play) -> None:
    told = play(one(*flat(bars=2)), buy("AAA", 0), limits=Limits(max_deployed=0.0))
    assert told.fills == []
    assert told.blocks == {"MAX_DEPLOYED": 1}


def test_open_positions_count_at_their_close_and_drift_is_not_trimmed(play: Play) -> None:
    up = [*flat(bars=2), (100, 102, 100, 102), *flat(102.0, 1)]
    story = strangers({"AAA": up, "BBB": flat(bars=4)})
    told = play(story, buy("AAA", 0), buy("BBB", 2), limits=Limits(max_deployed=0.06))
    # 6 % of 10,010 = 600.6, less 5 * 102 = 510, leaves 90.6; AAA itself stays as it is.
    assert same(told.fills, [entry(1), entry(3, 100.0, 0.906, "BBB")])
    assert told.blocks == {"CLAMPED": 1}
    drifted = play(story, buy("AAA", 0), limits=Limits(max_deployed=0.05))
    assert same(drifted.fills, [entry(1)])


def test_a_short_deploys_as_much_as_a_long(play: Play) -> None:
    story = strangers({"AAA": flat(bars=4), "BBB": flat(bars=4)})
    limits = Limits(allow_short=True, max_deployed=0.07)
    told = play(story, sell_short("AAA", 0), buy("BBB", 2), limits=limits)
    assert same(told.fills[1:], [entry(3, 100.0, 2.0, "BBB")])
    together = play(story, sell_short("AAA", 0), buy("BBB", 0, 99.0), limits=limits)
    assert same(together.fills[1:], [entry(1, 100.0, 2.0, "BBB")])


def test_a_position_about_to_be_left_still_fills_the_room(play: Play) -> None:
    story = strangers({"AAA": flat(bars=4), "BBB": flat(bars=4)})
    limits = Limits(max_deployed=0.05)
    told = play(story, buy("AAA", 0), leave("AAA", 2), buy("BBB", 2), limits=limits)
    assert [f[5] for f in told.fills] == ["entry", "exit"]
    assert told.blocks == {"MAX_DEPLOYED": 1}


def test_an_entry_is_at_most_its_part_of_the_volume(play: Play) -> None:
    story = one((100, 100, 100, 100, 40), *flat())
    told = play(story, buy("AAA", 0), costs=FREE._replace(max_participation=0.1))
    assert same(told.fills, [entry(1, quantity=4.0)])  # 0.1 * 40
    assert told.blocks == {"CLAMPED": 1}
    thick = one((100, 100, 100, 100, 51), *flat())
    roomy = play(thick, buy("AAA", 0), costs=FREE._replace(max_participation=0.1))
    assert same(roomy.fills, [entry(1, quantity=5.0)])
    assert roomy.blocks == {}


# --- step and smallest notional ------------------------------------------------------------------


def test_the_quantity_is_rounded_down_to_the_step(play: Play) -> None:
    told = play(one(*flat(bars=2)), buy("AAA", 0), costs=FREE._replace(step=2.0))
    assert same(told.fills, [entry(1, quantity=4.0)])
    assert told.blocks == {}  # rounding is no clamp


def test_a_whisker_below_a_step_is_that_step(play: Play) -> None:
    """5 % of 60 at 10 is 0.3, and 0.3 / 0.1 is 2.9999999999999996: three steps all the same."""
    told = play(one(*flat(10.0, 2)), buy("AAA", 0), costs=FREE._replace(step=0.1), capital=60.0)
    assert told.fills[0][3] == pytest.approx(0.3, rel=1e-12)


def test_an_entry_below_one_step_is_refused(play: Play) -> None:
    told = play(one(*flat(bars=2)), buy("AAA", 0), costs=FREE._replace(step=10.0))
    assert told.fills == []
    assert told.blocks == {"MIN_NOTIONAL": 1}


@pytest.mark.parametrize(("smallest", "blocks"), [(400.0, {}), (400.01, {"MIN_NOTIONAL": 1})])
def test_the_smallest_notional_is_asked_of_the_rounded_quantity(
    play: Play, smallest: float, blocks: dict[str, int]
) -> None:
    limits = Limits(min_notional=smallest)
    told = play(one(*flat(bars=2)), buy("AAA", 0), limits=limits, costs=FREE._replace(step=2.0))
    assert told.blocks == blocks
    assert len(told.fills) == (not blocks)


def test_a_clamped_entry_that_becomes_too_small_is_min_notional_alone(play: Play) -> None:
    limits = Limits(max_deployed=0.03, min_notional=301.0)
    told = play(one(*flat(bars=2)), buy("AAA", 0), limits=limits)
    assert told.fills == []
    assert told.blocks == {"MIN_NOTIONAL": 1}


def test_a_refused_small_entry_is_no_entry_of_the_day(play: Play) -> None:
    limits = Limits(min_notional=300.0, max_entries_per_day=1)
    told = play(one(*flat(bars=3)), buy("AAA", 0, 45.0), buy("AAA", 1), limits=limits)
    assert told.blocks == {"MIN_NOTIONAL": 1}
    assert same(told.fills, [entry(2)])


def test_what_an_accepted_entry_deploys_is_its_rounded_notional(play: Play) -> None:
    """AAA wants 5 and gets 4 = 400; of 800 that leaves 400 = 4 for BBB (after 500: 300, so 0)."""
    story = strangers({"AAA": flat(bars=2), "BBB": flat(bars=2)})
    limits, costs = Limits(max_deployed=0.08), FREE._replace(step=4.0)
    told = play(story, buy("AAA", 0), buy("BBB", 0), limits=limits, costs=costs)
    assert same(told.fills, [entry(1, quantity=4.0), entry(1, 100.0, 4.0, "BBB")])
    assert told.blocks == {"CLAMPED": 1}


# --- correlation ---------------------------------------------------------------------------------


def pair(
    first: list[float], second: list[float], bars: int = 2, others: dict | None = None
) -> World:
    """AAA and BBB with these daily returns up to the day of the story (6 h bars)."""
    returns = {"AAA": first, "BBB": second, **(others or {})}
    return world(
        {symbol: flat(bars=bars) for symbol in returns},
        timeframe="6h",
        history={symbol: days_of(r) for symbol, r in returns.items()},
    )


def both(play: Play, story: World, bar: int = 0, limits: Limits | None = None) -> Told:
    return play(story, buy("AAA", bar), buy("BBB", bar), limits=limits)


def test_the_first_position_needs_no_history(play: Play) -> None:
    told = play(world({"AAA": flat(bars=2), "BBB": flat(bars=2)}), buy("AAA", 0))
    assert same(told.fills, [entry(1)])


def test_without_history_a_second_position_is_blocked(play: Play) -> None:
    told = both(play, world({"AAA": flat(bars=2), "BBB": flat(bars=2)}))
    assert same(told.fills, [entry(1)])
    assert told.blocks == {"CORRELATED": 1}


def test_strangers_may_be_held_together(play: Play) -> None:
    told = both(play, pair(walsh(1, 61), walsh(2, 61)))
    assert len(told.fills) == 2
    assert told.blocks == {}


@pytest.mark.parametrize("sign", [1, -1], ids=["rho 1", "rho -1"])
def test_twins_and_mirror_images_may_not(play: Play, sign: int) -> None:
    told = both(play, pair(walsh(1, 61), [sign * r for r in walsh(1, 61)]))
    assert same(told.fills, [entry(1)])
    assert told.blocks == {"CORRELATED": 1}


def test_an_open_position_blocks_its_twin_and_a_closed_one_does_not(play: Play) -> None:
    story = pair(walsh(1, 61), walsh(1, 61), bars=8)
    told = play(story, buy("AAA", 0), buy("BBB", 1), leave("AAA", 2), buy("BBB", 2), buy("BBB", 3))
    # open at the closes of 1 and 2 (the asked exit changes nothing), gone at the open of 3.
    assert told.blocks == {"CORRELATED": 2}
    assert [(f[0], f[1], f[5]) for f in told.fills] == [
        (1, "AAA", "entry"), (3, "AAA", "exit"), (4, "BBB", "entry"),
    ]  # fmt: skip


def agreeing(days: int) -> tuple[list[float], list[float]]:
    """60 returns of equal size and mean 0 that agree on `days` days: rho = (2 * days - 60) / 60."""
    first = [0.01, -0.01] * 30
    flips = 60 - days
    return first, [-r if day < flips else r for day, r in enumerate(first)]


@pytest.mark.parametrize(
    ("days", "limit", "blocked"),
    [
        (52, 0.70, True),  # rho 44 / 60 = 0.733
        (50, 0.70, False),  # rho 40 / 60 = 0.667
        (52, 0.74, False),
        (50, 0.66, True),
        (8, 0.70, True),  # rho -0.733
        (10, 0.70, False),
    ],
)
def test_the_threshold_is_on_the_size_of_rho(
    play: Play, days: int, limit: float, blocked: bool
) -> None:
    told = both(play, pair(*agreeing(days)), limits=Limits(max_correlation=limit))
    assert told.blocks == ({"CORRELATED": 1} if blocked else {})


@pytest.mark.parametrize(
    ("returns", "blocked"), [(44, True), (45, False)], ids=["44 rows", "45 rows"]
)
def test_fewer_than_45_common_rows_block(play: Play, returns: int, blocked: bool) -> None:
    told = both(play, pair(walsh(1, returns), walsh(2, returns)))
    assert told.blocks == ({"CORRELATED": 1} if blocked else {})


def test_a_day_is_completed_at_the_very_close_that_ends_it(play: Play) -> None:
    """44 returns up to yesterday; today's is the 45th from the close of its fourth 6 h bar on."""
    story = pair(walsh(1, 44), walsh(2, 44), bars=5)
    assert both(play, story, bar=2).blocks == {"CORRELATED": 1}
    assert both(play, story, bar=3).blocks == {}


def test_a_missing_day_takes_two_returns(play: Play) -> None:
    def holed(returns: int) -> World:
        second = walsh(2, returns)
        second[20] = NAN
        return pair(walsh(1, returns), second)

    assert both(play, holed(46)).blocks == {"CORRELATED": 1}  # 44 left
    assert both(play, holed(47)).blocks == {}  # 45 left


def test_a_missing_last_bar_leaves_the_day_its_last_finite_close(play: Play) -> None:
    history = {"AAA": days_of(walsh(1, 45)), "BBB": days_of(walsh(2, 45))}
    for day in history["BBB"][:-1]:
        day[-1] = MISSING
    story = world({s: flat(bars=2) for s in history}, timeframe="6h", history=history)
    assert both(play, story).blocks == {}


def test_only_days_that_both_have_count(play: Play) -> None:
    """Each misses a different day: 48 - 2 - 2 = 44 common rows; one more makes 45."""

    def holed(returns: int) -> World:
        first, second = walsh(1, returns), walsh(2, returns)
        first[10] = second[30] = NAN
        return pair(first, second)

    assert both(play, holed(48)).blocks == {"CORRELATED": 1}
    assert both(play, holed(49)).blocks == {}


@pytest.mark.parametrize("drift", [0.0, 0.01])
def test_returns_without_variance_block(play: Play, drift: float) -> None:
    """Whichever of the two it is; a steady drift varies by rounding only."""
    assert both(play, pair(walsh(1, 61), [drift] * 61)).blocks == {"CORRELATED": 1}
    assert both(play, pair([drift] * 61, walsh(1, 61))).blocks == {"CORRELATED": 1}


def test_the_window_is_sixty_days(play: Play) -> None:
    """A common jump of 50 % makes them twins as long as it is one of the last 60 returns."""
    first, second = [0.5, *walsh(1, 60)], [0.5, *walsh(2, 60)]
    assert both(play, pair(first, second)).blocks == {}  # the jump is the 61st return
    assert both(play, pair(first[:-1], second[:-1])).blocks == {"CORRELATED": 1}


def test_a_common_jump_today_does_not_count_before_today_is_over(play: Play) -> None:
    history = {"AAA": days_of(walsh(1, 60)), "BBB": days_of(walsh(2, 60))}
    jumped = [*flat(bars=1), *flat(150.0, 5)]
    story = world(dict.fromkeys(history, jumped), timeframe="6h", history=history)
    assert both(play, story, bar=2).blocks == {}
    assert both(play, story, bar=3).blocks == {"CORRELATED": 1}


def test_a_void_entry_blocks_nobody_afterwards(play: Play) -> None:
    history = {"AAA": days_of(walsh(1, 61)), "BBB": days_of(walsh(1, 61))}
    stories = {"AAA": [*flat(), (NAN, 100, 100, 100), *flat(bars=2)], "BBB": flat(bars=4)}
    story = world(stories, timeframe="6h", history=history)
    told = play(story, buy("AAA", 0), buy("BBB", 1))
    assert same(told.fills, [entry(2, symbol="BBB")])
    assert told.blocks == {}


def chain() -> dict[str, list[float]]:
    """rho(AAA, BBB) = rho(BBB, CCC) = 1 / sqrt(2) = 0.7071, rho(AAA, CCC) = 0."""
    a, c = [0.01, -0.01] * 30, [0.01, 0.01, -0.01, -0.01] * 15
    return {"AAA": a, "BBB": [x + y for x, y in zip(a, c, strict=True)], "CCC": c}


@pytest.mark.parametrize(("cluster", "blocks"), [(False, {}), (True, {"CORRELATED": 1})])
def test_one_per_cluster_sees_through_a_friend(
    play: Play, cluster: bool, blocks: dict[str, int]
) -> None:
    """AAA and CCC have nothing in common but BBB, which nobody holds."""
    returns = chain()
    story = pair(returns["AAA"], returns["BBB"], others={"CCC": returns["CCC"]})
    told = play(story, buy("AAA", 0), buy("CCC", 0), limits=Limits(one_per_cluster=cluster))
    assert told.blocks == blocks


@pytest.mark.parametrize(("cluster", "blocks"), [(False, {}), (True, {"CORRELATED": 1})])
def test_a_pair_without_a_correlation_is_an_edge_of_the_cluster(
    play: Play, cluster: bool, blocks: dict[str, int]
) -> None:
    """AAA and BBB are strangers, but CCC, never quoted, ties them together."""
    history = {"AAA": days_of(walsh(1, 61)), "BBB": days_of(walsh(2, 61))}
    history["CCC"] = [[MISSING] * 4] * 62
    stories = {"AAA": flat(bars=2), "BBB": flat(bars=2), "CCC": [MISSING] * 2}
    story = world(stories, timeframe="6h", history=history)
    told = both(play, story, limits=Limits(one_per_cluster=cluster))
    assert told.blocks == blocks


# --- the daily breaker ---------------------------------------------------------------------------


def crash(*closes: float, start: str = "2024-03-01") -> World:
    """Two bars of AAA at 100, then gaps to these prices; BBB, without history, only asks.

    ALL_IN holds 100 units of AAA and no cash, so equity is 100 times the close. What BBB wants is
    CORRELATED (no history) unless an earlier rule says no.
    """
    falling: list[tuple[float, ...]] = []
    for price in closes:
        falling += flat(price)
    bars = [*flat(bars=2), *falling]
    return world({"AAA": bars, "BBB": flat(bars=len(bars))}, start=start)


def test_the_breaker_trips_on_the_known_path(play: Play) -> None:
    """Known answer daily-breaker: 10,400, 9,900, 9,500.01 stand; 9,500.00 trips (inclusive)."""
    story = crash(104, 99, 95.0001, 95.0)
    asks = [buy("BBB", bar) for bar in (2, 3, 4, 5)]
    told = play(story, buy("AAA", 0), *asks[:3], limits=ALL_IN)
    assert told.equity[1:] == pytest.approx([10_000, 10_400, 9_900, 9_500.01, 9_500], rel=1e-12)
    assert told.blocks == {"CORRELATED": 3}
    told = play(story, buy("AAA", 0), *asks, limits=ALL_IN)
    assert told.blocks == {"CORRELATED": 3, "DAILY_DRAWDOWN": 1}


def test_a_gap_trips_the_breaker_and_a_recovery_does_not_untrip_it(play: Play) -> None:
    story = crash(90, 101)
    told = play(story, buy("AAA", 0), buy("BBB", 2), buy("BBB", 3), limits=ALL_IN)
    assert told.blocks == {"DAILY_DRAWDOWN": 2}


def test_a_dip_inside_a_bar_does_not_trip_it(play: Play) -> None:
    dip = [*flat(bars=2), (100, 100, 80, 99)]
    story = world({"AAA": dip, "BBB": flat(bars=3)})
    told = play(story, buy("AAA", 0), buy("BBB", 2), limits=ALL_IN)
    assert told.blocks == {"CORRELATED": 1}


def test_fees_count_in_the_drawdown(play: Play) -> None:
    """100 units at 100 with a fee of 5 % cost 500: equity 9,500 without any move."""
    limits = ALL_IN._replace(take_profit=5.0)
    story = crash(100)
    costs = FREE._replace(taker_fee=0.05)
    told = play(story, buy("AAA", 0), buy("BBB", 1), limits=limits, costs=costs)
    assert told.equity[1] == pytest.approx(9_500.0, rel=1e-12)
    assert told.blocks == {"DAILY_DRAWDOWN": 1}


EVENING = "2024-03-01 19:00"  # bars 2, 3 and 4 of the story close at 22:00, 23:00 and 00:00


def test_the_bar_that_closes_at_midnight_decides_in_the_new_day(play: Play) -> None:
    asks = [buy("BBB", bar) for bar in (2, 3, 4)]
    told = play(crash(90, 90, 90, start=EVENING), buy("AAA", 0), *asks, limits=ALL_IN)
    assert told.blocks == {"DAILY_DRAWDOWN": 2, "CORRELATED": 1}


def test_the_new_day_starts_from_the_equity_of_the_close_that_ends_the_old_one(
    play: Play,
) -> None:
    """9,000 at midnight: 8,560 is a loss of 4.9 %, 8,540 one of 5.1 %."""
    story = crash(90, 90, 90, 85.6, 85.4, start=EVENING)
    told = play(story, buy("AAA", 0), buy("BBB", 5), buy("BBB", 6), limits=ALL_IN)
    assert told.equity[4:] == pytest.approx([9_000, 8_560, 8_540], rel=1e-12)
    assert told.blocks == {"CORRELATED": 1, "DAILY_DRAWDOWN": 1}


def test_the_first_day_starts_from_the_capital(play: Play) -> None:
    """The panel begins in the evening: no midnight before it, 10,000 is the measure."""
    story = crash(99, 94.9, start=EVENING)
    told = play(story, buy("AAA", 0), buy("BBB", 2), buy("BBB", 3), limits=ALL_IN)
    assert told.blocks == {"CORRELATED": 1, "DAILY_DRAWDOWN": 1}


def test_a_crash_in_the_bar_that_closes_at_midnight_belongs_to_the_old_day(play: Play) -> None:
    """-20 % at the close of 00:00: the new day's baseline is 8,000 and nothing is tripped."""
    story = crash(100, 100, 80, start=EVENING)
    told = play(story, buy("AAA", 0), buy("BBB", 4), limits=ALL_IN)
    assert told.equity[4] == pytest.approx(8_000.0, rel=1e-12)
    assert told.blocks == {"CORRELATED": 1}


def test_exits_go_on_while_the_breaker_is_tripped(play: Play) -> None:
    asked = play(crash(90, 90, 91), buy("AAA", 0), leave("AAA", 3), limits=ALL_IN)
    assert same(asked.fills, [entry(1, quantity=100.0), sold(4, 91.0, "exit", 100.0)])
    stopped = play(crash(90, 40), buy("AAA", 0), limits=ALL_IN)
    assert same(stopped.fills, [entry(1, quantity=100.0), sold(3, 40.0, "stop", 100.0)])


@pytest.mark.parametrize(
    "bar",
    [
        pytest.param((100, 100, 100, NAN), id="no close"),
        pytest.param((100, 100, 100, 0.0), id="close of zero"),
        pytest.param((100, 100, 100, -1.0), id="negative close"),
        pytest.param((100, 100, 100, INFINITE), id="infinite close"),
        pytest.param((100, 100, 100, 101, 0.0), id="no volume"),
        pytest.param((100, 100, 100, 101, NAN), id="unknown volume"),
        pytest.param(MISSING, id="missing bar"),
    ],
)
def test_a_stale_bar_of_a_held_symbol_trips_the_breaker_for_the_day(
    play: Play, bar: tuple[float, ...]
) -> None:
    """At 21:00 the price is unknown: tripped at 22:00 and 23:00, free at 00:00."""
    aaa = [*flat(), *flat(101.0), bar, *flat(101.0, 2)]
    story = world({"AAA": aaa, "BBB": flat(bars=5)}, start="2024-03-01 19:00")
    told = play(story, buy("AAA", 0), *(buy("BBB", b) for b in (2, 3, 4)))
    assert told.blocks == {"DAILY_DRAWDOWN": 2, "CORRELATED": 1}
    # bought at 101 and marked at its last finite close, 101: the equity does not move.
    assert told.equity == pytest.approx([10_000.0] * 5, rel=1e-12)


def test_a_stale_bar_at_midnight_trips_the_new_day(play: Play) -> None:
    aaa = [*flat(bars=3), MISSING, *flat(bars=1)]
    story = world({"AAA": aaa, "BBB": flat(bars=5)}, start="2024-03-01 20:00")
    told = play(story, buy("AAA", 0), buy("BBB", 3), buy("BBB", 4))
    assert told.blocks == {"DAILY_DRAWDOWN": 2}


def test_a_stale_symbol_that_is_not_held_trips_nothing(play: Play) -> None:
    aaa = [*flat(), MISSING, *flat(bars=2)]
    story = world({"AAA": aaa, "BBB": flat(bars=4)})
    told = play(story, buy("BBB", 1), buy("AAA", 1))
    assert same(told.fills, [entry(2, symbol="BBB")])
    assert told.blocks == {"STALE": 1}


def test_a_symbol_left_at_the_open_of_its_stale_bar_trips_nothing(play: Play) -> None:
    story = world({"AAA": [*flat(bars=2), (100, 100, 100, NAN), *flat()], "BBB": flat(bars=4)})
    told = play(story, buy("AAA", 0), leave("AAA", 1), buy("BBB", 2))
    assert same(told.fills, [entry(1), sold(2, 100.0, "exit"), entry(3, symbol="BBB")])


# --- overtrading ---------------------------------------------------------------------------------


def test_three_stop_outs_pause_all_entries(play: Play) -> None:
    limits = Limits(cooldown_bars=0)
    story = one(*flat(), *STOPPED * 4)
    told = play(story, *(buy("AAA", bar) for bar in range(4)), limits=limits)
    assert [f[5] for f in told.fills] == ["entry", "stop"] * 3
    assert told.blocks == {"MAX_STOPOUTS": 1}


@pytest.mark.parametrize(
    "bar", [(100, 100, 97, 100), (95, 95, 95, 95)], ids=["at the level", "gap"]
)
def test_a_stop_out_of_one_symbol_pauses_the_others(play: Play, bar: tuple) -> None:
    story = world({"AAA": [*flat(bars=2), bar, *flat()], "BBB": flat(bars=4)})
    told = play(story, buy("AAA", 0), buy("BBB", 2), limits=Limits(max_stopouts_per_day=1))
    assert told.blocks == {"MAX_STOPOUTS": 1}


def test_trail_target_and_exit_are_no_stop_outs(play: Play) -> None:
    limits = Limits(max_stopouts_per_day=1, cooldown_bars=0)
    trailed = one(*flat(bars=2), RUNG, (102.5, 102.6, 101, 101.5), *flat())
    told = play(trailed, buy("AAA", 0), buy("AAA", 3), limits=limits)
    assert [f[5] for f in told.fills] == ["entry", "take_profit", "trail", "entry"]
    left = play(one(*flat(bars=5)), buy("AAA", 0), leave("AAA", 1), buy("AAA", 3), limits=limits)
    assert [f[5] for f in left.fills] == ["entry", "exit", "entry"]


def test_stop_outs_are_forgotten_at_midnight_even_those_of_the_last_bar(play: Play) -> None:
    """The bar from 23:00 to 00:00 stops out in the old day and decides in the new one."""
    limits = Limits(max_stopouts_per_day=1, cooldown_bars=0)
    story = one(*flat(), *STOPPED, *flat(bars=2), start="2024-03-01 22:00")
    told = play(story, buy("AAA", 0), buy("AAA", 1), limits=limits)
    assert same(told.fills, [entry(1), sold(1, 98.0, "stop"), entry(2, quantity=9_990 * 0.0005)])
    early = one(*flat(), *STOPPED, *flat(bars=2), start="2024-03-01 21:00")
    assert play(early, buy("AAA", 0), buy("AAA", 1), limits=limits).blocks == {"MAX_STOPOUTS": 1}
    later = play(early, buy("AAA", 0), buy("AAA", 2), limits=limits)
    assert [f[0] for f in later.fills] == [1, 1, 3]


def test_the_entries_of_a_day_are_numbered(play: Play) -> None:
    limits = EAGER._replace(max_entries_per_day=2)
    told = play(
        one(*flat(), *STOPPED * 3), buy("AAA", 0), buy("AAA", 1), buy("AAA", 2), limits=limits
    )
    assert [f[5] for f in told.fills] == ["entry", "stop"] * 2
    assert told.blocks == {"MAX_ENTRIES": 1}


def test_entries_accepted_at_one_close_count_at_once(play: Play) -> None:
    story = strangers({symbol: flat(bars=2) for symbol in SIX[:3]})
    limits = Limits(max_entries_per_day=2)
    told = play(story, *(buy(symbol, 0) for symbol in SIX[:3]), limits=limits)
    assert [f[1] for f in told.fills] == ["AAA", "BBB"]
    assert told.blocks == {"MAX_ENTRIES": 1}


def test_an_entry_decided_at_midnight_counts_in_the_new_day(play: Play) -> None:
    limits = EAGER._replace(max_entries_per_day=1)
    story = one(*flat(), *STOPPED * 4, start="2024-03-01 21:00")
    told = play(story, *(buy("AAA", bar) for bar in range(4)), limits=limits)
    # 22:00 accepted, 23:00 refused, 00:00 accepted in the new day, 01:00 refused.
    assert [(f[0], f[5]) for f in told.fills] == [
        (1, "entry"), (1, "stop"), (3, "entry"), (3, "stop"),
    ]  # fmt: skip
    assert told.blocks == {"MAX_ENTRIES": 2}


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(max_entries_per_day=0), "MAX_ENTRIES"),
        (Limits(max_stopouts_per_day=0), "MAX_STOPOUTS"),
    ],
)
def test_a_limit_of_zero_lets_nothing_in(play: Play, limits: Limits, reason: str) -> None:
    assert play(one(*flat(bars=2)), buy("AAA", 0), limits=limits).blocks == {reason: 1}


@pytest.mark.parametrize("confidence", [NAN, INFINITE, 1000.0])
def test_a_broken_confidence_comes_last_in_the_order_of_claims(
    play: Play, confidence: float
) -> None:
    """BBB takes the only entry of the day, so AAA meets MAX_ENTRIES before its NO_EDGE."""
    story = world({"AAA": flat(bars=2), "BBB": flat(bars=2)})
    limits = Limits(max_entries_per_day=1)
    told = play(story, buy("AAA", 0, confidence), buy("BBB", 0, 50.0), limits=limits)
    assert [f[1] for f in told.fills] == ["BBB"]
    assert told.blocks == {"MAX_ENTRIES": 1}


@pytest.mark.parametrize(("bars", "blocked", "back"), [(3, 3, 5), (1, 1, 3), (0, 0, 2)])
def test_a_symbol_cools_down_from_the_bar_of_its_exit(
    play: Play, bars: int, blocked: int, back: int
) -> None:
    """An exit at bar 1 blocks decisions at 1 .. 1 + n - 1; the one at 1 + n fills a bar later."""
    limits = Limits(cooldown_bars=bars)
    story = one(*flat(), *STOPPED, *flat(bars=6))
    told = play(
        story, buy("AAA", 0), *(buy("AAA", b) for b in range(1, 1 + bars + 1)), limits=limits
    )
    assert told.blocks == ({"COOLDOWN": blocked} if blocked else {})
    assert [(f[0], f[5]) for f in told.fills] == [(1, "entry"), (1, "stop"), (back, "entry")]


def test_the_cooldown_pauses_its_own_symbol_only(play: Play) -> None:
    story = world({"AAA": [*flat(), *STOPPED, *flat(bars=2)], "BBB": flat(bars=4)})
    told = play(story, buy("AAA", 0), buy("AAA", 1), buy("BBB", 1))
    assert told.blocks == {"COOLDOWN": 1}
    assert told.fills[-1][:2] == (2, "BBB")


def test_every_way_out_starts_the_cooldown_and_the_rung_alone_does_not(play: Play) -> None:
    trailed = one(*flat(bars=2), RUNG, *flat(102.5), (102.5, 102.6, 101, 101.5), *flat(bars=4))
    claims = [buy("AAA", 0), *(buy("AAA", b) for b in (2, 3, 4, 5, 6, 7))]
    told = play(trailed, *claims)
    # open at 2 and 3, closed by the trail at 4: cooling at 4, 5, 6.
    assert told.blocks == {"ALREADY_OPEN": 2, "COOLDOWN": 3}
    assert told.fills[-1][0] == 8
    left = play(
        one(*flat(bars=7)), buy("AAA", 0), leave("AAA", 1), *(buy("AAA", b) for b in (2, 4, 5))
    )
    assert left.blocks == {"COOLDOWN": 2}  # closed at 2: cooling at 2, 3, 4


# --- the other refusals, and their order ---------------------------------------------------------


def test_a_short_is_refused_unless_allowed(play: Play) -> None:
    told = play(one(*flat(bars=2)), sell_short("AAA", 0))
    assert told.fills == []
    assert told.blocks == {"NO_SHORT": 1}


def test_an_open_symbol_is_not_entered_twice(play: Play) -> None:
    told = play(
        one(*flat(bars=4)), buy("AAA", 0), buy("AAA", 1), sell_short("AAA", 2), limits=SHORTS
    )
    assert same(told.fills, [entry(1)])
    assert told.blocks == {"ALREADY_OPEN": 2}


@pytest.mark.parametrize(
    "bar",
    [
        (100, 100, 100, NAN), (100, 100, 100, 0.0), (100, 100, 100, -5.0),
        (100, 100, 100, INFINITE), (100, 100, 100, 100, 0.0), (100, 100, 100, 100, -1.0),
        (100, 100, 100, 100, NAN), MISSING,
    ],
)  # fmt: skip
def test_a_stale_bar_is_not_entered_on(play: Play, bar: tuple[float, ...]) -> None:
    told = play(one(*flat(), bar, *flat()), buy("AAA", 1))
    assert told.fills == []
    assert told.blocks == {"STALE": 1}


def test_the_first_reason_that_holds_is_the_one_recorded(play: Play) -> None:
    """Each line adds the rule before: the reasons are tried in one order."""

    def reasons(*claims: Claim, limits: Limits, story: World | None = None) -> dict[str, int]:
        return play(story or one(*flat(bars=3)), *claims, limits=limits).blocks

    nothing = Limits(max_deployed=0.0, min_notional=1e9)
    assert reasons(buy("AAA", 0), limits=nothing) == {"MAX_DEPLOYED": 1}
    assert reasons(buy("AAA", 0, 10.0), limits=nothing) == {"NO_EDGE": 1}
    # CORRELATED before NO_EDGE: BBB has no history and no edge.
    two = world({"AAA": flat(bars=3), "BBB": flat(bars=3)})
    assert reasons(buy("AAA", 0), buy("BBB", 0, 10.0), limits=Limits(), story=two) == {
        "CORRELATED": 1
    }
    # COOLDOWN before CORRELATED: AAA was stopped while BBB, without history, is held.
    walk = world({"AAA": [*flat(), *STOPPED, *flat(bars=4)], "BBB": flat(bars=6)})
    told = reasons(buy("AAA", 0), buy("BBB", 1), buy("AAA", 2), limits=Limits(), story=walk)
    assert told == {"COOLDOWN": 1}
    # ALREADY_OPEN before NO_EDGE; NO_SHORT before ALREADY_OPEN; STALE before NO_SHORT.
    assert reasons(buy("AAA", 0), buy("AAA", 1, 10.0), limits=Limits()) == {"ALREADY_OPEN": 1}
    assert reasons(buy("AAA", 0), sell_short("AAA", 1), limits=Limits()) == {"NO_SHORT": 1}
    stale = one(*flat(), MISSING, *flat())
    assert reasons(sell_short("AAA", 1), limits=Limits(), story=stale) == {"STALE": 1}
    # MAX_ENTRIES before STALE, MAX_STOPOUTS before MAX_ENTRIES.
    none = Limits(max_entries_per_day=0)
    assert reasons(buy("AAA", 1), limits=none, story=stale) == {"MAX_ENTRIES": 1}
    neither = Limits(max_entries_per_day=0, max_stopouts_per_day=0)
    assert reasons(buy("AAA", 1), limits=neither, story=stale) == {"MAX_STOPOUTS": 1}
    # DAILY_DRAWDOWN before MAX_STOPOUTS: a stop-out that costs 5 % of the equity.
    limits = Limits(
        max_position=1.0, max_deployed=1.0, stop=0.05, take_profit=1.0, max_stopouts_per_day=1
    )
    fall = one(*flat(), (100, 100, 90, 90), *flat(90.0))
    assert reasons(buy("AAA", 0), buy("AAA", 1), limits=limits, story=fall) == {"DAILY_DRAWDOWN": 1}


def test_each_refused_claim_counts_once(play: Play) -> None:
    told = play(one(*flat(bars=6)), *(sell_short("AAA", bar) for bar in range(5)))
    assert told.blocks == {"NO_SHORT": 5}


# --- missing bars --------------------------------------------------------------------------------

UNUSABLE = [NAN, 0.0, -1.0, INFINITE]


@pytest.mark.parametrize("price", UNUSABLE)
def test_an_entry_without_an_open_is_void_and_stays_counted(play: Play, price: float) -> None:
    story = one(*flat(), (price, 100, 100, 100), *flat(bars=3))
    told = play(story, buy("AAA", 0))
    assert told.fills == []
    counted = play(story, buy("AAA", 0), buy("AAA", 1), limits=Limits(max_entries_per_day=1))
    assert counted.fills == []
    assert counted.blocks == {"MAX_ENTRIES": 1}
    again = play(story, buy("AAA", 0), buy("AAA", 1))
    assert same(again.fills, [entry(2)])  # no position, no cooldown


@pytest.mark.parametrize("price", UNUSABLE)
def test_no_price_of_a_bar_without_an_open_triggers_anything(play: Play, price: float) -> None:
    story = one(*flat(bars=2), (price, 104, 50, 100), (100, 102, 100, 101))
    told = play(story, buy("AAA", 0))
    assert same(told.fills, [entry(1)])


def test_a_bar_without_an_open_leaves_the_high_water_alone(play: Play) -> None:
    """110 in it would have lifted the trail to 108.35; it stays at 103.5 * 0.985 = 101.9475."""
    story = one(
        *flat(bars=2), RUNG, (NAN, 110, 103, 103), (103, 103, 102, 102.5), (102, 102, 101, 101)
    )
    told = play(story, buy("AAA", 0))
    assert same(told.fills[2:], [sold(5, 101.9475, "trail", 2.5)])


def test_an_asked_exit_waits_for_the_next_open(play: Play) -> None:
    story = one(*flat(bars=2), MISSING, MISSING, (99, 99, 99, 99), *flat())
    told = play(story, buy("AAA", 0), leave("AAA", 1))
    assert same(told.fills, [entry(1), sold(4, 99.0, "exit")])
    # marked at the last finite close while nothing is known.
    assert told.equity == pytest.approx([10_000] * 4 + [9_995] * 2, rel=1e-12)


def test_an_exit_asked_in_a_missing_bar_fills_at_the_next_open(play: Play) -> None:
    story = one(*flat(bars=2), MISSING, (99, 99, 99, 99))
    told = play(story, buy("AAA", 0), leave("AAA", 2))
    assert same(told.fills, [entry(1), sold(3, 99.0, "exit")])


@pytest.mark.parametrize("low", UNUSABLE)
def test_an_unusable_low_touches_no_stop(play: Play, low: float) -> None:
    told = play(one(*flat(bars=2), (100, 100, low, 100)), buy("AAA", 0))
    assert same(told.fills, [entry(1)])


@pytest.mark.parametrize("high", UNUSABLE)
def test_an_unusable_high_touches_no_target_and_no_high_water(play: Play, high: float) -> None:
    told = play(one(*flat(bars=2), (100, high, 100, 100)), buy("AAA", 0))
    assert same(told.fills, [entry(1)])
    later = one(*flat(bars=2), RUNG, (103, high, 102.5, 103), (102, 102, 101, 101))
    told = play(later, buy("AAA", 0))
    assert same(told.fills[2:], [sold(4, 101.9475, "trail", 2.5)])


def test_a_gap_through_the_stop_needs_nothing_but_the_open(play: Play) -> None:
    told = play(one(*flat(bars=2), (95, NAN, NAN, NAN)), buy("AAA", 0))
    assert same(told.fills, [entry(1), sold(2, 95.0, "stop")])


def test_a_stop_hidden_by_a_missing_bar_fills_at_the_open_after_it(play: Play) -> None:
    told = play(one(*flat(bars=2), MISSING, (96, 97, 95, 96)), buy("AAA", 0))
    assert same(told.fills, [entry(1), sold(3, 96.0, "stop")])


# --- market impact -------------------------------------------------------------------------------


def measured(
    bars: list[tuple[float, ...]], *, sigma: float = 0.04, adv: float = 1e8, days: int = 60
) -> World:
    """AAA with `days` daily returns of ddof-1 deviation `sigma` and `adv` traded a day (6 h bars).

    Returns of +s and -s in turn have mean 0, so sigma^2 = days * s^2 / (days - 1).
    """
    size = sigma * math.sqrt((days - 1) / days)
    history = days_of([size, -size] * (days // 2))
    history = [[(*bar[:4], adv / 4 / bar[3]) for bar in day] for day in history]
    return world({"AAA": bars}, timeframe="6h", history={"AAA": history})


@pytest.mark.parametrize(
    ("notional", "bps"), [(1e5, 17.6491), (4e5, 30.2982)], ids=["100,000", "400,000"]
)
def test_the_square_root_law(play: Play, notional: float, bps: float) -> None:
    """Known answer sqrt-impact: 5 bps + 0.04 * sqrt(notional / 100 M)."""
    costs = Costs(half_spread=0.0005, impact=1.0, taker_fee=0.0, maker_fee=0.0)
    told = play(measured(flat(bars=2)), buy("AAA", 0), costs=costs, capital=20 * notional)
    moved = told.fills[0][4] / 100 - 1
    assert moved * 1e4 == pytest.approx(bps, abs=1e-3)
    assert moved == pytest.approx(0.0005 + 0.04 * math.sqrt(notional / 1e8), rel=1e-9)


def test_impact_scales_with_its_factor_and_moves_a_sale_down(play: Play) -> None:
    costs = FREE._replace(impact=2.0)
    story = measured(flat(bars=4))
    told = play(story, buy("AAA", 0), leave("AAA", 2), costs=costs, capital=2e6)
    # 1,000 units at 100: 2 * 0.04 * sqrt(0.001).
    shift = 0.08 * math.sqrt(0.001)
    assert told.fills[0][4] == pytest.approx(100 * (1 + shift), rel=1e-9)
    assert told.fills[1][4] == pytest.approx(100 * (1 - shift), rel=1e-9)


def test_impact_knows_only_days_completed_at_the_open(play: Play) -> None:
    """Today's bars trade a thousand times as much and swing; the fill knows only yesterday."""
    loud = [(100, 100, 100, 100, 1e9), (100, 101, 99, 101, 1e9)]
    told = play(measured(loud), buy("AAA", 0), costs=FREE._replace(impact=1.0), capital=2e6)
    assert told.fills[0][4] == pytest.approx(100 * (1 + 0.04 * math.sqrt(0.001)), rel=1e-9)


def test_a_day_is_known_at_the_open_that_follows_its_end(play: Play) -> None:
    """The fill is at the first open of day 2; the window has moved on by day 1, of no move.

    The story's day 1 makes 59 returns of size s (the first of them, +s, has left the window) and
    one of 0, and quotes 4 * 25 M.
    """
    s = 0.04 * math.sqrt(59 / 60)
    story = measured(flat(bars=5, volume=250_000.0))
    told = play(story, buy("AAA", 3), costs=FREE._replace(impact=1.0), capital=2e6)
    # 29 of +s, 30 of -s, one 0: sum -s, sum of squares 59 s^2, variance (59 - 1/60) s^2 / 59.
    sigma = s * math.sqrt((59 - 1 / 60) / 59)
    assert told.fills[0][0] == 4
    assert told.fills[0][4] == pytest.approx(100 * (1 + sigma * math.sqrt(0.001)), rel=1e-9)


def test_quiet_days_do_not_count_in_the_average_volume(play: Play) -> None:
    """A day without any volume is no day of 0: the average stays 100 M."""
    story = measured(flat(bars=2))
    story.panel.volume.iloc[40:48] = 0.0
    told = play(story, buy("AAA", 0), costs=FREE._replace(impact=1.0), capital=2e6)
    assert told.fills[0][4] == pytest.approx(100 * (1 + 0.04 * math.sqrt(0.001)), rel=1e-9)


@pytest.mark.parametrize(("returns", "moved"), [(0, False), (1, False), (2, True)])
def test_impact_needs_two_returns(play: Play, returns: int, moved: bool) -> None:
    days = days_of([0.01, -0.01][:returns])
    story = world({"AAA": flat(bars=2)}, timeframe="6h", history={"AAA": days})
    told = play(story, buy("AAA", 0), costs=FREE._replace(impact=1.0))
    # two returns of +1 % and -1 %: sigma = 0.01 * sqrt(2).
    volumes = [1e6 * sum(bar[3] for bar in day) for day in days]
    adv = sum(volumes) / len(volumes)
    expected = 100 * (1 + 0.01 * math.sqrt(2) * math.sqrt(500 / adv)) if moved else 100.0
    assert told.fills[0][4] == pytest.approx(expected, rel=1e-12)


def test_without_any_volume_there_is_no_impact(play: Play) -> None:
    story = measured(flat(bars=2), adv=0.0)
    told = play(story, buy("AAA", 0), costs=FREE._replace(impact=1.0), capital=2e6)
    assert same(told.fills, [entry(1, quantity=1_000.0)])


def test_the_target_pays_no_impact(play: Play) -> None:
    story = measured([*flat(bars=2), (101, 104, 100.5, 103)])
    told = play(story, buy("AAA", 0), costs=FREE._replace(impact=1.0), capital=2e6)
    assert told.fills[1][4] == pytest.approx(told.fills[0][4] * 1.03, rel=1e-12)
    assert told.fees == [0.0, 0.0]


def test_the_cost_shift_is_at_most_one_half(play: Play) -> None:
    """Bought at 150 with a stop at 147, the open of 100 is already through it: sold at 50."""
    told = play(measured(flat(bars=2)), buy("AAA", 0), costs=FREE._replace(impact=1e6))
    assert same(told.fills, [entry(1, 150.0), sold(1, 50.0, "stop")])


# --- at the door ---------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [replay, oracle_replay], ids=["replay", "oracle"])
def test_a_hole_in_exit_is_refused(run: Callable[..., Any]) -> None:
    story = one(*flat(bars=3))
    proposal = story.proposal()
    holed = proposal.exit.astype(float)
    holed.iloc[1, 0] = NAN
    refused = Proposal(proposal.side, proposal.confidence, proposal.multiplier, holed)
    with pytest.raises(UsageError):
        run(story.panel, refused, Limits(), FREE)


@pytest.mark.parametrize("run", [replay, oracle_replay], ids=["replay", "oracle"])
@pytest.mark.parametrize("name", ["side", "confidence", "multiplier", "exit"])
def test_a_frame_of_another_shape_or_index_is_refused(run: Callable[..., Any], name: str) -> None:
    story = one(*flat(bars=3))
    whole = vars(story.proposal())
    for wrong in (
        whole[name].iloc[:-1],
        whole[name].shift(1, freq="1h"),
        pd.concat([whole[name], whole[name]], axis=1),
    ):
        with pytest.raises(UsageError):
            run(story.panel, Proposal(**{**whole, name: wrong}), Limits(), FREE)


def test_fills_are_named_by_the_open_and_equity_by_every_bar(play: Play) -> None:
    story = one(*flat(), *STOPPED)
    told = play(story, buy("AAA", 0))
    assert list(told.raw.fills.columns) == [
        "time", "symbol", "side", "quantity", "price", "fee", "reason",
    ]  # fmt: skip
    assert list(told.raw.fills["time"]) == [pd.Timestamp("2024-03-01 01:00", tz="UTC")] * 2
    assert list(told.raw.equity.index) == list(story.panel.index)


def test_the_capital_is_the_measure_of_everything(play: Play) -> None:
    told = play(one(*flat(bars=2)), buy("AAA", 0), capital=200.0)
    assert same(told.fills, [entry(1, quantity=0.1)])
    assert told.equity == pytest.approx([200.0, 200.0], rel=1e-12)
