"""The world a desk is run in: candles on one grid, and everything else as of each close.

`load_world` reads the lake once; `World.snapshot` then answers what was known at a bar's close by
position, without reading or joining anything. Nothing here fetches, votes or fills a missing bar:
a hole is a row of NaN.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from math import isnan

import numpy as np
import pandas as pd
import polars as pl

from workbench.arrays import Floats, Ints
from workbench.data.carry import pair_bars
from workbench.data.context import (
    FED_VENUES,
    FEEDS,
    FUNDING,
    MACRO,
    gather,
    known_odds,
    made_up,
    stale,
)
from workbench.data.join import US_PER_HOUR, age_hours, instants, micros
from workbench.data.lake import Lake, SeriesName
from workbench.domain import (
    CARRY,
    DataError,
    Headline,
    Panel,
    Snapshot,
    UsageError,
    is_carry,
    parse_timeframe,
    underlying,
)

HEADLINES_SHOWN = 20
HEADLINE_HOURS = 24
When = str | date | datetime | pd.Timestamp | None

EXPECTED = ("candles", *FEEDS)
_FLOWS = ("funding", "netflow", "mvrv", "whale_flow", "imbalance", "spread_bps")
_MACRO = (*MACRO, *dict.fromkeys(FED_VENUES.values()))
_COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, eq=False)
class World:
    """A panel with its context, and the headlines and odds behind it.

    `headlines` (id, symbol, available_at, title, source) and `odds` (available_at, event_time,
    venue, meeting, outcome, probability, ends_at) are sorted by `available_at`; `ages` has the
    hours since each feed was last heard of, bars x feeds (infinite: never). `start` is the first
    bar that was asked for; the rows before it are history for indicators and may not trade.
    """

    panel: Panel
    headlines: pd.DataFrame
    odds: pd.DataFrame
    ages: pd.DataFrame
    start: int = 0

    def snapshot(self, t: int, bars: int) -> Snapshot:
        """What was known at the close of bar row `t`, with the last `bars` bars up to it."""
        if not 0 <= t < len(self.panel):
            raise UsageError(f"bar {t} is not in the world; it has rows 0 to {len(self.panel) - 1}")
        moment = int(self._closes[t])
        last = int(np.searchsorted(self._heard, moment, side="right"))
        day_ago = moment - HEADLINE_HOURS * US_PER_HOUR
        first = int(np.searchsorted(self._heard, day_ago, side="right"))
        shown = self._items[max(first, last - HEADLINES_SHOWN) : last]
        return Snapshot(
            as_of=self.panel.close_times[t],
            panel=self.panel.rows(max(t + 1 - bars, 0), t + 1),
            headlines=shown[::-1],
            odds=_known(self._open_odds[0], self._open_odds[1][t]),
            flows=_known(self._flow_names, self._flow_table[t]),
            macro=_known(self._macro_names, self._macro_table[t]),
            staleness=(staleness := self._staleness(t)),
            missing=tuple(sorted(f for f, hours in staleness.items() if stale(f, hours))),
        )

    def until(self, bars: int) -> World:
        """Its first `bars` bars, and what had been heard by the close of the last of them."""
        panel = self.panel.rows(0, bars)
        last = panel.close_times[-1]
        return replace(
            self, panel=panel, ages=self.ages.iloc[:bars],
            headlines=self.headlines[self.headlines["available_at"] <= last],
            odds=self.odds[self.odds["available_at"] <= last],
        )  # fmt: skip

    def _staleness(self, t: int) -> dict[str, float]:
        """Hours since each feed was heard; of those a desk may do without, once it has been."""
        ages = dict(zip(self.ages.columns, self._ages_table[t].tolist(), strict=True))
        return {f: hours for f, hours in ages.items() if f in EXPECTED or hours < np.inf}

    @cached_property
    def _closes(self) -> Ints:
        return micros(self.panel.close_times)

    @cached_property
    def _heard(self) -> Ints:
        return micros(pd.DatetimeIndex(self.headlines["available_at"], tz="UTC"))

    @cached_property
    def _items(self) -> tuple[Headline, ...]:
        rows = self.headlines[["id", "available_at", "title", "source", "symbol"]]
        return tuple(Headline(*row) for row in rows.itertuples(index=False, name=None))

    @cached_property
    def _open_odds(self) -> tuple[list[str], Floats]:
        return known_odds(self.panel.close_times, self.odds)

    @cached_property
    def _flow_names(self) -> list[str]:
        names = [name for name in _FLOWS if name in self.panel.context]
        return [f"{name} {symbol}" for name in names for symbol in self.panel.symbols]

    @cached_property
    def _flow_table(self) -> Floats:
        return self._table([name for name in _FLOWS if name in self.panel.context])

    @cached_property
    def _macro_names(self) -> list[str]:
        return [name for name in _MACRO if name in self.panel.context]

    @cached_property
    def _macro_table(self) -> Floats:
        return self._table(self._macro_names)

    @cached_property
    def _ages_table(self) -> Floats:
        return self.ages.to_numpy(dtype=np.float64)

    def _table(self, names: Sequence[str]) -> Floats:
        parts = [self.panel.context[name].to_numpy() for name in names]
        return np.column_stack(parts) if parts else np.empty((len(self.panel), 0))


def _known(names: Sequence[str], row: Floats) -> dict[str, float]:
    return {
        name: value for name, value in zip(names, row.tolist(), strict=True) if not isnan(value)
    }


def load_world(
    lake: Lake,
    venue: str,
    symbols: Sequence[str],
    timeframe: str = "1h",
    start: When = None,
    end: When = None,
    warmup_bars: int = 0,
    pairs: Sequence[str] = (),
) -> World:
    """Read candles of `symbols` and join everything else as of each bar's close.

    No symbols means all the venue has candles of; pairs (BTC/USDT~carry) have to be named and are
    built from the legs that `carries` looks for. `pairs` are further ones, left out where they have
    no bar in the range. `start` and `end` are open times, both inclusive;
    a bare date as `end` is that whole day, and a time without a zone is UTC. The panel begins
    `warmup_bars` earlier where there is data. Raises UsageError or DataError naming the nearest
    valid symbol or range.
    """
    step = parse_timeframe(timeframe)
    first, last = _bound(start, "start"), _bound(end, "end")
    if first is not None and last is not None and first > last:
        raise UsageError(f"start {start} is after end {end}; swap them")
    names = _symbols(lake, venue, symbols, timeframe)
    candles = _candles(lake, venue, names, pairs, timeframe, first, last, warmup_bars * step)
    panel, heard = _panel(candles, timeframe, step, source=_source(candles, venue, timeframe))
    context, headlines, odds, ages = gather(lake, venue, panel.symbols, panel.index, step)
    ages.insert(0, "candles", age_hours(panel.close_times, heard))
    world = Panel.from_frames(
        open=panel.open, high=panel.high, low=panel.low, close=panel.close, volume=panel.volume,
        timeframe=step, context=context, source=panel.source,
    )  # fmt: skip
    asked = 0 if first is None else int(world.index.searchsorted(first))
    return World(world, headlines, odds, ages, asked)


def _bound(when: When, what: str) -> pd.Timestamp | None:
    if when is None:
        return None
    try:
        moment = pd.Timestamp(when)
    except ValueError:
        raise UsageError(f"{what} {when!r} is not a time; write it as 2024-01-31") from None
    if moment is pd.NaT:
        raise UsageError(f"{what} {when!r} is not a time; write it as 2024-01-31")
    moment = moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")
    bare_day = (isinstance(when, date) and not isinstance(when, datetime)) or (
        isinstance(when, str) and len(when.strip()) <= len("2024-01-31")
    )
    if what == "end" and bare_day:
        moment += pd.Timedelta(1, unit="D") - pd.Timedelta(1, unit="us")
    return moment.as_unit("us")


def _symbols(lake: Lake, venue: str, symbols: Sequence[str], timeframe: str) -> tuple[str, ...]:
    if isinstance(symbols, str):
        raise UsageError(f"symbols is {symbols!r}; give a list such as ['BTC/USDT']")
    twice = [symbol for symbol in symbols if list(symbols).count(symbol) > 1]
    if twice:
        raise UsageError(f"symbol {twice[0]} is asked for twice")
    candles = [name for name in lake.series() if name.kind == "ohlcv"]
    there = sorted(n.symbol for n in candles if (n.venue, n.timeframe) == (venue, timeframe))
    if not there:
        known = sorted({f"{name.venue} {name.timeframe}" for name in candles})
        offer = f"it has candles of {', '.join(known)}" if known else "it has no candles at all"
        raise DataError(f"the lake {lake.root} has no {timeframe} candles of {venue}; {offer}")
    for symbol in symbols:
        if is_carry(symbol):
            _whole_pair(lake, venue, symbol, timeframe)
        elif symbol not in there:
            near = (difflib.get_close_matches(symbol, there, n=1, cutoff=0.0) or there)[0]
            raise UsageError(
                f"{venue} has no {timeframe} candles of {symbol}; the nearest is {near}"
                f" (there are {', '.join(there)})"
            )
    return tuple(sorted(symbols or there))


def _candles(
    lake: Lake, venue: str, symbols: Sequence[str], pairs: Sequence[str], timeframe: str,
    first: pd.Timestamp | None, last: pd.Timestamp | None, warmup: pd.Timedelta,
) -> dict[str, pl.DataFrame]:  # fmt: skip
    since = None if first is None else (first - warmup).to_pydatetime()
    until = None if last is None else last.to_pydatetime()
    candles = {}
    for symbol in dict.fromkeys((*symbols, *pairs)):
        rows = _read(lake, venue, symbol, timeframe, since, until)
        if rows.is_empty() or (first is not None and rows["event_time"][-1] < first):
            if symbol not in symbols:
                continue
            stored = _read(lake, venue, symbol, timeframe)["event_time"]
            if stored.is_empty():
                raise DataError(f"{venue} {symbol} {timeframe} has no bar that was told in time")
            raise UsageError(
                f"{venue} {symbol} {timeframe} has no candle from {first or 'its start'} to"
                f" {last or 'its end'}; it has {stored[0]:%Y-%m-%d %H:%M}"
                f" to {stored[-1]:%Y-%m-%d %H:%M}"
            )
        candles[symbol] = rows
    return candles


def carries(lake: Lake, venue: str, timeframe: str) -> tuple[str, ...]:
    """The pairs that a lake can build: those with spot, perpetual and funding of one exchange."""
    there = frozenset(lake.series())
    spots = [n for n in there if n[:2] == ("ohlcv", venue) and n.timeframe == timeframe]
    pairs = sorted(spot.symbol + CARRY for spot in spots)
    return tuple(s for s in pairs if there.issuperset(_legs(venue, s, timeframe)))


def _legs(venue: str, symbol: str, timeframe: str) -> tuple[SeriesName, SeriesName, SeriesName]:
    """Spot, perpetual and funding of a pair, all of the exchange whose spot venue this is."""
    exchange, market = venue.removesuffix("_spot"), underlying(symbol)
    return (
        SeriesName("ohlcv", venue, market, timeframe),
        SeriesName("ohlcv", f"{exchange}_perp", market, timeframe),
        SeriesName("funding", exchange, market, FUNDING.timeframe),
    )


def _whole_pair(lake: Lake, venue: str, symbol: str, timeframe: str) -> None:
    """Raises UsageError naming the leg that is not there."""
    there = lake.series()
    for leg, name in zip(
        ("spot", "perpetual", "funding"), _legs(venue, symbol, timeframe), strict=True
    ):
        if name not in there:
            can = ", ".join(carries(lake, venue, timeframe)) or "none"
            raise UsageError(
                f"{symbol} cannot be built: its {leg} is not there ({name}); pull or import it."
                f" The pairs of {venue} {timeframe} that can be built: {can}"
            )


def _read(
    lake: Lake, venue: str, symbol: str, timeframe: str,
    since: datetime | None = None, until: datetime | None = None,
) -> pl.DataFrame:  # fmt: skip
    """The bars that were told in time: one told only later was a hole when it was to be traded."""
    in_time = pl.col("available_at") <= pl.col("event_time") + 2 * parse_timeframe(timeframe)
    if not is_carry(symbol):
        return lake.read("ohlcv", venue, symbol, timeframe, since, until).filter(in_time)
    # from the legs' first bar on, whenever the panel begins: an index told of by where it is looked
    # at from would mean another price to a book that is held over a restart
    *legs, funding = _legs(venue, symbol, timeframe)
    spot, perp = (lake.read(*leg, end=until).filter(in_time) for leg in legs)
    try:
        bars = pair_bars(spot, perp, lake.read(*funding), parse_timeframe(timeframe))
    except DataError as wrong:
        raise DataError(f"{venue} {symbol}: {wrong}") from None
    if "seed" in spot.columns:  # a made-up leg makes the pair so
        bars = bars.with_columns(pl.lit(spot["seed"].first()).alias("seed"))
    return bars if since is None else bars.filter(pl.col("event_time") >= since)


def _panel(
    candles: dict[str, pl.DataFrame], timeframe: str, step: pd.Timedelta, source: str
) -> tuple[Panel, pd.DatetimeIndex]:
    """The bars on one full grid, and the moments at which any bar became known."""
    opens = {symbol: instants(rows["event_time"]) for symbol, rows in candles.items()}
    begin = min(index[0] for index in opens.values())
    grid = pd.date_range(begin, max(index[-1] for index in opens.values()), freq=step, unit="us")
    width = int(step / pd.Timedelta(1, unit="us"))
    frames = {name: np.full((len(grid), len(candles)), np.nan) for name in _COLUMNS}
    for column, (symbol, rows) in enumerate(candles.items()):
        at, off = np.divmod(micros(opens[symbol]) - micros(grid)[0], width)
        if off.any():
            odd = opens[symbol][int(np.flatnonzero(off)[0])]
            raise DataError(f"{symbol} {timeframe} has a candle at {odd}, which is not on the grid")
        for name in _COLUMNS:
            frames[name][at, column] = rows[name].to_numpy()
    named = {n: pd.DataFrame(f, index=grid, columns=list(candles)) for n, f in frames.items()}
    panel = Panel.from_frames(
        open=named["open"], high=named["high"], low=named["low"], close=named["close"],
        volume=named["volume"], timeframe=step, source=source,
    )  # fmt: skip
    heard = np.flatnonzero(np.isfinite(frames["close"]).any(axis=1))
    return panel, panel.close_times.take(heard)


def _source(candles: dict[str, pl.DataFrame], venue: str, timeframe: str) -> str:
    if not made_up(venue):
        return f"{venue} {timeframe}, recorded"
    seeds = sorted({seed for rows in candles.values() for seed in rows["seed"].unique()})
    return f"SYNTHETIC sample world, seed {', '.join(map(str, seeds))}"
