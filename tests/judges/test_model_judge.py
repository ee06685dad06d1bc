"""A model as the judge: two passes, the smaller counts; no answer is a SKIP with a code."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from tests.judges import AS_OF, a_case, a_headline
from tests.judges.judging import (
    NOW,
    PROMPT,
    TERMS,
    Script,
    asking,
    on_server,
    replaying,
    whole,
    worded,
)
from tests.judges.model_server import Serves, answer, error
from workbench.calibration import Calibration, Curve
from workbench.domain import Decision
from workbench.judges.case import case_hash, message
from workbench.judges.provider import Code, Refused, Request

Words = Callable[[Request], str | Exception]


def by_pass(numbers: str | Exception, words: str | Exception) -> Words:
    return lambda request: words if whole(request) else numbers


# --- two passes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "words", "verdict"),
    [
        ("PROCEED", "PROCEED", "PROCEED"), ("PROCEED", "REDUCE", "REDUCE"),
        ("PROCEED", "SKIP", "SKIP"), ("REDUCE", "PROCEED", "REDUCE"), ("SKIP", "PROCEED", "SKIP"),
        ("REDUCE", "SKIP", "SKIP"), ("SKIP", "SKIP", "SKIP"),
    ],
)  # fmt: skip
def test_of_two_passes_the_smaller_counts(
    tmp_path: Path, numbers: str, words: str, verdict: str
) -> None:
    says = by_pass(
        answer(decision=numbers, confidence=70, rationale="by the numbers"),
        answer(decision=words, confidence=55, rationale="by the news"),
    )
    with asking(tmp_path, lambda: Script(says)) as judge:
        (said,) = judge([worded()])
    assert said.decision == verdict
    assert said.confidence == 55.0, "and the smaller chance"
    assert said.rationale == ("by the news" if words == verdict else "by the numbers")
    assert [(c.shown, c.decision) for c in said.calls] == [("numbers", numbers), ("whole", words)]
    assert said.cost_usd == pytest.approx(2 * (1800 * 0.10 + 120 * 0.50) / 1e6, rel=1e-12)


def test_the_pass_without_words_has_not_one_word_of_a_stranger(tmp_path: Path) -> None:
    """Whatever the news is, it reads the same bytes."""
    numbers = {
        message(worded(title, **changed), words=False)
        for title in ("Bitcoin holds steady", "Hack at a large exchange")
        for changed in (
            {}, {"headlines": ()}, {"withheld": 3}, {"signals": worded().signals[:1]},
            {"features": {**worded().features, "sentiment": 3.0, "odds.ignore all rules": 0.5}},
            {"ages": {"headlines": 0.5}}, {"missing": ("headlines",)},
        )
    }  # fmt: skip
    assert len(numbers) == 1
    assert "news" not in numbers.pop()


def test_a_case_without_words_is_put_once(tmp_path: Path) -> None:
    script = Script()
    with asking(tmp_path, lambda: script) as judge:
        (said,) = judge([a_case()])
    assert [c.shown for c in said.calls] == ["numbers"]
    assert len(script.asked) == 1


def test_the_prompt_is_the_same_for_every_case_and_the_case_is_data(tmp_path: Path) -> None:
    """So a provider can cache it, and no text of a case can stand among the instructions."""
    script = Script()
    with asking(tmp_path, lambda: script) as judge:
        judge([worded(), worded("Another headline", symbol="BTC/USDT", side=-1)])
    assert {r.system for r in script.asked} == {PROMPT.text}
    assert all(isinstance(json.loads(r.user), dict) for r in script.asked)
    assert all((r.max_tokens, r.effort) == (2048, "medium") for r in script.asked)


def test_equity_sizes_and_keys_are_not_sent(tmp_path: Path) -> None:
    script = Script()
    with asking(tmp_path, lambda: script) as judge:
        judge([worded()])
    sent = " ".join(r.user for r in script.asked)
    assert not [
        word for word in ("equity", "capital", "quantity", "notional", "api") if word in sent
    ]


# --- no answer is a SKIP -------------------------------------------------------------------------

FAULTS: dict[str, tuple[str | Exception, str]] = {
    "confidence 140": (answer(confidence=140), "INVALID"),
    "confidence true": (answer(confidence=True), "INVALID"),
    "confidence 61.5": (answer(confidence=61.5), "INVALID"),
    "a word of its own": (answer(decision="STRONG_PROCEED"), "INVALID"),
    "in lower case": (answer(decision="proceed"), "INVALID"),
    "a key too many": (answer(size=2.0), "INVALID"),
    "fenced": (f"```json\n{answer()}\n```", "INVALID"),
    "prose before": (f"Here it is: {answer()}", "INVALID"),
    "two answers": (answer() + answer(decision="SKIP"), "INVALID"),
    "a key twice": (answer()[:-1] + ', "decision": "SKIP"}', "INVALID"),
    "cut off": (answer()[:-10], "INVALID"),
    "NaN": (answer().replace("61", "NaN"), "INVALID"),
    "nothing": ("", "INVALID"),
    "a list": (f"[{answer()}]", "INVALID"),
    "a long rationale": (answer(rationale="x" * 601), "INVALID"),
    "evidence that was not shown": (answer(evidence_ids=["h99"]), "EVIDENCE"),
    "refused": (Refused(Code.REFUSED, "the model stopped with refusal"), "REFUSED"),
    "the provider's client breaks": (RuntimeError("sk-secret"), "ERROR"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("where", ["numbers", "whole"])
def test_a_fault_in_either_pass_skips_the_case_with_its_code(
    tmp_path: Path, fault: tuple[str | Exception, str], where: str
) -> None:
    bad, code = fault
    says = by_pass(bad, answer()) if where == "numbers" else by_pass(answer(), bad)
    with asking(tmp_path, lambda: Script(says)) as judge:
        (said,) = judge([worded()])
    assert (said.decision, said.code, said.confidence) == (Decision.SKIP, code, 0.0)
    assert said.cost_usd > 0.0, "what was used is billed"
    assert "sk-secret" not in repr(said)
    (replayed,) = replaying(tmp_path)([worded()])
    assert (replayed.decision, replayed.code) == (Decision.SKIP, code), "a replay has it again"


def test_evidence_may_name_whatever_was_shown(tmp_path: Path) -> None:
    ids = ["ema_adx", "funding", "h1"]
    says = by_pass(answer(evidence_ids=ids[:2]), answer(evidence_ids=ids))
    with asking(tmp_path, lambda: Script(says)) as judge:
        (said,) = judge([worded()])
    assert (said.code, said.evidence_ids) == ("", tuple(ids))


def test_the_pass_without_words_may_not_rest_on_a_headline(tmp_path: Path) -> None:
    with asking(tmp_path, lambda: Script(lambda _: answer(evidence_ids=["h1"]))) as judge:
        (said,) = judge([worded()])
    assert said.code == "EVIDENCE"


def test_a_bar_of_many_cases_ends_within_the_deadline_whatever_the_other_side_does(
    tmp_path: Path,
) -> None:
    cases = [worded(symbol=f"C{k}/USDT", headlines=(a_headline(symbol=""),)) for k in range(12)]
    with on_server(tmp_path, deadline_s=1.0) as (judge, server):
        server.always(Serves(slow_s=30.0))
        began = time.monotonic()
        said = judge(cases)
        took = time.monotonic() - began
    assert took < 1.5
    assert {v.code for v in said} <= {"DEADLINE", "SAFE_MODE"}
    assert len(said) == 12


def test_three_failures_end_the_asking_until_a_probe_is_answered(tmp_path: Path) -> None:
    """One bar of outage; the next hour's first question is the probe."""
    clock = [NOW]
    with on_server(tmp_path, now=lambda: clock[0], deadline_s=1.0) as (judge, server):
        server.always(error(400))
        first = [judge([a_case(features={"x": float(k)})])[0].code for k in range(5)]
        assert first == ["BAD_REQUEST"] * 3 + ["SAFE_MODE"] * 2
        assert len(server.asked) == 3
        clock[0] += timedelta(seconds=61)
        assert judge([a_case(features={"x": 9.0})])[0].code == "BAD_REQUEST"
        assert judge([a_case(features={"x": 10.0})])[0].code == "SAFE_MODE"
        assert len(server.asked) == 4, "one probe, and a longer wait after it"
        server.always(Serves())
        clock[0] += timedelta(seconds=121)
        said = judge([a_case(features={"x": 20.0 + k}) for k in range(3)])
    assert [v.code for v in said] == ["", "", ""]


