"""Pictures: plotly figures of what the package has computed. No arithmetic beyond scaling an axis.

A figure made from a made-up world says SYNTHETIC in its title and across its face.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.domain import Limits, Panel, Regime, is_carry
from workbench.research.metrics import Result
from workbench.research.replay import Replay
from workbench.trading.weekly import Week

BLUE, GREEN, RED, AMBER, GREY = "#3b82f6", "#16a34a", "#dc2626", "#d97706", "#718096"
GRID = "rgba(113,128,150,0.25)"
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
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": GREY},
        "paper_bgcolor": "rgba(0,0,0,0)",  # so that a page may be dark
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 56, "r": 16, "t": 56, "b": 40},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": -0.12},
        "title": {"x": 0, "xanchor": "left", "font": {"size": 15}},
        "xaxis": {"gridcolor": GRID, "linecolor": GRID, "zeroline": False},
        "yaxis": {"gridcolor": GRID, "linecolor": GRID, "zeroline": False},
    }
)


def equity(run: Result, title: str = "Equity with its trades, and the drawdown") -> go.Figure:
    """Equity with its trades, and the drawdown beneath."""
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.04)
    curve = thinned(run.equity)
    figure.add_scatter(x=curve.index, y=curve, name="equity", line={"color": BLUE, "width": 1.4})
    for reason, fills in run.fills.groupby("reason"):
        symbol, color = MARKS[str(reason)]
        figure.add_scatter(
            x=fills["time"], y=run.equity.reindex(fills["time"]), mode="markers",
            name=str(reason).replace("_", " "),
            marker={"symbol": symbol, "color": color, "size": 4.5, "opacity": 0.5},
            text=fills["symbol"], hovertemplate="%{text}<extra>" + str(reason) + "</extra>",
        )  # fmt: skip
    depth = thinned(run.equity / run.equity.cummax() - 1.0)
    figure.add_scatter(
        x=depth.index, y=depth, name="drawdown", fill="tozeroy", row=2, col=1,
        line={"color": RED, "width": 1}, showlegend=False,
    )  # fmt: skip
    figure.update_yaxes(tickformat=",.2~f", row=1, col=1)
    figure.update_yaxes(tickformat=".1%", row=2, col=1)
    return finished(figure, title, run, height=520)


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


def fates(signals: pd.DataFrame, about: Marked) -> go.Figure:
    """Where every signal ended: the last word of vote, judge and risk."""
    counts = signals.groupby(["stage", "rule"]).size().reset_index(name="signals")
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
    return finished(figure, "What became of every signal", about)


def week(report: Week) -> go.Figure:
    """The equity of one week bar by bar, and beneath it how much of it was in the market."""
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.05)
    value = report.equity["equity"]
    figure.add_scatter(x=value.index, y=value, name="equity", line={"color": BLUE, "width": 1.6})
    share = report.equity["deployed"] / value
    figure.add_scatter(
        x=share.index, y=share, name="deployed", fill="tozeroy", row=2, col=1,
        line={"color": GREY, "width": 1},
    )  # fmt: skip
    figure.update_yaxes(tickformat=",.2~f", row=1, col=1)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", row=2, col=1)
    figure.update_layout(showlegend=False)
    return finished(figure, f"{report.label}, equity and deployed share", report, height=380)


def exposure(shares: pd.DataFrame, limits: Limits, about: Marked) -> go.Figure:
    """Deployed share against its limit, and the drawdown; `shares` from `review.exposure`."""
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.06)
    for row, (name, color) in enumerate({"deployed": BLUE, "drawdown": RED}.items(), start=1):
        line = thinned(shares[name])
        figure.add_scatter(
            x=line.index, y=line, name=name, fill="tozeroy", line={"color": color, "width": 1},
            row=row, col=1,
        )  # fmt: skip
    figure.add_hline(
        y=limits.max_deployed, line={"color": AMBER, "dash": "dash"}, row=1, col=1,
        annotation_text="limit", annotation_position="bottom right",
    )  # fmt: skip
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", title="deployed", row=1, col=1)
    figure.update_yaxes(tickformat=".2%", title="drawdown", row=2, col=1)
    figure.update_layout(showlegend=False)
    return finished(figure, "How much was in the market, and how far below the peak", about, 460)


def correlations(rho: pd.DataFrame, limits: Limits, about: Marked) -> go.Figure:
    """The correlation of every pair; what is above the limit is framed."""
    names = [s.partition("/")[0] + (" pair" if is_carry(s) else "") for s in rho.columns]
    figure = go.Figure(
        go.Heatmap(
            x=names, y=names, z=rho.to_numpy(), zmin=-1, zmax=1, colorscale="RdBu_r",
            texttemplate="%{z:.2f}", colorbar={"thickness": 12},
        )
    )  # fmt: skip
    for i, j in zip(
        *np.nonzero(np.triu(rho.abs().to_numpy() > limits.max_correlation, 1)), strict=True
    ):
        for x, y in ((i, j), (j, i)):
            figure.add_shape(
                type="rect", x0=x - 0.5, x1=x + 0.5, y0=y - 0.5, y1=y + 0.5,
                line={"color": AMBER, "width": 2},
            )  # fmt: skip
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_layout(hovermode="closest")
    title = f"Correlation over 60 days; framed: above {limits.max_correlation:g}"
    return finished(figure, title, about, height=480)


def tied(largest: pd.Series[Any], about: Marked) -> go.Figure:
    """How many symbols hang together, day by day; from `review.tied`."""
    figure = go.Figure(
        go.Scatter(x=largest.index, y=largest, line={"color": BLUE, "shape": "hv", "width": 1.3})
    )
    figure.update_yaxes(rangemode="tozero", dtick=1, title="symbols")
    return finished(figure, "The largest correlation cluster as each day begins", about, 300)


def rule_costs(table: pd.DataFrame, about: Marked) -> go.Figure:
    """What each rule cost or saved, with its interval; from `review.rule_costs`."""
    rules = table["stage"] + ": " + table["rule"].str.replace("_", " ").str.lower()
    known = table[["low", "high"]].notna().all(axis=1)
    colors = np.where(~table["shown"], GREY, np.where(table["cost"] < 0, GREEN, RED))
    figure = go.Figure(
        go.Scatter(
            x=table["cost"], y=rules, mode="markers", marker={"size": 10, "color": colors},
            error_x={
                "type": "data", "symmetric": False, "color": GREY, "thickness": 1.4,
                "array": (table["high"] - table["cost"]).where(known, 0.0),
                "arrayminus": (table["cost"] - table["low"]).where(known, 0.0),
            },
            hovertemplate="%{y}: %{x:+,.0f}<extra></extra>",
        )
    )  # fmt: skip
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    figure.update_yaxes(automargin=True)
    figure.update_xaxes(title="saved (left) or cost (right), quote currency, 95 % interval")
    figure.update_layout(hovermode="closest")
    return finished(figure, "What each rule saved or cost; grey: not told from luck", about)


class Marked(Protocol):
    """Anything that knows whether it was made up."""

    @property
    def synthetic(self) -> bool: ...


def finished(figure: go.Figure, title: str, about: Marked, height: int = 420) -> go.Figure:
    """The house's look; a made-up world says so."""
    mark: list[dict[str, Any]] = []
    if about.synthetic:
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
