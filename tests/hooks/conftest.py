"""A project of a released template, with its hooks installed once."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.releases import Project, Template


class PreCommit:
    """pre-commit, with a cache of its own for the session."""

    def __init__(self, home: Path) -> None:
        programs = Path(sys.executable).parent
        self.env = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PRE_COMMIT_HOME": str(home),
            "PIP_NO_COMPILE": "1",  # of which each hook would use a little
        }

    def __call__(
        self, project: Project, *words: str
    ) -> subprocess.CompletedProcess[str]:
        return self.shell(project, shlex.join(["pre-commit", *words]))

    def shell(
        self, project: Project, script: str, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script in a project, as a CI job does."""
        return subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=project.path,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            check=False,
        )


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
def pre_commit(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> PreCommit:
    """pre-commit, whose environments the processes of the tests share."""
    root = tmp_path_factory.getbasetemp().parent
    return PreCommit(root / f"pre-commit-{testrun_uid}")


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
