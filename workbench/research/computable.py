"""What a statistic is computed from, checked at the door, and what it says if it cannot be.

A statistic that needs more data than there is raises NotComputable and is never a number.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.arrays import Bools, Floats
from workbench.domain import DataError, UsageError

_FLAT = 1e-10  # of the root mean square; a smaller deviation is a float's last digits


class NotComputable(DataError):
    """A statistic that the data cannot bear: there are `n` of what it takes `needs` of."""

    def __init__(self, what: str, n: int, needs: int, of: str = "observations") -> None:
        super().__init__(what, n, needs, of)
        self.what, self.n, self.needs, self.of = what, n, needs, of

    def __str__(self) -> str:
        return f"{self.what}: not computable: n = {self.n}, needs {self.needs} {self.of}"


def one_series(values: npt.ArrayLike, what: str) -> Floats:
    """A finite series of numbers. Raises UsageError naming the first that is not."""
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise UsageError(f"{what}: one series is asked for, not an array of shape {series.shape}")
    bad = np.flatnonzero(~np.isfinite(series))
    if len(bad):
        raise UsageError(f"{what}: value {bad[0]} is {series[bad[0]]}; every one must be finite")
    return series


def trial_table(values: npt.ArrayLike | pd.DataFrame, what: str, flatten: bool = True) -> Floats:
    """Gains of trials, periods x trials, as an array; one trial may be all NaN: it has no figure.

    `flatten` makes it 0 everywhere. Raises UsageError for another shape or a number that is missing
    or infinite within a trial.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise UsageError(f"{what}: a table periods x trials is asked for, not shape {table.shape}")
    silent = np.isnan(table).all(axis=0)
    bad = np.argwhere(~np.isfinite(table) & ~silent)
    if len(bad):
        row, column = bad[0]
        name = values.columns[column] if isinstance(values, pd.DataFrame) else column
        raise UsageError(
            f"{what}: trial {name} is {table[row, column]} in row {row}; a trial has a number in"
            " every period (0 if it held nothing)"
        )
    return np.where(silent, 0.0, table) if flatten and silent.any() else table


def is_flat(table: Floats) -> Bools:
    """Which columns do not move: the same number in all rows, up to a float's last digits."""
    return ~(table.var(axis=0) > _FLAT**2 * (table**2).mean(axis=0))


def require_finite(**numbers: float) -> None:
    """Raises UsageError naming the first argument that is NaN or infinite."""
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise UsageError(f"{name} is {number}; it must be a finite number")
