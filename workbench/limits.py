"""The rule book's numbers and what a fill costs: tuples of floats, checked when they are made.

NamedTuples because the compiled rules read them for free; every field is a float because each other
type would be a second compiled signature.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from workbench.errors import UsageError


class _LimitFields(NamedTuple):
    max_position: float = 0.05
    max_deployed: float = 0.20
    stop: float = 0.02
    take_profit: float = 0.03
    take_profit_share: float = 0.5
    trail: float = 0.015
    max_correlation: float = 0.70
    daily_drawdown: float = 0.05
    max_stopouts_per_day: float = 3.0
    cooldown_bars: float = 3.0
    max_entries_per_day: float = 12.0
    one_per_cluster: float = 0.0
    p_full: float = 0.65
    min_notional: float = 0.0
    allow_short: float = 0.0
    approval_above: float = 500.0


class Limits(_LimitFields):
    """The rule book's numbers; every field is stored as a float (one compiled signature).

    `approval_above` (USD) binds live entries only; a replay asks nobody.
    Raises UsageError naming the field that is impossible.
    """

    __slots__ = ()

    def __new__(cls, *values: float, **named: float) -> Self:
        given = _numbers("limits", _LimitFields, values, named)
        for name in ("max_position", "max_deployed", "take_profit_share", "p_full"):
            _within("limits", name, given[name], 0.0, 1.0, above=name != "max_deployed")
        for name in ("stop", "trail", "daily_drawdown"):
            _within("limits", name, given[name], 0.0, 1.0, above=True, below=True)
        _within("limits", "take_profit", given["take_profit"], 0.0, math.inf, above=True)
        _within("limits", "max_correlation", given["max_correlation"], 0.0, 1.0)
        for name in ("max_stopouts_per_day", "cooldown_bars", "max_entries_per_day"):
            _within("limits", name, given[name], 0.0, math.inf)
        for name in ("min_notional", "approval_above"):
            _within("limits", name, given[name], 0.0, math.inf)
        for name in ("one_per_cluster", "allow_short"):
            if given[name] not in (0.0, 1.0):
                raise UsageError(f"limits.{name} is {given[name]:g}; it must be true or false")
        return super().__new__(cls, **given)

    def _replace(self, **changed: float) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        return type(self)(**(self._asdict() | changed))


class _CostFields(NamedTuple):
    half_spread: float = 0.0002
    impact: float = 1.0
    taker_fee: float = 0.001
    maker_fee: float = 0.001
    step: float = 0.0
    max_participation: float = math.inf


class Costs(_CostFields):
    """What a fill costs, as fractions of its price: half spread + impact * sigma * sqrt(Q / ADV).

    `impact` is the square-root law's Y; `step` the quantity step (None: none); an entry is at most
    `max_participation` of the decision bar's volume. Raises UsageError naming the field.
    """

    __slots__ = ()

    def __new__(cls, *values: float | None, **named: float | None) -> Self:
        given = _numbers("costs", _CostFields, values, named)
        for name in ("half_spread", "taker_fee", "maker_fee"):
            _within("costs", name, given[name], 0.0, 0.5)
        for name in ("impact", "step"):
            _within("costs", name, given[name], 0.0, math.inf, below=True)
        _within("costs", "max_participation", given["max_participation"], 0.0, math.inf)
        return super().__new__(cls, **given)

    def _replace(self, **changed: float | None) -> Self:  # pyright: ignore[reportIncompatibleMethodOverride]
        return type(self)(**(self._asdict() | changed))

    @classmethod
    def for_market_cap(cls, market_cap_usd: float, **named: float | None) -> Self:
        """Costs with the floor of the asset's tier: 2, 8 or 25 bps of half spread, and below
        $500M at most 1 % of a bar's volume. A market cap that is no finite number is the dearest
        tier."""
        if not math.isfinite(market_cap_usd):
            market_cap_usd = 0.0
        floor = 0.0002 if market_cap_usd > 10e9 else 0.0008 if market_cap_usd >= 500e6 else 0.0025
        asked = cls(**named)
        share = asked.max_participation if floor < 0.0025 else min(asked.max_participation, 0.01)
        return asked._replace(half_spread=max(floor, asked.half_spread), max_participation=share)


def _numbers(
    section: str,
    fields: type[_LimitFields] | type[_CostFields],
    values: Sequence[float | None],
    named: Mapping[str, float | None],
) -> dict[str, float]:
    names = fields._fields
    unknown = [name for name in named if name not in names]
    unknown += [name for name in names[: len(values)] if name in named]
    if unknown or len(values) > len(names):
        raise UsageError(f"{section} has no field {(unknown or ['number ' + str(len(values))])[0]}")
    asked: dict[str, Any] = dict(fields._field_defaults) | dict(zip(names, values, strict=False))
    given: dict[str, float] = {}
    asked |= named
    for name, value in asked.items():
        number: Any = 0.0 if value is None and name == "step" else value
        try:
            given[name] = float(number)
        except (TypeError, ValueError, OverflowError):
            raise UsageError(f"{section}.{name} is {value!r}; it must be a number") from None
    return given


def _within(
    section: str, name: str, value: float, low: float, high: float,
    *, above: bool = False, below: bool = False,
) -> None:  # fmt: skip
    inside = (low < value if above else low <= value) and (value < high if below else value <= high)
    if not inside:
        raise UsageError(
            f"{section}.{name} is {value:g}; it must be {'above' if above else 'at least'} {low:g}"
            f" and {'below' if below else 'at most'} {high:g}"
        )
