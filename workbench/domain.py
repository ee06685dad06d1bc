"""The nouns of the desk: what flows from layer to layer.

Frozen records, no behaviour beyond reading themselves; no clock, no network, no logging.
Conventions: time is UTC, a bar is named by its OPEN time and known at `open + timeframe`;
confidence is 0-100; percentages are fractions (0.05); money is in the quote currency.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from workbench import arrays as a
from workbench.arrays import Bools, Floats, Ints
from workbench.errors import DataError, UsageError, WorkbenchError

__all__ = [
    "Bar", "Book", "Case", "Costs", "Cycle", "DataError", "Decision", "Fill", "Headline", "Limits",
    "Order", "Panel", "Proposal", "Reason", "Regime", "Ruling", "Signal", "Snapshot", "UsageError",
    "Verdict", "Votes", "WorkbenchError", "parse_timeframe",
]  # fmt: skip

Context = Mapping[str, "pd.DataFrame | pd.Series[Any]"]


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


# --- limits and costs --------------------------------------------------------------------------


class _LimitFields(NamedTuple):
    max_position: float = 0.05
    max_deployed: float = 0.20
    stop: float = 0.02
    take_profit: float = 0.03
    take_profit_share: float = 0.5
    trail: float = 0.015
    max_correlation: float = 0.70
    daily_drawdown: float = 0.05
    max_stopouts_per_day: float = 3.0
    cooldown_bars: float = 3.0
    max_entries_per_day: float = 12.0
    one_per_cluster: float = 0.0
    p_full: float = 0.65
    min_notional: float = 0.0
    allow_short: float = 0.0
    approval_above: float = 500.0


class Limits(_LimitFields):
    """The rule book's numbers; every field is stored as a float (one compiled signature).

    `approval_above` (USD) binds live entries only; a replay asks nobody.
    Raises UsageError naming the field that is impossible.
    """

    __slots__ = ()

    def __new__(cls, *values: float, **named: float) -> Self:
        given = _numbers("limits", _LimitFields, values, named)
        for name in ("max_position", "max_deployed", "take_profit_share", "p_full"):
            _within("limits", name, given[name], 0.0, 1.0, above=name != "max_deployed")
        for name in ("stop", "trail", "daily_drawdown"):
            _within("limits", name, given[name], 0.0, 1.0, above=True, below=True)
        _within("limits", "take_profit", given["take_profit"], 0.0, math.inf, above=True)
        _within("limits", "max_correlation", given["max_correlation"], 0.0, 1.0)
        for name in ("max_stopouts_per_day", "cooldown_bars", "max_entries_per_day"):
            _within("limits", name, given[name], 0.0, math.inf)
        for name in ("min_notional", "approval_above"):
            _within("limits", name, given[name], 0.0, math.inf)
        for name in ("one_per_cluster", "allow_short"):
            if given[name] not in (0.0, 1.0):
                raise UsageError(f"limits.{name} is {given[name]:g}; it must be true or false")
        return super().__new__(cls, **given)

    def _replace(self, **changed: float) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        return type(self)(**(self._asdict() | changed))


class _CostFields(NamedTuple):
    half_spread: float = 0.0002
    impact: float = 1.0
    taker_fee: float = 0.001
    maker_fee: float = 0.001
    step: float = 0.0
    max_participation: float = math.inf


class Costs(_CostFields):
    """What a fill costs, as fractions of its price: half spread + impact * sigma * sqrt(Q / ADV).

    `impact` is the square-root law's Y; `step` the quantity step (None: none); an entry is at most
    `max_participation` of the decision bar's volume. Raises UsageError naming the field.
    """

    __slots__ = ()

    def __new__(cls, *values: float | None, **named: float | None) -> Self:
        given = _numbers("costs", _CostFields, values, named)
        for name in ("half_spread", "taker_fee", "maker_fee"):
            _within("costs", name, given[name], 0.0, 0.5)
        for name in ("impact", "step"):
            _within("costs", name, given[name], 0.0, math.inf, below=True)
        _within("costs", "max_participation", given["max_participation"], 0.0, math.inf)
        return super().__new__(cls, **given)

    def _replace(self, **changed: float | None) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        return type(self)(**(self._asdict() | changed))

    @classmethod
    def for_market_cap(cls, market_cap_usd: float, **named: float | None) -> Self:
        """Costs with the floor of the asset's tier: 2, 8 or 25 bps of half spread, and below
        $500M at most 1 % of a bar's volume. An unknown (NaN) market cap is the dearest tier."""
        floor = 0.0002 if market_cap_usd > 10e9 else 0.0008 if market_cap_usd >= 500e6 else 0.0025
        asked = cls(**named)
        share = asked.max_participation if floor < 0.0025 else min(asked.max_participation, 0.01)
        return asked._replace(half_spread=max(floor, asked.half_spread), max_participation=share)


