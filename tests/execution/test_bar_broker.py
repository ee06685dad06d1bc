"""The broker of replay and paper: tells what a bar did, changes nothing, agrees with the replay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.proposals import random_proposal
from tests.rough import COMPILED, Rough, rough_panel
from workbench import arrays as a
from workbench.cycle import close_of, gate, market_array, settle
from workbench.domain import Bar, Book, Costs, Fill, Limits, Order, Panel, Proposal, Snapshot
from workbench.execution.bar_broker import BarBroker
from workbench.research.replay import claims_array, replay
from workbench.risk.correlation import daily_facts, too_close

BROKER = BarBroker()
FREE = Costs(half_spread=0.0, impact=0.0, taker_fee=0.0, maker_fee=0.0)
LOOSE = Limits(
    max_position=0.3, max_deployed=0.8, stop=0.015, take_profit=0.02, trail=0.01,
    max_correlation=0.95, daily_drawdown=0.1, max_stopouts_per_day=9, cooldown_bars=1,
    max_entries_per_day=9, min_notional=20.0, allow_short=True,
)  # fmt: skip
DEAR = Costs(half_spread=0.001, impact=2.0, maker_fee=0.0003, step=0.001, max_participation=0.5)
NOW = pd.Timestamp("2024-03-01 11:00", tz="UTC")


def bar_of(*prices: tuple[float, float, float, float]) -> Bar:
    """A bar of as many symbols, each open, high, low, close."""
    n = len(prices)
    market = np.array([[[*p, 1e6, 0.0, 0.0, p[3]] for p in prices]])
    return Bar(NOW, 500, 19_783, market, np.ones((1, n, n), bool))


def book_of(*pending: float) -> Book:
    book = Book.start([f"S{k}" for k in range(len(pending))], 10_000.0, NOW)
    book.positions[:, a.PENDING] = pending
    return book


def test_a_pending_entry_becomes_a_fill_with_a_name() -> None:
    fills = BROKER.fills(
        book_of(2.0, -3.0, 0.0), bar_of(*[(100, 101, 99, 100)] * 3), Limits(),
        Costs(half_spread=0.001, impact=0.0, taker_fee=0.01),
    )  # fmt: skip
    assert fills == [
        Fill(NOW, "S0", "buy", 2.0, pytest.approx(100.1), pytest.approx(2.002), "entry"),
        Fill(NOW, "S1", "sell", 3.0, pytest.approx(99.9), pytest.approx(2.997), "entry"),
    ]
    assert all(type(part) in (pd.Timestamp, str, float) for fill in fills for part in fill)


def test_entry_and_stop_in_one_bar_are_two_fills() -> None:
    fills = BROKER.fills(book_of(2.0), bar_of((100, 101, 90, 95)), Limits(), FREE)
    assert [(f.side, f.reason, f.price) for f in fills] == [
        ("buy", "entry", 100.0), ("sell", "stop", 98.0),
    ]  # fmt: skip


def test_nothing_pending_nothing_held_nothing_told() -> None:
    assert BROKER.fills(book_of(0.0), bar_of((100, 200, 1, 100)), Limits(), FREE) == []
    assert BROKER.fills(book_of(), bar_of(), Limits(), FREE) == []


def test_telling_changes_neither_book_nor_bar() -> None:
    book, bar = book_of(2.0, -1.0), bar_of((100, 110, 90, 95), (100, 101, 99, 100))
    before = [part.tobytes() for part in (book.positions, book.account, bar.market)]
    first = BROKER.fills(book, bar, Limits(), DEAR)
    assert [part.tobytes() for part in (book.positions, book.account, bar.market)] == before
    assert BROKER.fills(book, bar, Limits(), DEAR) == first, "it keeps nothing"


def test_executing_sends_nothing() -> None:
    BROKER.execute([Order("S0", "buy", 1.0, "entry")])


def test_a_settled_book_has_no_pending_entry() -> None:
    """Filled or void: an entry lives for one open."""
    book = book_of(2.0, 3.0)
    bar = bar_of((100, 101, 99, 100), (np.nan, 101, 99, 100))
    after = settle(book, bar, BROKER.fills(book, bar, Limits(), FREE), Limits())
    assert not after.positions[:, a.PENDING].any()
    assert after.frame()["quantity"].to_dict() == {"S0": 2.0}


# --- bar by bar and compiled ---------------------------------------------------------------------

WORLDS = [
    Rough(seed, 1 + seed % 4, ("6h", "12h", "1d")[seed % 3], 0.01 * (seed % 3), 0.02 * (seed % 5),
          0.05 * (seed % 2), 0.003 * (seed % 4 == 3), (0.004, 0.015, 0.04)[seed % 3],
          (0.0, 0.3, 0.9)[seed % 3])
    for seed in range(24 if COMPILED else 6)
]  # fmt: skip
RULES = [(Limits(), Costs()), (LOOSE, DEAR), (LOOSE._replace(one_per_cluster=True), FREE)]


def bars_of(panel: Panel, limits: Limits) -> list[Bar]:
    """Every bar of the panel as `gate` wants it, from the same facts as the replay's."""
    facts = daily_facts(panel.close.to_numpy(), panel.volume.to_numpy(), panel.open_days)
    market, near = market_array(panel, facts), too_close(facts.rho, limits)
    return [
        Bar(time, int(number), int(day), market[[t]], near[[day - facts.first_day]])
        for t, (time, number, day) in enumerate(
            zip(panel.index, panel.bar_numbers, panel.days, strict=True)
        )
    ]


