"""What every strategy must keep, as a check that anyone can run on their own.

    from workbench.strategies.contract import check_strategy
    check_strategy(my_strategy, panel)

The promises, in the order in which they are tried, on the strategy's own instruments of the panel:

- it answers at all: frames on the rows and symbols it was asked about, side -1, 0 or 1, confidence
  0 to 100 and no hole, exit True or False, no vote on a bar without a price;
- it leaves the panel that it is shown alone;
- it answers the same, to the last bit, when it is asked again, and otherwise when every number is
  noise: who does not keeps something from an earlier call, or does not read its panel;
- the past alone decides: no bit of a vote changes when later bars are cut away, or are replaced by
  noise, holes and absurd numbers, in prices and in context;
- `lookback` bars are enough: they give the side and exit of the whole history, and its confidence
  within 1e-6.

A strategy that votes on what was not known yet is told how far ahead it reads and through what, as
far as poisoning some later bars only can tell. One that votes by the calendar alone, or wherever
there is a price, reads no number and is told so: it need not be dishonest. What is proven holds at
the bars that were tried, on this panel. Nothing is proven of profit, nor of knowledge that the data
itself should not have had (a revised number, a headline stamped too early, a parameter chosen with
hindsight).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
import pandas as pd

from workbench.arrays import Bools, Floats, Ints
from workbench.domain import Panel, UsageError, Votes
from workbench.errors import ContractBroken
from workbench.strategies.ballot import same_panel
from workbench.strategies.vote import Strategy, told_fault

CONFIDENCE_TOLERANCE = 1e-6  # relative, for the bars before `lookback` that a window does not see
BARS = ("open", "high", "low", "close", "volume")
PART = ("side", "confidence", "exit")
Spoil = Callable[[Floats, np.random.Generator], Floats]


@dataclass(frozen=True, repr=False)
class Checked:
    """A strategy that kept its promises: `votes_tried` bars with a vote and their neighbours, and
    `samples` other bars. `silent_because` is "" unless it had no vote to try."""

    strategy: str
    bars: int
    votes_tried: int
    samples: int
    silent_because: str = ""

    def __repr__(self) -> str:
        if self.silent_because:
            return (
                f"{self.strategy} broke no promise, and had no vote to try: {self.silent_because}"
            )
        return (
            f"{self.strategy} keeps its promises: {self.votes_tried:,} bars with a vote and"
            f" {self.samples:,} others tried, of {self.bars:,}"
        )


def check_strategy(
    strategy: Strategy, panel: Panel, samples: int = 200, seed: int = 0, votes: int | None = None
) -> Checked:
    """Try every promise; `panel` should be longer than twice the lookback and hold some votes.

    Every bar with a vote (at most `votes` of them) and its neighbours are tried on the window that
    the desk would show; `samples` bars drawn by `seed` with all their past, and their future cut
    and poisoned. Raises ContractBroken at the first broken promise, UsageError if the panel is too
    short to try one or `strategy` was not declared with @strategy.
    """
    if not isinstance(strategy, Strategy):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"{strategy!r} is no strategy; declare the function with @strategy(...)")
    own = strategy.sees(panel)
    if own is None:
        return Checked(strategy.name, len(panel), 0, 0, strategy.silence(panel))
    first = strategy.bars(panel.timeframe) - 1
    if len(own) < first + 2:
        raise UsageError(
            f"{strategy.name} needs {first + 1:,} bars for its first vote and more to be checked;"
            f" the panel has {len(own):,}, give at least {2 * first + 2:,}"
        )
    shown = _changed(own, lambda values, _: values, 0)
    trial = Trial(strategy, own, _answer(strategy, shown), first, seed)
    if not same_panel(own, shown):
        trial.broken("it changes the panel that it is shown; copy a frame before writing to it")
    _in_range(trial)
    _twice_the_same(trial)
    unmoved = _unmoved_by_noise(trial)  # asked first: who keeps the newest panel errs from here on
    rng = np.random.default_rng(seed)
    others = np.unique(rng.integers(first, len(own) - 1, samples))
    for t in others.tolist():
        _past_alone(trial, t)
    voted = np.flatnonzero(_voted(trial.whole)[first:]) + first
    if votes is not None and len(voted) > votes:
        voted = np.sort(rng.choice(voted, votes, replace=False))
    near = (voted[:, None] + [-1, 0, 1]).ravel()
    for t in np.unique([*near[(near >= first) & (near < len(own))], *others]).tolist():
        _lookback_suffices(trial, t)
    if unmoved:
        trial.broken(
            "it keeps something from an earlier call, or does not read its panel: it votes the same"
            " when every number is noise"
        )
    silent = strategy.silence(panel) or f"it voted at none of {len(own) - first:,} bars"
    return Checked(strategy.name, len(own), len(voted), len(others), "" if len(voted) else silent)


@dataclass(frozen=True, eq=False)
class Trial:
    """A strategy, the panel it sees, its answer there, the first row that counts and the seed."""

    strategy: Strategy
    panel: Panel
    whole: tuple[Floats, ...]
    first: int
    seed: int

    def ask(self, panel: Panel) -> tuple[Floats, ...]:
        """Its answer on another panel. Raises ContractBroken if it gives exits on some only."""
        with np.errstate(all="ignore"):  # the absurd numbers are ours
            said = _answer(self.strategy, panel)
        if len(said) != len(self.whole):
            raise ContractBroken(f"{self.strategy.name}: it gives `exit` on some panels only")
        return said

    def broken(self, says: str) -> NoReturn:
        raise ContractBroken(f"{self.strategy.name}: {says}")

    def cell(self, part: int, t: int, j: int) -> str:
        """Where a number is, and the number."""
        where = f"{PART[part]} at {self.panel.index[t]:%Y-%m-%d %H:%M} {self.panel.symbols[j]}"
        return f"{where} ({self.whole[part][t, j]:g})"


# --- the answer ------------------------------------------------------------------------------


def _answer(strategy: Strategy, panel: Panel) -> tuple[Floats, ...]:
    """What the function itself says (calling the strategy would clean it): side, confidence and,
    if it gives them, exits (bars, symbols). Raises ContractBroken if that is no answer."""
    try:
        said = strategy.function(panel, **strategy.parameters)
    except (Exception, SystemExit) as fault:
        raise ContractBroken(
            f"{strategy.name}: it breaks on the {len(panel):,} bars up to {panel.index[-1]}"
            f" ({told_fault(fault)})"
        ) from fault
    if not isinstance(said, Votes):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ContractBroken(
            f"{strategy.name}: it answers with {type(said).__name__}; it must be Votes"
        )
    parts = [part for part in PART if part != "exit" or said.exit is not None]
    return tuple(_cells(strategy.name, part, getattr(said, part), panel) for part in parts)


def _cells(name: str, part: str, given: object, panel: Panel) -> Floats:
    if not isinstance(given, pd.DataFrame):
        raise ContractBroken(f"{name}: {part} is {type(given).__name__}; it must be a frame")
    if not given.index.equals(panel.index) or list(given.columns) != list(panel.symbols):
        raise ContractBroken(
            f"{name}: {part} does not lie on the panel ({given.shape[0]} rows of"
            f" {', '.join(map(str, given.columns))}; the panel has {len(panel)} of"
            f" {', '.join(panel.symbols)})"
        )
    wanted, kinds = ("bool", "b") if part == "exit" else ("numbers", "iuf")
    for symbol, dtype in given.dtypes.items():
        if dtype.kind not in kinds:
            raise ContractBroken(f"{name}: {part} of {symbol} is {dtype}; it must be {wanted}")
    return given.to_numpy(dtype=np.float64, na_value=np.nan)


def _in_range(trial: Trial) -> None:
    side, confidence = trial.whole[:2]
    blind = (side != 0.0) & ~(trial.panel.close.to_numpy() > 0.0)
    for part, bad, rule in (
        (0, ~np.isin(side, (-1.0, 0.0, 1.0)), "is not -1, 0 or 1"),
        (1, ~((confidence >= 0.0) & (confidence <= 100.0)), "is not between 0 and 100"),
        (0, blind, "is a vote on a bar without a price"),
    ):
        if bad.any():
            trial.broken(f"its {trial.cell(part, *_where(bad))} {rule}")


def _twice_the_same(trial: Trial) -> None:
    found = _differs(trial.whole, trial.ask(trial.panel), slice(None))
    if found:
        trial.broken(
            f"it is not deterministic: asked again, its {trial.cell(*found)} is another; draw by a"
            " fixed seed and keep nothing from one call to the next"
        )


def _unmoved_by_noise(trial: Trial) -> bool:
    """Does it give the same votes, to the last bit, on the same bars of other numbers?

    Prices are there where they were, for a vote from memory may be held back where one is missing.
    """
    other = _changed(trial.panel, _scattered, 0, trial.seed, BARS)
    if other.context:
        other = _changed(other, _either_sign, 0, trial.seed, tuple(other.context))
    counted = slice(trial.first, None)
    found = _differs(trial.whole, trial.ask(other), counted)
    return found is None and bool(_voted(trial.whole)[counted].any())


# --- the past alone decides ----------------------------------------------------------------------


def _past_alone(trial: Trial, t: int) -> None:
    """Bars up to t say the same without the bars after it, and whatever these hold."""
    past = slice(trial.first, t + 1)
    for does, other in (
        ("when later bars are cut away", lambda: trial.panel.rows(0, t + 1)),
        ("when later bars hold noise", lambda: _changed(trial.panel, _noise, t + 1, trial.seed)),
    ):
        said = trial.ask(other())
        found = _differs(trial.whole, said, past)
        if found:
            part, row, j = found
            trial.broken(
                f"it looks ahead: its {trial.cell(*found)} is"
                f" {_other(trial.whole[part][row, j], said[part][row, j])} {does};"
                f" {_leak(trial, t)}"
            )


def _leak(trial: Trial, t: int) -> str:
    """What kind of leak it looks like: how far beyond bar t it reads, and through what."""
    rows = _affected(trial, t, t + 1)
    if rows is None:
        return "it depends on where the panel ends, whatever the later bars hold"
    last, beyond = t + 1, len(trial.panel)
    while beyond - last > 1:  # spoiling from `last` on still changes a bar up to t
        middle = (last + beyond) // 2
        found = _affected(trial, t, middle)
        last, beyond, rows = (last, middle, rows) if found is None else (middle, beyond, found)
    return f"{_reach(trial, t, last, int(rows[0]))}{_through(trial, t, last)}"


def _reach(trial: Trial, t: int, last: int, row: int) -> str:
    """In words: bar `row` reads bar `last`, the farthest that any bar up to t reads."""
    ahead, left = last - row, len(trial.panel) - 1 - t
    if last - t > max(left // 2, 100):
        return "it depends on the whole sample (a mean, a scale or a fit over all bars)"
    if ahead == 1:
        return "it reads the next bar"
    return (
        f"it reads up to {ahead} bars ahead (a centred or smoothed value, a fill from later bars or"
        " a higher timeframe named by its open)"
    )


def _through(trial: Trial, t: int, start: int) -> str:
    """The prices or context series through which it reads bars from `start` on, if one alone is
    enough to show it."""
    context = {name: f"the context {name!r}" for name in trial.panel.context}
    named = {name: f"its {name}" for name in BARS} | context
    by = [named[name] for name in named if _affected(trial, t, start, (name,)) is not None]
    return f", through {' and '.join(by)}" if by else ""


def _affected(trial: Trial, t: int, start: int, only: tuple[str, ...] = ()) -> Ints | None:
    """The rows up to t that change when bars from `start` on are spoilt; None if none does."""
    changed = np.zeros(t + 1, bool)
    for spoil in (_times(8.0), _times(0.125), _holes, _noise):
        said = trial.ask(_changed(trial.panel, spoil, start, trial.seed, only))
        for one, other in zip(trial.whole, said, strict=True):
            changed |= ~_equal(one[: t + 1], other[: t + 1]).all(axis=1)
    rows = np.flatnonzero(changed)
    rows = rows[rows >= trial.first]
    return rows if len(rows) else None


def _changed(
    panel: Panel, spoil: Spoil, start: int, seed: int = 0, only: tuple[str, ...] = ()
) -> Panel:
    """The panel with its bars from `start` on spoilt (all series, or `only` some)."""

    def copied(k: int, name: str, frame: pd.DataFrame | pd.Series) -> pd.DataFrame | pd.Series:
        if only and name not in only:
            return frame
        values = frame.to_numpy(dtype=np.float64, copy=True)
        values[start:] = spoil(values[start:], np.random.default_rng([seed, start, k]))
        if isinstance(frame, pd.Series):
            return pd.Series(values, frame.index, name=frame.name)
        return pd.DataFrame(values, frame.index, frame.columns)

    bars = {name: copied(k, name, getattr(panel, name)) for k, name in enumerate(BARS)}
    context = {
        name: copied(len(BARS) + k, name, series)
        for k, (name, series) in enumerate(panel.context.items())
    }
    return replace(panel, **bars, context=context)


def _noise(values: Floats, rng: np.random.Generator) -> Floats:
    """Other numbers of the same sign, a tenth of them holes, a tenth 0, a tenth absurd."""
    spoilt = np.where(np.isfinite(values) & (values != 0.0), values, 1.0)
    spoilt = spoilt * np.exp(rng.normal(0.0, 1.0, values.shape))
    kind = rng.random(values.shape)
    return np.select([kind < 0.1, kind < 0.2, kind < 0.3], [np.nan, 0.0, spoilt * 1e6], spoilt)


def _scattered(values: Floats, rng: np.random.Generator) -> Floats:
    return values * np.exp(rng.normal(0.0, 1.0, values.shape))


def _either_sign(values: Floats, rng: np.random.Generator) -> Floats:
    return _noise(values, rng) * rng.choice((-1.0, 1.0), values.shape)


def _holes(values: Floats, rng: np.random.Generator) -> Floats:
    _ = rng
    return np.full_like(values, np.nan)


def _times(factor: float) -> Spoil:
    return lambda values, _: np.where(values == 0.0, factor - 1.0, values * factor)


# --- enough history ------------------------------------------------------------------------------


def _lookback_suffices(trial: Trial, t: int) -> None:
    """The last `lookback` bars up to t, which is all the desk shows, say what all history says."""
    said = trial.ask(trial.panel.rows(t - trial.first, t + 1))
    for part, (one, other) in enumerate(zip(trial.whole, said, strict=True)):
        expected, given = one[t], other[-1]
        allowed = CONFIDENCE_TOLERANCE * np.abs(expected) if PART[part] == "confidence" else 0.0
        bad = ~(np.abs(expected - given) <= allowed)
        if bad.any():
            if t + 1 < len(trial.panel):
                _past_alone(trial, t)  # a leak is told as one
            j = int(np.flatnonzero(bad)[0])
            trial.broken(
                f"its {trial.cell(part, t, j)} is {_other(expected[j], given[j])} on its last"
                f" {trial.first + 1:,} bars alone, which is all that the desk shows it; raise"
                " `lookback`"
            )


# --- comparing ----------------------------------------------------------------------------------


def _equal(one: Floats, other: Floats) -> Bools:
    """To the last bit."""
    return (one == other) | (np.isnan(one) & np.isnan(other))


def _differs(
    whole: tuple[Floats, ...], said: tuple[Floats, ...], rows: slice
) -> tuple[int, int, int] | None:
    """Part, row and column of the first of these rows that is not the same; None if all are."""
    found = _first_differences(whole, said, rows)
    return min(found, key=lambda at: at[1], default=None)


def _first_differences(
    whole: tuple[Floats, ...], said: tuple[Floats, ...], rows: slice
) -> Iterator[tuple[int, int, int]]:
    for part, (one, other) in enumerate(zip(whole, said, strict=True)):
        bad = ~_equal(one[rows], other[rows])
        if bad.any():
            t, j = _where(bad)
            yield part, t + (rows.start or 0), j


def _other(one: float, other: float) -> str:
    """Another number, by how much where it looks the same."""
    return f"{other:g}" if f"{one:g}" != f"{other:g}" else f"{abs(other - one):.1g} off"


def _where(bad: Bools) -> tuple[int, int]:
    t, j = np.argwhere(bad)[0]
    return int(t), int(j)


def _voted(whole: tuple[Floats, ...]) -> Bools:
    """The rows with a vote or an exit."""
    said = (whole[0] != 0.0).any(axis=1)
    return said if len(whole) == 2 else said | whole[2].any(axis=1)
