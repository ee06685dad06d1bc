"""Pictures and tables of the data itself: what the lake holds, what was known, what was fresh.

As in `charts`, nothing is computed here beyond scaling and thinning a line, and what is made up
says SYNTHETIC. Titles and names come from outside: they are escaped and never run.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from pandas.io.formats.style import Styler
from plotly.subplots import make_subplots

from workbench.data import holdings
from workbench.data.context import SAMPLE, known_odds, made_up
from workbench.data.lake import Lake
from workbench.data.snapshot import World
from workbench.domain import Panel, UsageError
from workbench.views.charts import AMBER, BLUE, GREEN, GREY, RED, finished
from workbench.views.tables import caption, styled

KINDS = {
    "ohlcv": "candles", "funding": "funding", "onchain": "on-chain", "news": "news",
    "prediction": "prediction", "macro": "macro", "sentiment": "sentiment", "trades": "trades",
    "transfers": "transfers", "depth": "depth", "events": "events",
}  # fmt: skip
# Okabe and Ito's colours, told apart by every kind of sight and on white as on black
SKY, ORANGE, VERMILLION, DEEP, GREENISH, PINK = (
    "#56b4e9", "#e69f00", "#d55e00", "#0072b2", "#009e73", "#cc79a7",
)  # fmt: skip
NONE, EVENTS = -0.25, 1.25  # places on the scale of shares for what has none
BANDS = {  # of the share that is there: up to where, and its colour
    "nothing": (0.0, "rgba(113,128,150,0.16)"),
    "less than half": (0.5, VERMILLION),
    "half and more": (0.95, ORANGE),
    "95 % and more": (1.0, SKY),
    "all": (1.1, DEEP),
    "no fixed number": (EVENTS, "#8a8f98"),
}
FLOWS = {  # name in the panel's context: what a reader calls it, and its format
    "netflow": ("net flow to exchanges, USD a day", "~s"),
    "whale_flow": ("large transfers to exchanges, USD a day", "~s"),
    "stablecoins": ("stablecoins in circulation, USD", ".4~s"),
    "funding": ("funding rate, 8 hours", ".3~%"),
}
STATES = {"fresh": GREEN, "stale": AMBER, "never": RED}

MOST_CANDLES = 300
MOST_POINTS = 2_000  # of one line
MOST_ODDS = 10_000  # of all odds together
MOST_HEADLINES = 1_000
WRAP = 44  # letters in a line of a hover text, so that it fits a phone
LABEL = 26
FEW = 31  # more columns than this stand without a gap: on a phone it would hide them


class Drawn(NamedTuple):
    """A row under the price: its title, its axis, and its lines (name, values, colour)."""

    title: str
    tickformat: str
    lines: Sequence[tuple[str, pd.Series[Any], str]]


# --- what the lake holds -------------------------------------------------------------------------


def coverage(lake: Lake, kinds: Sequence[str] | None = None) -> go.Figure:
    """How much of each series is stored, a row a series and a column a month (a day, if all lies
    within two months); no kinds means all. Raises UsageError as `holdings` does."""
    held = holdings.holdings(lake, kinds).to_pandas()
    days = bool(held["stop"].iloc[0] - held["start"].iloc[0] <= pd.Timedelta(days=1))
    names, labels, groups = [], [], []
    for kind in sorted(held["kind"].unique(), key=_place):
        names.append(kind)
        labels.append(f"<b>{_text(KINDS.get(kind, kind))}</b>")
        groups.append(None)
        for key, rows in held[held["kind"] == kind].groupby(_NAME, sort=True):
            names.append(_text(" ".join(key)))
            labels.append(_text(_label(*key[1:])))
            groups.append(rows)
    starts = pd.DatetimeIndex(held["start"].unique()).sort_values()
    nothing = [None] * len(starts)
    figure = go.Figure(
        go.Heatmap(
            x=starts, y=names, z=[nothing if rows is None else _shares(rows) for rows in groups],
            text=[nothing if rows is None else _told(rows) for rows in groups],
            hovertemplate="%{y}<br>%{x|" + ("%d %b %Y" if days else "%b %Y") + "}<br>%{text}"
            "<extra></extra>",
            hoverongaps=False, xgap=int(len(starts) <= FEW), ygap=2, showscale=False,
            zmin=NONE, zmax=EVENTS, colorscale=_scale(), xperiod=86_400_000 if days else "M1",
            xperiodalignment="middle", showlegend=False,
        )
    )  # fmt: skip
    figure.update_yaxes(
        type="category", autorange="reversed", automargin=True, showgrid=False,
        tickmode="array", tickvals=names, ticktext=labels, tickfont_size=11,
    )  # fmt: skip
    figure.update_xaxes(showgrid=False, tickfont_size=11)
    made = held["venue"].map(made_up)
    title = f"Rows in the lake by {'day' if days else 'month'}"
    if made.any() and not made.all():
        title += "  ·  partly SYNTHETIC"
    _finished(figure, title, Marked(bool(made.all())), height=170 + 17 * len(names))
    # a legend would take its width from the rows on a phone; under the title it wraps as we say
    figure.update_layout(
        hovermode="closest", margin_t=96, title_subtitle={"text": _key(), "font": {"size": 11}}
    )
    return figure


class Marked(NamedTuple):
    """Whether all that is shown was made up."""

    synthetic: bool


_NAME = ["kind", "venue", "symbol", "timeframe"]


def _place(kind: str) -> tuple[int, str]:
    return (list(KINDS).index(kind) if kind in KINDS else len(KINDS), kind)


def _label(venue: str, symbol: str, timeframe: str) -> str:
    parts = [venue.replace(SAMPLE, "SYNTHETIC") if made_up(venue) else venue]
    parts += [part for part in (symbol, timeframe) if part not in {"ALL", "event"}]
    text = " ".join(parts)
    return text if len(text) <= LABEL else text[: LABEL - 1] + "…"


def _shares(rows: pd.DataFrame) -> list[float]:
    shown = rows["share"].where(rows["expected"].notna(), EVENTS)
    return shown.where(rows["rows"] > 0, NONE).tolist()


def _told(rows: pd.DataFrame) -> list[str]:
    return [
        f"{n:,} rows" if pd.isna(expected)
        else f"{n:,} rows, {expected:,.0f} expected<br>{hours:,.4g} hours missing"
        for n, expected, hours in
        rows[["rows", "expected", "missing_hours"]].itertuples(index=False, name=None)
    ]  # fmt: skip


def _key() -> str:
    told = [f'<span style="color:{color}">■</span> {name}' for name, (_, color) in BANDS.items()]
    return "   ".join(told[:3]) + "<br>" + "   ".join(told[3:])


def _scale() -> list[tuple[float, str]]:
    """The bands as steps of a colour scale from 0 to 1."""
    scale, low = [], 0.0
    for most, color in BANDS.values():
        high = (most - NONE) / (EVENTS - NONE)
        scale += [(low, color), (high, color)]
        low = high
    return scale


# --- what was known ------------------------------------------------------------------------------


def market(
    world: World, symbol: str, start: str | pd.Timestamp | None = None,
    end: str | pd.Timestamp | None = None,
) -> go.Figure:  # fmt: skip
    """The price of a symbol with the headlines on it, and below it what was known of its flows, its
    funding and the odds, each as of the close under which it stands.

    `start` and `end` are open times, both inclusive; a bare day or month as `end` is all of it.
    What has no data has no row. Raises UsageError for a symbol or a time that the world lacks.
    """
    panel = _window(world.panel, symbol, start, end)
    rows = [*_flows(panel, symbol), *_odds(world, panel)]
    height = 400 + 130 * len(rows)
    figure = make_subplots(
        rows=1 + len(rows), shared_xaxes=True, vertical_spacing=34 / height,
        row_heights=[260, *[96] * len(rows)], subplot_titles=["", *(row.title for row in rows)],
    )  # fmt: skip
    figure.update_annotations(x=0, xanchor="left", font_size=12)
    _price(figure, panel, symbol)
    _headlines(figure, world, panel, symbol)
    for at, row in enumerate(rows, start=2):
        seen: set[str] = set()
        for name, line, color in row.lines:
            group = name.rsplit(" ", 1)[-1]
            figure.add_scatter(
                x=line.index, y=line, name=_text(group), legendgroup=_text(group), row=at, col=1,
                showlegend=len(row.lines) > 1 and group not in seen,
                line={"shape": "hv", "color": color, "width": 1.3}, mode="lines",
                hovertemplate="%{y}<br>%{x}<extra>" + _text(name) + "</extra>",
            )  # fmt: skip
            seen.add(group)
        figure.update_yaxes(tickformat=row.tickformat, nticks=4, row=at, col=1)
    source = panel.source.removeprefix("SYNTHETIC ")
    _finished(figure, f"{symbol}, {source}", panel, height)
    figure.update_xaxes(rangeslider_visible=False, range=[panel.index[0], panel.close_times[-1]])
    figure.update_layout(
        hovermode="closest", margin_b=96,
        legend={
            "yref": "container", "y": 0.0, "yanchor": "bottom",
            "font_size": 11,
        },
    )  # fmt: skip
    return figure


def _window(
    panel: Panel, symbol: str, start: str | pd.Timestamp | None, end: str | pd.Timestamp | None
) -> Panel:
    if symbol not in panel.symbols:
        raise UsageError(f"the world has no {symbol}; it has {', '.join(panel.symbols)}")
    try:
        rows = panel.index.slice_indexer(start, end)
    except (TypeError, ValueError, KeyError):
        raise UsageError(
            f"from {start} to {end} is no range of times; write them as 2024-01-31"
        ) from None
    shown = panel.rows(rows.start, rows.stop)
    if not len(shown) or not shown.close[symbol].notna().any():
        raise UsageError(
            f"the world has no bar of {symbol} from {start or 'its start'} to {end or 'its end'};"
            f" it goes from {panel.index[0]:%Y-%m-%d %H:%M} to {panel.index[-1]:%Y-%m-%d %H:%M}"
        )
    return shown


def _price(figure: go.Figure, panel: Panel, symbol: str) -> None:
    if len(panel) <= MOST_CANDLES:
        figure.add_candlestick(
            x=panel.close_times, open=panel.open[symbol], high=panel.high[symbol],
            low=panel.low[symbol], close=panel.close[symbol], name="price", showlegend=False,
            increasing_line_color=GREEN, decreasing_line_color=RED, line={"width": 0.8},
            row=1, col=1,
        )  # fmt: skip
    else:
        line = _thinned(panel.close[symbol].set_axis(panel.close_times), MOST_POINTS)
        figure.add_scatter(
            x=line.index, y=line, name="price", mode="lines", row=1, col=1, showlegend=False,
            line={"color": GREY, "width": 1.3}, hovertemplate="%{y}<br>%{x}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(tickformat=",~g", row=1, col=1)


def _headlines(figure: go.Figure, world: World, panel: Panel, symbol: str) -> None:
    """Marks at the moment each could be known, on the last close there was by then."""
    told, closes = world.headlines, panel.close_times
    heard = told["available_at"].between(closes[0], closes[-1])
    own = told[heard & told["symbol"].isin([symbol, ""])]
    every = -(-len(own) // MOST_HEADLINES)
    some = own.iloc[::every] if every else own
    if some.empty:
        return
    at = closes.searchsorted(pd.DatetimeIndex(some["available_at"]), side="right") - 1
    figure.add_scatter(
        x=some["available_at"], y=panel.marks[at, panel.symbols.index(symbol)], mode="markers",
        name="headlines" if every == 1 else f"headlines, 1 in {every} of {len(own):,}",
        showlegend=True, hoverinfo="text", row=1, col=1,
        hovertext=[_said(*row) for row in
                   some[["title", "source", "available_at"]].itertuples(index=False)],
        marker={"symbol": "diamond", "color": ORANGE, "size": 6, "opacity": 0.7},
    )  # fmt: skip


def _said(title: str, source: str, available_at: pd.Timestamp) -> str:
    lines = textwrap.wrap(title, WRAP)
    known = f"{source or 'no source'}, known {available_at:%Y-%m-%d %H:%M}"
    return "<br>".join(_text(line) for line in [*lines, *textwrap.wrap(known, WRAP)])


def _flows(panel: Panel, symbol: str) -> Iterator[Drawn]:
    for name, (title, tickformat) in FLOWS.items():
        if name in panel.context:
            told = panel.context[name]
            line = _steps(told[symbol] if isinstance(told, pd.DataFrame) else told, panel)
            if len(line):
                yield Drawn(title, tickformat, [(name, line, BLUE)])


def _odds(world: World, panel: Panel) -> Iterator[Drawn]:
    moves = {n: _steps(told, panel) for n, told in panel.context.items() if n.startswith(_MOVE)}
    moves = {name: line for name, line in moves.items() if len(line)}
    if moves:
        lines = [(*each, color) for each, color in zip(moves.items(), _COLORS, strict=False)]
        yield Drawn("Fed, expected move of the rate, bps", "~g", lines)
    names, table = known_odds(panel.close_times, world.odds)
    known = {n: pd.Series(p, panel.close_times) for n, p in zip(names, table.T, strict=True)}
    # a price that ends is followed by one NaN, so that its line ends there
    spans = {n: line[line.notna() | line.shift().notna()] for n, line in known.items()}
    most = sum(len(line) for line in spans.values())
    shown = {
        n: _thinned(line, MOST_ODDS * len(line) // most) for n, line in spans.items() if len(line)
    }
    outcomes = sorted({name.rsplit(" ", 1)[-1] for name in shown})
    colors = {outcome: _COLORS[i % len(_COLORS)] for i, outcome in enumerate(outcomes)}
    if shown:
        lines = [(n, line, colors[n.rsplit(" ", 1)[-1]]) for n, line in shown.items()]
        yield Drawn("open odds", ".0%", lines)


_MOVE = "fed_expected_bps"
_COLORS = (BLUE, ORANGE, GREENISH, VERMILLION, SKY, PINK, GREY)


def _steps(told: pd.Series[Any], panel: Panel) -> pd.Series[Any]:
    """A line of steps by close time: the values where they change, and the last."""
    line = told.set_axis(panel.close_times)
    if not line.notna().any():
        return line.iloc[:0]
    changed = (line != line.shift()) & (line.notna() | line.shift().notna())
    changed.iloc[-1] = True
    return _thinned(line[changed], MOST_POINTS)


def _thinned(line: pd.Series[Any], most: int) -> pd.Series[Any]:
    """Every k-th point, at most about `most`; the last is always kept."""
    step = max(-(-len(line) // max(most, 2)), 1)
    rows = np.unique(np.append(np.arange(0, len(line), step), len(line) - 1))
    return line.iloc[rows]


# --- what was fresh ------------------------------------------------------------------------------


def freshness(world: World, t: int = -1) -> Styler:
    """How long each feed had been silent at the close of bar row `t` (-1: the last).

    Worst first. Raises UsageError for a bar that is not in the world.
    """
    table = holdings.freshness(world, t).rename(
        columns={"silent_hours": "hours silent", "allowed_hours": "allowed"}
    )
    title = f"Feeds at the close of {world.panel.close_times[t]:%Y-%m-%d %H:%M} UTC"
    shown = styled(table, caption(title, world.panel), "freshness")
    formats = {"hours silent": _hours, "allowed": "{:,.0f}"}
    shown = shown.format(formats, escape="html").map(_strip, subset=["state"])
    return shown.hide(axis="index")


def _hours(hours: float) -> str:
    return "never heard" if np.isinf(hours) else f"{hours:,.1f}"


def _strip(state: str) -> str:
    # The word says it in the page's own colour; a coloured word is hard to read on one of the two.
    return f"border-left: 5px solid {STATES[state]}; padding-left: 8px"


def _finished(figure: go.Figure, title: str, about: Marked | Panel, height: int) -> go.Figure:
    finished(figure, title, about, height)
    return figure.update_layout(title={"y": 1.0, "yanchor": "top", "pad": {"t": 16}})


def _text(text: str) -> str:
    return html.escape(text, quote=False)  # plotly shows &quot; as it stands
