"""A desk that runs: the same as the replay, the same after any stop, and obedient."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from tests.trading.conftest import Ran, run
from workbench.calibration import unknown
from workbench.data.snapshot import World
from workbench.desk import Desk
from workbench.domain import Order, Panel, Votes
from workbench.errors import DataError, UsageError
from workbench.execution.bar_broker import BarBroker
from workbench.journal import Journal, book_from
from workbench.judges.constant import always
from workbench.research.history import run_history, why_no_trade
from workbench.strategies.vote import strategy
from workbench.trading.control import State, halt, halt_file, order
from workbench.trading.engine import Clock, heartbeat_file
from workbench.trading.lease import Held, last_beat
from workbench.trading.record import read_record

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Pretended:
    """A clock whose sleeping takes no time, and which does something at a given second."""

    events: dict[int, Callable[[], object]] = field(default_factory=dict)
    ticks: float = 0.0

    def sleep(self, seconds: float) -> None:
        before, self.ticks = self.ticks, self.ticks + seconds
        for at in [at for at in self.events if before < at <= self.ticks]:
            self.events.pop(at)()

    def clock(self) -> Clock:
        return Clock(lambda: NOON + timedelta(seconds=self.ticks), lambda: self.ticks, self.sleep)


def stopped_after(bars: int) -> Callable[[], bool]:
    """Says stop before bar number `bars` of a process."""
    asked = itertools.count()
    return lambda: next(asked) >= bars


def bodies(path: Path, kind: str = "cycle") -> list[dict]:
    with Journal.open(path, readonly=True) as journal:
        return [entry.body for entry in journal.rows(kind)]


def test_a_paper_year_is_the_replay_of_that_year_to_the_last_bit(recorded_year: Ran) -> None:
    """World 2023: equity at every bar, every fill, every refusal and every vote's end."""
    record, told = recorded_year.record, run_history(recorded_year.desk, recorded_year.world)
    replayed = told.replay
    assert len(record.equity) == 8_760
    assert record.equity.to_numpy().tobytes() == replayed.equity.to_numpy().tobytes()
    assert record.equity.index.equals(replayed.equity.index)
    assert len(record.fills) > 700
    pd.testing.assert_frame_equal(
        record.fills, replayed.fills, check_exact=True, check_dtype=False, check_index_type=False
    )
    assert record.blocks.equals(replayed.blocks)
    assert why_no_trade(record.signals).equals(why_no_trade(told.signals))
    assert record.judged["case_hash"].tolist() == told.judged["case_hash"].tolist()


def test_the_years_journal_verifies(recorded_year: Ran) -> None:
    """Each of its rows is sealed to the one before, up to the head that the record names."""
    with Journal.open(recorded_year.path, readonly=True) as journal:
        assert journal.verify() == recorded_year.record.head


