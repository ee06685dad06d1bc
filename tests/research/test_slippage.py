"""What costs leave of an edge, against cases by hand and the replay itself."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tests.panels import Bar, buy, days_of, flat, leave, walsh, world
from tests.proposals import random_proposal
from tests.strategies import random_panel
from workbench.domain import Costs, Limits, Panel, Proposal, UsageError
from workbench.research import slippage
from workbench.research.metrics import trades
from workbench.research.replay import replay
from workbench.research.slippage import ALL, CostStudy, cost_study
from workbench.risk.correlation import daily_facts
from workbench.risk.sizing import wanted_share

WIDE = Limits(stop=0.5, take_profit=0.9, max_position=0.4, max_deployed=1.0, max_correlation=1.0,
              daily_drawdown=0.9, max_stopouts_per_day=99.0, cooldown_bars=0.0,
              max_entries_per_day=99.0)  # fmt: skip
FEE = Costs(half_spread=0.0, impact=0.0, taker_fee=0.001, maker_fee=0.001)
SPREAD = Costs(half_spread=0.001, impact=0.0, taker_fee=0.0, maker_fee=0.0)
IMPACT = Costs(half_spread=0.0, impact=1.0, taker_fee=0.0, maker_fee=0.0)
TRIPS = 11
UP: list[Bar] = [(100.0, 102.0, 100.0, 102.0), (102.0, 102.0, 100.0, 100.0)]
DOWN: list[Bar] = [(100.0, 100.0, 99.0, 99.0), (99.0, 100.0, 99.0, 100.0)]


def seesaw(
    *stories: list[Bar], history: bool = False, trips: int = TRIPS
) -> tuple[Panel, Proposal]:
    """One day of each story over and over: bought at the open of its first bar, left at the open of
    its second. The price is 100 at each end, so that trades do not add up."""
    names = [f"{letter}/USDT" for letter in "AB"[: len(stories)]]
    bars = {n: [*flat(), *s * TRIPS, *flat()] for n, s in zip(names, stories, strict=True)}
    past = {n: days_of(walsh(k, 63), bars_a_day=24, volume=1e4) for k, n in enumerate(names, 1)}
    made = world(bars, history=past if history else None)
    asked = (
        claim for n in names for k in range(trips) for claim in (buy(n, 2 * k), leave(n, 2 * k + 1))
    )
    return made.panel, made.proposal(*asked)


def at(study: CostStudy, symbol: str, multiple: float) -> pd.Series:
    rows = study.sensitivity
    [row] = rows[(rows["symbol"] == symbol) & (rows["multiple"] == multiple)].to_dict("records")
    return pd.Series(row)


def test_fees_times_a_number_take_that_number_of_fees() -> None:
    """100 to 102 and 0.1 % of both: 0.02 - 0.001 * 2.02, and so on in a line."""
    study = cost_study(*seesaw(UP), WIDE, FEE)
    for multiple in (0.0, 0.5, 1.0, 2.0, 3.0, 5.0):
        row = at(study, "A/USDT", multiple)
        assert row["trades"] == TRIPS
        assert row["paid"] == pytest.approx(multiple * 0.00202)
        assert row["expectancy"] == pytest.approx(0.02 - multiple * 0.00202)
    assert at(study, ALL, 1.0)["expectancy"] == at(study, "A/USDT", 1.0)["expectancy"]


def test_the_net_return_is_the_profit_over_the_capital() -> None:
    """40 % of the equity earns 2 % eleven times, compounding, for nothing."""
    row = at(cost_study(*seesaw(UP), WIDE, FEE), ALL, 0.0)
    assert row["net return"] == pytest.approx(1.008**TRIPS - 1.0)


def test_spread_is_paid_on_both_legs() -> None:
    """In at 100.1, out at 101.898."""
    row = at(cost_study(*seesaw(UP), WIDE, SPREAD), ALL, 1.0)
    assert row["expectancy"] == pytest.approx(101.898 / 100.1 - 1.0)
    assert row["paid"] == pytest.approx((0.1 + 0.102) / 100.1)


def test_the_break_even_cost_by_hand() -> None:
    """A earns 2 % and turns 2.02 over: 2 * 0.02 / 2.02. B loses before any cost. Together 0.5 %
    over a mean turnover of 2.005."""
    table = cost_study(*seesaw(UP, DOWN, history=True), WIDE, FEE).break_even
    assert table.at["A/USDT", "break even"] == pytest.approx(0.04 / 2.02, abs=2e-7)
    assert table.at["A/USDT", "gross"] == pytest.approx(0.02)
    assert table.at["A/USDT", "paid"] == pytest.approx(0.00202)
    assert table.at["B/USDT", "says"] == "no edge to begin with"
    assert math.isnan(table.at["B/USDT", "break even"])
    assert table.at[ALL, "break even"] == pytest.approx(0.01 / 2.005, abs=2e-7)
    assert table["trades"].tolist() == [2 * TRIPS, TRIPS, TRIPS]


def test_an_edge_that_outlasts_every_cost_has_no_break_even() -> None:
    """A target of 1.5 %: the gate trades nothing at a round trip of more, and this earns 2 %."""
    limits = WIDE._replace(take_profit=0.015, take_profit_share=0.01, p_full=1.0)
    table = cost_study(*seesaw(UP), limits, FEE).break_even
    assert table.at[ALL, "says"] == "none found up to 150 bps"


def test_costs_above_the_target_are_not_replayed_and_say_so() -> None:
    """Five times a round trip of 0.4 % is more than a target of 1.9 %."""
    limits = WIDE._replace(take_profit=0.019)
    study = cost_study(*seesaw(DOWN), limits, FEE._replace(taker_fee=0.002), multiples=(1.0, 5.0))
    row = at(study, ALL, 5.0)
    assert (row["trades"], row["says"]) == (
        0, "not computable: a round trip costs more than the target pays",
    )  # fmt: skip
    assert math.isnan(row["expectancy"])


def test_too_few_trades_are_said_and_not_computed() -> None:
    study = cost_study(*seesaw(UP, history=True, trips=7), WIDE, IMPACT)
    assert study.break_even.at[ALL, "says"] == "not computable: n = 7, needs 10"
    says = "not computable: n = 7 with a known ADV, needs 10"
    assert study.capacity.at[ALL, "says"] == says


def test_a_proposal_that_wants_nothing_has_a_study() -> None:
    panel, wanted = seesaw(UP, trips=0)
    study = cost_study(panel, wanted, WIDE)
    assert set(study.sensitivity["says"]) == {"not computable: n = 0, needs 1"}
    assert study.break_even["break even"].isna().all()


def test_the_order_that_kills_the_edge_by_hand() -> None:
    """Impact alone, from the root law: 102 (1 - x sqrt 102) = 100 (1 + x sqrt 100) with
    x = sigma sqrt(quantity / ADV) gives the quantity at which a trade comes to 0."""
    panel, wanted = seesaw(UP, history=True)
    study = cost_study(panel, wanted, WIDE, IMPACT)
    facts = daily_facts(panel.close.to_numpy(), panel.volume.to_numpy(), panel.open_days)
    day = panel.open_days[-1] - facts.first_day
    sigma, adv = facts.sigma[day, 0], facts.adv[day, 0]
    assert sigma == pytest.approx(0.01, rel=0.05)
    assert adv == pytest.approx(24 * 1e4 * 100, rel=0.05)
    x = 2.0 / (102 * math.sqrt(102) + 100 * math.sqrt(100))
    quantity = adv * (x / sigma) ** 2
    order = quantity * 100.0 * (1.0 + x * math.sqrt(100))
    row = study.capacity.loc["A/USDT"]
    assert row["order"] == pytest.approx(order, rel=0.02)
    assert row["of ADV"] == pytest.approx(order / adv, rel=0.02)
    assert row["capital"] == pytest.approx(order / 0.4, rel=0.05)
    assert row["says"] == ""
    assert study.capacity.at[ALL, "order"] == row["order"]


def test_larger_orders_earn_less_and_the_table_shows_where_it_turns() -> None:
    panel, wanted = seesaw(UP, history=True)
    study = cost_study(panel, wanted, WIDE, IMPACT)
    earned = study.orders["expectancy"]
    assert (earned.diff().dropna() < 0.0).all()
    assert (study.orders["capital"].iloc[[0, 2, -1]] / [1e4, 1e5, 1e9]).tolist() == pytest.approx(
        [1.0, 1.0, 1.0]
    )
    died = study.capacity.at[ALL, "capital"]
    assert ((earned > 0.0) == (study.orders["capital"] < died)).all()


@pytest.mark.parametrize(
    ("story", "costs", "says"),
    [
        (UP, FEE, "costs.impact is 0: size costs nothing"),
        (DOWN, IMPACT, "no edge to begin with"),
        (UP, IMPACT._replace(taker_fee=0.02), "no edge to begin with"),
        (UP, IMPACT._replace(impact=120.0), "gone at the given capital of 10,000"),
    ],
)
def test_where_there_is_no_capacity_the_reason_is_said(
    story: list[Bar], costs: Costs, says: str
) -> None:
    study = cost_study(*seesaw(story, history=True), WIDE, costs)
    assert study.capacity.at[ALL, "says"] == says
    assert study.capacity.loc[ALL, ["capital", "order", "of ADV"]].isna().all()


def test_a_capacity_beyond_the_capital_that_was_tried_says_how_far_it_was_tried() -> None:
    study = cost_study(*seesaw(UP, history=True), WIDE, IMPACT, most_capital=1e5)
    assert study.capacity.at[ALL, "says"].startswith("none found up to orders of 4")
    assert study.orders["capital"].max() == pytest.approx(1e5)


LOOSE = Limits(max_correlation=1.0, max_deployed=1.0, max_entries_per_day=1e6,
               max_stopouts_per_day=1e6, daily_drawdown=0.99)  # fmt: skip


@pytest.fixture(scope="module")
def crowd() -> tuple[Panel, Proposal]:
    """A year of three walks whose trend a clairvoyant follows half of the time."""
    panel = random_panel(8_760, seed=7)
    wanted = random_proposal(panel, 3, density=0.02, shorts=False)
    ahead = panel.close.shift(-24) > panel.close
    side = wanted.side.where(ahead | (np.arange(len(panel)) % 2 == 0)[:, None], 0.0)
    return panel, Proposal(side, wanted.confidence, wanted.multiplier, wanted.exit)


def test_closed_trades_are_those_of_the_metrics(crowd: tuple[Panel, Proposal]) -> None:
    panel, wanted = crowd
    run = replay(panel, wanted, LOOSE, Costs())
    facts = daily_facts(panel.close.to_numpy(), panel.volume.to_numpy(), panel.open_days)
    ours, theirs = slippage.closed_trades(run.records, panel, facts, Costs()), trades(run.fills)
    theirs = theirs.sort_values("symbol", kind="stable")
    assert len(ours) == len(theirs) > 200
    assert ours["symbol"].tolist() == theirs["symbol"].tolist()
    for name in ("profit", "return"):
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-9)


def test_what_was_paid_is_what_the_fills_lost_to_the_open(crowd: tuple[Panel, Proposal]) -> None:
    """Trades that go in and out at an open, whose quoted price is in the panel."""
    panel, wanted = crowd
    costs = Costs(impact=2.0)
    run = replay(panel, wanted, LOOSE, costs, 1e7)
    facts = daily_facts(panel.close.to_numpy(), panel.volume.to_numpy(), panel.open_days)
    ours = slippage.closed_trades(run.records, panel, facts, costs)
    closed = trades(run.fills).sort_values("symbol", kind="stable")
    plain = (closed["reason"] == "exit").to_numpy()
    checked = 0
    for (_, trade), paid in zip(closed[plain].iterrows(), ours["paid"][plain], strict=True):
        symbol, quantity = trade["symbol"], trade["quantity"]
        fills = run.fills[run.fills["symbol"] == symbol]
        own = fills[(fills["time"] >= trade["opened"]) & (fills["time"] <= trade["closed"])]
        if set(own["reason"]) == {"entry", "exit"} and len(own) == 2:
            quoted = panel.open[symbol].loc[own["time"]].to_numpy()
            lost = quantity * np.abs(own["price"].to_numpy() - quoted).sum() + own["fee"].sum()
            assert paid == pytest.approx(lost / (quantity * trade["entry"]), rel=1e-9)
            checked += 1
    assert checked > 5


def test_bracketing_the_replay_agrees_with_the_gross_trades_where_no_cap_binds(
    crowd: tuple[Panel, Proposal],
) -> None:
    """A flat fee moves no price, so the trades are the same and the closed form is exact."""
    panel, wanted = crowd
    table = cost_study(panel, wanted, LOOSE, multiples=(1.0,), most_capital=1e4).break_even
    free = slippage.flat(Costs(), 0.0)
    believed, limits = slippage.believing(wanted, LOOSE, Costs(), free)
    gross = trades(replay(panel, believed, limits, free).fills)
    found = table["break even"].dropna()
    assert ALL in found.index
    for symbol, cost in found.items():
        own = gross if symbol == ALL else gross[gross["symbol"] == symbol]
        turned = 1.0 + own["exit"] / own["entry"]
        assert cost == pytest.approx(2 * own["return"].mean() / turned.mean(), abs=2e-7)


def test_where_caps_bind_the_break_even_is_still_the_replays(
    crowd: tuple[Panel, Proposal],
) -> None:
    """Deployed capital and a tight daily breaker refuse other trades as costs rise: just below it
    the mean trade pays, just above it does not."""
    panel, wanted = crowd
    tight = Limits(max_correlation=1.0, max_position=0.2, max_deployed=0.3, daily_drawdown=0.006)
    cost = cost_study(panel, wanted, tight, multiples=(1.0,), most_capital=1e4).break_even.at[
        ALL, "break even"
    ]

    def mean(at: float) -> float:
        now = slippage.flat(Costs(), at)
        held, limits = slippage.believing(wanted, tight, Costs(), now)
        return float(trades(replay(panel, held, limits, now).fills)["return"].mean())

    assert mean(cost - 2e-7) > 0.0 >= mean(cost + 2e-7)


@pytest.mark.parametrize("now", [slippage.flat(Costs(), 0.0), slippage.scaled(Costs(), 5.0)])
def test_the_gate_goes_on_believing_in_the_given_costs(now: Costs) -> None:
    """Each confidence keeps its size, in order; what is no confidence stays refused."""
    limits, index = Limits(), pd.RangeIndex(1001)
    sure = pd.DataFrame({"A": np.linspace(0.0, 100.0, 1001)}, index=index)
    ones = sure * 0.0 + 1.0
    held, asked = slippage.believing(Proposal(ones, sure, ones, ones > 2), limits, Costs(), now)
    told = held.confidence["A"].to_numpy()
    before = [wanted_share(c, 1.0, limits, Costs()) for c in sure["A"]]
    after = [wanted_share(c, 1.0, asked, now) for c in told]
    assert max(before) == limits.max_position
    assert after == pytest.approx(before, abs=1e-9)
    assert (np.diff(told) > 0.0).all()
    odd = pd.DataFrame({"A": [math.nan, -1.0, 101.0, math.inf]})
    broken = slippage.believing(Proposal(odd, odd, odd, odd), limits, Costs(), now)[0]
    assert broken.confidence["A"].isna().all()


def test_a_gate_that_refuses_at_the_given_costs_is_not_talked_round() -> None:
    """Free fills do not bring back what was refused."""
    panel, wanted = seesaw(UP)
    study = cost_study(panel, wanted, WIDE._replace(p_full=0.3), FEE)
    assert (study.sensitivity["trades"] == 0).all()


@pytest.mark.parametrize("multiples", [(), (-1.0,), (math.nan,), (math.inf,)])
def test_impossible_multiples_are_refused(multiples: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="give numbers from 0 on"):
        cost_study(*seesaw(UP), WIDE, multiples=multiples)


def test_what_the_replay_refuses_is_refused_in_its_words() -> None:
    panel, wanted = seesaw(UP)
    with pytest.raises(UsageError, match="does not lie on the panel"):
        cost_study(panel.rows(1, 9), wanted, WIDE)
