"""The Parquet lake: one folder a series, one file a month, every row with three clocks.

    root/kind=ohlcv/venue=binance_spot/symbol=BTC-USDT/timeframe=1h/2023-01.parquet

A row has `event_time` (what its stamp means), `available_at` (the first moment we could know it)
and `fetched_at` (when we got it), all UTC in microseconds, and its values. The lake stores and
lists rows; it does not judge values (`checks`), join them (`join`) or fetch them (`pull`). One
writer at a time: two processes that write one series may each undo the other's month.

`root` is a folder, or the address of an object store that fsspec knows (s3://bucket/lake): the same
paths, each file put whole.
"""

from __future__ import annotations

import difflib
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, cast

import polars as pl
from upath import UPath

from workbench.data.coverage import Span, with_span
from workbench.data.store import delete, put, reach, text_of
from workbench.domain import DataError, UsageError, parse_timeframe

CLOCKS = ("event_time", "available_at", "fetched_at")
INSTANT = pl.Datetime("us", "UTC")

# What makes a row of a kind the same row; kinds not named here have one row an event time. Where
# `available_at` is part of it, what was first said stays beside what was said later.
KEYS: dict[str, tuple[str, ...]] = {
    "news": ("id",),
    "prediction": ("event_time", "meeting", "outcome", "seq", "available_at"),
    "trades": ("id",),
    "transfers": ("id",),
    "scores": ("id", "model", "prompt_id"),
    "events": ("event_time", "bar", "what", "one", "other"),
    "onchain": ("event_time", "available_at"),
    "macro": ("event_time", "available_at"),
    "sentiment": ("event_time", "available_at"),
    "funding": ("event_time", "available_at"),
    "depth": ("event_time", "available_at"),
}
DEFAULT_KEY = ("event_time",)
# as first read, never edited
FIRST_STAYS = frozenset({"news", "scores", "trades", "transfers", "events"})

COVERED = "covered.json"
Stays = Literal["first", "last"]

_UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


class SeriesName(NamedTuple):
    """The four names that find a series; `symbol` as people write it (BTC/USDT)."""

    kind: str
    venue: str
    symbol: str
    timeframe: str

    def __str__(self) -> str:
        return f"{self.kind} {self.venue} {self.symbol} {self.timeframe}"


class SeriesStatus(NamedTuple):
    """What is stored of one series; `known` is when its newest row became known.

    `gaps` counts holes and `missing` the rows they lack; both are None for a series that has no
    regular step (events, business days, months). `duplicates` counts rows beyond the first of
    their key.
    """

    kind: str
    venue: str
    symbol: str
    timeframe: str
    rows: int
    first: datetime
    last: datetime
    known: datetime
    gaps: int | None
    missing: int | None
    duplicates: int


class Month(NamedTuple):
    """One stored month of a series; `size` in bytes."""

    month: str
    rows: int
    size: int


def lake_at(where: str | Path) -> Lake:
    """The lake in a folder, or at an address such as s3://bucket/lake.

    Raises UsageError naming the package that such an address needs.
    """
    if "://" not in str(where):
        return Lake(Path(where))
    try:
        # what another process wrote must be seen: no list of files is kept
        return Lake(cast("Path", UPath(str(where), use_listings_cache=False)))
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"the lake {where} needs a package that is not installed ({error}); for s3:// it is"
            " `pip install workbench[s3]`"
        ) from None


