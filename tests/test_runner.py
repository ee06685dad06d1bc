"""Notebooks run to the end, or say why not; nothing half-made and no process is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.command import workbench
from workbench.errors import DataError, UsageError
from workbench.redact import named_like_a_secret, redacted, secrets_in, shaped_like_a_secret
from workbench.runner import (
    Parameter,
    Run,
    checked,
    execute,
    find_notebook,
    parameters_of,
    run_notebook,
)

KEY = 's3cr\'et "value"/of mine'  # quotes, so that repr and JSON print it otherwise
DECLARED = """\
import os  # not a parameter

symbol: str = "BTC/USDT"  # the asset
n: int = 50
share: float = 0.5
fast: bool = False
names: list[str] = ["a=b", "c#d"]  # which ones
limit: float | None = None
side: Literal["long", "short"] = "long"
days: Literal[1, 7] = 7
weights: dict[str, float] = {}
either: int | str = 0
plain = 3
listed = [1, 2]
nothing = None
made = os.getcwd()
odd: datetime = None
"""
# one of each vendor's shape, put together here so that no scanner takes fright
SHAPES = (
    "sk-" + "ant-api03-abcdefghijkl0123", "AKIA" + "ABCDEFGHIJKLMNOP", "ghp_" + "a1" * 18,
    "xoxb-" + "1234567890-abcdef", "-----BEGIN RSA " + "PRIVATE KEY-----", "AIza" + "b" * 35,
    "Bearer " + "abcdefghijklmnopqrstuvwxyz", "eyJ" + "hbGciOiJI.eyJ" + "zdWIiOiIxMjM0.sig-n4",
    "postgresql://me:" + "hunter22@host/db", "vmPUZE6mv9SD5VNHk4Hl" + "WFsOr6aKE2zvsw0MuIgwCIPy6ut",
)  # fmt: skip


def write(path: Path, *cells: str, parameters: str | None = None) -> Path:
    """A notebook with these code cells, ids c0, c1 ...; the first may be the parameters cell."""
    made = [new_markdown_cell("# Title", id="title")]
    if parameters is not None:
        made.append(new_code_cell(parameters, id="given", metadata={"tags": ["parameters"]}))
    made += [new_code_cell(source, id=f"c{k}") for k, source in enumerate(cells)]
    nbformat.write(new_notebook(cells=made), path)
    return path


def run(notebook: Path, given: dict[str, Any] | None = None, **options: Any) -> Run:
    """A run that keeps its artefacts beside the notebook."""
    return run_notebook(
        notebook, notebook.parent / "runs", given,
        **{"deadline_s": 120.0, "now": lambda: datetime.now(UTC)} | options,
    )  # fmt: skip


def record_of(done: Run) -> dict[str, Any]:
    """What run.json says."""
    return json.loads((done.folder / "run.json").read_text())


def alive(word: str) -> list[psutil.Process]:
    """Processes with `word` on their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and word in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def gone(pid: int) -> bool:
    """Ended; whether somebody has asked for its exit code yet is no matter."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def soon(happens: Callable[[], object], seconds: float = 60.0) -> bool:
    """Wait for it."""
    ends = time.monotonic() + seconds
    while not happens() and time.monotonic() < ends:
        time.sleep(0.1)
    return bool(happens())


# --- parameters --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A notebook that declares one parameter of every kind."""
    return write(tmp_path_factory.mktemp("typed") / "typed.ipynb", "n", parameters=DECLARED)


