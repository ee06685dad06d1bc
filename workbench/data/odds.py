"""Prediction markets and rate futures as probabilities. Pure functions.

De-vigging: the prices of an event's outcomes add up to more than 1 (spread, fees, time value);
dividing each by their sum is the proportional method, the simplest of several
(en.wikipedia.org/wiki/Mathematics_of_bookmaking). It takes the same share from every outcome and
so leaves long shots too dear. It needs every outcome, and outcomes that exclude one another.

The implied path: a 30-day fed funds future settles at 100 minus the month's average rate, so that
months without a Fed meeting tell the rate between two meetings, and the others what the meeting
changes (the FedWatch method, cmegroup.com). It assumes moves of 25 basis points and that the
effective rate follows the target one for one.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from math import floor
from operator import itemgetter
from typing import Any, NamedTuple

import polars as pl

from workbench.data.checks import INSTANT
from workbench.data.meetings import DECISION_DAYS
from workbench.domain import UsageError

MOVE = 0.25  # percentage points
LEAST_SHARE = 0.1  # of a month; below it one tick of the price is tens of percent of probability
_NEAR = timedelta(days=3)

# What every row of kind "prediction" that a feed tells consists of.
COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "event_time": INSTANT, "available_at": INSTANT, "meeting": pl.String, "outcome": pl.String,
    "seq": pl.Int64, "probability": pl.Float64, "devigged": pl.Float64, "bid": pl.Float64,
    "ask": pl.Float64, "spread": pl.Float64, "liquidity": pl.Float64, "volume": pl.Float64,
    "ends_at": INSTANT, "market": pl.String,
}  # fmt: skip


class Step(NamedTuple):
    """What the futures say of one meeting. Rates in percent; moves are of 25 basis points.

    `moves`: how far this meeting goes, with its probability. `total`: how far all meetings up to
    and with this one go.
    """

    day: date
    before: float
    after: float
    moves: dict[int, float]
    total: dict[int, float]


def devig(prices: Sequence[float | None]) -> list[float | None]:
    """Each price's share of their sum; all None if one is missing or nothing is priced."""
    told = [price for price in prices if price is not None]
    total = sum(told)
    if len(told) < len(prices) or total <= 0:
        return [None] * len(prices)
    return [price / total for price in told]


def midpoint(bid: float | None, ask: float | None) -> float | None:
    """Between the quotes; None if one is missing or the book is empty (0 bid, 1 asked)."""
    if bid is None or ask is None or (bid <= 0 and ask >= 1):
        return None
    return (bid + ask) / 2


