"""Files that are whole or not there, and locks that go with their process."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import DataError


def beside(path: Path, end: str) -> Path:
    """The neighbour that goes with the file at `path`, the same by whatever link it is named."""
    real = path.resolve()
    return real.with_name(real.name + end)


def write_whole(path: Path, text: str, *, sync: bool = False) -> None:
    """Put `text` at `path` in one step; a reader sees the old file or the new one. With `sync` it
    is on the disk when this returns. Raises DataError if the disk is full or forbids it."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("w", encoding="utf-8") as file:
                file.write(text)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        if sync:
            sync_names(path.parent)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror}); check the disk and your right to write"
        ) from error


def sync_names(folder: Path) -> None:
    """A new name is on the disk only once its folder is."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def point(link: Path, target: str) -> None:
    """Make `link` a symbolic link to its neighbour `target` in one step."""
    new = link.with_name(f".{link.name}.{uuid.uuid4().hex}")
    new.symlink_to(target)
    new.replace(link)


@contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Be the only one in `folder`. Raises BlockingIOError if somebody is, and `wait` is not set."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(lock)
