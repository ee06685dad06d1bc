"""Confidence with a meaning: 100 x P(this bracketed trade closes net positive).

A strategy's own score is no probability. Its resolved outcomes turn it into one, walk-forward: a
curve counts from the moment it could have been fitted. How much of the score is believed grows with
the outcomes: below 200 none of it (the hit rate shrunk towards break-even), then Platt's logistic,
from 1,000 on isotonic steps. A higher score never means less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from workbench.arrays import Floats, Ints
from workbench.errors import DataError

LEAST = 120  # resolved outcomes; below them a confidence says uncalibrated
PLATT_FROM, ISOTONIC_FROM = 200, 1_000
STRENGTH = 20.0  # the prior weighs as much as this many outcomes
SHRUNK, PLATT, ISOTONIC = "shrunk", "platt", "isotonic"
EVERY = "30D"
Knots = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Curve:
    """Score to probability, as known from `since` on: flat outside the knots, between them linear
    in the chance, or in its log odds where `kind` is platt.

    `kind` is shrunk, platt or isotonic; `n` outcomes of which `wins` closed net positive. Raises
    DataError unless it is a curve: scores ascending, chances within 0..1 and never falling.
    """

    since: pd.Timestamp
    kind: str
    n: int
    wins: int
    scores: tuple[float, ...]
    chances: tuple[float, ...]

    def __post_init__(self) -> None:
        wrong = _wrong(self)
        if wrong:
            raise DataError(f"the curve of {self.since} is none: {wrong}; calibrate again")

    def chance(self, scores: Floats) -> Floats:
        """P(win) of each score, in its shape."""
        if self.kind != PLATT:
            return np.interp(scores, self.scores, self.chances)
        p = np.asarray(self.chances)
        odds = np.interp(scores, self.scores, np.log(p) - np.log1p(-p))
        return 1.0 / (1.0 + np.exp(-odds))


@dataclass(frozen=True)
class Calibration:
    """A strategy's curves in the order of `since`. Raises DataError if they are not in it."""

    curves: tuple[Curve, ...]

    def __post_init__(self) -> None:
        for one, other in zip(self.curves, self.curves[1:], strict=False):
            if not one.since < other.since:
                raise DataError(
                    f"the curve of {other.since} stands after that of {one.since}; curves go by"
                    " the time since which they are known, so calibrate again"
                )

    def apply(self, scores: Floats, times: pd.DatetimeIndex) -> Floats:
        """Confidences (bars, symbols) for scores of the same shape, each by the curve known at its
        time. One of too few outcomes can only lower the score: nobody may bet more for being less
        known. Before the first curve the score stays as it is."""
        sure, at = np.array(scores, dtype=np.float64), self._known(times)
        for k in np.unique(at[at >= 0]):
            curve, rows = self.curves[k], at == k
            chance = 100.0 * curve.chance(sure[rows])
            sure[rows] = chance if curve.n >= LEAST else np.minimum(chance, sure[rows])
        return sure

    def outcomes(self, times: pd.DatetimeIndex) -> Ints:
        """How many outcomes the confidence at each time stands on; 0: uncalibrated."""
        n = np.array([curve.n if curve.n >= LEAST else 0 for curve in self.curves] + [0])
        return n[self._known(times)]  # -1, before the first curve, is the last: none

    @property
    def last(self) -> Curve | None:
        """The newest curve with enough outcomes to stand for a probability."""
        return next((curve for curve in reversed(self.curves) if curve.n >= LEAST), None)

    def _known(self, times: pd.DatetimeIndex) -> Any:
        return self._since.searchsorted(times, side="right") - 1

    @cached_property
    def _since(self) -> pd.DatetimeIndex:
        return pd.DatetimeIndex([curve.since for curve in self.curves], tz="UTC")


def _wrong(curve: Curve) -> str:
    """What keeps it from being a curve, "" if nothing does."""
    scores, chances = np.array(curve.scores), np.array(curve.chances)
    if curve.since is pd.NaT or curve.since.tz is None:
        return "its time is none with a zone"
    if curve.kind not in (SHRUNK, PLATT, ISOTONIC):
        return f"its kind is {curve.kind!r}"
    if not 0 <= curve.wins <= curve.n:
        return f"{curve.wins} of {curve.n} outcomes cannot have won"
    if not 0 < len(scores) == len(chances):
        return f"it has {len(scores)} scores and {len(chances)} chances"
    if not (np.isfinite(scores).all() and (np.diff(scores) > 0.0).all()):
        return "its scores do not ascend"
    top = np.nextafter(1.0, 0.0) if curve.kind == PLATT else 1.0  # log odds end at 0 and 1
    if not ((chances >= 1.0 - top) & (chances <= top)).all():
        return "a chance is not within 0..1"
    return "a higher score means less" if (np.diff(chances) < 0.0).any() else ""


