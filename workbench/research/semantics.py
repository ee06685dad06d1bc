"""What an engine may mean by an order, in one page of plain Python; ours is one of the ways.

`simulate` follows our rules but for the differences it is told. It shares no code with the replay,
so that it is a second opinion on it as well. No engine is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workbench import arrays as a
from workbench.arrays import Bools, Floats
from workbench.domain import Costs, Limits, Panel, Proposal, UsageError
from workbench.research.replay import replay

STEP = 1e-8  # the smallest quantity of a coin; engines that count in units are given these
NEVER = 0.999_999  # a loss that no bar reaches
PRICES = ["open", "high", "low", "close"]


class Rules(NamedTuple):
    """What an engine means by an order. The defaults are ours.

    `fill`: the price an order decided at a close gets. `entry_bar`: stop and target are alive on
    the bar of their own entry. `protect_first`: a stop or target within a bar comes before an exit
    at that bar's open. `level_from`: of which price stop and target are fractions. `target_gap`:
    what a bar that opens past the target pays. `ladder`: the target sells a part and the rest
    trails. `last`: what becomes of a position and of orders left at the end. `units`: smallest
    quantity. `cash`: what happens to an order that cash does not cover. `valued`: the price at
    which a bar's equity values the position. `booked_late`: a fill at a close reaches the equity
    with the next bar.
    """

    fill: str = "next open"
    entry_bar: bool = True
    protect_first: bool = False
    level_from: str = "fill"
    target_gap: str = "target"
    ladder: bool = True
    last: str = "kept"
    units: float = 0.0
    cash: str = "overdrawn"
    valued: str = "close"
    booked_late: bool = False


OURS = Rules()
DIFFERENCES: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "same close": (
        {"fill": "same close"}, "an order is filled at the close it was decided on"),
    "next close": (
        {"fill": "next close"}, "an order is filled at the next bar's close, not at its open"),
    "entry bar unprotected": (
        {"entry_bar": False}, "stop and target are not looked at on the entry's own bar"),
    "stop before exit": (
        {"protect_first": True},
        "one order a bar: a stop or target within it comes before an exit at its open"),
    "level from the signal": (
        {"level_from": "signal"},
        "the stop's level goes with the order: it is a fraction of the signal's close"),
    "target gap at the open": (
        {"target_gap": "open"}, "a bar that opens past the target pays the open, not the target"),
    "no ladder": (
        {"ladder": False}, "the target sells the whole position; there is no rung and no trail"),
    "last bar again": (
        {"last": "sold"}, "the last bar is gone through twice: what is held is sold at its open"),
    "whole units": (
        {"units": 1.0}, "a quantity is a whole number; the rest of it is cut off"),
    "cash refuses": (
        {"cash": "refuse"}, "an order that cash does not cover at its fill is refused"),
    "cash refuses twice": (
        {"cash": "refuse twice"},
        "an order that cash does not cover at the signal's close, or at its fill, is refused"),
    "cash shrinks": (
        {"cash": "shrink"}, "an order that cash does not cover buys what cash can"),
    "booked late": (
        {"booked_late": True},
        "a fill at a close is made while the next bar is worked on: equity shows it there, and one"
        " at the last close is never made"),
    "valued at the open": (
        {"valued": "open"}, "it is shown opens alone and values the position at them"),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Account:
    """What an engine did: `fills` (bar, side +1 or -1, quantity, price, fee), in order, and the
    equity at each bar's close."""

    fills: pd.DataFrame
    equity: Floats

    @classmethod
    def of(cls, fills: Sequence[tuple[int, int, float, float, float]], equity: Any) -> Account:
        frame = pd.DataFrame(fills, columns=["bar", "side", "quantity", "price", "fee"])
        whole = {"bar": np.int64, "side": np.int64}
        return cls(frame.astype(np.float64).astype(whole), np.asarray(equity, np.float64))


