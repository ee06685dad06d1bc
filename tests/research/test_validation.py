"""What a backtest's figures say once luck and the number of trials are counted."""

from __future__ import annotations

import itertools
import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.recorded import require_data
from workbench.domain import UsageError
from workbench.research import validation as v
from workbench.research.splits import cpcv, walk_forward
from workbench.research.superiority import spa, stepm
from workbench.research.validation import NotComputable, cscv

Case = dict[str, Any]
PRINTED = 5e-9  # the known answers are printed to eight places


def draws(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal((rows, columns)) * 0.01


# --- known answers -------------------------------------------------------------------------------


def probabilistic(i: Case, expected: Case, close: Callable[..., Any]) -> None:
    assert v.probabilistic_sharpe_ratio(**i) == close(expected["psr"])


def deflated(i: Case, expected: Case, close: Callable[..., Any]) -> None:
    year = i["periods_per_year"]
    variance = i["var_trials_sr_annual"] / year
    luck = v.expected_max_sharpe(i["n_trials"], variance)
    assert luck == close(expected["sr0_per_period"])
    assert luck * math.sqrt(year) == close(expected["sr0_annual"])
    sr = i["sr_annual"] / math.sqrt(year)
    shape = (i["skew"], i["kurtosis"])
    given_all = v.deflated_sharpe_ratio(sr, i["n"], i["n_trials"], variance, *shape)
    assert given_all == close(expected["dsr"])


def expected_max(i: Case, expected: Case, close: Callable[..., Any]) -> None:
    assert v.expected_max_sharpe(i["n_trials"], 1.0) == close(expected["emax"])


def track_record(i: Case, expected: Case, close: Callable[..., Any]) -> None:
    year = i["periods_per_year"]
    sr, benchmark = (i[name] / math.sqrt(year) for name in ("sr_annual", "benchmark_annual"))
    n = v.minimum_track_record_length(sr, benchmark, i["skew"], i["kurtosis"], i["alpha"])
    assert n == close(expected["n_obs"])
    assert n / year == close(expected["years"])


def backtest_length(i: Case, expected: Case, close: Callable[..., Any]) -> None:
    years = v.minimum_backtest_length_years(i["n_trials"], i["target_annual_sr"])
    assert years == close(expected["years"])


def overfitting(i: Case, expected: Case, close: Callable[..., Any]) -> None:
    matrix = draws(1000, 50)
    if "column 7" in i["matrix"]:
        matrix[:, 7] += 0.002
    assert v.probability_of_backtest_overfitting(matrix, i["n_blocks"]) == close(expected["pbo"])
    if "n_partitions" in expected:
        assert cscv(matrix, i["n_blocks"]).n_partitions == expected["n_partitions"]


def combinations(i: Case, expected: Case, _: Callable[..., Any]) -> None:
    made = [cpcv(240, n, k) for n, k in i["cases"]]
    assert [len(c.splits) for c in made] == expected["splits"]
    assert [len(c.paths) for c in made] == expected["paths"]


def rolling(i: Case, expected: Case, _: Callable[..., Any]) -> None:
    ends = [[*split.train[[0, -1]], *split.test[[0, -1]]] for split in walk_forward(**i)]
    assert ends == expected["first_last"]


def superior(i: Case, expected: Case, close: Callable[..., Any]) -> None:
    matrix = draws(500, 20, seed=7)
    given_all = spa(matrix, i["seed"], i["block_size"], i["reps"])
    for name in ("p_lower", "p_consistent", "p_upper"):
        assert getattr(given_all, name) == close(expected[name])
    superior_trials = stepm(matrix, i["seed"], block=i["block_size"], reps=i["reps"])
    assert list(superior_trials) == expected["stepm_superior"]
    t = matrix.mean(axis=0) / matrix.std(axis=0, ddof=1) * math.sqrt(len(matrix))
    assert t.max() == pytest.approx(expected["naive_best_t"], abs=1e-6)


def adjusted(i: Case, expected: Case, close: Callable[..., Any]) -> None:
    for method in ("holm", "bh"):
        assert v.adjust_pvalues(i["p"], method) == close(expected[method])  # type: ignore[arg-type]
    for tests, name in ((9, "fwer_9_at_5pct"), (20, "fwer_20_at_5pct")):
        any_false = 1.0 - 0.95**tests
        assert any_false == pytest.approx(expected[name], abs=PRINTED)


KNOWN = {
    "probabilistic_sharpe_ratio": probabilistic,
    "deflated_sharpe_ratio": deflated,
    "expected_max_standard_normal": expected_max,
    "min_track_record_length": track_record,
    "min_backtest_length_years": backtest_length,
    "pbo_cscv": overfitting,
    "cpcv_counts": combinations,
    "walk_forward_splits": rolling,
    "spa": superior,
    "adjust_pvalues": adjusted,
}
CASES = (
    "psr-2012-nonnormal", "psr-2012-normal", "dsr-2014-N100-nonnormal", "emax-N10", "emax-N100",
    "mintrl-daily", "mintrl-monthly-hedgefund-moments", "minbtl-N45", "minbtl-N7", "pbo-noise-S4",
    "pbo-noise-S8", "pbo-edge", "cpcv-counts", "walkforward-rolling-purged", "spa-noise", "holm-bh",
)  # fmt: skip


def known_answers() -> dict[str, Case]:
    file = require_data().parent / "known_answers.json"
    cases = json.loads(file.read_text(encoding="utf-8"))["cases"]
    return {case["id"]: case for case in cases if case["topic"] == "overfit"}


def test_no_known_answer_about_overfitting_is_left_out() -> None:
    assert set(known_answers()) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_known_answers_about_overfitting_are_ours(name: str) -> None:
    case = known_answers()[name]

    def close(expected: Any) -> Any:
        return pytest.approx(expected, abs=max(case["tolerance"], PRINTED))

    KNOWN[case["function"]](case["inputs"], case["expected"], close)


# --- one Sharpe ratio ----------------------------------------------------------------------------


def test_moments_are_those_of_the_papers() -> None:
    """Ten times -1, 0, 3 %: mean 2/3 %, squares off it sum to 260/3, so the deviation (ddof 1) is
    sqrt(260/3/29); skew and kurtosis with ddof 0 from (-5/3, -2/3, 7/3)."""
    moments = v.sharpe_moments(np.tile([-0.01, 0.0, 0.03], 10))
    off = np.array([-5.0, -2.0, 7.0]) / 3.0
    second = (off**2).mean()
    assert moments.sr == pytest.approx((2 / 3) / math.sqrt(260 / 3 / 29))
    assert moments.n == 30
    assert moments.skew == pytest.approx((off**3).mean() / second**1.5)
    assert moments.kurtosis == pytest.approx((off**4).mean() / second**2)
    assert 0.5 < v.probabilistic_sharpe_ratio(*moments) < 1.0


def test_the_normal_law_has_a_raw_kurtosis_of_three() -> None:
    moments = v.sharpe_moments(draws(200_000, 1)[:, 0])
    assert moments.kurtosis == pytest.approx(3.0, abs=0.05)
    assert moments.skew == pytest.approx(0.0, abs=0.02)


def test_a_track_record_of_the_minimum_length_proves_just_enough() -> None:
    shape = {"skew": -0.7, "kurtosis": 6.0}
    n = v.minimum_track_record_length(0.1, 0.03, alpha=0.05, **shape)
    assert v.probabilistic_sharpe_ratio(0.1, n, benchmark=0.03, **shape) == pytest.approx(0.95)  # type: ignore[arg-type]


def test_no_track_record_proves_what_is_not_there() -> None:
    assert v.minimum_track_record_length(0.1, 0.1) == math.inf
    assert v.minimum_track_record_length(-0.1, 0.0) == math.inf


def test_too_little_is_said_with_numbers() -> None:
    with pytest.raises(NotComputable) as told:
        v.sharpe_moments([0.01, -0.01] * 3 + [0.02])
    assert str(told.value) == "Sharpe ratio: not computable: n = 7, needs 30 returns"
    assert (told.value.n, told.value.needs) == (7, 30)
    again = pickle.loads(pickle.dumps(told.value))  # noqa: S301  a worker sends it home
    assert (str(again), again.n, again.needs) == (str(told.value), 7, 30)


REFUSED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "nan": (lambda: v.probabilistic_sharpe_ratio(math.nan, 100), UsageError, "sr is nan"),
    "inf": (lambda: v.probabilistic_sharpe_ratio(0.1, 9, math.inf), UsageError, "skew is inf"),
    "n of 1": (lambda: v.probabilistic_sharpe_ratio(0.1, 1), NotComputable, "n = 1, needs 2"),
    "no such series": (
        lambda: v.probabilistic_sharpe_ratio(1.0, 100, skew=3.0), UsageError, "no series has",
    ),
    "no trial": (lambda: v.expected_max_sharpe(0, 1.0), UsageError, "n_trials is 0"),
    "negative": (lambda: v.expected_max_sharpe(5, -1.0), UsageError, "below 0"),
    "nan trials": (lambda: v.deflated_sharpe_ratio(0.1, 9, math.nan, 1), UsageError, "n_trials is"),
    "alpha": (lambda: v.minimum_track_record_length(1.0, alpha=0.9), UsageError, "alpha is 0.9"),
    "target": (lambda: v.minimum_backtest_length_years(5, 0.0), UsageError, "target_sharpe is 0"),
    "flat": (lambda: v.sharpe_moments([0.001] * 60), NotComputable, "needs 2 different returns"),
    "hole": (
        lambda: v.sharpe_moments([0.1, math.nan] * 30), UsageError, "value 1 is nan",
    ),
    "table": (lambda: v.sharpe_moments(np.ones((40, 2))), UsageError, "one series"),
    "p above 1": (lambda: v.adjust_pvalues([0.1, 1.1]), UsageError, "from 0 to 1"),
    "p nan": (lambda: v.adjust_pvalues([0.1, math.nan]), UsageError, "from 0 to 1"),
    "no p": (lambda: v.adjust_pvalues([]), UsageError, "from 0 to 1"),
    "method": (lambda: v.adjust_pvalues([0.1], "x"), UsageError, "holm or bh"),  # type: ignore[arg-type]
    "no world": (lambda: v.permutation_pvalue(1.0, []), NotComputable, "n = 0, needs 1"),
    "no figure": (lambda: v.permutation_pvalue(math.nan, [1.0]), UsageError, "observed is nan"),
    "odd blocks": (lambda: cscv(draws(90, 3), 5), UsageError, "even number"),
    "no blocks": (lambda: cscv(draws(90, 3), 0), UsageError, "even number"),
    "metric": (lambda: cscv(draws(90, 3), 4, "median"), UsageError, "sharpe or mean"),  # type: ignore[arg-type]
    "few rows": (lambda: cscv(draws(31, 3)), NotComputable, "n = 31, needs 32 rows"),
    "one column": (lambda: cscv(draws(90, 1)), NotComputable, "n = 1, needs 2 columns"),
    "all flat": (lambda: cscv(np.zeros((90, 3))), NotComputable, "columns with a metric"),
    "series": (lambda: cscv(draws(90, 1)[:, 0]), UsageError, "periods x trials"),
    "few returns": (lambda: v.effective_trials(draws(29, 3)), NotComputable, "n = 29, needs 30"),
    "same": (lambda: v.effective_trials(draws(90, 3), 1.0), UsageError, "between 0 and 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_in_a_sentence(name: str) -> None:
    ask, error, says = REFUSED[name]
    with pytest.raises(error, match=says):
        ask()


# --- the best of many ----------------------------------------------------------------------------


def test_one_trial_is_not_deflated() -> None:
    assert v.expected_max_sharpe(1, 0.5) == 0.0
    plain = v.probabilistic_sharpe_ratio(0.05, 500)
    assert v.deflated_sharpe_ratio(0.05, 500, 1, 0.01) == plain


def test_the_expected_best_is_what_draws_show() -> None:
    """The mean of the best of 100 standard normal draws, 4,000 times; the formula is within 2 %."""
    best = np.random.default_rng(3).standard_normal((4_000, 100)).max(axis=1).mean()
    assert v.expected_max_sharpe(100, 4.0) == pytest.approx(2.0 * best, rel=0.02)


@given(st.floats(1.0, 1e5), st.floats(1.0, 3.0), st.floats(0.0, 10.0))
def test_more_trials_never_deflate_less(trials: float, more: float, variance: float) -> None:
    fewer, many = (v.expected_max_sharpe(n, variance) for n in (trials, trials * more))
    assert 0.0 <= fewer <= many + 1e-12


def blocks(sizes: list[int], own: float, rows: int = 1000, seed: int = 1) -> np.ndarray:
    """Columns of blocks that share a series; `own` is the deviation of what each adds to it."""
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.standard_normal((rows, len(sizes))), sizes, axis=1)
    return shared + own * rng.standard_normal(shared.shape)


@pytest.mark.parametrize("k", [1, 3, 12])
def test_blocks_of_near_copies_are_as_many_trials_as_blocks(k: int) -> None:
    assert v.effective_trials(blocks([10] * k, own=0.3)) == k


def test_independent_trials_all_count_and_copies_count_once() -> None:
    assert v.effective_trials(draws(500, 80)) == 80.0
    assert v.effective_trials(np.repeat(draws(500, 1), 80, axis=1)) == 1.0


def test_one_large_block_does_not_hide_the_small_ones() -> None:
    """91 copies of one idea and 9 others: 10 trials. A measure from eigenvalues says 1.2."""
    assert v.effective_trials(blocks([91] + [1] * 9, own=0.2)) == 10.0


def test_the_opposite_bet_is_another_trial() -> None:
    one = draws(200, 1)
    assert v.effective_trials(np.hstack([one, -one])) == 2.0


def test_trials_that_never_traded_are_one_trial() -> None:
    table = np.hstack([draws(200, 3), np.zeros((200, 5)), np.full((200, 2), np.nan)])
    assert v.effective_trials(table) == 4.0
    assert v.effective_trials(np.zeros((200, 5))) == 1.0


def test_a_count_over_many_batches_is_that_over_one() -> None:
    """1,800 columns of 18 blocks, mixed: four batches, and the same 18."""
    table = blocks([100] * 18, own=0.3, rows=300)
    mixed = table[:, np.random.default_rng(5).permutation(1800)]
    assert v.effective_trials(mixed) == 18.0


# --- did the choice overfit? ---------------------------------------------------------------------


def by_the_book(pnl: np.ndarray, n_blocks: int, metric: str) -> tuple[float, list[float]]:
    """CSCV written as the paper has it: one partition after the other."""
    rows = len(pnl) // n_blocks
    parts = np.split(pnl[len(pnl) - rows * n_blocks :], n_blocks)

    def measure(table: np.ndarray) -> np.ndarray:
        spread = 1.0 if metric == "mean" else table.std(axis=0, ddof=1)
        return table.mean(axis=0) / spread

    logits = []
    for half in itertools.combinations(range(n_blocks), n_blocks // 2):
        inside = measure(np.vstack([parts[b] for b in half]))
        outside = measure(np.vstack([parts[b] for b in range(n_blocks) if b not in half]))
        share = stats.rankdata(outside)[inside.argmax()] / (pnl.shape[1] + 1)
        logits.append(math.log(share / (1 - share)))
    return float(np.mean(np.array(logits) <= 0)), logits


@pytest.mark.parametrize("metric", ["sharpe", "mean"])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_paper_s_algorithm(metric: Any, seed: int) -> None:
    pnl = draws(121, 9, seed) + np.linspace(-0.002, 0.002, 9) + 5.0 * (seed == 4)
    expected, logits = by_the_book(pnl, 8, metric)
    result = cscv(pnl, 8, metric)
    assert (result.pbo, result.n_partitions) == (expected, len(logits))
    assert result.trimmed == 1


def test_rows_that_do_not_divide_are_taken_off_the_oldest() -> None:
    pnl = draws(1003, 12)
    whole, cut = cscv(pnl, 10), cscv(pnl[3:], 10)
    assert (whole.pbo, whole.slope, whole.trimmed) == (cut.pbo, cut.slope, 3)


def test_a_choice_that_inside_predicts_the_reverse_outside_is_all_overfitting() -> None:
    """Columns whose sum is 0: what one half gained the other lost."""
    pnl = draws(1000, 50)
    result = cscv(pnl - pnl.mean(axis=0), 10, "mean")
    assert result.pbo == 1.0
    assert result.slope == pytest.approx(-1.0)
    assert result.loss_probability == 1.0


def test_a_flat_column_ranks_worst_and_is_not_dropped() -> None:
    """Good, flat, flat: outside the good one has rank 3 of 3; bad, flat, flat: it is still chosen
    (a loss is a figure) and still the best outside."""
    good, flat = np.abs(draws(400, 1)) + 0.01, np.zeros((400, 2))
    assert cscv(np.hstack([good, flat]), 8).pbo == 0.0
    assert cscv(np.hstack([-good, flat]), 8).pbo == 0.0
    assert cscv(np.hstack([-good, flat]), 8).loss_probability == 1.0


def test_a_column_flat_on_a_level_has_no_sharpe_ratio() -> None:
    """The same gain in every period: not chosen, though its mean over nothing is endless."""
    steady = np.full((400, 1), 0.1)
    result = cscv(np.hstack([steady, np.abs(draws(400, 1))]), 8)
    assert math.isfinite(result.slope or 0.0)
    assert result.pbo == 0.0


def test_a_column_without_figures_counts_as_a_trial() -> None:
    """Four columns, one of them NaN throughout, are ranked as four: the same as with zeros."""
    noise = draws(400, 3)
    missing = cscv(np.hstack([noise, np.full((400, 1), np.nan)]), 8)
    assert missing == cscv(np.hstack([noise, np.zeros((400, 1))]), 8)
    assert missing.n_partitions == 70


def test_a_hole_in_a_column_is_named() -> None:
    frame = pd.DataFrame(draws(400, 3), columns=["a", "b", "c"])
    frame.iloc[17, 1] = np.nan
    with pytest.raises(UsageError, match="trial b is nan in row 17"):
        v.probability_of_backtest_overfitting(frame)


def test_where_nothing_inside_has_a_metric_the_choice_counts_as_overfitted() -> None:
    """Both columns trade in the last of four blocks only: in half of the six partitions nothing
    chooses, and where something does nothing judges: rank 1.5 of 2 is no better than the median."""
    pnl = np.zeros((400, 2))
    pnl[300:] = np.abs(draws(100, 2))
    result = cscv(pnl, 4)
    assert result.pbo == 1.0
    assert result.slope is None
    assert result.loss_probability == 1.0


def test_copies_of_the_best_do_not_make_it_overfitted() -> None:
    """Sixty copies of a good set, forty of noise: the middle of ranks 41 to 100 is above half."""
    good, noise = draws(800, 1) + 0.01, draws(800, 40, seed=2)
    assert cscv(np.hstack([noise, np.repeat(good, 60, axis=1)]), 8).pbo == 0.0


def test_all_the_same_is_no_choice() -> None:
    assert cscv(np.repeat(draws(400, 1), 6, axis=1), 8).pbo == 1.0


def test_a_large_table_is_cut_into_parts_that_give_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pnl = draws(300, 20)
    whole = cscv(pnl, 10)
    monkeypatch.setattr("workbench.research.overfitting._CELLS", 170)
    parted = cscv(pnl, 10)
    assert (parted.pbo, parted.loss_probability) == (whole.pbo, whole.loss_probability)
    assert parted.slope == pytest.approx(whole.slope)


# --- around a choice, and many tests at once -----------------------------------------------------


def surface(values: list[float]) -> pd.DataFrame:
    """A grid of fast (5, 10, 20) by slow (50, 100), with one metric."""
    rows = [(fast, slow) for fast in (5, 10, 20) for slow in (50, 100)]
    frame = pd.DataFrame(rows, columns=["fast", "slow"])
    return frame.assign(sharpe=values).rename_axis("set")


def test_a_plateau_is_its_neighbours_over_its_own() -> None:
    """Set 2 is (10, 50): neighbours (5, 50) 1.0, (20, 50) 1.2 and (10, 100) -0.5. Median 1.0."""
    around = v.plateau(
        surface([1.0, 9.0, 2.0, -0.5, 1.2, 9.0]), ["fast", "slow"], "sharpe", 2
    )  # fmt: skip
    assert around == (0.5, pytest.approx(2 / 3), 3)


def test_a_corner_has_fewer_neighbours() -> None:
    """Set 0 is (5, 50): (10, 50) 2.0 and (5, 100) 1.0; the middle of both over 3."""
    corner = v.plateau(surface([3.0, 1.0, 2.0, 9.0, 9.0, 9.0]), ["fast", "slow"], "sharpe", 0)
    assert corner == (0.5, 1.0, 2)


def test_neighbours_without_a_metric_are_the_worst() -> None:
    nan = math.nan
    one = v.plateau(surface([1.0, 9.0, 2.0, nan, 1.2, 9.0]), ["fast", "slow"], "sharpe", 2)
    assert one == (0.5, pytest.approx(2 / 3), 3)
    two = v.plateau(surface([nan, 9.0, 2.0, nan, 1.2, 9.0]), ["fast", "slow"], "sharpe", 2)
    assert two == (-math.inf, pytest.approx(1 / 3), 3)


def test_words_are_neighbours_in_their_order_and_untried_sets_are_none() -> None:
    """zeta, alpha and mid in the order tried; alpha with n = 2 was not."""
    frame = pd.DataFrame({"kind": ["zeta", "alpha", "mid"], "n": [1, 1, 2], "m": [1.0, 2.0, 3.0]})
    assert v.plateau(frame, ["kind", "n"], "m", 1) == (0.5, 1.0, 1)


def test_a_plateau_that_is_none_says_so() -> None:
    frame = surface([1.0, 1.0, -1.0, 1.0, math.nan, 1.0])
    for chosen in (2, 4):
        with pytest.raises(NotComputable, match="above 0"):
            v.plateau(frame, ["fast", "slow"], "sharpe", chosen)
    with pytest.raises(NotComputable, match="n = 0, needs 1 neighbours"):
        v.plateau(frame.iloc[[0, 3]], ["fast", "slow"], "sharpe", 0)
    with pytest.raises(UsageError, match="no column 'quick'"):
        v.plateau(frame, ["quick"], "sharpe", 0)
    with pytest.raises(UsageError, match="no set 99"):
        v.plateau(frame, ["fast"], "sharpe", 99)


def test_a_permutation_s_p_value_counts_the_world_itself() -> None:
    """Two of four as good (equal counts), one without a figure: (1 + 2) / (1 + 4)."""
    assert v.permutation_pvalue(1.0, [1.0, 2.0, 0.5, math.nan]) == pytest.approx(0.6)
    assert v.permutation_pvalue(1.0, np.zeros(99)) == pytest.approx(0.01)
