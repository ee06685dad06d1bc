"""A wanted entry taken alone comes to what the replay makes of that single entry, to the bit."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.panels import MISSING, Bar, flat, world
from tests.recorded import spot_panel
from tests.rough import COMPILED, Rough, rough_panel
from workbench.arrays import rules_fingerprint
from workbench.domain import Costs, Limits, Panel, Proposal, UsageError
from workbench.research.metrics import trades
from workbench.research.outcomes import OUTCOME_COLUMNS, kernel, outcomes
from workbench.research.replay import replay

SHORTS = Limits(allow_short=True)
FREE = Costs(half_spread=0.0, impact=0.0, taker_fee=0.0, maker_fee=0.0)
FEES = Costs(half_spread=0.0, impact=0.0, taker_fee=0.001, maker_fee=0.0005)
X = "X/USDT"


def cells(*rows: tuple[int, str, int]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["t", "symbol", "side"])


def of(bars: list[Bar], side: int = 1, limits: Limits = SHORTS, costs: Costs = FREE) -> pd.Series:
    """The outcome of one entry wanted at the first bar's close."""
    return outcomes(world({X: bars}).panel, cells((0, X, side)), limits, costs).iloc[0]


def single(
    panel: Panel, t: int, symbol: str, side: int, leave: pd.DataFrame | None = None
) -> Proposal:
    """A proposal that wants one entry, with full confidence, and nothing else but to leave."""
    want = pd.DataFrame(0.0, panel.index, list(panel.symbols))
    want.iloc[t, panel.symbols.index(symbol)] = side
    return Proposal(want, want.abs() * 100.0, want.abs(), want.isna() if leave is None else leave)


