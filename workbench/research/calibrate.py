"""Which probability each strategy's score has stood for, walk-forward, and the file that keeps it.

Every vote that its regime allows is taken alone (`research.outcomes`), and what came of it teaches
the votes after its close. These outcomes are not independent: eight coins vote in the same hour and
fall together, and a strategy that goes on voting goes on making the same trade. So a number of
days stands beside every number of outcomes; believe an interval as if it came from the days.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from workbench.calibration import (
    EVERY,
    LEAST,
    Calibration,
    brier,
    calibrations_from_json,
    calibrations_to_json,
    log_loss,
    told,
    unknown,
    walk_forward,
    wilson,
)
from workbench.data.context import made_up
from workbench.domain import Costs, DataError, Limits, Panel, UsageError, Votes, parse_timeframe
from workbench.files import write_whole
from workbench.journal_json import to_plain
from workbench.ports import Progress
from workbench.research.outcomes import outcomes
from workbench.strategies.ballot import cast
from workbench.strategies.vote import Strategy

if TYPE_CHECKING:
    from workbench.data.snapshot import World
    from workbench.desk import Desk

OUTCOMES = (
    "strategy", "symbol", "side", "t", "voted", "closed", "score", "p", "known", "won", "return",
    "reason", "bars",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What `calibrate` found.

    `calibrations`: the curves by strategy. `outcomes`: a row each, in the order of the votes:
    strategy, symbol, side, t (row of the panel), when its vote was cast and when its trade closed,
    the score (0-100), `p` the chance known at its vote (NaN: UNCALIBRATED then), `known` the
    outcomes that stands on, won, return, reason, bars. `summary`: a row a strategy, see `scored`.
    `disabled` names who broke a promise, and how; `fitted_for` what the curves hold for.
    """

    calibrations: Mapping[str, Calibration]
    outcomes: pd.DataFrame
    summary: pd.DataFrame
    disabled: Mapping[str, str]
    fitted_for: Mapping[str, Any] = field(repr=False)

    @property
    def source(self) -> str:
        return str(self.fitted_for["source"])

    @property
    def synthetic(self) -> bool:
        return self.source.startswith("SYNTHETIC")

    def desk(self, desk: Desk) -> Desk:
        """The desk with these curves. Raises UsageError if they were fitted for other rules."""
        return _with_curves(desk, self.fitted_for, self.calibrations, "this calibration")


def calibrate(
    desk: Desk, world: World, progress: Progress | None = None, every: str = EVERY
) -> Calibrated:
    """Calibrate every strategy of the desk on its votes from `world.start` on.

    Each vote is taken alone with the desk's limits and costs, a short only where shorts are
    allowed, and with the strategy's own exit; it has won if its return is above 0. One that is not
    closed at the panel's end teaches nothing. Raises DataError if no strategy keeps its promises.
    """
    panel = world.panel
    plain = [replace(strategy, calibration=None) for strategy in desk.strategies]
    voters, votes, disabled = cast(plain, panel)
    chance = breakeven(desk.limits, desk.costs)
    found: dict[str, Calibration] = {}
    frames: list[pd.DataFrame] = []
    for k, strategy in enumerate(voters):
        own = _resolved(strategy, votes[strategy.name], world, desk)
        voted = pd.DatetimeIndex(own["voted"])
        score = own["score"].to_numpy(np.float64)
        curves = walk_forward(
            voted, pd.DatetimeIndex(own["closed"]), score, own["won"], chance, every
        )
        known = curves.outcomes(voted)
        p = np.where(known > 0, curves.apply(score[:, None], voted)[:, 0] / 100.0, np.nan)
        found[strategy.name] = curves
        frames.append(own.assign(p=p, known=known)[list(OUTCOMES)])
        if progress is not None:
            progress(k + 1, len(voters), "calibrating")
    told_all = pd.concat(frames, ignore_index=True)
    summary = pd.DataFrame(
        {s.name: scored(f, found[s.name], chance) for s, f in zip(voters, frames, strict=True)}
    ).T.rename_axis("strategy")
    return Calibrated(
        found, told_all.sort_values(["voted", "symbol", "strategy"], ignore_index=True),
        summary.infer_objects(), disabled, _fitted_for(voters, panel, desk),
    )  # fmt: skip


