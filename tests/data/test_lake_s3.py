"""The lake in an object store, over S3's own protocol, from a server on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from tests.command import workbench
from tests.data.test_lake import CANDLES, hours, stamped
from workbench.data.lake import Lake, SeriesName, lake_at
from workbench.data.sample import SYMBOLS, VENUE
from workbench.data.snapshot import load_world
from workbench.errors import DataError

NAME = SeriesName(*CANDLES)
KEYS = {
    "AWS_ACCESS_KEY_ID": "dummy",
    "AWS_SECRET_ACCESS_KEY": "dummy",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, str]]:
    """An empty bucket; the environment that leads to it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    environment = KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.get_host_and_port()[1]}"}
    with pytest.MonkeyPatch.context() as patched:
        for variable, value in environment.items():
            patched.setenv(variable, value)
        for variable in [each for each in os.environ if each.startswith("WORKBENCH_DATA__")]:
            patched.delenv(variable)
        s3fs.S3FileSystem().mkdir("bucket")
        yield environment
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def pair(store: dict[str, str], tmp_path: Path) -> tuple[Lake, Lake]:
    """A lake in the store and one on the disk, both empty."""
    return lake_at(f"s3://bucket/{tmp_path.name}/lake"), Lake(tmp_path / "lake")


def objects(lake: Lake) -> dict[str, bytes]:
    root = str(lake.root).removeprefix("s3://")
    there = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    return {
        path.removeprefix(f"{root}/"): there.cat_file(path)
        for path in there.find(root)
    }  # fmt: skip


def files(lake: Lake) -> dict[str, bytes]:
    return {
        path.relative_to(lake.root).as_posix(): path.read_bytes()
        for path in lake.root.rglob("*")
        if path.is_file()
    }


def test_the_same_paths_and_the_same_bytes_as_on_a_disk(pair: tuple[Lake, Lake]) -> None:
    for lake in pair:
        assert lake.series() == []
        assert lake.covered(NAME) == []
        assert lake.upsert(*NAME, stamped(hours(72), [float(n) for n in range(72)])) == 72
        assert lake.upsert(*NAME, stamped(hours(72), [float(n) for n in range(72)])) == 0
        later = stamped(hours(80), [1.0] * 80, datetime(2024, 7, 1, tzinfo=UTC))
        assert lake.upsert(*NAME, later) == 79
        lake.cover(NAME, hours(1)[0], hours(81)[-1])
    remote, local = pair
    assert objects(remote) == files(local)
    assert len(objects(remote)) == 3
    assert remote.series() == local.series() == [NAME]
    assert remote.status() == local.status()
    assert remote.read(*NAME).equals(local.read(*NAME))
    start = datetime(2024, 2, 1, tzinfo=UTC)
    assert remote.read(*NAME, start=start).equals(local.read(*NAME, start=start))
    assert remote.covered(NAME) == local.covered(NAME) == [(hours(1)[0], hours(81)[-1])]


def test_pruning_and_removing_are_as_on_a_disk(pair: tuple[Lake, Lake]) -> None:
    for lake in pair:
        lake.upsert(*NAME, stamped(hours(72), [1.0] * 72))
    remote, local = pair
    february = datetime(2024, 2, 1, tzinfo=UTC)
    assert remote.ended(NAME, february) == local.ended(NAME, february)
    assert remote.prune(NAME, february) == local.prune(NAME, february)
    assert objects(remote) == files(local)
    assert [path.rpartition("/")[2] for path in sorted(objects(remote))] == [
        "2024-02.parquet", "covered.json",
    ]  # fmt: skip
    remote.remove(*NAME)
    remote.remove(*NAME)
    assert objects(remote) == {}
    assert remote.series() == []


def test_what_another_process_wrote_is_seen_at_once(
    pair: tuple[Lake, Lake], store: dict[str, str]
) -> None:
    """A desk that runs for days must see the months that a pull adds."""
    lake = pair[0]
    lake.upsert(*NAME, stamped(hours(24), [1.0] * 24))
    assert lake.read(*NAME).height == 24
    code = (
        "import sys\nfrom tests.data.test_lake import *\nfrom workbench.data.lake import lake_at\n"
        "lake_at(sys.argv[1]).upsert(*CANDLES, stamped(hours(72), [1.0] * 72))"
    )
    subprocess.run([sys.executable, "-c", code, str(lake.root)], check=True, env=os.environ | store)
    assert lake.read(*NAME).height == 72


