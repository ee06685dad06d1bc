"""A desk, a panel and a browser, each a process of its own; shared by the tests of a module."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import urlopen

import psutil
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.recorded import ROOT
from tests.trading.conftest import sample_desk, sample_run
from workbench.data.lake import Lake
from workbench.trading.engine import heartbeat_file
from workbench.trading.lease import Heartbeat, last_beat

__all__ = ["sample_desk", "sample_run"]  # fixtures of the runs that the panel looks at

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
_T = TypeVar("_T")


def until(ask: Callable[[], _T], timeout_s: float = 60.0, every_s: float = 0.1) -> _T:
    """The first answer that is true; fails with the last one."""
    end = time.monotonic() + timeout_s
    while not (answer := ask()):
        assert time.monotonic() < end, f"still {answer!r} after {timeout_s:g} s"
        time.sleep(every_s)
    return answer


@dataclass
class Process:
    """A `workbench` command that goes on until it is stopped."""

    words: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    running: subprocess.Popen[str] | None = None

    def start(self) -> None:
        with self.log.open("a") as log:
            self.running = subprocess.Popen(
                [sys.executable, "-m", "workbench", *self.words],
                cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip

    def stop(self) -> None:
        if self.running is not None:
            self.running.send_signal(signal.SIGTERM)
            self.running.communicate(timeout=60)
            self.running = None


@dataclass
class Home:
    """A lake, a journal, and the desk that writes it."""

    journal: Path
    environment: dict[str, str]
    desk: Process = field(init=False)

    def __post_init__(self) -> None:
        words = ("paper", "--speed", "5", "--json")
        self.desk = Process(words, self.environment, self.journal.with_name("paper.log"))

    def ensure_running(self) -> None:
        """Start the desk unless it runs, and wait until it lives."""
        if self.desk.running is None:
            self.desk.start()
        until(lambda: (beat := self.beat()) and beat.bar and beat.lives(datetime.now(UTC)))

    def beat(self) -> Heartbeat | None:
        return last_beat(heartbeat_file(self.journal))

    def answer(self, *words: str) -> dict[str, Any]:
        """What a command prints with --json."""
        done = subprocess.run(
            [sys.executable, "-m", "workbench", *words, "--json"],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)


@dataclass
class PanelServer:
    """`workbench panel` on any free port."""

    process: Process
    url: str = ""
    port: int = 0

    def start(self) -> None:
        self.process.start()
        told = json.loads(self.process.running.stdout.readline())
        self.url, self.port = told["url"], told["port"]

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return self.url.partition("token=")[2]

    def kernels(self) -> dict[str, dict[str, Any]]:
        """The running kernels by id, as the Jupyter REST API tells them."""
        with urlopen(f"{self.origin}/api/kernels?token={self.token}") as said:  # noqa: S310
            return {kernel["id"]: kernel for kernel in json.load(said)}

    def ready(self) -> None:
        """Wait until the kept page is ready, so that the next one opens at once."""
        until(lambda: any(k["execution_state"] == "idle" and not k["connections"]
                          for k in self.kernels().values()))  # fmt: skip

    def kernel_processes(self) -> list[psutil.Process]:
        return psutil.Process(self.process.running.pid).children(recursive=True)


def home_in(folder: Path, lake: Lake) -> Home:
    journal = folder / "journal.db"
    environment = os.environ | {
        "WORKBENCH_DATA__LAKE": str(lake.root), "WORKBENCH_DESK__JOURNAL": str(journal),
    }  # fmt: skip
    return Home(journal, environment)


def panel_of(home: Home, *words: str) -> PanelServer:
    """Its journal and its lake come from the environment."""
    words = ("panel", "--port", "0", "--json", *words)
    return PanelServer(Process(words, home.environment, home.journal.with_name("panel.log")))


def open_page(browser: Browser, panel: PanelServer, **context: Any) -> Page:
    """A page that is live."""
    page = browser.new_context(**context).new_page()
    page.set_default_timeout(60_000)
    page.goto(panel.url, wait_until="commit")  # `load` waits for the streamed answer's end
    page.wait_for_selector(".js-plotly-plot .main-svg")
    page.wait_for_selector(".wb-panel[data-life=live]")
    return page


def kernel_of(page: Page) -> str:
    return json.loads(page.text_content("#jupyter-config-data"))["kernelId"]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path; without it a test is skipped, on CI it fails."""
    if not shutil.which(CHROMIUM):
        message = f"no browser at {CHROMIUM}; apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return CHROMIUM


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, sample_lake: Lake) -> Iterator[Home]:
    """A folder in which no desk has run yet."""
    made = home_in(tmp_path_factory.mktemp("home"), sample_lake)
    yield made
    made.desk.stop()


@pytest.fixture(scope="module")
def panel(home: Home, chromium: str) -> Iterator[PanelServer]:
    """The panel as it is started by default: one page is kept ready."""
    served = panel_of(home)
    served.start()
    yield served
    served.process.stop()
