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

    def tell(done: int, total: int, label: str) -> None:
        now, first = ticks(), not shown[1]
        if not first and done < total and now - float(shown[0]) < EVERY_S:
            return
        shown[:] = [now, label]
        text = f"{label}: {done:,} of {total:,}"
        bar = f'<progress value="{done}" max="{max(total, 1)}"></progress> ' if done < total else ""
        content = {"text/plain": text, "text/html": f"<small>{bar}{html.escape(text)}</small>"}
        if first:
            display(content, raw=True, display_id=handle.display_id)
        else:
            handle.update(content, raw=True)

    return tell
