"""Confidence with a meaning: 100 x P(this bracketed trade closes net positive).

A strategy's own score is no probability. Its resolved outcomes turn it into one, walk-forward: a
curve counts from the moment it could have been fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Floats, Ints

LEAST = 120  # resolved outcomes; below them a confidence stays the score, and says uncalibrated


@dataclass(frozen=True)
class Curve:
    """Score to probability, as known from `since` on: linear between the knots, flat outside.

    `kind` is shrunk, platt or isotonic; `n` outcomes of which `wins` closed net positive.
    """

    since: pd.Timestamp
    kind: str
    n: int
    wins: int
    scores: tuple[float, ...]
    chances: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    """A strategy's curves in the order of `since`."""

    curves: tuple[Curve, ...]

    def apply(self, scores: Floats, times: pd.DatetimeIndex) -> Floats:
        """Confidences (bars, symbols) for scores of the same shape, each by the curve known at its
        time; before the first curve with enough outcomes they stay as they are."""
        sure, at = np.array(scores, dtype=np.float64), self._known(times)
        for k in np.unique(at[at >= 0]):
            curve = self.curves[k]
            if curve.n >= LEAST:
                sure[at == k] = 100.0 * np.interp(scores[at == k], curve.scores, curve.chances)
        return sure

    def outcomes(self, times: pd.DatetimeIndex) -> Ints:
        """How many outcomes the confidence at each time stands on; 0: uncalibrated."""
        n = np.array([curve.n if curve.n >= LEAST else 0 for curve in self.curves] + [0])
        return n[self._known(times)]  # -1, before the first curve, is the last: none

    def _known(self, times: pd.DatetimeIndex) -> Any:
        since = pd.DatetimeIndex([curve.since for curve in self.curves], tz="UTC")
        return since.searchsorted(times, side="right") - 1
