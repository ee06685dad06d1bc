"""How strategies vote and how votes become one proposal a symbol.

A strategy is a plain causal function of the panel; `@strategy` adds its name, category, the
regimes it may vote in and the history it needs. Votes are independent. `combine` is the only
place where they meet, one function for a single bar and for all history: conflicting sides
cancel, confidence is the mean of the votes that count, and a vote read from text counts only if
another category agrees, and can lower that mean but never raise it. No strategy decides: its vote
asks, alone or, with a `quorum` above 1, together with others; a judge must let it through and the
gate must find room. Judges and sizes are not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Bools, Floats, Ints
from workbench.calibration import Calibration
from workbench.domain import (
    Panel,
    Proposal,
    Regime,
    Signal,
    Snapshot,
    UsageError,
    Votes,
    is_carry,
)
from workbench.errors import ContractBroken, WorkbenchError
from workbench.ports import Voter
from workbench.strategies.regime import SIZE

CATEGORIES = ("trend", "reversion", "event")
INSTRUMENTS = ("spot", "carry")
VoteFunction = Callable[..., Votes]


@dataclass(frozen=True)
class Strategy:
    """A voter. Calling it with a panel gives its votes; `votes` mutes them by regime.

    `lookback` is the history that its last row needs, in bars or as a duration ("30D"); `needs` are
    the names in the panel's context without which it has nothing to say; `trades` is "spot" or
    "carry", the only instruments it sees and votes on. Longs of a strategy that `holds_risk_off`
    do not need risk-on.
    """

    function: VoteFunction
    name: str
    category: str
    regimes: frozenset[str]
    lookback: int | str
    from_text: bool = False
    needs: tuple[str, ...] = ()
    trades: str = "spot"
    holds_risk_off: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    calibration: Calibration | None = None

    def __call__(self, panel: Panel) -> Votes:
        """The votes, each confidence calibrated if there is a calibration.

        A side that is not -1 or +1 is none, a confidence not in 0-100 is 0, and nobody votes before
        `lookback` bars. Raises ContractBroken if the function's answer does not lie on its panel.
        """
        raw = self.raw(panel)
        if self.calibration is None:
            return raw
        calibrated = self.calibration.apply(raw.confidence.to_numpy(), panel.close_times)
        voted = raw.side.to_numpy() != 0
        sure = pd.DataFrame(np.where(voted, calibrated, 0.0), panel.index, panel.close.columns)
        return replace(raw, confidence=sure)

    def raw(self, panel: Panel) -> Votes:
        """The same with the confidence as the strategy says it."""
        own = self.sees(panel)
        if own is None:
            return Votes.none(panel)
        said = self.function(own, **self.parameters)
        if getattr(said, "exit", None) is not None and self.trades != "carry":
            raise ContractBroken(
                f"{self.name}: exit is for who alone votes on an instrument (trades='carry'); all"
                " other exits are the rule book's, so leave it None"
            )
        side, confidence, leave = (
            _cells(self.name, name, getattr(said, name, None), own)
            for name in ("side", "confidence", "exit")
        )
        enough = (np.arange(len(own)) >= self.bars(panel.timeframe) - 1)[:, None]
        up, down = (side == 1.0) & enough, (side == -1.0) & enough
        sure = np.where((confidence >= 0.0) & (confidence <= 100.0), confidence, 0.0)
        exits = None if said.exit is None else (leave == 1.0) & enough
        if own is panel:
            return Votes.of(panel, up, down, sure, exits)
        here = [panel.symbols.index(symbol) for symbol in own.symbols]
        spread = [None if part is None else _spread(part, here, panel)
                  for part in (up, down, sure, exits)]  # fmt: skip
        return Votes.of(panel, *spread)

    def sees(self, panel: Panel) -> Panel | None:
        """The instruments of the panel that this strategy trades; None if there are none."""
        own = [s for s in panel.symbols if is_carry(s) == (self.trades == "carry")]
        if not own:
            return None
        return panel if len(own) == len(panel.symbols) else panel.columns(own)

    def bars(self, timeframe: pd.Timedelta) -> int:
        """`lookback` in bars of this timeframe."""
        if isinstance(self.lookback, int):
            return self.lookback
        return max(round(pd.Timedelta(self.lookback) / timeframe), 1)

    def silence(self, panel: Panel) -> str:
        """Why it has nothing to say on this panel, "" if it may have."""
        own = self.sees(panel)
        if own is None:
            return f"no {self.trades} instrument among {', '.join(panel.symbols)}"
        bars = self.bars(panel.timeframe)
        if len(panel) < bars:
            return f"needs {bars:,} bars of history, there are {len(panel):,}"
        for name in self.needs:
            told = own.context.get(name)
            if told is None or not np.isfinite(told.to_numpy(dtype=np.float64)).any():
                return f"nothing is known of {name}"
        return ""

    def having(self, **parameters: Any) -> Strategy:
        """The same strategy with other parameters; what was calibrated was another."""
        return replace(self, parameters={**self.parameters, **parameters}, calibration=None)

    def votes(self, panel: Panel) -> Votes:
        """Votes over the panel's history; a vote outside its regime has side 0."""
        votes = self(panel)
        return replace(votes, side=votes.side.where(self.allowed(panel, votes.side), 0))

    def allowed(self, panel: Panel, side: pd.DataFrame) -> pd.DataFrame:
        """Where the regime lets this strategy vote that way: in its regimes, longs in risk-on.

        Raises UsageError if the panel carries no labels: on a short window they would be unknown.
        """
        muted = self.muted(panel, side.to_numpy())
        return pd.DataFrame(muted == "", panel.index, panel.close.columns)

    def muted(self, panel: Panel, sides: Floats) -> np.ndarray:
        """The rule that mutes a vote of each side (bars, symbols), "" where none does."""
        if "regime" not in panel.context or "risk_on" not in panel.context:
            raise UsageError("the panel has no regime labels; pass it through with_regime first")
        codes = panel.context["regime"].to_numpy()
        fits = np.isin(codes, [float(Regime[name.upper()]) for name in self.regimes])
        risk_on = (panel.context["risk_on"].to_numpy() == 1.0)[:, None]
        longs_ok = risk_on | self.holds_risk_off
        return np.select([~fits, (sides > 0) & ~longs_ok], ["OUT_OF_REGIME", "RISK_OFF"], "")

    def signals(self, snapshot: Snapshot) -> list[Signal]:
        """The votes at the snapshot's close, muted ones included and marked."""
        window = snapshot.panel.tail(self.bars(snapshot.panel.timeframe))
        votes = self(window)
        last = slice(len(window) - 1, None)
        said = votes.side.to_numpy()[last].any()
        leaves = votes.exit is not None and votes.exit.to_numpy()[last].any()
        return self.told(window.tail(1), votes, last)[0] if said or leaves else []

    def told(self, panel: Panel, votes: Votes, rows: Any = slice(None)) -> list[list[Signal]]:
        """Some rows of the votes as signals, a list a row; the panel has those rows only."""
        sides, confidences = votes.side.to_numpy()[rows], votes.confidence.to_numpy()[rows]
        exits = np.zeros(sides.shape, bool) if votes.exit is None else votes.exit.to_numpy()[rows]
        muted = self.muted(panel, sides)
        codes = panel.context["regime"].to_numpy()
        known = np.zeros(len(sides), np.int64)
        if self.calibration is not None:
            known = self.calibration.outcomes(panel.close_times)
        bars: list[list[Signal]] = [[] for _ in sides]
        for t, j in zip(*(k.tolist() for k in np.nonzero((sides != 0) | exits)), strict=True):
            rule, regime = str(muted[t, j]), Regime(int(codes[t, j])).name.lower()
            signal = Signal(
                self.name, self.category, panel.symbols[j], int(sides[t, j]),
                float(confidences[t, j]), self.why_muted(rule, regime), rule, self.from_text,
                bool(exits[t, j]), regime, int(known[t]),
            )  # fmt: skip
            bars[t].append(signal)
        return bars

    def why_muted(self, rule: str, regime: str) -> str:
        """The rule in words."""
        if rule == "OUT_OF_REGIME":
            return f"votes in {', '.join(sorted(self.regimes))}; this is {regime}"
        return "no new longs: BTC is below its 200-day mean" if rule == "RISK_OFF" else ""


