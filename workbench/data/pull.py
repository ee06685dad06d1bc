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
from workbench.data.lake import DEFAULT_KEY, INSTANT, KEYS, Lake
from workbench.data.news import fresh
from workbench.errors import DataError, KeyMissing, KeyRefused, QuotaExhausted, WorkbenchError
from workbench.ports import Progress
from workbench.redact import redacted

MOST_ROWS_HELD = 200_000
NEWS_DAYS = 60  # a publisher may date a story anew
SIDE_BY_SIDE = 8
LONGEST_FAULT = 300
WAKE_S = 0.5  # polars' own handler of Ctrl-C leaves a thread asleep that waits without end
# Held by who writes what several feeds write: a story that two bring at once is one story, and
# what two venues say of one symbol is one series of events.
_SHARED = threading.Lock()


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


def keep(
    lake: Lake, name: SeriesName, rows: pl.DataFrame, versions: bool = False,
    told_to: datetime | None = None,
) -> int:  # fmt: skip
    """Store rows as their kind wants it: a story once, a bar as first told, a changed value as a
    version, a row that was not there before `told_to` when it was asked for as known from now.

    `versions`: the rows are versions already. Returns how many are new or changed.
    """
    if name.kind == "news":
        with _SHARED:
            return lake.upsert(*name, fresh(rows, _stories(lake, rows)))
    if versions:
        return lake.upsert(*name, rows)
    stored = _stored(lake, name, rows)
    told = as_versions(stored, rows, identity(name))
    if told_to is not None:
        told = _late(stored, told, identity(name), told_to)
    if name.kind == "ohlcv":
        told = _as_first_told(lake, name, stored, told)
    return lake.upsert(*name, told)


def _late(
    stored: pl.DataFrame, rows: pl.DataFrame, about: Sequence[str], told_to: datetime
) -> pl.DataFrame:
    """Rows that are new before `told_to` were asked for in vain: nobody could know them by then."""
    known = stored.select(*about, known=pl.lit(value=True)).unique()
    late = pl.col("known").is_null() & (pl.col("event_time") < told_to)
    seen = pl.max_horizontal("available_at", "fetched_at")
    return (
        rows.join(known, on=list(about), how="left", nulls_equal=True, maintain_order="left")
        .with_columns(available_at=pl.when(late).then(seen).otherwise("available_at"))
        .drop("known")
    )


def _as_first_told(
    lake: Lake, name: SeriesName, stored: pl.DataFrame, rows: pl.DataFrame
) -> pl.DataFrame:
    """Bars that are new. A bar was traded as it was first told: one that is told otherwise later is
    kept as an event beside it."""
    told = stored.select("event_time", was="close")
    again = rows.join(told, on="event_time", how="inner", maintain_order="left")
    if not again.is_empty():
        changed = again.select(
            "event_time", "available_at", "fetched_at", bar=pl.lit(name.timeframe),
            what=pl.lit("revised"), one=pl.lit(name.venue), other=pl.lit(name.venue),
            close="was", other_close="close",
            gap_bps=(pl.col("close") / pl.col("was") - 1) * 1e4,
        )  # fmt: skip
        with _SHARED:
            lake.upsert("events", "revision", name.symbol, "event", changed)
    return rows.join(told, on="event_time", how="anti", maintain_order="left")


def _stories(lake: Lake, rows: pl.DataFrame) -> pl.DataFrame:
    """What all news feeds brought in the days before."""
    since = rows["event_time"].min()
    assert isinstance(since, datetime)
    since -= timedelta(days=NEWS_DAYS)
    told = [lake.read(*name, start=since) for name in lake.series() if name.kind == "news"]
    return pl.concat(told, how="diagonal_relaxed") if told else rows.clear()


def _stored(lake: Lake, name: SeriesName, rows: pl.DataFrame) -> pl.DataFrame:
    first, last = rows["event_time"].min(), rows["event_time"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return lake.read(*name, start=first, end=last) if name in lake.series() else rows.clear()


def identity(name: SeriesName) -> list[str]:
    """The columns that say what a row is about, whatever version of it."""
    return [column for column in KEYS.get(name.kind, DEFAULT_KEY) if column != "available_at"]


def as_versions(stored: pl.DataFrame, rows: pl.DataFrame, about: Sequence[str]) -> pl.DataFrame:
    """What `rows` say that is not stored: new rows as they are; a changed value as a new version
    that nobody could know before it was fetched.

    `about` are the columns that say what a row is about. A column that `stored` does not have is
    new to us and no revision: it keeps the feed's stamp.
    """
    apart = {"event_time", "available_at", "fetched_at", *about}
    shared = [each for each in rows.columns if each not in apart and each in stored.columns]
    if stored.is_empty() or not shared:
        return rows
    latest = stored.sort("available_at").unique(list(about), keep="last")
    beside = rows.join(
        latest.select(*about, pl.lit(value=True).alias("known"),
                      *(pl.col(c).alias(f"was {c}") for c in shared)),
        on=list(about), how="left", nulls_equal=True, maintain_order="left",
    )  # fmt: skip
    known = pl.col("known").fill_null(value=False)
    same = pl.all_horizontal(pl.col(c).eq_missing(pl.col(f"was {c}")) for c in shared)
    added = [column for column in rows.columns if column not in apart and column not in shared]
    more = pl.any_horizontal(pl.lit(value=False), *(pl.col(c).is_not_null() for c in added))
    seen = pl.max_horizontal("available_at", "fetched_at")
    return (
        beside.filter(~known | ~same | more)
        .with_columns(available_at=pl.when(known & ~same).then(seen).otherwise("available_at"))
        .select(rows.columns)
    )
