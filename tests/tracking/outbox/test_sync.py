"""``kedro mlflow sync`` sends everything once, whatever happens meanwhile."""

import importlib
import json
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
from kedro.pipeline import Pipeline, node

from tests.recorder import Answer, recorder
from tests.tracking import nodes
from tests.tracking.conftest import Project, kedro_here
from tests.tracking.outbox.conftest import (
    METRIC,
    Switch,
    command,
    outboxes,
    runs,
    sync,
    sync_in_a_process,
)


def nested(value: float) -> float:
    """Open a nested run, with a metric of its own."""
    with mlflow.start_run(nested=True, run_name="inner"):
        mlflow.log_metric("inside", value)
    return value


def history(value: float) -> list[float]:
    return [float(n) for n in range(1500)]


HISTORY = {"type": "tracked.tracking.MlflowMetricHistoryDataset"}
ONE = Pipeline([node(nodes.same, "params:a", "m_one", name="one")])


def outbox_about(project: Project) -> dict[str, Any]:
    """What the only outbox says about itself."""
    (folder,) = outboxes(project)
    about: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return about


@pytest.fixture
def offline(project: Project, switch: Switch) -> Switch:
    switch.is_away = True
    catalog = {"history": HISTORY, "m_{name}": METRIC}
    project.write("conf/base/catalog.yml", catalog)
    return switch


def test_nested_runs_keep_their_parent(
    project: Project, server: str, offline: Switch
) -> None:
    project.run(Pipeline([node(nested, "params:a", "m_one", name="one")]))
    offline.is_away = False
    sync(project)
    outer, inner = runs(project, server)
    assert inner.info.run_name == "inner"
    assert inner.data.tags["mlflow.parentRunId"] == outer.info.run_id
    assert inner.data.metrics == {"inside": 1.0}
    assert inner.info.status == outer.info.status == "FINISHED"


def test_order_of_points_is_kept(
    project: Project, server: str, offline: Switch
) -> None:
    project.run(Pipeline([node(history, "params:a", "history", name="one")]))
    offline.is_away = False
    sync(project)
    (run,) = runs(project, server)
    found = mlflow.MlflowClient(server).get_metric_history(run.info.run_id, "history")
    assert [point.value for point in found] == [float(n) for n in range(1500)]


def test_two_at_once_send_everything_once(
    project: Project, server: str, offline: Switch
) -> None:
    for _ in range(3):
        project.run(ONE)
    offline.is_away = False
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: sync_in_a_process(project), range(2)))
    assert len(runs(project, server)) == 3
    assert not outboxes(project)
    assert sum(each["state"] == "sent" for part in found for each in part) == 3


def test_creation_without_an_answer_creates_one_run(
    project: Project, server: str, offline: Switch
) -> None:
    project.run(ONE)
    cut = []

    def spoil(path: str, body: bytes, answer: Callable[[], Answer]) -> Answer:
        found = answer()
        if path.endswith("runs/create") and not cut:
            cut.append(path)
            return 502, b"cut"
        return found

    with recorder(server, spoil=spoil) as proxy:
        (folder,) = outboxes(project)
        about = outbox_about(project)
        (folder / "run.json").write_text(
            json.dumps({**about, "tracking_uri": proxy.uri})
        )
        project.mlflow_yml(
            f"server: {{mlflow_tracking_uri: '{proxy.uri}'}}\n"
            f"tracking: {{experiment: {{name: {project.path.parent.name}}}}}"
        )
        while outboxes(project):
            sync(project)
    assert cut
    (run,) = runs(project, server)
    assert run.data.metrics == {"m_one": 1.0}


def test_dry_run_changes_nothing(
    project: Project, server: str, offline: Switch
) -> None:
    project.run(ONE)
    offline.is_away = False
    done = kedro_here(project, "sync", "--dry-run")
    assert "waits" in done.stdout
    assert not runs(project, server)
    assert len(outboxes(project)) == 1


def test_folder_of_another_place(
    project: Project, server: str, offline: Switch, tmp_path: Path
) -> None:
    project.run(ONE)
    shutil.move(project.path / "mlruns/outbox", tmp_path / "copied")
    offline.is_away = False
    (sent,) = sync(project, str(tmp_path / "copied"))
    assert sent["state"] == "sent"
    (run,) = runs(project, server)
    assert run.data.metrics == {"m_one": 1.0}


def test_id_that_a_catalog_names_goes_on_working(
    project: Project, server: str, offline: Switch
) -> None:
    project.run(ONE)
    offline.is_away = False
    (sent,) = sync(project)
    project.write(
        "conf/base/catalog.yml",
        {"before": {**METRIC, "key": "m_one", "run_id": sent["local_id"]}},
    )
    project.run(Pipeline([node(nodes.same, "before", "out", name="load")]))
    assert len(runs(project, server)) == 2


