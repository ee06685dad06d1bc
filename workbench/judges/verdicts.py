"""What a model's replies come to: pure, the same for a live reply and for one from a tape.

Every case is put to a model twice, without a stranger's word and whole, and of the two verdicts the
smaller counts: whoever places a headline can lower a size and never raise one above what the
numbers alone would have left. A reply that is not to the letter what was asked for, or is not
there, is a SKIP with its code and no veto.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.calibration import Calibration, calibrations_to_json
from workbench.domain import Call, Case, Decision, Verdict
from workbench.judges.answer import SCHEMA, Answer, read_answer
from workbench.judges.asking import Reply
from workbench.judges.case import case_hash, has_words, message, shown_ids
from workbench.judges.live import Question, not_sent
from workbench.judges.models import Model, knowledge
from workbench.judges.prompt import Prompt
from workbench.judges.provider import Code, Refused, Request
from workbench.judges.tape import key_of

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

    @property
    def name(self) -> str:
        """The same with all that another run of it would have to share: the prompt's own bytes, and
        the curves that its confidences are read by."""
        curves = json.dumps(
            calibrations_to_json({"": self.calibration}) if self.calibration else {}
        )
        known = hashlib.sha256(curves.encode()).hexdigest()[:8] if self.calibration else "none"
        return f"{self.label} ({self.prompt.id.split()[-1]}, calibration {known})"


@dataclass(frozen=True)
class Asked:
    """A case, its hash, and the key of each pass over it."""

    case: Case
    hashed: str
    keys: Mapping[str, str]


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
    call = Call(
        shown, str(reply.code), reply.says, attempts=reply.attempts,
        cost_usd=reply.cost_nano_usd / 1e9, latency_s=reply.latency_s,
    )  # fmt: skip
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


def verdict(
    terms: Terms, asked: Asked, told: Mapping[str, Reply]
) -> Verdict:  # fmt: skip
    """What the replies `told`, by key, come to; one that is not there is a TAPE_MISS."""
    heard = [
        read(told.get(key) or not_sent(Code.TAPE_MISS), asked.case, shown)
        for shown, key in asked.keys.items()
    ]
    calls = tuple(call for call, _ in heard)
    common: dict[str, Any] = {
        "source": terms.label, "case_hash": asked.hashed, "prompt_id": terms.prompt.id,
        "cost_usd": sum(call.cost_usd for call in calls),
        "latency_s": max(call.latency_s for call in calls), "calls": calls,
        "model": terms.model.id, "knowledge": _knowledge(terms.model, asked.case, calls),
    }  # fmt: skip
    answers = [answer for _, answer in heard if answer is not None]
    if len(answers) < len(heard):
        failed = next(call for call in calls if call.code)
        why = f"Not judged, {failed.code}: {failed.says}."
        return Verdict(Decision.SKIP, 0.0, why, code=failed.code, **common)
    # of two equal ones the whole case's, which comes last
    strictest = min(reversed(answers), key=lambda answer: _ORDER.index(answer.decision))
    confidence = float(min(answer.confidence for answer in answers))
    chance, outcomes = _calibrated(terms.calibration, confidence, asked.case.as_of)
    return Verdict(
        strictest.decision, confidence, strictest.rationale,
        evidence_ids=strictest.evidence_ids, chance=chance, outcomes=outcomes, **common,
    )  # fmt: skip


def _knowledge(model: Model, case: Case, calls: Sequence[Call]) -> str:
    """May the model have been trained on what came of the case? Of one that answered under
    another name nothing is known."""
    others = {call.model for call in calls if not call.code} - {model.id}
    dated = re.compile(rf"{re.escape(model.id)}-(\d{{8}}|\d{{4}}-\d{{2}}-\d{{2}})")
    if not all(dated.fullmatch(other) for other in others):
        return "unknown"
    return knowledge(model, case.as_of)


def _calibrated(
    curves: Calibration | None, confidence: float, as_of: pd.Timestamp
) -> tuple[float | None, int]:
    """P(win) by the curve known at the time, and the outcomes it stands on, if they are enough."""
    at = pd.DatetimeIndex([as_of])
    outcomes = 0 if curves is None else int(curves.outcomes(at)[0])
    if curves is None or not outcomes:
        return None, 0
    sure = curves.apply(np.array([[confidence]]), at)
    return float(sure[0, 0]) / 100.0, outcomes
