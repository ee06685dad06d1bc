"""CryptoPanic's API v2 as clients describe it: pages whose next address carries the key."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import NOW, Reply, Request, reply
from workbench.data.feeds.cryptopanic import CryptoPanic
from workbench.data.feeds.feed import SeriesName

START, END = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
PAGE, POSTS = 3, 8


def post(number: int) -> dict[str, Any]:
    """The newest has number 0; they come ten minutes apart."""
    published = NOW - timedelta(minutes=10 * number + 5)
    return {
        "id": 900 - number, "slug": f"post-{number}", "title": f"Item {number} about a chain",
        "description": "…", "kind": "news", "published_at": f"{published:%Y-%m-%dT%H:%M:%SZ}",
        "created_at": f"{published + timedelta(seconds=30):%Y-%m-%dT%H:%M:%SZ}",
        "original_url": f"https://example.com/{number}?utm_campaign=x",
        "source": {"title": "Example", "domain": "example.com", "region": "en", "type": "feed"},
        "instruments": [{"code": "BTC", "title": "Bitcoin"}], "votes": {"positive": number},
    }  # fmt: skip


def answer(request: Request) -> Reply:
    if request.path != "/api/growth/v2/posts/":
        return reply({"status": "api_error", "info": request.path}, 404)
    if not request.query.get("auth_token"):
        return reply({"status": "api_error", "info": "Token not found"}, 401)
    page = int(request.query.get("page", 1))
    told = [post(n) for n in range(POSTS)][(page - 1) * PAGE : page * PAGE]
    following = None
    if page * PAGE < POSTS:
        query = "&".join(f"{k}={v}" for k, v in (request.query | {"page": page + 1}).items())
        following = f"http://{request.headers['Host']}{request.path}?{query}"
    return reply({"next": following, "previous": None, "results": told})


def drifted(right: Reply) -> Reply:
    body = json.loads(right.body)
    for each in body["results"]:
        each["headline"] = each.pop("title")
    return replace(right, body=json.dumps(body).encode())


CASES = [
    Case(
        "cryptopanic", lambda url: CryptoPanic(plan="growth", pages=3, base_url=f"{url}/api"),
        SeriesName("news", "cryptopanic", "ALL", "event"), START, END, answer, drifted,
        key="cp-key-1234567890", rows=POSTS,
    )
]  # fmt: skip
