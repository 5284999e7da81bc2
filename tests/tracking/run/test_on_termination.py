"""Ctrl-C, SIGTERM and a closed terminal end a run as KILLED."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import mlflow
import pytest
from kedro.pipeline import Pipeline, node

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
    ("number", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
@pytest.mark.parametrize("runner", ["SequentialRunner", "ParallelRunner"])
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
