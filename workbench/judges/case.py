"""The case a judge is shown: numbers, headlines and ids of one wanted entry, canonical and hashed.

Equity, size and keys are not in it: there is nothing to leak and nothing to size. Two cases with
the same content have the same bytes in any process, so a verdict can be recorded and replayed. What
a model reads is made from those bytes alone, once whole and once without a stranger's word.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd

from workbench.domain import (
    Case,
    Costs,
    DataError,
    Headline,
    Limits,
    Panel,
    Regime,
    Signal,
    Snapshot,
)
from workbench.judges.sanitise import name, title
from workbench.redact import named_like_a_secret

SCHEMA = 3
NEWS = "headlines"  # the feed of strangers' words
_OF_WORDS = (
    "sentiment",
    "odds.",
    "odds_",
)  # features that are read from words, or named by a stranger


def build_cases(
    snapshot: Snapshot,
    signals: Sequence[Signal],
    wants: Mapping[str, tuple[int, float]],
    silent: Mapping[str, Sequence[str]] | None = None,
    bracket: Mapping[str, float] | None = None,
) -> list[Case]:
    """One case for every symbol the votes want; `silent` names who said nothing, by symbol.

    Raises DataError on knowledge from the future, whichever feed it came from.
    """
    _refuse_the_future(snapshot)
    told = [(h, _safe(h)) for h in snapshot.headlines]
    return [
        Case(
            as_of=snapshot.as_of,
            symbol=symbol,
            side=side,
            signals=tuple(s for s in signals if s.symbol == symbol and s.side),
            regime=_regime(snapshot.panel, symbol),
            features=features(snapshot, symbol),
            headlines=tuple(safe for h, safe in told if safe and about(h.symbol, symbol)),
            missing=snapshot.missing,
            silent=tuple((silent or {}).get(symbol, ())),
            bracket=dict(bracket or {}),
            ages=dict(snapshot.staleness),
            withheld=sum(1 for h, safe in told if not safe and about(h.symbol, symbol)),
        )
        for symbol, (side, _) in sorted(wants.items())
    ]


def bracket_of(limits: Limits, costs: Costs) -> dict[str, float]:
    """What the confidence is about: how a trade of these limits ends, and what it costs."""
    return {
        "stop": limits.stop,
        "take_profit": limits.take_profit,
        "take_profit_share": limits.take_profit_share,
        "trail": limits.trail,
        "round_trip_cost": 2.0 * (costs.half_spread + costs.taker_fee),
    }


def _refuse_the_future(snapshot: Snapshot) -> None:
    late = [h for h in snapshot.headlines if h.available_at > snapshot.as_of]
    if late:
        raise DataError(
            f"headline {late[0].id} is available at {late[0].available_at}, after the close it"
            f" would decide ({snapshot.as_of}); the news feed's available_at is wrong"
        )
    ahead = [feed for feed, hours in snapshot.staleness.items() if hours < 0.0]
    if ahead:
        raise DataError(
            f"the feed {ahead[0]} was heard of after the close it would decide ({snapshot.as_of});"
            " its available_at is wrong"
        )


def _safe(headline: Headline) -> Headline | None:
    """The headline as it may be shown; None if it may not."""
    read = title(headline.title)
    if read.withheld or not read.text or name(headline.id) != headline.id:
        return None
    return headline._replace(title=read.text, source=name(headline.source))


def about(subject: str, symbol: str) -> bool:
    """Is a headline's subject ("BTC", "BTC/USDT", "" for the market) about this symbol?"""
    return not subject or subject.partition("/")[0] == symbol.partition("/")[0]


def features(snapshot: Snapshot, symbol: str) -> dict[str, float | None]:
    """Numbers known at the close, None where unknown. Returns and drawdown are fractions."""
    panel = snapshot.panel
    j = panel.symbols.index(symbol)
    bars_a_day = max(round(pd.Timedelta(days=1) / panel.timeframe), 1)
    marks = panel.marks[:, j]
    month = marks[-30 * bars_a_day :]
    day = np.diff(np.log(marks[-(bars_a_day + 1) :]))
    numbers: dict[str, float] = {
        "return_24h": _change(marks, bars_a_day),
        "return_7d": _change(marks, 7 * bars_a_day),
        "drawdown_30d": marks[-1] / np.max(month) - 1.0,
        "volatility_24h": _volatility(day, bars_a_day),
    }
    for each, series in panel.context.items():
        if each != "regime":
            last = np.asarray(series.iloc[-1])
            value = float(last[j]) if last.ndim else float(last)
            # a feed that has said nothing yet is not there, whether or not a later row will come
            if math.isfinite(value):
                numbers[each] = value
    if "netflow" in panel.context:
        numbers["netflow_z"] = _z(np.asarray(panel.context["netflow"])[-30 * bars_a_day :, j])
    numbers |= {f"odds.{_market(each)}": value for each, value in snapshot.odds.items()}
    return {each: float(value) if math.isfinite(value) else None for each, value in numbers.items()}


def _market(raw: str) -> str:
    """A market's name as a key; one that no journal would take ("launch a token") is a number."""
    safe = name(raw)
    return f"market {sha256(raw.encode()).hexdigest()[:8]}" if named_like_a_secret(safe) else safe


