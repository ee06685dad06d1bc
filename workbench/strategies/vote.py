"""How strategies vote and how votes become one proposal a symbol.

A strategy is a plain causal function of the panel; `@strategy` adds its name, category, the
regimes it may vote in and the history it needs. Votes are independent. `combine` is the only
place where they meet, one function for a single bar and for all history: conflicting sides
cancel, confidence is the mean of the votes that count, and a vote read from text counts only if
another category agrees, and can lower that mean but never raise it. Judges and sizes are not
known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Bools, Floats
from workbench.domain import Panel, Proposal, Regime, Signal, Snapshot, UsageError, Votes
from workbench.strategies.regime import SIZE

CATEGORIES = ("trend", "reversion", "event")
VoteFunction = Callable[..., Votes]


@dataclass(frozen=True)
class Strategy:
    """A voter. Calling it with a panel gives its raw votes; `votes` mutes them by regime."""

    function: VoteFunction
    name: str
    category: str
    regimes: frozenset[str]
    lookback: int
    from_text: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __call__(self, panel: Panel) -> Votes:
        """The raw votes; a side that is not -1 or +1 is none, a confidence not in 0-100 is 0."""
        raw = self.function(panel, **self.parameters)
        side = raw.side.where(raw.side.isin([-1, 1]), 0)
        confidence = raw.confidence.where((raw.confidence >= 0) & (raw.confidence <= 100), 0.0)
        return Votes(side, confidence, raw.exit)

    def having(self, **parameters: Any) -> Strategy:
        """The same strategy with other parameters."""
        return replace(self, parameters={**self.parameters, **parameters})

    def votes(self, panel: Panel) -> Votes:
        """Votes over the panel's history; a vote outside its regime has side 0."""
        raw = self(panel)
        return replace(raw, side=raw.side.where(self.allowed(panel, raw.side), 0))

    def allowed(self, panel: Panel, side: pd.DataFrame) -> pd.DataFrame:
        """Where the regime lets this strategy vote that way: in its regimes, longs in risk-on.

        Raises UsageError if the panel carries no labels: on a short window they would be unknown.
        """
        if "regime" not in panel.context or "risk_on" not in panel.context:
            raise UsageError("the panel has no regime labels; pass it through with_regime first")
        codes = [float(Regime[name.upper()]) for name in self.regimes]
        fits = panel.context["regime"].isin(codes)
        longs_ok = (panel.context["risk_on"] == 1.0).to_numpy()[:, None]
        return fits & ((side <= 0) | longs_ok)

    def signals(self, snapshot: Snapshot) -> list[Signal]:
        """The votes at the snapshot's close, muted ones included and marked."""
        window = snapshot.panel.tail(self.lookback)
        votes = self(window)
        sides = votes.side.iloc[[-1]]
        exits = np.zeros(sides.shape[1], bool) if votes.exit is None else _last(votes.exit)
        if not (sides.to_numpy().any() or exits.any()):
            return []
        allowed = _last(self.allowed(window.tail(1), sides))
        return self.told(window.symbols, _last(sides), _last(votes.confidence), allowed, exits)

    def told(
        self, symbols: Sequence[str], sides: Floats, confidences: Floats, allowed: Bools,
        exits: Bools,
    ) -> list[Signal]:  # fmt: skip
        """One row of votes as signals; all arguments have one cell a symbol."""
        return [
            Signal(
                self.name, self.category, symbol, int(side), float(confidence),
                muted="" if may else "regime", from_text=self.from_text, exit=bool(leave),
            )
            for symbol, side, confidence, may, leave in zip(
                symbols, sides, confidences, allowed, exits, strict=True
            )
            if side or leave
        ]  # fmt: skip


def _last(frame: pd.DataFrame) -> np.ndarray:
    return frame.to_numpy()[-1]


def strategy(
    *, category: str, regimes: set[str], lookback: int, from_text: bool = False
) -> Callable[[VoteFunction], Strategy]:
    """Declare a function of the panel as a strategy. `lookback`: bars it needs for its last row.

    Raises UsageError for an unknown category or regime.
    """
    if category not in CATEGORIES:
        raise UsageError(f"category {category!r} is not one of {', '.join(CATEGORIES)}")
    known = {regime.name.lower() for regime in Regime if regime is not Regime.UNKNOWN}
    if not regimes <= known:
        raise UsageError(f"regime {sorted(regimes - known)[0]!r} is not one of {sorted(known)}")

    def declare(function: VoteFunction) -> Strategy:
        name = getattr(function, "__name__", "strategy")
        return Strategy(function, name, category, frozenset(regimes), lookback, from_text)

    return declare


