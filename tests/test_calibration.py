"""A score becomes a probability by its own past outcomes, and by no later ones."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.calibration import (
    LEAST,
    Calibration,
    Curve,
    brier,
    calibrations_from_json,
    calibrations_to_json,
    fit,
    log_loss,
    reliability,
    shrunk,
    shrunk_low,
    unknown,
    walk_forward,
    wilson,
)
from workbench.domain import DataError

DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2023-01-01", tz="UTC").as_unit("us")


def curve(scores: list[float], won: list[int] | np.ndarray, breakeven: float = 0.4) -> Curve:
    """The curve that `fit` gives, as known from the start on."""
    kind, (knots, chances) = fit(np.array(scores, float), won, breakeven)
    return Curve(START, kind, len(scores), int(np.sum(won)), knots, chances)


def planted(n: int, seed: int, slope: float = 0.05, middle: float = 60.0) -> tuple[Any, Any, Any]:
    """Scores of 50..70, their true chances (logistic), and outcomes drawn from these."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(50.0, 70.0, n)
    true = 1.0 / (1.0 + np.exp(-slope * (score - middle)))
    return score, true, rng.random(n) < true


# --- known answers -------------------------------------------------------------------------------


def test_brier_and_log_loss_by_their_definition() -> None:
    """(.01 + .64 + .09 + .16) / 4, and the mean of -ln .9, -ln .2, -ln .7 and -ln .6."""
    p, won = np.array([0.9, 0.8, 0.3, 0.6]), [1, 0, 0, 1]
    assert brier(p, won) == pytest.approx((0.01 + 0.64 + 0.09 + 0.16) / 4, abs=1e-12)
    assert log_loss(p, won) == pytest.approx(0.64557475, abs=1e-7)
    assert math.isnan(brier(np.array([]), []))
    assert math.isnan(log_loss(np.array([]), []))


def test_certainty_that_was_wrong_has_a_finite_log_loss() -> None:
    assert log_loss(np.array([1.0]), [0]) == pytest.approx(-math.log(1e-15), rel=1e-3)


def test_a_hit_rate_shrinks_towards_its_prior() -> None:
    """30 of 60 with Beta(8, 12): (30 + 8) / 80, and the 10 % quantile of Beta(38, 42)."""
    assert shrunk(30, 60, 0.4) == pytest.approx(0.475, abs=1e-12)
    assert shrunk_low(30, 60, 0.4) == pytest.approx(0.40373182, abs=1e-6)
    assert shrunk(0, 0, 0.4) == pytest.approx(0.4)


def test_wilson_gives_the_textbook_interval() -> None:
    assert wilson(30, 60) == pytest.approx((0.377, 0.623), abs=5e-4)
    assert wilson(36, 60) == pytest.approx((0.474, 0.714), abs=5e-4)
    assert all(math.isnan(end) for end in wilson(0, 0))


def test_reliability_counts_each_probability_in_one_bin() -> None:
    """Two in 0.2..0.3 (one won), one at each end of the scale; 1.0 is in the last bin."""
    table = reliability(np.array([0.22, 0.28, 0.0, 1.0]), [1, 0, 0, 1])
    assert table["n"].tolist() == [1, 0, 2, 0, 0, 0, 0, 0, 0, 1]
    third = table.iloc[2]
    assert (third["mean p"], third["hit rate"]) == (pytest.approx(0.25), 0.5)
    assert (third["low"], third["high"]) == pytest.approx(wilson(1, 2))
    assert table.loc[1, ["mean p", "hit rate", "low", "high"]].isna().all()
    assert (table.loc[9, "from"], table.loc[9, "to"]) == (0.9, 1.0)


# --- one curve -----------------------------------------------------------------------------------


def test_few_outcomes_say_one_chance_whatever_the_score() -> None:
    """(54 + 8) / (150 + 20) at every score."""
    scores = np.linspace(50.0, 70.0, 150)
    found = curve(scores.tolist(), np.arange(150) < 54)
    assert found.kind == "shrunk"
    assert found.chance(np.array([0.0, 55.0, 100.0])) == pytest.approx(62 / 170)


@pytest.mark.parametrize(
    ("n", "kind"), [(199, "shrunk"), (200, "platt"), (999, "platt"), (1_000, "isotonic")]
)
def test_how_much_of_the_score_is_believed_grows_with_the_outcomes(n: int, kind: str) -> None:
    score, _, won = planted(n, 1, slope=0.3)
    assert curve(score.tolist(), won).kind == kind


