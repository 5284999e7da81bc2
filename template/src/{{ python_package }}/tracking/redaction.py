"""Hide secrets in everything that is logged, printed or stored.

Standard library only: the pre-commit hooks of the template import this file in an
environment without Kedro and MLflow.
"""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

HIDDEN = "***"
"""Replaces a secret."""

SECRET_NAMES = (
    "*token*", "!*tokens*", "!*tokeni*", "!*token_count*", "!*token_id*", "!*token_l*",
    "*api_tokens*", "*auth_tokens*", "*access_tokens*",
    "*password*", "*passwd*", "*pwd*", "*passphrase*", "*secret*", "*credential*",
    "*api_key*", "*apikey*", "*access_key*", "*private_key*", "*bearer*", "*dsn",
    "*conn_str*", "*connection_string*", "sas", "*_sas", "*signature", "*webhook*",
)  # fmt: skip
"""Names of values that are secret, with wildcards; ``!`` makes an exception."""

# The login in an address. A colon before a port, or before a path, starts no password.
# A name without a password is a token in an HTTP address, and a user's name in others.
_LOGIN = re.compile(
    r"""(?P<scheme>\b(?:(?P<web>https?)|[a-z][a-z0-9+.-]{1,30})://)
    (?:(?P<user>[^\s/:@?#'"]*):(?!\d{1,5}(?:[/?#'",)\]]|\s|$))(?P<password>(?:(?!://)\S)+)@
    |(?(web)[^\s/:@?#'"]+:?@|(?!)))
    """,
    re.VERBOSE | re.IGNORECASE,
)

_VALUES = re.compile(
    r"""
    # A header's value, which has a digit or a sign, unlike prose.
    (?P<scheme>\b(?:Bearer|Basic)\s+)(?=\S*[\d=_-])[\w+/.~=-]{6,}
    # A signed address, a connection string.
    |(?P<key>[?&](?:sig|x-amz-signature|x-goog-signature)=|
        \b(?:AccountKey|SharedAccessKey|SharedAccessSignature|password|pwd)=)
        [^\s&;'",)\]}]+
    # Tokens that show whose they are: GitHub, GitLab, AWS, Databricks, Slack, OpenAI and
    # Anthropic, Hugging Face, Google, Stripe, npm, PyPI; JSON web tokens; private keys.
    |\b(?:gh[pousr]_\w{36,}|github_pat_\w{22,}|glpat-[\w-]{20,}|A(?:KI|SI)A[A-Z0-9]{16}
        |dapi[0-9a-f]{32}(?:-\d)?|xox[abeoprs]-[\w-]{10,}|sk-[\w-]{32,}|hf_[A-Za-z0-9]{30,}
        |AIza[\w-]{35}|[rs]k_live_\w{16,}|npm_\w{36}|pypi-[\w-]{32,}
        |eyJ[\w-]{8,}\.eyJ[\w-]+(?:\.[\w-]*)?)
    |-----BEGIN\ [A-Z ]*PRIVATE\ KEY-----(?:.(?!-----END))*.?(?:-----END[A-Z -]*)?
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def without_secrets(text: str) -> str:
    """Hide what looks like a secret in a text, an address or a message.

    That is: passwords and tokens in addresses, values of ``Authorization``, signatures
    of signed addresses, passwords in connection strings, tokens of a known form. When
    in doubt it hides too much, since a password may contain ``/``, ``#`` or ``@``.
    """
    return _VALUES.sub(_hidden_value, _LOGIN.sub(_hidden_login, text))


def without_login(address: str) -> str:
    """Hide the login in an address, also in one without a scheme: ``me:pw@host``."""
    address = without_secrets(address)
    if re.match(r"[A-Za-z][\w+.-]*:/|(file|sqlite|uc|arn|databricks):", address):
        return address
    return re.sub(r"^[^/?#:]*:(?!//)[^?#]*@", f"{HIDDEN}@", address)


def shows_secret(error: BaseException | None) -> bool:
    """Whether the message of an exception, or of its causes, contains a secret."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        if without_secrets(text := str(error)) != text:
            return True
        error = error.__cause__ or (
            None if error.__suppress_context__ else error.__context__
        )
    return False


def is_secret_name(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name, or its part after the last dot, is that of a secret.

    Args:
        name: the name; ``apiKey``, ``api-key`` and ``API_KEY`` are read as ``api_key``.
        patterns: wildcards; the last that matches decides, and ``!`` makes an exception.
    """
    patterns = [pattern.lower() for pattern in patterns]
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_")
    forms = {form.lower() for form in (name, snake)}
    forms |= {form.rpartition(".")[2] for form in forms}
    return any(_decides(form, patterns) for form in forms)


def hide(name: str, value: Any, patterns: Iterable[str]) -> Any:
    """Hide the secrets in a value, by their names and by their form, at any depth.

    Args:
        name: the value's name, dotted if the value is in a mapping.
        value: mappings and lists are copied, other objects are left alone.
        patterns: as in ``is_secret_name``.
    """
    patterns = list(patterns)
    if is_secret_name(name, patterns):
        return HIDDEN
    if isinstance(value, Mapping):
        return {k: hide(f"{name}.{k}", v, patterns) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [hide(name, item, patterns) for item in value]
    return without_secrets(value) if isinstance(value, str) else value


def split_login(
    uri: str, registry_uri: str | None = None
) -> tuple[str, str | None, dict[str, str]]:
    """Move the login out of a server's address, into the variables that MLflow reads.

    Addresses appear in messages and tracebacks of MLflow, requests and urllib3;
    variables do not.

    Args:
        uri: the tracking server's. A database's is not changed, since its login has no
            other place; neither is ``user:@``, which the variables cannot express.
        registry_uri: the registry's, if it is another. MLflow sends the login of the
            variables to both, so the addresses of two servers are not changed.

    Returns:
        The two addresses, and ``MLFLOW_TRACKING_USERNAME`` and
        ``MLFLOW_TRACKING_PASSWORD``, as far as the login has them.
    """
    bare, login = _split(uri)
    if registry_uri is None or not _is_web(registry_uri):
        return bare, registry_uri, login
    bare_registry, other = _split(registry_uri)
    if other in ({}, login) and urlsplit(bare)[:2] == urlsplit(bare_registry)[:2]:
        return bare, bare_registry, login
    return uri, registry_uri, {}


def _split(uri: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(uri) if _is_web(uri) else None
    if parts is None or not parts.username or parts.password == "":
        return uri, {}
    login = {"MLFLOW_TRACKING_USERNAME": unquote(parts.username)}
    if parts.password:
        login["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, *parts[2:])), login


def _is_web(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def _hidden_login(found: re.Match[str]) -> str:
    user = f"{found['user']}:" if found["password"] else ""
    return f"{found['scheme']}{user}{HIDDEN}@"


def _hidden_value(found: re.Match[str]) -> str:
    return f"{found['scheme'] or found['key'] or ''}{HIDDEN}"


def _decides(name: str, patterns: list[str]) -> bool:
    for pattern in reversed(patterns):
        if fnmatchcase(name, pattern.removeprefix("!")):
            return not pattern.startswith("!")
    return False
