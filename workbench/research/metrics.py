"""What a run was worth: trades paired from fills, and the figures of an equity curve.

Days are UTC, a year has 365 of them; returns are simple. Nothing is drawn here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import pandas as pd

from workbench.arrays import Floats

DAYS_A_YEAR = 365
FLAT = 1e-12  # a smaller deviation is rounding
TRADE_COLUMNS = (
    "symbol", "side", "opened", "closed", "quantity", "entry", "exit", "profit", "return", "reason",
)  # fmt: skip


def trades(fills: pd.DataFrame) -> pd.DataFrame:
    """Closed trades, one row each, in the order of their entry.

    `exit` is the mean exit price by quantity, `profit` in quote currency net of every fee,
    `return` the profit over the entry notional, `reason` that of the last exit.
    """
    rows = [_closed(symbol, trip) for symbol, trip in trips(fills) if is_closed(trip)]
    frame = pd.DataFrame(rows, columns=list(TRADE_COLUMNS))
    return frame.sort_values(["opened", "symbol"], ignore_index=True)


def trips(fills: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each entry with the exits that followed it, closed or not: symbol and its fills."""
    for symbol, own in fills.groupby("symbol", sort=False):
        number = (own["reason"] == "entry").cumsum()
        for _, trip in own.groupby(number):
            yield str(symbol), trip


def is_closed(trip: pd.DataFrame) -> bool:
    """Have the exits sold what the entry bought?"""
    sold = float(trip["quantity"].iloc[1:].sum())
    return math.isclose(sold, float(trip["quantity"].iloc[0]), rel_tol=1e-9)


def _closed(symbol: str, trade: pd.DataFrame) -> tuple[Any, ...]:
    entry, exits = trade.iloc[0], trade.iloc[1:]
    sold = float(exits["quantity"].sum())
    sign = 1.0 if entry["side"] == "buy" else -1.0
    notional = float(entry["quantity"] * entry["price"])
    received = float((exits["quantity"] * exits["price"]).sum())
    profit = sign * (received - notional) - float(trade["fee"].sum())
    last = exits.iloc[-1]
    return (
        symbol, "long" if sign > 0 else "short", entry["time"], last["time"],
        float(entry["quantity"]), float(entry["price"]), received / sold,
        profit, profit / notional, last["reason"],
    )  # fmt: skip


def max_drawdown(equity: pd.Series[Any]) -> float:
    """Lowest equity over its running peak, minus 1; 0 at best."""
    return float((equity / equity.cummax() - 1.0).min()) if len(equity) else math.nan


def sharpe(returns: pd.Series[Any], periods_per_year: int = DAYS_A_YEAR) -> float:
    """Mean over ddof-1 deviation, annualised; NaN without variance."""
    spread = float(returns.std(ddof=1))
    if not spread > FLAT:
        return math.nan
    return float(returns.mean()) / spread * math.sqrt(periods_per_year)


def daily_returns(equity: pd.Series[Any], capital: float) -> pd.Series[Any]:
    """Simple returns of the equity at the end of each UTC day; the first from the capital."""
    ends = equity.resample("1D").last()
    return ends / ends.shift(1, fill_value=capital) - 1.0


def to_returns(daily: Floats, capital: float) -> Floats:
    """Simple returns of equity (runs, days), written in the place of the equity: of 10,000 runs a
    copy would double the memory."""
    for row in daily:
        row[:] = row / np.concatenate(([capital], row[:-1])) - 1.0
    return daily


def sharpes(returns: Floats) -> Floats:
    """Mean over ddof-1 deviation of each row, not annualised; NaN without variance."""
    if returns.shape[1] < 2:
        return np.full(len(returns), np.nan)
    mean, spread = (np.array([of(row) for row in returns]) for of in (np.mean, _deviation))
    return np.divide(mean, spread, out=np.full(len(returns), np.nan), where=spread > FLAT)


def _deviation(row: Floats) -> float:
    return float(row.std(ddof=1))


class Result(Protocol):
    """What a run came to, be it a replay or the record of a desk that ran."""

    @property
    def source(self) -> str: ...
    @property
    def synthetic(self) -> bool: ...
    @property
    def capital(self) -> float: ...
    @property
    def equity(self) -> pd.Series[Any]: ...
    @property
    def fills(self) -> pd.DataFrame: ...
    @property
    def blocks(self) -> pd.Series[Any]: ...


def summary(run: Result) -> pd.Series[Any]:
    """The figures of a run, by name."""
    closed = trades(run.fills)
    won = closed["return"] > 0
    equity = run.equity
    return pd.Series(
        {
            "first bar": equity.index[0],
            "last bar": equity.index[-1],
            "final equity": float(equity.iloc[-1]),
            "total return": float(equity.iloc[-1] / run.capital - 1.0),
            "max drawdown": max_drawdown(equity),
            "sharpe (365 d)": sharpe(daily_returns(equity, run.capital)),
            "trades": len(closed),
            "win rate": float(won.mean()) if len(closed) else math.nan,
            "expectancy": float(closed["return"].mean()) if len(closed) else math.nan,
            "fees": float(run.fills["fee"].sum()),
            "refused": int(run.blocks.drop("CLAMPED").sum()),
            "exposed": float(np.mean(_held(run))),
        },
        name=run.source or "run",
    )


def _held(run: Result) -> pd.Series[Any]:
    """Share of bars at whose close something was held."""
    signs = np.where(run.fills["side"] == "buy", 1.0, -1.0)
    moves = pd.DataFrame({"time": run.fills["time"], "symbol": run.fills["symbol"]})
    moves["change"] = signs * run.fills["quantity"]
    held = moves.pivot_table(index="time", columns="symbol", values="change", aggfunc="sum")
    held = held.reindex(run.equity.index).fillna(0.0).cumsum()
    return (held.abs() > 1e-12).any(axis=1)
