"""How fast a sweep is: against vectorbt and Backtesting.py, under every rule, from 10 to 10,000.

    .venv/bin/python benchmarks/sweep_speed.py [--json] [--repeats N]

    1   200 pairs of EMAs on 35,040 recorded hours of one asset, votes included, next-open fills,
        0.1 % fee (see peer_sweep.py). The trades of all three must be equal in number, final equity
        and drawdown, set by set, or nothing is timed. Ours counts trades, days, exposure, refusals;
        vectorbt's Portfolio is timed bare (simulation only) and with trade count, return, Sharpe
        and drawdown (the output of a sweep). Backtesting.py runs 8 of the 200, extrapolated.
    2   64 and 200 sets of stop, target and cooldown on eight recorded assets, 35,040 bars, random
        longs in 1 % of the cells, every rule; some sets are compared with their replay first.
    3   the first kind again from 10 to 10,000 sets through the public sweep, ledger and store
        included: seconds, the slope of log time over log sets, and the peak of memory at 10,000 in
        a process of its own.
    4   the first sweep of a fresh process, with the cache of compiled code that set-up leaves.

Seconds are wall time, the minimum of the repeats, with CPU time beside it; ratios to peers are of
wall time, for two threads take the CPU twice. Not in any suite: a time is no property of the code.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

IMPORTING = time.perf_counter()

import numpy as np  # noqa: E402
import peer_sweep as peer  # noqa: E402
from speed_table import verdict  # noqa: E402

from tests.proposals import random_proposal  # noqa: E402
from tests.recorded import spot_panel  # noqa: E402
from workbench.domain import Costs, Limits, Panel, Proposal  # noqa: E402
from workbench.research import scan  # noqa: E402
from workbench.research.metrics import summary  # noqa: E402
from workbench.research.plan import Plan, run  # noqa: E402
from workbench.research.proposers import Ruled, Set  # noqa: E402
from workbench.research.scan import Ground  # noqa: E402
from workbench.research.sweep import sets_of, sweep_sets  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
IMPORTED = time.perf_counter() - IMPORTING
EMAS = {"fast": peer.FAST, "slow": peer.SLOW}
FEW = 8
TERMS = {
    64: {"limits.stop": [0.01, 0.015, 0.02, 0.03], "limits.take_profit": [0.02, 0.03, 0.04, 0.06],
         "limits.cooldown_bars": [0.0, 3.0, 6.0, 12.0]},
    200: {"limits.stop": [0.005 * k for k in range(1, 11)],
          "limits.take_profit": [0.02, 0.03, 0.04, 0.05, 0.06],
          "limits.cooldown_bars": [0.0, 3.0, 6.0, 12.0]},
}  # fmt: skip
SIZES = (10, 100, 1_000, 10_000)
Call = Callable[[], object]


def bitcoin() -> Panel:
    return peer.whole(spot_panel().columns(["BTC/USDT"]).tail(peer.BARS))


def timed(work: Call) -> tuple[float, float]:
    """Wall and CPU seconds of one call, every EMA computed anew, the collector off."""
    peer.line.cache_clear()
    gc.collect()
    gc.disable()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    took = time.perf_counter() - wall, time.process_time() - cpu
    gc.enable()
    return took


def measure(sides: dict[str, Call], repeats: int) -> dict[str, dict[str, float]]:
    """All sides in turn, so that a noisy minute hits all; a first turn is not counted."""
    best = dict.fromkeys(sides, (math.inf, math.inf))
    for turn in range(repeats + 1):
        for name, work in sides.items():
            wall, cpu = timed(work)
            if turn:
                best[name] = min(best[name][0], wall), min(best[name][1], cpu)
    return {name: {"wall": wall, "cpu": cpu} for name, (wall, cpu) in best.items()}


def swept(plan: Plan, sets: Sequence[Set], threads: int = 2) -> Any:
    """The public sweep into a folder of its own: nothing is kept from before."""
    with tempfile.TemporaryDirectory() as folder:
        return sweep_sets(plan, sets, Path(folder) / "journal.db", threads=threads)


# --- 1: against the peers ------------------------------------------------------------------------


def same_trades(plan: Plan, panel: Panel, sets: Sequence[Set]) -> int:
    """Set by set against both peers; gives the number of closed trades."""
    figures, _ = run(plan, sets)
    both = {
        "vectorbt": (peer.figures_of(peer.in_vectorbt(panel, sets))[0], range(len(sets))),
        "Backtesting.py": (peer.in_backtesting(panel, sets[:: len(sets) // FEW]),
                           range(0, len(sets), len(sets) // FEW)),
    }  # fmt: skip
    for name, (theirs, ks) in both.items():
        own = figures[list(ks)]
        assert np.array_equal(own[:, scan.TRADES], theirs.trades), name
        assert np.allclose(own[:, scan.FINAL], theirs.final, rtol=1e-12, atol=0.0), name
        assert np.allclose(own[:, scan.DRAWDOWN], theirs.drawdown, rtol=0.0, atol=1e-12), name
    return int(figures[:, scan.TRADES].sum())


def against_peers(repeats: int) -> dict[str, Any]:
    panel, sets = bitcoin(), sets_of(EMAS)
    plan = peer.ours(panel)
    trades = same_trades(plan, panel, sets)
    some = sets[:: len(sets) // FEW]
    times = measure(
        {
            "ours, one thread": lambda: run(plan, sets, 1),
            "ours, two threads": lambda: run(plan, sets, 2),
            "ours, sweep(), two threads": lambda: swept(plan, sets),
            "vectorbt, simulation only": lambda: peer.in_vectorbt(panel, sets),
            "vectorbt, with figures": lambda: peer.figures_of(peer.in_vectorbt(panel, sets)),
        },
        repeats,
    )
    slow = measure({"few": lambda: peer.in_backtesting(panel, some)}, 1)["few"]
    share = len(sets) / len(some)
    times["Backtesting.py, extrapolated"] = {name: share * s for name, s in slow.items()}
    return {"trades": trades, "sets": len(sets), "bars": len(panel), "times": times}


# --- 2: every rule -------------------------------------------------------------------------------


def random_longs(panel: Panel) -> Plan:
    proposal = random_proposal(panel, seed=1, density=0.01, shorts=False)

    def longs(panel: Panel) -> Proposal:
        return proposal

    return Plan(Ruled(longs, panel), Ground.of(panel, 0), Limits(), Costs(), 10_000.0)


def full_rules(repeats: int) -> dict[str, Any]:
    panel = spot_panel().tail(peer.BARS)
    plan, out = random_longs(panel), {}
    for n, grid in TERMS.items():
        sets = sets_of(grid)
        figures, _ = run(plan, sets)
        for k in (0, n // 2, n - 1):
            expected = summary(plan.replay(sets[k]))
            assert figures[k, scan.FINAL] == expected["final equity"]
            assert figures[k, scan.TRADES] == expected["trades"]
        times = measure(
            {"one": lambda s=sets: run(plan, s, 1), "two": lambda s=sets: run(plan, s, 2)}, repeats
        )
        cells = n * panel.close.size / 1e6
        out[str(n)] = {
            "trades": int(figures[:, scan.TRADES].sum()), "times": times,
            "million_per_second": cells / times["one"]["wall"],
            "million_per_cpu_second": cells / times["one"]["cpu"],
            "two_threads": times["one"]["wall"] / times["two"]["wall"],
        }  # fmt: skip
    return out


# --- 3 and 4: many sets, and the first -----------------------------------------------------------


def many(n: int) -> tuple[Set, ...]:
    """n pairs of different EMAs: 100 fast and n / 100 slow ones, at the most."""
    fast = min(n, 100)
    return sets_of({"fast": range(3, 3 + fast), "slow": range(110, 110 + n // fast)})


def growing() -> dict[str, Any]:
    plan = peer.ours(bitcoin())
    swept(plan, many(10))
    took = {n: timed(lambda n=n: swept(plan, many(n)))[0] for n in SIZES}
    logs = np.log([*took]), np.log([*took.values()])
    return {
        "seconds": {str(n): seconds for n, seconds in took.items()},
        "slope": float(np.polyfit(*logs, 1)[0]),
        "slope from 100": float(np.polyfit(logs[0][1:], logs[1][1:], 1)[0]),
        "peak_mb": child("--peak")["peak_mb"],
    }


def peak() -> dict[str, float]:
    """In a process of its own: megabytes at the most, over 10,000 sets. (`ru_maxrss` would begin
    with what the process that started this one had.)"""
    swept(peer.ours(bitcoin()), many(SIZES[-1]))
    status = Path("/proc/self/status").read_text().split()
    return {"peak_mb": float(status[status.index("VmHWM:") + 1]) / 1e3}


def first() -> dict[str, float]:
    """In a process of its own: seconds of its first sweep, and of its imports."""
    plan = peer.ours(bitcoin())
    begun = time.perf_counter()
    swept(plan, many(10))
    return {"import_s": IMPORTED, "sweep_s": time.perf_counter() - begun}


def child(what: str) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__)), what]
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, env=kept, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603 (our own script)
    return json.loads(done.stdout)


# --- the report ----------------------------------------------------------------------------------


def report(repeats: int) -> dict[str, Any]:
    child("--first")  # what set-up leaves behind: byte code and compiled loops
    tries = [child("--first") for _ in range(3)]
    names = ("numba", "numpy", "pandas", "vectorbt", "backtesting")
    return {
        "versions": {"python": sys.version.split()[0]} | {name: version(name) for name in names},
        "cpus": os.cpu_count(),
        "repeats": repeats,
        "peers": against_peers(repeats),
        "full_rules": full_rules(repeats),
        "growing": growing(),
        "first": min(tries, key=lambda each: each["sweep_s"]),
        "load_average": os.getloadavg(),
    }


def show(out: dict[str, Any]) -> None:
    versions = ", ".join(f"{name} {number}" for name, number in out["versions"].items())
    load = " ".join(f"{x:.1f}" for x in out["load_average"])
    print(f"versions  {versions}")
    print(f"minimum of {out['repeats']} repeats, {out['cpus']} CPUs; load average {load}")
    show_peers(out["peers"])
    print("\n2  EVERY RULE, 8 assets, 1 % random longs: million asset-bars per second")
    for n, result in out["full_rules"].items():
        rate, gain = result["million_per_second"], result["two_threads"]
        print(
            f"  {n:>4} sets, {result['trades']:>7,} trades: one thread {rate:>6.1f}"
            f" ({result['million_per_cpu_second']:.1f} per CPU second), {told(rate, 55.0)};"
            f" two threads {gain:.2f}x, {told(gain, 1.6)}"
        )
    grown = out["growing"]
    print("\n3  MORE SETS, through sweep_sets, two threads")
    for n, seconds in grown["seconds"].items():
        print(f"  {int(n):>7,} sets {seconds:>8.2f} s {1e3 * seconds / int(n):>8.2f} ms a set")
    print(
        f"  slope of log seconds over log sets {grown['slope']:.2f}, from 100 sets on"
        f" {grown['slope from 100']:.2f} (1 is linear)"
    )
    most = grown["peak_mb"]
    print(f"  peak memory of 10,000, fresh process: {most:.0f} MB, {told(most, 1_000.0, True)}")
    first = out["first"]
    both = first["sweep_s"] + first["import_s"]
    print(
        f"\n4  FIRST SWEEP of a fresh process, warm cache: {first['sweep_s']:.2f} s, imports"
        f" {first['import_s']:.2f} s, both {both:.2f} s, {told(both, 3.0, True)}"
    )


def show_peers(peers: dict[str, Any]) -> None:
    times = peers["times"]
    print(
        f"\n1  {peers['sets']} EMA PAIRS, {peers['bars']:,} bars, votes included;"
        f" {peers['trades']:,} trades, equal on all sides"
    )
    print("   seconds:                          wall     CPU   million bars/s")
    for name, took in times.items():
        rate = peers["sets"] * peers["bars"] / took["wall"] / 1e6
        print(f"   {name:<30}{took['wall']:>8.3f}{took['cpu']:>8.3f}{rate:>10.2f}")
    print("   ratios of wall time               run()      sweep()")
    own = ("ours, two threads", "ours, sweep(), two threads")
    for name, target in (
        ("vectorbt, with figures", 15.0),
        ("vectorbt, simulation only", None),
        ("Backtesting.py, extrapolated", 800.0),
    ):
        run_, sweep_ = (times[name]["wall"] / times[each]["wall"] for each in own)
        words = "not equal output" if target is None else told(run_, target)
        print(f"   to {name:<28}{run_:>8.1f}x{sweep_:>11.1f}x   {words}")


def told(value: float, target: float, below: bool = False) -> str:
    sign = "below " if below else ""
    return f"wanted {sign}{target:,g}: {verdict(value, target, below=below)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--repeats", type=int, default=7)
    for hidden in ("--peak", "--first"):
        parser.add_argument(hidden, action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.peak or chosen.first:
        print(json.dumps(peak() if chosen.peak else first()))
        return
    out = report(chosen.repeats)
    if chosen.json:
        print(json.dumps(out, indent=1))
    else:
        show(out)


if __name__ == "__main__":
    main()
