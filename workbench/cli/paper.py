"""paper, status, pause, resume, halt, rearm: a desk that runs, and what people order of it."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.shell import (
    Config,
    JournalFile,
    Json,
    desk_of,
    journal_of,
    progress_bars,
    say,
    whoami,
)
from workbench.errors import DataError

if TYPE_CHECKING:
    from workbench.desk import Desk
    from workbench.trading.engine import Outcome

PATIENCE_S = 60.0  # a desk waits longer for a locked journal than a person would
By = Annotated[str, typer.Option("--by", help="Who orders it; by default who you are here.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the record.")]


def paper(
    replay: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--replay", help="First and last day of recorded bars; else the sample world."
        ),
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.0, help="Bars a second; 0 is as fast as it goes.")
    ] = 0.0,
    another: Annotated[
        bool, typer.Option("--another", help="Begin another run in a journal that holds one.")
    ] = False,
    journal: JournalFile = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Trade on paper, bar by bar into the journal; killed or stopped, it goes on where it was."""
    from workbench.journal import Journal
    from workbench.trading.control import State
    from workbench.trading.engine import disabled

    desk = desk_of(
        config, None if replay else "sample", journal=journal, calibrated=True, judge_mode=""
    )
    outcome, head = run_paper(desk, replay, speed, another)
    with Journal.open(desk.journal_path, readonly=True) as opened:
        out = disabled(opened)
    result = {
        "journal": str(desk.journal_path), "mode": outcome.mode, "bars": outcome.bars,
        "done": outcome.done, "total": outcome.total, "finished": outcome.finished,
        "bars_per_s": outcome.bars_per_s, "equity": outcome.book.equity,
        "state": outcome.control.state.value, "head": head, "disabled": out,
    }  # fmt: skip
    went = (
        f"{outcome.bars:,} bars at {outcome.bars_per_s:,.0f} bars/s" if outcome.bars else "no bar"
    )
    say(as_json, result, [
        f"{outcome.mode}: {went}; {outcome.done:,} of {outcome.total:,} done"
        f" ({'the run is complete' if outcome.finished else 'the same command goes on from here'})",
        f"  equity {outcome.book.equity:,.2f}, journal {desk.journal_path}, head {head}",
        *(f"  left out: {name}, {why}" for name, why in out.items()),
        *([] if outcome.control.state is State.RUNNING else [f"  the desk is {outcome.control}"]),
    ])  # fmt: skip


def run_paper(
    desk: Desk, period: tuple[str | None, str | None] | None, speed: float, another: bool
) -> tuple[Outcome, str]:
    """Load the world and run the desk over it in this process, until the end or a signal."""
    from workbench.journal import Journal
    from workbench.trading.engine import Clock, paper

    asked: list[int] = []
    clock = Clock(lambda: datetime.now(UTC), time.monotonic, time.sleep)
    with (
        _asked_by_signal(asked),
        progress_bars() as progress,
        Journal.open(desk.journal_path, timeout_s=PATIENCE_S) as journal,
    ):
        world = desk.world(*(period or (None, None)), progress)
        desk = replace(desk, source=desk.source.resolved())
        outcome = paper(
            desk, world, journal, clock=clock, holder=_me(), bars_per_s=speed, another=another,
            stopped=lambda: bool(asked), progress=progress,
        )  # fmt: skip
        return outcome, journal.head().hash


@contextmanager
def _asked_by_signal(asked: list[int]) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask for an end after the bar, as long as the block lasts."""
    before = {
        number: signal.signal(number, lambda n, _: asked.append(n))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _me() -> str:
    return f"{whoami()} (process {os.getpid()} on {socket.gethostname()})"


def status(journal: JournalFile = None, as_json: Json = False, config: Config = None) -> None:
    """Is the desk running, in which state, how far, and what does it hold?"""
    from workbench.journal import Journal
    from workbench.trading.engine import disabled
    from workbench.trading.record import read_last
    from workbench.trading.status import standing_of

    path = journal_of(config, journal)
    with Journal.open(path, readonly=True) as opened:
        stands = standing_of(opened, datetime.now(UTC))
        record = read_last(opened) if stands.run else None
        out = disabled(opened)
    result: dict[str, Any] = {"journal": str(path), **asdict(stands), "disabled": out}
    lines = [str(stands), *(f"  left out: {name}, {why}" for name, why in out.items())]
    if record is not None:
        held = record.positions()
        result |= {"equity": record.equity_now, "positions": held.to_dict("index")}
        lines += [
            f"  equity {record.equity_now:,.2f}, {len(held)} positions, as of {record.as_of}",
            *(f"    {line}" for line in held.round(6).to_string().splitlines() if len(held)),
        ]
    say(as_json, result, lines)


def pause(
    by: By = "", why: Why = "", journal: JournalFile = None, as_json: Json = False,
    config: Config = None,
) -> None:  # fmt: skip
    """Open nothing new until `resume`; stops and targets go on."""
    _order("pause", by or whoami(), why, journal, as_json, config)


def resume(
    by: By = "", why: Why = "", journal: JournalFile = None, as_json: Json = False,
    config: Config = None,
) -> None:  # fmt: skip
    """Go on after a pause."""
    _order("resume", by or whoami(), why, journal, as_json, config)


def rearm(
    by: Annotated[str, typer.Option("--by", help="Your name: it goes on record.")],
    why: Why = "",
    journal: JournalFile = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Let a HALTED desk trade again."""
    _order("rearm", by, why, journal, as_json, config)


def halt(
    by: By = "",
    why: Why = "",
    flatten: Annotated[
        bool, typer.Option("--flatten/--keep", help="Close what is held, or keep it to its stops.")
    ] = True,
    journal: JournalFile = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """KILL SWITCH: cancel entries, close positions, stay HALTED over restarts until `rearm`."""
    from workbench.journal import Journal
    from workbench.trading.control import halt, halt_file, read_control

    path = journal_of(config, journal)
    try:
        halt(path, by or whoami(), why, flatten, datetime.now(UTC))
    except DataError as said:
        file = halt_file(path)
        if not file.exists():
            raise DataError(f"NOT halted, end the desk's process itself: {said}") from said
        raise DataError(
            f"{file} is written and halts the desk, but the order is not in the journal: {said}"
        ) from said
    with Journal.open(path, readonly=True) as opened:
        control = read_control(opened)
    say(as_json, {"journal": str(path), **asdict(control)}, [f"{path}: {control}"])


def _order(
    do: str, by: str, why: str, journal: Path | None, as_json: bool, config: Path | None
) -> None:
    from workbench.trading.control import order

    path = journal_of(config, journal)
    control = order(path, do, by, why, datetime.now(UTC))
    say(as_json, {"journal": str(path), **asdict(control)}, [f"{path}: {control}"])
