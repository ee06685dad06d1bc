"""The rule book a second time, for vectorbt's order callbacks; see peer_vectorbt.

Everything here reads and writes what vectorbt's context and the callbacks of `peer_vectorbt` hold,
and shares no function with `workbench`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from vectorbt.portfolio.enums import Direction, OrderStatus
from vectorbt.portfolio.nb import order_nb

from workbench.domain import Costs, Limits

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

OPEN, HIGH, LOW, CLOSE, VOLUME, SIGMA, ADV, MARK = range(8)
SIDE, CONFIDENCE, MULTIPLIER, EXIT = range(4)

# A row of `held` for each symbol.
ENTRY, PEAK, RUNG, ASKED, WANTED, FREE_AT = range(6)

# Cells of `desk`: the day's counters, and where the walk through the symbols stands.
DAY, BASELINE, STOPOUTS, ENTRIES, TRIPPED, COLUMN, PROTECTING, RULE = range(8)

NOTHING, BY_ENTRY, BY_EXIT, BY_STOP, BY_TRAIL, BY_RUNG = range(-1, 5)

# The reasons of a refusal; the numbers are those of workbench.domain.Reason, so that the two
# tallies can be compared.
DRAWDOWN, STOPPED_OUT, MANY_ENTRIES, STALE, NO_SHORT, OPEN_ALREADY, COOLING, CORRELATED = range(
    2, 10
)
NO_EDGE, NO_ROOM, TOO_SMALL, SHRUNK = range(10, 14)
N_REASONS = 14

WHISKER = 1e-9
WIDEST_SHIFT = 0.5


@njit
def priced(price: float) -> bool:
    return price > 0.0 and price < math.inf


@njit
def clean(value: float, top: float) -> float:
    return value if 0.0 <= value <= top else 0.0


@njit
def market_order(size: float, quoted: float, sigma: float, adv: float, costs: Costs) -> Any:
    """A taker's order; half spread and square-root impact are vectorbt's slippage."""
    shift = costs.half_spread
    if priced(sigma) and priced(adv):
        shift += costs.impact * sigma * math.sqrt(abs(size) * quoted / adv)
    return order_nb(
        size=size,
        price=quoted,
        direction=Direction.Both,
        fees=costs.taker_fee,
        slippage=min(shift, WIDEST_SHIFT),
        raise_reject=True,
    )


@njit
def rung_order(position: float, target: float, limits: Limits, costs: Costs) -> Any:
    return order_nb(
        size=-limits.take_profit_share * position,
        price=target,
        direction=Direction.Both,
        fees=costs.maker_fee,
        raise_reject=True,
    )


@njit
def protection(
    position: float, quoted: float, high: float, low: float,
    entry: float, peak: float, rung: float, limits: Limits,
) -> tuple[int, float]:  # fmt: skip
    """The rule that a bar fires for a position, stop before rung, and at what price."""
    side, worst, best = (1.0, low, high) if position > 0.0 else (-1.0, high, low)
    stop = entry * (1.0 - side * limits.stop)
    rule = BY_STOP
    if rung != 0.0:
        trail = peak * (1.0 - side * limits.trail)
        if side * (trail - stop) > 0.0:
            stop = trail
            rule = BY_TRAIL
    if side * quoted <= side * stop:
        return rule, quoted
    if priced(worst) and side * worst <= side * stop:
        return rule, stop
    target = entry * (1.0 + side * limits.take_profit)
    touched = priced(best) and side * best >= side * target
    if touched and rung == 0.0 and priced(target):
        return BY_RUNG, target
    return NOTHING, 0.0


@njit
def note_fill(c: Any, held: Floats, desk: Floats, limits: Limits) -> None:
    """After an order: note what vectorbt filled."""
    if c.order_result.status != OrderStatus.Filled:
        raise ValueError("vectorbt ignored an order")
    col = c.col
    if desk[RULE] == BY_ENTRY:
        held[col, ENTRY] = c.order_result.price
        held[col, PEAK] = c.order_result.price
        held[col, RUNG] = 0.0
        held[col, WANTED] = 0.0
        return
    if desk[RULE] == BY_RUNG:
        held[col, RUNG] = 1.0
    if desk[RULE] == BY_STOP:
        desk[STOPOUTS] += 1.0
    if c.position_now == 0.0:
        held[col, RUNG] = 0.0
        held[col, ASKED] = 0.0
        held[col, FREE_AT] = c.i + limits.cooldown_bars


@njit
def share_wanted(confidence: float, multiplier: float, limits: Limits, costs: Costs) -> float:
    """The share of equity that a confidence and a multiplier earn."""
    round_trip = 2.0 * (costs.half_spread + costs.taker_fee)
    win = limits.take_profit - round_trip
    loss = limits.stop + round_trip
    if win <= 0.0 or loss <= 0.0:
        return 0.0
    top = limits.p_full / loss - (1.0 - limits.p_full) / win
    if top <= 0.0:
        return 0.0
    p = clean(confidence, 100.0) / 100.0
    g = (p / loss - (1.0 - p) / win) / top
    if not g > WHISKER:
        return 0.0
    share = limits.max_position * min(g, 1.0) * clean(multiplier, 1.0)
    return share if share > WHISKER else 0.0


@njit
def in_queue(queue: Ints, ranks: Floats, n: int, col: int, confidence: float) -> int:
    """One more claim, by confidence descending, then as they stand."""
    rank = clean(confidence, 100.0)
    k = n
    while k > 0 and ranks[k - 1] < rank:
        queue[k] = queue[k - 1]
        ranks[k] = ranks[k - 1]
        k -= 1
    queue[k] = col
    ranks[k] = rank
    return n + 1


@njit
def watch(
    held: Floats, col: int, position: float, quoted: float, high: float, low: float, leave: float
) -> None:
    """What is held follows its best price, and remembers that it is asked to leave."""
    best = high if position > 0.0 else low
    if priced(quoted) and priced(best):
        further = best > held[col, PEAK] if position > 0.0 else best < held[col, PEAK]
        if further:
            held[col, PEAK] = best
    if leave == 1.0:
        held[col, ASKED] = 1.0


@njit
def begin_day(desk: Floats, day: int, equity: float, stale: bool, limits: Limits) -> None:
    """A new day's counters, and the breaker of any day."""
    if desk[DAY] != day:
        desk[DAY] = day
        desk[BASELINE] = equity
        desk[STOPOUTS] = desk[ENTRIES] = desk[TRIPPED] = 0.0
    if stale or not equity > desk[BASELINE] * (1.0 - limits.daily_drawdown):
        desk[TRIPPED] = 1.0


