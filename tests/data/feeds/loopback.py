"""A provider on 127.0.0.1: a function answers each request, and any answer can be disturbed.

    with Loopback(answer) as server:
        server.disturb(2, Reply(503))          # the second request meets a fault, once
        feed = Coinmetrics(base_url=server.url)

`answer` is the provider as its documentation describes it, written by the test.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from workbench.data.feeds.feed import About
from workbench.data.feeds.line import Line

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Request:
    """What was asked. `query` has the first value of each name, `queries` all of them."""

    method: str
    path: str
    queries: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in self.queries.items()}


@dataclass(frozen=True)
class Reply:
    """What is answered. `cut`: promise more bytes than are sent. `drop`: no answer at all."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    drop: bool = False
    slow_s: float = 0.0


def reply(value: object, status: int = 200, **headers: str) -> Reply:
    """A JSON answer; header names are written with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, json.dumps(value).encode(), headers=named)


def text(value: str, kind: str = "text/csv") -> Reply:
    return Reply(200, value.encode(), kind)


def pause_s(seconds: float) -> Reply:
    return reply({"error": "slow down"}, 429, Retry_After=f"{seconds:g}")


def pause_until(moment: datetime) -> Reply:
    return reply({"error": "slow down"}, 429, Retry_After=format_datetime(moment, usegmt=True))


HTML = Reply(200, b"<!DOCTYPE html><title>Just a moment...</title>", "text/html")


class Loopback:
    """The server. `seen` is every request, in order."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.answer = answer
        self.seen: list[Request] = []
        self._faults: dict[int, Reply | Callable[[Reply], Reply]] = {}
        self._always: Reply | Callable[[Reply], Reply] | None = None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # a killed client is what tests do

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def disturb(self, at: int, fault: Reply | Callable[[Reply], Reply]) -> None:
        """Answer the `at`-th request from now on (1 is the next) with a fault, once; a function
        gets the right answer and spoils it."""
        self._faults[len(self.seen) + at] = fault

    def always(self, fault: Reply | Callable[[Reply], Reply] | None) -> None:
        """Spoil every answer from now on; None ends that."""
        self._always = fault

    def __enter__(self) -> Loopback:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _reply(self, request: Request) -> Reply:
        with self._lock:
            self.seen.append(request)
            fault = self._faults.pop(len(self.seen), self._always)
        if isinstance(fault, Reply):
            return fault
        right = self.answer(request)
        return fault(right) if fault else right

    def _handler(loopback) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or every answer waits 40 ms for an acknowledgement

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                size = int(self.headers.get("Content-Length") or 0)
                request = Request(
                    self.command, parts.path, parse_qs(parts.query, keep_blank_values=True),
                    dict(self.headers.items()), self.rfile.read(size),
                )  # fmt: skip
                told = loopback._reply(request)
                time.sleep(told.slow_s)
                if told.drop:
                    self.close_connection = True
                    return
                self.send_response_only(told.status)
                self.send_header("Content-Type", told.kind)
                self.send_header("Content-Length", str(len(told.body) + 64 * told.cut))
                for name, value in told.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(told.body)
                self.close_connection = self.close_connection or told.cut

            do_POST = do_GET  # noqa: N815  the name that the library calls

            def log_message(self, *_: Any) -> None: ...

        return Handler


@dataclass
class Clock:
    """Time that passes only when somebody sleeps. `slept` is every pause, seconds."""

    at: datetime = NOW
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


def line(about: About, key: str = "", clock: Clock | None = None) -> Line:
    """A feed's line without its real pace: pauses are noted and not waited for."""
    clock = clock or Clock()
    return Line(
        feed=about.name, limit=about.pace, key_variable=about.key, secret=key,
        clock=clock.now, sleep=clock.sleep,
    )  # fmt: skip


def cut(right: Reply) -> Reply:
    """The right answer, broken off in the middle."""
    return replace(right, body=right.body[: len(right.body) // 2], cut=True)


def clipped(right: Reply) -> Reply:
    """The right answer's first half, as if it were whole."""
    return replace(right, body=right.body[: len(right.body) // 2])
