"""Years at once tell the same story as the page bar by bar, and every signal has one end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from tests.walk import Walk, agrees, walk
from workbench.data.lake import Lake
from workbench.data.snapshot import World
from workbench.desk import Desk, Source
from workbench.domain import Case, Cycle, Decision, Limits, Panel, Reason, Verdict, Votes
from workbench.judges.case import case_hash
from workbench.judges.constant import always
from workbench.judges.rubric import rubric
from workbench.research.history import History, run_history, why_no_trade
from workbench.research.metrics import summary
from workbench.strategies.ema_adx import ema_adx
from workbench.strategies.news_sentiment import news_sentiment
from workbench.strategies.rsi_bounce import rsi_bounce
from workbench.strategies.vote import strategy

ANY = {"trending", "ranging", "high_vol"}


def moved(panel: Panel, bars: int, least: float, sign: int, sure: float) -> Votes:
    """Votes with (or against) a move of `least` over some bars."""
    change = panel.close / panel.close.shift(bars) - 1.0
    side = sign * ((change > least).astype(int) - (change < -least).astype(int))
    return Votes(side, (sure + 100.0 * change.abs()).clip(0.0, 90.0).where(side != 0, 0.0))


@strategy(category="trend", regimes={"trending", "high_vol"}, lookback=10)
def follow(panel: Panel) -> Votes:
    return moved(panel, 5, 0.012, 1, 60.0)


@strategy(category="reversion", regimes={"ranging", "high_vol"}, lookback=10)
def fade(panel: Panel) -> Votes:
    return moved(panel, 2, 0.008, -1, 58.0)


@strategy(category="event", regimes=ANY, lookback=10, from_text=True)
def chatter(panel: Panel) -> Votes:
    return moved(panel, 3, 0.015, 1, 55.0)


CROWD = (follow, fade, chatter, ema_adx, rsi_bounce, news_sentiment)
LOOSE = Limits(
    max_position=0.2, max_deployed=0.35, allow_short=True, max_correlation=0.95, cooldown_bars=2,
    max_entries_per_day=6, stop=0.01, take_profit=0.015, min_notional=300.0,
)  # fmt: skip


def mixed(cases: Sequence[Case]) -> list[Verdict]:
    """A judge of all three opinions: by the case's hash, so a case that differs shows."""
    return [
        replace(v, decision=list(Decision)[int(v.case_hash, 16) % 3], source="test")
        for v in always(cases)
    ]


@dataclass(frozen=True)
class Told:
    """One short world, told in both ways."""

    desk: Desk
    world: World
    history: History
    walked: Walk
    cycles: list[Cycle]


@pytest.fixture(scope="module")
def told(sample_lake: Lake) -> Told:
    source = Source(sample_lake.root, "sample", ("BTC/USDT", "ETH/USDT", "SOL/USDT"))
    desk = Desk(strategies=CROWD, judge=mixed, source=source, limits=LOOSE)
    world = desk.world("2023-06-08", "2023-06-11")
    cycles: list[Cycle] = []
    walked = walk(replace(desk, journal=cycles), world)
    return Told(desk, world, run_history(desk, world), walked, cycles)


def test_the_world_of_these_tests_has_every_kind_of_end(told: Told) -> None:
    """Otherwise what follows would show little."""
    ends = set(zip(told.history.signals["stage"], told.history.signals["rule"], strict=True))
    assert {
        ("vote", "OUT_OF_REGIME"), ("vote", "CONFLICT"), ("vote", "TEXT_ALONE"), ("judge", "SKIP"),
        ("traded", "ACCEPTED"),
    } <= ends  # fmt: skip
    assert {stage for stage, _ in ends} == {"vote", "judge", "risk", "traded"}
    assert len(told.history.replay.fills) > 10


