"""How fast the replay is: ratios to vectorbt under the same rules, throughput, import costs.

    .venv/bin/python benchmarks/replay_speed.py [--json] [--repeats N]

One process, one thread, all sides in turn, the minimum of the repeats of each:

    A   the compiled loop, every rule, every fill recorded, and the native Portfolio of the records
    B   the same without that Portfolio
        ... against vectorbt's from_order_func, which gives a native Portfolio, in three styles (see
        peer_vectorbt.py). Both sides are handed the same arrays (bars, daily facts, marks, claims,
        forbidden pairs) and the same zoned UTC index; neither reads anything from its Portfolio.
        vectorbt's constructor turns a zoned index into Timestamps; both sides pay that.
    C   replay() from the frames of a Panel never seen before: checks, daily facts and arrays too
    D   C and its Portfolio

C and D are what a user pays; their ratios are not like for like, for the peer's side of that work
is not timed. A and B also give the reason of each claim and the equity of each bar; the peer does
not. Before anything is timed the fills of the two flexible styles must be ours one by one, and so
must the count of each refusal and the equity of every bar; if not, nothing is timed. The documented
style cannot give the same fills; how far it is from them is printed. First calls compile, and one
process makes them in the order of the table, so that later ones find vectorbt's helpers compiled.

Not measured: reading files, strategies, judges, sweeps, several threads, memory.
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
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import peer_vectorbt as peer
import vectorbt as vbt
from speed_table import show

from tests.proposals import random_proposal
from tests.recorded import DATA, spot_panel
from workbench import arrays as a
from workbench.arrays import Floats, Ints, rules_fingerprint
from workbench.cycle import market_array
from workbench.domain import Book, Costs, Limits, Panel, Proposal
from workbench.research.accountant import portfolio
from workbench.research.replay import Replay, claims_array, kernel, replay
from workbench.risk.correlation import DailyFacts, daily_facts, too_close

Call = Callable[[], object]

ROOT = Path(__file__).resolve().parents[1]
CAPITAL = 10_000.0
SAME = 1e-9
LOOSE = Limits(
    max_position=0.10, max_deployed=0.80, max_correlation=1.0, daily_drawdown=0.5,
    cooldown_bars=0, allow_short=True, max_stopouts_per_day=1e9, max_entries_per_day=1e9,
)  # fmt: skip
ROWS = ("A", "B", "C", "D")


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
    """A workload with everything that both sides are handed ready-made."""

    panel: Panel
    proposal: Proposal
    limits: Limits
    costs: Costs
    given: peer.PeerInput

    @classmethod
    def of(cls, panel: Panel, load: Workload) -> Prepared:
        proposal = random_proposal(panel, seed=1, density=load.density, shorts=load.shorts)
        facts, claims = facts_of(panel), claims_array(panel, proposal)
        marks = pd.DataFrame(panel.marks, panel.index, panel.close.columns).bfill().fillna(0.0)
        given = peer.PeerInput(
            marks, market_array(panel, facts), claims, panel.days, facts.first_day,
            too_close(facts.rho, load.limits), panel.timeframe,
            most_orders=3 * int((np.abs(claims[:, :, a.WANT]) == 1.0).sum()),
        )  # fmt: skip
        return cls(panel, proposal, load.limits, Costs(), given)

    def loop(self) -> Floats:
        """The compiled loop from a flat book: the fills. It writes fates and equity as well."""
        panel, given = self.panel, self.given
        book = Book.start(panel.symbols, CAPITAL, panel.index[0])
        fills = np.empty((given.most_orders, a.FILL_COLUMNS))
        fates, equity = np.full(panel.close.shape, -1, np.int8), np.empty(len(panel))
        order = np.zeros(len(panel.symbols), np.int64)
        n = kernel(rules_fingerprint())(
            book.positions, book.account, given.bars, given.claims, given.too_close, given.days,
            given.first_day, int(panel.bar_numbers[0]), order, fates, fills, equity,
            self.limits, self.costs,
        )  # fmt: skip
        return fills[:n]

    def replay(self) -> Replay:
        panel = self.panel.rows(0, len(self.panel))  # a new Panel: nothing is kept from before
        return replay(panel, self.proposal, self.limits, self.costs, CAPITAL)

    def simulate(self, style: peer.Peer) -> tuple[vbt.Portfolio, Ints]:
        return peer.simulate(style, self.limits, self.costs, CAPITAL)


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


def compare(ours: Replay, theirs: vbt.Portfolio, tally: Ints) -> dict[str, Any]:
    """Fill by fill and bar by bar; `differing` counts fills that are not the same within 1e-9.

    `shared` are fills of the same bar, symbol and side; `second` our fills that are not the first
    of their symbol in their bar.
    """
    records = theirs.orders.values
    records = records[np.lexsort((records["id"], records["col"], records["idx"]))]
    fills = ours.records
    where = fills[:, [a.F_BAR, a.F_SYMBOL]].astype(np.int64)
    mine = np.column_stack([where, fills[:, a.F_DIRECTION] < 0.0])
    yours = np.column_stack([records["idx"], records["col"], records["side"]])
    differing = max(len(fills), len(records))
    if len(fills) == len(records):
        amounts = ((a.F_QUANTITY, "size"), (a.F_PRICE, "price"), (a.F_FEE, "fees"))
        same = (mine == yours).all(axis=1)
        for k, name in amounts:
            same &= np.abs(fills[:, k] - records[name]) <= SAME * np.abs(fills[:, k])
        differing = int((~same).sum())
    ahead = theirs.value().to_numpy() / ours.equity.to_numpy() - 1.0
    off = float(np.abs(ahead).max())
    refusals_differing = int((tally[1:] != ours.blocks.to_numpy()).sum())
    return {
        "fills": len(fills),
        "fills_peer": len(records),
        "differing": differing,
        "refusals_differing": refusals_differing,
        "equal": differing == 0 and refusals_differing == 0 and off <= SAME,
        "shared": len(set(map(tuple, mine.tolist())) & set(map(tuple, yours.tolist()))),
        "second": len(where) - len(np.unique(where, axis=0)),
        "equity": float(ours.equity.iloc[-1]),
        "equity_peer": float(theirs.value().iloc[-1]),
        "final_equity_off": float(ahead[-1]),
        "worst_equity_off": off,
    }


# --- timing -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Took:
    """Seconds, the minimum of the repeats."""

    cpu: float
    wall: float


def timed(work: Call) -> Took:
    """One call, without the garbage collector: a collection costs more than a replay, and whose
    turn it falls into is chance."""
    gc.collect()
    gc.disable()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    took = Took(time.process_time() - cpu, time.perf_counter() - wall)
    gc.enable()
    return took


def measure(sides: dict[str, Call], repeats: int) -> dict[str, Took]:
    """All sides in turn, so that a noisy minute hits all; a first turn is not counted."""
    best = {name: Took(math.inf, math.inf) for name in sides}
    gc.collect()
    gc.freeze()
    for turn in range(repeats + 1):
        for name, work in sides.items():
            took = timed(work)
            if turn:
                best[name] = Took(min(best[name].cpu, took.cpu), min(best[name].wall, took.wall))
    gc.unfreeze()
    return best


def against_peer(prepared: Prepared, repeats: int) -> dict[str, Any]:
    """Equality in each style and its first call, then the times, or none if they disagree."""
    ours, panel = prepared.replay(), prepared.panel
    styles = peer.styles(prepared.given)
    equalities: dict[str, dict[str, Any]] = {}
    for name, style in styles.items():
        begun = time.perf_counter()
        theirs, tally = prepared.simulate(style)
        first = time.perf_counter() - begun
        equalities[name] = compare(ours, theirs, tally) | {"first_call": first}
    result: dict[str, Any] = {"equality": equalities, "times": {}, "ratios": {}}
    if not all(equalities[name]["equal"] for name, style in styles.items() if style.flexible):
        return result
    native, records = ours.portfolio(), ours.records
    nothing, cash = native.log_records[:0], np.array([CAPITAL])
    marks = prepared.given.marks
    sides: dict[str, Call] = {
        "A": lambda: portfolio(panel, prepared.loop(), CAPITAL),
        "B": prepared.loop,
        "C": prepared.replay,
        "D": lambda: prepared.replay().portfolio(),
        "portfolio()": lambda: portfolio(panel, records, CAPITAL),
        "constructor": lambda: vbt.Portfolio(
            native.wrapper, marks, native.order_records, nothing, cash, True
        ),
        "daily facts": lambda: facts_of(panel),
        "claims": lambda: claims_array(panel, prepared.proposal),
    }
    for name, style in styles.items():
        sides[name] = lambda style=style: prepared.simulate(style)
    times = measure(sides, repeats)
    result["times"] = {name: vars(took) for name, took in times.items()}
    result["ratios"] = {
        row: {style: times[style].cpu / times[row].cpu for style in styles} for row in ROWS
    }
    return result


# --- other processes ----------------------------------------------------------------------------


def run_child(command: Sequence[str], **environment: str) -> tuple[float, str]:
    """A whole process, from its start to its end: seconds of wall time and what it printed."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    begun = time.perf_counter()
    done = subprocess.run(  # noqa: S603 (our own interpreter and script)
        command, env=kept | environment, cwd=ROOT, check=True, capture_output=True, text=True
    )
    return time.perf_counter() - begun, done.stdout


