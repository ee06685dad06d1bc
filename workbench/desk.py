"""The composition root: desk.toml and entry points become a Desk.

The only file that knows every adapter. Replay, paper and live differ by the objects put in here,
never by a branch elsewhere. It reads configuration and wires; it decides nothing.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from workbench.data.lake import lake_at
from workbench.data.sample import PERP_SYMBOLS, PERP_VENUE, write_sample
from workbench.data.sample import SYMBOLS as SAMPLE_SYMBOLS
from workbench.data.sample import VENUE as SAMPLE
from workbench.data.snapshot import World, carries, load_world
from workbench.domain import (
    Book,
    Costs,
    Cycle,
    Limits,
    UsageError,
    parse_timeframe,
    underlying,
)
from workbench.execution.bar_broker import BarBroker
from workbench.judges.options import REPLAY, Place
from workbench.judges.rubric import rubric
from workbench.ports import Broker, Judge, Log, Progress
from workbench.research.calibrate import read_calibration
from workbench.risk.correlation import HISTORY_DAYS
from workbench.settings import (
    AUTO,
    CONFIG,
    FeedTable,
    JudgeTable,
    journal_path,
    read_settings,
)
from workbench.strategies.regime import HISTORY_DAYS as REGIME_DAYS
from workbench.strategies.regime import with_regime
from workbench.strategies.vote import Strategy
from workbench.trading.schedule import Job

if TYPE_CHECKING:
    from workbench.data.feeds.feed import Feed

# Beside every installed feed, under its own name: a second exchange, against which the first is
# checked. Books and trades are many: only for who names them or sets them enabled.
FEEDS: Mapping[str, FeedTable] = {
    "depth": FeedTable(enabled=False),
    "trades": FeedTable(enabled=False),
    "kraken": FeedTable.model_validate(
        {"adapter": "candles", "venue": "kraken", "symbols": ("BTC/USDT", "ETH/USDT")}
    ),
}


@dataclass(frozen=True)
class Source:
    """Where the data is: a lake, and which part of it the desk trades.

    `lake` is a folder or an address such as s3://bucket/lake. Venue "auto" is the imported spot
    venue with the most symbols, or the sample world while nothing is imported; no symbols means all
    of the venue's.
    """

    lake: str | Path = Path("var/lake")
    venue: str = AUTO
    symbols: tuple[str, ...] = ()
    timeframe: str = "1h"

    def resolved(self) -> Source:
        """The same with venue and symbols named; the sample world has to be written already."""
        candles = [
            name
            for name in lake_at(self.lake).series()
            if name.kind == "ohlcv" and name.timeframe == self.timeframe
        ]
        spot = [n.venue for n in candles if n.venue != SAMPLE and not n.venue.endswith("_perp")]
        most = max(sorted(set(spot)), key=spot.count, default=SAMPLE)
        venue = most if self.venue == AUTO else self.venue
        symbols = self.symbols or tuple(n.symbol for n in candles if n.venue == venue)
        return replace(self, venue=venue, symbols=symbols)

    @property
    def synthetic(self) -> bool:
        """Is it the made-up world that the desk trades?"""
        return self.resolved().venue == SAMPLE

    def made(self) -> bool:
        """Is the whole sample world in the lake? A write that was cut off leaves a part of it."""
        candles = {(n.venue, n.symbol) for n in lake_at(self.lake).series() if n.kind == "ohlcv"}
        spot = {(SAMPLE, symbol) for symbol in SAMPLE_SYMBOLS}
        return candles >= spot | {(PERP_VENUE, symbol) for symbol in PERP_SYMBOLS}


@dataclass(frozen=True)
class Desk:
    """Everything that one bar needs. Change it with dataclasses.replace."""

    strategies: Sequence[Strategy]
    judge: Judge = rubric
    limits: Limits = field(default_factory=Limits)
    costs: Costs = field(default_factory=Costs)
    broker: Broker = field(default_factory=BarBroker)
    journal: Log = field(default_factory=list[Cycle])
    reduce: float = 0.5
    quorum: int = 1
    capital: float = 10_000.0
    source: Source = field(default_factory=Source)
    journal_path: Path = Path("var/journal.db")

    def __post_init__(self) -> None:
        if not self.strategies:
            raise UsageError("the desk has no strategies; name at least one")
        names = [s.name for s in self.strategies]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise UsageError(
                f"two strategies are called {min(twice)}; give one another name with"
                " dataclasses.replace(strategy, name=...)"
            )
        if not 0.0 < self.reduce < 1.0:
            raise UsageError(f"desk.reduce is {self.reduce:g}; it must be between 0 and 1")
        if not 1 <= self.quorum <= len(self.strategies):
            raise UsageError(
                f"desk.quorum is {self.quorum}; {len(self.strategies)} strategies vote, so it must"
                f" be 1 to {len(self.strategies)}"
            )

    @property
    def bars(self) -> int:
        """How many bars of history one snapshot carries."""
        a_day = round(parse_timeframe("1d") / parse_timeframe(self.source.timeframe))
        return max(
            HISTORY_DAYS * max(a_day, 1),
            *(s.bars(parse_timeframe(self.source.timeframe)) for s in self.strategies),
        )

    def world(
        self, start: str | None = None, end: str | None = None, progress: Progress | None = None
    ) -> World:
        """The desk's data from `start` to `end` (dates, inclusive), regimes labelled.

        History before `start` is loaded for the indicators where there is any; `world.start` is
        the first bar that may trade. Where a strategy trades pairs, every symbol whose legs and
        funding are in the lake has its pair beside it. The sample world is made on first use.
        """
        source, lake = self.source.resolved(), lake_at(self.source.lake)
        if source.venue == SAMPLE and not source.made():
            write_sample(lake, progress=progress)
            source = self.source.resolved()
        pairs: Sequence[str] = ()
        if any(strategy.trades == "carry" for strategy in self.strategies):
            built = carries(lake, source.venue, source.timeframe)
            pairs = [pair for pair in built if underlying(pair) in source.symbols]
        a_day = max(round(parse_timeframe("1d") / parse_timeframe(source.timeframe)), 1)
        world = load_world(
            lake, source.venue, source.symbols, source.timeframe, start, end,
            warmup_bars=max(REGIME_DAYS * a_day, self.bars), pairs=pairs,
        )  # fmt: skip
        return replace(world, panel=with_regime(world.panel))

    def book(self, world: World) -> Book:
        """A flat book at the first bar that may trade."""
        return Book.start(world.panel.symbols, self.capital, world.panel.index[world.start])


# --- from desk.toml ---------------------------------------------------------------------------


def load_desk(
    path: str | Path | None = None,
    *,
    venue: str | None = None,
    calibrated: bool = True,
    judge_mode: str = REPLAY,
    **changed: Any,
) -> Desk:
    """The desk of a desk.toml (by default the one in this folder; without one, the defaults).

    Its strategies have the curves of `[desk] calibration`, if it names a file, unless `calibrated`
    is False; `venue` takes the place of the file's. `changed` replaces fields of the Desk, for
    example `judge=always`. A model has its tape alone, whatever the file says: only who means to
    spend money gives `judge_mode` "", the file's own. Relative paths in the file are taken from its
    folder. Raises UsageError naming the file, the key and the nearest valid one.
    """
    file = Path(path) if path is not None else Path(CONFIG)
    if path is not None and not file.is_file():
        raise UsageError(f"{file} is not there; leave --config away to use the defaults")
    settings = read_settings(file if file.is_file() else None)
    folder = file.parent if file.is_file() else Path()
    table, data = settings.desk, settings.data
    parts: dict[str, Any] = {
        "strategies": tuple(_plugin("strategies", name) for name in table.strategies),
        "judge": changed.get("judge") or load_judge(table.judge, path, mode=judge_mode),
        "limits": Limits(**settings.limits.model_dump()),
        "costs": Costs(**settings.costs.model_dump()),
        "reduce": table.reduce,
        "quorum": table.quorum,
        "capital": table.capital,
        "source": Source(
            _place(data.lake, folder), venue or data.venue, data.symbols, data.timeframe
        ),
        "journal_path": journal_path(path),
    }
    desk = Desk(**(parts | changed))
    if table.calibration is None or not calibrated:
        return desk
    return read_calibration(folder / table.calibration, desk)


def _place(lake: str, folder: Path) -> str | Path:
    return lake if "://" in lake else folder / lake


def load_judge(name: str, path: str | Path | None = None, *, mode: str = REPLAY) -> Judge:
    """A judge by name: an installed one, or one of [judges.NAME], with its options. A model's has
    its tape alone, unless `mode` is "" (what the file says), record, retry or refresh.

    Raises UsageError naming the judge, the option and the nearest valid one.
    """
    options = load_judge_options(name, path)
    if options is None:
        return _plugin("judges", _adapter(name, path)[0])
    if mode and hasattr(options, "mode"):
        options = replace(options, mode=mode)
    return options.judge(judge_place(path))


def judge_place(path: str | Path | None = None) -> Place:
    """The folder of the desk.toml, the process's environment and its clock."""
    file = Path(path) if path is not None else Path(CONFIG)
    return Place(file.parent if file.is_file() else Path(), os.environ, lambda: datetime.now(UTC))


