"""The risk review: what a rule cost is what its refused entries would have come to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.trading.conftest import Ran
from workbench.domain import Proposal
from workbench.research.metrics import trades
from workbench.research.replay import replay
from workbench.trading.review import correlations, exposure, rule_costs, tied


@pytest.fixture(scope="module")
def costs(sample_run: Ran) -> pd.DataFrame:
    record = sample_run.record
    return rule_costs(record, sample_run.world.panel, record.limits, record.costs).set_index("rule")


def test_every_refused_entry_is_counted_once(sample_run: Ran, costs: pd.DataFrame) -> None:
    """By rule of the gate as the journal counted it, whoever voted for it; what the judge vetoed
    is counted as the judge's, though the gate refused it as well."""
    blocks = sample_run.record.blocks.drop("CLAMPED")
    gate = costs[costs["stage"] == "risk"]["refused"]
    vetoed = costs[costs["stage"] == "judge"]["refused"].sum()
    assert set(gate.index) <= set(blocks[blocks > 0].index)
    assert (gate <= blocks[gate.index]).all()
    assert gate.sum() + vetoed == blocks.sum()
    assert gate.sum() > 50


def test_a_rules_cost_is_that_of_its_entries_taken_alone(
    sample_run: Ran, costs: pd.DataFrame
) -> None:
    """CORRELATED by hand: each entry in a replay of its own, the returns added up."""
    record, panel = sample_run.record, sample_run.world.panel
    votes = record.signals
    cells = votes[(votes["stage"] == "risk") & (votes["rule"] == "CORRELATED")]
    cells = cells.drop_duplicates(["time", "symbol"])
    returns = []
    for _, cell in cells.iterrows():
        side = panel.close * 0.0
        side.loc[cell["time"] - panel.timeframe, cell["symbol"]] = cell["side"]
        full = side * 0.0 + 100.0
        alone = Proposal(side, full, full / 100.0, side > 9.0)
        limits = record.limits._replace(allow_short=1.0)
        done = trades(replay(panel, alone, limits, record.costs, record.capital).fills)
        returns += done["return"].tolist()
    assert len(returns) == costs.loc["CORRELATED", "resolved"] > 3
    notional = record.limits.max_position * record.capital
    assert costs.loc["CORRELATED", "cost"] == pytest.approx(sum(returns) * notional, rel=1e-9)


def test_a_cost_is_shown_only_if_its_interval_leaves_zero_out(costs: pd.DataFrame) -> None:
    """And too few days have no interval at all."""
    known = costs.dropna(subset="low")
    assert ((known["low"] <= known["cost"]) & (known["cost"] <= known["high"])).all()
    assert (known["shown"] == ((known["low"] > 0) | (known["high"] < 0))).all()
    assert not costs[costs["low"].isna()]["shown"].any()


def test_exposure_is_a_share_of_the_equity_and_the_drawdown_is_of_the_peak(
    sample_run: Ran,
) -> None:
    """Never above a fifth at a decision, never above 0."""
    shares = exposure(sample_run.record)
    assert 0.0 < shares["deployed"].max() < 0.21
    assert (shares["drawdown"] <= 0.0).all()
    equity = sample_run.record.equity
    assert shares["drawdown"].min() == pytest.approx(
        min(v / equity.iloc[: k + 1].max() - 1 for k, v in enumerate(equity))
    )


def test_correlations_are_those_of_sixty_days_of_returns(sample_run: Ran) -> None:
    """Against pandas on the daily closes."""
    panel = sample_run.world.panel
    daily = panel.close.resample("1D").last().iloc[-61:]
    expected = np.log(daily).diff().iloc[1:].corr()
    np.testing.assert_allclose(correlations(panel), expected, atol=1e-12)


def test_the_largest_cluster_of_a_day_has_between_one_and_all_symbols(sample_run: Ran) -> None:
    """At a limit of 0 everything hangs together, at 1 nothing does."""
    panel, limits = sample_run.world.panel, sample_run.record.limits
    last, every = slice(-20, None), len(panel.symbols)
    assert (tied(panel, limits._replace(max_correlation=0.0)).iloc[last] == every).all()
    assert (tied(panel, limits._replace(max_correlation=1.0)).iloc[last] == 1).all()
    assert tied(panel, limits).iloc[last].between(1, every).all()