def agrees_with_replay(
    panel: Panel, wanted: pd.DataFrame, limits: Limits, costs: Costs,
    leave: pd.DataFrame | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Assert that each outcome is the replay's one trade, or that it made none; the outcomes."""
    told = outcomes(panel, wanted, limits, costs, exit=leave)
    for cell, outcome in zip(wanted.itertuples(), told.to_dict("records"), strict=True):
        proposal = single(panel, cell.t, cell.symbol, cell.side, leave)
        run = replay(panel, proposal, limits, costs)
        made = trades(run.fills)
        if made.empty:
            assert math.isnan(outcome["return"])
            held = (len(run.fills) > 0) or bool((run.book.positions[:, 7] != 0).any())
            took = run.fates.iloc[cell.t][cell.symbol] in (0, 13)
            expected = "open" if held else "void" if took else "refused"
            assert outcome["reason"] == expected
            continue
        trade = made.iloc[0]
        for name in ("opened", "closed", "reason"):
            assert outcome[name] == trade[name]
        for name in ("entry", "exit", "return"):
            assert float(outcome[name]).hex() == float(trade[name]).hex()
        assert outcome["bars"] * panel.timeframe == trade["closed"] - trade["opened"]
    return told


# --- by hand -------------------------------------------------------------------------------------


def test_a_stop_costs_the_stop_and_the_fees() -> None:
    """Bought at 100, stopped at 98 a bar later; 0.1 % of 100 and of 98 in fees."""
    told = of([*flat(bars=2), (100.0, 100.0, 97.0, 97.0), *flat(97.0)], costs=FEES)
    assert (told["entry"], told["exit"], told["reason"]) == (100.0, 98.0, "stop")
    assert told["return"] == pytest.approx(-0.02 - 0.001 - 0.00098, rel=1e-12)
    assert told["bars"] == 1


def test_a_rung_and_a_trail_pay_the_mean_of_both_exits() -> None:
    """Half at 103, peak 110, the rest trails out at 110 x 0.985 = 108.35."""
    told = of([*flat(bars=2), (100.0, 110.0, 100.0, 110.0), (110.0, 110.0, 105.0, 105.0)])
    assert told["reason"] == "trail"
    assert told["exit"] == pytest.approx((103.0 + 108.35) / 2.0, rel=1e-12)
    assert told["return"] == pytest.approx(0.05675, rel=1e-9)


def test_a_short_gains_what_the_price_loses() -> None:
    told = of([*flat(bars=2), (100.0, 100.0, 90.0, 90.0), (90.0, 95.0, 90.0, 95.0)], side=-1)
    assert told["reason"] == "trail"
    assert told["exit"] == pytest.approx((97.0 + 90.0 * 1.015) / 2.0, rel=1e-12)
    assert told["return"] == pytest.approx(1.0 - told["exit"] / 100.0, rel=1e-12)


def leaving(panel: Panel, *bars: int) -> pd.DataFrame:
    """An exit asked at the close of these bars."""
    leave = pd.DataFrame(False, panel.index, list(panel.symbols))
    leave.iloc[list(bars)] = True
    return leave


RISEN = [*flat(bars=2), *flat(101.0), *flat(102.0), *flat(100.5, bars=2)]


@pytest.mark.parametrize(
    ("asked", "price", "bars"),
    [
        ((2,), 102.0, 2),  # asked at the close of 101, filled at the next open
        ((0, 3), 100.5, 3),  # at the close that wants the entry there is nothing to leave yet
        ((2, 3, 4), 102.0, 2),  # the first one counts
    ],
)
def test_a_strategys_own_exit_is_filled_at_the_next_open(
    asked: tuple[int, ...], price: float, bars: int
) -> None:
    panel = world({X: RISEN}).panel
    told = outcomes(panel, cells((0, X, 1)), SHORTS, FEES, exit=leaving(panel, *asked)).iloc[0]
    assert (told["reason"], told["exit"], told["bars"]) == ("exit", price, bars)
    net = (price - 100.0) / 100.0 - 0.001 * (1.0 + price / 100.0)
    assert told["return"] == pytest.approx(net, rel=1e-12)


def test_an_exit_waits_for_the_next_usable_open_and_a_rung_before_it_keeps_its_price() -> None:
    """Half at 103; asked at the close of that bar; the next bar is missing."""
    story = [*flat(bars=2), (100.0, 103.0, 100.0, 103.0), MISSING, *flat(104.0, bars=2)]
    panel = world({X: story}).panel
    told = outcomes(panel, cells((0, X, 1)), SHORTS, FREE, exit=leaving(panel, 2)).iloc[0]
    assert (told["reason"], told["bars"]) == ("exit", 3)
    assert told["exit"] == pytest.approx(103.5, rel=1e-12)


def test_a_stop_before_the_exit_is_a_stop() -> None:
    panel = world({X: [*flat(bars=2), (100.0, 100.0, 97.0, 97.0), *flat(97.0, bars=2)]}).panel
    told = outcomes(panel, cells((0, X, 1)), SHORTS, FREE, exit=leaving(panel, 2)).iloc[0]
    assert (told["reason"], told["exit"]) == ("stop", 98.0)


def test_an_exit_that_is_not_of_the_panel_is_refused() -> None:
    panel = world({X: flat(bars=3)}).panel
    for wrong, says in (
        (leaving(panel, 1).iloc[1:], "does not lie on the panel"),
        (leaving(panel, 1).rename(columns={X: "Y/USDT"}), "does not lie on the panel"),
        (leaving(panel, 1).astype(float), "neither True nor False"),
    ):
        with pytest.raises(UsageError, match=says):
            outcomes(panel, cells((0, X, 1)), exit=wrong)


def test_a_share_of_one_takes_all_profit_at_the_target() -> None:
    told = of([*flat(bars=2), (100.0, 104.0, 100.0, 104.0)], limits=Limits(take_profit_share=1.0))
    assert (told["reason"], told["exit"]) == ("take_profit", 103.0)


@pytest.mark.parametrize(
    ("bars", "side", "limits", "reason"),
    [
        (flat(bars=5), 1, SHORTS, "open"),  # nothing ever moves
        (flat(bars=1), 1, SHORTS, "open"),  # the next open is not known yet
        ([*flat(), MISSING, *flat(bars=3)], 1, SHORTS, "void"),
        (flat(bars=5), -1, Limits(), "refused"),
        ([(100.0, 100.0, 100.0, 100.0, 0.0), *flat(bars=3)], 1, SHORTS, "refused"),  # no volume
        (flat(bars=5), 1, Limits(min_notional=501.0), "refused"),  # 5 % of 10,000 is 500
    ],
)
def test_an_entry_without_a_whole_trade_has_no_return_and_says_why(
    bars: list[Bar], side: int, limits: Limits, reason: str
) -> None:
    told = of(bars, side, limits)
    assert told["reason"] == reason
    assert math.isnan(told["return"])
    assert pd.isna(told["closed"])


def test_the_outcomes_keep_the_rows_of_their_cells() -> None:
    """So that they can be joined: the cells' index, any order, the same cell twice."""
    story = [*flat(bars=2), (100.0, 100.0, 97.0, 97.0), *flat(97.0, bars=3)]
    asked = cells((3, X, 1), (0, X, 1), (0, X, 1)).set_axis([7, 3, 5])
    told = outcomes(world({X: story}).panel, asked)
    assert list(told.index) == [7, 3, 5]
    assert list(told.columns) == list(OUTCOME_COLUMNS)
    assert list(told["reason"]) == ["open", "stop", "stop"]


def test_no_cells_give_no_outcomes() -> None:
    told = outcomes(world({X: flat(bars=3)}).panel, cells())
    assert told.empty
    assert list(told.columns) == list(OUTCOME_COLUMNS)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (cells((3, X, 1)), "t 3, X/USDT, side 1"),
        (cells((-1, X, 1)), "t -1, X/USDT, side 1"),
        (cells((0, X, 1), (0, "Y/USDT", 1)), "cell 1 .t 0, Y/USDT, side 1"),
        (cells((0, X, 0)), "side 0"),
        (cells((0, X, 1)).drop(columns="side"), "no column 'side'"),
    ],
)
def test_a_cell_that_is_not_on_the_panel_is_named(asked: pd.DataFrame, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        outcomes(world({X: flat(bars=3)}).panel, asked)


# --- against the replay --------------------------------------------------------------------------


def random_cells(panel: Panel, n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "t": rng.integers(0, len(panel), n),
            "symbol": rng.choice(panel.symbols, n),
            "side": rng.choice([-1, 1], n),
        }
    )


