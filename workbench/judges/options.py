"""What may be said of a judge in desk.toml, and the judge that it makes.

    [judges.claude]
    mode = "replay"        # the tape alone, nobody is asked; or "record": ask for what it lacks
    prompt = "evaluator/1"
    usd_per_day = 1.0

Every model replays unless it is told to record: to spend money has to be said.
"""

from __future__ import annotations

import logging
import math
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from workbench.calibration import Calibration, calibrations_from_json
from workbench.errors import DataError, UsageError
from workbench.judges.budget import Budget
from workbench.judges.constant import coin
from workbench.judges.live import Live
from workbench.judges.model_judge import ALL, FAILED, NOTHING, ModelJudge
from workbench.judges.models import Model, known, priced, retiring
from workbench.judges.prompt import Prompt, read_prompt
from workbench.judges.provider import Provider
from workbench.judges.rubric import rubric_for_want_of
from workbench.judges.tape import Tape
from workbench.judges.verdicts import Terms
from workbench.ports import Judge
from workbench.redact import shaped_like_a_secret

Mode = Literal["replay", "record"]
# Of what is on the tape a command, and no file, may ask again: what failed, or all of it.
REPLAY, RETRY, REFRESH = "replay", "retry", "refresh"
log = logging.getLogger("workbench.judge")


def _address(base_url: str) -> str:
    """It is on every row of the tape, so it holds no key."""
    wrong = "it is no address; write it as http://127.0.0.1:11434/v1"
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        raise ValueError(wrong) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(wrong)
    secret = parts.username or parts.password or parts.query or parts.fragment
    if secret or shaped_like_a_secret(base_url):
        raise ValueError(
            "it holds a password, a query or a key; leave them out, and name the variable that has"
            " the key in key_name"
        )
    return base_url


def _variable(name: str) -> str:
    """It is told wherever the judge is, so it must not be the key itself."""
    if not re.fullmatch(r"[A-Z][A-Z0-9_]{0,59}", name) or shaped_like_a_secret(name):
        raise ValueError(
            "it is no variable's name, such as ANTHROPIC_API_KEY; never put a key here"
        )
    return name


Address = Annotated[str, AfterValidator(_address)]
Variable = Annotated[str, AfterValidator(_variable)]


@dataclass(frozen=True)
class Place:
    """Where a judge works: the folder of its relative paths, the environment, the clock."""

    folder: Path
    environ: Mapping[str, str]
    now: Callable[[], datetime]