def ask(voters: Sequence[Voter], snapshot: Snapshot) -> tuple[list[Signal], dict[str, str]]:
    """Everybody's signals at one close, each asked alone; and of those who broke, by name, how."""
    signals: list[Signal] = []
    faults: dict[str, str] = {}
    for voter in voters:
        try:
            signals += voter.signals(snapshot)
        except (Exception, SystemExit) as fault:  # noqa: BLE001  whatever a plug-in raises, the others go on
            faults[voter.name] = told_fault(fault)
    return signals, faults


def silent(
    voters: Sequence[Voter], signals: Sequence[Signal], symbols: Sequence[str]
) -> dict[str, list[str]]:
    """Who saw each symbol and did not vote on it, by name. Who reads words is left out: his silence
    says what was in the news."""
    voted = {(signal.strategy, signal.symbol) for signal in signals if signal.side}
    return {
        symbol: sorted(
            voter.name
            for voter in voters
            if not voter.from_text
            and (voter.trades == "carry") == is_carry(symbol)
            and (voter.name, symbol) not in voted
        )
        for symbol in symbols
    }


def told_fault(fault: BaseException) -> str:
    """What a strategy raised, in a line."""
    said = " ".join(str(fault).split())
    return said if isinstance(fault, WorkbenchError) else f"{type(fault).__name__}: {said}"


