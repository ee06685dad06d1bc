"""One timer for the machine, which asks every five minutes what is due: systemd's or cron's.

A user's own timer, without root: a systemd user session if one answers, else a marked line in the
crontab.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from workbench.errors import DataError, UsageError
from workbench.files import write_whole

SERVICE, TIMER = "workbench.service", "workbench.timer"
MARK = "# workbench schedule"
SYSTEMD, CRON = "systemd", "cron"
_WAIT_S = 30.0


def units(folder: Path, python: str) -> dict[str, str]:
    """The systemd units by file name."""
    where, program = (_one_line(path).replace("%", "%%") for path in (str(folder), python))
    if any(letter in program for letter in "\"'\\"):
        raise UsageError(f"systemd runs no program with a quote or backslash in its path: {python}")
    return {
        SERVICE: (
            "[Unit]\nDescription=workbench: run the jobs that are due\n\n"
            f"[Service]\nType=oneshot\nWorkingDirectory={where}\n"
            # ":" leaves a dollar in the path alone
            f'ExecStart=:"{program}" -m workbench schedule run-due\n'
        ),
        TIMER: (
            "[Unit]\nDescription=workbench: ask every five minutes what is due\n\n"
            "[Timer]\nOnCalendar=*:0/5\nPersistent=true\n\n"
            "[Install]\nWantedBy=timers.target\n"
        ),
    }


def cron_line(folder: Path, python: str) -> str:
    """The crontab's line; standard error is left to cron, which mails it."""
    where, program = shlex.quote(_one_line(str(folder))), shlex.quote(_one_line(python))
    command = f"cd {where} && {program} -m workbench schedule run-due >/dev/null"
    return f"*/5 * * * * {command} {MARK}".replace("%", "\\%")  # cron reads a bare % as a newline


def install(folder: Path, python: str) -> str:
    """Put the timer in, in place of an earlier one; gives SYSTEMD or CRON.

    Raises DataError with the line to use by hand if this machine has neither.
    """
    if _systemd_answers():
        for name, text in units(folder, python).items():
            write_whole(_unit_folder() / name, text)
        _must(["systemctl", "--user", "daemon-reload"])
        _must(["systemctl", "--user", "enable", "--now", TIMER])
        _change_crontab(None)
        return SYSTEMD
    if shutil.which("crontab"):
        _change_crontab(cron_line(folder, python))
        return CRON
    raise DataError(
        "there is no systemd user session here and no crontab; have a scheduler of your own run"
        f" this line: {cron_line(folder, python)}"
    )


def remove() -> list[str]:
    """Take every timer of ours out; gives where there was one."""
    taken = installed()
    if SYSTEMD in taken:
        if _systemd_answers():
            _must(["systemctl", "--user", "disable", "--now", TIMER])
        for name in (SERVICE, TIMER):
            (_unit_folder() / name).unlink(missing_ok=True)
        if _systemd_answers():
            _must(["systemctl", "--user", "daemon-reload"])
    if CRON in taken:
        _change_crontab(None)
    return taken


def installed() -> list[str]:
    """Where there is a timer of ours: SYSTEMD, CRON, both or neither."""
    has_unit = (_unit_folder() / TIMER).is_file()
    has_line = any(line.endswith(MARK) for line in _crontab())
    return [name for name, there in ((SYSTEMD, has_unit), (CRON, has_line)) if there]


def _unit_folder() -> Path:
    configuration = os.environ.get("XDG_CONFIG_HOME")
    return (Path(configuration) if configuration else Path.home() / ".config") / "systemd/user"


def _systemd_answers() -> bool:
    if not shutil.which("systemctl"):
        return False
    try:
        return _said(["systemctl", "--user", "show-environment"]).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _crontab() -> list[str]:
    if not shutil.which("crontab"):
        return []
    said = _said(["crontab", "-l"])
    if said.returncode and "no crontab" not in said.stderr.lower():
        raise DataError(f"crontab -l failed: {said.stderr.strip()}; nothing was changed")
    return said.stdout.splitlines() if not said.returncode else []


def _change_crontab(line: str | None) -> None:
    """All other lines stay as they are."""
    old = _crontab()
    new = [each for each in old if not each.endswith(MARK)] + ([line] if line else [])
    if new != old:
        _must(["crontab", "-"], "".join(f"{each}\n" for each in new))


def _must(words: list[str], given: str = "") -> None:
    said = _said(words, given)
    if said.returncode:
        raise DataError(f"{' '.join(words)} failed: {said.stderr.strip() or 'without a word'}")


def _said(words: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - fixed words, found on the user's PATH
        words, input=given, capture_output=True, text=True, check=False, timeout=_WAIT_S
    )


def _one_line(path: str) -> str:
    if any(ord(letter) < 32 for letter in path):
        raise UsageError(f"the path {path!r} has a line break in it, which no timer can hold")
    return path
