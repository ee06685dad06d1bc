"""Prompts: files that are never changed once they have been used.

    prompts/<name>/<version>.md

A file begins with its facts, as TOML between two lines of `+++`, and goes on with the text that a
model is given as its instructions. The id of a prompt is the hash of that text, of the schema of
the answer and of how a case is laid out: whatever changes what a model reads changes the id. Model,
effort and length are facts of a call and stand beside it on the tape. No text from a case enters a
prompt, so that it is the same for every case.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workbench.errors import UsageError
from workbench.judges.answer import SCHEMA
from workbench.judges.case import SCHEMA as LAYOUT

OURS = Path(__file__).parent / "prompts"
LEAST_CHARACTERS = 200
_NAME = r"([a-z][a-z0-9_]{0,39})/([1-9][0-9]{0,3})"


@dataclass(frozen=True)
class Prompt:
    """A prompt file as read. `parent` is the version it was made from, 0 for none; `hypothesis`
    what its author thinks it does better."""

    name: str
    version: int
    model: str
    effort: str
    max_tokens: int
    parent: int
    hypothesis: str
    text: str

    @cached_property
    def id(self) -> str:
        """`name/version` and the first 16 digits of the hash of all that a model reads of it."""
        read = json.dumps([self.text, SCHEMA, LAYOUT], sort_keys=True)
        return f"{self.name}/{self.version} {hashlib.sha256(read.encode()).hexdigest()[:16]}"


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str, Field(min_length=1)]
    effort: Literal["", "low", "medium", "high", "xhigh", "max"] = ""
    max_tokens: Annotated[int, Field(ge=256, le=32_000)]
    parent: Annotated[int, Field(ge=0)] = 0
    hypothesis: Annotated[str, Field(min_length=1)]


def read_prompt(named: str, folder: Path | None = None) -> Prompt:
    """The prompt called `name/version`, of a folder of one's own if it has it, else of ours.

    Raises UsageError naming the file and what is wrong with it, or the nearest prompt there is.
    """
    found = re.fullmatch(_NAME, named)
    if not found:
        raise UsageError(f"prompt {named!r} is no name; write it as evaluator/1")
    if folder is not None and not folder.is_dir():
        raise UsageError(f"{folder} is no folder of prompts; name one, or leave it out for ours")
    places = [place for place in (folder, OURS) if place]
    file = next((f for place in places if (f := place / f"{named}.md").is_file()), None)
    if file is None:
        there = sorted(name for place in places for name in prompts_in(place))
        near = difflib.get_close_matches(named, there, 1, 0.0) or ["none"]
        raise UsageError(f"there is no prompt {named}; the nearest is {near[0]}")
    return _parsed(file, found[1], int(found[2]))


def prompts_in(folder: Path) -> list[str]:
    """The names of the prompts in a folder."""
    found = (f"{file.parent.name}/{file.stem}" for file in folder.glob("*/*.md"))
    return sorted(name for name in found if re.fullmatch(_NAME, name))


def _parsed(file: Path, name: str, version: int) -> Prompt:
    try:
        parts = re.fullmatch(r"\+\+\+\n(.*?)\n\+\+\+\n(.*)", file.read_text("utf-8"), re.DOTALL)
        if not parts:
            raise UsageError(f"{file} has no facts between two lines of +++ at its head")
        facts = _Facts.model_validate(tomllib.loads(parts[1]))
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{file}: {where}: {first['msg']}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as wrong:
        raise UsageError(f"{file} cannot be read: {wrong}") from None
    text = parts[2].strip()
    if len(text) < LEAST_CHARACTERS:
        raise UsageError(f"{file} has only {len(text)} characters of instructions")
    if facts.parent >= version:
        raise UsageError(f"{file}: parent {facts.parent} is no earlier version")
    return Prompt(
        name, version, facts.model, facts.effort, facts.max_tokens, facts.parent, facts.hypothesis,
        text,
    )  # fmt: skip
