"""One verdict on a page: who wanted the entry, what the judge saw, what it said and why.

A rationale is a stranger's text, for whoever wrote the headlines had a part in it: everything is
escaped, nothing is read as markup, and characters that hide or turn text are shown by number.
"""

from __future__ import annotations

import html
import math
import unicodedata

from IPython.display import HTML

from workbench.domain import Call, Case, Decision, Judgement, Verdict
from workbench.judges.case import evidence
from workbench.views.charts import AMBER, GREEN, GREY, RED
from workbench.views.tables import Made, sure

COLORS = {Decision.PROCEED: GREEN, Decision.REDUCE: AMBER, Decision.SKIP: RED}
SIDES = {1: "long", -1: "short"}


def judgement(judged: Judgement, about: Made | None = None) -> HTML:
    """The verdict, its grounds, and in a fold all that the judge was shown; a world that was made
    up says so where it is told what the verdict is `about`."""
    case, verdict = judged
    shown = f"All that was shown: {_n(len(case.features), 'number')}, "
    shown += _n(len(case.headlines), "headline")
    return HTML(
        f'<div class="judgement" style="max-width: 60rem; overflow-wrap: break-word">'
        f"{_head(case, verdict, about)}{_said(verdict)}"
        f"{_votes(case)}{_evidence(case, verdict)}{_calls(verdict)}"
        f"<details><summary>{shown}</summary>{_shown(case)}{_small(_record(verdict))}"
        "</details></div>"
    )


def _head(case: Case, verdict: Verdict, about: Made | None) -> str:
    word = verdict.code or verdict.decision.value
    color = GREY if verdict.code else COLORS.get(verdict.decision, GREY)
    side = SIDES.get(case.side, str(case.side))
    return (
        f'<p style="margin: 20px 0 4px"><b style="background: {color}; color: white; padding: 3px'
        f' 12px; border-radius: 6px; font-size: 1.05rem">{_(word)}</b>&ensp;<b>{_(side)}'
        f" {_(case.symbol)}</b>, {_(case.regime)},"
        f" {case.as_of:%Y-%m-%d %H:%M} UTC</p>"
        f"{_small(_who(verdict, about))}{_remembers(verdict)}"
    )


def _who(verdict: Verdict, about: Made | None) -> str:
    told = [verdict.source]
    if not verdict.code:
        told.append(_confidence(verdict))
    if any(call.attempts for call in verdict.calls):
        told.append(f"{_usd(verdict.cost_usd)}, {verdict.latency_s:.1f} s when it was asked")
    if about is not None and about.synthetic:
        told.append(about.source)
    return " · ".join(told)


def _remembers(verdict: Verdict) -> str:
    """May the model have known how it went? Nothing where none was asked."""
    text = _KNOWLEDGE.get(verdict.knowledge, verdict.knowledge)
    if verdict.knowledge in ("", "clean"):
        return _small(text)
    return f'<p style="{_CLOSE}"><b style="color: {AMBER}">{_(text)}</b></p>'


_KNOWLEDGE = {
    "clean": "clean: later than all that the model was trained on",
    "contaminated": "CONTAMINATED: the model may remember how this went",
    "unknown": "UNKNOWN whether the model remembers how this went",
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
        [s.strategy, s.category, f"{SIDES.get(s.side, s.side)}, {sure(s.confidence, s.outcomes)}"
         + (f"; does not count: {s.muted}" if s.muted else "")]
        for s in case.signals
    ]  # fmt: skip
    quiet = f"silent: {', '.join(case.silent)}" if case.silent else ""
    return _table("Who voted", ["strategy", "category", "vote"], rows) + _small(quiet)


def _evidence(case: Case, verdict: Verdict) -> str:
    rows = [[id, evidence(case, id) or "NOT FOUND in the case"] for id in verdict.evidence_ids]
    return _table("It rests on", ["id", "what it is"], rows) if rows else ""


def _calls(verdict: Verdict) -> str:
    if not verdict.calls:
        return ""
    names = ["shown", "said", "tokens", "cost", "took"]
    return _table("What was asked", names, [_call(call) for call in verdict.calls])


def _call(call: Call) -> list[str]:
    total = call.input_tokens + call.cache_read_tokens + call.cache_write_tokens
    cached = f" ({call.cache_read_tokens:,} cached)" if call.cache_read_tokens else ""
    said = f"{call.decision} at {call.confidence:.0f}"
    took = f"{call.latency_s:.1f} s, {_n(call.attempts, 'attempt')}"
    return [
        "numbers alone" if call.shown == "numbers" else "the whole case",
        f"{call.code}: {call.says}" if call.code else said,
        f"{total:,} in{cached}, {call.output_tokens:,} out",
        _usd(call.cost_usd),
        took if call.attempts else "nobody was asked",
    ]


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
    bracket = [
        f"{name.replace('_', ' ')} {100.0 * share:.3g} %"
        for name, share in sorted(case.bracket.items())
    ]
    withheld = f"{case.withheld} withheld: they read like instructions" if case.withheld else ""
    return (
        _table("Headlines", ["first seen", "source", "title", "id"], news)
        + _small(withheld)
        + _table("Numbers", ["name", "value"], numbers)
        + _small(f"the trade: {', '.join(bracket)}" if bracket else "")
        + _small(f"missing or stale: {', '.join(case.missing) or 'nothing'}")
        + _small(f"last heard: {', '.join(ages)}" if ages else "")
    )


def _record(verdict: Verdict) -> str:
    """The names under which it is kept."""
    asked = [call.request_id for call in verdict.calls if call.request_id]
    told = [f"case {verdict.case_hash[:12]}"]
    told += [f"prompt {verdict.prompt_id}"] if verdict.prompt_id else []
    return ", ".join(told + [f"request {id}" for id in asked])


def _table(caption: str, names: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return _small(f"{caption}: none")
    head = "".join(f'<th style="{_CELL}">{_(name)}</th>' for name in names)
    body = "".join(f"<tr>{''.join(_cell(text) for text in row)}</tr>" for row in rows)
    return (
        f'<div style="overflow-x: auto"><table style="width: 100%"><caption style="text-align: left'
        f'">{_(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _cell(text: str) -> str:
    return f'<td style="{_CELL}"><bdi>{_(text)}</bdi></td>'


_CELL = "text-align: left; vertical-align: top; white-space: normal"
_CLOSE = "margin: 2px 0 8px"
_JOINERS = "\n\u200c\u200d"  # that scripts and pictures need


def _small(text: str) -> str:
    return f'<p style="{_CLOSE}"><small><bdi>{_(text)}</bdi></small></p>' if text else ""


def _usd(amount: float) -> str:
    return f"{amount:.6f} USD" if amount else "no cost"


def _n(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _(text: object) -> str:
    """Escaped; what hides, turns or controls text is seen."""
    return html.escape("".join(_seen(letter) for letter in str(text)))


def _seen(letter: str) -> str:
    hidden = unicodedata.category(letter).startswith("C") and letter not in _JOINERS
    return f"[U+{ord(letter):04X}]" if hidden else letter
