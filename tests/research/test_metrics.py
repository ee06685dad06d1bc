"""Trades paired from fills, and figures with known answers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.strategies import random_panel
from workbench import arrays as a
from workbench.domain import Costs, Limits, Proposal
from workbench.research.metrics import (
    TRADE_COLUMNS,
    daily_returns,
    max_drawdown,
    sharpe,
    summary,
    trades,
)
from workbench.research.replay import Replay, replay

T0 = pd.Timestamp("2024-01-01", tz="UTC")
Row = tuple[int, str, str, float, float, float, str]


def fills(*rows: Row) -> pd.DataFrame:
    """Fills from (hour, symbol, side, quantity, price, fee, reason)."""
    names = ["time", "symbol", "side", "quantity", "price", "fee", "reason"]
    frame = pd.DataFrame(rows, columns=names)
    frame["time"] = T0 + pd.to_timedelta(frame["time"].astype(int), unit="h")
    return frame


def only(*rows: Row) -> pd.Series:
    frame = trades(fills(*rows))
    assert len(frame) == 1
    return frame.iloc[0]


def test_a_stopped_long_loses_the_move_and_both_fees() -> None:
    trade = only(
        (0, "A", "buy", 2.0, 100.0, 0.2, "entry"), (3, "A", "sell", 2.0, 98.0, 0.1, "stop")
    )
    assert (trade["side"], trade["reason"]) == ("long", "stop")
    assert (trade["opened"], trade["closed"]) == (T0, T0 + pd.Timedelta(hours=3))
    assert trade["profit"] == pytest.approx(-4.3)
    assert trade["return"] == pytest.approx(-4.3 / 200.0)


def test_a_ladder_is_one_trade_with_its_mean_exit() -> None:
    """Half at 103, half at 107.8 after an entry at 100: +5.4 %, the rule book's worked example."""
    trade = only(
        (0, "A", "buy", 1.0, 100.0, 0.0, "entry"),
        (1, "A", "sell", 0.5, 103.0, 0.0, "take_profit"),
        (3, "A", "sell", 0.5, 107.8, 0.0, "trail"),
    )
    assert trade["exit"] == pytest.approx(105.4)
    assert trade["return"] == pytest.approx(0.054)
    assert (trade["quantity"], trade["reason"]) == (1.0, "trail")


def test_a_short_gains_what_the_price_loses() -> None:
    trade = only(
        (0, "A", "sell", 1.0, 100.0, 0.1, "entry"), (1, "A", "buy", 1.0, 90.0, 0.1, "exit")
    )
    assert trade["side"] == "short"
    assert trade["profit"] == pytest.approx(9.8)


def test_what_is_still_open_is_no_trade_yet_even_after_its_first_rung() -> None:
    frame = trades(
        fills(
            (0, "A", "buy", 1.0, 100.0, 0.0, "entry"),
            (1, "B", "buy", 1.0, 100.0, 0.0, "entry"),
            (2, "B", "sell", 0.5, 103.0, 0.0, "take_profit"),
        )
    )
    assert frame.empty
    assert tuple(frame.columns) == TRADE_COLUMNS


def test_trades_of_one_symbol_follow_each_other_and_symbols_do_not_mix() -> None:
    """In the order of their entries, an entry and its stop in one bar included."""
    frame = trades(
        fills(
            (0, "B", "buy", 1.0, 10.0, 0.0, "entry"),
            (1, "A", "buy", 1.0, 100.0, 0.0, "entry"),
            (1, "A", "sell", 1.0, 98.0, 0.0, "stop"),
            (2, "B", "sell", 1.0, 11.0, 0.0, "exit"),
            (4, "A", "sell", 2.0, 90.0, 0.0, "entry"),
            (5, "A", "buy", 2.0, 80.0, 0.0, "exit"),
            (6, "B", "buy", 1.0, 12.0, 0.0, "entry"),
        )
    )
    assert frame["symbol"].tolist() == ["B", "A", "A"]
    assert frame["profit"].tolist() == pytest.approx([1.0, -2.0, 20.0])
    assert frame["side"].tolist() == ["long", "long", "short"]


def test_max_drawdown_has_the_known_answer() -> None:
    """100 120 90 130 80: from 130 to 80. By definition; empyrical-reloaded 0.7.1 agrees."""
    assert max_drawdown(pd.Series([100.0, 120, 90, 130, 80])) == pytest.approx(-0.38461538)


def test_an_equity_that_never_falls_has_no_drawdown_and_none_at_all_is_unknown() -> None:
    assert max_drawdown(pd.Series([1.0, 1.0, 2.0])) == 0.0
    assert math.isnan(max_drawdown(pd.Series([], dtype=float)))


