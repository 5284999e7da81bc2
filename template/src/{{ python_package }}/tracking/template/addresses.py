"""Find mistakes in the address of an MLflow server, from its text alone.

The pre-commit hooks of the template run this file too, in an environment without Kedro.
"""

import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from ..redaction import without_login

_DATABASES = ("postgresql", "mysql", "mssql")
SCHEMES = ("http", "https", "file", "sqlite", *_DATABASES, "databricks")
"""Schemes of tracking servers, as an error lists them."""

_NAMES = ("databricks", "databricks-uc", "uc")
# MLflow's own, and those of the AWS and Azure plugins, which a hook cannot look up.
_KNOWN = (*SCHEMES, *_NAMES, "arn", "azureml")

_SLASHES = {"sqlite": "///", "file": "", "uc": "", "arn": ""}  # "//" for the others

_PATH = re.compile(r"[./~\\]|[A-Za-z]:([\\/]|$)")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9-]+)(\+\w+)?:")
_WEB = re.compile(r"(https?)(?::/?|:///+|//+)([^/:].*)", re.IGNORECASE)
_LOCAL = r"localhost|127(?:\.\d+){3}|0\.0\.0\.0|\[::1?\]"
_HOST = re.compile(
    rf"(?:(?P<local>{_LOCAL})(?::\d+)?"
    r"|(?:(?:[\w-]+\.)+[A-Za-z]{2,}|\d+(?:\.\d+){3}|\[[\da-f:]+\])(?::\d+)?"
    r"|[\w-]{2,}(?:\.[\w-]+)*:\d+)(?:[/?].*)?",
    re.IGNORECASE,
)
_DATABASE_FILE = re.compile(r"[^:]+\.(db|sqlite3?)", re.IGNORECASE)


def address_problem(
    address: str, root: Path, is_plugin: Callable[[str], bool] | None = None
) -> str | None:
    """Return what is wrong with the address of a server, or None.

    Args:
        address: a URI, a name such as ``databricks``, or a path.
        root: the project's root, for relative paths. The name of an existing folder is
            a path, whatever it looks like.
        is_plugin: whether a plugin of MLflow has registered a scheme. If None, that is
            unknown, and only a scheme that is similar to one of MLflow's is a mistake.

    Returns:
        The end of a sentence such as "The address is …, which", without the login.
    """
    if address in _NAMES or _PATH.match(address) or (root / address).is_dir():
        return None
    address = without_login(address)
    return _without_scheme(address) or _scheme_problem(address, is_plugin)


def _without_scheme(address: str) -> str | None:
    if address.startswith("***@"):
        return (
            "has a login and no scheme: write https://, postgresql:// or another first."
        )
    folder = f"A folder of that name is written ./{address}"
    if web := _WEB.fullmatch(address):
        return f"is no address: did you mean {web[1]}://{web[2]}?"
    if _DATABASE_FILE.fullmatch(address):
        return f"is a file: did you mean sqlite:///{address}? {folder}"
    if host := _HOST.fullmatch(address):
        scheme = "http" if host["local"] else "https"
        return f"has no scheme: did you mean {scheme}://{address}? {folder}"
    return None


def _scheme_problem(
    address: str, is_plugin: Callable[[str], bool] | None
) -> str | None:
    if not (found := _SCHEME.match(address)):
        return None
    scheme, driver, rest = found[1].lower(), found[2] or "", address[found.end() :]
    if scheme in _KNOWN:
        slashes = _SLASHES.get(scheme, "//")
        if rest.startswith(slashes) and rest.strip("/"):
            return None
        return f"is incomplete: write {scheme}{driver}:{slashes}…"
    problem = f"has the scheme '{scheme}', which MLflow does not know"
    if is_plugin and is_plugin(scheme):
        return None
    if near := get_close_matches(scheme, _KNOWN, n=1, cutoff=0.7):
        return f"{problem}: did you mean {near[0]}{driver}:{rest}?"
    return f"{problem}; it knows {', '.join(SCHEMES)}." if is_plugin else None
