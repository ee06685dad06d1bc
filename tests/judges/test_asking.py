"""One request within its deadline: attempts, pauses, money, and a reply whatever happens."""

from __future__ import annotations

import asyncio

import pytest

from tests.judges.asked import REQUEST, SOON, WORST, PlainModel, Wallet, asked, run
from workbench.errors import DataError
from workbench.judges.asking import Reply, ask
from workbench.judges.provider import Code, Refused, Request, Said, Usage

SAID = Said("{}", "end_turn", "some-model", "req_1", Usage(1000, 100))
SAID_COST = 1000 * 100 + 100 * 500
Step = Said | Exception | float


class Scripted:
    """A provider that goes through its steps: answers, raises, or is silent for so many seconds."""

    name = "scripted"

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.times: list[float] = []

    async def send(self, request: Request) -> Said:
        self.times.append(asyncio.get_running_loop().time())
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        if isinstance(step, float):
            await asyncio.sleep(step)
            return SAID
        return step

    async def close(self) -> None:
        pass


def ask_it(provider: Scripted, deadline_s: float = SOON, wallet: Wallet | None = None) -> Reply:
    return run(lambda: asked(provider, deadline_s, wallet))


def again(wait_s: float | None, **more: bool) -> Refused:
    return Refused(Code.RATE_LIMITED, "slow down", retry=True, wait_s=wait_s, **more)  # type: ignore[arg-type]


def test_an_answer_is_given_back_and_its_tokens_are_paid() -> None:
    reply = ask_it(Scripted(SAID))
    assert (reply.code, reply.said, reply.attempts) == ("", SAID, 1)
    assert reply.cost_nano_usd == SAID_COST


def test_an_answer_that_tells_no_usage_costs_the_worst_case() -> None:
    reply = ask_it(Scripted(Said("{}", "end_turn", "m", "", None)))
    assert (reply.code, reply.cost_nano_usd) == ("", WORST)


def test_what_may_pass_is_tried_again_after_the_pause_it_names() -> None:
    provider = Scripted(again(0.05), again(0.05), SAID)
    reply = ask_it(provider, 2.0)
    assert (reply.code, reply.attempts, reply.cost_nano_usd) == ("", 3, SAID_COST)
    assert all(b - a >= 0.05 for a, b in zip(provider.times, provider.times[1:], strict=False))


def test_every_attempt_is_paid_for() -> None:
    reply = ask_it(Scripted(again(0.01, unsure=True), again(0.01), SAID), 2.0)
    assert (reply.attempts, reply.cost_nano_usd) == (3, WORST + SAID_COST)


@pytest.mark.parametrize(("jitter", "wait_s"), [(0.0, 0.5), (1.0, 0.375)])
def test_without_a_named_pause_the_first_wait_is_half_a_second_less_jitter(
    jitter: float, wait_s: float
) -> None:
    provider = Scripted(again(None), SAID)
    run(lambda: asked(provider, 3.0, jitter=lambda: jitter))
    assert wait_s <= provider.times[1] - provider.times[0] < wait_s + 0.4


@pytest.mark.parametrize("wait_s", [3600.0, 2.1, float("inf")])
def test_a_pause_longer_than_the_time_left_ends_it_at_once(wait_s: float) -> None:
    reply = ask_it(Scripted(again(wait_s)), 2.0)
    assert (reply.code, reply.attempts, reply.cost_nano_usd) == (Code.RATE_LIMITED, 1, 0)
    assert reply.latency_s < 1.0


def test_what_will_not_pass_is_not_tried_again() -> None:
    provider = Scripted(Refused(Code.BAD_REQUEST, "no", wait_s=0.01))
    reply = ask_it(provider)
    assert (reply.code, reply.says, reply.attempts) == (Code.BAD_REQUEST, "no", 1)


def test_a_silent_model_is_left_at_the_deadline_and_paid_for_in_full() -> None:
    reply = ask_it(Scripted(9.0))
    assert (reply.code, reply.attempts, reply.cost_nano_usd) == (Code.DEADLINE, 1, WORST)
    assert 0.29 <= reply.latency_s < 0.8


def test_the_deadline_is_of_all_attempts_together() -> None:
    reply = ask_it(Scripted(again(0.2), 9.0))
    assert (reply.code, reply.attempts) == (Code.DEADLINE, 2)


