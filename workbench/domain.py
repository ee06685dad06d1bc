"""The nouns of the desk: what flows from layer to layer.

Frozen records, no behaviour beyond reading themselves; no clock, no network, no logging.
Conventions: time is UTC, a bar is named by its OPEN time and known at `open + timeframe`;
confidence is 0-100; percentages are fractions (0.05); money is in the quote currency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workbench import arrays as a
from workbench.arrays import Bools, Floats
from workbench.errors import DataError, UsageError, WorkbenchError
from workbench.limits import Costs, Limits
from workbench.panel import CARRY, Panel, is_carry, parse_timeframe, underlying

__all__ = [
    "CARRY", "Bar", "Book", "Call", "Case", "Costs", "Cycle", "DataError", "Decision", "Fill",
    "Headline", "Judgement", "Limits", "Order", "Panel", "Proposal", "Reason", "Regime", "Ruling",
    "Signal", "Snapshot", "UsageError", "Verdict", "Votes", "WorkbenchError", "is_carry",
    "parse_timeframe", "underlying",
]  # fmt: skip


# --- codes -------------------------------------------------------------------------------------


class Reason(IntEnum):
    """Why the risk gate said no (or less), in the order in which the rules are tried."""

    ACCEPTED = 0
    HALTED = 1
    DAILY_DRAWDOWN = 2
    MAX_STOPOUTS = 3
    MAX_ENTRIES = 4
    STALE = 5
    NO_SHORT = 6
    ALREADY_OPEN = 7
    COOLDOWN = 8
    CORRELATED = 9
    NO_EDGE = 10
    MAX_DEPLOYED = 11
    MIN_NOTIONAL = 12
    CLAMPED = 13


assert len(Reason) == a.N_REASONS


class Decision(StrEnum):
    """What a judge may say. It can only take risk away."""

    PROCEED = "PROCEED"
    REDUCE = "REDUCE"
    SKIP = "SKIP"


class Regime(IntEnum):
    """What kind of market one symbol closed in."""

    UNKNOWN = 0
    RANGING = 1
    TRENDING = 2
    HIGH_VOL = 3


# --- what is known ---------------------------------------------------------------------------


class Headline(NamedTuple):
    """A news item and the first moment we could have known it."""

    id: str
    available_at: pd.Timestamp
    title: str
    source: str
    symbol: str = ""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything known at `as_of`, nothing later.

    `odds`, `flows`, `macro`: last known value by name. `staleness`: hours since each feed was
    last heard of (infinite: never); `missing`: those silent for too long, so that silence is named
    and not taken for calm.
    """

    as_of: pd.Timestamp
    panel: Panel
    headlines: tuple[Headline, ...] = ()
    odds: Mapping[str, float] = field(default_factory=dict[str, float])
    flows: Mapping[str, float] = field(default_factory=dict[str, float])
    macro: Mapping[str, float] = field(default_factory=dict[str, float])
    staleness: Mapping[str, float] = field(default_factory=dict[str, float])
    missing: tuple[str, ...] = ()


# --- what each layer says ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Votes:
    """One strategy's votes: frames of side (-1, 0, +1) and confidence (0-100), bars x symbols.

    `exit` (bool) is for a strategy that alone votes on its instrument; all other exits are the
    rule book's.
    """

    side: pd.DataFrame
    confidence: pd.DataFrame
    exit: pd.DataFrame | None = None

    @classmethod
    def none(cls, panel: Panel) -> Votes:
        """Nobody votes."""
        nowhere = np.zeros(panel.close.shape, dtype=bool)
        return cls.of(panel, nowhere, nowhere, 0.0)

    @classmethod
    def of(cls, panel: Panel, up: Any, down: Any, confidence: Any, exit: Any = None) -> Votes:
        """Votes on `panel` from arrays (bars, symbols): long where `up`, short where `down`.

        `confidence` (0-100, NaN is 0) counts where there is a vote and is 0 elsewhere.
        """
        side = np.asarray(up, dtype=np.int64) - np.asarray(down, dtype=np.int64)
        sure = np.where(side != 0, np.nan_to_num(np.asarray(confidence, np.float64)), 0.0)

        def frame(values: Any) -> pd.DataFrame:
            return pd.DataFrame(values, panel.index, panel.close.columns, copy=False)

        leave = None if exit is None else frame(np.asarray(exit, dtype=bool))
        return cls(frame(side), frame(sure), leave)


class Signal(NamedTuple):
    """One cell of a strategy's votes: an entry (side), an exit, or both.

    `muted` is the rule by which the vote does not count ("" if it does), `reason` says it in words;
    `from_text`: it was read from words. `regime` is what the strategy voted in. `outcomes`: how
    many resolved trades the confidence was calibrated on; 0 means that it is UNCALIBRATED, the
    strategy's own score and no probability.
    """

    strategy: str
    category: str
    symbol: str
    side: int
    confidence: float
    reason: str = ""
    muted: str = ""
    from_text: bool = False
    exit: bool = False
    regime: str = ""
    outcomes: int = 0


@dataclass(frozen=True)
class Case:
    """What a judge is shown about one wanted entry. No equity, no size, no keys.

    `signals` are the votes on the symbol, muted ones too, `silent` those who see it, read no words
    and said nothing; `bracket` the stop, targets and round trip cost of the trade, as fractions;
    `ages` the hours since each feed was heard of (infinite: never). Titles of `headlines` are
    sanitised, and `withheld` counts those left out because they read like instructions.
    """

    as_of: pd.Timestamp
    symbol: str
    side: int
    signals: tuple[Signal, ...]
    regime: str
    features: Mapping[str, float | None]
    headlines: tuple[Headline, ...]
    missing: tuple[str, ...]
    silent: tuple[str, ...] = ()
    bracket: Mapping[str, float] = field(default_factory=dict[str, float])
    ages: Mapping[str, float] = field(default_factory=dict[str, float])
    withheld: int = 0


