"""The shipped strategies keep the contract on three worlds; every cheat is caught, and told why."""

from __future__ import annotations

import pkgutil
import sys
from dataclasses import replace
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pandas as pd
import pytest

import workbench.strategies
from tests.strategies import cheats, random_panel
from tests.strategies.cheats import Function, declared, signs
from workbench.data.lake import Lake
from workbench.data.snapshot import load_world
from workbench.desk import Source, load_desk
from workbench.doctor import _promises, made_up
from workbench.domain import Panel, UsageError, Votes
from workbench.errors import ContractBroken
from workbench.strategies.contract import check_strategy
from workbench.strategies.ema_adx import ema_adx
from workbench.strategies.news_sentiment import news_sentiment
from workbench.strategies.vote import Strategy, strategy

LEAVES = declared(cheats.leaves)
FEW = {"samples": 16, "votes": 16}


def all_shipped() -> list[Strategy]:
    """Every strategy of the package, registered or not yet."""
    modules = [
        import_module(f"workbench.strategies.{module.name}")
        for module in pkgutil.iter_modules(workbench.strategies.__path__)
    ]
    found = [
        thing
        for module in modules
        for thing in vars(module).values()
        if isinstance(thing, Strategy) and thing.function.__module__ == module.__name__
    ]
    return sorted({s.name: s for s in found}.values(), key=lambda s: s.name)


shipped = pytest.mark.parametrize("voter", all_shipped(), ids=lambda s: s.name)


@pytest.fixture(scope="module")
def invented() -> Panel:
    return made_up()


@pytest.fixture(scope="module")
def recorded(recorded_lake: Lake) -> Panel:
    """Bitcoin and ether for 14 months; two of them after macro_trend's year."""
    source = Source(recorded_lake.root, "binance_spot", ("BTC/USDT", "ETH/USDT"))
    return load_desk(source=source).world("2023-11-01", "2023-12-31").panel


