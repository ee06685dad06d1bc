"""Indicators against published and independent answers, with holes and with flat prices."""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import talib

from tests.recorded import require_data, spot_panel
from tests.strategies import random_panel
from workbench.domain import Panel
from workbench.strategies.indicators import (
    adx,
    at_day_ends,
    atr,
    bars_since,
    before,
    begins,
    bollinger,
    channel,
    daily_last,
    ema,
    highest,
    lowest,
    priced,
    prices,
    ratio,
    rsi,
    sma,
    within,
    zscore,
)

# StockCharts ChartSchool's RSI(14) spreadsheet: its closes and its published answers (2 decimals).
RSI_CLOSES = [
    44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826,
    45.8931, 46.0328, 45.614, 46.282, 46.282, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439,
    46.2122, 46.2521, 45.7137, 46.4515, 45.7835, 45.3548, 44.0288, 44.1783, 44.2181, 44.5672,
    43.4205, 42.6628, 43.1314,
]  # fmt: skip
RSI_PUBLISHED = [
    70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26, 56.06, 62.38, 54.71, 50.42, 39.99,
    41.46, 41.87, 45.46, 37.3, 33.08, 37.77,
]  # fmt: skip
# StockCharts' moving-average spreadsheet: closes, and EMA(10) seeded with the mean of ten.
EMA_CLOSES = [
    22.27, 22.19, 22.08, 22.17, 22.18, 22.13, 22.23, 22.43, 22.24, 22.29, 22.15, 22.39, 22.38,
    22.61, 23.36, 24.05, 23.75, 23.83, 23.95, 23.63, 23.82, 23.87, 23.65, 23.19, 23.1, 23.33,
    22.68, 23.1, 22.4, 22.17,
]  # fmt: skip
EMA_PUBLISHED = [
    22.221, 22.208091, 22.241165, 22.266408, 22.328879, 22.516356, 22.7952, 22.9688,
    23.125382, 23.275312, 23.339801, 23.42711, 23.507635, 23.53352, 23.471062, 23.403596,
    23.390215, 23.261085, 23.231797, 23.080561, 22.915004,
]  # fmt: skip
# Seventy made-up bars; answers of TA-Lib 0.8.2, ADX confirmed by pandas-ta-classic to 1e-9.
HIGH = [
    100.7, 99.45, 100.06, 98.66, 99.83, 99.56, 99.01, 99.19, 99.44, 98.61, 99.88, 100.33,
    100.06, 100.13, 100.21, 100.55, 99.4, 99.43, 99.69, 99.43, 97.37, 98.16, 98.1, 97.56,
    97.83, 101.31, 100.64, 101.55, 101.88, 100.28, 100.64, 100.14, 101.78, 103.29, 103.72,
    102.91, 102.84, 102.24, 102.31, 103.94, 104.11, 104.73, 102.85, 104.01, 104.7, 106.53,
    109.83, 109.68, 112.67, 117.9, 121.11, 122.3, 122.41, 123.2, 123.04, 122.55, 121.93,
    122.61, 124.34, 124.73, 124.17, 121.89, 119.94, 118.51, 115.53, 116.96, 116.37, 116.23,
    115.86, 114.72,
]  # fmt: skip
LOW = [
    98.22, 98.26, 96.35, 96.31, 98.06, 98.34, 97.87, 98.26, 98.53, 98.12, 97.77, 99.18, 99.9,
    99.48, 99.48, 98.57, 98.36, 97.65, 98.96, 96.85, 96.2, 95.31, 96.7, 96.48, 95.81, 97.42,
    99.11, 99.12, 99.25, 99.04, 97.99, 97.91, 99.86, 100.87, 101.43, 101.06, 101.45, 101.16,
    101.31, 101.32, 102.99, 102.54, 101.11, 101.24, 103.45, 104.23, 105.51, 107.93, 106.4,
    112.0, 117.63, 120.39, 120.49, 120.74, 121.77, 121.11, 120.59, 121.12, 121.78, 123.1,
    121.28, 119.35, 117.8, 115.25, 113.63, 113.33, 114.71, 114.59, 113.02, 113.26,
]  # fmt: skip
CLOSE = [
    98.82, 99.17, 96.39, 98.43, 99.38, 98.95, 98.48, 98.93, 98.54, 98.2, 99.27, 100.04, 99.94,
    99.82, 100.06, 99.14, 98.54, 99.35, 99.16, 97.14, 96.44, 97.4, 97.06, 96.84, 97.78,
    100.49, 99.42, 101.45, 99.6, 99.86, 98.13, 100.13, 101.4, 103.14, 101.78, 102.83, 102.03,
    101.33, 102.11, 103.46, 103.78, 102.8, 101.54, 103.76, 104.69, 105.83, 109.35, 108.02,
    112.25, 117.68, 120.57, 122.08, 120.87, 122.69, 121.87, 121.83, 121.3, 121.82, 124.2,
    123.17, 121.36, 119.55, 117.82, 115.32, 113.75, 115.98, 114.95, 115.4, 113.31, 113.6,
]  # fmt: skip
ADX_ANSWERS: dict[str, dict[int, float]] = {
    "adx": {27: 27.09114, 28: 25.723906, 40: 22.781204, 55: 51.236519, 69: 33.352834},
    "plus_di": {27: 22.234143, 28: 21.196848, 40: 24.235844, 55: 43.873492, 69: 23.354288},
    "minus_di": {27: 20.242476, 28: 18.074802, 40: 11.972294, 55: 6.566496, 69: 25.750066},
}
BAND_ANSWERS: dict[str, dict[int, float]] = {
    "upper": {27: 101.45679, 28: 101.528862, 40: 104.773441, 55: 126.996656, 69: 126.160951},
    "middle": {27: 98.804, 28: 98.857, 40: 100.501, 55: 110.427, 69: 119.072},
    "lower": {27: 96.15121, 28: 96.185138, 40: 96.228559, 55: 93.857344, 69: 111.983049},
    "bandwidth": {27: 0.053698, 28: 0.054055, 40: 0.085023, 55: 0.300102, 69: 0.11907},
    "percent_b": {27: 0.99872, 28: 0.639042, 40: 0.883738, 55: 0.844093, 69: 0.114047},
}

