"""The control panel: widgets over what `watch` sees, and the buttons that order something.

It reads the journal and writes orders, nothing else: the desk is another process, and goes on or
stays halted whatever happens to this page. Nothing runs in its kernel until a browser's first
beat, and nothing goes on for long after the last one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as W  # noqa: N812
import traitlets

from workbench.errors import WorkbenchError
from workbench.trading.control import KILL_WORD, State, halt, halt_file, order
from workbench.views import panel_html as html
from workbench.views.live import equity_figure, redraw
from workbench.views.watch import Sight, see

REFRESH_S = 1.0
QUIET_S = 8.0  # without a beat from the browser for so long, nobody looks
BY = "panel"
ASKED = f"Type {KILL_WORD} to halt the desk."
HERE = Path(__file__).parent

log = logging.getLogger(__name__)


class Pulse(anywidget.AnyWidget):
    """The page beats while somebody looks; the kernel ticks while it reads."""

    _esm = HERE / "panel.js"
    _css = HERE / "panel.css"
    beat = traitlets.Float(0.0).tag(sync=True)
    charted = traitlets.Float(0.0).tag(sync=True)
    tick = traitlets.Int(0).tag(sync=True)


def control_panel(journal: str | Path = "") -> ControlPanel:
    """The panel of the desk that writes `journal`; by default the journal of this folder's desk."""
    return ControlPanel(journal_path(journal))


def journal_path(journal: str | Path = "") -> Path:
    """Where the desk writes: as given, or as `workbench panel` hands it down, or by desk.toml."""
    given = journal or os.environ.get("WORKBENCH_DESK__JOURNAL", "")
    if given:
        return Path(given)
    from workbench.desk import load_desk  # noqa: PLC0415  (heavy, and seldom needed)

    return load_desk().journal_path


class ControlPanel(W.VBox):
    """Banner, figures, chart, controls and tables of one desk."""

    def __init__(self, journal: Path) -> None:
        self.journal, self.pulse = journal, Pulse()
        self.shown = {name: W.HTML() for name in ("banner", "figures", "positions", "decisions",
                                                  "gate", "why", "equity", "orders")}  # fmt: skip
        self.controls = Controls(journal)
        self.sight = see(journal, datetime.now(UTC))
        self.chart = equity_figure(self.sight.curve(), self.sight.synthetic)
        self._drawn: object = None
        self._beaten, self._loop = -QUIET_S, None
        self._draw()
        chart = _card("chart", self.shown["equity"], self.chart)
        orders = _card("orders", self.shown["orders"], self.controls)
        rest = {n: _card(n, self.shown[n]) for n in ("positions", "gate", "decisions", "why")}
        left = W.VBox([chart, rest["positions"]]).add_class("wb-column")
        right = W.VBox([orders, rest["gate"]]).add_class("wb-column")
        grid = W.Box([left, right, rest["decisions"], rest["why"]]).add_class("wb-grid")
        super().__init__([self.pulse, self.shown["banner"], self.shown["figures"], grid])
        self.add_class("wb-panel")
        self.pulse.observe(self._on_beat, "beat")
        self.pulse.observe(lambda _: self._redraw(), "charted")

    def _on_beat(self, _: object) -> None:
        self._beaten = time.monotonic()
        if self._loop is None:
            self._loop = _start(self._live(), self._failed)

    async def _live(self) -> None:
        """Look, draw, tick, once a second while somebody looks."""
        while time.monotonic() - self._beaten < QUIET_S:
            # Aside, so that a button answers while a long journal is read.
            self.sight = await asyncio.to_thread(see, self.journal, datetime.now(UTC), self.sight)
            self._draw()
            self.pulse.tick += 1
            await asyncio.sleep(REFRESH_S)
        self._loop = None

    def _failed(self, fault: BaseException) -> None:
        text = f"this page has failed ({type(fault).__name__}: {fault}); reload it"
        self.shown["banner"].value = html.answer(text, alarm=True)

    def _draw(self) -> None:
        """Everything that changed; a widget is sent only if its value is another one."""
        sight = self.sight
        self.shown["banner"].value = html.banner(sight)
        self.controls.follow(sight)
        record = sight.record
        now = (sight.begun, record.head if record else None)
        if now == self._drawn:
            return
        self._drawn = now
        self.shown["figures"].value = html.figures(sight)
        self.shown["equity"].value = html.heading("Equity and drawdown", sight)
        self.shown["orders"].value = html.heading("Orders", sight)
        for name in ("positions", "decisions", "gate", "why"):
            self.shown[name].value = getattr(html, name)(sight)
        self._redraw()

    def _redraw(self) -> None:
        redraw(self.chart, self.sight.curve(), self.sight.synthetic)


