"""Exchanges through ccxt: which we know, and how one is asked. ccxt lives here.

ccxt's own paging loses rows, its limiter waits on the real clock, and an answer that is no JSON
reaches its parsers as text: so the feeds page themselves, pace and patience are the line's, and
every answer is checked for its shape.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from workbench.data.feeds.answer import Again, one_line, utc
from workbench.data.feeds.line import Limit, Line
from workbench.domain import UsageError
from workbench.errors import FeedError, KeyRefused

T = TypeVar("T")


class Venue(NamedTuple):
    """A market of an exchange as the lake names it.

    `exchange` is ccxt's name; `limit` what it allows and `weight` what one page of candles costs of
    that; `page` the most candles it gives at once; `keeps` how many candles back it tells at all
    (0: all); `until`: it takes an end time; `trades` what a trade of it is: "event", or "agg" where
    those of one order at one price are told as one, with ids of their own; `streams_bars`: ccxt has
    a stream of its bars.
    """

    exchange: str
    perp: bool = False
    limit: Limit = Limit(60, 60.0)
    weight: int = 1
    page: int = 200
    keeps: int = 0
    until: bool = True
    trades: str = "event"
    streams_bars: bool = True


VENUES = {
    "binance_spot": Venue("binance", limit=Limit(6000, 60.0), weight=2, page=1000, trades="agg"),
    "binance_perp": Venue(
        "binanceusdm", perp=True, limit=Limit(2400, 60.0), weight=5, page=1000, trades="agg"
    ),
    "coinbase": Venue("coinbase", limit=Limit(10, 1.0), page=300, streams_bars=False),
    "kraken": Venue("kraken", limit=Limit(60, 60.0), page=720, keeps=720, until=False),
    "kucoin": Venue("kucoin", limit=Limit(20, 1.0), page=1500),
    "bybit": Venue("bybit", limit=Limit(120, 1.0), page=1000),
    "okx": Venue("okx", limit=Limit(10, 1.0), page=100),
    "bitstamp": Venue(
        "bitstamp", limit=Limit(400, 60.0), page=1000, until=False, streams_bars=False
    ),
}


def venue_of(name: str) -> Venue:
    """A venue we know. Raises UsageError naming the nearest."""
    if name not in VENUES:
        near = difflib.get_close_matches(name, list(VENUES), 1, 0.0)[0]
        raise UsageError(f"no venue is called {name!r}; the nearest is {near}")
    return VENUES[name]


def connect(venue: Venue, base_url: str = "", *, stream: bool = False) -> Any:
    """ccxt's client of a venue's public data; with `stream` the one that has websockets.

    With `base_url` every address of the exchange is replaced by it, path kept.
    """
    library = _streams() if stream else _requests()
    kind = "linear" if venue.perp else "spot"
    client = getattr(library, venue.exchange)(
        {
            "enableRateLimit": stream,
            "options": {
                "fetchMarkets": {"types": [kind]}, "fetchMargins": False, "fetchCurrencies": False,
                "watchTrades": {"name": "aggTrade"}, "watchTradesForSymbols": {"name": "aggTrade"},
            },
        }
    )  # fmt: skip
    client.has["fetchCurrencies"] = False
    _make_strict(client, stream=stream)
    if base_url:
        client.urls["api"] = _moved(client.urls["api"], base_url)
    return client


def _requests() -> ModuleType:
    import ccxt  # noqa: PLC0415  seconds to import: nobody pays who pulls no candles

    return ccxt


def _streams() -> ModuleType:
    import ccxt.pro  # noqa: PLC0415

    return ccxt.pro


def _moved(address: Any, base_url: str) -> Any:
    if isinstance(address, dict):
        return {name: _moved(each, base_url) for name, each in address.items()}
    parts, base = urlsplit(address), urlsplit(base_url)
    if parts.scheme in ("ws", "wss"):
        # ccxt tells a spot stream from a perpetual one by the host's first name
        kind = (parts.hostname or "").partition(".")[0]
        return f"{base.scheme.replace('http', 'ws')}://{base.netloc}/{kind}{parts.path}"
    return f"{base.scheme}://{base.netloc}{parts.path}"


def _make_strict(client: Any, *, stream: bool) -> None:
    """Left alone, ccxt takes a web page for an empty answer, passes over rows that it cannot read
    and follows a redirect to any host."""
    errors = _requests()

    def only_json(code: int, _reason: str, url: str, *rest: Any) -> str:
        body = rest[2]
        if 300 <= code < 400:
            raise errors.ExchangeError(f"{urlsplit(url).hostname} redirects; refused")
        if code == 200 and client.parse_json(body) is None:
            raise errors.BadResponse("answered what is no JSON")
        return body

    def strictly(parse: Callable[..., Any]) -> Callable[..., Any]:
        def parsed(*args: Any, **options: Any) -> Any:
            row = parse(*args, **options)
            told = row[:6] if isinstance(row, list) else [row["timestamp"]]
            if None in told:
                raise errors.BadResponse("has changed its shape: a row without its numbers")
            return row

        return parsed

    client.on_rest_response = only_json
    parsers = ("parse_ohlcv", "parse_trade", "parse_ws_trade", "parse_funding_rate_history")
    for name in (each for each in parsers if hasattr(client, each)):
        setattr(client, name, strictly(getattr(client, name)))
    if not stream:
        client.session.request = partial(client.session.request, allow_redirects=False)


def ask(line: Line, client: Any, what: str, call: Callable[[], T]) -> T:
    """What `call` answers, in turn and with patience; ccxt's errors become ours.

    Raises FeedError, or KeyRefused where the exchange wants a key or bars this place.
    """
    place = f"{client.id} {what}"
    errors = _requests()

    def once() -> T:
        client.last_response_headers = {}
        try:
            return call()
        except _refusals(errors) as no:
            raise KeyRefused(f"{line.feed}: {place} is refused: {said(no)}") from None
        except errors.OperationFailed as failed:
            if _barred(failed):
                raise KeyRefused(f"{line.feed}: {place} is barred here: {said(failed)}") from None
            raise line.paused(client.last_response_headers, place, said(failed)) from None
        except errors.BaseError as refused:
            raise FeedError(f"{line.feed}: {place}: {said(refused)}") from None
        except (TypeError, ValueError, KeyError, AttributeError, IndexError) as odd:
            raise Again(f"answered what cannot be read ({type(odd).__name__})") from None

    return line.patiently(place, once)


def _refusals(errors: Any) -> tuple[type[Exception], ...]:
    return (errors.AuthenticationError, errors.PermissionDenied, errors.RestrictedLocation)


def said(error: Exception) -> str:
    """An error in one short line, its kind first: ccxt often says no more than the address."""
    text = f"{type(error).__name__}: {one_line(str(error))}"
    return text if len(text) <= 160 else text[:157] + "..."


def _barred(error: Exception) -> bool:
    """A geo-block: no waiting mends it."""
    return " 451 " in f" {error} " or "restricted location" in str(error).lower()


def server_now(line: Line, client: Any) -> datetime:
    """The exchange's clock, which decides what is finished. Raises FeedError if ours is far off."""
    if not client.has["fetchTime"]:
        return line.now()
    told = ask(line, client, "fetchTime", client.fetch_time)
    now = line.shaped(datetime, (told or 0) / 1000, f"https://{client.id}/time")
    line.compare_clock(now)
    return now


