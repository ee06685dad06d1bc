"""Polymarket as its documentation describes it: JSON inside strings, cursors, sampled prices.

Prices every twelve hours, each market some minutes after the last; the answers (`winner`,
`outcomePrices`, `resolvedBy`) are in what it tells, for a feed to leave alone.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import NOW, Reply, Request, reply
from workbench.data.feeds.polymarket import FOMC, Polymarket

START, END = datetime(2026, 10, 26, tzinfo=UTC), datetime(2026, 11, 12, tzinfo=UTC)
SAMPLED = timedelta(hours=12)
DECEMBER = {"50+ bps decrease": 0.05, "25 bps decrease": 0.60, "No change": 0.40}
OCTOBER = {"25 bps decrease": 0.90, "No change": 0.12}


def answer(request: Request) -> Reply:
    if request.path == "/events/keyset":
        return listed(request.query)
    if request.path == "/prices-history":
        return history(request.query)
    return reply({"type": "not found error"}, 404)


def listed(asked: dict[str, str]) -> Reply:
    if "offset" in asked or "closed" not in asked:
        return reply({"type": "validation error", "error": "offset"}, 422)
    closed = asked["closed"] == "true"
    told = [each for each in EVENTS if each["closed"] == closed and matches(each, asked)]
    at = int(asked.get("after_cursor", "0"))
    body: dict[str, Any] = {"events": told[at : at + 1]}
    if at + 1 < len(told):
        body["next_cursor"] = str(at + 1)
    return reply(body)


def matches(event: dict[str, Any], asked: dict[str, str]) -> bool:
    if "slug" in asked:
        return event["slug"] == asked["slug"]
    return asked["tag_slug"] == "fed-rates" and event["tagged"]


def history(asked: dict[str, str]) -> Reply:
    market = MARKETS[asked["market"]]
    first, last, fidelity = (int(asked[each]) for each in ("startTs", "endTs", "fidelity"))
    if last - first > timedelta(days=15).total_seconds():
        return reply({"error": "invalid filters: 'startTs' and 'endTs' interval is too long"}, 400)
    if market["closed"] and fidelity < 720:
        return reply({"history": []})
    at = datetime(2026, 10, 1, tzinfo=UTC) + timedelta(minutes=market["delay"])
    until = market["traded_until"]
    samples = []
    while at < until:
        if first <= at.timestamp() <= last:
            samples.append({"t": int(at.timestamp()), "p": market["price"]})
        at += SAMPLED
    return reply({"history": samples})


def market(token: int, title: str, price: float, *, ends: datetime, closed: bool) -> dict[str, Any]:
    slug = f"fed-{token}-{ends:%Y-%m}"
    return {
        "id": str(token), "slug": slug, "question": f"Will the Fed ... {slug}?",
        "groupItemTitle": title, "conditionId": "0x00", "outcomes": json.dumps(["Yes", "No"]),
        "outcomePrices": json.dumps(["1", "0"] if closed else [str(price), str(1 - price)]),
        "clobTokenIds": json.dumps([str(token), str(token + 1)]),
        "active": True, "closed": closed, "negRisk": True, "startDate": "2026-09-01T00:00:00Z",
        "endDate": f"{ends:%Y-%m-%dT%H:%M:%SZ}", "closedTime": "2026-10-28 19:02:11+00",
        "umaResolutionStatus": "resolved" if closed else "", "resolvedBy": "0x00",
        "bestBid": round(price - 0.01, 4), "bestAsk": round(price + 0.01, 4), "spread": 0.02,
        "liquidityNum": 1e5 + token, "volumeNum": 2e6 + token,
    }  # fmt: skip


def event(
    slug: str, legs: dict[str, float], first: int, ends: datetime, closed: bool, tagged: bool = True
) -> dict[str, Any]:
    markets = [
        market(first + 2 * i, title, price, ends=ends, closed=closed)
        for i, (title, price) in enumerate(legs.items())
    ]
    return {
        "id": str(first), "slug": slug, "title": slug, "endDate": f"{ends:%Y-%m-%dT%H:%M:%SZ}",
        "closed": closed, "negRisk": len(markets) > 1, "markets": markets, "tagged": tagged,
    }  # fmt: skip


EVENTS = [
    event("who-chairs-the-fed", {"Ada": 0.5}, 900, datetime(2027, 1, 31, tzinfo=UTC), False),
    event("fed-decision-in-december-123", DECEMBER, 100, datetime(2026, 12, 9, tzinfo=UTC), False),
    event("fed-decision-in-october", OCTOBER, 200, datetime(2026, 10, 28, tzinfo=UTC), True),
    event("will-it-rain", {"": 0.3}, 300, datetime(2027, 1, 1, tzinfo=UTC), False, tagged=False),
]
MARKETS = {
    json.loads(each["clobTokenIds"])[0]: {
        "price": price, "closed": each["closed"], "delay": int(each["id"]) % 10,
        "traded_until": datetime(2026, 10, 29, tzinfo=UTC) if each["closed"] else NOW,
    }
    for parent in EVENTS
    for each in parent["markets"]
    for price in [round(each["bestBid"] + 0.01, 4)]
}  # fmt: skip


def drifted(right: Reply) -> Reply:
    body = json.loads(right.body)
    for each in body.get("history", ()):
        each["price"] = each.pop("p")
    return replace(right, body=json.dumps(body).encode())


# 17 days twice a day for three legs of December, three days twice a day for two of October
CASES = [
    Case(
        "polymarket", lambda url: Polymarket(gamma_url=url, clob_url=url), FOMC, START, END,
        answer, drifted, rows=17 * 2 * 3 + 3 * 2 * 2,
    )
]  # fmt: skip
