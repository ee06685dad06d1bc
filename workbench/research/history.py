"""The upper half of the page over years: votes of all history, verdicts where somebody voted.

The strategies vote on whole frames, the judge sees the same cases that `cycle` would build at each
bar, and the verdicts become an array of multipliers: the replay never calls anybody. With the fate
of every signal it answers the question a trader asks most: why was there no trade?
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.cycle import multipliers
from workbench.domain import Case, Panel, Proposal, Reason, Signal, Verdict, Votes
from workbench.judges.case import build_cases
from workbench.research.replay import Replay, replay as replay_proposal
from workbench.strategies.vote import combine_votes, regime_size, wanted

if TYPE_CHECKING:
    from workbench.data.snapshot import World
    from workbench.desk import Desk

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class History:
    """A run: what was voted, judged, ruled and filled.

    `votes` are raw; `judged` holds a row a case with its verdict; `signals` a row a vote with its
    fate; `replay` starts at the world's first tradable bar.
    """

    world: World
    votes: Mapping[str, Votes]
    proposal: Proposal
    judged: pd.DataFrame
    signals: pd.DataFrame
    replay: Replay


def run_history(desk: Desk, world: World, progress: Progress | None = None) -> History:
    """Vote, judge and replay the whole world; trading begins at `world.start`."""
    panel = world.panel
    raw = {s.name: s(panel) for s in desk.strategies}
    counted = {s.name: _muted(s.allowed(panel, raw[s.name].side), raw[s.name]) for s in desk.strategies}
    side, confidence = combine_votes(desk.strategies, counted, panel)
    side.iloc[: world.start] = 0.0
    signals = _signals(desk, raw, counted, panel, world.start)
    judged, multiplier = _judge(desk, world, side, signals, progress)
    exits = [v.exit for v in counted.values() if v.exit is not None]
    leave = np.logical_or.reduce([e.to_numpy(bool) for e in exits]) if exits else side * 0 != 0
    proposal = Proposal(
        side=side,
        confidence=confidence,
        multiplier=multiplier * regime_size(panel.context["regime"].to_numpy()),
        exit=pd.DataFrame(leave, panel.index, panel.close.columns),
    )
    result = replay_proposal(panel, proposal, desk.limits, desk.costs, desk.capital)
    result = result.since(world.start)
    return History(world, raw, proposal, judged, _fates(signals, side, judged, result), result)


def _muted(allowed: pd.DataFrame, votes: Votes) -> Votes:
    return replace(votes, side=votes.side.where(allowed, 0))


def _signals(
    desk: Desk, raw: Mapping[str, Votes], counted: Mapping[str, Votes], panel: Panel, start: int
) -> pd.DataFrame:
    """Every vote from `start` on, a row each: t, symbol, strategy, category, side, ..."""
    parts: list[pd.DataFrame] = []
    for s in desk.strategies:
        sides = raw[s.name].side.to_numpy(float)
        t, j = np.nonzero(sides)
        t, j = t[t >= start], j[t >= start]
        muted = counted[s.name].side.to_numpy(float)[t, j] == 0
        parts.append(
            pd.DataFrame(
                {
                    "t": t,
                    "time": panel.close_times[t],
                    "symbol": np.array(panel.symbols)[j],
                    "strategy": s.name,
                    "category": s.category,
                    "side": sides[t, j].astype(int),
                    "confidence": raw[s.name].confidence.to_numpy(float)[t, j],
                    "muted": np.where(muted, "regime", ""),
                    "from_text": s.from_text,
                }
            )
        )
    return pd.concat(parts).sort_values(["t", "symbol", "strategy"], ignore_index=True)


def _judge(
    desk: Desk, world: World, side: pd.DataFrame, signals: pd.DataFrame, progress: Progress | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ask the judge at every bar with a wanted entry; verdict rows and the multiplier frame."""
    multiplier = np.zeros(side.shape)
    rows: list[dict[str, Any]] = []
    bars = np.flatnonzero(side.to_numpy().any(axis=1))
    by_bar = dict(iter(signals.groupby("t")))
    column = {symbol: j for j, symbol in enumerate(world.panel.symbols)}
    for k, t in enumerate(bars):
        votes = [_signal(row) for row in by_bar[t].itertuples()]
        cases = build_cases(
            world.snapshot(int(t), desk.bars), votes, wanted(votes, world.panel.symbols)
        )
        verdicts = desk.judge(cases)
        judged = multipliers(cases, verdicts, desk.reduce)
        for symbol, keep in judged.items():
            multiplier[t, column[symbol]] = keep
        rows += [_judged(int(t), c, v) for c, v in zip(cases, verdicts, strict=True)]
        if progress is not None:
            progress(k + 1, len(bars), "judging")
    names = ["t", "time", "symbol", "side", "regime", "decision", "confidence", "rationale", "source", "case_hash"]
    frame = pd.DataFrame(rows, columns=names)
    return frame, pd.DataFrame(multiplier, side.index, side.columns)


