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


class ContractBroken(WorkbenchError):
    """Something plugged in breaks a promise; the sentence names it and where."""


class FeedError(DataError):
    """A provider did not answer as it promises; the sentence names the feed and the path."""


class NotFound(FeedError):
    """The provider has nothing at that address."""


class KeyMissing(FeedError):
    """A feed needs a key and its variable is not set; that feed is left out."""


class KeyRefused(FeedError):
    """The provider refuses the key: wrong, revoked, or without the right to what was asked."""


class QuotaExhausted(FeedError):
    """The provider's quota is used up, or it asks for a pause too long to wait out."""
