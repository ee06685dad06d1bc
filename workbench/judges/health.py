"""May the model be asked, after what it has answered so far? State passed by hand, no clock.

Three failures in a row are an outage: nobody is asked until a probe is due, one question a probe,
after 60 seconds and twice as long after each that fails, up to half an hour. What only a person
can mend (key, bill, permission) ends the asking for good, a spend limit until the next UTC day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Literal

from workbench.judges.provider import LATCHING, NOT_SENT, Code

MOST_FAILURES = 3
FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 1800.0


@dataclass(frozen=True)
class Health:
    """`failures` in a row, `probes` that failed since, when the next is due; `latched_until` None
    while `latched` means for good."""

    failures: int = 0
    probes: int = 0
    probe_at: datetime | None = None
    latched: bool = False
    latched_until: datetime | None = None


def may_ask(health: Health, now: datetime) -> Literal["yes", "probe"] | Code:
    """ "yes", "probe" for one question alone, or the code of why not."""
    if health.latched and (health.latched_until is None or now < health.latched_until):
        return Code.LATCHED
    if health.probe_at is None:
        return "yes"
    return "probe" if now >= health.probe_at else Code.SAFE_MODE


def told(health: Health, code: str, now: datetime) -> Health:
    """The state after an answer, "" being a good one."""
    if code in NOT_SENT:
        return health
    if not code:
        return Health()
    if code in LATCHING:
        return replace(health, latched=True, latched_until=None)
    if code == Code.SPEND_LIMIT:
        tomorrow = datetime.combine(now.date() + timedelta(days=1), time(), now.tzinfo)
        return replace(health, latched=True, latched_until=tomorrow)
    failures = health.failures + 1
    if failures < MOST_FAILURES:
        return replace(health, failures=failures)
    if health.probe_at is not None and now < health.probe_at:
        return replace(health, failures=failures)  # sent before the outage was known: no probe
    probes = 0 if health.probe_at is None else health.probes + 1
    wait_s = min(FIRST_WAIT_S * 2.0**probes, LONGEST_WAIT_S)
    return replace(
        health, failures=failures, probes=probes, probe_at=now + timedelta(seconds=wait_s)
    )
