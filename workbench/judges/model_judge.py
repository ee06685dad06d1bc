"""A language model as the judge: it may take risk away and can do nothing else.

Every case is put to it twice, without a stranger's word and whole, and of the two verdicts the
smaller counts: whoever places a headline can lower a size and never raise one. Replies come from a
tape; who may ask a model gives a `Live` as well. A reply that is not to the letter what was asked
for, or is not there, is a SKIP with its code and no veto. Nothing a model says is ever given to
one again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.calibration import Calibration
from workbench.domain import Call, Case, Decision, Verdict
from workbench.judges.answer import SCHEMA, Answer, read_answer
from workbench.judges.asking import Reply
from workbench.judges.case import case_hash, has_words, message, shown_ids
from workbench.judges.live import Live, Question, not_sent
from workbench.judges.models import Model, knowledge
from workbench.judges.prompt import Prompt
from workbench.judges.provider import NOT_SENT, Code, Refused, Request
from workbench.judges.tape import Tape, key_of

NUMBERS, WHOLE = "numbers", "whole"
_ORDER = (Decision.SKIP, Decision.REDUCE, Decision.PROCEED)


@dataclass(frozen=True)
class Terms:
    """What decides a verdict besides the case. `passes` is 2, or 1 to put the case only whole."""

    provider: str
    model: Model
    prompt: Prompt
    passes: int = 2
    calibration: Calibration | None = None

    @property
    def label(self) -> str:
        """Who judges: model and prompt."""
        alone = "" if self.passes == 2 else ", one pass"
        return f"{self.model.id}, {self.prompt.name}/{self.prompt.version}{alone}"


@dataclass(frozen=True)
class Asked:
    """A case, its hash, and the key of each pass over it."""

    case: Case
    hashed: str
    keys: Mapping[str, str]


class ModelJudge:
    """A judge: cases in, verdicts out. Without `live` it replays its tape and asks nobody; with
    `again` it asks even what the tape has.

    `missed` counts the questions that a replay did not find, `asked` those that were sent.
    """

    def __init__(
        self, terms: Terms, tape: Tape, live: Live | None = None, *, again: bool = False
    ) -> None:
        self.terms, self.tape, self.live, self._again = terms, tape, live, again
        self.__name__ = terms.label
        self.missed = self.asked = 0
        tape.refuse_changed(terms.prompt)

    def __call__(self, cases: Sequence[Case]) -> list[Verdict]:
        """A verdict for every case, within the deadline of the `Live`."""
        asked = [keyed(self.terms, case) for case in cases]
        if self.live is not None:
            self.tape.catch_up()
        told = {key: reply for each in asked for key in each.keys.values()
                if (reply := self._on_tape(key))}  # fmt: skip
        fresh: dict[str, Reply] = {}
        if self.live is not None:
            missing = {
                key: question(self.terms, each, shown)
                for each in asked
                for shown, key in each.keys.items()
                if key not in told
            }
            fresh = self._ask(self.live, list(missing.values()))
        return [self._verdict(each, told, fresh) for each in asked]

    def questions(self, cases: Sequence[Case]) -> list[Question]:
        """What would have to be asked about these cases: all that is not on the tape."""
        return [
            question(self.terms, asked, shown)
            for asked in (keyed(self.terms, case) for case in cases)
            for shown, key in asked.keys.items()
            if self.tape.get(key) is None
        ]

    def _on_tape(self, key: str) -> Reply | None:
        """What counts of the tape: a replay takes all of it, who can ask asks again what was never
        sent."""
        reply = self.tape.get(key)
        if self.live is not None and (self._again or (reply and reply.code in NOT_SENT)):
            return None
        return reply

    def _ask(self, live: Live, missing: list[Question]) -> dict[str, Reply]:
        """Ask, and keep what came before anybody acts on it."""
        if not missing:
            return {}
        at = live.now()
        self.tape.use(self.terms.prompt, at)
        replies = live.ask(missing)
        self.asked += sum(1 for reply in replies if reply.code not in NOT_SENT)
        self.tape.add(
            [(q.request.key, q.about, reply) for q, reply in zip(missing, replies, strict=True)], at
        )
        return {q.request.key: reply for q, reply in zip(missing, replies, strict=True)}

    def _verdict(
        self, asked: Asked, told: dict[str, Reply], fresh: dict[str, Reply]
    ) -> Verdict:  # fmt: skip
        case, heard = asked.case, list[tuple[Call, Answer | None]]()
        for shown, key in asked.keys.items():
            reply = fresh.get(key) or told.get(key)
            self.missed += reply is None
            call, answer = read(reply or not_sent(Code.TAPE_MISS), case, shown)
            heard.append((self._priced(call, reply, taped=key in told), answer))
        calls = tuple(call for call, _ in heard)
        common: dict[str, Any] = {
            "source": self.terms.label, "case_hash": asked.hashed,
            "prompt_id": self.terms.prompt.id, "cost_usd": sum(call.cost_usd for call in calls),
            "latency_s": max(call.latency_s for call in calls), "calls": calls,
            "model": self.terms.model.id, "knowledge": self._knowledge(case, calls),
        }  # fmt: skip
        answers = [answer for _, answer in heard if answer is not None]
        if len(answers) < len(heard):
            failed = next(call for call in calls if call.code)
            why = f"Not judged, {failed.code}: {failed.says}."
            return Verdict(Decision.SKIP, 0.0, why, code=failed.code, **common)
        # of two equal ones the whole case's, which comes last
        strictest = min(reversed(answers), key=lambda answer: _ORDER.index(answer.decision))
        confidence = float(min(answer.confidence for answer in answers))
        chance, outcomes = self._calibrated(confidence, case.as_of)
        return Verdict(
            strictest.decision, confidence, strictest.rationale,
            evidence_ids=strictest.evidence_ids, chance=chance, outcomes=outcomes, **common,
        )  # fmt: skip

    def _priced(self, call: Call, reply: Reply | None, *, taped: bool) -> Call:
        if reply is None:
            return call
        cost = reply.cost_nano_usd / 1e9
        return call._replace(cost_usd=cost, latency_s=reply.latency_s, taped=taped)

    def _knowledge(self, case: Case, calls: Sequence[Call]) -> str:
        """May the model have been trained on what came of the case? Of one that answered under
        another name nothing is known."""
        mine = self.terms.model.id
        if any(
            call.model not in ("", mine) and not call.model.startswith(f"{mine}-") for call in calls
        ):
            return "unknown"
        return knowledge(self.terms.model, case.as_of)

    def _calibrated(self, confidence: float, as_of: pd.Timestamp) -> tuple[float | None, int]:
        """P(win) by the curve known at the time, and the outcomes it stands on, if they are
        enough."""
        if self.terms.calibration is None:
            return None, 0
        at = pd.DatetimeIndex([as_of])
        outcomes = int(self.terms.calibration.outcomes(at)[0])
        if not outcomes:
            return None, 0
        sure = self.terms.calibration.apply(np.array([[confidence]]), at)
        return float(sure[0, 0]) / 100.0, outcomes


def keyed(terms: Terms, case: Case) -> Asked:
    """A case with its keys. One without words is put once: what is read then is what is read beside
    any news."""
    shown = [WHOLE] if terms.passes == 1 else [NUMBERS]
    if terms.passes == 2 and has_words(case):
        shown.append(WHOLE)
    hashed = case_hash(case)
    keys = {s: key_of(terms.provider, terms.model.id, terms.prompt, hashed, s) for s in shown}
    return Asked(case, hashed, keys)


def question(terms: Terms, asked: Asked, shown: str) -> Question:
    """One pass over one case, as it is sent."""
    case, prompt, words = asked.case, terms.prompt, shown == WHOLE
    request = Request(
        asked.keys[shown], terms.model.id, prompt.text, message(case, words=words), SCHEMA,
        prompt.max_tokens, prompt.effort,
    )  # fmt: skip
    about = {
        "case": asked.hashed, "as_of": case.as_of, "symbol": case.symbol, "shown": shown,
        "provider": terms.provider, "model": terms.model.id, "prompt": prompt.id,
    }  # fmt: skip
    return Question(request, shown_ids(case, words=words), about)


def read(reply: Reply, case: Case, shown: str) -> tuple[Call, Answer | None]:
    """A reply as the record of a call, and the answer in it if there is one."""
    said = reply.said
    call = Call(shown, str(reply.code), reply.says, attempts=reply.attempts)
    if said is not None:
        call = call._replace(
            model=said.model, request_id=said.request_id, stop_reason=said.stop_reason
        )
        if said.usage is not None:
            call = call._replace(**vars(said.usage))
    if reply.code or said is None:
        return call._replace(code=call.code or Code.NO_MESSAGE.value), None
    try:
        answer = read_answer(said.text, shown_ids(case, words=shown == WHOLE))
    except Refused as no:
        return call._replace(code=no.code.value, says=no.says), None
    return call._replace(
        decision=answer.decision.value, confidence=float(answer.confidence)
    ), answer
