"""The facts of the completed days, against the library's arithmetic and against themselves."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle import reachable
from tests.panels import walsh
from tests.recorded import spot_panel
from tests.rough import COMPILED, Rough, rough_panel
from workbench.arrays import Bools, Floats, Ints
from workbench.domain import Limits, Panel
from workbench.risk.correlation import (
    HISTORY_DAYS,
    MIN_COMMON_ROWS,
    WINDOW_DAYS,
    DailyFacts,
    clusters,
    daily_facts,
    too_close,
)

CORR = np.array([[1, 0.8, 0.6, 0.1], [0.8, 1, 0.75, 0.2], [0.6, 0.75, 1, 0.1], [0.1, 0.2, 0.1, 1]])
NAN = math.nan
DAY0 = 19_000


def facts_of(panel: Panel, first: int = 0) -> DailyFacts:
    close, volume = panel.close.to_numpy()[first:], panel.volume.to_numpy()[first:]
    return daily_facts(close, volume, panel.open_days[first:])


def daily(*columns: list[float], volume: float = 10.0) -> DailyFacts:
    """Facts of daily bars whose log returns are given; the first close, before them, is 100.

    A NaN is a day without a close, which takes the next return with it.
    """
    moves = np.array(columns).T
    path = np.vstack([np.zeros(len(columns)), np.cumsum(np.nan_to_num(moves), axis=0)])
    close = 100.0 * np.exp(path)
    close[1:][np.isnan(moves)] = NAN
    days = DAY0 + np.arange(len(close), dtype=np.int64)
    return daily_facts(close, np.full(close.shape, volume), days)


# --- clusters ------------------------------------------------------------------------------------


def test_clusters_are_connected_components() -> None:
    """Known answer corr-clusters (scipy connected_components): 0 and 2 are only 0.6 apart and
    share a cluster through 1."""
    assert clusters(CORR, ["0", "1", "2", "3"], 0.7) == [["0", "1", "2"], ["3"]]


def test_pairs_alone_are_not_transitive() -> None:
    near = too_close(CORR, Limits(max_correlation=0.7))
    assert not near[0, 2]
    assert too_close(CORR, Limits(max_correlation=0.7, one_per_cluster=True))[0, 2]


def test_a_threshold_is_not_above_itself() -> None:
    assert not too_close(CORR, Limits(max_correlation=0.8))[0, 1]
    assert too_close(CORR, Limits(max_correlation=0.7999999))[0, 1]
    assert too_close(-CORR, Limits(max_correlation=0.7999999))[0, 1]


def test_a_missing_correlation_is_too_close_whatever_the_limit() -> None:
    rho = CORR.copy()
    rho[0, 3] = rho[3, 0] = NAN
    assert too_close(rho, Limits(max_correlation=1.0))[0, 3]
    assert clusters(rho, list("abcd"), 0.7) == [list("abcd")]


def test_no_symbols_no_clusters() -> None:
    assert clusters(np.empty((0, 0)), [], 0.7) == []


def symmetric(values: list[float], n: int) -> Floats:
    rho = np.eye(n)
    rho[np.tril_indices(n, -1)] = values[: n * (n - 1) // 2]
    return rho + np.tril(rho, -1).T


def components(near: Bools) -> list[set[int]]:
    friends = {str(i): {str(j) for j in np.flatnonzero(row)} for i, row in enumerate(near)}
    return [{int(k) for k in reachable(str(i), friends)} for i in range(len(near))]


rhos = st.lists(
    st.one_of(st.floats(-1.0, 1.0), st.floats(-0.7, 0.7), st.just(NAN)), min_size=28, max_size=28
)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(rhos, st.integers(1, 8), st.floats(0.0, 1.0))
def test_one_per_cluster_is_the_transitive_closure(
    values: list[float], n: int, limit: float
) -> None:
    """Against a search from each symbol; and over many days at once as day by day."""
    rho = symmetric(values, n)
    pairs = too_close(rho, Limits(max_correlation=limit))
    closed = too_close(rho, Limits(max_correlation=limit, one_per_cluster=True))
    expected = components(pairs)
    for i in range(n):
        others = set(np.flatnonzero(closed[i]).tolist()) - {i}
        assert others == expected[i] - {i}
    assert np.array_equal(closed, closed.T)
    assert (closed | ~pairs).all(), "the closure loses no pair"
    days = np.stack([rho, np.eye(n), rho[::-1, ::-1]])
    many = too_close(days, Limits(max_correlation=limit, one_per_cluster=True))
    for day, single in zip(many, days, strict=True):
        alone = too_close(single, Limits(max_correlation=limit, one_per_cluster=True))
        assert np.array_equal(day, alone)
    names = [f"S{i}" for i in range(n)]
    groups = clusters(rho, names, limit)
    assert sorted(s for group in groups for s in group) == names
    for group in groups:
        home = expected[names.index(group[0])] | {names.index(group[0])}
        assert {names.index(s) for s in group} == home


# --- on recorded prices --------------------------------------------------------------------------


@cache
def market() -> Panel:
    """Five years of eight markets; without the compiler a part of them."""
    return spot_panel() if COMPILED else spot_panel().rows(20_000, 24_000)


@cache
def market_facts() -> DailyFacts:
    return facts_of(market())


def every_30th(panel: Panel) -> range:
    return range(int(panel.open_days[0]), int(panel.open_days[-1]) + 2, 30)


def test_the_last_62_days_give_the_bytes_of_all_history() -> None:
    """As the live bar reads them: at midnight, when the day is complete, and in mid-day."""
    panel, full = market(), market_facts()
    for day in every_30th(panel):
        known = int(np.searchsorted(panel.open_days, day))
        for bars_of_today in (0, 7):
            until = min(known + bars_of_today, len(panel))
            if until == 0:
                continue
            tail = panel.rows(0, until)
            part = facts_of(tail, int(np.searchsorted(tail.open_days, day - HISTORY_DAYS)))
            row, k = day - full.first_day, day - part.first_day
            assert part.rho[k].tobytes() == full.rho[row].tobytes(), (day, bars_of_today)
            assert part.sigma[k].tobytes() == full.sigma[row].tobytes(), (day, bars_of_today)
            assert part.adv[k].tobytes() == full.adv[row].tobytes(), (day, bars_of_today)


def library_facts(panel: Panel, day: int) -> tuple[Floats, Floats, Floats]:
    """rho, sigma and ADV known once the days before `day` are complete, by pandas and numpy."""
    close = panel.close.where((panel.close > 0) & np.isfinite(panel.close))
    volume = panel.volume.where((panel.volume > 0) & np.isfinite(panel.volume))
    calendar = pd.RangeIndex(day - WINDOW_DAYS - 1, day)
    recent = (panel.open_days >= day - WINDOW_DAYS - 1) & (panel.open_days < day)
    days = panel.open_days[recent]
    last = close[recent].groupby(days).last().reindex(calendar)
    returns = (np.log(last) - np.log(last.shift(1))).iloc[1:]
    traded = (close * volume)[recent].groupby(days).sum(min_count=1).reindex(calendar).iloc[1:]
    n = len(panel.symbols)
    rho = np.eye(n)
    for i in range(n):
        for j in range(i):
            both = returns.iloc[:, [i, j]].dropna().to_numpy()
            flat = len(both) < MIN_COMMON_ROWS or (np.ptp(both, axis=0) <= 1e-12).any()
            rho[i, j] = rho[j, i] = NAN if flat else np.corrcoef(both.T)[0, 1]
    sigma = returns.std(ddof=1).fillna(0.0).to_numpy()
    return rho, sigma, traded.mean().fillna(0.0).to_numpy()


def assert_as_the_library(facts: DailyFacts, panel: Panel, day: int) -> None:
    rho, sigma, adv = library_facts(panel, day)
    row, said = day - facts.first_day, f"{panel.source}, day {day}"
    assert np.array_equal(np.isnan(facts.rho[row]), np.isnan(rho)), said
    np.testing.assert_allclose(facts.rho[row], rho, rtol=0.0, atol=1e-12, err_msg=said)
    np.testing.assert_allclose(facts.sigma[row], sigma, rtol=1e-12, atol=1e-15, err_msg=said)
    np.testing.assert_allclose(facts.adv[row], adv, rtol=1e-12, err_msg=said)


def test_the_facts_are_those_of_the_libraries() -> None:
    for day in every_30th(market()):
        assert_as_the_library(market_facts(), market(), day)


@pytest.mark.parametrize("seed", range(8 if COMPILED else 2))
def test_the_facts_of_rough_markets_are_those_of_the_libraries(seed: int) -> None:
    world = Rough(seed, symbols=4, missing=(0.0, 0.02, 0.3, 0.6)[seed % 4], unusable=0.02 * seed)
    panel = rough_panel(world)
    facts = facts_of(panel)
    for day in range(int(panel.open_days[0]), int(panel.open_days[-1]) + 2, 3):
        assert_as_the_library(facts, panel, day)


def test_the_future_changes_no_fact() -> None:
    panel = rough_panel(Rough(5, missing=0.05, unusable=0.02))
    full = facts_of(panel)
    for until in (1, 2, 4, 5, 60, 130, len(panel)):
        part = facts_of(panel.rows(0, until))
        today = int(panel.open_days[until - 1])  # not over yet: it is no fact before tomorrow
        n = today - full.first_day + 1
        for mine, whole in zip(part[1:], full[1:], strict=True):
            assert mine[:n].tobytes() == whole[:n].tobytes()


# --- days on paper -------------------------------------------------------------------------------


def test_too_few_common_rows_are_no_correlation() -> None:
    for rows, known in ((44, False), (45, True), (60, True)):
        facts = daily(walsh(1, rows), walsh(2, rows))
        assert np.isfinite(facts.rho[-1, 0, 1]) == known, rows
        assert facts.rho[-1, 0, 0] == 1.0
    # 60 returns each, of which 16 fall to holes of the one or the other: 2 returns a hole
    one, other = walsh(1, 60), walsh(2, 60)
    for hole in (3, 9, 15, 21):
        one[hole] = NAN
    for hole in (30, 36, 42):
        other[hole] = NAN
    assert np.isfinite(daily(one, other).rho[-1, 0, 1])  # 60 - 14 = 46
    other[48] = NAN
    assert np.isnan(daily(one, other).rho[-1, 0, 1])  # 44


def test_the_window_forgets_the_61st_day() -> None:
    """One common leap of 50 %; it counts for 60 days and not one more."""
    one, other = walsh(1, 62), walsh(2, 62)
    one[0] = other[0] = 0.5
    facts = daily(one, other)
    assert facts.rho[61, 0, 1] > 0.9
    assert abs(facts.rho[62, 0, 1]) < 0.1
    assert facts.sigma[61, 0] > 0.05 > facts.sigma[62, 0]


@pytest.mark.parametrize("drift", [0.0, 0.003, -0.5, 1e-13])
def test_a_flat_series_correlates_with_nobody(drift: float) -> None:
    facts = daily([drift] * 60, walsh(2, 60))
    assert np.isnan(facts.rho[-1, 0, 1])
    assert np.isnan(facts.rho[-1, 1, 0])
    assert facts.sigma[-1, 0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("size", "known"), [(4e-13, False), (6e-11, True)])
def test_flat_is_within_one_in_a_million_million(size: float, known: bool) -> None:
    facts = daily(walsh(1, 60, size), walsh(2, 60))
    assert np.isfinite(facts.rho[-1, 0, 1]) == known


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_twins_correlate_fully_and_never_more(sign: float) -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        moves = list(rng.normal(0.0, 0.02, 60))
        rho = daily(moves, [sign * 3 * x for x in moves]).rho[-1, 0, 1]
        assert rho == pytest.approx(sign, abs=1e-12)
        assert abs(rho) <= 1.0


def hours(closes: dict[int, float], volumes: dict[int, float] | None = None) -> DailyFacts:
    """One symbol's facts over three days of 6 h bars, given by bar number; no other bar exists."""
    close, volume = np.full((12, 1), NAN), np.full((12, 1), NAN)
    for t, value in closes.items():
        close[t] = value
    for t, value in (volumes or {}).items():
        volume[t] = value
    return daily_facts(close, volume, DAY0 + np.arange(12, dtype=np.int64) // 4)


def test_a_partial_day_closes_with_its_last_usable_bar() -> None:
    """Day 0 ends at 100 in its second bar, day 1 has only its first, 110, day 2 ends at 121."""
    facts = hours({0: 90.0, 1: 100.0, 4: 110.0, 8: 90.0, 9: 121.0, 10: math.inf, 11: -5.0})
    step = math.log(1.1)
    assert facts.sigma[3, 0] == pytest.approx(0.0, abs=1e-15)  # two returns of 10 %
    assert facts.sigma[2, 0] == 0.0  # one return is no deviation
    moved = hours({1: 100.0, 4: 110.0, 8: 110.0})
    assert moved.sigma[3, 0] == pytest.approx(step / math.sqrt(2), rel=1e-12)


def test_a_missing_day_takes_its_return_and_the_next() -> None:
    facts = hours({3: 100.0, 11: 110.0})
    assert (facts.sigma == 0.0).all()


def test_quote_volume_counts_where_close_and_volume_are_usable() -> None:
    """Day 0: 100 * 2 + 50 * 4; day 1 has a volume and no close, day 2 a close and no volume."""
    closes = {0: 100.0, 1: 50.0, 2: 70.0, 8: 100.0, 9: 100.0}
    volumes = {0: 2.0, 1: 4.0, 2: 0.0, 5: 9.0, 8: math.inf, 9: -1.0}
    facts = hours(closes, volumes)
    assert facts.adv[:, 0].tolist() == [0.0, 400.0, 400.0, 400.0]
    both = hours({0: 100.0, 4: 100.0}, {0: 2.0, 4: 4.0})
    assert both.adv[:, 0].tolist() == [0.0, 200.0, 300.0, 300.0]


def test_nothing_is_known_on_the_first_day() -> None:
    facts = daily([0.01], [0.02])
    assert facts.first_day == DAY0
    assert facts.rho.shape == (3, 2, 2)
    assert np.isnan(facts.rho[:, 0, 1]).all()
    assert (facts.sigma == 0.0).all()
    assert facts.adv[0].tolist() == [0.0, 0.0]


def test_no_bars_no_facts() -> None:
    none: Ints = np.empty(0, np.int64)
    facts = daily_facts(np.empty((0, 2)), np.empty((0, 2)), none)
    assert facts.rho.shape == (1, 2, 2)
    assert (facts.sigma.shape, facts.adv.shape) == ((1, 2), (1, 2))


def test_days_without_a_single_bar_are_days() -> None:
    """Bars of days 0 and 5 only: a gap of days, not of rows."""
    days = np.array([DAY0, DAY0 + 5], np.int64)
    facts = daily_facts(np.array([[100.0], [110.0]]), np.ones((2, 1)), days)
    assert facts.rho.shape == (7, 1, 1)
    assert facts.adv[:, 0].tolist() == [0.0] + [100.0] * 5 + [105.0]
    assert (facts.sigma == 0.0).all()
