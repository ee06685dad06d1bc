"""How large an entry may be: Kelly as a veto and a shape under the cap, never as a magnitude.

With a 2 % stop any believed edge asks for many times the cap, so the cap is scaled by
`kelly(p) / kelly(p_full)`, clipped to 0..1: nothing at or below break-even, the whole cap from
`p_full` on. Pure scalars; no calibration happens here (a confidence arrives calibrated or flagged).
"""

from __future__ import annotations

import math

from workbench.arrays import TINY, rule
from workbench.domain import Costs, Limits


@rule
def kelly_fraction(p: float, win: float, loss: float) -> float:
    """Kelly's notional fraction p / loss - (1 - p) / win (Thorp 2006); negative: no edge.

    `win` and `loss` are fractions of the notional, both above 0.
    """
    return p / loss - (1.0 - p) / win


def ladder_breakeven(
    stop: float, take_profit: float, share: float, runner: float, fee: float
) -> float:
    """Win probability at which stop and ladder pay nothing: L / (L + W).

    L = stop + fee, W = share * take_profit + (1 - share) * runner - fee; `fee` is the round trip,
    `runner` the return of the part that is left after the first rung. All fractions.
    """
    lost = stop + fee
    won = share * take_profit + (1.0 - share) * runner - fee
    return lost / (lost + won)


@rule
def within(value: float, top: float) -> float:
    """The value if it is a number in 0..top, else 0: broken input only ever makes smaller."""
    if 0.0 <= value <= top:
        return value
    return 0.0


@rule
def edge(confidence: float, limits: Limits, costs: Costs) -> float:
    """g(p) in 0..1: the share of the position cap that this confidence (0-100) has earned."""
    round_trip = 2.0 * (costs.half_spread + costs.taker_fee)
    win = limits.take_profit - round_trip
    loss = limits.stop + round_trip
    if not (0.0 < win < math.inf and 0.0 < loss < math.inf):
        return 0.0
    full = kelly_fraction(limits.p_full, win, loss)
    if not full > 0.0:
        return 0.0
    share = kelly_fraction(within(confidence, 100.0) / 100.0, win, loss) / full
    if not share > TINY:
        return 0.0
    return min(share, 1.0)


@rule
def wanted_share(confidence: float, multiplier: float, limits: Limits, costs: Costs) -> float:
    """The share of equity this claim may have before the room is looked at; 0 means no edge."""
    share = limits.max_position * edge(confidence, limits, costs) * within(multiplier, 1.0)
    if not share > TINY:
        return 0.0
    return share
