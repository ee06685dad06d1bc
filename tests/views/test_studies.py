"""The pictures of research and tuning show the numbers, say SYNTHETIC, and run no text."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import plotly.graph_objects as go
import pytest

from workbench.data.lake import Lake
from workbench.data.snapshot import World
from workbench.desk import Desk, Source
from workbench.domain import Panel, UsageError
from workbench.judges.rubric import rubric
from workbench.research.history import History, run_history
from workbench.research.sweep import Sweep, sweep
from workbench.strategies.ema_adx import ema_adx
from workbench.strategies.rsi_bounce import rsi_bounce
from workbench.tuning.scorecard import COIN, resolved, scorecard, telling
from workbench.views import evidence, studies

GRID = {"fast": [6, 12], "slow": [26, 48, 72]}
EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def desk(sample_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    source = Source(sample_lake.root, "sample", ("BTC/USDT", "ETH/USDT", "SOL/USDT"))
    journal = tmp_path_factory.mktemp("journal") / "journal.db"
    return Desk((ema_adx, rsi_bounce), judge=rubric, source=source, journal_path=journal)


@pytest.fixture(scope="module")
def world(desk: Desk) -> World:
    return desk.world("2023-04-01", "2023-06-30")


@pytest.fixture(scope="module")
def history(desk: Desk, world: World) -> History:
    return run_history(desk, world)


@pytest.fixture(scope="module")
def done(desk: Desk, world: World) -> Sweep:
    return sweep(desk, world, ema_adx, GRID)


@pytest.fixture(scope="module")
def cases(desk: Desk, world: World, history: History) -> pd.DataFrame:
    return resolved(history.judged, world.panel, desk.limits, desk.costs, desk.capital)


def every_picture(
    history: History, done: Sweep, cases: pd.DataFrame, panel: Panel
) -> dict[str, go.Figure]:
    return {
        "votes": studies.votes(history),
        "voted": studies.voted(history, "BTC/USDT"),
        "surface": evidence.surface(done),
        "worth": studies.worth(scorecard(cases), panel),
        "by_decision": studies.by_decision(cases, panel),
    }


def every_table(done: Sweep, cases: pd.DataFrame, panel: Panel) -> dict[str, str]:
    tables = {
        "sweep": studies.sweep_table(done),
        "ends": studies.ends_table(cases, panel),
        "card": studies.card_table(scorecard(cases), panel),
        "cases": studies.cases_table(telling(cases), panel),
    }
    return {name: table.to_html() for name, table in tables.items()}


def from_venue(done: Sweep, panel: Panel) -> Sweep:
    """The same sweep, as if its bars were recorded."""
    shown = replace(done.plan.panel, source=panel.source)
    proposer = replace(done.plan.proposer, panel=shown)
    return replace(done, plan=replace(done.plan, proposer=proposer))


def test_what_is_drawn_of_a_made_up_world_says_so_and_of_a_recorded_one_does_not(
    history: History, done: Sweep, cases: pd.DataFrame
) -> None:
    """In every title, across every face, in every caption."""
    made = history.world.panel
    told = replace(made, source="venue 1h, recorded")
    recorded = replace(history, world=replace(history.world, panel=told))
    for panel, run, swept, marked in (
        (made, history, done, True),
        (told, recorded, from_venue(done, told), False),
    ):
        for figure in every_picture(run, swept, cases, panel).values():
            faces = [note.text for note in figure.layout.annotations]
            assert ("SYNTHETIC" in figure.layout.title.text) == marked
            assert ("SYNTHETIC" in faces) == marked
        for table in every_table(swept, cases, panel).values():
            assert ("SYNTHETIC" in table) == marked


def test_the_same_numbers_are_the_same_page(
    history: History, done: Sweep, cases: pd.DataFrame
) -> None:
    """Pictures as JSON and tables as HTML, twice, to the byte."""
    panel = history.world.panel

    def page() -> list[str]:
        pictures = every_picture(history, done, cases, panel).values()
        return [figure.to_json() for figure in pictures] + [
            *every_table(done, cases, panel).values()
        ]

    assert page() == page()


def test_text_from_outside_is_shown_and_not_run(
    history: History, done: Sweep, cases: pd.DataFrame
) -> None:
    """A judge's name, a reason or a regime with markup in it."""
    panel = history.world.panel
    bad = cases.assign(source=EVIL, regime=EVIL, reason=EVIL, decision=EVIL)
    for table in every_table(done, bad, panel).values():
        assert EVIL not in table
    assert "&lt;script&gt;" in studies.cases_table(telling(bad), panel).to_html()
    assert EVIL not in studies.worth(scorecard(bad), panel).to_json()


def bars(figure: go.Figure) -> dict[str, dict[str, int]]:
    return {bar.name: dict(zip(bar.y, bar.x, strict=True)) for bar in figure.data}


