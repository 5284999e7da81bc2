"""``kedro run`` logs in to real servers, for as long as it takes."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow.entities import Run
from tracking.errors import TrackingError
from tracking.oauth2 import OAuth2ClientCredentialsProvider

from tests.conftest import Render
from tests.e2e.login import free_port
from tests.e2e.login.gate import Gate
from tests.e2e.login.identity import Client, Identity
from tests.e2e.login.server import MlflowServer

BIN = Path(sys.executable).parent
HERE = Path(__file__).parent
BRIEF = Client("brief", "s3cret-of-brief", 4)
STEADY = Client("steady", "s3cret-of-steady", 12, "client_secret_post")
DAILY = Client("daily", "s3cret-of-daily", 86400)
SECRETS = re.compile(r"s3cret|eyJ\w|hunter2")
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


@dataclass
class Project:
    """A rendered project whose environment ``guarded`` has a server.

    Attributes:
        store: where its runs can be read without a login.
    """

    path: Path
    store: str
    experiment: str

    def fill_in(self, **variables: str) -> None:
        """Do what the template asks for: complete the credentials stub."""
        file = self.path / "conf/local/credentials.yml"
        stub = yaml.safe_load(file.read_text())
        assert set(variables) <= set(stub["mlflow"])
        guarded = self.path / "conf/guarded/credentials.yml"
        guarded.write_text(yaml.safe_dump({"mlflow": {**stub["mlflow"], **variables}}))

    def login(self, identity: Identity, client: Client, **kwargs: object) -> None:
        """Log in as a client of the provider, with the class that comes along."""
        secrets = {"OAUTH2_CLIENT_ID": client.id, "OAUTH2_CLIENT_SECRET": client.secret}
        self.fill_in(**secrets)
        self.server(
            init_kwargs={
                "issuer": identity.issuer,
                "audience": identity.audience,
                "ca_file": str(identity.ca_file),
                "auth_method": client.method,
                **kwargs,
            }
        )

    def server(self, **provider: object) -> None:
        """Set ``server.request_header_provider``, and an experiment of this test."""
        file = self.path / "conf/guarded/mlflow.yml"
        content = yaml.safe_load(file.read_text())
        content["server"]["request_header_provider"] = {
            **self._base()["server"]["request_header_provider"],
            **provider,
        }
        file.write_text(yaml.safe_dump(content))

    def _base(self) -> dict:
        return yaml.safe_load((self.path / "conf/base/mlflow.yml").read_text())

    def start(self, *words: str, **variables: str) -> subprocess.Popen:
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        path = os.pathsep.join((str(BIN), env["PATH"]))
        return subprocess.Popen(
            words,
            cwd=self.path,
            env={**env, "PATH": path, "COLUMNS": "1000", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *options: str, **variables: str) -> tuple[int, str]:
        """Give exit code and output of ``kedro run``."""
        process = self.start("kedro", "run", "--env", "guarded", *options, **variables)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def succeed(self, *options: str, **variables: str) -> Run:
        """Give the MLflow run of a ``kedro run`` that ends well."""
        code, output = self.run(*options, **variables)
        assert code == 0, output
        assert not SECRETS.search(output)
        return self.only_run()

    def fail(self, *options: str, **variables: str) -> str:
        """Give the sentence with which a ``kedro run`` ends."""
        code, output = self.run(*options, **variables)
        assert code == 1, output
        assert not SECRETS.search(output)
        assert "Traceback" not in output, output
        (sentence,) = re.findall("^Error: (.*)", output, re.M)
        return sentence

    def runs(self) -> list[Run]:
        client = mlflow.MlflowClient(self.store)
        experiment = client.get_experiment_by_name(self.experiment)
        if experiment is None:
            return []
        return list(client.search_runs([experiment.experiment_id]))

    def only_run(self) -> Run:
        (run,) = self.runs()
        return run


@pytest.fixture
def make_project(
    render: Render, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator:
    made = []

    def make(login: str, uri: str, store: str) -> Project:
        path = tmp_path / "project"
        name = f"guarded{len(made)}"
        shutil.copytree(
            render(
                project_name="Guarded",
                sample_pipeline=False,
                tracking_login=login,
                environments={"guarded": uri},
            ),
            path,
        )
        shutil.copy(HERE / "login/pipeline_registry.py", path / "src/guarded")
        (path / "conf/base/catalog.yml").write_text(
            '"{step}_score":\n  type: guarded.tracking.MlflowMetricDataset\n'
        )
        experiment = f"{request.node.name} {len(made)}"
        (path / "conf/guarded/mlflow_experiment.yml").write_text(
            yaml.safe_dump({"tracking": {"experiment": {"name": experiment}}})
        )
        made.append(name)
        return Project(path, store, experiment)

    return make


@pytest.fixture
def project(make_project, gate: Gate, server: MlflowServer) -> Project:
    return make_project("oauth2", gate.uri, server.uri)


def test_pipeline_outlives_its_tokens(
    project: Project, identity: Identity, gate: Gate
) -> None:
    project.login(identity, BRIEF)
    run = project.succeed("--pipelines", "long")
    steps = {f"step_{n}" for n in range(6)}
    assert set(run.data.metrics) == steps | {f"{step}_score" for step in steps}
    files = mlflow.MlflowClient(project.store).list_artifacts(run.info.run_id)
    assert {file.path for file in files} == {f"{step}.txt" for step in steps}
    assert run.info.status == "FINISHED"
    assert gate.refusals == []
    assert len(gate.tokens) > 3


def test_contexts_and_runs_of_a_process_send_one_token(
    project: Project, identity: Identity, gate: Gate
) -> None:
    project.login(identity, DAILY)
    process = project.start(sys.executable, "-c", TWO_CONTEXTS)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert len(project.runs()) == 2
    assert gate.refusals == []
    assert len(gate.tokens) == 2, "one for each run"


def test_threads_renew_their_token_once(
    project: Project, identity: Identity, gate: Gate
) -> None:
    project.login(identity, STEADY)
    before = identity.issued(STEADY)
    run = project.succeed("--pipelines", "crowd")
    assert len(run.data.metrics) == 16
    assert gate.refusals == []
    assert identity.issued(STEADY) - before == 2
    _, second = gate.tokens.values()
    assert len([path for path in second if path.endswith("log-metric")]) == 16


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_workers_log_in(
    project: Project, identity: Identity, gate: Gate, method: str
) -> None:
    project.login(identity, BRIEF)
    run = project.succeed(
        "--pipelines", "wide", "--runner", "ParallelRunner", KEDRO_MP_CONTEXT=method
    )
    assert len(run.data.metrics) == 8
    assert gate.refusals == []


def test_own_provider_has_a_context_in_each_worker(
    make_project, identity: Identity, gate: Gate, server: MlflowServer
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
    make_project, identity: Identity, gate: Gate, server: MlflowServer
) -> None:
    fixed = make_project("token", gate.uri, server.uri)
    fixed.fill_in(MLFLOW_TRACKING_TOKEN=identity.token(DAILY))
    assert fixed.succeed().info.status == "FINISHED"
    assert gate.refusals == []


def test_silent_provider_is_a_sentence(
    project: Project, identity: Identity, gate: Gate
) -> None:
    address = f"https://127.0.0.1:{free_port()}"
    project.login(identity, DAILY, issuer=address)
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
    project.login(identity, replace(DAILY, secret="hunter2"))
    assert "failed: it says 'client authentication failed'" in project.fail()
    assert (gate.refusals, gate.tokens) == ([], {}), "something was sent"


def test_clock_of_a_server_that_is_a_minute_off_is_a_sentence(
    project: Project, identity: Identity, gate: Gate
) -> None:
    project.login(identity, STEADY)
    gate.skew = 60
    sentence = project.fail()
    assert "refuses the login" in sentence
    assert "whether the servers' clocks agree" in sentence


def test_clock_of_this_machine_may_be_a_minute_off(
    project: Project, identity: Identity, gate: Gate, tmp_path: Path
) -> None:
    project.login(identity, BRIEF)
    (tmp_path / "sitecustomize.py").write_text(A_MINUTE_AHEAD)
    run = project.succeed(PYTHONPATH=str(tmp_path))
    assert run.info.start_time / 1000 > time.time() + 30
    assert gate.refusals == []


@pytest.mark.parametrize(
    ("pipeline", "runner"), [("long", "SequentialRunner"), ("quiet", "ParallelRunner")]
)
def test_provider_that_goes_away_stops_the_run_with_its_own_message(
    project: Project, identity: Identity, gate: Gate, pipeline: str, runner: str
) -> None:
    project.login(identity, BRIEF)
    words = ["--pipelines", pipeline, "--runner", runner]
    process = project.start("kedro", "run", "--env", "guarded", *words)
    while not any("log-metric" in p for paths in gate.tokens.values() for p in paths):
        assert process.poll() is None
        time.sleep(0.1)
    identity.stop()
    try:
        output, _ = process.communicate(timeout=120)
    finally:
        identity.start()
    assert process.returncode == 1
    assert "it does not answer" in output.splitlines()[-1]
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
    finally:
        server.close()
