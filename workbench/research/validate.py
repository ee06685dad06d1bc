"""One verdict on a strategy: TRUSTED, NOT PROVEN or REJECTED, with all that it stands on.

    told = validate(desk, world, ema_adx, {"fast": [8, 12, 16], "slow": [20, 26, 34]})
    told.verdict, told.findings

REJECTED: a fatal test failed (it looks ahead, loses after costs, loses once chosen on the past, or
lost on the sealed days). TRUSTED: every test was passed, the sealed days among them. Everything
else is NOT PROVEN, also what could not be computed: only evidence earns trust.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.domain import UsageError
from workbench.journal import Journal
from workbench.ports import Progress
from workbench.research.evidence import PERMUTATIONS, Evidence, Finding
from workbench.research.findings import findings
from workbench.research.fingerprint import digest
from workbench.research.holdout import Opened, day, looks_at, tried_on, write_look
from workbench.research.plan import Plan
from workbench.research.promotion import (
    NOT_PROVEN,
    REJECTED,
    SEALED,
    TRUSTED,
    VALIDATED,
    terms_of,
)
from workbench.research.proposers import Rule, Set
from workbench.research.scan import Scanned
from workbench.research.sweep import HOLDOUT, Sweep, plan_of, sets_of, sweep_sets
from workbench.research.trials import Clock, DataSet, utc_now
from workbench.strategies.vote import Strategy

if TYPE_CHECKING:
    from workbench.data.snapshot import World
    from workbench.desk import Desk

STEPS = (0.75, 1.0, 1.25)
MOST_VARIED = 3
LEAST_SEALED, LEAST_SEALED_TRADES = 0.1, 5  # a share of the bars; a few lucky days prove nothing


@dataclass(frozen=True, eq=False)
class Validation:
    """The verdict with its findings; `evidence` has the sweep and the walk-forward behind them."""

    strategy: str
    parameters: Set
    verdict: str
    findings: tuple[Finding, ...]
    evidence: Evidence
    opened: Opened | None = None

    @property
    def source(self) -> str:
        return self.evidence.sweep.source

    @property
    def synthetic(self) -> bool:
        """Made up, or of nobody knows where: it counts for no real market."""
        return self.evidence.sweep.synthetic or not self.source

    @property
    def sweep(self) -> Sweep:
        return self.evidence.sweep

    @property
    def against(self) -> tuple[Finding, ...]:
        """The findings that keep it from being trusted, the fatal ones first."""
        short = [f for f in self.findings if f.decides and f.passed is not True]
        return tuple(sorted(short, key=lambda f: (f.passed is None, f.decides != "reject")))

    def __repr__(self) -> str:
        why = "".join(f"\n  {f.name}: {f.sentence}" for f in self.against)
        return f"{self.strategy} is {self.verdict} on {self.source}{why}"


def validate(
    desk: Desk,
    world: World,
    what: Strategy | Rule,
    grid: Mapping[str, Sequence[Any]] | None = None,
    chosen: Set | None = None,
    *,
    holdout: float = HOLDOUT,
    open_holdout: bool = False,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
    now: Clock = utc_now,
) -> Validation:
    """Sweep the grid on the bars before the sealed days, put one set to every test, and say what it
    is worth; the verdict is a row of the desk's journal.

    Without a grid the strategy is tried as it stands, with its neighbours. `chosen` is the set that
    is judged (None: the strategy's own parameters without a grid, the best of it with one).
    `open_holdout` opens the sealed days, once; a rejected strategy leaves them sealed. Raises what
    `sweep` raises.
    """
    plan = plan_of(desk, world, what, holdout)
    sets = sets_of(grid) if grid else neighbourhood(plan)
    if chosen is not None and dict(chosen) not in [dict(each) for each in sets]:
        raise UsageError(f"the set {dict(chosen)} is not in the grid; add its values")
    workers = threads or os.cpu_count() or 1
    done = sweep_sets(plan, sets, desk.journal_path, threads=workers, progress=progress, now=now)
    own = chosen if chosen is not None or grid else _own(plan, sets)
    k = _at(done, own)
    evidence = Evidence(done, k, seed, permutations, workers, progress)
    told = [*findings(evidence)]
    sealed, look = _sealed(desk, world, what, evidence, told, open_holdout, now)
    told.append(sealed)
    result = Validation(plan.proposer.name, sets[k], verdict_of(told), tuple(told), evidence, look)
    _write(desk.journal_path, result, now)
    return result


def verdict_of(told: Sequence[Finding]) -> str:
    """One failed fatal test rejects; one missing or failed test of the others leaves it open."""
    if any(f.decides == "reject" and f.passed is False for f in told):
        return REJECTED
    return TRUSTED if all(f.passed for f in told if f.decides) else NOT_PROVEN


def neighbourhood(plan: Plan) -> tuple[Set, ...]:
    """The proposer's parameters as they stand and a quarter up and down, in all combinations; of
    the numbers among them the first three, whole ones rounded."""
    grid: dict[str, list[Any]] = {}
    for name, value in plan.proposer.now.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value:
            continue
        if len(grid) < MOST_VARIED:
            near = [type(value)(round(value * step, 9)) for step in STEPS]
            grid[name] = sorted({*near, value})
    names = [*grid]
    return tuple(
        dict(zip(names, values, strict=True)) for values in itertools.product(*grid.values())
    )


def _own(plan: Plan, sets: Sequence[Set]) -> Set:
    return {name: plan.proposer.now[name] for name in sets[0]}


def _at(done: Sweep, chosen: Set | None) -> int:
    if chosen is not None:
        return [dict(each) for each in done.sets].index(dict(chosen))
    # Not `best_set`: where no set has a Sharpe one of them is judged all the same, and rejected.
    return int(done.frame["rank"].to_numpy().argmin())


def _sealed(
    desk: Desk, world: World, what: Strategy | Rule, evidence: Evidence, told: Sequence[Finding],
    ask: bool, now: Clock,
) -> tuple[Finding, Opened | None]:  # fmt: skip
    """The look at the sealed days, if it is asked for and may be had."""

    def finding(passed: bool | None, sentence: str, figure: float | None = None) -> Finding:
        return Finding(SEALED, figure, "above 0, opened once", passed, sentence, "reject")

    first = len(evidence.plan.panel)
    if first == len(world.panel):
        return finding(None, "No days were sealed; nothing is left to prove it on."), None
    days = DataSet.of(world.panel, first)
    name, journal = evidence.plan.proposer.name, desk.journal_path
    key = digest(evidence.plan.key(evidence.set), days.symbols, days.source, days.first, days.last)
    span = f"{day(days.first)} to {day(days.last)}"
    share = (len(world.panel) - first) / (len(world.panel) - world.start)
    everybodys = looks_at(journal, days)
    looks = [look for look in everybodys if look.strategy == name]
    same = [look for look in looks if look.key == key]
    if looks and not same:
        return finding(
            None,
            f"{name} saw days of {span} on {day(looks[0].at)}, with {dict(looks[0].parameters)};"
            " what is chosen after that look cannot be proven on them.",
        ), None  # fmt: skip
    if not same and (seen := tried_on(journal, name, days)):
        return finding(
            None, f"{seen:,} sets of {name} were tried on days of {span}; they are not sealed."
        ), None
    if share < LEAST_SEALED:
        return finding(
            None, f"{span} is {share:.1%} of the bars; it takes {LEAST_SEALED:.0%} to prove it on."
        ), None
    if not same and not ask:
        return finding(None, f"{span} is sealed; it is opened once."), None
    if not same and any(f.decides == "reject" and f.passed is False for f in told):
        return finding(None, f"{span} stays sealed: it is rejected without."), None
    look = same[0] if same else Opened.of(key, name, evidence.set, days)
    if look.trades is None or look.total_return is None:
        run = _over_sealed(desk, world, what, evidence)
        look = write_look(journal, look, run, evidence.plan.capital, now)
    trades, earned = look.trades or 0, look.total_return or 0.0
    made = f"{span}, opened on {day(look.at)}: {trades:,} trades, {earned:+.2%}"
    if others := {each.strategy for each in everybodys} - {name}:
        made += f"; also shown to {', '.join(sorted(others))}"
    if trades < LEAST_SEALED_TRADES:
        return finding(
            None, f"{made}; not computable: n = {trades}, needs {LEAST_SEALED_TRADES} trades."
        ), look
    return finding(earned > 0, f"{made}.", earned), look


def _over_sealed(
    desk: Desk, world: World, what: Strategy | Rule, evidence: Evidence
) -> Callable[[], Scanned]:
    """The chosen set on the sealed days alone."""

    def run() -> Scanned:
        whole = plan_of(desk, replace(world, start=len(evidence.plan.panel)), what, 0.0)
        return whole.scan(whole.claims(evidence.set), *whole.terms(evidence.set))

    return run


def _write(journal: Path, told: Validation, now: Clock) -> None:
    plan, evidence = told.sweep.plan, told.evidence
    body = {
        "strategy": told.strategy, "code": plan.proposer.code,
        "parameters": {**plan.proposer.now, **told.parameters}, "verdict": told.verdict,
        "synthetic": told.synthetic, "data": asdict(told.sweep.ledger.data),
        "terms": terms_of(plan), "tried": told.sweep.ledger.tried,
        "seed": evidence.seed, "permutations": evidence.permutations,
        "findings": [asdict(f) for f in told.findings],
    }  # fmt: skip
    with Journal.open(journal) as rows:
        rows.append(VALIDATED, body, now())