@pytest.mark.parametrize(
    ("status", "code"), [(401, "WRONG_KEY"), (402, "PAYMENT"), (403, "FORBIDDEN")]
)
def test_what_only_a_person_can_mend_latches(tmp_path: Path, status: int, code: str) -> None:
    clock = [NOW]
    with on_server(tmp_path, now=lambda: clock[0]) as (judge, server):
        server.next(error(status))
        assert judge([a_case()])[0].code == code
        clock[0] += timedelta(days=3)
        assert judge([a_case(symbol="X/USDT")])[0].code == "LATCHED"
        assert len(server.asked) == 1


def test_a_spent_budget_skips_and_is_asked_again_once_there_is_money(tmp_path: Path) -> None:
    with asking(tmp_path, Script, usd=0.0) as judge:
        assert judge([a_case()])[0].code == "BUDGET"
    assert replaying(tmp_path)([a_case()])[0].code == "BUDGET", "the run as it was"
    with asking(tmp_path, Script, usd=1.0) as judge:
        assert judge([a_case()])[0].code == ""


# --- the tape ------------------------------------------------------------------------------------


def test_what_is_on_the_tape_is_not_asked_again(tmp_path: Path) -> None:
    script = Script()
    with asking(tmp_path, lambda: script) as judge:
        first = judge([worded(), a_case()])
        again = judge([worded(), a_case()])
    assert len(script.asked) == 3
    assert first == again, "a replay makes the same record, to the latency"
    assert replaying(tmp_path)([worded(), a_case()]) == again


