"""Which ranges of a series have been asked and answered, so that a pull asks each only once.

Stored rows cannot tell: an hour without a row may never have been asked for, or the exchange may
have stood still. Pure functions over half-open ranges of UTC time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

Span = tuple[datetime, datetime]


def with_span(covered: Sequence[Span], start: datetime, end: datetime) -> list[Span]:
    """`covered` and one more range, sorted and joined where they touch."""
    joined: list[Span] = []
    for first, last in sorted([*covered, (start, end)]):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        elif first < last:
            joined.append((first, last))
    return joined


def missing(covered: Sequence[Span], start: datetime, end: datetime) -> list[Span]:
    """The parts of [start, end) that nobody has asked for yet."""
    gaps: list[Span] = []
    at = start
    for first, last in covered:
        if first > at:
            gaps.append((at, min(first, end)))
        at = max(at, last)
        if at >= end:
            break
    if at < end:
        gaps.append((at, end))
    return [(first, last) for first, last in gaps if first < last]
