"""What a judge is shown: nothing late, nothing unsaid, and one content one hash."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.judges import AS_OF, CALM, a_case, a_headline
from workbench.data.lake import Lake
from workbench.data.snapshot import load_world
from workbench.domain import Case, DataError, Headline, Panel, Signal, Snapshot
from workbench.judges.case import (
    about,
    build_cases,
    canonical,
    case_hash,
    features,
)

ROOT = Path(__file__).resolve().parents[2]
BTC, ETH = "BTC/USDT", "ETH/USDT"
WANTS = {BTC: (1, 60.0)}
RICH = a_case(
    signals=(
        Signal("ema_adx", "trend", BTC, 1, 61.25),
        Signal("rsi_bounce", "reversion", BTC, 1, 55.0, muted="regime"),
        Signal("news_sentiment", "event", BTC, 1, 57.0, from_text=True),
    ),
    features=CALM | {"odds.2024-03-20 down25": 0.125, "mvrv": None},
    headlines=(a_headline("Bitcoin rises"), a_headline("Märkte fallen: “weiter” 📉", id="h2")),
    missing=("mvrv", "vix"),
)


# --- the hash ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_the_hash_is_the_same_in_any_process(seed: str) -> None:
    """Python's own hashes differ from process to process; these may not."""
    code = (
        "from tests.judges.test_case import RICH\n"
        "from workbench.judges.case import case_hash\nprint(case_hash(RICH))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONHASHSEED": seed},
    )  # fmt: skip
    assert run.stdout.strip() == case_hash(RICH)


def test_the_hash_is_of_readable_sorted_json_that_names_its_schema() -> None:
    content = json.loads(canonical(RICH))
    assert content["schema"] == 3
    assert content["as_of"] == "2024-03-05T12:00:00Z"
    assert list(content) == sorted(content)
    assert any("Märkte fallen" in headline["title"] for headline in content["headlines"])
    assert len(case_hash(RICH)) == 64


@pytest.mark.parametrize(
    ("one", "other"),
    [(8, 8.0), (0.0, -0.0), (8.0, np.float64(8.0)), (None, math.nan), (None, math.inf), (1, True)],
)
def test_equal_numbers_have_one_hash(one: float | None, other: float | None) -> None:
    assert case_hash(a_case(features={"x": one})) == case_hash(a_case(features={"x": other}))


@given(st.permutations(RICH.signals), st.permutations(RICH.headlines),
       st.permutations(list(RICH.features)), st.permutations(RICH.missing))  # fmt: skip
@settings(deadline=None)
def test_the_order_in_which_things_were_gathered_does_not_matter(
    signals: list[Signal], headlines: list[Headline], names: list[str], missing: list[str]
) -> None:
    shuffled = replace(
        RICH,
        signals=tuple(signals),
        headlines=tuple(headlines),
        features={name: RICH.features[name] for name in names},
        missing=tuple(missing),
    )
    assert case_hash(shuffled) == case_hash(RICH)


@given(st.sampled_from(sorted(RICH.features)), st.floats(-1e6, 1e6) | st.none())
@settings(max_examples=200, deadline=None)
def test_any_changed_feature_changes_the_hash(name: str, value: float | None) -> None:
    """From 1e-8 on; below that two numbers are one."""
    before = RICH.features[name]
    changed = case_hash(replace(RICH, features={**RICH.features, name: value}))
    if before is None or value is None:
        assert (changed == case_hash(RICH)) == (before is None and value is None)
    elif abs(value - before) > 1.01e-8:
        assert changed != case_hash(RICH)


