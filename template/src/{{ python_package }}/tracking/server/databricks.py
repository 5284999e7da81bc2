"""The workspace of Databricks that a tracking URI names."""

import os
from configparser import ConfigParser, Error
from pathlib import Path


def workspace(uri: str) -> str | None:
    """Return the address of the workspace, as Databricks' own library finds it.

    Args:
        uri: a tracking URI, such as ``databricks`` or ``databricks://profile``.

    Returns:
        The address of the profile that the URI names, or else ``DATABRICKS_HOST``, or
        that of the default profile. None for any other URI, or if nothing names one, as
        on Databricks itself.
    """
    scheme, _, profile = uri.partition("://")
    if scheme != "databricks":
        return None
    host = None if profile else os.environ.get("DATABRICKS_HOST")
    if not host:
        name = profile or os.environ.get("DATABRICKS_CONFIG_PROFILE") or "DEFAULT"
        host = _of_profile(name)
    if not host:
        return None
    return (host if "://" in host else f"https://{host}").rstrip("/")


def _of_profile(name: str) -> str | None:
    file = Path(os.environ.get("DATABRICKS_CONFIG_FILE") or "~/.databrickscfg")
    profiles = ConfigParser(interpolation=None)
    try:
        profiles.read(file.expanduser(), encoding="utf-8")
    except (Error, OSError, UnicodeError):
        return None  # its library reports it
    return profiles.get(name, "host", fallback=None)
