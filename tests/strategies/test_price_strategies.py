"""Six definitions: worked by hand, against a second version in plain pandas, and on bad input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.peer_votes import PEERS
from tests.strategies import random_panel
from workbench.data.lake import Lake
from workbench.data.snapshot import load_world
from workbench.domain import Panel, Snapshot, parse_timeframe
from workbench.strategies.bollinger_squeeze import bollinger_squeeze, bollinger_squeeze_breakout
from workbench.strategies.contract import check_strategy
from workbench.strategies.ema_adx import ema_adx
from workbench.strategies.indicators import channel
from workbench.strategies.macro_trend import macro_trend
from workbench.strategies.momentum_breakout import momentum_breakout
from workbench.strategies.regime import with_regime
from workbench.strategies.rsi_bounce import rsi_bounce
from workbench.strategies.vote import Strategy
from workbench.strategies.whale_flow import whale_flow

OURS = (
    momentum_breakout, ema_adx, macro_trend, rsi_bounce, bollinger_squeeze,
    bollinger_squeeze_breakout, whale_flow,
)  # fmt: skip
ours = pytest.mark.parametrize("voter", OURS, ids=lambda s: s.name)
COLUMNS = ("open", "high", "low", "close", "volume")
CONTEXT = {macro_trend.name: ("dxy", "vix"), whale_flow.name: ("whale_flow", "netflow")}


def bars(
    closes: Mapping[str, Sequence[float]], timeframe: str = "1h", reach: float = 0.0,
    volume: Sequence[float] | None = None, **context: Any,
) -> Panel:  # fmt: skip
    """A panel of these closes; highs and lows stand `reach` off them."""
    length = len(next(iter(closes.values())))
    step = parse_timeframe(timeframe)
    index = pd.date_range("2022-01-01", periods=length, freq=step, tz="UTC")
    close = pd.DataFrame(closes, index, dtype=float)
    heard = np.ones(length) if volume is None else np.array(volume)
    joined = {name: _context(values, close) for name, values in context.items()}
    return Panel.from_frames(
        open=close, high=close + reach, low=close - reach, close=close,
        volume=pd.DataFrame(dict.fromkeys(closes, heard), index), timeframe=timeframe,
        context=joined,
    )  # fmt: skip


def _context(values: Any, close: pd.DataFrame) -> Any:
    if isinstance(values, Mapping):
        return pd.DataFrame(values, close.index, close.columns, dtype=float)
    return pd.Series(values, close.index, dtype=float)


def sides(voter: Strategy, panel: Panel, symbol: str | None = None) -> dict[int, int]:
    """Votes by row, as the function casts them on a panel shorter than its lookback."""
    side = voter.function(panel).side[symbol or panel.symbols[0]].to_numpy()
    return {int(t): int(side[t]) for t in np.flatnonzero(side)}


def sureness(voter: Strategy, panel: Panel, row: int) -> float:
    return float(voter.function(panel).confidence.iloc[row, 0])


def mirrored(panel: Panel) -> Panel:
    """Prices reflected at 100."""
    return Panel.from_frames(
        open=200 - panel.open, high=200 - panel.low, low=200 - panel.high,
        close=200 - panel.close, volume=panel.volume, timeframe=panel.timeframe,
        context=panel.context,
    )  # fmt: skip


# --- momentum_breakout ----------------------------------------------------------------------------


def breakout(volumes: Sequence[float] = (30.0, 30.0)) -> Panel:
    """Forty bars of 99 to 101 on volume 10, then closes of 102 and 104."""
    closes = [100.0] * 40 + [102.0, 104.0]
    panel = bars({"BTC/USDT": closes}, reach=1.0, volume=[10.0] * 40 + list(volumes))
    panel.high.iloc[40:], panel.low.iloc[40:] = panel.close.iloc[40:], panel.close.iloc[40:] - 3.0
    return panel


def test_a_breakout_votes_once_and_as_sure_as_it_is_far() -> None:
    """1 outside; true ranges of 2 and one of 3 make ATR14 (13 * 2 + 3) / 14."""
    assert sides(momentum_breakout, breakout()) == {40: 1}
    expected = 55.0 + 10.0 * 1.0 / ((13 * 2 + 3) / 14)
    assert sureness(momentum_breakout, breakout(), 40) == pytest.approx(expected)


def test_a_close_is_never_outside_the_channel_of_its_own_bar() -> None:
    panel = breakout()
    upper = channel(panel.high, panel.low, panel.close).upper
    assert not (panel.close > upper).any(axis=None)


def test_a_breakdown_is_the_mirror_image() -> None:
    assert sides(momentum_breakout, mirrored(breakout())) == {40: -1}
    assert sureness(momentum_breakout, mirrored(breakout()), 40) == pytest.approx(
        sureness(momentum_breakout, breakout(), 40)
    )


@pytest.mark.parametrize(("volume", "voted"), [(10.0, False), (15.3, False), (15.5, True)])
def test_a_breakout_wants_half_as_much_volume_again(volume: float, voted: bool) -> None:
    """1.5 times (19 * 10 + v) / 20 is 15.405 at v = 15.4, the last that does not do."""
    assert bool(sides(momentum_breakout, breakout((volume, 10.0)))) is voted


def test_a_breakout_without_volume_is_not_made_up_for_by_the_bar_after_it() -> None:
    assert sides(momentum_breakout, breakout((10.0, 90.0))) == {}


def test_a_missing_bar_takes_no_vote_and_counts_as_one_in_which_nobody_traded() -> None:
    """Its volume is 0; a bar of 1 before one of 9 would do as well."""
    closes, volumes = [100.0] * 40 + [np.nan, 104.0], [10.0] * 40 + [np.nan, 90.0]
    panel = bars({"BTC/USDT": closes}, reach=0.5, volume=volumes)
    assert sides(momentum_breakout, panel) == {41: 1}
    traded = bars({"BTC/USDT": [*closes[:40], 100.0, 104.0]}, reach=0.5, volume=[1.0] * 41 + [9.0])
    assert sides(momentum_breakout, traded) == {41: 1}


# --- bollinger_squeeze ----------------------------------------------------------------------------


def to_and_fro(size: float, count: int) -> list[float]:
    return [100.0 + size * (-1) ** k for k in range(count)]


def after_squeeze(*closes: float) -> Panel:
    """A hundred and thirty bars of 1 up and down, thirty of 0.2, then these."""
    quiet = to_and_fro(1.0, 130) + to_and_fro(0.2, 30)
    return bars({"BTC/USDT": [*quiet, *closes]}, reach=0.3)


def half_widths(closes: pd.DataFrame) -> float:
    """How far the last close is off its mean of 20, in two population deviations."""
    last = closes.iloc[-20:, 0].to_numpy()
    return float(abs(last[-1] - last.mean()) / (2.0 * np.sqrt(((last - last.mean()) ** 2).mean())))


def test_the_first_close_outside_after_a_squeeze_votes_once() -> None:
    up = after_squeeze(103.0, 104.0, 105.0)
    assert sides(bollinger_squeeze_breakout, up) == {160: 1}
    assert sides(bollinger_squeeze_breakout, mirrored(up)) == {160: -1}


def test_a_close_outside_that_no_squeeze_came_before_does_not_vote() -> None:
    calm_first = to_and_fro(0.2, 130) + to_and_fro(1.0, 30)
    panel = bars({"BTC/USDT": [*calm_first, 106.0]}, reach=0.3)
    assert half_widths(panel.close) > 1.0
    assert sides(bollinger_squeeze_breakout, panel) == {}


@pytest.mark.parametrize(("wait", "votes"), [(9, {169: 1}), (10, {})])
def test_a_squeeze_is_forgotten_after_ten_bars(wait: int, votes: dict[int, int]) -> None:
    """Bars of 0.3 are wider than the squeeze and inside the bands."""
    panel = after_squeeze(*to_and_fro(0.3, wait), 104.0)
    assert sides(bollinger_squeeze_breakout, panel) == votes


def test_a_close_outside_against_the_move_of_twenty_bars_does_not_vote() -> None:
    """The close of 20 bars ago is made higher than the breakout's."""
    panel = after_squeeze(103.0)
    assert sides(bollinger_squeeze_breakout, panel) == {160: 1}
    panel.close.iloc[140] = panel.high.iloc[140] = 103.5
    assert half_widths(panel.close) > 1.0
    assert sides(bollinger_squeeze_breakout, panel) == {}


