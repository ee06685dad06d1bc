"""The tape: what was heard once is heard again, in any process; and nothing else ever is."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.journal_files import tamper
from tests.judges import a_case, a_headline
from tests.judges.judging import (
    NOW,
    PROMPT,
    TERMS,
    Script,
    asking,
    on_server,
    replaying,
    worded,
)
from tests.judges.model_server import answer, error
from workbench.errors import DataError, UsageError
from workbench.journal import Journal, JournalBroken
from workbench.judges.asking import Reply
from workbench.judges.provider import Said, Usage
from workbench.judges.tape import Sent, Tape, key_of

KEY = "sk-test-0123456789-abcdefghij"
ROOT = Path(__file__).parents[2]
GOOD = Reply("", "", Said(answer(), "end_turn", "claude-haiku-5-5", "r1", Usage(1, 2)), 1, 7, 0.5)
ABOUT = {"case": "c" * 64, "shown": "whole"}
RICH = worded(
    "Ether and Bitcoin rise after the decision",
    features={**a_case().features, "odds.fed cuts in March": 0.61, "sentiment": 1.5,
              "nothing": None},
    headlines=(a_headline("First"), a_headline("Second", id="h2", symbol=""),
               a_headline("Third", id="h3", source="other wire")),
    missing=("odds", "netflow"),
    silent=("breakout", "carry"),
    bracket={"stop": 0.04, "take_profit": 0.08},
    ages={"headlines": 0.5, "odds": 30.0},
    withheld=2,
)  # fmt: skip


def tape_at(folder: Path, readonly: bool = False) -> Tape:
    return Tape.open(folder / "tape.db", readonly=readonly)


def child(code: str, *words: object, **variables: str) -> str:
    """What another process prints; it must end well."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- a replay ----------------------------------------------------------------------------------

REPLAY = """
import sys
opened = []
sys.addaudithook(lambda event, _: opened.append(event) if event.startswith("socket.") else None)
import pickle
from datetime import UTC, datetime
from pathlib import Path
from workbench.journal import to_json
from workbench.judges.options import Claude, Place
folder = Path(sys.argv[1])
judge = Claude(tape=Path("tape.db")).judge(Place(folder, {}, lambda: datetime.now(UTC)))
said = judge(pickle.loads((folder / "cases").read_bytes()))
print(repr(said))
print(to_json(said))
print(judge.missed, [name for name in sys.modules if name in ("anthropic", "openai")], opened)
"""


def test_two_processes_replay_the_same_bytes_and_open_no_socket(tmp_path: Path) -> None:
    cases = [RICH, a_case(), worded(side=-1), worded(symbol="ETH/USDT"), a_case(regime="")]

    with on_server(tmp_path, lambda asked: answer(decision="REDUCE", confidence=44)) as (judge, _):
        judge([RICH, a_case()])
    with asking(tmp_path, lambda: Script(lambda _: "no JSON")) as judge:
        judge([cases[2]])
    (tmp_path / "cases").write_bytes(pickle.dumps(cases))
    first, second = (child(REPLAY, tmp_path, PYTHONHASHSEED=seed) for seed in ("1", "4242"))
    assert first == second
    verdicts, text, rest = first.splitlines()
    assert verdicts == repr(replaying(tmp_path)(cases)), "and so does this one"
    codes = [verdict["code"] for verdict in json.loads(text)]
    assert codes == ["", "", "INVALID", "TAPE_MISS", "TAPE_MISS"]
    assert rest == "3 [] []", "misses, vendors' clients loaded, sockets"


def test_a_missing_tape_is_an_error_that_says_how_to_record_one(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"no tape at .*tape\.db; record one with `workbench judge"
    ):
        tape_at(tmp_path, readonly=True)
    assert list(tmp_path.iterdir()) == [], "and a replay makes none"


