"""What every feed must keep, as a check that anyone can run on their own.

    from workbench.data.feeds.contract import check_feed
    check_feed(my_feed, name, start, end, line)

Promises: rows lie in the range asked for, oldest first, each once, with both clocks in UTC; nothing
was known before it happened; pages say how far they reach; the same question has the same answer;
two halves make the whole, so that a pull can go on where it was cut. It cannot see that a provider
rewrites its past.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from workbench.data.feeds.feed import Feed, Line, Page, SeriesName
from workbench.data.lake import DEFAULT_KEY, INSTANT, KEYS
from workbench.errors import ContractBroken


def check_feed(feed: Feed, name: SeriesName, start: datetime, end: datetime, line: Line) -> int:
    """Raise ContractBroken at the first broken promise; else how many rows the range has.

    `line` decides whom is asked: the provider itself, or a stand-in on this machine. A feed
    without history is asked twice for its latest and has no halves.
    """
    if feed.requests(name, start, end) < 1:
        raise ContractBroken(f"{feed.about.name}: requests() says that the range takes none")
    whole = collected(feed, name, start, end, line)
    again = collected(feed, name, start, end, line)
    # what is stamped with the moment it was seen has other clocks the second time
    clocks = [] if feed.about.history else ["event_time", "available_at"]
    if not whole.drop(clocks).equals(again.drop(clocks)):
        raise ContractBroken(f"{feed.about.name}: {name} answered the same question in two ways")
    if feed.about.history and not whole.is_empty():
        middle = whole["event_time"][whole.height // 2]
        halves = [collected(feed, name, *span, line) for span in ((start, middle), (middle, end))]
        if not whole.equals(pl.concat(halves, how="diagonal_relaxed").select(whole.columns)):
            raise ContractBroken(f"{feed.about.name}: {name} in two halves is not {name} at once")
    return whole.height


def collected(
    feed: Feed, name: SeriesName, start: datetime, end: datetime, line: Line
) -> pl.DataFrame:
    """All rows of a range in one table, each page checked."""
    frames: list[pl.DataFrame] = []
    reached = start
    for page in feed.fetch(name, start, end, line):
        check_page(feed, page, reached, start, end, line.now())
        reached = page.through
        frames.append(page.rows)
    if not frames:
        raise ContractBroken(f"{feed.about.name}: {name} gave no page; no rows is an empty page")
    if feed.about.history and reached < end:
        raise ContractBroken(f"{feed.about.name}: its last page reaches {reached}, not {end}")
    rows = pl.concat(frames, how="diagonal_relaxed")
    key = [*KEYS.get(name.kind, DEFAULT_KEY)]
    twice = rows.filter(pl.struct(key).is_duplicated())
    if not twice.is_empty():
        raise ContractBroken(f"{feed.about.name}: {name} tells twice: {twice.row(0, named=True)}")
    return rows


def check_page(
    feed: Feed, page: Page, reached: datetime, start: datetime, end: datetime, now: datetime
) -> None:
    """Raise ContractBroken if a page, after those that reached `reached`, breaks a promise."""
    rows, through = page
    who = feed.about.name
    for clock in ("event_time", "available_at"):
        if rows.schema.get(clock) != INSTANT:
            raise ContractBroken(f"{who}: {clock} is {rows.schema.get(clock)}, not {INSTANT}")
        if rows[clock].null_count():
            raise ContractBroken(f"{who}: {clock} is missing in a row")
    if through.tzinfo is None or not reached <= through <= end:
        raise ContractBroken(f"{who}: a page reaches {through}, after one that reached {reached}")
    if rows.is_empty():
        return
    if not rows["event_time"].is_sorted():
        raise ContractBroken(f"{who}: a page's rows are not in the order of their time")
    first, last = rows["event_time"][0], rows["event_time"][-1]
    if feed.about.history and not (start <= first and last < end):
        raise ContractBroken(f"{who}: rows of {first} to {last} were not asked for")
    if feed.about.history and (first < reached or last >= through):
        raise ContractBroken(f"{who}: rows of {first} to {last} in a page up to {through}")
    early = rows.filter(pl.col("available_at") < pl.col("event_time"))
    if not early.is_empty():
        raise ContractBroken(
            f"{who}: a row is known before it happened: {early.row(0, named=True)}"
        )
    if rows["event_time"][-1] > now.astimezone(UTC) + timedelta(minutes=1):
        raise ContractBroken(f"{who}: a row is of {last}, which has not come yet")
