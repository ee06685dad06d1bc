"""Batches through the real client: half the price, and what was sent is never lost or forgotten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.judges import a_case
from tests.judges.judging import (
    MODEL,
    NOW,
    PROMPT,
    TERMS,
    Script,
    asking,
    on_server,
    replaying,
    worded,
)
from tests.judges.model_server import RIGHT, ModelServer, Serves, answer, error
from workbench.domain import Case
from workbench.errors import DataError, UsageError
from workbench.judges import batch as batches
from workbench.judges.batch import Collected
from workbench.judges.budget import Spent
from workbench.judges.live import Question
from workbench.judges.model_judge import ModelJudge
from workbench.judges.models import known
from workbench.judges.tape import Tape

ROOT = Path(__file__).parents[2]
CASES = [a_case(features={"x": float(k)}) for k in range(3)]
EACH = 120_000  # half of 1,800 x 100 + 120 x 500 nano-dollars


@dataclass
class Desk:
    """A judge that may ask the server, and what its batches need."""

    judge: ModelJudge
    server: ModelServer

    def questions(self, cases: list[Case] = CASES) -> list[Question]:
        return self.judge.questions(cases)

    def submit(self, questions: list[Question] | None = None) -> list[str]:
        live = self.judge.live
        assert live is not None
        self.judge.tape.use(PROMPT, NOW)
        asked = self.questions() if questions is None else questions
        return batches.submit(live, self.judge.tape, live.purse, asked, NOW)

    def collect(self, batch: str, tape: Tape | None = None) -> Collected | None:
        live = self.judge.live
        assert live is not None
        return batches.collect(
            live, tape if tape is not None else self.judge.tape, live.purse, batch, NOW
        )

    def worst(self) -> dict[str, int]:
        return {q.request.key: MODEL.worst(q.request, batch=True) for q in self.questions()}

    @property
    def spent(self) -> Spent:
        assert self.judge.live is not None
        purse: Any = self.judge.live.purse
        return purse.spent()

    @property
    def booked(self) -> tuple[int, int]:
        """Of the day: what counts, and the part of it that is held."""
        return self.spent.day_nano_usd, self.spent.held_nano_usd


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with on_server(tmp_path) as (judge, server):
        yield Desk(judge, server)


def message(**changed: Any) -> dict[str, Any]:
    """A result that succeeded, as the server would tell it."""
    usage = {"input_tokens": 1800, "output_tokens": 120}
    return {
        "type": "succeeded",
        "message": {
            "type": "message", "model": MODEL.id, "stop_reason": "end_turn", "usage": usage,
            "content": [{"type": "text", "text": answer()}], **changed,
        },
    }  # fmt: skip


def failed(kind: str) -> dict[str, Any]:
    return {
        "type": "errored", "error": {"type": "error", "error": {"type": kind, "message": "no"}},
    }  # fmt: skip


# --- sent and collected --------------------------------------------------------------------------


def test_a_batch_is_billed_at_half_price_and_its_hold_is_settled(desk: Desk) -> None:
    worst = sum(desk.worst().values())
    assert worst > 3 * EACH
    (batch,) = desk.submit()
    assert desk.booked == (worst, worst)
    assert desk.collect(batch) == Collected(batch, 3, 3, 3 * EACH)
    assert desk.booked == (3 * EACH, 0)
    assert desk.judge.tape.open_batches == {}
    costs = [verdict.cost_usd for verdict in desk.judge(CASES)]
    assert costs == [pytest.approx(EACH / 1e9, rel=1e-12)] * 3
    assert desk.judge.asked == 0, "the tape has it"


def test_half_of_an_odd_sum_is_rounded_up(desk: Desk) -> None:
    desk.server.batch_results = {
        q.request.key: message(usage={"input_tokens": 0, "output_tokens": 0,
                                      "cache_creation_input_tokens": 1})
        for q in desk.questions()
    }  # fmt: skip
    (batch,) = desk.submit()
    found = desk.collect(batch)
    assert found is not None
    assert found.cost_nano_usd == 3 * 63, "125 / 2"


def test_what_is_sent_in_a_batch_is_what_would_be_sent_alone(desk: Desk) -> None:
    (question,) = desk.questions(CASES[:1])
    desk.submit([question])
    (sent,) = desk.server.asked[-1].body["requests"]
    desk.judge(CASES[:1])
    assert sent == {"custom_id": question.request.key, "params": desk.server.asked[-1].body}


def test_a_replay_after_collecting_needs_nobody(tmp_path: Path) -> None:
    cases = [worded(), *CASES]
    with on_server(tmp_path, lambda asked: answer(decision="REDUCE")) as (judge, server):
        desk = Desk(judge, server)
        (batch,) = desk.submit(desk.questions(cases))
        desk.collect(batch)
    replay = replaying(tmp_path)
    said = replay(cases)
    assert [(v.decision.value, v.code) for v in said] == [("REDUCE", "")] * 4
    assert [call.request_id for v in said for call in v.calls] == [batch] * 5
    assert replay.missed == 0


def test_while_a_batch_is_not_done_everything_stays_as_it_is(desk: Desk) -> None:
    desk.server.batch_status = "in_progress"
    (batch,) = desk.submit()
    before = desk.booked
    assert desk.collect(batch) is None
    assert desk.booked == before
    assert list(desk.judge.tape.open_batches) == [batch]
    assert len(desk.questions()) == 3
    desk.server.batch_status = "ended"
    assert desk.collect(batch) == Collected(batch, 3, 3, 3 * EACH)


def test_no_questions_are_no_batch(desk: Desk) -> None:
    assert desk.submit([]) == []
    assert desk.server.asked == []


def test_many_questions_go_in_several_batches(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(batches, "MOST", 2)
    first, second = desk.submit()
    assert [len(asked.body["requests"]) for asked in desk.server.asked] == [2, 1]
    assert desk.collect(second) == Collected(second, 1, 1, EACH)
    assert desk.collect(first) == Collected(first, 2, 2, 2 * EACH)
    assert desk.booked == (3 * EACH, 0)


# --- what a result may be ------------------------------------------------------------------------

FREE = {
    "expired": {"type": "expired"},
    "cancelled": {"type": "canceled"},
    "overloaded": failed("overloaded_error"),
    "rate limited": failed("rate_limit_error"),
    "error": failed("api_error"),
}


@pytest.mark.parametrize("result", FREE.values(), ids=FREE.keys())
def test_what_had_no_turn_costs_nothing_and_is_asked_again(
    desk: Desk, result: dict[str, Any]
) -> None:
    first, second, third = (q.request.key for q in desk.questions())
    desk.server.batch_results = {second: result}
    (batch,) = desk.submit()
    assert desk.collect(batch) == Collected(batch, 3, 2, 2 * EACH)
    assert desk.booked == (2 * EACH, 0)
    assert [q.request.key for q in desk.questions()] == [second]
    assert desk.judge.tape.get(first)
    assert desk.judge.tape.get(third)
    desk.server.batch_results = {}
    (again,) = desk.submit()
    assert desk.collect(again) == Collected(again, 1, 1, EACH)
    assert desk.questions() == []


def test_a_request_that_can_never_be_answered_is_not_asked_again(desk: Desk) -> None:
    (question,) = desk.questions(CASES[:1])
    desk.server.batch_results = {question.request.key: failed("invalid_request_error")}
    (batch,) = desk.submit([question])
    assert desk.collect(batch) == Collected(batch, 1, 0, 0)
    assert desk.judge(CASES[:1])[0].code == "BAD_REQUEST"
    assert desk.judge.asked == 0


def test_a_refusal_is_billed_kept_and_a_skip(desk: Desk) -> None:
    (question,) = desk.questions(CASES[:1])
    desk.server.batch_results = {question.request.key: message(stop_reason="refusal")}
    (batch,) = desk.submit([question])
    assert desk.collect(batch) == Collected(batch, 1, 0, EACH)
    assert desk.judge(CASES[:1])[0].code == "REFUSED"


UNTOLD = {
    "an answer without its tokens": message(usage=None),
    "an answer with tokens that are none": message(usage={"input_tokens": -5, "output_tokens": 1}),
    "no message": {"type": "succeeded", "message": {"type": "message"}},
    "of no known kind": {"type": "pondered"},
    "a time-out on the way": failed("timeout_error"),
}


@pytest.mark.parametrize("result", UNTOLD.values(), ids=UNTOLD.keys())
def test_a_result_whose_bill_is_not_told_counts_at_its_worst(
    desk: Desk, result: dict[str, Any]
) -> None:
    key = desk.questions()[1].request.key
    worst = desk.worst()[key]
    desk.server.batch_results = {key: result}
    (batch,) = desk.submit()
    found = desk.collect(batch)
    assert found is not None
    assert found.cost_nano_usd == 2 * EACH + worst
    assert desk.booked == (2 * EACH + worst, 0)


def test_a_question_that_the_batch_forgot_counts_at_its_worst_and_is_asked_again(
    desk: Desk,
) -> None:
    worst = desk.worst()
    (batch,) = desk.submit()
    desk.server.next(RIGHT, Serves(body=""))
    assert desk.collect(batch) == Collected(batch, 3, 0, sum(worst.values()))
    assert desk.booked == (sum(worst.values()), 0)
    assert len(desk.questions()) == 3


def test_an_answer_to_what_was_not_asked_is_left_alone(desk: Desk) -> None:
    (question,) = desk.questions(CASES[:1])
    (batch,) = desk.submit([question])
    lines = [
        json.dumps({"custom_id": key, "result": message()})
        for key in ("f" * 64, question.request.key)
    ]
    desk.server.next(RIGHT, Serves(body="\n".join(lines)))
    assert desk.collect(batch) == Collected(batch, 1, 1, EACH)
    assert desk.judge.tape.get("f" * 64) is None


def test_the_bill_is_that_of_the_model_that_was_asked(tmp_path: Path) -> None:
    """Who judges may have changed in the day that a batch takes."""
    opus = replace(TERMS, model=known("claude-opus-5-5"))
    with on_server(tmp_path, terms=opus) as (judge, server):
        (batch,) = Desk(judge, server).submit()
        with asking(tmp_path, judge.live._connect) as cheap:  # type: ignore[union-attr]
            found = Desk(cheap, server).collect(batch)
    assert found is not None
    assert found.cost_nano_usd == 3 * (1800 * 4_000 + 120 * 20_000) // 2


# --- what goes wrong -----------------------------------------------------------------------------


def test_a_refused_batch_frees_its_hold(desk: Desk) -> None:
    desk.server.next(error(400, "invalid_request_error"))
    with pytest.raises(DataError, match=r"^the batch was refused, BAD_REQUEST: status 400"):
        desk.submit()
    assert desk.booked == (0, 0)
    assert desk.judge.tape.open_batches == {}
    (batch,) = desk.submit()
    assert desk.collect(batch) == Collected(batch, 3, 3, 3 * EACH)


def test_a_batch_of_which_nothing_was_heard_may_be_running_and_counts_in_full(desk: Desk) -> None:
    worst = sum(desk.worst().values())
    desk.server.next(Serves(drop=True))
    with pytest.raises(DataError, match=r"^the batch was refused, UNREACHABLE"):
        desk.submit()
    assert desk.booked == (worst, 0)


def test_a_batch_that_the_budget_does_not_hold_is_not_sent(tmp_path: Path) -> None:
    with on_server(tmp_path, usd=0.001) as (judge, server):
        with pytest.raises(UsageError, match=r"^a batch of 3 questions may cost 0\.00 USD, which"):
            Desk(judge, server).submit()
        assert server.asked == []
        assert Desk(judge, server).booked == (0, 0)


def test_of_two_batches_the_first_can_be_collected_though_the_second_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST", 2)
    desk.server.next(RIGHT, error(413, "request_too_large"))
    with pytest.raises(DataError, match="TOO_LARGE"):
        desk.submit()
    (batch,) = desk.judge.tape.open_batches
    assert desk.collect(batch) == Collected(batch, 2, 2, 2 * EACH)
    assert desk.booked == (2 * EACH, 0)


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_batch_that_cannot_be_fetched_stays_open_and_held(desk: Desk, status: int) -> None:
    (batch,) = desk.submit()
    before = desk.booked
    desk.server.next(error(status))
    with pytest.raises(DataError, match=rf"^batch {batch} is refused, [A-Z_]+: status {status}"):
        desk.collect(batch)
    desk.server.next(RIGHT, Serves(body='{"custom_id": "half a li'))
    with pytest.raises(DataError, match="NOT_JSON"):
        desk.collect(batch)
    assert desk.booked == before
    assert list(desk.judge.tape.open_batches) == [batch]
    assert desk.collect(batch) == Collected(batch, 3, 3, 3 * EACH)


def test_what_was_collected_is_not_collected_again(desk: Desk, tmp_path: Path) -> None:
    (batch,) = desk.submit()
    before = Tape.open(tmp_path / "tape.db", readonly=False)
    desk.collect(batch)
    for tape in (desk.judge.tape, before):
        with pytest.raises(UsageError, match=f"^batch {batch} was collected already"):
            desk.collect(batch, tape)
    assert desk.booked == (3 * EACH, 0)


def test_a_provider_without_batches_is_told_so_and_nothing_is_held(tmp_path: Path) -> None:
    with asking(tmp_path, Script) as judge, ModelServer() as server:
        desk = Desk(judge, server)
        with pytest.raises(DataError, match="script takes no batches; ask one by one"):
            desk.submit()
        assert desk.booked == (0, 0)
        with pytest.raises(DataError, match="script takes no batches; ask one by one"):
            desk.collect("msgbatch_1")


COLLECT = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from workbench.judges.batch import collect
from workbench.judges.budget import Budget
from workbench.judges.claude import Anthropic
from workbench.judges.live import Live
from workbench.judges.models import known
from workbench.judges.tape import Tape
folder, url, now = Path(sys.argv[1]), sys.argv[2], datetime.fromisoformat(sys.argv[3])
tape = Tape.open(folder / "tape.db", readonly=False)
purse = Budget.open(folder / "budget.db", 1.0, 1.0, "another run", lambda: now)
with Live(lambda: Anthropic("sk-test", url), known("claude-haiku-5-5"), purse, lambda: now) as live:
    for batch in tape.open_batches:
        print(collect(live, tape, purse, batch, now))
print(purse.spent())
"""


def test_a_second_process_collects_what_the_first_has_sent(desk: Desk, tmp_path: Path) -> None:
    (batch,) = desk.submit()
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, tmp_path, desk.server.url, NOW.isoformat()],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        repr(Collected(batch, 3, 3, 3 * EACH)),
        repr(Spent("2026-11-23", 3 * EACH, 0, 0)),
    ], done.stderr
    assert [v.code for v in desk.judge(CASES)] == ["", "", ""]
    assert desk.judge.asked == 0
    assert desk.judge.tape.open_batches == {}
    assert desk.spent == Spent("2026-11-23", 3 * EACH, 3 * EACH, 0), "of the run that sent it"


def test_the_key_is_on_neither_file(desk: Desk, tmp_path: Path) -> None:
    (batch,) = desk.submit()
    desk.collect(batch)
    for file in tmp_path.iterdir():
        assert b"sk-test" not in file.read_bytes()
