"""How good a judge's confidences are: does it know the winners, and is its 60 % a 60 %?

Read from cases that were answered and are resolved, whatever was decided. Cases of one day are not
independent, so every interval draws whole UTC days, and a perfect forecaster is one whose outcomes
fall together within a day as these do. What spills into the next day is not seen (as in
`research.interval`); `p rotated` shifts the confidences in time instead, which leaves it whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Floats, Ints
from workbench.calibration import LEAST, brier, reliability
from workbench.research.interval import LEAST_DAYS
from workbench.tuning.calibrate import confidences
from workbench.tuning.scorecard import US_PER_DAY, answered, rotated, scorecard, share

CLEAN, CONTAMINATED, UNKNOWN, UNTAGGED = "clean", "contaminated", "unknown", ""
BINS = 10
MOST_CHANCE = 0.025  # as much as an interval leaves on one side


@dataclass(frozen=True, eq=False)
class Skill:
    """A judge's confidences in figures, over `n` outcomes on so many days; NaN where unknown.

    `said` is the mean confidence as a chance. `auc`: P(of a winner and a loser the winner had the
    higher confidence), 0.5 is blind, with its 95 % interval; `p_rotated` is the share of shifts in
    time that do as well. `brier` = `reliability` - `resolution` + `uncertainty` + `within_bins`
    (Murphy 1973, in ten bins; the last is the remainder of Stephenson et al. 2008; few outcomes
    swell the first two). `skill` is 1 - brier / uncertainty: above 0 is better than to have said
    the base rate, which nobody knew before. `ece`: mean distance of what was said from what came,
    by bin; a perfect forecaster who said the same stays below `ece_null` in 95 of 100 worlds.
    `table` is that of `calibration.reliability`.
    """

    n: int
    days: int
    base_rate: float
    said: float
    auc: float
    auc_low: float
    auc_high: float
    p_rotated: float
    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float
    skill: float
    skill_low: float
    skill_high: float
    ece: float
    ece_null: float
    says: str
    table: pd.DataFrame = field(repr=False)

    def figures(self) -> dict[str, Any]:
        """All but the table."""
        return {name: value for name, value in vars(self).items() if name != "table"}


@dataclass(frozen=True, eq=False)
class Draws:
    """AUC and Brier skill in each resample of the days."""

    auc: Floats
    skill: Floats


def skill(cases: pd.DataFrame, seed: int = 0, resamples: int = 2_000) -> Skill:
    """The skill in these `resolved` cases. Raises DataError at a confidence that is none."""
    return _measured(_outcomes(cases), seed, resamples)[0]


@dataclass(frozen=True, eq=False)
class _Outcomes:
    """Confidence as a chance, whether it won, and the UTC day, in the order of time."""

    p: Floats
    won: Any
    days: Ints


def _outcomes(cases: pd.DataFrame) -> _Outcomes:
    known = answered(cases)
    known = known[known["return"].notna()].sort_values(["t", "symbol"], kind="stable")
    days = pd.DatetimeIndex(known["time"]).as_unit("us").asi8 // US_PER_DAY
    return _Outcomes(
        confidences(known) / 100.0, known["return"].to_numpy(np.float64) > 0.0, np.asarray(days)
    )


def _measured(own: _Outcomes, seed: int, resamples: int) -> tuple[Skill, Draws]:
    p, won, n = own.p, own.won, len(own.p)
    table, rate = reliability(p, won, BINS), float(won.mean()) if n else math.nan
    draws = drawn(own, seed, resamples)
    score, uncertainty = brier(p, won), rate * (1.0 - rate)
    apart, spread = _murphy(table, rate)
    auc_low, auc_high = _interval(draws.auc)
    skill_low, skill_high = _interval(draws.skill)
    figures: dict[str, Any] = {
        "n": n, "days": len(np.unique(own.days)), "base_rate": rate,
        "said": float(p.mean()) if n else math.nan,
        "auc": auc(p, won), "auc_low": auc_low, "auc_high": auc_high,
        "p_rotated": _rotated(p, won),
        "brier": score, "reliability": apart, "resolution": spread, "uncertainty": uncertainty,
        "within_bins": score - apart + spread - uncertainty,
        "skill": 1.0 - score / uncertainty if uncertainty else math.nan,
        "skill_low": skill_low, "skill_high": skill_high,
        "ece": ece(p, won), "ece_null": ece_null(own, seed, resamples),
    }  # fmt: skip
    return Skill(**figures, says=_says(figures), table=table), draws


# --- figures ---------------------------------------------------------------------------------


def auc(p: Floats, won: Any) -> float:
    """P(a winner's confidence > a loser's) + half of P(equal): Mann and Whitney's. NaN unless there
    are both."""
    wins, losses = _counts(p, won, np.zeros(len(p), np.int64))
    return float(_auc(wins, losses)[0]) if len(p) else math.nan


def _counts(p: Floats, won: Any, block: Ints) -> tuple[Floats, Floats]:
    """Wins and losses of each block at each level of confidence, (blocks, levels)."""
    levels, place = np.unique(p, return_inverse=True)
    wins = np.zeros((int(block.max(initial=-1)) + 1, len(levels)))
    losses = wins.copy()
    np.add.at(wins, (block, place), won)
    np.add.at(losses, (block, place), ~won)
    return wins, losses


def _auc(wins: Floats, losses: Floats) -> Floats:
    below = losses.cumsum(axis=-1) - losses / 2.0
    pairs = wins.sum(axis=-1) * losses.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return (wins * below).sum(axis=-1) / pairs


def _murphy(table: pd.DataFrame, rate: float) -> tuple[float, float]:
    """Reliability and resolution by the bins of a reliability table."""
    full = table[table["n"] > 0]
    if not len(full):
        return math.nan, math.nan
    n, said, came = (full[name].to_numpy(np.float64) for name in ("n", "mean p", "hit rate"))
    return float(n @ (said - came) ** 2 / n.sum()), float(n @ (came - rate) ** 2 / n.sum())


def ece(p: Floats, won: Any) -> float:
    """Expected calibration error: the mean distance of a bin's mean confidence from its hit rate,
    each bin weighed by its outcomes."""
    return float(_gaps(p, won, _bins(p)).sum() / len(p)) if len(p) else math.nan


def _bins(p: Floats) -> Ints:
    """As `reliability` has them."""
    return np.minimum((p * BINS).astype(np.int64), BINS - 1)


def _gaps(p: Floats, won: Any, place: Ints) -> Floats:
    return np.abs(np.bincount(place, weights=p - won, minlength=BINS))


def ece_null(own: _Outcomes, seed: int, worlds: int) -> float:
    """What the ECE of a perfect forecaster with these confidences stays below in 95 % of `worlds`.

    Each outcome comes with the chance that was said. Those of one day are alike as these are: with
    chance sqrt(rho) an outcome takes its luck from the day and else its own, so that two of a day
    correlate by about rho (Lunn and Davies 1998).
    """
    p, n = own.p, len(own.p)
    if not n:
        return math.nan
    place, (_, day) = _bins(p), np.unique(own.days, return_inverse=True)
    shared = math.sqrt(_alike(own, place, day))
    rng = np.random.default_rng(seed)
    found = np.empty(worlds)
    for k in range(worlds):
        luck, days = rng.random(n), rng.random(int(day.max()) + 1)
        luck = np.where(rng.random(n) < shared, days[day], luck)
        found[k] = _gaps(p, luck < p, place).sum() / n
    return float(np.quantile(found, 0.95))


def _alike(own: _Outcomes, place: Ints, day: Ints) -> float:
    """Mean correlation, 0..1, of two outcomes of a day beyond what their bins explain."""
    n = np.bincount(place, minlength=BINS)
    rate = np.bincount(place, weights=own.won, minlength=BINS) / np.maximum(n, 1)
    left = own.won - rate[place]
    squares = np.bincount(day, weights=left**2)
    size = np.bincount(day)
    pairs, variance = float((size * (size - 1)).sum()), float(squares.sum()) / len(left)
    if not pairs or not variance:
        return 0.0
    together = float((np.bincount(day, weights=left) ** 2 - squares).sum()) / pairs
    return min(max(together / variance, 0.0), 1.0)


# --- how far it may be luck ------------------------------------------------------------------


def drawn(own: _Outcomes, seed: int, resamples: int) -> Draws:
    """AUC and Brier skill with the days drawn anew, with replacement; of fewer than 10, none."""
    _, day = np.unique(own.days, return_inverse=True)
    n = int(day.max(initial=-1)) + 1
    if n < LEAST_DAYS:
        return Draws(np.empty(0), np.empty(0))
    often = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=resamples)
    wins, losses = _counts(own.p, own.won, day)
    size = often @ np.bincount(day)
    rate = often @ wins.sum(axis=1) / size
    score = often @ np.bincount(day, weights=(own.p - own.won) ** 2) / size
    with np.errstate(divide="ignore", invalid="ignore"):
        better = 1.0 - score / (rate * (1.0 - rate))
    return Draws(_auc(often @ wins, often @ losses), better)


def _interval(draws: Floats) -> tuple[float, float]:
    """The middle 95 %; NaN where a resample had no winner or no loser."""
    if not len(draws) or not np.isfinite(draws).all():
        return math.nan, math.nan
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def _rotated(p: Floats, won: Any) -> float:
    """The share of shifts in time of the confidences whose AUC is as high, the judge's own counted;
    NaN if all are alike."""
    own = auc(p, won)
    if math.isnan(own) or not np.ptp(p) > 0.0:
        return math.nan
    _, level, size = np.unique(p, return_inverse=True, return_counts=True)
    rank = (size.cumsum() - (size - 1) / 2.0)[level]  # the winners' sum of these rises with the AUC
    winners = won.astype(np.float64)
    return share(rotated(rank, winners), float(rank @ winners))


# --- in words --------------------------------------------------------------------------------


def _says(found: dict[str, Any]) -> str:
    n = found["n"]
    if n < LEAST:
        return f"not yet known: {n} outcomes, {LEAST} are needed"
    if math.isnan(found["auc_low"]):
        few = f"outcomes on fewer than {LEAST_DAYS} days" if found["days"] < LEAST_DAYS else ""
        return f"not yet known: {few or 'hardly any of them won, or hardly any lost'}"
    return "; ".join([_knows(found), _better(found), _honest(found)])


def _knows(found: dict[str, Any]) -> str:
    """About its order."""
    if found["auc_high"] < 0.5:
        return "it is surer of the losers than of the winners"
    if found["auc_low"] <= 0.5:
        return "not shown to tell winners from losers: the AUC's interval contains 0.5"
    if not found["p_rotated"] <= MOST_CHANCE:
        return "not shown to tell winners from losers: shifted in time it does as well"
    return "it tells winners from losers, on these cases"


def _better(found: dict[str, Any]) -> str:
    """About its chances, beside the base rate."""
    if found["skill_high"] < 0.0:
        return "its chances are worse than the base rate"
    if found["skill_low"] > 0.0 and found["p_rotated"] <= MOST_CHANCE:
        return "its chances are better than the base rate"
    return "its chances are not shown to be better than the base rate"


def _honest(found: dict[str, Any]) -> str:
    """About what a chance of it means."""
    if found["ece"] <= found["ece_null"]:
        return "no miscalibration is shown"
    bias = found["said"] - found["base_rate"]
    return f"what it says is not what comes: on average {bias:+.1%}, so calibrate it"


# --- by what the model may remember ----------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ByKnowledge:
    """The same by what the model may have known of the outcomes.

    `headline` and `card` (a scorecard) are of the clean cases alone, or of all where no case is
    tagged: no model was asked then. `table` has a row for each kind of case that there is; `gap`
    that of contaminated over clean cases in AUC and Brier skill, with its 95 % interval: above 0 it
    does better where it may remember. `says` puts both in words.
    """

    headline: Skill
    card: pd.DataFrame
    table: pd.DataFrame
    gap: pd.DataFrame
    says: str


def by_knowledge(
    cases: pd.DataFrame, seed: int = 0, resamples: int = 2_000, coins: int = 2_000
) -> ByKnowledge:
    """Skill and scorecard of `resolved` cases by their column `knowledge`, the headline clean. A
    tag that nobody knows is unknown."""
    tag = cases["knowledge"] if "knowledge" in cases else pd.Series(UNTAGGED, cases.index)
    tag = tag.where(tag.isin((CLEAN, CONTAMINATED, UNTAGGED)), UNKNOWN)
    tagged = bool((tag != UNTAGGED).any())
    kinds = (CLEAN, CONTAMINATED, UNKNOWN, UNTAGGED) if tagged else (UNTAGGED,)
    measured, cards = {}, {}
    for k, kind in enumerate(kinds):  # another seed each: the days of two kinds are not the same
        own = cases[tag == kind]
        measured[kind] = _measured(_outcomes(own), seed + k, resamples)
        cards[kind] = scorecard(own, seed, coins)
    shown = kinds[0]
    there = [kind for kind in kinds if kind == shown or (tag == kind).any()]
    rows = {kind or "not tagged": _row(measured[kind][0], cards[kind]) for kind in there}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("knowledge")
    gap = _gap(measured[CLEAN], measured[CONTAMINATED]) if tagged else _gap()
    headline = measured[shown][0]
    return ByKnowledge(headline, cards[shown], table, gap, _told(headline, table, gap, tagged))


def _row(found: Skill, card: pd.DataFrame) -> dict[str, Any]:
    """The skill, and the judge's own row of the scorecard."""
    judge = card.iloc[0].to_dict()
    each = judge["worth"] / judge["resolved"] if judge["resolved"] else math.nan
    figures = {**found.figures(), **{word: judge[name] for name, word in _CARD.items()}}
    return {**figures, "worth a case": each}


