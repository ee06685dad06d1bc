"""Small hand-made worlds for tests: bars written as rows, claims written as words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from workbench.domain import Panel, Proposal, parse_timeframe

Bar = tuple[float, ...]
"""open, high, low, close and, if it matters, volume."""

PLENTY = 1e6
NAN = math.nan
MISSING: Bar = (NAN, NAN, NAN, NAN, NAN)


class Claim(NamedTuple):
    """What is wanted at the close of one bar of a world."""

    symbol: str
    bar: int
    side: float = 0.0
    confidence: float = 0.0
    multiplier: float = 0.0
    exit: bool = False


def buy(symbol: str, bar: int, confidence: float = 100.0, multiplier: float = 1.0) -> Claim:
    return Claim(symbol, bar, 1.0, confidence, multiplier)


def sell_short(symbol: str, bar: int, confidence: float = 100.0, multiplier: float = 1.0) -> Claim:
    return Claim(symbol, bar, -1.0, confidence, multiplier)


def leave(symbol: str, bar: int) -> Claim:
    return Claim(symbol, bar, exit=True)


def flat(price: float = 100.0, bars: int = 1, volume: float = PLENTY) -> list[Bar]:
    """Bars in which nothing moves."""
    return [(price, price, price, price, volume)] * bars


@dataclass(frozen=True)
class World:
    """A panel, and the row at which the story begins (the rows before are history)."""

    panel: Panel
    first: int = 0

    def proposal(self, *claims: Claim) -> Proposal:
        like = self.panel.close
        side, confidence, multiplier = (
            pd.DataFrame(0.0, index=like.index, columns=like.columns) for _ in range(3)
        )
        exits = pd.DataFrame(False, index=like.index, columns=like.columns)
        for claim in claims:
            row, column = self.first + claim.bar, like.columns.get_loc(claim.symbol)
            if claim.exit:
                exits.iloc[row, column] = True
            else:
                side.iloc[row, column] = claim.side
                confidence.iloc[row, column] = claim.confidence
                multiplier.iloc[row, column] = claim.multiplier
        return Proposal(side, confidence, multiplier, exits)

    def bar_of(self, time: pd.Timestamp) -> int:
        return int(self.panel.index.get_loc(time)) - self.first


def world(
    bars: Mapping[str, Sequence[Bar]],
    *,
    start: str = "2024-03-01",
    timeframe: str = "1h",
    history: Mapping[str, Sequence[Sequence[Bar]]] | None = None,
) -> World:
    """A world of `bars` beginning at `start` (UTC), after the whole days of bars in `history`."""
    before = {symbol: [b for day in days for b in day] for symbol, days in (history or {}).items()}
    rows = {symbol: [*before.get(symbol, []), *story] for symbol, story in bars.items()}
    lengths = {len(story) for story in rows.values()}
    assert len(lengths) == 1, "every symbol of a world has the same number of bars"
    first = len(next(iter(before.values()))) if before else 0
    length = parse_timeframe(timeframe)
    index = pd.date_range(
        pd.Timestamp(start, tz="UTC") - first * length, periods=lengths.pop(), freq=length
    )
    cells = {s: [(*b, PLENTY) if len(b) == 4 else b for b in story] for s, story in rows.items()}
    frames = {
        name: pd.DataFrame({s: [b[i] for b in story] for s, story in cells.items()}, index=index)
        for i, name in enumerate(("open", "high", "low", "close", "volume"))
    }
    return World(Panel.from_frames(**frames, timeframe=timeframe), first)


def days_of(
    returns: Sequence[float], *, last: float = 100.0, bars_a_day: int = 4, volume: float = PLENTY
) -> list[list[Bar]]:
    """Whole days whose daily closes make these log returns and end at `last`.

    One day more than there are returns; inside a day nothing moves. A NaN return is a missing day
    (and takes the next return with it: the price moves on unseen).
    """
    steps = np.nan_to_num(np.asarray(returns, dtype=float))
    path = np.concatenate([[0.0], np.cumsum(steps)])
    closes = last * np.exp(path - path[-1])
    days = [flat(float(close), bars_a_day, volume) for close in closes]
    for day, value in enumerate(returns, start=1):
        if math.isnan(value):
            days[day] = [MISSING] * bars_a_day
    return days


def walsh(k: int, days: int, size: float = 0.01) -> list[float]:
    """The k-th pattern of +size and -size: two different patterns hardly correlate.

    Over 64 days two of them (k from 1 to 63) have product sum 0 and mean 0; over a window of 60
    the sums are at most 4 in number, so abs(rho) <= (4 + 4 * 4 / 60) / (60 - 4 * 4 / 60) < 0.08.
    """
    return [size * (-1) ** (k & day).bit_count() for day in range(1, days + 1)]