def test_history_has_the_signals_that_the_page_had(told: Told) -> None:
    paged = [
        (c.as_of, s.symbol, s.strategy, s.side, s.muted) for c in told.cycles for s in c.signals
    ]
    columns = ["time", "symbol", "strategy", "side", "muted"]
    assert sorted(paged) == sorted(told.history.signals[columns].itertuples(index=False, name=None))


def test_history_puts_the_same_cases_to_the_judge_and_hears_the_same_verdicts(told: Told) -> None:
    paged = [
        (c.as_of, v.case_hash, v.decision.value, v.confidence, v.rationale)
        for c in told.cycles
        for v in c.verdicts
    ]
    columns = ["time", "case_hash", "decision", "confidence", "rationale"]
    assert sorted(paged) == sorted(told.history.judged[columns].itertuples(index=False, name=None))
    assert len({row[2] for row in paged}) == 3


def test_history_makes_the_trades_that_the_page_made(told: Told) -> None:
    assert agrees(told.walked, told.history.replay)
    assert told.walked.equity[-1] == pytest.approx(told.history.replay.book.equity, rel=1e-12)


def test_with_a_quorum_history_and_page_ask_about_the_same_entries(told: Told) -> None:
    cycles: list[Cycle] = []
    desk = replace(told.desk, quorum=2)
    walk(replace(desk, journal=cycles), told.world)
    history = run_history(desk, told.world)
    asked = [(c.as_of, case.symbol) for c in cycles for case in c.cases.values()]
    assert sorted(asked) == sorted((case.as_of, case.symbol) for case in history.cases)
    assert 0 < len(asked) < len(told.history.cases)
    assert (history.signals["rule"] == "NO_QUORUM").any()


def test_every_signal_ended_where_the_page_says_it_did(told: Told) -> None:
    """Worked out again from the record of each bar."""
    expected = {}
    for done in told.cycles:
        decided = {}
        for verdict in done.verdicts:
            symbol = _symbol_of(verdict, told.history)
            decided[symbol] = verdict.decision
        for signal in done.signals:
            counted = [s.side for s in done.signals if s.symbol == signal.symbol and not s.muted]
            if signal.muted:
                end = ("vote", signal.muted)
            elif len(set(counted)) == 2:
                end = ("vote", "CONFLICT")
            elif signal.symbol not in decided:
                end = ("vote", "TEXT_ALONE" if signal.from_text else "NO_QUORUM")
            elif decided[signal.symbol] is Decision.SKIP:
                end = ("judge", "SKIP")
            else:
                reason = done.ruling.reasons[signal.symbol]
                took = reason in (Reason.ACCEPTED, Reason.CLAMPED)
                end = ("traded" if took else "risk", reason.name)
            expected[done.as_of, signal.symbol, signal.strategy] = end
    signals = told.history.signals
    got = {(s.time, s.symbol, s.strategy): (s.stage, s.rule) for s in signals.itertuples()}
    assert got == expected
    assert len(got) == len(signals)


def _symbol_of(verdict: Verdict, history: History) -> str:
    judged = history.judged
    return str(judged.loc[judged["case_hash"] == verdict.case_hash, "symbol"].item())


def test_every_signal_has_exactly_one_end_with_a_name(told: Told) -> None:
    signals = told.history.signals
    reasons = {reason.name for reason in Reason}
    taken = {"ACCEPTED", "CLAMPED"}
    rules = {
        "vote": {"OUT_OF_REGIME", "RISK_OFF", "CONFLICT", "TEXT_ALONE", "NO_QUORUM"},
        "judge": {"SKIP"},
        "risk": reasons - taken,
        "traded": taken,
    }
    for stage, rule in zip(signals["stage"], signals["rule"], strict=True):
        assert rule in rules[stage]
    assert not signals.duplicated(["t", "symbol", "strategy"]).any()
    raw = sum(
        int((votes.side.iloc[told.world.start :] != 0).to_numpy().sum())
        for votes in told.history.votes.values()
    )
    assert len(signals) == raw


