"""The weekly record: every figure worked out again from what is published beside it."""

from __future__ import annotations

import csv
import io
import json
import math
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

from tests.trading.conftest import Ran, run
from tests.trading.test_engine import stopped_after
from workbench.errors import DataError, UsageError
from workbench.journal import Journal
from workbench.research.metrics import trades as trades_of
from workbench.trading.weekly import Week, monday, read_week, weekly, weeks
from workbench.views.publish import index, publish_week, report, table


@pytest.fixture(scope="module")
def year(recorded_year: Ran) -> list[Week]:
    """Every week of World 2023."""
    with Journal.open(recorded_year.path, readonly=True) as journal:
        record = recorded_year.record
        return [weekly(record, journal, label) for label in weeks(record)]


def told(week: Week) -> tuple[dict, list[dict], list[dict]]:
    """A week as a stranger has it: report.json and the rows of the two tables, as text."""
    rows = [list(csv.DictReader(io.StringIO(table(frame)))) for frame in
            (week.rows, week.equity.reset_index())]  # fmt: skip
    return json.loads(json.dumps(report(week))), rows[0], rows[1]


def numbers(rows: list[dict], name: str) -> list[float]:
    return [float(row[name]) for row in rows]


def mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def test_a_year_has_its_52_weeks_and_the_sunday_before(year: list[Week]) -> None:
    """2023-01-01 was a Sunday: its week is there, and says that it is only a part."""
    assert [week.label for week in year] == [
        "2022-W52", *(f"2023-W{number:02d}" for number in range(1, 53))
    ]  # fmt: skip
    assert [week.whole for week in year] == [False] + [True] * 52


def test_every_figure_is_worked_out_again_from_trades_csv(
    year: list[Week], recorded_year: Ran
) -> None:
    """Each week from its own rows alone; the equity by adding up all weeks from the capital."""
    equity, returns = 10_000.0, []
    for week in year:
        published, trades, _ = told(week)
        figures = published["figures"]
        closed = [row for row in trades if row["kind"] == "closed"]
        still = [row for row in trades if row["kind"] == "open"]
        refused = [row for row in trades if row["kind"] == "refused"]
        own = numbers(closed, "return")
        made = math.fsum(numbers(closed + still, "week_profit"))
        returns += own
        expected = {
            "equity at the start": equity,
            "equity at the end": equity + made,
            "profit": made,
            "return": made / equity,
            "closed trades": len(closed),
            "won": sum(value > 0 for value in own),
            "win rate": mean([float(value > 0) for value in own]),
            "expectancy": mean(own),
            "best": max(own, default=None),
            "worst": min(own, default=None),
            "stop-outs": sum(row["exit_reason"] == "stop" for row in closed),
            "fees of closed trades": math.fsum(numbers(closed, "fees")),
            "open at the end": len(still),
            "votes refused": len(refused),
        }
        for name, value in expected.items():
            assert figures[name] == (
                value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)
            ), (week.label, name)
        assert set(figures) - set(expected) == {"max drawdown", "most deployed"}
        counts = published["refused"]
        assert counts == {
            name: sum(f"{row['stage']} {row['rule']}" == name for row in refused)
            for name in {f"{row['stage']} {row['rule']}" for row in refused}
        }
        assert published["gate"]["n"] == len(returns)
        assert published["gate"]["expectancy"] == pytest.approx(mean(returns))
        equity += made
    assert len(returns) == len(trades_of(recorded_year.record.fills)) > 400


def test_drawdown_and_exposure_are_worked_out_again_from_equity_csv(year: list[Week]) -> None:
    """The two figures that no trade can tell."""
    for week in year:
        published, _, bars = told(week)
        figures, peak, deepest = (
            published["figures"],
            published["figures"]["equity at the start"],
            0.0,
        )
        for value in numbers(bars, "equity"):
            peak = max(peak, value)
            deepest = min(deepest, value / peak - 1)
        assert figures["max drawdown"] == pytest.approx(deepest, abs=1e-12)
        shares = [float(row["deployed"]) / float(row["equity"]) for row in bars]
        assert figures["most deployed"] == pytest.approx(max(shares), abs=1e-12)


def test_each_trade_adds_up_by_itself(year: list[Week], recorded_year: Ran) -> None:
    """Entry and exit notional less fees is the profit, for every closed trade of the year."""
    seen = set()
    for week in year:
        for row in told(week)[1]:
            if row["kind"] != "closed":
                continue
            sign = 1.0 if row["side"] == "long" else -1.0
            moved = sign * float(row["quantity"]) * (float(row["exit"]) - float(row["entry"]))
            assert float(row["profit"]) == pytest.approx(moved - float(row["fees"]), abs=1e-9)
            assert row["strategies"], "an entry without a vote"
            assert row["verdict"] in ("PROCEED", "REDUCE")
            pair = row["symbol"].endswith("~carry")
            assert row["exit_reason"] in ("stop", "take_profit", "trail", *(["exit"] * pair))
            seen.add((row["symbol"], row["opened"]))
    assert len(seen) == len(trades_of(recorded_year.record.fills)) > 400


