"""run, and schedule list, install and run-due: notebooks by hand and by the clock."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.shell import Json, desk_of, progress_bars, say
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.trading.schedule import Job

app = typer.Typer(help="Jobs of desk.toml, run by the clock (UTC).", no_args_is_help=True)
SCHEDULE = Path("var/schedule")


def run(
    notebook: Annotated[str, typer.Argument(help="A path, or the name of one in notebooks/.")],
    given: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", help="name=value; may be repeated.")
    ] = None,
    deadline: Annotated[float, typer.Option(help="Seconds for the whole run.")] = 900.0,
    runs: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("var/runs"),
    what: Annotated[bool, typer.Option("--list", help="Only say what it may be asked.")] = False,
    as_json: Json = False,
) -> None:
    """Run a notebook under a deadline; the result is kept whole, or with the cause of its end."""
    from workbench.runner import find_notebook, run_notebook

    desk_of(None)  # says so if it is HALTED
    path = find_notebook(notebook)
    if what:
        _say_parameters(path, as_json)
        return
    asked = _pairs(given or [])
    with progress_bars() as progress:
        done = run_notebook(
            path, runs, asked,
            deadline_s=deadline, now=lambda: datetime.now(UTC), progress=progress,
        )  # fmt: skip
    kept = done.folder / ("notebook.ipynb" if done.green else "run.json")
    result = done.to_dict() | {"folder": str(done.folder)}
    colour = "green" if done.green else "red"
    say(as_json, result, [f"{colour} after {done.seconds:.0f} s: {kept}"])
    if not done.green:
        print(f"workbench: {done.cause}", file=sys.stderr)
        raise typer.Exit(1)


def _pairs(given: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError("-p takes name=value, such as -p symbol=BTC/USDT")  # repeats nothing
        if name in pairs:
            raise UsageError(f"-p {name}=... is given twice; give it once")
        pairs[name] = value
    return pairs


def _say_parameters(path: Path, as_json: bool) -> None:
    from workbench.parameters import parameters_of

    declared = parameters_of(path)
    result = {"notebook": str(path), "parameters": [each._asdict() for each in declared]}
    left = [f"{p.name}: {p.kind or '?'}" for p in declared]
    middle = ["(must be given)" if p.default is None else f"= {p.default}" for p in declared]
    widths = max(map(len, left), default=0), max(map(len, middle), default=0)
    lines = [
        f"  {one:<{widths[0]}}  {two:<{widths[1]}}  {p.help}".rstrip()
        for one, two, p in zip(left, middle, declared, strict=True)
    ]
    say(as_json, result, [f"{path} takes {'these:' if lines else 'no parameters'}", *lines])


@app.command("list")
def schedule_list(context: typer.Context, as_json: Json = False) -> None:
    """Each job: its command, how it last went, when it is next."""
    from workbench.trading import timer

    now = datetime.now(UTC)
    jobs, installed = _jobs(context), timer.installed()
    rows = [_standing(job, now) for job in jobs]
    form = "{:<12}  {:<32}  {:<16}  {:<8}  {:<16}  {}"
    lines = [form.format("job", "command", "last", "", "next", "").rstrip()]
    for job, row in zip(jobs, rows, strict=True):
        when = (_minute(row["started"]), row["status"], _minute(row["next"]))
        lines.append(
            form.format(
                job.name, " ".join(job.command), *when, "due" if row["due"] else ""
            ).rstrip()
        )
        if row["cause"]:
            lines.append(f"  {job.name}: {row['cause']}")
    asks = f"{' and '.join(installed)} runs what is due" if installed else (
        "no timer is installed; `workbench schedule install` sets one up"
    )  # fmt: skip
    say(as_json, {"now": now, "jobs": rows, "installed": installed}, [*lines, f"{asks} (UTC)"])


@app.command("run-due")
def schedule_run_due(
    context: typer.Context,
    deadline: Annotated[float, typer.Option(min=1, help="Seconds for each job.")] = 3600.0,
    as_json: Json = False,
) -> None:
    """Run every job whose time has come, one after the other; a missed time is run once."""
    from workbench.trading.schedule import Held, run_due

    jobs = _jobs(context)
    try:
        outcomes = run_due(jobs, SCHEDULE, lambda: datetime.now(UTC), deadline)
    except Held:
        holder = (SCHEDULE / "lock").read_text(encoding="utf-8").strip() or "another process"
        result = {"ran": [], "held_by": holder}
        say(as_json, result, [f"nothing was run: {holder} is still at the jobs that were due"])
        return
    ran = [
        {"job": each.job.name, "green": each.green, "cause": each.cause}
        | ({"scheduled_for": each.state.scheduled_for} if each.state else {})
        for each in outcomes
    ]
    lines = [f"{each.job.name}: {'green' if each.green else 'RED'}" for each in outcomes]
    say(as_json, {"ran": ran, "held_by": None}, lines or ["nothing was due"])
    for each in outcomes:
        if not each.green:
            print(f"workbench: the job {each.job.name} is red: {each.cause}", file=sys.stderr)
    if not all(each.green for each in outcomes):
        raise typer.Exit(1)


@app.command("install")
def schedule_install(
    context: typer.Context,
    only_print: Annotated[bool, typer.Option("--print", help="Change nothing.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the timer out.")] = False,
    as_json: Json = False,
) -> None:
    """One timer (systemd's or cron's) that runs `schedule run-due` here every five minutes."""
    from workbench.trading import timer

    folder, python = Path.cwd(), sys.executable
    if only_print:
        units, line = timer.units(folder, python), timer.cron_line(folder, python)
        texts = [f"# {name}\n{text}" for name, text in units.items()]
        say(as_json, {"systemd": units, "cron": line}, [*texts, "# or, in the crontab", line])
    elif remove:
        taken = timer.remove()
        was = f"taken out of {' and '.join(taken)}" if taken else "there was no timer"
        say(as_json, {"removed": taken}, [was])
    else:
        _jobs(context)  # a schedule that cannot run is not worth a timer
        where = timer.install(folder, python)
        lines = [f"{where} now runs what is due in {folder}, every five minutes"]
        if where == timer.SYSTEMD:
            lines.append("while you are logged in; `loginctl enable-linger` keeps it going after")
        say(as_json, {"installed": where, "folder": str(folder)}, lines)


def _jobs(context: typer.Context) -> tuple[Job, ...]:
    from workbench.desk import load_schedule
    from workbench.trading.schedule import check_commands

    desk_of(None)  # says so if it is HALTED
    jobs = load_schedule()
    root: Any = context.find_root().command
    check_commands(jobs, root.commands)
    return jobs


def _standing(job: Job, now: datetime) -> dict[str, Any]:
    from workbench.errors import DataError
    from workbench.trading.schedule import due, next_time, read_state

    row = {
        "job": job.name, "command": list(job.command), "cron": job.cron, "status": "new",
        "scheduled_for": None, "started": None, "finished": None, "exit_code": None, "cause": None,
        "next": next_time(job, now), "due": False,
    }  # fmt: skip
    try:
        state = read_state(SCHEDULE, job)
    except DataError as damaged:
        return row | {"status": "red", "cause": str(damaged)}
    if state is None:
        return row
    known = {name: value for name, value in vars(state).items() if name in row and name != "cron"}
    return row | known | {"status": state.says, "due": due(job, state, now) is not None}


def _minute(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "-"
