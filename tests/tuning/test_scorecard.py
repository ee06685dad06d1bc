"""What a veto was worth: by hand, and with judges whose worth is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from tests.panels import MISSING, flat, world
from workbench.domain import Costs, Decision, Limits
from workbench.research.history import JUDGED
from workbench.tuning.scorecard import (
    ALWAYS,
    COIN,
    by_chance,
    deal,
    resolved,
    scorecard,
    telling,
)

NAN = math.nan
X = "X/USDT"
START = pd.Timestamp("2024-03-01 06:00", tz="UTC")
DAYS, A_DAY = 150, 3


def cases(kept: Sequence[float], returns: Sequence[float], a_day: int = 1) -> pd.DataFrame:
    """Resolved cases, `a_day` on each day from 1 March 2024 on, with stakes of 500."""
    n = len(kept)
    return pd.DataFrame(
        {
            "t": np.arange(n) * 24 // a_day,
            "time": START + pd.to_timedelta(np.arange(n) // a_day, unit="D"),
            "symbol": X,
            "source": "TEST",
            "kept": np.asarray(kept, float),
            "return": np.asarray(returns, float),
            "stake": 500.0,
        }
    )


def returns(seed: int, mean: float = -0.001) -> np.ndarray:
    """Like a stop and ladder's: a common part a day, and an own one."""
    rng = np.random.default_rng(seed)
    common = np.repeat(rng.normal(0.0, 0.01, DAYS), A_DAY)
    return mean + common + rng.normal(0.0, 0.02, DAYS * A_DAY)


# --- by hand -------------------------------------------------------------------------------------


def test_the_figures_of_five_cases() -> None:
    """One proceeded and won, one halved and lost, one vetoed would have won, one proceeded and
    lost, and one is not resolved."""
    card = scorecard(cases([1.0, 0.5, 0.0, 1.0, 0.0], [0.02, -0.01, 0.03, -0.02, NAN]))
    judge = card.loc["TEST"]
    assert (judge["cases"], judge["resolved"], judge["days"]) == (5, 4, 4)
    assert judge["vetoed"] == pytest.approx(1.5 / 4.0)
    assert judge["mean kept"] == pytest.approx((0.02 - 0.005 - 0.02) / 2.5)
    assert judge["mean vetoed"] == pytest.approx((-0.005 + 0.03) / 1.5)
    assert judge["sum kept"] == pytest.approx(-0.005)
    assert judge["worth"] == pytest.approx(-0.025)
    assert judge["worth_quote"] == pytest.approx(-12.5)
    assert judge["says"] == "too few to tell: cases on fewer than 10 days"


def test_the_worth_is_what_is_kept_against_taking_everything() -> None:
    card = scorecard(cases([1.0, 0.5, 0.0, 1.0], [0.02, -0.01, 0.03, -0.02]))
    gained = card.loc["TEST", "sum kept"] - card.loc[ALWAYS, "sum kept"]
    assert card.loc["TEST", "worth"] == pytest.approx(gained)
    assert card.loc[ALWAYS, "sum kept"] == pytest.approx(0.02)
    assert card.loc[ALWAYS, ["vetoed", "worth", "worth_quote"]].tolist() == [0.0, 0.0, 0.0]


def test_the_coin_vetoes_as_much_and_is_worth_the_mean_of_all_deals() -> None:
    """Two of four vetoed: over all six deals the mean worth is half of what everything lost."""
    card = scorecard(cases([1.0, 0.0, 0.0, 1.0], [0.02, -0.01, 0.03, -0.08]))
    assert card.loc[COIN, "vetoed"] == card.loc["TEST", "vetoed"] == 0.5
    assert card.loc[COIN, "worth"] == pytest.approx(0.5 * 0.04)
    assert card.loc[COIN, "low"] == pytest.approx(-0.05)  # vetoed both that gained
    assert card.loc[COIN, "high"] == pytest.approx(0.09)  # vetoed both that lost


