"""What the journal promises when several processes write it, and when they die while they do."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import IO

from tests.journal_writer import body
from workbench.journal import Journal

WRITER = [sys.executable, "-m", "tests.journal_writer"]
ROOT = Path(__file__).parent.parent


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*WRITER, *map(str, arguments)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def tell(process: subprocess.Popen[str], line: str) -> None:
    stdin, _ = pipes(process)
    stdin.write(line + "\n")
    stdin.flush()


def kill_one_writer(server: subprocess.Popen[str], rows: int, after_s: float) -> dict[int, str]:
    """Start a writer, kill it `after_s` after it acknowledged `rows`; all it acknowledged."""
    _, stdout = pipes(server)
    tell(server, "go")
    word, pid = stdout.readline().split()
    assert word == "pid"
    lines = [stdout.readline() for _ in range(rows)]
    time.sleep(after_s)
    os.kill(int(pid), signal.SIGKILL)
    while (line := stdout.readline()) != "dead\n":
        lines.append(line)
    pairs = (line.split() for line in lines)
    return {int(seq): digest for seq, digest in pairs}


def test_no_acknowledged_row_is_lost_when_the_writer_is_killed_forty_times(tmp_path: Path) -> None:
    moments = random.Random(7)
    path = tmp_path / "journal.db"
    acknowledged: dict[int, str] = {}
    with start(path) as server:
        assert pipes(server)[1].readline() == "ready\n"
        for _ in range(40):
            rows = moments.choice([0, moments.randrange(40)])  # also while it opens the journal
            acknowledged |= kill_one_writer(server, rows, moments.uniform(0.0, 0.03))
        pipes(server)[0].close()

    with Journal.open(path) as journal:
        assert journal.verify().seq == len(journal)
        rows = {entry.seq: entry for entry in journal.rows()}
    lost = [seq for seq, digest in acknowledged.items() if rows[seq].hash != digest]
    assert lost == []
    assert len(acknowledged) > 100
    for row in rows.values():
        assert row.body == body(row.body["writer"], row.body["n"], row.body["of"])
    threes = (row.body for row in rows.values() if row.kind == "three")
    # A batch of three is there whole or not at all.
    batches = Counter((it["writer"], it["n"] // 4) for it in threes)
    assert set(batches.values()) == {3}


def test_two_processes_that_write_at_once_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.db"  # both also try to make it
    with start(path, 150) as one, start(path, 150) as other:
        for writer in (one, other):
            assert pipes(writer)[1].readline() == "ready\n"
        for writer in (one, other):
            tell(writer, "go")
        assert one.wait(60) == 0
        assert other.wait(60) == 0

    with Journal.open(path, readonly=True) as journal:
        assert journal.verify().seq == 300
        written = [(entry.body["writer"], entry.body["n"]) for entry in journal.rows()]
    for writer in (one.pid, other.pid):
        assert [n for pid, n in written if pid == writer] == list(range(150))
    assert sum(a[0] != b[0] for a, b in pairwise(written)) > 1  # they did take turns


def test_a_hash_is_the_same_in_every_process() -> None:
    script = (
        "from datetime import datetime, UTC; from pathlib import Path; import sys, tempfile\n"
        "from workbench.journal import Journal\n"
        "with tempfile.TemporaryDirectory() as d, Journal.open(Path(d) / 'j.db') as j:\n"
        "    body = {name: {name: 0.1} for name in ('b', 'a', 'é', 'c')}\n"
        "    print(j.append('x', body, datetime(2024, 1, 1, tzinfo=UTC)).hash)\n"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            text=True,
            check=True,
            capture_output=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(hashes) == 1
