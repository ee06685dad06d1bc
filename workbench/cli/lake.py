"""data import, status and prune: what is in the lake, and what goes out of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.pull import data_pull, lease_file
from workbench.cli.shell import Config, Json, desk_of, progress_bars, say, whoami

if TYPE_CHECKING:
    from polars import DataFrame

    from workbench.data.defects import Defect
    from workbench.data.lake import Lake, Month, SeriesName
    from workbench.data.quality import Quality

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
def data_status(
    every_defect: Annotated[
        bool, typer.Option("--defects", help="List each defect, and where venues disagree.")
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Every series in the lake: rows, span, how fresh it is, gaps, and what pulls have covered."""
    from workbench.data.lake import lake_at
    from workbench.data.quality import apart, found_defects, qualities

    desk = desk_of(config, None)
    lake = lake_at(desk.source.lake)
    series = list(qualities(lake, datetime.now(UTC)))
    result = {"lake": str(desk.source.lake), "series": [_quality_json(each) for each in series]}
    if not series:
        lines = [f"the lake {desk.source.lake} is empty; fill it with `workbench data import DIR`"]
    elif every_defect:
        found, events = list(found_defects(lake)), list(apart(lake))
        result |= {
            "defects": [each._asdict() | {"series": str(each.series)} for each in found],
            "disagreements": [
                {"symbol": name.symbol} | row for name, rows in events for row in rows.to_dicts()
            ],
        }
        lines = _defect_lines(found, events)
    else:
        lines = _quality_lines(series)
    say(as_json, result, lines)


@app.command("prune")
def data_prune(
    yes: Annotated[bool, typer.Option("--yes", help="Remove them.")] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Show the months that are older than desk.toml's [data] keep_days; with --yes remove them."""
    from workbench.data.lake import lake_at
    from workbench.trading.lease import lease

    desk = desk_of(config, None)
    lake, keep_days = lake_at(desk.source.lake), _keep_days(config)
    if yes:
        holder = f"`data prune` of {whoami()}, process {os.getpid()}"
        with lease(lease_file(desk.source.lake), holder):
            old = _outdated(lake, keep_days, remove=True)
    else:
        old = _outdated(lake, keep_days, remove=False)
    series = [
        {"series": str(name), "months": [each._asdict() for each in months]}
        for name, months in old.items()
    ]
    result = {"lake": str(desk.source.lake), "keep_days": keep_days, "removed": yes}
    say(as_json, result | {"series": series}, _prune_lines(old, keep_days, yes))


def _keep_days(config: Path | None) -> dict[str, int]:
    from workbench.desk import CONFIG
    from workbench.settings import read_settings

    file = config or Path(CONFIG)
    return dict(read_settings(file if file.is_file() else None).data.keep_days)


def _outdated(
    lake: Lake, keep_days: Mapping[str, int], *, remove: bool
) -> dict[SeriesName, list[Month]]:
    """The months that have had their time; with `remove` they are gone."""
    from workbench.data.quality import outdated

    take = lake.prune if remove else lake.ended
    told = list(outdated(lake, keep_days, datetime.now(UTC)))
    old = {name: take(name, before) for name, before in told}
    return {name: months for name, months in old.items() if months}


def _prune_lines(
    old: Mapping[SeriesName, Sequence[Month]], keep_days: Mapping[str, int], removed: bool
) -> list[str]:
    if not keep_days:
        return ["everything is kept; desk.toml can say otherwise: [data] keep_days = {trades = 30}"]
    lines = [
        f"{name!s:<40} {months[0].month} .. {months[-1].month} {len(months):>4} months"
        f" {sum(each.rows for each in months):>12,} rows {_megabytes(months):>8.1f} MB"
        for name, months in old.items()
    ]
    every = [each for months in old.values() for each in months]
    done = "removed" if removed else "would go; nothing is removed without --yes"
    total = f"{len(every)} months, {sum(e.rows for e in every):,} rows, {_megabytes(every):.1f} MB"
    return [*lines, f"{total} {done}"]


def _megabytes(months: Sequence[Month]) -> float:
    return sum(each.size for each in months) / 1e6


def _quality_json(each: Quality) -> dict[str, Any]:
    return each.stored._asdict() | {
        "flats": each.flats, "asked": round(each.asked, 4), "unasked": each.unasked,
        "age_h": round(each.age_h, 2), "allowed_h": each.allowed_h, "late": each.late,
    }  # fmt: skip


def _quality_lines(series: Sequence[Quality]) -> list[str]:
    lines = [
        f"{'':<27} {'rows':>9} {'first':<10} {'last':<10} {'age':>6} {'gaps':>8} {'unasked':>7}"
        f" {'flat':>4} {'twice':>5} {'asked':>5}"
    ]
    kind = ""
    for each in series:
        s = each.stored
        if s.kind != kind:
            kind = s.kind
            lines.append(kind)
        name = f" {s.venue} {s.symbol} {s.timeframe}"
        gaps = "-" if s.gaps is None else f"{s.gaps}/{s.missing}"
        lines.append(
            f"{name if len(name) < 28 else name[:26] + '…':<27} {s.rows:>9}"
            f" {s.first:%Y-%m-%d} {s.last:%Y-%m-%d} {_age(each):>6} {gaps:>8}"
            f" {_or_dash(each.unasked):>7} {_or_dash(each.flats):>4} {s.duplicates:>5}"
            f" {each.asked:>5.0%}"
        )
    return [
        *lines,
        "age: since its newest row became known; * is longer than its timeframe allows",
        "gaps: holes/missing rows; unasked: of these, how many no pull has asked for yet",
        "flat: runs of bars without a trade; asked: how much of its span pulls have covered",
    ]


def _age(each: Quality) -> str:
    age = f"{each.age_h / 24:.0f}d" if abs(each.age_h) >= 72 else f"{each.age_h:.0f}h"
    return age + ("*" if each.late else " ")


def _or_dash(count: int | None) -> str:
    return "-" if count is None else str(count)


def _defect_lines(
    found: Sequence[Defect], events: Sequence[tuple[SeriesName, DataFrame]]
) -> list[str]:
    lines = [
        f"{each.series!s:<31} {each.what:<6} {each.start:%Y-%m-%d %H:%M}"
        f" {each.end:%Y-%m-%d %H:%M} {each.bars:>5}  {each.says}"
        for each in found
    ]
    lines += [_apart_line(name.symbol, row) for name, rows in events for row in rows.to_dicts()]
    return [*lines, f"{len(lines)} defects; none was repaired"]


def _apart_line(symbol: str, row: Mapping[str, Any]) -> str:
    series = f"ohlcv {row['one']} {symbol} {row['bar']}"
    return (
        f"{series:<31} apart  {row['event_time']:%Y-%m-%d %H:%M}"
        f" {row['available_at']:%Y-%m-%d %H:%M} {1:>5}  {row['gap_bps']:+.0f} bps from"
        f" {row['other']}: {row['close']:g}, {row['other_close']:g}"
    )
