"""The loop without records comes to what the replay with records and the metrics come to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.panels import MISSING, buy, flat, leave, world
from tests.proposals import random_proposal
from tests.rough import COMPILED, Rough, rough_panel
from workbench import arrays as a
from workbench.arrays import Floats
from workbench.domain import CARRY, Costs, Limits, Panel, Proposal, Reason, UsageError
from workbench.research import scan as cells
from workbench.research.metrics import daily_returns, summary
from workbench.research.replay import Replay, claims_array, replay
from workbench.research.scan import Ground, Scanned, Scratch, scan

CAPITAL = 10_000.0
FREE = Costs(half_spread=0.0, impact=0.0, taker_fee=0.0, maker_fee=0.0)


def scanned(
    panel: Panel, claims: Floats, first: int, limits: Limits, costs: Costs
) -> tuple[Scanned, Ground]:
    ground = Ground.of(panel, first)
    told = scan(
        ground, claims, ground.called(claims), ground.apart(limits), limits, costs, CAPITAL,
        Scratch.like(ground),
    )  # fmt: skip
    return told, ground


def replayed(
    panel: Panel, proposal: Proposal, first: int, limits: Limits, costs: Costs
) -> tuple[Replay, pd.Series[Any]]:
    """The run with every fill on record, and its figures; nothing is wanted before `first`."""
    side = proposal.side.copy()
    side.iloc[:first] = 0.0
    rest = (proposal.confidence, proposal.multiplier, proposal.exit)
    run = replay(panel, Proposal(side, *rest), limits, costs, CAPITAL).since(first)
    return run, summary(run)


def assert_same(panel: Panel, proposal: Proposal, first: int, limits: Limits, costs: Costs) -> int:
    """Compare every figure; gives the number of fills."""
    told, _ = scanned(panel, claims_array(panel, proposal), first, limits, costs)
    run, expected = replayed(panel, proposal, first, limits, costs)
    figures = told.figures
    ends = run.equity.resample("1D").last().to_numpy()
    assert told.daily.tobytes() == ends.tobytes()
    assert figures[cells.FINAL] == expected["final equity"]
    assert figures[cells.DRAWDOWN] == expected["max drawdown"]
    assert figures[cells.TRADES] == expected["trades"]
    assert figures[cells.FEES] == pytest.approx(expected["fees"], rel=1e-9)
    won = figures[cells.WON] / figures[cells.TRADES] if figures[cells.TRADES] else np.nan
    assert won == pytest.approx(expected["win rate"], abs=1e-9, nan_ok=True)
    blocks = figures[cells.BLOCKS :]
    assert blocks[1:].tolist() == run.blocks.tolist()
    fates = run.fates.to_numpy()
    assert blocks[Reason.ACCEPTED] == (fates == Reason.ACCEPTED).sum()
    assert figures[cells.HELD] == bars_held(run)
    return len(run.records)


def bars_held(run: Replay) -> int:
    """Bars at whose close something was held, from the fills alone, counted by hand."""
    held: dict[int, float] = {}
    by_bar: dict[int, list[np.ndarray]] = {}
    for fill in run.records:
        by_bar.setdefault(int(fill[a.F_BAR]), []).append(fill)
    bars = 0
    for t in range(len(run.panel)):
        for fill in by_bar.get(t, []):
            i = int(fill[a.F_SYMBOL])
            if fill[a.F_WHY] == a.WHY_ENTRY:
                held[i] = fill[a.F_QUANTITY]
            else:
                held[i] -= fill[a.F_QUANTITY]
        bars += any(left > 0.0 for left in held.values())
    return bars


rough = st.builds(
    Rough,
    seed=st.integers(0, 10_000),
    symbols=st.integers(1, 4),
    timeframe=st.sampled_from(["6h", "12h", "1d"]),
    unusable=st.sampled_from([0.0, 0.0, 0.02]),
    missing=st.sampled_from([0.0, 0.03]),
    quiet=st.sampled_from([0.0, 0.05]),
    fat_fingers=st.sampled_from([0.0, 0.0, 0.005]),
    kinship=st.floats(0.0, 1.0),
)
limited = st.fixed_dictionaries(
    {
        "max_position": st.floats(0.02, 1.0),
        "max_deployed": st.floats(0.05, 1.0),
        "stop": st.floats(0.002, 0.5),
        "take_profit": st.floats(0.002, 0.5),
        "take_profit_share": st.sampled_from([0.25, 0.5, 0.9, 1.0]),
        "trail": st.floats(0.002, 0.3),
        "max_correlation": st.sampled_from([0.2, 0.7, 1.0]),
        "daily_drawdown": st.sampled_from([0.002, 0.05, 0.9]),
        "max_stopouts_per_day": st.sampled_from([0.0, 1.0, 3.0]),
        "cooldown_bars": st.sampled_from([0.0, 1.0, 3.0, 2.5]),
        "max_entries_per_day": st.sampled_from([1.0, 12.0]),
        "one_per_cluster": st.sampled_from([0.0, 1.0]),
        "min_notional": st.sampled_from([0.0, 50.0]),
        "allow_short": st.sampled_from([0.0, 1.0]),
    }
).map(lambda given: Limits(**given))
priced = st.fixed_dictionaries(
    {
        "half_spread": st.sampled_from([0.0, 0.0002, 0.01]),
        "impact": st.sampled_from([0.0, 1.0]),
        "taker_fee": st.sampled_from([0.0, 0.001]),
        "maker_fee": st.sampled_from([0.0, 0.001]),
        "step": st.sampled_from([0.0, 0.01]),
        "max_participation": st.sampled_from([np.inf, 0.1]),
    }
).map(lambda given: Costs(**given))


@settings(max_examples=100 if COMPILED else 4, deadline=None, derandomize=True)
@given(
    rough, limited, priced, st.integers(0, 10_000), st.sampled_from([0.002, 0.05, 0.4]),
    st.booleans(), st.sampled_from([0.0, 0.05]), st.sampled_from([0, 1, 7, 66, -1]),
)  # fmt: skip
def test_every_figure_is_that_of_the_replay_to_the_bit(
    like: Rough, limits: Limits, costs: Costs, seed: int, density: float, shorts: bool,
    broken: float, first: int,
) -> None:  # fmt: skip
    """Rough markets, any limits and costs, few claims and many, exits, from several first bars."""
    panel = rough_panel(like)
    proposal = random_proposal(panel, seed, density, shorts, broken)
    assert_same(panel, proposal, range(len(panel))[first], limits, costs)


@pytest.mark.parametrize("seed", range(3))
def test_much_is_traded_in_such_worlds(seed: int) -> None:
    """The property above compares something."""
    panel = rough_panel(Rough(seed, symbols=4, missing=0.02, quiet=0.02))
    limits = Limits(allow_short=1.0, max_deployed=0.8, cooldown_bars=0.0, max_correlation=1.0)
    fills = assert_same(panel, random_proposal(panel, seed, 0.3), 20, limits, Costs())
    assert fills > 100


def test_a_pair_is_scanned_as_it_is_replayed() -> None:
    """A carry instrument: entered by a claim, left by an exit while nothing else is going on."""
    pair = f"AAA/USDT{CARRY}"
    bars = {pair: flat(100.0, 30), "AAA/USDT": flat(50.0, 30)}
    bars[pair][10] = (100.0, 101.0, 99.5, 100.5)
    here = world(bars)
    proposal = here.proposal(buy(pair, 3), leave(pair, 20), buy("AAA/USDT", 4))
    fills = assert_same(here.panel, proposal, 0, Limits(), Costs())
    assert fills == 2  # AAA/USDT has no known correlation with its pair: refused


def test_a_day_without_a_claim_ends_with_the_equity_of_the_day_before() -> None:
    """Hand-computed: one trade of 4.75 % gained and left by exit, then four days of nothing.

    5 % of 10,000 at 100 are 5 units; sold at 102 they bring 10.
    """
    story = [*flat(100.0, 4), *flat(102.0, 24 * 5 - 4)]
    here = world({"AAA/USDT": story})
    claims = claims_array(here.panel, here.proposal(buy("AAA/USDT", 1), leave("AAA/USDT", 5)))
    told, ground = scanned(here.panel, claims, 0, Limits(), FREE)
    assert ground.trading_days == 5
    assert told.daily.tolist() == [10_010.0] * 5
    assert told.figures[[cells.TRADES, cells.WON, cells.FEES]].tolist() == [1.0, 1.0, 0.0]
    assert told.figures[cells.FINAL] == 10_010.0
    assert told.figures[cells.HELD] == 4.0  # closes 2, 3, 4 and 5; sold at the open of 6


def test_a_loss_overnight_is_in_the_day_in_which_it_closed() -> None:
    """Bought at 100 on the first day, 98.5 at the first close of the second."""
    story = [*flat(100.0, 24), *flat(98.5, 24)]
    here = world({"AAA/USDT": story})
    claims = claims_array(here.panel, here.proposal(buy("AAA/USDT", 3)))
    told, _ = scanned(here.panel, claims, 0, Limits(), FREE)
    assert told.daily.tolist() == [10_000.0, 10_000.0 - 5 * 1.5]
    assert told.figures[cells.DRAWDOWN] == pytest.approx(-7.5 / 10_000.0)
    assert told.figures[cells.TRADES] == 0.0  # still open


def test_an_entry_that_finds_no_open_is_void_and_the_loop_goes_on() -> None:
    story = [*flat(100.0, 3), MISSING, *flat(100.0, 30)]
    here = world({"AAA/USDT": story})
    proposal = here.proposal(buy("AAA/USDT", 2), buy("AAA/USDT", 20))
    assert assert_same(here.panel, proposal, 0, Limits(), Costs()) == 1


def test_claims_before_the_first_bar_are_nobodys() -> None:
    here = world({"AAA/USDT": flat(100.0, 40)})
    early = claims_array(here.panel, here.proposal(buy("AAA/USDT", 3), buy("AAA/USDT", 9)))
    told, _ = scanned(here.panel, early, 10, Limits(), Costs())
    assert told.figures[cells.FINAL] == CAPITAL
    assert not told.figures[cells.BLOCKS :].any()
    told, _ = scanned(here.panel, early, 9, Limits(), Costs())
    assert told.figures[cells.BLOCKS + Reason.ACCEPTED] == 1.0


def test_nothing_is_left_of_an_earlier_scan_in_the_memory_it_wrote_on() -> None:
    panel = rough_panel(Rough(5, symbols=3))
    ground, limits = Ground.of(panel, 10), Limits(allow_short=1.0, max_correlation=1.0)
    apart, used = ground.apart(limits), Scratch.like(ground)
    many, few = (claims_array(panel, random_proposal(panel, 1, d)) for d in (0.5, 0.01))

    def of(claims: Floats, scratch: Scratch) -> Scanned:
        called = ground.called(claims)
        return scan(ground, claims, called, apart, limits, Costs(), CAPITAL, scratch)

    _ = of(many, used)
    after, fresh = of(few, used), of(few, Scratch.like(ground))
    assert after.figures.tobytes() == fresh.figures.tobytes()
    assert after.daily.tobytes() == fresh.daily.tobytes()
    assert of(many, used).figures[cells.TRADES] > 0


def test_returns_of_the_days_are_those_of_the_metrics() -> None:
    panel = rough_panel(Rough(2, symbols=3))
    proposal = random_proposal(panel, 2, 0.2)
    limits = Limits(allow_short=1.0, max_correlation=1.0)
    told, _ = scanned(panel, claims_array(panel, proposal), 3, limits, Costs())
    run, _ = replayed(panel, proposal, 3, limits, Costs())
    ours = told.daily / np.concatenate(([CAPITAL], told.daily[:-1])) - 1.0
    np.testing.assert_array_equal(ours, daily_returns(run.equity, CAPITAL).to_numpy())


@pytest.mark.parametrize("first", [-1, 40, 41])
def test_without_a_bar_to_trade_there_is_no_ground(first: int) -> None:
    panel = world({"AAA/USDT": flat(100.0, 40)}).panel
    with pytest.raises(UsageError, match="no bar may trade: the panel has 40"):
        Ground.of(panel, first)