def test_the_bars_are_the_votes_of_each_strategy_and_regime(history: History) -> None:
    drawn, signals = bars(studies.votes(history)), history.signals
    assert sum(drawn["counts"].values()) == (signals["muted"] == "").sum() > 0
    assert sum(drawn["muted"].values()) == (signals["muted"] != "").sum() > 0
    assert drawn["counts"]["ema_adx, ranging"] == 0  # not one of its regimes
    assert drawn["counts"]["ema_adx, trending"] > 0
    one = replace(history, signals=signals[signals["strategy"] == "ema_adx"])
    assert set(bars(studies.votes(one))["counts"]) == {
        "unknown", "ranging", "trending", "high vol",
    }  # fmt: skip


def test_every_vote_on_a_symbol_is_on_its_price(history: History) -> None:
    figure = studies.voted(history, "ETH/USDT", bars=24 * 30)
    close, *marks = figure.data
    recent = history.signals[
        (history.signals["symbol"] == "ETH/USDT")
        & (history.signals["t"] >= len(history.world.panel) - 24 * 30)
    ]
    assert sum(len(mark.x) for mark in marks) == len(recent) > 0
    line = dict(zip(pd.to_datetime(close.x, utc=True), close.y, strict=True))
    for mark in marks:
        assert [line[t] for t in pd.to_datetime(mark.x, utc=True)] == list(mark.y)
    with pytest.raises(UsageError, match="no XYZ/USDT; it has BTC/USDT"):
        studies.voted(history, "XYZ/USDT")


def test_the_table_of_a_sweep_begins_with_the_best_and_says_how_many_were_ever_tried(
    desk: Desk, world: World, done: Sweep
) -> None:
    shown = studies.sweep_table(done)
    first = shown.data.iloc[0]
    assert {name: first[name] for name in done.parameters} == done.best
    assert "6 sets of ema_adx" in shown.to_html()
    assert "Ever tried on these days: 6" in shown.to_html()
    more = sweep(desk, world, ema_adx, {"fast": [9], "slow": [26]})
    assert "Ever tried on these days: 7" in studies.sweep_table(more).to_html()


def test_the_worth_of_the_veto_is_drawn_with_its_interval_before_the_coins(
    cases: pd.DataFrame, world: World
) -> None:
    card = scorecard(cases)
    judge, coin = card.iloc[0], card.loc[COIN]
    figure = studies.worth(card, world.panel)
    [points] = figure.data
    assert (coin["low_quote"], coin["high_quote"]) in [(s.x0, s.x1) for s in figure.layout.shapes]
    assert list(points.y) == [card.index[0]] == ["RUBRIC (not an LLM)"]
    assert points.x[0] == judge["worth_quote"]
    assert points.x[0] + points.error_x.array[0] == pytest.approx(judge["high_quote"])
    assert points.x[0] - points.error_x.arrayminus[0] == pytest.approx(judge["low_quote"])
    assert judge["says"] in studies.card_table(card, world.panel).to_html()


def test_the_judge_that_always_proceeds_is_drawn_at_nothing(
    cases: pd.DataFrame, world: World
) -> None:
    always = cases.assign(source="ALWAYS (no judge)", kept=1.0)
    [points] = studies.worth(scorecard(always), world.panel).data
    assert (list(points.y), list(points.x)) == (["ALWAYS (no judge)"], [0.0])


def test_every_resolved_case_is_a_point_of_its_verdict(cases: pd.DataFrame, world: World) -> None:
    figure = studies.by_decision(cases, world.panel)
    points = [box.y for box in figure.data if box.type == "box"]
    assert sum(len(some) for some in points) == cases["return"].notna().sum() > 0


def test_what_nobody_judged_is_drawn_and_counted_as_that_and_not_as_a_skip(
    cases: pd.DataFrame, world: World
) -> None:
    """The first of a model's three cases came to nothing; it was skipped for safety."""
    three = cases[cases["return"].notna()].head(3)
    three = three.assign(decision="SKIP", code=["DEADLINE", "", ""])
    drawn = studies.by_decision(three, world.panel)
    points = {box.name: len(box.y) for box in drawn.data if box.type == "box"}
    assert points == {"SKIP<br>2": 2, "nobody judged<br>1": 1}
    ends = studies.ends_table(three, world.panel).data
    assert dict(ends["cases"]) == {"SKIP": 2, "nobody judged": 1}


def test_a_telling_case_says_what_the_model_may_have_known_and_a_rubric_has_nothing_to_say(
    cases: pd.DataFrame, world: World
) -> None:
    asked = cases.assign(knowledge="contaminated")
    shown = studies.cases_table(telling(asked), world.panel).data
    assert set(shown["knowledge"]) == {"contaminated"}
    assert "knowledge" not in studies.cases_table(telling(cases), world.panel).data


def test_nothing_judged_draws_empty_pictures(cases: pd.DataFrame, world: World) -> None:
    """And tables, without a warning."""
    none = cases.iloc[:0]
    assert studies.by_decision(none, world.panel).data == ()
    assert "no case is resolved" in studies.card_table(scorecard(none), world.panel).to_html()
    assert "<table" in studies.ends_table(none, world.panel).to_html()
    assert "<table" in studies.cases_table(telling(none), world.panel).to_html()
    assert studies.worth(scorecard(none), world.panel).layout.title.text
