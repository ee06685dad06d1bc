"""The rule book a second time, inside vectorbt's order callbacks: the peer of the speed benchmark.

Cash, positions, fees, slippage and order records are vectorbt's own (`flexible=True`, one group
sharing cash); the rules around them are written here once more and share no function with
`workbench`. How the order of a bar is laid on vectorbt's:

    order function      one symbol after the other: exit or entry at the open, then stop or rung
    after an order      what was filled, and by which rule
    after a segment     high-water marks, the day, the breaker, the decision at the close

The same callbacks run in two styles, because vectorbt passes every array through every callback
of every bar, and that costs more than the rules:

    manual   a 2-D array for each frame and vectorbt's default settings, as its manual writes it
    tuned    two packed 3-D arrays, no position records (no rule reads them), no log space, and an
             index without a time zone (each wrap of a zoned one makes 48,000 Timestamps)

What was needed for equal fills: `close` holds the marks, for it is what vectorbt values the group
at; `Direction.Both` without `lock_cash`, so that shorts are not limited by cash; quantities rounded
here, because `size_granularity` forgives no whisker; `max_orders` of three for each claim.
`raise_reject` makes an order that cash does not cover an error instead of a smaller fill.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import vectorbt as vbt
from numba import njit, types
from numba.extending import overload
from vectorbt.portfolio.enums import Direction, NoOrder, OrderStatus
from vectorbt.portfolio.nb import order_nb

from workbench.domain import Costs, Limits

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Cells = Floats | tuple[Floats, ...]

OPEN, HIGH, LOW, CLOSE, VOLUME, SIGMA, ADV, MARK = range(8)
SIDE, CONFIDENCE, MULTIPLIER, EXIT = range(4)

# A row of `held` for each symbol.
ENTRY, PEAK, RUNG, ASKED, WANTED, FREE_AT = range(6)

# Cells of `desk`: the day's counters, and where the walk through the symbols stands.
DAY, BASELINE, STOPOUTS, ENTRIES, TRIPPED, COLUMN, PROTECTING, RULE = range(8)

BY_ENTRY, BY_EXIT, BY_STOP, BY_TRAIL, BY_RUNG = range(5)

# The reasons of a refusal; the numbers are those of workbench.domain.Reason, so that the two
# tallies can be compared.
DRAWDOWN, STOPPED_OUT, MANY_ENTRIES, STALE, NO_SHORT, OPEN_ALREADY, COOLING, CORRELATED = range(
    2, 10
)
NO_EDGE, NO_ROOM, TOO_SMALL, SHRUNK = range(10, 14)
N_REASONS = 14

WHISKER = 1e-9
WIDEST_SHIFT = 0.5


class PeerInput(NamedTuple):
    """What the peer is given ready-made; making it is not part of its time.

    bars: open, high, low, close, volume, sigma, adv, mark; claims: side, confidence, multiplier,
    exit. Either one (bars, symbols, k) array, or k arrays (bars, symbols).
    """

    marks: pd.DataFrame
    bars: Cells
    claims: Cells
    days: Ints
    first_day: int
    too_close: Bools
    timeframe: pd.Timedelta
    most_orders: int
    settings: dict[str, Any]


def manual(given: PeerInput) -> PeerInput:
    """Made from the tuned input: an array for each frame, and vectorbt's default settings."""
    bars, claims = np.asarray(given.bars), np.asarray(given.claims)
    return given._replace(
        marks=given.marks.tz_localize("UTC"),
        bars=tuple(np.ascontiguousarray(bars[:, :, k]) for k in range(bars.shape[2])),
        claims=tuple(np.ascontiguousarray(claims[:, :, k]) for k in range(claims.shape[2])),
        settings={},
    )


def tuned(
    marks: pd.DataFrame, bars: Cells, claims: Cells, days: Ints, first_day: int,
    too_close: Bools, timeframe: pd.Timedelta,
) -> PeerInput:  # fmt: skip
    """Packed arrays, and nothing kept that nobody reads."""
    wants = int((np.abs(claims[:, :, SIDE]) == 1.0).sum())
    return PeerInput(
        marks=marks.tz_localize(None).bfill().fillna(0.0),
        bars=bars,
        claims=claims,
        days=days,
        first_day=first_day,
        too_close=too_close,
        timeframe=timeframe,
        most_orders=3 * wants,
        settings={"fill_pos_record": False, "max_logs": 1},
    )


def cell(table: Cells, i: int, col: int, k: int) -> float:
    """Column k of a symbol's bar, in either style."""
    return table[k][i, col] if isinstance(table, tuple) else table[i, col, k]


