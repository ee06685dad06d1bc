"""`data pull`: from feeds into the lake, so that a cut pull goes on where it was.

The lake is the only state. A range is noted as covered after its rows are stored, month by month;
whatever is not covered is asked for, and asking twice changes nothing. So a pull that was killed
anywhere and started again ends with the same files as one that was not. Feeds run side by side, a
thread each; what one cannot tell does not keep the others from it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple, Protocol, runtime_checkable

import polars as pl

from workbench.data.coverage import missing
from workbench.data.feeds.answer import one_line
from workbench.data.feeds.contract import check_page
from workbench.data.feeds.feed import Feed, Line, SeriesName
from workbench.data.lake import INSTANT, Lake
from workbench.data.versions import keep
from workbench.errors import DataError, KeyMissing, KeyRefused, QuotaExhausted, WorkbenchError
from workbench.ports import Progress
from workbench.redact import redacted

MOST_ROWS_HELD = 200_000
SIDE_BY_SIDE = 8
LONGEST_FAULT = 300
WAKE_S = 0.5  # polars' own handler of Ctrl-C leaves a thread asleep that waits without end


@runtime_checkable
class KeepsLatest(Protocol):
    """A feed that tells only so far back."""

    def earliest(self, name: SeriesName, now: datetime) -> datetime | None: ...


class Step(NamedTuple):
    """One range of one series, and about how many requests it takes; what is younger than
    `settled` will be asked for again."""

    feed: Feed
    name: SeriesName
    start: datetime
    end: datetime
    settled: datetime
    requests: int


@dataclass(frozen=True)
class Plan:
    """What a pull will ask. `skipped` says which feeds it leaves out, and why."""

    steps: tuple[Step, ...]
    skipped: tuple[tuple[str, str], ...]

    def by_feed(self) -> dict[str, list[Step]]:
        feeds: dict[str, list[Step]] = {}
        for step in self.steps:
            feeds.setdefault(step.feed.about.name, []).append(step)
        return feeds

    @property
    def seconds(self) -> float:
        """How long the slowest feed takes at its published pace."""
        return max(map(pace_s, self.by_feed().values()), default=0.0)


class Pulled(NamedTuple):
    """What became of one step: rows new or changed, requests made, and what went wrong."""

    step: Step
    written: int
    asked: int
    fault: str = ""


def pace_s(steps: Sequence[Step]) -> float:
    """Seconds that the steps of one feed take at its pace; the first request waits for nobody."""
    return (sum(step.requests for step in steps) - 1) * steps[0].feed.about.pace.spacing_s


def plan(
    lake: Lake,
    feeds: Iterable[Feed],
    start: datetime,
    now: datetime,
    keys: Mapping[str, str],
    only: Callable[[SeriesName], bool] = lambda _: True,
) -> Plan:
    """What is missing between `start` and `now`; of a feed without history, its latest.

    `keys` are the environment's variables: a feed whose key is not there is skipped, and so is one
    whose series another tells.
    """
    steps: list[Step] = []
    skipped: list[tuple[str, str]] = []
    there: list[Feed] = []
    for feed in feeds:
        key = feed.about.key
        if key and not keys.get(key):
            skipped.append((feed.about.name, f"{key} is not set"))
        else:
            there.append(feed)
    told_by = tellers(there)
    for feed in there:
        wanted = [name for name in feed.series() if only(name)]
        mine = [name for name in wanted if told_by[name] is feed]
        for name in mine:
            steps += _steps(lake, feed, name, start, now)
        if wanted and not mine:
            skipped.append((feed.about.name, f"{told_by[wanted[0]].about.name} tells the same"))
    return Plan(tuple(steps), tuple(skipped))


def tellers(feeds: Iterable[Feed]) -> dict[SeriesName, Feed]:
    """Who tells each series: of two feeds the one that knows its revisions, else the first."""
    told_by: dict[SeriesName, Feed] = {}
    for feed in sorted(feeds, key=lambda feed: not feed.about.versions):
        for name in feed.series():
            told_by.setdefault(name, feed)
    return told_by


def _steps(lake: Lake, feed: Feed, name: SeriesName, start: datetime, now: datetime) -> list[Step]:
    if not feed.about.history:
        spans = [(max(start, now - timedelta(days=1)), now)]
    else:
        told_from = feed.earliest(name, now) if isinstance(feed, KeepsLatest) else None
        first = start if told_from is None else max(start, told_from)
        spans = missing(lake.covered(name), first, now)
    settled = now - feed.about.overlap
    return [Step(feed, name, *span, settled, feed.requests(name, *span)) for span in spans]


def pull(
    lake: Lake,
    planned: Plan,
    line_of: Callable[[Feed], Line],
    progress: Progress,
    stopped: threading.Event | None = None,
) -> list[Pulled]:
    """Carry out a plan; each step's fate is told, in the plan's order.

    `line_of` opens a feed's line. `stopped`, once set, ends it between two pages with all that was
    read stored. A full disk raises DataError: nothing more can be kept.
    """
    stopped = stopped or threading.Event()

    def take(steps: list[Step]) -> list[Pulled]:
        line = line_of(steps[0].feed)
        done: list[Pulled] = []
        for step in steps:
            if stopped.is_set() or (done and isinstance(done[-1].fault, _Final)):
                break
            done.append(_pulled(lake, step, line, progress, stopped))
        return done

    groups = planned.by_feed().values()
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="pull") as pool:
        running = [pool.submit(take, steps) for steps in groups]
        try:
            pending = set(running)
            while pending:
                done, pending = wait(pending, WAKE_S, FIRST_EXCEPTION)
                for future in done:
                    future.result()
            return [each for future in running for each in future.result()]
        except BaseException:
            stopped.set()
            raise


class _Final(str):
    """A fault after which a feed's other series need not be tried."""


