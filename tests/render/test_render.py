"""What comes out of ``copier copy``."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_copie.plugin import Copie

from tests.conftest import TEMPLATE, Render

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ANSWERS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "basic": {"tracking_login": "basic"},
    "token": {"tracking_login": "token"},
    "oauth2": {"tracking_login": "oauth2"},
    "custom": {"tracking_login": "custom", "orchestrator": "ray"},
    "bare": {"sample_pipeline": False, "ci": "none", "environments": {}},
    "gitlab": {
        "ci": "gitlab",
        "telemetry": True,
        "orchestrator": "dask",
        "code_owners": "@group/platform",
        "audit": True,
        "backstage_owner": "group:default/vision",
    },
    "odd names": {
        "project_name": 'Élodie\'s "Été" & <Co> 100%',
        "description": 'It\'s a "test": # çà & là {really}',
        "environments": {"dev-1": "https://mlflow.example.com:8080/a?b=c#d"},
        "code_owners": "@org/platform me@example.com",
        "audit": True,
        "backstage_owner": "vision",
    },
}


@pytest.fixture(scope="module", params=ANSWERS)
def project(request: pytest.FixtureRequest, render: Render) -> Path:
    return render(**ANSWERS[request.param])


def _files(project: Path, *suffixes: str) -> list[Path]:
    return [p for p in project.rglob("*") if p.is_file() and p.suffix in suffixes]


def test_yaml_toml_and_json_parse(project: Path) -> None:
    for path in _files(project, ".yml", ".yaml"):
        yaml.safe_load(path.read_text("utf-8"))
    pyproject = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    assert pyproject["tool"]["kedro"]["project_name"]
    assert json.loads((project / "conf/mlflow.schema.json").read_text("utf-8"))


def test_no_jinja_is_left_over(project: Path) -> None:
    for path in project.rglob("*"):
        assert not re.search(r"[{}%]|\.jinja", path.name), path
        if path.is_file() and path.suffix not in (".csv", ".png"):
            text = path.read_text("utf-8")
            text = re.sub(r"\$\{\{.*?\}\}", "", text)  # of GitHub's workflows
            assert not re.search(r"\{\{|\{%|\{#", text), path


def test_ruff_finds_and_formats_nothing(project: Path) -> None:
    for command in (["check"], ["format", "--check", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
        done = subprocess.run(
            ruff, cwd=project, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_http_errors_hold_no_secret(project: Path) -> None:
    answers = (project / ".copier-answers.yml").read_text("utf-8").lower()
    assert not re.search(r"password|secret|_token", answers)


def test_template_paths_are_legal_on_windows() -> None:
    for path in TEMPLATE.joinpath("template").rglob("*"):
        assert not re.search(r'["|<>*?:\\]', path.name), path


def test_login_writes_what_it_needs(render: Render) -> None:
    expected = {
        "basic": {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"},
        "token": {"MLFLOW_TRACKING_TOKEN"},
        "oauth2": {"OAUTH2_CLIENT_ID", "OAUTH2_CLIENT_SECRET"},
        "custom": {"MLFLOW_GATEWAY_TOKEN"},
    }
    for login, variables in expected.items():
        conf = render(tracking_login=login) / "conf"
        credentials = yaml.safe_load((conf / "local/credentials.yml").read_text())
        server = yaml.safe_load((conf / "base/mlflow.yml").read_text())["server"]
        assert set(credentials[server["credentials"]]) == variables
        provider = server["request_header_provider"]["type"]
        assert bool(provider) == (login in ("oauth2", "custom"))


def test_orchestrator_adds_a_file_and_a_dependency(render: Render) -> None:
    def contents(engine: str) -> tuple[set[str], set[str]]:
        project = render(orchestrator=engine, sample_pipeline=False)
        files = {
            p.relative_to(project).as_posix() for p in _files(project, ".py", ".j2")
        }
        lines = (project / "pyproject.toml").read_text("utf-8").splitlines()
        return files, {line.split("#")[0].strip(' ,"') for line in lines}

    files, needs = contents("none")
    package = "src/penguin_classifier"
    for engine, file, need in (
        ("airflow", "airflow_dag.j2", "kedro-airflow>=0.10"),
        ("dask", f"{package}/runner.py", "distributed>=2024.11"),
        ("ray", f"{package}/runner.py", "ray>=2.40"),
    ):
        added, needed = contents(engine)
        assert (added - files, files - added) == ({file}, set())
        assert (needed - needs, needs - needed) == ({need}, set())


def test_environment_gets_its_address(render: Render) -> None:
    project = render(environments={"prod": "https://mlflow.example.com", "qa": None})
    addresses = {
        name: yaml.safe_load((project / f"conf/{name}/mlflow.yml").read_text())
        for name in ("prod", "qa")
    }
    assert addresses == {
        "prod": {"server": {"mlflow_tracking_uri": "https://mlflow.example.com"}},
        "qa": None,  # nothing there hides what base says
    }


def test_without_the_sample_nothing_of_it_is_there(render: Render) -> None:
    project = render(sample_pipeline=False)
    names = [path.name for path in project.rglob("*")]
    assert not [n for n in names if "penguins" in n or "inference" in n]
    assert "scikit-learn" not in (project / "pyproject.toml").read_text()


def test_telemetry_is_off_for_the_whole_team(default_project: Path) -> None:
    assert (default_project / ".telemetry").read_text().strip() == "consent: false"
    settings = (default_project / "src/penguin_classifier/settings.py").read_text()
    assert "MLFLOW_DISABLE_TELEMETRY" in settings
    ignored = (default_project / ".gitignore").read_text().splitlines()
    assert ".telemetry" not in ignored


def test_pytest_copie_renders_too(copie: Copie) -> None:
    result = copie.copy(extra_answers={"project_name": "By copie"})
    assert result.exit_code == 0, result.exception
    assert (result.project_dir / "src/by_copie/tracking/hook.py").is_file()


def test_nothing_asks_for_trust() -> None:
    config = yaml.safe_load((TEMPLATE / "copier.yml").read_text())
    assert not {"_tasks", "_jinja_extensions", "_migrations"} & set(config)
    assert config["_envops"]["undefined"] == "jinja2.StrictUndefined"
    assert ".git" in config["_exclude"]
