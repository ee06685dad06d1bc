"""Regimes and risk-on: worked by hand, and from the past alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.recorded import spot_panel
from tests.strategies import random_panel
from workbench.domain import Panel, Regime
from workbench.strategies import regime
from workbench.strategies.indicators import Adx
from workbench.strategies.regime import known_at_close, regimes, risk_on, with_regime

R, T, V, U = Regime.RANGING, Regime.TRENDING, Regime.HIGH_VOL, Regime.UNKNOWN


def half_days(closes: list[float], symbol: str = "BTC/USDT") -> Panel:
    """A panel of two bars a day, at 00:00 and 12:00."""
    index = pd.date_range("2023-01-01", periods=len(closes), freq="12h", tz="UTC")
    frame = pd.DataFrame({symbol: closes}, index)
    return Panel.from_frames(
        open=frame, high=frame, low=frame, close=frame, volume=frame, timeframe="12h"
    )


def strength(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Let ADX be 10, and these at the end."""

    def adx(high: pd.DataFrame, low: pd.DataFrame, close: pd.DataFrame) -> Adx:
        line = np.full(len(close), 10.0)
        line[len(line) - len(values) :] = values
        frame = pd.DataFrame(line[:, None], close.index, close.columns)
        return Adx(frame, frame, frame)

    monkeypatch.setattr(regime, "adx", adx)


def labels(panel: Panel) -> list[Regime]:
    return [Regime(int(code)) for code in regimes(panel).to_numpy()[:, 0]]


def test_a_trend_begins_at_25_and_ends_at_20_and_in_between_nothing_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strength(monkeypatch, [24.9, 25.0, 24.0, 20.1, 20.0, 24.9, 40.0, 19.0])
    got = labels(half_days([101.0, 100.0] * 70))
    assert got[-8:] == [R, T, T, T, R, R, T, R]


def test_strength_between_the_two_lines_from_the_start_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strength(monkeypatch, [22.0] * 140)
    assert set(labels(half_days([101.0, 100.0] * 70))) == {U}


