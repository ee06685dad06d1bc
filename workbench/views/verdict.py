"""The verdict on a strategy, on a page: one word, and every test that it rests on."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Protocol

from IPython.display import HTML

from workbench.views.charts import AMBER, GREEN, GREY, RED

VERDICTS = {"TRUSTED": GREEN, "NOT PROVEN": AMBER, "REJECTED": RED}


class Finding(Protocol):
    """One test of a verdict; `passed` is None where it is open (not computable, or not yet
    asked) or, with a figure, told only."""

    @property
    def name(self) -> str: ...
    @property
    def figure(self) -> float | None: ...
    @property
    def threshold(self) -> str: ...
    @property
    def passed(self) -> bool | None: ...
    @property
    def sentence(self) -> str: ...


class Judged(Protocol):
    """What is said of a strategy, and from which tests."""

    @property
    def verdict(self) -> str: ...
    @property
    def strategy(self) -> str: ...
    @property
    def findings(self) -> Sequence[Finding]: ...
    @property
    def source(self) -> str: ...


def verdict(judged: Judged) -> HTML:
    """The verdict in a word and a colour, then every test: figure, threshold and sentence."""
    color = VERDICTS.get(judged.verdict, GREY)
    head = (
        f'<p style="margin: 12px 0 6px"><b style="background: {color}; color: white; padding: 3px'
        f' 12px; border-radius: 6px; font-size: 1.05rem">{html.escape(judged.verdict)}</b>'
        f"&ensp;<b>{html.escape(judged.strategy)}</b></p>"
        f"<p><small>{html.escape(_counted(judged.findings))}"
        f"{html.escape(f', on {judged.source}' if judged.source else '')}</small></p>"
    )
    rows = "".join(_finding(found) for found in judged.findings)
    return HTML(
        f'{head}<div style="overflow-x: auto"><table class="findings" style="width: 100%">'
        f"<thead><tr>{_cell('th', 'test', 'left')}{_cell('th', 'figure')}"
        f"{_cell('th', 'threshold')}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _finding(found: Finding) -> str:
    word, color = {True: ("passed", GREEN), False: ("failed", RED), None: ("open", GREY)}[
        found.passed
    ]
    if found.passed is None and found.figure is not None:
        word = "told only"
    told = (
        f"<b>{html.escape(found.name)}</b>&ensp;"
        f'<b style="color: {color}; white-space: nowrap">{word}</b>'
        f"<br>{html.escape(found.sentence)}"
    )
    test = f'<td style="text-align: left; white-space: normal">{told}</td>'
    return f"<tr>{test}{_cell('td', _number(found.figure))}{_cell('td', found.threshold)}</tr>"


def _cell(tag: str, text: str, align: str = "right") -> str:
    style = f"text-align: {align}; vertical-align: top; white-space: normal"
    return f'<{tag} style="{style}">{html.escape(text)}</{tag}>'


def _number(figure: float | None) -> str:
    if figure is None or not math.isfinite(figure):
        return "none"
    return f"{figure:,.0f}" if abs(figure) >= 1_000.0 else f"{figure:.3g}"


def _counted(findings: Sequence[Finding]) -> str:
    asked = [found for found in findings if found.passed is not None or found.figure is None]
    passed = sum(found.passed is True for found in asked)
    open_ones = sum(found.passed is None for found in asked)
    told = f"{passed} of {len(asked)} tests passed"
    return f"{told}, {open_ones} open" if open_ones else told
