"""run, and schedule list, install and run-due: notebooks by hand and by the clock."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.shell import Json, progress_bars, say
from workbench.errors import UsageError


def run(
    notebook: Annotated[str, typer.Argument(help="A path, or the name of one in notebooks/.")],
    given: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", help="name=value; may be repeated.")
    ] = None,
    deadline: Annotated[float, typer.Option(help="Seconds for the whole run.")] = 900.0,
    runs: Annotated[Path, typer.Option(help="Where runs are kept.")] = Path("var/runs"),
    what: Annotated[
        bool, typer.Option("--list", "--parameters", help="Only say what it may be asked.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a notebook under a deadline; the result is kept whole, or with the cause of its end."""
    from workbench.runner import find_notebook, run_notebook

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
