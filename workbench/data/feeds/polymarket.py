"""Polymarket: what its markets say of the Fed's decisions, and of any event named; keyless.

Gamma lists the events; the CLOB tells each market's past as sampled prices of Yes, which are quotes
and no trades, at uneven times. Each row is known at its sample's minute. How a market resolved is
the answer: neither `winner` nor the prices and states of resolution are read. A pull that reaches
the present adds a row with the quotes of now. Resolved markets have no hourly history.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple, NotRequired

import polars as pl
from pydantic import AwareDatetime, BeforeValidator, Field, FiniteFloat, Json
from typing_extensions import TypedDict

from workbench.data.feeds.answer import utc
from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.lags import LAGS
from workbench.data.lake import INSTANT
from workbench.data.odds import meeting_of, midpoint, table, with_devigged
from workbench.domain import UsageError
from workbench.errors import FeedError

FOMC = SeriesName("prediction", "polymarket", "FOMC", "1h")
SLICE = timedelta(days=14)  # a day short of the venue's 15, for the samples before the slice
HOURLY, RESOLVED = timedelta(minutes=60), timedelta(minutes=720)
AFTERWARDS = timedelta(days=14)  # trading goes on until the answer is beyond dispute
PRESENT = timedelta(hours=1)
_FED = re.compile(
    r"fed-(decision-in|interest-rates)-(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
)
_MOVE = re.compile(r"(\d+)\+?\s*bps?\s+(decrease|increase)|(decrease|increase)\D*(\d+)\+?\s*bps?")

# an empty string means null
_Text = Annotated[str | None, BeforeValidator(lambda told: told or None)]
_Moment = Annotated[AwareDatetime | None, BeforeValidator(lambda told: told or None)]
_Decoded = Annotated[Json[list[str]] | None, BeforeValidator(lambda told: told or None)]
_Price = Annotated[FiniteFloat, Field(ge=0, le=1)]


class _Market(TypedDict):
    slug: str
    question: NotRequired[_Text]
    groupItemTitle: NotRequired[_Text]
    outcomes: NotRequired[_Decoded]
    clobTokenIds: NotRequired[_Decoded]
    closed: NotRequired[bool | None]
    startDate: NotRequired[_Moment]
    endDate: NotRequired[_Moment]
    bestBid: NotRequired[_Price | None]
    bestAsk: NotRequired[_Price | None]
    spread: NotRequired[FiniteFloat | None]
    liquidityNum: NotRequired[FiniteFloat | None]
    volumeNum: NotRequired[FiniteFloat | None]


class _Event(TypedDict):
    slug: str
    endDate: NotRequired[_Moment]
    negRisk: NotRequired[bool | None]
    markets: list[_Market]


class _Events(TypedDict):
    events: list[_Event]
    next_cursor: NotRequired[str | None]


class _Sample(TypedDict):
    t: int
    p: _Price


class _History(TypedDict):
    history: list[_Sample]


class _Leg(NamedTuple):
    """One outcome of an event; `token` "" if it is not traded. `shares`: in a sum with others."""

    meeting: str
    outcome: str
    token: str
    shares: bool
    market: _Market

    @property
    def every(self) -> timedelta:
        return RESOLVED if self.market.get("closed") else HOURLY


@dataclass(frozen=True)
class Polymarket:
    """`events`: slugs of further events, as in the address of their page."""

    events: tuple[str, ...] = ()
    gamma_url: str = "https://gamma-api.polymarket.com"
    clob_url: str = "https://clob.polymarket.com"
    about = About(
        name="polymarket", kind="odds", provider="Polymarket, Gamma and CLOB",
        limit=Limit(500, 10.0), overlap=timedelta(hours=2),
    )  # fmt: skip

    def series(self) -> Sequence[SeriesName]:
        return [FOMC, *(_named(slug) for slug in self.events)]

    def requests(self, name: SeriesName, start: datetime, end: datetime) -> int:
        legs = 25 if name == FOMC else 4  # five or six meetings are open at a time
        return 2 + legs * ((end - start) // SLICE + 1)

    def fetch(self, name: SeriesName, start: datetime, end: datetime, line: Line) -> Iterator[Page]:
        legs = self._legs(name, line)
        polled_at = line.now()
        # a price holds until two more should have come
        holds = {(leg.meeting, leg.outcome): 2 * leg.every for leg in legs if leg.shares}
        first = start
        while first < end:
            last = min(first + SLICE, end)
            rows = [row for leg in legs for row in self._past(leg, first, last, line)]
            if last == end and polled_at - end <= PRESENT:
                rows += [_quotes(leg, end, polled_at) for leg in legs if _open(leg)]
            told = with_devigged(table(rows), holds)
            told = told.filter(pl.col("event_time").is_between(first, last, "left"))
            known_at = LAGS["polymarket"](pl.col("event_time"))
            # what was polled has its own moment
            known_at = pl.coalesce("available_at", known_at).cast(INSTANT)
            yield Page(told.with_columns(available_at=known_at), last)
            first = last

    def _legs(self, name: SeriesName, line: Line) -> list[_Leg]:
        slugs = {_named(slug): slug for slug in self.events}
        if name != FOMC and name not in slugs:
            raise UsageError(
                f"{self.about.name}: {name} is not among its events; add the event's slug to"
                " [feeds.polymarket] events"
            )
        asked = {"tag_slug": "fed-rates"} if name == FOMC else {"slug": slugs[name]}
        wanted = _FED if name == FOMC else re.compile(re.escape(slugs[name]) + "$")
        found = [event for event in self._events(asked, line) if wanted.match(event["slug"])]
        legs = _fed_legs(found) if name == FOMC else [leg for e in found for leg in _legs(e)]
        if not any(leg.token for leg in legs):
            raise FeedError(
                f"{line.feed}: {self.gamma_url}/events/keyset lists no traded market for {name};"
                " the event's slug or the tag may have changed"
            )
        return legs

    def _events(self, asked: Mapping[str, str], line: Line) -> Iterator[_Event]:
        url = f"{self.gamma_url}/events/keyset"
        for closed in ("false", "true"):  # the default leaves one of them out
            query = {**asked, "closed": closed, "limit": 100, "after_cursor": None}
            for body in line.pages(_Events, url, query, _further):
                yield from body["events"]

    def _past(
        self, leg: _Leg, first: datetime, last: datetime, line: Line
    ) -> Iterator[dict[str, Any]]:
        """The samples of a slice, and those before it that still hold when it begins."""
        opens, ends = leg.market.get("startDate"), leg.market.get("endDate")
        over = leg.market.get("closed") and ends is not None and ends + AFTERWARDS <= first
        if not leg.token or over or (opens is not None and opens >= last):
            return
        query = {
            "market": leg.token, "fidelity": int(leg.every.total_seconds() // 60),
            "startTs": int((first - 2 * leg.every).timestamp()), "endTs": int(last.timestamp()),
        }  # fmt: skip
        for sample in line.read(_History, f"{self.clob_url}/prices-history", query)["history"]:
            yield _row(leg) | {"event_time": utc(sample["t"]), "probability": sample["p"]}


def _further(body: _Events) -> Mapping[str, str] | None:
    cursor = body.get("next_cursor")
    return {"after_cursor": cursor} if cursor else None


def _named(slug: str) -> SeriesName:
    return SeriesName("prediction", "polymarket", slug.replace("-", "_"), "1h")


def _open(leg: _Leg) -> bool:
    return bool(leg.token) and leg.market.get("closed") is False


def _fed_legs(events: Sequence[_Event]) -> list[_Leg]:
    """The legs of each meeting; of two events about one the one with the shorter name counts."""
    by_meeting: dict[str, list[_Leg]] = {}
    for event in sorted(events, key=lambda event: (len(event["slug"]), event["slug"])):
        ends = event.get("endDate")
        if ends is None:
            raise FeedError(f"polymarket: the event {event['slug']} has no endDate to name it by")
        by_meeting.setdefault(meeting_of(ends), _legs(event, meeting_of(ends)))
    return [leg for meeting in sorted(by_meeting) for leg in by_meeting[meeting]]


def _legs(event: _Event, meeting: str = "") -> list[_Leg]:
    """An event's outcomes. They share in a sum if they exclude one another, as a Fed meeting's do
    and those of an event with shared risk."""
    shares = bool(meeting or event.get("negRisk") or len(event["markets"]) == 1)
    legs: dict[str, _Leg] = {}
    for market in event["markets"]:
        label = market.get("groupItemTitle") or market.get("question") or market["slug"]
        outcome = (_move(label) if meeting else None) or label
        if outcome in legs:
            outcome = market["slug"]
        legs[outcome] = _Leg(meeting or event["slug"], outcome, _yes(market), shares, market)
    return list(legs.values())


def _move(label: str) -> str | None:
    """ "50+ bps decrease" or "... decrease interest rates by 50+ bps ...?" -> down50."""
    if "no change" in label.lower():
        return "noChange"
    match = _MOVE.search(label.lower())
    if match is None:
        return None
    size, way = (match[1], match[2]) if match[1] else (match[4], match[3])
    return f"{'up' if way == 'increase' else 'down'}{size}"


def _yes(market: _Market) -> str:
    """The token that pays if it happens, "" if the market has none."""
    outcomes, tokens = market.get("outcomes"), market.get("clobTokenIds")
    if not outcomes or not tokens or len(outcomes) != len(tokens):
        return ""
    return tokens[outcomes.index("Yes") if "Yes" in outcomes else 0]


def _row(leg: _Leg) -> dict[str, Any]:
    market = leg.market
    return {
        "meeting": leg.meeting, "outcome": leg.outcome, "seq": 0, "market": market["slug"],
        "ends_at": market.get("endDate"),
    }  # fmt: skip


def _quotes(leg: _Leg, end: datetime, polled_at: datetime) -> dict[str, Any]:
    """The quotes of now, as the range's last moment; known when they were read."""
    market = leg.market
    bid, ask = market.get("bestBid"), market.get("bestAsk")
    return _row(leg) | {
        "event_time": end - timedelta(microseconds=1), "available_at": max(polled_at, end),
        "probability": midpoint(bid, ask),
        "bid": bid, "ask": ask, "spread": market.get("spread"),
        "liquidity": market.get("liquidityNum"), "volume": market.get("volumeNum"),
    }  # fmt: skip