def test_the_counts_of_why_no_trade_add_up_to_the_signals(told: Told) -> None:
    signals = told.history.signals
    table = why_no_trade(signals)
    assert table["total"].sum() == len(signals)
    for name, count in signals["strategy"].value_counts().items():
        assert table[name].sum() == count
    stages = [stage for stage, _ in table.index]
    assert list(dict.fromkeys(stages)) == ["vote", "judge", "risk", "traded"]


def test_an_accepted_claim_is_an_entry_at_the_next_open(told: Told) -> None:
    history = told.history
    traded = history.signals[history.signals["stage"] == "traded"]
    cells = {(row.time, row.symbol) for row in traded.itertuples()}
    entries = history.replay.fills[history.replay.fills["reason"] == "entry"]
    opened = {(row.time, row.symbol) for row in entries.itertuples()}
    last = told.world.panel.close_times[-1]
    assert opened == {cell for cell in cells if cell[0] != last}


def test_nothing_happens_before_the_world_starts(told: Told) -> None:
    """The rows before it are history for indicators: there were votes, and none of them counts."""
    history, world = told.history, told.world
    first = world.panel.index[world.start]
    assert world.start > 0
    assert any((v.side.iloc[: world.start] != 0).any(axis=None) for v in history.votes.values())
    assert (history.proposal.side.iloc[: world.start] == 0).all(axis=None)
    assert (history.signals["t"] >= world.start).all()
    assert (history.judged["t"] >= world.start).all()
    assert (history.replay.fills["time"] > first).all()
    assert history.replay.equity.index[0] == first
    assert history.replay.equity.iloc[0] == told.desk.capital
    assert history.replay.panel.index[0] == first


# --- what a judge can do, and cannot -------------------------------------------------------------


def skips(cases: Sequence[Case]) -> list[Verdict]:
    return [Verdict(Decision.SKIP, 0.0, "no", "test", case_hash(case)) for case in cases]


def ran(told: Told, judge: object) -> History:
    return run_history(replace(told.desk, judge=judge), told.world)  # type: ignore[arg-type]


def sizes(history: History) -> np.ndarray:
    return history.proposal.multiplier.to_numpy()


def test_a_judge_that_always_skips_makes_no_trade(told: Told) -> None:
    history = ran(told, skips)
    assert history.replay.fills.empty
    assert (history.replay.equity == told.desk.capital).all()
    assert set(history.signals["stage"]) == {"vote", "judge"}
    assert summary(history.replay)["trades"] == 0


@pytest.mark.parametrize("way", ["history", "page"])
def test_a_judge_that_raises_skips_and_is_named(told: Told, way: str) -> None:
    """The run goes on without entries, for its exits must."""

    def broken(cases: Sequence[Case]) -> list[Verdict]:
        raise RuntimeError("the judge is ill")

    desk = replace(told.desk, judge=broken, journal=[])
    if way == "history":
        said = [verdict for _, verdict in run_history(desk, told.world).judgements]
    else:
        walk(desk, told.world)
        said = [verdict for done in desk.journal for verdict in done.verdicts]
    assert said
    assert {(v.decision, v.code) for v in said} == {(Decision.SKIP, "ERROR")}
    assert "RuntimeError: the judge is ill" in said[0].rationale


def none_at_all(cases: Sequence[Case]) -> list[Verdict]:
    return []


def wrong_hashes(cases: Sequence[Case]) -> list[Verdict]:
    return [replace(v, case_hash=v.case_hash[::-1]) for v in always(cases)]


def first_only(cases: Sequence[Case]) -> list[Verdict]:
    return always(cases)[:1]


def sometimes(cases: Sequence[Case]) -> list[Verdict]:
    """Answers some, to some with another's hash, and to cases that were never asked."""
    answers = [v for v in always(cases) if int(v.case_hash, 16) % 3]
    return [replace(v, case_hash="0" * 64) if int(v.case_hash, 16) % 5 == 0 else v for v in answers]


