"""What every strategy must keep, as a check that anyone can run on their own.

    from workbench.strategies.contract import check_strategy
    check_strategy(my_strategy, panel)

Four promises: the past alone decides (the same votes when later bars are missing, and when they
are poisoned), `lookback` bars are enough for the last row, and the numbers are in range. It proves
nothing about profit, and cannot see knowledge that the data itself should not have had.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workbench.domain import Panel, Votes
from workbench.errors import ContractBroken
from workbench.strategies.vote import Strategy

CONFIDENCE_TOLERANCE = 1e-4  # points, for the bars before `lookback` that a window does not see


def check_strategy(strategy: Strategy, panel: Panel, samples: int = 40, seed: int = 0) -> None:
    """Raise ContractBroken at the first broken promise.

    `panel` should be longer than twice the lookback and hold some votes; every bar with a vote (up
    to `samples`) and as many others are tried.
    """
    whole = _raw(strategy, panel)
    _in_range(strategy, whole, panel)
    for t in _bars(strategy, whole, samples, seed):
        cut, poisoned = panel.rows(0, t + 1), _poisoned(panel, t, seed)
        _same(strategy, whole, _raw(strategy, cut), t, "changes when later bars are cut")
        _same(strategy, whole, _raw(strategy, poisoned), t, "reads bars after it", row=t)
        window = _raw(strategy, panel.rows(t + 1 - strategy.bars(panel.timeframe), t + 1))
        _same(
            strategy, whole, window, t,
            f"is another on its last {strategy.bars(panel.timeframe)} bars; raise `lookback`",
            tolerance=CONFIDENCE_TOLERANCE,
        )  # fmt: skip


def _raw(strategy: Strategy, panel: Panel) -> Votes:
    """What the function itself says: calling the strategy would clean it."""
    return strategy.function(panel, **strategy.parameters)


def _bars(strategy: Strategy, votes: Votes, samples: int, seed: int) -> Sequence[int]:
    rng = np.random.default_rng(seed)
    n, first = len(votes.side), strategy.bars(votes.side.index[1] - votes.side.index[0])
    if n <= first:
        raise ContractBroken(
            f"{strategy.name}: the panel has {n} bars, its lookback alone is {first}; give more"
        )
    voted = np.flatnonzero(votes.side.to_numpy().any(axis=1))
    voted = voted[voted >= first]
    others = rng.integers(first, n, samples)
    if len(voted) > samples:
        voted = rng.choice(voted, samples, replace=False)
    return sorted({*voted.tolist(), *others.tolist()})


def _in_range(strategy: Strategy, votes: Votes, panel: Panel) -> None:
    if votes.exit is not None and votes.exit.isna().to_numpy().any():
        raise ContractBroken(f"{strategy.name}: exit has holes; say True or False everywhere")
    for name, frame in _parts(votes).items():
        if not frame.index.equals(panel.index) or list(frame.columns) != list(panel.symbols):
            raise ContractBroken(f"{strategy.name}: {name} does not lie on the panel")
    sides, confidence = votes.side.to_numpy(float), votes.confidence.to_numpy(float)
    _first(strategy, panel, ~np.isin(sides, (-1.0, 0.0, 1.0)), sides, "side must be -1, 0 or 1")
    bad = ~((confidence >= 0.0) & (confidence <= 100.0))
    _first(strategy, panel, bad, confidence, "confidence must be 0 to 100")
    blind = (sides != 0) & ~(panel.close.to_numpy() > 0)
    _first(strategy, panel, blind, sides, "a bar without a price takes no vote")


def _parts(votes: Votes) -> dict[str, pd.DataFrame]:
    parts = {"side": votes.side, "confidence": votes.confidence}
    return parts if votes.exit is None else parts | {"exit": votes.exit}


def _first(
    strategy: Strategy, panel: Panel, bad: np.ndarray, values: np.ndarray, says: str
) -> None:
    if bad.any():
        t, j = (int(k) for k in np.argwhere(bad)[0])
        raise ContractBroken(
            f"{strategy.name}: {values[t, j]:g} at {panel.index[t]} {panel.symbols[j]}; {says}"
        )


def _poisoned(panel: Panel, t: int, seed: int) -> Panel:
    """The panel with noise, holes and absurd prices after bar t, in its context too."""
    rng = np.random.default_rng(seed + t)

    def spoil(frame: pd.DataFrame | pd.Series) -> pd.DataFrame | pd.Series:
        values = frame.to_numpy(dtype=float, copy=True)
        after = values[t + 1 :]
        after *= rng.uniform(0.1, 10.0, after.shape)
        after[rng.random(after.shape) < 0.2] = np.nan
        if isinstance(frame, pd.Series):
            return pd.Series(values, frame.index)
        return pd.DataFrame(values, frame.index, frame.columns)

    bars = {
        name: spoil(getattr(panel, name)) for name in ("open", "high", "low", "close", "volume")
    }
    context = {name: spoil(series) for name, series in panel.context.items()}
    return Panel.from_frames(**bars, timeframe=panel.timeframe, context=context)


def _same(
    strategy: Strategy, whole: Votes, other: Votes, t: int, says: str,
    row: int = -1, tolerance: float = 0.0,
) -> None:  # fmt: skip
    others = _parts(other)
    for name, frame in _parts(whole).items():
        if name not in others:
            raise ContractBroken(f"{strategy.name}: it gives `exit` on some panels only")
        expected = frame.to_numpy(float)[t]
        given = others[name].to_numpy(float)[row]
        allowed = tolerance if name == "confidence" else 0.0
        bad = ~(np.abs(expected - given) <= allowed)
        if bad.any():
            j = int(np.flatnonzero(bad)[0])
            raise ContractBroken(
                f"{strategy.name}: its {name} at {whole.side.index[t]} {whole.side.columns[j]}"
                f" ({expected[j]:g}) {says} ({given[j]:g})"
            )
