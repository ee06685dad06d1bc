"""The command line: a thin shell over the package.

Every command takes --json. Exit code 0: done; 1: the answer is no, or the data is at fault; 2: used
wrongly. A user's mistake gets one sentence; --debug shows the traceback as well. The clock is read
here and nowhere deeper.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.errors import UsageError, WorkbenchError

if TYPE_CHECKING:
    from workbench.desk import Desk
    from workbench.research.history import History

app = typer.Typer(
    help="A trading desk in notebooks: data, strategies, a judge, risk and execution.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
)  # fmt: skip
data_app = typer.Typer(help="The data lake: import recorded files, see what is there.")
journal_app = typer.Typer(help="The append-only record of everything that happened.")
app.add_typer(data_app, name="data", no_args_is_help=True)
app.add_typer(journal_app, name="journal", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Config = Annotated[Path | None, typer.Option("--config", help="Another desk.toml.")]
Start = Annotated[str | None, typer.Option(help="First day, such as 2023-01-01.")]
End = Annotated[str | None, typer.Option(help="Last day, inclusive.")]
Venue = Annotated[str | None, typer.Option(help="Whose candles: sample, binance_spot, ...")]
JournalFile = Annotated[Path | None, typer.Option("--journal", help="Another journal file.")]

DEMO_DAYS = 30
TOUR = Path("notebooks/00_tour.ipynb")


@app.command()
def demo(as_json: Json = False, config: Config = None) -> None:
    """The sample world through all five layers: replay, journal, page; ends with its path."""
    from workbench.research.metrics import summary
    from workbench.views.report import execute, publish
    from workbench.views.tables import figures

    if not TOUR.is_file():
        raise UsageError(f"{TOUR} is not here; run this in the project's folder")
    desk = _desk(config, "sample")
    with _progress() as progress:
        history = _history(desk, None, None, progress)
        same, rows = _walked(desk, history, progress)
        progress(0, 1, "the tour notebook")
        folder = Path("reports/tour")
        executed = execute(TOUR, folder, {"venue": "sample"})
        page = publish(executed, folder, "The tour (SYNTHETIC)")
        progress(1, 1, "the tour notebook")
    text = figures(summary(history.replay))
    five = {
        n: text[n] for n in ("total return", "max drawdown", "trades", "win rate", "expectancy")
    }
    result = {
        "source": history.world.panel.source, "page": str(page.resolve()), "figures": five,
        "journal": str(desk.journal_path), "journal_rows": rows, "page_equals_replay": same,
    }  # fmt: skip
    _say(as_json, result, [
        f"{history.world.panel.source}: {len(history.replay.panel):,} bars of"
        f" {len(history.replay.panel.symbols)} assets",
        *(f"  {name:<14} {value}" for name, value in five.items()),
        f"  the last {DEMO_DAYS} days bar by bar: {'the same fills as' if same else 'NOT as'} the"
        f" replay; {rows} rows in {desk.journal_path}",
        f"open {page.resolve()}",
    ])  # fmt: skip
    if not same:
        raise typer.Exit(1)


def _walked(desk: Desk, history: History, progress: Progress) -> tuple[bool, int]:
    """The last month once more through the page, journalled; does it agree with the replay?"""
    from dataclasses import replace

    from workbench.desk import JournalLog
    from workbench.journal import Journal
    from workbench.research.history import run_history
    from workbench.research.walk import agrees, walk

    world = replace(history.world, start=len(history.world.panel) - DEMO_DAYS * 24)
    with Journal.open(desk.journal_path) as journal:
        walked = walk(replace(desk, journal=JournalLog(journal)), world, progress)
        rows = len(journal)
    return agrees(walked, run_history(desk, world).replay), rows


@app.command()
def replay(
    start: Start = None,
    end: End = None,
    venue: Venue = None,
    judge: Annotated[str | None, typer.Option(help="rubric, always, or an installed one.")] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Replay history through every layer and say what came of it, and why there was no trade."""
    from workbench.journal import Journal
    from workbench.research.history import why_no_trade
    from workbench.research.metrics import summary
    from workbench.views.tables import figures

    desk = _desk(config, venue, judge)
    with _progress() as progress:
        history = _history(desk, start, end, progress)
    values, why = summary(history.replay), why_no_trade(history.signals)
    tied = "; ".join(" ".join(each) for each in history.replay.clusters if len(each) > 1)
    result = {
        "source": history.world.panel.source,
        "symbols": list(history.replay.panel.symbols),
        "judge": sorted(set(history.judged["source"])),
        "figures": values.to_dict(),
        "blocks": history.replay.blocks.to_dict(),
        "clusters": history.replay.clusters,
        "fates": {" ".join(k): int(v) for k, v in zip(why.index, why["total"], strict=True)},
        "limits": desk.limits._asdict(),
        "costs": desk.costs._asdict(),
    }
    with Journal.open(desk.journal_path) as journal:
        row = journal.append("replay", result, datetime.now(UTC))
    _say(as_json, result | {"journal_row": row.seq}, [
        f"{history.world.panel.source}; judged by {', '.join(result['judge']) or 'nobody'}",
        *(f"  {name:<15} {value}" for name, value in figures(values).items()),
        "", "What became of every signal:", _frame(why),
        "", f"correlated above {desk.limits.max_correlation:g} at the end: {tied or 'none'}",
        "", f"kept as row {row.seq} of {desk.journal_path}",
    ])  # fmt: skip


