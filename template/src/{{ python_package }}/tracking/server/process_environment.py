"""Set environment variables of the process for a while, and suspend other sessions."""

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Protocol

from kedro.framework.context import KedroContext

from ..errors import TrackingError


class EnvironmentOverride:
    """A context manager that sets environment variables, and restores them at its end.

    ``os.environ`` belongs to the whole process, so the class keeps one ledger for it:
    if several overrides of a variable overlap, the last one to close restores the value
    from before the first.

    Args:
        variables: names and values to set.
        claimed: whether exactly these values are needed. A claim on another value is
            then refused, since the records of two runs would mix.
    """

    _lock = threading.Lock()
    _overrides: Counter[str] = Counter()
    _originals: dict[str, str | None] = {}
    _claims: Counter[str] = Counter()

    def __init__(self, variables: Mapping[str, str], claimed: bool = False) -> None:
        self._variables = dict(variables)
        self._is_claimed = claimed
        self._is_open = False

    def __enter__(self) -> "EnvironmentOverride":
        """Set the variables.

        Raises:
            TrackingError: another run in this process claims another value.
        """
        with self._lock:
            if self._is_claimed:
                self._refuse_others()
                self._claims.update(self._variables.keys())
            self._is_open = True
            for name, value in self._variables.items():
                if not self._overrides[name]:
                    self._originals[name] = os.environ.get(name)
                self._overrides[name] += 1
                os.environ[name] = value
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Restore the variables; idempotent."""
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            for name in self._variables:
                self._overrides[name] -= 1
                self._claims[name] -= self._is_claimed
                if self._overrides[name]:
                    continue
                original = self._originals.pop(name)
                if original is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = original

    @classmethod
    def is_claimed(cls, name: str) -> bool:
        """Whether an open run needs the present value of a variable."""
        return cls._claims[name] > 0

    def _refuse_others(self) -> None:
        for name, value in self._variables.items():
            if self._claims[name] and os.environ[name] != value:
                raise TrackingError(
                    f"Another run in this process needs another value of {name}: MLflow "
                    "has one server and one login in a process. Start this run when that "
                    "one has ended, or in a process of its own."
                )


class Session(Protocol):
    """What connects this process to a server between runs, such as a notebook."""

    def suspended(self) -> AbstractContextManager[None]:
        """Disconnect during a run."""

    def is_connected_to(self, context: KedroContext) -> bool:
        """Whether it is connected to the server that a context names."""


_sessions: list[Session] = []


def register_session(session: Session) -> None:
    """Register a session, which is suspended while a run is open."""
    _sessions.append(session)


def unregister_session(session: Session) -> None:
    """Undo ``register_session``."""
    _sessions.remove(session)


@contextmanager
def sessions_suspended() -> Iterator[None]:
    """Disconnect all sessions, so that a run starts as it does on the command line."""
    with ExitStack() as stack:
        for session in list(_sessions):
            stack.enter_context(session.suspended())
        yield


def has_session_for(context: KedroContext) -> bool:
    """Whether a session is connected to the server that a context names."""
    return any(session.is_connected_to(context) for session in _sessions)


def loaded_mlflow() -> Any | None:
    """Return MLflow if it is imported; waits for an import that is under way."""
    if "mlflow" not in sys.modules:
        return None
    import mlflow

    return mlflow
