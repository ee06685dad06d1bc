"""The same sweep on a Dask cluster of this machine: the same bytes, whoever dies meanwhile."""

from __future__ import annotations

import builtins
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.research.sweeping import GRID, above, follow, small_desk, small_world
from workbench.desk import Desk
from workbench.domain import Proposal, UsageError
from workbench.errors import ContractBroken
from workbench.research import cluster as cluster_module
from workbench.research.plan import run
from workbench.research.sweep import Sweep, plan_of, sets_of, sweep, sweep_sets

distributed = pytest.importorskip("distributed")

# Dask warns of what it does itself while a worker starts or dies.
pytestmark = pytest.mark.filterwarnings("ignore::Warning")

MANY = {"bars": [*range(2, 62)], "least": [0.0, 0.02]}
HERE = os.getpid()


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two workers of one thread each, on loopback, with a nanny each that starts them again."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return small_desk(tmp_path / "dask")


def threads_of(tmp_path: Path, what: Any, grid: dict[str, list[Any]]) -> Sweep:
    return sweep(small_desk(tmp_path / "threads"), small_world(), what, grid, threads=2)


def assert_same(one: Sweep, other: Sweep) -> None:
    pd.testing.assert_frame_equal(one.frame, other.frame, check_exact=True)
    assert one.returns.to_numpy().tobytes() == other.returns.to_numpy().tobytes()
    assert one.ledger.tried == other.ledger.tried == one.tried


def on_dask(desk: Desk, what: Any, grid: dict[str, list[Any]], client: Any, **more: Any) -> Sweep:
    return sweep(desk, small_world(), what, grid, engine="dask", client=client, **more)


@pytest.mark.parametrize("whole", [False, True])
def test_two_workers_come_to_the_bytes_of_two_threads(
    desk: Desk, tmp_path: Path, client: Any, whole: bool
) -> None:
    grid = {f"follow.{name}": values for name, values in GRID.items()} if whole else GRID
    grid = grid | {"limits.stop": [0.01, 0.03], "costs.taker_fee": [0.0, 0.001]}
    what, told = None if whole else follow, []
    done = on_dask(desk, what, grid, client, progress=lambda *k: told.append(k))
    assert done.notes == ()
    assert told[-1][:2] == (24, 24)
    assert_same(done, threads_of(tmp_path, what, grid))


RULE = """
def rule(panel, bars=3, least=0.0):
    change = helper(panel.close.to_numpy(), bars)
    return Proposal(change > least, 70.0, 1.0, change < -least)

def helper(close, bars):
    change = np.full(close.shape, np.nan)
    change[bars:] = close[bars:] / close[:-bars] - 1.0
    return change
"""


HUNGRY = """
def hungry(panel, bars=3):
    if os.getpid() != HERE and bars == 4:
        raise MemoryError("no room for 4")
    return above(panel, bars)
"""
DEADLY = """
def deadly(panel, bars=3):
    if os.getpid() != HERE and bars == 4:
        os.kill(os.getpid(), 9)
    return above(panel, bars)
"""
BROKEN = """
def broken(panel, bars=3):
    return above(panel, bars // (bars - 4))
"""


def notebook(code: str) -> Any:
    """The first function that a notebook's cell defines: no worker could import it."""
    names: dict[str, Any] = {
        "__name__": "__main__", "Proposal": Proposal, "above": above, "np": np, "os": os,
        "HERE": HERE,
    }  # fmt: skip
    exec(code, names)  # noqa: S102
    return names[code.split("(", maxsplit=1)[0].removeprefix("\ndef ")]


def test_a_notebooks_rule_runs_on_the_cluster(desk: Desk, tmp_path: Path, client: Any) -> None:
    """It and its helper are in no file that a worker could import."""
    rule = notebook(RULE)
    done = on_dask(desk, rule, GRID, client)
    assert done.notes == ()
    assert_same(done, threads_of(tmp_path, rule, GRID))