def test_parameters_are_read_with_kind_default_and_help(typed: Path) -> None:
    """As written, also where papermill's own reader gives up: `=` and `#` inside a default."""
    declared = {each.name: each for each in parameters_of(typed)}
    assert declared["symbol"] == Parameter("symbol", "str", "'BTC/USDT'", "the asset")
    assert declared["names"] == Parameter("names", "list[str]", "['a=b', 'c#d']", "which ones")
    kinds = {name: declared[name].kind for name in ("plain", "listed", "nothing", "made")}
    assert kinds == {"plain": "int", "listed": "list[int]", "nothing": "str | None", "made": ""}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("symbol", "ETH/USDT", "ETH/USDT"),
        ("symbol", "", ""),
        ("symbol", "7", "7"),
        ("n", "7", 7),
        ("n", " -7 ", -7),
        ("share", "1e-3", 0.001),
        ("share", "1", 1.0),
        ("fast", "true", True),
        ("fast", "no", False),
        ("names", "a,b, c", ["a", "b", "c"]),
        ("names", '["a,b", "c"]', ["a,b", "c"]),
        ("names", "", []),
        ("limit", "none", None),
        ("limit", "2.5", 2.5),
        ("side", "short", "short"),
        ("days", "1", 1),
        ("weights", '{"a": 1}', {"a": 1.0}),
        ("either", "x", "x"),
        ("plain", "4", 4),
        ("listed", "1,2", [1, 2]),
        ("nothing", "None", None),
        ("nothing", "x", "x"),
        ("n", 7, 7),
        ("names", ["x"], ["x"]),
        ("limit", None, None),
    ],
)
def test_a_value_becomes_what_the_notebook_declares(
    typed: Path, name: str, text: object, value: object
) -> None:
    """Texts as a command line gives them, and values as a caller does."""
    taken = checked(typed, {name: text})
    assert taken == {name: value}
    assert type(taken[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("n", "abc", "n must be int, and 'abc' is not"),
        ("n", "7.5", "n must be int"),
        ("n", "", "n must be int"),
        ("n", "true", "n must be int"),
        ("n", True, "n must be int, and True is not"),
        ("n", None, "n must be int"),
        ("share", "nan", "share must be float, and 'nan' is not"),
        ("share", "inf", "share must be float"),
        ("fast", "perhaps", "fast must be bool"),
        ("names", '["a", 1]', "names must be list[str]"),
        ("names", '["a"', "names must be list[str]"),
        ("limit", "much", "limit must be float | None"),
        ("side", "up", "side must be Literal['long', 'short'], and 'up' is not"),
        ("days", "2", "days must be Literal[1, 7]"),
        ("weights", "a=1", "weights must be dict[str, float]"),
        ("listed", "1,x", "listed must be list[int]"),
        ("symbol", 3, "symbol must be str, and 3 is not"),
        ("made", "x", "made has no type"),
        ("odd", "x", "odd is a datetime, which cannot be given"),
        ("symbl", "x", "no parameter 'symbl'; the nearest is symbol"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_one_sentence(
    typed: Path, name: str, value: object, says: str
) -> None:
    """Before anything runs, with the name, the kind and the value."""
    with pytest.raises(UsageError) as refused:
        checked(typed, {name: value})
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_parameter_without_default_has_to_be_given(tmp_path: Path) -> None:
    """`day: str` alone is a question without an answer."""
    notebook = write(tmp_path / "a.ipynb", parameters="day: str  # which\nn: int = 1")
    assert parameters_of(notebook)[0] == Parameter("day", "str", None, "which")
    assert checked(notebook, {"day": "today"}) == {"day": "today"}
    with pytest.raises(UsageError, match="day has no default; give it with -p day="):
        checked(notebook, {"n": 2})


def test_a_notebook_without_a_parameters_cell_takes_none(tmp_path: Path) -> None:
    """papermill would put the value in at the top and say nothing."""
    notebook = write(tmp_path / "a.ipynb", "1")
    assert parameters_of(notebook) == []
    assert checked(notebook, {}) == {}
    with pytest.raises(UsageError, match="takes no parameters, and n was given"):
        checked(notebook, {"n": 1})


def test_reading_the_parameters_cell_executes_nothing(tmp_path: Path) -> None:
    """Neither a default nor an annotation is run to find out what it is."""
    trap = tmp_path / "sprung"
    source = f"n: open({str(trap)!r}, 'w') = open({str(trap)!r}, 'w')"
    notebook = write(tmp_path / "a.ipynb", parameters=source)
    with pytest.raises(UsageError, match="cannot be given"):
        checked(notebook, {"n": "1"})
    assert not trap.exists()


@pytest.mark.parametrize("broken", ["n: int = (", "%matplotlib inline", "n = 1\n  m = 2"])
def test_a_parameters_cell_that_is_not_python_is_refused(tmp_path: Path, broken: str) -> None:
    """It names the file, not the parser."""
    with pytest.raises(DataError, match=r"a.ipynb: the parameters cell is not plain Python"):
        parameters_of(write(tmp_path / "a.ipynb", parameters=broken))


@pytest.mark.parametrize("name", ["api_key", "exchangeToken", "DB_PASSWORD", "client_secret"])
def test_a_parameter_named_like_a_secret_is_refused(tmp_path: Path, name: str) -> None:
    """Even where the notebook declares it; the value is not repeated."""
    notebook = write(tmp_path / "a.ipynb", parameters=f'{name}: str = ""')
    with pytest.raises(UsageError, match=name) as refused:
        checked(notebook, {name: "hunter22"})
    assert "hunter22" not in str(refused.value)
    assert "environment variable" in str(refused.value)


@pytest.mark.parametrize("value", SHAPES)
def test_a_value_shaped_like_a_key_is_refused_and_not_repeated(typed: Path, value: str) -> None:
    """Under a harmless name, an unknown name, or inside a list."""
    for given in ({"symbol": f"x {value}"}, {"unheard": value}, {"names": ["a", value]}):
        with pytest.raises(UsageError, match="looks like a secret") as refused:
            checked(typed, given)
        assert value[4:] not in str(refused.value)


def test_a_value_that_the_environment_keeps_secret_is_refused(typed: Path) -> None:
    """Whatever its shape."""
    with pytest.raises(UsageError, match="looks like a secret") as refused:
        checked(typed, {"symbol": "plainword"}, {"MY_API_KEY": "plainword"})
    assert "plainword" not in str(refused.value)


@pytest.mark.parametrize(
    "value",
    ["BTC/USDT", "risk-management-review-of-2026", "a" * 64, "0f" * 32, "2026-11-22T00:00:00+00:00",
     "https://example.org:8080/a@b", "sk-learn", "notebooks/04_risk_review.ipynb"],
)  # fmt: skip
def test_ordinary_values_are_not_taken_for_keys(typed: Path, value: str) -> None:
    """Symbols, hashes, dates, addresses and paths pass."""
    assert checked(typed, {"symbol": value}) == {"symbol": value}


def test_text_is_cleaned_of_every_form_of_a_secret() -> None:
    """As it is, in repr, in JSON, in an address; short values and other names stay."""
    secrets = secrets_in({"A_TOKEN": KEY, "B_PASSWORD": "1", "HOME": "/home/someone"})
    assert secrets == (KEY,)
    text = f"{KEY} {KEY!r} {json.dumps(KEY)} ?k={KEY.replace(' ', '%20')} 1 /home/someone"
    dirty = {"a": [text], "b": ("x", 3), "c": None}
    clean = redacted(dirty, secrets)
    assert "s3cr" not in str(redacted({"a": [f"{KEY} {KEY!r} {json.dumps(KEY)}"]}, secrets))
    assert clean["a"][0].endswith("1 /home/someone")
    assert (clean["b"], clean["c"]) == (("x", 3), None)
    assert redacted(SHAPES[0], ()) == "[redacted]"
    assert named_like_a_secret("AWS_SECRET_ACCESS_KEY")
    assert not named_like_a_secret("PATH")
    assert not shaped_like_a_secret({"a": [1, None, "x"]})


# --- runs --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def green(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[tuple[int, int, str]]]:
    """A green run that prints a secret and leaves a process behind, and the progress it told."""
    folder = tmp_path_factory.mktemp("green")
    notebook = write(
        folder / "good.ipynb",
        "import os, subprocess, sys\nprint(n, names, os.environ['EXCHANGE_API_KEY'])",
        "[os.environ['EXCHANGE_API_KEY']]",
        "",
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)  # LEFT-GREEN'],"
        " start_new_session=True)",
        parameters="n: int = 1\nnames: list[str] = []",
    )
    told: list[tuple[int, int, str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXCHANGE_API_KEY", KEY)
        done = run(
            notebook, {"n": "42", "names": "x,y"},
            progress=lambda *told_now: told.append(told_now),
            now=iter([datetime(2026, 11, 22, 8, 0, 5, tzinfo=UTC),
                      datetime(2026, 11, 22, 8, 0, 9, tzinfo=UTC)]).__next__,
        )  # fmt: skip
    return done, told


def test_a_green_run_has_run_every_cell_with_its_parameters(
    green: tuple[Run, list[tuple[int, int, str]]],
) -> None:
    """The notebook holds the outputs; `latest` leads to it."""
    done, _ = green
    assert (done.green, done.cause) == (True, None)
    assert sorted(f.name for f in done.folder.iterdir()) == ["notebook.ipynb", "run.json"]
    latest = done.folder.parent / "latest"
    assert latest.resolve() == done.folder.resolve()
    kept = nbformat.read(latest / "notebook.ipynb", as_version=4)
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert all(cell.metadata.papermill.start_time for cell in code)
    assert kept.cells[3].outputs[0].text.startswith("42 ['x', 'y']")


def test_run_json_tells_what_was_run_and_when(
    green: tuple[Run, list[tuple[int, int, str]]],
) -> None:
    """Enough to run it again; the folder's name is the start and a hash."""
    done, _ = green
    said = record_of(done)
    assert done.folder.name.startswith("20261122T080005Z-")
    assert len(done.folder.name.split("-")[1]) == 8
    assert (said["status"], said["cause"]) == ("green", None)
    assert said["parameters"] == {"n": 42, "names": ["x", "y"]}
    assert said["started"] == "2026-11-22T08:00:05+00:00"
    assert said["seconds"] == 4.0
    assert len(said["notebook_sha256"]) == 64
    assert set(said["packages"]) == {"workbench", "papermill"}


def test_the_environments_secrets_are_in_nothing_that_is_kept(
    green: tuple[Run, list[tuple[int, int, str]]],
) -> None:
    """Printed, and as the repr of a list: both are gone from the notebook."""
    text = (green[0].folder / "notebook.ipynb").read_text()
    assert "s3cr" not in text
    assert text.count("[redacted]") >= 2


def test_progress_goes_from_none_to_all_of_the_cells(
    green: tuple[Run, list[tuple[int, int, str]]],
) -> None:
    """Cell by cell, told from the other process."""
    _, told = green
    assert [done for done, _, _ in told] == [0, 1, 2, 3, 4, 5, 7]
    assert {label for _, _, label in told} == {"good"}


def test_what_a_notebook_started_ends_with_its_run(
    green: tuple[Run, list[tuple[int, int, str]]],
) -> None:
    """Also after a green run, and in a session of its own."""
    assert green[0].green
    assert alive("LEFT-GREEN") == []


def test_a_failing_cell_is_red_with_its_cause_and_leaves_no_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cell counts as in the user's notebook, not as in papermill's copy; no secret in it."""
    monkeypatch.setenv("EXCHANGE_API_KEY", KEY)
    boom = "import os\nraise ValueError('no entry with ' + os.environ['EXCHANGE_API_KEY'])"
    notebook = write(tmp_path / "bad.ipynb", "1", boom, "2", parameters="n: int = 1")
    done = run(notebook, {"n": 2})
    assert not done.green
    assert [f.name for f in done.folder.iterdir()] == ["run.json"]
    assert not (done.folder.parent / "latest").exists()
    said = record_of(done)
    assert (said["status"], said["exception"]) == ("red", "ValueError")
    assert (said["cell_index"], said["cell_id"]) == (3, "c1")
    assert said["cause"] == done.cause
    assert "cell 'c1' (index 3) failed with ValueError: no entry with [redacted]" in said["cause"]
    assert said["traceback"][-1] == "ValueError: no entry with [redacted]"
    assert "s3cr" not in (done.folder / "run.json").read_text()
    assert "\x1b" not in "".join(said["traceback"])


HANG = """\
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)  # LEFT-{0}"]
subprocess.Popen(sleep, start_new_session=True)
subprocess.Popen(sleep, start_new_session=True, env={{}})
orphan = "import subprocess; subprocess.Popen(" + repr(sleep) + ", start_new_session=True)"
subprocess.run([sys.executable, "-c", orphan])
open({1!r}, "w").write(str(os.getpid()))
time.sleep(600)
"""


def test_a_hang_is_ended_at_the_deadline_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kernel, daemons in sessions of their own, an orphan: nobody is left; the run is red."""
    monkeypatch.chdir(tmp_path)
    pid = tmp_path / "pid"
    notebook = write(tmp_path / "hang.ipynb", "1", HANG.format("DEADLINE", str(pid)))
    for deadline_s in (8.0, 60.0):  # the second for a machine too busy to reach the cell by then
        done = run(notebook, deadline_s=deadline_s)
        assert not done.green
        if pid.exists():
            break
    assert done.failure is not None
    assert done.failure.exception == "DeadlineExceeded"
    assert f"not done after {deadline_s:g} s, and ended in cell 'c1' (index 2)" in str(done.cause)
    assert [f.name for f in done.folder.iterdir()] == ["run.json"]
    assert alive("LEFT-DEADLINE") == []
    assert {f.name for f in tmp_path.iterdir()} == {"hang.ipynb", "pid", "runs"}  # and no socket
    assert gone(int(pid.read_text()))
    assert alive(str(notebook)) == []


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_dead_kernel_is_red_and_names_the_cell(tmp_path: Path, end: str) -> None:
    """papermill writes "completed" of every cell then; an exit code of 0 is no excuse."""
    notebook = write(tmp_path / "dead.ipynb", "1", f"import os\n{end}", "2")
    done = run(notebook)
    assert not done.green
    assert done.failure is not None
    assert (done.failure.exception, done.failure.cell_id) == ("DeadKernelError", "c1")
    assert "cell 'c1' (index 2) ended its kernel" in str(done.cause)
    assert [f.name for f in done.folder.iterdir()] == ["run.json"]


def test_a_crash_of_papermills_own_process_is_red_and_ends_the_kernel(tmp_path: Path) -> None:
    """As when the machine runs out of memory; what was left says where it was."""
    pid = tmp_path / "pid"
    crash = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\n"
    done = run(write(tmp_path / "a.ipynb", f"{crash}os.kill(os.getppid(), 9)\ntime.sleep(600)"))
    assert done.failure is not None
    assert (done.failure.exception, done.failure.cell_id) == ("Crashed", "c0")
    assert "the process that ran it ended with code -9" in str(done.cause)
    assert gone(int(pid.read_text()))


def test_a_notebook_that_stops_early_is_red(tmp_path: Path) -> None:
    """papermill takes `sys.exit()` for success and lets the rest never run."""
    done = run(write(tmp_path / "stop.ipynb", "import sys\nsys.exit()", "2"))
    assert not done.green
    assert str(done.cause).endswith("cell 'c0' (index 1) stopped with SystemExit")


def test_a_red_run_leaves_latest_at_the_green_one(tmp_path: Path) -> None:
    """Three runs in one second have three folders."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    notebook = write(tmp_path / "a.ipynb", "assert ok", parameters="ok: bool = True")
    first = run(notebook, now=lambda: now)
    late = {"deadline_s": 0.01, "now": lambda: now + timedelta(seconds=1)}
    second, third = run(notebook, {"ok": False}, **late), run(notebook, {"ok": False}, **late)
    assert (first.green, second.green, third.green) == (True, False, False)
    assert (tmp_path / "runs/a/latest").resolve() == first.folder.resolve()
    assert third.folder.name == f"{second.folder.name}-2"


def test_runs_at_the_same_time_in_the_same_folder_keep_apart(tmp_path: Path) -> None:
    """Each has its own kernel, sockets and artefact, also two of one notebook."""
    say = "import time\ntime.sleep(1)\nprint(word * 3)"
    notebook = write(tmp_path / "say.ipynb", say, parameters="word: str = ''")
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda word: run(notebook, {"word": word}), ["ab", "cd"]))
    for done, text in zip(both, ("ababab", "cdcdcd"), strict=True):
        assert done.green, done.cause
        assert text in (done.folder / "notebook.ipynb").read_text()


def test_execute_in_this_process_raises_with_the_cell(tmp_path: Path) -> None:
    """The same execution without a process of its own, for a caller that has its own limits."""
    with pytest.raises(DataError, match=r"cell 'c0' \(index 1\) failed with NameError"):
        execute(write(tmp_path / "bad.ipynb", "undefined"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="is not there"):
        execute(tmp_path / "none.ipynb", tmp_path / "out")


def test_a_killed_run_ends_its_kernel_and_its_remains_go_at_the_next_start(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """SIGKILL gives no time to tidy: the child does when its parent is gone, the next run the rest.

    A run that is still going keeps its own folder."""
    pid = tmp_path / "pid"
    write(tmp_path / "long.ipynb", HANG.format("KILLED", str(pid)), parameters="n: int = 1")
    command = [sys.executable, "-m", "workbench", "run", "long.ipynb", "--runs", "runs"]
    scratch = tmp_path_factory.mktemp("k")  # short, as a socket's path has to be
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.DEVNULL, env=os.environ | {"TMPDIR": str(scratch)}
    ) as shell:
        assert soon(pid.exists)
        (mine,) = (tmp_path / "runs/long").glob(".part-*")
        with pytest.raises(UsageError):
            run(tmp_path / "long.ipynb", {"nn": "1"})
        early = run(tmp_path / "long.ipynb", deadline_s=0.01)
        assert not early.green
        assert "in the start of its kernel" in str(early.cause)
        assert mine.exists()
        shell.send_signal(signal.SIGKILL)
    assert soon(lambda: gone(int(pid.read_text())))
    assert soon(lambda: alive("LEFT-KILLED") == [])
    assert soon(lambda: list(scratch.iterdir()) == [])
    assert mine.exists()
    run(tmp_path / "long.ipynb", deadline_s=0.01)
    assert not mine.exists()


# --- the command -------------------------------------------------------------------------------


def test_run_lists_what_a_notebook_may_be_asked(tmp_path: Path) -> None:
    """By its bare name, in words and as JSON."""
    (tmp_path / "notebooks").mkdir()
    write(tmp_path / "notebooks/look.ipynb", parameters="n: int = 5  # how many\nday: str")
    said = workbench(tmp_path, "run", "look", "--list").stdout
    assert "n: int" in said
    assert "how many" in said
    assert "(must be given)" in said
    listed = json.loads(workbench(tmp_path, "run", "look", "--list", "--json").stdout)
    assert listed["parameters"][0] == {
        "name": "n", "kind": "int", "default": "5", "help": "how many",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["lok"], 2, "the nearest in notebooks/ is look"),
        (["look", "-p", "n=abc"], 2, "n must be int, and 'abc' is not"),
        (["look", "-p", "n"], 2, "-p takes name=value"),
        (["look", "-p", "n=1", "-p", "n=2"], 2, "given twice"),
        (["look", "--deadline", "nan"], 2, "it must be above 0"),
        (["torn.ipynb"], 1, "torn.ipynb is not a notebook"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_runs(
    tmp_path: Path, words: list[str], code: int, says: str
) -> None:
    """Exit code 2, or 1 for a torn file; nothing is made."""
    (tmp_path / "notebooks").mkdir()
    write(tmp_path / "notebooks/look.ipynb", "1", parameters="n: int = 5")
    (tmp_path / "torn.ipynb").write_text('{"cells": [')
    done = workbench(tmp_path, "run", *words)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "var").exists()


def test_a_secret_on_the_command_line_is_printed_nowhere(tmp_path: Path) -> None:
    """Neither as a value, nor when its name was forgotten."""
    write(tmp_path / "a.ipynb", parameters="n: str = ''")
    for word in (f"n={SHAPES[0]}", SHAPES[0]):
        done = workbench(tmp_path, "run", "a.ipynb", "-p", word, "--json")
        assert done.returncode == 2
        assert SHAPES[0][5:] not in done.stdout + done.stderr


def test_a_red_run_exits_with_1_and_says_why(tmp_path: Path) -> None:
    """The cause is the last line of standard error; JSON has all of run.json."""
    write(tmp_path / "a.ipynb", "1/0")
    done = workbench(tmp_path, "run", "a.ipynb", "--json")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert said["exception"] == "ZeroDivisionError"
    assert Path(tmp_path / said["folder"] / "run.json").is_file()
    assert done.stderr.splitlines()[-1].endswith("failed with ZeroDivisionError: division by zero")


def test_a_notebook_is_found_by_path_or_by_name(tmp_path: Path) -> None:
    """And without any notebooks folder the sentence says so."""
    there = write(tmp_path / "one.ipynb")
    assert find_notebook(str(there)) == there
    assert find_notebook("one", tmp_path) == there
    with pytest.raises(UsageError, match=r"the nearest in .* is one"):
        find_notebook("oen", tmp_path)
    with pytest.raises(UsageError, match="run this in the project's folder"):
        find_notebook("one", tmp_path / "none")
