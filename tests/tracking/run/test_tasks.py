"""Tasks of a workflow, which share one run by its key."""

import importlib
import json
import platform
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import mlflow
import pytest
import yaml
from click import ClickException
from click.testing import CliRunner, Result
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline, node
from mlflow.entities import Run

from tests.loopback import wait_until
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


def run_options(project: Project, **options: str) -> None:
    """Set keys of ``tracking.run``."""
    file = project.path / "conf/local/mlflow.yml"
    content = yaml.safe_load(file.read_text("utf-8"))
    content["tracking"]["run"] = options
    project.write("conf/local/mlflow.yml", content)


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
    assert command(project, "finish", "--nodes", "first,train").exit_code == 0
    project.run(WORKFLOW, node_names=["last"])
    assert command(project, "finish").exit_code == 0
    (run,) = runs(project, server)
    assert (run.info.status, reports(run)["train"]) == ("FINISHED", ("FINISHED", 3))


def test_finish_knows_what_start_was_given(project: Project, server: str) -> None:
    command(project, "start", "--nodes", "first,last")
    for name in ("first", "last"):
        project.run(WORKFLOW, node_names=[name])
    done = command(project, "finish")
    assert (done.exit_code, "all 2 nodes" in done.stdout) == (0, True), done.output
    assert runs(project, server)[0].info.status == "FINISHED"


def test_run_of_a_task_stays_at_its_server(
    project: Project,
    server: str,
    switch: Switch,  # noqa: F811
) -> None:
    command(project, "start")
    switch.is_away = True
    project.run(WORKFLOW, node_names=["first"])
    switch.is_away = False
    file = project.path / "conf/local/mlflow.yml"
    right = file.read_text("utf-8")
    project.write("conf/local/mlflow.yml", right.replace(switch.proxy.uri, server))
    (waits,) = sync(project)
    assert waits["state"] == "waits"
    assert f"the run is at {switch.proxy.uri}" in waits["message"]
    project.write("conf/local/mlflow.yml", right)
    assert sync(project)[0]["state"] == "sent"


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


def test_tags_of_a_task_with_many_nodes_are_short_enough(project: Project) -> None:
    project.session(Pipeline([]))
    from tracked.tracking.run.task import Task, reports

    names = [f"a_rather_long_name_of_a_node_{n}" for n in range(1000)]
    tags = Task(names).report("FINISHED")
    assert max(map(len, tags.values())) < 5000
    assert list(reports(tags)) == sorted(names)
    assert Task(reversed(names)).report("FAILED").keys() == tags.keys()


def test_id_beside_a_key_is_a_sentence(project: Project) -> None:
    run_options(project, id="abc")
    with pytest.raises(ClickException, match="'abc', and the run has the key 'dag/"):
        project.run(WORKFLOW)


@pytest.fixture
def workflow(project: Project) -> ModuleType:
    """The project's own module that starts and finishes runs."""
    command(project, "start", "--help")  # imports the project
    return importlib.import_module("tracked.tracking.commands.workflow")


def test_starts_at_the_same_moment_are_one_run(
    project: Project, server: str, workflow: ModuleType
) -> None:
    arguments = (project.path, "local", ["__default__"], [], {})
    with ThreadPoolExecutor(4) as pool:
        pending = [pool.submit(workflow.start, *arguments) for _ in range(4)]
        (run_id,) = {each.result() for each in pending}
    (run,) = runs(project, server)
    assert run.info.run_id == run_id