def _cells(name: str, part: str, given: object, panel: Panel) -> np.ndarray:
    """What a strategy said, as numbers (bars, symbols). Raises ContractBroken if it cannot be."""
    if given is None and part == "exit":
        return np.zeros(panel.close.shape)
    if not isinstance(given, pd.DataFrame):
        raise ContractBroken(f"{name}: {part} is {type(given).__name__}; it must be a frame")
    if given.shape != panel.close.shape:
        raise ContractBroken(
            f"{name}: {part} has {given.shape[0]} rows and {given.shape[1]} columns; the panel it"
            f" was asked about has {panel.close.shape[0]} and {panel.close.shape[1]}"
        )
    if not given.index.equals(panel.index) or list(given.columns) != list(panel.symbols):
        raise ContractBroken(f"{name}: {part} does not lie on the panel's rows and symbols")
    try:
        return given.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise ContractBroken(f"{name}: a cell of {part} is not a number") from None


def _spread(part: np.ndarray, here: Sequence[int], panel: Panel) -> np.ndarray:
    """Cells of some symbols among those of the panel; nothing (0) in the others."""
    whole = np.zeros(panel.close.shape, part.dtype)
    whole[:, here] = part
    return whole


def strategy(
    *,
    category: str,
    regimes: set[str],
    lookback: int | str,
    from_text: bool = False,
    needs: Sequence[str] = (),
    trades: str = "spot",
    holds_risk_off: bool = False,
) -> Callable[[VoteFunction], Strategy]:
    """Declare a function of the panel as a strategy; for the arguments see `Strategy`.

    Raises UsageError for an unknown category, regime or instrument, or a lookback that is none.
    """
    if category not in CATEGORIES:
        raise UsageError(f"category {category!r} is not one of {', '.join(CATEGORIES)}")
    known = {regime.name.lower() for regime in Regime if regime is not Regime.UNKNOWN}
    if not regimes <= known:
        raise UsageError(f"regime {sorted(regimes - known)[0]!r} is not one of {sorted(known)}")
    if trades not in INSTRUMENTS:
        raise UsageError(f"trades {trades!r} is not one of {', '.join(INSTRUMENTS)}")
    if not _is_history(lookback):
        raise UsageError(f"lookback {lookback!r} is no history; write 400 (bars) or '30D'")

    def declare(function: VoteFunction) -> Strategy:
        return Strategy(
            function, getattr(function, "__name__", "strategy"), category, frozenset(regimes),
            lookback, from_text, tuple(needs), trades, holds_risk_off,
        )  # fmt: skip

    return declare


def _is_history(lookback: int | str) -> bool:
    if isinstance(lookback, int):
        return lookback > 0
    try:
        return pd.Timedelta(lookback) > pd.Timedelta(0)
    except ValueError:
        return False