def _pulled(
    lake: Lake, step: Step, line: Line, progress: Progress, stopped: threading.Event
) -> Pulled:
    before, fault = line.asked, ""
    store = _Store(lake, step, line)
    try:
        for page in step.feed.fetch(step.name, step.start, step.end, line):
            check_page(step.feed, page, store.reached, step.start, step.end, line.now())
            store.take(page.rows, page.through)
            hours, of = (_hours(at - step.start) for at in (page.through, step.end))
            progress(min(hours, of), of, str(step.name))
            if stopped.is_set():
                break
    except (KeyMissing, KeyRefused, QuotaExhausted) as final:
        fault = _Final(final)
    except Exception as wrong:  # noqa: BLE001  one feed's bug must not keep the others from theirs
        fault = said_of(wrong, line)
    try:
        store.flush()
    except Exception as wrong:
        if isinstance(wrong, DataError) and wrong.__cause__:  # the disk's: nobody could store
            raise
        fault = fault or said_of(wrong, line)
    return Pulled(step, store.written, line.asked - before, fault)


def said_of(wrong: Exception, line: Line) -> str:
    """A fault in one sentence: ours is one already, a bug is named with its feed."""
    if isinstance(wrong, WorkbenchError):
        return str(wrong)
    said = f"{line.feed}: {type(wrong).__name__}: {wrong}"
    return one_line(redacted(said, [line.secret] if line.secret else []))[:LONGEST_FAULT]


def _hours(span: timedelta) -> int:
    return max(round(span.total_seconds() / 3600), 1)


class _Store:
    """What has been read of a step and is not stored yet."""

    def __init__(self, lake: Lake, step: Step, line: Line) -> None:
        self.lake, self.step, self.line = lake, step, line
        self.held: list[pl.DataFrame] = []
        self.reached = self.stored = step.start
        self.written = 0

    @cached_property
    def told_to(self) -> datetime | None:
        """The newest row of a range that is asked again because it had not settled."""
        step, lake = self.step, self.lake
        again = step.end > step.settled and step.start in [
            end for _, end in lake.covered(step.name)
        ]
        if not again or step.name not in lake.series():
            return None
        newest = lake.read(*step.name, start=step.start, columns=["event_time"])["event_time"].max()
        assert newest is None or isinstance(newest, datetime)
        return newest

    def take(self, rows: pl.DataFrame, through: datetime) -> None:
        fetched = pl.lit(self.line.now()).cast(INSTANT).alias("fetched_at")
        if not rows.is_empty():
            self.held.append(rows.with_columns(fetched))
        self.reached = through
        # a month is written whole: then a month costs one write and not one a page
        month = f"{through:%Y-%m}" != f"{self.stored:%Y-%m}"
        if month or sum(each.height for each in self.held) > MOST_ROWS_HELD:
            self.flush()

    def flush(self) -> None:
        """Store what is held; only then is its range covered."""
        name, about = self.step.name, self.step.feed.about
        if self.held:
            rows = pl.concat(self.held, how="diagonal_relaxed")
            self.written += keep(self.lake, name, rows, about.versions, self.told_to)
            self.held = []
        settled = min(self.reached, self.step.settled)
        if about.history and settled > self.stored:
            self.lake.cover(name, self.step.start, settled)
            self.stored = settled
