"""Prompt files: whatever is wrong with one is a sentence; what a model reads decides the id."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.judges import AS_OF, a_headline
from tests.judges.judging import VOTES
from tests.recorded import ROOT
from workbench.domain import Case
from workbench.errors import UsageError
from workbench.judges.case import SCHEMA, message
from workbench.judges.prompt import OURS, prompts_in, read_prompt

FACTS = 'model = "claude-haiku-5-5"\neffort = "low"\nmax_tokens = 1024\nhypothesis = "Shorter."\n'
TEXT = "You review one trade. " * 20

# evaluator/1 is in use. A used prompt is never changed: save the new text as a new version.
EVALUATOR_1 = "evaluator/1 9635146c15a8a70d"
LAYOUT = 3
PROGRAM = "from workbench.judges.prompt import read_prompt; print(read_prompt('evaluator/1').id)"


def put(folder: Path, name: str = "mine/2", facts: str = FACTS, text: str = TEXT) -> Path:
    file = folder / f"{name}.md"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"+++\n{facts}+++\n{text}\n", "utf-8", newline="")
    return file


# --- ours ----------------------------------------------------------------------------------------


def test_a_used_prompt_is_never_changed() -> None:
    """Nor are the answer's schema and the layout of a case, which a model reads with it."""
    assert read_prompt("evaluator/1").id == EVALUATOR_1


def test_every_prompt_of_ours_can_be_read() -> None:
    names = prompts_in(OURS)
    assert "evaluator/1" in names
    for name in names:
        prompt = read_prompt(name)
        assert f"{prompt.name}/{prompt.version}" == name
        assert prompt.hypothesis


def test_an_id_is_the_same_in_every_process() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            capture_output=True, text=True, check=True, cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("0", "7")
    }  # fmt: skip
    assert told == {EVALUATOR_1}


# --- one's own -----------------------------------------------------------------------------------


def test_a_folder_of_ones_own_goes_before_ours_and_ours_are_there_still(tmp_path: Path) -> None:
    put(tmp_path, "evaluator/1")
    put(tmp_path)
    assert read_prompt("mine/2", tmp_path).text == TEXT.strip()
    assert read_prompt("evaluator/1", tmp_path).text == TEXT.strip()
    (tmp_path / "evaluator/1.md").unlink()
    assert read_prompt("evaluator/1", tmp_path).id == EVALUATOR_1


def test_facts_are_read(tmp_path: Path) -> None:
    put(tmp_path, facts=FACTS + "parent = 1\n")
    prompt = read_prompt("mine/2", tmp_path)
    assert (prompt.name, prompt.version, prompt.model) == ("mine", 2, "claude-haiku-5-5")
    assert (prompt.effort, prompt.max_tokens, prompt.parent) == ("low", 1024, 1)
    assert prompt.hypothesis == "Shorter."


@pytest.mark.parametrize(
    "text",
    [TEXT + "  \n\n\t\n", "\n\n  " + TEXT, TEXT.strip() + "\r\n"],
    ids=["space after it", "space before it", "another system's line end"],
)
def test_space_around_the_text_is_nothing(tmp_path: Path, text: str) -> None:
    put(tmp_path)
    first = read_prompt("mine/2", tmp_path).id
    put(tmp_path, text=text)
    assert read_prompt("mine/2", tmp_path).id == first


def test_line_ends_of_another_system_are_the_same_prompt(tmp_path: Path) -> None:
    text = TEXT + "\n- one\n- two\n"
    file = put(tmp_path, text=text)
    first = read_prompt("mine/2", tmp_path)
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_prompt("mine/2", tmp_path) == first


@pytest.mark.parametrize(
    "text", [TEXT + ".", TEXT.replace("one", "One"), TEXT.replace(" one", "  one"), TEXT + "\u200b"]
)
def test_any_other_character_is_another_prompt(tmp_path: Path, text: str) -> None:
    put(tmp_path)
    first = read_prompt("mine/2", tmp_path).id
    put(tmp_path, text=text)
    assert read_prompt("mine/2", tmp_path).id != first


def test_facts_of_a_call_are_no_part_of_the_id(tmp_path: Path) -> None:
    """They stand beside it on the tape, each for itself."""
    put(tmp_path)
    prompt = read_prompt("mine/2", tmp_path)
    assert replace(prompt, effort="high", max_tokens=2048, model="x").id == prompt.id


# --- what is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["", "mine", "mine/", "/2", "mine/0", "mine/02", "mine/-1", "mine/1.5", "mine/2.md",
     "../mine/2", "mine/../mine/2", "/etc/passwd", "mine\\2", "Mine/2", "mine /2", "mine/2\n",
     "mine/\u0662", "mine/10000", "m" * 41 + "/1", "mine/2\0"],
)  # fmt: skip
def test_what_is_no_name_reaches_no_file(tmp_path: Path, name: str) -> None:
    put(tmp_path)
    with pytest.raises(UsageError, match="is no name; write it as evaluator/1"):
        read_prompt(name, tmp_path)


def test_what_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "mine/README.md").write_text("not a prompt")
    for name, near in (("mine/3", "mine/2"), ("evaluater/1", "evaluator/1"), ("minx/2", "mine/2")):
        with pytest.raises(UsageError, match=f"no prompt {name}; the nearest is {near}$"):
            read_prompt(name, tmp_path)


def test_a_folder_that_is_not_there_is_said_and_ours_are_not_taken_for_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="promts is no folder of prompts"):
        read_prompt("evaluator/1", tmp_path / "promts")


