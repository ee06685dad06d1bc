"""The few plain arrays that the compiled rules read and write, and how a rule is written.

A rule is a scalar function marked `@rule`: plain Python when the live loop calls it, compiled when
the replay does. Rules see four arrays, indexed down to the scalar (views and tuples of arrays cost
reference counts, which cost ten times the arithmetic):

    book[N, 8]         what is held, a row a symbol        account[23]      money and counters
    market[T, N, 8]    what happened, bars x symbols       claims[T, N, 4]  what the strategies want

Nothing here knows a clock, a frame or a rule's meaning.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable  # pyright: ignore[reportMissingTypeStubs]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
_F = TypeVar("_F", bound=Callable[..., object])

# book columns. PENDING is a signed quantity accepted at the last close; FREE_FROM a bar number.
SIDE, QUANTITY, ENTRY, HIGH_WATER, RUNG, EXIT_ASKED, FREE_FROM, PENDING = range(8)
BOOK_COLUMNS = 8

# market columns. SIGMA and ADV belong to the 60 days known at the bar's open; MARK is the last
# usable close up to this bar.
OPEN, HIGH, LOW, CLOSE, VOLUME, SIGMA, ADV, MARK = range(8)
MARKET_COLUMNS = 8

# claims columns.
WANT, CONFIDENCE, MULTIPLIER, EXIT = range(4)
CLAIM_COLUMNS = 4

# account cells, then one counter per Reason.
CASH, EQUITY, BASELINE, DAY, STOPOUTS, ENTRIES, TRIPPED, HALTED, DEPLOYED, BLOCKS = range(10)
N_REASONS = 14
ACCOUNT_CELLS = BLOCKS + N_REASONS

# fill record columns, and why a fill happened.
F_BAR, F_SYMBOL, F_DIRECTION, F_QUANTITY, F_PRICE, F_FEE, F_WHY = range(7)
FILL_COLUMNS = 7
WHY_ENTRY, WHY_STOP, WHY_TAKE_PROFIT, WHY_TRAIL, WHY_EXIT = range(5)
WHY_NAMES = ("entry", "stop", "take_profit", "trail", "exit")

TINY = 1e-9


def rule(function: _F) -> _F:
    """Mark a scalar rule: written once, plain in the live loop, inlined in the compiled replay."""
    return register_jitable(forceinline=True)(function)


@rule
def usable(price: float) -> bool:
    """A finite number above zero; NaN answers no."""
    return 0.0 < price < math.inf


@rule
def round_down(quantity: float, step: float) -> float:
    """The largest multiple of `step` not above `quantity` (a whisker of 1e-9 steps forgiven)."""
    if step > 0.0:
        return float(np.floor(quantity / step + TINY) * step)
    return quantity


@functools.cache
def rules_fingerprint() -> str:
    """sha256 over every file that can hold a rule.

    Numba's cache does not notice an edit in a callee's file and would go on running the old rule.
    The kernels mention this value, which makes it a part of their cache key.
    """
    package = Path(__file__).parent
    files = list(package.glob("*.py"))
    for layer in ("risk", "execution", "research"):
        files += (package / layer).glob("*.py")
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
