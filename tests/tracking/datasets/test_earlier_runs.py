"""Datasets with a ``run_id`` load from an earlier run, in a run and without one."""

from pathlib import Path

import mlflow
import pytest
from kedro.io import DatasetError
from kedro.pipeline import Pipeline, node
from kedro.runner import ParallelRunner, SequentialRunner
from tracking import (
    MlflowArtifactDataset,
    MlflowMetricDataset,
    MlflowMetricHistoryDataset,
    MlflowMetricsHistoryDataset,
    MlflowParametersDataset,
)

from tests.tracking.conftest import Project
from tests.tracking.datasets import nodes
from tests.tracking.datasets.conftest import SAVED, artifacts, documented_catalog

NAMES = ["report", "accuracy", "loss", "training", "classifier"]
OLD = [f"old_{name}" for name in NAMES]
EARLIER = Pipeline([node(SAVED[n], "params:a", n, name=n) for n in NAMES])
LATER = Pipeline(
    [node(nodes.compare, [*OLD, "newest"], ["score", "note"], name="compare")]
)


@pytest.fixture
def earlier(project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of an earlier run, from which the catalog then loads."""
    monkeypatch.setenv("KEDRO_MP_CONTEXT", "spawn")
    project.write("conf/base/parameters.yml", {"a": 1})
    documented = documented_catalog("datasets.md")
    catalog = {name: documented[name] for name in NAMES}
    project.write("conf/base/catalog.yml", catalog)
    project.run(EARLIER)
    run_id = project.only_run().info.run_id
    (project.path / "data/08_reporting/report.json").write_text('"of today"')
    old = {f"old_{name}": {**catalog[name], "run_id": run_id} for name in NAMES}
    for name in ("accuracy", "loss"):
        old[f"old_{name}"]["key"] = name
    old["old_classifier"]["artifact_path"] = "classifier"
    old["score"] = {**old["old_accuracy"], "save_to_run": True}
    old["note"] = {**old["old_report"], "artifact_path": "notes", "save_to_run": True}
    old["note"]["dataset"] = {"type": "json.JSONDataset", "filepath": "data/note.json"}
    old["newest"] = {
        "type": "tracked.tracking.MlflowModelRegistryDataset",
        "model_name": "penguins",
        "flavor": "mlflow.sklearn",
    }
    project.write("conf/base/catalog.yml", old)
    return run_id


def test_run_reads_from_an_earlier_one_and_writes_to_it(
    project: Project, earlier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run(LATER)
    old, new = project.runs()
    assert old.data.metrics["accuracy"] == 9.0
    assert new.data.metrics == {}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.store)
    assert artifacts(old.info.run_id) == {"reports/report.json", "notes/note.json"}
    assert artifacts(new.info.run_id) == set()
    report = project.path / "data/08_reporting/report.json"
    assert report.read_text() == '"of today"'


@pytest.mark.parametrize(
    "runner", [pytest.param(SequentialRunner, marks=pytest.mark.slow), ParallelRunner]
)
def test_disabled_pipeline_reads_its_inputs_and_writes_nothing(
    project: Project,
    earlier: str,
    runner: type,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project.mlflow_yml("tracking: {disable_tracking: {pipelines: [__default__]}}")
    before = project.only_run().data.metrics
    project.run(LATER, runner=runner())
    assert project.only_run().data.metrics == before
    assert (project.path / "data/note.json").read_text() == '"compared"'
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.store)
    assert artifacts(earlier) == {"reports/report.json"}


def test_disabled_pipeline_names_the_input_that_is_missing(
    project: Project, earlier: str
) -> None:
    project.mlflow_yml("tracking: {disable_tracking: {pipelines: [__default__]}}")
    catalog = {
        "old": {
            "type": "tracked.tracking.MlflowMetricDataset",
            "run_id": earlier,
            "key": "none",
        }
    }
    project.write("conf/base/catalog.yml", catalog)
    with pytest.raises(DatasetError, match=f"'old': 'none' in the run {earlier}"):
        project.run(Pipeline([node(nodes.accuracy, "old", None, name="one")]))
    assert mlflow.active_run() is None


def test_catalog_outside_of_a_run_knows_names_and_the_server(
    project: Project, earlier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = project.session(LATER).load_context().catalog
    before = mlflow.get_tracking_uri()
    assert catalog.load("old_accuracy") == 0.5
    assert catalog.load("old_report") == {"a": 1}
    assert catalog.load("newest").predict([[2.0]]) == pytest.approx([2.0])
    assert mlflow.get_tracking_uri() == before
    documented = documented_catalog("datasets.md")
    project.write("conf/base/catalog.yml", {"f1_{species}": documented["f1_{species}"]})
    catalog = project.session(LATER).load_context().catalog
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.store)
    with mlflow.start_run() as run:
        catalog.save("f1_adelie", 0.25)
    assert project.client.get_run(run.info.run_id).data.metrics == {"f1_adelie": 0.25}


def test_earlier_run_is_not_written_to_unless_that_is_asked_for(
    run_id: str, tmp_path: Path
) -> None:
    inner = {"type": "json.JSONDataset", "filepath": str(tmp_path / "note.json")}
    for kind, arguments, data in (
        (MlflowMetricDataset, {"key": "m"}, 1.0),
        (MlflowMetricHistoryDataset, {"key": "h"}, [1.0]),
        (MlflowMetricsHistoryDataset, {"prefix": "p"}, {"x": 1.0}),
        (MlflowParametersDataset, {"prefix": "c"}, 1),
        (MlflowArtifactDataset, {"dataset": inner}, 1),
    ):
        with pytest.raises(DatasetError, match=f"{run_id}.*save_to_run: true"):
            kind(**arguments, run_id=run_id).save(data)
        kind(**arguments, run_id=run_id, save_to_run=True).save(data)
    run = mlflow.MlflowClient().get_run(run_id)
    assert run.data.metrics == {"m": 1.0, "h": 1.0, "p.x": 1.0}
    assert artifacts(run_id) == {"note.json"}
