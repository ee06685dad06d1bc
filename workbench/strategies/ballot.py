"""A strategy's votes of a world that is history already, cast all at once.

At each bar a strategy reads some hundreds of bars again, which costs more than all the rest of the
page. Over recorded bars it may as well vote on all of them first: a causal strategy says the same.
That it does is tried on some of its own votes, and one that peeks is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Self

import numpy as np

from workbench.arrays import Bools, Ints
from workbench.domain import DataError, Panel, Signal, Snapshot, Votes
from workbench.errors import ContractBroken
from workbench.strategies.vote import Strategy, told_fault

TRIED = 20


@dataclass(frozen=True)
class Ballot(Strategy):
    """A strategy that has voted. `cast` has its signals by bar number, where there are any."""

    cast: Mapping[int, Sequence[Signal]] = field(default_factory=dict[int, Sequence[Signal]])

    @classmethod
    def of(cls, strategy: Strategy, panel: Panel, tried: int = TRIED) -> Self:
        """Vote on the whole panel (labelled by `with_regime`).

        Raises what `honest_votes` raises.
        """
        return cls.counted(strategy, panel, honest_votes(strategy, panel, tried))

    @classmethod
    def counted(cls, strategy: Strategy, panel: Panel, votes: Votes) -> Self:
        """The strategy with the votes it cast on this panel."""
        bars = zip(panel.bar_numbers.tolist(), strategy.told(panel, votes), strict=True)
        own = {f.name: getattr(strategy, f.name) for f in fields(Strategy)}
        return cls(**own, cast={number: signals for number, signals in bars if signals})

    def signals(self, snapshot: Snapshot) -> list[Signal]:
        """What was cast for the snapshot's last bar."""
        return list(self.cast.get(int(snapshot.panel.bar_numbers[-1]), ()))


def cast(
    strategies: Sequence[Strategy], panel: Panel, tried: int = TRIED
) -> tuple[list[Strategy], dict[str, Votes], dict[str, str]]:
    """Everybody's votes on a whole panel: those who kept their promises, their votes by name, and
    of the others, by name, what they broke. One who breaks takes nobody along.

    Raises DataError if nobody is left.
    """
    voters: list[Strategy] = []
    votes: dict[str, Votes] = {}
    disabled: dict[str, str] = {}
    for strategy in strategies:
        try:
            votes[strategy.name] = honest_votes(strategy, panel, tried)
            voters.append(strategy)
        except (Exception, SystemExit) as fault:  # noqa: BLE001  whatever a plug-in raises, the others go on
            disabled[strategy.name] = told_fault(fault)
    if not voters:
        why = "; ".join(
            fault if fault.startswith(name) else f"{name}: {fault}"
            for name, fault in disabled.items()
        )
        raise DataError(f"no strategy is left: {why or 'all broke earlier in this run'}")
    return voters, votes, disabled


def honest_votes(strategy: Strategy, panel: Panel, tried: int = TRIED) -> Votes:
    """A strategy's votes on a whole panel, some of them tried.

    Raises ContractBroken if it changes the panel it is shown or answers otherwise when it is asked
    again, or if at one of `tried` of its votes or of the bars at which it was silent, spread over
    the panel, it says something else when it is shown no later bar; and whatever it raises itself.
    """
    seen = strategy.sees(panel) or panel
    shown, kept = own_copy(seen), own_copy(seen)  # what it does to these harms nobody
    once = strategy(shown)
    if not same_panel(kept, shown):
        raise ContractBroken(f"{strategy.name} changes the panel it is shown; copy a frame first")
    if not _same_votes(once, strategy(kept)):
        raise ContractBroken(f"{strategy.name} votes otherwise when it is asked again")
    votes = strategy(own_copy(panel))
    bars, said = strategy.told(panel, votes), _voted(votes)
    for rows in (np.flatnonzero(said), np.flatnonzero(~said)):
        for t in _spread(rows, strategy.bars(panel.timeframe), tried):
            _same_without_later_bars(strategy, panel, t, bars[t])
    return votes


def same_panel(one: Panel, other: Panel) -> bool:
    """Do two panels hold the same numbers?"""
    bars = ("open", "high", "low", "close", "volume")
    pairs = [(getattr(one, name), getattr(other, name)) for name in bars]
    pairs += [(series, other.context.get(name)) for name, series in one.context.items()]
    return all(
        b is not None and np.array_equal(a.to_numpy(), b.to_numpy(), equal_nan=True)
        for a, b in pairs
    ) and len(one.context) == len(other.context)


def own_copy(panel: Panel) -> Panel:
    """The same numbers in memory of their own: what is written there reaches nobody."""
    bars = {n: getattr(panel, n).copy() for n in ("open", "high", "low", "close", "volume")}
    return replace(panel, **bars, context={n: s.copy() for n, s in panel.context.items()})


def _same_votes(one: Votes, other: Votes) -> bool:
    parts = ((one.side, other.side), (one.confidence, other.confidence), (one.exit, other.exit))
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in parts)


def _voted(votes: Votes) -> Bools:
    """Which rows have a vote or an exit."""
    said = (votes.side.to_numpy() != 0).any(axis=1)
    return said if votes.exit is None else said | votes.exit.to_numpy().any(axis=1)


def _spread(rows: Ints, bars: int, tried: int) -> list[int]:
    """Some of the rows that have a whole lookback behind them."""
    enough = rows[rows >= bars - 1]
    return [
        int(row)
        for row in enough[np.linspace(0, len(enough) - 1, min(tried, len(enough)), dtype=int)]
    ]


def _same_without_later_bars(
    strategy: Strategy, panel: Panel, t: int, cast: Sequence[Signal]
) -> None:
    window = panel.rows(max(t + 1 - strategy.bars(panel.timeframe), 0), t + 1)
    alone = strategy.signals(Snapshot(panel.close_times[t], window))
    same = len(alone) == len(cast) and all(
        one._replace(confidence=0.0) == other._replace(confidence=0.0)
        and math.isclose(one.confidence, other.confidence, rel_tol=1e-6, abs_tol=1e-9)
        for one, other in zip(alone, cast, strict=True)
    )
    if not same:
        raise ContractBroken(
            f"{strategy.name} votes otherwise at {panel.close_times[t]} when it is shown no later"
            " bar; it looks ahead, is not deterministic or needs a longer lookback, see"
            " check_strategy"
        )
