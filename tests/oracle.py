"""The rule book a second time, in the plainest Python that says what it says.

Written from the words of the rule book alone and shaped unlike the product: an object per
position, dictionaries per symbol, one method per rule, no arrays and no compiler. Where it and
`workbench.research.replay` disagree, one of them has misread a sentence.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from workbench.domain import Costs, Limits, Panel, Proposal, UsageError

FILL_COLUMNS = ["time", "symbol", "side", "quantity", "price", "fee", "reason"]
A_DAY = pd.Timedelta(days=1)
EPSILON = 1e-9
WINDOW_DAYS = 60
ENOUGH_ROWS = 45


@dataclass
class OracleReplay:
    """What a run leaves behind, named as the public replay names it."""

    fills: pd.DataFrame
    equity: pd.Series
    blocks: dict[str, int]


@dataclass
class Candle:
    """One bar of one symbol."""

    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def stale(self) -> bool:
        """No finite positive close, or no volume above zero."""
        return not is_price(self.close) or not self.volume > 0


@dataclass
class Position:
    """What is held of one symbol. `best` is the high-water of a long, the low-water of a short."""

    side: int
    entry_quantity: float
    entry: float
    quantity: float = 0.0
    best: float = 0.0
    rung_taken: bool = False
    exit_asked: bool = False

    def __post_init__(self) -> None:
        self.quantity = self.entry_quantity
        self.best = self.entry

    @property
    def long(self) -> bool:
        return self.side == 1

    def protection(self, limits: Limits) -> tuple[float, str]:
        """The price at which everything goes, and the name such an exit has."""
        hard = self.entry * (1 - limits.stop) if self.long else self.entry * (1 + limits.stop)
        if not self.rung_taken:
            return hard, "stop"
        if self.long:
            trail = self.best * (1 - limits.trail)
            return (trail, "trail") if trail > hard else (hard, "stop")
        trail = self.best * (1 + limits.trail)
        return (trail, "trail") if trail < hard else (hard, "stop")

    def target(self, limits: Limits) -> float:
        if self.long:
            return self.entry * (1 + limits.take_profit)
        return self.entry * (1 - limits.take_profit)


@dataclass
class Claim:
    """One wanted entry, cleaned of what is not a number in its range."""

    symbol: str
    side: int
    confidence: float
    multiplier: float


@dataclass
class DailyHistory:
    """The days of one symbol: last usable close of each, and quote volume of each that had any."""

    closes: dict[int, float] = field(default_factory=dict)
    quote_volumes: dict[int, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, day: int, candle: Candle) -> None:
        if is_price(candle.close):
            self.closes[day] = candle.close
            if is_price(candle.volume):
                self.quote_volumes[day] += candle.close * candle.volume

    def returns_before(self, day: int) -> dict[int, float]:
        """Log returns of the 60 calendar days before `day`, without the holes."""
        found = {}
        for d in range(day - WINDOW_DAYS, day):
            if d in self.closes and d - 1 in self.closes:
                found[d] = math.log(self.closes[d] / self.closes[d - 1])
        return found

    def average_quote_volume_before(self, day: int) -> float:
        window = range(day - WINDOW_DAYS, day)
        known = [self.quote_volumes[d] for d in window if d in self.quote_volumes]
        return sum(known) / len(known) if known else 0.0


def is_price(number: float) -> bool:
    """A finite number above zero."""
    return math.isfinite(number) and number > 0


def day_of(moment: pd.Timestamp) -> int:
    return (moment - pd.Timestamp(0, tz="UTC")) // A_DAY


def in_range(number: float, top: float) -> float:
    """The number, or 0 if it is not a finite one in 0..top."""
    return number if math.isfinite(number) and 0 <= number <= top else 0.0


def correlation(one: dict[int, float], other: dict[int, float]) -> float | None:
    """Pearson's rho over the days both have; None if there is none worth the name."""
    common = sorted(set(one) & set(other))
    if len(common) < ENOUGH_ROWS:
        return None
    x, y = np.array([one[d] for d in common]), np.array([other[d] for d in common])
    if np.ptp(x) <= 1e-12 or np.ptp(y) <= 1e-12:
        return None
    rho = float(np.corrcoef(x, y)[0, 1])
    return rho if math.isfinite(rho) else None


