"""What a recorded table must be before a row of it is stored.

Pure functions over polars frames. A fault is raised as `FaultError`: where (a row, counted from 1
after any header) and what is wrong; the importer adds the file's name. Nothing is repaired here
but what cannot be misread: exact copies of a row and candles that are not finished are dropped and
counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import polars as pl

from workbench.domain import DataError

INSTANT = pl.Datetime("us", "UTC")
PRICES = ("open", "high", "low", "close")

_ISO_DAY = r"^\d{4}-\d\d-\d\d"
_DAY_FIRST = r"^\d{1,2}/\d{1,2}/\d\d(?: 0:00)?$"


class FaultError(DataError):
    """A table that must not go in: a half sentence, "row 17: ..."."""


def need(rows: pl.DataFrame, columns: Sequence[str]) -> None:
    """Raise unless the columns are there and there is at least one row."""
    for column in columns:
        if column not in rows.columns:
            raise FaultError(f"has no column {column!r} (it has {', '.join(rows.columns)})")
    if rows.is_empty():
        raise FaultError("has no rows")


def first_row(bad: pl.Series) -> int | None:
    """The first row (from 1) where the mask holds; a null counts as bad."""
    found = bad.fill_null(value=True).arg_true()
    return int(found[0]) + 1 if len(found) else None


def refuse_where(rows: pl.DataFrame, bad: pl.Expr, said: str) -> None:
    """Raise at the first row where `bad` holds; `said` may quote columns as {name}."""
    at = first_row(rows.select(bad.alias("bad"))["bad"])
    if at is not None:
        row = rows.row(at - 1, named=True)
        # "row" is the number in the file, where earlier rows have been dropped since
        raise FaultError(
            f"row {row.get('row', at)}: {said.format_map({k: _shown(v) for k, v in row.items()})}"
        )


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}".removesuffix(":00")
    return f"{value:g}" if isinstance(value, float) else repr(value)


def times(column: pl.Series) -> pl.Series:
    """Moments with a zone as UTC microseconds; text must carry Z, an offset or UTC."""
    if isinstance(column.dtype, pl.Datetime):
        if column.dtype.time_zone is None:
            raise FaultError(f"row 1: {column.name} {_shown(column[0])} has no time zone")
        parsed = column.dt.convert_time_zone("UTC").cast(INSTANT)
        _all_parsed(column, parsed, "is missing")
        return parsed
    if column.dtype != pl.String:
        raise FaultError(f"row 1: {column.name} {column[0]!r} is a {column.dtype}, not a time")
    text = column.str.strip_chars().str.replace(r" ?(UTC|Z)$", "+00:00").str.replace(" ", "T")
    text = text.str.replace(r"([+-]\d\d)(\d\d)$", "$1:$2")
    bare = text.str.contains(r"^\d{4}-\d\d-\d\d(T[\d:.]+)?$").fill_null(value=False)
    if bare.any():
        at = bare.arg_true()[0]
        raise FaultError(f"row {at + 1}: {column.name} {column[at]!r} has no time zone")
    parsed = pl.select(
        pl.coalesce(
            text.str.to_datetime(f, time_unit="us", time_zone="UTC", strict=False)
            for f in ("%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%dT%H:%M%:z")
        )
    ).to_series()
    _all_parsed(column, parsed, "is not a time")
    return parsed.alias(column.name)


def days(column: pl.Series) -> pl.Series:
    """Days as their start in UTC. Reads 2023-01-31 (a midnight after it is fine) and 31/1/23."""
    if column.dtype in (pl.Date, pl.Datetime):
        parsed = column.cast(pl.Date)
    elif column.dtype == pl.String:
        text = column.str.strip_chars()
        day_first = bool(text.str.contains(_DAY_FIRST).fill_null(value=False).all())
        iso = text.str.extract(f"({_ISO_DAY})").str.to_date("%Y-%m-%d", strict=False)
        parsed = (
            text.str.replace(" 0:00", "").str.to_date("%d/%m/%y", strict=False)
            if day_first
            else iso
        )
    else:
        raise FaultError(f"row 1: {column.name} {column[0]!r} is a {column.dtype}, not a day")
    _all_parsed(column, parsed, "is not a day")
    return parsed.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _all_parsed(raw: pl.Series, parsed: pl.Series, fault: str) -> None:
    at = first_row(parsed.is_null())
    if at is not None:
        raise FaultError(f"row {at}: {raw.name} {raw[at - 1]!r} {fault}")


def numbers(rows: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """The columns as floats; an empty cell is null, text that is no number raises."""
    for name in columns:
        column = rows[name]
        if column.dtype == pl.String:
            column = column.str.strip_chars().replace(["", "."], [None, None])
        elif not column.dtype.is_numeric() and column.dtype != pl.Null:
            raise FaultError(f"row 1: {name} {column[0]!r} is a {column.dtype}, not a number")
        cast = column.cast(pl.Float64, strict=False)
        at = first_row(cast.is_null() & column.is_not_null())
        if at is not None:
            raise FaultError(f"row {at}: {name} {rows[name][at - 1]!r} is not a number")
        rows = rows.with_columns(cast.fill_nan(None).alias(name))
    return rows


def in_order(rows: pl.DataFrame, column: str = "event_time") -> None:
    """Raise where a time is earlier than the one before it."""
    earlier = (pl.col(column) < pl.col(column).shift(1)).fill_null(value=False)
    refuse_where(rows, earlier, f"{column} {{{column}}} is earlier than the row before; sort them")


def once(rows: pl.DataFrame, column: str = "event_time") -> tuple[pl.DataFrame, int]:
    """Drop exact copies of the row before; the same time with other values raises."""
    values = [c for c in rows.columns if c not in (column, "row")]
    again = pl.col(column) == pl.col(column).shift(1)
    same = pl.all_horizontal(pl.col(c).eq_missing(pl.col(c).shift(1)) for c in values)
    refuse_where(
        rows,
        (again & ~same).fill_null(value=False),
        f"{column} {{{column}}} is there twice with different values; keep the right one",
    )
    kept = rows.filter(~again.fill_null(value=False))
    return kept, rows.height - kept.height


def checked_candles(
    rows: pl.DataFrame, step: timedelta, now: datetime
) -> tuple[pl.DataFrame, Mapping[str, int]]:
    """Check every rule of a candle and drop copies and unfinished ones.

    Returns rows of event_time (open time) and float columns, and how many were dropped of what.
    """
    need(rows, ("timestamp", *PRICES, "volume"))
    extra = ["trades"] if "trades" in rows.columns else []
    rows = numbers(rows, [*PRICES, "volume", *extra])
    rows = rows.select(
        pl.int_range(1, pl.len() + 1).alias("row"),
        times(rows["timestamp"]).alias("event_time"),
        *PRICES,
        "volume",
        *extra,
    )
    in_order(rows)
    if step <= timedelta(days=1):  # weeks begin on a Monday, 1970 on a Thursday
        off_grid = pl.col("event_time").dt.timestamp("us") % round(step.total_seconds() * 1e6) != 0
        refuse_where(rows, off_grid, f"open time {{event_time}} is not on the UTC grid of {step}")
    rows, copies = once(rows)
    for name in (*PRICES, "volume"):
        bad = pl.col(name).is_null() | ~pl.col(name).is_finite()
        refuse_where(rows, bad, f"{name} at {{event_time}} is not a finite number")
    for name in PRICES:
        refuse_where(
            rows, pl.col(name) <= 0, f"{name} at {{event_time}} is {{{name}}}, not above 0"
        )
    refuse_where(rows, pl.col("volume") < 0, "volume at {event_time} is {volume}, below 0")
    top, bottom = pl.max_horizontal("open", "close"), pl.min_horizontal("open", "close")
    body = "open {open} and close {close}"
    refuse_where(rows, pl.col("high") < top, f"high {{high}} at {{event_time}} is below {body}")
    refuse_where(rows, pl.col("low") > bottom, f"low {{low}} at {{event_time}} is above {body}")
    finished = rows.filter(pl.col("event_time") + step <= now).drop("row")
    dropped = {"exact copies": copies, "unfinished": rows.height - finished.height}
    return finished, {what: count for what, count in dropped.items() if count}


def slug(text: str) -> bool:
    """True if the text can be a part of a series' name."""
    return re.fullmatch(r"[A-Za-z0-9._~]+", text) is not None
