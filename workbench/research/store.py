"""What sets of parameters came to, kept on disk by what they depend on: a sweep that was stopped
goes on, and one that was run comes back at once.

A file a chunk, written whole or not at all; a file that cannot be read is a chunk not yet run.
"""

from __future__ import annotations

import io
import os
import struct
import uuid
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.arrays import Floats
from workbench.domain import DataError
from workbench.research.fingerprint import digest

# whatever a zip of arrays may raise whose bytes were changed or cut
_DAMAGED = (
    OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError,
    MemoryError, struct.error, zlib.error, SyntaxError, TypeError,
)  # fmt: skip
Kept = Mapping[str, tuple[Floats, Floats]]


@dataclass(frozen=True)
class Store:
    """A folder of one data set under one state of the rules. `keys` name what was run."""

    folder: Path

    def read(self, wanted: Collection[str], figures: int, days: int) -> Kept:
        """Figures and daily equity of those of the keys that are there, in whole files of that
        shape; of a file without any of them nothing is loaded but its keys."""
        kept: dict[str, tuple[Floats, Floats]] = {}
        for file in sorted(self.folder.glob("*.npz")):
            try:
                with file.open("rb") as raw, np.load(raw, allow_pickle=False) as told:
                    keys = [str(key) for key in told["keys"]]
                    if kept.keys() >= {key for key in keys if key in wanted}:
                        continue
                    rows, daily = told["figures"], told["daily"]
            except _DAMAGED:
                continue
            if (rows.shape, daily.shape) == ((len(keys), figures), (len(keys), days)):
                here = [(k, key) for k, key in enumerate(keys) if key in wanted]
                kept |= {key: (rows[k].copy(), daily[k].copy()) for k, key in here}
        return kept

    def forget(self) -> None:
        """Delete all files: what one of them says is not true."""
        for file in self.folder.glob("*.npz"):
            file.unlink(missing_ok=True)

    def write(self, keys: Sequence[str], figures: Floats, daily: Floats) -> None:
        """Keep a chunk. Raises DataError if the disk is full or forbids it."""
        whole = io.BytesIO()
        np.savez(whole, keys=np.array(keys), figures=figures, daily=daily)
        file = self.folder / f"{digest(*keys)}.npz"
        part = file.with_name(f".{uuid.uuid4().hex}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(whole.getvalue())
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(
                f"{file} cannot be written ({os.strerror(error.errno or 0)}); check the disk"
            ) from error
