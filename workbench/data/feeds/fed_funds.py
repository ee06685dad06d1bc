"""Fed funds futures: what the settlement prices in your own files say of the Fed's decisions.

The exchange gives its prices to browsers and to those who pay, so the feed reads CSV files that you
save: trade_date (2026-11-20), contract (ZQZ26 or 2026-12), settle (96.36). A trade date's row needs
that date's prices alone, but for the month before, whose contract has expired: its last price
counts. Nobody is asked; the line is the clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from workbench.data import checks
from workbench.data.checks import FaultError
from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.lags import after
from workbench.data.lake import INSTANT
from workbench.data.meetings import DECISION_DAYS
from workbench.data.odds import implied_path, outcome_of, table
from workbench.domain import UsageError
from workbench.errors import FeedError

FOMC = SeriesName("prediction", "cme_zq", "FOMC", "1b")
KNOWN = after(hours=22)  # settled at 14:00 in Chicago, 20:00 UTC in winter, and published after it
MONTH_CODES = "FGHJKMNQUVXZ"
USUAL_MOVES = range(-3, 4)

Settlements = Mapping[date, Mapping[date, float]]  # trade date -> month's first day -> price


@dataclass(frozen=True)
class FedFunds:
    """`folder`: where your settlement files (*.csv) are."""

    folder: str = ""
    about = About(
        name="fed_funds", kind="odds", provider="CME 30-day fed funds futures, your files",
        limit=Limit(1, 1.0), overlap=timedelta(days=3650),  # a file may be of any day
    )  # fmt: skip

    def series(self) -> Sequence[SeriesName]:
        return [FOMC]

    def requests(self, _name: SeriesName, _start: datetime, _end: datetime) -> int:
        return 1

    def fetch(
        self, _name: SeriesName, start: datetime, end: datetime, line: Line
    ) -> Iterator[Page]:
        settled = self._settlements()
        rows = [
            row
            for day in sorted(settled)
            if start <= _midnight(day) < end and _midnight(day) <= line.now()
            for row in _odds(day, _curve(day, settled))
        ]
        told = table(rows).with_columns(
            available_at=KNOWN(pl.col("event_time")).cast(INSTANT),
            devigged=pl.col("probability"),  # they add up to 1 by construction
        )
        yield Page(told, end)

    def _settlements(self) -> Settlements:
        folder = Path(self.folder)
        files = sorted(folder.glob("*.csv")) if self.folder and folder.is_dir() else []
        if not files:
            raise UsageError(
                f"{self.about.name}: {self.folder or 'no folder'} holds no .csv files; set folder"
                " in [feeds.fed_funds] to where you keep settlement prices of ZQ"
            )
        settled: dict[date, dict[date, float]] = {}
        for file in files:
            try:
                _read(file, settled)
            except FaultError as fault:
                raise FeedError(f"{self.about.name}: {file}: {fault}") from None
        return settled


def _read(file: Path, settled: dict[date, dict[date, float]]) -> None:
    """Add a file's prices. Raises FaultError at the first row that cannot be one."""
    try:
        raw = pl.read_csv(file, infer_schema=False).rename(lambda name: name.lstrip("\ufeff"))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise FaultError(f"cannot be read ({str(error).splitlines()[0]})") from None
    checks.need(raw, ("trade_date", "contract", "settle"))
    raw = checks.numbers(raw, ["settle"]).with_columns(
        checks.days(raw["trade_date"]).alias("trade_date")
    )
    off = ~pl.col("settle").is_between(70, 105)
    checks.refuse_where(raw, off, "settle {settle} is not 100 less a rate")
    for number, row in enumerate(raw.iter_rows(named=True), start=1):
        month = _month(row["contract"])
        if month is None:
            raise FaultError(
                f"row {number}: contract {row['contract']!r} is neither like ZQZ26 nor like 2026-12"
            )
        prices = settled.setdefault(row["trade_date"].date(), {})
        if prices.setdefault(month, row["settle"]) != row["settle"]:
            raise FaultError(
                f"row {number}: {row['contract']} of {row['trade_date']:%Y-%m-%d} is there twice"
                f" with two prices, {prices[month]:g} and {row['settle']:g}; keep the right one"
            )


def _month(contract: str | None) -> date | None:
    """ZQZ26, ZQZ2026 or 2026-12 -> 2026-12-01; ZQZ6 could be of any decade."""
    text = (contract or "").strip().upper()
    if match := re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", text):
        return date(int(match[1]), int(match[2]), 1)
    if match := re.fullmatch(rf"ZQ([{MONTH_CODES}])(?:20)?(\d\d)", text):
        return date(2000 + int(match[2]), MONTH_CODES.index(str(match[1])) + 1, 1)
    return None


def _curve(day: date, settled: Settlements) -> dict[date, float]:
    """The prices of a trade date, and the last one of the month before."""
    before = (day.replace(day=1) - timedelta(days=1)).replace(day=1)
    known = [other for other in settled if other <= day and before in settled[other]]
    expired = {before: settled[max(known)][before]} if known else {}
    return expired | {month: price for month, price in settled[day].items() if month > before}


def _odds(day: date, prices: Mapping[date, float]) -> Iterator[dict[str, object]]:
    """Every usual move of each meeting ahead, so that one that is out of question says 0 and its
    last word of another day does not stand."""
    for step in implied_path(prices, DECISION_DAYS.values(), day):
        for moves in sorted({*USUAL_MOVES, *step.moves}):
            yield {
                "event_time": _midnight(day), "meeting": f"{step.day:%Y-%m}", "seq": 0,
                "outcome": outcome_of(moves), "probability": step.moves.get(moves, 0.0),
                "ends_at": datetime.combine(step.day, time(19), UTC),
                "market": f"ZQ{MONTH_CODES[step.day.month - 1]}{step.day:%y}",
            }  # fmt: skip


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
