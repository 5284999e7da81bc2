"""A server that does not answer, or goes away, and what may be shown of its address."""

import os
import shutil
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest
from click import ClickException
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline, node
from kedro.runner import ThreadRunner
from mlflow.exceptions import MlflowException

from tests.loopback import free_port
from tests.mlflow_server import MlflowServer
from tests.tracking import nodes
from tests.tracking.conftest import Project

ONE = Pipeline([node(nodes.one, "params:a", "done", name="one")])


@pytest.fixture(autouse=True)
def parameters(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1})


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run needs its server."""
    monkeypatch.setenv("KEDRO_MLFLOW_OFFLINE", "never")


@pytest.mark.usefixtures("never")
def test_server_that_does_not_answer_is_a_sentence(project: Project) -> None:
    project.mlflow_yml("server: {mlflow_tracking_uri: 'http://127.0.0.1:9'}")
    with pytest.raises(ClickException) as error:
        project.run(ONE)
    text = str(error.value)
    assert "http://127.0.0.1:9 does not answer" in text
    assert "'local'" in text
    assert "conf/local/mlflow.yml: server.mlflow_tracking_uri" in text
    assert "nothing listens there" in text
    assert "MLFLOW_TRACKING_URI" not in os.environ


@pytest.mark.usefixtures("never")
def test_silent_server_is_asked_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its port is tried once before, without a request."""
    project.session(ONE)  # makes the project's package importable
    from tracked.tracking.server import availability

    monkeypatch.setattr(availability, "_AT_START", 2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{address}'}}")
        with pytest.raises(ClickException, match=f"{address} does not answer in time"):
            project.run(ONE)
        asked = []
        silent.settimeout(0.1)
        with pytest.raises(TimeoutError):
            while True:
                asked.append(silent.accept()[0].recv(4))
        assert asked == [b"", b"GET "]


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("is_silent", [False, True])
def test_workspace_of_databricks_that_does_not_answer_is_a_sentence(
    project: Project, monkeypatch: pytest.MonkeyPatch, is_silent: bool
) -> None:
    """Before Databricks' own library asks, which takes five minutes and says nothing."""
    project.session(ONE)
    from tracked.tracking.server import availability

    monkeypatch.setattr(availability, "_AT_START", 2)
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        if is_silent:
            port.listen()
        address = f"http://127.0.0.1:{port.getsockname()[1]}"
        profiles = project.path / "databrickscfg"
        profiles.write_text(f"[team]\nhost = {address}/\ntoken = dapi-0123456789\n")
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(profiles))
        project.mlflow_yml("server: {mlflow_tracking_uri: 'databricks://team'}")
        with pytest.raises(ClickException) as error:
            project.run(ONE)
    found = " in time" if is_silent else ": nothing listens there"
    words = (
        f"The MLflow server at databricks://team ({address}) does not answer{found}."
    )
    assert str(error.value).startswith(words)
    assert "~/.databrickscfg" in str(error.value)


def test_user_decides_how_long_a_server_is_waited_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def look(a: int) -> None:
        seen.update(os.environ)

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "33")
    project.run(Pipeline([node(look, "params:a", None, name="look")]))
    assert seen["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "33"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in seen


def test_database_server_that_is_not_there_is_a_sentence_without_its_password(
    project: Project,
) -> None:
    closed_port = free_port()
    uri = f"postgresql://alice:hunter2@127.0.0.1:{closed_port}/mlflow"
    project.write("conf/local/credentials.yml", {"db": {"MLFLOW_TRACKING_URI": uri}})
    project.mlflow_yml("server: {credentials: db}")
    with pytest.raises(ClickException) as error:
        project.run(ONE)
    text = str(error.value)
    assert f"postgresql://alice:***@127.0.0.1:{closed_port}/mlflow does not" in text
    assert "MLFLOW_TRACKING_URI in 'db' of credentials.yml" in text
    assert "hunter2" not in text


def test_runs_at_once_on_two_servers_do_not_mix(project: Project) -> None:
    def run_another(a: int) -> None:
        project.write("conf/qa/mlflow.yml", "server: {mlflow_tracking_uri: other}")
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(project.run, ONE, env="qa")
            with pytest.raises(ClickException, match="Another run in this process"):
                other.result()

    project.run(Pipeline([node(run_another, "params:a", None, name="another")]))
    assert project.only_run().info.status == "FINISHED"


def test_disabled_run_beside_a_tracked_one_takes_nothing_from_it(
    project: Project,
) -> None:
    off = "tracking: {disable_tracking: {pipelines: [__default__]}}"

    def run_untracked(a: int) -> None:
        project.write("conf/qa/mlflow.yml", off)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(project.run, ONE, env="qa").result()
        mlflow.log_metric("after", 1)

    project.run(Pipeline([node(run_untracked, "params:a", None, name="beside")]))
    run = project.only_run()
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"after": 1.0})


@pytest.fixture
def mortal(
    project: Project, empty_store: Path, tmp_path: Path
) -> Iterator[MlflowServer]:
    """A server that a test may stop."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    there = MlflowServer(tmp_path)
    project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{there.uri}'}}")
    yield there
    there.close()


@pytest.mark.slow
def test_server_that_a_node_found_gone_is_not_waited_for_again(
    project: Project, mortal: MlflowServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise the second of two nodes would wait for MLflow's seven tries."""
    bootstrap_project(project.path)  # takes away caplog's handler, the first time
    patience = []

    def lose_the_server(a: int) -> None:
        mortal.close()
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
            mlflow.MlflowClient().search_experiments()

    def look(a: int) -> None:
        for _ in range(100):
            patience[:] = [os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT")]
            if patience != [None]:
                return
            time.sleep(0.1)

    pipeline = Pipeline(
        [
            node(lose_the_server, "params:a", None, name="lose"),
            node(look, "params:a", None, name="look"),
        ]
    )
    with pytest.raises(MlflowException, match="API request to"):
        project.run(pipeline, runner=ThreadRunner(max_workers=2))
    assert patience == ["5"]
    assert "'kedro mlflow sync' sends" in caplog.text
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ
