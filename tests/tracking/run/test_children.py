"""Threads, processes and sessions that a node starts."""

from pathlib import Path

import mlflow
import pytest
from click import ClickException
from kedro.framework.session import KedroSession
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner, ThreadRunner

from tests.tracking import nodes
from tests.tracking.conftest import Project, run_kedro


@pytest.fixture(autouse=True)
def parameters(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1, "b": 2})


def pipeline(function: object, source: str = "params:a") -> Pipeline:
    return Pipeline([node(function, source, "done", name="one")])


def test_threads_of_a_node_log_to_its_run(project: Project) -> None:
    project.run(pipeline(nodes.log_in_threads))
    run = project.only_run()
    assert run.data.metrics == {"thread": 1, "pool_0": 0, "pool_1": 1}
    assert run.info.status == "FINISHED"


REGISTRY = """
from kedro.pipeline import Pipeline, node
from tests.tracking import nodes
def register_pipelines():
    functions = [{functions}]
    names = ["params:methods", *(f.__name__ for f in functions)]
    return {{"__default__": Pipeline([
        node(f, source, f.__name__, name=f.__name__)
        for f, source in zip(functions, names)
    ])}}
"""


def run_from_the_command_line(
    project: Project, runner: str, methods: list[str], *functions: str
) -> None:
    """Run a real command: a spawned process imports the main module again."""
    words = ", ".join(f"nodes.{function}" for function in functions)
    project.write("conf/base/parameters.yml", {"methods": methods})
    project.write("src/tracked/pipeline_registry.py", REGISTRY.format(functions=words))
    done = run_kedro(project.path, "run", "--runner", runner)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "runner",
    ["SequentialRunner", pytest.param("ThreadRunner", marks=pytest.mark.slow)],
)
def test_processes_of_a_node_log_to_its_run(project: Project, runner: str) -> None:
    methods = ["spawn", "forkserver"]
    functions = ("log_in_processes", "log_in_subprocess", "log_in_joblib")
    sub_runs = "sub_runs_beside_the_variable"
    run_from_the_command_line(project, runner, methods, *functions, sub_runs)
    child, run = sorted(project.runs(), key=lambda run: run.info.run_name != "child")
    assert child.data.tags["mlflow.parentRunId"] == run.info.run_id
    assert child.data.metrics == {"inner": 1}
    assert set(run.data.metrics) == {*methods, "subprocess", "loky_0", "loky_1"}
    assert {run.info.status, child.info.status} == {"FINISHED"}


def test_forks_of_a_node_log_to_its_run(project: Project) -> None:
    """In the main thread: Python's own pools of threads do not survive a fork."""
    functions = ("log_in_processes", "fork_and_exit", "log_in_threads")
    run_from_the_command_line(project, "SequentialRunner", ["fork"], *functions)
    run = project.only_run()
    assert set(run.data.metrics) == {"fork", "forked", "thread", "pool_0", "pool_1"}
    assert run.info.status == "FINISHED"


def test_run_that_fails_after_its_process_has_ended_is_failed(project: Project) -> None:
    two = Pipeline(
        [
            node(nodes.log_in_subprocess, "params:a", "x", name="subprocess"),
            node(nodes.fail, "x", None, name="fail"),
        ]
    )
    with pytest.raises(ZeroDivisionError):
        project.run(two)
    assert project.only_run().info.status == "FAILED"


def test_thread_that_was_there_before_opens_a_run_of_its_own(project: Project) -> None:
    """Such as a server's thread, in the process of which a Kedro run is open."""
    import threading

    ready, done = threading.Event(), threading.Event()

    def serve() -> None:
        ready.wait()
        with mlflow.start_run(run_name="beside"):
            mlflow.log_metric("beside", 1)
        done.set()

    def wait(value: object) -> float:
        ready.set()
        assert done.wait(30)
        return 1.0

    thread = threading.Thread(target=serve)
    thread.start()
    project.run(pipeline(wait))
    thread.join()
    beside, run = sorted(project.runs(), key=lambda r: r.info.run_name != "beside")
    assert beside.data.metrics == {"beside": 1}
    assert "mlflow.parentRunId" not in beside.data.tags
    assert run.data.metrics == {}


