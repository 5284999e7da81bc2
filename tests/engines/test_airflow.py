"""Airflow with its scheduler and LocalExecutor: each DAG run is one MLflow run."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.engines.conftest import ENGINES, kedro, reports
from tests.loopback import free_port, wait_until

AIRFLOW = ENGINES / "airflow" / "bin"


def test_each_dag_run_is_one_run(workflow_of: Any) -> None:
    workflow = workflow_of("airflow")
    settings = {"project": str(workflow.path), "kedro": kedro(), "retry_delay": 0}
    dags = workflow.path / "conf/base/airflow.yml"
    dags.write_text(yaml.safe_dump({"default": settings}))
    workflow.call("kedro", "airflow", "create", "--jinja-file", "airflow_dag.j2")
    variables = _settings(workflow.path)
    with _airflow(workflow.path, variables):

        def states() -> dict[str, str]:
            words = ("dags", "list-runs", "tracked", "--output", "json")
            done = workflow.call(AIRFLOW / "airflow", *words, **variables)
            found = json.loads(done.stdout[done.stdout.index("[{") :])
            return {run["run_id"]: run["state"] for run in found}

        def run(*ids: str, state: str) -> None:
            for run_id in ids:
                words = ("dags", "trigger", "tracked", "--run-id", run_id)
                workflow.call(AIRFLOW / "airflow", *words, **variables)
            ends = {"success", "failed"}
            wait_until(lambda: all(states()[i] in ends for i in ids), 400)
            assert {states()[run_id] for run_id in ids} == {state}

        workflow.mistake("kill once")
        run("one", "two", state="success")
        runs, _ = workflow.runs()
        assert [r.data.tags["kedro.run_key"] for r in runs] == [
            "tracked/one",
            "tracked/two",
        ]
        assert [r.info.status for r in runs] == ["FINISHED", "FINISHED"]
        assert runs[1].info.start_time < runs[0].info.end_time  # at once
        attempts = [reports(r)["train"][1] for r in runs]
        assert sorted(attempts) == [1, 2]  # the node of one of them was killed
        for each, attempt in zip(runs, attempts, strict=True):
            workflow.check_whole(each, children=attempt)

        workflow.mistake("fail")
        run("three", state="failed")
    (*_, failed), nested = workflow.runs()
    assert failed.info.status == "FAILED"
    assert reports(failed) == {"prepare": ("FINISHED", 1), "train": ("FAILED", 2)}
    assert not [r for r in nested if r.info.status == "RUNNING"]


def _settings(project: Path) -> dict[str, str]:
    port = free_port()
    return {
        "AIRFLOW_HOME": str(project / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "airflow_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of this test only, of 64 bytes" * 2,
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "True",
        "AIRFLOW__SCHEDULER__PARSING_PRE_IMPORT_MODULES": "False",
    }


@contextmanager
def _airflow(project: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """Run Airflow's scheduler, DAG processor and API server."""
    env = {**os.environ, **variables, "PATH": f"{AIRFLOW}:{os.environ['PATH']}"}
    airflow = AIRFLOW / "airflow"
    subprocess.run([airflow, "db", "migrate"], env=env, check=True, capture_output=True)
    services = []
    try:
        for name in ("api-server", "scheduler", "dag-processor"):
            log = (project / f"{name}.log").open("wb")
            services.append(
                subprocess.Popen(
                    [airflow, name],
                    env=env,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
            log.close()

        def is_known() -> bool:
            words = [airflow, "dags", "details", "tracked"]
            done = subprocess.run(words, env=env, capture_output=True, check=False)
            assert all(service.poll() is None for service in services)
            return done.returncode == 0

        wait_until(is_known)
        yield
    finally:
        for service in services:
            os.killpg(service.pid, signal.SIGTERM)
        for service in services:
            try:
                service.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(service.pid, signal.SIGKILL)
                service.wait()
