"""data pull: from the feeds into the lake, a plan first."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.shell import Config, Json, bars_by_name, desk_of, say, whoami

if TYPE_CHECKING:
    from workbench.data.feeds.feed import Feed, Line
    from workbench.data.lake import Lake, SeriesName
    from workbench.data.pull import Plan, Pulled

Names = Annotated[list[str] | None, typer.Argument(help="Feeds to pull; without any, all.")]


def data_pull(
    feeds: Names = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Only this symbol; repeatable.")] = None,
    start: Annotated[str | None, typer.Option(help="From this day (UTC).")] = None,
    plan_only: Annotated[bool, typer.Option("--plan", help="Print the plan and stop.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Then go on listening.")] = False,
    every: Annotated[
        float, typer.Option(help="With --follow: ask again after (s).", min=1.0)
    ] = 300.0,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Ask every feed for what the lake lacks; killed or stopped, the same command goes on."""
    from workbench.data.lake import lake_at
    from workbench.data.pull import plan, pull
    from workbench.trading.lease import lease

    desk = desk_of(config, None)
    lake, now = lake_at(desk.source.lake), datetime.now(UTC)
    chosen = _chosen(config, feeds or [])
    first = _first_day(start, config, now)
    only = _only(symbol or [], chosen)
    planned = plan(lake, chosen.values(), first, now, os.environ, only)
    if not as_json or plan_only:
        say(as_json, _plan_json(planned), _plan_lines(planned))
    if plan_only:
        return
    stopped = threading.Event()
    holder = f"`data pull` of {whoami()}, process {os.getpid()}"
    with lease(lease_file(desk.source.lake), holder), bars_by_name() as progress:
        try:
            done = pull(lake, planned, _lines(os.environ, stopped), progress, stopped)
        except KeyboardInterrupt:
            typer.echo("stopped; what was read is stored, and the same command goes on", err=True)
            raise typer.Exit(1) from None
        noticed = _noticed(lake, done, now)
        result = _done_json(planned, done) | {"noticed": noticed}
        say(as_json, result, [*_done_lines(done), *(f"  {each}" for each in noticed)])
        if follow:
            _follow(lake, list(chosen.values()), every, only)
    if any(each.fault for each in done):
        raise typer.Exit(1)


def _noticed(lake: Lake, done: Sequence[Pulled], now: datetime) -> list[str]:
    """Holes in the bars that came, and closes on which two venues disagree."""
    from workbench.data.defects import holes
    from workbench.data.quality import DISAGREE_BPS, cross_check
    from workbench.domain import parse_timeframe

    bars = [each.step for each in done if each.step.name.kind == "ohlcv" and each.written]
    said = []
    for name in sorted({step.name for step in bars}):
        since = min(step.start for step in bars if step.name == name)
        rows = lake.read(*name, start=since, columns=["event_time"])
        found = holes(name, rows, parse_timeframe(name.timeframe).to_pytimedelta())
        if found:
            lost = sum(hole.bars for hole in found)
            said.append(f"{name}: gaps: {len(found)}, bars missing: {lost}")
    if bars:
        apart = cross_check(lake, now, min(step.start for step in bars))
        if apart:
            said.append(f"closes on which two venues are {DISAGREE_BPS:g} bps apart: {apart}")
    return said


def _follow(
    lake: Lake, feeds: list[Feed], every_s: float, only: Callable[[SeriesName], bool]
) -> None:
    """Until somebody stops it; what a keyed feed lacks was said in the plan."""
    import asyncio

    from workbench.data.follow import Follower

    def tell(name: SeriesName, written: int, fault: str) -> None:
        moment = f"{_utc_now():%Y-%m-%d %H:%M:%S}"
        if fault:
            typer.echo(f"{moment} FAILED {name}: {fault}", err=True)
        elif written:
            typer.echo(f"{moment} {name}: {written:,} rows", err=True)

    there = [feed for feed in feeds if not feed.about.key or os.environ.get(feed.about.key)]
    stopped = threading.Event()
    follower = Follower(lake, _lines(os.environ, stopped), tell, every_s, stopped)
    typer.echo("listening; stop with Ctrl-C", err=True)
    try:
        asyncio.run(follower.follow(there, only))
    except KeyboardInterrupt:
        typer.echo("stopped; what was heard is stored", err=True)


def lease_file(lake: str | Path) -> Path:
    """Beside a lake on this disk; for one elsewhere in var/, where it binds this machine only."""
    if "://" not in str(lake):
        return Path(f"{lake}.lease")
    return Path("var") / f"lake-{hashlib.sha256(str(lake).encode()).hexdigest()[:12]}.lease"


