"""One file of the lake, on a disk or in an object store: whole or not there.

An object store is a path of universal-pathlib; it is none of pathlib's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from workbench.domain import DataError
from workbench.files import sync_names

T = TypeVar("T")


def put(file: Path, content: bytes) -> None:
    """Write a file whole. Cut off, it leaves a .part that the next write of it takes away.

    Raises DataError if it cannot be written; what was there before stays.
    """
    if not isinstance(file, Path):
        reach(file, lambda: file.write_bytes(content))  # an object is put whole or not at all
        return
    part = file.with_name(file.name + ".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
        sync_names(file.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(
            f"{file} cannot be written ({error.strerror or error}); what was stored before is"
            " whole: make room or mend the rights, then do it again"
        ) from error


def text_of(file: Path) -> str | None:
    """What a text file says, None if it is not there; what is no text in it shows as such."""

    def read() -> str | None:
        try:
            return file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None

    try:
        return reach(file, read)
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}); mend the rights") from error


def delete(file: Path) -> None:
    """Delete a file; one that is not there is no error."""
    reach(file, lambda: file.unlink(missing_ok=True))


def reach(file: Path, call: Callable[[], T]) -> T:
    """What a call on the lake's storage answers.

    An object store fails with errors of its own library's kinds: each becomes a DataError.
    """
    if isinstance(file, Path):
        return call()
    try:
        return call()
    except Exception as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{file} cannot be reached ({said}); check the address, the network and the store's"
            " keys in the environment"
        ) from error
