"""The models that may be asked: price, end of knowledge, end of life. The one place to correct.

Prices and dates are the providers' own, looked up on `checked_on`; look again before money is
spent on a claim. A model that is not here is refused: an unknown price must not mean that it is
free. Money is whole nano-dollars: a token at 0.10 USD a million costs 100 of them.
"""

from __future__ import annotations

import difflib
import math
from datetime import date, timedelta
from fractions import Fraction
from typing import NamedTuple

import pandas as pd

from workbench.errors import UsageError
from workbench.judges.provider import Request, Usage

WARN_DAYS = 60
EMBARGO_DAYS = 60  # what was written about an event is read for weeks after it


class Model(NamedTuple):
    """One model. Prices are nano-dollars a token; `knowledge_until` the last day that it may have
    been trained on (None: not told), `retires_on` the first on which it is not served. With more
    than `long_prompt_tokens` of input every price of the call is `long_prompt_times` as high."""

    id: str
    provider: str
    input_nano_usd: int
    output_nano_usd: int
    cache_read_nano_usd: int
    cache_write_nano_usd: int
    knowledge_until: date | None
    retires_on: date | None
    source: str
    checked_on: date
    long_prompt_tokens: int | None = None
    long_prompt_times: int = 1

    def cost(self, usage: Usage, *, batch: bool = False) -> int:
        """What these tokens are billed at; a batch's at half, rounded up."""
        usual = (
            usage.input_tokens * self.input_nano_usd
            + usage.output_tokens * self.output_nano_usd
            + usage.cache_read_tokens * self.cache_read_nano_usd
            + usage.cache_write_tokens * self.cache_write_nano_usd
        )
        prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        return _halved(usual * self._times(prompt), batch)

    def worst(self, request: Request, *, batch: bool = False) -> int:
        """The most that a request can cost: every byte a token at the dearest price of input, and
        all the output that it may have."""
        dearest = max(self.input_nano_usd, self.cache_read_nano_usd, self.cache_write_nano_usd)
        most = request.most_input_tokens
        usual = most * dearest + request.max_tokens * self.output_nano_usd
        return _halved(usual * self._times(most), batch)

    def _times(self, prompt_tokens: int) -> int:
        long = self.long_prompt_tokens is not None and prompt_tokens > self.long_prompt_tokens
        return self.long_prompt_times if long else 1


def _halved(nano_usd: int, batch: bool) -> int:
    return -(-nano_usd // 2) if batch else nano_usd


def priced(
    id: str, provider: str, usd_per_mtok_input: float | None, usd_per_mtok_output: float | None,
    knowledge_until: date | None = None, *, retires_on: date | None = None,
    source: str = "told in desk.toml", checked_on: date = date.min,
) -> Model:  # fmt: skip
    """A model by its two prices, USD a million tokens; writing to a provider's cache costs a
    quarter more than reading afresh, reading from it a tenth. Raises UsageError for a price that
    is none: one that is 0 has to be said."""
    read = _nano_usd(f"usd_per_mtok_input of {id}", usd_per_mtok_input)
    said = _nano_usd(f"usd_per_mtok_output of {id}", usd_per_mtok_output)
    return Model(
        id, provider, read, said, -(-read // 10), -(-read * 5 // 4), knowledge_until, retires_on,
        source, checked_on,
    )  # fmt: skip


def _nano_usd(name: str, usd_per_mtok: float | None) -> int:
    """A token's price from that of a million: as it is written, rounded up."""
    if not isinstance(usd_per_mtok, int | float) or not 0.0 <= usd_per_mtok < math.inf:
        raise UsageError(f"{name} is {usd_per_mtok}; it must be 0 or more, and said")
    return math.ceil(Fraction(str(usd_per_mtok)) * 1000)


def _claude(
    id: str, usd_input: float, usd_output: float, usd_cache_read: float, until: date,
    ends: date | None = None,
) -> Model:  # fmt: skip
    usual = priced(
        id, "anthropic", usd_input, usd_output, until, retires_on=ends,
        source="https://platform.claude.com/docs/en/about-claude/pricing and each model's overview",
        checked_on=date(2026, 11, 22),
    )  # fmt: skip
    return usual._replace(cache_read_nano_usd=_nano_usd(f"the cache of {id}", usd_cache_read))


_JUNE = date(2026, 6, 30)
MODELS = (
    _claude("claude-haiku-5-5", 0.10, 0.50, 0.01, _JUNE)._replace(
        long_prompt_tokens=100_000, long_prompt_times=5
    ),
    _claude("claude-sonnet-5-5", 2.0, 10.0, 0.10, _JUNE),
    _claude("claude-opus-5-5", 4.0, 20.0, 0.20, _JUNE),
    _claude("claude-fable-5-1", 10.0, 50.0, 0.25, _JUNE),
    _claude("claude-sonnet-4-5", 3.0, 15.0, 0.30, date(2025, 7, 31), date(2026, 11, 30)),
)


def known(id: str) -> Model:
    """The model of this id. Raises UsageError naming the nearest one there is."""
    found = next((model for model in MODELS if model.id == id), None)
    if found is None:
        near = difflib.get_close_matches(id, [model.id for model in MODELS], 1, 0.0)
        raise UsageError(
            f"model {id!r} has no price here, so it is not asked; the nearest is {near[0]}"
            " (workbench/judges/models.py)"
        )
    return found


def retiring(model: Model, today: date) -> str:
    """A sentence from 60 days before a model's end, "" before."""
    if model.retires_on is None or today < model.retires_on - timedelta(days=WARN_DAYS):
        return ""
    if today >= model.retires_on:
        return f"{model.id} was retired on {model.retires_on}; name another model in the prompt"
    days = (model.retires_on - today).days
    left = f"{days} days" if days > 1 else "1 day"
    return f"{model.id} retires on {model.retires_on}, in {left}; try another model in time"


def knowledge(model: Model, as_of: pd.Timestamp) -> str:
    """May the model know what came after `as_of`, by its UTC day? contaminated up to the end of its
    knowledge, unknown for 60 days after it or if that end is not told, clean later."""
    if model.knowledge_until is None:
        return "unknown"
    day = (as_of.tz_convert("UTC") if as_of.tzinfo else as_of).date()
    if day <= model.knowledge_until:
        return "contaminated"
    return "unknown" if day <= model.knowledge_until + timedelta(days=EMBARGO_DAYS) else "clean"
