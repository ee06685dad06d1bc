"""The lake: what goes in comes out, once, and a broken file is never mistaken for data."""

from __future__ import annotations

import io
import random
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.recorded import ROOT
from workbench.data.coverage import missing
from workbench.data.lake import Lake, SeriesName
from workbench.domain import DataError, UsageError

CANDLES = ("ohlcv", "binance_spot", "BTC/USDT", "1h")


def stamped(
    opens: list[datetime], values: list[float], fetched: datetime = datetime(2024, 6, 1, tzinfo=UTC)
) -> pl.DataFrame:
    frame = pl.DataFrame({"event_time": opens, "close": values})
    return frame.with_columns(
        available_at=pl.col("event_time") + timedelta(hours=1),
        fetched_at=pl.lit(fetched).cast(pl.Datetime("us", "UTC")),
    )


def hours(count: int, start: datetime = datetime(2024, 1, 30, tzinfo=UTC)) -> list[datetime]:
    return [start + timedelta(hours=n) for n in range(count)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def files(lake: Lake) -> dict[str, bytes]:
    return {
        p.relative_to(lake.root).as_posix(): p.read_bytes()
        for p in lake.root.rglob("*")
        if p.is_file()
    }


def test_rows_lie_in_a_file_a_month_under_folder_safe_names(lake: Lake) -> None:
    assert lake.upsert(*CANDLES, stamped(hours(72), [1.0] * 72)) == 72
    folder = "kind=ohlcv/venue=binance_spot/symbol=BTC-USDT/timeframe=1h"
    assert sorted(files(lake)) == [f"{folder}/2024-01.parquet", f"{folder}/2024-02.parquet"]
    assert lake.series() == [CANDLES]
    assert lake.read(*CANDLES)["event_time"].to_list() == hours(72)


def test_the_same_rows_again_write_nothing(lake: Lake) -> None:
    rows = stamped(hours(72), [float(n) for n in range(72)])
    lake.upsert(*CANDLES, rows)
    before = files(lake)
    later = rows.with_columns(fetched_at=pl.col("fetched_at") + timedelta(days=9))
    assert lake.upsert(*CANDLES, rows) == 0
    assert lake.upsert(*CANDLES, later) == 0
    assert files(lake) == before


def test_of_one_key_the_later_fetch_wins_in_either_order(lake: Lake) -> None:
    early, late = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC)
    other = ("ohlcv", "kraken", "BTC/USDT", "1h")
    lake.upsert(*CANDLES, stamped(hours(3), [1.0, 2.0, 3.0], early))
    assert lake.upsert(*CANDLES, stamped(hours(2), [1.0, 9.0], late)) == 1
    assert lake.read(*CANDLES)["close"].to_list() == [1.0, 9.0, 3.0]
    lake.upsert(*other, stamped(hours(2), [1.0, 9.0], late))
    assert lake.upsert(*other, stamped(hours(3), [1.0, 2.0, 3.0], early)) == 1
    assert lake.read(*other)["close"].to_list() == [1.0, 9.0, 3.0]


def test_a_range_opens_only_its_months(lake: Lake) -> None:
    lake.upsert(*CANDLES, stamped(hours(72), [1.0] * 72))
    january = next(lake.root.rglob("2024-01.parquet"))
    january.write_bytes(b"not parquet")
    start = datetime(2024, 2, 1, tzinfo=UTC)
    assert lake.read(*CANDLES, start=start).height == 24
    assert lake.read(*CANDLES, start=start, end=start)["event_time"].to_list() == [start]
    far = datetime(2030, 1, 1, tzinfo=UTC)
    assert lake.read(*CANDLES, start=far).is_empty()


@pytest.mark.parametrize("keep", [0, 4, 200])
def test_a_half_written_file_is_named_and_never_overwritten(lake: Lake, keep: int) -> None:
    rows = stamped(hours(24), [1.0] * 24)
    lake.upsert(*CANDLES, rows)
    file = next(lake.root.rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:keep])
    for act in (lambda: lake.read(*CANDLES), lake.status, lambda: lake.upsert(*CANDLES, rows)):
        with pytest.raises(
            DataError, match=r"2024-01\.parquet cannot be read .*delete it and covered\.json"
        ):
            act()
    assert file.stat().st_size == keep


