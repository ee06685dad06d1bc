"""What a feed is: where rows come from, what it needs, and when its rows could be known.

A feed yields rows or raises; no rows means that nothing happened. It stores nothing and reads no
clock: the line it is given does both. `contract.check_feed` is its test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import polars as pl

from workbench.data.feeds.line import Limit, Line
from workbench.data.lake import SeriesName

__all__ = ["About", "Feed", "Limit", "Line", "Page", "SeriesName"]


@dataclass(frozen=True)
class About:
    """What the user has to know of a feed, and how the puller treats it.

    `name` is its name in desk.toml; `kind` what it tells (candles, on-chain, news, odds, macro);
    `key` the environment variable its key is in ("" if none is needed). `history` False: the
    provider tells only its latest, and a pull is a poll. `overlap`: how far back a later pull asks
    again, as late values and revisions are expected there. `versions`: the rows carry every
    revision with its own `available_at`; without it a changed value is a new version from the
    moment it was fetched. `weight`: what one request takes of the limit. `turn`: who follows the
    feed asks it no oftener, as it says nothing new by then, or is paid by the answer.
    """

    name: str
    kind: str
    provider: str
    limit: Limit
    key: str = ""
    history: bool = True
    overlap: timedelta = timedelta(0)
    versions: bool = False
    weight: int = 1
    turn: timedelta = timedelta(0)

    @property
    def pace(self) -> Limit:
        """The limit in requests of this feed's own weight."""
        return Limit(max(self.limit.requests // self.weight, 1), self.limit.seconds)


class Page(NamedTuple):
    """Some rows, and how far they reach.

    `rows` has event_time and available_at (UTC) and the values, event_time ascending, no
    fetched_at. Every row of the asked range whose event_time is before `through` has been told.
    """

    rows: pl.DataFrame
    through: datetime


class Feed(Protocol):
    """One provider. A frozen dataclass whose fields are its options in desk.toml."""

    @property
    def about(self) -> About: ...

    def series(self) -> Sequence[SeriesName]:
        """What a pull takes when nobody says which."""
        ...

    def requests(self, name: SeriesName, start: datetime, end: datetime) -> int:
        """About how many requests the range takes, for the plan."""
        ...

    def fetch(self, name: SeriesName, start: datetime, end: datetime, line: Line) -> Iterator[Page]:
        """Rows with start <= event_time < end, page by page, oldest first.

        Raises FeedError or one of its kin; what was yielded before stays good.
        """
        ...
