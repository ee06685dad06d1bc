"""Captures: trades and depth second by second, checked against the recorded quotes and candles."""

from __future__ import annotations

import gzip
import json
import zipfile
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.data.recordings import Recordings
from tests.recorded import require_data
from workbench.data import captures
from workbench.data.book import Book, Diff
from workbench.data.captures import Part
from workbench.data.defects import lost_trades
from workbench.errors import DataError

NOW = datetime(2025, 7, 1, tzinfo=UTC)
SPOT = "microstructure/binance_spot_btcusdt_l2_trades_20240101.gz"
PERP = "microstructure/binance_usdm_btcusdt_l2_trades_20240101.gz"
BYBIT = "microstructure/bybit_xrpusdt_ob500.data.zip"
KRAKEN = "microstructure/kraken_BTC_USDT_trades_202401.feather"
START = datetime(2024, 1, 1, tzinfo=UTC)
START_MS = 1_704_067_200_000

BIDS = [["99.99", "2"], ["99.5", "4"], ["99.0", "8"]]
ASKS = [["100.01", "1"], ["100.5", "3"], ["101.0", "5"]]


# --- made-up captures -------------------------------------------------------------------------


def snapshot(last_id: int) -> dict[str, Any]:
    return {"lastUpdateId": last_id, "bids": BIDS, "asks": ASKS}


def moved(made_ms: int, first: int, last: int, **sides: list[list[str]]) -> dict[str, Any]:
    data = {"e": "depthUpdate", "E": START_MS + made_ms, "s": "BTCUSDT", "U": first, "u": last}
    return {"stream": "btcusdt@depth@100ms", "data": {**data, "b": [], "a": [], **sides}}


def quote(u: int, bid: str, bid_size: str, ask: str, ask_size: str) -> dict[str, Any]:
    data = {"u": u, "s": "BTCUSDT", "b": bid, "B": bid_size, "a": ask, "A": ask_size}
    return {"stream": "btcusdt@bookTicker", "data": data}


def traded(made_ms: int, number: int, *, buyer_is_maker: bool, **more: str) -> dict[str, Any]:
    data = {"e": "trade", "E": START_MS + made_ms, "s": "BTCUSDT", "t": number, "p": "100.01",
            "q": "0.5", "T": START_MS + made_ms - 1, "m": buyer_is_maker}  # fmt: skip
    return {"stream": "btcusdt@trade", "data": {**data, **more}}


Heard = list[tuple[int, dict[str, Any]]]  # ms after START by the local clock, message

GOOD: Heard = [
    (90, moved(100, 8, 10, b=[["99.98", "7"]])),  # older than the snapshot
    (190, moved(200, 11, 13, b=[["99.99", "3"]])),  # bridges it
    (195, quote(13, "99.99", "3", "100.01", "1")),
    (250, snapshot(11)),
    (400, traded(410, 501, buyer_is_maker=True)),
    (989, quote(14, "99.99", "3", "100.02", "6")),
    (990, moved(1000, 14, 14, a=[["100.01", "0"], ["100.02", "6"]])),
    (991, traded(1001, 502, buyer_is_maker=False)),
    (1_200, moved(1_210, 15, 16, b=[["99.99", "0"]])),
    (1_201, quote(16, "99.5", "4", "100.02", "6")),
    (3_499, quote(17, "99.99", "1", "100.02", "6")),
    (3_500, moved(3_510, 17, 17, b=[["99.99", "1"]])),
    (4_100, moved(4_105, 18, 18)),
]


class Desk(Recordings):
    """The same for captured streams."""

    def __init__(self, root: Path, now: datetime) -> None:
        super().__init__(root, now)
        (self.folder / "microstructure").mkdir(parents=True)

    def hear(self, heard: Heard, file: str = SPOT) -> Path:
        lines = [f"{(START_MS + ms) * 10**6} {json.dumps(message)}" for ms, message in heard]
        return self.write(file, *lines)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, NOW)