def test_the_chance_of_a_deal_as_good_is_counted_exactly() -> None:
    """The one loss of four vetoed: a quarter of all deals, and no shift in time, is as good."""
    kept, r = np.array([1.0, 0.0, 1.0, 1.0]), np.array([0.1, -0.1, 0.1, 0.1])
    chance = by_chance(kept, r, deal(kept, r, seed=0, coins=20_000))
    assert chance["p coin"] == pytest.approx(0.25, abs=0.01)
    assert chance["p rotated"] == 1.0 / 4.0  # three shifts and the judge itself


# --- judges whose worth is known -----------------------------------------------------------------


def test_a_perfect_judge_is_worth_every_loss_and_beats_every_coin() -> None:
    r = returns(1)
    judge = scorecard(cases((r > 0.0).astype(float), r, A_DAY)).loc["TEST"]
    assert judge["worth"] == pytest.approx(-r[r < 0.0].sum())
    assert 0.0 < judge["low"] < judge["worth"] < judge["high"]
    assert judge["p coin"] == pytest.approx(1.0 / 2_001.0)
    assert judge["p rotated"] <= 0.01
    assert judge["says"] == "worth more than a coin, on these cases"


def test_an_inverse_judge_costs_every_gain_and_loses_to_every_coin() -> None:
    r = returns(1, mean=0.0)
    judge = scorecard(cases((r < 0.0).astype(float), r, A_DAY)).loc["TEST"]
    assert judge["worth"] == pytest.approx(-r[r > 0.0].sum())
    assert judge["low"] < judge["worth"] < judge["high"] < 0.0
    assert judge["p coin"] == judge["p rotated"] == 1.0
    assert judge["says"] == "it cost money: the whole interval is below 0"


def test_a_useless_judge_is_not_shown_to_be_worth_anything() -> None:
    rng = np.random.default_rng(3)
    kept = rng.choice([0.0, 0.5, 1.0], DAYS * A_DAY)
    judge = scorecard(cases(kept, returns(1, mean=0.0), A_DAY)).loc["TEST"]
    assert judge["low"] < 0.0 < judge["high"]
    assert judge["says"] == "not shown to be worth anything: the interval contains 0"


def test_vetoing_blindly_what_loses_on_average_spares_losses_but_beats_no_coin() -> None:
    """The interval alone would praise it."""
    rng = np.random.default_rng(3)
    kept = rng.choice([0.0, 1.0], DAYS * A_DAY)
    judge = scorecard(cases(kept, returns(1, mean=-0.02), A_DAY)).loc["TEST"]
    assert judge["low"] > 0.0
    assert judge["p coin"] > 0.05
    assert judge["says"] == "it spared losses, but no more than a coin would have"


def test_useless_judges_pass_as_rarely_as_the_chance_says() -> None:
    """Of 200 that veto by the case, some 5 % have a chance of at most 5 %. Of 200 that veto whole
    days, far more beat the coin; shifting their verdicts in time holds them."""
    passed = {"by case": 0, "coin, by day": 0, "rotated, by day": 0}
    rng = np.random.default_rng(11)
    for seed in range(200):
        r = np.repeat(rng.normal(0.0, 0.02, 80), 3)
        cases_, days_ = rng.choice([0.0, 1.0], 240), np.repeat(rng.choice([0.0, 1.0], 80), 3)
        by_case = by_chance(cases_, r, deal(cases_, r, seed, 200))
        by_day = by_chance(days_, r, deal(days_, r, seed, 200))
        passed["by case"] += by_case["p coin"] <= 0.05
        passed["coin, by day"] += by_day["p coin"] <= 0.05
        passed["rotated, by day"] += by_day["p rotated"] <= 0.05
    assert 2 <= passed["by case"] <= 20
    assert passed["coin, by day"] > 24
    assert 2 <= passed["rotated, by day"] <= 20


# --- cases that nobody judged --------------------------------------------------------------------