@pytest.fixture(scope="module")
def completed(recorded: Panel, invented: Panel) -> Panel:
    """Recorded bars and context, and where nothing was recorded the invented: the two pairs, odds
    of thresholds (around the recorded price) and a model's scores."""
    trial = invented.tail(len(recorded))
    pairs = [symbol for symbol in trial.symbols if symbol not in recorded.symbols]

    def beside(real: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([real, made[pairs].set_axis(recorded.index)], axis=1)

    bars = {
        name: beside(getattr(recorded, name), getattr(trial, name))
        for name in ("open", "high", "low", "close", "volume")
    }
    context: dict[str, Any] = {}
    for name, made in trial.context.items():
        real = recorded.context.get(name)
        if real is None:
            context[name] = made.set_axis(recorded.index)
        else:
            context[name] = real if real.ndim == 1 else beside(real, made)
    context["odds_strike"] = bars["close"].iloc[::240].reindex(recorded.index).ffill() * 1.02
    return Panel.from_frames(**bars, timeframe="1h", context=context, source=recorded.source)


@shipped
def test_shipped_strategies_keep_the_contract_on_recorded_data(
    voter: Strategy, completed: Panel
) -> None:
    """With votes to look at: a silent strategy keeps every promise."""
    said = check_strategy(voter, completed, **FEW)
    assert (said.votes_tried > 0, said.silent_because) == (True, "")


@shipped
def test_shipped_strategies_keep_the_contract_on_the_trial_panel(
    voter: Strategy, invented: Panel
) -> None:
    """What `workbench doctor` asks of them; another seed of bars here."""
    assert check_strategy(voter, invented, **FEW, seed=9).votes_tried > 0


@shipped
def test_shipped_strategies_keep_the_contract_on_prices_with_holes(
    voter: Strategy, invented: Panel
) -> None:
    """One bar in twenty is missing."""
    hole = np.random.default_rng(21).random(invented.close.shape) < 0.05
    bars = {n: getattr(invented, n).mask(hole) for n in ("open", "high", "low", "close", "volume")}
    check_strategy(voter, replace(invented, **bars), **FEW, seed=21)


def test_a_strategy_with_nothing_to_read_is_checked_and_said_to_be_silent() -> None:
    said = check_strategy(news_sentiment, random_panel(1_000, seed=3), samples=3)
    assert (said.votes_tried, said.samples, said.bars) == (0, 3, 1_000)
    assert said.silent_because == "nothing is known of sentiment"
    assert "had no vote to try: nothing is known of sentiment" in str(said)


def test_a_strategy_without_an_instrument_is_silent(invented: Panel) -> None:
    """It is never called: there is nothing to show it."""

    @strategy(category="trend", regimes={"trending"}, lookback=5, trades="carry")
    def pairs_only(panel: Panel) -> Votes:
        assert all(symbol.endswith("~carry") for symbol in panel.symbols)
        return signs(panel.close.diff())

    assert "no carry instrument" in check_strategy(pairs_only, random_panel(99, 1)).silent_because
    assert check_strategy(pairs_only, invented, **FEW).votes_tried == 16


# --- cheats, each caught and named ---------------------------------------------------------------


def with_scores(panel: Panel) -> Panel:
    """The panel with a score of every eighth bar as context."""
    return panel.with_context(sparse=panel.close.diff().iloc[::8].reindex(panel.index))


@pytest.fixture(scope="module")
def months(recorded: Panel) -> Panel:
    return with_scores(replace(recorded.rows(2_000, 4_400), context={}))


NEXT, WHOLE = "it reads the next bar", "it depends on the whole sample"
LEAKS = [
    (cheats.next_bar, rf"{NEXT}, through its close"),
    (cheats.one_candle, rf"{NEXT}, through its open"),
    (cheats.centred, r"it reads up to 2 bars ahead .*centred.*, through its close"),
    (
        cheats.filled_backwards,
        r"it reads up to 7 bars ahead .*a fill from later.*, through the context 'sparse'",
    ),
    (cheats.four_hours_by_open, r"it reads up to 3 bars ahead .*higher timeframe.* its close"),
    (cheats.normalised, rf"{WHOLE} \(a mean, .*, through its close"),
    (cheats.scaled, rf"{WHOLE} .*a scale.*, through its close"),
    (cheats.best_of_all, rf"{WHOLE} .*, through its close"),
    (cheats.smoothed, r"it reads up to \d{1,3} bars ahead .*smoothed.*, through its close"),
]
leaks = pytest.mark.parametrize(("cheat", "says"), LEAKS, ids=[c.__name__ for c, _ in LEAKS])


@leaks
def test_a_strategy_that_looks_ahead_is_caught_on_recorded_data(
    cheat: Function, says: str, months: Panel
) -> None:
    with pytest.raises(ContractBroken, match=f"^{cheat.__name__}: it looks ahead: its .*; {says}"):
        check_strategy(declared(cheat), months, **FEW)


@leaks
def test_a_strategy_that_looks_ahead_is_caught_on_random_walks(cheat: Function, says: str) -> None:
    panel = with_scores(random_panel(900, seed=31, holes=0.02))
    with pytest.raises(ContractBroken, match=f"^{cheat.__name__}: it looks ahead: its .*; {says}"):
        check_strategy(declared(cheat), panel, **FEW)


@pytest.mark.parametrize(
    ("twin", "lookback"),
    [(cheats.four_hours_by_close, 9), (cheats.filtered, 400), (cheats.honest, 6)],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_honest_twin_of_a_cheat_passes(twin: Function, lookback: int, months: Panel) -> None:
    assert check_strategy(declared(twin, lookback), months, **FEW).votes_tried == 16


def test_a_cheat_in_a_single_bar_with_a_vote_is_found() -> None:
    """Bars with a vote are all tried, so one rare vote does not slip through."""
    panel = random_panel(2_000, seed=34)
    ahead = panel.close.shift(-1) / panel.close - 1.0
    least = float(ahead.iloc[100:, 0].max())

    def rarely(given: Panel) -> Votes:
        rise = given.close.shift(-1) / given.close - 1.0
        return signs(rise.where((rise == least) & (given.symbols[0] == given.close.columns)))

    assert (rarely(panel).side != 0).sum().sum() == 1
    with pytest.raises(ContractBroken, match=rf"^rarely: it looks ahead: .*; {NEXT}"):
        check_strategy(declared(rarely), panel, samples=5)


def test_a_cheat_that_only_withholds_votes_is_found() -> None:
    """Its votes are anybody's; what it takes back is what will have lost by the next close."""
    panel = random_panel(700, seed=37)

    def withdrawn(given: Panel) -> Votes:
        falls = given.close.shift(-1) < given.close
        return signs((given.close - given.open).clip(lower=0.0).mask(falls))

    with pytest.raises(ContractBroken, match=rf"^withdrawn: .*; {NEXT}, through its close"):
        check_strategy(declared(withdrawn), panel, samples=5)


def test_a_cheat_through_a_series_of_the_context_is_named_with_it() -> None:
    panel = random_panel(600, seed=33)
    noise = np.random.default_rng(33).normal(size=len(panel))
    panel = panel.with_context(dxy=pd.Series(noise, panel.index))

    def peeks(given: Panel) -> Votes:
        ahead: Any = given.context["dxy"].shift(-3)
        return signs(given.close * 0.0 + ahead.to_numpy()[:, None])

    says = r"it reads up to 3 bars ahead .*, through the context 'dxy'"
    with pytest.raises(ContractBroken, match=says):
        check_strategy(declared(peeks), panel, **FEW)


def test_a_cheat_who_behaves_on_panels_of_another_length_is_caught() -> None:
    """With the later bars cut it reads the bar before; with all of them there, the next one."""
    panel = random_panel(600, seed=32)

    def sly(given: Panel) -> Votes:
        ahead = given.close.shift(-1) if len(given) == len(panel) else given.close.shift(1)
        return signs(ahead - given.close)

    with pytest.raises(ContractBroken, match=rf"^sly: .* later bars are cut away; {NEXT}"):
        check_strategy(declared(sly), panel, **FEW)


def test_a_cheat_who_only_shows_on_other_later_bars_is_caught_by_poison() -> None:
    """It reads the far end only where that end does not look as it always did."""
    panel = random_panel(600, seed=32)

    def slyer(given: Panel) -> Votes:
        end, usual = given.close.iloc[-1], panel.close.iloc[-1]
        known = len(given) < len(panel) or (end == usual).all()
        return signs(given.close if not known else given.close * 0.0)

    with pytest.raises(ContractBroken, match=rf"when later bars hold noise; {WHOLE}"):
        check_strategy(declared(slyer), panel, **FEW)


def test_a_strategy_that_counts_from_the_panels_end_is_told_so() -> None:
    """No number of a later bar matters to it, only that there is one."""

    def last_of_all(given: Panel) -> Votes:
        side = pd.DataFrame(0, given.index, given.close.columns)
        side.iloc[-100:] = 1
        return Votes(side, side * 60.0)

    with pytest.raises(ContractBroken, match="it depends on where the panel ends"):
        check_strategy(declared(last_of_all), random_panel(600, seed=38), samples=100)


# --- other promises ------------------------------------------------------------------------------

BROKEN = [
    (cheats.too_sure, 50, r"its confidence at 2023-.* \(101\) is not between 0 and 100"),
    (cheats.unsure, 50, r"its confidence at 2023-.* \(nan\) is not between 0 and 100"),
    (cheats.hole_in_side, 50, r"its side at 2023-.* \(nan\) is not -1, 0 or 1"),
    (cheats.double, 50, r"its side at 2023-.* \(-?2\) is not -1, 0 or 1"),
    (cheats.nothing_known, 50, r"its side at 2023-01-01 00:00 BTC/USDT \(nan\) is not"),
    (cheats.in_words, 50, "side of BTC/USDT is object; it must be numbers"),
    (cheats.blind, 50, r"its side at .* is a vote on a bar without a price"),
    (cheats.of_one_row, 50, r"side does not lie on the panel \(1 rows of BTC.* has 900 of BTC"),
    (cheats.of_other_symbols, 50, r"side does not lie on the panel \(900 rows of SOL/USDT, "),
    (cheats.arrays, 50, "side is ndarray; it must be a frame"),
    (cheats.a_frame, 50, "it answers with DataFrame; it must be Votes"),
    (cheats.exits_as_numbers, 50, "exit of BTC/USDT is float64; it must be bool"),
    (cheats.exits_sometimes, 50, "it gives `exit` on some panels only"),
    (cheats.breaks, 50, r"it breaks on the 900 bars up to .* \(KeyError: .*NO/SUCH"),
    (cheats.leaves, 50, r"it breaks on the 900 bars up to .* \(SystemExit: 3\)"),
    (cheats.breaks_when_short, 310, r"it looks ahead|it breaks on the|raise `lookback`"),
    (cheats.frame_writer, 50, "it changes the panel that it is shown; copy a frame"),
    (cheats.column_adder, 50, "it changes the panel that it is shown; copy a frame"),
    (cheats.array_writer, 50, "it changes the panel that it is shown; copy a frame"),
    (cheats.counting, 50, r"it is not deterministic: asked again, its confidence at"),
    (cheats.slow_average, 60, r"on its last 60 bars alone, .*; raise `lookback`"),
]


@pytest.mark.parametrize(
    ("broken", "lookback", "says"), BROKEN, ids=[b[0].__name__ for b in BROKEN]
)
def test_a_broken_promise_is_named(broken: Function, lookback: int, says: str) -> None:
    panel = with_scores(random_panel(900, seed=31, holes=0.02))
    with pytest.raises(ContractBroken, match=f"^{broken.__name__}: .*({says})"):
        check_strategy(declared(broken, lookback), panel, **FEW)


def test_a_strategy_that_remembers_later_bars_is_caught() -> None:
    """Its answers fit each other, whatever it is shown; only numbers that it never saw tell."""
    panel = with_scores(random_panel(900, seed=31, holes=0.02))
    for newest, says in ((False, "it keeps something from an earlier call"), (True, "looks ahead")):
        with pytest.raises(ContractBroken, match=f"^remembering: .*{says}"):
            check_strategy(declared(cheats.from_memory(newest)), panel, **FEW)


def test_a_strategy_that_reads_no_number_is_told_so() -> None:
    with pytest.raises(ContractBroken, match=r"^weekday: .* or does not read its panel"):
        check_strategy(declared(cheats.weekday), random_panel(900, seed=31), **FEW)


def test_an_honest_vote_on_a_rare_event_is_not_taken_for_memory() -> None:
    """One number of context in 700 bars, at which it votes."""
    panel = random_panel(700, seed=43)
    score = pd.Series(np.where(np.arange(700) == 400, 1.0, np.nan), panel.index)

    def rare(given: Panel) -> Votes:
        told: Any = given.context["score"].to_numpy()[:, None]
        return signs(given.close * 0.0 + (told > 0.0))

    said = check_strategy(declared(rare), panel.with_context(score=score), samples=5)
    assert said.votes_tried == 1


def test_the_trial_panel_has_every_name_that_a_world_has(invented: Panel, recorded: Panel) -> None:
    """The labels too: an honest strategy may read them, and who leaks through them is caught."""
    assert set(recorded.context) <= set(invented.context)
    assert {"regime", "risk_on", "imbalance", "spread_bps"} <= set(invented.context)
    assert {f"fed_expected_bps_{venue}" for venue in ("futures", "kalshi")} <= set(invented.context)
    assert set(np.unique(invented.context["regime"])) == {0.0, 1.0, 2.0, 3.0}
    assert set(np.unique(invented.context["risk_on"])) == {0.0, 1.0}

    def by_label(given: Panel) -> Votes:
        return signs((given.context["regime"] - 1.5).where(given.close.notna()))

    def by_next_label(given: Panel) -> Votes:
        ahead: Any = given.context["regime"].shift(-1)
        return signs((ahead - 1.5).where(given.close.notna()))

    assert check_strategy(declared(by_label), invented, **FEW).votes_tried == 16
    with pytest.raises(ContractBroken, match=rf"{NEXT}, through the context 'regime'"):
        check_strategy(declared(by_next_label), invented, **FEW)


def test_the_doctor_goes_on_after_a_plug_in_that_leaves(
    invented: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is loaded, and while it is asked."""
    asked = EntryPoint("leaving", "tests.strategies.test_contract:LEAVES", "workbench.strategies")
    fine, says = _promises(asked, invented)
    assert (fine, "SystemExit: 3" in says) == (False, True)
    monkeypatch.setattr(EntryPoint, "load", lambda self: sys.exit(4))
    fine, says = _promises(asked, invented)
    assert (fine, "cannot be loaded (SystemExit: 4)" in says) == (False, True)


def test_what_a_strategy_writes_to_its_panel_does_not_reach_the_caller() -> None:
    """Not even past pandas' guard."""
    panel = random_panel(300, seed=39)
    before = panel.close.copy()
    with pytest.raises(ContractBroken, match="it changes the panel"):
        check_strategy(declared(cheats.array_writer), panel, **FEW)
    pd.testing.assert_frame_equal(panel.close, before)


def test_a_lookback_that_is_one_bar_short_is_found() -> None:
    panel = random_panel(900, seed=35, holes=0.02)
    check_strategy(declared(cheats.honest, 6), panel, **FEW)
    with pytest.raises(ContractBroken, match=r"on its last 5 bars alone, .* raise `lookback`"):
        check_strategy(declared(cheats.honest, 5), panel, **FEW)


def test_a_confidence_may_differ_by_a_millionth_and_no_more() -> None:
    """The bars before `lookback` are allowed to leave a trace that nobody would see."""
    panel = random_panel(900, seed=40)

    def fades(given: Panel, share: float) -> Votes:
        votes = signs(given.close.diff())
        first = given.close.iloc[0] / 100.0  # what the oldest bar leaves behind
        return Votes(votes.side, votes.confidence * (1.0 + share * first))

    voter = declared(fades)  # type: ignore[arg-type]
    check_strategy(voter.having(share=1e-8), panel, **FEW)
    with pytest.raises(ContractBroken, match="raise `lookback`"):
        check_strategy(voter.having(share=1e-4), panel, **FEW)


def test_a_panel_shorter_than_the_lookback_proves_nothing_and_says_so() -> None:
    says = "honest needs 50 bars for its first vote and more to be checked; the panel has 50"
    with pytest.raises(UsageError, match=says):
        check_strategy(declared(cheats.honest, 50), random_panel(50, seed=1))


def test_a_bare_function_is_refused() -> None:
    with pytest.raises(UsageError, match=r"is no strategy; declare the function with @strategy"):
        check_strategy(cheats.honest, random_panel(50, seed=1))  # type: ignore[arg-type]


def test_the_same_seed_tries_the_same_bars() -> None:
    """A broken promise is reported at the same bar again."""
    panel = random_panel(600, seed=36)
    sentences = set()
    for _ in range(2):
        with pytest.raises(ContractBroken) as broken:
            check_strategy(declared(cheats.normalised), panel, samples=10, seed=4)
        sentences.add(str(broken.value))
    assert len(sentences) == 1


def test_what_was_tried_is_told() -> None:
    """Every bar with a vote unless fewer are asked for; a notebook shows it as a line."""
    panel = random_panel(300, seed=41)
    voter = declared(cheats.honest, 6)
    assert check_strategy(voter, panel, samples=10).votes_tried == 295
    said = check_strategy(voter, panel, samples=10, votes=20)
    assert repr(said) == (
        f"honest keeps its promises: 20 bars with a vote and {said.samples} others tried, of 300"
    )


def test_a_sample_world_is_enough_for_a_strategy_of_ones_own(sample_lake: Lake) -> None:
    """As the research notebook does it."""
    world = load_world(sample_lake, "sample", ["BTC/USDT"], "1h", "2022-11-01", "2023-02-15")
    assert check_strategy(declared(cheats.honest, 6), world.panel, **FEW).votes_tried == 16


def test_a_parameter_the_function_does_not_have_is_an_error() -> None:
    with pytest.raises(TypeError, match="slowest"):
        ema_adx.having(slowest=3)(random_panel(100, seed=1))


def test_a_broken_declaration_is_refused_before_any_data() -> None:
    with pytest.raises(UsageError, match="category"):
        strategy(category="", regimes=set(), lookback=1)