def seconds(count: float) -> datetime:
    return START + timedelta(seconds=count)


def test_a_capture_becomes_trades_and_depth(desk: Desk) -> None:
    desk.hear(GOOD)
    report = desk.load()
    assert (report.refused, report.read) == ((), {SPOT: 13})
    trades, depth = report.imported
    assert (*trades.series, trades.read) == ("trades", "binance_spot", "BTC/USDT", "event", 2)
    assert (*depth.series, depth.read) == ("depth", "binance_spot", "BTC/USDT", "1s", 11)
    assert dict(depth.dropped) == {"updates older than the snapshot": 1}
    rows = desk.lake.read(*trades.series)
    assert rows["event_time"].to_list() == [seconds(0.409), seconds(1.0)]
    # the local clock is 10 ms slow: the first message came in 10 ms before it was made
    assert rows["available_at"].to_list() == [seconds(0.41), seconds(1.001)]
    assert rows.drop("event_time", "available_at", "fetched_at").rows() == [
        ("501", "sell", 100.01, 0.5),
        ("502", "buy", 100.01, 0.5),
    ]


def test_depth_is_the_book_at_the_end_of_each_second_in_which_it_moved(desk: Desk) -> None:
    desk.hear(GOOD)
    desk.load()
    rows = desk.lake.read("depth", "binance_spot", "BTC/USDT", "1s")
    # by the corrected clock: 1.000 is still the first second, nothing moved in the third, the
    # last second is cut short
    assert rows["event_time"].to_list() == [seconds(1), seconds(2), seconds(4)]
    assert (rows["available_at"] == rows["event_time"]).all()
    assert rows.select("bid", "bid_size", "ask", "ask_size").rows() == [
        (99.99, 3.0, 100.02, 6.0),
        (99.5, 4.0, 100.02, 6.0),
        (99.99, 1.0, 100.02, 6.0),
    ]
    # mid 100.005: 50 bps reach from 99.504975 to 100.505025
    first = rows.row(0, named=True)
    assert first["bid_50bps"] == pytest.approx(3 * 99.99)
    assert first["ask_50bps"] == pytest.approx(6 * 100.02 + 3 * 100.5)


def test_a_clock_that_is_fast_is_left_as_it_is(desk: Desk) -> None:
    desk.hear([(ms + 5_000, message) for ms, message in GOOD])
    desk.load()
    rows = desk.lake.read("trades", "binance_spot", "BTC/USDT", "event")
    assert rows["available_at"].to_list() == [seconds(5.4), seconds(5.991)]


def test_depth_beyond_what_the_snapshot_showed_is_missing_and_not_too_small(desk: Desk) -> None:
    far = [["99.3", "50"], ["98", "900"]]
    asks = [["100.01", "1"], ["100.6", "3"]]

    def row_of(bids: list[list[str]]) -> dict[str, Any]:
        shown = {"lastUpdateId": 11, "bids": bids, "asks": asks}
        desk.hear([(250, shown), (300, moved(310, 12, 12, b=far)), (1200, moved(1210, 13, 13))])
        assert desk.load().refused == ()
        return desk.lake.read("depth", "binance_spot", "BTC/USDT", "1s").row(0, named=True)

    deep = row_of([["99.99", "2"], ["99.6", "4"], ["99.4", "1"]])  # mid 100: 50 bps end at 99.5
    assert deep["bid_25bps"] == pytest.approx(2 * 99.99)
    assert deep["bid_50bps"] == pytest.approx(2 * 99.99 + 4 * 99.6)
    assert deep["ask_50bps"] == pytest.approx(100.01)
    shallow = row_of([["99.99", "2"], ["99.6", "4"]])
    assert shallow["bid_25bps"] == pytest.approx(2 * 99.99)
    assert (shallow["bid_50bps"], shallow["imbalance_50bps"]) == (None, None)
    assert shallow["ask_50bps"] == pytest.approx(100.01)


