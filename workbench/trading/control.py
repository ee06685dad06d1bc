"""What people order of a running desk: pause, resume, halt, re-arm; and what it makes of a book.

Orders are rows in the journal, so who ordered what and why stays on record, and the state is a fold
over them: it survives every restart. A halt also leaves a file beside the journal, which stops the
desk even if the journal cannot be written, or if somebody only has a shell: `touch` will do. Only a
named re-arm takes a halt away. Nothing here waits for a judge or a strategy.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from workbench import arrays as a
from workbench.domain import Book
from workbench.errors import DataError, UsageError
from workbench.files import beside, write_whole
from workbench.journal import Entry, Journal
from workbench.journal_json import to_json

KIND = "command"
KILL_WORD = "HALT"


class State(StrEnum):
    """RUNNING trades; PAUSED opens nothing new; HALTED opens nothing until a named re-arm."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    HALTED = "HALTED"


@dataclass(frozen=True)
class Control:
    """The state that was ordered last: since when, by whom, and why.

    `flatten`: close what is held at the next open. `seq` is the last order read. `by_file`: a HALT
    file stands there that no row in the journal speaks of.
    """

    state: State = State.RUNNING
    at: str = ""
    by: str = ""
    why: str = ""
    flatten: bool = False
    seq: int = 0
    by_file: bool = False

    def __str__(self) -> str:
        if self.state is State.RUNNING:
            return "RUNNING"
        said = f" ({self.why})" if self.why else ""
        back = (
            "re-arm with `workbench rearm --by NAME`"
            if self.state is State.HALTED
            else "go on with `workbench resume`"
        )
        return f"{self.state} since {self.at} by {self.by}{said}; {back}"


def halt_file(journal: Path) -> Path:
    """The file that halts the desk of this journal, whatever is in it."""
    return beside(journal, ".HALT")


def read_control(journal: Journal, known: Control | None = None) -> Control:
    """The state by the journal's orders after those in `known`, and by the HALT file."""
    if known is None or known.by_file:
        known = Control()  # a file is no order; what was ordered before it is read again
    control = fold(known, journal.rows(KIND, after=known.seq))
    return by_file(control, halt_file(journal.path))


def fold(control: Control, orders: Iterable[Entry]) -> Control:
    """The state after these orders. While HALTED only a re-arm counts; an order that is not known
    halts, because somebody wanted something."""
    for order in orders:
        do, said = order.body.get("do"), order.body
        told = {"at": order.at, "by": str(said.get("by", "")), "why": str(said.get("why", ""))}
        control = replace(control, seq=order.seq)
        if do == "rearm":
            control = replace(control, state=State.RUNNING, flatten=False, **told)
        elif control.state is State.HALTED and do != "halt":
            continue
        elif do == "resume":
            control = replace(control, state=State.RUNNING, **told)
        elif do == "pause":
            control = replace(control, state=State.PAUSED, **told)
        else:
            flatten = control.flatten or said.get("flatten") is True
            control = replace(control, state=State.HALTED, flatten=flatten, **told)
    return control


def by_file(control: Control, file: Path) -> Control:
    """HALTED as well if the file is there: by what is written in it, or by itself."""
    if control.state is State.HALTED or not file.exists():
        return control
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        told = {name: str(said[name]) for name in ("at", "by", "why")}
        flatten = said["flatten"] is True
    except (OSError, ValueError, TypeError, KeyError):
        told, flatten = {"at": "an unknown time", "by": f"the file {file}", "why": ""}, False
    return replace(control, state=State.HALTED, flatten=flatten, by_file=True, **told)


def halt(journal: Path, by: str, why: str, flatten: bool, at: datetime) -> None:
    """Halt: the file first, for it needs no database, then the order in the journal.

    Raises DataError if the journal cannot be written; the file halts the desk all the same, if it
    is there.
    """
    body = {"do": "halt", "by": by, "why": why, "flatten": flatten}
    with contextlib.suppress(DataError):  # the row alone halts as well, and without it this raises
        write_whole(halt_file(journal), to_json(body | {"at": at.isoformat()}), sync=True)
    with Journal.open(journal) as opened:
        opened.append(KIND, body, at)


def order(journal: Path, do: str, by: str, why: str, at: datetime) -> Control:
    """Write `pause`, `resume` or `rearm`; the state after it.

    A re-arm takes away the HALT file that it found; one that was written meanwhile stands. Raises
    UsageError if there is no such journal, if nothing is to be resumed or re-armed, or for anything
    but a re-arm of a HALTED desk.
    """
    file = halt_file(journal)
    found = _stamp(file)
    with Journal.open(journal, readonly=True) as opened:
        control = read_control(opened)
    if do == "rearm":
        if control.state is not State.HALTED:
            raise UsageError(f"the desk is {control.state}, not HALTED; there is nothing to re-arm")
        if not by.strip():
            raise UsageError("a re-arm needs a name: `workbench rearm --by NAME`")
    elif control.state is State.HALTED:
        raise UsageError(f"the desk is {control}")
    elif do == "resume" and control.state is State.RUNNING:
        raise UsageError("the desk is RUNNING; there is nothing to resume")
    with Journal.open(journal) as opened:
        rows: list[tuple[str, object, datetime]] = [(KIND, {"do": do, "by": by, "why": why}, at)]
        if control.by_file:  # what is re-armed goes on record first
            rows.insert(0, (KIND, halting(control), at))
        opened.append_many(rows)
        if do == "rearm" and _stamp(file) == found:
            _take_away(file)  # after the row: a crash between stays halted
        return read_control(opened)


def halting(control: Control) -> Mapping[str, object]:
    """The order that a HALT file stands for."""
    return {"do": "halt", "by": control.by, "why": control.why, "flatten": control.flatten}


def _stamp(file: Path) -> tuple[int, int] | None:
    """Which file stands there, so that another one in its place is told from it."""
    try:
        told = file.stat()
    except FileNotFoundError:
        return None
    return told.st_ino, told.st_mtime_ns


def _take_away(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"{file} cannot be removed ({error.strerror}); the desk stays HALTED while it is there"
        ) from error


def obey(book: Book, control: Control) -> Book:
    """The book as the desk may go on with it: unless RUNNING, no entry is pending and none will be
    accepted; to flatten, an exit is asked for everything held. Stops and targets go on."""
    book = book.copy()
    book.account[a.HALTED] = float(control.state is not State.RUNNING)
    if control.state is not State.RUNNING:
        book.positions[:, a.PENDING] = 0.0
        if control.flatten:
            held = book.positions[:, a.SIDE] != 0.0
            book.positions[held, a.EXIT_ASKED] = 1.0
    return book
