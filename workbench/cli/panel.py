"""panel: the control panel in a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.shell import Config, JournalFile, Json, journal_of

NOTEBOOK = Path("notebooks/control_panel.ipynb")


def panel(
    journal: JournalFile = None,
    port: Annotated[int, typer.Option(help="Where to listen on this machine; 0 is any.")] = 8866,
    preheat: Annotated[
        bool, typer.Option("--preheat/--no-preheat", help="Keep one page ready; it opens at once.")
    ] = True,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Serve the control panel to browsers on this machine: watch the desk, pause it, halt it."""
    from workbench.panel_server import serve

    path = journal_of(config, journal)

    def ready(url: str, bound: int) -> None:
        said = json.dumps({"url": url, "port": bound})
        text = f"the control panel of {path}; the address holds its key:\n  {url}\nCtrl-C ends it"
        print(said if as_json else text, flush=True)

    serve(NOTEBOOK, path, port, preheat, ready)
