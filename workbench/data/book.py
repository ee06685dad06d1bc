"""An order book: kept from a snapshot and the updates after it, and measured.

Two separate things. `Book` keeps the levels and fails closed: an update out of sequence, an invalid
level or crossed sides raise, and the book is unknown until the next snapshot. `depth`, `imbalance`
and `depth_row` are pure and measure any book given as (bids, asks), best first, as exchanges and
ccxt give them ([[price, size], ...]; what follows the size in a level is not read).

A book is known only as far out as its levels go. Within a band that goes further the depth is NaN,
never the sum of the part that happens to be known.

Sequencing is the exchanges' own: Binance, "How to manage a local order book correctly" (spot, and
USD-M futures), and Bybit v5, "Orderbook". Binance also says that levels outside the snapshot stay
unknown until they change: they count for the best prices, and `Book.reach` says where they begin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from workbench.arrays import Floats
from workbench.errors import DataError

Levels = Sequence[Sequence[float]] | Floats
Reach = tuple[float, float]
Venue = Literal["binance_spot", "binance_perp", "bybit"]

BANDS_BPS = (10, 25, 50)


def sides(bids: Levels, asks: Levels) -> tuple[Floats, Floats]:
    """Both sides as arrays of shape (levels, 2), without levels of size 0.

    Raises DataError for an empty side, a price that is not above 0, a size below 0, a value that
    is not finite, levels that are not sorted best first, or a best bid that is not below the ask.
    """
    bid, ask = _side("bids", bids), _side("asks", asks)
    for name, prices in (("bids", -bid[:, 0]), ("asks", ask[:, 0])):
        if (np.diff(prices) <= 0).any():
            raise DataError(f"the {name} of the book are not sorted best first, each price once")
    if bid[0, 0] >= ask[0, 0]:
        raise DataError(f"the book is crossed: best bid {bid[0, 0]:g}, best ask {ask[0, 0]:g}")
    return bid, ask


def _side(name: str, levels: Levels) -> Floats:
    if isinstance(levels, np.ndarray):
        side = levels
    else:
        try:
            side = np.array([(level[0], level[1]) for level in levels], dtype=np.float64)
        except (TypeError, ValueError, IndexError):
            raise DataError(f"the {name} of the book are not levels of price and size") from None
        side = side.reshape(-1, 2)
    bad = ~np.isfinite(side).all(axis=1) | (side[:, 0] <= 0) | (side[:, 1] < 0)
    if bad.any():
        price, size = side[bad.argmax()]
        raise DataError(f"the {name} of the book have a level of price {price:g}, size {size:g}")
    side = side[side[:, 1] > 0]
    if not len(side):
        raise DataError(f"the book has no {name}")
    return side


def mid_price(bids: Levels, asks: Levels) -> float:
    """Halfway between the best bid and the best ask. Raises DataError as `sides`."""
    bid, ask = sides(bids, asks)
    return float(bid[0, 0] + ask[0, 0]) / 2.0


def depth(
    bids: Levels, asks: Levels, bps: float, reach: Reach | None = None
) -> tuple[float, float]:
    """What rests within `bps` of the mid on each side (bids, asks), in quote currency.

    `reach` is the lowest and the highest price between which no level is missing; by default those
    of the outermost levels. NaN for a side that is not known to the end of the band. Raises
    DataError as `sides`.
    """
    bid, ask = sides(bids, asks)
    mid = mid_price(bid, ask)
    floor, ceiling = mid * (1.0 - bps / 1e4), mid * (1.0 + bps / 1e4)
    lowest, highest = reach or (bid[-1, 0], ask[-1, 0])
    near_bid, near_ask = bid[bid[:, 0] >= floor], ask[ask[:, 0] <= ceiling]
    return (
        float(near_bid.prod(axis=1).sum()) if lowest <= floor else math.nan,
        float(near_ask.prod(axis=1).sum()) if highest >= ceiling else math.nan,
    )


def imbalance(bid: float, ask: float) -> float:
    """(bid - ask) / (bid + ask), from -1 (only asks) to 1; NaN of nothing or of the unknown."""
    return (bid - ask) / (bid + ask) if bid + ask > 0 else math.nan


def depth_row(bids: Levels, asks: Levels, reach: Reach | None = None) -> dict[str, float]:
    """The columns of a "depth" row: the best levels, and depth and imbalance by band.

    Prices, `mid` and `spread` in quote currency, sizes in base units, `bid_10bps` ... in quote
    currency, NaN beyond `reach` (as in `depth`). Raises DataError as `sides`.
    """
    bid, ask = sides(bids, asks)
    row = {
        "mid": mid_price(bid, ask),
        "spread": float(ask[0, 0] - bid[0, 0]),
        "bid": float(bid[0, 0]),
        "bid_size": float(bid[0, 1]),
        "ask": float(ask[0, 0]),
        "ask_size": float(ask[0, 1]),
    }
    for bps in BANDS_BPS:
        near_bid, near_ask = depth(bid, ask, bps, reach)
        row[f"bid_{bps}bps"], row[f"ask_{bps}bps"] = near_bid, near_ask
        row[f"imbalance_{bps}bps"] = imbalance(near_bid, near_ask)
    return row


# --- a book kept from messages ----------------------------------------------------------------


class Diff(NamedTuple):
    """An update: the new size of each level that changed, 0 for one that is gone.

    `first_id` to `last_id` are the update ids it covers (Binance U and u; Bybit has one id, u).
    `previous_id` is the last id of the update before, where the venue says it (Binance pu).
    """

    first_id: int
    last_id: int
    previous_id: int | None
    bids: Sequence[tuple[float, float]]
    asks: Sequence[tuple[float, float]]


class Best(NamedTuple):
    """The best level of each side."""

    bid: float
    bid_size: float
    ask: float
    ask_size: float


_NOWHERE = Best(math.nan, math.nan, math.nan, math.nan)


@dataclass(slots=True)
class Book:
    """The book of one symbol at one venue, whose rules of sequence it keeps.

    `last_id` is the update it stands at; None while it is unknown. `reach` is the lowest and the
    highest price between which no level is missing; None where the outermost levels say so.
    """

    venue: Venue
    last_id: int | None = None
    reach: Reach | None = None
    _bids: dict[float, float] = field(default_factory=dict[float, float])
    _asks: dict[float, float] = field(default_factory=dict[float, float])
    _best: Best = _NOWHERE
    _fresh: bool = True  # no update has been applied since the snapshot

    def snapshot(
        self,
        last_id: int,
        bids: Sequence[tuple[float, float]],
        asks: Sequence[tuple[float, float]],
    ) -> None:
        """Start over from a whole book (best first) as of update `last_id`.

        Raises DataError as `sides`.
        """
        self.last_id = None
        bid, ask = sides(bids, asks)
        self._bids = dict(bid.tolist())
        self._asks = dict(ask.tolist())
        # Bybit tells of the levels that move into its window, Binance of none outside its snapshot
        if self.venue != "bybit":
            self.reach = (float(bid[-1, 0]), float(ask[-1, 0]))
        self._best = self._top()
        self.last_id, self._fresh = last_id, True

    def diff(self, diff: Diff) -> bool:
        """Apply an update; False for one that is older than the snapshot, which changes nothing.

        Raises DataError naming the update ids that are missing, or what is invalid; the book is
        unknown from then on.
        """
        if self.last_id is None:
            raise DataError("the book is unknown; it needs a snapshot before an update")
        if self._fresh and self._older(diff, self.last_id):
            return False
        due, self.last_id = self.last_id + 1, None
        begins = self._begins(diff, due)
        if begins > due:
            raise DataError(f"update ids {due}..{begins - 1} are missing; take a new snapshot")
        if begins < due:
            raise DataError(
                f"update {diff.first_id}..{diff.last_id} is out of order, {due} is due; "
                "take a new snapshot"
            )
        _apply(self._bids, diff.bids)
        _apply(self._asks, diff.asks)
        best = self._best = self._top()
        if best.bid >= best.ask:
            raise DataError(
                f"the book is crossed after update {diff.last_id}: best bid {best.bid:g}, "
                f"best ask {best.ask:g}"
            )
        self.last_id, self._fresh = diff.last_id, False
        return True

    def best(self) -> Best:
        """The best level of each side. Raises DataError while the book is unknown."""
        self._known()
        return self._best

    def _known(self) -> None:
        if self.last_id is None:
            raise DataError("the book is unknown; it needs a snapshot")

    def _top(self) -> Best:
        if not self._bids or not self._asks:
            raise DataError(f"the book has no {'asks' if self._bids else 'bids'}")
        bid, ask = max(self._bids), min(self._asks)
        return Best(bid, self._bids[bid], ask, self._asks[ask])

    def levels(self) -> tuple[Floats, Floats]:
        """Bids and asks, best first. Raises DataError while the book is unknown."""
        self._known()
        bids, asks = sorted(self._bids.items(), reverse=True), sorted(self._asks.items())
        return np.array(bids), np.array(asks)

    def _older(self, diff: Diff, last_id: int) -> bool:
        if self.venue == "binance_perp":
            return diff.last_id < last_id
        return self.venue == "binance_spot" and diff.last_id <= last_id

    def _begins(self, diff: Diff, due: int) -> int:
        """The id from which the update goes on; `due` if it follows on the book."""
        if self.venue == "bybit":
            return diff.last_id
        if self._fresh:  # the first one bridges the snapshot
            return max(due, diff.first_id)
        if self.venue == "binance_spot":
            return diff.first_id
        if diff.previous_id is None:
            raise DataError(f"update {diff.last_id} names no update before it (pu)")
        return diff.previous_id + 1


def _apply(side: dict[float, float], changed: Sequence[tuple[float, float]]) -> None:
    for price, size in changed:
        if not 0.0 < price < math.inf or not 0.0 <= size < math.inf:
            raise DataError(f"an update has a level of price {price:g}, size {size:g}")
        if size == 0.0:
            side.pop(price, None)
        else:
            side[price] = size
