"""Each test of the verdict: where it passes, where it fails, and what it says if it cannot tell."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.research.judging import (
    GRID,
    desk_at,
    follow,
    for_votes,
    null_world,
    silent,
    strong_world,
    swept,
    world_of,
)
from tests.strategies import cheats
from workbench.domain import Panel, Proposal
from workbench.research.evidence import Evidence, Finding
from workbench.research.findings import TESTS, findings
from workbench.research.metrics import sharpes
from workbench.research.sweep import SHARPE, Sweep
from workbench.research.trials import Ledger, Trial

TEST = {name: (decides, test) for name, decides, test in TESTS}


def asked(evidence: Evidence, name: str) -> Finding:
    """One finding, as `findings` gives it."""
    return {each.name: each for each in findings(evidence)}[name]


@pytest.fixture(scope="module")
def strong(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    desk = desk_at(tmp_path_factory.mktemp("strong"))
    return swept(desk, strong_world(), grid=GRID)


@pytest.fixture(scope="module")
def null(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return swept(desk_at(tmp_path_factory.mktemp("null")), null_world(seed=5), grid=GRID)


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Seven UTC days, the first of them begun at 08:00."""
    world = strong_world()
    week = world_of(world.panel.rows(0, world.start + 40))
    return swept(desk_at(tmp_path_factory.mktemp("brief")), week, holdout=0.0)


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    desk = desk_at(tmp_path_factory.mktemp("nothing"))
    return swept(desk, null_world(years=1.0), silent, grid={"least": [1.0, 2.0]})


def made_of(
    sweep: Sweep, returns: Any, *, others: tuple[float, ...] = (), by: str = "another"
) -> Evidence:
    """The first set of a sweep in which the sets had these daily returns (sets, days), and others
    had been tried before, with Sharpe ratios of so much a day."""
    given = np.asarray(returns, dtype=float)
    days = pd.date_range("2024-01-01", periods=given.shape[1], freq="1D", tz="UTC")
    frame = sweep.frame.iloc[: len(given)].copy()
    daily = sharpes(given)
    frame[SHARPE] = daily * math.sqrt(365)
    data = sweep.ledger.data
    own = [
        Trial(f"own {k}", f"own {k}", data.hash, sweep.strategy, {}, s, 1, 1)
        for k, s in enumerate(daily)
    ]
    more = [
        Trial(f"{by} {k}", f"{by} {k}", data.hash, by, {}, s, 1, 1) for k, s in enumerate(others)
    ]
    table = pd.DataFrame(given.T, days, frame.index)
    made = replace(
        sweep, sets=sweep.sets[: len(given)], frame=frame, returns=table,
        ledger=Ledger(data, (*own, *more), ()),
    )  # fmt: skip
    return Evidence(made, 0, permutations=19)


def steady(n: int, sharpe: float, seed: int = 0) -> np.ndarray:
    """Daily returns of exactly this daily Sharpe ratio (ddof 1) and a deviation of 1 %."""
    drawn = np.random.default_rng(seed).normal(size=n)
    return 0.01 * ((drawn - drawn.mean()) / drawn.std(ddof=1) + sharpe)


# --- all of them ---------------------------------------------------------------------------------


def test_a_planted_edge_passes_every_test(strong: Sweep) -> None:
    """In the order of TESTS, each with a sentence; the chosen set is the best of the grid."""
    told = [*findings(Evidence(strong, strong.best_set, permutations=19))]
    assert [each.name for each in told] == [name for name, _, _ in TESTS]
    assert [each.name for each in told if each.decides and not each.passed] == []
    assert all(each.sentence.endswith(".") for each in told)


