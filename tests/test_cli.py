"""The command line as a user meets it: exit codes, one sentence for a mistake, JSON that parses."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pandas as pd
import pytest

from tests.recorded import ROOT, require_data
from tests.strategies import cheats
from tests.strategies.cheats import declared
from tests.trading.conftest import run
from workbench.cli.paper import status
from workbench.cli.replay import replay
from workbench.data.lake import Lake
from workbench.desk import load_desk

SPOT = {"ADA", "AVAX", "BTC", "DOGE", "ETH", "LINK", "SOL", "XRP"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with the project's notebooks in it."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "notebooks").symlink_to(ROOT / "notebooks")
    return folder


def workbench(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in `home` with the lake and journal that it would have there."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WORKBENCH_")}
    return subprocess.run(
        [sys.executable, "-m", "workbench", *words],
        capture_output=True, text=True, cwd=home, env=environment, check=False, timeout=500,
    )  # fmt: skip


def answer(home: Path, *words: str, code: int = 0) -> dict:
    """The one JSON object that a command prints with --json."""
    done = workbench(home, *words, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def demonstrated(home: Path) -> dict:
    """What `workbench demo` did in the user's folder."""
    return answer(home, "demo")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A folder into which the spot world of 2023 was imported, and what the import said."""
    folder, source = tmp_path_factory.mktemp("recorded_home"), tmp_path_factory.mktemp("recorded")
    for part in ("ohlcv/binance_spot", "funding", "onchain", "news", "macro", "sentiment",
                 "prediction", "microstructure"):  # fmt: skip
        (source / part).parent.mkdir(exist_ok=True)
        (source / part).symlink_to(require_data() / part)
    return folder, answer(folder, "data", "import", str(source))


def test_demo_ends_with_five_figures_and_a_page_of_pictures(demonstrated: dict, home: Path) -> None:
    """The page is there, says SYNTHETIC, and loads nothing from anywhere else."""
    page = Path(demonstrated["page"])
    text = page.read_text()
    assert page == home / "reports/tour/index.html"
    assert len(demonstrated["figures"]) == 5
    assert "SYNTHETIC" in text
    assert "RUBRIC (not an LLM)" in text
    assert 'src="http' not in text
    assert 'href="http' not in text
    assert text.count("Plotly.newPlot") == 6
    assert len(list((home / "reports/assets").iterdir())) == 1


def test_demo_trades_a_quarter_on_paper_as_the_replay_would(demonstrated: dict, home: Path) -> None:
    """Bar by bar into a journal of its own that verifies: same fills, same equity, a row a bar."""
    assert demonstrated["paper_equals_replay"] is True
    own = ("--journal", demonstrated["journal"])
    verified = answer(home, "journal", "verify", *own)
    assert verified["intact"] is True
    assert verified["rows"] == demonstrated["paper_bars"] + 1 == 91 * 24 + 1
    rows = answer(home, "journal", "tail", "-n", "3", "--kind", "cycle", *own)["rows"]
    assert [row["kind"] for row in rows] == ["cycle"] * 3
    assert rows[-1]["body"]["source"].startswith("SYNTHETIC")


def test_demo_ends_with_a_published_week(demonstrated: dict, home: Path) -> None:
    """Made-up weeks are published apart from the public record, and say what they are."""
    week = home / "reports/demo/2022-W52"
    assert demonstrated["week"] == str(week / "index.html")
    assert {file.name for file in week.iterdir()} == {
        "index.html", "report.json", "trades.csv", "equity.csv"
    }  # fmt: skip
    page = (week / "index.html").read_text()
    assert "SYNTHETIC" in page
    assert "http" not in page.replace("http-equiv", "")
    told = json.loads((week / "report.json").read_text())
    assert told["journal"]["row"] == demonstrated["paper_bars"] + 1


def test_a_second_demo_adds_nothing_and_changes_no_byte(demonstrated: dict, home: Path) -> None:
    """The run is complete, the week the same."""
    week = home / "reports/demo/2022-W52"
    before = {file.name: file.read_bytes() for file in week.iterdir()}
    again = answer(home, "demo")
    assert again["paper_bars"] == demonstrated["paper_bars"]
    assert {file.name: file.read_bytes() for file in week.iterdir()} == before


def test_replay_of_the_sample_world_is_kept_in_the_journal(demonstrated: dict, home: Path) -> None:
    """Figures, fates and limits of a run are a row that can be read back."""
    said = answer(home, "replay", "--start", "2023-06-01", "--end", "2023-08-31")
    assert said["source"].startswith("SYNTHETIC")
    assert said["judge"] == ["RUBRIC (not an LLM)"]
    kept = answer(home, "journal", "tail", "-n", "1", "--kind", "replay")["rows"][0]
    assert kept["seq"] == said["journal_row"]
    assert kept["body"]["figures"]["trades"] == said["figures"]["trades"]
    assert kept["body"]["silent"] == {"odds_divergence": "nothing is known of odds_probability"}
    assert kept["body"]["disabled"] == {}


BREAKS = declared(cheats.breaks)


def test_who_breaks_is_named_by_replay_and_by_status(
    sample_lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """In words and in JSON; the others go on."""
    for name in ("WORKBENCH_DATA__LAKE", "WORKBENCH_DESK__JOURNAL"):
        monkeypatch.delenv(name, raising=False)  # they would go before the file's
    points = [
        EntryPoint("breaks", "tests.test_cli:BREAKS", "workbench.strategies"),
        EntryPoint("ema_adx", "workbench.strategies.ema_adx:ema_adx", "workbench.strategies"),
        EntryPoint("rubric", "workbench.judges.rubric:rubric", "workbench.judges"),
    ]
    monkeypatch.setattr(
        "workbench.desk.entry_points", lambda group: [p for p in points if p.group == group]
    )
    config = tmp_path / "desk.toml"
    config.write_text(
        "[desk]\nstrategies = ['ema_adx', 'breaks']\njournal = 'j.db'\n"
        f"[data]\nlake = '{sample_lake.root}'\nvenue = 'sample'\nsymbols = ['BTC/USDT']\n"
    )
    replay("2023-01-02", "2023-01-10", as_json=True, config=config)
    assert "NO/SUCH" in json.loads(capsys.readouterr().out)["disabled"]["breaks"]
    replay("2023-01-02", "2023-01-10", config=config)
    assert "left out: breaks, KeyError" in capsys.readouterr().out
    desk = load_desk(config)
    run(desk, desk.world("2023-01-02", "2023-01-03"))
    status(as_json=True, config=config)
    assert list(json.loads(capsys.readouterr().out)["disabled"]) == ["breaks"]


def test_the_null_judge_lets_through_at_least_what_the_rubric_does(
    demonstrated: dict, home: Path
) -> None:
    """--judge always proceeds with every case."""
    period = ("--start", "2023-06-01", "--end", "2023-08-31")
    always = answer(home, "replay", *period, "--judge", "always")
    assert always["judge"] == ["ALWAYS (no judge)"]
    assert "judge SKIP" not in always["fates"]


def test_import_says_what_went_in_and_what_was_left_out(imported: tuple[Path, dict]) -> None:
    """Nothing is passed over in silence."""
    folder, said = imported
    assert said["refused"] == {}
    assert said["skipped"] == {}
    series = answer(folder, "data", "status")["series"]
    candles = [s for s in series if s["kind"] == "ohlcv"]
    spot = {s["symbol"]: s for s in candles if s["venue"] == "binance_spot"}
    assert {symbol.split("/")[0] for symbol in spot} == SPOT
    assert (spot["BTC/USDT"]["rows"], spot["BTC/USDT"]["gaps"]) == (48_160, 15)
    assert all(s["duplicates"] == 0 for s in series)


def test_replay_of_2023_on_the_eight_spot_assets(imported: tuple[Path, dict]) -> None:
    """The recorded world through every layer: no flag but the dates."""
    said = answer(imported[0], "replay", "--start", "2023-01-01", "--end", "2024-01-31")
    assert said["source"].startswith("binance_spot")
    assert {symbol.split("/")[0] for symbol in said["symbols"]} == SPOT
    assert said["figures"]["first bar"].startswith("2023-01-01")
    assert said["figures"]["last bar"].startswith("2024-01-31 23:00")
    assert said["figures"]["trades"] > 0
    assert sum(v for k, v in said["fates"].items()) > 1_000
    assert sorted(symbol for each in said["clusters"] for symbol in each) == said["symbols"]
    assert len(said["clusters"]) < 8  # crypto moves together


def test_a_bad_file_is_refused_by_name_and_the_rest_goes_in(tmp_path: Path) -> None:
    """Exit code 1, one sentence with file and row; the good file is in the lake."""
    candles = pd.DataFrame(
        {
            "timestamp": pd.date_range("2024-01-01", periods=5, freq="1h", tz="UTC").as_unit("ms"),
            "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.0, "volume": 1.0,
        }
    )  # fmt: skip
    folder = tmp_path / "in/ohlcv/kraken/1h"
    folder.mkdir(parents=True)
    candles.to_parquet(folder / "BTC_USDT.parquet")
    candles.assign(low=[9.0, 9.0, -3.0, 9.0, 9.0]).to_parquet(folder / "ETH_USDT.parquet")
    (folder / "SOL_USDT.parquet").write_bytes(b"PAR1half")
    said = answer(tmp_path, "data", "import", "in", code=1)
    assert set(said["refused"]) == {f"ohlcv/kraken/1h/{x}_USDT.parquet" for x in ("ETH", "SOL")}
    assert "-3" in said["refused"]["ohlcv/kraken/1h/ETH_USDT.parquet"]
    series = answer(tmp_path, "data", "status")["series"]
    assert [(s["symbol"], s["rows"]) for s in series] == [("BTC/USDT", 5)]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["replay", "--nonsense"], 2, "No such option"),
        (["journal", "nonsense"], 2, "No such command"),
        (["nonsense"], 2, "No such command"),
        (["data", "import", "nowhere"], 2, "nowhere is not a folder"),
        (["--config", "x.toml", "replay"], 2, "No such option"),
        (["replay", "--config", "x.toml"], 2, "x.toml is not there"),
        (["replay", "--judge", "rubrik"], 2, "nearest is rubric"),
        (["replay", "--venue", "binnance_spot"], 1, "no 1h candles of binnance_spot"),
        (["replay", "--venue", "sample", "--start", "2024-02-30"], 2, "is not a time"),
        (["replay", "--venue", "sample", "--start", "2031-01-01"], 2, "has no candle"),
        (["replay", "--start", "2023-02-01", "--end", "2023-01-01"], 2, "is after end"),
        (["journal", "verify", "--journal", "none.db"], 2, "none.db"),
        (["journal", "tail", "-n", "0"], 2, "-n"),
    ],
)
def test_a_mistake_gets_one_sentence_and_no_traceback(
    demonstrated: dict, home: Path, words: list[str], code: int, says: str
) -> None:
    """Exit code 2 for wrong use, 1 where the data is at fault."""
    done = workbench(home, *words)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_demo_outside_the_project_says_so_before_any_work(tmp_path: Path) -> None:
    """Nothing is made."""
    done = workbench(tmp_path, "demo")
    assert done.returncode == 2
    assert "run this in the project's folder" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback_as_well(home: Path) -> None:
    """For whoever wants to know where."""
    done = workbench(home, "--debug", "data", "import", "nowhere")
    assert "Traceback" in done.stderr
    assert done.returncode != 0


def test_a_corrupt_journal_is_one_sentence(home: Path) -> None:
    """Not a database: exit code 1, the file named, the file left as it was."""
    bad = home / "bad.db"
    bad.write_bytes(b"this is no database at all" * 100)
    done = workbench(home, "journal", "verify", "--journal", "bad.db")
    assert done.returncode == 1
    assert "bad.db" in done.stderr
    assert "Traceback" not in done.stderr
    assert bad.read_bytes() == b"this is no database at all" * 100


def test_an_edited_row_makes_verify_say_no_and_name_it(
    demonstrated: dict, home: Path, tmp_path: Path
) -> None:
    """Exit code 1 and the row's number, for whoever got past the triggers."""
    forged = tmp_path / "forged.db"
    with sqlite3.connect(home / demonstrated["journal"]) as source, sqlite3.connect(forged) as copy:
        source.backup(copy)
        for (name,) in copy.execute(
            "SELECT name FROM sqlite_master WHERE type='trigger'"
        ).fetchall():
            copy.execute(f"DROP TRIGGER {name}")
        copy.execute(
            "UPDATE journal SET body = replace(body, 'SYNTHETIC', 'AUTHENTIC') WHERE seq = 17"
        )
    source.close()
    copy.close()
    done = workbench(home, "journal", "verify", "--journal", str(forged))
    assert done.returncode == 1
    assert "row 17" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_finds_this_machine_fit(home: Path) -> None:
    """Every finding is one line; all are fine here."""
    said = answer(home, "doctor")
    assert said["fit"] is True
    assert {f["what"] for f in said["findings"]} >= {"python", "packages", "lake", "configuration"}


def test_doctor_says_no_to_an_impossible_config(tmp_path: Path) -> None:
    """Exit code 1, with the key."""
    (tmp_path / "desk.toml").write_text("[limits]\nstop = 5\n")
    said = answer(tmp_path, "doctor", code=1)
    assert any("limits.stop" in f["says"] for f in said["findings"] if not f["fine"])