def load_judge_options(name: str, path: str | Path | None = None) -> Any:
    """The options of a judge that has any, None for one that is a plain function."""
    adapter, options = _adapter(name, path)
    kind = _plugin("judges", adapter)
    if not isinstance(kind, type):
        if options:
            raise UsageError(f"judges.{name}: {adapter} has no options; leave {min(options)} out")
        return None
    return _built(f"judges.{name}", kind, options)


def _adapter(name: str, path: str | Path | None) -> tuple[str, dict[str, Any]]:
    file = Path(path) if path is not None else Path(CONFIG)
    table = read_settings(file if file.is_file() else None).judges.get(name, JudgeTable())
    return table.adapter or name, table.options


def load_schedule(path: str | Path = CONFIG) -> tuple[Job, ...]:
    """The jobs of a desk.toml, or the default ones. Raises UsageError naming the job."""
    file = Path(path)
    table = read_settings(file if file.is_file() else None).schedule
    return tuple(Job(name, job.cron, job.command) for name, job in table.items())


def load_feeds(path: str | Path = CONFIG, named: Sequence[str] = ()) -> dict[str, Feed]:
    """Every installed feed and those of [feeds.NAME], with their options, by name; of those that
    are not enabled only the `named`.

    Raises UsageError naming the feed, the option and the nearest valid one.
    """
    file = Path(path)
    told = read_settings(file if file.is_file() else None).feeds
    installed = {point.name: FeedTable() for point in entry_points(group="workbench.feeds")}
    tables = installed | told | {name: _over(FEEDS[name], told.get(name)) for name in FEEDS}
    wanted = {name: table for name, table in tables.items() if table.enabled or name in named}
    return {name: _feed(name, table) for name, table in sorted(wanted.items())}