class Options(Protocol):
    """Options of a judge, as a judge's entry point names them."""

    def judge(self, place: Place) -> Judge: ...


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What every model's judge may be told. `model` takes the place of the prompt's own."""

    prompt: str = "evaluator/1"
    prompts: Path | None = None
    model: str = ""
    mode: Mode = "replay"
    tape: Path = Path("var/tape.db")
    budget: Path = Path("var/budget.db")
    usd_per_day: float = 1.0
    usd_per_run: float = 1.0
    deadline_s: float = 20.0
    concurrency: int = 16
    passes: Literal[1, 2] = 2
    calibration: Path | None = None
    base_url: str = ""

    def judge(self, place: Place) -> Judge:
        """A replay of the tape; or, where it is to record and has a key, a judge that asks. Without
        a key it is the rubric, and says so."""
        terms = self.terms(place)
        if self.mode == "replay":
            return ModelJudge(terms, Tape.open(place.folder / self.tape, readonly=True))
        key_name = self.wanting(place.environ)
        if key_name:
            return rubric_for_want_of(key_name)
        tape = Tape.open(place.folder / self.tape, readonly=False)
        again = {RETRY: FAILED, REFRESH: ALL}.get(self.mode, NOTHING)
        return ModelJudge(terms, tape, self.live(place, terms.model), again=again)

    def live(self, place: Place, model: Model) -> Live:
        """The line to the model, paid from the budget; nothing is opened before the first call."""
        if warning := retiring(model, place.now().date()):
            log.warning("%s", warning)
        run = f"{place.now():%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
        purse = Budget.open(
            place.folder / self.budget, self.usd_per_day, self.usd_per_run, run, place.now
        )
        return Live(
            self.connector(place.environ), model, purse, place.now, self.deadline_s,
            self.concurrency,
        )  # fmt: skip

    def terms(self, place: Place) -> Terms:
        """Raises UsageError for an unknown prompt or model, DataError for curves that are none."""
        if not 0.0 < self.deadline_s <= 600.0 or not 1 <= self.concurrency <= 256:
            raise UsageError("deadline_s must be above 0 and at most 600, concurrency 1 to 256")
        if not all(0.0 <= cap < math.inf for cap in (self.usd_per_day, self.usd_per_run)):
            raise UsageError("usd_per_day and usd_per_run must be 0 or more")
        prompt = read_prompt(self.prompt, self.prompts and place.folder / self.prompts)
        model = self.priced_model(prompt)
        curves = self._curves(place).get(f"{model.id} {prompt.id}")
        return Terms(self.provider_name, model, prompt, self.passes, curves)

    def _curves(self, place: Place) -> Mapping[str, Calibration]:
        if self.calibration is None:
            return {}
        return read_curves(place.folder / self.calibration)

    @property
    def provider_name(self) -> str:
        raise NotImplementedError

    def priced_model(self, prompt: Prompt) -> Model:
        raise NotImplementedError

    def wanting(self, environ: Mapping[str, str]) -> str:
        """The variable of the key that is needed and not set, "" if there is none."""
        raise NotImplementedError

    def connector(self, environ: Mapping[str, str]) -> Callable[[], Provider]:
        """What connects. The vendor's client, slow to load, is loaded here and not within the
        deadline of the first question; a replay loads none."""
        raise NotImplementedError


def read_curves(path: Path) -> dict[str, Calibration]:
    """The curves of a file by "<model> <prompt_id>". Raises DataError if it cannot be read or is
    none."""
    try:
        return calibrations_from_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"the judge's calibration {path} cannot be read: {error}") from None
    except DataError as wrong:
        raise DataError(f"{path}: {wrong}") from None


def _key(environ: Mapping[str, str], name: str) -> str:
    """The key kept under this name, "" if none is."""
    return environ.get(name, "").strip()


@dataclass(frozen=True, kw_only=True)
class Claude(ModelOptions):
    """Anthropic's models, by the table in `models`."""

    key_name: Variable = "ANTHROPIC_API_KEY"
    base_url: Address = "https://api.anthropic.com"

    @property
    def provider_name(self) -> str:
        return "anthropic"

    def priced_model(self, prompt: Prompt) -> Model:
        return known(self.model or prompt.model)

    def wanting(self, environ: Mapping[str, str]) -> str:
        return "" if _key(environ, self.key_name) else self.key_name

    def connector(self, environ: Mapping[str, str]) -> Callable[[], Provider]:
        from workbench.judges.claude import Anthropic  # noqa: PLC0415  a replay loads no vendor

        return lambda: Anthropic(_key(environ, self.key_name), self.base_url)


@dataclass(frozen=True, kw_only=True)
class OpenAICompatible(ModelOptions):
    """Any model behind OpenAI's chat route: OpenAI, Gemini, Ollama, vLLM, a llama.cpp server.

    Its prices have to be said (0 for one's own machine), for an unpriced model would cost nothing;
    without `knowledge_until` nobody knows what it has seen, and its figures are never headlines.
    """

    base_url: Address = Field()  # noqa: RUF009  required, though the base has a default
    model: str = Field(min_length=1)
    usd_per_mtok_input: float
    usd_per_mtok_output: float
    knowledge_until: date | None = None
    key_name: Variable = ""
    token_limit: Literal["", "max_tokens", "max_completion_tokens"] = ""

    @property
    def provider_name(self) -> str:
        return self.base_url

    def priced_model(self, prompt: Prompt) -> Model:
        return priced(
            self.model, "openai_compatible", self.usd_per_mtok_input, self.usd_per_mtok_output,
            self.knowledge_until,
        )  # fmt: skip

    def wanting(self, environ: Mapping[str, str]) -> str:
        return self.key_name if self.key_name and not _key(environ, self.key_name) else ""

    def connector(self, environ: Mapping[str, str]) -> Callable[[], Provider]:
        from workbench.judges.openai_compatible import OpenAI, vendor  # noqa: PLC0415  an extra

        vendor()
        key = _key(environ, self.key_name)
        return lambda: OpenAI(key, self.base_url, self.token_limit)


@dataclass(frozen=True)
class Coin:
    """A judge that skips at random: the baseline that any other must beat."""

    rate: float = 0.3
    seed: int = 0

    def judge(self, place: Place) -> Judge:
        return coin(self.rate, self.seed)
