"""What git does not keep, and what copier cannot reach, is noticed before an update."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from copier import run_update
from jinja2 import Environment, FileSystemLoader
from pathspec import PathSpec
from tracking.template.drift import FOLDERS, UPDATED, hazards

from tests.conftest import TEMPLATE, Render
from tests.releases import Project, Template, git
from tests.render.test_ownership import CHOICES, CLASSES, EXTRAS, paths

MLFLOW_YML = "conf/base/mlflow.yml"
LINK = "is a link to a place outside of the project"


@pytest.fixture
def project(template: Template, tmp_path: Path) -> Project:
    project = Project.copy(template, tmp_path / "project", version="v0.1.0")
    template.replace(
        "template/conf/base/mlflow.yml.jinja", "create: true", "create: false"
    )
    template.release("v0.2.0")
    return project


def link(project: Project, folder: str, disk: str = "disk") -> None:
    """Move a folder out of the project, as people do with a large disk."""
    outside = project.path.parent / disk / folder
    outside.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(project.path / folder, outside)
    os.symlink(outside, project.path / folder)
    project.commit()


@pytest.mark.parametrize(
    ("folder", "disk", "quiet"),
    [
        ("data", "disk", True),
        ("conf/local", "disk", False),
        ("notebooks", "project-disk", True),  # its name begins with the project's
    ],
)
def test_a_link_out_of_the_project_stops_an_update_before_it_begins(
    project: Project, folder: str, disk: str, quiet: bool
) -> None:
    link(project, folder, disk)
    before = project.files()
    with pytest.raises(Exception, match=f"^{folder} {LINK}"):
        run_update(project.path, defaults=True, overwrite=True, quiet=quiet)
    assert project.files() == before
    assert project.changed == set()
    (found,) = hazards(project.path)
    assert found.startswith(f"{folder} {LINK}")


def test_the_ways_out_of_a_link_work(project: Project) -> None:
    link(project, "data/01_raw")
    (found,) = hazards(project.path)
    assert "remove the link in a commit, update, and restore it" in found
    (project.path / "data/01_raw").unlink()
    project.commit()
    project.update()
    project.commit()
    assert "create: false" in project.read(MLFLOW_YML)
    (project.path / "data/01_raw").mkdir(exist_ok=True)
    os.symlink(project.path.parent / "disk", project.path / "data/01_raw/store")
    project.commit()
    assert hazards(project.path) == []


def test_a_link_inside_of_the_project_is_none(project: Project) -> None:
    shutil.move(project.path / "notebooks", project.path / "cells")
    os.symlink("cells", project.path / "notebooks")
    project.commit()
    assert hazards(project.path) == []
    project.update()
    assert "create: false" in project.read(MLFLOW_YML)


def test_what_git_ignores_or_overlooks_is_a_finding(project: Project) -> None:
    ignored, overlooked, assumed = ".telemetry", MLFLOW_YML, "conf/logging.yml"
    project.write(".gitignore", project.read(".gitignore") + f"{ignored}\n")
    git(project.path, "rm", "-q", "--cached", ignored)
    project.commit()
    git(project.path, "update-index", "--skip-worktree", overlooked)
    git(project.path, "update-index", "--assume-unchanged", assumed)
    # Another size: git takes an edit of the same size and second for none.
    project.replace(overlooked, "  host: null", "  host: mine.example")
    project.write("conf/local/mlflow.yml", "{}\n")
    assert project.changed == set()
    check = [sys.executable, "-m", "kedro", "mlflow", "check", "--template"]
    shown, as_json = (
        subprocess.run(
            [*check, *words],
            cwd=project.path,
            capture_output=True,
            text=True,
            check=False,
        )
        for words in ([], ["--format", "json"])
    )
    assert shown.returncode == as_json.returncode == 1
    found = json.loads(as_json.stdout.splitlines()[-1])
    for sentence in found["hazards"]:
        assert f"\nbefore an update: {sentence}.\n" in shown.stdout
    assert [sentence.split(",")[0] for sentence in found["hazards"]] == [
        f"git ignores {ignored}",
        f"git does not see edits to {overlooked}",
        f"git does not see edits to {assumed}",
    ]
    assert found["message"] == "v0.2.0 is out; 'copier update' brings it"
    git(project.path, "add", "--force", ignored)
    for sentence in found["hazards"][1:]:
        git(project.path, *re.findall(r"Run git (.+) and commit", sentence)[0].split())
    project.commit()
    assert hazards(project.path) == []
    project.update()
    assert "host: mine.example" in project.read(MLFLOW_YML)


def test_no_release_renders_a_path_that_its_own_gitignore_covers(
    render: Render,
) -> None:
    """Such a file would replace a person's own, which git cannot bring back."""
    for ci, renovate in zip(CHOICES["ci"], [True, False, True], strict=True):
        project = render(ci=ci, renovate=renovate)
        ignore = (project / ".gitignore").read_text("utf-8").splitlines()
        ignored = PathSpec.from_lines("gitignore", ignore)
        covered = [path for path in paths(project) if ignored.match_file(path)]
        for path in covered:
            assert CLASSES["project_files"].match_file(path), path


def test_the_lists_know_every_file_and_folder(render: Render) -> None:
    project = render(**EXTRAS, environments={"qa": None})
    git(project, "init", "-q")
    git(project, "add", "--all", "--force")
    updated = [f":(glob){pattern}" for pattern in UPDATED]
    known = set(git(project, "ls-files", "--", *updated).splitlines())
    mine = CLASSES["project_files"]
    every = git(project, "ls-files").splitlines()
    assert {path for path in every if not mine.match_file(path)} <= known
    folders = {folder for pattern in FOLDERS for folder in project.glob(pattern)}
    rendered = {folder.parent for folder in project.rglob("*") if folder.is_file()}
    asked = Environment(loader=FileSystemLoader(TEMPLATE))
    asked.filters["realpath"] = os.path.realpath
    asked.filters["regex_replace"] = lambda text, old, new: re.sub(old, new, text)
    macro = asked.get_template("includes/linked_folder.jinja").module.linked_folder
    for folder in rendered - {project}:
        name = folder.relative_to(project)
        if ".git" in name.parts or {"tracking", "pipelines"} & {*name.parts[:-1]}:
            continue  # nobody links a folder below them
        assert folder in folders, "drift.py"
        moved = folder.rename(project.parent / "elsewhere")
        folder.symlink_to(moved)
        found = macro(project, "penguin_classifier", {"qa": None})
        assert found == name.as_posix(), "linked_folder.jinja"
        folder.unlink()
        moved.rename(folder)
