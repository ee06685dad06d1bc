"""What can go wrong, in one clear sentence: what, where, what to do. Imports nothing."""


class WorkbenchError(Exception):
    """The root of them all. `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(WorkbenchError, ValueError):
    """The caller asked for something impossible (exit code 2)."""

    exit_code = 2


class DataError(WorkbenchError, ValueError):
    """The data, a file or the journal is at fault (exit code 1)."""

    exit_code = 1
