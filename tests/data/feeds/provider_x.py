"""X's recent search as its documentation describes it: fewer posts a page than asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import NOW, Reply, Request, reply
from workbench.data.feeds.feed import SeriesName
from workbench.data.feeds.x import X

START, END = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
PAGE, POSTS = 4, 10


def post(number: int) -> dict[str, Any]:
    """The newest has number 0; they come ten minutes apart."""
    name = str(1_990_000_000_000_000_000 - number)
    return {
        "id": name, "text": f"Post {number} about $BTC https://t.co/abc{number}",
        "created_at": f"{NOW - timedelta(minutes=10 * number + 5):%Y-%m-%dT%H:%M:%S}.000Z",
        "edit_history_tweet_ids": [name],
    }  # fmt: skip


def answer(request: Request) -> Reply:
    if request.path != "/2/tweets/search/recent":
        return reply({"title": "Not Found", "detail": request.path}, 404)
    if not request.headers.get("Authorization", "").startswith("Bearer "):
        return reply({"title": "Unauthorized", "type": "about:blank"}, 401)
    at = int(request.query.get("next_token", "t0")[1:])
    told = [post(n) for n in range(POSTS)][at : at + min(PAGE, int(request.query["max_results"]))]
    meta: dict[str, object] = {"result_count": len(told)}
    if told:
        meta |= {"newest_id": told[0]["id"], "oldest_id": told[-1]["id"]}
    if at + PAGE < POSTS:
        meta["next_token"] = f"t{at + PAGE}"
    return reply({"data": told, "meta": meta})


def drifted(right: Reply) -> Reply:
    body = json.loads(right.body)
    for each in body["data"]:
        each["posted_at"] = each.pop("created_at")
    return replace(right, body=json.dumps(body).encode())


CASES = [
    Case(
        "x", lambda url: X(max_posts=100, base_url=f"{url}/2"),
        SeriesName("news", "x", "ALL", "event"), START, END, answer, drifted,
        key="x-bearer-1234567890", rows=POSTS,
    )
]  # fmt: skip
