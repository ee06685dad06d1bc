"""Claude through the real client: whatever a server does, a code in time, and the right bill."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeVar

import pytest

from tests.judges.asked import KEY, REQUEST, RIGHT_COST, SOON, WORST, Wallet, asked, with_provider
from tests.judges.model_server import RIGHT, ModelServer, Serves, answer, error
from workbench.errors import UsageError
from workbench.judges.answer import SCHEMA, read_answer
from workbench.judges.asking import Reply
from workbench.judges.claude import Anthropic
from workbench.judges.provider import Code, Refused, Request, Said, Usage
from workbench.judges.refusals import one_line, pause_s

T = TypeVar("T")
TEXT = {"type": "text", "text": answer()}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "x"}
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def reply_of(
    server: ModelServer, *served: Serves, deadline_s: float = 2.0, request: Request = REQUEST
) -> Reply:
    """One question; the last of what is served is so from then on."""
    server.next(*served[:-1])
    server.always(served[-1] if served else RIGHT)

    return with_claude(server, lambda claude: asked(claude, deadline_s, request=request))


def with_claude(server: ModelServer, main: Callable[[Anthropic], Awaitable[T]]) -> T:
    return with_provider(lambda: Anthropic(KEY, server.url), main)


def test_a_good_answer_is_read_whole(server: ModelServer) -> None:
    reply = reply_of(server, deadline_s=5.0)
    assert reply.said == Said(answer(), "end_turn", "some-model", "req_1", Usage(1800, 120))
    assert (reply.code, reply.attempts, reply.cost_nano_usd) == ("", 1, RIGHT_COST)
    assert read_answer(reply.said.text, ()).confidence == 61


def test_the_question_is_sent_as_documented(server: ModelServer) -> None:
    reply_of(server, deadline_s=5.0, request=replace(REQUEST, effort="low"))
    one = server.asked[0]
    assert one.path == "/v1/messages"
    assert one.headers["authorization"] == f"Bearer {KEY}"
    assert one.headers["anthropic-version"] == "2026-10-21"
    assert one.body == {
        "model": "some-model",
        "max_tokens": 512,
        "system": [{"type": "text", "text": "You judge.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": REQUEST.user}],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"},
    }


def test_no_effort_is_named_unless_one_is_wanted(server: ModelServer) -> None:
    reply_of(server, deadline_s=5.0)
    assert list(server.asked[0].body["output_config"]) == ["format"]


# --- the behaviour table: what is served, the code, what it costs ---------------------------------

BILLED = [
    (Serves(of={"stop_reason": "max_tokens"}), Code.TRUNCATED),
    (Serves(of={"stop_reason": "model_context_window_exceeded"}), Code.TRUNCATED),
    (Serves(of={"stop_reason": "refusal"}), Code.REFUSED),
    (Serves(of={"stop_reason": "refusal", "content": [],
                "stop_details": {"type": "refusal", "category": "cyber"}}), Code.REFUSED),
    (Serves(of={"stop_reason": "tool_use"}), Code.STOPPED),
    (Serves(of={"stop_reason": "pause_turn"}), Code.STOPPED),
    (Serves(of={"stop_reason": "a_word_of_next_year"}), Code.STOPPED),
    (Serves(of={"stop_reason": None}), Code.STOPPED),
    (Serves(of={"content": []}), Code.NO_MESSAGE),
    (Serves(of={"content": [THOUGHT]}), Code.NO_MESSAGE),
    (Serves(of={"content": [TEXT, TEXT]}), Code.NO_MESSAGE),
]  # fmt: skip
UNKNOWN = [
    (Serves(body="<html>hello</html>", headers={"content-type": "text/html"}), Code.NOT_JSON),
    (Serves(body='{"type": "message", "con'), Code.NOT_JSON),
    (Serves(body=b"\xff\xfe\xfd"), Code.NOT_JSON),
    (Serves(body=""), Code.NOT_JSON),
    (Serves(body="[" * 100_000), Code.NOT_JSON),
    (Serves(headers={"Content-Encoding": "gzip"}), Code.NOT_JSON),
    (Serves(body={"foo": 1}), Code.NO_MESSAGE),
    (Serves(body=[]), Code.NO_MESSAGE),
    (Serves(body={"type": "error", "error": {"type": "api_error"}}), Code.NO_MESSAGE),
    (Serves(of={"content": "text"}), Code.NO_MESSAGE),
    (Serves(of={"content": [{"type": "text", "text": "\ud800"}]}), Code.NO_MESSAGE),
    (Serves(of={"stop_reason": 7}), Code.NO_MESSAGE),
    (Serves(cut=True), Code.UNREACHABLE),
    (Serves(drop=True), Code.UNREACHABLE),
    (Serves(slow_s=9.0), Code.DEADLINE),
    (Serves(drip_s=0.02), Code.DEADLINE),
    (error(408), Code.SERVER_ERROR),
    (error(502), Code.SERVER_ERROR),
    (error(504), Code.SERVER_ERROR),
]
FREE = [
    (error(400, "invalid_request_error"), Code.BAD_REQUEST),
    (error(401, "authentication_error"), Code.WRONG_KEY),
    (error(402, "billing_error"), Code.PAYMENT),
    (error(400, "billing_error"), Code.PAYMENT),
    (error(403, "permission_error"), Code.FORBIDDEN),
    (error(400, "invalid_request_error", "organization_on_hold"), Code.FORBIDDEN),
    (error(404, "not_found_error"), Code.NOT_FOUND),
    (error(409), Code.SERVER_ERROR),
    (error(413, "request_too_large"), Code.TOO_LARGE),
    (error(418), Code.BAD_REQUEST),
    (error(422), Code.BAD_REQUEST),
    (error(429, "rate_limit_error"), Code.RATE_LIMITED),
    (error(429, "rate_limit_error", "enforced_spend_limit_reached"), Code.SPEND_LIMIT),
    (error(429, "rate_limit_error", "contract_spend_limit_reached"), Code.SPEND_LIMIT),
    (error(500), Code.SERVER_ERROR),
    (error(501), Code.SERVER_ERROR),
    (error(503), Code.OVERLOADED),
    (error(529, "overloaded_error"), Code.OVERLOADED),
    (Serves(403, "<html>blocked</html>"), Code.FORBIDDEN),
    (Serves(500, ""), Code.SERVER_ERROR),
    (Serves(500, {"error": "words alone"}), Code.SERVER_ERROR),
    (Serves(500, [1]), Code.SERVER_ERROR),
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


def test_a_refusal_says_what_it_is_about(server: ModelServer) -> None:
    reply = reply_of(server, BILLED[3][0])
    assert reply.says == "the model stopped with refusal (cyber)"


def test_thinking_may_stand_beside_the_text(server: ModelServer) -> None:
    reply = reply_of(server, Serves(of={"content": [THOUGHT, TEXT]}), deadline_s=5.0)
    assert reply.said
    assert reply.said.text == answer()


@pytest.mark.parametrize("text", ["", "no", '{"confidence": 140}', "```json\n{}\n```"])
def test_a_text_that_is_no_answer_is_said_and_billed_all_the_same(
    server: ModelServer, text: str
) -> None:
    server.says = lambda _: text
    reply = reply_of(server)
    assert (reply.code, reply.cost_nano_usd) == ("", RIGHT_COST)
    assert reply.said
    with pytest.raises(Refused) as refused:
        read_answer(reply.said.text, ())
    assert refused.value.code == Code.INVALID


@pytest.mark.parametrize(
    "usage", [None, {}, {"input_tokens": 1}, {"input_tokens": -1, "output_tokens": 1}, "many"]
)
def test_usage_that_is_not_told_costs_the_worst_case(server: ModelServer, usage: Any) -> None:
    reply = reply_of(server, Serves(of={"usage": usage}))
    assert (reply.code, reply.cost_nano_usd) == ("", WORST)


def test_what_the_cache_held_is_counted_apart(server: ModelServer) -> None:
    usage = {
        "input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 1500,
        "cache_creation_input_tokens": 200, "cache_creation": {"ephemeral_5m_input_tokens": 200},
    }  # fmt: skip
    reply = reply_of(server, Serves(of={"usage": usage}))
    assert reply.said
    assert reply.said.usage == Usage(100, 10, 1500, 200)
    assert reply.cost_nano_usd == 100 * 100 + 200 * 100 + 1500 * 10 + 10 * 500


# --- trying again ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_what_may_pass_is_tried_again(server: ModelServer, status: int) -> None:
    busy = error(status, retry_after_ms="20")
    reply = reply_of(server, busy, busy, RIGHT, deadline_s=5.0)
    assert (reply.code, reply.attempts, len(server.asked)) == ("", 3, 3)
    unsure = WORST if status in (408, 502) else 0
    assert reply.cost_nano_usd == 2 * unsure + RIGHT_COST


def test_a_lost_line_is_tried_again_and_both_attempts_are_paid(server: ModelServer) -> None:
    server.next(Serves(cut=True))
    reply = with_claude(server, lambda claude: asked(claude, 5.0, jitter=float))
    assert (reply.code, reply.attempts, reply.cost_nano_usd) == ("", 2, WORST + RIGHT_COST)


@pytest.mark.parametrize(
    ("served", "attempts"),
    [
        (error(400, x_should_retry="true", retry_after_ms="10"), 2),
        (error(529, x_should_retry="false", retry_after_ms="10"), 1),
        (error(429, "rate_limit_error", "enforced_spend_limit_reached", x_should_retry="true",
               retry_after_ms="10"), 1),
    ],
)  # fmt: skip
def test_the_servers_word_on_trying_again_holds_but_not_on_a_spent_limit(
    server: ModelServer, served: Serves, attempts: int
) -> None:
    reply = reply_of(server, served, RIGHT, deadline_s=2.0)
    assert reply.attempts == attempts
    assert (reply.code == "") == (attempts == 2)


@pytest.mark.parametrize("pause", ["3600", "4"])
def test_a_pause_beyond_the_deadline_is_not_waited_for(server: ModelServer, pause: str) -> None:
    reply = reply_of(server, error(429, "rate_limit_error", retry_after=pause), deadline_s=1.0)
    assert (reply.code, reply.attempts, reply.cost_nano_usd) == (Code.RATE_LIMITED, 1, 0)
    assert reply.latency_s < 0.7
    assert f"asks for {pause} s" in reply.says


@pytest.mark.parametrize("skew", [timedelta(days=-1), timedelta(0), timedelta(days=1)])
def test_a_date_to_wait_for_is_read_by_the_servers_own_clock(
    server: ModelServer, skew: timedelta
) -> None:
    theirs = datetime.now(UTC) + skew
    busy = error(
        503,
        date=format_datetime(theirs, usegmt=True),
        retry_after=format_datetime(theirs + timedelta(seconds=1), usegmt=True),
    )
    reply = reply_of(server, busy, RIGHT, deadline_s=5.0)
    assert (reply.code, reply.attempts) == ("", 2)
    assert 1.0 <= reply.latency_s < 3.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "7", "retry-after-ms": "soon"}, 7.0),
        ({"retry-after": "inf"}, float("inf")),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:09 GMT"}, 9.0),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:09 GMT",
          "date": "Fri, 20 Nov 2026 12:00:05 GMT"}, 4.0),
        ({"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_a_pause_in_each_of_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert pause_s(headers, lambda: NOON) == seconds


def test_a_refused_port_costs_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it, nobody answers
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        reply = with_provider(lambda: Anthropic(KEY, url), asked)
    assert (reply.code, reply.attempts, reply.cost_nano_usd) == (Code.UNREACHABLE, 1, 0)
    assert reply.says == "no response: ConnectError"


def test_connections_are_kept_over_calls(server: ModelServer) -> None:
    ports: set[int] = set()
    seen = server._server.get_request

    def accepted() -> Any:
        connection, address = seen()
        ports.add(address[1])
        return connection, address

    server._server.get_request = accepted  # type: ignore[method-assign]

    async def main(claude: Anthropic) -> None:
        for _ in range(5):
            await asked(claude, 5.0)

    with_claude(server, main)
    assert len(server.asked) == 5
    assert len(ports) == 1


# --- what may not leave ---------------------------------------------------------------------------


def test_an_error_that_repeats_the_key_is_told_without_it(server: ModelServer) -> None:
    body = {"error": {"type": KEY, "message": f"wrong key\n\x1b[2J {KEY}, Bearer {KEY}"}}
    reply = reply_of(server, Serves(401, body))
    assert reply.says == ("status 401, [redacted]: wrong key [2J [redacted], Bearer [redacted]")


def test_someone_elses_words_are_one_short_line() -> None:
    assert one_line("a\n b\u202e\u200bc" + "d" * 500) == "a bc" + "d" * 196


def test_no_redirect_takes_the_question_elsewhere(server: ModelServer) -> None:
    with ModelServer() as other:
        there = {"location": f"{other.url}/v1/messages"}
        reply = reply_of(server, Serves(307, headers=there))
        assert (reply.code, reply.cost_nano_usd) == (Code.NOT_JSON, 0)
        assert other.asked == []


def test_nothing_in_the_environment_changes_what_is_sent_or_where(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply_of(server, deadline_s=5.0)
    with ModelServer() as other:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", other.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "another")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another")
        monkeypatch.setenv("ANTHROPIC_PROFILE", "another")
        monkeypatch.setenv(
            "ANTHROPIC_CUSTOM_HEADERS",
            "X-Secret: 1\nAuthorization: Bearer another\nanthropic-version: 2023-06-01",
        )
        assert reply_of(server, deadline_s=5.0).code == ""
        assert other.asked == []
    before, after = server.asked
    assert after.headers == before.headers
    assert after.body == before.body


def test_without_a_key_there_is_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with pytest.raises(UsageError, match="needs a key"):
        Anthropic("")


def test_a_model_near_its_end_is_asked_without_the_clients_warning(server: ModelServer) -> None:
    ageing = replace(REQUEST, model="claude-sonnet-4-5")
    reply = reply_of(server, deadline_s=5.0, request=ageing)
    assert reply.code == ""
    assert server.asked[0].body["model"] == "claude-sonnet-4-5"


# --- counting and batches -------------------------------------------------------------------------


def test_tokens_are_counted_without_asking_the_model(server: ModelServer) -> None:
    assert with_claude(server, lambda claude: claude.count(REQUEST)) == 1800
    assert [one.path for one in server.asked] == ["/v1/messages/count_tokens"]
    assert server.asked[0].body["system"][0]["text"] == "You judge."
    assert "max_tokens" not in server.asked[0].body


def of(key: str) -> Request:
    return replace(REQUEST, key=key * 32, user=f'{{"case":"{key}"}}')


def errored(kind: str) -> dict[str, Any]:
    body = {"type": "error", "error": {"type": kind, "message": "no"}}
    return {"type": "errored", "error": body}


def test_a_batch_from_its_submission_to_its_results(server: ModelServer) -> None:
    server.says = lambda one: answer(rationale=one.user)
    server.batch_status = "in_progress"
    server.batch_results = {
        "b1" * 32: errored("invalid_request_error"),
        "b2" * 32: errored("overloaded_error"),
        "b3" * 32: errored("billing_error"),
        "c1" * 32: {"type": "expired"},
        "d1" * 32: {"type": "canceled"},
        "e1" * 32: {"type": "of next year"},
        "f1" * 32: {"type": "succeeded", "message": {"foo": 1}},
        "f2" * 32: {"type": "errored", "error": None},
    }
    keys = ["a1", "a2", "b1", "b2", "b3", "c1", "d1", "e1", "f1", "f2"]

    async def main(claude: Anthropic) -> tuple[str, object, object]:
        batch = await claude.submit([of(key) for key in keys])
        early = await claude.collect(batch)
        server.batch_status = "ended"
        return batch, early, await claude.collect(batch)

    batch, early, done = with_claude(server, main)
    assert (batch, early) == ("msgbatch_1", None)
    assert isinstance(done, dict)
    assert set(done) == {key * 32 for key in keys}
    said = done["a2" * 32]
    assert said == Said(
        answer(rationale='{"case":"a2"}'), "end_turn", "some-model", batch, Usage(1800, 120)
    )
    codes = {key: done[key * 32].code for key in keys[2:]}
    assert codes == {
        "b1": Code.BAD_REQUEST, "b2": Code.OVERLOADED, "b3": Code.PAYMENT, "c1": Code.DEADLINE,
        "d1": Code.STOPPED, "e1": Code.NO_MESSAGE, "f1": Code.NO_MESSAGE, "f2": Code.SERVER_ERROR,
    }  # fmt: skip
    assert {key for key in keys[2:] if done[key * 32].unsure} == {"e1", "f1"}
    first = server.asked[0]
    assert first.path == "/v1/messages/batches"
    assert first.body["requests"][0]["custom_id"] == "a1" * 32
    assert first.body["requests"][0]["params"]["output_config"]["format"]["schema"] == SCHEMA


def test_the_key_is_never_taken_to_where_a_batch_says_its_results_are(server: ModelServer) -> None:
    with ModelServer() as other:
        server.results_url = f"{other.url}/v1/messages/batches/msgbatch_1/results"

        async def main(claude: Anthropic) -> object:
            return await claude.collect(await claude.submit([REQUEST]))

        found = with_claude(server, main)
        assert other.asked == []
    assert isinstance(found, dict)
    assert isinstance(found[REQUEST.key], Said)


LINE = '{"custom_id": "k", "result": {"type": "expired"}}\n'


@pytest.mark.parametrize(
    ("served", "code"),
    [
        (Serves(body="<html>"), Code.NOT_JSON),
        (Serves(body=LINE + '{"custom_id": "'), Code.NOT_JSON),
        (Serves(body='{"result": {}}\n'), Code.NO_MESSAGE),
        (Serves(cut=True), Code.UNREACHABLE),
        (error(404, "not_found_error"), Code.NOT_FOUND),
        (error(401, "authentication_error"), Code.WRONG_KEY),
    ],
)
def test_results_that_cannot_be_read_are_refused_whole(
    server: ModelServer, served: Serves, code: Code
) -> None:
    async def main(claude: Anthropic) -> None:
        batch = await claude.submit([REQUEST])
        server.next(RIGHT, served)
        with pytest.raises(Refused) as refused:
            await claude.collect(batch)
        assert refused.value.code == code
        assert KEY not in refused.value.says

    with_claude(server, main)


def test_a_request_answered_twice_in_a_batch_has_no_answer(server: ModelServer) -> None:
    async def main(claude: Anthropic) -> object:
        batch = await claude.submit([REQUEST])
        server.next(RIGHT, Serves(body=LINE + LINE))
        return await claude.collect(batch)

    found = with_claude(server, main)
    assert isinstance(found, dict)
    assert (found["k"].code, found["k"].unsure) == (Code.NO_MESSAGE, True)


def test_a_batch_that_is_refused_says_so(server: ModelServer) -> None:
    server.always(error(429, "rate_limit_error", "enforced_spend_limit_reached"))

    async def main(claude: Anthropic) -> None:
        with pytest.raises(Refused) as refused:
            await claude.submit([REQUEST])
        assert refused.value.code == Code.SPEND_LIMIT

    with_claude(server, main)


def test_an_answer_in_time_is_paid_from_the_purse_it_was_given(server: ModelServer) -> None:
    wallet = Wallet(WORST)

    with_claude(server, lambda claude: asked(claude, 5.0, wallet))
    assert wallet.left == WORST - RIGHT_COST