def test_a_later_snapshot_starts_over_unless_it_is_older_than_the_book(desk: Desk) -> None:
    later = snapshot(20) | {"bids": [["99.7", "9"], *BIDS[1:]]}
    desk.hear([*GOOD, (4_200, snapshot(12)), (4_300, later),
               (4_400, quote(20, "99.7", "9", "100.01", "1")), (5_200, moved(5_210, 19, 21)),
               (6_500, moved(6_510, 22, 22))])  # fmt: skip
    assert desk.load().refused == ()
    rows = desk.lake.read("depth", "binance_spot", "BTC/USDT", "1s")
    assert rows.select("bid", "bid_size").rows()[-2:] == [(99.7, 9.0), (99.7, 9.0)]


def test_futures_follow_pu_and_leave_out_what_is_no_market_trade(desk: Desk) -> None:
    heard: Heard = [
        (250, snapshot(100)),
        (300, moved(305, 90, 105, pu=88)),
        (400, moved(405, 130, 140, pu=105)),
        (500, traded(505, 7, buyer_is_maker=True, X="MARKET")),
        (501, traded(506, 8, buyer_is_maker=True, X="NA", p="0", q="0")),
        (1_300, moved(1_305, 150, 160, pu=140)),
    ]
    desk.hear(heard, PERP)
    trades, depth = desk.load().imported
    assert (trades.series.venue, trades.read, trades.rows) == ("binance_perp", 2, 1)
    assert dict(trades.dropped) == {"not market trades": 1}
    assert (depth.read, depth.rows) == (4, 1)
    heard[-1] = (1_300, moved(1_305, 150, 160, pu=149))
    again = Desk(desk.folder.parent / "again", NOW)
    again.hear(heard, PERP)
    assert "line 6: update ids 141..149 are missing" in again.refusal()


def changed(line: int, *message: tuple[int, dict[str, Any]]) -> Heard:
    """The good capture with one line (from 1) replaced or left out."""
    return [*GOOD[: line - 1], *message, *GOOD[line:]]


REFUSED: dict[str, tuple[Heard, str]] = {
    "a gap": (changed(7), "line 8: update ids 14..14 are missing"),
    "a gap after the snapshot": (changed(2), "line 6: update ids 12..13 are missing"),
    "no snapshot": (changed(4), "has no snapshot of the book"),
    "another symbol": (
        changed(5, (400, {"stream": "x", "data": traded(1, 2, buyer_is_maker=True)["data"]
                          | {"s": "ETHUSDT"}})), "line 5: is about ETHUSDT"),
    "an unknown message": (changed(5, (400, {"result": None})), "line 5: is no message of a known"),
    "a price that is no number": (changed(3, (195, quote(13, "much", "3", "100.01", "1"))),
                                  "line 3: is no message of a known shape"),
    "an endless size": (changed(2, (190, moved(200, 11, 13, b=[["99.99", "inf"]]))),
                        "line 2: is no message of a known shape"),
    "a quote that disagrees": (
        changed(3, (195, quote(13, "99.99", "2", "100.01", "1"))),
        "rebuilt to update 13 has 3 at 99.99 and 1 at 100.01, the quote has 2 at 99.99"),
    "a crossed book": (changed(2, (190, moved(200, 11, 13, b=[["100.01", "1"]]))),
                       "line 2: the book is crossed after update 13"),
    "stamps out of order": (changed(4, (180, snapshot(11))), "line 4: was received before the"),
    "a trade twice": (changed(8, (991, traded(1001, 501, buyer_is_maker=False))),
                      "row 5: trade '501' is there twice"),
    "a trade of nothing": (changed(5, (400, traded(410, 501, buyer_is_maker=True, q="0"))),
                           "row 5: amount at 2024-01-01 00:00 is 0, not above 0"),
    "another day's stamps": ([(ms - 86_400_000, m) for ms, m in GOOD], "by a clock -86400 s off"),
    "the next day's stamps": ([(ms + 86_400_000, m) for ms, m in GOOD], "by a clock +86400 s off"),
    "less than a second": (GOOD[:5], "covers no whole second"),
}  # fmt: skip


