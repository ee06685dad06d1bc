"""What a fetched row is to what is stored: new, a revision, late, told before.

A story is stored once; a bar stays as first told; a value that is told otherwise later becomes a
version of its own, known from when it was fetched, and so does a row that was asked for in vain.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from workbench.data.lake import DEFAULT_KEY, KEYS, Lake, SeriesName
from workbench.data.news import fresh

NEWS_DAYS = 60  # a publisher may date a story anew
# Held by who writes what several feeds write: a story that two bring at once is one story, and
# what two venues say of one symbol is one series of events.
_SHARED = threading.Lock()


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
