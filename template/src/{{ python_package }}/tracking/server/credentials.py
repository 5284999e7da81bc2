"""Environment variables that are lent to a tracked run and taken back after it."""

import os
import re
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from kedro.config import AbstractConfigLoader

from ..config.options import environment, where
from ..errors import TrackingError, did_you_mean

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def credential_variables(
    key: str | None, credentials: Mapping[str, Any], config_loader: AbstractConfigLoader
) -> dict[str, str]:
    """Turn an entry of ``credentials.yml`` into environment variables.

    Args:
        key: the value of ``server.credentials`` in ``mlflow.yml``; None for no entry.
        credentials: the whole of ``credentials.yml``.
        config_loader: knows the files: Kedro reads ``conf/local`` for no other
            environment than that.

    Raises:
        TrackingError: the entry is missing, is no mapping, or holds something that
            an environment variable cannot. The message never shows a value.
    """
    if key is None:
        return {}
    file = f"conf/{environment(config_loader)}/credentials.yml"
    if key not in credentials:
        known = ", ".join(sorted(credentials)) or "no entry at all"
        raise TrackingError(
            f"{where('server.credentials', config_loader)} is '{key}'"
            f"{did_you_mean(key, credentials)}, but credentials.yml has {known}. Correct "
            f"server.credentials, or add '{key}:' to {file}."
        )
    entry = credentials[key]
    if not isinstance(entry, Mapping):
        raise TrackingError(
            f"{file}: '{key}' must be a mapping of variable names to values, "
            f"for example MLFLOW_TRACKING_USERNAME: alice; it is {_kind(entry)}."
        )
    return {
        name: _variable(f"{file}: {key}.{name}", name, value)
        for name, value in entry.items()
    }


def _variable(entry: str, name: Any, value: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise TrackingError(
            f"{entry} is no name for an environment variable: "
            "use letters, digits and underscores, with no digit first."
        )
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float) and "\0" not in str(value):
        return str(value)
    raise TrackingError(
        f"{entry} must be text, a number or a boolean; it is {_kind(value)}."
    )


def _kind(value: Any) -> str:
    kinds = {type(None): "empty", list: "a list", dict: "a mapping"}
    return kinds.get(type(value), "something else")


class Loan:
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

    def give_back(self) -> None:
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
    def is_exclusive(cls, name: str) -> bool:
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

    def __enter__(self) -> "Loan":
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()
