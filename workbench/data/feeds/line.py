"""The line to a provider: paced, patient, and strict about what it accepts. httpx lives here.

It waits its turn, tries again what may pass (a pause the provider names, a fault of the server, a
cut connection) and gives up with one sentence on what will not. An answer must have the shape the
feed expects; a redirect or a next page on another host is refused. No key, no query and no body
with a key ever gets into a message or a log.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
from pydantic import TypeAdapter, ValidationError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from workbench.data.feeds.answer import Again, Answer, pause_s, place_of, utc
from workbench.domain import UsageError
from workbench.errors import FeedError, KeyMissing, KeyRefused, NotFound, QuotaExhausted
from workbench.redact import redacted

T = TypeVar("T")
Query = Mapping[str, Any]

ATTEMPTS = 5
TIMEOUT_S = 30.0  # of silence
LONGEST_ANSWER_S = 300.0
LONGEST_WAIT_S = 120.0  # a longer pause is for the next pull
LARGEST_BODY = 128 * 1024 * 1024
MOST_SKEW = timedelta(minutes=2)
MOST_REDIRECTS = 4
MOST_PAGES = 10_000
# a 402, 403 or 429 that no waiting mends, and a 400 that is about the key (FRED)
_QUOTA = re.compile(r"usage-capped|quota|credits|monthly|billing cycle", re.IGNORECASE)
_KEY = re.compile(r"api[ _-]?key", re.IGNORECASE)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Limit(NamedTuple):
    """The provider's published pace: so many requests in so many seconds."""

    requests: int
    seconds: float

    @property
    def spacing_s(self) -> float:
        return self.seconds / self.requests


