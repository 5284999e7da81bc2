"""A project that is moved, renamed or copied takes its artifacts with it."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from tracking.server import local_store
from tracking.server.local_store import open_local_store

from tests.tracking.conftest import Project, run_kedro

REPORT = {
    "type": "tracked.tracking.MlflowArtifactDataset",
    "dataset": {"type": "json.JSONDataset", "filepath": "data/report.json"},
}
REGISTRY = """
import mlflow
from kedro.pipeline import Pipeline, node
def model():
    mlflow.pyfunc.log_model(name="m", python_model=lambda model_input: model_input,
        registered_model_name="m", input_example=None, pip_requirements=[])
    return {"a": 1}
def register_pipelines():
    return {"__default__": Pipeline([node(model, None, "report", name="one")])}
"""


@pytest.fixture
def used(project: Project) -> Project:
    """A project with a run that has an artifact and a model."""
    project.write("conf/base/catalog.yml", {"report": REPORT})
    project.write("src/tracked/pipeline_registry.py", REGISTRY)
    run(project.path)
    return project


def run(path: Path) -> None:
    done = run_kedro(path, "run")
    assert done.returncode == 0, done.stdout + done.stderr


def everywhere(path: Path) -> list[tuple[Any, ...]]:
    """All values of a store that name a folder."""
    with closing(sqlite3.connect(path / "mlruns/mlflow.db")) as opened:
        tables = [
            row[0]
            for row in opened.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            )
        ]
        return [
            (table, value)
            for table in tables
            for row in opened.execute(f"SELECT * FROM {table}")
            for value in row
            if isinstance(value, str) and str(path.parent) in value
        ]


def test_artifacts_follow_a_project_that_is_renamed(used: Project) -> None:
    # With Python 3.14, MLflow 3.17 loads no model from a path with a '#'.
    name = "a b #2" if sys.version_info < (3, 14) else "a b"
    old, new = used.path, used.path.with_name(name)
    old.rename(new)
    run(new)
    assert not old.exists()
    store = f"sqlite:///{new.as_posix()}/mlruns/mlflow.db"
    first, second = used.runs(store)
    for tracked in (first, second):
        assert tracked.info.artifact_uri.startswith(f"{new.as_uri()}/mlruns/")
        assert mlflow.MlflowClient(store).list_artifacts(tracked.info.run_id)
        uri = f"runs:/{tracked.info.run_id}/report.json"
        file = mlflow.artifacts.download_artifacts(uri, tracking_uri=store)
        assert json.loads(Path(file).read_text()) == {"a": 1}
    mlflow.set_tracking_uri(store)
    try:
        for version in ("1", "2"):
            assert mlflow.pyfunc.load_model(f"models:/m/{version}")
    finally:
        mlflow.set_tracking_uri(None)
    here = new.as_uri(), str(new)
    assert [
        pair for pair in everywhere(new) if not any(h in pair[1] for h in here)
    ] == []


@pytest.mark.slow
def test_project_in_a_folder_that_mlflow_cannot_name_is_a_sentence(
    used: Project,
) -> None:
    """Its records would go to the sibling ``a b``."""
    new = used.path.with_name("a%20b")
    used.path.rename(new)
    done = run_kedro(new, "run")
    assert done.returncode == 1
    assert "the '%20' in its path as something else" in " ".join(done.stderr.split())
    assert not used.path.with_name("a b").exists()


@pytest.mark.slow
def test_copy_of_a_project_has_artifacts_of_its_own(used: Project) -> None:
    copy = used.path.with_name("copy")
    shutil.copytree(used.path, copy)
    run(copy)
    assert len(used.runs()) == 1
    assert used.only_run().info.artifact_uri.startswith(used.path.as_uri())
    first, second = used.runs(f"sqlite:///{copy.as_posix()}/mlruns/mlflow.db")
    assert first.info.artifact_uri.startswith(copy.as_uri())
    assert second.info.artifact_uri.startswith(copy.as_uri())


@pytest.mark.slow
def test_commands_find_the_artifacts_of_a_moved_project_too(used: Project) -> None:
    new = used.path.with_name("project2")
    used.path.rename(new)
    assert run_kedro(new, "mlflow", "runs").returncode == 0
    (moved,) = used.runs(f"sqlite:///{new.as_posix()}/mlruns/mlflow.db")
    assert moved.info.artifact_uri.startswith(new.as_uri())


@pytest.mark.slow
def test_untracked_run_loads_an_artifact_of_a_moved_project(
    used: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = {**REPORT, "run_id": used.only_run().info.run_id}
    used.write("conf/base/catalog.yml", {"earlier": earlier})
    registry = REGISTRY.replace("model, None", "print, 'earlier'").replace(
        '"report"', "None"
    )
    used.write("src/tracked/pipeline_registry.py", registry)
    new = used.path.with_name("project2")
    used.path.rename(new)
    monkeypatch.setenv("KEDRO_MLFLOW_DISABLED", "true")
    done = run_kedro(new, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "{'a': 1}" in done.stdout


@pytest.mark.slow
def test_artifacts_elsewhere_in_the_project_follow_and_others_stay(
    used: Project, tmp_path: Path
) -> None:
    client = used.client
    inside = client.create_experiment("in", (used.path / "data/artifacts").as_uri())
    outside = client.create_experiment("out", (tmp_path / "shared").as_uri())
    cloud = client.create_experiment("cloud", "s3://bucket/artifacts")
    new = tmp_path / "deeper" / "project"
    new.parent.mkdir()
    used.path.rename(new)
    run(new)
    client = mlflow.MlflowClient(f"sqlite:///{new.as_posix()}/mlruns/mlflow.db")
    locations = {
        inside: (new / "data/artifacts").as_uri(),
        outside: (tmp_path / "shared").as_uri(),
        cloud: "s3://bucket/artifacts",
    }
    for experiment, location in locations.items():
        assert client.get_experiment(experiment).artifact_location == location


@pytest.mark.slow
def test_artifacts_that_were_left_behind_are_still_found(
    used: Project, tmp_path: Path
) -> None:
    """An older template wrote into the old place after a move."""
    new = tmp_path / "project2"
    new.mkdir()
    (new / "pyproject.toml").touch()
    (new / "mlruns").mkdir()
    (used.path / "mlruns/mlflow.db").rename(new / "mlruns/mlflow.db")
    store = f"sqlite:///{new.as_posix()}/mlruns/mlflow.db"
    open_local_store(store, new / "mlruns")
    (left,) = used.runs(store)
    assert left.info.artifact_uri.startswith(used.path.as_uri())
    experiment = mlflow.MlflowClient(store).get_experiment(left.info.experiment_id)
    assert experiment.artifact_location.startswith(new.as_uri())


@pytest.mark.slow
def test_store_outside_of_the_project_stays_as_it_is(
    used: Project, tmp_path: Path
) -> None:
    shared = tmp_path / "shared.db"
    (used.path / "mlruns/mlflow.db").rename(shared)
    before = shared.read_bytes()
    open_local_store(f"sqlite:///{shared.as_posix()}", tmp_path / "other/mlruns")
    assert shared.read_bytes() == before


OPEN = """
import sys
from pathlib import Path
from tracking.server.local_store import open_local_store
sys.stdin.readline()
open_local_store(sys.argv[1], Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_processes_at_once_move_a_store_once(used: Project) -> None:
    new = used.path.with_name("project2")
    used.path.rename(new)
    store = f"sqlite:///{new.as_posix()}/mlruns/mlflow.db"
    words = [sys.executable, "-c", OPEN, store, str(new / "mlruns")]
    several = [
        subprocess.Popen(
            words,
            env={"PYTHONPATH": ":".join(sys.path)},
            stdin=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in several:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    for process in several:
        process.communicate()
        assert process.returncode == 0
    (moved,) = used.runs(store)
    assert moved.info.artifact_uri.startswith(f"{new.as_uri()}/mlruns/")


def test_store_that_has_not_moved_costs_one_query(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: list[str] = []

    class Counted(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            queries.append(sql)
            return super().execute(sql, *parameters)

    connect = sqlite3.connect
    monkeypatch.setattr(
        local_store.sqlite3,
        "connect",
        lambda *a, **k: connect(*a, **{**k, "factory": Counted}),
    )
    open_local_store(project.store, project.path / "mlruns")
    assert len(queries) == 1