@pytest.mark.parametrize("n", [150, 500, 5_000])
def test_a_higher_score_never_means_less(n: int) -> None:
    """Also where the outcomes say that it does: then the score counts for nothing."""
    for slope in (-0.3, 0.0, 0.02, 0.3):
        score, _, won = planted(n, 2, slope=slope)
        found = curve(score.tolist(), won)
        said = found.chance(np.linspace(0.0, 100.0, 2_001))
        assert (np.diff(said) >= 0.0).all()
        assert ((said > 0.0) & (said < 1.0)).all()
        if slope < 0.0:
            assert np.ptp(said) < 0.05


@pytest.mark.parametrize("n", [1, 250, 2_000])
def test_scores_that_are_all_alike_have_one_chance(n: int) -> None:
    found = curve([55.0] * n, np.arange(n) % 2 == 0)
    assert found.kind == "shrunk"
    assert found.chance(np.array([10.0, 55.0])) == pytest.approx(shrunk((n + 1) // 2, n, 0.4))


@pytest.mark.parametrize("n", [300, 1_500])
@pytest.mark.parametrize("outcome", [True, False])
def test_outcomes_that_are_all_alike_make_no_certainty(n: int, outcome: bool) -> None:
    score, _, _ = planted(n, 3)
    said = curve(score.tolist(), np.full(n, outcome)).chance(score)
    assert ((said > 0.0) & (said < 1.0)).all()


def test_perfectly_told_outcomes_make_no_certainty_either() -> None:
    """Platt's smoothed targets and the shrunk steps keep them off 0 and 1."""
    for n in (400, 1_500):
        score = np.linspace(50.0, 70.0, n)
        said = curve(score.tolist(), score > 60.0).chance(score)
        assert 0.0 < said.min() < 0.05
        assert 0.95 < said.max() < 1.0


def test_platts_curve_is_the_logistic_of_the_smoothed_targets() -> None:
    """Against a plain Newton iteration on Platt's own loss; between the ends to rounding."""
    score, _, won = planted(400, 4, slope=0.15)
    wins = int(won.sum())
    target = np.where(won, (wins + 1) / (wins + 2), 1 / (400 - wins + 2))
    x = np.column_stack([score - 60.0, np.ones(400)])
    w = np.zeros(2)
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-x @ w))
        w += np.linalg.solve(x.T @ (x * (p * (1.0 - p))[:, None]), x.T @ (target - p))
    inside = np.linspace(score.min(), score.max(), 101)
    expected = 1.0 / (1.0 + np.exp(-(w[0] * (inside - 60.0) + w[1])))
    found = curve(score.tolist(), won)
    np.testing.assert_allclose(found.chance(inside), expected, atol=1e-6)
    assert found.chance(np.array([0.0]))[0] == pytest.approx(expected[0], abs=1e-6)
    assert len(found.scores) == 2


def test_isotonic_steps_are_the_pooled_ones_shrunk() -> None:
    """The pattern 0 1 0 1 1 0 pools to 0, 1/2, 2/3: each score 250 times, so that the last three
    are one step, and each step shrunk by 20 outcomes at the level of them all."""
    scores = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 250)
    won = np.repeat([0, 1, 0, 1, 1, 0], 250)
    level = (750 + 20 * 0.4) / 1_520
    found = curve(scores.tolist(), won)
    steps = [
        (20 * level) / 270, (250 + 20 * level) / 520, (500 + 20 * level) / 770
    ]  # fmt: skip
    expected = [steps[0], steps[1], steps[1], steps[2], steps[2], steps[2]]
    assert found.chance(np.arange(1.0, 7.0)) == pytest.approx(expected, abs=1e-12)
    assert found.scores == (1.0, 2.0, 3.0, 4.0, 6.0)


def test_two_lucky_trades_at_the_end_of_the_scale_say_little() -> None:
    rng = np.random.default_rng(5)
    score = np.concatenate([rng.uniform(50.0, 69.0, 1_500), [69.5, 70.0]])
    won = np.concatenate([rng.random(1_500) < 0.4, [True, True]])
    said = curve(score.tolist(), won).chance(np.array([70.0]))[0]
    assert said < 0.5


# --- known truths --------------------------------------------------------------------------------


def rmse(p: np.ndarray, true: np.ndarray) -> float:
    return float(np.sqrt(np.mean((p - true) ** 2)))


def test_with_sixty_overconfident_scores_a_constant_is_nearest_to_the_truth() -> None:
    """Raw scores that say far too much: the shrunk base rate has a fraction of their error."""
    raw, said = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        true = np.clip(rng.normal(0.45, 0.05, 60), 0.05, 0.95)
        score = 100.0 * np.clip(true + 3.0 * (true - 0.45) + 0.15, 0.0, 1.0)
        found = curve(score.tolist(), rng.random(60) < true)
        raw.append(rmse(score / 100.0, true))
        said.append(rmse(found.chance(score), true))
    assert np.mean(raw) > 0.18
    assert np.mean(said) < 0.08


