"""A strategy that breaks takes nobody along, and bad data gives no vote and no exception."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.strategies import cheats, random_panel
from tests.strategies.cheats import Function, declared
from workbench.cycle import cycle
from workbench.data.lake import Lake
from workbench.data.snapshot import World
from workbench.desk import Desk, Source, load_desk
from workbench.doctor import made_up
from workbench.domain import Cycle, Panel
from workbench.research.history import History, run_history
from workbench.strategies.ema_adx import ema_adx
from workbench.strategies.regime import with_regime
from workbench.strategies.rsi_bounce import rsi_bounce
from workbench.strategies.vote import Strategy, ask

GOOD = (ema_adx, rsi_bounce)
# (the strategy, what a run of history says of it, what a single close says of it; "": nothing, for
# at a single close there is no later bar, no second call and no clean one to compare with)
BAD = [
    (cheats.breaks, r"KeyError: .*NO/SUCH", r"KeyError: .*NO/SUCH"),
    (cheats.breaks_when_short, "out-of-bounds", "IndexError: single positional .* out-of-bounds"),
    (cheats.of_one_row, "side has 1 rows and 3 columns", "side has 1 rows and 3 columns"),
    (cheats.of_other_symbols, "side does not lie on", "side does not lie on"),
    (cheats.arrays, "side is ndarray; it must be a frame", "side is ndarray"),
    (cheats.a_frame, "side is NoneType; it must be a frame", "side is NoneType"),
    (cheats.leaves, "SystemExit: 3", "SystemExit: 3"),
    (cheats.exits_sometimes, "exit is for who alone votes", ""),
    (cheats.in_words, "a cell of side is not a number", "a cell of side is not a number"),
    (cheats.frame_writer, "changes the panel it is shown", ""),
    (cheats.column_adder, "changes the panel it is shown", ""),
    (cheats.next_bar, "votes otherwise at .* when it is shown no later bar", ""),
    (cheats.smoothed, "votes otherwise at .* when it is shown no later bar", ""),
    (cheats.counting, "votes otherwise when it is asked again", ""),
]
bad = pytest.mark.parametrize(
    ("broken", "of_history", "of_close"), BAD, ids=[case[0].__name__ for case in BAD]
)


@pytest.fixture(scope="module")
def loaded(
    sample_lake: Lake, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Desk, World, History]:
    """A desk of two, six weeks of the sample world with a score beside it, and their run."""
    source = Source(sample_lake.root, "sample", ("BTC/USDT", "ETH/USDT", "SOL/USDT"))
    path = tmp_path_factory.mktemp("x") / "j"
    desk = load_desk(strategies=GOOD, source=source, journal_path=path)
    world = desk.world("2023-01-02", "2023-02-12")
    panel = world.panel.rows(world.start - 1_000, len(world.panel))
    sparse = panel.close.diff().iloc[::8].reindex(panel.index)
    world = replace(
        world,
        panel=panel.with_context(sparse=sparse),
        ages=world.ages.loc[panel.index],
        start=1_000,
    )
    return desk, world, run_history(desk, world)


def same(one: History, other: History) -> None:
    """The others' votes, the fills and the equity, to the last bit."""
    for s in GOOD:
        for part in ("side", "confidence"):
            a, b = (getattr(run.votes[s.name], part) for run in (one, other))
            assert a.to_numpy().tobytes() == b.to_numpy().tobytes()
    pd.testing.assert_frame_equal(one.replay.fills, other.replay.fills, check_exact=True)
    assert one.replay.equity.to_numpy().tobytes() == other.replay.equity.to_numpy().tobytes()
    pd.testing.assert_frame_equal(one.signals, other.signals, check_exact=True)


@bad
def test_a_run_of_history_goes_on_without_who_breaks(
    broken: Function, of_history: str, of_close: str, loaded: tuple[Desk, World, History]
) -> None:
    """Out for the whole run, named with its error; nobody else's numbers change by a bit."""
    desk, world, without = loaded
    assert (len(without.replay.fills) > 0, without.disabled, of_close) == (True, {}, of_close)
    run = run_history(replace(desk, strategies=(declared(broken), *GOOD)), world)
    assert set(run.disabled) == {broken.__name__}
    assert re.search(of_history, run.disabled[broken.__name__])
    assert broken.__name__ not in run.votes
    same(run, without)


def closes(desk: Desk, world: World, voters: Sequence[Strategy], bars: int) -> list[Cycle]:
    """The page at the last so many closes."""
    journal: list[Cycle] = []
    desk, book = replace(desk, strategies=tuple(voters), journal=journal), desk.book(world)
    for t in range(len(world.panel) - bars, len(world.panel)):
        book = cycle(book, world.snapshot(t, desk.bars), desk)
    return journal


