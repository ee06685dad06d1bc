"""The same signals through our replay and through other engines, compared fill by fill.

Where an engine means something else by an order, the difference has a name in `DIFFERENCES`, and
the name is put to the test. A difference is explained only if `simulate` with the named ones gives
the engine's fills and equity, and with none of them ours. No engine is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from workbench.arrays import Floats
from workbench.domain import UsageError
from workbench.research.semantics import PRICES, Account, Task, but_for, simulate

TOLERANCE = 1e-9  # relative: of a price, a quantity or a fee; equity, of the capital
WARM_UP = 500  # bars in which an average still remembers how it began


def crossing_task(
    bars: pd.DataFrame, *, fast: int = 12, slow: int = 48, fee_rate: float = 0.001,
    capital: float = 1_000_000.0,
) -> Task:  # fmt: skip
    """In when the fast average of closes crosses above the slow one, out when below.

    Averages are exponential (spans in bars). Raises UsageError if fewer than 100 bars are left
    after the warm-up of 500, or if the averages do not cross both ways in them.
    """
    whole = bars[PRICES].dropna()  # bars are counted: one that is missing is missing for everybody
    if len(whole) < WARM_UP + 100:
        raise UsageError(
            f"{len(whole)} bars are too few; a crosscheck needs {WARM_UP + 100}, for the first"
            f" {WARM_UP} only warm the averages up"
        )
    close = whole["close"]
    above = close.ewm(span=fast, adjust=False).mean() > close.ewm(span=slow, adjust=False).mean()
    up, before = above.to_numpy(), above.shift(1, fill_value=False).to_numpy()
    warm = np.arange(len(whole)) >= WARM_UP
    entries, exits = warm & up & ~before, warm & ~up & before
    if not (entries[:-1].any() and exits.any()):
        raise UsageError(
            f"the averages of {fast} and {slow} bars do not cross both ways in {len(whole)} bars;"
            " without a trade nothing can be compared"
        )
    return Task("crossing", whole, entries, exits, capital, fee_rate)


@dataclass(frozen=True)
class Finding:
    """One task through one engine, beside ours.

    `equal`: trades of which every fill is the same. `price_difference` (relative, over the trades
    of one signal) and `equity_difference` (share of the capital) are the largest. `semantics`
    are the names of `DIFFERENCES` that it takes to explain the rest, each one needed, and `touched`
    the trades that would be otherwise without it (0: the equity alone would). `verdict`: equal,
    explained or UNEXPLAINED; `first` is the first difference in words, "" if there is none.
    """

    task: str
    engine: str
    version: str
    ours: int
    theirs: int
    equal: int
    price_difference: float
    equity_difference: float
    semantics: tuple[str, ...]
    touched: tuple[int, ...]
    verdict: str
    first: str


def compare(
    task: Task, engine: str, version: str, theirs: Account, named: Sequence[str] = ()
) -> Finding:
    """Our account of a task beside an engine's; `named` are the differences it is known for."""
    ours, plain = task.ours, simulate(task)
    told: dict[str, int] = {}
    if same(task, ours, theirs):
        verdict = "equal"
    elif same(task, plain, ours) and same(task, simulate(task, but_for(named)), theirs):
        verdict = "explained"
        for name in named:
            without = simulate(task, but_for([n for n in named if n != name]))
            if not same(task, without, theirs):
                told[name] = apart(task, without, theirs)
    else:
        verdict = "UNEXPLAINED"
    mine, other = trades(task, ours), trades(task, theirs)
    both = [signal for signal in mine if signal in other]
    gaps = [np.abs(means(mine[s]) / means(other[s]) - 1.0) for s in both]
    return Finding(
        task=task.name, engine=engine, version=version, ours=len(mine), theirs=len(other),
        equal=len(mine.keys() | other.keys()) - apart(task, ours, theirs),
        price_difference=float(np.nanmax(gaps)) if gaps else np.nan,
        equity_difference=float(np.abs(ours.equity - theirs.equity).max()) / task.capital,
        semantics=tuple(told), touched=tuple(told.values()), verdict=verdict,
        first=first_difference(task, mine, other, theirs),
    )  # fmt: skip


