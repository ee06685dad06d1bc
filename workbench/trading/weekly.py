"""One ISO week of a run, computed from its record: what the weekly report says, and its evidence.

Every figure can be worked out again from the rows that are published beside it: `rows` has each
trade with its share of the week's profit, those still open at their mark, and every vote that did
not become a trade with the reason; `equity` has each bar. The week's profits must add up to the
change of the equity, or there is no report.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.domain import DataError, UsageError
from workbench.journal import Head, Journal
from workbench.research.metrics import is_closed, max_drawdown, trades, trips
from workbench.trading.gates import PaperGate, paper_gate
from workbench.trading.record import Record, read_record

CENT = 0.01
COLUMNS = (
    "kind", "time", "symbol", "side", "strategies", "confidence", "verdict", "stage", "rule",
    "opened", "closed", "quantity", "entry", "exit", "fees", "profit", "return", "exit_reason",
    "week_profit", "rationale",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Week:
    """`label` such as 2023-W23, `start` its Monday 00:00 UTC. `head` seals the journal's rows up to
    the week's last bar. `rows` (see COLUMNS; kind closed, open or refused), `equity` by bar open
    time with `deployed`, `figures` by name, `refused` counts by (stage, rule), `gate` over all
    trades so far, `whole`: the run covers all seven days."""

    label: str
    start: pd.Timestamp
    mode: str
    source: str
    run: Mapping[str, Any]
    head: Head
    whole: bool
    figures: Mapping[str, float]
    refused: pd.Series[Any]
    rows: pd.DataFrame
    equity: pd.DataFrame
    gate: PaperGate

    @property
    def synthetic(self) -> bool:
        return self.mode == "SYNTHETIC"


def monday(label: str) -> pd.Timestamp:
    """The first moment of an ISO week such as 2023-W23. Raises UsageError if it is none."""
    if re.fullmatch(r"\d{4}-W\d{2}", label):
        with suppress(ValueError):  # a week 54, or a year 0000
            return pd.Timestamp(date.fromisocalendar(int(label[:4]), int(label[6:]), 1), tz="UTC")
    raise UsageError(f"{label!r} is no week; write it as 2023-W23")


def label_of(time: pd.Timestamp) -> str:
    """The ISO week a bar belongs to, by its open time."""
    year, week, _ = time.isocalendar()
    return f"{year}-W{week:02d}"


def weeks(record: Record) -> list[str]:
    """Every week that is over and of which the run has bars, in order."""
    labels = sorted({label_of(time) for time in record.bars.index.normalize().unique()})
    return [label for label in labels if _over(record, monday(label))]


def _over(record: Record, start: pd.Timestamp) -> bool:
    last_open = record.bars.index[-1]
    ended = last_open >= pd.Timestamp(record.run["last_open"])
    return ended or last_open + record.timeframe >= start + pd.Timedelta(days=7)


def read_week(journal: str | Path, label: str = "last") -> Week:
    """A week of a journal's last run, by default the last one that is over."""
    with Journal.open(journal, readonly=True) as opened:
        record = read_record(opened)
        return weekly(record, opened, named(record, label))


def named(record: Record, label: str) -> str:
    """The label itself, or that of the run's last whole week for "last"."""
    if label != "last":
        return label
    over = weeks(record)
    if not over:
        raise UsageError(f"no week of {record.path} is over yet; {_covered(record.bars.index)}")
    return over[-1]


def _covered(index: pd.DatetimeIndex) -> str:
    if not len(index):
        return "the run has no bar so far"
    return f"it covers {label_of(index[0])} to {label_of(index[-1])}"


def weekly(record: Record, journal: Journal, label: str) -> Week:
    """The week of a run. Raises UsageError if it has no bar in it or is not over, DataError if the
    record does not add up."""
    start = monday(label)
    end = start + pd.Timedelta(days=7)
    index = record.bars.index
    first, last = (int(index.searchsorted(edge)) for edge in (start, end))
    if first == last:
        raise UsageError(f"{record.path} has no bar in {label}; {_covered(index)}")
    if not _over(record, start):
        raise UsageError(f"{label} is not over: the desk stands at {record.as_of}")
    sealed = record.entry(journal, last - 1)
    before = record.entry(journal, first - 1).body["marks"] if first else {}
    traded = _trades(record, start, end, before, sealed.body["marks"])
    refused = _refused(record, start, end)
    equity = record.bars[["equity", "deployed"]].iloc[first:last]
    opening = float(record.equity.iloc[first - 1]) if first else record.capital
    figures = _figures(traded, refused, equity, opening)
    if not abs(figures["equity at the end"] - opening - figures["profit"]) < CENT:
        raise DataError(
            f"{record.path}: the trades of {label} made {figures['profit']:.2f} but the equity went"
            f" from {opening:.2f} to {figures['equity at the end']:.2f}; check the journal with"
            " `workbench journal verify`"
        )
    so_far = record.fills[record.fills["time"] < end]
    return Week(
        label=label, start=start, mode=record.mode, source=record.source, run=record.run,
        head=Head(sealed.seq, sealed.hash),
        whole=len(equity) == round(pd.Timedelta(days=7) / record.timeframe),
        figures=figures,
        refused=refused.groupby(["stage", "rule"]).size().sort_values(
            ascending=False, kind="stable"
        ),
        rows=pd.concat([traded, refused], ignore_index=True)[list(COLUMNS)],
        equity=equity,
        gate=paper_gate(trades(so_far)),
    )  # fmt: skip


