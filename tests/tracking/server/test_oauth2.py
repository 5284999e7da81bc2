"""OAuth 2.0 client credentials: one token for all, renewed in time, never shown."""

import json
import logging
import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from tracking.errors import TrackingError
from tracking.server import oauth2
from tracking.server.oauth2 import OAuth2ClientCredentialsProvider

SECRET = "hunter2"


class TokenEndpoint(BaseHTTPRequestHandler):
    """Issues the tokens t1, t2, …, and can be found by discovery."""

    asked: list[tuple[str | None, dict[str, list[str]]]]
    answer: dict[str, Any] = {"expires_in": 3600}
    status = 200
    bad_moments = 0

    def do_GET(self) -> None:
        port = self.server.server_address[1]
        self.tell(200, {"token_endpoint": f"http://127.0.0.1:{port}/token"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append((self.headers.get("Authorization"), parse_qs(body)))
        if len(self.asked) <= self.bad_moments:
            return self.tell(503, {})
        token = {"access_token": f"t{len(self.asked)}", "token_type": "Bearer"}
        self.tell(
            self.status,
            self.answer if self.status >= 300 else {**token, **self.answer},
        )

    def tell(self, status: int, content: dict[str, Any]) -> None:
        self.send_response(status)
        if status in (302, 307):
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    handler = type("Endpoint", (TokenEndpoint,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OAUTH2_CLIENT_ID", "me")
    monkeypatch.setenv("OAUTH2_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    handler.issuer = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    yield handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The two clocks of the machine, which a test can set."""
    now = [1000.0, 5000.0]
    monkeypatch.setattr(oauth2, "_clocks", lambda: (now[0], now[1]))
    return now


def provider(endpoint: Any, **more: Any) -> OAuth2ClientCredentialsProvider:
    return OAuth2ClientCredentialsProvider(issuer=endpoint.issuer, **more)


def sent(by: OAuth2ClientCredentialsProvider) -> str:
    return by.request_headers()["Authorization"]


def test_building_it_asks_for_nothing(endpoint: Any) -> None:
    provider(endpoint)
    assert endpoint.asked == []


def test_token_is_renewed_before_it_ends(endpoint: Any, clocks: list[float]) -> None:
    login = provider(endpoint, leeway=600)
    assert [sent(login), sent(login)] == ["Bearer t1"] * 2
    clocks[0] += 2999
    assert sent(login) == "Bearer t1"
    clocks[0] += 1
    assert sent(login) == "Bearer t2"


def test_token_is_renewed_after_the_sleep_of_a_laptop(
    endpoint: Any, clocks: list[float]
) -> None:
    login = provider(endpoint)
    sent(login)
    clocks[1] += 3600
    assert sent(login) == "Bearer t2"


def test_short_token_is_used_for_half_of_its_life(
    endpoint: Any, clocks: list[float]
) -> None:
    endpoint.answer = {"expires_in": 10}
    login = provider(endpoint)
    sent(login)
    clocks[0] += 4.9
    assert sent(login) == "Bearer t1"
    clocks[0] += 0.1
    assert sent(login) == "Bearer t2"


def test_token_without_an_end_is_kept(endpoint: Any, clocks: list[float]) -> None:
    endpoint.answer = {}
    login = provider(endpoint)
    sent(login)
    clocks[0] += 1e6
    assert sent(login) == "Bearer t1"


def test_threads_share_one_renewal(endpoint: Any, clocks: list[float]) -> None:
    login = provider(endpoint)
    sent(login)
    clocks[0] += 3600
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: sent(login), range(16))) == {"Bearer t2"}
    assert len(endpoint.asked) == 2


def test_lock_that_was_held_at_a_fork_holds_nobody_up(endpoint: Any) -> None:
    login = provider(endpoint)
    sent(login)
    with login._lock:
        if (child := os.fork()) == 0:
            signal.alarm(10)
            os._exit(0 if sent(login) == "Bearer t1" else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_secret_goes_into_the_header(endpoint: Any) -> None:
    sent(provider(endpoint, scope="a b", audience="mlflow"))
    ((header, body),) = endpoint.asked
    assert header == "Basic bWU6aHVudGVyMg=="
    assert body == {
        "grant_type": ["client_credentials"],
        "scope": ["a b"],
        "audience": ["mlflow"],
    }


def test_secret_goes_into_the_body(endpoint: Any) -> None:
    sent(provider(endpoint, auth_method="client_secret_post"))
    ((header, body),) = endpoint.asked
    assert header is None
    assert (body["client_id"], body["client_secret"]) == (["me"], [SECRET])


def test_token_url_needs_no_discovery(endpoint: Any) -> None:
    login = OAuth2ClientCredentialsProvider(token_url=f"{endpoint.issuer}/direct")
    assert sent(login) == "Bearer t1"


def test_variables_have_other_names(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_SECRET", "swordfish")
    sent(
        provider(
            endpoint,
            auth_method="client_secret_post",
            client_secret_variable="OTHER_SECRET",
        )
    )
    assert endpoint.asked[0][1]["client_secret"] == ["swordfish"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "needs either issuer.*or token_url"),
        ({"issuer": "https://a", "token_url": "https://b"}, "needs either issuer"),
        ({"issuer": "https://a", "auth_method": "basic"}, "use client_secret_basic or"),
        ({"issuer": "https://a", "ca_file": "no.pem"}, "no such file"),
    ],
)
def test_bad_argument_is_a_sentence(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TrackingError, match=f"init_kwargs.*{sentence}"):
        OAuth2ClientCredentialsProvider(**arguments)


@pytest.mark.parametrize("key", ["issuer", "token_url"])
def test_secret_never_travels_in_the_clear(key: str) -> None:
    with pytest.raises(TrackingError, match="https://.*'http://login.example.com'"):
        OAuth2ClientCredentialsProvider(**{key: "http://login.example.com"})


def test_missing_secret_says_where_it_belongs(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH2_CLIENT_SECRET", "")
    with pytest.raises(
        TrackingError, match="OAUTH2_CLIENT_SECRET must be set.*credentials.yml"
    ):
        sent(provider(endpoint))
    assert endpoint.asked == []


@pytest.mark.parametrize(
    ("status", "answer", "sentence"),
    [
        (
            401,
            {"error": "invalid_client", "error_description": "who?"},
            "says 'who\\?'",
        ),
        (400, {"error": "invalid_scope"}, "says 'invalid_scope'. Check"),
        (200, {"access_token": None}, "gives no token there"),
        (404, {}, "gives no token there"),
        (307, {}, "gives no token there"),
    ],
)
def test_refused_login_is_a_sentence_without_the_secret(
    endpoint: Any, status: int, answer: dict[str, Any], sentence: str
) -> None:
    endpoint.status, endpoint.answer = status, answer
    with pytest.raises(TrackingError, match=f"login at http.*failed.*{sentence}") as e:
        sent(provider(endpoint, auth_method="client_secret_post"))
    assert SECRET not in str(e.value)
    assert e.value.__cause__ is None
    assert e.value.__suppress_context__
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize("moments", [1, 3])
def test_bad_moment_of_the_provider_is_overcome(endpoint: Any, moments: int) -> None:
    endpoint.bad_moments = moments
    assert sent(provider(endpoint)) == f"Bearer t{moments + 1}"


def test_silent_provider_is_a_sentence(endpoint: Any) -> None:
    nobody = OAuth2ClientCredentialsProvider(issuer="https://127.0.0.1:9")
    with pytest.raises(TrackingError, match="does not answer. Check the address"):
        sent(nobody)


def test_provider_with_errors_of_its_own_is_a_sentence(endpoint: Any) -> None:
    endpoint.bad_moments = 10
    with pytest.raises(TrackingError, match="errors of its own. Try again later"):
        sent(provider(endpoint))


def test_neither_token_nor_secret_is_shown(
    endpoint: Any, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.answer = {"access_token": "tok3n", "expires_in": 3600}
    with caplog.at_level(logging.DEBUG):
        login = provider(endpoint, auth_method="client_secret_post")
        sent(login)
    assert caplog.records, "the requests are logged"
    assert not re.search(f"{SECRET}|tok3n", caplog.text + repr(login) + str(login))
