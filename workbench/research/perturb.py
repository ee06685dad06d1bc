"""The same market, otherwise: bars in another order, bars with noise, signals moved in time.

What earns as much in a world without structure as in the real one has found none. Every transform
takes its randomness as an argument and leaves what it is given alone. Volatility that clusters is
lost when bars change places, so a permuted world is calmer in its worst weeks than the real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from workbench.arrays import Bools, Floats, Ints
from workbench.domain import Panel, UsageError
from workbench.strategies.indicators import atr
from workbench.strategies.regime import with_regime


def permute_bars(panel: Panel, rng: np.random.Generator, first: int = 0) -> Panel:
    """A world of the same bars in another order (Masters 2018): no pattern in time is left.

    A bar is its gap from the last usable close, its high, low and close relative to its open, and
    its volume; it moves as one, and the bars of all symbols move together, so that what moved
    together still does. Rows before `first` (the warm-up) stay as they are, as does the first bar
    of each symbol; the first and the last close are the same up to rounding. A missing or unusable
    bar stays where it is: rows change places only with rows that miss the same symbols. Regime
    labels are made anew from the panel's bars, if it has any; other context stays at its time.
    """
    if not 0 <= first < len(panel):
        raise UsageError(f"first is {first}; the panel has rows 0 to {len(panel) - 1}")
    bars = _bars(panel)
    there = _usable(bars)
    source = _shuffled(there, rng, first)[first:]
    opened, high, low, close = bars
    before = _closes_before(close, there)
    began = there & np.isnan(before)  # the first bar of a symbol: its open starts the path
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.where(began, opened, opened / before)[source]
        ratios = [(part / opened)[source] for part in (high, low, close)]
        step = np.where(there[source], np.log(gap * ratios[-1]), 0.0)
    start = np.nan_to_num(np.log(before[first]))
    path = np.cumsum(np.vstack([start, step]), axis=0)[:-1]  # log close before each bar
    moved_open = np.exp(path) * gap
    # ratios and not logs from here on: a product keeps the order of high, close, open and low
    parts = [moved_open, *(moved_open * ratio for ratio in ratios)]
    here = there[first:]
    new = [
        _joined(old, np.where(here, part, old[first:]))
        for old, part in zip(bars, parts, strict=True)
    ]
    volume = panel.volume.to_numpy()
    moved = np.where(here, volume[source], volume[first:])
    return _rebuilt(panel, new, _joined(volume, moved), "bars in another order")


def add_noise(
    panel: Panel, rng: np.random.Generator, atr_share: float = 0.25, first: int = 0
) -> Panel:
    """The same bars, each of the four prices off by a normal share of the ATR(14) before it.

    The deviation is `atr_share` of the ATR in logarithms, so that no price falls to 0; high and low
    are the highest and the lowest of the four. Rows before `first` and bars without an ATR stay as
    they are, and so does volume. Regime labels are made anew, if there are any.
    """
    if not (np.isfinite(atr_share) and atr_share >= 0):
        raise UsageError(f"atr_share is {atr_share}; it must be a number of at least 0")
    bars = _bars(panel)
    known = atr(panel.high, panel.low, panel.close).shift(1).to_numpy()
    before = _closes_before(bars[3], _usable(bars))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = atr_share * known / before
    touched = _usable(bars) & np.isfinite(share)
    touched[:first] = False
    noise = rng.standard_normal(bars.shape) * np.where(touched, share, 0.0)
    noisy = np.where(touched, bars * np.exp(noise), bars)
    noisy[1] = np.where(touched, noisy.max(axis=0), bars[1])
    noisy[2] = np.where(touched, noisy.min(axis=0), bars[2])
    return _rebuilt(panel, list(noisy), panel.volume.to_numpy(), "bars with noise")


def shift_rows(claims: Floats, k: int, first: int = 0) -> Floats:
    """Claims (bars, symbols, 4) `k` bars later, those that fall off the end back at row `first`.

    Signals and returns keep their own patterns and lose each other.
    """
    shifted = claims.copy()
    shifted[first:] = np.roll(claims[first:], k, axis=0)
    return shifted


def delay_rows(claims: Floats, bars: int = 1) -> Floats:
    """Every claim `bars` bars later; the first rows want nothing, the last claims are lost."""
    if bars < 0:
        raise UsageError(f"a delay of {bars} bars looks ahead; it must be at least 0")
    delayed = np.zeros_like(claims)
    delayed[bars:] = claims[: len(claims) - bars]
    return delayed


def _bars(panel: Panel) -> Floats:
    """Open, high, low and close. Shape (4, bars, symbols)."""
    return np.stack([f.to_numpy() for f in (panel.open, panel.high, panel.low, panel.close)])


def _usable(bars: Floats) -> Bools:
    return ((bars > 0) & np.isfinite(bars)).all(axis=0)


def _closes_before(close: Floats, there: Bools) -> Floats:
    """Last usable close before each bar (NaN if there is none)."""
    rows = np.where(there, np.arange(len(close))[:, None], -1)
    last = np.maximum.accumulate(rows, axis=0)[:-1]
    seen = np.where(last >= 0, np.take_along_axis(close, np.maximum(last, 0), axis=0), np.nan)
    return np.concatenate([np.full_like(close[:1], np.nan), seen])


def _shuffled(there: Bools, rng: np.random.Generator, first: int) -> Ints:
    """Which row each row's bar is taken from."""
    started = np.maximum.accumulate(there, axis=0)
    begins = np.diff(started, axis=0, prepend=False).any(axis=1)
    rows = np.flatnonzero(~begins[first:]) + first
    _, kind = np.unique(np.packbits(there[rows], axis=1), axis=0, return_inverse=True)
    source = np.arange(len(there))
    # within each kind of row: the places in order of time are given the bars in random order
    source[rows[np.argsort(kind, kind="stable")]] = rows[np.lexsort((rng.random(len(rows)), kind))]
    return source


def _joined(old: Floats, new: Floats) -> Floats:
    """The first rows as they were, then the new ones."""
    return np.concatenate([old[: len(old) - len(new)], new])


def _rebuilt(panel: Panel, prices: Sequence[Floats], volume: Floats, what: str) -> Panel:
    """The panel with other bars: a made-up world from here on, and labelled as one."""
    names = ("open", "high", "low", "close", "volume")
    frames = {
        name: pd.DataFrame(values, panel.index, panel.close.columns, copy=False)
        for name, values in zip(names, (*prices, volume), strict=True)
    }
    made = replace(panel, **frames, source=f"SYNTHETIC, {what} of: {panel.source or 'a panel'}")
    return with_regime(made) if "regime" in panel.context else made
