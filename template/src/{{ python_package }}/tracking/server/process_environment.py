"""The environment variables of the process while runs are under way."""

import os
import threading
from collections import Counter
from collections.abc import Mapping

from ..errors import TrackingError


class EnvironmentOverride:
    """Environment variables that stand for the length of a run.

    ``os.environ`` belongs to the whole process, so the class keeps one ledger for it:
    while several runs borrow a variable, the last of them to end restores what stood
    there before the first.

    Args:
        variables: names and values to set.
        exclusive: whether another exclusive loan of another value is an error, since
            the two runs would mix.

    Raises:
        TrackingError: another run has borrowed one of them with another value.
    """

    _lock = threading.Lock()
    _borrowers: Counter[str] = Counter()
    _originals: dict[str, str | None] = {}
    _exclusive: Counter[str] = Counter()

    def __init__(self, variables: Mapping[str, str], exclusive: bool = False) -> None:
        self._names: list[str] = []
        with self._lock:
            if exclusive:
                self._refuse_others(variables)
                self._exclusive.update(variables.keys())
            self._is_exclusive = exclusive
            self._names = list(variables)
            for name, value in variables.items():
                if not self._borrowers[name]:
                    self._originals[name] = os.environ.get(name)
                self._borrowers[name] += 1
                os.environ[name] = value

    def close(self) -> None:
        """Restore the environment; a second call does nothing."""
        with self._lock:
            names, self._names = self._names, []
            for name in names:
                self._borrowers[name] -= 1
                self._exclusive[name] -= self._is_exclusive
                if self._borrowers[name]:
                    continue
                original = self._originals.pop(name)
                if original is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = original

    @classmethod
    def is_claimed(cls, name: str) -> bool:
        """Whether a run that is under way needs the variable as it stands."""
        return cls._exclusive[name] > 0

    def _refuse_others(self, variables: Mapping[str, str]) -> None:
        for name, value in variables.items():
            if self._exclusive[name] and os.environ[name] != value:
                raise TrackingError(
                    f"Another run in this process needs another value of {name}: MLflow "
                    "has one server and one login in a process. Start this run when that "
                    "one has ended, or in a process of its own."
                )

    def __enter__(self) -> "EnvironmentOverride":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
