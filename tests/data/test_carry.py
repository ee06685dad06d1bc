"""Cash and carry as one instrument: worked by hand, from the past alone, and out of a lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from workbench.data.carry import annualised, pair_bars, settled
from workbench.data.lake import CLOCKS, INSTANT, Lake
from workbench.data.snapshot import World, carries, load_world
from workbench.domain import DataError, UsageError

START = datetime(2023, 1, 1, tzinfo=UTC)
HOUR, FOUR_HOURS = pd.Timedelta(hours=1), pd.Timedelta(hours=4)
FETCHED = datetime(2023, 6, 1, tzinfo=UTC)
Prices = Sequence[float]


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def candles(bars: Mapping[float, Prices], volume: float = 10.0, hours: float = 1.0) -> pl.DataFrame:
    """Hour of the open -> (open, high, low, close), or one price for all four."""
    whole = {hour: tuple(p) if len(p) == 4 else (p[0],) * 4 for hour, p in bars.items()}
    opens = [at(hour) for hour in whole]
    return pl.DataFrame(
        {
            "event_time": opens,
            "available_at": [o + timedelta(hours=hours) for o in opens],
            "fetched_at": [FETCHED] * len(opens),
            **{x: [p[k] for p in whole.values()] for k, x in enumerate(("open", "high", "low"))},
            "close": [p[3] for p in whole.values()],
            "volume": [volume] * len(opens),
        },
        schema_overrides=dict.fromkeys(CLOCKS, INSTANT),
    )


def rates(
    by_hour: Mapping[float, float], told: Mapping[float, float] | None = None
) -> pl.DataFrame:
    """Hour of settlement -> rate; `told`: the hour at which it was told, where that is later."""
    known = [at((told or {}).get(hour, hour)) for hour in by_hour]
    return pl.DataFrame(
        {
            "event_time": [at(hour) for hour in by_hour],
            "available_at": known,
            "fetched_at": [FETCHED] * len(known),
            "funding_rate": list(by_hour.values()),
        },
        schema_overrides=dict.fromkeys(CLOCKS, INSTANT),
    )


def row(bars: pl.DataFrame, hour: float) -> dict[str, float]:
    return bars.filter(pl.col("event_time") == at(hour)).drop("event_time").row(0, named=True)


# --- worked by hand ---------------------------------------------------------------------------

SPOT = {0: [100.0], 1: [100.0, 112.0, 99.0, 110.0], 2: [110.0, 111.0, 108.0, 109.0]}
PERP = {
    0: [100.5, 101.5, 100.0, 101.0],
    1: [101.0, 113.5, 99.5, 110.0],
    2: [110.5, 111.0, 108.0, 109.0],
}


@pytest.mark.parametrize(("rate", "booked"), [(0.01, 0.505), (-0.01, -0.505)])
def test_who_holds_over_a_settlement_has_it_and_who_enters_at_its_open_has_not(
    rate: float, booked: float
) -> None:
    """100 at the first close: half a coin a leg. The short receives 0.5 x rate x 101."""
    bars = pair_bars(candles(SPOT), candles(PERP), rates({0: 0.5, 1: rate}), HOUR)
    assert row(bars, 0)["close"] == 100.0
    one = row(bars, 1)
    assert one["open"] == pytest.approx(100.0 + booked, rel=1e-14)
    # both highs: (112 - 100) - (113.5 - 101) = -0.5; both lows: (-1) - (-1.5) = 0.5; close: 10 - 9
    assert one["close"] == pytest.approx(100.0 + 0.5 * 1.0 + booked, rel=1e-14)
    assert one["high"] == one["close"]
    assert one["low"] == pytest.approx(100.0 - 0.5 * 0.5 + booked, rel=1e-14)


def test_each_bar_has_half_of_the_last_close_in_a_leg() -> None:
    """No funding after the start: 100.5 at 110 are 0.4568 coins; the gap at the open costs."""
    bars = pair_bars(candles(SPOT), candles(PERP), rates({0: 0.0}), HOUR)
    coins = 100.5 / 2.0 / 110.0
    two = row(bars, 2)
    assert two["open"] == pytest.approx(100.5 - coins * 0.5, rel=1e-14)
    assert two["close"] == pytest.approx(100.5 + coins * ((109 - 110) - (109 - 110)), rel=1e-14)


@pytest.mark.parametrize(
    ("rate", "high", "low"), [(0.02, 100.0 + 1.02, 99.0), (-0.02, 99.5, 99.0 - 1.02)]
)
def test_a_settlement_inside_a_longer_bar_is_in_its_close_and_not_in_its_open(
    rate: float, high: float, low: float
) -> None:
    """0.5 x 0.02 x 102 = 1.02, before the bar's extremes or after them."""
    spot = {0: [100.0], 4: [100.0, 104.0, 98.0, 100.0]}
    perp = {0: [101.0], 4: [102.0, 103.0, 101.0, 101.0]}
    legs = candles(spot, hours=4), candles(perp, hours=4)
    four = row(pair_bars(*legs, rates({0: 0.0, 6: rate}), FOUR_HOURS), 4)
    assert four["open"] == pytest.approx(100.0 + 0.5 * (0.0 - 1.0), rel=1e-14)
    assert four["close"] == pytest.approx(100.0 + 0.5 * rate * 102.0, rel=1e-14)
    # both highs, 4 - 2 = 2, are no high of the pair: nobody sells into a wick; both lows: -2 - 0
    assert (four["high"], four["low"]) == pytest.approx((high, low), rel=1e-14)


