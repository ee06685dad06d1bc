"""Markets of price thresholds: read where they are plain, left out where they are not, joined in
time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from workbench.data.asked import Asked
from workbench.data.lake import Lake, SeriesName
from workbench.data.odds import COLUMNS
from workbench.data.opinions import odds
from workbench.data.snapshot import World, load_world
from workbench.data.thresholds import Nearest, Threshold, nearest, parse

ABOVE, HIT = "bitcoin-above-on-november-22", "what-price-will-bitcoin-hit-in-november-2025"
HOURLY = "KXBTCD-25NOV2217"
PLAIN = [
    (ABOVE, "96,000", "bitcoin-above-96k-on-november-22", ("BTC", 96_000.0, 0)),
    (ABOVE, "$96,000", "", ("BTC", 96_000.0, 0)),
    ("bitcoin-above-100k-on-november-22",
     "Will the price of Bitcoin be above $100,000 on November 22?",
     "bitcoin-above-100k-on-november-22", ("BTC", 100_000.0, 0)),
    ("ethereum-above-on-december-1-5pm-et", "3,200", "ethereum-above-3200-on-december-1-5pm-et",
     ("ETH", 3_200.0, 0)),
    ("xrp-above-on-november-22", "2.5", "xrp-above-2pt5-on-november-22", ("XRP", 2.5, 0)),
    (HIT, "\u2191 110,000", "will-bitcoin-reach-110k-in-november-2025", ("BTC", 110_000.0, 1)),
    (HIT, "\u2193 80,000", "will-bitcoin-dip-to-80000-in-november-2025-175",
     ("BTC", 80_000.0, -1)),
    ("what-price-will-bitcoin-hit-before-2027", "$150,000",
     "will-bitcoin-reach-150000-by-december-31-2026", ("BTC", 150_000.0, 1)),
    ("what-price-will-solana-hit-november-24-30", "\u2191 160", "", ("SOL", 160.0, 1)),
    ("will-bitcoin-reach-1m-by-december-31-2025", "Will Bitcoin reach $1,000,000 by December 31?",
     "", ("BTC", 1_000_000.0, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("event", "outcome", "market", "told"), PLAIN, ids=lambda v: str(v)[:40])
def test_a_plain_market_is_read(
    event: str, outcome: str, market: str, told: tuple[str, float, int]
) -> None:
    assert parse(event, outcome, market) == Threshold(*told)


@pytest.mark.parametrize(
    ("ticker", "ends"),
    [
        ("KXBTCD-25NOV2217", datetime(2025, 11, 22, 22, tzinfo=UTC)),  # New York's winter
        ("KXBTCD-25JUL0409", datetime(2025, 7, 4, 13, tzinfo=UTC)),  # and its summer
    ],
)
def test_a_ticker_tells_when_its_market_ends(ticker: str, ends: datetime) -> None:
    told = parse(ticker, "$100,000 or above", f"{ticker}-T99999.99")
    assert told == Threshold("BTC", 100_000.0, 0, ends)


MUDDLED = {
    "no strike": (ABOVE, "Yes", "bitcoin-above-on-november-22"),
    "two strikes": (ABOVE, "96,000", "bitcoin-above-98k-on-november-22"),
    "two assets": (ABOVE, "96,000", "ethereum-above-96k-on-november-22"),
    "two kinds": (ABOVE, "96,000", "will-bitcoin-reach-96k-on-november-22"),
    "an arrow on an end": (ABOVE, "\u2191 96,000", ""),
    "a touch of no direction": (HIT, "110,000", "will-bitcoin-hit-110k-in-november"),
    "two directions": (HIT, "\u2193 110,000", "will-bitcoin-reach-110k-in-november"),
    "a range": ("bitcoin-price-on-november-22", "96,000-98,000", ""),
    "below": (ABOVE, "<96,000", ""),
    "at most": (ABOVE, "\u226496,000", ""),
    "a range of a threshold": (ABOVE, "96,000-98,000", ""),
    "up or down": ("bitcoin-up-or-down-on-november-22", "Up", ""),
    "a race": ("will-bitcoin-reach-1m-before-gta-vi", "Yes", "will-bitcoin-reach-1m-before-gta-vi"),
    "another thing of that name": ("what-price-will-bitcoin-etf-hit-in-november", "\u2191 110", ""),
    "a second condition": (ABOVE, "96,000", "bitcoin-above-96k-and-eth-above-4k-on-november-22"),
    "an unknown asset": ("pepe-above-on-november-22", "2", ""),
    "a day": ("when-will-bitcoin-hit-150k", "November 30", ""),
    "the Fed": ("2025-12", "down25", "will-the-fed-cut-by-25-bps"),
    "a range's ticker": ("KXBTC-25NOV2217", "$99,500 to 100,499.99", "KXBTC-25NOV2217-B100000"),
    "or below": (HOURLY, "$100,000 or below", f"{HOURLY}-T100000.01"),
    "the ticker says other": (HOURLY, "$100,000 or above", f"{HOURLY}-T98999.99"),
    "another event's market": (HOURLY, "$100,000 or above", "KXBTCD-25NOV2317-T99999.99"),
    "no such day": ("KXBTCD-25NOV3117", "$100,000 or above", "KXBTCD-25NOV3117-T99999.99"),
    "no such hour": ("KXBTCD-25NOV2225", "$100,000 or above", "KXBTCD-25NOV2225-T99999.99"),
    "no such month": ("KXBTCD-25NOX2217", "$100,000 or above", "KXBTCD-25NOX2217-T99999.99"),
    "nothing": ("", "", ""),
}


@pytest.mark.parametrize("texts", MUDDLED.values(), ids=MUDDLED)
def test_what_is_not_plain_is_left_out(texts: tuple[str, str, str]) -> None:
    assert parse(*texts) is None


# --- which of them counts -------------------------------------------------------------------------

START = datetime(2025, 11, 1, tzinfo=UTC)
BET = Threshold("BTC", 100_000.0, 0)


def closes(hours: int) -> pd.DatetimeIndex:
    return pd.date_range(START, periods=hours, freq="1h")


def quotes(*told: tuple[float, float], ends_days: float | None = 10.0, **row: Any) -> pl.DataFrame:
    """Rows from (hour, probability); each is known a minute later."""
    ends = None if ends_days is None else START + timedelta(days=ends_days)
    rows = [
        dict.fromkeys(COLUMNS)
        | {"event_time": (at := START + timedelta(hours=hour)), "probability": probability,
           "available_at": at + timedelta(minutes=1), "ends_at": ends, "seq": 0,
           "meeting": ABOVE, "outcome": "100,000", "market": ""}
        | row
        for hour, probability in told
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=COLUMNS)


def told(*markets: tuple[Threshold, pl.DataFrame], price: float = 100_000.0) -> Nearest:
    return nearest(closes(48), np.full(48, price), markets)


def test_a_price_counts_from_when_it_is_known_and_for_a_day() -> None:
    chosen = told((BET, quotes((3.0, 0.4))))
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(chosen.probability)), range(4, 28))
    assert set(chosen.probability[4:28]) == {0.4}
    assert (chosen.strike[4], chosen.touch[4]) == (100_000.0, 0.0)
    np.testing.assert_allclose(chosen.hours[4:28], 240.0 - np.arange(4, 28))


GATES = {
    "spread": (BET, {"spread": 0.04}),
    "liquidity": (BET, {"liquidity": 4_999.0}),
    "too sure": (BET, {"probability": 0.98}),
    "too sure of no": (BET, {"probability": 0.02}),
    "unknown end": (BET, {"ends_at": None}),
    "ends too soon": (BET, {"ends_at": START + timedelta(hours=27)}),
    "ends too late": (BET, {"ends_at": START + timedelta(days=91, hours=4)}),
    "touched already": (Threshold("BTC", 100_000.0, 1), {}),
    "dipped already": (Threshold("BTC", 100_001.0, -1), {}),
    "no price": (BET, {"probability": None}),
}


@pytest.mark.parametrize(("threshold", "row"), GATES.values(), ids=GATES)
def test_a_market_that_will_not_do_is_not_chosen(threshold: Threshold, row: dict[str, Any]) -> None:
    assert np.isnan(told((threshold, quotes((3.0, 0.4), **row))).probability[4:8]).all()


def test_what_is_told_of_a_market_and_good_enough_lets_it_pass() -> None:
    rows = quotes((3.0, 0.4), spread=0.039, liquidity=5_000.0)
    assert told((BET, rows)).probability[4] == 0.4
    assert told((Threshold("BTC", 100_001.0, 1), quotes((3.0, 0.4)))).touch[4] == 1.0
    assert told((Threshold("BTC", 99_999.0, -1), quotes((3.0, 0.4)))).touch[4] == -1.0


def test_a_wide_spread_holds_until_a_narrow_one_is_told() -> None:
    """History has no spreads: what was told last still says how thin the market is."""
    rows = pl.concat([quotes((3.0, 0.4), spread=0.2), quotes((5.0, 0.5)),
                      quotes((7.0, 0.6), spread=0.01), quotes((9.0, 0.7))])  # fmt: skip
    chosen = told((BET, rows)).probability
    assert np.isnan(chosen[4:8]).all()
    assert (chosen[8], chosen[10]) == (0.6, 0.7)


def test_at_each_close_the_strike_nearest_the_price_is_chosen() -> None:
    price = np.where(np.arange(48) < 24, 99_000.0, 106_000.0)
    markets = [
        (BET._replace(strike=strike), quotes((0.0, p), (20.0, p)))
        for strike, p in ((90_000.0, 0.8), (100_000.0, 0.5), (110_000.0, 0.2))
    ]
    chosen = nearest(closes(48), price, markets)
    assert set(chosen.strike[1:24]) == {100_000.0}
    # ln(110/106) = 0.037 is less than ln(106/100) = 0.058
    assert set(chosen.strike[24:44]) == {110_000.0}
    assert set(chosen.probability[24:44]) == {0.2}
    unknown = nearest(closes(48), np.full(48, np.nan), markets)
    assert np.isnan(unknown.probability).all()


# --- through the lake -----------------------------------------------------------------------------

SYMBOLS = ("BTC/USDT", "ETH/USDT")
HOURS = 40 * 24
NOW = START + timedelta(days=25)
EVENT = SeriesName("prediction", "polymarket", "bitcoin_above_on_december_11", "1h")
ENDS = datetime(2025, 12, 11, 17, tzinfo=UTC)


def candles(seed: int, scale: float) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    close = scale * np.exp(np.cumsum(rng.normal(0, 0.004, HOURS)))
    times = [START + timedelta(hours=h) for h in range(HOURS)]
    return pl.DataFrame(
        {"event_time": times, "available_at": [t + timedelta(hours=1) for t in times],
         "open": close, "high": close * 1.002, "low": close * 0.998, "close": close,
         "volume": np.ones(HOURS)}
    ).with_columns(fetched_at=pl.col("available_at"))  # fmt: skip


def bets(strike: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    prices = rng.uniform(0.3, 0.7, HOURS)
    rows = quotes(*((float(h), p) for h, p in enumerate(prices)), ends_at=ENDS,
                  meeting="bitcoin-above-on-december-11", outcome=f"{strike:,}",
                  market=f"bitcoin-above-{strike // 1000}k-on-december-11")  # fmt: skip
    return rows.with_columns(fetched_at=pl.col("available_at"))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    for seed, (symbol, scale) in enumerate(zip(SYMBOLS, (100_000.0, 3_000.0), strict=True)):
        lake.upsert("ohlcv", "binance_spot", symbol, "1h", candles(seed, scale))
    for strike in (96_000, 100_000, 104_000):
        lake.upsert(*EVENT, bets(strike, seed=strike))
    fed = quotes((1.0, 0.5), meeting="2025-12", outcome="down25")
    fomc = SeriesName("prediction", "polymarket", "FOMC", "1h")
    lake.upsert(*fomc, fed.with_columns(fetched_at=pl.col("available_at")))
    return lake


def load(lake: Lake) -> World:
    return load_world(lake, "binance_spot", SYMBOLS)


def test_the_panel_is_told_the_market_nearest_the_money_and_others_nothing(lake: Lake) -> None:
    panel = load(lake).panel
    probability, strike = (panel.context[f"odds_{n}"] for n in ("probability", "strike"))
    assert probability["ETH/USDT"].isna().all()
    price = panel.close["BTC/USDT"].to_numpy()
    named = np.array([96_000.0, 100_000.0, 104_000.0])
    near = named[np.abs(np.log(named / price[:, None])).argmin(axis=1)]
    ends_soon = panel.close_times > pd.Timestamp(ENDS) - pd.Timedelta(1, unit="D")
    expected = np.where(ends_soon, np.nan, near)
    np.testing.assert_array_equal(strike["BTC/USDT"].to_numpy(), expected)
    assert set(expected[~np.isnan(expected)]) > {100_000.0}
    t = 100  # its close is at hour 101, and hour 101's price is known a minute later
    told_then = bets(int(expected[t]), seed=int(expected[t]))["probability"][t]
    assert probability["BTC/USDT"].iloc[t] == told_then
    hours = panel.context["odds_hours"]["BTC/USDT"].iloc[t]
    assert hours == (ENDS - START).total_seconds() / 3600 - 101


def test_the_de_vigged_price_counts_where_it_is_told(lake: Lake) -> None:
    alone = bets(100_000, seed=1).with_columns(devigged=pl.col("probability") - 0.02)
    lake.remove(*EVENT)
    lake.upsert(*EVENT, alone)
    told_now = load(lake).panel.context["odds_probability"]["BTC/USDT"]
    assert told_now.iloc[50] == alone["devigged"][50]


def test_a_lake_without_such_markets_tells_nothing_of_them(lake: Lake) -> None:
    lake.remove(*EVENT)
    rows = quotes((1.0, 0.5), meeting="us-recession-in-2025", outcome="Yes")
    other = SeriesName("prediction", "polymarket", "us_recession_in_2025", "1h")
    lake.upsert(*other, rows.with_columns(fetched_at=pl.col("available_at")))
    assert not [name for name in load(lake).panel.context if name.startswith("odds_")]


def test_a_poisoned_future_changes_no_threshold_before_it(lake: Lake) -> None:
    before = load(lake).panel
    bad = pl.concat([bets(strike, seed=9) for strike in (99_000, 100_000, 104_000)])
    late = bad.filter(pl.col("available_at") > NOW).with_columns(
        probability=0.5, ends_at=pl.lit(NOW + timedelta(days=40)), spread=pl.lit(0.001),
    )  # fmt: skip
    again = bets(100_000, seed=100_000).filter(pl.col("available_at") <= NOW).tail(40)
    soon = pl.lit(NOW + timedelta(minutes=1)).cast(pl.Datetime("us", "UTC"))
    again = again.with_columns(available_at=soon, probability=0.31, spread=pl.lit(0.3))
    later = pl.lit(NOW + timedelta(days=99)).cast(pl.Datetime("us", "UTC"))
    assert lake.upsert(*EVENT, pl.concat([late, again]).with_columns(fetched_at=later)) > 0
    after = load(lake).panel
    known = int((before.close_times <= pd.Timestamp(NOW)).sum())
    for name in ("probability", "strike", "hours", "touch"):
        one, other = (p.context[f"odds_{name}"].to_numpy() for p in (before, after))
        np.testing.assert_array_equal(one[:known], other[:known])
    assert not before.context["odds_probability"].equals(after.context["odds_probability"])


# --- the Fed's next meeting -----------------------------------------------------------------------


def test_the_hours_to_a_meeting_go_up_where_the_odds_are_another_ones(tmp_path: Path) -> None:
    lake, name = Lake(tmp_path), SeriesName("prediction", "polymarket", "FOMC", "1h")
    legs = [("2025-12", "down25", 0.6), ("2025-12", "noChange", 0.4),
            ("2026-01", "down25", 0.2), ("2026-01", "noChange", 0.8)]  # fmt: skip
    rows = [quotes((0.0, p), meeting=m, outcome=o, ends_at=None) for m, o, p in legs]
    lake.upsert(*name, pl.concat(rows).with_columns(fetched_at=pl.col("available_at")))
    index = pd.date_range("2025-12-10 20:00", periods=6, freq="1h", tz="UTC")
    step = pd.Timedelta(1, unit="h")
    asked = Asked(lake, "binance_spot", frozenset(lake.series()), SYMBOLS, index, index + step)
    context = odds(asked).context
    np.testing.assert_allclose(context["fed_expected_bps"], [-15, -15, -15, -5, -5, -5])
    # the closes of 21:00, 22:00, 23:00; from midnight on it is the meeting of 28 January
    hours = [3.0, 2.0, 1.0, 49 * 24.0, 49 * 24 - 1.0, 49 * 24 - 2.0]
    np.testing.assert_allclose(context["fed_meeting_hours"], hours)
