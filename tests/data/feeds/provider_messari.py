"""Messari's news feed as its documentation describes it: newest first, back by time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import NOW, Reply, Request, reply
from workbench.data.feeds.feed import SeriesName
from workbench.data.feeds.messari import Messari

START, END = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
PAGE, STORIES = 4, 10


def story(number: int) -> dict[str, Any]:
    """The newest has number 0; they come ten minutes apart, the last two at one moment."""
    published = NOW - timedelta(minutes=10 * min(number, STORIES - 2) + 5)
    return {
        "id": f"s-{number}", "title": f"Story {number} on a network",
        "url": f"https://example.com/story/{number}?ref=feed",
        "publishTimeMillis": round(published.timestamp() * 1000),
        "source": {"sourceName": "Example", "sourceType": "News"},
        "assets": [{"id": "a-1", "name": "Bitcoin", "slug": "bitcoin"}], "description": "…",
    }  # fmt: skip


def answer(request: Request, *, inclusive: bool = True) -> Reply:
    if request.path != "/news/v1/news/feed":
        return reply({"data": None, "error": request.path}, 404)
    if not request.headers.get("x-messari-api-key"):
        return reply({"data": None, "error": "no key"}, 401)
    before = int(request.query.get("publishedBefore", 10**15))
    told = [
        each
        for each in map(story, range(STORIES))
        if each["publishTimeMillis"] < before + inclusive
    ][:PAGE]
    return reply({"data": told, "metadata": {"limit": PAGE, "page": 1}, "error": None})


def drifted(right: Reply) -> Reply:
    body = json.loads(right.body)
    for each in body["data"]:
        each["publishedAt"] = each.pop("publishTimeMillis")
    return replace(right, body=json.dumps(body).encode())


CASES = [
    Case(
        "messari", lambda url: Messari(pages=4, base_url=url),
        SeriesName("news", "messari", "ALL", "event"), START, END, answer, drifted,
        key="messari-key-123456", rows=STORIES,
    )
]  # fmt: skip