OHLC = pd.DataFrame({"high": HIGH, "low": LOW, "close": CLOSE})

Indicator = Callable[[Any, Any, Any], Any]
EVERY: dict[str, Indicator] = {
    "ema": lambda h, lo, c: ema(c, 12),
    "rsi": lambda h, lo, c: rsi(c, 14),
    "atr": lambda h, lo, c: atr(h, lo, c, 14),
    "adx": lambda h, lo, c: adx(h, lo, c).adx,
    "plus_di": lambda h, lo, c: adx(h, lo, c).plus_di,
    "minus_di": lambda h, lo, c: adx(h, lo, c).minus_di,
    "upper": lambda h, lo, c: bollinger(c).upper,
    "bandwidth": lambda h, lo, c: bollinger(c).bandwidth,
    "percent_b": lambda h, lo, c: bollinger(c).percent_b,
    "sma": lambda h, lo, c: sma(c, 12),
    "highest": lambda h, lo, c: highest(c, 12),
    "lowest": lambda h, lo, c: lowest(c, 12),
    "channel_upper": lambda h, lo, c: channel(h, lo, c, 12).upper,
    "channel_lower": lambda h, lo, c: channel(h, lo, c, 12).lower,
}
every = pytest.mark.parametrize("indicator", EVERY.values(), ids=EVERY.keys())


def test_rsi_is_the_published_wilder_rsi() -> None:
    values = rsi(np.array(RSI_CLOSES), 14)
    assert np.isnan(values[:14]).all()
    np.testing.assert_allclose(values[14:], RSI_PUBLISHED, atol=0.0051)


