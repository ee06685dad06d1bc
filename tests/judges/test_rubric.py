"""The points table, line by line, and what it must never be moved by."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.judges import CALM, a_case, a_headline
from workbench.domain import Case, Decision, Signal, Verdict
from workbench.judges.case import case_hash
from workbench.judges.rubric import TABLE, rubric

HERE = "BTC/USDT"
ONE = Signal("ema_adx", "trend", HERE, 1, 60.0)


def judged(case: Case) -> Verdict:
    (verdict,) = rubric([case])
    return verdict


def points(case: Case) -> int:
    found = re.match(r"(-?\d+) points from 60: ", judged(case).rationale)
    assert found is not None
    return int(found[1])


def known(**features: float | None) -> Case:
    """The calm case in a regime that gives and takes nothing, with these features."""
    return a_case(regime="other", features=CALM | features)


BASE = known()

# what each line says, its points, and a case in which it holds alone
LINES: list[tuple[str, int, Case]] = [
    ("two categories agree", 15,
     replace(BASE, signals=(ONE, Signal("rsi_bounce", "reversion", HERE, 1, 55.0)))),
    ("the regime is calm", 5, replace(BASE, regime="trending")),
    ("the regime is calm", 5, replace(BASE, regime="ranging")),
    ("the market is in high volatility", -15, replace(BASE, regime="high_vol")),
    ("price moved 8 % against it in a day", -25, known(return_24h=-0.081)),
    ("price already ran 10 % its way in a day", -10, known(return_24h=0.101)),
    ("price moved 20 % against it in a week", -10, known(return_7d=-0.201)),
    ("funding says the side is crowded", -10, known(funding=0.00051)),
    ("coins flow the wrong way at exchanges", -10, known(netflow_z=2.01)),
    ("the crowd is at an extreme on its side", -5, known(fear_greed=86.0)),
    ("VIX is above 30", -10, known(vix=30.1)),
    ("the Fed is expected to move 25 bps or more", -5, known(fed_expected_bps=25.0)),
    ("the Fed is expected to move 25 bps or more", -5, known(fed_expected_bps=-25.0)),
    ("a feed is missing or stale", -5, replace(BASE, missing=("vix",))),
    ("the price history is unknown", -60, known(return_24h=None)),
    ("the regime is unknown", -60, replace(BASE, regime="unknown")),
]  # fmt: skip


def test_the_base_case_holds_no_line() -> None:
    assert judged(BASE).rationale == "60 points from 60: no line holds."


@pytest.mark.parametrize(("says", "worth", "case"), LINES)
def test_each_line_fires_by_itself_with_its_points(says: str, worth: int, case: Case) -> None:
    assert judged(case).rationale == f"{60 + worth} points from 60: {says} ({worth:+d})."


def test_three_missing_feeds_cost_more_than_one() -> None:
    case = replace(BASE, missing=("a", "b", "c"))
    assert judged(case).rationale == (
        "50 points from 60: a feed is missing or stale (-5);"
        " three or more feeds are missing or stale (-5)."
    )
    assert points(replace(BASE, missing=("a", "b"))) == 55


def test_every_line_of_the_table_is_tried_here() -> None:
    tried = {says for says, _, _ in LINES} | {"three or more feeds are missing or stale"}
    assert {line.says for line in TABLE} == tried


@pytest.mark.parametrize(
    "features",
    [{"return_24h": -0.08}, {"return_24h": 0.10}, {"return_7d": -0.20}, {"funding": 0.0005},
     {"netflow_z": 2.0}, {"fear_greed": 85.0}, {"vix": 30.0}, {"fed_expected_bps": 24.9}],
)  # fmt: skip
def test_a_value_on_its_line_does_not_cross_it(features: dict[str, float]) -> None:
    assert points(known(**features)) == 60


@pytest.mark.parametrize(
    ("name", "against_long"),
    [("return_24h", -0.081), ("return_24h", 0.101), ("return_7d", -0.201), ("funding", 0.00051),
     ("netflow_z", 2.01)],
)  # fmt: skip
def test_a_short_mirrors_a_long(name: str, against_long: float) -> None:
    """What speaks against a long speaks against a short with its sign turned, and only then."""
    one = ONE._replace(side=-1)
    short = replace(known(**{name: -against_long}), side=-1, signals=(one,))
    assert points(short) == points(known(**{name: against_long})) < 60
    if name != "return_24h":
        same_sign = replace(known(**{name: against_long}), side=-1, signals=(one,))
        assert points(same_sign) == 60


def test_fear_is_an_extreme_for_a_short_and_greed_for_a_long() -> None:
    assert points(replace(known(fear_greed=14.0), side=-1)) == 55
    assert points(known(fear_greed=14.0)) == 60


@pytest.mark.parametrize(
    "other",
    [
        Signal("macd", "trend", HERE, 1, 60.0),
        Signal("rsi_bounce", "reversion", HERE, -1, 60.0),
        Signal("rsi_bounce", "reversion", HERE, 1, 60.0, muted="regime"),
        Signal("carry", "event", HERE, 0, 0.0, exit=True),
    ],
    ids=["same category", "other side", "muted", "exit"],
)
def test_only_a_counted_vote_of_another_category_agrees(other: Signal) -> None:
    assert points(replace(BASE, signals=(ONE, other))) == 60


@pytest.mark.parametrize(
    ("case", "decision", "confidence"),
    [
        (BASE, Decision.PROCEED, 60.0),
        (replace(BASE, missing=("a",)), Decision.REDUCE, 55.0),
        (known(vix=31.0, funding=0.001), Decision.REDUCE, 40.0),
        (known(vix=31.0, funding=0.001, fed_expected_bps=50.0), Decision.SKIP, 35.0),
        (replace(BASE, regime="unknown", missing=("a", "b", "c")), Decision.SKIP, 0.0),
    ],
)
def test_sixty_proceeds_forty_reduces_less_skips(
    case: Case, decision: Decision, confidence: float
) -> None:
    """The confidence is the points, never below 0 however many they lose."""
    verdict = judged(case)
    assert (verdict.decision, verdict.confidence) == (decision, confidence)


def test_every_verdict_says_that_no_model_gave_it() -> None:
    for _, _, case in LINES:
        verdict = judged(case)
        assert verdict.source == "RUBRIC (not an LLM)"
        assert (verdict.prompt_id, verdict.cost_usd) == ("rubric-v1", 0.0)
        assert verdict.case_hash == case_hash(case)


def test_every_case_has_its_verdict_in_its_place() -> None:
    cases = [case for _, _, case in LINES]
    assert rubric(cases) == [judged(case) for case in cases]
    assert rubric(cases) == rubric(cases)
    assert rubric([]) == []


@given(st.lists(st.text(), max_size=5), st.sampled_from(LINES))
@settings(max_examples=150, deadline=None)
def test_no_headline_can_talk_to_it(titles: list[str], line: tuple[str, int, Case]) -> None:
    """Whatever headlines say, however many there are, nothing but the case's hash changes."""
    case = line[2]
    told = replace(
        case,
        headlines=tuple(
            a_headline(title, id=f"{title}{k}", source=title) for k, title in enumerate(titles)
        ),
    )
    assert replace(judged(told), case_hash="") == replace(judged(case), case_hash="")


