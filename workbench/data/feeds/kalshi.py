"""Kalshi: what its markets say of the Fed's decisions, and of any event named; keyless.

Hourly candles of the quotes. A candle is stamped with its END, and a row is the book at that
moment: event_time is the candle's end, and a minute later it is known. Candles of trades are not
used, as most hours have none. Settled markets move to a second set of paths after some months.
`result` is the answer and never read; closing times neither, as they move when an event decides.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, NamedTuple, NotRequired

import polars as pl
from pydantic import AliasChoices, AwareDatetime, Field, FiniteFloat
from typing_extensions import TypedDict

from workbench.data.feeds.answer import utc
from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.lags import after
from workbench.data.meetings import DECISION_DAYS
from workbench.data.odds import midpoint, table, with_devigged
from workbench.domain import UsageError
from workbench.errors import FeedError, NotFound

FOMC = SeriesName("prediction", "kalshi", "FOMC", "1h")
KNOWN = after(minutes=1)
CHUNK = timedelta(days=180)  # of hours; one request may span 5000
HOLDS = timedelta(hours=24)  # an hour in which no quote changed may have no candle
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# the last part of a Fed market's ticker; 26 stands for "more than 25"
MOVES = {"H0": "noChange", "C25": "down25", "C26": "down50", "H25": "up25", "H26": "up50"}

_Dollars = Annotated[FiniteFloat, Field(ge=0, le=1)]


class _Market(TypedDict):
    ticker: str
    event_ticker: str
    yes_sub_title: NotRequired[str | None]
    open_time: AwareDatetime
    close_time: AwareDatetime


class _Markets(TypedDict):
    markets: list[_Market]
    cursor: NotRequired[str | None]


class _Side(TypedDict):
    # the paths for settled markets name it without its unit
    close: Annotated[
        _Dollars | None, Field(validation_alias=AliasChoices("close_dollars", "close"))
    ]


class _Candle(TypedDict):
    end_period_ts: int
    yes_bid: _Side
    yes_ask: _Side
    volume: NotRequired[
        Annotated[FiniteFloat | None, Field(validation_alias=AliasChoices("volume_fp", "volume"))]
    ]


class _Candles(TypedDict):
    candlesticks: list[_Candle]


class _Leg(NamedTuple):
    """One outcome of an event. `settled`: it is listed among those that have moved."""

    meeting: str
    outcome: str
    settled: bool
    ends_at: datetime | None
    market: _Market


@dataclass(frozen=True)
class Kalshi:
    """`events`: tickers of further events; `fed_series`: the series of the Fed's decisions."""

    events: tuple[str, ...] = ()
    fed_series: str = "KXFEDDECISION"
    base_url: str = "https://external-api.kalshi.com/trade-api/v2"
    about = About(
        name="kalshi", kind="odds", provider="Kalshi trade API v2",
        limit=Limit(20, 1.0), overlap=timedelta(hours=2),
    )  # fmt: skip

    def series(self) -> Sequence[SeriesName]:
        return [FOMC, *(_named(ticker) for ticker in self.events)]

    def requests(self, name: SeriesName, start: datetime, end: datetime) -> int:
        legs = 40 if name == FOMC else 5  # a year of meetings is open at a time
        return 2 + legs * ((end - start) // CHUNK + 1)

    def fetch(self, name: SeriesName, start: datetime, end: datetime, line: Line) -> Iterator[Page]:
        legs = self._legs(name, line)
        alone = len(legs) == 1
        shares = {(leg.meeting, leg.outcome): HOLDS for leg in legs if alone or name == FOMC}
        first = start
        while first < end:
            last = min(first + CHUNK, end)
            rows = [row for leg in legs for row in self._past(leg, first, last, line)]
            told = with_devigged(table(rows), shares)
            told = told.filter(pl.col("event_time").is_between(first, last, "left"))
            yield Page(told.with_columns(available_at=KNOWN(pl.col("event_time"))), last)
            first = last

    def _legs(self, name: SeriesName, line: Line) -> list[_Leg]:
        tickers = {_named(ticker): ticker for ticker in self.events}
        if name != FOMC and name not in tickers:
            raise UsageError(
                f"{self.about.name}: {name} is not among its events; add the event's ticker to"
                " [feeds.kalshi] events"
            )
        fed = name == FOMC
        asked = {"series_ticker": self.fed_series} if fed else {"event_ticker": tickers[name]}
        legs: dict[str, _Leg] = {}
        for path, settled in (("/historical/markets", True), ("/markets", False)):
            query = {**asked, "limit": 1000, "cursor": None}
            for body in line.pages(_Markets, self.base_url + path, query, _further):
                # one that is listed on both sides counts as live
                legs |= {each["ticker"]: _leg(each, settled, fed) for each in body["markets"]}
        if not legs:
            raise FeedError(
                f"{line.feed}: {self.base_url}/markets lists no market for {name}; its ticker may"
                " have changed"
            )
        named = Counter((leg.meeting, leg.outcome) for leg in legs.values())
        return [
            leg if named[leg.meeting, leg.outcome] == 1 else leg._replace(outcome=_tail(leg.market))
            for _, leg in sorted(legs.items())
        ]

    def _past(
        self, leg: _Leg, first: datetime, last: datetime, line: Line
    ) -> Iterator[dict[str, Any]]:
        """The hours of a chunk, and those before it that still hold when it begins."""
        market = leg.market
        if market["open_time"] >= last or market["close_time"] + HOLDS <= first:
            return
        query = {
            "start_ts": int((first - HOLDS).timestamp()), "end_ts": int(last.timestamp()),
            "period_interval": 60,
        }  # fmt: skip
        for candle in self._candles(leg, query, line)["candlesticks"]:
            bid, ask = candle["yes_bid"]["close"], candle["yes_ask"]["close"]
            yield {
                "event_time": utc(candle["end_period_ts"]), "meeting": leg.meeting,
                "outcome": leg.outcome, "seq": 0, "market": market["ticker"],
                "probability": midpoint(bid, ask), "bid": bid, "ask": ask,
                "spread": None if bid is None or ask is None else ask - bid,
                "volume": candle.get("volume"), "ends_at": leg.ends_at,
            }  # fmt: skip

    def _candles(self, leg: _Leg, query: Mapping[str, int], line: Line) -> _Candles:
        ticker = leg.market["ticker"]
        moved = f"{self.base_url}/historical/markets/{ticker}/candlesticks"
        if leg.settled:
            return line.read(_Candles, moved, query)
        series = leg.market["event_ticker"].partition("-")[0]
        try:
            url = f"{self.base_url}/series/{series}/markets/{ticker}/candlesticks"
            return line.read(_Candles, url, query)
        except NotFound:
            return line.read(_Candles, moved, query)


def _further(body: _Markets) -> Mapping[str, str] | None:
    cursor = body.get("cursor")
    return {"cursor": cursor} if cursor else None


def _named(ticker: str) -> SeriesName:
    return SeriesName("prediction", "kalshi", ticker.replace("-", "_"), "1h")


def _leg(market: _Market, settled: bool, fed: bool) -> _Leg:
    tail = _tail(market)
    if not fed:
        label = market.get("yes_sub_title") or tail
        return _Leg(market["event_ticker"], label, settled, None, market)
    meeting = _meeting(market["event_ticker"])
    day = DECISION_DAYS.get(meeting)
    # the statement comes at 18:00 or 19:00 UTC
    ends_at = None if day is None else datetime.combine(day, time(19), UTC)
    return _Leg(meeting, MOVES.get(tail, tail), settled, ends_at, market)


def _tail(market: _Market) -> str:
    return market["ticker"].rpartition("-")[2]


def _meeting(event_ticker: str) -> str:
    """KXFEDDECISION-26DEC -> 2026-12. Raises FeedError for another form."""
    match = re.fullmatch(r".+-(\d\d)([A-Z]{3})", event_ticker)
    if match is None or match[2] not in MONTHS:
        raise FeedError(f"kalshi: the ticker {event_ticker} names no month of a Fed meeting")
    return f"20{match[1]}-{MONTHS.index(str(match[2])) + 1:02}"
