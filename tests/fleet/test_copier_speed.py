"""An update with fewer questions to git has the same result."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE
from tests.releases import Project, Template, git

UPDATE = """
import sys
from copier import run_update
from fleet import copier_speed
if sys.argv[1] == "fast":
    copier_speed.install()
run_update(".", defaults=True, overwrite=True, quiet=True, unsafe=False)
"""


def updated(
    made: Project, path: Path, how: str, file_mode: str
) -> tuple[str, str, int]:
    """Return the index and the changes of an updated clone, and how often git was asked."""
    git(made.path.parent, "clone", "-q", str(made.path), str(path))
    git(path, "config", "core.fileMode", file_mode)
    trace = path.with_suffix(".trace")
    env = {**os.environ, "GIT_TRACE": str(trace), "PYTHONPATH": str(TEMPLATE)}
    words = [sys.executable, "-c", UPDATE, how]
    subprocess.run(words, cwd=path, env=env, check=True, capture_output=True)
    asked = trace.read_text("utf-8").count("git config --type=bool --get core.fileMode")
    return git(path, "ls-files", "--stage"), git(path, "diff"), asked


@pytest.mark.parametrize("file_mode", ["true", "false"])
def test_update_is_as_copiers_own(tmp_path: Path, file_mode: str) -> None:
    template = Template(tmp_path / "template")
    template.release("v0.1.0")
    template.write("template/conf/README.md", "New.\n")
    (template.path / "template/conf/README.md").chmod(0o755)
    template.release("v0.2.0")
    made = Project.copy(template, tmp_path / "made", "v0.1.0")

    index, changes, slow = updated(made, tmp_path / "slow", "slow", file_mode)
    found = updated(made, tmp_path / "fast", "fast", file_mode)
    assert found[:2] == (index, changes)
    assert "100755" in (index if file_mode == "false" else changes)
    if file_mode == "true":
        assert found[2] <= 3 < slow, "once for each of three renders"