def test_a_market_without_an_edge_fails_what_asks_for_luck(null: Sweep) -> None:
    """The best of nine on a random walk (seed 5): nothing that asks for luck lets it through."""
    told = {f.name: f for f in findings(Evidence(null, null.best_set, permutations=19))}
    for name in ("probabilistic Sharpe", "deflated Sharpe", "mean return",
                 "superior ability (SPA)", "signal shift", "bar permutation"):  # fmt: skip
        assert told[name].passed is False, told[name]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("trades", "not computable: n = 0, needs 30 closed trades"),
        ("probabilistic Sharpe", "Sharpe ratio: not computable: n = 7, needs 30 returns"),
        ("deflated Sharpe", "Sharpe ratio: not computable: n = 7, needs 30 returns"),
        ("deflated Sharpe, raw", "Sharpe ratio: not computable: n = 7, needs 30 returns"),
        ("length of the backtest", "Sharpe ratio: not computable: n = 7, needs 30 returns"),
        ("mean return", "interval of the mean: not computable: n = 7, needs 10"),
        ("superior ability (SPA)", "superiority: not computable: n = 7, needs 30 periods"),
        ("overfitting (PBO)", "overfitting: not computable: n = 7, needs 20 rows"),
        ("walk-forward", "not computable: n = 7, needs 111 rows"),
        ("cross-validated paths", "cross-validation: not computable: n = 7, needs 200 days"),
        ("plateau", "Sharpe ratio: not computable: n = 7, needs 30 returns"),
    ],
)
def test_a_week_says_how_much_more_it_would_take(brief: Sweep, name: str, says: str) -> None:
    """Not passed, and not failed."""
    found = asked(Evidence(brief, 0, permutations=19), name)
    assert says in found.sentence
    assert (found.passed, found.figure) == (None, None)


def test_where_nothing_was_traded_no_test_is_passed_that_asks_for_trades(nothing: Sweep) -> None:
    """It lost nothing and earned nothing: `earns` fails, and what has no Sharpe says so."""
    told = {f.name: f for f in findings(Evidence(nothing, 0, permutations=19))}
    assert told["earns after costs"].passed is False
    assert told["signal shift"].sentence == "not computable: n = 0, needs 1 trades."
    assert "needs 1 sets that traded" in told["bar permutation"].sentence
    assert told["noise"].sentence == "There is no Sharpe above 0 to keep."
    assert {name for name, f in told.items() if f.passed} == {"lookahead"}


def test_one_set_alone_has_no_neighbours_and_no_choice_to_judge(tmp_path: Path) -> None:
    """Neither with a grid of one nor for a rule without a parameter."""

    def plain(panel: Panel) -> Proposal:
        return follow(panel, 24, 96)

    one = swept(desk_at(tmp_path), strong_world(), grid={"fast": [24], "slow": [96]})
    told = {f.name: f for f in findings(Evidence(one, 0, permutations=1))}
    assert "not computable: n = 1, needs 2 sets" in told["overfitting (PBO)"].sentence
    assert told["plateau"].sentence == "not computable: n = 0, needs 1 neighbours."
    bare = replace(one, sets=({},))
    bare = replace(bare, plan=replace(one.plan, proposer=replace(one.plan.proposer, rule=plain)))
    assert (
        "n = 0, needs 1 parameters" in asked(Evidence(bare, 0, permutations=1), "plateau").sentence
    )


# --- is it what it says? -------------------------------------------------------------------------


def _held(panel: Panel, up: Any, down: Any) -> Proposal:
    return Proposal(np.asarray(up), 100.0, 1.0, np.asarray(down))


def next_close(panel: Panel, least: float = 0.0) -> Proposal:
    ahead = panel.close.shift(-1) / panel.close - 1.0
    return _held(panel, ahead > least, ahead < -least)


def centred(panel: Panel, bars: int = 9) -> Proposal:
    middle = panel.close.rolling(bars, center=True).mean()
    return _held(panel, panel.close < middle, panel.close > middle)


def whole_sample(panel: Panel, least: float = 0.5) -> Proposal:
    z = (panel.close - panel.close.mean()) / panel.close.std()
    return _held(panel, z < -least, z > least)


