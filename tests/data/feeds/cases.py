"""One case an adapter: a stand-in for its provider and a range to ask for.

`CASES` is what test_every_feed runs through; a new feed adds one line there.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.data.feeds.loopback import Reply, Request
from workbench.data.feeds.feed import Feed, SeriesName


@dataclass(frozen=True)
class Case:
    """`answer` serves at least three requests for the range; `drifted` is the answer after the
    provider has renamed what we read (None: where nothing can drift)."""

    name: str
    feed: Callable[[str], Feed]  # given the base address
    series: SeriesName
    start: datetime
    end: datetime
    answer: Callable[[Request], Reply]
    drifted: Callable[[Reply], Reply] | None
    key: str = ""
    rows: int = 0  # how many rows the range has
    taken_now: bool = False  # rows are stamped with the moment of the question
    place: str = "127.0.0.1"  # what a sentence calls the provider


def all_cases() -> list[Case]:
    """Every `CASE` or `CASES` of the files called provider_*.py beside this one."""
    found: list[Case] = []
    for module in sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)])):
        if module.startswith("provider_"):
            loaded = importlib.import_module(f"tests.data.feeds.{module}")
            found += loaded.CASES
    return found
