"""What a fill costs: half spread plus the square-root law of impact, bounded; and the fees."""

from __future__ import annotations

import math

from workbench.arrays import rule, usable
from workbench.domain import Costs

MOST = 0.5  # the law has no upper bound: selling 400 days' volume would pay a negative price


@rule
def taker_price(
    price: float, direction: float, quantity: float, sigma: float, adv: float, costs: Costs
) -> float:
    """The price got for taking `quantity` at a quoted `price`; direction +1 buys, -1 sells.

    shift = half_spread + impact * sigma_daily * sqrt(quantity * price / ADV), at most 0.5, where
    ADV is the mean daily quote volume. Without a usable sigma or ADV the impact is 0.
    """
    shift = costs.half_spread
    if costs.impact > 0.0 and usable(sigma) and usable(adv):
        shift += costs.impact * sigma * math.sqrt(quantity * price / adv)
    return price * (1.0 + direction * min(shift, MOST))
