"""Ctrl-C, SIGTERM and a closed terminal end a run as KILLED."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

import mlflow
import pytest
from click import ClickException
from kedro.pipeline import Pipeline, node
from tracking.run.on_termination import OnTermination

from tests.recorder import Answer, recorder
from tests.tracking import nodes
from tests.tracking.conftest import Project

ONE = Pipeline([node(nodes.one, "params:a", "done", name="one")])


@pytest.fixture(autouse=True)
def parameters(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1})


def test_interrupted_run_is_killed(project: Project) -> None:
    pipeline = Pipeline([node(nodes.interrupt, "params:a", None, name="interrupt")])
    with pytest.raises(KeyboardInterrupt):
        project.run(pipeline)
    wait_for_threads()
    assert project.only_run().info.status == "KILLED"
    assert mlflow.active_run() is None


def test_terminated_run_is_killed_and_the_process_exits_as_a_shell_shows_it(
    project: Project,
) -> None:
    pipeline = Pipeline([node(nodes.terminate, "params:a", None, name="terminate")])
    with pytest.raises(SystemExit) as exited:
        project.run(pipeline)
    wait_for_threads()
    assert exited.value.code == 128 + signal.SIGTERM
    assert project.only_run().info.status == "KILLED"


def test_closed_terminal_kills_the_run_unless_nohup_ignores_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline([node(nodes.hang_up, "params:a", "x", name="hang_up")])
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit):
            project.run(pipeline)
        wait_for_threads()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        project.run(pipeline)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert [r.info.status for r in project.runs()] == ["KILLED", "FINISHED"]


def wait_for_threads() -> None:
    for thread in threading.enumerate():
        if thread.name == "mlflow-run-killed":
            thread.join(30)


def test_signal_handlers_are_as_they_were_after_a_run(project: Project) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    project.run(ONE)
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


def test_held_signal_acts_at_the_end_of_the_block_and_a_second_one_at_once() -> None:
    called: list[str] = []
    names = ("callback", "leave", "hurry")
    with OnTermination(*(partial(called.append, name) for name in names)) as guard:
        with pytest.raises(KeyboardInterrupt), guard.held():
            signal.raise_signal(signal.SIGINT)
            called.append("the block goes on")
        assert called == ["hurry", "the block goes on"]
        with pytest.raises(KeyboardInterrupt), guard.held():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            called.append("never")
        guard.wait()
    assert called[2:] == ["hurry", "leave", "callback"]


def test_earlier_handler_gets_the_signal_and_where_it_came() -> None:
    seen: list[tuple[int, str]] = []

    def earlier(number: int, frame: FrameType | None) -> None:
        assert frame
        seen.append((number, frame.f_code.co_name))

    before = signal.signal(signal.SIGTERM, earlier)
    try:
        with OnTermination(seen.clear, seen.clear, seen.clear):
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == earlier
    finally:
        signal.signal(signal.SIGTERM, before)
    here = "test_earlier_handler_gets_the_signal_and_where_it_came"
    assert seen == [(signal.SIGTERM, here)]


SLEEPER = """
import time
from pathlib import Path
from kedro.pipeline import Pipeline, node

def sleep(a):
    Path("started").touch()
    time.sleep(60)

def register_pipelines():
    return {"__default__": Pipeline([node(sleep, "params:a", None)])}
"""


@pytest.mark.parametrize(
    ("number", "code", "runner"),
    [
        (signal.SIGINT, 1, "ParallelRunner"),
        (signal.SIGTERM, 128 + signal.SIGTERM, "SequentialRunner"),
        pytest.param(signal.SIGINT, 1, "SequentialRunner", marks=pytest.mark.slow),
        pytest.param(
            signal.SIGTERM,
            128 + signal.SIGTERM,
            "ParallelRunner",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_kedro_run_that_is_told_to_stop_stops_and_its_run_is_killed(
    project: Project, number: int, code: int, runner: str
) -> None:
    """Click turns Ctrl-C into "Aborted!" and 1; a shell shows 143 for SIGTERM."""
    project.write("src/tracked/pipeline_registry.py", SLEEPER)
    kedro = [Path(sys.executable).parent / "kedro", "run", "--runner", runner]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(kedro, cwd=project.path, start_new_session=True, **quiet)
    while process.poll() is None and not (project.path / "started").exists():
        time.sleep(0.1)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    assert process.wait(30) == code
    assert project.only_run().info.status == "KILLED"


METRICS = """
from kedro.pipeline import Pipeline, node

