"""Runs that many tests read: made once a session, never written to by a test."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from workbench.data.lake import Lake
from workbench.data.snapshot import World
from workbench.desk import Desk, Source, load_desk
from workbench.journal import Journal
from workbench.trading.engine import Clock, Outcome, paper
from workbench.trading.record import Record, read_record

REAL = Clock(lambda: datetime.now(UTC), time.monotonic, time.sleep)


@dataclass(frozen=True, eq=False)
class Ran:
    """A desk, its world, and the journal of its paper run."""

    desk: Desk
    world: World
    path: Path
    record: Record


def desk_on(lake: Lake, venue: str, path: Path, start: str, end: str) -> tuple[Desk, World]:
    """A desk of the defaults on a part of a lake, its journal at `path`."""
    desk = load_desk(source=Source(lake.root, venue), journal_path=path)
    world = desk.world(start, end)
    return replace(desk, source=desk.source.resolved()), world


def run(desk: Desk, world: World, **changed: object) -> Outcome:
    """The desk's run as far as it goes, or until it is stopped."""
    with Journal.open(desk.journal_path) as journal:
        return paper(desk, world, journal, **({"clock": REAL, "holder": "a test"} | changed))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def recorded_year(recorded_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """World 2023 of the recorded data on paper, at full speed."""
    path = tmp_path_factory.mktemp("year") / "journal.db"
    desk, world = desk_on(recorded_lake, "binance_spot", path, "2023-01-01", "2023-12-31")
    assert run(desk, world).finished
    return Ran(desk, world, path, read_record(path))


@pytest.fixture(scope="session")
def sample_desk(sample_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, World]:
    """Six weeks of the sample world; every test gives it a journal of its own."""
    path = tmp_path_factory.mktemp("unused") / "journal.db"
    return desk_on(sample_lake, "sample", path, "2023-01-02", "2023-02-12")


@pytest.fixture(scope="session")
def sample_run(sample_desk: tuple[Desk, World], tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """These six weeks on paper, undisturbed."""
    desk, world = sample_desk
    path = tmp_path_factory.mktemp("weeks") / "journal.db"
    desk = replace(desk, journal_path=path)
    assert run(desk, world).finished
    return Ran(desk, world, path, read_record(path))
