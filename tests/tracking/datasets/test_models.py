"""Models of a run, of a folder and of the registry."""

import logging
import pickle
from pathlib import Path
from typing import Any

import mlflow
import pytest
from kedro.io import DataCatalog, DatasetError
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeRegressor
from tracking import (
    MlflowModelLocalFileSystemDataset,
    MlflowModelRegistryDataset,
    MlflowModelTrackingDataset,
)

from tests.tracking.conftest import Project
from tests.tracking.datasets import rule

PINNED = {"pip_requirements": ["scikit-learn"]}
SKLEARN = "mlflow.sklearn"


def line(slope: float = 1.0) -> LinearRegression:
    return LinearRegression().fit([[0.0], [1.0]], [0.0, slope])


def slope(model: Any) -> int:
    return round(model.predict([[1.0]])[0])


def logged(name: str, **save_args: Any) -> MlflowModelTrackingDataset:
    return MlflowModelTrackingDataset(
        SKLEARN, save_args={**PINNED, "name": name, **save_args}
    )


def test_models_of_a_run_are_told_apart_by_their_names(run_id: str) -> None:
    for number, name in enumerate(("one", "two")):
        logged(name).save(line(number))
    with mlflow.start_run(nested=True):
        logged("one").save(line(9))
    assert slope(logged("one").load()) == 0
    logged("one").save(line(4))
    assert slope(logged("one").load()) == 4
    assert slope(pickle.loads(pickle.dumps(logged("two"))).load()) == 1
    other = MlflowModelTrackingDataset(SKLEARN, run_id=run_id, artifact_path="one")
    mlflow.end_run()
    assert slope(other.load()) == 4


def test_save_args_reach_the_model(run_id: str) -> None:
    example = [[1.0]]
    logged(
        "full",
        signature=infer_signature(example, [1.0]),
        input_example=example,
        registered_model_name="registered",
        metadata={"team": "birds"},
    ).save(line())
    info = mlflow.models.get_model_info(f"runs:/{run_id}/full")
    assert info.signature and info.saved_input_example_info
    assert info.metadata == {"team": "birds"}
    assert MlflowClient().get_model_version("registered", 1).run_id == run_id


def test_artifact_path_in_save_args_is_the_name(run_id: str) -> None:
    args = {**PINNED, "artifact_path": "older"}
    dataset = MlflowModelTrackingDataset(SKLEARN, save_args=args)
    dataset.save(line())
    assert slope(dataset.load()) == 1
    (model,) = MlflowClient().search_logged_models(
        [mlflow.get_run(run_id).info.experiment_id]
    )
    assert model.name == "older"


def test_model_uri_loads_any_model_and_saves_none(run_id: str) -> None:
    logged("one", registered_model_name="any").save(line(3))
    mlflow.end_run()
    dataset = MlflowModelTrackingDataset(
        SKLEARN, load_args={"model_uri": "models:/any/1"}
    )
    assert slope(dataset.load()) == 3
    with pytest.raises(DatasetError, match="only loads"):
        dataset.save(line())


def test_pyfunc_of_a_python_model(run_id: str) -> None:
    args = {"name": "rule", "pip_requirements": ["mlflow"]}
    dataset = MlflowModelTrackingDataset(
        "mlflow.pyfunc", "python_model", save_args=args
    )
    dataset.save(rule.Rule(2))
    assert dataset.load().predict([1]) == [3]


def test_pyfunc_of_a_loader_module(run_id: str, tmp_path: Path) -> None:
    (tmp_path / "weights.txt").write_text("2")
    args = {"pip_requirements": ["mlflow"], "data_path": str(tmp_path / "weights.txt")}
    workflow = {"flavor": "mlflow.pyfunc", "pyfunc_workflow": "loader_module"}
    tracked = MlflowModelTrackingDataset(**workflow, save_args={**args, "name": "x"})
    local = MlflowModelLocalFileSystemDataset("x", **workflow, save_args=args)
    for dataset in (tracked, local):
        dataset.save("tests.tracking.datasets.rule")
        assert dataset.load().predict([1]) == [3]


