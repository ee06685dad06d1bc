"""A judge's bill and how good its confidences are: clean cases first, and nothing of it is run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from workbench.tuning.skill import ByKnowledge, by_knowledge
from workbench.views import skill

EVIL = "<script>alert(1)</script>"
MODEL = "claude-haiku-5-5, evaluator/1"


@dataclass(frozen=True)
class World:
    source: str = "SYNTHETIC sample world"
    synthetic: bool = True


MADE, RECORDED = World(), World("kraken, recorded", synthetic=False)


def a_models(n: int = 300, **changed: object) -> pd.DataFrame:
    """Cases of a model, one a day: the first half contaminated, the rest clean; every fifth was
    answered by nobody. What it says has nothing to do with what came."""
    rng = np.random.default_rng(5)
    code = np.where(np.arange(n) % 5 == 0, np.where(np.arange(n) % 10, "BUDGET", "DEADLINE"), "")
    decision = np.where(code == "", rng.choice(["PROCEED", "REDUCE", "SKIP"], n), "SKIP")
    fields: dict[str, object] = {
        "t": np.arange(n), "time": pd.date_range("2026-01-01", periods=n, freq="D", tz="UTC"),
        "symbol": "BTC/USDT", "decision": decision, "source": MODEL, "code": code,
        "confidence": rng.integers(20, 81, n).astype(float), "return": rng.normal(0.0, 0.02, n),
        "kept": pd.Series(decision).map({"PROCEED": 1.0, "REDUCE": 0.5, "SKIP": 0.0}),
        "stake": 1_000.0, "cost_usd": np.where(code == "", 0.0005, 0.0002),
        "knowledge": np.where(np.arange(n) < n // 2, "contaminated", "clean"),
    }  # fmt: skip
    return pd.DataFrame(fields | changed)


def measured(cases: pd.DataFrame) -> ByKnowledge:
    return by_knowledge(cases, resamples=200, coins=200)


def text(of: World, cases: pd.DataFrame) -> list[str]:
    """All three, as they go to a page."""
    found = measured(cases)
    return [
        str(skill.paid(cases, of).data), skill.table(found, of).to_html(),
        skill.chart(found, of).to_json(),
    ]  # fmt: skip


def test_the_bill_names_the_judge_its_cost_and_what_nobody_judged_by_its_code() -> None:
    """300 cases: 240 answered at 0.0005 USD and 60 that failed at 0.0002 are 0.132 USD."""
    page = str(skill.paid(a_models(), RECORDED).data)
    for said in (MODEL, "300", "BUDGET 30, DEADLINE 30", "0.1320 USD", "0.000440 USD"):
        assert f"<b>{said}</b>" in page, said


def test_a_judge_that_is_no_model_costs_nothing() -> None:
    cases = a_models(code="", cost_usd=0.0, source="RUBRIC (not an LLM)", knowledge="")
    page = str(skill.paid(cases, RECORDED).data)
    assert page.count("<b>nothing</b>") == 2
    assert "<b>none</b>" in page
    assert "points, which are no chances" in skill.table(measured(cases), RECORDED).caption
    [_, points] = skill.chart(measured(cases), RECORDED).data
    assert points.marker.symbol == "circle-open"


def test_the_headline_is_clean_and_what_it_may_remember_stands_beside_it_so_labelled() -> None:
    """150 cases of each, of which a fifth has no answer."""
    found = measured(a_models())
    shown = skill.table(found, RECORDED)
    assert list(shown.data.columns) == ["clean", "CONTAMINATED: it may remember"]
    assert list(shown.data.loc["outcomes"]) == [120.0, 120.0]
    assert "clean cases only" in shown.caption
    assert "120 contaminated" in shown.caption
    assert shown.data.loc["AUC", "clean"] == found.headline.auc
    [_, points] = skill.chart(found, RECORDED).data
    assert points.customdata.sum() == 120
    assert points.marker.symbol == "circle"


@pytest.mark.parametrize("kind", ["contaminated", "unknown"])
def test_a_model_without_a_clean_case_has_no_headline(kind: str) -> None:
    found = measured(a_models(knowledge=kind))
    shown = skill.table(found, RECORDED)
    assert shown.data.loc["outcomes", "clean"] == 0.0
    assert np.isnan(shown.data.loc["AUC", "clean"])
    assert "no outcome yet" in skill.chart(found, RECORDED).layout.title.text
    assert "nan" not in shown.to_html()


def test_no_case_at_all_is_shown_without_a_warning() -> None:
    none = a_models().iloc[:0]
    assert "nobody" in str(skill.paid(none, RECORDED).data)
    assert "not yet known" in skill.table(measured(none), RECORDED).caption
    assert skill.chart(measured(none), RECORDED).layout.title.text


def test_a_made_up_world_says_so_in_each() -> None:
    assert ["SYNTHETIC" in page for page in text(MADE, a_models())] == [True] * 3
    assert ["SYNTHETIC" in page for page in text(RECORDED, a_models())] == [False] * 3


def test_text_from_outside_is_shown_and_not_run() -> None:
    """A judge's name, a code, a tag."""
    cases = a_models(source=EVIL, code=np.where(np.arange(300) % 2, EVIL, ""), knowledge=EVIL)
    pages = text(MADE, cases)
    assert not [page for page in pages if EVIL in page]
    assert pages[0].count("&lt;script&gt;") == 2
