"""A second opinion on the money: our fills as a native vectorbt Portfolio.

One of two files that import vectorbt (slow to import; its licence carries the Commons Clause), both
only when asked: this and the crosscheck's `engines`. The replay and the metrics run without it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import vectorbt as vbt
from vectorbt.portfolio.enums import log_dt, order_dt

from workbench import arrays as a
from workbench.arrays import Floats
from workbench.domain import Panel


def portfolio(panel: Panel, fills: Floats, capital: float) -> vbt.Portfolio:
    """A Portfolio of one cash-sharing group from a replay's fill records (see `arrays`).

    Closes are the panel's marks, so that a missing bar is valued as the rule book values it; before
    a symbol's first price nothing is held and its first mark stands in. Several orders of one
    symbol in one bar are kept as they happened.
    """
    marks = pd.DataFrame(panel.marks, panel.index, panel.close.columns).bfill().fillna(0.0)
    records = np.empty(len(fills), order_dt)
    records["col"] = fills[:, a.F_SYMBOL]
    records["idx"] = fills[:, a.F_BAR]
    records["size"] = fills[:, a.F_QUANTITY]
    records["price"] = fills[:, a.F_PRICE]
    records["fees"] = fills[:, a.F_FEE]
    records["side"] = fills[:, a.F_DIRECTION] < 0.0
    # vectorbt wants records sorted by column, then time; a stable sort keeps the order in a bar.
    records = records[np.argsort(records["col"], kind="stable")]
    records["id"] = np.arange(len(records))
    wrapper = vbt.ArrayWrapper.from_obj(marks, freq=panel.timeframe, group_by=True)
    return vbt.Portfolio(wrapper, marks, records, np.empty(0, log_dt), np.array([capital]), True)
