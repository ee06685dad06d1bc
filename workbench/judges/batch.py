"""Years of cases at half the price: message batches, answered within a day, onto the tape.

What is sent is on the tape before anybody waits, so that any process can collect it. Its whole
worst case is held in the budget until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from workbench.errors import DataError, UsageError
from workbench.judges.asking import Purse, Reply
from workbench.judges.live import Live, Question
from workbench.judges.models import Model
from workbench.judges.provider import Code, Refused, Said
from workbench.judges.tape import Sent, Tape

MOST = 5_000  # requests in one batch; providers allow more, and a smaller one is answered sooner
WAIT_S = 120.0  # to hand a batch in, or to fetch it


@dataclass(frozen=True)
class Collected:
    """What came of a batch: how many replies of it are answers, and what it cost."""

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
        worst = sum(live.model.worst(q.request, batch=True) for q in chunk)
        hold = purse.reserve(worst, f"a batch of {len(chunk)} to {live.model.id}")
        if hold is None:
            raise UsageError(
                f"a batch of {len(chunk):,} questions may cost {worst / 1e9:.2f} USD, which is more"
                " than the budget has left; raise usd_per_day and usd_per_run, or ask about less"
            )
        try:
            batch = live.call(
                lambda provider, chunk=chunk: provider.submit([q.request for q in chunk]), WAIT_S
            )
        except Refused as refused:
            purse.settle(hold, worst if refused.unsure else 0)
            raise DataError(f"the batch was refused, {refused.code}: {refused.says}") from None
        tape.sent(batch, Sent({q.request.key: q.about for q in chunk}, worst, hold), now)
        sent.append(batch)
    return sent


def collect(live: Live, tape: Tape, purse: Purse, batch: str, now: datetime) -> Collected | None:
    """Put a batch's replies on the tape; None while it is not done. What expired or was cancelled
    is left out, to be asked again. Raises DataError if the provider refuses."""
    about = tape.open_batches[batch]
    try:
        found = live.call(lambda provider: provider.collect(batch), WAIT_S)
    except Refused as refused:
        raise DataError(f"batch {batch} is refused, {refused.code}: {refused.says}") from None
    if found is None:
        return None
    replies = {key: _reply(live.model, said) for key, said in found.items() if key in about.asked}
    kept = {k: r for k, r in replies.items() if r.said is not None or r.code == Code.BAD_REQUEST}
    cost = sum(reply.cost_nano_usd for reply in replies.values())
    tape.add([(key, about.asked[key], reply) for key, reply in kept.items()], now)
    tape.sent(batch, Sent({}, 0, about.hold), now)
    purse.settle(about.hold, cost)
    answered = sum(1 for reply in kept.values() if not reply.code)
    return Collected(batch, len(found), answered, cost)


def _reply(model: Model, found: Said | Refused) -> Reply:
    """A batch's answer as the reply of a call; nobody waited for it."""
    said = found if isinstance(found, Said) else found.said
    cost = 0
    if said is not None and said.usage is not None:
        cost = model.cost(said.usage, batch=True)
    if isinstance(found, Said):
        return Reply("", "", found, 1, cost, 0.0)
    return Reply(found.code, found.says, found.said, 1, cost, 0.0)
