"""Reversion: hold spot against a short perpetual while its funding pays for the trade.

Source: the crypto carry (Schmeling, Schrimpf and Todorov, BIS Working Paper 1087, 2023). Inputs:
`funding_apr` and `funding_apr_3`, the last settled rate and the mean of the last three intervals,
by the year. Regimes: all, long also in risk-off, for the pair has no direction. Warm-up: two bars,
and three settlements of an exchange that are in the context already.

Pitfalls. Intervals differ (8 h, 4 h, 1 h) and change, so a rate means nothing without its own; the
rate that an exchange shows before settlement is a prediction, and here only settled ones count.
Both legs must fill: one alone is a bet on the market. The short leg can be liquidated in a rally
although the pair lost nothing. Carry is crash-prone: the basis is widest when all unwind. The stop
is on the pair's equity, not on a leg.
"""

from __future__ import annotations

import numpy as np

from workbench.arrays import Floats
from workbench.domain import Panel, Votes
from workbench.strategies.vote import strategy

LEGS = 4  # two to enter, two to leave
_DAYS_A_YEAR = 365.0


def hurdle(hold_days: float, fee_rate: float, basis_buffer: float) -> float:
    """The yearly funding that pays four legs' fees and the buffer within the expected hold.

    Fees and buffer as fractions of a leg's notional: .2 % is paid by .03 % each 8 h in 7 intervals.
    """
    return (LEGS * fee_rate + basis_buffer) * _DAYS_A_YEAR / hold_days


@strategy(
    category="reversion",
    regimes={"trending", "ranging", "high_vol"},
    lookback=2,
    needs=("funding_apr", "funding_apr_3"),
    trades="carry",
    holds_risk_off=True,
)
def funding_arbitrage(
    panel: Panel, hold_days: float = 14.0, fee_rate: float = 0.001, basis_buffer: float = 0.001
) -> Votes:
    """Vote long as both rates come to exceed the hurdle; leave where three intervals cost money.

    Score: 52 plus 1 for each tenth by which the lower of the two exceeds the hurdle, up to 68.
    Where funding is not known there is neither a vote nor an exit.
    """
    last, mean = _known(panel, "funding_apr"), _known(panel, "funding_apr_3")
    least = hurdle(hold_days, fee_rate, basis_buffer)
    lower = np.minimum(last, mean)
    pays = (lower > least) & (panel.close.to_numpy() > 0)
    begins = pays & ~np.vstack([np.zeros_like(pays[:1]), pays[:-1]])
    score = np.clip(52.0 + 10.0 * (lower / least - 1.0), 0.0, 68.0)
    return Votes.of(panel, begins, np.zeros_like(begins), score, mean < 0.0)


def _known(panel: Panel, name: str) -> Floats:
    """A name of the context on the panel, NaN throughout where it is not there."""
    told = panel.context.get(name)
    return np.full(panel.close.shape, np.nan) if told is None else told.to_numpy(dtype=np.float64)
