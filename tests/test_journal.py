"""The journal gives back what it was given, and refuses in words what it cannot keep."""

from __future__ import annotations

import hashlib
import math
import resource
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.journal_files import AT, fill, tamper
from workbench.domain import (
    DataError,
    UsageError,
)  # fmt: skip
from workbench.journal import Head, Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "desk" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open(path) as opened:
        yield opened


# --- writing and reading -----------------------------------------------------------------------


def test_a_row_is_read_back_as_it_was_returned(journal: Journal) -> None:
    one = journal.append("fill", {"price": 0.1, "x": math.nan}, AT)
    other = journal.append("fill", {}, pd.Timestamp("2023-06-05 15:00", tz="Europe/Rome"))
    assert (one.seq, one.at, one.body) == (
        1,
        "2023-06-05T12:00:00+00:00",
        {"price": 0.1, "x": "NaN"},
    )
    assert (other.seq, other.at, other.prev_hash) == (2, "2023-06-05T13:00:00+00:00", one.hash)
    assert list(journal.rows()) == [one, other]
    assert journal.head() == Head(2, other.hash)


def test_the_hash_can_be_made_again_from_its_description(journal: Journal) -> None:
    entry = journal.append("fill", {"b": 1, "a": 0.5}, AT)
    sealed = '[1,"2023-06-05T12:00:00+00:00","fill","{\\"a\\":0.5,\\"b\\":1}","' + "0" * 64 + '"]'
    assert entry.hash == hashlib.sha256(sealed.encode()).hexdigest()


def test_rows_and_tail_filter_and_page(path: Path) -> None:
    fill(path, 2500)  # more than two chunks
    with Journal.open(path) as journal:
        assert [e.seq for e in journal.rows()] == list(range(1, 2501))
        assert [e.seq for e in journal.rows("even", after=2400)] == list(range(2402, 2501, 2))
        assert [e.seq for e in journal.rows(after=1200, limit=1100)] == list(range(1201, 2301))
        assert list(journal.rows(limit=0)) == list(journal.rows("none")) == []
        assert [e.body["n"] for e in journal.tail(3)] == [2498, 2499, 2500]
        assert [e.seq for e in journal.tail(2, "odd")] == [2497, 2499]
        assert journal.tail(0) == []
        assert len(journal) == 2500


def test_a_batch_with_one_bad_row_writes_nothing(journal: Journal) -> None:
    with pytest.raises(UsageError):
        journal.append_many([("fill", {}, AT), ("fill", {"x": {1}}, AT)])
    assert journal.append_many([]) == []
    assert len(journal) == 0
    assert journal.append("fill", {}, AT).seq == 1


@pytest.mark.parametrize(
    ("kind", "body", "at", "named"),
    [
        ("", {}, AT, "no kind of row"),
        ("Fill now", {}, AT, "no kind of row"),
        ("fill", [1], AT, "the body of a row is a list"),
        ("fill", {}, datetime(2024, 1, 1), "zone"),
        ("fill", {}, "2024-01-01", "zone"),
    ],
)
def test_a_row_that_cannot_be_is_refused_in_words(
    journal: Journal, kind: str, body: object, at: Any, named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        journal.append(kind, body, at)


def test_an_empty_journal_is_true_and_verifies(journal: Journal) -> None:
    assert journal
    assert len(journal) == 0
    assert journal.verify() == journal.head() == Head(0, "0" * 64)


def test_a_url_names_the_same_file_as_its_path(path: Path) -> None:
    fill(path, 3)
    with Journal.open(f"sqlite:///{path}", readonly=True) as journal:
        assert len(journal) == 3


def test_awkward_file_names_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "50% off? #1 é.db"
    fill(path, 2)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "key",
    ["api_key", "apiKey", "X-MBX-APIKEY", "OPENAI_API_KEY", "secret", "secretKey", "password",
     "token", "access_token", "Authorization", "private_key", "passphrase", "Set-Cookie"],
)  # fmt: skip
def test_a_key_that_looks_like_a_secret_is_refused_at_any_depth(journal: Journal, key: str) -> None:
    for body in ({key: "x"}, {"a": [{"b": {key: "x"}}]}):
        with pytest.raises(UsageError) as caught:
            journal.append("settings", body, AT)
        assert repr(key) in str(caught.value)
        assert len(journal) == 0


