"""Which strategies may trade on paper: what their last validation said, and who overrode it.

A verdict belongs to a strategy's code and parameters, and to no other's. A rejection stands until
the same is judged on all those days again; a leak stands, and so does a loss on the sealed days
until others are won. Whoever promotes one that was rejected, or never tried, does it by name and
with a reason; both stand in the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from workbench.domain import UsageError
from workbench.journal import Entry, Journal
from workbench.journal_json import to_plain
from workbench.research.plan import Plan
from workbench.research.proposers import parameters_of, strategy_code
from workbench.research.trials import Clock, DataSet, utc_now
from workbench.strategies.vote import Strategy

if TYPE_CHECKING:
    from workbench.desk import Desk

TRUSTED, NOT_PROVEN, REJECTED = "TRUSTED", "NOT PROVEN", "REJECTED"
NOT_VALIDATED = "NOT VALIDATED"
LEAK, SEALED = "lookahead", "sealed days"  # findings that no other run of the same can undo
VALIDATED, PROMOTED = "validation", "promotion"


@dataclass(frozen=True)
class Standing:
    """What is known of a strategy as it stands. `at` is when it was said, `terms` on which limits,
    costs and capital; `override` is the reason somebody gave for promoting it all the same, "" if
    nobody did, and `by` who; `before` is the last verdict on it whatever its code was then."""

    verdict: str
    at: str = ""
    by: str = ""
    override: str = ""
    terms: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    before: str = ""

    @property
    def promotable(self) -> bool:
        """At least NOT PROVEN, or overridden since."""
        return self.verdict in {TRUSTED, NOT_PROVEN} or bool(self.override)

    def __str__(self) -> str:
        said = f"{self.verdict} on {self.at[:10]}" if self.at else self.verdict
        return f"{said}, overridden by {self.by}: {self.override}" if self.override else said


def standing(rows: Iterable[Entry], strategy: Strategy, synthetic: bool) -> Standing:
    """The last verdict on this code with these parameters that counts, and any override after it.

    A made-up world proves nothing of a real one, nor the other way round: `synthetic` says which
    verdicts count.
    """
    own = {
        "strategy": strategy.name, "code": strategy_code(strategy),
        "parameters": to_plain(parameters_of(strategy)), "synthetic": synthetic,
    }  # fmt: skip
    found, rejections, before = Standing(NOT_VALIDATED), list[Mapping[str, Any]](), ""
    for row in rows:
        told = {name: row.body.get(name) for name in own}
        if row.kind == VALIDATED and told == {**own, "code": told["code"]}:
            before = row.body["verdict"]
        if told != own:
            continue
        if row.kind == VALIDATED:
            if row.body["verdict"] == REJECTED:
                rejections.append(row.body)
            else:
                rejections = [each for each in rejections if not _lifts(row.body, each)]
                if rejections:
                    continue
            found = Standing(row.body["verdict"], row.at, terms=row.body["terms"])
        elif row.kind == PROMOTED:
            found = replace(found, by=row.body["by"], override=row.body["override"])
    return replace(found, before=before)


def _lifts(new: Mapping[str, Any], rejection: Mapping[str, Any]) -> bool:
    """Does a verdict undo an earlier rejection of the same code and parameters?"""
    failed = {f["name"] for f in rejection["findings"] if f["passed"] is False}
    passed = {f["name"] for f in new["findings"] if f["passed"] is True}
    if LEAK in failed or (SEALED in failed and SEALED not in passed):
        return False
    now, then = (
        DataSet(**{**body["data"], "symbols": tuple(body["data"]["symbols"])})
        for body in (new, rejection)
    )
    return (
        now.shares(then)
        and now.timeframe_s == then.timeframe_s
        and {*then.symbols} <= {*now.symbols}
        and pd.Timestamp(now.first) <= pd.Timestamp(then.first)
        and pd.Timestamp(then.last) <= pd.Timestamp(now.last)
    )


def terms_of(on: Desk | Plan) -> dict[str, Any]:
    """Limits, costs and capital, as the journal holds them."""
    told = {"limits": on.limits._asdict(), "costs": on.costs._asdict(), "capital": on.capital}
    return to_plain(told)


def standings(
    journal: Journal, strategies: Sequence[Strategy], synthetic: bool
) -> dict[str, Standing]:
    """The standing of each strategy, by name."""
    told = [*journal.rows(VALIDATED), *journal.rows(PROMOTED)]
    rows = sorted(told, key=lambda row: row.seq)
    return {s.name: standing(rows, s, synthetic) for s in strategies}


def promote(
    desk: Desk, strategy: Strategy, by: str, override: str = "", now: Clock = utc_now
) -> Desk:
    """The desk with this strategy among its voters; the promotion is a row of the journal.

    One of its name that is there already gives way. Raises UsageError unless its last validation
    came to at least NOT PROVEN on the desk's limits, costs and capital, or `override` says why it
    is promoted all the same.
    """
    if not by.strip():
        raise UsageError("a promotion has a name; say who gives it")
    synthetic = desk.source.synthetic
    with Journal.open(desk.journal_path) as journal:
        told = standings(journal, [strategy], synthetic)[strategy.name]
        if told.verdict not in {TRUSTED, NOT_PROVEN} and not override.strip():
            raise UsageError(
                f"{strategy.name} is {told.verdict} with {_named(strategy)}; validate it, or give a"
                " reason to promote it all the same (override)"
            )
        if told.terms not in ({}, terms_of(desk)) and not override.strip():
            raise UsageError(
                f"{strategy.name} is {told.verdict} on other limits, costs or capital than the"
                " desk's; validate it on these, or give a reason to promote it all the same"
                " (override)"
            )
        body = {
            "strategy": strategy.name, "code": strategy_code(strategy),
            "parameters": parameters_of(strategy), "synthetic": synthetic,
            "verdict": told.verdict, "by": by.strip(), "override": override.strip(),
        }  # fmt: skip
        journal.append(PROMOTED, body, now())
    others = [s for s in desk.strategies if s.name != strategy.name]
    return replace(desk, strategies=(*others, strategy))


def refuse_rejected(journal: Journal, strategies: Sequence[Strategy], synthetic: bool) -> None:
    """Raises UsageError naming the first that was rejected, as it stands or before its code was
    edited, unless somebody overrode it since.

    One that nobody validated may trade on paper: paper is where it is seen.
    """
    for name, told in standings(journal, strategies, synthetic).items():
        edited = told.verdict == NOT_VALIDATED and told.before == REJECTED
        if (told.verdict == REJECTED or edited) and not told.override:
            was = "was REJECTED before its code was edited" if edited else f"was {told}"
            raise UsageError(
                f"{name} {was}; validate it, leave it out of desk.toml, or take it on yourself:"
                f" workbench promote {name} --override 'the reason'"
            )


def _named(strategy: Strategy) -> str:
    told = ", ".join(f"{name}={value}" for name, value in parameters_of(strategy).items())
    return told or "no parameters"