@given(st.sampled_from([1, -1]), st.lists(st.sampled_from(list(CALM)), unique=True), st.data())
@settings(max_examples=150, deadline=None)
def test_a_missing_feature_never_raises_the_points(
    side: int, lost: list[str], data: st.DataObject
) -> None:
    """Losing features, or their keys, gives at most what any known value of them gave."""
    regime = data.draw(st.sampled_from(["trending", "high_vol", "unknown"]))
    wild = {name: data.draw(st.floats(-1e3, 1e3), label=name) for name in CALM}
    case = replace(a_case(regime=regime), side=side, features=wild)
    gone = {name: None if name in lost else value for name, value in wild.items()}
    without = {name: value for name, value in wild.items() if name not in lost}
    assert points(replace(case, features=gone)) <= points(case)
    assert points(replace(case, features=without)) <= points(case)


def test_an_unknown_number_is_named_with_what_it_costs() -> None:
    """The rationale says that it was not known, not that it was bad."""
    assert judged(known(funding=None)).rationale == ("50 points from 60: funding is unknown (-10).")


def test_a_vote_read_from_words_agrees_with_nobody() -> None:
    """No headline adds a point."""
    words = Signal("news_sentiment", "event", HERE, 1, 60.0, from_text=True)
    assert points(replace(BASE, signals=(ONE, words))) == 60


@pytest.mark.parametrize("features", [{}, {"return_24h": None}, CALM | {"return_24h": None}])
def test_without_price_history_it_skips_even_the_best_case(
    features: dict[str, float | None],
) -> None:
    best = replace(LINES[0][2], regime="trending", features=features)
    assert judged(best).decision is Decision.SKIP


def test_in_an_unknown_regime_it_skips_even_the_best_case() -> None:
    assert judged(replace(LINES[0][2], regime="unknown")).decision is Decision.SKIP


@given(st.sets(st.sampled_from(range(2, len(LINES))), max_size=5))
@settings(deadline=None)
def test_confidence_is_a_percentage_and_the_decision_follows_it(chosen: set[int]) -> None:
    """Lines may add up in any mix."""
    features = dict(CALM)
    missing: tuple[str, ...] = ()
    for case in (LINES[k][2] for k in chosen):
        features |= {k: v for k, v in case.features.items() if v != CALM[k]}  # type: ignore[dict-item]
        missing += case.missing
    verdict = judged(a_case(features=features, missing=missing))
    assert 0.0 <= verdict.confidence <= 100.0
    expected = (
        Decision.SKIP if verdict.confidence < 40
        else Decision.REDUCE if verdict.confidence < 60
        else Decision.PROCEED
    )  # fmt: skip
    assert verdict.decision is expected
