"""One verdict on a page: its grounds resolve, and a stranger's text stays text."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.judges import a_headline
from tests.judges.judging import VOTES, worded
from workbench.domain import Call, Case, Decision, Judgement, Verdict
from workbench.judges.case import case_hash
from workbench.views.judgement import judgement

CALLS = (
    Call("numbers", decision="PROCEED", confidence=58.0, model="claude-haiku-5-5", attempts=1,
         input_tokens=900, output_tokens=210, cache_read_tokens=1_100, cost_usd=0.000206,
         latency_s=2.1),
    Call("whole", decision="REDUCE", confidence=47.0, model="claude-haiku-5-5", attempts=2,
         input_tokens=1_900, output_tokens=260, cost_usd=0.00032, latency_s=3.4),
)  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</td></table><b>",
    "&lt;b&gt;",
)


def judged(case: Case | None = None, **changed: object) -> Judgement:
    case = case or worded()
    verdict = Verdict(
        Decision.REDUCE, 47.0, "Flows contradict the votes.", "claude-haiku-5-5, evaluator/1",
        case_hash(case), ("ema_adx", "h1", "funding"), "evaluator/1 0123", 0.000526, 3.4,
        model="claude-haiku-5-5", knowledge="clean", calls=CALLS,
    )  # fmt: skip
    return Judgement(case, replace(verdict, **changed))  # type: ignore[arg-type]


class Seen(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.text = set[str](), ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def page(of: Judgement) -> Seen:
    return Seen(str(judgement(of).data))


def test_the_verdict_its_votes_its_grounds_and_its_bill_are_on_it() -> None:
    text = page(judged()).text
    for said in (
        "REDUCE", "long BTC/USDT", "claude-haiku-5-5, evaluator/1", "Flows contradict the votes.",
        "ema_adx", "61 % of 300", "news_sentiment", "57 uncalibrated", "Bitcoin holds steady",
        "confidence 47, uncalibrated", "0.000526 USD, 3.4 s", "numbers alone", "PROCEED at 58",
        "the whole case", "2,000", "1,100", "later than all that the model was trained on",
    ):  # fmt: skip
        assert said in text, said


def test_every_id_that_it_rests_on_is_resolved_or_said_to_be_missing() -> None:
    text = page(judged(evidence_ids=("ema_adx", "funding", "h1", "h99"))).text
    assert "trend vote, +1 at 61" in text
    assert "0.0001" in text
    assert "wire, first seen 2024-03-05 12:00: Bitcoin holds steady" in text
    assert text.count("NOT FOUND in the case") == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_a_strangers_text_stays_text(text: str) -> None:
    """Wherever it stands: titles, sources, ids, names, the rationale, codes."""
    case = worded(
        text, headlines=(a_headline(text, id=text, source=text),), features={text: 1.0},
        missing=(text,), silent=(text,), regime=text,
        signals=(VOTES[0]._replace(strategy=text, category=text),),
    )  # fmt: skip
    calls = (CALLS[0]._replace(code=text, says=text),)
    seen = page(judged(case, rationale=text, source=text, evidence_ids=(text,), calls=calls))
    assert seen.tags == page(judged()).tags
    assert seen.text.count(text) >= 8


def test_a_case_that_nobody_judged_shows_its_code_and_no_decision() -> None:
    why = "Not judged, DEADLINE: no answer within the deadline."
    seen = page(judged(decision=Decision.SKIP, code="DEADLINE", rationale=why, confidence=0.0))
    assert seen.text.startswith("DEADLINE")
    assert "confidence" not in seen.text.split("Who voted")[0]


def test_a_model_that_may_remember_is_marked_and_a_calibrated_one_says_what_it_stands_for() -> None:
    text = page(judged(knowledge="contaminated", chance=0.44, outcomes=312)).text
    assert "CONTAMINATED: the model may remember how this went" in text
    assert "confidence 47, which has meant 44% over 312 outcomes" in text


def test_the_rubrics_points_are_no_confidence_and_cost_nothing() -> None:
    text = page(judged(model="", knowledge="", calls=(), source="RUBRIC (not an LLM)")).text
    assert "47 points, no probability" in text
    assert "What was asked" not in text


def test_withheld_headlines_are_counted() -> None:
    assert "2 withheld: they read like instructions" in page(judged(worded(withheld=2))).text
