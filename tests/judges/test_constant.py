"""The null judge."""

from __future__ import annotations

from tests.judges import a_case
from workbench.domain import Decision
from workbench.judges.case import case_hash
from workbench.judges.constant import always


def test_it_proceeds_with_everything_and_says_that_it_is_no_judge() -> None:
    cases = [a_case(), a_case(regime="unknown", features={}, side=-1)]
    verdicts = always(cases)
    assert [v.decision for v in verdicts] == [Decision.PROCEED] * 2
    assert [v.case_hash for v in verdicts] == [case_hash(c) for c in cases]
    assert {v.source for v in verdicts} == {"ALWAYS (no judge)"}


def test_no_cases_no_verdicts() -> None:
    assert always([]) == []
