"""Whatever was changed in the file, `verify` names the first row that is not as it was written."""

# ruff: noqa: S608 - raw SQL is what tampering is

from __future__ import annotations

import hashlib
import json
import sqlite3
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journal_files import AT, fill, tamper
from workbench.journal import Journal, JournalBroken


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def fault(path: Path) -> str:
    with Journal.open(path, readonly=True) as journal, pytest.raises(JournalBroken) as caught:
        journal.verify()
    return str(caught.value)


EDITS: dict[str, Callable[[int], str]] = {
    "body": lambda n: f"UPDATE journal SET body = '{{\"n\":99}}' WHERE seq = {n}",
    "time": lambda n: f"UPDATE journal SET at = '2023-01-01T00:00:00+00:00' WHERE seq = {n}",
    "kind": lambda n: f"UPDATE journal SET kind = 'other' WHERE seq = {n}",
    "hash": lambda n: f"UPDATE journal SET hash = '{'0' * 64}' WHERE seq = {n}",
    "prev_hash": lambda n: f"UPDATE journal SET prev_hash = '{'1' * 64}' WHERE seq = {n}",
    "bytes": lambda n: f"UPDATE journal SET body = X'7B7D' WHERE seq = {n}",
    "broken text": lambda n: f"UPDATE journal SET body = CAST(X'7BFF7D' AS TEXT) WHERE seq = {n}",
}


@pytest.mark.parametrize("position", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("edit", EDITS)
def test_verify_names_the_row_that_was_edited(path: Path, edit: str, position: int) -> None:
    fill(path, 5)
    tamper(path, EDITS[edit](position))
    said = fault(path)
    assert f"row {position} (2023-" in said
    assert "edited after it was written" in said


@pytest.mark.parametrize("position", [1, 2, 3, 4, 5])
def test_verify_names_the_row_that_is_missing(path: Path, position: int) -> None:
    fill(path, 5)
    tamper(path, f"DELETE FROM journal WHERE seq = {position}")
    assert f"row {position} is missing" in fault(path)


def test_verify_notices_that_all_rows_are_gone(path: Path) -> None:
    fill(path, 5)
    tamper(path, "DELETE FROM journal")
    assert "row 1 is missing; 5 were written" in fault(path)


def test_verify_names_the_first_of_two_rows_that_changed_places(path: Path) -> None:
    fill(path, 5)
    moves = [(2, 9), (3, 2), (9, 3)]
    swap = [f"UPDATE journal SET seq = {to} WHERE seq = {of}" for of, to in moves]
    tamper(path, *swap)
    assert "row 2 (2023-" in fault(path)


def test_verify_names_the_row_after_one_that_was_replaced_with_its_hash(path: Path) -> None:
    fill(path, 5)
    with Journal.open(path, readonly=True) as journal:
        row = list(journal.rows())[2]
    forged = [3, row.at, "odd", '{"n":99}', row.prev_hash]
    digest = hashlib.sha256(json.dumps(forged, separators=(",", ":")).encode()).hexdigest()
    tamper(path, f"UPDATE journal SET body = '{forged[3]}', hash = '{digest}' WHERE seq = 3")
    assert "row 4 (2023-06-05T16:00:00+00:00) does not continue row 3" in fault(path)


def test_a_row_that_is_there_twice_is_named(path: Path) -> None:
    fill(path, 3)
    tamper(path, "ALTER TABLE journal RENAME TO old",
           "CREATE TABLE journal (seq, at, kind, body, prev_hash, hash)",
           "INSERT INTO journal SELECT * FROM old",
           "INSERT INTO journal SELECT * FROM old WHERE seq = 2")  # fmt: skip
    assert "row 2 is there twice" in fault(path)


def test_nothing_is_added_to_a_journal_whose_end_was_cut_off(path: Path) -> None:
    fill(path, 5)
    tamper(path, "DELETE FROM journal WHERE seq = 5")
    with Journal.open(path) as journal, pytest.raises(JournalBroken, match="row 5 is missing"):
        journal.append("fill", {}, AT)
    assert "row 5 is missing" in fault(path)


def test_reading_a_row_that_is_no_json_names_it(path: Path) -> None:
    fill(path, 3)
    tamper(path, "UPDATE journal SET body = '{' WHERE seq = 2")
    with Journal.open(path) as journal, pytest.raises(JournalBroken, match="row 2 is not readable"):
        list(journal.rows())


@pytest.mark.parametrize("statement", ["UPDATE journal SET kind = 'x'", "DELETE FROM journal"])
def test_the_file_itself_refuses_edits(path: Path, statement: str) -> None:
    fill(path, 3)
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()


def test_opening_for_writing_puts_missing_guards_back(path: Path) -> None:
    fill(path, 3)
    tamper(path)
    fill(path, 1)
    test_the_file_itself_refuses_edits(path, "DELETE FROM journal")


def test_verify_tells_its_progress_and_holds_few_rows_in_memory(path: Path) -> None:
    with Journal.open(path) as journal:
        for _ in range(6):
            journal.append_many([("x", {"text": "x" * 2000}, AT)] * 1000)
        told: list[tuple[int, int]] = []
        tracemalloc.start()
        assert journal.verify(lambda done, of: told.append((done, of))).seq == 6000
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert told == [(n, 6000) for n in range(1000, 6001, 1000)]
    assert peak < 6e6  # the bodies alone are 12 MB
