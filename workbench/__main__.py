"""The command line: a thin shell over the package.

Every command takes --json. Exit code 0: done; 1: the answer is no, or the data is at fault; 2: used
wrongly. A user's mistake gets one sentence; --debug shows the traceback as well. The clock is read
in the commands and nowhere deeper.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import (
    calibrate,
    crosscheck,
    demo,
    judge,
    lake,
    notebooks,
    panel,
    paper,
    publish,
    record,
    replay,
    research,
)
from workbench.cli.shell import Config, Json, desk_of, say
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.doctor import Finding

app = typer.Typer(
    help="A trading desk in notebooks: data, strategies, a judge, risk and execution.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
)  # fmt: skip
app.command()(demo.demo)
app.command()(replay.replay)
app.command()(calibrate.calibrate)
app.command()(research.sweep)
app.command()(research.validate)
app.command()(research.promote)
app.command()(crosscheck.crosscheck)
app.command()(paper.paper)
app.command()(paper.status)
app.command()(paper.pause)
app.command()(paper.resume)
app.command()(paper.halt)
app.command()(paper.rearm)
app.command()(panel.panel)
app.command()(publish.publish)
app.command()(notebooks.run)
app.add_typer(lake.app, name="data")
app.add_typer(record.app, name="journal")
app.add_typer(judge.app, name="judge")
app.add_typer(notebooks.app, name="schedule")


@app.command()
def doctor(
    ask: Annotated[bool, typer.Option("--judge", help="Ask the model one real question.")] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Is this machine, this folder and this configuration fit to run the desk?

    With --judge the desk's model (or Claude, if the desk's judge is no model) is asked about one
    made-up case, for some hundredths of a cent: its model, latency and cost are told.
    """
    from workbench.doctor import examine

    findings = examine(lambda: desk_of(config, None, calibrated=True, judge_mode=""))
    if ask:
        findings.append(_asked(config))
    result = {"fit": all(f.fine for f in findings), "findings": [f._asdict() for f in findings]}
    say(as_json, result, [f"{'ok  ' if f.fine else 'FAIL'} {f.what}: {f.says}" for f in findings])
    if not result["fit"]:
        raise typer.Exit(1)


def _asked(config: Path | None) -> Finding:
    from workbench.desk import judge_place, load_judge_options
    from workbench.doctor import examine_judge
    from workbench.settings import judge_name

    name = judge_name(config)
    options = load_judge_options(name, config)
    if not hasattr(options, "wanting"):
        name, options = "claude", load_judge_options("claude", config)
    return examine_judge(options, judge_place(config), name)


def main() -> None:
    """Run the command line and exit with its code."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]

    try:
        app(arguments, prog_name="workbench")
    except WorkbenchError as said:
        if debug:
            raise
        if "--json" in arguments:
            print(json.dumps({"error": str(said)}))
        print(f"workbench: {said}", file=sys.stderr)
        sys.exit(said.exit_code)


if __name__ == "__main__":
    main()
