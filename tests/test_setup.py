"""The files that set the project up agree with each other and speak of no machine."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

from tests.recorded import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
LOCKED = {
    m[1].lower().replace("_", "-"): m[2] for m in re.finditer(r"^([\w.-]+)==(\S+)", LOCK, re.M)
}
GIVEN = (
    "jupyterlab", "ipywidgets", "voila", "vectorbt", "ccxt", "anthropic", "pandas", "plotly",
    "papermill", "nbval",
)  # fmt: skip


def declared() -> list[str]:
    """Names of everything pyproject asks for."""
    asked = PYPROJECT["project"]["dependencies"] + [
        line for extra in PYPROJECT["project"]["optional-dependencies"].values() for line in extra
    ]
    return [re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in asked]


def tracked(*patterns: str) -> list[Path]:
    """Files that git tracks."""
    done = subprocess.run(
        ["git", "ls-files", *patterns], capture_output=True, text=True, cwd=ROOT, check=True
    )  # fmt: skip
    return [ROOT / line for line in done.stdout.splitlines()]


def test_the_lock_holds_every_declared_package_with_hashes() -> None:
    """Nothing is asked for that is not pinned; every pin has a hash."""
    assert not [name for name in declared() if name not in LOCKED]
    pins = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.M)[1:]
    assert not [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin]


def test_the_given_packages_are_declared() -> None:
    """What the product is built on is in its base install."""
    base = " ".join(PYPROJECT["project"]["dependencies"]).lower()
    assert not [name for name in GIVEN if name not in base]


def test_the_lock_names_no_host() -> None:
    """Hashes and no download address: the same lock serves every index."""
    assert "://" not in LOCK


def test_environment_yml_takes_only_python_from_conda() -> None:
    """conda gives Python, the lock gives the rest: the two cannot drift apart."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, rest = environment["dependencies"]
    assert pip == "pip"
    assert rest == {"pip": ["-r requirements.lock"]}
    version = python.removeprefix("python=")
    assert PYPROJECT["project"]["requires-python"].startswith(f">={version},")


def test_every_make_target_is_in_its_help() -> None:
    """`make help` prints every target that a person may call."""
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split()
    shown = subprocess.run(["make", "help"], capture_output=True, text=True, cwd=ROOT, check=True)
    assert [target for target in phony if f"make {target}" not in shown.stdout] == []


def test_ci_calls_the_commands_of_the_readme() -> None:
    """What CI runs is what a newcomer is told to run."""
    ci = (ROOT / ".ci/run").read_text()
    readme = (ROOT / "README.md").read_text()
    for command in ("make demo", "make test"):
        assert command in ci
        assert command in readme


def test_the_readme_names_every_file_of_the_package() -> None:
    """The tree in the README, one line a file, stays true both ways."""
    tree = (ROOT / "README.md").read_text().split("```text\nworkbench/")[1].split("```")[0]
    named = set(re.findall(r"\b([\w.]+\.(?:py|html|css|js|json|j2)|\d+\.md)\b", tree))
    files = {f.name for f in tracked("workbench/*") if f.name not in ("__init__.py", "py.typed")}
    assert files - named == set()
    assert named - files - {"__init__.py"} == set()


def test_the_tree_names_no_machine_and_no_index() -> None:
    """No path of one machine, no package index's address, in any tracked text."""
    index = "|".join(["py" + "pi", "python" + "hosted", "npm" + "js"])
    here = "|".join(re.escape(f"{folder}/") for folder in (ROOT.parent, Path.home()))
    bad = re.compile(rf"{here}|://[\w.]*({index})|extra-index|trusted-host")
    found = [
        f"{file.relative_to(ROOT)}: {hit[0]}"
        for file in tracked()
        if file.suffix not in (".png", ".lock") and file.name != Path(__file__).name
        for hit in [bad.search(file.read_text(errors="replace"))]
        if hit
    ]
    assert found == []


@pytest.mark.parametrize("file", tracked("notebooks/*.ipynb"), ids=lambda f: f.name)
def test_notebooks_are_thin_and_committed_without_outputs(file: Path) -> None:
    """About 15 cells, no functions but voters, stable ids, parameters typed."""
    notebook = nbformat.read(file, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(notebook.cells) <= 20
    assert not any(cell.outputs or cell.execution_count for cell in code)
    # A voter of one's own is what a notebook may define; everything else is the package's.
    sources = [re.sub(r"^@wb\.strategy\(.*\)\ndef ", "", cell.source) for cell in code]
    assert not any(re.search(r"^\s*(def|class) ", source, re.M) for source in sources)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z-]+", name) for name in ids)
    assert json.loads(file.read_text())["metadata"]["kernelspec"]["name"] == "python3"
