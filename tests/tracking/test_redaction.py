"""No secret leaves the process: not in a log, a traceback, a tag or an error."""

import logging
import os
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import mlflow
import pytest
from kedro.io import DatasetError
from kedro.pipeline import Pipeline, node
from tracking.errors import TrackingError
from tracking.redaction import (
    HIDDEN,
    SECRET_NAMES,
    hide,
    is_secret_name,
    split_login,
    without_secrets,
)
from tracking.terminal.log_filters import without_secrets_in_logs

from tests.loopback import free_port, wait_until
from tests.recorder import recorder
from tests.tracking.conftest import Project


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://alice:p@ss@db:5432/x", "postgresql://alice:***@db:5432/x"),
        ("https://alice:hunter2@mlflow.com", "https://alice:***@mlflow.com"),
        ("https://alice:hun/ter2@mlflow.com/a", "https://alice:***@mlflow.com/a"),
        ("https://alice:it's#2@mlflow.com", "https://alice:***@mlflow.com"),
        ("https://ghp_hunter2@mlflow.com", "https://***@mlflow.com"),
        ("https://hunter2:@mlflow.com", "https://***@mlflow.com"),
        ("mysql+pymysql://:hunter2@db/x", "mysql+pymysql://:***@db/x"),
        ("from http://a:hunter2@b/c to d@e", "from http://a:***@b/c to d@e"),
        ("['http://a:hunter2@b', 'http://c:5000/d@e']",) * 2,
        ("Authorization: Basic YWxpY2U6aHVudGVyMg==", "Authorization: Basic ***"),
        ("{'Authorization': 'Bearer ey-hunter2'}", "{'Authorization': 'Bearer ***'}"),
        ("https://a.blob/c?sv=1&sig=hunter2%3D&se=2", "https://a.blob/c?sv=1&sig=***&se=2"),
        ("AccountName=a;AccountKey=hunter2==;Suffix=b", "AccountName=a;AccountKey=***;Suffix=b"),
        ("Server=db;Uid=me;Pwd=hunter2;", "Server=db;Uid=me;Pwd=***;"),
        (f"ghp_{'x' * 36} and sk-proj-{'y' * 40}", "*** and ***"),
        # Not secret.
        ("https://mlflow.com:8080/a@b", None),
        ("http://127.0.0.1:5000/#/experiments/1", None),
        ("sqlite:////data/x.db", None),
        ("git@github.com:me/it.git, ssh://git@github.com/me/it", None),
        ("postgresql://alice@db/x", None),
        ("Basic authentication needs a bearer of good news", None),
        ("a metric's path models:/m@champion", None),
    ],
)  # fmt: skip
def test_secrets_in_a_text_are_hidden(text: str, shown: str | None) -> None:
    if text.startswith("["):
        shown = text.replace("hunter2", HIDDEN)
    assert without_secrets(text) == (text if shown is None else shown)


@pytest.mark.parametrize(
    ("uri", "bare", "variables"),
    [
        ("https://me:p%40ss@h:1/a", "https://h:1/a", ("me", "p@ss")),
        ("http://me:p:q@[::1]:80", "http://[::1]:80", ("me", "p:q")),
        ("https://me@h", "https://h", ("me", None)),
        ("https://h", "https://h", None),
        ("https://h:5000/a@b", "https://h:5000/a@b", None),
        ("https://token:@h", "https://token:@h", None),  # variables cannot express it
        ("postgresql://me:pw@h/x", "postgresql://me:pw@h/x", None),
        ("databricks", "databricks", None),
    ],
)
def test_login_of_an_address_becomes_variables(
    uri: str, bare: str, variables: tuple[str, str | None] | None
) -> None:
    user, password = variables or (None, None)
    names = {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}
    assert split_login(uri) == (bare, None, {k: v for k, v in names.items() if v})


@pytest.mark.parametrize(
    "name",
    [
        *("password", "DB_PASSWORD", "passwd", "pwd", "ssh_passphrase", "my_token"),
        *("apikey", "api-key", "apiKey", "OPENAI_API_KEY", "aws_secret_access_key"),
        *("accessKeyId", "private_key", "bearer", "sentry.dsn", "conn_str", "sas"),
        *("connectionString", "storage_sas", "signature", "slackWebhookUrl"),
        *("credentials", "gcp_credential", "tokenizer.auth_token", "api_tokens"),
        *("client-secret", "token", "token_value", "secret_tokens"),
    ],
)
def test_name_of_a_secret(name: str) -> None:
    assert is_secret_name(name, SECRET_NAMES)


@pytest.mark.parametrize(
    "name",
    [
        *("max_tokens", "tokenizer", "n_tokens", "token_count", "num_tokens", "tokens"),
        *("tokenizer.name", "maxTokens", "signature_columns", "kansas", "sast", "keys"),
        *("max_token_length", "token_ids", "primary_key", "key", "sort_key", "address"),
    ],
)
def test_name_of_no_secret(name: str) -> None:
    assert not is_secret_name(name, SECRET_NAMES)


def test_values_are_hidden_in_lists_and_mappings_and_by_their_looks() -> None:
    value = {
        "db": [{"password": "hunter2", "host": "h"}, "https://me:hunter2@h"],
        "credentials": {"user": "hunter2"},
        "n": (1, None),
    }
    assert hide("x", value, SECRET_NAMES) == {
        "db": [{"password": HIDDEN, "host": "h"}, f"https://me:{HIDDEN}@h"],
        "credentials": HIDDEN,
        "n": [1, None],
    }


