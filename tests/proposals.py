"""Random proposals: what a crowd of bad strategies would ask for, from a seed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.domain import Panel, Proposal


def random_proposal(
    panel: Panel, seed: int, density: float = 0.05, shorts: bool = True, broken: float = 0.0
) -> Proposal:
    """A claim in `density` of the cells; `broken` of the numbers are NaN, infinite or absurd."""
    rng = np.random.default_rng(seed)
    shape = panel.close.shape
    sign = rng.choice([-1.0, 1.0], shape) if shorts else np.ones(shape)
    cells = {
        "side": np.where(rng.random(shape) < density, sign, 0.0),
        "confidence": rng.uniform(35.0, 90.0, shape),
        "multiplier": rng.choice([0.25, 0.5, 1.0], shape),
    }
    absurd = np.array([np.nan, np.inf, -np.inf, -1.0, 2.0, 101.0, 1e300])
    for values in cells.values():
        bad = rng.random(shape) < broken
        values[bad] = rng.choice(absurd, int(bad.sum()))
    frames = {name: pd.DataFrame(v, panel.index, panel.close.columns) for name, v in cells.items()}
    leave = pd.DataFrame(rng.random(shape) < 0.003, panel.index, panel.close.columns)
    return Proposal(**frames, exit=leave)
