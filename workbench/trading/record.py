"""A run as its journal tells it: equity, fills, every vote with its end, every verdict.

The read side of paper and live: notebooks, panel and weekly report know a run through this alone,
and it offers what a replay offers (`equity`, `fills`, `blocks`, `signals`, `judged`), so that the
same figures and pictures serve both. It needs no market data: all of it was written at the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench import arrays as a
from workbench.domain import Book, Costs, DataError, Limits, UsageError
from workbench.execution.fills import stop_level
from workbench.journal import Entry, Head, Journal, book_from
from workbench.research.history import JUDGED, ending
from workbench.research.replay import blocks_series
from workbench.strategies.vote import counting, needed
from workbench.trading.engine import disabled, last_run

FILLS = ("time", "symbol", "side", "quantity", "price", "fee", "reason")
# what a verdict of an earlier version does not say
OLDER = {"code": "", "model": "", "prompt_id": "", "knowledge": "", "cost_usd": 0.0}
SIGNALS = (
    "time", "symbol", "strategy", "category", "side", "confidence", "muted", "from_text", "regime",
    "outcomes", "verdict", "stage", "rule",
)  # fmt: skip
ACCOUNTS = ("as_of", "equity", "cash", "deployed", "tripped", "halted")


@dataclass(frozen=True, eq=False)
class Record:
    """A journal's last run up to `head`. `read_on` gives the same run with what was added since.

    `run` is the row that began it; `last` the body of the last bar, None before the first;
    `disabled` the strategies that broke a promise and are out, and what each broke.
    The tables hold a row for each bar, fill, vote and verdict, as tuples in the order of their
    columns; the properties give them as frames.
    """

    path: Path
    run: Mapping[str, Any]
    head: Head
    began: int
    last: Mapping[str, Any] | None = None
    disabled: Mapping[str, str] = field(default_factory=dict[str, str])
    rows: Sequence[int] = ()
    accounts: Sequence[tuple[Any, ...]] = ()
    fill_rows: Sequence[tuple[Any, ...]] = ()
    vote_rows: Sequence[tuple[Any, ...]] = ()
    verdict_rows: Sequence[tuple[Any, ...]] = field(default=())

    def read_on(self, journal: Journal) -> Record:
        """The record with the bars that were journalled since, or the journal's next run if one was
        begun; itself if nothing was added."""
        begun = last_run(journal)
        if begun is not None and begun.seq != self.began:
            return _begun(journal.path, begun).read_on(journal)
        tables: tuple[list[Any], ...] = ([], [], [], [], [])
        head, last = self.head, self.last
        for entry in journal.rows("cycle", after=self.head.seq):
            seq, account, fills, votes, verdicts = _read(entry, int(self.run["quorum"]))
            tables[0].append(seq)
            tables[1].append(account)
            for table, rows in zip(tables[2:], (fills, votes, verdicts), strict=True):
                table.extend(rows)
            head, last = Head(entry.seq, entry.hash), entry.body
        if last is self.last:
            return self
        held = (self.rows, self.accounts, self.fill_rows, self.vote_rows, self.verdict_rows)
        joined = [[*old, *new] for old, new in zip(held, tables, strict=True)]
        out = disabled(journal)
        return type(self)(self.path, self.run, head, self.began, last, out, *joined)

    # --- what it is -------------------------------------------------------------------------------

    @property
    def mode(self) -> str:
        """SYNTHETIC, REPLAY, PAPER or LIVE."""
        return str(self.run["mode"])

    @property
    def source(self) -> str:
        return str(self.run["source"])

    @property
    def synthetic(self) -> bool:
        return self.mode == "SYNTHETIC"

    @property
    def capital(self) -> float:
        return float(self.run["capital"])

    @property
    def timeframe(self) -> pd.Timedelta:
        return pd.Timedelta(seconds=self.run["timeframe_s"])

    @property
    def limits(self) -> Limits:
        return Limits(**{name: float(value) for name, value in self.run["limits"].items()})

    @property
    def costs(self) -> Costs:
        return Costs(**{name: float(value) for name, value in self.run["costs"].items()})

    @property
    def period(self) -> tuple[str, str]:
        """First and last bar of the run as it was begun, by open time: what `Desk.world` takes."""
        return str(self.run["first_open"]), str(self.run["last_open"])

    def traded(self, source: Any) -> Any:
        """A desk's `Source` with this run's venue, symbols and timeframe: its bars once more."""
        run = self.run
        return replace(
            source, venue=run["venue"], symbols=tuple(run["symbols"]), timeframe=run["timeframe"]
        )

    # --- what it came to -------------------------------------------------------------------------

    @cached_property
    def bars(self) -> pd.DataFrame:
        """Equity, cash, deployed notional, breaker and halt at each close; by bar open time."""
        frame = pd.DataFrame(list(self.accounts), columns=list(ACCOUNTS))
        closes = pd.DatetimeIndex(pd.to_datetime(frame.pop("as_of"), utc=True)).as_unit("us")
        frame.index = pd.DatetimeIndex(closes - self.timeframe, name="time")
        return frame.astype({"tripped": bool, "halted": bool})

    @property
    def equity(self) -> pd.Series[Any]:
        """The value at each bar's close, by open time."""
        return self.bars["equity"]

    @cached_property
    def fills(self) -> pd.DataFrame:
        """The fills in order: time, symbol, side, quantity, price, fee, reason."""
        return _framed(self.fill_rows, FILLS)

    @cached_property
    def signals(self) -> pd.DataFrame:
        """Every vote with the stage and the rule at which it ended; `time` is the close."""
        return _framed(self.vote_rows, SIGNALS)

    @cached_property
    def judged(self) -> pd.DataFrame:
        """Every verdict: time, symbol, side, regime, decision, confidence, rationale, source..."""
        return _framed(self.verdict_rows, JUDGED[1:])

    @cached_property
    def book(self) -> Book:
        """What is held after the last bar; a flat book before the first."""
        if self.last is None:
            first = pd.Timestamp(self.run["first_open"])
            return Book.start(self.run["symbols"], self.capital, first)
        return book_from(self.last)

    @property
    def blocks(self) -> pd.Series[Any]:
        """How often each Reason was given, by name."""
        return blocks_series(self.book)

    @property
    def as_of(self) -> str:
        """The last close, "" before the first."""
        return str((self.last or {}).get("as_of", ""))

    @property
    def equity_now(self) -> float:
        return self.book.equity

    def positions(self) -> pd.DataFrame:
        """What is held, a row a symbol: side, quantity, entry, mark, profit so far (before exit
        costs), stop (the level that holds now), target (NaN once taken), trailing, opened."""
        return positions_of(self.book, (self.last or {}).get("marks", {}), self.limits)

    def entry(self, journal: Journal, t: int) -> Entry:
        """The journal's row of bar number `t` of the run."""
        return next(iter(journal.rows(after=self.rows[t] - 1, limit=1)))


