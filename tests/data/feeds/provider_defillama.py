"""DefiLlama by its description: whole histories, the live value last, dates that are text."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import NOW, Reply, Request, reply
from workbench.data.feeds.defillama import DefiLlama
from workbench.data.feeds.feed import SeriesName

FIRST = datetime(2026, 10, 1, tzinfo=UTC)
START, END = datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
LIVE = NOW - timedelta(minutes=20)


def stamps() -> list[int]:
    """Every day's start up to today's, and the live moment."""
    days = [FIRST + timedelta(days=i) for i in range((NOW - FIRST).days + 1)]
    return [int(moment.timestamp()) for moment in [*days, LIVE]]


def answer(request: Request) -> Reply:
    match request.path.split("/")[1:]:
        case ["v2", "historicalChainTvl", _]:
            return reply([{"date": t, "tvl": t / 10} for t in stamps()])
        case ["protocol", _]:
            told = [{"date": t, "totalLiquidityUSD": t / 100} for t in stamps()]
            return reply({"name": "AAVE", "currentChainTvls": {"Ethereum": 1.0}, "tvl": told})
        case ["summary", ("fees" | "dexs") as what, _]:
            value = 5 if what == "fees" else 7
            return reply({"total24h": 1, "totalDataChart": [[t, value] for t in stamps()]})
        case ["stablecoincharts", "all"]:
            supply = {"peggedUSD": 1.6e11, "peggedEUR": 4e8}
            return reply([{"date": str(t), "totalCirculating": supply} for t in stamps()])
    return reply({"message": "not found"}, 404)


def drifted(right: Reply) -> Reply:
    text = json.dumps(json.loads(right.body))
    for name in ("totalLiquidityUSD", "totalDataChart", "peggedUSD", '"tvl":'):
        text = text.replace(name, f'"locked{name[1:]}' if name.startswith('"') else f"new{name}")
    return replace(right, body=text.encode())


def _case(name: str, symbol: str) -> Case:
    return Case(
        name, lambda url: DefiLlama(volume_of=("aave",), base_url=url, stablecoins_url=url),
        SeriesName("onchain", "defillama", symbol, "1d"), START, END, answer, drifted, rows=10,
    )  # fmt: skip


CASES = [
    _case("defillama protocol", "AAVE~PROTOCOL"),
    _case("defillama chain", "ETHEREUM"),
    _case("defillama stablecoins", "STABLECOINS"),
]