def test_a_crash_before_the_rename_leaves_the_old_month(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.upsert(*CANDLES, stamped(hours(3), [1.0, 2.0, 3.0]))

    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            lake.upsert(*CANDLES, stamped(hours(3), [7.0, 8.0, 9.0]))
    assert lake.read(*CANDLES)["close"].to_list() == [1.0, 2.0, 3.0]
    assert [s.rows for s in lake.status()] == [3]
    lake.upsert(*CANDLES, stamped(hours(3), [7.0, 8.0, 9.0]))
    assert lake.read(*CANDLES)["close"].to_list() == [7.0, 8.0, 9.0]


def test_part_files_left_behind_are_no_data(lake: Lake) -> None:
    folder = lake.root / "kind=ohlcv/venue=kraken/symbol=ETH-USDT/timeframe=1h"
    folder.mkdir(parents=True)
    (folder / "2024-01.parquet.part").write_bytes(b"PAR1 and then the lights went out")
    lake.upsert(*CANDLES, stamped(hours(3), [1.0, 2.0, 3.0]))
    assert lake.series() == [CANDLES]
    with pytest.raises(DataError, match="there is no ohlcv kraken ETH/USDT 1h"):
        lake.read("ohlcv", "kraken", "ETH/USDT", "1h")


def test_a_missing_series_is_answered_with_the_nearest(lake: Lake) -> None:
    with pytest.raises(DataError, match="which is empty; import recorded data"):
        lake.read(*CANDLES)
    lake.upsert(*CANDLES, stamped(hours(3), [1.0, 2.0, 3.0]))
    with pytest.raises(DataError, match=r"no ohlcv binance_spot BTC/USD 1h .*BTC/USDT 1h"):
        lake.read("ohlcv", "binance_spot", "BTC/USD", "1h")


def test_status_counts_holes_missing_rows_and_repeats(lake: Lake) -> None:
    opens = [h for n, h in enumerate(hours(48)) if n not in {5, 6, 30}]
    lake.upsert(*CANDLES, stamped(opens, [1.0] * len(opens)))
    lake.upsert("macro", "fred", "CPI", "1M", stamped(hours(2), [1.0, 2.0]))
    file = next(lake.root.rglob("kind=ohlcv/**/2024-01.parquet"))
    rows = pl.read_parquet(file, hive_partitioning=False)
    pl.concat([rows, rows.head(2)]).sort("event_time").write_parquet(file)
    cpi, btc = lake.status()
    assert (cpi.gaps, cpi.missing, cpi.duplicates) == (None, None, 0)
    assert (btc.rows, btc.gaps, btc.missing, btc.duplicates) == (47, 2, 3, 2)
    assert (btc.first, btc.last) == (opens[0], opens[-1])


def test_headlines_are_one_row_an_id(lake: Lake) -> None:
    rows = stamped([hours(1)[0]] * 2, [1.0, 2.0]).with_columns(id=pl.Series(["a", "b"]))
    lake.upsert("news", "wire", "ALL", "event", rows)
    lake.upsert("news", "wire", "ALL", "event", rows)
    assert lake.read("news", "wire", "ALL", "event").height == 2


def test_rows_without_their_clocks_are_refused(lake: Lake) -> None:
    rows = stamped(hours(3), [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="no column 'fetched_at'"):
        lake.upsert(*CANDLES, rows.drop("fetched_at"))
    bare = rows.with_columns(pl.col("event_time").dt.replace_time_zone(None))
    with pytest.raises(DataError, match=r"event_time is Datetime.*must be a UTC time"):
        lake.upsert(*CANDLES, bare)
    holed = rows.with_columns(available_at=pl.Series([hours(1)[0], None, None]))
    with pytest.raises(DataError, match="available_at is missing in row 2"):
        lake.upsert(
            *CANDLES, holed.with_columns(pl.col("available_at").cast(rows["event_time"].dtype))
        )
    with pytest.raises(UsageError, match="cannot name a series"):
        lake.upsert("ohlcv", "../up", "BTC/USDT", "1h", rows)
    with pytest.raises(UsageError, match="no zone"):
        lake.read(*CANDLES, start=datetime(2024, 1, 1))
    assert not lake.root.exists()


def test_only_the_columns_asked_for_are_read(lake: Lake) -> None:
    lake.upsert(*CANDLES, stamped(hours(3), [1.0, 2.0, 3.0]))
    assert lake.read(*CANDLES, columns=["event_time", "close"]).columns == ["event_time", "close"]


# --- retention --------------------------------------------------------------------------------

TRADES = SeriesName("trades", "kraken", "BTC/USDT", "event")


def three_months(lake: Lake) -> None:
    """A trade a day from the middle of January to the middle of March 2024."""
    days = [datetime(2024, 1, 15, tzinfo=UTC) + timedelta(days=n) for n in range(60)]
    rows = stamped(days, [1.0] * 60).with_columns(id=pl.Series([str(n) for n in range(60)]))
    lake.upsert(*TRADES, rows)


def test_pruning_takes_whole_months_that_are_over_and_no_row_more(lake: Lake) -> None:
    three_months(lake)
    sizes = {file.stem: file.stat().st_size for file in lake.root.rglob("*.parquet")}
    middle = datetime(2024, 3, 9, tzinfo=UTC)
    would = [("2024-01", 17, sizes["2024-01"]), ("2024-02", 29, sizes["2024-02"])]
    assert lake.ended(TRADES, middle) == would
    assert lake.read(*TRADES).height == 60
    assert lake.prune(TRADES, middle) == would
    assert lake.read(*TRADES)["event_time"][0] == datetime(2024, 3, 1, tzinfo=UTC)
    assert lake.prune(TRADES, middle) == []


def test_a_month_that_was_pruned_stays_covered(lake: Lake) -> None:
    three_months(lake)
    lake.cover(TRADES, datetime(2024, 1, 15, tzinfo=UTC), datetime(2024, 3, 15, tzinfo=UTC))
    lake.prune(TRADES, datetime(2024, 2, 29, 23, tzinfo=UTC))
    covered = lake.covered(TRADES)
    assert covered == [(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 15, tzinfo=UTC))]
    assert (
        missing(covered, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)) == []
    )


