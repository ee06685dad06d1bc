"""Strategies that break a promise, and honest twins of some: what a check has to tell apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from workbench.domain import Panel, Votes
from workbench.strategies.vote import Strategy, strategy

Function = Callable[[Panel], Votes]


def declared(function: Function, lookback: int = 50) -> Strategy:
    every = {"trending", "ranging", "high_vol"}
    return strategy(category="trend", regimes=every, lookback=lookback)(function)


def signs(of: pd.DataFrame) -> Votes:
    """Long where a number is above 0, short where it is below, at 60."""
    side = pd.DataFrame(np.sign(of.fillna(0.0)), of.index, of.columns).astype(int)
    return Votes(side, side.abs() * 60.0)


# --- they look ahead -----------------------------------------------------------------------------


def next_bar(panel: Panel) -> Votes:
    return signs(panel.close.shift(-1) - panel.close)


def one_candle(panel: Panel) -> Votes:
    """Knows the price at which it will be filled, and nothing else of the next bar."""
    return signs(panel.open.shift(-1) - panel.close)


def centred(panel: Panel) -> Votes:
    return signs(panel.close - panel.close.rolling(5, center=True).mean())


def filled_backwards(panel: Panel) -> Votes:
    """Knows a score of every eighth bar seven bars early."""
    return signs(panel.context["sparse"].bfill().where(panel.close.notna()))


def normalised(panel: Panel) -> Votes:
    """Votes a deviation off the mean of the whole sample."""
    z = (panel.close - panel.close.mean()) / panel.close.std()
    return signs(z.where(z.abs() > 1.0))


def scaled(panel: Panel) -> Votes:
    """Votes at the ends of a scale from the lowest close of all to the highest."""
    low, high = panel.close.min(), panel.close.max()
    share = (panel.close - low) / (high - low)
    return signs((share - 0.5).where((share - 0.5).abs() > 0.2))


def best_of_all(panel: Panel) -> Votes:
    """Sure of itself in proportion to the highest close of all."""
    votes = signs(panel.close.diff())
    return Votes(votes.side, (60.0 * panel.close / panel.close.max()).fillna(0.0))


def four_hours_by_open(panel: Panel) -> Votes:
    """Sees a candle of four hours from its open on."""
    slow = panel.close.resample("4h").last().reindex(panel.index).ffill()
    return signs((slow - panel.close.shift(4)).where(panel.close.notna()))


def four_hours_by_close(panel: Panel) -> Votes:
    """The honest twin: sees it from its close on."""
    slow = panel.close.resample("4h").last()
    slow.index = slow.index + pd.Timedelta(hours=4)
    known = slow.reindex(panel.close_times, method="ffill").set_axis(panel.index)
    return signs((panel.close - known.shift(1)).where(panel.close.notna()))


def smoothed(panel: Panel) -> Votes:
    """Votes by the state of volatility as a hidden Markov model sees it, looking back at it."""
    return _calm(panel, _filtered(panel) * _backward(panel))


def filtered(panel: Panel) -> Votes:
    """The honest twin: the state as it was seen then."""
    return _calm(panel, _filtered(panel))


STAY = np.array([[0.95, 0.05], [0.05, 0.95]])
SIGMA = np.array([0.003, 0.010])  # hourly, calm and wild; fixed, so that nothing is fitted


def _calm(panel: Panel, weight: np.ndarray) -> Votes:
    """Long while the calm state is the likelier (weights bars x symbols x 2), short else."""
    calm = weight[..., 0] / weight.sum(axis=-1)
    there = panel.close.notna().to_numpy()
    return Votes.of(panel, there & (calm > 0.5), there & (calm <= 0.5), 60.0 * calm)


def _likelihood(panel: Panel) -> np.ndarray:
    """Of each bar's log return in each state, scaled; shape (bars, symbols, 2)."""
    moves = np.log(panel.close.ffill()).diff().fillna(0.0).to_numpy()[..., None]
    logs = -0.5 * (moves / SIGMA).clip(-30.0, 30.0) ** 2 - np.log(SIGMA)
    return np.exp(logs - logs.max(axis=-1, keepdims=True))


def _filtered(panel: Panel) -> np.ndarray:
    """P(state at t | returns up to t): the forward recursion."""
    likelihood = _likelihood(panel)
    state, states = np.full(likelihood.shape[1:], 0.5), np.empty_like(likelihood)
    for t, now in enumerate(likelihood):
        state = (state @ STAY) * now
        state = state / state.sum(axis=-1, keepdims=True)
        states[t] = state
    return states