def test_a_head_fake_is_faded_towards_the_middle() -> None:
    panel = after_squeeze(101.0, 100.0)
    outside = half_widths(panel.close.iloc[:-1]) - 1.0
    assert outside > 0.0
    assert sides(bollinger_squeeze, panel) == {161: -1}
    assert sides(bollinger_squeeze, mirrored(panel)) == {161: 1}
    assert sureness(bollinger_squeeze, panel, 161) == pytest.approx(
        min(52.0 + 20.0 * outside, 66.0)
    )


def test_a_close_that_stays_outside_or_a_trend_is_no_head_fake() -> None:
    assert sides(bollinger_squeeze, after_squeeze(101.0, 102.0)) == {}
    strict = bollinger_squeeze.function(after_squeeze(101.0, 100.0), adx_max=0.0)
    assert not strict.side.any(axis=None)


# --- ema_adx and rsi_bounce -----------------------------------------------------------------------


def test_the_trend_votes_on_the_first_bar_on_which_all_agree() -> None:
    """Flat, then 1 higher a bar: DX is 0, then 100, and ADX 100 * (1 - (13 / 14) ** k) after k
    such bars; the fourth, bar 63, is the first with 25 or more."""
    rising = bars({"BTC/USDT": np.r_[np.full(60, 100.0), 100.0 + np.arange(1, 41)]}, reach=0.5)
    assert sides(ema_adx, rising) == {63: 1}
    assert sides(ema_adx, mirrored(rising)) == {63: -1}
    strength = 100.0 * (1.0 - (13 / 14) ** 4)
    assert sureness(ema_adx, rising, 63) == pytest.approx(55.0 + 0.6 * (strength - 25.0))


