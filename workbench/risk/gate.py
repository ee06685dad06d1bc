"""The hard gate: every claim is refused, shrunk or accepted here, and nothing passes around it.

One close at a time: the day's counters, the breaker, then the claims in their order. Rules take
scalars where they can; few of them write. It never sizes up, never looks at a
judge and knows no clock.
"""

from __future__ import annotations

import math

from workbench import arrays as a
from workbench.arrays import Bools, Floats, Ints, rule, usable
from workbench.domain import Costs, Limits, Reason
from workbench.risk.sizing import wanted_share, within

# Numba folds module-level ints into the compiled code; an enum member would be looked up.
ACCEPTED, HALTED, DAILY_DRAWDOWN, MAX_STOPOUTS, MAX_ENTRIES, STALE, NO_SHORT = (
    int(reason) for reason in list(Reason)[:7]
)
ALREADY_OPEN, COOLDOWN, CORRELATED, NO_EDGE, MAX_DEPLOYED, MIN_NOTIONAL, CLAMPED = (
    int(reason) for reason in list(Reason)[7:]
)


@rule
def fresh(close: float, volume: float) -> bool:
    """A bar that may be traded on: a usable close and a volume above 0."""
    return usable(close) and volume > 0.0


@rule
def new_day(account: Floats, day: int) -> None:
    """The close that ends a UTC day sets the next day's baseline and clears its counters."""
    if account[a.DAY] != day:
        account[a.DAY] = day
        account[a.BASELINE] = account[a.EQUITY]
        account[a.STOPOUTS] = 0.0
        account[a.ENTRIES] = 0.0
        account[a.TRIPPED] = 0.0


@rule
def breaker(account: Floats, held_stale: bool, limits: Limits) -> None:
    """Trip for the rest of the UTC day at the drawdown limit, on stale marks, or on no number."""
    floor = account[a.BASELINE] * (1.0 - limits.daily_drawdown)
    if held_stale or not -math.inf < floor < account[a.EQUITY]:
        account[a.TRIPPED] = 1.0


@rule
def pause(account: Floats, limits: Limits) -> int:
    """The four reasons that stop everybody."""
    if account[a.HALTED] != 0.0:
        return HALTED
    if account[a.TRIPPED] != 0.0:
        return DAILY_DRAWDOWN
    if not account[a.STOPOUTS] < limits.max_stopouts_per_day:  # written so that NaN refuses
        return MAX_STOPOUTS
    if not account[a.ENTRIES] < limits.max_entries_per_day:
        return MAX_ENTRIES
    return ACCEPTED


@rule
def meets_correlated(book: Floats, too_close: Bools, day: int, i: int) -> bool:
    """Is any open position, or entry accepted at this close, too close to symbol i?"""
    for j in range(book.shape[0]):
        held = book[j, a.SIDE] != 0.0 or book[j, a.PENDING] != 0.0
        if held and j != i and too_close[day, i, j]:
            return True
    return False


@rule
def refusal(
    book: Floats, account: Floats, market: Floats, claims: Floats, too_close: Bools,
    t: int, day: int, bar: int, i: int, limits: Limits,
) -> int:  # fmt: skip
    """The first rule that holds against symbol i's claim, before its size is looked at."""
    everybody = pause(account, limits)
    if everybody != ACCEPTED:
        return everybody
    if not fresh(market[t, i, a.CLOSE], market[t, i, a.VOLUME]):
        return STALE
    if claims[t, i, a.WANT] < 0.0 and limits.allow_short == 0.0:
        return NO_SHORT
    if book[i, a.SIDE] != 0.0:
        return ALREADY_OPEN
    if not bar >= book[i, a.FREE_FROM]:
        return COOLDOWN
    if meets_correlated(book, too_close, day, i):
        return CORRELATED
    return ACCEPTED


@rule
def admit(
    account: Floats, close: float, volume: float, share: float, limits: Limits, costs: Costs
) -> tuple[int, float]:
    """Fit a wanted share of equity into the room that is left; give the reason and the quantity.

    CLAMPED comes with a quantity, every other reason with 0.
    """
    equity = account[a.EQUITY]
    if not usable(equity):
        return MAX_DEPLOYED, 0.0
    room = (limits.max_deployed * equity - account[a.DEPLOYED]) / equity
    if not a.TINY < room < math.inf:
        return MAX_DEPLOYED, 0.0
    reason = ACCEPTED
    if share > room + a.TINY:
        reason, share = CLAMPED, room
    quantity = share * equity / close
    if costs.max_participation < math.inf:
        most = costs.max_participation * volume if usable(volume) else 0.0
        if quantity > most:
            reason, quantity = CLAMPED, most
    quantity = a.round_down(quantity, costs.step)
    if not usable(quantity) or quantity * close < limits.min_notional:
        return MIN_NOTIONAL, 0.0
    return reason, quantity


@rule
def order_of_claims(claims: Floats, t: int, order: Ints) -> int:
    """Fill `order` with the symbols that claim, by confidence descending, then as they stand.

    Symbols stand in ascending order and the insertion sort is stable. Returns how many claim.
    """
    n = 0
    for i in range(claims.shape[1]):
        want = claims[t, i, a.WANT]
        if want == 1.0 or want == -1.0:
            confidence = within(claims[t, i, a.CONFIDENCE], 100.0)
            k = n
            while k > 0 and within(claims[t, int(order[k - 1]), a.CONFIDENCE], 100.0) < confidence:
                order[k] = order[k - 1]
                k -= 1
            order[k] = i
            n += 1
    return n


@rule
def answer_claims(
    book: Floats, account: Floats, market: Floats, claims: Floats, too_close: Bools, order: Ints,
    fates: Ints, t: int, day: int, bar: int, limits: Limits, costs: Costs,
) -> None:  # fmt: skip
    """The decision at close t: accepted entries become PENDING, asked exits EXIT_ASKED.

    `fates[t, i]` receives the Reason of every claim, -1 where there was none.
    """
    for i in range(book.shape[0]):
        if claims[t, i, a.EXIT] == 1.0 and book[i, a.SIDE] != 0.0:
            book[i, a.EXIT_ASKED] = 1.0
    n = order_of_claims(claims, t, order)
    for k in range(n):
        i = int(order[k])
        reason = refusal(book, account, market, claims, too_close, t, day, bar, i, limits)
        if reason == ACCEPTED:
            share = wanted_share(
                claims[t, i, a.CONFIDENCE], claims[t, i, a.MULTIPLIER], limits, costs
            )
            if share == 0.0:
                reason = NO_EDGE
            else:
                close = market[t, i, a.CLOSE]
                reason, quantity = admit(
                    account, close, market[t, i, a.VOLUME], share, limits, costs
                )
                if quantity > 0.0:
                    book[i, a.PENDING] = claims[t, i, a.WANT] * quantity
                    account[a.DEPLOYED] += quantity * close
                    account[a.ENTRIES] += 1.0
        account[a.BLOCKS + reason] += 1.0
        fates[t, i] = reason
