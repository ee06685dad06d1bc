"""Cash and carry: long spot and short perpetual as one instrument, with bars of its own.

The bars are an index, 100 at the close of the first bar that both legs have. One unit is gross
notional, half of it spot and half of it a fully collateralised short of the perpetual, so that a
fee, a spread or a cap on its notional is that on both legs. With P the index, S spot, F perpetual
and `prev` the close of the last whole bar, a leg has n = (P_prev / 2) / S_prev coins, and

    P(x) = P_prev + n ((S_x - S_prev) - (F_x - F_prev)) + n sum(rate_i mark_i, settled by x)

at any point x of a bar. The short receives where the rate is above 0. What is settled at a bar's
open is booked between the close before and that open: who held over the boundary has it, who enters
at the open has not. What is settled inside a longer bar is booked before its close.

Two simplifications. Where inside a bar the legs' extremes came, and whether together, the bars do
not say; so an extreme counts against the long pair alone: the low is that of open, close, both
highs and both lows, the high that of open and close, since nobody sells a pair into one leg's wick.
And the index holds a constant notional, set anew at each bar free of charge, where a real pair
holds its coins and so gains by funding on what has risen. Over the five trades that
`funding_arbitrage` closed in World 2023 (BTC, ETH, XRP, ADA, no costs) coins held throughout earn 6
bps less to 3 bps more of the notional (4 to 11 % of the profit); over the four still open in
January 2024, in a market that rose, 14 to 130 bps more (ADA 330, not 200, with spot up 62 %).

Pure functions of the lake's rows; nothing here reads a lake. A rate counts from its settlement, or
if it was told only after that bar's close, from when it was told; no later row changes a bar.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl

from workbench.arrays import Floats, Ints
from workbench.data.join import instants, micros
from workbench.domain import DataError

START = 100.0
LEAST = 1e-6  # of the close before: a wick that would wipe the pair out is a price, and stops it
_PRICES = ("open", "high", "low", "close")
_US_PER_MINUTE, _US_PER_HOUR = 60_000_000, 3_600_000_000
_HOURS_A_YEAR = 8_760.0


def pair_bars(
    spot: pl.DataFrame, perp: pl.DataFrame, settlements: pl.DataFrame, step: pd.Timedelta
) -> pl.DataFrame:
    """The pair's bars (event_time, open, high, low, close, volume), one where both legs have one.

    `spot` and `perp` have candles of length `step` with volume in coins, `settlements` event_time,
    available_at and funding_rate (a fraction an interval). Before the first settlement there is
    nothing, for what the short was paid is not known. What was settled while a leg had no bar is
    booked at the next whole bar's open. `volume` is such that close x volume is twice the smaller
    leg's turnover. Raises DataError where the legs part so far that the equity is gone.
    """
    rates = settled(settlements)
    width = int(step / pd.Timedelta(1, unit="us"))
    legs = _usable(spot).join(_usable(perp), on="event_time", suffix="_perp").sort("event_time")
    opens = _stamps(legs["event_time"])
    told = opens >= _first(rates)
    legs, opens = legs.filter(pl.Series(told)), opens[told]
    if legs.is_empty():
        return legs.select("event_time", *_PRICES, "volume")
    s, f = (_columns(legs, suffix) for suffix in ("", "_perp"))
    before, inside = _booked(rates, opens, _usable(perp), width)
    # the first bar has no close before it: it is measured from its own
    s0, f0 = (np.concatenate([leg["close"][:1], leg["close"][:-1]]) for leg in (s, f))
    before[0] = inside[0] = 0.0
    points = {x: 1.0 + ((s[x] - s0) - (f[x] - f0) + before) / (2.0 * s0) for x in _PRICES}
    later = inside / (2.0 * s0)
    points["close"] = points["close"] + later
    whole = (points["open"] > 0.0) & (points["close"] > 0.0)
    if not whole.all():
        at = legs["event_time"][int(np.flatnonzero(~whole)[0])]
        raise DataError(
            f"in the bar at {at} the perpetual rose so far above spot that a pair's equity is gone;"
            " check the candles of both legs"
        )
    close = START * np.cumprod(points["close"])
    previous = np.concatenate([[START], close[:-1]])
    ends = [points["open"], points["close"]]
    # an extreme may come before the settlement or after it
    worst = [points[x] + booked for x in ("high", "low") for booked in (0.0, later)]
    turnover = np.minimum(s["close"] * s["volume"], f["close"] * f["volume"])
    return legs.select("event_time").with_columns(
        open=pl.Series(previous * points["open"]),
        high=pl.Series(previous * np.max(ends, axis=0)),
        low=pl.Series(previous * np.maximum(np.min([*ends, *worst], axis=0), LEAST)),
        close=pl.Series(close),
        volume=pl.Series(2.0 * turnover / close),
    )


def settled(rows: pl.DataFrame) -> pl.DataFrame:
    """Settlements in time order, one each, as first told: event_time to the minute, available_at,
    funding_rate. An exchange's stamps are some milliseconds late."""
    told = rows.select(
        pl.col("event_time").dt.round("1m"), "available_at", pl.col("funding_rate").cast(pl.Float64)
    )
    told = told.filter(pl.col("funding_rate").is_finite()).sort("available_at", maintain_order=True)
    return told.unique("event_time", keep="first", maintain_order=True).sort("event_time")


