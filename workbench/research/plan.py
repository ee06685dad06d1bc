"""What a sweep runs: somebody who proposes, the bars, and the terms; one set of parameters a run.

A proposer turns parameters into claims: one strategy voting alone, a rule of one's own that gives a
proposal, or the whole desk with its judge. Names with a dot (`limits.stop`, `costs.half_spread`)
are the desk's terms; they change no vote, so sets that differ in nothing else share their claims.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pandas as pd

from workbench import arrays as a
from workbench.arrays import Bools, Floats
from workbench.domain import Costs, Limits, Panel, Proposal, UsageError
from workbench.errors import ContractBroken, WorkbenchError
from workbench.journal_json import refuse_secrets, to_json, to_plain
from workbench.research.fingerprint import code_of, digest
from workbench.research.history import judged_proposal
from workbench.research.replay import Replay, claims_array, replay
from workbench.research.scan import FIGURES, Called, Ground, Scanned, Scratch, scan
from workbench.research.trials import DataSet
from workbench.strategies.vote import Strategy, regime_size, told_fault

if TYPE_CHECKING:
    from workbench.data.snapshot import World
    from workbench.desk import Desk
    from workbench.strategies.calibration import Calibration

Rule = Callable[..., Proposal]
"""Of a panel and parameters: what to claim where, unjudged."""
TERMS = {"limits": Limits, "costs": Costs}
Set = Mapping[str, Any]


class Proposer(Protocol):
    """Whoever makes claims of a set of parameters, on one panel."""

    @property
    def name(self) -> str: ...
    @property
    def known(self) -> Sequence[str]: ...
    @property
    def now(self) -> Set: ...
    @property
    def code(self) -> str:
        """What its claims depend on, but for the parameters and the panel."""
        ...

    @property
    def panel(self) -> Panel: ...

    def calibrated(self, parameters: Set) -> Mapping[str, Calibration]:
        """The curves that stay: who is given a parameter, be it the one that it had, is another."""
        ...

    def claims(self, parameters: Set, into: Floats) -> Floats: ...

    def on(self, panel: Panel) -> Self: ...


@dataclass(frozen=True, eq=False)
class Voting:
    """One strategy alone, unjudged, in its regimes and at their size."""

    strategy: Strategy
    panel: Panel

    @property
    def name(self) -> str:
        return self.strategy.name

    @property
    def known(self) -> Sequence[str]:
        return [*inspect.signature(self.strategy.function).parameters][1:]

    @property
    def now(self) -> Set:
        return parameters_of(self.strategy)

    @property
    def code(self) -> str:
        return strategy_code(self.strategy)

    def calibrated(self, parameters: Set) -> Mapping[str, Calibration]:
        return {}

    @cached_property
    def _size(self) -> Floats:
        return regime_size(self.panel.context["regime"].to_numpy())

    @cached_property
    def _allowed(self) -> tuple[Bools, Bools]:
        """Where a long, and where a short, may be voted for."""
        ones = np.ones(self.panel.close.shape)
        long, short = (self.strategy.muted(self.panel, side * ones) == "" for side in (1.0, -1.0))
        return long, short

    def claims(self, parameters: Set, into: Floats) -> Floats:
        # `having` also forgets a calibration: each set shows its own score, for no other has one.
        votes = self.strategy.having(**parameters)(_shown(self.panel))
        side, (long, short) = votes.side.to_numpy(), self._allowed
        into[:, :, a.WANT] = np.where(side > 0, long, 0.0) - np.where(side < 0, short, 0.0)
        into[:, :, a.CONFIDENCE] = votes.confidence.to_numpy()
        into[:, :, a.MULTIPLIER] = self._size
        into[:, :, a.EXIT] = 0.0 if votes.exit is None else votes.exit.to_numpy()
        return into

    def on(self, panel: Panel) -> Voting:
        return replace(self, panel=panel)


@dataclass(frozen=True, eq=False)
class Ruled:
    """A rule of one's own: a function of the panel that gives a Proposal."""

    rule: Rule
    panel: Panel

    @property
    def name(self) -> str:
        return getattr(self.rule, "__name__", "rule")

    @property
    def known(self) -> Sequence[str]:
        return [*inspect.signature(self.rule).parameters][1:]

    @property
    def now(self) -> Set:
        return _defaults(self.rule)

    @property
    def code(self) -> str:
        return digest(code_of(self.rule))

    def calibrated(self, parameters: Set) -> Mapping[str, Calibration]:
        return {}

    def claims(self, parameters: Set, into: Floats) -> Floats:
        proposed = self.rule(_shown(self.panel), **parameters)
        for k, part in enumerate(("side", "confidence", "multiplier", "exit")):
            into[:, :, k] = self._cells(part, getattr(proposed, part, None))
        leave = np.asarray(proposed.exit)
        if leave.dtype != np.bool_ and not np.isin(into[:, :, a.EXIT], (0.0, 1.0)).all():
            raise ContractBroken(f"{self.name}: exit has holes; say True or False for every cell")
        return into

    def _cells(self, part: str, given: Any) -> Any:
        """One part of the proposal: a frame or an array of the panel's shape, or one number."""
        like = self.panel.close
        if isinstance(given, pd.DataFrame):
            if not (given.index.equals(like.index) and given.columns.equals(like.columns)):
                raise ContractBroken(
                    f"{self.name}: {part} does not lie on the panel's rows and symbols"
                )
        elif given is None or np.shape(given) not in ((), like.shape):
            raise ContractBroken(
                f"{self.name}: {part} has shape {np.shape(given)}; the panel has {like.shape}, bars"
                " x symbols"
            )
        return given

    def on(self, panel: Panel) -> Ruled:
        return replace(self, panel=panel)


