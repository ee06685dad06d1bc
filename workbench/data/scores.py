"""Tapes of headline scores that a model gave: read strictly, stored by headline.

A tape is a JSONL file, one score a line:

    {"id": "8c1f...", "score": -0.4, "scored_at": "2026-11-20T07:12:00Z",
     "model": "some-model-3", "prompt_id": "headline-mood-2"}

`id` is the headline's in the lake. A score is known from `scored_at` or from when the headline was,
whichever is later: one given years after the event is known years after it, so that hindsight
cannot enter a replay. `scored_at` is the scorer's word and is believed. No model is called here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import (
    AwareDatetime,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from typing_extensions import TypedDict

from workbench.data.captures import Part
from workbench.data.checks import INSTANT, FaultError
from workbench.data.lake import Lake, SeriesName

_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.:/@+-]{0,99}$")]


class _Line(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # pyright: ignore[reportGeneralTypeIssues]

    id: _Name
    score: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
    scored_at: AwareDatetime
    model: _Name
    prompt_id: _Name


_LINE = TypeAdapter(_Line)
_SCHEMA = {
    "id": pl.String, "score": pl.Float64, "scored_at": INSTANT, "model": pl.String,
    "prompt_id": pl.String,
}  # fmt: skip


def read_tape(content: bytes) -> pl.DataFrame:
    """The scores of a tape, each once. Raises FaultError naming the first bad line."""
    if not content.strip():
        raise FaultError("has no lines")
    told: dict[tuple[str, str, str], _Line] = {}
    for number, text in enumerate(content.removesuffix(b"\n").split(b"\n"), start=1):
        line = _parsed(text, number)
        if line["model"].lower().startswith("sample"):
            raise FaultError(f"line {number}: no model is called sample; the made-up world is")
        first = told.setdefault((line["id"], line["model"], line["prompt_id"]), line)
        if first["score"] != line["score"]:
            raise FaultError(
                f"line {number}: headline {line['id']} has score {line['score']:g}, and"
                f" {first['score']:g} further up; one model and prompt score it once"
            )
        first["scored_at"] = min(first["scored_at"], line["scored_at"])
    return pl.DataFrame(list(told.values()), schema=_SCHEMA)


def _parsed(text: bytes, number: int) -> _Line:
    try:
        return _LINE.validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise FaultError(
            f"line {number}: {f'{where}: ' if where else ''}{fault['msg']}; a line has id, score"
            " (-1 to 1), scored_at (with a zone), model and prompt_id, and nothing else"
        ) from None


def read(path: Path, lake: Lake) -> list[Part]:
    """A tape's scores of the headlines in the lake, a series for each model; those of headlines
    that are not there are counted.

    Raises FaultError for a bad line, and if no headline of the tape is in the lake.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FaultError(f"cannot be read ({error.strerror})") from None
    lines = content.removesuffix(b"\n").count(b"\n") + 1
    scores = read_tape(content)
    rows = scores.join(_headlines(lake), on="id", how="inner")
    if rows.is_empty():
        raise FaultError(
            f"none of its {scores.height:,} headlines is in the lake; import the news first"
        )
    rows = rows.with_columns(available_at=pl.max_horizontal("available_at", "scored_at"))
    rows = rows.sort("event_time", "id", "prompt_id")
    dropped = {
        "repeats": lines - scores.height, "unknown headlines": scores.height - rows.height,
    }  # fmt: skip
    counted: Mapping[str, int] = {what: count for what, count in dropped.items() if count}
    parts: list[Part] = []
    for model in sorted(set(rows["model"])):
        name = SeriesName("scores", venue_of(model), "ALL", "event")
        own = rows.filter(pl.col("model") == model)
        # what was left out is told once, with the first model
        parts.append(Part(name, own.height if parts else lines, own, {} if parts else counted))
    return parts


def venue_of(model: str) -> str:
    """A model's name as a series may be called."""
    return re.sub(r"[^\w.-]", "_", model)


def _headlines(lake: Lake) -> pl.DataFrame:
    """When each recorded headline happened and was first known, and what it is about."""
    columns = ["id", "asset", "event_time", "available_at"]
    read: list[Any] = [
        lake.read(*name, columns=columns)
        for name in lake.series()
        if name.kind == "news" and name.venue != "sample"
    ]
    empty = pl.DataFrame(
        schema={"id": pl.String, "asset": pl.String, "event_time": INSTANT, "available_at": INSTANT}
    )
    told = pl.concat([empty, *read]).sort("available_at", maintain_order=True)
    return told.unique("id", keep="first", maintain_order=True)