@dataclass(frozen=True)
class Lake:
    """A lake under `root` (made on the first write)."""

    root: Path

    def upsert(
        self,
        kind: str,
        venue: str,
        symbol: str,
        timeframe: str,
        rows: pl.DataFrame,
        key: Sequence[str] | None = None,
    ) -> int:
        """Merge rows in, month by month; of one key the later `fetched_at` wins.

        Returns how many rows are new or have changed; a row that says the same as the stored one
        is left alone, so that repeating an import writes nothing. `key` defaults to the kind's
        (`KEYS`). A crash leaves every month either old or new.
        """
        name = SeriesName(kind, venue, symbol, timeframe)
        names = tuple(key or KEYS.get(kind, DEFAULT_KEY))
        rows = _checked(rows, name, names)
        folder = self._folder(name)
        months = rows.partition_by("month", as_dict=True, include_key=False, maintain_order=True)
        stays: Stays = "first" if kind in FIRST_STAYS else "last"
        return sum(
            _merge_month(folder / f"{month}.parquet", part, names, stays)
            for (month,), part in sorted(months.items())
        )

    def read(
        self,
        kind: str,
        venue: str,
        symbol: str,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: list[str] | None = None,
    ) -> pl.DataFrame:
        """Rows with start <= event_time <= end, in time order; only the months needed are opened.

        `columns` (event_time among them) reads no others. Raises DataError if there is no such
        series, naming the nearest one, or if a file cannot be read.
        """
        name = SeriesName(kind, venue, symbol, timeframe)
        first, last = _instant(start, "start"), _instant(end, "end")
        files = self._months(name)
        if not files:
            raise DataError(self._absent(name))
        wanted = [
            file
            for file in files
            if (first is None or file.stem >= f"{first:%Y-%m}")
            and (last is None or file.stem <= f"{last:%Y-%m}")
        ]
        # No month in range still answers with the series' columns, and no rows.
        rows = _open_all(wanted, columns) if wanted else _open(files[-1], columns).clear()
        if first is not None:
            rows = rows.filter(pl.col("event_time") >= first)
        if last is not None:
            rows = rows.filter(pl.col("event_time") <= last)
        return rows

    def series(self) -> list[SeriesName]:
        """All series that have at least one month, sorted."""
        return sorted(self._walk())

    def status(self) -> list[SeriesStatus]:
        """Rows, span, holes and repeats of every series."""
        return [
            status_of(name, self.read(*name, columns=status_columns(name)))
            for name in self.series()
        ]

    def remove(self, kind: str, venue: str, symbol: str, timeframe: str) -> None:
        """Delete a series; one that is not there is no error."""
        name = SeriesName(kind, venue, symbol, timeframe)
        for file in [*self._months(name), self._folder(name) / COVERED]:
            delete(file)

    def covered(self, name: SeriesName) -> list[Span]:
        """The ranges of a series that have been asked for and answered, rows or not."""
        file = self._folder(name) / COVERED
        text = text_of(file)
        try:
            told = [] if text is None else json.loads(text)
            return [(_when(first), _when(last)) for first, last in told]
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{file} cannot be read ({error}): delete it, and a pull will ask for all again"
            ) from None

    def cover(self, name: SeriesName, start: datetime, end: datetime) -> None:
        """Note that [start, end) has been asked for and its rows are stored."""
        before = self.covered(name)
        after = with_span(before, start, end)
        if after != before:
            told = json.dumps([[first.isoformat(), last.isoformat()] for first, last in after])
            put(self._folder(name) / COVERED, told.encode())

    def ended(self, name: SeriesName, before: datetime) -> list[Month]:
        """The stored months that ended by `before`, which `prune` would delete."""
        return [
            Month(file.stem, _open(file, ["event_time"]).height, file.stat().st_size)
            for file in self._months(name)
            if file.stem < f"{_instant(before, 'before'):%Y-%m}"
        ]

    def prune(self, name: SeriesName, before: datetime) -> list[Month]:
        """Delete whole months that ended by `before`; they stay covered, so that no pull fetches
        them again. Returns the months that are gone."""
        old = self.ended(name, before)
        for each in old:
            first = datetime.fromisoformat(f"{each.month}-01T00:00:00+00:00")
            self.cover(name, first, _next_month(first))
            delete(self._folder(name) / f"{each.month}.parquet")
        return old

    def _folder(self, name: SeriesName) -> Path:
        parts = zip(SeriesName._fields, name, strict=True)
        return self.root.joinpath(*(f"{field}={_safe(text, field)}" for field, text in parts))

    def _months(self, name: SeriesName) -> list[Path]:
        return _months_in(self._folder(name))

    def _walk(self) -> Iterator[SeriesName]:
        pattern = "kind=*/venue=*/symbol=*/timeframe=*"
        for folder in reach(self.root, lambda: list(self.root.glob(pattern))):
            if _months_in(folder):
                kind, venue, symbol, timeframe = (p.split("=", 1)[1] for p in folder.parts[-4:])
                yield SeriesName(kind, venue, symbol.replace("-", "/"), timeframe)

    def _absent(self, name: SeriesName) -> str:
        there = [str(series) for series in self.series()]
        if not there:
            return (
                f"there is no {name} in the lake {self.root}, which is empty; "
                "import recorded data or write the sample world first"
            )
        near = difflib.get_close_matches(str(name), there, n=3, cutoff=0.0)
        return f"there is no {name} in the lake {self.root}; the nearest are: {', '.join(near)}"


def status_columns(name: SeriesName) -> list[str]:
    """What `status_of` looks at."""
    key = KEYS.get(name.kind, DEFAULT_KEY)
    return list(dict.fromkeys(["event_time", "available_at", *key]))


