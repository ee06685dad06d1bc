"""Jobs by the clock: due once for what was missed, one at a time, and told when they fail."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command import workbench
from workbench.desk import load_desk, load_schedule
from workbench.errors import DataError, UsageError
from workbench.files import write_whole
from workbench.journal_json import to_json
from workbench.trading import timer
from workbench.trading.lease import lease
from workbench.trading.schedule import (
    Held,
    Job,
    State,
    check_commands,
    due,
    next_time,
    read_state,
    run_due,
    seen,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)  # a Sunday
LONG_AGO = datetime(2020, 6, 1, tzinfo=UTC)
YEARLY = "0 0 1 1 *"  # due once in a test that lasts less than a year


def job(cron: str = YEARLY, *command: str, name: str = "one") -> Job:
    """A job whose command does not matter."""
    return Job(name, cron, command or ("doctor",))


def python(code: str) -> tuple[str, ...]:
    """A program that takes a job's words as its arguments."""
    return (sys.executable, "-c", code)


def known_since(folder: Path, *jobs: Job, first_seen: datetime = LONG_AGO) -> None:
    """Jobs that the schedule has seen before."""
    for each in jobs:
        state = State(each.cron, first_seen)
        write_whole(folder / f"{each.name}.json", to_json(asdict(state)))


def soon(happens: Callable[[], object], seconds: float = 60.0) -> bool:
    """Wait for it."""
    ends = time.monotonic() + seconds
    while not happens() and time.monotonic() < ends:
        time.sleep(0.05)
    return bool(happens())


# --- when --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "after"),
    [
        ("10 0 * * 1", "2026-11-23T00:10"),
        ("20 0 * * *", "2026-11-23T00:20"),
        ("0 12 * * *", "2026-11-23T12:00"),  # noon itself is over
        ("*/5 * * * *", "2026-11-22T12:05"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("30 6 * * MON-FRI", "2026-11-23T06:30"),
    ],
)
def test_the_next_time_comes_after_now(cron: str, after: str) -> None:
    """In UTC, whatever zone the clock is read in."""
    expected = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert next_time(job(cron), NOON) == expected
    elsewhere = NOON.astimezone(datetime.fromisoformat("2026-01-01T00:00+05:30").tzinfo)
    assert next_time(job(cron), elsewhere) == expected


@pytest.mark.parametrize(
    ("first_seen", "scheduled_for", "now", "expected"),
    [
        ("09:00", None, "09:59", None),
        ("09:00", None, "10:00", "10:00"),
        ("09:00", None, "10:07", "10:00"),
        ("10:00", None, "10:07", None),  # seen at that very minute: it waits for the next
        ("09:00", None, "14:30", "14:00"),  # five were missed: one run, for the last
        ("09:00", "10:00", "10:59", None),
        ("09:00", "10:00", "11:00", "11:00"),
        ("09:00", "10:00", "13:05", "13:00"),
        ("09:00", "12:00", "11:30", None),  # a clock that went back runs nothing twice
    ],
)
def test_a_job_is_due_once_for_all_that_it_missed(
    first_seen: str, scheduled_for: str | None, now: str, expected: str | None
) -> None:
    """An hourly job, seen first and run last at these times."""

    def at(text: str) -> datetime:
        return datetime.fromisoformat(f"2026-11-22T{text}:00+00:00")

    hourly = job("0 * * * *")
    state = State(hourly.cron, at(first_seen), at(scheduled_for) if scheduled_for else None)
    assert due(hourly, state, at(now)) == (at(expected) if expected else None)


def test_a_job_that_is_new_or_has_another_cron_waits_for_its_next_time() -> None:
    """It is not run at once because an hour of today is over."""
    hourly = job("0 * * * *")
    assert due(hourly, None, NOON) is None
    first = seen(hourly, None, NOON)
    assert first == State(hourly.cron, NOON)
    assert due(hourly, first, NOON + timedelta(minutes=59)) is None
    assert due(hourly, first, NOON + timedelta(minutes=60)) == NOON + timedelta(hours=1)
    changed = job("30 * * * *")
    assert due(changed, first, NOON + timedelta(hours=2)) is None
    again = seen(changed, replace(first, exit_code=0), NOON + timedelta(hours=2))
    assert (again.first_seen, again.exit_code) == (NOON + timedelta(hours=2), 0)
    assert seen(changed, again, NOON + timedelta(hours=3)) == again