def test_a_trade_over_a_weeks_end_is_in_both_with_its_part(year: list[Week]) -> None:
    """The parts of a trade's profit add up to it."""
    spans: dict[tuple[str, str], list[dict]] = {}
    for week in year:
        for row in told(week)[1]:
            if row["kind"] != "refused":
                spans.setdefault((row["symbol"], row["opened"]), []).append(row)
    over = [rows for rows in spans.values() if len(rows) > 1]
    assert len(over) > 10
    held = {(x["symbol"], x["opened"]) for x in told(year[-1])[1] if x["kind"] == "open"}
    assert any(symbol.endswith("~carry") for symbol, _ in held), "pairs are held for weeks"
    for key, rows in spans.items():
        last = "open" if key in held else "closed"
        assert [row["kind"] for row in rows] == ["open"] * (len(rows) - 1) + [last]
        if last == "open":
            continue
        parts = math.fsum(numbers(rows, "week_profit"))
        assert parts == pytest.approx(float(rows[-1]["profit"]), abs=1e-9)


def test_every_refusal_names_its_stage_and_rule(year: list[Week], recorded_year: Ran) -> None:
    """All votes of the year are there once: as a trade's, or as refused by a rule."""
    votes = recorded_year.record.signals
    rows = [row for week in year for row in told(week)[1] if row["kind"] == "refused"]
    last_close = recorded_year.world.panel.close_times[-1]  # it decides in the year after
    expected = votes[(votes["stage"] != "traded") & (votes["time"] < last_close)]
    assert len(rows) == len(expected)
    assert {row["stage"] for row in rows} == {"vote", "judge", "risk"}
    assert all(row["rule"] and row["time"] and row["symbol"] for row in rows)


def test_weeks_follow_on_each_other(year: list[Week]) -> None:
    """Where one ends the next begins, and each head is a later row of one journal."""
    for one, next_one in pairwise(year):
        assert one.figures["equity at the end"] == next_one.figures["equity at the start"]
        assert one.head.seq < next_one.head.seq


def test_the_head_is_the_hash_of_the_weeks_last_bar(year: list[Week], recorded_year: Ran) -> None:
    """A reader with the journal finds it at the row that the report names."""
    week = year[23]
    with Journal.open(recorded_year.path, readonly=True) as journal:
        entry = next(journal.rows(after=week.head.seq - 1, limit=1))
    assert entry.hash == week.head.hash
    assert entry.body["as_of"] == "2023-06-12T00:00:00+00:00"


# --- what cannot be reported ---------------------------------------------------------------------


@pytest.mark.parametrize("label", ["2023-W54", "2023-W00", "W23", "2023-23", "", "last week"])
def test_a_label_that_is_no_week_is_refused(label: str) -> None:
    """In one sentence that shows how to write one."""
    with pytest.raises(UsageError, match="write it as 2023-W23"):
        monday(label)


def test_a_week_without_bars_says_what_there_is(recorded_year: Ran) -> None:
    """An empty week is refused with the weeks that the run covers."""
    with pytest.raises(UsageError, match="no bar in 2021-W07; it covers 2022-W52 to 2023-W52"):
        read_week(recorded_year.path, "2021-W07")


def test_a_week_that_goes_on_is_not_reported(sample_run: Ran, tmp_path: Path) -> None:
    """Neither by its name nor as the last one; and a run without a bar has no week at all."""
    desk = replace(sample_run.desk, journal_path=tmp_path / "j.db")
    run(desk, sample_run.world, stopped=stopped_after(0))
    with pytest.raises(UsageError, match=r"no week of .* is over yet; the run has no bar so far"):
        read_week(desk.journal_path)
    run(desk, sample_run.world, stopped=stopped_after(7 * 24 + 5))
    with pytest.raises(UsageError, match="2023-W02 is not over: the desk stands at 2023-01-09T05"):
        read_week(desk.journal_path, "2023-W02")
    assert read_week(desk.journal_path).label == "2023-W01"


def test_a_record_that_does_not_add_up_is_not_reported(sample_run: Ran) -> None:
    """A fill that the equity knows nothing of stops the report."""
    record = sample_run.record
    first = record.fill_rows[0]
    forged = replace(
        record, fill_rows=[(*first[:5], first[5] + 100.0, first[6]), *record.fill_rows[1:]]
    )
    with (
        Journal.open(sample_run.path, readonly=True) as journal,
        pytest.raises(DataError, match="the trades of 2023-W01 made"),
    ):
        weekly(forged, journal, "2023-W01")


# --- the folder ----------------------------------------------------------------------------------