def test_ema_is_the_published_one_seeded_with_a_mean() -> None:
    values = ema(np.array(EMA_CLOSES), 10)
    assert np.isnan(values[:9]).all()
    np.testing.assert_allclose(values[9:], EMA_PUBLISHED, atol=1e-5)


@pytest.mark.parametrize("name", list(ADX_ANSWERS))
def test_adx_and_its_directions_have_the_known_answers(name: str) -> None:
    values = getattr(adx(OHLC["high"], OHLC["low"], OHLC["close"], 14), name)
    for bar, answer in ADX_ANSWERS[name].items():
        assert values[bar] == pytest.approx(answer, abs=1e-5)
    if name == "adx":
        assert values.first_valid_index() == 27


@pytest.mark.parametrize("name", list(BAND_ANSWERS))
def test_bollinger_bands_have_the_known_answers_of_population_deviation(name: str) -> None:
    values = getattr(bollinger(OHLC["close"], 20, 2.0), name)
    for bar, answer in BAND_ANSWERS[name].items():
        assert values[bar] == pytest.approx(answer, abs=1e-5)


def test_atr_is_wilders_mean_of_true_ranges() -> None:
    """True ranges 2, 3 seed 2.5; then Wilder: (2.5 + 4) / 2 with n = 2. The first bar has none."""
    high, low, close = [11.0, 12, 13, 10], [9.0, 10, 10, 8], [10.0, 11, 12, 9]
    values = atr(np.array(high), np.array(low), np.array(close), 2)
    assert np.isnan(values[:2]).all()
    np.testing.assert_allclose(values[2:], [2.5, 3.25])


@pytest.mark.parametrize("price", [5.0, 0.1, 1 / 3, 63_123.45, 0.00001234])
def test_flat_prices_are_neither_oversold_nor_trending(price: float) -> None:
    """TA-Lib alone calls a flat series RSI 0, which looks oversold."""
    flat = np.full(40, price)
    assert talib.RSI(flat, 14)[-1] == 0.0
    assert np.isnan(rsi(flat, 14)).all()
    assert adx(flat, flat, flat).adx[-1] == 0.0
    assert np.isnan(bollinger(flat).percent_b).all()
    assert bollinger(flat).bandwidth[-1] == 0.0


def test_rsi_is_unknown_only_while_all_its_closes_are_flat() -> None:
    closes = np.r_[np.linspace(10.0, 12.0, 20), np.full(20, 12.0), 12.1]
    unknown = np.flatnonzero(np.isnan(rsi(closes, 14)))
    assert unknown.tolist() == [*range(14), *range(33, 40)]


@every
def test_a_hole_is_bridged_with_the_last_close(indicator: Indicator) -> None:
    """The bars after a hole are those of a series in which nobody traded, not NaN for ever."""
    holed, filled = OHLC.copy(), OHLC.copy()
    for first, last in ((33, 33), (45, 49)):
        holed.loc[first:last] = np.nan
        filled.loc[first:last] = OHLC["close"][first - 1]
    got = indicator(holed["high"], holed["low"], holed["close"])
    expected = indicator(filled["high"], filled["low"], filled["close"])
    there = holed["close"].notna()
    pd.testing.assert_series_equal(got[there], expected[there])
    assert np.isfinite(got[50:]).all()


@every
def test_a_bar_with_one_missing_column_or_an_infinity_is_a_hole(indicator: Indicator) -> None:
    partly, whole = OHLC.copy(), OHLC.copy()
    partly.loc[40, "close"] = np.inf
    whole.loc[40] = np.nan
    pd.testing.assert_series_equal(
        indicator(partly["high"], partly["low"], partly["close"]).drop(40),
        indicator(whole["high"], whole["low"], whole["close"]).drop(40),
    )