def matches(cron: str, at: datetime) -> bool:
    """Five fields of numbers, * and */n, read the slow way."""
    fields = (at.minute, at.hour, at.day, at.month, at.isoweekday() % 7)
    for field, value in zip(cron.split(), fields, strict=True):
        every = field.removeprefix("*/")
        if field != "*" and (value % int(every) if field != every else value != int(field)):
            return False
    return True


@given(
    cron=st.sampled_from(["7 * * * *", "*/20 * * * *", "10 0 * * 1", "20 0 * * *", "0 */6 * * *"]),
    now=st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)),
    before=st.integers(0, 9 * 24 * 60),
    ran_before=st.none() | st.integers(0, 9 * 24 * 60),
)
def test_due_agrees_with_looking_at_every_minute(
    cron: str, now: datetime, before: int, ran_before: int | None
) -> None:
    """The last matching minute that is not in the future, if it is after the first sight and the
    last run; and once run for, it is not due again before the next."""
    now = now.replace(tzinfo=UTC)
    first_seen = now - timedelta(minutes=before)
    ran = None if ran_before is None else now - timedelta(minutes=ran_before)
    one = job(cron)
    minute = now.replace(second=0, microsecond=0)
    since = max(first_seen, ran or first_seen)
    expected = None
    while minute > since:
        if matches(cron, minute):
            expected = minute
            break
        minute -= timedelta(minutes=1)
    state = State(cron, first_seen, ran)
    assert due(one, state, now) == expected
    if expected:
        after = replace(state, scheduled_for=expected)
        assert due(one, after, now) is None
        coming = next_time(one, now)
        assert matches(cron, coming)
        assert due(one, after, coming - timedelta(seconds=1)) is None
        assert due(one, after, coming) == coming


# --- desk.toml ---------------------------------------------------------------------------------


def test_without_a_table_there_are_the_weekly_page_and_the_daily_risk_review(
    tmp_path: Path,
) -> None:
    """And an empty table means none."""
    assert [(j.name, j.cron, j.command) for j in load_schedule(tmp_path / "desk.toml")] == [
        ("weekly", "10 0 * * 1", ("publish", "--week", "last")),
        ("risk", "20 0 * * *", ("run", "04_risk_review")),
    ]
    (tmp_path / "desk.toml").write_text("[schedule]\n")
    assert load_schedule(tmp_path / "desk.toml") == ()


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('[schedule.a]\ncron = "61 * * * *"\ncommand = ["doctor"]', "schedule.a: cron is '61 *"),
        ('[schedule.a]\ncron = "* * * *"\ncommand = ["doctor"]', "not five fields"),
        ('[schedule.a]\ncron = "0 * * * * *"\ncommand = ["doctor"]', "not five fields"),
        ('[schedule.a]\ncron = "@daily"\ncommand = ["doctor"]', "not five fields"),
        ('[schedule.a]\ncron = "0 0 31 2 *"\ncommand = ["doctor"]', "schedule.a: cron is"),
        ('[schedule.a]\ncron = "0 0 * * *"\ncommand = []', "schedule.a has no command"),
        ('[schedule.a]\ncron = "0 0 * * *"\ncommand = [""]', "schedule.a has no command"),
        ('[schedule.a]\ncron = "0 0 * * *"', "schedule.a.command"),
        ('[schedule.a]\ncron = "0 0 * * *"\ncomand = ["x"]\ncommand = ["x"]',
         "unknown key schedule.a.comand; the nearest valid one is schedule.a.command"),
        ('[schedule."../a"]\ncron = "0 0 * * *"\ncommand = ["doctor"]', "letters, digits"),
        ('[schedule]\ncron = "0 0 * * *"', "schedule.cron"),
    ],
)  # fmt: skip
def test_a_wrong_job_is_refused_by_name(tmp_path: Path, table: str, says: str) -> None:
    """One sentence, when the schedule is loaded."""
    (tmp_path / "desk.toml").write_text(table)
    with pytest.raises(UsageError) as refused:
        load_schedule(tmp_path / "desk.toml")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_wrong_cron_does_not_keep_the_desk_from_loading(tmp_path: Path) -> None:
    """Whoever wants to halt does not have to mend the schedule first."""
    (tmp_path / "desk.toml").write_text('[schedule.a]\ncron = "x"\ncommand = ["doctor"]')
    assert load_desk(tmp_path / "desk.toml").strategies


