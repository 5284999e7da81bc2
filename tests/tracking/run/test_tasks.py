"""Tasks of a workflow, which share one run by its key."""

import importlib
import json
import time

import mlflow
import pytest
from click import ClickException
from click.testing import CliRunner, Result
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline, node
from mlflow.entities import Run

from tests.tracking import nodes
from tests.tracking.conftest import Project
from tests.tracking.outbox.conftest import (  # noqa: F401  # a fixture
    Switch,
    outboxes,
    runs,
    switch,
    sync,
)

HISTORY = {"type": "tracked.tracking.MlflowMetricHistoryDataset"}


def train(value: float) -> list[float]:
    mlflow.log_metric("again", 1)
    time.sleep(0.01)  # MLflow keeps one of equal points of one millisecond
    mlflow.log_metric("again", 1)
    return [0.9, 0.5, 0.3]


def fail_late(value: object) -> float:
    train(1.0)
    raise ZeroDivisionError("the node's own words")


FIRST = node(nodes.same, "params:a", "m_first", name="first")
TRAIN = node(train, "m_first", "history", name="train")
LAST = node(nodes.log_in_node, "params:b", "file_last", name="last")
WORKFLOW = Pipeline([FIRST, TRAIN, LAST])


@pytest.fixture(autouse=True)
def key(project: Project, switch: Switch, monkeypatch: pytest.MonkeyPatch) -> str:  # noqa: F811
    project.write("conf/base/parameters.yml", {"a": 1.0, "b": 2.0})
    catalog = (project.path / "conf/base/catalog.yml").read_text("utf-8")
    project.write("conf/base/catalog.yml", f"{catalog}history: {json.dumps(HISTORY)}\n")
    monkeypatch.setenv("KEDRO_MLFLOW_RUN_KEY", "dag/2026-11-27T16:00:00+00:00")
    return "dag/2026-11-27T16:00:00+00:00"


def command(project: Project, *words: str, pipeline: Pipeline = WORKFLOW) -> Result:
    """Call ``kedro mlflow …`` in this process."""
    metadata = bootstrap_project(project.path)
    project.session(pipeline)
    commands = importlib.import_module("tracked.tracking.commands.cli").mlflow_commands
    return CliRunner().invoke(commands, list(words), obj=metadata)


def reports(run: Run) -> dict[str, tuple[str, int]]:
    """The status and the attempt that each task has reported, by its nodes."""
    found = [
        json.loads(v) for k, v in run.data.tags.items() if k.startswith("kedro.task.")
    ]
    return {
        "+".join(each["nodes"]): (each["status"], each["attempt"]) for each in found
    }


def history(run: Run, key: str, server: str) -> list[float]:
    client = mlflow.MlflowClient(server)
    return [m.value for m in client.get_metric_history(run.info.run_id, key)]


def test_tasks_of_a_workflow_are_one_run(
    project: Project, server: str, key: str
) -> None:
    started = command(project, "start")
    run_id = started.stdout.splitlines()[-1]
    assert command(project, "start").stdout.splitlines()[-1] == run_id
    for name in ("first", "train", "last"):
        project.run(WORKFLOW, node_names=[name])
        (run,) = runs(project, server)
        assert run.info.status == "RUNNING"
    assert run.info.run_id == run_id
    assert run.data.params == {"a": "1.0", "b": "2.0"}
    assert run.data.tags["kedro.run_key"] == key
    assert (
        run.data.tags["kedro_command"]
        == "kedro run --pipelines __default__ --env local"
    )
    assert set(reports(run).values()) == {("FINISHED", 1)}
    assert run.data.metrics == {"m_first": 1, "history": 0.3, "again": 1, "fluent_2": 2}
    assert history(run, "history", server) == [0.9, 0.5, 0.3]

    done = command(project, "finish")
    assert (done.exit_code, "all 3 nodes" in done.stdout) == (0, True), done.output
    (run,) = runs(project, server)
    assert (run.info.status, outboxes(project)) == ("FINISHED", [])


def test_finish_names_what_is_missing_and_what_has_failed(
    project: Project, server: str
) -> None:
    command(project, "start")
    project.run(WORKFLOW, node_names=["first"])
    failing = Pipeline([FIRST, node(fail_late, "m_first", None, name="train"), LAST])
    with pytest.raises(ZeroDivisionError):
        project.run(failing, node_names=["train"])
    (run,) = runs(project, server)
    assert run.info.status == "RUNNING"
    done = command(project, "finish")
    assert done.exit_code == 1
    assert "failed: train; without a report: last" in done.stdout, done.output
    (run,) = runs(project, server)
    assert run.info.status == "FAILED"

    # A retry reopens the run, and what it logs again is not there twice.
    project.run(WORKFLOW, node_names=["train"])
    (run,) = runs(project, server)
    assert run.info.status == "RUNNING"
    assert reports(run)["train"] == ("FINISHED", 2)
    assert history(run, "again", server) == [1, 1]
    project.run(WORKFLOW, node_names=["train"])
    assert history(run, "history", server) == [0.9, 0.5, 0.3]
    assert history(run, "again", server) == [1, 1]
    project.run(WORKFLOW, node_names=["last"])
    assert command(project, "finish").exit_code == 0
    (run,) = runs(project, server)
    assert (run.info.status, reports(run)["train"]) == ("FINISHED", ("FINISHED", 3))


def test_key_that_no_run_has_is_a_sentence_with_the_command(
    project: Project, server: str
) -> None:
    with pytest.raises(
        ClickException, match="no|No run .* kedro mlflow start --env local"
    ):
        project.run(WORKFLOW)
    assert runs(project, server) == []
    done = command(project, "finish")
    assert (done.exit_code, "kedro mlflow start" in done.output) == (1, True)


@pytest.mark.parametrize("bad", ["it's", "https://me:pw@host", "x" * 251])
def test_key_that_cannot_be_used_is_a_sentence(
    project: Project, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    monkeypatch.setenv("KEDRO_MLFLOW_RUN_KEY", bad)
    with pytest.raises(ClickException, match="use at most 250 characters"):
        project.run(WORKFLOW)


def test_task_costs_five_requests(project: Project, switch: Switch) -> None:  # noqa: F811
    """Experiment, run, report, what the node logs, what it saves with the last report."""
    command(project, "start")
    for number, most in enumerate(
        (5, 5 + len(("again", "history")))
    ):  # a retry compares
        before = switch.proxy.counts.copy()
        project.run(Pipeline([node(train, "params:a", "history", name="train")]))
        seen = switch.proxy.counts - before
        assert seen.total() <= most, (number, seen)
