"""What a judge cost, and how good its confidences were: clean cases first, others beside them."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from IPython.display import HTML
from pandas.io.formats.style import Styler

from workbench.domain import Panel
from workbench.tuning.skill import ByKnowledge
from workbench.views.tables import caption, styled, tiles
from workbench.views.voters import said_and_came

FIGURES = {  # figure of the table by knowledge: what a reader calls it, and its format
    "n": ("outcomes", "{:,.0f}"),
    "days": ("on days", "{:,.0f}"),
    "base_rate": ("won", "{:.1%}"),
    "auc": ("AUC", "{:.3f}"),
    "auc_low": ("AUC, 95 % from", "{:.3f}"),
    "auc_high": ("AUC, to", "{:.3f}"),
    "brier": ("Brier", "{:.4f}"),
    "skill": ("Brier skill", "{:+.3f}"),
    "skill_low": ("Brier skill, 95 % from", "{:+.3f}"),
    "skill_high": ("Brier skill, to", "{:+.3f}"),
    "ece": ("ECE", "{:.3f}"),
    "ece_null": ("ECE that luck alone explains", "{:.3f}"),
    "worth": ("veto worth, in positions", "{:+.2f}"),
    "worth low": ("veto worth, 95 % from", "{:+.2f}"),
    "worth high": ("veto worth, to", "{:+.2f}"),
}
NOT_TAGGED = "not tagged"
NAMES = {
    "clean": "clean", "contaminated": "CONTAMINATED: it may remember",
    "unknown": "unknown whether it remembers", NOT_TAGGED: "no model was asked",
}  # fmt: skip


def paid(cases: pd.DataFrame, panel: Panel) -> HTML:
    """Who judged, what it cost, and the cases that nobody judged, by code."""
    failed = cases["code"][cases["code"] != ""].value_counts().sort_index()
    codes = ", ".join(f"{code} {n:,}" for code, n in failed.items())
    cost = float(cases["cost_usd"].sum())
    each = f"{cost / len(cases):.6f} USD" if len(cases) else "none"
    figures = {
        "judge": " + ".join(sorted(set(cases["source"]))) or "nobody",
        "cases": f"{len(cases):,}",
        "nobody judged": codes or "none",
        "cost": f"{cost:.4f} USD" if cost else "nothing",
        "a case": each if cost else "nothing",
    }
    return tiles(figures, caption("The judge and its bill", panel))


def table(found: ByKnowledge, panel: Panel) -> Styler:
    """The figures, a column for each kind of case; the caption says what they say."""
    there = {name: label for name, (label, _) in FIGURES.items() if name in found.table}
    shown = found.table[list(there)].astype(float).T.rename_axis(columns=None)
    shown.index = pd.Index(list(there.values()))
    shown.columns = [NAMES.get(str(name), str(name)) for name in shown.columns]
    points = (
        ""
        if NOT_TAGGED not in found.table.index
        else "points, which are no chances; as if they were: "
    )
    styler = styled(shown, caption(f"Its confidences: {points}{found.says}", panel), "skill")
    heads: Any = [{"selector": "thead th", "props": "white-space: normal"}]  # for a narrow page
    styler = styler.set_table_styles(heads, overwrite=False)
    for label, form in FIGURES.values():
        if label in shown.index:
            part = pd.IndexSlice[[label], :]
            styler = styler.format(form, subset=part, na_rep="", escape="html")
    return styler


def chart(found: ByKnowledge, panel: Panel) -> go.Figure:
    """Said and came, of the headline's cases. Points of a rubric are no chances, and look so."""
    rows = found.headline.table
    model = NOT_TAGGED not in found.table.index
    said = f"{'confidence' if model else 'points / 100'} said, {int(rows['n'].sum()):,} outcomes"
    wanted = not math.isnan(found.headline.brier)
    title = "The judge: said and came" if wanted else "The judge: no outcome yet"
    return said_and_came(rows, said, title, panel, believed=model)
