"""A grid of one strategy's parameters, each set replayed before and after a split.

The strategy votes alone and nobody judges it. In-sample chooses, out-of-sample is looked at once:
how many sets were tried stands beside every figure, because the best of many looks good by luck.
"""

from __future__ import annotations

import difflib
import inspect
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd
from scipy import stats

from workbench.domain import DataError, Panel, Proposal, UsageError
from workbench.ports import Progress
from workbench.research.metrics import summary
from workbench.research.replay import replay
from workbench.strategies.vote import Strategy, combine_votes, regime_size

if TYPE_CHECKING:
    from workbench.data.snapshot import When, World
    from workbench.desk import Desk

IN, OUT = "in-sample", "out-of-sample"
SHARPE = "sharpe (365 d)"
FIGURES = ("trades", "total return", SHARPE, "max drawdown")
IN_SAMPLE_SHARE = 2 / 3


@dataclass(frozen=True, eq=False)
class Sweep:
    """What every set of parameters did on both sides of the split.

    `sets` are the parameters tried, in the grid's order. `frame` has two rows a set: `set` (its
    number), a column a parameter, `part` (in-sample or out-of-sample), the figures and `rank` (of
    the Sharpe within the part: 1 is best, equals share the worse place, one without a Sharpe is
    last). `panel` holds the tradable bars, `split` is the open of the first bar out-of-sample.
    """

    strategy: str
    sets: tuple[Mapping[str, Any], ...]
    frame: pd.DataFrame
    panel: Panel
    split: pd.Timestamp

    @property
    def tried(self) -> int:
        """How many sets of parameters were tried."""
        return len(self.sets)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names that were varied."""
        return tuple(self.sets[0])

    def part(self, name: str) -> pd.DataFrame:
        """The rows of one part, a row a set, by its number."""
        return self.frame[self.frame["part"] == name].set_index("set")

    @cached_property
    def best_set(self) -> int:
        """The number of the set with the highest in-sample Sharpe, the first of equals.

        Raises DataError if no set has one: nothing was traded.
        """
        sharpes = self.part(IN)[SHARPE]
        if sharpes.isna().all():
            raise DataError(
                f"none of {self.tried} sets of {self.strategy} has an in-sample Sharpe from"
                f" {self.panel.index[0]:%Y-%m-%d} to {self.split:%Y-%m-%d}; give more bars or"
                " other parameters"
            )
        return int(sharpes.idxmax())

    @property
    def best(self) -> dict[str, Any]:
        """The parameters that were best in-sample; `strategy.having(**sweep.best)`."""
        return dict(self.sets[self.best_set])

    @property
    def rank_correlation(self) -> float:
        """Spearman's rho of the two parts' Sharpes over the sets, a missing one last.

        NaN with fewer than three sets, or if all are equal in a part.
        """
        inside, outside = (self.part(part)[SHARPE].fillna(-math.inf) for part in (IN, OUT))
        if self.tried < 3 or inside.nunique() == 1 or outside.nunique() == 1:
            return math.nan
        return float(stats.spearmanr(inside, outside).statistic)


def alone(desk: Desk, name: str) -> Desk:
    """The desk with one of its strategies only. Raises UsageError naming the nearest."""
    named = {strategy.name: strategy for strategy in desk.strategies}
    if name not in named:
        nearest = difflib.get_close_matches(name, list(named), 1, 0.0)[0]
        raise UsageError(f"the desk has no strategy {name!r}; the nearest is {nearest}")
    return replace(desk, strategies=(named[name],), quorum=1)


def sweep(
    desk: Desk,
    world: World,
    strategy: Strategy,
    grid: Mapping[str, Sequence[Any]],
    split: When = None,
    progress: Progress | None = None,
) -> Sweep:
    """Try every combination of the grid; limits, costs and capital are the desk's.

    `split` is the open time of the first bar out-of-sample (None: after two thirds of the tradable
    bars). Each part begins with a flat book and the whole capital; what is held at its end is
    marked at the close. Bars before a part are history for indicators. Raises UsageError for a
    parameter that the strategy does not have, a split that leaves a part empty, or a strategy that
    reads text, which never trades alone.
    """
    names = _checked(strategy, grid)
    panel, at = world.panel, _split(world, split)
    parts = {IN: (world.start, at), OUT: (at, len(panel))}
    grid_sets = itertools.product(*(grid[name] for name in names))
    sets = tuple(dict(zip(names, values, strict=True)) for values in grid_sets)
    rows: list[dict[str, Any]] = []
    for k, chosen in enumerate(sets):
        wanted = _proposal(strategy.having(**chosen), panel)
        for part, figures in _figures(desk, panel, wanted, parts):
            rows.append({"set": k, **chosen, "part": part, **figures})
        if progress is not None:
            progress(k + 1, len(sets), "sweep")
    frame = pd.DataFrame(rows)
    frame["rank"] = (
        frame.groupby("part")[SHARPE]
        .rank(ascending=False, method="max", na_option="bottom")
        .astype(int)
    )
    tradable = panel.rows(world.start, len(panel))
    return Sweep(strategy.name, sets, frame, tradable, panel.index[at])


def _figures(
    desk: Desk, panel: Panel, wanted: Proposal, parts: Mapping[str, tuple[int, int]]
) -> Iterator[tuple[str, dict[str, float]]]:
    """The figures of each part (first bar, bar after its last) of one set's run."""
    for part, (first, after) in parts.items():
        cut = Proposal(
            side=wanted.side.iloc[:after].copy(),
            confidence=wanted.confidence.iloc[:after],
            multiplier=wanted.multiplier.iloc[:after],
            exit=wanted.exit.iloc[:after],
        )
        cut.side.iloc[:first] = 0.0
        run = replay(panel.rows(0, after), cut, desk.limits, desk.costs, desk.capital)
        figures = summary(run.since(first))
        yield part, {name: figures[name] for name in FIGURES}


