"""RSS and Atom: headlines of crypto and macro publishers, keyless.

A feed shows its last ten to fifty items and nothing of its past: a pull is a poll, and an item can
be known from the moment we first see it, whatever its date says. One feed that fails does not
lose the others: their rows are told first, then the failure.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import struct_time
from typing import Any, NamedTuple, cast

import feedparser

from workbench.data.feeds.answer import Again, Answer, place_of
from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.news import Item, news_rows
from workbench.domain import UsageError
from workbench.errors import FeedError

STARTER = {
    "coindesk": "https://www.coindesk.com/arc/outboundfeeds/rss/",
    "cointelegraph": "https://cointelegraph.com/rss",
    "decrypt": "https://decrypt.co/feed",
    "theblock": "https://www.theblock.co/rss.xml",
    "federal_reserve": "https://www.federalreserve.gov/feeds/press_all.xml",
    "fed_speeches": "https://www.federalreserve.gov/feeds/speeches.xml",
}
LARGEST_FEED = 8 * 1024 * 1024
# a feed that was cut off still parses, without its last items
_CLOSED = re.compile(rb"</(?:\w+:)?(?:rss|feed|rdf)\s*>", re.IGNORECASE)
_VALIDATORS = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}


class _Told(NamedTuple):
    """What a feed answered last, and the headers that ask whether it has changed since."""

    asking: Mapping[str, str]
    items: Sequence[Item]


@dataclass(frozen=True)
class Rss:
    """`feeds` are addresses by a name of ours, which becomes the rows' source.

    `contact` is an address for publishers that want one in the User-Agent (SEC).
    """

    feeds: Mapping[str, str] = field(default_factory=lambda: dict(STARTER))
    contact: str = ""
    _last: dict[str, _Told] = field(
        default_factory=dict[str, _Told], init=False, repr=False, compare=False
    )
    about = About(
        name="rss", kind="news", provider="RSS and Atom feeds",
        limit=Limit(2, 1.0), history=False,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.feeds:
            raise UsageError("rss: feeds is empty; name at least one, as name = address")

    def series(self) -> Sequence[SeriesName]:
        return [SeriesName("news", "rss", "ALL", "event")]

    def requests(self, _name: SeriesName, _start: datetime, _end: datetime) -> int:
        return len(self.feeds)

    def fetch(
        self, _name: SeriesName, _start: datetime, end: datetime, line: Line
    ) -> Iterator[Page]:
        items: list[Item] = []
        failed: list[str] = []
        for source, url in self.feeds.items():
            try:
                items += self._read(source, url, line)
            except FeedError as error:
                failed.append(f"{source}: {str(error).removeprefix('rss: ')}")
        yield Page(news_rows(items, line.now()), end)
        if failed:
            raise FeedError(
                f"rss: {len(failed)} of {len(self.feeds)} feeds failed, the others are told:"
                f" {'; '.join(failed)}"
            )

    def _read(self, source: str, url: str, line: Line) -> Sequence[Item]:
        """A feed's items; those of last time where it says that nothing has changed."""
        last = self._last.get(url)
        headers = dict(last.asking) if last else {}
        if self.contact:
            headers["User-Agent"] = f"workbench/0.1 ({self.contact})"
        place = place_of(url)
        answer = line.get(url, parse=_whole, headers=headers)
        if answer.status == 304:
            if last is None:
                raise FeedError(f"{place} says that it has not changed, and was never read")
            return last.items
        items = _items(source, place, answer)
        asking = {ask: answer.headers[h] for h, ask in _VALIDATORS.items() if h in answer.headers}
        if asking:
            self._last[url] = _Told(asking, items)
        return items


def _whole(answer: Answer) -> Answer:
    if answer.status != 304 and not _CLOSED.search(answer.body):
        raise Again("answered no feed, or one that is cut off")
    return answer


def _items(source: str, place: str, answer: Answer) -> Sequence[Item]:
    """What can be read of a feed; a fault in its XML is no reason to refuse what can be."""
    if len(answer.body) > LARGEST_FEED:
        raise FeedError(f"{place} answered {len(answer.body) >> 20} MB, which is no news feed")
    # a stream: bytes that look like a path or an address would be opened
    parsed = cast(
        "dict[str, Any]",
        feedparser.parse(
            io.BytesIO(answer.body),
            response_headers={"content-type": answer.headers.get("content-type", "")},
            resolve_relative_uris=False,
            sanitize_html=False,
        ),
    )
    # plain mappings: feedparser's own answer with a date's neighbour where it is not there
    items = [_item(source, dict(entry)) for entry in parsed["entries"]]
    if not any(item.title for item in items):
        fault = parsed.get("bozo_exception", "its items have none" if items else "it has no items")
        raise FeedError(f"{place} tells no titles ({' '.join(str(fault).split())[:120]})")
    return items


def _item(source: str, entry: Mapping[str, Any]) -> Item:
    stamp = entry.get("published_parsed") or entry.get("updated_parsed")
    link = entry.get("link") or entry.get("id") or ""
    return Item(_instant(stamp), None, entry.get("title") or "", link, source)


def _instant(stamp: struct_time | None) -> datetime | None:
    """feedparser's UTC time; None for one that it could not read or that is no date."""
    try:
        return datetime(*stamp[:6], tzinfo=UTC) if stamp else None
    except ValueError:
        return None