@overload(cell)
def _cell(table, i, col, k):  # numba wants the bare names here
    if isinstance(table, types.BaseTuple):
        return lambda table, i, col, k: table[k][i, col]
    return lambda table, i, col, k: table[i, col, k]


@njit
def priced(price: float) -> bool:
    return price > 0.0 and price < math.inf


@njit
def clean(value: float, top: float) -> float:
    return value if 0.0 <= value <= top else 0.0


@njit
def slippage_of(
    bars: Cells, i: int, col: int, quantity: float, quoted: float, costs: Costs
) -> float:
    """Half spread and square-root impact as vectorbt's slippage."""
    sigma = cell(bars, i, col, SIGMA)
    adv = cell(bars, i, col, ADV)
    shift = costs.half_spread
    if priced(sigma) and priced(adv):
        shift += costs.impact * sigma * math.sqrt(quantity * quoted / adv)
    return min(shift, WIDEST_SHIFT)


@njit
def market_order(bars: Cells, i: int, col: int, size: float, quoted: float, costs: Costs) -> Any:
    return order_nb(
        size=size,
        price=quoted,
        direction=Direction.Both,
        fees=costs.taker_fee,
        slippage=slippage_of(bars, i, col, abs(size), quoted, costs),
        raise_reject=True,
    )


@njit
def start_bar(c: Any, held: Floats, desk: Floats) -> Any:
    """Before a bar's orders: the walk begins at the first symbol."""
    desk[COLUMN] = c.from_col
    desk[PROTECTING] = 0.0
    return (held, desk)


@njit
def next_order(
    c: Any, held: Floats, desk: Floats, bars: Cells, limits: Limits, costs: Costs,
) -> Any:  # fmt: skip
    """The next order of bar i, or column -1 once every symbol has had its turn."""
    i = c.i
    while desk[COLUMN] < c.to_col:
        col = int(desk[COLUMN])
        position = c.last_position[col]
        quoted = cell(bars, i, col, OPEN)
        if (position == 0.0 and held[col, WANTED] == 0.0) or not priced(quoted):
            desk[COLUMN] += 1.0
            desk[PROTECTING] = 0.0
            continue

        if desk[PROTECTING] == 0.0:
            desk[PROTECTING] = 1.0
            if held[col, ASKED] != 0.0:
                desk[RULE] = BY_EXIT
                return col, market_order(bars, i, col, -position, quoted, costs)
            if held[col, WANTED] != 0.0:
                desk[RULE] = BY_ENTRY
                return col, market_order(bars, i, col, held[col, WANTED], quoted, costs)

        desk[COLUMN] += 1.0
        desk[PROTECTING] = 0.0
        if position > 0.0:
            side, worst, best = 1.0, cell(bars, i, col, LOW), cell(bars, i, col, HIGH)
        else:
            side, worst, best = -1.0, cell(bars, i, col, HIGH), cell(bars, i, col, LOW)
        stop = held[col, ENTRY] * (1.0 - side * limits.stop)
        rule = BY_STOP
        if held[col, RUNG] != 0.0:
            trail = held[col, PEAK] * (1.0 - side * limits.trail)
            if side * (trail - stop) > 0.0:
                stop = trail
                rule = BY_TRAIL
        if side * quoted <= side * stop:
            desk[RULE] = rule
            return col, market_order(bars, i, col, -position, quoted, costs)
        if priced(worst) and side * worst <= side * stop:
            desk[RULE] = rule
            return col, market_order(bars, i, col, -position, stop, costs)
        target = held[col, ENTRY] * (1.0 + side * limits.take_profit)
        touched = priced(best) and side * best >= side * target
        if touched and held[col, RUNG] == 0.0 and priced(target):
            desk[RULE] = BY_RUNG
            return col, order_nb(
                size=-limits.take_profit_share * position,
                price=target,
                direction=Direction.Both,
                fees=costs.maker_fee,
                raise_reject=True,
            )
    return -1, NoOrder


@njit
def after_order(c: Any, held: Floats, desk: Floats, limits: Limits) -> None:
    """Note what vectorbt filled."""
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
def queue_claims(c: Any, claims: Cells, queue: Ints) -> int:
    """Columns that claim, by confidence descending, then as they stand."""
    n = 0
    for col in range(c.from_col, c.to_col):
        if abs(cell(claims, c.i, col, SIDE)) == 1.0:
            confidence = clean(cell(claims, c.i, col, CONFIDENCE), 100.0)
            k = n
            while k > 0 and clean(cell(claims, c.i, queue[k - 1], CONFIDENCE), 100.0) < confidence:
                queue[k] = queue[k - 1]
                k -= 1
            queue[k] = col
            n += 1
    return n


