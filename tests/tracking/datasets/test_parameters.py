"""Values that a node chooses are parameters of the run."""

import mlflow
import pytest
from click import ClickException
from kedro.io import DatasetError
from tracking import MlflowParametersDataset


def params(run_id: str) -> dict[str, str]:
    return dict(mlflow.MlflowClient().get_run(run_id).data.params)


def test_mapping_and_single_value_load_as_they_were_saved(run_id: str) -> None:
    best = MlflowParametersDataset("best")
    best.save({"C": 0.5, "kernel": "rbf", "deep": {"layers": [3, 4]}})
    depth = MlflowParametersDataset("depth")
    depth.save(3)
    assert params(run_id)["best.C"] == "0.5"
    assert best.load() == {"C": 0.5, "kernel": "rbf", "deep": {"layers": [3, 4]}}
    assert depth.load() == 3
    assert depth.exists()
    assert not MlflowParametersDataset("nothing").exists()


def test_secret_is_hidden_and_long_value_is_a_sentence(run_id: str) -> None:
    MlflowParametersDataset("db").save({"password": "hunter2", "host": "h"})
    assert params(run_id) == {"db.password": "***", "db.host": "h"}
    with pytest.raises((ClickException, DatasetError), match="7000 characters"):
        MlflowParametersDataset("long").save("x" * 7000)


def test_missing_parameter_is_named(run_id: str) -> None:
    with pytest.raises(DatasetError, match="'best'.*no such parameter"):
        MlflowParametersDataset("best").load()