def test_what_is_settled_while_a_leg_has_no_bar_is_booked_at_the_next_whole_bar() -> None:
    """At the perpetual's own last price, for its market went on."""
    spot = {0: [100.0], 3: [106.0]}
    perp = {0: [100.0], 1: [104.0], 2: [105.0], 3: [107.0]}
    bars = pair_bars(candles(spot), candles(perp), rates({0: 0.0, 1: 0.01, 2: 0.02}), HOUR)
    assert bars["event_time"].to_list() == [at(0), at(3)]
    booked = 0.5 * (0.01 * 100.0 + 0.02 * 104.0)
    assert row(bars, 3)["open"] == pytest.approx(100.0 + 0.5 * (6 - 7) + booked, rel=1e-14)


def test_a_stamp_that_is_some_milliseconds_late_is_on_the_boundary() -> None:
    late = rates({0: 0.0, 1: 0.01}).with_columns(pl.col("event_time") + pl.duration(milliseconds=7))
    bars = pair_bars(candles(SPOT), candles(PERP), late, HOUR)
    assert row(bars, 1)["open"] == pytest.approx(100.505, rel=1e-14)


def test_a_rate_told_after_its_bar_counts_from_when_it_was_told() -> None:
    bars = pair_bars(candles(SPOT), candles(PERP), rates({0: 0.0, 1: 0.01}, told={1: 2.5}), HOUR)
    assert row(bars, 1)["close"] == pytest.approx(100.5, rel=1e-14)
    flat = row(bars, 2)["close"]
    assert flat == pytest.approx(100.5 + 100.5 / 220.0 * 0.01 * 101.0, rel=1e-14)


def test_a_rate_that_is_told_again_stays_as_it_was_first_told() -> None:
    again = rates({1: 0.5}, told={1: 30})
    told = settled(pl.concat([rates({0: 0.0, 1: 0.01}), again]))
    assert told["funding_rate"].to_list() == [0.0, 0.01]


def test_there_is_no_pair_before_its_first_settlement() -> None:
    bars = pair_bars(candles(SPOT), candles(PERP), rates({1: 0.5}), HOUR)
    assert bars["event_time"].to_list() == [at(1), at(2)]
    assert row(bars, 1)["close"] == 100.0
    assert pair_bars(candles(SPOT), candles(PERP), rates({}), HOUR).is_empty()


def test_volume_is_twice_the_smaller_legs_turnover_and_nothing_stays_nothing() -> None:
    bars = pair_bars(candles(SPOT, 3.0), candles(PERP, 2.0), rates({0: 0.0}), HOUR)
    for hour, turnover in ((0, 202.0), (1, 220.0), (2, 218.0)):
        bar = row(bars, hour)
        assert bar["close"] * bar["volume"] == pytest.approx(2.0 * turnover, rel=1e-14)
    silent = pair_bars(candles(SPOT, 0.0), candles(PERP, 2.0), rates({0: 0.0}), HOUR)
    assert silent["volume"].to_list() == [0.0, 0.0, 0.0]


def test_a_bar_with_a_price_that_is_none_is_no_bar_of_the_pair() -> None:
    broken = candles(SPOT).with_columns(
        high=pl.when(pl.col("event_time") == at(1)).then(None).otherwise(pl.col("high"))
    )
    bars = pair_bars(broken, candles(PERP), rates({0: 0.0}), HOUR)
    assert bars["event_time"].to_list() == [at(0), at(2)]