@dataclass(frozen=True, eq=False)
class Task:
    """One asset's bars (open, high, low, close by open time), what to do at each close, and what
    came of it in our replay.

    `quantity` is the size of an entry decided at each close: that of our own fill, so that every
    engine trades the same amount. `stop` and `target` are fractions or None; `share` of the
    position is sold at the target and the rest trails by `trail`.
    """

    name: str
    bars: pd.DataFrame
    entries: Bools
    exits: Bools
    capital: float
    fee_rate: float
    stop: float | None = None
    target: float | None = None
    share: float = 1.0
    trail: float | None = None
    invested: float = 0.5
    step: float = STEP

    @cached_property
    def ours(self) -> Account:
        """Our replay of these signals, its limits so wide that only stop and target bind."""
        grid = pd.date_range("2000-01-01", periods=len(self.bars), freq="1h", tz="UTC")

        def frame(values: Any) -> pd.DataFrame:
            return pd.DataFrame({"X": np.asarray(values)}, grid)

        # A grid without gaps, for bars are counted here; of the volume, only that there was one.
        opened, high, low, close = (frame(self.bars[name]) for name in PRICES)
        one = frame(np.ones(len(grid)))
        panel = Panel.from_frames(open=opened, high=high, low=low, close=close, volume=one)
        side = frame(self.entries.astype(np.float64))
        proposal = Proposal(side, one * 100.0, one, frame(self.exits))
        costs = Costs(
            half_spread=0.0, impact=0.0, step=self.step,
            taker_fee=self.fee_rate, maker_fee=self.fee_rate,
        )  # fmt: skip
        run = replay(panel, proposal, wide_limits(self), costs, self.capital)
        columns = [a.F_BAR, a.F_DIRECTION, a.F_QUANTITY, a.F_PRICE, a.F_FEE]
        rows = [(int(bar), int(side), *rest) for bar, side, *rest in run.records[:, columns]]
        return Account.of(rows, run.equity)

    @cached_property
    def quantity(self) -> Floats:
        close = self.bars["close"].to_numpy()
        size = np.floor(self.invested * self.capital / close / self.step) * self.step
        bought = self.ours.fills[self.ours.fills["side"] > 0]
        size[bought["bar"].to_numpy() - 1] = bought["quantity"]
        return size

    @cached_property
    def units(self) -> Floats:
        """The same quantities counted in steps."""
        return np.round(self.quantity / self.step)


def wide_limits(task: Task) -> Limits:
    return Limits(
        max_position=task.invested, max_deployed=1.0, stop=task.stop or NEVER,
        take_profit=task.target or 1e6, take_profit_share=task.share, trail=task.trail or NEVER,
        max_correlation=1.0, daily_drawdown=NEVER, max_stopouts_per_day=np.inf, cooldown_bars=0.0,
        max_entries_per_day=np.inf,
    )  # fmt: skip


# --- the rules in plain words --------------------------------------------------------------------


def but_for(named: Sequence[str]) -> Rules:
    """Our rules but for the named differences. Raises UsageError for a name nobody knows."""
    changes: dict[str, Any] = {}
    for name in named:
        if name not in DIFFERENCES:
            raise UsageError(f"{name!r} is no difference with a name; see DIFFERENCES")
        changes |= DIFFERENCES[name][0]
    return OURS._replace(**changes)


