"""Orders: what counts in which state, that a halt is never lost, and what they do to a book."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import arrays as a
from workbench.domain import Book
from workbench.errors import DataError, UsageError
from workbench.journal import Entry, Journal
from workbench.trading.control import (
    Control,
    State,
    by_file,
    fold,
    halt,
    halt_file,
    obey,
    order,
    read_control,
)
from workbench.trading.lease import Heartbeat, Held, beat, last_beat, lease

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def entry(seq: int, do: str, **more: object) -> Entry:
    return Entry(seq, NOW.isoformat(), "command", {"do": do, "by": "Ada", **more}, "", "")


@pytest.mark.parametrize(
    ("orders", "state"),
    [
        ([], "RUNNING"),
        (["pause"], "PAUSED"),
        (["pause", "resume"], "RUNNING"),
        (["halt"], "HALTED"),
        (["halt", "resume"], "HALTED"),
        (["halt", "pause"], "HALTED"),
        (["pause", "halt", "resume"], "HALTED"),
        (["halt", "rearm"], "RUNNING"),
        (["halt", "halt", "rearm"], "RUNNING"),
        (["halt", "rearm", "halt"], "HALTED"),
        (["pause", "rearm"], "RUNNING"),
        (["flatten everything"], "HALTED"),
    ],
)
def test_each_sequence_of_orders_ends_in_its_state(orders: list[str], state: str) -> None:
    """While HALTED only a re-arm counts; an order nobody knows halts."""
    assert fold(Control(), [entry(k, do) for k, do in enumerate(orders)]).state == state


@given(
    st.lists(
        st.sampled_from(["pause", "resume", "halt", "rearm", "", "HALT", "nonsense"]), max_size=12
    ),
    st.integers(0, 12),
)
def test_after_the_last_halt_only_a_rearm_lets_the_desk_trade(orders: list[str], cut: int) -> None:
    """Whatever else is ordered; and reading in two parts gives what reading at once does."""
    rows = [entry(k + 1, do) for k, do in enumerate(orders)]
    whole = fold(Control(), rows)
    assert fold(fold(Control(), rows[:cut]), rows[cut:]) == whole
    halts = [k for k, do in enumerate(orders) if do not in ("pause", "resume", "rearm")]
    if halts and "rearm" not in orders[halts[-1] :]:
        assert whole.state is State.HALTED


def test_a_later_halt_that_keeps_does_not_take_a_flatten_back() -> None:
    """Two people halt, one wants it flat: it goes flat."""
    orders = [entry(1, "halt", flatten=True), entry(2, "halt", flatten=False)]
    assert fold(Control(), orders).flatten
    assert not fold(Control(), [*orders, entry(3, "rearm"), entry(4, "halt")]).flatten


def test_a_halt_is_on_file_and_on_record(tmp_path: Path) -> None:
    """Both say who, when and why; either alone is enough."""
    path = tmp_path / "new" / "journal.db"
    halt(path, "Ada", "odd fills", True, NOW)
    with Journal.open(path, readonly=True) as journal:
        both = read_control(journal)
        halt_file(path).unlink()
        row_alone = read_control(journal)
    assert (both.state, both.by, both.why, both.flatten) == ("HALTED", "Ada", "odd fills", True)
    assert row_alone == both
    assert str(both) == (
        "HALTED since 2026-01-02T03:04:05+00:00 by Ada (odd fills); re-arm with"
        " `workbench rearm --by NAME`"
    )


@pytest.mark.parametrize("content", ["", "{", "[]", '{"by": "x"}', "\x00\xff"])
def test_any_halt_file_halts(tmp_path: Path, content: str) -> None:
    """Made with `touch`, half written, or nonsense: it halts, and says by which file."""
    path = tmp_path / "journal.db"
    halt_file(path).write_text(content, encoding="utf-8", errors="surrogateescape")
    told = by_file(Control(), halt_file(path))
    assert told.state is State.HALTED
    assert str(halt_file(path)) in told.by
    assert not told.flatten


def test_a_halt_stands_though_the_journal_cannot_be_written(tmp_path: Path) -> None:
    """The file is there before the database is asked."""
    path = tmp_path / "journal.db"
    path.write_bytes(b"no journal at all, but long enough to be looked at as a database header")
    with pytest.raises(DataError):
        halt(path, "Ada", "", True, NOW)
    assert by_file(Control(), halt_file(path)).by == "Ada"


def test_a_file_taken_away_by_hand_is_no_rearm_of_what_was_ordered(tmp_path: Path) -> None:
    """The order in the journal still holds, also for a reader who saw the file before."""
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        halt_file(path).touch()
        seen = read_control(journal)
        assert seen.by_file
        journal.append("command", {"do": "pause", "by": "Bob"}, NOW)
        halt_file(path).unlink()
        assert read_control(journal, seen).state is State.PAUSED
        halt(path, "Ada", "", False, NOW)
        halt_file(path).unlink()
        assert read_control(journal, seen).state is State.HALTED


@pytest.mark.parametrize(
    ("before", "do", "by", "sentence"),
    [
        ([], "resume", "Ada", "RUNNING; there is nothing to resume"),
        ([], "rearm", "Ada", "RUNNING, not HALTED"),
        (["pause"], "rearm", "Ada", "PAUSED, not HALTED"),
        (["halt"], "rearm", "  ", "needs a name"),
        (["halt"], "pause", "Ada", "is HALTED since .* re-arm with"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    tmp_path: Path, before: list[str], do: str, by: str, sentence: str
) -> None:
    """In one sentence, and nothing is written."""
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        for each in before:
            journal.append("command", {"do": each, "by": "Eve"}, NOW)
        rows = len(journal)
        with pytest.raises(UsageError, match=sentence):
            order(path, do, by, "", NOW)
        assert len(journal) == rows


def test_without_a_journal_there_is_nothing_to_order(tmp_path: Path) -> None:
    """But a halt may come first: it waits for the desk."""
    with pytest.raises(UsageError, match="no journal"):
        order(tmp_path / "none.db", "pause", "Ada", "", NOW)
    halt(tmp_path / "none.db", "Ada", "", True, NOW)
    assert halt_file(tmp_path / "none.db").exists()


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("state", list(State))
def test_obeying_only_ever_takes_risk_away(state: State, flatten: bool) -> None:
    """Pending entries go, held positions stay or leave; the book that was given is not touched."""
    book = Book.start(("A", "B"), 1000.0, pd.Timestamp("2024-01-01", tz="UTC"))
    book.positions[0, [a.SIDE, a.QUANTITY, a.ENTRY]] = 1.0, 2.0, 10.0
    book.positions[1, a.PENDING] = -3.0
    before = book.copy()
    after = obey(book, Control(state, flatten=flatten))
    assert np.array_equal(book.positions, before.positions)
    free = state is State.RUNNING
    assert after.halted is not free
    assert after.positions[1, a.PENDING] == (-3.0 if free else 0.0)
    assert after.positions[:, a.EXIT_ASKED].tolist() == [float(flatten and not free), 0.0]
    assert after.positions[0, a.QUANTITY] == 2.0


def test_what_only_a_file_halted_is_on_record_once_it_is_rearmed(tmp_path: Path) -> None:
    """The journal was locked for the halt: who halted and why must not go with the file."""
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        halt(tmp_path / "other.db", "Ada", "odd fills", True, NOW)
        halt_file(tmp_path / "other.db").rename(halt_file(path))
        assert order(path, "rearm", "Bob", "", NOW).state is State.RUNNING
        told = [
            (row.body["do"], row.body["by"], row.body["why"]) for row in journal.rows("command")
        ]
    assert told == [("halt", "Ada", "odd fills"), ("rearm", "Bob", "")]


def test_a_halt_while_somebody_rearms_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is not the one that was re-armed, so it is left."""
    path, append = tmp_path / "journal.db", Journal.append_many
    halt(path, "Ada", "", True, NOW)

    def meanwhile(journal: Journal, rows: object) -> object:
        monkeypatch.undo()
        halt(path, "Eve", "again", True, NOW)
        return append(journal, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(Journal, "append_many", meanwhile)
    after = order(path, "rearm", "Bob", "", NOW)
    assert (after.state, after.by, after.why) == (State.HALTED, "Eve", "again")
    assert order(path, "rearm", "Bob", "", NOW).state is State.RUNNING


def test_a_halt_whose_file_cannot_be_written_is_in_the_journal(tmp_path: Path) -> None:
    """Here a folder stands in its way; either alone halts. A re-arm says what it cannot remove."""
    path = tmp_path / "journal.db"
    halt_file(path).mkdir()
    (halt_file(path) / "something").touch()
    halt(path, "Ada", "", False, NOW)
    with Journal.open(path, readonly=True) as journal:
        assert fold(Control(), journal.rows("command")).by == "Ada"
    with pytest.raises(DataError, match=r"HALT cannot be removed .* stays HALTED"):
        order(path, "rearm", "Bob", "", NOW)


# --- the lease and the heartbeat -----------------------------------------------------------------


def test_a_lease_has_one_holder_and_goes_with_it(tmp_path: Path) -> None:
    """The second is told who holds it; afterwards it is free."""
    path = tmp_path / "journal.db.lease"
    named = pytest.raises(Held, match=r"journal\.db is being run by Ada \(process 1\)")
    with lease(path, "Ada (process 1)"), named, lease(path, "Bob"):
        raise AssertionError
    with lease(path, "Bob"):
        assert path.read_text() == "Bob"


def test_a_heartbeat_is_read_as_it_was_written(tmp_path: Path) -> None:
    """None before the first; nonsense is named; age and life follow the clock that is given."""
    path = tmp_path / "heartbeat"
    assert last_beat(path) is None
    told = Heartbeat(NOW, "Ada", "REPLAY", "RUNNING", "2023-01-01", 5, 10, 2.5)
    beat(path, told)
    read = last_beat(path)
    assert read == told
    assert told.lives(NOW)
    assert not told.lives(NOW.replace(second=50))
    assert not Heartbeat(NOW, "Ada", "REPLAY", "RUNNING", ended="finished").lives(NOW)
    assert not told.lives(NOW - timedelta(hours=1)), "the clock was set back under a dead desk"
    path.write_text("{}")
    with pytest.raises(DataError, match="no heartbeat"):
        last_beat(path)
    path.write_text('{"at":"2026-01-02T03:04:05","holder":"","mode":"","state":""}')
    naive = last_beat(path)
    assert naive is not None
    assert naive.at.tzinfo is not None


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """A full or forbidding disk, here a file where a folder should be; nothing half is left."""
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"beat cannot be written \(.*\); check the disk"):
        beat(tmp_path / "file" / "beat", Heartbeat(NOW, "Ada", "REPLAY", "RUNNING"))