def test_a_wick_that_would_wipe_the_pair_out_is_a_price_that_stops_it() -> None:
    """The perpetual at 350 for a moment: nothing would be left, and a price of 0 or less triggers
    nothing in the rule book."""
    perp = {0: [100.0], 1: [100.0, 350.0, 100.0, 100.0]}
    bars = pair_bars(candles({0: [100.0], 1: [100.0]}), candles(perp), rates({0: 0.0}), HOUR)
    assert 0.0 < row(bars, 1)["low"] < 0.01
    assert row(bars, 1)["close"] == 100.0


def test_an_open_at_which_nothing_is_left_is_told_of() -> None:
    perp = {0: [100.0], 1: [350.0, 350.0, 100.0, 100.0]}
    with pytest.raises(DataError, match=r"2023-01-01 01:00.*equity is gone"):
        pair_bars(candles({0: [100.0], 1: [100.0]}), candles(perp), rates({0: 0.0}), HOUR)


def test_legs_that_part_until_nothing_is_left_are_told_of() -> None:
    with pytest.raises(DataError, match=r"2023-01-01 01:00.*equity is gone"):
        pair_bars(
            candles({0: [100.0], 1: [100.0]}), candles({0: [100.0], 1: [300.0]}),
            rates({0: 0.0}), HOUR,
        )  # fmt: skip


def test_the_yearly_rate_follows_a_change_of_interval_at_once() -> None:
    """8 h, then 4 h, then 1 h: 0.0003 in 8 h are 32.85 % a year, in 1 h eight times that."""
    funding = rates({0: 1e-4, 8: 3e-4, 16: 3e-4, 20: 3e-4, 21: 3e-4})
    last = annualised(funding, 1)["apr"].to_list()
    assert last[0] is None
    assert last[1:] == pytest.approx([0.3285, 0.3285, 0.657, 2.628], rel=1e-12)
    mean = annualised(funding, 3)["apr"].to_list()
    assert mean[:3] == [None] * 3
    assert mean[3:] == pytest.approx([9e-4 / 20 * 8760, 9e-4 / 13 * 8760], rel=1e-12)


def test_a_mean_is_known_when_the_last_of_its_rates_was_told() -> None:
    told = annualised(rates({0: 0.0, 8: 0.0, 16: 0.0}, told={8: 20}), 1)["available_at"].to_list()
    assert told == [at(0), at(20), at(20)]


# --- from the past alone ----------------------------------------------------------------------


