"""Four other engines on one `Task`: each adapter hands over the signals and reads back the fills.

vectorbt, Backtesting.py and Backtrader are an extra and are imported when their adapter is called;
zipline needs an older pandas, so it runs in an environment of its own, as another process
(`zipline_runner.py`). `WAYS` lists what is run, and the differences each way is known for.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd

from workbench.domain import Panel, UsageError
from workbench.research.crosscheck import Crosscheck, Finding, compare, crossing_task
from workbench.research.semantics import PRICES, Account, Task

RUNNER = Path(__file__).with_name("zipline_runner.py")
ZIPLINE_BARS = 8_760  # zipline does some 500 bars a second
ZIPLINE_TIMEOUT_S = 600.0

Fill = tuple[int, int, float, float, float]
Progress = Callable[[int, int, str], None]


def vendor(name: str) -> Any:
    """An engine's module. Raises UsageError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise
        raise UsageError(
            f"{error.name} is not installed; pip install 'workbench[engines]' brings the engines"
            " of a crosscheck"
        ) from None


# --- vectorbt ------------------------------------------------------------------------------------


def vectorbt(task: Task, *, same_close: bool = False) -> Account:
    """Portfolio.from_signals. Next open: signals a bar later, at the open; same close: as it comes.

    Stops are fractions of the fill price, which is not its default (the bar's close).
    """
    vbt, bars = vendor("vectorbt"), task.bars.reset_index(drop=True)
    lag, n = 0 if same_close else 1, len(bars)
    entries, exits, size = (
        pd.Series(np.r_[np.zeros(lag, values.dtype), values[: n - lag]])
        for values in (task.entries, task.exits, task.quantity)
    )
    run = vbt.Portfolio.from_signals(
        bars["close"], entries, exits, size=size, price=bars["close" if same_close else "open"],
        open=bars["open"], high=bars["high"], low=bars["low"], fees=task.fee_rate,
        init_cash=task.capital, sl_stop=task.stop, tp_stop=task.target,
        stop_entry_price="fillprice", freq="1h",
    )  # fmt: skip
    records = run.orders.values
    sides = np.where(records["side"] == 0, 1, -1)
    columns = (records["idx"], sides, records["size"], records["price"], records["fees"])
    return Account.of(list(zip(*columns, strict=True)), run.value())


# --- Backtesting.py ------------------------------------------------------------------------------


def backtesting(
    task: Task, *, same_close: bool = False, sold: bool = False, whole: bool = False
) -> Account:
    """Backtest.run, in steps of the task's quantity (FractionalBacktest) or in whole coins.

    A stop has to be a price when the order is given, before the fill is known: the fraction is of
    the signal's close.
    """
    engine, lib = vendor("backtesting.backtesting"), vendor("backtesting.lib")
    unit = 1.0 if whole else task.step
    sizes = np.floor(task.quantity / unit + 1e-6)

    class Signals(engine.Strategy):
        def init(self) -> None: ...

        def next(self) -> None:
            bar, close = len(self.data) - 1, self.data.Close[-1]
            if self.position:
                if task.exits[bar]:
                    self.position.close()
            elif task.entries[bar] and sizes[bar] >= 1.0:
                stop = None if task.stop is None else close * (1.0 - task.stop)
                target = None if task.target is None else close * (1.0 + task.target)
                self.buy(size=sizes[bar], sl=stop, tp=target)

    bars = task.bars.rename(columns=str.capitalize).assign(Volume=1.0)
    settings: dict[str, Any] = {
        "cash": task.capital, "commission": task.fee_rate, "trade_on_close": same_close,
        "finalize_trades": sold,
    }  # fmt: skip
    with warnings.catch_warnings(), patch.object(engine, "_tqdm", lambda bars, **_: bars):
        warnings.simplefilter("ignore")  # each of its warnings is a row of the comparison
        run = (
            engine.Backtest(bars, Signals, **settings) if whole
            else lib.FractionalBacktest(bars, Signals, fractional_unit=unit, **settings)
        )  # fmt: skip
        stats = run.run()
    strategy = stats["_strategy"]
    fills: list[Fill] = []
    for trade in sorted(
        (*strategy.closed_trades, *strategy.trades), key=lambda trade: trade.entry_bar
    ):
        fills += _fills_of(trade, unit, task.fee_rate)
    return Account.of(fills, stats["_equity_curve"]["Equity"])


