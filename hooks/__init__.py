"""What runs around a project's life: pre-commit hooks, and migrations of updates.

pre-commit installs this package from the template's own repository, with the tracking
module beside it for the checks that ``kedro mlflow check`` makes as well.
"""

from __future__ import annotations

import sys


def say(sentence: str) -> None:
    """Print a sentence to whoever commits or updates."""
    print(sentence, file=sys.stderr)  # noqa: T201
