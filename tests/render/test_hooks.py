"""The repository passes its own pre-commit hooks and type checks."""

import subprocess
import sys

from tests.conftest import TEMPLATE


def test_the_repository_is_clean() -> None:
    words = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
    done = subprocess.run(
        words, cwd=TEMPLATE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_hold() -> None:
    """Also those of the scripts that no test executes."""
    words = [sys.executable, "-m", "mypy"]
    done = subprocess.run(
        words, cwd=TEMPLATE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
