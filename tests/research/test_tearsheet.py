"""The tear sheet's figures: known answers, two libraries as oracles, and small cases by hand."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.panels import buy, flat, leave, world
from workbench.domain import Costs, Limits, UsageError
from workbench.research import tearsheet as ts
from workbench.research.metrics import sharpe, summary
from workbench.research.replay import Replay, replay

with warnings.catch_warnings():  # the vendors' own, at their import
    warnings.simplefilter("ignore")
    import empyrical
    import quantstats.stats as qs

T0 = pd.Timestamp("2023-01-01", tz="UTC")
RETURNS = [0.03, -0.02, 0.054, -0.02, 0.015, -0.02, 0.03, 0.015, -0.02, 0.041]
BUSY = Limits(max_correlation=1.0, max_position=0.5, max_deployed=1.0, max_entries_per_day=99.0,
              cooldown_bars=0.0, max_stopouts_per_day=99.0)  # fmt: skip
FREE = Costs(half_spread=0.0, impact=0.0, taker_fee=0.0, maker_fee=0.0)


def days(values: Any) -> pd.Series[float]:
    index = pd.date_range(T0, periods=len(values), freq="1D")
    return pd.Series(np.asarray(values, float), index)


def walk(seed: int) -> pd.Series[float]:
    """Two years of days with fat tails and a drift that depends on the seed."""
    rng = np.random.default_rng(seed)
    return days(0.01 * rng.standard_t(4, 730) + 0.0005 * (seed - 1))


@dataclass(frozen=True)
class Ran:
    """A run of which only the money is known."""

    equity: pd.Series[float]
    fills: pd.DataFrame
    capital: float = 100.0
    source: str = "by hand"
    synthetic: bool = False

    @property
    def blocks(self) -> pd.Series[int]:
        return pd.Series({"CLAMPED": 0, "STALE": 0})


def ran(returns: Any, *fills: tuple[Any, ...]) -> Ran:
    daily = days(returns)
    names = ["time", "symbol", "side", "quantity", "price", "fee", "reason"]
    frame = pd.DataFrame(list(fills), columns=names)
    frame["time"] = T0 + pd.to_timedelta(frame["time"].astype(int), unit="D")
    return Ran(100.0 * (1.0 + daily).cumprod(), frame)


def quantstats(name: str, *args: Any, **named: Any) -> Any:
    """The oracle, which warns of its own use of pandas and wants days without a zone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        naive = [a.tz_localize(None) if isinstance(a, pd.Series) else a for a in args]
        return getattr(qs, name)(*naive, **named)


Oracle = Callable[[Any], float]
BOTH: dict[str, tuple[Oracle, Oracle]] = {
    "CAGR": (
        lambda r: quantstats("cagr", r, periods=365),
        lambda r: empyrical.cagr(r, annualization=365),
    ),
    "volatility": (
        lambda r: quantstats("volatility", r, periods=365),
        lambda r: empyrical.annual_volatility(r, annualization=365),
    ),
    "Sharpe": (
        lambda r: quantstats("sharpe", r, periods=365),
        lambda r: empyrical.sharpe_ratio(r, annualization=365),
    ),
    "Sortino": (
        lambda r: quantstats("sortino", r, periods=365),
        lambda r: empyrical.sortino_ratio(r, annualization=365),
    ),
    "Calmar": (
        lambda r: quantstats("calmar", r, periods=365),
        lambda r: empyrical.calmar_ratio(r, annualization=365),
    ),
    "max drawdown (by day)": (lambda r: quantstats("max_drawdown", r), empyrical.max_drawdown),
    "omega": (lambda r: quantstats("omega", r, periods=365), empyrical.omega_ratio),
    "tail ratio": (lambda r: quantstats("tail_ratio", r), empyrical.tail_ratio),
    "total return": (lambda r: quantstats("comp", r), empyrical.cum_returns_final),
}
ONE: dict[str, Oracle] = {
    "skew": lambda r: quantstats("skew", r),
    "kurtosis (raw)": lambda r: quantstats("kurtosis", r) + 3.0,
    "gain to pain": lambda r: quantstats("gain_to_pain_ratio", r),
    "best day": lambda r: quantstats("best", r),
    "worst day": lambda r: quantstats("worst", r),
    "VaR 95 %": empyrical.value_at_risk,
    "CVaR 95 %": empyrical.conditional_value_at_risk,
}


