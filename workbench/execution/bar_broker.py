"""The broker of replay and paper: orders meet closed bars, by the same rules as the compiled loop.

It sends nothing: what the gate accepted stands in the book, and the next bar fills it at its open.
It works on a copy of the book and reports fills; the book itself changes in `settle` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench import arrays as a
from workbench.domain import Bar, Book, Costs, Fill, Limits, Order
from workbench.execution.fills import trade


@dataclass(frozen=True)
class BarBroker:
    """Fills at the bars' prices, moved against us by the cost model. It keeps nothing."""

    def fills(self, book: Book, bar: Bar, limits: Limits, costs: Costs) -> list[Fill]:
        """What this bar did to the orders and positions of `book`, in the order it happened."""
        scratch = book.copy()
        rows = np.empty((3 * len(book.symbols), a.FILL_COLUMNS))
        n = trade(
            scratch.positions, scratch.account, bar.market, rows, 0, 0, bar.number,
            limits, costs,
        )  # fmt: skip
        return [
            Fill(
                time=bar.time,
                symbol=book.symbols[int(row[a.F_SYMBOL])],
                side="buy" if row[a.F_DIRECTION] > 0 else "sell",
                quantity=float(row[a.F_QUANTITY]),
                price=float(row[a.F_PRICE]),
                fee=float(row[a.F_FEE]),
                reason=a.WHY_NAMES[int(row[a.F_WHY])],
            )
            for row in rows[:n]
        ]

    def execute(self, orders: Sequence[Order]) -> None:
        """Nothing to send: an accepted order is pending in the book and fills on the next bar."""
