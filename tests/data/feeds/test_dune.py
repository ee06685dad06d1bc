"""What is particular to Dune: whose result it is, how old, how whole, and what its columns are."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl
import pytest
from pydantic import TypeAdapter

from tests.data.feeds import provider_dune as provider
from tests.data.feeds.loopback import NOW, Clock, Loopback, Reply, Request, line, reply
from workbench.data.feeds.contract import collected
from workbench.data.feeds.dune import Dune, Query
from workbench.data.feeds.feed import SeriesName
from workbench.errors import FeedError, QuotaExhausted, UsageError

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
NAME = SeriesName("onchain", "dune", "DEX_VOLUME", "1d")
DAY = {"day": "2026-11-19", "volume_usd": 1, "label": None}
OLD = "2026-11-18T10:00:00Z"  # 50 hours before it is now


def asked(
    answer: Callable[[Request], Reply], clock: Clock | None = None, execute: bool = False
) -> pl.DataFrame:
    with Loopback(answer) as server:
        feed = Dune({"DEX_VOLUME": Query(1234)}, execute=execute, base_url=server.url)
        return collected(feed, NAME, START, END, line(feed.about, "dune-key-0001", clock))


def told(*rows: dict[str, object], **more: object) -> pl.DataFrame:
    return asked(lambda _: reply(provider.result(list(rows), **more)))


def typed(kind: str, value: object) -> pl.DataFrame:
    metadata = {"column_names": ["day", "x"], "column_types": ["date", kind]}
    rows = [{"day": "2026-11-19", "x": value}]
    return told(result={"rows": rows, "metadata": metadata})


def test_a_row_is_known_when_the_run_that_made_it_ended() -> None:
    row = told(DAY | {"volume_usd": "12.5", "label": "dex"}).row(0, named=True)
    assert row == {
        "event_time": datetime(2026, 11, 19, tzinfo=UTC),
        "available_at": datetime(2026, 11, 20, 10, 0, 9, 500_000, tzinfo=UTC),
        "volume_usd": 12.5, "label": "dex", "query_id": 1234,
    }  # fmt: skip


def test_a_day_that_was_not_over_when_the_query_ran_is_left_out() -> None:
    rows = told({**DAY, "day": "2026-11-20"}, DAY, execution_ended_at="2026-11-20T10:00:00Z")
    assert rows["event_time"].to_list() == [datetime(2026, 11, 19, tzinfo=UTC)]
    midnight = told(DAY, execution_ended_at="2026-11-20T00:00:00Z")
    assert midnight.height == 1, "a run at the end of the day has all of it"


@pytest.mark.parametrize(
    "day",
    [
        "2026-11-19",
        "2026-11-19 00:00:00.000 UTC",
        "2026-11-19 00:00:00.000",
        "2026-11-19T00:00:00Z",
    ],
)
def test_a_time_is_read_in_every_form_that_the_provider_writes(day: str) -> None:
    assert told({**DAY, "day": day})["event_time"].to_list() == [datetime(2026, 11, 19, tzinfo=UTC)]


@pytest.mark.parametrize("day", ["yesterday", None, "2026-11-19 00:00:00 America/New_York"])
def test_what_is_no_utc_time_is_refused(day: str | None) -> None:
    with pytest.raises(FeedError, match=r"query 1234: day has .* which is no time"):
        told({**DAY, "day": day})


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("double", 1.5, 1.5),
        ("bigint", 7, 7.0),
        ("decimal(38,0)", "12345", 12345.0),
        ("uint256", None, None),
        ("varchar", "0012", "0012"),
        ("varbinary", "0xab", "0xab"),
        ("boolean", True, "true"),
        ("array(integer)", [1, 2], "[1, 2]"),
        ("varchar", None, None),
    ],
)
def test_numbers_become_numbers_and_the_rest_stays_text(
    kind: str, value: object, read: object
) -> None:
    column = typed(kind, value)["x"]
    assert column.to_list() == [read]
    number = kind.startswith(("double", "bigint", "decimal", "uint256"))
    assert column.dtype == (pl.Float64 if number else pl.String)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "", "many"])
def test_a_number_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(FeedError, match="x in row 1 is no finite number"):
        typed("double", value)


def test_two_rows_of_one_day_are_refused_and_a_copy_is_not() -> None:
    assert told(DAY, DAY).height == 1
    with pytest.raises(FeedError, match="more than one row at 2026-11-19"):
        told(DAY, {**DAY, "volume_usd": 2})


@pytest.mark.parametrize(
    "more",
    [
        {"state": "QUERY_STATE_COMPLETED_PARTIAL"},
        {"state": "QUERY_STATE_FAILED", "result": None},
        {"state": "QUERY_STATE_EXECUTING", "execution_ended_at": None},
        {"execution_ended_at": None},
        {"result": None},
    ],
)
def test_a_result_that_is_not_whole_is_an_error(more: dict[str, object]) -> None:
    with pytest.raises(FeedError, match=r"query 1234.*run it again"):
        told(DAY, **more)


def test_a_column_that_is_missing_or_has_a_name_of_ours_is_refused() -> None:
    metadata = {"column_names": ["date", "x"], "column_types": ["date", "double"]}
    with pytest.raises(FeedError, match=r"no column 'day' \(it has date, x\)"):
        told(result={"rows": [], "metadata": metadata})
    metadata = {"column_names": ["day", "available_at"], "column_types": ["date", "date"]}
    with pytest.raises(FeedError, match="'available_at', which means something else"):
        told(result={"rows": [], "metadata": metadata})


@pytest.mark.parametrize("end", [{}, {"next_offset": None}, {"next_offset": 0}])
def test_the_last_page_has_no_next_one(end: dict[str, object]) -> None:
    assert told(DAY, **end).height == 1


def test_a_run_between_two_pages_is_noticed() -> None:
    def answer(request: Request) -> Reply:
        if request.query["offset"] == "0":
            return reply(provider.result([DAY], next_offset=1))
        return reply(provider.result([], execution_id="01HY"))

    with pytest.raises(FeedError, match="was run again while its result was read; pull again"):
        asked(answer)


def test_an_old_result_is_refused_and_nothing_is_run() -> None:
    with Loopback(lambda _: reply(provider.result([DAY], execution_ended_at=OLD))) as server:
        feed = Dune({"DEX_VOLUME": Query(1234)}, base_url=server.url)
        with pytest.raises(FeedError, match=r"query 1234 was last run 50 h ago; run it"):
            collected(feed, NAME, START, END, line(feed.about, "dune-key-0001"))
        assert [request.method for request in server.seen] == ["GET"]


def running(states: list[str]) -> tuple[Callable[[Request], Reply], list[str]]:
    """A query whose last result is old; what was asked; each look at its run shows a state."""
    paths: list[str] = []

    def answer(request: Request) -> Reply:
        paths.append(f"{request.method} {request.path}")
        run = {"execution_id": "01HZ", "state": "QUERY_STATE_PENDING"}
        if request.path == "/query/1234/execute":
            assert json.loads(request.body) == {"performance": "medium"}
            return reply(run)
        if request.path == "/execution/01HZ/status":
            return reply(run | {"state": states.pop(0) if len(states) > 1 else states[0]})
        if request.path == "/execution/01HZ/results":
            return reply(provider.result([DAY], execution_id="01HZ"))
        return reply(provider.result([DAY], execution_ended_at=OLD))

    return answer, paths


def test_an_old_result_is_made_anew_if_asked_to() -> None:
    answer, paths = running(["QUERY_STATE_EXECUTING", "QUERY_STATE_COMPLETED"])
    rows = asked(answer, execute=True)
    assert rows["available_at"].to_list() == [datetime(2026, 11, 20, 10, 0, 9, 500_000, tzinfo=UTC)]
    assert paths == [
        "GET /query/1234/results", "POST /query/1234/execute", "GET /execution/01HZ/status",
        "GET /execution/01HZ/status", "GET /execution/01HZ/results",
    ]  # fmt: skip


def test_a_run_that_fails_is_an_error_and_one_that_does_not_end_is_given_up() -> None:
    failing, _ = running(["QUERY_STATE_FAILED"])
    with pytest.raises(FeedError, match="query 1234 ended as QUERY_STATE_FAILED"):
        asked(failing, execute=True)
    clock = Clock()
    endless, paths = running(["QUERY_STATE_EXECUTING"])
    with pytest.raises(FeedError, match="still runs after 30 min"):
        asked(endless, clock, execute=True)
    assert 1800 <= (clock.at - NOW).total_seconds() <= 1820
    assert len(paths) < 460, "a look every four seconds, at the published pace"


def test_credits_that_are_used_up_are_a_quota_and_not_asked_again() -> None:
    error = "This api request would exceed your configured datapoint limit per billing cycle."
    with Loopback(lambda _: reply({"error": error}, 402)) as server:
        feed = Dune({"DEX_VOLUME": Query(1234)}, base_url=server.url)
        with pytest.raises(QuotaExhausted, match="billing cycle"):
            collected(feed, NAME, START, END, line(feed.about, "dune-key-0001"))
        assert len(server.seen) == 1


def test_a_query_that_was_never_run_is_told_in_the_provider_s_words() -> None:
    with pytest.raises(FeedError, match=r"404.*No execution found"):
        asked(lambda _: reply({"error": "No execution found for the latest version"}, 404))


def test_its_options_are_read_as_desk_toml_writes_them() -> None:
    options = {"queries": {"DEX_VOLUME": {"query_id": 1234, "time": "hour", "timeframe": "1h"}}}
    feed = TypeAdapter(Dune).validate_python(options)
    assert list(feed.series()) == [NAME._replace(timeframe="1h")]


def test_a_series_that_no_query_makes_is_refused() -> None:
    feed = Dune({"OTHER": Query(1)})
    with pytest.raises(UsageError, match="not among its queries"):
        collected(feed, NAME, START, END, line(feed.about, "dune-key-0001"))
