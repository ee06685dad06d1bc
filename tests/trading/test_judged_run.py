"""A run that asks a model, and the same run from its tape: one journal, to the last hash."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.judges.judging import Script, asking, replaying
from tests.judges.model_server import answer
from tests.trading.conftest import Ran, run
from tests.trading.test_engine import stopped_after
from workbench.domain import Case, Verdict
from workbench.judges.constant import always
from workbench.judges.provider import Code, Refused, Request
from workbench.trading.control import halt
from workbench.trading.record import read_record


def says(request: Request) -> str | Exception:
    """Every decision, and an outage now and then, by what was asked."""
    drawn = int(hashlib.sha256(request.user.encode()).hexdigest(), 16)
    if drawn % 11 == 0:
        return Refused(Code.BAD_REQUEST, "status 400")
    decision = ("PROCEED", "PROCEED", "REDUCE", "SKIP")[drawn % 4]
    return answer(decision=decision, confidence=30 + drawn % 50)


def test_a_run_its_replay_and_one_that_was_killed_have_one_journal(
    sample_run: Ran, tmp_path: Path
) -> None:
    def ran(name: str, judge: object, bars: int | None = None) -> str:
        desk = replace(sample_run.desk, judge=judge, journal_path=tmp_path / f"{name}.db")  # type: ignore[arg-type]
        stop = {} if bars is None else {"stopped": stopped_after(bars)}
        run(desk, sample_run.world, **stop)
        return read_record(desk.journal_path).head.hash

    with asking(tmp_path, lambda: Script(says), usd=100.0) as judge:
        live = ran("live", judge)
    assert judge.asked > 20
    with asking(tmp_path / "killed", lambda: Script(says), usd=100.0) as judge:
        ran("killed", judge, bars=len(sample_run.world.panel) // 3)
    with asking(tmp_path / "killed", lambda: Script(says), usd=100.0) as judge:
        killed = ran("killed", judge)
    assert killed != live, "another day's latencies"
    assert ran("replayed", replaying(tmp_path)) == live
    assert ran("again", replaying(tmp_path / "killed")) == killed
    record = read_record(tmp_path / "live.db")
    assert {"PROCEED", "REDUCE", "SKIP"} == set(record.judged["decision"])
    assert "BAD_REQUEST" in set(record.judged["code"])


def test_a_halt_while_the_judge_thinks_lets_nothing_in(sample_run: Ran, tmp_path: Path) -> None:
    """What it says afterwards comes too late: the bar's entries are refused, and a row says so."""
    desk = replace(sample_run.desk, journal_path=tmp_path / "j.db")

    told: list[Case] = []

    def slow(cases: Sequence[Case]) -> list[Verdict]:
        if cases and not told:
            told.extend(cases)
            halt(desk.journal_path, "somebody", "now", False, datetime.now(UTC))
            time.sleep(0.3)
        return always(cases)

    slow.__name__ = "slow"
    run(replace(desk, judge=slow), sample_run.world)
    record = read_record(desk.journal_path)
    assert set(record.judged["code"].iloc[:1]) == {"NO_ANSWER"}
    assert record.fills.empty
