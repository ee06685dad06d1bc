"""Any OpenAI-compatible server through the real client: the same promises as Claude's."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.judges.asked import KEY, REQUEST, RIGHT_COST, SOON, WORST, asked, with_provider
from tests.judges.model_server import RIGHT, ModelServer, Serves, answer, error
from workbench.errors import UsageError
from workbench.judges.answer import SCHEMA
from workbench.judges.asking import Reply
from workbench.judges.openai_compatible import OpenAI
from workbench.judges.provider import Code, Request, Said, Usage


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def reply_of(
    server: ModelServer,
    *served: Serves,
    deadline_s: float = 2.0,
    request: Request = REQUEST,
    key: str = KEY,
    token_limit: str = "",
) -> Reply:
    """One question; the last of what is served is so from then on."""
    server.next(*served[:-1])
    server.always(served[-1] if served else RIGHT)
    return with_provider(
        lambda: OpenAI(key, server.openai_url, token_limit),
        lambda provider: asked(provider, deadline_s, request=request),
    )


def ends(finish_reason: str | None, **message: Any) -> Serves:
    """A completion that ends so; `message` changes its message."""
    said = {"role": "assistant", "content": answer(), **message}
    return Serves(of={"choices": [{"index": 0, "finish_reason": finish_reason, "message": said}]})


def refused(status: int, code: str, kind: str = "error") -> Serves:
    """An error in OpenAI's own shape."""
    return Serves(status, {"error": {"message": "no", "type": kind, "param": None, "code": code}})


def test_a_good_answer_is_read_whole(server: ModelServer) -> None:
    reply = reply_of(server, deadline_s=5.0)
    assert reply.said == Said(answer(), "stop", "some-model", "req_1", Usage(1800, 120))
    assert (reply.code, reply.attempts, reply.cost_nano_usd) == ("", 1, RIGHT_COST)


def test_the_question_is_sent_as_documented(server: ModelServer) -> None:
    reply_of(server, deadline_s=5.0, request=replace(REQUEST, effort="low"))
    one = server.asked[0]
    assert one.path == "/v1/chat/completions"
    assert one.headers["authorization"] == f"Bearer {KEY}"
    assert one.body == {
        "model": "some-model",
        "messages": [
            {"role": "system", "content": "You judge."},
            {"role": "user", "content": REQUEST.user},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
        },
        "max_tokens": 512,
        "reasoning_effort": "low",
    }


@pytest.mark.parametrize(
    ("base_url", "token_limit", "parameter"),
    [
        ("https://api.openai.com/v1", "", "max_completion_tokens"),
        ("https://api.openai.com/v1", "max_tokens", "max_tokens"),
        ("https://elsewhere.example/v1", "", "max_tokens"),
        ("https://elsewhere.example/v1", "max_completion_tokens", "max_completion_tokens"),
    ],
)
def test_the_bound_on_the_answer_has_the_name_its_server_knows(
    base_url: str, token_limit: str, parameter: str
) -> None:
    sent = OpenAI(KEY, base_url, token_limit)._params(REQUEST)
    assert sent[parameter] == 512
    assert len({"max_tokens", "max_completion_tokens"} & set(sent)) == 1


def test_a_server_that_asks_for_no_key_is_sent_none(server: ModelServer) -> None:
    reply = reply_of(server, deadline_s=5.0, key="")
    assert reply.code == ""
    assert "authorization" not in server.asked[0].headers


# --- the behaviour table: what is served, the code, what it costs ---------------------------------