def breakeven(limits: Limits, costs: Costs) -> float:
    """The chance at which `risk.sizing.edge` sees no edge: loss / (win + loss), at most 1."""
    round_trip = 2.0 * (costs.half_spread + costs.taker_fee)
    return min((limits.stop + round_trip) / (limits.stop + limits.take_profit), 1.0)


def _resolved(strategy: Strategy, votes: Votes, world: World, desk: Desk) -> pd.DataFrame:
    """The strategy's votes that came to an end, with what they came to."""
    panel = world.panel
    side = votes.side.where(strategy.allowed(panel, votes.side), 0).to_numpy(np.int64)
    takes = side != 0 if desk.limits.allow_short else side > 0
    takes[: world.start] = False
    t, j = np.nonzero(takes)
    cells = pd.DataFrame({"t": t, "symbol": np.array(panel.symbols, object)[j], "side": side[t, j]})
    came = outcomes(panel, cells, desk.limits, desk.costs, desk.capital, votes.exit)
    return cells.assign(
        strategy=strategy.name,
        voted=panel.close_times[t],
        closed=came["closed"] + panel.timeframe,
        score=votes.confidence.to_numpy(np.float64)[t, j],
        won=came["return"] > 0.0,
        **{name: came[name] for name in ("return", "reason", "bars")},
    )[came["return"].notna()].reset_index(drop=True)


def scored(own: pd.DataFrame, curves: Calibration, chance: float) -> dict[str, Any]:
    """One strategy's outcomes in figures.

    n resolved outcomes on so many days, wins, hit rate with Wilson's interval (the narrowest that
    it can be, see `wilson`), the break-even chance, the mean return; of the `scored` outcomes,
    whose vote had a curve: Brier score and log loss of score / 100, of the curves, and of the best
    constant in hindsight (who is not below it knows nothing by the score); the last curve.
    """
    n, wins = len(own), int(own["won"].sum())
    low, high = wilson(wins, n)
    had = own[own["known"] > 0] if "known" in own else own.iloc[:0]
    won, raw = had["won"].to_numpy(bool), had["score"].to_numpy(np.float64) / 100.0
    p = had["p"].to_numpy(np.float64)
    constant = np.full(len(had), won.mean() if len(had) else np.nan)
    last = curves.curves[-1] if curves.curves else None
    counts = last is not None and last.n >= LEAST
    return {
        "n": n, "days": own["voted"].dt.floor("D").nunique(), "wins": wins,
        "hit rate": wins / n if n else np.nan, "low": low, "high": high, "break-even": chance,
        "mean return": float(own["return"].mean()), "scored": len(had),
        "brier score": brier(raw, won), "brier curve": brier(p, won),
        "brier constant": brier(constant, won),
        "log loss score": log_loss(raw, won), "log loss curve": log_loss(p, won),
        "log loss constant": log_loss(constant, won),
        "curve": last.kind if last is not None and counts else "UNCALIBRATED",
        "curve n": last.n if last is not None else 0,
    }  # fmt: skip


# --- the file --------------------------------------------------------------------------------


