"""Runs a notebook to the end or says why not.

papermill runs it in a process of its own, so that one deadline holds for the whole run even if
papermill or the kernel hangs; whatever the notebook started ends with the run. What papermill
writes about a run is not believed (after a timeout or a dead kernel it says "completed" of cells
that never ran): a run is green only if every code cell was started and no output is an error. The
artefact appears whole under its name or not at all:

    runs/<name>/<utc>-<sha8>/    notebook.ipynb (green only) and run.json
    runs/<name>/latest           the newest green one
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import nbformat
import papermill
import psutil
from papermill.exceptions import PapermillExecutionError, strip_color
from traitlets.config import Config

from workbench.errors import DataError, UsageError, WorkbenchError
from workbench.files import locked, point
from workbench.journal_json import to_json
from workbench.parameters import (
    Parameter,
    checked,
    find_notebook,
    parameters_of,
    read_notebook,
)
from workbench.ports import Progress
from workbench.redact import redacted, secrets_in

__all__ = [
    "Parameter", "Run", "RunFailed", "checked", "execute", "find_notebook", "parameters_of",
    "run_notebook",
]  # fmt: skip

DEADLINE_S = 900.0
_LINES = 20  # of a traceback, from its end
_MARK = "_WORKBENCH_RUN"  # every process that a run starts inherits it
_PART = ".part-"


class Failure(NamedTuple):
    """Why a run is red. `cell_index` counts all cells of the notebook from 0."""

    cause: str
    exception: str
    cell_index: int | None = None
    cell_id: str | None = None
    traceback: tuple[str, ...] = ()


class RunFailed(DataError):
    """A cell failed, the kernel died, or a cell never ran."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.cause)
        self.failure = failure


@dataclass(frozen=True)
class Run:
    """What became of a run; `folder` holds its run.json, and its notebook.ipynb if it is green."""

    green: bool
    folder: Path
    notebook: Path
    notebook_sha256: str
    parameters: Mapping[str, Any]
    started: datetime
    finished: datetime
    deadline_s: float
    failure: Failure | None

    @property
    def cause(self) -> str | None:
        return self.failure.cause if self.failure else None

    @property
    def seconds(self) -> float:
        return (self.finished - self.started).total_seconds()

    def to_dict(self) -> dict[str, Any]:
        """As in run.json."""
        failure = self.failure or Failure("", "")
        return {
            "status": "green" if self.green else "red",
            "cause": self.cause,
            "exception": failure.exception or None,
            "cell_index": failure.cell_index,
            "cell_id": failure.cell_id,
            "traceback": list(failure.traceback),
            "notebook": str(self.notebook),
            "notebook_sha256": self.notebook_sha256,
            "parameters": dict(self.parameters),
            "started": self.started.isoformat(),
            "finished": self.finished.isoformat(),
            "seconds": self.seconds,
            "deadline_s": self.deadline_s,
            "python": sys.version.split()[0],
            "packages": {name: version(name) for name in ("workbench", "papermill")},
        }


# --- in this process ---------------------------------------------------------------------------


def execute(
    notebook: Path,
    folder: Path,
    parameters: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    scratch: Path | None = None,
) -> nbformat.NotebookNode:
    """Run a notebook from top to bottom; the executed copy ends in `folder`, whole or not at all.

    It is kept and returned without the environment's secrets. `progress` is told the id of each
    cell as it begins; the kernel's sockets lie in `scratch`, by default a temporary folder. Raises
    UsageError for a notebook that is not there, RunFailed (a DataError) with cell and cause.
    """
    source = read_notebook(notebook)
    places = {cell.id: index for index, cell in enumerate(source.cells)}
    secrets = secrets_in(os.environ)
    at: list[str | None] = [None]

    def begins(cell: nbformat.NotebookNode, cell_index: int) -> None:
        at[:] = [cell.id]
        if progress and cell.id in places:
            progress(places[cell.id], len(places), cell.id)

    def failed(cell: str | None, exception: str, what: str, lines: list[str]) -> RunFailed:
        where = f"cell {cell!r} (index {places[cell]})" if cell in places else "the kernel"
        tail = strip_color("\n".join(lines)).splitlines()[-_LINES:]
        place = places.get(cell or "")
        failure = Failure(f"{notebook}: {where} {what}", exception, place, cell, tuple(tail))
        return RunFailed(Failure(*redacted(tuple(failure), secrets)))

    try:
        with ExitStack() as held:
            sockets = scratch or Path(held.enter_context(TemporaryDirectory(prefix="wb-")))
            executed = papermill.execute_notebook(
                source, None, dict(parameters or {}), progress_bar=False,
                kernel_name="python3", language="python", cwd=str(Path.cwd()), start_timeout=120,
                iopub_timeout=60, on_cell_start=begins, config=_sockets_in(sockets),
            )  # fmt: skip
    except PapermillExecutionError as wrong:
        what = f"failed with {_named(wrong.ename, wrong.evalue)}"
        raise failed(at[0], wrong.ename, what, wrong.traceback) from None
    except Exception as wrong:  # noqa: BLE001 - a dead kernel comes in many classes, all of them red
        kind = type(wrong).__name__
        what = "ended its kernel" if kind == "DeadKernelError" else "could not be run"
        raise failed(at[0], kind, f"{what} ({_named(kind, wrong)})", []) from None
    _all_ran(executed, failed)
    executed = redacted(executed, secrets)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "notebook.ipynb.part"
    nbformat.write(executed, part)
    part.replace(folder / "notebook.ipynb")
    return executed


