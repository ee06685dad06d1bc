"""The gate under attack: what holds for every book, market, proposal and verdict there can be.

Two kinds of attack. At one close: books, bars, claims, limits and verdicts drawn cell by cell, any
float included, and the question is what `gate` lets in. Over a whole replay: rough markets from a
seed, and the question is whether an account kept here, from the fills alone, agrees.

Examples are the same in every run. A failure prints the world, its seed among its numbers.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from tests.proposals import random_proposal
from tests.rough import COMPILED, UNUSABLE, Rough, rough_panel
from workbench import arrays as a
from workbench.cycle import gate, hear, multipliers, settle
from workbench.domain import (
    Bar,
    Book,
    Case,
    Costs,
    Decision,
    Fill,
    Limits,
    Panel,
    Proposal,
    Reason,
    Ruling,
    Signal,
    Verdict,
)
from workbench.execution.bar_broker import BarBroker
from workbench.judges.case import case_hash
from workbench.research.replay import Replay, replay
from workbench.strategies.vote import propose

# numbers at the end of the range overflow in plain Python with a warning, compiled without one
pytestmark = pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")


def deep(examples: int, compiled: bool = False) -> Any:
    """Settings of an attack: always the same examples, as many as it takes."""
    fewer = examples if COMPILED or not compiled else examples // 8
    return settings(
        max_examples=fewer, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
NOW = pd.Timestamp("2024-03-01 11:00", tz="UTC")
TODAY = 19_783
NUMBER = 474_803
SLACK = 1e-9

# --- what may be drawn ---------------------------------------------------------------------------

shares = st.floats(0.0, 1.0)
any_float = st.one_of(
    st.floats(),
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, -5e-324, 1e308, -1e308]),
)
seeds = st.integers(0, 2**32 - 1)
EXTREME = (5e-324, 1e-306, 1e-9, 1e12, 1e150, 1.7e308)
NO_VOLUME = (math.nan, 0.0, -0.0, -1.0, -math.inf)  # an infinite one has a test of its own
ODD = (math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, -5e-324, 2.0, 100.0, 101.0, -1.0, 1e308)
limits_of = st.builds(
    Limits,
    max_position=st.one_of(st.just(0.05), st.floats(1e-6, 1.0)),
    max_deployed=st.one_of(st.just(0.2), shares),
    stop=st.floats(1e-4, 0.9),
    take_profit=st.one_of(st.floats(1e-4, 2.0), st.just(0.03), st.just(math.inf)),
    take_profit_share=st.one_of(st.just(1.0), st.floats(1e-3, 1.0)),
    trail=st.floats(1e-4, 0.9),
    max_correlation=shares,
    daily_drawdown=st.floats(1e-4, 0.9),
    max_stopouts_per_day=st.sampled_from([0, 1, 3, math.inf]),
    cooldown_bars=st.sampled_from([0, 1, 3, 2.5, math.inf]),
    max_entries_per_day=st.sampled_from([0, 1, 2, 12, math.inf]),
    one_per_cluster=st.booleans(),
    p_full=st.one_of(st.just(0.65), st.floats(0.01, 1.0)),
    min_notional=st.sampled_from([0.0, 0.0, 0.0, 10.0, 1e9]),
    allow_short=st.booleans(),
    approval_above=st.just(500.0),
)
costs_of = st.builds(
    Costs,
    half_spread=st.one_of(st.just(0.0002), st.floats(0.0, 0.003), st.floats(0.0, 0.5)),
    impact=st.one_of(st.just(0.0), st.floats(0.0, 100.0)),
    taker_fee=st.one_of(st.just(0.001), st.floats(0.0, 0.003), st.floats(0.0, 0.5)),
    maker_fee=st.floats(0.0, 0.5),
    step=st.one_of(st.none(), st.sampled_from([1e-6, 0.001, 0.5, 1.0, 1e3]), st.floats(0.0, 10.0)),
    max_participation=st.sampled_from([math.inf, math.inf, 0.0, 1e-6, 0.01, 1.0]),
)
# limits and costs under which entries do happen
OPEN_HANDED = Limits(
    max_position=0.3, max_deployed=0.7, max_stopouts_per_day=99, max_entries_per_day=99,
    allow_short=True, daily_drawdown=0.9,
)  # fmt: skip
THRIFTY = Limits(max_deployed=0.05, max_correlation=1.0)
loose_limits = st.one_of(st.just(OPEN_HANDED), st.just(Limits(allow_short=True)), limits_of)
loose_costs = st.one_of(st.just(Costs()), costs_of)


@dataclass(frozen=True)
class Close:
    """One close: a book, a bar, what is wanted, and the rules."""

    book: Book
    bar: Bar
    claims: np.ndarray
    limits: Limits
    costs: Costs

    def proposal(self) -> Proposal:
        return Proposal(*(self.claims[:, k].copy() for k in range(a.CLAIM_COLUMNS)))

    def gate(self) -> Ruling:
        return gate(self.book, self.bar, self.proposal(), self.limits, self.costs)

    def notionals(self) -> np.ndarray:
        """What each symbol's accepted entry is worth at the close; 0 where there is none."""
        close = self.bar.market[0, :, a.CLOSE]
        quantity = np.abs(self.gate().book.positions[:, a.PENDING])
        return np.where(quantity > 0.0, quantity * close, 0.0)

    def alone(self, i: int) -> float:
        """What symbol i would get if nobody else wanted anything."""
        claims = self.claims.copy()
        claims[[k for k in range(len(claims)) if k != i], a.WANT] = 0.0
        return float(replace(self, claims=claims).notionals()[i])

    def having(self, i: int, column: int, value: float) -> Close:
        """The same close with one cell of the proposal replaced."""
        claims = self.claims.copy()
        claims[i, column] = value
        return replace(self, claims=claims)

    def equity(self) -> float:
        return float(self.gate().book.account[a.EQUITY])

    def slack(self, i: int) -> float:
        """A clamp starts 1e-9 of equity above the room; a quantity may round to the next step."""
        worth = abs(self.equity()), abs(self.costs.step * self.bar.market[0, i, a.CLOSE])
        return 1.001 * SLACK * sum(part for part in worth if math.isfinite(part))


