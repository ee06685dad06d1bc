"""A strategy in a package of its own: built, installed beside the desk, it takes part in all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.command import workbench
from tests.recorded import ROOT
from workbench.data.lake import Lake

PLUGIN = ROOT / "tests" / "plugin"
CONFIG = """\
[desk]
strategies = ["ema_adx", "pendulum"]

[data]
lake = "{lake}"
venue = "sample"
symbols = ["BTC/USDT", "ETH/USDT"]
"""
TAKES_PART = """
import json
from dataclasses import replace

import workbench as wb
from workbench.cycle import cycle

desk = wb.load_desk("desk.toml")
world = desk.world("2022-11-01", "2023-01-31")
pendulum = desk.strategies[1]
checked = wb.check_strategy(pendulum, world.panel, samples=20, votes=20)
run = wb.run_history(desk, world)
journal = []
desk = replace(desk, journal=journal)
book = desk.book(world)
for t in range(world.start, world.start + 24 * 25):
    book = cycle(book, world.snapshot(t, desk.bars), desk)
heard = {(str(c.as_of), s.symbol, s.side) for c in journal for s in c.signals
         if s.strategy == "pendulum" and s.side}
last = journal[-1].as_of
mine = run.signals[(run.signals["strategy"] == "pendulum") & (run.signals["time"] <= last)]
cast = {(str(row.time), row.symbol, row.side) for row in mine.itertuples()}
print(json.dumps({
    "strategies": [s.name for s in desk.strategies], "home": pendulum.function.__module__,
    "tried": checked.votes_tried, "silent": checked.silent_because, "disabled": run.disabled,
    "faults": sum(bool(c.faults) for c in journal), "heard": len(heard), "same": heard == cast,
    "traded": int((run.signals["strategy"] == "pendulum").mul(run.signals["stage"] == "traded")
                  .sum()),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package's wheel, built without a network."""
    folder = tmp_path_factory.mktemp("package") / "plugin"
    shutil.copytree(PLUGIN, folder)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=folder, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that has the package installed."""
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(folder)
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


@pytest.fixture(scope="module")
def home(sample_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder whose desk.toml names the plug-in."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "desk.toml").write_text(CONFIG.format(lake=sample_lake.root))
    return folder


def test_the_wheel_holds_the_strategy_and_its_entry_point_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (points,) = (archive.read(n).decode() for n in names if n.endswith("entry_points.txt"))
    assert [n for n in names if ".dist-info/" not in n] == ["pendulum.py"]
    assert points.split() == ["[workbench.strategies]", "pendulum", "=", "pendulum:pendulum"]


def test_it_is_found_checked_replayed_and_asked_at_every_close(
    home: Path, installed: dict[str, str]
) -> None:
    """From desk.toml, unchanged: the same votes over history as bar by bar."""
    done = subprocess.run(
        [sys.executable, "-c", TAKES_PART], capture_output=True, text=True, cwd=home,
        env=os.environ | installed, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["strategies"] == ["ema_adx", "pendulum"]
    assert said["home"] == "pendulum"
    assert (said["tried"], said["silent"], said["disabled"]) == (20, "", {})
    assert (said["faults"], said["same"]) == (0, True)
    assert said["heard"] > 20
    assert said["traded"] > 0


def test_the_doctor_names_it(home: Path, installed: dict[str, str]) -> None:
    """Beside those of the package, with what was tried."""
    done = workbench(home, "doctor", "--json", **installed)
    found = {f["what"]: f for f in json.loads(done.stdout)["findings"]}
    mine = found["strategy pendulum"]
    assert (mine["fine"], mine["says"].partition(":")[0]) == (True, "pendulum keeps its promises")
    assert found["strategy ema_adx"]["fine"] is True


BREAKERS = """\
[workbench.strategies]
gone = no_such_module:gone
peeks = breakers:peeks
plain = breakers:plain
"""
BREAKERS_CODE = """\
from workbench import Panel, Votes, strategy


@strategy(category="trend", regimes={"trending"}, lookback=5)
def peeks(panel: Panel) -> Votes:
    up = panel.close.shift(-1) > panel.close
    return Votes.of(panel, up, up & False, up * 60.0)


def plain(panel: Panel) -> Votes:
    return Votes.of(panel, panel.close > 0, panel.close < 0, panel.close)
"""


def test_the_doctor_names_who_cannot_be_loaded_and_who_breaks_a_promise(
    home: Path, tmp_path: Path
) -> None:
    """Each in a finding of its own, and nobody keeps the others from being looked at."""
    facts = tmp_path / "breakers-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: breakers\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(BREAKERS)
    (tmp_path / "breakers.py").write_text(BREAKERS_CODE)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = workbench(home, "doctor", "--json", PYTHONPATH=path)
    assert done.returncode == 1
    found = {f["what"]: f for f in json.loads(done.stdout)["findings"]}
    says = {name: found[f"strategy {name}"]["says"] for name in ("gone", "peeks", "plain")}
    assert not any(found[f"strategy {name}"]["fine"] for name in says)
    assert says["gone"].startswith("no_such_module:gone cannot be loaded (ModuleNotFoundError")
    assert "peeks: it looks ahead" in says["peeks"]
    assert says["peeks"].endswith("it reads the next bar, through its close")
    assert "is no strategy; declare the function with @strategy" in says["plain"]
    assert all(found[f"strategy {name}"]["fine"] for name in ("ema_adx", "whale_flow"))
