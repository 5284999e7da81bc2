"""Find secrets in configuration files that git does not ignore.

The pre-commit hooks of the template run this file too, in an environment without Kedro.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..redaction import SECRET_NAMES, is_secret_name, without_secrets

# No secret, even under such a key: a resolver, an address, a variable's name, a path.
_OPEN = re.compile(r"\$\{.*\}|[a-z+]+://[^@\s]*|[A-Z][A-Z0-9_]*|[\w./-]*/[\w./-]*|")

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
