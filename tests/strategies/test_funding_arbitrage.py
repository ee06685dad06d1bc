"""Funding arbitrage: its hurdle by hand, and every trade of 2023 against a ledger of both legs.

The ledger is written apart: it reads the raw files, holds coins, and knows no index.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.recorded import require_data
from workbench.data.lake import Lake
from workbench.data.recorded import import_recorded
from workbench.data.snapshot import load_world
from workbench.domain import Costs, Limits, Panel, Proposal, Votes
from workbench.research.metrics import trades
from workbench.research.replay import Replay, replay
from workbench.strategies.contract import check_strategy
from workbench.strategies.funding_arbitrage import funding_arbitrage, hurdle

ASSETS = ("ADA", "BTC", "ETH", "XRP")
PAIRS = [f"{asset}/USDT~carry" for asset in ASSETS]
FREE = Costs(half_spread=0.0, impact=0.0, taker_fee=0.0, maker_fee=0.0)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    """World 2023 of four pairs, out of a lake of the recorded files."""
    source, folder = require_data(), tmp_path_factory.mktemp("legs")
    for part in ("ohlcv/binance_spot/1h", "ohlcv/binance_perp/1h", "funding/binance"):
        for asset in ASSETS:
            link = folder / part / f"{asset}_USDT.parquet"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source / part / link.name)
    lake = Lake(tmp_path_factory.mktemp("carry_lake"))
    import_recorded(folder, lake, datetime(2025, 7, 1, 12, tzinfo=UTC))
    return load_world(lake, "binance_spot", PAIRS, "1h", "2023-01-01", "2024-01-31").panel


def replayed(panel: Panel, votes: Votes, costs: Costs) -> Replay:
    whole = pd.DataFrame(1.0, panel.index, panel.close.columns)
    proposal = Proposal(votes.side, votes.confidence, whole, votes.exit)
    return replay(panel, proposal, Limits(), costs)


# --- the ledger -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Files:
    """One asset's raw files by the hour: (open, high, low, close) of both legs, settled rates."""

    spot: dict[datetime, tuple[float, ...]]
    perp: dict[datetime, tuple[float, ...]]
    rate: dict[datetime, float]

    @classmethod
    @functools.cache
    def of(cls, data: Path, asset: str) -> Files:
        legs = []
        for venue in ("binance_spot", "binance_perp"):
            raw = pd.read_parquet(data / "ohlcv" / venue / "1h" / f"{asset}_USDT.parquet")
            prices = zip(raw["open"], raw["high"], raw["low"], raw["close"], strict=True)
            hours = [t.to_pydatetime() for t in raw["timestamp"]]
            legs.append(dict(zip(hours, prices, strict=True)))
        raw = pd.read_parquet(data / "funding/binance" / f"{asset}_USDT.parquet")
        hours = [t.round("1min").to_pydatetime() for t in raw["timestamp"]]
        return cls(legs[0], legs[1], dict(zip(hours, raw["funding_rate"].tolist(), strict=True)))

    def hours(self) -> list[datetime]:
        return sorted(set(self.spot) & set(self.perp))

    def settled(self, after: datetime, until: datetime) -> list[tuple[float, float]]:
        """Rate and price of what was settled from after one close up to an open."""
        count = int((until - after) / HOUR)
        times = [after + k * HOUR for k in range(1, count + 1)]
        return [(self.rate[t], self.perp[t - HOUR][3]) for t in times if t in self.rate]


