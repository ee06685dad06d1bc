"""A market made otherwise is still a market, and keeps what it should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.panels import MISSING, world
from workbench.domain import Panel, UsageError
from workbench.research.perturb import add_noise, delay_rows, permute_bars, shift_rows
from workbench.strategies.indicators import atr
from workbench.strategies.regime import with_regime

SYMBOLS = ("BTC/USDT", "BTC/USDT~carry", "ETH/USDT")
NAMES = ("open", "high", "low", "close", "volume")


def walk(bars: int, seed: int, timeframe: str = "1h") -> Panel:
    """Random bars of three instruments that move together, one of them a pair; gaps included."""
    rng = np.random.default_rng(seed)
    shape = (bars, len(SYMBOLS))
    moves = rng.normal(0.0, 0.01, (bars, 1)) + rng.normal(0.0, 0.004, shape)
    close = 100.0 * np.exp(np.cumsum(moves, axis=0))
    opened = np.vstack([np.full((1, 3), 100.0), close[:-1]]) * np.exp(rng.normal(0, 0.002, shape))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0.0, 0.004, shape)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0.0, 0.004, shape)))
    high[::3], low[::4] = (
        np.maximum(opened, close)[::3],
        np.minimum(opened, close)[::4],
    )  # fmt: skip  touching: where rounding would show
    index = pd.date_range("2022-01-01", periods=bars, freq=timeframe, tz="UTC")
    cells = (opened, high, low, close, rng.uniform(1.0, 9.0, shape))
    frames = {n: pd.DataFrame(c, index, SYMBOLS) for n, c in zip(NAMES, cells, strict=True)}
    return Panel.from_frames(**frames, timeframe=timeframe, source="recorded somewhere")


def without(panel: Panel, holes: np.ndarray) -> Panel:
    """The panel with some bars (bars x symbols) missing."""
    return replace(panel, **{name: getattr(panel, name).mask(holes) for name in NAMES})


def cells(panel: Panel, *names: str) -> np.ndarray:
    return np.stack([getattr(panel, name).to_numpy() for name in names or NAMES])


def shapes(panel: Panel) -> np.ndarray:
    """Gap, high, low, close (as ratios) and volume of each bar after the first, rows x rest."""
    o, h, low, c, volume = cells(panel)
    before = panel.close.ffill().shift(1).to_numpy()
    return np.hstack([o / before, h / o, low / o, c / o, volume])[1:]


def order_of(panel: Panel, made: Panel) -> np.ndarray:
    """Which bar each bar of `made` was, by its volume in the first market."""
    was = {volume: row for row, volume in enumerate(panel.volume.iloc[:, 0])}
    return np.array([was[volume] for volume in made.volume.iloc[:, 0]])


def consistent(panel: Panel) -> bool:
    o, h, low, c, _ = cells(panel)
    there = ~np.isnan(c)
    return bool(
        (h >= np.maximum(o, c))[there].all()
        and (low <= np.minimum(o, c))[there].all()
        and (low > 0)[there].all()
    )


# --- bars in another order -----------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 60), st.data())
def test_a_permuted_market_has_the_same_bars_ends_and_rows(
    seed: int, bars: int, data: st.DataObject
) -> None:
    panel, first = walk(bars, seed), data.draw(st.integers(0, bars - 1))
    made = permute_bars(panel, np.random.default_rng(seed), first)
    assert consistent(made)
    pd.testing.assert_index_equal(made.index, panel.index)
    assert made.symbols == panel.symbols
    np.testing.assert_array_equal(cells(made)[:, :first], cells(panel)[:, :first])
    for end in (0, -1):
        np.testing.assert_allclose(made.close.iloc[end], panel.close.iloc[end], rtol=1e-11)
    order = order_of(panel, made)
    assert sorted(order) == list(range(bars))
    np.testing.assert_allclose(shapes(made), shapes(panel)[order[1:] - 1], rtol=1e-9)


def test_every_later_bar_may_land_on_every_later_place() -> None:
    """1,000 orders of rows 2, 3 and 4: each of the six about 167 times (deviation 12)."""
    panel, rng = walk(5, 1), np.random.default_rng(1)
    seen = [tuple(order_of(panel, permute_bars(panel, rng, 2))) for _ in range(1_000)]
    _, counts = np.unique(seen, axis=0, return_counts=True)
    assert len(counts) == 6
    assert abs(counts - 1_000 / 6).max() < 5 * 12


def test_what_moved_together_still_does() -> None:
    panel = walk(4_000, 3)
    made = permute_bars(panel, np.random.default_rng(2))
    before, after = (np.log(p.close).diff().corr().to_numpy() for p in (panel, made))
    np.testing.assert_allclose(after, before, atol=0.02)
    assert before[0, 2] > 0.8


def test_a_pattern_in_time_is_gone() -> None:
    """Bars that rise for a week and fall for a week: one bar tells the next, until permuted."""
    wave = np.where(np.arange(4_000) // 168 % 2, -0.001, 0.001)
    close = 100.0 * np.exp(np.cumsum(wave))
    rows = [(c / np.exp(w), max(c, c / np.exp(w)), min(c, c / np.exp(w)), c, float(k))
            for k, (c, w) in enumerate(zip(close, wave, strict=True))]  # fmt: skip
    panel = world({"BTC/USDT": rows}).panel
    made = permute_bars(panel, np.random.default_rng(4))
    before, after = (np.log(p.close["BTC/USDT"]).diff().autocorr() for p in (panel, made))
    assert before > 0.95
    assert abs(after) < 0.05


def test_missing_bars_stay_where_they_are_and_rows_stay_whole() -> None:
    """ETH begins late and both break off now and then; a bar of BTC and the bar of ETH beside it
    are still beside each other."""
    panel = walk(600, 5)
    holes = np.random.default_rng(6).random((600, 3)) < 0.02
    holes[:200, 2] = True
    holed = without(panel, holes)
    made = permute_bars(holed, np.random.default_rng(7), 50)
    np.testing.assert_array_equal(np.isnan(cells(made)), np.isnan(cells(holed)))
    assert consistent(made)
    pairs = {tuple(row) for row in np.nan_to_num(holed.volume.to_numpy())}
    assert {tuple(row) for row in np.nan_to_num(made.volume.to_numpy())} == pairs
    moved = (made.volume != holed.volume).to_numpy() & ~holes
    assert moved[50:200].any()
    assert moved[201:].mean() > 0.8
    for symbol in SYMBOLS:
        ours, theirs = made.close[symbol].dropna(), holed.close[symbol].dropna()
        np.testing.assert_allclose(ours.iloc[[0, -1]], theirs.iloc[[0, -1]], rtol=1e-11)


def test_a_bar_no_one_can_trade_on_stays_as_it_came() -> None:
    bars = [(10.0, 11.0, 9.0, 10.5, float(k + 1)) for k in range(6)]
    bars[2], bars[4] = (10.0, 11.0, 0.0, 10.5, 3.0), MISSING
    made = permute_bars(world({"BTC/USDT": bars}).panel, np.random.default_rng(1))
    assert cells(made)[:, 2, 0].tolist() == [10.0, 11.0, 0.0, 10.5, 3.0]
    assert np.isnan(cells(made)[:, 4, 0]).all()


def test_regimes_are_made_anew_and_other_context_stays_at_its_time() -> None:
    panel = walk(2_400, 8, "4h")
    odds = pd.Series(np.arange(2_400.0), panel.index)
    labelled = with_regime(panel.with_context(odds=odds))
    made = permute_bars(labelled, np.random.default_rng(9), 100)
    for name in ("regime", "risk_on"):
        again = with_regime(made).context[name]
        np.testing.assert_array_equal(made.context[name].to_numpy(), again.to_numpy())
    was, now = (p.context["regime"].to_numpy() for p in (labelled, made))
    assert (was != now).mean() > 0.05
    np.testing.assert_array_equal(made.context["odds"].to_numpy(), odds.to_numpy())
    assert "regime" not in permute_bars(panel, np.random.default_rng(9)).context


def test_a_market_made_otherwise_is_labelled_and_the_given_one_untouched() -> None:
    panel = walk(200, 10)
    before = cells(panel).copy()
    for made in (
        permute_bars(panel, np.random.default_rng(1)), add_noise(panel, np.random.default_rng(1)),
    ):  # fmt: skip
        assert made.synthetic
        assert "recorded somewhere" in made.source
    np.testing.assert_array_equal(cells(panel), before)


def test_a_seed_is_the_same_market_again() -> None:
    panel = walk(200, 11)
    one, same, other = (permute_bars(panel, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(cells(one), cells(same))
    assert (cells(one) != cells(other)).any()


@pytest.mark.parametrize("first", [-1, 200])
def test_a_first_row_that_is_not_there_is_refused(first: int) -> None:
    with pytest.raises(UsageError, match="rows 0 to 199"):
        permute_bars(walk(200, 11), np.random.default_rng(1), first)


# --- noise ---------------------------------------------------------------------------------------


def test_noise_is_a_share_of_the_atr_and_bars_stay_bars() -> None:
    """Opens move by a normal share of the ATR of the bar before: mean 0, deviation the share."""
    panel = walk(4_000, 12)
    made = add_noise(panel, np.random.default_rng(3), 0.25, first=100)
    assert consistent(made)
    known = (atr(panel.high, panel.low, panel.close) / panel.close).shift(1)
    share = (np.log(made.open / panel.open) / known).iloc[100:].to_numpy()
    assert abs(share.mean()) < 0.01
    assert share.std() == pytest.approx(0.25, rel=0.02)
    np.testing.assert_array_equal(cells(made)[:, :100], cells(panel)[:, :100])
    np.testing.assert_array_equal(cells(made, "volume"), cells(panel, "volume"))


def test_no_noise_is_the_same_market_and_wild_noise_still_one() -> None:
    panel = walk(300, 13)
    calm = add_noise(panel, np.random.default_rng(3), 0.0)
    np.testing.assert_allclose(cells(calm), cells(panel), rtol=1e-15)
    assert consistent(add_noise(panel, np.random.default_rng(3), 50.0))
    with pytest.raises(UsageError, match="atr_share is -1"):
        add_noise(panel, np.random.default_rng(3), -1.0)


def test_noise_leaves_holes_and_bars_without_an_atr_alone() -> None:
    panel = walk(300, 14)
    holes = np.zeros((300, 3), dtype=bool)
    holes[40:60, 1] = True
    made = add_noise(without(panel, holes), np.random.default_rng(3))
    np.testing.assert_array_equal(np.isnan(made.close.to_numpy()), holes)
    np.testing.assert_array_equal(cells(made)[:, :14], cells(panel)[:, :14])
    assert (cells(made, "close")[:, 16:40] != cells(panel, "close")[:, 16:40]).all()


def test_noise_makes_the_labels_anew() -> None:
    labelled = with_regime(walk(2_400, 15, "4h"))
    made = add_noise(labelled, np.random.default_rng(3), 2.0)
    assert (made.context["regime"].to_numpy() != labelled.context["regime"].to_numpy()).any()


# --- signals moved in time -----------------------------------------------------------------------


def claims(bars: int = 5) -> np.ndarray:
    return np.arange(bars * 2 * 4, dtype=np.float64).reshape(bars, 2, 4) + 1.0


def test_shifted_claims_go_round_behind_the_warm_up() -> None:
    given_claims = claims()
    shifted = shift_rows(given_claims, 2, first=1)
    np.testing.assert_array_equal(shifted, given_claims[[0, 3, 4, 1, 2]])
    np.testing.assert_array_equal(shift_rows(given_claims, 4, first=1), given_claims)
    np.testing.assert_array_equal(given_claims, claims())


def test_delayed_claims_come_later_and_the_first_row_wants_nothing() -> None:
    given_claims = claims()
    delayed = delay_rows(given_claims, 1)
    assert not delayed[0].any()
    np.testing.assert_array_equal(delayed[1:], given_claims[:-1])
    np.testing.assert_array_equal(delay_rows(given_claims, 0), given_claims)
    assert not delay_rows(given_claims, 5).any()
    np.testing.assert_array_equal(given_claims, claims())
    with pytest.raises(UsageError, match="looks ahead"):
        delay_rows(given_claims, -1)
