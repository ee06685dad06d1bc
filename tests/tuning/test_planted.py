"""Judges whose skill was planted are found out: as good as they are, and no better.

Each case has a true chance, of which the day decides a part; outcomes of a day share their luck
besides. A trade makes 3 % or loses 2 %, less a round trip of 30 bp, so it breaks even at 46 %.
A test that fails names the seeds that did.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm

from workbench.arrays import Floats
from workbench.calibration import LEAST
from workbench.domain import Costs, Limits
from workbench.tuning.calibrate import judge_curves
from workbench.tuning.scorecard import scorecard
from workbench.tuning.skill import skill

WIN, LOSS = 0.03 - 0.003, 0.02 + 0.003
MIDDLE, SPREAD = -0.35, 0.6  # of the true chance's log odds: about 42 % on average
BY_DAY = 0.3  # of the spread of the chances, and of the luck
DAYS, A_DAY = 100, 4
START = pd.Timestamp("2026-09-01", tz="UTC")
BAR = pd.Timedelta("1h")
TAKES_ALL, TAKES_HALF = 42, 35  # confidence from which it proceeds, and reduces
BETTER = "its chances are better than the base rate"


class Truth(NamedTuple):
    """What a calibrated judge of this world comes to in the long run; `worth` is a case's."""

    auc: float
    skill: float
    worth: float


def daily(rng: np.random.Generator, days: int, stays: float) -> Floats:
    """A normal number a day for each of its cases, which stays for days by `stays` a day."""
    found = rng.normal(size=days)
    for day in range(1, days):
        found[day] = stays * found[day - 1] + np.sqrt(1.0 - stays**2) * found[day]
    return np.repeat(found, A_DAY)


def mixed(rng: np.random.Generator, days: int, stays: float) -> Floats:
    """Standard normal: a part that a day's cases share, and an own one."""
    own = rng.normal(size=days * A_DAY)
    return np.sqrt(BY_DAY) * daily(rng, days, stays) + np.sqrt(1.0 - BY_DAY) * own


def judged(
    seed: int, days: int = DAYS, over: float = 1.0, stays: float = 0.0, *, blind: bool = False
) -> tuple[pd.DataFrame, Floats]:
    """Resolved cases and their true chances. The judge sees the chance with its log odds stretched
    by `over` (1: calibrated); where it is `blind` the outcomes are of other chances."""
    rng = np.random.default_rng(seed)
    seen, luck = mixed(rng, days, stays), norm.cdf(mixed(rng, days, stays))
    chance = expit(MIDDLE + SPREAD * (mixed(rng, days, stays) if blind else seen))
    said = np.round(100.0 * expit(MIDDLE + over * SPREAD * seen))
    t = np.repeat(np.arange(days) * 24, A_DAY)
    asked = START + pd.to_timedelta(t, unit="h")
    plain = {
        "t": t, "time": asked, "symbol": [f"C{k % A_DAY}" for k in range(len(t))],
        "source": "MOCK", "code": "", "model": "mock", "prompt_id": "1", "knowledge": "clean",
        "confidence": said, "kept": kept(said), "stake": 500.0, "closed": asked + 5 * BAR,
        "return": np.where(luck < chance, WIN, -LOSS),
    }  # fmt: skip
    return pd.DataFrame(plain), chance


def kept(said: Floats) -> Floats:
    return np.where(said >= TAKES_ALL, 1.0, np.where(said >= TAKES_HALF, 0.5, 0.0))


@pytest.fixture(scope="module")
def truth() -> Truth:
    """By the normal's quantiles, pair by pair: no luck in it."""
    chance = expit(MIDDLE + SPREAD * norm.ppf((np.arange(2_000) + 0.5) / 2_000))
    said = np.round(100.0 * chance)
    win, lose = chance / chance.sum(), (1.0 - chance) / (1.0 - chance).sum()
    order = (said[:, None] > said) + 0.5 * (said[:, None] == said)
    rate = chance.mean()
    brier = np.mean(chance * (said / 100.0 - 1.0) ** 2 + (1.0 - chance) * (said / 100.0) ** 2)
    r = chance * WIN - (1.0 - chance) * LOSS
    return Truth(
        float(win @ order @ lose), float(1.0 - brier / (rate * (1.0 - rate))),
        float(-np.mean((1.0 - kept(said)) * r)),
    )  # fmt: skip