def test_words_that_only_resemble_a_secret_are_kept(journal: Journal) -> None:
    body = {"output_tokens": 5, "TOKEN/USDT": 1.0, "author": "x", "keyboard": 1, "authored_at": 2}
    assert journal.append("usage", body, AT).body == body


# --- files that will not do --------------------------------------------------------------------


def test_a_reader_makes_and_changes_no_file(path: Path) -> None:
    fill(path, 5)
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    with Journal.open(path, readonly=True) as journal:
        assert journal.verify().seq == 5
        assert len(journal.tail(2)) == 2
        with pytest.raises(UsageError, match="opened for reading"):
            journal.append("fill", {}, AT)
        assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_reader_that_came_first_sees_what_a_later_writer_adds(path: Path) -> None:
    fill(path, 2)
    with Journal.open(path, readonly=True) as reader:
        assert reader.head().seq == 2
        with Journal.open(path) as writer:
            writer.append("fill", {}, AT)
            assert reader.head().seq == 3
        assert reader.verify().seq == 3
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_reading_a_journal_that_is_not_there_says_how_to_make_one(path: Path) -> None:
    with pytest.raises(UsageError, match=r"no journal at .*journal.db.*makes it"):
        Journal.open(path, readonly=True)
    assert not path.parent.exists()


@pytest.mark.parametrize(
    "url",
    ["postgresql://desk:hunter2@db/desk", "sqlite://", "sqlite:///:memory:", "sqlite:///x?mode=ro"],
)
def test_a_url_that_cannot_hold_the_journal_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UsageError, match="name a file") as caught:
        Journal.open(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize(
    ("content", "said"),
    [(b"not a database, just text " * 99, "nor any database"), (None, "is a folder")],
)
def test_a_file_that_is_no_journal_is_named_and_left_alone(
    tmp_path: Path, content: bytes | None, said: str, readonly: bool
) -> None:
    path = tmp_path / "notes.txt"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises((DataError, UsageError), match=said) as caught:
        Journal.open(path, readonly=readonly)
    assert str(path) in str(caught.value)
    assert content is None or path.read_bytes() == content


@pytest.mark.parametrize("readonly", [True, False])
def test_a_database_of_something_else_is_named_and_left_alone(
    tmp_path: Path, readonly: bool
) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE journal (id)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(DataError, match="database of something else"):
        Journal.open(path, readonly=readonly)
    assert path.read_bytes() == before


def test_a_journal_of_another_version_is_named(path: Path) -> None:
    fill(path, 1)
    tamper(path, "PRAGMA user_version = 2")
    for readonly in (True, False):
        with pytest.raises(DataError, match="journal of version 2 and this workbench reads"):
            Journal.open(path, readonly=readonly)


def test_an_empty_file_is_filled_by_a_writer_and_refused_to_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(DataError, match="is empty"):
        Journal.open(path, readonly=True)
    fill(path, 1)


def test_a_damaged_file_is_a_sentence(path: Path) -> None:
    fill(path, 2000)
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)
    with Journal.open(path, readonly=True) as journal, pytest.raises(DataError) as caught:
        journal.verify()
    assert f"{path} is damaged" in str(caught.value)


def test_a_journal_locked_by_another_is_named(path: Path, journal: Journal) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Journal.open(path, readonly=True) as reader:
        assert len(reader) == 0  # readers do not wait
    with pytest.raises(DataError, match=r"journal.db has been locked .* more than 0\.1 s"):
        Journal.open(path, timeout_s=0.1)
    other.execute("ROLLBACK")
    with Journal.open(path, timeout_s=0.1) as hasty:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DataError, match="nothing was written"):
            hasty.append("fill", {}, AT)
        other.close()
        assert hasty.append("fill", {}, AT).seq == 1


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be opened"):
        Journal.open(tmp_path / "file" / "desk" / "journal.db")


def test_a_full_disk_is_a_sentence_and_the_journal_goes_on_after_it(journal: Journal) -> None:
    journal.append("fill", {"n": 1}, AT)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DataError, match="full or failing"):
            journal.append("fill", {"text": "x" * 200_000}, AT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert journal.append("fill", {"n": 2}, AT).seq == 2
    assert journal.verify().seq == 2


def test_a_closed_journal_says_so(path: Path) -> None:
    with Journal.open(path) as journal:
        pass
    with pytest.raises(UsageError, match="is closed"):
        journal.head()