class _Desk:
    """One asset's position and cash under some rules; see `simulate`."""

    def __init__(self, task: Task, rules: Rules) -> None:
        self.task, self.rules = task, rules
        self.prices = {name: task.bars[name].tolist() for name in PRICES}
        self.cash, self.held, self.entered, self.base = task.capital, 0.0, -1, 0.0
        self.peak, self.rung, self.wanted = 0.0, False, (-1, "")
        self.fills: list[tuple[int, int, float, float, float]] = []

    def fill(self, bar: int, side: int, quantity: float, price: float) -> None:
        fee = quantity * price * self.task.fee_rate
        self.cash -= side * quantity * price + fee
        self.held = self.held + quantity if side > 0 else self.held - quantity
        self.fills.append((bar, side, quantity, price, fee))

    def decide(self, bar: int) -> None:
        """At a close: an exit if something is held, else an entry."""
        signals = self.task.exits if self.held else self.task.entries
        self.wanted = (bar, "exit" if self.held else "entry") if signals[bar] else (-1, "")

    def obey(self, bar: int, price: float) -> None:
        """The order decided last, at this price."""
        (decided, what), self.wanted = self.wanted, (-1, "")
        if what == "exit" and self.held:
            self.fill(bar, -1, self.held, price)
        elif what == "entry" and not self.held:
            quantity = self.affordable(decided, price)
            if quantity > 0.0:
                self.fill(bar, 1, quantity, price)
                self.entered, self.peak, self.rung = bar, price, False
                of_signal = self.rules.level_from == "signal"
                self.base = self.prices["close"][decided] if of_signal else price

    def affordable(self, decided: int, price: float) -> float:
        quantity = float(self.task.quantity[decided])
        if self.rules.units:
            quantity = np.floor(quantity / self.rules.units + a.TINY) * self.rules.units
        if self.rules.cash == "refuse twice":
            price = max(price, self.prices["close"][decided])
        most = self.cash / (price * (1.0 + self.task.fee_rate))
        if quantity <= most or self.rules.cash == "overdrawn":
            return quantity
        return most if self.rules.cash == "shrink" else 0.0

    def protect(self, bar: int) -> None:
        """The stop, a gap through it at the open; else the target."""
        task, quoted = self.task, self.prices["open"][bar]
        level = 0.0 if task.stop is None else self.base * (1.0 - task.stop)
        if self.rung and task.trail is not None:
            level = max(level, self.peak * (1.0 - task.trail))
        if min(quoted, self.prices["low"][bar]) <= level:
            self.fill(bar, -1, self.held, min(quoted, level))
            return
        target = np.inf if task.target is None else self.base * (1.0 + task.target)
        if self.prices["high"][bar] >= target and not self.rung:
            share = task.share if self.rules.ladder else 1.0
            paid = max(quoted, target) if self.rules.target_gap == "open" else target
            self.fill(bar, -1, share * self.held, paid)
            self.rung = True


def simulate(task: Task, rules: Rules = OURS) -> Account:
    """What an engine with these rules does, bar by bar; shares no code with the replay."""
    desk, n = _Desk(task, rules), len(task.bars)
    opens, highs, closes = (desk.prices[name] for name in ("open", "high", "close"))
    equity = np.empty(n)
    for bar in range(n):
        through(desk, bar, opens[bar])
        if rules.fill == "next close":
            desk.obey(bar, closes[bar])
        desk.decide(bar)
        worth = desk.cash + desk.held * desk.prices[rules.valued][bar]
        if rules.fill == "same close" and not (rules.booked_late and bar == n - 1):
            desk.obey(bar, closes[bar])
        if bar == n - 1 and rules.last == "sold":
            if desk.held:
                desk.wanted = (bar, "exit")
            through(desk, bar, opens[bar])
        desk.peak = max(desk.peak, highs[bar])
        if not rules.booked_late:
            worth = desk.cash + desk.held * desk.prices[rules.valued][bar]
        equity[bar] = worth
    return Account.of(desk.fills, equity)


def through(desk: _Desk, bar: int, quoted: float) -> None:
    """From the open of a bar to just before its close."""
    rules = desk.rules
    if rules.protect_first and desk.held:
        desk.protect(bar)
    if rules.fill == "next open":
        desk.obey(bar, quoted)
    asleep = desk.entered == bar and not rules.entry_bar
    new = desk.entered == bar or not rules.protect_first
    if desk.held and new and not asleep and rules.fill == "next open":
        desk.protect(bar)
