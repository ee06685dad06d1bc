"""The compiled replay and the plain oracle make the same trades on thousands of bars.

Two programs, written apart from the same words: random worlds full of holes, and recorded markets.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.oracle import OracleReplay, oracle_replay
from tests.proposals import random_proposal
from tests.recorded import spot_panel
from workbench.domain import Costs, Limits, Panel, Reason, parse_timeframe
from workbench.research.replay import replay

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")
ENDLESS = {"max_stopouts_per_day": 1e9, "max_entries_per_day": 1e9}

DUST = 1e-10
"""Of 10,000 of capital: the last bits of a room, which is the rest of a subtraction."""

RULES: dict[str, tuple[Limits, Costs]] = {
    "default": (Limits(), Costs()),
    "loose": (
        Limits(
            max_position=0.3, max_deployed=1.0, stop=0.01, take_profit=0.015, trail=0.004,
            max_correlation=0.9, daily_drawdown=0.5, cooldown_bars=0, allow_short=True, **ENDLESS,
        ),
        Costs(impact=0.0),
    ),
    "tiny": (
        Limits(
            max_position=0.02, max_deployed=0.03, stop=0.03, daily_drawdown=0.0005,
            max_stopouts_per_day=1, max_entries_per_day=2, cooldown_bars=11, min_notional=90.0,
        ),
        Costs(),
    ),
    "clusters": (
        Limits(
            max_position=0.2, max_deployed=0.9, max_correlation=0.5, one_per_cluster=True,
            allow_short=True, trail=0.06, **ENDLESS,
        ),
        Costs(taker_fee=0.0004, maker_fee=0.0001),
    ),
    "step and impact": (
        Limits(
            max_position=0.5, max_deployed=1.0, take_profit_share=0.37, allow_short=True,
            daily_drawdown=0.1, cooldown_bars=1, min_notional=25.0, **ENDLESS,
        ),
        Costs(half_spread=0.0005, impact=3.0, step=0.25, max_participation=0.05),
    ),
    "crowded": (
        Limits(max_position=0.5, max_deployed=0.5, max_correlation=0.99, p_full=0.5, **ENDLESS),
        Costs(max_participation=0.2),
    ),
    "one rung": (
        Limits(take_profit_share=1.0, take_profit=0.01, stop=0.004, allow_short=True, p_full=0.9),
        Costs(half_spread=0.0, impact=200.0, taker_fee=0.0, maker_fee=0.0, step=0.001),
    ),
}  # fmt: skip


def random_panel(seed: int, timeframe: str, bars: int) -> Panel:
    """Five symbols, some of them kin, with jumps, crashes, holes, and prices that are none."""
    rng = np.random.default_rng(seed)
    shape = (bars, len(SYMBOLS))
    length = parse_timeframe(timeframe)
    hours = length / pd.Timedelta("1h")
    kinship = np.array([0.9, 0.85, 0.6, 0.3, 0.0])
    common = rng.standard_t(4, (bars, 1))
    moves = 0.006 * np.sqrt(hours) * (
        kinship * common + np.sqrt(1 - kinship**2) * rng.standard_t(4, shape)
    )  # fmt: skip
    moves[rng.random(bars) < 0.004] -= 0.15
    gaps = np.where(rng.random(shape) < 0.02, rng.normal(0, 0.03, shape), 0.0)
    path = np.cumsum(moves + gaps, axis=0) + np.log([10.0, 100.0, 3.0, 40.0, 250.0])
    close = np.exp(path)
    open_ = np.exp(path - moves)
    wick = 0.004 * np.sqrt(hours)
    frames = {
        "open": open_,
        "high": np.maximum(open_, close) * np.exp(rng.exponential(wick, shape)),
        "low": np.minimum(open_, close) * np.exp(-rng.exponential(wick, shape)),
        "close": close,
        "volume": rng.lognormal(6, 1, shape),
    }
    frames["volume"][rng.random(shape) < 0.004] = 0.0
    missing = rng.random(shape) < 0.004
    missing[bars // 2 : bars // 2 + 30, 3] = True  # an outage of some days
    for name, values in frames.items():
        values[missing] = np.nan
        broken = rng.random(shape) < 0.0015
        wrong = [np.nan, 0.0, -1.0] if name == "volume" else [np.nan, 0.0, -1.0, np.inf, -np.inf]
        values[broken] = rng.choice(wrong, int(broken.sum()))
    first = pd.Timestamp("2023-01-01 08:00", tz="UTC").floor(length)
    index = pd.date_range(first, periods=bars, freq=length)
    return Panel.from_frames(
        **{n: pd.DataFrame(v, index, list(SYMBOLS)) for n, v in frames.items()},
        timeframe=timeframe,
        source=f"SYNTHETIC seed {seed}",
    )


WORLDS = {"1h": 2600, "4h": 700}
# Every rule set meets an even seed, with few claims, and an odd one, with many.
RANDOM = [
    (name, timeframe, seed)
    for seed, name in enumerate(name for name in RULES for _ in range(2))
    for timeframe in WORLDS
]
RECORDED = [("default", 0.01), ("loose", 0.2), ("clusters", 0.1), ("step and impact", 0.1)]


@cache
def made_up(name: str, timeframe: str, seed: int) -> tuple[Any, OracleReplay]:
    panel = random_panel(seed, timeframe, WORLDS[timeframe])
    density = (0.03, 0.3)[seed % 2]
    proposal = random_proposal(panel, seed, density, broken=0.02)
    return replay(panel, proposal, *RULES[name]), oracle_replay(panel, proposal, *RULES[name])


@cache
def market() -> Panel:
    """125 days of the eight recorded markets, with the outage of 2023-03-24 among them."""
    return spot_panel().since(pd.Timestamp("2023-01-01", tz="UTC")).rows(0, 3000)


@cache
def recorded(name: str, density: float) -> tuple[Any, OracleReplay]:
    seed = len(name)
    proposal = random_proposal(market(), seed, density, broken=0.01)
    return replay(market(), proposal, *RULES[name]), oracle_replay(market(), proposal, *RULES[name])


def counts(result: Any) -> dict[str, int]:
    """How often each reason spoke."""
    return {name: int(n) for name, n in dict(result.blocks).items() if n and name != "ACCEPTED"}


def close_to(ours: pd.Series, plain: pd.Series, dust: float, label: str) -> None:
    """Equal within 1e-12 of each other."""
    np.testing.assert_allclose(
        ours.to_numpy(float), plain.to_numpy(float), rtol=1e-12, atol=dust, err_msg=label
    )


def agree(ours: Any, plain: OracleReplay, label: str) -> None:
    """The same fills in the same order, the same equity, the same reasons."""
    names = ["time", "symbol", "side", "reason"]
    found = list(ours.fills[names].itertuples(index=False, name=None))
    expected = list(plain.fills[names].itertuples(index=False, name=None))
    first = next((i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), None)
    assert first is None, f"{label}: fill {first} is {found[first]}, the oracle's {expected[first]}"
    assert len(found) == len(expected), f"{label}: {len(found)} fills, the oracle {len(expected)}"
    close_to(ours.fills["price"], plain.fills["price"], 0.0, f"{label}: price")
    close_to(ours.fills["fee"], plain.fills["fee"], DUST, f"{label}: fee")
    money = plain.fills["price"]
    close_to(
        ours.fills["quantity"] * money, plain.fills["quantity"] * money, DUST, f"{label}: quantity"
    )
    assert list(ours.equity.index) == list(plain.equity.index), label
    close_to(ours.equity, plain.equity, 0.0, f"{label}: equity")
    assert counts(ours) == counts(plain), label


@pytest.mark.parametrize(("name", "timeframe", "seed"), RANDOM)
def test_the_replay_agrees_with_the_oracle_on_random_worlds(
    name: str, timeframe: str, seed: int
) -> None:
    ours, plain = made_up(name, timeframe, seed)
    assert len(plain.fills) > 0, f"{name}, {timeframe}, seed {seed}: an idle world proves nothing"
    agree(ours, plain, f"limits {name!r}, timeframe {timeframe}, seed {seed}")


@pytest.mark.parametrize(("name", "density"), RECORDED)
def test_the_replay_agrees_with_the_oracle_on_recorded_markets(name: str, density: float) -> None:
    ours, plain = recorded(name, density)
    assert len(plain.fills) > 0, f"{name}: an idle market proves nothing"
    agree(ours, plain, f"recorded market, limits {name!r}, seed {len(name)}")


def test_every_reason_and_every_way_out_occurred() -> None:
    """Only HALTED is beyond a replay: a person halts, and none is there."""
    blocks: Counter[str] = Counter()
    reasons: set[tuple[str, str]] = set()
    for case in RANDOM:
        ours, _ = made_up(*case)
        blocks.update(counts(ours))
        reasons |= set(zip(ours.fills["side"], ours.fills["reason"], strict=True))
    expected = {r.name for r in Reason} - {"ACCEPTED", "HALTED"}
    assert set(blocks) == expected, f"never happened: {sorted(expected - set(blocks))}"
    ways = ("entry", "stop", "take_profit", "trail", "exit")
    assert reasons == {(side, why) for side in ("buy", "sell") for why in ways}
