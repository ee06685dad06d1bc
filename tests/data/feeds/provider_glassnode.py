"""Glassnode as its clients read it: one request a metric, points by the second they begin."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import NOW, Reply, Request, reply
from workbench.data.feeds.feed import SeriesName
from workbench.data.feeds.glassnode import Glassnode

START, END = datetime(2026, 11, 11, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
DAY = timedelta(days=1)


def answer(request: Request) -> Reply:
    """Ten days; the last is the provider's today, which is not over."""
    if "X-Api-Key" not in request.headers:
        return Reply(401, b"Unauthorized", "text/plain")
    if not request.path.startswith("/v1/metrics/"):
        return reply({"message": "not found"}, 404)
    asked = request.query
    days = [START + i * DAY for i in range(10)]
    told = [day for day in days if int(asked["s"]) <= day.timestamp() < int(asked["u"])]
    return reply([point(day, pit=request.path.endswith("_pit")) for day in told])


def point(day: datetime, pit: bool) -> dict[str, object]:
    value = None if day.day == 13 else day.day * 1.5
    told: dict[str, object] = {"t": int(day.timestamp()), "v": value}
    if pit:
        computed = min(day + DAY + timedelta(seconds=225), NOW)
        told["computed_at"] = int(computed.timestamp())
    return told


def drifted(right: Reply) -> Reply:
    points = [{"ts": each.pop("t"), **each} for each in json.loads(right.body)]
    return replace(right, body=json.dumps(points).encode())


CASES = [
    Case(
        name, lambda url, pit=pit: Glassnode(base_url=url, pit=pit),
        SeriesName("onchain", "glassnode", "BTC", "1d"), START, END, answer, drifted,
        key="glassnode-key-0001", rows=9,
    )
    for name, pit in (("glassnode point in time", True), ("glassnode restated", False))
]  # fmt: skip
