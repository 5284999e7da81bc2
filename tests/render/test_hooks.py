"""The repository passes its own pre-commit hooks and type checks."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE

SOURCE = TEMPLATE / "template" / "src" / "{{ python_package }}"


def test_the_repository_is_clean() -> None:
    words = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
    done = subprocess.run(
        words, cwd=TEMPLATE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("folder", "package"), [(SOURCE, "tracking"), (TEMPLATE, "hooks")]
)
def test_types_hold(folder: Path, package: str) -> None:
    cache = f"--cache-dir={TEMPLATE / '.mypy_cache'}"
    words = [sys.executable, "-m", "mypy", cache, "--ignore-missing-imports"]
    words += ["-p", package]
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
