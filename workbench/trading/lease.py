"""Who runs this journal, and that it still does: a lock that ends with its process; a heartbeat.

The lock is the kernel's (flock), so a killed process leaves nothing to clear away. The heartbeat is
a small file that is replaced whole; readers never touch the lock.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from workbench.errors import DataError, WorkbenchError
from workbench.files import write_whole
from workbench.journal_json import to_json

STALE_S = 10.0  # a heartbeat older than this is a process that hangs or is gone


class Held(WorkbenchError):
    """Another process has the lease; the sentence names it."""


@contextmanager
def lease(path: Path, holder: str) -> Iterator[None]:
    """Be the only one with the lease at `path` while the block runs.

    Raises Held with the name that the present holder gave, at once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            by = file.read().strip() or "another process"
            raise Held(
                f"{path.with_suffix('')} is being run by {by}; stop that one first"
            ) from None
        try:
            file.truncate(0)
            file.write(holder)
            file.flush()
        except OSError as error:
            raise DataError(f"{path} cannot be written ({error.strerror})") from error
        yield


@dataclass(frozen=True)
class Heartbeat:
    """What a running desk says of itself. `at` is the wall clock, `bar` the last closed bar."""

    at: datetime
    holder: str
    mode: str
    state: str
    bar: str = ""
    done: int = 0
    total: int = 0
    bars_per_s: float = 0.0
    ended: str = ""

    def age_s(self, now: datetime) -> float:
        """Seconds between its beat and `now`. One from the future is as far off: the clock was
        set back, and whoever still ran would have beaten since."""
        return abs((now - self.at).total_seconds())

    def lives(self, now: datetime) -> bool:
        """Has it beaten lately, and not said goodbye?"""
        return not self.ended and self.age_s(now) < STALE_S


def beat(path: Path, heartbeat: Heartbeat) -> None:
    """Replace the heartbeat at `path`."""
    write_whole(path, to_json(asdict(heartbeat)))


def last_beat(path: Path) -> Heartbeat | None:
    """The last heartbeat, None if nobody ever ran. Raises DataError if the file is not one."""
    try:
        told: Mapping[str, object] = json.loads(path.read_text(encoding="utf-8"))
        at = datetime.fromisoformat(str(told["at"])).astimezone(UTC)
        return Heartbeat(**{**told, "at": at})  # type: ignore[arg-type]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        raise DataError(
            f"{path} is no heartbeat; delete it, the running desk writes another"
        ) from None
