"""The model on the command line: recorded once, replayed by nobody's leave, and what it cost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.judges.model_server import ModelServer, Serves, answer, error
from workbench.__main__ import main
from workbench.data.lake import Lake
from workbench.data.snapshot import World
from workbench.desk import Desk
from workbench.ports import Progress

KEY = "sk-ant-api03-" + "Zq7" * 12
DAY = ("--start", "2023-06-02", "--end", "2023-06-02")
NANO = 1800 * 100 + 120 * 500  # one answer of the server at claude-haiku-5-5's prices


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The world is loaded once for all commands; whether the strategies keep their promises is told
    in other tests."""
    monkeypatch.setattr(Desk, "world", _world)
    monkeypatch.setattr("workbench.doctor._strategies", lambda: iter(()))


_load = Desk.world
_loaded: dict[tuple[str | None, ...], World] = {}


def _world(desk: Desk, start: str | None, end: str | None, progress: Progress) -> World:
    if (start, end) not in _loaded:
        _loaded[start, end] = _load(desk, start, end, progress)
    return _loaded[start, end]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(says) as served:
        yield served


def says(asked: Any) -> str:
    """By the case: some go through, some do not."""
    decisions = ("PROCEED", "REDUCE", "SKIP")
    return answer(decision=decisions[sum(asked.user.encode()) % 3])


