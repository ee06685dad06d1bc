"""What a cell shows that ends with a sweep, its ledger or a verdict."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from IPython.core.formatters import DisplayFormatter

from tests.research.judging import desk_at, judged, null_world
from workbench.research.findings import Finding
from workbench.research.validate import Validation
from workbench.views.reprs import register

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def shown() -> DisplayFormatter:
    formatter = DisplayFormatter()
    register(SimpleNamespace(display_formatter=formatter))
    return formatter


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Validation:
    folder: Path = tmp_path_factory.mktemp("told")
    return judged(desk_at(folder), null_world(seed=8, years=1.0), open_holdout=True)


def text(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def test_a_verdict_shows_every_test_and_what_stands_against_it(
    told: Validation, shown: DisplayFormatter
) -> None:
    """The word, the market, and each finding's sentence; in a terminal what is against it."""
    data, _ = shown.format(told)
    page = text(data["text/html"])
    assert "REJECTED follow" in page
    assert "SYNTHETIC walk 8" in page
    for found in told.findings:
        assert text(found.name) in page
        assert found.sentence in page
    assert data["text/plain"].startswith("follow is REJECTED on SYNTHETIC walk 8")
    for found in told.against:
        assert f"\n  {found.name}: {found.sentence}" in data["text/plain"]


def test_a_sweep_and_its_ledger_show_how_much_was_tried(
    told: Validation, shown: DisplayFormatter
) -> None:
    page = text(shown.format(told.sweep)[0]["text/html"])
    assert "SYNTHETIC walk 8" in page
    assert "fast" in page
    ledger, _ = shown.format(told.sweep.ledger)
    assert "4 sets tried on 2020-02-03 to" in text(ledger["text/html"])
    assert ledger["text/plain"].startswith("Ledger(4 sets tried on")


def test_words_of_a_finding_are_text(told: Validation, shown: DisplayFormatter) -> None:
    """A strategy's name comes from whoever wrote it."""
    found = Finding(EVIL, None, EVIL, False, EVIL, "trust")
    page = shown.format(replace(told, strategy=EVIL, findings=(found,)))[0]["text/html"]
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 4
