"""Questions put to a model now: all of a bar at once, under one deadline of the wall clock.

The calls run in an event loop of their own thread, for a notebook's own loop is taken; whoever asks
waits no longer than the deadline and half a second, whatever that loop does. Three failures in a
row end the asking until a probe is answered, and what only a person can mend ends it for good.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from workbench.judges.answer import read_answer
from workbench.judges.asking import Purse, Reply, ask
from workbench.judges.health import Health, may_ask, sent, told
from workbench.judges.models import Model
from workbench.judges.provider import NOT_SENT, Code, Provider, Refused, Request

GRACE_S = 0.4
CLOSE_S = 5.0
Found = TypeVar("Found")
log = logging.getLogger("workbench.judge")


@dataclass(frozen=True)
class Question:
    """A request, the ids that its answer may rest on, and what the tape says of it."""

    request: Request
    shown_ids: frozenset[str]
    about: Mapping[str, Any]


class Live:
    """A model that can be asked. It connects on the first question; close it, or use `with`."""

    def __init__(
        self,
        connect: Callable[[], Provider],
        model: Model,
        purse: Purse,
        now: Callable[[], datetime],
        deadline_s: float = 20.0,
        concurrency: int = 16,
    ) -> None:
        self.model, self.health = model, Health()
        self.purse, self.now, self._connect = purse, now, connect
        self._deadline_s, self._concurrency = deadline_s, concurrency
        self._provider: Provider | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()
        self._jitter = random.Random()  # noqa: S311  spreads retries; decides nothing

    def ask(self, questions: Sequence[Question]) -> list[Reply]:
        """A reply for every question, in their order, within the deadline. What the other side
        does is told in the replies and never raised."""
        free = may_ask(self.health, self.now())
        if isinstance(free, Code):
            return [not_sent(free) for _ in questions]
        done: dict[str, Reply | None] = {}
        loop = self._running()
        deadline = loop.time() + self._deadline_s
        asking = asyncio.run_coroutine_threadsafe(self._ask_all(questions, deadline, done), loop)
        try:
            asking.result(self._deadline_s + GRACE_S)
        except TimeoutError:  # the loop itself stands still
            asking.cancel()
            self._hear(Code.DEADLINE)
        except CancelledError:  # closed by another thread
            pass
        return [done.get(q.request.key) or self._late(q.request, done) for q in questions]

    def call(self, work: Callable[[Any], Coroutine[Any, Any, Found]], timeout_s: float) -> Found:
        """What some other work with the provider comes to: a batch, a count. Raises what it raises,
        and Refused with DEADLINE if it takes longer."""

        async def connected() -> Found:
            if self._provider is None:
                self._provider = self._connect()
            async with asyncio.timeout(timeout_s):
                return await work(self._provider)

        try:
            asking = asyncio.run_coroutine_threadsafe(connected(), self._running())
            return asking.result(timeout_s + GRACE_S)
        except (TimeoutError, CancelledError):
            raise Refused(
                Code.DEADLINE, f"nothing came within {timeout_s:g} s", unsure=True
            ) from None

    def close(self) -> None:
        """End the loop and its connections; a later question begins anew."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        provider, self._provider = self._provider, None
        try:
            if provider is not None:
                asyncio.run_coroutine_threadsafe(provider.close(), loop).result(CLOSE_S)
        except TimeoutError:
            log.warning("the connections of %s did not close; they end with it", self.model.id)
        finally:
            loop.call_soon_threadsafe(loop.stop)

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # a daemon: a process that ends does not wait for an idle loop
                threading.Thread(target=_run, args=(self._loop,), name="judge", daemon=True).start()
            return self._loop

    async def _ask_all(
        self, questions: Sequence[Question], deadline: float, done: dict[str, Reply | None]
    ) -> None:
        """Replies by key into `done`; None while a question is out."""
        if self._provider is None:
            self._provider = self._connect()
        asked = list(questions)
        while asked and may_ask(self.health, self.now()) == "probe":
            await self._ask_one(asked.pop(0), deadline, done)
        room = asyncio.Semaphore(self._concurrency)

        async def in_turn(question: Question) -> None:
            async with room:
                await self._ask_one(question, deadline, done)

        async with asyncio.TaskGroup() as group:
            for question in asked:
                group.create_task(in_turn(question))

    async def _ask_one(
        self, question: Question, deadline: float, done: dict[str, Reply | None]
    ) -> None:
        asked, provider = question.request, self._provider
        assert provider is not None
        free = may_ask(self.health, self.now())
        if isinstance(free, Code):
            done[asked.key] = not_sent(free)
            return
        self.health = sent(self.health, self.now())
        done[asked.key] = None
        reply = await ask(provider, asked, self.model, self.purse, deadline, self._jitter.random)
        done[asked.key] = reply
        if reply.attempts:  # who waited in line past the deadline says nothing of the other side
            self._hear(code_of(reply, question))

    def _hear(self, code: str) -> None:
        before, self.health = self.health, told(self.health, code, self.now())
        ended = may_ask(self.health, self.now())
        if isinstance(ended, Code) and not isinstance(may_ask(before, self.now()), Code):
            log.warning(
                "the judge %s is not asked any more: %s after %s", self.model.id, ended, code
            )

    def _late(self, request: Request, done: Mapping[str, Reply | None]) -> Reply:
        """What is out counts as billed, who still waits in line was not sent."""
        late, out = self._deadline_s, request.key in done
        if not out:
            return Reply(Code.DEADLINE, "no time left to ask", None, 0, 0, late)
        worst = self.model.worst(request)
        return Reply(Code.DEADLINE, "no answer within the deadline", None, 1, worst, late)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop):  # what is left in the end is cancelled, settled
        loop.run_forever()


def not_sent(code: Code) -> Reply:
    """The reply of who was not asked."""
    assert code in NOT_SENT
    return Reply(code, _WHY[code], None, 0, 0, 0.0)


_WHY = {
    Code.SAFE_MODE: "three failures in a row; a probe is sent when it is due",
    Code.LATCHED: "the provider refused what only a person can mend (key, bill, permission)",
    Code.BUDGET: "the budget is spent",
    Code.TAPE_MISS: "this question is not on the tape, and a replay asks nobody",
}


def code_of(reply: Reply, question: Question) -> str:
    """Why the reply is no answer, "" if it is one."""
    if reply.code or reply.said is None:
        return reply.code or Code.NO_MESSAGE
    try:
        read_answer(reply.said.text, question.shown_ids)
    except Refused as no:
        return no.code
    return ""