@pytest.mark.parametrize(("heard", "said"), REFUSED.values(), ids=REFUSED)
def test_a_bad_capture_is_refused_whole(desk: Desk, heard: Heard, said: str) -> None:
    desk.hear(heard)
    assert said in desk.refusal()


def test_broken_files_are_refused_by_name(desk: Desk) -> None:
    path = desk.hear(GOOD)
    path.write_bytes(path.read_bytes()[:-30])
    assert "cannot be read" in desk.refusal()
    path.write_bytes(gzip.compress(b"yesterday {}\n"))
    assert "line 1: does not begin with a time in nanoseconds" in desk.refusal()
    path.unlink()
    (desk.folder / BYBIT).write_bytes(b"no zip")
    assert "cannot be read" in desk.refusal()
    with zipfile.ZipFile(desk.folder / BYBIT, "w") as archive:
        archive.writestr("one", "{}")
        archive.writestr("two", "{}")
    assert "does not hold exactly one file" in desk.refusal()
    (desk.folder / BYBIT).unlink()
    (desk.folder / KRAKEN).write_bytes(b"no feather")
    assert "cannot be read" in desk.refusal()


def bybit(kind: str, made_ms: int, u: int, bids: list[list[str]]) -> str:
    data = {"s": "XRPUSDT", "b": bids, "a": ASKS if kind == "snapshot" else [], "u": u, "seq": u}
    message = {"topic": "orderbook.500.XRPUSDT", "type": kind, "ts": START_MS + made_ms}
    return json.dumps({**message, "data": data})


def test_deltas_of_bybit_follow_by_one_and_a_snapshot_starts_over(desk: Desk) -> None:
    lines = [bybit("snapshot", 500, 70, BIDS), bybit("delta", 900, 71, [["99.99", "0"]]),
             bybit("snapshot", 1_500, 1, BIDS), bybit("delta", 2_500, 2, [])]  # fmt: skip
    with zipfile.ZipFile(desk.folder / BYBIT, "w") as archive:
        archive.writestr("2024-01-01_XRPUSDT_ob500.data", "\n".join(lines))
    (depth,) = desk.load().imported
    assert (*depth.series, depth.read) == ("depth", "bybit", "XRP/USDT", "1s", 4)
    rows = desk.lake.read(*depth.series)
    assert rows.select("event_time", "available_at", "bid").rows() == [
        (seconds(1), seconds(2), 99.5),
        (seconds(2), seconds(3), 99.99),
    ]
    again = Desk(desk.folder.parent / "again", NOW)
    with zipfile.ZipFile(again.folder / BYBIT, "w") as archive:
        archive.writestr("day", "\n".join([*lines, bybit("delta", 2_600, 5, [])]))
    assert "line 5: update ids 3..4 are missing" in again.refusal()
    with zipfile.ZipFile(again.folder / BYBIT, "w") as archive:
        archive.writestr("day", "\n".join([*lines, bybit("delta", 900, 3, [])]))
    assert "line 5: is older than the line above it" in again.refusal()


