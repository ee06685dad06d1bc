"""`data pull --follow`: what the feeds say from now on, until somebody stops it.

A feed with a stream is listened to, and asked for what it missed whenever its stream begins; every
other feed is asked again in its turn. One that breaks is tried again after a pause that grows, and
said so; the others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl

from workbench.data.feeds.feed import Feed, Line, SeriesName
from workbench.data.feeds.stream import STREAMED, stream
from workbench.data.lake import INSTANT, Lake
from workbench.data.pull import Plan, Pulled, plan, pull
from workbench.errors import FeedError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
STORE_EVERY = timedelta(seconds=5)
BACK = timedelta(days=1)  # a series that is new here begins a day ago


class Tell(Protocol):
    """Told what became of a series: how many rows are new, or what went wrong."""

    def __call__(self, name: SeriesName, written: int, fault: str, /) -> None: ...


@dataclass(frozen=True)
class Follower:
    """What following needs: the lake, a line for each feed, and how often to ask the others."""

    lake: Lake
    line_of: Callable[[Feed], Line]
    tell: Tell
    every_s: float = 300.0

    async def follow(self, feeds: Sequence[Feed]) -> None:
        """Runs until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for feed in feeds:
                if isinstance(feed, STREAMED):
                    for name in feed.series():
                        group.create_task(self._listen(feed, name))
                else:
                    group.create_task(self._ask_again(feed))

    async def _ask_again(self, feed: Feed) -> None:
        while True:
            for done in await asyncio.to_thread(self._catch_up, feed, None):
                self.tell(done.step.name, done.written, done.fault)
            await asyncio.sleep(self.every_s)

    async def _listen(self, feed: Feed, name: SeriesName) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            for done in await asyncio.to_thread(self._catch_up, feed, name):
                self.tell(name, done.written, done.fault)
            try:
                async with aclosing(self._stored(feed, name)) as stored:
                    async for written in stored:
                        pause_s = FIRST_PAUSE_S
                        self.tell(name, written, "")
            except FeedError as broken:
                self.tell(name, 0, str(broken))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _stored(self, feed: Feed, name: SeriesName) -> AsyncGenerator[int]:
        line = self.line_of(feed)
        held: list[pl.DataFrame] = []
        stored = line.now()
        async with aclosing(stream(feed, name, line)) as told:
            async for rows in told:
                fetched = pl.lit(line.now()).cast(INSTANT).alias("fetched_at")
                held.append(rows.with_columns(fetched))
                if line.now() >= stored + STORE_EVERY or name.kind == "ohlcv":
                    together = pl.concat(held, how="diagonal_relaxed")
                    yield await asyncio.to_thread(self.lake.upsert, *name, together)
                    held, stored = [], line.now()

    def _catch_up(self, feed: Feed, name: SeriesName | None) -> list[Pulled]:
        line = self.line_of(feed)
        now = line.now()
        start = self._since(feed, now)
        planned = plan(self.lake, [feed], start, now, {feed.about.key: line.secret},
                       lambda each: name is None or each == name)  # fmt: skip
        return pull(self.lake, Plan(planned.steps, ()), lambda _: line, _quietly)

    def _since(self, feed: Feed, now: datetime) -> datetime:
        """From where the oldest of the feed's series leaves off."""
        ends = [covered[-1][1] for name in feed.series() if (covered := self.lake.covered(name))]
        return min([*ends, now - BACK])


def _quietly(_done: int, _total: int, _label: str) -> None: ...
