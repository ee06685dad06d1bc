"""What teaches never knows what judges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import TimeSeriesSplit

from workbench.domain import UsageError
from workbench.research.computable import NotComputable
from workbench.research.splits import cpcv, split_by_hand, walk_forward

small = st.integers(0, 4)
size = st.integers(1, 12)


@given(size, size, st.integers(1, 5), small, small, st.booleans())
def test_walk_forward_is_scikit_learn_s_where_the_tests_fill_the_rows(
    train: int, test: int, folds: int, purge: int, embargo: int, anchored: bool
) -> None:
    """Theirs counts from the end and shortens the training; here they meet."""
    n_obs, gap = train + purge + embargo + folds * test, purge + embargo
    assume(folds > 1)  # theirs makes no single split
    theirs = TimeSeriesSplit(
        folds, test_size=test, gap=gap, max_train_size=None if anchored else train
    )
    ours = walk_forward(n_obs, train, test, purge, embargo, anchored)
    assert len(ours) == folds
    for split, (taught, judged) in zip(ours, theirs.split(np.zeros(n_obs)), strict=True):
        np.testing.assert_array_equal(split.train, taught)
        np.testing.assert_array_equal(split.test, judged)


@given(st.integers(1, 80), size, size, small, small, st.booleans())
def test_walk_forward_leaves_the_gap_and_never_looks_back(
    n_obs: int, train: int, test: int, purge: int, embargo: int, anchored: bool
) -> None:
    assume(n_obs >= train + purge + embargo + test)
    splits = walk_forward(n_obs, train, test, purge, embargo, anchored)
    for k, split in enumerate(splits):
        assert split.test[0] - split.train[-1] == purge + embargo + 1
        assert len(split.test) == test
        assert len(split.train) == train + (k * test if anchored else 0)
    judged = np.concatenate([split.test for split in splits])
    np.testing.assert_array_equal(judged, np.arange(judged[0], judged[-1] + 1))
    assert 0 <= n_obs - 1 - judged[-1] < test


def test_anchored_training_begins_at_the_first_row_and_grows() -> None:
    splits = walk_forward(100, 40, 20, purge=3, anchored=True)
    assert [(s.train[0], s.train[-1], s.test[0], s.test[-1]) for s in splits] == [
        (0, 39, 43, 62), (0, 59, 63, 82),
    ]  # fmt: skip


combined = st.integers(2, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n - 1)))


@given(combined, st.integers(0, 40), small, small)
def test_combinations_are_disjoint_and_purged_on_both_sides(
    groups: tuple[int, int], more: int, purge: int, embargo: int
) -> None:
    n, k = groups
    n_obs = n * (2 * purge + embargo + 1) + more
    made = cpcv(n_obs, n, k, purge, embargo)
    assert len(made.splits) == math.comb(n, k)
    for split, tested in zip(made.splits, made.tested, strict=True):
        judged = set(split.test.tolist())
        assert judged == {row for g in tested for row in made.groups[g].tolist()}
        beside = {
            row + off for row in judged for off in range(-purge, purge + embargo + 1)
        }  # fmt: skip
        # all rows that are far enough, and none that is not
        assert set(split.train.tolist()) == set(range(n_obs)) - beside


@given(combined, st.integers(0, 30))
def test_every_path_has_each_group_once_and_every_outcome_is_used_once(
    groups: tuple[int, int], more: int
) -> None:
    n, k = groups
    made = cpcv(n + more, n, k)
    assert made.paths.shape == (math.comb(n, k) * k // n, n)
    used = [(split, group) for path in made.paths for group, split in enumerate(path)]
    offered = [(s, g) for s, tested in enumerate(made.tested) for g in tested]
    assert sorted(used) == sorted(offered)


def test_paths_are_joined_from_the_splits_that_tested_the_rows() -> None:
    """Four rows, three groups (0 1 | 2 | 3), two tested: splits (0 1), (0 2), (1 2).

    Two paths: group 0 from splits 0 and 1, group 1 from 0 and 2, group 2 from 1 and 2. Outcomes
    are 100 x split + row.
    """
    made = cpcv(4, 3, 2)
    assert made.tested == ((0, 1), (0, 2), (1, 2))
    outcomes = [100.0 * s + split.test for s, split in enumerate(made.splits)]
    assert made.join(outcomes).T.tolist() == [[0, 1, 2, 103], [100, 101, 202, 203]]
    with pytest.raises(UsageError, match="outcomes of each on its test rows"):
        made.join(outcomes[:2])
    with pytest.raises(UsageError, match="outcomes of each on its test rows"):
        made.join([outcomes[0][1:], *outcomes[1:]])


def test_an_overlap_asked_for_by_hand_is_refused_in_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"overlap: row 50 is in both \(10 rows are\)"):
        split_by_hand(np.arange(60), np.arange(50, 80))
    with pytest.raises(UsageError, match="row 48 lies within purge 2 or embargo 0"):
        split_by_hand(np.arange(50), np.arange(50, 80), purge=2)
    with pytest.raises(UsageError, match="row 80 lies within purge 2 or embargo 3 of it; leave 5"):
        split_by_hand(np.arange(80, 99), np.arange(50, 80), purge=2, embargo=3)


def test_a_split_by_hand_that_keeps_its_distance_is_taken() -> None:
    rows = [*range(48), *range(85, 99)]
    split = split_by_hand(rows, range(50, 80), purge=2, embargo=3)
    assert split.train.tolist() == rows
    assert split.test.tolist() == list(range(50, 80))


@pytest.mark.parametrize("rows", [[], [-1, 0], [0.5], [[1]]])
def test_rows_by_hand_are_row_numbers(rows: list[object]) -> None:
    with pytest.raises(UsageError, match="test is not a list of row numbers"):
        split_by_hand([7], rows)  # type: ignore[arg-type]


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(NotComputable, match="n = 81, needs 82 rows"):
        walk_forward(81, 60, 20, purge=2)
    with pytest.raises(NotComputable, match="n = 5, needs 6 rows"):
        cpcv(5, 6, 2)
    with pytest.raises(UsageError, match="leave nothing to train on"):
        cpcv(100, 5, 5)
    with pytest.raises(UsageError, match="purge 20 and embargo 0 leave nothing to train on"):
        cpcv(100, 5, 2, purge=20)
    with pytest.raises(UsageError, match="184,756 splits"):
        cpcv(1000, 20, 10)
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(UsageError, match="whole number of at least 1"):
            walk_forward(100, wrong, 20)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="purge is -1"):
        walk_forward(100, 10, 10, purge=-1)