def test_trades_of_kraken_are_available_a_second_later(desk: Desk) -> None:
    rows = pl.DataFrame({
        "timestamp": [START_MS + 5, START_MS + 5], "id": ["7", "8"], "type": ["limit", "market"],
        "side": ["buy", "sell"], "price": [100.0, 101.0], "amount": [1.0, 2.0],
        "cost": [100.0, 202.0],
    })  # fmt: skip
    rows.write_ipc(desk.folder / KRAKEN)
    (trades,) = desk.load().imported
    stored = desk.lake.read(*trades.series)
    assert stored.drop("fetched_at").rows() == [
        (seconds(0.005), seconds(1.005), "7", "buy", 100.0, 1.0),
        (seconds(0.005), seconds(1.005), "8", "sell", 101.0, 2.0),
    ]
    bad = {
        "row 2: side 'hold' is not buy or sell": pl.Series("side", ["buy", "hold"]),
        "row 1: trade '7' is there twice": pl.Series("id", ["7", "7"]),
        "row 2: price at 2024-01-01 00:00 is -1, not": pl.Series("price", [1.0, -1.0]),
        "row 2: event_time 2024-01-01 00:00 is earlier": pl.Series(
            "timestamp", [START_MS + 5, START_MS]),
        "row 1: timestamp is a Float64, not milliseconds": pl.Series("timestamp", [1.0, 2.0]),
    }  # fmt: skip
    again = Desk(desk.folder.parent / "again", NOW)
    for said, column in bad.items():
        rows.with_columns(column).write_ipc(again.folder / KRAKEN)
        assert said in again.refusal()


# --- the recorded ones ------------------------------------------------------------------------

RECORDED = {  # updates compared with the last quote up to them, and with a quote of the same id
    "binance_spot_btcusdt_l2_trades_20240808.gz": ("binance_spot", 3_449, 564),
    "binance_spot_ethusdt_l2_trades_20240808.gz": ("binance_spot", 3_432, 577),
    "binance_usdm_btcusdt_l2_trades_20240808.gz": ("binance_perp", 6_547, 629),
}


@cache
def recorded(name: str) -> tuple[Path, list[Part]]:
    path = require_data() / "microstructure" / name
    read = captures.place(name)
    assert read is not None
    return path, read(path)


