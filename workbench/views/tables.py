"""Tables for people: the package's numbers with units, captions and no index noise."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd
from IPython.display import HTML
from pandas.api.types import is_numeric_dtype
from pandas.io.formats.style import Styler

from workbench.domain import Case, Cycle, Reason, Snapshot, Verdict
from workbench.judges.case import case_hash
from workbench.research.history import why_no_trade
from workbench.research.metrics import Result, trades
from workbench.trading.gates import PaperGate
from workbench.trading.record import Record


class Made(Protocol):
    """Anything that knows its source, and whether that was made up."""

    @property
    def source(self) -> str: ...
    @property
    def synthetic(self) -> bool: ...


_FORMATS = {
    "final equity": "{:,.2f}",
    "total return": "{:+.2%}",
    "max drawdown": "{:.2%}",
    "sharpe (365 d)": "{:.2f}",
    "trades": "{:,}",
    "win rate": "{:.1%}",
    "expectancy": "{:+.3%}",
    "fees": "{:,.2f}",
    "refused": "{:,}",
    "exposed": "{:.1%}",
    "first bar": "{:%Y-%m-%d %H:%M}",
    "last bar": "{:%Y-%m-%d %H:%M}",
}


def figures(summary: pd.Series[Any]) -> dict[str, str]:
    """Each figure of a summary as text with its unit."""
    return {name: _FORMATS[name].format(value) for name, value in summary.items()}


def summary(values: pd.Series[Any]) -> HTML:
    """The figures of a run, a tile each."""
    return tiles(figures(values), f"The run ({values.name})")


def why(signals: pd.DataFrame, about: Made) -> Styler:
    """Why no trade: how many signals of each strategy ended at which rule."""
    table = why_no_trade(signals).rename(columns=lambda name: name.replace("_", " "))
    return styled(table, caption("What became of every signal", about), "why")


def recent_trades(run: Result, n: int = 10) -> Styler:
    """The last n closed trades of a replay or a record."""
    table = trades(run.fills).tail(n).iloc[::-1]
    formats = {
        "opened": "{:%m-%d %H:%M}", "closed": "{:%m-%d %H:%M}", "quantity": "{:.6g}",
        "entry": "{:.6g}", "exit": "{:.6g}", "profit": "{:+.2f}", "return": "{:+.2%}",
    }  # fmt: skip
    title = caption(f"The last {len(table)} closed trades", run)
    return styled(table, title, "trades").format(formats, escape="html").hide(axis="index")


def recent_signals(signals: pd.DataFrame, about: Made, n: int = 12) -> Styler:
    """The last n signals of a history or a record, each with its end."""
    columns = ["time", "symbol", "strategy", "side", "confidence", "verdict", "stage", "rule"]
    shown = signals.tail(n).iloc[::-1]
    told = [sure(*each) for each in zip(shown["confidence"], shown["outcomes"], strict=True)]
    table = shown.assign(confidence=told)[columns]
    formats = {"time": "{:%Y-%m-%d %H:%M}", "side": "{:+d}"}
    title = caption(f"The last {len(table)} signals and their fate", about)
    return styled(table, title, "signals").format(formats, escape="html").hide(axis="index")


def case(shown: Case) -> Styler:
    """What a judge is shown: the votes, the numbers, the headlines, and what is missing."""
    rows = {
        "as of": f"{shown.as_of:%Y-%m-%d %H:%M} UTC",
        "wanted": f"{shown.side:+d} {shown.symbol}",
        "regime": shown.regime,
        "votes": ", ".join(
            f"{s.strategy} {s.side:+d} at {sure(s.confidence, s.outcomes)}" for s in shown.signals
        ),
        "missing or stale": ", ".join(shown.missing) or "nothing",
        "headlines": f"{len(shown.headlines)} in a day",
    }
    rows |= {k: "unknown" if v is None else f"{v:,.6g}" for k, v in sorted(shown.features.items())}
    frame = pd.DataFrame({"": rows})
    return styled(frame, f"The case, {case_hash(shown)[:12]}", "case")


def sure(confidence: float, outcomes: int) -> str:
    """A confidence as text; one that is no probability says so."""
    return f"{confidence:.0f} % of {outcomes:,}" if outcomes else f"{confidence:.0f} uncalibrated"


def verdicts(given: list[Verdict]) -> Styler:
    """What the judge said, and who it is."""
    rows = [
        (v.source, v.code or v.decision.value, "" if v.code else f"{v.confidence:.0f}", v.rationale)
        for v in given
    ]
    number = "confidence" if any(v.model for v in given) else "points"
    frame = pd.DataFrame(rows, columns=["judge", "decision", number, "rationale"])
    return styled(frame, "The verdict", "verdict").hide(axis="index")


def ruling(cycle: Cycle) -> Styler:
    """Risk's answer to every claim of one bar."""
    rows = [(symbol, reason.name) for symbol, reason in cycle.ruling.reasons.items()]
    frame = pd.DataFrame(rows, columns=["symbol", "reason"])
    frame["order"] = [
        next((f"{o.side} {o.quantity or 'all'}" for o in cycle.ruling.orders if o.symbol == s), "")
        for s in frame["symbol"]
    ]
    taken = frame["reason"].isin([Reason.ACCEPTED.name, Reason.CLAMPED.name])
    title = f"The ruling at {cycle.as_of:%Y-%m-%d %H:%M}: {int(taken.sum())} of {len(frame)} claims"
    return styled(frame, title, "ruling").hide(axis="index")