BILLED = [
    (ends("length"), Code.TRUNCATED),
    (ends("content_filter"), Code.REFUSED),
    (ends("stop", content=None, refusal="I cannot help with that"), Code.REFUSED),
    (ends("stop", refusal="I would rather not"), Code.REFUSED),
    (ends("tool_calls"), Code.STOPPED),
    (ends("a_word_of_next_year"), Code.STOPPED),
    (ends(None), Code.STOPPED),
    (ends("stop", content=None), Code.NO_MESSAGE),
    (ends("stop", content=""), Code.NO_MESSAGE),
    (Serves(of={"choices": []}), Code.NO_MESSAGE),
    (Serves(of={"choices": [{"finish_reason": "stop", "message": {"content": "a"}}] * 2}),
     Code.NO_MESSAGE),
]  # fmt: skip
UNKNOWN = [
    (Serves(body="<html>hello</html>", headers={"Content-Type": "text/html"}), Code.NOT_JSON),
    (Serves(body='{"choices": [{"mess'), Code.NOT_JSON),
    (Serves(body='data: {"choices": []}\n\ndata: [DONE]\n\n'), Code.NOT_JSON),
    (Serves(body=""), Code.NOT_JSON),
    (Serves(headers={"Content-Encoding": "gzip"}), Code.NOT_JSON),
    (Serves(body={"foo": 1}), Code.NO_MESSAGE),
    (Serves(body={"error": {"message": "overloaded", "code": 503}}), Code.NO_MESSAGE),
    (Serves(of={"choices": None}), Code.NO_MESSAGE),
    (Serves(of={"choices": [{"finish_reason": "stop"}]}), Code.NO_MESSAGE),
    (ends("stop", content=[{"type": "text", "text": "{}"}]), Code.NO_MESSAGE),
    (ends("stop", content="\ud800"), Code.NO_MESSAGE),
    (Serves(cut=True), Code.UNREACHABLE),
    (Serves(drop=True), Code.UNREACHABLE),
    (Serves(slow_s=9.0), Code.DEADLINE),
    (Serves(drip_s=0.02), Code.DEADLINE),
    (error(408), Code.SERVER_ERROR),
    (error(504), Code.SERVER_ERROR),
]
FREE = [
    (refused(400, "unsupported_parameter"), Code.BAD_REQUEST),
    (refused(400, "context_length_exceeded"), Code.TOO_LARGE),
    (refused(400, "content_filter"), Code.REFUSED),
    (refused(401, "invalid_api_key"), Code.WRONG_KEY),
    (refused(402, "payment"), Code.PAYMENT),
    (refused(403, "unsupported_country"), Code.FORBIDDEN),
    (refused(404, "model_not_found"), Code.NOT_FOUND),
    (refused(413, ""), Code.TOO_LARGE),
    (refused(418, ""), Code.BAD_REQUEST),
    (refused(422, ""), Code.BAD_REQUEST),
    (refused(429, "rate_limit_exceeded", "tokens"), Code.RATE_LIMITED),
    (refused(429, "insufficient_quota", "insufficient_quota"), Code.PAYMENT),
    (refused(400, "billing_hard_limit_reached"), Code.SPEND_LIMIT),
    (refused(500, "server_error"), Code.SERVER_ERROR),
    (refused(503, "slow_down"), Code.OVERLOADED),
    (error(529), Code.OVERLOADED),
    (Serves(404, {"detail": "Not Found"}), Code.NOT_FOUND),
    (Serves(500, "<html>"), Code.SERVER_ERROR),
    (Serves(500, [{"error": {"code": 500}}]), Code.SERVER_ERROR),  # a list around it: Gemini
]