def test_nothing_is_known_before_sixty_days_of_volatility(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first day has one return and so no deviation; days 1 to 60 are the first sixty, and the
    last bar of day 60, the 122nd bar, completes them."""
    strength(monkeypatch, [])
    got = labels(half_days([101.0, 100.0] * 70))
    assert set(got[:121]) == {U}
    assert set(got[121:]) == {R}


def test_high_volatility_overrides_the_trend_from_the_days_last_close_for_one_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Day 65 moves 20 %: its own first close knows nothing, its last one completes the day, and
    the last close of day 66 hears of a calm day."""
    closes = [101.0, 100.0] * 70
    closes[130] = 120.0
    strength(monkeypatch, [30.0] * 140)
    got = labels(half_days(closes))
    assert got[129:135] == [T, T, V, V, T, T]


def test_high_volatility_is_judged_against_the_past_year_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A day twice as wild as all before is high, however much wilder the days after it are."""
    closes = [101.0, 100.0] * 140
    closes[130] = 102.1
    for bar in range(140, 280, 2):
        closes[bar] = 150.0
    strength(monkeypatch, [30.0] * 280)
    assert labels(half_days(closes))[131:133] == [V, V]


def test_a_daily_fact_shows_from_the_close_that_completes_its_day_until_the_next() -> None:
    panel = half_days([100.0] * 8)
    first = int(panel.open_days[0])
    facts = pd.DataFrame({"BTC/USDT": [1.0, 2.0, 3.0, 4.0]}, range(first, first + 4))
    seen = known_at_close(facts, panel)["BTC/USDT"].tolist()
    np.testing.assert_array_equal(seen, [np.nan, 1, 1, 2, 2, 3, 3, 4])


def test_risk_on_is_off_until_190_days_are_known_and_follows_the_last_whole_day() -> None:
    """Rising closes are above their mean; day 203 falls to 1 and shows at its own last close; its
    first close, 1 000 times the price, is no daily close and shows nowhere."""
    closes = [100.0 + day for day in range(207) for _ in range(2)]
    closes[2 * 203 : 2 * 203 + 2] = [100_000.0, 1.0]
    got = risk_on(half_days(closes)).tolist()
    assert got[:379] == [0.0] * 379
    assert got[379:407] == [1.0] * 28
    assert got[407:409] == [0.0, 0.0]
    assert got[409:] == [1.0] * 5


def test_a_close_equal_to_its_mean_is_not_risk_on() -> None:
    assert set(risk_on(half_days([100.0] * 420))) == {0.0}


def test_inside_its_band_around_the_mean_risk_stays_as_it_was() -> None:
    """200 flat days at 100; then 100.9 (in the band: off as before), 103 (on), 99.5 (in the band:
    on as before), 98 (off), 100.5 (off as before). The mean stays within 0.01 of 100."""
    days = [100.0] * 200 + [100.9, 103.0, 99.5, 98.0, 100.5]
    got = risk_on(half_days([day for day in days for _ in range(2)]))
    assert got.iloc[401::2].tolist() == [0.0, 1.0, 1.0, 0.0, 0.0]


def test_high_volatility_lasts_until_a_day_below_the_lower_quantile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hundred days whose second close moves by 1, 2, ... 100 bp in shuffled order; then 95 (high:
    above 90 in a hundred), 85 (between the two: still high) and 50 (over)."""
    order = np.random.default_rng(5).permutation(100) + 1.0
    closes, level = [], 1_000.0
    for day, move in enumerate([*order.tolist(), 95.0, 85.0, 50.0, 50.0]):
        closes += [level, level * math.exp((-1) ** day * move / 10_000.0)]
        level = closes[-1]
    strength(monkeypatch, [30.0] * len(closes))
    got = labels(half_days(closes))
    assert [got[t] for t in (201, 203, 205)] == [V, V, T]


def test_a_pair_has_the_label_of_its_market_and_none_without_it() -> None:
    panel = random_panel(2_400, seed=4)
    pair = panel.columns(["BTC/USDT"])
    frames = {
        name: pd.concat(
            [
                getattr(panel, name)[["ETH/USDT"]],
                getattr(pair, name).set_axis(["BTC/USDT~carry"], axis=1),
                getattr(pair, name),
            ],
            axis=1,
        )
        for name in ("open", "high", "low", "close", "volume")
    }
    both = regimes(Panel.from_frames(**frames, timeframe="1h"))
    assert both["BTC/USDT~carry"].equals(both["BTC/USDT"].rename("BTC/USDT~carry"))
    assert len(set(both["BTC/USDT"])) > 1
    frames = {name: frame[["BTC/USDT~carry", "ETH/USDT"]] for name, frame in frames.items()}
    alone = regimes(Panel.from_frames(**frames, timeframe="1h"))
    assert set(alone["BTC/USDT~carry"]) == {U}
    assert alone["ETH/USDT"].equals(both["ETH/USDT"])


@pytest.mark.parametrize("symbol", ["ETH/USDT", "WBTC/USDT"])
def test_without_bitcoin_risk_is_never_on(symbol: str) -> None:
    rising = [100.0 + bar for bar in range(420)]
    assert set(risk_on(half_days(rising, symbol))) == {0.0}
    assert risk_on(half_days(rising, "BTC/EUR")).iloc[-1] == 1.0


def test_a_lost_day_of_bitcoin_turns_risk_off_for_that_day_alone() -> None:
    closes = [100.0 + bar for bar in range(420)]
    closes[404:406] = [np.nan, np.nan]
    got = risk_on(half_days(closes))
    assert got.iloc[404] == 1.0
    assert set(got[405:407]) == {0.0}
    assert set(got[407:]) == {1.0}


def test_labels_lie_in_the_context_beside_what_was_there() -> None:
    panel = random_panel(200, seed=1)
    panel = panel.with_context(dxy=pd.Series(1.0, panel.index))
    labelled = with_regime(panel)
    assert set(labelled.context) == {"dxy", "regime", "risk_on"}
    assert tuple(labelled.context["regime"].columns) == panel.symbols
    assert labelled.close.equals(panel.close)


def _both(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    return regimes(panel).to_numpy(), risk_on(panel).to_numpy()


def _spoiled(panel: Panel, after: int, seed: int) -> Panel:
    """The panel with other prices, and holes, after row `after`."""
    rng = np.random.default_rng(seed)

    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        values: Any = frame.to_numpy().copy()
        later = values[after + 1 :]
        later *= rng.uniform(0.1, 10.0, later.shape)
        later[rng.random(later.shape) < 0.2] = np.nan
        return pd.DataFrame(values, frame.index, frame.columns)

    names = ("open", "high", "low", "close", "volume")
    return replace(panel, **{name: spoil(getattr(panel, name)) for name in names})


@pytest.mark.parametrize("world", ["made up", "recorded"])
def test_labels_are_the_same_when_later_bars_are_cut_or_spoiled(world: str) -> None:
    """Compared on every row up to the cut, cuts inside and at the ends of days."""
    if world == "made up":
        panel = random_panel(6_000, seed=2, holes=0.01, timeframe="1h")
    else:
        recorded = spot_panel()
        panel = recorded.rows(22_000, 28_000)
    codes, risk = _both(panel)
    assert {1.0, 2.0, 3.0} <= set(codes.ravel())
    assert set(risk) == {0.0, 1.0}
    for t in (1_500, 4_007, 4_798, 4_799, 4_800, 5_831):
        for other in (panel.rows(0, t + 1), _spoiled(panel, t, seed=t)):
            early, early_risk = _both(other)
            np.testing.assert_array_equal(early[: t + 1], codes[: t + 1])
            np.testing.assert_array_equal(early_risk[: t + 1], risk[: t + 1])


def test_every_code_is_a_regime_and_holes_make_no_label_disappear() -> None:
    panel = random_panel(2_500, seed=6, holes=0.3)
    codes = regimes(panel)
    assert codes.notna().all(axis=None)
    assert set(codes.to_numpy().ravel()) <= {float(code) for code in Regime}
