"""Claude, one attempt at a time or many in a batch. The only file that knows Anthropic's client.

Of that client only the sending is used. Its own retries, its lenient reading of responses, its
search for credentials, its telemetry and what it takes from the environment (but for a proxy and
certificates, which are the network's) are left out, and a redirect is not followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

import anthropic
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from workbench.errors import UsageError
from workbench.judges.provider import Code, Refused, Request, Said, Usage
from workbench.judges.refusals import Text, by_status, finished, read_body, read_shape, unreachable

HOME = "https://api.anthropic.com"
LONGEST_CALL_S = 600.0  # for what has no deadline: batches and counts
# an error in a batch has a name and no status
_STATUS = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402,
    "permission_error": 403, "not_found_error": 404, "request_too_large": 413,
    "rate_limit_error": 429, "timeout_error": 504, "overloaded_error": 529,
}  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class _Usage(_Strict):
    input_tokens: NonNegativeInt
    output_tokens: NonNegativeInt
    cache_read_input_tokens: NonNegativeInt | None = None
    cache_creation_input_tokens: NonNegativeInt | None = None


class _Block(_Strict):
    type: Text
    text: Text | None = None


class _Message(_Strict):
    type: Literal["message"]
    model: Text
    content: list[_Block]
    stop_reason: Text | None
    stop_details: Any = None
    usage: Any = None


class _Count(_Strict):
    input_tokens: NonNegativeInt


class _Batch(_Strict):
    id: Text
    processing_status: Text


class _Result(_Strict):
    custom_id: Text
    result: dict[str, Any]


class Anthropic:
    """Provider and Batches. It keeps its connections until `close`, in one event loop."""

    name = "anthropic"

    def __init__(
        self,
        key: str,
        base_url: str = HOME,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`now` is asked for only where a response names a date and not its own."""
        if not key:
            raise UsageError("Claude needs a key: set ANTHROPIC_API_KEY, or let the rubric judge")
        self._key, self._now = key, now
        self._client = anthropic.AsyncAnthropic(
            api_key=key,
            base_url=base_url,
            max_retries=0,
            open_telemetry=False,
            http_client=anthropic.DefaultAsyncHttpxClient(
                timeout=LONGEST_CALL_S, follow_redirects=False
            ),
        )
        # ANTHROPIC_CUSTOM_HEADERS is read by the constructor whatever it is given
        self._client._custom_headers = {}

    async def send(self, request: Request) -> Said:
        """What the model said, if it was done. Raises Refused."""
        with self._refused():
            response = await self._client.messages.with_raw_response.create(
                **{**_params(request), "model": ""},
                # past the client's own list of ageing models, whose warning is ours to give
                extra_body={"model": request.model},
            )
        http = response.http_response
        return _said(read_body(_Message, http.content), http.headers.get("request-id", ""))

    async def count(self, request: Request) -> int:
        """Tokens of the input, without asking the model; costs nothing. Raises Refused."""
        asked = {k: v for k, v in _params(request).items() if k != "max_tokens"}
        with self._refused():
            response = await self._client.messages.with_raw_response.count_tokens(**asked)
        return read_body(_Count, response.http_response.content).input_tokens

    async def submit(self, requests: Sequence[Request]) -> str:
        """The id of a batch of these requests. Raises Refused."""
        lines: Any = [{"custom_id": r.key, "params": _params(r)} for r in requests]
        with self._refused():
            response = await self._client.messages.batches.with_raw_response.create(requests=lines)
        return read_body(_Batch, response.http_response.content).id

    async def collect(self, batch: str) -> dict[str, Said | Refused] | None:
        """What came of each request by its key; None while the batch is not done. Raises
        Refused."""
        with self._refused():
            response = await self._client.messages.batches.with_raw_response.retrieve(batch)
        if read_body(_Batch, response.http_response.content).processing_status != "ended":
            return None
        with self._refused():
            # by its own address: the one named in the response may be on any host, and the client
            # would take the key there
            text = await self._client.get(
                f"/v1/messages/batches/{quote(batch, safe='')}/results", cast_to=str
            )
        return self._results(text, batch)

    async def close(self) -> None:
        await self._client.close()

    def _results(self, text: str, batch: str) -> dict[str, Said | Refused]:
        found: dict[str, Said | Refused] = {}
        for line in filter(None, text.split("\n")):
            answered = read_body(_Result, line)
            key = answered.custom_id
            if key in found:
                found[key] = Refused(Code.NO_MESSAGE, "the batch answers it twice", unsure=True)
            else:
                found[key] = self._result(answered.result, batch)
        return found

    def _result(self, result: Mapping[str, Any], batch: str) -> Said | Refused:
        match result.get("type"):
            case "succeeded":
                try:
                    return _said(read_shape(_Message, result.get("message")), batch)
                except Refused as refused:
                    return refused
            case "errored":
                body = result.get("error")
                error = body.get("error", body) if isinstance(body, Mapping) else {}
                kind = error.get("type") if isinstance(error, Mapping) else None
                return by_status(_STATUS.get(str(kind), 500), {}, body, self._key, self._now)
            case "expired":
                return Refused(Code.DEADLINE, "the batch expired before its turn", retry=True)
            case "canceled":
                return Refused(Code.STOPPED, "the batch was cancelled before its turn", retry=True)
        return Refused(Code.NO_MESSAGE, "a result of no known kind", unsure=True)

    @contextmanager
    def _refused(self) -> Iterator[None]:
        """The client's errors as what they mean."""
        try:
            yield
        except anthropic.APIStatusError as error:
            raise by_status(
                error.status_code, error.response.headers, error.body, self._key, self._now
            ) from None
        except anthropic.APIConnectionError as error:
            raise unreachable(error) from None


def _params(request: Request) -> dict[str, Any]:
    shape: dict[str, Any] = {"format": {"type": "json_schema", "schema": dict(request.schema)}}
    return {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "system": [
            {"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}
        ],
        "messages": [{"role": "user", "content": request.user}],
        "output_config": shape | ({"effort": request.effort} if request.effort else {}),
    }


def _said(message: _Message, request_id: str) -> Said:
    """What a message says. Raises Refused unless the model was done and left exactly one text;
    thinking may stand beside it."""
    texts = [block.text for block in message.content if block.type == "text"]
    said = Said(
        text=texts[0] or "" if len(texts) == 1 else "",
        stop_reason=message.stop_reason or "",
        model=message.model,
        request_id=request_id,
        usage=_usage(message.usage),
    )
    details = message.stop_details
    why = f" ({details.get('category')})" if isinstance(details, Mapping) else ""
    finished(said, "end_turn", why)
    if len(texts) != 1:
        raise Refused(Code.NO_MESSAGE, f"{len(texts)} texts in the message, not one", said=said)
    return said


def _usage(told: object) -> Usage | None:
    try:
        usage = _Usage.model_validate(told)
    except ValidationError:
        return None
    return Usage(
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens or 0,
        usage.cache_creation_input_tokens or 0,
    )
