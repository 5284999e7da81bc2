"""All types in one session: each store, each runner."""

import os

import mlflow
import pytest
from click import ClickException
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner
from mlflow import MlflowClient
from mlflow.store.tracking import GET_METRIC_HISTORY_MAX_RESULTS
from sklearn.linear_model import LinearRegression
from tracking import MlflowMetricHistoryDataset

from tests.tracking.conftest import Project
from tests.tracking.datasets import nodes
from tests.tracking.datasets.conftest import ALL_TYPES, artifacts, documented_catalog

RUNNERS = [SequentialRunner, ThreadRunner, ParallelRunner]


@pytest.fixture
def uri(
    request: pytest.FixtureRequest, project: Project, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A store whose registry has the model ``champion``, logged outside of Kedro."""
    if request.param == "sqlite":
        uri = project.store
    else:
        uri = request.getfixturevalue("server")
        project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{uri}'}}")
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("MLFLOW_TRACKING_URI", uri)
        register_champion(uri, project)
    return uri


def register_champion(uri: str, project: Project) -> str:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("champions")
    experiment_id = (
        experiment.experiment_id
        if experiment
        else client.create_experiment(
            "champions",
            (project.path / "mlruns/champions").as_uri()
            if uri == project.store
            else None,
        )
    )
    with mlflow.start_run(experiment_id=experiment_id) as run:
        info = mlflow.sklearn.log_model(
            LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]),
            name="champion",
            registered_model_name="penguins",
            pip_requirements=["scikit-learn"],
        )
    client.set_registered_model_alias(
        "penguins", "champion", str(info.registered_model_version)
    )
    return run.info.run_id


@pytest.fixture(autouse=True)
def catalog(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEDRO_MP_CONTEXT", "spawn")
    project.write("conf/base/parameters.yml", {"a": 1})
    verdict = {"type": "json.JSONDataset", "filepath": "data/verdict.json"}
    project.write(
        "conf/base/catalog.yml",
        {**documented_catalog("datasets.md"), "verdict": verdict},
    )


@pytest.mark.parametrize(
    ("uri", "runner"),
    [
        *(("sqlite", runner) for runner in RUNNERS),
        ("server", SequentialRunner),
        pytest.param("server", ThreadRunner, marks=pytest.mark.slow),
        pytest.param("server", ParallelRunner, marks=pytest.mark.slow),
    ],
    indirect=["uri"],
)
def test_run_holds_what_all_types_save(
    project: Project,
    uri: str,
    runner: type,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"{runner.__name__} of {project.path.parent.name}"
    project.write("conf/base/mlflow.yml", {"tracking": {"experiment": {"name": name}}})
    project.run(ALL_TYPES, runner=runner())
    assert "all is well" in (project.path / "data/verdict.json").read_text()

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {
        "accuracy": 0.5,
        "f1_adelie": 0.5,
        "loss": 1.0,
        "train.loss": 0.25,
        "train.accuracy": 0.5,
    }
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(p.step, p.value) for p in history] == [(10, 0.5), (0, 0.75), (20, 1.0)]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert artifacts(run.info.run_id) == {
        "reports/report.json",
        "tables/one.json",
        "tables/deep/two.json",
    }
    models = client.search_logged_models([experiment.experiment_id])
    assert {model.name for model in models} == {"classifier", "rule"}
    assert {model.source_run_id for model in models} == {run.info.run_id}
    assert list((project.path / "data/06_models/candidate").glob("*/candidate/MLmodel"))


@pytest.mark.parametrize(
    "runner",
    [
        SequentialRunner,
        ThreadRunner,
        pytest.param(ParallelRunner, marks=pytest.mark.slow),
    ],
)
def test_disabled_pipeline_writes_nothing_to_mlflow(
    project: Project, runner: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("MLFLOW_TRACKING_URI", project.store)
        source = register_champion(project.store, project)
    before = written(project)
    project.mlflow_yml("tracking: {disable_tracking: {pipelines: [__default__]}}")
    project.run(ALL_TYPES, runner=runner())
    assert "all is well" in (project.path / "data/verdict.json").read_text()
    assert written(project) == before
    assert [run.info.run_id for run in project.runs()] == [source]
    assert (project.path / "data/08_reporting/report.json").exists()
    assert (project.path / "data/08_reporting/tables/deep/two.json").exists()
    assert list((project.path / "data/06_models/candidate").glob("*/candidate/MLmodel"))
    assert "MLFLOW_TRACKING_URI" not in os.environ


def written(project: Project) -> list[object]:
    """Everything in the store except the parameters and tags of runs."""
    client = project.client
    experiments = [e.experiment_id for e in client.search_experiments()]
    return [
        sorted(experiments),
        [run.data.metrics for run in project.runs()],
        [model.model_id for model in client.search_logged_models(experiments)],
        [(v.name, v.version) for v in client.search_model_versions()],
        sorted(p for p in (project.path / "mlruns").rglob("*") if p.is_file()),
    ]


def test_asynchronous_saves_and_loads_are_of_the_run(project: Project) -> None:
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setenv("MLFLOW_TRACKING_URI", project.store)
        register_champion(project.store, project)
    project.run(ALL_TYPES, runner=SequentialRunner(is_async=True))
    assert len(project.runs()[-1].data.metrics) == 5
    assert "all is well" in (project.path / "data/verdict.json").read_text()


@pytest.mark.parametrize("disabled", [False, True])
def test_cached_dataset_is_of_the_run_too(project: Project, disabled: bool) -> None:
    if disabled:
        project.mlflow_yml("tracking: {disable_tracking: {pipelines: [__default__]}}")
    metric = {"type": "tracked.tracking.MlflowMetricDataset"}
    cached = {"type": "CachedDataset", "dataset": metric}
    project.write("conf/base/catalog.yml", {"cached_{name}": cached})
    project.run(
        Pipeline(
            [
                node(nodes.accuracy, "params:a", "cached_one", name="one"),
                node(nodes.accuracy, "cached_one", "two", name="two"),
            ]
        )
    )
    metrics = [run.data.metrics for run in project.runs()]
    assert metrics == ([] if disabled else [{"cached_one": 0.5}])


def test_history_of_more_than_a_page_comes_back_whole(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    data = [float(number % 7) for number in range(GET_METRIC_HISTORY_MAX_RESULTS + 1)]
    with mlflow.start_run():
        dataset = MlflowMetricHistoryDataset("long")
        dataset.save(data)
        assert dataset.load() == data


@pytest.mark.parametrize("disabled", [False, True])
@pytest.mark.parametrize("name", ["small", "small_of_a_pattern"])
def test_validator_of_an_entry_is_kept(
    project: Project, disabled: bool, name: str
) -> None:
    validation = pytest.importorskip("kedro.validation", reason="Kedro 1.6")
    if disabled:
        project.mlflow_yml("tracking: {disable_tracking: {pipelines: [__default__]}}")
    entry = {
        "type": "tracked.tracking.MlflowMetricDataset",
        "validator": {"class": "tests.tracking.datasets.nodes.refuse_small"},
    }
    project.write("conf/base/catalog.yml", {"small": entry, "small_{name}": entry})
    with pytest.raises(validation.DataValidationError, match="0.5 is small"):
        project.run(Pipeline([node(nodes.accuracy, "params:a", name, name="one")]))
    if not disabled:
        failed = project.only_run().data.tags["kedro.validation.failed"]
        assert "0.5 is small" in failed


def test_hooks_that_are_called_outside_of_a_session_are_a_sentence(
    project: Project,
) -> None:
    """As kedro-dagster calls them, in an op."""
    bootstrap_project(project.path)
    from tracked.tracking import MlflowHook

    with pytest.raises(ClickException, match="call 'kedro run --nodes' with a run key"):
        MlflowHook().after_catalog_created(DataCatalog(), "a version")