@dataclass
class Line:
    """One feed's connection. `clock` answers a UTC time; `sleep` takes seconds."""

    feed: str
    limit: Limit
    key_variable: str
    secret: str = field(repr=False)
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    asked: int = 0
    _next_s: float = field(default=0.0, repr=False)

    def now(self) -> datetime:
        """The present, UTC."""
        return self.clock()

    @property
    def key(self) -> str:
        """The provider's key. Raises KeyMissing naming the variable it belongs in."""
        if not self.secret:
            raise KeyMissing(f"{self.feed}: {self.key_variable} is not set; put its key there")
        return self.secret

    def read(
        self, shape: type[T] | TypeAdapter[T], url: str, query: Query | None = None, **how: Any
    ) -> T:
        """A JSON answer in the shape asked for (anything pydantic knows). `how` as in `get`.

        Raises FeedError naming the first place where the shape differs; further fields are
        ignored.
        """

        def parse(answer: Answer) -> T:
            try:
                parsed = json.loads(answer.body)
            except (ValueError, RecursionError):
                raise Again(answer.not_json()) from None
            return self.shaped(shape, parsed, url)

        return self._ask(url, query, parse, **how)

    def text(self, url: str, query: Query | None = None, begins: str = "", **how: Any) -> str:
        """A text answer, such as CSV; it must begin with `begins`. `how` as in `get`."""

        def parse(answer: Answer) -> str:
            text = answer.body.decode("utf-8-sig", errors="replace")
            if not text.lower().startswith(begins.lower()) or answer.is_page:
                raise Again(
                    f"answered {answer.words()[:160]} and not a table that begins {begins!r}"
                )
            return text

        return self._ask(url, query, parse, **how)

    def get(
        self, url: str, query: Query | None = None,
        parse: Callable[[Answer], Any] = lambda answer: answer, **how: Any,
    ) -> Any:  # fmt: skip
        """Any answer, as `parse` reads it (Again: ask once more). `how`: headers=, body= (a JSON
        body makes it a POST)."""
        return self._ask(url, query, parse, **how)

    def pages(
        self,
        shape: type[T] | TypeAdapter[T],
        url: str,
        query: Query,
        then: Callable[[T], str | Query | None],
        **how: Any,
    ) -> Iterator[T]:
        """Page after page: `then` tells the next page's address, or what to change in the query,
        or None at the end. The same next page twice, one on another host, or pages without end
        raise FeedError."""
        seen: set[str] = set()
        at, asking = url, dict(query)
        for _ in range(MOST_PAGES):
            body = self.read(shape, at, asking, **how)
            yield body
            following = then(body)
            if not following:
                return
            mark = json.dumps(following, sort_keys=True, default=str)
            if mark in seen:
                raise FeedError(f"{self.feed}: {place_of(url)} leads to the same next page twice")
            seen.add(mark)
            if isinstance(following, str):
                at, asking = self._same_host(url, following, "leads to"), {}
            else:
                asking |= following
        raise FeedError(
            f"{self.feed}: {place_of(url)} has more than {MOST_PAGES:,} pages; ask less"
        )

    def shaped(self, shape: type[T] | TypeAdapter[T], value: object, url: str) -> T:
        """`value` in the shape asked for, or FeedError naming the first place that differs."""
        try:
            return (shape if isinstance(shape, TypeAdapter) else _adapter(shape)).validate_python(
                value
            )
        except ValidationError as wrong:
            first = wrong.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the answer"
            raise FeedError(
                f"{self.feed}: {place_of(url)} has changed its shape: {where}: {first['msg']}"
            ) from None

    def _ask(
        self,
        url: str,
        query: Query | None,
        parse: Callable[[Answer], T],
        headers: Mapping[str, str] | None = None,
        body: object = None,
    ) -> T:
        _refuse_plain(url)
        return self.patiently(place_of(url), lambda: parse(self._once(url, query, headers, body)))

    def patiently(self, place: str, call: Callable[[], T]) -> T:
        """What `call` answers; while it raises Again it is asked again, a few times, in turn.

        Raises FeedError naming `place` when patience ends.
        """
        retrying = Retrying(
            sleep=self.sleep,
            stop=stop_after_attempt(ATTEMPTS),
            wait=_wait_s,
            retry=retry_if_exception_type(Again),
            retry_error_callback=self._gave_up(place),
        )

        def in_turn() -> T:
            self.take_turn()
            return call()

        return retrying(in_turn)

    def _once(
        self, url: str, query: Query | None, headers: Mapping[str, str] | None, body: object
    ) -> Answer:
        told = {"User-Agent": "workbench/0.1 (research; one user)"} | dict(headers or {})
        at, asking = url, _plain(query) if query else None  # {} would strip the address's own query
        for _ in range(MOST_REDIRECTS):
            answer = self._sent(at, asking, told, body)
            moved = answer.headers.get("location") if 300 <= answer.status < 400 else None
            if moved is None or body is not None:
                self._judge(answer, url)
                return answer
            at, asking = self._same_host(at, urljoin(at, moved), "redirects to"), None
        raise FeedError(f"{self.feed}: {place_of(url)} redirects without end; set its address anew")

    def _sent(
        self, url: str, query: Query | None, headers: Mapping[str, str], body: object
    ) -> Answer:
        method = "GET" if body is None else "POST"
        try:
            with _client().stream(
                method, url, params=query, headers=headers, json=body
            ) as response:
                content = bytearray()
                latest = self.now() + timedelta(seconds=LONGEST_ANSWER_S)
                for part in response.iter_bytes():
                    content += part
                    if self.now() > latest:
                        raise Again(f"took longer than {LONGEST_ANSWER_S:g} s to answer")
                    if len(content) > LARGEST_BODY:
                        most = f"{LARGEST_BODY >> 20} MB"
                        raise FeedError(f"{self.feed}: {place_of(url)} answered more than {most}")
        except httpx.TimeoutException:
            raise Again(f"did not answer within {TIMEOUT_S:g} s") from None
        except (httpx.TransportError, httpx.DecodingError) as broken:
            raise Again(f"broke off ({type(broken).__name__})") from None
        return Answer(response.status_code, response.headers, bytes(content))

    def _judge(self, answer: Answer, url: str) -> None:
        """Let 200 and 304 pass; say of everything else what it means."""
        if (theirs := answer.clock()) is not None:
            self.compare_clock(theirs)  # what is first seen now is stamped with our clock
        status, place = answer.status, place_of(url)
        # redacted before it is cut: half a key is not recognised
        told = redacted(answer.words(), [self.secret] if self.secret else [])
        said = told[:160]
        if status in (200, 304):
            return
        if status < 400:
            raise FeedError(f"{self.feed}: {place} answered {status}, which it should not")
        if status in (402, 403, 429) and _QUOTA.search(told):
            raise QuotaExhausted(f"{self.feed}: {place}: the quota is used up: {said}")
        if status in (418, 429):
            raise self.paused(answer.headers, place, f"answered {status} ({said})")
        if status in (401, 402, 403) or (status == 400 and _KEY.search(said)):
            raise self._refused(status, place, said)
        if status >= 500 or status == 408:
            wait_s = pause_s(answer.headers, self.now(), ("retry-after",))
            raise Again(f"answered {status} ({said})", wait_s and min(wait_s, LONGEST_WAIT_S))
        kind = NotFound if status == 404 else FeedError
        raise kind(f"{self.feed}: {place} answered {status}: {said}")

    def _refused(self, status: int, place: str, said: str) -> FeedError:
        if not self.secret:
            return KeyRefused(f"{self.feed}: {place} answered {status}: {said}")
        return KeyRefused(
            f"{self.feed}: {place} refuses the key in {self.key_variable} ({status}): {said}"
        )

    def paused(self, headers: Mapping[str, str], place: str, said: str) -> Exception:
        """What to raise where a provider asks for a pause: Again, or QuotaExhausted if the pause
        is too long to wait out."""
        wait_s = pause_s(headers, self.now())
        if wait_s is None or wait_s <= LONGEST_WAIT_S:
            return Again(said, wait_s)
        until = self.now() + timedelta(seconds=wait_s)
        return QuotaExhausted(
            f"{self.feed}: {place} allows no more until {until:%Y-%m-%d %H:%M} UTC; pull again then"
        )

    def compare_clock(self, theirs: datetime) -> None:
        """Raise FeedError if the provider's clock and this machine's are minutes apart."""
        if abs(theirs - self.now()) > MOST_SKEW:
            raise FeedError(
                f"{self.feed}: this machine's clock says {self.now():%Y-%m-%d %H:%M:%S} and"
                f" the provider's {theirs:%Y-%m-%d %H:%M:%S} UTC; set the clock first"
            )

    def take_turn(self) -> None:
        """Keep to the published pace: requests evenly spaced.

        Raises QuotaExhausted where a turn is hours away (a hundred requests a month).
        """
        now, spacing_s = self.now().timestamp(), self.limit.spacing_s
        turn_s = min(self._next_s, now + spacing_s)  # a clock that was set back makes nobody wait
        if turn_s - now > LONGEST_WAIT_S:
            raise QuotaExhausted(
                f"{self.feed}: its limit leaves the next request for"
                f" {utc(turn_s):%Y-%m-%d %H:%M} UTC; pull again then"
            )
        if now < turn_s:
            self.sleep(turn_s - now)
        self._next_s = max(now, turn_s) + spacing_s
        self.asked += 1

    def _same_host(self, url: str, following: str, how: str) -> str:
        ours, theirs = urlsplit(url), urlsplit(following)
        if (ours.scheme, ours.netloc) != (theirs.scheme, theirs.netloc):
            raise FeedError(
                f"{self.feed}: {place_of(url)} {how} another host, {theirs.netloc!r}; if that is"
                " its new home, set its address"
            )
        return following

    def _gave_up(self, place: str) -> Callable[[RetryCallState], Any]:
        def tell(state: RetryCallState) -> Any:
            said = str(state.outcome.exception()) if state.outcome else "no answer"
            raise FeedError(
                f"{self.feed}: {place} {said}, {state.attempt_number} times; try again later"
            ) from None

        return tell


@cache
def _client() -> httpx.Client:
    # httpx logs whole addresses, keys included
    logging.getLogger("httpx").addFilter(_without_query)
    return httpx.Client(timeout=TIMEOUT_S, follow_redirects=False)


def _without_query(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            str(arg.copy_with(query=None)) if isinstance(arg, httpx.URL) else arg
            for arg in record.args
        )
    return True


@cache
def _adapter(shape: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def _plain(query: Query) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _refuse_plain(url: str) -> None:
    """A key over plain http would be anybody's; only this machine itself may be asked so."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise UsageError(f"{place_of(url)} is not an https address; set one that is")


def _wait_s(state: RetryCallState) -> float:
    told = state.outcome.exception() if state.outcome else None
    asked = told.wait_s if isinstance(told, Again) else None
    patience = float(2 ** (state.attempt_number - 1))
    return patience if asked is None else max(asked, 0.1)
