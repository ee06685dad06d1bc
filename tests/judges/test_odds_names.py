"""A stranger names a market; the desk must be able to write it down."""

from __future__ import annotations

import pytest

from tests.judges.test_case import BTC, only, panel_of, snapshot
from workbench.domain import Snapshot
from workbench.journal_json import refuse_secrets, to_plain
from workbench.judges.case import features, message


@pytest.mark.parametrize(
    "name",
    ["Will MetaMask launch a token in 2026? Yes", "access_key", "api key", "auth", "password"],
)
def test_a_market_named_like_a_secret_is_journalled_under_a_number(name: str) -> None:
    shot: Snapshot = snapshot(odds={name: 0.25, "march down25": 0.5})
    case = only(shot)
    refuse_secrets(to_plain(case))
    (hidden,) = [n for n in case.features if n.startswith("odds.market ")]
    assert (case.features[hidden], case.features["odds.march down25"]) == (0.25, 0.5)


def test_numbers_from_a_market_s_question_are_words_of_strangers_too() -> None:
    panel = panel_of({BTC: [1.0] * 30}, {"odds_strike": [5.0] * 30, "vix": [15.0] * 30})
    case = only(snapshot(panel=panel))
    assert features(snapshot(panel=panel), BTC)["odds_strike"] == 5.0
    assert "odds_strike" in message(case, words=True)
    assert "odds_strike" not in message(case, words=False)
