"""The order book: the exchanges' rules of sequence, and what a book measures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from ccxt.async_support.base.ws.order_book import OrderBook
from hypothesis import given
from hypothesis import strategies as st

from workbench.data.book import (
    BANDS_BPS,
    Book,
    Diff,
    Venue,
    depth,
    depth_row,
    imbalance,
    mid_price,
    sides,
)
from workbench.errors import DataError

Pairs = Sequence[tuple[float, float]]

BIDS = [(100.0, 1.0), (99.96, 2.0), (99.85, 3.0), (99.0, 4.0)]
ASKS = [(100.1, 5.0), (100.2, 6.0), (101.0, 7.0)]


def test_depth_is_the_sum_of_price_times_size_within_the_band() -> None:
    # mid 100.05: 10 bps reach from 99.94995 to 100.15005, 25 bps from 99.799875 to 100.300125
    assert depth(BIDS, ASKS, 10) == pytest.approx((100.0 + 2 * 99.96, 5 * 100.1))
    assert depth(BIDS, ASKS, 25) == pytest.approx((299.92 + 3 * 99.85, 500.5 + 6 * 100.2))


def test_depth_is_unknown_beyond_the_last_level_and_beyond_what_is_known() -> None:
    assert math.isnan(depth(BIDS[:2], ASKS, 10)[0])  # the bids end at 99.96, inside the band
    assert not math.isnan(depth(BIDS[:2], ASKS, 10)[1])
    bid, ask = depth(BIDS, ASKS, 25, reach=(99.9, 101.0))
    assert math.isnan(bid)
    assert ask == pytest.approx(500.5 + 601.2)


def test_imbalance_is_signed_and_unknown_of_nothing() -> None:
    assert imbalance(3.0, 1.0) == 0.5
    assert imbalance(0.0, 2.0) == -1.0
    assert math.isnan(imbalance(0.0, 0.0))
    assert math.isnan(imbalance(math.nan, 2.0))


def test_a_depth_row_has_the_best_levels_and_every_band() -> None:
    row = depth_row(BIDS, ASKS)
    assert list(row)[:6] == ["mid", "spread", "bid", "bid_size", "ask", "ask_size"]
    assert len(row) == 6 + 3 * len(BANDS_BPS)
    assert row["mid"] == mid_price(BIDS, ASKS) == pytest.approx(100.05)
    assert row["spread"] == pytest.approx(0.1)
    assert (row["bid"], row["bid_size"], row["ask"], row["ask_size"]) == (100.0, 1.0, 100.1, 5.0)
    assert row["bid_10bps"] == pytest.approx(299.92)
    assert row["imbalance_10bps"] == pytest.approx((299.92 - 500.5) / (299.92 + 500.5))
    assert all(type(value) is float for value in row.values())


def test_a_book_of_ccxt_is_measured_as_it_is() -> None:
    """Its sides are lists of [price, size], and of more in a level at some exchanges."""
    book = OrderBook({"bids": [list(b) for b in BIDS], "asks": [list(a) for a in ASKS]})
    assert depth_row(book["bids"], book["asks"]) == depth_row(BIDS, ASKS)
    stamped = [[*level, 1_700_000_000] for level in BIDS]
    assert depth_row(stamped, np.array(ASKS)) == depth_row(BIDS, ASKS)


INVALID = {
    "no bids": ([], ASKS, "has no bids"),
    "only empty asks": (BIDS, [(100.1, 0.0)], "has no asks"),
    "crossed": ([(100.2, 1.0)], ASKS, "crossed: best bid 100.2, best ask 100.1"),
    "locked": ([(100.1, 1.0)], ASKS, "crossed"),
    "unsorted": ([(99.0, 1.0), (100.0, 1.0)], ASKS, "bids of the book are not sorted"),
    "twice": (BIDS, [(100.1, 1.0), (100.1, 2.0)], "asks of the book are not sorted"),
    "NaN": ([(math.nan, 1.0)], ASKS, "price nan"),
    "endless": (BIDS, [(100.1, math.inf)], "size inf"),
    "negative size": ([(100.0, -1.0)], ASKS, "price 100, size -1"),
    "no price": ([(0.0, 1.0)], ASKS, "price 0"),
    "no size": ([(100.0,)], ASKS, "are not levels of price and size"),
    "words": ([("best", 1.0)], ASKS, "are not levels of price and size"),
}


@pytest.mark.parametrize(("bids", "asks", "said"), INVALID.values(), ids=INVALID)
def test_an_invalid_book_is_never_measured(bids: Pairs, asks: Pairs, said: str) -> None:
    for measure in (sides, depth_row, mid_price, lambda b, a: depth(b, a, 10)):
        with pytest.raises(DataError, match=said):
            measure(bids, asks)


def test_levels_of_size_zero_are_no_levels() -> None:
    assert depth_row([(100.05, 0.0), *BIDS], ASKS) == depth_row(BIDS, ASKS)


sizes = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=40)


@given(sizes, sizes, st.floats(0.01, 5.0))
def test_depth_grows_with_the_band_and_imbalance_stays_in_bounds(
    bid: list[float], ask: list[float], tick: float
) -> None:
    bids = [(1000.0 - n * tick, size) for n, size in enumerate(bid)]
    asks = [(1000.0 + (n + 1) * tick, size) for n, size in enumerate(ask)]
    row = depth_row(bids, asks)
    for side in ("bid", "ask"):
        known = [d for d in (row[f"{side}_{b}bps"] for b in BANDS_BPS) if not math.isnan(d)]
        assert known == sorted(known)
    assert all(math.isnan(i) or -1 <= i <= 1 for i in (row[f"imbalance_{b}bps"] for b in BANDS_BPS))


# --- kept from messages -----------------------------------------------------------------------


def update(
    first: int, last: int, previous: int | None = None, bids: Pairs = (), asks: Pairs = ()
) -> Diff:
    return Diff(first, last, previous, bids, asks)


def started(venue: Venue, last_id: int = 100) -> Book:
    book = Book(venue)
    book.snapshot(last_id, BIDS, ASKS)
    return book


def test_updates_set_add_and_remove_levels() -> None:
    book = started("binance_spot")
    assert book.diff(update(101, 103, bids=[(100.0, 9.0), (99.97, 1.5)], asks=[(100.2, 0.0)]))
    assert book.diff(update(104, 104, bids=[(100.05, 2.0)], asks=[(55.5e6, 0.0)]))  # never there
    bids, asks = book.levels()
    assert bids[:3].tolist() == [[100.05, 2.0], [100.0, 9.0], [99.97, 1.5]]
    assert asks.tolist() == [[100.1, 5.0], [101.0, 7.0]]
    assert book.best() == (100.05, 2.0, 100.1, 5.0)
    assert book.last_id == 104


@pytest.mark.parametrize(
    ("venue", "diff", "applied"),
    [
        ("binance_spot", update(95, 100), False),  # u <= L: older than the snapshot
        ("binance_spot", update(95, 101), True),  # bridges it
        ("binance_spot", update(101, 105), True),
        ("binance_perp", update(90, 99, 89), False),  # u < L
        ("binance_perp", update(90, 100, 89), True),  # U <= L <= u
        ("binance_perp", update(100, 120, 97), True),
        ("bybit", update(101, 101), True),
    ],
)
def test_the_first_update_bridges_the_snapshot(venue: Venue, diff: Diff, applied: bool) -> None:
    book = started(venue)
    assert book.diff(diff) is applied
    assert book.last_id == (diff.last_id if applied else 100)


@pytest.mark.parametrize(
    ("venue", "diffs", "said"),
    [
        ("binance_spot", [update(103, 105)], "ids 101..102 are missing"),
        ("binance_spot", [update(101, 105), update(107, 109)], "ids 106..106 are missing"),
        ("binance_spot", [update(101, 105), update(105, 109)], "105..109 is out of order, 106 is"),
        ("binance_spot", [update(101, 105), update(99, 100)], "99..100 is out of order"),
        ("binance_perp", [update(104, 109, 103)], "ids 101..103 are missing"),
        ("binance_perp", [update(90, 105, 9), update(120, 130, 110)], "ids 106..110 are missing"),
        ("binance_perp", [update(90, 105, 9), update(90, 105, 9)], "out of order, 106 is due"),
        ("binance_perp", [update(90, 105, 9), update(106, 107)], "names no update before it"),
        ("bybit", [update(103, 103)], "ids 101..102 are missing"),
        ("bybit", [update(101, 101), update(101, 101)], "101..101 is out of order, 102 is due"),
    ],
)
def test_a_gap_names_the_missing_ids_and_the_book_is_unknown_until_the_next_snapshot(
    venue: Venue, diffs: list[Diff], said: str
) -> None:
    book = started(venue)
    for diff in diffs[:-1]:
        assert book.diff(diff)
    with pytest.raises(DataError, match=said):
        book.diff(diffs[-1])
    assert book.last_id is None
    for ask in (book.best, book.levels, lambda: book.diff(update(106, 107, 105))):
        with pytest.raises(DataError, match="the book is unknown; it needs a snapshot"):
            ask()
    book.snapshot(200, BIDS[:2], ASKS)
    assert book.best().bid == 100.0
    assert book.last_id == 200


def test_an_update_that_crosses_or_empties_the_book_or_is_invalid_fails_closed() -> None:
    bad = {
        "is crossed after update 101: best bid 100.1, best ask 100.1": [(100.1, 1.0)],
        "has no bids": [(price, 0.0) for price, _ in BIDS],
        "price 99, size -1": [(99.0, -1.0)],
        "price nan": [(math.nan, 1.0)],
    }
    for said, bids in bad.items():
        book = started("binance_spot")
        with pytest.raises(DataError, match=said):
            book.diff(update(101, 101, bids=bids))
        assert book.last_id is None


def test_an_invalid_snapshot_leaves_no_book() -> None:
    book = started("bybit")
    with pytest.raises(DataError, match="crossed"):
        book.snapshot(500, [(200.0, 1.0)], ASKS)
    with pytest.raises(DataError, match="unknown"):
        book.levels()


def test_levels_outside_a_snapshot_of_binance_do_not_widen_what_is_known() -> None:
    far = update(101, 101, bids=[(50.0, 1e6)], asks=[(150.0, 1e6)])
    spot, bybit = started("binance_spot"), started("bybit")
    for book in (spot, bybit):
        book.diff(far)
    assert spot.reach == (99.0, 101.0)
    assert math.isnan(depth(*spot.levels(), 200, spot.reach)[0])
    assert bybit.reach is None  # it tells of the levels that move into its window
    assert depth(*bybit.levels(), 200)[0] == pytest.approx(sum(p * s for p, s in BIDS))
