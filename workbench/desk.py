"""The composition root: desk.toml and entry points become a Desk.

The only file that knows every adapter. Replay, paper and live differ by the objects put in here,
never by a branch elsewhere. It reads configuration and wires; it decides nothing.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from workbench.data.lake import Lake
from workbench.data.sample import SYMBOLS as SAMPLE_SYMBOLS
from workbench.data.sample import VENUE as SAMPLE
from workbench.data.sample import write_sample
from workbench.data.snapshot import World, load_world
from workbench.domain import (
    Book,
    Costs,
    Cycle,
    Limits,
    UsageError,
    parse_timeframe,
)
from workbench.execution.bar_broker import BarBroker
from workbench.judges.rubric import rubric
from workbench.ports import Broker, Judge, Log, Progress
from workbench.risk.correlation import HISTORY_DAYS
from workbench.strategies.regime import HISTORY_DAYS as REGIME_DAYS
from workbench.strategies.regime import with_regime
from workbench.strategies.vote import Strategy
from workbench.trading.schedule import Job

CONFIG = "desk.toml"
AUTO = "auto"


@dataclass(frozen=True)
class Source:
    """Where the data is: a lake, and which part of it the desk trades.

    Venue "auto" is the imported spot venue with the most symbols, or the sample world while
    nothing is imported; no symbols means all of the venue's.
    """

    lake: Path = Path("var/lake")
    venue: str = AUTO
    symbols: tuple[str, ...] = ()
    timeframe: str = "1h"

    def resolved(self) -> Source:
        """The same with venue and symbols named; the sample world has to be written already."""
        candles = [
            name
            for name in Lake(self.lake).series()
            if name.kind == "ohlcv" and name.timeframe == self.timeframe
        ]
        spot = [n.venue for n in candles if n.venue != SAMPLE and not n.venue.endswith("_perp")]
        most = max(sorted(set(spot)), key=spot.count, default=SAMPLE)
        venue = most if self.venue == AUTO else self.venue
        symbols = self.symbols or tuple(n.symbol for n in candles if n.venue == venue)
        return replace(self, venue=venue, symbols=symbols)

    def made(self) -> bool:
        """Is the whole sample world in the lake? A write that was cut off leaves a part of it."""
        there = {
            n.symbol for n in Lake(self.lake).series() if (n.kind, n.venue) == ("ohlcv", SAMPLE)
        }
        return there >= set(SAMPLE_SYMBOLS)


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

    @property
    def bars(self) -> int:
        """How many bars of history one snapshot carries."""
        a_day = round(parse_timeframe("1d") / parse_timeframe(self.source.timeframe))
        return max(HISTORY_DAYS * max(a_day, 1), *(s.lookback for s in self.strategies))

    def world(
        self, start: str | None = None, end: str | None = None, progress: Progress | None = None
    ) -> World:
        """The desk's data from `start` to `end` (dates, inclusive), regimes labelled.

        History before `start` is loaded for the indicators where there is any; `world.start` is
        the first bar that may trade. The sample world is made on first use.
        """
        source, lake = self.source.resolved(), Lake(self.source.lake)
        if source.venue == SAMPLE and not source.made():
            write_sample(lake, progress=progress)
            source = self.source.resolved()
        a_day = max(round(parse_timeframe("1d") / parse_timeframe(source.timeframe)), 1)
        world = load_world(
            lake, source.venue, source.symbols, source.timeframe, start, end,
            warmup_bars=REGIME_DAYS * a_day,
        )  # fmt: skip
        return replace(world, panel=with_regime(world.panel))

    def book(self, world: World) -> Book:
        """A flat book at the first bar that may trade."""
        return Book.start(world.panel.symbols, self.capital, world.panel.index[world.start])


# --- desk.toml ---------------------------------------------------------------------------------


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _DeskTable(_Table):
    capital: float = 10_000.0
    strategies: tuple[str, ...] = ("ema_adx", "rsi_bounce", "news_sentiment")
    judge: str = "rubric"
    reduce: float = 0.5
    journal: Path = Path("var/journal.db")


class _DataTable(_Table):
    lake: Path = Path("var/lake")
    venue: str = AUTO
    symbols: tuple[str, ...] = ()
    timeframe: str = "1h"


class _JobTable(_Table):
    cron: str
    command: tuple[str, ...]


def _jobs() -> dict[str, _JobTable]:
    """Without a [schedule]: the week's page on Monday, a look at the risk every day."""
    return {
        "weekly": _JobTable(cron="10 0 * * 1", command=("publish", "--week", "last")),
        "risk": _JobTable(cron="20 0 * * *", command=("run", "04_risk_review")),
    }


