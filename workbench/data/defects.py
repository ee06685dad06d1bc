"""Defects of stored candles and trades: found and named, never repaired.

Pure functions over candles of one series (columns event_time, open .. close, volume; sorted) and
the step between two bars, or over trades (event_time, id). A defect says where and what; whether it
is an outage, a filler or a true move is for the reader to judge, with a second venue at hand
(`disagreements`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from workbench.data.lake import SeriesName
from workbench.errors import DataError

BAR = ("open", "high", "low", "close", "volume")

# A spike is a close that moves away and back by at least this, and by this many times what a bar
# usually moves (the median over the week around it, in bars). True moves of the recorded years
# reach 38 times (ETH, 2023-08-17 21:00), so that a spike is a reason to look and not an error.
SPIKE_BPS = 100.0
SPIKE_TIMES = 15.0
USUAL_BARS = 169
FEWEST_BARS = 24
BASIS = timedelta(days=7)


class Defect(NamedTuple):
    """What is odd about the `bars` bars that open (or should) from `start` and before `end`.

    Of lost trades: how many, and when the trades before and after them were made.
    """

    series: SeriesName
    what: str  # hole, flat, repeat, spike or lost
    start: datetime
    end: datetime
    bars: int
    says: str


class Disagreement(NamedTuple):
    """Two venues' closes of the bar that opens at `time`; `gap_bps` is a over b, less the basis."""

    time: datetime
    a: float
    b: float
    gap_bps: float


def defects(series: SeriesName, candles: pl.DataFrame, step: timedelta) -> list[Defect]:
    """All defects of a series of candles, in time order."""
    found = [find(series, candles, step) for find in (holes, flats, repeats, spikes)]
    return sorted((each for some in found for each in some), key=lambda each: each.start)


def holes(series: SeriesName, candles: pl.DataFrame, step: timedelta) -> list[Defect]:
    """Bars that are not there between two that are."""
    after = candles.select(
        last=pl.col("event_time").shift(1), end="event_time", apart=pl.col("event_time").diff()
    ).filter(pl.col("apart") > step)
    return [
        Defect(series, "hole", last + step, end, n := apart // step - 1, f"{n} bars are missing")
        for last, end, apart in after.iter_rows()
    ]


def flats(series: SeriesName, candles: pl.DataFrame, step: timedelta) -> list[Defect]:
    """Runs of bars without a trade or a move: the exchange stood still, or a gap was filled."""
    still = pl.all_horizontal(pl.col(c) == pl.col("close") for c in BAR[:3])
    says = "no trade, the price stands at {close:g}"
    return _runs(series, "flat", candles, still & (pl.col("volume") == 0), step, says)


def repeats(series: SeriesName, candles: pl.DataFrame, step: timedelta) -> list[Defect]:
    """Runs of bars with trades that are the bar before them over again, volume and all."""
    same = pl.all_horizontal(pl.col(c) == pl.col(c).shift(1) for c in BAR)
    says = "the same prices and volume as the bar before"
    return _runs(series, "repeat", candles, same & (pl.col("volume") > 0), step, says)


def _runs(
    series: SeriesName, what: str, candles: pl.DataFrame, mask: pl.Expr, step: timedelta, says: str
) -> list[Defect]:
    marked = candles.with_columns(odd=mask.fill_null(value=False)).with_columns(
        run=((pl.col("event_time").diff() != step) | (pl.col("odd") != pl.col("odd").shift(1)))
        .fill_null(value=True)
        .cum_sum()
    )
    runs = marked.filter("odd").group_by("run", maintain_order=True)
    first = runs.agg(pl.len().alias("bars"), pl.col("event_time", "close").first())
    return [
        Defect(
            series, what, row["event_time"], row["event_time"] + row["bars"] * step, row["bars"],
            says.format_map(row),
        )
        for row in first.iter_rows(named=True)
    ]  # fmt: skip


def spikes(series: SeriesName, candles: pl.DataFrame, step: timedelta) -> list[Defect]:
    """Closes far from both neighbours, which are near each other.

    The smaller of the moves to and fro (log returns) is at least SPIKE_BPS and SPIKE_TIMES the
    usual move, and at most half of it remains after both. A bar beside a hole is not judged, nor is
    one in a series of fewer than FEWEST_BARS.
    """
    apart, move = pl.col("event_time").diff(), pl.col("close").log().diff()
    moves = candles.select(
        "event_time", "close", to=move, fro=move.shift(-1),
        beside=(apart == step) & (apart.shift(-1) == step),
        usual=move.abs().rolling_median(USUAL_BARS, min_samples=FEWEST_BARS, center=True),
    )  # fmt: skip
    least = pl.min_horizontal(pl.col("to").abs(), pl.col("fro").abs())
    back = (pl.col("to") * pl.col("fro") < 0) & ((pl.col("to") + pl.col("fro")).abs() < least / 2)
    far = (least * 1e4 >= SPIKE_BPS) & (least >= SPIKE_TIMES * pl.col("usual"))
    odd = moves.filter("beside", back, far).with_columns(bps=least * 1e4 * pl.col("to").sign())
    return [
        Defect(
            series, "spike", row["event_time"], row["event_time"] + step, 1,
            "close {close:g} is {bps:+.0f} bps away from both its neighbours".format_map(row),
        )
        for row in odd.iter_rows(named=True)
    ]  # fmt: skip


def lost_trades(series: SeriesName, trades: pl.DataFrame) -> list[Defect]:
    """Runs of trade ids that are not there, where ids count up by one (Binance, Kraken).

    Raises DataError for ids that are no whole numbers.
    """
    ids = trades["id"].cast(pl.Int64, strict=False)
    if ids.null_count():
        raise DataError(f"the ids of {series} do not count up; lost trades cannot be told by them")
    counted = trades.select("event_time", ids).sort("id")
    apart = counted.select(
        before=pl.col("id").shift(1), after="id", start=pl.col("event_time").shift(1),
        end="event_time",
    ).filter(pl.col("after") - pl.col("before") > 1)  # fmt: skip
    return [
        Defect(
            series, "lost", start, end, after - before - 1,
            f"trades {before + 1}..{after - 1} are missing",
        )
        for before, after, start, end in apart.iter_rows()
    ]  # fmt: skip


def disagreements(a: pl.DataFrame, b: pl.DataFrame, threshold_bps: float) -> list[Disagreement]:
    """Bars that both venues have and whose closes differ by more than the threshold, largest first.

    The basis, the median of the log ratio over the BASIS up to and with the bar, is taken out: what
    is said of a bar could be said when it closed, and no later bar changes it.
    """
    both = a.select("event_time", a="close").join(
        b.select("event_time", b="close"), on="event_time", how="inner", maintain_order="left"
    )
    ratio = (pl.col("a") / pl.col("b")).log() * 1e4
    gaps = both.with_columns(gap_bps=ratio - ratio.rolling_median_by("event_time", BASIS))
    size = pl.col("gap_bps").abs()
    apart = gaps.filter(size > threshold_bps).sort(size, descending=True, maintain_order=True)
    return [Disagreement(*row) for row in apart.iter_rows()]