def _proposal(strategy: Strategy, panel: Panel) -> Proposal:
    """What the strategy alone wants, unjudged, in its regimes and at their size."""
    votes = strategy.votes(panel)
    side, confidence = combine_votes((strategy,), {strategy.name: votes}, panel)
    size = pd.DataFrame(
        regime_size(panel.context["regime"].to_numpy()), panel.index, panel.close.columns
    )
    leave = votes.exit if votes.exit is not None else side.isna()  # nobody asks to leave
    return Proposal(side, confidence, size, leave)


def _checked(strategy: Strategy, grid: Mapping[str, Sequence[Any]]) -> list[str]:
    if strategy.from_text:
        raise UsageError(
            f"{strategy.name} reads text and never trades alone; sweep one that reads numbers"
        )
    known = [*inspect.signature(strategy.function).parameters][1:]
    if not grid:
        raise UsageError(f"the grid is empty; {strategy.name} has {', '.join(known) or 'nothing'}")
    for name, values in grid.items():
        if name not in known:
            nearest = difflib.get_close_matches(name, known, 1, 0.0)
            raise UsageError(
                f"{strategy.name} has no parameter {name!r}"
                + (f"; the nearest is {nearest[0]}" if nearest else "")
            )
        if isinstance(values, str) or not len(values):
            raise UsageError(f"the grid's {name} is {values!r}; give a list of values")
        if len(set(values)) < len(values):
            raise UsageError(f"the grid's {name} has a value twice: {list(values)}")
    return list(grid)


def _split(world: World, split: When) -> int:
    """The first row out-of-sample."""
    index, first = world.panel.index, world.start
    if split is None:
        at = first + round(IN_SAMPLE_SHARE * (len(index) - first))
    else:
        moment = pd.to_datetime(split, errors="coerce")
        if moment is pd.NaT:
            raise UsageError(f"split {split!r} is not a time; write it as 2024-01-31")
        moment = moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")
        at = int(index.searchsorted(moment))
    if not first < at < len(index):
        raise UsageError(
            f"split {split or 'after two thirds'} leaves nothing on one side; the tradable bars go"
            f" from {index[min(first, len(index) - 1)]} to {index[-1]}"
        )
    return at