@app.command()
def doctor(as_json: Json = False, config: Config = None) -> None:
    """Is this machine, this folder and this configuration fit to run the desk?"""
    from workbench.doctor import examine

    findings = examine(lambda: _desk(config, None))
    result = {"fit": all(f.fine for f in findings), "findings": [f._asdict() for f in findings]}
    _say(as_json, result, [f"{'ok  ' if f.fine else 'FAIL'} {f.what}: {f.says}" for f in findings])
    if not result["fit"]:
        raise typer.Exit(1)


@data_app.command("import")
def data_import(
    directory: Annotated[Path, typer.Argument(help="A folder of recorded files (ohlcv/, news/..)")],
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Check recorded files and store them; a bad file is refused by name, the others go in."""
    from workbench.data.lake import Lake
    from workbench.data.recorded import import_recorded

    desk = _desk(config, None)
    with _progress() as progress:
        report = import_recorded(directory, Lake(desk.source.lake), datetime.now(UTC), progress)
    dropped = {i.file: i.dropped for i in report.imported if i.dropped}
    result = {
        "lake": str(desk.source.lake), "files": len(report.imported), "rows": report.rows,
        "written": report.written, "dropped": dropped,
        "skipped": dict(report.skipped), "refused": dict(report.refused),
    }  # fmt: skip
    _say(as_json, result, [
        f"{len(report.imported)} files, {report.rows:,} rows, {report.written:,} written to"
        f" {desk.source.lake}",
        *(f"  dropped in {name}: {what}" for name, what in dropped.items()),
        *(f"  skipped {name}: {why}" for name, why in report.skipped),
        *(f"  REFUSED {name}: {why}" for name, why in report.refused),
    ])  # fmt: skip
    if report.refused:
        raise typer.Exit(1)


@data_app.command("status")
def data_status(as_json: Json = False, config: Config = None) -> None:
    """Every series in the lake: rows, first, last, gaps, duplicates."""
    from workbench.data.lake import Lake

    desk = _desk(config, None)
    series = Lake(desk.source.lake).status()
    lines = [f"{'series':<52} {'rows':>8}  {'first':<16}  {'last':<16} {'gaps':>5} {'twice':>5}"]
    lines += [
        f"{' '.join(s[:4]):<52} {s.rows:>8,}  {s.first:%Y-%m-%d %H:%M}  {s.last:%Y-%m-%d %H:%M}"
        f" {'-' if s.gaps is None else s.gaps:>5} {s.duplicates:>5}"
        for s in series
    ]
    if not series:
        lines = [f"the lake {desk.source.lake} is empty; fill it with `workbench data import DIR`"]
    result = {"lake": str(desk.source.lake), "series": [s._asdict() for s in series]}
    _say(as_json, result, lines)


@journal_app.command("verify")
def journal_verify(
    journal: JournalFile = None, as_json: Json = False, config: Config = None
) -> None:
    """Prove that no row was edited or taken out since it was written."""
    from workbench.journal import Journal

    path = journal or _desk(config, None).journal_path
    with Journal.open(path, readonly=True) as opened, _progress() as progress:
        head = opened.verify(lambda done, total: progress(done, total, "verifying"))
    result = {"journal": str(path), "rows": head.seq, "head": head.hash, "intact": True}
    _say(as_json, result, [f"{path}: {head.seq:,} rows, intact; head {head.hash}"])


@journal_app.command("tail")
def journal_tail(
    n: Annotated[int, typer.Option("-n", min=1, help="How many rows.")] = 10,
    kind: Annotated[str | None, typer.Option(help="Only rows of this kind.")] = None,
    journal: JournalFile = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """The last rows."""
    from workbench.journal import Journal

    path = journal or _desk(config, None).journal_path
    with Journal.open(path, readonly=True) as opened:
        rows = opened.tail(n, kind)
    result = {
        "journal": str(path),
        "rows": [{"seq": r.seq, "at": r.at, "kind": r.kind, "body": r.body} for r in rows],
    }
    _say(as_json, result, [f"{r.seq:>8}  {r.at:<25}  {r.kind:<10} {_short(r.body)}" for r in rows])


# --- the shell's own ---------------------------------------------------------------------------

Progress = Callable[[int, int, str], None]


def _desk(config: Path | None, venue: str | None, judge: str | None = None) -> Desk:
    from dataclasses import replace

    from workbench.desk import load_desk, load_judge

    desk = load_desk(config)
    if judge is not None:
        desk = replace(desk, judge=load_judge(judge))
    if venue is not None:
        desk = replace(desk, source=replace(desk.source, venue=venue))
    return desk


def _history(desk: Desk, start: str | None, end: str | None, progress: Progress) -> History:
    from workbench.research.history import run_history

    return run_history(desk, desk.world(start, end, progress), progress)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar a label on a terminal; silence where nobody watches. Always on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Bars(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bars:
        task, named = bars.add_task(""), [""]

        def tell(done: int, total: int, label: str) -> None:
            nonlocal task
            if label != named[0] and done <= 1:
                task, named[0] = bars.add_task(label), label
            bars.update(task, completed=done, total=total, description=label[-28:])

        bars.update(task, visible=False)
        yield tell


def _say(as_json: bool, result: Mapping[str, Any], lines: list[str]) -> None:
    print(json.dumps(_plain(result), default=str) if as_json else "\n".join(lines))


def _plain(value: Any) -> Any:
    """JSON has no NaN: what is not a number becomes null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _frame(frame: Any) -> str:
    return "\n".join("  " + line for line in frame.to_string().splitlines())


def _short(body: Mapping[str, Any]) -> str:
    text = json.dumps(body)
    return text if len(text) <= 90 else text[:87] + "..."


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
