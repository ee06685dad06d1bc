"""How fast the lake is: ratios to plain pandas and pyarrow that end with the same rows.

    .venv/bin/python -m benchmarks.lake_speed [--json] [--symbols N] [--years N]

    read     one symbol's month of one-minute candles, from the lake, as a table
    upsert   1,000 candles into a month that is full; the file is on the disk (fsync) at the end
    write    so many symbols' years of one-minute candles into an empty lake, month by month
    resample the same candles into hours, whole bars only

The other side reads and writes the same files, a month each: pyarrow reads into pandas; a month is
concatenated, deduplicated by its key, sorted and written again; hours are pandas' resample. Both
end with the same rows, which is asserted. Read and upsert are the minimum of several turns; write
and resample are done once each, in a process of their own, whose peak memory is told.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.data.lake import INSTANT, Lake
from workbench.data.resample import resampled

START = datetime(2021, 1, 1, tzinfo=UTC)
FETCHED = datetime(2025, 1, 1, tzinfo=UTC)
MONTH = datetime(2023, 5, 1, tzinfo=UTC)
AIMS_S = {"read": 0.050, "upsert": 0.060, "write": 60.0, "resample": 3.0}
BARS = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}


def candles(symbol: int, years: int, start: datetime = START) -> pl.DataFrame:
    """A random walk by the minute."""
    count = (datetime(start.year + years, 1, 1, tzinfo=UTC) - start) // timedelta(minutes=1)
    rng = np.random.default_rng(symbol)
    close = np.round(100.0 * np.exp(np.cumsum(1e-4 * rng.standard_normal(count))), 2)
    opened = np.concatenate([[100.0], close[:-1]])
    opens = pl.datetime_range(
        start, start + timedelta(minutes=count - 1), "1m", time_unit="us", time_zone="UTC",
        eager=True,
    )  # fmt: skip
    return pl.DataFrame(
        {
            "event_time": opens, "open": opened, "high": np.maximum(opened, close) + 0.05,
            "low": np.minimum(opened, close) - 0.05, "close": close,
            "volume": np.round(rng.lognormal(1.0, 1.0, count), 3),
        }
    ).with_columns(
        available_at=(pl.col("event_time") + timedelta(minutes=1)).cast(INSTANT),
        fetched_at=pl.lit(FETCHED).cast(INSTANT),
    )  # fmt: skip


def name(symbol: int) -> tuple[str, str, str, str]:
    return ("ohlcv", "made_up", f"S{symbol}/USDT", "1m")


# --- the other side -----------------------------------------------------------------------------


def plain_file(root: Path, symbol: int, month: str) -> Path:
    return root / f"S{symbol}" / f"{month}.parquet"


def plain_write(file: Path, rows: pd.DataFrame) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), stream, compression="zstd")
        stream.flush()
        os.fsync(stream.fileno())


def plain_read(file: Path) -> pd.DataFrame:
    return pq.read_table(file).to_pandas()


def plain_upsert(file: Path, rows: pd.DataFrame) -> None:
    both = pd.concat([plain_read(file), rows]) if file.exists() else rows
    merged = both.sort_values("fetched_at", kind="stable").drop_duplicates(
        "event_time", keep="last"
    )
    plain_write(file, merged.sort_values("event_time", kind="stable").reset_index(drop=True))


def plain_write_all(root: Path, symbol: int, rows: pd.DataFrame) -> None:
    months = rows["event_time"].dt.strftime("%Y-%m")
    for month, part in rows.groupby(months):
        plain_upsert(plain_file(root, symbol, str(month)), part)


def plain_hours(root: Path, symbol: int) -> pd.DataFrame:
    parts = [plain_read(file) for file in sorted((root / f"S{symbol}").iterdir())]
    rows = pd.concat(parts).set_index("event_time")
    return rows.resample("1h").agg(BARS)


# --- small things, many times -------------------------------------------------------------------


def best_s(work: Callable[[], object], turns: int, before: Callable[[], object] = bool) -> float:
    took = []
    for _ in range(turns + 1):  # the first warms the caches
        before()
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return min(took[1:])


def small(folder: Path) -> dict[str, Any]:
    lake, plain = Lake(folder / "lake"), folder / "plain"
    year = candles(0, 1, datetime(MONTH.year, 1, 1, tzinfo=UTC))
    lake.upsert(*name(0), year)
    plain_write_all(plain, 0, year.to_pandas())
    end = MONTH.replace(month=6) - timedelta(microseconds=1)
    file, ours = plain_file(plain, 0, f"{MONTH:%Y-%m}"), next(lake.root.rglob("2023-05.parquet"))
    full, full_plain = ours.read_bytes(), file.read_bytes()
    told = lake.read(*name(0), start=MONTH, end=end)
    assert told.height == 44_640
    assert told.equals(pl.from_pandas(plain_read(file)).select(told.columns).cast(told.schema))
    new = told[20_000:21_000].with_columns(
        close=pl.col("close") + 1, fetched_at=pl.col("fetched_at") + timedelta(days=1)
    )
    new_plain = new.to_pandas()
    reads = {
        "lake": best_s(lambda: lake.read(*name(0), start=MONTH, end=end), 15),
        "pandas": best_s(lambda: plain_read(file), 15),
    }
    upserts = {
        "lake": best_s(lambda: lake.upsert(*name(0), new), 9, lambda: ours.write_bytes(full)),
        "pandas": best_s(
            lambda: plain_upsert(file, new_plain), 9, lambda: file.write_bytes(full_plain)
        ),
    }
    told = lake.read(*name(0), start=MONTH, end=end)
    assert told.equals(pl.from_pandas(plain_read(file)).select(told.columns).cast(told.schema))
    return {"read": reads, "upsert": upserts}


# --- all of it, once ----------------------------------------------------------------------------


def write_ours(folder: Path, symbols: int, years: int) -> float:
    lake, took = Lake(folder / "lake"), 0.0
    for symbol in range(symbols):
        rows = candles(symbol, years)
        begun = time.perf_counter()
        lake.upsert(*name(symbol), rows)
        took += time.perf_counter() - begun
    return took


def write_plain(folder: Path, symbols: int, years: int) -> float:
    took = 0.0
    for symbol in range(symbols):
        rows = candles(symbol, years).to_pandas()
        begun = time.perf_counter()
        plain_write_all(folder / "plain", symbol, rows)
        took += time.perf_counter() - begun
    return took


def resample_ours(folder: Path, symbols: int, _years: int) -> float:
    lake, begun = Lake(folder / "lake"), time.perf_counter()
    hours = [resampled(lake.read(*name(symbol)), "1m", "1h") for symbol in range(symbols)]
    assert len(hours) == symbols
    return time.perf_counter() - begun


def resample_plain(folder: Path, symbols: int, _years: int) -> float:
    begun = time.perf_counter()
    for symbol in range(symbols):
        plain_hours(folder / "plain", symbol)
    return time.perf_counter() - begun


def check_hours(folder: Path) -> None:
    ours = resampled(Lake(folder / "lake").read(*name(0)), "1m", "1h")
    theirs = plain_hours(folder / "plain", 0)
    assert ours["event_time"].to_list() == theirs.index.to_list()
    for column in BARS:
        assert np.allclose(ours[column].to_numpy(), theirs[column].to_numpy(), rtol=1e-12)


def in_a_child(work: Callable[..., float], *given: Any) -> tuple[float, float]:
    """Seconds that it says it took, and the peak memory of its process in MB."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, given))


