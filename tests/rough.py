"""Rough markets for property tests: every number from a seed, many of them not fit to trade on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import config

from workbench.domain import Panel, parse_timeframe

COMPILED = not config.DISABLE_JIT
"""False while coverage is measured: the loops are plain Python then, and the worlds smaller."""

UNUSABLE = (np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0, -1e300)
"""What a feed may deliver and no rule may take for a price."""

DAYS = 68
"""60 daily returns, and some days to trade on them."""


@dataclass(frozen=True)
class Rough:
    """How rough: shares of all cells that are unusable, of bars that are missing or quiet."""

    seed: int
    symbols: int = 3
    timeframe: str = "6h"
    unusable: float = 0.0
    missing: float = 0.0
    quiet: float = 0.0
    fat_fingers: float = 0.0
    volatility: float = 0.015
    kinship: float = 0.3


def rough_panel(world: Rough) -> Panel:
    """The same world for the same numbers: walks with a common part, wicks, gaps and holes."""
    rng = np.random.default_rng(world.seed)
    length = parse_timeframe(world.timeframe)
    bars = DAYS * round(pd.Timedelta(1, unit="D") / length)
    shape = (bars, world.symbols)
    common, own = rng.standard_t(3, (bars, 1)), rng.standard_t(3, shape)
    moves = world.volatility * (world.kinship * common + (1.0 - world.kinship) * own)
    path = np.cumsum(moves, axis=0) + rng.uniform(-3.0, 8.0, world.symbols)
    close = np.exp(path)
    open_ = np.exp(path - moves + world.volatility * rng.normal(0.0, 0.3, shape))
    wick = rng.exponential(world.volatility / 2, (2, *shape))
    cells = {
        "open": open_,
        "high": np.maximum(open_, close) * np.exp(wick[0]),
        "low": np.minimum(open_, close) * np.exp(-wick[1]),
        "close": close,
        "volume": rng.lognormal(8.0, 2.0, shape),
    }
    cells["volume"][rng.random(shape) < world.quiet] = 0.0
    gone = rng.random(shape) < world.missing
    gone[rng.random(bars) < world.missing] = True
    for values in cells.values():
        values[gone] = np.nan
        slip = rng.random(shape) < world.fat_fingers
        values[slip] *= rng.choice([1e-6, 1e-2, 1e2, 1e6], int(slip.sum()))
        bad = rng.random(shape) < world.unusable
        values[bad] = rng.choice(UNUSABLE, int(bad.sum()))
    index = pd.date_range("2024-01-01", periods=bars, freq=length, tz="UTC")
    names = [f"S{k}" for k in range(world.symbols)]
    return Panel.from_frames(
        **{name: pd.DataFrame(values, index, names) for name, values in cells.items()},
        timeframe=world.timeframe,
        source=f"SYNTHETIC {world}",
    )
