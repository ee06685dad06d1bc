"""Many sets of parameters through the rule book, each counted as a trial.

    done = sweep(desk, world, ema_adx, {"fast": [8, 12, 16], "limits.stop": [0.01, 0.02]})
    done.frame, done.returns, done.replay(done.best_set)

What is swept is one strategy voting alone, a rule of one's own (a function of the panel that gives
a Proposal) or, with None, the whole desk with its judge. The last fifth of the bars is sealed: no
sweep sees it, `validate` opens it once. Done chunks are kept as they come, so a sweep that was
stopped goes on where it was; every set is a row of the trials ledger.
"""

from __future__ import annotations

import difflib
import itertools
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from workbench.arrays import Floats, rules_fingerprint
from workbench.domain import DataError, Panel, Reason, UsageError
from workbench.ports import Progress
from workbench.research import scan
from workbench.research.fingerprint import digest, version
from workbench.research.metrics import DAYS_A_YEAR, sharpes, to_returns
from workbench.research.plan import Found, Plan, run
from workbench.research.proposers import Proposer, Rule, Ruled, Set, Voting, Whole
from workbench.research.replay import Replay
from workbench.research.store import Kept, Store
from workbench.research.trials import (
    Clock,
    Ledger,
    Trial,
    Writer,
    read_ledger,
    utc_now,
)
from workbench.strategies.vote import Strategy

if TYPE_CHECKING:
    from workbench.data.snapshot import World
    from workbench.desk import Desk

SHARPE = "sharpe (365 d)"
FIGURES = ("trades", "total return", SHARPE, "max drawdown", "exposed", "win rate", "fees")
HOLDOUT = 0.2
MOST_BYTES = 512e6  # of daily equity, the one thing that grows with the number of sets
LEAST_CHUNKS = 20
CHUNK = 64
KEEP_EVERY_S = 1.0
Engine = Literal["threads", "dask"]


@dataclass(frozen=True, eq=False)
class Sweep:
    """What every set of parameters did on the bars before the sealed holdout.

    `frame` has a row a set (by number, in the grid's order): its parameters, the figures, a count
    per Reason, and `rank` (of the Sharpe: 1 is best, equals share the worse place, a set without
    one is last). `returns` are simple daily returns, UTC days x set numbers. `ledger` counts every
    trial ever made on these days. `notes` say what went otherwise than asked.
    """

    plan: Plan
    sets: tuple[Set, ...]
    frame: pd.DataFrame
    returns: pd.DataFrame
    ledger: Ledger
    notes: tuple[str, ...] = ()

    @property
    def strategy(self) -> str:
        return self.plan.proposer.name

    @property
    def panel(self) -> Panel:
        """The bars that were traded on."""
        return self.plan.panel.rows(self.plan.ground.first, len(self.plan.panel))

    @property
    def source(self) -> str:
        return self.plan.panel.source

    @property
    def synthetic(self) -> bool:
        return self.plan.panel.synthetic

    @property
    def tried(self) -> int:
        """How many sets this sweep has; `ledger.tried` has all that were ever tried."""
        return len(self.sets)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names that were varied."""
        return tuple(self.sets[0])

    @cached_property
    def best_set(self) -> int:
        """The number of the set with the highest Sharpe, the first of equals.

        Raises DataError if no set has one: nothing was traded.
        """
        sharpes = self.frame[SHARPE]
        if sharpes.isna().all():
            raise DataError(
                f"none of {self.tried} sets of {self.strategy} has a Sharpe from"
                f" {self.panel.index[0]:%Y-%m-%d} to {self.panel.index[-1]:%Y-%m-%d}; give more"
                " bars or other parameters"
            )
        return int(sharpes.idxmax())

    @property
    def best(self) -> dict[str, Any]:
        """The parameters of the best set."""
        return dict(self.sets[self.best_set])

    def replay(self, k: int) -> Replay:
        """Set `k` again, with every fill on record."""
        return self.plan.replay(self.sets[k])

    def portfolio(self, k: int) -> Any:
        """Set `k` as a native vectorbt.Portfolio."""
        return self.replay(k).portfolio()


def sweep(
    desk: Desk,
    world: World,
    what: Strategy | Rule | None,
    grid: Mapping[str, Sequence[Any]],
    *,
    holdout: float = HOLDOUT,
    threads: int | None = None,
    engine: Engine = "threads",
    client: Any = None,
    progress: Progress | None = None,
    now: Clock = utc_now,
) -> Sweep:
    """Try every combination of the grid; limits, costs and capital are the desk's.

    Names are the strategy's or rule's parameters (for the whole desk `ema_adx.fast`), and
    `limits.stop` or `costs.half_spread` of the desk. `holdout` is the share of the tradable bars
    that stays sealed. `engine="dask"` runs the same on `client`, a distributed.Client, or on a
    cluster of this machine; results are equal to the bit. Raises UsageError for a parameter that
    is not there, a grid without a valid set, a strategy that reads text (it never trades alone),
    or more sets than memory holds.
    """
    plan = plan_of(desk, world, what, holdout)
    sets = sets_of(grid, _most_sets(plan))
    return sweep_sets(
        plan, sets, desk.journal_path, threads=threads, engine=engine, client=client,
        progress=progress, now=now,
    )  # fmt: skip


def alone(desk: Desk, name: str) -> Desk:
    """The desk with one of its strategies only. Raises UsageError naming the nearest."""
    named = {strategy.name: strategy for strategy in desk.strategies}
    if name not in named:
        nearest = difflib.get_close_matches(name, list(named), 1, 0.0)[0]
        raise UsageError(f"the desk has no strategy {name!r}; the nearest is {nearest}")
    return replace(desk, strategies=(named[name],), quorum=1)


def plan_of(
    desk: Desk, world: World, what: Strategy | Rule | None, holdout: float = HOLDOUT
) -> Plan:
    """What is swept, on the world's bars before the holdout."""
    seen = before_holdout(world, holdout)
    return Plan.of(_proposer(desk, seen, what), seen.start, desk)


