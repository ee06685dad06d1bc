"""Any server that speaks OpenAI's chat completions: GPT, Gemini's compatible route, Ollama, vLLM,
llama.cpp. The only file that knows OpenAI's client, which is an extra.

Such a server may take the schema and ignore it, leave the usage out, or count a model's thinking
only in the total: nothing here relies on its word. Like the other provider it takes nothing from
the environment but the network's own settings, tries once, and follows no redirect.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from workbench.errors import UsageError
from workbench.judges.provider import Code, Refused, Request, Said, Usage
from workbench.judges.refusals import Text, by_status, finished, read_body, unreachable

HOME = "api.openai.com"
LONGEST_CALL_S = 600.0


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class _Cached(_Strict):
    cached_tokens: NonNegativeInt | None = None


class _Usage(_Strict):
    prompt_tokens: NonNegativeInt
    completion_tokens: NonNegativeInt
    total_tokens: NonNegativeInt | None = None
    prompt_tokens_details: _Cached | None = None


class _Message(_Strict):
    content: Text | None = None
    refusal: Text | None = None


class _Choice(_Strict):
    message: _Message
    finish_reason: Text | None = None


class _Completion(_Strict):
    model: Text
    choices: list[_Choice]
    usage: Any = None


def vendor() -> Any:
    """The client's package. Raises UsageError if the extra is not installed."""
    try:
        import openai  # noqa: PLC0415  an extra
    except ImportError:
        raise UsageError(
            "the judge openai_compatible needs a client: pip install 'workbench[openai]'"
        ) from None
    return openai


class OpenAI:
    """A Provider. `key` may be "" for a server that asks for none; `token_limit` is the name of
    the parameter that bounds the answer. It keeps its connections until `close`, in one event
    loop."""

    name = "openai_compatible"

    def __init__(
        self,
        key: str,
        base_url: str,
        token_limit: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`now` is asked for only where a response names a date and not its own. Raises
        UsageError if the extra is not installed."""
        openai = vendor()
        self._vendor, self._key, self._now = openai, key, now
        at_home = urlsplit(base_url).hostname == HOME
        self._limit = token_limit or ("max_completion_tokens" if at_home else "max_tokens")
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=base_url,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(
                timeout=LONGEST_CALL_S, follow_redirects=False
            ),
        )
        # the constructor takes these from the environment whatever it is given
        self._client.organization = self._client.project = None
        self._client._custom_headers = {}

    async def send(self, request: Request) -> Said:
        """What the model said, if it was done. Raises Refused."""
        try:
            response = await self._client.chat.completions.with_raw_response.create(
                **self._params(request)
            )
        except self._vendor.APIStatusError as error:
            raise by_status(
                error.status_code, error.response.headers, error.body, self._key, self._now
            ) from None
        except self._vendor.APIConnectionError as error:
            raise unreachable(error) from None
        http = response.http_response
        return _said(read_body(_Completion, http.content), http.headers.get("x-request-id", ""))

    async def close(self) -> None:
        await self._client.close()

    def _params(self, request: Request) -> dict[str, Any]:
        shape = {"name": "answer", "strict": True, "schema": dict(request.schema)}
        return {
            "model": request.model,
            "messages": [
                {"role": "system", "content": request.system},
                {"role": "user", "content": request.user},
            ],
            "response_format": {"type": "json_schema", "json_schema": shape},
            self._limit: request.max_tokens,
            "extra_headers": {} if self._key else {"Authorization": self._vendor.Omit()},
            **({"reasoning_effort": request.effort} if request.effort else {}),
        }


def _said(completion: _Completion, request_id: str) -> Said:
    """What a completion says. Raises Refused unless the model was done and left one text."""
    one = completion.choices[0] if len(completion.choices) == 1 else None
    refusal = one.message.refusal if one else None
    said = Said(
        text=(one.message.content if one else None) or "",
        stop_reason=(one.finish_reason if one else None) or "",
        model=completion.model,
        request_id=request_id,
        usage=_usage(completion.usage),
    )
    if one is None:
        says = f"{len(completion.choices)} choices in the completion, not one"
        raise Refused(Code.NO_MESSAGE, says, said=said)
    if refusal:
        raise Refused(Code.REFUSED, "the model would not answer", said=said)
    finished(said, "stop")
    if not said.text:
        raise Refused(Code.NO_MESSAGE, "the completion has no text", said=said)
    return said


def _usage(told: object) -> Usage | None:
    """Tokens as billed; None if not told, or not so that they add up."""
    try:
        usage = _Usage.model_validate(told)
    except ValidationError:
        return None
    cached = (usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0
    if cached > usage.prompt_tokens:
        return None
    # some count what the model thought in the total alone
    output = max(usage.completion_tokens, (usage.total_tokens or 0) - usage.prompt_tokens)
    return Usage(usage.prompt_tokens - cached, output, cache_read_tokens=cached)
