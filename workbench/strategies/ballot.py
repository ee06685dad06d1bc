"""A strategy's votes of a world that is history already, cast all at once.

At each bar a strategy reads some hundreds of bars again, which costs more than all the rest of the
page. Over recorded bars it may as well vote on all of them first: a causal strategy says the same.
That it does is tried on some of its own votes, and one that peeks is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np

from workbench.domain import DataError, Panel, Signal, Snapshot
from workbench.strategies.vote import Strategy

TRIED = 20


@dataclass(frozen=True)
class Ballot(Strategy):
    """A strategy that has voted. `cast` has its signals by bar number, where there are any."""

    cast: Mapping[int, Sequence[Signal]] = field(default_factory=dict[int, Sequence[Signal]])

    @classmethod
    def of(cls, strategy: Strategy, panel: Panel, tried: int = TRIED) -> Self:
        """Vote on the whole panel (labelled by `with_regime`).

        Raises DataError if at one of `tried` of its votes, or of the bars at which it was silent,
        spread over the panel, the strategy says something else when it is shown no later bar.
        """
        votes = strategy(panel)
        sides, confidences = votes.side.to_numpy(), votes.confidence.to_numpy(float)
        exits = np.zeros(sides.shape, bool) if votes.exit is None else votes.exit.to_numpy(bool)
        allowed = strategy.allowed(panel, votes.side).to_numpy()
        rows = np.flatnonzero((sides != 0).any(axis=1) | exits.any(axis=1))
        cast = {
            int(panel.bar_numbers[t]): strategy.told(
                panel.symbols, sides[t], confidences[t], allowed[t], exits[t]
            )
            for t in rows
        }
        silent = np.setdiff1d(np.arange(len(sides)), rows)
        for t in (*_spread(rows, strategy, tried), *_spread(silent, strategy, tried)):
            _same_without_later_bars(strategy, panel, t, cast.get(int(panel.bar_numbers[t]), ()))
        own = {f.name: getattr(strategy, f.name) for f in fields(Strategy)}
        return cls(**own, cast=cast)

    def signals(self, snapshot: Snapshot) -> list[Signal]:
        """What was cast for the snapshot's last bar."""
        return list(self.cast.get(int(snapshot.panel.bar_numbers[-1]), ()))


def _spread(rows: np.ndarray, strategy: Strategy, tried: int) -> list[int]:
    """Some of the rows that have a whole lookback behind them."""
    enough = rows[rows >= strategy.lookback - 1]
    return [
        int(row)
        for row in enough[np.linspace(0, len(enough) - 1, min(tried, len(enough)), dtype=int)]
    ]


def _same_without_later_bars(
    strategy: Strategy, panel: Panel, t: int, cast: Sequence[Signal]
) -> None:
    window = panel.rows(max(t + 1 - strategy.lookback, 0), t + 1)
    alone = strategy.signals(Snapshot(panel.close_times[t], window))
    same = len(alone) == len(cast) and all(
        one._replace(confidence=0.0) == other._replace(confidence=0.0)
        and math.isclose(one.confidence, other.confidence, rel_tol=1e-6, abs_tol=1e-9)
        for one, other in zip(alone, cast, strict=True)
    )
    if not same:
        raise DataError(
            f"{strategy.name} votes otherwise at {panel.close_times[t]} when it is shown no later"
            " bar; it looks ahead or needs a longer lookback, see check_strategy"
        )