@dataclass(frozen=True, eq=False)
class Whole:
    """The whole desk: every strategy votes, the judge answers. Parameters are named
    `ema_adx.fast`."""

    desk: Desk
    world: World

    name = "desk"

    @property
    def panel(self) -> Panel:
        return self.world.panel

    @property
    def known(self) -> Sequence[str]:
        return [
            f"{s.name}.{parameter}"
            for s in self.desk.strategies
            for parameter in [*inspect.signature(s.function).parameters][1:]
        ]

    @property
    def now(self) -> Set:
        """Every parameter of every strategy as it stands."""
        return {
            f"{s.name}.{name}": value
            for s in self.desk.strategies
            for name, value in parameters_of(s).items()
        }

    @property
    def code(self) -> str:
        desk = self.desk
        voters = [Voting(s, self.panel).code for s in desk.strategies]
        judged = (code_of(desk.judge), desk.reduce, desk.quorum, desk.bars)
        read = self.world.headlines, self.world.odds, self.world.ages  # a judge does
        return digest(voters, judged, read)

    def calibrated(self, parameters: Set) -> Mapping[str, Calibration]:
        given = {name.partition(".")[0] for name in parameters}
        return {
            s.name: s.calibration
            for s in self.desk.strategies
            if s.calibration is not None and s.name not in given
        }

    def claims(self, parameters: Set, into: Floats) -> Floats:
        told: dict[str, dict[str, Any]] = {}
        for name, value in parameters.items():
            told.setdefault(name.partition(".")[0], {})[name.partition(".")[2]] = value
        voters = [s.having(**told[s.name]) if s.name in told else s for s in self.desk.strategies]
        desk = replace(self.desk, strategies=tuple(voters))
        into[:] = claims_array(self.panel, judged_proposal(desk, self.world))
        return into

    def on(self, panel: Panel) -> Whole:
        return replace(self, world=replace(self.world, panel=panel))