replies = st.builds(
    Reply,
    code=st.sampled_from(["", "INVALID", "DEADLINE"]),
    says=st.text(),
    said=st.none() | st.builds(
        Said, st.text(), st.text(), st.text(), st.text(),
        st.none() | st.builds(Usage, *[st.integers(0, 10**12)] * 4),
    ),
    attempts=st.integers(0, 99),
    cost_nano_usd=st.integers(0, 10**18),
    latency_s=st.floats(0, 600),
)  # fmt: skip


@settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(replies, min_size=1, max_size=4))
def test_a_reply_comes_back_as_it_was_whatever_it_says(tmp_path: Path, told: list[Reply]) -> None:
    tape = tape_at(tmp_path)
    tape.add([(f"{k}", ABOUT, reply) for k, reply in enumerate(told)], NOW)
    tape.close()
    again = tape_at(tmp_path, readonly=True)
    assert [again.get(f"{k}") for k in range(len(told))] == told
    again.close()


def test_of_several_replies_under_one_key_the_last_counts(tmp_path: Path) -> None:
    tape = tape_at(tmp_path)
    tape.add([("k", ABOUT, GOOD), ("other", ABOUT, GOOD)], NOW)
    tape.add([("k", ABOUT, replace(GOOD, attempts=2))], NOW)
    for each in (tape, tape_at(tmp_path, readonly=True)):
        assert each.get("k") == replace(GOOD, attempts=2)
        assert len(each) == 2


def test_replies_are_kept_together_or_not_at_all(tmp_path: Path) -> None:
    tape = tape_at(tmp_path)
    with pytest.raises(UsageError, match="secret"):
        tape.add([("a", ABOUT, GOOD), ("b", {"api_key": "x"}, GOOD)], NOW)
    assert tape.get("a") is None
    assert tape_at(tmp_path, readonly=True).get("a") is None


def test_a_key_does_not_run_its_parts_together() -> None:
    keys = {
        key_of(*named, "c" * 64, shown)
        for named in (("a", "bc", PROMPT), ("ab", "c", PROMPT), ("a,b", "c", PROMPT),
                      ("a", "b,c", PROMPT), ('a","b', "c", PROMPT))
        for shown in ("numbers", "whole")
    }  # fmt: skip
    assert len(keys) == 10


# --- a damaged one -----------------------------------------------------------------------------


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A tape of four rows: the prompt, and three replies."""
    with asking(tmp_path, Script) as judge:
        judge([worded(), a_case()])
    return tmp_path


EDITS = {
    "SKIP made PROCEED": "UPDATE journal SET body = replace(body, 'PROCEED', 'SKIP') WHERE seq = 3",
    "another key": "UPDATE journal SET body = replace(body, '\"id\":\"', '\"id\":\"0')"
                   " WHERE seq = 3",
    "another time": "UPDATE journal SET at = '2026-01-01T00:00:00+00:00' WHERE seq = 3",
    "no JSON": "UPDATE journal SET body = 'x' WHERE seq = 3",
    "taken out": "DELETE FROM journal WHERE seq = 3",
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
@pytest.mark.parametrize("readonly", [True, False])
def test_an_edited_row_is_an_error_that_names_it_and_no_miss(
    recorded: Path, edit: str, readonly: bool
) -> None:
    tamper(recorded / "tape.db", edit)
    with pytest.raises(JournalBroken, match="row 3 "):
        tape_at(recorded, readonly=readonly)


def test_a_cut_off_tail_is_an_error_that_names_the_first_row_gone(recorded: Path) -> None:
    tamper(recorded / "tape.db", "DELETE FROM journal WHERE seq >= 3")
    with pytest.raises(JournalBroken, match="row 3 is missing; 4 were written and row 2 is the"):
        replaying(recorded)


def test_a_file_cut_in_half_or_of_something_else_is_an_error(recorded: Path) -> None:
    file = recorded / "tape.db"
    whole_file = file.read_bytes()
    for content in (whole_file[: len(whole_file) // 2], whole_file[:100], b"no database at all"):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"tape\.db"):
            replaying(recorded)


@pytest.mark.parametrize("readonly", [True, False])
def test_another_journal_is_no_tape_and_is_left_as_it_is(tmp_path: Path, readonly: bool) -> None:
    """Named by mistake it would miss every question, or take replies in among the desk's rows."""
    with Journal.open(tmp_path / "tape.db") as journal:
        journal.append("cycle", {"n": 1}, NOW)
    with pytest.raises(DataError, match=r"no tape: row 1 is a cycle; name another file"):
        tape_at(tmp_path, readonly=readonly)
    with Journal.open(tmp_path / "tape.db", readonly=True) as journal:
        assert [row.kind for row in journal.rows()] == ["cycle"]


