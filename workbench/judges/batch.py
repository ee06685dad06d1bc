"""Years of cases at half the price: message batches, answered within a day, onto the tape.

What is sent is on the tape before anybody waits, so that any process can collect it. Its whole
worst case is held in the budget until then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from workbench.errors import DataError, UsageError
from workbench.judges.asking import Purse, Reply
from workbench.judges.live import Live, Question
from workbench.judges.models import Model, known
from workbench.judges.provider import Batches, Code, Refused, Request, Said
from workbench.judges.tape import Sent, Tape

MOST = 5_000  # requests in one batch; providers allow more, and a smaller one is answered sooner
WAIT_S = 120.0  # to hand a batch in, or to fetch it


@dataclass(frozen=True)
class Collected:
    """What came of a batch: how many questions it had and how many are answered, its cost."""

    batch: str
    replies: int
    answered: int
    cost_nano_usd: int


def submit(
    live: Live, tape: Tape, purse: Purse, questions: Sequence[Question], now: datetime
) -> list[str]:
    """Send the questions in as many batches as they need; their ids.

    Raises UsageError if the budget does not hold the worst case, DataError if the provider refuses.
    """
    sent: list[str] = []
    for first in range(0, len(questions), MOST):
        chunk = questions[first : first + MOST]
        each = {q.request.key: live.model.worst(q.request, batch=True) for q in chunk}
        worst = sum(each.values())
        hold = purse.reserve(worst, f"a batch of {len(chunk)} to {live.model.id}")
        if hold is None:
            raise UsageError(
                f"a batch of {len(chunk):,} questions may cost {worst / 1e9:.2f} USD, which is more"
                " than the budget has left; raise usd_per_day and usd_per_run, or ask about less"
            )
        try:
            batch = live.call(partial(_send, [q.request for q in chunk]), WAIT_S)
        except Refused as refused:
            purse.settle(hold, worst if refused.unsure else 0)
            raise DataError(f"the batch was refused, {refused.code}: {refused.says}") from None
        tape.sent(batch, Sent({q.request.key: q.about for q in chunk}, each, hold), now)
        sent.append(batch)
    return sent


def collect(live: Live, tape: Tape, purse: Purse, batch: str, now: datetime) -> Collected | None:
    """Put a batch's replies on the tape; None while it is not done. What expired or was cancelled
    is left out, to be asked again. What the batch says nothing of may have been billed, and counts
    in full.

    Raises DataError if the provider refuses, UsageError for a batch that is not open.
    """
    try:
        found = live.call(partial(_fetch, batch), WAIT_S)
    except Refused as refused:
        raise DataError(f"batch {batch} is refused, {refused.code}: {refused.says}") from None
    if found is None:
        return None
    tape.catch_up()
    if batch not in tape.open_batches:
        raise UsageError(f"batch {batch} was collected already, or sent from another tape")
    about = tape.open_batches[batch]
    replies = {
        key: _reply(
            _asked_of(live.model, asked), found.get(key, _SILENT), about.worst_nano_usd[key]
        )
        for key, asked in about.asked.items()
    }
    kept = {k: r for k, r in replies.items() if r.said is not None or r.code == Code.BAD_REQUEST}
    cost = sum(reply.cost_nano_usd for reply in replies.values())
    tape.add([(key, about.asked[key], reply) for key, reply in kept.items()], now)
    tape.sent(batch, Sent({}, {}, about.hold), now)
    purse.settle(about.hold, cost)
    answered = sum(1 for reply in kept.values() if not reply.code)
    return Collected(batch, len(replies), answered, cost)


async def _send(requests: Sequence[Request], provider: Any) -> str:
    return await _batches(provider).submit(requests)


async def _fetch(batch: str, provider: Any) -> dict[str, Said | Refused] | None:
    return await _batches(provider).collect(batch)


def _batches(provider: Any) -> Batches:
    if not hasattr(provider, "submit"):
        raise Refused(Code.BAD_REQUEST, f"{provider.name} takes no batches; ask one by one")
    return provider


def _asked_of(model: Model, asked: Mapping[str, Any]) -> Model:
    """The model that was asked: another may be the judge by the time a batch is done."""
    return model if asked["model"] == model.id else known(asked["model"])


_SILENT = Refused(Code.NO_MESSAGE, "the batch does not answer it", unsure=True)


def _reply(model: Model, found: Said | Refused, worst: int) -> Reply:
    """A batch's answer as the reply of a call; nobody waited for it. It costs the tokens billed
    where they are told, nothing where none were used, else the worst case."""
    said = found if isinstance(found, Said) else found.said
    if said is not None and said.usage is not None:
        cost = model.cost(said.usage, batch=True)
    else:
        unused = isinstance(found, Refused) and said is None and not found.unsure
        cost = 0 if unused else worst
    if isinstance(found, Said):
        return Reply("", "", found, 1, cost, 0.0)
    return Reply(found.code, found.says, found.said, 1, cost, 0.0)
