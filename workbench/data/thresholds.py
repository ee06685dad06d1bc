"""Which markets bet on the price of a crypto asset, and which of them counts at a close.

A market says what it is in three texts: its event, its outcome and its own name. Each tells a part
("bitcoin-above-on-november-22", "96,000"), what they tell must agree, and a text of any other form
leaves the market out: a market misread is worse than none. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from math import isclose
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl

from workbench.arrays import Floats
from workbench.data.join import US_PER_HOUR, as_of, instants, micros

LEAST_HOURS, MOST_HOURS = 24.0, 90 * 24.0  # to the end; sooner it is noise, later anything
PRICE_HOURS = 24.0  # a price holds a day: two samples of a resolved market are half of one apart
SPREAD = 0.04
LIQUIDITY = 5_000.0  # USD
LOWEST, HIGHEST = 0.02, 0.98

ASSETS = {
    "bitcoin": "BTC", "btc": "BTC", "ethereum": "ETH", "eth": "ETH", "solana": "SOL", "sol": "SOL",
    "xrp": "XRP", "dogecoin": "DOGE", "doge": "DOGE", "bnb": "BNB", "cardano": "ADA", "ada": "ADA",
    "avalanche": "AVAX", "avax": "AVAX", "litecoin": "LTC", "ltc": "LTC", "chainlink": "LINK",
}  # fmt: skip

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_MONTH = "|".join(f"{month[:3]}(?:{month[3:]})?" for month in _MONTHS)
_WHEN = rf"(?:-(?:in|by|before|on))?(?:-(?:{_MONTH}|\d{{1,4}}|\d{{1,2}}[ap]m|et))+"
_ASSET = rf"(?P<asset>{'|'.join(ASSETS)})"
_STRIKE = r"(?P<strike>\d+(?:\.\d+)?[km]?)"
_ABOVE = re.compile(rf"(?:will-)?(?:the-price-of-)?{_ASSET}(?:-be)?-above(?:-{_STRIKE})?-on{_WHEN}")
_TOUCH = re.compile(rf"will-{_ASSET}-(?P<way>reach|dip-to|hit)-{_STRIKE}{_WHEN}")
_TOUCHES = re.compile(rf"what-price-will-{_ASSET}-hit{_WHEN}")
_LABEL = re.compile(rf"(?:(?P<way>up|down)-)?{_STRIKE}")
_WAYS = {"reach": 1, "up": 1, "dip-to": -1, "down": -1}
_FOREIGN = re.compile(r"[^\w\s$,.?'\u2019\u2191\u2193-]")

# Kalshi's "price of an asset at an hour" (New York's): KXBTCD-25NOV2217, then -T99999.99
_TICKER = re.compile(r"KX([A-Z]{3,4})D-(\d\d)([A-Z]{3})(\d\d)(\d\d)")
_OR_ABOVE = re.compile(r"\$([\d,]+(?:\.\d+)?) or above")
_NEW_YORK = ZoneInfo("America/New_York")


class Threshold(NamedTuple):
    """A bet on one asset's price: that it ends above `strike` USD (`touch` 0), that it reaches it
    before the end (1), or that it dips to it (-1). `ends_at`: only where the name tells it."""

    asset: str
    strike: float
    touch: int
    ends_at: datetime | None = None


class Nearest(NamedTuple):
    """One market at each close (bars,), NaN where none will do; `hours` to its end."""

    probability: Floats
    strike: Floats
    hours: Floats
    touch: Floats


def parse(event: str, outcome: str, market: str) -> Threshold | None:
    """What a market bets on; None unless every text it has says so in a form that is known."""
    if _TICKER.match(event):
        return _of_ticker(event, outcome, market)
    told: dict[str, set[float | str]] = {"asset": set(), "kind": set(), "way": set(), "at": set()}
    for text in filter(None, (event, outcome, market)):
        part = _part(text)
        if part is None:
            return None
        for name, value in part.items():
            told[name].add(value)
    kind = told["kind"]
    if any(len(said) != 1 for said in (told["asset"], kind, told["at"])):
        return None
    if len(told["way"]) != (1 if kind == {"touch"} else 0):
        return None
    (asset,), (strike,) = told["asset"], told["at"]
    return Threshold(str(asset), float(strike), int(next(iter(told["way"]), 0)))


def _part(text: str) -> dict[str, float | str] | None:
    """What one text tells, None if it is of no known form."""
    if _FOREIGN.search(text):
        return None
    plain = text.lower().replace("\u2191", "up ").replace("\u2193", "down ")
    plain = re.sub(r"(?<=\d)pt(?=\d)", ".", plain.replace("$", "").replace(",", ""))
    plain = re.sub(r"[^a-z0-9.]+", "-", plain.rstrip("?. ")).strip("-")
    for form, kind in ((_ABOVE, "above"), (_TOUCH, "touch"), (_TOUCHES, "touch"), (_LABEL, "")):
        match = form.fullmatch(plain)
        if match is not None:
            said = match.groupdict()
            return (
                ({"kind": kind, "asset": ASSETS[said["asset"]]} if kind else {})
                | ({"at": _number(said["strike"])} if said.get("strike") else {})
                | ({"way": _WAYS[said["way"]]} if said.get("way") in _WAYS else {})
            )
    return None


def _number(text: str) -> float:
    """96000, 96k, 1.5m"""
    factor = {"k": 1e3, "m": 1e6}.get(text[-1], 1.0)
    return float(text.rstrip("km")) * factor


def _of_ticker(event: str, outcome: str, market: str) -> Threshold | None:
    match, above = _TICKER.fullmatch(event), _OR_ABOVE.fullmatch(outcome)
    months = {month[:3].upper(): number for number, month in enumerate(_MONTHS, start=1)}
    if match is None or above is None or match[3] not in months:
        return None
    strike = float(above[1].replace(",", ""))
    named = re.fullmatch(re.escape(event) + r"-T(\d+(?:\.\d+)?)", market)
    if match[1] not in ASSETS.values() or named is None:
        return None
    if not isclose(float(named[1]), strike, rel_tol=1e-3):  # "or above" is "more than 99,999.99"
        return None
    try:
        ends = datetime(
            2000 + int(match[2]), months[match[3]], int(match[4]), int(match[5]), tzinfo=_NEW_YORK
        )
    except ValueError:
        return None
    return Threshold(match[1], strike, 0, ends.astimezone(UTC))


def nearest(
    times: pd.DatetimeIndex, price: Floats, markets: Iterable[tuple[Threshold, pl.DataFrame]]
) -> Nearest:
    """At each close the market whose strike is nearest the price there, by log distance.

    `price` (bars,) is the asset's; `markets` come with their rows (event_time, available_at,
    probability, spread, liquidity, ends_at). One counts while its last known price is of the past
    24 hours and between 0.02 and 0.98, it ends in 1 to 90 days, its spread and liquidity will do
    as far as they are told, and what it waits to be touched has not been. Of two as near the first
    one stays.
    """
    price = np.where(price > 0, price, np.nan)
    best = np.full(len(times), np.inf)
    chosen = Nearest(*np.full((4, len(times)), np.nan))
    for threshold, rows in markets:
        bars, probability, hours = _alive(times, threshold, rows)
        here = price[bars]
        distance = np.abs(np.log(threshold.strike / here))
        waits = (threshold.touch == 0) | (threshold.touch * (threshold.strike - here) > 0)
        at = bars.start + np.flatnonzero(np.isfinite(probability) & waits & (distance < best[bars]))
        best[at] = distance[at - bars.start]
        chosen.probability[at] = probability[at - bars.start]
        chosen.hours[at] = hours[at - bars.start]
        chosen.strike[at], chosen.touch[at] = threshold.strike, threshold.touch
    return chosen


def _alive(
    times: pd.DatetimeIndex, threshold: Threshold, rows: pl.DataFrame
) -> tuple[slice, Floats, Floats]:
    """The bars at which a market may count, its probability there (NaN where it does not) and the
    hours to its end."""
    available, event = instants(rows["available_at"]), instants(rows["event_time"])
    ends = _ends(threshold, rows)
    bars = _span(times, available, ends)
    told = {
        name: rows[name].cast(pl.Float64).to_numpy()
        for name in ("probability", "spread", "liquidity")
    }
    row = np.where(np.isnan(told["probability"]), np.nan, np.arange(rows.height, dtype=np.float64))
    known = {
        name: as_of(times[bars], available, event, values)
        for name, values in {**told, "row": row}.items()
    }
    at = np.where(np.isnan(known["row"]), -1, known["row"]).astype(np.int64)
    now = micros(times[bars])
    hours = (ends[at] - now) / US_PER_HOUR
    probability = known["probability"]
    sound = (
        (at >= 0)
        & (probability > LOWEST) & (probability < HIGHEST)
        & (hours >= LEAST_HOURS) & (hours <= MOST_HOURS)
        & (now - micros(event)[at] <= PRICE_HOURS * US_PER_HOUR)
        & ~(known["spread"] >= SPREAD) & ~(known["liquidity"] < LIQUIDITY)
    )  # fmt: skip
    return bars, np.where(sound, probability, np.nan), hours


def _ends(threshold: Threshold, rows: pl.DataFrame) -> Floats:
    """When the market ends as each row tells it, microseconds since 1970; NaN if it does not."""
    if threshold.ends_at is not None:
        return np.full(rows.height, threshold.ends_at.timestamp() * 1e6)
    return rows["ends_at"].dt.timestamp("us").cast(pl.Float64).to_numpy()


def _span(times: pd.DatetimeIndex, available: pd.DatetimeIndex, ends: Floats) -> slice:
    now = micros(times)
    if not len(ends) or np.isnan(ends).all():
        return slice(0, 0)
    first = int(np.searchsorted(now, micros(available).min()))
    return slice(first, max(first, int(np.searchsorted(now, np.nanmax(ends)))))
