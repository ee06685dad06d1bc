"""Years of bars through the rule book without a record: figures only, for sweeps.

The rules are the functions of `cycle`, compiled, like the replay's; two things make this loop
faster. Fills go to scratch memory and are counted there, and bars at which nothing can happen are
stepped over: with a flat book and nothing pending only a claim changes anything, and its bar finds
the same equity, the same day and the same counters whether or not the bars before it were walked.
What comes out equals `metrics.summary` of the replay, to the last bit where no library sums.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numba import njit

from workbench import arrays as a
from workbench.arrays import Bools, Floats, Ints, rule, rules_fingerprint
from workbench.cycle import close_of_bar, market_array
from workbench.domain import Costs, Limits, Panel, UsageError
from workbench.execution.fills import trade
from workbench.risk.correlation import DailyFacts, daily_facts, too_close
from workbench.risk.gate import answer_claims

# Cells of `figures`; from BLOCKS on a count per Reason.
TRADES, WON, FEES, FINAL, DRAWDOWN, HELD, BLOCKS = range(7)
FIGURES = BLOCKS + a.N_REASONS
# What an open trade has come to: what is left of it, what exits paid, fees, its cost, direction.
LEFT, RECEIVED, FEE, NOTIONAL, SIGN = range(5)

Called = tuple[Ints, int]
"""For each bar the next one, itself included, with a claim or an exit (the number of bars where
there is none); and how many claims there are."""


@rule
def count(fills: Floats, n: int, trips: Floats, figures: Floats) -> None:
    """Closed trades, those that won, and all fees, from the fills in their order."""
    for k in range(n):
        i = int(fills[k, a.F_SYMBOL])
        quantity, price, fee = fills[k, a.F_QUANTITY], fills[k, a.F_PRICE], fills[k, a.F_FEE]
        figures[FEES] += fee
        if fills[k, a.F_WHY] == a.WHY_ENTRY:
            trips[i, LEFT], trips[i, RECEIVED], trips[i, FEE] = quantity, 0.0, fee
            trips[i, NOTIONAL], trips[i, SIGN] = quantity * price, fills[k, a.F_DIRECTION]
            continue
        trips[i, LEFT] -= quantity
        trips[i, RECEIVED] += quantity * price
        trips[i, FEE] += fee
        if trips[i, LEFT] <= 0.0:
            figures[TRADES] += 1.0
            profit = trips[i, SIGN] * (trips[i, RECEIVED] - trips[i, NOTIONAL]) - trips[i, FEE]
            if profit > 0.0:
                figures[WON] += 1.0


class Kernel(NamedTuple):
    """The compiled loops."""

    scan: Callable[..., None]
    upcoming: Callable[[Floats, int, Ints], int]


@functools.cache
def kernel(fingerprint: str) -> Kernel:
    """The loops compiled for this state of the rule files, without reference counts as the
    replay's."""

    @njit(cache=True, nogil=True, _nrt=False)
    def upcoming(claims: Floats, first: int, rows: Ints) -> int:
        n, following = 0, len(claims)
        for t in range(len(claims) - 1, -1, -1):
            for i in range(claims.shape[1]):
                wants = abs(claims[t, i, a.WANT]) == 1.0
                if wants or claims[t, i, a.EXIT] == 1.0:
                    following = t
                if wants and t >= first:
                    n += 1
            rows[t] = following
        return n

    @njit(cache=True, nogil=True, _nrt=False)
    def scan(
        book: Floats, account: Floats, market: Floats, claims: Floats, upcoming: Ints,
        too_close: Bools, days: Ints, first_day: int, open_days: Ints, first_bar: int, first: int,
        order: Ints, fates: Any, fills: Floats, trips: Floats, limits: Limits, costs: Costs,
        daily: Floats, figures: Floats,
    ) -> None:  # fmt: skip
        _ = fingerprint  # a part of numba's cache key: a changed rule is a new kernel
        n, t, busy, ended = 0, first, False, 0  # daily[:ended] are written
        peak = trough = account[a.EQUITY]
        worst = bars_held = 0.0
        while t < market.shape[0]:
            if not busy:
                t = upcoming[t]
                if t >= market.shape[0]:
                    break
            while ended < open_days[t] - open_days[first]:
                daily[ended] = account[a.EQUITY]
                ended += 1
            bar, day = first_bar + t, days[t]
            n = trade(book, account, market, fills, n, t, bar, limits, costs)
            close_of_bar(book, account, market, t, day, limits)
            if upcoming[t] == t:
                answer_claims(
                    book, account, market, claims, too_close, order, fates,
                    t, day - first_day, bar, limits, costs,
                )  # fmt: skip
            busy, held = False, 0.0
            for i in range(book.shape[0]):
                if book[i, a.SIDE] != 0.0:
                    busy, held = True, 1.0
                elif book[i, a.PENDING] != 0.0:
                    busy = True
            bars_held += held
            equity = account[a.EQUITY]
            if equity > peak:
                peak = trough = equity
            elif equity < trough:  # the deepest of a fall is where it is lowest
                trough = equity
                worst = min(worst, equity / peak - 1.0)
            t += 1
        for d in range(ended, len(daily)):
            daily[d] = account[a.EQUITY]
        count(fills, n, trips, figures)
        figures[HELD] = bars_held
        figures[FINAL] = account[a.EQUITY]
        figures[DRAWDOWN] = worst
        for k in range(a.N_REASONS):
            figures[BLOCKS + k] = account[a.BLOCKS + k]

    return Kernel(scan, upcoming)


