"""Headlines: cleaned, scored by the traps that other lexicons fall into, and fading in time."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.data.headlines import clean, decayed, headline_id, score
from workbench.data.sample_news import BAD, FLAT, GOOD, MILD, WORRIED

GOOD_NEWS = (
    "Fed cuts rates, risk assets rally",
    "Court dismisses lawsuit against exchange",
    "Bulls crush short sellers",
    "Spot funds see record inflows as bitcoin hits all-time high",
    "SEC drops lawsuit against Ripple",
    "Exchange denies hack",
    "No evidence of fraud, auditor says",
    "Court rejects lawsuit against Coinbase",
    "Bitcoin isn't crashing",
    "SEC approves spot bitcoin ETF",
)
BAD_NEWS = (
    "Exchange files for bankruptcy",
    "SEC sues crypto exchange Binance",
    "SEC rejects spot bitcoin ETF",
    "SEC denies ETF approval",
    "Bitcoin drops 6% after SEC lawsuit",
    "Bitcoin drops to record low",
    "Fed will not cut rates",
    "Ether fails to rally",
    "Bridge hacked, $100 million drained",
    "Exchange halts withdrawals",
)
NO_NEWS = ("", "What is next for Ethereum?", "Broad Ripple neighbors ask about a street")


def test_the_traps_get_the_right_sign() -> None:
    assert {title: score(title) > 0.05 for title in GOOD_NEWS} == dict.fromkeys(GOOD_NEWS, True)
    assert {title: score(title) < -0.05 for title in BAD_NEWS} == dict.fromkeys(BAD_NEWS, True)
    assert {title: score(title) for title in NO_NEWS} == dict.fromkeys(NO_NEWS, 0.0)


def test_the_sample_worlds_templates_say_what_their_group_says() -> None:
    def heard(template: str) -> float:
        return score(template.format(name="Bitcoin", firm="Kestrel Labs", millions=9))

    assert all(heard(t) >= 0.3 for t in GOOD)
    assert all(0.05 < heard(t) <= 0.5 for t in MILD)
    assert all(heard(t) == 0.0 for t in FLAT)
    assert all(-0.5 <= heard(t) < -0.05 for t in WORRIED)
    assert all(heard(t) <= -0.5 for t in BAD)


@given(st.text(max_size=300))
def test_any_text_has_a_score_and_a_clean_form(text: str) -> None:
    assert -1.0 <= score(text) <= 1.0
    title = clean(text)
    assert len(title) <= 240
    assert title == clean(title) == title.strip()
    assert title.isprintable()


def test_cleaning_takes_hidden_characters_out_and_leaves_words_apart() -> None:
    assert clean("Bit\u200bcoin \u202eup\x00\n\n 5\ufe0f %\U000e0041") == "Bitcoin up 5 %"
    assert clean("\ufb01ne \uff22\uff34\uff23") == "fine BTC"
    assert clean("line\u2028break") == "line break"
    assert len(clean("a " * 500)) <= 240


def test_an_id_tells_assets_and_links_apart() -> None:
    names = {
        headline_id(*pair) for pair in [("BTC", "x"), ("ETH", "x"), ("BTC", "y"), ("BT", "Cx")]
    }
    assert len(names) == 4
    assert headline_id("BTC", "x") in names


def minutes(*numbers: int) -> pd.DatetimeIndex:
    origin = pd.Timestamp("2024-01-01", tz="UTC")
    return pd.DatetimeIndex([origin + pd.Timedelta(n, unit="min") for n in numbers], tz="UTC")


@given(
    st.lists(st.tuples(st.integers(0, 4000), st.floats(-1, 1)), max_size=20),
    st.lists(st.integers(-10, 5000), min_size=1, max_size=10),
)
def test_decay_is_the_sum_over_what_was_said(
    said: list[tuple[int, float]], moments: list[int]
) -> None:
    scores = np.array([s for _, s in said], dtype=float)
    level = decayed(minutes(*moments), minutes(*(at for at, _ in said)), scores, tau_hours=6.0)
    for now, value in zip(moments, level, strict=True):
        heard = [(at, s) for at, s in said if at <= now]
        if not heard:
            assert math.isnan(value)
        else:
            direct = sum(s * math.exp((at - now) / 360.0) for at, s in heard)
            assert value == pytest.approx(direct, abs=1e-12)


def test_a_later_headline_changes_no_earlier_level_in_the_last_bit() -> None:
    rng = np.random.default_rng(5)
    at = np.sort(rng.integers(0, 9_000, 200))
    scores = rng.uniform(-1, 1, 200)
    times = minutes(*range(0, 9_000, 60))
    whole = decayed(times, minutes(*at), scores)
    half = decayed(times, minutes(*at[:100]), scores[:100])
    before = times < minutes(int(at[100]))[0]
    np.testing.assert_array_equal(whole[before], half[before])


def test_bars_years_before_the_first_headline_are_unknown_without_a_warning() -> None:
    """The decay is never taken backwards in time, where it would overflow."""
    times = pd.date_range("2000-01-01", periods=3, freq="3650D", tz="UTC")
    first = pd.DatetimeIndex([pd.Timestamp("2019-12-01", tz="UTC")])
    answer = decayed(times, first, np.array([1.0]))
    assert np.isnan(answer[:2]).all()
    assert 0.0 <= answer[2] < 1e-9