class Oracle:
    """One replay, bar after bar."""

    def __init__(
        self, panel: Panel, proposal: Proposal, limits: Limits, costs: Costs, capital: float
    ) -> None:
        self.limits, self.costs = limits, costs
        self.timeframe = panel.timeframe
        self.times = list(panel.index)
        self.symbols = sorted(panel.symbols)
        self.candles = self._candles(panel)
        self._read_proposal(panel, proposal)
        self.history = {symbol: DailyHistory() for symbol in self.symbols}
        self._returns: dict[tuple[str, int], dict[int, float]] = {}
        self._friends: dict[int, dict[str, set[str]]] = {}

        self.cash = capital
        self.positions: dict[str, Position] = {}
        self.accepted: dict[str, tuple[int, float]] = {}
        self.last_close: dict[str, float] = {}
        self.left_at: dict[str, int] = {}

        self.today = day_of(self.times[0]) if self.times else 0
        self.day_start = capital
        self.tripped = False
        self.stopouts = 0
        self.entries = 0

        self.fills: list[tuple] = []
        self.equity_path: list[float] = []
        self.blocks: Counter[str] = Counter()

    # --- what comes in ---------------------------------------------------------------------

    def _candles(self, panel: Panel) -> list[dict[str, Candle]]:
        frames = (panel.open, panel.high, panel.low, panel.close, panel.volume)
        columns = {s: [frame[s].tolist() for frame in frames] for s in self.symbols}
        return [
            {s: Candle(*(column[t] for column in columns[s])) for s in self.symbols}
            for t in range(len(self.times))
        ]

    def _read_proposal(self, panel: Panel, proposal: Proposal) -> None:
        for name in ("side", "confidence", "multiplier", "exit"):
            frame = getattr(proposal, name)
            if frame.shape != panel.close.shape or not frame.index.equals(panel.close.index):
                raise UsageError(f"{name} does not lie on the panel")
        if proposal.exit.isna().to_numpy().any():
            raise UsageError("exit has a hole")
        side, confidence, multiplier = (
            {s: frame[s].astype(float).tolist() for s in self.symbols}
            for frame in (proposal.side, proposal.confidence, proposal.multiplier)
        )
        self.exits = {s: proposal.exit[s].astype(bool).tolist() for s in self.symbols}
        self.claims = []
        for t in range(len(self.times)):
            claims = []
            for s in self.symbols:
                if side[s][t] in (-1.0, 1.0):
                    p, m = in_range(confidence[s][t], 100), in_range(multiplier[s][t], 1)
                    claims.append(Claim(s, int(side[s][t]), p, m))
            self.claims.append(sorted(claims, key=lambda c: (-c.confidence, c.symbol)))

    # --- the order of a bar ----------------------------------------------------------------

    def run(self) -> OracleReplay:
        for t in range(len(self.times)):
            for symbol in self.symbols:
                self.at_the_open(t, symbol)
                self.inside_the_bar(t, symbol)
            self.at_the_close(t)
            self.decide(t)
        fills = pd.DataFrame(self.fills, columns=FILL_COLUMNS)
        equity = pd.Series(self.equity_path, index=pd.DatetimeIndex(self.times), dtype=float)
        return OracleReplay(fills, equity, {name: n for name, n in self.blocks.items() if n})

    def at_the_open(self, t: int, symbol: str) -> None:
        price = self.candles[t][symbol].open
        wanted = self.accepted.pop(symbol, None)  # void, whatever happens below, unless it fills
        if not is_price(price):
            return
        position = self.positions.get(symbol)
        if position is not None and position.exit_asked:
            self.leave(t, symbol, position.quantity, price, "exit")
        if wanted is not None:
            side, quantity = wanted
            paid = self.trade(t, symbol, side, quantity, price, "entry")
            self.positions[symbol] = Position(side, quantity, paid)

    def inside_the_bar(self, t: int, symbol: str) -> None:
        position, candle = self.positions.get(symbol), self.candles[t][symbol]
        if position is None or not is_price(candle.open):
            return
        level, name = position.protection(self.limits)
        worst, best = (candle.low, candle.high) if position.long else (candle.high, candle.low)
        if self.is_through(position, candle.open, level):
            self.leave(t, symbol, position.quantity, candle.open, name)
        elif is_price(worst) and self.is_through(position, worst, level):
            self.leave(t, symbol, position.quantity, level, name)
        else:
            target = position.target(self.limits)
            reached = is_price(best) and (best >= target if position.long else best <= target)
            if reached and not position.rung_taken:
                position.rung_taken = True
                share = self.limits.take_profit_share * position.entry_quantity
                self.leave(t, symbol, share, target, "take_profit")
            if is_price(best):
                position.best = (max if position.long else min)(position.best, best)

    @staticmethod
    def is_through(position: Position, price: float, level: float) -> bool:
        return price <= level if position.long else price >= level

    def at_the_close(self, t: int) -> None:
        opened = self.times[t]
        closed = opened + self.timeframe
        bar_day = day_of(closed - pd.Timedelta(1, unit="us"))
        worth = 0.0
        held_blind = False
        for symbol in self.symbols:
            candle = self.candles[t][symbol]
            self.history[symbol].add(bar_day, candle)
            if is_price(candle.close):
                self.last_close[symbol] = candle.close
            position = self.positions.get(symbol)
            if position is not None:
                worth += position.side * position.quantity * self.last_close[symbol]
                held_blind = held_blind or candle.stale
        self.equity = self.cash + worth
        self.equity_path.append(self.equity)
        if day_of(closed) != self.today:
            self.today = day_of(closed)
            self.day_start = self.equity
            self.tripped, self.stopouts, self.entries = False, 0, 0
        if held_blind or not self.equity > self.day_start * (1 - self.limits.daily_drawdown):
            self.tripped = True

    def decide(self, t: int) -> None:
        for claim in self.claims[t]:
            reason = self.refusal(t, claim) or self.admit(t, claim)
            if reason:
                self.blocks[reason] += 1
        for symbol, position in self.positions.items():
            if self.exits[symbol][t]:
                position.exit_asked = True

    # --- money -----------------------------------------------------------------------------

    def shift(self, t: int, symbol: str, notional: float) -> float:
        """How far a taker's price is moved: half the spread and the square root of its size."""
        day = day_of(self.times[t])
        returns = list(self.returns_before(symbol, day).values())
        volume = self.history[symbol].average_quote_volume_before(day)
        impact = 0.0
        if len(returns) >= 2 and volume > 0:
            sigma = float(np.std(returns, ddof=1))
            impact = self.costs.impact * sigma * math.sqrt(notional / volume)
        return min(0.5, self.costs.half_spread + impact)

    def trade(
        self, t: int, symbol: str, direction: int, quantity: float, price: float, reason: str
    ) -> float:
        if reason == "take_profit":
            fee_rate = self.costs.maker_fee
        else:
            fee_rate = self.costs.taker_fee
            price = price * (1 + direction * self.shift(t, symbol, quantity * price))
        fee = quantity * price * fee_rate
        self.cash -= direction * quantity * price + fee
        side = "buy" if direction == 1 else "sell"
        self.fills.append((self.times[t], symbol, side, quantity, price, fee, reason))
        return price

    def leave(self, t: int, symbol: str, quantity: float, price: float, reason: str) -> None:
        position = self.positions[symbol]
        self.trade(t, symbol, -position.side, quantity, price, reason)
        position.quantity -= quantity
        if reason == "stop":
            self.stopouts += 1
        if position.quantity == 0:
            del self.positions[symbol]
            self.left_at[symbol] = t

    # --- the gate --------------------------------------------------------------------------

    def refusal(self, t: int, claim: Claim) -> str | None:
        """The first rule that says no, apart from those about size."""
        limits, symbol = self.limits, claim.symbol
        since_exit = t - self.left_at.get(symbol, -(10**12))
        tests = {
            "DAILY_DRAWDOWN": lambda: self.tripped,
            "MAX_STOPOUTS": lambda: self.stopouts >= limits.max_stopouts_per_day,
            "MAX_ENTRIES": lambda: self.entries >= limits.max_entries_per_day,
            "STALE": lambda: self.candles[t][symbol].stale,
            "NO_SHORT": lambda: claim.side == -1 and not limits.allow_short,
            "ALREADY_OPEN": lambda: symbol in self.positions,
            "COOLDOWN": lambda: since_exit < limits.cooldown_bars,
            "CORRELATED": lambda: self.is_correlated(t, symbol),
            "NO_EDGE": lambda: self.wanted_share(claim) <= EPSILON,
        }
        return next((name for name, holds in tests.items() if holds()), None)

    def admit(self, t: int, claim: Claim) -> str | None:
        """Size the entry; the reason why not, CLAMPED, or None for an entry as wanted."""
        candle = self.candles[t][claim.symbol]
        open_notional = sum(p.quantity * self.last_close[s] for s, p in self.positions.items())
        open_notional += sum(q * self.last_close[s] for s, (_, q) in self.accepted.items())
        room = self.limits.max_deployed - open_notional / self.equity
        if not math.isfinite(self.equity) or not room > EPSILON:
            return "MAX_DEPLOYED"
        share = self.wanted_share(claim)
        clamped = share > room + EPSILON
        if clamped:
            share = room
        quantity = share * self.equity / candle.close
        most = self.costs.max_participation * candle.volume
        if quantity > most:
            quantity, clamped = most, True
        if self.costs.step > 0:
            quantity = math.floor(quantity / self.costs.step + EPSILON) * self.costs.step
        if quantity == 0 or quantity * candle.close < self.limits.min_notional:
            return "MIN_NOTIONAL"
        self.accepted[claim.symbol] = (claim.side, quantity)
        self.entries += 1
        return "CLAMPED" if clamped else None

    def wanted_share(self, claim: Claim) -> float:
        edge = self.edge(claim.confidence / 100)
        share = self.limits.max_position * edge * claim.multiplier
        return 0.0 if edge <= EPSILON else share

    def edge(self, p: float) -> float:
        """g(p): Kelly's fraction as a share of the one at `p_full`."""
        round_trip = 2 * (self.costs.half_spread + self.costs.taker_fee)
        win = self.limits.take_profit - round_trip
        loss = self.limits.stop + round_trip
        if win <= 0 or loss <= 0:
            return 0.0
        full = self.limits.p_full / loss - (1 - self.limits.p_full) / win
        if full <= 0:
            return 0.0
        return min(1.0, max(0.0, (p / loss - (1 - p) / win) / full))

    # --- correlation -----------------------------------------------------------------------

    def returns_before(self, symbol: str, day: int) -> dict[int, float]:
        if (symbol, day) not in self._returns:
            self._returns[symbol, day] = self.history[symbol].returns_before(day)
        return self._returns[symbol, day]

    def is_correlated(self, t: int, symbol: str) -> bool:
        day = day_of(self.times[t] + self.timeframe)
        if day not in self._friends:
            self._friends[day] = self.friends(day)
        taken = set(self.positions) | set(self.accepted)
        return bool(self._friends[day][symbol] & (taken - {symbol}))

    def friends(self, day: int) -> dict[str, set[str]]:
        """For each symbol, those it may not be held together with on this day."""
        near: dict[str, set[str]] = {symbol: set() for symbol in self.symbols}
        for i, one in enumerate(self.symbols):
            for other in self.symbols[i + 1 :]:
                rho = correlation(self.returns_before(one, day), self.returns_before(other, day))
                if rho is None or abs(rho) > self.limits.max_correlation:
                    near[one].add(other)
                    near[other].add(one)
        return {s: reachable(s, near) for s in near} if self.limits.one_per_cluster else near


def reachable(start: str, near: dict[str, set[str]]) -> set[str]:
    """The connected component of `start`."""
    seen, to_visit = {start}, [start]
    while to_visit:
        for symbol in near[to_visit.pop()] - seen:
            seen.add(symbol)
            to_visit.append(symbol)
    return seen


def oracle_replay(
    panel: Panel,
    proposal: Proposal,
    limits: Limits | None = None,
    costs: Costs | None = None,
    capital: float = 10_000.0,
) -> OracleReplay:
    """Replay a proposal over a panel by the letter of the rule book."""
    return Oracle(panel, proposal, limits or Limits(), costs or Costs(), capital).run()
