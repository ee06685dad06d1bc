"""What a desk.toml may say, and what holds where it says nothing.

Unknown keys are refused with the nearest valid one. Variables such as WORKBENCH_DATA__VENUE win
over the file; keys of exchanges and providers are in neither: each feed names its own variable.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from workbench.domain import Costs, Limits, UsageError

AUTO, CONFIG = "auto", "desk.toml"
NINE = (
    "momentum_breakout", "ema_adx", "macro_trend",
    "rsi_bounce", "bollinger_squeeze", "funding_arbitrage",
    "news_sentiment", "whale_flow", "odds_divergence",
)  # fmt: skip


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _DeskTable(_Table):
    capital: float = 10_000.0
    strategies: tuple[str, ...] = NINE
    judge: str = "rubric"
    reduce: float = 0.5
    quorum: int = 1
    journal: Path = Path("var/journal.db")
    calibration: Path | None = None


class _DataTable(_Table):
    lake: str = "var/lake"
    venue: str = AUTO
    symbols: tuple[str, ...] = ()
    timeframe: str = "1h"
    pull_days: int = Field(default=730, gt=0)
    keep_days: dict[str, int] = Field(default_factory=dict)


class FeedTable(BaseModel):
    """One feed: which adapter (by default the one of its name), and that adapter's options."""

    model_config = ConfigDict(extra="allow", frozen=True)
    adapter: str = ""
    enabled: bool = True

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class JudgeTable(BaseModel):
    """A judge by a name of one's own: which adapter (by default the one of its name), and that
    adapter's options."""

    model_config = ConfigDict(extra="allow", frozen=True)
    adapter: str = ""

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


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
    feeds: dict[str, FeedTable] = Field(default_factory=dict)
    judges: dict[str, JudgeTable] = Field(default_factory=dict)

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


def read_settings(file: Path | None) -> Settings:
    """The file's settings, or the defaults. Raises UsageError naming file, key and nearest key."""
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


def journal_path(path: str | Path | None) -> Path:
    """The journal of a desk.toml, or of none: no strategy, judge or calibration is looked at, so
    that a desk which cannot be loaded can still be halted. Raises UsageError as `read_settings`."""
    file = Path(path) if path is not None else Path(CONFIG)
    if path is not None and not file.is_file():
        raise UsageError(f"{file} is not there; leave --config away to use the defaults")
    there = file.is_file()
    return (file.parent if there else Path()) / read_settings(file if there else None).desk.journal


def judge_name(path: str | Path | None) -> str:
    """The judge of a desk.toml, or of none. Raises UsageError as `read_settings`."""
    file = Path(path) if path is not None else Path(CONFIG)
    return read_settings(file if file.is_file() else None).desk.judge


def _nearest(location: Sequence[int | str]) -> str:
    model: Any = Settings
    for part in location[:-1]:  # below a table of tables, such as [schedule.NAME], comes its kind
        fields = getattr(model, "model_fields", None)
        model = fields[str(part)].annotation if fields else get_args(model)[1]
    close = difflib.get_close_matches(str(location[-1]), list(model.model_fields), 1, 0.0)
    return "; the nearest valid one is " + ".".join([*map(str, location[:-1]), close[0]])
