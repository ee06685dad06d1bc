"""THE PAGE: one closed bar through the five layers.

    data -> strategies -> judge -> risk -> execution -> journal

`cycle` is what paper and live run, bar by bar. Its middle, `trade` (in the bar broker) and
`decide`, is what the compiled replay runs over years: the same functions, so the two agree to the
last bit. Modes differ only by the objects in the Desk: nothing here asks which one it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench import arrays as a
from workbench.arrays import Bools, Floats, Ints, rule
from workbench.domain import (
    Bar,
    Book,
    Case,
    Costs,
    Cycle,
    Decision,
    Fill,
    Limits,
    Order,
    Panel,
    Proposal,
    Reason,
    Ruling,
    Snapshot,
    UsageError,
    Verdict,
)
from workbench.execution.fills import apply_fill, observe
from workbench.judges.case import build_cases, case_hash
from workbench.ports import Desk
from workbench.risk.correlation import HISTORY_DAYS, DailyFacts, daily_facts, too_close
from workbench.risk.gate import answer_claims, breaker, fresh, new_day
from workbench.risk.sizing import within
from workbench.strategies.vote import ask, propose, wanted

BLOCK = 1024  # rows interleaved at a time: a block stays in the cache


def cycle(book: Book, snapshot: Snapshot, desk: Desk) -> Book:
    """One closed bar through the five layers: the same in replay, paper and live."""
    bar = close_of(snapshot, desk.limits)  # 1 the data: a closed bar, and all that is known
    fills = desk.broker.fills(book, bar, desk.limits, desk.costs)  # 5 since the last close
    book = settle(book, bar, fills, desk.limits)
    signals, faults = ask(desk.strategies, snapshot)  # 2 they vote alone
    cases = build_cases(snapshot, signals, wanted(signals, book.symbols, desk.quorum))
    verdicts = desk.judge(cases)  # 3 may veto or shrink
    judged = multipliers(cases, verdicts, desk.reduce)
    proposal = propose(signals, judged, book.symbols, regime_codes(snapshot), desk.quorum)
    ruling = gate(book, bar, proposal, desk.limits, desk.costs)  # 4 has the last word
    desk.broker.execute(ruling.orders)  # 5 bars, a sandbox or an exchange
    desk.journal.append(
        Cycle(
            as_of=snapshot.as_of,
            fills=tuple(fills),
            signals=tuple(signals),
            verdicts=tuple(verdicts),
            ruling=ruling,
            source=snapshot.panel.source,
            cases={case_hash(case): case for case in cases},
            marks=dict(zip(book.symbols, bar.market[0, :, a.MARK].tolist(), strict=True)),
            faults=faults,
        )
    )
    return ruling.book


def settle(book: Book, bar: Bar, fills: Sequence[Fill], limits: Limits) -> Book:
    """The book after the bar's fills: it believes fills only."""
    book = book.copy()
    at = {symbol: i for i, symbol in enumerate(book.symbols)}
    for fill in fills:
        apply_fill(
            book.positions, book.account, at[fill.symbol], bar.number,
            1.0 if fill.side == "buy" else -1.0, fill.quantity, fill.price, fill.fee,
            a.WHY_NAMES.index(fill.reason), limits.cooldown_bars,
        )  # fmt: skip
    for i in range(len(book.symbols)):
        if book.positions[i, a.SIDE] != 0.0 or book.positions[i, a.PENDING] != 0.0:
            observe(book.positions, bar.market, 0, i)
    return book


def gate(book: Book, bar: Bar, proposal: Proposal, limits: Limits, costs: Costs) -> Ruling:
    """Risk's last word on one bar's proposal; the book that comes back has its orders pending.

    Raises UsageError unless the proposal is one row in the order of the book's symbols.
    """
    book = book.copy()
    n = len(book.symbols)
    claims = proposal.claims()[None]
    if claims.shape != (1, n, a.CLAIM_COLUMNS):
        raise UsageError(f"the proposal has {claims.shape[1:-1]} cells; one bar has {n} symbols")
    fates = np.full((1, n), -1, np.int64)
    decide(
        book.positions, book.account, bar.market, claims, bar.too_close, np.zeros(n, np.int64),
        fates, 0, bar.day, 0, bar.number, limits, costs,
    )  # fmt: skip
    reasons = {
        symbol: Reason(int(fate))
        for symbol, fate in zip(book.symbols, fates[0], strict=True)
        if fate >= 0
    }
    return Ruling(book, tuple(_orders(book)), reasons)


def _orders(book: Book) -> list[Order]:
    orders: list[Order] = []
    for symbol, position in zip(book.symbols, book.positions, strict=True):
        pending = float(position[a.PENDING])
        if position[a.EXIT_ASKED] != 0.0:
            side = "sell" if position[a.SIDE] > 0 else "buy"
            orders.append(Order(symbol, side, None, "exit"))
        elif pending != 0.0:
            side = "buy" if pending > 0 else "sell"
            orders.append(Order(symbol, side, abs(pending), "entry"))
    return orders


