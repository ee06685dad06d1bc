"""X: posts that match a query, by the API's recent search. Every post read costs money.

A poll asks for the newest posts of the last hours, `max_posts` at most. A post counts as known
from the moment we first see it. How often it was liked or repeated is not kept: that is today's
count, not the one of then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, NotRequired

from pydantic import AwareDatetime, NonNegativeInt, StringConstraints
from typing_extensions import TypedDict

from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.headlines import clean
from workbench.data.news import Item, news_rows
from workbench.domain import UsageError
from workbench.errors import FeedError

LEAST, MOST = 10, 100  # posts a request, as the API has it
REACH_HOURS = 167  # recent search knows seven days
LONGEST_QUERY = 512

_Id = Annotated[str, StringConstraints(pattern=r"^\d{1,20}$")]


class _Post(TypedDict):
    id: _Id
    text: str
    created_at: AwareDatetime
    edit_history_tweet_ids: NotRequired[list[_Id] | None]


class _Meta(TypedDict):
    result_count: NonNegativeInt
    next_token: NotRequired[str | None]


class _Body(TypedDict):
    data: NotRequired[list[_Post]]
    meta: NotRequired[_Meta]
    errors: NotRequired[list[Mapping[str, Any]]]


@dataclass(frozen=True)
class X:
    """`max_posts` a poll, at 0.005 USD each; `hours` is how far back a poll looks.

    `fields_parameter` is what the API calls the list of a post's fields.
    """

    query: str = "($BTC OR bitcoin OR $ETH OR ethereum) lang:en -is:retweet min_likes:50"
    max_posts: int = 10
    hours: int = 24
    fields_parameter: str = "tweet.fields"
    base_url: str = "https://api.x.com/2"
    about = About(
        name="x", kind="news", provider="X API v2, recent search", limit=Limit(450, 900.0),
        turn=timedelta(hours=1),  # every post is paid
        key="X_BEARER_TOKEN", history=False,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not 0 < len(self.query) <= LONGEST_QUERY:
            raise UsageError(f"x: query has {len(self.query)} characters; give 1 to 512")
        if self.max_posts < LEAST:
            raise UsageError(f"x: max_posts is {self.max_posts}; a request reads at least {LEAST}")
        if not 0 < self.hours <= REACH_HOURS:
            raise UsageError(f"x: hours is {self.hours}; recent search knows 1 to {REACH_HOURS}")

    def series(self) -> Sequence[SeriesName]:
        return [SeriesName("news", "x", "ALL", "event")]

    def requests(self, _name: SeriesName, _start: datetime, _end: datetime) -> int:
        return -(-self.max_posts // MOST)

    def fetch(
        self, _name: SeriesName, _start: datetime, end: datetime, line: Line
    ) -> Iterator[Page]:
        url = f"{self.base_url}/tweets/search/recent"
        since = line.now() - timedelta(hours=self.hours)
        query = {
            "query": self.query, "sort_order": "recency", self.fields_parameter: "created_at",
            "start_time": f"{since:%Y-%m-%dT%H:%M:%SZ}", "max_results": min(self.max_posts, MOST),
        }  # fmt: skip
        posts: list[_Post] = []
        faults: list[str] = []

        def older(body: _Body) -> Mapping[str, Any] | None:
            left = self.max_posts - len(posts)
            token = body.get("meta", {}).get("next_token")
            if not token or left < LEAST:
                return None
            return {"next_token": token, "max_results": min(left, MOST)}

        headers = {"Authorization": f"Bearer {line.key}"}
        for body in line.pages(_Body, url, query, older, headers=headers):
            faults += [_fault(error) for error in body.get("errors", ())]
            posts += _posts(body)
        yield Page(news_rows(map(_item, posts), line.now()), end)
        if faults:
            raise FeedError(f"x: the answer is partial, its posts are told: {'; '.join(faults)}")


def _posts(body: _Body) -> Sequence[_Post]:
    """The page's posts. No hits have no data; anything else without data is a fault."""
    posts = body.get("data", [])
    counted = body.get("meta", {"result_count": 0})["result_count"]
    if not posts and not body.get("errors") and (counted or "meta" not in body):
        raise FeedError(f"x: the answer counts {counted} posts and has no data; its shape changed")
    return posts


def _item(post: _Post) -> Item:
    # an edit is a new post: the first of its history names them all
    first = (post.get("edit_history_tweet_ids") or [post["id"]])[0]
    return Item(post["created_at"], None, post["text"], f"https://x.com/i/status/{first}", "x")


def _fault(error: Mapping[str, Any]) -> str:
    return clean(str(error.get("detail") or error.get("title") or "no reason given"))