def first_call() -> None:
    """In a process of its own: seconds of the loop's first call, on 2,000 bars."""
    prepared = Prepared.of(load_panel().rows(0, 2_000), WORKLOADS[0])
    begun = time.perf_counter()
    prepared.loop()
    print(time.perf_counter() - begun)


def measure_first_call() -> dict[str, float]:
    """Without a cache of compiled code, and with the cache that run left behind."""
    command = [sys.executable, str(Path(__file__)), "--first-call"]
    with tempfile.TemporaryDirectory() as folder:
        return {
            name: float(run_child(command, NUMBA_CACHE_DIR=folder)[1])
            for name in ("compiled", "from the cache")
        }


def import_costs(repeats: int) -> dict[str, float]:
    """Whole processes with byte code cached, wall seconds, the minimum of the repeats."""
    commands = {
        "import workbench": [sys.executable, "-c", "import workbench"],
        "workbench --help": [str(Path(sys.executable).with_name("workbench")), "--help"],
    }
    costs: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, command in commands.items():
            runs = [run_child(command, PYTHONPYCACHEPREFIX=folder)[0] for _ in range(repeats + 1)]
            costs[name] = min(runs[1:])  # the first wrote the byte code
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
        fills = len(prepared.loop())
        took = measure({"loop": prepared.loop}, 2 * repeats)["loop"]
        speed = len(panel) * len(panel.symbols) / took.cpu / 1e6
        result = {"floor": load.floor, "fills": fills, "million_per_second": speed}
        if load.against_peer:
            result |= against_peer(prepared, repeats)
        out["workloads"][load.name] = result
    out["first_call"] = measure_first_call()
    out["imports"] = import_costs(repeats)
    out["load_average"] = os.getloadavg()
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--first-call", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.first_call:
        first_call()
        return
    out = report(load_panel(), chosen.repeats)
    if chosen.json:
        print(json.dumps(out, indent=1))
    else:
        show(out)


if __name__ == "__main__":
    main()
