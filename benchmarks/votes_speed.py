"""How fast the strategies vote: ratios to plain pandas versions of the same, with the same votes.

    .venv/bin/python -m benchmarks.votes_speed [--json] [--repeats N]

    history  one call over the recorded panel: eight spot assets by the hour, five and a half years
    live     one call of `signals` on a snapshot whose panel is as long as a desk of all needs it
    desk     `ask` of all of them at one close, pairs beside their markets

Each is shown the instruments that it trades, spot or pairs, as the desk would; only `desk` has them
in one panel, out of which everybody's have to be cut.

The peers are those of PEERS in the files peer_*votes.py, by the strategy's name; whoever adds a
strategy adds its peer to one of them, and until then it is timed alone, as is one whose inputs were
not recorded. Before anything is timed both must give the same sides in every cell and the same
confidence within 1e-6, over the whole history and at some bars live, where the peer is handed the
strategy's own window and votes on all of it. Ours is timed with all that the desk has around it:
cleaning, the regime's mute and, live, the window's cut and the Signals.

CPU time of one thread, the minimum of the repeats; the recorded data is imported first.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peer_votes import Peer
from tests.recorded import require_data
from workbench.data.lake import Lake
from workbench.data.recorded import import_recorded
from workbench.desk import Desk, Source
from workbench.domain import Panel, Snapshot, Votes
from workbench.strategies.vote import Strategy, ask

PARTS = ("ohlcv/binance_spot", "ohlcv/binance_perp/1h", "funding", "onchain", "news", "prediction",
         "macro", "sentiment")  # fmt: skip
FETCHED = datetime(2025, 7, 1, 12, tzinfo=UTC)
AIMS_MS = {"history": 3_000.0, "live": 50.0}  # of all strategies together
SAME = 1e-6
TRIED = 12  # bars at which the live calls are compared


def registered() -> tuple[Strategy, ...]:
    points = sorted(entry_points(group="workbench.strategies"), key=lambda point: point.name)
    return tuple(point.load() for point in points)


def all_peers() -> dict[str, Peer]:
    files = sorted(Path(__file__).parent.glob("peer_*votes.py"))
    modules = [importlib.import_module(f"benchmarks.{file.stem}") for file in files]
    return {name: peer for module in modules for name, peer in module.PEERS.items()}


def load_panel(strategies: tuple[Strategy, ...]) -> Panel:
    """The recorded world of a desk that has all of them."""
    with tempfile.TemporaryDirectory() as folder:
        linked, lake = Path(folder) / "recorded", Lake(Path(folder) / "lake")
        for part in PARTS:
            (linked / part).parent.mkdir(parents=True, exist_ok=True)
            (linked / part).symlink_to(require_data() / part)
        import_recorded(linked, lake, FETCHED)
        return Desk(strategies, source=Source(lake.root, venue="binance_spot")).world().panel


# --- is it the same work? -------------------------------------------------------------------------


def check_history(strategy: Strategy, peer: Peer, panel: Panel) -> int:
    """Assert equal votes from the lookback on; how many there are."""
    votes, (side, confidence) = strategy(panel), peer(panel)
    told = slice(strategy.bars(panel.timeframe) - 1, None)
    ours = votes.side.to_numpy()[told]
    assert np.array_equal(ours, side.to_numpy()[told]), f"{strategy.name}: other votes"
    sure = votes.confidence.to_numpy()[told]
    assert np.allclose(sure, confidence.to_numpy()[told], rtol=SAME), f"{strategy.name}: confidence"
    return int(np.abs(ours).sum())


def check_live(strategy: Strategy, peer: Peer, panel: Panel, votes: Votes, bars: int) -> None:
    """Assert equal signals at some bars, most of them with votes."""
    voted = np.flatnonzero(votes.side.to_numpy().any(axis=1))
    voted = voted[voted >= bars]
    some = voted[np.linspace(0, len(voted) - 1, min(TRIED, len(voted)), dtype=int)]
    for t in [*some.tolist(), len(panel) - 1]:
        snapshot = Snapshot(panel.close_times[t], panel.rows(t + 1 - bars, t + 1))
        said = {s.symbol: s.side for s in strategy.signals(snapshot) if s.side}
        last = live_peer(strategy, peer, snapshot)
        assert said == last, f"{strategy.name} at {snapshot.as_of}: {said}, its peer {last}"


def live_peer(strategy: Strategy, peer: Peer, snapshot: Snapshot) -> dict[str, int]:
    """The peer's votes at the last bar of the strategy's window."""
    window = snapshot.panel.tail(strategy.bars(snapshot.panel.timeframe))
    row = peer(window)[0].iloc[-1]
    return {str(symbol): int(side) for symbol, side in row[row != 0].items()}


# --- timing ---------------------------------------------------------------------------------------


def cpu_ms(work: Callable[[], object], repeats: int) -> float:
    """Of the fastest call; a first one is not counted."""
    best = math.inf
    work()
    for _ in range(repeats):
        gc.collect()
        gc.disable()
        begun = time.process_time_ns()
        work()
        best = min(best, time.process_time_ns() - begun)
        gc.enable()
    return best / 1e6


def measure(
    strategy: Strategy, peer: Peer | None, panel: Panel, bars: int, repeats: int
) -> dict[str, Any]:
    snapshot = Snapshot(panel.close_times[-1], panel.tail(bars))
    votes = strategy(panel)
    row: dict[str, Any] = {"votes": int(np.abs(votes.side.to_numpy()).sum()), "peer": {}}
    if peer is not None and not strategy.silence(panel):
        check_history(strategy, peer, panel)
        check_live(strategy, peer, panel, votes, bars)
        row["peer"] = {
            "history": cpu_ms(lambda: peer(panel), max(repeats // 2, 1)),
            "live": cpu_ms(lambda: live_peer(strategy, peer, snapshot), repeats),
        }
    row["history"] = cpu_ms(lambda: strategy(panel), repeats)
    row["live"] = cpu_ms(lambda: strategy.signals(snapshot), 4 * repeats)
    return row


def report(repeats: int) -> dict[str, Any]:
    strategies, peers = registered(), all_peers()
    panel = load_panel(strategies)
    bars = max(strategy.bars(panel.timeframe) for strategy in strategies)
    rows = {s.name: measure(s, peers.get(s.name), s.sees(panel), bars, repeats) for s in strategies}
    last = Snapshot(panel.close_times[-1], panel.tail(bars))
    return {
        "data": panel.source,
        "bars": len(panel),
        "symbols": panel.symbols,
        "window": bars,
        "strategies": rows,
        "total": {work: sum(row[work] for row in rows.values()) for work in AIMS_MS},
        "desk": cpu_ms(lambda: ask(strategies, last), 4 * repeats),
        "repeats": repeats,
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
    }


def show(out: dict[str, Any]) -> None:
    print(f"data      {out['data']}: {out['bars']:,} bars of {', '.join(out['symbols'])}")
    print(f"live      a window of {out['window']:,} bars")
    print(f"minimum of {out['repeats']} repeats, CPU ms; {out['cpus']} CPUs, one thread;", end=" ")
    print("load average", " ".join(f"{x:.1f}" for x in out["load_average"]))
    print(f"\n{'':<28}{'votes':>8}{'history':>10}{'pandas':>10}{'':>8}{'live':>9}{'pandas':>9}")
    for name, row in out["strategies"].items():
        print(f"{name:<28}{row['votes']:>8,}" + "".join(_pair(row, work) for work in AIMS_MS))
    own = [row for row in out["strategies"].values() if row["peer"]]
    both = {work: sum(row[work] for row in own) for work in AIMS_MS}
    both["peer"] = {work: sum(row["peer"][work] for row in own) for work in AIMS_MS}
    label = f"the {len(own)} with a peer"
    print(f"{label:<28}{'':>8}" + "".join(_pair(both, work) for work in AIMS_MS))
    print(f"the desk's call of all {out['desk']:>8.1f} ms")
    for work, aim in AIMS_MS.items():
        total = out["total"][work]
        reached = "reached" if total < aim else "MISSED"
        print(f"all, {work:<8} {total:>9.1f} ms   wanted < {aim:,.0f}: {reached}")


def _pair(row: dict[str, Any], work: str) -> str:
    if not row["peer"]:
        return f"{row[work]:>10.2f}{'-':>10}{'':>7}"
    return f"{row[work]:>10.2f}{row['peer'][work]:>10.2f}{row['peer'][work] / row[work]:>6.1f}x"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    out = report(chosen.repeats)
    print(json.dumps(out, indent=1)) if chosen.json else show(out)


if __name__ == "__main__":
    main()
