"""One task through zipline-reloaded, in an interpreter that has it: python -I this TASK ANSWER.

TASK is an npz: `price` (one a session), `units` (whole quantity of an entry decided at each bar),
`entries`, `exits`, `capital`, `fee_rate`. ANSWER is JSON: `version`, `fills` (bar, signed units,
price, fee) and `equity` at each bar. Imports nothing of the workbench: it lives with other
versions of the libraries.

zipline trades sessions, so each bar poses as a day, from 1970 on, and a day needs a night. In daily
mode zipline turns a session's last minute into its label, which is midnight, and looks that up as a
minute once more. In a market that never closes midnight is the last minute of the day before: every
order of such a calendar ("24/7") is filled at the price of the session before.
"""

from __future__ import annotations

import json
import sys
import warnings
from datetime import time
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from zipline import TradingAlgorithm
from zipline.api import order, set_commission, set_slippage
from zipline.assets import AssetDBWriter, AssetFinder
from zipline.data.data_portal import DataPortal
from zipline.data.in_memory_daily_bars import InMemoryDailyBarReader
from zipline.finance.commission import PerDollar
from zipline.finance.slippage import FixedSlippage
from zipline.finance.trading import SimulationParameters
from zipline.utils.calendar_utils import TradingCalendar

FIRST = pd.Timestamp("1970-01-02")
SID = 1


class EveryDay(TradingCalendar):
    """A session each day, an hour at noon."""

    name = "EVERYDAY"
    tz = ZoneInfo("UTC")
    weekmask = "1111111"
    open_times = ((None, time(12)),)
    close_times = ((None, time(13)),)


class Bars(InMemoryDailyBarReader):
    """Bars from memory; these two lookups of the vendor's reader do not work (3.2.1)."""

    def get_value(self, sid: int, dt: pd.Timestamp, field: str) -> float:
        return float(self._values[field][self._sessions.get_loc(dt.tz_localize(None)), 0])

    def get_last_traded_dt(self, asset: Any, dt: pd.Timestamp) -> pd.Timestamp:
        return dt


def run(task: dict[str, np.ndarray], store: str) -> dict[str, Any]:
    price, n = task["price"], len(task["price"])
    last = FIRST + pd.Timedelta(n - 1, "D")
    calendar = EveryDay(start=FIRST, end=last, side="right")
    sessions = calendar.sessions
    clock = iter(range(n))

    def initialize(context: Any) -> None:
        context.asset = asset
        set_commission(PerDollar(float(task["fee_rate"])))
        set_slippage(FixedSlippage(spread=0.0))

    def handle_data(context: Any, data: Any) -> None:
        bar = next(clock)
        held = context.portfolio.positions[context.asset].amount
        if held and task["exits"][bar]:
            order(context.asset, -held)
        elif not held and task["entries"][bar]:
            order(context.asset, int(task["units"][bar]))

    finder = _finder(sessions, store)
    asset = finder.retrieve_asset(SID)
    algorithm = TradingAlgorithm(
        sim_params=SimulationParameters(
            FIRST, last, calendar, capital_base=float(task["capital"]), data_frequency="daily",
        ),
        data_portal=DataPortal(
            finder, calendar, FIRST, equity_daily_reader=_bars(price, calendar),
            last_available_session=last,
        ),
        asset_finder=finder, trading_calendar=calendar, initialize=initialize,
        handle_data=handle_data, benchmark_returns=pd.Series(0.0, sessions.tz_localize("UTC")),
    )  # fmt: skip
    days = algorithm.run()
    fills = []
    for bar, (done, orders) in enumerate(zip(days["transactions"], days["orders"], strict=True)):
        fees = {each["id"]: each["commission"] for each in orders}
        for each in done:
            amount, paid = int(each["amount"]), float(fees[each["order_id"]])
            fills.append((bar, amount, float(each["price"]), paid))
    return {
        "version": version("zipline-reloaded"),
        "fills": fills,
        "equity": days["portfolio_value"].tolist(),
    }


def _finder(sessions: pd.DatetimeIndex, store: str) -> AssetFinder:
    equities = pd.DataFrame(
        {
            "symbol": "X", "asset_name": "X", "exchange": "X",
            "start_date": sessions[0], "end_date": sessions[-1],
        },
        index=[SID],
    )  # fmt: skip
    exchanges = pd.DataFrame({"exchange": ["X"], "canonical_name": ["X"], "country_code": ["US"]})
    AssetDBWriter(store).write(equities=equities, exchanges=exchanges)
    return AssetFinder(store)


def _bars(price: np.ndarray, calendar: Any) -> Bars:
    frame = pd.DataFrame({SID: price}, index=calendar.sessions)
    frames = dict.fromkeys(("open", "high", "low", "close"), frame)
    frames["volume"] = pd.DataFrame({SID: np.full(len(price), 1e15)}, index=calendar.sessions)
    return Bars(frames, calendar, pd.Series({SID: "USD"}), verify_indices=False)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    said = Path(sys.argv[2])
    with np.load(sys.argv[1]) as given:
        account = run(dict(given), str(said.with_name("assets.sqlite")))
    said.write_text(json.dumps(account))
