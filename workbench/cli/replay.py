"""replay: years of bars at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from workbench.cli.shell import (
    Config,
    Json,
    desk_of,
    frame,
    history_of,
    progress_bars,
    say,
)

Start = Annotated[str | None, typer.Option(help="First day, such as 2023-01-01.")]
End = Annotated[str | None, typer.Option(help="Last day, inclusive.")]
Venue = Annotated[str | None, typer.Option(help="Whose candles: sample, binance_spot, ...")]


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

    desk = desk_of(config, venue, judge, calibrated=True)
    with progress_bars() as progress:
        history = history_of(desk, start, end, progress)
    values, ends = summary(history.replay), why_no_trade(history.signals)
    panel = history.world.panel
    silent = {s.name: why for s in desk.strategies if (why := s.silence(panel))}
    tied = "; ".join(" ".join(each) for each in history.replay.clusters if len(each) > 1)
    result = {
        "source": history.world.panel.source,
        "symbols": list(history.replay.panel.symbols),
        "judge": sorted(set(history.judged["source"])),
        "figures": values.to_dict(),
        "blocks": history.replay.blocks.to_dict(),
        "clusters": history.replay.clusters,
        "fates": {" ".join(k): int(v) for k, v in zip(ends.index, ends["total"], strict=True)},
        "disabled": dict(history.disabled),
        "silent": silent,
        "limits": desk.limits._asdict(),
        "costs": desk.costs._asdict(),
    }
    with Journal.open(desk.journal_path) as journal:
        row = journal.append("replay", result, datetime.now(UTC))
    say(as_json, result | {"journal_row": row.seq}, [
        f"{history.world.panel.source}; judged by {', '.join(result['judge']) or 'nobody'}",
        *(f"  {name:<15} {value}" for name, value in figures(values).items()),
        "", "What became of every signal:", frame(ends),
        "", *(f"left out: {name}, {why}" for name, why in history.disabled.items()),
        *(f"silent: {name}, {why}" for name, why in silent.items()),
        f"correlated above {desk.limits.max_correlation:g} at the end: {tied or 'none'}",
        "", f"kept as row {row.seq} of {desk.journal_path}",
    ])  # fmt: skip