def multipliers(
    cases: Sequence[Case], verdicts: Sequence[Verdict], reduce: float
) -> dict[str, float]:
    """What each judged symbol keeps of its size, 0..1. A case without an answer is absent, which
    the proposal takes for 0."""
    return {
        case.symbol: kept(verdict, reduce) for case, verdict in answers(cases, verdicts, reduce)
    }


def answers(
    cases: Sequence[Case], verdicts: Sequence[Verdict], reduce: float
) -> list[tuple[Case, Verdict]]:
    """Each answered case with its verdict, the strictest if there are several; an answer to no
    case of ours is ignored."""
    asked = {case_hash(case): case for case in cases}
    strictest: dict[str, Verdict] = {}
    for verdict in verdicts:
        if not isinstance(verdict, Verdict) or str(verdict.case_hash) not in asked:  # pyright: ignore[reportUnnecessaryIsInstance]
            continue
        known = strictest.get(verdict.case_hash, verdict)
        if kept(verdict, reduce) <= kept(known, reduce):
            strictest[verdict.case_hash] = verdict
    return [(asked[hashed], verdict) for hashed, verdict in strictest.items()]


def kept(verdict: Verdict, reduce: float) -> float:
    """The share of its size that a verdict leaves; anything but PROCEED and REDUCE leaves none."""
    if verdict.decision == Decision.PROCEED:
        return 1.0
    return within(reduce, 1.0) if verdict.decision == Decision.REDUCE else 0.0


def regime_codes(snapshot: Snapshot) -> Floats:
    """Regime code of each symbol at the snapshot's close; unknown without labels."""
    codes = snapshot.panel.context.get("regime")
    if codes is None:
        return np.zeros(len(snapshot.panel.symbols))
    return np.asarray(codes.iloc[-1], dtype=np.float64)


def close_of(snapshot: Snapshot, limits: Limits) -> Bar:
    """The snapshot's last bar as the rules read it, with the facts of the last 60 days."""
    panel = snapshot.panel
    day = int(panel.days[-1])
    since = int(np.searchsorted(panel.open_days, day - HISTORY_DAYS))
    close, volume = panel.close.to_numpy()[since:], panel.volume.to_numpy()[since:]
    facts = daily_facts(close, volume, panel.open_days[since:])
    return Bar(
        time=panel.index[-1],
        number=int(panel.bar_numbers[-1]),
        day=day,
        market=market_array(panel, facts, len(panel) - 1),
        too_close=too_close(facts.rho[[day - facts.first_day]], limits),
    )


# --- the middle of the page over arrays ----------------------------------------------------------


@rule
def decide(
    book: Floats, account: Floats, market: Floats, claims: Floats, too_close: Bools, order: Ints,
    fates: Ints, t: int, day: int, row: int, bar: int, limits: Limits, costs: Costs,
) -> None:  # fmt: skip
    """The close of bar t: equity, the day, the breaker, then the claims in their order."""
    close_of_bar(book, account, market, t, day, limits)
    answer_claims(
        book, account, market, claims, too_close, order, fates, t, row, bar, limits, costs
    )


@rule
def close_of_bar(
    book: Floats, account: Floats, market: Floats, t: int, day: int, limits: Limits
) -> None:
    """What is held is valued at the close of bar t; then the day's turn and the breaker.

    One function and not three: every call hands over arrays, and each costs two atomic counts.
    """
    value = 0.0
    deployed = 0.0
    stale = False
    for i in range(book.shape[0]):
        if book[i, a.SIDE] != 0.0:
            notional = book[i, a.QUANTITY] * market[t, i, a.MARK]
            value += book[i, a.SIDE] * notional
            deployed += notional
            if not fresh(market[t, i, a.CLOSE], market[t, i, a.VOLUME]):
                stale = True
    account[a.EQUITY] = account[a.CASH] + value
    account[a.DEPLOYED] = deployed
    new_day(account, day)
    breaker(account, stale, limits)


def market_array(panel: Panel, facts: DailyFacts, first: int = 0) -> Floats:
    """The panel's bars from row `first` on as (bars, symbols, 8): prices, volume, the sigma and
    ADV known at the open, and the mark."""
    market = np.empty((len(panel) - first, len(panel.symbols), a.MARKET_COLUMNS))
    frames = (panel.open, panel.high, panel.low, panel.close, panel.volume)
    known = panel.open_days[first:] - facts.first_day
    parts = [frame.to_numpy()[first:] for frame in frames]
    for begin in range(0, len(market), BLOCK):
        rows = slice(begin, begin + BLOCK)
        for k, part in enumerate(parts):
            market[rows, :, k] = part[rows]
        market[rows, :, a.SIGMA] = facts.sigma[known[rows]]
        market[rows, :, a.ADV] = facts.adv[known[rows]]
        market[rows, :, a.MARK] = panel.marks[first:][rows]
    return market
