"""Executed notebooks to pages: one HTML file that draws offline.

The stock exporter drops every plotly chart without a word and loads scripts from elsewhere; here
each figure becomes a div that draws from a script kept once beside the reports. Nothing half-made
is left where a reader would find it.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import plotly
from nbconvert import HTMLExporter

from workbench.files import write_whole

PAGE = Path(__file__).with_name("page.html")
CSS = Path(__file__).with_name("page.css")


def publish(notebook: nbformat.NotebookNode, folder: Path, title: str) -> Path:
    """Write `folder`/index.html from an executed notebook and return its path."""
    script = _plotly_script(folder.parent / "assets")
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", ()):
            cell["id"] = "injected-parameters"  # or papermill's would make each page another
        for output in cell.get("outputs", []):
            figure = output.get("data", {}).get("application/vnd.plotly.v1+json")
            if figure is not None:
                output["data"] = {"text/html": _figure_html(figure)}
    exporter = HTMLExporter(
        template_name="basic", exclude_input=True,
        exclude_input_prompt=True, exclude_output_prompt=True,
    )  # fmt: skip
    body, _ = exporter.from_notebook_node(notebook)
    target = folder / "index.html"
    write_whole(target, page(title, body, f"../assets/{script}"))
    return target


def page(title: str, body: str, script: str | None) -> str:
    """A whole page in the house's look; `script` is plotly's address, None without charts."""
    parts = {
        "TITLE": html.escape(title),
        "CSS": CSS.read_text(),
        "SCRIPT": f'<script src="{script}"></script>' if script else "",
        "BODY": body,
    }
    # One pass, so that a marker inside the body is left alone.
    return re.sub(r"\{\{(\w+)\}\}", lambda m: parts.get(m[1], m[0]), PAGE.read_text())


def _plotly_script(assets: Path) -> str:
    """plotly.js beside the reports, once, under a name that changes with its content."""
    source = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    name = f"plotly-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}.min.js"
    if not (assets / name).is_file():
        assets.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, assets / f"{name}.part")
        (assets / f"{name}.part").replace(assets / name)
    return name


def _figure_html(figure: Mapping[str, Any]) -> str:
    content = {"data": figure["data"], "layout": figure["layout"]}
    text = json.dumps(content, sort_keys=True, separators=(",", ":")).replace("</", "<\\/")
    name = "fig-" + hashlib.sha256(text.encode()).hexdigest()[:10]
    height = int(figure["layout"].get("height", 420))
    return (
        f'<div class="figure" id="{name}" style="height:{height}px"></div>'
        f"<script>(f=>Plotly.newPlot('{name}',f.data,f.layout,"
        f"{{responsive:true,displayModeBar:false}}))({text})</script>"
    )