def annualised(rows: pl.DataFrame, intervals: int) -> pl.DataFrame:
    """The last rates as a yearly one: event_time, available_at, apr; null before there are enough.

    The sum of the last `intervals` rates by the hours that they span, times 8760; so a change from
    eight hours to one is seen at once. Known when the last of the rows it needs was told.
    """
    rates = settled(rows)
    hours = (pl.col("event_time") - pl.col("event_time").shift(intervals)).dt.total_minutes() / 60.0
    told = pl.col("available_at").cast(pl.Int64).rolling_max(intervals + 1, min_samples=1)
    paid = sum(
        (pl.col("funding_rate").shift(k) for k in range(1, intervals)), pl.col("funding_rate")
    )
    return rates.select(
        "event_time",
        told.cast(rates.schema["available_at"]).alias("available_at"),
        (paid / hours * _HOURS_A_YEAR).alias("apr"),
    )


def _usable(candles: pl.DataFrame) -> pl.DataFrame:
    """The bars with four prices, in time order."""
    whole = pl.all_horizontal((pl.col(x) > 0) & pl.col(x).is_finite() for x in _PRICES)
    return candles.select("event_time", *_PRICES, "volume").filter(whole).sort("event_time")


def _columns(legs: pl.DataFrame, suffix: str) -> dict[str, Floats]:
    return {x: legs[x + suffix].cast(pl.Float64).to_numpy() for x in (*_PRICES, "volume")}


def _stamps(times: pl.Series) -> Ints:
    return micros(instants(times))


def _first(rates: pl.DataFrame) -> int:
    return int(_stamps(rates["event_time"])[0]) if rates.height else np.iinfo(np.int64).max


def _booked(
    rates: pl.DataFrame, opens: Ints, perp: pl.DataFrame, width: int
) -> tuple[Floats, Floats]:
    """What a coin's short received before each whole bar's open, and inside it (quote currency).

    The mark is the perpetual's last price: the close before, or the open of the bar that it falls
    into.
    """
    at, told = _stamps(rates["event_time"]), _stamps(rates["available_at"])
    closes = (at // width + 1) * width  # of the bar that would book it
    starts = _stamps(perp["event_time"])
    last = np.searchsorted(starts, at, side="left") - 1
    within = at < starts[last] + width
    mark = np.where(within, perp["open"].to_numpy()[last], perp["close"].to_numpy()[last])
    paid = np.where(last >= 0, rates["funding_rate"].to_numpy() * mark, 0.0)
    at = np.where(told > closes, told, at)
    row = np.searchsorted(opens, at, side="left")  # the first whole bar from then on
    holds = np.maximum(row - 1, 0)
    falls_in = (row > 0) & (at < opens[holds] + width)
    before, inside = np.zeros(len(opens)), np.zeros(len(opens))
    np.add.at(inside, holds[falls_in], paid[falls_in])
    to_come = ~falls_in & (row < len(opens))
    np.add.at(before, row[to_come], paid[to_come])
    return before, inside
