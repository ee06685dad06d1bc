"""Tables and pictures of the voters: what each one's word was worth, and what its score stands for.

Nothing is computed here beyond counting and scaling. A confidence that is no probability says
UNCALIBRATED wherever it is shown, and a made-up world SYNTHETIC.
"""

from __future__ import annotations

import html

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from pandas.io.formats.style import Styler

from workbench.calibration import reliability as binned
from workbench.domain import UsageError
from workbench.research.calibrate import Calibrated
from workbench.views.charts import BLUE, GREY, finished
from workbench.views.tables import Made, caption, styled

UNCALIBRATED = "UNCALIBRATED"
RATES = {"hit rate": "{:.0%}", "low": "{:.0%}", "high": "{:.0%}", "mean return": "{:+.2%}"}
SCORED = {
    "n": "outcomes", "days": "on days", "hit rate": "hit rate", "low": "from", "high": "to",
    "break-even": "breaks even at", "mean return": "mean return", "scored": "scored",
    "brier score": "Brier, score", "brier curve": "Brier, curve",
    "brier constant": "Brier, constant", "curve": "curve", "curve n": "from outcomes",
}  # fmt: skip


def voters(table: pd.DataFrame, about: Made) -> Styler:
    """Each strategy's votes and the trades they opened; from `voters.voter_table`."""
    share, title = table["calibrated"], "Votes, how many regime and risk-off muted, and trades"
    told = np.where(share > 0.0, share.map("{:.0%} of votes".format), UNCALIBRATED)
    shown = table.assign(calibrated=np.where(share.isna(), "", told))
    if not (share > 0.0).any():
        shown, title = shown.drop(columns="calibrated"), f"{title}; scores {UNCALIBRATED}"
    if not table["silence"].any():
        shown = shown.drop(columns="silence")
    named = {"out of regime": "regime", "risk off": "risk-off", "low": "from", "high": "to"}
    shown = shown.rename(columns=named).rename_axis(index=None)
    styler = styled(shown, caption(f"{title} (95 % interval)", about), "voters")
    return styler.format(_named(RATES), na_rep="-", escape="html")


def by_regime(table: pd.DataFrame, about: Made) -> Styler:
    """Each strategy's hit rate in each regime; from `voters.regime_table`."""
    shown = table[table["votes"] > 0].reset_index().rename(columns=_between)
    shown["regime"] = shown["regime"].str.replace("_", " ")
    title = "Hit rate by strategy and regime, of closed trades (95 % interval)"
    styler = styled(shown, caption(title, about), "regimes")
    return styler.format(_named(RATES), na_rep="-", escape="html").hide(axis="index")


def agreement(table: pd.DataFrame, about: Made) -> Styler:
    """How often two strategies voted at the same bar; from `voters.agreement`."""
    title = "Independence: votes of two strategies on the same bar and symbol"
    formats = {"overlap": "{:.1%}", "disagreement": "{:.0%}"}
    styler = styled(table, caption(title, about), "agreement")
    return styler.format(formats, na_rep="-", escape="html").hide(axis="index")


def calibrations(found: Calibrated) -> Styler:
    """What each strategy's score stood for; who has no curve says UNCALIBRATED."""
    shown = found.summary[list(SCORED)].rename(columns=SCORED).rename_axis(index=None)
    briers = dict.fromkeys((n for n in shown if n.startswith("Brier")), "{:.4f}")
    percent = dict.fromkeys(("hit rate", "from", "to", "breaks even at"), "{:.1%}")
    title = (
        "Calibration, walk-forward: each vote by a curve of what had closed before it. Outcomes"
        " overlap, so an interval (95 %) is worth its days"
    )
    styler = styled(shown, caption(title, found), "calibrations")
    formats = briers | percent | {"mean return": "{:+.2%}"}
    return styler.format(formats, na_rep="-", escape="html")


def reliability(found: Calibrated, strategy: str, bins: int = 10) -> go.Figure:
    """What came of the chances that a strategy gave: a point a bin with its 95 % interval, as large
    as it has outcomes, by the diagonal on which chance and hit rate agree.

    Of votes that had a curve, and if none had, of score / 100, which the title says is
    UNCALIBRATED. Raises UsageError if nothing is known of the strategy.
    """
    if strategy not in found.calibrations:
        known = ", ".join(found.calibrations)
        raise UsageError(f"nothing was calibrated for {strategy}; there are {known}")
    own = found.outcomes[found.outcomes["strategy"] == strategy]
    had = own[own["known"] > 0]
    told = len(had) > 0
    p = had["p"].to_numpy(float) if told else own["score"].to_numpy(float) / 100.0
    table = binned(p, (had if told else own)["won"], bins)
    said = f"{'chance' if told else 'score / 100'} said, {table['n'].sum():,} votes"
    title = f"{html.escape(strategy)}: said and came"  # first what a narrow page must not cut off
    title = title if told else f"{UNCALIBRATED}  ·  {title}"
    return said_and_came(table, said, title, found, believed=told)


def said_and_came(
    table: pd.DataFrame, said: str, title: str, about: Made, *, believed: bool
) -> go.Figure:
    """The picture of a reliability table; what is not `believed` as a chance is grey and hollow."""
    table, color = table[table["n"] > 0], BLUE if believed else GREY
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name="as said", hoverinfo="skip",
        line={"color": GREY, "dash": "dash", "width": 1},
    )  # fmt: skip
    figure.add_scatter(
        x=table["mean p"], y=table["hit rate"], mode="markers", name="outcomes",
        customdata=table[["n"]],
        marker={
            "color": color,
            "size": 8.0 + 16.0 * np.sqrt(table["n"] / max(table["n"].max(), 1)),
            "symbol": "circle" if believed else "circle-open",
        },
        error_y={
            "type": "data", "symmetric": False, "color": color, "thickness": 1.5,
            "array": table["high"] - table["hit rate"],
            "arrayminus": table["hit rate"] - table["low"],
        },
        hovertemplate="said %{x:.0%}, came %{y:.0%} of %{customdata[0]}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title=said, tickformat=".0%", range=[0, 1])
    figure.update_yaxes(title="closed net positive", tickformat=".0%", range=[0, 1])
    figure.update_layout(hovermode="closest", showlegend=False)
    return finished(figure, title, about)


def _between(column: str) -> str:
    return {"low": "from", "high": "to"}.get(column, column)


def _named(formats: dict[str, str]) -> dict[str, str]:
    return {_between(column): form for column, form in formats.items()}
