"""A published week in a real browser, from the file system: it draws, offline, on any screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.recorded import ROOT
from tests.trading.conftest import Ran


@pytest.fixture(scope="module")
def reports(sample_run: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two SYNTHETIC weeks, published by the command in a user's folder."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "notebooks").symlink_to(ROOT / "notebooks")
    words = ("publish", "--week", "2023-W03", "--through", "2023-W04")
    subprocess.run(
        [sys.executable, "-m", "workbench", *words, "--journal", str(sample_run.path)],
        cwd=folder, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    return folder / "reports"


def opened(browser: Browser, page: Path, width: int, scheme: str) -> tuple[Page, list[str]]:
    """The page on a screen of this width, and every address it asked for."""
    shown = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(page.as_uri())
    return shown, asked


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_week_draws_from_the_file_system_without_a_request_to_anybody(
    browser: Browser, reports: Path, width: int, scheme: str
) -> None:
    """The chart is there, nothing is asked of a network, and the page does not run off the side."""
    page, asked = opened(browser, reports / "2023-W03/index.html", width, scheme)
    page.wait_for_selector(".js-plotly-plot .main-svg")
    assert page.locator(".js-plotly-plot path.js-line").count() >= 2
    assert asked
    assert all(url.startswith("file://") for url in asked)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    text = page.inner_text("body")
    assert "SYNTHETIC" in text
    told = json.loads((reports / "2023-W03/report.json").read_text())
    assert told["journal"]["hash"] in text
    background = page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is (scheme == "light")
    page.close()


def test_every_refused_vote_unfolds(browser: Browser, reports: Path) -> None:
    """The rows are folded away until they are asked for; none is left out."""
    page, _ = opened(browser, reports / "2023-W03/index.html", 1280, "light")
    told = json.loads((reports / "2023-W03/report.json").read_text())
    refused = told["figures"]["votes refused"]
    assert not page.locator("details table").is_visible()
    page.get_by_text(f"Every one of the {refused:.0f}").click()
    assert page.locator("details tbody tr").count() == refused > 20
    assert page.locator("details table").is_visible()
    page.close()


def test_the_index_leads_to_each_week(browser: Browser, reports: Path) -> None:
    """The last week first; a click opens it."""
    page, asked = opened(browser, reports / "index.html", 390, "light")
    assert page.locator("tbody a").all_inner_texts() == ["2023-W04", "2023-W03"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert "SYNTHETIC" in page.inner_text("body")
    page.get_by_role("link", name="2023-W03").click()
    page.wait_for_selector(".js-plotly-plot .main-svg")
    assert page.url.endswith("/2023-W03/index.html")
    assert all(url.startswith("file://") for url in asked)
    page.close()


def test_a_rebuilt_week_has_the_same_bytes(sample_run: Ran, reports: Path, tmp_path: Path) -> None:
    """Another folder, another process, another hash seed: every file is equal."""
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    words = ("publish", "--week", "2023-W03", "--journal", str(sample_run.path))
    subprocess.run(
        [sys.executable, "-m", "workbench", *words], cwd=tmp_path, check=True, timeout=300,
        capture_output=True, env=os.environ | {"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo"},
    )  # fmt: skip
    again = tmp_path / "reports/2023-W03"
    assert {file.name: file.read_bytes() for file in again.iterdir()} == {
        file.name: file.read_bytes() for file in (reports / "2023-W03").iterdir()
    }
