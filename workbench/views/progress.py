"""Progress in a notebook: one line that moves while somebody looks, and reads well when it is kept.

An executed notebook keeps the last state only, as text that says what was done.
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable

from IPython.display import DisplayHandle, display

from workbench.ports import Progress

EVERY_S = 0.2


def progress(ticks: Callable[[], float] = time.monotonic) -> Progress:
    """A fresh line: hand it to anything that takes a `progress`."""
    handle, shown = DisplayHandle(), [-EVERY_S, ""]
    began: list[tuple[float, int]] = []  # of what is going on: when, and how much was done then

    def tell(done: int, total: int, label: str) -> None:
        now, first = ticks(), not shown[1]
        if label != shown[1] or not began:
            began[:] = [(now, done)]
        if not first and done < total and now - float(shown[0]) < EVERY_S:
            return
        shown[:] = [now, label]
        text = f"{label}: {done:,} of {total:,}" + _left(now, done, total, *began[0])
        bar = f'<progress value="{done}" max="{max(total, 1)}"></progress> ' if done < total else ""
        content = {"text/plain": text, "text/html": f"<small>{bar}{html.escape(text)}</small>"}
        if first:
            display(content, raw=True, display_id=handle.display_id)
        else:
            handle.update(content, raw=True)

    return tell


def _left(now: float, done: int, total: int, began: float, before: int) -> str:
    """How long it may still take, at the pace so far; "" where there is no pace yet."""
    if not before < done < total:
        return ""
    left_s = (now - began) / (done - before) * (total - done)
    return (
        f", about {left_s:,.0f} s left" if left_s < 120 else f", about {left_s / 60:,.0f} min left"
    )
