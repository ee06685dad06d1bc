"""calibrate: what each strategy's score has stood for, kept for the desk to trade on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.replay import End, Start, Venue
from workbench.cli.shell import Config, Json, desk_of, frame, progress_bars, say

Out = Annotated[Path, typer.Option(help="Where the curves are kept.")]
SHOWN = (
    "n", "days", "hit rate", "low", "high", "break-even", "mean return", "scored", "brier score",
    "brier curve", "brier constant", "curve", "curve n",
)  # fmt: skip


def calibrate(
    start: Start = None,
    end: End = None,
    venue: Venue = None,
    out: Out = Path("var/calibration.json"),
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Turn scores into probabilities: every strategy by what its own past votes came to."""
    from workbench.research.calibrate import calibrate as calibrated
    from workbench.research.calibrate import uncalibrated, write_calibration

    desk = desk_of(config, venue, calibrated=False)
    with progress_bars() as progress:
        found = calibrated(desk, desk.world(start, end, progress), progress)
    write_calibration(out, found)
    without = uncalibrated(found.desk(desk))
    result = {
        "source": found.source,
        "out": str(out),
        "strategies": found.summary.to_dict("index"),
        "disabled": found.disabled,
        "uncalibrated": without,
    }
    say(as_json, result, [
        f"{found.source}; every vote taken alone, curves from what had closed by then",
        frame(found.summary[list(SHOWN)].T), "",
        "The outcomes overlap in time and between coins: an interval is worth its days, not its n.",
        "Brier scores are of the votes that had a curve; lower is better, and who is not below the"
        " constant knows nothing by the score.",
        *(f"left out: {name}, {why}" for name, why in found.disabled.items()),
        f"UNCALIBRATED, its own score and no probability: {', '.join(without) or 'nobody'}",
        "", f"kept in {out}",
    ])  # fmt: skip