def market_of(line: Line, client: Any, venue: Venue, symbol: str) -> str:
    """ccxt's symbol of a market. Raises UsageError naming the nearest that the exchange has."""
    ask(line, client, "loadMarkets", client.load_markets)
    return named_in(client, venue, symbol)


def named_in(client: Any, venue: Venue, symbol: str) -> str:
    """The same, of a client that has its markets."""
    asked = f"{symbol}:{symbol.partition('/')[2]}" if venue.perp else symbol
    if asked not in client.markets:
        near = difflib.get_close_matches(asked, list(client.markets), 1, 0.0)
        offer = f"; the nearest is {near[0].partition(':')[0]}" if near else ""
        raise UsageError(f"{client.id} has no market {symbol}{offer}")
    return asked


def ms(moment: datetime) -> int:
    """The first whole millisecond since 1970 that is not before `moment`: a stamp is inside
    [start, end) exactly if it is inside [ms(start), ms(end))."""
    return -((utc(0) - moment) // timedelta(milliseconds=1))


def from_ms(value: float) -> datetime:
    """UTC time of milliseconds since 1970."""
    return utc(value / 1000)


def floor_to(moment: datetime, step: timedelta) -> datetime:
    """The last multiple of `step` (since 1970; weeks since a Monday) at or before `moment`."""
    origin = datetime(1970, 1, 5, tzinfo=UTC) if step >= timedelta(days=7) else utc(0)
    return origin + (moment - origin) // step * step
