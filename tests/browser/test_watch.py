"""What the panel sees, without a browser: reading on is reading all, and faults are told."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.trading.conftest import Ran
from workbench.journal import Journal
from workbench.research.history import why_no_trade
from workbench.research.metrics import trades
from workbench.trading.control import halt_file
from workbench.trading.engine import heartbeat_file
from workbench.trading.lease import Heartbeat, beat
from workbench.views import panel_html as html
from workbench.views.watch import MOST_POINTS, Sight, see

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def written(sample_run: Ran) -> list[tuple[str, dict, datetime]]:
    """The rows of a run of six weeks: its own row, then one a bar."""
    with Journal.open(sample_run.path, readonly=True) as journal:
        return [(row.kind, row.body, datetime.fromisoformat(row.at)) for row in journal.rows()]


def write(path: Path, rows: Sequence[tuple[str, dict, datetime]]) -> None:
    with Journal.open(path) as journal:
        journal.append_many(rows)


def test_reading_on_bar_by_bar_sees_what_reading_all_sees(
    written: list[tuple[str, dict, datetime]], tmp_path: Path
) -> None:
    """Trades, counts, curve and figures, over stops in the middle of open trades."""
    path, seen = tmp_path / "journal.db", None
    cuts = [0, 1, 2, 62, 63, 213, 250, 650, 700, len(written)]
    for first, last in itertools.pairwise(cuts):
        write(path, written[first:last])
        seen = see(path, NOW, seen)
    whole = see(path, NOW)
    assert len(whole.trades) > 10
    pd.testing.assert_frame_equal(seen.trades, whole.trades)
    pd.testing.assert_frame_equal(whole.trades, trades(whole.record.fills))
    assert html.why(seen) == html.why(whole)
    counted = why_no_trade(whole.record.signals)["total"]
    assert int(seen.why["total"].sum()) == int(counted.sum()) == len(whole.record.vote_rows)
    for word in (html.figures, html.positions, html.decisions, html.gate):
        assert word(seen) == word(whole)


def test_a_thinned_curve_keeps_its_end_and_its_deepest_point(sample_run: Ran) -> None:
    """At most so many points; drawdowns between them are not lost."""
    seen = see(sample_run.path, NOW)
    curve, equity = seen.curve(), sample_run.record.equity
    assert len(equity) > MOST_POINTS >= len(curve.times)
    assert curve.equity[-1] == equity.iloc[-1]
    assert curve.times[-1] == sample_run.record.as_of
    assert curve.drawdown.min() == (equity / equity.cummax() - 1.0).min()
    assert np.array_equal(seen.equity, equity.to_numpy())


def test_a_new_run_or_a_new_journal_is_seen_as_such(
    written: list[tuple[str, dict, datetime]], tmp_path: Path
) -> None:
    """Nothing of the old run stays in trades or counts, also if the file was replaced."""
    path = tmp_path / "journal.db"
    write(path, written[:500])
    old = see(path, NOW)
    assert len(old.equity) == 499
    write(path, written[:31])
    assert len(see(path, NOW, old).equity) == 30
    for file in tmp_path.glob("journal.db*"):
        file.unlink()
    (kind, body, at), *bars = written[:21]
    write(path, [(kind, body | {"capital": 500.0}, at), *bars])
    seen = see(path, NOW, old)
    assert len(seen.equity) == 20
    assert seen.record.capital == 500.0
    assert html.why(seen) == html.why(see(path, NOW))


def test_a_silent_process_is_alarming_and_its_age_goes_on(
    written: list[tuple[str, dict, datetime]], tmp_path: Path
) -> None:
    """Eleven seconds without a beat and without a farewell."""
    path = tmp_path / "journal.db"
    write(path, written[:4])
    told = Heartbeat(NOW, "a test", "SYNTHETIC", "RUNNING", ended="stopped")
    beat(heartbeat_file(path), told)
    assert "STOPPED" in html.banner(see(path, NOW))
    beat(heartbeat_file(path), replace(told, ended=""))
    assert "SILENT" not in html.banner(see(path, NOW + timedelta(seconds=9)))
    later = html.banner(see(path, NOW + timedelta(seconds=11)))
    assert "wb-state wb-silent" in later
    assert 'wb-age wb-alarm">heartbeat 11 s ago' in later


@pytest.mark.parametrize("begun", [True, False])
def test_a_journal_that_cannot_be_read_is_told_and_a_halt_still_shows(
    written: list[tuple[str, dict, datetime]], tmp_path: Path, begun: bool
) -> None:
    """What was known before stays, marked with the sentence; never an exception."""
    path = tmp_path / "journal.db"
    before: Sight | None = None
    if begun:
        write(path, written[:6])
        before = see(path, NOW)
    path.write_bytes(b"this is no database at all" * 100)
    halt_file(path).touch()
    seen = see(path, NOW, before)
    assert "is not a journal" in seen.trouble
    assert "wb-trouble wb-alarm" in html.banner(seen)
    assert ">HALTED<" in html.banner(seen)
    assert len(seen.equity) == (5 if begun else 0)


def test_a_heartbeat_that_is_none_is_told_and_counts_as_no_process(
    written: list[tuple[str, dict, datetime]], tmp_path: Path
) -> None:
    """A file of another making never makes a desk look alive."""
    path = tmp_path / "journal.db"
    write(path, written[:6])
    beat(heartbeat_file(path), Heartbeat(NOW, "a test", "SYNTHETIC", "RUNNING"))
    known = see(path, NOW)
    assert known.standing.lives
    heartbeat_file(path).write_text("alive, I swear")
    seen = see(path, NOW, known)
    assert "is no heartbeat" in seen.trouble
    assert not seen.standing.lives
    assert len(seen.equity) == 5


def test_every_word_that_somebody_else_wrote_is_escaped(sample_run: Ran) -> None:
    """Mode, symbols, rationale, reasons and who ordered what, in every part of the page."""
    seen = see(sample_run.path, NOW)
    record, evil = seen.record, "<img src=x onerror=alert(1)>"
    rows = [(row[0], evil, row[2], evil, evil, 50.0, evil, evil, evil)
            for row in record.verdict_rows]  # fmt: skip
    votes = [
        (row[0], evil, evil, evil, *row[4:8], evil, row[9], evil, "risk", evil)
        for row in record.vote_rows
    ]
    last = record.last | {"marks": {}}
    poisoned = replace(record, run=record.run | {"mode": evil}, last=last, verdict_rows=rows,
                       vote_rows=votes)  # fmt: skip
    control = replace(seen.standing.control, state="HALTED", at=evil, by=evil, why=evil)
    standing = replace(seen.standing, control=control)
    why = why_no_trade(poisoned.signals.assign(time=NOW))
    sight = replace(seen, record=poisoned, standing=standing, why=why, trouble=evil)
    for word in (html.banner, html.figures, html.positions, html.decisions, html.why, html.gate,
                 html.rearming):  # fmt: skip
        assert "<img" not in word(sight)
    assert html.banner(sight).count("&lt;img") >= 4
    assert "<img" not in html.answer(evil)