def test_unknown_workflow_is_refused() -> None:
    with pytest.raises(DatasetError, match="loader_module; found 'python'"):
        MlflowModelTrackingDataset("mlflow.pyfunc", "python")


@pytest.mark.parametrize("flavor", ["mlflow.xgboost", "mlflow.nothing", "nowhere"])
def test_unavailable_flavour_is_named(run_id: str, flavor: str) -> None:
    catalog = DataCatalog({"m": MlflowModelTrackingDataset(flavor, save_args=PINNED)})
    with pytest.raises(
        DatasetError, match=f"'{flavor}' cannot be used: No module"
    ) as e:
        catalog.save("m", line())
    assert run_id in str(e.value)
    local = MlflowModelLocalFileSystemDataset("m", flavor, save_args=PINNED)
    with pytest.raises(DatasetError, match=f"'{flavor}' cannot be used: No module"):
        local.save(line())


@pytest.mark.parametrize(
    ("model", "key"),
    [
        (
            DecisionTreeRegressor().fit([[0.0], [1.0]], [0.0, 1.0]),
            "skops_trusted_types",
        ),
        (FunctionTransformer(kw_args={"module": pickle}), "serialization_format"),
    ],
)
def test_key_for_what_skops_refuses_is_named(
    run_id: str, tmp_path: Path, model: Any, key: str
) -> None:
    hint = f"In the catalog, {key} is a key of save_args."
    tracked = logged("refused")
    local = MlflowModelLocalFileSystemDataset(
        str(tmp_path / "m"), SKLEARN, save_args=PINNED
    )
    for dataset in (tracked, local):
        with pytest.raises(DatasetError, match=hint):
            dataset.save(model)


def test_missing_model_or_run_is_named(run_id: str) -> None:
    for wanted in (run_id, "0" * 32):
        with pytest.raises(DatasetError, match=f"'x' in the run {wanted}"):
            MlflowModelTrackingDataset(SKLEARN, run_id=wanted, artifact_path="x").load()


def test_outside_of_a_run_it_says_what_to_do(store: str) -> None:
    for use in (logged("m").load, lambda: logged("m").save(line())):
        with pytest.raises(DatasetError, match=r"has no run.*run_id.*'kedro run'"):
            use()
    assert mlflow.active_run() is None


def test_folder_is_replaced_by_a_whole_model_only(store: str) -> None:
    dataset = MlflowModelLocalFileSystemDataset(
        "deep/er/model", SKLEARN, save_args=PINNED
    )
    assert not dataset.exists()
    dataset.save(line(1))
    dataset.save(line(2))
    assert slope(dataset.load()) == 2
    broken = MlflowModelLocalFileSystemDataset(
        "deep/er/model", SKLEARN, save_args={"no_such": 1, **PINNED}
    )
    with pytest.raises(DatasetError, match="no_such"):
        broken.save(line(3))
    assert slope(pickle.loads(pickle.dumps(dataset)).load()) == 2
    assert [path.name for path in Path("deep/er").iterdir()] == ["model"]
    assert MlflowClient().search_runs(["0"]) == []


def test_folder_that_holds_no_model_is_not_deleted(store: str) -> None:
    Path("data").mkdir()
    Path("data/precious.csv").touch()
    dataset = MlflowModelLocalFileSystemDataset("data", SKLEARN, save_args=PINNED)
    with pytest.raises(DatasetError, match="holds no MLflow model"):
        dataset.save(line())
    assert Path("data/precious.csv").exists()


def test_versions_of_a_folder_are_kept(store: str) -> None:
    config = {
        "type": MlflowModelLocalFileSystemDataset,
        "filepath": "model",
        "flavor": SKLEARN,
        "save_args": PINNED,
        "versioned": True,
    }
    for number in range(2):
        catalog = DataCatalog.from_config({"m": config}, save_version=f"v{number}")
        catalog.save("m", line(number))
    assert slope(DataCatalog.from_config({"m": config}).load("m")) == 1
    old = DataCatalog.from_config({"m": config}, load_versions={"m": "v0"})
    assert slope(old.load("m")) == 0


