"""Years of bars through the rule book in one compiled loop, with every fill recorded.

The rules are those of `cycle`, the same functions, compiled. Votes and verdicts arrive as arrays:
nothing here calls a strategy or a judge. The result is a record; reading it is left to others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from numba import njit

from workbench import arrays as a
from workbench.arrays import Bools, Floats, Ints, rules_fingerprint
from workbench.cycle import market_array, step
from workbench.domain import Book, Costs, Limits, Panel, Proposal, Reason, UsageError
from workbench.risk.correlation import daily_facts, too_close

if TYPE_CHECKING:
    import vectorbt as vbt

Kernel = Callable[..., int]


@functools.cache
def kernel(fingerprint: str) -> Kernel:
    """The compiled loop for this state of the rule files."""

    @njit(cache=True, nogil=True)
    def run(
        book: Floats, account: Floats, market: Floats, claims: Floats, too_close: Bools,
        days: Ints, first_day: int, first_bar: int, order: Ints, fates: Any, fills: Floats,
        equity: Floats, limits: Limits, costs: Costs,
    ) -> int:  # fmt: skip
        _ = fingerprint  # a part of numba's cache key: a changed rule is a new kernel
        n = 0
        for t in range(market.shape[0]):
            n = step(
                book, account, market, claims, too_close, order, fates, fills, n,
                t, days[t], days[t] - first_day, first_bar + t, limits, costs,
            )  # fmt: skip
            equity[t] = account[a.EQUITY]
        return n

    return cast(Kernel, run)


@dataclass(frozen=True, eq=False)
class Replay:
    """What came of it. `fates` (bars x symbols) holds the Reason of each claim, -1 for none."""

    panel: Panel
    fills: pd.DataFrame
    equity: pd.Series[Any]
    blocks: pd.Series[Any]
    fates: pd.DataFrame
    book: Book
    capital: float

    def since(self, first: int) -> Replay:
        """The same run without its first bars, in which nothing may have been traded."""
        panel = self.panel.rows(first, len(self.panel))
        if len(self.fills) and self.fills["time"].iloc[0] < panel.index[0]:
            raise UsageError(f"there are fills before {panel.index[0]}; they cannot be cut away")
        return replace(
            self, panel=panel, equity=self.equity.iloc[first:], fates=self.fates.iloc[first:]
        )

    def portfolio(self) -> vbt.Portfolio:
        """The same fills as a native vectorbt Portfolio, an independent account of the equity."""
        from workbench.research.accountant import portfolio  # noqa: PLC0415  slow to import

        return portfolio(self.panel, self.fills, self.capital)


def replay(
    panel: Panel,
    proposal: Proposal,
    limits: Limits | None = None,
    costs: Costs | None = None,
    capital: float = 10_000.0,
) -> Replay:
    """Replay a proposal (frames of the panel's shape) through every rule of the rule book.

    Raises UsageError if a frame of the proposal does not lie on the panel, if `exit` has holes,
    or if the capital is not a finite number above 0.
    """
    limits, costs = limits or Limits(), costs or Costs()
    claims = claims_array(panel, proposal)
    if not len(panel):
        raise UsageError("the panel has no bars; nothing can be replayed")
    facts = daily_facts(panel.close.to_numpy(), panel.volume.to_numpy(), panel.open_days)
    market = market_array(panel, facts)
    book = Book.start(panel.symbols, capital, panel.index[0])
    wants = np.abs(claims[:, :, a.WANT]) == 1.0
    fills = np.empty((3 * int(wants.sum()), a.FILL_COLUMNS))
    fates = np.full(wants.shape, -1, np.int8)
    equity = np.empty(len(panel))
    n = kernel(rules_fingerprint())(
        book.positions, book.account, market, claims, too_close(facts.rho, limits),
        panel.days, facts.first_day, int(panel.bar_numbers[0]),
        np.zeros(len(panel.symbols), np.int64), fates, fills, equity, limits, costs,
    )  # fmt: skip
    return Replay(
        panel=panel,
        fills=fills_frame(fills[:n], panel),
        equity=pd.Series(equity, index=panel.index, name="equity"),
        blocks=blocks_series(book),
        fates=pd.DataFrame(fates, index=panel.index, columns=panel.close.columns),
        book=book,
        capital=capital,
    )


def claims_array(panel: Panel, proposal: Proposal) -> Floats:
    """The proposal as (bars, symbols, 4) floats, columns in the panel's order."""
    stacked = np.empty((*panel.close.shape, a.CLAIM_COLUMNS))
    for k, name in enumerate(("side", "confidence", "multiplier", "exit")):
        frame = getattr(proposal, name)
        if not isinstance(frame, pd.DataFrame):
            raise UsageError(f"proposal.{name} must be a frame of bars x symbols")
        if not frame.index.equals(panel.index) or set(frame.columns) != set(panel.symbols):
            raise UsageError(f"proposal.{name} does not lie on the panel's rows and symbols")
        if len(frame.columns) != len(panel.symbols):
            raise UsageError(f"proposal.{name} has a symbol twice")
        if name == "exit" and frame.isna().to_numpy().any():
            raise UsageError("proposal.exit has holes; say True or False for every cell")
        columns = frame[list(panel.symbols)]
        try:
            stacked[:, :, k] = columns.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            raise UsageError(f"proposal.{name}: a cell is not a number") from None
    return stacked


def fills_frame(fills: Floats, panel: Panel) -> pd.DataFrame:
    """Fill records as a frame: time, symbol, side, quantity, price, fee, reason."""
    direction = fills[:, a.F_DIRECTION]
    return pd.DataFrame(
        {
            "time": panel.index[fills[:, a.F_BAR].astype(np.int64)],
            "symbol": np.array(panel.symbols)[fills[:, a.F_SYMBOL].astype(np.int64)],
            "side": np.where(direction > 0, "buy", "sell"),
            "quantity": fills[:, a.F_QUANTITY],
            "price": fills[:, a.F_PRICE],
            "fee": fills[:, a.F_FEE],
            "reason": np.array(a.WHY_NAMES)[fills[:, a.F_WHY].astype(np.int64)],
        }
    )


def blocks_series(book: Book) -> pd.Series[Any]:
    """How often each Reason was given, by name."""
    names = [reason.name for reason in Reason if reason is not Reason.ACCEPTED]
    counts = book.account[a.BLOCKS + 1 :].astype(np.int64)
    return pd.Series(counts, index=names, name="blocks")
