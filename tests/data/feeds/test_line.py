"""The line to a provider: what it follows, waits for, and refuses."""

from __future__ import annotations

import logging
from datetime import timedelta
from email.utils import format_datetime

import pytest

from tests.data.feeds.loopback import NOW, Clock, Loopback, Reply, Request, line, reply
from workbench.data.feeds.feed import About, Limit
from workbench.errors import FeedError, KeyRefused, NotFound, QuotaExhausted, UsageError

ABOUT = About("some", "on-chain", "somebody", Limit(2, 1.0), key="SOME_KEY")
CANARY = "CANARY0a1b2c3d4e5f6CANARY"


def moved(request: Request) -> Reply:
    if request.path == "/old":
        return Reply(308, headers={"Location": "/new"})
    if request.path == "/round":
        return Reply(302, headers={"Location": "/round"})
    return reply({"at": request.path, "query": request.query})


def test_a_redirect_on_the_same_host_is_followed() -> None:
    with Loopback(moved) as server:
        assert line(ABOUT).read(dict, f"{server.url}/old", {"a": 1})["at"] == "/new"


def test_a_redirect_without_end_is_an_error() -> None:
    with Loopback(moved) as server, pytest.raises(FeedError, match="redirects without end"):
        line(ABOUT).read(dict, f"{server.url}/round")


def test_requests_are_spaced_by_the_published_limit() -> None:
    clock = Clock()
    with Loopback(moved) as server:
        at = line(ABOUT, clock=clock)
        for _ in range(5):
            at.read(dict, f"{server.url}/x")
    assert clock.slept == pytest.approx([0.5] * 4)
    assert at.asked == 5


def test_a_clock_that_is_set_back_makes_nobody_wait() -> None:
    clock = Clock()
    with Loopback(moved) as server:
        at = line(ABOUT, clock=clock)
        at.read(dict, f"{server.url}/x")
        clock.at -= timedelta(hours=2)
        at.read(dict, f"{server.url}/x")
    assert clock.slept == pytest.approx([0.5])


def test_pages_without_end_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.data.feeds.line.MOST_PAGES", 7)
    with Loopback(moved) as server:
        endless = line(ABOUT).pages(dict, f"{server.url}/x", {}, fresh_cursor)
        with pytest.raises(FeedError, match="more than 7 pages"):
            list(endless)
        assert len(server.seen) == 7


def fresh_cursor(body: dict[str, dict[str, str]]) -> dict[str, int]:
    return {"cursor": int(body["query"].get("cursor", 0)) + 1}


def test_a_long_pause_is_left_to_the_next_pull() -> None:
    clock = Clock()
    with Loopback(lambda _: reply({}, 429, Retry_After="3600")) as server:
        with pytest.raises(QuotaExhausted, match="no more until 2026-11-20 13:00 UTC"):
            line(ABOUT, clock=clock).read(dict, f"{server.url}/x")
        assert len(server.seen) == 1
    assert clock.slept == []


@pytest.mark.parametrize("named", ["x-rate-limit-reset", "x-ratelimit-reset"])
def test_a_reset_is_read_as_seconds_to_go_and_as_a_moment(named: str) -> None:
    for value in ("7", f"{NOW.timestamp() + 7:.0f}"):
        clock = Clock()
        with Loopback(moved) as server:
            server.disturb(1, Reply(429, b"{}", headers={named: value}))
            line(ABOUT, clock=clock).read(dict, f"{server.url}/x")
        assert clock.slept[0] == pytest.approx(7.0)


def test_a_server_fault_is_waited_out_as_long_as_it_asks() -> None:
    clock = Clock()
    with Loopback(moved) as server:
        server.disturb(1, Reply(503, headers={"Retry-After": "9"}))
        line(ABOUT, clock=clock).read(dict, f"{server.url}/x")
    assert clock.slept[0] == pytest.approx(9.0)


@pytest.mark.parametrize("minutes", [-181.0, 3.0])
def test_a_clock_that_is_off_is_said_before_anything_is_stamped_with_it(minutes: float) -> None:
    theirs = format_datetime(NOW + timedelta(minutes=minutes), usegmt=True)
    with (
        Loopback(lambda _: Reply(200, b"{}", headers={"Date": theirs})) as server,
        pytest.raises(FeedError, match="set the clock first"),
    ):
        line(ABOUT).read(dict, f"{server.url}/x")


def test_an_answer_kept_by_a_cache_is_as_old_as_it_says() -> None:
    theirs = format_datetime(NOW - timedelta(hours=1), usegmt=True)
    headers = {"Date": theirs, "Age": "3600"}
    with Loopback(lambda _: Reply(200, b"{}", headers=headers)) as server:
        assert line(ABOUT).read(dict, f"{server.url}/x") == {}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error_message": "The value for variable api_key is not registered."}, KeyRefused),
        (401, {"error": "unauthorised"}, KeyRefused),
        (402, {"error": "you have used all credits"}, QuotaExhausted),
        (403, {"code": "insufficient_credits"}, QuotaExhausted),
        (429, {"type": "usage-capped"}, QuotaExhausted),
        (404, {"error": "nothing here"}, NotFound),
        (400, {"error": "bad range"}, FeedError),
    ],
)
def test_what_no_waiting_mends_is_asked_once(status: int, body: object, kind: type) -> None:
    with Loopback(lambda _: reply(body, status)) as server:
        with pytest.raises(kind) as raised:
            line(ABOUT, CANARY).read(dict, f"{server.url}/x")
        assert len(server.seen) == 1
    assert type(raised.value) is kind


def test_a_key_in_a_query_is_in_no_log_and_no_message(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = f"the key {CANARY} is unknown, see https://host/?key={CANARY}"
    with (
        Loopback(lambda _: reply({"error": echo}, 400)) as server,
        pytest.raises(FeedError) as raised,
    ):
        line(ABOUT, CANARY).read(dict, f"{server.url}/x", {"key": CANARY})
    assert "127.0.0.1" in caplog.text  # httpx did log the request
    assert CANARY not in f"{caplog.text} {raised.value!r}"


def test_plain_http_is_only_for_this_machine() -> None:
    with pytest.raises(UsageError, match="is not an https address"):
        line(ABOUT).read(dict, "http://api.example.com/x")


def test_a_body_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.data.feeds.line.LARGEST_BODY", 1000)
    with (
        Loopback(lambda _: reply("x" * 2000)) as server,
        pytest.raises(FeedError, match="answered more than"),
    ):
        line(ABOUT).read(str, f"{server.url}/x")