@pytest.mark.parametrize("rule", [next_close, centred, whole_sample])
def test_a_rule_that_looks_ahead_is_told_where(
    rule: Callable[..., Proposal], tmp_path: Path
) -> None:
    """The bar at which it knew more than there was."""
    name = [*rule.__code__.co_varnames][1]
    value = rule.__defaults__[0]  # type: ignore[index]
    done = swept(desk_at(tmp_path), null_world(years=1.0), rule, grid={name: [value]})
    found = asked(Evidence(done, 0, permutations=1), "lookahead")
    assert (found.passed, found.decides) == (False, "reject")
    assert found.sentence.startswith(f"{rule.__name__} looks ahead: what it claims at 202")
    assert "changes when the bars after" in found.sentence


def test_a_rule_that_knows_the_bars_from_elsewhere_is_told_so(tmp_path: Path) -> None:
    """It looks its claims up in a table of the whole market: no bar cut off changes them."""
    world = null_world(years=1.0)
    ahead = (world.panel.close.shift(-6) / world.panel.close - 1.0).fillna(0.0)

    def oracle(panel: Panel, least: float = 0.01) -> Proposal:
        known = ahead.reindex(panel.index).to_numpy()
        return Proposal(known > least, 100.0, 1.0, known < 0.0)

    done = swept(desk_at(tmp_path), world, oracle, grid={"least": [0.01]})
    found = asked(Evidence(done, 0, permutations=1), "lookahead")
    assert found.passed is False
    assert found.sentence.startswith(
        "oracle claims the same when every number of its panel is noise: it knows the bars"
    )


def test_a_rule_that_breaks_on_noise_does_read_its_panel(tmp_path: Path) -> None:
    """An honest rule may refuse numbers that cannot be."""

    def picky(panel: Panel, fast: int = 24) -> Proposal:
        if bool((panel.high < panel.low).to_numpy().any()):
            raise ValueError("no bar has its high below its low")
        return follow(panel, fast, 96)

    done = swept(desk_at(tmp_path), strong_world(years=1.0), picky, grid={"fast": [24]})
    assert asked(Evidence(done, 0, permutations=1), "lookahead").passed is True


def test_too_few_trades_and_a_loss_are_told(strong: Sweep) -> None:
    frame = strong.frame.assign(**{"trades": 29, "total return": 0.0})
    few = Evidence(replace(strong, frame=frame), 0, permutations=1)
    assert asked(few, "trades").sentence == "not computable: n = 29, needs 30 closed trades."
    assert (asked(few, "earns after costs").passed, asked(few, "earns after costs").figure) == (
        False, 0.0,
    )  # fmt: skip
    assert asked(few, "earns after costs").sentence == "It made +0.00% after all costs."
    frame = strong.frame.assign(**{"trades": 30, "total return": 0.001})
    enough = Evidence(replace(strong, frame=frame), 0, permutations=1)
    assert asked(enough, "trades").passed is True
    assert asked(enough, "earns after costs").passed is True


# --- could it be luck? ---------------------------------------------------------------------------


def one(name: str, evidence: Evidence) -> Finding:
    """One test alone, without the others."""
    found = TEST[name][1](evidence)
    return replace(found, passed=None if found.passed is None else bool(found.passed))


def test_a_sharpe_is_enough_from_so_many_days_on(strong: Sweep) -> None:
    """0.1 a day, nearly normal: 1.645^2 / 0.01 + 1 = 272 days; 400 are enough, 200 are not."""
    long = one("probabilistic Sharpe", made_of(strong, [steady(400, 0.1)]))
    assert long.passed
    assert long.figure == pytest.approx(0.977, abs=0.004)  # Phi(0.1 * sqrt(399)) = Phi(2.0)
    assert not one("probabilistic Sharpe", made_of(strong, [steady(200, 0.1)])).passed


def test_the_more_were_tried_the_more_it_takes(strong: Sweep) -> None:
    """Of 20 different sets the best is expected at 1.9 deviations; 0.1 a day over 400 days is 2."""
    alone = made_of(strong, [steady(400, 0.1)])
    assert one("deflated Sharpe", alone).passed
    assert alone.independent == 1.0
    many = made_of(strong, [steady(400, 0.1)], others=(0.0,) * 19)
    assert many.independent == 20.0
    found = one("deflated Sharpe", many)
    assert found.figure == pytest.approx(0.55, abs=0.05)  # Phi(2.0 - 1.87)
    assert not found.passed
    assert found.sentence.startswith("20 sets were tried on these days, 20 of them different ones")


