"""What speaks for an idea, drawn: trades on the price, a sweep's surface, walk-forward, costs.

Nothing is computed here beyond scaling and chaining returns; a made-up world says SYNTHETIC.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from pandas.io.formats.style import Styler
from plotly.subplots import make_subplots

from workbench.domain import Panel, UsageError
from workbench.research.metrics import sharpe, trades
from workbench.research.replay import Replay
from workbench.research.slippage import ALL, CostStudy
from workbench.research.sweep import SHARPE
from workbench.views.charts import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    MARKS,
    RED,
    Marked,
    finished,
    thinned,
)  # fmt: skip
from workbench.views.tables import caption, styled
from workbench.views.tearsheet import INK, LOSS_TO_GAIN

FIGURES = {
    "trades": ",d", "total return": "+.2%", SHARPE: ".2f", "max drawdown": ".2%",
    "exposed": ".1%", "win rate": ".1%", "fees": ",.2f",
}  # fmt: skip
PALE = "rgba(113,128,150,0.5)"  # on light and on dark
SHORT = {SHARPE: "Sharpe", "total return": "return", "max drawdown": "drawdown"}
# Below the axis at every height and width; a phone's legend has three lines.
LEGEND = {"legend": {"yref": "container", "y": 0.01, "yanchor": "bottom"}, "margin_b": 112}
MOST_WRITTEN = 8  # columns of a surface that still hold their numbers on a phone


class Surfaced(Protocol):
    """What a surface needs of a sweep: a row a set in `frame`, by its number in `sets`."""

    @property
    def strategy(self) -> str: ...
    @property
    def parameters(self) -> tuple[str, ...]: ...
    @property
    def tried(self) -> int: ...
    @property
    def best(self) -> dict[str, Any]: ...
    @property
    def frame(self) -> pd.DataFrame: ...
    @property
    def panel(self) -> Panel: ...


class Fold(Protocol):
    """One step of a walk-forward: daily returns of the set that was `chosen` on the days `inside`,
    there and on the days `outside` that followed."""

    @property
    def chosen(self) -> Mapping[str, Any]: ...
    @property
    def inside(self) -> pd.Series[Any]: ...
    @property
    def outside(self) -> pd.Series[Any]: ...


# --- trades on the price -----------------------------------------------------------------------


def traded(run: Replay, symbol: str, bars: int = 24 * 90) -> go.Figure:
    """The last `bars` closes of a symbol with each of its closed trades from entry to exit, and on
    the same time axis the equity and the drawdown of the whole run."""
    if symbol not in run.panel.symbols:
        raise UsageError(f"the run has no {symbol}; it has {', '.join(run.panel.symbols)}")
    tail = run.panel.tail(bars)
    figure = make_subplots(
        rows=3, shared_xaxes=True, row_heights=[0.56, 0.24, 0.2], vertical_spacing=0.035
    )
    close = thinned(tail.close[symbol])
    figure.add_scatter(
        x=close.index, y=close, name="close", showlegend=False, line={"color": GREY, "width": 1.1}
    )
    closed = trades(run.fills)
    _add_trades(figure, closed[(closed["symbol"] == symbol) & (closed["opened"] >= tail.index[0])])
    equity = run.equity.reindex(tail.index)
    under = (run.equity / run.equity.cummax() - 1.0).reindex(tail.index)
    for row, name, line, color in ((2, "equity", equity, BLUE), (3, "drawdown", under, RED)):
        shown = thinned(line)
        figure.add_scatter(
            x=shown.index, y=shown, name=name, line={"color": color, "width": 1.2},
            fill="tozeroy" if row == 3 else None, showlegend=False, row=row, col=1,
        )  # fmt: skip
    figure.update_yaxes(tickformat=",~g", row=1, col=1)
    figure.update_yaxes(tickformat=",.2~f", nticks=4, row=2, col=1)
    figure.update_yaxes(tickformat=".1%", nticks=4, row=3, col=1)
    figure.update_layout(hovermode="closest", **LEGEND)
    return finished(figure, f"{symbol} and its trades", run, height=600)


def _add_trades(figure: go.Figure, closed: pd.DataFrame) -> None:
    won = closed["return"] > 0.0
    for name, some, color in (("won", closed[won], GREEN), ("lost", closed[~won], RED)):
        path = [(t.opened, t.entry, t.closed, t.exit) for t in some.itertuples()]
        figure.add_scatter(  # one line with gaps, not a line a trade
            x=[x for opened, _, left, _ in path for x in (opened, left, None)],
            y=[y for _, entry, _, exit in path for y in (entry, exit, None)],
            mode="lines", line={"color": color, "width": 1.4}, name=name, hoverinfo="skip",
        )  # fmt: skip
    for side, mark in (("long", "triangle-up"), ("short", "triangle-down")):
        own = closed[closed["side"] == side]
        if len(own):
            figure.add_scatter(
                x=own["opened"], y=own["entry"], mode="markers", name=side,
                marker={"symbol": mark, "color": BLUE, "size": 9},
                hovertemplate=side + " at %{y:,.6~g}<br>%{x}<extra></extra>",
            )  # fmt: skip
    for reason, own in closed.groupby("reason"):
        mark, _ = MARKS[str(reason)]
        word = str(reason).replace("_", " ")
        held = (own["closed"] - own["opened"]) / pd.Timedelta("1h")
        figure.add_scatter(
            x=own["closed"], y=own["exit"], mode="markers", name=word,
            customdata=np.column_stack([own["return"], held]),
            marker={
                "symbol": mark, "size": 8,
                "color": np.where(own["return"] > 0.0, GREEN, RED).tolist(),
            },
            hovertemplate=f"{word}: %{{customdata[0]:+.2%}} after %{{customdata[1]:,.0f}} h"
            "<br>%{x}<extra></extra>",
        )  # fmt: skip


# --- a sweep's surface -------------------------------------------------------------------------


def surface(
    done: Surfaced, figure: str = SHARPE, across: str | None = None, down: str | None = None
) -> go.Figure:
    """One figure over two parameters of a sweep: the chosen set framed, the sets one step of the
    grid beside it dotted (`validation.plateau`
    measures them). Further parameters stay at the chosen set's values, as the title says; a
    sweep of one parameter is a line. `down` and `across` name the axes (None: the first two).

    Raises UsageError for an unknown figure or axis, or if nothing was varied.
    """
    varied = [name for name in done.parameters if done.frame[name].nunique() > 1]
    if figure not in FIGURES:
        raise UsageError(f"no figure {figure!r}; choose from {', '.join(FIGURES)}")
    if not varied:
        raise UsageError(f"this sweep of {done.strategy} varies nothing; give a grid")
    for name in (across, down):
        if name is not None and name not in varied:
            raise UsageError(f"{name!r} was not varied; choose from {', '.join(varied)}")
    down = down or next((name for name in varied if name != across), None)
    across = across or next((name for name in varied if name != down), None)
    fixed = {name: done.best[name] for name in varied if name not in (across, down)}
    shown = done.frame
    for name, value in fixed.items():
        shown = shown[shown[name] == value]
    title = html.escape(f"{done.strategy}: {SHORT.get(figure, figure)}, {done.tried} sets")
    if fixed:
        title += f"<br>{html.escape(', '.join(f'{n} {v}' for n, v in fixed.items()))}"
    if across is None or down is None or across == down:
        return _line(done, shown, figure, varied[0], title)
    return _heat(done, shown, figure, across, down, title)


def _line(
    done: Surfaced, shown: pd.DataFrame, figure: str, name: str, title: str
) -> go.Figure:  # fmt: skip
    own = shown.sort_values(name)
    drawn = go.Figure()
    drawn.add_scatter(
        x=own[name], y=own[figure], mode="lines+markers", name=figure, customdata=_told(own),
        line={"color": BLUE, "width": 1.5}, hovertemplate=_HOVER.format(at=f"{name} %{{x}}"),
    )  # fmt: skip
    best = own[own[name] == done.best[name]]
    drawn.add_scatter(
        x=best[name], y=best[figure], mode="markers", name="chosen", hoverinfo="skip",
        marker={"symbol": "square-open", "size": 18, "color": AMBER, "line": {"width": 3}},
    )  # fmt: skip
    drawn.update_xaxes(title=name)
    drawn.update_yaxes(tickformat=FIGURES[figure])
    drawn.update_layout(hovermode="closest", **LEGEND)
    return finished(drawn, title, done.panel)


def _heat(
    done: Surfaced, shown: pd.DataFrame, figure: str, across: str, down: str, title: str
) -> go.Figure:  # fmt: skip
    xs, ys = _steps(done.frame[across]), _steps(done.frame[down])
    cells = shown.drop_duplicates([down, across]).set_index([down, across])
    grid = cells.reindex(pd.MultiIndex.from_product([ys, xs], names=[down, across]))
    values = grid[figure].to_numpy(float).reshape(len(ys), len(xs))
    most = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    drawn = go.Figure(
        go.Heatmap(
            z=values, x=[str(x) for x in xs], y=[str(y) for y in ys],
            customdata=_told(grid).reshape(len(ys), len(xs), -1),
            texttemplate="%{z:" + FIGURES[figure] + "}" if len(xs) <= MOST_WRITTEN else None,
            textfont={"color": INK}, zmin=-most, zmax=most, showscale=len(xs) > MOST_WRITTEN,
            colorbar={"thickness": 10}, colorscale=LOSS_TO_GAIN, hoverongaps=False, xgap=2, ygap=2,
            hovertemplate=_HOVER.format(at=f"{across} %{{x}}, {down} %{{y}}"),
        )
    )  # fmt: skip
    i, j = xs.index(done.best[across]), ys.index(done.best[down])
    _frame(drawn, i, j, "solid", 3)
    for x, y in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
        if 0 <= x < len(xs) and 0 <= y < len(ys) and (ys[y], xs[x]) in cells.index:
            _frame(drawn, x, y, "dot", 2)
    for name, mark in (("chosen", "square-open"), ("one step beside it", "square-open-dot")):
        drawn.add_scatter(  # shapes have no legend
            x=[None], y=[None], mode="markers", name=name,
            marker={"symbol": mark, "color": BLUE, "size": 11, "line": {"width": 2}},
        )  # fmt: skip
    drawn.update_xaxes(type="category", title=across)
    drawn.update_yaxes(type="category", title=down)
    drawn.update_layout(hovermode="closest", margin_t=72, **LEGEND)
    return finished(drawn, title, done.panel, height=210 + max(36 * min(len(ys), 14), 180))


_HOVER = (
    "{at}<br>Sharpe %{{customdata[0]:.2f}}<br>%{{customdata[1]:,.0f}} trades, return"
    " %{{customdata[2]:+.2%}}<extra></extra>"
)


def _told(rows: pd.DataFrame) -> np.ndarray[Any, Any]:
    return rows[[SHARPE, "trades", "total return"]].to_numpy(float)


def _steps(values: pd.Series[Any]) -> list[Any]:
    """The grid's steps: numbers in their order, other values as the grid has them."""
    steps = values.drop_duplicates()
    return (steps.sort_values() if pd.api.types.is_numeric_dtype(steps) else steps).tolist()


