"""The panel's words: what is known of a desk as HTML. Every text is escaped, whoever wrote it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from html import escape
from typing import Any

import pandas as pd

from workbench.trading.control import State
from workbench.trading.gates import PaperGate
from workbench.trading.record import SIGNALS
from workbench.views.watch import Sight

DECISIONS = 8
STAGES = ("vote", "judge", "risk", "traded")
_TIME, _SYMBOL, _STAGE, _RULE = (SIGNALS.index(n) for n in ("time", "symbol", "stage", "rule"))


def banner(sight: Sight) -> str:
    """Mode, state, process, heartbeat, last bar; whatever is wrong in the colour of alarm."""
    standing, state = sight.standing, _state(sight)
    silent = standing.heartbeat is not None and not standing.lives and not standing.heartbeat.ended
    parts = [
        _span("mode", sight.mode, sight.mode.lower()) if sight.mode else "",
        _span("state", "NO DESK" if state == "NONE" else state, state.lower()),
        _span("told", _told(sight)),
        _span("process", standing.process, "alarm" if silent else ""),
        _span("age", _age(standing.age_s, silent), "alarm" if silent else ""),
        _span("bar", f"last bar closed {when(sight.record.as_of)}" if _began(sight) else ""),
        _span("trouble", sight.trouble, "alarm"),
    ]
    return f'<div class="wb-banner wb-{state.lower()}">{"".join(parts)}</div>'


def _state(sight: Sight) -> str:
    """What the desk says of itself; if it is not there, what was ordered, or how it ended."""
    beat, ordered = sight.standing.heartbeat, sight.standing.control.state
    if beat is not None and sight.standing.lives:
        return beat.state
    if ordered is not State.RUNNING:
        return ordered
    if beat is None:
        return "NONE"
    return beat.ended.partition(":")[0].upper() or "SILENT"


def _told(sight: Sight) -> str:
    control = sight.standing.control
    if sight.awaited:
        return f"{control.state} is ordered; waiting for the desk"
    if control.state is State.RUNNING:
        return ""
    return str(replace(control, at=_second(control.at))).removeprefix(f"{control.state} ")


def _second(at: str) -> str:
    """A moment to the second; whatever is none stays as it is written."""
    try:
        return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return at


def _age(age_s: float | None, silent: bool) -> str:
    if age_s is None:
        return ""
    return f"heartbeat {_ago(age_s)} ago" + (" · SILENT" if silent else "")


def _ago(age_s: float) -> str:
    """Seconds as long as somebody would count them."""
    if age_s < 600:
        return f"{age_s:.0f} s"
    return f"{age_s / 60:,.0f} min" if age_s < 7_200 else f"{age_s / 3_600:,.0f} h"


def figures(sight: Sight) -> str:
    """The run in eight numbers."""
    if not _began(sight):
        return ""
    record, capital, gate = sight.record, sight.record.capital, sight.gate
    total, today = record.equity_now - capital, sight.today
    cells = [
        ("equity", money(record.equity_now), f"from {money(capital)}", ""),
        ("total return", f"{total / capital:+.2%}", f"{total:+,.2f}", _sign(total)),
        ("today", f"{today:+,.2f}", "since 00:00 UTC", _sign(today)),
        ("drawdown", f"{sight.drawdown[-1]:.2%}", f"deepest {sight.drawdown.min():.2%}", ""),
        ("deployed", f"{sight.deployed:.1%}", f"of {record.limits.max_deployed:.0%}", ""),
        ("open", str(len(record.positions())), "positions", ""),
        ("trades", f"{gate.n:,}", "closed", ""),
        ("paper gate", f"{min(gate.n, gate.needed)}/{gate.needed}", "trades", ""),
    ]
    shown = "".join(
        f'<div class="wb-figure"><span>{_(name)}</span><b class="{sign}">{_(value)}</b>'
        f"<small>{_(note)}</small></div>"
        for name, value, note, sign in cells
    )
    return f'<div class="wb-figures">{shown}</div>'


def positions(sight: Sight) -> str:
    """What is held, a row a symbol."""
    held = sight.record.positions() if sight.record else pd.DataFrame()
    if held.empty:
        return _card("Positions", _nothing("nothing is held"), sight)
    names = ["symbol", "side", "quantity", "entry", "mark", "profit", "stop", "target"]
    rows = []
    for symbol, row in held.iterrows():
        stop = f"{price(row['stop'])}{' trailing' if row['trailing'] else ''}"
        target = "taken" if math.isnan(row["target"]) else price(row["target"])
        rows.append([
            (str(symbol), "name"), (row["side"], ""), (f"{row['quantity']:.6g}", ""),
            (price(row["entry"]), ""), (price(row["mark"]), ""),
            (f"{row['profit']:+,.2f}", _sign(row["profit"])), (stop, ""), (target, ""),
        ])  # fmt: skip
    return _card("Positions", _table(names, rows, "wb-positions"), sight)


def decisions(sight: Sight) -> str:
    """The last verdicts, newest first, each with what risk made of it."""
    rows = sight.record.verdict_rows[-DECISIONS:] if sight.record else ()
    if not rows:
        return _card("Last decisions", _nothing("nobody has wanted an entry yet"), sight)
    ends = _ends(sight, {(row[0], row[1]) for row in rows})
    shown = []
    for row in reversed(rows):
        time, symbol, side, regime, decision, points, rationale, source, *_rest = row
        stage, rule = ends.get((time, symbol), ("", ""))
        side = "long" if side > 0 else "short"
        shown.append(
            f'<li><div><span class="wb-time">{_(when(time))}</span>'
            f"<b>{_(symbol)}</b><span>{_(side)}, {_(regime)}</span>"
            f'<span class="wb-verdict wb-{_(decision).lower()}">{_(decision)}</span>'
            f"<span>{_(f'{points:g}')} points</span>"
            f'<span class="wb-rule wb-{_(stage)}">{_(_rule(stage, rule))}</span></div>'
            f'<p><bdi>{_(rationale)}</bdi> <span class="wb-source">{_(source)}</span></p></li>'
        )
    return _card("Last decisions", f'<ol class="wb-decisions">{"".join(shown)}</ol>', sight)


def _ends(sight: Sight, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
    """The stage and the rule at which each wanted (time, symbol) ended; the votes are in order."""
    first = min(time for time, _symbol in wanted)
    ends: dict[tuple[str, str], tuple[str, str]] = {}
    for row in reversed(sight.record.vote_rows if sight.record else ()):
        if row[_TIME] < first:
            break
        key = (row[_TIME], row[_SYMBOL])
        if key in wanted and row[_STAGE] != "vote":
            ends[key] = (row[_STAGE], row[_RULE])
    return ends


def _rule(stage: str, rule: str) -> str:
    names = {"traded": "entered", "judge": "the judge declined", "risk": "risk"}
    if stage == "judge" and rule != "SKIP":
        return f"not judged: {rule}"
    said = names.get(stage, "")
    return f"{said}: {rule}" if stage == "risk" or rule == "CLAMPED" else said


def why(sight: Sight) -> str:
    """Where every signal ended, by strategy."""
    table = sight.why
    if table.empty:
        return _card("Why no trade", _nothing("no strategy has voted yet"), sight)
    strategies = [name for name in table.columns if name != "total"]
    order = sorted(table.index, key=lambda end: (STAGES.index(end[0]), end[1]))
    rows = []
    for end in order:
        counts = [table.loc[end, name] for name in ["total", *strategies]]
        cells = [(f"{int(n):,}" if n else "·", "") for n in counts]
        rows.append([(end[0], f"wb-{end[0]}"), (_plain(end[1]), "name"), *cells])
    names = ["stage", "ended by", "signals", *(name.replace("_", " ") for name in strategies)]
    body = _table(names, rows, "wb-why")
    return _card("Why no trade: where every signal ended", body, sight)


def gate(sight: Sight) -> str:
    """How far the paper gate is, and what the trades really show."""
    found = sight.gate
    share = min(found.n / found.needed, 1.0)
    bar = f'<div class="wb-progress"><i style="width:{share:.1%}"></i></div>'
    passed = "passed" if found.passed else "not passed"
    told = f"<p>{_(str(found))}</p>"
    return _card(f"Paper gate: {passed}", bar + told + _interval(found), sight)


def _interval(found: PaperGate) -> str:
    """The 95 % interval of the expectancy as a bar on a line with its zero in the middle."""
    reach = 1.1 * max(abs(found.low), abs(found.high))
    if not 0.0 < reach < math.inf:
        return ""
    left, mean, right = (50 + 50 * x / reach for x in (found.low, found.expectancy, found.high))
    return (
        f'<div class="wb-interval"><i style="left:{left:.1f}%;width:{right - left:.1f}%"></i>'
        f'<b style="left:{mean:.1f}%"></b></div>'
        f'<div class="wb-ends"><span>{-reach:+.2%}</span><span>0</span>'
        f"<span>{reach:+.2%}</span></div><p class='wb-nothing'>95 % interval of the"
        " expectancy a trade, after costs</p>"
    )


def rearming(sight: Sight) -> str:
    """How a HALTED desk is brought back; the panel cannot."""
    if sight.standing.control.state is not State.HALTED:
        return ""
    command = f"workbench rearm --by YOUR_NAME --journal {sight.path}"
    return (
        '<div class="wb-rearm">HALTED. It stays so over every restart until somebody re-arms it by'
        f" name, which this page cannot do:<code>{_(command)}</code></div>"
    )


def answer(text: str, alarm: bool = False) -> str:
    """One sentence back to whoever pressed a button."""
    kind = " wb-alarm" if alarm else ""
    return f'<div class="wb-answer{kind}" role="status">{_(text)}</div>' if text else ""


def heading(text: str, sight: Sight) -> str:
    """A card's heading; made-up data says so in each."""
    made_up = '<em class="wb-madeup">SYNTHETIC</em>' if sight.synthetic else ""
    return f"<h2>{_(text)}{made_up}</h2>"