def test_planted_skill_is_within_its_intervals_as_often_as_they_say(truth: Truth) -> None:
    """AUC 0.66, Brier skill 0.076, a veto worth 34 bp a case, found from 400 cases on 100 days."""
    assert truth == pytest.approx((0.658, 0.0757, 0.0034), rel=0.01)
    seeds = range(150)
    missed: dict[str, list[int]] = {"auc": [], "skill": [], "worth": [], "ece": [], "praise": []}
    for seed in seeds:
        cases, _ = judged(seed)
        found = skill(cases, seed, resamples=300)
        card = scorecard(cases, seed, coins=50, resamples=300).iloc[0]
        within = {
            "auc": found.auc_low <= truth.auc <= found.auc_high,
            "skill": found.skill_low <= truth.skill <= found.skill_high,
            "worth": card["low"] <= truth.worth * len(cases) <= card["high"],
            "ece": found.ece <= found.ece_null,
            "praise": found.says.startswith("it tells winners from losers"),
        }
        for name, good in within.items():
            missed[name] += [] if good else [seed]
    rate = {name: len(failed) / len(seeds) for name, failed in missed.items()}
    for name in ("auc", "skill", "worth", "ece"):
        assert 0.01 <= rate[name] <= 0.10, f"{name} missed in {missed[name]}"
    assert rate["praise"] <= 0.02, f"not praised in {missed['praise']}"


def test_judges_without_skill_pass_in_at_most_one_of_twenty() -> None:
    """Of every other one confidence and luck stay for weeks. The mean trade loses, so that many a
    blind veto is shown to spare losses: it must not be taken for knowledge."""
    seeds, spared = range(1_000, 1_240), 0
    praised: dict[str, list[int]] = {"skill": [], "card": []}
    for seed in seeds:
        cases, _ = judged(seed, stays=0.9 * (seed % 2), blind=True)
        says = skill(cases, seed, resamples=200).says
        card = scorecard(cases, seed, coins=200, resamples=200).iloc[0]
        spared += int(card["low"] > 0.0)
        if says.startswith("it tells winners from losers") or BETTER in says:
            praised["skill"].append(seed)
        if card["says"] == "worth more than a coin, on these cases":
            praised["card"].append(seed)
    assert spared > 0.1 * len(seeds)
    for name, found in praised.items():
        assert len(found) <= 0.05 * len(seeds), f"{name} praised in {found}"


def test_an_overconfident_judge_is_told_and_its_curve_brings_the_chances_back() -> None:
    """Log odds stretched threefold. The second half, each by the curve known at its time."""
    seeds, days = range(20), 240
    faults: dict[str, list[int]] = {"not told": [], "off": [], "no better": [], "still told": []}
    for seed in seeds:
        cases, chance = judged(seed, days, over=3.0)
        curves = judge_curves(cases, BAR, Limits(), Costs())["mock 1"]
        times = pd.DatetimeIndex(cases["time"])
        later = np.flatnonzero(times >= START + pd.Timedelta(days=days // 2))
        assert (curves.outcomes(times[later]) >= LEAST).all()
        p = curves.apply(cases[["confidence"]].to_numpy(), times)[:, 0]
        raw, done = cases.iloc[later], cases.assign(confidence=p).iloc[later]
        before, after = skill(raw, seed, resamples=100), skill(done, seed, resamples=100)
        off = float(np.abs(p / 100.0 - chance)[later].mean())
        wrong = {
            "not told": before.ece <= before.ece_null,
            "off": off > 0.06,
            "no better": after.brier >= before.brier,
            "still told": after.ece > after.ece_null,
        }
        for name, fault in wrong.items():
            faults[name] += [seed] if fault else []
    assert not faults["not told"], f"overconfidence unseen in {faults['not told']}"
    assert not faults["no better"], f"no better calibrated in {faults['no better']}"
    assert len(faults["off"]) <= 0.1 * len(seeds), f"far from the truth in {faults['off']}"
    assert len(faults["still told"]) <= 0.2 * len(seeds), f"still off in {faults['still told']}"