def test_a_world_is_the_same_from_either(pair: tuple[Lake, Lake], sample_lake: Lake) -> None:
    remote = pair[0]
    for name in sample_lake.series():
        rows = sample_lake.read(*name, end=datetime(2022, 2, 1, tzinfo=UTC))
        if not rows.is_empty():
            remote.upsert(*name, rows)
    span = ("2022-01-01", "2022-01-31")
    there, here = (load_world(lake, VENUE, SYMBOLS, "1h", *span) for lake in (remote, sample_lake))
    assert len(there.panel) > 700
    for part in ("open", "high", "low", "close", "volume"):
        assert getattr(there.panel, part).equals(getattr(here.panel, part)), part
    assert there.panel.context.keys() == here.panel.context.keys()
    for name, frame in here.panel.context.items():
        assert there.panel.context[name].equals(frame), name
    assert there.ages.equals(here.ages)


def test_status_and_prune_by_the_command(
    pair: tuple[Lake, Lake], store: dict[str, str], tmp_path: Path
) -> None:
    remote = pair[0]
    remote.upsert(*NAME, stamped(hours(72), [1.0] * 72).with_columns(
        *(pl.col("close").alias(c) for c in ("open", "high", "low")), volume=pl.lit(3.0)
    ))  # fmt: skip
    (tmp_path / "desk.toml").write_text(
        f'[data]\nlake = "{remote.root}"\nkeep_days = {{ohlcv = 30}}\n'
    )
    (said,) = answered(tmp_path, store, "status")["series"]
    assert (said["symbol"], said["rows"], said["gaps"], said["unasked"]) == ("BTC/USDT", 72, 0, 0)
    (gone,) = answered(tmp_path, store, "prune", "--yes")["series"]
    assert [each["month"] for each in gone["months"]] == ["2024-01", "2024-02"]
    assert answered(tmp_path, store, "status")["series"] == []
    assert remote.covered(NAME) == [
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC))
    ]


def answered(folder: Path, store: dict[str, str], *words: str) -> dict:
    done = workbench(folder, "data", *words, "--json", **store)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_store_that_refuses_is_one_sentence_and_no_empty_lake(
    store: dict[str, str], tmp_path: Path
) -> None:
    rows = stamped(hours(3), [1.0] * 3)
    nowhere = lake_at("s3://nobucket/lake")
    for act in (nowhere.series, lambda: nowhere.read(*NAME), lambda: nowhere.upsert(*NAME, rows)):
        with pytest.raises(DataError, match=r"nobucket/lake.* cannot be reached .*does not exist"):
            act()
    (tmp_path / "desk.toml").write_text('[data]\nlake = "s3://bucket/lake"\n')
    keyless = dict.fromkeys(KEYS, "") | {"AWS_EC2_METADATA_DISABLED": "true"}
    done = workbench(tmp_path, "data", "status", **(store | keyless))
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "keys in the environment" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_note_that_cannot_be_reached_is_not_said_to_be_broken(store: dict[str, str]) -> None:
    """ "Delete it" would be the wrong advice."""
    down = lake_at("s3://bucket/lake")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(down.root), "read_text", refused)
        with pytest.raises(DataError, match=r"covered\.json cannot be reached \(refused\)") as said:
            down.covered(NAME)
    assert "delete" not in str(said.value)


def refused(*_: object, **__: object) -> str:
    raise TimeoutError("refused")


def test_hours_of_a_store_have_their_zone(pair: tuple[Lake, Lake]) -> None:
    remote = pair[0]
    remote.upsert(*NAME, stamped(hours(3), [1.0] * 3))
    assert remote.read(*NAME)["event_time"].to_list() == hours(3)
    assert remote.read(*NAME)["available_at"][0] == hours(1)[0] + timedelta(hours=1)
