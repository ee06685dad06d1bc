"""What a desk must have shown before it may go on: 60 closed paper trades that paid on average.

Sixty trades are a test of the plumbing more than proof of an edge, so the gate also says how much
the trades really show: the interval of their mean, and how many it would take to be sure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from scipy.special import stdtr, stdtrit

PAPER_TRADES = 60
POWER = 2.487  # normal quantiles 0.95 + 0.80: one-sided 5 %, power 80 %


@dataclass(frozen=True)
class PaperGate:
    """`expectancy` is the mean return of a closed trade over its entry notional, net of costs;
    `low`..`high` its 95 % interval (Student's t), `p_positive` the confidence that it is above 0,
    `trades_needed` how many such trades would show it. NaN where there is too little to say.

    `grade`: "insufficient" below `needed` trades, "negative", "suggestive" (the interval contains
    0), or "supported".
    """

    n: int
    needed: int
    expectancy: float
    low: float
    high: float
    p_positive: float
    trades_needed: float
    grade: str

    @property
    def passed(self) -> bool:
        return self.n >= self.needed and self.expectancy > 0.0

    def __str__(self) -> str:
        goal = f"{self.n} of {self.needed}" if self.n < self.needed else f"{self.n}"
        told = f"{goal} closed trades"
        if self.n < 2:
            return f"{told}; nothing can be said yet"
        verdict = {
            "insufficient": "too few to judge",
            "negative": "they lost on average",
            "suggestive": "not proven: the interval contains 0",
            "supported": "the interval is above 0",
        }[self.grade]
        return (
            f"{told}; expectancy {self.expectancy:+.2%} a trade"
            f" [{self.low:+.2%}, {self.high:+.2%}]; {verdict}"
        )


def paper_gate(trades: pd.DataFrame, needed: int = PAPER_TRADES) -> PaperGate:
    """The gate over closed trades (`research.metrics.trades`, column `return`).

    Trades overlap and come in clusters, so the interval is narrower than the truth. It is meant to
    be read once, at `needed`: whoever looks after every trade sees it exclude 0 too often.
    """
    returns = trades["return"].to_numpy(float)
    n = len(returns)
    mean = float(returns.mean()) if n else math.nan
    sd = float(returns.std(ddof=1)) if n > 1 else math.nan
    error = sd / math.sqrt(n) if n else math.nan
    half = float(stdtrit(n - 1, 0.975)) * error if n > 1 else math.nan
    sure = float(stdtr(n - 1, mean / error)) if error > 0.0 else math.nan
    if n < needed:
        grade = "insufficient"
    elif not mean > 0.0:
        grade = "negative"
    else:
        grade = "supported" if mean - half > 0.0 else "suggestive"
    return PaperGate(
        n, needed, mean, mean - half, mean + half, sure,
        math.ceil((POWER * sd / mean) ** 2) if mean > 0.0 and sd > 0.0 else math.nan, grade,
    )  # fmt: skip
