"""The control panel in a real browser, over a real desk on the sample world."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, build_opener

import nbformat
import psutil
import pytest
from nbclient import NotebookClient
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import (
    FLAGS,
    Home,
    PanelServer,
    home_in,
    kernel_of,
    open_page,
    panel_of,
    until,
)
from tests.recorded import ROOT
from tests.trading.conftest import desk_on, run
from workbench.data.lake import Lake
from workbench.domain import Case, Decision, Verdict
from workbench.journal import Journal
from workbench.judges.case import case_hash
from workbench.trading.control import KIND, State, halt, halt_file, read_control

EVIL = "<script>window.owned = 1</script><img src=x onerror='window.owned = 2'> buy & hold"
WORD = ".wb-kill input[type=text]"


@dataclass
class Heard:
    """What a page asked for, and what its console complained of."""

    urls: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        page.on("request", lambda request: self.urls.append(request.url))
        page.on("websocket", lambda socket: self.urls.append(socket.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text)
                if "Content Security" in said.text else None)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def killed(
    panel: PanelServer, chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, float]:
    """The kernel of a browser that was killed while it looked, and when: a test at the end of the
    module sees that it is gone."""
    panel.ready()
    profile = tmp_path_factory.mktemp("profile")
    looking = subprocess.Popen(
        [chromium, "--headless", *FLAGS, f"--user-data-dir={profile}", panel.url],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    kernel = until(lambda: next((k for k, s in panel.kernels().items() if s["connections"]), ""))
    os.killpg(looking.pid, signal.SIGKILL)
    looking.wait()
    return kernel, time.monotonic()


@pytest.fixture(scope="module")
def page(browser: Browser, panel: PanelServer) -> Iterator[Page]:
    """One page over the whole module, opened before any desk has run."""
    panel.ready()
    opened = open_page(browser, panel)
    yield opened
    opened.goto("about:blank")


@pytest.fixture
def running(home: Home, page: Page) -> Page:
    """The page while the desk runs."""
    home.ensure_running()
    expect(page.locator(".wb-state")).to_have_text("RUNNING", timeout=20_000)
    return page


def orders(home: Home) -> list[str]:
    with Journal.open(home.journal, readonly=True) as journal:
        return [entry.body["do"] for entry in journal.rows(KIND)]


def test_without_a_journal_the_panel_says_so_and_picks_the_run_up_when_it_begins(
    home: Home, page: Page
) -> None:
    """No reload: the same page that said "no desk" follows the run."""
    expect(page.locator(".wb-banner")).to_contain_text("no desk has run here yet")
    expect(page.locator(".wb-state")).to_have_text("NO DESK")
    home.ensure_running()
    expect(page.locator(".wb-mode")).to_have_text("SYNTHETIC", timeout=20_000)
    expect(page.locator(".wb-state")).to_have_text("RUNNING")
    assert page.locator(".wb-madeup").count() == 6  # and so do all six cards


def test_the_page_follows_the_desk(running: Page) -> None:
    """The last bar's time and the drawn curve change while nobody touches anything."""
    look = "() => [document.querySelector('.wb-bar')?.textContent,"
    look += " document.querySelector('.scatterlayer .js-line')?.getAttribute('d')]"
    running.wait_for_function(f"() => ({look})().every(Boolean)")
    bar, path = running.evaluate(look)
    changed = f"([b, p]) => {{ const [x, y] = ({look})(); return x !== b && y !== p }}"
    running.wait_for_function(changed, arg=[bar, path])
    expect(running.locator(".wb-figures")).to_contain_text("10,000.00")


def test_pause_and_resume_reach_the_desk(home: Home, running: Page) -> None:
    """The button answers at once, and again when the heartbeat agrees; both are on record."""
    running.get_by_role("button", name="Pause").click()
    expect(running.locator(".wb-controls")).to_contain_text("PAUSED")
    expect(running.locator(".wb-state")).to_have_text("PAUSED", timeout=10_000)
    expect(running.locator(".wb-controls")).to_contain_text("the desk is PAUSED")
    assert home.beat().state == "PAUSED"
    running.get_by_role("button", name="Resume").click()
    expect(running.locator(".wb-state")).to_have_text("RUNNING", timeout=10_000)
    assert home.beat().state == "RUNNING"
    assert orders(home)[-2:] == ["pause", "resume"]


@pytest.mark.parametrize("word", ["halt", "HALTT", "HALT ", "STOP"])
def test_a_wrong_word_halts_nothing_and_is_told(home: Home, running: Page, word: str) -> None:
    """Confirm stays shut, Enter does nothing, and the box says that nothing was ordered."""
    running.get_by_role("button", name="KILL SWITCH").click()
    running.fill(WORD, word)
    expect(running.locator(".wb-kill")).to_contain_text("nothing has been ordered")
    expect(running.get_by_role("button", name="Confirm")).to_be_disabled()
    running.press(WORD, "Enter")
    running.get_by_role("button", name="Confirm").click(force=True)
    running.get_by_role("button", name="Cancel").click()
    expect(running.locator(WORD)).to_be_hidden()
    assert "halt" not in orders(home)
    assert not halt_file(home.journal).exists()
    assert home.beat().state == "RUNNING"