def numbers(a):
    return [float(n) for n in range(2500)]  # three requests

def register_pipelines():
    return {"__default__": Pipeline([node(numbers, "params:a", "loss")])}
"""


@pytest.mark.parametrize(
    ("moment", "number", "code"),
    [
        ("create", signal.SIGINT, 1),
        pytest.param(
            "create", signal.SIGTERM, 128 + signal.SIGTERM, marks=pytest.mark.slow
        ),
        pytest.param("log-batch", signal.SIGINT, 1, marks=pytest.mark.slow),
        ("update", signal.SIGTERM, 128 + signal.SIGTERM),
    ],
)
def test_signal_while_a_request_is_under_way_leaves_no_run_open(
    project: Project, server: str, moment: str, number: int, code: int
) -> None:
    """The request creates the run, logs its last metrics, or sends its status."""
    name = f"{moment}-{code}"
    project.write("src/tracked/pipeline_registry.py", METRICS)
    metrics = {"type": "tracked.tracking.MlflowMetricHistoryDataset"}
    project.write("conf/base/catalog.yml", {"loss": metrics})
    sent = threading.Event()

    def spoil(path: str, body: bytes, answer: Callable[[], Answer]) -> Answer:
        real = answer()
        is_metrics = moment != "log-batch" or b'"metrics"' in body
        if path.endswith(f"runs/{moment}") and is_metrics and not sent.is_set():
            sent.set()
            process.send_signal(number)
            time.sleep(1)  # the client waits for the answer
        return real

    with recorder(server, spoil=spoil) as proxy:
        project.mlflow_yml(
            f"{{server: {{mlflow_tracking_uri: '{proxy.uri}'}}, "
            f"tracking: {{experiment: {{name: '{name}'}}}}}}"
        )
        kedro = [Path(sys.executable).parent / "kedro", "run"]
        process = subprocess.Popen(
            kedro,
            cwd=project.path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert process.wait(60) == code
    assert sent.is_set()
    client = mlflow.MlflowClient(server)
    experiment = client.get_experiment_by_name(name)
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id])
    if moment == "create":
        assert run.info.status == "KILLED"
    else:
        assert run.info.status in ("FINISHED", "KILLED")
        assert len(client.get_metric_history(run.info.run_id, "loss")) == 2500


def test_run_whose_creation_is_not_answered_is_ended(
    project: Project, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_MLFLOW_OFFLINE", "never")

    def spoil(path: str, body: bytes, answer: Callable[[], Answer]) -> Answer:
        real = answer()
        return (502, b"") if path.endswith("runs/create") else real

    name = project.path.parent.name
    with recorder(server, spoil=spoil) as proxy:
        project.mlflow_yml(
            f"{{server: {{mlflow_tracking_uri: '{proxy.uri}'}}, "
            f"tracking: {{experiment: {{name: {name}}}}}}}"
        )
        with pytest.raises(ClickException, match="answers with an error: HTTP.* 502"):
            project.run(ONE)
    client = mlflow.MlflowClient(server)
    experiment = client.get_experiment_by_name(name)
    assert experiment
    runs = client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in runs] == ["FAILED"]


STUBBORN = """
import time
from pathlib import Path
from kedro.pipeline import Pipeline, node

def number(a):
    return 1.0

def register_pipelines():
    return {"__default__": Pipeline([node(number, "params:a", "m")])}
"""


def test_second_signal_ends_at_once(project: Project, server: str) -> None:
    project.write("src/tracked/pipeline_registry.py", STUBBORN)
    metric = {"type": "tracked.tracking.MlflowMetricDataset"}
    project.write("conf/base/catalog.yml", {"m": metric})
    asked = threading.Event()

    def spoil(path: str, body: bytes, answer: Callable[[], Answer]) -> Answer:
        if path.endswith("runs/log-batch") and b'"metrics"' in body:
            asked.set()
            time.sleep(30)
        return answer()

    with recorder(server, spoil=spoil) as proxy:
        project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{proxy.uri}'}}")
        kedro = [Path(sys.executable).parent / "kedro", "run"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(kedro, cwd=project.path, **quiet)
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 1
