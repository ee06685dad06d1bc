"""The rules of `peer_rules` inside vectorbt's from_order_func: the peer of the speed benchmark.

Cash, positions, fees, slippage, order records and the Portfolio are vectorbt's own; the rules
around them hang on its callbacks:

    order function      one symbol after the other: exit or entry at the open, else stop or rung
    after an order      what was filled, and by which rule
    after a segment     high-water marks, the day, the breaker, the decision at the close

in three styles, all of the same arrays and the same index:

    documented   as most of the manual's examples: a plain order function, an argument for each
                 array, default settings (but a[i, col] instead of the manual's get_elem_nb, which
                 is slower). It gives ONE order for each symbol and bar, so a stop or rung that an
                 entry's own bar fires waits, as in the manual's example of stops, and is asked
                 again in the next bar: the same rules, but not the same fills
    manual       `flexible=True`, which lets a bar have several orders of a symbol: the same fills.
                 A 2-D array for each frame, default settings
    tuned        the same with two packed 3-D arrays (vectorbt passes every array through every
                 callback of every bar), no position records (no rule reads them) and no log space

What was needed for equal fills: `close` holds the marks, for it is what vectorbt values the group
at; `Direction.Both` without `lock_cash`, so that shorts are not limited by cash; quantities rounded
here, because `size_granularity` forgives no whisker; room for three orders for each claim.
`raise_reject` makes an order that cash does not cover an error instead of a smaller fill.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import peer_rules as rules
import vectorbt as vbt
from numba import njit, types
from numba.extending import overload
from peer_rules import Bools, Floats, Ints
from vectorbt.portfolio.enums import NoOrder, OrderStatus

from workbench.domain import Costs, Limits

Cells = Floats | tuple[Floats, ...]


class PeerInput(NamedTuple):
    """What the peer is given ready-made; making it is not part of its time.

    bars: open, high, low, close, volume, sigma, adv, mark; claims: side, confidence, multiplier,
    exit; both (bars, symbols, k). `marks` is the close that vectorbt values positions at.
    """

    marks: pd.DataFrame
    bars: Floats
    claims: Floats
    days: Ints
    first_day: int
    too_close: Bools
    timeframe: pd.Timedelta
    most_orders: int


class Peer(NamedTuple):
    """A style with its arrays laid out for it."""

    given: PeerInput
    bars: Cells
    claims: Cells
    flexible: bool
    settings: dict[str, Any]


def styles(given: PeerInput) -> dict[str, Peer]:
    """The three styles; the last two give the same fills as the replay."""
    bars, claims = apart(given.bars), apart(given.claims)
    lean = {"fill_pos_record": False, "max_logs": 1}
    return {
        "documented": Peer(given, bars, claims, False, {}),
        "manual": Peer(given, bars, claims, True, {}),
        "tuned": Peer(given, given.bars, given.claims, True, lean),
    }


def apart(table: Floats) -> tuple[Floats, ...]:
    return tuple(np.ascontiguousarray(table[:, :, k]) for k in range(table.shape[2]))


def cell(table: Cells, i: int, col: int, k: int) -> float:
    """Column k of a symbol's bar, whether packed or an array for each column."""
    return table[k][i, col] if isinstance(table, tuple) else table[i, col, k]


@overload(cell)
def _cell(table, i, col, k):  # numba wants the bare names here
    if isinstance(table, types.BaseTuple):
        return lambda table, i, col, k: table[k][i, col]
    return lambda table, i, col, k: table[i, col, k]


# --- several orders for each symbol and bar ------------------------------------------------------


@njit
def start_bar(c: Any, held: Floats, desk: Floats) -> Any:
    """Before a bar's orders: the walk begins at the first symbol."""
    desk[rules.COLUMN] = c.from_col
    desk[rules.PROTECTING] = 0.0
    return (held, desk)