def test_copies_of_a_set_do_not_hide_what_was_tried_before(strong: Sweep) -> None:
    """A parameter without effect gives nine equal sets: they are one, and 90 others are 90."""
    copied = [steady(400, 0.1)] * 9
    hidden = made_of(strong, copied, others=(0.0,) * 90)
    assert hidden.independent == 91.0
    assert not one("deflated Sharpe", hidden).passed
    near = [steady(400, 0.1) + 1e-5 * steady(400, 0.0, seed=k) for k in range(1, 10)]
    assert made_of(strong, near, others=(0.0,) * 90).independent == 91.0
    different = [steady(400, 0.1, seed=k) for k in range(9)]
    assert made_of(strong, different, others=(0.0,) * 90).independent == 99.0


def test_as_published_the_own_scatter_of_a_strategy_counts(strong: Sweep) -> None:
    """Nine equal sets scatter by nothing; earlier trials of the same name from -0.1 to 0.1 do."""
    copied = [steady(400, 0.1)] * 9
    assert one("deflated Sharpe, raw", made_of(strong, copied)).figure > 0.95
    wide = tuple(np.linspace(-0.1, 0.1, 91))
    found = one("deflated Sharpe, raw", made_of(strong, copied, others=wide, by="follow"))
    assert found.figure < 0.95
    assert (found.passed, TEST["deflated Sharpe, raw"][0]) == (None, "")
    assert found.sentence.startswith("With all 100 as independent ones")


def test_the_length_is_told_and_decides_nothing(strong: Sweep) -> None:
    found = one("length of the backtest", made_of(strong, [steady(730, 0.1)], others=(0.0,) * 99))
    assert (found.passed, found.figure, TEST["length of the backtest"][0]) == (None, 2.0, "")
    assert "would show this Sharpe in 1.8 years" in found.sentence  # (2.53 / 1.91)^2
    assert one("length of the backtest", made_of(strong, [steady(400, -0.1)])).sentence == (
        "Without a Sharpe above 0 no length would do."
    )


def test_one_lucky_day_is_no_mean_return(strong: Sweep) -> None:
    """+60 % on one of 400 days and a little less than nothing on all others."""
    lucky = np.full(400, -1e-4) + steady(400, 0.0) / 1_000.0
    lucky[200] = 0.6
    found = one("mean return", made_of(strong, [lucky]))
    assert found.passed is False
    assert found.figure is not None
    assert found.figure <= 0.0
    assert one("mean return", made_of(strong, [steady(400, 0.2)])).passed


def test_superiority_counts_how_many_were_looked_at(strong: Sweep) -> None:
    """A daily Sharpe of 0.1 over 400 days is 2 deviations: enough alone, not as the best of 9."""
    assert one("superior ability (SPA)", made_of(strong, [steady(400, 0.1)])).passed
    nine = [steady(400, 0.1)] + [steady(400, 0.0, seed=k) for k in range(1, 9)]
    found = one("superior ability (SPA)", made_of(strong, nine))
    assert found.passed is False
    assert "no set of 9 beats" in found.sentence


def test_permutations_stop_where_nothing_can_be_passed_any_more(null: Sweep) -> None:
    """As soon as 1 of 19 did as well; the p that is told is then above 5 %, and one permutation
    can never pass."""
    found = one("bar permutation", Evidence(null, null.best_set, permutations=19))
    assert found.passed is False
    assert found.figure is not None
    assert found.figure > 0.05
    assert "did as well in 1 of " in found.sentence