class _Fitted(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    parameters: dict[str, Any]
    lookback: int | str
    regimes: list[str]
    trades: str
    holds_risk_off: bool
    from_text: bool
    curves: list[Any]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    source: str
    timeframe_s: float
    limits: dict[str, Any]
    costs: dict[str, Any]
    strategies: dict[str, _Fitted]


def _fitted_for(voters: list[Strategy], panel: Panel, desk: Desk) -> dict[str, Any]:
    return {
        "source": panel.source,
        "timeframe_s": panel.timeframe.total_seconds(),
        "limits": to_plain(desk.limits._asdict()),
        "costs": to_plain(desk.costs._asdict()),
        "strategies": {strategy.name: _identity(strategy) for strategy in voters},
    }


def _identity(strategy: Strategy) -> dict[str, Any]:
    """What a strategy must still be for its curves to hold."""
    return to_plain(
        {
            "parameters": dict(strategy.parameters),
            "lookback": strategy.lookback,
            "regimes": sorted(strategy.regimes),
            "trades": strategy.trades,
            "holds_risk_off": strategy.holds_risk_off,
            "from_text": strategy.from_text,
        }
    )


def write_calibration(path: Path, found: Calibrated) -> None:
    """Keep the curves, and what they were fitted for, in one step. Raises DataError if the disk
    forbids it."""
    curves = calibrations_to_json(found.calibrations)
    fitted = found.fitted_for["strategies"]
    strategies = {name: fitted[name] | {"curves": curves[name]} for name in fitted}
    plain = {**found.fitted_for, "strategies": strategies}
    write_whole(path, json.dumps(plain, sort_keys=True, allow_nan=False) + "\n")


def read_calibration(path: Path, desk: Desk) -> Desk:
    """The desk with the curves of a file; for who has none see `uncalibrated`.

    Raises UsageError if there is no file, or if it was fitted for other limits, costs, bars or
    declarations of a strategy, or on another venue's candles (one made-up world stands for every
    other, and for no recorded one); DataError if it is no calibration.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not there; `workbench calibrate --out {path}` writes it")
    try:
        file = _File.model_validate_json(path.read_bytes())
    except ValidationError as wrong:
        raise DataError(f"{path} is no calibration: {told(wrong)}; calibrate again") from None
    venue = desk.source.resolved().venue
    here = "SYNTHETIC" if made_up(venue) else venue
    if not file.source.startswith(f"{here} "):  # as the source of every world does
        raise UsageError(
            f"{path} was fitted on {file.source}, and this desk's data is"
            f" {'made up' if made_up(venue) else f'recorded at {venue}'}; run"
            " `workbench calibrate` on it first"
        )
    fitted = file.model_dump()
    curves = {name: own.pop("curves") for name, own in fitted["strategies"].items()}
    try:
        calibrations = calibrations_from_json(json.dumps(curves))
    except DataError as wrong:
        raise DataError(f"{path}: {wrong}") from None
    return _with_curves(desk, fitted, calibrations, str(path))


def _with_curves(
    desk: Desk, fitted: Mapping[str, Any], calibrations: Mapping[str, Calibration], where: str
) -> Desk:
    """The desk whose strategies have their curves, or the UsageError that says what differs."""
    asked = parse_timeframe(desk.source.timeframe).total_seconds()
    now = {
        "limits": to_plain(desk.limits._asdict()),
        "costs": to_plain(desk.costs._asdict()),
        "bars": {"timeframe_s": asked},
        **{s.name: _identity(s) for s in desk.strategies if s.name in calibrations},
    }
    then = {
        "limits": fitted["limits"],
        "costs": fitted["costs"],
        "bars": {"timeframe_s": fitted["timeframe_s"]},
        **fitted["strategies"],
    }
    for part, numbers in now.items():
        for name in sorted({*numbers, *then[part]}):
            held, wanted = then[part].get(name), numbers.get(name)
            if held != wanted:
                raise UsageError(
                    f"{where} was fitted for {part}.{name} {held!r}, and the desk has {wanted!r};"
                    " run `workbench calibrate` again, or set it back"
                )
    stranger = unknown(breakeven(desk.limits, desk.costs))
    return replace(
        desk,
        strategies=tuple(
            replace(s, calibration=calibrations.get(s.name, stranger)) for s in desk.strategies
        ),
    )


def uncalibrated(desk: Desk) -> tuple[str, ...]:
    """The strategies whose confidence is still their own score, even now."""
    return tuple(
        s.name for s in desk.strategies if s.calibration is None or s.calibration.last is None
    )
