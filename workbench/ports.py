"""The desk's sockets: what the page needs of each thing that is plugged into it.

One to three methods each, the contract in words. Replay, paper and live plug in other objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from workbench.domain import (
    Bar,
    Book,
    Case,
    Costs,
    Cycle,
    Fill,
    Limits,
    Order,
    Signal,
    Snapshot,
    Verdict,
)

Judge = Callable[[Sequence[Case]], list[Verdict]]
"""Takes all cases of a bar at once; a case without an answer is not traded. It may raise, which is
no answer; what it must not do is take for ever: a judge that waits has a deadline of its own."""

Progress = Callable[[int, int, str], None]
"""Told how many of how many are done, and of what."""


class Voter(Protocol):
    """A strategy at one close: its votes there, muted ones included."""

    @property
    def name(self) -> str: ...
    @property
    def trades(self) -> str: ...
    @property
    def from_text(self) -> bool: ...

    def signals(self, snapshot: Snapshot, /) -> list[Signal]: ...


class Broker(Protocol):
    """Whoever fills orders. `fills` tells what happened since the last close, each fill once;
    `execute` sends orders of this close, its exits first and, once they are judged, its entries.
    What comes of them is told by a later `fills`."""

    def fills(self, book: Book, bar: Bar, limits: Limits, costs: Costs) -> list[Fill]: ...

    def execute(self, orders: Sequence[Order]) -> None: ...


class Log(Protocol):
    """Whoever keeps the record of each bar; a plain list will do."""

    def append(self, cycle: Cycle, /) -> object: ...


class Desk(Protocol):
    """All that one bar needs; `reduce` is what REDUCE leaves of a size, `quorum` how many votes
    must agree before the judge is asked."""

    @property
    def strategies(self) -> Sequence[Voter]: ...
    @property
    def judge(self) -> Judge: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def costs(self) -> Costs: ...
    @property
    def broker(self) -> Broker: ...
    @property
    def journal(self) -> Log: ...
    @property
    def reduce(self) -> float: ...
    @property
    def quorum(self) -> int: ...
