"""What each wanted entry would have come to, had it been taken alone.

One entry in an otherwise empty book of the full capital, ruled and filled by the same functions as
every other: the gate answers it at its close, the next open fills it, and stop, rung and trail run
until it is flat, or a strategy's own exit asks it to be. Nothing here knows a judge.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import cast

import numpy as np
import pandas as pd
from numba import njit

from workbench import arrays as a
from workbench.arrays import Bools, Floats, Ints, rules_fingerprint
from workbench.cycle import decide, market_array
from workbench.domain import Book, Costs, Limits, Panel, Reason, UsageError
from workbench.execution.fills import trade
from workbench.risk.correlation import daily_facts

OPEN, VOID, REFUSED = "open", "void", "refused"
OUTCOME_COLUMNS = ("opened", "closed", "entry", "exit", "return", "reason", "bars")
MOST_FILLS = 3  # an entry, the rung, the rest
Kernel = Callable[..., None]


@functools.cache
def kernel(fingerprint: str) -> Kernel:
    """The compiled loop over cells for this state of the rule files."""

    @njit(cache=True, nogil=True)
    def run(
        rows: Ints, columns: Ints, sides: Floats, leave: Bools, market: Floats, days: Ints,
        first_bar: int,
        start: Floats, fills: Floats, counts: Ints, flat: Bools, fates: Ints,
        limits: Limits, costs: Costs,
    ) -> None:  # fmt: skip
        _ = fingerprint  # a part of numba's cache key: a changed rule is a new kernel
        book, account = np.zeros((1, a.BOOK_COLUMNS)), np.empty(a.ACCOUNT_CELLS)
        claims, order = np.zeros((1, 1, a.CLAIM_COLUMNS)), np.zeros(1, np.int64)
        alone = np.zeros((1, 1, 1), np.bool_)
        for k in range(len(rows)):
            first, j = rows[k], columns[k]
            own = market[first:, j : j + 1]
            book[:] = 0.0
            account[:] = start
            claims[0, 0, a.WANT] = sides[k]
            claims[0, 0, a.CONFIDENCE] = 100.0
            claims[0, 0, a.MULTIPLIER] = 1.0
            decide(
                book, account, own, claims, alone, order, fates[k : k + 1],
                0, days[first], 0, first_bar + first, limits, costs,
            )  # fmt: skip
            n, t = 0, 1
            while t < len(own) and (book[0, a.PENDING] != 0.0 or book[0, a.SIDE] != 0.0):
                n = trade(book, account, own, fills[k], n, t, first_bar + first + t, limits, costs)
                if leave[first + t, j] and book[0, a.SIDE] != 0.0:
                    book[0, a.EXIT_ASKED] = 1.0  # as the gate does with a claim to leave
                t += 1
            counts[k] = n
            flat[k] = book[0, a.PENDING] == 0.0 and book[0, a.SIDE] == 0.0

    return cast(Kernel, run)


def outcomes(
    panel: Panel,
    cells: pd.DataFrame,
    limits: Limits | None = None,
    costs: Costs | None = None,
    capital: float = 10_000.0,
    exit: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """What came of each cell (`t` row of the panel, `symbol`, `side` -1 or +1), one row a cell.

    The entry has `max_position` of the capital at close t, as if its confidence were full. `exit`
    (bool, bars x symbols) is where a strategy leaves its own trades: asked at that close, filled at
    the next open; an entry that is only wanted at that close is none of them.
    Columns: opened and closed (open times of the bars), entry and mean exit price, return (net of
    every fee over the entry notional, as in `metrics.trades`), reason (of the last exit), bars
    (from entry to last exit; 0: within one). Without a whole trade the return is NaN and the reason
    says why: "open" at the panel's end, "void" where the next open is missing, "refused" where the
    gate would take the entry from nobody (a short where there are none, a stale bar). Overlapping
    cells know nothing of each other. Raises UsageError naming the cell that is not on the panel, or
    if `exit` does not lie on it.
    """
    limits, costs = limits or Limits(), costs or Costs()
    rows, columns, sides = _cells(panel, cells)
    leave, n = _leave(panel, exit), len(cells)
    fills = np.zeros((n, MOST_FILLS, a.FILL_COLUMNS))
    counts, flat, fates = np.zeros(n, np.int64), np.zeros(n, bool), np.full((n, 1), -1, np.int64)
    if n:
        facts = daily_facts(panel.close.to_numpy(), panel.volume.to_numpy(), panel.open_days)
        start = Book.start(panel.symbols, capital, panel.index[0]).account
        kernel(rules_fingerprint())(
            rows, columns, sides, leave, market_array(panel, facts), panel.days,
            int(panel.bar_numbers[0]), start, fills, counts, flat, fates, limits, costs,
        )  # fmt: skip
    accepted = np.isin(fates[:, 0], (int(Reason.ACCEPTED), int(Reason.CLAMPED)))
    fills[:, :, a.F_BAR] += rows[:, None]
    return _told(panel, fills, counts, flat, accepted).set_axis(cells.index)


def _cells(panel: Panel, cells: pd.DataFrame) -> tuple[Ints, Ints, Floats]:
    """Rows, columns and sides as arrays. Raises UsageError at the first cell that is none."""
    lacking = [name for name in ("t", "symbol", "side") if name not in cells]
    if lacking:
        raise UsageError(f"the cells have no column {lacking[0]!r}; give t, symbol and side")
    rows, sides = cells["t"].to_numpy(np.int64), cells["side"].to_numpy(np.float64)
    columns = pd.Index(panel.symbols).get_indexer(cells["symbol"]).astype(np.int64)
    bad = (rows < 0) | (rows >= len(panel)) | (columns < 0) | (np.abs(sides) != 1.0)
    if bad.any():
        k = int(np.flatnonzero(bad)[0])
        raise UsageError(
            f"cell {k} (t {rows[k]}, {cells['symbol'].iloc[k]}, side {sides[k]:g}) is none of this"
            f" panel: it has rows 0 to {len(panel) - 1} of {', '.join(panel.symbols)}, and a side"
            " is -1 or 1"
        )
    return rows, columns, sides


def _leave(panel: Panel, exit: pd.DataFrame | None) -> Bools:
    """Where the trades are left, (bars, symbols)."""
    if exit is None:
        return np.zeros(panel.close.shape, np.bool_)
    if not exit.index.equals(panel.index) or list(exit.columns) != list(panel.symbols):
        raise UsageError("exit does not lie on the panel's rows and symbols")
    if any(dtype != np.bool_ for dtype in exit.dtypes):
        raise UsageError("exit has cells that are neither True nor False")
    return np.ascontiguousarray(exit.to_numpy(np.bool_))


def _told(panel: Panel, fills: Floats, counts: Ints, flat: Bools, accepted: Bools) -> pd.DataFrame:
    """Fill records (cells, 3, 7), zeros where there was none, as outcomes."""
    entered, whole = counts > 0, flat & (counts > 0)
    entry, last = fills[:, 0], fills[np.arange(len(fills)), np.maximum(counts - 1, 0)]
    exits = fills[:, 1:]
    notional = np.where(whole, entry[:, a.F_QUANTITY] * entry[:, a.F_PRICE], np.nan)
    sold = np.where(whole, exits[:, :, a.F_QUANTITY].sum(axis=1), np.nan)
    received = (exits[:, :, a.F_QUANTITY] * exits[:, :, a.F_PRICE]).sum(axis=1)
    profit = entry[:, a.F_DIRECTION] * (received - notional) - fills[:, :, a.F_FEE].sum(axis=1)
    why = np.array(a.WHY_NAMES)[last[:, a.F_WHY].astype(np.int64)]
    return pd.DataFrame(
        {
            "opened": _times(panel, entry, entered),
            "closed": _times(panel, last, whole),
            "entry": np.where(entered, entry[:, a.F_PRICE], np.nan),
            "exit": received / sold,
            "return": profit / notional,
            "reason": np.select([whole, ~accepted, ~flat], [why, REFUSED, OPEN], VOID),
            "bars": np.where(whole, last[:, a.F_BAR] - entry[:, a.F_BAR], np.nan),
        },
        columns=list(OUTCOME_COLUMNS),
    )


def _times(panel: Panel, fills: Floats, there: Bools) -> pd.DatetimeIndex:
    """Open times of the fills' bars, NaT where there is no such fill."""
    row = np.where(there, fills[:, a.F_BAR], -1.0).astype(np.int64)
    return panel.index.take(row, allow_fill=True, fill_value=pd.NaT)
