"""Votes cast at once are those cast bar by bar; a strategy that peeks is found out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.trading.conftest import desk_on
from workbench.data.lake import Lake
from workbench.data.snapshot import World
from workbench.desk import Desk
from workbench.domain import Panel, Votes
from workbench.strategies.ballot import Ballot
from workbench.strategies.vote import strategy


@pytest.fixture(scope="module")
def loaded(sample_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, World]:
    return desk_on(
        sample_lake, "sample", tmp_path_factory.mktemp("x") / "j", "2023-01-02", "2023-02-12"
    )


def test_a_ballot_says_at_every_bar_what_its_strategy_would(loaded: tuple[Desk, World]) -> None:
    """Same signals in the same order, muted ones too; confidence to the rounding of averages."""
    desk, world = loaded
    for each in desk.strategies:
        ballot, told = Ballot.of(each, world.panel), 0
        voted = sorted(ballot.cast)[::7]
        for t in np.searchsorted(world.panel.bar_numbers, voted):
            snapshot = world.snapshot(int(t), desk.bars)
            mine, its = ballot.signals(snapshot), each.signals(snapshot)
            assert [s._replace(confidence=0.0) for s in mine] == [
                s._replace(confidence=0.0) for s in its
            ]
            assert [s.confidence for s in mine] == pytest.approx([s.confidence for s in its])
            told += len(mine)
        assert told > 20
        quiet = int(np.flatnonzero(~np.isin(world.panel.bar_numbers, list(ballot.cast)))[-1])
        assert ballot.signals(world.snapshot(quiet, desk.bars)) == []
        assert (ballot.name, ballot.lookback) == (each.name, each.lookback)


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
def test_a_strategy_that_peeks_is_refused(loaded: tuple[Desk, World], cheat: object) -> None:
    """Before it has traded a bar, by name."""
    with pytest.raises(ContractBroken, match=r"votes otherwise at .* shown no later bar"):
        Ballot.of(cheat, loaded[1].panel)  # type: ignore[arg-type]


@strategy(category="trend", regimes={"trending"}, lookback=50)
def silent(panel: Panel) -> Votes:
    """Never votes."""
    nothing = pd.DataFrame(0, panel.index, panel.close.columns)
    return Votes(side=nothing, confidence=nothing.astype(float))


def test_a_strategy_that_never_votes_has_an_empty_ballot(loaded: tuple[Desk, World]) -> None:
    """No votes to try, nothing to refuse."""
    assert not Ballot.of(silent, loaded[1].panel).cast
