"""demo and replay: years of bars at once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.shell import (
    Config,
    Json,
    Progress,
    desk_of,
    frame,
    history_of,
    progress_bars,
    say,
)
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.desk import Desk
    from workbench.research.history import History

Start = Annotated[str | None, typer.Option(help="First day, such as 2023-01-01.")]
End = Annotated[str | None, typer.Option(help="Last day, inclusive.")]
Venue = Annotated[str | None, typer.Option(help="Whose candles: sample, binance_spot, ...")]

DEMO_DAYS = 30
TOUR = Path("notebooks/00_tour.ipynb")


def demo(as_json: Json = False, config: Config = None) -> None:
    """The sample world through all five layers: replay, journal, page; ends with its path."""
    from workbench.research.metrics import summary
    from workbench.runner import execute
    from workbench.views.report import publish
    from workbench.views.tables import figures

    if not TOUR.is_file():
        raise UsageError(f"{TOUR} is not here; run this in the project's folder")
    desk = desk_of(config, "sample")
    with progress_bars() as progress:
        history = history_of(desk, None, None, progress)
        same, rows = _walked(desk, history, progress)
        progress(0, 1, "the tour notebook")
        folder = Path("reports/tour")
        executed = execute(TOUR, folder, {"venue": "sample"})
        page = publish(executed, folder, "The tour (SYNTHETIC)")
        progress(1, 1, "the tour notebook")
    text = figures(summary(history.replay))
    five = {
        n: text[n] for n in ("total return", "max drawdown", "trades", "win rate", "expectancy")
    }
    result = {
        "source": history.world.panel.source, "page": str(page.resolve()), "figures": five,
        "journal": str(desk.journal_path), "journal_rows": rows, "page_equals_replay": same,
    }  # fmt: skip
    say(as_json, result, [
        f"{history.world.panel.source}: {len(history.replay.panel):,} bars of"
        f" {len(history.replay.panel.symbols)} assets",
        *(f"  {name:<14} {value}" for name, value in five.items()),
        f"  the last {DEMO_DAYS} days bar by bar: {'the same fills as' if same else 'NOT as'} the"
        f" replay; {rows} rows in {desk.journal_path}",
        f"open {page.resolve()}",
    ])  # fmt: skip
    if not same:
        raise typer.Exit(1)


def _walked(desk: Desk, history: History, progress: Progress) -> tuple[bool, int]:
    """The last month once more through the page, journalled; does it agree with the replay?"""
    from dataclasses import replace

    from workbench.journal import Journal, JournalLog
    from workbench.research.history import run_history
    from workbench.research.walk import agrees, walk

    world = replace(history.world, start=len(history.world.panel) - DEMO_DAYS * 24)
    with Journal.open(desk.journal_path) as journal:
        walked = walk(replace(desk, journal=JournalLog(journal)), world, progress)
        rows = len(journal)
    return agrees(walked, run_history(desk, world).replay), rows


def replay(
    start: Start = None,
    end: End = None,
    venue: Venue = None,
    judge: Annotated[str | None, typer.Option(help="rubric, always, or an installed one.")] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Replay history through every layer and say what came of it, and why there was no trade."""
    from workbench.journal import Journal
    from workbench.research.history import why_no_trade
    from workbench.research.metrics import summary
    from workbench.views.tables import figures

    desk = desk_of(config, venue, judge)
    with progress_bars() as progress:
        history = history_of(desk, start, end, progress)
    values, why = summary(history.replay), why_no_trade(history.signals)
    tied = "; ".join(" ".join(each) for each in history.replay.clusters if len(each) > 1)
    result = {
        "source": history.world.panel.source,
        "symbols": list(history.replay.panel.symbols),
        "judge": sorted(set(history.judged["source"])),
        "figures": values.to_dict(),
        "blocks": history.replay.blocks.to_dict(),
        "clusters": history.replay.clusters,
        "fates": {" ".join(k): int(v) for k, v in zip(why.index, why["total"], strict=True)},
        "limits": desk.limits._asdict(),
        "costs": desk.costs._asdict(),
    }
    with Journal.open(desk.journal_path) as journal:
        row = journal.append("replay", result, datetime.now(UTC))
    say(as_json, result | {"journal_row": row.seq}, [
        f"{history.world.panel.source}; judged by {', '.join(result['judge']) or 'nobody'}",
        *(f"  {name:<15} {value}" for name, value in figures(values).items()),
        "", "What became of every signal:", frame(why),
        "", f"correlated above {desk.limits.max_correlation:g} at the end: {tied or 'none'}",
        "", f"kept as row {row.seq} of {desk.journal_path}",
    ])  # fmt: skip
