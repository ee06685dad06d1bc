"""alternative.me's index: strings, newest first, a countdown on the newest only."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import Reply, Request, reply
from workbench.data.feeds.fear_greed import FNG, FearGreed

START, END = datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)
NEWEST = datetime(2026, 11, 20, tzinfo=UTC)
MISSING = datetime(2026, 11, 14, tzinfo=UTC)


def answer(request: Request) -> Reply:
    if request.path != "/fng/":
        return reply({"error": request.path}, 404)
    wanted = int(request.query["limit"])
    days = [NEWEST - timedelta(days=i) for i in range(60)]
    told = [row(day) for day in days if day != MISSING][:wanted]
    told[0]["time_until_update"] = "24000"
    return reply({"name": "Fear and Greed Index", "data": told, "metadata": {"error": None}})


def row(day: datetime) -> dict[str, str]:
    value = 40 + day.day
    return {
        "value": str(value), "value_classification": "Greed" if value > 50 else "Fear",
        "timestamp": str(int(day.timestamp())),
    }  # fmt: skip


def drifted(right: Reply) -> Reply:
    body = json.loads(right.body)
    for each in body["data"]:
        each["score"] = each.pop("value")
    return replace(right, body=json.dumps(body).encode())


CASES = [
    Case(
        "fear_greed", lambda url: FearGreed(base_url=url), FNG, START, END, answer, drifted, rows=9
    )
]
