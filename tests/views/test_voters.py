"""The voters' pages show the numbers, say what is made up or uncalibrated, run no text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.research.test_voters import TOLD
from workbench.calibration import Calibration, Curve
from workbench.domain import UsageError
from workbench.research.calibrate import Calibrated, scored
from workbench.research.voters import agreement, regime_table, voter_table
from workbench.views import voters

EVIL = "<script>alert('x')</script>"
SINCE = pd.Timestamp("2023-03-01", tz="UTC")


def found(source: str = "SYNTHETIC sample world, seed 7") -> Calibrated:
    """Four outcomes of a strategy with a curve, said 0.25 and 0.85, and two of one without."""
    curve = Curve(SINCE, "shrunk", 150, 60, (50.0,), (0.4,))
    voted = pd.date_range("2023-04-01", periods=6, freq="1D", tz="UTC")
    rows = pd.DataFrame(
        {
            "strategy": ["sure"] * 4 + [EVIL] * 2,
            "voted": voted,
            "score": [60.0, 60.0, 60.0, 70.0, 55.0, 65.0],
            "p": [0.25, 0.25, 0.85, 0.85, np.nan, np.nan],
            "known": [150, 150, 150, 150, 0, 0],
            "won": [True, False, True, True, False, False],
            "return": [0.03, -0.02, 0.03, 0.03, -0.02, -0.02],
        }
    )
    curves = {"sure": Calibration((curve,)), EVIL: Calibration(())}
    summary = {
        name: scored(rows[rows["strategy"] == name], own, 0.448) for name, own in curves.items()
    }
    return Calibrated(curves, rows, pd.DataFrame(summary).T.infer_objects(), {}, {"source": source})


def test_the_chart_has_a_point_a_bin_with_its_interval() -> None:
    points = voters.reliability(found(), "sure").data[1]
    assert list(points.x) == pytest.approx([0.25, 0.85])
    assert list(points.y) == [0.5, 1.0]
    assert points.customdata[:, 0].tolist() == [2, 2]
    low = np.array(points.y) - np.array(points.error_y.arrayminus)
    assert low[0] == pytest.approx(0.0945, abs=1e-3)  # Wilson of 1 in 2


def test_a_score_without_a_curve_is_drawn_as_what_it_is_and_says_so() -> None:
    told = voters.reliability(found(), EVIL)
    assert "UNCALIBRATED" in told.layout.title.text
    assert told.layout.xaxis.title.text == "score / 100 said, 2 votes"
    assert list(told.data[1].x) == pytest.approx([0.55, 0.65])
    known = voters.reliability(found(), "sure")
    assert "UNCALIBRATED" not in known.layout.title.text


def test_a_strategy_that_was_not_calibrated_is_named() -> None:
    with pytest.raises(UsageError, match="nothing was calibrated for other"):
        voters.reliability(found(), "other")


def test_what_is_of_a_made_up_world_says_so_and_of_a_recorded_one_does_not() -> None:
    for source, says in (("SYNTHETIC sample world, seed 7", True), ("binance_spot 1h", False)):
        of = found(source)
        shown = [
            str(voters.reliability(of, "sure").layout.title.text),
            voters.calibrations(of).to_html(),
            voters.voters(voter_table(TOLD), of).to_html(),
            voters.by_regime(regime_table(TOLD), of).to_html(),
            voters.agreement(agreement(TOLD), of).to_html(),
        ]
        assert [("SYNTHETIC" in text) for text in shown] == [says] * 5


def test_the_tables_show_the_numbers_and_who_is_uncalibrated() -> None:
    of = found()
    page = voters.voters(voter_table(TOLD, {"mute": "nothing is known of funding"}), of).to_html()
    for text in ("100% of votes", "UNCALIBRATED", "nothing is known of funding", "+15.00%"):
        assert text in page
    assert page.count("UNCALIBRATED") == 1  # two; who never voted has no confidence to speak of
    page = voters.calibrations(of).to_html()
    assert page.count("UNCALIBRATED") == 1
    assert "75.0%" in page
    assert "high vol" in voters.by_regime(regime_table(TOLD), of).to_html()


def test_no_text_runs() -> None:
    of = found()
    evil = replace(TOLD, votes=[(*row[:2], EVIL, *row[3:]) for row in TOLD.votes])
    pages = [
        voters.calibrations(of).to_html(),
        voters.reliability(of, EVIL).layout.title.text,
        voters.voters(voter_table(evil, {"mute": EVIL}), of).to_html(),
        voters.by_regime(regime_table(evil), of).to_html(),
        voters.agreement(agreement(evil), of).to_html(),
    ]
    assert all("<script>" not in page for page in pages)
    assert all("script" in page for page in pages)