class Scanned(NamedTuple):
    """One set's run: `figures` (see the cells above) and the equity at the end of each UTC day."""

    figures: Floats
    daily: Floats


@dataclass(frozen=True, eq=False)
class Ground:
    """What every set of a sweep shares: the bars as the loop reads them, trading from `first` on.

    Threads and processes may share one; nothing writes to it. `market` (bars, symbols, 8).
    """

    market: Floats
    facts: DailyFacts
    days: Ints
    open_days: Ints
    first_bar: int
    first: int

    @classmethod
    def of(cls, panel: Panel, first: int = 0) -> Self:
        """Raises UsageError if no bar is left to trade."""
        if not 0 <= first < len(panel):
            raise UsageError(f"no bar may trade: the panel has {len(panel)}, the first is {first}")
        facts = daily_facts(panel.close.to_numpy(), panel.volume.to_numpy(), panel.open_days)
        return cls(
            market_array(panel, facts), facts, panel.days, panel.open_days,
            int(panel.bar_numbers[0]), first,
        )  # fmt: skip

    @property
    def trading_days(self) -> int:
        """UTC days from the first bar that may trade, begun ones included."""
        return int(self.open_days[-1] - self.open_days[self.first]) + 1

    @property
    def shape(self) -> tuple[int, int]:
        """Bars and symbols."""
        return self.market.shape[0], self.market.shape[1]

    def room(self) -> Floats:
        """Memory for claims, (bars, symbols, 4)."""
        return np.zeros((*self.shape, a.CLAIM_COLUMNS))

    def apart(self, limits: Limits) -> Bools:
        """Which pairs may not be held together, a day a row; the same for all sets that share
        `max_correlation` and `one_per_cluster`."""
        return too_close(self.facts.rho, limits)

    def called(self, claims: Floats) -> Called:
        """Where the claims are; those before the first bar that may trade are nobody's."""
        rows = np.empty(len(claims), np.int64)
        return rows, kernel(rules_fingerprint()).upcoming(claims, self.first, rows)


@dataclass(eq=False)
class Scratch:
    """Memory that a thread writes on again and again; nothing in it outlives one scan."""

    claims: Floats
    fates: Any
    fills: Floats

    @classmethod
    def like(cls, ground: Ground) -> Self:
        return cls(ground.room(), np.empty(ground.shape, np.int8), np.empty((0, a.FILL_COLUMNS)))

    def fills_of(self, claims: int) -> Floats:
        """A claim makes one entry at the most, and an entry has at most three fills."""
        if len(self.fills) < 3 * claims:
            self.fills = np.empty((3 * claims, a.FILL_COLUMNS))
        return self.fills


def scan(
    ground: Ground, claims: Floats, called: Called, apart: Bools, limits: Limits, costs: Costs,
    capital: float, scratch: Scratch,
) -> Scanned:  # fmt: skip
    """One set through the rules. `claims` (bars, symbols, 4), `called` is `ground.called(claims)`
    and `apart` is `ground.apart(limits)`: sets share what is equal for them."""
    rows, n_claims = called
    symbols = ground.shape[1]
    account = np.zeros(a.ACCOUNT_CELLS)
    account[[a.CASH, a.EQUITY, a.BASELINE]] = capital
    account[a.DAY] = ground.open_days[ground.first]
    figures, daily = np.zeros(FIGURES), np.empty(ground.trading_days)
    kernel(rules_fingerprint()).scan(
        np.zeros((symbols, a.BOOK_COLUMNS)), account, ground.market, claims, rows, apart,
        ground.days, ground.facts.first_day, ground.open_days, ground.first_bar, ground.first,
        np.zeros(symbols, np.int64), scratch.fates, scratch.fills_of(n_claims),
        np.zeros((symbols, 5)), limits, costs, daily, figures,
    )  # fmt: skip
    return Scanned(figures, daily)
