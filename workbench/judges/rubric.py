"""The judge without a key: a points table, always labelled "RUBRIC (not an LLM)".

Deterministic, and blind to words: it reads numbers and regimes, never a headline and no vote that
was read from one. It starts from 60 points; every line of the table that holds takes points away or
gives some back. 60 and above proceeds, 40 and above reduces, below that it skips. The points are no
probability; they are shown where a model would put its confidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from workbench.domain import Case, Decision, Verdict
from workbench.judges.case import case_hash
from workbench.ports import Judge

SOURCE = "RUBRIC (not an LLM)"
PROMPT_ID = "rubric-v1"
START, PROCEED_FROM, REDUCE_FROM = 60, 60, 40


class Line(NamedTuple):
    """One line of the table: its points if `holds`, or if a number it `needs` is unknown."""

    points: int
    says: str
    holds: Callable[[Case], bool]
    needs: str = ""


def _number(case: Case, name: str) -> float:
    """The feature, NaN if unknown."""
    value = case.features.get(name)
    return math.nan if value is None else value


def _agreeing(case: Case) -> int:
    """Categories behind the entry, votes read from words left out."""
    counted = [s for s in case.signals if not s.muted and not s.from_text]
    return len({s.category for s in counted if s.side == case.side})


TABLE = (
    Line(15, "two categories agree", lambda c: _agreeing(c) >= 2),
    Line(5, "the regime is calm", lambda c: c.regime in ("trending", "ranging")),
    Line(-15, "the market is in high volatility", lambda c: c.regime == "high_vol"),
    Line(-25, "price moved 8 % against it in a day", lambda c: c.side * _number(c, "return_24h") < -0.08),
    Line(-10, "price already ran 10 % its way in a day", lambda c: c.side * _number(c, "return_24h") > 0.10),
    Line(-10, "price moved 20 % against it in a week", lambda c: c.side * _number(c, "return_7d") < -0.20, "return_7d"),
    Line(-10, "funding says the side is crowded", lambda c: c.side * _number(c, "funding") > 0.0005, "funding"),
    Line(-10, "coins flow the wrong way at exchanges", lambda c: c.side * _number(c, "netflow_z") > 2.0, "netflow_z"),
    Line(-5, "the crowd is at an extreme on its side", lambda c: c.side * (_number(c, "fear_greed") - 50) > 35, "fear_greed"),
    Line(-10, "VIX is above 30", lambda c: _number(c, "vix") > 30.0, "vix"),
    Line(-5, "the Fed is expected to move 25 bps or more", lambda c: abs(_number(c, "fed_expected_bps")) >= 25, "fed_expected_bps"),
    Line(-5, "a feed is missing or stale", lambda c: bool(c.missing)),
    Line(-5, "three or more feeds are missing or stale", lambda c: len(c.missing) >= 3),
    Line(-60, "the price history is unknown", lambda c: math.isnan(_number(c, "return_24h"))),
    Line(-60, "the regime is unknown", lambda c: c.regime == "unknown"),
)  # fmt: skip


def rubric(cases: Sequence[Case]) -> list[Verdict]:
    """A verdict for every case, by the table."""
    return [_judge(case) for case in cases]


def rubric_for_want_of(key_name: str) -> Judge:
    """The rubric in the place of a model that has no key, and it says so."""
    source = f"{SOURCE}, {key_name} is not set"

    def instead(cases: Sequence[Case]) -> list[Verdict]:
        return [replace(verdict, source=source) for verdict in rubric(cases)]

    instead.__name__ = f"rubric, {key_name} is not set"
    return instead


def _judge(case: Case) -> Verdict:
    found = [(line.points, says) for line in TABLE if (says := _finding(line, case))]
    points = START + sum(worth for worth, _ in found)
    decision = (
        Decision.PROCEED
        if points >= PROCEED_FROM
        else Decision.REDUCE
        if points >= REDUCE_FROM
        else Decision.SKIP
    )
    told = "; ".join(f"{says} ({worth:+d})" for worth, says in found) or "no line holds"
    return Verdict(
        decision,
        float(min(max(points, 0), 100)),
        f"{points} points from {START}: {told}.",
        SOURCE,
        case_hash(case),
        prompt_id=PROMPT_ID,
    )


def _finding(line: Line, case: Case) -> str:
    """What the line says of the case, "" if nothing. Not knowing costs what the worst would: an
    outage, or whoever can cause one, must not make a position larger."""
    if line.needs and math.isnan(_number(case, line.needs)):
        return f"{line.needs} is unknown"
    return line.says if line.holds(case) else ""