@pytest.fixture
def home(
    tmp_path: Path, sample_lake: Lake, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder whose desk.toml names the server, with a key in the environment."""
    for name in [n for n in os.environ if n.startswith(("WORKBENCH_", "ANTHROPIC_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "desk.toml").write_text(
        # of few strategies, for each is looked over before it votes
        '[desk]\nstrategies = ["ema_adx", "news_sentiment"]\n'
        f'[data]\nlake = "{sample_lake.root}"\n'
        f'[judges.claude]\nbase_url = "{server.url}"\ndeadline_s = 5.0\n'
    )
    return tmp_path


@pytest.fixture
def workbench(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """The command as a user types it in that folder."""

    def run(*words: str) -> Done:
        monkeypatch.setattr("sys.argv", ["workbench", *words])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        assert KEY not in told.out + told.err
        assert "Traceback" not in told.err
        return Done(code, told.out, told.err)

    return run


def in_file(home: Path, old: str, new: str) -> None:
    file = home / "desk.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


RECORD = ("judge", "record", "--judge", "claude", *DAY, "--json")


def test_a_day_is_estimated_recorded_and_replayed_without_asking_again(
    workbench: Run, server: ModelServer
) -> None:
    told = workbench(*RECORD, "--estimate")
    assert told.code == 0
    n = told.json["questions"]
    assert n >= told.json["cases"] > 5
    assert 0.0 < told.json["most_usd_batch"] < told.json["most_usd"] < 1.0
    assert not server.asked, "an estimate asks nobody"

    first = workbench(*RECORD)
    assert first.code == 0
    assert first.json["asked"] == n == len(server.asked)
    assert first.json["cost USD"] == pytest.approx(n * NANO / 1e9, rel=1e-9)
    assert first.json["cost USD"] < told.json["most_usd"]
    decided = {w: first.json.get(w, 0) for w in ("PROCEED", "REDUCE", "SKIP")}
    assert sum(decided.values()) == told.json["cases"]

    again = workbench(*RECORD)
    assert (again.code, again.json["asked"], again.json["cost USD"]) == (0, 0, 0.0)
    assert {w: again.json.get(w, 0) for w in decided} == decided
    assert again.json["questions"] == 0

    spent = workbench("judge", "budget", "--judge", "claude", "--json").json
    assert spent["spent_usd"] == pytest.approx(n * NANO / 1e9, rel=1e-9)
    assert spent["held_usd"] == 0.0

    asked = len(server.asked)
    replayed = workbench("replay", "--judge", "claude", *DAY, "--json")
    assert replayed.code == 0
    assert replayed.json["judge"] == ["claude-haiku-5-5, evaluator/1"]
    assert len(server.asked) == asked, "a replay asks nobody"

    refreshed = workbench(*RECORD, "--refresh")
    assert refreshed.json["asked"] == n
    assert len(server.asked) == asked + n


def test_a_batch_is_sent_and_then_collected(workbench: Run, server: ModelServer) -> None:
    server.batch_status = "in_progress"
    sent = workbench(*RECORD, "--batch")
    assert sent.code == 0
    assert sent.json["sent"] == "msgbatch_1"
    held = workbench("judge", "budget", "--judge", "claude", "--json").json["held_usd"]
    assert held == pytest.approx(sent.json["most_usd_batch"], rel=1e-9)

    waits = workbench(*RECORD, "--batch")
    assert waits.json["batch msgbatch_1"] == "not done yet"
    assert "sent" not in waits.json, "what is on its way is not sent again"

    server.batch_status = "ended"
    n = sent.json["questions"]
    done = workbench(*RECORD, "--batch")
    assert done.json["batch msgbatch_1"].startswith(f"{n:,} of {n:,} answered")
    assert "sent" not in done.json
    spent = workbench("judge", "budget", "--judge", "claude", "--json").json
    assert spent["spent_usd"] == pytest.approx(n * NANO / 2e9, rel=1e-9), "at half the price"
    assert spent["held_usd"] == 0.0
    assert not [a for a in server.asked if a.path == "/v1/messages"]


def test_a_spent_budget_goes_on_where_it_ended(
    workbench: Run, server: ModelServer, home: Path
) -> None:
    in_file(home, "deadline_s", "usd_per_run = 0.004\nconcurrency = 1\ndeadline_s")
    first = workbench(*RECORD).json
    assert 0 < first["asked"] < first["questions"]
    assert first["BUDGET"] > 0
    second = workbench(*RECORD).json
    assert second["questions"] == first["questions"] - first["asked"]
    assert len(server.asked) == first["asked"] + second["asked"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("judge", "record", "--judge", "claud"), 2, "nearest is claude"),
        (("judge", "record"), 2, "the judge rubric asks no model; name one with --judge"),
        (("judge", "budget", "--judge", "always"), 2, "the judge always asks no model"),
        (("judge", "record", "--judge", "claude", "--batch", "--refresh"), 2, "leave --batch out"),
        (("replay", "--judge", "claude", *DAY), 2, "there is no tape at"),
        (("judge", "record", "--judge", "claude", "--start", "soon"), 2, "is not a time"),
    ],
)
def test_a_mistake_is_one_sentence(
    workbench: Run, server: ModelServer, words: tuple[str, ...], code: int, says: str
) -> None:
    done = workbench(*words)
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert done.err.count("\n") == 1
    assert not server.asked


def test_without_a_key_nothing_is_recorded(
    workbench: Run, server: ModelServer, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    done = workbench("judge", "record", "--judge", "claude", *DAY)
    assert done.code == 2
    assert "claude cannot be asked: rubric, ANTHROPIC_API_KEY is not set" in done.err
    assert not (home / "var/tape.db").exists()
    nothing = workbench("judge", "budget", "--judge", "claude")
    assert nothing.code == 0
    assert nothing.out.startswith("nothing was ever spent")


# --- doctor --------------------------------------------------------------------------------------


def asked_by_doctor(workbench: Run) -> tuple[int, dict[str, Any]]:
    done = workbench("doctor", "--judge", "--json")
    (found,) = [f for f in done.json["findings"] if f["what"] == "judge claude"]
    return done.code, found


def test_doctor_asks_one_real_question_and_keeps_it_on_no_tape(
    workbench: Run, server: ModelServer, home: Path
) -> None:
    code, found = asked_by_doctor(workbench)
    assert (code, found["fine"]) == (0, True)
    assert found["says"].startswith("claude-haiku-5-5 answered ")
    assert " at 61 in " in found["says"]
    assert "it cost 0.000240 USD, prompt evaluator/1 9635146c15a8a70d" in found["says"]
    assert len(server.asked) == 1
    assert "TRIAL/USDT" in server.asked[0].user
    assert not (home / "var/tape.db").exists()
    spent = workbench("judge", "budget", "--judge", "claude", "--json").json
    assert spent["spent_usd"] == pytest.approx(NANO / 1e9, rel=1e-9), "it is paid like any other"


@pytest.mark.parametrize(
    ("served", "says", "cost"),
    [
        (error(401, "authentication_error"), "WRONG_KEY: status 401", "0.000000"),
        (error(402, "billing_error"), "PAYMENT: status 402", "0.000000"),
        (Serves(401, {"error": {"message": f"invalid key {KEY}"}}), "WRONG_KEY", "0.000000"),
        (Serves(of={"stop_reason": "max_tokens"}), "TRUNCATED", "0.000240"),
        (Serves(of={"stop_reason": "refusal"}), "REFUSED", "0.000240"),
        (Serves(of={"content": [{"type": "text", "text": "Sure!"}]}), "INVALID", "0.000240"),
        (Serves(of={"content": [{"type": "text", "text": answer(evidence_ids=["h9"])}]}),
         "EVIDENCE: it names 'h9'", "0.000240"),
    ],
)  # fmt: skip
def test_doctor_says_no_with_the_code_and_the_cost(
    workbench: Run, server: ModelServer, served: Serves, says: str, cost: str
) -> None:
    server.next(served)
    code, found = asked_by_doctor(workbench)
    assert (code, found["fine"]) == (1, False)
    assert found["says"].startswith("claude-haiku-5-5, evaluator/1: ")
    assert says in found["says"]
    assert f"it cost {cost} USD" in found["says"]


def test_doctor_without_a_key_says_so_and_asks_nobody(
    workbench: Run, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    code, found = asked_by_doctor(workbench)
    assert code == 1
    assert found["says"] == "not asked: ANTHROPIC_API_KEY is not set, so the judge is the RUBRIC"
    assert not server.asked


def test_doctor_with_a_spent_budget_asks_nobody(
    workbench: Run, server: ModelServer, home: Path
) -> None:
    in_file(home, "deadline_s", "usd_per_day = 0.0\ndeadline_s")
    code, found = asked_by_doctor(workbench)
    assert code == 1
    assert "BUDGET: " in found["says"]
    assert not server.asked


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("deadline_s = 0.0", "deadline_s must be above 0"),
        ('prompt = "evaluator/9"', "there is no prompt evaluator/9; the nearest is evaluator/1"),
        ('model = "claude-haiku-6"', "the nearest is claude-haiku-5-5"),
    ],
)
def test_doctor_names_what_is_wrong_in_the_file(
    workbench: Run, server: ModelServer, home: Path, line: str, says: str
) -> None:
    in_file(home, "deadline_s = 5.0", line)
    code, found = asked_by_doctor(workbench)
    assert code == 1
    assert says in found["says"]
    assert not server.asked
