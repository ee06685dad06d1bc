"""Is this machine fit? A list of findings, each one sentence; nothing is changed or repaired."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from datetime import datetime
    from importlib.metadata import EntryPoint

    from workbench.desk import Desk
    from workbench.domain import Case, Panel
    from workbench.judges.options import ModelOptions, Place

PACKAGES = (
    "numpy", "pandas", "numba", "TA-Lib", "polars", "pyarrow", "SQLAlchemy", "pydantic",
    "plotly", "vectorbt", "ccxt", "anthropic", "jupyterlab", "ipywidgets", "voila", "papermill",
    "nbval",
)  # fmt: skip
FREE_GB = 2.0
TRIED = 16  # bars with a vote, and as many others, of each strategy
DAYS = 430  # a year of history and two months of votes


class Finding(NamedTuple):
    """One thing looked at."""

    what: str
    fine: bool
    says: str


def examine(load: Callable[[], Desk]) -> list[Finding]:
    """Look at everything; `load` gives the desk or raises a WorkbenchError."""
    found = [_python(), *_packages(), _plugins(), *_strategies(), _disk(Path.cwd()), _kernel()]
    try:
        desk = load()
    except WorkbenchError as wrong:
        return [*found, Finding("configuration", False, str(wrong))]
    return [*found, Finding("configuration", True, "valid"), _lake(desk), _journal(desk)]


def examine_judge(options: ModelOptions, place: Place, name: str) -> Finding:
    """Ask the model about one made-up case, for real: paid from the budget, kept on no tape."""
    from workbench.judges.answer import read_answer
    from workbench.judges.models import retiring
    from workbench.judges.provider import Refused
    from workbench.judges.verdicts import NUMBERS, keyed, question

    what = f"judge {name}"
    lacking = options.wanting(place.environ)
    if lacking:
        return Finding(what, False, f"not asked: {lacking} is not set, so the judge is the RUBRIC")
    try:
        terms = options.terms(place)
        asked = question(terms, keyed(terms, trial_case(place.now())), NUMBERS)
        with options.live(place, terms.model) as live:
            (reply,) = live.ask([asked])
        cost = f"it cost {reply.cost_nano_usd / 1e9:.6f} USD, prompt {terms.prompt.id}"
        said = reply.said
        if said is None or reply.code:
            return Finding(what, False, f"{terms.label}: {reply.code}: {reply.says}; {cost}")
        try:
            answer = read_answer(said.text, asked.shown_ids)
        except Refused as no:
            return Finding(what, False, f"{terms.label}: {no.code}: {no.says}; {cost}")
    except WorkbenchError as wrong:
        return Finding(what, False, str(wrong))
    told = (
        f"{said.model} answered {answer.decision} at {answer.confidence} in {reply.latency_s:.1f} s"
    )
    warned = retiring(terms.model, place.now().date())
    return Finding(what, not warned, "; ".join(filter(None, [told, cost, warned])))


def trial_case(now: datetime) -> Case:
    """An entry that nobody wants, to ask a judge about. SYNTHETIC."""
    import pandas as pd

    from workbench.domain import Case, Costs, Limits, Signal
    from workbench.judges.case import bracket_of

    return Case(
        as_of=pd.Timestamp(now).floor("h"), symbol="TRIAL/USDT", side=1,
        signals=(Signal("made_up", "trend", "TRIAL/USDT", 1, 55.0),), regime="ranging",
        features={"return_24h": 0.01, "return_7d": -0.02, "volatility_24h": 0.5},
        headlines=(), missing=("funding",), bracket=bracket_of(Limits(), Costs()),
    )  # fmt: skip


def _python() -> Finding:
    fine = sys.version_info[:2] == (3, 11)
    return Finding("python", fine, sys.version.split()[0] + ("" if fine else "; 3.11 is needed"))


def _packages() -> Iterator[Finding]:
    missing = []
    for name in PACKAGES:
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    says = f"{len(PACKAGES)} installed" if not missing else f"missing: {', '.join(missing)}"
    yield Finding("packages", not missing, says + ("; run `make setup`" if missing else ""))


def _plugins() -> Finding:
    groups = ("strategies", "judges", "brokers", "feeds")
    counts = {g: len(entry_points(group=f"workbench.{g}")) for g in groups}
    fine = all(counts.values())
    says = ", ".join(f"{n} {group}" for group, n in counts.items())
    return Finding("plug-ins", fine, says if fine else says + "; run `make setup`")


def _strategies() -> Iterator[Finding]:
    """Every installed strategy, plug-ins too: does it load, and keep its promises?"""
    panel = None
    for point in sorted(entry_points(group="workbench.strategies"), key=lambda each: each.name):
        panel = made_up() if panel is None else panel
        yield Finding(f"strategy {point.name}", *_promises(point, panel))


def _promises(point: EntryPoint, panel: Panel) -> tuple[bool, str]:
    from workbench.strategies.contract import check_strategy
    from workbench.strategies.vote import told_fault

    try:
        strategy = point.load()
    except (Exception, SystemExit) as fault:  # noqa: BLE001  whatever a plug-in raises, the others are examined
        said = " ".join(str(fault).split())
        return False, f"{point.value} cannot be loaded ({type(fault).__name__}: {said})"
    try:
        return True, str(check_strategy(strategy, panel, TRIED, votes=TRIED))
    except (Exception, SystemExit) as broken:  # noqa: BLE001  the same
        return False, told_fault(broken)


def made_up(seed: int = 1) -> Panel:
    """Hourly bars of two markets and their pairs, labelled by regime, with made-up context under
    every name that a snapshot has: something to vote on, not a market. SYNTHETIC."""
    import numpy as np
    import pandas as pd

    from workbench.domain import Panel
    from workbench.strategies.regime import with_regime

    rng, n = np.random.default_rng(seed), 24 * DAYS
    index = pd.date_range("2023-01-01", periods=n, freq="1h", tz="UTC", unit="us")
    symbols = ["BTC/USDT", "BTC/USDT~carry", "ETH/USDT", "ETH/USDT~carry"]
    hours = np.arange(n)[:, None]

    def frame(values: object) -> pd.DataFrame:
        return pd.DataFrame(np.broadcast_to(np.asarray(values, float), (n, 4)), index, symbols)

    def wave(days: float, size: float) -> np.ndarray:
        """A slow wave, out of step by symbol, and some noise."""
        beat = np.sin(2 * np.pi * (hours / (24 * days) + np.arange(4) / 7))
        return size * (beat + 0.1 * rng.standard_normal((n, 4)))

    calm = np.repeat(rng.choice([0.2, 1.0, 2.0], (n // 120, 4)), 120, axis=0)
    steps = 0.004 * calm * rng.standard_t(4, (n, 4)) + 0.0001
    close = 100.0 * np.exp(np.cumsum(steps, axis=0) + wave(40, 0.1))
    opened = np.vstack([close[:1], close[:-1]])
    flow = 1e6 * np.repeat(rng.standard_t(3, (DAYS, 4)), 24, axis=0)
    score = np.cumsum(rng.standard_t(3, (n, 4)), axis=0)
    funding = wave(10, 0.4) + 0.1
    bets = 1.0 / (1.0 + np.exp(-wave(3, 2.0)))
    frames = {
        "sentiment": score, "sentiment_judged": score[::-1], "netflow": flow, "mvrv": wave(90, 1),
        "whale_flow": flow[::-1], "funding": funding / 1095, "funding_apr": funding,
        "funding_apr_3": np.roll(funding, 8, axis=0), "odds_probability": bets,
        "odds_strike": np.repeat(close[::240], 240, axis=0) * 1.02,
        "odds_hours": 240.0 - hours % 240, "odds_touch": hours // 240 % 2,
    }  # fmt: skip
    series = {
        "dxy": 100 - wave(50, 3), "vix": 20 + wave(30, 5), "fear_greed": 50 + wave(20, 30),
        "fed_funds": 5 + wave(200, 1), "stablecoins": 1e11 + wave(60, 1e9),
        "fed_expected_bps": 12.5 * np.round(wave(5, 4)), "fed_meeting_hours": 1000 - hours % 1000,
    }  # fmt: skip
    frames |= {"imbalance": np.tanh(wave(1, 1)), "spread_bps": np.exp(wave(20, 1))}
    for venue in ("futures", "kalshi"):  # two more opinions of the same meetings
        apart = 5.0 * rng.standard_t(3, (n, 4))
        series[f"fed_expected_bps_{venue}"] = series["fed_expected_bps"] + apart
        series[f"fed_meeting_hours_{venue}"] = series["fed_meeting_hours"]
    return with_regime(Panel.from_frames(
        open=frame(opened), close=frame(close),
        high=frame(np.maximum(opened, close) * (1 + 0.002 * rng.random((n, 4)))),
        low=frame(np.minimum(opened, close) * (1 - 0.002 * rng.random((n, 4)))),
        volume=frame(1e5 * rng.lognormal(0.0, 0.6, (n, 4))),
        context={name: frame(values) for name, values in frames.items()}
        | {name: pd.Series(values[:, 0], index, dtype=float) for name, values in series.items()},
        source=f"SYNTHETIC trial panel, seed {seed}",
    ))  # fmt: skip


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / 1e9
    return Finding("disk", free > FREE_GB, f"{free:.0f} GB free")


def _kernel() -> Finding:
    """Compile (or find compiled) and run the rules once."""
    import numpy as np

    from workbench.risk.correlation import daily_facts

    facts = daily_facts(np.ones((48, 2)), np.ones((48, 2)), np.arange(48) // 24)
    fine = bool(facts.adv[-1, 0] == 24.0)
    return Finding("compiled rules", fine, "they run" if fine else "they give a wrong answer")


def _lake(desk: Desk) -> Finding:
    from workbench.data.lake import lake_at

    try:
        n = len(lake_at(desk.source.lake).series())
        source = desk.source.resolved()
    except WorkbenchError as wrong:
        return Finding("lake", False, str(wrong))
    return Finding(
        "lake", True, f"{n} series in {desk.source.lake}; the desk trades {source.venue}"
    )


def _journal(desk: Desk) -> Finding:
    from workbench.journal import Journal

    if not desk.journal_path.exists():
        return Finding("journal", True, f"none yet at {desk.journal_path}")
    try:
        with Journal.open(desk.journal_path, readonly=True) as journal:
            head = journal.verify()
    except WorkbenchError as wrong:
        return Finding("journal", False, str(wrong))
    return Finding("journal", True, f"{head.seq:,} rows, intact")