class Ledger:
    """One pair held from the open of an hour: coins, both legs' marks, and what they are worth."""

    def __init__(self, files: Files, opened: datetime, worth: float) -> None:
        hours = files.hours()
        k = hours.index(opened)
        self.files, self.hours = files, hours[k:]
        spot, perp = files.spot[hours[k - 1]][3], files.perp[hours[k - 1]][3]
        # what was worth this much before the open, with half of it in coins
        change = (files.spot[opened][0] - spot) - (files.perp[opened][0] - perp)
        change += sum(rate * mark for rate, mark in self.due(hours[k - 1], opened))
        self.coins = worth / (2.0 * spot + change)
        self.worth, self.best = worth, worth
        self.spot, self.perp = files.spot[opened][0], files.perp[opened][0]
        self.before = opened

    def due(self, before: datetime, now: datetime) -> list[tuple[float, float]]:
        return self.files.settled(before, now)

    def at(self, spot: float, perp: float) -> float:
        return self.worth + self.coins * ((spot - self.spot) - (perp - self.perp))

    def move(self, spot: float, perp: float) -> float:
        self.worth, self.spot, self.perp = self.at(spot, perp), spot, perp
        return self.worth

    def run(self, entry: float, leaves: dict[datetime, str], limits: Limits) -> list[float]:
        """The worth at which each part left, by the rules of stop, rung and trail on the pair."""
        left: list[float] = []
        rung = False
        for hour in self.hours:
            spot, perp = self.files.spot[hour], self.files.perp[hour]
            if hour != self.before:
                self.coins = self.worth / 2.0 / self.spot
                for rate, mark in self.due(self.before, hour):
                    self.worth += self.coins * rate * mark
                self.move(spot[0], perp[0])
            self.before = hour
            begin, high, low = self.worth, self.at(spot[1], perp[1]), self.at(spot[2], perp[2])
            end = self.move(spot[3], perp[3])
            least, most = min(begin, high, low, end), max(begin, end)  # wicks only ever hurt
            why = leaves.get(hour, "")
            if why == "exit":
                return [*left, begin]
            level = self.best * (1.0 - limits.trail) if rung else entry * (1.0 - limits.stop)
            assert (least <= level) == (why in ("stop", "trail"))
            if why in ("stop", "trail"):
                return [*left, min(begin, level)]
            assert (most >= entry * (1.0 + limits.take_profit) and not rung) == (
                why == "take_profit"
            )
            if why == "take_profit":
                left.append(entry * (1.0 + limits.take_profit))
                rung = True
            self.best = max(self.best, most)
        raise AssertionError("the trade has no end")


def legs_of(files: Files, ledger: Ledger, hour: datetime) -> float:
    """What both legs' coins are worth at the open of an hour, together."""
    return ledger.coins * (files.spot[hour][0] + files.perp[hour][0])


# --- every trade of World 2023 ----------------------------------------------------------------


@pytest.fixture(scope="module")
def votes(panel: Panel) -> Votes:
    return funding_arbitrage(panel)


def test_every_trades_profit_is_that_of_a_ledger_of_both_legs(panel: Panel, votes: Votes) -> None:
    """Straight from the raw files, coin by coin and settlement by settlement, to 1e-9."""
    result = replayed(panel, votes, FREE)
    closed, fills, data = trades(result.fills), result.fills, require_data()
    assert len(closed) >= 5
    for trade in closed.itertuples():
        files = Files.of(data, str(trade.symbol).partition("/")[0])
        own = fills[(fills["symbol"] == trade.symbol) & fills["time"].between(
            trade.opened, trade.closed)].reset_index(drop=True)  # fmt: skip
        entry, out = own.iloc[0], own.iloc[1:]
        leaves = {
            t.to_pydatetime(): str(why) for t, why in zip(out["time"], out["reason"], strict=True)
        }
        ledger = Ledger(files, entry["time"].to_pydatetime(), float(entry["price"]))
        worths = ledger.run(float(entry["price"]), leaves, Limits())
        gain = sum(
            quantity * (worth - entry["price"])
            for quantity, worth in zip(out["quantity"], worths, strict=True)
        )
        assert trade.profit == pytest.approx(gain, rel=1e-9)
        assert own["fee"].sum() == 0.0


def test_the_taker_fee_on_the_pair_is_that_on_both_legs(panel: Panel, votes: Votes) -> None:
    """Exactly that on its notional, half in each leg; the coins' worth is off by the basis."""
    fee = Costs().taker_fee
    result = replayed(panel, votes, Costs(half_spread=0.0, impact=0.0))
    fills, data = result.fills, require_data()
    entries = fills[fills["reason"] == "entry"]
    assert len(entries) >= 6
    for fill in entries.itertuples():
        notional = fill.quantity * fill.price
        assert fill.fee == pytest.approx(fee * notional / 2.0 + fee * notional / 2.0, rel=1e-12)
        files = Files.of(data, str(fill.symbol).partition("/")[0])
        hour = fill.time.to_pydatetime()
        both = legs_of(files, Ledger(files, hour, float(notional)), hour)
        assert fill.fee == pytest.approx(fee * both, rel=3e-3)
    with_spread = replayed(panel, votes, Costs(half_spread=0.001, impact=0.0)).fills.iloc[0]
    quoted = panel.open.loc[with_spread["time"], with_spread["symbol"]]
    assert with_spread["price"] == pytest.approx(quoted * 1.001, rel=1e-12)


def test_it_keeps_what_a_strategy_promises(panel: Panel) -> None:
    check_strategy(funding_arbitrage, panel, samples=30)


