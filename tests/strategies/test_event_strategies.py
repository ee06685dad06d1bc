"""Event strategies: what people say and bet, against what prices have done."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import lognorm

from benchmarks.peer_event_votes import PEERS
from tests.strategies import random_panel
from workbench.data.lake import Lake
from workbench.data.snapshot import load_world
from workbench.domain import Panel
from workbench.strategies.contract import check_strategy
from workbench.strategies.news_sentiment import news_sentiment, news_sentiment_judged
from workbench.strategies.odds_divergence import (
    model_probability,
    odds_divergence,
    odds_divergence_fed,
)
from workbench.strategies.vote import Strategy

ALL = (news_sentiment, news_sentiment_judged, odds_divergence, odds_divergence_fed)
every = pytest.mark.parametrize("voter", ALL, ids=lambda s: s.name)


# --- the model ------------------------------------------------------------------------------------


def one(spot: float, strike: float, touch: float, deviation: float) -> float:
    cells = (np.array([[value]]) for value in (spot, strike, touch, deviation))
    return float(model_probability(*cells)[0, 0])


def test_the_probability_of_an_end_above_is_that_of_a_lognormal_price() -> None:
    """100, a deviation of 0.2 and no drift: the mean of the price at the end is 100."""
    price = lognorm(s=0.2, scale=100 * np.exp(-0.02))
    assert price.mean() == pytest.approx(100.0)
    for strike in (70.0, 95.0, 110.0, 140.0):
        assert one(100.0, strike, 0.0, 0.2) == pytest.approx(price.sf(strike), abs=1e-12)
    # by hand: d2 = (ln(1 / 1.1) - 0.02) / 0.2 = -0.57655, N = 0.2821
    assert one(100.0, 110.0, 0.0, 0.2) == pytest.approx(0.2821, abs=5e-5)


@pytest.mark.parametrize(("strike", "touch"), [(110.0, 1.0), (92.0, -1.0)])
def test_the_probability_of_a_touch_is_that_of_many_walks(strike: float, touch: float) -> None:
    """Each walk is known at 50 points; between two the chance of a touch is that of a bridge."""
    rng = np.random.default_rng(7)
    steps, walks = 50, 40_000
    moves = rng.normal(-0.02 / steps, 0.2 / np.sqrt(steps), (walks, steps))
    path = np.concatenate([np.zeros((walks, 1)), np.cumsum(moves, axis=1)], axis=1)
    left = touch * (np.log(strike / 100.0) - path)  # how far it still has to go
    missed = np.where(
        (left[:, 1:] > 0) & (left[:, :-1] > 0),
        1.0 - np.exp(-2 * left[:, 1:] * left[:, :-1] / (0.2**2 / steps)), 0.0,
    )  # fmt: skip
    chances = 1.0 - missed.prod(axis=1)
    error = chances.std() / np.sqrt(walks)
    assert error < 0.0025
    assert one(100.0, strike, touch, 0.2) == pytest.approx(chances.mean(), abs=4 * error)


def test_a_touch_is_likelier_than_an_end_beyond_and_sure_at_the_strike() -> None:
    assert one(100.0, 110.0, 1.0, 0.2) > one(100.0, 110.0, 0.0, 0.2)
    assert one(100.0, 100.0, 1.0, 0.2) == pytest.approx(1.0)
    assert one(100.0, 100.0, -1.0, 0.2) == pytest.approx(1.0)
    assert np.isnan(one(100.0, 110.0, 0.0, 0.0))
    assert np.isnan(one(100.0, 0.0, 0.0, 0.2))


# --- a made-up world ------------------------------------------------------------------------------


def told(
    panel: Panel, seed: int = 5, touch: float = 0.0, since: int = 0, still: int | None = None
) -> Panel:
    """The panel with made-up context: scores, odds with a lasting premium, an expected move.

    Each market ends 60 days after its 45 days begin, 4 % above the price there (below, for a dip).
    From row `still` on the odds are at their usual distance from the model.
    """
    rng = np.random.default_rng(seed)
    shape, index, names = panel.close.shape, panel.index, panel.close.columns
    a_bar = panel.timeframe / pd.Timedelta(1, unit="h")
    price = panel.close.ffill().to_numpy()
    bar = np.arange(shape[0])
    first = since + (bar - since) // round(45 * 24 / a_bar) * round(45 * 24 / a_bar)
    first = np.maximum(first, 0)
    hours = np.repeat((60 * 24 - (bar - first) * a_bar)[:, None], shape[1], axis=1)
    away = 0.96 if touch < 0 else 1.04
    strike = np.round(price[first] * away, 2)
    way = np.full(shape, touch)
    returns = pd.DataFrame(np.log(price)).diff() ** 2
    vol = np.sqrt(returns.rolling(panel.bars_in("30D")).mean().to_numpy())
    model = model_probability(price, strike, way, vol * np.sqrt(hours / a_bar))
    inside = np.where((model > 0.02) & (model < 0.98), model, np.nan)
    noise = decaying(rng, shape, 0.1)
    noise[still if still is not None else shape[0] :] = 0.0
    odds = 1 / (1 + np.exp(-(np.log(inside / (1 - inside)) + 0.25 + noise)))
    meeting = bar * a_bar // (40 * 24)
    until = 40 * 24.0 - (bar * a_bar) % (40 * 24)
    steps = rng.normal(0, 15, int(meeting.max()) + 1)[meeting.astype(int)]
    expected = np.cumsum(rng.standard_t(4, shape[0]) * 0.5 * np.sqrt(a_bar)) + steps

    def frame(values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(values, index, names)

    mood = frame(decaying(rng, shape, 0.3, tails=3))
    return panel.with_context(
        sentiment=mood, sentiment_judged=-0.5 * mood,
        odds_probability=frame(odds), odds_strike=frame(strike), odds_hours=frame(hours),
        odds_touch=frame(way), fed_expected_bps=pd.Series(expected, index),
        fed_meeting_hours=pd.Series(until, index),
    )  # fmt: skip


def decaying(
    rng: np.random.Generator, shape: tuple[int, int], size: float, tails: int = 30
) -> np.ndarray:
    noise = rng.standard_t(tails, shape) * size
    for t in range(1, shape[0]):
        noise[t] += 0.9 * noise[t - 1]
    return noise


def walk(bars: int = 2_400, seed: int = 11, **options: Any) -> Panel:
    return told(random_panel(bars, seed=seed, **options))


def changed(panel: Panel, name: str, row: int | slice, value: Any) -> Panel:
    """The panel with some rows of a context series replaced."""
    series = panel.context[name].copy()
    series.iloc[row] = value
    return panel.with_context(**{name: series})


def quiet(bars: int = 1_700) -> Panel:
    """Prices that go 0.6 % up and down in turn: over six bars they have not moved."""
    turn = np.where(np.arange(bars) % 2, 0.003, -0.003)[:, None]
    index = pd.date_range("2023-01-01", periods=bars, freq="1h", tz="UTC")
    close = pd.DataFrame(
        np.exp(turn) * [100.0, 20.0, 3.0], index, ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
    )
    return Panel.from_frames(open=close, high=close, low=close, close=close, volume=close)


# --- odds against a model -------------------------------------------------------------------------

T = 1_690  # of 1,700 bars; the market of `quiet` began 600 bars before


def shifted(panel: Panel, by: float, rows: slice) -> Panel:
    """The odds moved by so much in log odds."""
    odds = panel.context["odds_probability"].iloc[rows]
    logit = np.log(odds / (1 - odds)) + by
    return changed(panel, "odds_probability", rows, 1 / (1 + np.exp(-logit)))


def calm(touch: float = 0.0) -> Panel:
    """Odds at their usual distance from the model in the last bars."""
    return told(quiet(), touch=touch, since=T - 600, still=T - 20)


def votes_at(voter: Strategy, panel: Panel, t: int = T) -> list[int]:
    return voter(panel).side.iloc[t].tolist()


@pytest.mark.parametrize(
    ("touch", "by", "side"),
    [(0.0, 1.5, 1), (0.0, -1.5, -1), (1.0, 1.5, 1), (1.0, -1.5, -1), (-1.0, 1.5, -1),
     (-1.0, -1.5, 1)],
)  # fmt: skip
def test_odds_that_leave_the_model_are_followed(touch: float, by: float, side: int) -> None:
    """A dip that grows likelier is bad news; the votes come on the bar, and on that one alone."""
    panel = calm(touch)
    assert votes_at(odds_divergence, panel) == [0, 0, 0]
    votes = odds_divergence(shifted(panel, by, slice(T, None)))
    assert votes.side.iloc[T].tolist() == [side] * 3
    assert not votes.side.iloc[T + 1 :].any(axis=None)
    assert votes.confidence.iloc[T].between(53.0, 58.0).all()


def test_odds_that_the_price_has_answered_are_not_followed() -> None:
    panel = shifted(calm(), 2.5, slice(T, None))
    assert votes_at(odds_divergence, panel) == [1, 1, 1]
    frames = {n: getattr(panel, n).copy() for n in ("open", "high", "low", "close", "volume")}
    for name in ("open", "high", "low", "close"):
        frames[name].iloc[T - 1 :, 0] *= 1.01  # true ranges are 0.6 %
    answered = Panel.from_frames(**frames, context=panel.context)
    assert votes_at(odds_divergence, answered) == [0, 1, 1]
    downward = shifted(calm(), -2.5, slice(T, None))
    answered = Panel.from_frames(**frames, context=downward.context)
    assert votes_at(odds_divergence, answered)[0] == -1  # up is no answer to odds that fall


def test_a_stale_quote_that_the_price_leaves_behind_is_no_opinion() -> None:
    """The price falls, the odds stand still: the gap widens, and nobody has said anything."""
    panel = calm()
    last = panel.context["odds_probability"].iloc[T - 1]
    panel = changed(panel, "odds_probability", slice(T, None), last.to_numpy())
    frames = {n: getattr(panel, n).copy() for n in ("open", "high", "low", "close", "volume")}
    for name in ("open", "high", "low", "close"):
        frames[name].iloc[T:] *= 0.93
    fallen = Panel.from_frames(**frames, context=panel.context)
    assert votes_at(odds_divergence, fallen) == [0, 0, 0]
    risen = shifted(fallen, 0.1, slice(T, None))
    assert votes_at(odds_divergence, risen) == [1, 1, 1]


def test_another_market_is_another_gap() -> None:
    panel = shifted(calm(), 1.5, slice(T, None))
    for name, value in (("odds_strike", 1.0001), ("odds_hours", 1.05)):
        rows = panel.context[name].iloc[T:] * value
        assert votes_at(odds_divergence, changed(panel, name, slice(T, None), rows)) == [0, 0, 0]


def test_a_lasting_premium_is_no_vote() -> None:
    """Odds that are always dearer than the model are as usual, however dear."""
    plain = walk()
    dear = shifted(plain, 0.5, slice(None))
    ours, theirs = odds_divergence(plain), odds_divergence(dear)
    assert ours.side.any(axis=None)
    pd.testing.assert_frame_equal(ours.side, theirs.side)


# --- the Fed --------------------------------------------------------------------------------------


def fed(step: float, at: int = T, **series: Any) -> Panel:
    """An expected move that wobbles by half a basis point, and steps at bar `at`.

    The meeting of the last bars is 10 days ahead.
    """
    panel = quiet()
    bar = np.arange(len(panel))
    wobble = 0.5 * np.sin(bar / 7.0) + np.where(bar >= at, step, 0.0)
    hours = series.pop("hours", 240.0 + T - bar)
    made = {"fed_expected_bps": wobble, "fed_meeting_hours": hours} | series
    return panel.with_context(
        **{n: pd.Series(np.asarray(v, dtype=float), panel.index) for n, v in made.items()}
    )


def test_a_dovish_turn_is_long_and_a_hawkish_one_short_everywhere() -> None:
    assert votes_at(odds_divergence_fed, fed(-8.0)) == [1, 1, 1]
    assert votes_at(odds_divergence_fed, fed(8.0)) == [-1, -1, -1]
    votes = odds_divergence_fed(fed(-8.0))
    assert (votes.side.iloc[T - 30 :] != 0).sum().tolist() == [1, 1, 1]
    assert votes.confidence.iloc[T].between(50.0, 58.0).all()


def test_a_turn_of_less_than_a_tenth_of_a_step_is_nothing() -> None:
    assert votes_at(odds_divergence_fed, fed(-2.0)) == [0, 0, 0]


def test_the_end_of_an_old_move_is_no_new_one() -> None:
    """24 hours after a spike has come and gone, the change is the spike again, turned round."""
    bar = np.arange(1_700)
    spike = np.where((bar >= T - 24) & (bar < T - 20), -8.0, 0.0) + 0.5 * np.sin(bar / 7.0)
    panel = fed(0.0, fed_expected_bps=spike)
    assert votes_at(odds_divergence_fed, panel, T - 24) == [1, 1, 1]
    still = changed(panel, "fed_expected_bps", slice(T - 19, None), spike[T - 20])
    assert not odds_divergence_fed(still).side.iloc[T - 19 :].any(axis=None)


@pytest.mark.parametrize("since", [0, 1, 12, 23])
def test_the_odds_of_another_meeting_are_no_turn(since: int) -> None:
    """The meeting changed up to 23 hours ago; from 24 on, both ends are the new one's."""
    bar = np.arange(1_700)

    def ahead(since: int) -> np.ndarray:
        hours = 24.0 * 45 - (bar - (T - since)) + 0.0
        return np.where(bar < T - since, T - since - bar, hours)

    assert votes_at(odds_divergence_fed, fed(-8.0, hours=ahead(since))) == [0, 0, 0]
    assert votes_at(odds_divergence_fed, fed(-8.0, hours=ahead(27))) == [1, 1, 1]


