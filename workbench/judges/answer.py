"""What a model has to answer, and the one validator that believes it or does not.

The schema goes to the provider, which may or may not hold the model to it; what counts is read
here, to the letter. A text with anything around its JSON, a key too many or too few or twice, a
number where a whole number was asked for, an id that was not shown: none of it is an answer.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workbench.domain import Decision
from workbench.judges.provider import Code, Refused
from workbench.judges.refusals import one_line

MOST_RATIONALE = 600
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {  # reasons first: what is written last follows from what was written before
        "rationale": {"type": "string", "description": "At most 80 words."},
        "evidence_ids": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Ids of the items shown that the decision rests on, exactly as shown.",
        },
        "confidence": {
            "type": "integer",
            "description": "0 to 100: the chance in percent that this trade, entered now with this"
            " bracket, closes net positive after costs. Asked whatever the decision is.",
        },
        "decision": {"type": "string", "enum": [decision.value for decision in Decision]},
    },
    "required": ["rationale", "evidence_ids", "confidence", "decision"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Answer:
    """A model's answer to one case."""

    decision: Decision
    confidence: int
    rationale: str
    evidence_ids: tuple[str, ...]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    rationale: Annotated[str, Field(min_length=1, max_length=MOST_RATIONALE)]
    evidence_ids: Annotated[list[str], Field(max_length=60)]
    confidence: Annotated[int, Field(ge=0, le=100)]
    decision: str


def read_answer(text: str, shown: Collection[str]) -> Answer:
    """The answer in a model's text, if it is one and rests on ids that were `shown`.

    Raises Refused with INVALID or EVIDENCE.
    """
    try:
        found = _Shape.model_validate(
            json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        )
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise Refused(Code.INVALID, one_line(f"{where}: {first['msg']}")) from None
    except (ValueError, RecursionError) as wrong:
        says = one_line(f"no JSON object and nothing else: {wrong}")
        raise Refused(Code.INVALID, says) from None
    if not found.rationale.strip():
        raise Refused(Code.INVALID, "rationale: it says nothing")
    if found.decision not in list(Decision):
        raise Refused(Code.INVALID, one_line(f"decision: {found.decision[:60]!r} is none"))
    unknown = next((id for id in found.evidence_ids if id not in shown), None)
    if unknown is not None:
        raise Refused(Code.EVIDENCE, f"it names {unknown[:60]!r}, which it was not shown")
    decision = Decision(found.decision)
    return Answer(decision, found.confidence, found.rationale, tuple(found.evidence_ids))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are there once: of two readings the kinder one must not be taken."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")
