"""Pictures and tables for research and prompt tuning: votes, a sweep, what a veto was worth.

As in `charts`, nothing is computed here beyond counting and scaling, and a made-up world says
SYNTHETIC.
"""

from __future__ import annotations

import html

import pandas as pd
import plotly.graph_objects as go
from pandas.io.formats.style import Styler

from workbench.domain import Panel, Regime, UsageError
from workbench.research.history import History
from workbench.research.sweep import SHARPE, Sweep
from workbench.tuning.scorecard import ALWAYS, COIN
from workbench.views.charts import AMBER, BLUE, GREEN, GREY, RED, finished
from workbench.views.tables import caption, styled

LIGHT = "#cbd5e1"
NOBODY = "nobody judged"
DECISIONS = {"PROCEED": GREEN, "REDUCE": AMBER, "SKIP": RED, NOBODY: GREY}
CARD = {  # figure of a scorecard: what a reader calls it, and its format
    "cases": ("cases", "{:,.0f}"),
    "failed": (NOBODY, "{:,.0f}"),
    "resolved": ("resolved", "{:,.0f}"),
    "days": ("on days", "{:,.0f}"),
    "vetoed": ("vetoed, of the size", "{:.1%}"),
    "mean kept": ("mean let through", "{:+.3%}"),
    "mean vetoed": ("mean vetoed", "{:+.3%}"),
    "sum kept": ("sum let through", "{:+.2f}"),
    "worth": ("veto worth", "{:+.2f}"),
    "low": ("95 % from", "{:+.2f}"),
    "high": ("95 % to", "{:+.2f}"),
    "worth_quote": ("worth in quote", "{:+,.2f}"),
    "low_quote": ("from, in quote", "{:+,.2f}"),
    "high_quote": ("to, in quote", "{:+,.2f}"),
    "p coin": ("p coin", "{:.3f}"),
    "p rotated": ("p rotated", "{:.3f}"),
}
SWEPT = {  # figure of a set, and its format
    "trades": "{:,d}", "win rate": "{:.0%}", "total return": "{:+.2%}", SHARPE: "{:.2f}",
    "max drawdown": "{:.2%}", "exposed": "{:.0%}", "rank": "{:,d}",
}  # fmt: skip


# --- votes ---------------------------------------------------------------------------------------


def votes(history: History) -> go.Figure:
    """How often each strategy voted in each regime, and how many of those votes count."""
    signals = history.signals
    codes = history.world.panel.context["regime"].to_numpy()
    regime = codes[signals["t"].to_numpy(int), signals["column"].to_numpy(int)]
    counts = signals["muted"].to_numpy() == ""
    names = {float(r): r.name.lower().replace("_", " ") for r in Regime}
    order = [
        (strategy, float(r))
        for strategy in sorted(set(signals["strategy"]))
        for r in reversed(Regime)
    ]
    several = len({strategy for strategy, _ in order}) > 1
    labels = [f"{s}, {names[r]}" if several else names[r] for s, r in order]
    figure = go.Figure()
    for word, chosen, color in (("counts", counts, BLUE), ("muted", ~counts, LIGHT)):
        mine = signals["strategy"].to_numpy()
        n = [int((chosen & (mine == s) & (regime == r)).sum()) for s, r in order]
        figure.add_bar(
            x=n, y=labels, orientation="h", name=word, marker_color=color,
            text=[str(k) if k else "" for k in n], textposition="auto", textangle=0,
        )  # fmt: skip
    figure.update_layout(barmode="stack", hovermode="closest", legend_traceorder="normal")
    figure.update_yaxes(automargin=True)
    height = 200 + 34 * len(order)
    return finished(figure, "Votes by regime", history.world.panel, height)


