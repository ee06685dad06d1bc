"""P3: vectorbt, rebuilt from our fills alone, agrees on the equity at every bar."""

from __future__ import annotations

import numpy as np
import pytest

from tests.proposals import random_proposal
from tests.recorded import spot_panel
from workbench.domain import Costs, Limits, Panel, Proposal
from workbench.research.replay import replay

LOOSE = Limits(
    max_position=0.3, max_deployed=0.6, stop=0.015, take_profit=0.03, trail=0.01,
    max_correlation=0.85, daily_drawdown=0.02, max_stopouts_per_day=2, cooldown_bars=2,
    max_entries_per_day=5, min_notional=60.0, allow_short=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "costs"),
    [(Limits(), Costs()), (LOOSE, Costs(half_spread=0.0005, maker_fee=0.0004, step=0.01))],
    ids=["default", "loose"],
)
def test_vectorbt_agrees_on_equity_at_every_bar(limits: Limits, costs: Costs) -> None:
    """Five and a half years of eight assets, gaps and ladders included, within 1e-9 relative."""
    panel = spot_panel()
    run = replay(panel, random_proposal(panel, seed=3, density=0.05, broken=0.02), limits, costs)
    assert len(run.fills) > 1_000
    value = np.asarray(run.portfolio().value()).ravel()
    assert np.max(np.abs(value / run.equity.to_numpy() - 1.0)) < 1e-9


def test_a_run_without_a_fill_is_a_portfolio_of_cash() -> None:
    """No fills: the native portfolio still stands, at its capital."""
    panel: Panel = spot_panel().rows(0, 200)
    nothing = random_proposal(panel, seed=0, density=0.0)
    idle = Proposal(nothing.side, nothing.confidence, nothing.multiplier, nothing.exit & False)
    run = replay(panel, idle, capital=500.0)
    assert run.fills.empty
    assert (np.asarray(run.portfolio().value()) == 500.0).all()