def _sockets_in(folder: Path) -> Config:
    """No open port on this machine; and not in the current folder, where jupyter would put files
    of one name for every kernel, so that two runs take each other's away."""
    return Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})


def _all_ran(executed: nbformat.NotebookNode, failed: Callable[..., RunFailed]) -> None:
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    for cell in code:
        for output in cell.outputs:
            if output.output_type == "error":
                what = f"stopped with {_named(output.ename, output.evalue)}"
                raise failed(cell.id, output.ename, what, list(output.traceback))
    for cell in code:
        if not cell.metadata.get("papermill", {}).get("start_time"):
            raise failed(cell.id, "NeverRan", "never ran; the kernel may have died", [])


def _named(exception: str, text: object) -> str:
    return ": ".join([exception, *str(text).strip().splitlines()[:1]])


# --- in a process of its own -------------------------------------------------------------------


def run_notebook(
    notebook: Path,
    runs: Path,
    given: Mapping[str, Any] | None = None,
    *,
    deadline_s: float = DEADLINE_S,
    now: Callable[[], datetime],
    progress: Progress | None = None,
) -> Run:
    """Run a notebook under a deadline for the whole of it; a red run is returned, not raised.

    `now` gives times in UTC. The notebook runs in the current folder. Raises UsageError for wrong
    parameters and DataError for a file that is no notebook, both before anything is executed.
    """
    if not 0 < deadline_s < float("inf"):
        raise UsageError(f"the deadline is {deadline_s:g} s; it must be above 0")
    parameters = checked(notebook, given or {}, os.environ)
    source = notebook.read_bytes()
    started = now().astimezone(UTC)
    key = hashlib.sha256(source + to_json(parameters).encode()).hexdigest()[:8]
    with _part(runs / notebook.stem, f"{started:%Y%m%dT%H%M%SZ}-{key}") as (part, folder):
        failure = _in_child(notebook, part, parameters, deadline_s, progress)
        sha = hashlib.sha256(source).hexdigest()
        run = Run(
            failure is None, folder, notebook, sha, parameters,
            started, now().astimezone(UTC), deadline_s, failure,
        )  # fmt: skip
        text = json.dumps(redacted(run.to_dict(), secrets_in(os.environ)), indent=2)
        if failure:
            for half in part.iterdir():
                half.unlink()
        (part / "run.json").write_text(text + "\n", encoding="utf-8")
        part.rename(folder)
        if run.green:
            point(folder.parent / "latest", folder.name)
    return run