REPLY = {"code": "", "says": "", "said": None, "attempts": 1, "cost_nano_usd": 0, "latency_s": 0.0}
SAID = {"text": "", "stop_reason": "", "model": "", "request_id": "", "usage": None}
STRANGE: dict[str, tuple[str, dict[str, Any]]] = {
    "no reply": ("reply", {"id": "k"}),
    "no key": ("reply", {"reply": REPLY}),
    "a reply of text": ("reply", {"id": "k", "reply": "yes"}),
    "a list": ("reply", {"id": "k", "reply": [1]}),
    "a field too many": ("reply", {"id": "k", "reply": REPLY | {"mood": 1}}),
    "a field too few": ("reply", {"id": "k", "reply": {"code": ""}}),
    "said in other words": ("reply", {"id": "k", "reply": REPLY | {"said": "yes"}}),
    "another usage": ("reply", {"id": "k", "reply": REPLY | {"said": SAID | {"usage": {"n": 1}}}}),
    "a prompt without id": ("prompt", {"prompt": "evaluator/1"}),
    "a batch of nothing": ("batch", {"batch": "b"}),
    "a batch with one sum":
        ("batch", {"batch": "b", "asked": {"k": {}}, "worst_nano_usd": 7, "hold": 1}),
}  # fmt: skip


@pytest.mark.parametrize("row", STRANGE.values(), ids=STRANGE.keys())
def test_a_row_of_another_shape_is_an_error_that_names_it(
    tmp_path: Path, row: tuple[str, dict[str, Any]]
) -> None:
    with Journal.open(tmp_path / "tape.db") as journal:
        journal.append(*row, NOW)
    with pytest.raises(DataError, match=rf"^row 1 of the tape .*tape.db holds no {row[0]} that"):
        tape_at(tmp_path, readonly=True)


# --- several processes -------------------------------------------------------------------------

WRITE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from workbench.judges.asking import Reply
from workbench.judges.tape import Tape
folder, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
tape = Tape.open(folder / "tape.db", readonly=False)
for k in range(count):
    tape.add([(f"{name} {k}", {}, Reply("", name, None, 1, k, 0.0))], datetime.now(UTC))
