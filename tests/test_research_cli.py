"""sweep, validate and promote as a user meets them, in processes of their own."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trading.test_paper_cli import Home
from workbench.__main__ import main
from workbench.data.lake import Lake
from workbench.journal import Journal
from workbench.research.promotion import PROMOTED, VALIDATED
from workbench.research.trials import TRIAL

SPAN = ("--start", "2023-01-01", "--end", "2023-02-15")
TINY = ("--grid", "fast=8,12", "--grid", "slow=26,34")


@pytest.fixture(scope="module")
def home(sample_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"), sample_lake)


@pytest.fixture
def journal(tmp_path: Path) -> tuple[str, str]:
    return "--journal", str(tmp_path / "journal.db")


@pytest.fixture
def here(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command in this process, which has everything loaded: exit code, output and errors."""
    monkeypatch.chdir(home.folder)
    monkeypatch.setenv("WORKBENCH_DATA__LAKE", home.environment["WORKBENCH_DATA__LAKE"])

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["workbench", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, " ".join(said.err.replace("│", "").split())

    return run


def test_a_sweep_counts_its_sets_once(
    home: Home, here: Callable[..., tuple[int, str, str]], journal: tuple[str, str]
) -> None:
    """For programs as JSON, for people in lines; asked again nothing is a new trial."""
    said = home.answer("sweep", "ema_adx", *TINY, *SPAN, *journal)
    assert (said["sets"], said["tried"], said["changed"]) == (4, 4, 0)
    assert [(row["fast"], row["slow"]) for row in said["frame"]] == [
        (8, 26), (8, 34), (12, 26), (12, 34),
    ]  # fmt: skip
    assert said["source"].startswith("SYNTHETIC")
    assert said["last"] < "2023-02-07"  # of 46 days 37 are swept
    code, out, _ = here("sweep", "ema_adx", *TINY, *SPAN, *journal)
    assert code == 0
    assert "4 sets; ever tried on these days: 4" in out
    assert "what comes after stays sealed" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("sweep", "ema_adx", "--grid", "fast"), "--grid 'fast' is none; write it as fast=8,12,16"),
        (("sweep", "ema_adx", "--grid", "=8"), "--grid '=8' is none"),
        (("sweep", "ema_adx", "--grid", "fast="), "--grid 'fast=' is none"),
        (("sweep", "ema_adx", "--grid", "fast=8", "--grid", "fast=9"), "fast is given twice"),
        (("sweep", "ema_adx", "--grid", "fats=8,9"), "has no parameter 'fats'; the nearest is"),
        (("sweep", "ema_adx", "--grid", "fast=8,8"), "the grid's fast has a value twice"),
        (("sweep", "ema_add", *TINY), "the desk has no strategy 'ema_add'; the nearest is ema_adx"),
        (("sweep", "desk"), "the whole desk has no grid of its own"),
        (("sweep", "ema_adx", *TINY, "--engine", "ray"), "there is no engine 'ray'"),
        (("validate", "ema_adx", *TINY, "--set", "fast=9"), "is not in the grid; add its values"),
        (("validate", "ema_adx", "--permutations", "1"), "--permutations"),
        (("validate", "news_sentiment"), "reads text and never trades alone"),
        (("promote", "ema_add"), "the nearest is ema_adx"),
        (("promote", "rsi_bounce", "--by", "Ada"), "rsi_bounce is NOT VALIDATED with"),
    ],
)
def test_wrong_use_is_one_sentence(
    here: Callable[..., tuple[int, str, str]], journal: tuple[str, str], words: tuple[str, ...],
    says: str,
) -> None:  # fmt: skip
    """Exit code 2, and no trial."""
    code, _, error = here(*words, *(() if words[0] == "promote" else SPAN), *journal)
    assert code == 2
    assert says in error
    with Journal.open(Path(journal[1])) as rows:
        assert not [*rows.rows(TRIAL), *rows.rows(VALIDATED), *rows.rows(PROMOTED)]


def test_a_rejected_strategy_is_promoted_by_name_and_reason_alone(
    home: Home, here: Callable[..., tuple[int, str, str]], journal: tuple[str, str]
) -> None:
    """`validate` says 1 for a rejection; `promote` 2 without a reason, 0 with one."""
    words = ("validate", "ema_adx", *TINY, "--set", "fast=12", "--set", "slow=26")
    told = home.run(*words, *SPAN, "--permutations", "19", *journal)
    assert told.returncode == 1, told.stderr
    assert told.stdout.rstrip().endswith(f"REJECTED, kept in {journal[1]}")
    assert "Traceback" not in told.stderr
    assert "FAILED  earns after costs" in told.stdout
    assert "not computable: n = " in told.stdout

    code, _, error = here("promote", "ema_adx", *journal)
    assert code == 2
    assert "ema_adx is REJECTED with" in error
    assert "give a reason to promote it all the same" in error
    code, _, error = here("paper", "--replay", "2023-01-01", "2023-01-03", *journal)
    assert code == 2
    assert "ema_adx was REJECTED on" in error

    said = home.answer("promote", "ema_adx", "--by", "Ada", "--override", "to watch", *journal)
    assert said == {"strategy": "ema_adx", "verdict": "REJECTED", "by": "Ada",
                    "override": "to watch"}  # fmt: skip
    with Journal.open(Path(journal[1]), readonly=True) as rows:
        [verdict], [promoted] = rows.rows(VALIDATED), rows.rows(PROMOTED)
        assert (verdict.body["verdict"], promoted.body["by"]) == ("REJECTED", "Ada")
        rows.verify()


def test_a_sweep_that_is_stopped_goes_on_with_the_same_command(
    home: Home, journal: tuple[str, str]
) -> None:
    """Ctrl-C: exit code 130, what is done is kept and counted; then all sets are there."""
    grid = ("--grid", f"fast={','.join(map(str, range(5, 25)))}",
            "--grid", f"slow={','.join(map(str, range(26, 41)))}")  # fmt: skip
    words = ("sweep", "ema_adx", *grid, "--start", "2023-06-01", "--threads", "1", *journal)
    with home.start(*words) as process:
        kept = Path(journal[1]).parent / "sweeps"
        ends = time.monotonic() + 60
        while time.monotonic() < ends and not [*kept.rglob("*.npz")]:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "workbench: stopped; the same command goes on from here"
    with Journal.open(Path(journal[1]), readonly=True) as rows:
        before = len([*rows.rows(TRIAL)])
    assert 0 < before < 300
    done = home.answer(*words)
    assert (done["sets"], done["tried"], done["notes"]) == (300, 300, [])
