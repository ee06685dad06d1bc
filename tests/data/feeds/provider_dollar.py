"""The ECB's archive: one table in a zip, newest day first, N/A where nothing was fixed."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import Reply, Request, reply
from workbench.data.feeds.dollar import DXY, Dollar

START, END = datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)
FILE = """Date,USD,JPY,BGN,GBP,SEK,CHF,CAD,
2026-11-19,1.16,180.1,N/A,0.88,11.0,0.93,1.63,
2026-11-18,1.16,180.0,N/A,N/A,11.0,0.93,1.63,
2026-11-17,1.00,1.0,N/A,1.0,1.0,1.0,1.0,
2026-11-16,1.32,137.13,1.9558,0.79567,9.1489,1.2087,1.4457,
2026-11-13,1.15,179.0,N/A,0.88,11.0,0.93,1.63,
"""


def zipped(table: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("eurofxref-hist.csv", table)
    return packed.getvalue()


def answer(request: Request) -> Reply:
    if request.path != "/stats/eurofxref/eurofxref-hist.zip":
        return reply({"error": request.path}, 404)
    return Reply(200, zipped(FILE), "application/zip")


def drifted(right: Reply) -> Reply:
    return replace(right, body=zipped(FILE.replace("JPY", "YEN")))


CASES = [Case("dollar", lambda url: Dollar(base_url=url), DXY, START, END, answer, drifted, rows=3)]
