"""Tests and notebooks run in a lake and a journal of their own, never in the user's."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

_HOME = tempfile.TemporaryDirectory(prefix="workbench-tests-")


def pytest_configure() -> None:
    """Set before any kernel or subprocess starts, in every worker."""
    home = Path(_HOME.name)
    os.environ["WORKBENCH_DATA__LAKE"] = str(home / "lake")
    os.environ["WORKBENCH_DESK__JOURNAL"] = str(home / "journal.db")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first, so that two workers end together."""
    long = ("test_cycle_parity", "test_cli", "00_tour", "test_journal_crash", "test_recorded_world")
    items.sort(key=lambda item: not any(name in item.nodeid for name in long))
