"""The ledger of what models cost: never a nano-dollar past a cap, whoever shares it and dies."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from workbench.errors import DataError, UsageError
from workbench.judges.budget import Budget, Spent, _log_ahead

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
USD = 10**9  # nano-dollars


class Clock:
    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "desk" / "budget.db"


def opened(
    path: Path, day: float = 1.0, run: float = 1.0, name: str = "run",
    now: Callable[[], datetime] = lambda: NOON,
) -> Budget:  # fmt: skip
    return Budget.open(path, day, run, name, now)


def took(budget: Budget, nano_usd: int) -> int:
    """A hold that has to be had."""
    hold = budget.reserve(nano_usd, "m key")
    assert hold is not None
    return hold


def rows(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as ledger:
        return ledger.execute("SELECT * FROM spending ORDER BY hold").fetchall()


# --- caps --------------------------------------------------------------------------------------


def test_a_hold_counts_until_it_is_settled_and_then_what_was_spent(path: Path) -> None:
    budget = opened(path)
    assert budget.spent() == Spent("2026-11-23", 0, 0, 0)
    hold = took(budget, 600)
    assert budget.spent() == Spent("2026-11-23", 600, 600, 600)
    budget.settle(hold, 250)
    assert budget.spent() == Spent("2026-11-23", 250, 250, 0)


@pytest.mark.parametrize(("day", "run"), [(1e-6, 1.0), (1.0, 1e-6), (1e-6, 1e-6)])
def test_either_cap_is_reached_to_the_nano_dollar_and_not_passed(
    path: Path, day: float, run: float
) -> None:
    budget = opened(path, day, run)  # 1,000 nano-dollars
    took(budget, 999)
    assert budget.reserve(2, "m") is None
    took(budget, 1)
    assert budget.reserve(1, "m") is None
    took(budget, 0)  # what costs nothing passes no cap


def test_a_refusal_leaves_no_trace(path: Path) -> None:
    budget = opened(path, 1e-6)
    assert budget.reserve(1001, "m") is None
    assert rows(path) == []
    took(budget, 1000)


def test_a_cap_of_zero_refuses_everything(path: Path) -> None:
    for day, run in ((0.0, 1.0), (1.0, 0.0), (0.0, 0.0)):
        assert opened(path, day, run).reserve(1, "m") is None


def test_each_run_has_its_own_cap_under_that_of_the_day(path: Path) -> None:
    one, two = opened(path, 1e-6, 6e-7, "one"), opened(path, 1e-6, 6e-7, "two")
    took(one, 600)
    assert one.reserve(1, "m") is None
    assert two.reserve(401, "m") is None, "the day has 400 left"
    took(two, 400)
    assert (one.spent().run_nano_usd, two.spent().run_nano_usd) == (600, 400)
    assert one.spent().day_nano_usd == 1000


def test_a_call_that_cost_more_than_was_held_counts_in_full_and_the_next_is_refused(
    path: Path,
) -> None:
    budget = opened(path, 1e-6)
    budget.settle(took(budget, 400), 1500)
    assert budget.spent().day_nano_usd == 1500
    assert budget.reserve(0, "m") is None
    assert budget.reserve(1, "m") is None


@pytest.mark.parametrize("cap", [-0.01, float("nan"), float("inf"), float("-inf")])
def test_a_cap_that_is_none_is_refused(path: Path, cap: float) -> None:
    with pytest.raises(UsageError, match=r"^usd_per_day is .* it must be 0 or more"):
        opened(path, day=cap)
    with pytest.raises(UsageError, match=r"^usd_per_run is .* it must be 0 or more"):
        opened(path, run=cap)
    assert not path.exists()


@pytest.mark.parametrize(
    ("usd", "nano_usd"), [(0.1, USD // 10), (0.29, 290_000_000), (3, 3 * USD), (1.9e-9, 1)]
)
def test_a_cap_is_taken_as_it_is_written(path: Path, usd: float, nano_usd: int) -> None:
    budget = opened(path, usd, usd)
    assert budget.reserve(nano_usd + 1, "m") is None
    took(budget, nano_usd)


@pytest.mark.parametrize("amount", [-1, -USD, 2**63])
def test_what_is_no_amount_is_neither_held_nor_spent(path: Path, amount: int) -> None:
    """A negative one would be money made."""
    budget = opened(path)
    hold = took(budget, 10)
    with pytest.raises(UsageError, match="no amount"):
        budget.reserve(amount, "m")
    with pytest.raises(UsageError, match="no amount"):
        budget.settle(hold, amount)
    assert budget.spent() == Spent("2026-11-23", 10, 10, 10)


def test_a_hold_is_settled_once(path: Path) -> None:
    budget = opened(path)
    hold = took(budget, 10)
    budget.settle(hold, 3)
    with pytest.raises(DataError, match=rf"hold {hold} of the budget .* is not open"):
        budget.settle(hold, 3)
    with pytest.raises(DataError, match=r"hold 999 of the budget .* is not open"):
        budget.settle(999, 3)
    assert budget.spent().day_nano_usd == 3


# --- the day -----------------------------------------------------------------------------------


def test_a_new_day_begins_at_midnight_utc(path: Path) -> None:
    clock = Clock(datetime(2026, 11, 23, 23, 59, 59, 999999, UTC))
    budget = opened(path, 1e-6, now=clock)
    took(budget, 1000)
    assert budget.reserve(1, "m") is None
    clock.at += timedelta(microseconds=1)
    assert budget.spent() == Spent("2026-11-24", 0, 1000, 0), "a run has no days"
    took(budget, 1000)


def test_the_day_is_that_of_utc_wherever_the_clock_hangs(path: Path) -> None:
    """Tokyo's 24th begins at 15:00 of UTC's 23rd."""
    clock = Clock(datetime(2026, 11, 24, 8, 59, tzinfo=timezone(timedelta(hours=9))))
    budget = opened(path, 1e-6, now=clock)
    took(budget, 1000)
    assert budget.spent().day == "2026-11-23"
    clock.at += timedelta(minutes=1)
    took(budget, 1000)


def test_a_clock_set_back_finds_the_later_days_money_spent(path: Path) -> None:
    clock = Clock()
    budget = opened(path, 1e-6, now=clock)
    took(budget, 700)
    for back in (timedelta(hours=13), timedelta(days=1), timedelta(days=4000)):
        clock.at = NOON - back
        assert budget.reserve(301, "m") is None
        assert budget.spent().day == "2026-11-23"
    took(budget, 300)
    assert budget.reserve(1, "m") is None


def test_a_clock_set_back_across_a_restart_gives_no_second_budget(path: Path) -> None:
    took(opened(path, 1e-6), 1000)
    later = opened(path, 1e-6, name="two", now=lambda: NOON - timedelta(days=1))
    assert later.reserve(1, "m") is None


def test_what_is_settled_after_midnight_counts_on_the_day_of_its_hold(path: Path) -> None:
    clock = Clock()
    budget = opened(path, 1e-6, now=clock)
    hold = took(budget, 600)
    clock.at += timedelta(days=1)
    budget.settle(hold, 900)
    assert budget.spent() == Spent("2026-11-24", 0, 900, 0)
    took(budget, 1000)


# --- together ----------------------------------------------------------------------------------

CALLS, WORST = 50, 7_000_000
CAP = 0.2  # 28 of 50 can be held at once


def call(budget: Budget, seed: int) -> int | None:
    """What a call cost; None if there was no money for it."""
    hold = budget.reserve(WORST, f"m {seed}")
    if hold is None:
        return None
    cost = random.Random(seed).randrange(WORST + 1)
    budget.settle(hold, cost)
    return cost


def test_fifty_concurrent_tasks_never_overspend(path: Path) -> None:
    """All reserve before any settles: 28 go, 22 are refused, to the nano-dollar."""
    budget = opened(path, CAP)
    together = asyncio.Barrier(CALLS)

    async def task(seed: int) -> int | None:
        hold = budget.reserve(WORST, "m")
        async with together:
            pass
        if hold is None:
            return None
        budget.settle(hold, seed)
        return seed

    async def main() -> list[int | None]:
        return await asyncio.gather(*(task(seed) for seed in range(CALLS)))

    costs = asyncio.run(main())
    assert sum(cost is not None for cost in costs) == int(CAP * USD) // WORST == 28
    assert budget.spent() == Spent("2026-11-23", *[sum(c for c in costs if c is not None)] * 2, 0)


@pytest.mark.parametrize(("threads", "shared"), [(CALLS, True), (8, False)])
def test_threads_never_overspend_with_one_budget_or_one_each(
    path: Path, threads: int, shared: bool
) -> None:
    first = opened(path, CAP)
    together = threading.Barrier(threads)

    def work(seed: int) -> int:
        budget = first if shared else opened(path, CAP)
        together.wait(30)
        costs = [call(budget, 100 * seed + each) for each in range(CALLS // threads)]
        assert budget.spent().day_nano_usd <= CAP * USD
        return sum(cost for cost in costs if cost is not None)

    with ThreadPoolExecutor(threads) as pool:
        spent = sum(pool.map(work, range(threads)))
    assert first.spent() == Spent("2026-11-23", spent, spent, 0)
    assert 0 < spent <= CAP * USD


def test_fifty_threads_that_hold_together_get_28_holds(path: Path) -> None:
    budget = opened(path, CAP)
    with ThreadPoolExecutor(CALLS) as pool:
        holds = list(pool.map(lambda _: budget.reserve(WORST, "m"), range(CALLS)))
    had = [hold for hold in holds if hold is not None]
    assert len(had) == len(set(had)) == 28
    assert budget.spent().held_nano_usd == 28 * WORST


def test_threads_that_make_one_ledger_together_all_have_it(tmp_path: Path) -> None:
    for turn in range(10):
        together = threading.Barrier(8)

        def work(_: int, file: Path = tmp_path / f"{turn}.db", wait: Any = together.wait) -> int:
            wait(30)
            return took(opened(file), 1)

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(work, range(8))) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_who_finds_another_process_making_the_ledger_waits_for_it(tmp_path: Path) -> None:
    """SQLite itself gives up at once on a change of the log while anybody reads."""
    file = tmp_path / "budget.db"
    with (
        closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as maker,
        closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other,
    ):
        maker.execute("CREATE TABLE spending (hold)")
        other.execute("BEGIN")
        other.execute("SELECT * FROM spending").fetchall()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            maker.execute("PRAGMA journal_mode = WAL")
        done = threading.Timer(0.1, other.execute, ["COMMIT"])
        done.start()
        _log_ahead(maker)
        done.join()
        assert maker.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# Several processes that share nothing but the file; the first argument is its path.
_PROCESS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from workbench.judges.budget import Budget
path, name, noon = Path(sys.argv[1]), sys.argv[2], datetime(2026, 11, 23, 12, tzinfo=UTC)
open_it = lambda: Budget.open(path, 1e-6, 4e-7, name, lambda: noon)
"""
_HAMMER = f"""{_PROCESS}
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
budget, had, most = open_it(), 0, 0
for turn in range(120):
    hold = budget.reserve(7, "m")
    most = max(most, budget.spent().day_nano_usd)
    if hold is None:
        continue
    had += 1
    budget.settle(hold, 7 if turn % 3 else 2)
print(had, most)
"""


