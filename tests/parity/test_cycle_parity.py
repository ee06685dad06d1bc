"""P1: the page, bar by bar in plain Python, and the compiled replay agree to the last bit.

Real prices, random votes and verdicts; loose limits so that every rule of the book fires, and the
default ones. The votes go through the whole page: signals, cases, judge, proposal, gate, broker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.recorded import spot_panel
from workbench import arrays as a
from workbench.cycle import cycle
from workbench.domain import (
    Book,
    Case,
    Costs,
    Decision,
    Limits,
    Panel,
    Proposal,
    Signal,
    Snapshot,
    Verdict,
)
from workbench.execution.bar_broker import BarBroker
from workbench.judges.case import case_hash
from workbench.research.replay import Replay, replay
from workbench.risk.correlation import HISTORY_DAYS

BARS = 20_000
KEEP = {Decision.PROCEED: 1.0, Decision.REDUCE: 0.5, Decision.SKIP: 0.0}
REGIME_SIZE = {0.0: 0.0, 1.0: 1.0, 2.0: 1.0, 3.0: 0.5}

LOOSE = Limits(
    max_position=0.3, max_deployed=0.6, stop=0.015, take_profit=0.03, trail=0.01,
    max_correlation=0.85, daily_drawdown=0.02, max_stopouts_per_day=2, cooldown_bars=2,
    max_entries_per_day=5, min_notional=60.0, allow_short=True,
)  # fmt: skip
LOOSE_COSTS = Costs(half_spread=0.0005, impact=1.0, taker_fee=0.001, maker_fee=0.0004, step=0.01)


@dataclass(frozen=True)
class Tape:
    """Random votes and verdicts of one seed, as the page and as the replay want them."""

    panel: Panel
    side: np.ndarray
    confidence: np.ndarray
    leave: np.ndarray
    decisions: np.ndarray
    name: str = "tape"
    trades: str = "spot"
    from_text: bool = False

    @classmethod
    def of(cls, panel: Panel, seed: int, density: float) -> Tape:
        rng = np.random.default_rng(seed)
        shape = panel.close.shape
        codes = rng.choice([0.0, 1.0, 2.0, 3.0], shape, p=[0.02, 0.45, 0.45, 0.08])
        labelled = panel.with_context(
            regime=pd.DataFrame(codes, panel.index, panel.close.columns),
            risk_on=pd.Series(1.0, panel.index),
        )
        sign = rng.choice([-1, 1], shape)
        confidence = rng.uniform(35.0, 90.0, shape)
        confidence[rng.random(shape) < 0.02] = np.nan
        return cls(
            labelled,
            np.where(rng.random(shape) < density, sign, 0),
            confidence,
            rng.random(shape) < 0.003,
            rng.choice(list(Decision), shape, p=[0.7, 0.2, 0.1]),
        )

    def row(self, as_of: pd.Timestamp) -> int:
        return int(self.panel.close_times.get_loc(as_of))

    def signals(self, snapshot: Snapshot) -> list[Signal]:
        t = self.row(snapshot.as_of)
        return [
            Signal("tape", "trend", symbol, int(self.side[t, j]), float(self.confidence[t, j]),
                   exit=bool(self.leave[t, j]))
            for j, symbol in enumerate(self.panel.symbols)
            if self.side[t, j] or self.leave[t, j]
        ]  # fmt: skip

    def judge(self, cases: Sequence[Case]) -> list[Verdict]:
        verdicts = []
        for case in cases:
            decision = self.decisions[self.row(case.as_of), self.panel.symbols.index(case.symbol)]
            verdicts.append(Verdict(Decision(decision), 50.0, "tape", "tape", case_hash(case)))
        return verdicts

    def proposal(self) -> Proposal:
        keep = np.vectorize(lambda d: KEEP[Decision(d)])(self.decisions)
        size = np.vectorize(REGIME_SIZE.__getitem__)(self.panel.context["regime"].to_numpy())
        cells = {
            "side": self.side, "confidence": self.confidence,
            "multiplier": keep * size, "exit": self.leave,
        }  # fmt: skip
        columns = self.panel.close.columns
        return Proposal(**{k: pd.DataFrame(v, self.panel.index, columns) for k, v in cells.items()})


def bar_by_bar(tape: Tape, limits: Limits, costs: Costs) -> tuple[list, np.ndarray, Book]:
    """Run the page over the tape's panel; fills, equity and the last book."""
    panel = tape.panel
    desk = SimpleNamespace(
        strategies=[tape], judge=tape.judge, limits=limits, costs=costs, reduce=0.5, quorum=1,
        broker=BarBroker(), journal=[],
    )  # fmt: skip
    book = Book.start(panel.symbols, 10_000.0, panel.index[0])
    equity = np.empty(len(panel))
    window = HISTORY_DAYS * 24
    for t in range(len(panel)):
        tail = panel.rows(max(t + 1 - window, 0), t + 1)
        book = cycle(book, Snapshot(panel.close_times[t], tail), desk)
        equity[t] = book.equity
    return [fill for done in desk.journal for fill in done.fills], equity, book


@pytest.mark.parametrize(
    ("name", "limits", "costs", "density", "since"),
    [
        ("default", Limits(), Costs(), 0.05, 0),
        ("loose", LOOSE, LOOSE_COSTS, 0.05, 10_000),
        ("clusters", LOOSE._replace(one_per_cluster=True), LOOSE_COSTS, 0.10, 40_000),
    ],
)
def test_page_and_replay_agree_to_the_last_bit(
    name: str, limits: Limits, costs: Costs, density: float, since: int
) -> None:
    """Every fill, every equity value, every counter and the final book have equal bytes."""
    panel = spot_panel()
    bars = BARS if name != "clusters" else 3_000
    tape = Tape.of(panel.rows(since, since + bars), seed=11, density=density)
    fills, equity, book = bar_by_bar(tape, limits, costs)
    compiled = replay(tape.panel, tape.proposal(), limits, costs)
    assert len(fills) == len(compiled.fills)
    assert pd.DataFrame(fills).equals(
        compiled.fills.assign(symbol=compiled.fills["symbol"].astype(object)).astype(
            pd.DataFrame(fills).dtypes.to_dict()
        )
    )
    assert equity.tobytes() == compiled.equity.to_numpy().tobytes()
    assert book.positions.tobytes() == compiled.book.positions.tobytes()
    assert book.account.tobytes() == compiled.book.account.tobytes()
    _all_rules_fired(name, compiled)


def _all_rules_fired(name: str, compiled: Replay) -> None:
    if name == "default":
        assert compiled.blocks["NO_SHORT"] > 0
    if name != "loose":
        return
    silent = [
        n for n, count in compiled.blocks.items() if count == 0 and n not in ("HALTED", "NO_SHORT")
    ]
    assert not silent, f"these rules never fired: {silent}"
    assert set(compiled.fills["reason"]) == set(a.WHY_NAMES)
