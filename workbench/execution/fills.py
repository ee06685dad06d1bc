"""What one bar does to one symbol's orders and position, and the only writer of what is held.

`apply_fill` applies a fill to book and account; it serves the replay, paper and live alike, because
the book believes fills only. The other rules say which fills a bar makes. Inside a bar the order
of prices is unknown, so it is taken against us: the stop comes before the target.
"""

from __future__ import annotations

from workbench import arrays as a
from workbench.arrays import Floats, rule, usable
from workbench.domain import Costs, Limits
from workbench.execution.costs import taker_price


@rule
def apply_fill(
    book: Floats, account: Floats, i: int, bar: int,
    direction: float, quantity: float, price: float, fee: float, why: int, cooldown_bars: float,
) -> None:  # fmt: skip
    """Apply one fill of symbol i. direction is +1 for a buy, -1 for a sell."""
    account[a.CASH] -= direction * quantity * price + fee
    if why == a.WHY_ENTRY:
        book[i, a.SIDE] = direction
        book[i, a.QUANTITY] = quantity
        book[i, a.ENTRY] = price
        book[i, a.HIGH_WATER] = price
        book[i, a.RUNG] = 0.0
        book[i, a.PENDING] = 0.0
        return
    book[i, a.QUANTITY] -= quantity
    if why == a.WHY_TAKE_PROFIT:
        book[i, a.RUNG] = 1.0
    if why == a.WHY_STOP:
        account[a.STOPOUTS] += 1.0
    if book[i, a.QUANTITY] <= 0.0:
        for column in range(a.FREE_FROM):
            book[i, column] = 0.0
        book[i, a.FREE_FROM] = bar + cooldown_bars


@rule
def record(
    fills: Floats, n: int, t: int, i: int,
    direction: float, quantity: float, price: float, fee: float, why: int,
) -> int:  # fmt: skip
    """Write a fill to row n; give the next free row."""
    fills[n, a.F_BAR] = t
    fills[n, a.F_SYMBOL] = i
    fills[n, a.F_DIRECTION] = direction
    fills[n, a.F_QUANTITY] = quantity
    fills[n, a.F_PRICE] = price
    fills[n, a.F_FEE] = fee
    fills[n, a.F_WHY] = why
    return n + 1


@rule
def take(
    book: Floats, account: Floats, market: Floats, fills: Floats, n: int, t: int, bar: int, i: int,
    direction: float, quantity: float, quoted: float, why: int, limits: Limits, costs: Costs,
) -> int:  # fmt: skip
    """Fill at a quoted price moved against us by the cost model, with the taker fee."""
    price = taker_price(
        quoted, direction, quantity, market[t, i, a.SIGMA], market[t, i, a.ADV], costs
    )
    fee = quantity * price * costs.taker_fee
    apply_fill(book, account, i, bar, direction, quantity, price, fee, why, limits.cooldown_bars)
    return record(fills, n, t, i, direction, quantity, price, fee, why)


@rule
def at_open(
    book: Floats, account: Floats, market: Floats, fills: Floats, n: int, t: int, bar: int, i: int,
    limits: Limits, costs: Costs,
) -> int:  # fmt: skip
    """The exit asked for, or the entry accepted, at the last close. Needs a usable open."""
    quoted = market[t, i, a.OPEN]
    if book[i, a.EXIT_ASKED] != 0.0:
        return take(
            book, account, market, fills, n, t, bar, i,
            -book[i, a.SIDE], book[i, a.QUANTITY], quoted, a.WHY_EXIT, limits, costs,
        )  # fmt: skip
    pending = book[i, a.PENDING]
    if pending != 0.0:
        direction = 1.0 if pending > 0.0 else -1.0
        return take(
            book, account, market, fills, n, t, bar, i,
            direction, abs(pending), quoted, a.WHY_ENTRY, limits, costs,
        )  # fmt: skip
    return n


@rule
def stop_level(
    side: float, entry: float, high_water: float, rung: float, limits: Limits
) -> tuple[float, int]:
    """Where the position is stopped and by what: the hard stop, or after the rung the trail."""
    hard = entry * (1.0 - side * limits.stop)
    if rung != 0.0:
        trailing = high_water * (1.0 - side * limits.trail)
        if side * trailing > side * hard:
            return trailing, a.WHY_TRAIL
    return hard, a.WHY_STOP


@rule
def protect(
    book: Floats, account: Floats, market: Floats, fills: Floats, n: int, t: int, bar: int, i: int,
    limits: Limits, costs: Costs,
) -> int:  # fmt: skip
    """Stop (a gap fills at the open), else the first rung at its target. Needs a usable open."""
    side = book[i, a.SIDE]
    quoted = market[t, i, a.OPEN]
    worst = market[t, i, a.LOW] if side > 0.0 else market[t, i, a.HIGH]
    level, why = stop_level(side, book[i, a.ENTRY], book[i, a.HIGH_WATER], book[i, a.RUNG], limits)
    gapped = side * quoted <= side * level
    if gapped or (usable(worst) and side * worst <= side * level):
        price = quoted if gapped else level
        return take(
            book, account, market, fills, n, t, bar, i,
            -side, book[i, a.QUANTITY], price, why, limits, costs,
        )  # fmt: skip
    best = market[t, i, a.HIGH] if side > 0.0 else market[t, i, a.LOW]
    target = book[i, a.ENTRY] * (1.0 + side * limits.take_profit)
    reached = usable(best) and side * best >= side * target
    if reached and book[i, a.RUNG] == 0.0 and usable(target):
        quantity = limits.take_profit_share * book[i, a.QUANTITY]
        fee = quantity * target * costs.maker_fee
        apply_fill(
            book, account, i, bar,
            -side, quantity, target, fee, a.WHY_TAKE_PROFIT, limits.cooldown_bars,
        )  # fmt: skip
        return record(fills, n, t, i, -side, quantity, target, fee, a.WHY_TAKE_PROFIT)
    return n


@rule
def observe(book: Floats, market: Floats, t: int, i: int) -> None:
    """After the bar's fills: an entry that found no open is void, the high-water follows."""
    book[i, a.PENDING] = 0.0
    side = book[i, a.SIDE]
    best = market[t, i, a.HIGH] if side > 0.0 else market[t, i, a.LOW]
    better = side * best > side * book[i, a.HIGH_WATER]
    if side != 0.0 and better and usable(market[t, i, a.OPEN]) and usable(best):
        book[i, a.HIGH_WATER] = best


@rule
def through_bar(
    book: Floats, account: Floats, market: Floats, fills: Floats, n: int, t: int, bar: int, i: int,
    limits: Limits, costs: Costs,
) -> int:  # fmt: skip
    """Symbol i through bar t up to its close: open, stop or rung, high-water."""
    if usable(market[t, i, a.OPEN]):
        n = at_open(book, account, market, fills, n, t, bar, i, limits, costs)
        if book[i, a.SIDE] != 0.0:
            n = protect(book, account, market, fills, n, t, bar, i, limits, costs)
    observe(book, market, t, i)
    return n


@rule
def trade(
    book: Floats, account: Floats, market: Floats, fills: Floats, n: int, t: int, bar: int,
    limits: Limits, costs: Costs,
) -> int:  # fmt: skip
    """Bar t up to its close: symbols in ascending order, each exit, entry, then stop or rung."""
    for i in range(book.shape[0]):
        if book[i, a.SIDE] != 0.0 or book[i, a.PENDING] != 0.0:
            n = through_bar(book, account, market, fills, n, t, bar, i, limits, costs)
    return n
