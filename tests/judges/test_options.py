"""A judge from desk.toml: what may be said there, what is refused, and that no key is ever told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.judges import a_case
from tests.judges.judging import PROMPT, worded
from tests.judges.model_server import ModelServer, answer
from tests.recorded import ROOT
from workbench.calibration import Calibration, Curve, calibrations_to_json
from workbench.desk import judge_place, load_desk, load_judge, load_judge_options
from workbench.domain import Case, Decision, Verdict
from workbench.errors import DataError, UsageError
from workbench.judges.model_judge import ModelJudge
from workbench.judges.rubric import rubric
from workbench.ports import Judge

KEY = "sk-ant-api03-" + "Zq7" * 12
LOCAL = """[judges.local]
adapter = "openai_compatible"
base_url = "http://127.0.0.1:1/v1"
model = "a-model"
usd_per_mtok_input = 0.0
usd_per_mtok_output = 0.0
"""
Load = Callable[..., Judge]


def write(folder: Path, text: str) -> Path:
    """A desk.toml with this text, in a folder that is not the working one."""
    (folder / "home").mkdir(exist_ok=True)
    file = folder / "home/desk.toml"
    file.write_text(text)
    return file


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no desk.toml of the machine reaches these tests."""
    for name in [n for n in os.environ if n.startswith(("WORKBENCH_", "ANTHROPIC_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """The judge of a desk.toml with this text."""

    def loaded(text: str, name: str = "claude", mode: str = "") -> Judge:
        return load_judge(name, write(tmp_path, text), mode=mode)

    return loaded


def claude(**options: object) -> str:
    return "[judges.claude]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in options.items())


def one(judge: Judge, case: Case | None = None) -> Verdict:
    (said,) = judge([case or a_case()])
    return said


# --- which judge it is ---------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "", " \n"], ids=["unset", "empty", "blank"])
def test_without_a_key_it_is_the_rubric_and_says_so(
    load: Load, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    if key is not None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    judge = load(claude(mode="record"))
    said = one(judge)
    assert said.source == "RUBRIC (not an LLM), ANTHROPIC_API_KEY is not set"
    assert said.decision == rubric([a_case()])[0].decision
    assert judge.__name__ == "rubric, ANTHROPIC_API_KEY is not set"


def test_a_replay_without_a_tape_is_one_sentence(load: Load, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"there is no tape at .*home/var/tape.db; record one with"
    ):
        load("")
    assert not (tmp_path / "home/var").exists(), "and it makes none"


def test_a_recording_is_replayed_without_a_key_from_the_files_own_folder(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelServer() as server:
        told = claude(mode="record", base_url=server.url, tape="t/a.db", budget="b/c.db")
        monkeypatch.setenv("ANTHROPIC_API_KEY", f"{KEY}\n")  # as a file has it
        judge = load(told)
        assert isinstance(judge, ModelJudge)
        assert judge.live is not None
        with judge.live:
            first = one(judge, worded())
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
        assert first.code == ""
        monkeypatch.delenv("ANTHROPIC_API_KEY")
        assert one(load(told.replace("record", "replay")), worded()) == first
        assert one(load(told, mode="replay"), worded()) == first
        assert len(server.asked) == 2
    assert (tmp_path / "home/t/a.db").is_file()
    assert (tmp_path / "home/b/c.db").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home"], "nothing where it was started"


def test_a_replay_loads_no_vendor_and_opens_no_socket(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it look for the key that is set."""
    with ModelServer() as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        judge = load(claude(base_url=server.url), mode="record")
        assert isinstance(judge, ModelJudge)
        one(judge)
        judge.live.close()  # type: ignore[union-attr]
    program = """
import socket, sys
def told(event, args):
    assert not event.startswith(("socket.connect", "socket.getaddrinfo")), event
sys.addaudithook(told)
from tests.judges import a_case
from workbench.desk import load_judge
print(load_judge("claude", sys.argv[1])([a_case()])[0].decision.value)
print([name for name in sys.modules if name.split(".")[0] in ("anthropic", "openai", "httpx2")])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "home/desk.toml")],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["PROCEED", "[]"], done.stderr


def test_a_model_of_ones_own_works_and_is_replayed(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key no header is sent; with one the variable that it names."""
    with ModelServer(lambda _: answer(decision="REDUCE")) as server:
        told = LOCAL.replace("http://127.0.0.1:1/v1", server.openai_url)
        for key_name, header in (("", None), ("MY_KEY", "Bearer secret-7")):
            monkeypatch.setenv("MY_KEY", "secret-7")
            own = told + f'key_name = "{key_name}"\ntape = "{key_name or "none"}.db"\n'
            if not key_name:
                own = own.replace('key_name = ""\n', "")
            judge = load(own, "local", mode="record")
            assert isinstance(judge, ModelJudge)
            with judge.live:  # type: ignore[union-attr]
                said = one(judge)
            assert (said.decision, said.code, said.cost_usd) == (Decision.REDUCE, "", 0.0)
            assert (said.model, said.knowledge) == ("a-model", "unknown")
            assert server.asked[-1].headers.get("authorization") == header
            assert one(load(own, "local")) == said
        assert len(server.asked) == 2


def test_a_desk_of_a_file_has_the_judge_of_that_file(load: Load, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no tape"):
        load('[desk]\njudge = "mine"\n[judges.mine]\nadapter = "claude"\n', "mine")
    with pytest.raises(UsageError, match="there is no tape"):
        load_desk(tmp_path / "home/desk.toml")


# --- what is refused -----------------------------------------------------------------------------

REFUSED = {
    "an unknown option": (claude(promt="evaluator/1"), "no option promt; the nearest is prompt"),
    "an unknown prompt": (claude(prompt="evaluatr/1"), "the nearest is evaluator/1"),
    "a prompt's path": (claude(prompt="../evaluator/1"), "is no name"),
    "an unknown model": (claude(model="claude-haiku-5"), "the nearest is claude-haiku-5-5"),
    "refresh in a file": (claude(mode="refresh"), "mode: Input should be 'replay' or 'record'"),
    "a mode that is none": (claude(mode=True), "mode: Input should be"),
    "three passes": (claude(passes=3), "passes: Input should be 1 or 2"),
    "no pass": (claude(passes=0), "passes: Input should be 1 or 2"),
    "no time": (claude(deadline_s=0), "deadline_s must be above 0"),
    "time back": (claude(deadline_s=-1.0), "deadline_s must be above 0"),
    "a day": (claude(deadline_s=86_400), "deadline_s must be above 0 and at most 600"),
    "no number of seconds": (claude() + "deadline_s = nan\n", "deadline_s must be above 0"),
    "nobody at once": (claude(concurrency=0), "concurrency 1 to 256"),
    "a debt a day": (claude(usd_per_day=-0.01), "usd_per_day and usd_per_run must be 0 or more"),
    "a debt a run": (claude(usd_per_run=-1), "usd_per_day and usd_per_run must be 0 or more"),
    "all the money": (claude() + "usd_per_day = inf\n", "usd_per_day and usd_per_run must be 0"),
    "no money": (claude() + "usd_per_run = nan\n", "usd_per_day and usd_per_run must be 0"),
    "words for money": (claude(usd_per_day="a lot"), "usd_per_day: Input should be"),
    "no address": (claude(base_url=""), "base_url: it is no address"),
    "no scheme": (claude(base_url="localhost:11434/v1"), "base_url: it is no address"),
    "a file": (claude(base_url="file:///etc/passwd"), "base_url: it is no address"),
    "half an address": (claude(base_url="http://[::1"), "base_url: it is no address"),
    "a port that is none": (claude(base_url="http://h:99999"), "base_url: it is no address"),
    "no variable": (claude(key_name=""), "key_name: it is no variable's name"),
    "a folder that is not there": (claude(prompts="none"), "home/none is no folder of prompts"),
    "prices of another adapter": (claude(usd_per_mtok_input=0.0), "has no option usd_per_mtok_inp"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "says"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("mode", ["replay", "record"])
def test_a_wrong_option_is_one_sentence_in_either_mode(
    load: Load, monkeypatch: pytest.MonkeyPatch, text: str, says: str, mode: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with pytest.raises(UsageError) as wrong:
        load(text, mode=mode)
    assert says in str(wrong.value)
    assert "\n" not in str(wrong.value)
    assert KEY not in str(wrong.value)


@pytest.mark.parametrize(
    "option", ["model", "base_url", "usd_per_mtok_input", "usd_per_mtok_output"]
)
def test_a_model_of_ones_own_needs_its_address_name_and_prices(load: Load, option: str) -> None:
    lines = [line for line in LOCAL.splitlines() if not line.startswith(option)]
    with pytest.raises(UsageError, match=rf"^judges.local: {option}: Field required$"):
        load("\n".join(lines), "local", mode="record")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("usd_per_mtok_output = -1", "usd_per_mtok_output of a-model is -1.0"),
        ("usd_per_mtok_input = nan", "usd_per_mtok_input of a-model is nan"),
        ('knowledge_until = "soon"', "knowledge_until: "),
        ('token_limit = "messages"', "token_limit: Input should be '', 'max_tokens' or"),
        ('model = ""', "model: String should have at least 1 character"),
    ],
)
def test_its_options_are_looked_at(load: Load, line: str, says: str) -> None:
    name = line.partition(" = ")[0]
    kept = [each for each in LOCAL.splitlines() if not each.startswith(name)]
    with pytest.raises(UsageError) as wrong:
        load("\n".join([*kept, line]), "local", mode="record")
    assert says in str(wrong.value)


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("[judges.rubric]\nsharp = true\n", "rubric", "judges.rubric: rubric has no options"),
        ("[judges.x]\nadapter = 'always'\nrate = 1\n", "x", "always has no options; leave rate"),
        ("", "clade", "no 'clade' among the installed judges; the nearest is claude"),
        ("[judges.x]\nadapter = 'clode'\n", "x", "no 'clode' among the installed judges"),
    ],
)
def test_a_judge_that_is_none_or_has_no_options_is_said(
    load: Load, text: str, name: str, says: str
) -> None:
    with pytest.raises(UsageError) as wrong:
        load(text, name)
    assert says in str(wrong.value)


# --- a coin --------------------------------------------------------------------------------------


def test_a_coin_falls_the_same_way_in_every_run_and_at_its_rate(load: Load) -> None:
    cases = [a_case(features={"x": float(k)}) for k in range(1_000)]
    text = "[judges.a]\nadapter = 'random'\nrate = 0.3\nseed = 7\n"
    first, again = load(text, "a")(cases), load(text, "a")(list(reversed(cases)))
    assert first == list(reversed(again)), "by the case, not by its turn"
    skipped = sum(said.decision == Decision.SKIP for said in first)
    assert 240 < skipped < 360, "0.3 of 1,000, four deviations of 14.5 either way"
    other = load(text.replace("7", "8"), "a")(cases)
    assert [v.decision for v in other] != [v.decision for v in first]
    for rate, share in (("0", 0), ("1.0", 1_000)):
        said = load(f"[judges.random]\nrate = {rate}\n", "random")(cases)
        assert sum(v.decision == Decision.SKIP for v in said) == share


def test_a_rare_coin_does_not_say_that_it_never_skips(load: Load) -> None:
    assert (
        one(load("[judges.random]\nrate = 0.004\n", "random")).source == "COIN at 0.4% (no judge)"
    )
    assert one(load("", "random")).source == "COIN at 30% (no judge)"


@pytest.mark.parametrize("rate", ["1.5", "-0.1", "nan", "inf", '"half"'])
def test_a_rate_that_is_no_share_is_refused(load: Load, rate: str) -> None:
    with pytest.raises(UsageError, match="rate"):
        load(f"[judges.random]\nrate = {rate}\n", "random")


# --- a key is told nowhere -----------------------------------------------------------------------


@pytest.mark.parametrize("option", ["key_name", "base_url", "api_key", "key", "model", "prompt"])
@pytest.mark.parametrize("mode", ["replay", "record"])
def test_a_key_put_where_it_does_not_belong_is_refused_and_not_repeated(
    load: Load, option: str, mode: str
) -> None:
    """The name of the variable stands on every verdict, and the address on every row of a tape."""
    value = f"https://{KEY}.example/v1" if option == "base_url" else KEY
    with pytest.raises(UsageError) as wrong:
        load(claude(**{option: value}), mode=mode)
    if option not in ("model", "prompt"):  # these are told, for nobody finds a typo otherwise
        assert KEY not in str(wrong.value)


@pytest.mark.parametrize(
    "address",
    ["https://me:pass@host/v1", "https://me@host", "https://host/v1?key=abc", "https://host/#abc"],
)
def test_an_address_holds_no_password(load: Load, address: str) -> None:
    with pytest.raises(UsageError, match="holds a password, a query or a key") as wrong:
        load(claude(base_url=address))
    assert "pass@" not in str(wrong.value)
    assert "abc" not in str(wrong.value)


def test_no_part_of_a_judge_shows_the_key(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what it is made of, nor what it says, nor the files that it keeps."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with ModelServer() as server:
        judge = load(claude(base_url=server.url), mode="record")
        assert isinstance(judge, ModelJudge)
        live = judge.live
        assert live is not None
        with live:
            said = one(judge)
            shown = [judge, said, live, live._provider, live.purse, judge.tape, judge.terms,
                     load_judge_options("claude", tmp_path / "home/desk.toml")]  # fmt: skip
            for each in shown:
                assert KEY not in f"{each!r} {each!s}"
    kept = b"".join(p.read_bytes() for p in (tmp_path / "home").rglob("*") if p.is_file())
    assert b"claude-haiku-5-5" in kept
    assert KEY.encode() not in kept


# --- calibration ---------------------------------------------------------------------------------


def curves(n: int = 120) -> str:
    made = Curve(pd.Timestamp("2024-01-01", tz="UTC"), "shrunk", n, 54, (50.0,), (0.45,))
    found = {f"claude-haiku-5-5 {PROMPT.id}": Calibration((made,))}
    return json.dumps(calibrations_to_json(found))


def test_curves_are_read_from_the_file_that_is_named(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/curves.json").write_text(curves())
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with ModelServer() as server:
        told = claude(base_url=server.url, calibration="curves.json")
        judge = load(told, mode="record")
        with judge.live:  # type: ignore[attr-defined]
            said = one(judge)
    assert (said.confidence, said.chance, said.outcomes) == (61.0, 0.45, 120)
    plain = load(claude())
    assert one(plain).chance is None
    assert plain.__name__ != judge.__name__, "another judge"


@pytest.mark.parametrize(
    ("name", "other"), [("haiku", "opus"), (PROMPT.id[-6:], "000000"), ("evaluator/1", "mine/1")]
)
def test_curves_of_another_model_or_prompt_are_not_taken(
    load: Load, tmp_path: Path, name: str, other: str
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/curves.json").write_text(curves().replace(name, other))
    options = load_judge_options("claude", write(tmp_path, claude(calibration="curves.json")))
    assert options.terms(judge_place(tmp_path / "home/desk.toml")).calibration is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "curves.json cannot be read"),
        ("", "curves.json: the calibration is none"),
        ("{", "curves.json: the calibration is none"),
        ("[]", "curves.json: the calibration is none"),
        (curves().replace("0.45", "1.45"), "curves.json: the curve of"),
        (curves().replace("120", "true"), "curves.json: the calibration is none"),
        (curves().replace('"n"', '"m"'), "curves.json: the calibration is none"),
    ],
    ids=["missing", "empty", "cut off", "a list", "more than certain", "no number", "a key"],
)
def test_curves_that_are_none_are_said_and_nothing_judges(
    load: Load, tmp_path: Path, text: str | None, says: str
) -> None:
    (tmp_path / "home").mkdir()
    if text is not None:
        (tmp_path / "home/curves.json").write_text(text)
    with pytest.raises(DataError) as wrong:
        load(claude(calibration="curves.json"))
    assert says in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_only_who_says_so_may_ask_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay, a notebook and a sweep have the tape alone, whatever desk.toml says."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test-0123456789")
    file = tmp_path / "desk.toml"
    file.write_text("[desk]\njudge = 'claude'\n[judges.claude]\nmode = 'record'\n")
    asking = load_desk(file, judge_mode="").judge
    assert isinstance(asking, ModelJudge)
    assert asking.live is not None
    asking.tape.close()
    for judge in (load_desk(file).judge, load_judge("claude", file)):
        assert isinstance(judge, ModelJudge)
        assert judge.live is None
        judge.tape.close()