def close_from(seed: int, n: int, held: str, rough: bool, limits: Limits, costs: Costs) -> Close:
    """A close from a seed; `held`: "some" (the first at least), "none" or "any" positions.

    Among the claims any float there is; in a rough market too, the tiny and the huge included.
    """
    rng = np.random.default_rng(seed)

    book = Book.start(SYMBOLS[:n], float(np.exp(rng.uniform(0.0, 16.0))), NOW)

    def often(share: float) -> bool:
        return bool(rng.random() < share)

    def one_of(values: Any) -> float:
        return float(values[rng.integers(len(values))])

    def price() -> float:
        if rough and often(0.15):
            return one_of(UNUSABLE) if often(0.7) else one_of(EXTREME)
        return float(np.exp(rng.uniform(-4.0, 11.0)))

    def volume(usual: float) -> float:
        if rough and often(0.15):
            return one_of(NO_VOLUME) if often(0.7) else one_of(EXTREME)
        return book.cash / usual * float(np.exp(rng.uniform(-4.0, 15.0)))

    def odd(usual: float) -> float:
        if often(0.8):
            return usual
        return (
            one_of(ODD) if often(0.8) else float(rng.integers(2**64, dtype=np.uint64).view(float))
        )

    market, claims = np.empty((1, n, a.MARKET_COLUMNS)), np.empty((n, a.CLAIM_COLUMNS))
    for i in range(n):
        close = price()
        mark = close if a.usable(close) else float(rng.uniform(1.0, 1e4))
        market[0, i] = [
            price(), price(), price(), close, volume(mark),
            rng.uniform(0.0, 0.2), rng.uniform(0.0, 1e9), mark,
        ]  # fmt: skip
        claims[i] = [
            odd(one_of([1.0, 1.0, -1.0, 0.0])), odd(rng.uniform(40.0, 100.0)),
            odd(one_of([1.0, 0.5, rng.random()])), odd(one_of([0.0, 0.0, 1.0])),
        ]  # fmt: skip
        if (held == "some" and i == 0) or (held != "none" and often(0.25)):
            entry = mark * float(np.exp(rng.normal(0.0, 0.1)))
            book.positions[i, : a.FREE_FROM] = [
                one_of([1.0, -1.0]), book.cash * rng.uniform(0.001, 0.3) / mark, entry,
                entry * rng.uniform(0.5, 2.0), one_of([0.0, 1.0]), one_of([0.0, 0.0, 1.0]),
            ]  # fmt: skip
        else:
            book.positions[i, a.FREE_FROM] = one_of(
                [0.0, 0.0, 0.0, NUMBER, NUMBER + 1, NUMBER + 9, math.inf]
            )
    book.account[a.DAY] = one_of([TODAY, TODAY, TODAY - 1])
    book.account[a.BASELINE] = book.cash * rng.uniform(0.7, 1.02)
    book.account[a.STOPOUTS] = one_of([0.0, 0.0, 0.0, 0.0, 1.0, 3.0])
    book.account[a.ENTRIES] = one_of([0.0, 0.0, 0.0, 0.0, 1.0, 11.0, 12.0])
    near = np.triu(rng.random((n, n)) < one_of([0.0, 0.0, 0.2, 0.6]))
    near = near | near.T | np.eye(n, dtype=bool)
    close = Close(book, Bar(NOW, NUMBER, TODAY, market, near[None]), claims, limits, costs)
    return greedy(close, rng) if rng.random() < 0.3 else close


def greedy(close: Close, rng: np.random.Generator) -> Close:
    """Nothing in the way but the room, which ends by a hair or by much before whole positions."""
    book, n = close.book, len(close.claims)
    book.account[[a.STOPOUTS, a.ENTRIES]] = 0.0
    book.account[a.BASELINE] = book.cash * 0.5
    close.bar.too_close[:] = False
    claims = np.column_stack(
        [rng.choice([1.0, -1.0], n), rng.uniform(60.0, 100.0, n), np.ones(n), np.zeros(n)]
    )
    whole = rng.integers(1, n + 1) * close.limits.max_position
    room = min(whole * (1.0 - 10.0 ** rng.uniform(-9.0, 0.0)), 1.0)
    limits = close.limits._replace(
        max_deployed=room, max_stopouts_per_day=9, max_entries_per_day=9, allow_short=True
    )
    costs = close.costs
    traded = float(close.bar.market[0, 0, a.MARK] * close.bar.market[0, 0, a.VOLUME])
    if rng.random() < 0.3 and a.usable(traded):  # or the volume, of the first symbol at least
        share = close.limits.max_position * book.cash / traded * rng.uniform(0.3, 2.0)
        costs = costs._replace(max_participation=share)
    return replace(close, claims=claims, limits=limits, costs=costs)


