"""ALFRED's observations: validity periods, pages by offset, periods that cut what stood before."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime

from tests.data.feeds.cases import Case
from tests.data.feeds.loopback import Reply, Request, reply
from workbench.data.feeds.alfred import Alfred
from workbench.data.feeds.feed import SeriesName

START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 5, 1, tzinfo=UTC)
UNRATE = SeriesName("macro", "fred", "UNRATE", "1M")
PAGE = 3
# (about, said on, value); April was revised a year later
SAID = [
    ("2020-01-01", "2020-02-07", "3.6"), ("2020-02-01", "2020-03-06", "3.5"),
    ("2020-03-01", "2020-04-03", "4.4"), ("2020-04-01", "2020-05-08", "14.7"),
    ("2020-04-01", "2021-01-08", "14.8"),
]  # fmt: skip


def answer(request: Request) -> Reply:
    if request.path != "/fred/series/observations":
        return reply({"error_code": 404, "error_message": "Not Found."}, 404)
    asked = request.query
    since, until = asked["realtime_start"], asked["realtime_end"]
    days = (date.fromisoformat(until) - date.fromisoformat(since)).days
    if until != "9999-12-31" and days >= 2000:
        said = "Bad Request.  This exceeds the maximum number of vintage dates allowed (2000)."
        return reply({"error_code": 400, "error_message": said}, 400)
    told = [row for row in standing(since, until) if in_range(row, asked)]
    at, limit = int(asked["offset"]), min(PAGE, int(asked["limit"]))
    body = {
        "realtime_start": since, "realtime_end": until, "output_type": 1, "units": "lin",
        "count": len(told), "offset": at, "limit": limit, "observations": told[at : at + limit],
    }  # fmt: skip
    return reply(body)


def in_range(row: dict[str, str], asked: dict[str, str]) -> bool:
    return asked["observation_start"] <= row["date"] <= asked["observation_end"]


def standing(since: str, until: str) -> list[dict[str, str]]:
    """What stood at some time of the period, cut to it."""
    rows = []
    for about, said, value in SAID:
        later = [other for day, other, _ in SAID if day == about and other > said]
        ended = min(later, default="9999-12-31")
        if said <= until and ended > since:
            starts = max(said, since)
            rows.append(
                {"realtime_start": starts, "realtime_end": ended, "date": about, "value": value}
            )
    return rows


def drifted(right: Reply) -> Reply:
    body = json.loads(right.body)
    for each in body["observations"]:
        each["valid_from"] = each.pop("realtime_start")
    return replace(right, body=json.dumps(body).encode())


CASES = [
    Case(
        "alfred", lambda url: Alfred(base_url=url), UNRATE, START, END, answer, drifted,
        key="0123456789abcdef0123456789abcdef", rows=5,
    )
]  # fmt: skip