@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: f"seed {world.seed}")
def test_bar_by_bar_is_the_compiled_replay(world: Rough) -> None:
    """Every fill, equity, fate, and the last book to the last bit, in markets full of holes."""
    limits, costs = RULES[world.seed % len(RULES)]
    panel = rough_panel(world)
    proposal = random_proposal(panel, world.seed, density=0.5, broken=0.05)
    claims = claims_array(panel, proposal)
    book, fills, equity = Book.start(panel.symbols, 10_000.0, panel.index[0]), [], []
    fates = np.full(panel.close.shape, -1)
    for t, bar in enumerate(bars_of(panel, limits)):
        done = BROKER.fills(book, bar, limits, costs)
        fills += done
        book = settle(book, bar, done, limits)
        ruling = gate(book, bar, Proposal(*claims[t].T), limits, costs)
        book = ruling.book
        equity.append(book.equity)
        for symbol, reason in ruling.reasons.items():
            fates[t, panel.symbols.index(symbol)] = reason
    whole = replay(panel, proposal, limits, costs)
    assert fills == [Fill(*row) for row in whole.fills.itertuples(index=False, name=None)], world
    assert np.array(equity).tobytes() == whole.equity.to_numpy().tobytes(), world
    assert np.array_equal(fates, whole.fates.to_numpy()), world
    assert book.positions.tobytes() == whole.book.positions.tobytes(), world
    assert book.account.tobytes() == whole.book.account.tobytes(), world


@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")
def test_the_worlds_are_busy() -> None:
    reasons: set[str] = set()
    for world in WORLDS:
        panel = rough_panel(world)
        proposal = random_proposal(panel, world.seed, density=0.5, broken=0.05)
        whole = replay(panel, proposal, *RULES[world.seed % len(RULES)])
        reasons |= set(whole.fills["reason"])
    assert reasons == set(a.WHY_NAMES)


@pytest.mark.parametrize("until", [1, 5, 200, 272])
def test_the_bar_of_a_snapshot_is_the_bar_of_the_replay(until: int) -> None:
    """With all history, and with no more than the bars of the last 62 days."""
    panel = rough_panel(Rough(7, missing=0.02, unusable=0.01))
    expected = bars_of(panel.rows(0, until), Limits())[-1]
    seen = panel.rows(0, until)
    day = int(seen.days[-1])
    for part in (seen, seen.rows(int(np.searchsorted(seen.open_days, day - 62)), until)):
        snapshot = Snapshot(seen.close_times[-1], part)
        bar = close_of(snapshot, Limits())
        assert (bar.time, bar.number, bar.day) == (expected.time, expected.number, expected.day)
        assert bar.market.tobytes() == expected.market.tobytes()
        assert bar.too_close.tobytes() == expected.too_close.tobytes()


def test_a_copy_of_a_book_shares_nothing() -> None:
    book = book_of(1.0)
    copied = replace(book.copy())
    copied.positions[0, a.PENDING] = 9.0
    copied.account[a.CASH] = 0.0
    assert book.positions[0, a.PENDING] == 1.0
    assert book.cash == 10_000.0
