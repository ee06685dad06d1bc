"""The taker's price: against us, bounded, and never more for less."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.domain import Costs
from workbench.execution.costs import MOST, taker_price

always_the_same = settings(max_examples=500, derandomize=True, deadline=None, database=None)
prices = st.floats(1e-9, 1e9)
quantities = st.floats(0.0, 1e12)
sigmas = st.one_of(st.floats(0.0, 10.0), st.sampled_from([math.nan, math.inf, -1.0]))
# a market that trades next to nothing has a test of its own
advs = st.one_of(st.floats(1e-9, 1e12), st.sampled_from([math.nan, math.inf, -1.0]))
costs_of = st.builds(
    Costs, half_spread=st.floats(0.0, 0.5), impact=st.floats(0.0, 1e6),
    taker_fee=st.just(0.0), maker_fee=st.just(0.0), step=st.none(), max_participation=st.just(1.0),
)  # fmt: skip


def shift(quantity: float = 1_000.0, **changed: float) -> float:
    """How far buying at 100 is moved; half spread 5 bps, sigma 4 %, ADV 100 M unless told."""
    said = {"sigma": 0.04, "adv": 1e8, "half_spread": 0.0005, "impact": 1.0} | changed
    costs = Costs(half_spread=said["half_spread"], impact=said["impact"])
    return taker_price(100.0, 1.0, quantity, said["sigma"], said["adv"], costs) / 100.0 - 1.0


@pytest.mark.parametrize(("quantity", "bps"), [(1_000.0, 17.6491), (4_000.0, 30.2982)])
def test_the_square_root_law(quantity: float, bps: float) -> None:
    """Known answer sqrt-impact: 100,000 and 400,000 of a market of 100 M a day."""
    assert shift(quantity) * 1e4 == pytest.approx(bps, abs=1e-3)


@pytest.mark.parametrize("name", ["sigma", "adv"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_without_a_usable_measure_there_is_half_the_spread(name: str, value: float) -> None:
    assert shift(**{name: value}) == pytest.approx(0.0005, rel=1e-9)


def test_no_impact_is_half_the_spread() -> None:
    assert shift(impact=0.0) == pytest.approx(0.0005, rel=1e-9)
    assert shift(0.0) == pytest.approx(0.0005, rel=1e-9)


@pytest.mark.parametrize("changed", [{"impact": 1e9}, {"sigma": 1e6}, {"adv": 1e-6}])
def test_a_buyer_pays_at_most_half_more_and_a_seller_gets_at_least_half(
    changed: dict[str, float],
) -> None:
    assert shift(**changed) == MOST
    costs = Costs(half_spread=0.5, impact=1.0)
    assert taker_price(100.0, 1.0, 1e9, 1.0, 1.0, costs) == 150.0
    assert taker_price(100.0, -1.0, 1e9, 1.0, 1.0, costs) == 50.0


@always_the_same
@given(prices, quantities, sigmas, advs, costs_of)
def test_a_taker_never_gains_and_never_loses_more_than_half(
    price: float, quantity: float, sigma: float, adv: float, costs: Costs
) -> None:
    bought = taker_price(price, 1.0, quantity, sigma, adv, costs)
    sold = taker_price(price, -1.0, quantity, sigma, adv, costs)
    assert price * (1.0 + costs.half_spread) <= bought <= price * 1.5
    assert price * 0.5 <= sold <= price * (1.0 - costs.half_spread)
    assert bought - price == pytest.approx(price - sold, rel=1e-6, abs=price * 1e-12)


@always_the_same
@given(prices, quantities, quantities, sigmas, advs, costs_of)
def test_more_is_never_cheaper(
    price: float, one: float, other: float, sigma: float, adv: float, costs: Costs
) -> None:
    small, large = sorted([one, other])
    for direction in (1.0, -1.0):
        near = taker_price(price, direction, small, sigma, adv, costs)
        far = taker_price(price, direction, large, sigma, adv, costs)
        assert direction * far >= direction * near


@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")
@pytest.mark.parametrize("impact", [1.0, 0.0])
def test_a_market_that_hardly_trades_has_a_price(impact: float) -> None:
    """The share of the day's volume overflows; the shift is bounded all the same."""
    costs = Costs(half_spread=0.001, impact=impact)
    price = taker_price(100.0, 1.0, 5.0, 0.01, 1e-310, costs)
    assert 100.0 < price <= 150.0