def test_a_job_that_is_no_command_is_refused_with_the_nearest() -> None:
    """Before anything is run."""
    with pytest.raises(UsageError, match=r"schedule\.one: 'replya' is not .* nearest is replay"):
        check_commands([job(YEARLY, "run", "x"), job(YEARLY, "replya")], ["run", "replay"])


# --- running -----------------------------------------------------------------------------------


def test_due_jobs_run_one_after_the_other_and_a_red_one_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its words; the cause is the last line of its standard error."""
    code = (
        "import sys, pathlib; name = sys.argv[1]; pathlib.Path(name).write_text('ran')\n"
        "if name == 'bad': print('first', file=sys.stderr); sys.exit('the last word')"
    )
    folder = tmp_path / "state"
    jobs = [job(YEARLY, str(tmp_path / "a"), name="a"), job(YEARLY, "bad", name="bad"),
            job(YEARLY, str(tmp_path / "c"), name="c"), job(YEARLY, "d", name="new")]  # fmt: skip
    known_since(folder, *jobs[:3])
    monkeypatch.chdir(tmp_path)
    outcomes = run_due(jobs, folder, lambda: NOON, program=python(code))
    assert [(o.job.name, o.green, o.cause) for o in outcomes] == [
        ("a", True, None), ("bad", False, "the last word"), ("c", True, None),
    ]  # fmt: skip
    assert (tmp_path / "a").exists()
    assert (tmp_path / "c").exists()
    state = read_state(folder, jobs[1])
    assert state is not None
    assert state == State(
        YEARLY, LONG_AGO, datetime(2026, 1, 1, tzinfo=UTC), NOON, NOON, 1, "the last word"
    )
    assert state.says == "red"
    assert (folder / "bad.err").read_text() == "first\nthe last word\n"
    assert read_state(folder, jobs[3]) == State(YEARLY, NOON)
    assert run_due(jobs, folder, lambda: NOON, program=python(code)) == []


def test_a_red_job_is_tried_again_at_its_next_time_only(tmp_path: Path) -> None:
    """Not by the next ask, five minutes later."""
    hourly, clock = job("0 * * * *"), [NOON]
    known_since(tmp_path, hourly)

    def ask(at: datetime) -> int:
        clock[0] = at
        return len(
            run_due([hourly], tmp_path, lambda: clock[0], program=python("raise SystemExit(3)"))
        )

    assert ask(NOON) == 1
    assert [ask(NOON + timedelta(minutes=m)) for m in (5, 55, 59)] == [0, 0, 0]
    assert ask(NOON + timedelta(minutes=60)) == 1
    state = read_state(tmp_path, hourly)
    assert state is not None
    assert (state.exit_code, state.cause) == (3, "ended with exit code 3 and no word")


def test_the_state_says_running_before_the_job_begins(tmp_path: Path) -> None:
    """A job that brings the machine down has still been started."""
    code = f"import shutil; shutil.copy({str(tmp_path / 'one.json')!r}, {str(tmp_path / 'then')!r})"
    known_since(tmp_path, job())
    (outcome,) = run_due([job()], tmp_path, lambda: NOON, program=python(code))
    assert outcome.green
    then = json.loads((tmp_path / "then").read_text())
    assert then["started"] is not None
    assert then["finished"] is None


def test_a_job_that_hangs_is_ended_at_its_deadline_with_its_group(tmp_path: Path) -> None:
    """The next one still runs."""
    code = (
        "import subprocess, sys, time, pathlib\n"
        "if sys.argv[1] == 'slow':\n"
        "    p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"    pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(p.pid))\n"
        "    time.sleep(600)\n"
    )
    jobs = [job(YEARLY, "slow", name="slow"), job(YEARLY, "quick", name="quick")]
    known_since(tmp_path, *jobs)
    outcomes = run_due(jobs, tmp_path, lambda: NOON, 3.0, python(code))
    assert [(o.job.name, o.green) for o in outcomes] == [("slow", False), ("quick", True)]
    assert outcomes[0].cause == "was not done after 3 s and was ended"
    pid = int((tmp_path / "pid").read_text())

    def gone() -> bool:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        return True

    assert soon(gone)


def test_a_secret_in_a_jobs_last_line_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values of the environment that are named like one."""
    monkeypatch.setenv("EXCHANGE_API_SECRET", "correct-horse")
    known_since(tmp_path, job())
    code = "import os, sys; sys.exit('no entry with ' + os.environ['EXCHANGE_API_SECRET'])"
    (outcome,) = run_due([job()], tmp_path, lambda: NOON, program=python(code))
    assert outcome.cause == "no entry with [redacted]"
    assert "correct-horse" not in (tmp_path / "one.json").read_text()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"cron": 1, "first_seen": "x"}'])
