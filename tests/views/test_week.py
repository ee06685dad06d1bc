"""A week's tables: what comes from outside is shown, never run; an empty week has a page too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.trading.conftest import Ran, sample_desk, sample_run
from workbench.trading.weekly import Week, read_week
from workbench.views import tables
from workbench.views import week as shown

__all__ = ["sample_desk", "sample_run"]
EVIL = '<img src=x onerror="alert(1)"><script>alert(2)</script>'


@pytest.fixture(scope="module")
def week(sample_run: Ran) -> Week:
    return read_week(sample_run.path, "2023-W03")


def test_words_from_outside_are_text(week: Week) -> None:
    """In every table and heading, whoever wrote them."""
    rows = week.rows.assign(rationale=EVIL, symbol=EVIL, strategies=EVIL, exit_reason=EVIL)
    run = dict(week.run) | {"judge": EVIL, "strategies": [{"name": EVIL, "calibration": ""}]}
    evil = replace(week, rows=rows, source=EVIL, run=run)
    tables = (shown.trades, shown.rationales)
    pages = [make(evil).to_html() for make in tables]
    pages += [make(evil).data for make in (shown.heading, shown.refusals, shown.provenance)]
    for page in pages:
        assert "<img" not in page
        assert "<script" not in page
        assert "&lt;img" in page


def test_a_made_up_week_says_so_in_every_table(week: Week) -> None:
    """A screenshot of a single table is still marked."""
    assert week.synthetic
    for make in (shown.trades, shown.rationales, shown.refused):
        assert "SYNTHETIC" in make(week).to_html()
    for make in (shown.heading, shown.refusals):
        assert "SYNTHETIC" in make(week).data


def test_a_week_without_a_trade_has_its_tables(week: Week) -> None:
    """No figure fails on nothing; a mean of nothing is a dash."""
    none = week.rows[week.rows["kind"] == "none"]
    figures = dict(week.figures) | {
        "closed trades": 0, "win rate": float("nan"), "best": float("nan"), "votes refused": 0,
    }  # fmt: skip
    empty = replace(week, rows=none, figures=figures)
    assert "No trade this week" in shown.trades(empty).to_html()
    assert "No trade closed" in shown.heading(empty).data
    assert "<b>-</b>" in shown.figures(empty).data
    assert "0" in shown.refusals(empty).data


def test_a_runs_tables_show_words_as_text(sample_run: Ran) -> None:
    """Votes, verdicts and trades of a record as well, however each table is formatted."""
    votes = [(*row[:1], EVIL, EVIL, *row[3:]) for row in sample_run.record.vote_rows]
    said = [
        (*row[:1], EVIL, *row[2:6], EVIL, EVIL, *row[8:]) for row in sample_run.record.verdict_rows
    ]
    fills = [(row[0], EVIL, *row[2:]) for row in sample_run.record.fill_rows]
    evil = replace(sample_run.record, vote_rows=votes, verdict_rows=said, fill_rows=fills)
    pages = [
        tables.recent_signals(evil.signals, evil), tables.judged(evil), tables.recent_trades(evil),
        tables.why(evil.signals.assign(rule=EVIL), evil),
    ]  # fmt: skip
    for page in pages:
        text = page.to_html()
        assert "<img" not in text
        assert "&lt;img" in text
