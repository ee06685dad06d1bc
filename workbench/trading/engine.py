"""A desk that runs: bar by bar through `cycle` into the journal, under control, restartable.

The journal is the only state. A run begins with a `run` row that says what it is; each bar is one
`cycle` row with the book in it. A process that starts finds the last of them and goes on after it,
so a killed run and an undisturbed one end with the same rows. Commands are read between bars, and
while waiting for one. Rows of a replay carry the bars' clock; nothing here reads the machine's.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.cycle import cycle
from workbench.domain import Book, Case, DataError, UsageError, Verdict
from workbench.files import beside
from workbench.journal import Entry, Journal, JournalLog, book_from
from workbench.journal_json import to_json, to_plain
from workbench.ports import Judge, Progress
from workbench.research.promotion import refuse_rejected
from workbench.strategies.ballot import Ballot, cast
from workbench.strategies.vote import Strategy
from workbench.trading.control import KIND, Control, State, halting, obey, read_control
from workbench.trading.lease import Heartbeat, beat, lease

if TYPE_CHECKING:
    from workbench.data.snapshot import World
    from workbench.desk import Desk

DISABLED = "disabled"  # the kind of row that names a strategy which broke a promise
CONTROL_S = 0.2  # how often the orders are looked up
BEAT_S = 0.5


@dataclass(frozen=True)
class Clock:
    """The machine's time: `now` in UTC, `ticks` in seconds that never run backwards."""

    now: Callable[[], datetime]
    ticks: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one process did of a run. `finished`: the run has no bar left."""

    mode: str
    done: int
    total: int
    bars: int
    bars_per_s: float
    finished: bool
    control: Control
    book: Book


def heartbeat_file(journal: Path) -> Path:
    """Where the desk of this journal says that it lives."""
    return beside(journal, ".heartbeat")


def run_row(desk: Desk, world: World) -> dict[str, Any]:
    """What makes a run this run and no other; `desk.source` must be resolved."""
    panel = world.panel
    return to_plain(
        {
            "mode": "SYNTHETIC" if panel.synthetic else "REPLAY",
            "source": panel.source,
            "venue": desk.source.venue,
            "symbols": list(panel.symbols),
            "timeframe": desk.source.timeframe,
            "timeframe_s": panel.timeframe.total_seconds(),
            "first_open": panel.index[world.start],
            "last_open": panel.index[-1],
            "bars_sha256": _bars_hash(world),
            "capital": float(desk.capital),
            "strategies": [
                {
                    "name": s.name,
                    "category": s.category,
                    "parameters": dict(s.parameters),
                    "calibration": _curves_hash(s),
                    "calibrated": s.calibration is not None and s.calibration.last is not None,
                }
                for s in desk.strategies
            ],
            "judge": getattr(desk.judge, "__name__", type(desk.judge).__name__),
            "reduce": desk.reduce,
            "quorum": desk.quorum,
            "limits": desk.limits._asdict(),
            "costs": desk.costs._asdict(),
        }
    )


def _curves_hash(strategy: Strategy) -> str:
    """sha256 of what its confidences are calibrated by, "" without a calibration."""
    if strategy.calibration is None:
        return ""
    return hashlib.sha256(to_json(strategy.calibration).encode()).hexdigest()


def _bars_hash(world: World) -> str:
    """sha256 of every price and volume that the run trades on, to the bit."""
    panel, digest = world.panel, hashlib.sha256()
    for frame in (panel.open, panel.high, panel.low, panel.close, panel.volume):
        digest.update(np.ascontiguousarray(frame.to_numpy()[world.start :]).tobytes())
    return digest.hexdigest()


def paper(
    desk: Desk,
    world: World,
    journal: Journal,
    *,
    clock: Clock,
    holder: str,
    bars_per_s: float = 0.0,
    another: bool = False,
    stopped: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> Outcome:
    """Run `desk` over `world` into `journal`, from where the journal's last run stands.

    `bars_per_s` 0 means as fast as it goes; `another` begins a new run; `stopped` is asked after
    every bar and while waiting for one. Raises Held if somebody runs this journal already,
    UsageError if its last run is another one or a strategy of a new one was rejected, DataError if
    the data is no longer that run's.
    """
    with lease(beside(journal.path, ".lease"), holder):
        row = run_row(desk, world)
        book, first = begin(journal, row, desk, world, another)
        voted = ballots(journal, desk, world)
        pulse = _Pulse(
            journal, clock, holder, row["mode"], first - world.start, len(world.panel) - world.start
        )
        judge = pulse.unless_stopped(desk.judge)
        running = replace(desk, strategies=voted, journal=JournalLog(journal), judge=judge)
        began, t = clock.ticks(), first
        with pulse.to_the_end():
            for t in range(first, len(world.panel)):
                due = began + (t - first) / bars_per_s if bars_per_s > 0.0 else began
                control = pulse.wait(due, stopped)
                if stopped():
                    break
                book = cycle(obey(book, control), world.snapshot(t, desk.bars), running)
                pulse.bar(str(world.panel.close_times[t]), t + 1 - world.start)
                if progress is not None:
                    progress(t + 1 - world.start, pulse.total, f"paper, {row['mode']}")
            else:
                t = len(world.panel)
        took = max(clock.ticks() - began, 1e-9)
        return Outcome(
            row["mode"], t - world.start, pulse.total, t - first, (t - first) / took,
            t == len(world.panel), pulse.control, book,
        )  # fmt: skip


def begin(
    journal: Journal, row: Mapping[str, Any], desk: Desk, world: World, another: bool
) -> tuple[Book, int]:
    """The book and the first bar still to be done; a new run is written down first, unless one of
    its strategies was rejected."""
    last = last_run(journal)
    if last is None or another:
        refuse_rejected(journal, desk.strategies, world.panel.synthetic)
        journal.append("run", row, world.panel.index[world.start].to_pydatetime())
        return desk.book(world), world.start
    if last.body != row and {**last.body, "bars_sha256": row["bars_sha256"]} == row:
        raise DataError(
            f"{journal.path} was traded on other bars than the data has now: it changed since;"
            " bring it back, or begin another run with --another"
        )
    if last.body != row:
        raise UsageError(
            f"{journal.path} holds another run: {_difference(last.body, row)}; name a"
            " new one with --journal, or begin another run in this one with --another"
        )
    done = [entry for entry in journal.tail(1, "cycle") if entry.seq > last.seq]
    if not done:
        return desk.book(world), world.start
    as_of = done[0].body.get("as_of", "")
    at = world.panel.close_times.get_indexer([as_of])  # type: ignore[list-item]
    if at[0] < world.start:
        raise DataError(f"{journal.path} stands at {as_of}, which is no bar of this run's data")
    return book_from(done[0].body), int(at[0]) + 1


def ballots(journal: Journal, desk: Desk, world: World) -> list[Ballot]:
    """Everybody's votes on the run's bars. Who breaks a promise is out for the whole run, restarts
    included: a row names it and what it broke, and the others go on.

    Raises DataError if nobody is left.
    """
    out = disabled(journal)
    left = [strategy for strategy in desk.strategies if strategy.name not in out]
    voters, votes, broken = cast(left, world.panel)
    at = world.panel.index[world.start].to_pydatetime()
    rows = [{"strategy": name, "error": error} for name, error in broken.items()]
    journal.append_many((DISABLED, row, at) for row in rows)
    return [Ballot.counted(voter, world.panel, votes[voter.name]) for voter in voters]


def disabled(journal: Journal) -> dict[str, str]:
    """The strategies that are out of the journal's last run, and what each broke."""
    last = last_run(journal)
    rows = journal.rows(DISABLED, after=last.seq) if last is not None else ()
    return {row.body["strategy"]: row.body["error"] for row in rows}


