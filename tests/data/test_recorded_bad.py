"""Every kind of bad file is refused with its name and row, and nothing of it is stored."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.data.recordings import Recordings as Desk
from workbench.data.recorded import import_recorded
from workbench.domain import UsageError

NOW = datetime(2024, 1, 2, tzinfo=UTC)
CANDLES = "ohlcv/binance_spot/1h/BTC_USDT.csv"
HEADER = "timestamp,open,high,low,close,volume"
GOOD = [
    "2024-01-01T00:00:00Z,10,12,9,11,5",
    "2024-01-01T01:00:00Z,11,12,10,11.5,6",
    "2024-01-01T02:00:00Z,11.5,13,11,12,0",
    "2024-01-01T03:00:00Z,12,12.5,11,11,7",
]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, NOW)


BAD_ROWS = {
    "no zone": ("2024-01-01T02:00:00,11.5,13,11,12,5", "has no time zone"),
    "no time": ("yesterday,11.5,13,11,12,5", "'yesterday' is not a time"),
    "off the grid": ("2024-01-01T02:30:00Z,11.5,13,11,12,5", "is not on the UTC grid of 1:00:00"),
    "unsorted": ("2023-12-31T02:00:00Z,11.5,13,11,12,5", "earlier than the row before"),
    "twice": ("2024-01-01T01:00:00Z,11,12,10,11,6", "there twice with different values"),
    "empty price": (
        "2024-01-01T02:00:00Z,11.5,13,11,,5",
        "close at 2024-01-01 02:00 is not a finite",
    ),
    "NaN price": (
        "2024-01-01T02:00:00Z,NaN,13,11,12,5",
        "open at 2024-01-01 02:00 is not a finite",
    ),
    "endless price": ("2024-01-01T02:00:00Z,11.5,inf,11,12,5", "high at .* is not a finite number"),
    "zero price": ("2024-01-01T02:00:00Z,11.5,13,0,12,5", "low at .* is 0, not above 0"),
    "negative price": ("2024-01-01T02:00:00Z,-11.5,13,11,12,5", "open at .* is -11.5, not above 0"),
    "negative volume": ("2024-01-01T02:00:00Z,11.5,13,11,12,-5", "volume at .* is -5, below 0"),
    "no volume": ("2024-01-01T02:00:00Z,11.5,13,11,12,", "volume at .* is not a finite number"),
    "high too low": (
        "2024-01-01T02:00:00Z,11.5,11.9,11,12,5",
        "high 11.9 at .* is below open 11.5",
    ),
    "low too high": ("2024-01-01T02:00:00Z,11.5,13,11.6,12,5", "low 11.6 at .* is above open 11.5"),
    "no number": ("2024-01-01T02:00:00Z,11.5,lots,11,12,5", "high 'lots' is not a number"),
}


@pytest.mark.parametrize(("row", "said"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_candle_refuses_its_file_by_row(desk: Desk, row: str, said: str) -> None:
    desk.write(CANDLES, HEADER, GOOD[0], GOOD[1], row, GOOD[3])
    sentence = desk.refusal()
    assert "row 3: " in sentence
    assert re.search(said, sentence), sentence


def test_rows_are_numbered_as_in_the_file_after_copies_were_dropped(desk: Desk) -> None:
    desk.write(CANDLES, HEADER, GOOD[0], GOOD[0], GOOD[1], "2024-01-01T02:00:00Z,1,1,1,1,-1")
    assert "row 4: volume" in desk.refusal()


def test_good_files_go_in_beside_a_bad_one(desk: Desk) -> None:
    desk.write(CANDLES, HEADER, *GOOD)
    desk.write("ohlcv/binance_spot/1h/ETH_USDT.csv", HEADER, GOOD[1], GOOD[0])
    report = desk.load()
    assert [(each.series.symbol, each.rows) for each in report.imported] == [("BTC/USDT", 4)]
    assert [file for file, _ in report.refused] == ["ohlcv/binance_spot/1h/ETH_USDT.csv"]
    assert [name.symbol for name in desk.lake.series()] == ["BTC/USDT"]


def test_exact_copies_and_unfinished_candles_are_dropped_and_counted(desk: Desk) -> None:
    desk.write(CANDLES, HEADER, *GOOD[:3], GOOD[2], GOOD[3])
    report = desk.load(now=datetime(2024, 1, 1, 3, 59, 59, tzinfo=UTC))
    (candles,) = report.imported
    assert dict(candles.dropped) == {"exact copies": 1, "unfinished": 1}
    rows = desk.lake.read(*candles.series)
    assert rows.height == 3
    assert ((rows["available_at"] - rows["event_time"]).dt.total_hours() == 1).all()
    assert desk.load(now=datetime(2024, 1, 1, 4, tzinfo=UTC)).written == 1


def test_offsets_are_understood(desk: Desk) -> None:
    desk.write(
        CANDLES, HEADER, "2024-01-01 05:30:00+05:30,1,1,1,1,1", "2024-01-01 01:00 UTC,1,1,1,1,1"
    )
    desk.load()
    opens = desk.lake.read("ohlcv", "binance_spot", "BTC/USDT", "1h")["event_time"].to_list()
    assert opens == [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in (0, 1)]


def test_parquet_without_a_zone_and_numbers_for_times_are_refused(desk: Desk) -> None:
    path = desk.folder / "ohlcv/kraken/1h/BTC_USD.parquet"
    path.parent.mkdir(parents=True)
    values = {name: [1.0] for name in ("open", "high", "low", "close", "volume")}
    pl.DataFrame({"timestamp": [datetime(2024, 1, 1)], **values}).write_parquet(path)
    assert "row 1: timestamp 2024-01-01 00:00 has no time zone" in desk.refusal()
    pl.DataFrame({"timestamp": [1704067200000], **values}).write_parquet(path)
    assert "row 1: timestamp 1704067200000 is a Int64, not a time" in desk.refusal()
    path.write_bytes(path.read_bytes()[:100])
    assert "cannot be read" in desk.refusal()


OTHERS = {
    "missing column": (CANDLES, ["timestamp,open,high,low,close", "x,1,1,1,1"],
                       "no column 'volume'"),
    "no rows": (CANDLES, [HEADER], "has no rows"),
    "funding rate": ("funding/binance/BTC_USDT.csv",
                     ["timestamp,funding_rate", "2024-01-01T00:00:00Z,0.0001",
                      "2024-01-01T08:00:00Z,"], "row 2: funding_rate at .* is not a finite"),
    "on-chain day": ("onchain/coinmetrics_btc_daily.csv.gz",
                     ["time,TxCnt", "2024-01-01,5", "the 2nd,6"], "row 2: time 'the 2nd' is not a"),
    "month-first days": ("onchain/dune_eth_tx_daily.csv",
                         ["day,total_transactions", "1/1/23 0:00,5", "1/2/23 0:00,6",
                          "1/13/23 0:00,6"], "row 3: day '1/13/23 0:00' is not a day"),
    "macro number": ("macro/fred_DFF.csv", ["observation_date,DFF", "2024-01-01,n/a"],
                     "row 1: DFF 'n/a' is not a number"),
    "macro columns": ("macro/fred_DGS10.csv", ["date,DGS2", "2024-01-01,4"],
                      "expected date and value"),
    "mood": ("sentiment/fear_greed_daily.csv",
             ["Date,fng_value,fng_classification", "2024-01-01,130,Greed"],
             "row 1: fng_value on 2024-01-01 00:00 is 130, not from 0 to 100"),
    "news too early": ("news/wire.csv",
                       ["published_at,available_at,time_resolution,asset,title",
                        "2024-01-01T00:00:00Z,2024-01-01T12:00:00Z,day,BTC,Early"],
                       "row 1: available_at 2024-01-01 12:00 is before it could be known"),
    "odds price": ("prediction/polymarket_fomc_trades.csv",
                   ["timestamp,meeting,outcome,side,price,token_volume",
                    "2024-01-01T00:00:00Z,2024-01,up25,Yes,1.2,5"], "row 1: price 1.2 is not"),
    "odds meeting": ("prediction/polymarket_fomc_trades.csv",
                     ["timestamp,meeting,outcome,side,price,token_volume",
                      "2024-01-01T00:00:00Z,2024-02,up25,Yes,0.2,5"], "row 1: meeting '2024-02'"),
    "odds outcome": ("prediction/polymarket_fomc_trades.csv",
                     ["timestamp,meeting,outcome,side,price,token_volume",
                      "2024-01-01T00:00:00Z,2024-01,maybe,Yes,0.2,5"], "row 1: outcome 'maybe'"),
}  # fmt: skip


@pytest.mark.parametrize(("file", "lines", "said"), OTHERS.values(), ids=OTHERS)
def test_other_kinds_are_refused_by_row_too(
    desk: Desk, file: str, lines: list[str], said: str
) -> None:
    desk.write(file, *lines)
    sentence = desk.refusal()
    assert re.search(said, sentence), sentence


def test_what_is_no_part_of_the_layout_is_skipped_with_a_reason(desk: Desk) -> None:
    files = ["README.md", "microstructure/x.gz", "weather/rain.csv", "ohlcv/x/1h/readme.txt",
             "ohlcv/x/soon/BTC_USDT.csv", "macro/fred_NEWONE.csv",
             "onchain/glassnode_btc.csv"]  # fmt: skip
    for file in files:
        desk.write(file, "a,b", "1,2")
    report = desk.load()
    reasons = dict(report.skipped)
    assert sorted(reasons) == sorted(files)
    assert (report.imported, report.refused) == ((), ())
    assert "no file of this name" in reasons["microstructure/x.gz"]
    assert "publication lag of NEWONE is not known" in reasons["macro/fred_NEWONE.csv"]


def test_repeats_of_a_headline_keep_its_first_moment(desk: Desk) -> None:
    desk.write(
        "news/wire.csv", "published_at,available_at,time_resolution,asset,title,url",
        "2024-01-01T05:00:00Z,2024-01-01T05:00:00Z,minute,BTC,Late telling,u1",
        "2024-01-01T03:00:00Z,2024-01-01T03:00:00Z,minute,BTC,First\u200b  telling,u1",
        "2024-01-01T03:00:00Z,2024-01-01T03:00:00Z,minute,ETH,First telling,u1",
        "2024-01-01T04:00:00Z,2024-01-01T04:00:00Z,minute,BTC,\u200b,u2",
    )  # fmt: skip
    (news,) = desk.load().imported
    assert dict(news.dropped) == {"without a title": 1, "repeats": 1}
    rows = desk.lake.read(*news.series)
    assert rows["title"].to_list() == ["First telling"] * 2
    assert rows["available_at"].dt.hour().to_list() == [3, 3]


def test_odds_are_of_yes_and_the_answer_is_not_stored(desk: Desk) -> None:
    desk.write(
        "prediction/polymarket_fomc_trades.csv",
        "timestamp,meeting,outcome,side,price,token_volume,resolved,token_id",
        "2024-01-01T00:00:00Z,2024-01,up25,No,0.9,5,0.99,1",
        "2024-01-01T00:00:00Z,2024-01,up25,No,0.9,5,0.99,1",
        "2024-01-01T00:00:30Z,2024-01,noChange,Yes,0.8,7,0.99,2",
    )
    (odds,) = desk.load().imported
    rows = desk.lake.read(*odds.series)
    assert rows["probability"].round(9).to_list() == [0.1, 0.1, 0.8]
    assert set(rows.columns) == {
        "event_time", "available_at", "fetched_at", "meeting", "outcome", "probability",
        "token_volume", "seq",
    }  # fmt: skip


def test_progress_and_the_folder_itself(desk: Desk, tmp_path: Path) -> None:
    desk.write(CANDLES, HEADER, *GOOD)
    desk.write("README.md", "words")
    told: list[tuple[int, int, str]] = []
    import_recorded(desk.folder, desk.lake, NOW, lambda *step: told.append(step))
    assert told == [(0, 2, "README.md"), (1, 2, CANDLES), (2, 2, "")]
    with pytest.raises(UsageError, match="is not a folder"):
        import_recorded(tmp_path / "nowhere", desk.lake, NOW)
    with pytest.raises(UsageError, match="without a zone"):
        import_recorded(desk.folder, desk.lake, datetime(2024, 1, 1))
