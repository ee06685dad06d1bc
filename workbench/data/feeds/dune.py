"""Dune: the results of your own saved queries, a row an interval.

A query has a column of time, one row for each of its values, and whatever else it selects; numbers
become numbers, the rest stays text. Its tables are restated all the time, so nothing in a result
was known before the run that made it ended; an interval that was not over by then is left out.
Reading does not run a query: a result that is too old is refused, or run again if you say so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NotRequired

import polars as pl
from pydantic import AwareDatetime, FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from workbench.data.feeds.feed import About, Limit, Line, Page, SeriesName
from workbench.data.lake import INSTANT
from workbench.domain import parse_timeframe
from workbench.errors import FeedError, UsageError

PAGE_ROWS = 1000
RUN_AT_MOST = timedelta(minutes=30)
DONE = "QUERY_STATE_COMPLETED"
RUNNING = ("QUERY_STATE_PENDING", "QUERY_STATE_EXECUTING")
# decimal and 256-bit columns come as text, for their size
NUMBERS = ("double", "real", "integer", "bigint", "smallint", "tinyint", "decimal", "uint256",
           "int256")  # fmt: skip
OURS = ("event_time", "available_at", "fetched_at", "query_id")

_NUMBER = TypeAdapter(list[FiniteFloat | None])


@dataclass(frozen=True)
class Query:
    """A saved query: its number, its column of time, and how far apart its rows are."""

    query_id: int
    time: str = "day"
    timeframe: str = "1d"


class _Metadata(TypedDict):
    column_names: list[str]
    column_types: list[str]


class _Result(TypedDict):
    rows: list[dict[str, Any]]
    metadata: _Metadata


class _Body(TypedDict):
    execution_id: str
    state: str
    execution_ended_at: NotRequired[AwareDatetime | None]
    result: NotRequired[_Result | None]
    next_offset: NotRequired[int | None]


class _Run(TypedDict):
    execution_id: str
    state: str


@dataclass(frozen=True)
class Dune:
    """`queries` by the name that their series gets. `execute`: run a query whose last result is
    older than `max_age_hours`, which costs credits; without it such a result is an error."""

    queries: Mapping[str, Query] = field(default_factory=dict)
    max_age_hours: float = 30.0
    execute: bool = False
    performance: str = "medium"
    base_url: str = "https://api.dune.com/api/v1"
    about = About(
        name="dune", kind="on-chain", provider="Dune", key="DUNE_API_KEY",
        limit=Limit(15, 60.0), overlap=timedelta(days=14),
    )  # fmt: skip

    def __post_init__(self) -> None:
        for query in self.queries.values():
            parse_timeframe(query.timeframe)

    def series(self) -> Sequence[SeriesName]:
        return [
            SeriesName("onchain", "dune", name, query.timeframe)
            for name, query in self.queries.items()
        ]

    def requests(self, _name: SeriesName, _start: datetime, _end: datetime) -> int:
        """How many pages a result has is not known before it is read."""
        return 2

    def fetch(self, name: SeriesName, start: datetime, end: datetime, line: Line) -> Iterator[Page]:
        """One page: the rows of a result are in no order that could be relied on."""
        query = self.queries.get(name.symbol)
        if query is None or query.timeframe != name.timeframe:
            raise UsageError(f"dune: {name} is not among its queries; add it there")
        bodies = list(self._result(query, line))
        if len({body["execution_id"] for body in bodies}) > 1:
            raise FeedError(
                f"{line.feed}: query {query.query_id} was run again while its result was read;"
                " pull again"
            )
        ended = _ended(bodies[0], query, line)
        rows = pl.concat([_table(body, query, line) for body in bodies]).unique(maintain_order=True)
        if rows["event_time"].is_duplicated().any():
            twice = rows.filter(pl.col("event_time").is_duplicated())["event_time"][0]
            raise FeedError(
                f"{line.feed}: query {query.query_id} has more than one row at"
                f" {twice:%Y-%m-%d %H:%M}; let it return one"
            )
        step = parse_timeframe(query.timeframe).to_pytimedelta()
        kept = rows.filter(
            pl.col("event_time") + step <= ended,  # an interval cut short by the run is partial
            pl.col("event_time") >= start,
            pl.col("event_time") < end,
        )
        rows = kept.select("event_time", _known(ended), pl.exclude("event_time"))
        yield Page(rows.sort("event_time"), end)

    def _result(self, query: Query, line: Line) -> Iterator[_Body]:
        """The pages of the last result, or of a new one if that is too old."""
        pages = self._pages(f"query/{query.query_id}", line)
        first = next(pages)
        age = line.now() - _ended(first, query, line)
        if age > timedelta(hours=self.max_age_hours):
            if not self.execute:
                raise FeedError(
                    f"{line.feed}: query {query.query_id} was last run"
                    f" {age / timedelta(hours=1):.0f} h ago; run it, have Dune run it by its"
                    " schedule, or set execute = true"
                )
            pages = self._pages(f"execution/{self._run(query, line)}", line)
            first = next(pages)
        yield first
        yield from pages

    def _pages(self, of: str, line: Line) -> Iterator[_Body]:
        def then(body: _Body) -> dict[str, int] | None:
            offset = body.get("next_offset")
            return {"offset": offset} if offset else None

        first = {"limit": PAGE_ROWS, "offset": 0}
        return line.pages(
            _Body, f"{self.base_url}/{of}/results", first, then, headers=_headers(line)
        )

    def _run(self, query: Query, line: Line) -> str:
        """Run the query and wait for its end. Returns the execution's name."""
        latest = line.now() + RUN_AT_MOST
        url = f"{self.base_url}/query/{query.query_id}/execute"
        body = {"performance": self.performance}
        run = line.read(_Run, url, headers=_headers(line), body=body)
        url = f"{self.base_url}/execution/{run['execution_id']}/status"
        while run["state"] in RUNNING:
            if line.now() > latest:
                raise FeedError(
                    f"{line.feed}: query {query.query_id} still runs after"
                    f" {RUN_AT_MOST / timedelta(minutes=1):.0f} min; pull again later"
                )
            run = line.read(_Run, url, headers=_headers(line))
        if run["state"] != DONE:
            raise FeedError(f"{line.feed}: query {query.query_id} ended as {run['state']}")
        return run["execution_id"]