@every
def test_leading_holes_stay_unknown_and_only_delay_the_warm_up(indicator: Indicator) -> None:
    later = pd.concat([OHLC.iloc[:9] * np.nan, OHLC], ignore_index=True)
    got = indicator(later["high"], later["low"], later["close"])
    expected = indicator(OHLC["high"], OHLC["low"], OHLC["close"])
    assert got[:9].isna().all()
    pd.testing.assert_series_equal(got[9:].reset_index(drop=True), expected)


@every
@pytest.mark.parametrize("bars", [1, 2, 11])
def test_a_series_too_short_is_unknown_and_does_not_crash(indicator: Indicator, bars: int) -> None:
    short = OHLC[:bars]
    assert indicator(short["high"], short["low"], short["close"]).isna().all()


@every
def test_a_series_without_any_price_is_unknown(indicator: Indicator) -> None:
    nothing = OHLC * np.nan
    assert indicator(nothing["high"], nothing["low"], nothing["close"]).isna().all()


@every
def test_what_goes_in_comes_out_series_frame_or_array(indicator: Indicator) -> None:
    panel = random_panel(80, seed=3)
    frame = indicator(panel.high, panel.low, panel.close)
    assert isinstance(frame, pd.DataFrame)
    assert frame.index.equals(panel.index)
    assert tuple(frame.columns) == panel.symbols
    for symbol in panel.symbols:
        series = indicator(panel.high[symbol], panel.low[symbol], panel.close[symbol])
        assert isinstance(series, pd.Series)
        assert series.name == symbol
        pd.testing.assert_series_equal(series, frame[symbol])
    array = indicator(panel.high.to_numpy(), panel.low.to_numpy(), panel.close.to_numpy())
    assert isinstance(array, np.ndarray)
    np.testing.assert_array_equal(array, frame.to_numpy())


@every
def test_inputs_are_left_as_they_were(indicator: Indicator) -> None:
    panel = random_panel(80, seed=4, holes=0.1)
    before = panel.close.copy()
    indicator(panel.high, panel.low, panel.close)
    pd.testing.assert_frame_equal(panel.close, before)


@every
def test_later_bars_never_change_an_earlier_value(indicator: Indicator) -> None:
    panel = random_panel(150, seed=5, holes=0.05)
    whole = indicator(panel.high, panel.low, panel.close)
    for bars in range(1, 150, 7):
        cut = panel.rows(0, bars)
        early = indicator(cut.high, cut.low, cut.close)
        np.testing.assert_array_equal(early.to_numpy(), whole.to_numpy()[:bars])


def test_whole_numbers_are_prices_too() -> None:
    np.testing.assert_array_equal(ema(np.array([1, 2, 3, 4]), 2), ema(np.arange(1.0, 5.0), 2))


# --- known answers, and a second library ----------------------------------------------------------


def known_answers() -> dict[str, dict[str, Any]]:
    file = require_data().parent / "known_answers.json"
    cases = json.loads(file.read_text(encoding="utf-8"))["cases"]
    return {case["id"]: case for case in cases if case["topic"] == "indicators"}


def test_every_known_answer_about_indicators_is_ours() -> None:
    """By the function it asks about; one about a function that is not here would fail."""
    cases = known_answers()
    assert len(cases) >= 6
    ohlc = pd.DataFrame(cases["ohlc70-adx-di"]["inputs"]["ohlc"])
    for case in cases.values():
        KNOWN[case["function"]](case["inputs"], case["expected"], case["tolerance"], ohlc)


def known_series(function: Indicator) -> Callable[..., None]:
    def check(inputs: Any, expected: Any, tolerance: float, _: pd.DataFrame) -> None:
        values = function(np.array(inputs["close"]), inputs["period"], None)
        first = expected["first_valid_index"]
        assert np.isnan(values[:first]).all()
        np.testing.assert_allclose(values[first:], expected["values"], rtol=0, atol=tolerance)

    return check


