"""The tear sheet on a page: equity with its drawdown beneath, the months, and the figures.

Nothing is computed here beyond scaling; a made-up world says SYNTHETIC.
"""

from __future__ import annotations

import html
import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from IPython.display import HTML
from plotly.subplots import make_subplots

from workbench.research.tearsheet import TearSheet
from workbench.views.charts import BLUE, GREY, RED, finished, thinned
from workbench.views.tables import caption, tiles

FORMATS = {
    "share": "{:+.2%}", "ratio": "{:.2f}", "count": "{:,.0f}", "days": "{:,.0f} d",
    "hours": "{:,.1f} h", "money": "{:,.2f}",
}  # fmt: skip
UNSIGNED = ("volatility", "positive days", "win rate", "exposed", "fees of gross profit")
ROWS = ((0.69, 1.0), (0.50, 0.67), (0.0, 0.41))  # the months' years stand above them
LOSS_TO_GAIN = [[0.0, "#f59e8b"], [0.5, "#f8fafc"], [1.0, "#7fc6a4"]]
INK = "#1e293b"  # on the pale cells, in the dark too


def sheet(shown: TearSheet) -> go.Figure:
    """Equity (and what holding the benchmark came to), the drawdown on the same time axis, and the
    return of every month, a column a year."""
    figure = make_subplots(rows=3)
    equity = thinned(shown.equity)
    figure.add_scatter(x=equity.index, y=equity, name="equity", line={"color": BLUE, "width": 1.5})
    if shown.benchmark is not None:
        held = thinned(shown.capital * (1.0 + shown.benchmark).cumprod())
        figure.add_scatter(
            x=held.index, y=held, name=f"{html.escape(str(held.name))} held",
            line={"color": GREY, "width": 1, "dash": "dot"},
        )  # fmt: skip
    under = thinned(shown.equity / np.fmax(shown.equity.cummax(), shown.capital) - 1.0)
    figure.add_scatter(
        x=under.index, y=under, name="drawdown", fill="tozeroy", showlegend=False,
        line={"color": RED, "width": 1}, row=2, col=1,
    )  # fmt: skip
    _add_months(figure, shown.months)
    figure.update_xaxes(showticklabels=False, row=1, col=1)
    figure.update_xaxes(matches="x", tickangle=0, nticks=6, row=2, col=1)
    for row, (low, high) in enumerate(ROWS, start=1):
        figure.update_yaxes(domain=[low, high], row=row, col=1)
    figure.update_yaxes(tickformat=",.2~f", row=1, col=1)
    figure.update_yaxes(tickformat=".1%", row=2, col=1)
    figure.update_layout(legend={"y": 1.0, "yanchor": "bottom", "x": 1.0, "xanchor": "right"})
    return finished(figure, "Tear sheet, months in %", shown, height=820)


def figures(shown: TearSheet) -> HTML:
    """Every figure, a tile each; what could not be computed says why."""
    own = shown.figures
    names = list(own.index)
    trades = names.index("trades")
    beside = names.index("benchmark return") if "benchmark return" in names else len(names)
    groups = {
        caption("By days of 24 h, 365 to a year", shown): names[:trades],
        "Closed trades, net of costs": names[trades:beside],
    }
    if shown.benchmark is not None:
        groups[f"Beside {shown.benchmark.name} held"] = names[beside:]
    parts = (
        tiles({name: text(own.loc[name]) for name in group}, says).data
        for says, group in groups.items()
    )
    return HTML("".join(parts))


def text(row: pd.Series) -> str:
    """One figure with its unit, or the reason why there is none."""
    if math.isnan(row["value"]):
        return str(row["says"])
    form = FORMATS[row["unit"]]
    return (form.replace("+", "") if row.name in UNSIGNED else form).format(row["value"])


def _add_months(figure: go.Figure, months: pd.DataFrame) -> None:
    """Years across and months down, so that a phone holds ten years."""
    table = months.T.iloc[::-1]  # January on top
    values = table.to_numpy(float)
    most = float(np.nanmax(np.abs(values[1:]), initial=0.0)) or 1.0  # a year outdoes its months
    percent = np.round(100.0 * np.nan_to_num(values), 1) + 0.0  # no -0.0
    told = np.where(np.isnan(values), "", np.char.mod("%+.1f", percent))
    figure.add_heatmap(
        z=values, x=[str(year) for year in table.columns], y=list(table.index), text=told,
        texttemplate="%{text}", textfont={"color": INK, "size": 11}, zmin=-most, zmax=most,
        colorscale=LOSS_TO_GAIN, showscale=False, hoverongaps=False, xgap=2, ygap=2,
        hovertemplate="%{y} %{x}: %{z:+.2%}<extra></extra>", row=3, col=1,
    )  # fmt: skip
    figure.update_xaxes(type="category", side="top", showgrid=False, row=3, col=1)
    figure.update_yaxes(type="category", showgrid=False, dtick=1, row=3, col=1)