def with_failures(made: pd.DataFrame, failed: Sequence[bool]) -> pd.DataFrame:
    """Some of them were skipped because nobody answered."""
    gone = np.asarray(failed)
    return made.assign(
        code=np.where(gone, "DEADLINE", ""), kept=np.where(gone, 0.0, made["kept"]),
        source=np.where(gone, "nobody", made["source"]),
    )  # fmt: skip


def test_a_failsafe_skip_earns_no_veto_value() -> None:
    """Every failure met a loss: the card is that of the others alone, and counts them apart."""
    r = returns(1)
    kept = np.random.default_rng(3).choice([0.0, 1.0], len(r))
    made = with_failures(cases(kept, r, A_DAY), r < -0.02)
    card = scorecard(made)
    judged = scorecard(made[made["code"] == ""])
    figures = [name for name in card.columns if name not in {"cases", "failed"}]
    pd.testing.assert_frame_equal(card[figures], judged[figures])
    gone = int((r < -0.02).sum())
    assert gone > 20
    assert (card["failed"] == gone).all()
    assert (card["resolved"] == len(r) - gone).all()
    assert (judged["failed"] == 0).all()


def test_a_frame_without_codes_is_judged_throughout() -> None:
    card = scorecard(cases([1.0, 0.0], [0.02, -0.01]))
    assert card["failed"].tolist() == [0, 0, 0]
    assert card["resolved"].tolist() == [2, 2, 2]


def test_a_judge_that_never_answered_is_said_to_have_judged_nothing() -> None:
    r = returns(1)
    card = scorecard(with_failures(cases(np.zeros(len(r)), r, A_DAY), np.ones(len(r), bool)))
    assert card.index[0] == "nobody"
    assert card["says"].iloc[0] == "nobody judged a case"
    assert card[["worth", "low", "vetoed"]].isna().all(axis=None)


def test_a_failsafe_skip_is_nobodys_best_veto() -> None:
    made = with_failures(cases([0.0, 0.0, 1.0], [-0.05, -0.01, 0.02]), [True, False, False])
    assert dict(telling(made)["shown"]) == {1: "best veto"}


# --- little to judge -----------------------------------------------------------------------------


def test_a_judge_that_vetoes_nothing_is_worth_nothing_without_a_warning() -> None:
    r = returns(2)
    judge = scorecard(cases(np.ones(len(r)), r, A_DAY)).loc["TEST"]
    assert judge[["vetoed", "worth", "low", "high"]].tolist() == [0.0, 0.0, 0.0, 0.0]
    assert judge[["mean vetoed", "p coin", "p rotated"]].isna().all()
    assert judge["says"] == "it took nothing away"


def test_the_judge_that_always_proceeds_is_its_own_baseline() -> None:
    r = returns(2)
    card = scorecard(cases(np.ones(len(r)), r, A_DAY).assign(source=ALWAYS))
    assert list(card.index) == [ALWAYS, COIN]
    assert card.loc[ALWAYS, "says"] == "it took nothing away"
    assert card.loc[COIN, ["worth", "low", "high"]].tolist() == [0.0, 0.0, 0.0]


def test_a_judge_that_vetoes_everything_lets_no_mean_through() -> None:
    r = returns(2)
    judge = scorecard(cases(np.zeros(len(r)), r, A_DAY)).loc["TEST"]
    assert judge["worth"] == pytest.approx(-r.sum())
    assert math.isnan(judge["mean kept"])
    assert math.isnan(judge["p coin"])


@pytest.mark.parametrize("some", [cases([], []), cases([1.0, 0.0], [NAN, NAN])])
def test_without_resolved_cases_the_figures_are_not_numbers(some: pd.DataFrame) -> None:
    card = scorecard(some)
    assert (card["cases"] == len(some)).all()
    assert (card["resolved"] == 0).all()
    assert card[["vetoed", "worth", "low", "high", "worth_quote", "p coin"]].isna().all(axis=None)
    assert card["says"].iloc[0] == "no case is resolved"
    assert card.index[0] == ("TEST" if len(some) else "nobody")


