"""The data commands as a user meets them: status, defects, retention, and a pull from loopback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.command import workbench
from tests.conftest import FETCHED
from tests.data.feeds import provider_binance, provider_coinmetrics
from tests.data.feeds.loopback import Loopback, Reply, Request, reply
from tests.recorded import require_data
from workbench.data.lake import Lake, SeriesName
from workbench.data.recorded import import_recorded

BTC = SeriesName("onchain", "coinmetrics", "BTC", "1d")
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAYS = [TODAY - timedelta(days=100 - n) for n in range(80)]  # what the provider has


@pytest.fixture(autouse=True)
def _own_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lake is the one of the folder's desk.toml, and no key is set."""
    for variable in os.environ:
        if variable.startswith("WORKBENCH_DATA__") or variable.endswith(("_API_KEY", "_TOKEN")):
            monkeypatch.delenv(variable)


def answered(folder: Path, *words: str, code: int = 0, **variables: str) -> dict:
    """The last JSON object that a data command prints with --json."""
    done = workbench(folder, "data", *words, "--json", **variables)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# --- status of the recorded data ----------------------------------------------------------------


@pytest.fixture(scope="module")
def perps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded quarters of the perpetuals in a lake; the folder that has it."""
    folder = tmp_path_factory.mktemp("perps")
    source = folder / "in/ohlcv/binance_perp"
    source.mkdir(parents=True)
    (source / "15m").symlink_to(require_data() / "ohlcv/binance_perp/15m")
    import_recorded(folder / "in", Lake(folder / "var/lake"), FETCHED)
    return folder


@pytest.fixture
def recorded(recorded_lake: Lake, tmp_path: Path) -> Path:
    """A folder whose desk.toml leads to the recorded data."""
    (tmp_path / "desk.toml").write_text(f'[data]\nlake = "{recorded_lake.root}"\n')
    return tmp_path


def test_status_finds_the_known_holes_of_the_recorded_candles(recorded: Path) -> None:
    series = {
        (each["venue"], each["symbol"], each["timeframe"]): each
        for each in answered(recorded, "status")["series"]
        if each["kind"] == "ohlcv"
    }
    gaps = {name: (each["gaps"], each["missing"]) for name, each in series.items()}
    spot = {name[1]: found for name, found in gaps.items() if name[0] == "binance_spot"}
    later = {"SOL/USDT", "AVAX/USDT"}
    assert len(spot) == 8
    assert {symbol: found for symbol, found in spot.items() if symbol not in later} == (
        dict.fromkeys(spot.keys() - later, (15, 32))
    )
    assert {spot[symbol] for symbol in later} == {(10, 20)}
    assert gaps["kraken", "ETH/USDT", "15m"] == (863, 1026)
    assert gaps["kraken", "BTC/USDT", "15m"] == (23, 61)
    assert gaps["kraken", "BTC/USDT", "1h"] == (3, 8)
    btc = series["binance_spot", "BTC/USDT", "1h"]
    assert (btc["flats"], btc["duplicates"]) == (2, 0)
    assert (btc["asked"], btc["unasked"]) == (0.0, 32)  # imported, never pulled
    assert btc["late"] is True
    assert btc["allowed_h"] == 2.0


def test_the_table_is_no_wider_than_a_hundred_columns(recorded: Path) -> None:
    done = workbench(recorded, "data", "status")
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert " binance_spot BTC/USDT 1h       48160 2020-01-01 2025-06-30" in done.stdout
    assert "15/32" in done.stdout


def test_every_defect_is_a_line_and_none_is_repaired(recorded: Path, recorded_lake: Lake) -> None:
    before = {file: file.stat().st_mtime_ns for file in recorded_lake.root.rglob("*")}
    done = workbench(recorded, "data", "status", "--defects")
    lines = done.stdout.splitlines()
    hole = "ohlcv binance_spot BTC/USDT 1h  hole   2021-08-13 02:00 2021-08-13 06:00     4  4 bars"
    assert [line for line in lines if line.startswith(hole)]
    apart = "ohlcv binance_spot BTC/USDT 1h  apart  2023-03-24 11:00 2023-03-24 12:00     1  +166"
    assert [line for line in lines if line.startswith(apart)]
    told = answered(recorded, "status", "--defects")
    assert lines[-1] == (
        f"{len(told['defects']) + len(told['disagreements'])} defects; none was repaired"
    )
    holes = [each for each in told["defects"] if each["what"] == "hole"]
    kraken = [each for each in holes if each["series"] == "ohlcv kraken ETH/USDT 15m"]
    assert (len(kraken), sum(each["bars"] for each in kraken)) == (863, 1026)
    assert {each["symbol"] for each in told["disagreements"]} == {"BTC/USDT", "ETH/USDT"}
    assert {file: file.stat().st_mtime_ns for file in recorded_lake.root.rglob("*")} == before


def test_the_filler_hour_of_the_perps_is_found(perps: Path) -> None:
    series = answered(perps, "status")["series"]
    assert [(each["symbol"], each["gaps"], each["flats"]) for each in series] == [
        ("BTC/USDT", 0, 1), ("ETH/USDT", 0, 1), ("SOL/USDT", 0, 1),
    ]  # fmt: skip
    flat = [each for each in answered(perps, "status", "--defects")["defects"]
            if each["what"] == "flat"]  # fmt: skip
    assert [(each["start"], each["end"], each["bars"]) for each in flat] == [
        ("2024-10-28 20:00:00+00:00", "2024-10-28 21:00:00+00:00", 4)
    ] * 3


def test_an_empty_lake_says_how_to_fill_it(tmp_path: Path) -> None:
    done = workbench(tmp_path, "data", "status", "--defects")
    assert (done.returncode, done.stdout) == (
        0, "the lake var/lake is empty; fill it with `workbench data import DIR`\n",
    )  # fmt: skip


# --- a pull, from a provider on this machine ----------------------------------------------------


def answer(request: Request) -> Reply:
    """Coin Metrics of the last months."""
    asked = request.query
    first, last = (
        datetime.fromisoformat(asked[bound] + "+00:00") for bound in ("start_time", "end_time")
    )
    return reply({"data": [provider_coinmetrics.row(day) for day in DAYS if first <= day < last]})


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(answer) as started:
        yield started


@pytest.fixture
def desk(server: Loopback, tmp_path: Path) -> Path:
    """A folder whose feeds are on this machine."""
    (tmp_path / "desk.toml").write_text(
        "[data]\nkeep_days = {onchain = 45}\n"
        f'[feeds.coinmetrics]\nassets = ["BTC"]\nbase_url = "{server.url}/v4"\n'
        f'[feeds.glassnode]\nassets = ["BTC"]\nbase_url = "{server.url}"\n'
        f'[feeds.candles]\nsymbols = ["BTCC/USDT"]\nbase_url = "{server.url}"\n'
    )
    return tmp_path


FIRST = ("--start", f"{DAYS[0]:%Y-%m-%d}")


def test_a_pull_says_its_plan_stores_the_rows_and_has_nothing_more_to_ask(
    desk: Path, server: Loopback
) -> None:
    planned = workbench(desk, "data", "pull", "coinmetrics", *FIRST, "--plan")
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.splitlines()[1].split()[:3] == ["coinmetrics", "1", "1"]
    assert server.seen == []
    assert not (desk / "var/lake").exists()
    steps = answered(desk, "pull", "coinmetrics", *FIRST, "--plan")["steps"]
    assert [(each["feed"], each["series"], each["requests"]) for each in steps] == [
        ("coinmetrics", str(BTC), 1)
    ]
    assert steps[0]["start"] == DAYS[0].isoformat()
    done = answered(desk, "pull", "coinmetrics", *FIRST)
    assert [(each["series"], each["written"], each["fault"]) for each in done["series"]] == [
        (str(BTC), 80, "")
    ]
    lake = Lake(desk / "var/lake")
    assert lake.read(*BTC)["event_time"].to_list() == DAYS
    again = answered(desk, "pull", "coinmetrics", *FIRST)
    assert [each["written"] for each in again["series"]] == [0]
    (status,) = answered(desk, "status")["series"]
    assert (status["rows"], status["asked"], status["gaps"]) == (80, 1.0, 0)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["coinmetric"], 2, "no feed is called coinmetric; the nearest is coinmetrics"),
        (["--symbol", "BTCC"], 2, "none of these feeds is asked for BTCC; the nearest is BTC"),
        (["coinmetrics", "--start", "yesterday"], 2, "--start 'yesterday' is not a day"),
        (["coinmetrics", "--start", "2024-02-30"], 2, "is not a day; write it as 2024-01-31"),
        (["coinmetrics", "--start", "2199-01-01"], 2, "is not in the past"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_is_asked(
    desk: Path, server: Loopback, words: list[str], code: int, says: str
) -> None:
    done = workbench(desk, "data", "pull", *words)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert server.seen == []


def test_a_feed_without_its_key_is_skipped_by_name(desk: Path) -> None:
    done = workbench(desk, "data", "pull", "glassnode", "coinmetrics", *FIRST)
    assert done.returncode == 0, done.stderr
    assert "glassnode        skipped: GLASSNODE_API_KEY is not set" in done.stdout
    assert Lake(desk / "var/lake").series() == [BTC]


def test_a_wrong_key_is_one_sentence_and_the_other_feeds_go_on(
    desk: Path, server: Loopback
) -> None:
    def refusing(request: Request) -> Reply:
        keyed = request.path.startswith("/v1/metrics")
        return Reply(401, b"Unauthorized", "text/plain") if keyed else answer(request)

    server.answer = refusing
    key = "wrong-key-000111222"
    done = workbench(
        desk, "data", "pull", "glassnode", "coinmetrics", *FIRST, GLASSNODE_API_KEY=key
    )
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if "FAILED" in line]
    assert len(failed) == 1
    assert "refuses the key in GLASSNODE_API_KEY (401)" in failed[0]
    assert key not in done.stdout + done.stderr
    assert Lake(desk / "var/lake").read(*BTC).height == 80


def test_a_symbol_that_the_exchange_does_not_have_gets_the_nearest(
    desk: Path, server: Loopback
) -> None:
    def exchange(request: Request) -> Reply:
        if request.path.endswith("/time"):
            return reply({"serverTime": int(time.time() * 1000)})
        return provider_binance.answer(request)

    server.answer = exchange
    done = workbench(desk, "data", "pull", "candles", "--start", f"{TODAY:%Y-%m-%d}")
    assert done.returncode == 1
    assert "BTCC/USDT" in done.stdout
    assert "the nearest is BTC/USDT" in done.stdout
    assert "Traceback" not in done.stderr


def test_of_two_pulls_at_once_the_second_is_refused_at_once_naming_the_first(
    desk: Path, server: Loopback
) -> None:
    released = threading.Event()
    server.answer = lambda request: (released.wait(25), answer(request))[1]
    first = subprocess.Popen(
        [sys.executable, "-m", "workbench", "data", "pull", "coinmetrics", *FIRST],
        cwd=desk, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        ends = time.monotonic() + 60
        while not server.seen and time.monotonic() < ends:
            time.sleep(0.05)
        refused = [
            workbench(desk, "data", *words)
            for words in (["pull", "coinmetrics", *FIRST], ["prune", "--yes"])
        ]
        assert first.poll() is None
        released.set()
        said, error = first.communicate(timeout=60)
    finally:
        first.kill()
    for second in refused:
        assert second.returncode == 1
        assert re.search(
            rf"is being run by `data pull` of \S+.*, process {first.pid}; stop that one first",
            second.stderr,
        )
        assert "Traceback" not in second.stderr
    assert first.returncode == 0, error
    assert "80 rows" in said
    assert len(server.seen) == 1


# --- retention ----------------------------------------------------------------------------------


def test_prune_shows_first_removes_with_yes_and_no_pull_fetches_it_again(
    desk: Path, server: Loopback
) -> None:
    answered(desk, "pull", "coinmetrics", *FIRST)
    lake = Lake(desk / "var/lake")
    keep = TODAY - timedelta(days=45)
    old = sorted({f"{day:%Y-%m}" for day in DAYS} & {f"{day:%Y-%m}" for day in past(keep)})
    shown = answered(desk, "prune")
    assert shown["removed"] is False
    assert [month["month"] for month in shown["series"][0]["months"]] == old != []
    assert lake.read(*BTC).height == 80
    text = workbench(desk, "data", "prune").stdout
    assert f"onchain coinmetrics BTC 1d               {old[0]} .. {old[-1]}" in text
    assert text.splitlines()[-1].endswith("would go; nothing is removed without --yes")
    assert answered(desk, "prune", "--yes")["series"] == shown["series"]
    left = lake.read(*BTC)["event_time"]
    assert left.to_list() == [day for day in DAYS if f"{day:%Y-%m}" > old[-1]]
    assert answered(desk, "prune", "--yes")["series"] == []
    steps = answered(desk, "pull", "coinmetrics", *FIRST, "--plan")["steps"]
    assert [each["start"] for each in steps if each["start"][:7] <= old[-1]] == []


def past(keep: datetime) -> list[datetime]:
    """Days of the months that ended by `keep`."""
    return [day for day in DAYS if f"{day:%Y-%m}" < f"{keep:%Y-%m}"]


def test_without_keep_days_nothing_is_ever_removed(recorded: Path, recorded_lake: Lake) -> None:
    count = len(list(recorded_lake.root.rglob("*.parquet")))
    done = workbench(recorded, "data", "prune", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("everything is kept")
    assert len(list(recorded_lake.root.rglob("*.parquet"))) == count


def test_a_kind_that_there_is_not_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text("[data]\nkeep_days = {trade = 30}\n")
    done = workbench(tmp_path, "data", "prune", "--yes")
    assert done.returncode == 2
    assert "there is no kind trade; the nearest is trades" in done.stderr