@pytest.mark.parametrize(
    ("served", "code", "cost"),
    [
        *((served, code, RIGHT_COST) for served, code in BILLED),
        *((served, code, WORST) for served, code in UNKNOWN),
        *((served, code, 0) for served, code in FREE),
    ],
)
def test_whatever_else_is_served_is_a_code_in_time_and_billed(
    server: ModelServer, served: Serves, code: Code, cost: int
) -> None:
    reply = reply_of(server, served, deadline_s=SOON if code == Code.DEADLINE else 2.0)
    assert (reply.code, reply.cost_nano_usd) == (code, cost), reply.says
    assert reply.says
    assert reply.attempts == len(server.asked) == 1


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, None),
        ({}, None),
        ({"prompt_tokens": 5}, None),
        ({"prompt_tokens": 5, "completion_tokens": -1}, None),
        ({"prompt_tokens": 5, "completion_tokens": 7}, Usage(5, 7)),
        ({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}, Usage(5, 7)),
        # 300 tokens of thinking that only the total knows of
        ({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 312}, Usage(5, 307)),
        ({"prompt_tokens": 50, "completion_tokens": 7,
          "prompt_tokens_details": {"cached_tokens": 40}}, Usage(10, 7, 40)),
        ({"prompt_tokens": 50, "completion_tokens": 7,
          "prompt_tokens_details": {"cached_tokens": 51}}, None),
    ],
)  # fmt: skip
def test_tokens_are_counted_as_billed_or_not_at_all(
    server: ModelServer, usage: Any, counted: Usage | None
) -> None:
    reply = reply_of(server, Serves(of={"usage": usage}), deadline_s=5.0)
    assert reply.code == ""
    assert reply.said
    assert reply.said.usage == counted
    if counted is None:
        assert reply.cost_nano_usd == WORST


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503, 529])
def test_what_may_pass_is_tried_again(server: ModelServer, status: int) -> None:
    busy = error(status, retry_after_ms="20")
    reply = reply_of(server, busy, busy, RIGHT, deadline_s=5.0)
    assert (reply.code, reply.attempts, len(server.asked)) == ("", 3, 3)
    assert reply.cost_nano_usd == (2 * WORST if status == 408 else 0) + RIGHT_COST


def test_an_empty_account_is_not_asked_again(server: ModelServer) -> None:
    empty = replace(refused(429, "insufficient_quota"), headers={"retry-after-ms": "10"})
    reply = reply_of(server, empty, RIGHT, deadline_s=2.0)
    assert (reply.code, reply.attempts, len(server.asked)) == (Code.PAYMENT, 1, 1)


def test_a_pause_beyond_the_deadline_is_not_waited_for(server: ModelServer) -> None:
    reply = reply_of(server, error(429, retry_after="3600"), deadline_s=1.0)
    assert (reply.code, reply.attempts, reply.cost_nano_usd) == (Code.RATE_LIMITED, 1, 0)
    assert reply.latency_s < 0.7


def test_a_refused_port_costs_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it, nobody answers
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        reply = with_provider(lambda: OpenAI("", url), asked)
    assert (reply.code, reply.attempts, reply.cost_nano_usd) == (Code.UNREACHABLE, 1, 0)


def test_an_error_that_repeats_the_key_is_told_without_it(server: ModelServer) -> None:
    body = {"error": {"code": "invalid_api_key", "message": f"Incorrect API key provided: {KEY}."}}
    reply = reply_of(server, Serves(401, body))
    assert reply.says == ("status 401, invalid_api_key: Incorrect API key provided: [redacted].")


def test_no_redirect_takes_the_question_elsewhere(server: ModelServer) -> None:
    with ModelServer() as other:
        there = {"location": f"{other.openai_url}/chat/completions"}
        reply = reply_of(server, Serves(308, headers=there))
        assert (reply.code, reply.cost_nano_usd) == (Code.NOT_JSON, 0)
        assert other.asked == []


@pytest.mark.parametrize("key", [KEY, ""])
def test_nothing_in_the_environment_changes_what_is_sent_or_where(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    reply_of(server, deadline_s=5.0, key=key)
    with ModelServer() as other:
        monkeypatch.setenv("OPENAI_BASE_URL", other.openai_url)
        monkeypatch.setenv("OPENAI_API_KEY", "another")
        monkeypatch.setenv("OPENAI_ADMIN_KEY", "another")
        monkeypatch.setenv("OPENAI_ORG_ID", "another")
        monkeypatch.setenv("OPENAI_PROJECT_ID", "another")
        monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: 1\nAuthorization: Bearer another")
        assert reply_of(server, deadline_s=5.0, key=key).code == ""
        assert other.asked == []
    before, after = server.asked
    assert after.headers == before.headers
    assert after.body == before.body


def test_without_the_extra_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UsageError, match=r"pip install 'workbench\[openai\]'"):
        OpenAI(KEY, "https://api.openai.com/v1")


def test_importing_the_module_does_not_load_the_client() -> None:
    code = (
        "import sys, workbench.judges.openai_compatible, workbench.judges.asking;"
        "sys.exit('openai' in sys.modules or 'anthropic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
