"""What costs leave of an edge: dearer fills, the cost at which nothing is left, and the order size.

Every figure comes from the replay of the whole rule book. The gate keeps its belief: it sizes and
refuses as it does at the given costs, so that only the fills get dearer and not the choice of
trades. A trade's return is net and a share of its entry notional; what is open at the end is no
trade. Impact is `execution.costs`: the square-root law.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench import arrays as a
from workbench.arrays import Floats
from workbench.domain import Costs, Limits, Panel, Proposal, UsageError
from workbench.execution.costs import MOST
from workbench.research.replay import replay
from workbench.risk.correlation import DailyFacts, daily_facts

ALL = "all"
MULTIPLES = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0)
LEAST_TRADES = 10  # the mean of fewer says little but looks like a number
CLOSE = 1e-7  # a break-even cost is known to a thousandth of a basis point
STEP = math.sqrt(10.0)  # from one capital to the next
NO_EDGE = "no edge to begin with"

Closed = pd.DataFrame
Trades = Callable[[Costs, float], Closed]
"""Closed trades of the replay at these costs and this capital."""


@dataclass(frozen=True, eq=False)
class CostStudy:
    """What costs leave. All shares are fractions; the rows of "all" are of every trade.

    `sensitivity`, a row a symbol and multiple of all costs: trades, `paid` (mean fees and slippage
    of a round trip), `net return` (profit of closed trades over the capital), `expectancy`, `says`.
    `break_even`, a row a symbol: trades, `gross` (the mean trade at no cost), `paid` at the given
    costs, `break even` (round trip, all of it charged as fee, half on each leg), `says`.
    `capacity`, a row a symbol, of trades whose ADV was known: trades, `expectancy` at the given
    capital; where it is 0: `capital`, `order` (mean entry notional), `of ADV` (median); `says`.
    `orders`, a row a capital tried, of every such trade: order, of ADV, expectancy.
    `says` is "" or why a figure is NaN.
    """

    panel: Panel
    costs: Costs
    capital: float
    sensitivity: pd.DataFrame
    break_even: pd.DataFrame
    capacity: pd.DataFrame
    orders: pd.DataFrame

    @property
    def source(self) -> str:
        return self.panel.source

    @property
    def synthetic(self) -> bool:
        return self.panel.synthetic


def cost_study(
    panel: Panel,
    proposal: Proposal,
    limits: Limits | None = None,
    costs: Costs | None = None,
    capital: float = 10_000.0,
    multiples: Sequence[float] = MULTIPLES,
    most_capital: float = 1e9,
) -> CostStudy:
    """Study a proposal as `replay` takes it; capital is raised up to `most_capital`.

    Raises UsageError as the replay does, and for a multiple that is no finite number from 0 on.
    """
    limits, costs = limits or Limits(), costs or Costs()
    if not multiples or not all(0.0 <= m < math.inf for m in multiples):
        raise UsageError(f"multiples of the costs are {list(multiples)}; give numbers from 0 on")
    facts = daily_facts(panel.close.to_numpy(), panel.volume.to_numpy(), panel.open_days)

    @functools.cache
    def trades(now: Costs, money: float) -> Closed:
        wanted, asked = believing(proposal, limits, costs, now)
        run = replay(panel, wanted, asked, now, money)
        return closed_trades(run.records, panel, facts, now)

    trades(costs, capital)  # what the replay refuses, it refuses here
    return CostStudy(
        panel=panel,
        costs=costs,
        capital=capital,
        sensitivity=_sensitivity(trades, panel.symbols, limits, costs, capital, multiples),
        break_even=_break_even(trades, panel.symbols, limits, costs, capital),
        capacity=_capacity(trades, panel.symbols, costs, capital, most_capital),
        orders=_orders(trades, costs, capital, most_capital),
    )


# --- one replay --------------------------------------------------------------------------------


def believing(
    proposal: Proposal, limits: Limits, believed: Costs, now: Costs
) -> tuple[Proposal, Limits]:
    """Proposal and limits with which the gate at costs `now` gives each claim the size that it has
    at the `believed` costs; see `moved`."""
    told, asked = moved(np.asarray(proposal.confidence, np.float64), limits, believed, now)
    frame = pd.DataFrame(told, proposal.confidence.index, proposal.confidence.columns)
    return Proposal(proposal.side, frame, proposal.multiplier, proposal.exit), asked


def moved(confidence: Floats, limits: Limits, believed: Costs, now: Costs) -> tuple[Floats, Limits]:
    """Confidences (0-100) and limits that size at costs `now` as the given ones at the `believed`.

    The gate's edge is (p - b) / (p_full - b), with b the break-even chance (stop + round trip) /
    (stop + target); so the chances are moved along a line from old b and p_full to the new ones,
    which keeps their order. Needs a round trip below the target: from there on the gate trades
    nothing whatever it believes.
    """
    before, after = (_even_chance(limits, costs) for costs in (believed, now))
    if before == after:
        return confidence, limits
    full = max(limits.p_full, (1.0 + after) / 2.0)
    p = confidence / 100.0
    told = np.interp(p, [0.0, before, limits.p_full, 1.0], [0.0, after, full, 1.0])
    if not before < limits.p_full:
        told = np.zeros_like(p)  # refused at the believed costs, so refused
    sure = 100.0 * np.where((p >= 0.0) & (p <= 1.0), told, np.nan)
    return sure, limits._replace(p_full=full)


def closed_trades(records: Floats, panel: Panel, facts: DailyFacts, costs: Costs) -> Closed:
    """Closed trades from fill records (see `arrays`): symbol, notional, profit, return, `turned`
    (entry and exit notional over the entry's), `paid` (fees and slippage over it) and `of ADV`
    (NaN where sigma or ADV was unknown, so that there was no impact)."""
    own = records[np.argsort(records[:, a.F_SYMBOL], kind="stable")]
    starts = np.flatnonzero(own[:, a.F_WHY] == a.WHY_ENTRY)
    if not len(starts):
        names = ("symbol", "notional", "profit", "return", "turned", "paid", "of ADV")
        return pd.DataFrame({name: np.empty(0) for name in names})
    direction, quantity = own[:, a.F_DIRECTION], own[:, a.F_QUANTITY]
    value = quantity * own[:, a.F_PRICE]
    sigma, adv = (_of_day(cells, facts, own[starts], panel) for cells in (facts.sigma, facts.adv))
    known = (sigma > 0.0) & (adv > 0.0)
    slipped = quantity * np.abs(own[:, a.F_PRICE] - _quoted(own, panel, facts, costs))

    def summed(values: Floats) -> Floats:
        return np.add.reduceat(values, starts)

    notional, profit = value[starts], summed(-direction * value - own[:, a.F_FEE])
    frame = pd.DataFrame(
        {
            "symbol": np.asarray(panel.symbols)[own[starts, a.F_SYMBOL].astype(np.int64)],
            "notional": notional,
            "profit": profit,
            "return": profit / notional,
            "turned": summed(value) / notional,
            "paid": summed(slipped + own[:, a.F_FEE]) / notional,
            "of ADV": np.where(known, notional / np.where(known, adv, 1.0), np.nan),
        }
    )
    return frame[np.abs(summed(direction * quantity)) <= 1e-9 * quantity[starts]]


def _quoted(own: Floats, panel: Panel, facts: DailyFacts, costs: Costs) -> Floats:
    """The prices before the cost model moved them: `taker_price`, undone.

    Its impact depends on the quoted price itself by a square root; each round brings the guess
    closer by the shift, so that thirty are exact even at the largest.
    """
    price, taker = own[:, a.F_PRICE], own[:, a.F_WHY] != a.WHY_TAKE_PROFIT
    sigma, adv = (_of_day(cells, facts, own, panel) for cells in (facts.sigma, facts.adv))
    known = (sigma > 0.0) & (adv > 0.0)
    scale = np.where(known, costs.impact * sigma / np.sqrt(np.where(known, adv, 1.0)), 0.0)
    quoted = price
    for _ in range(30):
        shift = costs.half_spread + scale * np.sqrt(own[:, a.F_QUANTITY] * quoted)
        quoted = price / (1.0 + own[:, a.F_DIRECTION] * np.minimum(shift, MOST))
    return np.where(taker, quoted, price)


def _of_day(cells: Floats, facts: DailyFacts, own: Floats, panel: Panel) -> Floats:
    """What was known of each fill's symbol at the open of its bar."""
    days = panel.open_days[own[:, a.F_BAR].astype(np.int64)] - facts.first_day
    return cells[days, own[:, a.F_SYMBOL].astype(np.int64)]


# --- the three questions -----------------------------------------------------------------------


def _sensitivity(
    trades: Trades, symbols: Sequence[str], limits: Limits, costs: Costs, capital: float,
    multiples: Sequence[float],
) -> pd.DataFrame:  # fmt: skip
    rows: list[dict[str, Any]] = []
    for multiple in multiples:
        now = scaled(costs, multiple)
        trips = trades(now, capital) if _even_chance(limits, now) < 1.0 else None
        for symbol in (ALL, *symbols):
            row: dict[str, Any] = {"symbol": symbol, "multiple": float(multiple)}
            if trips is None:
                says = "not computable: a round trip costs more than the target pays"
                rows.append({**row, "trades": 0, "says": says})
                continue
            own = _of(trips, symbol)
            some = len(own) > 0
            rows.append(
                {
                    **row,
                    "trades": len(own),
                    "paid": float(own["paid"].mean()) if some else math.nan,
                    "net return": float(own["profit"].sum()) / capital,
                    "expectancy": float(own["return"].mean()) if some else math.nan,
                    "says": "" if some else "not computable: n = 0, needs 1",
                }
            )
    names = ["symbol", "multiple", "trades", "paid", "net return", "expectancy", "says"]
    return pd.DataFrame(rows, columns=names)


def scaled(costs: Costs, multiple: float) -> Costs:
    """Spread, impact and fees times `multiple`; a share of the price is at most one half."""
    shares = ("half_spread", "taker_fee", "maker_fee")
    dearer = {name: min(multiple * getattr(costs, name), MOST) for name in shares}
    return costs._replace(impact=multiple * costs.impact, **dearer)


def flat(costs: Costs, round_trip: float) -> Costs:
    """All of it fee, half on each leg: prices, and so stops and targets, stay where they are."""
    fee = round_trip / 2.0
    return costs._replace(half_spread=0.0, impact=0.0, taker_fee=fee, maker_fee=fee)


def break_even_cost(gross: Closed) -> float:
    """The round trip at which these trades, made at no cost, come to a mean of 0.

    A trade of gross return g that turned over k entry notionals nets g - c / 2 * k, so
    c = 2 mean(g) / mean(k). Right as long as costs change no trade.
    """
    return 2.0 * float(gross["return"].mean()) / float(gross["turned"].mean())


def _break_even(
    trades: Trades, symbols: Sequence[str], limits: Limits, costs: Costs, capital: float
) -> pd.DataFrame:
    most = min(limits.take_profit, 1.0) * 0.999

    def row(symbol: str) -> tuple[Any, ...]:
        gross, given = (_of(trades(now, capital), symbol) for now in (flat(costs, 0.0), costs))
        n, earned, paid = len(gross), float(gross["return"].mean()), float(given["paid"].mean())
        if n < LEAST_TRADES:
            told = math.nan, f"not computable: n = {n}, needs {LEAST_TRADES}"
            return n, earned, paid, *told
        if not earned > 0.0:
            return n, earned, paid, math.nan, NO_EDGE

        def pays(cost: float) -> bool:
            return bool(_of(trades(flat(costs, cost), capital), symbol)["return"].mean() > 0.0)

        if pays(most):
            return n, earned, paid, math.nan, f"none found up to {1e4 * most:.0f} bps"
        guess = break_even_cost(gross)
        if CLOSE < guess < most - CLOSE and pays(guess - CLOSE) and not pays(guess + CLOSE):
            return n, earned, paid, guess, ""
        return n, earned, paid, _last_paying(pays, 0.0, most, CLOSE), ""

    columns = ["trades", "gross", "paid", "break even", "says"]
    return pd.DataFrame([row(s) for s in (ALL, *symbols)], [ALL, *symbols], columns)


def _capacity(
    trades: Trades, symbols: Sequence[str], costs: Costs, capital: float, most_capital: float
) -> pd.DataFrame:
    tried = _capitals(capital, most_capital)

    def row(symbol: str) -> tuple[Any, ...]:
        def met(money: float) -> Closed:
            return _measured(_of(trades(costs, money), symbol))

        def pays(money: float) -> bool:
            return bool(met(money)["return"].mean() > 0.0)

        here = met(capital)
        known = len(here), float(here["return"].mean())
        nothing = math.nan, math.nan, math.nan
        if len(here) < LEAST_TRADES:
            told = f"not computable: n = {len(here)} with a known ADV, needs {LEAST_TRADES}"
            return *known, *nothing, told
        free = _measured(_of(trades(costs._replace(impact=0.0), capital), symbol))
        if not free["return"].mean() > 0.0:
            return *known, *nothing, NO_EDGE
        if costs.impact == 0.0:
            return *known, *nothing, "costs.impact is 0: size costs nothing"
        if not known[1] > 0.0:
            return *known, *nothing, f"gone at the given capital of {capital:,.0f}"
        dead = next((k for k, money in enumerate(tried) if not pays(money)), None)
        if dead is None:
            order, share = _sizes(met(tried[-1]))
            return *known, *nothing, f"none found up to orders of {order:,.0f}, {share:.2g} of ADV"
        low, high = math.log(tried[dead - 1]), math.log(tried[dead])
        money = math.exp(_last_paying(lambda x: pays(math.exp(x)), low, high, 0.01))
        return *known, money, *_sizes(met(money)), ""

    columns = ["trades", "expectancy", "capital", "order", "of ADV", "says"]
    return pd.DataFrame([row(s) for s in (ALL, *symbols)], [ALL, *symbols], columns)


def _orders(trades: Trades, costs: Costs, capital: float, most_capital: float) -> pd.DataFrame:
    rows: list[tuple[float, ...]] = []
    for money in _capitals(capital, most_capital):
        met = _measured(trades(costs, money))
        rows.append((money, *_sizes(met), float(met["return"].mean())))
    return pd.DataFrame(rows, columns=["capital", "order", "of ADV", "expectancy"])


# --- shared ------------------------------------------------------------------------------------


def _even_chance(limits: Limits, costs: Costs) -> float:
    """The chance at which `sizing.edge` is 0; from 1 on the gate trades nothing."""
    round_trip = 2.0 * (costs.half_spread + costs.taker_fee)
    return (limits.stop + round_trip) / (limits.stop + limits.take_profit)


def _last_paying(pays: Callable[[float], bool], low: float, high: float, close: float) -> float:
    """Where it stops to pay, by halving: it pays at `low` and not at `high`."""
    while high - low > close:
        middle = (low + high) / 2.0
        low, high = (middle, high) if pays(middle) else (low, middle)
    return (low + high) / 2.0


def _capitals(capital: float, most: float) -> list[float]:
    """Half decades from the capital up to `most`."""
    steps = max(math.floor(math.log(max(most / capital, 1.0)) / math.log(STEP) + 1e-9), 0)
    return [capital * STEP**k for k in range(steps + 1)]


def _of(trips: Closed, symbol: str) -> Closed:
    return trips if symbol == ALL else trips[trips["symbol"] == symbol]


def _measured(trips: Closed) -> Closed:
    """Those that paid impact: without a known ADV size costs nothing in the model."""
    return trips[trips["of ADV"].notna()]


def _sizes(trips: Closed) -> tuple[float, float]:
    return float(trips["notional"].mean()), float(trips["of ADV"].median())
