"""Recorded microstructure: what was captured from an exchange's streams, and its trades.

A capture becomes two series. "trades" is one row a trade, `side` being the taker's. "depth" is the
order book at the end of each second in which it was updated, rebuilt from the snapshot and every
update after it (`book`); a second without an update, and the last one, which the capture cuts
short, have no row. The updates themselves are not stored: the file stays what they are rebuilt
from. The quotes (best bid and ask) are not stored either; the book must agree with every one of
them, or the file is refused. So it is for a gap in the updates and for a message of unknown shape.

Clocks. A Binance capture stamps each message with the local clock as it came in. No message comes
in before it is made; where the stamps say so the local clock was slow, and all stamps of the file
are put forward by the largest such difference. What was recorded without a receive time (Bybit's
archive, Kraken's trades) is taken to be available one second after the exchange's own stamp.
"""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

import polars as pl
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from workbench.data import checks
from workbench.data.book import Best, Book, Diff, Venue, depth_row
from workbench.data.checks import FaultError
from workbench.data.lake import SeriesName
from workbench.domain import DataError

SECOND_US = 1_000_000
CLOCK_OFF_US = 60 * SECOND_US  # beyond this the stamps are of another recording


class Part(NamedTuple):
    """What of a file goes into one series: `rows`, out of `read` rows or messages of the file."""

    series: SeriesName
    read: int
    rows: pl.DataFrame
    dropped: Mapping[str, int]


def place(name: str) -> Callable[[Path], list[Part]] | None:
    """How to read the capture of this file name; None if the layout has no such name."""
    binance = re.fullmatch(r"binance_(spot|usdm)_([a-z0-9]+)(usdt|usdc)_l2_trades_\d{8}\.gz", name)
    if binance:
        venue = "binance_spot" if binance[1] == "spot" else "binance_perp"
        return partial(read_binance, venue=venue, pair=(binance[2].upper(), binance[3].upper()))
    bybit = re.fullmatch(r"bybit_([a-z0-9]+)(usdt|usdc)_ob\d+\.data\.zip", name)
    if bybit:
        return partial(read_bybit, pair=(bybit[1].upper(), bybit[2].upper()))
    kraken = re.fullmatch(r"kraken_([A-Z0-9]+)_([A-Z0-9]+)_trades_\d{6}\.feather", name)
    if kraken:
        return partial(read_kraken, pair=(kraken[1], kraken[2]))
    return None


# --- shapes of the messages -------------------------------------------------------------------

Price = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Size = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Side = list[tuple[Price, Size]]


class _Quote(BaseModel):
    symbol: str = Field(alias="s")
    id: int = Field(alias="u")
    bid: Price = Field(alias="b")
    bid_size: Size = Field(alias="B")
    ask: Price = Field(alias="a")
    ask_size: Size = Field(alias="A")


class _Trade(BaseModel):
    event: Literal["trade"] = Field(alias="e")
    symbol: str = Field(alias="s")
    made_ms: int = Field(alias="E")
    traded_ms: int = Field(alias="T")
    id: int = Field(alias="t")
    price: Size = Field(alias="p")  # 0 where it is no market trade
    amount: Size = Field(alias="q")
    buyer_is_maker: bool = Field(alias="m")
    source: str = Field("MARKET", alias="X")  # futures only


class _Update(BaseModel):
    event: Literal["depthUpdate"] = Field(alias="e")
    symbol: str = Field(alias="s")
    made_ms: int = Field(alias="E")
    first_id: int = Field(alias="U")
    last_id: int = Field(alias="u")
    previous_id: int | None = Field(None, alias="pu")  # futures only
    bids: Side = Field(alias="b")
    asks: Side = Field(alias="a")


class _Streamed(BaseModel):
    data: Annotated[_Quote | _Trade | _Update, Field(union_mode="left_to_right")]


class _Snapshot(BaseModel):
    last_id: int = Field(alias="lastUpdateId")
    bids: Side
    asks: Side


