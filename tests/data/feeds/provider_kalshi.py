"""Kalshi as its documentation describes it: dollars as strings, candles by their end, two tiers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import Reply, Request, reply
from workbench.data.feeds.kalshi import FOMC, Kalshi

BASE = "/trade-api/v2"
START, END = datetime(2026, 11, 18, tzinfo=UTC), datetime(2026, 11, 19, tzinfo=UTC)
# ticker -> (bid, ask) and the tier that it is in
LIVE = {
    "KXFEDDECISION-26DEC-C25": (0.58, 0.60), "KXFEDDECISION-26DEC-C26": (0.00, 0.02),
    "KXFEDDECISION-26DEC-H0": (0.42, 0.44), "KXRAIN-26DEC-T1": (0.30, 0.40),
}  # fmt: skip
SETTLED = {"KXFEDDECISION-26MAR-H0": (0.97, 0.99)}


def answer(request: Request) -> Reply:
    if not request.path.startswith(BASE):
        return missing()
    match request.path.removeprefix(BASE).strip("/").split("/"):
        case ["markets"]:
            return listed(LIVE, request.query, per_page=2)
        case ["historical", "markets"]:
            return listed(SETTLED, request.query, per_page=1000)
        case ["series", series, "markets", ticker, "candlesticks"] if ticker in LIVE:
            assert ticker.startswith(series + "-")
            return candles(LIVE[ticker], request.query, "_dollars")
        case ["historical", "markets", ticker, "candlesticks"] if ticker in SETTLED:
            return candles(SETTLED[ticker], request.query, "")
    return missing()


def missing() -> Reply:
    return reply({"error": {"code": "not_found", "message": "not found"}}, 404)


def listed(tier: dict[str, tuple[float, float]], asked: dict[str, str], per_page: int) -> Reply:
    series, event = asked.get("series_ticker", ""), asked.get("event_ticker", "")
    told = [t for t in tier if t.startswith(f"{series}-") or t.rpartition("-")[0] == event]
    at = int(asked.get("cursor") or 0)
    following = str(at + per_page) if at + per_page < len(told) else ""
    return reply({"markets": [market(t) for t in told[at : at + per_page]], "cursor": following})


def market(ticker: str) -> dict[str, Any]:
    settled = ticker in SETTLED
    return {
        "ticker": ticker, "event_ticker": ticker.rpartition("-")[0],
        "status": "finalized" if settled else "active", "yes_sub_title": f"Yes of {ticker}",
        "open_time": "2025-12-01T15:00:00Z",
        "close_time": "2026-03-18T18:00:00Z" if settled else "2026-12-09T18:55:00Z",
        "expected_expiration_time": "2026-12-09T19:05:00Z", "liquidity_dollars": "0.0000",
        "result": "yes" if settled else "", "last_price_dollars": "0.4000",
    }  # fmt: skip


def candles(quotes: tuple[float, float], asked: dict[str, str], unit: str) -> Reply:
    first, last = int(asked["start_ts"]), int(asked["end_ts"])
    if (last - first) / 3600 > 5000:
        return reply({"error": {"code": "bad_request", "message": "max candlesticks: 5000"}}, 400)
    told = []
    at = datetime(2025, 12, 2, tzinfo=UTC)
    while at.timestamp() <= last:
        if at.timestamp() >= first:
            told.append(candle(at, quotes, unit))
        at += timedelta(hours=6)
    return reply({"ticker": "", "candlesticks": told})


def candle(ends: datetime, quotes: tuple[float, float], unit: str) -> dict[str, Any]:
    def side(price: float) -> dict[str, str]:
        return {f"{each}{unit}": f"{price:.4f}" for each in ("open", "high", "low", "close")}

    return {
        "end_period_ts": int(ends.timestamp()), "yes_bid": side(quotes[0]),
        "yes_ask": side(quotes[1]), "price": {"previous_dollars": "0.4000"},
        "volume_fp" if unit else "volume": "12.00", "open_interest_fp": "26500.00",
    }  # fmt: skip


def drifted(right: Reply) -> Reply:
    body = json.loads(right.body)
    for each in body.get("candlesticks", ()):
        each["start_period_ts"] = each.pop("end_period_ts")
    return replace(right, body=json.dumps(body).encode())


# three legs, every six hours of a day
CASES = [
    Case(
        "kalshi", lambda url: Kalshi(base_url=f"{url}{BASE}"), FOMC, START, END, answer, drifted,
        rows=12,
    )
]  # fmt: skip
