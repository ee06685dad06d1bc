"""Judges that look at nothing: the baselines that any other judge must beat."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from workbench.domain import Case, Decision, Verdict
from workbench.errors import UsageError
from workbench.judges.case import case_hash
from workbench.ports import Judge


def always(cases: Sequence[Case]) -> list[Verdict]:
    """PROCEED to every case."""
    return [
        Verdict(Decision.PROCEED, 50.0, "Always proceeds.", "ALWAYS (no judge)", case_hash(case))
        for case in cases
    ]


def never(cases: Sequence[Case]) -> list[Verdict]:
    """SKIP to every case."""
    return [
        Verdict(Decision.SKIP, 50.0, "Never proceeds.", "NEVER (no judge)", case_hash(case))
        for case in cases
    ]


def coin(rate: float, seed: int) -> Judge:
    """SKIP to a share of the cases, which a case meets by its hash and the seed: the same in every
    run. Raises UsageError for a rate that is no share."""
    if not 0.0 <= rate <= 1.0:
        raise UsageError(f"rate is {rate:g}; it must be from 0 to 1")
    share = f"{100.0 * rate:g}%"

    def tossed(cases: Sequence[Case]) -> list[Verdict]:
        return [_toss(case_hash(case)) for case in cases]

    def _toss(hashed: str) -> Verdict:
        drawn = int.from_bytes(sha256(f"{seed} {hashed}".encode()).digest()[:8]) / 2**64
        decision = Decision.SKIP if drawn < rate else Decision.PROCEED
        told = f"A coin that skips {share}."
        return Verdict(decision, 50.0, told, f"COIN at {share} (no judge)", hashed)

    tossed.__name__ = f"coin {rate:g} seed {seed}"
    return tossed
