"""Trend: an asset that rises while bitcoin and the dollar allow it.

Definition, of completed UTC days: BTC's close is above its 200-day mean, the asset's 28-day return
is above 0, the dollar index is not higher than 20 days before, and, where VIX is told, VIX is below
the 80 % quantile of its past year. Long at the close that completes the first such day. Score: 52
plus 0.5 a percent of the 28-day return, up to 66. Long only: a calm VIX is no
reason to sell and a wild one none to sell late, so the definition has no clean mirror image.
Source: Liu and Tsyvinski, Risks and Returns of Cryptocurrency, 2021 (momentum of one to four
weeks); the filters are the desk's. Inputs: close; context `dxy`, and `vix` if it is there.

Regimes: trending and ranging: a day's fact is not of the hour's regime. Warm-up: 366 days, of which
VIX's year takes 365 and the day before, on which it had not begun, one.

Pitfalls: stocks and the dollar rest at weekends. Their last value stands, so differences are taken
over 20 days, not over bars, and Fridays weigh three times in VIX's quantile. A dollar that has not
moved for 7 days is a feed that fell silent, and its slope of 0 no permission. Macro series are
revised and come late: what counts is when they were told, and a US close is known in the UTC
evening. A day that is going on is never used.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.arrays import Bools, Floats
from workbench.domain import Panel, Votes
from workbench.strategies.indicators import at_day_ends, before, begins, daily_last, priced
from workbench.strategies.vote import strategy

MEAN_DAYS, MEAN_DAYS_LEAST = 200, 190  # as the regime's risk-on
RETURN_DAYS, SLOPE_DAYS, SILENT_DAYS = 28, 20, 7
VIX_DAYS, VIX_DAYS_LEAST, VIX_QUANTILE = 365, 300, 0.8


@strategy(
    category="trend", regimes={"trending", "ranging"}, lookback=f"{VIX_DAYS + 1}D", needs=("dxy",)
)
def macro_trend(panel: Panel) -> Votes:
    """Vote long at the close that completes the first day on which all conditions hold."""
    bitcoin = [j for j, s in enumerate(panel.symbols) if s.partition("/")[0] == "BTC"]
    if not bitcoin or "dxy" not in panel.context:
        return Votes.none(panel)
    there = priced(panel)
    close = daily_last(np.where(there, panel.close.to_numpy(), np.nan), panel)
    rise = close / before(close, RETURN_DAYS) - 1.0
    known, allowed = macro(panel, close[:, bitcoin[0]])
    known, state = np.isfinite(rise) & known[:, None], (rise > 0) & allowed[:, None]
    begun = at_day_ends(begins(state & known, known), panel)
    confidence = at_day_ends((52.0 + 50.0 * rise).clip(0.0, 66.0), panel)
    return Votes.of(panel, begun & there, np.zeros_like(begun), confidence)


def macro(panel: Panel, bitcoin: Floats) -> tuple[Bools, Bools]:
    """Of each day: is all of it known, and do bitcoin, the dollar and VIX allow a long?"""
    mean = _trailing(bitcoin, MEAN_DAYS, MEAN_DAYS_LEAST).mean().to_numpy()
    dollar = _of_days(panel, "dxy")
    slope = dollar - before(dollar, SLOPE_DAYS)
    week = _trailing(dollar, SILENT_DAYS, SILENT_DAYS)
    moves = (week.max() > week.min()).to_numpy()
    known = np.isfinite(mean) & np.isfinite(bitcoin) & np.isfinite(slope) & moves
    allowed = (bitcoin > mean) & (slope <= 0)
    if "vix" in panel.context:
        vix = _of_days(panel, "vix")
        line = _trailing(vix, VIX_DAYS, VIX_DAYS_LEAST).quantile(VIX_QUANTILE).to_numpy()
        known &= np.isfinite(line) & np.isfinite(vix)
        allowed &= vix < line
    return known, allowed


def _of_days(panel: Panel, name: str) -> Floats:
    """A series of the context as each UTC day ended."""
    return daily_last(panel.context[name].to_numpy(dtype=np.float64)[:, None], panel)[:, 0]


def _trailing(daily: Floats, days: int, least: int) -> pd.api.typing.Rolling:
    return pd.Series(daily).rolling(days, min_periods=least)
