"""One Kedro run is one MLflow run."""

import json
import multiprocessing
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver as fork_server
from pathlib import Path

import kedro.framework.session
import mlflow
import pytest
from click import ClickException
from kedro.pipeline import Pipeline, node
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner
from mlflow.utils.autologging_utils import get_autologging_config
from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

from tests.tracking import nodes
from tests.tracking.conftest import Project, run_kedro

ONE = Pipeline([node(nodes.one, "params:a", "done", name="one")])
FAILING = Pipeline([node(nodes.fail, "params:a", None, name="fail")])


@pytest.fixture(autouse=True)
def parameters(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1, "b": 2.5, "unused": 3})


def test_run_is_finished_with_its_parameters_and_tags(project: Project) -> None:
    project.run(ONE)
    run = project.only_run()
    assert run.info.status == "FINISHED"
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d+", run.info.run_name)
    assert run.data.params == {"a": "1"}
    assert run.data.tags["kedro_command"] == "kedro run"
    assert run.data.tags["kedro.env"] == "local"
    assert "template.version" in run.data.tags
    experiment = project.client.get_experiment(run.info.experiment_id)
    assert experiment.name == "tracked"


def test_parameter_that_is_too_long_is_a_tag_and_a_file_of_the_run(
    project: Project,
) -> None:
    text = "x" * (MAX_TAG_VAL_LENGTH + 1)
    project.write("conf/base/parameters.yml", {"a": text})
    project.mlflow_yml("tracking: {params: {long_params_strategy: tag}}")
    project.run(ONE)
    run = project.only_run()
    assert (run.data.params, run.data.tags["a"]) == ({}, text[:-1])
    logged = project.client.download_artifacts(run.info.run_id, "params/a.txt")
    assert Path(logged).read_text("utf-8") == text


def test_failing_node_fails_the_run_with_its_own_exception(project: Project) -> None:
    with pytest.raises(ZeroDivisionError, match="the node's own words"):
        project.run(FAILING)
    assert project.only_run().info.status == "FAILED"
    assert mlflow.active_run() is None