def test_a_damaged_state_is_red_and_does_not_run_the_job(tmp_path: Path, text: str) -> None:
    """Fail closed: nobody knows whether it ran; the others do run."""
    jobs = [job(name="broken"), job(name="fine")]
    known_since(tmp_path, jobs[1])
    (tmp_path / "broken.json").write_text(text)
    with pytest.raises(DataError, match=r"broken\.json is damaged; delete it"):
        read_state(tmp_path, jobs[0])
    outcomes = run_due(jobs, tmp_path, lambda: NOON, program=python("pass"))
    assert [(o.job.name, o.green) for o in outcomes] == [("broken", False), ("fine", True)]
    assert not (tmp_path / "broken.out").exists()


def test_a_second_run_due_runs_nothing_while_the_first_is_at_it(tmp_path: Path) -> None:
    """It learns who holds the lock."""
    known_since(tmp_path, job())
    with lease(tmp_path / "lock", "process 7 since noon"), pytest.raises(Held, match="process 7"):
        run_due([job()], tmp_path, lambda: NOON, program=python("pass"))
    assert not (tmp_path / "one.out").exists()


def test_a_killed_run_due_frees_the_lock_and_its_job_counts_as_cut_off(tmp_path: Path) -> None:
    """It is red, and waits for its next time like any other."""
    slow = python(
        "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid()));"
        "time.sleep(600)"
    )
    pid = tmp_path / "pid"
    one = job(YEARLY, str(pid))
    known_since(tmp_path, one)
    code = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from workbench.trading.schedule import Job, run_due\n"
        f"run_due([{one!r}], Path({str(tmp_path)!r}), lambda: datetime.now(UTC), program={slow!r})"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as asking:
        assert soon(lambda: pid.exists() and pid.read_text())
        with pytest.raises(Held):
            run_due([one], tmp_path, lambda: NOON, program=slow)
        asking.kill()
    psutil.Process(int(pid.read_text())).kill()
    state = read_state(tmp_path, one)
    assert state is not None
    assert state.says == "running"
    assert run_due([one], tmp_path, lambda: datetime.now(UTC), program=python("pass")) == []
    state = read_state(tmp_path, one)
    assert state is not None
    assert (state.says, state.cause) == ("red", "was cut off before it ended")


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH on which there is neither systemctl nor crontab."""
    folder = tmp_path / "bare"
    folder.mkdir()
    return folder


def test_run_due_runs_real_commands_and_the_list_tells_how_they_went(
    tmp_path: Path, bare: Path
) -> None:
    """Exit code 1 if one was red, 0 when nothing is due; the cause stands in the list."""
    (tmp_path / "desk.toml").write_text(
        f'[schedule.good]\ncron = "{YEARLY}"\ncommand = ["run", "--help"]\n'
        f'[schedule.bad]\ncron = "{YEARLY}"\ncommand = ["journal", "verify", "--journal", "x.db"]\n'
    )
    known_since(tmp_path / "var/schedule", *load_schedule(tmp_path / "desk.toml"))
    done = workbench(tmp_path, "schedule", "run-due", "--json")
    assert done.returncode == 1
    assert [(r["job"], r["green"]) for r in json.loads(done.stdout)["ran"]] == [
        ("good", True), ("bad", False),
    ]  # fmt: skip
    assert "the job bad is red: workbench: " in done.stderr
    listed = json.loads(workbench(tmp_path, "schedule", "list", "--json", PATH=str(bare)).stdout)
    assert [(r["job"], r["status"], r["due"]) for r in listed["jobs"]] == [
        ("good", "green", False), ("bad", "red", False),
    ]  # fmt: skip
    assert "x.db" in listed["jobs"][1]["cause"]
    assert listed["installed"] == []
    again = workbench(tmp_path, "schedule", "run-due")
    assert (again.returncode, again.stdout) == (0, "nothing was due\n")


def test_an_overlapping_run_due_says_who_is_at_it_and_is_no_error(tmp_path: Path) -> None:
    """The normal case of a timer whose last round still runs."""
    with lease(tmp_path / "var/schedule/lock", "process 7 since noon"):
        words = workbench(tmp_path, "schedule", "run-due")
        plain = workbench(tmp_path, "schedule", "run-due", "--json")
    assert words.returncode == plain.returncode == 0
    assert words.stdout == (
        "nothing was run: process 7 since noon is still at the jobs that were due\n"
    )
    assert json.loads(plain.stdout) == {"ran": [], "held_by": "process 7 since noon"}


def test_a_job_that_is_no_command_is_refused_by_the_list(tmp_path: Path) -> None:
    """Exit code 2 and the nearest command of the real ones."""
    (tmp_path / "desk.toml").write_text(
        f'[schedule.a]\ncron = "{YEARLY}"\ncommand = ["jornal", "verify"]\n'
    )
    done = workbench(tmp_path, "schedule", "list")
    assert done.returncode == 2
    assert "schedule.a: 'jornal' is not a workbench command; the nearest is journal" in done.stderr


# --- the timer ---------------------------------------------------------------------------------

CRONTAB = """#!/bin/sh
case "$1" in
  -l) [ -f "$FAKES/table" ] || { echo "no crontab for someone" >&2; exit 1; }
      exec cat "$FAKES/table";;
  -) exec cat > "$FAKES/table";;
