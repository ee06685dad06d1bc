"""The journal's canonical JSON: one text per value, the same in every process.

Reading needs nothing of ours: `json.loads`, and `float(...)` on a number that may be "NaN" or
"Infinity". It restores no types. It also knows which keys must never reach a journal.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np

from workbench.errors import UsageError


def to_json(value: object) -> str:
    """Keys sorted, no spaces, ASCII; floats by repr, so they come back to the same bits.

    See `to_plain` for what may be written and how. Raises UsageError for anything else.
    """
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def to_plain(value: object) -> Any:
    """The value as JSON's own types, as it will be read back.

    NaN and the infinities become "NaN", "Infinity" and "-Infinity"; dataclasses and NamedTuples
    objects; arrays lists; text enums their value, others their name; decimals text; times UTC ISO.
    """
    try:
        return _plain(value, "")
    except RecursionError:
        raise UsageError("a value for JSON is nested too deeply, or contains itself") from None


def _plain(value: object, where: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return value.value if isinstance(value, str) else value.name
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return _number(float(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, datetime):
        return utc_text(value, where)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufUO":
        bare = value.astype(np.float64) if value.dtype.kind == "f" else value
        return _plain(bare.tolist(), where)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _object({f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, where)
    if isinstance(value, tuple) and (names := getattr(value, "_fields", None)):
        return _object(dict(zip(names, value, strict=True)), where)
    if isinstance(value, Mapping):
        return _object(value, where)
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise UsageError(
        f"{where or 'the value'} is a {type(value).__name__}, which JSON has no one form for;"
        " turn it into text, numbers, a list or a mapping first"
    )


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _object(value: Mapping[Any, object], where: str) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, item in value.items():
        name = _plain(key, where)
        if not isinstance(name, str) or name in plain:
            raise UsageError(
                f"{where or 'the value'} has the key {key!r}; keys must be distinct texts"
            )
        plain[name] = _plain(item, f"{where}.{name}" if where else name)
    return plain


def utc_text(at: object, where: str) -> str:
    """ISO text in UTC (a Timestamp keeps its nanoseconds); a time without a zone is refused."""
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise UsageError(f"{where} is {at!r}; it must be a time with a zone, such as UTC")
    return at.astimezone(UTC).isoformat()


_SECRET = re.compile(
    r"_(api_?keys?|(private|access)_?keys?|secrets?|passwords?|passwd|passphrase|token|auth"
    r"|authorization|bearer|cookies?|credentials?)_"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NOT_WORD = re.compile(r"[^a-z0-9]+")


def refuse_secrets(plain: Any) -> None:
    """Raise UsageError naming the first key, at any depth, that looks like a secret's."""
    if isinstance(plain, dict):
        _refuse_names(plain)
        plain = plain.values()
    for value in plain:
        if isinstance(value, dict | list):
            refuse_secrets(value)


def _refuse_names(keys: Iterable[str]) -> None:
    for key in keys:
        words = _NOT_WORD.sub("_", _CAMEL.sub("_", key).lower())
        # "TOKEN/USDT" is a market; "output_tokens" counts.
        if "/" not in key and _SECRET.search(f"_{words}_"):
            raise UsageError(
                f"the key {key!r} looks like a secret's, and no journal may hold one; leave it out"
            )
