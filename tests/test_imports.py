"""What an import costs: nothing that was not asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import workbench

VENDORS = ("vectorbt", "ccxt", "anthropic", "plotly", "pandas", "numba", "sqlalchemy", "papermill")


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in memory after a statement, in a fresh process."""
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )  # fmt: skip
    return set(done.stdout.split())


def test_importing_the_package_loads_no_vendor_library() -> None:
    """`import workbench` is free; each name loads what it needs on first use."""
    assert not loaded_by("import workbench") & set(VENDORS)


def test_help_loads_no_vendor_library() -> None:
    """`workbench --help` answers before anything heavy is read."""
    code = """
import sys, workbench.__main__ as command_line
try: command_line.app(["--help"])
except SystemExit: sys.stdout.flush()
print("LOADED", *{name.split(".")[0] for name in sys.modules})
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )  # fmt: skip
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert "typer" in loaded
    assert not loaded & set(VENDORS)


def test_the_trading_path_never_loads_vectorbt() -> None:
    """Paper and live run through the cycle; the accountant is for research only."""
    loaded = loaded_by("import workbench.cycle, workbench.desk, workbench.research.history")
    assert not loaded & {"vectorbt", "ccxt", "anthropic", "plotly", "papermill"}


@pytest.mark.parametrize("name", workbench.__all__)
def test_every_public_name_exists_and_says_what_it_is(name: str) -> None:
    """The lazy table names only what is really there, and all of it has a docstring."""
    thing = getattr(workbench, name)
    assert (thing.__doc__ or "").strip()


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As with any module."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = workbench.nonsense
