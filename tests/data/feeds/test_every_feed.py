"""What every adapter must do, each against a stand-in for its provider on this machine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

import polars as pl
import pytest

from tests.data.feeds.cases import Case, all_cases
from tests.data.feeds.loopback import (
    HTML,
    NOW,
    Clock,
    Loopback,
    Reply,
    clipped,
    cut,
    line,
    pause_s,
    pause_until,
    reply,
)
from workbench.data.feeds.contract import check_feed, collected
from workbench.errors import FeedError, KeyMissing, KeyRefused

CASES = all_cases()
KEYED = [case for case in CASES if case.key]
CANARY = "CANARY0a1b2c3d4e5f6CANARY"

PASSING: dict[str, Reply | Callable[[Reply], Reply]] = {
    "a pause in seconds": pause_s(3),
    "a pause until a time": pause_until(NOW + timedelta(seconds=40)),
    "a pause without a time": reply({"error": "slow down"}, 429),
    "a fault of the server": Reply(503, b"upstream", "text/plain"),
    "a web page": HTML,
    "an answer cut off": cut,
    "no answer": Reply(drop=True),
}


def each(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def told(case: Case, server: Loopback, clock: Clock | None = None, key: str = "") -> pl.DataFrame:
    feed = case.feed(server.url)
    at = line(feed.about, key or case.key, clock)
    return collected(feed, case.series, case.start, case.end, at)


@each(CASES)
def test_it_keeps_the_promises_of_a_feed(case: Case) -> None:
    with Loopback(case.answer) as server:
        feed = case.feed(server.url)
        rows = check_feed(feed, case.series, case.start, case.end, line(feed.about, case.key))
    assert rows == case.rows > 0


@each(CASES)
@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_waited_for_and_changes_nothing(case: Case, fault: str) -> None:
    with Loopback(case.answer) as server:
        right = told(case, server)
        requests = len(server.seen)
        for at in range(1, requests + 1):
            clock = Clock()
            server.disturb(at, PASSING[fault])
            answered = told(case, server, clock)
            clocks = ["available_at", "event_time"] if case.taken_now else ["available_at"]
            assert answered.drop(clocks).equals(right.drop(clocks))
            assert max(clock.slept) >= {"a pause in seconds": 3, "a pause until a time": 30}.get(
                fault, 0.5
            )


@each(CASES)
@pytest.mark.parametrize("fault", [HTML, clipped, Reply(500), Reply(drop=True), pause_s(1)])
def test_what_does_not_pass_ends_in_one_sentence(
    case: Case, fault: Reply | Callable[[Reply], Reply]
) -> None:
    with Loopback(case.answer) as server:
        server.always(fault)
        with pytest.raises(FeedError, match=case.feed(server.url).about.name) as raised:
            told(case, server)
    assert "\n" not in str(raised.value)
    assert case.place in str(raised.value)


@each([case for case in CASES if case.drifted])
def test_a_changed_shape_is_named_and_not_guessed(case: Case) -> None:
    assert case.drifted is not None
    with Loopback(case.answer) as server:
        server.always(case.drifted)
        with pytest.raises(FeedError, match=case.feed(server.url).about.name):
            told(case, server)


@each(CASES)
def test_another_host_is_not_followed(case: Case) -> None:
    with Loopback(case.answer) as server:
        server.always(Reply(302, headers={"Location": "https://example.com/elsewhere"}))
        with pytest.raises(FeedError, match="redirects"):
            told(case, server)


@each(KEYED)
def test_a_key_that_is_not_there_is_named(case: Case) -> None:
    with Loopback(case.answer) as server:
        feed = case.feed(server.url)
        with pytest.raises(KeyMissing, match=feed.about.key):
            collected(feed, case.series, case.start, case.end, line(feed.about))
    assert not server.seen


@each(KEYED)
@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_is_named_and_never_shown(
    case: Case, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Loopback(case.answer) as server:
        server.always(lambda _: reply({"message": f"bad key {CANARY}"}, status))
        feed = case.feed(server.url)
        with pytest.raises(KeyRefused, match=feed.about.key) as raised:
            told(case, server, key=CANARY)
        assert len(server.seen) == 1
        asked = server.seen[0]
        assert CANARY in str(asked), "the key did not reach the provider"
    assert CANARY not in f"{raised.value!r} {feed!r} {line(feed.about, CANARY)!r} {caplog.text}"