FAULTS = {
    "no facts": ("", TEXT, "no facts between two lines"),
    "facts that are no TOML": ("model = claude\n", TEXT, "cannot be read"),
    "a fact twice": (FACTS + "max_tokens = 512\n", TEXT, "cannot be read"),
    "an unknown fact": (FACTS + "temperature = 0.0\n", TEXT, "temperature: Extra inputs"),
    "no model": (FACTS.replace("model", "modell", 1), TEXT, "model: Field required"),
    "an empty model": (FACTS.replace("claude-haiku-5-5", ""), TEXT, "model: String should"),
    "no hypothesis": (FACTS.replace("Shorter.", ""), TEXT, "hypothesis: String should"),
    "an effort that is none": (FACTS.replace("low", "lowest"), TEXT, "effort: Input should"),
    "a text for a number": (FACTS.replace("1024", '"1024"'), TEXT, "max_tokens: Input should"),
    "half a token": (FACTS.replace("1024", "1024.5"), TEXT, "max_tokens: Input should"),
    "true tokens": (FACTS.replace("1024", "true"), TEXT, "max_tokens: Input should"),
    "too few tokens": (FACTS.replace("1024", "255"), TEXT, "max_tokens: Input should"),
    "too many tokens": (FACTS.replace("1024", "32001"), TEXT, "max_tokens: Input should"),
    "a parent before the first": (FACTS + "parent = -1\n", TEXT, "parent: Input should"),
    "its own parent": (FACTS + "parent = 2\n", TEXT, "parent 2 is no earlier version"),
    "a later parent": (FACTS + "parent = 3\n", TEXT, "parent 3 is no earlier version"),
    "no instructions": (FACTS, "", "only 0 characters"),
    "hardly any": (FACTS, " " * 500 + "Proceed.", "only 8 characters"),
}


@pytest.mark.parametrize(("facts", "text", "says"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_a_sentence_with_the_file(
    tmp_path: Path, facts: str, text: str, says: str
) -> None:
    file = put(tmp_path, facts=facts, text=text)
    with pytest.raises(UsageError) as wrong:
        read_prompt("mine/2", tmp_path)
    assert str(file) in str(wrong.value)
    assert says in str(wrong.value)


@pytest.mark.parametrize(
    "raw",
    [b"", TEXT.encode(), b"+++\n" + FACTS.encode(), b"+++\n" + FACTS.encode() + b"+++\n\xff" * 99],
    ids=["empty", "text alone", "facts without an end", "not UTF-8"],
)
def test_a_file_that_is_no_prompt_is_named(tmp_path: Path, raw: bytes) -> None:
    file = put(tmp_path)
    file.write_bytes(raw)
    with pytest.raises(UsageError, match=r"mine/2\.md"):
        read_prompt("mine/2", tmp_path)


def test_a_folder_in_a_prompts_place_is_no_prompt(tmp_path: Path) -> None:
    (tmp_path / "mine/2.md").mkdir(parents=True)
    with pytest.raises(UsageError, match="there is no prompt mine/2"):
        read_prompt("mine/2", tmp_path)


# --- the case beside it --------------------------------------------------------------------------

FIXED = Case(
    as_of=AS_OF, symbol="BTC/USDT", side=1, signals=VOTES, regime="trending",
    features={"return_24h": 0.0125, "vix": None, "sentiment": 2.0, "odds.fed cuts": 0.7},
    headlines=(a_headline("R\u00e9sum\u00e9: \"Bitcoin\" rises"),),
    missing=("headlines", "netflow"), silent=("whale_flow",), bracket={"stop": 0.02},
    ages={"headlines": 0.5, "netflow": float("inf")}, withheld=2,
)  # fmt: skip
WHOLE = (
    '{"as_of":"2024-03-05T12:00:00Z","symbol":"BTC/USDT","wanted":"long","bracket":{"stop":"0.02"}'
    ',"regime":"trending","votes":[{"id":"ema_adx","category":"trend","side":"long","confidence":'
    '"61.25","calibrated_on_outcomes":300},{"id":"news_sentiment","category":"event","side":"long"'
    ',"confidence":"57","calibrated_on_outcomes":0}],"silent":["whale_flow"],"features":'
    '{"odds.fed cuts":"0.7","return_24h":"0.0125","sentiment":"2","vix":null},"headlines":[{"id":'
    '"h1","first_seen":"2024-03-05T12:00:00Z","source":"wire","title":"R\u00e9sum\u00e9: '
    '\\"Bitcoin\\" rises"}],"missing_or_stale":["headlines","netflow"],"hours_since_heard":'
    '{"headlines":"0.5","netflow":"never"},"headlines_withheld":2}'
)
NUMBERS = (
    '{"as_of":"2024-03-05T12:00:00Z","symbol":"BTC/USDT","wanted":"long","bracket":{"stop":"0.02"}'
    ',"regime":"trending","votes":[{"id":"ema_adx","category":"trend","side":"long","confidence":'
    '"61.25","calibrated_on_outcomes":300}],"silent":["whale_flow"],"features":{"return_24h":'
    '"0.0125","vix":null},"headlines":"not shown","missing_or_stale":["netflow"],'
    '"hours_since_heard":{"netflow":"never"}}'
)


def test_the_layout_of_a_case_is_what_the_prompts_were_written_for() -> None:
    """Another byte here is another question under the same name: raise SCHEMA in case.py, which
    changes every prompt's id, and then the texts below."""
    assert message(FIXED, words=True) == WHOLE
    assert message(FIXED, words=False) == NUMBERS
    assert SCHEMA == LAYOUT
