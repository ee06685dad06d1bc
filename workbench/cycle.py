"""THE PAGE: one closed bar through the five layers.

    data -> strategies -> judge -> risk -> execution -> journal

`cycle` is what paper and live run, bar by bar. Its middle, `trade` (in the bar broker) and
`decide`, is what the compiled replay runs over years: the same functions, so the two agree to the
last bit. Modes differ only by the objects in the Desk: nothing here asks which one it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

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
    Judgement,
    Limits,
    Order,
    Panel,
    Proposal,
    Reason,
    Ruling,
    Signal,
    Snapshot,
    UsageError,
    Verdict,
)
from workbench.execution.fills import apply_fill, observe
from workbench.journal_json import to_plain
from workbench.judges.case import bracket_of, build_cases, case_hash
from workbench.ports import Desk, Judge
from workbench.redact import redacted
from workbench.risk.correlation import HISTORY_DAYS, DailyFacts, daily_facts, too_close
from workbench.risk.gate import answer_claims, breaker, fresh, new_day
from workbench.risk.sizing import edge, within
from workbench.strategies.vote import ask, propose, silent, told_fault, wanted

ENTRY = "entry"
BLOCK = 1024  # rows interleaved at a time: a block stays in the cache


def cycle(book: Book, snapshot: Snapshot, desk: Desk) -> Book:
    """One closed bar through the five layers: the same in replay, paper and live."""
    bar = close_of(snapshot, desk.limits)  # 1 the data: a closed bar, and all that is known
    fills = desk.broker.fills(book, bar, desk.limits, desk.costs)  # 5 since the last close
    book = settle(book, bar, fills, desk.limits)
    signals, faults = ask(desk.strategies, snapshot)  # 2 they vote alone
    desk.broker.execute(leaving(book, signals))  # 5 an exit waits for no judge
    wants = askable(signals, book.symbols, desk)
    judged = hear(desk.judge, cases_of(snapshot, signals, wants, desk), desk.reduce)  # 3 may veto
    shares = multipliers(judged, wants, desk)
    proposal = propose(signals, shares, book.symbols, regime_codes(snapshot), desk.quorum)
    ruling = gate(book, bar, proposal, desk.limits, desk.costs)  # 4 has the last word
    desk.broker.execute([o for o in ruling.orders if o.kind == ENTRY])  # 5 bars or an exchange
    desk.journal.append(
        Cycle(
            as_of=snapshot.as_of,
            fills=tuple(fills),
            signals=tuple(signals),
            verdicts=tuple(verdict for _, verdict in judged),
            ruling=ruling,
            source=snapshot.panel.source,
            cases={verdict.case_hash: case for case, verdict in judged},
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
            orders.append(_exit(symbol, position))
        elif pending != 0.0:
            side = "buy" if pending > 0 else "sell"
            orders.append(Order(symbol, side, abs(pending), ENTRY))
    return orders


def leaving(book: Book, signals: Sequence[Signal]) -> list[Order]:
    """The exits that the gate will order whatever a judge says: those asked for at this close, and
    those that still wait for a price."""
    asked = {signal.symbol for signal in signals if signal.exit}
    return [
        _exit(symbol, position)
        for symbol, position in zip(book.symbols, book.positions, strict=True)
        if position[a.EXIT_ASKED] != 0.0 or (symbol in asked and position[a.SIDE] != 0.0)
    ]


def _exit(symbol: str, position: Floats) -> Order:
    return Order(symbol, "sell" if position[a.SIDE] > 0 else "buy", None, "exit")


# --- layer 3: what is asked, and what an answer may do -------------------------------------------


def askable(
    signals: Sequence[Signal], symbols: Sequence[str], desk: Desk
) -> dict[str, tuple[int, float]]:
    """Side and confidence of what the votes want, but for shorts where the gate takes none: nobody
    is asked about what cannot be."""
    wants = wanted(signals, symbols, desk.quorum)
    return {s: want for s, want in wants.items() if want[0] > 0 or desk.limits.allow_short}


def cases_of(
    snapshot: Snapshot, signals: Sequence[Signal], wants: Mapping[str, tuple[int, float]],
    desk: Desk,
) -> list[Case]:  # fmt: skip
    """The cases of one close, as any judge of this desk is shown them."""
    quiet = silent(desk.strategies, signals, list(wants))
    return build_cases(snapshot, signals, wants, quiet, bracket_of(desk.limits, desk.costs))


def hear(judge: Judge, cases: Sequence[Case], reduce: float) -> list[Judgement]:
    """Every case with the verdict that counts for it. A judge that raises has answered nothing,
    and a case without an answer is skipped with a code that says so."""
    said: Sequence[Verdict] = ()
    code, why = "NO_ANSWER", "the judge gave no answer"
    if cases:
        try:
            said = [sound for verdict in judge(cases) if (sound := _sound(verdict))]
        except KeyboardInterrupt:
            raise
        except BaseException as fault:  # noqa: BLE001  whatever it raises, exits and the other layers go on
            code, why = "ERROR", redacted(f"the judge broke ({told_fault(fault)})", ())
    heard = {verdict.case_hash: verdict for _, verdict in answers(cases, said, reduce)}
    return [
        Judgement(case, heard.get(hashed) or _unanswered(hashed, code, why))
        for case in cases
        for hashed in [case_hash(case)]
    ]


def _sound(verdict: Any) -> Verdict | None:
    """The verdict, None for what is none; a broken one as nobody's: what it says could not even be
    written down."""
    if not isinstance(verdict, Verdict) or not isinstance(verdict.case_hash, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        return None
    said: list[Any] = [verdict.decision, verdict.rationale, verdict.source, verdict.code]
    told: list[Any] = [verdict.confidence, verdict.cost_usd, verdict.latency_s, verdict.chance or 0]
    fine = all(isinstance(word, str) for word in [*said, verdict.model, verdict.knowledge])
    fine = fine and all(isinstance(n, int | float) for n in told) and said[0] in set(Decision)
    with contextlib.suppress(UsageError):
        to_plain(verdict)
        return verdict if fine else _broken(verdict.case_hash)
    return _broken(verdict.case_hash)


def _broken(hashed: str) -> Verdict:
    return _unanswered(hashed, "INVALID", "the judge's answer is none")


def _unanswered(hashed: str, code: str, why: str) -> Verdict:
    return Verdict(Decision.SKIP, 0.0, f"Not judged, {code}: {why}.", "nobody", hashed, code=code)


def answers(
    cases: Sequence[Case], verdicts: Sequence[Verdict], reduce: float
) -> list[Judgement]:  # fmt: skip
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
    return [Judgement(asked[hashed], verdict) for hashed, verdict in strictest.items()]


def multipliers(
    judged: Sequence[Judgement], wants: Mapping[str, tuple[int, float]], desk: Desk
) -> dict[str, float]:
    """What each judged symbol keeps of its size, 0..1; one that is absent gets none."""
    return {case.symbol: share(verdict, wants[case.symbol][1], desk) for case, verdict in judged}


def share(verdict: Verdict, confidence: float, desk: Desk) -> float:
    """What a verdict leaves of the size that the votes' confidence (0-100) has earned: its
    decision's share, and no more than its own chance would have earned, once that is calibrated."""
    left = kept(verdict, desk.reduce)
    if left == 0.0 or verdict.chance is None:
        return left
    voted = edge(confidence, desk.limits, desk.costs)
    earned = edge(100.0 * within(verdict.chance, 1.0), desk.limits, desk.costs)
    return left * min(earned / voted, 1.0) if voted > 0.0 else 0.0


def kept(verdict: Verdict, reduce: float) -> float:
    """The share that a decision leaves; anything but PROCEED and REDUCE, or one that nobody made,
    leaves none."""
    if verdict.code:
        return 0.0
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
