"""Small worlds with and without an edge, and a desk to judge rules on them in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.null_and_power import DRIFT, follow, walk, world_of
from tests.research.sweeping import labelled
from tests.research.sweeping import world_of as with_news
from workbench.data.snapshot import World
from workbench.desk import Desk
from workbench.domain import Panel, Proposal, Votes
from workbench.research.evidence import Finding
from workbench.research.proposers import Rule
from workbench.research.sweep import Sweep, sweep
from workbench.research.validate import Validation, validate
from workbench.strategies.ema_adx import ema_adx
from workbench.strategies.vote import Strategy, strategy

__all__ = ["follow", "world_of"]
GRID = {"fast": [12, 24, 40], "slow": [72, 96, 140]}
SMALL = {"fast": [18, 24], "slow": [90, 96]}
STRONG, ANY = 1.8 * DRIFT, {"trending", "ranging", "high_vol"}


@strategy(category="trend", regimes=ANY, lookback=400)
def averages(panel: Panel, fast: int = 24, slow: int = 96) -> Votes:
    """Long while the mean of the last bars lies above that of more of them."""
    close = panel.close
    above = (close.rolling(fast).mean() > close.rolling(slow).mean()).to_numpy()
    return Votes.of(panel, above, np.zeros_like(above), np.full(above.shape, 70.0))


def silent(panel: Panel, least: float = 1.0) -> Proposal:
    """Wants nothing, whatever it is told."""
    nothing = np.zeros(panel.close.shape)
    return Proposal(nothing, 100.0, 1.0, nothing == least + 1.0)


def strong_world(seed: int = 3, years: float = 2.0) -> World:
    return world_of(walk(seed, STRONG, years))


def null_world(seed: int = 2, years: float = 2.0) -> World:
    return world_of(walk(seed, 0.0, years))


def for_votes(world: World, source: str | None = None) -> World:
    """With the labels that a strategy's votes are muted by, and a headline."""
    panel = labelled(world.panel if source is None else replace(world.panel, source=source))
    return with_news(panel, world.start)


def recorded(world: World, source: str = "binance_spot") -> World:
    """The same as if somebody had recorded it."""
    return replace(world, panel=replace(world.panel, source=source))


def desk_at(folder: Path, *strategies: Strategy, **changed: Any) -> Desk:
    """`changed` replaces fields; the journal lies in the folder."""
    desk = Desk(strategies=strategies or (ema_adx,))
    return replace(desk, journal_path=folder / "journal.db", **changed)


def judged(
    desk: Desk, world: World, what: Strategy | Rule = follow,
    grid: Mapping[str, Sequence[Any]] | None = None, chosen: Mapping[str, Any] | None = None,
    **asked: Any,
) -> Validation:  # fmt: skip
    """`validate` with the fewest permutations that can pass, on one thread."""
    asked = {"permutations": 19, "threads": 1} | asked
    return validate(desk, world, what, grid or SMALL, chosen, **asked)


def swept(desk: Desk, world: World, what: Strategy | Rule | None = follow, **asked: Any) -> Sweep:
    return sweep(desk, world, what, asked.pop("grid", SMALL), threads=1, **asked)


def finding(told: Validation, name: str) -> Finding:
    return {each.name: each for each in told.findings}[name]