@njit
def at_close(
    c: Any, held: Floats, desk: Floats, tally: Ints, queue: Ints,
    bars: Cells, claims: Cells, days: Ints, first_day: int, too_close: Bools,
    limits: Limits, costs: Costs,
) -> None:  # fmt: skip
    """After a bar's orders: peaks, the day and its breaker, then the claims in their order."""
    i = c.i
    equity = c.last_value[c.group]
    deployed = 0.0
    stale = False
    for col in range(c.from_col, c.to_col):
        held[col, WANTED] = 0.0
        position = c.last_position[col]
        if position == 0.0:
            continue
        best = cell(bars, i, col, HIGH) if position > 0.0 else cell(bars, i, col, LOW)
        if priced(cell(bars, i, col, OPEN)) and priced(best):
            further = best > held[col, PEAK] if position > 0.0 else best < held[col, PEAK]
            if further:
                held[col, PEAK] = best
        deployed += abs(position) * cell(bars, i, col, MARK)
        if not (priced(cell(bars, i, col, CLOSE)) and cell(bars, i, col, VOLUME) > 0.0):
            stale = True
        if cell(claims, i, col, EXIT) == 1.0:
            held[col, ASKED] = 1.0

    if desk[DAY] != days[i]:
        desk[DAY] = days[i]
        desk[BASELINE] = equity
        desk[STOPOUTS] = desk[ENTRIES] = desk[TRIPPED] = 0.0
    if stale or not equity > desk[BASELINE] * (1.0 - limits.daily_drawdown):
        desk[TRIPPED] = 1.0

    row = days[i] - first_day
    for k in range(queue_claims(c, claims, queue)):
        col = queue[k]
        side = cell(claims, i, col, SIDE)
        close = cell(bars, i, col, CLOSE)
        volume = cell(bars, i, col, VOLUME)
        reason = 0
        if desk[TRIPPED] != 0.0:
            reason = DRAWDOWN
        elif desk[STOPOUTS] >= limits.max_stopouts_per_day:
            reason = STOPPED_OUT
        elif desk[ENTRIES] >= limits.max_entries_per_day:
            reason = MANY_ENTRIES
        elif not (priced(close) and volume > 0.0):
            reason = STALE
        elif side < 0.0 and limits.allow_short == 0.0:
            reason = NO_SHORT
        elif c.last_position[col] != 0.0:
            reason = OPEN_ALREADY
        elif i < held[col, FREE_AT]:
            reason = COOLING
        else:
            for other in range(c.from_col, c.to_col):
                taken = c.last_position[other] != 0.0 or held[other, WANTED] != 0.0
                if other != col and taken and too_close[row, col, other]:
                    reason = CORRELATED
                    break
        if reason == 0:
            share = share_wanted(
                cell(claims, i, col, CONFIDENCE), cell(claims, i, col, MULTIPLIER), limits, costs
            )
            room = limits.max_deployed - deployed / equity if priced(equity) else 0.0
            if share == 0.0:
                reason = NO_EDGE
            elif not WHISKER < room < math.inf:
                reason = NO_ROOM
            else:
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
                    reason = TOO_SMALL
                else:
                    held[col, WANTED] = side * quantity
                    deployed += quantity * close
                    desk[ENTRIES] += 1.0
        tally[reason] += 1


def simulate(
    given: PeerInput, limits: Limits, costs: Costs, capital: float
) -> tuple[vbt.Portfolio, Ints]:
    """A native Portfolio of the rules on the given data, and how often each reason was given."""
    n = given.marks.shape[1]
    held = np.zeros((n, 6))
    desk = np.zeros(8)
    desk[[DAY, BASELINE]] = given.first_day, capital
    tally = np.zeros(N_REASONS, np.int64)
    portfolio = vbt.Portfolio.from_order_func(
        given.marks,
        next_order,
        given.bars, limits, costs,
        flexible=True,
        init_cash=capital,
        cash_sharing=True,
        group_by=True,
        pre_segment_func_nb=start_bar,
        pre_segment_args=(held, desk),
        post_order_func_nb=after_order,
        post_order_args=(limits,),
        post_segment_func_nb=at_close,
        post_segment_args=(
            held, desk, tally, np.zeros(n, np.int64), given.bars, given.claims, given.days,
            given.first_day, given.too_close, limits, costs,
        ),
        max_orders=given.most_orders,
        freq=given.timeframe,
        **given.settings,
    )  # fmt: skip
    return portfolio, tally
