"""The tests that a backtest has to stand, each a figure, a threshold and one plain sentence.

A test that the data cannot bear says so and has not passed: only evidence earns trust. `fatal`
tests reject when they fail; all others keep a strategy from being trusted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from workbench import arrays as a
from workbench.errors import ContractBroken
from workbench.research import scan
from workbench.research.choosing import cross_validated
from workbench.research.computable import NotComputable
from workbench.research.evidence import NOTHING_TO_KEEP, Evidence, Finding, annual_sharpes
from workbench.research.metrics import DAYS_A_YEAR
from workbench.research.perturb import add_noise, delay_rows, permute_bars, shift_rows
from workbench.research.plan import run, voted
from workbench.research.promotion import LEAK
from workbench.research.proposers import Voting
from workbench.research.slippage import moved, scaled
from workbench.research.superiority import bootstrap_mean, spa, stepm
from workbench.research.sweep import SHARPE
from workbench.research.validation import (
    cscv,
    deflated_sharpe_ratio,
    minimum_backtest_length_years,
    minimum_track_record_length,
    plateau,
    probabilistic_sharpe_ratio,
)
from workbench.strategies.contract import BARS, check_strategy

SURE, CHANCE = 0.95, 0.05
LEAST_TRADES = 30
SHIFTS, NOISES = 199, 20
MOST_PBO, LEAST_PLATEAU, LEAST_KEPT, LEAST_PATHS = 0.5, 0.5, 0.5, 0.8
STRESS = 2.0
ATR_SHARE = 0.25
TOLD = "told only"


def findings(evidence: Evidence) -> Iterator[Finding]:
    """Every test, in the order in which a careful reader would ask."""
    for name, decides, test in TESTS:
        try:
            found = test(evidence)
        except NotComputable as short:
            found = Finding(name, None, "", None, f"{str(short).removeprefix(f'{name}: ')}.")
        passed = None if found.passed is None else bool(found.passed)
        yield replace(found, name=name, decides=decides, passed=passed)


# --- is it what it says? -------------------------------------------------------------------------


def _lookahead(e: Evidence) -> Finding:
    proposer = e.plan.proposer
    if not isinstance(proposer, Voting):
        return _by_prefix(e)
    chosen = proposer.strategy.having(**e.plan.voted(e.set))
    try:
        told = check_strategy(chosen, proposer.panel, samples=60, seed=e.seed, votes=60)
    except ContractBroken as leak:
        return Finding("", 1.0, "no broken promise", False, f"{leak}.")
    if told.silent_because:
        return Finding("", None, "no broken promise", None, f"{told!r}.")
    return Finding("", 0.0, "no broken promise", True, f"{told!r}.")


def _by_prefix(e: Evidence) -> Finding:
    """A rule of one's own: what it claims up to a bar must not change when later bars are cut off,
    and must change when every number is noise, or it knows the bars from elsewhere."""
    bars = len(e.plan.panel)
    claimed = np.flatnonzero((e.claims[:, :, a.WANT] != 0).any(axis=1))
    rng, some = e.rng(0), []
    if len(claimed):
        some = rng.choice(claimed, min(len(claimed), 10), replace=False).tolist()
    for t in sorted({*some, *rng.integers(e.plan.ground.first, bars - 1, 10).tolist()}):
        cut = e.plan.proposer.on(e.plan.panel.rows(0, t + 1))
        then = cut.claims(e.plan.voted(e.set), np.empty((t + 1, *e.claims.shape[1:])))
        same = (then == e.claims[: t + 1]) | (np.isnan(then) & np.isnan(e.claims[: t + 1]))
        changed = np.flatnonzero(~same[e.plan.ground.first :].all(axis=(1, 2)))
        if len(changed):
            when = e.plan.panel.index[e.plan.ground.first + changed[-1]]
            return Finding(
                "", 1.0, "no broken promise", False,
                f"{e.plan.proposer.name} looks ahead: what it claims at {when:%Y-%m-%d %H:%M}"
                f" changes when the bars after {e.plan.panel.index[t]:%Y-%m-%d %H:%M} are cut off.",
            )  # fmt: skip
    if len(claimed) and _blind(e):
        return Finding(
            "", 1.0, "no broken promise", False,
            f"{e.plan.proposer.name} claims the same when every number of its panel is noise: it"
            " knows the bars from elsewhere, the later ones too, or reads none.",
        )  # fmt: skip
    return Finding(
        "", 0.0, "no broken promise", True, "It claims the same when the bars after are cut off."
    )


def _blind(e: Evidence) -> bool:
    """Does it claim the same on the same bars of other numbers?"""
    panel, rng = e.plan.panel, e.rng(4)

    def other(series: Any) -> Any:
        return series * np.exp(rng.normal(size=series.shape)) * rng.choice((-1.0, 1.0))

    bars = {name: other(getattr(panel, name)).abs() for name in BARS}
    context = {name: other(series) for name, series in panel.context.items()}
    noise = e.plan.on(replace(panel, **bars, context=context))
    try:
        with np.errstate(all="ignore"):  # the numbers are ours
            then, _ = voted(noise, e.set, np.empty_like(e.claims))
    except ContractBroken:  # it breaks on them: it reads them
        return False
    return np.array_equal(then[..., a.WANT], e.claims[..., a.WANT], equal_nan=True)


def _enough_trades(e: Evidence) -> Finding:
    n = int(e.sweep.frame["trades"].iloc[e.chosen])
    if n < LEAST_TRADES:
        raise NotComputable("trades", n, LEAST_TRADES, "closed trades")
    return Finding("", float(n), f"at least {LEAST_TRADES}", True, f"{n:,} closed trades.")


def _earns(e: Evidence) -> Finding:
    made = float(e.sweep.frame["total return"].iloc[e.chosen])
    return Finding("", made, "above 0", made > 0, f"It made {made:+.2%} after all costs.")


# --- could it be luck? ---------------------------------------------------------------------------


def _psr(e: Evidence) -> Finding:
    sure = probabilistic_sharpe_ratio(*e.moments)
    needs = minimum_track_record_length(e.moments.sr, 0.0, e.moments.skew, e.moments.kurtosis)
    enough = f"{needs:,.0f} days would be enough" if math.isfinite(needs) else "no record would be"
    return Finding(
        "", sure, f"at least {SURE}", sure >= SURE,
        f"A Sharpe of {e.annual:.2f} over {e.moments.n:,} days is above 0 with {sure:.1%};"
        f" {enough}.",
    )  # fmt: skip


def _dsr(e: Evidence) -> Finding:
    # Were no trial worth anything, each Sharpe would scatter by 1 / (n - 1) around 0.
    luck = deflated_sharpe_ratio(
        e.moments.sr, e.moments.n, e.independent, 1.0 / (e.moments.n - 1), e.moments.skew,
        e.moments.kurtosis,
    )  # fmt: skip
    tried = max(e.sweep.ledger.tried, e.sweep.tried)
    return Finding(
        "", luck, f"at least {SURE}", luck >= SURE,
        f"{tried:,} sets were tried on these days, {e.independent:,.0f} of them different ones;"
        f" better than the best of so many lucky ones with {luck:.1%}.",
    )  # fmt: skip


def _dsr_raw(e: Evidence) -> Finding:
    """The figure as published. The scatter of trials holds true differences between them too: where
    some sets have an edge and others none it asks too much, so it is told and decides nothing."""
    tried = max(e.sweep.ledger.tried, e.sweep.tried)
    own = e.sweep.ledger.sharpes_of(e.sweep.strategy)
    if len(own) < 2:
        raise NotComputable("deflated Sharpe, raw", len(own), 2, "trials")
    spread = float(own.var(ddof=1))
    luck = deflated_sharpe_ratio(
        e.moments.sr, e.moments.n, tried, spread, e.moments.skew, e.moments.kurtosis
    )
    return Finding(
        "", luck, TOLD, None,
        f"With all {tried:,} as independent ones, and scattering as those of this strategy do:"
        f" {luck:.1%}.",
    )  # fmt: skip


def _long_enough(e: Evidence) -> Finding:
    years = e.moments.n / DAYS_A_YEAR
    if e.annual <= 0:
        return Finding("", years, TOLD, None, "Without a Sharpe above 0 no length would do.")
    needs = minimum_backtest_length_years(e.independent, e.annual)
    return Finding(
        "", years, TOLD, None,
        f"{years:.1f} years; the best of so many different ones without an edge would show"
        f" this Sharpe in {needs:.1f} years.",
    )  # fmt: skip


def _mean(e: Evidence) -> Finding:
    told = bootstrap_mean(e.returns.to_numpy(), e.seed, level=0.90)
    low, high = told.low * DAYS_A_YEAR, told.high * DAYS_A_YEAR
    return Finding(
        "", low, "above 0", low > 0,
        f"A year earns between {low:+.2%} and {high:+.2%} of the capital (90 %, {told.method},"
        f" blocks of {told.block} days).",
    )  # fmt: skip


def _spa(e: Evidence) -> Finding:
    told = spa(e.sweep.returns, e.seed, scaled=True)
    better = stepm(e.sweep.returns, e.seed, scaled=True)
    p = told.p_consistent
    return Finding(
        "", p, f"at most {CHANCE}", p <= CHANCE,
        f"That no set of {told.tried:,} beats holding nothing has p = {p:.3f}; {len(better):,}"
        " stand out one by one.",
    )  # fmt: skip


def _shifted(e: Evidence) -> Finding:
    """Signals against returns they do not belong to."""
    first = e.plan.ground.first
    bars, rng = len(e.claims) - first, e.rng(1)
    least = min(max(bars // 20, 1), bars - 1)
    own, as_good = e.sharpe(e.run(e.claims)), 0
    if not math.isfinite(own):
        raise NotComputable("signal shift", 0, 1, "trades")
    for by in rng.integers(least, max(bars - least, least + 1), SHIFTS).tolist():
        as_good += e.sharpe(e.run(shift_rows(e.claims, by, first))) >= own
    p = (1 + as_good) / (1 + SHIFTS)
    return Finding(
        "", p, f"at most {CHANCE}", p <= CHANCE,
        f"The same signals at other times did as well in {as_good} of {SHIFTS} tries"
        f" (p = {p:.3f}).",
    )  # fmt: skip


def _permuted(e: Evidence) -> Finding:
    """The whole choice again, in worlds without a pattern in time."""
    best = float(e.sweep.frame[SHARPE].max())
    if not math.isfinite(best):
        raise NotComputable("bar permutation", 0, 1, "sets that traded")
    most = math.floor(CHANCE * (e.permutations + 1))
    rng, as_good, tried = e.rng(2), 0, 0
    while tried < e.permutations and as_good < most:  # once it has failed it cannot pass
        world = permute_bars(e.plan.panel, rng, e.plan.ground.first)
        _, daily = run(e.plan.on(world), e.sweep.sets, e.threads)
        as_good += bool(annual_sharpes(daily, e.plan.capital).max() >= best)
        tried += 1
        if e.progress is not None:
            e.progress(tried, e.permutations, "bar permutation")
    if e.progress is not None:
        e.progress(tried, tried, "bar permutation")
    p = (1 + as_good) / (1 + tried)
    return Finding(
        "", p, f"at most {CHANCE}", p <= CHANCE and tried == e.permutations,
        f"With the bars in another order the best of {e.sweep.tried:,} sets did as well in"
        f" {as_good} of {tried} worlds (p = {p:.3f}).",
    )  # fmt: skip


# --- was the choice overfit? ---------------------------------------------------------------------


def _pbo(e: Evidence) -> Finding:
    if e.sweep.tried < 2:
        raise NotComputable("overfitting", e.sweep.tried, 2, "sets")
    told = cscv(e.sweep.returns, n_blocks=10)
    fine = told.pbo <= MOST_PBO or told.loss_probability <= CHANCE
    return Finding(
        "", told.pbo, f"at most {MOST_PBO}, or a loss outside in at most {CHANCE:.0%}", fine,
        f"The set that was best on one half of the days was no better than the median on the other"
        f" in {told.pbo:.0%} of {told.n_partitions} halvings, and lost in"
        f" {told.loss_probability:.0%}.",
    )  # fmt: skip


def _walked(e: Evidence) -> Finding:
    made = e.walked.sharpe
    if not math.isfinite(made):
        return Finding("", None, "above 0", False, "Chosen on the past, nothing was traded after.")
    return Finding(
        "", made, "above 0", made > 0,
        f"Chosen anew on the past {len(e.walked.folds)} times, it then had a Sharpe of {made:.2f}"
        f"{_of_promised(e.walked.efficiency)}.",
    )  # fmt: skip


def _of_promised(share: float) -> str:
    return f", {share:.0%} of what it promised" if math.isfinite(share) else ""


def _paths(e: Evidence) -> Finding:
    paths = cross_validated(e.sweep.returns, e.held_days, math.ceil(0.01 * len(e.returns)))
    share = float((paths > 0).mean())
    return Finding(
        "", share, f"at least {LEAST_PATHS:.0%}", share >= LEAST_PATHS,
        f"{(paths > 0).sum()} of {len(paths)} cross-validated paths have a Sharpe above 0, and"
        f" the worst {np.nan_to_num(paths).min():.2f}.",
    )  # fmt: skip


def _plateau(e: Evidence) -> Finding:
    if not e.moments.sr > 0:
        return NOTHING_TO_KEEP
    if not e.sweep.parameters:
        raise NotComputable("plateau", 0, 1, "parameters")
    told = plateau(e.sweep.frame, e.sweep.parameters, SHARPE, e.chosen)
    return Finding(
        "", told.ratio, f"at least {LEAST_PLATEAU}", told.ratio >= LEAST_PLATEAU,
        f"Its {told.neighbours} neighbours have {_share(told.ratio)} of its Sharpe in the median;"
        f" {told.share_above:.0%} of them are above 0.",
    )  # fmt: skip


# --- does it bear the world? ---------------------------------------------------------------------


def _noisy(e: Evidence) -> Finding:
    rng, first = e.rng(3), e.plan.ground.first
    own = e.sharpe(e.run(e.claims))
    if not own > 0:
        return NOTHING_TO_KEEP
    made: list[float] = []
    for _ in range(NOISES):
        noisy = e.plan.on(add_noise(e.plan.panel, rng, ATR_SHARE, first))
        made.append(annual_sharpes(run(noisy, [e.set])[1], e.plan.capital)[0])
    kept = float(np.median(made)) / own
    return Finding(
        "", kept, f"at least {LEAST_KEPT}", kept >= LEAST_KEPT,
        f"With noise of {ATR_SHARE} ATR in every price {_share(kept)} of the Sharpe is left.",
    )  # fmt: skip


def _delayed(e: Evidence) -> Finding:
    own = e.sharpe(e.run(e.claims))
    if not own > 0:
        return NOTHING_TO_KEEP
    kept = e.sharpe(e.run(delay_rows(e.claims))) / own
    return Finding(
        "", kept, f"at least {LEAST_KEPT}", kept >= LEAST_KEPT,
        f"One bar later {_share(kept)} of the Sharpe is left.",
    )  # fmt: skip


def _stressed(e: Evidence) -> Finding:
    """Only the fills get dearer: the gate goes on believing in the costs it was given, or weak
    claims would vanish and hide what they lose."""
    limits, costs = e.plan.terms(e.set)
    dear = scaled(costs, STRESS)
    claims = e.claims.copy()
    claims[:, :, a.CONFIDENCE], limits = moved(claims[:, :, a.CONFIDENCE], limits, costs, dear)
    done = e.plan.scan(claims, limits, dear)
    made = float(done.figures[scan.FINAL]) / e.plan.capital - 1.0
    return Finding(
        "", made, "above 0", made > 0,
        f"With fees, spread and impact {STRESS:g} times as high it made {made:+.2%}.",
    )  # fmt: skip


def _share(kept: float) -> str:
    """Of a Sharpe; where nothing was traded there is none."""
    return f"{kept:.0%}" if math.isfinite(kept) else "nothing"


Test = Callable[[Evidence], Finding]
TESTS: tuple[tuple[str, str, Test], ...] = (
    (LEAK, "reject", _lookahead),
    ("trades", "trust", _enough_trades),
    ("earns after costs", "reject", _earns),
    ("probabilistic Sharpe", "trust", _psr),
    ("deflated Sharpe", "trust", _dsr),
    ("deflated Sharpe, raw", "", _dsr_raw),
    ("length of the backtest", "", _long_enough),
    ("mean return", "trust", _mean),
    ("superior ability (SPA)", "trust", _spa),
    ("overfitting (PBO)", "trust", _pbo),
    ("walk-forward", "reject", _walked),
    ("cross-validated paths", "trust", _paths),
    ("plateau", "trust", _plateau),
    ("signal shift", "trust", _shifted),
    ("bar permutation", "trust", _permuted),
    ("noise", "trust", _noisy),
    ("one bar late", "trust", _delayed),
    ("costs doubled", "trust", _stressed),
)
