"""judge: put a history's cases on tape, and see what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.replay import End, Start, Venue
from workbench.cli.shell import Config, Json, Progress, desk_of, progress_bars, say
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.domain import Case
    from workbench.judges.model_judge import ModelJudge
    from workbench.judges.options import ModelOptions

app = typer.Typer(
    help="The model that judges: record it, and see what it cost.", no_args_is_help=True
)
Named = Annotated[str | None, typer.Option("--judge", help="claude, or one of [judges.NAME].")]


@app.command()
def record(
    judge: Named = None,
    start: Start = None,
    end: End = None,
    venue: Venue = None,
    estimate: Annotated[bool, typer.Option(help="Only say what it would cost.")] = False,
    batch: Annotated[bool, typer.Option(help="Half the price, within a day.")] = False,
    refresh: Annotated[bool, typer.Option(help="Ask again what is on the tape.")] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Put every entry that history wants to the model, and keep what it says on the tape.

    A replay then asks nobody. What the model has answered is not asked again, what failed is: a run
    that was broken off, or whose day's budget was spent, goes on where it ended. With --batch the
    questions are sent; give the command again to collect the answers. Exit code 1 if all failed.
    """
    from workbench.domain import Decision
    from workbench.tuning.recording import estimate as estimated
    from workbench.tuning.recording import history_cases

    if batch and refresh:
        raise UsageError("--refresh asks one by one; leave --batch out")
    name, _ = model_options(config, judge)
    asking = opened(config, name, "refresh" if refresh else "retry")
    desk = desk_of(config, venue, calibrated=True)
    assert asking.live is not None
    with asking.live, progress_bars() as progress:
        bars = history_cases(desk, desk.world(start, end, progress), progress)
        found = estimated(asking, bars)
        told: dict[str, Any] = {"judge": asking.terms.label, **vars(found)}
        lines = [
            f"{asking.terms.label}: {found.cases:,} cases, {found.questions:,} questions that the"
            " tape does not have",
            f"at most {found.most_usd:.2f} USD one by one, {found.most_usd_batch:.2f} as a batch;"
            " commonly a third of it",
        ]
        if not estimate:
            done = _batch(asking, bars) if batch else _one_by_one(asking, bars, progress)
            told |= done
            lines += [f"{what}: {count}" for what, count in done.items()]
    say(as_json, told, lines)
    if told.get("asked") and not any(decision.value in told for decision in Decision):
        raise typer.Exit(1)


def _one_by_one(
    asking: ModelJudge, bars: list[list[Case]], progress: Progress
) -> dict[str, Any]:  # fmt: skip
    """Bar by bar, in the order of time."""
    from collections import Counter

    codes: Counter[str] = Counter()
    for k, bar in enumerate(bars):
        for verdict in asking(bar):
            codes[verdict.code or verdict.decision.value] += 1
        progress(k + 1, len(bars), "asking the model")
    return {
        "asked": asking.asked,
        "cost USD": asking.cost_nano_usd / 1e9,
        **dict(sorted(codes.items())),
    }


def _batch(asking: ModelJudge, bars: list[list[Case]]) -> dict[str, Any]:
    """Collect what is done, then send what is neither on the tape nor on its way."""
    from workbench.judges.batch import collect, submit
    from workbench.tuning.recording import unasked

    live, tape = asking.live, asking.tape
    assert live is not None
    purse, now = live.purse, live.now
    told: dict[str, Any] = {}
    tape.use(asking.terms.prompt, now())
    for batch in tape.open_batches:
        found = collect(live, tape, purse, batch, now())
        told[f"batch {batch}"] = "not done yet" if found is None else (
            f"{found.answered:,} of {found.replies:,} answered, {found.cost_nano_usd / 1e9:.6f} USD"
        )  # fmt: skip
    under_way = {key for sent in tape.open_batches.values() for key in sent.asked}
    left = [q for q in unasked(asking, bars) if q.request.key not in under_way]
    if left:
        told["sent"] = ", ".join(submit(live, tape, purse, left, now()))
    return told


@app.command()
def calibrate(
    judge: Named = None,
    start: Start = None,
    end: End = None,
    venue: Venue = None,
    out: Annotated[Path, typer.Option(help="Where the curves are kept.")] = Path("var/judges.json"),
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Turn the confidences on the tape into probabilities, by what came of every case.

    Name the file in [judges.NAME] calibration, and sizes follow it from 120 outcomes on. Only cases
    that the model cannot remember teach anything.
    """
    from dataclasses import replace

    from workbench.calibration import LEAST
    from workbench.desk import load_judge
    from workbench.research.history import run_history
    from workbench.tuning.calibrate import judge_curves, write_curves
    from workbench.tuning.scorecard import resolved

    name, _ = model_options(config, judge)
    desk = replace(
        desk_of(config, venue, calibrated=True), judge=load_judge(name, config, mode="replay")
    )
    with progress_bars() as progress:
        run = run_history(desk, desk.world(start, end, progress), progress)
    panel = run.world.panel
    cases = resolved(run.judged, panel, desk.limits, desk.costs, desk.capital, desk.reduce)
    curves = judge_curves(cases, panel.timeframe, desk.limits, desk.costs)
    write_curves(out, curves)
    told = {key: found.curves[-1].n for key, found in curves.items()}
    say(as_json, {"source": panel.source, "out": str(out), "outcomes": told}, [
        f"{panel.source}: {len(cases):,} cases, {int((cases['code'] != '').sum()):,} not judged",
        *(f"{key}: {n:,} outcomes{'' if n >= LEAST else f', sizes nothing below {LEAST}'}"
          for key, n in told.items()),
        f"kept in {out}" if told else "no case teaches anything: none is judged, clean and ended",
    ])  # fmt: skip


@app.command()
def budget(judge: Named = None, as_json: Json = False, config: Config = None) -> None:
    """What the model has cost today, and what is held for calls under way."""
    from workbench.desk import judge_place
    from workbench.judges.budget import Budget

    _, options = model_options(config, judge)
    place = judge_place(config)
    file = place.folder / options.budget
    if not file.exists():
        say(as_json, {"spent_usd": 0.0}, [f"nothing was ever spent: there is no ledger at {file}"])
        return
    spent = Budget.open(file, options.usd_per_day, options.usd_per_run, "", place.now).spent()
    told = {"day": spent.day, "spent_usd": spent.day_nano_usd / 1e9,
            "held_usd": spent.held_nano_usd / 1e9, "usd_per_day": options.usd_per_day}  # fmt: skip
    say(as_json, told, [
        f"{told['spent_usd']:.6f} of {options.usd_per_day:.2f} USD spent on {spent.day} (UTC), of"
        f" which {told['held_usd']:.6f} are held for calls that have not ended",
    ])  # fmt: skip


def model_options(config: Path | None, judge: str | None) -> tuple[str, ModelOptions]:
    """The options of a judge, by default the desk's. Raises UsageError if it is no model."""
    from workbench.desk import load_judge_options
    from workbench.settings import judge_name

    name = judge or judge_name(config)
    options = load_judge_options(name, config)
    if not hasattr(options, "wanting"):
        raise UsageError(f"the judge {name} asks no model; name one with --judge, such as claude")
    return name, options


def opened(config: Path | None, name: str, mode: str) -> ModelJudge:
    """A judge that may ask. Raises UsageError if it has no key."""
    from workbench.desk import load_judge
    from workbench.judges.model_judge import ModelJudge

    judge = load_judge(name, config, mode=mode)
    if not isinstance(judge, ModelJudge):
        raise UsageError(f"{name} cannot be asked: {getattr(judge, '__name__', judge)}")
    return judge
