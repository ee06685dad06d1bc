"""An edited rule is never served from an old compile cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import workbench

SCRIPT = """
import numpy as np, pandas as pd
from workbench.domain import Panel, Proposal, Limits, Costs
from workbench.research.replay import replay
index = pd.date_range("2024-01-01", periods=6, freq="1h", tz="UTC")
frame = lambda *v: pd.DataFrame({"X": v}, index)
flat = frame(100.0, 100.0, 100.0, 100.0, 100.0, 100.0)
panel = Panel.from_frames(open=flat, high=flat, low=frame(100.0, 100, 97.0, 100, 100, 100.0),
                          close=flat, volume=flat)
side = frame(1.0, 0, 0, 0, 0, 0)
proposal = Proposal(side, side * 90, side, side != side)
free = Costs(half_spread=0, impact=0, taker_fee=0, maker_fee=0)
print(replay(panel, proposal, Limits(), free).fills["price"].tolist())
"""


def run_in(folder: Path, cache: Path) -> str:
    """The fills' prices as a fresh process sees them, with the package that lies in `folder`."""
    environment = os.environ | {"PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment,
        cwd=folder, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("file", "before", "after", "prices"),
    [
        (
            "execution/fills.py",
            "hard = entry * (1.0 - side * limits.stop)",
            "hard = entry * (1.0 - 0.5 * side * limits.stop)",
            "[100.0, 99.0]",
        ),
        ("execution/costs.py", "shift = costs.half_spread", "shift = 0.25", "[125.0, 75.0]"),
    ],
)
def test_an_edit_in_a_callees_file_reaches_the_compiled_loop(
    tmp_path: Path, file: str, before: str, after: str, prices: str
) -> None:
    """Warm the cache with the old rule, edit the rule in its own file: the new figure."""
    package = tmp_path / "workbench"
    shutil.copytree(Path(workbench.__file__).parent, package)
    cache = tmp_path / "cache"
    assert run_in(tmp_path, cache) == "[100.0, 98.0]"
    assert run_in(tmp_path, cache) == "[100.0, 98.0]"  # from the cache
    rule = package / file
    text = rule.read_text()
    assert text.count(before) == 1
    rule.write_text(text.replace(before, after))
    assert run_in(tmp_path, cache) == prices