def _fills_of(trade: Any, unit: float, fee_rate: float) -> list[Fill]:
    """A trade's entry and exit. It knows the sum of its fees, which is divided by notional."""
    quantity, bought = trade.size * unit, trade.entry_price / unit
    if trade.exit_price is None:
        return [(trade.entry_bar, 1, quantity, bought, quantity * bought * fee_rate)]
    sold = trade.exit_price / unit
    fee = trade._commissions / (bought + sold)
    return [
        (trade.entry_bar, 1, quantity, bought, fee * bought),
        (trade.exit_bar, -1, quantity, sold, fee * sold),
    ]


# --- Backtrader ----------------------------------------------------------------------------------


def backtrader(task: Task, *, same_close: bool = False) -> Account:
    """Cerebro. A stop is an order given once the entry's fill is known, so from the next bar on."""
    bt = vendor("backtrader")
    fills: list[Fill] = []
    equity: list[float] = []

    class Signals(bt.Strategy):
        resting: Any = None

        def next(self) -> None:
            bar, held = len(self) - 1, self.position
            equity.append(self.broker.getvalue())
            if not held.size:
                self.resting = None
                if task.entries[bar]:
                    self.buy(size=task.quantity[bar])
            elif task.exits[bar]:
                if self.resting is not None:
                    self.cancel(self.resting)
                self.close()
            elif task.stop is not None and self.resting is None:
                # Not on the fill's notice: no order can be cancelled on the bar it is given.
                level = held.price * (1.0 - task.stop)
                self.resting = self.sell(size=held.size, exectype=bt.Order.Stop, price=level)

        def notify_order(self, order: Any) -> None:
            if order.status == order.Completed:
                done, side = order.executed, 1 if order.isbuy() else -1
                bar = int(grid.searchsorted(pd.Timestamp(bt.num2date(done.dt)).round("s")))
                fills.append((bar, side, abs(done.size), done.price, done.comm))

    grid = pd.date_range("2000-01-01", periods=len(task.bars), freq="1h")
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=task.bars.set_axis(grid).assign(volume=1.0)))
    cerebro.addstrategy(Signals)
    cerebro.broker.set_cash(task.capital)
    cerebro.broker.setcommission(commission=task.fee_rate)
    cerebro.broker.set_coc(same_close)
    cerebro.run()
    return Account.of(fills, equity)


# --- zipline -------------------------------------------------------------------------------------


