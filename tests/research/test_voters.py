"""What each voter's word was worth, counted from votes and fills: of a history and of a journal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.trading.conftest import desk_on, run
from workbench.calibration import wilson
from workbench.data.lake import Lake
from workbench.domain import Panel, Votes
from workbench.journal import Journal
from workbench.research.history import History, run_history
from workbench.research.voters import agreement, regime_table, voter_table
from workbench.strategies.vote import strategy
from workbench.trading.record import Record, read_record


@strategy(category="trend", regimes={"trending"}, lookback=1)
def silent(panel: Panel) -> Votes:
    return Votes.none(panel)


BEGAN = pd.Timestamp("2024-03-01", tz="UTC")


def at(hour: int) -> pd.Timestamp:
    return BEGAN + pd.Timedelta(hours=hour)


@dataclass(frozen=True)
class Told:
    """A run by hand: votes as of their close, fills by the open of their bar."""

    votes: list[tuple[Any, ...]]
    bought: list[tuple[Any, ...]]
    disabled: Mapping[str, str] = field(default_factory=dict)
    run: Mapping[str, Any] = field(
        default_factory=lambda: {"strategies": [{"name": n} for n in ("one", "two", "mute")]}
    )

    @property
    def signals(self) -> pd.DataFrame:
        names = ["time", "symbol", "strategy", "side", "regime", "muted", "outcomes", "stage"]
        return pd.DataFrame(self.votes, columns=names)

    @property
    def fills(self) -> pd.DataFrame:
        names = ["time", "symbol", "side", "quantity", "price", "reason"]
        return pd.DataFrame(self.bought, columns=names).assign(fee=0.0)


TOLD = Told(
    votes=[
        # both behind one entry, which wins 10 %
        (at(1), "A", "one", 1, "trending", "", 150, "traded"),
        (at(1), "A", "two", 1, "trending", "", 0, "traded"),
        # the same bar, muted: no part in it
        (at(1), "B", "one", 1, "ranging", "OUT_OF_REGIME", 150, "vote"),
        (at(1), "B", "two", 1, "ranging", "", 0, "traded"),  # loses 5 %
        # against each other: neither counts
        (at(3), "C", "one", 1, "trending", "", 150, "vote"),
        (at(3), "C", "two", -1, "trending", "", 0, "vote"),
        (at(4), "A", "one", 1, "trending", "RISK_OFF", 150, "vote"),
        (at(5), "A", "one", -1, "high_vol", "", 150, "traded"),  # a short that wins 20 %
        (at(7), "A", "two", 1, "trending", "", 0, "traded"),  # still open
        (at(8), "B", "two", 1, "ranging", "", 0, "risk"),  # refused
        (at(9), "B", "two", 1, "ranging", "", 0, "traded"),  # accepted, but found no open
    ],
    bought=[
        (at(1), "A", "buy", 1.0, 100.0, "entry"),
        (at(1), "B", "buy", 2.0, 100.0, "entry"),
        (at(2), "B", "sell", 2.0, 95.0, "stop"),
        (at(2), "A", "sell", 0.5, 105.0, "take_profit"),
        (at(3), "A", "sell", 0.5, 115.0, "trail"),
        (at(5), "A", "sell", 1.0, 100.0, "entry"),
        (at(6), "A", "buy", 1.0, 80.0, "trail"),
        (at(7), "A", "buy", 1.0, 80.0, "entry"),
    ],
)


def test_a_trade_belongs_to_every_strategy_behind_its_entry() -> None:
    table = voter_table(TOLD)
    assert list(table.index) == ["mute", "one", "two"]
    one, two = table.loc["one"], table.loc["two"]
    counts = ["votes", "out of regime", "risk off", "counted", "traded", "closed", "wins"]
    assert one[counts].tolist() == [5, 1, 1, 2, 2, 2, 2]
    assert two[counts].tolist() == [6, 0, 0, 5, 3, 2, 1]
    assert (one["hit rate"], two["hit rate"]) == (1.0, 0.5)
    assert (two["low"], two["high"]) == wilson(1, 2)
    assert one["mean return"] == pytest.approx((0.10 + 0.20) / 2)
    assert two["mean return"] == pytest.approx((0.10 - 0.05) / 2)
    assert (one["calibrated"], two["calibrated"]) == (1.0, 0.0)


def test_a_strategy_that_never_voted_has_zeros_and_its_reason() -> None:
    """Its own, or the promise it broke; one that is only told of has a row too."""
    told = Told(TOLD.votes, TOLD.bought, disabled={"two": "two looks ahead"})
    table = voter_table(told, {"mute": "nothing is known of funding", "three": "not installed"})
    mute = table.loc["mute"]
    assert mute[["votes", "counted", "traded", "closed", "wins"]].tolist() == [0, 0, 0, 0, 0]
    assert mute[["hit rate", "low", "high", "mean return", "calibrated"]].isna().all()
    assert table["silence"].to_dict() == {
        "mute": "nothing is known of funding", "one": "", "three": "not installed",
        "two": "two looks ahead",
    }  # fmt: skip


def test_the_regime_table_has_every_strategy_in_every_regime() -> None:
    table = regime_table(TOLD)
    assert len(table) == 3 * 4
    columns = ["votes", "closed", "wins"]
    assert table.loc[("one", "trending"), columns].tolist() == [3, 1, 1]
    assert table.loc[("one", "high_vol"), columns].tolist() == [1, 1, 1]
    assert table.loc[("one", "ranging"), columns].tolist() == [1, 0, 0]
    assert table.loc[("two", "trending"), columns].tolist() == [3, 1, 1]
    assert table.loc[("two", "ranging"), columns].tolist() == [3, 1, 0]
    ranging = table.loc[("two", "ranging")]
    assert (ranging["hit rate"], ranging["low"], ranging["high"]) == (0.0, *wilson(0, 1))
    assert (table.loc["mute", "votes"] == 0).all()
    assert table.loc["mute", "hit rate"].isna().all()
    assert table["votes"].sum() == len(TOLD.votes)


def test_agreement_counts_the_cells_in_which_two_voted() -> None:
    """One and two met three times, once against each other; of the five votes of one."""
    pairs = agreement(TOLD).set_index(["one", "other"])
    assert list(pairs.index) == [("mute", "one"), ("mute", "two"), ("one", "two")]
    met = pairs.loc[("one", "two")]
    assert met[["both", "same", "opposite"]].tolist() == [3, 2, 1]
    assert (met["overlap"], met["disagreement"]) == (3 / 5, 1 / 3)
    assert pairs.loc[("mute", "one"), "both"] == 0
    assert math.isnan(pairs.loc[("mute", "one"), "overlap"])


def test_a_run_without_any_votes_has_tables_of_zeros() -> None:
    none = Told([], [])
    assert (voter_table(none)["votes"] == 0).all()
    assert (regime_table(none)["closed"] == 0).all()
    assert len(agreement(none)) == 3


@pytest.mark.parametrize("told", [Told(TOLD.votes, []), Told([], TOLD.bought)])
def test_a_run_in_which_nobody_voted_or_nothing_was_traded_has_zeros(told: Told) -> None:
    table = voter_table(told)
    assert (table["votes"].sum(), table["counted"].sum()) == ((11, 7) if told.votes else (0, 0))
    assert (table[["traded", "closed", "wins"]] == 0).all(axis=None)
    assert (regime_table(told)[["closed", "wins"]] == 0).all(axis=None)
    assert table["mean return"].isna().all()


def test_a_history_and_a_journal_in_which_nobody_votes_have_tables(
    sample_lake: Lake, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    desk, world = desk_on(sample_lake, "sample", path, "2023-06-01", "2023-06-02")
    desk = replace(desk, strategies=(silent,))
    assert run(desk, world).finished
    for each in (read_record(path), run_history(desk, world)):
        table = voter_table(each)
        assert (table[["votes", "traded", "closed"]] == 0).all(axis=None)
        assert (regime_table(each)["closed"] == 0).all()


# --- a journal and the history of the same run ---------------------------------------------------


@pytest.fixture(scope="module")
def both(sample_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, History]:
    """Three weeks of the sample world on paper, and at once."""
    path = tmp_path_factory.mktemp("voters") / "journal.db"
    desk, world = desk_on(sample_lake, "sample", path, "2023-06-01", "2023-06-21")
    assert run(desk, world).finished
    return read_record(path), run_history(desk, world)


def test_a_journal_tells_the_same_of_its_voters_as_the_history_of_its_run(
    both: tuple[Record, History],
) -> None:
    record, history = both
    for table in (voter_table, regime_table, agreement):
        pd.testing.assert_frame_equal(table(record), table(history), rtol=1e-9)
    assert voter_table(record)["closed"].sum() > 10


def test_the_regime_table_is_what_the_rows_of_the_journal_say(
    both: tuple[Record, History],
) -> None:
    """Read once more, row by row: who stood behind each entry, and what the trade came to."""
    record, _ = both
    votes: dict[tuple[str, str], int] = {}
    wins: dict[tuple[str, str], list[bool]] = {}
    behind: dict[str, list[dict[str, Any]]] = {}
    opened: dict[str, tuple[list[dict[str, Any]], float, float, float]] = {}
    with Journal.open(record.path, readonly=True) as journal:
        for row in journal.rows("cycle"):
            for fill in row.body["fills"]:
                symbol, money = fill["symbol"], fill["quantity"] * fill["price"]
                if fill["reason"] == "entry":
                    opened[symbol] = (behind[symbol], fill["quantity"], money + fill["fee"], 0.0)
                    continue
                voters, left, paid, got = opened[symbol]
                left, got = left - fill["quantity"], got + money - fill["fee"]
                opened[symbol] = (voters, left, paid, got)
                if abs(left) < 1e-9 * fill["quantity"]:
                    for voter in voters:
                        key = (voter["strategy"], voter["regime"])
                        wins.setdefault(key, []).append(got > paid)
            said = [s for s in row.body["signals"] if s["side"]]
            for signal in said:
                key = (signal["strategy"], signal["regime"])
                votes[key] = votes.get(key, 0) + 1
            counted = [s for s in said if not s["muted"]]
            for symbol in {s["symbol"] for s in counted}:
                own = [s for s in counted if s["symbol"] == symbol]
                numeric = {s["category"] for s in own if not s["from_text"]}
                behind[symbol] = [s for s in own if not s["from_text"] or numeric - {s["category"]}]
    table = regime_table(record)
    for key, row in table.iterrows():
        assert row["votes"] == votes.get(key, 0)
        assert row["closed"] == len(wins.get(key, []))
        assert row["wins"] == sum(wins.get(key, []))
    assert sum(len(each) for each in wins.values()) > 10
