"""What sets of parameters came to, kept on disk by what they depend on: a sweep that was stopped
goes on, and one that was run comes back at once.

A file a chunk, written whole or not at all; a file that cannot be read is a chunk not yet run.
"""

from __future__ import annotations

import io
import os
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.arrays import Floats
from workbench.domain import DataError
from workbench.research.fingerprint import digest

Kept = Mapping[str, tuple[Floats, Floats]]


@dataclass(frozen=True)
class Store:
    """A folder of one data set under one state of the rules. `keys` name what was run."""

    folder: Path

    def read(self, figures: int, days: int) -> Kept:
        """Figures and daily equity by key, of every whole file of that shape."""
        kept: dict[str, tuple[Floats, Floats]] = {}
        for file in sorted(self.folder.glob("*.npz")):
            try:
                with np.load(file, allow_pickle=False) as told:
                    keys, rows, daily = told["keys"], told["figures"], told["daily"]
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                continue
            shapes = (len(keys), figures), (len(keys), days)
            if (rows.shape, daily.shape) == shapes:
                kept |= {str(key): (rows[k], daily[k]) for k, key in enumerate(keys)}
        return kept

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