def _trades(
    record: Record, start: pd.Timestamp, end: pd.Timestamp,
    before: Mapping[str, Any], after: Mapping[str, Any],
) -> pd.DataFrame:  # fmt: skip
    """Every trade that was open at some moment of the week."""
    rows = []
    for symbol, trip in trips(record.fills[record.fills["time"] < end]):
        if is_closed(trip) and trip["time"].iloc[-1] < start:
            continue
        rows.append(_trade(record, symbol, trip, start, before, after))
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(["opened", "symbol"])
    return frame.reset_index(drop=True)


def _trade(
    record: Record, symbol: str, trip: pd.DataFrame, start: pd.Timestamp,
    before: Mapping[str, Any], after: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    entry, exits, closed = trip.iloc[0], trip.iloc[1:], is_closed(trip)
    sign = 1.0 if entry["side"] == "buy" else -1.0
    signed = trip["quantity"].where(trip["side"] == "buy", -trip["quantity"])
    cash = -(signed * trip["price"]) - trip["fee"]
    earlier = trip["time"] < start
    held_before = 0.0 if not earlier.any() else float(signed[earlier].sum()) * float(before[symbol])
    held_after = 0.0 if closed else float(signed.sum()) * float(after[symbol])
    profit = float(cash.sum()) + held_after
    sold = float(exits["quantity"].sum())
    received = float((exits["quantity"] * exits["price"]).sum())
    return {
        "kind": "closed" if closed else "open", "time": entry["time"], "symbol": symbol,
        "side": "long" if sign > 0 else "short", **_decision(record, symbol, entry["time"]),
        "opened": entry["time"], "closed": exits["time"].iloc[-1] if closed else pd.NaT,
        "quantity": float(entry["quantity"]), "entry": float(entry["price"]),
        "exit": received / sold if closed else float(after[symbol]),
        "fees": float(trip["fee"].sum()), "profit": profit,
        "return": profit / float(entry["quantity"] * entry["price"]),
        "exit_reason": exits["reason"].iloc[-1] if closed else "",
        "week_profit": float(cash[~earlier].sum()) + held_after - held_before,
    }  # fmt: skip


def _decision(record: Record, symbol: str, at: pd.Timestamp) -> dict[str, Any]:
    """Who voted for the entry and what the judge said; an entry fills at the open that is the
    deciding bar's close."""
    own = record.signals[(record.signals["time"] == at) & (record.signals["symbol"] == symbol)]
    taken = own[own["stage"] == "traded"]
    said = record.judged[(record.judged["time"] == at) & (record.judged["symbol"] == symbol)]
    return {
        "strategies": ", ".join(taken["strategy"]),
        "confidence": float(taken["confidence"].mean()) if len(taken) else math.nan,
        "verdict": said["decision"].iloc[0] if len(said) else "",
        "stage": "traded", "rule": taken["rule"].iloc[0] if len(taken) else "",
        "rationale": said["rationale"].iloc[0] if len(said) else "",
    }  # fmt: skip


def _refused(record: Record, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """Every vote of the week's closes that did not become a trade, and where it ended."""
    votes, judged = record.signals, record.judged
    own = votes[(votes["time"] >= start) & (votes["time"] < end) & (votes["stage"] != "traded")]
    said = judged[["time", "symbol", "rationale"]].drop_duplicates(["time", "symbol"])
    own = own.merge(said, how="left", on=["time", "symbol"])
    sides = own["side"].map({1: "long", -1: "short"})
    return own.assign(
        kind="refused",
        side=sides,
        strategies=own["strategy"],
        rationale=own["rationale"].fillna(""),
    ).reindex(columns=list(COLUMNS))


def _figures(
    traded: pd.DataFrame, refused: pd.DataFrame, equity: pd.DataFrame, opening: float
) -> dict[str, float]:
    closed = traded[traded["kind"] == "closed"]
    returns, n = closed["return"].astype(float), len(closed)
    path = pd.concat([pd.Series([opening]), equity["equity"]], ignore_index=True)
    profit = float(traded["week_profit"].sum())
    return {
        "equity at the start": opening,
        "equity at the end": float(equity["equity"].iloc[-1]),
        "profit": profit,
        "return": profit / opening,
        "max drawdown": max_drawdown(path),
        "most deployed": float((equity["deployed"] / equity["equity"]).max()),
        "closed trades": n,
        "won": int((returns > 0).sum()),
        "win rate": float((returns > 0).mean()) if n else math.nan,
        "expectancy": float(returns.mean()) if n else math.nan,
        "best": float(returns.max()) if n else math.nan,
        "worst": float(returns.min()) if n else math.nan,
        "stop-outs": int((closed["exit_reason"] == "stop").sum()),
        "fees of closed trades": float(closed["fees"].astype(float).sum()),
        "open at the end": int((traded["kind"] == "open").sum()),
        "votes refused": len(refused),
    }
