"""Every reply a model gave, kept, so that a run can be run again without asking anybody.

A tape is a journal of its own: append-only, each row sealed to the one before, shared by processes.
A reply is found by what was asked: provider, model, prompt, effort, length, case, and whether the
case was shown whole. Refusals and outages are on it too, so a replay has them again. It never asks
anybody, keeps no key and no header, and a damaged one is an error and not a miss.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from workbench.errors import DataError, UsageError
from workbench.journal import Entry, Journal
from workbench.judges.asking import Reply
from workbench.judges.prompt import Prompt
from workbench.judges.provider import Said, Usage

REPLY, PROMPT, BATCH = "reply", "prompt", "batch"


def key_of(provider: str, model: str, prompt: Prompt, case_hash: str, shown: str) -> str:
    """What names a reply: sha256 over all that decides what is asked."""
    asked = [provider, model, prompt.id, prompt.effort, prompt.max_tokens, case_hash, shown]
    return hashlib.sha256(json.dumps(asked, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Sent:
    """A batch on its way: by key what was asked and the worst it may cost; the budget's hold."""

    asked: Mapping[str, Mapping[str, Any]]
    worst_nano_usd: Mapping[str, int]
    hold: int


class Tape:
    """An open tape. Of several replies under one key the last counts."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self._seen = journal, 0
        self._replies: dict[str, Reply] = {}
        self._prompts: dict[str, str] = {}
        self._open_batches: dict[str, Sent] = {}

    @classmethod
    def open(cls, path: Path, *, readonly: bool) -> Self:
        """Walk the whole chain and read it. Raises UsageError if it is not there to be read,
        JournalBroken (a DataError) naming the first bad row."""
        if readonly and not path.exists():
            raise UsageError(
                f"there is no tape at {path}; record one with `workbench judge record`, or name"
                " another in desk.toml"
            )
        tape = cls(Journal.open(path, readonly=readonly))
        tape._journal.verify()
        tape.catch_up()
        return tape

    def catch_up(self) -> None:
        """Read what others have written since."""
        for row in self._journal.rows(after=self._seen):
            self._seen = row.seq
            self._read(row)

    def __len__(self) -> int:
        return len(self._replies)

    def get(self, key: str) -> Reply | None:
        return self._replies.get(key)

    def use(self, prompt: Prompt, now: datetime) -> None:
        """Put the prompt on the tape. Raises UsageError if it was there with another text: what was
        recorded under its name would no longer be what the file says."""
        named = f"{prompt.name}/{prompt.version}"
        self.catch_up()
        if named not in self._prompts:
            body = {"prompt": named, "id": prompt.id, "text": prompt.text}
            self._write([(PROMPT, body, now)])
        self.refuse_changed(prompt)  # last, for another process may have been first

    def refuse_changed(self, prompt: Prompt) -> None:
        """Raises UsageError if the prompt was used with another text."""
        named = f"{prompt.name}/{prompt.version}"
        if self._prompts.get(named, prompt.id) != prompt.id:
            raise UsageError(
                f"prompt {named} was used as {self._prompts[named]} and reads otherwise now"
                f" ({prompt.id}); bring the old text back, and save the new one as a new version"
            )

    def add(self, told: Iterable[tuple[str, Mapping[str, Any], Reply]], now: datetime) -> None:
        """Keep replies: key, what was asked in words, reply. All are on the disk when this
        returns."""
        self._write([
            (REPLY, {"id": key, "asked": dict(asked), "reply": asdict(reply)}, now)
            for key, asked, reply in told
        ])  # fmt: skip

    def sent(self, batch: str, sent: Sent, now: datetime) -> None:
        """Remember a batch; one that asks nothing is done with."""
        self._write([(BATCH, {"batch": batch, **asdict(sent)}, now)])

    @property
    def open_batches(self) -> Mapping[str, Sent]:
        """The batches that are not collected, by id."""
        return dict(self._open_batches)

    def close(self) -> None:
        self._journal.close()

    def _write(self, rows: list[tuple[str, dict[str, Any], datetime]]) -> None:
        self._journal.append_many(rows)
        self.catch_up()

    def _read(self, row: Entry) -> None:
        body = row.body
        try:
            if row.kind == REPLY:
                self._replies[body["id"]] = _reply(body["reply"])
            elif row.kind == PROMPT:
                self._prompts.setdefault(body["prompt"], body["id"])
            elif row.kind == BATCH:
                sent = Sent(dict(body["asked"]), dict(body["worst_nano_usd"]), body["hold"])
                self._open_batches.pop(body["batch"], None)
                if sent.asked:
                    self._open_batches[body["batch"]] = sent
            else:
                raise DataError(
                    f"{self._journal.path} is a journal of something else, no tape: row {row.seq}"
                    f" is a {row.kind}; name another file"
                )
        except (KeyError, TypeError, ValueError) as wrong:
            raise DataError(
                f"row {row.seq} of the tape {self._journal.path} holds no {row.kind} that this"
                f" version can read ({wrong})"
            ) from None


def _reply(body: Mapping[str, Any]) -> Reply:
    told: dict[str, Any] = dict(body)
    if told["said"] is not None:
        said: dict[str, Any] = dict(told["said"])
        said["usage"] = None if said["usage"] is None else Usage(**said["usage"])
        told["said"] = Said(**said)
    return Reply(**told)
