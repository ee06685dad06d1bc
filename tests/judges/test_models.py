"""What a model costs, when it ends and what it may know; every figure made by hand."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.errors import UsageError
from workbench.judges.models import MODELS, Model, knowledge, known, priced, retiring
from workbench.judges.provider import Request, Usage

HAIKU, SONNET = known("claude-haiku-5-5"), known("claude-sonnet-5-5")
FIXED = settings(derandomize=True, deadline=None, database=None)
MIDNIGHT = pd.Timestamp("2026-07-01", tz="UTC")


def request(system: str = "x" * 100, max_tokens: int = 2048) -> Request:
    return Request("a1" * 32, "m", system, "", {}, max_tokens)


def model(**changed: Any) -> Model:
    return SONNET._replace(**changed)


# --- price -------------------------------------------------------------------------------------

PRICES = {  # nano-dollars a token: input, output, cache read, cache write of five minutes
    "claude-haiku-5-5": (100, 500, 10, 125),
    "claude-sonnet-5-5": (2_000, 10_000, 100, 2_500),
    "claude-opus-5-5": (4_000, 20_000, 200, 5_000),
    "claude-fable-5-1": (10_000, 50_000, 250, 12_500),
    "claude-sonnet-4-5": (3_000, 15_000, 300, 3_750),
}


def test_the_table_is_the_price_list() -> None:
    assert {m.id: m[2:6] for m in MODELS} == PRICES


def test_every_model_says_where_its_figures_are_from_and_when() -> None:
    for each in MODELS:
        assert each.provider == "anthropic"
        assert each.source.startswith("https://")
        assert each.checked_on >= date(2026, 11, 22)


@pytest.mark.parametrize(
    ("usage", "nano_usd"),
    [
        (Usage(0, 0), 0),
        (Usage(1, 0), 2_000),
        (Usage(0, 1), 10_000),
        (Usage(0, 0, cache_read_tokens=3), 300),
        (Usage(0, 0, cache_write_tokens=3), 7_500),
        (Usage(1_800, 750), 11_100_000),  # 0.0111 USD a decision
        (Usage(7, 5, 11, 13), 14_000 + 50_000 + 1_100 + 32_500),
    ],
)
def test_a_call_costs_its_tokens(usage: Usage, nano_usd: int) -> None:
    assert SONNET.cost(usage) == nano_usd


def test_a_batch_costs_half_rounded_up() -> None:
    odd = model(input_nano_usd=3)
    assert [odd.cost(Usage(n, 0), batch=True) for n in (1, 2, 3)] == [2, 3, 5]
    assert HAIKU.cost(Usage(1_800, 750), batch=True) == 277_500  # 0.2775 USD a thousand


def test_a_long_prompt_of_haiku_costs_five_times_as_much_its_output_too() -> None:
    """Above 100,000 tokens of prompt, those of the cache counted in."""
    assert HAIKU.cost(Usage(100_000, 10)) == 10_000_000 + 5_000
    assert HAIKU.cost(Usage(100_001, 10)) == 5 * (10_000_100 + 5_000)
    assert HAIKU.cost(Usage(1, 0, 50_000, 50_000)) == 5 * (100 + 500_000 + 6_250_000)
    assert SONNET.cost(Usage(100_001, 0)) == 200_002_000, "of the others it does not"


def test_the_worst_case_is_every_byte_a_token_written_to_the_cache_and_all_the_output() -> None:
    assert request().most_input_tokens == 512 + 100 + len("{}")
    assert HAIKU.worst(request()) == 614 * 125 + 2048 * 500
    assert HAIKU.worst(request("x" * 101), batch=True) == 550_438, "1,100,875 / 2, rounded up"
    long = request("x" * 100_000, 256)
    assert HAIKU.worst(long) == 5 * (100_514 * 125 + 256 * 500)


tokens = st.integers(0, 60_000)


@FIXED
@given(st.sampled_from(MODELS), tokens, tokens, tokens, st.integers(0, 4096), st.booleans())
def test_no_usage_within_a_request_costs_more_than_its_worst_case(
    each: Model, fresh: int, read: int, written: int, said: int, batch: bool
) -> None:
    asked = request("x" * (fresh + read + written), 4096)
    cost = each.cost(Usage(fresh, said, read, written), batch=batch)
    assert cost <= each.worst(asked, batch=batch)
    assert type(cost) is int


# --- a model of one's own ----------------------------------------------------------------------


def test_a_model_of_ones_own_has_the_prices_that_are_said() -> None:
    mine = priced("llama", "openai_compatible", 0.15, 0.6, date(2025, 12, 31))
    assert mine[:6] == ("llama", "openai_compatible", 150, 600, 15, 188)  # 187.5 rounded up
    assert (mine.knowledge_until, mine.retires_on) == (date(2025, 12, 31), None)


def test_a_price_of_zero_may_be_said() -> None:
    free = priced("llama", "openai_compatible", 0, 0.0)
    assert free.cost(Usage(10**6, 10**6, 10**6, 10**6)) == free.worst(request()) == 0


@pytest.mark.parametrize("price", [None, "0.1", -0.1, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", ["input", "output"])
def test_a_price_that_is_none_is_refused(price: Any, which: str) -> None:
    prices = {"usd_per_mtok_input": 1.0, "usd_per_mtok_output": 1.0}
    with pytest.raises(UsageError, match=f"^usd_per_mtok_{which} of llama is {price}; "):
        priced("llama", "openai_compatible", **{**prices, f"usd_per_mtok_{which}": price})


@pytest.mark.parametrize("price", [1e-300, 1e-9, 0.001])
def test_whatever_is_above_zero_costs_at_least_a_nano_dollar(price: float) -> None:
    mine = priced("llama", "openai_compatible", price, price)
    assert mine[2:6] == (1, 1, 1, 2)


@FIXED
@given(st.integers(0, 10**9))
@example(2007)  # 2.007 * 1000 is 2007.0000000000002
def test_a_price_written_in_decimals_is_that_price(nano_usd: int) -> None:
    """0.1 + 0.2 is no 0.3 to a float; a price is taken as it is written."""
    written = f"{nano_usd // 1000}.{nano_usd % 1000:03d}"
    assert priced("m", "p", float(written), 0.0).input_nano_usd == nano_usd


# --- which model -------------------------------------------------------------------------------


def test_a_model_is_known_by_its_id_to_the_letter() -> None:
    assert [known(m.id) for m in MODELS] == list(MODELS)
    assert len({m.id for m in MODELS}) == len(MODELS)


@pytest.mark.parametrize(
    ("id", "nearest"),
    [("claude-haiku-5.5", "claude-haiku-5-5"), ("Claude-Opus-5-5", "claude-opus-5-5"), ("", "")],
)
def test_an_unknown_model_is_refused_by_the_name_of_the_nearest(id: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=f"is not asked; the nearest is {nearest}"):
        known(id)


@pytest.mark.parametrize(
    ("today", "says"),
    [
        ("2026-09-30", ""),
        ("2026-10-01", "retires on 2026-11-30, in 60 days"),
        ("2026-11-29", "retires on 2026-11-30, in 1 day;"),
        ("2026-11-30", "was retired on 2026-11-30"),
        ("2027-11-30", "was retired on 2026-11-30"),
    ],
)
def test_a_models_end_is_told_from_60_days_before(today: str, says: str) -> None:
    said = retiring(known("claude-sonnet-4-5"), date.fromisoformat(today))
    assert says in said
    assert bool(says) == bool(said)


def test_a_model_without_an_end_is_not_warned_of() -> None:
    assert retiring(HAIKU, date(2999, 1, 1)) == ""


# --- what it may know --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("as_of", "told"),
    [
        ("2017-01-01", "contaminated"),
        ("2026-06-30 23:59:59.999999999", "contaminated"),
        ("2026-07-01", "unknown"),
        ("2026-08-29 23:59:59.999999999", "unknown"),  # the 60th day after
        ("2026-08-30", "clean"),
    ],
)
def test_what_a_model_may_know_by_its_cutoff_and_the_60_days_after(as_of: str, told: str) -> None:
    assert knowledge(HAIKU, pd.Timestamp(as_of, tz="UTC")) == told


def test_of_a_model_without_a_cutoff_nothing_is_clean() -> None:
    mine = priced("llama", "openai_compatible", 0, 0)
    assert knowledge(mine, pd.Timestamp("2999-01-01", tz="UTC")) == "unknown"


@FIXED
@given(st.integers(-900, 900), st.sampled_from(["Asia/Tokyo", "America/New_York"]))
def test_the_day_is_that_of_utc_wherever_the_clock_hangs(hours: int, zone: str) -> None:
    moment = MIDNIGHT + timedelta(hours=hours)
    assert knowledge(HAIKU, moment.tz_convert(zone)) == knowledge(HAIKU, moment)
