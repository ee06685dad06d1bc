"""When could we have known it? The publication lags, in one table, and the arithmetic of them.

A file from the past carries the time a value is ABOUT; `available_at` is worked out here, always
to the late side: a value that shows up a little too late costs a little edge in a replay, one
that shows up too early makes the replay a lie. Holidays are not modelled; every lag is long
enough to step over one. Revisions are not modelled either: the recorded values are the latest
ones, and only their timing is honest.

Why each lag (facts: provider documentation and release calendars):
- candles are complete at open + timeframe; a funding rate is settled at its stamp.
- Coin Metrics and chain statistics: stamped at the day's start, and their status times fall 10 to
  14 h after the day's end. We wait 15 h.
- VIX and the ICE dollar index: the row of US day D is final after the close, 21:15 UTC (winter).
- FRED daily rates (DFF, H.15 yields, spreads, S&P 500, repo): on the next business day or later,
  by about 21:15 UTC (winter). We take the second weekday after D, 22:00 UTC, which is still right
  when the next weekday is a holiday.
- DTWEXBGS comes weekly: the H.10 of Monday covers the week before; we wait for Tuesday 22:00.
  DCOILWTICO comes on Wednesdays with up to nine days' delay; we wait ten days.
- WALCL is Wednesday's level in Thursday's H.4.1 (16:30 in New York; Friday after a holiday).
- Monthly series are stamped with the first day of the month they are about. From
  2019 to mid-2025 UNRATE came out by the 10th of the next month, CPI by the 16th, M2 by the 28th,
  FEDFUNDS in its first days.
- Fear & greed is published shortly after its stamp and may change in its first hour.
- A Polymarket trade is on chain, and served, within a minute.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

Lag = Callable[[pl.Expr], pl.Expr]


def after(*, days: int = 0, hours: int = 0, minutes: int = 0) -> Lag:
    """A fixed time after the stamp: after(hours=15)."""
    return lambda stamp: stamp + pl.duration(days=days, hours=hours, minutes=minutes)


def weekdays_after(days: int, hour: int) -> Lag:
    """`hour` UTC on the nth weekday after the stamp's day."""
    return lambda stamp: (
        stamp.dt.date().dt.add_business_days(days, roll="backward").cast(pl.Datetime("us", "UTC"))
        + pl.duration(hours=hour)
    )


def next_week(weekday: int, hour: int) -> Lag:
    """`hour` UTC on a weekday (Monday = 0) of the week after the stamp's."""
    return lambda stamp: stamp.dt.truncate("1w") + pl.duration(days=7 + weekday, hours=hour)


def months_after(months: int, day: int) -> Lag:
    """The start of a day of the nth month after the stamp's month."""
    return lambda stamp: (
        stamp.dt.month_start().dt.offset_by(f"{months}mo") + pl.duration(days=day - 1)
    )


_FRED_DAILY = weekdays_after(2, hour=22)

# feed -> available_at from the stamp; FRED series by their own name.
LAGS: dict[str, Lag] = {
    "funding": after(),
    "coinmetrics": after(days=1, hours=15),
    "dune": after(days=1, hours=15),
    "VIX": after(hours=22),
    "DXY": after(hours=22),
    "fear_greed": after(hours=1),
    "polymarket": after(minutes=1),
    "DFF": _FRED_DAILY,
    "DGS10": _FRED_DAILY,
    "DGS2": _FRED_DAILY,
    "T10Y2Y": _FRED_DAILY,
    "SP500": _FRED_DAILY,
    "BAMLH0A0HYM2": _FRED_DAILY,
    "RRPONTSYD": _FRED_DAILY,
    "DTWEXBGS": next_week(weekday=1, hour=22),
    "DCOILWTICO": after(days=10),
    "WALCL": after(days=3),
    "FEDFUNDS": months_after(1, day=6),
    "UNRATE": months_after(1, day=12),
    "CPIAUCSL": months_after(1, day=18),
    "M2SL": months_after(2, day=1),
}

# How far apart a FRED series' stamps are; "1b" are business days.
FRED_TIMEFRAMES: dict[str, str] = {
    "DFF": "1d",
    "WALCL": "1w",
    "FEDFUNDS": "1M",
    "UNRATE": "1M",
    "CPIAUCSL": "1M",
    "M2SL": "1M",
    "DGS10": "1b",
    "DGS2": "1b",
    "T10Y2Y": "1b",
    "SP500": "1b",
    "BAMLH0A0HYM2": "1b",
    "RRPONTSYD": "1b",
    "DTWEXBGS": "1b",
    "DCOILWTICO": "1b",
}
