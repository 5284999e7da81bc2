"""A project of its own, in which nodes log what a workflow is checked for."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from mlflow.entities import Run

from tests.conftest import TEMPLATE, Render
from tests.loopback import wait_until

ENGINES = Path(os.environ.get("ENGINES", ".engines")).absolute()
"""The folder with the environments of the engines."""

REGISTRY = '''
import os
import signal
import time
from pathlib import Path

import mlflow
from kedro.pipeline import Pipeline, node


def prepare(a):
    mlflow.log_metric("fluent", a)
    return a


def train(a, b):
    """Fail, be killed or sleep, if a file says so; once, whoever reads it first."""
    with mlflow.start_run(nested=True, run_name="child"):
        mlflow.log_metric("inner", 1)
    mistake = Path("mistake")
    what = mistake.read_text() if mistake.exists() else ""
    if what.endswith("once"):
        try:
            mistake.unlink()
        except FileNotFoundError:
            what = ""
    if what.startswith("fail"):
        raise ZeroDivisionError("the node's own words")
    if what.startswith("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if what.startswith("sleep"):
        Path("asleep").write_text(str(os.getpid()))
        time.sleep(600)
    return [0.9, 0.5, 0.3]


def report(prepared, history):
    return {"prepared": prepared, "last": history[-1]}


def register_pipelines():
    return {
        "__default__": Pipeline(
            [
                node(prepare, "params:a", "m_prepared", name="prepare"),
                node(train, ["m_prepared", "params:b"], "history", name="train"),
                node(report, ["m_prepared", "history"], "file_report", name="report"),
            ]
        )
    }
'''
CATALOG = {
    "m_{name}": {"type": "tracked.tracking.MlflowMetricDataset"},
    "history": {"type": "tracked.tracking.MlflowMetricHistoryDataset"},
    "file_{name}": {
        "type": "tracked.tracking.MlflowArtifactDataset",
        "dataset": {"type": "json.JSONDataset", "filepath": "data/{name}.json"},
    },
}
OF_THE_RUN = {"console", "console.log", "pipeline.svg", "source"}
"""What a run may record of itself."""


class Workflow:
    """A project whose pipeline an engine runs.

    Args:
        path: the project.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._write("conf/base/parameters.yml", yaml.safe_dump({"a": 1.0, "b": 2.0}))
        self._write("conf/base/catalog.yml", yaml.safe_dump(CATALOG))
        self._write("src/tracked/pipeline_registry.py", REGISTRY)

    def _write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text, "utf-8")

    def mistake(self, what: str) -> None:
        """Let the node ``train`` do what is said: fail, kill or sleep, or fail once, …"""
        self._write("mistake", what)

    def call(
        self, *words: object, code: int | None = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Call a command in the project, and check its exit code, if there is one."""
        done = subprocess.run(
            [str(word) for word in words],
            cwd=self.path,
            env=self._environment(variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if code is not None:
            output = (done.stdout + done.stderr)[-6000:]
            assert bool(done.returncode) == bool(code), output
        return done

    @contextmanager
    def stopped(
        self, *words: object, seconds: float = 60, **variables: str
    ) -> Iterator[None]:
        """Call a command whose node sleeps; press Ctrl-C at the end of the block.

        The command and the node are gone some seconds later.
        """
        asleep = self.path / "asleep"
        asleep.unlink(missing_ok=True)
        self.mistake("sleep")
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=self.path,
            env=self._environment(variables),
            start_new_session=True,
        )
        try:
            wait_until(lambda: asleep.exists() and asleep.read_text() != "")
            yield
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            assert process.wait(seconds) != 0
            wait_until(lambda: not Path("/proc", asleep.read_text()).exists(), seconds)
        finally:
            process.kill()
            self.path.joinpath("mistake").unlink()

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        found = [str(Path(sys.executable).parent), os.environ["PATH"]]
        env = {**os.environ, "PATH": os.pathsep.join(found), **variables}
        return {**env, "PYTHONPATH": str(self.path / "src")}

    def runs(self) -> tuple[list[Run], list[Run]]:
        """The runs of workflows and the nested ones, oldest first."""
        client = self.client
        ids = [e.experiment_id for e in client.search_experiments()]
        found = client.search_runs(ids, order_by=["attributes.start_time"])
        nested = [run for run in found if "mlflow.parentRunId" in run.data.tags]
        return [run for run in found if run not in nested], nested

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(f"sqlite:///{self.path}/mlruns/mlflow.db")

    def check_whole(self, run: Run, children: int = 1) -> None:
        """Check that a run has all that the nodes log, once."""
        assert run.data.params == {"a": "1.0", "b": "2.0"}
        assert run.data.metrics == {"fluent": 1, "m_prepared": 1, "history": 0.3}
        for key, values in {"fluent": [1], "history": [0.9, 0.5, 0.3]}.items():
            history = self.client.get_metric_history(run.info.run_id, key)
            assert [metric.value for metric in history] == values
        files = {f.path for f in self.client.list_artifacts(run.info.run_id)}
        assert files - OF_THE_RUN == {"report.json"}
        assert {"kedro_command", "kedro.version"} <= run.data.tags.keys()
        _, nested = self.runs()
        mine = [
            c for c in nested if c.data.tags["mlflow.parentRunId"] == run.info.run_id
        ]
        assert len(mine) == children
        assert not [c for c in mine if c.info.status == "RUNNING"]


def reports(run: Run) -> dict[str, tuple[str, int]]:
    """The status and the attempt that each task has reported, by its nodes."""
    values = [v for k, v in run.data.tags.items() if k.startswith("kedro.task.")]
    found: list[dict[str, Any]] = [json.loads(value) for value in values]
    return {
        "+".join(each["nodes"]): (each["status"], each["attempt"]) for each in found
    }


def examples(page: str, language: str) -> list[str]:
    """The examples of a page of docs/orchestrators, word by word."""
    text = (TEMPLATE / "docs" / "orchestrators" / f"{page}.md").read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def kedro() -> str:
    """The command of this environment, in which the projects of these tests run."""
    return str(Path(sys.executable).with_name("kedro"))


@pytest.fixture(scope="session")
def workflow_of(render: Render) -> Any:
    """Return a function that renders a workflow for an answer to copier."""

    def make(orchestrator: str) -> Workflow:
        answers: dict[str, Any] = {"project_name": "Tracked", "environments": {}}
        answers |= {"sample_pipeline": False, "orchestrator": orchestrator}
        return Workflow(render(**answers))

    return make