def last_run(journal: Journal) -> Entry | None:
    """The row that began the journal's last run."""
    found = journal.tail(1, "run")
    return found[0] if found else None


def _difference(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    names = [name for name in {**wanted, **held} if held.get(name) != wanted.get(name)]
    told = [_told_apart(name, held.get(name), wanted.get(name)) for name in names[:2]]
    return ", ".join(told)


def _told_apart(name: str, held: Any, wanted: Any) -> str:
    if isinstance(held, list) and isinstance(wanted, list) and len(held) == len(wanted):
        held, wanted = next((a, b) for a, b in zip(held, wanted, strict=True) if a != b)
    return f"{name} is {held!r}, not {wanted!r}"


class _Pulse:
    """Between bars: beats, and looks for orders. Owns no state that the journal does not have."""

    def __init__(
        self, journal: Journal, clock: Clock, holder: str, mode: str, done: int, total: int
    ) -> None:
        self.journal, self.clock, self.total = journal, clock, total
        self.control = read_control(journal)
        self._file = journal.path.stat()
        self._looked = self._beaten = -math.inf
        self._began, self._from = clock.ticks(), done
        self._beat = Heartbeat(clock.now(), holder, mode, self.control.state, "", done, total)

    def wait(self, due: float, stopped: Callable[[], bool]) -> Control:
        """Until the bar is due or it is `stopped`; the orders as they stand then."""
        self._look()
        while (left := due - self.clock.ticks()) > 0.0 and not stopped():
            self.clock.sleep(min(left, CONTROL_S / 2))
            self._look()
        return self.control

    def unless_stopped(self, judge: Judge) -> Judge:
        """The judge; what it says after the desk was told to stop lets nothing in any more."""

        def heard(cases: Sequence[Case]) -> list[Verdict]:
            before, said = self.control.state, judge(cases)
            if cases:
                self._look()
            stopped = before is State.RUNNING and self.control.state is not before
            return [] if stopped else list(said)

        return heard

    def bar(self, closed: str, done: int) -> None:
        """A bar is done."""
        took = max(self.clock.ticks() - self._began, 1e-9)
        speed = (done - self._from) / took
        self._beat = replace(self._beat, bar=closed, done=done, bars_per_s=round(speed, 1))

    def _look(self) -> None:
        now = self.clock.ticks()
        if now - self._looked >= CONTROL_S:
            self._looked, before = now, self.control
            self._still_there()
            self.control = read_control(self.journal, before)
            if self.control.by_file and before.by_file:  # whoever halts writes the file first
                self._put_on_record()
            if self.control.state is not before.state:
                self._beaten = -math.inf
        if now - self._beaten >= BEAT_S:
            self._beaten = now
            self._tell()

    def _still_there(self) -> None:
        """SQLite would go on writing to a file that has lost its name, and nobody could read it."""
        path = self.journal.path
        if not path.exists() or not path.stat().st_ino == self._file.st_ino:
            raise DataError(
                f"{path} was moved, deleted or replaced while the desk ran; bring it back, then"
                " start the desk again"
            )

    def _tell(self, ended: str = "") -> None:
        self._beat = replace(self._beat, at=self.clock.now(), state=self.control.state, ended=ended)
        beat(heartbeat_file(self.journal.path), self._beat)

    def _put_on_record(self) -> None:
        """A HALT file that no row speaks of becomes an order like any other."""
        self.journal.append(KIND, halting(self.control), self.clock.now())
        self.control = read_control(self.journal, self.control)

    @contextlib.contextmanager
    def to_the_end(self) -> Any:
        """Whatever happens inside, the last heartbeat says how it ended."""
        try:
            yield
        except BaseException as fault:
            with contextlib.suppress(DataError):  # a full disk; the fault itself is raised
                self._tell(f"failed: {str(fault) or type(fault).__name__}")
            raise
        self._tell("finished" if self._beat.done == self.total else "stopped")
