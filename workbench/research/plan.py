"""What a sweep runs: somebody who proposes, the bars, and the terms; one set of parameters a run.

Names with a dot (`limits.stop`, `costs.half_spread`) are the desk's terms; they change no vote, so
sets that differ in nothing else share their claims.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench import arrays as a
from workbench.arrays import Bools, Floats
from workbench.domain import Costs, Limits, Panel, Proposal, UsageError
from workbench.errors import ContractBroken, WorkbenchError
from workbench.journal_json import refuse_secrets, to_json, to_plain
from workbench.research.fingerprint import digest
from workbench.research.proposers import Proposer, Set
from workbench.research.replay import Replay, replay
from workbench.research.scan import FIGURES, Called, Ground, Scanned, Scratch, scan
from workbench.research.trials import DataSet
from workbench.strategies.vote import told_fault

if TYPE_CHECKING:
    from workbench.desk import Desk
TERMS = {"limits": Limits, "costs": Costs}


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


def _named(chosen: Set, part: str) -> dict[str, Any]:
    return {
        name.removeprefix(f"{part}."): value
        for name, value in chosen.items()
        if name.startswith(f"{part}.")
    }