@pytest.mark.parametrize("permutations", [-3, 0, 1, 18])
def test_too_few_permutations_cannot_pass(strong: Sweep, permutations: int) -> None:
    """18 worlds, none of which did as well, leave 1 / 19."""
    found = one("bar permutation", Evidence(strong, strong.best_set, permutations=permutations))
    assert found.passed is False


# --- was the choice overfit? ---------------------------------------------------------------------


def test_a_choice_that_changes_with_every_half_is_overfit(strong: Sweep) -> None:
    """Nine sets of noise; nine sets of which one has an edge; nine that all have the same."""
    noise = [steady(400, 0.0, seed=k) for k in range(9)]
    assert one("overfitting (PBO)", made_of(strong, noise)).passed is False
    edge = [steady(400, 0.3), *noise[1:]]
    clear = one("overfitting (PBO)", made_of(strong, edge))
    assert (clear.passed, clear.figure) == (True, 0.0)
    alike = one("overfitting (PBO)", made_of(strong, [steady(400, 0.3)] * 9))
    assert alike.figure == 1.0  # none is better than the median, and none of them lost
    assert alike.passed is True


def test_what_was_best_on_the_past_must_earn_after_it(strong: Sweep) -> None:
    """An edge that lasts; and one that ends with the days it was first chosen on."""
    edge = [steady(400, 0.3), steady(400, 0.0, seed=1)]
    assert one("walk-forward", made_of(strong, edge)).passed
    fades = steady(400, 0.0) + 0.01 * np.where(np.arange(400) < 133, 0.5, -0.5)
    found = one("walk-forward", made_of(strong, [fades, fades - 1e-4]))
    assert found.passed is False
    assert "Chosen anew on the past 7 times" in found.sentence
    flat = made_of(strong, np.zeros((2, 400)))
    assert one("walk-forward", flat).sentence == "Chosen on the past, nothing was traded after."


def test_most_cross_validated_paths_must_earn(strong: Sweep) -> None:
    good = one("cross-validated paths", made_of(strong, [steady(400, 0.3), steady(400, 0.2, 1)]))
    assert (good.passed, good.figure) == (True, 1.0)
    bad = one("cross-validated paths", made_of(strong, [steady(400, -0.1), steady(400, -0.1, 1)]))
    assert (bad.passed, bad.figure) == (False, 0.0)
    assert bad.sentence.startswith("0 of 9 cross-validated paths")


def test_a_peak_that_nothing_supports_is_no_plateau(strong: Sweep) -> None:
    """Set 0 (fast 12, slow 72) has two neighbours: sets 1 and 3 of the grid of nine."""
    peak = [steady(400, 0.3)] + [steady(400, 0.01, k) for k in range(1, 9)]
    found = one("plateau", made_of(strong, peak))
    assert found.passed is False
    assert found.figure == pytest.approx(0.01 / 0.3)
    even = [steady(400, 0.3)] + [steady(400, 0.2, k) for k in range(1, 9)]
    assert one("plateau", made_of(strong, even)).passed
    loss = made_of(strong, [steady(400, -0.3)] * 9)
    assert one("plateau", loss).sentence == "There is no Sharpe above 0 to keep."


# --- does it bear the world? ---------------------------------------------------------------------


def quick(panel: Panel, hold: int = 2) -> Proposal:
    """Long for the bar after a shock, which the market below takes back."""
    moved = panel.close / panel.close.shift(1) - 1.0
    return _held(panel, moved < -0.008, moved.shift(hold) < -0.008)


def rebounding(years: float = 1.0) -> Any:
    """A market in which every fall of a bar is taken back within the next one."""
    rng = np.random.default_rng(5)
    bars = round(years * 365 * 6) + 200
    step = rng.normal(0.0, 0.005, bars)
    back = np.zeros(bars)
    for t in range(1, bars):
        back[t] = -0.9 * min(step[t] + back[t], 0.0) if t else 0.0
    close = 100.0 * np.exp(np.cumsum(step + np.roll(back, 1)))
    opened = np.r_[100.0, close[:-1]]
    index = pd.date_range("2020-01-01", periods=bars, freq="4h", tz="UTC")
    frames = {name: pd.DataFrame({"X/USDT": values}, index) for name, values in (
        ("open", opened), ("close", close), ("high", np.maximum(opened, close) * 1.0001),
        ("low", np.minimum(opened, close) * 0.9999), ("volume", np.full(bars, 1e6)))}  # fmt: skip
    return world_of(Panel.from_frames(**frames, timeframe="4h", source="SYNTHETIC rebound"))


