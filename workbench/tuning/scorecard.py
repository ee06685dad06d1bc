"""What a judge's vetoes were worth, beside a judge that never vetoes and a coin that does as often.

Every case gets the outcome of its entry taken alone (`research.outcomes`), whatever was decided. So
a veto is worth the loss it spared, and costs the gain it forwent. Cases overlap, in one symbol too;
each is taken alone and none makes room for another, so the sums are of opportunities and not of
a run. A case that nobody judged, because the model could not be asked or gave no answer, was
skipped for safety: that is no veto and earns nothing. Sixty cases cannot judge anybody; the
interval says so.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import pandas as pd

from workbench.arrays import Floats
from workbench.domain import Costs, Decision, Limits, Panel
from workbench.research.interval import LEAST_DAYS, sum_interval
from workbench.research.outcomes import outcomes
from workbench.risk.sizing import within

ALWAYS, COIN = "ALWAYS (no judge)", "COIN (blind)"
MOST_CHANCE = 0.05
MOST_SHIFTS = 2_000
US_PER_DAY = 86_400_000_000


def resolved(
    judged: pd.DataFrame,
    panel: Panel,
    limits: Limits | None = None,
    costs: Costs | None = None,
    capital: float = 10_000.0,
    reduce: float = 0.5,
) -> pd.DataFrame:
    """The judged cases (`History.judged`) with their outcomes, row by row.

    Adds the columns of `outcomes`, `kept` (the share of its size that the verdict left: 1, `reduce`
    or 0) and `stake` (the notional of a whole position in quote currency: max_position of the
    capital). A case whose `return` is NaN is not resolved, and `reason` says why. The decision
    alone is weighed: by how much a calibrated chance shrinks a position further, is not.
    """
    limits, costs = limits or Limits(), costs or Costs()
    left = {Decision.PROCEED.value: 1.0, Decision.REDUCE.value: within(reduce, 1.0)}
    return judged.join(outcomes(panel, judged, limits, costs, capital)).assign(
        kept=judged["decision"].map(left).fillna(0.0).astype(float),
        stake=limits.max_position * capital,
    )


def answered(cases: pd.DataFrame) -> pd.DataFrame:
    """The cases that somebody judged, those without a `code`; all of them if there is no such
    column."""
    return cases[cases["code"] == ""] if "code" in cases else cases


def scorecard(
    cases: pd.DataFrame, seed: int = 0, coins: int = 2_000, resamples: int = 5_000
) -> pd.DataFrame:
    """A row a judge: the one that decided these `resolved` cases, ALWAYS, and COIN.

    `failed` counts the cases that nobody judged, which are left out of everything else. Over the
    resolved others, with k the share kept and r the return (1 = a position's notional):
    `vetoed` mean of 1 - k; `mean kept` and `mean vetoed`, r weighted by k and by 1 - k; `sum kept`
    of k * r; **`worth`** = -sum((1 - k) * r), what the veto was worth; `low`, `high` its 95 %
    interval by day blocks of the close that decided; the three again in quote currency.

    A COIN deals the same verdicts to these cases at random: its row has the mean of all coins, and
    as interval what 95 % of them came to. `p coin` is the share of coins that did as well as the
    judge; `p rotated` that of the judge's own verdicts, all shifted in time, which leaves runs of
    equal verdicts whole and is the stricter one for a judge that vetoes whole days. `says` puts
    it in words; praise needs both to be at most 5 %. Without resolved cases the figures are NaN.
    """
    judged = answered(cases)
    known = judged[judged["return"].notna()].sort_values(["t", "symbol"], kind="stable")
    k, r = known["kept"].to_numpy(np.float64), known["return"].to_numpy(np.float64)
    days = pd.DatetimeIndex(known["time"]).as_unit("us").asi8 // US_PER_DAY
    stake = float(known["stake"].iloc[0]) if len(known) else math.nan
    name = " + ".join(sorted(set((judged if len(judged) else cases)["source"]))) or "nobody"
    dealt = deal(k, r, seed, coins)
    blind = np.full(len(k), k.mean() if len(k) else math.nan)
    interval = functools.partial(sum_interval, days=days, seed=seed, resamples=resamples)
    rows = {
        COIN: _row(blind, r, stake, _middle(dealt - r.sum())),
        ALWAYS: _row(np.ones(len(k)), r, stake, interval(0.0 * r)),
        # last, for the judge may be ALWAYS
        name: _row(k, r, stake, interval((k - 1.0) * r)) | by_chance(k, r, dealt),
    }
    order = list(dict.fromkeys([name, ALWAYS, COIN]))
    card = pd.DataFrame.from_dict(rows, orient="index").loc[order]
    card.insert(0, "cases", len(cases))
    card.insert(1, "failed", len(cases) - len(judged))
    card.insert(2, "resolved", len(known))
    card.insert(3, "days", len(np.unique(days)))
    words = {COIN: "what luck is worth", ALWAYS: "the baseline", name: _says(card.loc[name])}
    card["says"] = [words[judge] for judge in order]
    return card.rename_axis("judge")


def telling(cases: pd.DataFrame) -> pd.DataFrame:
    """The resolved verdicts that teach most, at most three, under the rows they have in `cases`.

    `shown` says which: the veto that spared most, the veto that cost most, and the loss that was
    let through whole. One that does not exist is left out.
    """
    judged = answered(cases)
    spared = -(1.0 - judged["kept"]) * judged["return"]
    let = judged["return"][judged["kept"] == 1.0]
    ends = {
        "best veto": spared[spared > 0.0].nlargest(1),
        "worst veto": spared[spared < 0.0].nsmallest(1),
        "a loss let through": let[let < 0.0].nsmallest(1),
    }
    shown = {row: name for name, found in ends.items() for row in found.index}
    rows = cases.loc[list(shown)]
    rows.insert(0, "shown", list(shown.values()))
    return rows


def _row(k: Floats, r: Floats, stake: float, interval: tuple[float, float]) -> dict[str, float]:
    gone, (low, high) = 1.0 - k, interval
    worth = 0.0 - float(gone @ r) if len(k) else math.nan  # 0 - 0 is 0, and -0 would be -0
    return {
        "vetoed": float(gone.mean()) if len(k) else math.nan,
        "mean kept": _mean(k, r),
        "mean vetoed": _mean(gone, r),
        "sum kept": float(k @ r) if len(k) else math.nan,
        "worth": worth,
        "low": low + 0.0,
        "high": high + 0.0,
        "worth_quote": worth * stake,
        "low_quote": low * stake + 0.0,
        "high_quote": high * stake + 0.0,
        "p coin": math.nan,
        "p rotated": math.nan,
    }


def _mean(weights: Floats, values: Floats) -> float:
    total = float(weights.sum())
    return float(weights @ values) / total if total > 0.0 else math.nan


def deal(k: Floats, r: Floats, seed: int, coins: int) -> Floats:
    """What is let through, summed, by each coin: the same verdicts dealt to the cases at random."""
    rng = np.random.default_rng(seed)
    return np.array([float(rng.permutation(k) @ r) for _ in range(coins if len(k) else 0)])


def _middle(values: Floats) -> tuple[float, float]:
    if not len(values):
        return math.nan, math.nan
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def by_chance(k: Floats, r: Floats, dealt: Floats) -> dict[str, float]:
    """How often the same verdicts do as well on other cases: as `dealt`, and shifted in time.

    `k` (kept) and `r` (return) in the order of time. NaN if all verdicts are alike.
    """
    if not len(k) or (k == k[0]).all():
        return {"p coin": math.nan, "p rotated": math.nan}
    own = float(k @ r) - 1e-12 * float(np.abs(r).sum())  # equal sums in another order are equal
    return {"p coin": share(dealt, own), "p rotated": share(rotated(k, r), own)}


def rotated(k: Floats, r: Floats) -> Floats:
    """The sums of k * r with k shifted in time: in every way, or in 2,000 spread evenly."""
    n, twice = len(k), np.concatenate([k, k])
    shifts = np.unique(np.linspace(1, n - 1, min(MOST_SHIFTS, n - 1)).astype(int))
    return np.array([float(twice[n - shift : 2 * n - shift] @ r) for shift in shifts])


def share(others: Floats, own: float) -> float:
    """The share that is as good or better, the judge itself counted."""
    return (1 + int((others >= own).sum())) / (1 + len(others))


def _says(row: pd.Series) -> str:
    if row["failed"] == row["cases"] > 0:
        return "nobody judged a case"
    if row["resolved"] == 0:
        return "no case is resolved"
    if row["vetoed"] == 0.0:
        return "it took nothing away"
    if math.isnan(row["low"]):
        return f"too few to tell: cases on fewer than {LEAST_DAYS} days"
    if row["low"] <= 0.0 <= row["high"]:
        return "not shown to be worth anything: the interval contains 0"
    if row["high"] < 0.0:
        return "it cost money: the whole interval is below 0"
    if row["p coin"] <= MOST_CHANCE and row["p rotated"] <= MOST_CHANCE:
        return "worth more than a coin, on these cases"
    return "it spared losses, but no more than a coin would have"
