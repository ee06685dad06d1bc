"""The upper half of the page over years: votes of all history, verdicts where somebody voted.

The strategies vote on whole frames, the judge sees the same cases that `cycle` would build at each
bar, and the verdicts become an array of multipliers: the replay never calls anybody. With the fate
of every signal it answers the question a trader asks most: why was there no trade?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workbench.cycle import askable, cases_of, hear, multipliers
from workbench.domain import (
    Case,
    Decision,
    Judgement,
    Panel,
    Proposal,
    Reason,
    Signal,
    Verdict,
    Votes,
)
from workbench.ports import Progress
from workbench.research.replay import Replay
from workbench.research.replay import replay as replay_proposal
from workbench.strategies.ballot import cast, honest_votes
from workbench.strategies.vote import Strategy, combine_votes, counting, needed, regime_size

if TYPE_CHECKING:
    from workbench.data.snapshot import World
    from workbench.desk import Desk


TAKEN = (Reason.ACCEPTED.name, Reason.CLAMPED.name)


@dataclass(frozen=True, eq=False)
class History:
    """A run: what was voted, judged, ruled and filled.

    `votes` are as the strategies cast them, muted ones too; `disabled` names the strategies that
    broke a promise, and how: the others went on without them. `judged` holds a row a case with its
    verdict and `judgements` both whole, in the same order; `signals` a row a vote with its fate;
    `replay` starts at the first tradable bar.
    """

    world: World
    votes: Mapping[str, Votes]
    proposal: Proposal
    judged: pd.DataFrame
    judgements: tuple[Judgement, ...]
    signals: pd.DataFrame
    replay: Replay
    disabled: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def cases(self) -> tuple[Case, ...]:
        """The cases alone."""
        return tuple(case for case, _ in self.judgements)


def run_history(desk: Desk, world: World, progress: Progress | None = None) -> History:
    """Vote, judge and replay the whole world; trading begins at `world.start`."""
    panel = world.panel
    voters, raw, disabled = cast(desk.strategies, panel)
    voted = _by_bar(voters, raw, world)
    counted = _counted(voters, raw, panel)
    proposal, judged, judgements = _proposed(desk, world, voters, counted, voted, progress)
    result = replay_proposal(panel, proposal, desk.limits, desk.costs, desk.capital)
    signals = _framed(voted, panel)
    signals = _with_fates(desk, voters, signals, counted, judged, result.fates)
    return History(
        world, raw, proposal, judged, judgements, signals, result.since(world.start), disabled
    )


def judged_proposal(desk: Desk, world: World, progress: Progress | None = None) -> Proposal:
    """What the whole desk wants of the gate, voted and judged, from `world.start` on.

    Raises what the first strategy to break raises: a run that went on without it would be another.
    """
    voters, panel = desk.strategies, world.panel
    raw = {s.name: honest_votes(s, panel) for s in voters}
    voted, counted = _by_bar(voters, raw, world), _counted(voters, raw, panel)
    return _proposed(desk, world, voters, counted, voted, progress)[0]


def _counted(
    voters: Sequence[Strategy], raw: Mapping[str, Votes], panel: Panel
) -> dict[str, Votes]:
    """The votes that count: a muted one has side 0."""
    return {
        s.name: replace(
            raw[s.name], side=raw[s.name].side.where(s.allowed(panel, raw[s.name].side), 0)
        )
        for s in voters
    }


def _proposed(
    desk: Desk, world: World, voters: Sequence[Strategy], counted: Mapping[str, Votes],
    voted: Mapping[int, Sequence[Signal]], progress: Progress | None,
) -> tuple[Proposal, pd.DataFrame, tuple[Judgement, ...]]:  # fmt: skip
    """The proposal of the counted votes, with the verdicts it stands on and their cases."""
    panel = world.panel
    side, confidence = combine_votes(voters, counted, panel, desk.quorum)
    side.iloc[: world.start] = 0.0
    heard = replace(desk, strategies=voters)  # who broke a promise neither votes nor is silent
    judged, judgements, multiplier = _judge(heard, world, side, voted, progress)
    proposal = Proposal(
        side=side,
        confidence=confidence,
        multiplier=multiplier * regime_size(panel.context["regime"].to_numpy()),
        exit=_exits(counted, panel),
    )
    return proposal, judged, judgements


def _exits(votes: Mapping[str, Votes], panel: Panel) -> pd.DataFrame:
    leave = np.zeros(panel.close.shape, bool)
    for vote in votes.values():
        if vote.exit is not None:
            leave |= vote.exit.to_numpy(bool)
    return pd.DataFrame(leave, panel.index, panel.close.columns)


def _by_bar(
    voters: Sequence[Strategy], votes: Mapping[str, Votes], world: World
) -> dict[int, list[Signal]]:
    """The entries that were voted for from `world.start` on, by row, in the voters' order."""
    bars: dict[int, list[Signal]] = {}
    for s in voters:
        for t, signals in enumerate(s.told(world.panel, votes[s.name])):
            if t >= world.start and any(signal.side for signal in signals):
                bars.setdefault(t, []).extend(signal for signal in signals if signal.side)
    return bars


