"""A judge's confidence becomes a probability by its own past outcomes, and not by its memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.calibration import Calibration, calibrations_from_json, unknown
from workbench.domain import Costs, DataError, Limits, UsageError
from workbench.research.calibrate import breakeven
from workbench.tuning.calibrate import judge_curves, read_curves, write_curves

HOUR, DAY = pd.Timedelta("1h"), pd.Timedelta("1D")
LIMITS, COSTS = Limits(), Costs()
PRIOR = breakeven(LIMITS, COSTS)
TICK = pd.Timestamp(int(20_500 / 30) * 30, unit="D", tz="UTC")  # a moment of refitting
KEY = "claude-x 0123"


def cases(n: int, wins: int, **changed: Any) -> pd.DataFrame:
    """Resolved cases, one an hour up to three days before a refit: the first `wins` of them won.
    What is decided alternates."""
    t = np.arange(n)
    asked = TICK - 3 * DAY + (t - n) * HOUR
    plain = {
        "t": t, "time": asked, "symbol": "X/USDT", "source": "claude-x, evaluator/1",
        "decision": np.where(t % 2, "SKIP", "PROCEED"), "confidence": 60.0, "code": "",
        "model": "claude-x", "prompt_id": "0123", "knowledge": "clean",
        "return": np.where(t < wins, 0.027, -0.023), "closed": asked + 5 * HOUR,
    }  # fmt: skip
    return pd.DataFrame({**plain, **changed})


def curves(*frames: pd.DataFrame, **asked: Any) -> dict[str, Calibration]:
    return judge_curves(pd.concat(frames, ignore_index=True), HOUR, LIMITS, COSTS, **asked)


def test_the_hit_rate_is_shrunk_towards_break_even_until_there_are_200() -> None:
    """60 of 140 won, whatever was decided: (60 + 20 p0) / 160."""
    found = curves(cases(140, 60))
    assert list(found) == [KEY]
    first, last = found[KEY].curves[0], found[KEY].curves[-1]
    assert (first.n, first.chances) == (0, (PRIOR,))
    assert (last.since, last.n, last.wins) == (TICK, 140, 60)
    assert last.chance(np.array([60.0]))[0] == pytest.approx((60 + 20 * PRIOR) / 160)


@pytest.mark.parametrize(("n", "sizes"), [(119, 0), (120, 120)])
def test_a_curve_sizes_nothing_before_120_outcomes(n: int, sizes: int) -> None:
    times = pd.DatetimeIndex([TICK - HOUR, TICK])
    assert curves(cases(n, 50))[KEY].outcomes(times).tolist() == [0, sizes]


def test_an_outcome_is_known_when_its_last_bar_has_closed() -> None:
    """A trade whose last bar opens an hour before the refit closes at it, and is not before it."""
    just = curves(cases(1, 1, closed=TICK - 2 * HOUR))[KEY]
    late = curves(cases(1, 1, closed=TICK - HOUR))[KEY]
    assert just.curves[-1].since == TICK
    assert late.curves[-1].since == TICK + 30 * DAY


@pytest.mark.parametrize(
    "changed",
    [
        {"code": "DEADLINE", "source": "nobody"},
        {"knowledge": "contaminated"},
        {"knowledge": "unknown"},
        {"return": math.nan, "closed": pd.NaT},
        {"model": "", "prompt_id": "rubric-1", "source": "RUBRIC (not an LLM)"},
    ],
)
def test_what_nobody_judged_or_somebody_remembers_teaches_nothing(changed: dict[str, Any]) -> None:
    other = cases(50, 50, symbol="Y/USDT", **changed)
    assert curves(cases(130, 50), other) == curves(cases(130, 50))
    assert curves(other) == {}


def test_memory_may_teach_where_it_is_asked_to() -> None:
    remembered = cases(50, 50, knowledge="contaminated")
    found = curves(remembered, knowledge=("clean", "contaminated"))
    assert found[KEY].curves[-1].n == 50


def test_untagged_cases_of_a_model_teach() -> None:
    assert curves(cases(50, 20, knowledge=""))[KEY].curves[-1].wins == 20


def test_every_model_and_prompt_has_its_own_curve() -> None:
    other = cases(40, 40, prompt_id="4567", source="claude-x, evaluator/2")
    found = curves(cases(130, 50), other)
    assert {key: curve.curves[-1].wins for key, curve in found.items()} == {
        KEY: 50, "claude-x 4567": 40,
    }  # fmt: skip
    assert found[KEY] == curves(cases(130, 50))[KEY]


def test_no_cases_have_no_curves() -> None:
    assert curves(cases(0, 0)) == {}


def test_a_case_counts_once() -> None:
    with pytest.raises(UsageError, match=r"X/USDT at .* is there twice for claude-x 0123"):
        curves(cases(10, 5), cases(10, 5))


def test_two_judges_do_not_share_a_curve() -> None:
    alone = cases(10, 5, symbol="Y/USDT", source="claude-x, evaluator/1, one pass")
    with pytest.raises(UsageError, match="claude-x 0123 answered as several judges"):
        curves(cases(10, 5), alone)


@pytest.mark.parametrize("said", [math.nan, -1.0, 140.0])
def test_a_confidence_that_is_none_is_refused(said: float) -> None:
    with pytest.raises(DataError, match=r"X/USDT at .* a judge says a number from 0 to 100"):
        curves(cases(3, 1, confidence=[50.0, said, 50.0]))


# --- the file ------------------------------------------------------------------------------------


def test_the_file_keeps_the_curves_and_those_of_other_judges(tmp_path: Path) -> None:
    file = tmp_path / "var" / "judge.json"
    mine, old, other = curves(cases(130, 50)), curves(cases(10, 5)), {"m p": unknown(0.4)}
    write_curves(file, old | other)
    write_curves(file, mine)
    assert read_curves(file) == mine | other
    assert calibrations_from_json(file.read_bytes())[KEY] == mine[KEY]
    assert [path.name for path in file.parent.iterdir()] == ["judge.json"]


def test_a_file_that_is_none_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "judge.json"
    file.write_text('{"m p": []}')
    with pytest.raises(DataError, match=r"judge\.json: the calibration is none"):
        write_curves(file, {"m p": unknown(0.4)})
    assert file.read_text() == '{"m p": []}'
    with pytest.raises(DataError, match="cannot be read"):
        read_curves(tmp_path / "none.json")