@pytest.mark.parametrize("seed", range(4))
def test_where_quantstats_and_empyrical_agree_so_do_we(seed: int) -> None:
    returns = walk(seed)
    sheet = ts.tear_sheet(ran(returns))
    for name, oracles in BOTH.items():
        for oracle in oracles:
            assert sheet[name] == pytest.approx(float(oracle(returns)), abs=1e-9), name


@pytest.mark.parametrize("seed", range(4))
def test_figures_that_one_of_them_has_are_its_figures(seed: int) -> None:
    returns = walk(seed)
    sheet = ts.tear_sheet(ran(returns))
    for name, oracle in ONE.items():
        assert sheet[name] == pytest.approx(float(oracle(returns)), abs=1e-9), name


@pytest.mark.parametrize("seed", range(4))
def test_the_figures_of_trades_are_those_of_quantstats_on_their_returns(seed: int) -> None:
    gains = walk(seed)
    assert ts.profit_factor(gains) == pytest.approx(quantstats("profit_factor", gains), abs=1e-9)
    assert ts.payoff(gains) == pytest.approx(quantstats("payoff_ratio", gains), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_beta_and_correlation_are_everybodys_and_alpha_is_not_compounded(seed: int) -> None:
    """empyrical compounds a daily alpha over the year, quantstats multiplies it: so do we."""
    held = walk(seed + 10)
    own = 0.6 * held + walk(seed)
    beta, alpha = ts.beta_alpha(own, held)
    greeks = quantstats("greeks", own, held, periods=365)
    assert beta == pytest.approx(empyrical.beta(own, held), abs=1e-9)
    assert beta == pytest.approx(greeks["beta"], abs=1e-9)
    assert alpha == pytest.approx(greeks["alpha"], abs=1e-9)
    compounded = (1.0 + alpha / 365) ** 365 - 1.0
    assert compounded == pytest.approx(empyrical.alpha(own, held, annualization=365), abs=1e-9)
    prices = 50.0 * (1.0 + held).cumprod()
    sheet = ts.tear_sheet(ran(own), prices)
    whole = held.where(held.index > T0, 0.0)  # nobody held before the first close
    assert sheet["beta"] == pytest.approx(empyrical.beta(own, whole), abs=1e-9)
    assert sheet["correlation"] == pytest.approx(own.corr(whole), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_the_value_at_risk_is_historical_and_not_that_of_a_normal(seed: int) -> None:
    """Where the two libraries differ: quantstats fits a normal, empyrical counts days."""
    returns = walk(seed)
    fitted = quantstats("value_at_risk", returns)
    assert ts.value_at_risk(returns) != pytest.approx(fitted, abs=1e-4)
    below = float((returns < ts.value_at_risk(returns)).mean())
    assert below == pytest.approx(0.05, abs=1 / 730)


def test_value_at_risk_and_shortfall_by_hand() -> None:
    """Days -0.20 ... 0.20 in steps of 0.01: 41 of them, so the quantile lies on the third."""
    returns = days(np.arange(-20, 21) / 100.0)
    assert ts.value_at_risk(returns) == pytest.approx(-0.18)
    assert ts.expected_shortfall(returns) == pytest.approx((-0.20 - 0.19 - 0.18) / 3)


@pytest.mark.parametrize("seed", range(2))
def test_months_are_those_of_empyrical(seed: int) -> None:
    returns = walk(seed).iloc[40:]
    table = ts.monthly(returns)
    theirs = empyrical.aggregate_returns(returns, "monthly")
    for (year, month), value in theirs.items():
        assert table.loc[year, ts.MONTHS[month - 1]] == pytest.approx(value, abs=1e-9)
    assert math.isnan(table.loc[2023, "Jan"])  # not a day of it
    years = empyrical.aggregate_returns(returns, "yearly")
    assert table["year"].tolist() == pytest.approx(years.tolist(), abs=1e-9)


def known(case: str) -> dict[str, Any]:
    """A case of the shared known answers, written out: the file is not part of the tree."""
    return {
        "sharpe-365": {
            "returns": [0.01, -0.005, 0.02, -0.015, 0.007, 0.003, -0.01, 0.012],
            "sharpe": 4.4145027, "sortino": 7.94310123,
        },
        "max-drawdown": {"equity": [100, 120, 90, 130, 80], "max_drawdown": -0.38461538},
        "expectancy": {
            "returns": RETURNS, "expectancy": 0.0105, "payoff": 1.54166667,
            "profit_factor": 2.3125, "t_ci_95": [-0.00993538, 0.03093538],
        },
    }[case]  # fmt: skip


def test_sharpe_and_sortino_have_the_known_answer() -> None:
    case = known("sharpe-365")
    sheet = ts.tear_sheet(ran(case["returns"]))
    assert sheet["Sharpe"] == pytest.approx(case["sharpe"], abs=1e-6)
    assert sheet["Sortino"] == pytest.approx(case["sortino"], abs=1e-6)
    assert sheet["Sharpe"] == sharpe(sheet.returns)


def test_the_deepest_drawdown_has_the_known_answer_and_its_days() -> None:
    """100 120 90 130 80: from the fourth day to the fifth, and not recovered."""
    case = known("max-drawdown")
    equity = pd.Series(case["equity"], dtype=float)
    sheet = ts.tear_sheet(ran(equity / equity.shift(1, fill_value=100.0) - 1.0))
    assert sheet["max drawdown (by day)"] == pytest.approx(case["max_drawdown"], abs=1e-7)
    deepest, other = sheet.drawdowns.to_dict("records")
    assert (deepest["peak"], deepest["trough"]) == (
        T0 + pd.Timedelta("3D"),
        T0 + pd.Timedelta("4D"),
    )
    assert deepest["recovered"] is pd.NaT
    assert (deepest["days"], sheet["max drawdown length"]) == (1, 1)
    assert (other["depth"], other["days"]) == (pytest.approx(-0.25), 2)
    assert other["recovered"] == T0 + pd.Timedelta("3D")
    assert sheet["average drawdown"] == pytest.approx((-0.25 - 0.3846153846) / 2)
    assert sheet["longest under water"] == 2


def test_the_capital_is_the_first_peak() -> None:
    """A run that only ever lost: as deep as its loss, under water from the day before it."""
    sheet = ts.tear_sheet(ran([-0.1, -0.1, 0.0]))
    assert sheet["max drawdown (by day)"] == pytest.approx(0.81 - 1.0)
    [only] = sheet.drawdowns.to_dict("records")
    assert only["peak"] == T0 - pd.Timedelta(days=1)
    assert (only["days"], only["trough"]) == (3, T0 + pd.Timedelta(days=1))


def test_expectancy_its_interval_and_payoff_have_the_known_answer() -> None:
    case = known("expectancy")
    fills = [
        leg
        for k, gain in enumerate(case["returns"])
        for leg in (
            (2 * k, "A", "buy", 1.0, 100.0, 0.0, "entry"),
            (2 * k + 1, "A", "sell", 1.0, 100.0 * (1.0 + gain), 0.0, "exit"),
        )
    ]
    sheet = ts.tear_sheet(ran([0.001] * 20, *fills))
    assert sheet["expectancy"] == pytest.approx(case["expectancy"], abs=1e-7)
    interval = [sheet["expectancy, 95 % from"], sheet["expectancy, 95 % to"]]
    assert interval == pytest.approx(case["t_ci_95"], abs=1e-7)
    assert sheet["payoff"] == pytest.approx(case["payoff"], abs=1e-7)
    assert sheet["profit factor"] == pytest.approx(case["profit_factor"], abs=1e-7)
    assert sheet["mean holding time"] == 24.0
    assert (sheet["win rate"], sheet["trades"]) == (0.6, 10)


def test_turnover_and_fees_by_hand() -> None:
    """One trade of 50 in and 55 out with a fee of 1 each way, over ten flat days at 100."""
    legs = (
        (0, "A", "buy", 1.0, 50.0, 1.0, "entry"),
        (1, "A", "sell", 1.0, 55.0, 1.0, "exit"),
        (5, "A", "buy", 1.0, 45.0, 0.5, "entry"),
    )  # the last is open: its fee is paid, but by no closed trade
    sheet = ts.tear_sheet(ran([0.0] * 10, *legs))
    assert sheet["fees"] == 2.5
    assert sheet["fees of gross profit"] == pytest.approx(2.0 / 5.0)
    assert sheet["turnover a year"] == pytest.approx((50 + 55 + 45) / 100 * 36.5)


def test_positive_days_count_every_day_and_gain_to_pain_is_omega_less_one() -> None:
    """quantstats' win_rate leaves days at 0 out; here a day at 0 is a day."""
    sheet = ts.tear_sheet(ran([0.03, 0.0, -0.01, 0.01]))
    assert sheet["positive days"] == 0.5
    assert (sheet["omega"], sheet["gain to pain"]) == (pytest.approx(4.0), pytest.approx(3.0))


def test_too_few_days_are_said_and_not_computed() -> None:
    sheet = ts.tear_sheet(ran([0.01]))
    figures = sheet.figures
    assert figures.at["Sharpe", "says"] == "not computable: n = 1, needs 2"
    assert figures.at["VaR 95 %", "says"] == "not computable: n = 1, needs 20"
    assert figures.at["expectancy", "says"] == "not computable: n = 0, needs 1"
    assert figures.at["total return", "says"] == ""
    assert (figures["value"].isna() == (figures["says"] != "")).all()


@pytest.mark.parametrize(
    ("returns", "name", "why"),
    [
        ([0.0] * 5, "Sharpe", "the days do not vary"),
        ([0.0] * 5, "skew", "the days do not vary"),
        ([0.01, 0.02], "Sortino", "no losing day"),
        ([0.01, 0.02], "omega", "no losing day"),
        ([0.01, 0.02], "Calmar", "no drawdown"),
        ([0.01, 0.02], "max drawdown length", "no drawdown"),
        ([0.01, -1.0, 0.0], "CAGR", "the equity fell to 0 or below"),
    ],
)
def test_what_has_no_finite_value_says_why(returns: list[float], name: str, why: str) -> None:
    sheet = ts.tear_sheet(ran(returns))
    assert math.isnan(sheet[name])
    assert sheet.figures.at[name, "says"] == f"not computable: {why}"


def test_trades_that_only_won_have_no_profit_factor() -> None:
    legs = ((0, "A", "buy", 1.0, 50.0, 0.0, "entry"), (1, "A", "sell", 1.0, 55.0, 0.0, "exit"))
    figures = ts.tear_sheet(ran([0.0] * 3, *legs)).figures
    assert figures.at["profit factor", "says"] == "not computable: no losing trade"
    assert figures.at["payoff", "says"] == "not computable: n = 1, needs 2"


def test_an_equity_that_is_wiped_out_has_a_sheet() -> None:
    run = ran([0.01, 0.02, 0.03])
    gone = replace(run, equity=run.equity * [1.0, 0.0, 0.0])
    sheet = ts.tear_sheet(gone)
    assert sheet["max drawdown (by day)"] == -1.0
    assert sheet["max drawdown length"] == 2
    assert math.isnan(sheet["Sharpe"]) or sheet["Sharpe"] < 0.0


def replayed() -> Replay:
    """Six days of a price that goes up; bought on the first, left on the third."""
    bars = {"A": [*flat(100.0, 24), *flat(101.0, 24), *flat(102.0, 96)]}
    made = world(bars)
    return replay(made.panel, made.proposal(buy("A", 2), leave("A", 50)), BUSY, FREE)


def test_the_sheet_of_a_replay_says_what_its_summary_says() -> None:
    run = replayed()
    sheet, told = ts.tear_sheet(run, run.panel.close["A"]), summary(run)
    assert sheet["total return"] == pytest.approx(told["total return"])
    assert sheet["total return"] == pytest.approx(0.5 * 0.02)  # half the equity, two per cent
    assert sheet["Sharpe"] == told["sharpe (365 d)"]
    assert sheet["exposed"] == told["exposed"] > 0.0
    assert (sheet["trades"], sheet["days"]) == (1, 6)
    assert sheet["benchmark return"] == pytest.approx(0.02)
    assert sheet["benchmark max drawdown"] == 0.0
    assert sheet.benchmark is not None
    assert sheet.benchmark.name == "A"
    assert repr(sheet) == "<TearSheet of a run: 6 days, 1 trades>"


def test_a_day_without_a_bar_is_a_day_without_a_return() -> None:
    run = ran([0.01, 0.02, 0.03, 0.01])
    gap = replace(run, equity=run.equity.drop(run.equity.index[1]))
    sheet = ts.tear_sheet(gap)
    assert sheet["days"] == 4
    assert sheet.returns.tolist() == pytest.approx([0.01, 0.0, 1.02 * 1.03 - 1.0, 0.01])


def test_a_benchmark_that_was_never_priced_and_a_run_without_bars_are_refused() -> None:
    run = ran([0.01, 0.02])
    with pytest.raises(UsageError, match="benchmark 'B' has no price on the bars"):
        ts.tear_sheet(run, pd.Series([math.nan] * 2, run.equity.index, name="B"))
    with pytest.raises(UsageError, match="the run has no bars"):
        ts.tear_sheet(replace(run, equity=run.equity.iloc[:0]))
