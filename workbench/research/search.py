"""Sets drawn instead of listed: at random, or by Optuna from what the sets before them came to.

A search is a sweep whose sets nobody wrote down; each is a trial like any other. What looks for the
best finds the luckiest first: validate what it finds on all that it tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workbench.domain import UsageError
from workbench.ports import Progress
from workbench.research.plan import Plan
from workbench.research.proposers import Set
from workbench.research.sweep import SHARPE, Sweep, sweep_sets
from workbench.research.trials import Clock, utc_now

Range = tuple[int, int] | tuple[float, float]
Space = Mapping[str, Range | Sequence[Any]]
Sampler = Literal["random", "tpe"]
Draw = Callable[[int], list[Set]]
BATCH = 16  # drawn at a time, whatever the threads: the same seed gives the same sets


def search(
    plan: Plan,
    space: Space,
    journal: Path,
    *,
    trials: int = 100,
    sampler: Sampler = "tpe",
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
    now: Clock = utc_now,
) -> Sweep:
    """At most `trials` different sets of a plan (`sweep.plan_of`), drawn from a space by a seed.

    The space names each parameter with a tuple (low, high), both ends in it, whole numbers if both
    are, or with a list to choose from. "tpe" is Optuna's tree-structured Parzen estimator on the
    Sharpe, a set without one being the worst; it is an extra. A set drawn twice is one trial.
    Raises UsageError for an empty or impossible space, and what `sweep_sets` raises.
    """
    _checked(space, trials)
    draw, tell = _random(space, seed) if sampler == "random" else _tpe(space, seed)
    sets: dict[str, Set] = {}
    drawn = 0
    while drawn < trials:
        batch = draw(min(BATCH, trials - drawn))
        drawn += len(batch)
        done = sweep_sets(plan, batch, journal, threads=threads, now=now)
        tell(done.frame[SHARPE].tolist())
        sets |= {repr(chosen): chosen for chosen in batch}
        if progress is not None:
            progress(drawn, trials, f"search {plan.proposer.name}")
    return sweep_sets(plan, [*sets.values()], journal, threads=threads, now=now)


def _checked(space: Space, trials: int) -> None:
    if not space:
        raise UsageError("the space is empty; name a parameter with (low, high) or a list")
    if trials < 1:
        raise UsageError(f"trials is {trials}; at least one set has to be drawn")
    for name, values in space.items():
        if isinstance(values, str) or not len(values):
            raise UsageError(f"the space's {name} is {values!r}; give (low, high) or a list")
        if isinstance(values, tuple) and not (len(values) == 2 and values[0] < values[1]):
            raise UsageError(f"the space's {name} is {values!r}; give (low, high), low below high")


def _whole(bounds: Range) -> bool:
    return all(isinstance(end, int) for end in bounds)


def _random(space: Space, seed: int) -> tuple[Draw, Callable[[list[float]], None]]:
    rng = np.random.default_rng(seed)

    def one(values: Range | Sequence[Any]) -> Any:
        if not isinstance(values, tuple):
            return values[int(rng.integers(len(values)))]
        low, high = values
        if _whole(values):
            return int(rng.integers(low, high + 1))
        return float(rng.uniform(low, high))

    def draw(n: int) -> list[Set]:
        return [{name: one(values) for name, values in space.items()} for _ in range(n)]

    return draw, lambda sharpes: None


def _tpe(space: Space, seed: int) -> tuple[Draw, Callable[[list[float]], None]]:
    try:
        import optuna  # noqa: PLC0415  an extra
    except ImportError:
        raise UsageError(
            "sampler='tpe' needs the extra: pip install 'workbench[search]'; 'random' needs nothing"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    asked: list[Any] = []

    def one(trial: Any, name: str, values: Range | Sequence[Any]) -> Any:
        if not isinstance(values, tuple):
            return values[trial.suggest_categorical(name, range(len(values)))]
        suggest = trial.suggest_int if _whole(values) else trial.suggest_float
        return suggest(name, *values)

    def draw(n: int) -> list[Set]:
        asked[:] = [study.ask() for _ in range(n)]
        return [{name: one(t, name, values) for name, values in space.items()} for t in asked]

    def tell(sharpes: list[float]) -> None:
        known = [told for trial in study.trials if (told := trial.values)]
        there = [sharpe for sharpe in sharpes if math.isfinite(sharpe)]
        worst = min([*there, *(told[0] for told in known)], default=0.0)
        for trial, sharpe in zip(asked, sharpes, strict=True):
            study.tell(trial, sharpe if math.isfinite(sharpe) else worst - 1.0)

    return draw, tell
