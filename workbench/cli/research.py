"""sweep, validate, promote: an idea's parameters, what it is worth, and its way to paper."""

from __future__ import annotations

import ast
import resource
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.replay import End, Start, Venue
from workbench.cli.shell import (
    Config,
    JournalFile,
    Json,
    desk_of,
    frame,
    progress_bars,
    say,
    whoami,
)
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.data.snapshot import World
    from workbench.desk import Desk
    from workbench.research.plan import Plan
    from workbench.research.proposers import Set
    from workbench.research.search import Space
    from workbench.strategies.vote import Strategy

Name = Annotated[str, typer.Argument(help="One of the desk's strategies.")]
Grid = Annotated[
    list[str] | None,
    typer.Option("--grid", help="A parameter and its values: fast=8,12,16; as often as needed."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="By default as many as there are cores.")]
TOP = 10


def sweep(
    strategy: Name,
    grid: Grid = None,
    start: Start = None,
    end: End = None,
    venue: Venue = None,
    threads: Threads = None,
    engine: Annotated[str, typer.Option(help="threads, or dask (an extra).")] = "threads",
    trials: Annotated[
        int | None, typer.Option(min=1, help="Draw so many sets instead of trying all.")
    ] = None,
    sampler: Annotated[
        str, typer.Option(help="What draws them: random, or tpe (Optuna, an extra).")
    ] = "tpe",
    seed: Annotated[int, typer.Option(help="Of the sets that are drawn.")] = 0,
    journal: JournalFile = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Try every combination of a grid on the bars before the sealed days; each is a trial.

    Stopped, it goes on where it was with the same command. STRATEGY "desk" sweeps the whole desk
    with its judge: --grid limits.stop=0.01,0.02 --grid ema_adx.fast=8,12. With --trials the sets
    are drawn, and --grid fast=4..40 is a range.
    """
    from workbench.research.search import search
    from workbench.research.sweep import FIGURES, sweep_sets

    desk = desk_of(config, venue, journal=journal)
    if engine not in {"threads", "dask"}:
        raise UsageError(f"there is no engine {engine!r}; give threads or dask")
    if sampler not in {"random", "tpe"}:
        raise UsageError(f"there is no sampler {sampler!r}; give random or tpe")
    with progress_bars() as progress:
        plan, space = _asked(desk, strategy, grid, desk.world(start, end, progress))
        try:
            if trials is not None:
                done = search(
                    plan, space, desk.journal_path, trials=trials, sampler=sampler, seed=seed,
                    threads=threads, progress=progress,
                )  # fmt: skip
            else:
                done = sweep_sets(
                    plan, _listed(plan, space), desk.journal_path, threads=threads, engine=engine,
                    progress=progress,
                )  # fmt: skip
        except KeyboardInterrupt:
            print("workbench: stopped; the same command goes on from here", file=sys.stderr)
            raise typer.Exit(130) from None
    before = f", {done.ledger.changed:,} when the data was another" if done.ledger.changed else ""
    best = done.frame.sort_values("rank").head(TOP)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {
        "source": done.source, "strategy": done.strategy, "sets": done.tried,
        "tried": done.ledger.tried, "changed": done.ledger.changed, "notes": list(done.notes),
        "first": str(done.panel.index[0]), "last": str(done.panel.index[-1]),
        "peak_mb": round(peak_mb), "frame": done.frame.reset_index().to_dict("records"),
    }  # fmt: skip
    say(as_json, result, [
        f"{done.source}; {done.strategy} alone, {done.panel.index[0]:%Y-%m-%d} to"
        f" {done.panel.index[-1]:%Y-%m-%d}; what comes after stays sealed",
        frame(best[[*done.parameters, *FIGURES]].round(4)), "",
        f"{done.tried:,} sets; ever tried on these days: {done.ledger.tried:,}{before}",
        *done.notes,
        "The best of many looks good by luck: workbench validate says what it is worth.",
        f"peak memory {peak_mb:,.0f} MB; the trials are in {desk.journal_path}",
    ])  # fmt: skip


def validate(
    strategy: Name,
    grid: Grid = None,
    chosen: Annotated[
        list[str] | None,
        typer.Option("--set", help="The set to judge: fast=12; by default the strategy as it is."),
    ] = None,
    start: Start = None,
    end: End = None,
    venue: Venue = None,
    open_holdout: Annotated[
        bool, typer.Option("--open", help="Open the sealed days. They are opened once.")
    ] = False,
    permutations: Annotated[
        int, typer.Option(min=19, help="Worlds with the bars in another order.")
    ] = 59,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    threads: Threads = None,
    journal: JournalFile = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Put a strategy to every test: TRUSTED, NOT PROVEN or REJECTED (then the exit code is 1)."""
    from dataclasses import asdict

    from workbench.research.promotion import REJECTED
    from workbench.research.validate import validate as validated

    if open_holdout and journal is not None:
        raise UsageError(
            "the sealed days are opened in the desk's own journal, or nobody would know that they"
            " were; leave --journal away"
        )
    desk = desk_of(config, venue, journal=journal)
    voter = _named(desk, strategy)
    with progress_bars() as progress:
        world = desk.world(start, end, progress)
        told = validated(
            desk, world, voter, _without_ranges(_values(grid or [])) or None, _single(chosen),
            open_holdout=open_holdout, permutations=permutations, seed=seed, threads=threads,
            progress=progress,
        )  # fmt: skip
    result = {
        "source": told.source, "strategy": told.strategy, "parameters": dict(told.parameters),
        "verdict": told.verdict, "tried": told.sweep.ledger.tried,
        "findings": [asdict(f) for f in told.findings],
    }  # fmt: skip
    marks = {True: "passed", False: "FAILED", None: "-"}
    say(as_json, result, [
        f"{told.source}; {told.strategy} {dict(told.parameters)}",
        *(f"  {marks[f.passed]:<7} {f.name:<24} {_figure(f.figure)} {f.sentence}"
          for f in told.findings),
        "", f"{told.verdict}, kept in {desk.journal_path}",
    ])  # fmt: skip
    if told.verdict == REJECTED:
        raise typer.Exit(1)


def promote(
    strategy: Name,
    override: Annotated[
        str, typer.Option(help="Why it is promoted though it was rejected, or never validated.")
    ] = "",
    by: Annotated[str, typer.Option("--by", help="Who promotes it.")] = "",
    journal: JournalFile = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Promote a strategy to paper: at least NOT PROVEN, or by name and with a reason."""
    from workbench.journal import Journal
    from workbench.research.promotion import promote as promoted
    from workbench.research.promotion import standings

    desk = desk_of(config, journal=journal)
    voter = _named(desk, strategy)
    promoted(desk, voter, by or whoami(), override)
    with Journal.open(desk.journal_path, readonly=True) as rows:
        told = standings(rows, [voter], desk.source.synthetic)[voter.name]
    result = {"strategy": voter.name, "verdict": told.verdict, "by": by or whoami(),
              "override": told.override}  # fmt: skip
    say(as_json, result, [f"{voter.name} may trade on paper: {told}"])


def _asked(desk: Desk, name: str, grid: list[str] | None, world: World) -> tuple[Plan, Space]:
    from workbench.research.sweep import plan_of

    plan = plan_of(desk, world, None if name == "desk" else _named(desk, name))
    if name == "desk" and not grid:
        raise UsageError("the whole desk has no grid of its own; name one, --grid limits.stop=0.01")
    return plan, _values(grid or [])


def _listed(plan: Plan, space: Space) -> tuple[Set, ...]:
    from workbench.research.sweep import sets_of
    from workbench.research.validate import neighbourhood

    return sets_of(_without_ranges(space)) if space else neighbourhood(plan)


def _without_ranges(space: Space) -> Space:
    for name, values in space.items():
        if isinstance(values, tuple):
            raise UsageError(f"--grid {name} is a range; give its values one by one: {name}=8,12")
    return space


def _named(desk: Desk, name: str) -> Strategy:
    from workbench.research.sweep import alone

    return alone(desk, name).strategies[0]


def _values(grid: list[str]) -> dict[str, Any]:
    """Each parameter with a list of values, or with (low, high) where it is a range."""
    told: dict[str, Any] = {}
    for each in grid:
        name, equals, values = each.partition("=")
        if not equals or not name.strip() or not values.strip():
            raise UsageError(f"--grid {each!r} is none; write it as fast=8,12,16")
        if name.strip() in told:
            raise UsageError(f"--grid {name.strip()} is given twice; give all its values at once")
        low, dots, high = values.partition("..")
        given = [_value(value) for value in values.split(",")]
        told[name.strip()] = (_value(low), _value(high)) if dots else given
    return told


def _single(chosen: list[str] | None) -> dict[str, Any] | None:
    return {name: values[0] for name, values in _values(chosen).items()} if chosen else None


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return text.strip()


def _figure(value: float | None) -> str:
    return f"{'':>10}" if value is None else f"{value:>10.4g}"
