"""The types of the fleet command hold, and of the scripts that no test executes."""

import subprocess
import sys

from tests.conftest import TEMPLATE

CHECKED = ["fleet", "scripts", "benchmarks", *map(str, TEMPLATE.glob("docs/*.py"))]


def test_types_hold() -> None:
    cache = f"--cache-dir={TEMPLATE / '.mypy_cache'}"
    words = [sys.executable, "-m", "mypy", cache, "--ignore-missing-imports"]
    done = subprocess.run(
        [*words, "--follow-imports=silent", "--no-warn-return-any", *CHECKED],
        cwd=TEMPLATE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