class Controls(W.VBox):
    """Pause, resume and the kill switch, each answered at once and again when the desk agrees."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self._wanted: State | None = None  # what was ordered here and is not done yet
        self.pause = _button("Pause", "Open nothing new; stops and targets go on.")
        self.resume = _button("Resume", "Go on after a pause.")
        self.kill = _button("KILL SWITCH", "Halt the desk until it is re-armed by name.", "danger")
        self.flatten = W.RadioButtons(
            options=[("close positions", True), ("keep them to their stops", False)]
        )
        self.word = W.Text(placeholder=f"type {KILL_WORD} to halt")
        self.hint = W.HTML(html.answer(ASKED))
        self.confirm = _button("Confirm", "Halt the desk now.", "danger")
        self.cancel = _button("Cancel", "Close this box and order nothing.")
        self.answer, self.rearm = W.HTML(), W.HTML()
        asked = W.HBox([self.confirm, self.cancel])
        self.box = W.VBox([self.flatten, self.word, self.hint, asked]).add_class("wb-kill")
        self._open(False)
        super().__init__(
            [W.HBox([self.pause, self.resume, self.kill]), self.box, self.answer, self.rearm]
        )
        self.add_class("wb-controls")
        self.pause.on_click(lambda _: self._order("pause", State.PAUSED))
        self.resume.on_click(lambda _: self._order("resume", State.RUNNING))
        self.kill.on_click(lambda _: self._open(True))
        self.cancel.on_click(lambda _: self._open(False))
        self.confirm.on_click(lambda _: self._halt())
        self.word.observe(lambda _: self._typed(), "value")
        self.word.on_msg(lambda _, told, __: told.get("event") == "submit" and self._halt())

    def follow(self, sight: Sight) -> None:
        """Buttons and answers by the state that the desk has now."""
        control, lives = sight.standing.control, sight.standing.lives
        self.pause.disabled = control.state is not State.RUNNING
        self.resume.disabled = control.state is not State.PAUSED
        self.rearm.value = html.rearming(sight)
        if self._wanted is not control.state or sight.awaited:
            return
        done = "the desk is" if lives else "on record; no desk is running, the next one will be"
        self._say(f"{done} {self._wanted}")
        self._wanted = None

    def _order(self, do: str, wanted: State) -> None:
        def write() -> str:
            order(self.journal, do, BY, "", datetime.now(UTC))
            return ""

        self._carry_out(write, wanted)

    def _halt(self) -> None:
        """Only with the very word, whatever the browser let through."""
        if self.word.value != KILL_WORD:
            self._typed()
            return
        flatten = bool(self.flatten.value)
        self._open(False)

        def write() -> str:
            try:
                halt(self.journal, BY, "the kill switch", flatten, datetime.now(UTC))
            except WorkbenchError as said:
                if not halt_file(self.journal).exists():
                    raise
                return (
                    f"the HALT file is written and halts the desk, but the order is not in the"
                    f" journal: {said}"
                )
            return ""

        self._carry_out(write, State.HALTED)

    def _carry_out(self, write: Callable[[], str], wanted: State) -> None:
        """Say at once that it is ordered, then write aside: a locked journal takes seconds."""
        self._wanted = wanted
        self._say(f"{wanted} is ordered; waiting for the desk")

        async def written() -> None:
            try:
                warned = await asyncio.to_thread(write)
            except WorkbenchError as said:
                self._wanted = None
                self._say(f"NOT ordered: {said}", alarm=True)
            else:
                if warned:
                    self._wanted = None
                    self._say(warned, alarm=True)

        _start(written(), self._failed)

    def _failed(self, fault: BaseException) -> None:
        self._wanted = None
        text = f"NOT ordered ({type(fault).__name__}: {fault}); use `workbench halt`"
        self._say(text, alarm=True)

    def _open(self, opened: bool) -> None:
        self.word.value = ""
        self.flatten.value = True
        self.confirm.disabled = True
        self.box.layout.display = "flex" if opened else "none"

    def _typed(self) -> None:
        word = self.word.value
        self.confirm.disabled = word != KILL_WORD
        wrong = not KILL_WORD.startswith(word)
        text = f"That is not {KILL_WORD}: nothing has been ordered." if wrong else ASKED
        self.hint.value = html.answer(text, alarm=wrong)

    def _say(self, text: str, alarm: bool = False) -> None:
        self.answer.value = html.answer(text, alarm)


_tasks: set[asyncio.Task[None]] = set()


def _start(work: Coroutine[Any, Any, None], failed: Callable[[BaseException], None]) -> Any:
    """Run it beside the kernel's messages; what it raises is shown and logged, never lost."""
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)  # the loop itself would let it be collected

    def ended(done: asyncio.Task[None]) -> None:
        _tasks.discard(done)
        fault = None if done.cancelled() else done.exception()
        if fault is not None:
            log.error("the control panel failed", exc_info=fault)
            failed(fault)

    task.add_done_callback(ended)
    return task


def _button(text: str, says: str, style: str = "") -> W.Button:
    return W.Button(description=text, tooltip=says, button_style=style)


def _card(name: str, *children: W.Widget) -> W.VBox:
    return W.VBox(list(children)).add_class("wb-card").add_class(f"wb-at-{name}")
