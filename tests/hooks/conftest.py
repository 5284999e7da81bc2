"""A project of a released template, with its hooks installed once."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.releases import Project, Template

PreCommit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """v0.1.0 as it is, v0.2.0 with another default for the name of a run."""
    made = Template(tmp_path_factory.mktemp("hooks") / "template")
    made.release("v0.1.0")
    name = "template/conf/base/mlflow.yml.jinja"
    made.replace(
        name,
        "    name: null\n\n    # Whether nodes",
        "    name: pets\n\n    # Whether nodes",
    )
    made.replace(name, "  host: null\n", "  host: null\n\n  # New.\n  path: null\n")
    made.release("v0.2.0")
    return made


@pytest.fixture(scope="session")
def pre_commit(tmp_path_factory: pytest.TempPathFactory) -> PreCommit:
    """Give a function that runs pre-commit in a project."""
    home = tmp_path_factory.mktemp("pre-commit")

    def run(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pre_commit", *words]
        return subprocess.run(
            command,
            cwd=project.path,
            env={**os.environ, "PRE_COMMIT_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def made(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Project:
    path = tmp_path_factory.mktemp("made") / "project"
    return Project.copy(template, path, version="v0.1.0")


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    """A clean project on v0.1.0 with the template's hooks alone."""
    project = Project(tmp_path / "project")
    shutil.copytree(made.path, project.path)
    return project