def _backward(panel: Panel) -> np.ndarray:
    """What the returns after t say of the state at t: the backward recursion."""
    likelihood = _likelihood(panel)
    weight, weights = np.ones(likelihood.shape[1:]), np.ones_like(likelihood)
    for t in range(len(likelihood) - 2, -1, -1):
        weight = (likelihood[t + 1] * weight) @ STAY
        weight = weight / weight.sum(axis=-1, keepdims=True)
        weights[t] = weight
    return weights


# --- they answer what is no answer ---------------------------------------------------------------


def too_sure(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(votes.side, votes.confidence.mask(votes.side == -1, 101.0))


def unsure(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(votes.side, votes.confidence.mask(votes.side == -1))


def hole_in_side(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(votes.side.astype(float).mask(votes.side == -1), votes.confidence)


def double(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(2 * votes.side, votes.confidence)


def in_words(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(votes.side.replace({1: "long"}).astype(object), votes.confidence)


def blind(panel: Panel) -> Votes:
    """Votes by the last price there was, on missing bars too."""
    return signs(panel.close.ffill().diff(3))


def of_one_row(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(votes.side.tail(1), votes.confidence.tail(1))


def of_other_symbols(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(votes.side.iloc[:, ::-1], votes.confidence)


def arrays(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(votes.side.to_numpy(), votes.confidence.to_numpy())  # type: ignore[arg-type]


def a_frame(panel: Panel) -> Votes:
    return signs(panel.close.diff()).side  # type: ignore[return-value]


def exits_as_numbers(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(votes.side, votes.confidence, votes.side.astype(float))


def exits_sometimes(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(votes.side, votes.confidence, votes.side == 2 if len(panel) > 500 else None)


def leaves(panel: Panel) -> Votes:
    raise SystemExit(3)


def breaks(panel: Panel) -> Votes:
    """Expects a column that no panel has."""
    return signs(panel.close[["NO/SUCH"]])


def breaks_when_short(panel: Panel) -> Votes:
    """Reads the bar 300 ago whether or not there is one."""
    return signs(panel.close - panel.close.iloc[300])


def frame_writer(panel: Panel) -> Votes:
    """Rounds the prices of the frame that it was shown."""
    panel.close.iloc[:] = panel.close.round(0).to_numpy()
    return signs(panel.close.diff())


def column_adder(panel: Panel) -> Votes:
    """Notes something beside the volumes."""
    votes = signs(panel.close.diff())
    panel.volume["note"] = 1.0
    return votes


def array_writer(panel: Panel) -> Votes:
    """Writes to the array behind a frame, past pandas' guard."""
    values = panel.close.to_numpy()
    values.setflags(write=True)
    values[:] = np.nan_to_num(values, nan=1.0) * 1.01
    return signs(panel.close.diff())


CALLS = {"n": 0}


def counting(panel: Panel) -> Votes:
    """Every call another confidence."""
    CALLS["n"] += 1
    votes = signs(panel.close.diff())
    return Votes(votes.side, votes.confidence + CALLS["n"] % 7 * (votes.side != 0))


def from_memory(newest: bool = False) -> Function:
    """Votes by the longest panel that it ever saw (the newest of these, or the first), where the
    one it is shown has a price."""
    seen: list[pd.DataFrame] = []

    def remembering(panel: Panel) -> Votes:
        if not seen or len(panel) + newest > len(seen[0]):
            seen[:] = [panel.close]
        rise = (seen[0].shift(-1) - seen[0]).reindex(panel.index)
        return signs(rise.where(panel.close.notna()))

    return remembering


def weekday(panel: Panel) -> Votes:
    """Votes by the calendar alone."""
    monday = np.asarray(panel.index.day_of_week == 0)[:, None] & panel.close.notna().to_numpy()
    return Votes.of(panel, monday, ~monday & False, 60.0)


def nothing_known(panel: Panel) -> Votes:
    """Says NaN everywhere."""
    nothing = panel.close * np.nan
    return Votes(nothing, nothing)


# --- they need more than they say ---------------------------------------------------------------


def slow_average(panel: Panel) -> Votes:
    """An average of 200 bars that is never done with its first ones."""
    return signs(panel.close - panel.close.ewm(span=200, adjust=False).mean())


def honest(panel: Panel) -> Votes:
    return signs((panel.close - panel.close.shift(5)).where(panel.close.notna()))