def voted(history: History, symbol: str, bars: int = 24 * 60) -> go.Figure:
    """The closes of the last `bars` bars of a symbol with every vote on them."""
    panel = history.world.panel
    if symbol not in panel.symbols:
        raise UsageError(f"the world has no {symbol}; it has {', '.join(panel.symbols)}")
    tail = panel.tail(bars)
    figure = go.Figure()
    figure.add_scatter(
        x=tail.close_times, y=tail.close[symbol], name="close", line={"color": GREY, "width": 1.2}
    )
    own = history.signals[
        (history.signals["symbol"] == symbol) & (history.signals["t"] >= len(panel) - len(tail))
    ]
    for side, mark, color in ((1, "triangle-up", GREEN), (-1, "triangle-down", RED)):
        for muted in (False, True):
            some = own[(own["side"] == side) & ((own["muted"] != "") == muted)]
            if len(some):
                word = f"{'long' if side > 0 else 'short'}{', muted' if muted else ''}"
                figure.add_scatter(
                    x=some["time"], y=panel.close[symbol].to_numpy()[some["t"]], mode="markers",
                    name=word, text=some["strategy"],
                    hovertemplate="%{text}<extra>" + word + "</extra>",
                    marker={
                        "symbol": f"{mark}-open" if muted else mark, "color": color, "size": 10,
                        "opacity": 0.55 if muted else 1.0,
                    },
                )  # fmt: skip
    figure.update_yaxes(tickformat=",~g")
    return finished(figure, f"{symbol} and the votes on it", tail)


# --- a sweep -------------------------------------------------------------------------------------


def sweep_table(done: Sweep, n: int = 8) -> Styler:
    """The n best sets with their figures, and how many were ever tried on these days."""
    best = done.frame.sort_values("rank", kind="stable").head(n)
    table = best[[*done.parameters, *SWEPT]]
    before = f", {done.ledger.changed:,} when the data was another" if done.ledger.changed else ""
    says = (
        f"{done.tried:,} sets of {done.strategy}, {done.panel.index[0]:%Y-%m-%d} to"
        f" {done.panel.index[-1]:%Y-%m-%d}; what comes after is sealed. Ever tried on these days:"
        f" {done.ledger.tried:,}{before}"
    )
    styler = _styled(table, " ".join([says, *done.notes]), "sweep", done.panel)
    return styler.format(SWEPT, na_rep="none", escape="html").hide(axis="index")


# --- judges --------------------------------------------------------------------------------------


def worth(card: pd.DataFrame, panel: Panel) -> go.Figure:
    """What a judge's vetoes were worth, in quote currency, with the 95 % interval; behind it the
    range in which 95 % of the coins lie: a point inside it shows no skill."""
    first, coin = card.index[0], card.loc[COIN]
    shown = card.drop(index=[name for name in (ALWAYS, COIN) if name != first])
    names = [html.escape(str(name)) for name in shown.index]
    drawn = go.Figure()
    drawn.add_vline(x=0.0, line={"color": GREY, "width": 1})
    if coin[["low_quote", "high_quote"]].notna().all():
        drawn.add_vrect(
            x0=coin["low_quote"], x1=coin["high_quote"], fillcolor=AMBER, opacity=0.15,
            line_width=0, annotation_text="95 % of coins", annotation_position="top left",
        )  # fmt: skip
    drawn.add_scatter(
        x=shown["worth_quote"], y=names, mode="markers+text",
        text=[f"{value:+,.0f}" for value in shown["worth_quote"]], textposition="top center",
        marker={"size": 12, "color": BLUE}, showlegend=False,
        error_x={
            "type": "data", "symmetric": False, "color": BLUE, "thickness": 2, "width": 8,
            "array": shown["high_quote"] - shown["worth_quote"],
            "arrayminus": shown["worth_quote"] - shown["low_quote"],
        },
    )  # fmt: skip
    drawn.update_xaxes(title="quote currency")
    drawn.update_yaxes(automargin=True, range=[-0.8, len(shown) - 0.2])
    drawn.update_layout(hovermode="closest")
    return finished(drawn, "What the vetoes were worth", panel, height=260)