def _numbers(
    section: str,
    fields: type[_LimitFields] | type[_CostFields],
    values: Sequence[float | None],
    named: Mapping[str, float | None],
) -> dict[str, float]:
    names = fields._fields
    unknown = [name for name in named if name not in names]
    if unknown or len(values) > len(names):
        raise UsageError(f"{section} has no field {(unknown or ['number ' + str(len(values))])[0]}")
    asked: dict[str, Any] = dict(fields._field_defaults) | dict(zip(names, values, strict=False))
    given: dict[str, float] = {}
    asked |= named
    for name, value in asked.items():
        number: Any = 0.0 if value is None and name == "step" else value
        try:
            given[name] = float(number)
        except (TypeError, ValueError):
            raise UsageError(f"{section}.{name} is {value!r}; it must be a number") from None
    return given


def _within(
    section: str, name: str, value: float, low: float, high: float,
    *, above: bool = False, below: bool = False,
) -> None:  # fmt: skip
    inside = (low < value if above else low <= value) and (value < high if below else value <= high)
    if not inside:
        raise UsageError(
            f"{section}.{name} is {value:g}; it must be {'above' if above else 'at least'} {low:g}"
            f" and {'below' if below else 'at most'} {high:g}"
        )


# --- data --------------------------------------------------------------------------------------

_TIMEFRAME = re.compile(r"(\d+)([mhdw])")
_UNITS = {
    "m": pd.Timedelta(minutes=1),
    "h": pd.Timedelta(hours=1),
    "d": pd.Timedelta(days=1),
    "w": pd.Timedelta(weeks=1),
}


def parse_timeframe(text: str) -> pd.Timedelta:
    """'15m', '1h', '1d' -> Timedelta. Raises UsageError for anything else."""
    match = _TIMEFRAME.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise UsageError(f"timeframe {text!r} is not one; write it as 15m, 1h, 4h or 1d")
    return (int(match[1]) * _UNITS[match[2]]).as_unit("us")


