"""The recorded data, imported whole: its known figures, and its known trap."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tests.conftest import FETCHED
from tests.recorded import require_data
from workbench.data.lake import Lake
from workbench.data.recorded import ImportReport, import_recorded
from workbench.data.snapshot import World, load_world

ROW = re.compile(r"\| `([^`]+)` \| (\d+) \| ([\d: -]+) \| ([\d: -]+) \| ([^|]*)\|")
GAPS = re.compile(r"gaps (\d+)(?: \(missing candles (\d+)\))?")
SUIT = "Bitcoin drops below $26,000 after SEC sues crypto exchange Binance"


def promised() -> dict[str, tuple[int, str, str, str]]:
    """file -> rows, first, last, checks, as the data's own README has them."""
    text = (require_data() / "README.md").read_text()
    return {
        match[1]: (int(match[2]), match[3].strip(), match[4].strip(), match[5])
        for match in ROW.finditer(text)
    }


def test_every_file_is_imported(
    recorded_import: tuple[Lake, ImportReport],
) -> None:
    report = recorded_import[1]
    assert report.refused == ()
    assert report.skipped == ()
    assert report.rows == report.written > 500_000


def test_rows_and_gaps_are_those_of_the_readme(
    recorded_import: tuple[Lake, ImportReport],
) -> None:
    lake, report = recorded_import
    figures = promised()
    status = {each[:4]: each for each in lake.status()}
    for file in report.imported:
        if file.series.kind in ("trades", "depth"):
            continue  # the readme counts a capture's messages: test_recorded_files
        rows, first, last, checks = figures[file.file]
        stored = status[tuple(file.series)]
        left_out = sum(n for what, n in file.dropped.items() if what != "empty columns")
        assert stored.rows + left_out == rows, file.file
        assert stored.duplicates == 0, file.file
        if not left_out:
            assert f"{stored.first:%Y-%m-%d %H:%M}".startswith(first), file.file
            assert f"{stored.last:%Y-%m-%d %H:%M}".startswith(last), file.file
        gaps = GAPS.match(checks)
        if gaps is not None:
            assert stored.gaps == int(gaps[1]), file.file
            assert gaps[2] is None or stored.missing == int(gaps[2]), file.file


def test_importing_again_writes_nothing(recorded_folder: Path, tmp_path: Path) -> None:
    folder, lake = tmp_path / "some", Lake(tmp_path / "lake")
    for part in ("news", "onchain", "prediction", "sentiment"):
        (folder / part).mkdir(parents=True)
        for file in (recorded_folder / part).iterdir():
            (folder / part / file.name).symlink_to(file)
    assert import_recorded(folder, lake, FETCHED).written > 50_000
    assert import_recorded(folder, lake, datetime(2026, 1, 1, tzinfo=UTC)).written == 0


def test_the_answers_of_the_prediction_markets_are_nowhere(recorded_lake: Lake) -> None:
    rows = recorded_lake.read("prediction", "polymarket", "FOMC", "event")
    assert "resolved" not in rows.columns
    assert rows.height == 27_521


@pytest.fixture(scope="module")
def june(recorded_lake: Lake) -> World:
    return load_world(
        recorded_lake,
        "binance_spot",
        ["BTC/USDT", "ETH/USDT"],
        start="2023-06-01",
        end="2023-06-09",
    )


def test_a_suit_stamped_before_it_happened_is_not_known_before_it_could_be(
    june: World, recorded_lake: Lake, tmp_path: Path
) -> None:
    stamped = pd.Timestamp("2023-06-05 07:00", tz="UTC")
    known = stamped + pd.Timedelta(1, unit="D")
    news = recorded_lake.read("news", "cryptotrade_news_2023", "ALL", "event")
    suit = news.filter((pl.col("title") == SUIT) & (pl.col("asset") == "BTC"))
    assert suit["event_time"].to_list() == [stamped]
    assert suit["available_at"].to_list() == [known]
    for t, close in enumerate(june.panel.close_times):
        shown = [h for h in june.snapshot(t, 1).headlines if h.title == SUIT]
        assert not (shown and close < known)
    without = without_headline(recorded_lake, suit["id"][0], tmp_path)
    mood = june.panel.context["sentiment"]["BTC/USDT"].to_numpy()
    other = without.panel.context["sentiment"]["BTC/USDT"].to_numpy()
    before = np.asarray(june.panel.close_times < known)
    np.testing.assert_array_equal(mood[before], other[before])
    first = int(np.flatnonzero(~before)[0])
    assert june.panel.close_times[first] == known
    assert mood[first] < other[first] - 0.5


def without_headline(lake: Lake, name: str, root: Path) -> World:
    """The same world in which one headline was never written."""
    copy = Lake(root / "without")
    for series in lake.series():
        if series.kind == "news" or (series.venue, series.symbol) == ("binance_spot", "BTC/USDT"):
            rows = lake.read(*series)
            copy.upsert(
                *series, rows.filter(pl.col("id") != name) if "id" in rows.columns else rows
            )
    return load_world(copy, "binance_spot", ["BTC/USDT"], start="2023-06-01", end="2023-06-09")


def test_the_year_2023_has_all_its_context(recorded_lake: Lake) -> None:
    world = load_world(recorded_lake, "binance_spot", (), start="2023-01-01", end="2024-01-31")
    panel = world.panel
    assert len(panel) == 396 * 24
    assert len(panel.symbols) == 8
    assert panel.source == "binance_spot 1h, recorded"
    assert not panel.synthetic
    assert int(panel.close["BTC/USDT"].isna().sum()) == 1  # 2023-03-24 13:00, maintenance
    assert set(panel.context) == {
        "funding", "funding_apr", "funding_apr_3", "netflow", "mvrv", "sentiment", "fear_greed",
        "dxy", "vix", "fed_funds",
        "fed_expected_bps", "fed_meeting_hours",
    }  # fmt: skip
    flows = panel.context["netflow"]
    assert flows["BTC/USDT"].notna().all()
    assert flows.drop(columns="BTC/USDT").isna().all(axis=None)
    assert panel.context["funding"][["BTC/USDT", "ETH/USDT"]].notna().all(axis=None)
    assert panel.context["fed_funds"].between(4.3, 5.4).all()
    expected = panel.context["fed_expected_bps"]
    assert expected.dropna().between(-10, 55).all()
    assert expected[:"2023-01-31"].median() > 20  # a hike of 25 bp was expected, and came
    assert not np.isinf(world.ages.to_numpy()).any()
