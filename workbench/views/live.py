"""The one live picture: equity and drawdown in a figure that is updated in place.

A figure widget brings five megabytes of script with it, so a page has one. Its lines are thinned,
and its text is coloured by the page's style sheet, which knows light from dark.
"""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.views.watch import Curve

GREY, BLUE, RED = "#7b8797", "#3b82f6", "#ef4444"
GRID = "rgba(123, 135, 151, 0.22)"
EQUITY, DRAWDOWN = 0, 1


def equity_figure(curve: Curve, synthetic: bool) -> go.FigureWidget:
    """Equity above, drawdown from the peak beneath."""
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.06)
    figure.add_scatter(
        name="equity", x=curve.times, y=curve.equity, line={"color": BLUE, "width": 1.6}
    )
    figure.add_scatter(
        name="drawdown", x=curve.times, y=curve.drawdown, fill="tozeroy",
        fillcolor="rgba(239, 68, 68, 0.25)", line={"color": RED, "width": 1}, row=2, col=1,
    )  # fmt: skip
    axis = {"gridcolor": GRID, "linecolor": GRID, "zeroline": False, "color": GREY}
    figure.update_xaxes(axis)
    figure.update_yaxes(axis)
    figure.update_yaxes(tickformat=",", row=1, col=1)
    depth = {"clipmax": 0.0, "include": [-0.005, 0.0]}
    figure.update_yaxes(tickformat=".1%", nticks=4, autorangeoptions=depth, row=2, col=1)
    figure.update_layout(
        template="none", paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12, "color": GREY},
        margin={"l": 56, "r": 12, "t": 8, "b": 44}, height=346, autosize=True,
        showlegend=False, hovermode="x unified", dragmode=False, uirevision="kept",
        annotations=[
            {
                "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.62, "showarrow": False,
                "opacity": 0.13, "font": {"size": 46},
            }
        ],
    )  # fmt: skip
    _label(figure, curve, synthetic)
    return go.FigureWidget(figure)  # complete: what is set later reaches only a page that is there


def redraw(figure: go.FigureWidget, curve: Curve, synthetic: bool) -> None:
    """Put another curve into the figure, in one message."""
    with figure.batch_update():
        figure.data[EQUITY].update(x=curve.times, y=curve.equity)
        figure.data[DRAWDOWN].update(x=curve.times, y=curve.drawdown)
        _label(figure, curve, synthetic)


def _label(figure: go.Figure, curve: Curve, synthetic: bool) -> None:
    """Made-up data says so across its face; axes of nothing are left away."""
    empty = len(curve.times) == 0
    figure.update_xaxes(visible=not empty)
    figure.update_yaxes(visible=not empty)
    text = "no bar yet" if empty else "SYNTHETIC" if synthetic else ""
    figure.layout.annotations[0].text = text
