"""The pre-commit hooks, of the repository and of a project, run and find nothing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE, Render


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def pre_commit(folder: Path) -> subprocess.CompletedProcess:
    words = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def project(render: Render, tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(render(), folder)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    return folder


def test_a_new_project_is_clean(project: Path) -> None:
    done = pre_commit(project)
    assert done.returncode == 0, done.stdout + done.stderr


def test_conflict_markers_of_an_update_are_stopped(project: Path) -> None:
    readme = project / "README.md"
    readme.write_text(f"<<<<<<< before\n{readme.read_text()}=======\n>>>>>>> after\n")
    git(project, "add", ".")
    done = pre_commit(project)
    assert done.returncode == 1
    assert "Merge conflict string" in done.stdout


def test_the_repository_is_clean() -> None:
    done = pre_commit(TEMPLATE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_of_the_tracking_module_hold() -> None:
    cache = f"--cache-dir={TEMPLATE / '.mypy_cache'}"
    words = [sys.executable, "-m", "mypy", cache, "--ignore-missing-imports"]
    words += ["-p", "tracking"]
    source = TEMPLATE / "template" / "src" / "{{ python_package }}"
    done = subprocess.run(
        words, cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
