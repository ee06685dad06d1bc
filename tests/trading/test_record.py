"""A run read back: in one go or bar by bar the same, and the levels that hold for a position."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.trading.conftest import Ran, run
from tests.trading.test_engine import stopped_after
from workbench import arrays as a
from workbench.domain import Book, DataError, Limits, UsageError
from workbench.journal import Journal
from workbench.research.metrics import summary
from workbench.trading.record import positions_of, read_last, read_record


def test_a_run_read_as_it_goes_is_the_run_read_at_the_end(sample_run: Ran, tmp_path: Path) -> None:
    """Frames, book and head; and a look at which nothing is new gives the same object."""
    desk = replace(sample_run.desk, journal_path=tmp_path / "j.db")
    run(desk, sample_run.world, stopped=stopped_after(0))
    with Journal.open(desk.journal_path, readonly=True) as journal:
        record = read_record(journal)
        assert (record.as_of, len(record.equity), record.book.equity) == ("", 0, 10_000.0)
        for bars in (1, 400, 7):
            run(desk, sample_run.world, stopped=stopped_after(bars))
            before, record = record, record.read_on(journal)
            assert record is not before
            assert record.read_on(journal) is record
        whole = read_record(journal)
    assert record.head == whole.head
    assert len(record.rows) == 408
    for name in ("bars", "fills", "signals", "judged"):
        pd.testing.assert_frame_equal(getattr(record, name), getattr(whole, name))
    assert record.book.positions.tobytes() == whole.book.positions.tobytes()


def test_the_last_bar_alone_says_what_is_held(sample_run: Ran, tmp_path: Path) -> None:
    """As the whole record does, before the first bar too."""
    desk = replace(sample_run.desk, journal_path=tmp_path / "j.db")
    held = sample_run.record.bars["deployed"].to_numpy()
    for bars in (0, int(np.flatnonzero(held)[3]) + 1):
        run(desk, sample_run.world, stopped=stopped_after(bars))
        with Journal.open(desk.journal_path, readonly=True) as journal:
            last, whole = read_last(journal), read_record(journal)
        assert (last.as_of, last.equity_now, last.head) == (
            whole.as_of, whole.equity_now, whole.head,
        )  # fmt: skip
        pd.testing.assert_frame_equal(last.positions(), whole.positions())
    assert len(last.positions()) > 0


def test_a_journal_without_a_run_says_what_writes_one(tmp_path: Path) -> None:
    """As one of the replay command alone."""
    with Journal.open(tmp_path / "j.db"):
        pass
    with pytest.raises(UsageError, match=r"holds no run; `workbench paper` writes one"):
        read_record(tmp_path / "j.db")


def test_a_bar_that_cannot_be_read_is_named(sample_run: Ran, tmp_path: Path) -> None:
    """Nothing is guessed and nothing is left out."""
    desk = replace(sample_run.desk, journal_path=tmp_path / "j.db")
    run(desk, sample_run.world, stopped=stopped_after(2))
    with Journal.open(desk.journal_path) as journal:
        body = {k: v for k, v in journal.tail(1)[0].body.items() if k != "fills"}
        row = journal.append("cycle", body, pd.Timestamp("2024-01-01", tz="UTC"))
        with pytest.raises(DataError, match=f"row {row.seq} is no bar that this version can read"):
            read_record(journal)


def test_the_figures_of_a_record_are_those_of_its_fills(sample_run: Ran) -> None:
    """The same function that reads a replay reads a record."""
    told = summary(sample_run.record)
    assert told["final equity"] == sample_run.record.equity_now
    assert told["trades"] > 20
    assert told["fees"] == pytest.approx(sample_run.record.fills["fee"].sum())


def test_positions_show_the_levels_that_the_rules_hold() -> None:
    """By hand: a fresh long, a long whose rung is taken, a short; default limits."""
    book = Book.start(("A", "B", "C", "D"), 10_000.0, pd.Timestamp("2024-01-01", tz="UTC"))
    cells = [a.SIDE, a.QUANTITY, a.ENTRY, a.HIGH_WATER, a.RUNG]
    book.positions[0, cells] = 1.0, 2.0, 100.0, 101.0, 0.0
    book.positions[1, cells] = 1.0, 1.0, 100.0, 110.0, 1.0
    book.positions[3, cells] = -1.0, 3.0, 50.0, 49.0, 0.0
    told = positions_of(book, {"A": 102.0, "B": 109.0, "D": 51.0}, Limits())
    assert list(told.index) == ["A", "B", "D"]
    assert told["side"].tolist() == ["long", "long", "short"]
    assert told["profit"].tolist() == pytest.approx([4.0, 9.0, -3.0])
    assert told["stop"].tolist() == pytest.approx([98.0, 110.0 * 0.985, 51.0])
    assert told["target"].tolist() == pytest.approx([103.0, np.nan, 48.5], nan_ok=True)
    assert told["trailing"].tolist() == [False, True, False]
