"""FRED's chart table: a header with the series' name, "." or nothing on a holiday."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import Reply, Request, reply, text
from workbench.data.feeds.feed import SeriesName
from workbench.data.feeds.fred import Fred

START, END = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 14, tzinfo=UTC)
DGS10 = SeriesName("macro", "fred", "DGS10", "1b")


def answer(request: Request) -> Reply:
    if request.path != "/graph/fredgraph.csv":
        return reply({"error": request.path}, 404)
    asked = request.query
    first, last = date.fromisoformat(asked["cosd"]), date.fromisoformat(asked["coed"])
    days = [first + timedelta(days=i) for i in range((last - first).days + 1)]
    lines = [f"{day},{value(day)}" for day in days if day.weekday() < 5]
    return text("\n".join([f"observation_date,{asked['id']}", *lines, ""]))


def value(day: date) -> str:
    return "." if day == date(2026, 11, 11) else f"4.{day.day:02}"


def drifted(right: Reply) -> Reply:
    return replace(right, body=right.body.replace(b"observation_date", b"day"))


CASES = [Case("fred", lambda url: Fred(base_url=url), DGS10, START, END, answer, drifted, rows=9)]