def money(value: float) -> str:
    return f"{value:,.2f}"


def price(value: float) -> str:
    """As many digits as a price of its size is quoted with."""
    digits = 2 if abs(value) >= 1_000 else 4 if abs(value) >= 1 else 6
    return f"{value:,.{digits}f}"


def when(time: str) -> str:
    return f"{pd.Timestamp(time):%Y-%m-%d %H:%M} UTC"


def _(text: object) -> str:
    return escape(str(text))


def _began(sight: Sight) -> bool:
    return sight.record is not None and bool(sight.record.accounts)


def _sign(value: float) -> str:
    return "wb-gain" if value > 0 else "wb-loss" if value < 0 else ""


def _plain(name: str) -> str:
    return name.replace("_", " ").lower()


def _span(name: str, text: str, kind: str = "") -> str:
    kind = f" wb-{_(kind)}" if kind else ""
    return f'<span class="wb-{name}{kind}">{_(text)}</span>' if text else ""


def _card(title: str, body: str, sight: Sight) -> str:
    return f"<section>{heading(title, sight)}{body}</section>"


def _nothing(text: str) -> str:
    return f'<p class="wb-nothing">{_(text)}</p>'


def _table(names: Sequence[str], rows: Iterable[Sequence[tuple[Any, str]]], kind: str) -> str:
    """A table of (text, class) cells; each cell knows its column's name, for narrow screens."""
    head = "".join(f"<th>{_(name)}</th>" for name in names)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{_(cell)}" data-name="{_(name)}">{_(text)}</td>'
            for name, (text, cell) in zip(names, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wb-scroll"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
