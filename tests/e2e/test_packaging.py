"""A project runs without the command kedro: by its script, its module, its wheel."""

import tarfile
from pathlib import Path

import pytest
from mlflow.entities import Run

from tests.conftest import Render
from tests.e2e.newcomer import PACKAGE, runs, succeed

pytestmark = pytest.mark.slow  # run by 'make test-slow'


REGISTRY = """\
from kedro.pipeline import Pipeline, node


def register_pipelines():
    return {"__default__": Pipeline([node(float, "params:a", "score", name="a")])}
"""

SECRETS = [
    "conf/base/credentials.yml",
    "conf/base/team/credentials_s3.json",
    "conf/local/credentials.yml",
    "conf/local/mlflow.yaml",
    "conf/prod/credentials.yml",
    "conf/prod/credentials/mlflow.yml",
    "conf/staging/aws-credentials.yaml",
]
"""Files that stay on the machine, by the names that Kedro and .gitignore know."""

RENAMED = "conf/prod/secrets.yml"
"""A file of credentials by a name that only settings.py of the project knows."""


@pytest.fixture(scope="module")
def project(render: Render) -> Path:
    """A project that needs no data, installed into an environment of its own."""
    project = render(sample_pipeline=False, mlflow_install="skinny")
    (project / f"src/{PACKAGE}/pipeline_registry.py").write_text(REGISTRY)
    (project / "conf/base/parameters.yml").write_text("a: 3\n")
    score = f"score: {{type: {PACKAGE}.tracking.MlflowMetricDataset}}\n"
    (project / "conf/base/catalog.yml").write_text(score)
    settings = project / f"src/{PACKAGE}/settings.py"
    pattern = '"config_patterns": {"credentials": ["credentials*", "**/secrets*"],'
    settings.write_text(settings.read_text().replace('"config_patterns": {', pattern))
    for name in (*SECRETS, RENAMED):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("{}\n")
    succeed(project, "uv", "venv")
    succeed(project, "uv", "pip", "install", "-e", ".")
    return project


@pytest.fixture(scope="module")
def dist(project: Path) -> Path:
    """What kedro package makes of the project, from a folder inside it."""
    succeed(project, "../.venv/bin/kedro", "package", cwd="data")
    return project / "dist"


def assert_tracked(run: Run) -> None:
    assert run.info.status == "FINISHED"
    assert run.data.params == {"a": "3"}
    assert run.data.metrics == {"score": 3.0}


@pytest.mark.parametrize(
    "words",
    [["penguin-classifier"], ["python", "-m", PACKAGE]],
    ids=["script", "module"],
)
def test_entry_point_of_a_project_tracks_its_run(
    project: Path, words: list[str]
) -> None:
    before = len(runs(project)) if (project / "mlruns").exists() else 0
    succeed(project, f".venv/bin/{words[0]}", *words[1:])
    after = runs(project)
    assert len(after) == before + 1
    assert_tracked(after[0])


def test_wheel_and_archive_track_a_run_in_an_empty_folder(
    dist: Path, tmp_path: Path
) -> None:
    (wheel,) = dist.glob("*.whl")
    succeed(tmp_path, "uv", "venv", "environment")
    succeed(tmp_path, "uv", "pip", "install", "--python", "environment", str(wheel))
    empty = tmp_path / "empty"
    empty.mkdir()
    conf = dist / f"conf-{PACKAGE}.tar.gz"
    script = tmp_path / "environment/bin/penguin-classifier"
    words = [str(script), "--conf-source", str(conf)]
    said = succeed(empty, "env", "--unset", "DO_NOT_TRACK", *words)
    assert "usage data" not in said, "Kedro looks for .telemetry in the folder"
    (run,) = runs(empty)
    assert_tracked(run)
    assert "template.edited" not in run.data.tags


def test_archive_holds_no_credentials(project: Path, dist: Path) -> None:
    with tarfile.open(dist / f"conf-{PACKAGE}.tar.gz") as archive:
        packed = {entry.name for entry in archive if entry.isfile()}
    there = {p.relative_to(project).as_posix() for p in project.glob("conf/**/*.*")}
    files = {name for name in there if (project / name).is_file()}
    assert packed == files - {*SECRETS, RENAMED, "conf/local/.gitkeep"}


def test_git_ignores_credentials(project: Path) -> None:
    succeed(project, "git", "init", "--quiet")
    ignored = succeed(project, "git", "check-ignore", *SECRETS).split()
    assert ignored == SECRETS
