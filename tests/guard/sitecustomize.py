"""No test reaches the network: any address but this machine's own is an error.

On the path of every process that a test starts (Python imports `sitecustomize` by itself).
"""

from __future__ import annotations

import sys

HOME = ("127.", "::1", "localhost", "0.0.0.0", "::")  # noqa: S104  nothing binds here
NAMES = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname")


class EgressError(BaseException):
    """Not an Exception: no handler for a failed request may swallow it."""


def _guard(event: str, args: tuple[object, ...]) -> None:
    if event not in NAMES:
        return
    told = args[0] if event in ("socket.getaddrinfo", "socket.gethostbyname") else args[1]
    host = told[0] if isinstance(told, tuple) else told
    if event in ("socket.connect", "socket.sendto") and not isinstance(told, tuple):
        return  # a unix socket
    if host is None or (isinstance(host, str) and (host == "" or host.startswith(HOME))):
        return
    if isinstance(host, bytes) and host.decode().startswith(HOME):
        return
    raise EgressError(f"a test wants to reach {host!r}; tests stay on this machine")


sys.addaudithook(_guard)
