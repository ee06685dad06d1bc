"""The case a judge is shown: numbers, headlines and ids of one wanted entry, canonical and hashed.

Equity, size and keys are not in it: there is nothing to leak and nothing to size. Two cases with
the same content have the same bytes in any process, so a verdict can be recorded and replayed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from workbench.domain import Case, DataError, Panel, Regime, Signal, Snapshot

SCHEMA = 2


def build_cases(
    snapshot: Snapshot, signals: Sequence[Signal], wants: Mapping[str, tuple[int, float]]
) -> list[Case]:
    """One case for every symbol the votes want. Raises DataError on knowledge from the future."""
    late = [h for h in snapshot.headlines if h.available_at > snapshot.as_of]
    if late:
        raise DataError(
            f"headline {late[0].id} is available at {late[0].available_at}, after the close it"
            f" would decide ({snapshot.as_of}); the news feed's available_at is wrong"
        )
    return [
        Case(
            as_of=snapshot.as_of,
            symbol=symbol,
            side=side,
            signals=tuple(s for s in signals if s.symbol == symbol and s.side),
            regime=_regime(snapshot.panel, symbol),
            features=features(snapshot, symbol),
            headlines=tuple(h for h in snapshot.headlines if about(h.symbol, symbol)),
            missing=snapshot.missing,
        )
        for symbol, (side, _) in sorted(wants.items())
    ]


def about(subject: str, symbol: str) -> bool:
    """Is a headline's subject ("BTC", "BTC/USDT", "" for the market) about this symbol?"""
    return not subject or subject.partition("/")[0] == symbol.partition("/")[0]


def features(snapshot: Snapshot, symbol: str) -> dict[str, float | None]:
    """Numbers known at the close, None where unknown. Returns and drawdown are fractions."""
    panel = snapshot.panel
    j = panel.symbols.index(symbol)
    bars_a_day = max(round(pd.Timedelta(days=1) / panel.timeframe), 1)
    marks = panel.marks[:, j]
    month = marks[-30 * bars_a_day :]
    day = np.diff(np.log(marks[-(bars_a_day + 1) :]))
    numbers: dict[str, float] = {
        "return_24h": _change(marks, bars_a_day),
        "return_7d": _change(marks, 7 * bars_a_day),
        "drawdown_30d": marks[-1] / np.max(month) - 1.0,
        "volatility_24h": _volatility(day, bars_a_day),
    }
    for name, series in panel.context.items():
        if name != "regime":
            last = np.asarray(series.iloc[-1])
            value = float(last[j]) if last.ndim else float(last)
            # a feed that has said nothing yet is not there, whether or not a later row will come
            if math.isfinite(value):
                numbers[name] = value
    if "netflow" in panel.context:
        numbers["netflow_z"] = _z(np.asarray(panel.context["netflow"])[-30 * bars_a_day :, j])
    numbers |= {f"odds.{name}": value for name, value in snapshot.odds.items()}
    return {name: float(value) if math.isfinite(value) else None for name, value in numbers.items()}


def _volatility(returns: np.ndarray, bars_a_day: int) -> float:
    """Annualised; unknown with less than a day of returns."""
    whole = len(returns) >= max(bars_a_day, 2)
    return float(np.std(returns) * math.sqrt(bars_a_day * 365)) if whole else math.nan


def _change(marks: np.ndarray, bars: int) -> float:
    return float(marks[-1] / marks[-1 - bars] - 1.0) if len(marks) > bars else math.nan


def _z(values: np.ndarray) -> float:
    """How many deviations the last value is off the mean of them all."""
    spread = float(np.std(values))
    return float((values[-1] - np.mean(values)) / spread) if spread > 0.0 else math.nan


def _regime(panel: Panel, symbol: str) -> str:
    codes = panel.context.get("regime")
    code = 0 if codes is None else int(np.asarray(codes.iloc[-1])[panel.symbols.index(symbol)])
    return Regime(code).name.lower()


def canonical(case: Case) -> str:
    """The case as canonical JSON: sorted, UTC, numbers as fixed-point text (8 and 8.0 are one)."""
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "as_of": case.as_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "symbol": case.symbol,
        "side": case.side,
        "regime": case.regime,
        "signals": sorted(
            [s.strategy, s.category, s.side, _fixed(s.confidence, 2), s.outcomes, s.muted]
            for s in case.signals
        ),
        "features": {name: _fixed(value) for name, value in case.features.items()},
        "headlines": sorted(
            [h.id, h.available_at.strftime("%Y-%m-%dT%H:%M:%SZ"), h.source, h.title]
            for h in case.headlines
        ),
        "missing": sorted(case.missing),
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def case_hash(case: Case) -> str:
    """sha256 of the canonical case."""
    return hashlib.sha256(canonical(case).encode()).hexdigest()


def _fixed(value: float | None, places: int = 8) -> str | None:
    if value is None or not math.isfinite(value):
        return None
    return f"{round(value, places) + 0.0:.{places}f}"  # + 0.0: minus zero is zero
