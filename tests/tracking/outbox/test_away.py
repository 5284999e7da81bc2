"""A server that goes away stops no run, and loses nothing."""

import importlib
import json
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import mlflow
import pytest
from kedro.pipeline import Pipeline, node
from kedro.runner import ParallelRunner, SequentialRunner, ThreadRunner

from tests.recorder import Answer, recorder
from tests.tracking import nodes
from tests.tracking.conftest import Project, kedro_here, run_kedro
from tests.tracking.outbox.conftest import METRIC, Switch, command, outboxes, runs, sync

LOGS_A_METRIC = """
import mlflow
from kedro.pipeline import Pipeline, node

def log(a):
    mlflow.log_metric("m", a)

def register_pipelines():
    return {"__default__": Pipeline([node(log, "params:a", None)])}
"""


def plain(value: float) -> float:
    """Log with MLflow's own functions."""
    mlflow.log_metric("plain", value, step=3)
    mlflow.log_param("chosen", "x")
    mlflow.set_tag("said", "y")
    mlflow.log_text("hello", "notes/hello.txt")
    return value


def pipeline(*switches: object) -> Pipeline:
    """Metrics and files, with the server turned off, and perhaps on again, between."""
    chain = [nodes.same, *switches, plain, nodes.same]
    names = ["params:a", *(f"x{n}" for n in range(len(chain) - 1)), "m_last"]
    steps = [
        node(do, names[n], names[n + 1], name=f"n{n}") for n, do in enumerate(chain)
    ]
    return Pipeline(
        [
            *steps,
            node(nodes.same, "params:a", "m_first", name="a"),
            node(nodes.same, "x1", "file_kept", name="b"),
            node(nodes.same, "m_last", "m_end", name="c"),
        ]
    )