@njit
def next_order(
    c: Any, held: Floats, desk: Floats, bars: Cells, limits: Limits, costs: Costs
) -> Any:
    """The next order of bar i, or column -1 once every symbol has had its turn."""
    i = c.i
    while desk[rules.COLUMN] < c.to_col:
        col = int(desk[rules.COLUMN])
        position, size = c.last_position[col], held[col, rules.WANTED]
        quoted = cell(bars, i, col, rules.OPEN)
        if (position == 0.0 and size == 0.0) or not rules.priced(quoted):
            desk[rules.COLUMN] += 1.0
            desk[rules.PROTECTING] = 0.0
            continue
        rule = rules.NOTHING
        if desk[rules.PROTECTING] == 0.0:
            desk[rules.PROTECTING] = 1.0
            if held[col, rules.ASKED] != 0.0:
                rule, size = rules.BY_EXIT, -position
            elif size != 0.0:
                rule = rules.BY_ENTRY
        if rule == rules.NOTHING:
            desk[rules.COLUMN] += 1.0
            desk[rules.PROTECTING] = 0.0
            high, low = cell(bars, i, col, rules.HIGH), cell(bars, i, col, rules.LOW)
            rule, quoted = rules.protection(
                position, quoted, high, low,
                held[col, rules.ENTRY], held[col, rules.PEAK], held[col, rules.RUNG], limits,
            )  # fmt: skip
            size = -position
        if rule == rules.NOTHING:
            continue
        desk[rules.RULE] = rule
        if rule == rules.BY_RUNG:
            return col, rules.rung_order(position, quoted, limits, costs)
        sigma, adv = cell(bars, i, col, rules.SIGMA), cell(bars, i, col, rules.ADV)
        return col, rules.market_order(size, quoted, sigma, adv, costs)
    return -1, NoOrder


@njit
def at_close(
    c: Any, held: Floats, desk: Floats, tally: Ints, queue: Ints, ranks: Floats,
    bars: Cells, claims: Cells, days: Ints, first_day: int, too_close: Bools,
    limits: Limits, costs: Costs,
) -> None:  # fmt: skip
    """After a bar's orders: peaks, the day and its breaker, then the claims in their order."""
    i, equity = c.i, c.last_value[c.group]
    deployed, stale, n = 0.0, False, 0
    for col in range(c.from_col, c.to_col):
        held[col, rules.WANTED] = 0.0
        position = c.last_position[col]
        if position != 0.0:
            rules.watch(
                held, col, position, cell(bars, i, col, rules.OPEN), cell(bars, i, col, rules.HIGH),
                cell(bars, i, col, rules.LOW), cell(claims, i, col, rules.EXIT),
            )  # fmt: skip
            deployed += abs(position) * cell(bars, i, col, rules.MARK)
            traded = cell(bars, i, col, rules.VOLUME) > 0.0
            if not (traded and rules.priced(cell(bars, i, col, rules.CLOSE))):
                stale = True
        if abs(cell(claims, i, col, rules.SIDE)) == 1.0:
            n = rules.in_queue(queue, ranks, n, col, cell(claims, i, col, rules.CONFIDENCE))
    rules.begin_day(desk, days[i], equity, stale, limits)
    for k in range(n):
        col = queue[k]
        reason, deployed = rules.answer(
            held, desk, c.last_position, too_close, days[i] - first_day, i, col,
            cell(claims, i, col, rules.SIDE), cell(claims, i, col, rules.CONFIDENCE),
            cell(claims, i, col, rules.MULTIPLIER), cell(bars, i, col, rules.CLOSE),
            cell(bars, i, col, rules.VOLUME), equity, deployed, limits, costs,
        )  # fmt: skip
        tally[reason] += 1


# --- one order for each symbol and bar -----------------------------------------------------------


@njit
def one_order(
    c: Any, held: Floats, desk: Floats,
    opened: Floats, high: Floats, low: Floats, sigma: Floats, adv: Floats,
    limits: Limits, costs: Costs,
) -> Any:  # fmt: skip
    """The order of a symbol in a bar: exit, else entry, else what protects the position."""
    i, col, position = c.i, c.col, c.position_now
    quoted, size = opened[i, col], held[col, rules.WANTED]
    if (position == 0.0 and size == 0.0) or not rules.priced(quoted):
        return NoOrder
    if held[col, rules.ASKED] != 0.0:
        rule, size = rules.BY_EXIT, -position
    elif size != 0.0:
        rule = rules.BY_ENTRY
    else:
        rule, quoted = rules.protection(
            position, quoted, high[i, col], low[i, col],
            held[col, rules.ENTRY], held[col, rules.PEAK], held[col, rules.RUNG], limits,
        )  # fmt: skip
        size = -position
    if rule == rules.NOTHING:
        return NoOrder
    desk[rules.RULE] = rule
    if rule == rules.BY_RUNG:
        return rules.rung_order(position, quoted, limits, costs)
    return rules.market_order(size, quoted, sigma[i, col], adv[i, col], costs)