class Call(NamedTuple):
    """One question to a model and what came of it: a verdict may stand on several.

    `shown`: "numbers" (no words of strangers) or "whole"; `code`: why there is no answer, "" if
    there is; tokens, cost and latency as they were when it was asked, so that a replay of the tape
    makes the same record.
    """

    shown: str
    code: str = ""
    says: str = ""
    decision: str = ""
    confidence: float = 0.0
    model: str = ""
    request_id: str = ""
    stop_reason: str = ""
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0
    latency_s: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """A judge's answer. `confidence` is 100 x P(this bracketed trade closes net positive), as the
    judge says it.

    `code`: why nobody judged the case ("" if somebody did); such a verdict is a SKIP and no veto.
    `chance`: the confidence calibrated on `outcomes` resolved trades, 0..1; None while there are
    too few, and then it shrinks nothing. `knowledge`: may the model have known how it went (clean,
    contaminated, unknown; "" where no model was asked).
    """

    decision: Decision
    confidence: float
    rationale: str
    source: str
    case_hash: str
    evidence_ids: tuple[str, ...] = ()
    prompt_id: str = ""
    cost_usd: float = 0.0
    latency_s: float = 0.0
    code: str = ""
    model: str = ""
    knowledge: str = ""
    chance: float | None = None
    outcomes: int = 0
    calls: tuple[Call, ...] = ()


class Judgement(NamedTuple):
    """A case and the verdict that counts for it."""

    case: Case
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class Proposal:
    """What the strategies and the judge want of the risk gate.

    Four frames of one shape (bars x symbols), or four rows (symbols) for a single bar: `side`
    (-1, 0, +1), `confidence` (calibrated win probability x 100), `multiplier` (0-1: judge x regime
    x stage), `exit` (close the position at the next open).
    """

    side: Any
    confidence: Any
    multiplier: Any
    exit: Any

    def claims(self) -> Floats:
        """The four stacked on a last axis, as the rules read them. Shape (..., symbols, 4)."""
        parts = (self.side, self.confidence, self.multiplier, self.exit)
        return np.stack([np.asarray(part, dtype=np.float64) for part in parts], axis=-1)


@dataclass(frozen=True, eq=False)
class Bar:
    """One closed bar as the rules read it.

    `number`: bars since 1970; `day`: the UTC day (since 1970) in which its close decides; `market`
    (1, symbols, 8); `too_close` (1, symbols, symbols): which pairs may not be held together.
    """

    time: pd.Timestamp
    number: int
    day: int
    market: Floats
    too_close: Bools


class Order(NamedTuple):
    """What the gate sends to the broker. `quantity` is None for an exit: whatever is held."""

    symbol: str
    side: str
    quantity: float | None
    kind: str


class Fill(NamedTuple):
    """One execution. `time` is the bar's open time; `reason` one of `arrays.WHY_NAMES`."""

    time: pd.Timestamp
    symbol: str
    side: str
    quantity: float
    price: float
    fee: float
    reason: str


@dataclass(frozen=True, eq=False)
class Book:
    """What is held and what has been counted today; see `arrays` for the cells.

    `positions` has shape (symbols, 8), `account` (23,). The arrays are never shared between two
    books: whoever changes one copies it first.
    """

    symbols: tuple[str, ...]
    positions: Floats
    account: Floats

    @classmethod
    def start(cls, symbols: Sequence[str], capital: float, first_open: pd.Timestamp) -> Book:
        """A flat book at the open of the first bar."""
        if not (isinstance(capital, int | float) and a.usable(capital)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"capital is {capital!r}; it must be a finite number above 0")
        if first_open is pd.NaT:
            raise UsageError("first_open is NaT; give the open time of the first bar")
        account = np.zeros(a.ACCOUNT_CELLS)
        account[[a.CASH, a.EQUITY, a.BASELINE]] = capital
        account[a.DAY] = first_open.value // 86_400_000_000_000
        return cls(tuple(symbols), np.zeros((len(symbols), a.BOOK_COLUMNS)), account)

    def copy(self) -> Book:
        return Book(self.symbols, self.positions.copy(), self.account.copy())

    @property
    def cash(self) -> float:
        return float(self.account[a.CASH])

    @property
    def equity(self) -> float:
        return float(self.account[a.EQUITY])

    @property
    def halted(self) -> bool:
        return bool(self.account[a.HALTED])

    def frame(self) -> pd.DataFrame:
        """Open positions: side, quantity, entry, high_water, rung taken."""
        columns = ["side", "quantity", "entry", "high_water", "rung"]
        held = pd.DataFrame(self.positions[:, : len(columns)], list(self.symbols), columns)
        return held[held["side"] != 0]


@dataclass(frozen=True, eq=False)
class Ruling:
    """The gate's last word: the book after it, the orders, and a Reason for every claim."""

    book: Book
    orders: tuple[Order, ...]
    reasons: Mapping[str, Reason]


@dataclass(frozen=True, eq=False)
class Cycle:
    """The record of one bar; a report needs nothing else.

    `cases` by their hash, which each verdict names; `marks` is the price at which each symbol is
    valued at this close; `faults` names the strategies that broke at this bar, and how.
    """

    as_of: pd.Timestamp
    fills: tuple[Fill, ...]
    signals: tuple[Signal, ...]
    verdicts: tuple[Verdict, ...]
    ruling: Ruling
    source: str = ""
    cases: Mapping[str, Case] = field(default_factory=dict[str, Case])
    marks: Mapping[str, float] = field(default_factory=dict[str, float])
    faults: Mapping[str, str] = field(default_factory=dict[str, str])
