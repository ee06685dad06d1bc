"""What the other feeds said, joined as of each bar's close.

Reads the lake and answers frames (bars x symbols) and series (bars) for `Panel.context`, and how
long ago each feed was heard of. A name is left out when the lake has no such feed at all; a symbol
that a feed does not cover is a column of NaN. The sample world and recorded data never mix: a
venue called "sample" (perpetuals: "sample_perp") is told only what "sample" said, and no other
venue ever hears of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from workbench.arrays import Floats
from workbench.data.asked import SAMPLE, Asked, Part, Source, base, when
from workbench.data.carry import annualised
from workbench.data.join import US_PER_HOUR, age_hours, instants, micros
from workbench.data.lake import Lake
from workbench.data.opinions import (
    FED_VENUES,
    HEADLINE_COLUMNS,
    ODDS_COLUMNS,
    judged,
    known_odds,
    news,
    odds,
    thresholds,
)
from workbench.domain import is_carry, underlying

__all__ = [
    "FED_VENUES",
    "FEEDS",
    "MACRO",
    "SAMPLE",
    "STALE_HOURS",
    "STALE_OTHERWISE",
    "gather",
    "known_odds",
    "stale",
]  # fmt: skip

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


WHALE_HOURS = 24
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


def gather(
    lake: Lake, venue: str, symbols: tuple[str, ...], index: pd.DatetimeIndex, step: pd.Timedelta
) -> tuple[dict[str, pd.DataFrame | pd.Series[Any]], pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Context, headlines, odds and ages of the bars that open at `index`."""
    mine = (name for name in lake.series() if made_up(name.venue) == made_up(venue))
    asked = Asked(lake, venue, frozenset(mine), symbols, index, index + step)
    parts = {part.__name__: part(asked) for part in _PARTS}
    context = {name: told for part in parts.values() for name, told in part.context.items()}
    heard = {feed: at for part in parts.values() for feed, at in part.heard.items()}
    never = pd.DatetimeIndex([], tz="UTC")
    feeds = [*FEEDS, *sorted(set(heard) - set(FEEDS))]
    ages = {feed: age_hours(asked.closes, heard.get(feed, never)) for feed in feeds}
    headlines, bets = parts["news"].table, parts["odds"].table
    return (
        context,
        _nothing(HEADLINE_COLUMNS) if headlines is None else headlines,
        _nothing(ODDS_COLUMNS) if bets is None else bets,
        asked.frame(ages),
    )


def _nothing(columns: tuple[str, ...]) -> pd.DataFrame:
    never = pd.DatetimeIndex([], tz="UTC")
    clocks = ("available_at", "event_time")
    return pd.DataFrame({name: never if name in clocks else [] for name in columns})


def made_up(venue: str) -> bool:
    """Is it of the sample world, spot or perpetuals?"""
    return venue.removesuffix("_perp") == SAMPLE


def _funding(asked: Asked) -> Part:
    """The last settled rate, and it and the mean of the last three by the year (NaN once stale)."""
    if not any(name.kind == "funding" for name in asked.series):
        return Part()
    named = {symbol: asked.named(_paid_by(asked, symbol), underlying(symbol))
             for symbol in asked.symbols}  # fmt: skip
    read = {symbol: asked.rows(name) for symbol, name in named.items() if name}
    columns = {symbol: _rates(asked, read.get(symbol)) for symbol in asked.symbols}
    names = ("funding", "funding_apr", "funding_apr_3")
    context = {n: asked.frame({s: told[n] for s, told in columns.items()}) for n in names}
    return Part(context, {"funding": when(*read.values())} if read else {})


def _paid_by(asked: Asked, symbol: str) -> Source:
    """Who tells the funding: of a pair the exchange whose perpetual it is short of."""
    return (
        FUNDING._replace(venue=asked.venue.removesuffix("_spot")) if is_carry(symbol) else FUNDING
    )


def _rates(asked: Asked, rows: pl.DataFrame | None) -> dict[str, Floats]:
    told = {"funding": asked.joined(rows, FUNDING.value)}
    silent = age_hours(asked.closes, when(rows)) if rows is not None else np.inf
    for name, intervals in (("funding_apr", 1), ("funding_apr_3", 3)):
        apr = None if rows is None else annualised(rows, intervals)
        known = silent <= STALE_HOURS["funding"]
        told[name] = np.where(known, asked.joined(apr, "apr"), np.nan)
    return told


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
            heard[name] = when(*(rows.drop_nulls(source.value) for rows in told))
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
            heard[feed] = when(rows)
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
    return Part({"whale_flow": asked.frame(flows)}, {"whale_flow": when(*read.values())})


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
    return Part(context, {"book": when(*read.values())})


_PARTS: tuple[Callable[[Asked], Part], ...] = (
    _funding, _onchain, _macro, _whales, _book, news, judged, odds, thresholds,
)  # fmt: skip