def combine(
    sides: Floats, confidences: Floats, categories: Sequence[str], from_text: Sequence[bool]
) -> tuple[Floats, Floats]:
    """Many voters' cells (voters, ...) to one side and confidence (...)."""
    counts = counting(sides, categories, from_text)
    sure = np.where((confidences >= 0.0) & (confidences <= 100.0), confidences, 0.0)
    numeric = ~np.array(from_text, dtype=bool)
    # Anybody can place a headline: words may lower what the numbers say, never raise it.
    confidence = np.minimum(_mean(sure[numeric], counts[numeric]), _mean(sure, counts))
    side = np.where((counts & (sides > 0)).any(axis=0), 1.0, 0.0)
    return np.where((counts & (sides < 0)).any(axis=0), -1.0, side), confidence


def counting(sides: Floats, categories: Sequence[str], from_text: Sequence[bool]) -> Bools:
    """Which votes count (voters, ...): none where sides conflict, and one read from text only
    beside a vote of another category that is not."""
    longs, shorts = (sides > 0).any(axis=0), (sides < 0).any(axis=0)
    counts = (np.abs(sides) == 1.0) & ~(longs & shorts)
    for s, category in enumerate(categories):
        if from_text[s]:
            others = [
                k for k, other in enumerate(categories) if other != category and not from_text[k]
            ]
            counts[s] &= counts[others].any(axis=0)
    return counts


def _mean(values: Floats, counts: Bools) -> Floats:
    """Mean over the voters that count, 0 where none does; summed in the voters' order."""
    total, n = np.zeros(counts.shape[1:]), np.zeros(counts.shape[1:])
    for value, count in zip(values, counts, strict=True):
        total = total + np.where(count, value, 0.0)
        n = n + count
    return total / np.maximum(n, 1.0)


def wanted(signals: Sequence[Signal], symbols: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Side and confidence of every symbol that the counted signals want, at one bar."""
    side, confidence = _one_bar(signals, symbols)
    rows = zip(symbols, side, confidence, strict=True)
    return {symbol: (int(s), float(c)) for symbol, s, c in rows if s}


def propose(
    signals: Sequence[Signal],
    judged: Mapping[str, float],
    symbols: Sequence[str],
    regime: Floats,
) -> Proposal:
    """One bar's proposal. `judged`: the judge's multiplier by symbol; one not judged gets 0.

    `regime` (symbols,) holds Regime codes; its size multiplies the judge's.
    """
    side, confidence = _one_bar(signals, symbols)
    leaves = {signal.symbol for signal in signals if signal.exit}
    multiplier = np.array([judged.get(symbol, 0.0) for symbol in symbols]) * regime_size(regime)
    return Proposal(side, confidence, multiplier, np.array([s in leaves for s in symbols]))


def _one_bar(signals: Sequence[Signal], symbols: Sequence[str]) -> tuple[Floats, Floats]:
    voters = sorted({(s.strategy, s.category, s.from_text) for s in signals})
    row = {voter[0]: k for k, voter in enumerate(voters)}
    column = {symbol: j for j, symbol in enumerate(symbols)}
    sides, confidences = (np.zeros((len(voters), len(symbols))) for _ in range(2))
    for signal in signals:
        if not signal.muted:
            cell = row[signal.strategy], column[signal.symbol]
            sides[cell], confidences[cell] = signal.side, signal.confidence
    return combine(sides, confidences, [v[1] for v in voters], [v[2] for v in voters])


def combine_votes(
    strategies: Sequence[Strategy], votes: Mapping[str, Votes], panel: Panel
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The same over history: frames of side and confidence, before any judge."""
    ordered = sorted(strategies, key=lambda s: (s.name, s.category, s.from_text))
    stack = {
        part: np.stack([getattr(votes[s.name], part).to_numpy(float) for s in ordered])
        for part in ("side", "confidence")
    }
    side, confidence = combine(
        stack["side"], stack["confidence"],
        [s.category for s in ordered], [s.from_text for s in ordered],
    )  # fmt: skip
    columns = panel.close.columns
    return (
        pd.DataFrame(side, panel.index, columns),
        pd.DataFrame(confidence, panel.index, columns),
    )


def regime_size(codes: Floats) -> Floats:
    """The size multiplier of Regime codes, elementwise; anything unknown is 0."""
    return np.select([codes == float(regime) for regime in SIZE], list(SIZE.values()), 0.0)