@njit
def answer(
    held: Floats, desk: Floats, positions: Floats, too_close: Bools, row: int, i: int, col: int,
    side: float, confidence: float, multiplier: float, close: float, volume: float,
    equity: float, deployed: float, limits: Limits, costs: Costs,
) -> tuple[int, float]:  # fmt: skip
    """The reason given to a claim, and what is deployed after it; an entry is noted in `held`."""
    if desk[TRIPPED] != 0.0:
        return DRAWDOWN, deployed
    if desk[STOPOUTS] >= limits.max_stopouts_per_day:
        return STOPPED_OUT, deployed
    if desk[ENTRIES] >= limits.max_entries_per_day:
        return MANY_ENTRIES, deployed
    if not (priced(close) and volume > 0.0):
        return STALE, deployed
    if side < 0.0 and limits.allow_short == 0.0:
        return NO_SHORT, deployed
    if positions[col] != 0.0:
        return OPEN_ALREADY, deployed
    if i < held[col, FREE_AT]:
        return COOLING, deployed
    for other in range(len(positions)):
        taken = positions[other] != 0.0 or held[other, WANTED] != 0.0
        if other != col and taken and too_close[row, col, other]:
            return CORRELATED, deployed
    share = share_wanted(confidence, multiplier, limits, costs)
    if share == 0.0:
        return NO_EDGE, deployed
    room = limits.max_deployed - deployed / equity if priced(equity) else 0.0
    if not WHISKER < room < math.inf:
        return NO_ROOM, deployed
    reason = 0
    if share > room + WHISKER:
        reason = SHRUNK
        share = room
    quantity = share * equity / close
    if quantity > costs.max_participation * volume:
        reason = SHRUNK
        quantity = costs.max_participation * volume
    if costs.step > 0.0:
        quantity = np.floor(quantity / costs.step + WHISKER) * costs.step
    if not quantity > 0.0 or quantity * close < limits.min_notional:
        return TOO_SMALL, deployed
    held[col, WANTED] = side * quantity
    desk[ENTRIES] += 1.0
    return reason, deployed + quantity * close