def test_server_that_goes_away_stops_no_node_and_sync_sends_the_rest(
    project: Project, server: str, switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    project.run(pipeline(switch.turn(True)))
    (folder,) = outboxes(project)
    assert caplog.text.count("HTTP status 503. The run goes on") == 1
    assert "kedro mlflow sync" in caplog.text
    assert folder.name in caplog.text
    (run,) = runs(project, server)
    assert run.info.status == "RUNNING"

    (listed,) = command(project, "runs")
    assert listed["run_id"] == run.info.run_id
    assert (listed["status"], listed["waits"]) == ("FINISHED", True)
    assert listed["metrics"]["m_last"] == 1.0

    (waits,) = sync(project)
    assert waits["state"] == "waits"
    switch.is_away = False
    (listed,) = command(project, "runs", "--status", "FINISHED")
    assert listed["waits"]
    assert command(project, "runs", "--status", "RUNNING") == []
    (sent,) = sync(project)
    assert (sent["state"], sent["local_id"]) == ("sent", "")
    assert sent["url"].endswith(run.info.run_id)
    (run,) = runs(project, server)
    whole(run, server)
    assert run.info.status == "FINISHED"
    assert not outboxes(project)
    assert sync(project) == []


def whole(run: object, server: str) -> None:
    """Check that a run has all that the pipeline has logged."""
    assert run.data.metrics == {
        "m_first": 1.0,
        "m_last": 1.0,
        "m_end": 1.0,
        "plain": 1.0,
    }
    client = mlflow.MlflowClient(server)
    (point,) = client.get_metric_history(run.info.run_id, "plain")
    assert point.step == 3
    assert run.data.params == {"a": "1.0", "chosen": "x"}
    assert run.data.tags["said"] == "y"
    uri = f"{run.info.artifact_uri}/kept.json"
    mlflow.set_tracking_uri(server)
    try:
        assert mlflow.artifacts.load_dict(uri) == 1.0
        text = f"{run.info.artifact_uri}/notes/hello.txt"
        assert mlflow.artifacts.load_text(text) == "hello"
    finally:
        mlflow.set_tracking_uri(None)  # else the variable would stay


def test_model_is_saved_at_once_where_nothing_listens_any_more(
    project: Project, server: str
) -> None:
    """MLflow asks for the run and creates the model before it saves the files."""
    pytest.importorskip("sklearn")
    model = {"type": "tracked.tracking.MlflowModelTrackingDataset"}
    model |= {"flavor": "mlflow.sklearn", "save_args": {"pip_requirements": []}}
    project.write("conf/base/parameters.yml", {"a": 1.0})
    project.write("conf/base/catalog.yml", {"model": model, "m_{name}": METRIC})
    with ExitStack() as stack:
        proxy = stack.enter_context(recorder(server))
        project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{proxy.uri}'}}")

        def close(value: float) -> float:
            time.sleep(1)  # until all is sent, so that nobody has noticed
            stack.close()
            return value

        started = time.monotonic()
        project.run(
            Pipeline(
                [
                    node(close, "params:a", "x", name="close"),
                    node(nodes.fit_line, "x", "model", name="fit"),
                    node(nodes.predict_six, "model", "m_six", name="predict"),
                ]
            )
        )
    assert time.monotonic() - started < 60
    assert len(outboxes(project)) == 1


def test_server_that_comes_back_has_everything_at_the_end(
    project: Project, server: str, switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    project.run(pipeline(switch.turn(True), switch.turn(False)))
    (run,) = runs(project, server)
    whole(run, server)
    assert run.info.status == "FINISHED"
    assert not outboxes(project)


@pytest.mark.parametrize("runner", [SequentialRunner, ThreadRunner])
def test_run_without_a_server_is_recorded_whole(
    project: Project, server: str, switch: Switch, runner: type
) -> None:
    switch.is_away = True
    before = int(time.time() * 1000)
    project.run(pipeline(), runner=runner())
    between = int(time.time() * 1000)
    assert not runs(project, server)

    switch.is_away = False
    (sent,) = sync(project)
    (run,) = runs(project, server)
    assert sent["local_id"].startswith("local-")
    assert sent["run_id"] == run.info.run_id
    whole(run, server)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == sent["name"]
    assert before <= run.info.start_time <= run.info.end_time <= between
    assert "kedro_command" in run.data.tags


def test_run_that_starts_without_a_server_is_there_at_its_end_if_that_comes_back(
    project: Project,
    server: str,
    switch: Switch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    switch.is_away = True
    project.run(Pipeline([node(switch.turn(False), "params:a", "m_x", name="x")]))
    (run,) = runs(project, server)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"m_x": 1.0})
    assert not outboxes(project)
    assert f"runs/{run.info.run_id}\n" in capsys.readouterr().out


def test_signal_at_the_end_does_not_wait_for_a_server_that_is_away(
    project: Project, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle = importlib.import_module("tracked.tracking.run.lifecycle")
    monkeypatch.setattr(lifecycle, "_LAST_WAIT", 60.0)
    monkeypatch.setattr(lifecycle, "BRIEFLY", 1.0)
    asked = threading.Event()

    def away(path: str, body: bytes, answer: Callable[[], Answer]) -> Answer:
        if b'"m_x"' not in body:
            return answer()
        if not asked.is_set():  # the last node has ended: its metric goes with the end
            asked.set()
            signal.raise_signal(signal.SIGINT)
        return 503, b"away"

    switch.delay = away
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        project.run(Pipeline([node(nodes.same, "params:a", "m_x", name="x")]))
    assert asked.is_set()
    assert time.monotonic() - started < 30
    assert len(outboxes(project)) == 1


@pytest.mark.parametrize("is_finished", [True, False])
def test_only_a_finished_run_waits_long_for_a_slow_server(
    project: Project,
    switch: Switch,
    monkeypatch: pytest.MonkeyPatch,
    is_finished: bool,
) -> None:
    lifecycle = importlib.import_module("tracked.tracking.run.lifecycle")
    monkeypatch.setattr(lifecycle, "_LAST_WAIT", 60.0)
    monkeypatch.setattr(lifecycle, "BRIEFLY", 0.5)

    def slow(path: str, body: bytes, answer: Callable[[], Answer]) -> Answer:
        if path.endswith("log-batch"):
            time.sleep(6)  # longer than an outbox waits when it closes
        return answer()

    switch.delay = slow
    last = nodes.same if is_finished else nodes.fail
    steps = [node(nodes.same, "params:a", "m_a", name="a"), node(last, "m_a", "x")]
    with ExitStack() as failing:
        if not is_finished:
            failing.enter_context(pytest.raises(ZeroDivisionError))
        project.run(Pipeline(steps))
    assert len(outboxes(project)) == (0 if is_finished else 1)


def test_process_ends_though_the_server_has_not_answered_yet(
    project: Project, server: str, switch: Switch
) -> None:
    project.write("src/tracked/pipeline_registry.py", LOGS_A_METRIC)
    has_ended, late = threading.Event(), []

    def answer_afterwards(
        path: str, body: bytes, answer: Callable[[], Answer]
    ) -> Answer:
        if path.endswith("log-batch") and not has_ended.wait(100):
            late.append(path)
        return answer()

    switch.delay = answer_afterwards
    try:
        done = run_kedro(project.path, "run")
    finally:
        has_ended.set()
    assert done.returncode == 0, done.stdout + done.stderr
    assert not late
    assert len(outboxes(project)) == 1


def test_never_is_an_error_at_the_start(
    project: Project, server: str, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_MLFLOW_OFFLINE", "never")
    switch.is_away = True
    with pytest.raises(Exception, match="HTTP status 503"):
        project.run(pipeline())
    assert not outboxes(project)


def test_always_asks_for_nothing_and_warns_of_nothing(
    project: Project,
    server: str,
    switch: Switch,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("KEDRO_MLFLOW_OFFLINE", "always")
    with caplog.at_level("INFO"):
        project.run(pipeline())
    assert not switch.proxy.counts
    assert len(outboxes(project)) == 1
    said = [r for r in caplog.records if r.name.startswith("tracked.")]
    assert [r.getMessage() for r in said if r.levelname != "INFO"] == []
    why = "this is what server.offline or KEDRO_MLFLOW_OFFLINE asks for"
    assert f"recorded on this machine until its server has it: {why}" in caplog.text
    assert "'kedro mlflow sync' sends them" in caplog.text


def test_time_in_which_earlier_runs_are_sent_is_not_the_runs_own(
    project: Project, server: str, switch: Switch
) -> None:
    switch.is_away = True
    first = Pipeline([node(nodes.same, "params:a", "x", name="first")])
    project.run(first)
    switch.is_away = False
    has_run, sent = threading.Event(), []
    (left,) = outboxes(project)
    opening = json.loads((left / "run.json").read_text())["opening"].encode()

    def slow(path: str, body: bytes, answer: Callable[[], Answer]) -> Answer:
        if path.endswith("runs/create") and opening in body:
            has_run.wait(30)
            time.sleep(0.5)
            sent.append(time.time())
        return answer()

    def done(value: float) -> float:
        has_run.set()
        return value

    switch.delay = slow
    project.run(Pipeline([node(done, "params:a", "y", name="second")]))
    ended = {run.info.end_time / 1000 for run in runs(project, server)}
    assert len(ended) == 2
    assert len(sent) == 1
    assert max(ended) < sent[0]


def test_earlier_run_goes_to_its_server_though_a_node_sets_another(
    project: Project, server: str, switch: Switch
) -> None:
    switch.is_away = True
    project.run(Pipeline([node(nodes.same, "params:a", "m_first", name="first")]))
    switch.is_away = False
    is_other = threading.Event()
    (left,) = outboxes(project)
    opening = json.loads((left / "run.json").read_text())["opening"].encode()

    def late(path: str, body: bytes, answer: Callable[[], Answer]) -> Answer:
        if path.endswith("runs/create") and opening in body:
            is_other.wait(30)
        return answer()

    def another(value: float) -> float:
        mlflow.set_tracking_uri(project.store)
        is_other.set()
        return value

    switch.delay = late
    try:
        project.run(Pipeline([node(another, "params:a", "y", name="second")]))
    finally:
        mlflow.set_tracking_uri(None)
    assert [run.data.metrics for run in runs(project, server)] == [{"m_first": 1.0}, {}]
    assert not outboxes(project)


def test_runs_of_this_machine_are_compared_and_planned(
    project: Project, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_MLFLOW_OFFLINE", "always")
    monkeypatch.setenv("COLUMNS", "200")
    for value in (1.0, 2.0):
        project.run(pipeline(), params={"a": value})
    one, other = (run["run_id"] for run in reversed(command(project, "runs")))
    switch.is_away = True
    before = {file: file.stat().st_size for file in outboxes(project)}
    done = kedro_here(project, "diff", one[:14], other, "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [run["run_id"] for run in found["runs"]] == [one, other]
    rows = {(row["kind"], row["name"]): row for row in found["rows"]}
    assert (rows["metric", "m_last"]["one"], rows["metric", "m_last"]["other"]) == (
        "1",
        "2",
    )
    assert rows["param", "a"]["other"] == "2.0"
    assert {file: file.stat().st_size for file in outboxes(project)} == before
    done = kedro_here(project, "rerun", one, "--dry-run")
    assert (done.returncode, "in no git repository" in done.stdout) == (1, True)
    done = kedro_here(project, "diff", one, "local-ffffffff")
    assert done.returncode == 1
    assert (
        "'local-ffffffff' names none of the runs that wait on this machine"
        in done.stderr
    )


def test_variable_with_another_value_is_a_sentence(
    project: Project, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEDRO_MLFLOW_OFFLINE", "sometimes")
    with pytest.raises(Exception, match="KEDRO_MLFLOW_OFFLINE is 'sometimes'"):
        project.run(pipeline())


def test_file_that_a_later_node_changes_is_sent_as_it_was_saved(
    project: Project, server: str, switch: Switch
) -> None:
    def change(value: float) -> float:
        file = Path(project.path, "data/kept.json")
        file.write_text("changed")
        file.unlink()
        return value

    project.run(
        Pipeline(
            [
                node(switch.turn(True), "params:a", "x", name="off"),
                node(nodes.same, "x", "file_kept", name="save"),
                node(change, "file_kept", "y", name="change"),
                node(switch.turn(False), "y", "m_y", name="on"),
            ]
        )
    )
    (run,) = runs(project, server)
    mlflow.set_tracking_uri(server)
    try:
        uri = f"{run.info.artifact_uri}/kept.json"
        assert mlflow.artifacts.load_dict(uri) == 1.0
    finally:
        mlflow.set_tracking_uri(None)


def test_workers_write_to_the_outbox_too(
    project: Project, server: str, switch: Switch
) -> None:
    switch.is_away = True
    names = [f"m_{n}" for n in range(4)]
    steps = [node(nodes.one, "params:a", name, name=name) for name in names]
    steps += [
        node(nodes.log_in_node, name, f"y{n}", name=f"l{n}")
        for n, name in enumerate(names)
    ]
    project.run(Pipeline(steps), runner=ParallelRunner(max_workers=2))
    switch.is_away = False
    sync(project)
    (run,) = runs(project, server)
    assert run.data.metrics == {**dict.fromkeys(names, 1.0), "fluent_1": 1.0}
    assert run.info.status == "FINISHED"
