"""The EMA sweep of sweep_speed.py three times: as a rule of ours, in vectorbt, in Backtesting.py.

Long at the next open after the fast EMA crosses above the slow one, out at the next open after it
crosses below, 0.1 % fee. All size alike, which no equity may decide then: 1 % of the signal bar's
volume in whole units, which is the participation cap of ours (the money is more than enough). Each
side computes each distinct EMA once, with the same function; vectorbt's own is slower.
"""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workbench.arrays import Bools, Floats
from workbench.domain import Costs, Limits, Panel, Proposal
from workbench.research.plan import Plan
from workbench.research.proposers import Ruled
from workbench.research.scan import Ground
from workbench.strategies.indicators import ema

BARS, WARM_UP = 35_040, 500
CASH, FEE, SHARE = 1e11, 0.001, 0.01
FAST, SLOW = (*range(4, 24),), (30, 40, 50, 60, 80, 100, 120, 150, 180, 200)
LOOSE = Limits(
    max_position=1.0, max_deployed=1.0, stop=0.999, take_profit=1e6, max_correlation=1.0,
    daily_drawdown=0.999, max_stopouts_per_day=1e9, max_entries_per_day=1e9, cooldown_bars=0,
)  # fmt: skip
COSTS = Costs(half_spread=0, impact=0, taker_fee=FEE, step=1.0, max_participation=SHARE)


class Told(NamedTuple):
    """What a set came to on any side. The Sharpe ratios are of daily returns in ours, of hourly
    ones in vectorbt: both are computed, they are not compared."""

    trades: Floats
    final: Floats
    drawdown: Floats


def whole(panel: Panel) -> Panel:
    """One asset without holes: a missing bar trades at the last close, next to nothing of it."""
    close = panel.close.ffill()
    prices = {n: getattr(panel, n).fillna(close) for n in ("open", "high", "low")}
    return Panel.from_frames(
        **prices, close=close, volume=panel.volume.fillna(0.0).clip(lower=1.0),
        timeframe=panel.timeframe, source=panel.source,
    )  # fmt: skip


@functools.cache
def line(close: _Close, bars: int) -> Floats:
    """Each distinct EMA once; `cache_clear` before a run that is timed."""
    return ema(close.cells, bars)


class _Close(NamedTuple):
    """Closes as a key: by who they are."""

    cells: Floats

    def __hash__(self) -> int:
        return id(self.cells)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Close) and self.cells is other.cells


def crossings(close: Floats, fast: int, slow: int) -> tuple[Bools, Bools]:
    """Where the fast line comes to be above the slow one, and where it ceases to be."""
    key = _Close(close)
    above = line(key, fast) > line(key, slow)
    before = np.empty_like(above)
    before[0], before[1:] = False, above[:-1]
    up, down = above & ~before, before & ~above
    up[:WARM_UP] = False
    return up, down


class EmaCross:
    """Ours: a rule of the panel. It keeps the closes, so that an EMA is known by them."""

    __name__ = "ema_cross"

    def __init__(self, panel: Panel) -> None:
        self.close = np.ascontiguousarray(panel.close.to_numpy())

    def __call__(self, panel: Panel, fast: int, slow: int) -> Proposal:
        up, down = crossings(self.close, fast, slow)
        return Proposal(up, 100.0, 1.0, down)


def ours(panel: Panel) -> Plan:
    return Plan(Ruled(EmaCross(panel), panel), Ground.of(panel, 0), LOOSE, COSTS, CASH)


def orders(panel: Panel, sets: Sequence[Mapping[str, Any]]) -> tuple[Bools, Bools, Floats]:
    """Entries and exits at the bars that fill them, (bars, sets), and the size there (bars, 1)."""
    close, size = panel.close.to_numpy(), np.floor(SHARE * panel.volume.to_numpy())
    pairs = [crossings(close, s["fast"], s["slow"]) for s in sets]
    up, down = (np.column_stack([pair[k] for pair in pairs]) for k in (0, 1))
    up &= size >= 1.0
    nothing = np.zeros((1, len(sets)), bool)
    sizes = np.vstack([np.zeros((1, 1)), size[:-1]])
    return np.vstack([nothing, up[:-1]]), np.vstack([nothing, down[:-1]]), sizes


def in_vectorbt(panel: Panel, sets: Sequence[Mapping[str, Any]]) -> Any:
    """Votes and simulation: a Portfolio with a column a set."""
    import vectorbt as vbt  # noqa: PLC0415  slow to import

    entries, exits, size = orders(panel, sets)
    return vbt.Portfolio.from_signals(
        panel.close.to_numpy(), entries, exits, price=panel.open.to_numpy(), size=size, fees=FEE,
        init_cash=CASH, freq="1h",
    )  # fmt: skip


def figures_of(portfolio: Any) -> tuple[Told, pd.Series[float]]:
    """What a sweep of ours tells of each set, the Sharpe ratio apart."""
    told = Told(
        portfolio.trades.closed.count().to_numpy().astype(float),
        ((1.0 + portfolio.total_return()) * CASH).to_numpy(),
        portfolio.max_drawdown().to_numpy(),
    )
    return told, portfolio.sharpe_ratio()


def in_backtesting(panel: Panel, sets: Sequence[Mapping[str, Any]]) -> Told:
    """One run a set, as its own optimizer would; its statistics are its own."""
    # It warns of prices and open trades, and draws a bar of progress a run.
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        from backtesting import Backtest, Strategy  # noqa: PLC0415  an extra

        class Crossing(Strategy):
            fast, slow = 0, 0

            def init(self) -> None:
                up, down = crossings(panel.close.to_numpy(), self.fast, self.slow)
                size = np.floor(SHARE * panel.volume.to_numpy())
                self.up, self.down, self.units = (up & (size >= 1.0))[:, 0], down[:, 0], size[:, 0]

            def next(self) -> None:
                t = len(self.data) - 1
                if self.up[t] and not self.position:
                    self.buy(size=int(self.units[t]))
                elif self.down[t] and self.position:
                    self.position.close()

        symbol = panel.symbols[0]
        names = ("open", "high", "low", "close", "volume")
        bars = pd.DataFrame({n.title(): getattr(panel, n)[symbol].to_numpy() for n in names},
                            panel.index.tz_localize(None))  # fmt: skip
        stats = [
            Backtest(bars, Crossing, cash=CASH, commission=FEE).run(fast=s["fast"], slow=s["slow"])
            for s in sets
        ]
    return Told(
        np.array([float(len(s["_trades"])) for s in stats]),
        np.array([s["Equity Final [$]"] for s in stats]),
        np.array([s["Max. Drawdown [%]"] / 100.0 for s in stats]),
    )