def test_an_edge_of_the_next_bar_does_not_bear_to_come_late(tmp_path: Path) -> None:
    """A fall is taken back at once: one bar later there is nothing left to earn."""
    done = swept(desk_at(tmp_path), rebounding(), quick, grid={"hold": [2]})
    evidence = Evidence(done, 0)
    assert evidence.annual > 2.0
    found = one("one bar late", evidence)
    assert found.passed is False
    assert found.figure is not None
    assert found.figure < 0.5


def test_noise_and_delay_and_costs_leave_a_broad_edge(strong: Sweep) -> None:
    evidence = Evidence(strong, strong.best_set)
    for name in ("noise", "one bar late", "costs doubled", "signal shift"):
        assert one(name, evidence).passed, name


def test_noise_takes_what_hangs_on_the_last_digit(tmp_path: Path) -> None:
    """Long only where the low is a ten-thousandth below the close: noise leaves no such bar."""

    def exact(panel: Panel, hold: int = 2) -> Proposal:
        at_low = (panel.low / panel.close - 0.9999).abs() < 1e-9
        want = at_low & (panel.close / panel.close.shift(1) < 0.992)
        return _held(panel, want, want.shift(hold, fill_value=False))

    done = swept(desk_at(tmp_path), rebounding(), exact, grid={"hold": [2]})
    found = one("noise", Evidence(done, 0))
    assert (found.passed, found.figure) == (False, -math.inf)
    assert found.sentence == "With noise of 0.25 ATR in every price nothing of the Sharpe is left."


def test_costs_doubled_end_what_lives_off_a_little(strong: Sweep) -> None:
    """The planted edge, at fees that leave it a third: twice as much is a loss."""
    evidence = Evidence(strong, strong.best_set)
    made = one("costs doubled", evidence)
    assert made.figure is not None
    alone = float(strong.frame["total return"].iloc[strong.best_set])
    once = alone - made.figure  # what costs take once
    dearer = 1.0 + 0.6 * alone / once
    costs = evidence.plan.costs._replace(
        **{n: dearer * v for n, v in evidence.plan.costs._asdict().items() if "fee" in n}
    )
    dear = replace(strong, plan=replace(strong.plan, costs=costs))
    assert one("costs doubled", Evidence(dear, strong.best_set)).passed is False


def test_signals_that_are_always_on_do_as_well_at_other_times(tmp_path: Path) -> None:
    """Long at every bar: moved in time it is the same, so p is 1."""

    def always(panel: Panel, least: float = 0.0) -> Proposal:
        there = panel.close.to_numpy() > least
        return Proposal(there, 100.0, 1.0, ~there)

    done = swept(desk_at(tmp_path), strong_world(years=1.0), always, grid={"least": [0.0]})
    found = one("signal shift", Evidence(done, 0))
    assert (found.passed, found.figure) == (False, 1.0)


def test_of_a_strategy_the_contract_names_the_leak(tmp_path: Path) -> None:
    """As `check_strategy` says it: what it read, and how far ahead."""
    world = for_votes(null_world(years=1.0))
    for cheat, says in (
        (cheats.next_bar, "it reads the next bar, through its close"),
        (cheats.centred, "it reads up to 2 bars ahead"),
        (cheats.normalised, "it depends on the whole sample"),
    ):
        voter = cheats.declared(cheat)
        done = swept(desk_at(tmp_path, voter), world, voter, grid={"limits.stop": [0.02]})
        found = one("lookahead", Evidence(done, 0))
        assert found.passed is False
        assert "it looks ahead" in found.sentence
        assert says in found.sentence, found.sentence