def before_holdout(world: World, holdout: float = HOLDOUT) -> World:
    """The world without the last share of its tradable bars. Raises UsageError if none is left."""
    if not 0.0 <= holdout < 1.0:
        raise UsageError(f"the holdout is {holdout:g} of the bars; it must be from 0 to below 1")
    bars = len(world.panel) - world.start
    keep = world.start + round((1.0 - holdout) * bars)
    if keep <= world.start:
        raise UsageError(f"of {max(bars, 0)} tradable bars none is left before the holdout")
    return world.until(keep)


def _proposer(desk: Desk, world: World, what: Strategy | Rule | None) -> Proposer:
    if what is None:
        return Whole(desk, world)
    if not isinstance(what, Strategy):
        return Ruled(what, world.panel)
    if what.from_text:
        raise UsageError(
            f"{what.name} reads text and never trades alone; sweep one that reads numbers"
        )
    return Voting(what, world.panel)


def sets_of(grid: Mapping[str, Sequence[Any]], most: int | None = None) -> tuple[Set, ...]:
    """Every combination, the last name turning fastest. Raises UsageError for an empty grid, or
    for more than `most` combinations."""
    if not grid:
        raise UsageError("the grid is empty; name a parameter and the values to try")
    plain: dict[str, list[Any]] = {}
    for name, values in grid.items():
        listed = isinstance(values, Sequence | np.ndarray | pd.Index | pd.Series)
        if isinstance(values, str) or not listed or not len(values):
            raise UsageError(f"the grid's {name} is {values!r}; give a list of values")
        plain[name] = [v.item() if isinstance(v, np.generic) else v for v in values]
        if len({repr(value) for value in plain[name]}) < len(values):
            raise UsageError(f"the grid's {name} has a value twice: {list(values)}")
    _refuse_too_many(math.prod(map(len, plain.values())), most)
    return tuple(
        dict(zip(plain, chosen, strict=True)) for chosen in itertools.product(*plain.values())
    )


def sweep_sets(
    plan: Plan,
    sets: Sequence[Set],
    journal: Path,
    *,
    threads: int | None = None,
    engine: Engine = "threads",
    client: Any = None,
    progress: Progress | None = None,
    now: Clock = utc_now,
    ticks: Callable[[], float] = time.monotonic,
) -> Sweep:
    """The same for a list of sets, each with the same names; see `sweep`."""
    _check(plan, sets, engine, threads)
    days, n, data = plan.ground.trading_days, len(sets), plan.data
    store = Store(journal.parent / "sweeps" / digest(data.hash, rules_fingerprint(), version()))
    runs = plan.keys(sets)
    keys = [digest(data.hash, key) for key in runs]
    figures, daily = np.empty((n, scan.FIGURES)), np.empty((n, days))
    kept, notes = _still_true(plan, sets, keys, store)
    for k, key in enumerate(keys):
        if key in kept:
            figures[k], daily[k] = kept[key]
    left = [k for k, key in enumerate(keys) if key not in kept]
    workers = threads or os.cpu_count() or 1
    writer = Writer.of(journal, data, now)

    def trial(k: int) -> Trial:
        return _trial(plan, keys[k], runs[k], sets[k], figures[k], daily[k])

    def keep(ks: Sequence[int]) -> None:
        if ks:
            store.write([keys[k] for k in ks], figures[ks], daily[ks])
            writer.add([trial(k) for k in ks])

    writer.add([trial(k) for k in range(n) if keys[k] in kept])
    done, fresh, since = n - len(left), [], ticks()
    try:
        for ks, found in _chunks(plan, sets, left, workers, engine, client, ticks):
            figures[ks], daily[ks] = found.figures, found.daily
            notes += found.notes
            fresh += ks
            done += len(ks)
            if progress is not None:
                progress(done, n, f"sweep {plan.proposer.name}")
            if ticks() - since > KEEP_EVERY_S:
                keep(fresh)
                fresh, since = [], ticks()
    finally:  # an interrupt keeps what is done
        keep(fresh)
    returns = to_returns(daily, plan.capital)
    frame = _frame(plan, sets, figures, returns)
    by_day = pd.DataFrame(returns.T, index=_days(plan), columns=frame.index, copy=False)
    return Sweep(plan, tuple(sets), frame, by_day, read_ledger(journal, data), notes)