def test_nothing_is_asked_after_the_deadline() -> None:
    provider = Scripted(SAID)
    reply = ask_it(provider, -0.001)
    assert (reply.code, reply.attempts, reply.cost_nano_usd) == (Code.DEADLINE, 0, 0)
    assert provider.times == []


def test_what_was_refused_but_billed_is_paid_by_its_tokens() -> None:
    reply = ask_it(Scripted(Refused(Code.TRUNCATED, "too long", said=SAID)))
    assert (reply.code, reply.said, reply.cost_nano_usd) == (Code.TRUNCATED, SAID, SAID_COST)


def test_what_was_said_without_usage_is_paid_in_full_though_refused() -> None:
    said = Said("", "refusal", "m", "", None)
    assert ask_it(Scripted(Refused(Code.REFUSED, "no", said=said))).cost_nano_usd == WORST


@pytest.mark.parametrize(
    "broken",
    [ValueError("Bearer secret"), TypeError(), TimeoutError(), ExceptionGroup("x", [OSError()])],
)
def test_anything_raised_is_an_error_that_tells_its_kind_alone(broken: Exception) -> None:
    reply = ask_it(Scripted(broken))
    assert (reply.code, reply.attempts, reply.cost_nano_usd) == (Code.ERROR, 1, WORST)
    assert reply.says == f"scripted: {type(broken).__name__}"


def test_an_empty_purse_asks_nobody() -> None:
    provider = Scripted(SAID)
    reply = ask_it(provider, wallet=Wallet(WORST - 1))
    assert (reply.code, reply.attempts, reply.cost_nano_usd) == (Code.BUDGET, 0, 0)
    assert provider.times == []
    assert "0.007000 USD" in reply.says


def test_a_purse_that_runs_empty_ends_the_attempts() -> None:
    provider = Scripted(again(0.01, unsure=True))
    reply = ask_it(provider, 2.0, Wallet(2 * WORST))
    assert (reply.code, reply.attempts, reply.cost_nano_usd) == (Code.BUDGET, 2, 2 * WORST)


class Torn(Wallet):
    """A purse whose ledger cannot be read, or cannot be written to."""

    def __init__(self, *, reads: bool) -> None:
        super().__init__()
        self.reads = reads

    def reserve(self, nano_usd: int, what: str) -> int | None:
        if not self.reads:
            raise DataError("the ledger is locked; end the other process")
        return super().reserve(nano_usd, what)

    def settle(self, hold: int, nano_usd: int) -> None:
        raise OSError("disk full at /home/me")


def ask_with(purse: Wallet, provider: Scripted) -> Reply:
    async def main() -> Reply:
        deadline = asyncio.get_running_loop().time() + 0.3
        return await ask(provider, REQUEST, PlainModel(), purse, deadline, lambda: 0.0)  # type: ignore[arg-type]

    return run(main)


def test_a_ledger_that_cannot_be_read_asks_nobody_and_says_why() -> None:
    provider = Scripted(SAID)
    reply = ask_with(Torn(reads=False), provider)
    assert (reply.code, reply.says) == (Code.BUDGET, "the ledger is locked; end the other process")
    assert provider.times == []


def test_an_answer_that_cannot_be_booked_is_an_error_and_its_hold_stays() -> None:
    purse = Torn(reads=True)
    reply = ask_with(purse, Scripted(SAID))
    assert (reply.code, reply.says, reply.said) == (Code.ERROR, "OSError", SAID)
    assert purse.open == {1: WORST}


def test_a_cancelled_caller_is_cancelled_and_the_attempt_is_paid_in_full() -> None:
    wallet = Wallet()

    async def main() -> None:
        task = asyncio.ensure_future(asked(Scripted(9.0), 5.0, wallet))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)
    assert (wallet.open, wallet.spent) == ({}, WORST)


def test_many_at_once_spend_no_more_than_there_is() -> None:
    wallet = Wallet(10 * WORST)

    async def main() -> list[Reply]:
        deadline = asyncio.get_running_loop().time() + 1.0
        asks = [
            ask(Scripted(0.05), REQUEST, PlainModel(), wallet, deadline, float)  # type: ignore[arg-type]
            for _ in range(50)
        ]
        return await asyncio.gather(*asks)

    replies = run(main)
    assert [r.code for r in replies].count("") == 10
    assert [r.code for r in replies].count(Code.BUDGET) == 40
    assert wallet.spent == sum(r.cost_nano_usd for r in replies) == 10 * SAID_COST