@pytest.mark.parametrize(
    ("limits", "costs"),
    [
        (SHORTS, Costs()),
        (SHORTS._replace(take_profit_share=1.0, max_position=1.0, max_deployed=0.5), FEES),
    ],
)
def test_on_recorded_prices_each_outcome_is_the_replays_only_trade(
    limits: Limits, costs: Costs
) -> None:
    """Eight assets, a random 120 of the cells, longs and shorts, to the last bit."""
    panel = spot_panel().rows(20_000, 20_000 + (3_000 if COMPILED else 200))
    told = agrees_with_replay(panel, random_cells(panel, 120 if COMPILED else 5, 1), limits, costs)
    if COMPILED:
        profit = "trail" if limits.take_profit_share < 1.0 else "take_profit"
        assert {"stop", profit} <= set(told["reason"])
        assert told["return"].notna().mean() > 0.9


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 1.0]), st.booleans(), st.booleans())
@settings(max_examples=25, derandomize=True, deadline=None, database=None)
def test_on_rough_markets_too(seed: int, share: float, costly: bool, shorts: bool) -> None:
    """Holes, absurd prices, quiet bars: still the one trade that the replay makes, or none."""
    panel = rough_panel(
        Rough(seed, unusable=0.02, missing=0.05, quiet=0.05, fat_fingers=0.01, volatility=0.02)
    )
    limits = Limits(take_profit_share=share, allow_short=shorts, min_notional=10.0)
    costs = Costs(step=0.001, max_participation=0.01) if costly else FREE
    wanted, rng = random_cells(panel, 6, seed), np.random.default_rng(seed)
    agrees_with_replay(panel, wanted, limits, costs)
    leave = pd.DataFrame(rng.random(panel.close.shape) < 0.1, panel.index, list(panel.symbols))
    agrees_with_replay(panel, wanted, limits, costs, leave)


def test_every_kind_of_end_is_among_the_rough_ones() -> None:
    """Otherwise the comparison above would show little."""
    seen: set[str] = set()
    for seed in range(4):
        panel = rough_panel(Rough(seed, missing=0.05, quiet=0.05, volatility=0.02))
        for share in (0.5, 1.0):
            limits = Limits(take_profit_share=share)
            seen |= set(outcomes(panel, random_cells(panel, 200, seed), limits)["reason"])
    assert seen == {"stop", "trail", "take_profit", "open", "void", "refused"}


def test_the_compiled_loop_is_of_this_state_of_the_rule_files() -> None:
    """The fingerprint is in the closure, and so in numba's cache key: no old rule is served."""
    loop = kernel(rules_fingerprint())
    plain = getattr(loop, "py_func", loop)
    assert rules_fingerprint() in [cell.cell_contents for cell in plain.__closure__]
    assert kernel("of other rules") is not loop