def closes(held: str = "any") -> st.SearchStrategy[Close]:
    return st.builds(
        close_from, seed=seeds, n=st.integers(1, 4), held=st.just(held), rough=st.booleans(),
        limits=loose_limits, costs=loose_costs,
    )  # fmt: skip


def entries(ruling: Ruling) -> list[str]:
    return [order.symbol for order in ruling.orders if order.kind == "entry"]


def told(close: Close) -> None:
    """Let the statistics show that the attack meets every reason."""
    for reason in close.gate().reasons.values():
        event(reason.name)


# --- 1: the caps ---------------------------------------------------------------------------------


@deep(600)
@given(closes())
def test_no_entry_is_above_the_caps(close: Close) -> None:
    told(close)
    equity = close.equity()
    wanted = close.notionals()
    assert (wanted >= 0.0).all()
    assert np.isfinite(wanted).all()
    if not wanted.any():
        return
    assert 0.0 < equity < math.inf
    assert (wanted <= close.limits.max_position * equity * (1 + SLACK)).all()
    held = close.book.positions[:, a.QUANTITY] * close.bar.market[0, :, a.MARK]
    total = held[close.book.positions[:, a.SIDE] != 0].sum() + wanted.sum()
    rounding = SLACK * close.costs.step * close.bar.market[0, :, a.CLOSE][wanted > 0].sum()
    assert total <= close.limits.max_deployed * equity + SLACK * equity * 1.001 + rounding
    quantity = np.abs(close.gate().book.positions[:, a.PENDING])
    most = close.costs.max_participation * close.bar.market[0, :, a.VOLUME]
    taken = quantity > 0.0
    assert (quantity[taken] <= most[taken] * (1 + SLACK)).all()


@deep(300)
@given(closes())
def test_every_entry_kept_every_rule(close: Close) -> None:
    """What was let in is claimed, fresh, flat, rested, allowed, a stranger, and large enough."""
    ruling = close.gate()
    market, before = close.bar.market[0], close.book.positions
    taken = [close.book.symbols.index(symbol) for symbol in entries(ruling)]
    for i in taken:
        want, quantity = close.claims[i, a.WANT], ruling.book.positions[i, a.PENDING]
        assert want in (1.0, -1.0)
        assert np.sign(quantity) == want
        assert want == 1.0 or close.limits.allow_short
        assert a.usable(market[i, a.CLOSE])
        assert market[i, a.VOLUME] > 0.0
        assert before[i, a.SIDE] == 0.0
        assert before[i, a.FREE_FROM] <= NUMBER
        assert abs(quantity) * market[i, a.CLOSE] >= close.limits.min_notional
        others = [j for j in range(len(before)) if j != i and (before[j, a.SIDE] or j in taken)]
        assert not close.bar.too_close[0, i, others].any()
    assert ruling.book.account[a.ENTRIES] <= max(
        close.limits.max_entries_per_day, close.book.account[a.ENTRIES]
    )


@deep(300)
@given(closes())
def test_every_claim_has_one_reason_and_every_entry_one_order(close: Close) -> None:
    ruling = close.gate()
    claims = {
        s for s, want in zip(close.book.symbols, close.claims[:, a.WANT], strict=True)
        if want in (1.0, -1.0)
    }  # fmt: skip
    assert set(ruling.reasons) == claims
    accepted = {s for s, r in ruling.reasons.items() if r in (Reason.ACCEPTED, Reason.CLAMPED)}
    assert accepted == set(entries(ruling))
    counts = ruling.book.account[a.BLOCKS :] - close.book.account[a.BLOCKS :]
    assert Counter(ruling.reasons.values()) == Counter(
        {Reason(k): int(n) for k, n in enumerate(counts) if n}
    )
    day = close.book.account[a.ENTRIES] if close.book.account[a.DAY] == TODAY else 0.0
    assert ruling.book.account[a.ENTRIES] == day + len(accepted)


# --- 2: broken input -----------------------------------------------------------------------------

NOT_A_SIDE = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 2.0, -2.0, 0.5, 1.0000000000000002]),
    st.floats().filter(lambda x: x not in (1.0, -1.0)),
)
NOT_A_CONFIDENCE = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, -5e-324, 100.00000000000001, 1e300]),
    st.floats(max_value=-5e-324), st.floats(min_value=100.00000000000001),
)  # fmt: skip
NOT_A_MULTIPLIER = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, -5e-324, 1.0000000000000002, 100.0]),
    st.floats(max_value=-5e-324), st.floats(min_value=1.0000000000000002),
)  # fmt: skip
BROKEN = st.one_of(
    st.tuples(st.just(a.WANT), NOT_A_SIDE),
    st.tuples(st.just(a.CONFIDENCE), NOT_A_CONFIDENCE),
    st.tuples(st.just(a.MULTIPLIER), NOT_A_MULTIPLIER),
)


