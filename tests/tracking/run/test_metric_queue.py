"""Metrics travel while nodes compute, and none is lost without a word."""

import time

import mlflow
import pytest
from click import ClickException
from kedro.pipeline import Pipeline, node
from mlflow.entities import Metric
from tracking.errors import TrackingError
from tracking.run.metric_queue import MetricQueue

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
    pending = MetricQueue(run_id)
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
    with pytest.raises(ClickException, match="not be logged: 'm_y'. no disk left"):
        project.run(pipeline)
    assert calls == [["m_y"]]
    assert project.only_run().info.status == "FAILED"


def test_after_a_loss_the_server_is_asked_no_more(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.store)
    calls = []

    def broken(self, run_id, metrics=(), *args, **kwargs):
        calls.append(metrics)
        raise ConnectionError("gone")

    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", broken)
    pending = MetricQueue("0" * 32)
    pending.add([Metric("early", 1.0, 1, 0)])
    pending.send()
    while not calls:
        time.sleep(0.01)
    pending.add([Metric("late", 1.0, 1, 0)])
    with pytest.raises(TrackingError, match="'early', 'late'. gone"):
        pending.flush()
    assert len(calls) == 1


def test_client_that_cannot_be_made_is_a_loss_like_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "no-such-scheme://")
    pending = MetricQueue("0" * 32)
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
    pending = MetricQueue("0" * 32)
    pending.add([Metric("stuck", 1.0, 1, 0)])
    start = time.monotonic()
    with pytest.raises(TrackingError, match="does not answer in time"):
        pending.flush(timeout=0.2)
    assert time.monotonic() - start < 4
