"""A request, a model and a purse whose figures can be checked by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from workbench.judges.answer import SCHEMA
from workbench.judges.asking import Reply, ask
from workbench.judges.provider import Provider, Request, Usage

T = TypeVar("T")
P = TypeVar("P", bound=Provider)

KEY = "sk-test-0123456789-abcdefghij"
REQUEST = Request("a1" * 32, "some-model", "You judge.", '{"symbol":"BTC/USDT"}', SCHEMA, 512)
WORST = 7_000_000
SOON = 0.3  # a deadline that is to be hit
RIGHT_COST = 1800 * 100 + 120 * 500  # the server's usual tokens


def once() -> float:
    """A jitter that makes a wait nobody named longer than any deadline here: one attempt is made,
    however slow the machine is."""
    return -100.0


class PlainModel:
    """100 nano-dollars a token of input, 500 a token of output, 10 a token read from the cache."""

    def cost(self, usage: Usage, *, batch: bool = False) -> int:
        assert not batch
        return (
            100 * (usage.input_tokens + usage.cache_write_tokens)
            + 10 * usage.cache_read_tokens
            + 500 * usage.output_tokens
        )

    def worst(self, request: Request, *, batch: bool = False) -> int:
        assert not batch
        return WORST


class Wallet:
    """So many nano-dollars. It refuses to settle a hold twice, or one it did not give."""

    def __init__(self, nano_usd: int = 100 * WORST) -> None:
        self.left, self.spent = nano_usd, 0
        self.open: dict[int, int] = {}
        self._holds = 0

    def reserve(self, nano_usd: int, what: str) -> int | None:
        assert KEY not in what
        if nano_usd > self.left:
            return None
        self._holds += 1
        self.left -= nano_usd
        self.open[self._holds] = nano_usd
        return self._holds

    def settle(self, hold: int, nano_usd: int) -> None:
        self.left += self.open.pop(hold) - nano_usd
        self.spent += nano_usd


async def asked(
    provider: Provider,
    deadline_s: float = 2.0,
    wallet: Wallet | None = None,
    request: Request = REQUEST,
    jitter: Callable[[], float] = once,
) -> Reply:
    """A reply, checked for what holds of every reply: in time, and paid to the nano-dollar."""
    wallet = wallet or Wallet()
    loop = asyncio.get_running_loop()
    began, before = loop.time(), wallet.left
    model: Any = PlainModel()
    reply = await ask(provider, request, model, wallet, began + deadline_s, jitter)
    assert loop.time() - began < deadline_s + 0.5
    assert reply.latency_s <= loop.time() - began
    assert not wallet.open
    assert wallet.spent == reply.cost_nano_usd == before - wallet.left
    assert KEY not in repr(reply) + repr(provider)
    return reply


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run to its end in an event loop of its own."""

    async def whole() -> T:
        return await main()

    return asyncio.run(whole())


def with_provider(connect: Callable[[], P], main: Callable[[P], Awaitable[T]]) -> T:
    """The same with a provider that is closed in the end."""

    async def whole() -> T:
        provider = connect()
        try:
            return await main(provider)
        finally:
            await provider.close()

    return asyncio.run(whole())
