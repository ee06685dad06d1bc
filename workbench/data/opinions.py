"""What people say and bet, joined as of each bar's close: headlines, their scores, odds.

Parts of the context (see `context`). Of the odds the Fed's meetings become the expected move, and
of the markets of price thresholds one a symbol becomes what the strategies compare with a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

import numpy as np
import pandas as pd
import polars as pl

from workbench.arrays import Floats
from workbench.data.asked import SAMPLE, Asked, Part, base, when
from workbench.data.headlines import decayed, score
from workbench.data.join import US_PER_HOUR, as_of, instants, micros
from workbench.data.lake import INSTANT
from workbench.data.meetings import decision_day, expected_move, probabilities
from workbench.data.odds import COLUMNS
from workbench.data.thresholds import Threshold, nearest, parse
from workbench.domain import parse_timeframe

HEADLINE_COLUMNS = ("id", "symbol", "available_at", "title", "source")
ODDS_COLUMNS = (
    "available_at", "event_time", "venue", "meeting", "outcome", "probability", "ends_at",
)  # fmt: skip
# One market's odds are one opinion: those of another venue are a number of their own.
FED_VENUES = {
    "polymarket": "fed_expected_bps", SAMPLE: "fed_expected_bps",
    "kalshi": "fed_expected_bps_kalshi", "cme_zq": "fed_expected_bps_futures",
}  # fmt: skip


def news(asked: Asked) -> Part:
    """Headlines, and the lexicon's score of them by symbol."""
    read = asked.of_kind("news")
    if not read:
        return Part()
    rows = pl.concat(
        [each.select("available_at", "id", "asset", "title", "source") for each in read]
    )
    pairs = {base(symbol): symbol for symbol in reversed(asked.symbols)} | {"": ""}
    ours = rows.filter(pl.col("asset").is_in(list(pairs))).sort("available_at", "id")
    assets = ours["asset"].to_numpy()
    available = instants(ours["available_at"])
    scores = np.array([score(title) for title in ours["title"]], dtype=np.float64)
    mood = {
        symbol: decayed(asked.closes, available[about], scores[about])
        for symbol in asked.symbols
        for about in [assets == base(symbol)]
    }
    # a snapshot shows one day of headlines, so those long before the first bar are not kept
    recent = np.asarray(available > asked.closes[0] - pd.Timedelta(1, unit="D"))
    kept = ours.filter(pl.Series(recent))
    table = pd.DataFrame(
        {
            "id": kept["id"].to_list(),
            "symbol": [pairs[asset] for asset in kept["asset"]],
            "available_at": instants(kept["available_at"]),
            "title": kept["title"].to_list(),
            "source": kept["source"].to_list(),
        }
    )
    return Part({"sentiment": asked.frame(mood)}, {"headlines": when(rows)}, table)


def judged(asked: Asked) -> Part:
    """What models scored headlines, by symbol; of several scores of one the first known counts."""
    read = asked.of_kind("scores")
    if not read:
        return Part()
    rows = pl.concat([each.select("available_at", "id", "asset", "score") for each in read])
    rows = rows.sort("available_at", maintain_order=True).unique("id", keep="first")
    rows = rows.sort("available_at", "id")
    assets, available = rows["asset"].to_numpy(), instants(rows["available_at"])
    mood = {
        symbol: decayed(asked.closes, available[about], rows["score"].to_numpy()[about])
        for symbol in asked.symbols
        for about in [assets == base(symbol)]
    }
    return Part({"sentiment_judged": asked.frame(mood)})


def odds(asked: Asked) -> Part:
    """All odds, and of the Fed's meetings the move that each venue expects."""
    names = [name for name in sorted(asked.series) if name.kind == "prediction"]
    if not names:
        return Part()
    never = pl.lit(None, INSTANT).alias("ends_at")
    read = [(name.venue, asked.rows(name)) for name in names]
    rows = pl.concat(
        [
            each.with_columns(venue=pl.lit(venue))
            .with_columns([] if "ends_at" in each.columns else [never])
            .select("seq", *ODDS_COLUMNS)
            for venue, each in read
        ]
    )
    rows = rows.sort("available_at", "event_time", "seq", maintain_order=True)
    clocks = {clock: instants(rows[clock]) for clock in ("available_at", "event_time")}
    table = pd.DataFrame({n: clocks.get(n, rows[n].to_list()) for n in ODDS_COLUMNS[:-1]})
    table["ends_at"] = pd.to_datetime(rows["ends_at"].to_list(), utc=True)
    context = {}
    for venue, name in FED_VENUES.items():
        told = table[table["venue"] == venue]
        if len(told):
            move, hours = _nearest_meeting(probabilities(asked.closes, told))
            context[name] = pd.Series(move, index=asked.index)
            context[name.replace("expected_bps", "meeting_hours")] = pd.Series(
                hours, index=asked.index
            )
    return Part(context, {"odds": when(rows)}, table)


