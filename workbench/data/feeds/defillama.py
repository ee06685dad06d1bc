"""DefiLlama: value locked on chains and in protocols, fees, volumes, stablecoin supply. Keyless.

A day's value is stamped with its start. The last element is the live value and left out, as is
every day that is not over. Nothing is kept of what was said before: the series are computed anew
when an adapter is mended, so a value from the past is today's view of it.

Symbols: a chain has its own name (ETHEREUM), a protocol its slug (AAVE~PROTOCOL), both in
capitals with _ for whatever else stands in them; STABLECOINS is all of them together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from urllib.parse import quote

import polars as pl
from pydantic import FiniteFloat
from typing_extensions import TypedDict

from workbench.data.feeds.answer import utc
from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.lags import after
from workbench.data.lake import INSTANT
from workbench.errors import FeedError, UsageError

# fees and volumes of a day are computed in the course of the next
LAG = after(days=1, hours=15)
DAY_S = 86_400
_PROTOCOL = "~PROTOCOL"
_STABLECOINS = "STABLECOINS"

Point = tuple[int, FiniteFloat | None]  # seconds since 1970, value


class _ChainTvl(TypedDict):
    date: int
    tvl: FiniteFloat | None


class _ProtocolTvl(TypedDict):
    date: int
    totalLiquidityUSD: FiniteFloat | None


class _Protocol(TypedDict):
    tvl: list[_ProtocolTvl]


class _Summary(TypedDict):
    totalDataChart: list[Point]


class _Circulating(TypedDict):
    peggedUSD: FiniteFloat


class _Supply(TypedDict):
    date: int
    totalCirculating: _Circulating


@dataclass(frozen=True)
class DefiLlama:
    """`chains` as the provider spells them; the others are its slugs of protocols, those whose
    value locked, fees and volume to take. Raises UsageError if two have the same symbol."""

    chains: tuple[str, ...] = ("Ethereum", "Solana", "BSC", "Base", "Arbitrum")
    tvl_of: tuple[str, ...] = ("aave", "lido", "uniswap")
    fees_of: tuple[str, ...] = ("aave", "lido", "uniswap")
    volume_of: tuple[str, ...] = ("uniswap",)
    stablecoins: bool = True
    base_url: str = "https://api.llama.fi"
    stablecoins_url: str = "https://stablecoins.llama.fi"
    about = About(
        name="defillama", kind="on-chain", provider="DefiLlama",
        limit=Limit(60, 60.0), overlap=timedelta(days=30), turn=timedelta(hours=1),
    )  # fmt: skip

    def __post_init__(self) -> None:
        names = [*self.chains, *self._protocols()]
        if len(set(self._symbols())) < len(names):
            raise UsageError("defillama: two chains or two protocols would have the same symbol")

    def series(self) -> Sequence[SeriesName]:
        symbols = [*self._symbols(), *([_STABLECOINS] if self.stablecoins else [])]
        return [SeriesName("onchain", "defillama", symbol, "1d") for symbol in symbols]

    def requests(self, name: SeriesName, _start: datetime, _end: datetime) -> int:
        if not name.symbol.endswith(_PROTOCOL):
            return 1
        slug = self._named(name)
        return sum(slug in slugs for slugs in (self.tvl_of, self.fees_of, self.volume_of))

    def fetch(self, name: SeriesName, start: datetime, end: datetime, line: Line) -> Iterator[Page]:
        """One page: the provider tells the whole history whatever is asked for."""
        told = [
            _days(column, points, line)
            for column, points in self._columns(name, line)
        ]  # fmt: skip
        rows = reduce(lambda a, b: a.join(b, on="event_time", how="full", coalesce=True), told)
        over = pl.col("event_time") + pl.duration(days=1) <= line.now()
        rows = rows.filter(over, pl.col("event_time") >= start, pl.col("event_time") < end)
        known_at = LAG(pl.col("event_time")).cast(INSTANT).alias("available_at")
        yield Page(
            rows.select("event_time", known_at, pl.exclude("event_time")).sort("event_time"), end
        )

    def _columns(self, name: SeriesName, line: Line) -> Iterator[tuple[str, list[Point]]]:
        api = self.base_url
        if name.symbol == _STABLECOINS:
            supply = line.read(list[_Supply], f"{self.stablecoins_url}/stablecoincharts/all")
            yield (
                "circulating_usd",
                [(p["date"], p["totalCirculating"]["peggedUSD"]) for p in supply],
            )
            return
        named = self._named(name)
        if not name.symbol.endswith(_PROTOCOL):
            chain = line.read(list[_ChainTvl], f"{api}/v2/historicalChainTvl/{quote(named)}")
            yield "tvl_usd", [(p["date"], p["tvl"]) for p in chain]
            return
        if named in self.tvl_of:
            tvl = line.read(_Protocol, f"{api}/protocol/{named}")["tvl"]
            yield "tvl_usd", [(p["date"], p["totalLiquidityUSD"]) for p in tvl]
        if named in self.fees_of:
            url, query = f"{api}/summary/fees/{named}", {"dataType": "dailyFees"}
            yield "fees_usd", line.read(_Summary, url, query)["totalDataChart"]
        if named in self.volume_of:
            yield "volume_usd", line.read(_Summary, f"{api}/summary/dexs/{named}")["totalDataChart"]

    def _protocols(self) -> list[str]:
        return list(dict.fromkeys([*self.tvl_of, *self.fees_of, *self.volume_of]))

    def _symbols(self) -> dict[str, str]:
        """The provider's own name of each symbol."""
        chains = {_symbol(chain): chain for chain in self.chains}
        return chains | {_symbol(slug) + _PROTOCOL: slug for slug in self._protocols()}

    def _named(self, name: SeriesName) -> str:
        try:
            return self._symbols()[name.symbol]
        except KeyError:
            raise UsageError(
                f"defillama: {name.symbol} is not among its chains and protocols; add it there"
            ) from None


def _symbol(name: str) -> str:
    return re.sub(r"[^A-Z0-9.]+", "_", name.upper())


def _days(column: str, points: Sequence[Point], line: Line) -> pl.DataFrame:
    """event_time and the column; of two values of one day the later said counts."""
    whole = {}
    for at, (seconds, value) in enumerate(points):
        if seconds % DAY_S == 0:
            whole[seconds] = value
        elif at < len(points) - 1:  # the last one is live
            raise FeedError(
                f"{line.feed}: {column} has a value at {utc(seconds):%Y-%m-%d %H:%M:%S}, which is"
                " not a day's start"
            )
    return pl.DataFrame(
        {"event_time": [utc(seconds) for seconds in whole], column: list(whole.values())},
        schema={"event_time": INSTANT, column: pl.Float64},
    )
