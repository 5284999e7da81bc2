"""``kedro run`` logs in to real servers, for as long as it takes."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
import requests
import yaml
from tracking.errors import TrackingError
from tracking.server.oauth2 import OAuth2ClientCredentialsProvider

from tests.conftest import Render
from tests.e2e.login.gate import Gate
from tests.e2e.login.identity import Client, Identity
from tests.e2e.login.project import SECRETS, Project
from tests.loopback import free_port
from tests.mlflow_server import MlflowServer

pytestmark = pytest.mark.slow  # run by 'make test-slow'


BRIEF = Client("brief", "s3cret-of-brief", 4)
STEADY = Client("steady", "s3cret-of-steady", 12, "client_secret_post")
DAILY = Client("daily", "s3cret-of-daily", 86400)
TWO_CONTEXTS = """
from pathlib import Path
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

bootstrap_project(Path.cwd())
for _ in range(2):
    KedroSession.create(env="guarded", save_on_close=False).load_context()
for _ in range(2):
    with KedroSession.create(env="guarded", save_on_close=False) as session:
        session.run()
"""
A_MINUTE_AHEAD = """
import time

_time = time.time
time.time = lambda: _time() + 60
"""


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Identity]:
    folder = tmp_path_factory.mktemp("identity")
    provider = Identity(folder, "urn:mlflow", BRIEF, STEADY, DAILY)
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    there = MlflowServer(tmp_path_factory.mktemp("server"))
    yield there
    there.close()


@pytest.fixture(scope="module")
def one_gate(identity: Identity, server: MlflowServer) -> Iterator[Gate]:
    there = Gate(server.uri, identity)
    yield there
    there.close()


@pytest.fixture
def gate(one_gate: Gate) -> Gate:
    one_gate.forget()
    return one_gate


Make = Callable[[str, str, str], Project]


@pytest.fixture
def make_project(
    render: Render, tmp_path: Path, request: pytest.FixtureRequest
) -> Make:
    """Return a function that makes a project with a login, a server and a store."""
    path, experiment = tmp_path / "project", request.node.name
    return lambda login, uri, store: Project(
        path, render, login, uri, store, experiment
    )


@pytest.fixture
def project(make_project: Make, gate: Gate, server: MlflowServer) -> Project:
    return make_project("oauth2", gate.uri, server.uri)


def test_pipeline_outlives_its_tokens(
    project: Project, identity: Identity, gate: Gate, server: MlflowServer
) -> None:
    project.log_in_to(identity, BRIEF)
    run = project.succeed("--pipelines", "long")
    steps = {f"step_{n}" for n in range(6)}
    assert set(run.data.metrics) == steps | {f"{step}_score" for step in steps}
    files = mlflow.MlflowClient(server.uri).list_artifacts(run.info.run_id)
    assert {file.path for file in files} >= {f"{step}.txt" for step in steps}
    assert run.info.status == "FINISHED"
    assert gate.refusals == []
    assert len(gate.tokens) > 3


def test_contexts_and_runs_of_a_process_send_one_token(
    project: Project, identity: Identity, gate: Gate
) -> None:
    project.log_in_to(identity, DAILY)
    process = project.start(sys.executable, "-c", TWO_CONTEXTS)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert len(project.runs()) == 2
    assert gate.refusals == []
    assert len(gate.tokens) == 2, "one for each run"


def test_threads_renew_their_token_once(
    project: Project, identity: Identity, gate: Gate
) -> None:
    project.log_in_to(identity, STEADY)
    before = identity.issued(STEADY)
    run = project.succeed("--pipelines", "crowd")
    assert len(run.data.metrics) == 16
    assert gate.refusals == []
    assert identity.issued(STEADY) - before == 2
    _, second = gate.tokens.values()
    assert any(path.endswith("log-batch") for path in second)


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_workers_log_in(
    project: Project, identity: Identity, gate: Gate, method: str
) -> None:
    project.log_in_to(identity, BRIEF)
    run = project.succeed(
        "--pipelines", "wide", "--runner", "ParallelRunner", KEDRO_MP_CONTEXT=method
    )
    assert len(run.data.metrics) == 8
    assert gate.refusals == []


def test_own_provider_has_a_context_in_each_worker(
    make_project: Make, identity: Identity, gate: Gate, server: MlflowServer
) -> None:
    own = make_project("custom", gate.uri, server.uri)
    own.fill_in(MLFLOW_GATEWAY_TOKEN=identity.token(DAILY))
    run = own.succeed(
        "--pipelines", "wide", "--runner", "ParallelRunner", KEDRO_MP_CONTEXT="spawn"
    )
    assert len(run.data.metrics) == 8
    assert gate.refusals == []
    assert gate.environments == {"guarded"}


def test_fixed_token_is_sent(
    make_project: Make, identity: Identity, gate: Gate, server: MlflowServer
) -> None:
    fixed = make_project("token", gate.uri, server.uri)
    fixed.fill_in(MLFLOW_TRACKING_TOKEN=identity.token(DAILY))
    assert fixed.succeed().info.status == "FINISHED"
    assert gate.refusals == []


def test_silent_provider_is_a_sentence(
    project: Project, identity: Identity, gate: Gate
) -> None:
    address = f"https://127.0.0.1:{free_port()}"
    project.log_in_to(identity, DAILY, issuer=address)
    assert f"login at {address} failed: it does not answer" in project.fail()
    assert (gate.refusals, gate.tokens) == ([], {}), "something was sent"


def test_untrusted_provider_is_a_sentence(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH2_CLIENT_ID", DAILY.id)
    monkeypatch.setenv("OAUTH2_CLIENT_SECRET", DAILY.secret)
    provider = OAuth2ClientCredentialsProvider(issuer=identity.issuer)
    with pytest.raises(TrackingError, match="certificate is not trusted. Name your co"):
        provider.request_headers()


def test_wrong_secret_is_a_sentence(
    project: Project, identity: Identity, gate: Gate
) -> None:
    project.log_in_to(identity, replace(DAILY, secret="hunter2"))
    assert "failed: it says 'client authentication failed'" in project.fail()
    assert (gate.refusals, gate.tokens) == ([], {}), "something was sent"


def test_clock_of_a_server_that_is_a_minute_off_is_a_sentence(
    project: Project, identity: Identity, gate: Gate
) -> None:
    project.log_in_to(identity, STEADY)
    gate.skew = 60
    sentence = project.fail()
    assert "refuses the login" in sentence
    assert "whether the servers' clocks agree" in sentence


def test_clock_of_this_machine_may_be_a_minute_off(
    project: Project, identity: Identity, gate: Gate, tmp_path: Path
) -> None:
    project.log_in_to(identity, BRIEF)
    (tmp_path / "sitecustomize.py").write_text(A_MINUTE_AHEAD)
    run = project.succeed(PYTHONPATH=str(tmp_path))
    assert run.info.start_time / 1000 > time.time() + 30
    assert gate.refusals == []


def test_provider_that_goes_away_stops_no_run_and_its_own_message_is_told(
    project: Project, identity: Identity, gate: Gate
) -> None:
    project.log_in_to(identity, BRIEF)
    words = ["--pipelines", "quiet", "--runner", "ParallelRunner"]
    process = project.start("kedro", "run", "--env", "guarded", *words)
    while not any("log-batch" in p for paths in gate.tokens.values() for p in paths):
        assert process.poll() is None
        time.sleep(0.1)
    identity.stop()
    try:
        output, _ = process.communicate(timeout=120)
    finally:
        identity.start()
    assert process.returncode == 0, output
    words = " ".join(output.split())
    assert "it does not answer" in words
    assert "'kedro mlflow sync' sends" in words
    assert "Traceback" not in output
    assert not SECRETS.search(output)
    assert gate.refusals == []


def test_user_name_and_password(make_project, tmp_path: Path) -> None:
    folder = tmp_path / "basic"
    folder.mkdir()
    server = MlflowServer(folder, password="correct horse")  # noqa: S106
    try:
        project = make_project("basic", server.uri, server.uri)
        user = {"MLFLOW_TRACKING_USERNAME": "admin"}
        project.fill_in(**user, MLFLOW_TRACKING_PASSWORD="hunter2 battery")
        sentence = project.fail()
        assert f"The MLflow server at {server.uri} refuses the login" in sentence
        project.fill_in(**user, MLFLOW_TRACKING_PASSWORD="correct horse")
        code, output = project.run()
        assert code == 0, output
        assert "correct horse" not in output
        bob = {"username": "bob", "password": "correct battery"}
        users = f"{server.uri}/api/2.0/mlflow/users/create"
        login = ("admin", "correct horse")
        assert requests.post(users, json=bob, auth=login, timeout=30).ok
        project.fill_in(
            MLFLOW_TRACKING_USERNAME="bob", MLFLOW_TRACKING_PASSWORD=bob["password"]
        )
        sentence = project.fail()  # by default, he may only read
        assert f"{server.uri} gives no permission to the login with" in sentence
        assert "Ask who administers it, or check server.credentials" in sentence
    finally:
        server.close()


def test_ci_of_a_project_with_a_login_needs_no_secret(
    project: Project, gate: Gate
) -> None:
    (project.path / "conf/local/credentials.yml").unlink()  # git ignores it
    ci = yaml.safe_load((project.path / ".github/workflows/ci.yml").read_text())
    commands = [step.get("run", "") for step in ci["jobs"]["test"]["steps"]]
    (login,) = [command for command in commands if "credentials" in command]
    subprocess.run(login, shell=True, cwd=project.path, check=True)
    process = project.start("kedro", "run")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert (gate.refusals, gate.tokens) == ([], {}), "the local store needs no login"