def test_the_right_word_halts_the_desk_within_a_second(home: Home, running: Page) -> None:
    """From the click to the process's own word; HALTED over a restart, until a named re-arm."""
    running.get_by_role("button", name="KILL SWITCH").click()
    expect(running.locator(WORD)).to_have_value("")
    running.fill(WORD, "HALT")
    confirm = running.get_by_role("button", name="Confirm")
    expect(confirm).to_be_enabled()
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    allowed_s = 1.0 if busy < 1.0 else 3.0  # a machine that does other work as well gets more
    clicked = time.monotonic()
    confirm.click()
    until(lambda: home.beat().state == "HALTED", 10.0, every_s=0.01)
    took_s = time.monotonic() - clicked
    assert took_s < allowed_s, f"{took_s:.2f} s at a load of {busy:.1f} a core"
    expect(running.locator(".wb-state")).to_have_text("HALTED")
    expect(running.locator(".wb-rearm")).to_contain_text("workbench rearm --by")

    home.desk.stop()
    home.ensure_running()
    assert home.beat().state == "HALTED"
    control = home.answer("status")["control"]
    assert (control["state"], control["by"], control["flatten"]) == ("HALTED", "panel", True)
    home.answer("rearm", "--by", "the tests")
    expect(running.locator(".wb-state")).to_have_text("RUNNING", timeout=10_000)


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """A redirect is an answer here."""


def asked(url: str) -> tuple[int, str]:
    """Status and Location of an answer."""
    try:
        with build_opener(_Stay).open(url) as said:
            return said.status, ""
    except HTTPError as said:
        with said:
            return said.code, said.headers.get("Location", "")


def test_only_the_token_opens_the_panel(panel: PanelServer) -> None:
    """Without it the login page, with it the panel; other names of this machine are refused."""
    for query in ("", "?token=wrong"):
        status, location = asked(f"{panel.origin}/{query}")
        assert status == 302
        assert location.startswith("/login?")
    assert asked(f"{panel.origin}/api/kernels")[0] == 403
    assert asked(f"{panel.origin}/api/kernels?token={panel.token}")[0] == 200
    assert asked(panel.url)[0] == 200
    assert panel.process.running.poll() is None


def test_the_token_is_nowhere_but_in_the_address(panel: PanelServer, page: Page) -> None:
    """Not in a log, a command line or a kernel's environment; the browser's bar drops it."""
    asked(f"{panel.origin}/nothing-here?token={panel.token}")
    asked(f"{panel.origin}/api/kernels/none?token={panel.token}")
    asked(panel.url)
    assert panel.token not in panel.process.log.read_text()
    family = [psutil.Process(panel.process.running.pid), *panel.kernel_processes()]
    assert len(family) > 1
    for process in family:
        assert panel.token not in " ".join(process.cmdline())
        assert panel.token not in " ".join(process.environ().values())
    assert "token" not in page.url


def elsewhere(urls: Sequence[str], panel: PanelServer) -> list[str]:
    """Addresses that are not this server's."""
    here = re.compile(rf"(http|ws)://127\.0\.0\.1:{panel.port}/|data:|blob:|about:blank$")
    return [url for url in urls if not here.match(url)]


def test_a_page_asks_nobody_else_and_its_kernel_ends_with_it(
    browser: Browser, panel: PanelServer
) -> None:
    """From the login page, where a lost address is mended with the token, to leaving: that kernel
    is gone then, and one kept page is there again."""
    panel.ready()
    page, heard = browser.new_context().new_page(), Heard()
    heard.listen(page)
    page.goto(f"{panel.origin}/", wait_until="commit")
    page.fill("input[type=password]", panel.token)
    page.press("input[type=password]", "Enter", no_wait_after=True)
    page.wait_for_selector(".wb-panel[data-life=live]", timeout=60_000)
    page.wait_for_selector(".js-plotly-plot .main-svg")
    kernel = kernel_of(page)
    assert kernel in panel.kernels()
    assert len(heard.urls) > 10
    assert elsewhere(heard.urls, panel) == []
    assert heard.complaints == []
    page.goto("about:blank")
    until(lambda: kernel not in panel.kernels(), 20.0)
    panel.ready()


# --- a journal of its own: no desk runs on it ---------------------------------------------------


def planted(cases: Sequence[Case]) -> list[Verdict]:
    """A judge whose words are a trap."""
    return [
        Verdict(Decision.PROCEED, 61.0, EVIL, "<b>model</b>", case_hash(case)) for case in cases
    ]


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory, sample_lake: Lake) -> Home:
    """Two weeks of the sample world, judged with that judge."""
    made = home_in(tmp_path_factory.mktemp("trap"), sample_lake)
    desk, world = desk_on(sample_lake, "sample", made.journal, "2023-01-09", "2023-01-22")
    assert run(replace(desk, judge=planted), world).finished
    return made


