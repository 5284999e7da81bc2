"""A newcomer follows the tutorial: copies, installs, runs, looks, changes, compares."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from tests.conftest import Render
from tests.e2e.newcomer import PACKAGE, command, runs, succeed
from tests.e2e.reader import Reader


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody at the end of the tutorial, with MLflow's pages still open."""
    with Reader("docs/tutorial.md", tmp_path_factory.mktemp("tutorial")) as reader:
        assert len(list(reader.activate())) > 5
        yield reader


@pytest.fixture
def ran(reader: Reader) -> Path:
    """The tutorial's project, which has run twice."""
    return reader.project


def test_run_has_parameters_metrics_picture_and_model(ran: Path) -> None:
    first = runs(ran)[-1]
    client = mlflow.MlflowClient(f"sqlite:///{ran.as_posix()}/mlruns/mlflow.db")
    assert first.info.status == "FINISHED"
    assert first.data.params["classifier.C"] == "1.0"
    scores = {"accuracy", "f1_adelie", "f1_chinstrap", "f1_gentoo"}
    assert set(first.data.metrics) == scores
    assert first.data.metrics["accuracy"] > 0.9
    artifacts = {a.path for a in client.list_artifacts(first.info.run_id)}
    assert artifacts == {"confusion_matrix.png", "console.log", "pipeline.svg"}
    (given,) = first.inputs.dataset_inputs
    assert given.dataset.name == "penguins"
    models = client.search_logged_models([first.info.experiment_id])
    ours = {m.name: m for m in models if m.source_run_id == first.info.run_id}
    assert set(ours) == {"classifier", "penguin_model"}
    model = ours["classifier"]
    requirements = Path(model.artifact_location.removeprefix("file://"))
    pins = (requirements / "requirements.txt").read_text().splitlines()
    assert any(pin.startswith("scikit-learn==") for pin in pins)


def test_second_run_has_what_the_tutorial_adds_and_changes(ran: Path) -> None:
    second, first = runs(ran)
    assert second.info.status == "FINISHED"
    assert second.data.params["classifier.C"] == "0.01"
    assert second.data.params["folds"] == "5"
    assert set(second.data.metrics) - set(first.data.metrics) == {"mean_accuracy"}
    client = mlflow.MlflowClient(f"sqlite:///{ran.as_posix()}/mlruns/mlflow.db")
    artifacts = {a.path for a in client.list_artifacts(second.info.run_id)}
    assert artifacts >= {"confusion_matrix.png", "fold_scores.csv", "source"}
    patch = client.download_artifacts(second.info.run_id, "source/changes.patch")
    assert "+folds: 5" in Path(patch).read_text("utf-8")


def test_project_passes_its_own_tests(ran: Path) -> None:
    assert "passed" in succeed(ran, "uv", "run", "pytest")
    assert len(runs(ran)) == 2, "the tests have a store of their own"


def test_store_and_artifacts_are_the_projects_from_any_folder(render: Render) -> None:
    project = render()
    succeed(project, "kedro", "run", cwd="data/08_reporting")
    (run,) = runs(project)
    assert run.info.artifact_uri.startswith((project / "mlruns").as_uri())
    ours = [p.relative_to(project).as_posix() for p in project.rglob("ml*")]
    stores = [p for p in ours if p.endswith(("mlruns", "mlflow.db", "mlartifacts"))]
    assert stores == ["mlruns", "mlruns/mlflow.db"]


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_plugin_kedro_mlflow_is_disabled_where_it_is_installed(render: Render) -> None:
    project = render()
    succeed(project, "uv", "sync")
    succeed(project, "uv", "pip", "install", "kedro-mlflow==2.0.3")
    succeed(project, ".venv/bin/kedro", "run")
    (run,) = runs(project)
    assert run.data.params["classifier.C"] == "1.0"
    assert "Say where runs would go" in succeed(
        project, ".venv/bin/kedro", "mlflow", "--help"
    )


@pytest.mark.slow
def test_pipeline_is_served(ran: Path) -> None:
    with Reader("docs/serve-it.md", ran) as reader:
        assert len(list(reader.activate())) > 5
        by_file, by_http, unsure = reader.answers
    assert '{"species": "Adelie", "probability": 0.76' in by_file
    assert '"species": "Gentoo"' in by_file
    assert '"species": "Adelie"' in by_http
    assert '"species": "unknown"' in unsure


def test_ui_serves_the_run(ran: Path, reader: Reader) -> None:
    run, page = runs(ran)[0], reader.address
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
