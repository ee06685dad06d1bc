"""What a risk review asks of a run: how exposed it was, what hung together, what each rule cost.

A rule that refuses an entry is judged by what that entry would have come to, taken alone. One
number a rule, with an interval: most rules cannot be told from luck, and then it says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from workbench.domain import Costs, Limits, Panel
from workbench.research.interval import sum_interval
from workbench.research.outcomes import outcomes
from workbench.risk.correlation import clusters, daily_facts
from workbench.trading.record import Record

SEED = 60


def exposure(record: Record) -> pd.DataFrame:
    """At each close, by open time: deployed share of the equity, and drawdown from the peak."""
    bars = record.bars
    return pd.DataFrame(
        {
            "deployed": bars["deployed"] / bars["equity"],
            "drawdown": bars["equity"] / bars["equity"].cummax() - 1.0,
        }
    )


def correlations(panel: Panel) -> pd.DataFrame:
    """rho of the last 60 completed days' log returns at the panel's last close, symbols squared."""
    facts = daily_facts(panel.close.to_numpy(), panel.volume.to_numpy(), panel.open_days)
    rho = facts.rho[panel.days[-1] - facts.first_day]
    return pd.DataFrame(rho, list(panel.symbols), list(panel.symbols))


def tied(panel: Panel, limits: Limits) -> pd.Series[Any]:
    """How many symbols the largest correlation cluster holds as each UTC day begins."""
    facts = daily_facts(panel.close.to_numpy(), panel.volume.to_numpy(), panel.open_days)
    days = np.unique(panel.days)
    limit, rows = limits.max_correlation, facts.rho[days - facts.first_day]
    largest = [max(len(c) for c in clusters(rho, panel.symbols, limit)) for rho in rows]
    index = pd.DatetimeIndex(pd.to_datetime(days, unit="D", utc=True))
    return pd.Series(largest, index, name="largest cluster")


def rule_costs(record: Record, panel: Panel, limits: Limits, costs: Costs) -> pd.DataFrame:
    """What each rule of the gate, and the judge's SKIP, cost or saved. A row a rule, by stage.

    `refused`: entries refused (a symbol at a bar counts once); `resolved`: those whose bracketed
    trade ended within the panel; `mean return` of these; `cost`: what they would have made in quote
    currency at `max_position` of the capital each (negative: the rule saved that much), with the
    95 % interval `low`..`high` by UTC days; `shown`: it does not contain 0. Each entry is taken
    alone, so the costs do not add up: what one rule lets through the next may refuse.
    """
    votes = record.signals
    held = votes[votes["stage"].isin(["judge", "risk"])]
    cells = held.drop_duplicates(["time", "symbol"])[["time", "symbol", "side", "stage", "rule"]]
    cells = cells.assign(t=panel.close_times.get_indexer(cells["time"])).reset_index(drop=True)
    came = outcomes(panel, cells, limits._replace(allow_short=1.0), costs, record.capital)
    each = cells.assign(outcome=came["return"])
    rows = [
        (stage, rule, *_cost(own, limits.max_position * record.capital))
        for (stage, rule), own in each.groupby(["stage", "rule"])
    ]
    names = ["stage", "rule", "refused", "resolved", "mean return", "cost", "low", "high", "shown"]
    table = pd.DataFrame(rows, columns=names)
    return table.sort_values("cost", ignore_index=True)


def _cost(own: pd.DataFrame, notional: float) -> tuple[int, int, float, float, float, float, bool]:
    ended = own.dropna(subset="outcome")
    values = ended["outcome"].to_numpy(float)
    days = ended["time"].to_numpy("datetime64[D]").astype(np.int64)
    low, high = sum_interval(values * notional, days, SEED)
    return (
        len(own), len(ended), float(values.mean()) if len(values) else np.nan,
        float(values.sum()) * notional, low, high, bool(low > 0.0 or high < 0.0),
    )  # fmt: skip