@deep(600)
@given(closes(), st.integers(0, 3), BROKEN)
def test_a_broken_cell_of_the_proposal_makes_no_entry_larger(
    whole: Close, which: int, damage: tuple[int, float]
) -> None:
    """Its own entry is gone; room that it leaves may go to others, never beyond what is theirs.

    An entry that another claim kept out or clamped may have the room now, but nobody gets more
    than if nobody else had asked in the unbroken proposal.
    """
    i = which % len(whole.claims)
    broken = whole.having(i, *damage)
    before, after = whole.notionals(), broken.notionals()
    assert after[i] == 0.0
    assert after[i] <= before[i]
    for j in np.flatnonzero(after > before):
        assert after[j] <= whole.alone(int(j)) + whole.slack(int(j))


@deep(300)
@given(closes(), st.integers(0, 3), any_float)
def test_what_stands_in_exit_changes_no_entry(whole: Close, which: int, value: float) -> None:
    changed = whole.having(which % len(whole.claims), a.EXIT, value)
    assert np.array_equal(whole.notionals(), changed.notionals())


@deep(500)
@given(closes(), st.integers(0, 3), st.sampled_from([a.CLOSE, a.VOLUME]), st.sampled_from(UNUSABLE))
def test_a_broken_cell_of_the_market_makes_no_entry_larger(
    whole: Close, which: int, column: int, value: float
) -> None:
    """Broken for a symbol that is held it stops all entries, for another one its own."""
    assume(not (column == a.VOLUME and value == math.inf))
    i = which % len(whole.claims)
    market = whole.bar.market.copy()
    market[0, i, column] = value
    broken = replace(whole, bar=replace(whole.bar, market=market))
    before, after = whole.notionals(), broken.notionals()
    assert after[i] == 0.0
    if whole.book.positions[i, a.SIDE] != 0.0:
        assert not after.any()
    for j in np.flatnonzero(after > before):
        assert after[j] <= whole.alone(int(j)) + whole.slack(int(j))


@pytest.mark.parametrize("share", [0.0, 1e-6])
def test_an_infinite_volume_makes_no_entry_larger(share: float) -> None:
    costs = Costs(max_participation=share)
    market = np.array([[[100.0, 100.0, 100.0, 100.0, 1e6, 0.0, 0.0, 100.0]]])
    bar = Bar(NOW, NUMBER, TODAY, market, np.ones((1, 1, 1), bool))
    book = Book.start(SYMBOLS[:1], 10_000.0, NOW)
    whole = Close(book, bar, np.array([[1.0, 90.0, 1.0, 0.0]]), Limits(), costs)
    endless = market.copy()
    endless[0, 0, a.VOLUME] = math.inf
    broken = replace(whole, bar=replace(bar, market=endless))
    assert broken.notionals()[0] <= whole.notionals()[0]


@deep(300)
@given(closes())
def test_claims_only_take_room_from_each_other(close: Close) -> None:
    for i, notional in enumerate(close.notionals()):
        assert notional <= close.alone(i) + close.slack(i)


# --- 3: the judge --------------------------------------------------------------------------------


def case_of(symbol: str, side: int) -> Case:
    return Case(NOW, symbol, side, (), "trending", {}, (), ())


def verdict(decision: Any, hash: str, confidence: float = 50.0) -> Verdict:
    return Verdict(decision, confidence, "", "a judge", hash)


garbage = st.one_of(
    st.sampled_from(
        ["proceed", "PROCEED ", "PROCEED!", "YES", "", "REDUCE\n", "skip", "Decision.PROCEED", None,
         True, 1, 1.0, 2.0, math.inf, math.nan, ("PROCEED",), b"PROCEED"]
    ),
    st.text(), st.integers(), st.floats(),
)  # fmt: skip
decisions = st.one_of(st.sampled_from(Decision), st.sampled_from(["PROCEED", "SKIP"]), garbage)


@st.composite
def judgements(draw: st.DrawFn, cases: list[Case]) -> list[Verdict]:
    """Any answers to these cases: wrong, missing, twice, to cases nobody asked about."""
    hashes = [case_hash(case) for case in cases]
    hash_ = st.one_of(
        st.sampled_from(hashes), st.sampled_from([hashes[0].upper(), hashes[0][:-1], "", "AAA"]),
        st.text(),
    )  # fmt: skip
    answers = st.builds(verdict, decisions, hash_, any_float)
    return draw(st.lists(answers, max_size=2 * len(cases)))


reduces = st.one_of(st.just(0.5), st.floats(0.01, 0.99))


def left_by(cases: list[Case], said: list[Verdict], reduce: float) -> dict[str, float]:
    """What a judge that says this leaves of each symbol, as the page works it out."""
    desk: Any = SimpleNamespace(reduce=reduce, limits=Limits(), costs=Costs())
    judged = hear(lambda _: said, cases, reduce)
    return multipliers(judged, {case.symbol: (case.side, 60.0) for case in cases}, desk)


@deep(300)
@given(st.data(), st.integers(1, 4), reduces)
def test_no_answer_gives_more_than_proceed(data: st.DataObject, n: int, reduce: float) -> None:
    cases = [case_of(symbol, 1) for symbol in SYMBOLS[:n]]
    answers = data.draw(judgements(cases))
    judged = left_by(cases, answers, reduce)
    best = left_by(cases, [verdict(Decision.PROCEED, case_hash(c)) for c in cases], reduce)
    assert best == dict.fromkeys(SYMBOLS[:n], 1.0)
    assert set(judged) == set(best)
    assert all(keep in (0.0, reduce, 1.0) for keep in judged.values())
    known = {case_hash(c): c.symbol for c in cases}
    for symbol in SYMBOLS[:n]:
        said = [v.decision for v in answers if known.get(v.case_hash) == symbol]
        if any(word not in ("PROCEED", "REDUCE") for word in said):
            assert judged[symbol] == 0.0  # one word that is none of ours is a no
        if not said:
            assert judged[symbol] == 0.0


