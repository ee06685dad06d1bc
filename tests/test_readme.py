"""The README's code runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.recorded import ROOT


def test_the_twenty_lines_run_on_the_sample_world(tmp_path: Path) -> None:
    """A newcomer who pastes them sees figures and the table of fates."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 21
    script = tmp_path / "twenty.py"
    script.write_text(code)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WORKBENCH_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True, text=True, cwd=tmp_path, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "expectancy" in done.stdout
    assert "SYNTHETIC" in done.stdout
    assert "OUT_OF_REGIME" in done.stdout
