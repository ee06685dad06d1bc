"""Whatever a model answers, it can only take risk away; and nobody who wants out waits for it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.judges import AS_OF
from tests.judges.judging import BTC, TERMS, USAGE, VOTES, worded
from tests.judges.model_server import GOOD
from tests.rough import COMPILED
from workbench import arrays as a
from workbench.calibration import Calibration, Curve
from workbench.cycle import cycle, gate, hear, leaving, multipliers
from workbench.domain import (
    Bar,
    Book,
    Case,
    Costs,
    Cycle,
    Decision,
    Judgement,
    Limits,
    Order,
    Panel,
    Proposal,
    Signal,
    Snapshot,
    Verdict,
)
from workbench.execution.bar_broker import BarBroker
from workbench.judges.asking import Reply
from workbench.judges.case import case_hash
from workbench.judges.provider import Code, Said
from workbench.judges.verdicts import keyed, verdict
from workbench.strategies.vote import propose

# --- 100,000 outputs -----------------------------------------------------------------------------

OUTPUTS, A_TIME = 100_000 if COMPILED else 10_000, 500  # fewer while coverage is measured
words = st.text(max_size=30) | st.sampled_from(["PROCEED", "SKIP", "proceed", "", "2.0", "inf"])
WORDS = ("PROCEED", "SKIP", "REDUCE", "proceed", "", "2.0", "inf", "\u202ePROCEED", "null", "é\x00")
AROUND = ("```json\n{}\n```", "{}{}", " {} ", "x {}")


def value(rng: Random, depth: int = 2) -> Any:
    """Any JSON value."""
    match rng.randrange(9 if depth else 7):
        case 0 | 1:
            return rng.choice(WORDS)
        case 2:
            return rng.choice((True, False, None))
        case 3 | 4:
            return rng.choice((0, 1, 50, 100, 101, -1, 2**70, rng.randrange(101)))
        case 5 | 6:
            return rng.choice((0.5, 61.0, 1e308, math.nan, math.inf, -math.inf))
        case 7:
            return [value(rng, depth - 1) for _ in range(rng.randrange(3))]
    return {rng.choice(WORDS): value(rng, depth - 1) for _ in range(rng.randrange(3))}


def output(rng: Random) -> str:
    """Bytes, JSON, and good answers cut, pasted over, wrapped or changed in a place or two."""
    good = GOOD | {"decision": rng.choice(list(Decision)), "confidence": rng.randrange(101)}
    text = json.dumps(good)
    at = rng.randrange(len(text))
    match rng.randrange(8):
        case 0:
            return rng.randbytes(rng.randrange(60)).decode("utf-8", "replace")
        case 1:
            return json.dumps(value(rng))
        case 2:
            return text[:at] + rng.choice(WORDS)
        case 3:
            return text[:at] + rng.choice(WORDS) + text[at + rng.randrange(4) :]
        case 4:
            return rng.choice(AROUND).replace("{}", text)
        case 5:
            return text
    for _ in range(rng.randrange(1, 3)):
        good[rng.choice([*GOOD, "size", "side", "symbol", "stop"])] = value(rng)
    return json.dumps(good)


CODES = ("",) * 30 + tuple(code.value for code in Code)
curves = st.none() | st.builds(
    lambda n, p: Calibration((Curve(AS_OF - pd.Timedelta(days=1), "shrunk", n, 0, (50.0,), (p,)),)),
    st.integers(0, 500), st.floats(0.0, 1.0),
)  # fmt: skip
DESK: Any = SimpleNamespace(reduce=0.5, limits=Limits(), costs=Costs())
CASE = worded()
ASKED = keyed(TERMS, CASE)
WANTS = {BTC: (1, 60.0)}


@cache
def bar() -> Bar:
    market = np.full((1, 1, a.MARKET_COLUMNS), 100.0)
    market[0, 0, a.VOLUME], market[0, 0, a.SIGMA], market[0, 0, a.ADV] = 1e6, 0.02, 1e8
    return Bar(AS_OF, 474_000, 19_750, market, np.zeros((1, 1, 1), bool))


def ordered(judged: Sequence[Judgement]) -> Order | None:
    """What the gate orders of a desk that wants BTC, after these verdicts."""
    book = Book.start((BTC,), 10_000.0, AS_OF)
    shares = multipliers(judged, WANTS, DESK)
    proposal: Proposal = propose(VOTES, shares, (BTC,), np.ones(1))
    orders = gate(book, bar(), proposal, DESK.limits, DESK.costs).orders
    assert len(orders) <= 1
    return orders[0] if orders else None


@cache
def without_a_judge() -> Order:
    order = ordered([Judgement(CASE, Verdict(Decision.PROCEED, 50.0, "", "", case_hash(CASE)))])
    assert order is not None
    return order


def harmless(judged: Sequence[Judgement]) -> bool:
    """Is there no order, or one that is no larger and otherwise the same?"""
    order, whole = ordered(judged), without_a_judge()
    if order is None:
        return True
    assert order.quantity is not None
    assert whole.quantity is not None
    return order._replace(quantity=whole.quantity) == whole and order.quantity <= whole.quantity


def reply(code: str, text: str) -> Reply:
    return Reply(code, "", Said(text, "end_turn", "m", "r", USAGE), 1, 240_000, 0.1)


@given(st.integers(0, 2**64), curves)
@settings(
    max_examples=OUTPUTS // (2 * A_TIME), derandomize=True, deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_of_100_000_outputs_none_makes_an_entry_larger_or_another(
    seed: int, curve: Calibration | None
) -> None:
    """Two outputs a case, one for each pass; side, symbol and kind stay as they were voted."""
    terms, rng = replace(TERMS, calibration=curve), Random(seed)
    for _ in range(A_TIME):
        replies = [reply(rng.choice(CODES), output(rng)) for _ in ASKED.keys]
        said = verdict(terms, ASKED, dict(zip(ASKED.keys.values(), replies, strict=True)))
        judged = hear(lambda _, said=said: [said], [CASE], 0.5)
        assert harmless(judged), replies
        assert said.decision == Decision.SKIP or not said.code


def test_some_of_these_outputs_are_answers_and_some_of_each_decision() -> None:
    """Or the figure above would be worth nothing."""
    rng, found = Random(1), Counter[str]()
    for _ in range(2_000):
        replies = [reply("", output(rng)) for _ in ASKED.keys]
        said = verdict(TERMS, ASKED, dict(zip(ASKED.keys.values(), replies, strict=True)))
        found[said.code or said.decision.value] += 1
    assert min(found[decision.value] for decision in Decision) >= 5
    assert found["INVALID"] >= 500


raised = st.sampled_from(
    [
        RuntimeError("x"),
        KeyError(),
        SystemExit(1),
        MemoryError(),
        RecursionError(),
        OSError(28, "full"),
    ]
)


@given(
    st.one_of(
        raised,
        st.none(),
        st.text(),
        st.lists(
            st.builds(
                Verdict, st.sampled_from(Decision) | words | st.none() | st.integers(),
                st.floats() | st.none() | words, words | st.none(), words,
                st.just(case_hash(CASE)) | words, chance=st.none() | st.floats() | words,
                code=words | st.none(), cost_usd=st.floats() | st.none(),
            ),
            max_size=3,
        ),
    )
)  # fmt: skip
@settings(max_examples=2_000, derandomize=True, deadline=None, database=None)
def test_nor_does_a_judge_that_raises_or_answers_anything_at_all(drawn: Any) -> None:
    def judge(cases: Sequence[Case]) -> list[Verdict]:
        if isinstance(drawn, BaseException):
            raise drawn
        return drawn

    judged = hear(judge, [CASE], 0.5)
    assert [case for case, _ in judged] == [CASE], "every case has a verdict"
    assert harmless(judged)


@pytest.mark.parametrize(
    ("chance", "share"),
    [(0.0, 0.0), (0.4, 0.0), (0.43, 0.0), (0.60, 1.0), (0.9, 1.0), (float("nan"), 0.0), (1.5, 0.0)],
)
def test_a_calibrated_chance_leaves_what_it_would_have_earned_itself(
    chance: float, share: float
) -> None:
    """The votes say 60: a chance of 60 % or more takes nothing, at break-even (46.8 % with 48 bps
    a round trip) and below it all; a chance that is none takes all."""
    said = Verdict(Decision.PROCEED, 50.0, "", "", case_hash(CASE), chance=chance, outcomes=120)
    assert multipliers([Judgement(CASE, said)], WANTS, DESK) == {BTC: pytest.approx(share)}


def test_between_them_the_size_is_that_of_the_smaller_chance() -> None:
    said = Verdict(Decision.PROCEED, 50.0, "", "", case_hash(CASE), chance=0.52, outcomes=120)
    alone = Verdict(Decision.PROCEED, 50.0, "", "", case_hash(CASE))
    book = Book.start((BTC,), 10_000.0, AS_OF)

    def quantity(confidence: float, verdict: Verdict) -> float:
        votes = (VOTES[0]._replace(confidence=confidence),)
        shares = multipliers([Judgement(CASE, verdict)], {BTC: (1, confidence)}, DESK)
        proposal = propose(votes, shares, (BTC,), np.ones(1))
        return float(gate(book, bar(), proposal, DESK.limits, DESK.costs).orders[0].quantity or 0)

    assert quantity(60.0, said) == pytest.approx(quantity(52.0, alone), rel=1e-9)


# --- exits ---------------------------------------------------------------------------------------


class Broker(BarBroker):
    """Remembers what it was sent, and how much of it before the judge was asked."""

    def __init__(self) -> None:
        self.__dict__["sent"] = []

    def execute(self, orders: Sequence[Order]) -> None:
        self.__dict__["sent"].extend(orders)


class Voter:
    """Wants out of one symbol and into another at every close."""

    name, trades, from_text = "voter", "spot", False

    def signals(self, snapshot: Snapshot) -> list[Signal]:
        return [
            Signal("voter", "trend", "A/USDT", 0, 0.0, exit=True),
            Signal("voter", "trend", "B/USDT", 1, 65.0),
        ]


@pytest.mark.parametrize("ill", [False, True])
def test_an_exit_is_sent_before_the_judge_is_asked(ill: bool) -> None:
    """A judge that takes its time, or dies, holds up nothing but the entries."""
    index = pd.date_range("2024-01-01", periods=100 * 24, freq="1h", tz="UTC")
    rng = np.random.default_rng(3)
    steps = np.exp(np.cumsum(0.01 * rng.standard_normal((len(index), 2)), axis=0))
    frame = pd.DataFrame(100.0 * steps, index, ["A/USDT", "B/USDT"])
    regime = frame * 0.0 + 1.0
    panel = Panel.from_frames(
        open=frame, high=frame * 1.001, low=frame * 0.999, close=frame, volume=frame * 1e4,
        context={"regime": regime},
    )  # fmt: skip
    book = Book.start(panel.symbols, 10_000.0, index[0])
    book.positions[0, [a.SIDE, a.QUANTITY, a.ENTRY]] = 1.0, 4.0, float(frame.iloc[-2, 0])
    broker, journal, before = Broker(), list[Cycle](), list[Order]()

    def judge(cases: Sequence[Case]) -> list[Verdict]:
        before.extend(broker.__dict__["sent"])
        if ill:
            raise TimeoutError("it never answered")
        return [Verdict(Decision.PROCEED, 50.0, "", "", case_hash(case)) for case in cases]

    desk: Any = SimpleNamespace(
        strategies=[Voter()], judge=judge, limits=Limits(), costs=Costs(), reduce=0.5, quorum=1,
        broker=broker, journal=journal,
    )  # fmt: skip
    cycle(book, Snapshot(panel.close_times[-1], panel), desk)
    out, entry = Order("A/USDT", "sell", None, "exit"), journal[0].ruling.orders[1:]
    assert before == [out]
    assert broker.__dict__["sent"] == [out, *entry]
    assert [o.symbol for o in entry] == ([] if ill else ["B/USDT"])
    assert journal[0].verdicts[0].code == ("ERROR" if ill else "")


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
@settings(max_examples=200, derandomize=True, deadline=None, database=None)
def test_what_leaves_before_the_judge_is_what_the_gate_orders(seed: int, n: int) -> None:
    """Whatever is held, asked for or pending."""
    rng = np.random.default_rng(seed)
    symbols = tuple("ABCD"[:n])
    book = Book.start(symbols, 10_000.0, AS_OF)
    book.positions[:, a.SIDE] = rng.choice([-1.0, 0.0, 1.0], n)
    book.positions[:, a.QUANTITY] = np.where(book.positions[:, a.SIDE] != 0, 1.0, 0.0)
    book.positions[:, a.EXIT_ASKED] = np.where(
        book.positions[:, a.SIDE] != 0, rng.integers(0, 2, n), 0
    )
    wants_out = rng.integers(0, 2, n).astype(bool)
    signals = [
        Signal("v", "trend", s, 0, 0.0, exit=True)
        for s, out in zip(symbols, wants_out, strict=True) if out
    ]  # fmt: skip
    market = np.full((1, n, a.MARKET_COLUMNS), 100.0)
    here = Bar(AS_OF, 474_000, 19_750, market, np.zeros((1, n, n), bool))
    proposal = Proposal(np.zeros(n), np.zeros(n), np.zeros(n), wants_out)
    ruled = gate(book, here, proposal, Limits(), Costs())
    assert leaving(book, signals) == [o for o in ruled.orders if o.kind == "exit"]
