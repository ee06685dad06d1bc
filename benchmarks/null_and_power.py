"""How often the verdict is wrong: on worlds without an edge, and on worlds with one.

    .venv/bin/python -m benchmarks.null_and_power [--worlds 200] [--powered 100] [--seed 1] [--json]

Null: random walks of four years of 4-hour bars, the best of 100 parameter sets each; wanted:
TRUSTED in at most 5 %. Power: the same walk, drifting up while its 24-bar average is above its
96-bar one and down while it is below, by so much that this very rule, under the rule book and after
costs, has an annual Sharpe of 2 in the long run (`--calibrate` shows how that was found); wanted:
TRUSTED in at least 60 %. Each world is a market of its own with a journal of its own, and a fifth
of each is sealed and opened at the end. Both print which tests stood against how many worlds.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.data.snapshot import World
from workbench.desk import Desk
from workbench.domain import Panel, Proposal
from workbench.research.metrics import sharpes, to_returns
from workbench.research.plan import Plan, run
from workbench.research.proposers import Ruled
from workbench.research.validate import NOT_PROVEN, REJECTED, TRUSTED, validate
from workbench.strategies.ema_adx import ema_adx
from workbench.strategies.indicators import ema

BAR_H, YEARS, SIGMA = 4, 4.0, 0.005
FAST, SLOW = 24, 96
DRIFT = 0.00038
GRID = {
    "fast": [6, 9, 12, 16, 20, 24, 28, 34, 40, 48],
    "slow": [60, 72, 84, 96, 110, 125, 140, 160, 180, 200],
}
WARM_UP = 200


def follow(panel: Panel, fast: int = FAST, slow: int = SLOW) -> Proposal:
    """Be long while the fast average is above the slow one."""
    close = panel.close.to_numpy()
    above = ema(close, fast) > ema(close, slow)
    return Proposal(above, 100.0, 1.0, ~above)


def walk(seed: int, drift: float, years: float = YEARS) -> Panel:
    """A random walk; with a drift, one that follows its own averages."""
    rng = np.random.default_rng(seed)
    bars = round(years * 365 * 24 / BAR_H) + WARM_UP
    inside = rng.normal(0.0, SIGMA / 2.0, (bars, 4))
    close, opened = np.empty(bars), np.empty(bars)
    quick = steady = last = 0.0
    for t in range(bars):
        opened[t] = last
        last += inside[t].sum() + (drift if quick > steady else -drift)
        close[t] = last
        quick += 2.0 / (FAST + 1) * (last - quick)
        steady += 2.0 / (SLOW + 1) * (last - steady)
    path = opened[:, None] + np.cumsum(inside, axis=1)
    high = np.maximum(path.max(axis=1), np.maximum(opened, close))
    low = np.minimum(path.min(axis=1), np.minimum(opened, close))
    index = pd.date_range("2020-01-01", periods=bars, freq=f"{BAR_H}h", tz="UTC")

    def frame(values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame({"X/USDT": values}, index)

    prices = {name: frame(100.0 * np.exp(v)) for name, v in
              (("open", opened), ("high", high), ("low", low), ("close", close))}  # fmt: skip
    return Panel.from_frames(
        **prices, volume=frame(np.full(bars, 1e6)), timeframe=f"{BAR_H}h",
        source=f"SYNTHETIC walk {seed}",
    )  # fmt: skip


def world_of(panel: Panel) -> World:
    nothing = pd.DataFrame({"available_at": pd.DatetimeIndex([], tz="UTC")})
    return World(panel, nothing, nothing, pd.DataFrame(index=panel.index), WARM_UP)


def judged(job: tuple[int, float]) -> tuple[str, tuple[str, ...]]:
    """The verdict on one world, and the tests that stood against it."""
    seed, drift = job
    with tempfile.TemporaryDirectory() as folder:
        desk = replace(Desk(strategies=(ema_adx,)), journal_path=Path(folder) / "journal.db")
        told = validate(
            desk, world_of(walk(seed, drift)), follow, GRID, open_holdout=True, seed=seed, threads=1
        )
    return told.verdict, tuple(f.name for f in told.against)


def population_sharpe(drift: float, worlds: int = 60, seed: int = 9_000_000) -> float:
    """Annual Sharpe of the planted rule itself over many such worlds, under the rules and after
    costs."""
    desk, days = Desk(strategies=(ema_adx,)), []
    for k in range(worlds):
        plan = Plan.of(Ruled(follow, walk(seed + k, drift)), WARM_UP, desk)
        days.append(to_returns(run(plan, [{"fast": FAST, "slow": SLOW}])[1], plan.capital)[0])
    return float(sharpes(np.concatenate(days)[None])[0]) * math.sqrt(365)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--powered", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.calibrate:
        for drift in np.arange(0.0003, 0.00061, 0.00005):
            print(f"drift {drift:.5f} a bar: Sharpe {population_sharpe(float(drift)):.2f}")
        return
    told = {}
    for name, drift, worlds in (("null", 0.0, asked.worlds), ("power", DRIFT, asked.powered)):
        start = time.perf_counter()
        with ProcessPoolExecutor(asked.workers) as pool:
            jobs = [(1_000_000 * asked.seed + k, drift) for k in range(worlds)]
            results = [*pool.map(judged, jobs)]
        verdicts = Counter(verdict for verdict, _ in results)
        against = Counter(
            test for verdict, tests in results if verdict != TRUSTED for test in tests
        )
        told[name] = {
            "worlds": worlds, "trusted": verdicts[TRUSTED] / max(worlds, 1),
            "verdicts": {v: verdicts[v] for v in (TRUSTED, NOT_PROVEN, REJECTED)},
            "against": dict(against.most_common()), "seconds": time.perf_counter() - start,
            "seed": asked.seed,
        }  # fmt: skip
    if asked.json:
        print(json.dumps(told))
        return
    for name, wanted in (("null", "at most 5 %"), ("power", "at least 60 %")):
        row = told[name]
        print(f"{name}: TRUSTED in {row['trusted']:.1%} of {row['worlds']} worlds, wanted {wanted}")
        print(f"    {row['verdicts']}, {row['seconds']:.0f} s, seed {row['seed']}")
        for test, n in row["against"].items():
            print(f"    {test:<26} stood against {n}")
    print(f"the planted rule's Sharpe in the long run: {population_sharpe(DRIFT):.2f}")


if __name__ == "__main__":
    main()
