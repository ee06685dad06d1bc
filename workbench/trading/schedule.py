"""Jobs by the clock: which are due, and running them one after the other.

A timer of the machine asks every few minutes (`timer.py`); between two asks nothing of ours runs. A
time that was missed is made up for once, however often it was missed. A job that is new, or whose
cron was changed, waits for its next time. A red job is tried again at its next time and not before.

    var/schedule/<job>.json    when it last ran, and how that ended: written before and after
    var/schedule/<job>.out .err    what it printed then
    var/schedule/lock          held while due jobs run; the system frees it with its process
"""

from __future__ import annotations

import difflib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from cronsim import CronSim, CronSimError

from workbench.errors import DataError, UsageError
from workbench.files import write_whole
from workbench.journal_json import to_json
from workbench.redact import redacted, secrets_in
from workbench.trading.lease import Held, lease

__all__ = [
    "DEADLINE_S", "Held", "Job", "Outcome", "State", "check_commands", "due", "next_time",
    "read_state", "run_due", "seen",
]  # fmt: skip

DEADLINE_S = 3600.0
WORKBENCH = (sys.executable, "-m", "workbench")
_GRACE_S = 10.0  # between asking a job to end and ending it
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_TIMES = ("first_seen", "scheduled_for", "started", "finished")


@dataclass(frozen=True)
class Job:
    """A workbench command and when to run it: five cron fields, in UTC."""

    name: str
    cron: str
    command: tuple[str, ...]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"schedule: a job is called {self.name!r}; use letters, digits, _ and -"
            )
        if not self.command or not all(self.command):
            raise UsageError(
                f'schedule.{self.name} has no command; write command = ["run", "NOTEBOOK"]'
            )
        if problem := _problem(self.cron):
            raise UsageError(
                f"schedule.{self.name}: cron is {self.cron!r} ({problem}); write minute, hour, day,"
                ' month and weekday, as in "10 0 * * 1" for Monday 00:10 UTC'
            )


def _problem(cron: str) -> str | None:
    if len(cron.split()) != 5:  # the library takes a sixth, for seconds
        return "not five fields"
    try:
        next(CronSim(cron, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as wrong:
        return str(wrong).lower()
    except StopIteration:
        return "names no time"
    return None


@dataclass(frozen=True)
class State:
    """What is known of a job. Times are UTC; without `finished` it is running."""

    cron: str
    first_seen: datetime
    scheduled_for: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    exit_code: int | None = None
    cause: str | None = None

    @property
    def says(self) -> str:
        """new, running, green or red."""
        if self.started is None:
            return "new"
        if self.finished is None:
            return "running"
        return "green" if self.exit_code == 0 else "red"


class Outcome(NamedTuple):
    """What came of one due job; without `state` its state could not be read and it did not run."""

    job: Job
    state: State | None
    cause: str | None

    @property
    def green(self) -> bool:
        return self.state is not None and self.state.says == "green"


# --- pure --------------------------------------------------------------------------------------


def next_time(job: Job, now: datetime) -> datetime:
    """The first scheduled time after `now`."""
    return next(CronSim(job.cron, now.astimezone(UTC)))


def due(job: Job, state: State | None, now: datetime) -> datetime | None:
    """The scheduled time to run for, or None: the last one up to `now`, if it was not run for.

    A job that was never seen, or was seen with another cron, is not due.
    """
    if state is None or state.cron != job.cron:
        return None
    # one second more, because the search begins before the time that it is given
    floor = now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
    last = next(CronSim(job.cron, floor, reverse=True))
    return last if last > max(state.first_seen, state.scheduled_for or state.first_seen) else None


def seen(job: Job, state: State | None, now: datetime) -> State:
    """The state with `now` as the first sight of a job that is new or has another cron."""
    if state is None:
        return State(job.cron, now)
    return state if state.cron == job.cron else replace(state, cron=job.cron, first_seen=now)


def check_commands(jobs: Sequence[Job], commands: Collection[str]) -> None:
    """Raise UsageError for the first job that is no command, naming the nearest one."""
    for job in jobs:
        if job.command[0] not in commands:
            close = difflib.get_close_matches(job.command[0], list(commands), 1, 0.0)[0]
            raise UsageError(
                f"schedule.{job.name}: {job.command[0]!r} is not a workbench command; the nearest"
                f" is {close}"
            )


# --- disk and processes ------------------------------------------------------------------------


def read_state(folder: Path, job: Job) -> State | None:
    """None for a job that was never seen. Raises DataError naming a file that cannot be read."""
    path = folder / f"{job.name}.json"
    try:
        plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        times: dict[str, Any] = {
            k: datetime.fromisoformat(plain[k]) if plain[k] else None for k in _TIMES
        }
        return State(**plain | times)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged; delete it, and the job starts afresh") from None


def _keep(folder: Path, job: Job, state: State) -> State:
    write_whole(folder / f"{job.name}.json", to_json(asdict(state)) + "\n")
    return state


def run_due(
    jobs: Sequence[Job],
    folder: Path,
    now: Callable[[], datetime],
    deadline_s: float = DEADLINE_S,
    program: Sequence[str] = WORKBENCH,
) -> list[Outcome]:
    """Run every due job, each in a process of its own with `deadline_s` seconds to end.

    `now` gives times in UTC. Raises Held, with nothing run, while another process does the same.
    """
    holder = f"process {os.getpid()} since {now():%Y-%m-%d %H:%M} UTC"
    with lease(folder / "lock", holder):
        outcomes = [_run_if_due(job, folder, now, deadline_s, program) for job in jobs]
    return [outcome for outcome in outcomes if outcome]


def _run_if_due(
    job: Job, folder: Path, now: Callable[[], datetime], deadline_s: float, program: Sequence[str]
) -> Outcome | None:
    try:
        known = read_state(folder, job)
    except DataError as damaged:
        return Outcome(job, None, str(damaged))
    state = seen(job, known, now())
    if state.says == "running":  # it is not: the lock is ours
        state = replace(state, finished=now(), cause="was cut off before it ended")
    time = due(job, state, now())
    if time is None:
        if state != known:
            _keep(folder, job, state)
        return None
    state = State(job.cron, state.first_seen, time, now())
    _keep(folder, job, state)
    code, cause = _run(job, folder, deadline_s, program)
    state = _keep(folder, job, replace(state, finished=now(), exit_code=code, cause=cause))
    return Outcome(job, state, cause)


def _run(
    job: Job, folder: Path, deadline_s: float, program: Sequence[str]
) -> tuple[int, str | None]:
    """Exit code and, unless it is 0, the cause: the last line of standard error."""
    out, err = folder / f"{job.name}.out", folder / f"{job.name}.err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 - the user's own words, and no shell
            [*program, *job.command],
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True,
        )  # fmt: skip
        try:
            code, late = process.wait(deadline_s), False
        except BaseException as stopped:
            _end(process)
            if not isinstance(stopped, subprocess.TimeoutExpired):
                raise
            code, late = 1, True
    if late:
        return code, f"was not done after {deadline_s:g} s and was ended"
    lines = err.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    cause = lines[-1] if lines else f"ended with exit code {code} and no word"
    return code, redacted(cause, secrets_in(os.environ)) if code else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the job and all that is in its group to end, and end it if it does not."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
