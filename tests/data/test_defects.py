"""Defects of candles: each kind found where it is, on made-up and on recorded bars."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from tests.recorded import require_data
from workbench.data.defects import Defect, defects, disagreements, flats, holes, repeats, spikes
from workbench.data.lake import SeriesName

HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)
START = datetime(2024, 1, 1, tzinfo=UTC)
NAME = SeriesName("ohlcv", "exchange", "BTC/USDT", "1h")


def bars(closes: list[float], volume: float = 5.0) -> pl.DataFrame:
    """Hourly bars of these closes; each opens at the close before, with another volume each."""
    count = len(closes)
    opens = [closes[0], *closes[:-1]]
    return pl.DataFrame(
        {
            "event_time": [START + n * HOUR for n in range(count)],
            "open": opens,
            "high": [max(pair) + 1 for pair in zip(opens, closes, strict=True)],
            "low": [min(pair) - 1 for pair in zip(opens, closes, strict=True)],
            "close": closes,
            "volume": [volume + n for n in range(count)],
        },
        schema_overrides={"event_time": pl.Datetime("us", "UTC")},
    )


def calm(count: int = 48) -> list[float]:
    """Closes that move by 10 bps to and fro."""
    return [100.0 if n % 2 else 100.1 for n in range(count)]


def at(hour: int) -> datetime:
    return START + hour * HOUR


def test_calm_bars_have_no_defects() -> None:
    assert defects(NAME, bars(calm()), HOUR) == []
    assert defects(NAME, bars(calm())[:1], HOUR) == []


def test_a_hole_is_from_the_first_missing_bar_to_the_next_that_is_there() -> None:
    candles = bars(calm()).filter(~pl.col("event_time").is_in([at(5), at(6), at(9)]))
    assert [(d.start, d.end, d.bars) for d in holes(NAME, candles, HOUR)] == [
        (at(5), at(7), 2),
        (at(9), at(10), 1),
    ]


def test_flat_bars_without_a_trade_are_one_run_until_a_trade_or_a_hole() -> None:
    still = pl.col("event_time").is_between(at(10), at(15))
    flat = bars(calm()).with_columns(
        *(pl.when(still).then(100.0).otherwise(c).alias(c) for c in ("open", "high", "low")),
        pl.when(still).then(100.0).otherwise("close").alias("close"),
        pl.when(still).then(0.0).otherwise("volume").alias("volume"),
    ).filter(pl.col("event_time") != at(13))  # fmt: skip
    assert [(d.start, d.end, d.bars, d.says) for d in flats(NAME, flat, HOUR)] == [
        (at(10), at(13), 3, "no trade, the price stands at 100"),
        (at(14), at(16), 2, "no trade, the price stands at 100"),
    ]


def test_a_traded_bar_told_twice_is_a_repeat_and_a_flat_one_is_not() -> None:
    rows = bars(calm())
    values = pl.exclude("event_time")
    told = rows.with_columns(
        pl.when(pl.col("event_time").is_in([at(7), at(8)]))
        .then(values.gather(6).first())
        .otherwise(values)
        .name.keep()
    )
    assert [(d.what, d.start, d.end, d.bars) for d in defects(NAME, told, HOUR)] == [
        ("repeat", at(7), at(9), 2)
    ]
    assert repeats(NAME, bars([100.0] * 30).with_columns(volume=0.0), HOUR) == []


@pytest.mark.parametrize(
    ("closes", "found"),
    [
        ({20: 110.0}, [at(20)]),
        ({20: 90.0}, [at(20)]),
        ({20: 110.0, 21: 110.0}, []),  # it stayed there for a bar
        (dict.fromkeys(range(20, 48), 110.0), []),  # it moved for good
        ({20: 100.9}, []),  # 90 bps: too small
        ({0: 110.0, 47: 110.0}, []),  # the ends have one neighbour
    ],
)
def test_a_spike_goes_far_and_comes_back(closes: dict[int, float], found: list[datetime]) -> None:
    candles = bars([closes.get(n, close) for n, close in enumerate(calm())])
    assert [d.start for d in spikes(NAME, candles, HOUR)] == found


def test_a_spike_must_stand_out_of_what_is_usual_and_beside_no_hole() -> None:
    wild = [100.0 if n % 2 else 102.0 for n in range(48)]
    wild[20] = 112.0
    assert spikes(NAME, bars(wild), HOUR) == []
    beside = bars([110.0 if n == 20 else c for n, c in enumerate(calm())])
    assert spikes(NAME, beside.filter(pl.col("event_time") != at(21)), HOUR) == []
    (spike,) = spikes(NAME, beside, HOUR)  # between two closes of 100: ln 1.1
    assert spike.says == "close 110 is +953 bps away from both its neighbours"


def test_venues_disagree_beyond_their_usual_basis() -> None:
    a = bars(calm())
    b = a.with_columns(pl.col("close") * 1.01)  # 1 % dearer throughout is no disagreement
    assert disagreements(a, b, 1.0) == []
    b = b.with_columns(
        pl.when(pl.col("event_time") == at(5)).then(pl.col("close") * 1.005)
        .when(pl.col("event_time") == at(9)).then(pl.col("close") * 0.98)
        .otherwise("close").alias("close"),
    ).filter(pl.col("event_time") != at(30))  # fmt: skip
    found = disagreements(a, b, 40.0)
    assert [each.time for each in found] == [at(9), at(5)]
    assert found[0].gap_bps == pytest.approx(202.03, abs=0.01)  # -ln 0.98
    assert found[1].gap_bps == pytest.approx(-49.88, abs=0.01)  # -ln 1.005
    assert found[1].b == pytest.approx(found[1].a * 1.01 * 1.005)


# --- the recorded candles ---------------------------------------------------------------------

ROW = re.compile(r"\| `(ohlcv/[^`]+)` \| \d+ \|[^|]*\|[^|]*\| gaps (\d+) \(missing candles (\d+)\)")


def recorded(file: str) -> tuple[SeriesName, pl.DataFrame, timedelta]:
    venue, timeframe, pair = file.removeprefix("ohlcv/").removesuffix(".parquet").split("/")
    rows = pl.read_parquet(require_data() / file, hive_partitioning=False)
    candles = rows.rename({"timestamp": "event_time"}).with_columns(
        pl.col("event_time").cast(pl.Datetime("us", "UTC"))
    )
    step = {"1h": HOUR, "15m": QUARTER}[timeframe]
    return SeriesName("ohlcv", venue, pair.replace("_", "/"), timeframe), candles, step


def found_in(venue: str, timeframe: str, pair: str) -> list[Defect]:
    return defects(*recorded(f"ohlcv/{venue}/{timeframe}/{pair}.parquet"))


def test_holes_are_those_of_the_readme_in_every_file() -> None:
    promised = {m[1]: (int(m[2]), int(m[3])) for m in ROW.finditer(
        (require_data() / "README.md").read_text())}  # fmt: skip
    assert len(promised) == 31
    assert promised["ohlcv/binance_spot/1h/BTC_USDT.parquet"] == (15, 32)
    assert promised["ohlcv/binance_spot/1h/SOL_USDT.parquet"] == (10, 20)
    assert promised["ohlcv/kraken/15m/ETH_USDT.parquet"] == (863, 1026)
    for file, figures in promised.items():
        gone = holes(*recorded(file))
        assert (len(gone), sum(d.bars for d in gone)) == figures, file


def test_maintenance_of_the_spot_exchange_is_at_the_same_hours_for_all() -> None:
    btc = found_in("binance_spot", "1h", "BTC_USDT")
    gone = {(d.start, d.bars) for d in btc if d.what == "hole"}
    assert {(datetime(2021, 8, 13, 2, tzinfo=UTC), 4), (datetime(2021, 4, 25, 5, tzinfo=UTC), 3),
            (datetime(2023, 3, 24, 13, tzinfo=UTC), 1)} <= gone  # fmt: skip
    for pair in ("SOL_USDT", "AVAX_USDT"):
        later = {
            (d.start, d.bars) for d in found_in("binance_spot", "1h", pair) if d.what == "hole"
        }
        assert later < gone
    still = [(d.start, d.bars) for d in btc if d.what == "flat"]
    assert still == [(datetime(2021, 2, 11, 3, tzinfo=UTC), 1),
                     (datetime(2023, 3, 24, 12, tzinfo=UTC), 1)]  # fmt: skip


@pytest.mark.parametrize("pair", ["BTC_USDT", "ETH_USDT", "SOL_USDT"])
def test_the_filler_hour_of_the_perps_is_one_flat_run(pair: str) -> None:
    odd = [d for d in found_in("binance_perp", "15m", pair) if d.what != "spike"]
    filler = datetime(2024, 10, 28, 20, tzinfo=UTC)
    assert [(d.what, d.start, d.end, d.bars) for d in odd] == [("flat", filler, filler + HOUR, 4)]
    assert not any(d.what == "flat" for d in found_in("binance_perp", "1h", pair))


def test_spikes_of_the_recorded_years_are_few_and_a_wrong_tick_is_found_among_them() -> None:
    name, candles, step = recorded("ohlcv/binance_spot/1h/ETH_USDT.parquet")
    true = [d.start for d in spikes(name, candles, step)]
    assert true == [datetime(2020, 6, 11, 16, tzinfo=UTC), datetime(2023, 8, 17, 21, tzinfo=UTC)]
    wrong = datetime(2024, 5, 5, 5, tzinfo=UTC)
    ticked = candles.with_columns(
        pl.when(pl.col("event_time") == wrong).then(pl.col("close") * 1.1).otherwise("close")
        .alias("close")
    )  # fmt: skip
    assert [d.start for d in spikes(name, ticked, step)] == [*true, wrong]


@pytest.mark.parametrize(
    ("pair", "above_25", "above_50"), [("BTC_USDT", 6, 2), ("ETH_USDT", 29, 3)]
)
def test_kraken_and_binance_disagree_most_when_binance_stood_still(
    pair: str, above_25: int, above_50: int
) -> None:
    year = pl.col("event_time") < datetime(2024, 1, 1, tzinfo=UTC)
    _, binance, _ = recorded(f"ohlcv/binance_spot/1h/{pair}.parquet")
    _, kraken, _ = recorded(f"ohlcv/kraken/1h/{pair}.parquet")
    apart = disagreements(binance.filter(year), kraken.filter(year), 25.0)
    assert len(apart) == above_25
    assert sum(abs(each.gap_bps) > 50 for each in apart) == above_50
    # its matching stopped within the 11:00 bar, the 12:00 bar is flat and the 13:00 bar missing
    assert apart[0].time == datetime(2023, 3, 24, 11, tzinfo=UTC)
    assert apart[0].gap_bps > 150


def test_what_is_said_of_a_bar_stays_said_whatever_comes_later() -> None:
    a = bars(calm())
    b = a.with_columns(
        pl.when(pl.col("event_time") == at(9)).then(pl.col("close") * 0.98)
        .when(pl.col("event_time") > at(20)).then(pl.col("close") * 1.05)
        .otherwise("close").alias("close"),
    )  # fmt: skip
    early = disagreements(a[:15], b[:15], 40.0)
    assert [each.time for each in early] == [at(9)]
    assert [each for each in disagreements(a, b, 40.0) if each.time < at(15)] == early


def test_a_disagreement_may_be_a_hole_that_the_hour_hides() -> None:
    year = pl.col("event_time") < datetime(2024, 1, 1, tzinfo=UTC)
    _, binance, _ = recorded("ohlcv/binance_spot/1h/BTC_USDT.parquet")
    _, kraken, _ = recorded("ohlcv/kraken/1h/BTC_USDT.parquet")
    second = disagreements(binance.filter(year), kraken.filter(year), 50.0)[1]
    assert second.time == datetime(2023, 8, 18, 14, tzinfo=UTC)
    assert second.gap_bps == pytest.approx(-88.1, abs=0.1)
    # the last quarter of that hour is missing at Kraken, so its hourly close is one of 14:45
    for pair in ("BTC_USDT", "ETH_USDT"):
        quarters = holes(*recorded(f"ohlcv/kraken/15m/{pair}.parquet"))
        assert second.time + 3 * QUARTER in [d.start for d in quarters]