def _headers(line: Line) -> dict[str, str]:
    return {"X-Dune-Api-Key": line.key}


def _known(ended: datetime) -> pl.Expr:
    return pl.lit(ended, INSTANT).alias("available_at")


def _ended(body: _Body, query: Query, line: Line) -> datetime:
    """When the run ended. Raises FeedError unless it did, with all of its rows."""
    ended = body.get("execution_ended_at")
    if body["state"] != DONE or ended is None:
        raise FeedError(
            f"{line.feed}: the last run of query {query.query_id} is {body['state']}; a result has"
            " to be whole: run it again"
        )
    return ended.astimezone(UTC)


def _table(body: _Body, query: Query, line: Line) -> pl.DataFrame:
    """event_time, the columns of the query, and query_id."""
    said = f"{line.feed}: query {query.query_id}"
    _ended(body, query, line)
    result = body.get("result")
    if result is None:
        raise FeedError(f"{said} has run and has no result; run it again")
    names, kinds = result["metadata"]["column_names"], result["metadata"]["column_types"]
    if query.time not in names or len(names) != len(kinds):
        raise FeedError(f"{said} has no column {query.time!r} (it has {', '.join(names)})")
    values = {
        name: _values(name, kind, [row.get(name) for row in result["rows"]], said)
        for name, kind in zip(names, kinds, strict=True)
        if name != query.time
    }
    if taken := [name for name in values if name in OURS]:
        raise FeedError(f"{said} has a column {taken[0]!r}, which means something else here")
    times = [_moment(row.get(query.time), f"{said}: {query.time}") for row in result["rows"]]
    rows = pl.DataFrame({"event_time": pl.Series(times, dtype=INSTANT), **values})
    return rows.with_columns(query_id=pl.lit(query.query_id, pl.Int64))


def _values(name: str, kind: str, values: list[Any], said: str) -> pl.Series:
    if not kind.startswith(NUMBERS):
        texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
        return pl.Series(name, texts, dtype=pl.String)
    try:
        return pl.Series(name, _NUMBER.validate_python(values), dtype=pl.Float64)
    except ValidationError as wrong:
        row = wrong.errors(include_url=False)[0]["loc"][0]
        raise FeedError(f"{said}: {name} in row {int(row) + 1} is no finite number") from None


def _moment(told: object, said: str) -> datetime:
    """A timestamp or a date of DuneSQL, which are UTC."""
    try:
        moment = datetime.fromisoformat(str(told).removesuffix(" UTC"))
    except ValueError:
        raise FeedError(f"{said} has {told!r}, which is no time") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