# --- walk-forward ----------------------------------------------------------------------------


def walk_forward(
    voted_at: pd.DatetimeIndex, closed_at: pd.DatetimeIndex, scores: Floats, won: Any,
    breakeven: float, every: str = EVERY,
) -> Calibration:  # fmt: skip
    """Curves refitted at every multiple of `every` since 1970, each from the outcomes that had
    CLOSED before it, so that no outcome calibrates its own vote or one before its close.

    One row an outcome: when its vote was cast, when its trade closed, the score (0-100) and whether
    it closed net positive. The moments of refitting do not depend on the outcomes, the last one is
    the first after all are closed, and one before which nothing new closed is left out. Raises
    DataError at an outcome that closes before its vote.
    """
    closes, score, win = closed_at.as_unit("us").asi8, np.asarray(scores, float), _bools(won)
    early = np.flatnonzero(closes <= voted_at.as_unit("us").asi8)
    if len(early):
        raise DataError(
            f"the outcome of {voted_at[early[0]]} closed at {closed_at[early[0]]}, not after its"
            " vote; an outcome needs the close of the bar in which its trade ended"
        )
    step = int(pd.Timedelta(every) / pd.Timedelta(1, unit="us"))
    curves = list(unknown(breakeven).curves)
    for tick in np.unique(closes // step + 1):  # the first refit after each close
        known = closes < tick * step
        kind, (knots, chances) = fit(score[known], win[known], breakeven)
        since = pd.Timestamp(int(tick) * step, unit="us", tz="UTC")
        wins = int(win[known].sum())
        curves.append(Curve(since, kind, int(known.sum()), wins, knots, chances))
    return Calibration(tuple(curves))


def unknown(breakeven: float) -> Calibration:
    """Of a strategy without any outcome: it breaks even, until it shows otherwise."""
    began = pd.Timestamp(0, unit="us", tz="UTC")
    return Calibration((Curve(began, SHRUNK, 0, 0, (0.0,), (breakeven,)),))


def fit(scores: Floats, won: Any, breakeven: float) -> tuple[str, Knots]:
    """Kind and knots of the curve that these outcomes allow; see `Curve`.

    Below 200 outcomes (wins + m p0) / (n + m) with m = 20 and the break-even p0, whatever the
    score: of 60 outcomes the score's slope is noise. Then Platt's logistic, and from 1,000 on
    isotonic steps. Scores that are all alike, or a slope that falls, leave the constant.
    """
    score, win = np.asarray(scores, dtype=np.float64), _bools(won)
    n, level = len(score), shrunk(int(win.sum()), len(score), breakeven)
    constant: tuple[str, Knots] = (SHRUNK, ((float(score.mean()) if n else 0.0,), (level,)))
    if n < PLATT_FROM or not np.ptp(score) > 0.0:
        return constant
    if n < ISOTONIC_FROM:
        knots = _platt(score, win)
        return (PLATT, knots) if knots else constant
    return ISOTONIC, _isotonic(score, win, level)


def _platt(score: Floats, win: Any) -> Knots | None:
    """The logistic at the lowest and the highest score seen; None unless it rises.

    The targets are Platt's (1999): (N+ + 1) / (N+ + 2) for a win and 1 / (N- + 2) for a loss, so
    that outcomes which the score tells apart perfectly do not make certainty of it.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  slow to import

    middle, spread = float(score.mean()), float(score.std())
    wins = int(win.sum())
    target = np.where(win, (wins + 1.0) / (wins + 2.0), 1.0 / (len(win) - wins + 2.0))
    x = ((score - middle) / spread)[:, None]
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1_000)
    model.fit(  # a soft target is a win and a loss, each with its weight
        np.concatenate([x, x]), np.repeat([1, 0], len(x)),
        sample_weight=np.concatenate([target, 1.0 - target]),
    )  # fmt: skip
    if not float(model.coef_[0, 0]) > 0.0:
        return None
    ends = float(score.min()), float(score.max())
    chances = model.predict_proba((np.array(ends)[:, None] - middle) / spread)[:, 1]
    return ends, (float(chances[0]), float(chances[1]))


def _isotonic(score: Floats, win: Any, level: float) -> Knots:
    """Isotonic steps (pool adjacent violators), a knot at either end of each.

    No step says 0 or 1: its hit rate is shrunk towards `level`, that of all outcomes, as if 20 more
    had come at that rate; where this turns two steps over they are pooled once more. So a step of
    two lucky trades at the end of the scale says hardly more than its neighbour.
    """
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415  slow to import

    _, step = np.unique(IsotonicRegression().fit_transform(score, win), return_inverse=True)
    n, wins = np.bincount(step), np.bincount(step, weights=win)
    said = (wins + STRENGTH * level) / (n + STRENGTH)
    rising = IsotonicRegression().fit_transform(np.arange(len(n)), said, sample_weight=n + STRENGTH)
    chances, step = np.unique(rising[step], return_inverse=True)
    knots: list[tuple[float, float]] = []
    for k, chance in enumerate(chances.tolist()):
        own = score[step == k]
        knots += [(float(end), chance) for end in np.unique([own.min(), own.max()])]
    return tuple(x for x, _ in knots), tuple(y for _, y in knots)


def _bools(won: Any) -> Any:
    return np.asarray(won, dtype=bool)


# --- how good probabilities are --------------------------------------------------------------


def brier(p: Floats, won: Any) -> float:
    """Mean squared distance of the probabilities from what happened; NaN without any."""
    return float(np.mean((np.asarray(p) - _bools(won)) ** 2)) if len(p) else math.nan


def log_loss(p: Floats, won: Any) -> float:
    """Mean -log of the probability given to what happened (p kept off 0 and 1 by 1e-15)."""
    sure = np.clip(np.asarray(p, dtype=np.float64), 1e-15, 1.0 - 1e-15)
    said = np.where(_bools(won), sure, 1.0 - sure)
    return float(-np.log(said).mean()) if len(said) else math.nan


def shrunk(wins: int, n: int, prior: float, strength: float = STRENGTH) -> float:
    """A hit rate shrunk towards a prior: the mean of Beta(wins + m p0, losses + m (1 - p0))."""
    return (wins + strength * prior) / (n + strength)


def shrunk_low(
    wins: int, n: int, prior: float, strength: float = STRENGTH, level: float = 0.10
) -> float:
    """What that Beta's probability lies below with chance `level`: its lower 10 % bound."""
    from scipy.stats import beta  # noqa: PLC0415  slow to import

    won, lost = wins + strength * prior, n - wins + strength * (1.0 - prior)
    return float(beta.ppf(level, won, lost))


def wilson(wins: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a hit rate; NaN without outcomes.

    It takes outcomes for independent. Those of one hour in eight coins are not: read it as the
    narrowest that it can be.
    """
    if not n:
        return math.nan, math.nan
    from scipy.stats import binomtest  # noqa: PLC0415  slow to import

    found = binomtest(int(wins), int(n)).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def reliability(p: Floats, won: Any, bins: int = 10) -> pd.DataFrame:
    """What came of the probabilities of each bin: from, to, n, mean p, hit rate, low, high (Wilson,
    95 %). All bins of 0..1, empty ones too; the last holds its upper end."""
    sure, win = np.asarray(p, dtype=np.float64), _bools(won)
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    rows = []
    for k in range(bins):
        own = place == k
        n, wins = int(own.sum()), int(win[own].sum())
        means = (float(sure[own].mean()), wins / n) if n else (math.nan, math.nan)
        rows.append((k / bins, (k + 1) / bins, n, *means, *wilson(wins, n)))
    return pd.DataFrame(rows, columns=["from", "to", "n", "mean p", "hit rate", "low", "high"])


# --- as JSON ---------------------------------------------------------------------------------


class _CurveShape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    since: AwareDatetime
    kind: str
    n: int
    wins: int
    scores: list[float]
    chances: list[float]


_SHAPE = TypeAdapter(dict[str, Annotated[list[_CurveShape], Field(min_length=1)]])


def calibrations_to_json(calibrations: Mapping[str, Calibration]) -> dict[str, Any]:
    """The curves of strategies by name, as JSON's own types."""
    return {name: [_plain(c) for c in found.curves] for name, found in calibrations.items()}


def _plain(curve: Curve) -> dict[str, Any]:
    return {
        "since": curve.since.isoformat(), "kind": curve.kind, "n": curve.n, "wins": curve.wins,
        "scores": list(curve.scores), "chances": list(curve.chances),
    }  # fmt: skip


def calibrations_from_json(text: str | bytes) -> dict[str, Calibration]:
    """The same back from JSON text. Raises DataError naming the first thing that is not as
    `calibrations_to_json` writes it: an unknown key, a number that is none, a curve that is none,
    a strategy without a curve (also one without outcomes has one, see `unknown`).
    """
    try:
        found = _SHAPE.validate_json(text)
    except ValidationError as wrong:
        raise DataError(f"the calibration is none: {told(wrong)}; calibrate again") from None
    return {name: _calibration(curves) for name, curves in found.items()}


def told(wrong: ValidationError) -> str:
    """The first fault of a shape: where, and what."""
    first = wrong.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def _calibration(curves: Sequence[_CurveShape]) -> Calibration:
    return Calibration(
        tuple(
            Curve(
                pd.Timestamp(c.since).tz_convert("UTC").as_unit("us"), c.kind, c.n, c.wins,
                tuple(c.scores), tuple(c.chances),
            )
            for c in curves
        )
    )  # fmt: skip
