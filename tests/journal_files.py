"""Rows, files and raw edits for the journal's tests."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from workbench.journal import Journal

AT = datetime(2023, 6, 5, 12, tzinfo=UTC)


def fill(path: Path, rows: int) -> None:
    with Journal.open(path) as journal:
        journal.append_many(
            ("even" if n % 2 == 0 else "odd", {"n": n}, AT + timedelta(hours=n))
            for n in range(1, rows + 1)
        )


def tamper(path: Path, *statements: str) -> None:
    """Edit the file as a stranger would: triggers off, then raw SQL."""
    connection = sqlite3.connect(path)
    for statement in ("DROP TRIGGER journal_no_update", "DROP TRIGGER journal_no_delete"):
        connection.execute(statement)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