@njit
def after_one_order(c: Any, held: Floats, desk: Floats, limits: Limits) -> None:
    """vectorbt calls this for a NoOrder too."""
    if c.order_result.status == OrderStatus.Filled:
        rules.note_fill(c, held, desk, limits)


@njit
def at_close_apart(
    c: Any, held: Floats, desk: Floats, tally: Ints, queue: Ints, ranks: Floats,
    opened: Floats, high: Floats, low: Floats, close: Floats, volume: Floats, mark: Floats,
    side: Floats, confidence: Floats, multiplier: Floats, leave: Floats,
    days: Ints, first_day: int, too_close: Bools, limits: Limits, costs: Costs,
) -> None:  # fmt: skip
    """`at_close` with an argument for each array; a tuple of them would cost time."""
    i, equity = c.i, c.last_value[c.group]
    deployed, stale, n = 0.0, False, 0
    for col in range(c.from_col, c.to_col):
        held[col, rules.WANTED] = 0.0
        position = c.last_position[col]
        if position != 0.0:
            rules.watch(
                held, col, position, opened[i, col], high[i, col], low[i, col], leave[i, col]
            )
            deployed += abs(position) * mark[i, col]
            if not (volume[i, col] > 0.0 and rules.priced(close[i, col])):
                stale = True
        if abs(side[i, col]) == 1.0:
            n = rules.in_queue(queue, ranks, n, col, confidence[i, col])
    rules.begin_day(desk, days[i], equity, stale, limits)
    for k in range(n):
        col = queue[k]
        reason, deployed = rules.answer(
            held, desk, c.last_position, too_close, days[i] - first_day, i, col,
            side[i, col], confidence[i, col], multiplier[i, col], close[i, col], volume[i, col],
            equity, deployed, limits, costs,
        )  # fmt: skip
        tally[reason] += 1


# --- the simulation ------------------------------------------------------------------------------


def simulate(
    peer: Peer, limits: Limits, costs: Costs, capital: float
) -> tuple[vbt.Portfolio, Ints]:
    """A native Portfolio of the rules, and how often each reason was given."""
    given, n = peer.given, peer.given.marks.shape[1]
    held, desk = np.zeros((n, 6)), np.zeros(8)
    desk[[rules.DAY, rules.BASELINE]] = given.first_day, capital
    tally = np.zeros(rules.N_REASONS, np.int64)
    counted = (tally, np.zeros(n, np.int64), np.zeros(n))
    gate = (given.days, given.first_day, given.too_close, limits, costs)
    if peer.flexible:
        arguments = (next_order, peer.bars, limits, costs)
        callbacks = {
            "flexible": True,
            "max_orders": given.most_orders,
            "pre_segment_func_nb": start_bar,
            "post_order_func_nb": rules.note_fill,
            "post_segment_func_nb": at_close,
            "post_segment_args": (*counted, peer.bars, peer.claims, *gate),
        }
    else:
        opened, high, low, close, volume, sigma, adv, mark = peer.bars
        bars = (opened, high, low, close, volume, mark)
        arguments = (one_order, opened, high, low, sigma, adv, limits, costs)
        callbacks = {
            "post_order_func_nb": after_one_order,
            "post_segment_func_nb": at_close_apart,
            "post_segment_args": (*counted, *bars, *peer.claims, *gate),
        }
    portfolio = vbt.Portfolio.from_order_func(
        given.marks, *arguments, init_cash=capital, cash_sharing=True, group_by=True,
        freq=given.timeframe, pre_sim_args=(held, desk), post_order_args=(limits,),
        **callbacks, **peer.settings,
    )  # fmt: skip
    return portfolio, tally
