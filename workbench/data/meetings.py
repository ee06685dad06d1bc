"""Fed meetings in prediction markets: when they decide, and what the odds expect.

The calendar is the Federal Reserve's published one (known a year and more ahead, so using it is
no look-ahead). Pure functions; the answer to a market (how it resolved) is nowhere in here.
"""

from __future__ import annotations

import re
from datetime import date

import numpy as np
import pandas as pd

from workbench.arrays import Floats
from workbench.data.join import as_of, micros

# The day of each statement (18:00 or 19:00 UTC); a meeting is named by that day's month. The days
# of 2027 are tentative until the meeting before each confirms them.
_CALENDAR = """
2022-01-26 2022-03-16 2022-05-04 2022-06-15 2022-07-27 2022-09-21 2022-11-02 2022-12-14
2023-02-01 2023-03-22 2023-05-03 2023-06-14 2023-07-26 2023-09-20 2023-11-01 2023-12-13
2024-01-31 2024-03-20 2024-05-01 2024-06-12 2024-07-31 2024-09-18 2024-11-07 2024-12-18
2025-01-29 2025-03-19 2025-05-07 2025-06-18 2025-07-30 2025-09-17 2025-10-29 2025-12-10
2026-01-28 2026-03-18 2026-04-29 2026-06-17 2026-07-29 2026-09-16 2026-10-28 2026-12-09
2027-01-27 2027-03-17 2027-04-28 2027-06-09 2027-07-28 2027-09-15 2027-10-27 2027-12-08
"""
DECISION_DAYS: dict[str, date] = {
    day[: len("2022-01")]: date.fromisoformat(day) for day in _CALENDAR.split()
}

_OUTCOME = re.compile(r"(up|down)(\d+)|noChange")
_US_PER_DAY = 86_400_000_000


def decision_day(meeting: str) -> date | None:
    """The day meeting "2023-06" (or "2023-06-14") decides; None if we do not know it."""
    if meeting in DECISION_DAYS:
        return DECISION_DAYS[meeting]
    try:
        return date.fromisoformat(meeting)
    except ValueError:
        return None


def basis_points(outcome: str) -> float:
    """up25 -> 25, down50 -> -50, noChange -> 0, anything else NaN."""
    match = _OUTCOME.fullmatch(outcome)
    if match is None:
        return float("nan")
    return 0.0 if match[1] is None else float(match[2]) * (1 if match[1] == "up" else -1)


def probabilities(times: pd.DatetimeIndex, odds: pd.DataFrame) -> pd.DataFrame:
    """The last known probability of each outcome of each meeting that is still ahead.

    `odds` has rows (available_at, event_time, meeting, outcome, probability) in trade order.
    Columns are (meeting, outcome) pairs, meetings in order of their day; a meeting's columns are
    NaN after the day it decides, when its price is no forecast any more.
    """
    days = micros(times) // _US_PER_DAY
    columns: dict[tuple[str, str], Floats] = {}
    for (meeting, outcome), rows in odds.groupby(["meeting", "outcome"], sort=True):
        day = decision_day(str(meeting))
        if day is None:
            continue
        known = as_of(
            times,
            pd.DatetimeIndex(rows["available_at"]),
            pd.DatetimeIndex(rows["event_time"]),
            rows["probability"].to_numpy(dtype=np.float64),
        )
        ahead = days <= (day - date(1970, 1, 1)).days
        columns[str(meeting), str(outcome)] = np.where(ahead, known, np.nan)
    pairs = np.array(list(columns), dtype=object).reshape(-1, 2).T
    names = pd.MultiIndex.from_arrays(list(pairs), names=["meeting", "outcome"])
    table = np.column_stack(list(columns.values())) if columns else np.empty((len(times), 0))
    return pd.DataFrame(table, index=times, columns=names)


def expected_move(known: pd.DataFrame) -> Floats:
    """Expected rate change in basis points at the nearest meeting ahead that has odds.

    The probabilities are de-vigged: divided by their sum. A meeting counts once two of its
    outcomes have traded and their sum is between 0.7 and 1.4; outside that a leg is missing or
    stale, and scaling it to 1 would invent an opinion. NaN if no meeting counts.
    """
    answer = np.full(len(known), np.nan)
    meetings = known.columns.get_level_values(0)
    for meeting in sorted(set(meetings), key=lambda name: decision_day(name) or date.max):
        legs = known.loc[:, meetings == meeting]
        moves = np.array([basis_points(outcome) for outcome in legs.columns.get_level_values(1)])
        shares = legs.to_numpy()[:, np.isfinite(moves)]
        moves = moves[np.isfinite(moves)]
        total = np.nansum(shares, axis=1)
        sound = (np.isfinite(shares).sum(axis=1) >= 2) & (total >= 0.7) & (total <= 1.4)
        mean = np.nansum(shares * moves, axis=1) / np.where(sound, total, 1.0)
        answer = np.where(np.isnan(answer) & sound, mean, answer)
    return answer
