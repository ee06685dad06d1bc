"""`data pull`: from feeds into the lake, so that a cut pull goes on where it was.

The lake is the only state. A range is noted as covered after its rows are stored, month by month;
whatever is not covered is asked for, and asking twice changes nothing. So a pull that was killed
anywhere and started again ends with the same files as one that was not. Feeds run side by side, a
thread each; what one cannot tell does not keep the others from it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol, runtime_checkable

import polars as pl

from workbench.data.coverage import missing
from workbench.data.feeds.contract import check_page
from workbench.data.feeds.feed import Feed, Line, SeriesName
from workbench.data.lake import DEFAULT_KEY, INSTANT, KEYS, Lake
from workbench.data.news import fresh
from workbench.errors import KeyMissing, KeyRefused, QuotaExhausted, WorkbenchError
from workbench.ports import Progress
from workbench.redact import redacted

MOST_ROWS_HELD = 200_000
NEWS_DAYS = 60  # a publisher may date a story anew
SIDE_BY_SIDE = 8


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

    `keys` are the environment's variables: a feed whose key is not there is skipped. Of two feeds
    that tell the same series, the one that knows its revisions does, else the first.
    """
    steps: list[Step] = []
    skipped: list[tuple[str, str]] = []
    claimed: dict[SeriesName, str] = {}
    for feed in sorted(feeds, key=lambda feed: not feed.about.versions):
        about = feed.about
        if about.key and not keys.get(about.key):
            skipped.append((about.name, f"{about.key} is not set"))
            continue
        wanted = [name for name in feed.series() if only(name)]
        mine = [name for name in wanted if claimed.setdefault(name, about.name) == about.name]
        for name in mine:
            steps += _steps(lake, feed, name, start, now)
        if wanted and not mine:
            skipped.append((about.name, f"{claimed[wanted[0]]} tells the same"))
    return Plan(tuple(steps), tuple(skipped))


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
    news = threading.Lock()  # a story that two feeds bring at once is one story

    def take(steps: list[Step]) -> list[Pulled]:
        line = line_of(steps[0].feed)
        done: list[Pulled] = []
        for step in steps:
            done.append(_pulled(lake, step, line, progress, stopped, news))
            if stopped.is_set() or isinstance(done[-1].fault, _Final):
                break
        return done

    groups = planned.by_feed().values()
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="pull") as pool:
        running = [pool.submit(take, steps) for steps in groups]
        try:
            return [each for future in running for each in future.result()]
        except BaseException:
            stopped.set()
            raise


class _Final(str):
    """A fault after which a feed's other series need not be tried."""


def _pulled(
    lake: Lake, step: Step, line: Line, progress: Progress, stopped: threading.Event,
    news: threading.Lock,
) -> Pulled:  # fmt: skip
    before = line.asked
    store = _Store(lake, step, line, news)
    try:
        for page in step.feed.fetch(step.name, step.start, step.end, line):
            check_page(step.feed, page, store.reached, step.start, step.end, line.now())
            store.take(page.rows, page.through)
            hours, of = (_hours(at - step.start) for at in (page.through, step.end))
            progress(min(hours, of), of, str(step.name))
            if stopped.is_set():
                break
        fault = ""
    except (KeyMissing, KeyRefused, QuotaExhausted) as final:
        fault = _Final(final)
    except WorkbenchError as wrong:
        fault = str(wrong)
    except Exception as bug:  # noqa: BLE001  one feed's bug must not keep the others from theirs
        said = f"{step.feed.about.name}: {type(bug).__name__}: {bug}"
        fault = redacted(said, [line.secret] if line.secret else [])
    store.flush()
    return Pulled(step, store.written, line.asked - before, fault)


def _hours(span: timedelta) -> int:
    return max(round(span.total_seconds() / 3600), 1)


class _Store:
    """What has been read of a step and is not stored yet."""

    def __init__(self, lake: Lake, step: Step, line: Line, news: threading.Lock) -> None:
        self.lake, self.step, self.line, self.news = lake, step, line, news
        self.held: list[pl.DataFrame] = []
        self.reached = self.stored = step.start
        self.written = 0

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
            if name.kind == "news":
                with self.news:
                    self.written += self.lake.upsert(*name, fresh(rows, self._stories(rows)))
            else:
                if not about.versions:
                    stored = _stored(self.lake, name, rows)
                    rows = as_versions(stored, rows, identity(name))
                    if name.kind == "ohlcv":
                        rows = self._as_first_told(stored, rows)
                self.written += self.lake.upsert(*name, rows)
            self.held = []
        settled = min(self.reached, self.step.settled)
        if about.history and settled > self.stored:
            self.lake.cover(name, self.step.start, settled)
            self.stored = settled

    def _as_first_told(self, stored: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        """Bars that are new. A bar was traded as it was first told: one that is told otherwise
        later is kept as an event beside it."""
        told = stored.select("event_time", was="close")
        again = rows.join(told, on="event_time", how="inner", maintain_order="left")
        if not again.is_empty():
            name = self.step.name
            changed = again.select(
                "event_time", "available_at", "fetched_at", bar=pl.lit(name.timeframe),
                what=pl.lit("revised"), one=pl.lit(name.venue), other=pl.lit(name.venue),
                close="was", other_close="close",
                gap_bps=(pl.col("close") / pl.col("was") - 1) * 1e4,
            )  # fmt: skip
            self.lake.upsert("events", "revision", name.symbol, "event", changed)
        return rows.join(told, on="event_time", how="anti", maintain_order="left")

    def _stories(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What all news feeds brought in the days before."""
        since = rows["event_time"].min()
        assert isinstance(since, datetime)
        since -= timedelta(days=NEWS_DAYS)
        told = [
            self.lake.read(*name, start=since) for name in self.lake.series() if name.kind == "news"
        ]
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

    `about` are the columns that say what a row is about. A column that `stored` does not have, or
    has no value of, is new to us and no revision: it keeps the feed's stamp.
    """
    apart = {"event_time", "available_at", "fetched_at", *about}
    shared = [
        column
        for column in rows.columns
        if column not in apart
        and column in stored.columns
        and stored[column].null_count() < stored.height
    ]
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
