"""The paper commands as a user meets them, each in a process of its own."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.recorded import ROOT
from workbench.data.lake import Lake
from workbench.journal import Journal
from workbench.trading.engine import heartbeat_file
from workbench.trading.lease import last_beat


class Home:
    """A user's folder: the sample lake, a journal that is not there yet."""

    def __init__(self, folder: Path, lake: Lake) -> None:
        self.folder = folder
        self.journal = folder / "var/journal.db"
        (folder / "notebooks").symlink_to(ROOT / "notebooks")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("WORKBENCH_")}
        self.environment = kept | {"WORKBENCH_DATA__LAKE": str(lake.root)}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "workbench", *words], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    def answer(self, *words: str, code: int = 0) -> dict:
        done = self.run(*words, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "workbench", *words], cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@pytest.fixture(scope="module")
def home(sample_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"), sample_lake)


@pytest.fixture(scope="module")
def running(home: Home) -> Iterator[subprocess.Popen[str]]:
    """`workbench paper` on the sample world, four bars a second, once it has done a bar."""
    with home.start("paper", "--speed", "4") as process:
        ends = time.monotonic() + 120
        while time.monotonic() < ends:
            beat = last_beat(heartbeat_file(home.journal))
            if beat is not None and beat.done:
                break
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.1)
        yield process
        process.terminate()


def test_commands_without_a_journal_say_how_to_get_one(home: Home, tmp_path: Path) -> None:
    """Wrong use, exit code 2; nothing is made."""
    for words in (["status"], ["pause"], ["rearm", "--by", "Ada"], ["publish"]):
        done = home.run(*words, "--journal", str(tmp_path / "none.db"))
        assert done.returncode == 2, (words, done.stderr)
        assert "there is no journal at" in done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_second_desk_on_the_journal_is_refused_by_the_holders_name(
    home: Home, running: subprocess.Popen[str]
) -> None:
    """It names who runs it, writes nothing, and the first one goes on."""
    second = home.run("paper")
    assert second.returncode == 1
    assert f"(process {running.pid} on " in second.stderr
    assert "is being run by" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert running.poll() is None


def test_status_says_what_runs_and_how_far(home: Home, running: subprocess.Popen[str]) -> None:
    """For people in lines, for programs as JSON."""
    said = home.answer("status")
    assert said["lives"] is True
    assert said["heartbeat"]["mode"] == "SYNTHETIC"
    assert said["heartbeat"]["total"] == 17_520
    assert said["equity"] == 10_000.0
    assert "SYNTHETIC RUNNING" in home.run("status").stdout


def test_pause_resume_halt_and_rearm_reach_the_running_desk(
    home: Home, running: subprocess.Popen[str]
) -> None:
    """Each order is seen in the process's own heartbeat; HALTED lasts over a restart."""

    def state_becomes(state: str) -> bool:
        ends = time.monotonic() + 10
        while time.monotonic() < ends:
            beat = last_beat(heartbeat_file(home.journal))
            if beat is not None and beat.state == state:
                return True
            time.sleep(0.05)
        return False

    assert home.answer("pause", "--why", "lunch")["state"] == "PAUSED"
    assert state_becomes("PAUSED")
    assert home.answer("resume")["state"] == "RUNNING"
    assert state_becomes("RUNNING")
    halted = home.answer("halt", "--by", "Ada", "--why", "odd fills", "--keep")
    assert (halted["state"], halted["by"], halted["flatten"]) == ("HALTED", "Ada", False)
    assert state_becomes("HALTED")
    for words in (["replay", "--start", "2031-01-01"], ["journal", "verify"], ["data", "status"],
                  ["schedule", "list"], ["run", "nothing"], ["doctor"]):  # fmt: skip
        told = home.run(*words).stderr
        assert "by Ada (odd fills); re-arm with `workbench rearm --by NAME`" in told, words
    refused = home.run("resume")
    assert refused.returncode == 2
    assert "re-arm" in refused.stderr

    running.terminate()
    out, _ = running.communicate(timeout=30)
    assert running.returncode == 0
    assert "the same command goes on from here" in out
    assert "HALTED" in out
    with home.start("paper", "--speed", "4") as again:
        time.sleep(0.5)
        assert state_becomes("HALTED")
        assert home.run("rearm").returncode == 2  # a re-arm needs a name
        assert "needs a name" in home.run("rearm", "--by", "").stderr
        assert home.answer("rearm", "--by", "Ada")["state"] == "RUNNING"
        assert state_becomes("RUNNING")
        again.terminate()


def test_a_halt_that_the_journal_does_not_take_says_that_it_halts(
    home: Home, tmp_path: Path
) -> None:
    """While another writer holds it: nobody at the kill switch may read "nothing was written"
    alone."""
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal, closing(sqlite3.connect(path)) as other:
        journal.append("note", {}, datetime.now(UTC))
        other.execute("BEGIN IMMEDIATE")
        done = home.run("halt", "--by", "Ada", "--journal", str(path))
    assert done.returncode == 1
    assert "journal.db.HALT is written and halts the desk, but the order is not in" in done.stderr
    assert "by Ada" in home.run("status", "--journal", str(path)).stdout


def test_another_mode_is_refused(home: Home, running: subprocess.Popen[str]) -> None:
    """A journal of SYNTHETIC bars takes no other period without being told to."""
    done = home.run("paper", "--replay", "2023-01-01", "2023-01-31")
    assert done.returncode == 2
    assert "holds another run" in done.stderr
    assert "--another" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["paper", "--speed", "-1"], "--speed"),
        (["paper", "--replay", "2023-01-01"], "--replay"),
        (["paper", "--replay", "2023-02-01", "2023-01-01"], "is after end"),
        (["paper", "--replay", "yesterday", "2023-01-01"], "is not a time"),
        (["publish", "--week", "W23"], "no week"),
        (["publish", "--week", "2023-W50"], "no bar in 2023-W50"),
    ],
)
def test_wrong_use_is_one_sentence(
    home: Home, running: subprocess.Popen[str], words: list[str], says: str
) -> None:
    """Exit code 2 and no traceback."""
    done = home.run(*words)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "broken",
    ["calibration = 'gone.json'", "strategies = ['no_such_voter']", "judge = 'nobody'"],
)
def test_a_desk_that_cannot_be_loaded_can_still_be_halted(
    home: Home, tmp_path: Path, broken: str
) -> None:
    """The kill switch needs the journal's path and nothing else."""
    (tmp_path / "desk.toml").write_text(f"[desk]\njournal = 'j.db'\n{broken}\n")
    config = ("--config", str(tmp_path / "desk.toml"))
    assert home.run("replay", *config).returncode == 2
    told = home.answer("halt", "--why", "news", *config)
    assert told["state"] == "HALTED"
    assert (tmp_path / "j.db.HALT").exists()
    assert home.answer("status", *config)["control"]["state"] == "HALTED"