def _chosen(config: Path | None, names: Sequence[str]) -> dict[str, Feed]:
    import difflib

    from workbench.desk import CONFIG, load_feeds
    from workbench.errors import UsageError

    feeds = load_feeds(config or CONFIG, names)
    known = feeds | {feed.about.name: feed for feed in feeds.values()}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, list(known), 1, 0.0)
            raise UsageError(f"no feed is called {name}; the nearest is {near[0]}")
    return {name: known[name] for name in names} if names else feeds


def _first_day(start: str | None, config: Path | None, now: datetime) -> datetime:
    from workbench.desk import CONFIG
    from workbench.errors import UsageError
    from workbench.settings import read_settings

    if start is None:
        file = config or Path(CONFIG)
        days = read_settings(file if file.is_file() else None).data.pull_days
        return (now - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        first = datetime.fromisoformat(start)
    except ValueError:
        raise UsageError(f"--start {start!r} is not a day; write it as 2024-01-31") from None
    first = first.astimezone(UTC) if first.tzinfo else first.replace(tzinfo=UTC)
    if first >= now:
        raise UsageError(f"--start {start} is not in the past")
    return first


def _only(symbols: Sequence[str], feeds: Mapping[str, Feed]) -> Callable[[SeriesName], bool]:
    """Which series are about the symbols asked for: BTC/USDT is about BTC too."""
    import difflib

    from workbench.errors import UsageError

    told = sorted({name.symbol for feed in feeds.values() for name in feed.series()})
    wanted = {*symbols, *(symbol.partition("/")[0] for symbol in symbols)}
    for symbol in symbols:
        if not {symbol, symbol.partition("/")[0]} & set(told):
            near = difflib.get_close_matches(symbol, told, 1, 0.0)
            raise UsageError(
                f"none of these feeds is asked for {symbol}"
                f"{f'; the nearest is {near[0]}' if near else ''}. desk.toml says which symbols a"
                " feed is asked for"
            )
    return lambda name: not symbols or name.symbol in wanted


def _lines(environment: Mapping[str, str], stopped: threading.Event) -> Callable[[Feed], Line]:
    from workbench.data.feeds.line import Line

    def line_of(feed: Feed) -> Line:
        about = feed.about
        # a line's end after the key is none of it, and no header may have one
        secret = environment.get(about.key, "").strip() if about.key else ""
        return Line(about.name, about.pace, about.key, secret, _utc_now, _sleep(stopped))

    return line_of


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _sleep(stopped: threading.Event) -> Callable[[float], None]:
    """A pause that ends when the pull is stopped, and nobody is asked without one."""
    from workbench.errors import FeedError

    def sleep(seconds: float) -> None:
        if stopped.wait(seconds):
            raise FeedError("stopped")

    return sleep


def _plan_lines(planned: Plan) -> list[str]:
    from workbench.data.pull import pace_s

    lines = [f"{'feed':<16} {'series':>6} {'requests':>9} {'minutes':>8}  weight, of the limit"]
    for name, steps in planned.by_feed().items():
        about = steps[0].feed.about
        asked, (most, seconds) = sum(step.requests for step in steps), about.limit
        lines.append(
            f"{name:<16} {len({step.name for step in steps}):>6} {asked:>9,}"
            f" {pace_s(steps) / 60:>8.1f}  {asked * about.weight:,}, of {most:,} in {seconds:g} s"
        )
    if not planned.steps:
        lines = ["nothing to ask: the lake has all of it"]
    lines += [f"{name:<16} skipped: {why}" for name, why in planned.skipped]
    return lines


def _plan_json(planned: Plan) -> dict[str, Any]:
    steps = [
        {
            "feed": step.feed.about.name, "series": str(step.name), "start": step.start.isoformat(),
            "end": step.end.isoformat(), "requests": step.requests,
        }
        for step in planned.steps
    ]  # fmt: skip
    return {"steps": steps, "skipped": dict(planned.skipped), "seconds": planned.seconds}


def _done_lines(done: Sequence[Pulled]) -> list[str]:
    lines = [f"{sum(each.written for each in done):,} rows new or changed"]
    for each in done:
        if each.written and not each.fault:
            lines.append(f"  {each.step.name}: {each.written:,} in {each.asked} requests")
    lines += [f"  FAILED {each.step.name}: {each.fault}" for each in done if each.fault]
    return lines


def _done_json(planned: Plan, done: Sequence[Pulled]) -> dict[str, Any]:
    series = [
        {
            "series": str(each.step.name), "written": each.written, "requests": each.asked,
            "fault": each.fault,
        }
        for each in done
    ]  # fmt: skip
    return {"series": series, "skipped": dict(planned.skipped)}
