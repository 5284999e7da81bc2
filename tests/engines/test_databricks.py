"""Databricks' own library, with an MLflow server in place of a workspace."""

import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tests.engines.conftest import Workflow
from tests.mlflow_server import MlflowServer


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in [name for name in os.environ if name.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    return {"DATABRICKS_TOKEN": "dapi-of-this-test", "MLFLOW_ENABLE_DB_SDK": "true"}


def test_run_logs_with_the_library_of_databricks(
    workflow_of: Any, tmp_path: Path, variables: dict[str, str]
) -> None:
    workflow: Workflow = workflow_of("none")
    yml = workflow.path / "conf/local/mlflow.yml"
    yml.write_text("server: {mlflow_tracking_uri: databricks, credentials: null}")
    words = ("kedro", "run", "--to-nodes", "train")
    with closing(MlflowServer(tmp_path)) as server:
        variables["DATABRICKS_HOST"] = server.uri
        client = mlflow.MlflowClient(server.uri)
        files = (tmp_path / "files").as_uri()  # not of this server, nor of a workspace
        client.create_experiment("tracked", artifact_location=files)
        done = workflow.call(*words, **variables)
        child, run = client.search_runs(["1"])
        assert {child.info.status, run.info.status} == {"FINISHED"}
        assert run.data.metrics == {"fluent": 1, "m_prepared": 1, "history": 0.3}
        page = f"{server.uri}/ml/experiments/1/runs/{run.info.run_id}"
        assert page in done.stdout
        with workflow.stopped(*words, seconds=30, **variables):
            server.close()
    began = time.monotonic()
    done = workflow.call(*words, **variables)
    assert time.monotonic() - began < 60
    assert "kedro mlflow sync" in done.stdout + done.stderr