def _over(ours: FeedTable, told: FeedTable | None) -> FeedTable:
    """A feed of ours with what the file says of it; the rest stays."""
    said = told.model_dump(exclude_unset=True) if told else {}
    return FeedTable.model_validate(ours.model_dump(exclude_unset=True) | said)


def _feed(name: str, table: FeedTable) -> Feed:
    """Raises UsageError naming the feed, whatever it is that its adapter refuses."""
    try:
        kind = _plugin("feeds", table.adapter or name)
    except UsageError as wrong:
        raise UsageError(f"feeds.{name}: {wrong}") from None
    feed: Feed = _built(f"feeds.{name}", kind, table.options)
    try:
        _ = feed.about, feed.series()  # some options are looked at only here
    except UsageError as wrong:
        raise UsageError(f"feeds.{name}: {wrong}") from None
    except Exception as bug:
        raise _broken(f"feeds.{name}", bug) from bug
    return feed


def _built(where: str, kind: type, options: Mapping[str, Any]) -> Any:
    """An adapter with its options. Raises UsageError naming the one it refuses."""
    try:
        _refuse_unknown(options, [each.name for each in fields(kind)])
        return TypeAdapter(kind).validate_python(options)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        said = first.get("ctx", {}).get("error", first["msg"])  # an adapter's own words
        option = "".join(f"{part}: " for part in first["loc"])
        raise UsageError(f"{where}: {option}{said}") from None
    except UsageError as wrong:
        raise UsageError(f"{where}: {wrong}") from None
    except Exception as bug:
        raise _broken(where, bug) from bug


def _broken(where: str, bug: Exception) -> UsageError:
    return UsageError(
        f"{where}: its adapter breaks ({type(bug).__name__}: {bug}); mend it, or leave"
        " it out of desk.toml (a feed: enabled = false)"
    )


def _refuse_unknown(options: Mapping[str, Any], known: Sequence[str]) -> None:
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, 1, 0.0)
            offer = f"; the nearest is {near[0]}" if near else ""
            raise UsageError(f"it has no option {option}{offer}")


def _plugin(group: str, name: str) -> Any:
    found = {point.name: point for point in entry_points(group=f"workbench.{group}")}
    if name not in found:
        close = difflib.get_close_matches(name, list(found), 1, 0.0)
        nearest = f"; the nearest is {close[0]}" if close else "; run `make setup` first"
        raise UsageError(f"there is no {name!r} among the installed {group}{nearest}")
    try:
        plugin = found[name].load()
    except Exception as fault:
        raise UsageError(
            f"{name!r} of the installed {group} cannot be loaded ({type(fault).__name__}: {fault});"
            f" mend {found[name].value}, or leave it out of desk.toml"
        ) from fault
    if group == "strategies" and not isinstance(plugin, Strategy):
        raise UsageError(
            f"{name!r} of the installed strategies is {type(plugin).__name__}; declare the function"
            " with @strategy"
        )
    return plugin
