"""What docs/organisation.md shows works."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from copier.errors import UnsafeTemplateError

from tests.conftest import TEMPLATE, Render
from tests.loopback import free_port
from tests.releases import Project, Template

DOCS = TEMPLATE / "docs" / "organisation"


def test_settings_are_what_copier_proposes(
    template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = yaml.safe_load((DOCS / "settings.yml").read_text("utf-8"))
    questions = yaml.safe_load((TEMPLATE / "copier.yml").read_text("utf-8"))
    assert set(settings) == {"defaults", "trust"}
    assert set(settings["defaults"]) <= set(questions)
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(DOCS / "settings.yml"))
    answers = Project.copy(template, tmp_path / "p").load(".copier-answers.yml")
    asked = {n for n in settings["defaults"] if questions[n].get("when") is not False}
    assert asked, "a fork may answer some of them itself"
    assert {n: answers[n] for n in asked} == {n: settings["defaults"][n] for n in asked}


def test_trust_of_the_settings_is_for_one_form_of_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = Template(tmp_path / "mlops" / "template")
    template.release("v0.1.0")
    project = Project.copy(template, tmp_path / "p")
    migration = {"_migrations": [{"version": "v0.2.0", "command": ["git", "status"]}]}
    template.write("copier.yml", template.read("copier.yml") + yaml.dump(migration))
    template.release("v0.2.0")
    settings = (DOCS / "settings.yml").read_text("utf-8")
    ours = settings.replace("https://git.example.com/mlops/", f"{tmp_path}/mlops/")
    (tmp_path / "settings.yml").write_text(ours)
    with pytest.raises(UnsafeTemplateError):
        project.update()
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(tmp_path / "settings.yml"))
    project.update()


def answer_for_everybody(template: Template) -> None:
    """Make a fork, as the page says."""
    page = (TEMPLATE / "docs/organisation.md").read_text("utf-8")
    name, hidden, default = page.split("```yaml\n")[1].split("```")[0].splitlines()
    if hidden in template.read("copier.yml").split(f"\n{name}\n")[1].split("\n\n")[0]:
        return  # this is one
    question = re.search(rf"^{name}\n(?:  .*\n|\n)+", template.read("copier.yml"), re.M)
    assert question
    answered = re.sub(
        r"^  default:.*\n", f"{hidden}\n{default}\n", question[0], flags=re.M
    )
    template.replace("copier.yml", question[0], answered)
    template.generate()


@pytest.mark.slow
def test_tests_pass_in_a_fork(tmp_path: Path) -> None:
    """Those that depend on the questions and their answers."""
    template = Template(tmp_path / "template")
    answer_for_everybody(template)
    template.commit()
    words = [sys.executable, "-m", "pytest", "-q", "-n", "2", "tests/render"]
    words.append("tests/hooks/test_organisation.py")
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    done = subprocess.run(
        words, cwd=template.path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "before", [{"prod": None}, pytest.param("prod", marks=pytest.mark.slow)]
)
def test_an_answer_of_the_organisation_reaches_every_project(
    tmp_path: Path, before: Any
) -> None:
    """Also one that has kept an answer of its own, as text or as a mapping."""
    template = Template(tmp_path / "template")
    template.release("v0.0.1")
    asked = "when" not in yaml.safe_load(template.read("copier.yml"))["environments"]
    kept = {"environments": before} if asked else {}  # a fork lets nobody answer
    project = Project.copy(template, tmp_path / "p", **kept)
    answer_for_everybody(template)
    template.release("v0.1.0")
    project.update()
    project.commit()
    prod = "conf/prod/mlflow.yml"
    assert project.load(prod)["server"] == {
        "mlflow_tracking_uri": "https://mlflow.example.com"
    }
    template.replace(
        "copier.yml", "com, prod: https://mlflow.", "com, prod: https://tracking."
    )
    template.release("v0.2.0")
    project.update()
    assert project.load(prod)["server"] == {
        "mlflow_tracking_uri": "https://tracking.example.com"
    }


def test_the_server_tells_which_projects_are_behind(tmp_path: Path) -> None:
    """On more than one page of experiments, with nested runs and a shared experiment."""
    uri = f"sqlite:///{tmp_path.as_posix()}/mlflow.db"
    client = mlflow.MlflowClient(uri)
    tags: dict[str, dict[str, str]] = {
        "behind": {"template.version": "v0.2.0"},
        "ahead": {"template.version": "v0.4.0rc1"},
        "edited": {"template.version": "v0.3.0", "template.edited": "run.py"},
        "good": {"template.version": "v0.3.0"},
        "other": {},
    }
    for number in range(50):
        client.create_experiment(f"empty-{number}")
    ids = {name: client.create_experiment(name) for name in tags}
    for name, values in tags.items():
        client.create_run(ids[name], tags=values, start_time=1)
    client.create_run(ids["good"], tags={"mlflow.parentRunId": "x"}, start_time=2)
    shared = client.create_experiment("shared")
    for time, (project, version) in enumerate(
        [("a", "v0.1.0"), ("a", "v0.3.0"), ("b", "v0.1.0"), ("a", "v0.3.0")],
        start=1,
    ):
        values = {"template.project": project, "template.version": version}
        client.create_run(shared, tags=values, start_time=time)
    done = subprocess.run(
        [sys.executable, DOCS / "behind.py", uri, "v0.3.0"],
        capture_output=True,
        text=True,
        check=True,
    )
    bare = [sys.executable, "-I", "-S", DOCS / "behind.py", uri, "v0.3.0"]
    without = subprocess.run(bare, capture_output=True, text=True, check=False)
    assert without.returncode == 1
    assert without.stderr == (
        "No module named 'mlflow'. 'uv run behind.py' installs MLflow's client for this "
        "script.\n"
    )
    assert sorted(done.stdout.splitlines()) == [
        "ahead: v0.4.0rc1, ahead, edited: nothing",
        "b: v0.1.0, behind, edited: nothing",
        "behind: v0.2.0, behind, edited: nothing",
        "edited: v0.3.0, current, edited: run.py",
        "other: no version, unknown, edited: nothing",
    ]


def test_a_server_that_is_down_is_a_sentence_without_the_login() -> None:
    uri = f"http://me:hunter2@127.0.0.1:{free_port()}"
    done = subprocess.run(
        [sys.executable, DOCS / "behind.py", uri, "v0.3.0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("127.0.0.1 gives no experiments (")
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_renovate_json_says_what_renovate_knows(render: Render) -> None:
    """Keys from docs.renovatebot.com: configuration options and the copier manager."""
    config: dict[str, Any] = json.loads(
        (render(renovate=True) / "renovate.json").read_text("utf-8")
    )
    assert set(config) == {"$schema", "extends", "pre-commit", "packageRules"}
    assert config["extends"] == [
        "config:recommended",
        "helpers:pinGitHubActionDigests",
    ]
    assert config["pre-commit"]["enabled"] is False
    (rule,) = config["packageRules"]
    assert set(rule) <= {
        "automerge",
        "commitMessageTopic",
        "description",
        "labels",
        "matchManagers",
    }
    assert rule["matchManagers"] == ["copier"]
    assert not (render() / "renovate.json").exists()
