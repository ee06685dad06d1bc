"""CryptoPanic: headlines of many publishers with the assets they are about, by its API v2.

An item counts as known from the moment we first see it, or when CryptoPanic took it in if its
clock is ahead. The key can only be sent in the address; it never gets into a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, NotRequired, get_args

from pydantic import AwareDatetime
from typing_extensions import TypedDict

from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.news import Item, news_rows
from workbench.domain import UsageError

Plan = Literal["developer", "growth", "enterprise"]
PACE = Limit(2, 1.0)  # what clients record; the developer plan's month is far shorter than that


class _Source(TypedDict):
    title: NotRequired[str | None]
    domain: NotRequired[str | None]


class _Instrument(TypedDict):
    code: str


class _Post(TypedDict):
    id: int
    title: str
    published_at: AwareDatetime
    created_at: NotRequired[AwareDatetime | None]
    original_url: NotRequired[str | None]
    url: NotRequired[str | None]
    source: NotRequired[_Source | None]
    instruments: NotRequired[list[_Instrument] | None]
    currencies: NotRequired[list[_Instrument] | None]


class _Body(TypedDict):
    results: list[_Post]
    next: NotRequired[str | None]


@dataclass(frozen=True)
class CryptoPanic:
    """`pages` a poll; `currencies` narrows the news to some assets, none means all."""

    plan: Plan = "developer"
    currencies: tuple[str, ...] = ()
    kind: str = "news"
    regions: str = "en"
    pages: int = 1
    base_url: str = "https://cryptopanic.com/api"
    about = About(
        name="cryptopanic", kind="news", provider="CryptoPanic API v2",
        limit=Limit(100, 30 * 86_400.0), key="CRYPTOPANIC_API_KEY", history=False,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.plan not in get_args(Plan):
            raise UsageError(
                f"cryptopanic: there is no plan {self.plan!r}; it is one of"
                f" {', '.join(get_args(Plan))}"
            )
        if self.pages < 1 or (self.plan == "developer" and self.pages > 1):
            raise UsageError(
                f"cryptopanic: pages is {self.pages}; a poll takes at least one, and just one on"
                " the developer plan, which has 100 requests a month"
            )
        if self.plan != "developer":
            object.__setattr__(self, "about", replace(self.about, limit=PACE))

    def series(self) -> Sequence[SeriesName]:
        return [SeriesName("news", "cryptopanic", "ALL", "event")]

    def requests(self, _name: SeriesName, _start: datetime, _end: datetime) -> int:
        return self.pages

    def fetch(
        self, _name: SeriesName, _start: datetime, end: datetime, line: Line
    ) -> Iterator[Page]:
        url = f"{self.base_url}/{self.plan}/v2/posts/"
        query = {
            "auth_token": line.key, "public": "true", "kind": self.kind, "regions": self.regions,
            "currencies": ",".join(self.currencies) or None,
        }  # fmt: skip
        pages = line.pages(_Body, url, query, lambda body: body.get("next"))
        told = [body for _, body in zip(range(self.pages), pages, strict=False)]
        items = [_item(post) for body in told for post in body["results"]]
        yield Page(news_rows(items, line.now()), end)


def _item(post: _Post) -> Item:
    source = post.get("source") or {}
    named = post.get("instruments") or post.get("currencies") or ()
    return Item(
        published=post["published_at"],
        seen=post.get("created_at"),
        title=post["title"],
        link=post.get("original_url") or post.get("url") or f"cryptopanic:{post['id']}",
        source=source.get("title") or source.get("domain") or "cryptopanic",
        assets=tuple(each["code"] for each in named),
    )