def test_node_that_sets_another_server_does_not_take_the_run_with_it(
    project: Project, empty_store: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(empty_store.read_bytes())
    before = mlflow.get_tracking_uri()
    project.write("conf/base/parameters.yml", {"a": f"sqlite:///{other.as_posix()}"})
    project.write(
        "conf/base/catalog.yml",
        {"done": {"type": "tracked.tracking.MlflowMetricDataset"}},
    )
    project.run(pipeline(nodes.set_other_server))
    run = project.only_run()
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"done": 1.0})
    assert mlflow.get_tracking_uri() == before


@pytest.mark.parametrize("runner", [SequentialRunner, ThreadRunner])
def test_session_in_a_node_is_a_child_of_its_run(
    project: Project, runner: type
) -> None:
    path = project.path

    def inner(value: object) -> float:
        with KedroSession.create(path, save_on_close=False) as session:
            session.run(pipeline_names=["inner"])
        mlflow.log_metric("after", 1)
        return 1.0

    project.write(
        "conf/base/catalog.yml",
        {"late": {"type": "tracked.tracking.MlflowMetricDataset"}},
    )
    outer = Pipeline(
        [
            node(inner, "params:a", "done", name="outer"),
            node(nodes.one, "done", "late", name="late"),
        ]
    )
    project.run(
        {"__default__": outer, "inner": pipeline(nodes.log_in_node, "params:b")},
        runner=runner(),
    )
    child, run = sorted(project.runs(), key=lambda r: r.info.run_name != "inner")
    assert child.data.tags["mlflow.parentRunId"] == run.info.run_id
    assert (child.data.params, child.data.metrics) == ({"b": "2"}, {"fluent_2": 2})
    assert (run.data.params, run.data.metrics) == ({"a": "1"}, {"after": 1, "late": 1})
    assert {run.info.status, child.info.status} == {"FINISHED"}
    assert mlflow.active_run() is None


def test_session_in_a_node_joins_where_nested_runs_are_not_wanted(
    project: Project,
) -> None:
    project.mlflow_yml("tracking: {run: {nested: false}}")
    path = project.path

    def inner(value: object) -> float:
        with KedroSession.create(path, save_on_close=False) as session:
            session.run(pipeline_names=["inner"])
        return 1.0

    project.run(
        {
            "__default__": pipeline(inner),
            "inner": pipeline(nodes.log_in_node, "params:b"),
        }
    )
    run = project.only_run()
    assert run.data.params == {"a": "1", "b": "2"}
    assert (run.data.metrics, run.info.status) == ({"fluent_2": 2}, "FINISHED")


def test_failing_session_in_a_node_fails_its_own_run(project: Project) -> None:
    path = project.path

    def inner(value: object) -> float:
        with KedroSession.create(path, save_on_close=False) as session:
            with pytest.raises(ZeroDivisionError):
                session.run(pipeline_names=["inner"])
        return 1.0

    project.run({"__default__": pipeline(inner), "inner": pipeline(nodes.fail)})
    statuses = {run.info.run_name: run.info.status for run in project.runs()}
    assert statuses.pop("inner") == "FAILED"
    assert list(statuses.values()) == ["FINISHED"]


def test_sub_run_of_a_node_is_no_error_beside_the_run_of_an_orchestrator(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = project.client.create_run("0", run_name="airflow").info
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.store)
    monkeypatch.setenv("MLFLOW_RUN_ID", mine.run_id)
    project.run(pipeline(nodes.sub_runs_beside_the_variable))
    child, run = sorted(project.runs(), key=lambda r: r.info.run_name != "child")
    assert (run.info.run_name, run.info.status) == ("airflow", "RUNNING")
    assert child.data.tags["mlflow.parentRunId"] == mine.run_id
    assert child.info.experiment_id == run.info.experiment_id


def test_sub_run_where_they_are_not_wanted_is_an_error_in_a_thread_too(
    project: Project,
) -> None:
    project.mlflow_yml("tracking: {run: {nested: false}}")
    from concurrent.futures import ThreadPoolExecutor

    def open_in_thread(value: object) -> float:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(nodes.open_sub_run, value).result()

    with pytest.raises(ClickException, match=r"tracking\.run\.nested: false"):
        project.run(pipeline(open_in_thread))