@dataclass(frozen=True, eq=False)
class Panel:
    """Closed bars of all symbols on one full UTC grid (a missing bar is a row of NaN).

    Frames are bars x symbols, rows named by open time, columns ascending. `context` holds series
    already joined as of each bar's close. `source` says where it is from; a made-up world's begins
    with SYNTHETIC and shows wherever its numbers do.
    """

    open: pd.DataFrame
    high: pd.DataFrame
    low: pd.DataFrame
    close: pd.DataFrame
    volume: pd.DataFrame
    timeframe: pd.Timedelta
    context: Context = field(default_factory=lambda: MappingProxyType({}))
    source: str = ""

    @classmethod
    def from_frames(
        cls,
        *,
        open: pd.DataFrame,
        high: pd.DataFrame,
        low: pd.DataFrame,
        close: pd.DataFrame,
        volume: pd.DataFrame,
        timeframe: str | pd.Timedelta = "1h",
        context: Context | None = None,
        source: str = "",
    ) -> Panel:
        """Build and check a panel. Raises UsageError naming the frame and the row at fault."""
        step = timeframe if isinstance(timeframe, pd.Timedelta) else parse_timeframe(timeframe)
        given = {"open": open, "high": high, "low": low, "close": close, "volume": volume}
        grid = _grid(close, "close", step)
        frames = {name: _aligned(frame, name, close, grid) for name, frame in given.items()}
        joined: dict[str, pd.DataFrame | pd.Series[Any]] = {}
        for name, series in (context or {}).items():
            if len(series) != len(grid) or not series.index.equals(close.index):
                raise UsageError(f"context {name!r} does not lie on the panel's rows")
            joined[name] = series.set_axis(grid, axis=0)
        return cls(**frames, timeframe=step, context=MappingProxyType(joined), source=source)

    @cached_property
    def index(self) -> pd.DatetimeIndex:
        """Open times of the bars."""
        return pd.DatetimeIndex(self.close.index)

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self.close.columns)

    @cached_property
    def close_times(self) -> pd.DatetimeIndex:
        """When each bar became known."""
        return self.index + self.timeframe

    @property
    def synthetic(self) -> bool:
        return self.source.startswith("SYNTHETIC")

    def __len__(self) -> int:
        return len(self.close)

    def until(self, as_of: pd.Timestamp) -> Panel:
        """The bars that were closed at `as_of`."""
        return self._rows(slice(0, int(self.close_times.searchsorted(as_of, side="right"))))

    def since(self, start: pd.Timestamp) -> Panel:
        """The bars that open at `start` or later."""
        return self._rows(slice(int(self.index.searchsorted(start)), len(self)))

    def tail(self, bars: int) -> Panel:
        """The last `bars` bars."""
        return self._rows(slice(max(len(self) - bars, 0), len(self)))

    def rows(self, first: int, last: int) -> Panel:
        """Bars `first` up to but not including `last`, by position."""
        return self._rows(slice(first, last))

    def with_context(self, **series: pd.DataFrame | pd.Series[Any]) -> Panel:
        """The same bars with more context; each series must lie on the panel's rows."""
        return Panel.from_frames(
            open=self.open, high=self.high, low=self.low, close=self.close, volume=self.volume,
            timeframe=self.timeframe, context={**self.context, **series}, source=self.source,
        )  # fmt: skip

    @cached_property
    def marks(self) -> Floats:
        """Last usable close up to each bar (NaN before the first). Shape (bars, symbols)."""
        close = self.close.to_numpy()
        good = (close > 0) & np.isfinite(close)
        row = np.maximum.accumulate(np.where(good, np.arange(len(close))[:, None], -1), axis=0)
        seen = np.take_along_axis(close, np.maximum(row, 0), axis=0) if len(close) else close
        return np.where(row >= 0, seen, np.nan)

    @cached_property
    def bar_numbers(self) -> Ints:
        """Bars since 1970: a number for each bar that means the same after a restart."""
        return self.index.as_unit("us").asi8 // int(self.timeframe / pd.Timedelta(1, unit="us"))

    @cached_property
    def days(self) -> Ints:
        """The UTC day (since 1970) in which each bar's close decides; 00:00 is the new day."""
        return _days(self.close_times)

    @cached_property
    def open_days(self) -> Ints:
        """The UTC day (since 1970) in which each bar opens."""
        return _days(self.index)

    def _rows(self, rows: slice) -> Panel:
        return Panel(
            self.open.iloc[rows], self.high.iloc[rows], self.low.iloc[rows],
            self.close.iloc[rows], self.volume.iloc[rows], self.timeframe,
            MappingProxyType({name: s.iloc[rows] for name, s in self.context.items()}),
            self.source,
        )  # fmt: skip

    def __repr__(self) -> str:
        if not len(self):
            return f"Panel(no bars of {len(self.symbols)} symbols)"
        return (
            f"Panel({len(self):,} bars of {len(self.symbols)} symbols,"
            f" {self.index[0]:%Y-%m-%d %H:%M} .. {self.index[-1]:%Y-%m-%d %H:%M} UTC,"
            f" context: {', '.join(self.context) or 'none'}"
            f"{', ' + self.source if self.source else ''})"
        )


def _days(times: pd.DatetimeIndex) -> Ints:
    return times.as_unit("us").asi8 // 86_400_000_000


