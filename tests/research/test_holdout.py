"""The sealed days: seen by nobody before they are opened, opened once, and told of."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.research.judging import (
    averages,
    desk_at,
    finding,
    follow,
    for_votes,
    judged,
    null_world,
    recorded,
    strong_world,
    swept,
)
from tests.research.sweeping import changed
from workbench.data.snapshot import World
from workbench.desk import Desk
from workbench.domain import Panel, Proposal
from workbench.journal import Journal
from workbench.research.holdout import EARNED, OPENED
from workbench.research.promotion import NOT_PROVEN, REJECTED, TRUSTED
from workbench.research.sweep import before_holdout

BEST = {"fast": 24, "slow": 96}
OTHER = {"fast": 18, "slow": 90}


def rows(desk: Desk, kind: str) -> list[dict[str, Any]]:
    with Journal.open(desk.journal_path, readonly=True) as journal:
        return [row.body for row in journal.rows(kind)]


def sealed(told: Any) -> Any:
    return finding(told, "sealed days")


@pytest.fixture(scope="module")
def world() -> World:
    return strong_world(years=1.4)


def test_a_strategy_never_sees_the_sealed_days_before_they_are_opened(
    world: World, tmp_path: Path
) -> None:
    """It writes down the last bar of everything it is shown, permuted and noisy worlds included."""
    seen = tmp_path / "seen"

    def watching(panel: Panel, fast: int = 24, slow: int = 96) -> Proposal:
        with seen.open("a") as file:
            file.write(f"{panel.index[-1].isoformat()}\n")
        return follow(panel, fast, slow)

    def last() -> pd.Timestamp:
        return max(pd.Timestamp(line) for line in seen.read_text().split())

    desk = desk_at(tmp_path)
    end = before_holdout(world).panel.index[-1]
    told = judged(desk, world, watching)
    assert last() == end
    assert sealed(told).sentence == f"{_span(world)} is sealed; it is opened once."
    told = judged(desk, world, watching, open_holdout=True)
    assert last() == world.panel.index[-1]
    assert told.verdict == TRUSTED


def _span(world: World) -> str:
    first = world.panel.index[len(before_holdout(world).panel)]
    return f"{first:%Y-%m-%d} to {world.panel.index[-1]:%Y-%m-%d}"


def test_what_the_sealed_days_hold_changes_nothing_before_they_are_opened(
    world: World, tmp_path: Path
) -> None:
    """Prices a thousand times as high, and labels gone: every finding is the same."""
    poisoned = changed(world, len(before_holdout(world).panel), 1_000.0)
    (tmp_path / "other").mkdir()
    one = judged(desk_at(tmp_path), world)
    other = judged(desk_at(tmp_path / "other"), poisoned)
    assert one.findings == other.findings
    assert one.sweep.returns.equals(other.sweep.returns)


def test_opening_is_one_row_and_is_never_run_again(world: World, tmp_path: Path) -> None:
    """The same choice is told the recorded figure, whether or not it asks; even where the sealed
    days have become others since."""
    desk = desk_at(tmp_path)
    at = datetime(2024, 5, 1, tzinfo=UTC)
    first = judged(desk, world, chosen=BEST, open_holdout=True, now=lambda: at)
    assert first.verdict == TRUSTED
    assert first.opened is not None
    assert (first.opened.at[:10], first.opened.parameters) == ("2024-05-01", BEST)
    told = sealed(first)
    assert told.sentence == (
        f"{_span(world)}, opened on 2024-05-01: {first.opened.trades} trades, {told.figure:+.2%}."
    )
    poisoned = changed(world, len(before_holdout(world).panel), 0.001)
    for again in (judged(desk, world, chosen=BEST), judged(desk, poisoned, chosen=BEST),
                  judged(desk, world, chosen=BEST, open_holdout=True, seed=7)):  # fmt: skip
        assert sealed(again) == told
        assert again.opened == first.opened
    assert len(rows(desk, OPENED)) == len(rows(desk, EARNED)) == 1


def test_who_chooses_anew_after_the_look_cannot_be_trusted(world: World, tmp_path: Path) -> None:
    """Another set, other terms, or days that overlap: whoever chose has seen them."""
    desk = desk_at(tmp_path)
    assert judged(desk, world, chosen=BEST, open_holdout=True).verdict == TRUSTED
    again = {
        "another set": judged(desk, world, chosen=OTHER, open_holdout=True),
        "less sealed": judged(desk, world, chosen=BEST, holdout=0.15, open_holdout=True),
        "more capital": judged(replace(desk, capital=2e4), world, chosen=BEST, open_holdout=True),
    }
    for what, told in again.items():
        assert told.verdict == NOT_PROVEN, what
        assert sealed(told).passed is None, what
        assert "what is chosen after that look cannot be proven on them" in sealed(told).sentence
    assert len(rows(desk, OPENED)) == 1


@pytest.mark.parametrize("longer", [False, True])
def test_sets_tried_on_the_days_before_unseal_them(
    world: World, tmp_path: Path, longer: bool
) -> None:
    """By a sweep that sealed nothing, or by one of a world that goes on."""
    desk, short = desk_at(tmp_path), world
    if longer:
        swept(desk, world)
        short = replace(world, panel=world.panel.rows(0, len(before_holdout(world).panel)))
    else:
        swept(desk, world, holdout=0.0)
    told = judged(desk, short, open_holdout=True)
    assert sealed(told).passed is None
    assert "4 sets of follow were tried on days of" in sealed(told).sentence
    assert told.verdict != TRUSTED
    assert rows(desk, OPENED) == []


def test_a_sweep_of_the_whole_desk_unseals_them_for_its_strategies(tmp_path: Path) -> None:
    """Their parameters are named `averages.fast` there."""
    world = for_votes(strong_world(years=1.0))
    desk = desk_at(tmp_path, averages)
    swept(desk, world, None, grid={"averages.fast": [20, 24]}, holdout=0.0)
    told = judged(desk, world, averages, open_holdout=True)
    assert "2 sets of averages were tried on days of" in sealed(told).sentence


def test_a_rejected_strategy_leaves_them_sealed(tmp_path: Path) -> None:
    """They are kept for what may still be trusted."""
    desk, world = desk_at(tmp_path), null_world(seed=8)
    told = judged(desk, world, open_holdout=True)
    assert told.verdict == REJECTED
    assert sealed(told).sentence.endswith("stays sealed: it is rejected without.")
    assert rows(desk, OPENED) == []


def test_another_strategys_look_does_not_count_but_is_told(world: World, tmp_path: Path) -> None:
    """Nor does one at other days, or at another made-up market."""

    def another(panel: Panel, fast: int = 24, slow: int = 96) -> Proposal:
        return follow(panel, fast, slow)

    desk = desk_at(tmp_path)
    judged(desk, world, another, open_holdout=True)
    judged(desk, strong_world(seed=4), open_holdout=True)
    told = judged(desk, world, open_holdout=True)
    assert told.opened is not None
    assert sealed(told).sentence.endswith("; also shown to another.")
    assert told.verdict == TRUSTED
    assert len(rows(desk, OPENED)) == 3


def test_the_same_days_of_another_venue_are_the_same_days(world: World, tmp_path: Path) -> None:
    """What Kraken quotes for a coin is no news to who has seen Binance."""
    desk = desk_at(tmp_path)
    judged(desk, recorded(world), chosen=BEST, open_holdout=True)
    told = judged(desk, recorded(world, "kraken"), chosen=OTHER, open_holdout=True)
    assert "follow saw days of" in sealed(told).sentence
    assert told.verdict != TRUSTED
    assert len(rows(desk, OPENED)) == 1


@pytest.mark.parametrize(
    ("holdout", "says"),
    [
        (0.0, "No days were sealed; nothing is left to prove it on."),
        (0.02, "is 2.0% of the bars; it takes 10% to prove it on."),
    ],
)
def test_without_enough_sealed_days_nothing_is_trusted(
    world: World, tmp_path: Path, holdout: float, says: str
) -> None:
    """A share so small that a few lucky trades fill it is not opened at all."""
    desk = desk_at(tmp_path)
    told = judged(desk, world, holdout=holdout, open_holdout=True)
    assert told.verdict == NOT_PROVEN
    assert says in sealed(told).sentence
    assert [f.name for f in told.against] == ["sealed days"]
    assert rows(desk, OPENED) == []


def test_too_few_trades_on_the_sealed_days_prove_nothing(world: World, tmp_path: Path) -> None:
    """It stops trading where they begin; the look is spent all the same."""
    ends = len(before_holdout(world).panel) + 30

    def resting(panel: Panel, fast: int = 24, slow: int = 96) -> Proposal:
        proposed = follow(panel, fast, slow)
        side = np.asarray(proposed.side) & (np.arange(len(panel)) < ends)[:, None]
        return Proposal(side, 100.0, 1.0, proposed.exit)

    desk = desk_at(tmp_path)
    told = judged(desk, world, resting, open_holdout=True)
    assert told.opened is not None
    assert f"not computable: n = {told.opened.trades}, needs 5 trades" in sealed(told).sentence
    assert (told.verdict, sealed(told).passed) == (NOT_PROVEN, None)
    assert len(rows(desk, OPENED)) == 1


def test_a_loss_on_the_sealed_days_rejects(tmp_path: Path) -> None:
    """Long from the seal on where it was not before: there it loses."""
    world = strong_world()
    first = len(before_holdout(world).panel)

    def stubborn(panel: Panel, fast: int = 24, slow: int = 96) -> Proposal:
        told = follow(panel, fast, slow)
        late = (np.arange(len(panel)) >= first)[:, None]
        return Proposal(np.asarray(told.side) ^ late, 100.0, 1.0, np.asarray(told.exit) ^ late)

    told = judged(desk_at(tmp_path), world, stubborn, open_holdout=True)
    assert told.verdict == REJECTED
    assert sealed(told).passed is False
    assert told.against[0] == sealed(told)


def test_days_that_were_shown_to_a_run_that_broke_are_opened(world: World, tmp_path: Path) -> None:
    """The row is there before the strategy is: what it saw before it broke, it saw. The same choice
    may be run to its end; another one has lost the days."""
    end, broken = before_holdout(world).panel.index[-1], tmp_path / "broken"

    def peeking(panel: Panel, fast: int = 24, slow: int = 96) -> Proposal:
        if panel.index[-1] > end and not broken.exists():
            broken.touch()
            raise KeyboardInterrupt
        return follow(panel, fast, slow)

    desk = desk_at(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        judged(desk, world, peeking, chosen=BEST, open_holdout=True)
    assert (len(rows(desk, OPENED)), len(rows(desk, EARNED))) == (1, 0)
    other = judged(desk, world, peeking, chosen=OTHER, open_holdout=True)
    assert "peeking saw days of" in sealed(other).sentence
    same = judged(desk, world, peeking, chosen=BEST, open_holdout=True)
    assert (same.verdict, sealed(same).passed) == (TRUSTED, True)
    assert (len(rows(desk, OPENED)), len(rows(desk, EARNED))) == (1, 1)
