"""Where the recorded market data is, for the tests that run on it."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from workbench.domain import Panel

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("WORKBENCH_DATA", ROOT.parent / "shared" / "data"))


def require_data() -> Path:
    """The recorded data's folder; without it a test is skipped, on CI it fails."""
    if not DATA.is_dir():
        message = f"no recorded data at {DATA}; set WORKBENCH_DATA to its folder"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return DATA


def spot_panel() -> Panel:
    """The eight recorded spot assets, hourly, on one grid from 2020 to mid 2025."""
    frames = {}
    for file in sorted((require_data() / "ohlcv/binance_spot/1h").glob("*.parquet")):
        candles = pd.read_parquet(file)
        index = pd.DatetimeIndex(pd.to_datetime(candles["timestamp"], utc=True))
        frames[file.stem.replace("_", "/")] = candles.set_index(index)
    first = min(f.index[0] for f in frames.values())
    last = max(f.index[-1] for f in frames.values())
    grid = pd.date_range(first, last, freq="1h")
    return Panel.from_frames(
        **{
            name: pd.DataFrame({s: f[name].reindex(grid) for s, f in frames.items()})
            for name in ("open", "high", "low", "close", "volume")
        },
        source="recorded binance_spot",
    )
