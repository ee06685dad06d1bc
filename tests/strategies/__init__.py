"""Layer 2, and the made-up panels its tests share."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.domain import Panel

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


def random_panel(bars: int, seed: int, holes: float = 0.0, timeframe: str = "1h") -> Panel:
    """Random walks with a little trend; a share `holes` of the bars after the first is missing."""
    rng = np.random.default_rng(seed)
    shape = (bars, len(SYMBOLS))
    drift = np.repeat(rng.normal(0.0, 0.002, (bars // 60 + 1, len(SYMBOLS))), 60, axis=0)[:bars]
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.006, shape) + drift, axis=0))
    open = np.vstack([close[:1], close[:-1]])
    high = np.maximum(open, close) * (1.0 + rng.uniform(0.0, 0.004, shape))
    low = np.minimum(open, close) * (1.0 - rng.uniform(0.0, 0.004, shape))
    volume = rng.uniform(1e5, 1e6, shape)
    missing = rng.random(shape) < holes
    missing[0] = False
    index = pd.date_range("2023-01-01", periods=bars, freq=timeframe, tz="UTC")
    values = {"open": open, "high": high, "low": low, "close": close, "volume": volume}
    frames = {
        name: pd.DataFrame(np.where(missing, np.nan, v), index, list(SYMBOLS))
        for name, v in values.items()
    }
    return Panel.from_frames(**frames, timeframe=timeframe, source="SYNTHETIC random walk")
