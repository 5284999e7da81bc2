"""Stop a commit of what looks like a secret, in any text file.

detect-secrets finds the tokens of many services and quoted passwords. The tracking module's
own patterns find the rest, the values of configuration files by their keys.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from pathlib import Path

from detect_secrets.core import baseline
from detect_secrets.core.potential_secret import PotentialSecret
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings
from tracking.template.secret_scan import is_secret_line

from . import say

BASELINE = Path(".secrets.baseline")
"""What is accepted, in detect-secrets' own format."""

_PLUGINS = (
    *("ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector"),
    *("BasicAuthDetector", "DiscordBotTokenDetector", "GitHubTokenDetector"),
    *("GitLabTokenDetector", "JwtTokenDetector", "KeywordDetector"),
    *("MailchimpDetector", "NpmDetector", "OpenAIDetector", "PrivateKeyDetector"),
    *("PypiTokenDetector", "SendGridDetector", "SlackDetector", "SquareOAuthDetector"),
    *("StripeDetector", "TelegramBotTokenDetector", "TwilioKeyDetector"),
)  # without those for entropy, which flag every checksum
_HEURISTICS = (
    *("is_sequential_string", "is_potential_uuid", "is_likely_id_string"),
    *("is_templated_secret", "is_indirect_reference", "is_not_alphanumeric_string"),
    "is_lock_file",
)
_SETTINGS = {
    "plugins_used": [{"name": name} for name in _PLUGINS],
    "filters_used": [
        {"path": "detect_secrets.filters.allowlist.is_line_allowlisted"},
        *({"path": f"detect_secrets.filters.heuristic.{name}"} for name in _HEURISTICS),
    ],
}

_ALLOWED = "pragma: allowlist secret"  # detect-secrets' own words
_NOTHING = {"null", "none", "true", "false", "~"}


def main(words: Sequence[str] | None = None) -> int:
    """Name each line that looks like a secret; the exit code is 1 if there is one."""
    parser = ArgumentParser("secret-files", description=__doc__)
    parser.add_argument("files", nargs="*")
    parser.add_argument(
        "--accept", action="store_true", help=f"keep what is found in {BASELINE}"
    )
    given = parser.parse_args(words)
    known = _accepted()
    found = SecretsCollection()
    with transient_settings(_SETTINGS):
        for file in map(Path, given.files):
            for secret in secrets(file):
                found[file.as_posix()].add(secret)
        if given.accept:
            for name, secret in found:
                known[name].add(secret)
            baseline.save_to_file(known, str(BASELINE))
            return 0
    left = found - known
    for name, secret in sorted(left, key=lambda pair: (pair[0], pair[1].line_number)):
        say(
            f"{name}:{secret.line_number}: looks like a secret ({secret.type}), and git "
            "keeps this file. Put it into conf/local/credentials.yml, or write "
            f"${{oc.env:NAME_OF_A_VARIABLE}}. If it is none: end the line with '# {_ALLOWED}', "
            f"or run secret-files --accept {name}."
        )
    return 1 if left else 0


def secrets(file: Path) -> Iterator[PotentialSecret]:
    """Yield what looks like a secret in a file, once for each line.

    Args:
        file: a text file. Inside of detect-secrets' ``transient_settings``.
    """
    scanned = SecretsCollection()
    scanned.scan_file(str(file))
    lines = set()
    for _, secret in scanned:
        value, number = secret.secret_value or "", secret.line_number
        if number not in lines and value.lower() not in _NOTHING:
            lines.add(number)
            yield secret
    text = file.read_text("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), 1):
        if (
            number not in lines
            and _ALLOWED not in line
            and is_secret_line(file.name, line)
        ):
            value = line.strip()
            yield PotentialSecret("A value of this project", str(file), value, number)


def _accepted() -> SecretsCollection:
    if not BASELINE.is_file():
        return SecretsCollection()
    content = json.loads(BASELINE.read_text("utf-8"))
    return SecretsCollection.load_from_baseline(content)


if __name__ == "__main__":
    raise SystemExit(main())