class _BybitBook(BaseModel):
    symbol: str = Field(alias="s")
    id: int = Field(alias="u")
    bids: Side = Field(alias="b")
    asks: Side = Field(alias="a")


class _Bybit(BaseModel):
    type: Literal["snapshot", "delta"]
    made_ms: int = Field(alias="ts")
    data: _BybitBook


_BINANCE: TypeAdapter[_Streamed | _Snapshot] = TypeAdapter(
    Annotated[_Streamed | _Snapshot, Field(union_mode="left_to_right")]
)
_BYBIT = TypeAdapter(_Bybit)

_Shape = TypeVar("_Shape")


def _message(shape: TypeAdapter[_Shape], raw: bytes, line: int) -> _Shape:
    try:
        return shape.validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        raise FaultError(
            f"line {line}: is no message of a known shape ({first['msg'].lower()})"
        ) from None


# --- readers, one a recording -----------------------------------------------------------------


class _Event(NamedTuple):
    """A whole book (its id in `last_id`) or an update, in the order of the file."""

    line: int
    at_us: int
    whole: bool
    diff: Diff


@dataclass
class _Heard:
    """What a capture of Binance's streams says, by kind of message."""

    trades: list[tuple[int, int, int, str, str, float, float, str]] = field(default_factory=list)
    quotes: list[tuple[int, Best]] = field(default_factory=list)
    events: list[_Event] = field(default_factory=list)
    delays_us: list[int] = field(default_factory=list)  # from made to received, as stamped

    def take(self, line: int, at_us: int, message: _Streamed | _Snapshot) -> str | None:
        """Keep one message; returns the symbol that it is about, if it says so."""
        if isinstance(message, _Snapshot):
            whole = Diff(message.last_id, message.last_id, None, message.bids, message.asks)
            self.events.append(_Event(line, at_us, whole=True, diff=whole))
            return None
        said = message.data
        if isinstance(said, _Quote):
            best = Best(said.bid, said.bid_size, said.ask, said.ask_size)
            self.quotes.append((said.id, best))
            return said.symbol
        made_us = said.made_ms * 1000
        if isinstance(said, _Trade):
            made_us = max(said.made_ms, said.traded_ms) * 1000
            side = "sell" if said.buyer_is_maker else "buy"
            self.trades.append(
                (line, said.traded_ms * 1000, at_us, str(said.id), side, said.price, said.amount,
                 said.source)
            )  # fmt: skip
        else:
            diff = Diff(said.first_id, said.last_id, said.previous_id, said.bids, said.asks)
            self.events.append(_Event(line, at_us, whole=False, diff=diff))
        self.delays_us.append(at_us - made_us)
        return said.symbol


def read_binance(path: Path, venue: Venue, pair: tuple[str, str]) -> list[Part]:
    """Trades and depth of a capture: lines of a local time in ns, a space and the raw message."""
    heard, last_us = _Heard(), 0
    for line, (stamp, raw) in enumerate(_stamped(path), start=1):
        message = _message(_BINANCE, raw, line)
        at_us = stamp // 1000
        if at_us < last_us:
            raise FaultError(f"line {line}: was received before the line above it; sort them")
        last_us = at_us
        symbol = heard.take(line, at_us, message)
        if symbol not in (None, "".join(pair)):
            raise FaultError(f"line {line}: is about {symbol}, the file's name says {pair}")
    fastest_us = min(heard.delays_us, default=0)
    if abs(fastest_us) > CLOCK_OFF_US:
        raise FaultError(
            f"was stamped by a clock {fastest_us / SECOND_US:+.0f} s off the exchange's; "
            "the stamps are of another recording"
        )
    slow_us = max(0, -fastest_us)
    events = [event._replace(at_us=event.at_us + slow_us) for event in heard.events]
    rows, best, older = _replay(Book(venue), events)
    _agree(best, heard.quotes)
    trades, dropped = _binance_trades(heard, slow_us)
    symbol = "/".join(pair)
    return [
        Part(SeriesName("trades", venue, symbol, "event"), len(heard.trades), trades, dropped),
        Part(
            SeriesName("depth", venue, symbol, "1s"),
            len(events) + len(heard.quotes),
            rows.with_columns(available_at="event_time"),
            {"updates older than the snapshot": older} if older else {},
        ),
    ]


