"""How fast the replay is: ratios to vectorbt doing the same work, throughput, import costs.

    .venv/bin/python benchmarks/replay_speed.py [--json] [--repeats N]

Measured in one process, repeats of all sides in turn, the minimum of each; CPU time and wall time:

    1   replay() with every rule and every fill, and the native Portfolio of its fills
    2   the same without that Portfolio
    2a  the same on a Panel never seen before, nothing of it kept from an earlier replay
    2b  the compiled loop alone, its arrays ready-made
        ... each against vectorbt's from_order_func giving a native Portfolio by the same rules
        (peer_vectorbt.py), in two styles: as its manual writes it, and tuned
    3   the compiled loop in asset-bars per second on one thread, fills recorded
    4   subprocesses: import workbench, workbench --help

Our side starts from a Panel and the frames of a Proposal: it checks them, makes the daily facts and
the arrays where they are not kept from before, runs the loop and makes the frames of the result.
The peer's side is from_order_func alone: facts, marks and arrays are handed to it. It returns no
reason for each claim; ours does. Neither side reads anything from its Portfolio. Compiling is left
out and told apart in "first call". Before anything is timed the fills of both must agree one by
one, and so must the count of each refusal and the equity of every bar; if not, it is not timed.

Not measured: reading files, strategies, judges, sweeps, several threads, memory.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import peer_vectorbt as peer

from tests.proposals import random_proposal
from tests.recorded import DATA, spot_panel
from workbench import arrays as a
from workbench.arrays import Bools, Floats, rules_fingerprint
from workbench.cycle import market_array
from workbench.domain import Book, Costs, Limits, Panel, Proposal
from workbench.research.accountant import portfolio
from workbench.research.replay import Replay, claims_array, fills_frame, kernel, replay
from workbench.risk.correlation import DailyFacts, daily_facts, too_close

ROOT = Path(__file__).resolve().parents[1]
CAPITAL = 10_000.0
SAME = 1e-9
ENDLESS = {"max_stopouts_per_day": 1e9, "max_entries_per_day": 1e9}
LOOSE = Limits(
    max_position=0.10, max_deployed=0.80, max_correlation=1.0, daily_drawdown=0.5,
    cooldown_bars=0, allow_short=True, **ENDLESS,
)  # fmt: skip
VENDORS = ("vectorbt", "ccxt", "anthropic", "plotly", "pandas")
STYLES = ("manual", "tuned")
TARGET_WITH_PORTFOLIO, TARGET_WITHOUT = 4.0, 30.0


@dataclass(frozen=True)
class Workload:
    """One proposal under one set of limits; `floor` is the wanted throughput in million/s."""

    name: str
    density: float
    shorts: bool
    limits: Limits
    floor: float
    against_peer: bool


WORKLOADS = (
    Workload("sparse: 1 % long, default limits", 0.01, False, Limits(), 30.0, True),
    Workload("dense: 20 % both sides", 0.20, True, Limits(allow_short=True), 15.0, False),
    Workload("loose: 20 % both sides, loose limits", 0.20, True, LOOSE, 15.0, True),
)


@dataclass(frozen=True)
class Prepared:
    """A workload with everything the loop reads."""

    panel: Panel
    proposal: Proposal
    limits: Limits
    costs: Costs
    facts: DailyFacts
    market: Floats
    claims: Floats
    too_close: Bools

    @classmethod
    def of(cls, panel: Panel, load: Workload) -> Prepared:
        proposal = random_proposal(panel, seed=1, density=load.density, shorts=load.shorts)
        facts = facts_of(panel)
        return cls(
            panel, proposal, load.limits, Costs(), facts, market_array(panel, facts),
            claims_array(panel, proposal), too_close(facts.rho, load.limits),
        )  # fmt: skip

    def replay(self) -> Replay:
        return replay(self.panel, self.proposal, self.limits, self.costs, CAPITAL)

    def first_replay(self) -> Replay:
        panel = self.panel.rows(0, len(self.panel))  # a new Panel of the same bars
        return replay(panel, self.proposal, self.limits, self.costs, CAPITAL)

    def peer_input(self) -> peer.PeerInput:
        marks = pd.DataFrame(self.panel.marks, self.panel.index, self.panel.close.columns)
        return peer.tuned(
            marks, self.market, self.claims, self.panel.days, self.facts.first_day,
            self.too_close, self.panel.timeframe,
        )  # fmt: skip

    def loop(self) -> Callable[[], Floats]:
        """The compiled loop with its arrays made beforehand; each call starts a flat book."""
        run, panel = kernel(rules_fingerprint()), self.panel
        wants = np.abs(self.claims[:, :, a.WANT]) == 1.0
        fills = np.empty((3 * int(wants.sum()), a.FILL_COLUMNS))
        fates, equity = np.full(wants.shape, -1, np.int8), np.empty(len(panel))
        order = np.zeros(len(panel.symbols), np.int64)
        days, first_bar = panel.days, int(panel.bar_numbers[0])

        def call() -> Floats:
            book = Book.start(panel.symbols, CAPITAL, panel.index[0])
            n = run(
                book.positions, book.account, self.market, self.claims, self.too_close, days,
                self.facts.first_day, first_bar, order, fates, fills, equity,
                self.limits, self.costs,
            )  # fmt: skip
            return fills[:n]

        return call


def facts_of(panel: Panel) -> DailyFacts:
    return daily_facts(panel.close.to_numpy(), panel.volume.to_numpy(), panel.open_days)


def made_up_panel(bars: int = 48_192, symbols: int = 8, seed: int = 7) -> Panel:
    """Hourly random walks with one common factor and 1 % of the bars missing."""
    rng = np.random.default_rng(seed)
    shape = (bars, symbols)
    step = 0.004 * rng.standard_normal((bars, 1)) + 0.006 * rng.standard_normal(shape)
    close = 100.0 * np.exp(np.cumsum(step, axis=0))
    opened = np.vstack([np.full(symbols, 100.0), close[:-1]])
    reach = 1.0 + 0.004 * np.abs(rng.standard_normal((2, *shape)))
    cells = {
        "open": opened,
        "high": np.maximum(opened, close) * reach[0],
        "low": np.minimum(opened, close) / reach[1],
        "close": close,
        "volume": rng.lognormal(10.0, 1.0, shape),
    }
    index = pd.date_range("2020-01-01", periods=bars, freq="1h", tz="UTC")
    there = rng.random(shape) > 0.01
    names = [f"S{i}/USDT" for i in range(symbols)]
    frames = {k: pd.DataFrame(np.where(there, v, np.nan), index, names) for k, v in cells.items()}
    return Panel.from_frames(**frames, source=f"SYNTHETIC random walks, seed {seed}")


def load_panel() -> Panel:
    return spot_panel() if DATA.is_dir() else made_up_panel()


# --- is it the same work? -----------------------------------------------------------------------


def compare(ours: Replay, theirs: Any, tally: peer.Ints) -> dict[str, Any]:
    """Fill by fill and bar by bar; `differing` counts fills that are not the same within 1e-9."""
    records = theirs.orders.values
    records = records[np.lexsort((records["id"], records["col"], records["idx"]))]
    fills = ours.fills
    rows = {
        "bar": (ours.panel.index.get_indexer(fills["time"]), records["idx"]),
        "symbol": (ours.panel.close.columns.get_indexer(fills["symbol"]), records["col"]),
        "side": ((fills["side"] == "sell").to_numpy().astype(int), records["side"]),
        "quantity": (fills["quantity"].to_numpy(), records["size"]),
        "price": (fills["price"].to_numpy(), records["price"]),
        "fee": (fills["fee"].to_numpy(), records["fees"]),
    }
    differing = max(len(fills), len(records))
    if len(fills) == len(records):
        differing = int((~np.all([_same(x, y) for x, y in rows.values()], axis=0)).sum())
    ahead = theirs.value().to_numpy() / ours.equity.to_numpy() - 1.0
    second = ours.portfolio().value().to_numpy() / ours.equity.to_numpy() - 1.0
    return {
        "fills": len(fills),
        "fills_peer": len(records),
        "differing": differing,
        "refusals_differing": int((tally[1:] != ours.blocks.to_numpy()).sum()),
        "final_equity": float(ours.equity.iloc[-1]),
        "final_equity_off": float(abs(ahead[-1])),
        "worst_equity_off": float(np.abs(ahead).max()),
        "worst_equity_off_our_portfolio": float(np.abs(second).max()),
    }


def _same(ours: Any, theirs: Any) -> Any:
    return np.abs(ours - theirs) <= SAME * np.abs(ours)


def agrees(equality: dict[str, Any]) -> bool:
    return (
        equality["differing"] == 0
        and equality["refusals_differing"] == 0
        and equality["worst_equity_off"] <= SAME
    )


# --- timing -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Took:
    """Seconds, the minimum of the repeats."""

    cpu: float
    wall: float


def measure(sides: dict[str, Callable[[], object]], repeats: int) -> dict[str, Took]:
    """All sides in turn, so that a noisy minute hits all of them; a first turn is not counted.

    The garbage collector runs between the calls and not in them: a collection costs more than a
    replay, and whose turn it falls into is chance.
    """
    best = {name: Took(math.inf, math.inf) for name in sides}
    gc.collect()
    gc.freeze()
    for turn in range(repeats + 1):
        for name, work in sides.items():
            gc.collect()
            gc.disable()
            cpu, wall = time.process_time(), time.perf_counter()
            work()
            took = Took(time.process_time() - cpu, time.perf_counter() - wall)
            gc.enable()
            if turn:
                best[name] = Took(min(best[name].cpu, took.cpu), min(best[name].wall, took.wall))
    gc.unfreeze()
    return best


def against_peer(prepared: Prepared, repeats: int) -> tuple[list[dict[str, Any]], dict[str, Took]]:
    """Equality in both styles, then the times; no times where the two disagree."""
    tuned = prepared.peer_input()
    styles = dict(zip(STYLES, (peer.manual(tuned), tuned), strict=True))
    ours = prepared.replay()
    equalities: list[dict[str, Any]] = []
    for style, given in styles.items():
        equality = compare(ours, *peer.simulate(given, prepared.limits, prepared.costs, CAPITAL))
        equalities.append({"style": style} | equality)
    if not all(agrees(equality) for equality in equalities):
        return equalities, {}
    sides: dict[str, Callable[[], object]] = {
        "replay and Portfolio": lambda: prepared.replay().portfolio(),
        "replay": prepared.replay,
        "replay, new panel": prepared.first_replay,
        "loop alone": prepared.loop(),
    }
    for style, given in styles.items():
        sides[style] = lambda given=given: peer.simulate(
            given, prepared.limits, prepared.costs, CAPITAL
        )
    return equalities, measure(sides, repeats)


def parts(prepared: Prepared, repeats: int) -> dict[str, Took]:
    """Where our own time goes; the parts of replay() and, last, the Portfolio."""
    panel, facts = prepared.panel, prepared.facts
    loop = prepared.loop()
    fills = loop().copy()
    frame = fills_frame(fills, panel)
    sides: dict[str, Callable[[], object]] = {
        "daily facts": lambda: facts_of(panel),
        "market array": lambda: market_array(panel, facts),
        "claims array": lambda: claims_array(panel, prepared.proposal),
        "loop": loop,
        "fills frame": lambda: fills_frame(fills, panel),
        "replay(), all of it": prepared.replay,
        "Portfolio": lambda: portfolio(panel, frame, CAPITAL),
    }
    return measure(sides, repeats)


def first_calls() -> None:
    """Run in a fresh process: seconds of the first call of each side, on 2,000 bars."""
    prepared = Prepared.of(load_panel().rows(0, 2_000), WORKLOADS[0])
    begun = time.perf_counter()
    prepared.loop()()
    ours = time.perf_counter() - begun
    begun = time.perf_counter()
    peer.simulate(prepared.peer_input(), prepared.limits, prepared.costs, CAPITAL)
    print(json.dumps({"loop": ours, "peer": time.perf_counter() - begun}))


def measure_first_calls() -> dict[str, dict[str, float]]:
    """First calls without a cache of compiled code, and with the cache that run left behind."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        command = [sys.executable, str(Path(__file__)), "--first-calls"]
        answers = [json.loads(run_child(command, environment)[1]) for _ in range(2)]
    return dict(zip(("without a cache", "with a cache"), answers, strict=True))


