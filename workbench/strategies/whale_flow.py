"""Event: an unusual flow of coins to exchanges (to be sold) or away from them (to be kept).

Definition: the net flow to exchanges over a day, as deviations off its trailing 30 days. Inflow
above `z_min`: short, outflow below -`z_min`: long, at the bar at which it begins. Score: 52 plus 3
a deviation beyond z_min, up to 65. Source: the practice of on-chain desks, without much evidence
published; its hit rate has to show it. Inputs: context `whale_flow` (large transfers of the last 24
hours, USD) where its z is known, else `netflow` (Coin Metrics' last whole day, USD). Each is
compared with itself alone; the two are never in one mean.

Regimes: all; a flow is no fact of the chart. Warm-up: 30 days, of which 22 must be known, and the
bar before the first. Silent where neither series is there.

Pitfalls: an exchange that moves its own wallets looks like a flood. Labels of addresses are
revised, so a provider's history knows exchanges that nobody knew then; a block's time is not its
confirmation's; providers fill gaps backwards. What counts is when it was told, and what was
recorded live counts more than what was fetched later. A feed that fell silent repeats its last
value: its deviation shrinks, nothing begins. Daily values last many bars: the vote is on the first.
"""

from __future__ import annotations

import numpy as np

from workbench.arrays import Bools, Floats
from workbench.domain import Panel, Votes
from workbench.strategies.indicators import begins, priced, zscore
from workbench.strategies.vote import strategy

SOURCES = ("whale_flow", "netflow")  # the first that knows counts


@strategy(category="event", regimes={"trending", "ranging", "high_vol"}, lookback="31D")
def whale_flow(panel: Panel, z_min: float = 2.0) -> Votes:
    """Vote against an inflow, with an outflow, where it comes to lie z_min deviations off."""
    shape = panel.close.shape
    up, down, decided = (np.zeros(shape, bool) for _ in range(3))
    size = np.zeros(shape)
    for name in SOURCES:
        if name in panel.context:
            z, known = _z(panel, name)
            mine = known & ~decided
            up |= mine & begins(z < -z_min, known)
            down |= mine & begins(z > z_min, known)
            size, decided = np.where(mine, np.abs(z), size), decided | known
    there = priced(panel)
    return Votes.of(panel, up & there, down & there, (52.0 + 3.0 * (size - z_min)).clip(0.0, 65.0))


def _z(panel: Panel, name: str) -> tuple[Floats, Bools]:
    """Deviations off the trailing 30 days, and where they are known."""
    flow = panel.context[name].to_numpy(dtype=np.float64)
    z = zscore(flow, panel.bars_in("30D"), panel.bars_in("22D"))
    return z, np.isfinite(z)
