"""Votes cast at once are those cast bar by bar; a strategy that peeks is found out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.trading.conftest import desk_on
from workbench.data.lake import Lake
from workbench.data.snapshot import World
from workbench.desk import Desk
from workbench.domain import DataError, Panel, Votes
from workbench.errors import ContractBroken
from workbench.strategies.ballot import Ballot, cast
from workbench.strategies.ema_adx import ema_adx
from workbench.strategies.vote import Strategy, strategy


@pytest.fixture(scope="module")
def loaded(sample_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, World]:
    return desk_on(
        sample_lake, "sample", tmp_path_factory.mktemp("x") / "j", "2023-01-02", "2023-02-12"
    )


def test_a_ballot_says_at_every_bar_what_its_strategy_would(loaded: tuple[Desk, World]) -> None:
    """Same signals in the same order, muted ones too; confidence to the rounding of averages."""
    desk, world = loaded
    told = {each.name: _told(desk, world, each) for each in desk.strategies}
    assert {"ema_adx", "rsi_bounce", "momentum_breakout", "news_sentiment"} <= {
        name for name, n in told.items() if n >= 20
    }
    assert all(not told[each.name] for each in desk.strategies if each.silence(world.panel))


def _told(desk: Desk, world: World, each: Strategy) -> int:
    """How many votes of a ballot were found to be those of its strategy."""
    ballot, told = Ballot.of(each, world.panel), 0
    voted = sorted(ballot.cast)
    voted = voted[:: max(len(voted) // 20, 1)]
    for t in np.searchsorted(world.panel.bar_numbers, voted):
        snapshot = world.snapshot(int(t), desk.bars)
        mine, its = ballot.signals(snapshot), each.signals(snapshot)
        assert [s._replace(confidence=0.0) for s in mine] == [
            s._replace(confidence=0.0) for s in its
        ]
        assert [s.confidence for s in mine] == pytest.approx([s.confidence for s in its])
        told += len(mine)
    quiet = int(np.flatnonzero(~np.isin(world.panel.bar_numbers, list(ballot.cast)))[-1])
    assert ballot.signals(world.snapshot(quiet, desk.bars)) == []
    assert (ballot.name, ballot.lookback) == (each.name, each.lookback)
    return told


@strategy(category="trend", regimes={"trending", "ranging", "high_vol"}, lookback=50)
def tomorrow(panel: Panel) -> Votes:
    """Buys what will have risen by the next close."""
    side = (panel.close.shift(-1) > panel.close).astype(int)
    return Votes(side=side, confidence=side * 60.0)


@strategy(category="trend", regimes={"trending", "ranging", "high_vol"}, lookback=50)
def withdrawn(panel: Panel) -> Votes:
    """Votes as anybody would, and takes back what will have fallen by the next close."""
    up = (panel.close > panel.open) & ~(panel.close.shift(-1) < panel.close)
    side = up.astype(int) * (panel.symbols[0] == panel.close.columns)
    return Votes(side=side, confidence=side * 60.0)


@strategy(category="trend", regimes={"trending", "ranging", "high_vol"}, lookback=5)
def forgetful(panel: Panel) -> Votes:
    """Needs a hundred bars and says five."""
    side = (panel.close > panel.close.rolling(100, min_periods=1).mean()).astype(int)
    return Votes(side=side, confidence=side * 60.0)


@pytest.mark.parametrize("cheat", [tomorrow, withdrawn, forgetful], ids=lambda s: s.name)
def test_a_strategy_that_peeks_is_refused(loaded: tuple[Desk, World], cheat: Strategy) -> None:
    """Before it has traded a bar, by name."""
    with pytest.raises(ContractBroken, match=r"votes otherwise at .* shown no later bar"):
        Ballot.of(cheat, loaded[1].panel)


@strategy(category="trend", regimes={"trending"}, lookback=50)
def silent(panel: Panel) -> Votes:
    """Never votes."""
    nothing = pd.DataFrame(0, panel.index, panel.close.columns)
    return Votes(side=nothing, confidence=nothing.astype(float))


def test_a_strategy_that_never_votes_has_an_empty_ballot(loaded: tuple[Desk, World]) -> None:
    """No votes to try, nothing to refuse."""
    assert not Ballot.of(silent, loaded[1].panel).cast


def test_who_breaks_is_left_out_and_named_and_the_others_vote_as_before(
    loaded: tuple[Desk, World],
) -> None:
    """Whatever the order in which they are asked."""
    panel = loaded[1].panel
    _, alone, _ = cast([ema_adx], panel)
    for order in ([tomorrow, ema_adx, forgetful], [ema_adx, forgetful, tomorrow]):
        voters, votes, disabled = cast(order, panel)
        assert ([s.name for s in voters], list(votes)) == (["ema_adx"], ["ema_adx"])
        assert set(disabled) == {"tomorrow", "forgetful"}
        assert "votes otherwise at" in disabled["tomorrow"]
        pd.testing.assert_frame_equal(votes["ema_adx"].side, alone["ema_adx"].side)
        pd.testing.assert_frame_equal(votes["ema_adx"].confidence, alone["ema_adx"].confidence)


def test_a_vote_in_which_nobody_is_left_is_an_error(loaded: tuple[Desk, World]) -> None:
    """A run without a voter would look like a quiet market."""
    with pytest.raises(DataError, match=r"no strategy is left: tomorrow votes otherwise"):
        cast([tomorrow], loaded[1].panel)