def test_next_run_sends_what_waits(
    project: Project, server: str, offline: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    project.run(ONE)
    offline.is_away = False
    project.run(ONE)
    found = runs(project, server)
    assert [run.data.metrics for run in found] == [{"m_one": 1.0}] * 2
    assert not outboxes(project)
    said = (
        f"MLflow run '{found[0].info.run_name}' of before: the server has what waited"
    )
    assert said in caplog.text


def test_outbox_that_cannot_be_read_stops_no_run_and_stays(
    project: Project, server: str, offline: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    project.run(ONE)
    (folder,) = outboxes(project)
    (folder / "run.json").write_text("")  # as a loss of power can leave it
    project.run(ONE)  # which waits behind it
    offline.is_away = False
    project.run(ONE)
    assert [run.info.status for run in runs(project, server)] == ["FINISHED"] * 2
    assert f"The outbox {folder} is not sent, since run.json is no JSON" in caplog.text
    assert outboxes(project) == [folder]


def model_catalog(project: Project) -> dict[str, Any]:
    name = project.path.parent.name
    save_args = {"registered_model_name": name, "pip_requirements": []}
    return {
        "model": {
            "type": "tracked.tracking.MlflowModelTrackingDataset",
            "flavor": "mlflow.sklearn",
            "save_args": save_args,
        },
        "m_{name}": METRIC,
    }


def test_model_that_is_saved_when_the_server_has_just_gone_waits_for_nothing(
    project: Project, server: str, switch: Switch
) -> None:
    pytest.importorskip("sklearn")
    catalog = model_catalog(project)
    project.write("conf/base/catalog.yml", catalog)
    started = time.monotonic()

    def fit(value: float) -> object:
        switch.is_away = True  # which the save is the first to find
        return nodes.fit_line(value)

    project.run(
        Pipeline(
            [
                node(fit, "params:a", "model", name="fit"),
                node(nodes.predict_six, "model", "m_six", name="predict"),
            ]
        )
    )
    assert time.monotonic() - started < 30
    switch.is_away = False
    (sent,) = sync(project)
    assert sent["state"] == "sent", sent
    (run,) = runs(project, server)
    (output,) = run.outputs.model_outputs
    model = mlflow.MlflowClient(server).get_logged_model(output.model_id)
    assert (model.name, str(model.status)) == ("model", "READY")
    assert round(run.data.metrics["m_six"]) == 6


def test_model_is_logged_loaded_and_sent(
    project: Project, server: str, offline: Switch
) -> None:
    pytest.importorskip("sklearn")
    project.write("conf/base/catalog.yml", model_catalog(project))
    project.run(
        Pipeline(
            [
                node(nodes.fit_line, "params:a", "model", name="fit"),
                node(nodes.predict_six, "model", "m_six", name="predict"),
            ]
        )
    )
    (waiting,) = command(project, "sync", "--dry-run")
    assert waiting["was"]["files"] >= 2  # MLmodel, and the model itself
    assert waiting["local_id"] == outbox_about(project)["opening"]
    offline.is_away = False
    (sent,) = sync(project)
    assert sent["state"] == "sent", sent
    (run,) = runs(project, server)
    assert round(run.data.metrics["m_six"]) == 6
    (output,) = run.outputs.model_outputs
    client = mlflow.MlflowClient(server)
    model = client.get_logged_model(output.model_id)
    assert (model.name, str(model.status)) == ("model", "READY")
    assert model.source_run_id == run.info.run_id
    (version,) = client.search_model_versions(f"name = '{project.path.parent.name}'")
    assert version.run_id == run.info.run_id
    code = (
        "import mlflow, sys; mlflow.set_tracking_uri(sys.argv[1]);"
        "print(mlflow.sklearn.load_model(sys.argv[2]).predict([[3.0]])[0])"
    )
    uri = f"models:/{project.path.parent.name}/1"
    words = [sys.executable, "-c", code, server, uri]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert round(float(done.stdout)) == 6


def test_outbox_is_its_users_own_and_has_no_secret(
    project: Project, server: str, offline: Switch
) -> None:
    project.write(
        "conf/local/credentials.yml", {"mine": {"MLFLOW_TRACKING_TOKEN": "hush"}}
    )
    address = offline.proxy.uri.replace("://", "://me:hush@")
    project.mlflow_yml(
        f"server: {{mlflow_tracking_uri: '{address}', credentials: mine}}"
    )
    project.run(ONE)
    (folder,) = outboxes(project)
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert all(b"hush" not in file.read_bytes() for file in files)
    if sys.platform != "win32":
        assert not stat.S_IMODE(folder.stat().st_mode) & 0o077


def test_runs_shows_what_waits(project: Project, server: str, offline: Switch) -> None:
    project.run(ONE)
    done = kedro_here(project, "runs", "--format", "json")
    (run,) = json.loads(done.stdout.splitlines()[-1])
    assert run["run_id"].startswith("local-")
    assert (run["status"], run["metrics"]) == ("FINISHED", {"m_one": 1.0})
    assert "HTTP status 503" in done.stderr
    assert kedro_here(project, "runs", "--where", "metrics.m_one > 0").returncode == 1
    offline.is_away, offline.delay = False, lambda *_: (401, b"no")
    done = kedro_here(project, "runs")
    assert "refuses the login" in done.stdout
    assert "FINISHED (waits here)" in done.stdout


def test_ui_says_how_to_see_what_waits(project: Project, offline: Switch) -> None:
    project.run(ONE)
    done = kedro_here(project, "ui")
    assert done.returncode == 1
    assert "HTTP status 503" in done.stderr
    assert "'kedro mlflow ui --offline' shows the runs" in done.stderr


def test_same_sentence_is_said_once(project: Project, offline: Switch) -> None:
    project.run(ONE)
    project.run(ONE)
    done = kedro_here(project, "sync")
    assert done.stdout.count("HTTP status 503") == 1


def lose_content(project: Project, switch: Switch) -> None:
    """Leave a run whose file has lost its content, as a loss of power can do it."""
    project.run(
        Pipeline(
            [
                node(switch.turn(True), "params:a", "x", name="off"),
                node(nodes.same, "x", "file_one", name="one"),
                node(nodes.same, "x", "m_one", name="two"),
            ]
        )
    )
    (copy,) = [found for found in project.path.glob("mlruns/outbox/*/files/*/*")]
    copy.write_bytes(b"")
    switch.is_away = False


def test_copy_that_lost_its_content_is_named(
    project: Project, server: str, switch: Switch
) -> None:
    lose_content(project, switch)
    (sent,) = sync(project)
    assert "'one.json' (saved by the dataset 'file_one')" in sent["message"]
    assert "the machine lost power" in sent["message"]
    kept = project.path / "mlruns/outbox/refused.jsonl"
    assert "one.json" in kept.read_text()
    if sys.platform != "win32":
        assert not stat.S_IMODE(kept.stat().st_mode) & 0o077
    assert not mlflow.MlflowClient(server).list_artifacts(sent["run_id"])


def test_next_run_names_what_is_refused_of_an_earlier_one(
    project: Project, server: str, switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    lose_content(project, switch)
    project.run(ONE)
    before, _ = runs(project, server)
    said = f"MLflow run '{before.info.run_name}': "
    (record,) = [r for r in caplog.records if "lost power" in r.getMessage()]
    assert record.getMessage().startswith(said)
    assert record.__dict__["markup"] is False  # a name may have brackets


def test_ui_shows_a_copy_of_what_waits(
    project: Project, server: str, offline: Switch
) -> None:
    project.run(ONE)
    offline_copy = importlib.import_module("tracked.tracking.commands.offline")
    with project.session(ONE) as session:
        context = session.load_context()
        with offline_copy.offline_copy(context) as connection:
            (run,) = project.runs(connection.uri)
    assert run.data.metrics == {"m_one": 1.0}
    assert run.data.tags["kedro.opening"].startswith("local-")
    assert not runs(project, server)
    offline.is_away = False
    assert sync(project)[0]["state"] == "sent"


def test_outbox_of_another_machine_is_taken_only_on_request(
    project: Project, server: str, offline: Switch
) -> None:
    project.run(ONE)
    offline.is_away = False
    (folder,) = outboxes(project)
    about = outbox_about(project)
    (folder / "run.json").write_text(json.dumps({**about, "host": "elsewhere"}))
    assert sync(project)[0]["state"] == "elsewhere"
    assert not runs(project, server)
    assert sync(project, "--any-host")[0]["state"] == "sent"
    assert len(runs(project, server)) == 1


def test_mistyped_address_can_be_corrected(
    project: Project, server: str, offline: Switch
) -> None:
    right = (project.path / "conf/local/mlflow.yml").read_text()
    project.mlflow_yml(right.replace(offline.proxy.uri, "http://127.0.0.1:9"))
    project.run(ONE)
    project.mlflow_yml(right)
    offline.is_away = False
    assert sync(project)[0]["state"] == "sent"
    assert len(runs(project, server)) == 1