def test_the_last_24_hours_of_a_meeting_take_no_vote() -> None:
    bar = np.arange(1_700)
    assert votes_at(odds_divergence_fed, fed(-8.0, hours=T + 24.0 - bar)) == [0, 0, 0]
    assert votes_at(odds_divergence_fed, fed(-8.0, hours=T + 25.0 - bar)) == [1, 1, 1]


def test_a_turn_that_futures_share_is_no_divergence() -> None:
    bar = np.arange(1_700)
    hours = 240.0 + T - bar
    followed = np.where(bar >= T, -8.0, 0.0)
    shared = fed(-8.0, fed_expected_bps_futures=followed, fed_meeting_hours_futures=hours)
    assert votes_at(odds_divergence_fed, shared) == [0, 0, 0]
    alone = fed(-8.0, fed_expected_bps_futures=0 * bar, fed_meeting_hours_futures=hours)
    assert votes_at(odds_divergence_fed, alone) == [1, 1, 1]
    other_meeting = fed(
        -8.0, fed_expected_bps_futures=followed, fed_meeting_hours_futures=hours + 24 * 45
    )
    assert votes_at(odds_divergence_fed, other_meeting) == [1, 1, 1]  # by the change alone


# --- news -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("voter", [news_sentiment, news_sentiment_judged], ids=lambda s: s.name)
def test_news_that_the_price_has_not_answered_is_followed(voter: Strategy) -> None:
    (name,) = voter.needs
    panel = told(quiet())
    panel = changed(panel, name, slice(T - 5, None), 0.0)
    assert votes_at(voter, panel) == [0, 0, 0]
    spread = panel.context[name].iloc[-700:].std()
    for way in (1, -1):
        loud = changed(panel, name, T, way * 6 * spread)
        assert votes_at(voter, loud) == [way] * 3
        assert voter(loud).confidence.iloc[T].between(60.0, 65.0).all()
    frames = {n: getattr(panel, n).copy() for n in ("open", "high", "low", "close", "volume")}
    for price in ("open", "high", "low", "close"):
        frames[price].iloc[T - 1 :, 0] *= 1.01
    loud = changed(panel, name, T, 6 * spread)
    assert votes_at(voter, Panel.from_frames(**frames, context=loud.context)) == [0, 1, 1]


