"""What a run logs to the terminal: few lines, and where to look."""

import importlib
import logging
import os
import pty
import socketserver
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import mlflow
import pytest
from click import ClickException
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline, node
from tracking.server.availability import one_warning

from tests.tracking import nodes
from tests.tracking.conftest import Project

ONE = Pipeline([node(nodes.one, "params:a", "done", name="one")])
FAILS = Pipeline([node(nodes.fail, "params:a", None, name="fail")])
STOPS = Pipeline([node(nodes.interrupt, "params:a", None, name="stop")])


@pytest.fixture(autouse=True)
def parameters(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1})
    bootstrap_project(project.path)  # takes away caplog's handler, the first time


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the tracking module has logged at info level."""
    ours = [r for r in caplog.records if r.name.startswith("tracked.")]
    assert {record.levelno for record in ours} <= {logging.INFO}
    return [record.getMessage() for record in ours]


def test_run_says_a_line_at_its_start_and_one_at_its_end(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.run(ONE)
    start, end = said(caplog)
    name = project.only_run().info.run_name
    assert (
        start == f"MLflow run '{name}' in the experiment 'tracked' at mlruns/mlflow.db"
    )
    assert end.startswith(f"MLflow run '{name}' FINISHED after ")
    assert end.endswith(" s; 'kedro mlflow ui' shows it")


def test_run_of_somebody_else_and_one_that_goes_on_are_told_apart(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.store)
    with mlflow.start_run(run_name="theirs", experiment_id="0") as run:
        project.run(ONE)
    assert said(caplog) == [
        "MLflow run 'theirs' is active already; this run logs to it"
    ]
    caplog.clear()
    project.mlflow_yml(f"tracking: {{run: {{id: {run.info.run_id}}}}}")
    project.run(ONE)
    assert said(caplog)[0] == "MLflow run 'theirs' continues at mlruns/mlflow.db"


def test_failed_run_says_so_and_names_the_environment_of_its_pages(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ZeroDivisionError):
        project.run(FAILS, env="staging")
    _, end = said(caplog)
    name = project.only_run().info.run_name
    assert end.startswith(f"MLflow run '{name}' FAILED after ")
    assert end.endswith(
        "; 'kedro mlflow resume --env staging' continues it, --from-nodes would start "
        "another; 'kedro mlflow ui --env staging' shows it"
    )


@pytest.mark.parametrize(
    ("pipeline", "original", "status"),
    [(FAILS, ZeroDivisionError, "FAILED"), (STOPS, KeyboardInterrupt, "KILLED")],
)
def test_original_exception_reaches_the_user_when_the_end_fails_too(
    project: Project,
    pipeline: Pipeline,
    original: type[BaseException],
    status: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ConnectionError("store gone")

    project.session(pipeline)  # imports the project's modules
    lifecycle = importlib.import_module("tracked.tracking.run.lifecycle")
    monkeypatch.setattr(lifecycle, "info_record", broken)
    with pytest.raises(original):
        project.run(pipeline)
    for thread in threading.enumerate():
        if thread.name == "mlflow-run-killed":
            thread.join(30)
    assert mlflow.active_run() is None
    name = project.only_run().info.run_name
    said = f"MLflow run '{name}' is {status}, but its server may not know: store gone"
    assert said in caplog.messages


def test_error_of_a_start_reaches_the_user_when_the_end_fails_too(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ConnectionError("store gone")

    def refused(*_: object, **__: object) -> None:
        raise ValueError("not so")

    project.session(ONE)  # imports the project's modules
    lifecycle = importlib.import_module("tracked.tracking.run.lifecycle")
    monkeypatch.setattr(lifecycle, "batch_records", refused)
    monkeypatch.setattr(lifecycle, "info_record", broken)
    with pytest.raises(ValueError, match="not so"):
        project.run(ONE)
    name = project.only_run().info.run_name
    said = f"MLflow run '{name}' is FAILED, but its server may not know: store gone"
    assert said in caplog.messages


def test_page_of_a_run_stands_whole_in_a_line_and_brackets_stay(
    project: Project,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Kedro's handler breaks lines at the terminal's width, and reads markup."""
    project.mlflow_yml(
        f"server: {{mlflow_tracking_uri: '{server}'}}\n"
        "tracking: {run: {name: 'a [/b] c'}}"
    )
    project.run(ONE)
    run = project.runs(server)[-1]
    said, page = capsys.readouterr().out.strip().rsplit("\n", 1)
    assert page == (
        f"{server}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    )
    words = [word for word in said.split() if not word.startswith("messages.py:")]
    assert "MLflow run 'a [/b] c' FINISHED after" in " ".join(words)

    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    project.run(ONE)
    assert server + "/#" not in capsys.readouterr().out


class HangUp(socketserver.BaseRequestHandler):
    """Closes each connection without an answer."""


def test_many_tries_are_one_line(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("KEDRO_MLFLOW_OFFLINE", "never")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), HangUp) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{address}'}}")
        with pytest.raises(ClickException, match=f"{address} does not answer"):
            project.run(ONE)
        server.shutdown()
    (warning,) = [r for r in caplog.records if r.name.startswith("urllib3")]
    assert f"{address} does not answer; trying again" in warning.getMessage()


def test_tries_of_other_requests_are_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("urllib3.connectionpool")
    with one_warning("http://there"):
        logger.warning("Retrying (%r) after %r: %s", 1, 2, "/somewhere/else")
    assert caplog.messages == ["Retrying (1) after 2: /somewhere/else"]


REGISTRY = """
from kedro.pipeline import Pipeline, node
def register_pipelines():
    one = node(lambda a: a, 'params:a', 'x', name='one')
    return {'__default__': Pipeline([one])}
"""


def test_terminal_shows_progress_of_nodes_and_no_noise(project: Project) -> None:
    project.write("src/tracked/pipeline_registry.py", REGISTRY)
    done = subprocess.run(
        [Path(sys.executable).parent / "kedro", "run"],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=True,
    )
    output = done.stdout + done.stderr
    for line in ("Running node: one", "Completed 1 out of 1", "FINISHED after"):
        assert line in output
    assert output.count("Loading data from params:a") == 1, "only the node's"
    for noise in ("as logging configuration", "typed parameter", "alembic"):
        assert noise not in output


def test_terminal_is_not_silent_while_the_run_opens(project: Project) -> None:
    """MLflow's import takes seconds on a cold start, before the run's first line."""
    project.write("src/tracked/pipeline_registry.py", REGISTRY)
    ours, its = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k != "CI"} | {"TERM": "xterm"}
    kedro = [Path(sys.executable).parent / "kedro", "run"]
    process = subprocess.Popen(kedro, cwd=project.path, stdout=its, stderr=its, env=env)
    os.close(its)
    shown = b""
    with suppress(OSError):  # how Linux reports the end
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)
    text = shown.decode()
    assert process.wait(60) == 0, text
    assert "Starting the MLflow run" in text
    assert text.index("Starting the MLflow run") < text.index("in the experiment")