def known(snapshot: Snapshot) -> Styler:
    """Hours since each feed was last heard of at a snapshot."""
    ages = {name: f"{hours:,.1f}" for name, hours in snapshot.staleness.items()}
    frame = pd.DataFrame({"hours since last heard": ages})
    return styled(frame, f"Known at {snapshot.as_of:%Y-%m-%d %H:%M} UTC", "known")


def positions(record: Record) -> Styler:
    """What is held, with the levels that the rules hold for it."""
    held = record.positions()
    title = f"{len(held)} positions at {record.as_of}" if len(held) else "Nothing is held"
    numbers = dict.fromkeys(("quantity", "entry", "mark", "stop", "target"), "{:.6g}")
    shown = styled(held, caption(title, record), "positions")
    return shown.format(numbers | {"profit": "{:+.2f}"}, na_rep="taken", escape="html")


def gate(asked: PaperGate, about: Made) -> Styler:
    """The paper gate: how many trades there are, and what they really show."""
    rows = {
        "closed trades": f"{asked.n} ({asked.needed} are needed)",
        "expectancy a trade": f"{asked.expectancy:+.3%}",
        "95 % interval": f"{asked.low:+.3%} to {asked.high:+.3%}",
        "confidence that it is above 0": f"{asked.p_positive:.0%}",
        "trades it would take to show it": f"{asked.trades_needed:,.0f}",
        "grade": asked.grade,
        "gate": "passed" if asked.passed else "not passed",
    }
    rows = {name: "-" if "nan" in text else text for name, text in rows.items()}
    return styled(pd.DataFrame({"": rows}), caption("The paper gate", about), "gate")


def hits(record: Record) -> Styler:
    """How often each rule of the gate spoke, over all claims of the run."""
    frame = (
        record.blocks[record.blocks > 0].sort_values(ascending=False).rename("claims").to_frame()
    )
    return styled(
        frame,
        caption("Every rule's hits, over all claims, those that the judge vetoed included", record),
        "hits",
    )


def rule_costs(table: pd.DataFrame, about: Made) -> Styler:
    """What each rule refused and what that was worth; from `review.rule_costs`."""
    formats = {
        "mean return": "{:+.2%}", "cost": "{:+,.0f}", "low": "{:+,.0f}", "high": "{:+,.0f}",
    }  # fmt: skip
    told = table.assign(shown=np.where(table["shown"], "yes", "no")).rename(
        columns={"shown": "told from luck"}
    )
    title = caption("What each rule cost (+) or saved (-), entries taken alone", about)
    return (
        styled(told, title, "costs").format(formats, na_rep="-", escape="html").hide(axis="index")
    )


def judged(record: Record, n: int = 8) -> Styler:
    """The last n verdicts, with what the judge said."""
    columns = ["time", "symbol", "side", "decision", "confidence", "source", "rationale"]
    frame = record.judged[columns].tail(n).iloc[::-1]
    formats = {"time": "{:%m-%d %H:%M}", "side": "{:+d}", "confidence": "{:.0f}"}
    shown = styled(frame, caption(f"The last {len(frame)} verdicts", record), "judged")
    return shown.format(formats, escape="html").hide(axis="index")


def caption(text: str, about: Made) -> str:
    """The text; what was made up says so."""
    return f"{text} ({about.source})" if about.synthetic else text


def styled(frame: pd.DataFrame, caption: str, name: str) -> Styler:
    """A table with a caption, everything in it escaped; `name` is its id on the page."""
    # A fixed id keeps a rebuilt page byte-identical; escaping keeps a rationale text.
    words = {
        column: [{"selector": "th, td", "props": "text-align: left"}]
        for column in frame.columns[[not is_numeric_dtype(dtype) for dtype in frame.dtypes]]
    }
    shown = frame.style.set_caption(html.escape(caption)).set_uuid(name)
    shown = shown.format_index(escape="html").format_index(escape="html", axis="columns")
    return shown.set_table_styles(words).format(escape="html", precision=2)


GRID = "display: grid; grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)); gap: 1px"
TILE = "padding: 8px 12px; box-shadow: 0 0 0 1px rgba(113, 128, 150, 0.3)"


def tiles(texts: Mapping[str, str], caption: str = "") -> HTML:
    """Figures side by side, each under its name; as many in a row as fit."""
    cells = (
        f'<div style="{TILE}"><small>{html.escape(name)}</small><br>'
        f"<b>{html.escape(text)}</b></div>"
        for name, text in texts.items()
    )
    told = f"<p><small>{html.escape(caption)}</small></p>" if caption else ""
    return HTML(f'{told}<div class="tiles" style="{GRID}">{"".join(cells)}</div>')
