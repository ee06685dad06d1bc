"""One verdict on a page: who wanted the entry, what the judge saw, what it said and why.

A rationale is a stranger's text, for whoever wrote the headlines had a part in it: everything is
escaped and nothing is read as markup.
"""

from __future__ import annotations

import html
import math

from IPython.display import HTML

from workbench.domain import Call, Case, Decision, Judgement, Verdict
from workbench.judges.case import evidence
from workbench.views.charts import AMBER, GREEN, GREY, RED
from workbench.views.tables import sure

COLORS = {Decision.PROCEED: GREEN, Decision.REDUCE: AMBER, Decision.SKIP: RED}
SIDES = {1: "long", -1: "short"}


def judgement(judged: Judgement) -> HTML:
    """The verdict, its grounds, and in a fold all that the judge was shown."""
    case, verdict = judged
    return HTML(
        f'<div class="judgement" style="max-width: 60rem">{_head(case, verdict)}{_said(verdict)}'
        f"{_votes(case)}{_evidence(case, verdict)}{_calls(verdict)}"
        f"<details><summary>All that was shown: {len(case.features)} numbers,"
        f" {len(case.headlines)} headlines</summary>{_shown(case)}</details></div>"
    )


def _head(case: Case, verdict: Verdict) -> str:
    word = verdict.code or verdict.decision.value
    color = GREY if verdict.code else COLORS.get(verdict.decision, GREY)
    side = SIDES.get(case.side, str(case.side))
    return (
        f'<p style="margin: 12px 0 4px"><b style="background: {color}; color: white; padding: 3px'
        f' 12px; border-radius: 6px; font-size: 1.05rem">{_(word)}</b>&ensp;<b>{_(side)}'
        f" {_(case.symbol)}</b> at {case.as_of:%Y-%m-%d %H:%M} UTC, {_(case.regime)}</p>"
        f"<p><small>{_(_who(verdict))}</small></p>"
    )


def _who(verdict: Verdict) -> str:
    told = [verdict.source]
    if not verdict.code:
        told.append(_confidence(verdict))
    if verdict.knowledge:
        told.append(_KNOWLEDGE.get(verdict.knowledge, verdict.knowledge))
    if verdict.calls:
        told.append(f"{_usd(verdict.cost_usd)}, {verdict.latency_s:.1f} s")
    return " · ".join(told)


_KNOWLEDGE = {
    "clean": "later than all that the model was trained on",
    "contaminated": "CONTAMINATED: the model may remember how this went",
    "unknown": "it is not known whether the model remembers this time",
}


def _confidence(verdict: Verdict) -> str:
    if not verdict.model:
        return f"{verdict.confidence:.0f} points, no probability"
    if verdict.chance is None:
        return f"confidence {verdict.confidence:.0f}, uncalibrated"
    return (
        f"confidence {verdict.confidence:.0f}, which has meant {verdict.chance:.0%} over"
        f" {verdict.outcomes:,} outcomes"
    )


def _said(verdict: Verdict) -> str:
    return (
        '<blockquote style="margin: 6px 0; padding: 4px 14px; border-left: 3px solid'
        f' {GREY}"><bdi>{_(verdict.rationale)}</bdi></blockquote>'
    )


def _votes(case: Case) -> str:
    rows = [
        [s.strategy, s.category, f"{SIDES.get(s.side, s.side)}, {sure(s.confidence, s.outcomes)}",
         f"does not count: {s.muted}" if s.muted else "counts"]
        for s in case.signals
    ]  # fmt: skip
    quiet = f"silent: {', '.join(case.silent)}" if case.silent else ""
    return _table("Who voted", ["strategy", "category", "vote", ""], rows) + _small(quiet)


def _evidence(case: Case, verdict: Verdict) -> str:
    rows = [[id, evidence(case, id) or "NOT FOUND in the case"] for id in verdict.evidence_ids]
    return _table("It rests on", ["id", "what it is"], rows) if rows else ""


def _calls(verdict: Verdict) -> str:
    if not verdict.calls:
        return ""
    names = ["shown", "said", "tokens in", "of them cached", "out", "cost", "latency", "attempts"]
    return _table("What was asked", names, [_call(call) for call in verdict.calls])


def _call(call: Call) -> list[str]:
    total = call.input_tokens + call.cache_read_tokens + call.cache_write_tokens
    said = call.code or f"{call.decision} at {call.confidence:.0f}"
    return [
        "numbers alone" if call.shown == "numbers" else "the whole case", said, f"{total:,}",
        f"{call.cache_read_tokens:,}", f"{call.output_tokens:,}", _usd(call.cost_usd),
        f"{call.latency_s:.1f} s", f"{call.attempts}",
    ]  # fmt: skip


def _shown(case: Case) -> str:
    news = [[f"{h.available_at:%m-%d %H:%M}", h.source, h.title, h.id] for h in case.headlines]
    numbers = [
        [name, "unknown" if value is None else f"{value:,.6g}"]
        for name, value in sorted(case.features.items())
    ]
    ages = [
        f"{feed} {hours:,.1f} h" if math.isfinite(hours) else f"{feed} never"
        for feed, hours in sorted(case.ages.items())
    ]
    withheld = f"{case.withheld} withheld: they read like instructions" if case.withheld else ""
    return (
        _table("Headlines", ["first seen", "source", "title", "id"], news)
        + _small(withheld)
        + _table("Numbers", ["name", "value"], numbers)
        + _small(f"missing or stale: {', '.join(case.missing) or 'nothing'}")
        + _small(f"last heard: {', '.join(ages)}" if ages else "")
    )


def _table(caption: str, names: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return _small(f"{caption}: none")
    head = "".join(f'<th style="text-align: left">{_(name)}</th>' for name in names)
    body = "".join(
        f"<tr>{''.join(f'<td style={_CELL}><bdi>{_(cell)}</bdi></td>' for cell in row)}</tr>"
        for row in rows
    )
    return (
        f'<div style="overflow-x: auto"><table style="width: 100%"><caption style="text-align: left'
        f'">{_(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


_CELL = '"text-align: left; vertical-align: top; white-space: normal"'


def _small(text: str) -> str:
    return f"<p><small>{_(text)}</small></p>" if text else ""


def _usd(amount: float) -> str:
    return f"{amount:.6f} USD" if amount else "no cost"


def _(text: object) -> str:
    return html.escape(str(text))
