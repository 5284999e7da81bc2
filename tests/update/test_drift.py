"""A project says how far it is from its template."""

import json
import re
import shutil
import socket
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tracking.template.drift import edited_files

from tests.releases import Project, Template, git

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
        "hazards": [],
        "mismatch": "",
        "message": "that is the newest version",
    }
    template.release("v0.2.0")
    template.release("v0.10.0")
    code, found = drift(project)
    assert code == 0, "to be behind is no error"
    assert found["newest"] == "v0.10.0"
    assert found["message"] == "v0.10.0 is out; 'copier update' brings it"


def rename_package(project: Project) -> None:
    """Rename it as a developer does, everywhere but in copier's answers."""
    git(project.path, "mv", "src/penguin_classifier", "src/seals")
    for name in ("pyproject.toml", "src/seals/settings.py", "src/seals/__main__.py"):
        text = project.read(name)
        project.write(name, text.replace("penguin_classifier", "seals"))
    project.commit()


def release_a_fix(template: Template) -> None:
    errors = "template/src/{{ python_package }}/tracking/errors.py"
    template.replace(errors, "from", "# Fixed.\nfrom")
    text = template.read(
        "template/src/{{ python_package }}/tracking/template/files.sha256"
    )
    digest = sha256((template.path / errors).read_bytes()).hexdigest()
    text = re.sub(r"^\w+(?=  errors\.py$)", digest, text, flags=re.M)
    template.write(
        "template/src/{{ python_package }}/tracking/template/files.sha256", text
    )
    template.release("v0.2.0")


def test_a_renamed_package_is_found_and_the_way_out_works(
    template: Template, project: Project
) -> None:
    rename_package(project)
    code, found = drift(project)
    assert code == 1
    assert found["mismatch"] == found["message"]
    assert found["mismatch"] == (
        "the package is src/seals, and .copier-answers.yml calls it penguin_classifier, "
        "so an update would not reach it. Write 'python_package: seals' there and commit "
        "it before the next update"
    )
    release_a_fix(template)
    project.update()
    assert not project.unmerged
    assert "# Fixed." not in project.read("src/seals/tracking/errors.py")
    project.commit()
    answers = ".copier-answers.yml"
    project.replace(
        answers, "python_package: penguin_classifier", "python_package: seals"
    )
    code, found = drift(project)
    assert code == 1
    assert found["mismatch"] == (
        "src/seals/tracking is v0.1.0, and .copier-answers.yml says v0.2.0, so what lies "
        "between them is missing. Write '_commit: v0.1.0' there, commit it and update"
    )
    project.replace(answers, "_commit: v0.2.0", "_commit: v0.1.0")
    shutil.rmtree(project.path / "src/penguin_classifier", ignore_errors=True)
    project.commit()
    project.update()
    assert not project.unmerged
    assert "# Fixed." in project.read("src/seals/tracking/errors.py")
    code, found = drift(project)
    assert (code, found["mismatch"], found["edited"]) == (0, "", [])


def test_an_edited_version_is_found(template: Template, project: Project) -> None:
    release_a_fix(template)
    project.replace(".copier-answers.yml", "_commit: v0.1.0", "_commit: v0.2.0")
    project.commit()
    done = kedro(project, "mlflow", "check", "--template")
    assert done.returncode == 1
    assert f"template: v0.2.0; {TRACKING} is v0.1.0, and .copier" in done.stdout


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