def known_bars(function: Indicator) -> Callable[..., None]:
    def check(inputs: Any, expected: Any, tolerance: float, ohlc: pd.DataFrame) -> None:
        given = function(ohlc["high"], ohlc["low"], ohlc["close"])
        for name, answers in expected.items():
            if name == "first_valid_index":
                assert given.adx.first_valid_index() == answers
                continue
            for bar, answer in answers.items():
                assert getattr(given, name)[int(bar)] == pytest.approx(answer, abs=tolerance)

    return check


def known_flat(inputs: Any, expected: Any, _: float, ohlc: pd.DataFrame) -> None:
    flat = np.full(40, 5.0)
    assert talib.RSI(flat, 14)[-1] == expected["talib_rsi"]
    assert not (rsi(flat, 14) < 30).any()  # no oversold signal
    assert not (adx(flat, flat, flat).adx >= 25).any()  # and no trend


def known_strangers(inputs: Any, expected: Any, _: float, ohlc: pd.DataFrame) -> None:
    """An RSI of simple means, or of means with span n, as vectorbt's, is another one than ours,
    which is TA-Lib's."""
    moves = np.random.Generator(np.random.PCG64(42)).normal(0, 0.02, 600)
    close, n = pd.Series(100 * np.exp(np.cumsum(moves))), inputs["period"]
    np.testing.assert_array_equal(rsi(close, n), talib.RSI(close.to_numpy(), n))
    up, down = close.diff().clip(lower=0.0), -close.diff().clip(upper=0.0)
    simple = up.rolling(n).mean() / down.rolling(n).mean()
    span = up.ewm(span=n, adjust=False).mean() / down.ewm(span=n, adjust=False).mean()
    for strength, least in (
        (simple, expected["vectorbt_default_max_abs_diff_gt"]),
        (span, expected["vectorbt_ewm_true_max_abs_diff_gt"]),
    ):
        theirs = 100.0 - 100.0 / (1.0 + strength)
        assert (theirs - rsi(close, n)).abs().max() > least


KNOWN: dict[str, Callable[..., None]] = {
    "rsi": known_series(lambda close, n, _: rsi(close, n)),
    "ema": known_series(lambda close, n, _: ema(close, n)),
    "adx": known_bars(lambda h, lo, c: adx(h, lo, c, 14)),
    "bollinger": known_bars(lambda h, lo, c: bollinger(c, 20, 2.0)),
    "flat_series": known_flat,
    "rsi_parity": known_strangers,
}


@pytest.fixture(scope="module")
def bitcoin() -> pd.DataFrame:
    """Five and a half years of hours, the missing ones bridged."""
    panel = spot_panel()
    columns = {n: getattr(panel, n)["BTC/USDT"] for n in ("high", "low", "close")}
    close = columns["close"].ffill()
    return pd.DataFrame({name: values.fillna(close) for name, values in columns.items()})


def same(ours: Any, theirs: Any) -> None:
    """Known from the same bar on, and equal in nine digits."""
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-9, atol=1e-9)


def test_on_recorded_prices_they_are_talibs(bitcoin: pd.DataFrame) -> None:
    h, lo, c = (bitcoin[name].to_numpy() for name in ("high", "low", "close"))
    same(ema(c, 26), talib.EMA(c, 26))
    same(sma(c, 20), talib.SMA(c, 20))
    same(rsi(c, 14), talib.RSI(c, 14))
    same(atr(h, lo, c, 14), talib.ATR(h, lo, c, 14))
    for ours, theirs in zip(adx(h, lo, c), (talib.ADX, talib.PLUS_DI, talib.MINUS_DI), strict=True):
        same(ours, theirs(h, lo, c, 14))
    for ours, theirs in zip(bollinger(c)[:3], talib.BBANDS(c, 20, 2.0, 2.0), strict=True):
        same(ours, theirs)
    for ours, theirs in zip(channel(h, lo, c), (talib.MAX(h, 20), talib.MIN(lo, 20)), strict=True):
        same(ours, theirs)