SIGNAL, NEWS = RICH.signals[0], RICH.headlines[0]
CHANGES: dict[str, dict[str, object]] = {
    "as_of": {"as_of": AS_OF + pd.Timedelta(hours=1)},
    "symbol": {"symbol": ETH},
    "side": {"side": -1},
    "regime": {"regime": "ranging"},
    "a new feature": {"features": {**RICH.features, "new": 0.0}},
    "a lost feature": {"features": CALM},
    "missing": {"missing": ("mvrv",)},
    "no headline": {"headlines": ()},
    "no signal": {"signals": ()},
    "silent": {"silent": ("macro_trend",)},
    "bracket": {"bracket": {"stop": 0.02}},
    "ages": {"ages": {"funding": 3.0}},
    "withheld": {"withheld": 1},
} | {
    f"headline {name}": {"headlines": (NEWS._replace(**{name: value}), *RICH.headlines[1:])}
    for name, value in (
        ("id", "h9"), ("title", "Bitcoin rises!"), ("source", "blog"),
        ("available_at", AS_OF - pd.Timedelta(hours=1)),
    )
} | {
    f"signal {name}": {"signals": (SIGNAL._replace(**{name: value}), *RICH.signals[1:])}
    for name, value in (
        ("strategy", "other"), ("category", "event"), ("side", -1), ("confidence", 61.26),
        ("muted", "regime"),
    )
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whatever_the_judge_is_shown_is_in_the_hash(change: dict[str, object]) -> None:
    assert case_hash(replace(RICH, **change)) != case_hash(RICH)  # type: ignore[arg-type]


def test_texts_cannot_pretend_to_be_the_structure_around_them() -> None:
    """Quotes and brackets in a title stay inside the title."""
    tricky = a_headline('x"],["h2","2024-03-05T12:00:00Z","wire","y')
    two = (a_headline("x"), a_headline("y", id="h2"))
    assert case_hash(a_case(headlines=(tricky,))) != case_hash(a_case(headlines=two))


def test_a_case_has_no_place_for_money_or_size() -> None:
    assert {field.name for field in fields(Case)} == {
        "as_of", "symbol", "side", "signals", "regime", "features", "headlines", "missing",
        "silent", "bracket", "ages", "withheld",
    }  # fmt: skip


# --- what is gathered ----------------------------------------------------------------------------


def panel_of(
    closes: Mapping[str, list[float]], context: Mapping[str, object] | None = None
) -> Panel:
    """Hourly closes that end at AS_OF."""
    n = len(next(iter(closes.values())))
    index = pd.date_range(end=AS_OF - pd.Timedelta(hours=1), periods=n, freq="1h")
    frame = pd.DataFrame(dict(closes), index)
    series = {
        name: pd.DataFrame(value, index) if isinstance(value, dict) else pd.Series(value, index)
        for name, value in (context or {}).items()
    }
    return Panel.from_frames(
        open=frame, high=frame, low=frame, close=frame, volume=frame, context=series
    )


def snapshot(**changed: object) -> Snapshot:
    base: dict[str, object] = {
        "as_of": AS_OF, "panel": panel_of({BTC: [100.0] * 30, ETH: [10.0] * 30}),
    }  # fmt: skip
    return Snapshot(**(base | changed))  # type: ignore[arg-type]


def only(shot: Snapshot, signals: tuple[Signal, ...] = ()) -> Case:
    (case,) = build_cases(shot, signals, WANTS)
    return case


@pytest.mark.parametrize("subject", ["BTC", "ETH", ""])
def test_a_headline_from_the_future_is_refused_whomever_it_is_about(subject: str) -> None:
    """Even by a microsecond; the sentence names it."""
    late = a_headline(id="h7", available_at=AS_OF + pd.Timedelta(1, "us"), symbol=subject)
    with pytest.raises(DataError, match=r"headline h7 is available at .* after the close"):
        build_cases(snapshot(headlines=(a_headline(), late)), (), WANTS)


def test_a_headline_heard_at_the_very_close_is_shown() -> None:
    assert only(snapshot(headlines=(a_headline(),))).headlines == (a_headline(),)


@pytest.mark.parametrize(
    ("subject", "symbol", "shown"),
    [
        ("", BTC, True), ("BTC", BTC, True), (BTC, BTC, True), ("BTC/EUR", BTC, True),
        ("ETH", BTC, False), ("BT", BTC, False), ("WBTC", BTC, False), ("BTC", "WBTC/USDT", False),
        ("USDT", BTC, False),
    ],
)  # fmt: skip
def test_headlines_are_of_the_own_asset_or_of_the_market(
    subject: str, symbol: str, shown: bool
) -> None:
    assert about(subject, symbol) == shown
    shot = snapshot(panel=panel_of({symbol: [1.0] * 30}), headlines=(a_headline(symbol=subject),))
    (case,) = build_cases(shot, (), {symbol: (1, 60.0)})
    assert len(case.headlines) == shown


def test_the_feeds_that_the_snapshot_misses_are_in_the_case() -> None:
    assert only(snapshot(missing=("dxy", "vix"))).missing == ("dxy", "vix")


def test_there_is_a_case_for_every_wanted_symbol_and_for_no_other() -> None:
    votes = (Signal("a", "trend", ETH, -1, 50.0), Signal("b", "trend", BTC, 1, 60.0))
    cases = build_cases(snapshot(), votes, {ETH: (-1, 50.0), BTC: (1, 60.0)})
    assert [(c.symbol, c.side, c.signals) for c in cases] == [
        (BTC, 1, (votes[1],)),
        (ETH, -1, (votes[0],)),
    ]
    assert build_cases(snapshot(), votes, {}) == []


def test_muted_votes_are_shown_too() -> None:
    muted = Signal("a", "trend", BTC, -1, 50.0, muted="regime")
    assert only(snapshot(), (muted,)).signals == (muted,)


def test_features_by_hand() -> None:
    """Hourly closes: 8 days ago 80, then 100, a peak of 125 two days ago, at last 110."""
    closes = [80.0] * 24 + [100.0] * 168
    closes[-48] = 125.0
    closes[-1] = 110.0
    got = features(snapshot(panel=panel_of({BTC: closes})), BTC)
    assert got["return_24h"] == pytest.approx(0.10)
    assert got["return_7d"] == pytest.approx(110 / 80 - 1)
    assert got["drawdown_30d"] == pytest.approx(110 / 125 - 1)
    move = math.log(1.1)
    deviation = math.sqrt(move**2 / 24 - (move / 24) ** 2)
    assert got["volatility_24h"] == pytest.approx(deviation * math.sqrt(24 * 365))


def test_returns_need_their_whole_span() -> None:
    got = features(snapshot(panel=panel_of({BTC: [100.0] * 24})), BTC)
    assert got["return_24h"] is None
    assert features(snapshot(panel=panel_of({BTC: [100.0] * 25})), BTC)["return_24h"] == 0.0
    assert features(snapshot(panel=panel_of({BTC: [100.0] * 168})), BTC)["return_7d"] is None


def test_a_missing_bar_is_bridged_and_a_coin_not_listed_yet_is_unknown() -> None:
    holed = [100.0] * 30
    holed[-1] = holed[-25] = math.nan
    assert features(snapshot(panel=panel_of({BTC: holed})), BTC)["return_24h"] == 0.0
    young = [math.nan] * 20 + [100.0] * 10
    got = features(snapshot(panel=panel_of({BTC: young})), BTC)
    assert {name for name, value in got.items() if value is None} == {
        "return_24h", "return_7d", "drawdown_30d", "volatility_24h",
    }  # fmt: skip


def test_context_is_read_at_the_close_for_the_own_symbol() -> None:
    context = {
        "funding": {BTC: [0.1] * 29 + [0.2], ETH: [0.3] * 29 + [0.4]},
        "vix": [15.0] * 29 + [16.0],
        "dxy": [100.0] * 29 + [math.nan],
        "regime": {BTC: [2.0] * 30, ETH: [1.0] * 30},
    }
    shot = snapshot(panel=panel_of({BTC: [1.0] * 30, ETH: [1.0] * 30}, context))
    btc, eth = (features(shot, symbol) for symbol in (BTC, ETH))
    assert (btc["funding"], eth["funding"]) == (0.2, 0.4)
    assert (btc["vix"], btc.get("dxy")) == (16.0, None)
    assert "regime" not in btc
    cases = build_cases(shot, (), {BTC: (1, 60.0), ETH: (1, 60.0)})
    assert [case.regime for case in cases] == ["trending", "ranging"]


def test_context_belongs_to_its_symbol_whatever_the_order_of_its_columns() -> None:
    """The columns of bars and context come as they come; a case reads its own."""
    context = {"funding": {ETH: [0.4] * 30, BTC: [0.2] * 30}}
    shot = snapshot(panel=panel_of({ETH: [1.0] * 30, BTC: [1.0] * 30}, context))
    assert [features(shot, symbol)["funding"] for symbol in (BTC, ETH)] == [0.2, 0.4]


def test_without_labels_the_regime_is_unknown() -> None:
    assert only(snapshot()).regime == "unknown"


def test_netflow_is_measured_against_its_own_month() -> None:
    """Deviations of the population: nine zeros and a ten are 3 deviations above their mean."""

    def flow(values: list[float]) -> float | None:
        closes = [1.0] * len(values)
        shot = snapshot(panel=panel_of({BTC: closes}, {"netflow": {BTC: values}}))
        return features(shot, BTC)["netflow_z"]

    assert flow([0.0] * 9 + [10.0]) == pytest.approx(3.0)
    assert flow([5.0] * 10) is None
    assert flow([0.0] * 8 + [math.nan, 10.0]) is None
    assert flow([99.0] + [0.0] * 719 + [0.0]) is None, "older than thirty days"


def test_odds_are_features_of_their_own_name_and_no_number_is_none() -> None:
    got = features(snapshot(odds={"march down25": 0.25, "odd": math.inf}), BTC)
    assert got["odds.march down25"] == 0.25
    assert got["odds.odd"] is None


def test_features_are_plain_finite_numbers_or_none() -> None:
    context = {"risk_on": [1.0] * 30, "flag": [True] * 30, "whole": [3] * 30}
    got = features(snapshot(panel=panel_of({BTC: [1.0] * 30}, context)), BTC)
    assert (got["risk_on"], got["flag"], got["whole"]) == (1.0, 1.0, 3.0)
    assert {type(value) for value in got.values()} <= {float, type(None)}


def test_a_case_of_the_sample_world_knows_nothing_after_its_close(sample_lake: Lake) -> None:
    """Headlines by their time; numbers by building the case again from a world that ends there."""
    symbols = [BTC, ETH]
    whole = load_world(sample_lake, "sample", symbols, "1h", "2023-01-01", "2023-03-31")
    wants = {BTC: (1, 60.0), ETH: (-1, 55.0)}
    for day in ("2023-02-01", "2023-02-14"):
        ended = load_world(sample_lake, "sample", symbols, "1h", "2023-01-01", day)
        t = len(ended.panel) - 1
        cases = build_cases(whole.snapshot(t, 800), (), wants)
        assert any(case.headlines for case in cases)
        for case in cases:
            assert all(h.available_at <= case.as_of for h in case.headlines)
            assert {about(h.symbol, case.symbol) for h in case.headlines} <= {True}
        again = build_cases(ended.snapshot(t, 800), (), wants)
        assert [case_hash(c) for c in again] == [case_hash(c) for c in cases]
