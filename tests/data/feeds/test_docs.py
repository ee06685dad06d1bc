"""Every feed has a page with its key and its limit."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs" / "feeds"
FEEDS = {point.name: point for point in entry_points(group="workbench.feeds")}


@pytest.mark.parametrize("name", sorted(FEEDS))
def test_a_feeds_page_says_its_key_its_limit_and_when_its_rows_are_known(name: str) -> None:
    page, about = (DOCS / f"{name}.md").read_text(), FEEDS[name].load()().about
    for what in ("Series", "Key", "Limit", "History", "When known", "Revisions"):
        assert re.search(rf"\*\*{what}", page), f"{name}.md says nothing of {what}"
    if about.key:
        assert f"`{about.key}`" in page
    limit = page[page.index("**Limit") :]
    assert re.search(rf"\b{about.limit.requests:,}\b|\b{about.limit.requests}\b", limit)
    assert f"[feeds.{name}]" in page


def test_the_index_has_every_feed_and_its_key() -> None:
    index = (DOCS / "README.md").read_text()
    for name, point in FEEDS.items():
        about = point.load()().about
        row = next(line for line in index.splitlines() if f"[{name}]({name}.md)" in line)
        assert f"`{about.key}`" in row if about.key else "`" not in row
