"""The tear sheet's page shows the sheet's numbers, says SYNTHETIC, and runs no text."""

from __future__ import annotations

import html
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.research.test_tearsheet import ran, walk
from workbench.research.metrics import max_drawdown
from workbench.research.tearsheet import TearSheet, tear_sheet
from workbench.views import tearsheet

EVIL = "<script>alert('x')</script>"
MADE = "SYNTHETIC sample world, seed 7"


@pytest.fixture(scope="module")
def sheet() -> TearSheet:
    """Two years by hand of which nobody traded, beside a coin that was held."""
    run = ran(walk(3))
    held = (100.0 * (1.0 + walk(5)).cumprod()).rename("A/USDT")
    return tear_sheet(replace(run, source=MADE, synthetic=True), held)


def told(page: str) -> dict[str, str]:
    """The tiles of a page by their names."""
    cells = [cell.split("</div>")[0] for cell in page.split("<small>")[1:]]
    pairs = [cell.split("</small><br><b>") for cell in cells if "<br><b>" in cell]
    return {html.unescape(k): html.unescape(v.removesuffix("</b>")) for k, v in pairs}


def test_equity_and_drawdown_share_their_time_and_the_months_do_not(sheet: TearSheet) -> None:
    figure = tearsheet.sheet(sheet)
    equity, held, under, months = figure.data
    assert (equity.xaxis or "x", held.xaxis or "x") == ("x", "x")
    assert (under.xaxis, figure.layout.xaxis2.matches) == ("x2", "x")
    assert figure.layout.xaxis3.matches is None
    assert months.xaxis == "x3"
    assert equity.y[-1] == sheet.equity.iloc[-1]
    assert held.y[-1] == pytest.approx(sheet.capital * (1.0 + sheet["benchmark return"]))
    below = np.append(sheet.capital, sheet.equity)
    assert min(under.y) == pytest.approx(max_drawdown(pd.Series(below)))


def test_every_month_is_a_cell_with_its_percent(sheet: TearSheet) -> None:
    months = tearsheet.sheet(sheet).data[-1]
    assert list(months.x) == ["2023", "2024"]
    assert (months.y[-1], months.y[0]) == ("Jan", "year")
    for year in sheet.months.index:
        for month, value in sheet.months.loc[year].items():
            row, column = list(months.y).index(month), list(months.x).index(str(year))
            assert months.z[row][column] == pytest.approx(value, nan_ok=True)
            assert float(months.text[row][column]) == pytest.approx(100.0 * value, abs=0.0501)
    assert months.zmax == pytest.approx(np.abs(sheet.months.drop(columns="year")).max(axis=None))


def test_a_month_without_a_day_is_an_empty_cell() -> None:
    months = tearsheet.sheet(tear_sheet(ran(walk(1).iloc[:40]))).data[-1]
    cells = dict(zip(months.y, [row[0] for row in months.text], strict=True))
    assert cells["Mar"] == ""
    assert cells["Feb"] != ""


def test_every_figure_is_a_tile_with_its_unit_or_its_reason(sheet: TearSheet) -> None:
    tiles = told(tearsheet.figures(sheet).data)
    assert set(tiles) == set(sheet.figures.index)
    assert tiles["CAGR"] == f"{sheet['CAGR']:+.2%}"
    assert tiles["volatility"] == f"{sheet['volatility']:.2%}"
    assert tiles["Sharpe"] == f"{sheet['Sharpe']:.2f}"
    assert tiles["longest under water"] == f"{sheet['longest under water']:.0f} d"
    assert tiles["expectancy"] == "not computable: n = 0, needs 1"
    assert tiles["trades"] == "0"


def test_what_is_made_up_says_so_and_what_was_recorded_does_not(sheet: TearSheet) -> None:
    real = replace(sheet, source="venue 1h", synthetic=False)
    for shown, marked in ((sheet, True), (real, False)):
        figure = tearsheet.sheet(shown)
        faces = [note.text for note in figure.layout.annotations]
        assert ("SYNTHETIC" in figure.layout.title.text) == marked
        assert ("SYNTHETIC" in faces) == marked
        assert ("SYNTHETIC" in tearsheet.figures(shown).data) == marked


def test_text_from_outside_is_shown_and_not_run(sheet: TearSheet) -> None:
    assert sheet.benchmark is not None
    bad = replace(sheet, source=f"SYNTHETIC {EVIL}", benchmark=sheet.benchmark.rename(EVIL))
    page = tearsheet.figures(bad).data
    assert EVIL not in page
    assert html.escape(EVIL) in page
    assert EVIL not in tearsheet.sheet(bad).to_json()


def test_a_run_of_one_day_is_drawn_too() -> None:
    """And one that never moved: no colour scale to divide by."""
    for returns in ([0.0], [0.01]):
        figure = tearsheet.sheet(tear_sheet(ran(returns)))
        assert figure.data[-1].zmax > 0.0


def test_the_same_sheet_is_the_same_page(sheet: TearSheet) -> None:
    assert tearsheet.sheet(sheet).to_json() == tearsheet.sheet(sheet).to_json()
    assert tearsheet.figures(sheet).data == tearsheet.figures(sheet).data
