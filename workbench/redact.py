"""What looks like a secret, and text without any.

By name: as the journal knows them. By value: the shapes in which vendors issue keys. A text is
cleaned of every value that the environment keeps under such a name, however it is quoted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from workbench.errors import UsageError
from workbench.journal_json import refuse_secrets

REDACTED = "[redacted]"
MIN_LENGTH = 6  # shorter values ("1", "true") stand in every text by chance

_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-(?=[\w-]*\d)[\w-]{16,}"  # OpenAI, Anthropic
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}"  # AWS
    r"|gh[opusr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}"
    r"|xox[abeprs]-[\w-]{10,}"  # Slack
    r"|AIza[\w-]{35}"  # Google
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+"  # a signed token
    r"|[Bb]earer\s+[\w.~+/=-]{20,}"
    r"|[a-z][a-z0-9+]*://[^\s:/@]+:[^\s/@]+@"  # user and password in an address
    r")|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----)?"
)
# Forty characters and more of all three kinds: an exchange's key, never a symbol or a hash.
_LONG = re.compile(r"(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=[^0-9]*[0-9])[A-Za-z0-9]{40,}")


def named_like_a_secret(name: str) -> bool:
    """Would the journal refuse this key?"""
    try:
        refuse_secrets({name: None})
    except UsageError:
        return True
    return False


def shaped_like_a_secret(value: object) -> bool:
    """Does a text, or one anywhere inside a list or mapping, look like an issued key?"""
    return any(_SHAPES.search(text) or _LONG.search(text) for text in _texts(value))


def secrets_in(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values kept under names that look like a secret's, the longest first."""
    found = {
        value
        for name, value in environment.items()
        if len(value) >= MIN_LENGTH and named_like_a_secret(name)
    }
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


def redacted(value: Any, secrets: Iterable[str]) -> Any:
    """The same text, list or mapping without `secrets` and without anything shaped like a key."""
    return _redacted(value, [form for secret in secrets for form in _forms(secret)])


def _redacted(value: Any, forms: list[str]) -> Any:
    if isinstance(value, str):
        for form in forms:
            value = value.replace(form, REDACTED)
        return _SHAPES.sub(REDACTED, value)
    if isinstance(value, Mapping):
        return type(value)({key: _redacted(item, forms) for key, item in value.items()})  # type: ignore[call-arg]
    if isinstance(value, list | tuple):
        return type(value)(_redacted(item, forms) for item in value)
    return value


def _forms(secret: str) -> list[str]:
    """As it is, and as repr, JSON and an address would print it."""
    return list(
        dict.fromkeys(
            [secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe="")]
        )
    )


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
