"""Dune as its clients read it: the last result of a saved query, by offset."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import Reply, Request, reply
from workbench.data.feeds.dune import Dune, Query
from workbench.data.feeds.feed import SeriesName

START, END = datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
PAGE = 4


def answer(request: Request) -> Reply:
    """Newest first, as a query may be; the 20th was not over when it ran."""
    if "X-Dune-Api-Key" not in request.headers:
        return reply({"error": "invalid API Key"}, 401)
    if request.path != "/api/v1/query/1234/results":
        return reply({"error": "not found: Query not found or private"}, 404)
    days = [START + timedelta(days=10 - i) for i in range(11)]
    told = [
        {
            "day": f"{day:%Y-%m-%d} 00:00:00.000 UTC",
            "volume_usd": str(day.day * 10**20),
            "label": "x",
        }
        for day in days
    ]
    at = int(request.query["offset"])
    body = result(told[at : at + PAGE])
    if at + PAGE < len(told):
        following = f"http://{request.headers['Host']}{request.path}?offset={at + PAGE}"
        body |= {"next_offset": at + PAGE, "next_uri": following}
    return reply(body)


def result(rows: list[dict[str, object]], **more: object) -> dict[str, object]:
    kinds = {"day": "timestamp(3) with time zone", "volume_usd": "uint256", "label": "varchar"}
    return {
        "execution_id": "01HX", "query_id": 1234, "is_execution_finished": True,
        "state": "QUERY_STATE_COMPLETED", "execution_ended_at": "2026-11-20T10:00:09.5Z",
        "expires_at": "2027-02-18T10:00:09Z",
        "result": {
            "rows": rows,
            "metadata": {"column_names": list(kinds), "column_types": list(kinds.values())},
        },
    } | more  # fmt: skip


def drifted(right: Reply) -> Reply:
    body = json.loads(right.body)
    body["result"]["data"] = body["result"].pop("rows")
    return replace(right, body=json.dumps(body).encode())


CASES = [
    Case(
        "dune", lambda url: Dune({"DEX_VOLUME": Query(1234)}, base_url=f"{url}/api/v1"),
        SeriesName("onchain", "dune", "DEX_VOLUME", "1d"), START, END, answer, drifted,
        key="dune-key-0001", rows=10,
    )
]  # fmt: skip
