"""publish: weeks of a run as public pages, each executed from its notebook."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.shell import Config, JournalFile, Json, Progress, journal_of, progress_bars, say
from workbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from workbench.journal import Journal
    from workbench.trading.record import Record

NOTEBOOK = "weekly_report"
RUNS = Path("var/runs")


def publish(
    week: Annotated[
        str, typer.Option("--week", help="An ISO week such as 2023-W23; last; or all.")
    ] = "last",
    through: Annotated[
        str | None, typer.Option("--through", help="The last of several weeks.")
    ] = None,
    reports: Annotated[Path, typer.Option("--reports", help="Where pages go.")] = Path("reports"),
    another: Annotated[
        bool,
        typer.Option(
            "--another", help="Replace weeks published from another record, or edited since."
        ),
    ] = False,
    journal: JournalFile = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Publish a week: its page, its figures, every trade and every refusal, sealed by a hash."""
    from workbench.journal import Journal
    from workbench.trading.record import read_record

    path = journal_of(config, journal)
    with progress_bars() as progress, Journal.open(path, readonly=True) as opened:
        opened.verify(lambda done, total: progress(done, total, "verifying the journal"))
        record = read_record(opened)
        labels = _labels(record, week, through)
        pages = publish_weeks(record, opened, labels, reports, another, progress)
    result = {
        "journal": str(path), "mode": record.mode, "weeks": labels,
        "pages": [str(page.resolve()) for page in pages],
        "index": str((reports / "index.html").resolve()),
    }  # fmt: skip
    say(as_json, result, [
        f"{record.mode}: {len(labels)} week{'s' * (len(labels) > 1)} published from {path}",
        f"open {pages[-1].resolve()}",
        f"all of them: {(reports / 'index.html').resolve()}",
    ])  # fmt: skip


def _labels(record: Record, week: str, through: str | None) -> list[str]:
    from workbench.trading.weekly import monday, named, weeks

    over = weeks(record)
    if week == "all":
        return over or [named(record, "last")]  # which says that none is over
    if through is None:
        return [named(record, week)]
    for label in (week, through):
        monday(label)
    asked = [label for label in over if week <= label <= through]
    if not asked:
        raise UsageError(f"{record.path} has no week from {week} to {through} that is over")
    return asked


def publish_weeks(
    record: Record, journal: Journal, labels: list[str], reports: Path, another: bool,
    progress: Progress,
) -> list[Path]:  # fmt: skip
    """Execute and publish each week; notebooks run side by side, pages appear in order."""
    import nbformat

    from workbench.runner import find_notebook, run_notebook
    from workbench.trading.weekly import weekly
    from workbench.views.publish import publish_week, refuse_other

    notebook, source = find_notebook(NOTEBOOK), str(record.path.resolve())
    reported = [weekly(record, journal, label) for label in labels]  # refuses before any kernel
    for week in reported if not another else []:
        refuse_other(week, reports)

    def executed(label: str) -> nbformat.NotebookNode:
        given = {"week": label, "journal": source}
        run = run_notebook(
            notebook, RUNS, given, deadline_s=600.0, now=lambda: datetime.now(UTC)
        )  # fmt: skip
        if not run.green:
            raise DataError(f"{label} is not published: {run.cause}")
        return nbformat.read(run.folder / "notebook.ipynb", as_version=4)

    pages = []
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) as pool:
        for done, (week, ran) in enumerate(zip(reported, pool.map(executed, labels), strict=True)):
            pages.append(publish_week(week, ran, reports, another))
            progress(done + 1, len(labels), "publishing")
    return pages