def test_exception_may_be_given_to_a_name() -> None:
    assert not is_secret_name("pad_token", ["*token*", "!pad_*"])
    assert is_secret_name("my_token", ["*token*", "!pad_*"])


def test_error_never_holds_a_password() -> None:
    error = TrackingError("at http://me:hunter2@h")
    assert "hunter2" not in f"{error} {error!r} {error.message} {error.args}"


def test_records_of_a_log_are_clean_with_their_tracebacks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger, before = logging.getLogger("urllib3.x"), logging.getLogRecordFactory()
    with without_secrets_in_logs():
        logger.warning("Retrying %s: %s", "http://me:hunter2@h", 3)
        try:
            raise ValueError("http://me:hunter2@h")
        except ValueError as error:
            logger.exception("failed: %s", error)
        logger.warning("%s stays", "this")
    assert "Retrying http://me:***@h: 3" in caplog.text
    assert "ValueError: http://me:***@h" in caplog.text
    assert caplog.records[-1].args == ("this",)
    assert "hunter2" not in caplog.text
    assert logging.getLogRecordFactory() is before


def test_logs_of_runs_that_overlap_are_clean_until_the_last_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = logging.getLogRecordFactory()
    first, second = without_secrets_in_logs(), without_secrets_in_logs()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    logging.getLogger("mlflow").warning("http://me:hunter2@h")
    second.__exit__(None, None, None)
    assert "hunter2" not in caplog.text
    assert logging.getLogRecordFactory() is before


REGISTRY = """
import mlflow, os, pathlib, socket, time
from urllib.parse import urlsplit
from kedro.pipeline import Pipeline, node

def lose(a):
    mlflow.log_metric("first", 1)
    print("uri", mlflow.get_tracking_uri(), os.environ["MLFLOW_TRACKING_URI"])
    pathlib.Path("down").touch()
    while pathlib.Path("down").exists():
        time.sleep(0.1)
    {then}
    return [1.0]

def register_pipelines():
    return {{"__default__": Pipeline([
        node(lose, "params:a", "score", name="lose"),
        node(lambda score: None, "score", None, name="read"),
    ])}}
"""


@pytest.mark.parametrize(
    "then",
    [
        "mlflow.MlflowClient().search_runs(['0'])",
        pytest.param("pass", marks=pytest.mark.slow),
    ],
)
def test_password_is_shown_nowhere_when_the_server_dies(
    project: Project, server: str, then: str
) -> None:
    project.write("conf/base/parameters.yml", {"a": 1})
    history = {"type": "tracked.tracking.MlflowMetricHistoryDataset"}
    project.write("conf/base/catalog.yml", {"score": history})
    project.write("src/tracked/pipeline_registry.py", REGISTRY.format(then=then))
    variables = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
        "COLUMNS": "300",
    }
    with recorder(server) as mortal:
        address = mortal.uri.replace("://", "://me:hunter2%2Fswordfish@")
        project.mlflow_yml(f"server: {{mlflow_tracking_uri: '{address}'}}")
        run = subprocess.Popen(
            [Path(sys.executable).parent / "kedro", "run"],
            cwd=project.path,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        down = project.path / "down"
        wait_until(lambda: down.exists() or run.poll() is not None)
    down.unlink(missing_ok=True)
    output, _ = run.communicate(timeout=120)
    assert run.returncode == (0 if then == "pass" else 1)
    assert set(mortal.logins) == {
        f"Basic {b64encode(b'me:hunter2/swordfish').decode()}"
    }
    assert f"uri {mortal.uri} {mortal.uri}" in output
    assert ("Traceback" in output) == (then != "pass")
    assert "'kedro mlflow sync' sends" in " ".join(output.split())
    for secret in ("hunter2", "swordfish"):
        assert secret not in output


@pytest.mark.parametrize("registry_login", ["you:swordfish@", ""])
def test_login_of_an_address_goes_to_its_own_server(
    project: Project, server: str, registry_login: str
) -> None:
    """One pair of variables for two servers would send one's password to the other."""

    def ask(a: int) -> None:
        mlflow.MlflowClient().search_registered_models()

    with recorder(server) as tracking, recorder(server) as registry:
        uris = {
            "mlflow_tracking_uri": tracking.uri.replace("://", "://me:hunter2@"),
            "mlflow_registry_uri": registry.uri.replace("://", f"://{registry_login}"),
        }
        project.write("conf/local/mlflow.yml", {"server": uris})
        project.write("conf/base/parameters.yml", {"a": 1})
        project.run(Pipeline([node(ask, "params:a", None, name="ask")]))
    me, you = (
        f"Basic {b64encode(login).decode()}"
        for login in (b"me:hunter2", b"you:swordfish")
    )
    assert set(tracking.logins) == {me}
    assert set(registry.logins) == {you if registry_login else None}


def test_dataset_error_and_its_cause_hide_what_the_cause_says(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A database's address needs its password, and a driver may quote it."""
    from tracking import MlflowMetricDataset

    uri = f"postgresql://me:hunter2@127.0.0.1:{free_port()}/x"

    class Broken(MlflowMetricDataset):
        def _read(self) -> float:
            with self._explained("m"):
                raise ConnectionError(f"cannot connect to {uri}")

    with pytest.raises(DatasetError) as error:
        Broken("m").load()
    assert "postgresql://me:***@" in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__
