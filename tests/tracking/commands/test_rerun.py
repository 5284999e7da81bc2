"""A run can be compared with another, and run again."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click import ClickException
from kedro.framework.startup import bootstrap_project
from tracking.commands.check import check
from tracking.commands.diff import diff
from tracking.commands.rerun import plan
from tracking.commands.rerun import rerun as run_again

from tests.tracking.conftest import Project, kedro, kedro_here

REGISTRY = """

from kedro.pipeline import Pipeline, node

FACTOR = 1.0

def total(text, factor):
    return FACTOR * factor * len(text)

def register_pipelines():
    return {"__default__": Pipeline([
        node(total, ["text", "params:factor"], "total", name="total"),
    ])}
"""
CATALOG = {
    "text": {"type": "text.TextDataset", "filepath": "data/text.txt"},
    "total": {"type": "tracked.tracking.MlflowMetricDataset"},
}


def git(project: Project, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    return subprocess.run(
        ["git", *identity, *words],
        cwd=project.path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.fixture
def recorded(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A repository whose data git ignores, with a run."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    project.write("src/tracked/pipeline_registry.py", REGISTRY)
    project.write("conf/base/catalog.yml", CATALOG)
    project.write("conf/base/parameters.yml", {"factor": 1})
    project.write("data/text.txt", "abc")
    git(project, "init", "-q")
    git(project, "add", "--all")
    git(project, "commit", "-qm", "first")
    assert "data/text.txt" not in git(project, "ls-files")
    bootstrap_project(project.path)
    return project


def run(project: Project, registry: str = REGISTRY, **params: Any) -> str:
    """Run the project in this process, which saves its start."""
    names: dict[str, Any] = {}
    exec(registry, names)
    project.run(names["register_pipelines"](), params=params)
    return str(project.runs()[-1].info.run_id)


def rerun(project: Project, run_id: str, *words: str) -> tuple[int, Any]:
    done = kedro(project.path, "rerun", run_id, "--format", "json", *words)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_dirty_run_with_runtime_parameters_is_run_again_as_it_was(
    recorded: Project,
) -> None:
    registry = recorded.path / "src/tracked/pipeline_registry.py"
    doubled = REGISTRY.replace("FACTOR = 1.0", "FACTOR = 2.0")
    registry.write_text(doubled)
    first = run(recorded, doubled, factor=5)
    registry.write_text(REGISTRY.replace("FACTOR = 1.0", "FACTOR = 7.0"))
    before = git(recorded, "status", "--porcelain")

    code, said = rerun(recorded, first)

    assert (code, said["obstacles"], said["differences"]) == (0, [], [])
    _, again = recorded.runs()
    assert again.data.metrics == {"total": 30.0}
    assert again.data.tags["kedro.rerun_of"] == first
    assert again.data.params == {"factor": "5"}
    rows = {(row["kind"], row["name"]): row for row in said["rows"]}
    assert rows["input", "text"]["equal"]
    assert rows["source", "patch"]["equal"]
    assert rows["source", "commit"]["equal"]
    assert git(recorded, "status", "--porcelain") == before
    assert len(git(recorded, "worktree", "list").splitlines()) == 1

    # The data change: that is said before, and again when the runs are compared.
    recorded.write("data/text.txt", "abcdef")
    dry = kedro_here(recorded, "rerun", first, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "Not as it was: the input 'text' has changed: data/text.txt." in dry.stdout
    assert len(recorded.runs()) == 2
    code, said = rerun(recorded, first)
    assert code == 1
    assert not said["reproduced"]
    rows = {(row["kind"], row["name"]): row for row in said["rows"]}
    assert (rows["metric", "total"]["one"], rows["metric", "total"]["other"]) == (
        "30",
        "60",
    )
    assert not rows["input", "text"]["equal"]

    third = recorded.runs()[-1].info.run_id
    done = kedro_here(recorded, "diff", first[:8], third)
    assert done.returncode == 0, done.stderr
    assert "total" in done.stdout
    assert "1 param" in done.stdout


@pytest.mark.slow
def test_clean_run_is_the_same_again_and_so_are_versions_of_data(
    recorded: Project,
) -> None:
    versioned = {**CATALOG["text"], "versioned": True}
    recorded.write("conf/base/catalog.yml", {**CATALOG, "text": versioned})
    git(recorded, "commit", "-qam", "versions")
    (recorded.path / "data/text.txt").unlink()
    recorded.write("data/text.txt/2026-01-01T00.00.00.000Z/text.txt", "abc")
    first = run(recorded)
    assert recorded.only_run().data.tags["git.dirty"] == "false"
    recorded.write("data/text.txt/2026-02-02T00.00.00.000Z/text.txt", "abcdef")

    code, said = rerun(recorded, first)

    assert (code, said["obstacles"], said["differences"]) == (0, [], [])
    assert said["command"].endswith("--load-versions text:2026-01-01T00.00.00.000Z")
    assert said["reproduced"]
    _, again = recorded.runs()
    assert again.data.metrics == {"total": 3.0}
    assert again.info.status == "FINISHED"


def test_hidden_secret_in_a_patch_is_a_line_and_no_difference(
    recorded: Project,
) -> None:
    recorded.write(
        "conf/base/parameters.yml",
        "api_token: 0123456789abcdef\nfactor: 1\n",
    )
    git(recorded, "commit", "-qam", "a secret, which should not be there")
    recorded.write(
        "conf/base/parameters.yml",
        "api_token: 0123456789abcdef\nfactor: 2\npassword: hunter2xyz\n",
    )
    first = run(recorded)

    planned = plan(recorded.path, "local", first)
    assert planned.obstacles == []
    assert planned.differences == ["a secret in its patch reads ***"]
    code, found = run_again(recorded.path, "local", planned)

    assert (code, found.is_reproduced) == (0, True)
    _, again = recorded.runs()
    assert again.data.metrics == {"total": 6.0}
    (patch,) = [row for row in found.rows if row.name == "patch"]
    assert patch.one
    assert patch.is_equal


REPORTS_VERSION = REGISTRY.replace(
    "return FACTOR",
    "import tabulate; assert tabulate.__version__ == '0.9.0'\n    return FACTOR",
)


@pytest.mark.slow  # makes an environment
def test_other_lock_than_the_projects_is_restored_by_uv(
    recorded: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def uv(*words: str) -> None:
        command = [sys.executable, "-m", "uv", "--quiet", *words]
        subprocess.run(command, cwd=recorded.path, check=True)

    uv("add", "--no-sync", "kedro-datasets", "tabulate==0.9.0")
    recorded.write("src/tracked/pipeline_registry.py", REPORTS_VERSION)
    git(recorded, "add", "--all")
    git(recorded, "commit", "-qm", "with a lock")
    first = run(recorded)  # in the environment of the tests
    uv("add", "--no-sync", "tabulate==0.10.0")
    here = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")

    planned = plan(recorded.path, "local", first)
    assert planned.with_uv
    assert planned.run.lock[0] == "uv.lock"
    code, found = run_again(recorded.path, "local", planned)

    assert (code, found.is_reproduced) == (0, True)
    packages = [row for row in found.rows if row.name == "packages"]
    assert all(row.is_equal for row in packages)
    assert (
        'name = "tabulate"\nversion = "0.10.0"'
        in (recorded.path / "uv.lock").read_text()
    )
    assert not (recorded.path / ".venv").exists()


@pytest.mark.slow
def test_failed_run_fails_again_with_its_own_code(recorded: Project) -> None:
    with pytest.raises(TypeError):
        run(recorded, factor="oops")
    code, said = rerun(recorded, recorded.only_run().info.run_id)
    assert code == 1
    rows = {(row["kind"], row["name"]): row for row in said["rows"]}
    assert (rows["source", "status"]["one"], rows["source", "status"]["other"]) == (
        "FAILED",
        "FAILED",
    )


OBSTACLES = [
    ({"git.commit": "0" * 40}, "does not have its commit 000000000000"),
    ({"git.dirty": "true"}, "there is no patch"),
    ({"kedro_command": "kedro run --params db.password=***"}, "is hidden"),
    ({"kedro_command": ""}, "not started by 'kedro run'"),
    ({"git.commit": ""}, "no commit"),
]


def test_what_cannot_be_had_again_is_an_obstacle(recorded: Project) -> None:
    commit = git(recorded, "rev-parse", "HEAD").strip()
    known = {"kedro_command": "kedro run", "git.commit": commit, "git.dirty": "false"}
    for tags, obstacle in OBSTACLES:
        found = recorded.client.create_run("0", tags={**known, **tags})
        planned = plan(recorded.path, "local", found.info.run_id)
        assert len(planned.obstacles) == 1
        assert obstacle in planned.obstacles[0]
    with pytest.raises(ClickException, match=f"has no run {'0' * 32}"):
        diff(recorded.path, "local", "0" * 32, "1" * 32)


def test_run_is_known_by_the_beginning_of_its_id_or_its_name(
    recorded: Project,
) -> None:
    experiment = recorded.client.create_experiment("tracked")
    one, other, _ = (
        recorded.client.create_run(experiment, run_name=name).info.run_id
        for name in ("mine", "yours", "yours")
    )
    found = diff(recorded.path, "local", one[:8], "mine")
    assert (found.one, found.other) == ((one, "mine"), (one, "mine"))
    for which, why in {
        "yours": f"is 2 runs: .*{other[:8]}.*Give one",
        "hers": "has no run 'hers'.*'kedro mlflow runs' lists",
        "f" * 12: f"has no run '{'f' * 12}'",
        "local-" + "0" * 32: "does not have .* yet; 'kedro mlflow sync' sends it",
    }.items():
        with pytest.raises(ClickException, match=why):
            diff(recorded.path, "local", one, which)


def test_check_names_what_a_rerun_would_be_without(recorded: Project) -> None:
    assert check(recorded.path, "local").missing == ()
    (recorded.path / "new.py").write_text("")
    (recorded.path / "README.md").write_text("changed")
    recorded.mlflow_yml("tracking: {record: {patch: false, lock: false}}")
    untracked, changes, packages = check(recorded.path, "local").missing
    assert "new.py" in untracked
    assert "record.patch is false" in changes
    assert "record.lock is false" in packages