def table(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows of odds in the order of their time, each once; what a row does not tell is null."""
    told = pl.DataFrame([{name: row.get(name) for name in COLUMNS} for row in rows], schema=COLUMNS)
    key = ["event_time", "meeting", "outcome", "seq"]
    return told.unique(key, keep="first", maintain_order=True).sort(key)


def with_devigged(rows: pl.DataFrame, legs: Mapping[tuple[str, str], timedelta]) -> pl.DataFrame:
    """Rows (sorted by event_time) with `devigged` by the last price of each leg of the meeting.

    `legs`: every (meeting, outcome) that shares in a sum, and how long a price of it holds; a
    meeting that has none keeps nulls, and so does a moment at which a leg has no price that holds.
    One leg alone keeps its price: the Yes and No of one market add up to 1 at the midpoint.
    """
    outcomes: dict[str, list[str]] = {}
    for meeting, outcome in legs:
        outcomes.setdefault(meeting, []).append(outcome)
    last: dict[tuple[str, str], tuple[datetime, float | None]] = {}
    shares: list[float | None] = []
    for moment, told in groupby(rows.iter_rows(named=True), key=itemgetter("event_time")):
        together = list(told)
        for row in together:
            last[row["meeting"], row["outcome"]] = (moment, row["probability"])
        for row in together:
            meeting, wanted = row["meeting"], outcomes.get(row["meeting"], [])
            if wanted == [row["outcome"]]:
                shares.append(row["probability"])
                continue
            prices = []
            for outcome in wanted:
                at, price = last.get((meeting, outcome), (moment, None))
                prices.append(price if moment - at <= legs[meeting, outcome] else None)
            shares.append(dict(zip(wanted, devig(prices), strict=True)).get(row["outcome"]))
    return rows.with_columns(devigged=pl.Series(shares, dtype=pl.Float64))


def meeting_of(moment: datetime) -> str:
    """The Fed meeting that decides within three days of `moment` ("2026-12"); else its month."""
    for meeting, day in DECISION_DAYS.items():
        if abs(day - moment.date()) <= _NEAR:
            return meeting
    return f"{moment:%Y-%m}"


def outcome_of(moves: int) -> str:
    """Moves of 25 basis points as the markets' word: -2 -> down50, 0 -> noChange, 1 -> up25."""
    return "noChange" if moves == 0 else f"{'up' if moves > 0 else 'down'}{abs(moves) * 25}"


def implied_path(
    prices: Mapping[date, float], meetings: Iterable[date], today: date
) -> tuple[Step, ...]:
    """What the prices by month (its first day) say of each meeting after `today`.

    `meetings` are decision days (the rate changes the day after), at most one a month and all of
    the span's: a month outside it is not used, as it may have a meeting that is not listed. The
    path ends before the first meeting that the prices do not settle. Raises UsageError for two
    meetings in a month.
    """
    days = sorted(meetings)
    calendar = {_month(day): day for day in days}
    if len(calendar) < len(days):
        raise UsageError("two meetings fall in one month; the method knows one")
    inside = {
        month: 100.0 - price
        for month, price in prices.items()
        if calendar and min(calendar) <= month <= max(calendar)
    }
    if not inside:
        return ()
    held = [day for month, day in calendar.items() if min(inside) <= month <= max(inside)]
    rates = _between(inside, held)
    path: list[Step] = []
    total = {0: 1.0}
    for at, day in enumerate(held):
        before, after = rates[at], rates[at + 1]
        if day <= today:
            continue
        if before is None or after is None:
            break
        moves = _moves(before, after)
        total = _convolved(total, moves)
        path.append(Step(day, before, after, moves, total))
    return tuple(path)


def _month(day: date) -> date:
    return day.replace(day=1)


def _between(averages: Mapping[date, float], held: Sequence[date]) -> list[float | None]:
    """The rate before the first meeting, after it, ... after the last; None where unknown.

    A month without a meeting is its rate. From there on, month by month, the one whose own days
    weigh most in its average goes first: late in a month little is left to tell the rest by.
    """
    with_meeting = {_month(day) for day in held}
    quiet: dict[int, list[float]] = {}
    for month, average in averages.items():
        if month not in with_meeting:
            quiet.setdefault(sum(day < month for day in held), []).append(average)
    rates: list[float | None] = [None] * (len(held) + 1)
    for at, told in quiet.items():
        rates[at] = sum(told) / len(told)
    while found := _solvable(rates, averages, held):
        _, at, rate = max(found)
        rates[at] = rate
    return rates


def _solvable(
    rates: Sequence[float | None], averages: Mapping[date, float], held: Sequence[date]
) -> list[tuple[float, int, float]]:
    """Rates that one known neighbour settles: (share of the month, which, rate)."""
    found: list[tuple[float, int, float]] = []
    for at, day in enumerate(held):
        average = averages.get(_month(day))
        if average is None:
            continue
        earlier = day.day / monthrange(day.year, day.month)[1]
        later = 1.0 - earlier
        before, after = rates[at], rates[at + 1]
        if before is not None and after is None and later >= LEAST_SHARE:
            found.append((later, at + 1, (average - earlier * before) / later))
        if after is not None and before is None and earlier >= LEAST_SHARE:
            found.append((earlier, at, (average - later * after) / earlier))
    return found


def _moves(before: float, after: float) -> dict[int, float]:
    """The two whole moves on either side of the expected one, in proportion."""
    expected = round((after - before) / MOVE, 9)  # else 1e-15 of a move would be an outcome
    whole = floor(expected)
    upper = expected - whole
    return {whole: 1.0 - upper} | ({whole + 1: upper} if upper else {})


def _convolved(some: Mapping[int, float], more: Mapping[int, float]) -> dict[int, float]:
    total: dict[int, float] = {}
    for one, chance in some.items():
        for other, likely in more.items():
            total[one + other] = total.get(one + other, 0.0) + chance * likely
    return dict(sorted(total.items()))