@pytest.mark.parametrize("stops", [(1,), (0, 3), (250, 1, 1, 400)])
def test_a_stopped_run_goes_on_to_the_same_head(
    sample_desk: tuple[Desk, World], sample_run: Ran, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    """However often it is stopped, and after whatever bar, the last hash is that of no stop."""
    desk, world = replace(sample_desk[0], journal_path=tmp_path / "j.db"), sample_desk[1]
    for bars in stops:
        outcome = run(desk, world, stopped=stopped_after(bars))
        assert (outcome.bars, outcome.finished) == (bars, False)
    assert run(desk, world).finished
    assert read_record(desk.journal_path).head == sample_run.record.head


def test_a_finished_run_has_nothing_left_to_do(sample_run: Ran) -> None:
    """Started again it adds no row and says that it is complete."""
    outcome = run(sample_run.desk, sample_run.world)
    assert (outcome.bars, outcome.finished) == (0, True)
    assert read_record(sample_run.path).head == sample_run.record.head


def test_another_run_is_not_mixed_into_a_journal(sample_run: Ran, tmp_path: Path) -> None:
    """It refuses and names the difference; asked to, it begins another and readers follow it."""
    desk = replace(sample_run.desk, journal_path=tmp_path / "j.db")
    run(desk, sample_run.world, stopped=stopped_after(3))
    with Journal.open(desk.journal_path, readonly=True) as journal:
        first = read_record(journal)
        other = replace(desk, judge=always)
        with pytest.raises(UsageError, match=r"judge is 'rubric', not 'always'.*--another"):
            run(other, sample_run.world)
        run(other, sample_run.world, another=True, stopped=stopped_after(2))
        assert len(first.rows) == 3
        assert first.run["judge"] == "rubric"
        second = first.read_on(journal)
    assert (second.run["judge"], len(second.rows)) == ("always", 2)


def test_a_halt_cancels_flattens_and_lasts_over_restarts(sample_run: Ran, tmp_path: Path) -> None:
    """From the first bar after the order nothing is pending or opened; what is held leaves at that
    bar's open; a new process is halted as well; only a named re-arm lets it trade again."""
    held = sample_run.record.bars["deployed"].to_numpy()
    t = next(k for k in range(24, len(held)) if held[k - 1] > 0 and held[k] > 0)
    path = tmp_path / "j.db"
    desk = replace(sample_run.desk, journal_path=path)
    pretended = Pretended({t: lambda: halt(path, "Ada", "news", True, NOON)})
    run(
        desk, sample_run.world, clock=pretended.clock(), bars_per_s=1.0,
        stopped=lambda: pretended.ticks > t + 30,
    )  # fmt: skip
    done = bodies(path)
    books = [book_from(body) for body in done]
    first = next(k for k, book in enumerate(books) if book.halted)
    assert first in (t, t + 1)
    assert all(book.halted for book in books[first:])
    assert {fill["reason"] for fill in done[first]["fills"]} == {"exit"}
    assert all(not len(book.frame()) and not body["orders"] for book, body in
               zip(books[first:], done[first:], strict=True))  # fmt: skip
    assert "HALTED" in {reason for body in done[first:] for reason in body["reasons"].values()}

    outcome = run(desk, sample_run.world, stopped=stopped_after(100))
    assert outcome.control.state is State.HALTED
    assert outcome.book.halted
    with pytest.raises(UsageError, match=r"HALTED since .* by Ada \(news\); re-arm with"):
        order(path, "resume", "Bob", "", NOON)
    assert order(path, "rearm", "Ada", "checked", NOON).state is State.RUNNING
    assert not halt_file(path).exists()
    assert run(desk, sample_run.world).control.state is State.RUNNING
    again = bodies(path)
    assert any(fill["reason"] == "entry" for body in again[t + 130 :] for fill in body["fills"])


def test_a_halt_that_keeps_leaves_positions_to_their_stops(sample_run: Ran, tmp_path: Path) -> None:
    """No exit is asked for; stop, target and trail go on."""
    held = sample_run.record.bars["deployed"].to_numpy()
    t = next(k for k in range(24, len(held)) if held[k - 1] > 0 and held[k] > 0)
    desk = replace(sample_run.desk, journal_path=tmp_path / "j.db")
    pretended = Pretended({t: lambda: halt(desk.journal_path, "Ada", "", False, NOON)})
    run(desk, sample_run.world, clock=pretended.clock(), bars_per_s=1.0)
    done = bodies(desk.journal_path)
    reasons = [f["reason"] for body in done[t + 1 :] for f in body["fills"]]
    assert reasons
    assert set(reasons) <= {"stop", "take_profit", "trail"}


def test_a_halt_file_made_by_hand_halts_and_goes_on_record(sample_run: Ran, tmp_path: Path) -> None:
    """`touch` is enough; the journal then says by what it was halted."""
    path = tmp_path / "j.db"
    desk = replace(sample_run.desk, journal_path=path)
    pretended = Pretended({50: halt_file(path).touch})
    outcome = run(
        desk, sample_run.world, clock=pretended.clock(), bars_per_s=1.0,
        stopped=lambda: pretended.ticks > 60,
    )  # fmt: skip
    assert outcome.control.state is State.HALTED
    assert bodies(path, "command")[0]["do"] == "halt"
    assert "HALT" in bodies(path, "command")[0]["by"]


def test_a_pause_opens_nothing_and_a_resume_goes_on(sample_run: Ran, tmp_path: Path) -> None:
    """While paused no entry fills though some did without the pause; positions keep their rules."""
    path = tmp_path / "j.db"
    desk = replace(sample_run.desk, journal_path=path)
    events = {
        100: lambda: order(path, "pause", "Ada", "lunch", NOON),
        600: lambda: order(path, "resume", "Ada", "", NOON),
    }
    run(desk, sample_run.world, clock=Pretended(dict(events)).clock(), bars_per_s=1.0)
    entries = [
        k for k, body in enumerate(bodies(path)) for f in body["fills"] if f["reason"] == "entry"
    ]
    undisturbed = [
        k
        for k, body in enumerate(bodies(sample_run.path))
        for f in body["fills"]
        if f["reason"] == "entry"
    ]
    assert any(102 <= k < 600 for k in undisturbed)
    assert not any(102 <= k < 600 for k in entries)
    assert any(k > 601 for k in entries)


def test_a_desk_at_a_given_speed_waits_between_bars(sample_run: Ran, tmp_path: Path) -> None:
    """At 4 bars a second the hundredth bar comes after some 25 seconds of its clock."""
    pretended = Pretended()
    outcome = run(
        replace(sample_run.desk, journal_path=tmp_path / "j.db"), sample_run.world,
        clock=pretended.clock(), bars_per_s=4.0, stopped=lambda: pretended.ticks > 25.1,
    )  # fmt: skip
    assert outcome.bars == 101


def test_a_desk_that_fails_says_so_in_its_last_heartbeat(sample_run: Ran, tmp_path: Path) -> None:
    """And the rows up to there stay; the next process goes on after them."""
    path = tmp_path / "j.db"

    class Broken(BarBroker):
        def execute(self, orders: Sequence[Order]) -> None:
            if orders:
                raise DataError("the broker is out")

    run(replace(sample_run.desk, journal_path=path), sample_run.world, stopped=stopped_after(5))
    rows = len(bodies(path))
    failing = replace(sample_run.desk, journal_path=path, broker=Broken())
    with pytest.raises(DataError, match="the broker is out"):
        run(failing, sample_run.world)
    beat = last_beat(heartbeat_file(path))
    assert beat is not None
    assert beat.ended == "failed: the broker is out"
    assert len(bodies(path)) > rows
    run(replace(sample_run.desk, journal_path=path), sample_run.world)
    assert read_record(path).head == sample_run.record.head


def test_a_journal_that_stands_beside_the_data_is_refused(sample_run: Ran, tmp_path: Path) -> None:
    """A last bar that the world does not have is not guessed around."""
    desk = replace(sample_run.desk, journal_path=tmp_path / "j.db")
    run(desk, sample_run.world, stopped=stopped_after(2))
    with Journal.open(desk.journal_path) as journal:
        body = journal.tail(1, "cycle")[0].body | {"as_of": "2031-01-01T00:00:00+00:00"}
        journal.append("cycle", body, NOON)
    with pytest.raises(DataError, match=r"2031-01-01.* no bar of this run"):
        run(desk, sample_run.world)


def test_a_slow_desk_is_stopped_while_it_waits(sample_run: Ran, tmp_path: Path) -> None:
    """At a bar in a thousand seconds it does not sit out the thousand seconds."""
    pretended = Pretended()
    outcome = run(
        replace(sample_run.desk, journal_path=tmp_path / "j.db"), sample_run.world,
        clock=pretended.clock(), bars_per_s=0.001, stopped=lambda: pretended.ticks > 5,
    )  # fmt: skip
    assert outcome.bars == 1
    assert pretended.ticks < 6


def test_a_journal_under_two_names_has_one_desk_and_one_halt_file(
    sample_run: Ran, tmp_path: Path
) -> None:
    """By a link as by its own name: the second desk is refused, a halt by either name holds."""
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "j.db")
    desk = replace(sample_run.desk, journal_path=tmp_path / "j.db")

    def second() -> bool:
        with pytest.raises(Held):
            run(replace(desk, journal_path=link), sample_run.world)
        halt_file(link).touch()
        return True

    run(desk, sample_run.world, stopped=second)
    assert run(desk, sample_run.world, stopped=stopped_after(1)).control.state is State.HALTED


