"""The header provider of ``mlflow.yml`` logs in to the servers of a run only."""

import os
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from kedro.pipeline import Pipeline
from mlflow.tracking.request_auth.abstract_request_auth_provider import (
    RequestAuthProvider,
)
from mlflow.tracking.request_auth.registry import _request_auth_provider_registry
from mlflow.tracking.request_header.abstract_request_header_provider import (
    RequestHeaderProvider,
)
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from tracking.config.options import RequestHeaderProviderOptions, ServerOptions
from tracking.errors import TrackingError
from tracking.server.connection import Connection

from tests.tracking.conftest import Project

HERE = __name__


class Header(RequestHeaderProvider):
    def __init__(self, value: Any = "x", kedro_context: Any = None) -> None:
        self.value, self.kedro_context = value, kedro_context
        self.lock = threading.Lock()  # cannot be pickled

    def in_context(self) -> bool:
        return True

    def request_headers(self) -> dict[str, str]:
        env = self.kedro_context.env if self.kedro_context else ""
        return {"Authorization": f"Bearer {self.value}", "X-Env": env}


class Nothing(Header):
    def in_context(self) -> bool:
        return False


class Unbuildable(Header):
    def __init__(self) -> None:
        raise RuntimeError("no luck")


class Failing(Header):
    def request_headers(self) -> dict[str, str]:
        raise RuntimeError("no luck")


class Listener(BaseHTTPRequestHandler):
    """Records the headers of each request, and redirects it if ``elsewhere`` is set."""

    heard: list[dict[str, str]]
    elsewhere: str | None = None

    def do_GET(self) -> None:
        self.heard.append(dict(self.headers))
        self.send_response(302 if self.elsewhere else 200)
        if self.elsewhere:
            self.send_header("Location", self.elsewhere)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class Host:
    """A server on loopback that records what MLflow sends."""

    def __init__(self) -> None:
        self.listener = type("Here", (Listener,), {"heard": []})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.listener)
        self.uri = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def asked_by_mlflow(self) -> list[str | None]:
        """Send a request with MLflow; return all ``Authorization`` headers so far."""
        http_request(get_default_host_creds(self.uri), "/", "GET")
        return [headers.get("Authorization") for headers in self.listener.heard]


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    there = [Host(), Host(), Host()]
    yield there
    for host in there:
        host.server.shutdown()
        host.server.server_close()


@pytest.fixture
def host(hosts: list[Host]) -> Host:
    return hosts[0]


@pytest.fixture
def context(project: Project) -> Any:
    (project.path / "conf/qa").mkdir()
    return project.session(Pipeline([]), env="qa").load_context()


def reach(
    context: Any, uri: str, kind: str, registry: str | None = None, **more: Any
) -> Connection:
    provider = RequestHeaderProviderOptions(type=f"{HERE}.{kind}", **more)
    options = ServerOptions(
        mlflow_tracking_uri=uri,
        mlflow_registry_uri=registry,
        request_header_provider=provider,
    )
    return Connection(options, context).__enter__()


def test_second_context_replaces_the_header_provider(context: Any, host: Host) -> None:
    first = reach(context, host.uri, "Header", init_kwargs={"value": 1})
    second = reach(context, host.uri, "Header", init_kwargs={"value": 2})
    assert host.asked_by_mlflow() == ["Bearer 2"]
    second.close()
    first.close()


def test_first_run_to_end_leaves_the_other_its_login(context: Any, host: Host) -> None:
    first = reach(context, host.uri, "Header", init_kwargs={"value": 1})
    second = reach(context, host.uri, "Header", init_kwargs={"value": 2})
    first.close()
    assert host.asked_by_mlflow()[-1] == "Bearer 2"
    third = reach(context, host.uri, "Header", init_kwargs={"value": 3})
    third.close()
    assert host.asked_by_mlflow()[-1] == "Bearer 2"
    second.close()


def test_another_class_replaces_it_too(context: Any, host: Host) -> None:
    first = reach(context, host.uri, "Header")
    second = reach(context, host.uri, "Nothing")
    assert host.asked_by_mlflow() == [None]
    second.close()
    first.close()


def test_login_is_gone_with_its_run(context: Any, host: Host) -> None:
    reach(context, host.uri, "Header").close()
    assert host.asked_by_mlflow() == [None]
    assert "MLFLOW_TRACKING_AUTH" not in os.environ


