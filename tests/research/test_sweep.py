"""A small grid tells what each set did before and after the split, and how many were tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workbench.data.lake import Lake
from workbench.data.snapshot import World
from workbench.desk import Desk, Source
from workbench.domain import DataError, Limits, Panel, UsageError, Votes
from workbench.judges.always import always
from workbench.research.history import run_history
from workbench.research.metrics import summary
from workbench.research.sweep import FIGURES, IN, OUT, SHARPE, Sweep, alone, sweep
from workbench.strategies.news_sentiment import news_sentiment
from workbench.strategies.vote import strategy

GRID = {"bars": [3, 6], "least": [0.01, 0.02, 9.0]}


@strategy(category="trend", regimes={"trending", "ranging", "high_vol"}, lookback=10)
def follow(panel: Panel, bars: int = 5, least: float = 0.01) -> Votes:
    """With a move of `least` over some bars; a move of 9 there is none."""
    change = panel.close / panel.close.shift(bars) - 1.0
    side = (change > least).astype(int) - (change < -least).astype(int)
    return Votes(side, (60.0 + 100.0 * change.abs()).clip(0.0, 90.0).where(side != 0, 0.0))


@pytest.fixture(scope="module")
def desk(sample_lake: Lake) -> Desk:
    source = Source(sample_lake.root, "sample", ("BTC/USDT", "ETH/USDT", "SOL/USDT"))
    return Desk(strategies=(follow,), judge=always, source=source, limits=Limits(allow_short=True))


@pytest.fixture(scope="module")
def world(desk: Desk) -> World:
    return desk.world("2023-06-01", "2023-06-12")


@pytest.fixture(scope="module")
def done(desk: Desk, world: World) -> Sweep:
    return sweep(desk, world, follow, GRID)


def test_every_set_of_the_grid_has_a_row_in_and_a_row_out_of_sample(done: Sweep) -> None:
    assert done.tried == 6
    assert done.parameters == ("bars", "least")
    assert list(done.frame.columns) == ["set", "bars", "least", "part", *FIGURES, "rank"]
    assert [dict(s) for s in done.sets] == [
        {"bars": b, "least": x} for b in GRID["bars"] for x in GRID["least"]
    ]
    for part in (IN, OUT):
        rows = done.part(part)
        assert list(rows.index) == list(range(6))
        assert rows[["bars", "least"]].to_dict("records") == [dict(s) for s in done.sets]


@pytest.mark.parametrize("k", [0, 4])
def test_each_part_is_what_an_unjudged_run_of_that_part_makes(
    desk: Desk, world: World, done: Sweep, k: int
) -> None:
    """The strategy alone, everything proceeds, a flat book at the start of either part."""
    at = world.panel.index.get_loc(done.split)
    runs = {
        IN: replace(world, panel=world.panel.rows(0, at)),
        OUT: replace(world, start=at),
    }
    single = replace(desk, strategies=(follow.having(**done.sets[k]),))
    for part, own in runs.items():
        expected = summary(run_history(single, own).replay)
        for name in FIGURES:
            assert done.part(part)[name][k] == expected[name]
        assert done.part(part)["trades"][k] > 3


def test_two_thirds_of_the_tradable_bars_are_in_sample_unless_said_otherwise(
    desk: Desk, world: World, done: Sweep
) -> None:
    first = world.panel.index[world.start]
    assert done.panel.index[0] == first == pd.Timestamp("2023-06-01", tz="UTC")
    assert done.split == pd.Timestamp("2023-06-09", tz="UTC")  # 8 of 12 days
    other = sweep(desk, world, follow, {"bars": [3]}, split="2023-06-05")
    assert other.split == pd.Timestamp("2023-06-05", tz="UTC")


def test_what_comes_after_the_split_changes_nothing_before_it(
    desk: Desk, world: World, done: Sweep
) -> None:
    """The later bars upside down: the same in-sample figures, others out-of-sample."""
    at, panel = world.panel.index.get_loc(done.split), world.panel
    frames = {}
    for name in ("open", "high", "low", "close"):
        other = {"high": "low", "low": "high"}.get(name, name)
        frames[name] = getattr(panel, name).copy()
        frames[name].iloc[at:] = 1e6 / getattr(panel, other).iloc[at:]
    turned = Panel.from_frames(
        **frames, volume=panel.volume, timeframe=panel.timeframe, context=panel.context
    )
    again = sweep(desk, replace(world, panel=turned), follow, GRID)
    pd.testing.assert_frame_equal(again.part(IN), done.part(IN))
    assert (again.part(OUT)["total return"] != done.part(OUT)["total return"]).any()


def test_a_set_that_never_trades_has_no_sharpe_and_ranks_last(done: Sweep) -> None:
    for part in (IN, OUT):
        rows = done.part(part)
        idle = rows["least"] == 9.0
        assert (rows["trades"][idle] == 0).all()
        assert rows[SHARPE][idle].isna().all()
        assert (rows["rank"][idle] == 6).all()
        assert rows["rank"][~idle].max() == 4


def test_the_best_is_that_of_the_in_sample_sharpe_alone(done: Sweep) -> None:
    inside = done.part(IN)
    assert inside["rank"][done.best_set] == 1
    assert inside[SHARPE][done.best_set] == inside[SHARPE].max()
    assert done.best == dict(done.sets[done.best_set])
    assert type(done.best["bars"]) is int


def made_of(done: Sweep, inside: Sequence[float], outside: Sequence[float]) -> Sweep:
    """The sweep with other Sharpes."""
    frame = done.frame.copy()
    frame.loc[frame["part"] == IN, SHARPE] = list(inside)
    frame.loc[frame["part"] == OUT, SHARPE] = list(outside)
    return replace(done, frame=frame)


NAN = math.nan


@pytest.mark.parametrize(
    ("inside", "outside", "rho"),
    [
        ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 60], 1.0),
        ([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, -9], -1.0),
        ([NAN, 2, 3, 4, 5, 6], [-9, 2, 3, 4, 5, 6], 1.0),  # no Sharpe counts as the worst
        ([1, 1, 1, 1, 1, 1], [1, 2, 3, 4, 5, 6], NAN),
        ([NAN] * 6, [1, 2, 3, 4, 5, 6], NAN),
    ],
)
def test_the_rank_correlation_of_the_two_parts(
    done: Sweep, inside: list[float], outside: list[float], rho: float
) -> None:
    assert made_of(done, inside, outside).rank_correlation == pytest.approx(rho, nan_ok=True)


def test_the_first_of_equal_sets_is_the_best(done: Sweep) -> None:
    assert made_of(done, [1, 7, 7, 2, 7, NAN], [1] * 6).best_set == 1


def test_if_nothing_traded_there_is_no_best(done: Sweep) -> None:
    with pytest.raises(DataError, match="none of 6 sets of follow has an in-sample Sharpe"):
        _ = made_of(done, [NAN] * 6, [1] * 6).best


def test_equal_sets_share_the_worse_place(desk: Desk, world: World) -> None:
    """Moves of 9 and of 10 there are none: two sets that are the same."""
    tied = sweep(desk, world, follow, {"least": [9.0, 0.01, 10.0]})
    assert list(tied.part(IN)["rank"]) == [3, 1, 3]


def test_the_same_sweep_twice_is_the_same(desk: Desk, world: World, done: Sweep) -> None:
    said: list[tuple[int, int, str]] = []
    again = sweep(desk, world, follow, GRID, progress=lambda k, n, what: said.append((k, n, what)))
    pd.testing.assert_frame_equal(again.frame, done.frame)
    assert said == [(k, 6, "sweep") for k in range(1, 7)]


@pytest.mark.parametrize(
    ("grid", "split", "says"),
    [
        ({}, None, "the grid is empty; follow has bars, least"),
        ({"bar": [1]}, None, "no parameter 'bar'; the nearest is bars"),
        ({"panel": [1]}, None, "no parameter 'panel'"),
        ({"bars": []}, None, "give a list of values"),
        ({"bars": "12"}, None, "give a list of values"),
        ({"bars": [3, 3]}, None, "a value twice"),
        ({"bars": [3]}, "2023-06-01", "leaves nothing on one side"),
        ({"bars": [3]}, "2023-07-01", "leaves nothing on one side"),
        ({"bars": [3]}, "soon", "'soon' is not a time"),
        ({"bars": [3]}, "", "'' is not a time"),
    ],
)
def test_a_grid_or_a_split_that_cannot_be_is_refused(
    desk: Desk, world: World, grid: dict, split: str | None, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        sweep(desk, world, follow, grid, split)


def test_a_strategy_that_reads_text_is_refused_because_it_never_trades_alone(
    desk: Desk, world: World
) -> None:
    with pytest.raises(UsageError, match="news_sentiment reads text and never trades alone"):
        sweep(desk, world, news_sentiment, {"z_min": [2.0]})


def test_a_desk_alone_keeps_everything_but_the_other_strategies(desk: Desk) -> None:
    both = replace(desk, strategies=(follow, news_sentiment))
    assert alone(both, "news_sentiment").strategies == (news_sentiment,)
    assert alone(both, "follow") == desk
    with pytest.raises(UsageError, match="no strategy 'folow'; the nearest is follow"):
        alone(both, "folow")


def test_numpy_values_are_as_good_as_a_list(desk: Desk, world: World) -> None:
    assert sweep(desk, world, follow, {"bars": np.array([3, 6])}).tried == 2