def _frame(drawn: go.Figure, x: int, y: int, dash: str, width: int) -> None:
    drawn.add_shape(
        type="rect", x0=x - 0.46, x1=x + 0.46, y0=y - 0.46, y1=y + 0.46,
        line={"color": BLUE, "width": width, "dash": dash},
    )  # fmt: skip


# --- walk-forward ------------------------------------------------------------------------------


def walk_forward(folds: Sequence[Fold], about: Marked) -> go.Figure:
    """What choosing by the past came to on the days that followed, chained over the folds, beside
    what it had promised (its mean day, on and on); beneath, both Sharpes of every fold."""
    if not folds:
        raise UsageError("the walk-forward has no folds; give more days or shorter ones")
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.06)
    came = pd.concat([fold.outside for fold in folds])
    promised = pd.concat(
        [pd.Series(float(fold.inside.mean()), fold.outside.index) for fold in folds]
    )
    for name, returns, line in (
        ("promised in-sample", promised, {"color": GREY, "width": 1.2, "dash": "dash"}),
        ("came out-of-sample", came, {"color": BLUE, "width": 1.8}),
    ):
        grown = thinned((1.0 + returns).cumprod() - 1.0)
        figure.add_scatter(x=grown.index, y=grown, name=name, line=line)
    middles = [fold.outside.index[len(fold.outside) // 2] for fold in folds]
    told = [html.escape(", ".join(f"{k} {v}" for k, v in fold.chosen.items())) for fold in folds]
    width = 0.38 * min(len(fold.outside) for fold in folds) * 86_400_000
    for name, part, color in (("in-sample", "inside", PALE), ("out", "outside", BLUE)):
        figure.add_bar(
            x=middles, y=[sharpe(getattr(fold, part)) for fold in folds], name=name, text=told,
            textposition="none", marker_color=color, width=width, showlegend=False,
            offset=-width if part == "inside" else 0.0, row=2, col=1,
            hovertemplate=f"{name}: Sharpe %{{y:.2f}}<br>%{{text}}<extra></extra>",
        )  # fmt: skip
    for fold in folds[::2]:
        figure.add_vrect(
            x0=fold.outside.index[0], x1=fold.outside.index[-1] + pd.Timedelta(days=1),
            fillcolor=GREY, opacity=0.09, line_width=0,
        )  # fmt: skip
    figure.update_yaxes(tickformat="+.1%", row=1, col=1)
    figure.update_yaxes(title="Sharpe", row=2, col=1)
    figure.update_xaxes(tickangle=0, nticks=4)
    figure.update_layout(hovermode="closest", **LEGEND)
    return finished(figure, f"Walk-forward, {len(folds)} folds", about, height=500)


# --- costs -------------------------------------------------------------------------------------


def cost_sensitivity(study: CostStudy) -> go.Figure:
    """The mean net trade of each symbol as all costs are multiplied."""
    figure = go.Figure()
    figure.add_hline(y=0.0, line={"color": GREY, "width": 1})
    for symbol, own in study.sensitivity.groupby("symbol", sort=False):
        whole = symbol == ALL
        figure.add_scatter(
            x=own["multiple"], y=own["expectancy"], mode="lines+markers", name=str(symbol),
            customdata=own[["trades", "paid", "net return"]].to_numpy(float),
            line={"width": 2.6 if whole else 1.1, "color": BLUE if whole else None},
            hovertemplate=f"{symbol}: %{{y:+.3%}} a trade at %{{x:g}} times the costs"
            "<br>%{customdata[0]:,.0f} trades, %{customdata[1]:.2%} paid a round trip"
            "<br>net return %{customdata[2]:+.2%}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(ticksuffix="x")
    figure.update_yaxes(tickformat="+.2%")
    figure.update_layout(hovermode="closest", **LEGEND)
    return finished(figure, "The mean net trade at a multiple of all costs", study)


def cost_table(study: CostStudy) -> Styler:
    """What each symbol's trades pay, the round trip at which nothing is left of them, and the order
    at which impact has eaten the edge."""
    even, room = study.break_even, study.capacity
    bps = {"gross": even["gross"], "paid": even["paid"], "break-even": even["break even"]}
    rows = pd.DataFrame({"trades": even["trades"]} | {n: 1e4 * v for n, v in bps.items()})
    none = even["says"].where(even["break even"].isna(), "")
    rows["break-even"] = rows["break-even"].map("{:,.1f}".format).where(none == "", none)
    orders = [
        f"{order:,.0f}, {share:.2%} of ADV" if math.isfinite(order) else says
        for order, share, says in zip(room["order"], room["of ADV"], room["says"], strict=True)
    ]
    shown = rows.assign(**{"order that kills it": orders})
    title = "Basis points a round trip: gross edge, costs paid, and where nothing is left"
    wrapped = {"subset": ["break-even", "order that kills it"], "white-space": "normal"}
    styler = styled(shown, caption(title, study), "costs_left").set_properties(**wrapped)
    return styler.format({"gross": "{:+,.1f}", "paid": "{:,.1f}"}, na_rep="-", escape="html")
