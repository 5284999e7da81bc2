"""Attributes that code written for kedro-mlflow sets before it loads."""

from pathlib import Path

import mlflow
import pytest
from kedro.io import DatasetError
from sklearn.linear_model import LinearRegression
from tracking import (
    MlflowArtifactDataset,
    MlflowMetricDataset,
    MlflowMetricHistoryDataset,
    MlflowMetricsHistoryDataset,
    MlflowModelLocalFileSystemDataset,
    MlflowModelRegistryDataset,
    MlflowModelTrackingDataset,
)

SKLEARN = "mlflow.sklearn"
PINNED = {"pip_requirements": ["scikit-learn"]}


@pytest.fixture
def earlier(store: str) -> str:
    """The id of a run that has ended."""
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 0.5)
        mlflow.log_metric("m", 0.25, step=1)
        mlflow.log_dict({"a": 1}, "reports/note.json")
    return run.info.run_id


def line(slope: int) -> LinearRegression:
    return LinearRegression().fit([[0.0], [1.0]], [0.0, slope])


def test_run_id_and_key_of_metrics(earlier: str) -> None:
    metric = MlflowMetricDataset()
    history, histories = MlflowMetricHistoryDataset(), MlflowMetricsHistoryDataset()
    for dataset in (metric, history, histories):
        assert dataset.run_id is None
        dataset.run_id = earlier
        assert dataset.run_id == earlier
    metric.key = history.key = "m"
    assert metric.load() == 0.25
    assert history.load() == [0.5, 0.25]
    assert set(histories.load()) == {"m"}


def test_run_id_is_the_active_run_s_where_none_was_given(run_id: str) -> None:
    assert MlflowMetricDataset("m").run_id == run_id
    assert MlflowMetricDataset("m", run_id="other").run_id == "other"


def test_mode_of_a_metric(run_id: str) -> None:
    dataset = MlflowMetricDataset("m")
    dataset.save(1)
    assert dataset.mode == "overwrite"
    dataset.mode = "append"
    dataset.save(2)
    history = mlflow.MlflowClient().get_metric_history(run_id, "m")
    assert [point.step for point in history] == [0, 1]
    with pytest.raises(DatasetError, match="found 'add'"):
        dataset.mode = "add"


def test_run_id_and_artifact_path_of_an_artifact(earlier: str, tmp_path: Path) -> None:
    note = {"type": "json.JSONDataset", "filepath": str(tmp_path / "note.json")}
    dataset = MlflowArtifactDataset(note)
    dataset.run_id, dataset.artifact_path = earlier, "reports"
    assert dataset.load() == {"a": 1}
    assert dataset.exists()


def test_model_info_of_a_model_and_its_run_id(run_id: str) -> None:
    dataset = MlflowModelTrackingDataset(SKLEARN, save_args={"name": "m", **PINNED})
    assert dataset.model_info is None
    dataset.save(line(2))
    assert dataset.model_info.model_uri.startswith("models:/m-")
    mlflow.end_run()
    other = MlflowModelTrackingDataset(SKLEARN, save_args={"name": "m"})
    other.run_id = run_id
    assert round(other.load().coef_[0]) == 2
    assert other.is_stored


def test_names_of_a_registered_model(run_id: str) -> None:
    client = mlflow.MlflowClient()
    for slope in (1, 2, 3):
        mlflow.sklearn.log_model(
            line(slope), name="m", registered_model_name="m", **PINNED
        )
    client.set_registered_model_alias("m", "best", "2")
    dataset = MlflowModelRegistryDataset("none", flavor=SKLEARN)
    assert dataset.stage_or_version == "latest"
    dataset.model_name = "m"

    def loaded() -> int:
        return round(dataset.load().coef_[0])

    assert loaded() == 3
    dataset.alias = "best"
    assert (loaded(), dataset.stage_or_version) == (2, None)
    dataset.stage_or_version = 1
    assert (loaded(), dataset.alias) == (1, None)
    assert dataset.model_uri == "models:/m/1"
    dataset.model_uri = "models:/m@best"
    assert loaded() == 2
    dataset.alias = None
    assert dataset.model_uri == "models:/m/1"


def test_every_type_keeps_its_metadata(tmp_path: Path) -> None:
    note = {"type": "json.JSONDataset", "filepath": str(tmp_path / "note.json")}
    for dataset in (
        MlflowArtifactDataset(note, metadata={"a": 1}),
        MlflowMetricDataset(metadata={"a": 1}),
        MlflowMetricHistoryDataset(metadata={"a": 1}),
        MlflowMetricsHistoryDataset(metadata={"a": 1}),
        MlflowModelTrackingDataset(SKLEARN, metadata={"a": 1}),
        MlflowModelLocalFileSystemDataset("m", SKLEARN, metadata={"a": 1}),
        MlflowModelRegistryDataset("m", metadata={"a": 1}),
    ):
        assert dataset.metadata == {"a": 1}
        dataset.metadata = None
        assert dataset.metadata is None