def _check(plan: Plan, sets: Sequence[Set], engine: str, threads: int | None) -> None:
    """Raises UsageError for what cannot be run."""
    if engine not in get_args(Engine) or not (threads is None or threads > 0):
        raise UsageError(
            f"engine {engine!r} with {threads} threads; it is threads or dask, 1 or more"
        )
    if not sets:
        raise UsageError("there is no set to run; name a parameter and the values to try")
    _refuse_too_many(len(sets), _most_sets(plan))
    plan.check(sets)


def _most_sets(plan: Plan) -> int:
    """How many sets' daily equity the memory is to hold."""
    return int(MOST_BYTES / 8 / plan.ground.trading_days)


def _refuse_too_many(n: int, most: int | None) -> None:
    if most is not None and n > most:
        raise UsageError(
            f"{n:,} sets would keep {n / most * MOST_BYTES / 1e9:.1f} GB of daily equity; sweep at"
            f" most {most:,} at once"
        )


def _still_true(
    plan: Plan, sets: Sequence[Set], keys: Sequence[str], store: Store
) -> tuple[Kept, tuple[str, ...]]:
    """What is kept, if one of its sets, run again, still comes to the same bytes; if not, none of
    it is believed ever again."""
    kept = store.read(set(keys), scan.FIGURES, plan.ground.trading_days)
    known = [k for k, key in enumerate(keys) if key in kept]
    if not known:
        return {}, ()
    figures, daily = run(plan, [sets[known[0]]])
    told = kept[keys[known[0]]]
    same = np.array_equal(figures[0], told[0]) and np.array_equal(daily[0], told[1])
    if same:
        return kept, ()
    store.forget()
    return {}, ("what was kept of earlier runs is no longer what they come to: all are run anew",)


def _chunks(
    plan: Plan, sets: Sequence[Set], left: Sequence[int], workers: int, engine: Engine,
    client: Any, ticks: Callable[[], float],
) -> Iterator[tuple[Sequence[int], Found]]:  # fmt: skip
    """What is left in chunks, each as it is done: its set numbers and what they came to."""
    size = min(max(-(-len(left) // LEAST_CHUNKS), workers), CHUNK)
    if engine == "dask" and left:
        from workbench.research.cluster import chunks_on_dask  # noqa: PLC0415  an extra

        chunks = [left[at : at + size] for at in range(0, len(left), size)]
        yield from chunks_on_dask(plan, sets, chunks, workers, client)
        return
    at = 0
    while at < len(left):
        ks, since = left[at : at + size], ticks()
        yield ks, Found(*run(plan, [sets[k] for k in ks], workers))
        at += len(ks)
        if ticks() - since < KEEP_EVERY_S / 4:
            size *= 2  # what is so quick need not be cut so small


def _trial(plan: Plan, key: str, run: str, chosen: Set, figures: Floats, daily: Floats) -> Trial:
    sharpe = float(sharpes(to_returns(daily[None].copy(), plan.capital))[0])
    trades = int(figures[scan.TRADES])
    name = plan.proposer.name
    return Trial(key, run, plan.data.hash, name, chosen, sharpe, len(daily), trades)


def _days(plan: Plan) -> pd.DatetimeIndex:
    first = plan.panel.index[plan.ground.first].normalize()
    return pd.date_range(first, periods=plan.ground.trading_days, freq="1D", name="day")


def _frame(plan: Plan, sets: Sequence[Set], figures: Floats, returns: Floats) -> pd.DataFrame:
    trades = figures[:, scan.TRADES]
    won = np.divide(figures[:, scan.WON], trades, out=np.full(len(sets), np.nan), where=trades > 0)
    bars = len(plan.panel) - plan.ground.first
    told = (
        trades.astype(np.int64),
        figures[:, scan.FINAL] / plan.capital - 1.0,
        sharpes(returns) * math.sqrt(DAYS_A_YEAR),
        figures[:, scan.DRAWDOWN],
        figures[:, scan.HELD] / bars,
        won,
        figures[:, scan.FEES],
    )
    counts = figures[:, scan.BLOCKS :].astype(np.int64)
    frame = pd.concat(
        [
            pd.DataFrame([dict(chosen) for chosen in sets]),
            pd.DataFrame(dict(zip(FIGURES, told, strict=True))),
            pd.DataFrame(counts, columns=[reason.name for reason in Reason]),
        ],
        axis=1,
    )
    ranks = frame[SHARPE].rank(ascending=False, method="max", na_option="bottom")
    frame["rank"] = ranks.astype(int)
    return frame.rename_axis("set")