@contextmanager
def _part(home: Path, stamp: str) -> Iterator[tuple[Path, Path]]:
    """A locked folder to write in, and the name that it may have once it is whole.

    The lock goes with its process; a folder that nobody locks is a killed run's and is removed.
    """
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        with locked(home):
            for left in home.glob(f"{_PART}*"):
                with suppress(BlockingIOError), locked(left, wait=False):
                    shutil.rmtree(left)
            folder, n = home / stamp, 1
            while folder.exists() or (home / f"{_PART}{folder.name}").exists():
                n += 1
                folder = home / f"{stamp}-{n}"
            part = home / f"{_PART}{folder.name}"
            part.mkdir()
            held.enter_context(locked(part))
        try:
            yield part, folder
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _in_child(
    notebook: Path, part: Path, parameters: Mapping[str, Any],
    deadline_s: float, progress: Progress | None,
) -> Failure | None:  # fmt: skip
    """Execute in a process of its own, end all that it started, and say what went wrong."""
    mark, order = uuid.uuid4().hex, json.dumps([str(notebook), str(part), dict(parameters)])
    said: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    with TemporaryDirectory(prefix="wb-") as scratch:
        errors = Path(scratch) / "stderr"
        with errors.open("wb") as stderr:
            child = subprocess.Popen(  # noqa: S603 - this interpreter, this module
                [sys.executable, "-m", "workbench.runner", order],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                env=os.environ | {_MARK: mark, "JUPYTER_RUNTIME_DIR": scratch},
                start_new_session=True,
            )  # fmt: skip
        with child:
            ear = threading.Thread(target=_listen, args=(child.stdout, said))
            ear.start()
            try:
                failure = _heard(said, notebook, deadline_s, progress)
            finally:
                _end_all(mark)
                ear.join()
        if failure and failure.exception == "Crashed":
            last = (errors.read_text(errors="replace").strip().splitlines() or ["no word"])[-1]
            cause = f"{failure.cause} with code {child.returncode}: {last}"
            failure = failure._replace(cause=cause)
    return Failure(*redacted(tuple(failure), secrets_in(os.environ))) if failure else None


def _listen(stdout: Iterable[bytes], said: queue.SimpleQueue[bytes]) -> None:
    for line in stdout:
        said.put(line)
    said.put(b"")


def _heard(
    said: queue.SimpleQueue[bytes], notebook: Path, deadline_s: float, progress: Progress | None
) -> Failure | None:
    """Wait until the child says how the run ended, falls silent for good, or the time is up."""
    ends = time.monotonic() + deadline_s
    at: tuple[int | None, str | None] = (None, None)
    while True:
        try:
            line = said.get(timeout=max(ends - time.monotonic(), 0.001))
        except queue.Empty:
            where = f"cell {at[1]!r} (index {at[0]})" if at[1] else "the start of its kernel"
            cause = f"{notebook}: not done after {deadline_s:g} s, and ended in {where}"
            return Failure(cause, "DeadlineExceeded", *at)
        if not line:
            return Failure(f"{notebook}: the process that ran it ended", "Crashed", *at)
        word = json.loads(line)
        if failure := word.get("red"):
            return Failure(**failure | {"traceback": tuple(failure["traceback"])})
        done, total, cell = word["at"]
        at = (done, cell)
        if progress:
            progress(done, total, notebook.stem)
        if done == total:
            return None


def _end_all(mark: str) -> None:
    """Kill every process that carries the mark and all below them, until none is found.

    Kernels and daemons lead sessions of their own, so that no process group holds them all; the
    environment does.
    """
    found: set[psutil.Process] = set()
    for _ in range(50):
        found = {process for process in psutil.process_iter() if _marked(process, mark)}
        for process in tuple(found):
            with suppress(psutil.Error):
                found |= set(process.children(recursive=True))
        found = {process for process in found if process.pid != os.getpid()}
        if not found:
            return
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=1)
    raise DataError(f"processes {sorted(p.pid for p in found)} of the run cannot be ended")


def _marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(_MARK) == mark
    except psutil.Error:  # another user's, or gone
        return False


def _child() -> None:
    """What the process of its own does: argv holds notebook, folder and parameters as JSON."""
    notebook, folder, parameters = json.loads(sys.argv[1])
    words = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else prints here does not get between the lines
    leash = threading.Thread(target=_leash, daemon=True)
    leash.start()

    def tell(word: Mapping[str, Any]) -> None:
        words.write(json.dumps(word) + "\n")

    try:
        done = execute(
            Path(notebook), Path(folder), parameters,
            lambda done, total, cell: tell({"at": [done, total, cell]}),
            Path(os.environ["JUPYTER_RUNTIME_DIR"]),
        )  # fmt: skip
        word: dict[str, Any] = {"at": [len(done.cells), len(done.cells), None]}
    except RunFailed as red:
        word = {"red": red.failure._asdict()}
    except WorkbenchError as red:
        word = {"red": Failure(str(red), type(red).__name__)._asdict()}
    with suppress(BrokenPipeError):
        tell(word)
    leash.join()  # the parent ends this process, or the leash does


def _leash() -> None:
    """Standard input ends when the parent does, however it ends; then so does all of this."""
    while os.read(0, 1):
        pass
    _end_all(os.environ[_MARK])
    shutil.rmtree(os.environ["JUPYTER_RUNTIME_DIR"], ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    _child()