def test_a_worker_that_is_killed_loses_nothing(desk: Desk, tmp_path: Path, client: Any) -> None:
    """SIGKILL to one of the two when the first chunk is done."""
    pids, killed = client.run(os.getpid), []

    def kill(k: int, n: int, what: str) -> None:
        if not killed:
            killed.append(min(pids.values()))
            os.kill(killed[0], signal.SIGKILL)

    done = on_dask(desk, above, MANY, client, progress=kill)
    assert killed
    assert_same(done, threads_of(tmp_path, above, MANY))
    client.wait_for_workers(2, timeout=30)
    assert killed[0] not in client.run(os.getpid).values()


def test_what_does_not_fit_on_a_worker_is_run_here_and_said(
    desk: Desk, tmp_path: Path, client: Any
) -> None:
    hungry = notebook(HUNGRY)
    grid = {"bars": [3, 4, 5, 6]}
    done = on_dask(desk, hungry, grid, client)
    assert len(done.notes) == 1
    assert done.notes[0].startswith(
        "2 sets were run here, not on the cluster: MemoryError: no room for 4"
    )
    assert_same(done, threads_of(tmp_path, hungry, grid))


def test_a_chunk_that_kills_every_worker_is_run_here_and_said(
    desk: Desk, tmp_path: Path, client: Any
) -> None:
    """As the machine's own killer would: SIGKILL, wherever it is not this process."""
    deadly = notebook(DEADLY)
    grid = {"bars": [3, 4, 5, 6]}
    done = on_dask(desk, deadly, grid, client, threads=1)
    client.wait_for_workers(2, timeout=30)
    assert any("sets were run here, not on the cluster" in note for note in done.notes)
    assert_same(done, threads_of(tmp_path, deadly, grid))


def test_a_strategy_that_breaks_breaks_there_as_here(desk: Desk, client: Any) -> None:
    broken = notebook(BROKEN)
    for more in ({"engine": "dask", "client": client}, {"engine": "threads"}):
        with pytest.raises(ContractBroken, match=r"broken breaks on \{'bars': 4\}: ZeroDivision"):
            sweep(desk, small_world(), broken, {"bars": [4, 5]}, **more)


def test_a_worker_of_another_version_is_not_believed(
    desk: Desk, tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "version", lambda: "another")
    done = on_dask(desk, follow, GRID, client)
    assert all("another version of the workbench" in note for note in done.notes)
    assert sum(int(note.split()[0]) for note in done.notes) == 6
    assert_same(done, threads_of(tmp_path, follow, GRID))


def test_what_is_kept_is_not_sent_again(desk: Desk, tmp_path: Path, client: Any) -> None:
    sweep(desk, small_world(), follow, GRID)
    told: list[Any] = []
    again = on_dask(desk, follow, GRID, client, progress=lambda *k: told.append(k))
    assert told == []
    assert_same(again, threads_of(tmp_path, follow, GRID))


def test_an_interrupt_keeps_what_the_workers_had_done(desk: Desk, client: Any) -> None:
    def stop(k: int, n: int, what: str) -> None:
        if k >= 30:
            raise KeyboardInterrupt

    plan, sets = plan_of(desk, small_world(), above), sets_of(MANY)
    with pytest.raises(KeyboardInterrupt):
        sweep_sets(plan, sets, desk.journal_path, engine="dask", client=client, progress=stop)
    left: list[int] = []
    done = sweep_sets(
        plan, sets, desk.journal_path, threads=1, progress=lambda k, n, what: left.append(k)
    )
    assert 0 < len(left) < len(range(0, 120, 6))
    figures, _ = run(plan, sets)
    assert done.frame["trades"].tolist() == figures[:, 0].tolist()
    assert done.ledger.tried == 120


def test_without_the_extra_a_sentence_says_what_to_install(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "distributed":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"needs the extra: pip install 'workbench\[dask\]'"):
        sweep(desk, small_world(), follow, {"bars": [2]}, engine="dask")


def test_without_a_client_there_is_a_cluster_of_this_machine(desk: Desk, tmp_path: Path) -> None:
    done = on_dask(desk, follow, GRID, None, threads=1)
    assert done.notes == ()
    assert_same(done, threads_of(tmp_path, follow, GRID))
