"""The sample world: two made-up years of eight assets, so that everything runs without a download.

SYNTHETIC, and marked so wherever it shows. Prices have regimes that last weeks, fat tails,
clustered volatility, a common factor and crashes that hit all assets at once; around them are
funding, exchange flows, headlines, Fed odds and macro series. News, flows and odds carry a weak
signal on later returns whose strength is known (the constants below), so that a method can be
asked to find it and not to find more; with strength 0 there is none. BTC and ETH have a perpetual
too, whose basis follows the rate that was settled last and returns to it. Nothing is fitted to, or
copied from, a real market. One seed gives one world, byte for byte.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from workbench.arrays import Floats, Ints
from workbench.data.headlines import clean, headline_id, score
from workbench.data.lags import LAGS
from workbench.data.lake import Lake, SeriesName
from workbench.data.meetings import DECISION_DAYS, basis_points
from workbench.data.sample_news import FIRMS, GROUPS, NAMES

VENUE, PERP_VENUE = "sample", "sample_perp"
START = datetime(2022, 1, 1, tzinfo=UTC)
DAYS = 730
FETCHED = datetime(2024, 2, 1, tzinfo=UTC)

# The planted signals: what a unit of each adds to the log return over the hours after it is known.
NEWS_DRIFT, NEWS_HOURS = 0.006, 12  # per point of a headline's score, its own asset
FLOW_DRIFT, FLOW_HOURS = -0.005, 24  # per deviation of the day's net inflow, its own asset
ODDS_DRIFT, ODDS_HOURS = -0.008, 24  # per 10 bp rise of the expected rate move, the market

HEADLINES_A_DAY = 4.5
OUTCOMES = ("down25", "noChange", "up25", "up50")
_US_PER_HOUR = 3_600_000_000


@dataclass(frozen=True)
class _Asset:
    """One made-up market: first price, tick decimals, beta, own hourly deviation, quote volume an
    hour, share of the headlines."""

    price: float
    decimals: int
    beta: float
    noise: float
    turnover: float
    talk: float


ASSETS = {
    "BTC": _Asset(40_000.0, 2, 1.00, 0.0022, 60e6, 0.28),
    "ETH": _Asset(2_800.0, 2, 1.15, 0.0030, 30e6, 0.20),
    "SOL": _Asset(90.0, 3, 1.45, 0.0055, 9e6, 0.12),
    "XRP": _Asset(0.60, 4, 0.95, 0.0048, 8e6, 0.12),
    "ADA": _Asset(0.90, 4, 1.15, 0.0045, 5e6, 0.08),
    "DOGE": _Asset(0.12, 5, 1.10, 0.0055, 6e6, 0.08),
    "LINK": _Asset(18.0, 3, 1.20, 0.0046, 4e6, 0.06),
    "AVAX": _Asset(70.0, 3, 1.40, 0.0055, 4e6, 0.06),
}
SYMBOLS = tuple(sorted(f"{asset}/USDT" for asset in ASSETS))
PERP_SYMBOLS = ("BTC/USDT", "ETH/USDT")

# Regimes: hourly drift, volatility as a multiple, mean stay in days.
_REGIMES = ((0.00022, 1.0, 35.0), (-0.00024, 1.35, 28.0), (0.0, 0.7, 30.0))
_HOURLY = 0.0045
_CRASHES_A_YEAR = 5.0
# The basis off the last premium: hourly persistence, and its deviation.
_BASIS_STAYS, _BASIS = 0.9, 0.0003
_INTEREST = 1e-4  # what a rate has in it at no premium, an interval

Progress = Callable[[int, int, str], None]
Rows = dict[SeriesName, pl.DataFrame]


def write_sample(lake: Lake, seed: int = 7, progress: Progress | None = None) -> int:
    """Replace whatever sample world the lake has by the one of `seed`. Returns its rows."""
    for name in lake.series():
        if name.venue in (VENUE, PERP_VENUE):
            lake.remove(*name)
    world = sample_world(seed)
    for done, (name, rows) in enumerate(world.items()):
        if progress is not None:
            progress(done, len(world), str(name))
        lake.upsert(*name, rows)
    if progress is not None:
        progress(len(world), len(world), "")
    return sum(rows.height for rows in world.values())


def sample_world(
    seed: int = 7,
    *,
    days: int = DAYS,
    news_drift: float = NEWS_DRIFT,
    flow_drift: float = FLOW_DRIFT,
    odds_drift: float = ODDS_DRIFT,
) -> Rows:
    """Every series of the world, ready for `Lake.upsert`.

    The drifts scale the planted signals without touching any other number of the world's chance.
    """
    hours = 24 * days
    news = _headlines(_chance(seed, 1), days)
    flows = _flow_scores(_chance(seed, 2), days)
    odds, steps, moves = _fed(_chance(seed, 3), days)
    market, spread = _market(_chance(seed, 4), hours)
    market = market + odds_drift * _pushes(hours, *steps, ODDS_HOURS)
    rows: Rows = {SeriesName("news", VENUE, "ALL", "event"): news}
    rows[SeriesName("prediction", VENUE, "FOMC", "event")] = odds
    published = (np.arange(days) + 1) * 24 + 15
    for number, asset in enumerate(ASSETS):
        about = news.filter(pl.col("asset") == asset)
        known = _hour_after(about["available_at"])
        scores = np.array([score(title) for title in about["title"]])
        push = news_drift * _pushes(hours, known, scores, NEWS_HOURS)
        push += flow_drift * _pushes(hours, published, flows[:, number], FLOW_HOURS)
        chance = _chance(seed, 10 + number)
        candles = _candles(chance, asset, market, spread, push, seed)
        symbol = f"{asset}/USDT"
        rows[SeriesName("ohlcv", VENUE, symbol, "1h")] = candles
        close = candles["close"].to_numpy()
        rows[SeriesName("funding", VENUE, symbol, "8h")] = _funding(chance, close)
        chain = _onchain(chance, close, flows[:, number], ASSETS[asset].turnover)
        rows[SeriesName("onchain", VENUE, asset, "1d")] = chain
    rows |= _macro(_chance(seed, 5), market, moves, days)
    for number, symbol in enumerate(PERP_SYMBOLS):
        spot = rows[SeriesName("ohlcv", VENUE, symbol, "1h")]
        rates = rows[SeriesName("funding", VENUE, symbol, "8h")]["funding_rate"].to_numpy()
        perp = _perpetual(_chance(seed, 30 + number), symbol.partition("/")[0], spot, rates)
        rows[SeriesName("ohlcv", PERP_VENUE, symbol, "1h")] = perp
    return rows


# --- chance and clocks ------------------------------------------------------------------------


def _chance(seed: int, stream: int) -> np.random.Generator:
    """One stream for each part, so that changing one part leaves the others as they are."""
    return np.random.Generator(np.random.PCG64([seed, stream]))


def _fat(chance: np.random.Generator, size: int) -> Floats:
    """Student-t with 4 degrees of freedom, scaled to variance 1."""
    return chance.standard_t(4, size) / math.sqrt(2.0)


def _stamped(times: list[datetime] | pl.Series, feed: str, **values: Any) -> pl.DataFrame:
    frame = pl.DataFrame({"event_time": times, **values}).with_columns(
        pl.col("event_time").cast(pl.Datetime("us", "UTC"))
    )
    return frame.select(
        "event_time",
        LAGS[feed](pl.col("event_time")).cast(pl.Datetime("us", "UTC")).alias("available_at"),
        pl.lit(FETCHED).cast(pl.Datetime("us", "UTC")).alias("fetched_at"),
        pl.exclude("event_time"),
    )


def _days(days: int) -> list[datetime]:
    return [START + timedelta(days=day) for day in range(days)]


def _hour_after(available: pl.Series) -> Ints:
    """The first hour that opens once a row is available, counted from the start."""
    since = available.dt.timestamp("us").to_numpy() - round(START.timestamp() * 1e6)
    return -(-since // _US_PER_HOUR)


def _pushes(hours: int, known: Ints, sizes: Floats, lasting: int) -> Floats:
    """Each size spread evenly over the hours after it is known."""
    edges = np.zeros(hours + 1)
    np.add.at(edges, np.minimum(known, hours), sizes / lasting)
    np.add.at(edges, np.minimum(known + lasting, hours), -sizes / lasting)
    return np.cumsum(edges)[:hours]


# --- prices -----------------------------------------------------------------------------------


def _regimes(chance: np.random.Generator, hours: int) -> tuple[Floats, Floats]:
    """Drift and volatility multiple of each hour: a Markov chain over days."""
    state, states = 2, []
    for _ in range(hours // 24):
        if chance.random() < 1.0 / _REGIMES[state][2]:
            state = (state + int(chance.integers(1, 3))) % 3
        states.append(state)
    table = np.array(_REGIMES)[np.repeat(states, 24)]
    return table[:, 0], table[:, 1]


def _market(chance: np.random.Generator, hours: int) -> tuple[Floats, Floats]:
    """The common factor's log returns, and the volatility multiple of each hour.

    GARCH(1,1) around the regime's level; crashes feed the clustering as any other shock does.
    """
    drift, level = _regimes(chance, hours)
    shocks = _fat(chance, hours)
    crashes = np.zeros(hours)
    count = int(chance.poisson(_CRASHES_A_YEAR * hours / 8_760))
    crashes[chance.integers(0, hours, count)] = -chance.uniform(0.03, 0.08, count)
    returns, spread = np.empty(hours), np.empty(hours)
    variance, before = 1.0, 0.0
    for hour in range(hours):
        variance = 0.02 + 0.08 * min(before * before, 40.0) + 0.90 * variance
        spread[hour] = math.sqrt(variance) * level[hour]
        move = spread[hour] * shocks[hour] * _HOURLY + crashes[hour]
        before = move / (level[hour] * _HOURLY)
        returns[hour] = drift[hour] + move
    return returns, spread


def _candles(
    chance: np.random.Generator, name: str, market: Floats, spread: Floats, push: Floats, seed: int
) -> pl.DataFrame:
    asset, hours = ASSETS[name], len(market)
    own = _fat(chance, hours) * asset.noise * (0.5 + 0.5 * spread)
    returns = np.clip(asset.beta * market + own + push, -0.35, 0.35)
    close = np.round(asset.price * np.exp(np.cumsum(returns)), asset.decimals)
    close = np.maximum(close, 10.0**-asset.decimals)
    open = np.concatenate([[asset.price], close[:-1]])
    wick = asset.beta * _HOURLY * spread * np.abs(chance.standard_normal((2, hours))) * 0.5
    high = np.round(np.maximum(open, close) * np.exp(wick[0]), asset.decimals)
    low = np.round(np.minimum(open, close) * np.exp(-wick[1]), asset.decimals)
    low = np.maximum(low, 10.0**-asset.decimals)
    day = 1.0 + 0.3 * np.sin(2.0 * np.pi * (np.arange(hours) % 24 - 8) / 24.0)
    busy = 1.0 + 40.0 * np.abs(returns) * np.exp(0.35 * chance.standard_normal(hours))
    volume = np.round(asset.turnover * day * busy / asset.price * asset.price / close, 3)
    times = pl.datetime_range(
        START, START + timedelta(hours=hours - 1), "1h", time_unit="us", eager=True
    )
    rows = _stamped(
        times, "funding",
        open=open, high=np.maximum.reduce([high, open, close]),
        low=np.minimum.reduce([low, open, close]), close=close, volume=volume,
    )  # fmt: skip
    return rows.with_columns(
        available_at=pl.col("event_time") + timedelta(hours=1), seed=pl.lit(seed, pl.Int64)
    )


def _funding(chance: np.random.Generator, close: Floats) -> pl.DataFrame:
    """Longs pay more after three days of rising prices."""
    at = np.arange(0, len(close), 8)
    trend = np.log(close[at] / close[np.maximum(at - 72, 0)])
    rate = 1e-4 + 0.0015 * trend + 3e-5 * chance.standard_normal(len(at))
    times = [START + timedelta(hours=int(hour)) for hour in at]
    return _stamped(times, "funding", funding_rate=np.round(np.clip(rate, -0.003, 0.003), 8))


def _perpetual(
    chance: np.random.Generator, name: str, spot: pl.DataFrame, rates: Floats
) -> pl.DataFrame:
    """Candles beside those of spot: dearer by the premium in the last settled rate, and by noise.

    It knows no later rate than spot's own buyers do, so that nothing is told by the basis.
    """
    hours, decimals = spot.height, ASSETS[name].decimals
    premium = rates[np.arange(hours) // 8] - _INTEREST
    shocks = chance.standard_normal(hours) * _BASIS * math.sqrt(1.0 - _BASIS_STAYS**2)
    noise, last = np.empty(hours), 0.0
    for hour, shock in enumerate(shocks):
        noise[hour] = last = _BASIS_STAYS * last + shock
    ratio, busy = 1.0 + premium + noise, 2.0 * np.exp(0.2 * chance.standard_normal(hours))
    high, low, close = (np.round(spot[x] * ratio, decimals) for x in ("high", "low", "close"))
    open = np.concatenate([close[:1], close[:-1]])
    return spot.with_columns(
        open=pl.Series(open), high=pl.Series(np.maximum.reduce([high, open, close])),
        low=pl.Series(np.minimum.reduce([low, open, close])), close=pl.Series(close),
        volume=np.round(spot["volume"] * busy, 3),
    )  # fmt: skip


# --- what is said around the prices -----------------------------------------------------------


def _headlines(chance: np.random.Generator, days: int) -> pl.DataFrame:
    count = int(chance.poisson(HEADLINES_A_DAY * days))
    seconds = np.sort(chance.integers(0, 86_400 * days, count))
    assets = chance.choice(list(ASSETS), count, p=[a.talk for a in ASSETS.values()])
    groups = chance.choice(len(GROUPS), count, p=[share for _, share in GROUPS])
    titles = []
    for asset, group in zip(assets, groups, strict=True):
        template = GROUPS[group][0][int(chance.integers(len(GROUPS[group][0])))]
        firm, millions = FIRMS[int(chance.integers(len(FIRMS)))], int(chance.integers(3, 90))
        titles.append(clean(template.format(name=NAMES[asset], firm=firm, millions=millions)))
    ids = [
        headline_id(asset, f"{second} {title}")
        for asset, second, title in zip(assets, seconds, titles, strict=True)
    ]
    times = [START + timedelta(seconds=int(second)) for second in seconds]
    rows = _stamped(
        times, "polymarket", id=ids, asset=[str(a) for a in assets], title=titles,
        source=["sample wire"] * count,
    )  # fmt: skip
    return rows.unique("id", keep="first", maintain_order=True)


def _flow_scores(chance: np.random.Generator, days: int) -> Floats:
    """Net inflow of each day and asset in deviations: half of it is common to all."""
    own = chance.standard_normal((days, len(ASSETS)))
    return (own + chance.standard_normal((days, 1))) / math.sqrt(2.0)


def _onchain(
    chance: np.random.Generator, close: Floats, flow: Floats, turnover: float
) -> pl.DataFrame:
    days = len(flow)
    gross = turnover * 4.0 * np.exp(0.2 * chance.standard_normal(days))
    net = turnover * 0.8 * flow
    daily = close.reshape(days, 24)[:, -1]
    realised, cost = np.empty(days), daily[0]
    for day in range(days):
        cost += (daily[day] - cost) / 180.0
        realised[day] = cost
    return _stamped(
        _days(days), "coinmetrics", FlowInExUSD=np.round(gross + net / 2, 2),
        FlowOutExUSD=np.round(gross - net / 2, 2), CapMVRVCur=np.round(daily / realised, 6),
    )  # fmt: skip


def _fed(
    chance: np.random.Generator, days: int
) -> tuple[pl.DataFrame, tuple[Ints, Floats], dict[date, float]]:
    """Trades in the next meeting's outcomes; the hours and sizes (in 10 bp) of its repricings; and
    the move each meeting decides."""
    calendar = sorted(day for day in DECISION_DAYS.values() if day.year in (START.year, 2023))
    trades: list[tuple[datetime, str, str, float, float]] = []
    known, sizes, moves = [], [], {}
    expected, upcoming = 12.0, 0
    for batch in range(days * 3):
        time = START + timedelta(hours=8 * batch, seconds=int(chance.integers(0, 7 * 3600)))
        step = chance.normal(0.0, 4.0) if chance.random() < 0.5 else 0.0
        noise, size = chance.normal(0.0, 0.004, 4), chance.exponential(400.0, 4)
        moved = min(max(expected + step, -20.0), 45.0)
        known.append(8 * batch + 8)
        sizes.append((moved - expected) / 10.0)
        expected = moved
        meeting = f"{calendar[upcoming]:%Y-%m}"
        shares = _shares(expected)
        for n, outcome in enumerate(OUTCOMES):
            price = min(max(round(1.02 * shares[n] + noise[n], 3), 0.002), 0.998)
            at = time + timedelta(seconds=20 * n)
            trades.append((at, meeting, outcome, price, round(size[n], 2)))
        if (START + timedelta(hours=8 * batch + 16)).date() > calendar[upcoming]:
            moves[calendar[upcoming]] = 25.0 * round(expected / 25.0)
            expected = 0.6 * expected + 4.0
            upcoming = min(upcoming + 1, len(calendar) - 1)
    times, meetings, outcomes, prices, volumes = (
        list(column) for column in zip(*trades, strict=True)
    )
    rows = _stamped(
        times, "polymarket", meeting=meetings, outcome=outcomes, token_volume=volumes,
        seq=[0] * len(trades), probability=prices,
    )  # fmt: skip
    return rows, (np.array(known), np.array(sizes)), moves


def _shares(expected: float) -> Floats:
    distance = np.array([basis_points(outcome) for outcome in OUTCOMES]) - expected
    weight = np.exp(-0.5 * (distance / 14.0) ** 2)
    return weight / weight.sum()


def _macro(
    chance: np.random.Generator, market: Floats, moves: dict[date, float], days: int
) -> Rows:
    stamps = _days(days)
    daily = market.reshape(days, 24).sum(axis=1)
    dxy = 96.0 * np.exp(np.cumsum(0.004 * chance.standard_normal(days) - 0.03 * daily))
    level, vix = 19.0, np.empty(days)
    for day in range(days):
        level += 0.06 * (19.0 - level) - 25.0 * daily[day] + 0.8 * chance.standard_normal()
        vix[day] = level = min(max(level, 10.0), 60.0)
    rates = np.cumsum([moves.get(day.date(), 0.0) / 100.0 for day in stamps])
    funds = np.round(np.maximum(1.0 + np.concatenate([[0.0], rates[:-1]]), 0.0), 2)
    week = np.array([daily[max(day - 7, 0) : day].sum() for day in range(days)])
    mood = np.round(np.clip(50.0 + 250.0 * week + 6.0 * chance.standard_normal(days), 2, 98))
    open_days = pl.Series([day.weekday() < 5 for day in stamps])
    return {
        SeriesName("macro", VENUE, "DXY", "1b"): _stamped(
            stamps, "DXY", close=np.round(dxy, 3)
        ).filter(open_days),
        SeriesName("macro", VENUE, "VIX", "1b"): _stamped(
            stamps, "VIX", close=np.round(vix, 2)
        ).filter(open_days),
        SeriesName("macro", VENUE, "DFF", "1d"): _stamped(stamps, "DFF", value=funds),
        SeriesName("sentiment", VENUE, "FNG", "1d"): _stamped(stamps, "fear_greed", value=mood),
    }
