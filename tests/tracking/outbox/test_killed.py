"""A run whose process has died is settled by the next one."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
import yaml
from kedro.pipeline import Pipeline, node

from tests.conftest import TEMPLATE
from tests.loopback import wait_until
from tests.tracking import nodes
from tests.tracking.conftest import Project, kedro, kedro_here
from tests.tracking.outbox.conftest import Switch, command, outboxes, runs, sync

REGISTRY = """
import os, time
import mlflow
from pathlib import Path
from kedro.pipeline import Pipeline, node

def log(a):
    mlflow.log_metric("plain", a)
    return a

def same(a):
    return a

def wait(a):
    Path(f"waiting-{os.getpid()}").touch()
    time.sleep(100)

def register_pipelines():
    return {"__default__": Pipeline([
        node(log, "params:a", "m_first"),
        node(same, "m_first", "file_kept", name="save"),
        node(wait, "file_kept", None, name="w1"),
        node(wait, "m_first", None, name="w2"),
    ])}
"""

SWEEP = f"""{REGISTRY}
from kedro.framework.session import KedroSession

def sweep(a):
    for trial in ("quick", "slow"):
        with KedroSession.create(save_on_close=False) as session:
            session.run(pipeline_names=[trial])

def register_pipelines():
    return {{
        "__default__": Pipeline([node(sweep, "params:a", None, name="sweep")]),
        "quick": Pipeline([node(log, "params:a", "m_first", name="quick")]),
        "slow": Pipeline([node(wait, "params:a", None, name="slow")]),
    }}
