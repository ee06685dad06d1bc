"""Messari: its news feed, with a key that includes it.

Items carry the publisher's time; they count as known from the moment we first see them. Pages go
back by time and not by number, as numbered pages shift while news comes in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from workbench.data.feeds.answer import utc
from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.headlines import clean
from workbench.data.news import Item, news_rows, subjects
from workbench.domain import UsageError
from workbench.errors import FeedError

PAGE_ITEMS = 50
Millis = Annotated[int, Field(ge=0, lt=253_402_300_800_000)]  # up to the year 9999


class _Source(TypedDict):
    sourceName: NotRequired[str | None]


class _Asset(TypedDict):
    name: NotRequired[str | None]


class _Story(TypedDict):
    id: str
    title: str
    publishTimeMillis: Millis
    url: NotRequired[str | None]
    source: NotRequired[_Source | None]
    assets: NotRequired[list[_Asset] | None]


class _Body(TypedDict):
    data: list[_Story]
    error: NotRequired[Any]


@dataclass(frozen=True)
class Messari:
    """`pages` of 50 items a poll. `assets` are Messari's ids, sent under `asset_parameter`."""

    pages: int = 1
    assets: tuple[str, ...] = ()
    asset_parameter: str = "assetIds"
    base_url: str = "https://api.messari.io"
    about = About(
        name="messari", kind="news", provider="Messari news", limit=Limit(20, 60.0),
        key="MESSARI_API_KEY", history=False,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.pages < 1:
            raise UsageError(f"messari: pages is {self.pages}; a poll takes at least one")

    def series(self) -> Sequence[SeriesName]:
        return [SeriesName("news", "messari", "ALL", "event")]

    def requests(self, _name: SeriesName, _start: datetime, _end: datetime) -> int:
        return self.pages

    def fetch(
        self, _name: SeriesName, _start: datetime, end: datetime, line: Line
    ) -> Iterator[Page]:
        url = f"{self.base_url}/news/v1/news/feed"
        query: dict[str, Any] = {"limit": PAGE_ITEMS, "sort": 2}
        if self.assets:
            query[self.asset_parameter] = list(self.assets)
        headers = {"x-messari-api-key": line.key}
        stories: dict[str, _Story] = {}
        for _ in range(self.pages):
            body = line.read(_Body, url, query, headers=headers)
            if error := body.get("error"):
                raise FeedError(f"messari: the answer is an error: {clean(str(error))}")
            new = {s["id"]: s for s in body["data"] if s["id"] not in stories}
            if not new:
                break
            stories |= new
            # one more, in case "before" leaves out what is of the same millisecond
            query["publishedBefore"] = min(s["publishTimeMillis"] for s in new.values()) + 1
        yield Page(news_rows(map(_item, stories.values()), line.now()), end)


def _item(story: _Story) -> Item:
    named = [each.get("name") or "" for each in story.get("assets") or ()]
    assets = tuple(asset for name in named for asset in subjects(clean(name)))
    source = (story.get("source") or {}).get("sourceName") or "messari"
    link = story.get("url") or f"messari:{story['id']}"
    return Item(utc(story["publishTimeMillis"] / 1000), None, story["title"], link, source, assets)
