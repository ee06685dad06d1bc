"""Which probability a judge's confidence has stood for, by model and prompt, and the file of it.

A judge says a chance whatever it decides, so the cases that it skipped teach as much as the others:
every entry is taken alone (`scorecard.resolved`), and what came of it teaches the verdicts after
its close. Coins fall together, so outcomes are fewer than they look; see `research.calibrate`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.calibration import (
    EVERY,
    Calibration,
    calibrations_to_json,
    walk_forward,
)
from workbench.domain import Costs, DataError, Limits, UsageError
from workbench.files import locked, write_whole
from workbench.judges.options import read_curves
from workbench.research.calibrate import breakeven
from workbench.tuning.scorecard import answered

TRUSTED = ("clean", "")  # who remembers how it went would be calibrated on memory


def judge_curves(
    cases: pd.DataFrame,
    bar: pd.Timedelta,
    limits: Limits,
    costs: Costs,
    every: str = EVERY,
    knowledge: Collection[str] = TRUSTED,
) -> dict[str, Calibration]:
    """The curves of each model and prompt that answered `resolved` cases, by "<model> <prompt_id>".

    The score is the confidence as it was said (0-100), and an outcome won if its return is above 0;
    it is known at the close of the `bar` in which its trade ended. Until outcomes say otherwise a
    judge breaks even under these limits and costs. Cases that nobody answered, that are not
    resolved, that no model judged, or of other `knowledge` teach nothing; a model without any case
    left has no curve. A curve of fewer than 120 outcomes sizes nothing (`Calibration.outcomes`).
    Raises UsageError if a case counts twice or two judges share a key, DataError if a confidence is
    no number from 0 to 100.
    """
    taught = answered(cases)
    taught = taught[
        taught["return"].notna() & taught["knowledge"].isin(knowledge) & (taught["model"] != "")
    ]
    return {
        key: _walked(key, own, bar, breakeven(limits, costs), every)
        for key, own in taught.groupby(taught["model"] + " " + taught["prompt_id"])
    }


def _walked(
    key: str, own: pd.DataFrame, bar: pd.Timedelta, chance: float, every: str
) -> Calibration:
    if own["source"].nunique() > 1:
        names = ", ".join(sorted(set(own["source"])))
        raise UsageError(
            f"{key} answered as several judges ({names}), whose confidences do not mean the same;"
            " calibrate one at a time"
        )
    twice = own[own.duplicated(["time", "symbol"])]
    if len(twice):
        raise UsageError(
            f"the case of {twice['symbol'].iloc[0]} at {twice['time'].iloc[0]} is there twice for"
            f" {key}; give each case once, or it counts as two outcomes"
        )
    score = confidences(own)
    asked, ended = pd.DatetimeIndex(own["time"]), pd.DatetimeIndex(own["closed"]) + bar
    return walk_forward(asked, ended, score, own["return"] > 0.0, chance, every)


def confidences(cases: pd.DataFrame) -> np.ndarray:
    """As said, 0-100. Raises DataError at one that is not."""
    said = cases["confidence"].to_numpy(np.float64)
    wrong = np.flatnonzero(~((said >= 0.0) & (said <= 100.0)))
    if len(wrong):
        row = cases.iloc[wrong[0]]
        raise DataError(
            f"the confidence of {row['symbol']} at {row['time']} is {row['confidence']}; a judge"
            " says a number from 0 to 100"
        )
    return said


# --- the file --------------------------------------------------------------------------------


def write_curves(path: Path, curves: Mapping[str, Calibration]) -> None:
    """Keep the curves beside those that the file has of other judges, in one step. Raises DataError
    if the file is none or the disk forbids it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent):
        kept = read_curves(path) if path.exists() else {}
        plain = calibrations_to_json({**kept, **curves})
        write_whole(path, json.dumps(plain, sort_keys=True, allow_nan=False) + "\n")
