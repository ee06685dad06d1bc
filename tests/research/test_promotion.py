"""Who may trade on paper: what stands in the journal decides, and a name where it does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.research.judging import averages, desk_at, for_votes, judged, null_world, strong_world
from workbench.data.lake import Lake
from workbench.desk import Desk, Source
from workbench.domain import Panel, UsageError, Votes
from workbench.journal import Journal
from workbench.research.promotion import (
    NOT_PROVEN,
    NOT_VALIDATED,
    PROMOTED,
    REJECTED,
    TRUSTED,
    VALIDATED,
    Standing,
    promote,
    refuse_rejected,
    standings,
    strategy_code,
    terms_of,
)
from workbench.strategies.vote import Strategy, strategy
from workbench.trading.engine import Clock, paper

AT = datetime(2024, 5, 1, tzinfo=UTC)
DATA = {"hash": "h", "source": "binance_spot", "symbols": ["BTC/USDT"], "timeframe_s": 3600,
        "first": "2023-01-01 00:00:00+00:00", "last": "2023-12-31 23:00:00+00:00"}  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path, sample_lake: Lake) -> Desk:
    """On the sample world: what is said of made-up markets counts."""
    return desk_at(tmp_path, averages, source=Source(sample_lake.root, "sample"))


def say(desk: Desk, verdict: str, voter: Strategy = averages, **changed: Any) -> None:
    """A row as `validate` writes it; `changed` replaces parts of it, `failed` names a finding."""
    failed = changed.pop("failed", "walk-forward")
    passed = changed.pop("passed", "trades")
    body = {
        "strategy": voter.name, "code": strategy_code(voter),
        "parameters": {"fast": 24, "slow": 96}, "verdict": verdict, "synthetic": True,
        "data": DATA, "terms": terms_of(desk), "tried": 4, "seed": 0, "permutations": 59,
        "findings": [{"name": failed, "passed": False}, {"name": passed, "passed": True}],
    } | changed  # fmt: skip
    with Journal.open(desk.journal_path) as journal:
        last = journal.tail(1)
        at = datetime.fromisoformat(last[0].at) + timedelta(days=1) if last else AT
        journal.append(VALIDATED, body, at)


def stands(desk: Desk, voter: Strategy = averages, synthetic: bool = True) -> Standing:
    with Journal.open(desk.journal_path) as journal:
        return standings(journal, [voter], synthetic)[voter.name]


def test_a_verdict_is_kept_as_promotion_reads_it(desk: Desk) -> None:
    """What `validate` writes is what stands, terms and all."""
    world = for_votes(strong_world(years=1.0))
    told = judged(desk, world, averages, chosen={"fast": 24, "slow": 96})
    stood = stands(desk)
    assert (stood.verdict, stood.terms) == (told.verdict, terms_of(desk))
    assert told.verdict != REJECTED
    assert promote(desk, averages, "Ada").strategies == (averages,)


def test_who_promotes_says_his_name(desk: Desk) -> None:
    say(desk, TRUSTED)
    with pytest.raises(UsageError, match="a promotion has a name"):
        promote(desk, averages, "  ")


@pytest.mark.parametrize("verdict", [TRUSTED, NOT_PROVEN])
def test_at_least_not_proven_is_promoted_and_takes_the_place_of_its_name(
    desk: Desk, verdict: str
) -> None:
    say(desk, verdict)
    older = replace(averages, parameters={"fast": 3})
    got = promote(replace(desk, strategies=(older,)), averages, "Ada", now=lambda: AT)
    assert got.strategies == (averages,)
    with Journal.open(desk.journal_path, readonly=True) as journal:
        [row] = journal.rows(PROMOTED)
    assert (row.body["by"], row.body["verdict"], row.body["override"]) == ("Ada", verdict, "")


@pytest.mark.parametrize("verdict", [REJECTED, NOT_VALIDATED])
def test_what_was_rejected_or_never_tried_needs_a_reason(desk: Desk, verdict: str) -> None:
    """Name and reason stand in the journal, and the journal verifies."""
    if verdict == REJECTED:
        say(desk, REJECTED)
    with pytest.raises(UsageError, match=f"averages is {verdict} with fast=24, slow=96; validate"):
        promote(desk, averages, "Ada")
    with pytest.raises(UsageError, match="give a reason"):
        promote(desk, averages, "Ada", override="   ")
    promote(desk, averages, "Ada", override="to see it fail")
    assert stands(desk) == replace(stands(desk), by="Ada", override="to see it fail")
    assert stands(desk).promotable
    assert str(stands(desk)).endswith("overridden by Ada: to see it fail")
    with Journal.open(desk.journal_path, readonly=True) as journal:
        [row] = journal.rows(PROMOTED)
        assert (row.body["by"], row.body["override"]) == ("Ada", "to see it fail")
        journal.verify()


def test_the_verdict_on_other_parameters_or_other_code_does_not_count(desk: Desk) -> None:
    say(desk, TRUSTED)
    assert stands(desk).verdict == TRUSTED
    assert stands(desk, averages.having(fast=12)).verdict == NOT_VALIDATED
    assert stands(desk, averages.having(fast=24)).verdict == TRUSTED  # as it is by default

    @strategy(category="trend", regimes={"trending"}, lookback=400)
    def other(panel: Panel, fast: int = 24, slow: int = 96) -> Votes:
        nothing = np.zeros(panel.close.shape)
        return Votes.of(panel, nothing > fast, nothing > slow, nothing)

    assert stands(desk, replace(other, name="averages")).verdict == NOT_VALIDATED
    assert stands(desk, replace(averages, lookback=401)).verdict == NOT_VALIDATED


def test_made_up_verdicts_do_not_count_for_a_real_market_nor_the_other_way(desk: Desk) -> None:
    say(desk, TRUSTED)
    assert stands(desk, synthetic=False).verdict == NOT_VALIDATED
    say(desk, REJECTED, synthetic=False)
    assert stands(desk, synthetic=True).verdict == TRUSTED
    assert stands(desk, synthetic=False).verdict == REJECTED


def test_other_terms_than_the_desks_do_not_promote(desk: Desk) -> None:
    """Trusted at no cost at all is another thing."""
    free = replace(desk, costs=desk.costs._replace(taker_fee=0.0, maker_fee=0.0))
    say(desk, TRUSTED, terms=terms_of(free))
    with pytest.raises(UsageError, match="TRUSTED on other limits, costs or capital"):
        promote(desk, averages, "Ada")
    promote(free, averages, "Ada")
    promote(desk, averages, "Ada", override="the venue has waived its fees")


# --- what undoes a rejection -------------------------------------------------------------------


def days(first: str, last: str, **changed: Any) -> dict[str, Any]:
    return DATA | {"first": f"{first} 00:00:00+00:00", "last": f"{last} 23:00:00+00:00"} | changed


@pytest.mark.parametrize(
    ("data", "undone"),
    [
        (days("2023-01-01", "2023-12-31"), True),
        (days("2022-01-01", "2024-06-30"), True),
        (days("2023-01-01", "2024-06-30", symbols=["BTC/USDT", "ETH/USDT"]), True),
        (days("2023-11-01", "2023-12-31"), False),  # a slice too short for any test
        (days("2023-01-01", "2023-10-31"), False),  # more of it sealed
        (days("2024-01-01", "2024-12-31"), False),
        (days("2023-01-01", "2023-12-31", symbols=["ETH/USDT"]), False),
        (days("2023-01-01", "2023-12-31", timeframe_s=86_400), False),
    ],
)
def test_a_rejection_stands_until_the_same_is_judged_on_all_its_days(
    desk: Desk, data: dict[str, Any], undone: bool
) -> None:
    """Asking a month of it, where nothing can be computed, is no way round."""
    say(desk, REJECTED)
    say(desk, NOT_PROVEN, data=data)
    assert stands(desk).verdict == (NOT_PROVEN if undone else REJECTED)


def test_a_leak_stands_and_a_loss_on_sealed_days_until_others_are_won(desk: Desk) -> None:
    """No other seed, and no holdout of nothing, undoes what was seen."""
    say(desk, REJECTED, failed="sealed days")
    say(desk, NOT_PROVEN)
    assert stands(desk).verdict == REJECTED
    say(desk, TRUSTED, passed="sealed days")
    assert stands(desk).verdict == TRUSTED
    say(desk, REJECTED, failed="lookahead")
    say(desk, REJECTED)
    say(desk, TRUSTED, passed="sealed days")
    assert stands(desk).verdict == REJECTED


def test_an_override_ends_with_the_next_rejection(desk: Desk) -> None:
    say(desk, REJECTED)
    promote(desk, averages, "Ada", override="for a week", now=lambda: AT + timedelta(days=9))
    assert stands(desk).promotable
    say(desk, NOT_PROVEN, data=days("2023-11-01", "2023-12-31"))
    assert stands(desk).promotable  # nothing was undone, and nothing said anew
    say(desk, REJECTED)
    assert not stands(desk).promotable


# --- paper -------------------------------------------------------------------------------------


def test_paper_begins_no_run_with_a_rejected_strategy_and_ends_what_was_begun(
    tmp_path: Path,
) -> None:
    """It begins after an override; a rejection meanwhile does not stop it half-way."""
    world = for_votes(null_world(seed=8, years=1.0))
    world = replace(world, panel=world.panel.rows(0, 460), start=440)
    desk = desk_at(tmp_path, averages)
    ticks = iter(range(10**6))
    clock = Clock(lambda: AT, lambda: float(next(ticks)), lambda _: None)

    def trade(bars: int | None = None, another: bool = False) -> Any:
        left = iter(range(bars if bars is not None else 10**6))
        with Journal.open(desk.journal_path) as journal:
            return paper(
                desk, world, journal, clock=clock, holder="Ada", another=another,
                stopped=lambda: next(left, None) is None,
            )  # fmt: skip

    say(desk, REJECTED)
    with pytest.raises(UsageError, match="averages was REJECTED on 2024-05-01; validate"):
        trade()
    with Journal.open(desk.journal_path) as journal:
        body = {
            "strategy": "averages", "code": strategy_code(averages),
            "parameters": {"fast": 24, "slow": 96}, "synthetic": True, "verdict": REJECTED,
            "by": "Ada", "override": "to watch it",
        }  # fmt: skip
        journal.append(PROMOTED, body, AT)
    begun = trade(bars=5)
    assert 0 < begun.done < begun.total
    say(desk, REJECTED)
    ended = trade()
    assert ended.finished
    with pytest.raises(UsageError, match="averages was REJECTED"):
        trade(another=True)


def test_an_edit_of_its_code_does_not_undo_a_rejection(tmp_path: Path) -> None:
    """On paper: what was rejected, edited and never validated since is refused as well."""
    desk = desk_at(tmp_path, averages)
    say(desk, REJECTED)

    def edited(panel: Panel, fast: int = 24, slow: int = 96) -> Votes:
        return averages.function(panel, fast=fast + 0, slow=slow)

    other = replace(averages, function=edited)
    assert strategy_code(other) != strategy_code(averages)
    with Journal.open(desk.journal_path) as journal:
        with pytest.raises(UsageError, match="averages was REJECTED before its code was edited"):
            refuse_rejected(journal, [other], synthetic=True)
        refuse_rejected(journal, [other], synthetic=False)
        refuse_rejected(journal, [other.having(fast=12)], synthetic=True)
