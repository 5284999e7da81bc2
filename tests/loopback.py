"""Servers on this machine: a free port, and waiting until one is there."""

import socket
import time
from collections.abc import Callable


def free_port() -> int:
    """Give a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(ready: Callable[[], bool], seconds: float = 180) -> None:
    """Wait until a server is there."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it does not start"
        time.sleep(0.1)
