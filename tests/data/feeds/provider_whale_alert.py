"""Whale Alert as its clients read it: by height, a next address that has the key in it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import NOW, Reply, Request, reply
from workbench.data.feeds.feed import SeriesName
from workbench.data.feeds.whale_alert import WhaleAlert

END = NOW
START = END - timedelta(hours=12)
HEIGHTS = range(900_000, 900_048)  # a block an hour, the last an hour ago
PAGE = 6
KEY = "whale-key-0001"


def answer(request: Request) -> Reply:
    asked = request.query
    if "api_key" not in asked:
        return reply({"message": "no key"}, 401)
    if request.path == "/bitcoin/status":
        counted = {"start_height": HEIGHTS[0], "end_height": HEIGHTS[-1], "block_count": 48}
        return reply(counted)
    if request.path != "/bitcoin/transactions":
        return reply({"message": "not found"}, 404)
    first, index = int(asked["start_height"]), int(asked.get("start_index", 0))
    limit = min(int(asked["limit"]), PAGE)
    told = [transaction(height) for height in HEIGHTS if height >= first][index:][:limit]
    onwards = asked | {"start_index": str(index + len(told))}
    return reply(
        {
            "transactions": told,
            "next": f"http://{request.headers['Host']}{request.path}?{urlencode(onwards)}",
        }
    )


def transaction(height: int) -> dict[str, object]:
    at = END - timedelta(hours=HEIGHTS[-1] + 1 - height)
    return {
        "height": height, "index_in_block": 3, "timestamp": int(at.timestamp()),
        "hash": f"{height:064x}", "fee": "0.0001", "fee_symbol": "BTC", "fee_symbol_price": 91000.0,
        "sub_transactions": [
            {
                "symbol": "BTC", "transaction_type": "transfer", "unit_price_usd": "90000",
                "inputs": [{"amount": "120.5001", "address": "bc1qa", "owner": ""}],
                "outputs": [{"amount": "120.5", "address": "bc1qb", "owner": "binance"}],
            }
        ],
    }  # fmt: skip


def drifted(right: Reply) -> Reply:
    body = json.loads(right.body)
    for each in body.get("transactions", []):
        each["parts"] = each.pop("sub_transactions")
    body["heights"] = [body.pop("start_height", 0), body.pop("end_height", 0)]
    return replace(right, body=json.dumps(body).encode())


CASES = [
    Case(
        "whale_alert", lambda url: WhaleAlert(base_url=url),
        SeriesName("transfers", "whale_alert", "BTC", "event"), START, END, answer, drifted,
        key=KEY, rows=12,
    )
]  # fmt: skip
