"""Runs that start at the same time in several threads of one process."""

import shutil
import subprocess
import sys

import pytest

from tests.tracking.conftest import Project

THREADS = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

bootstrap_project(Path.cwd())
barrier = threading.Barrier(8)

def run(number):
    barrier.wait()
    with KedroSession.create(save_on_close=False) as session:
        session.run()

with ThreadPoolExecutor(8) as pool:
    list(pool.map(run, range(8)))
"""

NODE = """
import mlflow
from kedro.pipeline import Pipeline, node

def log(a):
    mlflow.log_metric("m", a)

def register_pipelines():
    return {"__default__": Pipeline([node(log, "params:a", None)])}
"""


@pytest.mark.parametrize(
    "is_first", [True, pytest.param(False, marks=pytest.mark.slow)]
)
def test_eight_runs_in_threads_are_all_whole(project: Project, is_first: bool) -> None:
    """In a fresh process, so that the threads also import MLflow at once."""
    if is_first:
        shutil.rmtree(project.path / "mlruns")
    project.write("conf/base/parameters.yml", {"a": 1})
    project.write("conf/local/credentials.yml", {"mine": {"SOME": "${oc.env:HOME}"}})
    project.mlflow_yml(
        "server: {credentials: mine}\ntracking: {run: {name: '${oc.env:HOME}'}}"
    )
    project.write("src/tracked/pipeline_registry.py", NODE)
    project.write("eight.py", THREADS)
    done = subprocess.run(
        [sys.executable, "eight.py"],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    runs = project.runs()
    assert [run.info.status for run in runs] == ["FINISHED"] * 8
    assert [run.data.params for run in runs] == [{"a": "1"}] * 8
    assert [run.data.metrics for run in runs] == [{"m": 1}] * 8
