"""A server that refuses a record gets all others; one that answers badly is waited for."""

import importlib
import json
from collections.abc import Callable

import mlflow
import pytest
from click import ClickException
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError
from kedro.pipeline import Pipeline, node
from mlflow.exceptions import MlflowException

from tests.recorder import Answer, recorder
from tests.tracking import nodes
from tests.tracking.conftest import Project

METRIC = {"type": "tracked.tracking.MlflowMetricDataset"}


@pytest.fixture(autouse=True)
def parameters(project: Project) -> None:
    project.write("conf/base/parameters.yml", {"a": 1, "b": 2})
    project.write("conf/base/catalog.yml", {"m_{n}": METRIC})


def test_metric_is_there_when_a_later_node_loads_it(project: Project) -> None:
    pipeline = Pipeline(
        [
            node(nodes.one, "params:a", "m_x", name="save"),
            node(nodes.log_in_node, "m_x", "loaded", name="load"),
        ]
    )
    project.run(pipeline)
    assert project.only_run().data.metrics == {"m_x": 1.0, "fluent_1": 1.0}


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
    bootstrap_project(project.path)  # takes away caplog's handler, the first time
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
        f"The server has refused 'm_7' (saved by the dataset 'm_7'). {reason}"
    )
    assert logged(server) == ("FAILED", {f"m_{n}" for n in range(40) if n != 7})
    assert proxy.counts[f"POST {BATCH}"] < 20


def test_record_that_is_refused_after_a_bad_answer_at_the_end_fails_the_run(
    server: str, http_project: Callable[[str], Project]
) -> None:
    answers = [REFUSED, (502, PAGE)]

    def refuse(path: str, body: bytes, real: Callable[[], Answer]) -> Answer:
        if path != BATCH or b'"m_last"' not in body:
            return real()
        return answers.pop() if len(answers) > 1 else REFUSED

    last = Pipeline([node(nodes.one, "params:a", "m_last", name="last")])
    with (
        recorder(server, spoil=refuse) as proxy,
        pytest.raises(ClickException, match="The server has refused 'm_last'"),
    ):
        http_project(proxy.uri).run(last)
    assert answers == [REFUSED]
    assert logged(server) == ("FAILED", set())


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
        pytest.raises(ClickException, match="'m_9'.* and 31 more"),
    ):
        http_project(proxy.uri).run(pipeline)
    assert proxy.counts[f"POST {BATCH}"] < 10


def test_server_behind_a_login_page_is_told_as_such(
    server: str,
    http_project: Callable[[str], Project],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def page(path: str, body: bytes, real: Callable[[], Answer]) -> Answer:
        return (200, PAGE) if path == BATCH and b"m_" in body else real()

    lifecycle = importlib.import_module("tracked.tracking.run.lifecycle")
    monkeypatch.setattr(lifecycle, "_LAST_WAIT", 1.0)
    pipeline = Pipeline([node(nodes.one, "params:a", "m_0", name="one")])
    with recorder(server, spoil=page) as proxy:
        http_project(proxy.uri).run(pipeline)
    assert "answers with a web page, not as an MLflow server does" in caplog.text
    assert "<" not in caplog.text
    assert "sync" in caplog.text


def test_changed_parameter_of_a_node_is_named_and_the_rest_arrives(
    server: str, http_project: Callable[[str], Project]
) -> None:
    def change(value: float) -> list[float]:
        mlflow.log_param("a", 7)
        mlflow.log_metric("plain", 1)
        return [1.0] * 40

    pipeline = Pipeline(
        [node(change, "params:a", [f"m_{n}" for n in range(40)], name="change")]
    )
    with pytest.raises(ClickException, match="has refused 'a'. .*Changing param"):
        http_project(server).run(pipeline)
    assert logged(server) == ("FAILED", {"plain", *(f"m_{n}" for n in range(40))})


def test_name_that_mlflow_refuses_is_an_error_of_the_node_that_logs_it(
    server: str, http_project: Callable[[str], Project]
) -> None:
    def log(value: float) -> None:
        mlflow.log_metric("a@b", 1)

    with pytest.raises(MlflowException, match="a@b"):
        http_project(server).run(Pipeline([node(log, "params:a", None, name="log")]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (PAGE, "answers with a web page, .*is there a login in front of it\\? The env"),
        (b'{"experiment": {', "sends only a part of its answer. The env"),
    ],
)
def test_strange_answer_at_the_start_is_told_as_such(
    server: str,
    http_project: Callable[[str], Project],
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    words: str,
) -> None:
    monkeypatch.setenv("KEDRO_MLFLOW_OFFLINE", "never")
    with (
        recorder(server, spoil=lambda *_: (200, content)) as proxy,
        pytest.raises(ClickException, match=words),
    ):
        http_project(proxy.uri).run(FORTY)
