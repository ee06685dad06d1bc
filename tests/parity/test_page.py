"""The page itself, on a few hundred recorded bars: quick enough to run without a compiler."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from tests.parity.test_cycle_parity import LOOSE, LOOSE_COSTS, Tape, bar_by_bar
from tests.recorded import spot_panel
from workbench import arrays as a
from workbench.cycle import cycle, regime_codes
from workbench.domain import Book, Reason, Snapshot
from workbench.execution.bar_broker import BarBroker
from workbench.research.replay import replay


def test_the_page_agrees_with_the_replay_on_a_short_run() -> None:
    """The long proof is in test_cycle_parity; this one also runs as plain Python."""
    tape = Tape.of(spot_panel().rows(12_000, 12_400), seed=3, density=0.1)
    fills, equity, book = bar_by_bar(tape, LOOSE, LOOSE_COSTS)
    compiled = replay(tape.panel, tape.proposal(), LOOSE, LOOSE_COSTS)
    assert len(fills) == len(compiled.fills) > 0
    assert equity.tobytes() == compiled.equity.to_numpy().tobytes()
    assert book.account.tobytes() == compiled.book.account.tobytes()


def test_without_labels_every_regime_is_unknown() -> None:
    """And an unknown regime has no size."""
    panel = spot_panel().rows(0, 10)
    assert (regime_codes(Snapshot(panel.close_times[-1], panel)) == np.zeros(8)).all()


def test_a_halted_book_takes_no_entry_on_either_path() -> None:
    """HALTED is the first reason: nothing is accepted, exits go on."""
    panel = spot_panel().rows(30_000, 30_200)
    tape = Tape.of(panel, seed=5, density=0.2)
    book = Book.start(panel.symbols, 10_000.0, panel.index[0])
    book.account[a.HALTED] = 1.0
    desk = SimpleNamespace(
        strategies=[tape], judge=tape.judge, limits=LOOSE, costs=LOOSE_COSTS, reduce=0.5, quorum=1,
        broker=BarBroker(), journal=[],
    )  # fmt: skip
    for t in range(len(panel)):
        book = cycle(book, Snapshot(panel.close_times[t], tape.panel.rows(0, t + 1)), desk)
    reasons = {reason for done in desk.journal for reason in done.ruling.reasons.values()}
    assert reasons == {Reason.HALTED}
    assert not any(done.fills for done in desk.journal)
    assert book.equity == 10_000.0
