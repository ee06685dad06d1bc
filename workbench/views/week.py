"""A week's report: its heading, tables and provenance. Text from outside is escaped."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import pandas as pd
from IPython.display import HTML
from pandas.io.formats.style import Styler

from workbench.trading.weekly import Week
from workbench.views.tables import caption, styled, tiles

FORMATS = {
    "equity at the start": "{:,.2f}",
    "equity at the end": "{:,.2f}",
    "profit": "{:+,.2f}",
    "return": "{:+.2%}",
    "max drawdown": "{:.2%}",
    "most deployed": "{:.1%}",
    "closed trades": "{:,.0f}",
    "won": "{:,.0f}",
    "win rate": "{:.1%}",
    "expectancy": "{:+.2%}",
    "best": "{:+.2%}",
    "worst": "{:+.2%}",
    "stop-outs": "{:,.0f}",
    "fees of closed trades": "{:,.2f}",
    "open at the end": "{:,.0f}",
    "votes refused": "{:,.0f}",
}
ROW = {
    "opened": "{:%a %d %H:%M}",
    "closed": "{:%a %d %H:%M}",
    "entry": "{:.6g}",
    "exit": "{:.6g}",
    "confidence": "{:.0f}",
    "week_profit": "{:+.2f}",
    "profit": "{:+.2f}",
    "return": "{:+.2%}",
}


def heading(week: Week) -> HTML:
    """What this is a report of, and in one line what happened."""
    last = week.start + pd.Timedelta(days=6)
    part = "" if week.whole else " The run covers only a part of these seven days."
    made_up = " Every price in it is made up." if week.synthetic else ""
    f = week.figures
    did = (
        f"{f['closed trades']} trades closed, {f['won']} of them with a profit"
        if f["closed trades"]
        else "No trade closed"
    )
    return HTML(
        f"<h1>{week.label} <small>{week.mode}</small></h1>"
        f"<p>{week.start:%A %d %B %Y} to {last:%A %d %B %Y}, UTC; {html.escape(week.source)}."
        f"{made_up}{part}</p>"
        f"<p class='lead'>{did}; the week made {f['profit']:+,.2f} ({f['return']:+.2%}) and"
        f" {f['votes refused']} votes ended without a trade.</p>"
    )


def figures(week: Week) -> HTML:
    """The week's figures, a tile each."""
    return tiles(text(week))


def text(week: Week) -> dict[str, str]:
    """Each figure with its unit; a dash where there is nothing to say."""
    return {
        name: "-" if pd.isna(value) else FORMATS[name].format(value)
        for name, value in week.figures.items()
    }


def trades(week: Week) -> Styler:
    """Every trade of the week, those still open at their mark."""
    columns = {
        "symbol": "symbol", "side": "side", "strategies": "votes", "verdict": "verdict",
        "opened": "opened", "closed": "closed", "entry": "entry", "exit": "exit",
        "return": "return", "week_profit": "profit", "exit_reason": "left by",
    }  # fmt: skip
    own = week.rows[week.rows["kind"] != "refused"][list(columns)]
    own = own.assign(exit_reason=own["exit_reason"].replace("", "still open"))
    title = "No trade this week"
    if len(own):
        title = f"{len(own)} trades; profit is this week's part, an open trade stands at its mark"
    shown = styled(own.rename(columns=columns), caption(title, week), "trades")
    formats = {columns[name]: form for name, form in ROW.items() if name in columns}
    return shown.format(formats, na_rep="-", escape="html").hide(axis="index")


def rationales(week: Week) -> Styler:
    """Why each trade was let through, in the judge's words."""
    own = week.rows[week.rows["kind"] != "refused"]
    own = own[["opened", "symbol", "verdict", "rationale"]]
    shown = styled(own, caption("What the judge said of them", week), "rationales")
    return shown.format({"opened": ROW["opened"]}, na_rep="-", escape="html").hide(axis="index")


def refused(week: Week) -> Styler:
    """How many votes ended where."""
    frame = week.refused.rename("votes").reset_index()
    shown = styled(frame, caption("By the first rule that held", week), "refused")
    return shown.hide(axis="index")


def refusals(week: Week) -> HTML:
    """Each vote that did not become a trade: the stage and the rule it met. Folded away."""
    own = week.rows[week.rows["kind"] == "refused"]
    own = own[["time", "symbol", "side", "strategies", "confidence", "verdict", "stage", "rule"]]
    own = own.rename(columns={"strategies": "strategy"})
    formats: dict[Any, Any] = {"time": "{:%a %d %H:%M}", "confidence": "{:.0f}"}
    scores = own_scores(week.run).strip()
    shown = styled(own, caption(f"UTC; the first rule that held. {scores}", week), "refusals")
    rows = shown.format(formats, na_rep="-", escape="html").hide(axis="index").to_html()
    return HTML(f"<details><summary>Every one of the {len(own)}</summary>{rows}</details>")


def own_scores(run: Mapping[str, Any]) -> str:
    """The sentence on confidences that are no probabilities, "" if there are none."""
    names = [strategy["name"] for strategy in run["strategies"] if not strategy.get("calibrated")]
    if not names:
        return ""
    return f" Uncalibrated, its own score and no probability: the confidence of {', '.join(names)}."


def provenance(week: Week) -> HTML:
    """Which record this was made from, and how to prove that it has not changed."""
    run = week.run
    voters = ", ".join(strategy["name"] for strategy in run["strategies"])
    return HTML(
        f"<p>Journal row {week.head.seq:,}, hash <code>{week.head.hash}</code>: it seals every"
        " decision up to the week's last bar. <code>workbench journal verify</code> proves the"
        " chain; a journal whose row has another hash is not the one this report was made from."
        " <code>trades.csv</code> and <code>equity.csv</code> beside this page hold what every"
        " figure was worked out from.</p>"
        f"<p>Strategies {html.escape(voters)}; judge {html.escape(str(run['judge']))}; capital"
        f" {float(run['capital']):,.0f}.{html.escape(own_scores(run))} Nothing here is investment"
        " advice.</p>"
    )
