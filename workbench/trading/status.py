"""How a desk stands, in one look: its state, its heartbeat, how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from workbench.journal import Journal
from workbench.trading.control import Control, read_control
from workbench.trading.engine import heartbeat_file, last_run
from workbench.trading.lease import Heartbeat, last_beat


@dataclass(frozen=True)
class Standing:
    """`control` is what was ordered; `heartbeat` what the process last said, None if none ever ran;
    `lives`: it does still. `run`: the journal holds a run."""

    control: Control
    heartbeat: Heartbeat | None
    age_s: float | None
    lives: bool
    run: bool

    @property
    def mode(self) -> str:
        return self.heartbeat.mode if self.heartbeat else ""

    @property
    def process(self) -> str:
        """What the process is doing, in words."""
        beat = self.heartbeat
        if beat is None:
            return "no desk has run here yet; `workbench paper` starts one"
        if self.lives:
            return f"running, {beat.done:,} of {beat.total:,} bars, {beat.bars_per_s:,.1f} bars/s"
        if beat.ended:
            return f"{beat.ended} after {beat.done:,} of {beat.total:,} bars"
        return f"SILENT for {self.age_s:,.0f} s: it hangs or was killed; `workbench paper` goes on"

    def __str__(self) -> str:
        by = f" ({self.heartbeat.holder})" if self.heartbeat and self.lives else ""
        return f"{self.mode + ' ' if self.mode else ''}{self.control}\n  {self.process}{by}"


def standing_of(journal: Journal, now: datetime, known: Control | None = None) -> Standing:
    """How the desk of a journal stands; `known` are the orders read before."""
    beat = last_beat(heartbeat_file(journal.path))
    return Standing(
        control=read_control(journal, known),
        heartbeat=beat,
        age_s=None if beat is None else beat.age_s(now),
        lives=beat is not None and beat.lives(now),
        run=last_run(journal) is not None,
    )