# --- imports ------------------------------------------------------------------------------------

_IMPORT = """
import sys, time
cpu, wall = time.process_time(), time.perf_counter()
import workbench
{more}
print(time.process_time() - cpu, time.perf_counter() - wall, *sorted(sys.modules))
"""


def run_child(command: Sequence[str], environment: dict[str, str]) -> tuple[Took, str]:
    """A whole process, from its start to its end."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(  # noqa: S603 (our own interpreter and script)
        command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True
    )
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Took(cpu, wall), done.stdout


def import_costs(repeats: int) -> dict[str, Any]:
    """Whole processes with byte code cached; `statement` is what the import itself took."""
    script = Path(sys.executable).with_name("workbench")
    commands = {
        "python, nothing imported": [sys.executable, "-c", "pass"],
        "import workbench": [sys.executable, "-c", _IMPORT.format(more="")],
        "import workbench, use wb.replay": [
            sys.executable, "-c", _IMPORT.format(more="workbench.replay"),
        ],
        "workbench --help": [str(script), "--help"],
    }  # fmt: skip
    costs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        for name, command in commands.items():
            run_child(command, environment)  # writes the byte code
            runs = [run_child(command, environment) for _ in range(repeats)]
            costs[name] = {
                "cpu": min(took.cpu for took, _ in runs),
                "wall": min(took.wall for took, _ in runs),
            }
            if name.startswith("import"):
                words = [output.split() for _, output in runs]
                costs[name]["statement_cpu"] = min(float(w[0]) for w in words)
                costs[name]["statement_wall"] = min(float(w[1]) for w in words)
                costs[name]["vendors_loaded"] = [v for v in VENDORS if v in words[0][2:]]
    return costs


# --- the report ---------------------------------------------------------------------------------


def report(panel: Panel, repeats: int) -> dict[str, Any]:
    """Everything measured, as plain numbers; seconds unless a name says otherwise."""
    names = ("vectorbt", "numba", "numpy", "pandas")
    out: dict[str, Any] = {
        "data": panel.source,
        "bars": len(panel),
        "symbols": len(panel.symbols),
        "versions": {"python": sys.version.split()[0]} | {name: version(name) for name in names},
        "cpus": os.cpu_count(),
        "repeats": repeats,
        "workloads": {},
    }
    for load in WORKLOADS:
        prepared = Prepared.of(panel, load)
        loop = prepared.loop()
        result: dict[str, Any] = {"floor": load.floor, "fills": len(loop())}
        took = measure({"loop": loop}, 2 * repeats)["loop"]
        cells = len(panel) * len(panel.symbols)
        result["million_per_second"] = {
            "cpu": cells / took.cpu / 1e6,
            "wall": cells / took.wall / 1e6,
        }
        if load.against_peer:
            equalities, times = against_peer(prepared, repeats)
            result["equality"] = equalities
            result["times"] = {name: vars(took) for name, took in times.items()}
            result["ratios"] = {
                f"{name} / {style}": times[style].cpu / took.cpu
                for name, took in times.items()
                for style in STYLES
                if name not in STYLES
            }
            result["parts"] = {k: vars(took) for k, took in parts(prepared, repeats).items()}
        out["workloads"][load.name] = result
    out["first_calls"] = measure_first_calls()
    out["imports"] = import_costs(repeats)
    out["load_average"] = os.getloadavg()
    return out


def verdict(value: float, target: float, *, below: bool = False) -> str:
    reached = value < target if below else value >= target
    return "reached" if reached else "MISSED"


def show(out: dict[str, Any]) -> None:
    versions = ", ".join(f"{name} {number}" for name, number in out["versions"].items())
    print(f"data      {out['data']}: {out['bars']:,} bars x {out['symbols']} symbols")
    print(f"versions  {versions}")
    print(f"minimum of {out['repeats']} repeats, {out['cpus']} CPUs, one thread each;", end=" ")
    print("load average", " ".join(f"{x:.1f}" for x in out["load_average"]))
    for name, result in out["workloads"].items():
        if "equality" in result:
            show_peer(name, result)
    print("\n3 THE LOOP, fills recorded    million asset-bars/s: CPU   wall   wanted")
    for name, result in out["workloads"].items():
        rate = result["million_per_second"]
        print(
            f"  {name:<38}{result['fills']:>7,} fills {rate['cpu']:>5.1f} {rate['wall']:>6.1f}"
            f" {result['floor']:>7.0f}  {verdict(rate['cpu'], result['floor'])}"
        )
    print("\nFIRST CALL (compiling), seconds")
    for name, first in out["first_calls"].items():
        print(
            f"  {name:<20} our loop {first['loop']:>5.1f}   from_order_func {first['peer']:>5.1f}"
        )
    show_imports(out["imports"])


def show_peer(name: str, result: dict[str, Any]) -> None:
    print(f"\n1, 2 AGAINST VECTORBT   {name}")
    for equality in result["equality"]:
        print(
            f"  same work? {equality['style']:<7} {equality['fills']:,} fills, vectorbt"
            f" {equality['fills_peer']:,}, differing {equality['differing']}; refusals differing"
            f" {equality['refusals_differing']}; equity off by at most"
            f" {equality['worst_equity_off']:.0e}, at the end {equality['final_equity_off']:.0e}"
        )
    times = result["times"]
    if not times:
        print("  the two disagree: nothing is timed")
        return
    for style in STYLES:
        took = times[style]
        print(
            f"  from_order_func, {style:<7} {1e3 * took['cpu']:>6.1f} ms CPU"
            f" {1e3 * took['wall']:>6.1f} ms wall"
        )
    print("                                 ms: CPU   wall   ratio to manual   to tuned   (CPU)")
    rows = (
        ("1  replay and Portfolio", "replay and Portfolio", TARGET_WITH_PORTFOLIO),
        ("2  replay, no Portfolio", "replay", TARGET_WITHOUT),
        ("2a replay, a new Panel", "replay, new panel", None),
        ("2b loop alone, arrays given", "loop alone", None),
    )
    for label, key, target in rows:
        took = times[key]
        manual, tuned = (result["ratios"][f"{key} / {style}"] for style in STYLES)
        wanted = "" if target is None else f"   wanted {target:.0f}: {verdict(manual, target)}"
        print(
            f"  {label:<30}{1e3 * took['cpu']:>8.1f} {1e3 * took['wall']:>6.1f}"
            f" {manual:>14.1f}x {tuned:>10.1f}x{wanted}"
        )
    spent = ", ".join(f"{k} {1e3 * took['cpu']:.1f}" for k, took in result["parts"].items())
    print(f"  our parts, ms CPU: {spent}")


def show_imports(costs: dict[str, Any]) -> None:
    print("\n4 IMPORTS, whole processes, byte code cached     seconds: CPU   wall   the statement")
    limits = {"import workbench": 0.3, "workbench --help": 0.6}
    for name, cost in costs.items():
        inside = f"{cost['statement_wall']:.3f}" if "statement_wall" in cost else ""
        wanted = ""
        if name in limits:
            wanted = f"  wanted < {limits[name]}: {verdict(cost['wall'], limits[name], below=True)}"
        print(f"  {name:<44} {cost['cpu']:>11.2f} {cost['wall']:>6.2f} {inside:>9}{wanted}")
    loaded = costs["import workbench"]["vendors_loaded"]
    print(f"  of {', '.join(VENDORS)} import workbench loads: {', '.join(loaded) or 'none'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--first-calls", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.first_calls:
        first_calls()
        return
    out = report(load_panel(), chosen.repeats)
    if chosen.json:
        print(json.dumps(out, indent=1))
    else:
        show(out)


if __name__ == "__main__":
    main()