def test_the_bounce_votes_on_the_cross_back_and_not_while_oversold() -> None:
    falling = [100.0 - k for k in range(30)]
    panel = bars({"BTC/USDT": [*falling, 72.0, 76.0, 80.0, 84.0]})
    assert set(sides(rsi_bounce, bars({"BTC/USDT": falling}))) == set()
    votes = sides(rsi_bounce, panel)
    assert list(votes.values()) == [1]
    assert min(votes) >= 30
    assert list(sides(rsi_bounce, mirrored(panel)).values()) == [-1]


# --- whale_flow -----------------------------------------------------------------------------------


def flows(last: Sequence[float], days: int = 40) -> list[float]:
    """A million in and out by turns, then these."""
    return [1e6 * (-1) ** k for k in range(days)] + list(last)


def flow_panel(**context: Sequence[float]) -> Panel:
    length = len(next(iter(context.values())))
    told = {name: {"BTC/USDT": values} for name, values in context.items()}
    return bars({"BTC/USDT": [100.0] * length}, "1d", **told)


def test_an_inflow_is_bearish_and_an_outflow_bullish_where_they_begin() -> None:
    assert sides(whale_flow, flow_panel(netflow=flows([5e6, 5e6, 5e6]))) == {40: -1}
    assert sides(whale_flow, flow_panel(netflow=flows([-5e6, -5e6, -5e6]))) == {40: 1}


def test_the_flow_is_measured_against_its_own_thirty_days() -> None:
    """29 days of 1 in and out (one more out: the sum is -1) and a day of 5: mean 4/30, mean square
    (29 + 25) / 30."""
    panel = flow_panel(netflow=flows([5e6], days=39 + 1))
    mean, square = (-1.0 + 5.0) / 30, (29.0 + 25.0) / 30
    z = (5.0 - mean) / np.sqrt(square - mean**2)
    assert sureness(whale_flow, panel, 40) == pytest.approx(52.0 + 3.0 * (z - 2.0))


def test_large_transfers_count_before_the_day_of_all_flows_and_alone() -> None:
    quiet, flood, unknown = flows([1e6]), flows([9e6]), [np.nan] * 41
    assert sides(whale_flow, flow_panel(whale_flow=quiet, netflow=flood)) == {}
    assert sides(whale_flow, flow_panel(whale_flow=flood, netflow=quiet)) == {40: -1}
    assert sides(whale_flow, flow_panel(whale_flow=unknown, netflow=flood)) == {40: -1}


def test_a_flow_that_only_becomes_known_has_not_begun() -> None:
    """The 22nd value is the first that can be compared with anything."""
    late = [np.nan] * 10 + flows([], days=21) + [9e6, 9e6]
    assert sides(whale_flow, flow_panel(netflow=late)) == {}
    assert sides(whale_flow, flow_panel(netflow=[np.nan] * 9 + flows([], days=22) + [9e6])) == {
        31: -1
    }


def test_a_feed_that_repeats_itself_or_is_not_there_says_nothing() -> None:
    assert sides(whale_flow, flow_panel(netflow=[3e8] * 60)) == {}
    assert sides(whale_flow, flow_panel(netflow=flows([0.3e6] * 80))) == {}
    assert sides(whale_flow, bars({"BTC/USDT": [100.0] * 60}, "1d")) == {}


