"""data import, status and prune: what is in the lake, and what goes out of it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.pull import data_pull, lease_file
from workbench.cli.shell import Config, Json, desk_of, progress_bars, say, whoami

app = typer.Typer(
    help="The data lake: pull from feeds, import recorded files, see what is there.",
    no_args_is_help=True,
)


app.command("pull")(data_pull)


@app.command("import")
def data_import(
    directory: Annotated[Path, typer.Argument(help="A folder of recorded files (ohlcv/, news/..)")],
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Check recorded files and store them; a bad file is refused by name, the others go in."""
    from workbench.data.lake import lake_at
    from workbench.data.recorded import import_recorded
    from workbench.trading.lease import lease

    desk = desk_of(config, None)
    holder = f"`data import` of {whoami()}, process {os.getpid()}"
    with lease(lease_file(desk.source.lake), holder), progress_bars() as progress:
        report = import_recorded(directory, lake_at(desk.source.lake), datetime.now(UTC), progress)
    dropped = {i.file: i.dropped for i in report.imported if i.dropped}
    result = {
        "lake": str(desk.source.lake), "files": len(report.imported), "rows": report.rows,
        "written": report.written, "dropped": dropped,
        "skipped": dict(report.skipped), "refused": dict(report.refused),
    }  # fmt: skip
    say(as_json, result, [
        f"{len(report.imported)} files, {report.rows:,} rows, {report.written:,} written to"
        f" {desk.source.lake}",
        *(f"  dropped in {name}: {what}" for name, what in dropped.items()),
        *(f"  skipped {name}: {why}" for name, why in report.skipped),
        *(f"  REFUSED {name}: {why}" for name, why in report.refused),
    ])  # fmt: skip
    if report.refused:
        raise typer.Exit(1)


@app.command("status")
def data_status(as_json: Json = False, config: Config = None) -> None:
    """Every series in the lake: rows, first, last, gaps, duplicates."""
    from workbench.data.lake import lake_at

    desk = desk_of(config, None)
    series = lake_at(desk.source.lake).status()
    lines = [f"{'series':<52} {'rows':>8}  {'first':<16}  {'last':<16} {'gaps':>5} {'twice':>5}"]
    lines += [
        f"{' '.join(s[:4]):<52} {s.rows:>8,}  {s.first:%Y-%m-%d %H:%M}  {s.last:%Y-%m-%d %H:%M}"
        f" {'-' if s.gaps is None else s.gaps:>5} {s.duplicates:>5}"
        for s in series
    ]
    if not series:
        lines = [f"the lake {desk.source.lake} is empty; fill it with `workbench data import DIR`"]
    result = {"lake": str(desk.source.lake), "series": [s._asdict() for s in series]}
    say(as_json, result, lines)
