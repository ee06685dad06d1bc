"""What a provider answered, read without a network: its words, its pause, its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

RESETS = ("retry-after", "x-ratelimit-reset", "x-rate-limit-reset")


class Again(Exception):
    """May pass if asked again; `wait_s` if the provider said when."""

    def __init__(self, said: str, wait_s: float | None = None) -> None:
        super().__init__(said)
        self.wait_s = wait_s


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_page(self) -> bool:
        """A web page: what a guard or a proxy says in a provider's place."""
        return "html" in self.headers.get("content-type", "") or self.body.lstrip()[:1] == b"<"

    def words(self) -> str:
        """Its first words on one line."""
        if self.is_page:
            return "a web page"
        return one_line(self.body[:4000].decode("utf-8", errors="replace")) or "nothing"

    def not_json(self) -> str:
        """Why its body is no JSON."""
        if self.is_page:
            return "answered a web page and not JSON"
        return f"answered JSON that is cut off or broken ({len(self.body)} bytes)"

    def clock(self) -> datetime | None:
        """The provider's time, if it tells one."""
        try:
            at = parsedate_to_datetime(self.headers["date"])
            age_s = float(self.headers.get("age", 0))
            return None if at.tzinfo is None else utc(at.timestamp() + age_s)
        except (KeyError, TypeError, ValueError, OverflowError):
            return None


def pause_s(
    headers: Mapping[str, str], now: datetime, names: Sequence[str] = RESETS
) -> float | None:
    """How long a provider asks to be left alone: Retry-After (seconds or a date), or a reset header
    (seconds to go, or seconds or milliseconds since 1970). None for what can be none of these."""
    for name in names:
        told = headers.get(name)
        if told is None:
            continue
        try:
            seconds = float(told)
        except ValueError:
            try:
                return max((parsedate_to_datetime(told) - now).total_seconds(), 0.0)
            except (TypeError, ValueError):
                continue
        if abs(seconds) < 1e14:  # neither NaN nor beyond the calendar
            since_1970 = seconds / 1000 if seconds > 1e11 else seconds
            return max(since_1970 - now.timestamp() if seconds > 1e8 else seconds, 0.0)
    return None


def one_line(text: str) -> str:
    """A provider's words on one line, without what would steer a terminal."""
    return "".join(char for char in " ".join(text.split()) if char.isprintable())


def place_of(url: str) -> str:
    """Host and path: what of an address may be said aloud."""
    parts = urlsplit(url)
    return f"{parts.hostname}{parts.path}"


def utc(seconds: float) -> datetime:
    """Seconds since 1970 as a UTC time."""
    return datetime.fromtimestamp(seconds, UTC)