def read_record(journal: str | Path | Journal) -> Record:
    """The last run of a journal, whole. Raises UsageError without a journal or a run in it."""
    if not isinstance(journal, Journal):
        with Journal.open(journal, readonly=True) as opened:
            return read_record(opened)
    return _last_begun(journal).read_on(journal)


def read_last(journal: Journal) -> Record:
    """The last run as it stands, without its history: the last bar, and no tables."""
    record = _last_begun(journal)
    for entry in journal.tail(1, "cycle"):
        if entry.seq > record.began:
            return replace(record, head=Head(entry.seq, entry.hash), last=entry.body)
    return record


def _last_begun(journal: Journal) -> Record:
    run = last_run(journal)
    if run is None:
        raise UsageError(
            f"{journal.path} holds no run; `workbench paper` writes one, or name another journal"
            " with --journal"
        )
    return _begun(journal.path, run)


def _begun(path: Path, run: Entry) -> Record:
    return Record(path, run.body, Head(run.seq, run.hash), run.seq)


def positions_of(book: Book, marks: Mapping[str, Any], limits: Limits) -> pd.DataFrame:
    """See `Record.positions`."""
    rows: dict[str, tuple[Any, ...]] = {}
    for symbol, cells in zip(book.symbols, book.positions, strict=True):
        side, quantity, entry = (
            float(cells[a.SIDE]),
            float(cells[a.QUANTITY]),
            float(cells[a.ENTRY]),
        )
        if side == 0.0:
            continue
        level, why = stop_level(side, entry, cells[a.HIGH_WATER], cells[a.RUNG], limits)
        mark = float(marks.get(symbol, np.nan))
        target = np.nan if cells[a.RUNG] else entry * (1.0 + side * limits.take_profit)
        rows[symbol] = (
            "long" if side > 0 else "short", quantity, entry, mark,
            side * quantity * (mark - entry), float(level), target, why == a.WHY_TRAIL,
        )  # fmt: skip
    columns = ["side", "quantity", "entry", "mark", "profit", "stop", "target", "trailing"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


# --- one row of the journal ----------------------------------------------------------------------


def _read(
    entry: Entry, quorum: int
) -> tuple[int, tuple[Any, ...], list[Any], list[Any], list[Any]]:
    body = entry.body
    try:
        account = [float(cell) for cell in body["book"]["account"]]
        told = (
            body["as_of"], account[a.EQUITY], account[a.CASH], account[a.DEPLOYED],
            account[a.TRIPPED], account[a.HALTED],
        )  # fmt: skip
        fills = [tuple(fill[name] for name in FILLS) for fill in body["fills"]]
        return entry.seq, told, fills, _votes(body, quorum), _verdicts(body)
    except (KeyError, TypeError, IndexError, ValueError):
        raise DataError(
            f"row {entry.seq} is no bar that this version can read; use the workbench that wrote it"
        ) from None


def _votes(body: Mapping[str, Any], quorum: int) -> list[tuple[Any, ...]]:
    votes = [vote for vote in body["signals"] if vote["side"]]
    if not votes:
        return []
    decided = {
        body["cases"][v["case_hash"]]["symbol"]: v.get("code") or v["decision"]
        for v in body["verdicts"]
        if v["case_hash"] in body["cases"]
    }
    rows = []
    for symbol in sorted({vote["symbol"] for vote in votes}):
        own = [vote for vote in votes if vote["symbol"] == symbol]
        sides = np.array([0.0 if vote["muted"] else vote["side"] for vote in own])
        counts = counting(
            sides[:, None], [v["category"] for v in own], [v["from_text"] for v in own],
            needed(quorum, [symbol]),
        )[:, 0]  # fmt: skip
        conflict = bool((sides > 0).any() and (sides < 0).any())
        reason, verdict = body["reasons"].get(symbol, ""), decided.get(symbol, "")
        for vote, counted in zip(own, counts, strict=True):
            end = ending(vote["muted"], conflict, bool(counted), vote["from_text"], verdict, reason)
            cells = (vote[name] for name in SIGNALS[1:10])
            rows.append((body["as_of"], *cells, verdict, *end))
    return rows


def _verdicts(body: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    rows = []
    for verdict in body["verdicts"]:
        case = body["cases"].get(verdict["case_hash"])
        if case is not None:
            told = OLDER | case | verdict | {"time": body["as_of"]}
            rows.append(tuple(told[name] for name in JUDGED[1:]))
    return rows


def _framed(rows: Sequence[tuple[Any, ...]], columns: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=list(columns))
    frame["time"] = pd.to_datetime(frame["time"], utc=True).dt.as_unit("us")
    return frame