def test_remote_folder_is_refused() -> None:
    with pytest.raises(DatasetError, match="local folder; found one of 's3'"):
        MlflowModelLocalFileSystemDataset("s3://bucket/model", SKLEARN)


def test_registry_gives_the_version_that_is_asked_for(
    run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tracking")
    for number in range(1, 4):
        logged("m", registered_model_name="reg").save(line(number))
    client = MlflowClient()
    client.set_registered_model_alias("reg", "best", "2")
    with pytest.warns(FutureWarning, match="stages"):
        client.transition_model_version_stage("reg", "1", "Production")
    mlflow.end_run()
    expected = [
        ({}, 3),
        ({"stage_or_version": "latest"}, 3),
        ({"stage_or_version": 2}, 2),
        ({"stage_or_version": "1"}, 1),
        ({"stage_or_version": "production"}, 1),
        ({"alias": "best"}, 2),
    ]
    for args, version in expected:
        caplog.clear()
        dataset = MlflowModelRegistryDataset("reg", flavor=SKLEARN, **args)
        assert slope(pickle.loads(pickle.dumps(dataset)).load()) == version
        assert f"is version {version}, from the run {run_id}" in caplog.text
    assert slope(MlflowModelRegistryDataset("reg").load()) == 3


@pytest.mark.parametrize(
    "args", [{"alias": "no"}, {"stage_or_version": 9}, {"stage_or_version": "Staging"}]
)
def test_missing_version_is_named(run_id: str, args: dict[str, Any]) -> None:
    logged("m", registered_model_name="reg").save(line())
    with pytest.raises(DatasetError, match=f"models:/reg.{next(iter(args.values()))}"):
        MlflowModelRegistryDataset("reg", **args).load()
    with pytest.raises(DatasetError, match="models:/none/latest"):
        MlflowModelRegistryDataset("none").load()


def test_registry_only_loads() -> None:
    with pytest.raises(DatasetError, match="registered_model_name"):
        MlflowModelRegistryDataset("reg").save(line())
    with pytest.raises(DatasetError, match="found both, 'a' and '1'"):
        MlflowModelRegistryDataset("reg", 1, "a")


def test_requirements_are_the_projects_own(
    project: Project, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def infer(*_: object, **__: object) -> None:
        raise AssertionError("MLflow infers requirements")

    monkeypatch.setattr("mlflow.models.infer_pip_requirements", infer)
    monkeypatch.setattr("mlflow.sklearn.mlflow.models.infer_pip_requirements", infer)
    project.session({})
    from tracked.tracking import MlflowModelTrackingDataset as OfProject

    for extra in (None, ["skops"], "extra.txt"):
        Path("extra.txt").write_text("skops\n")
        args = {"extra_pip_requirements": extra} if extra else {}
        OfProject(SKLEARN, save_args={"name": "m", **args}).save(line())
        folder = mlflow.artifacts.download_artifacts(f"runs:/{run_id}/m")
        lines = Path(folder, "requirements.txt").read_text().split()
        pinned = {entry.partition("==")[0] for entry in lines if "==" in entry}
        assert pinned == {"kedro", "mlflow", "pydantic"}
        assert ("skops" in lines) == bool(extra)


def test_stage_warns_once_and_names_the_alias(
    run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    logged("one", registered_model_name="staged").save(line(3))
    MlflowClient().transition_model_version_stage("staged", "1", "Production")
    dataset = MlflowModelRegistryDataset("staged", "Production", flavor=SKLEARN)
    with caplog.at_level("WARNING", "tracking"):
        for _ in range(2):
            assert slope(dataset.load()) == 3
    (warning,) = [r.getMessage() for r in caplog.records if "stages" in r.message]
    assert "deprecated stages such as 'Production'" in warning
    assert (
        "write 'alias: production' instead of 'stage_or_version: Production'" in warning
    )