def _volatility(returns: np.ndarray, bars_a_day: int) -> float:
    """Annualised; unknown with less than a day of returns."""
    whole = len(returns) >= max(bars_a_day, 2)
    return float(np.std(returns) * math.sqrt(bars_a_day * 365)) if whole else math.nan


def _change(marks: np.ndarray, bars: int) -> float:
    return float(marks[-1] / marks[-1 - bars] - 1.0) if len(marks) > bars else math.nan


def _z(values: np.ndarray) -> float:
    """How many deviations the last value is off the mean of them all."""
    spread = float(np.std(values))
    return float((values[-1] - np.mean(values)) / spread) if spread > 0.0 else math.nan


def _regime(panel: Panel, symbol: str) -> str:
    codes = panel.context.get("regime")
    code = 0 if codes is None else int(np.asarray(codes.iloc[-1])[panel.symbols.index(symbol)])
    return Regime(code).name.lower()


# --- one content, one text -----------------------------------------------------------------------


def canonical(case: Case) -> str:
    """The case as canonical JSON: sorted, UTC, numbers as fixed-point text (8 and 8.0 are one)."""
    content = {"schema": SCHEMA, **_content(case), "withheld": case.withheld}
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def case_hash(case: Case) -> str:
    """sha256 of the canonical case."""
    return sha256(canonical(case).encode()).hexdigest()


def message(case: Case, *, words: bool) -> str:
    """What a model reads: the whole case, or without `words` the same of every case that differs
    by nothing but news, votes and scores read from news, and odds."""
    content = _content(case if words else without_words(case))
    if not words:
        content["headlines"] = "not shown"  # no news would be news
    elif case.withheld:
        content["headlines_withheld"] = case.withheld
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def without_words(case: Case) -> Case:
    """The case as far as no stranger's word is in it."""
    return Case(
        case.as_of, case.symbol, case.side,
        signals=tuple(s for s in case.signals if not s.from_text),
        regime=case.regime,
        features={n: v for n, v in case.features.items() if not n.startswith(_OF_WORDS)},
        headlines=(),
        missing=tuple(feed for feed in case.missing if feed not in (NEWS, "odds")),
        silent=case.silent,
        bracket=case.bracket,
        ages={feed: hours for feed, hours in case.ages.items() if feed not in (NEWS, "odds")},
    )  # fmt: skip


def has_words(case: Case) -> bool:
    """Is there a stranger's word in it, or anything made of one?"""
    read = any(s.from_text for s in case.signals)
    return bool(read or case.headlines or case.withheld) or any(
        n.startswith(_OF_WORDS) for n in case.features
    )


def shown_ids(case: Case, *, words: bool) -> frozenset[str]:
    """The ids that an answer may rest on: strategies, features, feeds, headlines."""
    seen = case if words else without_words(case)
    return frozenset(
        [s.strategy for s in seen.signals] + list(seen.features) + [h.id for h in seen.headlines]
        + [*seen.missing, *seen.silent]
    )  # fmt: skip


def evidence(case: Case, id: str) -> str:
    """What an id of the case stands for, "" if it is none of it."""
    for s in case.signals:
        if s.strategy == id:
            return f"{s.category} vote, {s.side:+d} at {s.confidence:.0f}"
    for h in case.headlines:
        if h.id == id:
            return f"{h.source}, first seen {h.available_at:%Y-%m-%d %H:%M}: {h.title}"
    if id in case.features:
        value = case.features[id]
        return "unknown" if value is None else f"{value:,.6g}"
    if id in case.missing:
        return "this feed is missing or stale"
    return "it saw the market and did not vote" if id in case.silent else ""


def _content(case: Case) -> dict[str, Any]:
    """The case as JSON's own types, everything in one order."""
    return {
        "as_of": _utc(case.as_of),
        "symbol": case.symbol,
        "wanted": _SIDES.get(case.side, str(case.side)),
        "bracket": {each: _fixed(case.bracket[each]) for each in sorted(case.bracket)},
        "regime": case.regime,
        "votes": sorted((_vote(s) for s in case.signals), key=lambda vote: str(vote.values())),
        "silent": sorted(case.silent),
        "features": {each: _fixed(case.features[each]) for each in sorted(case.features)},
        "headlines": sorted(
            (
                {"id": h.id, "first_seen": _utc(h.available_at), "source": h.source,
                 "title": h.title}
                for h in case.headlines
            ),
            key=lambda told: (told["first_seen"], told["id"], told["title"], told["source"]),
        ),
        "missing_or_stale": sorted(case.missing),
        "hours_since_heard": {
            feed: _fixed(case.ages[feed], 1) or "never" for feed in sorted(case.ages)
        },
    }  # fmt: skip


_SIDES = {1: "long", -1: "short"}


def _vote(s: Signal) -> dict[str, Any]:
    vote: dict[str, Any] = {
        "id": s.strategy, "category": s.category, "side": _SIDES.get(s.side, str(s.side)),
        "confidence": _fixed(s.confidence, 2), "calibrated_on_outcomes": s.outcomes,
    }  # fmt: skip
    return vote | ({"does_not_count": s.muted} if s.muted else {})


@lru_cache(maxsize=4096)
def _utc(at: pd.Timestamp) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _fixed(value: float | None, places: int = 8) -> str | None:
    """Fixed-point text without trailing zeros; None is unknown."""
    if value is None or not math.isfinite(value):
        return None
    text = f"{value:.{places}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