@contextmanager
def process(script: str, *given: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-c", script, *given],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
    finally:
        child.kill()
        child.communicate()


def test_four_processes_that_hammer_one_file_never_overspend(path: Path) -> None:
    """They make it together, too; 1,000 nano-dollars for all, 400 for each."""
    path.parent.mkdir()
    with (
        process(_HAMMER, str(path), "a") as a, process(_HAMMER, str(path), "b") as b,
        process(_HAMMER, str(path), "c") as c, process(_HAMMER, str(path), "d") as d,
    ):  # fmt: skip
        children = [a, b, c, d]
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        said = [child.communicate(timeout=60)[0].split() for child in children]
        assert [child.returncode for child in children] == [0] * 4
    kept = rows(path)
    assert sum(int(had) for had, _ in said) == len(kept)
    assert max(int(most) for _, most in said) <= 1000
    by_run = {name: sum(row[6] for row in kept if row[2] == name) for name in "abcd"}
    assert max(by_run.values()) <= 400
    assert 1000 - 4 * 7 <= sum(by_run.values()) <= 1000, "of each, 120 turns would be 640"
    assert opened(path, name="e").spent() == Spent("2026-11-23", sum(by_run.values()), 0, 0)


def test_the_hold_of_a_process_that_was_killed_stays_counted(path: Path) -> None:
    holds = f"""{_PROCESS}
budget = open_it()
assert budget.reserve(300, "m") is not None
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
"""
    with process(holds, str(path), "a") as child:
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait(30) == -signal.SIGKILL
    budget = opened(path, 1e-6)
    assert budget.spent() == Spent("2026-11-23", 300, 0, 300)
    assert budget.reserve(701, "m") is None
    took(budget, 700)


def test_a_process_that_is_killed_within_a_transaction_leaves_the_file_as_it_was(
    path: Path,
) -> None:
    budget = opened(path, 1e-6)
    took(budget, 100)
    inside = f"""{_PROCESS}
budget = open_it()
with budget._ledger() as ledger:
    ledger.execute("UPDATE spending SET held_nano_usd = 0")
    sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
"""  # noqa: S608  a script
    with process(inside, str(path), "a") as child:
        os.kill(child.pid, signal.SIGKILL)
        child.wait(30)
    assert budget.spent().day_nano_usd == 100
    took(budget, 900)


# --- what cannot be used -----------------------------------------------------------------------


def test_the_folder_is_made(tmp_path: Path) -> None:
    took(opened(tmp_path / "a" / "b" / "budget.db"), 1)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(DataError, match=r"^the budget .*/a/budget\.db cannot be made \("):
        opened(tmp_path / "a" / "budget.db")


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_damaged_file_is_told_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"^the budget .*budget\.db cannot be used \("):
        opened(path)
    assert path.read_bytes() == content