def test_the_same_cases_in_any_order_make_the_same_card() -> None:
    r = returns(4)
    kept = np.random.default_rng(1).choice([0.0, 0.5, 1.0], len(r))
    made = cases(kept, r, A_DAY)
    pd.testing.assert_frame_equal(
        scorecard(made), scorecard(made.sample(frac=1.0, random_state=1)), rtol=1e-9
    )
    pd.testing.assert_frame_equal(scorecard(made), scorecard(made))


# --- the cases -----------------------------------------------------------------------------------


def judged(*rows: tuple[int, str]) -> pd.DataFrame:
    """Rows as `History.judged` has them: (t, decision) for longs of X."""
    said = {"side": 1, "regime": "ranging", "confidence": 50.0, "rationale": "because",
            "source": "TEST", "symbol": X, "cost_usd": 0.0}  # fmt: skip
    cells = [
        {**dict.fromkeys(JUDGED, ""), **said, "t": t, "time": START + t * pd.Timedelta("1h"),
         "decision": word, "case_hash": f"{t}"}
        for t, word in rows
    ]  # fmt: skip
    return pd.DataFrame(cells, columns=list(JUDGED))


def test_a_case_is_joined_with_what_its_entry_would_have_come_to() -> None:
    """Bars: a stop, a rung and a trail, and one whose next open is missing."""
    story = [
        *flat(bars=2), (100.0, 100.0, 97.0, 97.0), *flat(97.0, bars=2), MISSING,
        *flat(97.0, bars=3),
    ]  # fmt: skip
    free = Costs(half_spread=0.0, impact=0.0, taker_fee=0.0, maker_fee=0.0)
    rows = judged((0, "SKIP"), (3, "REDUCE"), (4, "PROCEED"), (6, "MAYBE"))
    made = resolved(rows, world({X: story}).panel, Limits(), free, capital=20_000.0, reduce=0.3)
    assert list(made.columns[: len(JUDGED)]) == list(JUDGED)
    assert made["kept"].tolist() == [0.0, 0.3, 1.0, 0.0]  # what is no verdict keeps nothing
    assert made["reason"].tolist() == ["stop", "open", "void", "open"]
    assert made["return"].tolist()[0] == pytest.approx(-0.02, rel=1e-12)
    assert made["return"].isna().tolist() == [False, True, True, True]
    assert (made["stake"] == 1_000.0).all()
    assert {d.value for d in Decision} == {"PROCEED", "REDUCE", "SKIP"}


def test_no_cases_at_all_make_an_empty_card() -> None:
    """The frame that a history has when nobody wanted anything."""
    made = resolved(pd.DataFrame([], columns=list(JUDGED)), world({X: flat(bars=3)}).panel)
    assert made.empty
    assert scorecard(made)["says"].tolist()[0] == "no case is resolved"


# --- what teaches most ---------------------------------------------------------------------------


def test_the_telling_cases_are_the_best_and_the_worst_veto_and_a_loss_let_through() -> None:
    """A halved veto counts half: row 1 spared 0.01, row 3 spared 0.02."""
    made = cases([1.0, 0.5, 0.0, 0.0, 1.0, 0.0], [-0.01, -0.02, 0.03, -0.02, -0.02, NAN])
    rows = telling(made)
    assert dict(rows["shown"]) == {3: "best veto", 2: "worst veto", 4: "a loss let through"}
    assert rows.loc[2, "return"] == 0.03


def test_a_telling_case_that_does_not_exist_is_left_out() -> None:
    assert telling(cases([1.0, 1.0], [0.01, NAN])).empty
    assert telling(cases([], [])).empty
    assert list(telling(cases([0.0, 1.0], [-0.01, 0.02]))["shown"]) == ["best veto"]
