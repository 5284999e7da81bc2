"""A project says how far it is from its template."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tracking.template.drift import edited_files

from tests.releases import Project, Template

TRACKING = "src/penguin_classifier/tracking"


def kedro(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kedro", *words],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
    )


def drift(project: Project) -> tuple[int, dict[str, Any]]:
    done = kedro(project, "mlflow", "check", "--template", "--format", "json")
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def project(template: Template, tmp_path: Path) -> Project:
    template.release("v0.2.0a1")  # nobody is told of a version to try out
    return Project.copy(template, tmp_path / "project", version="v0.1.0")


def test_a_project_that_is_up_to_date_and_then_behind(
    template: Template, project: Project
) -> None:
    code, found = drift(project)
    assert code == 0
    assert found == {
        "version": "v0.1.0",
        "newest": "v0.1.0",
        "edited": [],
        "obsolete": {},
        "unmerged": [],
        "message": "that is the newest version",
    }
    template.release("v0.2.0")
    template.release("v0.10.0")
    code, found = drift(project)
    assert code == 0, "to be behind is no error"
    assert found["newest"] == "v0.10.0"
    assert found["message"] == "v0.10.0 is out; 'copier update' brings it"


def test_what_an_update_would_meet_is_an_error(
    template: Template, project: Project
) -> None:
    project.replace(f"{TRACKING}/errors.py", "from", "# ours\nfrom")
    project.remove("conf/mlflow.schema.json")
    project.write("conf/README.md", "<<<<<<< before updating\n")
    project.commit()
    code, found = drift(project)
    assert code == 1
    assert found["edited"] == ["conf/mlflow.schema.json", f"{TRACKING}/errors.py"]
    assert found["unmerged"] == ["conf/README.md"]
    done = kedro(project, "mlflow", "check", "--template")
    assert done.returncode == 1
    assert "template: v0.1.0; that is the newest version." in done.stdout
    assert f"edited: {TRACKING}/errors.py is the template's; make" in done.stdout
    assert "unmerged: conf/README.md waits for a decision" in done.stdout


def test_an_installed_package_has_no_conf_beside_it(
    project: Project, tmp_path: Path
) -> None:
    installed = tmp_path / "lib/python3/site-packages/penguin_classifier/tracking"
    shutil.copytree(project.path / TRACKING, installed)
    assert edited_files(installed) == []
    project.remove("conf/mlflow.schema.json")
    schema = "../../../conf/mlflow.schema.json"
    assert edited_files(project.path / TRACKING) == [schema]


def test_a_template_that_cannot_be_reached_is_a_sentence(
    template: Template, project: Project
) -> None:
    shutil.rmtree(template.path)
    code, found = drift(project)
    assert code == 0
    assert found["version"] == "v0.1.0"
    assert found["newest"] == ""
    assert found["message"] == (
        "whether a newer version is out is unknown: the template's address does not "
        "answer"
    )


def test_a_silent_template_and_a_missing_answers_file_end_in_sentences(
    template: Template, project: Project
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"git://127.0.0.1:{silent.getsockname()[1]}/t"
        project.replace(".copier-answers.yml", str(template.path), address)
        code, found = drift(project)
    assert code == 0
    assert "does not answer" in found["message"]
    project.remove(".copier-answers.yml")
    code, found = drift(project)
    assert (code, found["version"]) == (0, "")
    assert "names no version" in found["message"]


def test_check_finds_the_secret_that_the_hook_finds(project: Project) -> None:
    project.write("conf/prod/mlflow.yml", "ui: {host: 'https://me:hunter2@host'}\n")
    done = kedro(project, "mlflow", "check", "--env", "prod", "--format", "json")
    assert done.returncode == 1
    (finding,) = json.loads(done.stdout.splitlines()[-1])
    assert finding["message"].startswith(
        "conf/prod/mlflow.yml: ui.host looks like a secret, and git keeps this file"
    )
    assert "hunter2" not in done.stdout + done.stderr
    local = project.path / "conf/local/mlflow.yml"
    shutil.move(project.path / "conf/prod/mlflow.yml", local)
    assert kedro(project, "mlflow", "check").returncode == 0, "git ignores conf/local"
