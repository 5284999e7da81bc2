"""While the server of an open run is away: say so, and let nothing wait for it."""

import threading
from contextlib import ExitStack

from ..server.availability import fail_fast
from ..server.process_environment import EnvironmentOverride
from .messages import NO_URL, say_away, say_back


class Away:
    """Makes MLflow's own requests fail at once while the server is known to be away.

    MLflow would try each one for minutes. It prints no address of a nested run either,
    which the server does not have; for Databricks, that alone waits for five minutes. A
    ``with`` block restores its settings.

    Args:
        address: the server's, without a login.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._is_open, self._is_known = True, False

    def __enter__(self) -> "Away":
        return self

    def __exit__(self, *_: object) -> None:
        self._is_open = False
        self.end()

    def begin(self) -> None:
        """Let requests fail at once from now on."""
        with self._lock:
            self._is_known = True
            if self._is_open:
                self._stack.enter_context(fail_fast())
                self._stack.enter_context(EnvironmentOverride({NO_URL: "true"}))

    def end(self) -> None:
        """Let requests wait as usual."""
        with self._lock:
            self._is_known = False
            self._stack.close()

    def on_away(self, error: Exception) -> None:
        """React to a server that goes away."""
        if not self._is_known:  # otherwise the start of the run has said so
            say_away(self._address, error)
        self.begin()

    def on_back(self) -> None:
        """React to a server that answers again."""
        self.end()
        say_back(self._address)
