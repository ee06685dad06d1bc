"""Every set is one row, whoever ran it, however often; what shows the same days counts together."""

from __future__ import annotations

import math
import multiprocessing as mp
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from tests.research.sweeping import FIRST, follow, small_desk, small_world
from workbench.domain import Panel
from workbench.journal import Journal
from workbench.research.sweep import sweep
from workbench.research.trials import DataSet, Trial, Writer, read_ledger, read_trials

NOW = datetime(2025, 1, 2, tzinfo=UTC)
BTC = DataSet("h1", "binance_spot 1h, recorded", ("BTC/USDT", "ETH/USDT"), 3600,
              "2024-01-01 00:00:00+00:00", "2024-06-30 23:00:00+00:00")  # fmt: skip


def trial(key: str, data: DataSet = BTC, sharpe: float = 0.1) -> Trial:
    return Trial(key, key, data.hash, "follow", {"bars": 3, "why": None}, sharpe, 180, 12)


def write(journal: Path, data: DataSet, trials: Sequence[Trial]) -> None:
    Writer.of(journal, data, lambda: NOW).add(trials)


def test_a_trial_comes_back_as_it_was_written(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    given = (trial("k1", sharpe=1 / 3), trial("k2", sharpe=-0.0), trial("k3", sharpe=math.nan))
    write(journal, BTC, given)
    ledger = read_ledger(journal, BTC)
    assert ledger.trials[:2] == given[:2]
    assert math.isnan(ledger.trials[2].sharpe)
    assert list(ledger.frame()["strategy"]) == ["follow"] * 3
    assert (ledger.tried, ledger.changed, ledger.others) == (3, 0, ())
    assert read_trials(journal)[1] == {"h1": BTC}
    with Journal.open(journal, readonly=True) as rows:
        assert rows.verify().seq == 4
        assert {row.at for row in rows.rows()} == {"2025-01-02T00:00:00+00:00"}


def test_without_a_journal_nothing_was_tried(tmp_path: Path) -> None:
    ledger = read_ledger(tmp_path / "none.db", BTC)
    assert (ledger.tried, ledger.changed, len(ledger.frame())) == (0, 0, 0)
    assert not (tmp_path / "none.db").exists()


def test_a_key_is_a_trial_once_however_often_it_is_written(tmp_path: Path) -> None:
    """By one writer, by a second, and by two that did not know of each other."""
    journal = tmp_path / "journal.db"
    one, other = (Writer.of(journal, BTC, lambda: NOW) for _ in range(2))
    one.add([trial("k1"), trial("k1"), trial("k2")])
    one.add([trial("k2")])
    other.add([trial("k2"), trial("k3")])
    write(journal, BTC, [trial("k1"), trial("k3")])
    assert read_ledger(journal, BTC).tried == 3
    with Journal.open(journal, readonly=True) as rows:
        assert len([*rows.rows("trial")]) == 4  # k2 twice, from two that were at it together
        rows.verify()


@pytest.mark.parametrize(
    ("other", "counts"),
    [
        (replace(BTC, hash="h2"), True),  # the same days, another version
        (replace(BTC, hash="h2", source="kraken 1h, recorded"), True),
        (replace(BTC, hash="h2", source="kraken 4h, recorded", timeframe_s=14_400), True),
        (replace(BTC, hash="h2", symbols=("BTC/USDT",)), True),
        (replace(BTC, hash="h2", symbols=("BTC/USDT~carry",)), True),
        (replace(BTC, hash="h2", symbols=("BTC/USD", "XMR/USD")), True),  # in another money
        (replace(BTC, hash="h2", symbols=("SOL/USDT",)), False),
        (replace(BTC, hash="h2", first="2024-06-30 23:00:00+00:00",
                 last="2025-06-30 23:00:00+00:00"), True),  # one bar in common
        (replace(BTC, hash="h2", first="2024-07-01 00:00:00+00:00",
                 last="2025-06-30 23:00:00+00:00"), False),
        (replace(BTC, hash="h2", last="2024-01-01 00:00:00+00:00"), True),
        (replace(BTC, hash="h2", source="SYNTHETIC sample world, seed 7"), False),
        (replace(BTC, hash="h2", source=""), True),  # who does not say where it is from
    ],
)  # fmt: skip
def test_what_shows_the_same_days_of_a_coin_counts_both_ways(
    tmp_path: Path, other: DataSet, counts: bool
) -> None:
    journal = tmp_path / "journal.db"
    write(journal, BTC, [trial("k1")])
    write(journal, other, [trial("k2", other), trial("k3", other)])
    here, there = read_ledger(journal, BTC), read_ledger(journal, other)
    assert (here.tried, here.changed) == ((3, 2) if counts else (1, 0))
    assert (there.tried, there.changed) == ((3, 1) if counts else (2, 0))
    assert here.others == ((other,) if counts else ())


def test_made_up_worlds_are_each_a_market_of_their_own(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    seven = replace(BTC, hash="s7", source="SYNTHETIC sample world, seed 7")
    eight = replace(BTC, hash="s8", source="SYNTHETIC sample world, seed 8")
    part = replace(seven, hash="s7b", symbols=("SOL/USDT",))
    for data in (BTC, seven, eight, part):
        write(journal, data, [trial(f"k {data.hash}", data)])
    tried = {data.hash: read_ledger(journal, data).tried for data in (BTC, seven, eight, part)}
    assert tried == {"h1": 1, "s7": 2, "s8": 1, "s7b": 2}


def test_the_ledger_says_how_many_were_tried_and_on_what(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    write(journal, BTC, [trial(f"k{k}") for k in range(1_200)])
    newer = replace(BTC, hash="h2")
    write(journal, newer, [trial("n", newer)])
    assert repr(read_ledger(journal, newer)) == (
        "Ledger(1,201 sets tried on 2024-01-01 to 2024-06-30, 1200 of them on other bars of these"
        " days; binance_spot 1h, recorded)"
    )


def test_ten_thousand_trials_are_ten_thousand_sealed_rows(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    writer = Writer.of(journal, BTC, lambda: NOW)
    for at in range(0, 10_000, 2_500):
        writer.add([trial(f"k{k}") for k in range(at, at + 2_500)])
    assert read_ledger(journal, BTC).tried == 10_000
    with Journal.open(journal, readonly=True) as rows:
        assert rows.verify().seq == 10_001


def _sweep_in(folder: Path, bars: list[int]) -> None:
    sweep(small_desk(folder), small_world(), follow, {"bars": bars}, threads=1)


def test_two_processes_that_sweep_the_same_at_once_count_it_once(tmp_path: Path) -> None:
    spawn = mp.get_context("spawn")
    grids = ([*range(1, 31)], [*range(11, 41)])
    both = [spawn.Process(target=_sweep_in, args=(tmp_path, bars)) for bars in grids]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    desk = small_desk(tmp_path)
    done = sweep(desk, small_world(), follow, {"bars": [*range(1, 41)]})
    assert (done.ledger.tried, done.ledger.changed, done.notes) == (40, 0, ())
    with Journal.open(desk.journal_path, readonly=True) as rows:
        rows.verify()
    alone = sweep(small_desk(tmp_path / "a"), small_world(), follow, {"bars": [*range(1, 41)]})
    pd.testing.assert_frame_equal(done.frame, alone.frame, check_exact=True)


def test_a_journal_that_others_write_to_as_well_keeps_its_chain(tmp_path: Path) -> None:
    desk = small_desk(tmp_path)
    with Journal.open(desk.journal_path) as rows:
        rows.append("note", {"said": "before"}, NOW)
        sweep(desk, small_world(), follow, {"bars": [2, 3]})
        rows.append("note", {"said": "after"}, NOW)
        assert [row.kind for row in rows.rows()] == ["note", "data_set", "trial", "trial", "note"]
        rows.verify()


# --- what makes a data set another ---------------------------------------------------------------


def test_every_number_that_a_strategy_may_read_is_in_the_hash() -> None:
    panel = small_world().panel
    known = DataSet.of(panel, FIRST)
    assert DataSet.of(small_world().panel, FIRST) == known
    assert known.first == str(panel.index[FIRST])
    hashes = {known.hash, DataSet.of(panel, FIRST + 1).hash}
    names = ("open", "high", "low", "close", "volume")
    for name in names:
        frames = {each: getattr(panel, each).copy() for each in names}
        frames[name].iloc[3, 1] = 77.0
        other = Panel.from_frames(
            **frames, timeframe=panel.timeframe, context=panel.context, source=panel.source
        )
        hashes.add(DataSet.of(other, FIRST).hash)
    more = panel.with_context(fear=pd.Series(1.0, panel.index))
    renamed = panel.with_context(greed=pd.Series(1.0, panel.index))
    for other in (more, renamed, panel.rows(0, 200), panel.columns(["S0", "S1"])):
        hashes.add(DataSet.of(other, FIRST).hash)
    assert len(hashes) == 11


def test_words_in_the_context_have_one_hash_in_every_process() -> None:
    """An array of texts holds addresses; the hash is of what they say."""
    panel = small_world().panel
    one, other = (
        panel.with_context(mood=pd.Series(["".join(["fe", "ar"])] * len(panel), panel.index))
        for _ in range(2)
    )
    calm = panel.with_context(mood=pd.Series(["calm"] * len(panel), panel.index))
    assert DataSet.of(one, 1).hash == DataSet.of(other, 1).hash != DataSet.of(calm, 1).hash


def test_the_same_run_a_bar_later_is_the_same_trial_and_on_other_coins_another(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "journal.db"
    later = replace(BTC, hash="later", last="2024-07-01 00:00:00+00:00")
    alone = replace(BTC, hash="alone", symbols=("BTC/USDT",))
    since = replace(BTC, hash="since", first="2024-02-01 00:00:00+00:00")
    for data, tried in ((BTC, 1), (later, 1), (alone, 2), (since, 3)):
        write(journal, data, [replace(trial(data.hash, data), run="the same")])
        ledger = read_ledger(journal, data)
        assert ledger.tried == tried
        assert data.hash in {each.data for each in ledger.trials}
