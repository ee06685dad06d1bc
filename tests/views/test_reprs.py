"""What a cell shows that ends with one of the desk's objects, and progress that reads well kept."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter

from tests.trading.conftest import Ran, sample_desk, sample_run
from workbench.domain import Case, Decision, Verdict
from workbench.research.history import run_history
from workbench.trading.weekly import read_week
from workbench.views import progress as told
from workbench.views import tables
from workbench.views.reprs import register

__all__ = ["sample_desk", "sample_run"]
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def shown() -> DisplayFormatter:
    formatter = DisplayFormatter()
    register(SimpleNamespace(display_formatter=formatter))
    return formatter


def test_every_object_shows_itself(sample_run: Ran, shown: DisplayFormatter) -> None:
    """As HTML that says what it is, beside the text that a terminal shows."""
    desk, world, record = sample_run.desk, sample_run.world, sample_run.record
    history = run_history(desk, world)
    things = {
        "SYNTHETIC": world.panel, "uncalibrated": desk.strategies[0], "rubric": desk,
        "regime": history.cases[0], "CORRELATED": history, "sharpe (365 d)": history.replay,
        "expectancy": record, "equity": record.book,
        "2023-W03": read_week(sample_run.path, "2023-W03"),
    }  # fmt: skip
    for word, thing in things.items():
        data, _ = shown.format(thing)
        assert word in re.sub(r"<[^>]*>", " ", data["text/html"]), type(thing)
        assert data["text/plain"]


def test_words_from_outside_are_text_there_too(shown: DisplayFormatter) -> None:
    """A judge's rationale, a strategy's symbol."""
    at = pd.Timestamp("2024-01-01", tz="UTC")
    verdict = Verdict(Decision.SKIP, 20.0, EVIL, EVIL, "ab")
    case = Case(at, EVIL, 1, (), "trending", {EVIL: 1.0}, (), (EVIL,))
    for thing in (verdict, case):
        page = shown.format(thing)[0]["text/html"]
        assert "<script" not in page
        assert "&lt;script" in page


def test_a_confidence_is_no_points_and_what_nobody_judged_is_no_veto() -> None:
    points = Verdict(Decision.SKIP, 20.0, "few", "RUBRIC (not an LLM)", "ab")
    asked = replace(points, model="claude-haiku-5-5", confidence=47.0)
    failed = replace(asked, code="DEADLINE", confidence=0.0)
    rubrics, models = tables.verdicts([points]), tables.verdicts([asked, failed])
    assert list(rubrics.data.iloc[0, 1:3].items()) == [("decision", "SKIP"), ("points", "20")]
    assert list(models.data["confidence"]) == ["47", ""]
    assert list(models.data["decision"]) == ["SKIP", "DEADLINE"]


def test_a_kept_line_of_progress_says_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last state is text, without a bar or a time; between two looks nothing is sent."""
    sent: list[dict] = []
    monkeypatch.setattr(told, "display", lambda content, **_: sent.append(content))
    monkeypatch.setattr(told.DisplayHandle, "update", lambda _, content, **__: sent.append(content))
    clock = iter([0.0, 0.05, 0.1, 30.0, 30.1])
    tell = told.progress(lambda: next(clock))
    for done in range(1, 6):
        tell(done, 5, "judging")
    assert [content["text/plain"] for content in sent] == [
        "judging: 1 of 5", "judging: 4 of 5, about 10 s left", "judging: 5 of 5",
    ]  # fmt: skip
    assert "<progress" in sent[0]["text/html"]
    assert sent[-1]["text/html"] == "<small>judging: 5 of 5</small>"