def said_in(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Receive time in ns and content of every message, read with nothing of the product's."""
    with gzip.open(path, "rt") as lines:
        pairs = [line.split(" ", 1) for line in lines]
    messages = [(int(ns), json.loads(raw)) for ns, raw in pairs]
    return [(ns, message.get("data", message)) for ns, message in messages]


def pairs(levels: list[list[str]]) -> list[tuple[float, float]]:
    return [(float(price), float(size)) for price, size in levels]


@pytest.mark.parametrize(("name", "figures"), RECORDED.items(), ids=RECORDED)
def test_the_rebuilt_book_never_crosses_and_agrees_with_every_quote(
    name: str, figures: tuple[Any, int, int]
) -> None:
    messages = [said for _, said in said_in(require_data() / "microstructure" / name)]
    quotes = {m["u"]: tuple(float(m[k]) for k in "bBaA") for m in messages if "B" in m}
    ids = sorted(quotes)
    whole = next(m for m in messages if "lastUpdateId" in m)
    book = Book(figures[0])
    book.snapshot(whole["lastUpdateId"], pairs(whole["bids"]), pairs(whole["asks"]))
    compared = same_id = 0
    for m in (m for m in messages if m.get("e") == "depthUpdate"):
        diff = Diff(m["U"], m["u"], m.get("pu"), pairs(m["b"]), pairs(m["a"]))
        if not book.diff(diff):  # raises if it crosses
            continue
        before = bisect_right(ids, m["u"])
        if before:
            assert tuple(book.best()) == quotes[ids[before - 1]], m["u"]
            compared += 1
            same_id += m["u"] in quotes
    assert (compared, same_id) == figures[1:]


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_depth_and_trades_are_in_bounds(name: str) -> None:
    path, (trades, depth) = recorded(name)
    rows = depth.rows
    assert rows.height in (345, 346)
    assert (rows["event_time"].diff().drop_nulls() == timedelta(seconds=1)).all()
    assert (rows["spread"] > 0).all()
    for band in (10, 25, 50):
        assert rows[f"imbalance_{band}bps"].drop_nulls().is_between(-1, 1).all()
    assert (rows["bid_10bps"] < rows["bid_25bps"]).drop_nulls().all()
    assert rows["ask_10bps"].null_count() == 0
    assert lost_trades(trades.series, trades.rows) == []
    # the local clock was 1.27 s slow: by its own stamps every message came before it was made
    behind = max(said["E"] * 1000 - ns // 1000 for ns, said in said_in(path) if "E" in said)
    assert 1_250_000 < behind < 1_280_000
    late = (trades.rows["available_at"] - trades.rows["event_time"]).dt.total_microseconds()
    assert late.min() >= 0
    assert late.median() < 10_000


@pytest.mark.parametrize("name", RECORDED)
def test_takers_buy_above_the_mid_and_sell_below_it(name: str) -> None:
    """Against the quote 100 ms before: a quote is sent ahead of the trade that moves it."""
    path, (trades, _) = recorded(name)
    quotes = [(ns, float(m["b"]) + float(m["a"])) for ns, m in said_in(path) if "B" in m]
    stamps = [ns for ns, _ in quotes]
    made = [ns for ns, m in said_in(path) if m.get("e") == "trade"]
    right = total = 0
    for ns, (side, price) in zip(made, trades.rows.select("side", "price").rows(), strict=True):
        before = bisect_right(stamps, ns - 10**8)
        if before:
            total += 1
            right += (2 * price > quotes[before - 1][1]) == (side == "buy")
    assert right / total > 0.92


def test_the_book_of_bybit_keeps_its_500_levels() -> None:
    path, (depth,) = recorded("bybit_xrpusdt_ob500.data.zip")
    assert (depth.read, depth.rows.height, sum(depth.rows.null_count().row(0))) == (50, 5, 0)
    book = Book("bybit")
    with zipfile.ZipFile(path) as archive:
        for line in archive.read(archive.namelist()[0]).splitlines():
            message = json.loads(line)
            data = message["data"]
            if message["type"] == "snapshot":
                book.snapshot(data["u"], pairs(data["b"]), pairs(data["a"]))
            else:
                book.diff(Diff(data["u"], data["u"], None, pairs(data["b"]), pairs(data["a"])))
            assert [len(side) for side in book.levels()] == [500, 500]


def test_trades_of_kraken_make_its_candles_but_for_those_that_were_lost() -> None:
    _, (trades,) = recorded("kraken_BTC_USDT_trades_202311.feather")
    gone = lost_trades(trades.series, trades.rows)
    assert (len(gone), sum(d.bars for d in gone)) == (26, 26)
    made = trades.rows.group_by_dynamic("event_time", every="15m").agg(
        open=pl.col("price").first(), low=pl.col("price").min(), volume=pl.col("amount").sum()
    )
    candles = pl.read_parquet(
        require_data() / "ohlcv/kraken/15m/BTC_USDT.parquet", hive_partitioning=False
    ).with_columns(event_time=pl.col("timestamp").cast(pl.Datetime("us", "UTC")))
    both = made.join(candles, on="event_time", suffix="_told", how="left")
    assert both.height == 515
    assert (both["open"] == both["open_told"]).all()
    assert (both["low"] == both["low_told"]).all()
    whole = both.filter(pl.col("event_time") < trades.rows["event_time"].max() - timedelta(hours=1))
    short = whole.filter(pl.col("volume_told") - pl.col("volume") > 1e-6)
    lost = pl.Series([d.start for d in gone] + [d.end for d in gone]).dt.truncate("15m")
    assert short.height == 26
    assert short["event_time"].is_in(lost.implode()).all()


def test_ids_that_do_not_count_cannot_tell_what_was_lost() -> None:
    _, (trades,) = recorded("kraken_BTC_USDT_trades_202311.feather")
    with pytest.raises(DataError, match="do not count up"):
        lost_trades(trades.series, trades.rows.with_columns(id=pl.lit("a-b")))
