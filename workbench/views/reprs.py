"""How the desk's objects show themselves when a cell ends with one.

`register` hands the formatters to IPython by the names of the types, so that nothing is loaded
before it is shown. Every object keeps its text for a terminal; all text is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from importlib import import_module
from typing import Any

_SHOWN = {
    ("workbench.panel", "Panel"): "panel",
    ("workbench.strategies.vote", "Strategy"): "strategy",
    ("workbench.desk", "Desk"): "desk",
    ("workbench.domain", "Case"): "case",
    ("workbench.domain", "Verdict"): "verdict",
    ("workbench.domain", "Judgement"): "judgement",
    ("workbench.domain", "Book"): "book",
    ("workbench.research.replay", "Replay"): "run",
    ("workbench.research.history", "History"): "history",
    ("workbench.research.sweep", "Sweep"): "sweep",
    ("workbench.research.validate", "Validation"): "validation",
    ("workbench.research.tearsheet", "TearSheet"): "tearsheet",
    ("workbench.research.slippage", "CostStudy"): "costs",
    ("workbench.research.trials", "Ledger"): "ledger",
    ("workbench.research.crosscheck", "Crosscheck"): "crosscheck",
    ("workbench.trading.record", "Record"): "run",
    ("workbench.trading.weekly", "Week"): "week",
}


def register(shell: Any) -> None:
    """Teach an IPython shell to show the desk's objects."""
    formatter = shell.display_formatter.formatters["text/html"]
    for (module, name), how in _SHOWN.items():
        formatter.for_type_by_name(module, name, globals()[f"_{how}"])


def _views(name: str) -> Any:
    return import_module(f"workbench.views.{name}")


def _tiles(texts: dict[str, str], caption: str) -> str:
    return str(_views("tables").tiles(texts, caption).data)


def _line(text: str) -> str:
    return f"<p><small>{html.escape(text)}</small></p>"


def _panel(panel: Any) -> str:
    if not len(panel):
        return html.escape(repr(panel))
    facts = {
        "bars": f"{len(panel):,}",
        "of": str(panel.timeframe).removeprefix("0 days "),
        "symbols": f"{len(panel.symbols)}",
        "first bar": f"{panel.index[0]:%Y-%m-%d %H:%M}",
        "last bar": f"{panel.index[-1]:%Y-%m-%d %H:%M}",
    }
    named = _line(f"{', '.join(panel.symbols)}; context {', '.join(panel.context) or 'none'}")
    return _tiles(facts, f"Panel: {panel.source}" if panel.source else "Panel") + named


def _strategy(strategy: Any) -> str:
    lookback = strategy.lookback
    known = strategy.calibration.last if strategy.calibration else None
    facts = {
        "category": strategy.category,
        "votes when": ", ".join(sorted(strategy.regimes)),
        "lookback": f"{lookback:,} bars" if isinstance(lookback, int) else lookback,
        "parameters": ", ".join(f"{k}={v}" for k, v in strategy.parameters.items()) or "defaults",
        "confidence": "uncalibrated" if known is None else f"of {known.n:,} outcomes, {known.kind}",
    }
    return _tiles(facts, f"Strategy: {strategy.name}")


def _desk(desk: Any) -> str:
    facts = {
        "judge": getattr(desk.judge, "__name__", type(desk.judge).__name__),
        "capital": f"{desk.capital:,.0f}",
        "a position": f"{desk.limits.max_position:.0%}",
        "deployed": f"{desk.limits.max_deployed:.0%}",
        "stop": f"{desk.limits.stop:.1%}",
        "venue": desk.source.venue,
        "journal": str(desk.journal_path),
    }
    return _tiles(facts, f"Desk: {', '.join(s.name for s in desk.strategies)}")


def _case(case: Any) -> str:
    return _views("tables").case(case).to_html()


def _verdict(verdict: Any) -> str:
    return _views("tables").verdicts([verdict]).to_html()


def _judgement(judged: Any) -> str:
    return str(_views("judgement").judgement(judged).data)


def _book(book: Any) -> str:
    facts = {"equity": f"{book.equity:,.2f}", "cash": f"{book.cash:,.2f}",
             "halted": "HALTED" if book.halted else "no"}  # fmt: skip
    held = _views("tables").styled(book.frame(), "Held", "held").to_html()
    return _tiles(facts, "Book") + (held if len(book.frame()) else "")


def _run(run: Any) -> str:
    summary: Callable[[Any], Any] = import_module("workbench.research.metrics").summary
    return str(_views("tables").summary(summary(run)).data) if len(run.equity) else "no bar so far"


def _history(history: Any) -> str:
    return (
        _run(history.replay) + _views("tables").why(history.signals, history.world.panel).to_html()
    )


def _sweep(sweep: Any) -> str:
    return _views("studies").sweep_table(sweep).to_html()


def _validation(found: Any) -> str:
    return str(_views("verdict").verdict(found).data)


def _tearsheet(sheet: Any) -> str:
    return str(_views("tearsheet").figures(sheet).data)


def _costs(study: Any) -> str:
    return _views("evidence").cost_table(study).to_html()


def _ledger(ledger: Any) -> str:
    return (
        _line(repr(ledger))
        + _views("tables")
        .styled(ledger.frame().tail(20).drop(columns=["key", "data"]), "The last trials", "trials")
        .to_html()
    )


def _crosscheck(done: Any) -> str:
    told = f"{done.symbol}, {done.bars:,} bars, {done.source}"
    return _views("tables").styled(done.frame, told, "crosscheck").to_html()


def _week(week: Any) -> str:
    return str(_views("week").heading(week).data) + str(_views("week").figures(week).data)
