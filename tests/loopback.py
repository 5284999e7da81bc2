"""Servers on this machine: find a free port, and wait until a server is ready."""

import socket
import time
from collections.abc import Callable


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(ready: Callable[[], bool], seconds: float = 180) -> None:
    """Wait until a server is ready; fail after some seconds."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it does not start"
        time.sleep(0.1)
