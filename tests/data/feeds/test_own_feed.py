"""The feed of your own in docs/feeds/dune.md, installed as a package and held to the contract."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from tests.data.feeds.loopback import Loopback, Reply, Request, line, reply
from workbench.data.feeds.contract import check_feed, collected
from workbench.data.feeds.feed import SeriesName
from workbench.errors import FeedError

PAGE = Path(__file__).parents[3] / "docs" / "feeds" / "dune.md"
START, END = datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)
NAME = SeriesName("onchain", "smart_money", "ETH", "1d")
KEY = "own-key-000001"


@pytest.fixture
def smart_money(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page's code and its entry point, as pip would have put them."""
    page = PAGE.read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    point = re.search(r'^(\w+) = "(own_feed:\w+)"$', page, re.MULTILINE)
    assert code is not None
    assert point is not None
    (tmp_path / "own_feed.py").write_text(code[1], encoding="utf-8")
    about = tmp_path / "own_feed-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-feed\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text(f"[workbench.feeds]\n{point[1]} = {point[2]}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (found,) = entry_points(group="workbench.feeds", name=point[1])
    return found.load()


def answer(request: Request) -> Reply:
    if request.headers.get("apikey") != KEY:
        return reply({"error": "unauthenticated"}, 401)
    assert (request.method, request.path) == ("POST", "/api/v1/flows")
    asked = json.loads(request.body)
    first, last = (datetime.fromisoformat(asked["date"][end]) for end in ("from", "to"))
    days = [START + timedelta(days=i) for i in range(10)]
    told = [{"net_flow_usd": day.day * 1e5, "date": day.isoformat()} for day in days]
    return reply(
        {"data": [row for row, day in zip(told, days, strict=True) if first <= day < last]}
    )


def test_a_feed_from_an_installed_package_keeps_the_promises(smart_money: Any) -> None:
    with Loopback(answer) as server:
        feed = smart_money(base_url=server.url)
        assert list(feed.series()) == [NAME]
        assert check_feed(feed, NAME, START, END, line(feed.about, KEY)) == 10
        rows = collected(feed, NAME, START, END, line(feed.about, KEY))
    assert rows["net_flow_usd"][0] == 1e6
    assert rows["available_at"][0] == datetime(2026, 11, 11, 1, tzinfo=UTC)


def test_it_has_the_line_s_care_without_a_word_of_its_own(smart_money: Any) -> None:
    with Loopback(answer) as server:
        server.disturb(1, Reply(503))
        feed = smart_money(base_url=server.url)
        assert collected(feed, NAME, START, END, line(feed.about, KEY)).height == 10
        server.always(lambda _: reply({"data": [{"day": "2026-11-10"}]}))
        with pytest.raises(FeedError, match=r"smart_money.*data\.0\.date"):
            collected(feed, NAME, START, END, line(feed.about, KEY))
