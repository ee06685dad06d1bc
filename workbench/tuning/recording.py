"""A history's cases put on tape: what would have to be asked, what it may cost, and the asking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from workbench.domain import Case, Verdict
from workbench.judges.constant import always
from workbench.judges.live import Question
from workbench.judges.model_judge import ModelJudge
from workbench.ports import Progress
from workbench.research.history import judged_proposal

if TYPE_CHECKING:
    from workbench.data.snapshot import World
    from workbench.desk import Desk


def history_cases(desk: Desk, world: World, progress: Progress | None = None) -> list[list[Case]]:
    """Every case that a judge of this desk would be shown in this world, a list a bar. They do not
    depend on what any judge says."""
    bars: list[list[Case]] = []

    def note(cases: Sequence[Case]) -> list[Verdict]:
        bars.append(list(cases))
        return always(cases)

    judged_proposal(replace(desk, judge=note), world, progress)
    return [bar for bar in bars if bar]


@dataclass(frozen=True)
class Estimate:
    """What recording would ask and cost at most, asked one by one and as a batch."""

    cases: int
    questions: int
    most_usd: float
    most_usd_batch: float


def estimate(judge: ModelJudge, bars: Sequence[Sequence[Case]]) -> Estimate:
    """By a bound, a token for every byte: what is billed is commonly a third of it."""
    found = [q for bar in bars for q in judge.questions(bar)]
    model = judge.terms.model
    return Estimate(
        sum(map(len, bars)),
        len(found),
        sum(model.worst(q.request) for q in found) / 1e9,
        sum(model.worst(q.request, batch=True) for q in found) / 1e9,
    )


def unasked(judge: ModelJudge, bars: Sequence[Sequence[Case]]) -> list[Question]:
    """The questions that the tape does not have, each once."""
    found = {q.request.key: q for bar in bars for q in judge.questions(bar)}
    return list(found.values())
