"""Fixtures: a project to run in this process, on a real store."""

import compileall
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline
from mlflow.entities import Run

from tests.conftest import TEMPLATE, Render
from tests.mlflow_server import MlflowServer

NO_RECORDS = dict.fromkeys(
    ("inputs", "metric_models", "signature", "patch", "lock", "description")
    + ("timeline", "console"),
    False,
)
"""Turns off under ``tracking.record`` what a run records of itself."""

OWN_FILES = {"console.log", "pipeline.svg", "source", "source/packages.txt"}
"""What a run records of itself as artifacts."""


class Project:
    """A rendered project, and what a test does with it."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._monkeypatch = monkeypatch
        self.store = f"sqlite:///{path.as_posix()}/mlruns/mlflow.db"

    def write(self, name: str, content: Mapping[str, Any] | str) -> None:
        text = content if isinstance(content, str) else yaml.safe_dump(dict(content))
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def mlflow_yml(self, text: str) -> None:
        self.write("conf/local/mlflow.yml", text)

    def session(
        self, pipeline: Pipeline | Mapping[str, Pipeline], **options: Any
    ) -> Any:
        named = (
            {"__default__": pipeline}
            if isinstance(pipeline, Pipeline)
            else dict(pipeline)
        )
        bootstrap_project(self.path)
        registry = importlib.import_module("tracked.pipeline_registry")
        self._monkeypatch.setattr(registry, "register_pipelines", lambda: named)
        return KedroSession.create(self.path, save_on_close=False, **options)

    def run(
        self,
        pipeline: Pipeline | Mapping[str, Pipeline],
        env: str | None = None,
        params: dict[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        with self.session(pipeline, env=env, runtime_params=params) as session:
            return session.run(**options)

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.store)

    def runs(self, store: str | None = None) -> list[Run]:
        """All runs of the store, oldest first."""
        client = mlflow.MlflowClient(store or self.store)
        ids = [experiment.experiment_id for experiment in client.search_experiments()]
        return list(client.search_runs(ids, order_by=["attributes.start_time"]))

    def only_run(self) -> Run:
        (run,) = self.runs()
        return run


def run_kedro(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call ``kedro …`` in a project, as a user would."""
    return subprocess.run(
        [Path(sys.executable).parent / "kedro", *words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(TEMPLATE)},  # for the tests' own nodes
        capture_output=True,
        text=True,
        check=False,
    )


def kedro_here(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    """Call ``kedro mlflow …`` in this process, which saves the imports."""
    metadata = bootstrap_project(project.path)
    commands = importlib.import_module("tracked.tracking.commands.cli").mlflow_commands
    done = CliRunner().invoke(commands, words, obj=metadata)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


def kedro(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call ``kedro mlflow …`` in a project, as a user would."""
    return run_kedro(project, "mlflow", *words)


@pytest.fixture(scope="session")
def rendered(render: Render) -> Path:
    """A project whose code is compiled, for all tests that copy it."""
    project = render(
        project_name="Tracked", python_package="tracked", sample_pipeline=False
    )
    compileall.compile_dir(project / "src", quiet=1)
    return project


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh local store, made once, since making it takes seconds."""
    from tracking.server.local_store import create_local_store

    folder = tmp_path_factory.mktemp("store")
    create_local_store(f"sqlite:///{folder.as_posix()}/mlflow.db", folder)
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path
) -> Iterator[str]:
    """The address of an MLflow server that proxies artifacts."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_store, folder / "mlflow.db")
    there = MlflowServer(folder)
    yield there.uri
    there.close()


@pytest.fixture
def project(
    rendered: Path,
    empty_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Project]:
    from tracking.server.local_store import open_local_store

    path = tmp_path / "project"
    shutil.copytree(rendered, path)
    store = path / "mlruns"
    store.mkdir()
    shutil.copy(empty_store, store / "mlflow.db")
    open_local_store(f"sqlite:///{store.as_posix()}/mlflow.db", store)
    yield Project(path, monkeypatch)
    while mlflow.active_run():
        mlflow.end_run()
    sys.path[:] = [entry for entry in sys.path if entry != str(path / "src")]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Variables for a process that has polars, deltalake and pyspark as well."""
    folder = tmp_path_factory.mktemp("libraries")
    uv = [sys.executable, "-m", "uv", "pip"]
    pins = Path(folder, "constraints.txt")
    freeze = [*uv, "freeze", "--python", sys.executable]
    pins.write_text(subprocess.check_output(freeze, text=True))
    where = ["--quiet", "--link-mode", "symlink", "--target", folder]
    libraries = ["polars", "deltalake", "pyspark"]
    subprocess.run(
        [*uv, "install", *where, "--constraints", pins, *libraries], check=True
    )
    return {**os.environ, "PYTHONPATH": str(folder), "PYSPARK_PYTHON": sys.executable}
