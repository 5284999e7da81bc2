"""A newcomer copies, installs, runs and looks, with every default."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from tests.conftest import Render

BIN = Path(sys.executable).parent
PACKAGE = "penguin_classifier"


def command(project: Path, *words: str, cwd: str = "") -> subprocess.CompletedProcess:
    env = {
        k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")
    }
    env["PATH"] = os.pathsep.join((str(BIN), env["PATH"]))
    return subprocess.run(
        words, cwd=project / cwd, env=env, capture_output=True, text=True, check=False
    )


def succeed(project: Path, *words: str, cwd: str = "") -> str:
    done = command(project, *words, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def runs(project: Path) -> list[Run]:
    client = mlflow.MlflowClient(f"sqlite:///{project.as_posix()}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name(PACKAGE)
    assert experiment
    return list(client.search_runs([experiment.experiment_id]))


@pytest.fixture(scope="module")
def ran(render: Render) -> Path:
    """A default project, installed with uv, that has run once from a subfolder."""
    project = render()
    succeed(project, "uv", "sync")
    output = succeed(project, "uv", "run", "kedro", "run", cwd="data/08_reporting")
    assert "pip version" not in output, "MLflow's warning in an environment of uv's"
    return project


def test_run_has_parameters_metrics_picture_and_model(ran: Path) -> None:
    (run,) = runs(ran)
    client = mlflow.MlflowClient(f"sqlite:///{ran.as_posix()}/mlruns/mlflow.db")
    assert run.info.status == "FINISHED"
    assert set(run.data.params) == {"split", "classifier"}
    scores = {"accuracy", "f1_adelie", "f1_chinstrap", "f1_gentoo"}
    assert set(run.data.metrics) == scores
    assert run.data.metrics["accuracy"] > 0.9
    assert [a.path for a in client.list_artifacts(run.info.run_id)] == [
        "confusion_matrix.png"
    ]
    (model,) = client.search_logged_models([run.info.experiment_id])
    assert model.source_run_id == run.info.run_id
    requirements = Path(model.artifact_location.removeprefix("file://"))
    pins = (requirements / "requirements.txt").read_text().splitlines()
    assert any(pin.startswith("scikit-learn==") for pin in pins)


def test_store_and_artifacts_are_the_projects_from_any_folder(ran: Path) -> None:
    (run,) = runs(ran)
    assert run.info.artifact_uri.startswith((ran / "mlruns").as_uri())
    ours = [p for p in ran.rglob("ml*") if ".venv" not in p.parts]
    stores = [p for p in ours if p.name in ("mlruns", "mlflow.db", "mlartifacts")]
    assert stores == [ran / "mlruns", ran / "mlruns" / "mlflow.db"]


def test_project_passes_its_own_tests(ran: Path) -> None:
    assert "passed" in succeed(ran, "uv", "run", "pytest")
    assert len(runs(ran)) == 1, "the tests have a store of their own"


def test_failing_node_fails_the_run_and_shows_its_exception(render: Render) -> None:
    project = render()
    nodes = project / f"src/{PACKAGE}/pipelines/penguins/nodes.py"
    nodes.write_text(
        nodes.read_text().replace(
            "    return make_pipeline(",
            "    raise ValueError('no ice')\n    return make_pipeline(",
        )
    )
    done = command(project, "kedro", "run")
    assert done.returncode == 1
    assert "ValueError: no ice" in done.stdout + done.stderr
    (run,) = runs(project)
    assert run.info.status == "FAILED"


def test_bad_mlflow_yml_is_a_sentence_and_no_traceback(render: Render) -> None:
    project = render()
    (project / "conf/local/mlflow.yml").write_text("tracking: {experimnt: {name: x}}")
    done = command(project, "kedro", "run")
    assert done.returncode == 1
    output = done.stdout + done.stderr
    assert "did you mean 'experiment'?" in output
    assert "Traceback" not in output
    assert "conf/local/mlflow.yml" in output


def test_it_installs_with_pip(render: Render, tmp_path: Path) -> None:
    project = render()
    succeed(project, sys.executable, "-m", "venv", ".venv")
    succeed(project, ".venv/bin/python", "-m", "pip", "install", "-q", "-e", ".[dev]")
    succeed(project, ".venv/bin/kedro", "run")
    (run,) = runs(project)
    assert run.info.status == "FINISHED"


def test_skinny_mlflow_tracks_and_says_how_to_see_the_pages(render: Render) -> None:
    project = render(mlflow_install="skinny")
    succeed(project, "uv", "sync")
    succeed(project, ".venv/bin/kedro", "run")
    (run,) = runs(project)
    assert (run.info.status, len(run.data.metrics)) == ("FINISHED", 4)
    shown = command(project, ".venv/bin/kedro", "mlflow", "ui")
    assert shown.returncode == 1
    assert "uvx mlflow@" in shown.stderr
    installed = succeed(project, "uv", "pip", "list", "--format", "freeze")
    assert "mlflow-skinny==" in installed
    assert "\nmlflow==" not in installed


def test_plugin_kedro_mlflow_is_disabled_where_it_is_installed(render: Render) -> None:
    project = render()
    succeed(project, "uv", "sync")
    succeed(project, "uv", "pip", "install", "kedro-mlflow==2.0.3")
    succeed(project, ".venv/bin/kedro", "run")
    (run,) = runs(project)
    assert set(run.data.params) == {"split", "classifier"}
    assert "Say where runs would go" in succeed(
        project, ".venv/bin/kedro", "mlflow", "--help"
    )


@pytest.fixture
def page(ran: Path) -> Iterator[str]:
    """The address at which ``kedro mlflow ui`` serves the project."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    words = [ran / ".venv/bin/kedro", "mlflow", "ui", "--port", str(port)]
    server = subprocess.Popen(words, cwd=ran, stdout=subprocess.DEVNULL)
    address = f"http://localhost:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).read()
                break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None, "the server has ended"
                time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def test_ui_serves_the_run(ran: Path, page: str) -> None:
    (run,) = runs(ran)
    with urllib.request.urlopen(page, timeout=30) as response:
        assert b"<title>MLflow</title>" in response.read()
    query = f"{page}/api/2.0/mlflow/runs/get?run_id={run.info.run_id}"
    with urllib.request.urlopen(query, timeout=30) as response:
        assert b'"accuracy"' in response.read()
    picture = (
        f"{page}/get-artifact?path=confusion_matrix.png&run_uuid={run.info.run_id}"
    )
    with urllib.request.urlopen(picture, timeout=30) as response:
        assert response.read().startswith(b"\x89PNG")
