"""The pictures of research show the numbers, say SYNTHETIC, and run no text."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from tests.proposals import random_proposal
from tests.research.test_slippage import FEE, UP, WIDE, seesaw
from tests.strategies import random_panel
from workbench.domain import Costs, Limits, Panel, UsageError
from workbench.research.metrics import sharpe, trades
from workbench.research.replay import Replay, replay
from workbench.research.slippage import CostStudy, cost_study
from workbench.views import evidence, verdict

EVIL = "<script>alert('x')</script>"
MADE = "SYNTHETIC walks, seed 7"
GRID = {"fast": [6, 9, 12], "slow": [26, 48, 36]}


@dataclass(frozen=True)
class Swept:
    """A sweep of which the figures are made up: the Sharpe of set k is in `sharpes`."""

    sets: tuple[Mapping[str, Any], ...]
    frame: pd.DataFrame
    panel: Panel
    strategy: str = "ema_adx"

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(self.sets[0])

    @property
    def tried(self) -> int:
        return len(self.sets)

    @property
    def best(self) -> dict[str, Any]:
        return dict(self.sets[int(self.frame[evidence.SHARPE].idxmax())])


def swept(panel: Panel, grid: Mapping[str, list[Any]], best: int, missing: int = -1) -> Swept:
    sets = tuple(dict(zip(grid, v, strict=True)) for v in itertools.product(*grid.values()))
    k = np.arange(len(sets))
    frame = pd.DataFrame(sets).rename_axis(index="set")
    figures = {"trades": 10 * k, "total return": k / 100.0, "max drawdown": -k / 100.0}
    frame = frame.assign(**figures, exposed=0.5, fees=1.0, **{"win rate": 0.5})
    frame[evidence.SHARPE] = np.where(k == best, 9.0, k / 10.0)
    if missing >= 0:
        frame.loc[missing, evidence.SHARPE] = math.nan
    return Swept(sets, frame, panel)


@dataclass(frozen=True)
class Fold:
    chosen: Mapping[str, Any]
    inside: pd.Series[Any]
    outside: pd.Series[Any]


@dataclass(frozen=True)
class Finding:
    name: str
    figure: float | None
    threshold: str
    passed: bool | None
    sentence: str


@dataclass(frozen=True)
class Judged:
    verdict: str
    findings: tuple[Finding, ...]
    strategy: str = "ema_adx"
    source: str = MADE


FINDINGS = (
    Finding("deflated Sharpe", 0.4213, "at least 0.95", False, "Noise does as well."),
    Finding("plateau", 0.82, "at least 0.5", True, "The neighbours hold."),
    Finding("track record", None, "at most 730", None, "not computable: n = 7, needs 30"),
    Finding("length", 3.2, "told only", None, "3.2 years."),
    Finding("splits", 12870.0, "above 100", True, "Enough."),
)


@pytest.fixture(scope="module")
def run() -> Replay:
    panel = replace(random_panel(2_000, seed=7), source=MADE)
    loose = Limits(max_correlation=1.0, max_deployed=1.0, max_position=0.2)
    return replay(panel, random_proposal(panel, 3, density=0.01, shorts=False), loose, Costs())


@pytest.fixture(scope="module")
def study() -> CostStudy:
    panel, wanted = seesaw(UP, history=True)
    return cost_study(replace(panel, source=MADE), wanted, WIDE, FEE)


@pytest.fixture(scope="module")
def folds() -> list[Fold]:
    days = pd.date_range("2023-01-01", periods=50, freq="1D", tz="UTC")
    returns = pd.Series(np.random.default_rng(1).normal(0.001, 0.01, 50), days)
    cuts = (0, 10, 20)
    return [
        Fold({"fast": 9 + k}, returns.iloc[k : k + 20], returns.iloc[k + 20 : k + 30]) for k in cuts
    ]


def every_picture(
    run: Replay, study: CostStudy, folds: list[Fold], panel: Panel
) -> dict[str, go.Figure]:
    return {
        "traded": evidence.traded(run, "ETH/USDT"),
        "surface": evidence.surface(swept(panel, GRID, 4)),
        "line": evidence.surface(swept(panel, {"fast": [6, 9]}, 1)),
        "walk": evidence.walk_forward(folds, panel),
        "costs": evidence.cost_sensitivity(study),
    }


def test_what_is_drawn_of_a_made_up_world_says_so_and_of_a_recorded_one_does_not(
    run: Replay, study: CostStudy, folds: list[Fold]
) -> None:
    made, real = run.panel, replace(run.panel, source="venue 1h, recorded")
    for panel, marked in ((made, True), (real, False)):
        ran, studied = replace(run, panel=panel), replace(study, panel=panel)
        for name, figure in every_picture(ran, studied, folds, panel).items():
            faces = [note.text for note in figure.layout.annotations]
            assert ("SYNTHETIC" in figure.layout.title.text) == marked, name
            assert ("SYNTHETIC" in faces) == marked, name
        assert ("SYNTHETIC" in evidence.cost_table(studied).to_html()) == marked


def test_the_same_numbers_are_the_same_page(
    run: Replay, study: CostStudy, folds: list[Fold]
) -> None:
    def page() -> list[str]:
        pictures = every_picture(run, study, folds, run.panel).values()
        return [p.to_json() for p in pictures] + [evidence.cost_table(study).to_html()]

    assert page() == page()


def test_every_closed_trade_of_the_symbol_is_on_its_price(run: Replay) -> None:
    """From its entry to its exit, which says why and what it came to."""
    figure = evidence.traded(run, "ETH/USDT", bars=2_000)
    own = trades(run.fills)
    own = own[own["symbol"] == "ETH/USDT"]
    drawn = {trace.name: trace for trace in figure.data}
    assert len(drawn["long"].x) == len(own) > 3
    assert list(drawn["long"].y) == own["entry"].tolist()
    for reason, some in own.groupby("reason"):
        marks = drawn[str(reason).replace("_", " ")]
        assert list(marks.y) == some["exit"].tolist()
        assert marks.customdata[:, 0].tolist() == some["return"].tolist()
        won = (some["return"] > 0.0).tolist()
        assert [color == evidence.GREEN for color in marks.marker.color] == won
    paths = [y for name in ("won", "lost") for y in drawn[name].y if y is not None]
    assert sorted(paths) == sorted([*own["entry"], *own["exit"]])


def test_price_equity_and_drawdown_share_their_time(run: Replay) -> None:
    figure = evidence.traded(run, "ETH/USDT", bars=500)
    assert figure.layout.xaxis.matches == figure.layout.xaxis2.matches == "x3"
    drawn = {trace.name: trace for trace in figure.data}
    assert (drawn["equity"].yaxis, drawn["drawdown"].yaxis) == ("y2", "y3")
    assert len(drawn["close"].x) == len(drawn["equity"].x) == 500
    assert drawn["equity"].y[-1] == run.equity.iloc[-1]
    whole = run.equity / run.equity.cummax() - 1.0  # below the peak of all, not of these bars
    assert list(drawn["drawdown"].y) == whole.tail(500).tolist()
    assert min(pd.to_datetime(drawn["long"].x, utc=True)) >= run.panel.index[-500]


def test_a_symbol_that_the_run_does_not_have_is_refused(run: Replay) -> None:
    with pytest.raises(UsageError, match="no XYZ/USDT; it has BTC/USDT"):
        evidence.traded(run, "XYZ/USDT")


def framed(figure: go.Figure) -> dict[tuple[str, str], str]:
    """The cells that are framed, by their (x, y), and how."""
    [cells] = [trace for trace in figure.data if trace.type == "heatmap"]
    return {
        (cells.x[round((s.x0 + s.x1) / 2)], cells.y[round((s.y0 + s.y1) / 2)]): s.line.dash
        for s in figure.layout.shapes
    }


def test_the_surface_frames_the_chosen_set_and_dots_its_neighbours(run: Replay) -> None:
    """Set 4 is fast 9, slow 48, the last of the sorted slows: it has three neighbours."""
    figure = evidence.surface(swept(run.panel, GRID, best=4), across="fast")
    cells = figure.data[0]
    assert list(cells.x) == ["6", "9", "12"]
    assert list(cells.y) == ["26", "36", "48"]  # sorted, however the grid had them
    assert framed(figure) == {
        ("9", "48"): "solid", ("6", "48"): "dot", ("12", "48"): "dot", ("9", "36"): "dot",
    }  # fmt: skip
    assert cells.z[2][1] == 9.0
    assert cells.customdata[2][1].tolist() == [9.0, 40.0, pytest.approx(0.04)]


def test_the_axes_may_be_named_and_the_figure_chosen(run: Replay) -> None:
    done = swept(run.panel, GRID, best=4)
    figure = evidence.surface(done, "total return", across="slow")
    cells = figure.data[0]
    assert figure.layout.xaxis.title.text == "slow"
    assert figure.layout.yaxis.title.text == "fast"
    assert cells.z[1][2] == pytest.approx(0.04)
    assert figure.layout.title.text.startswith("ema_adx: return, 9 sets")


def test_a_set_without_a_figure_is_an_empty_cell_and_none_is_dropped(run: Replay) -> None:
    cells = evidence.surface(swept(run.panel, GRID, best=4, missing=0)).data[0]
    assert math.isnan(cells.z[0][0])
    assert np.isfinite(np.asarray(cells.z, float)).sum() == 8


def test_a_combination_that_was_not_tried_is_no_neighbour(run: Replay) -> None:
    """The grid had no valid set of fast 12, slow 48, nor of fast 9, slow 36."""
    done = swept(run.panel, GRID, best=4)
    tried = done.frame.drop(index=[7, 5])
    figure = evidence.surface(replace(done, frame=tried), across="fast")
    assert framed(figure) == {("9", "48"): "solid", ("6", "48"): "dot"}
    assert list(figure.data[0].x) == ["6", "9", "12"]


def test_further_parameters_stay_at_the_chosen_sets_values_and_the_title_says_which(
    run: Replay,
) -> None:
    """Of 27 sets the nine with the chosen adx of 20; set 4 + 9 of them."""
    done = swept(run.panel, {"adx": [15, 20, 25], **GRID}, best=13)
    figure = evidence.surface(done, across="fast", down="slow")
    assert "27 sets<br>adx 20" in figure.layout.title.text
    assert framed(figure)["9", "48"] == "solid"
    assert np.asarray(figure.data[0].z, float).size == 9
    assert figure.data[0].z[0][0] == pytest.approx(0.9)  # set 9: adx 20, fast 6, slow 26


def test_one_parameter_is_a_line_with_its_chosen_point(run: Replay) -> None:
    figure = evidence.surface(swept(run.panel, {"fast": [12, 6, 9], "slow": [26]}, best=2))
    line, chosen = figure.data
    assert (list(line.x), list(line.y)) == ([6, 9, 12], [0.1, 9.0, 0.0])
    assert (list(chosen.x), list(chosen.y)) == ([9], [9.0])


def test_words_are_steps_of_a_grid_too(run: Replay) -> None:
    figure = evidence.surface(swept(run.panel, {"kind": ["wide", "narrow"], "fast": [6, 9]}, 0))
    assert list(figure.data[0].y) == ["wide", "narrow"]  # as the grid has them


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"figure": "luck"}, "no figure 'luck'; choose from trades"),
        ({"across": "colour"}, "'colour' was not varied; choose from fast, slow"),
    ],
)
def test_a_surface_of_what_is_not_there_names_what_is(
    run: Replay, asked: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        evidence.surface(swept(run.panel, GRID, 4), **asked)
    with pytest.raises(UsageError, match="varies nothing; give a grid"):
        evidence.surface(swept(run.panel, {"fast": [6]}, 0))


def test_the_walk_forward_chains_what_came_and_what_was_promised(folds: list[Fold]) -> None:
    figure = evidence.walk_forward(folds, replace(random_panel(60, seed=1), source=MADE))
    promised, came, inside, outside = figure.data
    assert came.y[-1] == pytest.approx(math.prod(1 + r for f in folds for r in f.outside) - 1)
    expected = math.prod((1 + f.inside.mean()) ** len(f.outside) for f in folds) - 1
    assert promised.y[-1] == pytest.approx(expected)
    assert list(inside.y) == [sharpe(fold.inside) for fold in folds]
    assert list(outside.y) == [sharpe(fold.outside) for fold in folds]
    assert list(outside.text) == ["fast 9", "fast 19", "fast 29"]
    with pytest.raises(UsageError, match="no folds"):
        evidence.walk_forward([], random_panel(60, seed=1))


def test_the_costs_are_drawn_and_told(study: CostStudy) -> None:
    whole, own = evidence.cost_sensitivity(study).data
    assert list(whole.x) == [0.0, 0.5, 1.0, 2.0, 3.0, 5.0]
    assert whole.y[2] == pytest.approx(0.02 - 0.00202)
    assert (whole.name, own.name) == ("all", "A/USDT")
    page = evidence.cost_table(study).to_html()
    assert "+200.0" in page  # gross, in basis points
    assert "198.0" in page  # where nothing is left
    assert "costs.impact is 0: size costs nothing" in page


@pytest.mark.parametrize("word", ["TRUSTED", "NOT PROVEN", "REJECTED"])
def test_the_verdict_is_a_word_and_a_colour(word: str) -> None:
    page = verdict.verdict(Judged(word, FINDINGS)).data
    assert f"background: {verdict.VERDICTS[word]}" in page
    assert f">{word}</b>" in page
    assert len(set(verdict.VERDICTS.values())) == 3


def test_every_finding_is_a_row_with_its_figure_threshold_word_and_sentence() -> None:
    page = verdict.verdict(Judged("NOT PROVEN", FINDINGS)).data
    rows = page.split("<tr>")[2:]
    assert len(rows) == 5
    for row, (figure, word) in zip(
        rows,
        [
            ("0.421", "failed"),
            ("0.82", "passed"),
            ("none", "open"),
            ("3.2", "told only"),
            ("12,870", "passed"),
        ],
        strict=True,
    ):
        assert f">{figure}</td>" in row
        assert f">{word}</b>" in row
    for row, finding in zip(rows, FINDINGS, strict=True):
        assert all(told in row for told in (finding.name, finding.threshold, finding.sentence))
    assert "2 of 4 tests passed, 1 open, on SYNTHETIC walks" in page


def test_text_from_outside_is_shown_and_not_run(run: Replay, folds: list[Fold]) -> None:
    bad = Judged(EVIL, (Finding(EVIL, 1.0, EVIL, True, EVIL),), EVIL, EVIL)
    page = verdict.verdict(bad).data
    assert EVIL not in page
    assert page.count(html.escape(EVIL)) == 6
    done = replace(swept(run.panel, GRID, 4), strategy=EVIL)
    evil = [replace(fold, chosen={EVIL: EVIL}) for fold in folds]
    for figure in (evidence.surface(done), evidence.walk_forward(evil, run.panel)):
        assert EVIL not in figure.to_json()
