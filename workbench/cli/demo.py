"""demo: the sample world through every stage, from a replay to a published week."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from workbench.cli.paper import run_paper
from workbench.cli.publish import publish_weeks
from workbench.cli.shell import Config, Json, Progress, desk_of, history_of, progress_bars, say
from workbench.errors import DataError

if TYPE_CHECKING:
    from workbench.desk import Desk
    from workbench.trading.record import Record

QUARTER = ("2022-10-03", "2023-01-01")  # of the sample world: thirteen whole weeks that trade
RUNS = Path("var/runs")
REPORTS = Path("reports/demo")  # made-up weeks stay out of the public record


def demo(as_json: Json = False, config: Config = None) -> None:
    """The sample world: a replay, a tour, a quarter on paper, a published week; ends with pages."""
    from workbench.journal import Journal
    from workbench.research.metrics import summary
    from workbench.runner import find_notebook
    from workbench.trading.record import read_record
    from workbench.views.tables import figures

    tour = find_notebook("00_tour")
    desk = desk_of(config, "sample", calibrated=True)
    desk = replace(desk, journal_path=desk.journal_path.with_name("demo.db"))
    with progress_bars() as progress:
        history = history_of(desk, None, None, progress)
        page = _toured(tour, progress)
    outcome, _ = run_paper(desk, QUARTER, speed=0.0, another=False)
    if not outcome.finished:
        raise DataError("the demo was stopped; the same command goes on from here")
    with progress_bars() as progress, Journal.open(desk.journal_path, readonly=True) as journal:
        record = read_record(journal)
        same = _replayed(desk, record)
        week = publish_weeks(record, journal, ["2022-W52"], REPORTS, False, progress)[0]
    text = figures(summary(history.replay))
    five = {
        n: text[n] for n in ("total return", "max drawdown", "trades", "win rate", "expectancy")
    }
    result: dict[str, Any] = {
        "source": history.world.panel.source, "page": str(page.resolve()), "figures": five,
        "journal": str(desk.journal_path), "paper_bars": len(record.rows),
        "paper_equals_replay": same, "week": str(week.resolve()),
    }  # fmt: skip
    say(as_json, result, [
        f"{history.world.panel.source}: {len(history.replay.panel):,} bars of"
        f" {len(history.replay.panel.symbols)} assets",
        *(f"  {name:<14} {value}" for name, value in five.items()),
        f"  on paper from {QUARTER[0]} to {QUARTER[1]}, {len(record.rows):,} bars into"
        f" {desk.journal_path}{f' at {outcome.bars_per_s:,.0f} bars/s' if outcome.bars else ''}:"
        f" {'the same fills and equity as' if same else 'NOT as'} the replay",
        "",
        f"the tour         {page.resolve()}",
        f"a week           {week.resolve()}",
        f"the panel        .venv/bin/workbench panel --journal {desk.journal_path}",
    ])  # fmt: skip
    if not same:
        raise typer.Exit(1)


def _toured(tour: Path, progress: Progress) -> Path:
    import nbformat

    from workbench.runner import run_notebook
    from workbench.views.report import publish

    ran = run_notebook(
        tour, RUNS, {"venue": "sample"}, deadline_s=600.0, now=lambda: datetime.now(UTC),
        progress=progress,
    )  # fmt: skip
    if not ran.green:
        raise DataError(f"the tour did not end: {ran.cause}")
    folder = Path("reports/tour")
    folder.mkdir(parents=True, exist_ok=True)
    executed = nbformat.read(ran.folder / "notebook.ipynb", as_version=4)
    return publish(executed, folder, "The tour (SYNTHETIC)")


def _replayed(desk: Desk, record: Record) -> bool:
    """Is what the desk did on paper, bar by bar, what a replay of the same bars says?"""
    from workbench.research.history import run_history

    told = run_history(desk, desk.world(*record.period)).replay
    return record.equity.equals(told.equity) and record.fills.equals(told.fills)
