"""Whoever claims: one strategy voting alone, a rule of one's own, or the whole desk with its judge.

A proposer turns a set of parameters into claims on its panel. Panels are handed out so that nothing
which a set writes on its frames is seen by another.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pandas as pd

from workbench import arrays as a
from workbench.arrays import Bools, Floats
from workbench.domain import Panel, Proposal
from workbench.errors import ContractBroken
from workbench.research.fingerprint import code_of, digest
from workbench.research.history import judged_proposal
from workbench.research.replay import claims_array
from workbench.strategies.vote import Strategy, regime_size

if TYPE_CHECKING:
    from workbench.calibration import Calibration
    from workbench.data.snapshot import World
    from workbench.desk import Desk
Rule = Callable[..., Proposal]
"""Of a panel and parameters: what to claim where, unjudged."""
Set = Mapping[str, Any]


class Proposer(Protocol):
    """Whoever makes claims of a set of parameters, on one panel."""

    @property
    def name(self) -> str: ...
    @property
    def known(self) -> Sequence[str]: ...
    @property
    def now(self) -> Set: ...
    @property
    def code(self) -> str:
        """What its claims depend on, but for the parameters and the panel."""
        ...

    @property
    def panel(self) -> Panel: ...

    def calibrated(self, parameters: Set) -> Mapping[str, Calibration]:
        """The curves that stay: who is given a parameter, be it the one that it had, is another."""
        ...

    def claims(self, parameters: Set, into: Floats) -> Floats: ...

    def on(self, panel: Panel) -> Self: ...


@dataclass(frozen=True, eq=False)
class Voting:
    """One strategy alone, unjudged, in its regimes and at their size."""

    strategy: Strategy
    panel: Panel

    @property
    def name(self) -> str:
        return self.strategy.name

    @property
    def known(self) -> Sequence[str]:
        return [*inspect.signature(self.strategy.function).parameters][1:]

    @property
    def now(self) -> Set:
        return parameters_of(self.strategy)

    @property
    def code(self) -> str:
        return strategy_code(self.strategy)

    def calibrated(self, parameters: Set) -> Mapping[str, Calibration]:
        return {}

    @cached_property
    def _size(self) -> Floats:
        return regime_size(self.panel.context["regime"].to_numpy())

    @cached_property
    def _allowed(self) -> tuple[Bools, Bools]:
        """Where a long, and where a short, may be voted for."""
        ones = np.ones(self.panel.close.shape)
        long, short = (self.strategy.muted(self.panel, side * ones) == "" for side in (1.0, -1.0))
        return long, short

    def claims(self, parameters: Set, into: Floats) -> Floats:
        # `having` also forgets a calibration: each set shows its own score, for no other has one.
        votes = self.strategy.having(**parameters)(_shown(self.panel))
        side, (long, short) = votes.side.to_numpy(), self._allowed
        into[:, :, a.WANT] = np.where(side > 0, long, 0.0) - np.where(side < 0, short, 0.0)
        into[:, :, a.CONFIDENCE] = votes.confidence.to_numpy()
        into[:, :, a.MULTIPLIER] = self._size
        into[:, :, a.EXIT] = 0.0 if votes.exit is None else votes.exit.to_numpy()
        return into

    def on(self, panel: Panel) -> Voting:
        return replace(self, panel=panel)


@dataclass(frozen=True, eq=False)
class Ruled:
    """A rule of one's own: a function of the panel that gives a Proposal."""

    rule: Rule
    panel: Panel

    @property
    def name(self) -> str:
        return getattr(self.rule, "__name__", "rule")

    @property
    def known(self) -> Sequence[str]:
        return [*inspect.signature(self.rule).parameters][1:]

    @property
    def now(self) -> Set:
        return _defaults(self.rule)

    @property
    def code(self) -> str:
        return digest(code_of(self.rule))

    def calibrated(self, parameters: Set) -> Mapping[str, Calibration]:
        return {}

    def claims(self, parameters: Set, into: Floats) -> Floats:
        proposed = self.rule(_shown(self.panel), **parameters)
        for k, part in enumerate(("side", "confidence", "multiplier", "exit")):
            into[:, :, k] = self._cells(part, getattr(proposed, part, None))
        leave = np.asarray(proposed.exit)
        if leave.dtype != np.bool_ and not np.isin(into[:, :, a.EXIT], (0.0, 1.0)).all():
            raise ContractBroken(f"{self.name}: exit has holes; say True or False for every cell")
        return into

    def _cells(self, part: str, given: Any) -> Any:
        """One part of the proposal: a frame or an array of the panel's shape, or one number."""
        like = self.panel.close
        if isinstance(given, pd.DataFrame):
            if not (given.index.equals(like.index) and given.columns.equals(like.columns)):
                raise ContractBroken(
                    f"{self.name}: {part} does not lie on the panel's rows and symbols"
                )
        elif given is None or np.shape(given) not in ((), like.shape):
            raise ContractBroken(
                f"{self.name}: {part} has shape {np.shape(given)}; the panel has {like.shape}, bars"
                " x symbols"
            )
        return given

    def on(self, panel: Panel) -> Ruled:
        return replace(self, panel=panel)