esac
"""
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$FAKES/asked"
case "$2" in
  show-environment) [ ! -f "$FAKES/silent" ];;
  enable) [ ! -f "$FAKES/broken" ] || { echo "no such unit" >&2; exit 1; };;
esac
"""


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for fake programs, first and last on PATH but for the shell's own."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    for name in ("cat", "sh"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("FAKES", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder


def fake(folder: Path, name: str, text: str) -> None:
    """An executable."""
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_cron_gets_one_line_which_a_second_install_replaces(fakes: Path, tmp_path: Path) -> None:
    """Whoever else has lines there keeps them, in their order."""
    fake(fakes, "crontab", CRONTAB)
    theirs = "MAILTO=me\n# mine\n0 5 * * * backup 100\\% # workbench schedule of old\n"
    (fakes / "table").write_text(theirs)
    assert timer.installed() == []
    assert timer.install(tmp_path / "a", "/usr/bin/python3") == "cron"
    assert timer.install(tmp_path / "b", "/usr/bin/python3") == "cron"
    line = timer.cron_line(tmp_path / "b", "/usr/bin/python3")
    assert (fakes / "table").read_text() == f"{theirs}{line}\n"
    assert timer.installed() == ["cron"]
    assert timer.remove() == ["cron"]
    assert (fakes / "table").read_text() == theirs
    assert timer.remove() == []


def test_an_empty_crontab_is_no_fault_and_an_unreadable_one_is(fakes: Path, tmp_path: Path) -> None:
    """Nothing is written over what could not be read."""
    fake(fakes, "crontab", CRONTAB)
    assert timer.install(tmp_path, "/usr/bin/python3") == "cron"
    fake(fakes, "crontab", "#!/bin/sh\necho 'you may not use cron' >&2; exit 1\n")
    with pytest.raises(DataError, match="you may not use cron; nothing was changed"):
        timer.install(tmp_path, "/usr/bin/python3")


def test_the_cron_line_runs_in_a_folder_with_spaces_percents_and_quotes(tmp_path: Path) -> None:
    """Read as cron reads it: a bare % ends the command, an escaped one is a %; then by sh."""
    folder = tmp_path / "50% of 'my' $HOME"
    folder.mkdir()
    program = folder / "py thon%"
    fake(folder, program.name, '#!/bin/sh\npwd > ran; echo "$@" >> ran\n')
    line = timer.cron_line(folder, str(program))
    fields, command = line.split(" ", 5)[:5], line.split(" ", 5)[5]
    assert fields == ["*/5", "*", "*", "*", "*"]
    assert "%" not in command.replace("\\%", "")
    subprocess.run(["/bin/sh", "-c", command.replace("\\%", "%")], check=True)
    where, words = (folder / "ran").read_text().splitlines()
    assert (where, words) == (str(folder), "-m workbench schedule run-due")