def test_start_that_is_late_yields_to_the_run_that_is_settled(
    project: Project, server: str, workflow: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (project.path, "local", ["__default__"], [], {})
    run_id = workflow.start(*arguments)
    look, new_run, looks = workflow.runs_by_key, workflow.new_run, []

    def late_look(*found: Any) -> Any:
        looks.append(found)
        return look(*found) if looks[1:] else []

    def old_run(*given: Any, **named: Any) -> Any:
        return new_run(*given, **named)._replace(start_time=1)

    monkeypatch.setattr(workflow, "runs_by_key", late_look)
    monkeypatch.setattr(workflow, "new_run", old_run)
    assert workflow.start(*arguments) == run_id
    (run,) = runs(project, server)
    assert run.info.run_id == run_id


def test_start_goes_on_with_the_run_of_a_start_that_was_killed(
    project: Project, server: str, workflow: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "_UNSETTLED", 0.5)
    with monkeypatch.context() as patch:
        patch.setattr(
            "mlflow.MlflowClient.set_tag", Mock(side_effect=KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            workflow.start(project.path, "local", ["__default__"], [], {})
    run_id = workflow.start(project.path, "local", ["__default__"], [], {})
    (run,) = runs(project, server)
    assert (run.info.run_id, "kedro.workflow" in run.data.tags) == (run_id, True)


def test_start_logs_parameters_of_its_own_and_refuses_changes(
    project: Project, server: str
) -> None:
    assert command(project, "start", "--params", "a=7").exit_code == 0
    (run,) = runs(project, server)
    assert run.data.params["a"] == "7"
    assert run.data.tags["kedro_command"].endswith("--params a=7")
    done = command(project, "start", "--params", "a=8")
    assert (done.exit_code, "cannot become '8'" in done.output) == (1, True)


def test_workflow_without_a_key_or_without_tracking(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_MLFLOW_DISABLED", "true")
    for word in ("start", "finish"):
        assert command(project, word).exit_code == 0
    monkeypatch.delenv("KEDRO_MLFLOW_DISABLED")
    assert (
        "no pipeline 'nope'" in command(project, "start", "--pipelines", "nope").output
    )
    monkeypatch.delenv("KEDRO_MLFLOW_RUN_KEY")
    done = command(project, "start")
    assert (done.exit_code, "has no key" in done.output) == (1, True)


# --- A server that is away, a task that is killed --------------------------------


def test_task_without_a_server_is_recorded_and_finish_sends_it(
    project: Project,
    server: str,
    switch: Switch,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command(project, "start")
    project.run(WORKFLOW, node_names=["first"])
    switch.is_away = True
    project.run(Pipeline([node(train, "params:a", "history", name="train")]))
    project.run(WORKFLOW, node_names=["last"])
    monkeypatch.setenv("KEDRO_MLFLOW_OFFLINE", "never")
    with pytest.raises(ClickException, match="503"):
        project.run(WORKFLOW, node_names=["last"])
    done = command(project, "finish")
    assert (done.exit_code, "503" in done.output) == (1, True)
    switch.is_away = False
    assert len(outboxes(project)) == 2
    done = command(project, "finish")
    assert done.exit_code == 0, done.output
    (run,) = runs(project, server)
    assert run.info.status == "FINISHED"
    assert history(run, "history", server) == [0.9, 0.5, 0.3]
    client = mlflow.MlflowClient(server)
    assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["last.json"]
    assert not outboxes(project)


REGISTRY = """
import time
from pathlib import Path
import mlflow
from kedro.pipeline import Pipeline, node

def wait_for(name):
    while not Path(name).exists():
        time.sleep(0.05)

def train(a):
    mlflow.start_run(nested=True, run_name="child")
    Path("begun").touch()
    wait_for("away")
    for step, value in enumerate([0.9, 0.5, 0.3]):
        mlflow.MlflowClient().log_metric(mlflow.active_run().data.tags["mlflow.parentRunId"], "history", value, step=step)
    Path("logged").touch()
    time.sleep(100)

def register_pipelines():
    return {"__default__": Pipeline([node(train, "params:a", "history", name="train")])}
"""


def test_killed_task_is_noticed_and_its_retry_counts_once(
    project: Project,
    server: str,
    switch: Switch,  # noqa: F811
) -> None:
    pipeline = Pipeline([node(train, "params:a", "history", name="train")])
    command(project, "start", pipeline=pipeline)
    project.write("src/tracked/pipeline_registry.py", REGISTRY)
    words = [Path(sys.executable).with_name("kedro"), "run"]
    process = subprocess.Popen(words, cwd=project.path)
    wait_until((project.path / "begun").exists)
    switch.is_away = True
    (project.path / "away").touch()
    wait_until((project.path / "logged").exists)
    process.kill()
    process.wait(30)
    switch.is_away = False
    (left,) = outboxes(project)
    elsewhere = project.path / "elsewhere"  # the same, on another machine
    shutil.copytree(left.parent, elsewhere)
    about = next(elsewhere.glob("*/run.json"))
    about.write_text(about.read_text().replace(platform.node(), "elsewhere"))

    done = command(project, "finish", pipeline=pipeline)
    assert (done.exit_code, "killed, or still running: train" in done.output) == (
        1,
        True,
    )
    child, run = runs(project, server)[::-1]
    assert (run.info.status, child.info.status) == ("FAILED", "KILLED")
    assert history(run, "history", server) == [0.9, 0.5, 0.3]

    project.run(pipeline)
    assert history(run, "history", server) == [0.9, 0.5, 0.3]
    (sent,) = sync(project, str(elsewhere), "--any-host")
    assert sent["state"] == "sent", sent
    done = command(project, "finish", pipeline=pipeline)
    assert done.exit_code == 0, done.output
    run = runs(project, server)[0]
    assert (run.info.status, reports(run)) == ("FINISHED", {"train": ("FINISHED", 2)})
    assert history(run, "history", server) == [0.9, 0.5, 0.3]
    assert all(r.info.status != "RUNNING" for r in runs(project, server))


# --- Children ---------------------------------------------------------------------


@pytest.mark.parametrize("by", ["id", "key"])
def test_run_with_a_parent_is_its_child_in_every_thread(
    project: Project, server: str, monkeypatch: pytest.MonkeyPatch, by: str, key: str
) -> None:
    run_id = command(project, "start").stdout.splitlines()[-1]
    monkeypatch.delenv("KEDRO_MLFLOW_RUN_KEY")
    monkeypatch.setenv("SWEEP", run_id if by == "id" else key)
    run_options(project, parent="${oc.env:SWEEP}")
    trial = Pipeline([FIRST])
    project.session(trial)

    def run_trial(number: int) -> None:
        with KedroSession.create(
            project.path, save_on_close=False, runtime_params={"a": number}
        ) as session:
            session.run()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run_trial, range(4)))
    children = [run for run in runs(project, server) if run.info.run_id != run_id]
    assert sorted(run.data.params["a"] for run in children) == ["0", "1", "2", "3"]
    parents = {run.data.tags["mlflow.parentRunId"] for run in children}
    assert (parents, {run.info.status for run in children}) == ({run_id}, {"FINISHED"})


@pytest.mark.parametrize("parent", ["0" * 32, "unknown/key"])
def test_parent_that_is_not_there_is_a_sentence(
    project: Project, monkeypatch: pytest.MonkeyPatch, parent: str
) -> None:
    monkeypatch.delenv("KEDRO_MLFLOW_RUN_KEY")
    run_options(project, parent=parent)
    with pytest.raises(ClickException, match=f"{parent}'.*(no such run|start)"):
        project.run(WORKFLOW)