# --- macro_trend ----------------------------------------------------------------------------------

DAYS = 400
TURN = 380  # the day that lifts ETH above its close of 28 days before


def weekdays(values: Sequence[float], start: str = "2022-01-01") -> np.ndarray:
    """A daily series as it stands when each day ends: Friday's value over the weekend."""
    index = pd.date_range(start, periods=len(values), freq="1D")
    series = pd.Series(values, index, dtype=float)
    return series.where(index.day_of_week < 5).ffill().bfill().to_numpy()


def macro_panel(bars_a_day: int = 1, turn: Sequence[float] | None = None, **context: Any) -> Panel:
    """BTC rises; ETH falls until the day TURN, in which its closes are `turn`; a falling dollar."""
    ether = np.repeat(1000.0 - np.arange(DAYS), bars_a_day)
    ether[TURN * bars_a_day :] = 2000.0
    ether[TURN * bars_a_day : (TURN + 1) * bars_a_day] = turn or [2000.0] * bars_a_day
    bitcoin = np.repeat(100.0 + np.arange(DAYS), bars_a_day)
    told = {"dxy": weekdays(110.0 - 0.01 * np.arange(DAYS))} | context
    return bars(
        {"BTC/USDT": bitcoin, "ETH/USDT": ether}, f"{24 // bars_a_day}h",
        **{name: np.repeat(values, bars_a_day) for name, values in told.items()},
    )  # fmt: skip


def ether(panel: Panel) -> dict[int, int]:
    return sides(macro_trend, panel, "ETH/USDT")


def test_the_first_day_on_which_all_agree_is_voted_on_at_its_last_close() -> None:
    assert ether(macro_panel()) == {TURN: 1}
    assert ether(macro_panel(bars_a_day=2)) == {2 * TURN + 1: 1}
    rise = 2000.0 / (1000.0 - (TURN - 28)) - 1.0
    votes = macro_trend.function(macro_panel())
    assert votes.confidence["ETH/USDT"].iloc[TURN] == min(52.0 + 50.0 * rise, 66.0)


def test_a_day_that_is_going_on_is_not_used() -> None:
    """Its first close rises, its last does not: the day after is the one that begins."""
    assert ether(macro_panel(bars_a_day=2, turn=(2000.0, 500.0))) == {2 * TURN + 3: 1}
    assert ether(macro_panel(bars_a_day=2, turn=(500.0, 2000.0))) == {2 * TURN + 1: 1}


def test_bitcoin_must_be_above_its_mean_and_the_dollar_not_above_twenty_days_ago() -> None:
    panel = macro_panel()
    panel.close.loc[panel.index[TURN:], "BTC/USDT"] = 50.0
    assert ether(panel) == {}
    assert ether(macro_panel(dxy=weekdays(90.0 + 0.01 * np.arange(DAYS)))) == {}


@pytest.mark.parametrize("bars_a_day", [1, 6])
def test_the_dollars_slope_is_over_twenty_calendar_days(bars_a_day: int) -> None:
    """It rises all along but for one step down: seen on TURN while the day before the step is 20
    days back, be they business days or not, and no longer when it is 21."""
    days = np.arange(DAYS)
    for step, votes in ((TURN - 20, {bars_a_day * (TURN + 1) - 1: 1}), (TURN - 21, {})):
        dollar = 100.0 + 0.001 * days + np.where(days <= step, 1.0, 0.0)
        assert ether(macro_panel(bars_a_day, dxy=dollar)) == votes


def test_a_weekend_in_which_the_dollar_rests_moves_nothing() -> None:
    """TURN is a Monday; a day later, or on the Sunday before, the vote is that day's."""
    dollar = weekdays(110.0 - 0.01 * np.arange(DAYS))
    assert dollar[TURN - 1] == dollar[TURN - 3] > dollar[TURN]
    dear = dollar.copy()
    dear[TURN - 22 : TURN - 19] = 50.0  # Friday's value, over the weekend 20 days before
    assert ether(macro_panel(dxy=dollar)) == {TURN: 1}
    assert ether(macro_panel(dxy=dear)) == {TURN + 1: 1}


def test_a_dollar_that_stands_still_for_a_week_is_a_feed_that_fell_silent() -> None:
    dollar = weekdays(110.0 - 0.01 * np.arange(DAYS))
    for silent, votes in ((5, {TURN: 1}), (7, {})):
        stopped = dollar.copy()
        stopped[TURN - silent :] = stopped[TURN - silent]
        assert ether(macro_panel(dxy=stopped)) == votes


