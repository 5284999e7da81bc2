"""Turn ``credentials.yml`` into environment variables."""

import re
from collections.abc import Mapping
from typing import Any

from kedro.config import AbstractConfigLoader

from ..config.loading import environment, key_location
from ..errors import TrackingError, did_you_mean

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def credential_variables(
    key: str | None, credentials: Mapping[str, Any], config_loader: AbstractConfigLoader
) -> dict[str, str]:
    """Turn an entry of ``credentials.yml`` into environment variables.

    Args:
        key: the value of ``server.credentials`` in ``mlflow.yml``; None for no entry.
        credentials: the whole of ``credentials.yml``.
        config_loader: its environment names the file in errors, since Kedro reads
            ``conf/local`` only in the environment ``local``.

    Raises:
        TrackingError: the entry is missing, is no mapping, or has a name or value that
            an environment variable cannot have. The message never shows a value.
    """
    if key is None:
        return {}
    file = f"conf/{environment(config_loader)}/credentials.yml"
    if key not in credentials:
        known = ", ".join(sorted(credentials)) or "no entry at all"
        raise TrackingError(
            f"{key_location('server.credentials', config_loader)} is '{key}'"
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
