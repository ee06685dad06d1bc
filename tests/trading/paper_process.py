"""A desk to be killed: loads its world once, then each line on stdin forks a process that runs it.

`LAKE JOURNAL START END`. Says "ready", then for each line "pid N" and, once that process has ended
in whatever way, "ended CODE".
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.trading.conftest import desk_on, run
from workbench.data.lake import Lake


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def serve(lake: str, journal: str, start: str, end: str) -> None:
    desk, world = desk_on(Lake(Path(lake)), "sample", Path(journal), start, end)
    say("ready")
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if run(desk, world).finished else 1
            finally:
                os._exit(code)
        say(f"pid {child}")
        say(f"ended {os.waitpid(child, 0)[1]}")


if __name__ == "__main__":
    serve(*sys.argv[1:])
