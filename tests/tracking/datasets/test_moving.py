"""A catalog of kedro-mlflow works when the prefix of its types is replaced."""

import importlib
import inspect
import re

import mlflow
import pytest
import yaml
from kedro.pipeline import Pipeline, node

from tests.tracking.conftest import Project
from tests.tracking.datasets import nodes
from tests.tracking.datasets.conftest import DOCS, artifacts

# What their constructors take in kedro-mlflow 2.0.3, in order.
METRIC = ["key", "run_id", "load_args", "save_args", "metadata"]
MODEL = ["flavor", "pyfunc_workflow", "load_args", "save_args"]
ARGUMENTS = {
    "artifacts.MlflowArtifactDataset": [
        "dataset",
        "run_id",
        "artifact_path",
        "credentials",
        "metadata",
    ],
    "metrics.MlflowMetricDataset": METRIC,
    "metrics.MlflowMetricHistoryDataset": METRIC,
    "metrics.MlflowMetricsHistoryDataset": ["run_id", "prefix", "metadata"],
    "models.MlflowModelTrackingDataset": [*MODEL, "metadata"],
    "models.MlflowModelLocalFileSystemDataset": [
        "filepath",
        *MODEL,
        "log_args",
        "version",
        "metadata",
    ],
    "models.MlflowModelRegistryDataset": [
        "model_name",
        "stage_or_version",
        "alias",
        "flavor",
        "pyfunc_workflow",
        "load_args",
        "metadata",
    ],
}

CATALOG = """
note:
  type: kedro_mlflow.io.artifacts.MlflowArtifactDataset
  artifact_path: notes
  credentials: storage
  metadata: {owner: me}
  dataset:
    type: json.JSONDataset
    filepath: data/08_reporting/note.json

score:
  type: kedro_mlflow.io.metrics.MlflowMetricDataset
  key: my_score
  save_args: {mode: append, step: 3}
  load_args: {step: 3}

curve:
  type: kedro_mlflow.io.metrics.MlflowMetricHistoryDataset
  save_args: {mode: dict}
  load_args: {mode: list}

curves:
  type: kedro_mlflow.io.metrics.MlflowMetricsHistoryDataset
  prefix: all

fitted:
  type: kedro_mlflow.io.models.MlflowModelTrackingDataset
  flavor: mlflow.sklearn
  load_args: {}
  save_args: {name: fitted, registered_model_name: fitted}

kept:
  type: kedro_mlflow.io.models.MlflowModelLocalFileSystemDataset
  filepath: data/06_models/kept
  flavor: mlflow.pyfunc
  pyfunc_workflow: python_model
  log_args: {}

newest:
  type: kedro_mlflow.io.models.MlflowModelRegistryDataset
  model_name: fitted
  stage_or_version: latest
  flavor: mlflow.pyfunc
  pyfunc_workflow: python_model
"""


@pytest.mark.parametrize("name", ARGUMENTS)
def test_constructor_takes_the_arguments_in_order(name: str) -> None:
    module, _, kind = name.partition(".")
    ours = getattr(importlib.import_module(f"tracking.datasets.{module}"), kind)
    parameters = list(inspect.signature(ours).parameters)
    assert parameters[: len(ARGUMENTS[name])] == ARGUMENTS[name]


def test_page_shows_all_seven_types() -> None:
    text = (DOCS / "moving-from-kedro-mlflow.md").read_text("utf-8")
    rows = re.findall(r"\| `kedro_mlflow\.io\.(\S+)` \| `(\S+)` \|", text)
    assert rows == [(name, f"<package>.tracking.datasets.{name}") for name in ARGUMENTS]


def test_catalog_works_after_its_prefix_is_replaced(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {
        entry["type"].partition(".io.")[2] for entry in yaml.safe_load(CATALOG).values()
    } == set(ARGUMENTS)
    ours = CATALOG.replace("kedro_mlflow.io.", "tracked.tracking.datasets.")
    project.write("conf/base/catalog.yml", ours)
    project.write("conf/local/credentials.yml", {"storage": {"token": "hidden"}})
    project.write("conf/base/parameters.yml", {"a": 1})
    saving = Pipeline(
        [
            node(nodes.report, "params:a", "note", name="note"),
            node(nodes.accuracy, "params:a", "score", name="score"),
            node(nodes.loss, "params:a", "curve", name="curve"),
            node(nodes.training, "params:a", "curves", name="curves"),
            node(nodes.model, "params:a", "fitted", name="fitted"),
            node(nodes.rule, "params:a", "kept", name="kept"),
        ]
    )
    project.run(saving)
    loading = Pipeline(
        [
            node(
                lambda model: list(model.predict([[2.0]])),
                "newest",
                "said",
                name="newest",
            )
        ]
    )
    assert project.run(loading)["said"].load() == pytest.approx([2.0])
    run = project.runs()[0]
    assert run.data.metrics == {
        "my_score": 0.5,
        "curve": 1.0,
        "all.loss": 0.25,
        "all.accuracy": 0.5,
    }
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.store)
    assert artifacts(run.info.run_id) == {"notes/note.json"}
    assert (
        mlflow.MlflowClient().get_model_version("fitted", 1).run_id == run.info.run_id
    )
    assert (project.path / "data/06_models/kept/MLmodel").exists()