def _numbers(name: str, defaults: Mapping[str, float]) -> type[_Table]:
    fields: dict[str, Any] = {key: (float, value) for key, value in defaults.items()}
    return create_model(name, __base__=_Table, **fields)


_LimitsTable = _numbers("limits", Limits()._asdict())
_CostsTable = _numbers("costs", Costs()._asdict())


class Settings(BaseSettings):
    """desk.toml, overridden by variables such as WORKBENCH_DATA__VENUE."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="WORKBENCH_", env_nested_delimiter="__"
    )
    file: ClassVar[Path | None] = None

    desk: _DeskTable = Field(default_factory=_DeskTable)
    data: _DataTable = Field(default_factory=_DataTable)
    limits: _LimitsTable = Field(default_factory=_LimitsTable)  # type: ignore[valid-type]
    costs: _CostsTable = Field(default_factory=_CostsTable)  # type: ignore[valid-type]
    schedule: dict[str, _JobTable] = Field(default_factory=_jobs)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables win over the file; nothing else is read."""
        toml = TomlConfigSettingsSource(settings_cls, cls.file) if cls.file else None
        return (env_settings, toml) if toml else (env_settings,)


def load_desk(path: str | Path | None = None, **changed: Any) -> Desk:
    """The desk of a desk.toml (by default the one in this folder; without one, the defaults).

    `changed` replaces fields of the Desk, for example `judge=always`. Relative paths in the file
    are taken from its folder. Raises UsageError naming the file, the key and the nearest valid one.
    """
    file = Path(path) if path is not None else Path(CONFIG)
    if path is not None and not file.is_file():
        raise UsageError(f"{file} is not there; leave --config away to use the defaults")
    settings = _settings(file if file.is_file() else None)
    folder = file.parent if file.is_file() else Path()
    table, data = settings.desk, settings.data
    fields: dict[str, Any] = {
        "strategies": tuple(_plugin("strategies", name) for name in table.strategies),
        "judge": load_judge(table.judge),
        "limits": Limits(**settings.limits.model_dump()),
        "costs": Costs(**settings.costs.model_dump()),
        "reduce": table.reduce,
        "capital": table.capital,
        "source": Source(folder / data.lake, data.venue, data.symbols, data.timeframe),
        "journal_path": folder / table.journal,
    }
    return Desk(**(fields | changed))


def load_judge(name: str) -> Judge:
    """An installed judge by name. Raises UsageError naming the nearest one."""
    return _plugin("judges", name)


def load_schedule(path: str | Path = CONFIG) -> tuple[Job, ...]:
    """The jobs of a desk.toml, or the default ones. Raises UsageError naming the job."""
    file = Path(path)
    table = _settings(file if file.is_file() else None).schedule
    return tuple(Job(name, job.cron, job.command) for name, job in table.items())


def _settings(file: Path | None) -> Settings:
    where = str(file or "the environment")
    try:
        return type("Settings", (Settings,), {"file": file})()
    except tomllib.TOMLDecodeError as broken:
        raise UsageError(f"{where} is not valid TOML: {broken}") from None
    except ValidationError as invalid:
        first = invalid.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{where}: unknown key {key}{_nearest(first['loc'])}") from None
        raise UsageError(f"{where}: {key} is {first['input']!r}: {first['msg']}") from None


def _nearest(location: Sequence[int | str]) -> str:
    model: Any = Settings
    for part in location[:-1]:  # below a table of tables, such as [schedule.NAME], comes its kind
        fields = getattr(model, "model_fields", None)
        model = fields[str(part)].annotation if fields else get_args(model)[1]
    close = difflib.get_close_matches(str(location[-1]), list(model.model_fields), 1, 0.0)
    return "; the nearest valid one is " + ".".join([*map(str, location[:-1]), close[0]])


def _plugin(group: str, name: str) -> Any:
    found = {point.name: point for point in entry_points(group=f"workbench.{group}")}
    if name not in found:
        close = difflib.get_close_matches(name, list(found), 1, 0.0)
        nearest = f"; the nearest is {close[0]}" if close else "; run `make setup` first"
        raise UsageError(f"there is no {name!r} among the installed {group}{nearest}")
    return found[name].load()