@pytest.mark.filterwarnings("ignore")
def test_on_recorded_prices_they_are_a_second_librarys_too(bitcoin: pd.DataFrame) -> None:
    """pandas-ta-classic's own code, not its calls of TA-Lib."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is written for an earlier pandas
        other = importlib.import_module("pandas_ta_classic")
    h, lo, c = bitcoin["high"], bitcoin["low"], bitcoin["close"]
    same(ema(c, 26), other.ema(c, 26, talib=False))
    same(rsi(c, 14), other.rsi(c, 14, talib=False))
    same(atr(h, lo, c, 14), other.atr(h, lo, c, 14, talib=False))
    theirs = other.adx(h, lo, c, 14, talib=False)
    for ours, name in zip(adx(h, lo, c), ("ADX_14", "DMP_14", "DMN_14"), strict=True):
        same(ours, theirs[name])
    bands, theirs = bollinger(c), other.bbands(c, 20, 2.0, ddof=0, talib=False)
    for name, theirs_name in (("lower", "BBL"), ("middle", "BBM"), ("upper", "BBU")):
        same(getattr(bands, name), theirs[f"{theirs_name}_20_2.0"])
    same(100 * bands.bandwidth, theirs["BBB_20_2.0"])
    same(bands.percent_b, theirs["BBP_20_2.0"])


def test_bands_of_a_market_that_stopped_have_no_width_whatever_it_did_before() -> None:
    """TA-Lib's running sum of squares leaves a deviation that is not there."""
    closes = np.r_[np.random.default_rng(0).lognormal(10.0, 1.0, 500), np.full(60, 1 / 3)]
    assert (bollinger(closes).bandwidth[-40:] == 0.0).all()
    assert np.isnan(bollinger(closes).percent_b[-40:]).all()


@every
def test_the_order_in_memory_does_not_matter(indicator: Indicator) -> None:
    panel = random_panel(80, seed=6, holes=0.1)
    arrays = [frame.to_numpy() for frame in (panel.high, panel.low, panel.close)]
    by_column = indicator(*(np.asfortranarray(x) for x in arrays))
    np.testing.assert_array_equal(by_column, indicator(*(np.ascontiguousarray(x) for x in arrays)))


# --- words ----------------------------------------------------------------------------------------


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def test_before_is_what_it_was_and_nothing_where_there_was_no_bar() -> None:
    np.testing.assert_array_equal(before(column(1.0, 2.0, 3.0)), column(np.nan, 1.0, 2.0))
    np.testing.assert_array_equal(before(column(1.0, 2.0), 5), column(np.nan, np.nan))
    np.testing.assert_array_equal(before(column(True, True, False)), column(False, True, True))


def test_a_state_begins_on_its_first_bar_and_never_on_the_first_of_all() -> None:
    state = column(True, True, False, True, True, False, True)
    assert np.flatnonzero(begins(state)).tolist() == [3, 6]
    known = column(True, True, True, True, True, False, True)
    assert np.flatnonzero(begins(state, known)).tolist() == [3]
    assert begins(state[:0]).shape == (0, 1)


def test_bars_since_counts_from_the_last_time_and_within_includes_now() -> None:
    state = column(False, True, False, False, True)
    np.testing.assert_array_equal(bars_since(state)[:, 0], [np.inf, 0, 1, 2, 0])
    assert within(state, 2)[:, 0].tolist() == [False, True, True, False, True]


def test_a_ratio_to_nothing_is_unknown() -> None:
    np.testing.assert_array_equal(
        ratio(column(4.0, 4.0, 4.0, 4.0), column(2.0, 0.0, -1.0, np.nan)),
        column(2.0, np.nan, np.nan, np.nan),
    )