@dataclass(frozen=True, eq=False)
class Whole:
    """The whole desk: every strategy votes, the judge answers. Parameters are named
    `ema_adx.fast`."""

    desk: Desk
    world: World

    name = "desk"

    @property
    def panel(self) -> Panel:
        return self.world.panel

    @property
    def known(self) -> Sequence[str]:
        return [
            f"{s.name}.{parameter}"
            for s in self.desk.strategies
            for parameter in [*inspect.signature(s.function).parameters][1:]
        ]

    @property
    def now(self) -> Set:
        """Every parameter of every strategy as it stands."""
        return {
            f"{s.name}.{name}": value
            for s in self.desk.strategies
            for name, value in parameters_of(s).items()
        }

    @property
    def code(self) -> str:
        desk = self.desk
        voters = [Voting(s, self.panel).code for s in desk.strategies]
        judged = (code_of(desk.judge), desk.reduce, desk.quorum, desk.bars)
        read = self.world.headlines, self.world.odds, self.world.ages  # a judge does
        return digest(voters, judged, read)

    def calibrated(self, parameters: Set) -> Mapping[str, Calibration]:
        given = {name.partition(".")[0] for name in parameters}
        return {
            s.name: s.calibration
            for s in self.desk.strategies
            if s.calibration is not None and s.name not in given
        }

    def claims(self, parameters: Set, into: Floats) -> Floats:
        told: dict[str, dict[str, Any]] = {}
        for name, value in parameters.items():
            told.setdefault(name.partition(".")[0], {})[name.partition(".")[2]] = value
        voters = [s.having(**told[s.name]) if s.name in told else s for s in self.desk.strategies]
        desk = replace(self.desk, strategies=tuple(voters))
        into[:] = claims_array(self.panel, judged_proposal(desk, self.world))
        return into

    def on(self, panel: Panel) -> Whole:
        return replace(self, world=replace(self.world, panel=panel))


def _shown(panel: Panel) -> Panel:
    """The same bars to write on: what a set does to its frames, no other set sees. Nothing is
    copied before it is written on."""
    bars = (panel.open, panel.high, panel.low, panel.close, panel.volume)
    context = {name: series.copy(deep=False) for name, series in panel.context.items()}
    return Panel(
        *(frame.copy(deep=False) for frame in bars), panel.timeframe, context, panel.source
    )


def parameters_of(strategy: Strategy) -> dict[str, Any]:
    """As they stand: the function's own defaults where nothing else is said."""
    return _defaults(strategy.function) | dict(strategy.parameters)


def strategy_code(strategy: Strategy) -> str:
    """What a strategy is but for its parameters and its calibration."""
    s = strategy
    promised = (s.name, sorted(s.regimes), s.lookback, s.trades, s.holds_risk_off)
    return digest(code_of(s.function), promised)


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = [*inspect.signature(function).parameters.values()][1:]
    return {p.name: p.default for p in parameters if p.default is not p.empty}
