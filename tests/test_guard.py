"""The guard itself: no test, and no process that a test starts, reaches another address."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

OUTSIDE = "import socket; socket.create_connection(({host!r}, 443), timeout=1)"


@pytest.mark.parametrize("host", ["example.com", "93.184.216.34", "2606:2800:220:1::1"])
def test_another_address_is_an_error_that_nothing_swallows(host: str) -> None:
    with pytest.raises(BaseException, match="tests stay on this machine") as raised:
        socket.create_connection((host, 443), timeout=1)
    assert not isinstance(raised.value, Exception)


def test_a_process_that_a_test_starts_is_guarded_too() -> None:
    words = [sys.executable, "-c", OUTSIDE.format(host="93.184.216.34")]
    said = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "tests stay on this machine" in said.stderr


def test_this_machine_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