def test_a_z_score_is_of_population_deviations_of_the_last_n_that_are_known() -> None:
    """Of 1, 5, 3 (mean 3, variance 8/3) the 3 is at 0; of 5, 3, 10 (6, 26/3) the 10 is above."""
    z = zscore(column(1.0, 5.0, 3.0, 10.0), 3, 3)[:, 0]
    np.testing.assert_allclose(z, [np.nan, np.nan, 0.0, 4.0 / np.sqrt(26 / 3)], atol=1e-12)
    holed = zscore(column(1.0, np.nan, 3.0, np.nan), 3, 2)[:, 0]
    np.testing.assert_allclose(holed, [np.nan, np.nan, 1.0, np.nan])


def test_a_series_that_repeats_itself_has_no_z_score() -> None:
    values = np.r_[1e9 * np.random.default_rng(0).standard_normal(500), np.full(60, 7.7e8)]
    assert np.isnan(zscore(values[:, None], 30, 20)[-30:]).all()


def test_prices_bridge_a_bar_with_any_column_missing_and_say_so() -> None:
    nan = np.nan
    index = pd.date_range("2024-01-01", periods=5, freq="1h", tz="UTC")

    def frame(*values: float) -> pd.DataFrame:
        return pd.DataFrame({"BTC/USDT": values}, index)

    panel = Panel.from_frames(
        open=frame(1, 1, 1, 1, 1), high=frame(nan, 3, nan, 6, 7), low=frame(nan, 1, 2, 4, 0),
        close=frame(nan, 2, 3, 5, 0), volume=frame(nan, 10, 11, nan, 13),
    )  # fmt: skip
    bars = prices(panel)
    assert bars.there[:, 0].tolist() == [False, True, False, True, False]
    np.testing.assert_array_equal(bars.high[:, 0], [nan, 3, 2, 6, 5])
    np.testing.assert_array_equal(bars.low[:, 0], [nan, 1, 2, 4, 5])
    np.testing.assert_array_equal(bars.close[:, 0], [nan, 2, 2, 5, 5])
    np.testing.assert_array_equal(bars.volume[:, 0], [nan, 10, 0, 0, 0])
    assert priced(panel)[:, 0].tolist() == [False, True, True, True, False]


def test_a_days_last_value_is_seen_from_the_close_that_completes_the_day() -> None:
    """Twelve-hour bars from a noon on; the second day has a value in its first half alone, the
    third has none, and the fourth is going on."""
    index = pd.date_range("2024-01-01 12:00", periods=6, freq="12h", tz="UTC")
    frame = pd.DataFrame({"BTC/USDT": [1.0, 2.0, np.nan, np.nan, np.nan, 6.0]}, index)
    panel = Panel.from_frames(
        open=frame, high=frame, low=frame, close=frame, volume=frame, timeframe="12h"
    )
    daily = daily_last(frame.to_numpy(), panel)
    np.testing.assert_array_equal(daily[:, 0], [1.0, 2.0, np.nan, 6.0])
    assert daily_last(frame.to_numpy()[:0], panel.rows(0, 0)).shape == (0, 1)


def test_a_days_fact_is_told_by_the_close_that_completes_the_day_and_by_no_other() -> None:
    """Twelve-hour bars from a noon on: the first, third and fifth end a day; the last day, whose
    fact is 3, is going on."""
    index = pd.date_range("2024-01-01 12:00", periods=6, freq="12h", tz="UTC")
    frame = pd.DataFrame({"BTC/USDT": np.ones(6)}, index)
    panel = Panel.from_frames(
        open=frame, high=frame, low=frame, close=frame, volume=frame, timeframe="12h"
    )
    told = at_day_ends(np.arange(4.0)[:, None], panel)[:, 0]
    np.testing.assert_array_equal(told, [0.0, np.nan, 1.0, np.nan, 2.0, np.nan])
    state = at_day_ends(column(True, False, True, True), panel)[:, 0]
    assert state.tolist() == [True, False, False, False, True, False]
    assert at_day_ends(np.empty((0, 1)), panel.rows(0, 0)).shape == (0, 1)
