"""Cells of a notebook log to the server and experiment of the project."""

import re
from pathlib import Path

import mlflow
import nbformat
import pytest
from nbclient import NotebookClient

from tests.recorder import recorder
from tests.tracking.conftest import Project

REGISTRY = """
from kedro.pipeline import Pipeline, node

def work(a):
    import mlflow
    mlflow.log_metric("of_the_node", a)
    if a < 0:
        raise KeyboardInterrupt
    return a

def register_pipelines():
    pipeline = Pipeline([node(work, "params:a", "score", name="work")])
    return {"__default__": pipeline, "untracked": pipeline}
"""
OPEN = "%load_ext kedro.ipython\nimport os, sys"


@pytest.fixture
def notebook(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a pipeline and with metrics that have no key."""
    monkeypatch.setenv("JUPYTER_COLUMNS", "500")  # sentences in one line
    project.write("src/tracked/pipeline_registry.py", REGISTRY)
    project.write("conf/base/parameters.yml", {"a": 1})
    metric = {"type": "tracked.tracking.MlflowMetricDataset"}
    project.write("conf/base/catalog.yml", {"score": metric, "f1_{species}": metric})
    return project


def said(project: Project, *cells: str) -> list[str]:
    """Run cells in a new kernel; return the output of each, an error included."""
    document = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, cells)])
    NotebookClient(
        document,
        timeout=120,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(project.path / "notebooks")}},
    ).execute()
    texts = ["".join(map(_text, cell.outputs)) for cell in document.cells]
    return [re.sub(r"\x1b\[[0-9;]*m", "", text) for text in texts]


def _text(output: nbformat.NotebookNode) -> str:
    if output.output_type == "stream":
        return str(output.text)
    if output.output_type == "error":
        return "\n".join(output.traceback)
    return str(output.data["text/plain"])


def metrics(
    project: Project, store: str | None = None, experiment: str = "tracked"
) -> list[dict[str, float]]:
    """Return the metrics of each run, oldest first; a local store has no other runs."""
    uri = store or project.store
    found = mlflow.MlflowClient(uri).get_experiment_by_name(experiment)
    assert found
    ours = [r.info.experiment_id == found.experiment_id for r in project.runs(uri)]
    assert all(ours) or uri.startswith("http")
    return [
        r.data.metrics for r, our in zip(project.runs(uri), ours, strict=True) if our
    ]


def test_cells_and_runs_log_to_the_experiment_of_the_project(notebook: Project) -> None:
    loaded, shown, *_, old = said(
        notebook,
        f"{OPEN}\nprint('mlflow' in sys.modules)",
        "context.mlflow",
        "import mlflow\nmlflow.log_metric('a', 1)",
        "catalog.save('score', 0.5)\ncatalog.save('f1_adelie', 0.25)",
        "first = mlflow.active_run().info.run_id\nmlflow.end_run()",
        "session.run()",
        "from tracked.tracking import MlflowMetricDataset\n"
        "catalog['old'] = MlflowMetricDataset('a', first)\n"
        "print(catalog.load('old'))",
        "mlflow.log_metric('b', 1)\nprint(mlflow.active_run().info.artifact_uri)",
    )
    assert loaded.endswith("False\n")
    assert "mlflow_tracking_uri: null" in shown
    assert metrics(notebook) == [
        {"a": 1, "score": 0.5, "f1_adelie": 0.25},
        {"score": 1, "of_the_node": 1},
        {"b": 1},
    ]
    assert {run.info.status for run in notebook.runs()} == {"FINISHED"}
    assert (notebook.path / "mlruns").as_uri() in old
    kept = [path.name for path in (notebook.path / "notebooks").iterdir()]
    assert kept == [".gitkeep"], "a stray store"


def test_reload_moves_to_another_environment_and_doubles_nothing(
    notebook: Project, server: str, tmp_path: Path
) -> None:
    notebook.write("conf/local/credentials.yml", {"m": {"MLFLOW_GATEWAY_TOKEN": "one"}})
    notebook.write("conf/qa/mlflow.yml", {"server": {"mlflow_tracking_uri": "data/qa"}})
    kind = "tracked.request_headers.CustomRequestHeaderProvider"
    with recorder(server) as seen:
        notebook.mlflow_yml(
            f"server: {{mlflow_tracking_uri: '{seen.uri}', credentials: m, "
            f"request_header_provider: {{type: {kind}}}}}\n"
            "tracking: {experiment: {name: notebook}}"
        )
        variables = "print({k for k in os.environ if k.startswith('MLFLOW_')})"
        by_hand = (
            "from kedro.framework.session import KedroSession\n"
            "with KedroSession.create(context.project_path, env='local') as other:\n"
            "    other.run()"
        )
        *_, qa, _, after, back = said(
            notebook,
            f"{OPEN}\nimport mlflow\nmlflow.log_metric('a', 1)",
            "%reload_kedro\nmlflow.log_metric('still', 1)",
            "%reload_kedro --env qa\nmlflow.log_metric('b', 1)\nmlflow.end_run()",
            variables,
            by_hand,
            "mlflow.log_metric('c', 1)\nmlflow.end_run()\nprint(mlflow.get_tracking_uri())",
            "%reload_kedro --env local\nmlflow.log_metric('d', 1)",
        )
    assert set(seen.logins) == {"Bearer one"}
    expected = [{"a": 1, "still": 1}, {"score": 1, "of_the_node": 1}, {"d": 1}]
    assert metrics(notebook, server, "notebook") == expected, back
    qa_store = f"sqlite:///{notebook.path.as_posix()}/data/qa/mlflow.db"
    assert metrics(notebook, qa_store) == [{"b": 1}, {"c": 1}]
    assert "MLFLOW_TRACKING_URI" in qa
    assert "MLFLOW_GATEWAY_TOKEN" not in qa
    assert "MLFLOW_TRACKING_AUTH" not in qa
    assert after.endswith("data/qa/mlflow.db\n")


def test_interrupted_run_leaves_the_notebook_its_server(notebook: Project) -> None:
    notebook.mlflow_yml("tracking: {disable_tracking: {pipelines: [untracked]}}")
    notebook.write("conf/base/parameters.yml", {"a": -1})
    said(
        notebook,
        OPEN,
        "session.run(pipeline_names=['untracked'])",
        "import mlflow\nmlflow.log_metric('a', 1)\nmlflow.end_run()",
        "%reload_kedro\nsession.run()",
        "mlflow.log_metric('b', 1)\nmlflow.end_run()",
    )
    assert metrics(notebook) == [{"a": 1}, {"of_the_node": -1}, {"b": 1}]
    assert [run.info.status for run in notebook.runs()][1] == "FAILED"


@pytest.mark.slow
def test_experiment_that_may_not_be_created_is_said_and_nothing_is_logged(
    notebook: Project,
) -> None:
    notebook.mlflow_yml("tracking: {experiment: {create: false}}")
    _, error = said(notebook, OPEN, "import mlflow\nmlflow.log_metric('a', 1)")
    assert "the experiment 'tracked' does not exist" in error
    assert notebook.runs() == []


@pytest.mark.slow
def test_login_that_is_missing_is_a_sentence_until_it_is_there(
    notebook: Project,
) -> None:
    notebook.mlflow_yml("server: {credentials: m}")
    file = "file = context.project_path / 'conf/local/credentials.yml'\n"
    _, error, _, again, _ = said(
        notebook,
        OPEN,
        "import mlflow",
        f"{file}file.write_text('m: {{A: 1}}')\n%reload_kedro\n"
        "import mlflow\nmlflow.log_metric('a', 1)",
        "file.write_text('n: {A: 1}')\n%reload_kedro",
        "mlflow.log_metric('b', 1)",
    )
    assert "TrackingError: conf/local/mlflow.yml: server.credentials is 'm'" in error
    assert "TrackingError: conf/local/mlflow.yml: server.credentials is 'm'" in again
    assert metrics(notebook) == [{"a": 1, "b": 1}]  # the notebook has not moved


def test_only_the_extension_touches_the_process(notebook: Project) -> None:
    asked = "print(os.environ.get('MLFLOW_TRACKING_URI'))"
    by_hand = (
        "import os, mlflow\n"
        "from pathlib import Path\n"
        "from kedro.framework.session import KedroSession\n"
        "from kedro.framework.startup import bootstrap_project\n"
        "bootstrap_project(Path('..').resolve())\n"
        "context = KedroSession.create(Path('..').resolve()).load_context()\n"
    )
    first, disabled = said(
        notebook,
        by_hand + asked,
        "%env KEDRO_MLFLOW_DISABLED=true\n%load_ext kedro.ipython\n" + asked,
    )
    for output in (first, disabled):
        assert output.splitlines()[-1] == "None"