print(len(tape))
"""


def test_two_processes_fill_one_tape_at_once_and_everybody_sees_it_all(tmp_path: Path) -> None:
    tape = tape_at(tmp_path)
    tape.add([("mine", ABOUT, GOOD)], NOW)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, tmp_path, name, "40"], cwd=ROOT,
                         stdout=subprocess.PIPE)
        for name in ("one", "two")
    ]  # fmt: skip
    ended_with = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert max(ended_with) == 81, "the last to write has seen the other's, and mine"
    assert len(tape) == 1
    tape.catch_up()
    for each in (tape, tape_at(tmp_path, readonly=True)):
        assert len(each) == 81
        for name in ("one", "two"):
            told = [each.get(f"{name} {k}") for k in range(40)]
            assert [reply and reply.cost_nano_usd for reply in told] == list(range(40))


def test_what_another_judge_has_asked_since_is_not_asked_again(tmp_path: Path) -> None:
    script = Script()
    with asking(tmp_path, lambda: script) as first, asking(tmp_path, lambda: script) as second:
        first([a_case()])
        second([a_case()])
    assert len(script.asked) == 1


# --- prompts -----------------------------------------------------------------------------------

OTHER = replace(PROMPT, text=PROMPT.text + " Be brief.")


def test_a_prompt_that_changed_after_its_use_is_refused(recorded: Path) -> None:
    said = f"prompt evaluator/1 was used as {PROMPT.id} and reads otherwise now .{OTHER.id}."
    with pytest.raises(UsageError, match=said):
        replaying(recorded, replace(TERMS, prompt=OTHER))
    with (
        pytest.raises(UsageError, match=said),
        asking(recorded, Script, terms=replace(TERMS, prompt=OTHER)),
    ):
        pass


def test_a_new_version_of_a_prompt_is_welcome(recorded: Path) -> None:
    terms = replace(TERMS, prompt=replace(OTHER, version=2))
    with asking(recorded, Script, terms=terms) as judge:
        assert judge([a_case()])[0].code == ""
    assert replaying(recorded, terms)([a_case()])[0].code == ""
    assert replaying(recorded)([a_case()])[0].code == "", "the first is as it was"


def test_a_prompt_that_another_process_put_on_the_tape_is_seen(tmp_path: Path) -> None:
    """Both had opened the tape before either used the name; the first text stands, for all."""
    mine, theirs = tape_at(tmp_path), tape_at(tmp_path)
    theirs.use(PROMPT, NOW)
    with pytest.raises(UsageError, match="reads otherwise now"):
        mine.use(OTHER, NOW)
    mine.use(PROMPT, NOW)
    with Journal.open(tmp_path / "tape.db", readonly=True) as journal:
        assert [row.body["id"] for row in journal.rows("prompt")] == [PROMPT.id]


def test_of_two_texts_put_under_one_name_in_the_same_moment_the_first_stands(
    tmp_path: Path,
) -> None:
    tape = tape_at(tmp_path)
    with Journal.open(tmp_path / "tape.db") as journal:
        for prompt in (PROMPT, OTHER):
            body = {"prompt": "evaluator/1", "id": prompt.id, "text": prompt.text}
            journal.append("prompt", body, NOW)
    for each in (tape, tape_at(tmp_path, readonly=True)):
        each.catch_up()
        each.refuse_changed(PROMPT)
        with pytest.raises(UsageError, match="reads otherwise now"):
            each.refuse_changed(OTHER)


def test_a_judge_whose_prompt_changed_meanwhile_asks_nobody(tmp_path: Path) -> None:
    script = Script()
    with (
        asking(tmp_path, lambda: script, terms=replace(TERMS, prompt=OTHER)) as late,
        asking(tmp_path, Script) as early,
    ):
        early([a_case()])
        with pytest.raises(UsageError, match="reads otherwise now"):
            late([a_case()])
    assert script.asked == []


# --- what is never on it -----------------------------------------------------------------------


def test_no_key_and_no_header_is_on_the_tape(tmp_path: Path) -> None:
    """Though the other side repeats the key in every error it makes."""
    echo = f"your key is {KEY}, as in Bearer {KEY}"
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": echo}}
    with on_server(tmp_path) as (judge, server):
        server.next(replace(error(400), body=body), replace(error(500), body=echo))
        for k in range(4):
            judge([a_case(features={"x": float(k)})])
        assert all(asked.headers["authorization"] == f"Bearer {KEY}" for asked in server.asked)
    bytes_on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"BAD_REQUEST" in bytes_on_disk
    for secret in (KEY, "sk-test", "authorization", "user-agent", "anthropic-version", "http://"):
        assert secret.encode() not in bytes_on_disk


def test_a_batch_stays_open_until_it_is_marked_done(tmp_path: Path) -> None:
    sent = Sent({"k": {"shown": "whole"}}, {"k": 7}, 3)
    tape = tape_at(tmp_path)
    tape.sent("batch 1", sent, NOW)
    tape.sent("batch 2", sent, NOW)
    other = tape_at(tmp_path)
    assert other.open_batches == {"batch 1": sent, "batch 2": sent}
    other.sent("batch 1", Sent({}, {}, 3), NOW)
    assert list(tape_at(tmp_path, readonly=True).open_batches) == ["batch 2"]