_CARD = {  # figure of a scorecard, and its name beside those of the skill
    "cases": "cases", "failed": "failed", "vetoed": "vetoed", "worth": "worth",
    "low": "worth low", "high": "worth high", "p coin": "worth p coin",
    "p rotated": "worth p rotated", "says": "worth says",
}  # fmt: skip


def _gap(*pair: tuple[Skill, Draws]) -> pd.DataFrame:
    columns = ["clean", "contaminated", "gap", "low", "high"]
    if not pair:
        return pd.DataFrame([], columns=columns, dtype=np.float64)
    (clean, its), (other, theirs) = pair
    rows = {
        "AUC": (clean.auc, other.auc, theirs.auc, its.auc),
        "Brier skill": (clean.skill, other.skill, theirs.skill, its.skill),
    }
    told = {
        name: (one, two, two - one, *(_interval(a - b) if len(a) and len(b) else (math.nan,) * 2))
        for name, (one, two, a, b) in rows.items()
    }
    return pd.DataFrame.from_dict(told, orient="index", columns=columns)


def _told(headline: Skill, table: pd.DataFrame, gap: pd.DataFrame, tagged: bool) -> str:
    if not tagged:
        return headline.says
    left = {name: int(n) for name, n in table["n"].items() if name != CLEAN and n}
    out = ", ".join(f"{n:,} {name}" for name, n in left.items())
    parts = [f"clean cases only: {headline.says}"]
    parts += [f"outcomes left out: {out}"] if out else []
    enough = min(headline.n, left.get(CONTAMINATED, 0)) >= LEAST
    if enough and (gap["low"] > 0.0).any():
        parts.append("it does better where it may remember the outcomes: do not count on that part")
    return "; ".join(parts)