def combine(
    sides: Floats, confidences: Floats, categories: Sequence[str], from_text: Sequence[bool],
    needed: Ints | int = 1,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Many voters' cells (voters, ...) to one side and confidence (...); see `counting`."""
    counts = counting(sides, categories, from_text, needed)
    sure = np.where((confidences >= 0.0) & (confidences <= 100.0), confidences, 0.0)
    numeric = ~np.array(from_text, dtype=bool)
    # Anybody can place a headline: words may lower what the numbers say, never raise it.
    confidence = np.minimum(_mean(sure[numeric], counts[numeric]), _mean(sure, counts))
    side = np.where((counts & (sides > 0)).any(axis=0), 1.0, 0.0)
    return np.where((counts & (sides < 0)).any(axis=0), -1.0, side), confidence


def counting(
    sides: Floats, categories: Sequence[str], from_text: Sequence[bool], needed: Ints | int = 1
) -> Bools:
    """Which votes count (voters, ...): none where sides conflict or where fewer than `needed` (...)
    agree that are not read from text; and one read from text only beside a vote of another category
    that is not."""
    longs, shorts = (sides > 0).any(axis=0), (sides < 0).any(axis=0)
    counts = (np.abs(sides) == 1.0) & ~(longs & shorts)
    for s, category in enumerate(categories):
        if from_text[s]:
            others = [
                k for k, other in enumerate(categories) if other != category and not from_text[k]
            ]
            counts[s] &= counts[others].any(axis=0)
    witnesses = counts[~np.array(from_text, dtype=bool)].sum(axis=0)
    return counts & (witnesses >= needed)


def needed(quorum: int, symbols: Sequence[str]) -> Ints:
    """How many must agree on each symbol; a pair has one voter, which cannot be outnumbered."""
    return np.array([1 if is_carry(symbol) else quorum for symbol in symbols], np.int64)


def _mean(values: Floats, counts: Bools) -> Floats:
    """Mean over the voters that count, 0 where none does; summed in the voters' order."""
    total, n = np.zeros(counts.shape[1:]), np.zeros(counts.shape[1:])
    for value, count in zip(values, counts, strict=True):
        total = total + np.where(count, value, 0.0)
        n = n + count
    return total / np.maximum(n, 1.0)


def wanted(
    signals: Sequence[Signal], symbols: Sequence[str], quorum: int = 1
) -> dict[str, tuple[int, float]]:
    """Side and confidence of every symbol that the counted signals want, at one bar."""
    side, confidence = _one_bar(signals, symbols, quorum)
    rows = zip(symbols, side, confidence, strict=True)
    return {symbol: (int(s), float(c)) for symbol, s, c in rows if s}


def propose(
    signals: Sequence[Signal],
    judged: Mapping[str, float],
    symbols: Sequence[str],
    regime: Floats,
    quorum: int = 1,
) -> Proposal:
    """One bar's proposal. `judged`: the judge's multiplier by symbol; one not judged gets 0.

    `regime` (symbols,) holds Regime codes; its size multiplies the judge's.
    """
    side, confidence = _one_bar(signals, symbols, quorum)
    leaves = {signal.symbol for signal in signals if signal.exit}
    multiplier = np.array([judged.get(symbol, 0.0) for symbol in symbols]) * regime_size(regime)
    return Proposal(side, confidence, multiplier, np.array([s in leaves for s in symbols]))


def _one_bar(
    signals: Sequence[Signal], symbols: Sequence[str], quorum: int
) -> tuple[Floats, Floats]:
    voters = sorted({(s.strategy, s.category, s.from_text) for s in signals})
    row = {voter[0]: k for k, voter in enumerate(voters)}
    column = {symbol: j for j, symbol in enumerate(symbols)}
    sides, confidences = (np.zeros((len(voters), len(symbols))) for _ in range(2))
    for signal in signals:
        if not signal.muted:
            cell = row[signal.strategy], column[signal.symbol]
            sides[cell], confidences[cell] = signal.side, signal.confidence
    categories, from_text = [v[1] for v in voters], [v[2] for v in voters]
    return combine(sides, confidences, categories, from_text, needed(quorum, symbols))


def combine_votes(
    strategies: Sequence[Strategy], votes: Mapping[str, Votes], panel: Panel, quorum: int = 1
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
        needed(quorum, panel.symbols),
    )  # fmt: skip
    columns = panel.close.columns
    return (
        pd.DataFrame(side, panel.index, columns),
        pd.DataFrame(confidence, panel.index, columns),
    )


def regime_size(codes: Floats) -> Floats:
    """The size multiplier of Regime codes, elementwise; anything unknown is 0."""
    return np.select([codes == float(regime) for regime in SIZE], list(SIZE.values()), 0.0)
