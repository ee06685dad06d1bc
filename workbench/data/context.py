"""What the other feeds said, joined as of each bar's close.

Reads the lake and answers frames (bars x symbols) and series (bars) for `Panel.context`, and how
long ago each feed was heard of. A name is left out when the lake has no such feed at all; a symbol
that a feed does not cover is a column of NaN. The sample world and recorded data never mix: a
venue called "sample" is told only what "sample" said, and no other venue ever hears of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl

from workbench.arrays import Floats
from workbench.data.headlines import decayed, score
from workbench.data.join import US_PER_HOUR, age_hours, as_of, instants, micros
from workbench.data.lake import INSTANT, Lake, SeriesName
from workbench.data.meetings import decision_day, expected_move, probabilities

SAMPLE = "sample"
# Every desk should hear these: one that is silent is named from the first bar on. The others are
# told of once they have been heard, and named when they fall silent again.
FEEDS = ("funding", "netflow", "mvrv", "headlines", "odds", "fear_greed", "dxy", "vix", "fed_funds")
STALE_HOURS = {
    "candles": 6.0, "funding": 16.0, "netflow": 72.0, "mvrv": 72.0, "headlines": 72.0,
    "fear_greed": 48.0, "dxy": 120.0, "vix": 120.0, "fed_funds": 120.0, "odds": 168.0,
    "stablecoins": 72.0, "whale_flow": 24.0, "book": 1.0,
}  # fmt: skip
"""A feed silent for longer is stale (weekends and holidays allowed for)."""
STALE_OTHERWISE = 72.0


def stale(feed: str, silent_hours: float) -> bool:
    """Has a feed been silent for too long?"""
    return not silent_hours <= STALE_HOURS.get(feed, STALE_OTHERWISE)


HEADLINE_COLUMNS = ("id", "symbol", "available_at", "title", "source")
ODDS_COLUMNS = (
    "available_at", "event_time", "venue", "meeting", "outcome", "probability", "ends_at",
)  # fmt: skip
WHALE_HOURS = 24
# One market's odds are one opinion: those of another venue are a number of their own.
FED_VENUES = {
    "polymarket": "fed_expected_bps", SAMPLE: "fed_expected_bps",
    "kalshi": "fed_expected_bps_kalshi", "cme_zq": "fed_expected_bps_futures",
}  # fmt: skip


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
STABLECOINS = Source("onchain", "defillama", "1d", "circulating_usd", "STABLECOINS")
# Of several sources of one number whichever told of the latest event counts.
MACRO = {
    "fear_greed": (Source("sentiment", "alternative.me", "1d", "value", "FNG"),),
    "dxy": (
        Source("macro", "ice", "1b", "close", "DXY"),
        Source("macro", "ecb", "1b", "close", "DXY_SYNTHETIC"),
    ),
    "vix": (Source("macro", "cboe", "1b", "close", "VIX"),),
    "fed_funds": (Source("macro", "fred", "1d", "value", "DFF"),),
    "stablecoins": (STABLECOINS,),
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
    asked = Asked(lake, venue, frozenset(mine), symbols, index, index + step)
    parts = {part.__name__: part(asked) for part in _PARTS}
    context = {name: told for part in parts.values() for name, told in part.context.items()}
    heard = {feed: at for part in parts.values() for feed, at in part.heard.items()}
    never = pd.DatetimeIndex([], tz="UTC")
    feeds = [*FEEDS, *sorted(set(heard) - set(FEEDS))]
    ages = {feed: age_hours(asked.closes, heard.get(feed, never)) for feed in feeds}
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
    context: dict[str, pd.DataFrame | pd.Series[Any]] = {}
    heard = {}
    for feed, sources in MACRO.items():
        found = [(asked.named(source, source.symbol), source) for source in sources]
        told = [
            asked.rows(name).select(
                "event_time", "available_at", pl.col(source.value).alias("value")
            )
            for name, source in found
            if name
        ]
        if told:
            rows = pl.concat(told)
            context[feed] = pd.Series(asked.joined(rows, "value"), index=asked.index)
            heard[feed] = _when(rows)
    return Part(context, heard)


def _whales(asked: Asked) -> Part:
    """What large transfers brought to exchanges less what they took away, USD over a day."""
    named = {base(name.symbol): name for name in asked.series if name.kind == "transfers"}
    read = {asset: asked.rows(name) for asset, name in named.items()}
    if all(rows.is_empty() for rows in read.values()):
        return Part()
    flows = {
        symbol: _day_sum(asked.closes, read[base(symbol)])
        if base(symbol) in read
        else np.full(len(asked.closes), np.nan)
        for symbol in asked.symbols
    }
    return Part({"whale_flow": asked.frame(flows)}, {"whale_flow": _when(*read.values())})


def _day_sum(closes: pd.DatetimeIndex, rows: pl.DataFrame) -> Floats:
    """Signed USD of the transfers that became known in the day before each close."""
    rows = rows.sort("available_at", maintain_order=True)
    sign = {"to_exchange": 1.0, "from_exchange": -1.0}
    signed = [
        sign.get(direction, 0.0) * (usd or 0.0)
        for direction, usd in rows.select("direction", "value_usd").iter_rows()
    ]
    heard, now = micros(instants(rows["available_at"])), micros(closes)
    total = np.concatenate([[0.0], np.cumsum(signed)])
    until = np.searchsorted(heard, now, side="right")
    since = np.searchsorted(heard, now - WHALE_HOURS * US_PER_HOUR, side="right")
    return np.where(until > 0, total[until] - total[since], np.nan)


def _book(asked: Asked) -> Part:
    """The last order book seen at the venue whose candles these are."""
    there = sorted(n for n in asked.series if (n.kind, n.venue) == ("depth", asked.venue))
    read = {
        symbol: pl.concat(told, how="diagonal_relaxed")
        for symbol in asked.symbols
        if (told := [asked.rows(name) for name in there if name.symbol == symbol])
    }
    if all(rows.is_empty() for rows in read.values()):
        return Part()
    for symbol, rows in read.items():
        read[symbol] = rows.with_columns(spread_bps=pl.col("spread") / pl.col("mid") * 1e4)
    context = {
        name: asked.frame({s: asked.joined(read.get(s), column) for s in asked.symbols})
        for name, column in (("imbalance", "imbalance_10bps"), ("spread_bps", "spread_bps"))
    }
    return Part(context, {"book": _when(*read.values())})


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
    names = [name for name in sorted(asked.series) if name.kind == "prediction"]
    if not names:
        return Part()
    never = pl.lit(None, INSTANT).alias("ends_at")
    read = [(name.venue, asked.rows(name)) for name in names]
    rows = pl.concat(
        [
            each.with_columns(venue=pl.lit(venue))
            .with_columns([] if "ends_at" in each.columns else [never])
            .select("seq", *ODDS_COLUMNS)
            for venue, each in read
        ]
    )
    rows = rows.sort("available_at", "event_time", "seq", maintain_order=True)
    clocks = {clock: instants(rows[clock]) for clock in ("available_at", "event_time")}
    table = pd.DataFrame({n: clocks.get(n, rows[n].to_list()) for n in ODDS_COLUMNS[:-1]})
    table["ends_at"] = pd.to_datetime(rows["ends_at"].to_list(), utc=True)
    context = {}
    for venue, name in FED_VENUES.items():
        told = table[table["venue"] == venue]
        if len(told):
            move = expected_move(probabilities(asked.closes, told))
            context[name] = pd.Series(move, index=asked.index)
    return Part(context, {"odds": _when(rows)}, table)


def known_odds(times: pd.DatetimeIndex, odds: pd.DataFrame) -> tuple[list[str], Floats]:
    """The last known price of every outcome that is still open at each time, and its name.

    "2024-01 down25" is the Fed as Polymarket sees it; what another venue says carries its name in
    front; of any other event the name is the event's. NaN before the first price and after the end.
    """
    names: list[str] = []
    columns: list[Floats] = []
    for venue, told in odds.groupby("venue", sort=True):
        known = [probabilities(times, told), *_events(times, told)]
        prefix = "" if FED_VENUES.get(str(venue)) == "fed_expected_bps" else f"{venue} "
        for table in known:
            names += [f"{prefix}{meeting} {outcome}" for meeting, outcome in table.columns]
            columns.append(table.to_numpy())
    return names, np.column_stack(columns) if columns else np.empty((len(times), 0))


def _events(times: pd.DatetimeIndex, odds: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The same of what is not a Fed meeting, an outcome at a time."""
    for (event, outcome), rows in odds.groupby(["meeting", "outcome"], sort=True):
        if decision_day(str(event)) is not None:
            continue
        clocks = pd.DatetimeIndex(rows["available_at"]), pd.DatetimeIndex(rows["event_time"])
        price = as_of(times, *clocks, rows["probability"].to_numpy(dtype=np.float64))
        until = rows["ends_at"].astype("datetime64[us, UTC]")
        ends = np.where(until.isna(), np.nan, until.astype("int64").astype(np.float64))
        over = micros(times) > as_of(times, *clocks, ends)
        known = np.where(over, np.nan, price)
        yield pd.DataFrame(known[:, None], index=times, columns=[(event, outcome)])


_PARTS: tuple[Callable[[Asked], Part], ...] = (
    _funding, _onchain, _macro, _whales, _book, _news, _odds,
)  # fmt: skip
