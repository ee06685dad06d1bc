"""How votes meet: conflicts, text, muting, and one bar equal to all history."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import random_panel
from workbench.domain import Panel, Regime, Signal, Snapshot, UsageError, Votes
from workbench.strategies.ema_adx import ema_adx
from workbench.strategies.news_sentiment import news_sentiment
from workbench.strategies.regime import with_regime
from workbench.strategies.rsi_bounce import rsi_bounce
from workbench.strategies.vote import (
    Strategy,
    combine,
    combine_votes,
    propose,
    regime_size,
    strategy,
    wanted,
)

SYMBOL = "BTC/USDT"
CATEGORIES = ("trend", "reversion", "event")


def vote(
    category: str, side: int, confidence: float = 60.0, *, text: bool = False, muted: str = ""
) -> Signal:
    name = f"{category} {side} {text} {muted} {confidence}"
    return Signal(name, category, SYMBOL, side, confidence, muted=muted, from_text=text)


def outcome(*signals: Signal) -> tuple[int, float] | None:
    return wanted(signals, [SYMBOL]).get(SYMBOL)


def test_nobody_wants_nothing() -> None:
    assert wanted([], [SYMBOL]) == {}


def test_one_vote_is_wanted_as_it_is() -> None:
    assert outcome(vote("trend", -1, 61.5)) == (-1, 61.5)


def test_opposite_sides_cancel_however_many_there_are() -> None:
    longs = [vote("trend", 1, c) for c in (60.0, 70.0, 80.0)]
    assert outcome(*longs, vote("reversion", -1, 10.0)) is None


def test_a_vote_read_from_text_cancels_an_opposite_one() -> None:
    assert outcome(vote("trend", 1), vote("event", -1, text=True)) is None


def test_confidence_is_the_mean_of_the_votes_that_count() -> None:
    assert outcome(vote("trend", 1, 50), vote("reversion", 1, 60), vote("event", 1, 70)) == (1, 60)


def test_text_alone_never_proposes() -> None:
    assert outcome(vote("event", 1, 99, text=True)) is None
    assert outcome(vote("event", 1, 99, text=True), vote("event", 1, 90, text=True)) is None


def test_text_beside_another_category_may_lower_the_mean_and_never_raises_it() -> None:
    assert outcome(vote("event", 1, 40, text=True), vote("trend", 1, 50)) == (1, 45)
    assert outcome(vote("event", 1, 70, text=True), vote("trend", 1, 50)) == (1, 50)


def test_text_beside_other_text_proposes_nothing() -> None:
    """Two readers of the same words are not two witnesses."""
    assert outcome(vote("event", 1, 70, text=True), vote("trend", 1, 50, text=True)) is None


def test_text_does_not_count_beside_its_own_category() -> None:
    assert outcome(vote("event", 1, 70, text=True), vote("event", 1, 50)) == (1, 50)


def test_with_a_quorum_a_lone_vote_asks_nobody() -> None:
    lone, other = vote("trend", 1, 60), vote("reversion", 1, 50)
    assert wanted([lone], [SYMBOL], quorum=2) == {}
    assert wanted([lone, other], [SYMBOL], quorum=2) == {SYMBOL: (1, 55.0)}
    assert wanted([lone, vote("trend", 1, 50)], [SYMBOL], quorum=2) == {SYMBOL: (1, 55.0)}


def test_words_do_not_help_to_reach_a_quorum() -> None:
    assert wanted([vote("trend", 1), vote("event", 1, text=True)], [SYMBOL], quorum=2) == {}


def test_a_pair_has_one_voter_and_so_a_quorum_of_one() -> None:
    pair = f"{SYMBOL}~carry"
    alone = vote("reversion", 1, 60)._replace(symbol=pair)
    assert wanted([alone], [SYMBOL, pair], quorum=3) == {pair: (1, 60.0)}


def test_a_muted_vote_neither_proposes_nor_cancels_nor_agrees_nor_weighs() -> None:
    muted = {"muted": "regime"}
    assert outcome(vote("trend", 1, 90, **muted)) is None
    assert outcome(vote("trend", 1, 50), vote("reversion", -1, 90, **muted)) == (1, 50)
    assert outcome(vote("trend", 1, 50), vote("reversion", 1, 90, **muted)) == (1, 50)
    assert outcome(vote("event", 1, 70, text=True), vote("trend", 1, **muted)) is None


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -1.0, 140.0])
def test_a_confidence_that_is_no_number_in_range_counts_as_zero(broken: float) -> None:
    """A broken voter can only shrink the mean."""
    assert outcome(vote("trend", 1, 60), vote("reversion", 1, broken)) == (1, 30)


def test_a_side_that_is_no_side_is_no_vote() -> None:
    """NaN or a half from a strategy: the others are counted, nothing breaks."""
    panel = labelled([2, 2], [1, 1])

    @strategy(category="trend", regimes={"trending"}, lookback=2)
    def broken(panel: Panel) -> Votes:
        side = panel.close * 0.0 + np.array([[np.nan], [0.5]])
        return Votes(side, panel.close * 0.0 + 60.0)

    assert not broken(panel).side.any(axis=None)
    assert broken.signals(Snapshot(panel.close_times[-1], panel)) == []


def test_a_panel_without_labels_is_refused_rather_than_muted() -> None:
    """A short window cannot be labelled; nobody may vote on it in silence."""
    panel = labelled([2, 2], [1, 1])
    bare = Panel.from_frames(
        open=panel.open, high=panel.high, low=panel.low, close=panel.close, volume=panel.volume
    )

    @strategy(category="trend", regimes={"trending"}, lookback=2)
    def eager(panel: Panel) -> Votes:
        return Votes(panel.close * 0.0 + 1.0, panel.close * 0.0 + 60.0)

    with pytest.raises(UsageError, match="no regime labels"):
        eager.signals(Snapshot(bare.close_times[-1], bare))


@given(data=st.data(), bars=st.integers(1, 5), symbols=st.integers(1, 3), voters=st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_one_bar_equals_history_bit_for_bit(
    data: st.DataObject, bars: int, symbols: int, voters: int
) -> None:
    """Any votes of any voters in any order: each bar alone gives the bytes of the whole."""
    index = pd.date_range("2024-01-01", periods=bars, freq="1h", tz="UTC")
    names = [f"S{k}/USDT" for k in range(symbols)]
    flat = pd.DataFrame(1.0, index, names)
    panel = Panel.from_frames(open=flat, high=flat, low=flat, close=flat, volume=flat)
    order = data.draw(st.permutations(range(voters)))
    crowd = [
        Strategy(
            lambda panel: Votes(panel.close, panel.close), f"v{k}",
            data.draw(st.sampled_from(CATEGORIES)), frozenset({"trending"}), 1,
            data.draw(st.booleans()),
        )
        for k in order
    ]  # fmt: skip
    cells = bars * symbols
    sides = st.lists(st.sampled_from([-1, 0, 0, 1, 1]), min_size=cells, max_size=cells)
    sure = st.lists(st.floats(0.0, 100.0), min_size=cells, max_size=cells)
    muting = st.lists(st.booleans(), min_size=cells, max_size=cells)
    raw = {
        v.name: tuple(
            np.reshape(data.draw(part), (bars, symbols)) for part in (sides, sure, muting)
        )
        for v in crowd
    }
    history = {
        name: Votes(
            pd.DataFrame(np.where(muted, 0, side), index, names),
            pd.DataFrame(confidence, index, names),
        )
        for name, (side, confidence, muted) in raw.items()
    }
    side, confidence = combine_votes(crowd, history, panel)
    for t in range(bars):
        signals = [
            Signal(v.name, v.category, symbol, int(raw[v.name][0][t, j]),
                   float(raw[v.name][1][t, j]), muted="regime" if raw[v.name][2][t, j] else "",
                   from_text=v.from_text)
            for v in sorted(crowd, key=lambda v: data.draw(st.integers(), label=v.name))
            for j, symbol in enumerate(names)
            if raw[v.name][0][t, j]
        ]  # fmt: skip
        proposal = propose(signals, dict.fromkeys(names, 1.0), names, np.ones(symbols))
        assert proposal.side.tobytes() == side.to_numpy()[t].tobytes()
        assert proposal.confidence.tobytes() == confidence.to_numpy()[t].tobytes()


@given(
    st.lists(
        st.tuples(st.sampled_from(CATEGORIES), st.sampled_from([-1, 1]), st.floats(0, 100)),
        min_size=1,
        max_size=6,
    ),
    st.randoms(),
)
@settings(deadline=None)
def test_the_order_of_votes_and_a_mirror_of_all_sides_change_nothing_else(
    votes: list[tuple[str, int, float]], random: object
) -> None:
    def signals(sign: int) -> list[Signal]:
        return [Signal(f"v{k}", c, SYMBOL, sign * s, p) for k, (c, s, p) in enumerate(votes)]

    shuffled = signals(1)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    straight, mirrored = outcome(*signals(1)), outcome(*signals(-1))
    assert outcome(*shuffled) == straight
    assert mirrored == (straight and (-straight[0], straight[1]))


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
@settings(deadline=None)
def test_the_combined_confidence_lies_within_the_votes(confidences: list[float]) -> None:
    got = outcome(*(vote("trend", 1, c) for c in set(confidences)))
    assert got is not None
    assert min(confidences) - 1e-9 <= got[1] <= max(confidences) + 1e-9


def test_a_side_that_is_not_one_counts_for_nothing() -> None:
    for odd in (np.nan, 2.0, 0.5, np.inf):
        side, confidence = combine(np.array([[odd]]), np.array([[60.0]]), ["trend"], [False])
        assert side.tolist() == [0.0]
        assert confidence.tolist() == [0.0]


# --- the proposal --------------------------------------------------------------------------------


def test_a_symbol_that_was_not_judged_gets_nothing() -> None:
    proposal = propose([vote("trend", 1)], {}, [SYMBOL], np.array([2.0]))
    assert proposal.side.tolist() == [1.0]
    assert proposal.multiplier.tolist() == [0.0]


def test_the_multiplier_is_the_judges_times_the_regimes() -> None:
    symbols = ["A", "B", "C", "D", "E"]
    codes = np.array([Regime.UNKNOWN, Regime.RANGING, Regime.TRENDING, Regime.HIGH_VOL, np.nan])
    proposal = propose([], dict.fromkeys(symbols, 0.5), symbols, codes)
    assert proposal.multiplier.tolist() == [0.0, 0.5, 0.5, 0.25, 0.0]


@pytest.mark.parametrize("code", [0.0, 4.0, -1.0, 1.5, np.nan, np.inf])
def test_a_code_that_is_no_known_regime_has_size_zero(code: float) -> None:
    assert regime_size(np.array([[code]])).tolist() == [[0.0]]


def test_an_exit_is_asked_for_even_by_a_muted_vote_and_by_one_without_a_side() -> None:
    leaves = Signal("carry", "event", "A", 0, 0.0, muted="regime", exit=True)
    proposal = propose([leaves], {}, ["A", "B"], np.array([0.0, 0.0]))
    assert proposal.exit.tolist() == [True, False]
    assert proposal.side.tolist() == [0.0, 0.0]


# --- a strategy and its regimes ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"category": "astrology", "regimes": {"trending"}}, "category 'astrology' is not one of"),
        ({"category": "trend", "regimes": {"sunny"}}, "regime 'sunny' is not one of"),
        ({"category": "trend", "regimes": {"unknown"}}, "regime 'unknown' is not one of"),
    ],
)
def test_an_unknown_category_or_regime_is_refused_by_name(
    arguments: dict[str, object], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        strategy(**arguments, lookback=1)  # type: ignore[arg-type]


def always_long(panel: Panel) -> Votes:
    side = pd.DataFrame(1, panel.index, panel.close.columns)
    return Votes(side, side * 60.0)


def always_short(panel: Panel) -> Votes:
    votes = always_long(panel)
    return Votes(-votes.side, votes.confidence)


def labelled(codes: Sequence[float], risk: Sequence[float]) -> Panel:
    """A panel of one symbol with these labels."""
    index = pd.date_range("2024-01-01", periods=len(codes), freq="1h", tz="UTC")
    flat = pd.DataFrame({SYMBOL: 1.0}, index)
    panel = Panel.from_frames(open=flat, high=flat, low=flat, close=flat, volume=flat)
    return panel.with_context(
        regime=pd.DataFrame({SYMBOL: codes}, index, dtype=float),
        risk_on=pd.Series(risk, index, dtype=float),
    )


@pytest.mark.parametrize(
    ("function", "expected"),
    [(always_long, [0, 0, 1, 0, 0, 0]), (always_short, [0, 0, -1, 0, -1, 0])],
)
def test_votes_count_in_their_regimes_and_longs_only_while_risk_is_on(
    function: Callable[[Panel], Votes], expected: list[int]
) -> None:
    panel = labelled([0, 1, 2, 3, 2, np.nan], [1, 1, 1, 1, 0, 1])
    voter = strategy(category="trend", regimes={"trending"}, lookback=1)(function)
    assert voter.votes(panel).side[SYMBOL].tolist() == expected
    assert set(voter(panel).side[SYMBOL]) <= {-1, 1}


def test_unknown_risk_lets_no_long_through() -> None:
    voter = strategy(category="trend", regimes={"trending"}, lookback=1)(always_long)
    assert voter.votes(labelled([2, 2], [np.nan, 0.5])).side[SYMBOL].tolist() == [0, 0]


def test_a_muted_signal_is_kept_and_says_why() -> None:
    panel = labelled([1.0], [1.0])
    voter = strategy(category="trend", regimes={"trending"}, lookback=1)(always_long)
    (signal,) = voter.signals(Snapshot(panel.close_times[-1], panel))
    assert signal == Signal(
        "always_long", "trend", SYMBOL, 1, 60.0, "votes in trending; this is ranging",
        muted="OUT_OF_REGIME", regime="ranging",
    )  # fmt: skip


def test_a_long_in_risk_off_is_muted_by_that_name() -> None:
    panel = labelled([2.0], [0.0])
    voter = strategy(category="trend", regimes={"trending"}, lookback=1)(always_long)
    (signal,) = voter.signals(Snapshot(panel.close_times[-1], panel))
    assert (signal.muted, signal.regime) == ("RISK_OFF", "trending")
    assert "200-day" in signal.reason


def test_other_parameters_are_another_strategy_and_leave_the_first_alone() -> None:
    panel = random_panel(600, seed=8)
    quick = ema_adx.having(adx_min=10.0)
    assert quick(panel).side.abs().to_numpy().sum() > ema_adx(panel).side.abs().to_numpy().sum()
    assert ema_adx.parameters == {}
    assert quick.having(fast=5).parameters == {"adx_min": 10.0, "fast": 5}


@pytest.mark.parametrize("voter", [ema_adx, rsi_bounce, news_sentiment], ids=lambda s: s.name)
def test_the_signals_of_a_snapshot_are_the_last_row_of_the_votes(voter: Strategy) -> None:
    """Over a window just long enough, muted or not, with and without votes."""
    panel = random_panel(2_400, seed=9, holes=0.01)
    rng = np.random.default_rng(9)
    score = np.cumsum(rng.standard_t(3, panel.close.shape), axis=0)
    panel = with_regime(
        panel.with_context(sentiment=pd.DataFrame(score, panel.index, panel.close.columns))
    )
    raw, counted = voter(panel), voter.votes(panel)
    sides = raw.side.to_numpy()
    voted = np.flatnonzero(sides.any(axis=1))
    voted = voted[voted >= voter.bars(panel.timeframe)]
    assert len(voted) > 10
    for t in [*voted[:40].tolist(), *range(2_000, 2_010)]:
        window = panel.rows(t + 1 - voter.bars(panel.timeframe), t + 1)
        signals = voter.signals(Snapshot(panel.close_times[t], window))
        assert {(s.symbol, s.side) for s in signals} == {
            (panel.symbols[j], int(sides[t, j])) for j in np.flatnonzero(sides[t])
        }
        for signal in signals:
            cell = panel.index[t], signal.symbol
            assert (signal.muted == "") == (counted.side.loc[cell] != 0)
            assert signal.confidence == pytest.approx(raw.confidence.loc[cell], abs=0.01)
            assert (signal.strategy, signal.category) == (voter.name, voter.category)
            assert signal.from_text == voter.from_text
