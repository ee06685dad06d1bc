"""Whale Alert: large transfers, and whether they go to an exchange or come from one.

The provider counts in blocks and not in time: the height where a range begins is looked for by
halving, then its transactions are read in order. Owners are as the provider names them on the day
of the question: a transfer of last month may carry a name that was found out since, so only what
was fetched soon after it happened (`fetched_at`) is free of hindsight.

Symbols: a coin on its own chain (BTC), a token with the chain it is on (USDT~TRON).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NotRequired
from urllib.parse import parse_qsl, urljoin, urlsplit

import polars as pl
from pydantic import FiniteFloat
from typing_extensions import TypedDict

from workbench.data.feeds.answer import utc
from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.lake import INSTANT
from workbench.errors import FeedError, UsageError

PAGE_ROWS = 256
# six blocks of Bitcoin; other chains are final sooner
CONFIRMED = timedelta(hours=1)
HISTORY = timedelta(days=30)  # of the data plan
# a block of Bitcoin may be stamped up to two hours ahead, and a later one up to an hour behind
OUT_OF_ORDER = timedelta(hours=3)

CHAINS = {
    "BTC": "bitcoin", "ETH": "ethereum", "SOL": "solana", "XRP": "ripple", "TRX": "tron",
    "DOGE": "dogecoin", "LTC": "litecoin", "ADA": "cardano", "BCH": "bitcoin_cash",
}  # fmt: skip

# Who counts as an exchange where the provider gives no owner_type. A row says by which edition of
# this table it was judged: count it up with every change.
EXCHANGES_EDITION = 1
EXCHANGES = frozenset(
    (
        "binance", "binance us", "bitfinex", "bitflyer", "bitget", "bithumb", "bitmex", "bitstamp",
        "bittrex", "bybit", "coinbase", "coinbase institutional", "coincheck", "crypto.com",
        "deribit", "gate.io", "gemini", "htx", "huobi", "korbit", "kraken", "kucoin", "mexc",
        "okex", "okx", "poloniex", "robinhood", "upbit",
    )
)  # fmt: skip

_SCHEMA = {
    "id": pl.String, "event_time": INSTANT, "available_at": INSTANT, "amount": pl.Float64,
    "value_usd": pl.Float64, "from_owner": pl.String, "to_owner": pl.String,
    "direction": pl.String, "transaction_type": pl.String, "height": pl.Int64,
    "exchanges_edition": pl.Int64,
}  # fmt: skip


class _Account(TypedDict):
    amount: NotRequired[FiniteFloat | None]
    address: NotRequired[str | None]
    owner: NotRequired[str | None]
    owner_type: NotRequired[str | None]


class _Part(TypedDict):
    symbol: str
    transaction_type: str
    unit_price_usd: NotRequired[FiniteFloat | None]
    inputs: NotRequired[list[_Account] | None]
    outputs: NotRequired[list[_Account] | None]


class _Transaction(TypedDict):
    height: int
    timestamp: int
    hash: str
    fee_symbol: NotRequired[str | None]
    fee_symbol_price: NotRequired[FiniteFloat | None]
    sub_transactions: list[_Part]


class _Body(TypedDict):
    transactions: list[_Transaction] | None
    next: NotRequired[str | None]


class _Status(TypedDict):
    start_height: int
    end_height: int


@dataclass(frozen=True)
class WhaleAlert:
    """Transfers of at least `min_value_usd`. Raises UsageError for a token without its chain."""

    assets: tuple[str, ...] = ("BTC", "ETH", "USDT~ETHEREUM", "USDT~TRON", "USDC~ETHEREUM")
    min_value_usd: int = 1_000_000
    base_url: str = "https://leviathan.whale-alert.io"
    about = About(
        name="whale_alert", kind="on-chain", provider="Whale Alert", key="WHALE_ALERT_API_KEY",
        limit=Limit(1000, 60.0), overlap=timedelta(hours=6),
    )  # fmt: skip

    def __post_init__(self) -> None:
        for asset in self.assets:
            _coin_and_chain(asset)

    def series(self) -> Sequence[SeriesName]:
        return [SeriesName("transfers", "whale_alert", asset, "event") for asset in self.assets]

    def earliest(self, _name: SeriesName, now: datetime) -> datetime:
        """There is nothing to ask for from before."""
        return now - HISTORY

    def requests(self, _name: SeriesName, start: datetime, end: datetime) -> int:
        """Twenty to find the height, then a few a day."""
        return 20 + 4 * ((end - start).days + 1)

    def fetch(self, name: SeriesName, start: datetime, end: datetime, line: Line) -> Iterator[Page]:
        coin, chain = _coin_and_chain(name.symbol)
        url = f"{self.base_url}/{chain}"
        height = self._height(url, start - OUT_OF_ORDER, line)
        query = {
            "api_key": line.key, "start_height": height, "symbol": coin.lower(),
            "min_value": self.min_value_usd, "order": "asc", "limit": PAGE_ROWS,
        }  # fmt: skip
        held = pl.DataFrame(schema=_SCHEMA)
        reached = start
        for told in _pages(f"{url}/transactions", query, line):
            rows = [row for each in told for row in self._rows(each, coin, chain)]
            held = pl.concat([held, pl.DataFrame(rows, schema=_SCHEMA, orient="row")])
            # a block further on may still be stamped a little earlier
            safe = utc(told[-1]["timestamp"]) - OUT_OF_ORDER
            if reached < safe < end:
                yield Page(_between(held, reached, safe), safe)
                reached, held = safe, held.filter(pl.col("event_time") >= safe)
            elif safe >= end:
                break
        yield Page(_between(held, reached, end), end)

    def _height(self, url: str, moment: datetime, line: Line) -> int:
        """The lowest height from which on nothing is missed that happened at the moment or later;
        the lowest that the plan allows if that is later."""
        query = {"api_key": line.key}
        status = line.read(_Status, f"{url}/status", query)
        low, high = status["start_height"], status["end_height"]
        while low < high:
            middle = (low + high) // 2
            asked = query | {"start_height": middle, "order": "asc", "limit": 1}
            told = line.read(_Body, f"{url}/transactions", asked)["transactions"]
            if not told or utc(told[0]["timestamp"]) >= moment:
                high = middle
            else:
                low = min(told[0]["height"] + 1, high)
        return low

    def _rows(self, told: _Transaction, coin: str, chain: str) -> Iterator[tuple[Any, ...]]:
        """A row for each owner that a part of the transaction goes to."""
        at = utc(told["timestamp"])
        for number, part in enumerate(told["sub_transactions"]):
            if part["symbol"].upper() != coin:
                continue
            price = _price(told, part)
            sender = _largest(part.get("inputs") or [])
            for place, receiver in enumerate(_receivers(part)):
                value = None if price is None else receiver.amount * price
                if value is not None and value < self.min_value_usd:
                    continue
                yield (
                    f"{chain}:{told['hash']}:{number}:{place}", at, at + CONFIRMED,
                    receiver.amount, value, sender.name, receiver.name,
                    _direction(sender, receiver), part["transaction_type"], told["height"],
                    EXCHANGES_EDITION,
                )  # fmt: skip


@dataclass(frozen=True)
class _Owner:
    """Somebody's share of a transfer; `name` None if the provider knows none."""

    name: str | None
    exchange: bool = False
    amount: float = 0.0


