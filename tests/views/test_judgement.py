"""One verdict on a page: its grounds resolve, and a stranger's text stays text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.judges import a_headline
from tests.judges.judging import VOTES, worded
from workbench.domain import Call, Case, Decision, Judgement, Verdict
from workbench.judges.case import case_hash
from workbench.views.charts import GREY
from workbench.views.judgement import COLORS, judgement

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
        self.tags, self.all_tags, self.text = set[str](), list[object](), ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.all_tags.append((tag, attrs))
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
        "confidence 47, uncalibrated", "0.000526 USD, 3.4 s when it was asked", "numbers alone",
        "PROCEED at 58", "the whole case", "2,000 in (1,100 cached), 210 out", "3.4 s, 2 attempts",
        "1,900 in, 260 out", "7 numbers, 1 headline", "prompt evaluator/1 0123",
        "clean: later than all that the model was trained on",
    ):  # fmt: skip
        assert said in text, said


def test_every_id_that_it_rests_on_is_resolved_or_said_to_be_missing() -> None:
    text = page(judged(evidence_ids=("ema_adx", "funding", "h1", "h99"))).text
    assert "trend vote, +1 at 61" in text
    assert "0.0001" in text
    assert "wire, first seen 2024-03-05 12:00: Bitcoin holds steady" in text
    assert text.count("NOT FOUND in the case") == 1


def everywhere(text: str) -> Judgement:
    """In titles, sources, ids, names, the rationale, codes."""
    case = worded(
        text, headlines=(a_headline(text, id=text, source=text),), features={text: 1.0},
        missing=(text,), silent=(text,), regime=text, symbol=text, ages={text: 1.0},
        signals=(VOTES[0]._replace(strategy=text, category=text, muted=text),),
        bracket={text: 0.01},
    )  # fmt: skip
    calls = (CALLS[0]._replace(code=text, says=text, request_id=text),)
    return judged(
        case, rationale=text, source=text, evidence_ids=(text,), calls=calls, prompt_id=text,
        code=text, knowledge=text,
    )  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_strangers_text_stays_text(text: str) -> None:
    seen = page(everywhere(text))
    assert seen.text.count(text) >= 18
    assert not seen.tags & {"script", "img"}


@given(
    st.text(st.sampled_from("<>/&;\"'=! -#xabdiv\u202e\u2066\u200b\x00\r\U000e0041"), min_size=1)
)
def test_no_text_makes_a_tag_or_hides_or_turns_what_follows(text: str) -> None:
    said, calm = str(judgement(everywhere(text)).data), str(judgement(everywhere("a")).data)
    assert Seen(said).all_tags == Seen(calm).all_tags
    assert not set(said) & set("\u202e\u2066\u200b\x00\r\U000e0041")


def test_what_is_hidden_is_shown_by_its_number_and_other_scripts_are_left_alone() -> None:
    text = page(judged(rationale="Do not \u202epiks\u202c this", source="\u0646\u200c\u0645")).text
    assert "Do not [U+202E]piks[U+202C] this" in text
    assert "\u0646\u200c\u0645" in text


def test_a_case_that_nobody_judged_shows_its_code_and_no_decision() -> None:
    why = "Not judged, DEADLINE: no answer within the deadline."
    seen = page(judged(decision=Decision.SKIP, code="DEADLINE", rationale=why, confidence=0.0))
    assert seen.text.startswith("DEADLINE")
    assert GREY in str(seen.all_tags[2])
    assert not [color for color in COLORS.values() if color in str(seen.all_tags)]
    assert "confidence" not in seen.text.split("Who voted")[0]


def test_a_model_that_may_remember_is_marked_and_a_calibrated_one_says_what_it_stands_for() -> None:
    text = page(judged(knowledge="contaminated", chance=0.44, outcomes=312)).text
    assert "CONTAMINATED: the model may remember how this went" in text
    assert "UNKNOWN whether the model remembers" in page(judged(knowledge="unknown")).text
    assert "confidence 47, which has meant 44% over 312 outcomes" in text


def test_the_rubrics_points_are_no_confidence_and_cost_nothing() -> None:
    text = page(judged(model="", knowledge="", calls=(), source="RUBRIC (not an LLM)")).text
    assert "47 points, no probability" in text
    assert "What was asked" not in text
    assert " USD," not in text


def test_what_was_never_asked_has_no_bill() -> None:
    calls = (Call("numbers", "TAPE_MISS", "it is not on the tape"),)
    text = page(judged(code="TAPE_MISS", calls=calls, cost_usd=0.0, latency_s=0.0)).text
    assert "when it was asked" not in text
    assert "TAPE_MISS: it is not on the tape" in text
    assert "nobody was asked" in text


@dataclass(frozen=True)
class World:
    source: str
    synthetic: bool


def test_a_world_that_was_made_up_says_so() -> None:
    made, told = World("SYNTHETIC sample world", True), World("kraken, recorded", False)
    assert "SYNTHETIC sample world" in Seen(str(judgement(judged(), made).data)).text
    assert "SYNTHETIC" not in str(judgement(judged(), told).data)


def test_withheld_headlines_are_counted() -> None:
    assert "2 withheld: they read like instructions" in page(judged(worded(withheld=2))).text