def test_a_page_that_is_damaged_under_way_refuses_the_next_hold(path: Path) -> None:
    budget = opened(path)
    for _ in range(50):
        took(budget, 1)
    budget.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(DataError, match="cannot be used"):
        budget.reserve(1, "m")


def test_a_database_of_something_else_is_not_written_into(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE spending (mine TEXT)")
        other.commit()
    before = path.read_bytes()
    with pytest.raises(DataError, match="is a database of something else, no budget"):
        opened(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["budget.db"]


def test_a_folder_in_its_place_is_told(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(DataError, match="cannot be used"):
        opened(path)


@contextmanager
def nobody() -> Iterator[None]:
    """Without root's right to write everywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_file_that_cannot_be_written_is_told() -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "budget.db"
        opened(file).close()
        file.chmod(0o444)
        Path(folder).chmod(0o555)
        with nobody(), pytest.raises(DataError, match=r"cannot be used \(.*(readonly|unable)"):
            opened(file).reserve(1, "m")
        Path(folder).chmod(0o755)


def test_a_ledger_that_is_deleted_in_use_is_not_spent_from_any_more(path: Path) -> None:
    """Whoever has it open could write on, beside the new one of the next process."""
    old = opened(path, 1e-6)
    took(old, 1000)
    for file in path.parent.iterdir():
        file.unlink()
    with pytest.raises(DataError, match="cannot be used"):
        old.reserve(0, "m")
    opened(path, 1e-6)
    with pytest.raises(DataError, match="was replaced while it was in use"):
        old.reserve(0, "m")


def test_a_ledger_that_somebody_holds_is_told_within_its_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.judges.budget.TIMEOUT_S", 0.05)
    budget = opened(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DataError, match="database is locked"):
            budget.reserve(1, "m")
        other.execute("ROLLBACK")
    took(budget, 1)


_FULL = f"""{_PROCESS}
import resource
from workbench.errors import DataError
budget = open_it()
hold = budget.reserve(100, "m")
was = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, was[1]))
for refused in (lambda: budget.reserve(1, "x" * 9000), lambda: budget.settle(hold, 0)):
    try:
        refused()
    except DataError as error:
        assert "cannot be used" in str(error) and "transaction" not in str(error), error
    else:
        raise AssertionError("written to a full disk")
resource.setrlimit(resource.RLIMIT_FSIZE, was)
assert budget.spent().day_nano_usd == 100, budget.spent()
budget.settle(hold, 40)
assert budget.spent().day_nano_usd == 40, budget.spent()
print("ready")
"""


def test_a_full_disk_is_told_and_once_there_is_room_the_ledger_goes_on(path: Path) -> None:
    with process(_FULL, str(path), "a") as child:
        assert child.wait(30) == 0
    assert opened(path).spent().day_nano_usd == 40


def test_an_error_within_leaves_nothing_half_done(path: Path) -> None:
    now: list[Any] = [NOON]
    budget = opened(path, now=lambda: now[0])
    now[0] = None  # a clock that is broken
    with pytest.raises(AttributeError):
        budget.reserve(1, "m")
    now[0] = NOON
    assert rows(path) == []
    took(budget, 1)


def test_nothing_but_what_the_caller_says_is_written_down(path: Path) -> None:
    budget = opened(path)
    budget.settle(budget.reserve(7, "claude-haiku-5-5 a1a1") or 0, 3)
    assert rows(path) == [
        (1, "2026-11-23", "run", "claude-haiku-5-5 a1a1", "2026-11-23T12:00:00+00:00", 7, 3)
    ]


def test_a_closed_budget_opens_again_by_itself(path: Path) -> None:
    budget = opened(path)
    took(budget, 5)
    budget.close()
    budget.close()
    assert budget.spent().day_nano_usd == 5


# --- against an oracle in plain Python ---------------------------------------------------------


class Ledger(RuleBasedStateMachine):
    """Two runs on one file, a clock that jumps, calls in any order; the oracle is three lists."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "budget.db"
        self.clock = Clock()
        self.caps = {"one": 700, "two": 500}
        self.day_cap = 1000
        self.budgets = {name: self._open(name) for name in self.caps}
        self.kept: dict[int, tuple[str, str, int]] = {}  # hold: day, run, counted
        self.open: set[int] = set()
        self.overrun = False

    def _open(self, name: str) -> Budget:
        return opened(self.path, self.day_cap / USD, self.caps[name] / USD, name, self.clock)

    def day(self) -> str:
        return max([f"{self.clock.at:%Y-%m-%d}", *(day for day, _, _ in self.kept.values())])

    def counted(self, which: int, value: str) -> int:
        return sum(kept[2] for kept in self.kept.values() if kept[which] == value)

    @rule(target=holds, name=st.sampled_from(["one", "two"]), nano_usd=st.integers(0, 400))
    def reserve(self, name: str, nano_usd: int) -> int:
        day = self.day()
        fits = (
            self.counted(0, day) + nano_usd <= self.day_cap
            and self.counted(1, name) + nano_usd <= self.caps[name]
        )
        hold = self.budgets[name].reserve(nano_usd, "m")
        assert (hold is not None) == fits
        if hold is None:
            return 0
        assert hold not in self.kept
        self.kept[hold] = (day, name, nano_usd)
        self.open.add(hold)
        return hold

    @rule(hold=holds, part=st.integers(0, 10), name=st.sampled_from(["one", "two"]))
    def settle(self, hold: int, part: int, name: str) -> None:
        """By whichever budget; ten tenths are the whole hold."""
        if hold not in self.open:
            with pytest.raises(DataError):
                self.budgets[name].settle(hold, 0)
            return
        day, run, held = self.kept[hold]
        self.budgets[name].settle(hold, held * part // 10)
        self.kept[hold] = (day, run, held * part // 10)
        self.open.remove(hold)

    @rule(hold=holds, more=st.integers(1, 300))
    def cost_more(self, hold: int, more: int) -> None:
        if hold in self.open:
            day, run, held = self.kept[hold]
            self.budgets[run].settle(hold, held + more)
            self.kept[hold] = (day, run, held + more)
            self.open.remove(hold)
            self.overrun = True

    @rule(hours=st.integers(-60, 60))
    def jump(self, hours: int) -> None:
        self.clock.at += timedelta(hours=hours)

    @rule(name=st.sampled_from(["one", "two"]))
    def restart(self, name: str) -> None:
        self.budgets[name].close()
        self.budgets[name] = self._open(name)

    @invariant()
    def agrees(self) -> None:
        day = self.day()
        held = sum(self.kept[hold][2] for hold in self.open if self.kept[hold][0] == day)
        for name, budget in self.budgets.items():
            found = budget.spent()
            assert found == Spent(day, self.counted(0, day), self.counted(1, name), held)
            if not self.overrun:
                assert found.day_nano_usd <= self.day_cap
                assert found.run_nano_usd <= self.caps[name]

    def teardown(self) -> None:
        for budget in self.budgets.values():
            budget.close()
        self.folder.cleanup()


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=25, stateful_step_count=30, derandomize=True, deadline=None, database=None
)