def reduces(cases: Sequence[Case]) -> list[Verdict]:
    return [replace(v, decision=Decision.REDUCE) for v in always(cases)]


@pytest.mark.parametrize(
    "judge", [skips, none_at_all, wrong_hashes, first_only, sometimes, reduces, mixed]
)
def test_whatever_a_judge_answers_sizes_only_get_smaller(told: Told, judge: object) -> None:
    """Against the judge that proceeds with everything; sides and confidences stay as voted."""
    free, bound = ran(told, always), ran(told, judge)
    assert (sizes(bound) <= sizes(free)).all()
    assert (sizes(bound) < sizes(free)).any()
    pd.testing.assert_frame_equal(bound.proposal.side, free.proposal.side)
    pd.testing.assert_frame_equal(bound.proposal.confidence, free.proposal.confidence)
    assert len(bound.signals) == len(free.signals)


@pytest.mark.parametrize("judge", [none_at_all, wrong_hashes])
def test_without_an_answer_to_our_cases_there_is_no_trade(told: Told, judge: object) -> None:
    history = ran(told, judge)
    assert history.replay.fills.empty
    assert set(history.judged["code"]) == {"NO_ANSWER"}, "nobody judged them: no veto of anybody's"
    assert set(history.signals["stage"]) == {"vote", "judge"}
    wanted = history.signals[history.signals["stage"] == "judge"]
    assert (wanted["rule"] == "NO_ANSWER").all()
    assert (wanted["verdict"] == "NO_ANSWER").all()


def test_a_reduction_keeps_the_desks_share_of_the_size(told: Told) -> None:
    free = sizes(ran(told, always))
    for share in (0.5, 0.2):
        desk = replace(told.desk, judge=reduces, reduce=share)
        np.testing.assert_array_equal(sizes(run_history(desk, told.world)), share * free)


def test_the_judge_is_asked_once_a_bar_about_all_that_is_wanted_there(told: Told) -> None:
    asked: list[list[Case]] = []

    def listens(cases: Sequence[Case]) -> list[Verdict]:
        asked.append(list(cases))
        return rubric(cases)

    said: list[tuple[int, int, str]] = []
    desk = replace(told.desk, judge=listens)
    history = run_history(desk, told.world, lambda k, n, what: said.append((k, n, what)))
    side = history.proposal.side
    wants = [
        (time, symbol)
        for time, row in zip(told.world.panel.close_times, side.to_numpy(), strict=True)
        for symbol, wanted in zip(side.columns, row, strict=True)
        if wanted
    ]
    assert [(c.as_of, c.symbol) for cases in asked for c in cases] == wants
    assert all(len({case.as_of for case in cases}) == 1 for cases in asked)
    assert said == [(k + 1, len(asked), "judging") for k in range(len(asked))]


# --- nothing to tell -----------------------------------------------------------------------------


@strategy(category="trend", regimes={"trending"}, lookback=2)
def mute(panel: Panel) -> Votes:
    side = pd.DataFrame(0, panel.index, panel.close.columns)
    return Votes(side, side.astype(float))


def test_a_desk_nobody_votes_on_has_an_empty_history(told: Told) -> None:
    history = run_history(replace(told.desk, strategies=(mute,)), told.world)
    assert history.signals.empty
    assert history.judged.empty
    assert history.replay.fills.empty
    assert why_no_trade(history.signals).empty


def test_while_no_regime_is_known_every_vote_is_out_of_regime(told: Told) -> None:
    """The first weeks of the sample world, with no history before them."""
    world = told.desk.world("2022-01-15", "2022-01-18")
    history = run_history(told.desk, world)
    assert len(history.signals) > 10
    assert set(history.signals["rule"]) == {"OUT_OF_REGIME"}
    assert history.judged.empty
    assert history.replay.fills.empty