def test_sharpe_has_the_known_answer_at_365_days() -> None:
    """quantstats (periods=365) and empyrical (annualization=365) agree on 4.4145027."""
    returns = pd.Series([0.01, -0.005, 0.02, -0.015, 0.007, 0.003, -0.01, 0.012])
    assert sharpe(returns) == pytest.approx(4.4145027, abs=1e-6)
    assert sharpe(returns, 252) == pytest.approx(3.66805319, abs=1e-6)


@pytest.mark.parametrize("returns", [[], [0.01], [0.0, 0.0, 0.0]])
def test_sharpe_without_variance_is_unknown(returns: list[float]) -> None:
    assert math.isnan(sharpe(pd.Series(returns, dtype=float)))


def test_daily_returns_go_from_one_utc_midnight_to_the_next() -> None:
    """A bar that opens at 23:00 closes the day."""
    index = pd.date_range(T0, periods=72, freq="1h")
    equity = pd.Series(100.0, index)
    equity.iloc[23:] = 110.0
    equity.iloc[47:] = 99.0
    equity.iloc[60] = 1_000.0
    assert daily_returns(equity, 100.0).tolist() == pytest.approx([0.1, -0.1, 0.0])


def _replayed(side: float) -> Replay:
    panel = random_panel(400, seed=51)
    frame = panel.close * 0.0
    wants = frame.copy()
    wants.iloc[::10] = side
    proposal = Proposal(wants, frame + 80.0, frame + 1.0, frame != 0.0)
    limits = Limits(max_correlation=1.0, max_position=0.1, max_deployed=0.4)
    return replay(panel, proposal, limits, Costs())


def test_expectancy_and_win_rate_are_those_of_closed_trades() -> None:
    """The known answer of ten returns: win rate 0.6, expectancy 0.0105, here as ten longs."""
    returns = [0.03, -0.02, 0.054, -0.02, 0.015, -0.02, 0.03, 0.015, -0.02, 0.041]
    legs = [
        (k, 0, way, 1.0, price)
        for j, gain in enumerate(returns)
        for k, way, price in ((2 * j, 1.0, 100.0), (2 * j + 1, -1.0, 100.0 * (1.0 + gain)))
    ]
    legs.append((20, 0, 1.0, 1.0, 100.0))  # still open: no trade yet
    records = np.array([[*leg, 0.0, a.WHY_ENTRY if leg[2] > 0 else a.WHY_EXIT] for leg in legs])
    base = _replayed(0.0).since(0)
    shown = replace(
        base, panel=base.panel.rows(0, 30), records=records, equity=base.equity.iloc[:30]
    )
    figures = summary(shown)
    assert figures["trades"] == 10
    assert figures["win rate"] == pytest.approx(0.6)
    assert figures["expectancy"] == pytest.approx(0.0105)
    assert figures["exposed"] == pytest.approx(20 / 30)  # ten odd hours flat, then open to the end


def test_a_summary_adds_up_with_its_replay() -> None:
    run = _replayed(1.0)
    figures = summary(run)
    closed = trades(run.fills)
    still_open = len(run.book.frame())
    assert figures["trades"] == len(closed) > 5
    assert len(closed) + still_open == (run.fills["reason"] == "entry").sum()
    assert figures["final equity"] == run.book.equity
    assert figures["total return"] == pytest.approx(run.book.equity / 10_000.0 - 1.0)
    assert figures["fees"] == pytest.approx(run.fills["fee"].sum())
    assert 0.0 < figures["exposed"] < 1.0
    if not still_open:
        assert closed["profit"].sum() == pytest.approx(run.book.equity - 10_000.0)


def test_profits_of_closed_trades_are_what_the_equity_gained() -> None:
    """Ask out of everything near the end, so that nothing is open at it."""
    run = _replayed(1.0)
    panel = run.panel
    leave = panel.close * 0.0 != 0.0
    leave.iloc[-20:] = True
    frame = panel.close * 0.0
    wants = frame.copy()
    wants.iloc[:-30:10] = 1.0
    limits = Limits(max_correlation=1.0, max_position=0.1, max_deployed=0.4)
    done = replay(panel, Proposal(wants, frame + 80.0, frame + 1.0, leave), limits, Costs())
    assert done.book.frame().empty
    assert trades(done.fills)["profit"].sum() == pytest.approx(done.book.equity - 10_000.0)


def test_a_run_without_fills_has_figures_too() -> None:
    figures = summary(_replayed(0.0))
    assert (figures["trades"], figures["fees"], figures["refused"]) == (0, 0.0, 0)
    assert (figures["total return"], figures["max drawdown"], figures["exposed"]) == (0, 0, 0)
    assert all(np.isnan(figures[name]) for name in ("win rate", "expectancy", "sharpe (365 d)"))
