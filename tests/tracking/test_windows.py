"""What a project does on Windows, as far as it can be seen elsewhere.

Each command runs in processes from which ``windows/sitecustomize.py`` takes what Windows
lacks: fork, signals, links, and UTF-8 for the terminal and for files. That ``fcntl`` is not
needed, ``outbox/test_disk.py`` tests.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE
from tests.tracking.conftest import Project

HERE = Path(__file__).parent
PIPELINE = """
from kedro.pipeline import Pipeline, node
from tests.tracking import nodes

def register_pipelines():
    both = [node(nodes.log_in_node, f"params:{n}", f"m_{n}", name=n) for n in "ab"]
    text = node(nodes.same, "params:sign", "text", name="Größe")
    return {"__default__": Pipeline([*both, text])}
"""
CATALOG = """
"m_{n}": {type: tracked.tracking.MlflowMetricDataset}
text:
  type: tracked.tracking.MlflowArtifactDataset
  dataset: {type: text.TextDataset, filepath: data/größe.txt}
  artifact_path: a/b
"""


def kedro(project: Project, *words: str) -> str:
    done = subprocess.run(
        [Path(sys.executable).parent / "kedro", *words],
        cwd=project.path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE / "windows"), str(TEMPLATE)]),
            "PYTHONIOENCODING": "cp1252",
            "PYTHONWARNDEFAULTENCODING": "1",
            "KEDRO_MP_CONTEXT": "spawn",
        },
        capture_output=True,
        encoding="cp1252",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def tracked(project: Project) -> Project:
    project.write("src/tracked/pipeline_registry.py", PIPELINE)
    project.write("conf/base/catalog.yml", CATALOG)
    project.write("conf/base/parameters.yml", "a: 1\nb: 2.5\nsign: →\n")
    return project


@pytest.mark.slow
def test_run_and_commands_do_without_what_windows_lacks(tracked: Project) -> None:
    said = kedro(tracked, "run", "--runner", "ParallelRunner")
    run = tracked.only_run()
    assert run.info.status == "FINISHED"
    assert run.data.params["sign"] == "→"
    assert run.data.metrics == {"fluent_1": 1, "fluent_2.5": 2.5, "m_a": 1, "m_b": 2.5}
    files = tracked.client.list_artifacts(run.info.run_id, "a/b")
    assert [file.path for file in files] == ["a/b/größe.txt"]
    assert "Traceback" not in said
    listed = kedro(tracked, "mlflow", "runs")
    assert "FINISHED" in listed