@dataclass(frozen=True, eq=False)
class Plan:
    """A proposer on its bars, under limits and costs that a set may change.

    Threads, processes and machines run the same plan and come to the same bytes.
    """

    proposer: Proposer
    ground: Ground
    limits: Limits
    costs: Costs
    capital: float

    @classmethod
    def of(cls, proposer: Proposer, first: int, desk: Desk) -> Plan:
        """Trading begins at row `first` of the proposer's panel, on the desk's terms."""
        ground = Ground.of(proposer.panel, first)
        return cls(proposer, ground, desk.limits, desk.costs, desk.capital)

    def on(self, panel: Panel) -> Plan:
        """The same with other bars."""
        ground = Ground.of(panel, self.ground.first)
        return replace(self, proposer=self.proposer.on(panel), ground=ground)

    @property
    def panel(self) -> Panel:
        return self.proposer.panel

    @cached_property
    def data(self) -> DataSet:
        """The bars that its sets are shown."""
        return DataSet.of(self.panel, self.ground.first)

    def check(self, sets: Sequence[Set]) -> None:
        """Raises UsageError for a name or a value of the terms that cannot be, or that no row of
        the journal can hold."""
        known = [*self.proposer.known]
        known += [f"{part}.{name}" for part, kind in TERMS.items() for name in kind._fields]
        for name in {name: None for chosen in sets for name in chosen}:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1, 0.0)
                raise UsageError(
                    f"{self.proposer.name} has no parameter {name!r}; the nearest is {near[0]}"
                )
        for chosen in sets:
            refuse_secrets(to_plain(dict(chosen)))
            self.terms(chosen)

    def terms(self, chosen: Set) -> tuple[Limits, Costs]:
        """The limits and costs of one set."""
        own = {part: _named(chosen, part) for part in TERMS}
        limits = self.limits._replace(**own["limits"]) if own["limits"] else self.limits
        return limits, self.costs._replace(**own["costs"]) if own["costs"] else self.costs

    def voted(self, chosen: Set) -> Set:
        """The part of a set that changes votes."""
        return {n: v for n, v in chosen.items() if n.partition(".")[0] not in TERMS}

    def key(self, chosen: Set) -> str:
        """What this set's run depends on, but for the data."""
        return self.keys([chosen])[0]

    def keys(self, sets: Sequence[Set]) -> list[str]:
        """The key of each; the code is looked at once."""
        code, now, keys = self.proposer.code, self.proposer.now, list[str]()
        for chosen in sets:
            limits, costs = self.terms(chosen)
            voted = self.voted(chosen)
            votes = (code, {**now, **voted}, self.proposer.calibrated(voted))
            keys.append(digest(*votes, tuple(limits), tuple(costs), self.capital))
        return keys

    def claims(self, chosen: Set) -> Floats:
        """What one set claims, (bars, symbols, 4)."""
        return self.proposer.claims(self.voted(chosen), self.ground.room())

    def scan(self, claims: Floats, limits: Limits, costs: Costs) -> Scanned:
        """Claims through the rules, on terms of any kind."""
        ground = self.ground
        return scan(
            ground, claims, ground.called(claims), ground.apart(limits), limits, costs,
            self.capital, Scratch.like(ground),
        )  # fmt: skip

    def proposal(self, chosen: Set) -> Proposal:
        """What one set claims as frames; nothing before the first bar that may trade."""
        claims = self.claims(chosen)
        claims[: self.ground.first, :, a.WANT] = 0.0
        rows, columns = self.panel.index, self.panel.close.columns
        frames = [pd.DataFrame(claims[:, :, k], rows, columns) for k in range(a.CLAIM_COLUMNS)]
        return Proposal(*frames)

    def replay(self, chosen: Set) -> Replay:
        """One set with every fill on record."""
        done = replay(self.panel, self.proposal(chosen), *self.terms(chosen), self.capital)
        return done.since(self.ground.first)


@dataclass(frozen=True, eq=False)
class Found:
    """What a chunk of sets came to."""

    figures: Floats
    daily: Floats
    notes: tuple[str, ...] = ()


