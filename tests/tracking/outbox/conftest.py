"""A server that can go away, in front of a real one."""

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from kedro.framework.startup import bootstrap_project
from mlflow.entities import Run

from tests.recorder import Answer, Recorder, Spoil, recorder
from tests.tracking.conftest import NO_RECORDS, Project, kedro, kedro_here

METRIC = {"type": "tracked.tracking.MlflowMetricDataset"}
ARTIFACT = {
    "type": "tracked.tracking.MlflowArtifactDataset",
    "dataset": {"type": "json.JSONDataset", "filepath": "data/{name}.json"},
}


class Switch:
    """Lets a server go away and come back.

    Attributes:
        is_away: whether every request ends without an answer.
        delay: what else is done with the answer to a request.
        proxy: what the server has been asked.
    """

    proxy: Recorder
    delay: Spoil | None = None

    def __init__(self) -> None:
        self.is_away = False

    def spoil(self, path: str, body: bytes, answer: Callable[[], Answer]) -> Answer:
        if self.is_away:
            return 503, b"away"
        return self.delay(path, body, answer) if self.delay else answer()

    def turn(self, is_away: bool) -> Callable[[float], float]:
        """Return the function of a node that turns the server off or on."""

        def turned(value: float) -> float:
            self.is_away = is_away
            return value

        return turned


@pytest.fixture
def switch(
    project: Project, server: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Switch]:
    """The switch of the project's server, whose catalog has metrics and artifacts."""
    bootstrap_project(project.path)  # takes away caplog's handler, the first time
    lifecycle = importlib.import_module("tracked.tracking.run.lifecycle")
    monkeypatch.setattr(lifecycle, "_LAST_WAIT", 2.0)  # as short as a test likes it
    found = Switch()
    with recorder(server, spoil=found.spoil) as found.proxy:
        project.mlflow_yml(
            f"server: {{mlflow_tracking_uri: '{found.proxy.uri}'}}\n"
            f"tracking: {{experiment: {{name: {project.path.parent.name}}}, "
            f"record: {json.dumps(NO_RECORDS)}}}"
        )
        project.write("conf/base/parameters.yml", {"a": 1.0})
        project.write(
            "conf/base/catalog.yml",
            {"m_{name}": METRIC, "file_{name}": ARTIFACT},
        )
        yield found


def runs(project: Project, server: str) -> list[Run]:
    """The runs of a project on the server, oldest first."""
    client = mlflow.MlflowClient(server)
    experiment = client.get_experiment_by_name(project.path.parent.name)
    if experiment is None:
        return []
    order = ["attributes.start_time"]
    return list(client.search_runs([experiment.experiment_id], order_by=order))


def outboxes(project: Project) -> list[Path]:
    """The outboxes that are left in a project."""
    return [file.parent for file in project.path.glob("mlruns/outbox/*/run.json")]


def sync(project: Project, *words: str) -> list[dict[str, Any]]:
    """Call ``kedro mlflow sync`` in this process, which saves its start."""
    done = kedro_here(project, "sync", "--format", "json", *words)
    return _found(done.stdout, done.returncode, done.stderr)


def command(project: Project, *words: str) -> list[dict[str, Any]]:
    """Call a command that lists something, in this process."""
    done = kedro_here(project, *words, "--format", "json")
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def sync_in_a_process(project: Project) -> list[dict[str, Any]]:
    """Call ``kedro mlflow sync`` as a user would."""
    done = kedro(project.path, "sync", "--format", "json")
    return _found(done.stdout, done.returncode, done.stderr)


def _found(stdout: str, code: int, output: str) -> list[dict[str, Any]]:
    assert stdout, output
    found: list[dict[str, Any]] = json.loads(stdout.splitlines()[-1])
    assert code == any(each["state"] == "waits" for each in found)
    return found