def test_it_has_something_to_say_in_every_pair_of_2023(panel: Panel, votes: Votes) -> None:
    entries = votes.side.to_numpy() != 0
    assert entries.any(axis=0).all()
    assert set(np.unique(votes.side)) == {0, 1}
    sure = votes.confidence.to_numpy()[entries]
    assert 52.0 < sure.min() <= sure.max() <= 68.0
    assert votes.exit is not None
    leaves = votes.exit.to_numpy()
    assert leaves.any(axis=0).all()
    assert not (leaves & entries).any()
    assert (panel.context["funding_apr_3"].to_numpy()[leaves] < 0.0).all()


# --- by hand ----------------------------------------------------------------------------------


def small(last: list[float], mean: list[float], close: list[float] | None = None) -> Panel:
    index = pd.date_range("2023-01-01", periods=len(last), freq="1h", tz="UTC")

    def frame(values: list[float]) -> pd.DataFrame:
        return pd.DataFrame({"BTC/USDT~carry": values}, index)

    bars = frame(close or [100.0] * len(last))
    return Panel.from_frames(
        open=bars, high=bars, low=bars, close=bars, volume=bars,
        context={"funding_apr": frame(last), "funding_apr_3": frame(mean)},
    )  # fmt: skip


def test_three_basis_points_pay_four_legs_of_five_in_seven_intervals() -> None:
    """.03 % each 8 h are 32.85 % a year; 4 x .05 % are .2 %, which 7 of them pay and 6 do not."""
    apr = 0.0003 * 3 * 365
    assert apr == pytest.approx(0.3285)
    assert hurdle(7 * 8 / 24, 0.0005, 0.0) < apr < hurdle(6 * 8 / 24, 0.0005, 0.0)
    for intervals, enters in ((7, 1), (6, 0)):
        patient = funding_arbitrage.having(
            hold_days=intervals * 8 / 24, fee_rate=0.0005, basis_buffer=0.0
        )
        assert patient(small([0.0, apr], [0.0, apr])).side.iloc[1, 0] == enters


def test_it_enters_once_where_both_rates_come_to_exceed_the_hurdle() -> None:
    """0.5 % in 14 days are 13.04 % a year."""
    least = hurdle(14.0, 0.001, 0.001)
    assert least == pytest.approx(0.005 * 365 / 14)
    last = [0.0, 0.2, 0.2, 0.2, 0.1, 0.3, 0.3]
    mean = [0.0, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2]
    votes = funding_arbitrage(small(last, mean))
    assert votes.side["BTC/USDT~carry"].tolist() == [0, 0, 1, 0, 0, 1, 0]
    expected = 52.0 + 10.0 * (0.2 / least - 1.0)
    assert votes.confidence["BTC/USDT~carry"].iloc[[2, 5]].tolist() == pytest.approx([expected] * 2)
    assert votes.exit is not None
    assert not votes.exit.to_numpy().any()


def test_it_leaves_where_three_intervals_cost_money_and_says_nothing_of_the_unknown() -> None:
    unknown = float("nan")
    last = [0.2, -0.1, 0.2, unknown, 0.2, 0.2]
    mean = [0.0, 0.1, -0.1, unknown, unknown, 0.2]
    votes = funding_arbitrage(small(last, mean))
    assert votes.exit is not None
    assert votes.exit["BTC/USDT~carry"].tolist() == [False, False, True, False, False, False]
    assert votes.side["BTC/USDT~carry"].tolist() == [0, 0, 0, 0, 0, 1]


def test_a_bar_without_a_price_takes_no_vote_and_the_next_one_does() -> None:
    votes = funding_arbitrage(small([0.2] * 4, [0.0, 0.2, 0.2, 0.2], [100.0, np.nan, 100.0, 100.0]))
    assert votes.side["BTC/USDT~carry"].tolist() == [0, 0, 1, 0]


def test_it_is_silent_without_funding_and_on_spot() -> None:
    bars = pd.DataFrame({"BTC/USDT~carry": [100.0] * 3, "BTC/USDT": [100.0] * 3},
                        pd.date_range("2023-01-01", periods=3, freq="1h", tz="UTC"))  # fmt: skip
    panel = Panel.from_frames(open=bars, high=bars, low=bars, close=bars, volume=bars)
    assert not funding_arbitrage(panel).side.to_numpy().any()
    assert funding_arbitrage.silence(panel) == "nothing is known of funding_apr"
    told = panel.with_context(funding_apr=bars * 0.01, funding_apr_3=bars * 0.01)
    assert funding_arbitrage(told).side["BTC/USDT~carry"].tolist() == [0, 0, 0]
    assert not funding_arbitrage(told).side["BTC/USDT"].any()