def _signal(row: Any) -> Signal:
    return Signal(
        row.strategy, row.category, row.symbol, int(row.side), float(row.confidence),
        muted=row.muted, from_text=bool(row.from_text),
    )  # fmt: skip


def _judged(t: int, case: Case, verdict: Verdict) -> dict[str, Any]:
    return {
        "t": t, "time": case.as_of, "symbol": case.symbol, "side": case.side,
        "regime": case.regime, "decision": verdict.decision.value,
        "confidence": verdict.confidence, "rationale": verdict.rationale,
        "source": verdict.source, "case_hash": verdict.case_hash,
    }  # fmt: skip


def _fates(
    signals: pd.DataFrame, side: pd.DataFrame, judged: pd.DataFrame, result: Replay
) -> pd.DataFrame:
    """The signals with where each ended: vote, judge or risk, and by which rule."""
    column = {symbol: j for j, symbol in enumerate(side.columns)}
    t, j = signals["t"].to_numpy(), signals["symbol"].map(column).to_numpy()
    won = side.to_numpy()[t, j] if len(t) else np.zeros(0)
    first = len(side) - len(result.fates)
    fate = result.fates.to_numpy()[t - first, j] if len(t) else np.zeros(0, int)
    verdict = signals.merge(
        judged[["t", "symbol", "decision"]], how="left", on=["t", "symbol"]
    )["decision"].to_numpy()
    stage, rule = [], []
    for k in range(len(signals)):
        row = signals.iloc[k]
        if row["muted"]:
            end = ("vote", "OUT_OF_REGIME")
        elif won[k] == 0:
            end = ("vote", "TEXT_ALONE" if row["from_text"] and not _opposed(signals, row) else "CONFLICT")
        elif verdict[k] == "SKIP":
            end = ("judge", "SKIP")
        elif fate[k] in (Reason.ACCEPTED, Reason.CLAMPED):
            end = ("traded", Reason(int(fate[k])).name)
        else:
            end = ("risk", Reason(int(fate[k])).name)
        stage.append(end[0])
        rule.append(end[1])
    return signals.assign(verdict=verdict, stage=stage, rule=rule)


def _opposed(signals: pd.DataFrame, row: pd.Series[Any]) -> bool:
    same = signals[(signals["t"] == row["t"]) & (signals["symbol"] == row["symbol"])]
    return bool(((same["side"] == -row["side"]) & (same["muted"] == "")).any())


def why_no_trade(signals: pd.DataFrame) -> pd.DataFrame:
    """How many signals of each strategy ended where: rows stage and rule, columns strategies."""
    table = signals.pivot_table(
        index=["stage", "rule"], columns="strategy", values="side", aggfunc="count", fill_value=0
    )
    order = {"vote": 0, "judge": 1, "risk": 2, "traded": 3}
    table = table.sort_index(level=0, key=lambda stages: stages.map(lambda s: order.get(s, 9)))
    return table.assign(total=table.sum(axis=1))
