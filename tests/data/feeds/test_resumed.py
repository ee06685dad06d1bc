"""A pull of any feed that was cut at any request goes on without a gap or a duplicate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.feeds.cases import Case, all_cases
from tests.data.feeds.loopback import Loopback, line, pause_s
from workbench.data.lake import Lake
from workbench.data.pull import Pulled, plan, pull

CASES = [case for case in all_cases() if case.feed("https://nowhere").about.history]


def nobody(_done: int, _total: int, _label: str) -> None: ...


def pulled(lake: Lake, case: Case, server: Loopback) -> list[Pulled]:
    feed = case.feed(server.url)
    keys = {feed.about.key: case.key}
    planned = plan(lake, [feed], case.start, case.end, keys, lambda name: name == case.series)
    return pull(lake, planned, lambda each: line(each.about, case.key), nobody)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cut_at_any_request_it_goes_on_to_the_same_rows(case: Case, tmp_path: Path) -> None:
    with Loopback(case.answer) as server:
        whole = Lake(tmp_path / "whole")
        (done,) = pulled(whole, case, server)
        assert (done.fault, done.written) == ("", case.rows)
        asked = len(server.seen)
        for cut_at in range(1, asked + 1):
            lake = Lake(tmp_path / f"cut at {cut_at}")
            server.disturb(cut_at, pause_s(7200))  # enough for today
            (cut,) = pulled(lake, case, server)
            assert "no more until" in cut.fault
            (rest,) = pulled(lake, case, server)
            assert rest.fault == ""
            assert cut.written + rest.written == case.rows
            rows, right = (each.read(*case.series).drop("fetched_at") for each in (lake, whole))
            assert rows.select(right.columns).equals(right)
            assert lake.covered(case.series) == whole.covered(case.series)