def _framed(bars: Mapping[int, Sequence[Signal]], panel: Panel) -> pd.DataFrame:
    """The same as a frame, a row a vote; `t` and `column` are its cell."""
    column = {symbol: j for j, symbol in enumerate(panel.symbols)}
    rows = [
        (t, column[signal.symbol], panel.close_times[t], *signal)
        for t, signals in bars.items()
        for signal in signals
    ]
    frame = pd.DataFrame(rows, columns=["t", "column", "time", *Signal._fields])
    frame = frame.astype({"t": np.int64, "column": np.int64, "side": np.int64})
    frame["time"] = pd.DatetimeIndex(frame["time"], tz="UTC").as_unit("us")
    return frame.sort_values(["t", "column", "strategy"], ignore_index=True)


def _judge(
    desk: Desk,
    world: World,
    side: pd.DataFrame,
    votes: Mapping[int, Sequence[Signal]],
    progress: Progress | None,
) -> tuple[pd.DataFrame, tuple[Judgement, ...], pd.DataFrame]:
    """Ask the judge at every bar with a wanted entry; verdict rows, cases, the multiplier frame."""
    multiplier = np.zeros(side.shape)
    rows: list[tuple[Any, ...]] = []
    shown: list[Judgement] = []
    bars = np.flatnonzero(side.to_numpy().any(axis=1))
    column = {symbol: j for j, symbol in enumerate(world.panel.symbols)}
    for k, t in enumerate(bars.tolist()):
        wants = askable(votes[t], world.panel.symbols, desk)
        cases = cases_of(world.snapshot(t, desk.bars), votes[t], wants, desk)
        heard = hear(desk.judge, cases, desk.reduce)
        for symbol, left in multipliers(heard, wants, desk).items():
            multiplier[t, column[symbol]] = left
        rows += [_row(t, case, verdict) for case, verdict in heard]
        shown += heard
        if progress is not None:
            progress(k + 1, len(bars), "judging")
    judged = pd.DataFrame(rows, columns=list(JUDGED))
    return judged, tuple(shown), pd.DataFrame(multiplier, side.index, side.columns)


JUDGED = (
    "t", "time", "symbol", "side", "regime", "decision", "confidence", "rationale", "source",
    "case_hash", "code", "model", "prompt_id", "knowledge", "cost_usd",
)  # fmt: skip


def _row(t: int, case: Case, verdict: Verdict) -> tuple[Any, ...]:
    return (
        t, case.as_of, case.symbol, case.side, case.regime, str(verdict.decision),
        verdict.confidence, verdict.rationale, verdict.source, verdict.case_hash, verdict.code,
        verdict.model, verdict.prompt_id, verdict.knowledge, verdict.cost_usd,
    )  # fmt: skip


def _with_fates(
    desk: Desk,
    strategies: Sequence[Strategy],
    signals: pd.DataFrame,
    counted: Mapping[str, Votes],
    judged: pd.DataFrame,
    fates: pd.DataFrame,
) -> pd.DataFrame:
    """The signals with the stage at which each ended, the rule it met there, and its verdict."""
    t, j = signals["t"].to_numpy(), signals["column"].to_numpy()
    sides = np.stack([counted[s.name].side.to_numpy(float) for s in strategies])
    conflict = ((sides > 0).any(axis=0) & (sides < 0).any(axis=0))[t, j]
    counts = counting(
        sides, [s.category for s in strategies], [s.from_text for s in strategies],
        needed(desk.quorum, fates.columns),
    )  # fmt: skip
    voter = signals["strategy"].map({s.name: k for k, s in enumerate(strategies)}).to_numpy(int)
    word = judged["code"].where(judged["code"] != "", judged["decision"])
    verdict = signals.merge(
        judged[["t", "symbol"]].assign(verdict=word), how="left", on=["t", "symbol"]
    )["verdict"].fillna("")  # fmt: skip
    fate = fates.to_numpy()[t, j]
    names = np.array([reason.name for reason in Reason] + [""])  # -1: no claim was made
    met = zip(
        signals["muted"], conflict, counts[voter, t, j], signals["from_text"], verdict,
        names[fate].tolist(), strict=True,
    )  # fmt: skip
    ends = [ending(*each) for each in met]
    return signals.assign(
        verdict=verdict.to_numpy(), stage=[end[0] for end in ends], rule=[end[1] for end in ends]
    )


def ending(
    muted: str, conflict: bool, counts: bool, from_text: bool, verdict: str, reason: str
) -> tuple[str, str]:
    """The stage at which a vote ended and the rule it met there.

    `conflict`: counted votes of its bar and symbol disagree; `counts`: see `vote.counting`;
    `verdict` is the decision, the code if nobody judged the case, or "" if nobody was asked (a
    short where the gate takes none); `reason` the gate's by name, "" for none.
    """
    if muted:
        return "vote", muted
    if conflict:
        return "vote", "CONFLICT"
    if not counts:
        return "vote", "TEXT_ALONE" if from_text else "NO_QUORUM"
    if verdict not in {"", Decision.PROCEED, Decision.REDUCE}:
        return "judge", verdict
    return ("traded" if reason in TAKEN else "risk"), reason


def why_no_trade(signals: pd.DataFrame) -> pd.DataFrame:
    """How many signals of each strategy ended where: rows (stage, rule), columns strategies."""
    stage = pd.Categorical(signals["stage"], ["vote", "judge", "risk", "traded"], ordered=True)
    table = pd.crosstab([stage, signals["rule"]], signals["strategy"], rownames=["stage", "rule"])
    return table.assign(total=table.sum(axis=1))
