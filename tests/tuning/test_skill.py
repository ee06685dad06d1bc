"""How good confidences are: by hand, and what is said of judges whose skill is plain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.domain import DataError
from workbench.tuning.scorecard import scorecard
from workbench.tuning.skill import Skill, by_knowledge, skill

NAN = math.nan
START = pd.Timestamp("2026-09-01 06:00", tz="UTC")


def cases(
    confidence: Sequence[float], won: Sequence[Any], a_day: int = 1, **changed: Any
) -> pd.DataFrame:
    """Resolved cases, `a_day` on each day; what won made 2.7 %, what lost cost 2.3 %."""
    n = len(confidence)
    t = np.arange(n) * 24 // a_day
    plain = {
        "t": t, "time": START + pd.to_timedelta(np.arange(n) // a_day, unit="D"),
        "symbol": [f"C{k % a_day}" for k in range(n)], "source": "TEST", "code": "",
        "knowledge": "", "confidence": np.asarray(confidence, float), "stake": 500.0,
        "kept": np.where(np.asarray(confidence) > 45.0, 1.0, 0.0),
        "return": np.where(np.asarray(won, bool), 0.027, -0.023),
    }  # fmt: skip
    return pd.DataFrame({**plain, **changed})


def measured(*args: Any, resamples: int = 400, **changed: Any) -> Skill:
    return skill(cases(*args, **changed), resamples=resamples)


def lucky(n: int, chance: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(n) < chance


# --- by hand -------------------------------------------------------------------------------------


def test_the_figures_of_four_outcomes() -> None:
    """Said 20, 40, 40, 80 %; the second and the last won. Of four pairs of a winner and a loser
    three are in order and one is even. Bins 0.2, 0.4 and 0.8 came 0, 1/2 and 1."""
    found = measured([20, 40, 40, 80], [False, True, False, True])
    assert (found.n, found.days, found.base_rate, found.said) == (4, 4, 0.5, pytest.approx(0.45))
    assert found.auc == pytest.approx(3.5 / 4)
    assert found.brier == pytest.approx((0.04 + 0.36 + 0.16 + 0.04) / 4)
    assert found.reliability == pytest.approx((0.04 + 2 * 0.01 + 0.04) / 4)
    assert found.resolution == pytest.approx((0.25 + 0.25) / 4)
    assert found.uncertainty == 0.25
    assert found.within_bins == pytest.approx(0.0)
    assert found.skill == pytest.approx(1.0 - 0.15 / 0.25)
    assert found.ece == pytest.approx((0.2 + 2 * 0.1 + 0.2) / 4)
    assert found.table["n"].tolist() == [0, 0, 1, 0, 2, 0, 0, 0, 1, 0]
    assert found.says == "not yet known: 4 outcomes, 120 are needed"


def test_the_parts_of_the_brier_score_add_up_where_a_bin_holds_several_confidences() -> None:
    """61 and 69 % in one bin, the surer one lost: its mean 0.65 hides a remainder."""
    found = measured([61, 69, 30, 30], [True, False, False, True])
    assert found.within_bins == pytest.approx((0.39**2 + 0.69**2 - 2 * (0.15**2 + 0.25)) / 4)
    parts = found.reliability - found.resolution + found.uncertainty + found.within_bins
    assert parts == pytest.approx(found.brier)


def test_only_answered_and_resolved_cases_count_whatever_was_decided() -> None:
    good = cases([20, 40, 40, 80], [False, True, False, True])
    failed = good.assign(code="DEADLINE", confidence=0.0)
    pending = good.assign(**{"return": NAN})
    mixed = pd.concat([failed, good, pending], ignore_index=True)
    assert skill(mixed).figures() == pytest.approx(skill(good).figures(), nan_ok=True)


def test_a_perfect_forecaster_of_even_chances_stays_within_the_binomial() -> None:
    """100 independent even chances: the hit rate is off by less than 1.96 x 0.05 in 95 %."""
    found = measured([50] * 100, lucky(100, 0.5, 1), resamples=4_000)
    assert found.ece_null == pytest.approx(0.098, abs=0.012)


def test_four_coins_with_the_same_outcomes_are_one_outcome_a_day() -> None:
    """Neither the intervals nor the perfect forecaster get any surer by the copies."""
    said = np.random.default_rng(5).integers(2, 9, 150) * 10.0
    won = lucky(150, 0.5, 6)
    one = measured(said, won)
    four = measured(np.repeat(said, 4), np.repeat(won, 4), a_day=4)
    assert (four.n, four.days) == (600, 150)
    for name in ("auc_low", "auc_high", "skill_low", "skill_high"):
        assert getattr(four, name) == pytest.approx(getattr(one, name))
    assert four.ece_null == pytest.approx(one.ece_null, rel=0.1)


def test_a_confidence_that_is_none_is_refused() -> None:
    with pytest.raises(DataError, match=r"C0 at .* is 140"):
        measured([20, 140], [False, True])


# --- what is said --------------------------------------------------------------------------------


def test_below_120_outcomes_even_perfection_is_not_yet_known() -> None:
    won = lucky(120, 0.5, 2)
    said = np.where(won, 90, 10)
    assert measured(said[:119], won[:119]).says == "not yet known: 119 outcomes, 120 are needed"
    assert measured(said, won).says.startswith("it tells winners from losers, on these cases;")


def test_few_days_are_not_yet_known_however_many_cases() -> None:
    won = lucky(180, 0.5, 2)
    found = measured(np.where(won, 90, 10), won, a_day=20)
    assert found.says == "not yet known: outcomes on fewer than 10 days"
    assert math.isnan(found.auc_low)
    assert math.isnan(found.skill_low)


def test_where_everything_won_nothing_is_known() -> None:
    found = measured([60] * 150, [True] * 150)
    assert found.says == "not yet known: hardly any of them won, or hardly any lost"
    assert math.isnan(found.auc)
    assert math.isnan(found.skill)


def test_a_judge_that_knows_the_winners_and_says_so_rightly_is_praised_for_both() -> None:
    rng = np.random.default_rng(5)
    chance = rng.choice([0.2, 0.8], 400)
    found = measured(100 * chance, rng.random(400) < chance)
    assert found.says == (
        "it tells winners from losers, on these cases; its chances are better than the base rate;"
        " no miscalibration is shown"
    )
    assert found.ece < found.ece_null
    assert found.auc_low < found.auc < found.auc_high


def test_an_overconfident_judge_is_told_to_be_calibrated() -> None:
    """It says 50 where 30 came and 90 where 50 did."""
    rng = np.random.default_rng(4)
    high = rng.random(600) < 0.5
    won = rng.random(600) < np.where(high, 0.5, 0.3)
    found = measured(np.where(high, 90, 50), won)
    assert found.says.startswith("it tells winners from losers, on these cases; its chances are")
    assert "worse than the base rate" in found.says
    assert found.says.endswith(
        f"what it says is not what comes: on average {found.said - won.mean():+.1%}, so calibrate"
        " it"
    )
    assert found.ece > 2 * found.ece_null


def test_a_judge_that_is_surer_of_losers_is_not_praised() -> None:
    won = lucky(300, 0.5, 7)
    found = measured(np.where(won, 40, 60), won)
    assert found.says.startswith("it is surer of the losers than of the winners; its chances are")
    assert "worse than the base rate" in found.says


def test_a_judge_that_always_says_the_same_knows_nothing() -> None:
    found = measured([50] * 300, lucky(300, 0.5, 8))
    assert (found.auc, found.auc_low, found.auc_high) == (0.5, 0.5, 0.5)
    assert math.isnan(found.p_rotated)
    assert found.says.startswith("not shown to tell winners from losers: the AUC's interval")
    assert "not shown to be better than the base rate" in found.says


def test_without_outcomes_nothing_is_a_number_and_nothing_warns() -> None:
    found = measured([], [])
    assert found.says == "not yet known: 0 outcomes, 120 are needed"
    words = {"n", "days", "says"}
    assert all(math.isnan(v) for name, v in found.figures().items() if name not in words)


def test_the_same_cases_in_any_order_are_the_same_skill() -> None:
    made = cases(np.random.default_rng(1).integers(0, 101, 200), lucky(200, 0.4, 9), a_day=4)
    mixed = made.sample(frac=1.0, random_state=1)
    assert skill(mixed, 3, 200).figures() == pytest.approx(skill(made, 3, 200).figures())


# --- by what the model may remember --------------------------------------------------------------


def remembering() -> pd.DataFrame:
    """300 cases of which it knows how they went, then 40 of which nobody knows whether it does,
    then 300 clean ones of which it knows nothing."""
    tag = np.repeat(["contaminated", "unknown", "clean"], [300, 40, 300])
    won = lucky(640, 0.45, 10)
    blind = np.random.default_rng(11).integers(20, 80, 640)
    said = np.where(tag == "contaminated", np.where(won, 80, 20), blind)
    return cases(said, won, a_day=2, knowledge=tag)


def test_the_headline_is_of_clean_cases_alone_and_the_gap_is_told() -> None:
    made = remembering()
    found = by_knowledge(made, resamples=400, coins=100)
    clean = made[made["knowledge"] == "clean"]
    assert found.headline.figures() == pytest.approx(skill(clean, resamples=400).figures())
    pd.testing.assert_frame_equal(found.card, scorecard(clean, coins=100))
    assert found.table["n"].to_dict() == {"clean": 300, "contaminated": 300, "unknown": 40}
    assert found.table.loc["contaminated", "auc"] == 1.0
    gap = found.gap.loc["AUC"]
    assert gap["gap"] == pytest.approx(1.0 - found.headline.auc)
    assert 0.0 < gap["low"] < gap["gap"] < gap["high"]
    assert found.says == (
        f"clean cases only: {found.headline.says}; outcomes left out: 300 contaminated, 40 unknown;"
        " it does better where it may remember the outcomes: do not count on that part"
    )


def test_a_gap_that_may_be_luck_is_not_called_memory() -> None:
    made = remembering()
    blind = made.assign(confidence=np.random.default_rng(12).integers(20, 80, 640).astype(float))
    found = by_knowledge(blind, resamples=400, coins=100)
    assert found.gap.loc["AUC", "low"] < 0.0 < found.gap.loc["AUC", "high"]
    assert "remember" not in found.says


def test_a_gap_on_few_clean_cases_is_not_spoken_of() -> None:
    found = by_knowledge(remembering().iloc[:459], resamples=400, coins=100)
    assert found.headline.n == 119
    assert found.gap.loc["AUC", "low"] > 0.0
    assert "remember" not in found.says


def test_a_tag_that_nobody_knows_is_no_clean_case() -> None:
    made = remembering()
    odd = made.assign(knowledge=made["knowledge"].replace("clean", "Clean"))
    found = by_knowledge(odd, resamples=200, coins=100)
    assert found.headline.n == 0
    assert found.table.loc["unknown", "n"] == 340


def test_a_model_that_may_remember_everything_has_no_headline() -> None:
    made = remembering()
    found = by_knowledge(made[made["knowledge"] == "contaminated"], resamples=400, coins=100)
    assert found.headline.n == 0
    assert found.says.startswith("clean cases only: not yet known: 0 outcomes")
    assert found.card["says"].iloc[0] == "no case is resolved"
    assert found.table.index.tolist() == ["clean", "contaminated"]
    assert found.gap[["low", "high"]].isna().all(axis=None)


def test_where_no_model_was_asked_all_cases_are_the_headline() -> None:
    untagged = remembering().assign(knowledge="")
    for made in (untagged, untagged.drop(columns="knowledge")):
        found = by_knowledge(made, resamples=200, coins=100)
        assert found.headline.n == 640
        assert found.says == found.headline.says
        assert found.gap.empty
        assert found.table.index.tolist() == ["not tagged"]