"""


def start(
    project: Project, *words: str, registry: str = REGISTRY
) -> subprocess.Popen[bytes]:
    """Start ``kedro run`` and wait until a node waits."""
    project.write("src/tracked/pipeline_registry.py", registry)
    env = {**os.environ, "PYTHONPATH": str(TEMPLATE)}
    command = [Path(sys.executable).with_name("kedro"), "run", *words]
    process = subprocess.Popen(
        command, cwd=project.path, env=env, start_new_session=True
    )
    wait_until(lambda: bool(list(project.path.glob("waiting-*"))), 60)
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(30)


def test_next_run_settles_a_killed_one(
    project: Project, server: str, switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    kill(start(project))
    (run,) = runs(project, server)
    assert run.info.status == "RUNNING"
    assert len(outboxes(project)) == 1

    before = switch.proxy.counts.total()
    shown = kedro_here(project, "runs", "--watch").stdout  # for which it has ended
    assert switch.proxy.counts.total() - before == 2
    assert f"{run.info.run_id[:8]}  RUNNING?" in shown
    assert "its process has ended. 'kedro mlflow sync' makes it KILLED" in shown
    (found,) = command(project, "runs")
    assert (found["status"], found["was_killed"]) == ("RUNNING", True)
    (same,) = runs(project, server)
    assert same.info.status == "RUNNING"

    project.run(Pipeline([node(nodes.same, "params:a", "m_next", name="next")]))
    killed, _ = runs(project, server)
    assert killed.info.status == "KILLED"
    assert killed.info.start_time < killed.info.end_time
    assert killed.data.metrics == {"m_first": 1.0, "plain": 1.0}
    said = f"MLflow run '{killed.info.run_name}' of before had ended without a status"
    assert f"{said}, and is KILLED; the server has what waited" in caplog.text
    assert not outboxes(project)


def test_what_a_killed_run_has_not_sent_is_sent_by_sync(
    project: Project, server: str, switch: Switch
) -> None:
    switch.is_away = True
    process = start(project)
    kill(process)
    switch.is_away = False
    (sent,) = sync(project)
    assert "KILLED" in sent["message"]
    (run,) = runs(project, server)
    assert run.info.status == "KILLED"
    assert run.data.metrics == {"m_first": 1.0, "plain": 1.0}


def test_killed_run_that_continued_another_without_a_server_is_killed_too(
    project: Project, server: str, switch: Switch
) -> None:
    project.run(Pipeline([node(nodes.same, "params:a", "m_before", name="before")]))
    (before,) = runs(project, server)
    content = yaml.safe_load((project.path / "conf/local/mlflow.yml").read_text())
    content["tracking"]["run"] = {"id": before.info.run_id}
    project.write("conf/local/mlflow.yml", content)
    switch.is_away = True
    kill(start(project))
    switch.is_away = False
    (sent,) = sync(project)
    assert "KILLED" in sent["message"]
    (run,) = runs(project, server)
    assert run.info.status == "KILLED"
    assert run.data.metrics == {"m_before": 1.0, "m_first": 1.0, "plain": 1.0}


def test_run_that_goes_on_is_left_alone(
    project: Project, server: str, switch: Switch
) -> None:
    process = start(project)
    try:
        (found,) = sync(project)
        assert found["state"] == "open"
        (listed,) = command(project, "runs")
        assert (listed["status"], listed["was_killed"]) == ("RUNNING", False)
    finally:
        kill(process)


def test_run_of_another_machine_is_left_alone_and_check_settles_ours(
    project: Project, server: str, switch: Switch
) -> None:
    kill(start(project))
    (folder,) = outboxes(project)
    file = folder / "run.json"
    about = file.read_text()
    file.write_text(json.dumps({**json.loads(about), "host": "elsewhere"}))
    (found,) = sync(project)
    assert found["state"] == "elsewhere"
    (run,) = runs(project, server)
    assert run.info.status == "RUNNING"
    file.write_text(about)
    assert "KILLED" in kedro(project.path, "check").stdout
    (run,) = runs(project, server)
    assert run.info.status == "KILLED"


def test_killed_run_tells_how_far_it_came_and_can_be_resumed(
    project: Project, server: str, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_all(project)
    kill(start(project))
    logs = kedro_here(project, "logs")
    assert "kedro.pipeline.node: Running node: w" in logs.stdout
    assert "RUNNING, on this machine\n" in logs.stderr
    planned = kedro(project.path, "resume", "--dry-run")
    assert re.search(r"Failed or did not run: (w1, w2|w2, w1)\.", planned.stdout)
    (run,) = runs(project, server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)  # where MLflow finds spans
    client = mlflow.MlflowClient(server)
    log = Path(client.download_artifacts(run.info.run_id, "console.log")).read_text()
    assert "kedro.pipeline.node: Running node: w" in log
    (trace,) = client.search_traces(locations=[run.info.experiment_id])
    whole, *nodes = trace.data.spans
    assert whole.status.status_code == "ERROR"
    stopped = {span.name for span in nodes if span.status.description == "KILLED"}
    assert {"save"} < {span.name for span in nodes} - stopped
    assert len(stopped) == 1
    assert stopped < {"w1", "w2"}


def test_trials_that_have_ended_keep_their_status_and_the_sweep_is_resumed(
    project: Project, server: str, switch: Switch
) -> None:
    record_all(project)
    process = start(project, registry=SWEEP)
    wait_until(lambda: ended(project, server) == {"quick": "FINISHED"}, 30)
    (quick,) = [r for r in runs(project, server) if r.info.run_name == "quick"]
    kill(process)
    planned = kedro(project.path, "resume", "--dry-run")
    assert "Failed or did not run: sweep." in planned.stdout
    statuses = {"quick": "FINISHED", "slow": "KILLED", "sweep": "KILLED"}
    assert ended(project, server) == statuses
    (same,) = [r for r in runs(project, server) if r.info.run_name == "quick"]
    assert same.info.end_time == quick.info.end_time


def ended(project: Project, server: str) -> dict[str, str]:
    """Return the statuses of the trials and of the sweep, where they have ended."""
    found = {}
    for run in runs(project, server):
        is_trial = "mlflow.parentRunId" in run.data.tags
        found[run.info.run_name if is_trial else "sweep"] = run.info.status
    return {name: status for name, status in found.items() if status != "RUNNING"}


def record_all(project: Project) -> None:
    settings = yaml.safe_load((project.path / "conf/local/mlflow.yml").read_text())
    del settings["tracking"]["record"]
    project.mlflow_yml(yaml.safe_dump(settings))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows ends no workers")
def test_workers_of_a_killed_run_end(
    project: Project, server: str, switch: Switch
) -> None:
    process = start(project, "--runner", "ParallelRunner")
    wait_until(lambda: len(list(project.path.glob("waiting-*"))) == 2, 60)
    workers = [int(f.name.split("-")[1]) for f in project.path.glob("waiting-*")]
    kill(process)
    try:
        wait_until(lambda: not any(map(is_alive, workers)), 20)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # Kedro's own manager would stay
    sync(project)
    (run,) = runs(project, server)
    assert run.info.status == "KILLED"
    assert run.data.metrics == {"m_first": 1.0, "plain": 1.0}


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