@pytest.fixture(scope="module")
def cold(trap: Home, chromium: str) -> Iterator[PanelServer]:
    """A panel that keeps no page ready."""
    served = panel_of(trap, "--no-preheat")
    served.start()
    yield served
    served.process.stop()


@pytest.fixture(scope="module")
def trapped(browser: Browser, cold: PanelServer) -> Page:
    """A page over that run; the last test that uses it leaves it."""
    assert cold.kernels() == {}
    return open_page(browser, cold)


def test_words_of_a_model_are_shown_as_text(trapped: Page) -> None:
    """Tags and handlers in a rationale are letters."""
    shown = trapped.locator(".wb-decisions")
    expect(shown).to_contain_text(EVIL)
    expect(shown).to_contain_text("<b>model</b>")
    expect(shown).to_contain_text("61 points")
    assert trapped.evaluate("window.owned") is None
    assert trapped.locator(".wb-decisions script, .wb-decisions img").count() == 0
    expect(trapped.locator(".wb-why")).to_contain_text("accepted")


def test_a_locked_journal_does_not_stop_the_kill_switch(trap: Home, trapped: Page) -> None:
    """The HALT file is written first; the page says what could not be written."""
    with sqlite3.connect(trap.journal, isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        trapped.get_by_role("button", name="KILL SWITCH").click()
        trapped.fill(WORD, "HALT")
        trapped.press(WORD, "Enter")
        until(halt_file(trap.journal).exists, 10.0)
        expect(trapped.locator(".wb-controls")).to_contain_text("has been locked", timeout=20_000)
        expect(trapped.locator(".wb-state")).to_have_text("HALTED", timeout=10_000)
        holder.execute("ROLLBACK")
    holder.close()
    with Journal.open(trap.journal, readonly=True) as journal:
        assert read_control(journal).state is State.HALTED


def test_no_kernel_is_left_when_nothing_is_kept_ready(cold: PanelServer, trapped: Page) -> None:
    """One page, one kernel; no page, none."""
    assert len(cold.kernels()) == 1
    trapped.goto("about:blank")
    until(lambda: cold.kernels() == {}, 20.0)


def test_a_killed_browser_leaves_no_kernel(panel: PanelServer, killed: tuple[str, float]) -> None:
    """No farewell was sent: the beats stop, the page's loop ends, and the idle kernel is culled."""
    kernel, since = killed
    until(lambda: kernel not in panel.kernels(), max(90.0 - (time.monotonic() - since), 5.0))


def test_a_restart_of_the_panel_leaves_nothing_behind_and_a_halt_in_force(
    home: Home, panel: PanelServer, browser: Browser, page: Page
) -> None:
    """Its kernels end with it, a page left open says that it is not live, and the next panel
    shows the halt that was ordered meanwhile."""
    kernels, process = panel.kernel_processes(), panel.process.running
    assert kernels
    panel.process.stop()
    assert process.returncode == 0
    assert psutil.wait_procs(kernels, timeout=20)[1] == []
    expect(page.locator(".wb-strip")).to_contain_text("NOT LIVE", timeout=20_000)
    halt(home.journal, "the tests", "", flatten=False, at=datetime.now(UTC))
    panel.start()
    again = open_page(browser, panel)
    expect(again.locator(".wb-state")).to_have_text("HALTED")
    expect(again.locator(".wb-told")).to_contain_text("by the tests")


# --- without a browser --------------------------------------------------------------------------


def test_a_port_in_use_is_one_sentence(panel: PanelServer, home: Home) -> None:
    """Exit code 2; it names the port and what to do."""
    words = ("panel", "--journal", "x.db", "--port", str(panel.port))
    done = subprocess.run(
        [sys.executable, "-m", "workbench", *words],
        cwd=ROOT, env=home.environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"port {panel.port} cannot be used" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_panel_outside_the_project_says_so(tmp_path: Path) -> None:
    """Exit code 2 and one sentence."""
    done = subprocess.run(
        [sys.executable, "-m", "workbench", "panel", "--journal", "x.db"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "run this in the project's folder" in done.stderr


def test_the_panels_kernel_loads_no_research_engine_and_no_vendor() -> None:
    """What a viewer costs: neither vectorbt nor an exchange or model library."""
    code = "import sys, workbench.views.panels; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert "ipywidgets" in loaded
    assert not loaded & {"vectorbt", "ccxt", "anthropic", "papermill", "voila"}


def test_the_notebook_runs_to_its_end_without_a_browser(trap: Home) -> None:
    """No beat, no loop: every cell ends, with an output. (Without a journal nbval runs it.)"""
    notebook = nbformat.read(ROOT / "notebooks/control_panel.ipynb", as_version=4)
    notebook.cells[0].source = f"journal: str = {str(trap.journal)!r}"
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    assert notebook.cells[-1].outputs[0]["output_type"] == "execute_result"
