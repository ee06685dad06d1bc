"""journal verify and journal tail: prove the record, read its end."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli.shell import Config, JournalFile, Json, journal_of, progress_bars, say, short

app = typer.Typer(help="The append-only record of everything that happened.", no_args_is_help=True)


@app.command("verify")
def journal_verify(
    journal: JournalFile = None, as_json: Json = False, config: Config = None
) -> None:
    """Prove that no row was edited or taken out since it was written."""
    from workbench.journal import Journal

    path = journal_of(config, journal)
    with Journal.open(path, readonly=True) as opened, progress_bars() as progress:
        head = opened.verify(lambda done, total: progress(done, total, "verifying"))
    result = {"journal": str(path), "rows": head.seq, "head": head.hash, "intact": True}
    say(as_json, result, [f"{path}: {head.seq:,} rows, intact; head {head.hash}"])


@app.command("tail")
def journal_tail(
    n: Annotated[int, typer.Option("-n", min=1, help="How many rows.")] = 10,
    kind: Annotated[str | None, typer.Option(help="Only rows of this kind.")] = None,
    journal: JournalFile = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """The last rows."""
    from workbench.journal import Journal

    path = journal_of(config, journal)
    with Journal.open(path, readonly=True) as opened:
        rows = opened.tail(n, kind)
    result = {
        "journal": str(path),
        "rows": [{"seq": r.seq, "at": r.at, "kind": r.kind, "body": r.body} for r in rows],
    }
    say(as_json, result, [f"{r.seq:>8}  {r.at:<25}  {r.kind:<10} {short(r.body)}" for r in rows])
