"""What a model's verdict costs besides the model, and how fast a tape replays.

    python -m benchmarks.judge_speed

The yardstick, timed in the same run: one call of the vendor's own client to a loopback server that
answers at once, which whoever asks a model has to pay. Ours is everything around it: two passes
over a rich case, tape and budget on disk, the provider's answer already there.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import pandas as pd

from tests.judges import AS_OF, a_headline
from tests.judges.asked import KEY
from tests.judges.judging import TERMS, Script, asking, replaying, worded
from tests.judges.model_server import ModelServer
from workbench.domain import Case
from workbench.judges.claude import Anthropic
from workbench.judges.verdicts import keyed, question

N = 1_000


def rich(k: int) -> Case:
    """Forty numbers and twenty headlines, each case its own."""
    words = "some words on what was said about bitcoin today, and by whom"
    return worded(
        as_of=AS_OF + pd.Timedelta(k, "h"),
        features={f"feature_{i}": i * 1.2345678 for i in range(40)},
        headlines=tuple(a_headline(f"Headline {i}: {words}", id=f"h{i}") for i in range(20)),
    )


def a_call_s(n: int = 200) -> float:
    """Seconds a call of the client takes against a loopback server, connection kept."""

    async def calls(url: str) -> float:
        provider = Anthropic(KEY, url)
        asked = question(TERMS, keyed(TERMS, rich(0)), "whole").request
        await provider.send(asked)
        began = time.perf_counter()
        for _ in range(n):
            await provider.send(asked)
        took = (time.perf_counter() - began) / n
        await provider.close()
        return took

    with ModelServer() as server:
        return asyncio.run(calls(server.url))


def main() -> None:
    cases = [rich(k) for k in range(N)]
    call = a_call_s()
    with tempfile.TemporaryDirectory() as folder:
        with asking(Path(folder), Script, usd=1_000.0) as judge:
            judge(cases[:1])  # connects
            began = time.perf_counter()
            for case in cases[1:]:
                judge([case])
            ours = (time.perf_counter() - began) / (N - 1)
        began = time.perf_counter()
        replay = replaying(Path(folder))
        opened = time.perf_counter() - began
        began = time.perf_counter()
        said = replay(cases)
        taped = time.perf_counter() - began
    assert not replay.missed
    assert all(len(verdict.calls) == 2 for verdict in said)
    print(f"a call of the vendor's client, loopback          {call * 1e3:8.2f} ms   the yardstick")
    print(
        f"a verdict without the model (aim 5 ms)           {ours * 1e3:8.2f} ms"
        f"   {ours / call:.2f} calls; two passes, tape and budget on disk"
    )
    print(
        f"{N:,} verdicts from a tape (aim 200 ms)           {taped * 1e3:8.0f} ms"
        f"   {taped / N / call:.3f} calls each"
    )
    print(f"opening that tape, its whole chain walked        {opened * 1e3:8.0f} ms")


if __name__ == "__main__":
    main()
