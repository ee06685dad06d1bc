"""Import a folder of recorded market data into the lake.

The layout says what a file is: `ohlcv/<venue>/<timeframe>/<BASE>_<QUOTE>.parquet`,
`funding/<venue>/...`, `onchain/`, `news/`, `prediction/`, `macro/`, `sentiment/`,
`microstructure/`, `scores/`. A file is checked whole before a row of it is stored; a bad one is
refused with its row, and the others still go in. Nothing is filled, resampled or repaired, and no
file is passed over in silence. When a value could have been known is decided in `lags`, what a row
must be in `checks`; what was captured from an exchange's streams is read in `captures`, and models'
scores of headlines in `scores`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from math import isnan
from pathlib import Path

import polars as pl

from workbench.data import captures, checks, scores
from workbench.data.captures import Part
from workbench.data.checks import FaultError
from workbench.data.headlines import clean, headline_id
from workbench.data.lags import FRED_TIMEFRAMES, LAGS
from workbench.data.lake import Lake, SeriesName
from workbench.data.meetings import basis_points, decision_day
from workbench.domain import DataError, UsageError, parse_timeframe

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Table:
    """The rows of one checked file, and what was left out of it."""

    rows: pl.DataFrame
    dropped: Mapping[str, int] = field(default_factory=dict[str, int])


Reader = Callable[[pl.DataFrame], Table]


@dataclass(frozen=True)
class Imported:
    """What of a file went into a series: `rows` stored, `written` of them new or changed.

    `read` is how many rows, or messages of a capture, they were made from. A capture goes into
    more than one series and is then named once for each.
    """

    file: str
    series: SeriesName
    read: int
    rows: int
    written: int
    dropped: Mapping[str, int]


@dataclass(frozen=True)
class ImportReport:
    """What became of every file: imported, skipped with a reason, or refused with a sentence."""

    imported: tuple[Imported, ...]
    skipped: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, str], ...]

    @property
    def read(self) -> dict[str, int]:
        """How many rows or messages were read of each file that went in."""
        counts: dict[str, int] = {}
        for each in self.imported:
            counts[each.file] = counts.get(each.file, 0) + each.read
        return counts

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.imported)

    @property
    def written(self) -> int:
        return sum(each.written for each in self.imported)


def import_recorded(
    directory: Path, lake: Lake, now: datetime, progress: Progress | None = None
) -> ImportReport:
    """Store every file under `directory` whose place in the layout says what it is.

    `now` is when we fetched it, and decides which candles are finished. `progress` is told
    (files done, files in all, file). Raises UsageError for no such folder or an empty one.
    """
    if not directory.is_dir():
        raise UsageError(
            f"{directory} is not a folder; give the folder that holds ohlcv/, news/ ..."
        )
    if now.tzinfo is None:
        raise UsageError(f"now is {now}, without a zone; give it in UTC")
    # os.walk and not rglob: a folder that is a link to the recordings counts as well.
    found = os.walk(directory, followlinks=True)
    files = sorted(Path(folder, name) for folder, _, names in found for name in names)
    if not files:
        raise UsageError(
            f"{directory} holds no files; give the folder that holds ohlcv/, news/ ..."
        )
    imported: list[Imported] = []
    skipped: list[tuple[str, str]] = []
    refused: list[tuple[str, str]] = []
    for done, path in enumerate(files):
        file = path.relative_to(directory).as_posix()
        if progress is not None:
            progress(done, len(files), file)
        try:
            place = _place(file, now, lake)
            if isinstance(place, str):
                skipped.append((file, place))
            else:
                imported += [_store(file, part, lake, now) for part in place(path)]
        except DataError as error:
            refused.append(
                (file, f"{file}: {error}" if isinstance(error, FaultError) else str(error))
            )
    if progress is not None:
        progress(len(files), len(files), "")
    return ImportReport(tuple(imported), tuple(skipped), tuple(refused))


def _store(file: str, part: Part, lake: Lake, now: datetime) -> Imported:
    rows = part.rows.with_columns(fetched_at=pl.lit(now).cast(checks.INSTANT))
    clocks = ["event_time", "available_at", "fetched_at"]
    rows = rows.select(*clocks, pl.exclude(clocks))
    written = lake.upsert(*part.series, rows)
    return Imported(file, part.series, part.read, rows.height, written, part.dropped)


def _read(path: Path, name: SeriesName, reader: Reader) -> list[Part]:
    raw = _load(path)
    table = reader(raw)
    return [Part(name, raw.height, table.rows, table.dropped)]


def _load(path: Path) -> pl.DataFrame:
    """The raw table; CSV cells stay text, so that each is parsed in the open."""
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path, hive_partitioning=False)
        rows = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise FaultError(f"cannot be read ({str(error).splitlines()[0]}); fetch it again") from None
    return rows.rename(lambda name: name.lstrip("\ufeff"))


# --- where a file belongs ---------------------------------------------------------------------

_PAIR = re.compile(r"([A-Z0-9]+)_([A-Z0-9]+)")
_TABLE = re.compile(r"\.(parquet|csv|csv\.gz)$")


def _place(file: str, now: datetime, lake: Lake) -> Callable[[Path], list[Part]] | str:
    """How to read a file of this place in the layout, or why it is skipped."""
    kind, *inner = file.split("/")
    if not inner:
        return "it lies outside the kinds' folders"
    if kind == "microstructure":
        return captures.place("/".join(inner)) or f"{kind}/ has no file of this name in its layout"
    if kind == "scores" and len(inner) == 1 and inner[0].endswith(".jsonl"):
        return partial(scores.read, lake=lake)
    if kind == "scores":
        return f"{kind}/ has no file of this name in its layout"
    if kind not in _PLACES:
        return f"no kind of data is called {kind!r}"
    if not _TABLE.search(file):
        return "it is no .parquet, .csv or .csv.gz file"
    stem = _TABLE.sub("", inner[-1])
    found = _PLACES[kind]([*inner[:-1], stem], now)
    if found is None:
        return f"{kind}/ has no file of this name in its layout"
    return found if isinstance(found, str) else partial(_read, name=found[0], reader=found[1])


def _place_candles(names: list[str], now: datetime) -> tuple[SeriesName, Reader] | None:
    pair = _PAIR.fullmatch(names[-1])
    if len(names) != 3 or pair is None:
        return None
    venue, timeframe, _ = names
    try:
        step = parse_timeframe(timeframe).to_pytimedelta()
    except UsageError:
        return None
    name = SeriesName("ohlcv", venue, f"{pair[1]}/{pair[2]}", timeframe)
    return name, partial(_candles, step=step, now=now)


def _place_funding(names: list[str], _now: datetime) -> tuple[SeriesName, Reader] | None:
    pair = _PAIR.fullmatch(names[-1])
    if len(names) != 2 or pair is None:
        return None
    return SeriesName("funding", names[0], f"{pair[1]}/{pair[2]}", "8h"), _funding


def _place_onchain(names: list[str], _now: datetime) -> tuple[SeriesName, Reader] | None:
    match = re.fullmatch(r"(coinmetrics|dune)_([a-z0-9]+)_(?:tx_)?daily", "/".join(names))
    if match is None:
        return None
    stamp = {"coinmetrics": "time", "dune": "day"}[match[1]]
    reader = partial(_daily, feed=match[1], stamp=stamp)
    return SeriesName("onchain", match[1], match[2].upper(), "1d"), reader


def _place_news(names: list[str], _now: datetime) -> tuple[SeriesName, Reader] | None:
    if len(names) != 1 or not checks.slug(names[0]):
        return None
    return SeriesName("news", names[0], "ALL", "event"), _news


def _place_prediction(names: list[str], _now: datetime) -> tuple[SeriesName, Reader] | None:
    if names != ["polymarket_fomc_trades"]:
        return None
    return SeriesName("prediction", "polymarket", "FOMC", "event"), _odds


def _place_macro(names: list[str], _now: datetime) -> tuple[SeriesName, Reader] | str | None:
    if names == ["vix_daily"]:
        reader = partial(_daily, feed="VIX", stamp="DATE")
        return SeriesName("macro", "cboe", "VIX", "1b"), reader
    if names == ["dxy_daily"]:
        # an index has no volume; the provider's column of zeros would look like one
        reader = partial(_daily, feed="DXY", stamp="Date", without=("Volume",))
        return SeriesName("macro", "ice", "DXY", "1b"), reader
    series = names[0].removeprefix("fred_")
    if len(names) != 1 or series == names[0]:
        return None
    if series not in FRED_TIMEFRAMES:
        return f"the publication lag of {series} is not known; add it to the table in lags.py"
    return SeriesName("macro", "fred", series, FRED_TIMEFRAMES[series]), partial(_fred, feed=series)


def _place_sentiment(names: list[str], _now: datetime) -> tuple[SeriesName, Reader] | None:
    if names != ["fear_greed_daily"]:
        return None
    return SeriesName("sentiment", "alternative.me", "FNG", "1d"), _fear_greed


_PLACES: dict[str, Callable[[list[str], datetime], tuple[SeriesName, Reader] | str | None]] = {
    "ohlcv": _place_candles,
    "funding": _place_funding,
    "onchain": _place_onchain,
    "news": _place_news,
    "prediction": _place_prediction,
    "macro": _place_macro,
    "sentiment": _place_sentiment,
}


# --- readers, one a kind ----------------------------------------------------------------------


def _available(rows: pl.DataFrame, feed: str) -> pl.DataFrame:
    return rows.with_columns(available_at=LAGS[feed](pl.col("event_time")).cast(checks.INSTANT))


def _candles(raw: pl.DataFrame, step: timedelta, now: datetime) -> Table:
    rows, dropped = checks.checked_candles(raw, step, now)
    return Table(rows.with_columns(available_at=pl.col("event_time") + step), dropped)


def _funding(raw: pl.DataFrame) -> Table:
    checks.need(raw, ("timestamp", "funding_rate"))
    raw = checks.numbers(raw, ["funding_rate"])
    settled = checks.times(raw["timestamp"]).dt.round("1m")  # the exchange jitters by milliseconds
    rows = raw.select(settled.alias("event_time"), "funding_rate")
    checks.in_order(rows)
    missing = pl.col("funding_rate").is_null() | ~pl.col("funding_rate").is_finite()
    checks.refuse_where(rows, missing, "funding_rate at {event_time} is not a finite number")
    rows, copies = checks.once(rows)
    return Table(_available(rows, "funding"), {"exact copies": copies} if copies else {})


def _daily(raw: pl.DataFrame, feed: str, stamp: str, without: tuple[str, ...] = ()) -> Table:
    """A wide daily table; columns that are empty all the way down are left out."""
    checks.need(raw, (stamp,))
    names = [name for name in raw.columns if name not in (stamp, "asset", *without)]
    raw = checks.numbers(raw, names)
    empty = [name for name in names if raw[name].null_count() == raw.height]
    kept = [name for name in names if name not in empty]
    if not kept:
        raise FaultError("has no values in any column")
    rows = raw.select(checks.days(raw[stamp]).alias("event_time"), *kept)
    checks.in_order(rows)
    rows, copies = checks.once(rows)
    if feed in ("VIX", "DXY"):
        rows = rows.rename(str.lower)
    dropped = {"exact copies": copies, "empty columns": len(empty)}
    return Table(_available(rows, feed), {what: count for what, count in dropped.items() if count})


def _fred(raw: pl.DataFrame, feed: str) -> Table:
    checks.need(raw, ())
    stamp, value = raw.columns[0], raw.columns[-1]
    if (stamp, value) not in {("date", "value"), ("observation_date", feed)}:
        raise FaultError(f"has columns {', '.join(raw.columns)}; expected date and value")
    raw = checks.numbers(raw, [value])
    rows = raw.select(checks.days(raw[stamp]).alias("event_time"), pl.col(value).alias("value"))
    checks.in_order(rows)
    rows, copies = checks.once(rows)
    kept = rows.drop_nulls("value")
    dropped = {"exact copies": copies, "holidays": rows.height - kept.height}
    return Table(_available(kept, feed), {what: count for what, count in dropped.items() if count})


def _fear_greed(raw: pl.DataFrame) -> Table:
    checks.need(raw, ("Date", "fng_value"))
    raw = checks.numbers(raw, ["fng_value"])
    days = checks.days(raw["Date"]).alias("event_time")
    rows = raw.select(days, pl.col("fng_value").alias("value"))
    checks.in_order(rows)
    rows, copies = checks.once(rows)
    off = ~pl.col("value").is_between(0, 100)
    checks.refuse_where(rows, off, "fng_value on {event_time} is {value}, not from 0 to 100")
    return Table(_available(rows, "fear_greed"), {"exact copies": copies} if copies else {})


def _news(raw: pl.DataFrame) -> Table:
    """Titles, cleaned, by the moment they could be read. Summaries stay behind."""
    checks.need(raw, ("published_at", "available_at", "title"))
    blank = pl.lit(None, pl.String)
    optional = {name: pl.col(name) if name in raw.columns else blank for name in _NEWS_TEXTS}
    rows = raw.select(
        checks.times(raw["published_at"]).alias("event_time"),
        checks.times(raw["available_at"]),
        pl.col("title").fill_null(""),
        *(text.fill_null("").alias(name) for name, text in optional.items()),
    )
    # a day-resolution stamp is the day's start: the event may be up to a day later
    day = (pl.col("time_resolution") == "day").cast(pl.Int64)
    early = pl.col("available_at") < pl.col("event_time") + pl.duration(days=day)
    checks.refuse_where(rows, early, "available_at {available_at} is before it could be known")
    titles = [clean(title) for title in rows["title"]]
    links = [link or title for link, title in zip(rows["url"], titles, strict=True)]
    ids = [headline_id(*pair) for pair in zip(rows["asset"], links, strict=True)]
    rows = rows.with_columns(title=pl.Series(titles, dtype=pl.String), id=pl.Series(ids))
    told = rows.filter(pl.col("title") != "")
    first = told.sort("available_at", maintain_order=True).unique("id", keep="first")
    first = first.sort("available_at", "id").drop("time_resolution")
    dropped = {"without a title": rows.height - told.height, "repeats": told.height - first.height}
    return Table(first, {what: count for what, count in dropped.items() if count})


_NEWS_TEXTS = ("asset", "source", "url", "time_resolution")


def _odds(raw: pl.DataFrame) -> Table:
    """Trades as probabilities of Yes. How a market resolved is an answer and is not read."""
    checks.need(raw, ("timestamp", "meeting", "outcome", "side", "price", "token_volume"))
    raw = checks.numbers(raw, ["price", "token_volume"])
    rows = raw.select(
        checks.times(raw["timestamp"]).alias("event_time"),
        "meeting", "outcome", "side", "price", "token_volume",
    )  # fmt: skip
    unknown = [m for m in rows["meeting"].unique() if m is None or decision_day(m) is None]
    odd = [o for o in rows["outcome"].unique() if o is None or isnan(basis_points(o))]
    checks.refuse_where(
        rows, pl.col("meeting").is_in(unknown), "meeting {meeting} is in no calendar"
    )
    checks.refuse_where(rows, pl.col("outcome").is_in(odd), "outcome {outcome} is no rate move")
    checks.refuse_where(rows, ~pl.col("side").is_in(["Yes", "No"]), "side {side} is not Yes or No")
    checks.refuse_where(rows, ~pl.col("price").is_between(0, 1), "price {price} is not from 0 to 1")
    rows = rows.sort("event_time", maintain_order=True)
    # trades have no id: the order among those of one second tells repeats apart
    seq = pl.int_range(pl.len()).over("event_time", "meeting", "outcome")
    yes = pl.when(pl.col("side") == "Yes").then(pl.col("price")).otherwise(1 - pl.col("price"))
    rows = rows.with_columns(seq=seq, probability=yes).drop("side", "price")
    return Table(_available(rows, "polymarket"))
