"""`data pull --follow`: what the feeds say from now on, until somebody stops it.

A feed with a stream is listened to, and asked for what it missed whenever its stream begins; every
other feed is asked again in its turn. One that breaks is tried again after a pause that grows, and
said so; the others go on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import polars as pl

from workbench.data.feeds.feed import Feed, Line, SeriesName
from workbench.data.feeds.stream import stream, streams
from workbench.data.lake import INSTANT, Lake
from workbench.data.pull import Pulled, plan, pull, said_of, tellers
from workbench.data.versions import keep

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
STORE_EVERY = timedelta(seconds=5)
BACK = timedelta(days=1)  # a series that is new here begins a day ago


class Tell(Protocol):
    """Told what became of a series: how many rows are new, or what went wrong."""

    def __call__(self, name: SeriesName, written: int, fault: str, /) -> None: ...


@dataclass(frozen=True)
class Follower:
    """What following needs: the lake, a line for each feed, and how often to ask the others.

    `stopped` is set once following ends: what is still being asked then ends between two pages.
    """

    lake: Lake
    line_of: Callable[[Feed], Line]
    tell: Tell
    every_s: float = 300.0
    stopped: threading.Event = field(default_factory=threading.Event)

    async def follow(
        self, feeds: Sequence[Feed], only: Callable[[SeriesName], bool] = lambda _: True
    ) -> None:
        """Runs until it is cancelled."""
        told_by = tellers(feeds)
        try:
            async with asyncio.TaskGroup() as group:
                for feed in feeds:
                    mine = [n for n in feed.series() if told_by[n] is feed and only(n)]
                    if streams(feed):
                        for name in mine:
                            group.create_task(self._listen(feed, name))
                    elif mine:
                        group.create_task(self._ask_again(feed, mine))
        finally:
            self.stopped.set()

    async def _ask_again(self, feed: Feed, names: Sequence[SeriesName]) -> None:
        while True:
            asked = await self._caught_up(feed, names)
            # a hundred requests a month are not spent in a day
            turn_s = feed.about.turn.total_seconds()
            await asyncio.sleep(max(self.every_s, turn_s, asked * feed.about.pace.spacing_s))

    async def _listen(self, feed: Feed, name: SeriesName) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            await self._caught_up(feed, [name])
            try:
                async with aclosing(self._stored(feed, name)) as stored:
                    async for written in stored:
                        pause_s = FIRST_PAUSE_S
                        self.tell(name, written, "")
            except Exception as broken:  # noqa: BLE001  the others go on
                self.tell(name, 0, said_of(broken, self.line_of(feed)))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _stored(self, feed: Feed, name: SeriesName) -> AsyncGenerator[int]:
        line = self.line_of(feed)
        held: list[pl.DataFrame] = []
        stored = line.now()
        try:
            async with aclosing(stream(feed, name, line)) as told:
                async for rows in told:
                    fetched = pl.lit(line.now()).cast(INSTANT).alias("fetched_at")
                    held.append(rows.with_columns(fetched))
                    if line.now() >= stored + STORE_EVERY or name.kind == "ohlcv":
                        # out of `held` first: cut off while it is stored, it is not stored twice
                        together, held = pl.concat(held, how="diagonal_relaxed"), []
                        yield await asyncio.to_thread(self._keep, name, together)
                        stored = line.now()
        finally:
            if held:
                self._keep(name, pl.concat(held, how="diagonal_relaxed"))

    def _keep(self, name: SeriesName, rows: pl.DataFrame) -> int:
        if name.kind == "ohlcv":
            return keep(self.lake, name, rows)
        return self.lake.upsert(*name, rows)  # each its own moment or id: none told before

    async def _caught_up(self, feed: Feed, names: Sequence[SeriesName]) -> int:
        """Ask for what the lake lacks of some of a feed's series; how many requests it took."""
        try:
            done = await asyncio.to_thread(self._catch_up, feed, names)
        except Exception as broken:  # noqa: BLE001  the others go on
            self.tell(names[0], 0, said_of(broken, self.line_of(feed)))
            return 0
        for each in done:
            self.tell(each.step.name, each.written, each.fault)
        return sum(each.asked for each in done)

    def _catch_up(self, feed: Feed, names: Sequence[SeriesName]) -> list[Pulled]:
        line = self.line_of(feed)
        now = line.now()
        ends = [covered[-1][1] for name in names if (covered := self.lake.covered(name))]
        start = min([*ends, now - BACK])  # from where the oldest leaves off
        keys = {feed.about.key: line.secret}
        planned = plan(self.lake, [feed], start, now, keys, lambda each: each in names)
        return pull(self.lake, planned, lambda _: line, _quietly, self.stopped)


def _quietly(_done: int, _total: int, _label: str) -> None: ...
