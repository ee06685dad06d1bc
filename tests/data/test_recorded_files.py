"""All recorded files, imported whole: as many rows read as the data's own README says."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import FETCHED
from tests.recorded import require_data
from workbench.data.lake import Lake
from workbench.data.recorded import ImportReport, import_recorded

ROW = re.compile(r"^\| `([^`]+)` \| (\d+) \|", re.MULTILINE)
NOT_ROWS = {"empty columns", "updates older than the snapshot"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, ImportReport]:
    """A lake with everything in it, and what the import said."""
    lake = Lake(tmp_path_factory.mktemp("whole") / "lake")
    return lake, import_recorded(require_data(), lake, FETCHED)


def test_all_69_files_go_in_with_the_row_counts_of_the_readme(
    whole: tuple[Lake, ImportReport],
) -> None:
    report = whole[1]
    promised = {m[1]: int(m[2]) for m in ROW.finditer((require_data() / "README.md").read_text())}
    assert len(promised) == 69
    assert report.read == promised
    assert report.refused == ()
    assert dict(report.skipped) == {"README.md": "it lies outside the kinds' folders"}


def test_every_row_read_is_stored_or_counted_as_dropped(
    whole: tuple[Lake, ImportReport],
) -> None:
    lake, report = whole
    stored = {each[:4]: each.rows for each in lake.status()}
    for each in report.imported:
        assert stored[tuple(each.series)] == each.rows == each.written, each.file
        dropped = sum(n for what, n in each.dropped.items() if what not in NOT_ROWS)
        if each.series.kind != "depth":  # many messages make one row of depth
            assert each.rows + dropped == each.read, each.file


def test_nothing_is_known_before_it_happened(whole: tuple[Lake, ImportReport]) -> None:
    lake = whole[0]
    for name in lake.series():
        rows = lake.read(*name)
        assert rows.filter(pl.col("available_at") < pl.col("event_time")).is_empty(), name


def test_the_captures_go_in_once(whole: tuple[Lake, ImportReport], tmp_path: Path) -> None:
    report = whole[1]
    captures = [each for each in report.imported if each.file.startswith("microstructure/")]
    said = [(*each.series, each.read, each.rows) for each in captures]
    assert said == [
        ("trades", "binance_spot", "BTC/USDT", "event", 9_757, 9_757),
        ("depth", "binance_spot", "BTC/USDT", "1s", 31_492, 346),
        ("trades", "binance_spot", "ETH/USDT", "event", 6_106, 6_106),
        ("depth", "binance_spot", "ETH/USDT", "1s", 27_512, 346),
        ("trades", "binance_perp", "BTC/USDT", "event", 21_313, 21_313),
        ("depth", "binance_perp", "BTC/USDT", "1s", 72_641, 345),
        ("depth", "bybit", "XRP/USDT", "1s", 50, 5),
        ("trades", "kraken", "BTC/USDT", "event", 26_921, 26_921),
    ]
    (tmp_path / "microstructure").symlink_to(require_data() / "microstructure")
    assert import_recorded(tmp_path, whole[0], FETCHED).written == 0