def test_a_broken_note_of_what_is_covered_is_named(lake: Lake) -> None:
    three_months(lake)
    lake.cover(TRADES, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC))
    file = next(lake.root.rglob("covered.json"))
    for broken in ("", "[[1, 2]]", "[3]", '["x"]', "{"):
        file.write_text(broken)
        with pytest.raises(
            DataError, match=r"covered\.json cannot be read .*delete it, and a pull"
        ):
            lake.covered(TRADES)


# --- a full disk ------------------------------------------------------------------------------


CHILD = """
import resource, sys
from tests.data.test_lake import CANDLES, Lake, Path, hours, pl, stamped
root, largest = sys.argv[1:]
rows = pl.read_parquet(sys.stdin.buffer)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest), resource.RLIM_INFINITY))
try:
    Lake(Path(root)).upsert(*CANDLES, rows)
except BaseException as raised:
    print(f"{type(raised).__name__}: {raised}", end="")
"""


def written_in_a_child(lake: Lake, rows: pl.DataFrame, largest_file: int) -> str:
    """Upsert in a process that may write no file larger than that; what it raised."""
    given = io.BytesIO()
    rows.write_parquet(given)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(lake.root), str(largest_file)],
        input=given.getvalue(), capture_output=True, check=True, cwd=ROOT, timeout=100,
    )  # fmt: skip
    return done.stdout.decode()


def test_a_full_disk_is_one_sentence_and_every_old_month_is_whole(lake: Lake) -> None:
    noise = random.Random(3)
    closes = [noise.random() for _ in range(24 * 30)]
    lake.upsert(*CANDLES, stamped(hours(24), closes[:24]))
    before = files(lake)
    more = stamped(hours(24 * 30), closes)  # two days of January and 28 of February
    told = written_in_a_child(lake, more, 6_000)
    assert re.fullmatch(
        r"DataError: .*2024-02\.parquet cannot be written \(File too large\); what was stored"
        r" before is whole: make room or mend the rights, then do it again",
        told,
    )
    assert files(lake).keys() == before.keys()  # no .part, no half February
    assert lake.read(*CANDLES)["close"].to_list() == closes[:48]  # January went in whole
    assert written_in_a_child(lake, more, 1_000_000) == ""
    assert lake.read(*CANDLES)["close"].to_list() == closes


def test_a_note_of_what_was_asked_that_is_no_text_is_named(tmp_path: Path) -> None:
    lake, name = Lake(tmp_path), SeriesName(*CANDLES)
    lake.cover(name, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
    (note,) = tmp_path.rglob("covered.json")
    note.write_bytes(b"\xff\xfe\x00[[")
    with pytest.raises(DataError, match=r"covered\.json cannot be read .*delete it"):
        lake.covered(name)
