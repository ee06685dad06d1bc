"""A model judge on a loopback server or on a script, with a tape and a budget of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.judges import a_case, a_headline
from tests.judges.model_server import Asked, ModelServer, answer
from workbench.domain import Case, Signal
from workbench.judges.budget import Budget
from workbench.judges.claude import Anthropic
from workbench.judges.live import Live
from workbench.judges.model_judge import ModelJudge
from workbench.judges.models import known
from workbench.judges.prompt import read_prompt
from workbench.judges.provider import Provider, Refused, Request, Said, Usage
from workbench.judges.tape import Tape
from workbench.judges.verdicts import Terms

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MODEL = known("claude-haiku-5-5")
PROMPT = read_prompt("evaluator/1")
TERMS = Terms("anthropic", MODEL, PROMPT)
USAGE = Usage(1800, 120)
BTC = "BTC/USDT"
VOTES = (
    Signal("ema_adx", "trend", BTC, 1, 61.25, outcomes=300),
    Signal("news_sentiment", "event", BTC, 1, 57.0, from_text=True),
)


def worded(title: str = "Bitcoin holds steady", **changed: object) -> Case:
    """A case with a headline and a vote read from words."""
    fields: dict[str, object] = {"signals": VOTES, "headlines": (a_headline(title),)}
    return a_case(**(fields | changed))


class Script:
    """A provider that says what a function of the request says, and remembers what it was asked."""

    name = "script"

    def __init__(self, says: Callable[[Request], str | Exception] = lambda _: answer()) -> None:
        self.says, self.asked = says, list[Request]()

    async def send(self, request: Request) -> Said:
        self.asked.append(request)
        told = self.says(request)
        if isinstance(told, Exception):
            raise told
        return Said(told, "end_turn", request.model, "req_1", USAGE)

    async def close(self) -> None:
        pass


def whole(request: Request) -> bool:
    """Is it the pass that was shown words?"""
    return '"headlines":"not shown"' not in request.user


@contextmanager
def asking(
    folder: Path,
    connect: Callable[[], Provider],
    *,
    terms: Terms = TERMS,
    usd: float = 1.0,
    deadline_s: float = 2.0,
    now: Callable[[], datetime] = lambda: NOW,
    again: str = "",
) -> Iterator[ModelJudge]:
    """A judge that may ask, with tape.db and budget.db in the folder."""
    tape = Tape.open(folder / "tape.db", readonly=False)
    purse = Budget.open(folder / "budget.db", usd, usd, "run", now)
    with Live(connect, terms.model, purse, now, deadline_s) as live:
        yield ModelJudge(terms, tape, live, again=again)
    tape.close()


@contextmanager
def on_server(
    folder: Path, says: Callable[[Asked], str] = lambda _: answer(), **changed: object
) -> Iterator[tuple[ModelJudge, ModelServer]]:
    """The same through the real client against a loopback server."""
    with (
        ModelServer(says) as server,
        asking(
            folder,
            lambda: Anthropic("sk-test-0123456789-abcdefghij", server.url),
            **changed,  # type: ignore[arg-type]
        ) as judge,
    ):
        yield judge, server


def replaying(folder: Path, terms: Terms = TERMS) -> ModelJudge:
    """A judge that only has the tape."""
    return ModelJudge(terms, Tape.open(folder / "tape.db", readonly=True))


def refusal(*args: object, **kwargs: object) -> Refused:
    return Refused(*args, **kwargs)  # type: ignore[arg-type]