def by_decision(cases: pd.DataFrame, panel: Panel) -> go.Figure:
    """The outcomes of the resolved cases, by what the judge said of them, and their means."""
    known = cases[cases["return"].notna()]
    said = _said(known)
    drawn = go.Figure()
    drawn.add_hline(y=0.0, line={"color": GREY, "width": 1})
    for decision, color in DECISIONS.items():
        own = known["return"][said == decision]
        if len(own):
            name = f"{decision}<br>{len(own)}"
            drawn.add_box(  # a strip: the points of a box that is not drawn
                y=own, name=name, boxpoints="all", jitter=0.9, pointpos=0.0, showlegend=False,
                fillcolor="rgba(0,0,0,0)", line={"color": "rgba(0,0,0,0)"}, hoverinfo="y",
                marker={"size": 5, "opacity": 0.35, "color": color},
            )  # fmt: skip
            drawn.add_scatter(
                x=[name], y=[own.mean()], mode="markers+text", text=[f"{own.mean():+.2%}"],
                textposition="bottom center", showlegend=False, hoverinfo="skip",
                marker={"symbol": "line-ew", "size": 60, "line": {"width": 3, "color": color}},
            )  # fmt: skip
    drawn.update_yaxes(tickformat="+.0%")
    drawn.update_layout(hovermode="closest")
    return finished(drawn, "Entries alone, by verdict, and their mean", panel)


def ends_table(cases: pd.DataFrame, panel: Panel) -> Styler:
    """How many cases got which verdict, and how their entries ended."""
    said = _said(cases)
    counts = pd.crosstab(said, cases["reason"])
    by = cases["return"].groupby(said)
    table = counts.assign(cases=by.size(), resolved=by.count(), mean=by.mean(), sum=by.sum())
    formats = dict.fromkeys((*counts.columns, "cases", "resolved"), "{:,d}")
    formats |= {"mean": "{:+.3%}", "sum": "{:+.2f}"}
    says = "Every case by its verdict (across: how the entry alone ended)"
    styler = _styled(table.rename_axis(index=None, columns=None), says, "ends", panel)
    return styler.format(formats, na_rep="none", escape="html")


def card_table(card: pd.DataFrame, panel: Panel) -> Styler:
    """The scorecard, a column a judge; the caption says what it says of the first."""
    shown = card[list(CARD)].astype(float).T.rename_axis(columns=None)
    shown.index = pd.Index([label for label, _ in CARD.values()])
    styler = _styled(shown, f"{card.index[0]}: {card['says'].iloc[0]}", "scorecard", panel)
    for label, form in CARD.values():
        styler = styler.format(form, subset=pd.IndexSlice[[label], :], na_rep="", escape="html")
    return styler


def cases_table(cases: pd.DataFrame, panel: Panel, title: str = "Cases") -> Styler:
    """Cases with their verdict and what came of them, alone."""
    columns = {
        "shown": "{}", "time": "{:%Y-%m-%d %H:%M}", "symbol": "{}", "side": "{:+d}",
        "regime": "{}", "decision": "{}", "return": "{:+.2%}", "reason": "{}", "bars": "{:.0f}",
        "knowledge": "{}",
    }  # fmt: skip
    untold = [] if (cases["knowledge"] != "").any() else ["knowledge"]  # no model was asked
    table = cases[[name for name in columns if name in cases]].drop(columns=untold)
    columns = {name: columns[name] for name in table}
    styler = _styled(table, title, "cases", panel)
    # Escaping is asked for once more: a second format undoes the first.
    return styler.format(columns, escape="html", na_rep="none").hide(axis="index")


def _said(cases: pd.DataFrame) -> pd.Series[str]:
    """What the judge said of each; a case skipped because nobody judged it is no SKIP of his."""
    return cases["decision"].where(cases["code"] == "", NOBODY)


def _styled(frame: pd.DataFrame, text: str, name: str, panel: Panel) -> Styler:
    styler = styled(frame, html.escape(caption(text, panel)), name)
    for axis in (0, 1):
        styler = styler.format_index(escape="html", axis=axis)
    return styler
