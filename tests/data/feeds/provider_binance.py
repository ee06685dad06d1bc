"""Binance's public spot and perpetual endpoints as documented: klines, exchangeInfo, time, depth,
trades, funding. Candles are made from their time alone, so that any page can be worked out."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import NOW, Reply, Request, reply
from workbench.data.feeds.candles import Candles, Funding
from workbench.data.feeds.depth import Depth, Trades
from workbench.data.feeds.feed import SeriesName

HOUR_MS = 3_600_000
START, END = datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 11, 19, tzinfo=UTC)
MAINTENANCE = datetime(2026, 9, 3, 4, tzinfo=UTC)  # four hours that have no candle
OLDEST_FIRST_MOST = 1000  # rows a page


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def answer(request: Request) -> Reply:
    asked = request.query
    path = request.path.rpartition("/")[2]
    if path == "time":
        return reply({"serverTime": ms(NOW)})
    if path == "exchangeInfo":
        return reply({"timezone": "UTC", "serverTime": ms(NOW), "symbols": [
            market(base, perp="fapi" in request.path) for base in ("BTC", "ETH")
        ]})  # fmt: skip
    if path == "klines":
        return klines(asked)
    if path == "fundingRate":
        return funding(asked)
    if path == "depth":
        return reply(book(int(asked["limit"])))
    if path == "aggTrades":
        return trades(asked)
    return reply({"code": -1, "msg": f"no {request.path}"}, 404)


def market(base: str, *, perp: bool) -> dict[str, object]:
    told: dict[str, object] = {
        "symbol": f"{base}USDT", "status": "TRADING", "baseAsset": base, "quoteAsset": "USDT",
        "baseAssetPrecision": 8, "quotePrecision": 8, "orderTypes": ["LIMIT", "MARKET"],
        "permissions": ["SPOT"], "permissionSets": [["SPOT"]], "isSpotTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01", "minPrice": "0.01",
             "maxPrice": "1000000"},
            {"filterType": "LOT_SIZE", "stepSize": "0.00001", "minQty": "0.00001",
             "maxQty": "9000"},
        ],
    }  # fmt: skip
    if perp:
        told |= {
            "contractType": "PERPETUAL", "marginAsset": "USDT", "pair": f"{base}USDT",
            "contractStatus": "TRADING", "deliveryDate": 4133404800000,
        }  # fmt: skip
    return told


def klines(asked: dict[str, str]) -> Reply:
    """Oldest first from startTime; the bar of now is there and still open."""
    if asked["symbol"] != "BTCUSDT":
        return reply({"code": -1121, "msg": "Invalid symbol."}, 400)
    step = {"1h": HOUR_MS, "1m": 60_000, "1d": 24 * HOUR_MS}[asked["interval"]]
    first = -(-int(asked["startTime"]) // step) * step
    last = min(int(asked.get("endTime", ms(NOW))), ms(NOW))
    most = min(int(asked.get("limit", 500)), OLDEST_FIRST_MOST)
    times = [t for t in range(first, last + 1, step) if not in_maintenance(t)]
    return reply([kline(t, step) for t in times[:most]])


def in_maintenance(t: int) -> bool:
    return ms(MAINTENANCE) <= t < ms(MAINTENANCE) + 4 * HOUR_MS


def kline(t: int, step: int) -> list[object]:
    price = close(t)
    return [
        t, f"{price - 1:.2f}", f"{price + 3:.2f}", f"{price - 4:.2f}", f"{price:.2f}", "12.5",
        t + step - 1, "1000000.0", 321, "6.0", "500000.0", "0",
    ]  # fmt: skip


def close(t: int) -> float:
    return 50_000 + (t // 60_000) % 997


def funding(asked: dict[str, str]) -> Reply:
    """Every eight hours, stamped three milliseconds late."""
    step = 8 * HOUR_MS
    first = -(-(int(asked["startTime"]) - 3) // step) * step
    times = range(first, min(int(asked["endTime"]), ms(NOW)) + 1, step)
    rows = [
        {"symbol": "BTCUSDT", "fundingTime": t + 3, "fundingRate": f"{(t // step) % 7 * 1e-5:.8f}",
         "markPrice": "50000.0"}
        for t in times
    ]  # fmt: skip
    return reply(rows[: int(asked.get("limit", 100))])


def book(levels: int) -> dict[str, object]:
    """Bids 50,000 down and asks 50,010 up in steps of 0.5, one coin a level."""
    return {
        "lastUpdateId": 77,
        "bids": [[f"{50_000 - i / 2:.2f}", "1.0"] for i in range(levels)],
        "asks": [[f"{50_010 + i / 2:.2f}", "2.0"] for i in range(levels)],
    }


TRADES_FROM = datetime(2026, 11, 20, 9, tzinfo=UTC)
A_SECOND = 3  # trades


def trades(asked: dict[str, str]) -> Reply:
    """Three a second; of a window that holds more than the limit the last ones, as documented."""
    first, last = int(asked["startTime"]), min(int(asked["endTime"]), ms(NOW) - 1)
    numbers = range(
        -(-(max(first, ms(TRADES_FROM)) - ms(TRADES_FROM)) * A_SECOND // 1000),
        (last - ms(TRADES_FROM)) * A_SECOND // 1000 + 1,
    )
    kept = list(numbers)[-int(asked.get("limit", 500)) :]
    return reply([
        {"a": n, "p": f"{50_000 + n % 50}.00", "q": "0.25000000", "f": n, "l": n,
         "T": ms(TRADES_FROM) + n * 1000 // A_SECOND, "m": n % 3 == 0, "M": True}
        for n in kept
    ])  # fmt: skip


def no_candles(right: Reply) -> Reply:
    """A page's rows become objects."""
    body = json.loads(right.body)
    if isinstance(body, dict) and "bids" in body:
        body = {"b": body["bids"], "a": body["asks"]}
    if isinstance(body, list):
        body = [
            {"open_time": row[0], "close": row[4]} if isinstance(row, list) else {} for row in body
        ]
    return replace(right, body=json.dumps(body).encode())


CASES = [
    Case(
        "candles", lambda url: Candles(symbols=("BTC/USDT",), base_url=url),
        SeriesName("ohlcv", "binance_spot", "BTC/USDT", "1h"), START, END, answer, no_candles,
        rows=110 * 24 - 4, place="binance",
    ),
    Case(
        "funding", lambda url: Funding(symbols=("BTC/USDT",), base_url=url),
        SeriesName("funding", "binance", "BTC/USDT", "8h"), START, END, answer, no_candles,
        rows=110 * 3, place="binanceusdm",
    ),
    Case(
        "depth", lambda url: Depth(symbols=("BTC/USDT",), base_url=url),
        SeriesName("depth", "binance_spot", "BTC/USDT", "event"), START, NOW, answer, no_candles,
        rows=1, place="binance", taken_now=True,
    ),
    Case(
        "trades", lambda url: Trades(symbols=("BTC/USDT",), base_url=url),
        SeriesName("trades", "binance_spot", "BTC/USDT", "agg"),
        TRADES_FROM, TRADES_FROM + timedelta(minutes=20), answer, no_candles,
        rows=20 * 60 * A_SECOND, place="binance",
    ),
]  # fmt: skip
assert timedelta(days=110) == END - START