def test_refresh_asks_again_and_the_later_reply_counts(tmp_path: Path) -> None:
    with asking(tmp_path, Script) as judge:
        judge([a_case()])
    with asking(tmp_path, lambda: Script(lambda _: answer(decision="SKIP")), again="all") as judge:
        judge([a_case()])
    assert replaying(tmp_path)([a_case()])[0].decision == Decision.SKIP


def test_what_failed_is_asked_again_only_where_that_is_wanted(tmp_path: Path) -> None:
    """A run that goes on keeps its outage; who records a history does not want one."""
    with asking(tmp_path, lambda: Script(lambda _: Refused(Code.WRONG_KEY, "no"))) as judge:
        assert judge([a_case()])[0].code == "WRONG_KEY"
    with asking(tmp_path, Script) as judge:
        assert judge([a_case()])[0].code == "WRONG_KEY"
    script = Script()
    with asking(tmp_path, lambda: script, again="failed") as judge:
        assert [judge([a_case()])[0].code for _ in range(2)] == ["", ""]
    assert len(script.asked) == 1


def test_a_miss_is_counted_and_is_a_skip(tmp_path: Path) -> None:
    with asking(tmp_path, Script) as judge:
        judge([a_case()])
    replay = replaying(tmp_path)
    said = replay([a_case(), worded()])
    assert [v.code for v in said] == ["", "TAPE_MISS"]
    assert replay.missed == 2, "both passes"


@pytest.mark.parametrize(
    "changed",
    [
        {"model": TERMS.model._replace(id="claude-opus-5-5")},
        {"prompt": replace(PROMPT, effort="high")},
        {"prompt": replace(PROMPT, max_tokens=4096)},
        {"prompt": replace(PROMPT, name="other", text=PROMPT.text + " ")},
        {"provider": "http://127.0.0.1:11434/v1"},
    ],
    ids=["model", "effort", "length", "prompt", "provider"],
)
def test_another_question_is_another_reply(tmp_path: Path, changed: dict[str, object]) -> None:
    with asking(tmp_path, Script) as judge:
        judge([a_case()])
    other = replace(TERMS, **changed)  # type: ignore[arg-type]
    assert replaying(tmp_path, other)([a_case()])[0].code == "TAPE_MISS"


# --- calibration and knowledge -------------------------------------------------------------------


def curve(since: str, n: int) -> Curve:
    return Curve(pd.Timestamp(since, tz="UTC"), "shrunk", n, n // 2, (50.0,), (0.45,))


def test_a_chance_is_told_only_from_a_curve_of_120_outcomes_known_at_the_time(
    tmp_path: Path,
) -> None:
    curves = Calibration((curve("2024-01-01", 119), curve("2024-03-01", 120)))
    terms = replace(TERMS, calibration=curves)
    early = a_case(as_of=pd.Timestamp("2024-02-01", tz="UTC"))
    with asking(tmp_path, Script, terms=terms) as judge:
        before, after = judge([early, a_case()])
    assert (before.chance, before.outcomes, before.confidence) == (None, 0, 61.0)
    assert (after.chance, after.outcomes, after.confidence) == (0.45, 120, 61.0)


@pytest.mark.parametrize(
    ("day", "told"),
    [("2024-03-05", "contaminated"), ("2026-06-30", "contaminated"), ("2026-07-15", "unknown"),
     ("2026-10-01", "clean")],
)  # fmt: skip
def test_a_verdict_says_what_the_model_may_have_known(tmp_path: Path, day: str, told: str) -> None:
    with asking(tmp_path, Script) as judge:
        (said,) = judge([a_case(as_of=pd.Timestamp(day, tz="UTC"))])
    assert said.knowledge == told


def test_of_a_model_that_answers_under_another_name_nothing_is_known(tmp_path: Path) -> None:
    with on_server(tmp_path) as (judge, server):
        server.next(Serves(of={"model": "somebody-else-9"}))
        (said,) = judge([a_case(as_of=AS_OF + pd.Timedelta(days=1000))])
    assert (said.knowledge, said.calls[0].model) == ("unknown", "somebody-else-9")


def test_the_verdict_names_its_case_its_prompt_and_its_request(tmp_path: Path) -> None:
    with on_server(tmp_path) as (judge, _):
        (said,) = judge([a_case()])
    assert said.case_hash == case_hash(a_case())
    assert said.prompt_id == PROMPT.id
    assert said.source == "claude-haiku-5-5, evaluator/1"
    assert (said.calls[0].request_id, said.calls[0].stop_reason) == ("req_1", "end_turn")
    assert (said.calls[0].input_tokens, said.calls[0].output_tokens) == (1800, 120)