def test_words_are_said_to_be_words() -> None:
    assert [voter.from_text for voter in ALL] == [True, True, False, False]
    assert {voter.category for voter in ALL} == {"event"}


# --- all four -------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize(("timeframe", "bars"), [("15m", 13_000), ("4h", 900), ("1d", 200)])
def test_the_contract_is_kept_on_other_timeframes(
    voter: Strategy, timeframe: str, bars: int
) -> None:
    index = {"15m": "15min", "4h": "4h", "1d": "1D"}[timeframe]
    plain = random_panel(bars, seed=4, holes=0.01, timeframe="1h")
    times = pd.date_range("2023-01-01", periods=bars, freq=index, tz="UTC")
    frames = {
        n: getattr(plain, n).set_axis(times) for n in ("open", "high", "low", "close", "volume")
    }
    panel = told(Panel.from_frames(**frames, timeframe=timeframe))
    assert voter.bars(panel.timeframe) < bars / 2
    check_strategy(voter, panel, samples=15, votes=40)
    assert voter(panel).side.any(axis=None) or timeframe == "1d"


@every
def test_the_contract_is_kept_on_prices_with_holes(voter: Strategy) -> None:
    panel = walk(4_000, holes=0.05)
    assert voter(panel).side.any(axis=None)
    check_strategy(voter, panel, samples=30, votes=80)