@pytest.mark.parametrize(("n", "within"), [(600, 0.06), (8_000, 0.09)])
def test_a_planted_curve_is_recovered(n: int, within: float) -> None:
    """Platt's and the isotonic one (whose steps are coarse at the ends), both far nearer to the
    truth than score / 100."""
    score, true, won = planted(n, 7, slope=0.15, middle=65.0)
    said = curve(score.tolist(), won).chance(score)
    assert np.abs(said - true)[(score > 51.0) & (score < 69.0)].max() < within
    assert rmse(said, true) < 0.2 * rmse(score / 100.0, true)
    assert brier(said, won) < brier(score / 100.0, won)


# --- walk-forward --------------------------------------------------------------------------------


def history(n: int = 2_400, seed: int = 8, slope: float = 0.15) -> dict[str, Any]:
    """Outcomes of two years: a vote every few hours, closed within five days."""
    score, true, won = planted(n, seed, slope=slope, middle=65.0)
    rng = np.random.default_rng(seed + 1)
    voted = START + pd.to_timedelta(np.sort(rng.integers(0, 730 * 24, n)), unit="h")
    closed = voted + pd.to_timedelta(rng.integers(1, 120, n), unit="h")
    return {
        "voted": pd.DatetimeIndex(voted), "closed": pd.DatetimeIndex(closed), "score": score,
        "true": true, "won": won,
    }  # fmt: skip


def walked(told: dict[str, Any]) -> Calibration:
    return walk_forward(told["voted"], told["closed"], told["score"], told["won"], 0.43)


