"""Tests and notebooks run in a lake and a journal of their own, never in the user's."""

from __future__ import annotations

import functools
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

GUARD = Path(__file__).parent / "tests" / "guard"
READ_A_RUN = ("notebooks/02_", "notebooks/04_", "notebooks/weekly_report", "notebooks/control")
_HOME = tempfile.TemporaryDirectory(prefix="workbench-tests-")


def pytest_configure() -> None:
    """Set before any kernel or subprocess starts, in every worker; all of them under the guard."""
    there = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(GUARD) not in there:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(GUARD), *there]))
        runpy.run_path(str(GUARD / "sitecustomize.py"))
    home = Path(_HOME.name)
    os.environ["WORKBENCH_DATA__LAKE"] = str(home / "lake")
    os.environ["WORKBENCH_DESK__JOURNAL"] = str(home / "journal.db")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Notebooks that read a run find one: six weeks of the sample world on paper. Research has a
    journal of its own: what it rejects may not trade in that run."""
    name = "research.db" if item.nodeid.startswith("notebooks/01_") else "journal.db"
    os.environ["WORKBENCH_DESK__JOURNAL"] = str(Path(_HOME.name) / name)
    if item.nodeid.startswith(READ_A_RUN):
        _ran()


@functools.cache
def _ran() -> None:
    days = ("2023-01-02", "2023-02-12")
    words = [sys.executable, "-m", "workbench", "paper", "--replay", *days]
    subprocess.run(words, check=True, timeout=600, stdout=subprocess.DEVNULL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first, so that two workers end together."""
    long = (
        "browser", "test_cycle_parity", "test_cli", "_cli", "00_tour", "01_", "test_runner",
        "test_journal_crash", "test_recorded_world", "test_weekly", "test_engine",
        "test_crosscheck", "test_validate", "test_promotion", "test_cluster", "test_sweep",
        "test_cannot_hurt", "test_judged_run", "test_injection", "test_planted", "test_asking",
        "test_claude", "test_openai", "test_live", "test_options",
    )  # fmt: skip
    items.sort(key=lambda item: not any(name in item.nodeid for name in long))