@pytest.mark.parametrize("moved", [Path.unlink, lambda path: path.rename(path.with_name("other"))])
def test_a_desk_does_not_trade_into_a_journal_that_is_gone(
    sample_run: Ran, tmp_path: Path, moved: Callable[[Path], object]
) -> None:
    """SQLite would: the open file lives on without a name."""
    path = tmp_path / "j.db"
    pretended = Pretended({20: lambda: moved(path)})
    with pytest.raises(DataError, match=r"j\.db was moved, deleted or replaced while the desk ran"):
        run(
            replace(sample_run.desk, journal_path=path), sample_run.world,
            clock=pretended.clock(), bars_per_s=1.0,
        )  # fmt: skip
    assert pretended.ticks < 22
    beat = last_beat(heartbeat_file(path))
    assert beat is not None
    assert beat.ended.startswith("failed: ")


def test_a_run_does_not_go_on_over_data_that_changed(sample_run: Ran, tmp_path: Path) -> None:
    """One price of one bar long done is another: the book was not traded on it."""
    desk, world = replace(sample_run.desk, journal_path=tmp_path / "j.db"), sample_run.world
    run(desk, world, stopped=stopped_after(50))
    panel = world.panel
    opened = panel.open.copy()
    opened.iloc[world.start + 3, 0] *= 1.0000001
    with pytest.raises(DataError, match="was traded on other bars than the data has now"):
        run(desk, replace(world, panel=replace(panel, open=opened)))
    assert len(bodies(desk.journal_path)) == 50