@deep(300)
@given(st.data(), closes(), reduces)
def test_a_judge_can_only_shrink(data: st.DataObject, close: Close, reduce: float) -> None:
    """Through the whole way: verdicts, multipliers, proposal, gate."""
    symbols = close.book.symbols
    signals = [
        Signal("voter", "trend", symbol, int(want), confidence)
        for symbol, (want, confidence, *_) in zip(symbols, close.claims, strict=True)
        if want in (1.0, -1.0)
    ]
    assume(signals)
    cases = [case_of(signal.symbol, signal.side) for signal in signals]
    regime = np.array(data.draw(st.lists(
        st.sampled_from([1.0, 2.0, 3.0]), min_size=len(symbols), max_size=len(symbols)
    )))  # fmt: skip

    def asked(answers: list[Verdict]) -> Close:
        proposal = propose(signals, left_by(cases, answers, reduce), symbols, regime)
        return replace(close, claims=proposal.claims())

    proceed = [verdict(Decision.PROCEED, case_hash(case)) for case in cases]
    best = asked(proceed)
    most = best.notionals()
    after = asked(data.draw(judgements(cases))).notionals()
    for j in np.flatnonzero(after):
        assert after[j] <= best.alone(int(j)) + best.slack(int(j))
    # one judgement among PROCEEDs: the others are as they were before it in the order of claims
    k = data.draw(st.integers(0, len(cases) - 1))
    i = symbols.index(cases[k].symbol)
    one = verdict(data.draw(decisions), case_hash(cases[k]))
    for answers in (
        [*proceed[:k], one, *proceed[k + 1 :]],
        [*proceed[:k], *proceed[k + 1 :]],
        [*proceed, one],
    ):
        assert asked(answers).notionals()[i] <= most[i] + best.slack(i)


@deep(300)
@given(closes(), st.integers(0, 3), shares, shares)
def test_a_smaller_multiplier_is_never_a_larger_entry(
    close: Close, which: int, one: float, other: float
) -> None:
    i = which % len(close.claims)
    small = close.having(i, a.MULTIPLIER, min(one, other))
    large = close.having(i, a.MULTIPLIER, max(one, other))
    assert small.notionals()[i] <= large.notionals()[i] + close.slack(i)


