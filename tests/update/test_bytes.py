"""Line ends and bytes of a project survive an update."""

from pathlib import Path

import pytest

from tests.releases import Project, Template, git

SHARED = {
    "template/conf/base/mlflow.yml.jinja": ("create: true", "create: false"),
    "template/pyproject.toml.jinja": ('"kedro>=1.2', '"kedro>=1.3'),
    "template/.gitignore.jinja": ("# Editors", "*.swp\n\n# Editors"),
    "template/src/{{ python_package }}/settings.py.jinja": (
        "# Hooks of the project.",
        "# All hooks.",
    ),
    "template/src/{{ python_package }}/cli.py": (
        "import click",
        "# Commands.\nimport click",
    ),
    "template/src/{{ python_package }}/tracking/errors.py": ("from", "# Fixed.\nfrom"),
}


@pytest.fixture
def project(template: Template, tmp_path: Path) -> Project:
    project = Project.copy(template, tmp_path / "project")
    for name, change in SHARED.items():
        template.replace(name, *change)
    template.release("v0.2.0")
    return project


def test_a_project_whose_people_use_crlf_updates_without_a_conflict(
    project: Project,
) -> None:
    """An editor on Windows has written every file, and somebody commits them."""
    for name, text in project.files().items():
        if b"\0" not in text and not name.endswith(".sha256"):
            file = project.path / name
            file.write_bytes(text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    project.commit()
    git(project.path, "checkout", "--force", "HEAD")
    project.update()
    assert not project.unmerged
    assert "kedro>=1.3" in project.read("pyproject.toml")
    assert "# Fixed." in project.read("src/penguin_classifier/tracking/errors.py")
    changed = git(project.path, "diff", "--numstat", "HEAD").splitlines()
    assert all(int(line.split("\t")[0]) < 20 for line in changed), changed