@pytest.fixture
def small(sample_run: Ran) -> tuple[Week, nbformat.NotebookNode]:
    """A SYNTHETIC week and a notebook of one line, which names what it was made from."""
    week = read_week(sample_run.path, "2023-W04")
    line = nbformat.v4.new_markdown_cell(f"# A week, from {week.head.hash}", id="line")
    return week, nbformat.v4.new_notebook(cells=[line])


def test_a_week_is_published_whole_and_twice_the_same(
    small: tuple[Week, nbformat.NotebookNode], tmp_path: Path
) -> None:
    """Four files and an index; a second time changes no byte."""
    page = publish_week(*small, tmp_path)
    files = {f.name: f.read_bytes() for f in [*page.parent.iterdir(), tmp_path / "index.html"]}
    assert set(files) == {"index.html", "report.json", "trades.csv", "equity.csv"}
    assert b"SYNTHETIC" in page.read_bytes()
    assert b"SYNTHETIC" in (tmp_path / "index.html").read_bytes()
    publish_week(*small, tmp_path)
    again = {f.name: f.read_bytes() for f in [*page.parent.iterdir(), tmp_path / "index.html"]}
    assert again == files
    assert not [f for f in tmp_path.iterdir() if f.name.startswith(".")]


def test_a_published_week_is_not_quietly_replaced(
    small: tuple[Week, nbformat.NotebookNode], tmp_path: Path
) -> None:
    """From another record only if that is said; the old one stands until then."""
    page = publish_week(*small, tmp_path)
    before = (page.parent / "report.json").read_bytes()
    other = replace(small[0], head=replace(small[0].head, hash="f" * 64))
    with pytest.raises(
        UsageError, match=r"published from another record \(journal hash .* --another"
    ):
        publish_week(other, small[1], tmp_path)
    assert (page.parent / "report.json").read_bytes() == before
    small[1].cells[0].source = f"# A week, from {'f' * 64}"
    publish_week(other, small[1], tmp_path, another=True)
    assert json.loads((page.parent / "report.json").read_text())["journal"]["hash"] == "f" * 64


@pytest.mark.parametrize("name", ["report.json", "trades.csv", "equity.csv"])
def test_an_edited_week_is_told_and_not_quietly_healed(
    small: tuple[Week, nbformat.NotebookNode], tmp_path: Path, name: str
) -> None:
    """One digit of any of the three files, under the right hash: to publish again is to check."""
    file = publish_week(*small, tmp_path).with_name(name)
    honest = file.read_bytes()
    file.write_bytes(honest.replace(b"1", b"2", 1))
    with pytest.raises(UsageError, match=rf"{name} is not what its record says: it was edited"):
        publish_week(*small, tmp_path)
    assert file.read_bytes() != honest
    publish_week(*small, tmp_path, another=True)
    assert file.read_bytes() == honest


def test_two_publish_the_same_week_at_once(
    small: tuple[Week, nbformat.NotebookNode], tmp_path: Path
) -> None:
    """One after the other, and the week is whole."""
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(publish_week, small[0], deepcopy(small[1]), tmp_path) for _ in range(12)
        ]
        pages = {job.result() for job in jobs}
    assert {file.name for file in pages.pop().parent.iterdir()} == {
        "index.html", "report.json", "trades.csv", "equity.csv"
    }  # fmt: skip
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_a_page_made_from_another_record_is_not_published(
    small: tuple[Week, nbformat.NotebookNode], tmp_path: Path
) -> None:
    """Page and figures are of one journal row, or nothing appears."""
    week, notebook = small
    notebook.cells[0].source = f"# A week, from {'a' * 64}"
    with pytest.raises(DataError, match=r"2023-W04 is not published: .* another run was begun"):
        publish_week(week, notebook, tmp_path)
    assert not (tmp_path / "2023-W04").exists()
    assert not (tmp_path / "index.html").exists()


@pytest.mark.parametrize("content", ["{}", ""], ids=["nothing in it", "a figure missing"])
def test_a_broken_report_is_named_and_not_listed(tmp_path: Path, content: str) -> None:
    """The index never shows what it cannot read."""
    (tmp_path / "2023-W01").mkdir()
    report = {"journal": {"hash": ""}, "week": "", "mode": "", "whole": True, "figures": {}}
    (tmp_path / "2023-W01" / "report.json").write_text(content or json.dumps(report))
    with pytest.raises(DataError, match=r"2023-W01/report\.json is no report"):
        index(tmp_path)


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(A1)", "\t=x"])
def test_no_text_in_a_table_begins_a_formula(
    small: tuple[Week, nbformat.NotebookNode], text: str
) -> None:
    """A spreadsheet shows what a judge wrote and does not run it; numbers stay numbers."""
    week = replace(small[0], rows=small[0].rows.assign(rationale=text))
    rows = list(csv.DictReader(io.StringIO(table(week.rows))))
    assert {row["rationale"] for row in rows} == {f"'{text}"}
    assert any(float(row["profit"]) < 0 for row in rows if row["kind"] == "closed")
