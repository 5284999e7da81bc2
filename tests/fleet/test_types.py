"""The types of the fleet command hold."""

import subprocess
import sys

from tests.conftest import TEMPLATE


def test_types_hold() -> None:
    cache = f"--cache-dir={TEMPLATE / '.mypy_cache'}"
    words = [sys.executable, "-m", "mypy", cache, "--ignore-missing-imports"]
    done = subprocess.run(
        [*words, "-p", "fleet"],
        cwd=TEMPLATE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
