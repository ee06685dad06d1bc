"""The null judge: proceeds with everything. The baseline that any other judge must beat."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.domain import Case, Decision, Verdict
from workbench.judges.case import case_hash


def always(cases: Sequence[Case]) -> list[Verdict]:
    """PROCEED to every case."""
    return [
        Verdict(Decision.PROCEED, 50.0, "Always proceeds.", "ALWAYS (no judge)", case_hash(case))
        for case in cases
    ]