def _measured(work: Callable[..., float], given: tuple[Any, ...]) -> tuple[float, float]:
    took = work(*given)
    # the kernel's own mark of this process; ru_maxrss would count what its parent had
    peak_kb = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return took, int(peak_kb[1]) / 1024 if peak_kb else math.nan


def large(folder: Path, symbols: int, years: int) -> dict[str, Any]:
    sides = {
        "write": {"lake": write_ours, "pandas": write_plain},
        "resample": {"lake": resample_ours, "pandas": resample_plain},
    }
    out: dict[str, Any] = {}
    for row, works in sides.items():
        for side, work in works.items():
            took, peak_mb = in_a_child(work, folder, symbols, years)
            out.setdefault(row, {})[side] = took
            out.setdefault("peak_mb", {})[f"{row} {side}"] = round(peak_mb)
    check_hours(folder)
    out["rows"] = sum(candles(0, years).height for _ in range(symbols))
    out["size_mb"] = {
        side: round(sum(f.stat().st_size for f in (folder / side).rglob("*.parquet")) / 1e6)
        for side in ("lake", "plain")
    }
    return out


def report(symbols: int, years: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as first:
        out = small(Path(first))
    with tempfile.TemporaryDirectory() as second:
        out |= large(Path(second), symbols, years)
    return out | {"cpus": os.cpu_count(), "load_average": os.getloadavg()}


def show(out: dict[str, Any]) -> None:
    print(f"{'':<10} {'lake':>9} {'pandas':>9} {'ratio':>7} {'aim':>9}")
    for row, aim in AIMS_S.items():
        ours, theirs = out[row]["lake"], out[row]["pandas"]
        print(f"{row:<10} {ours:>8.3f}s {theirs:>8.3f}s {theirs / ours:>6.1f}x {aim:>8.3f}s")
    print(f"{out['rows']:,} candles in write and resample; MB on disk: {out['size_mb']}")
    print(f"peak MB of a process, its candles included: {out['peak_mb']}")
    print(f"{out['cpus']} cores, load average {out['load_average'][0]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--symbols", type=int, default=8)
    parser.add_argument("--years", type=int, default=4)
    chosen = parser.parse_args()
    out = report(chosen.symbols, chosen.years)
    print(json.dumps(out, indent=1)) if chosen.json else show(out)


if __name__ == "__main__":
    main()
