"""Coin Metrics as its documentation describes it: pages, strings for numbers, status times."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import Reply, Request, reply
from workbench.data.feeds.coinmetrics import CoinMetrics
from workbench.data.feeds.feed import SeriesName

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 11, tzinfo=UTC)
PAGE = 4  # rows a page here, so that ten days are three pages


def answer(request: Request) -> Reply:
    if request.path != "/v4/timeseries/asset-metrics":
        return reply({"error": {"type": "not_found", "message": request.path}}, 404)
    asked = request.query
    first = datetime.fromisoformat(asked["start_time"] + "+00:00")
    last = datetime.fromisoformat(asked["end_time"] + "+00:00")
    days = [START + timedelta(days=i) for i in range(10)]
    told = [day for day in days if first <= day < last]
    at = int(asked.get("next_page_token", 0))
    rows = [row(day) for day in told[at : at + PAGE]]
    body: dict[str, object] = {"data": rows}
    if at + PAGE < len(told):
        query = "&".join(f"{k}={v}" for k, v in (asked | {"next_page_token": at + PAGE}).items())
        host = request.headers["Host"]
        body |= {
            "next_page_token": str(at + PAGE),
            "next_page_url": f"http://{host}{request.path}?{query}",
        }
    return reply(body)


def row(day: datetime) -> dict[str, str | None]:
    reviewed = day + timedelta(days=1, hours=11)
    return {
        "asset": "btc", "time": f"{day:%Y-%m-%dT%H:%M:%S}.000000000Z",
        "FlowInExUSD": f"{day.day * 1e6:.2f}", "FlowOutExUSD": None if day.day == 5 else "7.5",
        "CapMVRVCur": "1.9", "CapMVRVCur-status": "reviewed",
        "CapMVRVCur-status-time": f"{reviewed:%Y-%m-%dT%H:%M:%S}.847251000Z",
    }  # fmt: skip


def drifted(right: Reply) -> Reply:
    body = json.loads(right.body)
    for each in body["data"]:
        each["timestamp"] = each.pop("time")
    return replace(right, body=json.dumps(body).encode())


CASES = [
    Case(
        "coinmetrics", lambda url: CoinMetrics(base_url=f"{url}/v4"),
        SeriesName("onchain", "coinmetrics", "BTC", "1d"), START, END, answer, drifted, rows=10,
    )
]  # fmt: skip