@bad
def test_a_close_goes_on_without_who_breaks(
    broken: Function, of_history: str, of_close: str, loaded: tuple[Desk, World, History]
) -> None:
    """Named with its error at every close at which it broke; who only cheats does not break here,
    and its word is one voice: it changes nothing of what the others say."""
    desk, world, _ = loaded
    without = closes(desk, world, GOOD, 60)
    assert any(said.signals for said in without)
    assert of_history
    for said, alone in zip(
        closes(desk, world, [declared(broken), *GOOD], 60), without, strict=True
    ):
        assert set(said.faults) == ({broken.__name__} if of_close else set())
        if of_close:
            assert re.search(of_close, said.faults[broken.__name__])
            assert (said.signals, said.fills) == (alone.signals, alone.fills)
            assert said.ruling.book.equity == alone.ruling.book.equity
        others = [s for s in said.signals if s.strategy != broken.__name__]
        assert others == list(alone.signals)


def test_who_says_nothing_but_holes_has_no_vote(loaded: tuple[Desk, World, History]) -> None:
    """NaN is no side: not a fault, not a vote, and the others are as they were."""
    desk, world, without = loaded
    mute = declared(cheats.nothing_known)
    run = run_history(replace(desk, strategies=(mute, *GOOD)), world)
    assert run.disabled == {}
    assert not run.votes["nothing_known"].side.any(axis=None)
    assert "nothing_known" not in set(run.signals["strategy"])
    same(run, without)
    assert ask([mute], world.snapshot(len(world.panel) - 1, desk.bars)) == ([], {})


# --- bad data ------------------------------------------------------------------------------------

registered = pytest.mark.parametrize("voter", load_desk().strategies, ids=lambda s: s.name)


@pytest.fixture(scope="module")
def trial() -> Panel:
    """Every registered strategy votes on it."""
    return made_up()


def damaged(panel: Panel, **changed: pd.DataFrame) -> Panel:
    return with_regime(replace(panel, **changed))


@registered
def test_a_history_that_is_too_short_gives_no_vote_and_a_reason(
    voter: Strategy, trial: Panel
) -> None:
    """From one bar to one less than it needs."""
    needed = voter.bars(trial.timeframe)
    for bars in sorted({1, 2, min(50, needed - 1), needed - 1} - {needed, 0}):
        short = trial.tail(bars)
        if bars < needed:
            assert voter.silence(short) == f"needs {needed:,} bars of history, there are {bars:,}"
            votes = voter(short)
            assert not votes.side.any(axis=None)
            assert votes.exit is None or not votes.exit.any(axis=None)


@registered
def test_an_instrument_without_a_single_price_gets_no_vote(voter: Strategy, trial: Panel) -> None:
    """All its columns are holes; the others are voted on as if it were not there."""
    gone = [s for s in trial.symbols if s.startswith("ETH")]
    holes = {
        name: getattr(trial, name).assign(**dict.fromkeys(gone, np.nan))
        for name in ("open", "high", "low", "close", "volume")
    }
    votes, whole = voter(damaged(trial, **holes)), voter(trial)
    assert not votes.side[gone].any(axis=None)
    kept = [s for s in trial.symbols if s not in gone]
    assert whole.side[kept].any(axis=None)
    pd.testing.assert_frame_equal(votes.side[kept], whole.side[kept])


@registered
def test_a_panel_without_a_single_price_gets_no_vote(voter: Strategy, trial: Panel) -> None:
    nothing = trial.close * np.nan
    holes = dict.fromkeys(("open", "high", "low", "close", "volume"), nothing)
    assert not voter(damaged(trial, **holes)).side.any(axis=None)


READS_PRICES = {
    "momentum_breakout", "ema_adx", "macro_trend", "rsi_bounce", "bollinger_squeeze",
    "bollinger_squeeze_breakout",
}  # fmt: skip


@registered
def test_a_price_that_never_moves_is_no_signal(voter: Strategy, trial: Panel) -> None:
    """Nor is it an error, for those who read something else."""
    flat = trial.close * 0.0 + 100.0
    votes = voter(damaged(trial, open=flat, high=flat, low=flat, close=flat))
    assert votes.confidence.notna().all(axis=None)
    if voter.name in READS_PRICES:
        assert not votes.side.any(axis=None)


@registered
def test_bars_that_nobody_traded_break_nothing(voter: Strategy, trial: Panel) -> None:
    """A breakout without volume is none; the gate refuses a bar without volume to the others."""
    votes = voter(damaged(trial, volume=trial.volume * 0.0))
    assert votes.confidence.notna().all(axis=None)
    if voter.name == "momentum_breakout":
        assert not votes.side.any(axis=None)


@registered
def test_without_its_context_a_strategy_is_silent_and_says_of_what(
    voter: Strategy, trial: Panel
) -> None:
    """Not there at all, or there without a number: the same."""
    assert voter.silence(trial) == ""
    for name in voter.needs:
        left = {k: series for k, series in trial.context.items() if k != name}
        hollow = {**trial.context, name: trial.context[name] * np.nan}
        for context in (left, hollow):
            panel = replace(trial, context=context)
            assert voter.silence(panel) == f"nothing is known of {name}"
            assert not voter(panel).side.any(axis=None)


def test_every_registered_strategy_has_something_to_say_on_the_trial_panel(trial: Panel) -> None:
    """Otherwise the tests above would pass for nothing."""
    assert all(voter(trial).side.any(axis=None) for voter in load_desk().strategies)
    assert not any(voter(random_panel(1, 1)).side.any(axis=None) for voter in GOOD)
