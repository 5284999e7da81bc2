"""A runner on executors, whose workers outlive a node, or a run."""

import multiprocessing
import os
import pickle
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import cloudpickle
import mlflow
import pytest
from click import ClickException
from joblib.externals.loky import get_reusable_executor
from kedro.pipeline import Pipeline, node

from tests.conftest import TEMPLATE
from tests.loopback import wait_until
from tests.recorder import recorder
from tests.tracking import nodes
from tests.tracking.conftest import Project
from tests.tracking.outbox.conftest import ARTIFACT, METRIC, outboxes

REGISTRY = """
import time
from pathlib import Path
from joblib.externals.loky import get_reusable_executor
from kedro.pipeline import Pipeline, node
from .tracking import ExecutorRunner

class LokyRunner(ExecutorRunner):
    def executor(self):
        return get_reusable_executor(2)

def wait(a):
    Path("waiting").touch()
    time.sleep(100)

def register_pipelines():
    return {"__default__": Pipeline([node(wait, "params:a", "m_never")])}
"""


no_windows = pytest.mark.skipif(os.name == "nt", reason="Windows has no forks")


def elsewhere() -> None:
    """Let a worker be on a machine of another name."""
    platform.node = lambda: "elsewhere"


def spawned() -> None:
    """Let a worker think that it was spawned, as those of Dask and Ray are."""
    multiprocessing.set_start_method("spawn", force=True)


def runner(
    project: Project, make: Callable[[], AbstractContextManager[Executor]]
) -> Any:
    """A runner on the executor that a function makes."""
    project.session(Pipeline([]))  # imports the project
    from tracked.tracking import ExecutorRunner

    class Runner(ExecutorRunner):
        def executor(self) -> AbstractContextManager[Executor]:
            return make()

    return Runner()


class Forks(ProcessPoolExecutor):
    """Two workers that start at once, since they are forks; it pickles as engines do."""

    def __init__(self, initializer: Callable[[], None] | None = None) -> None:
        super().__init__(2, multiprocessing.get_context("fork"), initializer)

    def submit(self, *call: Any) -> Any:  # type: ignore[override]
        return super().submit(called, cloudpickle.dumps(call))


def called(pickled: bytes) -> Any:
    function, *arguments = pickle.loads(pickled)
    return function(*arguments)


def pids_and_runs(*_: object) -> list[str]:
    return [str(os.getpid()), *nodes.look_at_the_run()]


def log_with_a_bad_name(value: object) -> float:
    mlflow.log_metric("good", 1)
    run_id = mlflow.active_run().info.run_id
    mlflow.MlflowClient().set_tag(run_id, "mlflow.runName", 7)
    mlflow.log_param("a", "another")  # which the server refuses
    return 1.0


PIPELINE = Pipeline(
    [
        node(nodes.log_in_node, "params:a", "m_a", name="a"),
        node(nodes.open_sub_run, "params:b", "m_b", name="b"),
        node(pids_and_runs, ["m_a", "m_b"], "file_seen", name="seen"),
    ]
)


@pytest.fixture(autouse=True)
def catalog(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1.0, "b": 2.0})
    project.write(
        "conf/base/catalog.yml", {"m_{name}": METRIC, "file_{name}": ARTIFACT}
    )


def test_workers_of_an_engine_log_to_the_one_run(project: Project) -> None:
    with get_reusable_executor(
        2, initializer=spawned
    ) as pool:  # which outlives a run, as a cluster does
        for _ in range(2):
            project.run(PIPELINE, runner=runner(project, lambda: nullcontext(pool)))
        left = pool.submit(nodes.look_at_the_run).result()
    assert left == ["", ""]  # nothing of the runs
    *_, child, run = sorted(project.runs(), key=lambda r: r.info.start_time)[-2:][::-1]
    assert run.info.status == child.info.status == "FINISHED"
    assert run.data.params == {"a": "1.0", "b": "2.0"}
    assert run.data.metrics == {"m_a": 1, "m_b": 1, "fluent_1": 1}
    assert child.data.tags["mlflow.parentRunId"] == run.info.run_id
    assert child.data.metrics == {"inner": 1}
    pid, active, variable = eval((project.path / "data/seen.json").read_text())
    assert (pid == str(os.getpid()), {active, variable}) == (False, {run.info.run_id})
    assert [file.path for file in project.client.list_artifacts(run.info.run_id)]
    assert not outboxes(project)


@no_windows
def test_failing_node_fails_the_run_and_keeps_what_others_logged(
    project: Project,
) -> None:
    failing = Pipeline(
        [node(nodes.fail, "params:b", "m_b", name="f"), *PIPELINE.nodes[:1]]
    )
    with pytest.raises(ZeroDivisionError, match="the node's own words"):
        project.run(failing, runner=runner(project, Forks))
    run = project.only_run()
    assert (run.info.status, run.data.metrics["fluent_1"]) == ("FAILED", 1)


@no_windows
def test_output_in_memory_is_a_sentence_before_any_node(project: Project) -> None:
    pipeline = Pipeline([node(nodes.log_in_node, "params:a", "lost", name="a")])
    with pytest.raises(ClickException, match="lost would stay.*Put them into the cata"):
        project.run(pipeline, runner=runner(project, Forks))
    assert project.only_run().data.metrics == {}


@no_windows
def test_worker_on_another_machine_sends_by_itself(
    project: Project, server: str
) -> None:
    with recorder(server) as seen:
        project.mlflow_yml(
            f"server: {{mlflow_tracking_uri: '{seen.uri}'}}\ntracking: {{experiment: {{name: {project.path.parent.name}}}}}"
        )
        project.run(PIPELINE, runner=runner(project, lambda: Forks(elsewhere)))
        bad = Pipeline([node(log_with_a_bad_name, "params:a", "m_a", name="bad")])
        with pytest.raises(ClickException, match="refused 'a'"):
            project.run(bad, runner=runner(project, lambda: Forks(elsewhere)))
    client = mlflow.MlflowClient(server)
    experiment = client.get_experiment_by_name(project.path.parent.name)
    failed, child, run = client.search_runs([experiment.experiment_id])
    assert (run.info.status, child.info.status) == ("FINISHED", "FINISHED")
    assert run.data.metrics == {"m_a": 1, "m_b": 1, "fluent_1": 1}
    assert [f.path for f in client.list_artifacts(run.info.run_id)]
    assert (failed.info.status, failed.data.metrics) == ("FAILED", {"good": 1})


@no_windows
def test_ctrl_c_kills_the_run(project: Project) -> None:
    project.write("src/tracked/pipeline_registry.py", REGISTRY)
    command = [Path(sys.executable).with_name("kedro"), "run", "--runner"]
    command.append("tracked.pipeline_registry.LokyRunner")
    env = {**os.environ, "PYTHONPATH": str(TEMPLATE)}
    process = subprocess.Popen(
        command, cwd=project.path, env=env, start_new_session=True
    )
    wait_until((project.path / "waiting").exists)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.wait(120) != 0
    assert project.only_run().info.status == "KILLED"
