"""May the model be asked, after what it has answered so far? State passed by hand, no clock.

Three failures in a row are an outage: nobody is asked until a probe is due, one question a probe,
after 60 seconds and twice as long after each that fails, up to half an hour. What only a person
can mend (key, bill, permission) ends the asking for good, a spend limit until the next UTC day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Literal

from workbench.judges.provider import LATCHING, NOT_SENT, Code

MOST_FAILURES = 3
FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 1800.0


@dataclass(frozen=True)
class Health:
    """`failures` in a row, `probes` that failed since, when the next is due, and if one is out;
    `latched_until` None while `latched` means for good."""

    failures: int = 0
    probes: int = 0
    probe_at: datetime | None = None
    probing: bool = False
    latched: bool = False
    latched_until: datetime | None = None


def may_ask(health: Health, now: datetime) -> Literal["yes", "probe"] | Code:
    """ "yes", "probe" for one question alone, or the code of why not."""
    if health.latched and (health.latched_until is None or now < health.latched_until):
        return Code.LATCHED
    if health.probe_at is None:
        return "yes"
    return "probe" if now >= health.probe_at else Code.SAFE_MODE


def sent(health: Health, now: datetime) -> Health:
    """The state once a question is on its way: while a probe is out no other is due, unless nothing
    is heard of it for as long as its failure would cost."""
    if may_ask(health, now) != "probe":
        return health
    return replace(health, probing=True, probe_at=now + _wait(health.probes + 1))


def told(health: Health, code: str, now: datetime) -> Health:
    """The state after an answer, "" being a good one. A latch outlasts the good answers to what was
    asked before it."""
    if code in NOT_SENT:
        return health
    if not code:
        return Health(latched=health.latched, latched_until=health.latched_until)
    if code in LATCHING:
        return replace(health, latched=True, latched_until=None)
    if code == Code.SPEND_LIMIT:
        return _latched_today(health, now)
    failures = health.failures + 1
    if failures < MOST_FAILURES:
        return replace(health, failures=failures)
    if health.probe_at is not None and now < health.probe_at and not health.probing:
        return replace(health, failures=failures)  # sent before the outage was known: no probe
    probes = 0 if health.probe_at is None else health.probes + 1
    return replace(
        health, failures=failures, probes=probes, probe_at=now + _wait(probes), probing=False
    )


def _wait(probes: int) -> timedelta:
    """How long to leave it alone after so many failed probes."""
    doubled = 2.0 ** min(probes, 10)  # a month of outage is no number any more
    return timedelta(seconds=min(FIRST_WAIT_S * doubled, LONGEST_WAIT_S))


def _latched_today(health: Health, now: datetime) -> Health:
    """Latched to the end of the UTC day, or as long as it already is."""
    if health.latched and health.latched_until is None:
        return health
    tomorrow = now.astimezone(UTC).date() + timedelta(days=1)
    until = datetime.combine(tomorrow, time(), UTC)
    return replace(health, latched=True, latched_until=max(until, health.latched_until or until))