def status_of(name: SeriesName, rows: pl.DataFrame) -> SeriesStatus:
    """Rows, span, holes and repeats of a series, from all its rows in time order."""
    times = rows["event_time"]
    gaps, missing = _holes(times, name.timeframe)
    duplicates = rows.height - rows.select(KEYS.get(name.kind, DEFAULT_KEY)).n_unique()
    known = rows["available_at"].max()
    assert isinstance(known, datetime)
    return SeriesStatus(
        *name, rows.height, times[0], times[-1], known, gaps, missing, duplicates
    )  # fmt: skip


def _months_in(folder: Path) -> list[Path]:
    return reach(folder, lambda: sorted(folder.glob("*.parquet"), key=str))


def _safe(text: str, field: str) -> str:
    folder = text.replace("/", "-") if field == "symbol" else text
    if (
        not folder
        or folder != folder.strip()
        or folder.startswith(".")
        or set(folder) & set('/\\="')
    ):
        raise UsageError(f"{field} {text!r} cannot name a series; use letters, digits, . - _ and ~")
    if field == "symbol" and "-" in text:
        raise UsageError(f"symbol {text!r} has a dash, which stands for the slash in folder names")
    return folder


def _instant(time: datetime | None, what: str) -> datetime | None:
    if time is not None and time.tzinfo is None:
        raise UsageError(f"{what} {time} has no zone; give it in UTC")
    return None if time is None else time.astimezone(UTC)


def _checked(rows: pl.DataFrame, name: SeriesName, key: Sequence[str]) -> pl.DataFrame:
    for column in (*CLOCKS, *key):
        if column not in rows.columns:
            raise DataError(f"rows for {name} have no column {column!r}; every row needs it")
    for column in CLOCKS:
        dtype = rows.schema[column]
        if not isinstance(dtype, pl.Datetime) or dtype.time_zone != "UTC":
            raise DataError(f"rows for {name}: {column} is {dtype}, it must be a UTC time")
        if rows[column].null_count():
            at = rows[column].is_null().arg_max()
            raise DataError(f"rows for {name}: {column} is missing in row {(at or 0) + 1}")
    return rows.with_columns(pl.col(CLOCKS).cast(INSTANT)).with_columns(
        month=pl.col("event_time").dt.strftime("%Y-%m")
    )


def _when(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _next_month(first: datetime) -> datetime:
    return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def _merge_month(file: Path, new: pl.DataFrame, key: Sequence[str], stays: Stays) -> int:
    old = _open(file) if reach(file, file.exists) else new.clear()
    both = pl.concat([old, new], how="diagonal_relaxed")
    said = [column for column in both.columns if column != "fetched_at"]
    # The first row of those that say the same stays, so a repeated fetch changes nothing; then of
    # one key the latest fetch wins (news: the first), and of two at one moment the incoming one.
    merged = (
        both.with_columns(incoming=pl.int_range(pl.len()) >= old.height)
        .unique(subset=said, keep="first", maintain_order=True)
        .sort("fetched_at", maintain_order=True)
        .unique(subset=list(key), keep=stays, maintain_order=True)
        .sort(["event_time", *(k for k in key if k != "event_time")], maintain_order=True)
    )
    changed = int(merged["incoming"].sum())
    if changed:
        _write(file, merged.drop("incoming"))
    return changed


def _write(file: Path, rows: pl.DataFrame) -> None:
    held = io.BytesIO()
    # one row group, however the rows came together: equal rows, equal bytes
    rows.rechunk().write_parquet(held)
    put(file, held.getvalue())


def _open(file: Path, columns: list[str] | None = None) -> pl.DataFrame:
    try:
        content = reach(file, file.read_bytes)  # quicker than by name, where files are small
        return pl.read_parquet(content, columns=columns, hive_partitioning=False)
    except _UNREADABLE as error:
        raise DataError(
            f"{file} cannot be read ({str(error).splitlines()[0]}): delete it and {COVERED} beside"
            " it, then pull or import that month again"
        ) from None


def _open_all(files: Sequence[Path], columns: list[str] | None) -> pl.DataFrame:
    """The rows of all files, in their order; a column that one of them lacks is null there."""
    if len(files) > 1 and all(isinstance(file, Path) for file in files):
        # at once, where all have the same columns; else one by one, which also says which is broken
        with suppress(*_UNREADABLE):
            scan = pl.scan_parquet(list(files), hive_partitioning=False)
            return (scan.select(columns) if columns else scan).collect()
    return pl.concat([_open(file, columns) for file in files], how="diagonal_relaxed")


def _holes(times: pl.Series, timeframe: str) -> tuple[int | None, int | None]:
    try:
        step = parse_timeframe(timeframe)
    except UsageError:
        return None, None
    unit = int(step.total_seconds() * 1_000_000)
    between = times.unique().sort().dt.timestamp("us").diff().drop_nulls() // unit - 1
    holes = between.filter(between > 0)
    return holes.len(), int(holes.sum())
