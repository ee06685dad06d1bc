"""Killed twenty times in the middle of its work, the desk ends with the journal of no kill."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from tests.recorded import ROOT
from tests.trading.conftest import Ran
from workbench.data.lake import Lake
from workbench.journal import Journal

KILLS = 20
SEED = 20


def rows(path: Path) -> list[tuple[str, str, dict, str]]:
    with Journal.open(path, readonly=True) as journal:
        return [(row.at, row.kind, row.body, row.hash) for row in journal.rows()]


def started(server: subprocess.Popen[str]) -> tuple[int, IO[str]]:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write("go\n")
    server.stdin.flush()
    word, pid = server.stdout.readline().split()
    assert word == "pid"
    return int(pid), server.stdout


def test_twenty_kills_leave_the_journal_of_an_undisturbed_run(
    sample_lake: Lake, sample_run: Ran, tmp_path: Path
) -> None:
    """SIGKILL after a few bars each; every row, every hash equal; each kill came mid-run."""
    path, chance = tmp_path / "journal.db", random.Random(SEED)
    Journal.open(path).close()
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.trading.paper_process", str(sample_lake.root), str(path),
         "2023-01-02", "2023-02-12"],
        cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        stood = []
        for _ in range(KILLS):
            pid, stdout = started(server)
            _wait_for_bars(path, (stood or [0])[-1] + chance.randint(1, 30))
            time.sleep(chance.uniform(0.0, 0.01))  # anywhere within a bar
            os.kill(pid, signal.SIGKILL)
            assert stdout.readline() == f"ended {int(signal.SIGKILL)}\n"
            stood.append(_bars(path))
        assert stood == sorted(set(stood)), f"seed {SEED}: {stood}"
        assert stood[-1] < len(sample_run.record.rows)
        _, stdout = started(server)
        assert stdout.readline() == "ended 0\n"
        assert server.stdin is not None
        server.stdin.close()
    assert rows(path) == rows(sample_run.path)
    with Journal.open(path, readonly=True) as journal:
        assert journal.verify() == sample_run.record.head


def _bars(path: Path) -> int:
    with Journal.open(path, readonly=True) as journal:
        return max(journal.head().seq - 1, 0)  # the first row begins the run


def _wait_for_bars(path: Path, bars: int) -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        if _bars(path) >= bars:
            return
        time.sleep(0.005)
    raise AssertionError(f"{bars} bars did not come within a minute")
