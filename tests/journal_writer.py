"""A writer for the journal's tests: it can be killed at any moment.

`PATH` alone: each line on stdin forks a writer that appends until it is killed, and says
"<seq> <hash>" on stdout after each append has returned. Forked, because an import costs a second.
`PATH COUNT`: appends COUNT rows after a line on stdin.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime, timedelta

from workbench.journal import Entry, Journal

START = datetime(2024, 1, 1, tzinfo=UTC)


def body(writer: int, n: int, of: int) -> dict[str, object]:
    """Content that can be made again from the row's own first fields."""
    return {"writer": writer, "n": n, "of": of, "cells": [writer / (i + 3) for i in range(n % 50)]}


def say(*lines: str) -> None:
    os.write(1, "".join(f"{line}\n" for line in lines).encode())  # at once, past any buffer


def acknowledge(entries: list[Entry]) -> None:
    say(*(f"{entry.seq} {entry.hash}" for entry in entries))


def write_until_killed(path: str) -> None:
    me = os.getpid()
    with Journal.open(path) as journal:
        for n in range(0, 40_000, 4):
            acknowledge([journal.append("one", body(me, n, 1), START + timedelta(seconds=n))])
            batch = [("three", body(me, n + i, 3), START) for i in (1, 2, 3)]
            acknowledge(journal.append_many(batch))
    time.sleep(5)


def serve(path: str) -> None:
    say("ready")
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            write_until_killed(path)
            os._exit(0)
        say(f"pid {child}")
        os.waitpid(child, 0)
        say("dead")


def write(path: str, count: int) -> None:
    with Journal.open(path) as journal:
        say("ready")
        sys.stdin.readline()
        for n in range(count):
            journal.append("one", body(os.getpid(), n, 1), START)
            time.sleep(0.002)  # or one writer keeps the lock for long, as SQLite has no queue


if __name__ == "__main__":
    if len(sys.argv) > 2:
        write(sys.argv[1], int(sys.argv[2]))
    else:
        serve(sys.argv[1])