def random_legs(bars: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Legs with holes of their own, and settlements at and between the hours, some told late."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, bars)))
    legs = []
    for _ in range(2):
        end = close * (1.0 + rng.normal(0.0, 1e-3, bars))
        begin = np.concatenate([end[:1], end[:-1]])
        high, low = np.maximum(begin, end) * 1.004, np.minimum(begin, end) * 0.996
        table = {float(h): [begin[h], high[h], low[h], end[h]] for h in range(bars)}
        legs.append(candles({h: p for h, p in table.items() if rng.random() > 0.1}))
    hours = np.sort(rng.choice(np.arange(2 * bars), bars // 2, replace=False)) / 2.0
    by_hour = dict(zip(hours.tolist(), rng.normal(0.0, 1e-3, len(hours)).tolist(), strict=True))
    told = {h: h + float(rng.integers(0, 4)) for h in by_hour if rng.random() < 0.3}
    return legs[0], legs[1], rates(by_hour, told)


def test_no_later_row_changes_a_bar_of_the_pair() -> None:
    spot, perp, funding = random_legs(400, seed=5)
    whole = pair_bars(spot, perp, funding, HOUR)
    names = ("open", "high", "low", "close", "volume")
    for hour in (20, 21, 57, 133, 350):
        now = at(hour)
        known = pl.col("available_at") <= now
        expected = whole.filter(pl.col("event_time") + timedelta(hours=1) <= now)
        cut = pair_bars(spot.filter(known), perp.filter(known), funding.filter(known), HOUR)
        assert cut.equals(expected)
        poison = [pl.when(known).then(x).otherwise(pl.col(x) * 3.0).alias(x) for x in names]
        spoilt = [leg.with_columns(poison) for leg in (spot, perp)]
        rate = pl.when(known).then("funding_rate").otherwise(pl.lit(0.3)).alias("funding_rate")
        again = pair_bars(*spoilt, funding.with_columns(rate), HOUR)
        assert again.filter(pl.col("event_time") + timedelta(hours=1) <= now).equals(expected)


def test_nothing_that_was_settled_is_lost_in_the_holes() -> None:
    """With both legs at one price the pair is funding alone."""
    spot, _, funding = random_legs(300, seed=9)
    flat = spot.with_columns(pl.lit(100.0).alias(x) for x in ("open", "high", "low", "close"))
    bars = pair_bars(flat, flat, funding, HOUR)
    value, due = 100.0, dict(zip(funding["event_time"], funding["funding_rate"], strict=True))
    told = dict(zip(funding["event_time"], funding["available_at"], strict=True))
    opens = bars["event_time"].to_list()
    booked: set[datetime] = {t for t in due if t < opens[0] + timedelta(hours=1)}
    late = {t for t in booked if told[t] > t.replace(minute=0) + timedelta(hours=1)}
    booked -= late
    for bar, close in list(zip(opens, bars["close"], strict=True))[1:]:
        end = bar + timedelta(hours=1)
        now = {
            t for t in set(due) - booked
            if (told[t] if told[t] > t.replace(minute=0) + timedelta(hours=1) else t) < end
        }  # fmt: skip
        value *= 1.0 + 0.5 * sum(due[t] for t in now)
        booked |= now
        assert close == pytest.approx(value, rel=1e-12)
    assert len(booked) > 0.95 * len(due)


# --- out of a lake ----------------------------------------------------------------------------

BTC, PAIR = "BTC/USDT", "BTC/USDT~carry"


def lake_with(folder: Path, without: str = "", **legs: pl.DataFrame) -> Lake:
    lake = Lake(folder)
    hours = range(60)
    prices: dict[float, Prices] = {h: [100.0 + h] for h in hours}
    parts = {
        "spot": ("ohlcv", "here_spot", "1h", candles(prices)),
        "perp": ("ohlcv", "here_perp", "1h", candles({h: [p[0] + 0.5] for h, p in prices.items()})),
        "funding": ("funding", "here", "8h", rates({h: 1e-4 for h in hours if h % 8 == 0})),
    }
    for name, (kind, venue, timeframe, rows) in parts.items():
        if name != without:
            lake.upsert(kind, venue, BTC, timeframe, legs.get(name, rows))
    return lake


def world_of(lake: Lake, start: str | None = None) -> World:
    return load_world(lake, "here_spot", [BTC, PAIR], "1h", start, "2023-01-03 05:00")


def test_a_pair_stands_beside_its_market_in_a_world(tmp_path: Path) -> None:
    lake = lake_with(tmp_path)
    assert carries(lake, "here_spot", "1h") == (PAIR,)
    assert carries(lake, "here_spot", "4h") == ()
    panel = world_of(lake).panel
    assert panel.symbols == (BTC, PAIR)
    assert panel.close[BTC].iloc[7] == 107.0
    # 8 coins' moves cancel; the settlement of 08:00 is 1e-4 x 107.5 a coin
    gain = panel.open[PAIR].iloc[8] / panel.close[PAIR].iloc[7] - 1.0
    assert gain == pytest.approx(1e-4 * 107.5 / (2.0 * 107.0), rel=1e-9)
    assert len(load_world(lake, "here_spot", [], "1h").panel.symbols) == 1


def test_a_pairs_price_does_not_depend_on_where_the_panel_begins(tmp_path: Path) -> None:
    """A book holds its entry price over a restart."""
    lake = lake_with(tmp_path)
    whole, later = world_of(lake).panel, world_of(lake, "2023-01-02").panel
    assert len(later) == len(whole) - 24
    pd.testing.assert_frame_equal(whole.close.iloc[24:], later.close, check_freq=False)


def test_a_settlement_inside_the_last_bar_of_a_world_is_in_it(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    days: dict[float, Prices] = {24.0 * d: [100.0] for d in range(3)}
    for venue in ("here_spot", "here_perp"):
        lake.upsert("ohlcv", venue, BTC, "1d", candles(days, hours=24))
    lake.upsert("funding", "here", BTC, "8h", rates({0: 0.0, 32: 0.01, 40: 0.01}))
    panel = load_world(lake, "here_spot", [PAIR], "1d", end="2023-01-02").panel
    assert panel.close[PAIR].iloc[-1] == pytest.approx(101.0)


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("perp", r"its perpetual is not there \(ohlcv here_perp BTC/USDT 1h\)"),
        ("funding", r"its funding is not there \(funding here BTC/USDT 8h\)"),
    ],
)
def test_a_pair_without_a_leg_is_refused_by_name(tmp_path: Path, without: str, said: str) -> None:
    lake = lake_with(tmp_path, without)
    assert carries(lake, "here_spot", "1h") == ()
    with pytest.raises(UsageError, match=said):
        world_of(lake)
    with pytest.raises(UsageError, match="its spot is not there"):
        load_world(lake, "here_spot", ["ETH/USDT~carry"], "1h")


def test_a_spot_bar_that_was_told_late_is_a_hole_of_the_pair(tmp_path: Path) -> None:
    lake = lake_with(tmp_path)
    spot = lake.read("ohlcv", "here_spot", BTC, "1h")
    told = pl.when(pl.col("event_time") == at(9)).then(pl.lit(at(30))).otherwise("available_at")
    late = lake_with(
        tmp_path / "late", spot=spot.with_columns(told.cast(INSTANT).alias("available_at"))
    )
    panel = world_of(late).panel
    assert np.flatnonzero(panel.close[PAIR].isna()).tolist() == [9]


def test_a_pair_is_told_what_is_known_of_its_market(tmp_path: Path) -> None:
    settled = rates({0: 1e-4, 8: 2e-4, 16: 2e-4, 24: 3e-4})
    lake = lake_with(tmp_path, funding=settled)
    chain = pl.DataFrame(
        {c: [START, START + timedelta(days=1)] for c in CLOCKS},
        schema_overrides=dict.fromkeys(CLOCKS, INSTANT),
    )
    flows = chain.with_columns(
        FlowInExUSD=pl.Series([5.0, 9.0]), FlowOutExUSD=pl.Series([1.0, 2.0])
    )
    lake.upsert("onchain", "coinmetrics", "BTC", "1d", flows)
    lake.upsert("funding", "binance", BTC, "8h", settled)
    news = chain.with_columns(
        id=pl.Series(["a", "b"]), asset=pl.lit("BTC"), title=pl.lit("Bitcoin soars to record high"),
        source=pl.lit("wire"),
    )  # fmt: skip
    lake.upsert("news", "wire", "ALL", "event", news)
    context = world_of(lake).panel.context
    for name in ("funding", "funding_apr", "funding_apr_3", "netflow", "sentiment"):
        pair, market = context[name][PAIR], context[name][BTC]
        assert np.array_equal(pair, market, equal_nan=True)
        assert np.isfinite(pair.iloc[30])
    assert context["funding_apr"][PAIR].iloc[[6, 7, 23]].isna().tolist() == [True, False, False]
    assert context["funding_apr"][PAIR].iloc[23] == pytest.approx(3e-4 * 3 * 365)
    assert context["funding_apr_3"][PAIR].iloc[22:24].tolist() == pytest.approx(
        [np.nan, 7e-4 * 365], nan_ok=True
    )


def test_a_yearly_rate_is_unknown_once_funding_has_fallen_silent(tmp_path: Path) -> None:
    """16 hours without a settlement: the last rate stays what it was, nobody is to act on it."""
    lake = lake_with(tmp_path, funding=rates(dict.fromkeys((0, 8, 16, 24), 1e-4)))
    context = world_of(lake).panel.context
    known = np.isfinite(context["funding_apr"][PAIR].to_numpy())
    assert np.flatnonzero(known).tolist() == list(range(7, 40))
    assert np.isfinite(context["funding"][PAIR].to_numpy()).all()


def test_a_pair_hears_the_funding_of_its_own_exchange(tmp_path: Path) -> None:
    """Binance's longs pay, here they are paid: the pair here must not be told of Binance's."""
    lake = lake_with(tmp_path, funding=rates(dict.fromkeys(range(0, 60, 8), -0.0005)))
    lake.upsert("funding", "binance", BTC, "8h", rates(dict.fromkeys(range(0, 60, 8), 0.0005)))
    context = world_of(lake).panel.context
    assert context["funding"][PAIR].iloc[-1] == -5e-4
    assert context["funding_apr_3"][PAIR].iloc[-1] < 0.0
    assert context["funding"][BTC].iloc[-1] == 5e-4