def run(plan: Plan, sets: Sequence[Set], threads: int = 1) -> tuple[Floats, Floats]:
    """Every set through the rules: figures (sets, FIGURES) and daily equity (sets, days).

    The cells of the figures are named in `scan`. The same bytes on any number of threads.
    """
    figures = np.empty((len(sets), FIGURES))
    daily = np.empty((len(sets), plan.ground.trading_days))
    terms = [plan.terms(chosen) for chosen in sets]
    apart: dict[tuple[float, float], Bools] = {}
    for limits, _ in terms:
        if _pairs(limits) not in apart:
            apart[_pairs(limits)] = plan.ground.apart(limits)
    lanes: SimpleQueue[Scratch] = SimpleQueue()
    for _ in range(threads):
        lanes.put(Scratch.like(plan.ground))

    def through(ks: Sequence[int], shared: tuple[Floats, Called] | None = None) -> None:
        lane = lanes.get()
        try:
            claims, called = shared or voted(plan, sets[ks[0]], lane.claims)
            for k in ks:
                limits, costs = terms[k]
                figures[k], daily[k] = scan(
                    plan.ground, claims, called, apart[_pairs(limits)], limits, costs,
                    plan.capital, lane,
                )  # fmt: skip
        finally:
            lanes.put(lane)

    groups = _by_votes(plan, sets)
    if threads == 1:
        for ks in groups:
            through(ks)
        return figures, daily
    with ThreadPoolExecutor(threads) as pool:
        if len(groups) >= threads:
            _ = [*pool.map(through, groups)]
        else:  # few votes, many terms: the sets of a group side by side
            for ks in groups:
                shared = voted(plan, sets[ks[0]], plan.ground.room())
                _ = [*pool.map(lambda k, given=shared: through([k], given), ks)]
    return figures, daily


def voted(plan: Plan, chosen: Set, into: Floats) -> tuple[Floats, Called]:
    """A set's claims and where they are."""
    parameters = plan.voted(chosen)
    try:
        claims = plan.proposer.claims(parameters, into)
    except (WorkbenchError, MemoryError):
        raise
    except Exception as fault:
        raise ContractBroken(
            f"{plan.proposer.name} breaks on {dict(parameters)}: {told_fault(fault)}"
        ) from fault
    return claims, plan.ground.called(claims)


def _by_votes(plan: Plan, sets: Sequence[Set]) -> list[list[int]]:
    """The numbers of the sets, those together that vote alike."""
    groups: dict[str, list[int]] = {}
    for k, chosen in enumerate(sets):
        groups.setdefault(to_json(plan.voted(chosen)), []).append(k)
    return [*groups.values()]


def _pairs(limits: Limits) -> tuple[float, float]:
    """What decides which pairs may not be held together."""
    return limits.max_correlation, limits.one_per_cluster


def _shown(panel: Panel) -> Panel:
    """The same bars to write on: what a set does to its frames, no other set sees. Nothing is
    copied before it is written on."""
    bars = (panel.open, panel.high, panel.low, panel.close, panel.volume)
    context = {name: series.copy(deep=False) for name, series in panel.context.items()}
    return Panel(
        *(frame.copy(deep=False) for frame in bars), panel.timeframe, context, panel.source
    )


def _named(chosen: Set, part: str) -> dict[str, Any]:
    return {
        name.removeprefix(f"{part}."): value
        for name, value in chosen.items()
        if name.startswith(f"{part}.")
    }


def parameters_of(strategy: Strategy) -> dict[str, Any]:
    """As they stand: the function's own defaults where nothing else is said."""
    return _defaults(strategy.function) | dict(strategy.parameters)


def strategy_code(strategy: Strategy) -> str:
    """What a strategy is but for its parameters and its calibration."""
    s = strategy
    promised = (s.name, sorted(s.regimes), s.lookback, s.trades, s.holds_risk_off)
    return digest(code_of(s.function), promised)


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = [*inspect.signature(function).parameters.values()][1:]
    return {p.name: p.default for p in parameters if p.default is not p.empty}
