"""What is kept comes back to the bit; whatever is wrong with a file, it is only not yet run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from workbench.domain import DataError
from workbench.research.store import Store

KEYS = ("a" * 32, "b" * 32, "c" * 32)
FIGURES, DAYS = 4, 3


def cells(seed: int, rows: int = len(KEYS)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, FIGURES)), rng.normal(size=(rows, DAYS))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "sweeps" / "data")
    store.write(KEYS, *cells(1))
    return store


def test_what_is_written_comes_back_to_the_bit(store: Store) -> None:
    figures, daily = cells(1)
    figures[0, 0], daily[1, 1] = -0.0, np.nan
    store.write(KEYS, figures, daily)
    kept = store.read(KEYS, FIGURES, DAYS)
    assert set(kept) == set(KEYS)
    for k, key in enumerate(KEYS):
        assert kept[key][0].tobytes() == figures[k].tobytes()
        assert kept[key][1].tobytes() == daily[k].tobytes()


def test_only_what_is_asked_for_is_given_and_held(store: Store) -> None:
    kept = store.read({KEYS[1], "d" * 32}, FIGURES, DAYS)
    assert set(kept) == {KEYS[1]}
    assert kept[KEYS[1]][1].base is None  # the rest of the file may go
    assert store.read(set(), FIGURES, DAYS) == {}


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    assert Store(tmp_path / "none").read(KEYS, FIGURES, DAYS) == {}
    Store(tmp_path / "none").forget()


def test_results_of_another_shape_are_not_taken(store: Store) -> None:
    assert store.read(KEYS, FIGURES + 1, DAYS) == {}
    assert store.read(KEYS, FIGURES, DAYS - 1) == {}


def test_a_file_whose_rows_do_not_fit_its_keys_is_not_taken(store: Store) -> None:
    store.forget()
    store.write(KEYS[:2], *cells(1, rows=3))
    assert store.read(KEYS, FIGURES, DAYS) == {}


def test_of_several_files_each_gives_what_it_has(store: Store) -> None:
    figures, daily = cells(2, 1)
    store.write(["d" * 32], figures, daily)
    kept = store.read([*KEYS, "d" * 32], FIGURES, DAYS)
    assert len(kept) == 4
    assert kept["d" * 32][0].tolist() == figures[0].tolist()


def test_what_is_forgotten_is_gone(store: Store) -> None:
    store.forget()
    assert store.read(KEYS, FIGURES, DAYS) == {}
    assert [*store.folder.iterdir()] == []


@pytest.mark.filterwarnings("ignore::Warning")  # numpy warns of some headers
def test_no_flipped_byte_and_no_cut_is_ever_believed_or_fatal(store: Store) -> None:
    """Every byte of the file flipped in turn, and the file cut at every length: what comes back is
    what was written, or nothing of it."""
    (file,) = store.folder.glob("*.npz")
    whole, true = file.read_bytes(), store.read(KEYS, FIGURES, DAYS)
    taken = 0
    for at in range(len(whole)):
        for bits in (0x01, 0x80, 0xFF):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ bits]) + whole[at + 1 :])
            kept = store.read(KEYS, FIGURES, DAYS)
            taken += len(kept)
            for key, (figures, daily) in kept.items():
                assert figures.tobytes() == true[key][0].tobytes()
                assert daily.tobytes() == true[key][1].tobytes()
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        assert store.read(KEYS, FIGURES, DAYS) == {}
    assert taken < 3 * 3 * len(whole) / 2  # dates and flags of a zip decide nothing


def test_a_write_that_is_cut_off_leaves_no_half_file(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(self: Path, data: bytes) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", cut)
    with pytest.raises(DataError, match=r"cannot be written .No space left on device.; check the"):
        store.write(["d" * 32], *cells(2, 1))
    monkeypatch.undo()
    assert len([*store.folder.iterdir()]) == 1
    assert len(store.read(KEYS, FIGURES, DAYS)) == 3


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "sweeps").write_text("a file")
    with pytest.raises(DataError, match=r"sweeps/data/.*npz cannot be written .Not a directory"):
        Store(tmp_path / "sweeps" / "data").write(KEYS, *cells(1))
