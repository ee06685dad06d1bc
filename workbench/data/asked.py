"""What a part of the context is asked, and what it answers.

`Asked` holds the bars that are to be told and the series that may speak to them; a part reads rows
through it, so that none sees what was not known by the last close, and gives a `Part`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl

from workbench.arrays import Floats
from workbench.data.join import as_of, instants
from workbench.data.lake import Lake, SeriesName

SAMPLE = "sample"


class Source(NamedTuple):
    """Whose word counts; the sample world has the same series under its own venue."""

    kind: str
    venue: str
    timeframe: str
    value: str
    symbol: str = ""


@dataclass(frozen=True, eq=False)
class Part:
    """What one feed adds: context by name, the moments it was heard, and its own table."""

    context: Mapping[str, pd.DataFrame | pd.Series[Any]] = field(default_factory=dict)
    heard: Mapping[str, pd.DatetimeIndex] = field(default_factory=dict)
    table: pd.DataFrame | None = None


@dataclass(frozen=True, eq=False)
class Asked:
    """The bars that are to be told, and the series that may speak to them."""

    lake: Lake
    venue: str
    series: frozenset[SeriesName]
    symbols: tuple[str, ...]
    index: pd.DatetimeIndex
    closes: pd.DatetimeIndex

    def named(self, source: Source, symbol: str) -> SeriesName | None:
        """The series of a source, be it the recorded one or the sample's."""
        for venue in (source.venue, SAMPLE):
            name = SeriesName(source.kind, venue, symbol, source.timeframe)
            if name in self.series:
                return name
        return None

    def rows(self, name: SeriesName) -> pl.DataFrame:
        """What could be known of a series by the last close."""
        rows = self.lake.read(*name)
        return rows.filter(pl.col("available_at") <= self.closes[-1].to_pydatetime())

    def of_kind(self, kind: str) -> list[pl.DataFrame]:
        """The rows of every series of a kind, series by series."""
        return [self.rows(name) for name in sorted(self.series) if name.kind == kind]

    def joined(self, rows: pl.DataFrame | None, value: str) -> Floats:
        """A column of rows as of every close; NaN throughout if it is not there."""
        if rows is None or value not in rows.columns:
            return np.full(len(self.closes), np.nan)
        event, available = instants(rows["event_time"]), instants(rows["available_at"])
        return as_of(self.closes, available, event, rows[value].cast(pl.Float64).to_numpy())

    def frame(self, columns: Mapping[str, Floats]) -> pd.DataFrame:
        return pd.DataFrame(dict(columns), index=self.index)


def base(symbol: str) -> str:
    """BTC/USDT -> BTC."""
    return symbol.split("/", maxsplit=1)[0]


def when(*rows: pl.DataFrame) -> pd.DatetimeIndex:
    """The moments at which any of these rows became known."""
    return instants(pl.concat([each.select("available_at") for each in rows])["available_at"])
