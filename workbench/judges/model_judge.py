"""A language model as the judge: it may take risk away and can do nothing else.

Replies come from a tape; who may ask a model has a `Live` as well, and what it hears is on the tape
before anybody acts on it. Nothing a model says is ever given to one again. What a reply comes to is
told in `verdicts`.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.domain import Case, Verdict
from workbench.judges.asking import Reply
from workbench.judges.live import Live, Question
from workbench.judges.provider import NOT_SENT, OUTAGES
from workbench.judges.tape import Tape
from workbench.judges.verdicts import Terms, keyed, question, verdict

NOTHING, FAILED, ALL = "", "failed", "all"


class ModelJudge:
    """A judge: cases in, verdicts out. Without `live` it replays its tape and asks nobody; with
    `again` it asks even what the tape has: ALL of it, or what FAILED.

    `missed` counts the questions that a replay did not find, `asked` those that were sent, at
    `cost_nano_usd` together.
    """

    def __init__(
        self, terms: Terms, tape: Tape, live: Live | None = None, *, again: str = NOTHING
    ) -> None:
        self.terms, self.tape, self.live, self._again = terms, tape, live, again
        self.__name__ = terms.name
        self.missed = self.asked = self.cost_nano_usd = 0
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
        everything = told | fresh
        self.missed += sum(1 for each in asked for k in each.keys.values() if k not in everything)
        return [verdict(self.terms, each, everything) for each in asked]

    def questions(self, cases: Sequence[Case]) -> list[Question]:
        """What would have to be asked about these cases: what the tape does not answer."""
        return [
            question(self.terms, asked, shown)
            for asked in (keyed(self.terms, case) for case in cases)
            for shown, key in asked.keys.items()
            if self._on_tape(key) is None
        ]

    def _on_tape(self, key: str) -> Reply | None:
        """What counts of the tape: a replay takes all of it, who can ask asks again what was never
        sent."""
        reply = self.tape.get(key)
        if self.live is None or reply is None:
            return reply
        failed = reply.code in NOT_SENT or (self._again == FAILED and reply.code in OUTAGES)
        return None if failed or self._again == ALL else reply

    def _ask(self, live: Live, missing: list[Question]) -> dict[str, Reply]:
        """Ask, and keep what came before anybody acts on it."""
        if not missing:
            return {}
        at = live.now()
        self.tape.use(self.terms.prompt, at)
        replies = live.ask(missing)
        self.asked += sum(1 for reply in replies if reply.code not in NOT_SENT)
        self.cost_nano_usd += sum(reply.cost_nano_usd for reply in replies)
        self.tape.add(
            [(q.request.key, q.about, reply) for q, reply in zip(missing, replies, strict=True)], at
        )
        return {q.request.key: reply for q, reply in zip(missing, replies, strict=True)}