def _nearest_meeting(known: pd.DataFrame) -> tuple[Floats, Floats]:
    """The expected move in basis points, and how many hours the day of its meeting still has to
    run: where they go up, the move is another meeting's."""
    move, hours = np.full((2, len(known)), np.nan)
    meetings = known.columns.get_level_values(0)
    days = {name: day for name in set(meetings) if (day := decision_day(name)) is not None}
    for meeting, day in sorted(days.items(), key=itemgetter(1)):
        expected = expected_move(pd.DataFrame(known.loc[:, meetings == meeting]))
        first = np.isnan(move) & np.isfinite(expected)
        over = pd.Timestamp(day, tz="UTC") + pd.Timedelta(1, unit="D")
        left = (micros(pd.DatetimeIndex([over])) - micros(pd.DatetimeIndex(known.index))) / (
            US_PER_HOUR
        )
        move, hours = np.where(first, expected, move), np.where(first, left, hours)
    return move, hours


def known_odds(times: pd.DatetimeIndex, odds: pd.DataFrame) -> tuple[list[str], Floats]:
    """The last known price of every outcome that is still open at each time, and its name.

    "2024-01 down25" is the Fed as Polymarket sees it; what another venue says carries its name in
    front; of any other event the name is the event's. NaN before the first price and after the end.
    """
    names: list[str] = []
    columns: list[Floats] = []
    for venue, told in odds.groupby("venue", sort=True):
        known = [probabilities(times, told), *_events(times, told)]
        prefix = "" if FED_VENUES.get(str(venue)) == "fed_expected_bps" else f"{venue} "
        for table in known:
            names += [f"{prefix}{meeting} {outcome}" for meeting, outcome in table.columns]
            columns.append(table.to_numpy())
    return names, np.column_stack(columns) if columns else np.empty((len(times), 0))


def _events(times: pd.DatetimeIndex, odds: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The same of what is not a Fed meeting, an outcome at a time."""
    for (event, outcome), rows in odds.groupby(["meeting", "outcome"], sort=True):
        if decision_day(str(event)) is not None:
            continue
        clocks = pd.DatetimeIndex(rows["available_at"]), pd.DatetimeIndex(rows["event_time"])
        price = as_of(times, *clocks, rows["probability"].to_numpy(dtype=np.float64))
        until = rows["ends_at"].astype("datetime64[us, UTC]")
        ends = np.where(until.isna(), np.nan, until.astype("int64").astype(np.float64))
        over = micros(times) > as_of(times, *clocks, ends)
        known = np.where(over, np.nan, price)
        yield pd.DataFrame(known[:, None], index=times, columns=[(event, outcome)])


def thresholds(asked: Asked) -> Part:
    """Of the markets of price thresholds the one nearest the money at each close, by symbol."""
    markets: dict[str, list[tuple[Threshold, pl.DataFrame]]] = {}
    for name in sorted(asked.series):
        if name.kind == "prediction" and name.symbol != "FOMC":
            for threshold, rows in _threshold_markets(asked.rows(name)):
                markets.setdefault(threshold.asset, []).append((threshold, rows))
    if not any(base(symbol) in markets for symbol in asked.symbols):
        return Part()
    chosen = {
        symbol: nearest(asked.closes, _price(asked, symbol), markets.get(base(symbol), []))
        for symbol in asked.symbols
    }
    names = ("probability", "strike", "hours", "touch")
    return Part(
        {f"odds_{n}": asked.frame({s: getattr(c, n) for s, c in chosen.items()}) for n in names}
    )


def _threshold_markets(rows: pl.DataFrame) -> Iterator[tuple[Threshold, pl.DataFrame]]:
    """Each market of a series that is a price threshold; its price is the de-vigged one if told."""
    rows = pl.concat([pl.DataFrame(schema=COLUMNS), rows], how="diagonal_relaxed")
    rows = rows.with_columns(probability=pl.coalesce("devigged", "probability"))
    for names, told in sorted(
        rows.partition_by("meeting", "outcome", "market", as_dict=True).items(),
        key=lambda part: str(part[0]),
    ):
        threshold = parse(*(str(name or "") for name in names))
        if threshold is not None:
            yield threshold, told


def _price(asked: Asked, symbol: str) -> Floats:
    """The last close known at each close, by the candles that the bars are made of."""
    step = asked.closes[0] - asked.index[0]
    for name in asked.series:
        if name[:3] == ("ohlcv", asked.venue, symbol) and parse_timeframe(name.timeframe) == step:
            return asked.joined(asked.rows(name), "close")
    return np.full(len(asked.closes), np.nan)