def test_a_systemd_session_gets_a_service_and_a_timer(fakes: Path, tmp_path: Path) -> None:
    """Where XDG says; enabled at once, replaced by a second install, gone after remove."""
    fake(fakes, "systemctl", SYSTEMCTL)
    fake(fakes, "crontab", CRONTAB)
    (fakes / "table").write_text(timer.cron_line(tmp_path, "/old/python") + "\n")
    folder = tmp_path / "config/systemd/user"
    assert timer.install(tmp_path / "a", "/usr/bin/python3") == "systemd"
    assert timer.install(tmp_path / "50% b", "/opt/my py%/python") == "systemd"
    service = (folder / "workbench.service").read_text().splitlines()
    assert f"WorkingDirectory={tmp_path}/50%% b" in service
    assert 'ExecStart=:"/opt/my py%%/python" -m workbench schedule run-due' in service
    assert "OnCalendar=*:0/5" in (folder / "workbench.timer").read_text()
    assert timer.installed() == ["systemd"]  # and not twice: cron's line is out
    asked = (fakes / "asked").read_text()
    assert asked.count("--user enable --now workbench.timer") == 2
    assert timer.remove() == ["systemd"]
    assert list(folder.iterdir()) == []
    assert "--user disable --now workbench.timer" in (fakes / "asked").read_text()
    assert timer.installed() == []


def test_a_systemd_without_a_session_leaves_it_to_cron(fakes: Path, tmp_path: Path) -> None:
    """As in a container or on a server without a login."""
    fake(fakes, "systemctl", SYSTEMCTL)
    fake(fakes, "crontab", CRONTAB)
    (fakes / "silent").touch()
    assert timer.install(tmp_path, "/usr/bin/python3") == "cron"
    assert not (tmp_path / "config").exists()


def test_a_systemd_that_refuses_is_an_error_with_its_words(fakes: Path, tmp_path: Path) -> None:
    """Never "installed" over a refusal."""
    fake(fakes, "systemctl", SYSTEMCTL)
    (fakes / "broken").touch()
    with pytest.raises(DataError, match=r"enable --now workbench.timer failed: no such unit"):
        timer.install(tmp_path, "/usr/bin/python3")


@pytest.mark.parametrize("path", ["/a\nb", "/a\tb"])
def test_a_path_with_a_line_break_is_refused(path: str) -> None:
    """It would end the line in a crontab and in a unit."""
    with pytest.raises(UsageError, match="line break"):
        timer.cron_line(Path(path), "/usr/bin/python3")
    with pytest.raises(UsageError, match="line break"):
        timer.units(Path("/a"), path)


def test_a_program_that_systemd_would_refuse_is_refused_before(tmp_path: Path) -> None:
    """It takes no quote and no backslash in a program's path."""
    with pytest.raises(UsageError, match="quote or backslash"):
        timer.units(tmp_path, "/opt/my'py/python")


def test_install_on_a_machine_with_neither_gives_the_line_to_use(
    tmp_path: Path, bare: Path
) -> None:
    """Exit code 1; --print changes nothing anywhere; --remove has nothing to do."""
    config = {"PATH": str(bare), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    done = workbench(tmp_path, "schedule", "install", **config)
    assert done.returncode == 1
    line = timer.cron_line(tmp_path, sys.executable)
    assert line in done.stderr
    printed = json.loads(
        workbench(tmp_path, "schedule", "install", "--print", "--json", **config).stdout
    )
    assert printed == {"systemd": timer.units(tmp_path, sys.executable), "cron": line}
    removed = workbench(tmp_path, "schedule", "install", "--remove", **config)
    assert (removed.returncode, removed.stdout) == (0, "there was no timer\n")
    assert not (tmp_path / "config").exists()


def test_install_by_command_is_seen_by_the_list(fakes: Path, tmp_path: Path) -> None:
    """With cron, for the folder it was called in."""
    fake(fakes, "crontab", CRONTAB)
    done = workbench(tmp_path, "schedule", "install")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"cron now runs what is due in {tmp_path}")
    assert (fakes / "table").read_text() == timer.cron_line(tmp_path, sys.executable) + "\n"
    assert "cron runs what is due" in workbench(tmp_path, "schedule", "list").stdout
