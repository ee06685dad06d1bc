"""Tables for people: the package's numbers with units, captions and no index noise."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from workbench.domain import Case, Cycle, Panel, Reason, Snapshot, Verdict
from workbench.judges.case import case_hash
from workbench.research.history import History, why_no_trade
from workbench.research.metrics import trades

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


def summary(values: pd.Series[Any]) -> Styler:
    """The figures of a run, one a row."""
    frame = pd.DataFrame({"": figures(values)})
    return _styled(frame, f"The run ({values.name})", "summary")


def why(history: History) -> Styler:
    """Why no trade: how many signals of each strategy ended at which rule."""
    table = why_no_trade(history.signals)
    return _styled(table, _caption("What became of every signal", history.world.panel), "why")


def recent_trades(history: History, n: int = 10) -> Styler:
    """The last n closed trades."""
    table = trades(history.replay.fills).tail(n).iloc[::-1]
    formats = {
        "opened": "{:%m-%d %H:%M}", "closed": "{:%m-%d %H:%M}", "quantity": "{:.6g}",
        "entry": "{:.6g}", "exit": "{:.6g}", "profit": "{:+.2f}", "return": "{:+.2%}",
    }  # fmt: skip
    caption = _caption(f"The last {len(table)} closed trades", history.world.panel)
    return _styled(table, caption, "trades").format(formats).hide(axis="index")


def recent_signals(history: History, n: int = 12) -> Styler:
    """The last n signals, each with its end."""
    columns = ["time", "symbol", "strategy", "side", "confidence", "verdict", "stage", "rule"]
    table = history.signals[columns].tail(n).iloc[::-1]
    formats = {"time": "{:%Y-%m-%d %H:%M}", "side": "{:+d}", "confidence": "{:.1f}"}
    caption = _caption(f"The last {len(table)} signals and their fate", history.world.panel)
    return _styled(table, caption, "signals").format(formats).hide(axis="index")


def case(shown: Case) -> Styler:
    """What a judge is shown: the votes, the numbers, the headlines, and what is missing."""
    rows = {
        "as of": f"{shown.as_of:%Y-%m-%d %H:%M} UTC",
        "wanted": f"{shown.side:+d} {shown.symbol}",
        "regime": shown.regime,
        "votes": ", ".join(
            f"{s.strategy} {s.side:+d} at {s.confidence:.0f}" for s in shown.signals
        ),
        "missing or stale": ", ".join(shown.missing) or "nothing",
        "headlines": f"{len(shown.headlines)} in a day",
    }
    rows |= {k: "unknown" if v is None else f"{v:,.6g}" for k, v in sorted(shown.features.items())}
    frame = pd.DataFrame({"": rows})
    return _styled(frame, f"The case, {case_hash(shown)[:12]}", "case")


def verdicts(given: list[Verdict]) -> Styler:
    """What the judge said, and who it is."""
    rows = [(v.source, v.decision.value, f"{v.confidence:.0f}", v.rationale) for v in given]
    frame = pd.DataFrame(rows, columns=["judge", "decision", "points", "rationale"])
    return _styled(frame, "The verdict", "verdict").hide(axis="index")


def ruling(cycle: Cycle) -> Styler:
    """Risk's answer to every claim of one bar."""
    rows = [(symbol, reason.name) for symbol, reason in cycle.ruling.reasons.items()]
    frame = pd.DataFrame(rows, columns=["symbol", "reason"])
    frame["order"] = [
        next((f"{o.side} {o.quantity or 'all'}" for o in cycle.ruling.orders if o.symbol == s), "")
        for s in frame["symbol"]
    ]
    taken = frame["reason"].isin([Reason.ACCEPTED.name, Reason.CLAMPED.name])
    caption = (
        f"The ruling at {cycle.as_of:%Y-%m-%d %H:%M}: {int(taken.sum())} of {len(frame)} claims"
    )
    return _styled(frame, caption, "ruling").hide(axis="index")


def known(snapshot: Snapshot) -> Styler:
    """Hours since each feed was last heard of at a snapshot."""
    ages = {name: f"{hours:,.1f}" for name, hours in snapshot.staleness.items()}
    frame = pd.DataFrame({"hours since last heard": ages})
    return _styled(frame, f"Known at {snapshot.as_of:%Y-%m-%d %H:%M} UTC", "known")


def _caption(text: str, panel: Panel) -> str:
    return f"{text} ({panel.source})" if panel.synthetic else text


def _styled(frame: pd.DataFrame, caption: str, name: str) -> Styler:
    # A fixed id keeps a rebuilt page byte-identical; escaping keeps a rationale text.
    return frame.style.set_caption(caption).set_uuid(name).format(escape="html", precision=2)
