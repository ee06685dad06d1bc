"""What a model's text must be to the letter; what is not is told in one short line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.judges import a_case
from tests.judges.judging import NOW, Script, asking, replaying
from tests.judges.model_server import GOOD, answer
from workbench.domain import Decision
from workbench.journal import Journal
from workbench.judges.answer import SCHEMA, Answer, read_answer
from workbench.judges.provider import Code, Refused

SHOWN = {"ema_adx", "h1"}
HALF = "\ud800"  # half a surrogate pair: a str, and no text


def read(text: str) -> Answer:
    return read_answer(text, SHOWN)


def refused(text: str) -> Refused:
    with pytest.raises(Refused) as no:
        read(text)
    return no.value


@pytest.mark.parametrize(
    "text",
    [
        f" \t\r\n{answer()}\n\n",
        json.dumps(GOOD, indent=2),
        json.dumps(dict(reversed(GOOD.items()))),
        answer().replace("decision", "decisio\\u006e"),
        answer(evidence_ids=["h1"] * 60),
        answer(rationale="x" * 600),
        answer(rationale="\U0001f642" * 600),
    ],
    ids=["space around", "indented", "other order", "escaped", "60 ids", "600", "600 emoji"],
)
def test_json_may_be_written_as_json_may_be(text: str) -> None:
    assert read(text).decision == Decision.PROCEED


@pytest.mark.parametrize("confidence", [0, 100])
def test_confidence_goes_from_0_to_100(confidence: int) -> None:
    assert read(answer(confidence=confidence)).confidence == confidence


BAD = {
    "61 ids": answer(evidence_ids=["h1"] * 61),
    "601 characters": answer(rationale="x" * 601),
    "no rationale": answer(rationale=""),
    "a rationale of spaces": answer(rationale=" \u3000\n\t "),
    "null for a rationale": answer(rationale=None),
    "ids that are no list": answer(evidence_ids="h1"),
    "an id that is a number": answer(evidence_ids=[1]),
    "-1": answer(confidence=-1),
    "101": answer(confidence=101),
    "a text for a number": answer(confidence="61"),
    "61.0": answer(confidence=61.0),
    "an exponent": answer().replace("61", "6e1"),
    "digits of another script": answer().replace("61", "\u0666\u0661"),
    "a plus sign": answer().replace("61", "+61"),
    "a leading zero": answer().replace("61", "061"),
    "5,000 digits": answer().replace("61", "9" * 5000),
    "4,000 digits": answer().replace("61", "9" * 4000),
    "-Infinity": answer().replace("61", "-Infinity"),
    "more than a float": answer().replace("61", "1e400"),
    "a byte order mark": "\ufeff" + answer(),
    "a space that is none of JSON's": answer() + "\u00a0",
    "a NUL after it": answer() + "\0",
    "a comma too many": answer()[:-1] + ",}",
    "single quotes": answer().replace('"', "'"),
    "a comment": answer() + " // sure",
    "a decision with a letter from elsewhere": answer(decision="PROC\u0415ED"),
    "a decision with a space": answer(decision="PROCEED "),
    "a decision in a list": answer(decision=["PROCEED"]),
    "a key of its own": answer()[:-1] + ', "__class__": "x"}',
    "a key twice, written otherwise": answer()[:-1] + ', "decisio\\u006e": "PROCEED"}',
    "a text in a text": json.dumps(answer()),
    "null": "null",
    "10,000 lists": "[" * 10_000 + "]" * 10_000,
    "100,000 objects": '{"a":' * 100_000,
    "10,000 lists inside": answer()[:-1] + ', "x": ' + "[" * 10_000 + "]" * 10_000 + "}",
    "half a pair as rationale": answer(rationale=HALF),
    "half a pair as decision": answer(decision=HALF),
    "half a pair as a key": answer(**{HALF: 1}),
    "half a pair that is not escaped": answer(rationale="@").replace("@", HALF),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_anything_else_is_no_answer(text: str) -> None:
    no = refused(text)
    assert no.code == Code.INVALID
    assert 0 < len(no.says) <= 200
    assert no.says.isprintable()
    assert no.says.encode()


@pytest.mark.parametrize("id", ["h2", "H1", "h1 ", "", HALF, "x" * 100_000, "\x1b[2J\nh1"])
def test_evidence_that_was_not_shown_is_named_in_one_short_line(id: str) -> None:
    no = refused(answer(evidence_ids=["h1", id]))
    assert no.code == Code.EVIDENCE
    assert len(no.says) <= 300
    assert no.says.isprintable()


def test_a_key_of_its_own_cannot_write_a_page_into_the_record() -> None:
    """Whoever steers the model writes what stands in the journal, so it is kept short."""
    no = refused(answer(**{"\x1b[31m<b>" + "PROCEED " * 5_000: 1}))
    assert len(no.says) <= 200
    assert "\x1b" not in no.says


def test_a_key_that_a_model_repeats_is_not_told() -> None:
    no = refused(answer(**{"sk-ant-api03-0123456789abcdef": 1}))
    assert "0123456789" not in no.says


def test_the_schema_asks_for_the_same_shape() -> None:
    """Reasons before the decision, nothing beside the four keys."""
    assert list(SCHEMA["properties"]) == ["rationale", "evidence_ids", "confidence", "decision"]
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"]) == set(GOOD)
    assert SCHEMA["additionalProperties"] is False
    assert SCHEMA["properties"]["decision"]["enum"] == ["PROCEED", "REDUCE", "SKIP"]


HOSTILE = {
    "half a pair, escaped": (answer(rationale=HALF), "INVALID"),
    "half a pair as an id": (answer(evidence_ids=[HALF]), "EVIDENCE"),
    "NUL and escapes": (answer(rationale="a\0b\x1b[2J\u202ec\u2028d"), ""),
    "markup": (answer(rationale="<script>alert(1)</script>"), ""),
    "nested": ("[" * 10_000, "INVALID"),
    "half a pair as it is": ('{"rationale": "' + HALF, "INVALID"),
}


@pytest.mark.parametrize(("text", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_no_text_breaks_the_tape_or_the_journal(tmp_path: Path, text: str, code: str) -> None:
    """What was said comes back the same from the tape, and its verdict from a journal."""
    with asking(tmp_path, lambda: Script(lambda _: text)) as judge:
        (said,) = judge([a_case()])
    assert said.code == code
    assert replaying(tmp_path)([a_case()]) == [said]
    with Journal.open(tmp_path / "journal.db") as journal:
        journal.append("verdict", {"verdict": said}, NOW)
        (row,) = journal.rows()
        assert row.body["verdict"]["rationale"] == said.rationale
        assert journal.verify().seq == 1
