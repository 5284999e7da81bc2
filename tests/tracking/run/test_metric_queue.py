"""Metrics are sent while nodes compute, and a lost metric is always an error."""

import importlib
import json
import time
from collections.abc import Callable

import mlflow
import pytest
from click import ClickException
from kedro.io import DatasetError
from kedro.pipeline import Pipeline, node
from mlflow.entities import Metric
from tracking.errors import TrackingError
from tracking.run.metric_queue import MetricQueue

from tests.recorder import Answer, recorder
from tests.tracking import nodes
from tests.tracking.conftest import Project

METRIC = {"type": "tracked.tracking.MlflowMetricDataset"}


@pytest.fixture(autouse=True)
def parameters(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1, "b": 2})
    project.write("conf/base/catalog.yml", {"m_{n}": METRIC})


def test_order_of_points_is_kept(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.store)
    run_id = project.client.create_run("0").info.run_id
    pending = MetricQueue(run_id, mlflow.get_tracking_uri())
    for step in range(1005):
        pending.add([Metric("loss", float(step), 1, step)])
        if step % 100 == 0:
            pending.send()
    pending.flush()
    history = project.client.get_metric_history(run_id, "loss")
    assert [point.step for point in history] == list(range(1005))


def test_metric_is_there_when_a_later_node_loads_it(project: Project) -> None:
    pipeline = Pipeline(
        [
            node(nodes.one, "params:a", "m_x", name="save"),
            node(nodes.log_in_node, "m_x", "loaded", name="load"),
        ]
    )
    project.run(pipeline)
    assert project.only_run().data.metrics == {"m_x": 1.0, "fluent_1": 1.0}


def test_metric_that_could_not_be_written_is_named_and_the_run_is_not_finished(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = mlflow.MlflowClient.log_batch
    calls = []

    def broken(self, run_id, metrics=(), *args, **kwargs):
        if metrics:
            calls.append([metric.key for metric in metrics])
            raise ConnectionError("no disk left")
        return real(self, run_id, metrics, *args, **kwargs)

    def slow(a: int) -> float:
        time.sleep(0.5)
        return 2.0

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", broken)
    project.write("conf/base/catalog.yml", {"m_y": METRIC})
    pipeline = Pipeline(
        [
            node(nodes.one, "params:a", "x", name="n1"),
            node(slow, "x", "m_y", name="n2"),
        ]
    )
    queue = importlib.import_module("tracked.tracking.run.metric_queue")
    monkeypatch.setattr(queue, "PATIENCE", 1.0)
    with pytest.raises(ClickException, match=r"logged: 'm_y' \(saved.*no disk left"):
        project.run(pipeline)
    assert calls == [["m_y"]] * len(calls)
    assert project.only_run().info.status == "FAILED"


def test_what_waits_for_the_server_goes_first_when_it_is_back(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.store)
    run_id = project.client.create_run("0").info.run_id
    real, calls = mlflow.MlflowClient.log_batch, []

    def broken_once(self, run_id, metrics=(), *args, **kwargs):
        calls.append([metric.key for metric in metrics])
        if len(calls) == 1:
            raise ConnectionError("gone")
        return real(self, run_id, metrics, *args, **kwargs)

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", broken_once)
    queue = MetricQueue(run_id, mlflow.get_tracking_uri())
    queue.add([Metric("early", 1.0, 1, 0)])
    queue.send()
    while not calls:
        time.sleep(0.01)
    queue.add([Metric("late", 1.0, 1, 0)])
    queue.flush()
    assert calls == [["early"], ["early", "late"]]


def test_server_that_stays_away_ends_the_wait_and_everything_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    queue = MetricQueue("0" * 32, mlflow.get_tracking_uri())
    queue.add([Metric("early", 1.0, 1, 0)], source="first")
    queue.send()
    queue.add([Metric("late", 1.0, 1, 0)])
    start = time.monotonic()
    with pytest.raises(
        TrackingError,
        match=r"'early' \(saved by the dataset 'first'\), 'late'. The server does not "
        "answer: nothing listens there",
    ):
        queue.flush()
    assert time.monotonic() - start < 20


FORTY = Pipeline(
    [
        node(
            lambda _: [float(n) for n in range(40)],
            "params:a",
            [f"m_{n}" for n in range(40)],
            name="forty",
        ),
        node(lambda _: None, "m_1", None, name="load"),
    ]
)
BATCH = "/api/2.0/mlflow/runs/log-batch"
PAGE = b"<!doctype html><title>Log in</title>"


def json_error(code: str, text: str) -> bytes:
    return json.dumps({"error_code": code, "message": text}).encode()


REFUSED = (400, json_error("INVALID_PARAMETER_VALUE", "no"))


@pytest.fixture
def http_project(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Project]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    def at(uri: str) -> Project:
        project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{uri}'}}")
        return project

    return at


def logged(server: str) -> tuple[str, set[str]]:
    client = mlflow.MlflowClient(server)
    experiment = client.get_experiment_by_name("tracked")
    assert experiment is not None
    run = client.search_runs([experiment.experiment_id], max_results=1)[0]
    return run.info.status, set(run.data.metrics)


@pytest.mark.parametrize(
    "answer",
    [
        REFUSED,
        (413, b"<html>Request Entity Too Large</html>"),
        (401, b"who are you?"),
        (403, PAGE),
        (429, b""),
        (500, json_error("INTERNAL_ERROR", "a bad moment")),
        (502, PAGE),
        (404, PAGE),
        (200, PAGE),
        "cut",
    ],
    ids=str,
)
def test_one_bad_answer_loses_nothing(
    server: str,
    http_project: Callable[[str], Project],
    answer: tuple[int, bytes] | str,
) -> None:
    seen = []

    def once(path: str, body: bytes, real: Callable[[], Answer]) -> Answer:
        if path != BATCH or b"m_2" not in body or seen:
            return real()
        seen.append(body)
        if isinstance(answer, str):  # the server has it, and the client does not know
            real()
            return 200, b'{"half'
        return answer

    with recorder(server, spoil=once) as proxy:
        http_project(proxy.uri).run(FORTY)
    assert seen
    assert logged(server) == ("FINISHED", {f"m_{n}" for n in range(40)})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (REFUSED, "INVALID_PARAMETER_VALUE: no"),
        ((413, PAGE), "The server answers with an error: HTTP status 413."),
    ],
)
def test_refused_record_is_named_with_its_dataset_and_takes_no_other_along(
    server: str,
    http_project: Callable[[str], Project],
    answer: Answer,
    reason: str,
) -> None:
    def refuse_seven(path: str, body: bytes, real: Callable[[], Answer]) -> Answer:
        return answer if path == BATCH and b'"m_7"' in body else real()

    with (
        recorder(server, spoil=refuse_seven) as proxy,
        pytest.raises(ClickException) as error,
    ):
        http_project(proxy.uri).run(FORTY)
    assert str(error.value) == (
        "Metrics that could not be logged: 'm_7' (saved by the dataset 'm_7'). "
        + reason
    )
    assert logged(server) == ("FAILED", {f"m_{n}" for n in range(40) if n != 7})
    assert proxy.counts[f"POST {BATCH}"] < 20


