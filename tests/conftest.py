"""Lakes that many tests read: built once a session, never written to by a test."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.recorded import require_data
from workbench.data.lake import Lake
from workbench.data.recorded import ImportReport, import_recorded
from workbench.data.sample import write_sample

FETCHED = datetime(2025, 7, 1, 12, tzinfo=UTC)
# what the tests read; KuCoin and Bybit only repeat what these show, and the order books have tests
# of their own
PARTS = ("ohlcv/binance_spot", "ohlcv/binance_perp/1h", "ohlcv/kraken", "funding", "onchain",
         "news", "prediction", "macro", "sentiment")  # fmt: skip


@pytest.fixture(scope="session")
def recorded_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Links to the parts of the recorded data that the tests read."""
    source, folder = require_data(), tmp_path_factory.mktemp("recorded")
    for part in PARTS:
        for file in (source / part).rglob("*"):
            if file.is_file():
                link = folder / file.relative_to(source)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file)
    return folder


@pytest.fixture(scope="session")
def recorded_import(
    recorded_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Lake, ImportReport]:
    """Those parts in a lake, and what the import said."""
    lake = Lake(tmp_path_factory.mktemp("recorded_lake"))
    return lake, import_recorded(recorded_folder, lake, FETCHED)


@pytest.fixture(scope="session")
def recorded_lake(recorded_import: tuple[Lake, ImportReport]) -> Lake:
    """Recorded spot candles of Binance and Kraken and all context."""
    return recorded_import[0]


@pytest.fixture(scope="session")
def sample_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The sample world of the default seed."""
    lake = Lake(tmp_path_factory.mktemp("sample_lake"))
    write_sample(lake)
    return lake