def _grid(frame: pd.DataFrame, name: str, step: pd.Timedelta) -> pd.DatetimeIndex:
    index = frame.index
    if not isinstance(index, pd.DatetimeIndex):
        raise UsageError(f"{name}: the rows must be named by open times, not {index.dtype}")
    if index.tz is None:
        raise UsageError(f"{name}: the open times have no zone; use index.tz_localize('UTC')")
    if index.hasnans:
        raise UsageError(f"{name}: an open time is missing (NaT)")
    if not index.is_unique:
        raise UsageError(f"{name}: open time {index[index.duplicated()][0]} is there twice")
    if not index.is_monotonic_increasing:
        at = int(np.flatnonzero(np.diff(index.asi8) <= 0)[0]) + 1
        raise UsageError(f"{name}: the rows are not in time order at {index[at]}; sort them first")
    if len(index) > 1:
        gaps = np.flatnonzero(np.diff(index) != step)
        if len(gaps):
            raise UsageError(
                f"{name}: the step after {index[gaps[0]]} is not {step}; a panel lies on one full"
                " grid, a missing bar is a row of NaN (use .reindex)"
            )
    day = pd.Timedelta(1, unit="D")
    if len(index) and step <= day and (day % step or (index[0] - index[0].normalize()) % step):
        raise UsageError(f"{name}: {index[0]} is not on the UTC grid of {step}")
    return index.tz_convert("UTC").as_unit("us")


def _aligned(
    frame: pd.DataFrame, name: str, close: pd.DataFrame, grid: pd.DatetimeIndex
) -> pd.DataFrame:
    if not frame.index.equals(close.index):
        raise UsageError(f"{name}: its rows differ from the rows of close")
    if not frame.columns.is_unique:
        raise UsageError(
            f"{name}: symbol {frame.columns[frame.columns.duplicated()][0]} is there twice"
        )
    if set(frame.columns) != set(close.columns) or not len(close.columns):
        odd = set(frame.columns) ^ set(close.columns)
        raise UsageError(f"{name}: its symbols differ from those of close: {sorted(map(str, odd))}")
    ordered = frame[sorted(frame.columns)]
    try:
        values = np.ascontiguousarray(ordered.to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError):
        raise UsageError(f"{name}: a cell is not a number") from None
    return pd.DataFrame(values, index=grid, columns=ordered.columns)


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
    last heard of (infinite: never), so that silence is named and not taken for calm.
    """

    as_of: pd.Timestamp
    panel: Panel
    headlines: tuple[Headline, ...] = ()
    odds: Mapping[str, float] = field(default_factory=dict[str, float])
    flows: Mapping[str, float] = field(default_factory=dict[str, float])
    macro: Mapping[str, float] = field(default_factory=dict[str, float])
    staleness: Mapping[str, float] = field(default_factory=dict[str, float])


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


class Signal(NamedTuple):
    """One cell of a strategy's votes: an entry (side), an exit, or both.

    `muted` says why the vote does not count ("" if it does); `from_text`: it was read from words.
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


@dataclass(frozen=True)
class Case:
    """What a judge is shown about one wanted entry. No equity, no size, no keys."""

    as_of: pd.Timestamp
    symbol: str
    side: int
    signals: tuple[Signal, ...]
    regime: str
    features: Mapping[str, float | None]
    headlines: tuple[Headline, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """A judge's answer. `confidence` is 100 x P(this bracketed trade closes net positive)."""

    decision: Decision
    confidence: float
    rationale: str
    source: str
    case_hash: str
    evidence_ids: tuple[str, ...] = ()
    prompt_id: str = ""
    cost_usd: float = 0.0
    latency_s: float = 0.0


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
        if not a.usable(capital):
            raise UsageError(f"capital is {capital:g}; it must be a finite number above 0")
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
    """The record of one bar; a report needs nothing else."""

    as_of: pd.Timestamp
    fills: tuple[Fill, ...]
    signals: tuple[Signal, ...]
    verdicts: tuple[Verdict, ...]
    ruling: Ruling
    source: str = ""
