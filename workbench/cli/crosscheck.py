"""crosscheck: the same signals through our replay and through other engines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.replay import End, Start, Venue
from workbench.cli.shell import Config, Json, desk_of, frame, progress_bars, say

if TYPE_CHECKING:
    from workbench.research.crosscheck import Crosscheck

ZIPLINE = Path(".venv-zipline/bin/python")


def crosscheck(
    start: Start = None,
    end: End = None,
    venue: Venue = None,
    symbol: Annotated[str, typer.Option(help="Whose bars.")] = "BTC/USDT",
    bars: Annotated[int, typer.Option(help="At most so many, the last ones.")] = 35_040,
    engine: Annotated[
        list[str] | None, typer.Option(help="vectorbt, backtesting or backtrader; all if absent.")
    ] = None,
    zipline: Annotated[
        Path | None, typer.Option(help=f"An interpreter with zipline; {ZIPLINE} if it is there.")
    ] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Compare our fills and equity with those of other engines; 1 if a difference has no name."""
    from workbench.research.engines import run_crosscheck

    desk = desk_of(config, venue)
    with progress_bars() as progress:
        panel = desk.world(start, end, progress).panel
        python = zipline or (ZIPLINE if ZIPLINE.exists() else None)
        result = run_crosscheck(panel, symbol, bars, engine, python, progress)
    say(as_json, plain(result), text(result, python))
    if result.unexplained:
        raise typer.Exit(1)


def plain(result: Crosscheck) -> dict[str, Any]:
    return {
        "source": result.source,
        "synthetic": result.synthetic,
        "symbol": result.symbol,
        "bars": result.bars,
        "first": result.first,
        "last": result.last,
        "unexplained": len(result.unexplained),
        "findings": [vars(finding) for finding in result.findings],
    }


def text(result: Crosscheck, python: Path | None) -> list[str]:
    from workbench.research.semantics import DIFFERENCES

    shown = result.frame.drop(columns=["first"])
    for name in ("price_difference", "equity_difference"):
        shown[name] = shown[name].map("{:.1e}".format)
    shown = shown.set_axis([name.replace("_", " ") for name in shown.columns], axis=1)
    needed = {name for finding in result.findings for name in finding.semantics}
    return [
        f"{result.source}; {result.symbol}, {result.bars:,} bars,"
        f" {result.first:%Y-%m-%d %H:%M} to {result.last:%Y-%m-%d %H:%M}",
        frame(shown.set_index("task")),
        "",
        *(f"{name}: {DIFFERENCES[name][1]}" for name in DIFFERENCES if name in needed),
        *(
            f"UNEXPLAINED: {finding.task}, {finding.engine}: {finding.first}"
            for finding in result.unexplained
        ),
        *(() if python else ("zipline was not run; make engines-zipline builds its environment",)),
    ]
