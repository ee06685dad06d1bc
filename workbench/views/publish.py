"""The public weekly record: a folder a week, and an index of them all.

A folder appears whole or not at all, from the same journal always with the same bytes. What was
published from another record, or is no longer what its record says, is not overwritten unless that
is said aloud: so to publish again is to check.
"""

from __future__ import annotations

import csv
import html
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from workbench.domain import DataError, UsageError
from workbench.files import locked, write_whole
from workbench.journal_json import to_plain
from workbench.trading.weekly import Week
from workbench.views import week as shown
from workbench.views.report import page, publish

SCHEMA = 1
COLUMNS = (
    "week", "mode", "closed", "won", "profit", "return", "equity", "refused", "journal hash",
)  # fmt: skip
LISTED = ("closed trades", "won", "profit", "return", "equity at the end", "votes refused")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run instead of show


def publish_week(
    week: Week, notebook: nbformat.NotebookNode, reports: Path, another: bool = False
) -> Path:
    """Write `reports`/<week>/ from the week and its executed notebook, then the index.

    Raises UsageError as `refuse_other` does unless `another` is set, DataError if the notebook was
    executed on another record.
    """
    folder, part = reports / week.label, reports / f".{week.label}.part"
    old = reports / f".{week.label}.old"
    reports.mkdir(parents=True, exist_ok=True)
    with locked(reports):
        if not another:
            refuse_other(week, reports)
        for left in (part, old):
            shutil.rmtree(left, ignore_errors=True)
        part.mkdir()
        made_up = " (SYNTHETIC)" if week.synthetic else ""
        made = publish(notebook, part, f"Week {week.label}{made_up}")
        if week.head.hash not in made.read_text(encoding="utf-8"):
            raise DataError(
                f"{week.label} is not published: its notebook does not name the journal row that"
                " its figures are of; another run was begun meanwhile, publish again"
            )
        for name, text in evidence(week).items():
            write_whole(part / name, text)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
        index(reports)
    return folder / "index.html"


def evidence(week: Week) -> dict[str, str]:
    """The files beside the page, by name: all that the page says can be worked out from them."""
    return {
        "report.json": json.dumps(report(week), indent=1, sort_keys=True) + "\n",
        "trades.csv": table(week.rows),
        "equity.csv": table(week.equity.reset_index()),
    }


def refuse_other(week: Week, reports: Path) -> None:
    """Raise UsageError if that week was published from another record, or if its files are not
    what this record says, because they were edited or another version wrote them."""
    folder = reports / week.label
    published = folder / "report.json"
    if not published.exists():
        return
    before = _read(published)["journal"]["hash"]
    if before != week.head.hash:
        raise UsageError(
            f"{folder} was published from another record (journal hash {before[:12]}, this one"
            f" {week.head.hash[:12]}); publish into another folder with --reports, or replace it"
            " with --another"
        )
    for name, text in evidence(week).items():
        file = folder / name
        if not file.exists() or file.read_bytes() != text.encode():
            raise UsageError(
                f"{file} is not what its record says: it was edited, or another version of the"
                " workbench wrote it; look at it, then replace the week with --another"
            )


def report(week: Week) -> dict[str, Any]:
    """The week's figures for machines; NaN is null."""
    gate = {name: getattr(week.gate, name) for name in ("n", "expectancy", "low", "high", "grade")}
    return _without_nan(
        to_plain(
            {
                "schema": SCHEMA, "week": week.label, "start": week.start, "mode": week.mode,
                "source": week.source, "whole": week.whole,
                "journal": {"row": week.head.seq, "hash": week.head.hash}, "run": week.run,
                "figures": week.figures, "gate": gate,
                "refused": {f"{stage} {rule}": int(n) for (stage, rule), n in week.refused.items()},
            }
        )
    )  # fmt: skip


def table(frame: pd.DataFrame) -> str:
    """A frame as CSV: numbers to the last digit, times in UTC, no text that begins a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(frame.columns)
    for row in frame.itertuples(index=False, name=None):
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    if pd.isna(value):
        return ""
    return value.isoformat() if isinstance(value, pd.Timestamp) else value


def index(reports: Path) -> Path:
    """Write the page that lists every published week, the last one first."""
    told = [_read(file) for file in sorted(reports.glob("[0-9]*-W*/report.json"), reverse=True)]
    head = "".join(f"<th>{name}" for name in COLUMNS)
    rows = "".join(_row(each) for each in told)
    listed = f"<table><thead><tr>{head}</thead><tbody>{rows}</tbody></table>"
    body = f'<div class="scroll">{listed}</div>'
    synthetic = any(each["mode"] == "SYNTHETIC" for each in told)
    note = "<p>Weeks marked SYNTHETIC were traded on made-up prices.</p>" if synthetic else ""
    title = "Weekly reports"
    target = reports / "index.html"
    write_whole(target, page(title, f"<h1>{title}</h1>{note}{body}", script=None))
    return target


def _row(told: Mapping[str, Any]) -> str:
    figures = pd.Series(told["figures"], dtype=float)
    values = [shown.FORMATS[name].format(figures[name]) for name in LISTED]
    label, part = html.escape(told["week"]), "" if told["whole"] else " (part)"
    seal = f"<code>{html.escape(told['journal']['hash'][:12])}</code>"
    cells = "".join(f"<td>{cell}" for cell in (html.escape(told["mode"]), *values, seal))
    return f"<tr><th><a href='{label}/index.html'>{label}</a>{part}{cells}"


def _read(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        _ = told["journal"]["hash"], told["week"], told["mode"], told["whole"]
        _ = [told["figures"][name] for name in LISTED]
    except (ValueError, TypeError, KeyError):
        raise DataError(f"{file} is no report; delete its folder and publish it again") from None
    return told


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if value in ("NaN", "Infinity", "-Infinity") else value
