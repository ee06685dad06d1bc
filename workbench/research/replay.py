"""Years of bars through the rule book in one compiled loop, with every fill recorded.

The rules are those of `cycle`, the same functions, compiled. Votes and verdicts arrive as arrays:
nothing here calls a strategy or a judge. The result is a record; reading it is left to others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd
from numba import njit

from workbench import arrays as a
from workbench.arrays import Bools, Floats, Ints, rules_fingerprint
from workbench.cycle import decide, market_array
from workbench.domain import Book, Costs, Limits, Panel, Proposal, Reason, UsageError
from workbench.execution.fills import trade
from workbench.risk.correlation import clusters, daily_facts, too_close

Kernel = Callable[..., int]


@functools.cache
def kernel(fingerprint: str) -> Kernel:
    """The compiled loop for this state of the rule files."""

    # No reference counts (`_nrt`): nothing is allocated within, and each array handed to a rule
    # would cost two atomic ones, half of the loop's time.
    @njit(cache=True, nogil=True, _nrt=False)
    def run(
        book: Floats, account: Floats, market: Floats, claims: Floats, too_close: Bools,
        days: Ints, first_day: int, first_bar: int, order: Ints, fates: Any, fills: Floats,
        equity: Floats, limits: Limits, costs: Costs,
    ) -> int:  # fmt: skip
        _ = fingerprint  # a part of numba's cache key: a changed rule is a new kernel
        n = 0
        for t in range(market.shape[0]):
            bar, day = first_bar + t, days[t]
            n = trade(book, account, market, fills, n, t, bar, limits, costs)
            decide(
                book, account, market, claims, too_close, order, fates,
                t, day, day - first_day, bar, limits, costs,
            )  # fmt: skip
            equity[t] = account[a.EQUITY]
        return n

    return cast(Kernel, run)


@dataclass(frozen=True, eq=False)
class Replay:
    """What came of it.

    `records` (fills, 7) are the fills as the loop wrote them, see `arrays`; `equity` is the value
    at each bar's close, by open time; `blocks` counts each Reason by name; `fates` (bars x symbols)
    holds the Reason of each claim, -1 for none; `book` is what is held at the end, `clusters` the
    connected components of |rho| > limit at the last close.
    """

    panel: Panel
    records: Floats
    equity: pd.Series[Any]
    blocks: pd.Series[Any]
    fates: pd.DataFrame
    book: Book
    capital: float
    clusters: Sequence[Sequence[str]] = ()

    @property
    def source(self) -> str:
        return self.panel.source

    @property
    def synthetic(self) -> bool:
        return self.panel.synthetic

    @cached_property
    def fills(self) -> pd.DataFrame:
        """The fills, in order: time, symbol, side, quantity, price, fee, reason."""
        return fills_frame(self.records, self.panel)

    def since(self, first: int) -> Replay:
        """The same run without its first bars, in which nothing may have been traded."""
        panel, records = self.panel.rows(first, len(self.panel)), self.records.copy()
        records[:, a.F_BAR] -= first
        if (records[:, a.F_BAR] < 0).any():
            raise UsageError(f"there are fills before {panel.index[0]}; they cannot be cut away")
        return replace(
            self, panel=panel, records=records, equity=self.equity.iloc[first:],
            fates=self.fates.iloc[first:],
        )  # fmt: skip

    def portfolio(self) -> Any:
        """The same fills as a native vectorbt.Portfolio, an independent account of the equity."""
        from workbench.research.accountant import portfolio  # noqa: PLC0415  slow to import

        return portfolio(self.panel, self.records, self.capital)


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
    # A claim makes one entry at the most, and an entry has at most three fills.
    records = np.empty((3 * int(wants.sum()), a.FILL_COLUMNS))
    fates = np.full(wants.shape, -1, np.int8)
    equity = np.empty(len(panel))
    n = kernel(rules_fingerprint())(
        book.positions, book.account, market, claims, too_close(facts.rho, limits),
        panel.days, facts.first_day, int(panel.bar_numbers[0]),
        np.zeros(len(panel.symbols), np.int64), fates, records, equity, limits, costs,
    )  # fmt: skip
    return Replay(
        panel=panel,
        records=records[:n],
        equity=pd.Series(equity, index=panel.index, name="equity"),
        blocks=blocks_series(book),
        fates=pd.DataFrame(fates, index=panel.index, columns=panel.close.columns),
        book=book,
        capital=capital,
        clusters=clusters(
            facts.rho[panel.days[-1] - facts.first_day], panel.symbols, limits.max_correlation
        ),
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
        ordered = frame.columns.equals(panel.close.columns)
        columns = frame if ordered else frame[list(panel.symbols)]
        try:
            stacked[:, :, k] = columns.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            raise UsageError(f"proposal.{name}: a cell is not a number") from None
    if not np.isin(stacked[:, :, a.EXIT], (0.0, 1.0)).all():
        raise UsageError("proposal.exit has holes; say True or False for every cell")
    return stacked


def fills_frame(fills: Floats, panel: Panel) -> pd.DataFrame:
    """Fill records as a frame: time, symbol, side, quantity, price, fee, reason."""

    def words(names: Sequence[str], codes: Any) -> Any:
        return pd.array(list(names), dtype="str").take(codes.astype(np.int64))

    return pd.DataFrame(
        {
            "time": panel.index[fills[:, a.F_BAR].astype(np.int64)],
            "symbol": words(panel.symbols, fills[:, a.F_SYMBOL]),
            "side": words(("sell", "buy"), fills[:, a.F_DIRECTION] > 0.0),
            "quantity": fills[:, a.F_QUANTITY],
            "price": fills[:, a.F_PRICE],
            "fee": fills[:, a.F_FEE],
            "reason": words(a.WHY_NAMES, fills[:, a.F_WHY]),
        }
    )


def blocks_series(book: Book) -> pd.Series[Any]:
    """How often each Reason was given, by name."""
    names = [reason.name for reason in Reason if reason is not Reason.ACCEPTED]
    counts = book.account[a.BLOCKS + 1 :].astype(np.int64)
    return pd.Series(counts, index=names, name="blocks")