def _stamped(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with gzip.open(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                stamp, _, raw = line.partition(b" ")
                if not stamp.isdigit():
                    raise FaultError(f"line {number}: does not begin with a time in nanoseconds")
                yield int(stamp), raw
    except (OSError, EOFError, zlib.error) as error:
        raise FaultError(f"cannot be read ({error}); fetch it again") from None


def _binance_trades(heard: _Heard, slow_us: int) -> tuple[pl.DataFrame, Mapping[str, int]]:
    columns = {
        "row": pl.Int64, "event_time": pl.Int64, "available_at": pl.Int64, "id": pl.String,
        "side": pl.String, "price": pl.Float64, "amount": pl.Float64, "source": pl.String,
    }  # fmt: skip
    rows = pl.DataFrame(heard.trades, columns, orient="row").with_columns(
        (pl.col("available_at") + slow_us).cast(checks.INSTANT),
        pl.col("event_time").cast(checks.INSTANT),
    )
    # futures also report what the insurance fund and auto-deleveraging do, which is no market price
    market = rows.filter(pl.col("source") == "MARKET").drop("source")
    other = rows.height - market.height
    return _checked_trades(market).drop("row"), {"not market trades": other} if other else {}


def read_kraken(path: Path, pair: tuple[str, str]) -> list[Part]:
    """Trades as freqtrade keeps them: timestamp in ms, id, side, price, amount."""
    try:
        raw = pl.read_ipc(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise FaultError(f"cannot be read ({str(error).splitlines()[0]}); fetch it again") from None
    checks.need(raw, ("timestamp", "id", "side", "price", "amount"))
    if raw["timestamp"].dtype != pl.Int64:
        raise FaultError(f"row 1: timestamp is a {raw['timestamp'].dtype}, not milliseconds")
    traded = pl.from_epoch("timestamp", "ms").dt.replace_time_zone("UTC").cast(checks.INSTANT)
    rows = checks.numbers(raw, ["price", "amount"]).select(
        traded.alias("event_time"),
        (traded + pl.duration(seconds=1)).alias("available_at"),
        pl.col("id").cast(pl.String), "side", "price", "amount",
    )  # fmt: skip
    checks.in_order(rows)
    name = SeriesName("trades", "kraken", "/".join(pair), "event")
    return [Part(name, raw.height, _checked_trades(rows), {})]


def _checked_trades(rows: pl.DataFrame) -> pl.DataFrame:
    for name in ("price", "amount"):
        good = pl.col(name).is_finite() & (pl.col(name) > 0)
        checks.refuse_where(rows, ~good, f"{name} at {{event_time}} is {{{name}}}, not above 0")
    sides = ["buy", "sell"]
    checks.refuse_where(rows, ~pl.col("side").is_in(sides), "side {side} is not buy or sell")
    checks.refuse_where(rows, pl.col("id").is_duplicated(), "trade {id} is there twice")
    checks.refuse_where(rows, pl.col("id").is_null(), "the trade at {event_time} has no id")
    return rows


def read_bybit(path: Path, pair: tuple[str, str]) -> list[Part]:
    """Depth of a day file of Bybit's archive: JSON lines, a snapshot and the deltas after it."""
    try:
        with zipfile.ZipFile(path) as archive:
            (member,) = archive.namelist()
            lines = archive.read(member).splitlines()
    except (OSError, zlib.error, zipfile.BadZipFile) as error:
        raise FaultError(f"cannot be read ({error}); fetch it again") from None
    except ValueError:
        raise FaultError("does not hold exactly one file") from None
    events: list[_Event] = []
    for line, raw in enumerate(lines, start=1):
        message = _message(_BYBIT, raw, line)
        data = message.data
        if data.symbol != "".join(pair):
            raise FaultError(f"line {line}: is about {data.symbol}, the file's name says {pair}")
        diff = Diff(data.id, data.id, None, data.bids, data.asks)
        events.append(_Event(line, message.made_ms * 1000, message.type == "snapshot", diff))
    rows, _, _ = _replay(Book("bybit"), events)
    rows = rows.with_columns(available_at=pl.col("event_time") + pl.duration(seconds=1))
    return [Part(SeriesName("depth", "bybit", "/".join(pair), "1s"), len(events), rows, {})]


# --- the book, second by second ---------------------------------------------------------------


class _Replayed(NamedTuple):
    rows: pl.DataFrame  # "depth" rows, without when they were available
    best: list[tuple[int, Best]]  # the best levels after each update, by its id
    older: int  # updates older than the snapshot


def _replay(book: Book, events: list[_Event]) -> _Replayed:
    rows: list[dict[str, int | float]] = []
    best: list[tuple[int, Best]] = []
    older, second = 0, 0
    for event in _from_the_snapshot(events):
        ends = -(-event.at_us // SECOND_US) * SECOND_US
        if ends < second:
            raise FaultError(f"line {event.line}: is older than the line above it; sort them")
        try:
            if second and ends > second:
                rows.append({"event_time": second, **depth_row(*book.levels(), book.reach)})
            second = ends
            if event.whole:
                if _newer(book, event.diff.last_id):
                    book.snapshot(event.diff.last_id, event.diff.bids, event.diff.asks)
            elif book.diff(event.diff):
                best.append((event.diff.last_id, book.best()))
            else:
                older += 1
        except DataError as error:
            raise FaultError(f"line {event.line}: {error}") from None
    if not rows:
        raise FaultError("covers no whole second of the book")
    stamp = pl.col("event_time").cast(checks.INSTANT)
    depths = pl.DataFrame(rows).with_columns(stamp, pl.selectors.float().fill_nan(None))
    return _Replayed(depths, best, older)


def _from_the_snapshot(events: list[_Event]) -> list[_Event]:
    """The first snapshot, and then the updates: a snapshot asked for comes after some of them."""
    first = next((n for n, event in enumerate(events) if event.whole), None)
    if first is None:
        raise FaultError("has no snapshot of the book, without which its updates say nothing")
    start = events[first]
    waiting = [event._replace(at_us=start.at_us) for event in events[:first]]
    return [start, *waiting, *events[first + 1 :]]


def _newer(book: Book, last_id: int) -> bool:
    """Bybit sends a snapshot when the book starts over, Binance's is asked for and may be late."""
    return book.last_id is None or book.venue == "bybit" or last_id > book.last_id


def _agree(best: list[tuple[int, Best]], quotes: list[tuple[int, Best]]) -> None:
    """Raise unless the book's best levels are those of the last quote up to each update.

    The exchange sends a quote at every change of the best levels, numbered as the updates are.
    """
    columns = {"id": pl.Int64, **dict.fromkeys(Best._fields, pl.Float64)}
    book = pl.DataFrame([(at, *levels) for at, levels in best], columns, orient="row")
    quote = pl.DataFrame([(at, *levels) for at, levels in quotes], columns, orient="row")
    both = book.join_asof(quote.sort("id"), on="id", suffix="_quoted").drop_nulls()
    wrong = both.filter(pl.any_horizontal(pl.col(c) != pl.col(f"{c}_quoted") for c in Best._fields))
    for row in wrong.head(1).iter_rows(named=True):
        raise FaultError(
            "the book rebuilt to update {id} has {bid_size:g} at {bid:g} and {ask_size:g} at "
            "{ask:g}, the quote has {bid_size_quoted:g} at {bid_quoted:g} and "
            "{ask_size_quoted:g} at {ask_quoted:g}".format_map(row)
        )
