"""CBOE's file: all days at once, American dates."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import Reply, Request, reply, text
from workbench.data.feeds.cboe import VIX, Cboe

START, END = datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)
FILE = """DATE,OPEN,HIGH,LOW,CLOSE
01/02/1990,17.240000,17.240000,17.240000,17.240000
11/13/2026,17.100000,17.900000,16.800000,17.000000
11/16/2026,17.200000,18.100000,16.900000,17.500000
11/17/2026,17.400000,19.000000,17.300000,18.900000
11/18/2026,18.600000,20.200000,18.500000,19.700000
11/19/2026,17.670000,20.310000,17.320000,18.700000
"""


def answer(request: Request) -> Reply:
    if request.path != "/api/global/us_indices/daily_prices/VIX_History.csv":
        return reply({"error": request.path}, 404)
    return text(FILE)


def drifted(right: Reply) -> Reply:
    return replace(right, body=right.body.replace(b"DATE,OPEN", b"DATE,FIRST"))


CASES = [Case("cboe", lambda url: Cboe(base_url=url), VIX, START, END, answer, drifted, rows=4)]
