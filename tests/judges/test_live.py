"""Questions put now: nobody waits longer than the deadline and half a second, whatever happens."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from tests.judges.asked import Wallet
from tests.judges.judging import MODEL, NOW, USAGE, Script
from tests.judges.model_server import answer
from workbench.judges.answer import SCHEMA
from workbench.judges.asking import Reply
from workbench.judges.live import Live, Question
from workbench.judges.provider import Code, Provider, Refused, Request, Said

DEADLINE_S = 0.4
MOST_S = DEADLINE_S + 0.5
WORST = MODEL.worst(Request("", MODEL.id, "Judge.", "{}", SCHEMA, 512))


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Every test begins without the loop of another, and ends its own."""
    ends(lambda: not running())
    yield
    ends(lambda: not running())


def questions(n: int, name: str = "q") -> list[Question]:
    return [
        Question(Request(f"{name}{k}", MODEL.id, "Judge.", "{}", SCHEMA, 512), frozenset(), {})
        for k in range(n)
    ]


class Sleeper(Script):
    """A provider whose `send` stands still, and the whole loop with it."""

    def __init__(self, sleeps_s: float) -> None:
        super().__init__()
        self.sleeps_s = sleeps_s

    async def send(self, request: Request) -> Said:
        time.sleep(self.sleeps_s)
        return await super().send(request)


class Slow(Script):
    """One that waits as it should, and counts how many wait at once."""

    def __init__(self, waits_s: float, code: Code | None = None) -> None:
        super().__init__()
        self.waits_s, self.code = waits_s, code
        self.out = self.most = 0

    async def send(self, request: Request) -> Said:
        self.out += 1
        self.most = max(self.most, self.out)
        try:
            await asyncio.sleep(self.waits_s)
        finally:
            self.out -= 1
        if self.code is not None:
            self.asked.append(request)
            raise Refused(self.code, "no")
        return await super().send(request)


def live(
    provider: Provider,
    now: Callable[[], datetime] = lambda: NOW,
    wallet: Wallet | None = None,
    deadline_s: float = DEADLINE_S,
    **more: int,
) -> Live:
    return Live(lambda: provider, MODEL, wallet or Wallet(10**15), now, deadline_s, **more)


def timed(asked: Live, n: int = 1, name: str = "q") -> tuple[list[Reply], float]:
    began = time.monotonic()
    replies = asked.ask(questions(n, name))
    return replies, time.monotonic() - began


def running() -> int:
    """How many loops there are."""
    return sum(thread.name == "judge" for thread in threading.enumerate())


def ends(done: Callable[[], bool]) -> None:
    """Wait a little for what a loop does after it was closed."""
    last = time.monotonic() + 4.0
    while not done():
        assert time.monotonic() < last
        time.sleep(0.01)


# --- in time -------------------------------------------------------------------------------------


def test_a_loop_that_stands_still_keeps_nobody_waiting() -> None:
    """What was out counts as billed, who was in line was not sent."""
    wallet = Wallet(10**15)
    with live(Sleeper(1.3), wallet=wallet, concurrency=1) as asked:
        replies, took = timed(asked, 3)
        assert took < MOST_S
        assert [r.code for r in replies] == [Code.DEADLINE] * 3
        assert [(r.attempts, r.cost_nano_usd) for r in replies] == [(1, WORST), (0, 0), (0, 0)]
        time.sleep(1.3 - took + 0.2)
        assert not wallet.open, "it is settled once the loop goes on"
        replies, _ = timed(asked, 1, "later")
        assert replies[0].code == Code.DEADLINE, "this one sleeps as well"


def test_a_loop_that_stands_still_is_a_failure_and_three_end_the_asking() -> None:
    provider = Sleeper(2.0)
    asked = live(provider, deadline_s=0.05)
    codes = [timed(asked)[0][0].code for _ in range(3)]
    assert codes == [Code.DEADLINE] * 3
    replies, took = timed(asked, 20)
    assert {r.code for r in replies} == {Code.SAFE_MODE}
    assert took < 0.1, "nobody waits for a loop that is known to stand still"
    asked.close()
    ends(lambda: not running())
    assert len(provider.asked) == 1, "who was given up on is not sent when the loop goes on"


def test_closing_a_loop_that_stands_still_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.judges.live.CLOSE_S", 0.2)
    wallet = Wallet(10**15)
    asked = live(Sleeper(1.2), wallet=wallet, deadline_s=0.05)
    asked.ask(questions(1))
    began = time.monotonic()
    asked.close()
    assert time.monotonic() - began < 0.5
    assert "did not close" in caplog.text
    ends(lambda: not wallet.open and not running())


def test_a_provider_that_never_answers_is_cut_at_the_deadline() -> None:
    with live(Slow(60.0)) as asked:
        replies, took = timed(asked, 40)
    assert took < MOST_S
    assert {r.code for r in replies} <= {Code.DEADLINE, Code.SAFE_MODE}
    assert replies[0].code == Code.DEADLINE


def test_work_beside_questions_is_cut_too() -> None:
    async def stands_still(_: object) -> None:
        time.sleep(1.0)

    async def waits(_: object) -> None:
        await asyncio.sleep(60.0)

    for work in (waits, stands_still):
        with live(Script()) as asked:
            began = time.monotonic()
            with pytest.raises(Refused) as no:
                asked.call(work, 0.2)
            assert time.monotonic() - began < 0.8
        assert (no.value.code, no.value.unsure) == (Code.DEADLINE, True)


# --- many at once --------------------------------------------------------------------------------


