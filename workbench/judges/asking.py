"""One request, asked until it is answered, cannot be, or its time is over.

A provider's own patience is switched off, for it knows no deadline: it sleeps through any
Retry-After and reads a slow drip for as long as it drips. Here every attempt is paid for before it
is made, and whatever happens there is a reply, in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from workbench.errors import WorkbenchError
from workbench.judges.provider import Code, Provider, Refused, Request, Said

if TYPE_CHECKING:
    from workbench.judges.models import Model

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 8.0


class Purse(Protocol):
    """Money put aside before a call and settled after it, in nano-dollars."""

    def reserve(self, nano_usd: int, what: str) -> int | None:
        """A hold on so much; None if there is not so much left."""
        ...

    def settle(self, hold: int, nano_usd: int) -> None:
        """What it cost in the end."""
        ...


@dataclass(frozen=True)
class Reply:
    """What came of a request. `code` is "" if a model answered to the end; its text is not yet
    judged. `said` may be there all the same: what was refused, but billed."""

    code: str
    says: str
    said: Said | None
    attempts: int
    cost_nano_usd: int
    latency_s: float


async def ask(
    provider: Provider,
    request: Request,
    model: Model,
    purse: Purse,
    deadline: float,
    jitter: Callable[[], float],
) -> Reply:
    """The reply to a request, by `deadline` on the running loop's clock. `jitter` answers 0 to 1
    and shortens a wait by up to a quarter. Raises nothing; a cancelled caller is cancelled."""
    loop = asyncio.get_running_loop()
    began, attempts, cost = loop.time(), 0, 0

    def reply(code: str, says: str, said: Said | None = None) -> Reply:
        return Reply(code, says, said, attempts, cost, loop.time() - began)

    heard: Said | Refused = Refused(Code.DEADLINE, "no time left to ask")
    while loop.time() < deadline:
        heard, spent = await _paid(provider, request, model, purse, deadline)
        attempts, cost = attempts + (spent is not None), cost + (spent or 0)
        if isinstance(heard, Said):
            return reply("", "", heard)
        wait_s = heard.wait_s or _backoff_s(attempts, jitter())
        if not heard.retry or loop.time() + wait_s >= deadline:
            break
        await asyncio.sleep(wait_s)
    return reply(heard.code, heard.says, heard.said)


async def _paid(
    provider: Provider, request: Request, model: Model, purse: Purse, deadline: float
) -> tuple[Said | Refused, int | None]:
    """One attempt and its cost, None if it was not made for want of money."""
    try:
        worst = model.worst(request)
        hold = purse.reserve(worst, f"{request.model} {request.key}")
    except Exception as broken:  # noqa: BLE001  without a ledger nothing is spent
        return Refused(Code.BUDGET, _sentence(broken)), None
    if hold is None:
        return Refused(Code.BUDGET, f"{worst / 1e9:.6f} USD would pass the budget"), None
    spent = worst  # until it is known better; so also if the caller is cancelled here
    try:
        heard = await _attempt(provider, request, deadline)
        spent = _owed(model, worst, heard)
    finally:
        unwritten = _settle(purse, hold, spent)
    if unwritten:  # an answer that cannot be booked must not be followed by another
        said = heard if isinstance(heard, Said) else heard.said
        return Refused(Code.ERROR, unwritten, said=said), spent
    return heard, spent


def _settle(purse: Purse, hold: int, spent: int) -> str:
    """Why it could not be booked, or ""; the hold stays then, and counts in full."""
    try:
        purse.settle(hold, spent)
    except Exception as broken:  # noqa: BLE001  told in the reply
        return _sentence(broken)
    return ""


async def _attempt(provider: Provider, request: Request, deadline: float) -> Said | Refused:
    """One attempt, ended by the deadline."""
    limit = asyncio.timeout_at(deadline)
    try:
        async with limit:
            return await provider.send(request)
    except Refused as refused:
        return refused
    except Exception as broken:  # noqa: BLE001  whatever it is, there is no answer
        if limit.expired():
            return Refused(Code.DEADLINE, "no answer within the deadline", unsure=True)
        return Refused(Code.ERROR, f"{provider.name}: {_sentence(broken)}", unsure=True)


def _owed(model: Model, worst: int, heard: Said | Refused) -> int:
    """Tokens billed where they were told; nothing where none were used; else the worst case."""
    said = heard if isinstance(heard, Said) else heard.said
    if said is not None and said.usage is not None:
        return model.cost(said.usage)
    unused = isinstance(heard, Refused) and said is None and not heard.unsure
    return 0 if unused else worst


def _sentence(broken: Exception) -> str:
    """Our own errors are sentences; of others only the kind is told, for their words may not be."""
    return str(broken) if isinstance(broken, WorkbenchError) else type(broken).__name__


def _backoff_s(attempt: int, jitter: float) -> float:
    return min(FIRST_WAIT_S * 2.0 ** (attempt - 1), LONGEST_WAIT_S) * (1.0 - 0.25 * jitter)
