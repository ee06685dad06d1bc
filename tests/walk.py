"""The page bar by bar over history, as paper runs it, and its agreement with the replay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.cycle import cycle
from workbench.domain import Book, Cycle, Fill
from workbench.ports import Log, Progress
from workbench.research.replay import Replay

if TYPE_CHECKING:
    from workbench.data.snapshot import World
    from workbench.desk import Desk


@dataclass(frozen=True, eq=False)
class Walk:
    """What the page did: its fills, the equity at each close, the last record and book."""

    fills: tuple[Fill, ...]
    equity: tuple[float, ...]
    last: Cycle
    book: Book


@dataclass
class _Both:
    """Keeps the walk's own record and passes each cycle on."""

    journal: Log
    cycles: list[Cycle]

    def append(self, cycle: Cycle, /) -> None:
        self.cycles.append(cycle)
        self.journal.append(cycle)


def walk(desk: Desk, world: World, progress: Progress | None = None) -> Walk:
    """Run `cycle` over every bar from `world.start` on, from a flat book."""
    seen = _Both(desk.journal, [])
    desk = replace(desk, journal=seen)
    book, n = desk.book(world), len(world.panel)
    for t in range(world.start, n):
        book = cycle(book, world.snapshot(t, desk.bars), desk)
        if progress is not None:
            progress(t + 1 - world.start, n - world.start, "bar by bar")
    fills = tuple(fill for done in seen.cycles for fill in done.fills)
    return Walk(fills, tuple(c.ruling.book.equity for c in seen.cycles), seen.cycles[-1], book)


def agrees(walked: Walk, replayed: Replay, tolerance: float = 1e-9) -> bool:
    """Same fills and the same equity? Strategies see a window here and all history there, so their
    averages may differ in the last digits; given equal proposals the two agree to the bit."""
    return _same_fills(walked.fills, replayed.fills, tolerance) and bool(
        np.allclose(walked.equity, replayed.equity.to_numpy(), rtol=tolerance, atol=0.0)
    )


def _same_fills(walked: Sequence[Fill], replayed: pd.DataFrame, tolerance: float) -> bool:
    if len(walked) != len(replayed):
        return False
    return all(
        (one.time, one.symbol, one.side, one.reason)
        == (other.time, other.symbol, other.side, other.reason)
        and math.isclose(one.quantity, other.quantity, rel_tol=tolerance)
        and math.isclose(one.price, other.price, rel_tol=tolerance)
        for one, other in zip(walked, replayed.itertuples(), strict=True)
    )
