"""What every command shares: options, the desk it works on, progress, and how it answers."""

from __future__ import annotations

import getpass
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from workbench.desk import Desk
    from workbench.research.history import History

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Config = Annotated[Path | None, typer.Option("--config", help="Another desk.toml.")]
JournalFile = Annotated[Path | None, typer.Option("--journal", help="Another journal file.")]
Progress = Callable[[int, int, str], None]


def whoami() -> str:
    """The name of whoever gives the command."""
    try:
        return getpass.getuser()
    except OSError:  # a user without an entry, as in some containers
        return f"user {os.getuid()}"


def desk_of(
    config: Path | None,
    venue: str | None = None,
    judge: str | None = None,
    journal: Path | None = None,
    *,
    calibrated: bool = False,
    judge_mode: str = "replay",
) -> Desk:
    """The desk that a command works on; `calibrated` for those that trade; `judge_mode` "" for
    those who may ask a model if desk.toml says so. If it is HALTED, every command says so.
    """
    from dataclasses import replace

    from workbench.desk import load_desk, load_judge

    named = {} if judge is None else {"judge": load_judge(judge, config, mode=judge_mode)}
    desk = load_desk(config, venue=venue, calibrated=calibrated, judge_mode=judge_mode, **named)
    if journal is not None:
        desk = replace(desk, journal_path=journal)
    _say_if_halted(desk.journal_path)
    return desk


def journal_of(config: Path | None, journal: Path | None) -> Path:
    """The journal that a command reads, or orders through. Nothing else of the desk is loaded: what
    is wrong with a strategy must not keep anybody from halting it."""
    from workbench.settings import journal_path

    path = journal if journal is not None else journal_path(config)
    _say_if_halted(path)
    return path


def _say_if_halted(journal: Path) -> None:
    if Path(f"{journal.resolve()}.HALT").exists():  # looked at before anything heavy is loaded
        from workbench.trading.control import Control, by_file, halt_file

        told = by_file(Control(), halt_file(journal))
        print(f"workbench: the desk of {journal} is {told}", file=sys.stderr)


def history_of(desk: Desk, start: str | None, end: str | None, progress: Progress) -> History:

    from workbench.research.history import run_history

    return run_history(desk, desk.world(start, end, progress), progress)


@contextmanager
def progress_bars() -> Iterator[Progress]:
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


@contextmanager
def bars_by_name() -> Iterator[Progress]:
    """A bar for every label, side by side, from any thread; silence where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:<44}"), BarColumn(), TaskProgressColumn())
    console = Console(stderr=True)
    with Bars(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(done: int, total: int, label: str) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label[-44:], total=total)
            bars.update(tasks[label], completed=done, total=total)

        yield tell


def say(as_json: bool, result: Mapping[str, Any], lines: list[str]) -> None:
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


def frame(frame: Any) -> str:
    return "\n".join("  " + line for line in frame.to_string().splitlines())


def short(body: Mapping[str, Any]) -> str:
    text = json.dumps(body)
    return text if len(text) <= 90 else text[:87] + "..."
