"""What a model judge needs of whoever runs the model, and what can come back.

A provider sends one request once and says what came of it; waiting, trying again, paying and
judging the text are done above it, the same for every provider.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Code(StrEnum):
    """Why a case has no answer and is skipped. An answered case has the code ""."""

    NO_ANSWER = "NO_ANSWER"  # a judge that left the case out
    ERROR = "ERROR"  # it raised, or something here did
    DEADLINE = "DEADLINE"
    UNREACHABLE = "UNREACHABLE"
    RATE_LIMITED = "RATE_LIMITED"
    OVERLOADED = "OVERLOADED"
    SERVER_ERROR = "SERVER_ERROR"
    BAD_REQUEST = "BAD_REQUEST"
    WRONG_KEY = "WRONG_KEY"
    PAYMENT = "PAYMENT"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    TOO_LARGE = "TOO_LARGE"
    SPEND_LIMIT = "SPEND_LIMIT"
    NOT_JSON = "NOT_JSON"  # the response is none of the provider's: a proxy's page, broken JSON
    NO_MESSAGE = "NO_MESSAGE"  # it is JSON and holds no message
    REFUSED = "REFUSED"  # the model would not answer
    TRUNCATED = "TRUNCATED"
    STOPPED = "STOPPED"  # it ended for another reason than being done
    INVALID = "INVALID"  # the answer is not what was asked for, to the letter
    EVIDENCE = "EVIDENCE"  # it rests on something that was not shown
    BUDGET = "BUDGET"
    SAFE_MODE = "SAFE_MODE"
    LATCHED = "LATCHED"  # a refusal that only a person can mend: key, bill, permission
    TAPE_MISS = "TAPE_MISS"


LATCHING = frozenset({Code.WRONG_KEY, Code.PAYMENT, Code.FORBIDDEN})
# No word of a model's: to ask again is not to ask until the answer pleases.
OUTAGES = LATCHING | {
    Code.DEADLINE, Code.UNREACHABLE, Code.RATE_LIMITED, Code.OVERLOADED, Code.SERVER_ERROR,
    Code.NOT_JSON, Code.ERROR, Code.SPEND_LIMIT,
}  # fmt: skip
NOT_SENT = frozenset({Code.BUDGET, Code.SAFE_MODE, Code.LATCHED, Code.TAPE_MISS})


@dataclass(frozen=True)
class Request:
    """One question. `key` names it on the tape, and in a batch: 64 hexadecimal digits.

    `system` is the prompt, the same for every case, so that a provider may cache it; `user` the
    case as JSON; `schema` the JSON schema of the answer. `effort` is "" for the provider's own.
    """

    key: str
    model: str
    system: str
    user: str
    schema: Mapping[str, Any]
    max_tokens: int
    effort: str = ""

    @property
    def most_input_tokens(self) -> int:
        """A bound: a token is at least a byte; 512 for what a provider adds around the texts."""
        return 512 + sum(len(t.encode()) for t in (self.system, self.user, str(dict(self.schema))))


@dataclass(frozen=True)
class Usage:
    """Tokens as billed. Of the input, `cache_read` and `cache_write` are counted apart."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True)
class Said:
    """A response, whatever it says: the text is not yet judged. `usage` is None if not told."""

    text: str
    stop_reason: str
    model: str
    request_id: str
    usage: Usage | None


class Refused(Exception):
    """No usable response. `retry`: another attempt may help, after `wait_s` if the other side named
    a time; `unsure`: it may have been worked on, and billed, all the same."""

    def __init__(
        self, code: Code, says: str, *, retry: bool = False, wait_s: float | None = None,
        unsure: bool = False, said: Said | None = None,
    ) -> None:  # fmt: skip
        super().__init__(says)
        self.code, self.says, self.retry, self.wait_s = code, says, retry, wait_s
        self.unsure, self.said = unsure, said


class Provider(Protocol):
    """One attempt at one request. `send` raises Refused, and nothing else knowingly."""

    @property
    def name(self) -> str: ...

    async def send(self, request: Request) -> Said: ...

    async def close(self) -> None: ...


class Batches(Protocol):
    """A provider that answers many requests within a day, at half the price."""

    async def submit(self, requests: Sequence[Request]) -> str:
        """The batch's id. Raises Refused."""
        ...

    async def collect(self, batch: str) -> dict[str, Said | Refused] | None:
        """What came of each request by its key; None while the batch is not done. Raises
        Refused."""
        ...
