"""Compile the loops once, at set-up: the first replay and sweep of every process then find them.

    python -m workbench.research.warm

The cache belongs to this machine's processor and to the state of the rule files, so it is made here
and never shipped; after an edit of a rule the next run compiles anew.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.domain import Costs, Limits, Panel, Proposal
from workbench.research.plan import Plan, run
from workbench.research.proposers import Ruled
from workbench.research.replay import replay
from workbench.research.scan import Ground

DAYS = 70  # longer than the facts look back


def main() -> None:
    """A made-up market of two coins through the replay and through a sweep of one set."""
    index = pd.date_range("2024-01-01", periods=DAYS * 24, freq="1h", tz="UTC")
    moves = np.random.default_rng(0).normal(0.0, 0.005, (len(index), 2))
    close = pd.DataFrame(100.0 * np.exp(moves.cumsum(axis=0)), index, ["A/USDT", "B/USDT"])
    panel = Panel.from_frames(
        open=close, high=close * 1.001, low=close * 0.999, close=close, volume=close * 0.0 + 1e6
    )
    for shown in (panel, panel.rows(0, len(panel) - 1), panel.columns(["A/USDT"])):
        plan = Plan(Ruled(now_and_then, shown), Ground.of(shown), Limits(), Costs(), 10_000.0)
        run(plan, [{}])
        replay(shown, plan.proposal({}))


def now_and_then(panel: Panel) -> Proposal:
    """A claim a week."""
    calls = np.zeros(panel.close.shape)
    calls[::168] = 1.0
    return Proposal(calls, 60.0, 1.0, np.zeros(calls.shape, bool))


if __name__ == "__main__":
    main()