@every
@pytest.mark.parametrize("bars", [1, 2, 5, 15, 40])
def test_a_few_bars_take_no_vote(voter: Strategy, bars: int) -> None:
    assert not voter.function(walk(60).tail(bars)).side.any(axis=None)


@every
def test_nothing_known_takes_no_vote(voter: Strategy) -> None:
    panel = walk(1_600)
    assert voter.function(panel).side.any(axis=None)
    for spoilt in (np.nan, 0.0):
        context = {name: series * 0.0 + spoilt for name, series in panel.context.items()}
        assert not voter.function(panel.with_context(**context)).side.any(axis=None)
    assert not voter.function(random_panel(100, seed=1)).side.any(axis=None)
    assert voter.silence(random_panel(2_000, seed=1)) == f"nothing is known of {voter.needs[0]}"
    bare = {n: getattr(panel, n) for n in ("open", "high", "low", "close", "volume")}
    for flat in (np.nan, 100.0):
        frames = {name: frame * 0.0 + flat for name, frame in bare.items()}
        votes = voter.function(Panel.from_frames(**frames, context=panel.context))
        assert not votes.side.any(axis=None)


@every
@pytest.mark.parametrize("holes", [0.0, 0.03])
def test_the_votes_are_those_of_a_plain_pandas_peer(voter: Strategy, holes: float) -> None:
    panel = walk(4_000, seed=13, holes=holes)
    side, confidence = PEERS[voter.name](panel)
    votes, known = voter(panel), slice(voter.bars(panel.timeframe), None)
    assert int(votes.side.iloc[known].abs().sum().sum()) > 20
    np.testing.assert_array_equal(votes.side.iloc[known], side.iloc[known])
    np.testing.assert_allclose(votes.confidence.iloc[known], confidence.iloc[known], rtol=1e-6)