@pytest.mark.parametrize(
    ("vix", "votes"), [(15.0, {TURN: 1}), (30.0, {}), (np.nan, {})], ids=["calm", "wild", "unknown"]
)
def test_where_vix_is_told_it_must_be_known_and_calm(vix: float, votes: dict[int, int]) -> None:
    series = np.tile([14.0, 16.0, 18.0, 20.0], DAYS // 4)
    series[TURN - 2 :] = vix
    assert ether(macro_panel(vix=series)) == votes


def test_without_bitcoin_or_the_dollar_there_are_no_votes() -> None:
    panel = macro_panel()
    assert sides(macro_trend, panel.columns(["ETH/USDT"])) == {}
    assert not macro_trend(bars({"BTC/USDT": [1.0] * 500}, "1d")).side.any(axis=None)
    assert "dxy" in macro_trend.silence(bars({"BTC/USDT": [1.0] * 500}, "1d"))


# --- all of them ----------------------------------------------------------------------------------


def told(panel: Panel, seed: int = 0) -> Panel:
    """The panel with made-up context: macro series by the day, flows by the bar, with gaps."""
    rng = np.random.default_rng(seed)
    days = panel.open_days - panel.open_days[:1]
    macro = {
        name: pd.Series((level * np.exp(np.cumsum(rng.normal(0, size, days[-1:].sum() + 1))))[days],
                        panel.index)
        for name, level, size in (("dxy", 100.0, 0.004), ("vix", 18.0, 0.06))
    }  # fmt: skip
    flow = {}
    for name in ("whale_flow", "netflow"):
        values = 1e6 * rng.standard_t(3, panel.close.shape)
        values[: len(panel) // 2, 1 if name == "netflow" else 0] = np.nan
        flow[name] = pd.DataFrame(values, panel.index, panel.close.columns)
    return panel.with_context(**macro, **flow)


def retimed(panel: Panel, step: pd.Timedelta) -> Panel:
    """The same bars, as long as this."""
    index = pd.date_range(panel.index[0], periods=len(panel), freq=step)
    frames = {n: getattr(panel, n).set_axis(index) for n in COLUMNS}
    return Panel.from_frames(**frames, timeframe=step)


def same_as_peer(voter: Strategy, panel: Panel) -> int:
    """Assert equal votes from the lookback on; the number of votes."""
    votes, (side, confidence) = voter(panel), PEERS[voter.name](panel)
    own = slice(voter.bars(panel.timeframe) - 1, None)
    np.testing.assert_array_equal(votes.side.to_numpy()[own], side.to_numpy()[own])
    np.testing.assert_allclose(
        votes.confidence.to_numpy()[own], confidence.to_numpy()[own], rtol=1e-6
    )
    return int((side.to_numpy()[own] != 0).sum())


@pytest.fixture(scope="module")
def recorded(recorded_lake: Lake) -> Panel:
    """Eight assets, 2022 and 2023: a year of votes after a year of history."""
    return load_world(recorded_lake, "binance_spot", [], "1h", "2022-01-01", "2023-12-31").panel


@ours
def test_votes_are_those_of_the_plain_version_on_recorded_prices(
    voter: Strategy, recorded: Panel
) -> None:
    panel = recorded if voter is macro_trend else recorded.tail(366 * 24 + 800)
    assert same_as_peer(voter, panel) > 20


@ours
def test_votes_are_those_of_the_plain_version_on_prices_with_holes(voter: Strategy) -> None:
    panel = random_panel(3_000, seed=8, holes=0.05, timeframe="4h")
    assert same_as_peer(voter, told(panel)) > 5


@ours
def test_they_keep_the_contract_on_recorded_prices(voter: Strategy, recorded: Panel) -> None:
    panel = recorded.tail(2 * 366 * 24 if voter is macro_trend else 4_000)
    assert voter(panel).side.any(axis=None)
    check_strategy(voter, panel, samples=10)


@ours
@pytest.mark.parametrize(("timeframe", "days"), [("15m", 40), ("4h", 500), ("1d", 1_200)])
def test_they_vote_and_keep_the_contract_in_every_timeframe(
    voter: Strategy, timeframe: str, days: int
) -> None:
    step = parse_timeframe(timeframe)
    length = round(pd.Timedelta(days=800 if voter is macro_trend else days) / step)
    panel = told(retimed(random_panel(length, seed=4), step))
    votes = voter(panel).side.to_numpy()
    assert votes.any()
    assert not votes[: voter.bars(panel.timeframe) - 1].any()
    check_strategy(voter, panel, samples=2)


@ours
def test_each_votes_at_a_sane_rate_on_recorded_hours(voter: Strategy, recorded: Panel) -> None:
    """Between one cell in two thousand and one in twenty of the markets it hears about."""
    votes = voter(recorded).side.to_numpy()[voter.bars(recorded.timeframe) :]
    heard = votes[:, [recorded.symbols.index("BTC/USDT")]] if voter is whale_flow else votes
    assert 0.0005 < (heard != 0).mean() < 0.05


@ours
def test_the_last_bar_alone_says_what_the_whole_history_does(
    voter: Strategy, recorded: Panel
) -> None:
    panel = with_regime(recorded)
    votes = voter(panel)
    rows = np.flatnonzero(votes.side.to_numpy()[9_000:].any(axis=1))[:5] + 9_000
    for t in rows.tolist():
        signals = voter.signals(Snapshot(panel.close_times[t], panel.rows(0, t + 1)))
        said = {s.symbol: s.side for s in signals}
        row = votes.side.iloc[t]
        assert said == row[row != 0].to_dict()


@ours
@pytest.mark.parametrize("length", [0, 1, 2, 15, 21, 40, 130])
def test_a_panel_shorter_than_its_windows_is_no_error(voter: Strategy, length: int) -> None:
    panel = told(random_panel(150, seed=1)).rows(0, length)
    votes = voter(panel)
    assert votes.side.shape == (length, 3)
    assert not votes.side.any(axis=None)
    assert voter.function(panel).side.shape == (length, 3)


@ours
def test_an_asset_without_prices_takes_no_vote_and_changes_no_other(voter: Strategy) -> None:
    panel = told(random_panel(3_000, seed=2, timeframe="4h"))
    frames = {n: getattr(panel, n).copy() for n in COLUMNS}
    for frame in frames.values():
        frame["SOL/USDT"] = np.nan
    empty = Panel.from_frames(**frames, timeframe=panel.timeframe, context=panel.context)
    votes, whole = voter(empty).side, voter(panel).side
    assert not votes["SOL/USDT"].any()
    others = ["BTC/USDT", "ETH/USDT"]
    assert votes[others].any(axis=None)
    pd.testing.assert_frame_equal(votes[others], whole[others])


@pytest.mark.parametrize("voter", OURS[:-1], ids=lambda s: s.name)  # a flow knows no price
def test_a_market_that_does_not_move_takes_no_vote(voter: Strategy) -> None:
    """Flat from the first bar, and flat after having moved."""
    panel = told(random_panel(3_000, seed=2, timeframe="4h"))
    for name in ("open", "high", "low", "close"):
        frame = getattr(panel, name)
        frame.iloc[:, 1] = 1 / 3
        frame.iloc[2_000:, 2] = 63_123.45
    votes = voter.function(panel).side
    assert not votes.iloc[:, 1].any()
    assert not votes.iloc[2_100:, 2].any()


@ours
def test_bars_without_volume_or_without_a_price_are_no_error(voter: Strategy) -> None:
    panel = told(random_panel(3_000, seed=2, timeframe="4h"))
    panel.volume.iloc[:] = 0.0
    panel.close.iloc[::7] = 0.0
    votes = voter(panel).side.to_numpy()
    assert not votes[::7].any()


def test_nobody_breaks_out_without_volume() -> None:
    panel = random_panel(1_500, seed=2)
    assert momentum_breakout(panel).side.any(axis=None)
    panel.volume.iloc[:] = 0.0
    assert not momentum_breakout(panel).side.any(axis=None)


@ours
def test_one_symbol_is_a_panel_too(voter: Strategy) -> None:
    panel = told(random_panel(3_000, seed=2, timeframe="4h"))
    alone = voter(panel.columns(["BTC/USDT"])).side
    pd.testing.assert_frame_equal(alone, voter(panel).side[["BTC/USDT"]])
    assert alone.any(axis=None)


@ours
def test_they_change_nothing_they_are_shown(voter: Strategy) -> None:
    panel = told(random_panel(3_000, seed=2, holes=0.02, timeframe="4h"))
    shown = panel.rows(0, len(panel))
    voter.function(shown)
    for name in COLUMNS:
        pd.testing.assert_frame_equal(getattr(panel, name), getattr(shown, name))
    for name in CONTEXT.get(voter.name, ()):
        np.testing.assert_array_equal(panel.context[name], shown.context[name])
