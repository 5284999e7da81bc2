"""Fixtures: a server, the catalog of the docs, and a run for datasets alone."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from kedro.pipeline import Pipeline, node

from tests.conftest import TEMPLATE
from tests.tracking.conftest import OWN_FILES
from tests.tracking.datasets import nodes

DOCS = TEMPLATE / "docs"
SAVED = {
    "report": nodes.report,
    "tables": nodes.tables,
    "accuracy": nodes.accuracy,
    "f1_adelie": nodes.accuracy,
    "loss": nodes.loss,
    "training": nodes.training,
    "best": nodes.best,
    "classifier": nodes.model,
    "rule": nodes.rule,
    "candidate": nodes.model,
}
ALL_TYPES = Pipeline(
    [node(function, "params:a", name, name=name) for name, function in SAVED.items()]
    + [node(nodes.check, [*SAVED, "champion"], "verdict", name="check")]
)


def documented_catalog(document: str, prefix: str = "<package>.tracking.") -> Any:
    """The catalog of a page of the docs, for the project that tests use."""
    blocks = re.findall(
        r"```yaml\n(.*?)```", (DOCS / document).read_text("utf-8"), re.S
    )
    return yaml.safe_load("".join(blocks).replace("<package>", "tracked"))


@pytest.fixture
def store(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A SQLite store in use outside of Kedro, with an experiment in the test's folder."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path.as_posix()}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    experiment = mlflow.create_experiment("datasets", (tmp_path / "artifacts").as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    yield uri
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture
def run_id(store: str) -> Iterator[str]:
    """The id of the active run."""
    with mlflow.start_run() as run:
        yield run.info.run_id


def artifacts(run_id: str, path: str | None = None) -> set[str]:
    """Paths of all files among a run's artifacts that its nodes have logged."""
    found = set()
    for artifact in mlflow.MlflowClient().list_artifacts(run_id, path):
        found |= (
            artifacts(run_id, artifact.path) if artifact.is_dir else {artifact.path}
        )
    return found - OWN_FILES