def zipline(task: Task, python: Path, *, opens: bool = False) -> tuple[Account, str]:
    """TradingAlgorithm in another interpreter, each bar a session; the account and its version.

    It knows one price a session, its close. With `opens` that is the bar's open, so that an order
    decided at a close is filled at the next open; the equity is then valued at opens too.
    Raises UsageError if the interpreter cannot run it.
    """
    given = {
        "price": task.bars["open" if opens else "close"].to_numpy() * task.step,
        "units": task.units, "entries": task.entries, "exits": task.exits,
        "capital": task.capital, "fee_rate": task.fee_rate,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder, "task.npz"), Path(folder, "account.json")
        np.savez(question, **given)
        try:  # -I: the runner's folder must not stand in for the engine's own modules
            done = subprocess.run(  # noqa: S603  the interpreter is named by whoever asks
                [str(python), "-I", str(RUNNER), str(question), str(answer)],
                capture_output=True, text=True, check=False, timeout=ZIPLINE_TIMEOUT_S,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UsageError(f"zipline: {python} cannot be run: {error}") from None
        if done.returncode or not answer.exists():
            said = (done.stderr.strip() or "nothing").splitlines()[-1]
            raise UsageError(
                f"zipline: {python} said {said!r}; make engines-zipline builds its environment"
            )
        told = json.loads(answer.read_text())
    fills = [
        (bar, 1 if units > 0 else -1, abs(units) * task.step, price / task.step, fee)
        for bar, units, price, fee in told["fills"]
    ]
    return Account.of(fills, told["equity"]), told["version"]


# --- what is run ---------------------------------------------------------------------------------


class Way(NamedTuple):
    """A task through an engine set up in one way, and the differences that way is known for."""

    task: str
    engine: str
    package: str
    run: Callable[[Task], Account]
    named: tuple[str, ...] = ()


PACKAGES = VBT, BPY, BTR = "vectorbt", "backtesting", "backtrader"
WAYS: Sequence[Way] = (
    Way("crossing", "vectorbt", VBT, vectorbt),
    Way("crossing", "Backtesting.py", BPY, backtesting),
    Way("crossing", "Backtrader", BTR, backtrader),
    Way("crossing", "vectorbt as it comes", VBT,
        lambda task: vectorbt(task, same_close=True), ("same close",)),
    Way("crossing", "Backtesting.py trade_on_close", BPY,
        lambda task: backtesting(task, same_close=True), ("same close", "booked late")),
    Way("crossing", "Backtrader cheat-on-close", BTR,
        lambda task: backtrader(task, same_close=True), ("same close", "booked late")),
    Way("crossing", "Backtesting.py whole units", BPY,
        lambda task: backtesting(task, whole=True), ("whole units",)),
    Way("open at the end", "Backtesting.py", BPY, backtesting),
    Way("open at the end", "Backtesting.py finalize_trades", BPY,
        lambda task: backtesting(task, sold=True), ("last bar again",)),
    Way("all in", "vectorbt", VBT, vectorbt, ("cash shrinks",)),
    Way("all in", "Backtesting.py", BPY, backtesting, ("cash refuses",)),
    Way("all in", "Backtrader", BTR, backtrader, ("cash refuses twice",)),
    Way("stop", "vectorbt", VBT, vectorbt, ("entry bar unprotected", "stop before exit")),
    Way("stop", "Backtesting.py", BPY, backtesting, ("level from the signal",)),
    Way("stop", "Backtrader", BTR, backtrader, ("entry bar unprotected",)),
    Way("stop and target", "vectorbt", VBT, vectorbt,
        ("entry bar unprotected", "stop before exit", "target gap at the open")),
    Way("stop and target", "Backtesting.py", BPY, backtesting,
        ("level from the signal", "target gap at the open")),
    Way("ladder", "vectorbt", VBT, vectorbt,
        ("no ladder", "entry bar unprotected", "stop before exit", "target gap at the open")),
    Way("ladder", "Backtesting.py", BPY, backtesting,
        ("no ladder", "level from the signal", "target gap at the open")),
)  # fmt: skip


def tasks(base: Task) -> dict[str, Task]:
    """The task of the crossing signals, and the same under the rules that engines differ in."""
    stop = replace(base, name="stop", stop=0.02)
    bracket = replace(stop, name="stop and target", target=0.03)
    made = (
        base, replace(base, name="all in", invested=1.0), stop, bracket,
        replace(bracket, name="ladder", share=0.5, trail=0.015), open_at_the_end(base),
    )  # fmt: skip
    return {task.name: task for task in made}


def open_at_the_end(base: Task) -> Task:
    """The bars up to the last exit signal, which leaves the last position open."""
    n = int(np.flatnonzero(base.exits)[-1])
    return replace(
        base, name="open at the end", bars=base.bars.iloc[:n],
        entries=base.entries[:n], exits=base.exits[:n],
    )  # fmt: skip


def crosscheck(
    base: Task,
    packages: Sequence[str] = PACKAGES,
    python: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Finding, ...]:
    """Every way of the chosen packages, then zipline if an interpreter that has it is given.

    Raises UsageError for a package that is not one of `PACKAGES` or not installed.
    """
    for name in packages:
        if name not in PACKAGES:
            raise UsageError(f"{name!r} is no engine of a crosscheck; it has {', '.join(PACKAGES)}")
        vendor(name)
    made = tasks(base)
    chosen = [way for way in WAYS if way.package in packages]
    findings: list[Finding] = []
    for k, way in enumerate(chosen, 1):
        task, number = made[way.task], version(way.package)
        findings.append(compare(task, way.engine, number, way.run(task), way.named))
        if progress is not None:
            progress(k, len(chosen), "crosscheck")
    return (*findings, *(zipline_findings(base, python) if python is not None else ()))


def zipline_findings(base: Task, python: Path) -> Iterator[Finding]:
    rows = slice(max(len(base.bars) - ZIPLINE_BARS, 0), None)
    short = replace(
        base, bars=base.bars.iloc[rows], entries=base.entries[rows], exits=base.exits[rows]
    )
    for opens, name, named in (
        (True, "zipline shown opens", ("valued at the open",)),
        (False, "zipline as it comes", ("next close",)),
    ):
        account, number = zipline(short, python, opens=opens)
        yield compare(short, name, number, account, named)


def run_crosscheck(
    panel: Panel,
    symbol: str,
    bars: int,
    packages: Sequence[str] | None = None,
    python: Path | None = None,
    progress: Progress | None = None,
) -> Crosscheck:
    """The crossing signals of the last `bars` bars that a panel has of a symbol, engine by engine.

    Raises UsageError if the panel does not have the symbol, or too few bars of it.
    """
    if symbol not in panel.symbols:
        raise UsageError(f"{symbol} is not there; the symbols are {', '.join(panel.symbols)}")
    frame = pd.DataFrame({name: getattr(panel, name)[symbol] for name in PRICES})
    base = crossing_task(frame.dropna().tail(bars))
    return Crosscheck(
        source=panel.source, symbol=symbol, bars=len(base.bars),
        first=base.bars.index[0], last=base.bars.index[-1],
        findings=crosscheck(base, packages or PACKAGES, python, progress),
    )  # fmt: skip
