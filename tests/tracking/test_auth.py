"""Request-header providers are registered once, and log in."""

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.tracking.request_header.abstract_request_header_provider import (
    RequestHeaderProvider,
)
from mlflow.tracking.request_header.registry import resolve_request_headers
from tracking import auth
from tracking.config import RequestHeaderProviderOptions
from tracking.errors import TrackingError
from tracking.oauth2 import OAuth2ClientCredentialsProvider

HERE = __name__


class Header(RequestHeaderProvider):
    def __init__(self, value: Any = "x", kedro_context: Any = None) -> None:
        self.value, self.kedro_context = value, kedro_context

    def in_context(self) -> bool:
        return True

    def request_headers(self) -> dict[str, str]:
        return {"X-Test": str(self.value)}


class Unbuildable(Header):
    def __init__(self) -> None:
        raise RuntimeError("no luck")


def register(kind: str, **options: Any) -> Any:
    given = RequestHeaderProviderOptions(type=kind, **options)
    return auth.register(given, SimpleNamespace(env="qa"))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    before = list(auth._registry())
    yield
    auth._registry()[:] = before


def test_second_registration_replaces_the_first() -> None:
    register(f"{HERE}.Header", init_kwargs={"value": 1})
    register(f"{HERE}.Header", init_kwargs={"value": 2})
    assert resolve_request_headers()["X-Test"] == "2"


def test_provider_is_gone_after_unregister() -> None:
    auth.unregister(register(f"{HERE}.Header"))
    assert "X-Test" not in resolve_request_headers()


def test_init_kwargs_of_any_type_and_the_context_arrive() -> None:
    value = [1, {"a": 2.5}, True]
    kwargs = {"value": value}
    provider = register(f"{HERE}.Header", pass_context=True, init_kwargs=kwargs)
    assert (provider.value, provider.kedro_context.env) == (value, "qa")


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("no.such.Class", "type is 'no.such.Class', which cannot be imported"),
        ("os.path", "no subclass of MLflow's RequestHeaderProvider"),
        (f"{HERE}.Unbuildable", "could not be built.*no luck"),
    ],
)
def test_bad_class_is_named_with_its_key(kind: str, sentence: str) -> None:
    with pytest.raises(
        TrackingError, match=f"server.request_header_provider.*{sentence}"
    ):
        register(kind)


class TokenEndpoint(BaseHTTPRequestHandler):
    issued = 0
    lifetime = 3600
    accept = True

    def do_POST(self) -> None:
        cls = type(self)
        cls.issued += 1
        body = {"access_token": f"t{cls.issued}", "expires_in": cls.lifetime}
        refusal = {"error": "invalid_client", "error_description": "unknown client"}
        self.send_response(200 if cls.accept else 401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body if cls.accept else refusal).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[str, type[TokenEndpoint]]]:
    handler = type("Endpoint", (TokenEndpoint,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OAUTH2_CLIENT_ID", "me")
    monkeypatch.setenv("OAUTH2_CLIENT_SECRET", "hunter2")
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    yield f"http://127.0.0.1:{server.server_port}/token", handler
    server.shutdown()


def test_token_is_fetched_once_while_it_is_good(endpoint: Any) -> None:
    url, handler = endpoint
    provider = OAuth2ClientCredentialsProvider(token_url=url)
    for _ in range(3):
        assert provider.request_headers() == {"Authorization": "Bearer t1"}
    assert handler.issued == 1
    assert "hunter2" not in repr(provider)


def test_threads_share_one_renewal(endpoint: Any) -> None:
    url, handler = endpoint
    handler.lifetime = 30  # within the leeway: due at once
    provider = OAuth2ClientCredentialsProvider(token_url=url)
    handler.lifetime = 3600
    with ThreadPoolExecutor(16) as pool:
        headers = list(pool.map(lambda _: provider.request_headers(), range(16)))
    assert handler.issued == 2
    assert headers == [{"Authorization": "Bearer t2"}] * 16


def test_refused_login_is_a_sentence_without_the_secret(endpoint: Any) -> None:
    url, handler = endpoint
    handler.accept = False
    with pytest.raises(TrackingError, match="login at http.*failed") as error:
        OAuth2ClientCredentialsProvider(token_url=url)
    assert "hunter2" not in str(error.value)
    assert error.value.__cause__ is None


def test_missing_secret_says_where_it_belongs(endpoint: Any) -> None:
    os.environ.pop("OAUTH2_CLIENT_SECRET")
    with pytest.raises(TrackingError, match="OAUTH2_CLIENT_SECRET must be set"):
        OAuth2ClientCredentialsProvider(token_url=endpoint[0])