@deep(300)
@given(closes(), st.integers(0, 3), st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_less_confidence_is_never_a_larger_entry(
    close: Close, which: int, one: float, other: float
) -> None:
    """Less sure is later in the order of claims too, so the room can only be smaller."""
    i = which % len(close.claims)
    small = close.having(i, a.CONFIDENCE, min(one, other))
    large = close.having(i, a.CONFIDENCE, max(one, other))
    assert small.notionals()[i] <= large.notionals()[i] + close.slack(i)


# --- 4: pauses, and the way out ------------------------------------------------------------------


@deep(300)
@given(closes(), st.sampled_from(["halted", "tripped", "drawdown", "stopouts", "entries"]))
def test_nobody_enters_while_the_desk_is_paused(close: Close, why: str) -> None:
    book = close.book.copy()
    book.account[a.DAY] = TODAY
    limits = close.limits
    if why == "halted":
        book.account[a.HALTED] = 1.0
    elif why == "tripped":
        book.account[a.TRIPPED] = 1.0
    elif why == "drawdown":
        book.account[a.BASELINE] = close.equity() / (1.0 - limits.daily_drawdown) * 1.000001
    elif why == "stopouts":
        limits = limits._replace(max_stopouts_per_day=2)
        book.account[a.STOPOUTS] = 2.0
    else:
        limits = limits._replace(max_entries_per_day=2)
        book.account[a.ENTRIES] = 2.0
    assume(why != "drawdown" or close.equity() > 0.0)
    paused = replace(close, book=book, limits=limits)
    ruling = paused.gate()
    assert entries(ruling) == []
    assert not ruling.book.positions[:, a.PENDING].any()
    first = {"halted": Reason.HALTED, "tripped": Reason.DAILY_DRAWDOWN,
             "drawdown": Reason.DAILY_DRAWDOWN}.get(why)  # fmt: skip
    if first is not None:
        assert set(ruling.reasons.values()) <= {first}


@deep(300)
@given(closes("some"), st.booleans(), st.booleans())
def test_exits_are_asked_for_whatever_is_paused(close: Close, halted: bool, tripped: bool) -> None:
    """An exit wanted becomes an order, and an order already given stays one."""
    book = close.book.copy()
    book.account[a.HALTED], book.account[a.TRIPPED] = float(halted), float(tripped)
    ruling = replace(close, book=book).gate()
    leaving = {order.symbol for order in ruling.orders if order.kind == "exit"}
    held = book.positions[:, a.SIDE] != 0.0
    asked = (close.claims[:, a.EXIT] == 1.0) | (book.positions[:, a.EXIT_ASKED] == 1.0)
    assert leaving == {s for s, out in zip(book.symbols, held & asked, strict=True) if out}
    for order in ruling.orders:
        if order.kind == "exit":
            side = book.positions[book.symbols.index(order.symbol), a.SIDE]
            assert order == (order.symbol, "sell" if side > 0 else "buy", None, "exit")


@deep(300)
@given(closes("some"), st.sampled_from(["exit", "stop", "gap", "take_profit"]), st.booleans())
def test_exits_fill_whatever_is_paused(close: Close, way: str, halted: bool) -> None:
    book = close.book.copy()
    book.account[a.HALTED], book.account[a.TRIPPED] = float(halted), float(not halted)
    limits = close.limits._replace(take_profit=0.03)
    side, entry = book.positions[0, a.SIDE], book.positions[0, a.ENTRY]
    assume(book.positions[0, a.QUANTITY] > 0.0)
    book.positions[0, [a.HIGH_WATER, a.RUNG, a.EXIT_ASKED]] = entry, 0.0, float(way == "exit")
    bar = replace(close.bar, market=close.bar.market.copy())
    bad = entry * (1.0 - side * limits.stop * 1.001)
    good = entry * (1.0 + side * 0.0301)
    open_ = bad if way == "gap" else entry
    worst, best = (bad if way in ("gap", "stop") else entry), good
    assume(a.usable(bad))
    low, high = (worst, best) if side > 0 else (best, worst)
    bar.market[0, 0, :4] = [open_, low, high, entry]
    bar.market[0, 0, [a.LOW, a.HIGH]] = low, high
    fills = BarBroker().fills(book, bar, limits, Costs(impact=0.0))
    expected = {"gap": "stop"}.get(way, way)
    assert [f.reason for f in fills if f.symbol == "AAA"] == [expected]


# --- 7 and 8: nothing is changed behind one's back, and no entry without a sound equity -----------


def bytes_of(book: Book, bar: Bar, proposal: Proposal | None = None) -> list[bytes]:
    parts = [book.positions, book.account, bar.market, bar.too_close]
    if proposal is not None:
        parts += [proposal.side, proposal.confidence, proposal.multiplier, proposal.exit]
    return [np.asarray(part).tobytes() for part in parts]


@deep(300)
@given(closes())
def test_the_gate_leaves_what_it_is_given_alone(close: Close) -> None:
    proposal = close.proposal()
    before = bytes_of(close.book, close.bar, proposal)
    ruling = gate(close.book, close.bar, proposal, close.limits, close.costs)
    assert bytes_of(close.book, close.bar, proposal) == before
    assert not np.shares_memory(ruling.book.positions, close.book.positions)
    assert not np.shares_memory(ruling.book.account, close.book.account)
    again = gate(close.book, close.bar, proposal, close.limits, close.costs)
    assert bytes_of(again.book, close.bar) == bytes_of(ruling.book, close.bar)
    assert (again.orders, again.reasons) == (ruling.orders, ruling.reasons)


@deep(300)
@given(closes(), any_float, st.sampled_from(a.WHY_NAMES))
def test_settling_leaves_what_it_is_given_alone(close: Close, price: float, why: str) -> None:
    before = bytes_of(close.book, close.bar)
    fill = Fill(NOW, "AAA", "buy", 1.0, price, 0.1, why)
    after = settle(close.book, close.bar, [fill], close.limits)
    assert bytes_of(close.book, close.bar) == before
    assert not np.shares_memory(after.positions, close.book.positions)
    assert not np.shares_memory(after.account, close.book.account)


@deep(300)
@given(
    closes(),
    st.one_of(st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, -1e-9]),
              st.floats(max_value=0.0)),
    any_float,
    st.booleans(),
)  # fmt: skip
def test_no_sound_equity_no_entry(close: Close, cash: float, baseline: float, new: bool) -> None:
    """NaN, infinite, zero or negative, whatever the day started from, today or at midnight."""
    book = close.book.copy()
    book.positions[:, : a.FREE_FROM] = 0.0
    book.account[[a.CASH, a.EQUITY]] = cash
    book.account[a.BASELINE] = baseline
    book.account[a.DAY] = TODAY - new
    assert entries(replace(close, book=book).gate()) == []


@pytest.mark.parametrize(
    ("cash", "baseline"),
    [(math.inf, 10_000.0), (-90.0, -100.0), (0.0, -1.0)],
)
def test_an_equity_above_the_floor_must_still_be_one(cash: float, baseline: float) -> None:
    """What the breaker lets through because the day began lower still, the room does not."""
    book = Book.start(SYMBOLS[:1], 1.0, NOW)
    book.account[[a.CASH, a.BASELINE, a.DAY]] = cash, baseline, TODAY
    market = np.array([[[100.0, 100.0, 100.0, 100.0, 1e6, 0.0, 0.0, 100.0]]])
    bar = Bar(NOW, NUMBER, TODAY, market, np.ones((1, 1, 1), bool))
    ruling = Close(book, bar, np.array([[1.0, 90.0, 1.0, 0.0]]), Limits(), Costs()).gate()
    assert ruling.reasons == {"AAA": Reason.MAX_DEPLOYED}
    assert entries(ruling) == []


