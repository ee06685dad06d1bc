"""What the control panel costs: its first chart, a refresh over a long journal, a viewer's memory.

Run from the project's folder: `python -m benchmarks.panel`. It makes its own SYNTHETIC journal: six
weeks of the sample world through the real desk, written again and again with later times. Seconds
are wall clock on this machine, medians of three; they need Chromium.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS, Home, PanelServer, home_in, panel_of
from tests.trading.conftest import desk_on, run
from workbench.data.lake import Lake
from workbench.data.sample import write_sample
from workbench.journal import Journal
from workbench.views import panel_html as html
from workbench.views.live import equity_figure, redraw
from workbench.views.watch import see

ROWS = 100_000
TIMES = 3
Row = tuple[str, dict, datetime]


def rows(source: Path) -> Iterator[Row]:
    """The run's own row, then its bars without an end, each round later than the one before."""
    with Journal.open(source, readonly=True) as journal:
        begun, *bars = list(journal.rows())
    yield begun.kind, begun.body, datetime.fromisoformat(begun.at)
    later = timedelta()
    while True:
        for bar in bars:
            at = datetime.fromisoformat(bar.at) + later
            yield bar.kind, bar.body | {"as_of": at.isoformat()}, at
        later += timedelta(hours=len(bars))


def seconds(browser: Browser, panel: PanelServer, preheated: bool) -> tuple[float, float]:
    """Seconds to the first chart, and the MB of its kernel once it is live."""
    if preheated:
        panel.ready()
    known = {process.pid for process in panel.kernel_processes()} if not preheated else set()
    page = browser.new_context().new_page()
    began = time.monotonic()
    page.goto(panel.url, wait_until="commit")
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=120_000)
    took = time.monotonic() - began
    page.wait_for_selector(".wb-panel[data-life=live]", timeout=120_000)
    time.sleep(3)
    sizes = [p.memory_info().rss for p in panel.kernel_processes() if p.pid not in known]
    page.goto("about:blank")
    time.sleep(2)
    return took, max(sizes, default=0) / 1e6


def first_charts(browser: Browser, home: Home, preheated: bool) -> tuple[float, float]:
    """Medians over TIMES pages."""
    panel = panel_of(home, *([] if preheated else ["--no-preheat"]))
    panel.start()
    try:
        told = [seconds(browser, panel, preheated) for _ in range(TIMES)]
    finally:
        panel.process.stop()
    return statistics.median(t for t, _ in told), statistics.median(mb for _, mb in told)


def refreshes(path: Path, feed: Iterator[Row]) -> tuple[float, float, float]:
    """Seconds of the first read; ms of a look with one new bar, and of drawing it."""
    now = datetime.now(UTC)
    began = time.monotonic()
    sight = see(path, now)
    first = time.monotonic() - began
    figure = equity_figure(sight.curve(), sight.synthetic)
    looks, draws = [], []
    with Journal.open(path) as journal:
        for _ in range(20):
            journal.append(*next(feed))
            began = time.monotonic()
            sight = see(path, now, sight)
            seen = time.monotonic()
            for part in (html.banner, html.figures, html.positions, html.decisions, html.why,
                         html.gate):  # fmt: skip
                part(sight)
            redraw(figure, sight.curve(), sight.synthetic)
            looks.append(seen - began)
            draws.append(time.monotonic() - seen)
    return first, statistics.median(looks) * 1e3, statistics.median(draws) * 1e3


def main() -> None:
    """Make the journals, measure, print."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lake = Lake(Path(folder) / "lake")
        write_sample(lake)
        weeks, long = Path(folder) / "weeks", Path(folder) / "long"
        weeks.mkdir()
        long.mkdir()
        small, large = home_in(weeks, lake), home_in(long, lake)
        run(*desk_on(lake, "sample", small.journal, "2023-01-02", "2023-02-12"))
        feed = rows(small.journal)
        with Journal.open(large.journal) as journal:
            for _ in range(ROWS // 1000):
                journal.append_many([next(feed) for _ in range(1000)])
        first, look, draw = refreshes(large.journal, feed)
        print(f"first read of {ROWS:,} rows        {first:8.1f} s")
        print(f"a look with one bar more        {look:8.0f} ms")
        print(f"its HTML and its chart          {draw:8.0f} ms")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        for name, home in (("1,000 rows", small), (f"{ROWS:,} rows", large)):
            for how in (True, False):
                took, mb = first_charts(browser, home, how)
                kept = "kept ready" if how else "cold"
                print(f"first chart, {name}, {kept:<10} {took:6.1f} s   kernel {mb:6.0f} MB")
        browser.close()


if __name__ == "__main__":
    main()
