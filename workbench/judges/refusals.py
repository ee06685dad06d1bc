"""What a failed or strange response means: its status, its error, its pause. The same for every
vendor whose client raises a status error with a response and a body; imports none of them.

Nothing here repeats a key: a provider's words are shown on one line, short, and without it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError

from workbench.judges.provider import Code, Refused, Said
from workbench.redact import redacted

Shape = TypeVar("Shape", bound=BaseModel)


def _writable(text: str) -> str:
    text.encode()  # half a surrogate pair is a str, and no file takes it
    return text


Text = Annotated[str, AfterValidator(_writable)]

MOST_WORDS = 200
_STATUS = {
    400: Code.BAD_REQUEST, 401: Code.WRONG_KEY, 402: Code.PAYMENT, 403: Code.FORBIDDEN,
    404: Code.NOT_FOUND, 408: Code.SERVER_ERROR, 409: Code.SERVER_ERROR, 413: Code.TOO_LARGE,
    429: Code.RATE_LIMITED, 503: Code.OVERLOADED, 529: Code.OVERLOADED,
}  # fmt: skip
# errors whose name says more than their status does
_NAMED = {
    "billing_error": Code.PAYMENT,
    "content_filter": Code.REFUSED,
    "context_length_exceeded": Code.TOO_LARGE,
    "contract_spend_limit_reached": Code.SPEND_LIMIT,
    "enforced_spend_limit_reached": Code.SPEND_LIMIT,
    "billing_hard_limit_reached": Code.SPEND_LIMIT,
    "insufficient_quota": Code.PAYMENT,
    "organization_on_hold": Code.FORBIDDEN,
}
_TRY_AGAIN = (408, 409, 429)  # and everything from 500
_GAVE_UP_WAITING = (408, 499, 502, 504, 524)  # someone on the way; the model may have answered
_NEVER_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol")
_ENDED = {
    "refusal": Code.REFUSED, "content_filter": Code.REFUSED, "max_tokens": Code.TRUNCATED,
    "length": Code.TRUNCATED, "model_context_window_exceeded": Code.TRUNCATED,
}  # fmt: skip


def by_status(
    status: int, headers: Mapping[str, str], body: object, key: str, now: Callable[[], datetime]
) -> Refused:
    """What an error status means. `now` is asked for only if the response tells no time."""
    if status < 400:
        return Refused(Code.NOT_JSON, f"status {status}: sends elsewhere, which is not followed")
    names, words = _error(body)
    wait_s = pause_s(headers, now)
    named_so = "".join(f", {name}" for name in names)
    pause = f", asks for {wait_s:g} s" if wait_s else ""
    named = next((_NAMED[name] for name in reversed(names) if name in _NAMED), None)
    other = Code.SERVER_ERROR if status >= 500 else Code.BAD_REQUEST
    told = headers.get("x-should-retry", "")
    latches = status in (401, 402, 403)
    again = (told == "true" and not latches) or (
        told != "false" and (status in _TRY_AGAIN or status >= 500)
    )
    return Refused(
        named or _STATUS.get(status, other),
        one_line(f"status {status}{named_so}{pause}: {words}", key),
        retry=again and named is None,
        wait_s=wait_s,
        unsure=status in _GAVE_UP_WAITING,
    )


def unreachable(error: Exception) -> Refused:
    """No whole response came. What its cause was is all that is told: the rest may hold headers."""
    cause = type(error.__cause__ or error).__name__
    if cause == "DecodingError":
        return Refused(Code.NOT_JSON, "the response's compression is broken", unsure=True)
    return Refused(
        Code.UNREACHABLE, f"no response: {cause}", retry=True, unsure=cause not in _NEVER_SENT
    )


def read_body(shape: type[Shape], body: bytes | str) -> Shape:
    """A response of status 200 in the shape its provider promises.

    Raises Refused, unsure of the bill, with NOT_JSON or NO_MESSAGE.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        page = body[:200].lstrip()[:1] in (b"<", "<")
        what = "a web page" if page else f"broken JSON of {len(body)} bytes"
        raise Refused(Code.NOT_JSON, f"answered {what}", unsure=True) from None
    return read_shape(shape, found)


def read_shape(shape: type[Shape], found: object) -> Shape:
    """The same of parsed JSON. Raises Refused with NO_MESSAGE."""
    try:
        return shape.model_validate(found)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        says = one_line(f"JSON without a message: {where}: {first['msg']}")
        raise Refused(Code.NO_MESSAGE, says, unsure=True) from None


def finished(said: Said, done: str, why: str = "") -> Said:
    """The same if the model was done. Raises Refused with REFUSED, TRUNCATED or STOPPED."""
    if said.stop_reason == done:
        return said
    says = one_line(f"the model stopped with {said.stop_reason or 'no reason'}{why}")
    raise Refused(_ENDED.get(said.stop_reason, Code.STOPPED), says, said=said)


def pause_s(headers: Mapping[str, str], now: Callable[[], datetime]) -> float | None:
    """Seconds the other side asks to be left alone; None if it names no time, or one gone by.

    A date is read against the response's own: two clocks that disagree make no pause.
    """
    seconds = _number(headers.get("retry-after-ms"))
    if seconds is not None:
        seconds /= 1000.0
    elif (seconds := _number(headers.get("retry-after"))) is None:
        until = _date(headers.get("retry-after"))
        if until is None:
            return None
        seconds = (until - (_date(headers.get("date")) or now())).total_seconds()
    return seconds if seconds > 0.0 else None


def one_line(words: str, key: str = "") -> str:
    """Someone else's words: one line, short, without the key or what would steer a terminal."""
    clean = redacted(" ".join(words.split()), (key,) if key else ())
    return "".join(char for char in clean if char.isprintable())[:MOST_WORDS]


def _error(body: object) -> tuple[list[str], str]:
    """An error's names, the broad one first, and its words."""
    if not isinstance(body, Mapping):
        return [], "a web page" if str(body or "").startswith("<") else str(body or "no words")
    error = body.get("error", body)
    if not isinstance(error, Mapping):
        return [], str(error)
    details = error.get("details")
    exact: Any = details.get("error_code") if isinstance(details, Mapping) else None
    names = [name for name in (error.get("type"), error.get("code"), exact) if name]
    return list(map(str, names)), str(error.get("message", "no words"))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