# --- recorded data --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def year_2023(recorded_lake: Lake) -> Panel:
    return load_world(recorded_lake, "binance_spot", [], "1h", "2023-01-01", "2024-01-31").panel


def test_the_feds_odds_of_2023_give_a_few_votes(year_2023: Panel) -> None:
    """Recorded are the markets of the Fed's meetings alone."""
    assert not [name for name in year_2023.context if name.startswith("odds_")]
    votes = odds_divergence_fed(year_2023)
    bars = votes.side.any(axis=1)
    assert int(bars.sum()) == 28
    assert votes.confidence.max(axis=None) <= 58.0
    # the week in which Silicon Valley Bank fell: cuts were priced in while bitcoin rose
    assert votes.side.loc[pd.Timestamp("2023-03-15 12:00", tz="UTC")].eq(1).all()


@every
def test_the_contract_is_kept_on_recorded_data(voter: Strategy, year_2023: Panel) -> None:
    """Recorded prices; the odds of thresholds and the judged scores are made up beside them."""
    made = told(year_2023.columns(["BTC/USDT", "ETH/USDT", "SOL/USDT"]))
    recorded = {
        name: series for name, series in year_2023.context.items() if isinstance(series, pd.Series)
    }
    panel = made.with_context(
        **{name: recorded[name] for name in ("fed_expected_bps", "fed_meeting_hours")},
        sentiment=year_2023.context["sentiment"][list(made.symbols)],
    )
    assert voter(panel).side.any(axis=None)
    check_strategy(voter, panel, samples=20, votes=60)