def test_a_run_does_not_go_on_with_another_calibration(sample_run: Ran, tmp_path: Path) -> None:
    """Not even with one that calls nobody calibrated: it moves every confidence."""
    desk = replace(sample_run.desk, journal_path=tmp_path / "j.db")
    run(desk, sample_run.world, stopped=stopped_after(3))
    voters = [replace(s, calibration=unknown(0.448)) for s in desk.strategies]
    with pytest.raises(UsageError, match=r"strategies is .*momentum_breakout.*--another"):
        run(replace(desk, strategies=voters), sample_run.world)


def test_a_strategy_that_breaks_is_out_for_the_whole_run(sample_run: Ran, tmp_path: Path) -> None:
    """A row names it, and a restart does not ask it again; the others are as without it."""
    asked = 0

    @strategy(category="trend", regimes={"trending"}, lookback=1)
    def raises_once(panel: Panel) -> Votes:
        nonlocal asked
        asked += 1
        raise ValueError("no such column")

    voters = [*sample_run.desk.strategies, raises_once]
    desk = replace(sample_run.desk, strategies=voters, journal_path=tmp_path / "j.db")
    run(desk, sample_run.world, stopped=stopped_after(3))
    run(desk, sample_run.world, stopped=stopped_after(3))
    assert asked == 1
    record = read_record(desk.journal_path)
    assert record.disabled == {"raises_once": "ValueError: no such column"}
    assert record.equity.tolist() == sample_run.record.equity.iloc[:6].tolist()


def test_a_run_of_another_version_is_told_by_what_it_has_more(
    sample_run: Ran, tmp_path: Path
) -> None:
    """A field that only the held run knows is a difference with a name."""
    desk = replace(sample_run.desk, journal_path=tmp_path / "j.db")
    run(desk, sample_run.world, stopped=stopped_after(0))
    with Journal.open(desk.journal_path) as journal:
        journal.append("run", journal.tail(1, "run")[0].body | {"leverage": 3}, NOON)
    with pytest.raises(UsageError, match="leverage is 3, not None"):
        run(desk, sample_run.world)


def test_a_fault_without_words_is_told_by_its_kind(sample_run: Ran, tmp_path: Path) -> None:
    """The last heartbeat never ends in nothing."""
    desk = replace(sample_run.desk, journal_path=tmp_path / "j.db")

    def interrupted() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(desk, sample_run.world, stopped=interrupted)
    beat = last_beat(heartbeat_file(desk.journal_path))
    assert beat is not None
    assert beat.ended == "failed: KeyboardInterrupt"
