"""A folder of recorded files and the lake they go into."""

from __future__ import annotations

import gzip
from datetime import datetime
from pathlib import Path

from workbench.data.lake import Lake
from workbench.data.recorded import ImportReport, import_recorded


class Recordings:
    """`now` is the moment of the import."""

    def __init__(self, root: Path, now: datetime) -> None:
        self.folder, self.lake, self.now = root / "recorded", Lake(root / "lake"), now

    def write(self, file: str, *lines: str) -> Path:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        text = ("\n".join(lines) + "\n").encode()
        path.write_bytes(gzip.compress(text) if file.endswith(".gz") else text)
        return path

    def load(self, now: datetime | None = None) -> ImportReport:
        return import_recorded(self.folder, self.lake, now or self.now)

    def refusal(self) -> str:
        """The sentence of the only file, of which nothing may have been stored."""
        report = self.load()
        assert report.imported == ()
        assert self.lake.series() == []
        ((file, sentence),) = report.refused
        assert sentence.startswith(f"{file}: ")
        return sentence
