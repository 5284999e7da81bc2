"""A rendered project whose environment ``guarded`` has a server to log in to."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import yaml
from mlflow.entities import Run

from tests.conftest import Render
from tests.e2e.login.identity import Client, Identity

BIN = Path(sys.executable).parent
SECRETS = re.compile(r"s3cret|eyJ\w|hunter2")


class Project:
    """The project, and what a test does with it.

    Args:
        path: where it is made.
        render: copies the template.
        login: the answer ``tracking_login``.
        uri: the server of ``guarded``.
        store: where its runs can be read without a login.
        experiment: the experiment that they belong to.
    """

    def __init__(
        self,
        path: Path,
        render: Render,
        login: str,
        uri: str,
        store: str,
        experiment: str,
    ) -> None:
        self.path = path
        self._uri = uri
        self._store = store
        self._experiment = experiment
        answers = {"project_name": "Guarded", "sample_pipeline": False}
        servers = {"guarded": uri}
        shutil.copytree(
            render(**answers, tracking_login=login, environments=servers), path
        )
        pipelines = Path(__file__).with_name("pipeline_registry.py")
        shutil.copy(pipelines, path / "src/guarded")
        metric = {"type": "guarded.tracking.MlflowMetricDataset"}
        self._write("base/catalog.yml", {"{step}_score": metric})
        self._write(
            "guarded/mlflow_experiment.yml",
            {"tracking": {"experiment": {"name": experiment}}},
        )

    def fill_in(self, **variables: str) -> None:
        """Do what the page asks for: complete the stub, for the environment."""
        stub = yaml.safe_load((self.path / "conf/local/credentials.yml").read_text())
        assert set(variables) <= set(stub["mlflow"])
        self._write("guarded/credentials.yml", {"mlflow": variables})

    def log_in_to(self, identity: Identity, client: Client, issuer: str = "") -> None:
        """Log in as a client of the provider, with the class that comes along."""
        self.fill_in(OAUTH2_CLIENT_ID=client.id, OAUTH2_CLIENT_SECRET=client.secret)
        kwargs = {
            "issuer": issuer or identity.issuer,
            "audience": identity.audience,
            "ca_file": str(identity.ca_file),
            "auth_method": client.method,
        }
        provider = {"init_kwargs": kwargs}
        server = {
            "mlflow_tracking_uri": self._uri,
            "request_header_provider": provider,
        }
        self._write("guarded/mlflow.yml", {"server": server})

    def start(self, *words: str, **variables: str) -> subprocess.Popen:
        """Start a command in the project."""
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
        """Return the exit code and output of ``kedro run``."""
        process = self.start("kedro", "run", "--env", "guarded", *options, **variables)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def succeed(self, *options: str, **variables: str) -> Run:
        """Return the MLflow run of a ``kedro run`` that succeeds."""
        code, output = self.run(*options, **variables)
        assert code == 0, output
        assert not SECRETS.search(output)
        (run,) = self.runs()
        return run

    def fail(self, *options: str, **variables: str) -> str:
        """Return the error message of a ``kedro run`` that fails."""
        code, output = self.run(*options, **variables)
        assert code == 1, output
        assert not SECRETS.search(output)
        assert "Traceback" not in output, output
        (sentence,) = re.findall("^Error: (.*)", output, re.M)
        return sentence

    def runs(self) -> list[Run]:
        """Return the runs on the server."""
        client = mlflow.MlflowClient(self._store)
        experiment = client.get_experiment_by_name(self._experiment)
        assert experiment
        return list(client.search_runs([experiment.experiment_id]))

    def _write(self, name: str, content: object) -> None:
        (self.path / "conf" / name).write_text(yaml.safe_dump(content))