def test_name_that_mlflow_refuses_is_an_error_of_its_node_and_the_rest_arrives(
    server: str, http_project: Callable[[str], Project]
) -> None:
    project = http_project(server)
    project.write(
        "conf/base/catalog.yml", {"bad": {**METRIC, "key": "a@b"}, "m_{n}": METRIC}
    )
    bad = Pipeline([node(nodes.one, "m_1", "bad", name="bad")])
    with pytest.raises(
        DatasetError, match="Dataset 'bad'.*MLflow refuses the name 'a@b'"
    ):
        project.run(FORTY + bad)
    assert logged(server) == ("FAILED", {f"m_{n}" for n in range(40)})


def test_run_that_is_gone_refuses_all_at_once(
    server: str, http_project: Callable[[str], Project]
) -> None:
    def delete(a: int) -> list[float]:
        active = mlflow.active_run()
        assert active is not None
        mlflow.MlflowClient().delete_run(active.info.run_id)
        return [1.0] * 40

    pipeline = Pipeline(
        [node(delete, "params:a", [f"m_{n}" for n in range(40)], name="delete")]
    )
    with (
        recorder(server) as proxy,
        pytest.raises(ClickException, match="'m_9'.* and 30 more"),
    ):
        http_project(proxy.uri).run(pipeline)
    assert proxy.counts[f"POST {BATCH}"] < 5


def test_server_behind_a_login_page_is_told_as_such(
    server: str,
    http_project: Callable[[str], Project],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def page(path: str, body: bytes, real: Callable[[], Answer]) -> Answer:
        return (200, PAGE) if path == BATCH and b"m_" in body else real()

    queue = importlib.import_module("tracked.tracking.run.metric_queue")
    monkeypatch.setattr(queue, "PATIENCE", 1.0)
    pipeline = Pipeline([node(nodes.one, "params:a", "m_0", name="one")])
    with (
        recorder(server, spoil=page) as proxy,
        pytest.raises(ClickException) as error,
    ):
        http_project(proxy.uri).run(pipeline)
    assert "'m_0'" in str(error.value)
    assert "answers with a web page, not as an MLflow server does" in str(error.value)
    assert "<" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (PAGE, "answers with a web page, .*is there a login in front of it\\? The env"),
        (b'{"experiment": {', "sends only a part of its answer. The env"),
    ],
)
def test_strange_answer_at_the_start_is_told_as_such(
    server: str, http_project: Callable[[str], Project], content: bytes, words: str
) -> None:
    with (
        recorder(server, spoil=lambda *_: (200, content)) as proxy,
        pytest.raises(ClickException, match=words),
    ):
        http_project(proxy.uri).run(FORTY)


def test_client_that_cannot_be_made_is_a_loss_like_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "no-such-scheme://")
    pending = MetricQueue("0" * 32, mlflow.get_tracking_uri())
    pending.add([Metric("early", 1.0, 1, 0)])
    with pytest.raises(TrackingError, match="'early'"):
        pending.flush(timeout=20)


def test_flush_does_not_wait_for_longer_than_it_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.store)
    monkeypatch.setattr(
        mlflow.MlflowClient, "log_batch", lambda *_, **__: time.sleep(5)
    )
    pending = MetricQueue("0" * 32, mlflow.get_tracking_uri())
    pending.add([Metric("stuck", 1.0, 1, 0)])
    start = time.monotonic()
    with pytest.raises(TrackingError, match="does not answer in time"):
        pending.flush(timeout=0.2)
    assert time.monotonic() - start < 4