def test_an_equity_that_is_no_number_trips_the_day() -> None:
    """As a drawdown would: no entry till the next UTC day, though the number comes back."""
    book = Book.start(SYMBOLS[:1], 10_000.0, NOW)
    book.account[[a.CASH, a.DAY]] = math.nan, TODAY
    market = np.array([[[100.0, 100.0, 100.0, 100.0, 1e6, 0.0, 0.0, 100.0]]])
    bar = Bar(NOW, NUMBER, TODAY, market, np.ones((1, 1, 1), bool))
    close = Close(book, bar, np.array([[1.0, 90.0, 1.0, 0.0]]), Limits(), Costs())
    ruling = close.gate()
    assert ruling.reasons == {"AAA": Reason.DAILY_DRAWDOWN}
    ruling.book.account[a.CASH] = 10_000.0
    again = replace(close, book=ruling.book).gate()
    assert again.reasons == {"AAA": Reason.DAILY_DRAWDOWN}
    tomorrow = replace(close, book=again.book, bar=replace(bar, day=TODAY + 1)).gate()
    assert tomorrow.reasons == {"AAA": Reason.ACCEPTED}


@deep(300)
@given(closes("some"), st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_position_without_a_worth_stops_all_entries(close: Close, worth: float) -> None:
    for column, at in ((a.MARK, close.bar.market[0]), (a.QUANTITY, close.book.positions)):
        kept = at[0, column]
        at[0, column] = worth
        assert entries(close.gate()) == []
        at[0, column] = kept


# --- 5 and 6: the account kept from the fills alone ----------------------------------------------


@st.composite
def runs(draw: st.DrawFn) -> tuple[Rough, float, Limits, Costs, float]:
    world = Rough(
        seed=draw(st.integers(0, 2**32 - 1)),
        symbols=draw(st.integers(1, 4)),
        timeframe=draw(st.sampled_from(["6h", "12h", "1d"] if COMPILED else ["12h", "1d"])),
        unusable=draw(st.sampled_from([0.0, 0.0, 0.003, 0.05])),
        missing=draw(st.sampled_from([0.0, 0.0, 0.01, 0.2])),
        quiet=draw(st.sampled_from([0.0, 0.01, 0.1])),
        fat_fingers=draw(st.sampled_from([0.0, 0.0, 0.0, 0.005])),
        volatility=draw(st.sampled_from([0.002, 0.015, 0.05])),
        kinship=draw(st.sampled_from([0.0, 0.3, 0.9])),
    )
    eager = draw(st.one_of(st.just(OPEN_HANDED), limits_of))
    density = draw(st.sampled_from([0.05, 0.5, 1.0]))
    return world, density, eager, draw(loose_costs), draw(st.sampled_from([10_000.0, 1.0, 1e9]))


@dataclass(frozen=True)
class Account:
    """Cash, quantities and worth at every close, from nothing but the fills and the panel."""

    result: Replay
    quantity: np.ndarray  # signed, bars x symbols, after the bar
    cash: np.ndarray
    turnover: np.ndarray
    marks: np.ndarray

    @classmethod
    def of(cls, result: Replay) -> Account:
        panel, fills = result.panel, result.fills
        sign = np.where(fills["side"] == "buy", 1.0, -1.0)
        paid = fills["quantity"].to_numpy() * fills["price"].to_numpy()
        fee = fills["fee"].to_numpy()
        rows = panel.index.get_indexer(pd.DatetimeIndex(fills["time"]))
        columns = [panel.symbols.index(s) for s in fills["symbol"]]
        moved = np.zeros(panel.close.shape)
        np.add.at(moved, (rows, columns), sign * fills["quantity"].to_numpy())
        flow, gross = np.zeros(len(panel)), np.zeros(len(panel))
        np.add.at(flow, rows, -sign * paid - fee)
        np.add.at(gross, rows, paid + fee)
        return cls(
            result, np.cumsum(moved, axis=0), result.capital + np.cumsum(flow),
            result.capital + np.cumsum(gross), last_known(panel),
        )  # fmt: skip

    def notional(self) -> np.ndarray:
        return np.nan_to_num(np.abs(self.quantity) * self.marks)


def last_known(panel: Panel) -> np.ndarray:
    close = panel.close.where((panel.close > 0) & np.isfinite(panel.close))
    return close.ffill().to_numpy()


def played(
    run: tuple[Rough, float, Limits, Costs, float],
) -> tuple[Panel, Replay, Limits, Costs]:
    world, density, limits, costs, capital = run
    panel = rough_panel(world)
    proposal = random_proposal(panel, world.seed, density, broken=0.02)
    return panel, replay(panel, proposal, limits, costs, capital), limits, costs


@deep(200, compiled=True)
@given(runs())
def test_equity_is_capital_and_fills_and_marked_positions(run: Any) -> None:
    """At every close, and so at the last."""
    _, result, _, _ = played(run)
    event(f"fills: {min(len(result.fills), 30) // 10 * 10}+")
    account = Account.of(result)
    worth = np.nan_to_num(account.quantity * account.marks)
    expected = account.cash + worth.sum(axis=1)
    scale = account.turnover + np.abs(worth).sum(axis=1) + np.max(np.abs(worth), initial=0.0)
    off = np.abs(result.equity.to_numpy() - expected) / scale
    assert off.max() <= 1e-9
    final = result.equity.iloc[-1]
    assert final == pytest.approx(result.book.equity, rel=1e-12)
    cash = result.capital + math.fsum(
        -(1 if f.side == "buy" else -1) * f.quantity * f.price - f.fee
        for f in result.fills.itertuples()
    )
    assert abs(result.book.cash - cash) <= 1e-9 * account.turnover[-1]


@deep(200, compiled=True)
@given(runs())
def test_no_position_outgrows_or_outlives_its_entry(run: Any) -> None:
    """Entry, at most one rung, at most one last exit: fills in that order, quantities that add up,
    the opposite side, and nothing of it left when the next entry comes."""
    panel, result, limits, _ = played(run)
    assert (result.fills["quantity"] >= 0.0).all()
    assert np.isfinite(result.fills[["quantity", "price", "fee"]].to_numpy()).all()
    assert (result.fills[["price", "fee"]] >= 0.0).all(axis=None)
    for symbol in panel.symbols:
        side, entered, left, taken = "", 0.0, 0.0, 0
        for fill in result.fills[result.fills["symbol"] == symbol].itertuples():
            if fill.reason == "entry":
                assert left == 0.0, "an entry into a position that is open"
                side, entered, left, taken = fill.side, fill.quantity, fill.quantity, 0
                assert entered > 0.0
                assert side == "buy" or limits.allow_short
                continue
            taken += 1
            assert entered > 0.0, "an exit of nothing"
            assert fill.side == ("sell" if side == "buy" else "buy")
            assert fill.quantity <= left
            if fill.reason == "take_profit":
                assert taken == 1, "the rung is the first exit"
                assert fill.quantity == limits.take_profit_share * entered
            else:
                assert fill.quantity == left, f"{fill.reason} leaves nothing behind"
            assert fill.reason != "trail" or taken == 2
            assert taken <= 2, "an entry has at most three fills"
            left = left - fill.quantity
            assert left >= 0.0
        row = result.book.positions[panel.symbols.index(symbol)]
        assert row[a.QUANTITY] == left
        assert row[a.SIDE] == (0.0 if left == 0.0 else 1.0 if side == "buy" else -1.0)


@deep(200, compiled=True)
@given(runs())
def test_every_entry_of_a_replay_is_below_the_caps_at_its_decision(run: Any) -> None:
    panel, result, limits, costs = played(run)
    account = Account.of(result)
    open_notional = account.notional().sum(axis=1)
    close = panel.close.to_numpy()
    accepted = np.zeros(len(panel))
    for fill in result.fills[result.fills["reason"] == "entry"].itertuples():
        t = panel.index.get_loc(fill.time) - 1
        j = panel.symbols.index(fill.symbol)
        fate = result.fates.iloc[t, j]
        assert fate in (Reason.ACCEPTED, Reason.CLAMPED)
        equity = result.equity.iloc[t]
        notional = fill.quantity * close[t, j]
        rounding = SLACK * costs.step * close[t, j]
        assert notional <= limits.max_position * equity * (1 + SLACK) + rounding
        assert notional >= limits.min_notional * (1 - SLACK)
        accepted[t] += notional + rounding
        # cumulated quantities carry rests of 1e-16 of what was ever held
        dust = 1e-9 * (equity + account.turnover[t])
        assert open_notional[t] + accepted[t] <= limits.max_deployed * equity + dust


@deep(150, compiled=True)
@given(runs())
def test_no_entry_in_a_replay_after_the_breaker_or_too_many(run: Any) -> None:
    """The day's counters recomputed from fills and fates, and nobody let in beyond them."""
    panel, result, limits, _ = played(run)
    fates = result.fates.to_numpy()
    let_in = np.isin(fates, (Reason.ACCEPTED, Reason.CLAMPED)).sum(axis=1)
    equity = result.equity.to_numpy()
    stops = result.fills[result.fills["reason"] == "stop"]["time"].value_counts()
    stopped = panel.index.map(stops).fillna(0).to_numpy()
    today, start, tripped, stopouts, entered = panel.open_days[0], result.capital, False, 0.0, 0
    for t, day in enumerate(panel.days):
        stopouts += stopped[t]
        if day != today:
            today, start, tripped, stopouts, entered = day, equity[t], False, 0.0, 0
        tripped = tripped or equity[t] <= start * (1 - limits.daily_drawdown)
        if tripped or stopouts >= limits.max_stopouts_per_day:
            assert let_in[t] == 0
        entered += let_in[t]
        assert entered <= limits.max_entries_per_day


def test_the_attack_is_no_sham() -> None:
    """Among the rough worlds of the replays all ways out and nearly all reasons occur."""
    reasons: set[str] = set()
    ways: set[str] = set()
    for seed in range(12):
        world = Rough(seed, symbols=4, timeframe="12h", missing=0.01, unusable=0.003, quiet=0.01,
                      volatility=(0.005, 0.02, 0.05)[seed % 3])  # fmt: skip
        limits = (
            OPEN_HANDED,
            THRIFTY,
            Limits(allow_short=True, min_notional=300.0),
        )[seed % 3]
        _, result, _, _ = played((world, 0.5, limits, Costs(), 10_000.0))
        reasons |= set(result.blocks[result.blocks > 0].index)
        ways |= set(result.fills["reason"])
    assert ways == set(a.WHY_NAMES)
    never = {reason.name for reason in Reason} - reasons
    assert never <= {"ACCEPTED", "HALTED", "MAX_STOPOUTS", "MAX_ENTRIES"}
