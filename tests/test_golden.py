"""The golden notebooks compare something: every code cell has an output to be compared with."""

from __future__ import annotations

import configparser
import re

import nbformat
import pytest

from tests.recorded import ROOT

GOLDEN = sorted((ROOT / "tests/golden").glob("*.ipynb"))


def test_there_are_two_golden_notebooks_and_make_test_runs_them_strictly() -> None:
    """Strict on stripped notebooks passes on nothing, so these keep their outputs."""
    assert [path.stem for path in GOLDEN] == ["judge", "rule_book"]
    assert "--nbval --nbval-current-env" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_golden_cell_has_an_output_and_checks_it(path: object) -> None:
    """No cell is skipped, ignored or empty, and none ends in an error."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs, cell.id
            assert all(output.output_type != "error" for output in cell.outputs)
            assert not re.search(r"NBVAL_(IGNORE|SKIP)|PYTEST_VALIDATE_IGNORE", cell.source)
            assert not cell.metadata.get("tags")


def test_only_addresses_are_left_out_of_the_comparison() -> None:
    """What the comparison forgives is one line, and it forgives no number."""
    rules = configparser.ConfigParser()
    rules.read(ROOT / "tests/golden/sanitize.cfg")
    assert {name: rules[name]["regex"] for name in rules.sections()} == {
        "address": "0x[0-9a-f]{6,}"
    }