def same(task: Task, one: Account, other: Account) -> bool:
    """Every fill and the equity at every close, to rounding."""
    return close_to(one.fills, other.fills) and np.allclose(
        one.equity, other.equity, rtol=0.0, atol=TOLERANCE * task.capital
    )


def close_to(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return one.shape == other.shape and np.allclose(
        one.to_numpy(np.float64), other.to_numpy(np.float64), rtol=TOLERANCE, atol=0.0
    )


def apart(task: Task, one: Account, other: Account) -> int:
    """How many trades are of one side alone, or have a fill that differs."""
    here, there = trades(task, one), trades(task, other)
    alike = sum(s in there and close_to(trade, there[s]) for s, trade in here.items())
    return len(here.keys() | there.keys()) - alike


def trades(task: Task, account: Account) -> dict[int, pd.DataFrame]:
    """Fills by the bar of the entry signal they go back to; the last may still be open."""
    fills, signals = account.fills, np.flatnonzero(task.entries)
    number = (fills["side"] > 0).cumsum()
    parts: dict[int, pd.DataFrame] = {}
    for _, trade in fills.groupby(number):
        at = int(signals.searchsorted(int(trade["bar"].iloc[0]), side="right")) - 1
        parts[int(signals[at]) if at >= 0 else -1] = trade
    return parts


def means(trade: pd.DataFrame) -> Floats:
    """Entry price and mean exit price by quantity (NaN while it is open)."""
    sold = trade.iloc[1:]
    quantity = float(sold["quantity"].sum())
    received = float((sold["quantity"] * sold["price"]).sum())
    return np.array([float(trade["price"].iloc[0]), received / quantity if quantity else np.nan])


def first_difference(
    task: Task, mine: Mapping[int, pd.DataFrame], other: Mapping[int, pd.DataFrame], theirs: Account
) -> str:
    for signal in sorted({*mine, *other}):
        when = f"the entry of {task.bars.index[signal]:%Y-%m-%d %H:%M}"
        if signal not in other:
            return f"{when} is ours alone"
        if signal not in mine:
            return f"{when} is theirs alone"
        ours, there = mine[signal], other[signal]
        if len(ours) != len(there):
            return f"{when} has {len(ours)} fills here and {len(there)} there"
        for name in ours.columns:
            left, right = ours[name].to_numpy(np.float64), there[name].to_numpy(np.float64)
            apart = np.flatnonzero(~np.isclose(left, right, rtol=TOLERANCE, atol=0.0))
            if len(apart):
                k = int(apart[0])
                return (
                    f"{when}: {name} of fill {k + 1} is {left[k]:.10g} here, {right[k]:.10g} there"
                )
    off = np.abs(task.ours.equity - theirs.equity) > TOLERANCE * task.capital
    return f"the equity of {task.bars.index[int(off.argmax())]:%Y-%m-%d %H:%M}" if off.any() else ""


@dataclass(frozen=True, eq=False)
class Crosscheck:
    """Every finding of a run, and which bars it was made on."""

    source: str
    symbol: str
    bars: int
    first: pd.Timestamp
    last: pd.Timestamp
    findings: tuple[Finding, ...]

    @property
    def synthetic(self) -> bool:
        return self.source.startswith("SYNTHETIC")

    @property
    def unexplained(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.verdict == "UNEXPLAINED")

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row a finding."""
        return table(self.findings)


def table(findings: Sequence[Finding]) -> pd.DataFrame:
    """The findings as a frame, the semantics as one text with the trades that each touched."""
    frame = pd.DataFrame([vars(finding) for finding in findings]).drop(columns="touched")
    return frame.assign(semantics=[explanation(finding) for finding in findings])


def explanation(finding: Finding) -> str:
    both = zip(finding.semantics, finding.touched, strict=True)
    return ", ".join(f"{name} ({trades})" if trades else name for name, trades in both)