def test_fifty_at_once_are_answered_in_their_order_and_sixteen_are_out() -> None:
    provider, wallet = Slow(0.05), Wallet(10**15)
    with live(provider, wallet=wallet, deadline_s=5.0) as asked:
        replies, took = timed(asked, 50)
    assert [r.code for r in replies] == [""] * 50
    assert provider.most == 16
    assert took < 2.0
    assert wallet.spent == 50 * MODEL.cost(USAGE) == sum(r.cost_nano_usd for r in replies)
    assert not wallet.open


def test_two_threads_that_ask_at_once_share_one_loop_and_one_connection() -> None:
    connected: list[Provider] = []

    def connect() -> Provider:
        time.sleep(0.02)
        connected.append(Slow(0.02))
        return connected[-1]

    told: dict[int, list[Reply]] = {}
    with Live(connect, MODEL, Wallet(10**15), lambda: NOW, 5.0) as asked:
        start = threading.Barrier(8)

        def ask(k: int) -> None:
            start.wait()
            told[k] = asked.ask(questions(5, f"t{k}-"))

        threads = [threading.Thread(target=ask, args=(k,)) for k in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(10.0)
        assert running() == 1, "one loop"
    assert len(connected) == 1
    assert [r.code for k in range(8) for r in told[k]] == [""] * 40


def test_a_reply_is_its_own_questions() -> None:
    says = Script(lambda request: answer(rationale=request.key))
    with live(says, deadline_s=5.0) as asked:
        replies = asked.ask(questions(30))
    assert all(f'"q{k}"' in reply.said.text for k, reply in enumerate(replies))  # type: ignore[union-attr]


def test_it_works_inside_a_loop_that_runs_as_in_a_notebook() -> None:
    async def cell() -> list[Reply]:
        with live(Slow(0.01), deadline_s=5.0) as asked:
            return asked.ask(questions(3))

    assert [r.code for r in asyncio.run(cell())] == [""] * 3


# --- health --------------------------------------------------------------------------------------


def test_a_probe_is_out_alone_and_the_rest_follow_a_good_answer() -> None:
    clock, provider = [NOW], Slow(0.05, Code.BAD_REQUEST)
    with live(provider, now=lambda: clock[0], deadline_s=5.0) as asked:
        asked.ask(questions(3))
        assert {r.code for r in asked.ask(questions(9))} == {Code.SAFE_MODE}
        clock[0] += timedelta(seconds=61)
        provider.most = 0
        codes = [r.code for r in asked.ask(questions(9))]
        assert codes == [Code.BAD_REQUEST] + [Code.SAFE_MODE] * 8
        assert (provider.most, len(provider.asked)) == (1, 4)
        provider.code = None
        clock[0] += timedelta(seconds=121)
        begun = len(provider.asked)
        assert [r.code for r in asked.ask(questions(9))] == [""] * 9
        assert len(provider.asked) == begun + 9


def test_of_two_threads_one_sends_the_probe() -> None:
    clock, provider = [NOW], Slow(0.2, Code.BAD_REQUEST)
    with live(provider, now=lambda: clock[0], deadline_s=5.0) as asked:
        asked.ask(questions(3))
        clock[0] += timedelta(seconds=61)
        told: list[Reply] = []
        threads = [
            threading.Thread(target=lambda k=k: told.extend(asked.ask(questions(2, f"t{k}-"))))
            for k in range(4)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join(10.0)
    assert sorted(r.code for r in told) == [Code.BAD_REQUEST] + [Code.SAFE_MODE] * 7
    assert len(provider.asked) == 4


def test_what_a_person_must_mend_is_not_sent_again_to_the_end() -> None:
    provider = Slow(0.0, Code.WRONG_KEY)
    with live(provider, deadline_s=5.0, concurrency=1) as asked:
        codes = [r.code for r in asked.ask(questions(5))]
        assert codes == [Code.WRONG_KEY] + [Code.LATCHED] * 4
    assert [r.code for r in asked.ask(questions(2))] == [Code.LATCHED] * 2, "closing mends nothing"
    assert len(provider.asked) == 1
    assert asked._loop is None, "and nothing is started to be told so"


# --- begin and end -------------------------------------------------------------------------------


def test_nothing_is_started_or_connected_before_the_first_question() -> None:
    with Live(lambda: pytest.fail("connected"), MODEL, Wallet(), lambda: NOW):
        assert not running()


def test_it_may_be_closed_twice_and_asked_after_it() -> None:
    provider = Slow(0.01)
    asked = live(provider, deadline_s=5.0)
    asked.close()
    assert asked.ask(questions(1))[0].code == ""
    asked.close()
    asked.close()
    assert asked.ask(questions(2))[1].code == "", "a later question begins anew"
    asked.close()
    ends(lambda: not running())


def test_a_provider_that_breaks_at_closing_leaves_no_loop_behind() -> None:
    class Breaks(Script):
        async def close(self) -> None:
            raise OSError("the line was gone")

    asked = live(Breaks(), deadline_s=5.0)
    asked.ask(questions(1))
    with pytest.raises(OSError, match="the line was gone"):
        asked.close()
    asked._connect = Script
    assert asked.ask(questions(1))[0].code == "", "with a connection of its own"
    asked.close()


def test_closing_while_a_question_is_out_leaves_nobody_waiting() -> None:
    wallet, told = Wallet(10**15), list[Reply]()
    asked = live(Slow(30.0), wallet=wallet, deadline_s=1.0)
    thread = threading.Thread(target=lambda: told.extend(asked.ask(questions(2))))
    thread.start()
    time.sleep(0.2)
    asked.close()
    thread.join(2.0)
    assert not thread.is_alive()
    assert [r.code for r in told] == [Code.DEADLINE] * 2
    assert sum(r.cost_nano_usd for r in told) == wallet.spent == 2 * WORST, "they may be billed"
