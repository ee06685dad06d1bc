"""What calls cost, booked as they run: fifty at once through the real client, one killed midway."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.judges import a_case
from tests.judges.asked import REQUEST, RIGHT_COST
from tests.judges.judging import MODEL, NOW, asking
from tests.judges.model_server import ModelServer, Serves, error
from workbench.judges.asking import Reply, ask
from workbench.judges.budget import Budget, Spent
from workbench.judges.claude import Anthropic
from workbench.judges.tape import Tape

KEY = "sk-test-0123456789-abcdefghij"
ROOT = Path(__file__).parents[2]
WORST = MODEL.worst(REQUEST)


def opened(folder: Path, cap_nano_usd: int, run: str = "run") -> Budget:
    return Budget.open(folder / "budget.db", cap_nano_usd / 1e9, 1.0, run, lambda: NOW)


def test_fifty_calls_at_once_never_pass_the_cap_at_any_moment(tmp_path: Path) -> None:
    """Room for twenty worst cases and seven nano-dollars. Five are turned away and three dropped;
    all eight are asked again, and of the dropped ones nobody knows the bill."""
    cap = 20 * WORST + 7
    purse, onlooker = opened(tmp_path, cap), opened(tmp_path, cap, "onlooker")
    seen: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            seen.append(onlooker.spent().day_nano_usd)
            time.sleep(0.001)

    async def fifty(url: str) -> list[Reply]:
        provider, until = Anthropic(KEY, url), asyncio.get_running_loop().time() + 20.0
        requests = [replace(REQUEST, key=f"{k:064x}", model=MODEL.id) for k in range(50)]
        try:
            return await asyncio.gather(
                *(ask(provider, each, MODEL, purse, until, lambda: 1.0) for each in requests)
            )
        finally:
            await provider.close()

    with ModelServer() as server:
        server.next(*[error(529)] * 5, *[Serves(drop=True)] * 3, *[Serves(slow_s=0.2)] * 10)
        watcher = threading.Thread(target=watch)
        watcher.start()
        replies = asyncio.run(fifty(server.url))
        over.set()
        watcher.join()
    assert Counter(reply.code for reply in replies) == {"": 20, "BUDGET": 30}
    billed = 20 * RIGHT_COST + 3 * WORST
    assert sum(reply.cost_nano_usd for reply in replies) == billed
    assert purse.spent() == Spent("2026-11-23", billed, billed, 0)
    assert max(seen) > 10 * WORST, "the slow ones were held meanwhile"
    assert max(seen) <= cap


JUDGE = """
import sys
from pathlib import Path
from tests.judges import a_case
from tests.judges.judging import NOW, asking
from workbench.judges.claude import Anthropic
with asking(Path(sys.argv[1]), lambda: Anthropic("sk-test", sys.argv[2]), deadline_s=60.0) as judge:
    judge([a_case()])
"""


def test_a_process_killed_while_its_call_is_out_leaves_its_hold_and_no_reply(
    tmp_path: Path,
) -> None:
    with ModelServer() as server:
        server.always(Serves(slow_s=60.0))
        child = subprocess.Popen([sys.executable, "-c", JUDGE, tmp_path, server.url], cwd=ROOT)
        until = time.monotonic() + 60.0
        while not server.asked and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
        server.always(Serves())
        tape = Tape.open(tmp_path / "tape.db", readonly=True)
        assert len(tape) == 0, "its prompt is there, and no reply"
        with asking(tmp_path, lambda: Anthropic(KEY, server.url)) as judge:
            (question,) = judge.questions([a_case()])
            held = MODEL.worst(question.request)
            (said,) = judge([a_case()])
    assert (said.code, said.cost_usd) == ("", pytest.approx(RIGHT_COST / 1e9, rel=1e-12))
    spent = opened(tmp_path, 10**9).spent()
    assert (spent.day_nano_usd, spent.held_nano_usd) == (held + RIGHT_COST, held)