def test_init_kwargs_of_any_type_and_the_context_arrive(
    context: Any, host: Host
) -> None:
    value = [1, {"a": 2.5}, True]
    kwargs = {"value": value}
    server = reach(context, host.uri, "Header", pass_context=True, init_kwargs=kwargs)
    assert host.asked_by_mlflow() == [f"Bearer {value}"]
    assert host.listener.heard[0]["X-Env"] == "qa"
    server.close()


def test_worker_builds_its_own_with_a_context_of_its_own(
    context: Any, host: Host
) -> None:
    server = reach(context, host.uri, "Header", pass_context=True)
    travelled = pickle.loads(pickle.dumps(server.login))
    server.login.unregister()  # type: ignore[union-attr]
    travelled.register()
    travelled.register()
    assert host.asked_by_mlflow() == ["Bearer x"]
    assert host.listener.heard[0]["X-Env"] == "qa"
    travelled.unregister()
    server.close()


@pytest.mark.parametrize("uri", ["sqlite:///here.db", "https://mlflow.example.com"])
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("no.such.Class", "type is 'no.such.Class', which cannot be imported"),
        ("os.path", "no subclass of MLflow's RequestHeaderProvider"),
        (f"{HERE}.Unbuildable", "could not be built.*no luck"),
    ],
)
def test_bad_class_is_named_with_its_key(
    context: Any, uri: str, kind: str, sentence: str
) -> None:
    options = ServerOptions(mlflow_tracking_uri=uri)
    options.request_header_provider.type = kind
    with pytest.raises(
        TrackingError, match=f"server.request_header_provider.*{sentence}"
    ):
        Connection(options, context).__enter__()
    assert "MLFLOW_TRACKING_AUTH" not in os.environ


def test_local_store_asks_for_no_login(context: Any) -> None:
    server = reach(context, "mlruns", "Failing")
    assert server.login is None
    server.close()


def test_request_without_its_header_is_never_sent(context: Any, host: Host) -> None:
    server = reach(context, host.uri, "Failing")
    with pytest.raises(
        TrackingError, match="Failing returns no headers: RuntimeError: no l"
    ):
        host.asked_by_mlflow()
    assert host.listener.heard == []
    server.close()


@pytest.mark.parametrize("value", ["hunter2\n", "hun\nter2", ""])
def test_header_of_several_lines_is_told_without_its_value(
    context: Any, host: Host, value: str
) -> None:
    server = reach(context, host.uri, "Header", init_kwargs={"value": value})
    with pytest.raises(TrackingError, match="header Authorization") as error:
        host.asked_by_mlflow()
    assert "hun" not in str(error.value)
    assert host.listener.heard == []
    server.close()


def test_header_goes_to_the_tracking_and_registry_servers_only(
    context: Any, hosts: list[Host]
) -> None:
    tracking, registry, stranger = hosts
    server = reach(context, tracking.uri, "Header", registry=registry.uri)
    heard = [host.asked_by_mlflow() for host in hosts]
    assert heard == [["Bearer x"], ["Bearer x"], [None]]
    tracking.listener.elsewhere = stranger.uri
    assert tracking.asked_by_mlflow() == ["Bearer x"] * 2
    assert stranger.asked_by_mlflow() == [None] * 3, "one was sent on"
    server.close()


def test_signing_for_aws_beside_it_is_one_login_too_many(
    context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_AWS_SIGV4", "true")
    with pytest.raises(TrackingError, match="SIGV4.*Unset the variable"):
        reach(context, "https://mlflow.example.com", "Header")


class Workspace(RequestAuthProvider):
    """A login like MLflow's for Kubernetes: it sends the workspace in a header."""

    def get_name(self) -> str:
        return "of-the-platform"

    def get_auth(self) -> Any:
        def put(request: Any) -> Any:
            request.headers["X-Workspace"] = "penguins"
            return request

        return put


def test_another_login_of_mlflow_goes_on_beside_it(
    context: Any, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_request_auth_provider_registry, "_registry", [Workspace()])
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "of-the-platform")
    server = reach(context, host.uri, "Header", init_kwargs={"value": 1})
    assert host.asked_by_mlflow() == ["Bearer 1"]
    assert host.listener.heard[0]["X-Workspace"] == "penguins"
    server.close()
    assert os.environ["MLFLOW_TRACKING_AUTH"] == "of-the-platform"
