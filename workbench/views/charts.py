"""Pictures: plotly figures of what the package has computed. No arithmetic beyond scaling an axis.

A figure made from a made-up world says SYNTHETIC in its title and across its face.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.domain import Panel, Regime
from workbench.research.history import History
from workbench.research.replay import Replay

BLUE, GREEN, RED, AMBER, GREY = "#2563eb", "#15803d", "#b91c1c", "#b45309", "#64748b"
MARKS = {
    "entry": ("triangle-up", GREEN),
    "stop": ("x", RED),
    "take_profit": ("circle", BLUE),
    "trail": ("diamond", AMBER),
    "exit": ("square", GREY),
}
MOST_POINTS = 4_000  # a line of more points than pixels is drawn from every k-th

TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1e293b"},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 56, "r": 16, "t": 56, "b": 40},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": -0.12},
        "title": {"x": 0, "xanchor": "left", "font": {"size": 15}},
        "xaxis": {"gridcolor": "#e2e8f0", "linecolor": "#cbd5e1", "zeroline": False},
        "yaxis": {"gridcolor": "#e2e8f0", "linecolor": "#cbd5e1", "zeroline": False},
    }
)


def equity(replay: Replay) -> go.Figure:
    """Equity with its trades, and the drawdown beneath."""
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.04)
    curve = thinned(replay.equity)
    figure.add_scatter(x=curve.index, y=curve, name="equity", line={"color": BLUE, "width": 1.4})
    for reason, fills in replay.fills.groupby("reason"):
        symbol, color = MARKS[str(reason)]
        figure.add_scatter(
            x=fills["time"], y=replay.equity.reindex(fills["time"]), mode="markers",
            name=str(reason).replace("_", " "),
            marker={"symbol": symbol, "color": color, "size": 4.5, "opacity": 0.5},
            text=fills["symbol"], hovertemplate="%{text}<extra>" + str(reason) + "</extra>",
        )  # fmt: skip
    depth = thinned(replay.equity / replay.equity.cummax() - 1.0)
    figure.add_scatter(
        x=depth.index, y=depth, name="drawdown", fill="tozeroy", row=2, col=1,
        line={"color": RED, "width": 1}, showlegend=False,
    )  # fmt: skip
    figure.update_yaxes(tickformat=",.0f", row=1, col=1)
    figure.update_yaxes(tickformat=".1%", row=2, col=1)
    return finished(figure, "Equity with its trades, and the drawdown", replay.panel, height=520)


def price(replay: Replay, symbol: str, bars: int = 24 * 30) -> go.Figure:
    """The `bars` candles of a symbol up to its last fill, and every fill on them."""
    own = replay.fills[replay.fills["symbol"] == symbol]
    after = 24 if len(own) else 0
    last = (
        int(replay.panel.index.searchsorted(own["time"].max())) if len(own) else len(replay.panel)
    )
    panel = replay.panel.rows(max(last + after - bars, 0), last + after)
    figure = go.Figure(
        go.Candlestick(
            x=panel.index, open=panel.open[symbol], high=panel.high[symbol],
            low=panel.low[symbol], close=panel.close[symbol], name=symbol,
            increasing_line_color=GREEN, decreasing_line_color=RED, line={"width": 0.8},
        )
    )  # fmt: skip
    own = own[own["time"] >= panel.index[0]]
    for reason, fills in own.groupby("reason"):
        mark, color = MARKS[str(reason)]
        figure.add_scatter(
            x=fills["time"], y=fills["price"], mode="markers", name=str(reason).replace("_", " "),
            marker={"symbol": mark, "color": color, "size": 11, "line": {"width": 1, "color": "white"}},
        )  # fmt: skip
    figure.update_layout(xaxis_rangeslider_visible=False)
    return finished(figure, f"{symbol}, price and fills", panel)


def regimes(panel: Panel, symbol: str, bars: int = 24 * 180) -> go.Figure:
    """A symbol's closes, coloured by the regime its bar closed in."""
    tail = panel.tail(bars)
    codes = pd.DataFrame(tail.context["regime"])[symbol]
    colors = {
        Regime.UNKNOWN: "#cbd5e1",
        Regime.RANGING: GREY,
        Regime.TRENDING: BLUE,
        Regime.HIGH_VOL: AMBER,
    }
    figure = go.Figure()
    for regime, color in colors.items():
        close = tail.close[symbol].where(codes == float(regime))
        if close.notna().any():
            figure.add_scatter(
                x=close.index, y=close, name=regime.name.lower().replace("_", " "),
                line={"color": color, "width": 1.3}, connectgaps=False,
            )  # fmt: skip
    return finished(figure, f"{symbol} by regime", panel)


def fates(history: History) -> go.Figure:
    """Where every signal ended: the last word of vote, judge and risk."""
    counts = history.signals.groupby(["stage", "rule"]).size().reset_index(name="signals")
    order = {"vote": 0, "judge": 1, "risk": 2, "traded": 3}
    counts = counts.sort_values(
        ["stage", "signals"], key=lambda c: c.map(order) if c.name == "stage" else -c
    )
    colors = {"vote": GREY, "judge": AMBER, "risk": RED, "traded": GREEN}
    labels = counts["stage"] + ": " + counts["rule"].str.replace("_", " ").str.lower()
    figure = go.Figure(
        go.Bar(
            x=counts["signals"], y=labels, orientation="h", text=counts["signals"],
            marker_color=counts["stage"].map(colors), cliponaxis=False,
        )
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(type="log", title="signals (log scale)")
    figure.update_layout(hovermode="closest")
    return finished(figure, "What became of every signal", history.world.panel)


def finished(figure: go.Figure, title: str, panel: Panel, height: int = 420) -> go.Figure:
    """The house's look; a made-up world says so."""
    mark: list[dict[str, Any]] = []
    if panel.synthetic:
        title = f"{title}  ·  SYNTHETIC"
        mark = [
            {
                "text": "SYNTHETIC", "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5,
                "showarrow": False, "textangle": -18, "opacity": 0.07, "font": {"size": 64},
            }
        ]  # fmt: skip
    figure.update_layout(template=TEMPLATE, title_text=title, height=height)
    for annotation in mark:
        figure.add_annotation(**annotation)
    return figure


def thinned(series: pd.Series[Any]) -> pd.Series[Any]:
    """Every k-th point, the last one always kept."""
    step = max(len(series) // MOST_POINTS, 1)
    rows = np.unique(np.append(np.arange(0, len(series), step), len(series) - 1))
    return series.iloc[rows]
