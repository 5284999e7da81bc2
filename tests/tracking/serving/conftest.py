"""Fixtures: a project with a pipeline to serve, run once."""

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from mlflow.entities import LoggedModel, Run

from tests.conftest import Render

HERE = Path(__file__).parent
FILE = "data/01_raw/rows.csv"
ROWS = pd.DataFrame(
    {
        "x": [1.0, 2.0, None, 4.0, 5.0, 6.0],
        "word": list("ababab"),
        "label": [2.0, 4.0, 6.0, 8.0, 10.0, 12.0],
        "unused": range(6),
    }
)
CATALOG = {
    "rows": {"type": "pandas.CSVDataset", "filepath": FILE},
    "numbers": {"type": "json.JSONDataset", "filepath": "data/01_raw/numbers.json"},
    "line": {
        "type": "scored.tracking.MlflowModelTrackingDataset",
        "flavor": "mlflow.sklearn",
        "save_args": {"pip_requirements": ["scikit-learn"]},
    },
    "saved_line": {
        "type": "scored.tracking.MlflowModelLocalFileSystemDataset",
        "filepath": "data/06_models/line",
        "flavor": "mlflow.sklearn",
        "save_args": {"pip_requirements": ["scikit-learn"]},
    },
    "words": {
        "type": "json.JSONDataset",
        "filepath": "data/06_models/words.json",
        "versioned": True,
    },
    "parts": {
        "type": "partitions.PartitionedDataset",
        "path": "data/06_models/parts",
        "filename_suffix": ".json",
        "dataset": {"type": "json.JSONDataset"},
    },
    "limit": {
        "type": "scored.tracking.MlflowArtifactDataset",
        "artifact_path": "limits",
        "dataset": {
            "type": "json.JSONDataset",
            "filepath": "data/06_models/limit.json",
        },
    },
    "scorer": {
        "type": "scored.tracking.MlflowModelTrackingDataset",
        "flavor": "scored.tracking.serving",
        "save_args": {"registered_model_name": "scorer", "tags": {"team": "us"}},
    },
    "pyfunc": {
        "type": "scored.tracking.MlflowModelTrackingDataset",
        "flavor": "mlflow.pyfunc",
    },
}


class Scored:
    """The project, which is imported once in a process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = f"sqlite:///{path.as_posix()}/mlruns/mlflow.db"

    def run(self, *pipelines: str, env: str | None = None, **options: Any) -> Any:
        names = list(pipelines) or None
        with KedroSession.create(self.path, save_on_close=False, env=env) as session:
            return session.run(pipeline_names=names, **options)

    def kedro(self, *words: str) -> Result:
        """Call ``kedro mlflow …`` in this process."""
        commands = importlib.import_module("scored.tracking.commands.cli")
        metadata = bootstrap_project(self.path)
        done = CliRunner().invoke(commands.mlflow_commands, words, obj=metadata)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.store)

    def runs(self) -> list[Run]:
        """All runs, the newest first."""
        ids = [e.experiment_id for e in self.client.search_experiments()]
        return list(self.client.search_runs(ids))

    def models(self, run_id: str | None = None) -> list[LoggedModel]:
        """The models of pipelines, the newest first."""
        ids = [e.experiment_id for e in self.client.search_experiments()]
        found = self.client.search_logged_models(ids, "name = 'scorer'")
        return [m for m in found if run_id in (None, m.source_run_id)]

    def folder(self, model: LoggedModel) -> Path:
        return Path(model.artifact_location.removeprefix("file://"))


@pytest.fixture(scope="package")
def scored(
    render: Render, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scored]:
    """The project, after one run of everything."""
    from tracking.server.local_store import open_local_store

    path = render(project_name="Scored", python_package="scored", sample_pipeline=False)
    shutil.copy(HERE / "scoring.py", path / "src/scored/scoring.py")
    registry = "from .scoring import register_pipelines as register_pipelines\n"
    (path / "src/scored/pipeline_registry.py").write_text(registry)
    (path / "conf/base/catalog.yml").write_text(yaml.safe_dump(CATALOG))
    parameters = {"factor": 1.0, "options": {"plus": 0.0}}
    (path / "conf/base/parameters.yml").write_text(yaml.safe_dump(parameters))
    ROWS.to_csv(path / FILE, index=False)
    (path / "data/01_raw/numbers.json").write_text("[1.0, 2.0, 3.0]")
    store = path / "mlruns"
    store.mkdir()
    shutil.copy(empty_store, store / "mlflow.db")
    open_local_store(f"sqlite:///{store.as_posix()}/mlflow.db", store)
    bootstrap_project(path)
    project = Scored(path)
    project.run()
    yield project
    sys.path[:] = [entry for entry in sys.path if entry != str(path / "src")]