def said_at_votes(told: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """P and the outcomes that it stands on, at every vote."""
    found = walked(told)
    p = found.apply(told["score"][:, None], told["voted"])[:, 0] / 100.0
    return p, found.outcomes(told["voted"])


def test_every_curve_has_the_outcomes_that_had_closed_before_it_and_no_other() -> None:
    told = history()
    found = walked(told)
    assert {c.kind for c in found.curves} == {"shrunk", "platt", "isotonic"}
    for each in found.curves:
        known = told["closed"] < each.since
        assert (each.n, each.wins) == (int(known.sum()), int(told["won"][known].sum()))
        assert (each.since - pd.Timestamp(0, tz="UTC")) % pd.Timedelta("30D") == pd.Timedelta(0)
    assert found.curves[-1].n == len(told["won"])


def test_an_outcome_that_closes_at_the_refit_is_not_yet_known_to_it() -> None:
    tick = pd.Timestamp(0, tz="UTC") + 700 * pd.Timedelta("30D")
    closed = pd.DatetimeIndex([tick - pd.Timedelta("1h"), tick]).as_unit("us")
    found = walk_forward(closed - DAY, closed, np.array([50.0, 60.0]), [True, False], 0.4)
    later = [(c.since, c.n) for c in found.curves[1:]]
    assert later == [(tick, 1), (tick + pd.Timedelta("30D"), 2)]


def test_what_closes_after_a_moment_changes_no_confidence_up_to_it() -> None:
    """Poison: every later outcome is turned over, its score noised, its close moved on."""
    told = history()
    clean, _ = said_at_votes(told)
    rng = np.random.default_rng(9)
    for share in (0.3, 0.6, 0.9):
        moment = told["voted"][int(share * len(told["voted"]))]
        late = told["closed"] > moment
        poisoned = dict(told)
        poisoned["won"] = np.where(late, ~told["won"], told["won"])
        after = late & (told["voted"] > moment)
        poisoned["score"] = np.where(after, rng.uniform(0.0, 100.0, len(late)), told["score"])
        poisoned["closed"] = told["closed"] + pd.to_timedelta(np.where(late, 500, 0), unit="h")
        dirty, _ = said_at_votes(poisoned)
        before = told["voted"] <= moment
        np.testing.assert_array_equal(dirty[before], clean[before])
        assert not np.array_equal(dirty[~before], clean[~before])


def test_walk_forward_the_planted_chance_is_found_and_beats_the_raw_score() -> None:
    """At votes that have a curve: bins agree with their outcomes, the Brier score falls."""
    told = history(6_000)
    p, n = said_at_votes(told)
    known = n >= 1_000
    assert known.mean() > 0.5
    won, raw = told["won"][known], told["score"][known] / 100.0
    assert brier(p[known], won) < brier(raw, won) - 0.01
    assert rmse(p[known], told["true"][known]) < 0.06
    table = reliability(p[known], won)
    filled = table[table["n"] >= 100]
    assert len(filled) >= 4
    assert (
        ((filled["low"] - 0.03) < filled["mean p"]) & (filled["mean p"] < filled["high"] + 0.03)
    ).all()


def test_a_strategy_without_skill_gets_its_base_rate_and_not_its_score() -> None:
    told = history(slope=0.0)
    rng = np.random.default_rng(10)
    told["won"] = rng.random(len(told["won"])) < 0.35
    p, n = said_at_votes(told)
    assert np.abs(p[n >= LEAST] - 0.35).max() < 0.12
    assert abs(p[n >= LEAST].mean() - 0.35) < 0.03
    assert (p[n == 0] <= told["score"][n == 0] / 100.0).all()


def test_too_few_outcomes_only_lower_a_score_and_say_uncalibrated() -> None:
    """Thirty wins of thirty would say 0.76; nobody may bet more for being less known."""
    curve = Curve(START, "shrunk", 30, 30, (60.0,), (0.76,))
    found = Calibration((*unknown(0.4).curves, curve))
    times = pd.DatetimeIndex([START - DAY, START])
    assert found.outcomes(times).tolist() == [0, 0]
    scores = np.array([[51.0, 30.0], [66.0, 90.0]])
    np.testing.assert_allclose(found.apply(scores, times), [[40.0, 30.0], [66.0, 76.0]])


def test_enough_outcomes_may_raise_a_score() -> None:
    curve = Curve(START, "shrunk", LEAST, 100, (60.0,), (0.78,))
    sure = Calibration((curve,)).apply(np.array([[51.0]]), pd.DatetimeIndex([START]))
    np.testing.assert_allclose(sure, [[78.0]])


def test_without_outcomes_a_strategy_breaks_even() -> None:
    none = pd.DatetimeIndex([], tz="UTC")
    found = walk_forward(none, none, np.array([]), [], 0.4)
    assert found == unknown(0.4)
    assert found.outcomes(pd.DatetimeIndex([START])).tolist() == [0]
    assert found.apply(np.array([[55.0]]), pd.DatetimeIndex([START])).tolist() == [[40.0]]


def test_an_outcome_that_closes_with_its_vote_is_refused() -> None:
    at = pd.DatetimeIndex([START])
    with pytest.raises(DataError, match="not after its vote"):
        walk_forward(at, at, np.array([50.0]), [True], 0.4)


# --- as JSON -------------------------------------------------------------------------------------


def test_curves_come_back_from_json_to_the_bit() -> None:
    found = {"one": walked(history()), "none": unknown(0.4)}
    assert calibrations_from_json(json.dumps(calibrations_to_json(found))) == found


def test_a_strategy_without_a_curve_is_refused_and_no_strategy_is_not() -> None:
    """Its confidence would pass for an uncalibrated one, which may be higher than any curve's."""
    with pytest.raises(DataError, match=r"is none: one: .*calibrate again"):
        calibrations_from_json('{"one": []}')
    assert calibrations_from_json("{}") == {}


GOOD: dict[str, Any] = {
    "since": "2023-01-31T00:00:00+00:00", "kind": "isotonic", "n": 1_000, "wins": 400,
    "scores": [50.0, 60.0], "chances": [0.3, 0.5],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"colour": "red"}, "one.0.colour: Extra inputs"),
        ({"chances": [0.3, math.nan]}, "one.0.chances.1"),
        ({"chances": [0.3, 1.5]}, "not within 0..1"),
        ({"chances": [-0.1, 0.5]}, "not within 0..1"),
        ({"chances": [0.5, 0.3]}, "means less"),
        ({"kind": "platt", "chances": [0.0, 0.5]}, "not within 0..1"),
        ({"chances": [0.3]}, "2 scores and 1 chances"),
        ({"scores": [], "chances": []}, "0 scores"),
        ({"scores": [60.0, 50.0]}, "do not ascend"),
        ({"kind": "magic"}, "kind is 'magic'"),
        ({"wins": 1_001}, "cannot have won"),
        ({"n": "1000"}, "one.0.n"),
        ({"since": "2023-01-31T00:00:00"}, "one.0.since"),
    ],
)
def test_a_curve_that_is_none_is_refused_by_name(changed: dict[str, Any], says: str) -> None:
    assert calibrations_from_json(json.dumps({"one": [GOOD]}))["one"].curves[0].n == 1_000
    with pytest.raises(DataError, match=says):
        calibrations_from_json(json.dumps({"one": [GOOD | changed]}))


@pytest.mark.parametrize("text", ["", "[]", '{"one": 1}', '{"one": [{}]}', "nonsense"])
def test_text_that_is_no_calibration_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="the calibration is none"):
        calibrations_from_json(text)


def test_curves_out_of_order_are_refused() -> None:
    later = GOOD | {"since": "2023-03-02T00:00:00+00:00"}
    assert len(calibrations_from_json(json.dumps({"one": [GOOD, later]}))["one"].curves) == 2
    for wrong in ([later, GOOD], [GOOD, GOOD]):
        with pytest.raises(DataError, match="stands after"):
            calibrations_from_json(json.dumps({"one": wrong}))
