"""A small made-up world, a strategy and a rule for the tests of sweeps: seconds, not minutes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from tests.rough import Rough, rough_panel
from workbench.arrays import Floats
from workbench.data.snapshot import World
from workbench.desk import Desk
from workbench.domain import Limits, Panel, Proposal, Votes
from workbench.judges.constant import always
from workbench.strategies.vote import strategy

FIRST = 40
GRID = {"bars": [2, 4], "least": [0.01, 0.03, 9.0]}
LOOSE = Limits(allow_short=1.0, max_correlation=1.0, max_deployed=0.8, cooldown_bars=0.0)


@strategy(category="trend", regimes={"trending", "ranging", "high_vol"}, lookback=10)
def follow(panel: Panel, bars: int = 3, least: float = 0.01) -> Votes:
    """With a move of `least` over some bars; a move of 9 there is none."""
    change = (panel.close / panel.close.shift(bars) - 1.0).to_numpy()
    sure = np.clip(60.0 + 100.0 * np.abs(change), 0.0, 90.0)
    return Votes.of(panel, change > least, change < -least, sure)


def above(panel: Panel, bars: int = 3, least: float = 0.0) -> Proposal:
    """Long where the close is above that of some bars ago, out where it is below."""
    change = (panel.close / panel.close.shift(bars) - 1.0).to_numpy()
    return Proposal(change > least, 70.0, 1.0, change < -least)


def labelled(panel: Panel) -> Panel:
    """Labels of every kind, in risk-on throughout."""
    codes = np.random.default_rng(1).integers(0, 4, panel.close.shape).astype(float)
    regime = pd.DataFrame(codes, panel.index, panel.close.columns)
    return panel.with_context(regime=regime, risk_on=pd.Series(1.0, panel.index))


def world_of(panel: Panel, start: int = FIRST) -> World:
    headlines = pd.DataFrame(
        {"id": ["n1"], "available_at": panel.close_times[[3]], "event_time": panel.index[[3]],
         "title": ["A title"], "source": ["paper"], "symbol": [""]}
    )  # fmt: skip
    columns = ["available_at", "event_time", "venue", "meeting", "outcome", "probability",
               "ends_at"]  # fmt: skip
    odds = pd.DataFrame({name: [] for name in columns})
    for name in ("available_at", "event_time", "ends_at"):
        odds[name] = pd.DatetimeIndex([], tz="UTC")
    ages = pd.DataFrame({"candles": np.zeros(len(panel))}, index=panel.index)
    return World(panel, headlines, odds, ages, start)


def small_world(seed: int = 3, symbols: int = 3) -> World:
    return world_of(labelled(rough_panel(Rough(seed, symbols, missing=0.01, quiet=0.01))))


def small_desk(folder: Path, *strategies: object) -> Desk:
    return Desk(
        strategies=strategies or (follow,), judge=always, limits=LOOSE,
        journal_path=folder / "journal.db",
    )  # fmt: skip


def changed(world: World, first: int, factor: float) -> World:
    """The same with all prices and labels from row `first` on others, the volumes gone."""
    panel, frames = world.panel, {}
    for name in ("open", "high", "low", "close", "volume"):
        cells: Floats = getattr(panel, name).to_numpy().copy()
        cells[first:] *= factor
        frames[name] = pd.DataFrame(cells, panel.index, panel.close.columns)
    context = {}
    for name, series in panel.context.items():
        context[name] = series.copy()
        context[name].iloc[first:] = np.nan
    other = Panel.from_frames(
        **frames, timeframe=panel.timeframe, context=context, source=panel.source
    )
    return replace(world, panel=other)
