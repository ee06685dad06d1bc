"""The command line as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def workbench(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command as a user types it in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "workbench", *words],
        capture_output=True, text=True, cwd=folder, env=os.environ | variables, check=False,
        timeout=200,
    )  # fmt: skip
