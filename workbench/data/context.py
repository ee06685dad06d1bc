"""What the other feeds said, joined as of each bar's close.

Reads the lake and answers frames (bars x symbols) and series (bars) for `Panel.context`, and how
long ago each feed was heard of. A name is left out when the lake has no such feed at all; a symbol
that a feed does not cover is a column of NaN. The sample world and recorded data never mix: a
venue called "sample" is told only what "sample" said, and no other venue ever hears of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl

from workbench.arrays import Floats
from workbench.data.headlines import decayed, score
from workbench.data.join import age_hours, as_of, instants
from workbench.data.lake import Lake, SeriesName
from workbench.data.meetings import expected_move, probabilities

SAMPLE = "sample"
FEEDS = ("funding", "netflow", "mvrv", "headlines", "odds", "fear_greed", "dxy", "vix", "fed_funds")

HEADLINE_COLUMNS = ("id", "symbol", "available_at", "title", "source")
ODDS_COLUMNS = ("available_at", "event_time", "meeting", "outcome", "probability")


class Source(NamedTuple):
    """Whose word counts; the sample world has the same series under its own venue."""

    kind: str
    venue: str
    timeframe: str
    value: str
    symbol: str = ""


FUNDING = Source("funding", "binance", "8h", "funding_rate")
NETFLOW = Source("onchain", "coinmetrics", "1d", "netflow")
MVRV = Source("onchain", "coinmetrics", "1d", "CapMVRVCur")
MACRO = {
    "fear_greed": Source("sentiment", "alternative.me", "1d", "value", "FNG"),
    "dxy": Source("macro", "ice", "1b", "close", "DXY"),
    "vix": Source("macro", "cboe", "1b", "close", "VIX"),
    "fed_funds": Source("macro", "fred", "1d", "value", "DFF"),
}


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


def gather(
    lake: Lake, venue: str, symbols: tuple[str, ...], index: pd.DatetimeIndex, step: pd.Timedelta
) -> tuple[dict[str, pd.DataFrame | pd.Series[Any]], pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Context, headlines, odds and ages of the bars that open at `index`."""
    mine = (name for name in lake.series() if (name.venue == SAMPLE) == (venue == SAMPLE))
    asked = Asked(lake, frozenset(mine), symbols, index, index + step)
    parts = {part.__name__: part(asked) for part in _PARTS}
    context = {name: told for part in parts.values() for name, told in part.context.items()}
    heard = {feed: at for part in parts.values() for feed, at in part.heard.items()}
    never = pd.DatetimeIndex([], tz="UTC")
    ages = {feed: age_hours(asked.closes, heard.get(feed, never)) for feed in FEEDS}
    headlines, odds = parts["_news"].table, parts["_odds"].table
    return (
        context,
        _nothing(HEADLINE_COLUMNS) if headlines is None else headlines,
        _nothing(ODDS_COLUMNS) if odds is None else odds,
        asked.frame(ages),
    )


def _nothing(columns: tuple[str, ...]) -> pd.DataFrame:
    never = pd.DatetimeIndex([], tz="UTC")
    clocks = ("available_at", "event_time")
    return pd.DataFrame({name: never if name in clocks else [] for name in columns})


def _when(*rows: pl.DataFrame) -> pd.DatetimeIndex:
    return instants(pl.concat([each.select("available_at") for each in rows])["available_at"])


def _funding(asked: Asked) -> Part:
    if not any(name.kind == "funding" for name in asked.series):
        return Part()
    named = {symbol: asked.named(FUNDING, symbol) for symbol in asked.symbols}
    read = {symbol: asked.rows(name) for symbol, name in named.items() if name}
    rates = {symbol: asked.joined(read.get(symbol), FUNDING.value) for symbol in asked.symbols}
    heard = {"funding": _when(*read.values())} if read else {}
    return Part({"funding": asked.frame(rates)}, heard)


def _onchain(asked: Asked) -> Part:
    chains = [name for name in asked.series if name.kind == NETFLOW.kind]
    if not any(name.venue in (NETFLOW.venue, SAMPLE) for name in chains):
        return Part()
    named = {symbol: asked.named(NETFLOW, base(symbol)) for symbol in asked.symbols}
    read = {symbol: _with_netflow(asked.rows(name)) for symbol, name in named.items() if name}
    context, heard = {}, {}
    for name, source in (("netflow", NETFLOW), ("mvrv", MVRV)):
        columns = {s: asked.joined(read.get(s), source.value) for s in asked.symbols}
        context[name] = asked.frame(columns)
        told = [rows for rows in read.values() if source.value in rows.columns]
        if told:
            heard[name] = _when(*(rows.drop_nulls(source.value) for rows in told))
    return Part(context, heard)


def _with_netflow(rows: pl.DataFrame) -> pl.DataFrame:
    if not {"FlowInExUSD", "FlowOutExUSD"} <= set(rows.columns):
        return rows
    return rows.with_columns(netflow=pl.col("FlowInExUSD") - pl.col("FlowOutExUSD"))


def _macro(asked: Asked) -> Part:
    named = {name: asked.named(source, source.symbol) for name, source in MACRO.items()}
    read = {name: asked.rows(found) for name, found in named.items() if found}
    context = {
        name: pd.Series(asked.joined(rows, MACRO[name].value), index=asked.index)
        for name, rows in read.items()
    }
    return Part(context, {name: _when(rows) for name, rows in read.items()})


def _news(asked: Asked) -> Part:
    read = asked.of_kind("news")
    if not read:
        return Part()
    rows = pl.concat(
        [each.select("available_at", "id", "asset", "title", "source") for each in read]
    )
    pairs = {base(symbol): symbol for symbol in reversed(asked.symbols)} | {"": ""}
    ours = rows.filter(pl.col("asset").is_in(list(pairs))).sort("available_at", "id")
    assets = ours["asset"].to_numpy()
    available = instants(ours["available_at"])
    scores = np.array([score(title) for title in ours["title"]], dtype=np.float64)
    mood = {
        symbol: decayed(asked.closes, available[about], scores[about])
        for symbol in asked.symbols
        for about in [assets == base(symbol)]
    }
    # a snapshot shows one day of headlines, so those long before the first bar are not kept
    recent = np.asarray(available > asked.closes[0] - pd.Timedelta(1, unit="D"))
    kept = ours.filter(pl.Series(recent))
    table = pd.DataFrame(
        {
            "id": kept["id"].to_list(),
            "symbol": [pairs[asset] for asset in kept["asset"]],
            "available_at": instants(kept["available_at"]),
            "title": kept["title"].to_list(),
            "source": kept["source"].to_list(),
        }
    )
    return Part({"sentiment": asked.frame(mood)}, {"headlines": _when(rows)}, table)


def _odds(asked: Asked) -> Part:
    read = asked.of_kind("prediction")
    if not read:
        return Part()
    rows = pl.concat([each.select(*ODDS_COLUMNS, "seq") for each in read])
    rows = rows.sort("available_at", "event_time", "seq", maintain_order=True)
    clocks = {clock: instants(rows[clock]) for clock in ODDS_COLUMNS[:2]}
    table = pd.DataFrame(clocks | {name: rows[name].to_list() for name in ODDS_COLUMNS[2:]})
    move = expected_move(probabilities(asked.closes, table))
    context = {"fed_expected_bps": pd.Series(move, index=asked.index)}
    return Part(context, {"odds": _when(rows)}, table)


_PARTS: tuple[Callable[[Asked], Part], ...] = (_funding, _onchain, _macro, _news, _odds)