def _pages(url: str, query: Mapping[str, Any], line: Line) -> Iterator[list[_Transaction]]:
    """Pages with transactions, until there are none. The next page's address has the key in it:
    only its other parameters are kept."""
    asking = {name: str(value) for name, value in query.items()}

    def then(body: _Body) -> dict[str, str] | None:
        following = body.get("next")
        if not body["transactions"] or not following:
            return None
        parts = urlsplit(urljoin(url, following))
        if parts._replace(query="", fragment="").geturl() != url:
            raise FeedError(f"{line.feed}: {url} leads to a next page elsewhere; refused")
        changes = dict(parse_qsl(parts.query))
        changes.pop("api_key", None)
        if changes.items() <= asking.items():  # the last page leads to itself
            return None
        asking.update(changes)
        return changes

    for body in line.pages(_Body, url, asking, then):
        if body["transactions"]:
            yield body["transactions"]


def _between(rows: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    kept = rows.filter(pl.col("event_time") >= start, pl.col("event_time") < end)
    return kept.unique("id", keep="last", maintain_order=True).sort("event_time", "id")


def _coin_and_chain(symbol: str) -> tuple[str, str]:
    coin, _, chain = symbol.partition("~")
    if not chain and coin not in CHAINS:
        raise UsageError(f"whale_alert: {symbol} has no chain of its own; write {symbol}~ETHEREUM")
    return coin, chain.lower() or CHAINS[coin]


def _price(told: _Transaction, part: _Part) -> float | None:
    price = part.get("unit_price_usd")
    if price is None and (told.get("fee_symbol") or "").upper() == part["symbol"].upper():
        price = told.get("fee_symbol_price")
    return price or None  # a price of 0 is the provider's word for none


def _receivers(part: _Part) -> list[_Owner]:
    """Who gets how much, without what goes back to the addresses it came from; of what is burnt,
    nobody gets what was put in."""
    inputs, outputs = part.get("inputs") or [], part.get("outputs") or []
    if not outputs:
        return [_Owner(None, amount=_total(inputs))] if inputs else []
    senders = {each.get("address") for each in inputs if each.get("address")}
    return _owners([each for each in outputs if each.get("address") not in senders])


def _largest(accounts: Sequence[_Account]) -> _Owner:
    owners = _owners(accounts)
    return max(owners, key=lambda owner: owner.amount, default=_Owner(None))


def _owners(accounts: Sequence[_Account]) -> list[_Owner]:
    names = dict.fromkeys(each.get("owner") or None for each in accounts)
    return [
        _Owner(
            name,
            any(_exchange(each) for each in accounts if (each.get("owner") or None) == name),
            _total([each for each in accounts if (each.get("owner") or None) == name]),
        )
        for name in names
    ]


def _total(accounts: Sequence[_Account]) -> float:
    return sum(each.get("amount") or 0.0 for each in accounts)


def _exchange(account: _Account) -> bool:
    kind = (account.get("owner_type") or "unknown").lower()
    named = (account.get("owner") or "").lower() in EXCHANGES
    return kind == "exchange" or (kind == "unknown" and named)


def _direction(sender: _Owner, receiver: _Owner) -> str:
    """Within one exchange nothing moves: that is "other"."""
    if sender.exchange and receiver.exchange:
        return "between_exchanges" if sender.name != receiver.name else "other"
    if receiver.exchange:
        return "to_exchange"
    return "from_exchange" if sender.exchange else "other"
