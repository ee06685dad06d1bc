"""Is this machine fit? A list of findings, each one sentence; nothing is changed or repaired."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.desk import Desk

PACKAGES = (
    "numpy", "pandas", "numba", "TA-Lib", "polars", "pyarrow", "SQLAlchemy", "pydantic",
    "plotly", "vectorbt", "ccxt", "anthropic", "jupyterlab", "ipywidgets", "voila", "papermill",
    "nbval",
)  # fmt: skip
FREE_GB = 2.0


class Finding(NamedTuple):
    """One thing looked at."""

    what: str
    fine: bool
    says: str


def examine(load: Callable[[], Desk]) -> list[Finding]:
    """Look at everything; `load` gives the desk or raises a WorkbenchError."""
    found = [_python(), *_packages(), _plugins(), _disk(Path.cwd()), _kernel()]
    try:
        desk = load()
    except WorkbenchError as wrong:
        return [*found, Finding("configuration", False, str(wrong))]
    return [*found, Finding("configuration", True, "valid"), _lake(desk), _journal(desk)]


def _python() -> Finding:
    fine = sys.version_info[:2] == (3, 11)
    return Finding("python", fine, sys.version.split()[0] + ("" if fine else "; 3.11 is needed"))


def _packages() -> Iterator[Finding]:
    missing = []
    for name in PACKAGES:
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    says = f"{len(PACKAGES)} installed" if not missing else f"missing: {', '.join(missing)}"
    yield Finding("packages", not missing, says + ("; run `make setup`" if missing else ""))


def _plugins() -> Finding:
    groups = ("strategies", "judges", "brokers", "feeds")
    counts = {g: len(entry_points(group=f"workbench.{g}")) for g in groups}
    fine = all(counts.values())
    says = ", ".join(f"{n} {group}" for group, n in counts.items())
    return Finding("plug-ins", fine, says if fine else says + "; run `make setup`")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / 1e9
    return Finding("disk", free > FREE_GB, f"{free:.0f} GB free")


def _kernel() -> Finding:
    """Compile (or find compiled) and run the rules once."""
    import numpy as np

    from workbench.risk.correlation import daily_facts

    facts = daily_facts(np.ones((48, 2)), np.ones((48, 2)), np.arange(48) // 24)
    fine = bool(facts.adv[-1, 0] == 24.0)
    return Finding("compiled rules", fine, "they run" if fine else "they give a wrong answer")


def _lake(desk: Desk) -> Finding:
    from workbench.data.lake import lake_at

    try:
        n = len(lake_at(desk.source.lake).series())
        source = desk.source.resolved()
    except WorkbenchError as wrong:
        return Finding("lake", False, str(wrong))
    return Finding(
        "lake", True, f"{n} series in {desk.source.lake}; the desk trades {source.venue}"
    )


def _journal(desk: Desk) -> Finding:
    from workbench.journal import Journal

    if not desk.journal_path.exists():
        return Finding("journal", True, f"none yet at {desk.journal_path}")
    try:
        with Journal.open(desk.journal_path, readonly=True) as journal:
            head = journal.verify()
    except WorkbenchError as wrong:
        return Finding("journal", False, str(wrong))
    return Finding("journal", True, f"{head.seq:,} rows, intact")
