"""The shipped strategies keep the contract on two worlds; every cheater is caught, and told why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.strategies import random_panel
from workbench.data.lake import Lake
from workbench.data.snapshot import World, load_world
from workbench.domain import Panel, UsageError, Votes
from workbench.strategies.contract import ContractBroken, check_strategy
from workbench.strategies.ema_adx import ema_adx
from workbench.strategies.indicators import ema
from workbench.strategies.news_sentiment import news_sentiment
from workbench.strategies.rsi_bounce import rsi_bounce
from workbench.strategies.vote import Strategy, strategy

SHIPPED = (ema_adx, rsi_bounce, news_sentiment)
shipped = pytest.mark.parametrize("voter", SHIPPED, ids=lambda s: s.name)


@pytest.fixture(scope="module")
def sample(sample_lake: Lake) -> World:
    return load_world(sample_lake, "sample", [], "1h", "2022-11-01", "2023-02-15")


@pytest.fixture(scope="module")
def recorded(recorded_lake: Lake) -> World:
    symbols = ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
    return load_world(recorded_lake, "binance_spot", symbols, "1h", "2024-10-01", "2025-01-31")


@shipped
def test_shipped_strategies_keep_the_contract_on_the_sample_world(
    voter: Strategy, sample: World
) -> None:
    """With votes to look at: a silent strategy keeps every promise."""
    assert voter(sample.panel).side.iloc[voter.lookback :].any(axis=None)
    check_strategy(voter, sample.panel, samples=12)


@shipped
def test_shipped_strategies_keep_the_contract_on_recorded_prices(
    voter: Strategy, recorded: World
) -> None:
    if voter is not news_sentiment:  # whether that one has much to read here, is not its promise
        assert voter(recorded.panel).side.iloc[voter.lookback :].any(axis=None)
    check_strategy(voter, recorded.panel, samples=12)


@shipped
def test_shipped_strategies_keep_the_contract_on_prices_with_holes(voter: Strategy) -> None:
    panel = random_panel(2_500, seed=21, holes=0.05)
    rng = np.random.default_rng(21)
    score = np.cumsum(rng.standard_t(3, panel.close.shape), axis=0)
    panel = panel.with_context(sentiment=pd.DataFrame(score, panel.index, panel.close.columns))
    assert voter(panel).side.iloc[voter.lookback :].any(axis=None)
    check_strategy(voter, panel, samples=12)


def test_without_scores_the_news_strategy_is_silent() -> None:
    panel = random_panel(1_000, seed=3)
    assert not news_sentiment(panel).side.any(axis=None)
    check_strategy(news_sentiment, panel, samples=3)


def test_an_unknown_score_takes_no_vote() -> None:
    panel = random_panel(1_500, seed=3)
    rng = np.random.default_rng(3)
    score = pd.DataFrame(
        np.cumsum(rng.standard_t(3, panel.close.shape), axis=0), panel.index, panel.close.columns
    )
    score.iloc[1_000:1_010] = np.nan
    votes = news_sentiment(panel.with_context(sentiment=score))
    assert votes.side.iloc[:1_000].any(axis=None)
    assert not votes.side.iloc[1_000:1_010].any(axis=None)
    assert not votes.confidence.iloc[1_000:1_010].any(axis=None)


# --- cheaters ------------------------------------------------------------------------------------


def signs(of: pd.DataFrame) -> Votes:
    """Long where a number is above 0, short where it is below, at 60."""
    side = pd.DataFrame(np.sign(of.fillna(0.0)), of.index, of.columns).astype(int)
    return Votes(side, side.abs() * 60.0)


def next_bar(panel: Panel) -> Votes:
    return signs(panel.close.shift(-1) - panel.close)


def centred(panel: Panel) -> Votes:
    return signs(panel.close - panel.close.rolling(5, center=True).mean())


def filled_backwards(panel: Panel) -> Votes:
    return signs(panel.context["sentiment"].bfill().where(panel.close.notna()))


def normalised(panel: Panel) -> Votes:
    """Votes a deviation off the mean of the whole sample."""
    z = (panel.close - panel.close.mean()) / panel.close.std()
    return signs(z.where(z.abs() > 1.0))


def best_of_all(panel: Panel) -> Votes:
    """Sure of itself in proportion to the highest close of all."""
    votes = signs(panel.close.diff())
    return Votes(votes.side, (60.0 * panel.close / panel.close.max()).fillna(0.0))


def slow_average(panel: Panel) -> Votes:
    return signs(panel.close - ema(panel.close, 200))


def too_sure(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(votes.side, votes.confidence.mask(votes.side == -1, 101.0))


def unsure(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(votes.side, votes.confidence.mask(votes.side == -1))


def hole_in_side(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(votes.side.astype(float).mask(votes.side == -1), votes.confidence)


def double(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(2 * votes.side, votes.confidence)


def blind(panel: Panel) -> Votes:
    """Votes by the last price there was, on missing bars too."""
    return signs(panel.close.ffill().diff(3))


def of_one_row(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(votes.side.tail(1), votes.confidence.tail(1))


def of_other_symbols(panel: Panel) -> Votes:
    votes = signs(panel.close.diff())
    return Votes(votes.side.iloc[:, ::-1], votes.confidence)


CUT, POISON = "changes when later bars are cut", "reads bars after it"
Function = Callable[[Panel], Votes]


def declared(function: Function, lookback: int = 50) -> Strategy:
    return strategy(category="trend", regimes={"trending"}, lookback=lookback)(function)


@pytest.mark.parametrize(
    ("cheat", "lookback", "says"),
    [
        (next_bar, 50, CUT),
        (centred, 50, CUT),
        (filled_backwards, 50, CUT),
        (normalised, 50, CUT),
        (best_of_all, 50, CUT),
        (slow_average, 60, r"is another on its last 60 bars; raise `lookback`"),
        (too_sure, 50, r"101 at .*; confidence must be 0 to 100"),
        (unsure, 50, r"nan at .*; confidence must be 0 to 100"),
        (hole_in_side, 50, r"nan at .*; side must be -1, 0 or 1"),
        (double, 50, r"2 at .*; side must be -1, 0 or 1"),
        (blind, 50, "a bar without a price takes no vote"),
        (of_one_row, 50, "side does not lie on the panel"),
        (of_other_symbols, 50, "side does not lie on the panel"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_cheater_is_caught_and_named(cheat: Function, lookback: int, says: str) -> None:
    panel = random_panel(900, seed=31, holes=0.02)
    sparse = panel.close.diff().iloc[::8].reindex(panel.index)
    panel = panel.with_context(sentiment=sparse)
    with pytest.raises(ContractBroken, match=f"^{cheat.__name__}: .*{says}"):
        check_strategy(declared(cheat, lookback), panel)


def test_a_cheater_who_needs_the_far_end_to_be_there_is_caught_by_poison() -> None:
    """With the later bars cut it behaves; with all of them there it reads the next one."""
    panel = random_panel(600, seed=32)

    def sly(given: Panel) -> Votes:
        ahead = given.close.shift(-1) if len(given) == len(panel) else given.close.shift(1)
        return signs(ahead - given.close)

    with pytest.raises(ContractBroken, match=r"^sly: "):
        check_strategy(declared(sly), panel)

    def slyer(given: Panel) -> Votes:
        """Reads the far end only where that end looks as it always did."""
        whole = len(given) == len(panel)
        end, usual = given.close.iloc[-1], panel.close.iloc[-1]
        known = whole and (end.isna() | (end == usual)).all()
        side = pd.DataFrame(0, given.index, given.close.columns)
        if whole and not known:
            side[:] = 1
        return Votes(side, side * 60.0)

    with pytest.raises(ContractBroken, match=POISON):
        check_strategy(declared(slyer), panel)


def test_a_cheater_through_the_context_alone_is_caught() -> None:
    panel = random_panel(600, seed=33)
    noise = np.random.default_rng(33).normal(size=len(panel))
    panel = panel.with_context(dxy=pd.Series(noise, panel.index))

    def peeks(given: Panel) -> Votes:
        ahead: Any = given.context["dxy"].shift(-1)
        return signs(given.close * 0.0 + ahead.to_numpy()[:, None])

    with pytest.raises(ContractBroken, match=CUT):
        check_strategy(declared(peeks), panel)


def test_a_cheater_in_a_single_bar_with_a_vote_is_found() -> None:
    """Bars with a vote are tried first, so one rare vote does not slip through."""
    panel = random_panel(2_000, seed=34)

    def rarely(given: Panel) -> Votes:
        ahead = given.close.shift(-1) / given.close - 1.0
        return signs(ahead.where(ahead == ahead.iloc[:, [0]].max().iloc[0]))

    assert (rarely(panel).side != 0).sum().sum() == 1
    with pytest.raises(ContractBroken, match=r"^rarely: "):
        check_strategy(declared(rarely), panel, samples=5)


def test_an_honest_strategy_of_a_notebook_cell_passes() -> None:
    panel = random_panel(900, seed=35, holes=0.02)

    def honest(given: Panel) -> Votes:
        return signs((given.close - given.close.shift(5)).where(given.close.notna()))

    check_strategy(declared(honest, 6), panel)
    with pytest.raises(ContractBroken, match="raise `lookback`"):
        check_strategy(declared(honest, 5), panel)


def test_a_panel_shorter_than_the_lookback_proves_nothing_and_says_so() -> None:
    with pytest.raises(ContractBroken, match="the panel has 50 bars, its lookback alone is 50"):
        check_strategy(declared(next_bar, 50), random_panel(50, seed=1))


def test_the_same_seed_tries_the_same_bars() -> None:
    """A broken promise is reported at the same bar again."""
    panel = random_panel(600, seed=36)
    sentences = set()
    for _ in range(2):
        with pytest.raises(ContractBroken) as broken:
            check_strategy(declared(normalised), panel, samples=10, seed=4)
        sentences.add(str(broken.value))
    assert len(sentences) == 1


def test_a_parameter_the_function_does_not_have_is_an_error() -> None:
    with pytest.raises(TypeError, match="slowest"):
        ema_adx.having(slowest=3)(random_panel(100, seed=1))


def test_a_broken_declaration_is_refused_before_any_data() -> None:
    with pytest.raises(UsageError, match="category"):
        strategy(category="", regimes=set(), lookback=1)