@pytest.mark.parametrize("kind", [SequentialRunner, ThreadRunner])
@pytest.mark.parametrize("is_async", [False, True])
def test_fluent_metric_of_a_node_lands_in_the_run(
    project: Project, kind: type, is_async: bool
) -> None:
    pipeline = Pipeline(
        [
            node(nodes.log_in_node, "params:a", "x", name="x"),
            node(nodes.log_in_node, "params:b", "y", name="y"),
        ]
    )
    project.run(pipeline, runner=kind(is_async=is_async))
    run = project.only_run()
    assert run.data.metrics == {"fluent_1": 1.0, "fluent_2.5": 2.5}
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize(
    ("method", "is_async"),
    [
        ("fork", False),
        ("fork", True),
        pytest.param("spawn", True, marks=pytest.mark.slow),
        ("forkserver", False),
    ],
)
def test_worker_processes_log_to_the_one_run(
    project: Project, monkeypatch: pytest.MonkeyPatch, method: str, is_async: bool
) -> None:
    monkeypatch.setenv("KEDRO_MP_CONTEXT", method)
    project.write(
        "conf/base/catalog.yml",
        {"m_{n}": {"type": "tracked.tracking.MlflowMetricDataset"}},
    )
    pipeline = Pipeline(
        [
            node(nodes.log_in_node, "params:a", "m_x", name="x"),
            node(nodes.log_in_node, "params:b", "m_y", name="y"),
        ]
    )
    runner = ParallelRunner(max_workers=2, is_async=is_async)
    project.run(pipeline, runner=runner)
    run = project.only_run()
    assert run.data.metrics == {
        "fluent_1": 1.0,
        "fluent_2.5": 2.5,
        "m_x": 1.0,
        "m_y": 2.5,
    }
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize(
    "method", ["fork", "spawn", pytest.param("forkserver", marks=pytest.mark.slow)]
)
def test_worker_processes_are_attached_where_kedro_calls_no_hook(
    project: Project, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """MLflow itself would reopen the run in the worker, and end it with the worker."""
    monkeypatch.setenv("KEDRO_MP_CONTEXT", method)
    project.write(
        "conf/base/catalog.yml",
        {"ids": {"type": "json.JSONDataset", "filepath": "data/ids.json"}},
    )
    pipeline = Pipeline([node(nodes.look_at_the_run, None, "ids", name="look")])
    project.run(pipeline, runner=ParallelRunner(max_workers=1))
    run_id = project.only_run().info.run_id
    assert json.loads((project.path / "data/ids.json").read_text()) == [run_id, run_id]


def test_runs_one_after_another_are_runs_of_their_own(project: Project) -> None:
    project.run(ONE)
    with pytest.raises(ZeroDivisionError):
        project.run(FAILING)
    project.run(ONE)
    assert [r.info.status for r in project.runs()] == ["FINISHED", "FAILED", "FINISHED"]


def test_service_session_gives_each_of_its_runs_a_run(project: Project) -> None:
    session_kind = getattr(kedro.framework.session, "KedroServiceSession", None)
    if session_kind is None:
        pytest.skip("this Kedro has no service session")
    project.session(ONE)  # registers the pipeline
    with session_kind.create(project_path=project.path) as session:
        session.run(runtime_params={"a": 1})
        session.run(runtime_params={"a": 2})
    assert [r.data.params["a"] for r in project.runs()] == ["1", "2"]
    assert {r.info.status for r in project.runs()} == {"FINISHED"}


def test_environment_is_as_it_was_after_a_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = dict(os.environ)
    project.run(ONE)
    changed = {k for k in {*before, *os.environ} if before.get(k) != os.environ.get(k)}
    assert changed <= {"PYTHONPATH"}  # Kedro's own doing


def test_sub_runs_of_nodes_are_children_in_the_same_experiment(
    project: Project,
) -> None:
    project.run(
        Pipeline(
            [
                node(nodes.open_sub_run, "params:a", "x", name="x"),
                node(nodes.forget_sub_run, "x", "y", name="y"),
            ]
        )
    )
    parent, *children = project.runs()
    assert {child.info.run_name for child in children} == {"child", "forgotten"}
    for child in children:
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.info.experiment_id == parent.info.experiment_id
        assert child.info.status == "FINISHED"


def test_active_run_is_used_and_left_open(project: Project) -> None:
    project.mlflow_yml("tracking: {experiment: {name: ignored}, run: {name: ignored}}")
    mlflow.set_tracking_uri(project.store)
    try:
        with mlflow.start_run(run_name="orchestrated") as mine:
            project.run(ONE)
            assert mlflow.active_run().info.run_id == mine.info.run_id
            assert project.only_run().info.status == "RUNNING"
    finally:
        mlflow.set_tracking_uri(None)
    run = project.only_run()
    assert (run.info.run_name, run.info.status) == ("orchestrated", "FINISHED")
    assert run.data.params == {"a": "1"}
    assert "mlflow.note.content" not in run.data.tags
    assert not project.client.get_experiment_by_name("ignored")


def test_run_of_an_orchestrator_is_used_and_left_open(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = project.client.create_run("0", run_name="airflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.store)
    monkeypatch.setenv("MLFLOW_RUN_ID", mine.info.run_id)
    project.run(ONE)
    run = project.only_run()
    assert (run.info.run_name, run.info.status) == ("airflow", "RUNNING")
    assert run.data.params == {"a": "1"}
    assert os.environ["MLFLOW_RUN_ID"] == mine.info.run_id
    assert mlflow.active_run() is None


def test_run_id_continues_a_run_as_it_is(project: Project) -> None:
    project.run(ONE)
    run_id = project.only_run().info.run_id
    project.client.set_tag(run_id, "mlflow.note.content", "what I have written")
    first = project.only_run()
    project.mlflow_yml(
        f"tracking: {{run: {{id: {run_id}, name: other}},"
        " experiment: {name: elsewhere}}"
    )
    project.run(ONE)
    again = project.only_run()
    assert again.info.run_name == first.info.run_name
    assert again.info.experiment_id == first.info.experiment_id
    assert again.data.tags == first.data.tags
    assert not project.client.get_experiment_by_name("elsewhere")
    assert again.info.status == "FINISHED"


@pytest.mark.parametrize("run_id", ["0" * 32, "not an id"])
def test_run_id_that_is_not_there_is_named(project: Project, run_id: str) -> None:
    project.mlflow_yml(f"tracking: {{run: {{id: '{run_id}'}}}}")
    with pytest.raises(ClickException, match=f"tracking.run.id is '{run_id}'"):
        project.run(ONE)
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_continued_run_keeps_its_parameters(project: Project) -> None:
    project.run(ONE)
    run_id = project.only_run().info.run_id
    project.mlflow_yml(f"tracking: {{run: {{id: {run_id}}}}}")
    with pytest.raises(ClickException, match="'a' already, as '1'.*become '2'"):
        project.run(ONE, params={"a": 2})
    assert project.only_run().data.params == {"a": "1"}
    assert project.only_run().info.status == "FINISHED"


def test_disabled_pipeline_leaves_no_trace_and_still_works(project: Project) -> None:
    project.mlflow_yml("tracking: {disable_tracking: {pipelines: [__default__]}}")
    project.write(
        "conf/base/catalog.yml",
        {
            "number": {"type": "tracked.tracking.MlflowMetricDataset"},
            "note": {
                "type": "tracked.tracking.MlflowArtifactDataset",
                "dataset": {"type": "json.JSONDataset", "filepath": "data/note.json"},
            },
        },
    )
    pipeline = Pipeline(
        [
            node(nodes.one, "params:a", "number", name="number"),
            node(nodes.one, "number", "note", name="note"),
        ]
    )
    project.run(pipeline)
    assert project.runs() == []
    assert (project.path / "data/note.json").read_text() == "1.0"


@pytest.fixture
def forkserver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The start method of Linux with Python 3.14: workers see the variables of before."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("forkserver", force=True)
    fork_server._forkserver._stop()
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_RUN_ID", "0" * 32)
        fork_server.ensure_running()
    yield
    fork_server._forkserver._stop()
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.usefixtures("forkserver")
def test_worker_of_a_disabled_run_discards_what_its_node_logs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.path / "data")
    monkeypatch.setenv("KEDRO_MLFLOW_DISABLED", "true")
    pipeline = Pipeline([node(nodes.log_in_node, "params:a", "x", name="x")])
    project.run(pipeline, runner=ParallelRunner())
    assert not [p for p in Path().iterdir() if p.name.startswith("ml")]


@pytest.mark.parametrize("kind", [SequentialRunner, ThreadRunner, ParallelRunner])
def test_disabled_run_discards_what_nodes_log_themselves(
    project: Project, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    monkeypatch.chdir(project.path / "data")
    monkeypatch.setenv("KEDRO_MLFLOW_DISABLED", "true")
    pipeline = Pipeline([node(nodes.log_in_node, "params:a", "x", name="x")])
    project.run(pipeline, runner=kind())
    assert project.runs() == []
    assert mlflow.active_run() is None
    assert not [p for p in Path().iterdir() if p.name.startswith("ml")]
    monkeypatch.delenv("KEDRO_MLFLOW_DISABLED")
    project.run(ONE)
    assert project.only_run().info.status == "FINISHED"


@pytest.mark.parametrize("value", ["true", "1", "Yes", "on"])
def test_variable_turns_tracking_off(
    project: Project, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("KEDRO_MLFLOW_DISABLED", value)
    project.run(ONE)
    assert project.runs() == []


def test_variable_that_says_neither_is_an_error(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_MLFLOW_DISABLED", "perhaps")
    with pytest.raises(ClickException, match="is 'perhaps'; use true or false"):
        project.run(ONE)
    assert project.runs() == []


def test_artifacts_lie_under_the_project_whatever_the_working_directory(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    project.run(ONE)
    assert (project.path / "mlruns").as_uri() in project.only_run().info.artifact_uri
    assert list(elsewhere.iterdir()) == []


def test_node_that_leaves_the_process_fails_the_run_and_not_the_next(
    project: Project,
) -> None:
    pipeline = Pipeline([node(nodes.leave, "params:a", None, name="leave")])
    with pytest.raises(SystemExit):
        project.run(pipeline)
    project.run(ONE)
    assert [r.info.status for r in project.runs()] == ["FAILED", "FINISHED"]


def test_pipeline_that_other_code_runs_with_the_hooks_is_not_tracked(
    project: Project,
) -> None:
    """As an orchestrator's plugin may, without a session's ``run``."""
    with project.session(ONE) as session:
        catalog = session.load_context().catalog
        SequentialRunner().run(ONE, catalog, session._hook_manager)
        assert catalog.load("done") == 1.0
    assert project.runs() == []


def test_sub_runs_are_an_error_where_they_are_not_wanted(project: Project) -> None:
    project.mlflow_yml("tracking: {run: {nested: false}}")
    pipeline = Pipeline([node(nodes.open_sub_run, "params:a", "x", name="x")])
    with pytest.raises(ClickException, match=r"tracking\.run\.nested: false"):
        project.run(pipeline)
    assert project.only_run().info.status == "FAILED"


@pytest.mark.parametrize("off", [True, False])
def test_autologging_that_was_on_is_off_during_a_run_unless_it_may_be_on(
    project: Project, off: bool
) -> None:
    flag = str(off).lower()
    project.mlflow_yml(
        f"tracking: {{disable_tracking: {{disable_autologging: {flag}}}}}"
    )
    mlflow.sklearn.autolog(silent=True)
    try:
        project.run(Pipeline([node(nodes.fit, "params:a", "x", name="x")]))
        assert get_autologging_config("sklearn", "disable") is False
    finally:
        mlflow.sklearn.autolog(disable=True)
    logged = set(project.only_run().data.params)
    assert logged == {"a"} if off else logged > {"a"}


def test_autologging_that_waits_for_a_library_is_off_during_a_run(
    project: Project,
) -> None:
    """In a separate process, so that the node is the first to import scikit-learn."""
    registry = """
import mlflow
from kedro.pipeline import Pipeline, node
from tests.tracking.nodes import fit
mlflow.autolog(silent=True)
def register_pipelines():
    return {"__default__": Pipeline([node(fit, "params:a", "x", name="x")])}
"""
    project.write("src/tracked/pipeline_registry.py", registry)
    done = run_kedro(project.path, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(project.only_run().data.params) == {"a"}


def test_autologging_that_a_node_turns_on_logs(project: Project) -> None:
    try:
        project.run(Pipeline([node(nodes.autolog, "params:a", "x", name="x")]))
    finally:
        mlflow.sklearn.autolog(disable=True)
    assert set(project.only_run().data.params) > {"a"}


def test_runs_at_once_are_runs_of_their_own(project: Project) -> None:
    def run(number: int) -> None:
        pipeline = Pipeline([node(nodes.log_in_node, "params:a", "x", name="x")])
        project.run(pipeline, params={"a": number})

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run, range(3)))
    runs = project.runs()
    assert {r.info.status for r in runs} == {"FINISHED"}
    assert sorted(r.data.params["a"] for r in runs) == ["0", "1", "2"]
    for run_ in runs:
        value = float(run_.data.params["a"])
        assert run_.data.metrics == {f"fluent_{value:g}": value}
    assert "MLFLOW_TRACKING_URI" not in os.environ
