"""Find secrets in configuration files that git does not ignore.

The pre-commit hooks of the template run this file too, in an environment without Kedro.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..redaction import HIDDEN, SECRET_NAMES, is_secret_name, without_secrets

# No secret, even under such a key: a resolver, an address, a variable's name, a path.
_OPEN = re.compile(r"\$\{.*\}|[a-z+]+://[^@\s]*|[A-Z][A-Z0-9_]*|[\w./-]*/[\w./-]*|")

CONFIG_SUFFIXES = (".yml", ".yaml", ".toml", ".ini", ".cfg", ".env", ".properties")
"""Of files in which a value needs no quotes."""

_VALUE = re.compile(r"""[\s{-]*["']?(?P<key>[\w.-]+)["']?\s*[:=]\s*(?P<value>.+)""")
_QUOTED = re.compile(
    r"""["']?(?P<key>[\w.-]+)["']?\]?\s*[:=]\s*[a-z]{0,2}(?P<quote>["'])(?P<value>.+?)(?P=quote)"""
)
_NOTHING = {"null", "none", "true", "false", "~"}

_RESOLVER = re.compile(r"\$\{[^{}]*\}")  # the innermost, such as ${oc.env:PASSWORD}


def looks_secret(key: str, value: object) -> bool:
    """Whether a value looks like a secret, which no committed file should contain.

    Args:
        key: its name. Under ``password``, ``token`` and the like, everything but a
            resolver, an address, a path or the name of a variable looks secret.
        value: the value. Some secrets are recognised by their form under any name.
    """
    if not isinstance(value, str):
        return False
    text = value
    while text != (text := _RESOLVER.sub("", text)):
        pass
    if without_secrets(text) != text:
        return True
    # Kedro's 'credentials' is the name of an entry in credentials.yml.
    named = key != "credentials" and is_secret_name(key, SECRET_NAMES)
    return named and not _OPEN.fullmatch(value)


def committed_secrets(file: Path, content: Any) -> Iterator[str]:
    """Yield a sentence for each secret in a file that git does not ignore.

    Args:
        file: a file of the project's configuration.
        content: its parsed content.
    """
    keys = list(secret_looking(content))
    command = ["git", "check-ignore", "--quiet", file.name]
    if keys and subprocess.run(command, cwd=file.parent, check=False).returncode == 0:
        return
    for key in keys:
        yield (
            f"{key} looks like a secret, and git keeps this file. Put it into "
            "conf/local/credentials.yml and name its entry in server.credentials, "
            "or write ${oc.env:NAME_OF_A_VARIABLE}."
        )


def secret_looking(content: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted keys of a configuration whose values look like secrets."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from secret_looking(value, f"{path}.{key}" if path else str(key))
    elif isinstance(content, list):
        for item in content:
            yield from secret_looking(item, path)
    elif looks_secret(path.rpartition(".")[2], content):
        yield path


def is_secret_line(name: str, line: str) -> bool:
    """Whether a line of a text file looks as if it contained a secret.

    Args:
        name: of the file. What is no configuration is searched for the forms of
            secrets only, since what stands behind ``password =`` is mostly a call.
        line: the line.
    """
    if without_secrets(line) != line:
        return True
    return _is_config(name) and _secret_value(line) is not None


def without_secret_lines(patch: str) -> str:
    """Hide what looks like a secret in a patch; its lines stay where they are.

    In code, quoted values of secret names are hidden too.
    """
    name, is_key = "", False
    found = []
    for line in patch.split("\n"):
        sign, text = line[:1], line[1:]
        if line.startswith(("+++ ", "--- ")):
            name = line[4:].removeprefix("b/") if line[4:] != "/dev/null" else name
        elif sign in ("+", "-", " "):
            is_key = is_key or ("-----BEGIN" in text and "PRIVATE KEY" in text)
            text = HIDDEN if is_key else _hidden(name, text)
            is_key = is_key and "-----END" not in line
        found.append(sign + text)
    return "\n".join(found)


def _hidden(name: str, line: str) -> str:
    line = without_secrets(line)
    if _is_config(name) and (value := _secret_value(line)):
        line = line.replace(value, HIDDEN)
    for match in list(_QUOTED.finditer(line)):
        if looks_secret(match["key"], match["value"]):
            line = line.replace(match["value"], HIDDEN)
    return line


def _is_config(name: str) -> bool:
    return name.endswith(CONFIG_SUFFIXES) or name.rpartition("/")[2].startswith(".env")


def _secret_value(line: str) -> str | None:
    """Return the secret of a line of a configuration file."""
    found = _VALUE.match(line.split(" #", maxsplit=1)[0])
    value = found["value"].strip().strip(",}").strip("\"'") if found else ""
    if not found or value.lower() in _NOTHING or not looks_secret(found["key"], value):
        return None
    return value
